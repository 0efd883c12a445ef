package answer

import (
	"reflect"

	"lifeboat/internal/authdns"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

// prepared are zones made ready for answering, by apex, and what each was made from.
type prepared map[string]preparedZone

type preparedZone struct {
	source zone.Source
	ready  *authdns.Prepared
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
	for i := range c.Zones {
		src := &c.Zones[i]
		p, known := a.prepared[src.Apex]
		if known && reflect.DeepEqual(p.source, *src) {
			*src = p.source // one text is kept, not two
		} else {
			z, err := zone.Parse(*src)
			if err != nil {
				return compiled{}, err
			}
			if p.ready, err = authdns.Prepare(z); err != nil {
				return compiled{}, err
			}
			p.source = *src
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
	sites := map[string]zone.Positions{}
	for _, s := range c.Sites {
		sites[s.ID] = s.Positions
	}
	var err error
	made.table, err = authdns.Assemble(list, sites)
	return made, err
}
