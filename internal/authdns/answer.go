package authdns

import (
	"encoding/binary"
	"slices"
	"sync"
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

	signing *signing // nil where the answer goes without signatures
	proofs  proofs
}

// synthesis holds the CNAME records that one answer makes from DNAMEs: of each the
// fixed octets and two names at most.
type synthesis struct {
	buf  [(maxChain + 1) * (12 + maxName)]byte
	used int
}

// syntheses are used again, so that a DNAME costs no allocation.
var syntheses = sync.Pool{New: func() any { return new(synthesis) }}

// write answers a question of class IN. The labels are those of the name.
func (a *answer) write(labels int) {
	if a.v.table.dnames {
		made := syntheses.Get().(*synthesis)
		made.used = 0
		a.m.made = made
		defer syntheses.Put(made) // then the message is written, and nothing looks at names any more
	}
	name := lower(a.low[:], a.m.qname())
	n, exact, at := a.find(name, labels, none)
	a.from, a.exact = n, exact
	if n == none {
		a.rcode = rcodeRefused
		return
	}
	a.aa = true
	a.resolve(nil, name, n, exact, at)
	a.prove()
}

// find is the Table's, but for DS, which lies above the cut (RFC 4035 section
// 3.1.4.1). A chain stays below where it comes from there; none comes from any.
func (a *answer) find(name []byte, labels int, from int32) (n int32, exact bool, at int) {
	t := a.v.table
	n, exact, at = t.find(name, labels)
	if exact && a.typ == typeDS {
		above := t.nodes[n].parentSide
		if above != none && (from == none || t.nodes[from].zone == t.nodes[above].zone) {
			n = above
		}
	}
	return n, exact, at
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
	if a.signing != nil {
		a.proofs.looksFor(name, at)
	}
	switch {
	case nd.cut && !(exact && a.typ == typeDS):
		a.refer(owner, n, at)
	case exact:
		a.atNode(owner, n)
	case nd.dname:
		a.redirect(owner, n, at)
	case nd.wild != none:
		a.proveExpanded(nd.zone)
		a.atNode(owner, nd.wild)
	default:
		a.rcode = rcodeNXDomain
		a.proveNoName(nd.zone)
		a.deny(nd.zone)
	}
}

// atNode answers from a node that exists, be it a wildcard's.
func (a *answer) atNode(owner []byte, n int32) {
	t := a.v.table
	nd := &t.nodes[n]
	switch {
	case a.typ == typeANY:
		a.any(owner, n)
		return
	case a.typ == typeRRSIG || a.typ == typeNSEC:
		if a.signatures(owner, n) {
			return
		}
	}
	for _, s := range t.sets[nd.set : nd.set+nd.sets] {
		if s.typ == typeSOA && a.typ == typeSOA {
			a.soa(secAnswer, owner, nd.zone)
			return
		}
		if s.typ == a.typ {
			if a.addSigned(secAnswer, owner, n, s.typ, body{s.count, t.body(s)}) && leads(s.typ) {
				a.prove()
				a.goAlong(owner, s)
			}
			return
		}
		if s.typ == typeCNAME {
			a.follow(owner, n, body{s.count, t.body(s)})
			return
		}
	}
	if alias := a.v.addresses(nd.follow, typeCNAME); alias.count > 0 {
		if a.typ == typeCNAME {
			a.addSigned(secAnswer, owner, n, typeCNAME, alias)
		} else {
			a.follow(owner, n, alias)
		}
		return
	}
	if b := a.v.addresses(nd.follow, a.typ); b.count > 0 {
		a.addSigned(secAnswer, owner, n, a.typ, b)
		return
	}
	a.proveNoData(n)
	a.deny(nd.zone)
}

// addresses gives what a following name answers to a type, be it CNAME where the
// position is an alias; empty for another type, or where the position has none of
// its kind.
func (v *View) addresses(class int32, typ uint16) body {
	switch {
	case class == none:
		return body{}
	case typ == typeA:
		return v.follows[class].a
	case typ == typeAAAA:
		return v.follows[class].aaaa
	case typ == typeCNAME:
		return v.follows[class].alias
	}
	return body{}
}

// any answers the type ANY with the smallest set there is (RFC 8482 section 4.1).
func (a *answer) any(owner []byte, n int32) {
	t := a.v.table
	nd := &t.nodes[n]
	var best body
	var of uint16
	for _, s := range t.sets[nd.set : nd.set+nd.sets] {
		if best.count == 0 || int(s.size) < len(best.wire) {
			best, of = body{s.count, t.body(s)}, s.typ
		}
	}
	for _, typ := range [...]uint16{typeA, typeAAAA, typeCNAME} {
		if b := a.v.addresses(nd.follow, typ); b.count > 0 && (best.count == 0 || len(b.wire) < len(best.wire)) {
			best, of = b, typ
		}
	}
	switch {
	case best.count == 0:
		a.proveNoData(n)
		a.deny(nd.zone)
	case of == typeSOA:
		a.soa(secAnswer, owner, nd.zone)
	default:
		a.addSigned(secAnswer, owner, n, of, best)
	}
}

// follow writes a CNAME and goes on at its target, as long as that lies in the
// same zone.
func (a *answer) follow(owner []byte, n int32, cname body) {
	a.addSigned(secAnswer, owner, n, typeCNAME, cname)
	_, target, _ := cutRecord(cname.wire)
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
	n, exact, at := a.find(name, countLabels(name), from)
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
		a.addSigned(secAnswer, asked[at:], n, typeDNAME, body{s.count, records})
	}
	if at+len(target) > maxName {
		a.rcode = rcodeYXDomain
		return
	}
	made := a.m.made
	cname := appendRecord(made.buf[made.used:made.used], typeCNAME, binary.BigEndian.Uint32(head[4:]), nil)
	binary.BigEndian.PutUint16(cname[10:], uint16(at+len(target)))
	cname = append(append(cname, asked[:at]...), target...)
	made.used += len(cname)
	a.add(secAnswer, owner, 1, cname)
	if a.typ != typeCNAME && a.typ != typeANY { // the CNAME is what was asked for
		a.goOn(owner, cname[12:], n)
	}
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
	a.proveReferral(owner[at:], n)
	for i, g := range t.glue[nd.glue : nd.glue+nd.glues] {
		a.addGlue(g, i < int(nd.needed))
	}
}

// goAlong appends what is known of the names in a set: their addresses, and for a
// service's alias also its records of the same type.
func (a *answer) goAlong(owner []byte, s rrset) {
	t := a.v.table
	e := t.extra[s.off]
	for _, g := range t.glue[e.first : e.first+e.count] {
		name := owner
		if g.off != ownName {
			name = t.wire[g.off : g.off+uint32(t.nodes[g.node].nameLen)]
			if more := t.setOf(g.node, s.typ); more.count > 0 && (s.typ == typeSVCB || s.typ == typeHTTPS) {
				if a.m.set(secAdditional, name, more.count, t.body(more)) {
					a.signIfRoom(name, g.node, s.typ, t.body(more))
				}
			}
		}
		a.addAddresses(name, g.node)
	}
}

// addGlue appends a name server's addresses to the additional section. What does
// not fit is left out, or truncates the answer where it is needed (RFC 9471).
func (a *answer) addGlue(g glue, needed bool) {
	t := a.v.table
	owner := t.wire[g.off : g.off+uint32(t.nodes[g.node].nameLen)]
	if !a.addAddresses(owner, g.node) && needed {
		a.m.short = true
	}
}

// addAddresses appends a node's addresses to the additional section, as many sets
// as fit; false when one did not.
func (a *answer) addAddresses(owner []byte, n int32) bool {
	t := a.v.table
	all := true
	for _, typ := range [...]uint16{typeA, typeAAAA} {
		b := a.v.addresses(t.nodes[n].follow, typ)
		if s := t.setOf(n, typ); s.count > 0 {
			b = body{s.count, t.body(s)}
		}
		if b.count == 0 {
			continue
		}
		if !a.m.set(secAdditional, owner, b.count, b.wire) {
			all = false
			continue
		}
		a.signIfRoom(owner, n, typ, b.wire)
	}
	return all
}

// deny writes the SOA that says how long "there is none" holds: its owner is the
// apex, and its TTL at most its own MINIMUM (RFC 2308 section 3).
func (a *answer) deny(zone int32) {
	z := &a.v.table.zones[zone]
	if a.bareSOA(secAuthority, z.owner, zone) {
		binary.BigEndian.PutUint32(a.m.buf[a.m.ttl:], z.negative)
		a.signSOA(secAuthority, z.owner, zone, z.negative)
	}
	a.prove()
}

// soa writes a zone's SOA with the serial in force.
func (a *answer) soa(section int, owner []byte, zone int32) {
	if a.bareSOA(section, owner, zone) {
		a.signSOA(section, owner, zone, noLimit)
	}
}

func (a *answer) bareSOA(section int, owner []byte, zone int32) bool {
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
