package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/incident"
	"lifeboat/internal/lever"
	"lifeboat/internal/probe"
	"lifeboat/internal/snapshot"
)

// How often the engine looks whether something is due.
const (
	busyTick = 50 * time.Millisecond // while an incident is open
	calmTick = time.Second

	driftEvery = 15 * time.Second // between looks at what is held, unless the site says otherwise
)

// Run does what time brings: sanity checks, the end of a watch, reminders, and looks
// at what is held. It returns when ctx ends and all it started has ended.
func (e *Engine) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, id := range e.ids { // a site that moves by itself holds up no other one
		wg.Go(func() { e.runners[id].tend(ctx, &wg) }) // ends with ctx
	}
	e.later("delete redacted bodies", e.sweep)
	told := time.NewTicker(calmTick)
	defer told.Stop()
	for {
		select {
		case f := <-e.jobs:
			wg.Go(func() { f(ctx) }) // ends with ctx
		case <-told.C:
			wg.Go(func() { e.catchUp(ctx); e.forgetProofs(ctx) }) // ends with ctx
			wg.Go(func() { e.tendSigning(ctx) })
		case <-ctx.Done():
			return
		}
	}
}

// tend does for one site what time brings, until ctx ends.
func (r *runner) tend(ctx context.Context, wg *sync.WaitGroup) {
	for ctx.Err() == nil {
		wait := calmTick
		if r.due(ctx, wg) {
			wait = busyTick
		}
		pause(ctx, wait)
	}
}

// later runs f beside Run's loops; where too much waits already it does not, and says
// so. f MUST end with its context.
func (e *Engine) later(what string, f func(ctx context.Context)) bool {
	select {
	case e.jobs <- f:
		return true
	default:
		e.o.Logger.Warn("too much waits to be done", "what", what)
		return false
	}
}

// passed says whether a wait is over. A clock that was set back holds nobody up.
func passed(since, now time.Time, wait time.Duration) bool {
	waited := now.Sub(since)
	return waited < 0 || waited >= wait
}

// Status takes what answer says of itself.
func (e *Engine) Status() {
	st, _, connected := e.getFeed().Status()
	if connected {
		e.seen.status(st)
		for _, id := range e.ids {
			e.runners[id].arrivals.note(st.Visits[id], e.o.Now())
			e.runners[id].hours.note(id, st.Sights)
		}
	}
	if e.heard.Swap(connected) != connected {
		e.bell.ring()
	}
}

// due starts what is due for one site; only a move that a rule makes is waited for. It
// says whether an incident is open.
func (r *runner) due(ctx context.Context, wg *sync.WaitGroup) bool {
	if !r.mu.TryLock() { // an act is under way: next time
		return true
	}
	defer r.mu.Unlock()
	r.heed(ctx)
	if !r.in.Phase.Open() {
		return false
	}
	r.dueShares(ctx)
	now, system := r.e.o.Now(), incident.Actor{Kind: "system", Name: "lifeboat"}
	r.countHits(r.in.ID)
	r.tellHeard(ctx, now)
	r.dueFix(now)
	if r.in.ImpactDue {
		r.try(ctx, incident.Measure{Impact: r.impact()}, incident.Actor{Kind: "collector", Name: "lifeboat"})
	}
	if due := r.in.UpdateDue; !due.IsZero() && !r.in.UpdateRem && !now.Before(due) {
		r.try(ctx, incident.UpdateOverdue{}, system)
	}
	switch r.in.Phase {
	case incident.FailBack:
		r.dueSanity(ctx, wg, now)
	case incident.Watch:
		r.dueAgain(now)
		if !now.Before(r.in.WatchUntil) && (len(r.site().Checks) == 0 || r.e.seen.place(r.id, r.site().Home, now) == probe.Up) && r.keptAgain() {
			r.try(ctx, incident.WatchOver{}, system)
		}
	}
	if at, set := r.in.Reminder(); set && !now.Before(at) {
		r.try(ctx, incident.Remind{}, system)
	}
	if passed(r.driftAt, now, r.lookAgain()) {
		r.driftAt = now
		for _, p := range r.in.Holding() {
			if p.State == incident.Active && !p.Drifted || p.State == incident.Stuck {
				wg.Go(func() { r.drift(ctx, p) }) // ends with its observation, bounded
			}
		}
	}
	return true
}

// lookAgain is how long a pulled lever is trusted to hold between two looks.
func (r *runner) lookAgain() time.Duration {
	cfg, _ := r.e.site(r.id)
	return cmp.Or(r.e.o.Waits.Drift, cfg.LookAgain, driftEvery)
}

// dueSanity asks the real site once all checks are due again.
func (r *runner) dueSanity(ctx context.Context, wg *sync.WaitGroup, now time.Time) {
	cfg, _ := r.e.site(r.id)
	ret := r.in.Return
	if ret == nil || ret.Passed || r.asking || r.in.Moving() || !passed(ret.LastAt, now, cfg.Sanity.Apart) {
		return
	}
	r.asking = true
	wg.Go(func() { r.sanity(ctx, cfg.Checks) }) // ends with the checks' own deadlines
}

// sanity asks every gate check at the home origin, by address with the real host
// name, and counts what came of it.
func (r *runner) sanity(ctx context.Context, checks []probe.Check) {
	type result struct {
		check string
		res   probe.Result
	}
	var results []result
	for _, c := range checks {
		if c.Gate {
			results = append(results, result{c.Name, r.askHome(ctx, c)})
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asking = false
	rule := incident.Actor{Kind: "rule", Name: "The return"}
	for _, x := range results {
		if r.in.Phase != incident.FailBack || r.in.Return == nil || r.in.Return.Passed || ctx.Err() != nil {
			return
		}
		r.try(ctx, incident.Sanity{Check: x.check, Verdict: string(x.res.Verdict), Detail: x.res.Detail}, rule)
	}
}

// askHome asks a check at every address of the home origin; the worst answer counts.
func (r *runner) askHome(ctx context.Context, c probe.Check) probe.Result {
	worst := probe.Result{At: r.e.o.Now(), Verdict: probe.Pass}
	for _, t := range r.site().Targets(r.site().Home) {
		res := r.e.o.Ask(ctx, t, c)
		if res.Verdict == probe.Fail || res.Verdict == probe.Inconclusive && worst.Verdict == probe.Pass {
			worst = res
		}
	}
	return worst
}

// drift looks whether a pull still holds (U7). What somebody else changed is shown,
// never fought.
func (r *runner) drift(ctx context.Context, p incident.Pull) {
	var plan lever.Plan
	driver, known := r.e.drivers[p.Kind]
	if err := json.Unmarshal(p.Plan, &plan); err != nil || !known {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, r.e.o.Waits.Observe)
	defer cancel()
	obs, err := driver.Observe(ctx, plan, 0)
	if err == nil && obs.World == lever.Gone {
		r.pullEnded(ctx, p, plan, obs)
		return
	}
	if err == nil && (p.State == incident.Stuck || p.SeenAt.IsZero() && obs.World == lever.After) {
		r.settle(ctx, p, plan, obs)
		return
	}
	if err != nil || (obs.World != lever.Foreign && obs.World != lever.Before) || obs.World == lever.Before && p.Share+p.Wanted > 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	top, on := r.in.OnTop(p.Target)
	if !on || top.ID != p.ID || top.State != incident.Active { // moved on while we looked
		return
	}
	seen, err := json.Marshal(obs.Seen)
	if err != nil {
		return
	}
	r.try(ctx, incident.Drifted{Pull: p.ID, Back: obs.World == lever.Before, Detail: obs.Detail, Seen: seen}, incident.Actor{Kind: "rule", Name: "The look at what is held"})
}

// settle records what a pull came to that nobody could tell the result of, or that was
// taken over without a look, once the world says it clearly.
func (r *runner) settle(ctx context.Context, p incident.Pull, plan lever.Plan, obs lever.Observation) {
	if !settled(obs.World) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now, known := r.in.Pull(p.ID); !known || now.State != p.State || !now.SeenAt.Equal(p.SeenAt) { // moved on while we looked
		return
	}
	if ours(p.Kind) && obs.World != r.e.asked(ctx, p.Kind, plan) { // what is ordered is still on its way there
		return
	}
	c := judge(obs, nil, obs.World)
	c.Pull, c.Back = p.ID, obs.World == lever.Before
	if _, err := r.outcome(ctx, p, c, plan); err != nil {
		r.complain("what a lever came to was not recorded", err)
	}
}

// Drill rehearses a lever on a name that is nobody's: there and back, measured from
// outside. A good one arms the lever.
func (e *Engine) Drill(ctx context.Context, name string, by incident.Actor) (DrillRecord, error) {
	card, err := e.card(name)
	if err != nil {
		return DrillRecord{}, err
	}
	r := e.runners[snapshot.ShadowID(card.Site)]
	ctx = WithExpect(WithKey(ctx, ""), Expect{}) // one key would take the way back for the way there, and an old page would hold up the way back alone
	e.awaitAnswer(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tidy(ctx, name, by)
	rec, err := e.drillRecord(ctx, name)
	if err != nil {
		return rec, err
	}
	cfg, _ := e.site(card.Site)
	rec.LookedOnly = e.shadowless(card)
	var score incident.DrillData
	if rec.LookedOnly {
		score = e.rehearseByLooking(ctx, card)
	} else {
		score = r.rehearse(ctx, name, by)
	}
	rec.At, rec.OK, rec.ThereMS, rec.BackMS, rec.Detail = e.o.Now().UTC(), score.OK, score.ThereMS, score.BackMS, score.Detail
	if score.OK {
		rec.ArmedUntil = rec.At.Add(cfg.ArmedFor)
	}
	if err := e.keepDrill(ctx, r, name, rec, score, by); err != nil {
		return rec, err
	}
	return rec, e.republish(ctx)
}

// tidy ends a drill that was cut off.
func (r *runner) tidy(ctx context.Context, name string, by incident.Actor) { // with mu held
	for _, p := range r.in.Holding() {
		r.try(ctx, incident.PutBack{Lever: p.Lever}, by)
	}
	if r.in.Phase.Open() {
		r.try(ctx, incident.ScoreDrill{DrillData: incident.DrillData{Lever: name, Detail: "it was cut off"}}, by)
	}
}

func (r *runner) rehearse(ctx context.Context, name string, by incident.Actor) incident.DrillData { // with mu held
	score := incident.DrillData{Lever: name}
	start := r.e.o.Now()
	if _, err := r.do(ctx, PullRequest{Lever: name, PullLever: incident.PullLever{Drill: true}}, by); err != nil {
		score.Detail = "the way there: " + err.Error()
		return score
	}
	score.ThereMS = r.e.o.Now().Sub(start).Milliseconds()
	start = r.e.o.Now()
	if _, err := r.do(ctx, incident.PutBack{Lever: name}, by); err != nil {
		score.Detail = "the way back: " + err.Error()
		return score
	}
	score.BackMS, score.OK = r.e.o.Now().Sub(start).Milliseconds(), true
	return score
}

// shadowless says whether there is nothing that a drill of the lever could move.
func (e *Engine) shadowless(card lever.Card) bool {
	d, is := e.drivers[card.Kind].(lever.Shadowed)
	return is && !d.HasShadow(card)
}

// rehearseByLooking is what can be rehearsed of a lever without touching production:
// the preflight and the plan. Nothing is moved, and the record of the drill says so.
func (e *Engine) rehearseByLooking(ctx context.Context, card lever.Card) incident.DrillData {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	score := incident.DrillData{Lever: card.Name}
	start := e.o.Now()
	d := e.drivers[card.Kind]
	ready, err := d.Preflight(ctx, card)
	switch {
	case err != nil:
		score.Detail = "the look: " + err.Error()
		return score
	case !ready.Ready:
		score.Detail = "the look: " + strings.Join(ready.Problems, " ")
		return score
	}
	if _, err := d.Plan(ctx, lever.Request{Card: card, Now: start}); err != nil {
		score.Detail = "the plan: " + err.Error()
		return score
	}
	score.ThereMS, score.OK = e.o.Now().Sub(start).Milliseconds(), true
	return score
}

func (e *Engine) keepDrill(ctx context.Context, r *runner, name string, rec DrillRecord, score incident.DrillData, by incident.Actor) error {
	w := put(keyLever+name, rec)
	if !r.in.Phase.Open() {
		_, err := r.commit(ctx, nil, append(r.e.record(r.id, ""), w))
		return err
	}
	c := incident.ScoreDrill{DrillData: score}
	f, err := r.facts(ctx, c, by)
	if err != nil {
		return err
	}
	_, err = r.decide(ctx, c, f, w)
	return err
}
