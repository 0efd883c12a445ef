package engine

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/feature"
	"lifeboat/internal/feed/publish"
	"lifeboat/internal/lever"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/store"
	"lifeboat/internal/zone"
)

// errNotYet is returned for orders before answer has greeted.
func errNotYet() error {
	return fault.New(fault.Unavailable, "the answer process is not connected").WithHint("on its machine: lifeboat answer pull LEVER")
}

// Position is where a site is ordered to be. It implements lever.Orders.
func (e *Engine) Position(_ context.Context, site string) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.position(site)
}

func (e *Engine) position(site string) (string, error) { // with mu held
	s, known := e.contents().Site(site)
	if !known {
		return "", fault.New(fault.NotFound, "there is no site %q", site)
	}
	if o, said := e.ordered.sites[site]; said {
		if _, has := s.Positions[o.Position]; has {
			return o.Position, nil
		}
	}
	return s.Home, nil
}

// Flag is the value ordered for a feature, nil when it has its own. It implements
// lever.Orders.
func (e *Engine) Flag(_ context.Context, key string) (json.RawMessage, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, known := e.contents().Flag(key); !known {
		return nil, fault.New(fault.NotFound, "there is no feature %q", key)
	}
	if o, ordered := e.ordered.flags[key]; ordered {
		return o.Value, nil
	}
	return nil, nil
}

// Move orders a site to a position and waits for answer's word. It implements
// lever.Orders.
func (e *Engine) Move(ctx context.Context, site, position string, t lever.Token) error {
	s, known := e.contents().Site(site)
	if _, has := s.Positions[position]; !known || !has {
		return fault.New(fault.NotFound, "site %q has no position %q", site, position)
	}
	return e.change(ctx, "site/"+site, &t, func(next *ordered) {
		o := next.sites[site]
		o.Position, o.Since, o.Generation, o.Share = position, e.o.Now().UTC(), o.Generation+1, nil
		o.Incident = ""
		if position != s.Home {
			o.Incident = e.about[site] // its title is the staff's, not for the page
		}
		next.sites[site] = o
		for _, z := range e.zonesOf(site) {
			next.serials[z] = zone.NextSerial(next.serials[z])
		}
	})
}

// Share orders that about percent of those who ask are sent to another position than
// the site's, and waits for answer's word. It implements lever.Orders.
func (e *Engine) Share(ctx context.Context, site, position string, percent int, t lever.Token) error {
	s, known := e.contents().Site(site)
	if _, has := s.Positions[position]; !known || !has {
		return fault.New(fault.NotFound, "site %q has no position %q", site, position)
	}
	if percent < 0 || percent > 99 {
		return fault.New(fault.Invalid, "%d %% of visitors can't be sent to %s", percent, position).WithHint("say 0 to 99; all of them are a move")
	}
	at, err := e.Position(ctx, site)
	if err != nil {
		return err
	}
	if at == position && percent > 0 {
		return fault.New(fault.Conflict, "%s is at %s already", site, position).WithHint("name the position that a part of visitors is sent to")
	}
	err = e.change(ctx, "site/"+site, &t, func(next *ordered) {
		o := next.sites[site]
		o.Position, o.Generation, o.Share = at, o.Generation+1, nil
		if percent > 0 {
			o.Share = &snapshot.Share{Position: position, Percent: percent, Since: e.o.Now().UTC()}
		}
		next.sites[site] = o
		for _, z := range e.zonesOf(site) {
			next.serials[z] = zone.NextSerial(next.serials[z])
		}
	})
	if err != nil {
		return err
	}
	_, err = e.o.Store.Txn(ctx, nil, e.record(site, "")) // no event need follow, and a new control has to know
	return err
}

// Shared is the share of a site's visitors that is sent elsewhere, percent 0 for none.
// It implements lever.Orders.
func (e *Engine) Shared(_ context.Context, site string) (position string, percent int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, err := e.position(site); err != nil {
		return "", 0, err
	}
	if s := e.ordered.sites[site].Share; s != nil {
		return s.Position, s.Percent, nil
	}
	return "", 0, nil
}

// SetFlag orders a value for a feature; nil takes the order back. It implements
// lever.Orders.
func (e *Engine) SetFlag(ctx context.Context, key string, value json.RawMessage, t lever.Token) error {
	if _, known := e.contents().Flag(key); !known {
		return fault.New(fault.NotFound, "there is no feature %q", key)
	}
	return e.change(ctx, "flag/"+key, &t, func(next *ordered) {
		delete(next.flags, key)
		if value != nil {
			next.flags[key] = feature.Order{Value: value, Lever: t.Pull, Incident: t.Incident, By: t.By, Since: e.o.Now().UTC().Format(time.RFC3339)}
		}
	})
}

// ShareFlag lets a share of those who ask have the flag's own value again, although
// another is ordered; who ordered it and when stays. It implements lever.Orders.
func (e *Engine) ShareFlag(ctx context.Context, key string, percent int, t lever.Token) error {
	value, err := e.Flag(ctx, key)
	switch {
	case err != nil:
		return err
	case percent < 0 || percent > feature.Whole:
		return fault.New(fault.Invalid, "a share of %d percent can't be", percent).WithHint("say 0 to %d", feature.Whole)
	case value == nil:
		return fault.New(fault.Conflict, "nothing is ordered for the feature %q: everybody has its own value", key)
	}
	return e.change(ctx, "flag/"+key, &t, func(next *ordered) {
		if o, set := next.flags[key]; set { // or it was taken back meanwhile, which is more than a share
			o.Share = percent
			next.flags[key] = o
		}
	})
}

// change changes what is ordered and publishes it. Changes happen one after the
// other; looking never waits for one.
func (e *Engine) change(ctx context.Context, what string, t *lever.Token, f func(next *ordered)) error {
	e.changing.Lock()
	defer e.changing.Unlock()
	e.mu.Lock()
	err := e.connected()
	if err == nil && t != nil {
		err = e.pass(what, *t)
	}
	next := e.ordered.clone()
	if err == nil {
		f(&next)
	}
	e.mu.Unlock()
	if err != nil {
		return err
	}
	return e.publish(ctx, next)
}

// note changes what is remembered without publishing it.
func (e *Engine) note(f func(next *ordered)) {
	e.changing.Lock()
	defer e.changing.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	next := e.ordered.clone()
	f(&next)
	e.ordered = next
}

// pass lets a token by that is not older than the newest one seen: a delayed writer
// must not undo a newer order.
func (e *Engine) pass(what string, t lever.Token) error { // with mu held
	if t.Revision < e.fence[what] {
		return fault.New(fault.Conflict, "a newer order has been given since")
	}
	e.fence[what] = t.Revision
	return nil
}

// connected says whether answer is there and has been asked what it serves.
func (e *Engine) connected() error { // with mu held
	if e.ready {
		return nil
	}
	if e.problem != "" {
		return fault.New(fault.Unavailable, "nothing can be published: %s", e.problem).WithHint("see: lifeboat answer status")
	}
	return errNotYet()
}

// awaitAnswer gives answer a moment to come back before an act is tried; whether it
// did is for the act to find out.
func (e *Engine) awaitAnswer(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, e.o.Waits.Answer)
	defer cancel()
	for e.answerLeft() && ctx.Err() == nil {
		e.mu.Lock()
		greeted := e.greeted
		e.mu.Unlock()
		select {
		case <-greeted: // or it has left and not been missed yet
			pause(ctx, leftTick)
		case <-ctx.Done():
		}
	}
}

// leftTick is how often it is looked whether answer is back.
const leftTick = 2 * time.Millisecond

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// answerLeft says whether answer is away, or has not been greeted since.
func (e *Engine) answerLeft() bool {
	_, _, connected := e.getFeed().Status()
	e.mu.Lock()
	defer e.mu.Unlock()
	return !connected || !e.ready
}

// Arriving says that an answer is about to greet: nothing is published before that
// has been handled. It implements publish.Handler.
func (e *Engine) Arriving() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ready {
		e.ready, e.greeted = false, make(chan struct{})
	}
}

// publish signs and sends what is to be ordered, and makes it what is ordered once
// answer has it. When answer's word is missing it counts as ordered: it was asked
// for, and the observation tells the rest.
func (e *Engine) publish(ctx context.Context, next ordered) error { // with changing held
	m, err := e.manifest(ctx, next)
	if err != nil {
		return err
	}
	signed, err := snapshot.Sign(m, e.o.Key)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, e.o.Waits.Answer)
	defer cancel()
	ack, err := e.getFeed().Publish(ctx, m, signed, e.world().parts)
	if err != nil && !errors.Is(err, publish.ErrUnsure) {
		return err
	}
	for apex, served := range ack.Serials {
		if zone.SerialNewer(served, next.serials[apex]) {
			next.serials[apex] = served
		}
	}
	e.mu.Lock()
	e.ordered, e.last = next, m
	e.mu.Unlock()
	if ack.Kept != "" {
		e.o.Logger.Warn("answer has the order in force but not on disk", "cause", ack.Kept)
	}
	return err
}

// manifest builds what is published. Its revision is the store's, so that a store
// put back from a backup shows; where nothing was written since the last manifest
// the store is moved on.
func (e *Engine) manifest(ctx context.Context, o ordered) (snapshot.Manifest, error) { // with changing held, so that last stays
	rev, err := e.o.Store.Revision(ctx)
	if err != nil {
		return snapshot.Manifest{}, err
	}
	if e.last.Epoch == o.epoch && uint64(rev) <= e.last.Revision {
		if rev, err = e.o.Store.Txn(ctx, nil, []store.Write{put(keyPublished, e.o.Now())}); err != nil {
			return snapshot.Manifest{}, err
		}
	}
	m := snapshot.Manifest{
		Format: snapshot.Format, Epoch: o.epoch, Revision: uint64(rev), At: e.o.Now().UTC(), Parts: e.world().refs,
		Sites: map[string]snapshot.SiteOrder{}, Features: o.flags, Serials: o.serials, Taken: o.taken, Challenges: o.challenges(),
	}
	if _, signed := m.Parts[snapshot.PartSignatures]; signed {
		m.Must = append(m.Must, snapshot.MustSign)
	}
	for _, s := range e.contents().Sites {
		so := o.sites[s.ID]
		if so.Position == "" {
			so.Position = s.Home
		}
		so.Auto = e.auto(s, o)
		so.Title, so.Message, so.TTLCap = "", e.runners[s.ID].publicMessage(), e.runners[s.ID].ttlCap(so.Share != nil)
		m.Sites[s.ID] = so
	}
	return m, nil
}

// republish sends what is ordered again, for instance when a lever became armed.
func (e *Engine) republish(ctx context.Context) error {
	e.mu.Lock()
	ready := e.ready
	e.mu.Unlock()
	if !ready {
		return nil // the next greeting publishes everything
	}
	return e.change(ctx, "", nil, func(*ordered) {})
}

// catchUp publishes what the record says and answer was not told: a publishing that
// follows an event may fail, and whoever caused it is not kept waiting.
func (e *Engine) catchUp(ctx context.Context) {
	if e.behind() {
		_ = e.republish(ctx) // it is tried again, and was complained of when it failed first
	}
}

// behind says whether homes, words to the public or how long answers may be kept differ
// from what was published last.
func (e *Engine) behind() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.ready {
		return false
	}
	for _, id := range e.ids {
		if last, r := e.last.Sites[id], e.runners[id]; last.Message != r.publicMessage() || last.TTLCap != r.ttlCap(last.Share != nil) {
			return true
		}
	}
	return !maps.Equal(e.last.Parts, e.world().refs)
}

// zonesOf are the zones in which a name follows the site.
func (e *Engine) zonesOf(site string) []string {
	var out []string
	for _, z := range e.contents().Zones {
		if follows(z, site) {
			out = append(out, z.Apex)
		}
	}
	return out
}

// follows says whether a name of the zone follows the site.
func follows(z zone.Source, site string) bool {
	return slices.Contains(slices.Collect(maps.Values(z.Follow)), site)
}

func (o ordered) clone() ordered {
	o.sites, o.flags, o.serials, o.auto = maps.Clone(o.sites), maps.Clone(o.flags), maps.Clone(o.serials), maps.Clone(o.auto)
	o.proofs = maps.Clone(o.proofs)
	return o
}

// record gives the writes that keep what is ordered for a site and its zones, and
// for a feature.
func (e *Engine) record(site, flag string) []store.Write {
	e.mu.Lock()
	defer e.mu.Unlock()
	var w []store.Write
	if o, said := e.ordered.sites[site]; said {
		w = append(w, put(keySite+site, o))
	}
	for _, z := range e.zonesOf(site) {
		w = append(w, put(keySerial+z, e.ordered.serials[z]))
	}
	if flag != "" {
		if o, set := e.ordered.flags[flag]; set {
			w = append(w, put(keyFlag+flag, o))
		} else {
			w = append(w, store.Write{Key: keyFlag + flag, Delete: true})
		}
	}
	return w
}

// writes keep all that is ordered.
func (o ordered) writes() []store.Write {
	w := []store.Write{put(keyTaken, o.taken)}
	for id, so := range o.sites {
		w = append(w, put(keySite+id, so))
	}
	for key, fo := range o.flags {
		w = append(w, put(keyFlag+key, fo))
	}
	for apex, n := range o.serials {
		w = append(w, put(keySerial+apex, n))
	}
	return w
}

// asked says which end of a plan is ordered now, of what we order ourselves.
func (e *Engine) asked(ctx context.Context, kind string, plan lever.Plan) lever.World {
	if len(plan.Steps) != 1 {
		return lever.Unknown
	}
	from, to := ends(plan)
	var now string
	var err error
	if kind == kindFeature {
		var raw json.RawMessage
		raw, err = e.Flag(ctx, plan.Target)
		now = string(raw)
	} else {
		now, err = e.Position(ctx, plan.Target)
	}
	switch {
	case err != nil:
		return lever.Unknown
	case now == to:
		return lever.After
	case now == from:
		return lever.Before
	}
	return lever.Unknown
}
