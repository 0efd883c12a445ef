package sqlite_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/quarantine/dbtest"
	"lifeboat/internal/quarantine/sqlite"
)

func TestMain(m *testing.M) {
	dbtest.Child(sqlite.Open)
	os.Exit(m.Run())
}

func TestSuite(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, bench)
}

func bench(t testing.TB, _ bool, script ...string) *dbtest.World {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shop.db")
	pool, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)&_pragma=foreign_keys(1)&_pragma=journal_mode(wal)&_pragma=synchronous(normal)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	for _, statement := range script {
		if _, err := pool.Exec(statement); err != nil {
			t.Fatalf("%v\n%.300s", err, statement)
		}
	}
	return &dbtest.World{DSN: path, SQL: pool, Open: sqlite.Open, Dump: func(t testing.TB) string { return dump(t, pool) }}
}

// dump is all data, each value with its type, sorted.
func dump(t testing.TB, pool *sql.DB) string {
	t.Helper()
	var out []string
	lines := func(query string, args ...any) []string {
		rows, err := pool.Query(query, args...)
		if err != nil {
			t.Fatalf("%v\n%s", err, query)
		}
		defer rows.Close()
		var list []string
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				t.Fatal(err)
			}
			list = append(list, s)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return list
	}
	for _, table := range lines("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'lifeboat_q_%' AND name NOT LIKE 'sqlite_%'") {
		cells := lines("SELECT 'quote(\"' || replace(name, '\"', '\"\"') || '\")' FROM pragma_table_xinfo(?)", table)
		for _, l := range lines("SELECT " + strings.Join(cells, " || ', ' || ") + " FROM \"" + table + "\"") {
			out = append(out, table+": "+l)
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}
