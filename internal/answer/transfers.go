package answer

import (
	"reflect"

	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

// compile makes the DNS table of the parts, with the copies that these ask for.
func (a *Answer) compile(c snapshot.Contents) (compiled, error) { // with mu held
	a.copies.Configure(c.Transfers)
	made, err := a.compileWith(c, a.copies.Zones())
	if err != nil {
		a.copies.Configure(a.contents.Transfers)
	}
	return made, err
}

// takeCopies puts copies of zones that others serve in force, or leaves everything as
// it is.
func (a *Answer) takeCopies(copies []*zone.Zone) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	made, err := a.compileWith(a.contents, copies)
	if err != nil {
		return err
	}
	old := a.compiled
	a.compiled = made
	if err := a.enforce(nil); err != nil {
		a.compiled = old
		return err
	}
	a.memory.Settle()
	return nil
}

// growGiven adds the zones that answer something else than before to those whose serial
// must grow: a secondary never looks twice at one serial. Zones that no secondary has are
// left alone.
func (a *Answer) growGiven(grow map[string]bool, before snapshot.Manifest, was snapshot.Contents) { // with mu held
	sources, sites := map[string]zone.Source{}, map[string]snapshot.Site{}
	for _, z := range was.Zones {
		sources[z.Apex] = z
	}
	for _, s := range was.Sites {
		sites[s.ID] = s
	}
	changed := map[string]bool{}
	for _, s := range a.contents.Sites {
		if !reflect.DeepEqual(sites[s.ID].Positions, s.Positions) || before.Sites[s.ID].TTLCap != a.manifest.Sites[s.ID].TTLCap {
			changed[s.ID] = true
		}
	}
	for apex := range a.givenOf(changed) {
		grow[apex] = true
	}
	for _, z := range a.contents.Zones {
		if a.contents.Transfers.Gives(z.Apex) && !reflect.DeepEqual(sources[z.Apex], z) {
			grow[z.Apex] = true
		}
	}
}

// givenOf are the zones that secondaries may have, and in which a name follows one of the
// sites.
func (a *Answer) givenOf(sites map[string]bool) map[string]bool { // with mu held
	out := a.zonesOf(sites)
	for apex := range out {
		if !a.contents.Transfers.Gives(apex) {
			delete(out, apex)
		}
	}
	return out
}

func changedSites(before, now map[string]bool) map[string]bool {
	out := map[string]bool{}
	for s := range before {
		out[s] = !now[s]
	}
	for s := range now {
		out[s] = !before[s]
	}
	return out
}
