package answer

import (
	"reflect"
	"slices"

	"lifeboat/internal/authdns"
	"lifeboat/internal/dnssec"
	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

// prepared are zones made ready for answering, by apex, and what each was made from.
type prepared map[string]preparedZone

type preparedZone struct {
	source zone.Source
	ready  *authdns.Prepared
	signed dnssec.Zone               // of a signed zone
	sites  map[string]zone.Positions // that its signatures were made for
}

// compiled is what a snapshot's parts come to.
type compiled struct {
	table    *authdns.Table
	prepared prepared
	zonesBy  map[string]map[string]bool
}

// compile makes the DNS table of the parts. A zone that is as before is taken over
// from the table in force, so that one that changes costs itself and not the others.
func (a *Answer) compile(c snapshot.Contents) (compiled, error) { // with mu held
	made := compiled{prepared: make(prepared, len(c.Zones)), zonesBy: map[string]map[string]bool{}}
	list := make([]*authdns.Prepared, 0, len(c.Zones))
	texts := 0
	for i := range c.Zones {
		texts += len(c.Zones[i].Text)
	}
	a.memory.Expect(texts)
	sites := map[string]zone.Positions{}
	for _, s := range c.Sites {
		sites[s.ID] = s.Positions
	}
	for i := range c.Zones {
		src := &c.Zones[i]
		signed, err := signatures(c, *src)
		if err != nil {
			return compiled{}, err
		}
		p, known := a.prepared[src.Apex]
		if known && reflect.DeepEqual(p.source, *src) {
			*src = p.source // one text is kept, not two
		} else {
			known = false
		}
		if p, err = p.renew(*src, sites, signed, known); err != nil {
			return compiled{}, err
		}
		made.prepared[src.Apex] = p
		list = append(list, p.ready)
		for _, site := range src.Follow {
			if made.zonesBy[site] == nil {
				made.zonesBy[site] = map[string]bool{}
			}
			made.zonesBy[site][src.Apex] = true
		}
	}
	var err error
	made.table, err = authdns.Assemble(list, sites)
	return made, err
}

// renew is a zone as it is now. Where its text is as before, it is taken over whole, or
// with other signatures over its SOA.
func (p preparedZone) renew(src zone.Source, sites map[string]zone.Positions, signed dnssec.Zone, known bool) (next preparedZone, err error) {
	next = preparedZone{source: src, ready: p.ready, signed: signed, sites: sites}
	switch {
	case known && !src.DNSSEC:
		return next, nil
	case known && signed.SameSets(p.signed) && reflect.DeepEqual(sites, p.sites):
		next.ready, err = p.ready.Ahead(signed)
		return next, err
	}
	z, err := zone.Parse(src)
	if err != nil {
		return next, err
	}
	if src.DNSSEC {
		next.ready, err = authdns.PrepareSigned(z, sites, signed)
	} else {
		next.ready, err = authdns.Prepare(z)
	}
	return next, err
}

// signatures are those of a zone that is to be signed. One without is refused, for the
// world has been told that its answers are.
func signatures(c snapshot.Contents, src zone.Source) (dnssec.Zone, error) {
	if !src.DNSSEC {
		return dnssec.Zone{}, nil
	}
	i := slices.IndexFunc(c.Signed, func(s dnssec.Zone) bool { return s.Apex == src.Apex })
	if i < 0 {
		return dnssec.Zone{}, fault.New(fault.Invalid, "zone %s is to be signed, and there are no signatures", src.Apex).WithHint("have control publish again: restart it")
	}
	return c.Signed[i], nil
}
