package engine

import (
	"context"
	"encoding/json"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/lever"
)

// shareEvery is how often an order that takes a share back is tried until it is given.
const shareEvery = 2 * time.Second

// shares says whether the way back of a plan can go by shares.
func (r *runner) shares(plan lever.Plan) bool {
	s, can := r.e.drivers[plan.Kind].(lever.Sharer)
	return can && !plan.Drill && s.CanShare(plan)
}

// moveShares gives every order for a share that the record holds and that is not known to
// be in force, each once.
func (r *runner) moveShares(ctx context.Context) (all []incident.Event, first error) { // with mu held
	for n := 0; n < len(r.in.Pulls); n++ {
		p := r.in.Pulls[n]
		if !p.Moving() {
			continue
		}
		added, err := r.moveShare(ctx, p)
		all = append(all, added...)
		if err != nil && first == nil {
			first = err
		}
	}
	return all, first
}

// moveShare orders one share and records what came of it. What answer has acknowledged
// is in force: from outside either answer is right. Below a newer pull of the target
// there is nothing to order: that one has ended the share.
func (r *runner) moveShare(ctx context.Context, p incident.Pull) ([]incident.Event, error) {
	r.shareAt = r.e.o.Now()
	r.e.o.Hook("share recorded")
	var plan lever.Plan
	var err error
	if top, _ := r.in.OnTop(p.Target); top.ID == p.ID {
		plan, err = r.shareOut(ctx, p)
	}
	c := incident.Shared{Pull: p.ID, Share: p.Wanted, OK: err == nil, TookMS: r.e.o.Now().Sub(r.shareAt).Milliseconds(), Detail: "answer has the order"}
	if err != nil {
		c.Detail = err.Error()
	}
	f, ferr := r.facts(ctx, c, incident.Actor{Kind: "system", Name: "lifeboat"})
	if ferr != nil {
		return nil, ferr
	}
	site, flag := recordOf(p.Kind, plan)
	added, rerr := r.decide(ctx, c, f, r.e.record(site, flag)...)
	if rerr != nil {
		return added, rerr
	}
	return added, err
}

// shareOut gives the order through the driver. The share leads where the oldest pull of
// the target that goes back with it found visitors, not to a place between.
func (r *runner) shareOut(ctx context.Context, p incident.Pull) (lever.Plan, error) {
	var plan lever.Plan
	if err := json.Unmarshal(p.Plan, &plan); err != nil || len(plan.Steps) != 1 {
		return plan, fault.New(fault.Internal, "the plan of %s can't be read", p.Lever)
	}
	driver, can := r.e.drivers[p.Kind].(lever.Sharer)
	if !can {
		return plan, fault.New(fault.NotSupported, "%s can't go back by shares", p.Lever)
	}
	for _, q := range r.in.Loose() {
		var below lever.Plan
		if q.Target == p.Target && json.Unmarshal(q.Plan, &below) == nil && len(below.Steps) == 1 {
			plan.Steps[0].Before = below.Steps[0].Before
			break
		}
	}
	plan = r.refit(plan)
	token := lever.Token{Revision: uint64(r.head), Pull: p.Lever, By: p.By.Name, Incident: r.in.ID}
	if p.Wanted == 0 {
		return plan, driver.Apply(ctx, plan, 0, token)
	}
	return plan, driver.Share(ctx, plan, 0, p.Wanted, token)
}

// dueShares tries again what could not be taken back.
func (r *runner) dueShares(ctx context.Context) { // with mu held
	if !r.in.Moving() || !passed(r.shareAt, r.e.o.Now(), shareEvery) {
		return
	}
	if _, err := r.moveShares(ctx); err != nil {
		r.complain("a share of the visitors could not be moved", err)
	}
}

// heedShare takes a share back when the real site, which these visitors meet, is seen
// down.
func (r *runner) heedShare(ctx context.Context, now time.Time) { // with mu held
	home := r.site().Home
	s, down := r.e.seen.down(r.id, home, now)
	if !down || !r.e.seen.current(s, now) {
		return
	}
	r.try(ctx, incident.Relapsed{Detail: whyDown(r.site().Title, s)}, incident.Actor{Kind: "rule", Name: "The check " + s.Check})
}
