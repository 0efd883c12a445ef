package find_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/dbtest"
	"lifeboat/internal/quarantine/doctor"
	"lifeboat/internal/quarantine/find"
	postgreslever "lifeboat/internal/quarantine/postgres"
	"lifeboat/internal/quarantine/relational"
)

// movable is a shop in PostgreSQL with the quarantine over it, and the symptom as
// production meets it: over a connection of its own, which sees what is committed.
func movable(t *testing.T, name string) (*sql.DB, *relational.DB, find.Moving, []find.Candidate) {
	t.Helper()
	name += fmt.Sprint(made.Add(1))
	server, err := postgres()
	dbtest.Need(t, "PostgreSQL", err)
	root, err := server.Root("")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	if _, err := root.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	dsn := server.DSN("", name)
	db, err := doctor.Open(doctor.Target{Kind: doctor.Postgres, DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	d := prepare(t, database{doctor.Postgres, db, ""})
	q, err := postgreslever.Open(dsn, relational.Options{Name: "shop", Now: time.Now, Tables: []string{"public.orders", "public.order_lines"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	target := d.target()
	target.Tables = []string{"public.orders"}
	p, err := find.Propose(t.Context(), d.conn(t), target, find.Evidence{Logs: []string{"order 4711: can't be shown"}})
	if err != nil || len(p.Candidates) < 20 {
		t.Fatalf("%+v %v", p, err)
	}
	var n atomic.Int64
	return db, q, find.Moving{
		Database: q, By: "Ada", NewID: func() string { return fmt.Sprintf("op%d", n.Add(1)) },
		Approve: func(context.Context, quarantine.Plan) error { return nil },
		Ask: func(ctx context.Context) (find.Answer, error) {
			var bad int
			err := db.QueryRowContext(ctx, "SELECT count(*) FROM orders WHERE id = 4711").Scan(&bad)
			return find.Answer{Harm: bad > 0, Says: map[bool]string{true: "the page fails", false: "the page loads"}[bad > 0]}, err
		},
	}, p.Candidates
}

// By short moves the row is found, and afterwards every row is where it was.
func TestByMoving(t *testing.T) {
	t.Parallel()
	db, q, m, list := movable(t, "bymoving")
	f, err := find.ByMoving(t.Context(), list, m)
	if err != nil {
		t.Fatal(err)
	}
	if f.Words != "Row 4711 of public.orders does the harm: the page fails; without it the page loads." {
		t.Errorf("%+v", f)
	}
	allBack(t, db, q)
}

func allBack(t *testing.T, db *sql.DB, q *relational.DB) {
	t.Helper()
	var n int
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM orders").Scan(&n); err != nil || n != 300 {
		t.Errorf("%d orders are there, %v", n, err)
	}
	held, err := q.Held(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range held {
		if o.State != quarantine.Restored {
			t.Errorf("operation %s is %s", o.ID, o.State)
		}
	}
}

// A person who does not approve, a symptom that can't be asked and an end in the
// middle leave every row where it was.
func TestByMovingStopped(t *testing.T) {
	t.Parallel()
	db, q, m, list := movable(t, "bymovingstopped")
	no := m
	no.Approve = func(context.Context, quarantine.Plan) error {
		return fault.New(fault.Denied, "not now").WithHint("ask again")
	}
	if _, err := find.ByMoving(t.Context(), list, no); fault.KindOf(err) != fault.Denied {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asked := 0
	ended := m
	ended.Ask = func(ctx context.Context) (find.Answer, error) {
		if asked++; asked == 3 {
			cancel()
			return find.Answer{}, ctx.Err()
		}
		return m.Ask(ctx)
	}
	if _, err := find.ByMoving(ctx, list, ended); err == nil || strings.Contains(err.Error(), "still holds") {
		t.Errorf("%v", err)
	}
	allBack(t, db, q)
}
