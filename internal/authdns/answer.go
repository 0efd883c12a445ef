package authdns

import (
	"encoding/binary"
	"net/netip"
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
	zone  int32                // that answers, none without
	p     *Prepared            // the same: no answer leaves its zone
	from  int32                // the node of the name in question, or its closest encloser's
	exact bool                 // it is that of the name itself
	chain int                  // CNAME and DNAME records so far
	owner [maxChain + 1][]byte // the names that led on, to see a loop
	via   [maxChain + 1]int32  // the nodes that led on
	low   [maxName]byte        // the name that is looked for, in lower case

	client netip.Addr // who asks, where that is known

	do      bool        // signatures are wanted
	signing *signedZone // nil where the answer goes without
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
	if a.zone = a.findZone(name, labels, none); a.zone == none {
		a.rcode = rcodeRefused
		return
	}
	a.p = a.v.table.zones[a.zone].Prepared
	if a.do {
		a.signing = a.p.signed
	}
	n, exact, at := a.p.find(name, labels)
	a.from, a.exact = n, exact
	a.aa = true
	a.resolve(nil, name, n, exact, at)
	a.prove()
}

// findZone finds the zone that answers for a name: the deepest that holds it. But DS
// lies above the cut (RFC 4035 section 3.1.4.1), where the zone above has one; a chain
// goes there only from that zone, and from none comes the question itself.
func (a *answer) findZone(name []byte, labels int, from int32) int32 {
	t := a.v.table
	z := t.zoneOf(name, labels)
	if a.typ != typeDS || z == none || len(name) == 1 || len(name) != len(t.zones[z].owner) {
		return z
	}
	above := t.zoneOf(name[1+int(name[0]):], labels-1)
	if above == none || from != none && from != above {
		return z
	}
	if n, ok := t.zones[above].names.Find(name); !ok || t.zones[above].nodes[n].sets == 0 {
		return z
	}
	return above
}

// resolve answers for a name once its node, or its closest encloser's, is found.
// The owner is the name as it is to be written, nil for the name in question.
func (a *answer) resolve(owner, name []byte, n int32, exact bool, at int) {
	nd := &a.p.nodes[n]
	if a.signing != nil {
		a.proofs.looksFor(name, at)
	}
	switch {
	case nd.flags&isCut != 0 && !(exact && a.typ == typeDS):
		a.refer(owner, n, at)
	case exact:
		a.atNode(owner, n)
	case nd.flags&isDNAME != 0:
		a.redirect(owner, n, at)
	case nd.wild != none:
		a.proveExpanded()
		a.atNode(owner, nd.wild)
	default:
		a.rcode = rcodeNXDomain
		a.proveNoName()
		a.deny()
	}
}

// atNode answers from a node that exists, be it a wildcard's.
func (a *answer) atNode(owner []byte, n int32) {
	nd := &a.p.nodes[n]
	switch {
	case a.typ == typeANY:
		a.any(owner, n)
		return
	case (a.typ == typeRRSIG || a.typ == typeNSEC) && a.p.signed != nil:
		if a.signatures(owner, n) {
			return
		}
	}
	for _, s := range a.p.setsOf(n) {
		if s.typ == typeSOA && a.typ == typeSOA {
			a.soa(secAnswer, owner)
			return
		}
		if s.typ == a.typ {
			if a.withProofs(owner, n, s.typ) {
				return
			}
			if a.addSigned(secAnswer, owner, n, s.typ, body{s.count, a.p.body(s)}) && leads(s.typ) {
				a.prove()
				a.goAlong(owner, s)
			}
			return
		}
		if s.typ == typeCNAME {
			a.follow(owner, n, body{s.count, a.p.body(s)})
			return
		}
	}
	if alias := a.addresses(nd.follow, typeCNAME); alias.count > 0 {
		if a.typ == typeCNAME {
			a.addSigned(secAnswer, owner, n, typeCNAME, alias)
		} else {
			a.follow(owner, n, alias)
		}
		return
	}
	if b := a.addresses(nd.follow, a.typ); b.count > 0 {
		a.addSigned(secAnswer, owner, n, a.typ, b)
		return
	}
	a.proveNoData(n)
	a.deny()
}

// withProofs answers with a node's set with proofs; false where there are none now.
func (a *answer) withProofs(owner []byte, n int32, typ uint16) bool {
	c, ok := a.v.challenge(a.zone, n, typ)
	if ok && a.add(secAnswer, owner, c.set.count, c.set.wire) && a.signing != nil {
		a.add(secAnswer, owner, c.over.count, c.over.wire)
	}
	return ok
}

// addresses gives what a following name answers to a type, be it CNAME where the
// position is an alias; empty for another type, or where the position has none of
// its kind.
func (a *answer) addresses(class int32, typ uint16) body {
	if class == none {
		return body{}
	}
	f := &a.v.follows[a.place(a.v.table.zones[a.zone].follows[class])]
	switch typ {
	case typeA:
		return f.a
	case typeAAAA:
		return f.aaaa
	case typeCNAME:
		return f.alias
	}
	return body{}
}

// any answers the type ANY with the smallest set there is (RFC 8482 section 4.1).
func (a *answer) any(owner []byte, n int32) {
	nd := &a.p.nodes[n]
	var best body
	var of uint16
	for _, s := range a.p.setsOf(n) {
		if best.count == 0 || int(s.size) < len(best.wire) {
			best, of = body{s.count, a.p.body(s)}, s.typ
		}
	}
	for _, typ := range [...]uint16{typeA, typeAAAA, typeCNAME} {
		if b := a.addresses(nd.follow, typ); b.count > 0 && (best.count == 0 || len(b.wire) < len(best.wire)) {
			best, of = b, typ
		}
	}
	switch {
	case best.count == 0:
		a.proveNoData(n)
		a.deny()
	case of == typeSOA:
		a.soa(secAnswer, owner)
	case a.withProofs(owner, n, of): // else who keeps the answer would not find them for longer
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
	labels := countLabels(name)
	if a.findZone(name, labels, a.zone) != a.zone {
		return
	}
	n, exact, at := a.p.find(name, labels)
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
	s := a.p.setOf(n, typeDNAME)
	records := a.p.body(s)
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
	if owner == nil {
		owner = a.m.qname()
	}
	s := a.p.setOf(n, typeNS)
	if !a.add(secAuthority, owner[at:], s.count, a.p.body(s)) {
		return // it is cut: what would go along is not looked at
	}
	a.proveReferral(owner[at:], n)
	r := a.p.refers[n]
	for i, g := range a.p.glue[r.first : r.first+r.count] {
		if a.addGlue(g, i < int(r.needed)); a.m.short {
			return
		}
	}
}

// goAlong appends what is known of the names in a set: their addresses, and for a
// service's alias also its records of the same type.
func (a *answer) goAlong(owner []byte, s rrset) {
	e := a.p.extra[s.off]
	for _, g := range a.p.glue[e.first : e.first+e.count] {
		name := owner
		if g.off != ownName {
			name = a.p.nameAt(g)
			if more := a.p.setOf(g.node, s.typ); more.count > 0 && (s.typ == typeSVCB || s.typ == typeHTTPS) {
				if a.m.set(secAdditional, name, more.count, a.p.body(more)) {
					a.signIfRoom(name, g.node, s.typ, a.p.body(more))
				}
			}
		}
		a.addAddresses(name, g.node)
	}
}

// addGlue appends a name server's addresses to the additional section. What does
// not fit is left out, or truncates the answer where it is needed (RFC 9471).
func (a *answer) addGlue(g glue, needed bool) {
	if !a.addAddresses(a.p.nameAt(g), g.node) && needed {
		a.m.short = true
	}
}

// addAddresses appends a node's addresses to the additional section, as many sets
// as fit; false when one did not.
func (a *answer) addAddresses(owner []byte, n int32) bool {
	all := true
	for _, typ := range [...]uint16{typeA, typeAAAA} {
		b := a.addresses(a.p.nodes[n].follow, typ)
		if s := a.p.setOf(n, typ); s.count > 0 {
			b = body{s.count, a.p.body(s)}
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
func (a *answer) deny() {
	if a.bareSOA(secAuthority, a.p.owner) {
		binary.BigEndian.PutUint32(a.m.buf[a.m.ttl:], a.p.negative)
		a.signSOA(secAuthority, a.p.owner, a.p.negative)
	}
	a.prove()
}

// soa writes the zone's SOA with the serial in force.
func (a *answer) soa(section int, owner []byte) {
	if a.bareSOA(section, owner) {
		a.signSOA(section, owner, noLimit)
	}
}

func (a *answer) bareSOA(section int, owner []byte) bool {
	if !a.add(section, owner, 1, a.p.body(a.p.soa)) {
		return false
	}
	binary.BigEndian.PutUint32(a.m.buf[len(a.m.buf)-20:], a.v.serials[a.zone])
	return true
}

// add appends a set that the answer can't do without.
func (a *answer) add(section int, owner []byte, count uint16, records []byte) bool {
	ok := a.m.set(section, owner, count, records)
	a.m.short = a.m.short || !ok
	return ok
}
