package sqlite_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/dbtest"
	"lifeboat/internal/quarantine/relational"
	"lifeboat/internal/quarantine/sqlite"
)

// zoo has every way to keep a value, and the shapes that break naive moves.
var zoo = []string{
	"CREATE TABLE tenant (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE COLLATE NOCASE, boss INTEGER REFERENCES tenant ON DELETE RESTRICT)",
	"CREATE TABLE \"every thing\" (tenant INT NOT NULL REFERENCES tenant(id) ON DELETE CASCADE, at DATE, \"odd \"\"n\" ANY, i INTEGER, r REAL, t TEXT, b BLOB, n NUMERIC, d DATETIME, untyped, dec DECIMAL(10,2), bool BOOLEAN, double_it AS (i * 2), stored_it TEXT AS (t || '!') STORED, PRIMARY KEY (tenant, at, \"odd \"\"n\")) WITHOUT ROWID",
	"CREATE TABLE strict (id INTEGER PRIMARY KEY, tenant INTEGER NOT NULL REFERENCES tenant(id), a ANY, t TEXT) STRICT",
	"CREATE TABLE note (id BLOB PRIMARY KEY, tenant INT, at DATE, n, FOREIGN KEY (tenant, at, n) REFERENCES \"every thing\")",
	"CREATE TABLE fan (id INTEGER PRIMARY KEY, tenant INTEGER REFERENCES tenant ON DELETE SET NULL, fallback INTEGER DEFAULT 1 REFERENCES tenant ON DELETE SET DEFAULT)",
	"CREATE TABLE chicken (id INTEGER PRIMARY KEY, tenant INTEGER NOT NULL REFERENCES tenant, egg INTEGER NOT NULL REFERENCES egg DEFERRABLE INITIALLY DEFERRED)",
	"CREATE TABLE egg (id INTEGER PRIMARY KEY, chicken INTEGER NOT NULL REFERENCES chicken DEFERRABLE INITIALLY DEFERRED)",
	"CREATE TABLE word (w TEXT PRIMARY KEY, tenant INTEGER NOT NULL REFERENCES tenant)",
	"CREATE TABLE loose (id INT PRIMARY KEY NOT NULL, tenant REFERENCES tenant, v CHARINT, w FLOATING)", // numbers by their types, and anything in them
	"CREATE TABLE swallowed (id INTEGER PRIMARY KEY, v TEXT)",
	"CREATE TRIGGER swallow BEFORE DELETE ON swallowed BEGIN SELECT RAISE(IGNORE); END",
	"CREATE TABLE angry (id INTEGER PRIMARY KEY, v TEXT)",
	"CREATE TRIGGER refuse BEFORE DELETE ON angry BEGIN SELECT RAISE(ABORT, 'secret'); END",
	"CREATE VIRTUAL TABLE search USING fts5 (words)",
	"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120) INSERT INTO tenant SELECT i, 'tenant ' || i, nullif(i - 1, 0) FROM n",
	"UPDATE tenant SET boss = 105 WHERE id = 103",
	"INSERT INTO \"every thing\" (tenant, at, \"odd \"\"n\", i, r, t, b, n, d, untyped, dec, bool) SELECT id, '1999-12-31', 1, 9223372036854775807, 0.1 + 0.2, 'line' || char(10) || '''q'' 𝄞', x'00ff27', '12.50', '2026-03-29 01:30:00', 'text', '10.10', 'true' FROM tenant",
	"INSERT INTO \"every thing\" (tenant, at, \"odd \"\"n\", i, r, t, b, n, d, untyped, dec, bool) SELECT id, 20260228, 'two', 'not a number', 'nor this', x'414243', 'text in a blob', x'00', 1e300, NULL, -0.0, 1 FROM tenant",
	"INSERT INTO \"every thing\" (tenant, at, \"odd \"\"n\") SELECT id, x'00', 3.5 FROM tenant",
	"INSERT INTO strict SELECT id, id, CASE id % 3 WHEN 0 THEN 1.0 WHEN 1 THEN '1' ELSE x'31' END, 'a' || char(0) || 'b' FROM tenant",
	"INSERT INTO note SELECT CAST(tenant || at || \"odd \"\"n\" AS BLOB), tenant, at, \"odd \"\"n\" FROM \"every thing\"",
	"INSERT INTO fan SELECT id, id, 1 + id % 90 FROM tenant",
	"BEGIN; INSERT INTO chicken SELECT id, id, id FROM tenant; INSERT INTO egg SELECT id, id FROM tenant; COMMIT",
	"INSERT INTO word SELECT 'Wört ''' || id, id FROM tenant",
	"INSERT INTO loose SELECT id, id, '0012', 1 FROM tenant", "INSERT INTO loose SELECT 'a' || id, CAST(id AS TEXT), x'3132', '1e2x' FROM tenant", "INSERT INTO loose SELECT CAST(x'00' || id AS BLOB), id, 12.5, NULL FROM tenant",
	"INSERT INTO swallowed SELECT id, 'x' FROM tenant", "INSERT INTO angry SELECT id, 'x' FROM tenant",
}

func open(t testing.TB, w *dbtest.World) *relational.DB {
	t.Helper()
	db, err := w.Open(w.DSN, relational.Options{Name: "shop", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestZoo(t *testing.T) {
	t.Parallel()
	w := bench(t, false, zoo...)
	db := open(t, w)
	for n, r := range []quarantine.Request{
		{Table: "tenant", Keys: []quarantine.Key{{"119"}}},
		{Table: "tenant", Where: &quarantine.Predicate{Column: "name", Op: quarantine.Equal, Value: &quarantine.Literal{Text: "TENANT 110", Kind: quarantine.Text}}},
		{Table: "every thing", Where: &quarantine.Predicate{Column: "tenant", Op: quarantine.In, Values: []quarantine.Literal{{Text: "9", Kind: quarantine.Number}, {Text: "11", Kind: quarantine.Number}}}},
		{Table: "word", Keys: []quarantine.Key{{"Wört '7"}}},
		{Table: "chicken", Keys: []quarantine.Key{{"5"}, {"6"}}},
	} {
		r.ID = "zoo" + string(rune('a'+n))
		dbtest.Cycle(t, w, db, r)
	}
}

// TestTriggersThatKeepRows: a delete that does nothing, and one that fails.
func TestTriggersThatKeepRows(t *testing.T) {
	t.Parallel()
	w := bench(t, false, zoo...)
	db := open(t, w)
	before := w.Dump(t)
	for n, table := range []string{"swallowed", "angry"} {
		p, err := db.Plan(context.Background(), quarantine.Request{ID: "op" + string(rune('a'+n)), Table: table, Keys: []quarantine.Key{{"1"}}})
		if err != nil || len(p.Refused) > 0 || len(p.Tables[0].Triggers) != 1 {
			t.Fatalf("%v %+v", err, p.Refused)
		}
		if _, err := db.Apply(context.Background(), p, nil); fault.KindOf(err) != fault.Conflict {
			t.Errorf("%s: %v", table, err)
		}
	}
	if after := w.Dump(t); after != before {
		t.Errorf("something changed:\n%s", dbtest.Differ(before, after))
	}
	p, err := db.Plan(context.Background(), quarantine.Request{ID: "op", Table: "search", Keys: []quarantine.Key{{"1"}}})
	if err != nil || !slices.ContainsFunc(p.Refused, func(r quarantine.Refusal) bool { return r.Rule == quarantine.RuleNotTable }) {
		t.Errorf("%v %+v", err, p.Refused)
	}
	if _, err := sqlite.Open("/does/not/exist.db", relational.Options{Name: "x", Now: time.Now}); fault.KindOf(err) != fault.Invalid {
		t.Error(err)
	}
}
