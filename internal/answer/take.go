package answer

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"lifeboat/internal/fault"
	"lifeboat/internal/feed"
	"lifeboat/internal/snapshot"
)

// hello says what is in force.
func (a *Answer) hello() feed.Hello {
	a.mu.Lock()
	defer a.mu.Unlock()
	return feed.Hello{
		Formats: []int{snapshot.Format}, Epoch: a.manifest.Epoch, Revision: a.manifest.Revision, Positions: a.positions(), Shares: a.shares(),
		Flags: snapshot.EffectiveFlags(a.manifest, a.local), Serials: maps.Clone(a.serials), Keys: a.keyTags(), Orders: slices.Clone(a.local.Orders),
		LastAuto: maps.Clone(a.local.LastAuto), Parts: a.folder.Parts(), PID: a.o.PID, Version: a.o.Version, Life: a.life,
	}
}

// keyTags are those of the keys in the signed zones that are served, by apex.
func (a *Answer) keyTags() map[string][]uint16 { // with mu held
	out := map[string][]uint16{}
	for _, z := range a.contents.Signed {
		out[z.Apex] = z.Tags()
	}
	return out
}

// inForce is where visitors of each site are told to go.
func (a *Answer) inForce() map[string]snapshot.Standing { // with mu held
	out := map[string]snapshot.Standing{}
	for _, s := range a.contents.Sites {
		out[s.ID] = snapshot.InForce(a.manifest, a.local, s)
	}
	return out
}

// shares are the manifest's that are in force.
func (a *Answer) shares() map[string]*snapshot.Share { // with mu held
	out := map[string]*snapshot.Share{}
	for _, s := range a.contents.Sites {
		if snapshot.InForce(a.manifest, a.local, s).Other != "" {
			out[s.ID] = a.manifest.Sites[s.ID].Share
		}
	}
	return out
}

// take verifies a snapshot, puts it in force in memory, then keeps it on disk. What
// can't be taken changes nothing.
func (a *Answer) take(p feed.Publish) feed.Ack {
	ack, other := a.takeOne(p)
	if other { // who is moved meets the right page before control is told that it is in force
		a.renderSites()
		a.renderSoon()
	}
	return ack
}

// takeOne takes a snapshot; other: it has other sites, or sends visitors elsewhere.
func (a *Answer) takeOne(p feed.Publish) (_ feed.Ack, other bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	table, before := a.table, a.inForce()
	m, err := snapshot.Open(p.Signed, a.key)
	ack := feed.Ack{Epoch: m.Epoch, Revision: m.Revision}
	if err != nil { // the number is for the sender to know its own by; nothing in it is trusted
		if d, derr := snapshot.Decode(p.Signed.Manifest); derr == nil || d.Epoch > 0 {
			ack.Epoch, ack.Revision = d.Epoch, d.Revision
		}
	} else {
		err = a.install(m, p.Parts)
	}
	if err != nil {
		a.o.Logger.Warn("a snapshot was not taken", "epoch", ack.Epoch, "revision", ack.Revision, "cause", err)
		a.problem = err.Error()
		ack.Kind, ack.Err = fault.KindOf(err), err.Error()
		return ack, false
	}
	a.problem = ""
	if err := a.keep(p); err != nil {
		a.problem = "what is in force could not be kept on disk: " + err.Error()
		ack.Kept = err.Error()
	}
	ack.Serials = maps.Clone(a.serials)
	return ack, a.table != table || !maps.Equal(before, a.inForce())
}

// install puts a manifest in force, or leaves everything as it is.
func (a *Answer) install(m snapshot.Manifest, parts map[string][]byte) error { // with mu held
	if err := snapshot.Accept(a.manifest, m, a.contents, a.local); err != nil {
		return err
	}
	contents, made, fresh := a.contents, a.compiled, !snapshot.OnlyTold(m.Parts, a.manifest.Parts) || a.table == nil
	var err error
	switch {
	case fresh:
		if contents, err = a.decode(m, parts); err != nil {
			return err
		}
		if made, err = a.compile(contents); err != nil {
			return fault.New(fault.Invalid, "the zones can't be served").Because(err)
		}
	case !maps.Equal(m.Parts, a.manifest.Parts):
		if contents, err = contents.Tell(m.Parts, a.part(parts)); err != nil {
			return err
		}
		a.renderSoon()
	}
	return a.swap(m, contents, made, fresh)
}

// swap changes what is in force; an error puts everything back.
func (a *Answer) swap(m snapshot.Manifest, c snapshot.Contents, made compiled, fresh bool) error { // with mu held
	before := a.inForce()
	oldManifest, oldContents, oldMade, oldLocal := a.manifest, a.contents, a.compiled, a.local
	a.manifest, a.contents, a.compiled, a.local = m, c, made, a.local.Settle(m.Taken)
	moved := map[string]bool{}
	for site, at := range a.inForce() {
		if before[site] != at {
			moved[site] = true
		}
	}
	grow := a.zonesOf(moved)
	a.growGiven(grow, oldManifest, oldContents)
	if err := a.enforce(grow); err != nil {
		a.manifest, a.contents, a.compiled, a.local = oldManifest, oldContents, oldMade, oldLocal
		a.copies.Configure(a.contents.Transfers)
		return err
	}
	a.previous = oldManifest
	if fresh {
		a.secure(c)
		a.prober.Set(jobs(c.Sites))
		a.memory.Settle()
	}
	return nil
}

// keep writes what is in force to disk: the snapshot, and the local orders where
// they have changed.
func (a *Answer) keep(p feed.Publish) error { // with mu held
	a.local.Last = &p.Signed
	parts := p.Parts
	if maps.Equal(a.manifest.Parts, a.staged.parts) { // what was made ready is in force
		parts = a.staged.join(parts)
		a.staged = staged{}
	}
	err := a.folder.Save(p.Signed, parts)
	if err == nil {
		a.folder.Prune(a.manifest, a.previous, snapshot.Manifest{Parts: a.staged.parts})
	}
	return errors.Join(err, a.folder.SaveLocal(a.local))
}

// trust pins a key. It is the one way to change whom answer believes.
func (a *Answer) trust(key string) error {
	k, err := snapshot.ParseKey(key)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.folder.Pin(k); err != nil {
		return fmt.Errorf("keep the key: %w", err)
	}
	a.key, a.problem = k, ""
	if a.table == nil { // what was kept has waited for its key
		a.restore()
		a.renderSoon()
	}
	return nil
}

// adoptEpoch lets control's new epoch move sites away from safety.
func (a *Answer) adoptEpoch(epoch uint64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if epoch <= a.manifest.Epoch {
		return fault.New(fault.Conflict, "epoch %d is in force already", a.manifest.Epoch)
	}
	a.local.Adopted = epoch
	return a.folder.SaveLocal(a.local)
}
