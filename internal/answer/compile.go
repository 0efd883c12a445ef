package answer

import (
	"reflect"
	"slices"

	"lifeboat/internal/authdns"
	"lifeboat/internal/dnssec"
	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/xfr"
	"lifeboat/internal/zone"
)

// compiled is what the parts of a snapshot come to, with the copies of zones that
// others serve.
type compiled struct {
	table    *authdns.Table
	gives    []*zone.Zone               // that secondaries may have: no others are held as text
	signed   map[string]*xfr.Signed     // the same, of the zones that are signed, by apex
	prepared map[string]preparedZone    // by apex
	zonesBy  map[string]map[string]bool // site → apexes of zones in which a name follows it
}

// preparedZone is a zone made ready for answering, and what it was made from.
type preparedZone struct {
	source zone.Source // not of a copy
	zone   *zone.Zone  // of a copy, and where secondaries may have it
	ready  *authdns.Prepared
	signed dnssec.Zone               // of a signed zone
	given  *xfr.Signed               // the same, for secondaries
	sites  map[string]zone.Positions // that its signatures were made for
}

// compileWith makes the DNS table. A zone that is as before is taken over from what is
// in force, so that one that changes costs itself and not the others; so is one that was
// made ready ahead.
func (a *Answer) compileWith(c snapshot.Contents, copies []xfr.Held) (compiled, error) { // with mu held
	made := compiled{prepared: make(map[string]preparedZone, len(c.Zones)), zonesBy: map[string]map[string]bool{}, signed: map[string]*xfr.Signed{}}
	var list []*authdns.Prepared
	add := func(apex string, p preparedZone) {
		made.prepared[apex] = p
		list = append(list, p.ready)
		if c.Transfers.Gives(apex) {
			made.gives = append(made.gives, p.zone)
			if p.given != nil {
				made.signed[apex] = p.given
			}
		}
	}
	a.memory.Expect(octetsOf(c))
	for i := range c.Zones {
		p, err := prepare(&c.Zones[i], c, c.Transfers.Gives(c.Zones[i].Apex), a.staged.prepared, a.prepared)
		if err != nil {
			return compiled{}, err
		}
		add(c.Zones[i].Apex, p)
		for _, site := range c.Zones[i].Follow {
			if made.zonesBy[site] == nil {
				made.zonesBy[site] = map[string]bool{}
			}
			made.zonesBy[site][c.Zones[i].Apex] = true
		}
	}
	for _, h := range copies {
		p := a.prepared[h.Zone.Apex()]
		if p.zone != h.Zone || p.source.Apex != "" {
			ready, err := prepareCopy(h)
			if err != nil {
				return compiled{}, err
			}
			p = preparedZone{zone: h.Zone, ready: ready, given: h.Given}
		}
		add(h.Zone.Apex(), p)
	}
	var err error
	made.table, err = authdns.Assemble(list, positionsOf(c))
	return made, err
}

// prepareCopy makes a copy of somebody else's zone ready, with what its primary has signed.
func prepareCopy(h xfr.Held) (*authdns.Prepared, error) {
	if h.Signed != nil {
		return authdns.PrepareForeign(h.Zone, h.Signed)
	}
	return authdns.Prepare(h.Zone)
}

// octetsOf is how much is read: zone text and signatures.
func octetsOf(c snapshot.Contents) (octets int) {
	for i := range c.Zones {
		octets += len(c.Zones[i].Text)
	}
	for i := range c.Signed {
		octets += c.Signed[i].Sets.Octets()
	}
	return octets
}

// prepare makes a zone ready, or takes over what was made ready before; whole where its
// text is to be given to others. Where only the signatures over the SOA of a signed zone
// are others, these are exchanged.
func prepare(src *zone.Source, c snapshot.Contents, whole bool, before ...map[string]preparedZone) (p preparedZone, err error) {
	signed, err := signatures(c, *src)
	if err != nil {
		return preparedZone{}, err
	}
	sites := positionsOf(c)
	for _, made := range before {
		p, known := made[src.Apex]
		if !known || p.zone == nil && whole || !reflect.DeepEqual(p.source, *src) || !p.sameSets(signed, sites) {
			continue
		}
		*src = p.source // one text is kept, not two
		if !whole {
			p.zone, p.given = nil, nil
		}
		if src.DNSSEC {
			p.ready, err = p.ready.Ahead(signed)
			p.signed = signed
			if p.given != nil {
				p.given = p.given.Ahead(signed)
			}
		}
		return p, err
	}
	z, err := zone.Parse(*src)
	if err != nil {
		return p, err
	}
	p = preparedZone{source: *src}
	if whole {
		p.zone = z
	}
	if src.DNSSEC {
		p.signed, p.sites = signed, sites
		p.ready, err = authdns.PrepareSigned(z, sites, signed)
		if whole {
			p.given = xfr.Sign(z, sites, signed)
		}
	} else {
		p.ready, err = authdns.Prepare(z)
	}
	return p, err
}

// sameSets says whether a zone that was made ready holds the signatures over its sets,
// those over its SOA aside.
func (p preparedZone) sameSets(signed dnssec.Zone, sites map[string]zone.Positions) bool {
	return !p.source.DNSSEC || signed.SameSets(p.signed) && reflect.DeepEqual(sites, p.sites)
}

func positionsOf(c snapshot.Contents) map[string]zone.Positions {
	sites := map[string]zone.Positions{}
	for _, s := range c.Sites {
		sites[s.ID] = s.Positions
	}
	return sites
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
