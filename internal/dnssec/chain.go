package dnssec

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"maps"
	"net/netip"
	"slices"

	"lifeboat/internal/zone"
)

func digest(apex string, key []byte) []byte {
	h := sha256.New()
	h.Write([]byte(apex))
	h.Write(key)
	return h.Sum(nil)
}

// Item is a set that a name can be answered with.
type Item struct {
	Set

	// Position is where the site that the name follows has to be for it, "" for a set
	// that is always there.
	Position string
}

// Items are all sets of a zone that are signed but for the SOA, whose serial moves:
// first those of the zone's records and of the names that follow a site, then the
// NSEC chain in canonical order. sites holds the positions by site id.
func Items(z *zone.Zone, sites map[string]zone.Positions) iter.Seq[Item] {
	return func(yield func(Item) bool) {
		for s := range records(z) {
			if s.Type != typeSOA && !yield(Item{Set: s}) {
				return
			}
		}
		for _, f := range z.Follow() {
			for _, name := range slices.Sorted(maps.Keys(sites[f.Site])) {
				for _, s := range Answers(f, sites[f.Site][name]) {
					if !yield(Item{Set: s, Position: name}) {
						return
					}
				}
			}
		}
		for item := range chain(z, sites) {
			if !yield(item) {
				return
			}
		}
	}
}

// records are the sets of a zone's own records that it signs: neither glue nor the
// NS records that hand a name on.
func records(z *zone.Zone) iter.Seq[Set] {
	return func(yield func(Set) bool) {
		var s Set
		last, more := int32(none), true
		flush := func() {
			delegates := s.Type == typeNS && s.Owner != z.ApexWire()
			more = more && (len(s.Data) == 0 || delegates || yield(s))
		}
		for r := range z.Each() {
			if r.Name != last || r.Type != s.Type {
				if flush(); !more {
					return
				}
				if r.Name != last {
					s.Owner = string(z.Names().Name(r.Name))
				}
				s.Type, s.TTL, s.Data = r.Type, r.TTL, nil
				last = r.Name
			}
			if !r.Glue {
				s.Data = append(s.Data, r.Data)
			}
		}
		flush()
	}
}

// Answers are the sets that a following name has at a position.
func Answers(f zone.Followed, at zone.Addresses) (sets []Set) {
	if at.Alias != "" {
		target, err := zone.Pack(at.Alias)
		if err != nil {
			return nil // such a position is refused where the zones are compiled
		}
		return []Set{{Owner: f.Owner, Type: typeCNAME, TTL: f.TTL, Data: [][]byte{[]byte(target)}}}
	}
	var a, aaaa [][]byte
	var seen []netip.Addr
	for _, ip := range at.IPs {
		ip = ip.Unmap().WithZone("")
		if slices.Contains(seen, ip) { // a set has no record twice (RFC 2181 section 5)
			continue
		}
		seen = append(seen, ip)
		if ip.Is4() {
			a = append(a, data(ip))
		} else {
			aaaa = append(aaaa, data(ip))
		}
	}
	if len(a) > 0 {
		sets = append(sets, Set{Owner: f.Owner, Type: typeA, TTL: f.TTL, Data: a})
	}
	if len(aaaa) > 0 {
		sets = append(sets, Set{Owner: f.Owner, Type: typeAAAA, TTL: f.TTL, Data: aaaa})
	}
	return sets
}

func data(ip netip.Addr) []byte { return ip.AsSlice() }

// SOA is a zone's SOA set with a serial.
func SOA(z *zone.Zone, serial uint32) Set {
	for r := range z.Each() {
		if r.Type == typeSOA {
			return Set{Owner: z.ApexWire(), Type: typeSOA, TTL: r.TTL, Data: [][]byte{r.Data}}.at(serial)
		}
	}
	return Set{} // a checked zone has one
}

// at is a SOA set with a serial.
func (s Set) at(serial uint32) Set {
	data := bytes.Clone(s.Data[0])
	binary.BigEndian.PutUint32(data[len(data)-20:], serial)
	s.Data = [][]byte{data}
	return s
}

// SOAs are SOA sets from a serial on, like one of them.
func SOAs(soa Set, serial uint32, count int) iter.Seq2[uint32, Set] {
	return func(yield func(uint32, Set) bool) {
		for range count {
			if !yield(serial, soa.at(serial)) {
				return
			}
			serial = zone.NextSerial(serial)
		}
	}
}

// NegativeTTL is the TTL of a zone's NSEC records: that of "there is none" (RFC 9077).
func NegativeTTL(z *zone.Zone) uint32 {
	soa := SOA(z, 0)
	data := soa.Data[0]
	return min(soa.TTL, binary.BigEndian.Uint32(data[len(data)-4:]))
}

// name is a name in the chain.
type name struct {
	order  string
	owner  string
	types  []uint16
	follow string // the site
}

// chain are the NSEC sets: of a following name one for each position of its site, for
// what there is at the name differs.
func chain(z *zone.Zone, sites map[string]zone.Positions) iter.Seq[Item] {
	return func(yield func(Item) bool) {
		names := names(z)
		ttl := NegativeTTL(z)
		for i, n := range names {
			next := names[(i+1)%len(names)].owner
			set := func(more ...uint16) Set {
				types := slices.Concat(n.types, more, []uint16{TypeRRSIG, TypeNSEC})
				slices.Sort(types)
				return Set{Owner: n.owner, Type: TypeNSEC, TTL: ttl, Data: [][]byte{append([]byte(next), bitmap(slices.Compact(types))...)}}
			}
			if n.follow == "" {
				if !yield(Item{Set: set()}) {
					return
				}
				continue
			}
			positions := sites[n.follow]
			for _, position := range slices.Sorted(maps.Keys(positions)) {
				var more []uint16
				for _, s := range Answers(zone.Followed{Owner: n.owner}, positions[position]) {
					more = append(more, s.Type)
				}
				if !yield(Item{Set: set(more...), Position: position}) {
					return
				}
			}
		}
	}
}

// names are the names that have records or follow a site, in canonical order, with
// the types of their own records. Names with glue alone, and those that only have
// others below them, are not among them.
func names(z *zone.Zone) []name {
	all := make([]name, 0, z.Size()/2)
	last := int32(none)
	for r := range z.Each() {
		if r.Glue {
			continue
		}
		if r.Name != last {
			all = append(all, name{owner: string(z.Names().Name(r.Name))})
			last = r.Name
		}
		if n := &all[len(all)-1]; len(n.types) == 0 || n.types[len(n.types)-1] != r.Type {
			n.types = append(n.types, r.Type)
		}
	}
	at := make(map[string]int, len(z.Follow()))
	for _, f := range z.Follow() {
		at[f.Owner] = none
	}
	if len(at) > 0 {
		for i, n := range all {
			if _, follows := at[n.owner]; follows {
				at[n.owner] = i
			}
		}
	}
	for _, f := range z.Follow() {
		if i := at[f.Owner]; i != none {
			all[i].follow = f.Site
		} else {
			all = append(all, name{owner: f.Owner, follow: f.Site})
		}
	}
	for i := range all {
		all[i].order = string(Order(nil, all[i].owner))
	}
	slices.SortFunc(all, func(a, b name) int { return bytes.Compare([]byte(a.order), []byte(b.order)) })
	return all
}

const none = -1

// bitmap is a list of types, ordered and each once, as NSEC records carry it (RFC 4034
// section 4.1.2).
func bitmap(types []uint16) (b []byte) {
	for len(types) > 0 {
		window := types[0] >> 8
		var bits [32]byte
		last := 0
		for len(types) > 0 && types[0]>>8 == window {
			low := types[0] & 0xFF
			last = int(low >> 3)
			bits[last] |= 0x80 >> (low & 7)
			types = types[1:]
		}
		b = append(b, byte(window), byte(last+1))
		b = append(b, bits[:last+1]...)
	}
	return b
}

// typeTXT is that of proofs.
const typeTXT = 16

// proofTTL is the most that a set with proofs may be kept, in seconds.
const proofTTL = 10

// WithProofs is the TXT set of a name, in wire form, with proofs for a certificate
// authority beside the zone's own records, as authdns answers it; false where the zone
// has no TXT records there.
func WithProofs(z *zone.Zone, owner string, values []string) (Set, bool) {
	n, ok := z.Names().Find([]byte(owner))
	if !ok {
		return Set{}, false
	}
	s := Set{Owner: owner, Type: typeTXT}
	for r := range z.Each() {
		if r.Name == n && r.Type == typeTXT && !r.Glue {
			s.TTL = min(r.TTL, proofTTL)
			s.Data = append(s.Data, r.Data)
		}
	}
	if len(s.Data) == 0 {
		return Set{}, false
	}
	for _, text := range values {
		if len(text) > 255 {
			return Set{}, false
		}
		s.Data = append(s.Data, append([]byte{byte(len(text))}, text...))
	}
	return s, true
}
