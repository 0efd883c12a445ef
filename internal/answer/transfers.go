package answer

import (
	"reflect"
	"slices"
	"strings"

	"lifeboat/internal/authdns"
	"lifeboat/internal/dnssec"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/xfr"
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

// takeCopies puts a change of the zones that others serve in force, or leaves everything
// as it is.
func (a *Answer) takeCopies(c xfr.Change) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	made, err := a.compileWith(a.contents, c.Zones())
	if err != nil {
		return err
	}
	old := a.compiled
	a.compiled = made
	if err := a.enforce(nil); err != nil {
		a.compiled = old
		return err
	}
	c.Commit()
	a.memory.Settle()
	return nil
}

// given is what secondaries may have, as the view answers it.
func (a *Answer) given(v *authdns.View, o authdns.Orders) xfr.Zones { // with mu held
	serials := map[string]uint32{}
	for _, z := range a.gives {
		serials[z.Apex()], _ = v.Serial(z.Apex())
	}
	o.Serial = serials
	return xfr.Zones{Zones: a.gives, Signed: a.signed, Positions: positionsOf(a.contents), Orders: o}
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
	for apex := range a.givenWith(a.proofs, a.proofsNow()) {
		grow[apex] = true
	}
	for _, signed := range a.contents.Signed {
		i := slices.IndexFunc(was.Signed, func(s dnssec.Zone) bool { return s.Apex == signed.Apex })
		if a.contents.Transfers.Gives(signed.Apex) && (i < 0 || !was.Signed[i].SameSets(signed)) {
			grow[signed.Apex] = true
		}
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

// proofsNow are the proofs for certificate authorities that are not over, by name.
func (a *Answer) proofsNow() map[string][]string { // with mu held
	out := map[string][]string{}
	for name, c := range a.manifest.Challenges {
		if a.o.Now().Before(c.Until) {
			out[name] = c.Values
		}
	}
	return out
}

// givenWith are the zones that secondaries may have, and in which a name's proofs differ.
func (a *Answer) givenWith(before, now map[string][]string) map[string]bool { // with mu held
	out := map[string]bool{}
	for _, z := range a.contents.Zones {
		if !a.contents.Transfers.Gives(z.Apex) {
			continue
		}
		for _, proofs := range []map[string][]string{before, now} {
			for name := range proofs {
				if strings.HasSuffix("."+name, "."+z.Apex) && !slices.Equal(before[name], now[name]) {
					out[z.Apex] = true
				}
			}
		}
	}
	return out
}

// heedProofs takes proofs that are over away from secondaries too: to these nothing ends
// by itself.
func (a *Answer) heedProofs() {
	a.mu.Lock()
	defer a.mu.Unlock()
	grow := a.givenWith(a.proofs, a.proofsNow())
	if a.table == nil || len(grow) == 0 {
		return
	}
	if err := a.enforce(grow); err != nil {
		a.trouble(err)
		return
	}
	a.keepSerials()
}

// keepSerials keeps the serials that secondaries have seen.
func (a *Answer) keepSerials() { // with mu held
	if err := a.folder.SaveLocal(a.local); err != nil {
		a.o.Logger.Error("the serials are not kept on disk", "cause", err)
	}
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
