package relational

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
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
	if err := t.d.SettleConstraints(t.ctx, t.c); err != nil {
		return err
	}
	if err := t.closed(p, infos, true); err != nil { // nothing keeps children of these out
		return err
	}
	return tell("deleted")
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
		same = same && compareLinks(now[i], was[i]) == 0 && now[i].OnDelete == was[i].OnDelete && now[i].Logical == was[i].Logical && slices.Equal(now[i].ParentColumns, was[i].ParentColumns)
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

// holdColumns are the columns that a hold is filled with.
func (t *tx) holdColumns(i *Info) []string {
	if !t.d.HoldsComputed() {
		return i.Stored()
	}
	return i.Names()
}

// copySQL copies rows under their locks, in the order of their keys.
func (t *tx) copySQL(b *Builder, i *Info, hold string, columns []string, keys []quarantine.Key) string {
	return "INSERT INTO " + t.d.Hold(hold) + " (" + Columns(t.d, "", columns) + ") SELECT " + Columns(t.d, "t", columns) + " FROM " + t.d.Source(i) + " t WHERE " +
		t.d.MatchKeys(b, "t", i, keys) + " ORDER BY " + Columns(t.d, "t", i.Key) + t.d.ForUpdate("t")
}

// copyRows copies and counts.
func (t *tx) copyRows(i *Info, hold string, columns []string, keys []quarantine.Key) error {
	total := 0
	for _, chunk := range t.chunks(i, keys) {
		b := NewBuilder(t.d)
		n, err := t.exec(t.copySQL(b, i, hold, columns, chunk), b.Args...)
		if err != nil {
			return err
		}
		total += int(n)
	}
	if total != len(keys) {
		return stale("%s no longer there", quarantine.Of(len(keys)-total, len(keys), "row of "+i.Canonical(), "rows of "+i.Canonical()))
	}
	return nil
}

// copyTable copies the frozen rows of a table and compares them with the plan.
func (t *tx) copyTable(p quarantine.Plan, table *quarantine.Table, i *Info) error {
	keys := keysOfRows(table.Frozen)
	if err := t.copyRows(i, table.Hold, t.holdColumns(i), keys); err != nil {
		return err
	}
	if table.Image == "" || p.Batch {
		return t.compare(i, table.Hold, nil, t.narrow(p, keys), table.SetHash)
	}
	lines, err := t.texts("SELECT " + t.d.Image("h", i) + " FROM " + t.d.Hold(table.Hold) + " h")
	if err != nil {
		return err
	}
	if lines[0][0] != table.Image {
		return changed(i)
	}
	return nil
}

// narrow gives the keys of a piece of a batch, whose holds have other rows, too.
func (t *tx) narrow(p quarantine.Plan, keys []quarantine.Key) []quarantine.Key {
	if p.Batch {
		return keys
	}
	return nil
}

// compare compares the set hash of a hold (of all columns, or of some) with the plan's.
func (t *tx) compare(i *Info, hold string, columns []string, only []quarantine.Key, want string) error {
	got, err := t.setHash(hold, i, columns, only)
	if err != nil {
		return err
	}
	if got != want {
		return changed(i)
	}
	return nil
}

func changed(i *Info) error { return stale("rows of %s have been changed meanwhile", i.Canonical()) }

// setHash is HashHashes of the rows of a hold.
func (t *tx) setHash(hold string, i *Info, columns []string, only []quarantine.Key) (string, error) {
	set := t.d.SetHash("h", i, columns)
	if set == "" || len(only) > t.d.Chunk(i) {
		hashes, err := t.hashes(hold, t.d.Hash("h", i, columns), i, only)
		return quarantine.HashHashes(hashes), err
	}
	b := NewBuilder(t.d)
	query := "SELECT " + set + " FROM " + t.d.Hold(hold) + " h"
	if only != nil {
		query += " WHERE " + t.d.MatchKeys(b, "h", i, only)
	}
	lines, err := t.texts(query, b.Args...)
	if err != nil {
		return "", err
	}
	return lines[0][0], nil
}

func (t *tx) hashes(hold, hash string, i *Info, only []quarantine.Key) ([]string, error) {
	var out []string
	for _, chunk := range t.chunksOrAll(i, only) {
		b := NewBuilder(t.d)
		query := "SELECT " + hash + " FROM " + t.d.Hold(hold) + " h"
		if chunk != nil {
			query += " WHERE " + t.d.MatchKeys(b, "h", i, chunk)
		}
		lines, err := t.texts(query, b.Args...)
		if err != nil {
			return nil, err
		}
		for _, line := range lines {
			out = append(out, line[0])
		}
	}
	return out, nil
}

// copyLinks copies the links of rows that stay.
func (t *tx) copyLinks(p quarantine.Plan, d *quarantine.Detach, i *Info) error {
	columns := slices.Clone(d.Key)
	for _, c := range d.Link.ChildColumns {
		if !slices.Contains(columns, c) {
			columns = append(columns, c)
		}
	}
	keys := keysOfRows(d.Frozen)
	if err := t.copyRows(i, d.Hold, columns, keys); err != nil {
		return err
	}
	return t.compare(i, d.Hold, d.Link.ChildColumns, t.narrow(p, keys), d.SetHash)
}

// closed says whether any row outside the plan refers to one inside. Together with
// unchanged rows inside this is the same as computing the closure again. logical asks
// only for links that the database does not know of.
func (t *tx) closed(p quarantine.Plan, infos map[string]*Info, logical bool) error {
	for _, l := range p.Links {
		if logical && !l.Logical {
			continue
		}
		t.trace("closed %s", l.Name)
		outside, err := t.outside(p, l, infos, logical)
		if err != nil {
			return err
		}
		if outside != 0 {
			return stale("new rows of %s hang on rows of %s", l.Child, l.Parent)
		}
	}
	return nil
}

// outside counts the rows that refer to a row of the plan over a link and are not of
// the plan themselves. Counted and not ended at the first: planners take a slow way to
// a first row.
func (t *tx) outside(p quarantine.Plan, l quarantine.Link, infos map[string]*Info, left bool) (int, error) {
	moving := tableOf(p, l.Parent)
	parent := t.d.Hold(moving.Hold)
	var inside []heldLink // where rows of the plan lie, by their keys
	if child := slices.IndexFunc(p.Tables, func(table quarantine.Table) bool { return table.Name == l.Child }); child >= 0 {
		inside = append(inside, heldLink{Hold: p.Tables[child].Hold, Key: p.Tables[child].Key})
	}
	for _, d := range p.Detached {
		if compareLinks(d.Link, l) == 0 {
			inside = append(inside, heldLink{Hold: d.Hold, Key: d.Key})
		}
	}
	b := NewBuilder(t.d)
	from, alias := parent+" h", "h"
	if !left && !t.d.HoldsCompare() { // by the rows themselves, which are still there
		from, alias = t.d.Few(from, t.d.Source(infos[l.Parent])+" p", Joined(t.d, "p", moving.Key, "h", moving.Key)), "p"
	}
	query := "SELECT count(*) FROM " + t.d.Few(from, t.d.Source(infos[l.Child])+" c", t.linkSQL(b, "c", alias, l, infos))
	// The copies are of rows that are locked, and the same: each is among those that are
	// counted, so that as many are the same ones. To count is quicker than to look for each.
	countable := !left && !p.Batch && len(l.When) == 0
	if n, ok := only(p, l); ok && countable {
		query = "SELECT (" + query + ") - " + strconv.Itoa(n)
	} else if countable && t.d.HoldsCompare() {
		query = "SELECT (" + query + ")"
		for _, h := range inside {
			query += " - (SELECT count(*) FROM " + t.d.Hold(h.Hold) + " c JOIN " + parent + " h ON " + Joined(t.d, "c", l.ChildColumns, "h", l.ParentColumns) + ")"
		}
	} else {
		glue := " WHERE "
		for _, h := range inside {
			query += glue + "NOT EXISTS (SELECT 1 FROM " + t.d.Hold(h.Hold) + " x WHERE " + Joined(t.d, "c", h.Key, "x", h.Key) + ")"
			glue = " AND "
		}
	}
	lines, err := t.texts(query, b.Args...)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(lines[0][0])
}

// only says how many rows of a link's child leave, where all of them hang on the plan's
// rows by that link: no other leads to them, and nobody chose them.
func only(p quarantine.Plan, l quarantine.Link) (int, bool) {
	for _, o := range p.Links {
		if o.Child == l.Child && (compareLinks(o, l) != 0 || o.Detaches()) {
			return 0, false
		}
	}
	at := slices.IndexFunc(p.Tables, func(t quarantine.Table) bool { return t.Name == l.Child })
	if at < 0 || l.Child == p.Root || l.Logical {
		return 0, false
	}
	return len(p.Tables[at].Frozen), true
}

// detach takes the links of rows that stay.
func (t *tx) detach(p quarantine.Plan, d *quarantine.Detach, i *Info) error {
	var sets []string
	columns := d.Link.Emptied()
	for _, c := range columns {
		value := "NULL"
		if d.Link.OnDelete == "set default" {
			if value = i.Defaults[c]; value == "" {
				value = "DEFAULT"
			}
		}
		sets = append(sets, t.d.Quote(c)+" = "+value)
	}
	sets = append(sets, t.keepStamps(i, columns)...)
	n, err := t.updateFrom(i, t.d.Hold(d.Hold), sets, "", t.narrow(p, keysOfRows(d.Frozen)))
	if err != nil {
		return err
	}
	if n != len(d.Frozen) {
		return fault.New(fault.Conflict, "%d of %d links of %s could not be taken: a trigger keeps them", len(d.Frozen)-n, len(d.Frozen), i.Canonical()).At("plan").WithHint("nothing was changed; look at the triggers of the table")
	}
	return nil
}

// keepStamps keeps columns that the database changes on every update as they are.
func (t *tx) keepStamps(i *Info, but []string) []string {
	var out []string
	for _, c := range i.Stamps {
		if !slices.Contains(but, c) {
			out = append(out, t.d.Quote(c)+" = "+Cell(t.d, "t", c))
		}
	}
	return out
}

// updateFrom runs an update over the rows of a hold (quoted) and counts.
func (t *tx) updateFrom(i *Info, hold string, sets []string, where string, only []quarantine.Key) (int, error) {
	total := 0
	for _, chunk := range t.chunksOrAll(i, only) {
		b := NewBuilder(t.d)
		var all []string
		if where != "" {
			all = append(all, where)
		}
		if chunk != nil {
			all = append(all, t.d.MatchKeys(b, "h", i, chunk))
		}
		n, err := t.exec(t.d.UpdateFrom(i, hold, sets, all), b.Args...)
		if err != nil {
			return total, err
		}
		total += int(n)
	}
	return total, nil
}

// deleteAll deletes the rows, leaves first, and counts them.
func (t *tx) deleteAll(p quarantine.Plan, infos map[string]*Info) error {
	for _, group := range slices.Backward(t.planGroups(p)) {
		if err := t.openCircle(p, group, infos); err != nil {
			return err
		}
		var parts []Part
		var want []int
		order, _ := arrange(t.d, group, p.Links, infos)
		slices.Reverse(order)
		group = order
		for _, name := range group {
			table := tableOf(p, name)
			parts = append(parts, Part{Info: infos[name], Hold: t.d.Hold(table.Hold), Only: t.narrow(p, keysOfRows(table.Frozen))})
			want = append(want, len(table.Frozen))
		}
		t.trace("delete %s", strings.Join(group, ", "))
		got, err := t.run(parts, t.d.Delete)
		if err != nil {
			return err
		}
		for i, n := range got {
			if n != want[i] {
				return fault.New(fault.Conflict, "%d of %d rows of %s were deleted: a trigger or a rule keeps the others, or has deleted them already", n, want[i], group[i]).
					At("plan").WithHint("nothing was changed; look at the triggers that the plan names")
			}
		}
	}
	return nil
}

func tableOf(p quarantine.Plan, name string) quarantine.Table {
	return p.Tables[slices.IndexFunc(p.Tables, func(t quarantine.Table) bool { return t.Name == name })]
}

// planGroups are the tables of a plan, parents first.
func (t *tx) planGroups(p quarantine.Plan) [][]string {
	names := make([]string, len(p.Tables))
	for i, table := range p.Tables {
		names[i] = table.Name
	}
	return groups(names, p.Links)
}

// openCircle puts the links inside a group to null where the database checks them row
// by row.
func (t *tx) openCircle(p quarantine.Plan, group []string, infos map[string]*Info) error {
	for _, name := range group {
		null := broken(t.d, infos[name], group, p.Links)
		if len(null) == 0 {
			continue
		}
		var sets []string
		for _, c := range infos[name].Stored() {
			if null[c] {
				sets = append(sets, t.d.Quote(c)+" = NULL")
			}
		}
		table := tableOf(p, name)
		if _, err := t.updateFrom(infos[name], t.d.Hold(table.Hold), append(sets, t.keepStamps(infos[name], nil)...), "", t.narrow(p, keysOfRows(table.Frozen))); err != nil {
			return err
		}
	}
	return nil
}

// run runs Delete or Insert over a group and gives the count of each part.
func (t *tx) run(parts []Part, build func(*Builder, []Part) string) ([]int, error) {
	out := make([]int, len(parts))
	if t.d.Together() && len(parts) > 1 {
		b := NewBuilder(t.d)
		lines, err := t.texts(build(b, parts), b.Args...)
		if err != nil {
			return nil, err
		}
		for i := range out {
			if _, err := fmt.Sscan(lines[0][i], &out[i]); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	for i, part := range parts {
		for _, chunk := range t.chunksOrAll(part.Info, part.Only) {
			part.Only = chunk
			b := NewBuilder(t.d)
			n, err := t.exec(build(b, []Part{part}), b.Args...)
			if err != nil {
				return nil, err
			}
			out[i] += int(n)
		}
	}
	return out, nil
}

// replace puts the safe values in and keeps how the rows look then.
func (t *tx) replace(p quarantine.Plan, infos map[string]*Info) error {
	table := p.Tables[0]
	i := infos[table.Name]
	keys := keysOfRows(table.Frozen)
	total := 0
	t.trace("replace %s", table.Name)
	for _, chunk := range t.chunks(i, keys) {
		b := NewBuilder(t.d)
		sets := joinEach(p.Request.Set, ", ", func(c quarantine.Cell) string { return t.d.Quote(c.Column) + " = " + t.value(b, i, c) })
		for _, keep := range t.keepStamps(i, cellColumns(p.Request.Set)) {
			sets += ", " + strings.Replace(keep, "t.", "", 1)
		}
		n, err := t.exec("UPDATE "+t.d.Source(i)+" SET "+sets+" WHERE "+t.d.MatchKeys(b, "", i, chunk), b.Args...)
		if err != nil {
			return err
		}
		total += int(n)
	}
	if total != len(keys) {
		return fault.New(fault.Conflict, "%d of %d rows of %s took the safe values: a trigger keeps the others", total, len(keys), i.Canonical()).At("plan").WithHint("nothing was changed; look at the triggers that the plan names")
	}
	if err := t.d.SettleConstraints(t.ctx, t.c); err != nil {
		return err
	}
	return t.copyRows(i, holdName(p.ID, "a", 0), t.holdColumns(i), keys)
}

func cellColumns(cells []quarantine.Cell) []string {
	var out []string
	for _, c := range cells {
		out = append(out, c.Column)
	}
	return out
}

// value is a cell's value as SQL.
func (t *tx) value(b *Builder, i *Info, c quarantine.Cell) string {
	if c.Value == nil {
		return "NULL"
	}
	column, _ := i.Column(c.Column)
	return t.d.Literal(b, column, *c.Value)
}

// script tells what Apply and Restore run, for people to read.
func (t *tx) script(p *quarantine.Plan, infos map[string]*Info) (there, back []string) {
	one := func(table quarantine.Table) []quarantine.Key {
		return keysOfRows(table.Frozen[:min(1, len(table.Frozen))])
	}
	for _, table := range p.Tables {
		if len(table.Frozen) == 0 {
			return nil, nil
		}
		there = append(there, t.copySQL(NewBuilder(t.d), infos[table.Name], table.Hold, t.holdColumns(infos[table.Name]), one(table)))
	}
	if p.Mode == quarantine.Replace {
		i := infos[p.Root]
		sets := joinEach(cellColumns(p.Request.Set), ", ", func(c string) string { return t.d.Quote(c) + " = …" })
		there = append(there, "UPDATE "+t.d.Source(i)+" SET "+sets+" WHERE "+t.d.MatchKeys(NewBuilder(t.d), "", i, one(p.Tables[0])))
		back = append(back, t.d.UpdateFrom(i, t.d.Hold(p.Tables[0].Hold), t.backSets(cellColumns(p.Request.Set)), nil))
		return there, back
	}
	for _, d := range p.Detached {
		sets := []string{}
		for _, c := range d.Link.Emptied() {
			sets = append(sets, t.d.Quote(c)+" = NULL")
		}
		there = append(there, t.d.UpdateFrom(infos[d.Link.Child], t.d.Hold(d.Hold), sets, nil))
	}
	order := t.planGroups(*p)
	parts := func(group []string) []Part {
		var out []Part
		for _, name := range group {
			out = append(out, Part{Info: infos[name], Hold: t.d.Hold(tableOf(*p, name).Hold), Columns: infos[name].Stored()})
		}
		return out
	}
	for _, group := range slices.Backward(order) {
		for _, list := range t.statements(parts(group)) {
			there = append(there, t.d.Delete(NewBuilder(t.d), list))
		}
	}
	for _, group := range order {
		for _, list := range t.statements(parts(group)) {
			back = append(back, t.d.Insert(NewBuilder(t.d), list))
		}
	}
	for _, d := range p.Detached {
		back = append(back, t.d.UpdateFrom(infos[d.Link.Child], t.d.Hold(d.Hold), t.backSets(d.Link.Emptied()), nil))
	}
	return there, back
}

// statements cuts a group into what one statement takes.
func (t *tx) statements(parts []Part) [][]Part {
	if t.d.Together() {
		return [][]Part{parts}
	}
	return slices.Collect(slices.Chunk(parts, 1))
}

// backSets sets columns to what the hold has.
func (t *tx) backSets(columns []string) []string {
	var out []string
	for _, c := range columns {
		out = append(out, t.d.Quote(c)+" = "+Cell(t.d, "h", c))
	}
	return out
}
