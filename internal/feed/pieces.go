package feed

import (
	"iter"

	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
)

// maxComing is how many parts may be on their way at one time.
const maxComing = 64

// Pieces puts parts together that come in pieces, in any number of turns. It belongs to
// one goroutine. The zero value is ready.
type Pieces struct {
	whole  map[string][]byte // by hash
	coming map[string][]byte
	total  int // bytes of all that is here
}

// Add takes a piece; one that came before is passed over. A gap, a part that is not what
// its hash says, and more than MaxStaged bytes in all are a fault.Invalid. Memory is taken
// only as bytes come.
func (p *Pieces) Add(piece Piece) error {
	if p.coming == nil {
		p.coming, p.whole = map[string][]byte{}, map[string][]byte{}
	}
	if _, here := p.whole[piece.SHA256]; here {
		return nil
	}
	part, begun := p.coming[piece.SHA256]
	end := piece.Offset + len(piece.Data)
	switch {
	case len(piece.Data) == 0 || piece.Offset < 0 || piece.Offset > len(part) || end < piece.Offset || end > piece.Size:
		return fault.New(fault.Invalid, "a piece of a part does not follow the one before")
	case !begun && len(p.coming) == maxComing:
		return fault.New(fault.Invalid, "more than %d parts are sent ahead at one time", maxComing)
	case end <= len(part):
		return nil
	}
	fresh := piece.Data[len(part)-piece.Offset:]
	if p.total += len(fresh); p.total > MaxStaged {
		return fault.New(fault.Invalid, "more than %d bytes of parts are sent ahead", MaxStaged)
	}
	part = append(part, fresh...)
	if p.coming[piece.SHA256] = part; len(part) < piece.Size {
		return nil
	}
	delete(p.coming, piece.SHA256)
	if snapshot.RefOf(part).SHA256 != piece.SHA256 {
		return fault.New(fault.Invalid, "a part is not what its hash says")
	}
	p.whole[piece.SHA256] = part
	return nil
}

// Take gives those of some parts that are whole, by hash, and forgets them.
func (p *Pieces) Take(hashes iter.Seq[string]) map[string][]byte {
	out := map[string][]byte{}
	for hash := range hashes {
		if part, here := p.whole[hash]; here {
			out[hash] = part
			p.total -= len(part)
			delete(p.whole, hash)
		}
	}
	return out
}
