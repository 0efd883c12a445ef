package authdns

import (
	"encoding/binary"
	"slices"
)

// answer finds the answer to one question (RFC 1034 section 4.3.2, RFC 4592, RFC
// 6672) and writes it to a message. It lives on the stack of one call.
type answer struct {
	v     *View
	m     *message
	typ   uint16
	aa    bool
	rcode uint16
	from  int32                // the node of the name in question, or its closest encloser's; none without a zone
	exact bool                 // it is that of the name itself
	chain int                  // CNAME and DNAME records so far
	owner [maxChain + 1][]byte // the names that led on, to see a loop
	via   [maxChain + 1]int32  // the nodes that led on
	low   [maxName]byte        // the name that is looked for, in lower case
}

// write answers a question of class IN. The labels are those of the name.
func (a *answer) write(labels int) {
	name := lower(a.low[:], a.m.qname())
	n, exact, at := a.v.table.find(name, labels)
	a.from, a.exact = n, exact
	if n == none {
		a.rcode = rcodeRefused
		return
	}
	a.aa = true
	a.resolve(nil, name, n, exact, at)
}

// find gives the node of a name, or else that of the closest encloser, which
// begins at an offset of the name; none when no zone holds it.
func (t *Table) find(name []byte, labels int) (n int32, exact bool, at int) {
	for ; labels > t.maxLabels; labels-- {
		at += 1 + int(name[at])
	}
	for {
		if n, ok := t.names[string(name[at:])]; ok {
			return n, at == 0, at
		}
		if name[at] == 0 {
			return none, false, 0
		}
		at += 1 + int(name[at])
	}
}

// resolve answers for a name once its node, or its closest encloser's, is found.
// The owner is the name as it is to be written, nil for the name in question.
func (a *answer) resolve(owner, name []byte, n int32, exact bool, at int) {
	nd := &a.v.table.nodes[n]
	if exact && a.typ == typeDS && nd.parentSide != none {
		n = nd.parentSide // DS lies above the cut (RFC 4035 section 3.1.4.1)
		nd = &a.v.table.nodes[n]
	}
	switch {
	case nd.cut && !(exact && a.typ == typeDS):
		a.refer(owner, n, at)
	case exact:
		a.atNode(owner, n)
	case nd.dname:
		a.redirect(owner, n, at)
	case nd.wild != none:
		a.atNode(owner, nd.wild)
	default:
		a.rcode = rcodeNXDomain
		a.deny(nd.zone)
	}
}

// atNode answers from a node that exists, be it a wildcard's.
func (a *answer) atNode(owner []byte, n int32) {
	t := a.v.table
	nd := &t.nodes[n]
	if a.typ == typeANY {
		a.any(owner, n)
		return
	}
	for _, s := range t.sets[nd.set : nd.set+nd.sets] {
		if s.typ == typeSOA && a.typ == typeSOA {
			a.soa(secAnswer, owner, nd.zone)
			return
		}
		if s.typ == a.typ {
			a.add(secAnswer, owner, s.count, t.body(s))
			return
		}
		if s.typ == typeCNAME {
			a.follow(owner, n, s)
			return
		}
	}
	if b := a.v.addresses(nd.follow, a.typ); b.count > 0 {
		a.add(secAnswer, owner, b.count, b.wire)
		return
	}
	a.deny(nd.zone)
}

// addresses gives what a following name answers to a type; empty for another
// type, or where the position has none of its kind.
func (v *View) addresses(class int32, typ uint16) body {
	switch {
	case class == none:
		return body{}
	case typ == typeA:
		return v.follows[class].a
	case typ == typeAAAA:
		return v.follows[class].aaaa
	}
	return body{}
}

// any answers the type ANY with the smallest set there is (RFC 8482 section 4.1).
func (a *answer) any(owner []byte, n int32) {
	t := a.v.table
	nd := &t.nodes[n]
	var best body
	soa := false
	for _, s := range t.sets[nd.set : nd.set+nd.sets] {
		if best.count == 0 || int(s.size) < len(best.wire) {
			best, soa = body{s.count, t.body(s)}, s.typ == typeSOA
		}
	}
	for _, typ := range [...]uint16{typeA, typeAAAA} {
		if b := a.v.addresses(nd.follow, typ); b.count > 0 && (best.count == 0 || len(b.wire) < len(best.wire)) {
			best, soa = b, false
		}
	}
	switch {
	case best.count == 0:
		a.deny(nd.zone)
	case soa:
		a.soa(secAnswer, owner, nd.zone)
	default:
		a.add(secAnswer, owner, best.count, best.wire)
	}
}

// follow writes a CNAME and goes on at its target, as long as that lies in the
// same zone.
func (a *answer) follow(owner []byte, n int32, cname rrset) {
	records := a.v.table.body(cname)
	a.add(secAnswer, owner, cname.count, records)
	_, target, _ := cutRecord(records)
	a.goOn(owner, target, n)
}

// goOn looks for the target of a node that leads on, which the owner led to. It
// ends without a word where the chain leaves the zone, comes back to a name that
// it has passed, or is too long.
func (a *answer) goOn(owner, target []byte, from int32) {
	if owner == nil {
		owner = a.m.qname()
	}
	a.owner[a.chain], a.via[a.chain] = owner, from
	a.chain++
	if a.chain > maxChain {
		return
	}
	for _, passed := range a.owner[:a.chain] {
		if sameFold(passed, target) {
			return
		}
	}
	name := lower(a.low[:], target)
	t := a.v.table
	n, exact, at := t.find(name, countLabels(name))
	if n == none || t.nodes[n].zone != t.nodes[from].zone {
		return
	}
	a.resolve(target, name, n, exact, at)
}

func countLabels(name []byte) (n int) {
	for i := 0; name[i] != 0; i += 1 + int(name[i]) {
		n++
	}
	return n
}

// redirect answers for a name below a DNAME (RFC 6672 section 3.2): the DNAME,
// and a CNAME made from it.
func (a *answer) redirect(owner []byte, n int32, at int) {
	t := a.v.table
	s := t.setOf(n, typeDNAME)
	records := t.body(s)
	head, target, _ := cutRecord(records)
	asked := owner
	if owner == nil {
		asked = a.m.qname()
	}
	if !slices.Contains(a.via[:a.chain], n) {
		a.add(secAnswer, asked[at:], s.count, records)
	}
	if at+len(target) > maxName {
		a.rcode = rcodeYXDomain
		return
	}
	cname := appendRecord(make([]byte, 0, 12+at+len(target)), typeCNAME, binary.BigEndian.Uint32(head[4:]), nil)
	binary.BigEndian.PutUint16(cname[10:], uint16(at+len(target)))
	cname = append(append(cname, asked[:at]...), target...)
	made := cname[12:]
	a.add(secAnswer, owner, 1, cname)
	a.goOn(owner, made, n)
}

// refer hands on to the name servers of a cut. Only an answer that began in our
// own data has authority (RFC 1034 section 4.3.2 step 3b).
func (a *answer) refer(owner []byte, n int32, at int) {
	a.aa = a.chain > 0
	t := a.v.table
	nd := &t.nodes[n]
	if owner == nil {
		owner = a.m.qname()
	}
	s := t.setOf(n, typeNS)
	a.add(secAuthority, owner[at:], s.count, t.body(s))
	for i, g := range t.glue[nd.glue : nd.glue+nd.glues] {
		a.addGlue(g, i < int(nd.needed))
	}
}

// addGlue appends a name server's addresses to the additional section. What does
// not fit is left out, or truncates the answer where it is needed (RFC 9471).
func (a *answer) addGlue(g glue, needed bool) {
	t := a.v.table
	owner := t.wire[g.off : g.off+uint32(t.nodes[g.node].nameLen)]
	for _, typ := range [...]uint16{typeA, typeAAAA} {
		b := a.v.addresses(t.nodes[g.node].follow, typ)
		if s := t.setOf(g.node, typ); s.count > 0 {
			b = body{s.count, t.body(s)}
		}
		if b.count > 0 && !a.m.set(secAdditional, owner, b.count, b.wire) && needed {
			a.m.short = true
		}
	}
}

// deny writes the SOA that says how long "there is none" holds: its owner is the
// apex, and its TTL at most its own MINIMUM (RFC 2308 section 3).
func (a *answer) deny(zone int32) {
	z := &a.v.table.zones[zone]
	if a.soa(secAuthority, z.owner, zone) {
		binary.BigEndian.PutUint32(a.m.buf[a.m.ttl:], z.negative)
	}
}

// soa writes a zone's SOA with the serial in force.
func (a *answer) soa(section int, owner []byte, zone int32) bool {
	t := a.v.table
	if !a.add(section, owner, 1, t.body(t.zones[zone].soa)) {
		return false
	}
	binary.BigEndian.PutUint32(a.m.buf[len(a.m.buf)-20:], a.v.serials[zone])
	return true
}

// add appends a set that the answer can't do without.
func (a *answer) add(section int, owner []byte, count uint16, records []byte) bool {
	ok := a.m.set(section, owner, count, records)
	a.m.short = a.m.short || !ok
	return ok
}
