package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/feed/publish"
	"lifeboat/internal/incident"
	"lifeboat/internal/lever"
	"lifeboat/internal/store"
)

// act carries out every intent that the record holds and that has no outcome yet:
// those just decided, and after a crash (resume) those left open, which are
// observed before anything is done again. The intents are worked through in the
// order in which they were recorded; the first error is returned at the end.
func (r *runner) act(ctx context.Context, resume bool) ([]incident.Event, error) {
	all, first := r.movePulls(ctx, resume)
	added, err := r.moveShares(ctx)
	return append(all, added...), cmp.Or(first, err)
}

func (r *runner) movePulls(ctx context.Context, resume bool) (all []incident.Event, first error) {
	for {
		p, back, found := r.intent()
		if !found {
			return all, first
		}
		added, err := r.carryOut(ctx, p, back, resume)
		all = append(all, added...)
		if err != nil && first == nil {
			first = err
		}
		if len(added) == 0 { // nothing could be recorded: the intent stays open for the next start
			return all, first
		}
	}
}

// intent gives the next open intent.
func (r *runner) intent() (p incident.Pull, back, found bool) {
	if r.in.Return != nil { // newest first, as the return recorded them
		for _, id := range r.in.Return.Undo {
			if p, known := r.in.Pull(id); known && p.State == incident.Undoing {
				return p, true, true
			}
		}
	}
	for _, p := range r.in.Pulls {
		switch p.State {
		case incident.Applying:
			return p, false, true
		case incident.Undoing:
			return p, true, true
		}
	}
	return incident.Pull{}, false, false
}

// carryOut does one act and records what came of it as seen from outside.
func (r *runner) carryOut(ctx context.Context, p incident.Pull, back, resume bool) ([]incident.Event, error) {
	e := r.e
	e.o.Hook("intent recorded")
	start := e.o.Now()
	var plan lever.Plan
	driver, known := e.drivers[p.Kind]
	if err := json.Unmarshal(p.Plan, &plan); err != nil || !known || len(plan.Steps) != 1 {
		return r.outcome(ctx, p, incident.Outcome{Pull: p.ID, Back: back, Result: incident.Unclear, Detail: "its plan can't be read"}, plan)
	}
	e.mu.Lock()
	e.about[r.id] = r.in.ID
	e.mu.Unlock()
	want := lever.After
	if back {
		want = lever.Before
		plan.Steps[0].Before = r.wayBack(p, plan.Steps[0].Before)
		plan = r.refit(plan)
		if r.goneFeature(p, plan) {
			return r.outcome(ctx, p, incident.Outcome{Pull: p.ID, Back: back, Result: incident.Done, Detail: "the configuration has no such feature any more"}, plan)
		}
	}
	obs, err := r.order(ctx, driver, plan, p, back, resume)
	e.o.Hook("ordered")
	byRule := p.By.Automatic() && !back // comes of a report, which the greeting would have to wait for
	if err != nil && !resume && !byRule && ours(p.Kind) && e.answerLeft() {
		if added, over := r.rejoin(ctx, p, back); over {
			return added, r.came(p, back)
		}
	}
	if err == nil || unsure(err) {
		obs = r.observe(ctx, driver, plan, want)
	}
	e.o.Hook("observed")
	c := judge(obs, err, want)
	c.Pull, c.Back, c.TookMS = p.ID, back, e.o.Now().Sub(start).Milliseconds()
	added, rerr := r.outcome(ctx, p, c, plan)
	e.o.Hook("outcome recorded")
	if rerr != nil {
		return added, rerr
	}
	return added, failure(p, c, err)
}

// rejoin lets an answer that left in the middle of an act come back: its greeting
// finishes the act, as after a crash of ours. over says that this has happened, with
// the events that tell of it. The lock is let go meanwhile: the greeting needs it.
func (r *runner) rejoin(ctx context.Context, p incident.Pull, back bool) (added []incident.Event, over bool) { // with mu held
	id, seq := r.in.ID, r.in.Seq
	r.mu.Unlock()
	r.e.awaitAnswer(ctx)
	r.mu.Lock()
	now, known := r.in.Pull(p.ID)
	if known && (!back && now.State == incident.Applying || back && now.State == incident.Undoing) {
		return nil, false
	}
	_, tail := r.look()
	for _, ev := range tail {
		if ev.Incident == id && ev.Seq > seq {
			added = append(added, ev)
		}
	}
	return added, true
}

// came is the error for whoever pressed, of an act that a greeting has finished.
func (r *runner) came(p incident.Pull, back bool) error {
	now, known := r.in.Pull(p.ID)
	if !known {
		return nil
	}
	return stands(now, back, "answer left in the middle of it")
}

// stands is the error for whoever pressed, where an act is not done by now.
func stands(p incident.Pull, back bool, why string) error {
	if p.State == incident.Undone || p.State == incident.Settled || !back && (p.State == incident.Active || p.State == incident.Undoing) {
		return nil
	}
	return fault.New(fault.Unavailable, "%s: %s, and it is %s now: %s", p.Lever, why, p.State, p.Detail).WithHint("see where things stand with: lifeboat status")
}

// pressed is what came of an act that is asked for again under its key.
func pressed(in incident.Incident, c incident.Command) error {
	lever, back := "", false
	switch c := c.(type) {
	case PullRequest:
		lever = c.Lever
	case incident.PutBack:
		lever, back = c.Lever, true
	}
	for _, p := range slices.Backward(in.Pulls) {
		if p.Lever == lever {
			return stands(p, back, "it was pressed before")
		}
	}
	return nil
}

// wayBack is where a put-back leads. In a return that takes back several pulls of one
// target it is where the first of them found it: nobody is sent to the places between,
// which may be down and would be remembered for a TTL.
func (r *runner) wayBack(p incident.Pull, own json.RawMessage) json.RawMessage {
	if r.in.Return == nil {
		return own
	}
	below := false
	for _, id := range r.in.Return.Undo { // newest first
		q, known := r.in.Pull(id)
		var plan lever.Plan
		if below && known && q.Target == p.Target && q.State == incident.Undoing && json.Unmarshal(q.Plan, &plan) == nil && len(plan.Steps) == 1 {
			own = plan.Steps[0].Before
		}
		below = below || id == p.ID
	}
	return own
}

// settled says whether the world is clearly as before a pull or as after it.
func settled(w lever.World) bool { return w == lever.Before || w == lever.After }

// order gives the order through the driver. After a crash the world is looked at
// first: where it is neither as before nor as after, hands off.
func (r *runner) order(ctx context.Context, d lever.Driver, plan lever.Plan, p incident.Pull, back, resume bool) (lever.Observation, error) {
	token := lever.Token{Revision: uint64(r.head), Pull: p.Lever, By: p.By.Name, Incident: r.in.ID}
	if resume {
		obs, err := d.Observe(ctx, plan, 0)
		if err != nil || !settled(obs.World) {
			return obs, fault.New(fault.Unavailable, "after a restart: %s", obs.Detail)
		}
	}
	if back {
		obs, err := d.Revert(ctx, plan, 0, token)
		if err == nil && obs.World == lever.Foreign {
			err = fault.New(fault.Conflict, "somebody else changed this: %s", obs.Detail)
		}
		return obs, err
	}
	return lever.Observation{World: lever.Before}, d.Apply(ctx, plan, 0, token)
}

// observe looks from outside until the world is as wanted, or the time is up.
func (r *runner) observe(ctx context.Context, d lever.Driver, plan lever.Plan, want lever.World) lever.Observation {
	ctx, cancel := context.WithTimeout(ctx, r.e.o.Waits.Observe)
	defer cancel()
	for rest := 2 * time.Millisecond; ; rest = min(2*rest, 100*time.Millisecond) {
		obs, err := d.Observe(ctx, plan, 0)
		if err != nil {
			obs = lever.Observation{World: lever.Unknown, Detail: err.Error(), At: r.e.o.Now()}
		}
		if obs.World == want {
			return obs
		}
		if pause(ctx, rest); ctx.Err() != nil {
			return obs
		}
	}
}

// unsure says whether an order may have been taken though it came to an error.
func unsure(err error) bool {
	return errors.Is(err, publish.ErrUnsure) || errors.Is(err, lever.ErrUnsure)
}

// judge turns an observation into a result.
func judge(obs lever.Observation, err error, want lever.World) incident.Outcome {
	c := incident.Outcome{Detail: obs.Detail, Result: incident.Unclear}
	if b, merr := json.Marshal(obs.Seen); merr == nil && len(obs.Seen) > 0 {
		c.Seen = b
	}
	other := lever.After
	if want == lever.After {
		other = lever.Before
	}
	switch {
	case obs.World == want:
		c.Result = incident.Done
	case obs.World == other && !unsure(err):
		c.Result = incident.NotDone
	}
	if err != nil && c.Result != incident.Done {
		c.Detail = err.Error()
	}
	if c.Detail == "" {
		c.Detail = "nobody could be asked"
	}
	return c
}

// outcome records a result together with what is ordered by then.
func (r *runner) outcome(ctx context.Context, p incident.Pull, c incident.Outcome, plan lever.Plan) ([]incident.Event, error) {
	site, flag := recordOf(p.Kind, plan)
	writes := r.e.record(site, flag)
	if p.By.Automatic() && !c.Back {
		writes = append(writes, r.e.noteAuto(r.site().ID, r.e.o.Now()))
	}
	f, err := r.facts(ctx, c, incident.Actor{Kind: "system", Name: "lifeboat"})
	if err != nil {
		return nil, err
	}
	return r.decide(ctx, c, f, writes...)
}

// recordOf names what an act has changed of what is ordered.
func recordOf(kind string, plan lever.Plan) (site, flag string) {
	switch kind {
	case kindFeature:
		return "", plan.Target
	case kindZone:
		return plan.Target, ""
	}
	return "", ""
}

// failure is the error for whoever pressed, nil when it is done.
func failure(p incident.Pull, c incident.Outcome, err error) error {
	switch {
	case c.Result == incident.Done:
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", p.Lever, err)
	case c.Result == incident.NotDone:
		return fault.New(fault.Unavailable, "%s was ordered, but from outside nothing has changed: %s", p.Lever, c.Detail).WithHint("see who answers what: lifeboat check")
	}
	if !ours(p.Kind) {
		return fault.New(fault.Unavailable, "we can't tell whether %s took effect: %s", p.Lever, c.Detail).WithHint("look at the flag itself; once it can be seen, so does lifeboat")
	}
	return fault.New(fault.Unavailable, "we can't tell whether %s took effect: %s", p.Lever, c.Detail).WithHint("look: dig, and lifeboat answer status; a name server that is gone for good is taken out of nameservers in the configuration")
}

// noteAuto remembers an automatic move (U4, U5).
func (e *Engine) noteAuto(site string, at time.Time) store.Write {
	var a autoState
	e.note(func(next *ordered) {
		a = next.auto[site]
		if at.After(a.Last) {
			a.Last = at.UTC()
		}
		next.auto[site] = a
	})
	return put(keyAuto+site, a)
}
