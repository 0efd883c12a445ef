package authdns

import (
	"bytes"
	"sort"

	"lifeboat/internal/dnssec"
)

// maxProofs are as many NSEC records as one answer needs: one for each wildcard on a
// chain, and two where it ends.
const maxProofs = maxChain + 3

// proofs are the NSEC records that an answer still has to bring, and where the search
// is.
type proofs struct {
	links [maxProofs]int32
	count int
	done  int // as many are written
	size  int // of the name that is looked for
	at    int // where in it its closest encloser begins
}

// looksFor notes the name that is looked for, which lies in the answer's low.
func (p *proofs) looksFor(name []byte, at int) { p.size, p.at = len(name), at }

// cover finds the last name of the chain that is not behind a name: the name itself,
// or the one whose NSEC record says that it is not there (RFC 4034 section 4.1).
func (s *signedZone) cover(name []byte) int32 {
	var buf [dnssec.MaxOrder]byte
	order := dnssec.Order(buf[:0], name)
	behind := sort.Search(len(s.links), func(i int) bool { return bytes.Compare(s.key(i), order) > 0 })
	return int32(max(behind, 1) - 1)
}

// key is what a name of the chain is ordered by.
func (s *signedZone) key(i int) []byte {
	if i+1 < len(s.links) {
		return s.order[s.links[i].order:s.links[i+1].order]
	}
	return s.order[s.links[i].order:]
}

// nsec is a name's NSEC record with the signatures over it, as things are.
func (a *answer) nsec(at int32) body {
	l := &a.signing.links[at]
	i := l.first
	if variant := a.variant(l.node); variant > 0 {
		i += uint32(variant) - 1
	}
	return a.signing.body(a.signing.nsec[i])
}

// bring has the answer bring a name's NSEC record, once.
func (a *answer) bring(at int32) {
	p := &a.proofs
	for _, has := range p.links[:p.count] {
		if has == at {
			return
		}
	}
	if p.count < maxProofs {
		p.links[p.count] = at
		p.count++
	}
}

// proveExpanded proves that the name itself is not there, so that the wildcard counts
// (RFC 4035 section 3.1.3.3).
func (a *answer) proveExpanded() {
	if a.signing != nil {
		a.bring(a.signing.cover(a.low[:a.proofs.size]))
	}
}

// proveNoName proves that neither the name nor a wildcard for it is there (section
// 3.1.3.2).
func (a *answer) proveNoName() {
	if a.signing != nil {
		a.bring(a.signing.cover(a.low[:a.proofs.size]))
		a.bring(a.signing.cover(a.wildcard()))
	}
}

// wildcard is the wildcard below the closest encloser. It overwrites the name that was
// looked for, which has been dealt with.
func (a *answer) wildcard() []byte {
	at := a.proofs.at
	if at < 2 { // the first label is at least one octet long, and its length
		return a.low[:a.proofs.size]
	}
	a.low[at-2], a.low[at-1] = 1, '*'
	return a.low[at-2 : a.proofs.size]
}

// proveNoData proves that a node has nothing of the type (sections 3.1.3.1 and
// 3.1.3.4): by its NSEC record, or where it only has names below it by the one that
// comes before.
func (a *answer) proveNoData(n int32) {
	if a.signing == nil {
		return
	}
	at := a.signing.link[n]
	switch {
	case at != none:
	case a.proofs.at == 0:
		at = a.signing.cover(a.low[:a.proofs.size])
	default: // a wildcard that only has names below it
		at = a.signing.cover(a.wildcard())
	}
	a.bring(at)
}

// proveReferral brings the DS set of a delegation, or the proof that it has none
// (section 3.1.4).
func (a *answer) proveReferral(owner []byte, n int32) {
	if a.signing == nil {
		return
	}
	if ds := a.p.setOf(n, typeDS); ds.count > 0 {
		a.addSigned(secAuthority, owner, n, typeDS, body{ds.count, a.p.body(ds)})
	} else if at := a.signing.link[n]; at != none {
		a.bring(at)
	}
	a.prove()
}

// prove writes the NSEC records that are still due.
func (a *answer) prove() {
	p := &a.proofs
	for ; p.done < p.count; p.done++ {
		at := p.links[p.done]
		b := a.nsec(at)
		a.add(secAuthority, a.p.names.Name(a.signing.links[at].node), b.count, b.wire)
	}
}
