package authdns

import (
	"encoding/binary"
	"runtime"
	"slices"

	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
)

// Prepared is one zone made ready for answering: every name that exists, empty
// non-terminals included, leads to a node in one look-up, and the records lie there
// as they are sent. A node has the number of its name. It knows neither the other
// zones nor where a site's positions are, and may be used in any number of Tables.
//
// Nothing in it but a few slices has pointers, so that the collector is done with a
// zone of a million names at once.
type Prepared struct {
	outline  *zone.Zone
	name     string // of the apex, as text
	owner    []byte // the same in wire form
	soa      rrset
	serial   uint32 // of the zone text
	negative uint32 // the TTL of "there is none", in seconds

	names   *zone.Names
	nodes   []node
	sets    []rrset
	glue    []glue             // sliced by referrals and by extra
	extra   map[uint32]span    // offset of a set in wire → what goes along with it
	refers  map[int32]referral // by node that delegates
	wire    []byte             // the records of all sets, one after the other
	classes []followed
	visible int // nodes that a query can lead to
	dnames  bool
	signed  *signedZone // nil where the zone is not
}

// followed is a site that names of a zone follow, with their TTL in seconds.
type followed struct {
	site string
	ttl  uint32
}

// glue is a name server's node, and where the records hold its name.
type glue struct {
	node int32
	off  uint32
}

// ownName stands for the owner of the record, in place of an offset.
const ownName = 1<<32 - 1

// span is a part of a zone's glue.
type span struct{ first, count uint32 }

// referral is the glue of a delegation. The first, as many as are needed, it can't do
// without.
type referral struct {
	span
	needed uint32
}

// node is a name.
type node struct {
	set    uint32
	sets   uint16
	flags  uint8
	_      uint8
	wild   int32 // the node of *.name, or none
	follow int32 // the class of its addresses, or none
}

// What a node is.
const (
	isVisible = 1 << iota // a query can lead to it: it is not only glue
	isCut                 // NS records here delegate
	isDNAME
)

// rrset is an RRset as records ready to be sent for the name that was asked:
// each is 0xC00C, type, class, TTL, length and data, nothing in the data
// compressed.
type rrset struct {
	typ   uint16
	count uint16
	off   uint32
	size  uint32
}

// recordHead is what a record ready to be sent has before its data, in octets.
const recordHead = 12

// Prepare makes a zone ready for answering. It may be used on for as long as the zone
// stays as it is.
func Prepare(z *zone.Zone) (*Prepared, error) {
	p := &Prepared{
		outline: z.Outline(), name: z.Apex(), owner: []byte(z.ApexWire()), serial: z.Serial(),
		names: z.Names(), nodes: make([]node, z.Names().Len()), extra: map[uint32]span{}, refers: map[int32]referral{},
	}
	for i := range p.nodes {
		p.nodes[i].wild, p.nodes[i].follow = none, none
	}
	if err := p.addRecords(z); err != nil {
		return nil, err
	}
	p.addFollowing(z.Follow())
	p.show(z)
	for n := range int32(len(p.nodes)) {
		if p.nodes[n].flags&isCut != 0 {
			p.addGlue(n)
		}
	}
	p.addExtras()
	p.soa = p.setOf(apexNode, typeSOA)
	soa := p.body(p.soa)
	p.negative = min(binary.BigEndian.Uint32(soa[6:]), binary.BigEndian.Uint32(soa[len(soa)-4:]))
	return p, nil
}

// apexNode is the apex.
const apexNode = 0

// addRecords makes the sets of all nodes.
func (p *Prepared) addRecords(z *zone.Zone) error {
	sets, octets := 0, 0
	last := zone.Row{Name: none}
	for r := range z.Each() {
		if r.Name != last.Name || r.Type != last.Type {
			sets++
		}
		octets += recordHead + len(r.Data)
		last = r
	}
	if uint64(octets) > 1<<32-1 {
		return fault.New(fault.Invalid, "zone %s is larger than 4 GiB", z.Apex()).WithHint("split it")
	}
	p.sets, p.wire = make([]rrset, 0, sets), make([]byte, 0, octets)
	last = zone.Row{Name: none}
	for r := range z.Each() {
		nd := &p.nodes[r.Name]
		if r.Name != last.Name {
			nd.set = uint32(len(p.sets))
		}
		if r.Name != last.Name || r.Type != last.Type {
			p.sets = append(p.sets, rrset{typ: r.Type, off: uint32(len(p.wire))})
			nd.sets++
			switch {
			case r.Type == typeDNAME:
				nd.flags |= isDNAME
				p.dnames = true
			case r.Type == typeNS && r.Name != apexNode:
				nd.flags |= isCut
			}
		}
		p.wire = appendRecord(p.wire, r.Type, r.TTL, r.Data)
		s := &p.sets[len(p.sets)-1]
		s.count++
		s.size = uint32(len(p.wire)) - s.off
		last = r
	}
	return nil
}

// appendRecord appends a record whose owner is the name in the question.
func appendRecord(b []byte, typ uint16, ttl uint32, data []byte) []byte {
	b = append(b, 0xC0, headerSize)
	b = binary.BigEndian.AppendUint16(b, typ)
	b = binary.BigEndian.AppendUint16(b, classIN)
	b = binary.BigEndian.AppendUint32(b, ttl)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

// cutRecord takes the first record off a set: its type, class and TTL, and its
// data.
func cutRecord(set []byte) (head, data, rest []byte) {
	end := 12 + int(binary.BigEndian.Uint16(set[10:]))
	return set[2:10], set[12:end], set[end:]
}

// addFollowing notes which names follow a site.
func (p *Prepared) addFollowing(names []zone.Followed) {
	for _, f := range names {
		k := followed{site: f.Site, ttl: f.TTL}
		class := slices.Index(p.classes, k)
		if class < 0 {
			class = len(p.classes)
			p.classes = append(p.classes, k)
		}
		if n, ok := p.names.Find([]byte(f.Owner)); ok {
			p.nodes[n].follow = int32(class)
		}
	}
}

// show finds the nodes that queries lead to: what is more than glue, and all above
// (RFC 4592 section 2.2.2).
func (p *Prepared) show(z *zone.Zone) {
	last := int32(none)
	for r := range z.Each() {
		if r.Name != last && !r.Glue {
			p.showUp(r.Name)
			last = r.Name
		}
	}
	for n := range p.nodes {
		if p.nodes[n].follow != none {
			p.showUp(int32(n))
		}
	}
}

func (p *Prepared) showUp(n int32) {
	for p.nodes[n].flags&isVisible == 0 {
		p.nodes[n].flags |= isVisible
		p.visible++
		if n == apexNode {
			return
		}
		name := p.names.Name(n)
		up, ok := p.names.Find(name[1+int(name[0]):])
		if !ok {
			return // can't be: a zone's Names hold all above
		}
		if name[0] == 1 && name[1] == '*' {
			p.nodes[up].wild = n
		}
		n = up
	}
}

// addGlue finds the addresses that a referral carries: of name servers below the
// cut first, for these it can't do without (RFC 9471 section 3).
func (p *Prepared) addGlue(cut int32) {
	r := referral{span: span{first: uint32(len(p.glue))}}
	var rest []glue
	s := p.setOf(cut, typeNS)
	above := string(p.names.Name(cut))
	for set := p.body(s); len(set) > 0; {
		_, data, others := cutRecord(set)
		g := glue{off: s.off + s.size - uint32(len(others)+len(data))}
		set = others
		target := lower(nil, data)
		n, ok := p.names.Find(target)
		if g.node = n; ok && zone.Under(string(target), above) {
			p.glue = append(p.glue, g)
		} else if ok {
			rest = append(rest, g)
		}
	}
	r.needed = uint32(len(p.glue)) - r.first
	p.glue = append(p.glue, rest...)
	if r.count = uint32(len(p.glue)) - r.first; r.count > 0 {
		p.refers[cut] = r
	}
}

// leads says whether the names in a type's data are looked up next, so that what
// is known of them goes along (RFC 1035 sections 3.3.9 and 3.3.11, RFC 2782, RFC
// 9460 section 4.1).
func leads(typ uint16) bool {
	switch typ {
	case typeNS, typeMX, typeSRV, typeSVCB, typeHTTPS:
		return true
	}
	return false
}

// addExtras finds what goes along with sets whose data names others.
func (p *Prepared) addExtras() {
	for n := range int32(len(p.nodes)) {
		if n%zone.YieldEach == 0 {
			runtime.Gosched()
		}
		if p.nodes[n].flags&isCut != 0 {
			continue
		}
		for _, s := range p.setsOf(n) {
			if leads(s.typ) {
				p.addExtra(n, s)
			}
		}
	}
}

// addExtra finds what goes along with a set: the nodes of the same zone that its
// records name, each once.
func (p *Prepared) addExtra(owner int32, s rrset) {
	first := len(p.glue)
	for set := p.body(s); len(set) > 0; {
		_, data, rest := cutRecord(set)
		at := targetAt(s.typ)
		n, ok := p.targetNode(owner, s.typ, data)
		g := glue{node: n, off: s.off + s.size - uint32(len(rest)+len(data)-at)}
		if n == owner {
			g.off = ownName
		}
		if ok && !slices.ContainsFunc(p.glue[first:], func(o glue) bool { return o.node == n }) {
			p.glue = append(p.glue, g)
		}
		set = rest
	}
	if n := len(p.glue) - first; n > 0 {
		p.extra[s.off] = span{uint32(first), uint32(n)}
	}
}

// targetNode finds the node that a record's data names, if the zone has it. The
// address of a name server may be glue.
func (p *Prepared) targetNode(owner int32, typ uint16, data []byte) (n int32, ok bool) {
	name := data[targetAt(typ):]
	if name[0] == 0 {
		return owner, leadsHome(typ, data)
	}
	n, ok = p.names.Find(lower(nil, name[:nameEnd(name)]))
	return n, ok && (typ == typeNS || p.nodes[n].flags&isVisible != 0)
}

// without is the zone for a table in which deeper zones answer for some of its names:
// what it holds below their apexes goes along with nothing but NS records, for others
// might be told what is no longer so.
func (p *Prepared) without(apexes map[string]int32) *Prepared {
	out := *p
	out.glue, out.extra = slices.Clone(p.glue), make(map[uint32]span, len(p.extra))
	for off, e := range p.extra {
		first := len(out.glue)
		for _, g := range p.glue[e.first : e.first+e.count] {
			if binary.BigEndian.Uint16(p.wire[off+2:]) == typeNS || !p.covered(g.node, apexes) {
				out.glue = append(out.glue, g)
			}
		}
		if n := len(out.glue) - first; n > 0 {
			out.extra[off] = span{uint32(first), uint32(n)}
		}
	}
	return &out
}

// covered says whether a deeper zone answers for a node's name.
func (p *Prepared) covered(n int32, apexes map[string]int32) bool {
	for name := p.names.Name(n); len(name) > len(p.owner); name = name[1+int(name[0]):] {
		if _, ok := apexes[string(name)]; ok {
			return true
		}
	}
	return false
}

// targetAt is where in a record's data the name begins that is looked up next.
func targetAt(typ uint16) int {
	switch typ {
	case typeMX, typeSVCB, typeHTTPS:
		return 2
	case typeSRV:
		return 6
	}
	return 0
}

// leadsHome says whether the target "." of a record stands for its owner: in the
// service form of RFC 9460 section 2.5, and nowhere else.
func leadsHome(typ uint16, data []byte) bool {
	return (typ == typeSVCB || typ == typeHTTPS) && (data[0]|data[1]) != 0
}

// find gives the node of a name of the zone, or else that of the closest encloser,
// which begins at an offset of the name.
func (p *Prepared) find(name []byte, labels int) (n int32, exact bool, at int) {
	for deepest := p.names.Depth(); labels > deepest; labels-- {
		at += 1 + int(name[at])
	}
	for {
		if n, ok := p.names.Find(name[at:]); ok && p.nodes[n].flags&isVisible != 0 {
			return n, at == 0, at
		}
		at += 1 + int(name[at]) // ends at the apex at the latest
	}
}

// setOf gives a node's set of a type; count is 0 when it has none.
func (p *Prepared) setOf(n int32, typ uint16) rrset {
	for _, s := range p.setsOf(n) {
		if s.typ == typ {
			return s
		}
	}
	return rrset{}
}

// setsOf are all sets of a node.
func (p *Prepared) setsOf(n int32) []rrset {
	nd := &p.nodes[n]
	return p.sets[nd.set : nd.set+uint32(nd.sets)]
}

func (p *Prepared) body(s rrset) []byte { return p.wire[s.off : s.off+s.size] }

// nameAt is a name server's name as the records have it.
func (p *Prepared) nameAt(g glue) []byte {
	return p.wire[g.off : g.off+uint32(len(p.names.Name(g.node)))]
}
