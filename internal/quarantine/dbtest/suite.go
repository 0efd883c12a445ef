package dbtest

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
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
		"Cycle": testCycle, "Edit": testEdit, "Partial": testPartial, "Conflicts": testConflicts, "Stale": testStale, "Replace": testReplace,
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

// shapes are ways to refer to one another in which a move could take too much or too
// little: how many rows leave with row 7 of the table up, how many lose a link, and a row
// more that makes the plan stale.
var shapes = map[string]struct {
	script      []string
	rows, links int
	more        string
}{
	"a unique column that is not the key": {[]string{"CREATE TABLE up (id INTEGER NOT NULL PRIMARY KEY, code VARCHAR(20) NOT NULL UNIQUE)",
		"CREATE TABLE down (id INTEGER NOT NULL PRIMARY KEY, up VARCHAR(20), FOREIGN KEY (up) REFERENCES up (code) ON DELETE CASCADE)",
		"INSERT INTO up SELECT n, CONCAT('c', n) FROM many", "INSERT INTO down SELECT n, CONCAT('c', 1 + n % 20) FROM many"}, 3, 0, "INSERT INTO down VALUES (200, 'c7')"},
	"no primary key": {[]string{"CREATE TABLE up (id INTEGER NOT NULL UNIQUE, v VARCHAR(20))", "CREATE TABLE down (n VARCHAR(20) NOT NULL, m INTEGER NOT NULL, up INTEGER NOT NULL, UNIQUE (n, m), FOREIGN KEY (up) REFERENCES up (id))",
		"INSERT INTO up SELECT n, 'v' FROM many", "INSERT INTO down SELECT CONCAT('n', n), n, n FROM many", "INSERT INTO down SELECT CONCAT('x', n), n, 7 FROM many WHERE n < 4"}, 5, 0, "INSERT INTO down VALUES ('n', 7, 7)"},
	"two links, one of which is emptied": {[]string{"CREATE TABLE up (id INTEGER NOT NULL PRIMARY KEY)",
		"CREATE TABLE down (id INTEGER NOT NULL PRIMARY KEY, a INTEGER, b INTEGER, FOREIGN KEY (a) REFERENCES up (id) ON DELETE CASCADE, FOREIGN KEY (b) REFERENCES up (id) ON DELETE SET NULL)",
		"INSERT INTO up SELECT n FROM many", "INSERT INTO down SELECT n, n, 1 + n % 40 FROM many", "INSERT INTO down VALUES (100, 7, 7), (101, NULL, 7), (102, 8, 7), (103, 7, NULL)"}, 4, 3, "INSERT INTO down VALUES (200, NULL, 7)"},
	"two links that both hang": {[]string{"CREATE TABLE up (id INTEGER NOT NULL PRIMARY KEY)", "CREATE TABLE middle (id INTEGER NOT NULL PRIMARY KEY, up INTEGER NOT NULL, FOREIGN KEY (up) REFERENCES up (id))",
		"CREATE TABLE down (id INTEGER NOT NULL PRIMARY KEY, up INTEGER, middle INTEGER, FOREIGN KEY (up) REFERENCES up (id) ON DELETE CASCADE, FOREIGN KEY (middle) REFERENCES middle (id) ON DELETE CASCADE)",
		"INSERT INTO up SELECT n FROM many", "INSERT INTO middle SELECT n, n FROM many", "INSERT INTO down SELECT n, n, n FROM many", "INSERT INTO down VALUES (100, 8, 7), (101, 7, 8), (102, NULL, 7), (103, 8, 9)"}, 6, 0, "INSERT INTO down VALUES (200, 9, 7)"},
	"several columns, some of them empty": {[]string{"CREATE TABLE up (id INTEGER NOT NULL PRIMARY KEY, a INTEGER NOT NULL, b INTEGER NOT NULL, UNIQUE (a, b))",
		"CREATE TABLE down (id INTEGER NOT NULL PRIMARY KEY, x INTEGER, y INTEGER, FOREIGN KEY (x, y) REFERENCES up (a, b) ON DELETE CASCADE)",
		"INSERT INTO up SELECT n, n, n + 1 FROM many", "INSERT INTO down SELECT n, n, n + 1 FROM many", "INSERT INTO down VALUES (100, 7, NULL), (101, NULL, 8), (102, 7, 8)"}, 3, 0, "INSERT INTO down VALUES (200, 7, 8)"},
	"a row that refers to itself": {[]string{"CREATE TABLE up (id INTEGER NOT NULL PRIMARY KEY, boss INTEGER, FOREIGN KEY (boss) REFERENCES up (id))",
		"INSERT INTO up SELECT n, NULL FROM many", "UPDATE up SET boss = 7 WHERE id IN (7, 9)", "UPDATE up SET boss = 9 WHERE id = 11"}, 3, 0, "INSERT INTO up VALUES (200, 11)"},
	"far numbers": {[]string{"CREATE TABLE up (id BIGINT NOT NULL PRIMARY KEY)", "CREATE TABLE down (id BIGINT NOT NULL PRIMARY KEY, up BIGINT NOT NULL, FOREIGN KEY (up) REFERENCES up (id) ON DELETE CASCADE)",
		"INSERT INTO up SELECT n FROM many", "INSERT INTO down SELECT -9223372036854775807 + n, n FROM many", "INSERT INTO down VALUES (9223372036854775807, 7), (-9223372036854775807 - 1, 7), (0, 7)"}, 5, 0, "INSERT INTO down VALUES (-1, 7)"},
}

// testShapes: what leaves is what the plan says and nothing else, a row more makes the
// plan stale whichever link it hangs on, and all of it comes back.
func testShapes(t *testing.T, bench Bench) {
	ctx := context.Background()
	for name, c := range shapes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script := []string{"CREATE TABLE many (n INTEGER NOT NULL PRIMARY KEY)", "INSERT INTO many VALUES (1)"}
			for n := 1; n < 64; n *= 2 { // forty of them
				script = append(script, fmt.Sprintf("INSERT INTO many SELECT n + %d FROM many WHERE n <= %d", n, 40-n))
			}
			w := bench(t, false, append(script, c.script...)...)
			db := w.db(t)
			request := quarantine.Request{ID: "op1", Table: "up", Keys: []quarantine.Key{key("7")}}
			p := Cycle(t, w, db, request)
			links := 0
			for _, d := range p.Detached {
				links += len(d.Frozen)
			}
			if p.Rows != c.rows || links != c.links {
				t.Errorf("%d rows and %d links, want %d and %d", p.Rows, links, c.rows, c.links)
			}
			rows := func() int { return strings.Count(w.Dump(t), "\n") }
			before := rows()
			request.ID = "op2"
			mustApply(t, db, mustPlan(t, db, request))
			if left := before - rows(); left != c.rows {
				t.Errorf("%d rows have left, want %d", left, c.rows)
			}
			if _, err := db.Restore(ctx, quarantine.Back{Operation: "op2", ID: "r1", Roots: []quarantine.Key{key("7")}}, nil); err != nil || rows() != before {
				t.Errorf("%d rows after the way back, want %d: %v", rows(), before, err)
			}
			request.ID = "op3"
			p = mustPlan(t, db, request)
			w.exec(t, c.more)
			dump := w.Dump(t)
			if _, err := db.Apply(ctx, p, nil); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "stale") {
				t.Errorf("%s: %v", c.more, err)
			}
			same(t, dump, w.Dump(t))
		})
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

// testWriters moves and restores while others insert children, change parents, and
// quarantine the same rows.
func testWriters(t *testing.T, bench Bench) {
	w := bench(t, false, shop(60, 2)...)
	many := func(o *relational.Options) { o.Limits.Rows = 50_000 }
	db, other := w.db(t, many), w.db(t, many)
	ctx := context.Background()
	stop, halt := context.WithCancel(ctx)
	defer halt()
	var orders, reviews atomic.Int64 // of the writers' that are there, or away and come back
	var group sync.WaitGroup
	for n := range 2 {
		group.Add(1)
		go func() { // until the rounds are over; a statement is never cut short
			defer group.Done()
			pace := time.NewTicker(5 * time.Millisecond)
			defer pace.Stop()
			for i := 0; stop.Err() == nil; i++ {
				<-pace.C
				account, id := 1+rand.IntN(50), (1+n)*100_000_000+i
				write := func(query string, args ...any) int64 {
					r, err := w.SQL.ExecContext(ctx, fmt.Sprintf(query, args...))
					if err != nil {
						return 0 // the row is away, or somebody waits for somebody
					}
					rows, _ := r.RowsAffected()
					return rows
				}
				switch i % 5 {
				case 0:
					orders.Add(write("INSERT INTO orders VALUES (%d, %d, 1, 'late')", id, account))
				case 1:
					write("UPDATE account SET name = 'renamed %d %d' WHERE id = %d", n, i, account)
				case 2:
					reviews.Add(write("INSERT INTO review VALUES (%d, %d, 1)", id, account))
				case 3: // what was inserted some hundred rounds ago, so that tables don't grow for ever
					orders.Add(-write("DELETE FROM orders WHERE id = %d", id-3-1500))
				case 4:
					reviews.Add(-write("DELETE FROM review WHERE id = %d", id-2-1500))
				}
			}
		}()
	}
	// Two operators at once, who may want the same rows. Accounts that refer to each other
	// are never both away: every second one is taken. Half of them are written to.
	began, rounds := time.Now(), Rounds(40, 3000)
	var done, moved, staled atomic.Int64
	var operators sync.WaitGroup
	for n, who := range []*relational.DB{db, other} {
		operators.Add(1)
		go func() { // rounds/2 times
			defer operators.Done()
			for round := n; round < rounds && !t.Failed(); round += 2 {
				ok, err := awayAndBack(ctx, who, fmt.Sprintf("op%d", round), fmt.Sprint(42+2*rand.IntN(10)), round%10 > 1)
				if err != nil {
					t.Errorf("round %d: %v", round, err)
				}
				if ok {
					moved.Add(1)
				} else {
					staled.Add(1)
				}
				if d := done.Add(1); d%250 == 0 {
					t.Logf("round %d after %s: %d moved, %d stale or busy", d, time.Since(began).Round(time.Second), moved.Load(), staled.Load())
				}
			}
		}()
	}
	operators.Wait()
	halt()
	group.Wait()
	if n := w.count(t, "SELECT count(*) FROM orders WHERE note = 'late'"); int64(n) != orders.Load() {
		t.Errorf("%d late orders are there, want %d", n, orders.Load())
	}
	if n := w.count(t, "SELECT count(*) FROM review WHERE id >= 1000000"); int64(n) != reviews.Load() {
		t.Errorf("%d late reviews are there, want %d", n, reviews.Load())
	}
	for _, query := range []string{
		"SELECT count(*) FROM orders o LEFT JOIN account a ON a.id = o.account WHERE a.id IS NULL",
		"SELECT count(*) FROM line l LEFT JOIN orders o ON o.id = l.orders WHERE o.id IS NULL",
		"SELECT count(*) FROM review r LEFT JOIN account a ON a.id = r.account WHERE r.account IS NOT NULL AND a.id IS NULL",
	} {
		if n := w.count(t, query); n != 0 {
			t.Errorf("%d orphans: %s", n, query)
		}
	}
	for query, want := range map[string]int{"SELECT count(*) FROM account": 60, "SELECT count(*) FROM line": 360, "SELECT count(*) FROM payment": 120} {
		if n := w.count(t, query); n != want {
			t.Errorf("%d, want %d: %s", n, want, query)
		}
	}
	t.Logf("%d moved and restored, %d stale or busy; of the writers' rows %d orders and %d reviews are there", moved.Load(), staled.Load(), orders.Load(), reviews.Load())
}

// restoreAgain restores, and again where somebody else was in the way.
func restoreAgain(ctx context.Context, db *relational.DB, b quarantine.Back) (out quarantine.Returned, err error) {
	for range 50 {
		if out, err = db.Restore(ctx, b, nil); fault.KindOf(err) != fault.Unavailable {
			return out, err
		}
	}
	return out, err
}

// awayAndBack takes an account away, verifies, puts it back and, if asked to, purges its
// copies: thousands of them would make every look at the catalogue slow. False: somebody
// else had the rows, or changed them, and it was said.
func awayAndBack(ctx context.Context, db *relational.DB, id, account string, purge bool) (bool, error) {
	busy := func(err error) bool {
		k := fault.KindOf(err)
		return k == fault.Conflict || k == fault.Unavailable
	}
	r := accounts(id, account)
	r.Accept = []quarantine.Rule{quarantine.RuleOpen}
	p, err := db.Plan(ctx, r)
	switch {
	case busy(err) || fault.KindOf(err) == fault.NotFound: // it is away
		return false, nil
	case err != nil || len(p.Refused) > 0:
		return false, fmt.Errorf("plan: %w %+v", err, p.Refused)
	}
	if _, err := db.Apply(ctx, p, nil); busy(err) {
		op, err := db.Look(ctx, id)
		for range 50 {
			if fault.KindOf(err) != fault.Unavailable {
				break
			}
			op, err = db.Look(ctx, id)
		}
		if err != nil || op.State != quarantine.Absent {
			return false, fmt.Errorf("it was said that nothing happened: %w %+v", err, op)
		}
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("apply: %w", err)
	}
	if v, err := db.Verify(ctx, id); err != nil || !v.OK {
		return true, fmt.Errorf("verify: %w %+v", err, v)
	}
	back := quarantine.Back{Operation: id, ID: "r"}
	out, err := restoreAgain(ctx, db, back)
	if fault.KindOf(err) == fault.Conflict { // a review that had lost its link is deleted meanwhile
		back.Policy = quarantine.Skip
		out, err = restoreAgain(ctx, db, back)
	}
	if err != nil || out.Operation.Waiting() != 0 || slices.ContainsFunc(out.Skipped, func(c quarantine.Conflict) bool { return c.Kind != "relinked" }) {
		return true, fmt.Errorf("restore: %w %+v", err, out)
	}
	for range 50 {
		if !purge {
			break
		}
		if _, err = db.Purge(ctx, quarantine.Drop{Operation: id, ID: "p", By: "ann", Second: "ben"}); fault.KindOf(err) != fault.Unavailable {
			break
		}
	}
	return true, err
}

// childVariable tells a test binary that it is to act and die.
const childVariable = "LIFEBOAT_TEST_QUARANTINE_CHILD"

// order is what a child is to do.
type order struct {
	DSN  string
	Plan quarantine.Plan
	Back *quarantine.Back
	Step int // it kills itself before this step
}

// Child acts as a process that is killed, when the test binary was started as one. It
// is to be called first in TestMain.
func Child(open func(string, relational.Options) (*relational.DB, error)) {
	path := os.Getenv(childVariable)
	if path == "" {
		return
	}
	b, err := os.ReadFile(path)
	var o order
	if err == nil {
		err = json.Unmarshal(b, &o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	step := 0
	db, err := open(o.DSN, relational.Options{Name: "shop", Now: time.Now, Trace: func(string) {
		if step++; step == o.Step {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}})
	if err == nil && o.Back != nil {
		_, err = db.Restore(context.Background(), *o.Back, nil)
	} else if err == nil {
		_, err = db.Apply(context.Background(), o.Plan, nil)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	os.Exit(0)
}

// spawn runs a child and says whether it was killed.
func spawn(t testing.TB, o order) bool {
	t.Helper()
	b, err := json.Marshal(o)
	path := filepath.Join(t.TempDir(), "order")
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+path)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err == nil {
		return false
	}
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() {
		return true
	}
	t.Fatalf("%v %s", err, out)
	return false
}

// testKillClient kills the process that moves or restores before each of its steps.
func testKillClient(t *testing.T, bench Bench) {
	w := bench(t, false, shop(40, 2)...)
	db := w.db(t)
	before := w.Dump(t)
	there, back := 0, 0
	stride := Rounds(3, 1)
	for round := range Rounds(1, 12) {
		for step := 1 + rand.IntN(stride); step < 80; step += stride {
			id := fmt.Sprintf("op%dx%d", round, step)
			o := order{DSN: w.DSN, Plan: mustPlan(t, db, accounts(id, fmt.Sprint(1+rand.IntN(40)))), Step: step}
			killed := spawn(t, o)
			op := lookUntil(t, db, id)
			switch {
			case op.State == quarantine.Absent && killed:
				same(t, before, w.Dump(t))
				mustApply(t, db, o.Plan)
			case op.State == quarantine.Held:
				there++
			default:
				t.Fatalf("killed %t before step %d: %+v", killed, step, op)
			}
			mustVerify(t, db, id)
			r := order{DSN: w.DSN, Back: &quarantine.Back{Operation: id, ID: "r1"}, Step: step}
			killedBack := spawn(t, r)
			out, err := restoreAgain(context.Background(), db, *r.Back)
			if err != nil {
				t.Fatal(err)
			}
			if out.Again {
				back++
			}
			same(t, before, w.Dump(t))
			if !killed && !killedBack {
				break
			}
		}
	}
	t.Logf("%d moves and %d restores had been made before the kill", there, back)
	if there == 0 || back == 0 {
		t.Error("no kill came after the end")
	}
}

// lookUntil looks until nobody is about to commit any more.
func lookUntil(t testing.TB, db *relational.DB, id string) quarantine.Operation {
	t.Helper()
	var err error
	for range 20 {
		var op quarantine.Operation
		if op, err = db.Look(context.Background(), id); err == nil {
			return op
		}
	}
	t.Fatal(err)
	return quarantine.Operation{}
}

// testKillServer kills the database before each step of a move and of a restore.
func testKillServer(t *testing.T, bench Bench) {
	w := bench(t, true, shop(30, 2)...)
	if w.Kill == nil {
		t.Skip("this database is no server; killing its process is killing the client")
	}
	before := w.Dump(t)
	var kill atomic.Int64
	step := 0
	db := w.db(t, func(o *relational.Options) {
		o.Trace = func(string) {
			if step++; int64(step) == kill.Load() {
				w.Kill(t)
			}
		}
	})
	armed := func(at int) { step = 0; kill.Store(int64(at)) }
	restart := func() { armed(0); w.Start(t) }
	before0, after0 := 0, 0
	armed(0) // how many steps there are
	mustApply(t, db, mustPlan(t, db, accounts("dry", "1")))
	there := step
	armed(0)
	if _, err := db.Restore(context.Background(), quarantine.Back{Operation: "dry", ID: "r1"}, nil); err != nil {
		t.Fatal(err)
	}
	back := step
	rounds := Rounds(6, 300)
	for round := range rounds {
		id := fmt.Sprintf("op%d", round)
		armed(0)
		p := mustPlan(t, db, accounts(id, fmt.Sprint(1+rand.IntN(30))))
		armed(3 + rand.IntN(there-2)) // the first two are Look's
		_, err := db.Apply(context.Background(), p, nil)
		restart()
		op := lookUntil(t, db, id)
		switch op.State {
		case quarantine.Absent:
			before0++
			if err == nil {
				t.Fatal("it said that it was done")
			}
			same(t, before, w.Dump(t))
			mustApply(t, db, p)
		case quarantine.Held:
			after0++
		default:
			t.Fatalf("%+v", op)
		}
		mustVerify(t, db, id)
		armed(1 + rand.IntN(back))
		b := quarantine.Back{Operation: id, ID: "r1"}
		_, err = db.Restore(context.Background(), b, nil)
		restart()
		out, again := db.Restore(context.Background(), b, nil)
		if again != nil || err == nil && !out.Again {
			t.Fatalf("%v, then %v %+v", err, again, out)
		}
		same(t, before, w.Dump(t))
	}
	t.Logf("%d rounds: %d before, %d after", rounds, before0, after0)
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
