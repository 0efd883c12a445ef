package answer

import (
	"reflect"

	"lifeboat/internal/authdns"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

// compiled is what the parts of a snapshot come to, with the copies of zones that
// others serve.
type compiled struct {
	table    *authdns.Table
	gives    []*zone.Zone               // that secondaries may have: no others are held as text
	prepared map[string]preparedZone    // by apex
	zonesBy  map[string]map[string]bool // site → apexes of zones in which a name follows it
}

// preparedZone is a zone made ready for answering, and what it was made from.
type preparedZone struct {
	source zone.Source // not of a copy
	zone   *zone.Zone  // of a copy, and where secondaries may have it
	ready  *authdns.Prepared
}

// compileWith makes the DNS table. A zone that is as before is taken over from what is
// in force, so that one that changes costs itself and not the others.
func (a *Answer) compileWith(c snapshot.Contents, copies []*zone.Zone) (compiled, error) { // with mu held
	made := compiled{prepared: make(map[string]preparedZone, len(c.Zones)), zonesBy: map[string]map[string]bool{}}
	var list []*authdns.Prepared
	add := func(apex string, p preparedZone) {
		made.prepared[apex] = p
		list = append(list, p.ready)
		if c.Transfers.Gives(apex) {
			made.gives = append(made.gives, p.zone)
		}
	}
	a.memory.Expect(textOf(c.Zones))
	for i := range c.Zones {
		p, err := a.prepare(&c.Zones[i], c.Transfers.Gives(c.Zones[i].Apex))
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
	for _, z := range copies {
		p := a.prepared[z.Apex()]
		if p.zone != z || p.source.Apex != "" {
			ready, err := authdns.Prepare(z)
			if err != nil {
				return compiled{}, err
			}
			p = preparedZone{zone: z, ready: ready}
		}
		add(z.Apex(), p)
	}
	var err error
	made.table, err = authdns.Assemble(list, positionsOf(c))
	return made, err
}

func textOf(zones []zone.Source) (octets int) {
	for i := range zones {
		octets += len(zones[i].Text)
	}
	return octets
}

// prepare makes a zone ready, or takes over what is in force; whole where its text is
// to be given to others.
func (a *Answer) prepare(src *zone.Source, whole bool) (preparedZone, error) { // with mu held
	p, known := a.prepared[src.Apex]
	if known && (p.zone != nil || !whole) && reflect.DeepEqual(p.source, *src) {
		*src = p.source // one text is kept, not two
		if !whole {
			p.zone = nil
		}
		return p, nil
	}
	z, err := zone.Parse(*src)
	if err != nil {
		return p, err
	}
	p = preparedZone{source: *src}
	if whole {
		p.zone = z
	}
	p.ready, err = authdns.Prepare(z)
	return p, err
}

func positionsOf(c snapshot.Contents) map[string]zone.Positions {
	sites := map[string]zone.Positions{}
	for _, s := range c.Sites {
		sites[s.ID] = s.Positions
	}
	return sites
}
