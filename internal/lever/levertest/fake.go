package levertest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
)

// FakeKind is the kind of Fake.
const FakeKind = "fake"

// FakeSection is the section of a Fake's lever: a thing, and where it goes.
type FakeSection struct {
	Thing string `json:"thing"`
	To    string `json:"to"`
}

// shadow is the thing that a drill moves.
func shadow(thing string) string { return thing + "~drill" }

// Fake is a driver that moves things in memory and fails as told, for tests of who
// calls drivers. Each switch works from its setting until it is set back.
type Fake struct {
	now func() time.Time

	mu     sync.Mutex // guards all below
	things map[string]string
	fence  map[string]uint64
	calls  []string
	writes int
	fail   map[string]error
	unsure map[string]error
	hang   map[string]bool
	blind  bool
	hook   func(verb string)
}

// NewFake makes a Fake of things and where they are; each gets a shadow for drills.
func NewFake(now func() time.Time, things map[string]string) *Fake {
	f := &Fake{now: now, things: map[string]string{}, fence: map[string]uint64{}, fail: map[string]error{}, unsure: map[string]error{}, hang: map[string]bool{}}
	for thing, at := range things {
		f.things[thing], f.things[shadow(thing)] = at, at
	}
	return f
}

// FakeCard is a lever of a Fake.
func FakeCard(name, site, thing, to string) lever.Card {
	b, err := json.Marshal(FakeSection{thing, to})
	if err != nil { // two strings
		panic(err)
	}
	return lever.Card{Name: name, Kind: FakeKind, Title: "Move " + thing + " to " + to, Site: site, Config: b}
}

// The verbs, as Calls and the switches name them.
const (
	Preflight = "preflight"
	Planning  = "plan"
	Apply     = "apply"
	Observe   = "observe"
	Revert    = "revert"
	Dispose   = "dispose"
)

// Fail makes a verb come to err without effect; nil ends it.
func (f *Fake) Fail(verb string, err error) { f.set(func() { f.fail[verb] = err }) }

// Unsure makes Apply or Revert take effect and come to err all the same, as a target
// does whose answer is lost on the way; nil ends it.
func (f *Fake) Unsure(verb string, err error) { f.set(func() { f.unsure[verb] = err }) }

// Hang makes a verb wait until its context ends.
func (f *Fake) Hang(verb string, on bool) { f.set(func() { f.hang[verb] = on }) }

// Blind makes every observation Unknown.
func (f *Fake) Blind(on bool) { f.set(func() { f.blind = on }) }

// Hook is called at the beginning of each verb, outside of any lock: a test may stop
// the world there.
func (f *Fake) Hook(h func(verb string)) { f.set(func() { f.hook = h }) }

// Put moves a thing as somebody else would.
func (f *Fake) Put(thing, at string) { f.set(func() { f.things[thing] = at }) }

// At is where a thing is.
func (f *Fake) At(thing string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.things[thing]
}

// Calls are the verbs called so far, each with its thing: "apply shop".
func (f *Fake) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// Writes is how many times a thing was moved by the driver.
func (f *Fake) Writes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes
}

func (f *Fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// begin notes a call and does what the switches of its verb say.
func (f *Fake) begin(ctx context.Context, verb, thing string) error {
	f.mu.Lock()
	f.calls = append(f.calls, verb+" "+thing)
	err, hang, hook := f.fail[verb], f.hang[verb], f.hook
	f.mu.Unlock()
	if hook != nil {
		hook(verb)
	}
	if hang {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return fault.New(fault.Unavailable, "no answer in time").Because(ctx.Err())
	}
	return err
}

// Kind is "fake".
func (f *Fake) Kind() string { return FakeKind }

// Capabilities says that the move is exact.
func (f *Fake) Capabilities() lever.Capabilities {
	return lever.Capabilities{Class: lever.R0, Latency: time.Millisecond}
}

// Preflight is ready unless told otherwise.
func (f *Fake) Preflight(ctx context.Context, c lever.Card) (lever.Readiness, error) {
	sec, err := f.read(c.Config)
	if err != nil {
		return lever.Readiness{}, err
	}
	if err := f.begin(ctx, Preflight, sec.Thing); err != nil {
		return lever.Readiness{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.blind {
		return lever.Readiness{Problems: []string{"Nobody can be asked: let them see again."}}, nil
	}
	return lever.Readiness{Ready: true}, nil
}

// Plan reads where the thing is.
func (f *Fake) Plan(ctx context.Context, r lever.Request) (lever.Plan, error) {
	sec, err := f.read(r.Card.Config)
	if err != nil {
		return lever.Plan{}, err
	}
	thing := sec.Thing
	if r.Drill {
		thing = shadow(thing)
	}
	if err := f.begin(ctx, Planning, thing); err != nil {
		return lever.Plan{}, err
	}
	return lever.NewPlan(r, thing, fmt.Sprintf("move %s to %s", thing, sec.To), f.At(thing), sec.To)
}

// Apply moves the thing.
func (f *Fake) Apply(ctx context.Context, p lever.Plan, step int, t lever.Token) error {
	_, to, err := ends(p, step)
	if err != nil {
		return err
	}
	if err := f.begin(ctx, Apply, p.Target); err != nil {
		return err
	}
	return f.move(Apply, p.Target, to, t)
}

// Observe looks where the thing is.
func (f *Fake) Observe(ctx context.Context, p lever.Plan, step int) (lever.Observation, error) {
	from, to, err := ends(p, step)
	if err != nil {
		return lever.Observation{}, err
	}
	failed := f.begin(ctx, Observe, p.Target)
	f.mu.Lock()
	defer f.mu.Unlock()
	s := lever.Sighted{Witness: "the fake", World: lever.Foreign, Value: f.things[p.Target]}
	switch {
	case failed != nil:
		s.World, s.Value = lever.Unknown, failed.Error()
	case f.blind:
		s.World, s.Value = lever.Unknown, "nothing is seen"
	case f.things[p.Target] == to:
		s.World = lever.After
	case f.things[p.Target] == from:
		s.World = lever.Before
	}
	return lever.Observation{World: s.World, Detail: p.Target + ": " + s.Value, Seen: []lever.Sighted{s}, At: f.now().UTC()}, nil
}

// Verify is Observe.
func (f *Fake) Verify(ctx context.Context, p lever.Plan, _ lever.Direction) (lever.Observation, error) {
	return f.Observe(ctx, p, 0)
}

// Revert moves the thing back, if it is where the plan left it.
func (f *Fake) Revert(ctx context.Context, p lever.Plan, step int, t lever.Token) (lever.Observation, error) {
	from, _, err := ends(p, step)
	if err != nil {
		return lever.Observation{}, err
	}
	if err := f.begin(ctx, Revert, p.Target); err != nil {
		return lever.Observation{World: lever.Unknown}, err
	}
	obs, err := f.Observe(ctx, p, step)
	if err != nil || obs.World == lever.Foreign {
		return obs, err
	}
	return obs, f.move(Revert, p.Target, from, t)
}

// Dispose notes that it was called.
func (f *Fake) Dispose(ctx context.Context, p lever.Plan) error {
	return f.begin(ctx, Dispose, p.Target)
}

func (f *Fake) move(verb, thing, to string, t lever.Token) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t.Revision < f.fence[thing] {
		return fault.New(fault.Conflict, "a newer order has been given since")
	}
	f.fence[thing] = t.Revision
	f.things[thing] = to
	f.writes++
	return f.unsure[verb]
}

func (f *Fake) read(raw json.RawMessage) (FakeSection, error) {
	var sec FakeSection
	if err := json.Unmarshal(raw, &sec); err != nil {
		return sec, fault.New(fault.Invalid, "the lever's section can't be read").Because(err).WithHint("it needs a thing, and to")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.things[sec.Thing]; !known || sec.To == "" {
		return sec, fault.New(fault.NotFound, "there is no thing %q", sec.Thing).WithHint("name one that the fake was made with")
	}
	return sec, nil
}

func ends(p lever.Plan, step int) (from, to string, err error) {
	if step < 0 || step >= len(p.Steps) {
		return "", "", fault.New(fault.Invalid, "the plan has no step %d", step)
	}
	if json.Unmarshal(p.Steps[step].Before, &from) != nil || json.Unmarshal(p.Steps[step].After, &to) != nil {
		return "", "", fault.New(fault.Invalid, "the plan's step %d can't be read", step)
	}
	return from, to, nil
}
