package xfr

import (
	"bytes"
	"encoding/binary"
	"iter"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/authdns"
	"lifeboat/internal/zone"
)

// Zones are what a Server gives away: the zones that are served, and what is in force.
type Zones struct {
	Zones     []*zone.Zone
	Positions map[string]zone.Positions // by site, as given to authdns.Compile
	Orders    authdns.Orders            // as given to the View in force
	Signed    map[string]*Signed        // by apex, of the zones that are signed
}

func (z Zones) now() time.Time {
	if z.Orders.Now == nil {
		return time.Now()
	}
	return z.Orders.Now()
}

// version is a zone as it is answered under one serial. It is never changed.
type version struct {
	zone   *zone.Zone
	head   zone.Record // the SOA as the text has it
	serial uint32
	places map[string]inForce  // by site, of those that its names follow
	proofs map[string][]string // by owner in wire form, for certificate authorities: besides the TXT records that are there
	signed *Signed             // nil where the zone is not
}

// inForce is what the names of a site answer.
type inForce struct {
	position  string
	addresses zone.Addresses
	ttlCap    uint32
	degraded  bool
}

func (z Zones) version(of *zone.Zone, head zone.Record) *version {
	v := &version{zone: of, head: head, serial: of.Serial(), places: map[string]inForce{}, proofs: map[string][]string{}, signed: z.Signed[of.Apex()]}
	if serial, ok := z.Orders.Serial[of.Apex()]; ok {
		v.serial = serial
	}
	for name, c := range z.Orders.Challenges {
		owner, err := zone.Pack(name)
		if err == nil && zone.Under(owner, of.ApexWire()) && len(c.Values) > 0 && z.now().Before(c.Until) {
			v.proofs[owner] = c.Values
		}
	}
	for _, s := range of.Sites() {
		v.places[s] = inForce{z.Orders.Position[s], z.Positions[s][z.Orders.Position[s]], z.Orders.TTLCap[s], z.Orders.Degraded[s]}
	}
	return v
}

// records are the zone as it is answered, materialised: all but the SOA. It is the one
// place that says what a zone holds under a version.
func (v *version) records() iter.Seq[zone.Record] {
	if v.signed != nil {
		return v.signed.records(v)
	}
	return func(yield func(zone.Record) bool) {
		for r := range rows(v.zone) {
			if r.Type == dns.TypeSOA || r.Type == dns.TypeTXT && v.proofs[r.Owner] != nil {
				continue
			}
			if !yield(r) {
				return
			}
		}
		for owner := range v.proofs {
			for _, r := range v.texts(owner) {
				if !yield(r) {
					return
				}
			}
		}
		for _, f := range v.zone.Follow() {
			for _, r := range v.followed(f) {
				if !yield(r) {
					return
				}
			}
		}
	}
}

// texts are the TXT records of a name, with its proofs; a name without TXT records of its
// own has none (authdns.Challenge).
func (v *version) texts(owner string) (out []zone.Record) {
	number, there := v.zone.Names().Find([]byte(owner))
	if !there {
		return nil
	}
	for row := range v.zone.Each() {
		if row.Name == number && row.Type == dns.TypeTXT {
			r := zone.Record{Owner: owner, Type: row.Type, TTL: row.TTL, Data: row.Data}
			if v.proofs[owner] != nil {
				r.TTL = min(r.TTL, authdns.ChallengeTTL)
			}
			out = append(out, r)
		}
	}
	if len(out) == 0 {
		return nil
	}
	for _, text := range v.proofs[owner] {
		r := zone.Record{Owner: owner, Type: dns.TypeTXT, TTL: out[0].TTL, Data: append([]byte{byte(len(text))}, text...)}
		if zone.IsProof(text) && !holds(out, r) {
			out = append(out, r)
		}
	}
	return out
}

func holds(all []zone.Record, r zone.Record) bool {
	return slices.ContainsFunc(all, func(o zone.Record) bool { return sameData(o, r) })
}

// followed are the records of a name that follows a site.
func (v *version) followed(f zone.Followed) (out []zone.Record) {
	at := v.places[f.Site]
	ttl := authdns.Orders{TTLCap: map[string]uint32{f.Site: at.ttlCap}, Degraded: map[string]bool{f.Site: at.degraded}}.TTL(f.Site, f.TTL)
	if at.addresses.Alias != "" {
		if target, err := zone.Pack(at.addresses.Alias); err == nil { // else it was not compiled
			return []zone.Record{{Owner: f.Owner, Type: dns.TypeCNAME, TTL: ttl, Data: []byte(target)}}
		}
		return nil
	}
	for _, ip := range at.addresses.IPs {
		ip = ip.Unmap().WithZone("")
		r := zone.Record{Owner: f.Owner, Type: dns.TypeAAAA, TTL: ttl, Data: ip.AsSlice()}
		if ip.Is4() {
			r.Type = dns.TypeA
		}
		if !holds(out, r) {
			out = append(out, r)
		}
	}
	return out
}

// soa is the zone's SOA record with the version's serial.
func (v *version) soa() zone.Record {
	r := v.head
	r.Data = bytes.Clone(r.Data)
	binary.BigEndian.PutUint32(r.Data[len(r.Data)-20:], v.serial)
	return r
}

// headOf finds a zone's SOA record. There is one in every zone.
func headOf(z *zone.Zone) (soa zone.Record) {
	for r := range rows(z) {
		if r.Type == dns.TypeSOA {
			return r
		}
	}
	return soa
}

// rows are a zone's records, those of an owner together, without the memory that
// zone.Records takes.
func rows(z *zone.Zone) iter.Seq[zone.Record] {
	return func(yield func(zone.Record) bool) {
		last, owner := int32(-1), ""
		for row := range z.Each() {
			if row.Name != last {
				last, owner = row.Name, string(z.Names().Name(row.Name))
			}
			if !yield(zone.Record{Owner: owner, Type: row.Type, TTL: row.TTL, Data: row.Data}) {
				return
			}
		}
	}
}

// same says whether two versions answer the same, apart from the serial.
func (v *version) same(o *version) bool {
	return v.zone == o.zone && v.signed.same(o.signed) && reflect.DeepEqual(v.proofs, o.proofs) && maps.EqualFunc(v.places, o.places, func(a, b inForce) bool { return reflect.DeepEqual(a, b) })
}

// step leads from one serial to another.
type step struct {
	from, to       uint32
	fromSOA, toSOA zone.Record
	removed, added []zone.Record // where the text changed
	before, after  *version      // where only places did: what changed is found when it is asked for
}

// newStep finds the difference of two versions; false where it is too large to be kept.
func newStep(before, after *version) (*step, bool) {
	s := &step{from: before.serial, to: after.serial, fromSOA: before.soa(), toSOA: after.soa()}
	if before.zone == after.zone && before.signed.same(after.signed) {
		s.before, s.after = before, after
		return s, true
	}
	if before.signed.differs(after.signed) {
		return nil, false // a renewal of a large zone: to sort all of it would hold up whoever moves a site
	}
	s.removed, s.added = difference(all(before), all(after)) // so that the old text is not held
	return s, len(s.removed)+len(s.added) <= maxChanged
}

// all are a version's records in order.
func all(v *version) []zone.Record {
	out := slices.Collect(v.records())
	slices.SortStableFunc(out, compareRecords)
	return out
}

func compareRecords(a, b zone.Record) int {
	switch {
	case a.Owner != b.Owner:
		if a.Owner < b.Owner {
			return -1
		}
		return 1
	case a.Type != b.Type:
		return int(a.Type) - int(b.Type)
	}
	return bytes.Compare(a.Data, b.Data)
}

func sameData(a, b zone.Record) bool {
	return a.Owner == b.Owner && a.Type == b.Type && bytes.Equal(a.Data, b.Data)
}

// difference walks two lists in order. A record whose TTL differs is taken out and put
// back.
func difference(from, to []zone.Record) (removed, added []zone.Record) {
	for len(from) > 0 || len(to) > 0 {
		if len(removed)+len(added) > maxChanged {
			return removed, added
		}
		order := 0
		switch {
		case len(from) == 0:
			order = 1
		case len(to) == 0:
			order = -1
		default:
			order = compareRecords(from[0], to[0])
		}
		switch {
		case order < 0:
			removed, from = append(removed, from[0]), from[1:]
		case order > 0:
			added, to = append(added, to[0]), to[1:]
		default:
			if from[0].TTL != to[0].TTL {
				removed, added = append(removed, from[0]), append(added, to[0])
			}
			from, to = from[1:], to[1:]
		}
	}
	return removed, added
}

// size is how many records a step has, about.
func (s *step) size() int {
	if s.before != nil {
		return 4*len(s.before.zone.Follow()) + zone.MaxProofs*(len(s.before.proofs)+len(s.after.proofs))
	}
	return len(s.removed) + len(s.added)
}

// changes yields the records that a step takes out, or puts in.
func (s *step) changes(in bool) iter.Seq[zone.Record] {
	if s.before == nil {
		if in {
			return slices.Values(s.added)
		}
		return slices.Values(s.removed)
	}
	one, other := s.before, s.after
	if in {
		one, other = other, one
	}
	if one.signed != nil {
		return one.signed.between(one, other)
	}
	return func(yield func(zone.Record) bool) {
		for _, f := range one.zone.Follow() {
			if reflect.DeepEqual(one.places[f.Site], other.places[f.Site]) {
				continue
			}
			if !yieldNew(one.followed(f), other.followed(f), yield) {
				return
			}
		}
		owners := maps.Clone(one.proofs)
		maps.Copy(owners, other.proofs)
		for owner := range owners {
			if !yieldNew(one.texts(owner), other.texts(owner), yield) {
				return
			}
		}
	}
}

// yieldNew yields those of some records that are not among others; false to stop.
func yieldNew(some, others []zone.Record, yield func(zone.Record) bool) bool {
	for _, r := range some {
		if !slices.ContainsFunc(others, func(o zone.Record) bool { return sameData(o, r) && o.TTL == r.TTL }) && !yield(r) {
			return false
		}
	}
	return true
}

// history is a zone's version in force, and the steps that led to it. It is never
// changed.
type history struct {
	now   *version
	steps []*step // the last one leads to now
}

// next is the history with another version in force; why says what is wrong with it, ""
// for nothing.
func (h *history) next(v *version) (n *history, why string) {
	switch {
	case h == nil:
		return &history{now: v}, ""
	case h.now.zone != v.zone && reflect.DeepEqual(h.now.zone.Source(), v.zone.Source()):
		v.zone = h.now.zone // one text is held once
	}
	switch {
	case h.now.serial == v.serial && h.now.same(v):
		return h, ""
	case h.now.serial == v.serial:
		return &history{now: v}, "the zone has changed under the same serial: secondaries keep what they have"
	case !zone.SerialNewer(v.serial, h.now.serial):
		return &history{now: v}, "the serial went back: secondaries keep what they have until it is newer than theirs"
	}
	n = &history{now: v}
	if s, ok := newStep(h.now, v); ok {
		n.steps = append(slices.Clone(h.steps[max(0, len(h.steps)-maxSteps+1):]), s)
	}
	return n, ""
}

// since are the steps from a serial on; false where there is no way from it.
func (h *history) since(serial uint32) ([]*step, bool) {
	changed := 0
	for i := len(h.steps) - 1; i >= 0; i-- {
		changed += h.steps[i].size()
		if changed > 2*maxChanged || changed > h.now.zone.Size()+2*len(h.now.zone.Follow())+1000 {
			return nil, false // to send the whole zone is less
		}
		if h.steps[i].from == serial {
			return h.steps[i:], true
		}
	}
	return nil, false
}
