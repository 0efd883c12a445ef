package dbtest

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/relational"
)

// World is a database of its own for one test.
type World struct {
	DSN  string
	SQL  *sql.DB
	Open func(dsn string, o relational.Options) (*relational.DB, error)
	Dump func(t testing.TB) string // all data but ours, sorted
	// Kill and Start end the server of the world at once and start it again; nil where
	// there is none.
	Kill, Start func(t testing.TB)
}

// Bench makes worlds; own asks for a server that no other test uses.
type Bench func(t testing.TB, own bool, script ...string) *World

// Shop is five tables in SQL that every database reads: accounts with orders, their
// lines and payments, and reviews that survive their author.
var Shop = []string{
	"CREATE TABLE account (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(60) NOT NULL, referrer INTEGER, UNIQUE (name), FOREIGN KEY (referrer) REFERENCES account (id) ON DELETE SET NULL)",
	"CREATE TABLE orders (id INTEGER NOT NULL PRIMARY KEY, account INTEGER NOT NULL, total DECIMAL(12,2), note TEXT, FOREIGN KEY (account) REFERENCES account (id) ON DELETE CASCADE)",
	"CREATE TABLE line (orders INTEGER NOT NULL, n INTEGER NOT NULL, sku VARCHAR(20) NOT NULL, PRIMARY KEY (orders, n), FOREIGN KEY (orders) REFERENCES orders (id) ON DELETE CASCADE)",
	"CREATE TABLE payment (id INTEGER NOT NULL PRIMARY KEY, orders INTEGER NOT NULL, cents INTEGER NOT NULL, FOREIGN KEY (orders) REFERENCES orders (id))",
	"CREATE TABLE review (id INTEGER NOT NULL PRIMARY KEY, account INTEGER, stars INTEGER, FOREIGN KEY (account) REFERENCES account (id) ON DELETE SET NULL)",
	"CREATE INDEX orders_account ON orders (account)",
	"CREATE INDEX payment_orders ON payment (orders)",
	"CREATE INDEX review_account ON review (account)",
}

// Fill gives statements that fill the shop: each account has orders, and each order
// three lines and a payment; each account wrote a review and brought the next.
func Fill(accounts, orders int) []string {
	var a, o, l, p, r []string
	for i := 1; i <= accounts; i++ {
		referrer := "NULL"
		if i > 1 {
			referrer = fmt.Sprint(i - 1)
		}
		a = append(a, fmt.Sprintf("(%d, 'account %d', %s)", i, i, referrer))
		r = append(r, fmt.Sprintf("(%d, %d, %d)", i, i, i%5))
		for k := range orders {
			id := i*1000 + k
			o = append(o, fmt.Sprintf("(%d, %d, %d.50, 'note %d')", id, i, k, id))
			p = append(p, fmt.Sprintf("(%d, %d, %d)", id, id, k*100))
			for n := range 3 {
				l = append(l, fmt.Sprintf("(%d, %d, 'sku-%d')", id, n, n))
			}
		}
	}
	var out []string
	for _, table := range []struct {
		name string
		rows []string
	}{{"account", a}, {"orders", o}, {"line", l}, {"payment", p}, {"review", r}} {
		for chunk := range slices.Chunk(table.rows, 500) {
			out = append(out, "INSERT INTO "+table.name+" VALUES "+strings.Join(chunk, ", "))
		}
	}
	return out
}

func shop(accounts, orders int) []string {
	return append(slices.Clone(Shop), Fill(accounts, orders)...)
}

func (w *World) db(t testing.TB, change ...func(*relational.Options)) *relational.DB {
	t.Helper()
	o := relational.Options{Name: "shop", Now: time.Now}
	for _, c := range change {
		c(&o)
	}
	db, err := w.Open(w.DSN, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func (w *World) exec(t testing.TB, query string) {
	t.Helper()
	if _, err := w.SQL.Exec(query); err != nil {
		t.Fatalf("%v\n%.200s", err, query)
	}
}

func (w *World) count(t testing.TB, query string) int {
	t.Helper()
	var n int
	if err := w.SQL.QueryRow(query).Scan(&n); err != nil {
		t.Fatalf("%v\n%s", err, query)
	}
	return n
}

func key(parts ...string) quarantine.Key { return parts }

func accounts(id string, keys ...string) quarantine.Request {
	r := quarantine.Request{ID: id, By: "ann", Table: "account"}
	for _, k := range keys {
		r.Keys = append(r.Keys, key(k))
	}
	return r
}

func mustPlan(t testing.TB, db *relational.DB, r quarantine.Request) quarantine.Plan {
	t.Helper()
	p, err := db.Plan(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Refused) > 0 {
		t.Fatalf("refused: %+v", p.Refused)
	}
	return p
}

func mustApply(t testing.TB, db *relational.DB, p quarantine.Plan) quarantine.Operation {
	t.Helper()
	op, err := db.Apply(context.Background(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return op
}

func mustVerify(t testing.TB, db *relational.DB, id string) {
	t.Helper()
	v, err := db.Verify(context.Background(), id)
	if err != nil || !v.OK {
		t.Fatalf("verify %s: %v %+v", id, err, v)
	}
}

func same(t testing.TB, before, after string) {
	t.Helper()
	if before != after {
		t.Fatalf("the data is not as it was:\n%s", Differ(before, after))
	}
}

// Run runs every test that is the same for all databases.
func Run(t *testing.T, bench Bench) {
	for name, test := range map[string]func(*testing.T, Bench){
		"Cycle": testCycle, "Edit": testEdit, "EditedKeys": testEditedKeys, "Commas": testCommas, "Partial": testPartial, "Conflicts": testConflicts, "Stale": testStale, "Replace": testReplace,
		"Batch": testBatch, "Drop": testDrop, "Guards": testGuards, "BadInput": testBadInput, "Rehearse": testRehearse, "Logical": testLogical,
		"Writers": testWriters, "KillClient": testKillClient, "KillServer": testKillServer, "Drift": testDrift, "ParentGone": testParentGone,
		"Shapes": testShapes,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, bench)
		})
	}
}

func testCycle(t *testing.T, bench Bench) {
	w := bench(t, false, shop(120, 3)...)
	db := w.db(t)
	before := w.Dump(t)
	p := mustPlan(t, db, accounts("op1", "20", "21"))
	if p.Rows != 2+6+18+6 {
		t.Fatalf("%d rows: %s", p.Rows, p.Text())
	}
	if len(p.Detached) != 2 { // reviews, and the account that 21 brought
		t.Fatalf("detached: %+v", p.Detached)
	}
	same(t, before, w.Dump(t)) // a plan changes nothing
	// A plan survives being stored.
	var stored quarantine.Plan
	b, err := json.Marshal(p)
	if err == nil {
		err = json.Unmarshal(b, &stored)
	}
	if err != nil {
		t.Fatal(err)
	}
	op := mustApply(t, db, stored)
	if op.State != quarantine.Held || op.Rows != p.Rows || op.By != "ann" {
		t.Fatalf("%+v", op)
	}
	if again := mustApply(t, db, stored); again.State != quarantine.Held {
		t.Fatalf("again: %+v", again)
	}
	mustVerify(t, db, "op1")
	if n := w.count(t, "SELECT count(*) FROM line WHERE orders BETWEEN 20000 AND 21999"); n != 0 {
		t.Fatalf("%d lines stayed", n)
	}
	if n := w.count(t, "SELECT count(*) FROM review WHERE id IN (20, 21) AND account IS NULL"); n != 2 {
		t.Fatalf("%d reviews detached", n)
	}
	back := quarantine.Back{Operation: "op1", ID: "r1"}
	out, err := db.Restore(context.Background(), back, nil)
	if err != nil || out.Rows != p.Rows || out.Links != 3 || out.Operation.State != quarantine.Restored {
		t.Fatalf("%v %+v", err, out)
	}
	same(t, before, w.Dump(t))
	if again, err := db.Restore(context.Background(), back, nil); err != nil || !again.Again {
		t.Fatalf("again: %v %+v", err, again)
	}
	mustVerify(t, db, "op1")
	held, err := db.Held(context.Background())
	if err != nil || len(held) != 1 || held[0].Waiting() != 0 {
		t.Fatalf("%v %+v", err, held)
	}
}

func testEdit(t *testing.T, bench Bench) {
	w := bench(t, false, shop(120, 3)...)
	db := w.db(t)
	before := w.Dump(t)
	mustApply(t, db, mustPlan(t, db, quarantine.Request{ID: "op1", Table: "orders", Keys: []quarantine.Key{key("20001")}}))
	note := "a better 'note'"
	out, err := db.Restore(context.Background(), quarantine.Back{Operation: "op1", ID: "r1", Edits: []quarantine.Edit{
		{Table: tableName(t, db, "orders"), Key: key("20001"), Set: []quarantine.Cell{{Column: "note", Value: &note}, {Column: "total"}}}}}, nil)
	if err != nil || out.Edited != 1 || out.Rows != 5 || out.Operation.State != quarantine.Restored {
		t.Fatalf("%v %+v", err, out)
	}
	if n := w.count(t, "SELECT count(*) FROM orders WHERE id = 20001 AND note = 'a better ''note''' AND total IS NULL"); n != 1 {
		t.Fatal("the corrected row is not back")
	}
	w.exec(t, "UPDATE orders SET note = 'note 20001', total = 1.50 WHERE id = 20001")
	same(t, before, w.Dump(t))
	mustVerify(t, db, "op1")
}

// testEditedKeys: a correction is made or refused, never left out, however its key is
// written.
func testEditedKeys(t *testing.T, bench Bench) {
	w := bench(t, false, shop(120, 3)...)
	db := w.db(t)
	ctx := context.Background()
	mustApply(t, db, mustPlan(t, db, accounts("op1", "20", "40")))
	table, name := "account", "corrected"
	edit := func(k string) []quarantine.Edit {
		return []quarantine.Edit{{Table: table, Key: key(k), Set: []quarantine.Cell{{Column: "name", Value: &name}}}}
	}
	before := w.Dump(t)
	for _, b := range []quarantine.Back{{Roots: []quarantine.Key{key("20")}, Edits: edit("40")}, {Roots: []quarantine.Key{key("20")}, Edits: edit("41")}, {Edits: edit("41")}, {Edits: edit("x")}} {
		b.Operation, b.ID = "op1", "r1"
		if _, err := db.Preview(ctx, b); fault.KindOf(err) != fault.NotFound && fault.KindOf(err) != fault.Invalid {
			t.Errorf("preview with a correction of %s: %v", b.Edits[0].Key, err)
		}
		if _, err := db.Restore(ctx, b, nil); fault.KindOf(err) != fault.NotFound && fault.KindOf(err) != fault.Invalid {
			t.Errorf("a correction of %s: %v", b.Edits[0].Key, err)
		}
	}
	same(t, before, w.Dump(t))
	for n, b := range []quarantine.Back{{Roots: []quarantine.Key{key("+20")}, Edits: edit("020")}, {Edits: edit("20")}, {Edits: edit("0040"), Policy: quarantine.Skip}} {
		b.Operation, b.ID = "op1", fmt.Sprintf("r%d", 2+n)
		name = fmt.Sprintf("corrected %d", n)
		out, err := db.Restore(ctx, b, nil)
		if n == 1 && fault.KindOf(err) != fault.NotFound || n != 1 && (err != nil || out.Edited != 1 || out.Rows != 16) {
			t.Errorf("%s: %v %+v", b.Edits[0].Key, err, out)
		}
	}
	if n := w.count(t, "SELECT count(*) FROM account WHERE id = 20 AND name = 'corrected 0' OR id = 40 AND name = 'corrected 2'"); n != 2 {
		t.Errorf("%d accounts are corrected, want 2", n)
	}
}

// testCommas: there may be commas in a key of one part.
func testCommas(t *testing.T, bench Bench) {
	w := bench(t, false, append(shop(40, 1), "CREATE TABLE word (k VARCHAR(20) NOT NULL PRIMARY KEY, v VARCHAR(20))", "INSERT INTO word SELECT CONCAT('a, b,', id), 'odd' FROM account")...)
	db := w.db(t)
	ctx := context.Background()
	before := w.Dump(t)
	p := mustPlan(t, db, quarantine.Request{ID: "op1", Table: "word", Keys: []quarantine.Key{key("a", " b", "7"), key("a, b,8")}})
	mustApply(t, db, p)
	v := "mended"
	out, err := db.Restore(ctx, quarantine.Back{Operation: "op1", ID: "r1", Roots: []quarantine.Key{key("a", " b", "7")},
		Edits: []quarantine.Edit{{Table: "word", Key: key("a", " b", "7"), Set: []quarantine.Cell{{Column: "v", Value: &v}}}}}, nil)
	if err != nil || out.Rows != 1 || out.Edited != 1 {
		t.Fatalf("%v %+v", err, out)
	}
	if _, err := db.Restore(ctx, quarantine.Back{Operation: "op1", ID: "r2"}, nil); err != nil {
		t.Fatal(err)
	}
	w.exec(t, "UPDATE word SET v = 'odd' WHERE v = 'mended'")
	same(t, before, w.Dump(t))
}

func tableName(t testing.TB, db *relational.DB, name string) string {
	t.Helper()
	p, err := db.Plan(context.Background(), quarantine.Request{ID: "name", Table: name, Where: &quarantine.Predicate{Column: "id", Op: quarantine.IsNotNull}})
	if err != nil {
		t.Fatal(err)
	}
	return p.Root
}

func testPartial(t *testing.T, bench Bench) {
	w := bench(t, false, shop(120, 3)...)
	db := w.db(t)
	before := w.Dump(t)
	ctx := context.Background()
	mustApply(t, db, mustPlan(t, db, accounts("op1", "20", "21", "22")))
	one := quarantine.Back{Operation: "op1", ID: "r1", Roots: []quarantine.Key{key("21")}}
	preview, err := db.Preview(ctx, one)
	if err != nil || preview.Rows != 0 || preview.Clear { // 21 refers to 20, which is not back
		t.Fatalf("%v %+v", err, preview)
	}
	if _, err := db.Restore(ctx, one, nil); fault.KindOf(err) != fault.Conflict {
		t.Fatalf("%v", err)
	}
	first := quarantine.Back{Operation: "op1", ID: "r2", Roots: []quarantine.Key{key("20")}}
	out, err := db.Restore(ctx, first, nil)
	if err != nil || out.Operation.State != quarantine.Partly || out.Rows != 16 || out.Operation.Waiting() != 32 {
		t.Fatalf("%v %+v", err, out)
	}
	mustVerify(t, db, "op1")
	rest, err := db.Restore(ctx, quarantine.Back{Operation: "op1", ID: "r3"}, nil)
	if err != nil || rest.Operation.State != quarantine.Restored || rest.Rows != 32 {
		t.Fatalf("%v %+v", err, rest)
	}
	same(t, before, w.Dump(t))
	mustVerify(t, db, "op1")
}

func testConflicts(t *testing.T, bench Bench) {
	w := bench(t, false, shop(120, 3)...)
	db := w.db(t)
	ctx := context.Background()
	mustApply(t, db, mustPlan(t, db, accounts("op1", "20", "40", "60")))
	w.exec(t, "INSERT INTO account VALUES (20, 'somebody new', NULL)") // the key
	w.exec(t, "INSERT INTO account VALUES (500, 'account 40', NULL)")  // another unique key
	w.exec(t, "UPDATE review SET account = 5 WHERE id = 60")           // a link
	preview, err := db.Preview(ctx, quarantine.Back{Operation: "op1"})
	if err != nil || preview.Clear {
		t.Fatalf("%v %+v", err, preview)
	}
	kinds := map[string]int{}
	for _, c := range preview.Conflicts {
		kinds[c.Kind]++
	}
	if kinds["key taken"] != 1 || kinds["unique taken"] != 1 || kinds["relinked"] != 1 || kinds["hangs on"] == 0 {
		t.Fatalf("%v %+v", kinds, preview.Conflicts)
	}
	before := w.Dump(t)
	if _, err := db.Restore(ctx, quarantine.Back{Operation: "op1", ID: "r1"}, nil); fault.KindOf(err) != fault.Conflict {
		t.Fatalf("%v", err)
	}
	same(t, before, w.Dump(t))
	out, err := db.Restore(ctx, quarantine.Back{Operation: "op1", ID: "r2", Policy: quarantine.Skip}, nil)
	if err != nil || out.Rows != 16 || len(out.Skipped) == 0 || out.Operation.State != quarantine.Partly || out.Operation.Waiting() != 32 {
		t.Fatalf("%v %+v", err, out)
	}
	if n := w.count(t, "SELECT count(*) FROM account WHERE id = 20 AND name = 'somebody new'"); n != 1 {
		t.Fatal("a row was overwritten")
	}
	mustVerifyNot(t, db, "op1") // a row with the key of a held one is there
	w.exec(t, "DELETE FROM account WHERE id IN (20, 500)")
	out, err = db.Restore(ctx, quarantine.Back{Operation: "op1", ID: "r3", Policy: quarantine.Skip}, nil)
	if err != nil || out.Operation.State != quarantine.Restored {
		t.Fatalf("%v %+v", err, out)
	}
	if n := w.count(t, "SELECT count(*) FROM review WHERE id = 60 AND account = 5"); n != 1 {
		t.Fatal("a link was overwritten")
	}
}

// testParentGone: a row whose parent left meanwhile is named, by whichever of the database
// and us sees it, and waits.
func testParentGone(t *testing.T, bench Bench) {
	w := bench(t, false, shop(120, 3)...)
	db := w.db(t)
	ctx := context.Background()
	mustApply(t, db, mustPlan(t, db, quarantine.Request{ID: "op1", Table: "payment", Keys: []quarantine.Key{key("20001")}}))
	w.exec(t, "DELETE FROM line WHERE orders = 20001")
	w.exec(t, "DELETE FROM orders WHERE id = 20001")
	before := w.Dump(t)
	if _, err := db.Restore(ctx, quarantine.Back{Operation: "op1", ID: "r1"}, nil); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "belongs to is not there") {
		t.Fatalf("%v", err)
	}
	out, err := db.Restore(ctx, quarantine.Back{Operation: "op1", ID: "r2", Policy: quarantine.Skip}, nil)
	if err != nil || out.Rows != 0 || len(out.Skipped) != 1 || out.Skipped[0].Kind != "parent gone" || out.Operation.Waiting() != 1 {
		t.Fatalf("%v %+v", err, out)
	}
	same(t, before, w.Dump(t))
	w.exec(t, "INSERT INTO orders VALUES (20001, 20, 1, 'again')")
	if out, err := db.Restore(ctx, quarantine.Back{Operation: "op1", ID: "r3"}, nil); err != nil || out.Operation.State != quarantine.Restored {
		t.Fatalf("%v %+v", err, out)
	}
}

func mustVerifyNot(t testing.TB, db *relational.DB, id string) {
	t.Helper()
	v, err := db.Verify(context.Background(), id)
	if err != nil || v.OK {
		t.Fatalf("verify %s finds nothing wrong: %v %+v", id, err, v)
	}
}

func testStale(t *testing.T, bench Bench) {
	w := bench(t, false, shop(120, 3)...)
	db := w.db(t)
	for n, change := range []string{
		"UPDATE line SET sku = 'other' WHERE orders = 20001 AND n = 1",
		"INSERT INTO line VALUES (20001, 9, 'new')",
		"INSERT INTO orders VALUES (777777, 20, 1, 'new')",
		"DELETE FROM line WHERE orders = 20002 AND n = 0",
		"UPDATE review SET account = NULL WHERE id = 20",
		"INSERT INTO review VALUES (999, 20, 1)",
		"ALTER TABLE orders ADD COLUMN extra INTEGER",
		"CREATE TABLE child" + " (id INTEGER NOT NULL PRIMARY KEY, orders INTEGER, FOREIGN KEY (orders) REFERENCES orders (id) ON DELETE CASCADE)",
		"DELETE FROM account WHERE id = 20 AND 1 = 0", // nothing: must not be stale
	} {
		id := fmt.Sprintf("op%d", n)
		p := mustPlan(t, db, accounts(id, "20"))
		w.exec(t, change)
		before := w.Dump(t)
		op, err := db.Apply(context.Background(), p, nil)
		if strings.Contains(change, "1 = 0") {
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "stale") {
			t.Errorf("%s: %v %+v", change, err, op)
		}
		same(t, before, w.Dump(t))
		if seen, err := db.Look(context.Background(), id); err != nil || seen.State != quarantine.Absent {
			t.Errorf("%s: %v %+v", change, err, seen)
		}
	}
}

func testReplace(t *testing.T, bench Bench) {
	w := bench(t, false, shop(120, 3)...)
	db := w.db(t)
	ctx := context.Background()
	before := w.Dump(t)
	safe := "(not shown)"
	r := quarantine.Request{ID: "op1", Mode: quarantine.Replace, Table: "orders", Keys: []quarantine.Key{key("20001"), key("20002")}, Set: []quarantine.Cell{{Column: "note", Value: &safe}, {Column: "total"}}}
	mustApply(t, db, mustPlan(t, db, r))
	if n := w.count(t, "SELECT count(*) FROM orders WHERE note = '(not shown)' AND total IS NULL"); n != 2 {
		t.Fatalf("%d replaced", n)
	}
	w.exec(t, "UPDATE orders SET note = 'by hand' WHERE id = 20002")
	if _, err := db.Restore(ctx, quarantine.Back{Operation: "op1", ID: "r1"}, nil); fault.KindOf(err) != fault.Conflict {
		t.Fatalf("%v", err)
	}
	out, err := db.Restore(ctx, quarantine.Back{Operation: "op1", ID: "r2", Policy: quarantine.Skip}, nil)
	if err != nil || out.Rows != 1 || out.Operation.State != quarantine.Partly {
		t.Fatalf("%v %+v", err, out)
	}
	if n := w.count(t, "SELECT count(*) FROM orders WHERE note = 'by hand'"); n != 1 {
		t.Fatal("a cell was overwritten")
	}
	w.exec(t, "UPDATE orders SET note = '(not shown)' WHERE id = 20002")
	if out, err = db.Restore(ctx, quarantine.Back{Operation: "op1", ID: "r3"}, nil); err != nil || out.Operation.State != quarantine.Restored {
		t.Fatalf("%v %+v", err, out)
	}
	same(t, before, w.Dump(t))
}

func testBatch(t *testing.T, bench Bench) {
	w := bench(t, false, shop(400, 3)...)
	small := func(o *relational.Options) { o.Limits = quarantine.Limits{Rows: 50, Batch: 7} }
	db := w.db(t, small)
	ctx := context.Background()
	before := w.Dump(t)
	r := quarantine.Request{ID: "op1", Table: "account", Where: &quarantine.Predicate{Column: "id", Op: quarantine.LessOrEqual, Value: &quarantine.Literal{Text: "30", Kind: quarantine.Number}}}
	p, err := db.Plan(ctx, r)
	if err != nil || len(p.Refused) != 1 || p.Refused[0].Rule != quarantine.RuleMax {
		t.Fatalf("%v %+v", err, p.Refused)
	}
	r.Batch = true
	p = mustPlan(t, db, r)
	op, err := db.Apply(ctx, p, func(g quarantine.Progress) bool { return g.Done < 200 })
	if err != nil || op.State != quarantine.Stopped || op.Rows < 200 || op.Rows >= p.Rows {
		t.Fatalf("%v %+v", err, op)
	}
	if op = mustApply(t, db, p); op.State != quarantine.Held || op.Rows != p.Rows {
		t.Fatalf("%+v", op)
	}
	mustVerify(t, db, "op1")
	out, err := db.Restore(ctx, quarantine.Back{Operation: "op1", ID: "r1"}, nil)
	if err != nil || out.Operation.State != quarantine.Restored {
		t.Fatalf("%v %+v", err, out)
	}
	same(t, before, w.Dump(t))
	mustVerify(t, db, "op1")
}

func testDrop(t *testing.T, bench Bench) {
	w := bench(t, false, shop(120, 3)...)
	db := w.db(t)
	ctx := context.Background()
	mustApply(t, db, mustPlan(t, db, accounts("op1", "20", "40")))
	drop := quarantine.Drop{Operation: "op1", ID: "d1", By: "ann", Second: "ben"}
	if _, err := db.Purge(ctx, drop); fault.KindOf(err) != fault.Refused {
		t.Fatalf("purge of held rows: %v", err)
	}
	part := drop
	part.Roots = []quarantine.Key{key("20")}
	if op, err := db.Discard(ctx, part); err != nil || op.Discarded != 16 || op.State != quarantine.Held {
		t.Fatalf("%v %+v", err, op)
	}
	if _, err := db.Restore(ctx, quarantine.Back{Operation: "op1", ID: "r1", Roots: []quarantine.Key{key("20")}}, nil); fault.KindOf(err) != fault.NotFound {
		t.Fatalf("a discarded row came back: %v", err)
	}
	all := drop
	all.ID = "d2"
	if op, err := db.Discard(ctx, all); err != nil || op.State != quarantine.Ended || op.Waiting() != 0 {
		t.Fatalf("%v %+v", err, op)
	}
	alone := drop
	alone.ID, alone.Second = "d3", "Ann"
	if _, err := db.Purge(ctx, alone); fault.KindOf(err) != fault.Refused {
		t.Fatalf("purge by one person: %v", err)
	}
	alone.Second = "ben"
	if op, err := db.Purge(ctx, alone); err != nil || op.State != quarantine.Purged {
		t.Fatalf("%v %+v", err, op)
	}
	if _, err := db.Restore(ctx, quarantine.Back{Operation: "op1", ID: "r2"}, nil); fault.KindOf(err) != fault.Refused {
		t.Fatalf("%v", err)
	}
	if held, err := db.Held(ctx); err != nil || len(held) != 1 || held[0].State != quarantine.Purged {
		t.Fatalf("%v %+v", err, held)
	}
}

func testGuards(t *testing.T, bench Bench) {
	w := bench(t, false, append(shop(120, 3),
		"CREATE TABLE bare (id INTEGER, v VARCHAR(9))", "INSERT INTO bare VALUES (1, 'x'), (2, 'y'), (3, 'z')", "CREATE VIEW seen AS SELECT id, name FROM account")...)
	db := w.db(t)
	ctx := context.Background()
	mustApply(t, db, mustPlan(t, db, quarantine.Request{ID: "held", Table: "review", Keys: []quarantine.Key{key("1")}}))
	where := func(s string) *quarantine.Predicate {
		p, err := quarantine.ParsePredicate(s)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range []struct {
		rule  quarantine.Rule
		table string
		where string
		limit quarantine.Limits
		list  []string
		links []quarantine.Link
	}{
		{rule: quarantine.RuleNoKey, table: "bare", where: "id = 1"},
		{rule: quarantine.RuleNotTable, table: "seen", where: "id = 1"},
		{rule: quarantine.RuleWhole, table: "account", where: "id >= 0 or id < 0"},
		{rule: quarantine.RuleWhole, table: "account", where: "name is not null"},
		{rule: quarantine.RuleShare, table: "payment", where: "id < 20000"},
		{rule: quarantine.RuleNothing, table: "account", where: "id = 99999"},
		{rule: quarantine.RuleOpen, table: "account", where: "id = 30"},
		{rule: quarantine.RuleMax, table: "orders", where: "account = 30", limit: quarantine.Limits{Rows: 4}},
		{rule: quarantine.RuleHard, table: "orders", where: "account = 30", limit: quarantine.Limits{Rows: 4, Hard: 5}},
		{rule: quarantine.RuleIndex, table: "account", where: "id = 30", limit: quarantine.Limits{Large: 100}, links: []quarantine.Link{{Child: "payment", ChildColumns: []string{"cents"}, Parent: "account", ParentColumns: []string{"id"}}}},
		{rule: quarantine.RuleNotListed, table: "orders", where: "account = 30", list: []string{"payment"}},
	} {
		db := w.db(t, func(o *relational.Options) { o.Limits, o.Tables, o.Links = c.limit, c.list, c.links })
		p, err := db.Plan(ctx, quarantine.Request{ID: "op", Table: c.table, Where: where(c.where)})
		if err != nil {
			t.Errorf("%s: %v", c.rule, err)
			continue
		}
		at := slices.IndexFunc(p.Refused, func(r quarantine.Refusal) bool { return r.Rule == c.rule })
		if at < 0 || p.Refused[at].Satisfy == "" {
			t.Errorf("%s: %+v", c.rule, p.Refused)
		}
		if _, err := db.Apply(ctx, p, nil); fault.KindOf(err) != fault.Refused {
			t.Errorf("%s: applied: %v", c.rule, err)
		}
	}
	p := mustPlan(t, db, quarantine.Request{ID: "op", Table: "orders", Keys: []quarantine.Key{key("30001")}})
	p.Rows++
	if _, err := db.Apply(ctx, p, nil); fault.KindOf(err) != fault.Refused {
		t.Errorf("a changed plan was applied: %v", err)
	}
	later := w.db(t, func(o *relational.Options) { o.Now = func() time.Time { return time.Now().Add(time.Hour) } })
	p.Rows--
	if _, err := later.Apply(ctx, p, nil); fault.KindOf(err) != fault.Conflict {
		t.Errorf("an old plan was applied: %v", err)
	}
}

func testBadInput(t *testing.T, bench Bench) {
	w := bench(t, false, shop(20, 1)...)
	db := w.db(t)
	before := w.Dump(t)
	bad := "x"
	for name, r := range map[string]quarantine.Request{
		"unknown table":       {ID: "op", Table: "nothing", Keys: []quarantine.Key{key("1")}},
		"no table":            {ID: "op", Keys: []quarantine.Key{key("1")}},
		"odd id":              {ID: "Op; DROP", Table: "account", Keys: []quarantine.Key{key("1")}},
		"key of a wrong type": {ID: "op", Table: "account", Keys: []quarantine.Key{key("one")}},
		"key too short":       {ID: "op", Table: "line", Keys: []quarantine.Key{key("1")}},
		"key not there":       {ID: "op", Table: "account", Keys: []quarantine.Key{key("1"), key("4711")}},
		"no rows":             {ID: "op", Table: "account"},
		"empty predicate":     {ID: "op", Table: "account", Where: &quarantine.Predicate{}},
		"both":                {ID: "op", Table: "account", Keys: []quarantine.Key{key("1")}, Where: &quarantine.Predicate{Column: "id", Op: quarantine.IsNull}},
		"unknown column":      {ID: "op", Table: "account", Where: &quarantine.Predicate{Column: "nam", Op: quarantine.IsNull}},
		"literal":             {ID: "op", Table: "account", Where: &quarantine.Predicate{Column: "id", Op: quarantine.Equal, Value: &quarantine.Literal{Text: "one", Kind: quarantine.Text}}},
		"literal, injected":   {ID: "op", Table: "account", Where: &quarantine.Predicate{Column: "id", Op: quarantine.Equal, Value: &quarantine.Literal{Text: "1 OR 1=1", Kind: quarantine.Number}}},
		"column, injected":    {ID: "op", Table: "account", Where: &quarantine.Predicate{Column: "id\" IS NULL OR \"id", Op: quarantine.IsNotNull}},
		"operator":            {ID: "op", Table: "account", Where: &quarantine.Predicate{Column: "id", Op: "= 1 or 1 =", Value: &quarantine.Literal{Text: "1", Kind: quarantine.Number}}},
		"mode":                {ID: "op", Mode: "truncate", Table: "account", Keys: []quarantine.Key{key("1")}},
		"nothing to replace":  {ID: "op", Mode: quarantine.Replace, Table: "account", Keys: []quarantine.Key{key("1")}},
		"empty not allowed":   {ID: "op", Mode: quarantine.Replace, Table: "account", Keys: []quarantine.Key{key("1")}, Set: []quarantine.Cell{{Column: "name"}}},
		"replacement type":    {ID: "op", Mode: quarantine.Replace, Table: "orders", Keys: []quarantine.Key{key("1000")}, Set: []quarantine.Cell{{Column: "total", Value: &bad}}},
		"acceptance":          {ID: "op", Table: "account", Keys: []quarantine.Key{key("1")}, Accept: []quarantine.Rule{quarantine.RuleNoKey}},
	} {
		_, err := db.Plan(context.Background(), r)
		var told *fault.Error
		if !errors.As(err, &told) || told.Hint == "" || told.Kind != fault.Invalid && told.Kind != fault.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{"", "id = 1 or 1 = 1", "OR 1=1", "1 = 1", "true", "id = 1; drop table account", "id = (select 1)", "id = now()", "id = name", "id in ()", "id = 1 or", "(id = 1", "id like 1 -- x"} {
		p, err := quarantine.ParsePredicate(text)
		if err == nil {
			_, err = db.Plan(context.Background(), quarantine.Request{ID: "op", Table: "account", Where: p})
		}
		var told *fault.Error
		if !errors.As(err, &told) || told.Hint == "" || told.Kind != fault.Invalid {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := db.Preview(context.Background(), quarantine.Back{Operation: "none"}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("preview of nothing: %v", err)
	}
	same(t, before, w.Dump(t))
}

func testRehearse(t *testing.T, bench Bench) {
	w := bench(t, false, shop(120, 3)...)
	db := w.db(t)
	before := w.Dump(t)
	p := mustPlan(t, db, accounts("op1", "20"))
	var seen string
	err := db.Rehearse(context.Background(), p, func(ctx context.Context, q quarantine.Queryer) error {
		rows, err := q.Read(ctx, 10, "SELECT count(*) FROM orders WHERE account = 20")
		if err == nil {
			seen = *rows[0][0]
		}
		return err
	})
	if err != nil || seen != "0" {
		t.Fatalf("%v %q", err, seen)
	}
	same(t, before, w.Dump(t))
	mustApply(t, db, p)
}

func testLogical(t *testing.T, bench Bench) {
	w := bench(t, false, append(shop(120, 3), "CREATE TABLE tag (id INTEGER NOT NULL PRIMARY KEY, kind VARCHAR(20) NOT NULL, of_id INTEGER NOT NULL)",
		"INSERT INTO tag VALUES (1, 'Order', 20001), (2, 'Account', 20001), (3, 'Order', 20002), (4, 'Order', 5), (5, 'Other', 7)")...)
	kind := "Order"
	db := w.db(t, func(o *relational.Options) {
		o.Links = []quarantine.Link{{Child: "tag", ChildColumns: []string{"of_id"}, Parent: "orders", ParentColumns: []string{"id"}, When: []quarantine.Cell{{Column: "kind", Value: &kind}}}}
	})
	before := w.Dump(t)
	p := mustPlan(t, db, quarantine.Request{ID: "op1", Table: "orders", Keys: []quarantine.Key{key("20001")}})
	if p.Rows != 6 {
		t.Fatalf("%d rows: %s", p.Rows, p.Text())
	}
	mustApply(t, db, p)
	mustVerify(t, db, "op1")
	if n := w.count(t, "SELECT count(*) FROM tag"); n != 4 {
		t.Fatalf("%d tags", n)
	}
	if _, err := db.Restore(context.Background(), quarantine.Back{Operation: "op1", ID: "r1"}, nil); err != nil {
		t.Fatal(err)
	}
	same(t, before, w.Dump(t))
	logicalWithoutValue(t, bench)
}

// logicalWithoutValue: a configured link may be about the rows whose column is empty, and
// nobody but us keeps them from coming back to nothing.
func logicalWithoutValue(t *testing.T, bench Bench) {
	w := bench(t, false, append(shop(40, 3), "CREATE TABLE tag (id INTEGER NOT NULL PRIMARY KEY, kind VARCHAR(20), of_id INTEGER NOT NULL)", "INSERT INTO tag VALUES (1, NULL, 20001), (2, 'Account', 20001), (3, NULL, 20002)",
		"INSERT INTO tag SELECT id, 'Other', 1 FROM orders")...)
	db := w.db(t, func(o *relational.Options) {
		o.Links = []quarantine.Link{{Child: "tag", ChildColumns: []string{"of_id"}, Parent: "orders", ParentColumns: []string{"id"}, When: []quarantine.Cell{{Column: "kind"}}}}
	})
	if p := mustPlan(t, db, quarantine.Request{ID: "op1", Table: "orders", Keys: []quarantine.Key{key("20001")}}); p.Rows != 6 {
		t.Errorf("%d rows: %s", p.Rows, p.Text())
	}
	mustApply(t, db, mustPlan(t, db, quarantine.Request{ID: "op2", Table: "tag", Keys: []quarantine.Key{key("1"), key("2")}}))
	for _, q := range []string{"DELETE FROM line WHERE orders = 20001", "DELETE FROM payment WHERE orders = 20001", "DELETE FROM orders WHERE id = 20001"} {
		w.exec(t, q)
	}
	p, err := db.Preview(context.Background(), quarantine.Back{Operation: "op2"})
	if err != nil || len(p.Conflicts) != 1 || p.Conflicts[0].Kind != "parent gone" || p.Conflicts[0].Key[0] != "1" {
		t.Errorf("%v %+v", err, p)
	}
}

func testDrift(t *testing.T, bench Bench) {
	w := bench(t, false, shop(120, 3)...)
	db := w.db(t)
	ctx := context.Background()
	mustApply(t, db, mustPlan(t, db, quarantine.Request{ID: "op1", Table: "orders", Keys: []quarantine.Key{key("20001")}}))
	w.exec(t, "ALTER TABLE orders ADD COLUMN fine INTEGER")
	if p, err := db.Preview(ctx, quarantine.Back{Operation: "op1"}); err != nil || !p.Clear {
		t.Fatalf("a new column that may be empty: %v %+v", err, p)
	}
	w.exec(t, "ALTER TABLE orders DROP COLUMN note")
	if p, err := db.Preview(ctx, quarantine.Back{Operation: "op1"}); err != nil || len(p.Drift) != 1 {
		t.Fatalf("a column that is gone: %v %+v", err, p)
	}
	before := w.Dump(t)
	if _, err := db.Restore(ctx, quarantine.Back{Operation: "op1", ID: "r1"}, nil); fault.KindOf(err) != fault.Conflict {
		t.Fatalf("%v", err)
	}
	same(t, before, w.Dump(t))
	w.exec(t, "ALTER TABLE orders ADD COLUMN note TEXT")
	if out, err := db.Restore(ctx, quarantine.Back{Operation: "op1", ID: "r2"}, nil); err != nil || out.Rows != 5 {
		t.Fatalf("%v %+v", err, out)
	}
	if n := w.count(t, "SELECT count(*) FROM orders WHERE id = 20001 AND note = 'note 20001' AND fine IS NULL"); n != 1 {
		t.Fatal("it is not back by name")
	}
	mustApply(t, db, mustPlan(t, db, quarantine.Request{ID: "op2", Table: "payment", Keys: []quarantine.Key{key("20002")}}))
	w.exec(t, "DROP TABLE payment")
	p, err := db.Preview(ctx, quarantine.Back{Operation: "op2"})
	if err != nil || len(p.Drift) != 1 || p.Clear {
		t.Fatalf("a table that is gone: %v %+v", err, p)
	}
	before = w.Dump(t)
	if _, err := db.Restore(ctx, quarantine.Back{Operation: "op2", ID: "r1"}, nil); fault.KindOf(err) != fault.Conflict {
		t.Fatalf("into a table that is gone: %v", err)
	}
	same(t, before, w.Dump(t))
}

// Cycle moves, verifies, puts back and verifies, and compares what is there before and
// after.
func Cycle(t testing.TB, w *World, db *relational.DB, r quarantine.Request) quarantine.Plan {
	t.Helper()
	ctx := context.Background()
	before := w.Dump(t)
	p := mustPlan(t, db, r)
	if op := mustApply(t, db, p); op.State != quarantine.Held {
		t.Fatalf("%+v", op)
	}
	if w.Dump(t) == before {
		t.Fatal("nothing has left")
	}
	mustVerify(t, db, p.ID)
	if preview, err := db.Preview(ctx, quarantine.Back{Operation: p.ID}); err != nil || !preview.Clear {
		t.Fatalf("%v %+v", err, preview)
	}
	if out, err := db.Restore(ctx, quarantine.Back{Operation: p.ID, ID: "r1"}, nil); err != nil || out.Rows != p.Rows {
		t.Fatalf("%v %+v", err, out)
	}
	mustVerify(t, db, p.ID)
	same(t, before, w.Dump(t))
	return p
}
