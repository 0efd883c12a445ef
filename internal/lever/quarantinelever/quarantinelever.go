// Package quarantinelever is the lever that takes rows that do harm out of a database,
// with everything that hangs on them, and puts them back.
//
// Its cards are made of kept plans (package desk), not of the configuration. Rows are
// named by the kept plan; a lever.Plan holds the operation's id and the plan's hash, and
// never what is in a row. It can't be rehearsed on something that is nobody's: reading
// the plan is the rehearsal.
//
// Concurrency: a Driver is immutable.
package quarantinelever

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
	"lifeboat/internal/quarantine"
)

// Section is the driver's configuration on a card: a kept plan, by its hash.
type Section struct {
	Database string `json:"database"`
	Plan     string `json:"plan"` // which is the operation's id, too
	Hash     string `json:"hash"`
}

// Options of a Driver. All MUST be set.
type Options struct {
	Kind     string // quarantine/postgres, quarantine/mysql, quarantine/sqlite
	Plan     func(id string) (quarantine.Plan, error)
	Database func(name string) (quarantine.Database, error)
	Now      func() time.Time
}

// Driver takes rows away.
type Driver struct{ o Options }

// New makes a Driver.
func New(o Options) *Driver { return &Driver{o} }

// Kind is that of the Options.
func (d *Driver) Kind() string { return d.o.Kind }

// Capabilities says that rows may meet conflicts on their way back.
func (d *Driver) Capabilities() lever.Capabilities {
	return lever.Capabilities{
		Class: lever.R2, Latency: time.Second, Rights: []string{"the rights that lifeboat data doctor lists"},
		SideEffects: []string{"Triggers of the tables fire.", "While the rows are held others may take their place."},
	}
}

// Preflight asks whether the database is ready to hold rows.
func (d *Driver) Preflight(ctx context.Context, c lever.Card) (lever.Readiness, error) {
	s, err := read(c.Config)
	if err != nil {
		return lever.Readiness{}, err
	}
	db, err := d.o.Database(s.Database)
	if err != nil {
		return lever.Readiness{}, err
	}
	problems, err := db.Ready(ctx)
	return lever.Readiness{Ready: len(problems) == 0, Problems: problems}, err
}

// step is what a lever.Plan says of either end: never contents, only what names them.
type step struct {
	State quarantine.State `json:"state"`
	Rows  int              `json:"rows"`
	Hash  string           `json:"hash"` // of the plan
}

// Plan names the kept plan's ends.
func (d *Driver) Plan(_ context.Context, r lever.Request) (lever.Plan, error) {
	if r.Drill {
		return lever.Plan{}, fault.New(fault.NotSupported, "rows can't be taken away for a drill").WithHint("read the plan: that changes nothing, and says all that would happen")
	}
	s, err := read(r.Card.Config)
	if err != nil {
		return lever.Plan{}, err
	}
	p, err := d.kept(s)
	if err != nil {
		return lever.Plan{}, err
	}
	plan, err := lever.NewPlan(r, s.Database+"/"+s.Plan, r.Card.Title, step{quarantine.Absent, 0, p.Hash}, step{quarantine.Held, p.Rows, p.Hash})
	if err == nil {
		plan.Steps[0].From, plan.Steps[0].To = "where visitors meet them", "held apart in "+s.Database
	}
	return plan, err
}

// kept is the plan of a card, if it is still the one that was read.
func (d *Driver) kept(s Section) (quarantine.Plan, error) {
	p, err := d.o.Plan(s.Plan)
	if err == nil && p.Hash != s.Hash {
		err = fault.New(fault.Conflict, "the plan %s is another one than was pressed", s.Plan).WithHint("make it anew: lifeboat data plan")
	}
	return p, err
}

// Apply takes the rows away.
func (d *Driver) Apply(ctx context.Context, p lever.Plan, n int, _ lever.Token) error {
	s, db, err := d.open(p, n)
	if err != nil {
		return err
	}
	kept, err := d.kept(s)
	if err != nil {
		return err
	}
	op, err := db.Apply(ctx, kept, nil)
	switch {
	case err != nil:
		return unsure(err)
	case op.State == quarantine.Held || op.State == quarantine.Moving || op.State == quarantine.Stopped:
		return nil
	}
	return fault.New(fault.Conflict, "these rows were taken away before, and are %s now", op.State).WithHint("make a new plan: lifeboat data plan")
}

// unsure marks an error after which nobody knows whether it was done.
func unsure(err error) error {
	if fault.KindOf(err) == fault.Unavailable {
		return errors.Join(lever.ErrUnsure, err)
	}
	return err
}

// Observe asks the database what became of the operation, and, where it holds the rows,
// whether they are gone and the copies whole.
func (d *Driver) Observe(ctx context.Context, p lever.Plan, n int) (lever.Observation, error) {
	s, db, err := d.open(p, n)
	if err != nil {
		return lever.Observation{}, err
	}
	w := lever.Sighted{Witness: "the database " + s.Database, World: lever.Unknown}
	op, err := db.Look(ctx, s.Plan)
	switch {
	case err != nil:
		w.Value = err.Error()
	case op.State == quarantine.Absent:
		w.World, w.Value = lever.Before, "nothing was taken away"
	case op.PlanHash != s.Hash:
		w.World, w.Value = lever.Foreign, "an operation of this id belongs to another plan"
	case op.State == quarantine.Restored:
		w.World, w.Value = lever.Before, quarantine.Count(op.Restored, "row is back", "rows are back, all of them")
	case op.State == quarantine.Held:
		w.World, w.Value = d.held(ctx, db, op)
	case op.State == quarantine.Ended || op.State == quarantine.Purged:
		w.World, w.Value = lever.Gone, quarantine.Count(op.Discarded, "row was given up", "rows were given up")+", "+quarantine.Count(op.Restored, "is back", "are back")
	default:
		w.World, w.Value = lever.Partial, fmt.Sprintf("%s: %s held", op.State, quarantine.Of(op.Waiting(), op.Rows, "row", "rows"))
	}
	return lever.Observation{World: w.World, Detail: w.Value, Seen: []lever.Sighted{w}, At: d.o.Now().UTC()}, nil
}

// held says whether rows that are said to be held are.
func (d *Driver) held(ctx context.Context, db quarantine.Database, op quarantine.Operation) (lever.World, string) {
	v, err := db.Verify(ctx, op.ID)
	if err != nil {
		return lever.Unknown, err.Error()
	}
	for _, c := range v.Checks {
		if !c.OK {
			return lever.Foreign, strings.TrimPrefix(c.Table+": "+c.Detail, ": ")
		}
	}
	return lever.After, fmt.Sprintf("%s of %s gone, the copies whole, and nothing is orphaned", quarantine.Count(op.Waiting(), "row", "rows"), quarantine.Count(len(op.Tables), "table is", "tables are"))
}

// Verify is Observe.
func (d *Driver) Verify(ctx context.Context, p lever.Plan, _ lever.Direction) (lever.Observation, error) {
	return d.Observe(ctx, p, 0)
}

// back names the act that puts everything back: doing it again changes nothing.
const back = "back"

// Revert puts every row back as it was, or none: what stands in the way is a Foreign
// observation.
func (d *Driver) Revert(ctx context.Context, p lever.Plan, n int, t lever.Token) (lever.Observation, error) {
	s, db, err := d.open(p, n)
	if err != nil {
		return lever.Observation{}, err
	}
	obs, err := d.Observe(ctx, p, n)
	if err != nil || obs.World == lever.Before || obs.World == lever.Gone || obs.World == lever.Unknown {
		return obs, err
	}
	_, err = db.Restore(ctx, quarantine.Back{Operation: s.Plan, ID: back, By: t.By, Policy: quarantine.Abort}, nil)
	if fault.KindOf(err) == fault.Conflict {
		obs.World, obs.Detail = lever.Foreign, err.Error()
		return obs, nil
	}
	return obs, unsure(err)
}

// Dispose does nothing: copies are purged by two people, never by a lever.
func (d *Driver) Dispose(context.Context, lever.Plan) error { return nil }

func (d *Driver) open(p lever.Plan, n int) (Section, quarantine.Database, error) {
	if n != 0 || len(p.Steps) != 1 {
		return Section{}, nil, fault.New(fault.Invalid, "the plan has no step %d", n)
	}
	s, err := read(p.Config)
	if err != nil {
		return s, nil, err
	}
	db, err := d.o.Database(s.Database)
	return s, db, err
}

func read(raw json.RawMessage) (s Section, err error) {
	if err := json.Unmarshal(raw, &s); err != nil || s.Database == "" || s.Plan == "" {
		return s, fault.New(fault.Invalid, "the lever names no plan").WithHint("make one with: lifeboat data plan")
	}
	return s, nil
}
