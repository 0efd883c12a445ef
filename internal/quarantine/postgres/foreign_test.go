package postgres_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/dbtest"
	"lifeboat/internal/quarantine/relational"
)

// Keys whose types compare in a way of their own: what hangs on a row by them goes with
// it, and comes back as it was.
func TestKeysThatCompareInTheirOwnWay(t *testing.T) {
	t.Parallel()
	const numbers = " FROM generate_series(1, 40) g"
	for name, c := range map[string]struct {
		script []string
		key    string
		rows   int
	}{
		"a unique column": {[]string{"CREATE EXTENSION citext", "CREATE TABLE up (id int PRIMARY KEY, mail citext UNIQUE)", "CREATE TABLE down (up citext REFERENCES up (mail) ON DELETE CASCADE, n int, PRIMARY KEY (up, n))",
			"CREATE TABLE fan (id int PRIMARY KEY, up citext REFERENCES up (mail) ON DELETE SET NULL)", "INSERT INTO up SELECT g, 'Name' || g" + numbers, "INSERT INTO down SELECT 'NAME' || g, g" + numbers, "INSERT INTO fan SELECT g, 'nAME' || g" + numbers}, "7", 2},
		"ltree": {[]string{"CREATE EXTENSION ltree", "CREATE TABLE up (id ltree PRIMARY KEY)", "CREATE TABLE down (id int PRIMARY KEY, up ltree NOT NULL REFERENCES up)",
			"INSERT INTO up SELECT ('a.b' || g)::ltree" + numbers, "INSERT INTO down SELECT g, ('a.b' || g)::ltree" + numbers}, "a.b7", 2},
		"lists": {[]string{"CREATE TABLE up (id int[] PRIMARY KEY)", "CREATE TABLE down (id int PRIMARY KEY, up int[] REFERENCES up)",
			"INSERT INTO up SELECT ARRAY[g, NULL]" + numbers, "INSERT INTO down SELECT g, ARRAY[g, NULL]" + numbers}, "{7,NULL}", 2},
		"no number, and minus zero": {[]string{"CREATE TABLE up (id float8 PRIMARY KEY)", "CREATE TABLE down (id int PRIMARY KEY, up float8 REFERENCES up ON DELETE CASCADE)", "INSERT INTO up SELECT g / 3.0" + numbers,
			"INSERT INTO up VALUES ('NaN'), ('-0'), ('-Infinity')", "INSERT INTO down SELECT g, g / 3.0" + numbers, "INSERT INTO down VALUES (100, 'NaN'), (101, '0')"}, "NaN", 2},
		"the end of time": {[]string{"CREATE TABLE up (id timestamptz PRIMARY KEY)", "CREATE TABLE down (id int PRIMARY KEY, up timestamptz REFERENCES up ON DELETE CASCADE)", "INSERT INTO up SELECT '2026-01-01'::date + g" + numbers,
			"INSERT INTO up VALUES ('infinity'), ('20226-01-01'), ('0044-03-15 BC')", "INSERT INTO down SELECT g, '2026-01-01'::date + g" + numbers, "INSERT INTO down VALUES (100, 'infinity')"}, "infinity", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := bench(t, false, c.script...)
			p := dbtest.Cycle(t, w, open(t, w), quarantine.Request{ID: "op", Table: "up", Keys: []quarantine.Key{{c.key}}})
			if p.Rows != c.rows {
				t.Errorf("%d rows, want %d", p.Rows, c.rows)
			}
		})
	}
}

// A foreign key goes by the operator of its unique index, which need not be that of the
// type. What it would take along is noticed before anything is lost.
func TestForeignKeyThatComparesUnseen(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{"CASCADE", "SET NULL"} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			script := []string{"CREATE FUNCTION icmp(text, text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT pg_catalog.bttextcmp(pg_catalog.lower($1), pg_catalog.lower($2))'"}
			operators := ""
			for n, o := range []string{"<", "<=", "=", ">=", ">"} {
				script = append(script, strings.NewReplacer("#", o, "$N", string(rune('1'+n))).Replace("CREATE FUNCTION i$N(text, text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT public.icmp($1, $2) # 0'"),
					strings.NewReplacer("#", o, "$N", string(rune('1'+n))).Replace("CREATE OPERATOR @#@ (LEFTARG = text, RIGHTARG = text, FUNCTION = i$N)"))
				operators += strings.NewReplacer("#", o, "$N", string(rune('1'+n))).Replace("OPERATOR $N @#@, ")
			}
			script = append(script, "CREATE OPERATOR CLASS i_ops FOR TYPE text USING btree AS "+operators+"FUNCTION 1 icmp(text, text)",
				"CREATE TABLE up (id int PRIMARY KEY, code text)", "CREATE UNIQUE INDEX ON up (code i_ops)", "CREATE TABLE down (id int PRIMARY KEY, up text REFERENCES up (code) ON DELETE "+rule+")",
				"INSERT INTO up SELECT g, 'Code' || g FROM generate_series(1, 40) g", "INSERT INTO down SELECT g, 'CODE' || g FROM generate_series(1, 40) g")
			w := bench(t, false, script...)
			db, before := open(t, w), w.Dump(t)
			p, err := db.Plan(context.Background(), quarantine.Request{ID: "op", Table: "up", Keys: []quarantine.Key{{"7"}}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Apply(context.Background(), p, nil); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "1 row along") {
				t.Errorf("%v", err)
			}
			if after := w.Dump(t); after != before {
				t.Errorf("something changed:\n%s", dbtest.Differ(before, after))
			}
		})
	}
}

func open(t *testing.T, w *dbtest.World, links ...quarantine.Link) *relational.DB {
	t.Helper()
	db, err := w.Open(w.DSN, relational.Options{Name: "shop", Now: time.Now, Links: links})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
