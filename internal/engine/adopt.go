package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/feature"
	"lifeboat/internal/feed"
	"lifeboat/internal/incident"
	"lifeboat/internal/lever"
	"lifeboat/internal/probe"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/store"
	"lifeboat/internal/zone"
)

// Connected handles answer's greeting: find out whether the record and answer
// belong together, adopt what answer knows better, publish, then finish what was
// open. It implements publish.Handler.
func (e *Engine) Connected(ctx context.Context, h feed.Hello) error {
	if !slices.Contains(h.Formats, snapshot.Format) {
		return e.unfit(fault.New(fault.NotSupported, "answer does not read manifests of format %d", snapshot.Format).WithHint("upgrade answer first"))
	}
	e.hear(h.Keys)
	_ = e.noteSigning(e.sign(ctx)) // what takes long with large zones is done before acts are held up; below it is made good for the serials that answer has served
	if err := e.stage(ctx, e.world()); err != nil {
		return e.unfit(err)
	}
	for _, id := range e.allRunners() {
		e.runners[id].mu.Lock()
		defer e.runners[id].mu.Unlock()
	}
	if err := e.adopt(ctx, h); err != nil {
		return e.unfit(err)
	}
	if err := e.takeOver(ctx, h.Orders); err != nil {
		return e.unfit(err)
	}
	if err := e.noteSigning(e.sign(ctx)); err != nil && !e.allSigned() { // else what was signed before is still there
		return e.unfit(err)
	}
	if err := e.stage(ctx, e.world()); err != nil {
		return e.unfit(err)
	}
	if err := e.announce(ctx); err != nil {
		return e.unfit(err)
	}
	for _, id := range e.allRunners() {
		r := e.runners[id]
		r.driftAt = time.Time{} // what nobody could tell before may be clear now
		if _, err := r.act(ctx, true); err != nil {
			e.o.Logger.Warn("an open intent was finished with an error", "site", id, "cause", err)
		}
		if r.in.Phase.Open() && !r.in.Drill && len(r.in.Evidence) == 0 { // the control that was told of it has ended before it began
			r.collect(r.in.ID)
		}
	}
	return nil
}

// unfit notes why nothing can be published.
func (e *Engine) unfit(err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.problem = err.Error()
	return err
}

// allRunners gives the runners' ids in a fixed order, so that locks are always taken
// alike.
func (e *Engine) allRunners() []string {
	return slices.Sorted(maps.Keys(e.runners))
}

// adopt decides the epoch. A new store, a store put back from a backup and a store
// of another life all take answer's word for every position and start an epoch of
// their own.
func (e *Engine) adopt(ctx context.Context, h feed.Hello) error {
	rev, err := e.o.Store.Revision(ctx)
	if err != nil {
		return err
	}
	var l lineage
	if err := get(ctx, e.o.Store, keyLineage, &l); err != nil {
		return err
	}
	e.changing.Lock()
	defer e.changing.Unlock()
	e.mu.Lock()
	next := e.ordered.clone()
	e.mu.Unlock()
	stranger := l.Epoch == 0 || h.Epoch > l.Epoch || (h.Epoch == l.Epoch && h.Revision > uint64(rev))
	if stranger {
		next.epoch = max(h.Epoch, l.Epoch) + 1
		e.o.Logger.Info("a new epoch begins", "epoch", next.epoch, "answer_epoch", h.Epoch, "answer_revision", h.Revision, "store_revision", uint64(rev))
	}
	e.adoptPositions(&next, h, stranger)
	changed := l.Config != e.config
	e.adoptSerials(&next, h.Serials, changed)
	for site, at := range h.LastAuto {
		if a := next.auto[site]; at.After(a.Last) {
			a.Last = at
			next.auto[site] = a
		}
	}
	writes := append(next.writes(), put(keyLineage, lineage{Epoch: next.epoch, Starts: l.Starts + 1, Config: e.config}))
	for apex, n := range e.o.Sizes {
		writes = append(writes, put(keySize+apex, n))
	}
	if _, err := e.o.Store.Txn(ctx, nil, writes); err != nil {
		return fmt.Errorf("record what answer serves: %w", err)
	}
	if changed && l.Config != "" {
		e.later("note the changed configuration", e.noteConfiguration)
	}
	e.mu.Lock()
	e.ordered = next
	e.mu.Unlock()
	return nil
}

// adoptPositions takes answer's positions: all of them when the store is a stranger,
// else only those of sites with an open intent, whose outcome nobody has recorded.
func (e *Engine) adoptPositions(next *ordered, h feed.Hello, all bool) {
	local := map[string]bool{}
	for _, o := range h.Orders {
		local[o.Site] = true
	}
	for _, s := range e.contents().Sites {
		pos, served := h.Positions[s.ID]
		if _, has := s.Positions[pos]; !served || !has || local[s.ID] {
			continue
		}
		if !all {
			if _, _, open := e.runners[s.ID].intent(); !open {
				continue
			}
		}
		o := next.sites[s.ID]
		share := h.Shares[s.ID]
		if o.Position != pos || !sameShare(o.Share, share) {
			o.Position, o.Since, o.Generation, o.Share = pos, e.o.Now().UTC(), o.Generation+1, share
			next.sites[s.ID] = o
		}
	}
	for key, o := range h.Flags {
		if _, known := e.contents().Flag(key); known && all {
			next.flags[key] = o
		}
	}
	for key := range e.flagsUnderWay() {
		delete(next.flags, key)
		if o, served := h.Flags[key]; served {
			next.flags[key] = o
		}
	}
}

// sameShare says whether two shares send the same visitors to the same place.
func sameShare(a, b *snapshot.Share) bool {
	return a == b || a != nil && b != nil && a.Position == b.Position && a.Percent == b.Percent
}

// adoptSerials takes answer's serials where they are newer. All grow where the parts
// may have changed, and a new zone gets its first.
func (e *Engine) adoptSerials(next *ordered, served map[string]uint32, changed bool) {
	for apex, n := range served {
		if zone.SerialNewer(n, next.serials[apex]) || next.serials[apex] == 0 {
			next.serials[apex] = n
		}
	}
	for _, z := range e.contents().Zones {
		if next.serials[z.Apex] == 0 {
			next.serials[z.Apex] = uint32(e.o.Now().Unix())
		} else if changed {
			next.serials[z.Apex] = zone.NextSerial(next.serials[z.Apex])
		}
	}
}

// flagsUnderWay are the features with an open intent: only answer knows whether it was
// carried out.
func (e *Engine) flagsUnderWay() map[string]bool { // with all runners' mu held
	out := map[string]bool{}
	for _, r := range e.runners {
		for _, p := range r.in.Pulls {
			if key, is := strings.CutPrefix(p.Target, "feature:"); is && (p.State == incident.Applying || p.State == incident.Undoing) {
				out[key] = true
			}
		}
	}
	return out
}

// takeOver writes local orders into the record with their own times, and opens an
// incident "found at start" for a site that is away from home without one, so that
// there is a way back. It looks at every greeting: the one that took answer's positions
// may have been cut off before it came to this.
func (e *Engine) takeOver(ctx context.Context, orders []snapshot.Order) error { // with all runners' mu held
	for _, o := range orders {
		if e.hasTaken(o.ID) { // answer has not heard of it yet; what was ordered since counts
			continue
		}
		if err := e.takeOrder(ctx, o); err != nil {
			return fmt.Errorf("take over local order %s: %w", o.ID, err)
		}
	}
	for _, id := range e.ids {
		r := e.runners[id]
		if err := errors.Join(e.explain(ctx, r), e.explainFlags(ctx, r)); err != nil {
			return fmt.Errorf("open an incident for %s: %w", id, err)
		}
	}
	return nil
}

// explainFlags does for features what explain does for the site's position.
func (e *Engine) explainFlags(ctx context.Context, r *runner) error {
	_, orders := e.Features()
	for _, l := range r.site().Levers {
		o, set := orders[l.Feature]
		held := slices.ContainsFunc(append(r.in.Holding(), r.parked...), func(p incident.Pull) bool { return p.Lever == l.Name })
		if l.Feature == "" || !set || o.Lever != l.Name || held {
			continue
		}
		c := incident.Adopt{
			PullID: e.o.NewID(), At: e.o.Now(), By: incident.Actor{Kind: "system", Name: "lifeboat"},
			Title: fmt.Sprintf("%s: found at start with %s pulled", r.site().Title, l.Name), Detail: "Found at start; the record does not say who pulled it.",
		}
		card, err := e.card(l.Name)
		if err != nil {
			return err
		}
		if err := e.adoptLever(ctx, r, card, c); err != nil {
			return err
		}
	}
	return nil
}

// takeOrder adopts one local order: the world already is as it says.
func (e *Engine) takeOrder(ctx context.Context, o snapshot.Order) error {
	r, known := e.runners[o.Site]
	if !known {
		e.o.Logger.Warn("a local order is for a site that is not in the configuration", "site", o.Site, "lever", o.Lever)
		e.note(func(next *ordered) { next.take(o.ID) })
		return nil
	}
	card, left := e.cardOf(r.site(), o)
	if !left {
		e.o.Logger.Warn("a local order is for something that is not in the configuration", "site", o.Site, "lever", o.Lever, "position", o.Position, "feature", o.Feature)
		e.note(func(next *ordered) { next.take(o.ID) })
		return nil
	}
	by := incident.Actor{Kind: "person", ID: o.By, Name: "root (" + o.By + ")", Via: "socket"}
	if o.By == "rule" {
		by = incident.Actor{Kind: "rule", Name: "The rule for silence", Via: "socket"}
	}
	c := incident.Adopt{PullID: o.ID, At: o.At, By: by, Detail: o.Reason, Title: r.site().Title + " was failed over at answer"}
	if err := e.adoptLever(ctx, r, card, c); err != nil {
		return err
	}
	e.note(func(next *ordered) {
		next.take(o.ID)
		if o.Feature != "" {
			next.flags[o.Feature] = feature.Order{Value: o.Value, Lever: o.Lever, Incident: r.in.ID, By: o.By, Since: o.At.UTC().Format(time.RFC3339)}
			return
		}
		so := next.sites[o.Site]
		so.Position, so.Since, so.Generation, so.Incident, so.Share = o.Position, o.At, so.Generation+1, r.in.ID, nil
		next.sites[o.Site] = so
	})
	return nil
}

// maxTaken is how many local orders a manifest names as taken over.
const maxTaken = 64

// take names a local order as taken over, in this and the next manifests.
func (o *ordered) take(id string) {
	o.taken = append(slices.Clone(o.taken), id)
	if n := len(o.taken); n > maxTaken {
		o.taken = o.taken[n-maxTaken:]
	}
}

// hasTaken says whether a local order was taken over. It is in the record, so that
// one which is told again after a restart does not move the site a second time.
func (e *Engine) hasTaken(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Contains(e.ordered.taken, id)
}

// explain opens an incident for a site that is away from home for no reason on
// record.
func (e *Engine) explain(ctx context.Context, r *runner) error {
	e.mu.Lock()
	pos, err := e.position(r.id)
	e.mu.Unlock()
	if err != nil || pos == r.site().Home {
		return err
	}
	if top, on := r.in.OnTop("zone:" + r.id); on && (top.To == pos || top.State != incident.Active) {
		return nil
	}
	if slices.ContainsFunc(r.parked, func(p incident.Pull) bool { return p.To == pos && p.Kind == kindZone }) {
		return nil
	}
	name := ""
	for _, l := range r.site().Levers {
		if l.Kind == kindZone && l.Position == pos {
			name = l.Name
		}
	}
	c := incident.Adopt{
		PullID: e.o.NewID(), At: e.o.Now(), By: incident.Actor{Kind: "system", Name: "lifeboat"},
		Title: fmt.Sprintf("%s: found at start at %s", r.site().Title, pos), Detail: "Found at start; the record does not say who moved it.",
	}
	card, _ := e.cardOf(r.site(), snapshot.Order{Lever: name, Position: pos}) // the site has the position
	return e.adoptLever(ctx, r, card, c)
}

// adoptLever records a pull that has happened. Its plan leads home.
func (e *Engine) adoptLever(ctx context.Context, r *runner, card lever.Card, c incident.Adopt) error {
	f, err := r.facts(ctx, c, c.By)
	if err != nil {
		return err
	}
	plan, err := e.drivers[card.Kind].Plan(ctx, lever.Request{Card: card, Now: e.o.Now()})
	if err != nil {
		return err
	}
	plan.Steps[0].Before = homeOf(card, r.site())
	l, err := r.leverFacts(ctx, card, plan)
	if err != nil {
		return err
	}
	f.Lever = &l
	var writes []store.Write
	if c.By.Automatic() && c.By.Via == "socket" {
		writes = append(writes, e.noteAuto(r.site().ID, c.At))
	}
	_, err = r.decide(ctx, c, f, writes...)
	return err
}

// announce publishes everything and lets orders through. All of it is in the record
// first: answer lets go of a local order once a manifest has taken it over.
func (e *Engine) announce(ctx context.Context) error {
	e.mu.Lock()
	writes := e.ordered.writes()
	e.mu.Unlock()
	if _, err := e.o.Store.Txn(ctx, nil, writes); err != nil {
		return err
	}
	return e.publishAll(ctx)
}

func (e *Engine) publishAll(ctx context.Context) error {
	e.changing.Lock()
	defer e.changing.Unlock()
	e.mu.Lock()
	next := e.ordered.clone()
	e.mu.Unlock()
	if err := e.publish(ctx, next); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.ready {
		e.ready, e.problem = true, ""
		close(e.greeted)
	}
	return nil
}

// Reports handles what answer saw and did. It implements publish.Handler.
func (e *Engine) Reports(ctx context.Context, reports []feed.Report) {
	for _, rep := range reports { // all of them first: what fell and rose again while nobody listened is up
		if t := rep.Transition; t != nil {
			e.o.Logger.Info("answer has seen a change", "site", t.Target.Site, "place", t.Target.Place, "check", t.Check, "from", t.From, "to", t.To, "at", t.At)
			e.seen.transition(*t)
			e.bell.ring()
		}
	}
	for _, rep := range reports {
		switch {
		case rep.Transition != nil:
			e.onTransition(ctx, *rep.Transition)
		case rep.Order != nil:
			e.onOrder(ctx, *rep.Order)
		case rep.Gap > 0:
			e.o.Logger.Warn("reports of answer were lost", "count", rep.Gap)
			e.noteAll(ctx, fmt.Sprintf("%d reports of what was seen were lost before %s.", rep.Gap, rep.At.UTC().Format(time.TimeOnly)))
		}
	}
}

// onOrder takes over a local order that was given while control was there.
func (e *Engine) onOrder(ctx context.Context, o snapshot.Order) {
	r, known := e.runners[o.Site]
	if !known {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.hasTaken(o.ID) {
		return
	}
	if err := e.takeOrder(ctx, o); err != nil {
		e.o.Logger.Error("a local order was not taken over", "order", o.ID, "cause", err)
		return
	}
	if err := e.announce(ctx); err != nil {
		e.o.Logger.Error("a local order was taken over but not published", "order", o.ID, "cause", err)
	}
}

// noteAll writes a note of lifeboat's own into every open incident.
func (e *Engine) noteAll(ctx context.Context, text string) {
	for _, id := range e.ids {
		r := e.runners[id]
		r.mu.Lock()
		if r.in.Phase.Open() {
			if _, err := r.do(ctx, incident.Note{Text: text}, incident.Actor{Kind: "system", Name: "lifeboat"}); err != nil {
				e.o.Logger.Warn("a note was not recorded", "cause", err)
			}
		}
		r.mu.Unlock()
	}
}

// onTransition follows what the checks see. What has to be done about it is decided
// by look at what is seen, so that a change missed by an earlier control counts too.
func (e *Engine) onTransition(ctx context.Context, t probe.Transition) {
	r, known := e.runners[t.Target.Site]
	if !known {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seeTransition(ctx, t)
	if t.To != probe.Down {
		return
	}
	r.ruleAt = time.Time{}
	r.heed(ctx)
}

// ruleEvery is how often a rule tries again what was refused.
const ruleEvery = time.Second

// heed acts on what is seen of the place where visitors are: propose, move by itself
// where the site asks for it, or say that it is not over yet.
func (r *runner) heed(ctx context.Context) { // with mu held
	now := r.e.o.Now()
	if !passed(r.ruleAt, now, ruleEvery) {
		return
	}
	r.ruleAt = now
	pos, err := r.e.Position(ctx, r.id)
	if err != nil {
		return
	}
	if r.in.Phase == incident.FailBack && r.in.BackShare() > 0 {
		r.heedShare(ctx, now)
	}
	if pos == snapshot.Standby {
		return
	}
	if s, down := r.e.seen.down(r.id, pos, now); down && r.e.seen.current(s, now) {
		r.onDown(ctx, s)
	}
}

func whyDown(title string, s feed.Sight) string {
	return fmt.Sprintf("%s is seen down: %s (check %s)", title, s.Last.Detail, s.Check)
}

func (r *runner) onDown(ctx context.Context, s feed.Sight) { // with mu held
	why := whyDown(r.site().Title, s)
	rule := incident.Actor{Kind: "rule", Name: "The check " + s.Check}
	if (r.in.Phase == incident.Watch || r.in.Phase == incident.Review) && !s.Since.Before(r.in.WentOnAt()) {
		r.try(ctx, incident.Relapsed{Detail: why}, rule)
	}
	name, ok := r.remedy()
	if !ok || r.site().Failover == "off" {
		return
	}
	if r.site().Failover == "auto" {
		_, err := r.do(ctx, PullRequest{Lever: name}, rule)
		if err == nil {
			return
		}
		r.complain("an automatic failover was not made", err)
	}
	if r.in.Phase.Open() && (r.in.Proposed == name || len(r.in.Loose()) > 0) {
		return
	}
	f, err := r.facts(ctx, PullRequest{Lever: name}, rule)
	if err != nil {
		r.complain("no lever could be proposed", err)
		return
	}
	f.At = s.Since
	if _, err := r.decide(ctx, incident.Propose{Why: why}, f); err != nil {
		r.complain("a proposal was not recorded", err)
	}
}

// complain logs what a rule could not do, once for each reason.
func (r *runner) complain(what string, err error) {
	if said := what + err.Error(); said != r.said {
		r.said = said
		r.e.o.Logger.Warn(what, "site", r.id, "cause", err)
	}
}

// try runs a command of a rule whose refusal is of no consequence.
func (r *runner) try(ctx context.Context, c incident.Command, by incident.Actor) {
	if _, err := r.do(ctx, c, by); err != nil {
		r.e.o.Logger.Info("a rule's command came to nothing", "site", r.id, "cause", err)
	}
}

// remedy is the lever that a rule would pull: the first one to the standby.
func (r *runner) remedy() (string, bool) {
	for _, l := range r.site().Levers {
		if l.Kind == kindZone && l.Position == snapshot.Standby {
			return l.Name, true
		}
	}
	return "", false
}
