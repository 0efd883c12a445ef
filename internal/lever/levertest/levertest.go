// Package levertest is the contract of lever.Driver as tests that every driver
// passes (Run), and stand-ins for its neighbours: Orders in place of the engine,
// Fake in place of a driver.
//
// Only tests import it. It knows no driver: a driver's own test gives Run a Stage,
// which is the driver, the world that it moves, and ways to hurt that world.
//
// Concurrency: Run runs its tests side by side, each on a Stage of its own. Orders
// and Fake may be used from any goroutine.
package levertest

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
)

// Stage is a driver and its world, for one test. All fields MUST be set.
type Stage struct {
	Driver  lever.Driver
	Restart func() lever.Driver // the same driver in a new process: nothing in memory is left

	Card lever.Card            // a lever that moves the world away from where it is now
	Bad  map[string]lever.Card // levers that can't work, by what is wrong with them

	State  func() string         // what a visitor gets now, found out without the driver
	Drift  func()                // somebody else moves the world to where no plan of Card leads
	Blind  func() (again func()) // no witness can be reached any more
	Hang   func() (again func()) // every witness takes the question and never answers
	Fail   func(err error)       // what orders come to from now on; nil: they work
	Writes func() int            // orders that came through so far
}

// guard ends a test whose driver does not come back.
const guard = 20 * time.Second

// Run tests a driver against the contract. open makes a new world each time.
func Run(t *testing.T, open func(t *testing.T) *Stage) {
	t.Helper()
	for name, test := range map[string]func(*story){
		"says what it is":                               (*story).saysWhatItIs,
		"a plan reads and writes nothing":               (*story).planReads,
		"there and back":                                (*story).thereAndBack,
		"apply twice":                                   (*story).applyTwice,
		"revert twice":                                  (*story).revertTwice,
		"a crash before the act":                        (*story).crashBefore,
		"a crash after the act":                         (*story).crashAfter,
		"drift stops the way back":                      (*story).drift,
		"a witness that can't be reached":               (*story).blind,
		"a witness that never answers":                  (*story).hang,
		"an ended context":                              (*story).ended,
		"bad sections are refused politely":             (*story).badSections,
		"steps that are not in the plan are refused":    (*story).badSteps,
		"orders that fail leave the world":              (*story).ordersFail,
		"a newer token shuts out an older one":          (*story).fenced,
		"a drill moves nothing of production's":         (*story).drill,
		"preflight reads, and tells of a blind witness": (*story).preflight,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(&story{Stage: open(t), t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)})
		})
	}
}

// story is one test under way.
type story struct {
	*Stage
	t   *testing.T
	now time.Time
}

func (s *story) context() context.Context {
	ctx, cancel := context.WithTimeout(s.t.Context(), guard)
	s.t.Cleanup(cancel)
	return ctx
}

var token = lever.Token{Revision: 7, Pull: "P1", By: "Ada", Incident: "I1"}

// plan makes a plan and sends it through JSON, as the store does.
func (s *story) plan(drill bool) lever.Plan {
	s.t.Helper()
	p, err := s.Driver.Plan(s.context(), lever.Request{Card: s.Card, Drill: drill, Now: s.now})
	if err != nil {
		s.t.Fatalf("plan: %v", err)
	}
	b, err := json.Marshal(p)
	if err != nil {
		s.t.Fatalf("store the plan: %v", err)
	}
	var stored lever.Plan
	if err := json.Unmarshal(b, &stored); err != nil {
		s.t.Fatalf("read the plan: %v", err)
	}
	return stored
}

func (s *story) apply(p lever.Plan) {
	s.t.Helper()
	for i := range p.Steps {
		if err := s.Driver.Apply(s.context(), p, i, token); err != nil {
			s.t.Fatalf("apply step %d: %v", i, err)
		}
	}
}

// revert puts all steps back, last first.
func (s *story) revert(p lever.Plan) lever.Observation {
	s.t.Helper()
	var obs lever.Observation
	for i := len(p.Steps) - 1; i >= 0; i-- {
		var err error
		if obs, err = s.Driver.Revert(s.context(), p, i, token); err != nil {
			s.t.Fatalf("revert step %d: %v", i, err)
		}
	}
	return obs
}

// sees fails unless every step is observed as want.
func (s *story) sees(p lever.Plan, want lever.World) {
	s.t.Helper()
	for i := range p.Steps {
		obs, err := s.Driver.Observe(s.context(), p, i)
		if err != nil {
			s.t.Fatalf("observe step %d: %v", i, err)
		}
		s.whole(obs)
		if obs.World != want {
			s.t.Fatalf("step %d is seen as %q (%s), want %q", i, obs.World, obs.Detail, want)
		}
	}
}

// whole fails unless an observation says when, by whom and what.
func (s *story) whole(obs lever.Observation) {
	s.t.Helper()
	if obs.At.IsZero() || obs.Detail == "" || len(obs.Seen) == 0 {
		s.t.Fatalf("the observation %+v lacks its time, its words or its witnesses", obs)
	}
	for _, w := range obs.Seen {
		if w.Witness == "" || w.World == "" || w.Value == "" {
			s.t.Fatalf("the witness %+v says nothing", w)
		}
	}
}

func (s *story) stays(state string, writes int) {
	s.t.Helper()
	if got := s.State(); got != state {
		s.t.Errorf("the world went from %q to %q", state, got)
	}
	if got := s.Writes(); got != writes {
		s.t.Errorf("%d orders were given, want none", got-writes)
	}
}

func (s *story) saysWhatItIs() {
	if k := s.Driver.Kind(); k == "" || k != s.Card.Kind {
		s.t.Errorf("kind %q, the card's is %q", k, s.Card.Kind)
	}
	c := s.Driver.Capabilities()
	known := map[lever.Class]bool{lever.R0: true, lever.R1: true, lever.R2: true, lever.R3: true, lever.R4: true}
	if !known[c.Class] || c.Latency <= 0 {
		s.t.Errorf("capabilities %+v lack a class or a latency", c)
	}
}

func (s *story) planReads() {
	state, writes := s.State(), s.Writes()
	p, again := s.plan(false), s.plan(false)
	s.stays(state, writes)
	if d := cmp.Diff(p, again); d != "" {
		s.t.Errorf("the same plan made twice differs: %s", d)
	}
	switch {
	case p.Lever != s.Card.Name, p.Kind != s.Card.Kind, p.Target == "", p.Hash == "", len(p.Steps) == 0, p.Drill:
		s.t.Fatalf("the plan is not whole: %+v", p)
	case !p.Expires.After(s.now):
		s.t.Errorf("the plan expired at %s", p.Expires)
	}
	for _, st := range p.Steps {
		if st.Name == "" || st.Says == "" || len(st.Before) == 0 || len(st.After) == 0 || string(st.Before) == string(st.After) {
			s.t.Errorf("step %+v does not say what is and what will be", st)
		}
	}
	s.sees(p, lever.Before)
	s.apply(p)
	if q := s.plan(false); string(q.Steps[0].Before) == string(p.Steps[0].Before) || q.Hash == p.Hash {
		s.t.Errorf("a plan made after the move has the same before %s and hash", q.Steps[0].Before)
	}
}

func (s *story) thereAndBack() {
	state := s.State()
	p := s.plan(false)
	s.apply(p)
	s.sees(p, lever.After)
	if s.State() == state {
		s.t.Fatalf("visitors still get %q", state)
	}
	if obs, err := s.Driver.Verify(s.context(), p, lever.There); err != nil || obs.World != lever.After {
		s.t.Errorf("verify there: %+v, %v", obs, err)
	}
	s.revert(p)
	s.sees(p, lever.Before)
	if got := s.State(); got != state {
		s.t.Fatalf("visitors get %q after the return, %q before", got, state)
	}
	if obs, err := s.Driver.Verify(s.context(), p, lever.Back); err != nil || obs.World != lever.Before {
		s.t.Errorf("verify back: %+v, %v", obs, err)
	}
	for range 2 {
		if err := s.Driver.Dispose(s.context(), p); err != nil {
			s.t.Errorf("dispose: %v", err)
		}
	}
	s.sees(p, lever.Before)
}

func (s *story) applyTwice() {
	p := s.plan(false)
	s.apply(p)
	state := s.State()
	s.apply(p)
	s.sees(p, lever.After)
	if got := s.State(); got != state {
		s.t.Errorf("the second time changed %q to %q", state, got)
	}
	s.revert(p)
	s.sees(p, lever.Before)
}

func (s *story) revertTwice() {
	state := s.State()
	p := s.plan(false)
	s.apply(p)
	s.revert(p)
	s.revert(p)
	s.sees(p, lever.Before)
	if got := s.State(); got != state {
		s.t.Errorf("the world is %q, was %q", got, state)
	}
}

func (s *story) crashBefore() {
	p := s.plan(false)
	s.Driver = s.Restart()
	s.sees(p, lever.Before)
	s.apply(p)
	s.sees(p, lever.After)
}

func (s *story) crashAfter() {
	state := s.State()
	p := s.plan(false)
	s.apply(p)
	s.Driver = s.Restart()
	s.sees(p, lever.After)
	s.revert(p)
	s.Driver = s.Restart()
	s.sees(p, lever.Before)
	s.revert(p) // the crash came before the return was recorded
	if got := s.State(); got != state {
		s.t.Errorf("the world is %q, was %q", got, state)
	}
}

func (s *story) drift() {
	p := s.plan(false)
	s.apply(p)
	s.Drift()
	s.sees(p, lever.Foreign)
	state, writes := s.State(), s.Writes()
	obs := s.revert(p)
	s.whole(obs)
	if obs.World != lever.Foreign {
		s.t.Errorf("revert found %q, want foreign", obs.World)
	}
	s.stays(state, writes)
}

func (s *story) blind() {
	p := s.plan(false)
	s.apply(p)
	again := s.Blind()
	s.sees(p, lever.Unknown)
	if obs, err := s.Driver.Verify(s.context(), p, lever.There); err != nil || obs.World != lever.Unknown {
		s.t.Errorf("verify without a witness: %+v, %v", obs, err)
	}
	again()
	s.sees(p, lever.After)
}

func (s *story) hang() {
	p := s.plan(false)
	s.apply(p)
	defer s.Hang()()
	ctx, cancel := context.WithTimeout(s.t.Context(), 50*time.Millisecond)
	defer cancel()
	s.returns(func() {
		obs, err := s.Driver.Observe(ctx, p, 0)
		if err != nil || obs.World != lever.Unknown {
			s.t.Errorf("a question without an answer came to %+v, %v; want unknown", obs, err)
		}
	})
	s.returns(func() { // also without a deadline of ours
		obs, err := s.Driver.Observe(s.t.Context(), p, 0)
		if err != nil || obs.World != lever.Unknown {
			s.t.Errorf("a question without an answer came to %+v, %v; want unknown", obs, err)
		}
	})
}

// returns fails when f does not come back.
func (s *story) returns(f func()) {
	s.t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(guard):
		s.t.Fatal("the driver does not come back")
	}
}

func (s *story) ended() {
	p := s.plan(false)
	state, writes := s.State(), s.Writes()
	ctx, cancel := context.WithCancel(s.t.Context())
	cancel()
	s.returns(func() {
		if err := s.Driver.Apply(ctx, p, 0, token); err == nil {
			s.t.Error("apply with an ended context succeeded")
		}
		if obs, err := s.Driver.Observe(ctx, p, 0); err != nil || obs.World != lever.Unknown {
			s.t.Errorf("observe with an ended context: %+v, %v; want unknown", obs, err)
		}
		_, _ = s.Driver.Preflight(ctx, s.Card)
	})
	s.stays(state, writes)
}

// polite fails unless an error is one that a person can do something about.
func (s *story) polite(what string, err error, kinds ...fault.Kind) {
	s.t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) {
		s.t.Errorf("%s: %v is no refusal", what, err)
		return
	}
	ok := false
	for _, k := range kinds {
		ok = ok || f.Kind == k
	}
	if !ok {
		s.t.Errorf("%s: kind %q of %v, want one of %v", what, f.Kind, err, kinds)
	}
	if strings.Contains(err.Error(), "panic") || f.Text == "" {
		s.t.Errorf("%s: %v is not polite", what, err)
	}
}

func (s *story) badSections() {
	bad := map[string]lever.Card{
		"no section": s.Card, "no JSON": s.Card, "a list": s.Card, "an empty section": s.Card,
	}
	for name, raw := range map[string]string{"no section": "", "no JSON": "{", "a list": "[]", "an empty section": "{}"} {
		c := bad[name]
		c.Config = json.RawMessage(raw)
		bad[name] = c
	}
	for name, c := range s.Bad {
		bad[name] = c
	}
	state, writes := s.State(), s.Writes()
	for name, c := range bad {
		_, err := s.Driver.Preflight(s.context(), c)
		s.polite("preflight, "+name, err, fault.Invalid, fault.NotFound)
		for _, drill := range []bool{false, true} {
			_, err = s.Driver.Plan(s.context(), lever.Request{Card: c, Now: s.now, Drill: drill})
			s.polite("plan, "+name, err, fault.Invalid, fault.NotFound)
		}
	}
	s.stays(state, writes)
}

func (s *story) badSteps() {
	p := s.plan(false)
	state, writes := s.State(), s.Writes()
	try := func(what string, p lever.Plan, step int) {
		s.polite("apply, "+what, s.Driver.Apply(s.context(), p, step, token), fault.Invalid)
		_, err := s.Driver.Observe(s.context(), p, step)
		s.polite("observe, "+what, err, fault.Invalid)
		_, err = s.Driver.Revert(s.context(), p, step, token)
		s.polite("revert, "+what, err, fault.Invalid)
	}
	try("a step too far", p, len(p.Steps))
	try("a step below none", p, -1)
	p.Steps = nil
	try("no steps", p, 0)
	_, err := s.Driver.Verify(s.context(), p, lever.There)
	s.polite("verify, no steps", err, fault.Invalid)
	s.stays(state, writes)
}

func (s *story) ordersFail() {
	p := s.plan(false)
	state, writes := s.State(), s.Writes()
	s.Fail(fault.New(fault.Unavailable, "the answer process is not connected"))
	s.polite("apply", s.Driver.Apply(s.context(), p, 0, token), fault.Unavailable)
	s.stays(state, writes)
	s.Fail(nil)
	s.apply(p)
	state, writes = s.State(), s.Writes()
	s.Fail(fault.New(fault.Unavailable, "the answer process is not connected"))
	_, err := s.Driver.Revert(s.context(), p, 0, token)
	s.polite("revert", err, fault.Unavailable)
	s.stays(state, writes)
	s.Fail(nil)
	s.revert(p)
	s.sees(p, lever.Before)
}

func (s *story) fenced() {
	p := s.plan(false)
	newer, older := token, token
	newer.Revision++
	if err := s.Driver.Apply(s.context(), p, 0, newer); err != nil {
		s.t.Fatal(err)
	}
	state, writes := s.State(), s.Writes()
	_, err := s.Driver.Revert(s.context(), p, 0, older)
	s.polite("revert with an older token", err, fault.Conflict)
	s.polite("apply with an older token", s.Driver.Apply(s.context(), p, 0, older), fault.Conflict)
	s.stays(state, writes)
}

func (s *story) drill() {
	state := s.State()
	real, p := s.plan(false), s.plan(true)
	if !p.Drill || p.Target == real.Target {
		s.t.Fatalf("the drill's plan moves %q", p.Target)
	}
	s.sees(p, lever.Before)
	s.apply(p)
	s.sees(p, lever.After)
	s.sees(real, lever.Before)
	if got := s.State(); got != state {
		s.t.Errorf("the drill moved visitors from %q to %q", state, got)
	}
	s.revert(p)
	s.sees(p, lever.Before)
}

func (s *story) preflight() {
	state, writes := s.State(), s.Writes()
	if r, err := s.Driver.Preflight(s.context(), s.Card); err != nil || !r.Ready || len(r.Problems) > 0 {
		s.t.Fatalf("preflight: %+v, %v", r, err)
	}
	again := s.Blind()
	r, err := s.Driver.Preflight(s.context(), s.Card)
	if err != nil || r.Ready || len(r.Problems) == 0 {
		s.t.Errorf("preflight without a witness: %+v, %v", r, err)
	}
	for _, p := range r.Problems {
		if !strings.HasSuffix(p, ".") {
			s.t.Errorf("the problem %q is no sentence", p)
		}
	}
	again()
	s.stays(state, writes)
}
