package sqlite_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/dbtest"
)

// A link that was emptied comes back, too, where its two ends differ in case.
func TestLinkInAnotherCase(t *testing.T) {
	t.Parallel()
	w := bench(t, false,
		"CREATE TABLE p (id TEXT COLLATE NOCASE PRIMARY KEY NOT NULL, v TEXT)",
		"CREATE TABLE c (id INTEGER PRIMARY KEY, p TEXT REFERENCES p ON DELETE SET NULL)",
		"INSERT INTO p VALUES ('ABC', 'x'), ('def', 'y'), ('ghi', 'z')",
		"INSERT INTO c VALUES (1, 'abc'), (2, 'def'), (3, 'ABC')")
	db := open(t, w)
	before := w.Dump(t)
	ctx := context.Background()
	p, err := db.Plan(ctx, quarantine.Request{ID: "case", Table: "p", Keys: []quarantine.Key{{"ABC"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Apply(ctx, p, nil); err != nil {
		t.Fatal(err)
	}
	// A copy whose row can't be told from the others stops it: no link is left behind.
	if _, err := w.SQL.Exec("UPDATE lifeboat_q_qcase_d0 SET p = 'nobody' WHERE id = 3"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Restore(ctx, quarantine.Back{Operation: "case", ID: "r0"}, nil); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "can't be told from the copies") {
		t.Errorf("a copy of a link that was changed: %v", err)
	}
	if _, err := w.SQL.Exec("UPDATE lifeboat_q_qcase_d0 SET p = 'ABC' WHERE id = 3"); err != nil {
		t.Fatal(err)
	}
	out, err := db.Restore(ctx, quarantine.Back{Operation: "case", ID: "r1"}, nil)
	if err != nil || out.Links != 2 {
		t.Errorf("%v %+v", err, out)
	}
	if after := w.Dump(t); after != before {
		t.Errorf("something changed:\n%s", dbtest.Differ(before, after))
	}
}

// A link that somebody has chosen since is not put back over it, whatever the rule emptied
// it to.
func TestLinkChosenSince(t *testing.T) {
	t.Parallel()
	w := bench(t, false, "CREATE TABLE p (id INTEGER PRIMARY KEY)", "CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER DEFAULT 1 REFERENCES p ON DELETE SET DEFAULT)",
		"INSERT INTO p "+many+"SELECT n FROM n", "INSERT INTO c SELECT id, id FROM p")
	db := open(t, w)
	ctx := context.Background()
	dbtest.Cycle(t, w, db, quarantine.Request{ID: "op1", Table: "p", Keys: []quarantine.Key{{"7"}}})
	p, err := db.Plan(ctx, quarantine.Request{ID: "op2", Table: "p", Keys: []quarantine.Key{{"7"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Apply(ctx, p, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.SQL.Exec("UPDATE c SET p = 9 WHERE id = 7"); err != nil {
		t.Fatal(err)
	}
	before := w.Dump(t)
	if _, err := db.Restore(ctx, quarantine.Back{Operation: "op2", ID: "r1"}, nil); fault.KindOf(err) != fault.Conflict || w.Dump(t) != before {
		t.Errorf("%v\n%s", err, dbtest.Differ(before, w.Dump(t)))
	}
}

// A column that others refer to is not replaced, however their foreign key writes its name:
// the database would change them, too.
func TestColumnNamedInAnotherCase(t *testing.T) {
	t.Parallel()
	w := bench(t, false, "CREATE TABLE up (id INTEGER PRIMARY KEY, code TEXT UNIQUE)", "CREATE TABLE down (id INTEGER PRIMARY KEY, up TEXT, FOREIGN KEY (UP) REFERENCES UP (CODE) ON DELETE CASCADE ON UPDATE CASCADE)",
		"INSERT INTO up "+many+"SELECT n, 'c' || n FROM n", "INSERT INTO down SELECT id, code FROM up")
	db := open(t, w)
	safe := "safe"
	p, err := db.Plan(context.Background(), quarantine.Request{ID: "op", Mode: quarantine.Replace, Table: "up", Keys: []quarantine.Key{{"7"}}, Set: []quarantine.Cell{{Column: "code", Value: &safe}}})
	if err != nil || len(p.Refused) != 1 || p.Refused[0].Rule != quarantine.RuleColumn {
		t.Errorf("%v %+v", err, p.Refused)
	}
	dbtest.Cycle(t, w, db, quarantine.Request{ID: "op", Table: "up", Keys: []quarantine.Key{{"7"}}})
	v, err := db.Verify(context.Background(), "op")
	if err != nil || !slices.ContainsFunc(v.Checks, func(c quarantine.Check) bool { return c.Name == "orphans" }) {
		t.Errorf("nobody looked for orphans: %v %+v", err, v)
	}
}
