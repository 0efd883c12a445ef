package sqlite_test

import (
	"context"
	"slices"
	"testing"

	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/dbtest"
)

const many = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 60) "

// Keys of every kind, and what is in them against the word of their columns.
func TestKeysOfEveryType(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ typ, fill, odd string }{
		"text":            {"TEXT", "'n' || n", "(''), ('a' || char(0) || 'b'), (char(1) || 'NULL')"},
		"bad text":        {"TEXT", "'n' || n", "(CAST(x'61ff' AS TEXT)), (CAST(x'61fe' AS TEXT)), (CAST(x'ff' AS TEXT))"},
		"blobs in text":   {"TEXT", "'n' || n", "(x'61ff'), (x''), (x'6100')"},
		"untyped":         {"", "'n' || n", "(1), ('1'), (x'31')"},
		"untyped 2":       {"", "'n' || n", "(1.5), (9e999), ('1.5')"},
		"real":            {"REAL", "n", "(0.1 + 0.2), (9e999), (-1e-300)"},
		"real 2":          {"REAL", "n", "('abc'), (x'00'), (5e-324)"},
		"blob":            {"BLOB", "x'00' || n", "(x''), (x'ff'), ('text')"},
		"integer in text": {"INT", "n", "('a' || char(0) || 'b'), ('a' || char(0) || 'c'), (1e300)"},
		"numeric":         {"NUMERIC", "n", "(1.5), ('abc'), (9223372036854775807)"},
		"decimal":         {"DECIMAL(10,2)", "n", "(0.1), (9e999), (x'00')"},
		"date":            {"DATE", "'2020-' || n", "('0000-00-00'), (20260228), ('2026-02-28')"},
		"bool":            {"BOOLEAN", "n + 10", "(0), (1), ('true')"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, table := range []string{"single", "pair", "norow"} {
				t.Run(table, func(t *testing.T) {
					w := bench(t, false, "CREATE TABLE single (k "+c.typ+" NOT NULL PRIMARY KEY, v TEXT)", "CREATE TABLE pair (n INT NOT NULL, k "+c.typ+" NOT NULL, v TEXT, PRIMARY KEY (k, n))", "CREATE TABLE norow (k "+c.typ+" NOT NULL PRIMARY KEY, v TEXT) WITHOUT ROWID",
						"INSERT INTO single "+many+"SELECT "+c.fill+", 'x' FROM n", "INSERT INTO single (k) VALUES "+c.odd, "UPDATE single SET v = 'odd' WHERE v IS NULL",
						"INSERT INTO pair (n, k, v) SELECT 7, k, v FROM single", "INSERT INTO norow SELECT * FROM single")
					dbtest.Keys(t, w, open(t, w), table, 3)
				})
			}
		})
	}
}

// SQLite lets keys be empty: such rows can't be told apart, and a plan says so.
func TestEmptyKeys(t *testing.T) {
	t.Parallel()
	w := bench(t, false, "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT)", "INSERT INTO t "+many+"SELECT 'n' || n, 'x' FROM n", "INSERT INTO t VALUES (NULL, 'odd'), (NULL, 'odd'), ('NULL', 'fine')",
		"CREATE TABLE up (id INTEGER PRIMARY KEY)", "INSERT INTO up "+many+"SELECT n FROM n", "CREATE TABLE down (k TEXT PRIMARY KEY, up INTEGER REFERENCES up ON DELETE SET NULL)", "INSERT INTO down VALUES (NULL, 7)")
	db := open(t, w)
	odd := func(v string) *quarantine.Predicate {
		return &quarantine.Predicate{Column: "v", Op: quarantine.Equal, Value: &quarantine.Literal{Text: v, Kind: quarantine.Text}}
	}
	for _, r := range []quarantine.Request{{ID: "op", Table: "t", Where: odd("odd")}, {ID: "op", Table: "up", Keys: []quarantine.Key{{"7"}}}} {
		p, err := db.Plan(context.Background(), r)
		if err != nil || !slices.ContainsFunc(p.Refused, func(r quarantine.Refusal) bool { return r.Rule == quarantine.RuleNoKey }) {
			t.Errorf("%s: %v %+v", r.Table, err, p.Refused)
		}
	}
	dbtest.Cycle(t, w, db, quarantine.Request{ID: "op", Table: "t", Where: odd("fine")})
}
