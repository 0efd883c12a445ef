package engine

import (
	"maps"
	"slices"

	"lifeboat/internal/zone"
)

// Published is what is given out of a zone now.
type Published struct {
	Apex   string
	Serial uint32
	NS     []string
	DS     []string                    // of a signed zone: what the zone above should have
	Names  map[string][]zone.Addresses // names that follow a site → what they may be told, by the site's position and its share
}

// Published is what we publish of each zone. A drill's names are left out.
func (e *Engine) Published() []Published {
	var out []Published
	ds := map[string][]string{}
	if e.o.Signing != nil {
		for _, z := range e.o.Signing.Zones() {
			ds[z.Apex] = z.DS
		}
	}
	for _, src := range e.contents().Zones {
		p := Published{Apex: src.Apex, NS: authorities(src), DS: ds[src.Apex], Names: map[string][]zone.Addresses{}}
		e.mu.Lock()
		p.Serial = e.ordered.serials[src.Apex]
		for _, name := range slices.Sorted(maps.Keys(src.Follow)) {
			s, known := e.contents().Site(src.Follow[name])
			at, err := e.position(s.ID)
			if !known || err != nil || s.Shadow != "" {
				continue
			}
			p.Names[name] = append(p.Names[name], s.Positions[at])
			if share := e.ordered.sites[s.ID].Share; share != nil {
				p.Names[name] = append(p.Names[name], s.Positions[share.Position])
			}
		}
		e.mu.Unlock()
		out = append(out, p)
	}
	return out
}

// outsideFindings are what the world sees of our zones.
func (e *Engine) outsideFindings() []Finding {
	if e.o.Company.Outside == nil {
		return nil
	}
	return e.o.Company.Outside()
}

// outsideWarnings are what the overview tells of it.
func (e *Engine) outsideWarnings() (out []string) {
	for _, f := range e.outsideFindings() {
		if f.Severity != SeverityOK {
			out = append(out, f.About+": "+f.Text)
		}
	}
	return out
}

// Ring tells whoever waits that there is something new to see.
func (e *Engine) Ring() { e.bell.ring() }
