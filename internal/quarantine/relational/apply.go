package relational

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
)

// Apply does what a plan says.
func (db *DB) Apply(ctx context.Context, p quarantine.Plan, w quarantine.Watch) (quarantine.Operation, error) {
	if err := db.checkPlan(p); err != nil {
		return quarantine.Operation{}, err
	}
	var seen operation
	if err := db.within(ctx, Reading, func(t *tx) (err error) { seen, err = t.operation(p.ID, false); return err }); err != nil {
		return quarantine.Operation{}, err
	}
	op := seen.Operation // whether it is absent for good is looked for again, alone
	switch {
	case op.State != quarantine.Absent && op.PlanHash != p.Hash:
		return op, fault.New(fault.Conflict, "operation %s was made from another plan", p.ID).At("id").WithHint("make a new plan with another id")
	case op.State != quarantine.Absent && op.State != quarantine.Moving && op.State != quarantine.Stopped:
		return op, nil
	case op.State == quarantine.Absent && db.o.Now().After(p.Expires):
		return op, fault.New(fault.Conflict, "the plan is too old").At("plan").WithHint("make a new plan and look at it again")
	}
	if p.Batch {
		return db.applyBatch(ctx, p, w)
	}
	return db.applyOnce(ctx, p, w)
}

// checkPlan says whether a plan is ours, whole, and not refused.
func (db *DB) checkPlan(p quarantine.Plan) error {
	hash, err := quarantine.HashPlan(p)
	switch {
	case err != nil:
		return err
	case checkID(p.ID, "plan") != nil:
		return checkID(p.ID, "plan")
	case hash != p.Hash:
		return fault.New(fault.Refused, "the plan was changed after it was made").At("plan").WithHint("make a new plan and look at it again")
	case p.Kind != db.d.Kind() || p.Database != db.o.Name:
		return fault.New(fault.Invalid, "the plan is for the database %.60q (%s)", p.Database, p.Kind).At("plan").WithHint("apply it there")
	case len(p.Refused) > 0:
		return fault.New(fault.Refused, "%s", strings.TrimSuffix(p.Refused[0].Reason, ".")).At("plan").WithHint("%s", p.Refused[0].Satisfy)
	case len(p.Tables) == 0 || p.Rows == 0:
		return fault.New(fault.Refused, "the plan touches no rows").At("plan").WithHint("make a new plan")
	}
	return nil
}

// applyOnce applies a plan in one transaction.
func (db *DB) applyOnce(ctx context.Context, p quarantine.Plan, w quarantine.Watch) (quarantine.Operation, error) {
	var op operation
	err := db.alone(ctx, func(t *tx) error { return t.prepare(p) }, func(t *tx) error {
		var err error
		if op, err = t.operation(p.ID, true); err != nil || op.State != quarantine.Absent {
			return err // somebody was faster, with the same plan
		}
		if err := t.insertOp(p, quarantine.Held, p.Rows, 0); err != nil {
			return err
		}
		if err := t.piece(p, w); err != nil {
			return err
		}
		op, err = t.operation(p.ID, false)
		return err
	})
	return db.settled(ctx, p.ID, op.Operation, err)
}

// settled finds out what became of a COMMIT whose answer did not come.
func (db *DB) settled(ctx context.Context, id string, op quarantine.Operation, err error) (quarantine.Operation, error) {
	var lost *commitError
	if !errors.As(err, &lost) {
		return op, err
	}
	if seen, lookErr := db.Look(ctx, id); lookErr == nil {
		if seen.State != quarantine.Absent {
			return seen, nil
		}
		return seen, fault.New(fault.Unavailable, "nothing was changed: the database did not take the transaction").At(db.o.Name).Because(err).WithHint("try again")
	}
	return quarantine.Operation{ID: id}, fault.New(fault.Unavailable, "it is not known whether the change was made: the database did not answer").At(db.o.Name).Because(err).
		WithHint("look at the operation when the database answers again: absent means that nothing happened")
}

// Rehearse applies a plan, runs check, and rolls back.
func (db *DB) Rehearse(ctx context.Context, p quarantine.Plan, check func(context.Context, quarantine.Queryer) error) error {
	if err := db.checkPlan(p); err != nil {
		return err
	}
	if p.Batch {
		return fault.New(fault.Invalid, "a batch can't be rehearsed: it is many transactions").At("plan").WithHint("choose fewer rows")
	}
	return db.alone(ctx, func(t *tx) error { return t.prepare(p) }, func(t *tx) error {
		t.discard = true
		if err := t.piece(p, nil); err != nil {
			return err
		}
		if err := t.d.Relax(ctx, t.c); err != nil {
			return err
		}
		return check(ctx, reader{t})
	})
}

// reader lets a check read inside the transaction of a rehearsal.
type reader struct{ t *tx }

func (r reader) Read(ctx context.Context, limit int, query string, args ...any) ([][]*string, error) {
	rows, err := r.t.c.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out [][]*string
	for len(out) < limit && rows.Next() {
		line := make([]*string, len(names))
		into := make([]any, len(names))
		for i := range line {
			into[i] = &line[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		out = append(out, line)
	}
	return out, rows.Err()
}

// prepare makes our tables and the holds of a plan, and sweeps what a crash left.
func (t *tx) prepare(p quarantine.Plan) error {
	there, err := t.hasOp()
	if err != nil {
		return err
	}
	if !there {
		t.trace("prepare")
		for _, q := range t.d.Prepare() {
			if _, err := t.exec(q); err != nil {
				return err
			}
		}
	}
	op, err := t.operation(p.ID, false)
	if err != nil || op.State != quarantine.Absent {
		return err // its holds are there
	}
	if t.d.DDLCommits() {
		if err := t.sweep(); err != nil {
			return err
		}
	}
	var infos map[string]*Info
	if t.d.DDLCommits() {
		infos, err = t.d.Describe(t.ctx, t.c, tablesOf(p))
	} else {
		infos, err = t.lockShape(p)
	}
	if err != nil {
		return err
	}
	list := t.holds(p, infos)
	if !t.d.DDLCommits() { // all at once: nothing can come between
		list = []string{strings.Join(list, "; ")}
	}
	for _, q := range list {
		t.trace("hold")
		if _, err := t.exec(q); err != nil {
			return err
		}
	}
	return nil
}

// sweep drops holds that belong to no operation: their transaction never committed.
func (t *tx) sweep() error {
	holds, err := t.d.Holds(t.ctx, t.c)
	if err != nil || len(holds) == 0 {
		return err
	}
	ops, err := t.operations()
	if err != nil {
		return err
	}
	for _, hold := range holds {
		known := slices.ContainsFunc(ops, func(o operation) bool { return strings.HasPrefix(hold, "q"+o.ID+"_") })
		if known || !strings.HasPrefix(hold, "q") || !strings.Contains(hold, "_") {
			continue
		}
		if _, err := t.exec(t.d.DropHold(t.d.Hold(hold))); err != nil {
			return err
		}
	}
	return nil
}

// tablesOf are the tables that a plan changes or looks at.
func tablesOf(p quarantine.Plan) []string {
	var out []string
	add := func(name string) {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	for _, t := range p.Tables {
		add(t.Name)
	}
	for _, l := range p.Links {
		add(l.Parent)
		add(l.Child)
	}
	return out
}

// holds are the statements that make the holds of a plan.
func (t *tx) holds(p quarantine.Plan, infos map[string]*Info) []string {
	var out []string
	for n, table := range p.Tables {
		if infos[table.Name] == nil {
			continue // the check of shapes says it better
		}
		out = append(out, t.d.CreateHold(t.d.Hold(table.Hold), infos[table.Name]))
		if p.Mode == quarantine.Replace {
			out = append(out, t.d.CreateHold(t.d.Hold(holdName(p.ID, "a", n)), infos[table.Name]))
		}
	}
	for _, d := range p.Detached {
		if info := infos[d.Link.Child]; info != nil {
			out = append(out, t.d.CreateHoldOf(t.d.Hold(d.Hold), info, append(slices.Clone(d.Key), d.Link.ChildColumns...)))
		}
	}
	return out
}

func stale(format string, args ...any) error {
	return fault.New(fault.Conflict, "the plan is stale: "+format, args...).At("plan").WithHint("nothing was changed; make a new plan and look at it again")
}

// piece takes the frozen rows of a plan away (or replaces their cells) inside t.
func (t *tx) piece(p quarantine.Plan, w quarantine.Watch) error {
	infos, err := t.sameShape(p)
	if err != nil {
		return err
	}
	done := 0
	tell := func(step string) error {
		if w != nil && !w(quarantine.Progress{Step: step, Done: done, Of: p.Rows}) {
			return fault.New(fault.Refused, "stopped by a person").WithHint("nothing was changed")
		}
		return nil
	}
	for n := range p.Tables {
		t.trace("copy %s", p.Tables[n].Name)
		if err := t.copyTable(p, &p.Tables[n], infos[p.Tables[n].Name]); err != nil {
			return err
		}
		done += len(p.Tables[n].Frozen)
		if err := tell("copied " + p.Tables[n].Name); err != nil {
			return err
		}
	}
	for n := range p.Detached {
		t.trace("copy links %s", p.Detached[n].Link.Child)
		if err := t.copyLinks(p, &p.Detached[n], infos[p.Detached[n].Link.Child]); err != nil {
			return err
		}
	}
	if p.Mode == quarantine.Replace {
		return t.replace(p, infos)
	}
	if err := t.countHolds(p); err != nil {
		return err
	}
	if err := t.closed(p, infos, false); err != nil {
		return err
	}
	if err := t.nothingElse(p, infos, func() error { return t.takeAway(p, infos) }); err != nil {
		return err
	}
	if err := t.closed(p, infos, true); err != nil { // nothing keeps children of these out
		return err
	}
	return tell("deleted")
}

// takeAway takes the links of rows that stay, and deletes the others.
func (t *tx) takeAway(p quarantine.Plan, infos map[string]*Info) error {
	for n := range p.Detached {
		t.trace("detach %s", p.Detached[n].Link.Child)
		if err := t.detach(p, &p.Detached[n], infos[p.Detached[n].Link.Child]); err != nil {
			return err
		}
	}
	if err := t.deleteAll(p, infos); err != nil {
		return err
	}
	t.trace("settle")
	return t.d.SettleConstraints(t.ctx, t.c)
}

// nothingElse runs act and compares what our statements say they have deleted or changed
// with what the database has. It is the last net below the closure: a foreign key that
// compares in a way that we don't know would take rows along of which there is no copy.
// Triggers, which a plan names, may do more.
func (t *tx) nothingElse(p quarantine.Plan, infos map[string]*Info, act func() error) error {
	tables := slices.Collect(maps.Values(infos))
	if slices.ContainsFunc(tables, func(i *Info) bool { return len(i.Triggers) > 0 }) {
		return act()
	}
	before, err := t.d.Touched(t.ctx, t.c, tables)
	if err != nil {
		return err
	}
	t.touched = 0
	if err := act(); err != nil || before < 0 {
		return err
	}
	after, err := t.d.Touched(t.ctx, t.c, tables)
	if err != nil {
		return err
	}
	if more := after - before - t.touched; more > mayEmpty(p) {
		return fault.New(fault.Conflict, "the database took %s along that the plan does not have", quarantine.Count(int(more), "row", "rows")).At("plan").
			WithHint("nothing was changed; a foreign key compares its columns in a way of its own: take these rows out by hand")
	}
	return nil
}

// mayEmpty is how many rows at most lose a link by the database itself before they are
// deleted: those that refer to another one that leaves with them, by a link that detaches.
func mayEmpty(p quarantine.Plan) int64 {
	rows := map[string]int{}
	for _, t := range p.Tables {
		rows[t.Name] = len(t.Frozen)
	}
	most := 0
	for _, l := range p.Links {
		if l.Detaches() && rows[l.Parent] > 0 {
			most += rows[l.Child]
		}
	}
	return int64(most)
}

// countHolds lets the planner know how many rows were copied.
func (t *tx) countHolds(p quarantine.Plan) error {
	var holds []string
	for _, table := range p.Tables {
		holds = append(holds, t.d.Hold(table.Hold))
	}
	for _, d := range p.Detached {
		holds = append(holds, t.d.Hold(d.Hold))
	}
	count := t.d.CountHolds(holds)
	if count == "" {
		return nil
	}
	t.trace("count")
	_, err := t.exec(count)
	return err
}

// lockShape keeps the tables of a plan from changing their shape, and reads it.
func (t *tx) lockShape(p quarantine.Plan) (map[string]*Info, error) {
	if t.locked != nil {
		return t.locked, nil
	}
	t.trace("shape")
	names := make([]string, len(p.Tables))
	for n, table := range p.Tables {
		names[n] = table.Name
	}
	located, err := t.d.Locate(t.ctx, t.c, names)
	if err != nil {
		return nil, err
	}
	lock := make([]*Info, len(names))
	for n, name := range names {
		if lock[n] = located[name]; lock[n] == nil || lock[n].What != "table" {
			return nil, stale("the table %s is gone", name)
		}
	}
	if err := t.d.LockTables(t.ctx, t.c, lock); err != nil {
		return nil, err
	}
	t.locked, err = t.d.Describe(t.ctx, t.c, tablesOf(p))
	return t.locked, err
}

// sameShape compares the tables with the plan.
func (t *tx) sameShape(p quarantine.Plan) (map[string]*Info, error) {
	infos, err := t.lockShape(p)
	if err != nil {
		return nil, err
	}
	for _, table := range p.Tables {
		i := infos[table.Name]
		switch {
		case i == nil || i.What != "table":
			return nil, stale("the table %s is gone", table.Name)
		case quarantine.HashColumns(i.Columns) != table.DDLHash || !slices.Equal(i.Key, table.Key):
			return nil, stale("the columns of %s have changed", table.Name)
		case !slices.Equal(i.Triggers, table.Triggers):
			return nil, stale("the triggers of %s have changed", table.Name)
		case len(i.Refused) > 0:
			return nil, stale("%s", strings.TrimSuffix(i.Refused[0].Reason, "."))
		}
	}
	if p.Mode == quarantine.Replace {
		return infos, nil
	}
	return infos, t.sameLinks(p, infos)
}

// sameLinks compares the links of now with those that the plan followed.
func (t *tx) sameLinks(p quarantine.Plan, infos map[string]*Info) error {
	links, err := t.links()
	if err != nil {
		return err
	}
	var now []quarantine.Link
	for _, l := range links {
		if slices.ContainsFunc(p.Tables, func(table quarantine.Table) bool { return table.Name == l.Parent }) {
			now = append(now, l)
		}
	}
	was := slices.SortedFunc(slices.Values(p.Links), compareLinks)
	same := len(now) == len(was)
	for i := range now {
		same = same && compareLinks(now[i], was[i]) == 0 && now[i].OnDelete == was[i].OnDelete && now[i].Logical == was[i].Logical && slices.Equal(now[i].ParentColumns, was[i].ParentColumns) &&
			slices.Equal(now[i].Collate, was[i].Collate) && slices.Equal(now[i].Casts, was[i].Casts)
	}
	if !same {
		return stale("the foreign keys around these tables have changed")
	}
	for _, l := range now {
		if infos[l.Child] == nil {
			return stale("the table %s is gone", l.Child)
		}
	}
	return nil
}
