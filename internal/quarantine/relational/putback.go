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

// Restore puts rows back.
func (db *DB) Restore(ctx context.Context, b quarantine.Back, w quarantine.Watch) (quarantine.Returned, error) {
	if err := checkBack(&b, true); err != nil {
		return quarantine.Returned{}, err
	}
	// First in the hope that nothing is in the way. Where something is, the database has
	// refused and everything is as it was: then it is looked for, and named.
	out, err := db.restoreOnce(ctx, b, w, b.Policy == quarantine.Abort)
	if b.Policy == quarantine.Abort && fault.KindOf(err) == fault.Conflict {
		out, err = db.restoreOnce(ctx, b, w, false)
	}
	return out, err
}

func (db *DB) restoreOnce(ctx context.Context, b quarantine.Back, w quarantine.Watch, hopeful bool) (quarantine.Returned, error) {
	var out quarantine.Returned
	err := db.alone(ctx, func(t *tx) error { return t.prepareEdits(b) }, func(t *tx) error {
		var err error
		out, err = t.restore(b, w, hopeful)
		return err
	})
	var lost *commitError
	if errors.As(err, &lost) {
		return db.settledAct(ctx, b, out, err)
	}
	if err != nil {
		return quarantine.Returned{}, err
	}
	return out, nil
}

// settledAct finds out what became of a restore whose COMMIT was not answered.
func (db *DB) settledAct(ctx context.Context, b quarantine.Back, out quarantine.Returned, err error) (quarantine.Returned, error) {
	var op operation
	lookErr := db.alone(ctx, nil, func(t *tx) (e error) { // alone: nobody can be about to commit it
		t.discard = true
		op, e = t.operation(b.Operation, false)
		return e
	})
	if lookErr != nil {
		return quarantine.Returned{}, fault.New(fault.Unavailable, "it is not known whether the rows are back: the database did not answer").At(db.o.Name).Because(err).
			WithHint("do the same again with the same id when the database answers: what was done is not done twice")
	}
	if hasAct(op, b.ID) {
		out.Operation = op.Operation
		return out, nil
	}
	return quarantine.Returned{Operation: op.Operation}, fault.New(fault.Unavailable, "nothing was changed: the database did not take the transaction").At(db.o.Name).Because(err).WithHint("try again")
}

func hasAct(op operation, id string) bool {
	return slices.ContainsFunc(op.Acts, func(a quarantine.Act) bool { return a.ID == id })
}

// editHold is the table that has the corrected version of rows.
func editHold(op string, h heldTable, manifest manifest) string {
	return holdName(op, "e", slices.IndexFunc(manifest.Tables, func(o heldTable) bool { return o.Hold == h.Hold }))
}

// prepareEdits makes the tables for corrected rows.
func (t *tx) prepareEdits(b quarantine.Back) error {
	if len(b.Edits) == 0 {
		return nil
	}
	op, err := t.operation(b.Operation, false)
	if err != nil {
		return err
	}
	holds, err := t.d.Holds(t.ctx, t.c)
	if err != nil {
		return err
	}
	for _, h := range op.manifest.Tables {
		name := editHold(op.ID, h, op.manifest)
		edited := slices.ContainsFunc(b.Edits, func(e quarantine.Edit) bool { return op.manifest.tableOf(e.Table) == h.Name })
		if !edited || slices.Contains(holds, name) {
			continue
		}
		if _, err := t.exec(t.d.CopyHold(t.d.Hold(name), t.d.Hold(h.Hold))); err != nil {
			return err
		}
	}
	return nil
}

// restore does the work of Restore inside its transaction.
func (t *tx) restore(b quarantine.Back, w quarantine.Watch, hopeful bool) (quarantine.Returned, error) {
	var out quarantine.Returned
	locked, err := t.operation(b.Operation, true)
	if err != nil {
		return out, err
	}
	if hasAct(locked, b.ID) {
		out.Operation, out.Again = locked.Operation, true
		return out, nil
	}
	if locked.State == quarantine.Moving {
		return out, fault.New(fault.Conflict, "operation %s is still moving rows", b.Operation).At("operation").WithHint("stop it first, or let it finish")
	}
	t.trace("look")
	if err := t.lockHeld(locked); err != nil {
		return out, err
	}
	r, err := t.backOf(locked, b, hopeful)
	if err != nil {
		return out, err
	}
	if problems := append(slices.Clone(r.drift), r.conflicts...); b.Policy == quarantine.Abort && len(problems) > 0 {
		first := problems[0]
		return out, fault.New(fault.Conflict, "%s can't come back; the first, %s %s: %s", quarantine.Count(len(problems), "row or link", "rows or links"), first.Table, strings.Join(first.Key, ", "), strings.TrimSuffix(first.Detail, ".")).
			At("operation").WithHint("nothing was changed; look at the preview, correct the rows, or choose the policy skip-and-report (--skip)")
	}
	out.Skipped = append(slices.Clone(r.drift), r.conflicts...)
	if err := r.put(&out, w); err != nil {
		return out, err
	}
	return out, r.finish(&out)
}

// lockHeld keeps the tables of an operation from changing their shape, and from getting
// a trigger, before they are looked at. Those that are gone are told of later. Where
// making tables ends a transaction, reading them keeps their shape.
func (t *tx) lockHeld(op operation) error {
	if t.d.DDLCommits() {
		return nil
	}
	var names []string
	for _, h := range op.manifest.Tables {
		names = append(names, h.Name)
	}
	for _, d := range op.manifest.Detached {
		names = append(names, d.Link.Child)
	}
	located, err := t.d.Locate(t.ctx, t.c, names)
	if err != nil {
		return err
	}
	var lock []*Info
	for _, i := range located {
		if i.What == "table" {
			lock = append(lock, i)
		}
	}
	return t.d.LockTables(t.ctx, t.c, lock)
}

// put puts the picked rows and links back.
func (r *back) put(out *quarantine.Returned, w quarantine.Watch) error {
	if r.op.Mode == quarantine.Replace {
		return r.putCells(out)
	}
	var names []string
	for _, h := range r.op.manifest.Tables {
		if r.infos[h.Name] != nil {
			names = append(names, h.Name)
		}
	}
	if r.t.d.DDLCommits() {
		if err := r.lockTables(names); err != nil {
			return err
		}
	}
	r.untouched = r.plainTables()
	if err := r.stageEdits(out); err != nil {
		return err
	}
	for _, group := range groups(names, r.all) {
		if err := r.insertGroup(group, out); err != nil {
			return err
		}
		if w != nil && !w(quarantine.Progress{Step: "back in " + strings.Join(group, ", "), Done: out.Rows, Of: r.op.Waiting()}) {
			return fault.New(fault.Refused, "stopped by a person").WithHint("nothing was changed")
		}
	}
	for _, l := range r.links {
		if err := r.putLinks(l, out); err != nil {
			return err
		}
	}
	r.t.trace("settle")
	if err := r.t.d.SettleConstraints(r.t.ctx, r.t.c); err != nil {
		return err
	}
	back := make([]Part, len(names))
	for n, name := range names {
		if err := r.same(name, out); err != nil {
			return err
		}
		h, _ := r.held(name)
		back[n] = Part{Info: r.infos[name], Hold: r.t.d.Hold(h.Hold)}
	}
	return r.t.d.AfterInsert(r.t.ctx, r.t.c, back)
}

func (r *back) lockTables(names []string) error {
	var infos []*Info
	for _, n := range names {
		infos = append(infos, r.infos[n])
	}
	return r.t.d.LockTables(r.t.ctx, r.t.c, infos)
}

// edited are the keys of a table that come back corrected.
func (r *back) edited(table string) []quarantine.Key {
	var out []quarantine.Key
	for _, e := range r.b.Edits {
		picked := r.pick[table] == nil || r.pick[table][keyID(e.Key)] != nil
		if e.Table == table && picked && !slices.ContainsFunc(out, func(k quarantine.Key) bool { return keyID(k) == keyID(e.Key) }) {
			out = append(out, e.Key)
		}
	}
	return out
}

// stageEdits writes the corrected rows beside the copies.
func (r *back) stageEdits(out *quarantine.Returned) error {
	t := r.t
	for _, h := range r.op.manifest.Tables {
		keys := r.edited(h.Name)
		if len(keys) == 0 {
			continue
		}
		i := h.then()
		hold := t.d.Hold(editHold(r.op.ID, h, r.op.manifest))
		columns := t.holdColumns(i)
		b := NewBuilder(t.d)
		n, err := t.exec(t.d.Fill()+"INSERT INTO "+hold+" ("+Columns(t.d, "", columns)+") SELECT "+Columns(t.d, "h", columns)+" FROM "+t.d.Hold(h.Hold)+" h WHERE "+t.d.MatchKeys(b, "h", i, keys), b.Args...)
		if err != nil {
			return err
		}
		if int(n) != len(keys) {
			return fault.New(fault.NotFound, "%d of %d rows to correct are not held", len(keys)-int(n), len(keys)).At("edits").WithHint("look whether their keys are right")
		}
		for _, e := range r.b.Edits {
			if e.Table != h.Name || r.pick[h.Name] != nil && r.pick[h.Name][keyID(e.Key)] == nil {
				continue
			}
			b := NewBuilder(t.d)
			sets := joinEach(e.Set, ", ", func(c quarantine.Cell) string { return t.d.Quote(c.Column) + " = " + t.value(b, i, c) })
			if _, err := t.exec("UPDATE "+hold+" SET "+sets+" WHERE "+t.d.MatchKeys(b, "", i, []quarantine.Key{e.Key}), b.Args...); err != nil {
				return err
			}
		}
		out.Edited += len(keys)
	}
	return nil
}

// plain are the keys of a table that come back as they were; nil: every row.
func (r *back) plain(table string) ([]quarantine.Key, error) {
	edited := r.edited(table)
	if len(edited) > 0 {
		if err := r.loadAll(); err != nil {
			return nil, err
		}
	}
	keys := r.keys(table)
	return slices.DeleteFunc(keys, func(k quarantine.Key) bool {
		return slices.ContainsFunc(edited, func(e quarantine.Key) bool { return keyID(e) == keyID(k) })
	}), nil
}

// insertGroup puts the rows of tables that refer to each other back.
func (r *back) insertGroup(group []string, out *quarantine.Returned) error {
	t := r.t
	var parts []Part
	var want []int
	group, _ = arrange(t.d, group, r.all, r.infos)
	for _, name := range group {
		h, _ := r.held(name)
		keys, err := r.plain(name)
		if err != nil {
			return err
		}
		i := r.infos[name]
		columns := slices.DeleteFunc(h.then().Stored(), func(c string) bool { now, ok := i.Column(c); return !ok || now.Generated })
		null := broken(t.d, i, group, r.all)
		add := func(hold string, only []quarantine.Key, rows int) {
			if rows > 0 {
				parts = append(parts, Part{Info: i, Hold: t.d.Hold(hold), Columns: columns, Null: null, Only: only})
				want = append(want, rows)
			}
		}
		rows := len(keys)
		if keys == nil {
			rows = h.Rows
		}
		add(h.Hold, keys, rows)
		edited := r.edited(name)
		add(editHold(r.op.ID, h, r.op.manifest), edited, len(edited))
	}
	if len(parts) == 0 {
		return nil
	}
	t.trace("insert %s", strings.Join(group, ", "))
	got, err := r.insert(group, parts)
	if err != nil {
		return err
	}
	for i, n := range got {
		if n != want[i] {
			return fault.New(fault.Conflict, "%d of %d rows of %s came back: a trigger or a rule keeps the others", n, want[i], parts[i].Info.Canonical()).At("operation").WithHint("nothing was changed; look at the triggers of the table")
		}
		out.Rows += n
	}
	return r.closeCircle(parts)
}

// insert inserts, and notes which tables are the same as their copies where the insert
// itself can say so for good.
func (r *back) insert(group []string, parts []Part) ([]int, error) {
	t := r.t
	if len(parts) != 1 || len(group) != 1 || parts[0].Only != nil || !r.untouched {
		return t.run(parts, t.d.Insert)
	}
	query := t.d.InsertSame(parts[0])
	if query == "" {
		return t.run(parts, t.d.Insert)
	}
	lines, err := t.texts(query)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(lines[0][0])
	r.proved[group[0]] = lines[0][1] == "0"
	return []int{n}, err
}

// plainTables says that what is inserted stays as it is: there is no trigger of anybody's
// in the tables that are written to, nor in parts of them.
func (r *back) plainTables() bool {
	written := slices.Clone(r.op.manifest.Tables)
	for _, d := range r.op.manifest.Detached {
		written = append(written, heldTable{Name: d.Link.Child})
	}
	return r.keysHold() && !slices.ContainsFunc(written, func(h heldTable) bool {
		now := r.infos[h.Name]
		return now == nil || len(now.Triggers) > 0 || len(now.Refused) > 0 || now.Partitioned || h.DDLHash != "" && quarantine.HashColumns(now.Columns) != h.DDLHash
	})
}

// closeCircle gives links inside a group, which were left null, their values.
func (r *back) closeCircle(parts []Part) error {
	for _, p := range parts {
		if len(p.Null) == 0 {
			continue
		}
		var columns []string
		for _, c := range p.Columns {
			if p.Null[c] {
				columns = append(columns, c)
			}
		}
		sets := append(r.t.backSets(columns), r.t.keepStamps(p.Info, columns)...)
		if _, err := r.t.updateFrom(p.Info, p.Hold, sets, "", p.Only); err != nil {
			return err
		}
	}
	return nil
}

// putLinks gives rows that stayed their link back, if it is still empty.
func (r *back) putLinks(l linkBack, out *quarantine.Returned) error {
	if len(l.keys) == 0 {
		return nil
	}
	info := r.infos[l.held.Link.Child]
	r.t.trace("relink %s", l.held.Link.Child)
	sets := append(r.t.backSets(l.held.Link.Emptied()), r.t.keepStamps(info, l.held.Link.Emptied())...)
	n, err := r.t.updateFrom(info, r.t.d.Hold(l.held.Hold), sets, r.emptyLink(l.held, info), l.keys)
	if err != nil {
		return err
	}
	if n != len(l.keys) {
		return fault.New(fault.Conflict, "%d of %d links of %s could be put back: somebody changed them just now, or a trigger did", n, len(l.keys), info.Canonical()).At("operation").WithHint("nothing was changed; try again")
	}
	out.Links += n
	return nil
}

// same compares what is back with the copies, cell by cell.
func (r *back) same(name string, out *quarantine.Returned) error {
	if r.proved[name] {
		return nil
	}
	h, _ := r.held(name)
	keys, err := r.plain(name)
	if err != nil || keys != nil && len(keys) == 0 {
		return err
	}
	now := r.infos[name]
	var columns []string
	if quarantine.HashColumns(now.Columns) != h.DDLHash {
		columns = slices.DeleteFunc(h.then().Stored(), func(c string) bool { is, ok := now.Column(c); return !ok || is.Generated })
	}
	t := r.t
	t.trace("compare %s", name)
	different, err := r.differing(h, now, keys, t.d.Differs("t", "h", now, now.as(h), columns))
	if err != nil || len(different) == 0 {
		return err
	}
	if r.b.Policy == quarantine.Abort {
		return fault.New(fault.Conflict, "%s not as before once back: a trigger changes what comes", quarantine.Count(len(different), "row of "+name+" is", "rows of "+name+" are")).At("operation").
			WithHint("nothing was changed; look at the triggers (%s), or choose the policy skip-and-report (--skip), which takes the changed rows and tells of them", strings.Join(now.Triggers, ", "))
	}
	for _, k := range different {
		out.Skipped = append(out.Skipped, quarantine.Conflict{Table: name, Key: k, Kind: "trigger", Detail: "It is back, but a trigger has changed it. The copy still has it as it was."})
	}
	return nil
}

// as is the table of now with the columns of then, for reading a hold.
func (i *Info) as(h heldTable) *Info {
	then := h.then()
	then.Schema = i.Schema
	return then
}

// differing reads the keys of rows for which a condition over t and h holds, or which
// are not there at all.
func (r *back) differing(h heldTable, now *Info, only []quarantine.Key, condition string) ([]quarantine.Key, error) {
	t := r.t
	var out []quarantine.Key
	for _, chunk := range t.chunksOrAll(h.then(), only) {
		b := NewBuilder(t.d)
		// In a case, as MariaDB takes a date 0000-00-00 for null in a condition
		// (https://mariadb.com/kb/en/is-null/).
		query := "SELECT " + t.key("h", h.then()) + " FROM " + t.d.Hold(h.Hold) + " h LEFT JOIN " + t.d.Source(now) + " t ON " + Joined(t.d, "t", "h", h.then(), h.Key) +
			" WHERE (CASE WHEN " + Cell(t.d, "t", h.Key[0]) + " IS NULL THEN 1 ELSE 0 END = 1 OR " + condition + ")"
		if chunk != nil {
			query += " AND " + t.d.MatchKeys(b, "h", h.then(), chunk)
		}
		lines, err := t.texts(query+" LIMIT 1000", b.Args...)
		if err != nil {
			return nil, err
		}
		for _, line := range lines {
			out = append(out, line)
		}
	}
	return out, nil
}

// finish notes what was done.
func (r *back) finish(out *quarantine.Returned) error {
	t := r.t
	state, rest := quarantine.Restored, quarantine.RowRestored
	if r.whole && out.Edited == 0 && len(out.Skipped) == 0 && r.linksWhole() {
		if err := t.updateOp(r.op.ID, state, rest, r.op.Rows, r.op.cursor); err != nil {
			return err
		}
	} else if err := r.finishPart(); err != nil {
		return err
	}
	note := ""
	if n := len(out.Skipped); n > 0 {
		note = fmt.Sprintf("%d skipped", n)
	}
	if out.Edited > 0 {
		note = strings.TrimPrefix(note+", "+fmt.Sprintf("%d corrected", out.Edited), ", ")
	}
	if err := t.insertAct(r.op.ID, r.b.ID, "restore", r.b.By, out.Rows, note); err != nil {
		return err
	}
	op, err := t.operation(r.op.ID, false)
	out.Operation = op.Operation
	return err
}

// linksWhole says whether every link comes back.
func (r *back) linksWhole() bool {
	n := 0
	for _, d := range r.op.manifest.Detached {
		n += d.Rows
	}
	for _, l := range r.links {
		n -= len(l.keys)
	}
	return n == 0
}

// finishPart names the rows that are back.
func (r *back) finishPart() error {
	t := r.t
	if err := r.loadAll(); err != nil {
		return err
	}
	left := r.op.Waiting()
	for _, h := range r.op.manifest.Tables {
		edited := r.edited(h.Name)
		if r.op.Mode == quarantine.Replace {
			edited = nil
		}
		plain, err := r.plain(h.Name)
		if err != nil {
			return err
		}
		if err := t.setGone(r.op.ID, h.Hold, plain, quarantine.RowRestored); err != nil {
			return err
		}
		if err := t.setGone(r.op.ID, h.Hold, edited, quarantine.RowEdited); err != nil {
			return err
		}
		left -= len(plain) + len(edited)
	}
	for _, l := range r.links {
		if err := t.setGone(r.op.ID, l.held.Hold, l.keys, quarantine.RowRestored); err != nil {
			return err
		}
	}
	state := quarantine.Partly
	if left <= 0 {
		state = quarantine.Restored
	}
	return t.updateOp(r.op.ID, state, quarantine.RowHeld, r.op.Rows, r.op.cursor)
}

// pickReplaced finds which rows still have the safe values.
func (r *back) pickReplaced() error {
	h := r.op.manifest.Tables[0]
	if err := r.choose(); err != nil {
		return err
	}
	if err := r.drifted(); err != nil || len(r.drift) > 0 {
		return err
	}
	if err := r.loadAll(); err != nil {
		return err
	}
	t, now := r.t, r.infos[h.Name]
	after := t.d.Hold(holdName(r.op.ID, "a", 0))
	changed := joinEach(cellColumns(r.op.manifest.Set), " OR ", func(c string) string {
		column, _ := now.Column(c)
		return "NOT (" + t.d.Same("t."+t.d.Quote(c), "(SELECT a."+t.d.Quote(c)+" FROM "+after+" a WHERE "+Joined(t.d, "a", "h", h.then(), h.Key)+")", column) + ")"
	})
	keys, err := r.differing(h, now, r.keys(h.Name), changed)
	if err != nil {
		return err
	}
	for _, k := range keys {
		r.conflict(h.Name, k, "changed", "The row is gone, or somebody has changed these cells since. Look which of the two is right; nothing is overwritten.")
	}
	return r.drop(h.Name, keys...)
}

// putCells puts replaced cells back, where they are still the replacement.
func (r *back) putCells(out *quarantine.Returned) error {
	h := r.op.manifest.Tables[0]
	now, t := r.infos[h.Name], r.t
	if now == nil {
		return nil
	}
	keys := r.keys(h.Name)
	if len(keys) == 0 {
		return nil
	}
	if err := r.lockTables([]string{h.Name}); err != nil {
		return err
	}
	columns := cellColumns(r.op.manifest.Set)
	after := t.d.Hold(holdName(r.op.ID, "a", 0))
	still := joinEach(columns, " AND ", func(c string) string {
		column, _ := now.Column(c)
		return t.d.Same("t."+t.d.Quote(c), "(SELECT a."+t.d.Quote(c)+" FROM "+after+" a WHERE "+Joined(t.d, "a", "h", h.then(), h.Key)+")", column)
	})
	t.trace("cells %s", h.Name)
	n, err := t.updateFrom(now, t.d.Hold(h.Hold), append(t.backSets(columns), t.keepStamps(now, columns)...), still, keys)
	if err != nil {
		return err
	}
	if n != len(keys) {
		return fault.New(fault.Conflict, "%d of %d rows of %s still had the safe values: somebody changed them just now", n, len(keys), h.Name).At("operation").WithHint("nothing was changed; look at the preview and try again")
	}
	out.Rows = n
	return t.d.SettleConstraints(t.ctx, t.c)
}
