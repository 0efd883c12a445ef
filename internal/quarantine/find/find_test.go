package find_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/dbtest"
	"lifeboat/internal/quarantine/doctor"
	"lifeboat/internal/quarantine/find"
)

var (
	mu      sync.Mutex // guards running
	running []*dbtest.Server
	made    atomic.Int64 // databases

	postgres = once(func() (*dbtest.Server, error) { return dbtest.Postgres() })
	mariadb  = once(func() (*dbtest.Server, error) { return dbtest.MariaDB() })
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

// database is one of the three, with a shop in it.
type database struct {
	kind string
	db   *sql.DB
	// query is a symptom query that fails by what is in a row, in this database's words.
	query string
}

// shop is the same everywhere: 300 orders, each with a line, of which order 4711
// has what does the harm.
var shop = []string{
	"CREATE TABLE orders (id BIGINT PRIMARY KEY, customer VARCHAR(80), total NUMERIC(12,2), detail TEXT)",
	"CREATE TABLE order_lines (order_id BIGINT, line INT, note TEXT, PRIMARY KEY (order_id, line))",
	"CREATE TABLE plain_log (said TEXT)",
}

func fill() []string {
	out := slices.Clone(shop)
	for i := range 300 {
		id := 4500 + i
		detail := fmt.Sprintf(`{"size": %d, "gift": false}`, i%7)
		if id == 4711 {
			detail = `{"size": "3`
		}
		out = append(out, fmt.Sprintf("INSERT INTO orders VALUES (%d, 'Customer %d', %d.50, '%s')", id, i, 20+i%30, detail),
			fmt.Sprintf("INSERT INTO order_lines VALUES (%d, 1, 'a line')", id))
	}
	return out
}

// each runs a test on all three databases.
func each(t *testing.T, test func(t *testing.T, d database)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "shop.db")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := doctor.Open(doctor.Target{Kind: doctor.SQLite, File: file})
		if err != nil {
			t.Fatal(err)
		}
		test(t, prepare(t, database{doctor.SQLite, db, "SELECT sum(json_extract(detail, '$.size')) < 0 FROM orders"}))
	})
	for _, s := range []struct {
		name, kind, query string
		start             func() (*dbtest.Server, error)
	}{
		{"PostgreSQL", doctor.Postgres, "SELECT sum((detail::json->>'size')::int) < 0 FROM orders", postgres},
		{"MariaDB", doctor.MariaDB, "SELECT count(*) FROM orders WHERE NOT json_valid(detail)", mariadb},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			server, err := s.start()
			dbtest.Need(t, s.name, err)
			name := fmt.Sprintf("d%d", made.Add(1)) + strings.ToLower(strings.Map(func(c rune) rune {
				if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
					return c
				}
				return -1
			}, t.Name()))
			root, err := server.Root("")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = root.Close() }()
			if _, err := root.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
				t.Fatal(err)
			}
			db, err := doctor.Open(doctor.Target{Kind: s.kind, DSN: server.DSN("", name)})
			if err != nil {
				t.Fatal(err)
			}
			test(t, prepare(t, database{s.kind, db, s.query}))
		})
	}
}

func prepare(t *testing.T, d database) database {
	t.Helper()
	t.Cleanup(func() { _ = d.db.Close() })
	tx, err := d.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range fill() {
		if _, err := tx.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d database) conn(t *testing.T) *sql.Conn {
	t.Helper()
	c, err := d.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (d database) target() find.Target {
	return find.Target{
		Name: "shop", Kind: d.kind, Tables: []string{"orders", "order_lines", "plain_log", "nosuch"}, Query: d.query,
		Pages: map[string]string{"orders": "/orders/{id}", "order_lines": "/orders/{order_id}/{line}"},
	}
}

// From a failing page and a log line to the row, on each database: the row that is
// mentioned and looks odd is the first candidate, the query proves it, and the
// database is as it was.
func TestFromErrorToRow(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		c := d.conn(t)
		p, err := find.Propose(t.Context(), c, d.target(), find.Evidence{
			Paths: []string{"/orders"},
			Logs:  []string{"2026-11-22 21:00:03 render /orders: order 4711: unexpected end of JSON input (attempt 4600)"},
			Usual: []string{"2026-11-22 20:00:00 GET /orders 200 12ms"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Candidates) < 20 || p.Candidates[0].Name() != "row 4711 of orders" || p.Candidates[0].Page != "/orders/4711" {
			t.Fatalf("%+v", p)
		}
		why := strings.Join(p.Candidates[0].Why, "; ")
		if !strings.Contains(why, "a log line of a new kind") || !strings.Contains(why, "looks like JSON and can't be read") {
			t.Errorf("reasons: %s", why)
		}
		notices := strings.Join(p.Notices, "\n")
		if !strings.Contains(notices, "plain_log has no primary key") || !strings.Contains(notices, "no table nosuch") || len(p.Notices) != 2 {
			t.Errorf("notices: %s", notices)
		}
		f, err := find.ByQuery(t.Context(), c, d.target(), p.Candidates)
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Rows) != 1 || f.Rows[0].Name() != "row 4711 of orders" || !strings.Contains(f.Words, "Row 4711 of orders does the harm") || f.Asked > 12 {
			t.Errorf("%+v", f)
		}
		if strings.Contains(f.Words+why, `size`) {
			t.Errorf("contents of a row are told: %s", f.Words)
		}
		var n int
		if err := d.db.QueryRowContext(t.Context(), "SELECT count(*) FROM orders").Scan(&n); err != nil || n != 300 {
			t.Errorf("%d orders, %v", n, err)
		}
		if _, err := c.ExecContext(t.Context(), "INSERT INTO orders VALUES (1, 'x', 1, '{}')"); err != nil {
			t.Errorf("the connection is not given back clean: %v", err)
		}
	})
}

// Nothing is mentioned: the shape alone leads there.
func TestByShapeAlone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		for _, s := range []string{"UPDATE orders SET detail = '{}' WHERE id = 4711", "UPDATE orders SET total = -5000000 WHERE id = 4600"} {
			if _, err := d.db.ExecContext(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		p, err := find.Propose(t.Context(), d.conn(t), d.target(), find.Evidence{})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Candidates[0]; got.Name() != "row 4600 of orders" || !slices.Contains(got.Why, "its total is below zero, and that of others is not") {
			t.Errorf("%+v", got)
		}
	})
}

func TestQueriesThatCannotTell(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d database) {
		c := d.conn(t)
		target := d.target()
		p, err := find.Propose(t.Context(), c, target, find.Evidence{Logs: []string{"order 4711 broke"}})
		if err != nil {
			t.Fatal(err)
		}
		schema := map[string]string{doctor.Postgres: "public", doctor.SQLite: "main"}[d.kind]
		for query, want := range map[string]string{
			"SELECT 0":                           "no harm to be seen",
			"SELECT false":                       "no harm to be seen",
			"SELECT id FROM orders WHERE id = 9": "no harm to be seen",
			"SELECT 1":                           "None of the",
			"WITH o AS (SELECT * FROM orders WHERE id = 4711) SELECT id FROM o": "Row 4711 of orders does the harm",
			"SELECT count(*) FROM orders WHERE id IN (4711, 4799)":              "These 2 rows do the harm together",
			"SELECT nonsense FROM orders":                                       invalid,
			"SELECT":                                                            invalid,
			"":                                                                  invalid,
			"SELECT count(*) FROM " + schema + ".orders": map[bool]string{true: invalid, false: "These"}[schema != ""],
		} {
			if schema == "" && strings.Contains(query, " .orders") {
				continue
			}
			target.Query = query
			f, err := find.ByQuery(t.Context(), c, target, p.Candidates)
			switch {
			case want == invalid:
				if fault.KindOf(err) != fault.Invalid {
					t.Errorf("%q: %+v %v", query, f, err)
				}
			case err != nil:
				t.Errorf("%q: %v", query, err)
			case !strings.Contains(f.Words, want):
				t.Errorf("%q: %s, want %s", query, f.Words, want)
			}
		}
	})
}

const invalid = "invalid"

// Whatever rows do the harm together, exactly these are found, with few questions.
func TestNarrowFindsExactly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 200).Draw(t, "n")
		list := make([]find.Candidate, n)
		for i := range list {
			list[i] = find.Candidate{Table: "t", Key: quarantine.Key{fmt.Sprint(i)}}
		}
		guilty := rapid.SliceOfNDistinct(rapid.IntRange(0, n-1), 1, min(n, 4), rapid.ID).Draw(t, "guilty")
		f, err := find.Narrow(context.Background(), list, func(_ context.Context, rows []find.Candidate) (find.Answer, error) {
			for _, g := range guilty {
				if !slices.ContainsFunc(rows, func(c find.Candidate) bool { return c.Key[0] == fmt.Sprint(g) }) {
					return find.Answer{Harm: true, Says: "harm"}, nil
				}
			}
			return find.Answer{Says: "none"}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, r := range f.Rows {
			var i int
			_, _ = fmt.Sscan(r.Key[0], &i)
			got = append(got, i)
		}
		slices.Sort(got)
		slices.Sort(guilty)
		if !slices.Equal(got, guilty) {
			t.Fatalf("found %v, want %v", got, guilty)
		}
		if most := 2 + 10*len(guilty); f.Asked > most {
			t.Fatalf("%d questions for %d of %d", f.Asked, len(guilty), n)
		}
	})
}

// A symptom that comes and goes ends the search with an error, not with a row.
func TestNarrowFlaky(t *testing.T) {
	t.Parallel()
	list := make([]find.Candidate, 16)
	n := 0
	_, err := find.Narrow(t.Context(), list, func(context.Context, []find.Candidate) (find.Answer, error) {
		n++
		return find.Answer{Harm: n != 2}, nil
	})
	if fault.KindOf(err) != fault.Unavailable || n > 200 {
		t.Errorf("%v after %d", err, n)
	}
	if _, err := find.Narrow(t.Context(), list, func(context.Context, []find.Candidate) (find.Answer, error) {
		return find.Answer{}, errors.New("gone")
	}); err == nil {
		t.Error("a symptom that can't be asked is an answer")
	}
}
