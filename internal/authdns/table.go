package authdns

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
)

// none stands for "no such node, class or zone" in an index.
const none = -1

// Table is a set of zones compiled for answering: every name that exists, empty
// non-terminals included, leads to a node in one look-up. It holds every
// position of every site that a name follows, and no order.
type Table struct {
	zones     []apex
	names     map[string]int32 // wire form, lower case → node; hidden nodes are not in it
	nodes     []node
	sets      []rrset
	glue      []glue          // sliced by the nodes that delegate, and by extra
	extra     map[uint32]span // offset of a set in wire → what goes along with it
	wire      []byte          // the records of all sets, one after the other
	sites     []site          // only those that a name follows
	follows   []class
	maxLabels int              // of any name in names
	dnames    bool             // any zone has a DNAME
	byApex    map[string]int32 // text → zone
	signing   *signing         // nil where no zone is signed
}

// apex is what is known of a zone.
type apex struct {
	name     string // text
	wire     string
	owner    []byte // the same as wire
	soa      rrset
	serial   uint32 // of the zone text
	negative uint32 // the TTL of "there is none", in seconds
}

// glue is a name server's node, and where the records hold its name.
type glue struct {
	node int32
	off  uint32
}

// ownName stands for the owner of the record, in place of an offset.
const ownName = 1<<32 - 1

// span is a part of a Table's glue.
type span struct{ first, count uint32 }

// node is a name that exists.
type node struct {
	zone        int32
	wild        int32 // the node of *.name, or none
	follow      int32 // the class of its addresses, or none
	parentSide  int32 // of an apex: the node of the same name in the zone above, or none
	set, sets   uint32
	glue, glues uint32
	needed      uint32 // as many of the glue as a referral can't do without
	nameLen     uint8
	cut         bool // NS records here delegate
	dname       bool
}

// rrset is an RRset as records ready to be sent for the name that was asked:
// each is 0xC00C, type, class, TTL, length and data, nothing in the data
// compressed.
type rrset struct {
	typ   uint16
	count uint16
	off   uint32
	size  uint32
}

// class is what names with the same answers follow: a site, with a TTL.
type class struct {
	site int
	ttl  uint32
}

// site is what Compile keeps of a site.
type site struct {
	id        string
	positions map[string]place
	alias     string // a position that is an alias, "" for none
}

// place is what a position answers: addresses, or the name that it is an alias of
// in wire form.
type place struct {
	ips   []netip.Addr
	alias string
}

// Compile makes a Table of zones and of the positions that their names can take,
// by site id. It refuses, with one fault.Invalid for each: zones that overlap
// (zone.Overlap), a name that follows a site that is not there, and a position of
// a followed site without an address. With zones in which no name follows, sites
// may be nil.
func Compile(zones []*zone.Zone, sites map[string]zone.Positions) (*Table, error) {
	_, err := zone.Overlap(zones)
	c := &compiler{
		t:     &Table{names: map[string]int32{}, extra: map[uint32]span{}, byApex: map[string]int32{}},
		apex:  map[string]int32{},
		class: map[class]int32{},
		site:  map[string]int{},
	}
	problems := []error{err}
	if err == nil {
		problems = append(problems, c.addSites(zones, sites)...)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if err := c.addZones(zones); err != nil {
		return nil, err
	}
	return c.t, nil
}

// compiler holds what only building needs.
type compiler struct {
	t     *Table
	apex  map[string]int32 // wire form → index into t.zones
	class map[class]int32
	site  map[string]int
}

// addSites takes in every site that a name follows.
func (c *compiler) addSites(zones []*zone.Zone, sites map[string]zone.Positions) (problems []error) {
	for _, z := range zones {
		for _, f := range z.Follow() {
			if _, ok := c.site[f.Site]; ok {
				continue
			}
			positions, ok := sites[f.Site]
			if !ok {
				problems = append(problems, fault.New(fault.Invalid, "%s follows site %q, which is not there", zone.Unpack(f.Owner), f.Site).
					At(z.Source().File).WithHint("known sites: %s", listed(sites)))
				c.site[f.Site] = none
				continue
			}
			problems = append(problems, c.addSite(f.Site, positions)...)
		}
	}
	return problems
}

func listed(sites map[string]zone.Positions) string {
	ids := make([]string, 0, len(sites))
	for id := range sites {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return cmp.Or(strings.Join(ids, ", "), "none")
}

func (c *compiler) addSite(id string, positions zone.Positions) (problems []error) {
	s := site{id: id, positions: make(map[string]place, len(positions))}
	if len(positions) == 0 {
		problems = append(problems, fault.New(fault.Invalid, "site %s has no position", id).WithHint("give it an origin with an address"))
	}
	for name, addresses := range positions {
		if addresses.Alias != "" {
			alias, err := zone.Pack(addresses.Alias)
			if err != nil || len(addresses.IPs) > 0 {
				problems = append(problems, fault.New(fault.Invalid, "position %s of site %s can't be an alias of %q with %d addresses", name, id, addresses.Alias, len(addresses.IPs)).
					WithHint("write either addresses or one absolute name, as in shop.cdn.example.net."))
			}
			s.positions[name], s.alias = place{alias: alias}, name
			continue
		}
		var ips []netip.Addr
		for _, ip := range addresses.IPs {
			ip = ip.Unmap().WithZone("")
			if !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() {
				problems = append(problems, fault.New(fault.Invalid, "position %s of site %s: %s is no address of a server", name, id, ip).
					WithHint("write an address that visitors can reach"))
			} else if !slices.Contains(ips, ip) {
				ips = append(ips, ip)
			}
		}
		if len(ips) == 0 || len(ips) > 200 {
			problems = append(problems, fault.New(fault.Invalid, "position %s of site %s has %d addresses", name, id, len(ips)).
				WithHint("a name in service needs one at least, and 200 at most fit an answer"))
		}
		s.positions[name] = place{ips: ips}
	}
	c.site[id] = len(c.t.sites)
	c.t.sites = append(c.t.sites, s)
	return problems
}

func (c *compiler) addZones(zones []*zone.Zone) error {
	for i, z := range zones {
		c.apex[z.ApexWire()] = int32(i)
		c.t.byApex[z.Apex()] = int32(i)
		c.t.zones = append(c.t.zones, apex{name: z.Apex(), wire: z.ApexWire(), owner: []byte(z.ApexWire()), serial: z.Serial()})
	}
	type delegation struct {
		node int32
		zone *zoneNodes
	}
	var cuts []delegation
	var all []*zoneNodes
	parentSide := map[string]int32{}
	for i, z := range zones {
		zn, err := c.addZone(int32(i), z, parentSide)
		if err != nil {
			return err
		}
		all = append(all, zn)
		for _, n := range zn.cuts {
			cuts = append(cuts, delegation{n, zn})
		}
	}
	for name, n := range parentSide {
		c.t.nodes[c.t.names[name]].parentSide = n
	}
	for _, d := range cuts {
		c.addGlue(d.node, d.zone)
	}
	for _, zn := range all {
		for _, l := range zn.leading {
			c.addExtra(l, zn)
		}
	}
	return nil
}

// leading is a set whose data names others.
type leading struct {
	node int32
	set  rrset
}

// zoneNodes finds the nodes of one zone while the table is built, also those
// that no query leads to.
type zoneNodes struct {
	zone   int32
	byName map[string]int32
	cuts   []int32

	leading []leading
}

func (c *compiler) addZone(index int32, z *zone.Zone, parentSide map[string]int32) (*zoneNodes, error) {
	zn := &zoneNodes{zone: index, byName: map[string]int32{}}
	records := z.Records()
	for i := 0; i < len(records); {
		j := i + 1
		for j < len(records) && records[j].Owner == records[i].Owner {
			j++
		}
		if err := c.addNode(zn, records[i:j], parentSide); err != nil {
			return nil, err
		}
		i = j
	}
	for _, f := range z.Follow() {
		n := c.ensure(zn, f.Owner)
		c.t.nodes[n].follow = c.classOf(f)
		if err := c.checkAlias(z, f, n); err != nil {
			return nil, err
		}
	}
	top := &c.t.zones[index]
	top.soa = c.t.setOf(zn.byName[top.wire], typeSOA)
	soa := c.t.body(top.soa)
	top.negative = min(binary.BigEndian.Uint32(soa[6:]), binary.BigEndian.Uint32(soa[len(soa)-4:]))
	return zn, nil
}

// checkAlias refuses a name that can't be a CNAME (RFC 1034 section 3.6.2) where a
// position of its site is an alias.
func (c *compiler) checkAlias(z *zone.Zone, f zone.Followed, n int32) error {
	s := c.t.sites[c.site[f.Site]]
	if s.alias == "" {
		return nil
	}
	if nd := c.t.nodes[n]; nd.sets > 0 {
		return fault.New(fault.Invalid, "%s has records of its own and follows site %s, whose position %s is an alias", zone.Unpack(f.Owner), f.Site, s.alias).
			At(z.Source().File).WithHint("a CNAME stands alone: give the position addresses, or the name no other records")
	}
	for name, p := range s.positions {
		if p.alias == f.Owner {
			return fault.New(fault.Invalid, "%s follows site %s, whose position %s is an alias of that same name", zone.Unpack(f.Owner), f.Site, name).
				At(z.Source().File).WithHint("let the position lead to a name outside of the site")
		}
	}
	return nil
}

// covered says whether a deeper zone answers for a name of this zone.
func (c *compiler) covered(zoneIndex int32, name string) (below, at bool) {
	top := c.t.zones[zoneIndex].wire
	for n := name; n != top; n = parent(n) {
		if _, ok := c.apex[n]; ok {
			return true, n == name
		}
	}
	return false, false
}

// addNode makes the node of one owner with all its sets. Glue, and whatever a
// deeper zone answers for, gets a node that no query leads to.
func (c *compiler) addNode(zn *zoneNodes, records []zone.Record, parentSide map[string]int32) error {
	owner := records[0].Owner
	covered, at := c.covered(zn.zone, owner)
	onlyGlue := !slices.ContainsFunc(records, func(r zone.Record) bool { return !r.Glue })
	var n int32
	if covered || onlyGlue {
		n = c.newNode(zn, owner)
	} else {
		n = c.ensure(zn, owner)
	}
	if at {
		parentSide[owner] = n
		if within, _ := c.covered(zn.zone, parent(owner)); !within {
			c.ensure(zn, parent(owner)) // the names above a delegation exist, also where the zone below is here
		}
	}
	first := len(c.t.sets)
	for i := 0; i < len(records); {
		j := i + 1
		for j < len(records) && records[j].Type == records[i].Type {
			j++
		}
		if err := c.addSet(records[i:j]); err != nil {
			return err
		}
		i = j
	}
	nd := &c.t.nodes[n]
	nd.set, nd.sets = uint32(first), uint32(len(c.t.sets)-first)
	nd.dname = c.t.setOf(n, typeDNAME).count > 0
	c.t.dnames = c.t.dnames || nd.dname
	if c.t.setOf(n, typeNS).count > 0 && owner != c.t.zones[zn.zone].wire {
		nd.cut = true
		zn.cuts = append(zn.cuts, n)
		return nil
	}
	for _, s := range c.t.sets[first:] {
		if leads(s.typ) {
			zn.leading = append(zn.leading, leading{n, s})
		}
	}
	return nil
}

func (c *compiler) addSet(records []zone.Record) error {
	off := len(c.t.wire)
	for _, r := range records {
		c.t.wire = appendRecord(c.t.wire, r.Type, r.TTL, r.Data)
	}
	if uint64(len(c.t.wire)) > 1<<32-1 {
		return fault.New(fault.Invalid, "the zones are larger than 4 GiB").WithHint("serve them from several machines")
	}
	c.t.sets = append(c.t.sets, rrset{typ: records[0].Type, count: uint16(len(records)), off: uint32(off), size: uint32(len(c.t.wire) - off)})
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

// newNode makes a node that no query leads to.
func (c *compiler) newNode(zn *zoneNodes, name string) int32 {
	n := int32(len(c.t.nodes))
	c.t.nodes = append(c.t.nodes, node{zone: zn.zone, wild: none, follow: none, parentSide: none, nameLen: uint8(len(name))})
	zn.byName[name] = n
	return n
}

// ensure makes a node that queries lead to, and the empty non-terminals between
// it and the apex (RFC 4592 section 2.2.2).
func (c *compiler) ensure(zn *zoneNodes, name string) int32 {
	if n, ok := c.t.names[name]; ok {
		return n
	}
	n := c.newNode(zn, name)
	c.t.names[name] = n
	c.t.maxLabels = max(c.t.maxLabels, labels(name))
	if name == c.t.zones[zn.zone].wire {
		return n
	}
	up := c.ensure(zn, parent(name))
	if strings.HasPrefix(name, "\x01*") {
		c.t.nodes[up].wild = n
	}
	return n
}

func labels(name string) (n int) {
	for ; len(name) > 1; name = parent(name) {
		n++
	}
	return n
}

func (c *compiler) classOf(f zone.Followed) int32 {
	k := class{site: c.site[f.Site], ttl: f.TTL}
	i, ok := c.class[k]
	if !ok {
		i = int32(len(c.t.follows))
		c.class[k] = i
		c.t.follows = append(c.t.follows, k)
	}
	return i
}

// addGlue finds the addresses that a referral carries: of name servers below the
// cut first, for these it can't do without (RFC 9471 section 3).
func (c *compiler) addGlue(cut int32, zn *zoneNodes) {
	nd := &c.t.nodes[cut]
	nd.glue = uint32(len(c.t.glue))
	var rest []glue
	s := c.t.setOf(cut, typeNS)
	for set := c.t.body(s); len(set) > 0; {
		_, data, others := cutRecord(set)
		g := glue{off: s.off + s.size - uint32(len(others)+len(data))}
		set = others
		target := string(lower(nil, data))
		n, ok := zn.byName[target]
		if g.node = n; ok && c.below(target, cut, zn) {
			c.t.glue = append(c.t.glue, g)
		} else if ok {
			rest = append(rest, g)
		}
	}
	nd.needed = uint32(len(c.t.glue)) - nd.glue
	c.t.glue = append(c.t.glue, rest...)
	nd.glues = uint32(len(c.t.glue)) - nd.glue
}

func (c *compiler) below(name string, cut int32, zn *zoneNodes) bool {
	for ; name != ""; name = parent(name) {
		if n, ok := zn.byName[name]; ok && n == cut {
			return true
		}
	}
	return false
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

// addExtra finds what goes along with a set: the nodes of the same zone that its
// records name, each once.
func (c *compiler) addExtra(l leading, zn *zoneNodes) {
	first := len(c.t.glue)
	for set := c.t.body(l.set); len(set) > 0; {
		_, data, rest := cutRecord(set)
		at := targetAt(l.set.typ)
		n, ok := c.targetNode(l, zn, data[at:], data)
		g := glue{node: n, off: l.set.off + l.set.size - uint32(len(rest)+len(data)-at)}
		if n == l.node {
			g.off = ownName
		}
		if ok && !slices.ContainsFunc(c.t.glue[first:], func(o glue) bool { return o.node == n }) {
			c.t.glue = append(c.t.glue, g)
		}
		set = rest
	}
	if n := len(c.t.glue) - first; n > 0 {
		c.t.extra[l.set.off] = span{uint32(first), uint32(n)}
	}
}

// targetNode finds the node that a record's data names, if the zone holds it.
func (c *compiler) targetNode(l leading, zn *zoneNodes, name, data []byte) (n int32, ok bool) {
	if name[0] == 0 {
		return l.node, leadsHome(l.set.typ, data)
	}
	target := lower(nil, name[:nameEnd(name)])
	if n, ok := c.t.names[string(target)]; ok {
		return n, c.t.nodes[n].zone == zn.zone
	}
	n, ok = zn.byName[string(target)] // below a cut: the address of a name server is glue
	return n, ok && l.set.typ == typeNS
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

// setOf gives a node's set of a type; count is 0 when it has none.
func (t *Table) setOf(n int32, typ uint16) rrset {
	nd := &t.nodes[n]
	for _, s := range t.sets[nd.set : nd.set+nd.sets] {
		if s.typ == typ {
			return s
		}
	}
	return rrset{}
}

func (t *Table) body(s rrset) []byte { return t.wire[s.off : s.off+s.size] }

// Names is how many names can be asked for, empty non-terminals included.
func (t *Table) Names() int { return len(t.names) }

// Sites are the ids of the sites that names follow, in no order.
func (t *Table) Sites() []string {
	ids := make([]string, len(t.sites))
	for i, s := range t.sites {
		ids[i] = s.id
	}
	return ids
}

// Zones are the apexes, in the order that they were given in.
func (t *Table) Zones() []string {
	names := make([]string, len(t.zones))
	for i, z := range t.zones {
		names[i] = z.name
	}
	return names
}

// String says how large a table is.
func (t *Table) String() string {
	return fmt.Sprintf("%d zones, %d names, %d sites followed", len(t.zones), len(t.names), len(t.sites))
}
