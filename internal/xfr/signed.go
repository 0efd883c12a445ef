package xfr

import (
	"encoding/binary"
	"iter"
	"maps"
	"reflect"

	"github.com/miekg/dns"

	"lifeboat/internal/authdns"
	"lifeboat/internal/dnssec"
	"lifeboat/internal/zone"
)

// Signed is a signed zone as secondaries get it: with its NSEC chain, and the signatures
// that are good at the positions in force. It is never changed.
type Signed struct {
	zone   dnssec.Zone
	static []zone.Record // all but the SOA and what moves
	moving []moving
	soa    dnssec.Set // its serial is another
	apex   string     // wire form

	foreign bool // signed by its primary: all is static, the signatures over the SOA too
}

// moving is a set of a name that follows a site, with its signatures.
type moving struct {
	site, position string
	ttl            uint32 // of the name, in seconds: answers may be kept for less; 0 for what is not lowered
	records        []zone.Record
}

// Sign puts a zone and its signatures together, for every position of its sites.
func Sign(z *zone.Zone, sites map[string]zone.Positions, signed dnssec.Zone) *Signed {
	s := &Signed{zone: signed, soa: dnssec.SOA(z, 0), apex: z.ApexWire()}
	full := dnssec.Extend(z, signed.Records)
	follow := map[string]zone.Followed{}
	for _, f := range z.Follow() {
		follow[f.Owner] = f
	}
	for item := range dnssec.Items(full, sites) {
		records := s.with(item.Set, signed.Sets)
		if item.Position == "" {
			s.static = append(s.static, records...)
			continue
		}
		f := follow[item.Owner]
		m := moving{site: f.Site, position: item.Position, ttl: f.TTL, records: records}
		if item.Type == dnssec.TypeNSEC {
			m.ttl = 0
		}
		s.moving = append(s.moving, m)
	}
	for r := range full.Each() { // what others answer for is not signed
		owner := string(z.Names().Name(r.Name))
		if r.Glue || r.Type == dns.TypeNS && owner != s.apex {
			s.static = append(s.static, zone.Record{Owner: owner, Type: r.Type, TTL: r.TTL, Data: r.Data})
		}
	}
	return s
}

// foreign is a zone with what its primary has signed.
func foreign(z *zone.Zone, records []zone.Record) *Signed {
	s := &Signed{soa: dnssec.SOA(z, 0), apex: z.ApexWire(), foreign: true}
	for _, r := range records {
		if r.Type != dns.TypeSOA {
			s.static = append(s.static, r)
		}
	}
	return s
}

// Ahead is the same with other signatures over the SOA.
func (s *Signed) Ahead(signed dnssec.Zone) *Signed {
	out := *s
	out.zone = signed
	return &out
}

// with is a set's records and the signatures over it.
func (s *Signed) with(set dnssec.Set, book dnssec.Book) (out []zone.Record) {
	for _, data := range set.Data {
		out = append(out, zone.Record{Owner: set.Owner, Type: set.Type, TTL: set.TTL, Data: data})
	}
	return append(out, s.over(set, book)...)
}

func (s *Signed) over(set dnssec.Set, book dnssec.Book) (out []zone.Record) {
	for _, f := range book.Find(set.ID()) {
		out = append(out, zone.Record{Owner: set.Owner, Type: dnssec.TypeRRSIG, TTL: set.TTL, Data: f.Data(set, s.apex)})
	}
	return out
}

// overSOA are the signatures over the SOA of a serial.
func (s *Signed) overSOA(serial uint32) []zone.Record {
	for _, set := range dnssec.SOAs(s.soa, serial, 1) {
		return s.over(set, s.zone.SOA)
	}
	return nil
}

// same says whether two hold the same, signatures over the SOA aside.
func (s *Signed) same(o *Signed) bool {
	return s == o || s != nil && o != nil && !s.foreign && !o.foreign && s.zone.SameSets(o.zone)
}

// differs says whether so many signatures are others that secondaries are better off with
// the whole zone.
func (s *Signed) differs(o *Signed) bool {
	return s != nil && o != nil && !s.foreign && !o.foreign && s.zone.Sets.Differs(o.zone.Sets, maxChanged)
}

// records are the zone under a version: all but the SOA itself.
func (s *Signed) records(v *version) iter.Seq[zone.Record] {
	return func(yield func(zone.Record) bool) {
		for _, r := range s.static {
			if v.proofs[r.Owner] != nil && (r.Type == dns.TypeTXT || r.Type == dns.TypeRRSIG && binary.BigEndian.Uint16(r.Data) == dns.TypeTXT) {
				continue
			}
			if !yield(r) {
				return
			}
		}
		for owner := range v.proofs {
			for _, r := range s.texts(v, owner) {
				if !yield(r) {
					return
				}
			}
		}
		for r := range s.moved(v, func(string) bool { return true }) {
			if !yield(r) {
				return
			}
		}
	}
}

// moved are the records that move, of some sites, and the signatures over the SOA.
func (s *Signed) moved(v *version, of func(site string) bool) iter.Seq[zone.Record] {
	return func(yield func(zone.Record) bool) {
		for _, m := range s.moving {
			at := v.places[m.site]
			if m.position != at.position || !of(m.site) {
				continue
			}
			orders := authdns.Orders{TTLCap: map[string]uint32{m.site: at.ttlCap}, Degraded: map[string]bool{m.site: at.degraded}}
			for _, r := range m.records {
				if m.ttl > 0 {
					r.TTL = orders.TTL(m.site, m.ttl)
				}
				if !yield(r) {
					return
				}
			}
		}
		for _, r := range s.overSOA(v.serial) {
			if !yield(r) {
				return
			}
		}
	}
}

// between yields what one version has of what moves, where another differs.
func (s *Signed) between(one, other *version) iter.Seq[zone.Record] {
	return func(yield func(zone.Record) bool) {
		for r := range s.moved(one, func(site string) bool { return !reflect.DeepEqual(one.places[site], other.places[site]) }) {
			if !yield(r) {
				return
			}
		}
		owners := maps.Clone(one.proofs)
		maps.Copy(owners, other.proofs)
		for owner := range owners {
			if !yieldNew(s.texts(one, owner), other.signed.texts(other, owner), yield) {
				return
			}
		}
	}
}

// texts are a name's TXT records with their signatures, and with its proofs where these
// are signed.
func (s *Signed) texts(v *version, owner string) []zone.Record {
	if v.proofs[owner] != nil {
		if all := s.signedTexts(v.texts(owner), s.zone.More); len(all) > 0 {
			return all
		}
		bare := *v
		bare.proofs = nil
		v = &bare
	}
	return s.signedTexts(v.texts(owner), s.zone.Sets)
}

// signedTexts are records of one set with the signatures over it; nothing where there
// are none.
func (s *Signed) signedTexts(records []zone.Record, book dnssec.Book) []zone.Record {
	if len(records) == 0 {
		return nil
	}
	set := dnssec.Set{Owner: records[0].Owner, Type: records[0].Type, TTL: records[0].TTL}
	for _, r := range records {
		set.Data = append(set.Data, r.Data)
	}
	over := s.over(set, book)
	if len(over) == 0 {
		return nil
	}
	return append(records, over...)
}
