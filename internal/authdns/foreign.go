package authdns

import (
	"slices"

	"lifeboat/internal/dnssec"
	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
)

// PrepareForeign is Prepare for a copy of a zone that its own primary has signed: it is
// answered with the signatures and the NSEC records that came with it. No name of it can
// follow a site, for nobody here could sign what it answers then.
func PrepareForeign(z *zone.Zone, f *dnssec.Foreign) (*Prepared, error) {
	if len(z.Follow()) > 0 {
		return nil, fault.New(fault.Invalid, "names of zone %s follow a site, and its primary has signed it", z.Apex()).
			WithHint("answers that move have to be signed: have lifeboat sign the zone (dnssec: true), or delegate the names to a zone of its own")
	}
	p, err := Prepare(z)
	if err != nil {
		return nil, err
	}
	s := &signedZone{over: make(map[signedKey]ready, len(f.Sets)), link: slices.Repeat([]int32{none}, len(p.nodes)), soa: map[uint32][]byte{}}
	for _, set := range f.Sets {
		n, ok := p.names.Find([]byte(set.Owner))
		switch {
		case !ok: // of what the zone does not answer for
		case set.Type == typeSOA && n == apexNode:
			r := s.keep(set.Over)
			s.soa[p.serial], s.count = s.wire[r.off:r.off+r.size:r.off+r.size], r.count
		default:
			s.over[keyOf(n, 0, set.Type)] = s.keep(set.Over)
		}
	}
	for _, l := range f.Chain {
		n, ok := p.names.Find([]byte(l.Owner))
		if !ok {
			return nil, fault.New(fault.Invalid, "zone %s: the NSEC record of %s is of a name that is not there", z.Apex(), zone.Unpack(l.Owner)).
				WithHint("look at the zone at its primary, for instance with: dnssec-verify")
		}
		s.append(n, l.Owner)
		s.nsec = append(s.nsec, s.keep(append([]zone.Record{l.NSEC}, l.Over...)))
	}
	if uint64(len(s.wire)) > 1<<32-1 {
		return nil, fault.New(fault.Invalid, "the signatures of zone %s are larger than 4 GiB", z.Apex()).WithHint("split it")
	}
	p.signed = s
	return p, nil
}

// keep keeps records as they are, ready to be sent.
func (s *signedZone) keep(records []zone.Record) ready {
	r := ready{off: uint32(len(s.wire)), count: uint16(len(records))}
	for _, rec := range records {
		s.wire = appendRecord(s.wire, rec.Type, rec.TTL, rec.Data)
	}
	r.size = uint32(len(s.wire)) - r.off
	return r
}
