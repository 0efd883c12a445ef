package relational

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
)

// manifest is what the database itself keeps of an operation: all that a way back
// needs even if our record were lost.
type manifest struct {
	Tables   []heldTable       `json:"tables"`
	Links    []quarantine.Link `json:"links"`
	Detached []heldLink        `json:"detached,omitempty"`
	Set      []quarantine.Cell `json:"set,omitempty"` // Replace
}

type heldTable struct {
	Name    string              `json:"name"`
	Hold    string              `json:"hold"`
	Key     []string            `json:"key"`
	Columns []quarantine.Column `json:"columns"`
	Unique  []quarantine.Unique `json:"unique,omitempty"`
	SetHash string              `json:"set_hash"`
	DDLHash string              `json:"ddl_hash"`
	Rows    int                 `json:"rows"` // that are to leave
}

type heldLink struct {
	Link    quarantine.Link `json:"link"`
	Hold    string          `json:"hold"`
	Key     []string        `json:"key"`
	SetHash string          `json:"set_hash"`
	Rows    int             `json:"rows"`
}

// then is the table as it was when its rows left.
func (h heldTable) then() *Info {
	return &Info{Name: h.Name, What: "table", Key: h.Key, Columns: h.Columns, Unique: h.Unique}
}

func manifestOf(p quarantine.Plan) manifest {
	m := manifest{Links: p.Links, Set: p.Request.Set}
	for _, t := range p.Tables {
		m.Tables = append(m.Tables, heldTable{t.Name, t.Hold, t.Key, t.Columns, t.Unique, t.SetHash, t.DDLHash, len(t.Frozen)})
	}
	for _, d := range p.Detached {
		m.Detached = append(m.Detached, heldLink{d.Link, d.Hold, d.Key, d.SetHash, len(d.Frozen)})
	}
	return m
}

func (m manifest) names() []string {
	out := make([]string, len(m.Tables))
	for i, h := range m.Tables {
		out[i] = h.Name
	}
	return out
}

// tableOf is the table that a person means, with its schema or without.
func (m manifest) tableOf(written string) string {
	names := m.names()
	if slices.Contains(names, written) {
		return written
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, "."+written) })
	if len(names) == 1 {
		return names[0]
	}
	return written
}

// operation is an operation with what only we need.
type operation struct {
	quarantine.Operation
	manifest manifest
	rest     quarantine.RowState                       // of all rows that table gone does not name
	cursor   int                                       // root rows of a batch that are done
	gone     map[string]map[string]quarantine.RowState // by table and key
}

const opColumns = "id, plan_hash, kind, mode, state, root, by_whom, incident, reason, manifest, started, changed, moved, rest, at_row, is_batch"

// operations reads all operations, newest first; none when our tables are not there.
func (t *tx) operations() ([]operation, error) { return t.readOps("", "") }

// operation reads one; State Absent when there is none.
func (t *tx) operation(id string, lock bool) (operation, error) {
	suffix := ""
	if lock {
		suffix = t.d.ForUpdate("")
	}
	ops, err := t.readOps(id, suffix)
	if err != nil || len(ops) == 0 {
		return operation{Operation: quarantine.Operation{ID: id, State: quarantine.Absent}}, err
	}
	return ops[0], nil
}

// hasOp says whether our tables are there; once they are, they stay.
func (t *tx) hasOp() (bool, error) {
	if t.ours {
		return true, nil
	}
	var err error
	t.ours, err = t.d.HasOp(t.ctx, t.c)
	return t.ours, err
}

func (t *tx) readOps(id, suffix string) ([]operation, error) {
	there, err := t.hasOp()
	if err != nil || !there {
		return nil, err
	}
	b := NewBuilder(t.d)
	query := "SELECT " + opColumns + " FROM " + t.d.Hold("op")
	if id != "" {
		query += " WHERE id = " + b.Arg(id)
	}
	lines, err := t.texts(query+" ORDER BY started DESC, id DESC LIMIT 10000"+suffix, b.Args...)
	if err != nil {
		return nil, err
	}
	out := make([]operation, 0, len(lines))
	for _, line := range lines {
		op, err := readOp(line)
		if err != nil {
			return nil, err
		}
		if err := t.count(&op); err != nil {
			return nil, err
		}
		out = append(out, op)
	}
	return out, nil
}

func readOp(line []string) (operation, error) {
	var o operation
	o.Operation = quarantine.Operation{ID: line[0], PlanHash: line[1], Kind: line[2], Mode: quarantine.Mode(line[3]), State: quarantine.State(line[4]),
		Root: line[5], By: line[6], Incident: line[7], Reason: line[8], Batch: line[15] == "1"}
	if err := json.Unmarshal([]byte(line[9]), &o.manifest); err != nil {
		return o, fault.New(fault.Internal, "the manifest of operation %s can't be read", line[0]).Because(err).WithHint("the copies are still there: look at the tables q%s_… by hand", line[0])
	}
	var err error
	if o.Started, err = time.Parse(time.RFC3339Nano, line[10]); err == nil {
		o.Changed, err = time.Parse(time.RFC3339Nano, line[11])
	}
	if err == nil {
		_, err = fmt.Sscan(line[12], &o.Rows)
	}
	if err == nil {
		_, err = fmt.Sscan(line[14], &o.cursor)
	}
	if err != nil {
		return o, fmt.Errorf("read operation %s: %w", line[0], err)
	}
	o.rest = quarantine.RowState(line[13])
	return o, nil
}

// count reads the acts and the rows that are not as the rest.
func (t *tx) count(o *operation) error {
	b := NewBuilder(t.d)
	acts, err := t.texts("SELECT id, verb, by_whom, at, moved, note FROM "+t.d.Hold("act")+" WHERE op = "+b.Arg(o.ID)+" ORDER BY at, id", b.Args...)
	if err != nil {
		return err
	}
	for _, line := range acts {
		act := quarantine.Act{ID: line[0], Verb: line[1], By: line[2], Note: line[5]}
		if act.At, err = time.Parse(time.RFC3339Nano, line[3]); err != nil {
			return err
		}
		if _, err = fmt.Sscan(line[4], &act.Rows); err != nil {
			return err
		}
		o.Acts = append(o.Acts, act)
	}
	b = NewBuilder(t.d)
	gone, err := t.texts("SELECT hold, row_key, state FROM "+t.d.Hold("gone")+" WHERE op = "+b.Arg(o.ID), b.Args...)
	if err != nil {
		return err
	}
	o.gone = map[string]map[string]quarantine.RowState{}
	for _, line := range gone {
		if o.gone[line[0]] == nil {
			o.gone[line[0]] = map[string]quarantine.RowState{}
		}
		o.gone[line[0]][line[1]] = quarantine.RowState(line[2])
	}
	o.tally()
	return nil
}

// tally counts the rows of an operation by their states.
func (o *operation) tally() {
	o.Tables, o.Restored, o.Discarded = nil, 0, 0
	moved := map[bool]int{true: 1}[len(o.manifest.Tables) == 0]
	for _, h := range o.manifest.Tables {
		s := quarantine.Holding{Table: h.Name, Hold: h.Hold, Key: h.Key, Rows: h.Rows}
		named := 0
		for _, state := range o.gone[h.Hold] {
			switch state {
			case quarantine.RowRestored, quarantine.RowEdited:
				s.Restored++
			case quarantine.RowDiscarded:
				s.Discarded++
			default:
				named-- // listed as held: belongs to the rest
			}
			named++
		}
		switch o.rest {
		case quarantine.RowRestored:
			s.Restored += h.Rows - named
		case quarantine.RowDiscarded:
			s.Discarded += h.Rows - named
		}
		moved += h.Rows
		o.Restored += s.Restored
		o.Discarded += s.Discarded
		o.Tables = append(o.Tables, s)
	}
	for _, d := range o.manifest.Detached {
		back := len(o.gone[d.Hold])
		if o.rest != quarantine.RowHeld {
			back = d.Rows
		}
		for i := range o.Tables {
			if o.Tables[i].Table == d.Link.Child {
				o.Tables[i].Detached += d.Rows - back
				back = d.Rows
			}
		}
		if back < d.Rows {
			o.Tables = append(o.Tables, quarantine.Holding{Table: d.Link.Child, Hold: d.Hold, Key: d.Key, Detached: d.Rows - back})
		}
	}
}

// insertOp writes the marker.
func (t *tx) insertOp(p quarantine.Plan, state quarantine.State, moved, cursor int) error {
	m, err := json.Marshal(manifestOf(p))
	if err != nil {
		return err
	}
	now := t.db.o.Now().UTC().Format(time.RFC3339Nano)
	batch := 0
	if p.Batch {
		batch = 1
	}
	b := NewBuilder(t.d)
	values := joinEach([]any{p.ID, p.Hash, p.Kind, string(p.Mode), string(state), p.Root, p.Request.By, p.Request.Incident, p.Request.Reason,
		string(m), now, now, moved, string(quarantine.RowHeld), cursor, batch}, ", ", b.Arg)
	_, err = t.exec("INSERT INTO "+t.d.Hold("op")+" ("+opColumns+") VALUES ("+values+")", b.Args...)
	return err
}

// updateOp changes an operation's state.
func (t *tx) updateOp(id string, state quarantine.State, rest quarantine.RowState, moved, cursor int) error {
	b := NewBuilder(t.d)
	n, err := t.exec("UPDATE "+t.d.Hold("op")+" SET state = "+b.Arg(string(state))+", rest = "+b.Arg(string(rest))+", moved = "+b.Arg(moved)+", at_row = "+b.Arg(cursor)+
		", changed = "+b.Arg(t.db.o.Now().UTC().Format(time.RFC3339Nano))+" WHERE id = "+b.Arg(id), b.Args...)
	if err == nil && n != 1 {
		return fault.New(fault.Conflict, "operation %s is no longer there", id).WithHint("look at the list of operations")
	}
	return err
}

// insertAct notes an act. One with the same id that was noted before is a conflict of
// keys; callers look first.
func (t *tx) insertAct(op, id, verb, by string, rows int, note string) error {
	b := NewBuilder(t.d)
	values := joinEach([]any{op, id, verb, by, t.db.o.Now().UTC().Format(time.RFC3339Nano), rows, note}, ", ", b.Arg)
	_, err := t.exec("INSERT INTO "+t.d.Hold("act")+" (op, id, verb, by_whom, at, moved, note) VALUES ("+values+")", b.Args...)
	return err
}

// setGone notes the state of some rows.
func (t *tx) setGone(op, hold string, keys []quarantine.Key, state quarantine.RowState) error {
	for start := 0; start < len(keys); start += 200 {
		b := NewBuilder(t.d)
		values := joinEach(keys[start:min(start+200, len(keys))], ", ", func(k quarantine.Key) string {
			return "(" + b.Arg(op) + ", " + b.Arg(hold) + ", " + b.Arg(keyID(k)) + ", " + b.Arg(string(state)) + ")"
		})
		if _, err := t.exec("INSERT INTO "+t.d.Hold("gone")+" (op, hold, row_key, state) VALUES "+values, b.Args...); err != nil {
			return err
		}
	}
	return nil
}

// Look says what became of an operation. That it is absent is only said while nobody
// can be about to commit it.
func (db *DB) Look(ctx context.Context, id string) (quarantine.Operation, error) {
	if err := checkID(id, "id"); err != nil {
		return quarantine.Operation{}, err
	}
	var out operation
	read := func(t *tx) (err error) {
		out, err = t.operation(id, false)
		return err
	}
	if err := db.within(ctx, Reading, read); err != nil || out.State != quarantine.Absent {
		return out.Operation, err
	}
	err := db.alone(ctx, nil, func(t *tx) error {
		t.discard = true
		return read(t)
	})
	return out.Operation, err
}

// Held lists the operations, newest first.
func (db *DB) Held(ctx context.Context) ([]quarantine.Operation, error) {
	var out []quarantine.Operation
	err := db.within(ctx, Reading, func(t *tx) error {
		ops, err := t.operations()
		out = nil
		for _, o := range ops {
			out = append(out, o.Operation)
		}
		return err
	})
	return out, err
}

// Ready says what is missing, each with the next step.
func (db *DB) Ready(ctx context.Context) ([]string, error) {
	var out []string
	err := db.within(ctx, Reading, func(t *tx) error {
		out = t.d.Ready(ctx, t.c, db.o.Tables)
		return nil
	})
	return out, err
}

// alone runs work in a writing transaction while nobody else acts on this database.
// prepare makes tables: before the transaction where making them would end it.
func (db *DB) alone(ctx context.Context, prepare, work func(*tx) error) error {
	return db.with(ctx, func(c *sql.Conn) error { return db.aloneOn(ctx, c, prepare, work) })
}

func (db *DB) aloneOn(ctx context.Context, c *sql.Conn, prepare, work func(*tx) error) error {
	if err := db.d.Connect(ctx, c); err != nil {
		return db.fault(err)
	}
	t := &tx{db: db, d: db.d, c: c, ctx: ctx}
	begin := func() error {
		db.o.Trace("begin")
		if err := db.d.Begin(ctx, c, Writing); err != nil {
			spoil(c)
			return err
		}
		return nil
	}
	lock := func() error { return db.lock(ctx, c) }
	steps := []func() error{begin, lock}
	if db.d.DDLCommits() {
		steps = []func() error{lock}
		defer db.d.Unlock(ctx, c)
	}
	if prepare != nil {
		steps = append(steps, func() error { return prepare(t) })
	}
	if db.d.DDLCommits() {
		steps = append(steps, begin)
	}
	steps = append(steps, func() error { return work(t) })
	for _, s := range steps {
		if err := s(); err != nil {
			db.rollback(ctx, c)
			return db.fault(err)
		}
	}
	if t.discard {
		db.rollback(ctx, c)
		return nil
	}
	return db.commit(ctx, c)
}

// lock waits a little for the lock of the database.
func (db *DB) lock(ctx context.Context, c *sql.Conn) error {
	deadline := time.NewTimer(db.limits.Lock)
	defer deadline.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		ok, err := db.d.TryLock(ctx, c)
		if ok || err != nil {
			return err
		}
		select {
		case <-again.C:
		case <-deadline.C:
			return fault.New(fault.Unavailable, "another quarantine is being done in this database just now").At(db.o.Name).WithHint("wait until it is through and try again")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
