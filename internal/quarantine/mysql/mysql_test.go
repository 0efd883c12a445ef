package mysql_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"lifeboat/internal/quarantine/dbtest"
	"lifeboat/internal/quarantine/mysql"
)

var (
	server  *dbtest.Server
	absent  error
	counter atomic.Int64
)

func TestMain(m *testing.M) {
	dbtest.Child(mysql.Open)
	server, absent = dbtest.MariaDB()
	if absent != nil && !errors.Is(absent, dbtest.ErrMissing) {
		fmt.Fprintln(os.Stderr, absent)
		os.Exit(1)
	}
	code := m.Run()
	if server != nil {
		server.Close()
	}
	os.Exit(code)
}

func TestSuite(t *testing.T) {
	t.Parallel()
	dbtest.Run(t, bench)
}

func bench(t testing.TB, own bool, script ...string) *dbtest.World {
	t.Helper()
	if absent != nil {
		dbtest.SkipLoud(t, "MariaDB", absent)
	}
	s := server
	if own {
		var err error
		if s, err = dbtest.MariaDB(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
	}
	name := fmt.Sprintf("w%d", counter.Add(1))
	admin := open(t, "root@unix("+s.Socket+")/")
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	dsn := "root@unix(" + s.Socket + ")/" + name
	pool := open(t, dsn)
	for _, statement := range script {
		if _, err := pool.Exec(statement); err != nil {
			t.Fatalf("%v\n%.300s", err, statement)
		}
	}
	return &dbtest.World{DSN: dsn, SQL: pool, Open: mysql.Open, Dump: func(t testing.TB) string { return dump(t, pool, name) },
		Kill: func(testing.TB) { s.Kill() },
		Start: func(t testing.TB) {
			s.Kill()
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
		}}
}

func open(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	pool, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	return pool
}

// dump is all data, each cell in hexadecimal, sorted.
func dump(t testing.TB, pool *sql.DB, name string) string {
	t.Helper()
	lines := func(query string, args ...any) []string {
		rows, err := pool.Query(query, args...)
		if err != nil {
			t.Fatalf("%v\n%s", err, query)
		}
		defer rows.Close()
		var out []string
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				t.Fatal(err)
			}
			out = append(out, s)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return out
	}
	var out []string
	for _, table := range lines("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_TYPE = 'BASE TABLE'", name) {
		cells := lines("SELECT CONCAT('IFNULL(', CASE WHEN DATA_TYPE IN ('float', 'double') THEN CONCAT('CAST(', q, ' AS DOUBLE)') WHEN DATA_TYPE IN ('decimal', 'date', 'time', 'datetime', 'timestamp') THEN CONCAT('CAST(', q, ' AS CHAR)') "+
			"ELSE CONCAT('HEX(', q, ')') END, ', ''NULL'')') FROM (SELECT DATA_TYPE, CONCAT('`', REPLACE(COLUMN_NAME, '`', '``'), '`') q FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?) c", name, table)
		for _, l := range lines("SELECT CONCAT_WS(', ', " + strings.Join(cells, ", ") + ") FROM `" + table + "`") {
			out = append(out, table+": "+l)
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}
