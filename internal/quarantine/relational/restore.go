package relational

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
)

// back is a restore being worked out: which rows of which hold.
type back struct {
	t         *tx
	op        operation
	b         quarantine.Back
	infos     map[string]*Info                     // as the tables are now
	all       []quarantine.Link                    // of the whole database
	pick      map[string]map[string]quarantine.Key // by table and key; nil map: every row of the hold
	whole     bool                                 // every row of every hold
	conflicts []quarantine.Conflict
	drift     []quarantine.Conflict
	links     []linkBack
	hopeful   bool            // what the database itself refuses is not looked for
	untouched bool            // nothing changes rows on their way back
	proved    map[string]bool // tables whose rows are back as they were, as the insert has told
}

// linkBack is the rows of one hold of links that get their link back.
type linkBack struct {
	held heldLink
	keys []quarantine.Key
}

// Preview says what Restore would do.
func (db *DB) Preview(ctx context.Context, b quarantine.Back) (quarantine.Preview, error) {
	var out quarantine.Preview
	if err := checkBack(&b, false); err != nil {
		return out, err
	}
	err := db.within(ctx, Reading, func(t *tx) error {
		r, err := t.back(b)
		if err != nil {
			return err
		}
		out = r.preview()
		return nil
	})
	return out, err
}

func checkBack(b *quarantine.Back, act bool) error {
	if err := checkID(b.Operation, "operation"); err != nil {
		return err
	}
	if act {
		if err := checkID(b.ID, "id"); err != nil {
			return err
		}
	}
	if b.Policy == "" {
		b.Policy = quarantine.Abort
	}
	if b.Policy != quarantine.Abort && b.Policy != quarantine.Skip {
		return fault.New(fault.Invalid, "%.40q is no policy", b.Policy).At("policy").WithHint("the policies are abort and skip-and-report")
	}
	return nil
}

// back works out what would come back.
func (t *tx) back(b quarantine.Back) (*back, error) {
	op, err := t.operation(b.Operation, false)
	if err != nil {
		return nil, err
	}
	return t.backOf(op, b, false)
}

// backOf works out what would come back of an operation. hopeful leaves out what the
// database itself refuses when the rows are inserted.
func (t *tx) backOf(op operation, b quarantine.Back, hopeful bool) (*back, error) {
	if err := mayChange(op); err != nil {
		return nil, err
	}
	r := &back{t: t, op: op, b: b, hopeful: hopeful, pick: map[string]map[string]quarantine.Key{}, proved: map[string]bool{}}
	var err error
	if r.all, err = t.links(); err != nil {
		return nil, err
	}
	if err := r.describe(); err != nil {
		return nil, err
	}
	if err := r.checkEdits(); err != nil {
		return nil, err
	}
	if err := r.checkKeys(); err != nil {
		return nil, err
	}
	if op.Mode == quarantine.Replace {
		return r, r.pickReplaced()
	}
	if err := r.choose(); err != nil {
		return nil, err
	}
	if err := r.checkComing(); err != nil {
		return nil, err
	}
	if err := r.drifted(); err != nil {
		return nil, err
	}
	for _, find := range []func() error{r.taken, r.orphaned, r.hanging, r.relink} {
		if err := find(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// keysHold says that the database refuses a second row with the key of one that comes
// back.
func (r *back) keysHold() bool {
	return !slices.ContainsFunc(r.op.manifest.Tables, func(h heldTable) bool {
		now := r.infos[h.Name]
		return now == nil || !slices.Equal(now.Key, h.Key)
	})
}

// mayChange says whether an operation has rows that can come back.
func mayChange(op operation) error {
	switch op.State {
	case quarantine.Absent:
		return fault.New(fault.NotFound, "there is no operation %s", op.ID).At("operation").WithHint("look at the list of operations")
	case quarantine.Purged:
		return fault.New(fault.Refused, "the copies of operation %s were purged", op.ID).At("operation").WithHint("only a backup of the database still has the rows")
	}
	return nil
}

// describe reads the tables of the operation, and those that its rows refer to.
func (r *back) describe() error {
	var names []string
	add := func(n string) {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	for _, h := range r.op.manifest.Tables {
		add(h.Name)
	}
	for _, d := range r.op.manifest.Detached {
		add(d.Link.Child)
	}
	for _, l := range r.all {
		if slices.Contains(names, l.Child) {
			add(l.Parent)
		}
	}
	var err error
	r.infos, err = r.t.d.Describe(r.t.ctx, r.t.c, names)
	return err
}

func (r *back) held(table string) (heldTable, bool) {
	at := slices.IndexFunc(r.op.manifest.Tables, func(h heldTable) bool { return h.Name == table })
	if at < 0 {
		return heldTable{}, false
	}
	return r.op.manifest.Tables[at], true
}

func (r *back) checkEdits() error {
	r.b.Edits = slices.Clone(r.b.Edits)
	for n := range r.b.Edits {
		r.b.Edits[n].Table = r.op.manifest.tableOf(r.b.Edits[n].Table)
	}
	if r.op.Mode == quarantine.Replace && len(r.b.Edits) > 0 {
		return fault.New(fault.Invalid, "cells that were replaced come back as they were").At("edits").WithHint("leave the edits out, and correct the row where it is")
	}
	for n, e := range r.b.Edits {
		place := fmt.Sprintf("edits: %d", n+1)
		h, ok := r.held(e.Table)
		if !ok {
			return fault.New(fault.Invalid, "operation %s holds no rows of %.60q", r.op.ID, e.Table).At(place).WithHint("name one of its tables: %s", strings.Join(r.op.manifest.names(), ", "))
		}
		if len(e.Set) == 0 {
			return fault.New(fault.Invalid, "an edit names a row by its key (%s) and sets at least one column", strings.Join(h.Key, ", ")).At(place).WithHint("complete it")
		}
		info := h.then()
		for _, cell := range e.Set {
			column, ok := info.Column(cell.Column)
			if !ok || slices.Contains(h.Key, cell.Column) {
				return fault.New(fault.Invalid, "%.60q can't be edited", cell.Column).At(place).WithHint("name a column of %s that is not part of its key", e.Table)
			}
			if err := r.t.checkValue(column, cell, place+": "+cell.Column); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkKeys checks the keys that a person has written, and writes them as the copies do:
// 007 names the row 7, and where upper and lower case are the same, ann names Ann.
func (r *back) checkKeys() error {
	r.b.Roots = slices.Clone(r.b.Roots)
	if h, ok := r.held(r.op.Root); ok {
		for n := range r.b.Roots {
			r.b.Roots[n] = whole(h.then(), r.b.Roots[n])
			if err := r.t.checkKey(h.then(), r.b.Roots[n], fmt.Sprintf("roots: %d", n+1)); err != nil {
				return err
			}
		}
		if err := r.asHeld(h, r.b.Roots); err != nil {
			return err
		}
	}
	for n := range r.b.Edits {
		e := &r.b.Edits[n]
		h, _ := r.held(e.Table)
		e.Key = whole(h.then(), e.Key)
		if err := r.t.checkKey(h.then(), e.Key, fmt.Sprintf("edits: %d", n+1)); err != nil {
			return err
		}
		key := []quarantine.Key{e.Key}
		if err := r.asHeld(h, key); err != nil {
			return err
		}
		e.Key = key[0]
	}
	return nil
}

// asHeld writes keys as the copies of a table do, where there is one copy of each.
func (r *back) asHeld(h heldTable, keys []quarantine.Key) error {
	known, err := r.copiesOf(h, keys)
	if err != nil {
		return err
	}
	for n, key := range keys {
		if known[keyID(key)] != nil {
			continue
		}
		one, err := r.copiesOf(h, keys[n:n+1])
		if err != nil {
			return err
		}
		for _, written := range one {
			if len(one) == 1 {
				keys[n] = written
			}
		}
	}
	return nil
}

// copiesOf reads the keys of the copies that some keys name.
func (r *back) copiesOf(h heldTable, keys []quarantine.Key) (map[string]quarantine.Key, error) {
	out := map[string]quarantine.Key{}
	i := h.then()
	for _, chunk := range r.t.chunks(i, keys) {
		b := NewBuilder(r.t.d)
		lines, err := r.t.texts("SELECT "+r.t.key("h", i)+" FROM "+r.t.d.Hold(h.Hold)+" h WHERE "+r.t.d.MatchKeys(b, "h", i, chunk), b.Args...)
		if err != nil {
			return nil, err
		}
		for _, line := range lines {
			out[keyID(line)] = line
		}
	}
	return out, nil
}

// checkComing refuses to correct rows that do not come back: a correction that is dropped
// in silence would be taken for one that was made.
func (r *back) checkComing() error {
	for n, e := range r.b.Edits {
		h, _ := r.held(e.Table)
		coming := r.pick[e.Table][keyID(e.Key)] != nil
		if r.pick[e.Table] == nil { // all of them come
			there, err := r.copiesOf(h, []quarantine.Key{e.Key})
			if err != nil {
				return err
			}
			coming = there[keyID(e.Key)] != nil
		}
		if !coming {
			return fault.New(fault.NotFound, "row %s of %s does not come back now, so it can't be corrected", strings.Join(e.Key, ", "), e.Table).At(fmt.Sprintf("edits: %d", n+1)).WithHint("look whether its key is right, whether it is among the rows that were chosen, and whether it is back already")
		}
	}
	return nil
}

// choose picks the rows that are asked for and still held.
func (r *back) choose() error {
	r.whole = len(r.b.Roots) == 0 && len(r.op.gone) == 0 && r.op.rest == quarantine.RowHeld && r.op.State == quarantine.Held
	if r.whole {
		return nil
	}
	if r.op.rest != quarantine.RowHeld {
		r.whole = false
		for _, h := range r.op.manifest.Tables {
			r.pick[h.Name] = map[string]quarantine.Key{}
		}
		return nil
	}
	if err := r.loadAll(); err != nil {
		return err
	}
	if len(r.b.Roots) == 0 {
		return nil
	}
	root := r.op.Root
	chosen := map[string]map[string]quarantine.Key{root: {}}
	for n, key := range r.b.Roots {
		if r.pick[root][keyID(key)] == nil {
			return fault.New(fault.NotFound, "row %s of %s is not held by operation %s", strings.Join(key, ", "), root, r.op.ID).At(fmt.Sprintf("roots: %d", n+1)).WithHint("it may be back already: look at the operation")
		}
		chosen[root][keyID(key)] = key
	}
	if err := r.spread(chosen, r.pick); err != nil {
		return err
	}
	for name := range r.pick {
		if chosen[name] == nil {
			chosen[name] = map[string]quarantine.Key{}
		}
	}
	r.pick = chosen
	return nil
}

// loadAll turns "every row" into lists of keys of what is still held.
func (r *back) loadAll() error {
	for _, h := range r.op.manifest.Tables {
		if r.pick[h.Name] != nil {
			continue
		}
		lines, err := r.t.texts("SELECT " + r.t.key("h", h.then()) + " FROM " + r.t.d.Hold(h.Hold) + " h")
		if err != nil {
			return err
		}
		r.pick[h.Name] = map[string]quarantine.Key{}
		for _, line := range lines {
			if id := keyID(line); r.op.gone[h.Hold][id] == "" {
				r.pick[h.Name][id] = line
			}
		}
	}
	r.whole = false
	return nil
}

// pair is a held child and its held parent.
type pair struct{ child, parent quarantine.Key }

// pairs reads which held rows hang on which over a link.
func (r *back) pairs(l quarantine.Link) ([]pair, error) {
	child, okC := r.held(l.Child)
	parent, okP := r.held(l.Parent)
	if !okC || !okP || l.Detaches() {
		return nil, nil
	}
	b := NewBuilder(r.t.d)
	ci, pi := child.then(), parent.then()
	lines, err := r.t.texts("SELECT "+r.t.key("c", ci)+", "+r.t.key("p", pi)+" FROM "+r.t.d.Hold(child.Hold)+" c JOIN "+r.t.d.Hold(parent.Hold)+" p ON "+r.t.linkSQL(b, Side{"c", ci}, Side{"p", pi}, l), b.Args...)
	if err != nil {
		return nil, err
	}
	out := make([]pair, len(lines))
	n := len(ci.Key)
	for i, line := range lines {
		out[i] = pair{quarantine.Key(line[:n:n]), quarantine.Key(line[n:])}
	}
	return out, nil
}

// spread adds to chosen all rows of from that hang on rows in chosen.
func (r *back) spread(chosen, from map[string]map[string]quarantine.Key) error {
	type list struct {
		link  quarantine.Link
		pairs []pair
	}
	var lists []list
	for _, l := range r.op.manifest.Links {
		pairs, err := r.pairs(l)
		if err != nil {
			return err
		}
		lists = append(lists, list{l, pairs})
	}
	for grown := true; grown; {
		grown = false
		for _, l := range lists {
			for _, p := range l.pairs {
				id := keyID(p.child)
				if chosen[l.link.Parent][keyID(p.parent)] == nil || from[l.link.Child][id] == nil || chosen[l.link.Child][id] != nil {
					continue
				}
				if chosen[l.link.Child] == nil {
					chosen[l.link.Child] = map[string]quarantine.Key{}
				}
				chosen[l.link.Child][id] = p.child
				grown = true
			}
		}
	}
	return nil
}

// keys are the picked rows of a table; nil means every row of its hold.
func (r *back) keys(table string) []quarantine.Key {
	if r.pick[table] == nil {
		return nil
	}
	out := make([]quarantine.Key, 0, len(r.pick[table]))
	for _, k := range r.pick[table] {
		out = append(out, k)
	}
	slices.SortFunc(out, compareKeys)
	return out
}

// preview sums up.
func (r *back) preview() quarantine.Preview {
	out := quarantine.Preview{Conflicts: r.conflicts, Drift: r.drift, Clear: len(r.conflicts) == 0 && len(r.drift) == 0}
	for _, h := range r.op.manifest.Tables {
		n := h.Rows
		if r.pick[h.Name] != nil {
			n = len(r.pick[h.Name])
		}
		out.Rows += n
		out.Tables = append(out.Tables, quarantine.Holding{Table: h.Name, Hold: h.Hold, Key: h.Key, Rows: n})
		if info := r.infos[h.Name]; info != nil && n > 0 {
			for _, trigger := range info.Triggers {
				out.Notices = append(out.Notices, quarantine.Notice{Table: h.Name, Text: fmt.Sprintf("The trigger %s may run.", trigger)})
			}
		}
	}
	for _, l := range r.links {
		out.Links += len(l.keys)
	}
	if len(r.b.Edits) > 0 {
		out.Notices = append(out.Notices, quarantine.Notice{Text: "Corrected rows are checked by the database when they come back; if it refuses them, nothing comes back."})
	}
	return out
}
