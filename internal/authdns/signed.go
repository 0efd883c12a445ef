package authdns

import (
	"encoding/binary"
	"maps"
	"slices"

	"lifeboat/internal/dnssec"
	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
)

// signedZone is what a Prepared needs to be answered signed: signatures that were made
// ahead, as RRSIG records ready to be sent, for every position of every site, and the
// NSEC chain.
type signedZone struct {
	over  map[signedKey]ready // the RRSIG records over the sets of nodes
	link  []int32             // by node: its place in the chain, or none
	order []byte              // the keys that the names of the chain are ordered by, one after the other
	links []link
	nsec  []ready // NSEC records with their signatures
	wire  []byte
	soa   map[uint32][]byte // RRSIG records over the SOA, by serial
	count uint16            // of these, with each
	more  dnssec.Book       // over sets that come and go
}

// ready are records ready to be sent, in a signedZone's wire.
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

// link is a name of a chain.
type link struct {
	order uint32 // where its key begins
	first uint32 // its NSEC, for one that follows a site that of the first position
	node  int32
}

// CompileSigned is Compile with the signatures of those zones that are signed.
func CompileSigned(zones []*zone.Zone, sites map[string]zone.Positions, signed []dnssec.Zone) (*Table, error) {
	prepared := make([]*Prepared, 0, len(zones))
	for _, z := range zones {
		var p *Prepared
		var err error
		if i := slices.IndexFunc(signed, func(s dnssec.Zone) bool { return s.Apex == z.Apex() }); i >= 0 {
			p, err = PrepareSigned(z, sites, signed[i])
		} else {
			p, err = Prepare(z)
		}
		if err != nil {
			return nil, err
		}
		prepared = append(prepared, p)
	}
	return Assemble(prepared, sites)
}

// PrepareSigned is Prepare with a zone's signatures, for every position of the sites
// that its names follow. A signature that is missing is a fault.Invalid: the zone would
// be answered in a way that nobody who validates can take. It may be used on for as
// long as the zone, the signatures and the positions stay as they are.
func PrepareSigned(z *zone.Zone, sites map[string]zone.Positions, signed dnssec.Zone) (*Prepared, error) {
	z = dnssec.Extend(z, signed.Records)
	p, err := Prepare(z)
	if err != nil {
		return nil, err
	}
	s := &signedZone{over: map[signedKey]ready{}, link: slices.Repeat([]int32{none}, len(p.nodes))}
	last := int32(none) // node of the NSEC before
	for item := range dnssec.Items(z, sites) {
		found := signed.Sets.Find(item.ID())
		n, ok := p.names.Find([]byte(item.Owner))
		if len(found) == 0 || !ok {
			return nil, fault.New(fault.Invalid, "zone %s: there is no signature over what %s answers to type %d", z.Apex(), zone.Unpack(item.Owner), item.Type).
				At(z.Source().File).WithHint("have control sign the zone anew: restart it")
		}
		if item.Type == typeNSEC {
			if n != last {
				s.append(n, item.Owner)
				last = n
			}
			s.nsec = append(s.nsec, s.write(item.Set, item.Data, found, z.ApexWire()))
		} else {
			s.over[keyOf(n, p.variant(n, item, sites), item.Type)] = s.write(item.Set, nil, found, z.ApexWire())
		}
	}
	if uint64(len(s.wire)) > 1<<32-1 {
		return nil, fault.New(fault.Invalid, "the signatures of zone %s are larger than 4 GiB", z.Apex()).WithHint("split it")
	}
	p.signed = s
	return p.Ahead(signed)
}

// Ahead is the zone with the signatures over what moves exchanged: over its SOA, as
// serials are used up, and over proofs. All else is shared.
func (p *Prepared) Ahead(signed dnssec.Zone) (*Prepared, error) {
	head, data, _ := cutRecord(p.body(p.soa))
	set := dnssec.Set{Owner: string(p.owner), Type: typeSOA, TTL: binary.BigEndian.Uint32(head[4:]), Data: [][]byte{data}}
	out, s := *p, *p.signed
	s.more = signed.More
	s.soa = make(map[uint32][]byte, dnssec.SerialsAhead)
	for serial, set := range dnssec.SOAs(set, signed.First, dnssec.SerialsAhead) {
		found := signed.SOA.Find(set.ID())
		if len(found) == 0 {
			continue
		}
		var wire []byte
		for _, f := range found {
			wire = appendRecord(wire, typeRRSIG, set.TTL, f.Data(set, string(p.owner)))
		}
		s.soa[serial], s.count = wire, uint16(len(found))
	}
	if len(s.soa) == 0 {
		return nil, fault.New(fault.Invalid, "zone %s: there is no signature over its SOA from serial %d on", p.name, signed.First).
			WithHint("have control sign the zone anew: restart it")
	}
	out.signed = &s
	return &out, nil
}

// append adds a node's name to the chain.
func (s *signedZone) append(n int32, owner string) {
	s.link[n] = int32(len(s.links))
	s.links = append(s.links, link{order: uint32(len(s.order)), first: uint32(len(s.nsec)), node: n})
	s.order = dnssec.Order(s.order, owner)
}

// write keeps records and the signatures over them, ready to be sent.
func (s *signedZone) write(set dnssec.Set, records [][]byte, found []dnssec.Signature, apex string) ready {
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

func (s *signedZone) body(r ready) body { return body{r.count, s.wire[r.off : r.off+r.size]} }

// variant numbers what a node has at the position of an item, from 1 on; what is always
// there is 0. It is the order of dnssec.Items.
func (p *Prepared) variant(n int32, item dnssec.Item, sites map[string]zone.Positions) uint16 {
	if item.Position == "" {
		return 0
	}
	return variantOf(sites[p.classes[p.nodes[n].follow].site], item.Position)
}

func variantOf[T any](positions map[string]T, position string) uint16 {
	return 1 + uint16(slices.Index(slices.Sorted(maps.Keys(positions)), position))
}

// inForce is what a View adds to a signing: what is at the positions, and the serials.
type inForce struct {
	variants []uint16 // as View.follows: by class, behind them those of a share
	soa      []body   // by zone: RRSIG records over the SOA
}

// signedInForce finds it. A serial that is not signed is held back at the last one that
// is: secondaries may come late, but nobody is given what does not validate.
func (t *Table) signedInForce(v *View) (f inForce) {
	for i, z := range t.zones {
		if z.signed == nil {
			continue
		}
		if f.soa == nil {
			f = inForce{variants: t.variants(v), soa: make([]body, len(t.zones))}
		}
		v.serials[i] = z.signed.nearest(v.serials[i])
		f.soa[i] = body{z.signed.count, z.signed.soa[v.serials[i]]}
	}
	return f
}

// variants are those of the positions in force, in the order of View.follows.
func (t *Table) variants(v *View) []uint16 {
	out := make([]uint16, len(v.follows))
	for i, k := range t.follows {
		out[i] = variantOf(t.sites[k.site].positions, v.at[k.site])
	}
	for i := range v.shares {
		out[len(t.follows)+i] = out[i]
		if s := v.shares[i]; s.percent > 0 {
			out[len(t.follows)+i] = variantOf(t.sites[t.follows[i].site].positions, s.position)
		}
	}
	return out
}

// nearest is a signed serial: the one that is wanted, else the newest before it, else
// the oldest.
func (s *signedZone) nearest(wanted uint32) uint32 {
	if _, ok := s.soa[wanted]; ok {
		return wanted
	}
	var before, oldest uint32
	any, first := false, true
	for serial := range s.soa {
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
	if typ == typeA || typ == typeAAAA || typ == typeCNAME {
		variant = a.variant(n)
	}
	r, ok := a.signing.over[keyOf(n, variant, typ)]
	if !ok {
		return body{}
	}
	return a.signing.body(r)
}

// variant is that of the position that this client is told, 0 for a node that follows no
// site.
func (a *answer) variant(n int32) uint16 {
	class := a.p.nodes[n].follow
	if class == none {
		return 0
	}
	return a.v.signed.variants[a.place(a.v.table.zones[a.zone].follows[class])]
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
func (a *answer) signSOA(section int, owner []byte, most uint32) {
	if a.signing == nil {
		return
	}
	over := a.v.signed.soa[a.zone]
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
	s := a.p.signed
	if s.link[n] == none {
		return false
	}
	a.signing = s
	nsec := a.nsec(s.link[n])
	_, _, signatures := cutRecord(nsec.wire)
	switch {
	case a.typ == typeNSEC && !a.do:
		a.add(secAnswer, owner, 1, nsec.wire[:len(nsec.wire)-len(signatures)])
	case a.typ == typeNSEC:
		a.add(secAnswer, owner, nsec.count, nsec.wire)
	default:
		a.add(secAnswer, owner, nsec.count-1, signatures)
		a.allSignatures(owner, n)
	}
	if !a.do { // what was there before can't be kept: the compiler would put the message on the heap
		a.signing = nil
	}
	return true
}

// allSignatures appends those over all sets of a node.
func (a *answer) allSignatures(owner []byte, n int32) {
	for _, set := range a.p.setsOf(n) {
		over := a.over(n, set.typ)
		if c, ok := a.v.challenge(a.zone, n, set.typ); ok {
			over = c.over
		}
		if over.count > 0 {
			a.add(secAnswer, owner, over.count, over.wire)
		}
		if set.typ == typeSOA {
			a.signSOA(secAnswer, owner, noLimit)
		}
	}
	for _, typ := range [...]uint16{typeA, typeAAAA, typeCNAME} {
		if b := a.addresses(a.p.nodes[n].follow, typ); b.count > 0 {
			over := a.over(n, typ)
			if over.count > 0 && a.add(secAnswer, owner, over.count, over.wire) {
				a.sameTTL(over, b.wire)
			}
		}
	}
}

// overMore gives the RRSIG records over a set that comes and goes, which follow its
// content; false where it is not signed.
func (p *Prepared) overMore(n int32, b body) (over body, ok bool) {
	set := dnssec.Set{Owner: string(p.names.Name(n)), Type: binary.BigEndian.Uint16(b.wire[2:]), TTL: binary.BigEndian.Uint32(b.wire[6:])}
	for rest := b.wire; len(rest) > 0; {
		var data []byte
		_, data, rest = cutRecord(rest)
		set.Data = append(set.Data, data)
	}
	for _, f := range p.signed.more.Find(set.ID()) {
		over.wire = appendRecord(over.wire, typeRRSIG, set.TTL, f.Data(set, string(p.owner)))
		over.count++
	}
	return over, over.count > 0
}
