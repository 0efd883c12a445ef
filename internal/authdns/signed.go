package authdns

import (
	"encoding/binary"
	"maps"
	"slices"

	"lifeboat/internal/dnssec"
	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
)

// signing is what a Table needs to answer for signed zones: signatures that were made
// ahead, as RRSIG records ready to be sent, for every position of every site.
type signing struct {
	zones []*signedZone       // by zone; nil for one that is not signed
	over  map[signedKey]ready // the RRSIG records over the sets of nodes
	link  []int32             // by node: its place in its zone's chain, or none
	wire  []byte
}

// ready are records ready to be sent, in a signing's wire.
type ready struct {
	off, size uint32
	count     uint16
}

// signedKey is a node's set: node, variant and type. The variant is 0 for what is
// always there, else a position of the site that the node follows, from 1 on.
type signedKey uint64

func keyOf(n int32, variant, typ uint16) signedKey {
	return signedKey(uint32(n))<<32 | signedKey(variant)<<16 | signedKey(typ)
}

// signedZone is the chain of a zone, and the signatures over its SOA.
type signedZone struct {
	order []byte // the keys that the names of the chain are ordered by, one after the other
	owner []byte // the names in wire form, likewise
	links []link
	nsec  []ready // NSEC records with their signatures
	soa   map[uint32]ready
}

// link is a name of a chain.
type link struct {
	order, owner uint32 // where these begin
	first        uint32 // its NSEC, for one that follows a site that of the first position
	follow       int32  // the class of its addresses, or none
}

// CompileSigned is Compile with the signatures of those zones that are signed. One
// that lacks a signature is a fault.Invalid: it would be answered in a way that
// nobody who validates can take.
func CompileSigned(zones []*zone.Zone, sites map[string]zone.Positions, signed []dnssec.Zone) (*Table, error) {
	if len(signed) == 0 {
		return Compile(zones, sites)
	}
	byApex := map[string]dnssec.Zone{}
	for _, s := range signed {
		byApex[s.Apex] = s
	}
	zones = slices.Clone(zones)
	for i, z := range zones {
		if s, ok := byApex[z.Apex()]; ok {
			zones[i] = dnssec.Extend(z, s.Records)
		}
	}
	t, err := Compile(zones, sites)
	if err != nil {
		return nil, err
	}
	s := &signing{zones: make([]*signedZone, len(zones)), over: map[signedKey]ready{}, link: slices.Repeat([]int32{none}, len(t.nodes))}
	t.signing = s // before anybody else has the table
	for i, z := range zones {
		if book, ok := byApex[z.Apex()]; ok {
			if err := s.add(t, int32(i), z, sites, book); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

// add takes in a zone's signatures.
func (s *signing) add(t *Table, index int32, z *zone.Zone, sites map[string]zone.Positions, book dnssec.Zone) error {
	sz := &signedZone{soa: map[uint32]ready{}}
	s.zones[index] = sz
	last := "" // owner of the NSEC before
	for item := range dnssec.Items(z, sites) {
		found := book.Sets.Find(item.ID())
		if len(found) == 0 {
			return fault.New(fault.Invalid, "zone %s: there is no signature over what %s answers to type %d", z.Apex(), zone.Unpack(item.Owner), item.Type).
				At(z.Source().File).WithHint("have control sign the zone anew: lifeboat zone keys")
		}
		n := t.nodeIn(index, item.Owner)
		if item.Type == typeNSEC {
			if last != item.Owner {
				sz.append(t, n, item.Owner)
				last = item.Owner
				if n != none {
					s.link[n] = int32(len(sz.links) - 1)
				}
			}
			sz.nsec = append(sz.nsec, s.write(item.Set, item.Data, found, z.ApexWire()))
		} else if n != none { // else a deeper zone answers for it
			s.over[keyOf(n, t.variant(n, item), item.Type)] = s.write(item.Set, nil, found, z.ApexWire())
		}
	}
	for serial, set := range dnssec.SOAs(z, book.First, dnssec.SerialsAhead) {
		if found := book.SOA.Find(set.ID()); len(found) > 0 {
			sz.soa[serial] = s.write(set, nil, found, z.ApexWire())
		}
	}
	if len(sz.soa) == 0 {
		return fault.New(fault.Invalid, "zone %s: there is no signature over its SOA from serial %d on", z.Apex(), book.First).WithHint("have control sign the zone anew")
	}
	if len(s.wire) > 1<<32-1 {
		return fault.New(fault.Invalid, "the signatures are larger than 4 GiB").WithHint("serve the zones from several machines")
	}
	return nil
}

// append adds a name to the chain.
func (sz *signedZone) append(t *Table, n int32, owner string) {
	l := link{order: uint32(len(sz.order)), owner: uint32(len(sz.owner)), first: uint32(len(sz.nsec)), follow: none}
	if n != none {
		l.follow = t.nodes[n].follow
	}
	sz.order = dnssec.Order(sz.order, owner)
	sz.owner = append(sz.owner, owner...)
	sz.links = append(sz.links, l)
}

// write keeps records and the signatures over them, ready to be sent.
func (s *signing) write(set dnssec.Set, records [][]byte, found []dnssec.Signature, apex string) ready {
	r := ready{off: uint32(len(s.wire)), count: uint16(len(records) + len(found))}
	for _, data := range records {
		s.wire = appendRecord(s.wire, set.Type, set.TTL, data)
	}
	for _, f := range found {
		s.wire = appendRecord(s.wire, typeRRSIG, set.TTL, f.Data(set, apex))
	}
	r.size = uint32(len(s.wire)) - r.off
	return r
}

func (s *signing) body(r ready) body { return body{r.count, s.wire[r.off : r.off+r.size]} }

// nodeIn is the node that a zone has for a name, be it above a delegation to another
// zone that is served here; none where it does not answer for it.
func (t *Table) nodeIn(zone int32, name string) int32 {
	n, ok := t.names[name]
	if !ok {
		return none
	}
	if t.nodes[n].zone != zone {
		n = t.nodes[n].parentSide
	}
	if n == none || t.nodes[n].zone != zone {
		return none
	}
	return n
}

// variant numbers what a node has at the position of an item.
func (t *Table) variant(n int32, item dnssec.Item) uint16 {
	if item.Position == "" {
		return 0
	}
	return t.sites[t.follows[t.nodes[n].follow].site].variant(item.Position)
}

// variant numbers a position, from 1 on. It is the order of dnssec.Items.
func (s site) variant(position string) uint16 {
	return 1 + uint16(slices.Index(slices.Sorted(maps.Keys(s.positions)), position))
}

// inForce is what a View adds to a signing: what is at the positions, and the serials.
type inForce struct {
	variants []uint16 // by class
	soa      []body   // by zone: RRSIG records over the SOA
}

// inForce finds it. A serial that is not signed is held back at the last one that is:
// secondaries may come late, but nobody is given what does not validate.
func (s *signing) inForce(v *View) (f inForce) {
	if s == nil {
		return f
	}
	t := v.table
	f = inForce{variants: make([]uint16, len(t.follows)), soa: make([]body, len(t.zones))}
	for i, k := range t.follows {
		f.variants[i] = t.sites[k.site].variant(v.at[k.site])
	}
	for i, sz := range s.zones {
		if sz == nil {
			continue
		}
		v.serials[i] = sz.nearest(v.serials[i])
		f.soa[i] = s.body(sz.soa[v.serials[i]])
	}
	return f
}

// nearest is a signed serial: the one that is wanted, else the newest before it, else
// the oldest.
func (sz *signedZone) nearest(wanted uint32) uint32 {
	if _, ok := sz.soa[wanted]; ok {
		return wanted
	}
	var before, oldest uint32
	any, first := false, true
	for serial := range sz.soa {
		if zone.SerialNewer(wanted, serial) && (!any || zone.SerialNewer(serial, before)) {
			before, any = serial, true
		}
		if first || zone.SerialNewer(oldest, serial) {
			oldest, first = serial, false
		}
	}
	if any {
		return before
	}
	return oldest
}

// addSigned appends a node's set that the answer can't do without, and the signatures
// over it.
func (a *answer) addSigned(section int, owner []byte, n int32, typ uint16, b body) bool {
	if !a.add(section, owner, b.count, b.wire) {
		return false
	}
	if a.signing == nil {
		return true
	}
	over := a.over(n, typ)
	if over.count == 0 {
		return true
	}
	if !a.add(section, owner, over.count, over.wire) {
		return false
	}
	a.sameTTL(over, b.wire)
	return true
}

// signIfRoom appends the signatures over a set of the additional section, which are
// left out where they don't fit (RFC 4035 section 3.1.1).
func (a *answer) signIfRoom(owner []byte, n int32, typ uint16, records []byte) {
	if a.signing == nil {
		return
	}
	if over := a.over(n, typ); over.count > 0 && a.m.set(secAdditional, owner, over.count, over.wire) {
		a.sameTTL(over, records)
	}
}

// over is the RRSIG records over a node's set, none where it is not signed.
func (a *answer) over(n int32, typ uint16) body {
	var variant uint16
	if class := a.v.table.nodes[n].follow; class != none && (typ == typeA || typ == typeAAAA || typ == typeCNAME) {
		variant = a.v.signed.variants[class]
	}
	r, ok := a.signing.over[keyOf(n, variant, typ)]
	if !ok {
		return body{}
	}
	return a.signing.body(r)
}

// sameTTL gives the one signature that was written last the TTL of the records that it
// covers, which may be lower than when it was signed (RFC 4034 section 3).
func (a *answer) sameTTL(over body, records []byte) {
	if over.count == 1 {
		copy(a.m.buf[len(a.m.buf)-len(over.wire)+6:], records[6:10])
	}
}

// noLimit is more than any TTL.
const noLimit = 1<<32 - 1

// signSOA appends the signatures over the SOA that was written last, with its TTL or a
// lower one.
func (a *answer) signSOA(section int, owner []byte, zone int32, most uint32) {
	if a.signing == nil {
		return
	}
	over := a.v.signed.soa[zone]
	if over.count == 0 || !a.add(section, owner, over.count, over.wire) {
		return
	}
	if over.count == 1 && most != noLimit {
		binary.BigEndian.PutUint32(a.m.buf[len(a.m.buf)-len(over.wire)+6:], most)
	}
}

// signatures answers for the types RRSIG and NSEC, which are data of a signed zone
// whether or not the client validates. It is false where the node has none.
func (a *answer) signatures(owner []byte, n int32) bool {
	s := a.v.table.signing
	if s == nil || s.zones[a.v.table.nodes[n].zone] == nil || s.link[n] == none {
		return false
	}
	nsec := s.nsec(a.v, a.v.table.nodes[n].zone, s.link[n])
	_, _, signatures := cutRecord(nsec.wire)
	if a.typ == typeNSEC {
		if a.signing == nil {
			nsec = body{1, nsec.wire[:len(nsec.wire)-len(signatures)]}
		}
		a.add(secAnswer, owner, nsec.count, nsec.wire)
		return true
	}
	without := a.signing == nil
	a.signing = s
	a.add(secAnswer, owner, nsec.count-1, signatures)
	t := a.v.table
	nd := &t.nodes[n]
	for _, set := range t.sets[nd.set : nd.set+nd.sets] {
		if over := a.over(n, set.typ); over.count > 0 {
			a.add(secAnswer, owner, over.count, over.wire)
		}
		if set.typ == typeSOA {
			a.signSOA(secAnswer, owner, nd.zone, noLimit)
		}
	}
	for _, typ := range [...]uint16{typeA, typeAAAA, typeCNAME} {
		if b := a.v.addresses(nd.follow, typ); b.count > 0 {
			over := a.over(n, typ)
			if a.add(secAnswer, owner, over.count, over.wire) {
				a.sameTTL(over, b.wire)
			}
		}
	}
	if without {
		a.signing = nil
	}
	return true
}
