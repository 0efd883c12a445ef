// Package quarantinelever is the lever that takes rows which do harm out of a
// database, and puts them back: quarantine.Database as a lever.Driver.
//
// The plan of the lever holds the operation's id, hashes and counts. The plan of the
// quarantine, with its frozen keys, lies in Plans under its hash, stored before
// anything is changed. Rows stay in their database throughout. It is not where rows
// are chosen, corrected or purged: those are quarantine.Database's own verbs.
//
// Concurrency: a Driver is immutable.
package quarantinelever

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
	"lifeboat/internal/quarantine"
)

// The kinds of this driver, one for each kind of database.
const (
	Postgres = "quarantine/postgres"
	MySQL    = "quarantine/mysql"
	SQLite   = "quarantine/sqlite"
)

// Section is the driver's configuration: which rows of which database.
type Section struct {
	Database string                `json:"database"` // its name in the configuration
	Table    string                `json:"table"`
	Keys     []quarantine.Key      `json:"keys,omitempty"`
	Where    *quarantine.Predicate `json:"where,omitempty"`
	Mode     quarantine.Mode       `json:"mode,omitempty"`
	Set      []quarantine.Cell     `json:"set,omitempty"`
	Batch    bool                  `json:"batch,omitempty"`
	Accept   []quarantine.Rule     `json:"accept,omitempty"`
	By       string                `json:"by,omitempty"`
	Incident string                `json:"incident,omitempty"`
	Reason   string                `json:"reason,omitempty"`
}

// Plans keeps plans by their hash, as evidence is kept.
type Plans interface {
	Put(ctx context.Context, hash string, plan []byte) error
	// Get gives an error of kind NotFound when there is none.
	Get(ctx context.Context, hash string) ([]byte, error)
}

// Options of a Driver. All MUST be set but Watch.
type Options struct {
	Kind     string
	Database func(name string) (quarantine.Database, bool)
	Plans    Plans
	NewID    func() string // of operations: 1 to 26 of a-z and 0-9
	Now      func() time.Time
	Watch    func(operation string) quarantine.Watch // progress and the stop button; may be nil
}

// Driver moves rows of databases of one kind.
type Driver struct{ o Options }

var _ lever.Driver = (*Driver)(nil)

// New makes a Driver.
func New(o Options) *Driver { return &Driver{o} }

// Mark is what a step of the lever's plan says of either end. It holds no contents.
type Mark struct {
	Operation string           `json:"operation"`
	State     quarantine.State `json:"state"`
	PlanHash  string           `json:"plan_hash"`
	Rows      int              `json:"rows"`
	Tables    map[string]int   `json:"tables,omitempty"`
}

// Kind is one of the kinds above.
func (d *Driver) Kind() string { return d.o.Kind }

// Capabilities says that rows can come back, and that others may be in their place.
func (d *Driver) Capabilities() lever.Capabilities {
	return lever.Capabilities{Class: lever.R2, Latency: 2 * time.Second,
		Rights:      []string{"SELECT, INSERT, UPDATE and DELETE on the tables", "CREATE for the tables that hold the rows"},
		SideEffects: []string{"triggers of the tables run", "rows that hang on the chosen ones leave with them", "a new row may take the place of one that left"}}
}

// section reads the configuration strictly.
func section(raw json.RawMessage) (Section, error) {
	var s Section
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return s, fault.New(fault.Invalid, "the section can't be read").At("quarantine").Because(err).WithHint("it names a database, a table, and keys or where")
	}
	if _, err := decoder.Token(); err != io.EOF {
		return s, fault.New(fault.Invalid, "there is more behind the section").At("quarantine").WithHint("leave it out")
	}
	if s.Database == "" || s.Table == "" {
		return s, fault.New(fault.Invalid, "the section names no database or no table").At("quarantine").WithHint("name both, as in database: shopdb, table: public.orders")
	}
	return s, nil
}

func (d *Driver) open(raw json.RawMessage) (quarantine.Database, Section, error) {
	s, err := section(raw)
	if err != nil {
		return nil, s, err
	}
	db, ok := d.o.Database(s.Database)
	if !ok {
		return nil, s, fault.New(fault.Invalid, "there is no database %.60q of kind %s", s.Database, d.o.Kind).At("quarantine.database").WithHint("name one of the configuration's databases")
	}
	return db, s, nil
}

// Preflight asks the database what is missing.
func (d *Driver) Preflight(ctx context.Context, c lever.Card) (lever.Readiness, error) {
	db, _, err := d.open(c.Config)
	if err != nil {
		return lever.Readiness{}, err
	}
	problems, err := db.Ready(ctx)
	if fault.KindOf(err) == fault.Unavailable {
		return lever.Readiness{Problems: []string{err.Error()}}, nil
	}
	return lever.Readiness{Ready: err == nil && len(problems) == 0, Problems: problems}, err
}

// Plan resolves the rows, stores the plan with its frozen keys, and gives one that
// holds its hash. A plan that the database refuses is an error of kind Refused.
func (d *Driver) Plan(ctx context.Context, r lever.Request) (lever.Plan, error) {
	if r.Drill {
		return lever.Plan{}, fault.New(fault.NotSupported, "rows have no shadow to drill with").At("quarantine").WithHint("rehearse the plan: it is done and rolled back")
	}
	db, s, err := d.open(r.Card.Config)
	if err != nil {
		return lever.Plan{}, err
	}
	p, err := db.Plan(ctx, quarantine.Request{ID: d.o.NewID(), By: s.By, Incident: s.Incident, Reason: s.Reason, Mode: s.Mode, Table: s.Table,
		Keys: s.Keys, Where: s.Where, Set: s.Set, Batch: s.Batch, Accept: s.Accept})
	if err != nil {
		return lever.Plan{}, err
	}
	if len(p.Refused) > 0 {
		return lever.Plan{}, fault.New(fault.Refused, "%s", strings.TrimSuffix(p.Refused[0].Reason, ".")).At("quarantine").WithHint("%s", p.Refused[0].Satisfy)
	}
	raw, err := json.Marshal(p)
	if err != nil {
		return lever.Plan{}, fmt.Errorf("encode plan: %w", err)
	}
	if err := d.o.Plans.Put(ctx, p.Hash, raw); err != nil {
		return lever.Plan{}, fmt.Errorf("store plan: %w", err)
	}
	before := Mark{Operation: p.ID, State: quarantine.Absent, PlanHash: p.Hash, Rows: p.Rows, Tables: map[string]int{}}
	for _, t := range p.Tables {
		before.Tables[t.Name] = len(t.Frozen)
	}
	after := before
	after.State = quarantine.Held
	says := fmt.Sprintf("takes %d rows in %d tables out of %s", p.Rows, len(p.Tables), s.Database)
	if p.Mode == quarantine.Replace {
		says = fmt.Sprintf("puts safe values into %d rows of %s", p.Rows, p.Root)
	}
	return lever.NewPlan(r, s.Database+"/"+p.Root, says, before, after)
}

// mark reads a step of a plan.
func (d *Driver) mark(p lever.Plan, step int) (quarantine.Database, Mark, error) {
	var m Mark
	if step < 0 || step >= len(p.Steps) {
		return nil, m, fault.New(fault.Invalid, "the plan has no step %d", step).At("step").WithHint("it has %d", len(p.Steps))
	}
	db, _, err := d.open(p.Config)
	if err != nil {
		return nil, m, err
	}
	if err := json.Unmarshal(p.Steps[step].After, &m); err != nil || m.Operation == "" {
		return nil, m, fault.New(fault.Invalid, "the plan's step can't be read").At("step").WithHint("make a new plan")
	}
	return db, m, nil
}

// Apply takes the rows away. Doing it again changes nothing.
func (d *Driver) Apply(ctx context.Context, p lever.Plan, step int, _ lever.Token) error {
	db, m, err := d.mark(p, step)
	if err != nil {
		return err
	}
	raw, err := d.o.Plans.Get(ctx, m.PlanHash)
	if err != nil {
		return fmt.Errorf("read plan: %w", err)
	}
	var stored quarantine.Plan
	if err := json.Unmarshal(raw, &stored); err != nil || stored.Hash != m.PlanHash {
		return fault.New(fault.Refused, "the stored plan is not the one that was approved").At("plan").WithHint("make a new plan and look at it again")
	}
	var w quarantine.Watch
	if d.o.Watch != nil {
		w = d.o.Watch(m.Operation)
	}
	_, err = db.Apply(ctx, stored, w)
	return err
}

// Observe asks the database what became of the operation.
func (d *Driver) Observe(ctx context.Context, p lever.Plan, step int) (lever.Observation, error) {
	db, m, err := d.mark(p, step)
	if err != nil {
		return lever.Observation{}, err
	}
	op, err := db.Look(ctx, m.Operation)
	if err != nil {
		return d.unknown(p, err), nil
	}
	return d.seen(p, op, m), nil
}

func (d *Driver) unknown(p lever.Plan, err error) lever.Observation {
	return lever.Observation{World: lever.Unknown, Detail: err.Error(), At: d.o.Now(), Seen: []lever.Sighted{{Witness: p.Target, World: lever.Unknown}}}
}

// seen says how an operation stands in the words of levers.
func (d *Driver) seen(p lever.Plan, op quarantine.Operation, m Mark) lever.Observation {
	world, detail := lever.Partial, fmt.Sprintf("%s: %d of %d rows are held", op.State, op.Waiting(), m.Rows)
	switch op.State {
	case quarantine.Absent:
		world, detail = lever.Before, "nothing has been taken away"
	case quarantine.Restored:
		world, detail = lever.Before, fmt.Sprintf("%d rows are back", op.Restored)
	case quarantine.Held:
		world = lever.After
	case quarantine.Ended, quarantine.Purged:
		world, detail = lever.Foreign, "the rows were given up: they do not come back"
	}
	if op.State != quarantine.Absent && op.PlanHash != m.PlanHash {
		world, detail = lever.Foreign, "the operation was made from another plan"
	}
	return lever.Observation{World: world, Detail: detail, At: d.o.Now(), Seen: []lever.Sighted{{Witness: p.Target, World: world, Value: string(op.State)}}}
}

// Verify looks whether rows are absent (or back), copies whole, and nothing orphaned.
func (d *Driver) Verify(ctx context.Context, p lever.Plan, _ lever.Direction) (lever.Observation, error) {
	db, m, err := d.mark(p, 0)
	if err != nil {
		return lever.Observation{}, err
	}
	op, err := db.Look(ctx, m.Operation)
	if err != nil {
		return d.unknown(p, err), nil
	}
	out := d.seen(p, op, m)
	if op.State == quarantine.Absent || op.State == quarantine.Purged {
		return out, nil
	}
	v, err := db.Verify(ctx, m.Operation)
	if err != nil {
		return d.unknown(p, err), nil
	}
	for _, c := range v.Checks {
		if !c.OK {
			out.World, out.Detail = lever.Foreign, c.Detail
			return out, nil
		}
	}
	return out, nil
}

// Revert puts the rows back. What can't come back is Foreign, and then nothing does.
func (d *Driver) Revert(ctx context.Context, p lever.Plan, step int, t lever.Token) (lever.Observation, error) {
	db, m, err := d.mark(p, step)
	if err != nil {
		return lever.Observation{}, err
	}
	op, err := db.Look(ctx, m.Operation)
	if err != nil {
		return d.unknown(p, err), nil
	}
	if now := d.seen(p, op, m); now.World == lever.Before || now.World == lever.Foreign {
		return now, nil
	}
	_, err = db.Restore(ctx, quarantine.Back{Operation: m.Operation, ID: actID(m.Operation, t.Pull), By: t.By, Policy: quarantine.Abort}, nil)
	switch fault.KindOf(err) {
	case "":
		return d.Observe(ctx, p, step)
	case fault.Conflict:
		return lever.Observation{World: lever.Foreign, Detail: err.Error(), At: d.o.Now(), Seen: []lever.Sighted{{Witness: p.Target, World: lever.Foreign}}}, nil
	case fault.Unavailable:
		return d.unknown(p, err), nil
	}
	return lever.Observation{}, err
}

// actID is the same for the same pull, so that a restore that was done is not done
// again after a crash.
func actID(operation, pull string) string {
	sum := sha256.Sum256([]byte(operation + "\x00" + pull))
	return "r" + hex.EncodeToString(sum[:10])
}

// Dispose leaves the copies: purging them takes two people and is no part of a lever.
func (d *Driver) Dispose(context.Context, lever.Plan) error { return nil }
