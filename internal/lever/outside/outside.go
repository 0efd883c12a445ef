// Package outside is the one driver behind all levers that flip a flag in somebody
// else's system: it reads, compares, writes and looks again, and leaves to a Thing
// what the system is.
//
// It is no flag system and keeps no before-image of its own: the plan holds it. It
// never writes over what somebody else has written: a Thing that is neither as before
// nor as after the pull is told of and left alone. Packages below internal/lever that
// are a Thing import it, and nothing else does.
//
// Invariants: each write is compared with what was read; an answer that does not come
// is lever.ErrUnsure and never tried again; no secret is in a plan, an observation or
// an error.
//
// Concurrency: a Driver's methods may be called from any goroutine.
package outside

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
)

// Reading is a Thing as it is, or as it should be.
type Reading struct {
	State json.RawMessage // exact: writing it again brings back all that the lever moves
	Word  string          // State for people, in a few words
	Mark  any             // what Write compares with, of the Thing's own; not stored
}

// Thing is one flag of one system.
//
// Read gives fault kinds NotFound and Invalid where the lever can't work as it is
// written, Denied where the system lets nobody in, and Unavailable otherwise. Write
// gives Conflict where somebody else was quicker. Both MUST respect ctx.
type Thing interface {
	Target() string  // names what is moved, in any process
	Witness() string // who is asked
	Read(ctx context.Context) (Reading, error)
	Wanted(now Reading) (Reading, error) // what a pull makes of it
	Write(ctx context.Context, now Reading, to json.RawMessage) error
}

// Witnessed is a Thing that others can be asked about, too.
type Witnessed interface {
	Look(ctx context.Context, s lever.Step) []lever.Sighted
}

// Attributed is a Thing whose system knows who changed it last; "" where it does not
// say.
type Attributed interface {
	Who(ctx context.Context) string
}

// Finished is a Thing that needs something done after each act, also after one that
// found nothing left to write: the act before may have been cut off in between. It MUST
// bear being done twice.
type Finished interface {
	Finish(ctx context.Context, t lever.Token) error
}

// Cautious is a Thing that has more to tell in calm: each a sentence that ends with
// the next step.
type Cautious interface {
	Problems(ctx context.Context, now Reading) []string
}

// ErrNoShadow is the cause where a card declares nothing that a drill moves.
var ErrNoShadow = fault.New(fault.Invalid, "the lever declares nothing that a drill could move").WithHint("add drill: to its section")

// Options of a Driver. All MUST be set.
type Options struct {
	Kind         string
	Capabilities lever.Capabilities
	Open         func(section json.RawMessage, drill bool) (Thing, error) // ErrNoShadow where there is none for a drill
	Now          func() time.Time
	Limit        time.Duration // of one act; Limit unless set
}

// Limit is how long a look may take, and an act unless its kind says otherwise.
const Limit = 5 * time.Second

// Driver moves Things of one kind.
type Driver struct {
	o Options

	mu    sync.Mutex // guards fence
	fence map[string]uint64
}

// New makes a Driver.
func New(o Options) *Driver {
	if o.Limit == 0 {
		o.Limit = Limit
	}
	return &Driver{o: o, fence: map[string]uint64{}}
}

// Kind is the driver's.
func (d *Driver) Kind() string { return d.o.Kind }

// Capabilities are those of the kind.
func (d *Driver) Capabilities() lever.Capabilities { return d.o.Capabilities }

// HasShadow says whether the card declares what a drill moves.
func (d *Driver) HasShadow(c lever.Card) bool {
	_, err := d.o.Open(c.Config, true)
	return err == nil
}

// Preflight reads the flag and works out what a pull would make of it.
func (d *Driver) Preflight(ctx context.Context, c lever.Card) (lever.Readiness, error) {
	thing, err := d.o.Open(c.Config, false)
	if err != nil {
		return lever.Readiness{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()
	now, err := thing.Read(ctx)
	if err == nil {
		_, err = thing.Wanted(now)
	}
	switch kind := fault.KindOf(err); {
	case err == nil:
	case kind == fault.Invalid || kind == fault.NotFound:
		return lever.Readiness{}, err
	default:
		return lever.Readiness{Problems: []string{thing.Witness() + ": " + strings.TrimSuffix(err.Error(), ".") + "."}}, nil
	}
	var problems []string
	if c, is := thing.(Cautious); is {
		problems = c.Problems(ctx, now)
	}
	return lever.Readiness{Ready: len(problems) == 0, Problems: problems}, nil
}

// Plan reads the flag and says what will be.
func (d *Driver) Plan(ctx context.Context, r lever.Request) (lever.Plan, error) {
	thing, err := d.o.Open(r.Card.Config, r.Drill)
	if err != nil {
		return lever.Plan{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()
	now, err := thing.Read(ctx)
	if err != nil {
		return lever.Plan{}, err
	}
	to, err := thing.Wanted(now)
	if err != nil {
		return lever.Plan{}, err
	}
	if !Same(now.State, to.State) && now.Word == to.Word {
		now.Word += ", but not for everybody"
	}
	return lever.OneStep(r, thing.Target(), lever.Step{
		Name: "move", Says: "set " + thing.Target() + " from " + now.Word + " to " + to.Word,
		Before: now.State, After: to.State, From: now.Word, To: to.Word,
	})
}

// Apply writes the step's After where the flag is as the plan found it.
func (d *Driver) Apply(ctx context.Context, p lever.Plan, step int, t lever.Token) error {
	s, thing, err := d.step(p, step)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, d.o.Limit)
	defer cancel()
	if err := d.pass(ctx, p.Target, t); err != nil {
		return err
	}
	now, err := read(ctx, thing)
	if err != nil {
		return unavailable(err)
	}
	switch world(now, s) {
	case lever.After:
		return finish(ctx, thing, t)
	case lever.Before:
		if err := thing.Write(ctx, now, s.After); err != nil {
			return err
		}
		return finish(ctx, thing, t)
	}
	return fault.New(fault.Conflict, "%s is %s by now: somebody else has changed it", p.Target, now.Word).WithHint("look, and pull again")
}

// Revert writes the step's Before where the flag is as the pull left it.
func (d *Driver) Revert(ctx context.Context, p lever.Plan, step int, t lever.Token) (lever.Observation, error) {
	s, thing, err := d.step(p, step)
	if err != nil {
		return lever.Observation{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.o.Limit)
	defer cancel()
	if err := d.pass(ctx, p.Target, t); err != nil {
		return lever.Observation{World: lever.Unknown}, err
	}
	now, err := read(ctx, thing)
	obs := d.sum(ctx, thing, now, err, s, false)
	switch {
	case err != nil && obs.World != lever.Foreign:
		return obs, unavailable(err)
	case obs.World == lever.Foreign:
		return obs, nil
	case obs.World == lever.After:
		if err := thing.Write(ctx, now, s.Before); err != nil {
			return obs, err
		}
	}
	return obs, finish(ctx, thing, t)
}

// read is bounded by itself: an act may take longer.
func read(ctx context.Context, thing Thing) (Reading, error) {
	ctx, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()
	return thing.Read(ctx)
}

func finish(ctx context.Context, thing Thing, t lever.Token) error {
	if f, is := thing.(Finished); is {
		return f.Finish(ctx, t)
	}
	return nil
}

// Observe reads the flag and asks the other witnesses.
func (d *Driver) Observe(ctx context.Context, p lever.Plan, step int) (lever.Observation, error) {
	s, thing, err := d.step(p, step)
	if err != nil {
		return lever.Observation{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()
	now, err := thing.Read(ctx)
	return d.sum(ctx, thing, now, err, s, true), nil
}

// Verify is Observe.
func (d *Driver) Verify(ctx context.Context, p lever.Plan, _ lever.Direction) (lever.Observation, error) {
	return d.Observe(ctx, p, 0)
}

// Dispose has nothing to purge: the before-image is in the plan alone.
func (d *Driver) Dispose(context.Context, lever.Plan) error { return nil }

// step opens the one step of a plan.
func (d *Driver) step(p lever.Plan, step int) (lever.Step, Thing, error) {
	if step != 0 || len(p.Steps) != 1 {
		return lever.Step{}, nil, fault.New(fault.Invalid, "the plan has no step %d", step)
	}
	thing, err := d.o.Open(p.Config, p.Drill)
	return p.Steps[0], thing, err
}

// pass lets a token by that is not older than the newest one seen. What another
// process has written meanwhile shows when the flag is read.
func (d *Driver) pass(ctx context.Context, target string, t lever.Token) error {
	if ctx.Err() != nil {
		return fault.New(fault.Unavailable, "it was not begun").Because(context.Cause(ctx))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if t.Revision < d.fence[target] {
		return fault.New(fault.Conflict, "a newer order has been given since")
	}
	d.fence[target] = t.Revision
	return nil
}

// sum says what a reading comes to beside a step.
func (d *Driver) sum(ctx context.Context, thing Thing, now Reading, err error, s lever.Step, others bool) lever.Observation {
	first := lever.Sighted{Witness: thing.Witness(), World: lever.Unknown}
	switch {
	case fault.KindOf(err) == fault.NotFound: // somebody has taken the flag away
		first.World, first.Value = lever.Foreign, err.Error()
	case err != nil:
		first.Value = err.Error()
	default:
		first.World, first.Value = world(now, s), now.Word
	}
	seen := []lever.Sighted{first}
	if w, is := thing.(Witnessed); is && others && err == nil && first.World != lever.Foreign {
		seen = append(seen, w.Look(ctx, s)...)
	}
	obs := lever.Observation{World: lever.Weigh(seen), Seen: seen, At: d.o.Now().UTC()}
	told := make([]string, len(seen))
	for i, s := range seen {
		told[i] = s.Witness + " says " + s.Value
	}
	obs.Detail = strings.Join(told, "; ")
	if a, is := thing.(Attributed); is && (first.World == lever.Foreign || first.World == lever.Before) {
		if who := a.Who(ctx); who != "" {
			obs.Detail += ", last changed by " + who
		}
	}
	return obs
}

func world(now Reading, s lever.Step) lever.World {
	switch {
	case Same(now.State, s.After):
		return lever.After
	case Same(now.State, s.Before):
		return lever.Before
	}
	return lever.Foreign
}

// unavailable keeps the kinds that tell a person what to do and makes the others
// Unavailable.
func unavailable(err error) error {
	switch fault.KindOf(err) {
	case fault.Denied, fault.NotFound, fault.Conflict, fault.Unavailable, fault.Invalid:
		return err
	}
	return fault.New(fault.Unavailable, "the flag can't be read").Because(err)
}

// Same compares two states by their values: a plan comes back from the record with
// other spaces, and a system may write 12.50 as 12.5.
func Same(a, b json.RawMessage) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// State is the JSON of a value of a Thing's own.
func State(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil { // texts and numbers only
		return json.RawMessage("null")
	}
	return b
}

// Section reads a lever's section into v.
func Section(raw json.RawMessage, v any, needs string) error {
	if err := json.Unmarshal(raw, v); err != nil {
		return fault.New(fault.Invalid, "the lever's section can't be read").WithHint("it needs %s", needs)
	}
	return nil
}
