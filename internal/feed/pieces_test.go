package feed_test

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"lifeboat/internal/fault"
	"lifeboat/internal/feed"
	"lifeboat/internal/snapshot"
)

// cut makes the pieces of a part.
func cut(part []byte, size int) (out []feed.Piece) {
	for at := 0; at < len(part); at += size {
		out = append(out, feed.Piece{SHA256: snapshot.RefOf(part).SHA256, Size: len(part), Offset: at, Data: part[at:min(at+size, len(part))]})
	}
	return out
}

// Parts come together whatever the turns their pieces come in.
func TestPiecesComeTogether(t *testing.T) {
	t.Parallel()
	var p feed.Pieces
	want, turns := map[string][]byte{}, [][]feed.Piece{}
	for i := range 5 {
		part := bytes.Repeat([]byte{byte('a' + i)}, 1000+i)
		want[snapshot.RefOf(part).SHA256] = part
		turns = append(turns, cut(part, 37), cut(part, 100)) // each twice, by two senders
	}
	for len(turns) > 0 {
		i := rand.IntN(len(turns))
		must(t, p.Add(turns[i][0]))
		if turns[i] = turns[i][1:]; len(turns[i]) == 0 {
			turns = slices.Delete(turns, i, i+1)
		}
	}
	if got := p.Take(maps.Keys(want)); !maps.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("%d of %d parts are as they were sent", len(got), len(want))
	}
	if got := p.Take(maps.Keys(want)); len(got) > 0 {
		t.Errorf("%d parts are given twice", len(got))
	}
}

func TestBadPieces(t *testing.T) {
	t.Parallel()
	part := bytes.Repeat([]byte("x"), 100)
	good := cut(part, 40)
	change := func(f func(p *feed.Piece)) feed.Piece {
		p := good[1]
		f(&p)
		return p
	}
	for name, then := range map[string]feed.Piece{
		"a gap":             good[2],
		"nothing":           change(func(p *feed.Piece) { p.Data = nil }),
		"before the part":   change(func(p *feed.Piece) { p.Offset = -1 }),
		"behind its end":    change(func(p *feed.Piece) { p.Data = bytes.Repeat([]byte("x"), 61) }),
		"a huge offset":     change(func(p *feed.Piece) { p.Offset = 1<<63 - 1 }),
		"a part without it": change(func(p *feed.Piece) { p.SHA256 = "other" }),
	} {
		var p feed.Pieces
		must(t, p.Add(good[0]))
		if err := p.Add(then); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	var p feed.Pieces
	lie := feed.Piece{SHA256: snapshot.RefOf([]byte("good")).SHA256, Size: 3, Data: []byte("bad")}
	if err := p.Add(lie); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a part that is not what its hash says: %v", err)
	}
	for i := range 70 {
		if err := p.Add(feed.Piece{SHA256: string(rune('a' + i)), Size: 2, Data: []byte("x")}); (err != nil) != (i >= 64) {
			t.Fatalf("part %d at one time: %v", i+1, err)
		}
	}
}

// FuzzPieces: whatever pieces come, what is taken is what its hash says.
func FuzzPieces(f *testing.F) {
	f.Add([]byte("some octets"), 3, 2, false)
	f.Add([]byte("x"), 1, 0, true)
	f.Fuzz(func(t *testing.T, part []byte, size, skip int, wrong bool) {
		if size < 1 || len(part) == 0 {
			return
		}
		var p feed.Pieces
		hash := snapshot.RefOf(part).SHA256
		for i, piece := range cut(part, size) {
			if wrong && i == skip {
				piece.Data = append(bytes.Clone(piece.Data), 'x')
			}
			if i == skip && !wrong {
				piece.Offset += skip
			}
			if p.Add(piece) != nil {
				break
			}
		}
		for h, got := range p.Take(slices.Values([]string{hash})) {
			if snapshot.RefOf(got).SHA256 != h {
				t.Fatalf("%d bytes under another hash", len(got))
			}
		}
	})
}
