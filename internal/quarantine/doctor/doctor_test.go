package doctor_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/dbtest"
	"lifeboat/internal/quarantine/doctor"
	"lifeboat/internal/quarantine/mysql"
	core "lifeboat/internal/quarantine/postgres"
	"lifeboat/internal/quarantine/relational"
)

// The servers are started once, when the first test wants them.
var (
	postgres = once(func() (*dbtest.Server, error) { return dbtest.Postgres("max_connections=12") })
	mariadb  = once(func() (*dbtest.Server, error) { return dbtest.MariaDB("max_connections=10") })

	mu      sync.Mutex // guards running
	running []*dbtest.Server
)

func once(start func() (*dbtest.Server, error)) func() (*dbtest.Server, error) {
	return sync.OnceValues(func() (*dbtest.Server, error) {
		s, err := start()
		if err == nil {
			mu.Lock()
			running = append(running, s)
			mu.Unlock()
		}
		return s, err
	})
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, s := range running {
		s.Close()
	}
	os.Exit(code)
}

func exec(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// counter makes names that no other test has, nor this one when it runs again.
var counter atomic.Int64

// shop makes a database of the server's, and names a user for it.
func shop(t *testing.T, s *dbtest.Server, err error) (db *sql.DB, name, user string) {
	t.Helper()
	dbtest.Need(t, "database server", err)
	root, err := s.Root("")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	n := counter.Add(1)
	name, user = fmt.Sprintf("shop_%d", n), fmt.Sprintf("boat%d", n)
	exec(t, root, "CREATE DATABASE "+name)
	if db, err = s.Root(name); err != nil {
		t.Fatal(err)
	}
	db.SetMaxIdleConns(0)
	t.Cleanup(func() { _ = db.Close() })
	return db, name, user
}

func keep(t *testing.T, target doctor.Target) *doctor.Keeper {
	t.Helper()
	k, err := doctor.Keep(doctor.Options{Target: target, Now: time.Now, Logger: slog.New(slog.DiscardHandler), Every: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); k.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return k
}

// heal runs the statements that a report names, as an administrator would, and
// checks that they are enough and that none is left over.
func heal(t *testing.T, k *doctor.Keeper, root *sql.DB, want ...string) {
	t.Helper()
	r := k.Check(t.Context())
	text := words(r)
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("nothing is said of %q:\n%s", w, text)
		}
	}
	if r.OK {
		t.Fatalf("all is well already: %s", text)
	}
	for _, p := range r.Problems {
		if !strings.HasSuffix(p.Text, ".") || p.Next == "" {
			t.Errorf("%+v is no sentence with a next step", p)
		}
	}
	for _, g := range r.Grants {
		g, _, _ = strings.Cut(g, " --")
		if strings.HasPrefix(g, "CREATE ROLE") {
			continue
		}
		if _, err := root.ExecContext(t.Context(), strings.TrimSuffix(g, ";")); err != nil {
			t.Errorf("%s: %v", g, err)
		}
	}
	if r = k.Check(t.Context()); !r.OK {
		t.Errorf("the statements do not help: %s", words(r))
	}
}

// takesAway proves that the rights are enough: an order leaves and comes back, signed
// in as the user that has them and nothing else.
func takesAway(t *testing.T, dsn string, open func(string, relational.Options) (*relational.DB, error), tables ...string) {
	t.Helper()
	if tables == nil {
		tables = []string{"orders"}
	}
	q, err := open(dsn, relational.Options{Name: "shop", Now: time.Now, Tables: tables, Limits: quarantine.Limits{Share: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = q.Close() }()
	thereAndBack(t, q)
}

func thereAndBack(t *testing.T, q *relational.DB) {
	t.Helper()
	p, err := q.Plan(t.Context(), quarantine.Request{ID: "op1", Table: "orders", Keys: []quarantine.Key{{"1"}}})
	if err != nil || len(p.Refused) > 0 {
		t.Fatalf("%+v %v", p.Refused, err)
	}
	if _, err := q.Apply(t.Context(), p, nil); err != nil {
		t.Fatal(err)
	}
	if v, err := q.Verify(t.Context(), "op1"); err != nil || !v.OK {
		t.Fatalf("%+v %v", v, err)
	}
	if _, err := q.Restore(t.Context(), quarantine.Back{Operation: "op1", ID: "back1"}, nil); err != nil {
		t.Fatal(err)
	}
}

func words(r doctor.Report) string {
	b, _ := json.MarshalIndent(r, "", " ")
	return strings.ReplaceAll(string(b), `\u003e`, ">")
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	s, err := postgres()
	root, name, user := shop(t, s, err)
	exec(t, root, "CREATE ROLE "+user+" LOGIN", "CREATE TABLE orders (id serial PRIMARY KEY)", "INSERT INTO orders SELECT generate_series(1, 30)", `CREATE TABLE "Lines" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, order_id int REFERENCES orders)`,
		"CREATE TABLE notes (id int PRIMARY KEY, order_id int REFERENCES orders)", "ALTER TABLE notes ENABLE ROW LEVEL SECURITY", "CREATE SCHEMA secret", "CREATE TABLE secret.a (id int PRIMARY KEY)",
		"CREATE TABLE forgotten (id int PRIMARY KEY, order_id int REFERENCES orders)", "REVOKE ALL ON SCHEMA public FROM PUBLIC")
	target := doctor.Target{Name: "shop", Kind: doctor.Postgres, DSN: s.DSN(user, name), Tables: []string{"orders", "public.Lines", "public.notes", "secret.a"}}
	k := keep(t, target)
	heal(t, k, root, "lacks SELECT, INSERT, UPDATE, DELETE on orders", "may not use the schema of secret.a", "row security", "counter of orders", "no schema lifeboat_q",
		"public.forgotten points at orders")
	exec(t, root, "DROP TABLE forgotten")
	takesAway(t, target.DSN, core.Open, "orders", "public.Lines", "public.notes")
	exec(t, root, "REVOKE DELETE ON orders FROM "+user)
	if r := k.Check(t.Context()); len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Next, "GRANT DELETE ON public.orders") {
		t.Errorf("%s", words(r))
	}

	target.Tables = []string{"nosuch", "v"}
	exec(t, root, "CREATE VIEW v AS SELECT 1 AS a", "GRANT SELECT ON v TO "+user)
	if text := words(keep(t, target).Check(t.Context())); !strings.Contains(text, "no table nosuch") || !strings.Contains(text, "v is no table but a view") {
		t.Error(text)
	}
}

func TestMariaDB(t *testing.T) {
	t.Parallel()
	s, err := mariadb()
	root, name, user := shop(t, s, err)
	exec(t, root, "CREATE USER "+user+"@localhost", "CREATE TABLE orders (id int AUTO_INCREMENT PRIMARY KEY)", "INSERT INTO orders SELECT seq FROM seq_1_to_30", "CREATE TABLE `li``nes` (id int PRIMARY KEY)", "CREATE TABLE old (id int PRIMARY KEY) ENGINE=MyISAM",
		"GRANT SELECT ON "+name+".orders TO "+user+"@localhost", "GRANT UPDATE (id) ON "+name+".orders TO "+user+"@localhost")
	target := doctor.Target{Name: "shop", Kind: doctor.MariaDB, DSN: s.DSN(user, name), Tables: []string{"orders", name + ".li`nes"}}
	k := keep(t, target)
	heal(t, k, root, "lacks INSERT, UPDATE, DELETE on orders", "database lifeboat_q_"+name, "could stay hidden")
	takesAway(t, target.DSN, mysql.Open)
	target.Tables = []string{"old", "nosuch"}
	exec(t, root, "GRANT ALL ON "+name+".* TO "+user+"@localhost")
	text := words(keep(t, target).Check(t.Context()))
	if !strings.Contains(text, "old is kept by MyISAM") || !strings.Contains(text, "no table nosuch") {
		t.Error(text)
	}
}

// When production has used up every connection nobody gets in any more, and the
// kept one still works.
func TestKeptWhenAllAreUsedUp(t *testing.T) {
	t.Parallel()
	type server struct {
		name, kind string
		start      func() (*dbtest.Server, error)
		open       func(string, relational.Options) (*relational.DB, error)
		grants     []string
	}
	for _, tt := range []server{
		{"PostgreSQL", doctor.Postgres, func() (*dbtest.Server, error) { return dbtest.Postgres("max_connections=6") }, core.Open, []string{"CREATE ROLE USER LOGIN",
			"CREATE TABLE orders (id int PRIMARY KEY)", "INSERT INTO orders SELECT generate_series(1, 30)", "GRANT ALL ON orders TO USER", "CREATE SCHEMA lifeboat_q AUTHORIZATION USER"}},
		{"MariaDB", doctor.MariaDB, func() (*dbtest.Server, error) { return dbtest.MariaDB("max_connections=10") }, mysql.Open, []string{"CREATE USER USER@localhost", "GRANT ALL ON NAME.* TO USER@localhost",
			"CREATE TABLE orders (id int PRIMARY KEY)", "INSERT INTO orders SELECT seq FROM seq_1_to_30", "CREATE DATABASE lifeboat_q_NAME", "GRANT ALL ON lifeboat_q_NAME.* TO USER@localhost"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := tt.start()
			if err == nil {
				t.Cleanup(s.Close)
			}
			root, name, user := shop(t, s, err)
			for _, grant := range tt.grants {
				exec(t, root, strings.NewReplacer("CREATE USER USER", "CREATE USER "+user, "USER", user, "NAME", name).Replace(grant))
			}
			target := doctor.Target{Name: "crowded", Kind: tt.kind, DSN: s.DSN(user, name)}
			k := keep(t, target)
			until(t, func() bool { return k.State().Open })
			db, err := doctor.Open(target)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			crowded := relational.Options{Name: "shop", Now: time.Now, Tables: []string{"orders"}}
			// Production takes what there is, and what others are only about to leave.
			until(t, func() bool {
				for range 12 {
					c, err := db.Conn(t.Context())
					if err != nil {
						break
					}
					t.Cleanup(func() { _ = c.Close() }) // not before the end
				}
				without, err := tt.open(target.DSN, crowded)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = without.Close() }()
				_, err = without.Held(t.Context())
				return fault.KindOf(err) == fault.Unavailable
			})
			crowded.Lend = k.Do
			with, err := tt.open(target.DSN, crowded)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = with.Close() }()
			thereAndBack(t, with)
			r := k.Check(t.Context())
			if r.Server == "" || !k.State().Open {
				t.Errorf("the kept connection does not work: %s", words(r))
			}
			if r.Used < r.Most || !strings.Contains(words(r), "connections are in use") {
				t.Errorf("nothing is said of the connections: %s", words(r))
			}
		})
	}
}

// A lost connection is opened again, and the state says what happened.
func TestLostAndFound(t *testing.T) {
	t.Parallel()
	s, err := postgres()
	root, name, _ := shop(t, s, err)
	k := keep(t, doctor.Target{Name: "lost", Kind: doctor.Postgres, DSN: s.DSN("", name)})
	until(t, func() bool { return k.State().Open })
	var pid int
	if err := k.Do(t.Context(), func(ctx context.Context, c *sql.Conn) error {
		return c.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&pid)
	}); err != nil {
		t.Fatal(err)
	}
	exec(t, root, fmt.Sprintf("SELECT pg_terminate_backend(%d)", pid))
	var now int
	until(t, func() bool {
		err := k.Do(t.Context(), func(ctx context.Context, c *sql.Conn) error {
			return c.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&now)
		})
		return err == nil && now != pid
	})
}

func until(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come to pass")
		}
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	for _, target := range []doctor.Target{
		{Name: "a", Kind: doctor.Postgres, DSN: "postgres://boat:hunter2@127.0.0.1:1/shop", Tables: []string{"orders"}},
		{Name: "b", Kind: doctor.MariaDB, DSN: "boat:hunter2@tcp(127.0.0.1:1)/shop", Tables: []string{"orders"}},
		{Name: "c", Kind: doctor.SQLite, File: "/nonexistent/shop.db", Tables: []string{"orders"}},
	} {
		k := keep(t, target)
		r := k.Check(t.Context())
		if r.OK || len(r.Problems) != 1 || len(r.Grants) == 0 {
			t.Errorf("%s", words(r))
		}
		if text := words(r) + k.State().Why; strings.Contains(text, "hunter2") || strings.Contains(text, "127.0.0.1") {
			t.Errorf("a secret is told: %s", text)
		}
	}
	for _, bad := range []doctor.Target{{Kind: doctor.Postgres, DSN: "postgres://boat:hunter2@[::1/x"}, {Kind: doctor.MariaDB, DSN: "boat:hunter2"}, {Kind: "oracle"}} {
		if _, err := doctor.Open(bad); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", bad.Kind, err)
		}
	}
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "a shop?.db")
	target := doctor.Target{Name: "shop", Kind: doctor.SQLite, File: file, Tables: []string{"orders", "v", "nosuch"}}
	if r := keep(t, target).Check(t.Context()); r.OK || !strings.Contains(words(r), "There is no file") {
		t.Errorf("%s", words(r))
	}
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	db, err := doctor.Open(target)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, db, "CREATE TABLE orders (id INTEGER PRIMARY KEY)", "CREATE VIEW v AS SELECT 1")
	_ = db.Close()
	r := keep(t, target).Check(t.Context())
	if text := words(r); len(r.Problems) != 2 || !strings.Contains(text, "v is no table but a view") || !strings.Contains(text, "journal is of mode delete") {
		t.Error(text)
	}
	target.Tables = target.Tables[:1]
	if r := keep(t, target).Check(t.Context()); !r.OK {
		t.Error(words(r))
	}
}

func TestReadDSN(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dsn")
	t.Setenv("BOAT_DSN", " host=x ")
	for text, ok := range map[string]bool{"postgres://a\n": true, "": false, "a\nb": false, strings.Repeat("x", 5000): false} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := doctor.ReadDSN(file, ""); (err == nil) != ok {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	if got, err := doctor.ReadDSN("", "BOAT_DSN"); got != "host=x" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	for _, f := range []string{"/nonexistent", "/", ""} {
		if _, err := doctor.ReadDSN(f, "BOAT_NOT_SET"); err == nil {
			t.Errorf("%q is taken", f)
		}
	}
}
