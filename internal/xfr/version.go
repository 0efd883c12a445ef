package xfr

import (
	"bytes"
	"encoding/binary"
	"iter"
	"maps"
	"reflect"
	"slices"

	"github.com/miekg/dns"

	"lifeboat/internal/authdns"
	"lifeboat/internal/zone"
)

// Zones are what a Server gives away: the zones that are served, and what is in force.
type Zones struct {
	Zones     []*zone.Zone
	Positions map[string]zone.Positions // by site, as given to authdns.Compile
	Orders    authdns.Orders            // as given to the View in force
}

// version is a zone as it is answered under one serial. It is never changed.
type version struct {
	zone   *zone.Zone
	serial uint32
	places map[string]inForce // by site, of those that its names follow
}

// inForce is what the names of a site answer.
type inForce struct {
	addresses zone.Addresses
	ttlCap    uint32
	degraded  bool
}

func (z Zones) version(of *zone.Zone) *version {
	v := &version{zone: of, serial: of.Serial(), places: map[string]inForce{}}
	if serial, ok := z.Orders.Serial[of.Apex()]; ok {
		v.serial = serial
	}
	for _, site := range of.Sites() {
		v.places[site] = inForce{z.Positions[site][z.Orders.Position[site]], z.Orders.TTLCap[site], z.Orders.Degraded[site]}
	}
	return v
}

// records are the zone as it is answered, materialised: all but the SOA. It is the one
// place that says what a zone holds under a version.
func (v *version) records() iter.Seq[zone.Record] {
	return func(yield func(zone.Record) bool) {
		for _, r := range v.zone.Records() {
			if r.Type != dns.TypeSOA && !yield(r) {
				return
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
		if !slices.ContainsFunc(out, func(o zone.Record) bool { return sameData(o, r) }) {
			out = append(out, r)
		}
	}
	return out
}

// soa is the zone's SOA record with the version's serial.
func (v *version) soa() zone.Record {
	for _, r := range v.zone.Records() {
		if r.Type == dns.TypeSOA {
			r.Data = bytes.Clone(r.Data)
			binary.BigEndian.PutUint32(r.Data[len(r.Data)-20:], v.serial)
			return r
		}
	}
	return zone.Record{} // there is one in every zone
}

// same says whether two versions answer the same, apart from the serial.
func (v *version) same(o *version) bool {
	return v.zone == o.zone && maps.EqualFunc(v.places, o.places, func(a, b inForce) bool { return reflect.DeepEqual(a, b) })
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
	if before.zone == after.zone {
		s.before, s.after = before, after
		return s, true
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
		return 4 * len(s.before.zone.Follow())
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
	return func(yield func(zone.Record) bool) {
		for _, f := range one.zone.Follow() {
			if reflect.DeepEqual(one.places[f.Site], other.places[f.Site]) {
				continue
			}
			kept := other.followed(f)
			for _, r := range one.followed(f) {
				if slices.ContainsFunc(kept, func(o zone.Record) bool { return sameData(o, r) && o.TTL == r.TTL }) {
					continue
				}
				if !yield(r) {
					return
				}
			}
		}
	}
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
	case reflect.DeepEqual(h.now.zone.Source(), v.zone.Source()):
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
