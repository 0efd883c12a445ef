package sqlite_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/relational"
)

// Whether a key is the number of its row decides how copies are kept and found: what only
// looks like one may hold anything.
func TestKeysThatLookLikeRowNumbers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	const seven = "CASE n WHEN 7 THEN 'seven' ELSE n END"
	for name, c := range map[string]struct{ table, id, key string }{
		"a row number":         {"(id INTEGER PRIMARY KEY, v TEXT)", "n", "7"},
		"descending":           {"(id INTEGER PRIMARY KEY DESC, v TEXT)", seven, "\x01'seven'"},
		"of a table without":   {"(id INTEGER PRIMARY KEY, v TEXT) WITHOUT ROWID", seven, "\x01'seven'"},
		"INT":                  {"(id INT PRIMARY KEY, v TEXT)", "CASE n WHEN 7 THEN 7.5 ELSE n END", "\x017.5"},
		"unique, no key":       {"(id INTEGER NOT NULL UNIQUE, v TEXT)", "CASE n WHEN 7 THEN x'07' ELSE n END", "\x01X'07'"},
		"a column named rowid": {"(id INTEGER PRIMARY KEY, v TEXT, rowid TEXT)", "n", "7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := bench(t, false, "CREATE TABLE t "+c.table,
				"INSERT INTO t (id, v) WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 40) SELECT "+c.id+", CASE WHEN n IN (7, 9) THEN 'odd' END FROM n")
			db, err := w.Open(w.DSN, relational.Options{Name: "shop", Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			before := w.Dump(t)
			p, err := db.Plan(ctx, quarantine.Request{ID: "op", Table: "t", Where: &quarantine.Predicate{Column: "v", Op: quarantine.Equal, Value: &quarantine.Literal{Text: "odd", Kind: quarantine.Text}}})
			if err != nil || len(p.Refused) > 0 || p.Rows != 2 {
				t.Fatalf("%v %+v", err, p)
			}
			if _, err := db.Apply(ctx, p, nil); err != nil {
				t.Fatal(err)
			}
			if v, err := db.Verify(ctx, "op"); err != nil || !v.OK {
				t.Fatalf("%v %+v", err, v)
			}
			if out, err := db.Restore(ctx, quarantine.Back{Operation: "op", ID: "r1", Roots: []quarantine.Key{{c.key}}}, nil); err != nil || out.Rows != 1 {
				t.Fatalf("%v %+v", err, out)
			}
			if _, err := db.Restore(ctx, quarantine.Back{Operation: "op", ID: "r2"}, nil); err != nil {
				t.Fatal(err)
			}
			if after := w.Dump(t); after != before {
				t.Errorf("%s\nbecame\n%s", before, after)
			}
		})
	}
}

// A large table needs an index for what is looked for in it, whatever its key is.
func TestLargeTablesNeedAnIndex(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"id INTEGER PRIMARY KEY", "id TEXT PRIMARY KEY", "id INT PRIMARY KEY"} {
		w := bench(t, false, "CREATE TABLE up (id INTEGER PRIMARY KEY)", fmt.Sprintf("CREATE TABLE down (%s, up INTEGER REFERENCES up (id) ON DELETE CASCADE)", key),
			"INSERT INTO up WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 40) SELECT n FROM n", "INSERT INTO down SELECT a.id * 100 + b.id, a.id FROM up a, up b")
		db, err := w.Open(w.DSN, relational.Options{Name: "shop", Now: time.Now, Limits: quarantine.Limits{Large: 1000}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		p, err := db.Plan(context.Background(), quarantine.Request{ID: "op", Table: "up", Keys: []quarantine.Key{{"7"}}})
		if err != nil || !slices.ContainsFunc(p.Refused, func(r quarantine.Refusal) bool { return r.Rule == quarantine.RuleIndex }) {
			t.Errorf("%s: %v %+v", key, err, p.Refused)
		}
	}
}

// A foreign key goes by the collation of the parent's column: a child that is written in
// another case hangs on it, and the database would delete it with its parent.
func TestChildrenInAnotherCase(t *testing.T) {
	t.Parallel()
	for name, up := range map[string]string{
		"key": "CREATE TABLE up (name TEXT PRIMARY KEY COLLATE NOCASE, v TEXT)", "unique column": "CREATE TABLE up (id INTEGER PRIMARY KEY, name TEXT UNIQUE COLLATE NOCASE)",
		"index": "CREATE TABLE up (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE); CREATE UNIQUE INDEX up_name ON up (name)", "without row numbers": "CREATE TABLE up (name TEXT PRIMARY KEY COLLATE NOCASE, v TEXT) WITHOUT ROWID",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			childrenInAnotherCase(t, up)
		})
	}
}

func childrenInAnotherCase(t *testing.T, up string) {
	ctx := context.Background()
	w := bench(t, false, up, "CREATE TABLE down (id INTEGER PRIMARY KEY, up TEXT REFERENCES up (name) ON DELETE CASCADE)",
		"INSERT INTO up (name) WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 40) SELECT 'Name ' || n FROM n", "INSERT INTO down (up) SELECT upper(name) FROM up", "INSERT INTO down (up) SELECT name FROM up")
	db := open(t, w)
	key := quarantine.Key{"7"}
	if !strings.Contains(up, "id INTEGER") {
		key = quarantine.Key{"Name 7"}
	}
	request := quarantine.Request{ID: "op", Table: "up", Keys: []quarantine.Key{key}}
	p, err := db.Plan(ctx, request)
	if err != nil || p.Rows != 3 {
		t.Fatalf("%v %+v", err, p)
	}
	if _, err := w.SQL.Exec("INSERT INTO down VALUES (1000, 'name 7')"); err != nil {
		t.Fatal(err)
	}
	before := w.Dump(t)
	if _, err := db.Apply(ctx, p, nil); fault.KindOf(err) != fault.Conflict || w.Dump(t) != before {
		t.Fatalf("a child more, in another case: %v", err)
	}
	for n, back := range []quarantine.Back{{}, {Roots: []quarantine.Key{key}}, {Policy: quarantine.Skip}} {
		request.ID = fmt.Sprintf("op%d", n)
		if p, err = db.Plan(ctx, request); err != nil || p.Rows != 4 {
			t.Fatalf("%v %+v", err, p)
		}
		if _, err := db.Apply(ctx, p, nil); err != nil {
			t.Fatal(err)
		}
		if v, err := db.Verify(ctx, request.ID); err != nil || !v.OK {
			t.Errorf("%v %+v", err, v)
		}
		back.Operation, back.ID = request.ID, "r"
		if out, err := db.Restore(ctx, back, nil); err != nil || out.Rows != 4 || out.Operation.State != quarantine.Restored {
			t.Fatalf("%v %+v", err, out)
		}
		if after := w.Dump(t); after != before {
			t.Errorf("%s\nbecame\n%s", before, after)
		}
	}
}

// Numbers are keys however they are written, and what is none is no key.
func TestRowNumbersAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	w := bench(t, false, "CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 40) SELECT n FROM n")
	db := open(t, w)
	for text, want := range map[string]string{"7": "7", "007": "7", "+7": "7", "41": "", "9223372036854775808": "", "7]": "", "1e1": "", "": ""} {
		p, err := db.Plan(context.Background(), quarantine.Request{ID: "op", Table: "t", Keys: []quarantine.Key{{text}}})
		switch kind := fault.KindOf(err); {
		case want == "" && kind != fault.NotFound && kind != fault.Invalid:
			t.Errorf("%q: %v", text, err)
		case want != "" && (err != nil || p.Tables[0].Frozen[0].Key[0] != want):
			t.Errorf("%q: %v %+v", text, err, p.Tables)
		}
	}
}
