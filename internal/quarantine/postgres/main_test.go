package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/dbtest"
	"lifeboat/internal/quarantine/postgres"
	"lifeboat/internal/quarantine/relational"
)

var (
	server  *dbtest.Server
	absent  error
	counter atomic.Int64
)

func TestMain(m *testing.M) {
	dbtest.Child(postgres.Open)
	server, absent = dbtest.Postgres()
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

// world is a database of its own for one test.
type world struct {
	t    testing.TB
	on   *dbtest.Server
	name string
	dsn  string
	sql  *sql.DB
	db   *relational.DB
	last string // the dump at the end of a cycle
}

func dsnOf(s *dbtest.Server, name string) string {
	return "host=" + s.Socket + " user=postgres dbname=" + name
}

// newWorld makes a database from a script.
func newWorld(t testing.TB, script string, change ...func(*relational.Options)) *world {
	t.Helper()
	w := newWorldOn(t, server, script)
	w.db = w.open(change...)
	return w
}

func newWorldOn(t testing.TB, server *dbtest.Server, script string) *world {
	t.Helper()
	if absent != nil {
		dbtest.SkipLoud(t, "PostgreSQL", absent)
	}
	w := &world{t: t, on: server, name: fmt.Sprintf("w%d", counter.Add(1))}
	admin, err := sql.Open("pgx", dsnOf(server, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.Exec("CREATE DATABASE " + w.name); err != nil {
		t.Fatal(err)
	}
	w.dsn = dsnOf(server, w.name)
	if w.sql, err = sql.Open("pgx", w.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.sql.Close() })
	if script != "" {
		w.exec(script)
	}
	return w
}

func (w *world) open(change ...func(*relational.Options)) *relational.DB {
	w.t.Helper()
	o := relational.Options{Name: "shop", Now: time.Now}
	if os.Getenv("LIFEBOAT_TEST_TRACE") != "" {
		o.Trace = func(s string) { fmt.Fprintln(os.Stderr, time.Now().Format("05.000"), s) } // for looking at where time goes
	}
	for _, c := range change {
		c(&o)
	}
	db, err := postgres.Open(w.dsn, o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = db.Close() })
	return db
}

func (w *world) exec(script string, args ...any) {
	w.t.Helper()
	w.last = ""
	if _, err := w.sql.Exec(script, args...); err != nil {
		w.t.Fatalf("%v\n%.300s", err, script)
	}
}

func (w *world) one(query string, args ...any) string {
	w.t.Helper()
	var s sql.NullString
	if err := w.sql.QueryRow(query, args...).Scan(&s); err != nil {
		w.t.Fatalf("%v\n%s", err, query)
	}
	return s.String
}

// dump is all data, sorted: the order of rows on disk is nobody's promise.
func (w *world) dump() string {
	w.t.Helper()
	out, err := w.on.Output("pg_dump", "-h", w.on.Socket, "-U", "postgres", "--data-only", "--inserts", "--exclude-schema=lifeboat_q", w.name)
	if err != nil {
		w.t.Fatal(err)
	}
	lines := strings.Split(string(out), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "\\") || strings.HasPrefix(l, "--") })
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// quickDump is dump for the plain tables of the suite, by one query.
func (w *world) quickDump() string {
	w.t.Helper()
	query := w.one(`SELECT string_agg(format('SELECT %L || '': '' || t::text AS line FROM %I t', relname, relname), ' UNION ALL ') FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'`)
	return w.one(`SELECT string_agg(line, E'\n' ORDER BY line COLLATE "C") FROM (` + query + ") d")
}

func (w *world) plan(r quarantine.Request) quarantine.Plan {
	w.t.Helper()
	p, err := w.db.Plan(context.Background(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// cycle moves, verifies, restores, verifies, and compares dumps.
func (w *world) cycle(r quarantine.Request) quarantine.Plan {
	w.t.Helper()
	ctx := context.Background()
	before := w.last
	if before == "" {
		before = w.dump()
	}
	p := w.plan(r)
	if len(p.Refused) > 0 {
		w.t.Fatalf("refused: %+v", p.Refused)
	}
	op, err := w.db.Apply(ctx, p, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if op.State != quarantine.Held || op.Rows != p.Rows {
		w.t.Fatalf("after apply: %+v", op)
	}
	if w.dump() == before {
		w.t.Fatal("nothing has left")
	}
	w.verify(p.ID)
	preview, err := w.db.Preview(ctx, quarantine.Back{Operation: p.ID})
	if err != nil || !preview.Clear {
		w.t.Fatalf("preview: %v %+v", err, preview)
	}
	back, err := w.db.Restore(ctx, quarantine.Back{Operation: p.ID, ID: "r" + p.ID}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if back.Operation.State != quarantine.Restored || back.Rows != p.Rows || back.Operation.Waiting() != 0 {
		w.t.Fatalf("after restore: %+v", back)
	}
	w.verify(p.ID)
	if w.last = w.dump(); w.last != before {
		w.t.Fatalf("the data is not as it was:\n%s", dbtest.Differ(before, w.last))
	}
	return p
}

func (w *world) verify(id string) {
	w.t.Helper()
	v, err := w.db.Verify(context.Background(), id)
	if err != nil || !v.OK {
		w.t.Fatalf("verify: %v %+v", err, v)
	}
}

func where(t testing.TB, s string) *quarantine.Predicate {
	t.Helper()
	p, err := quarantine.ParsePredicate(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
