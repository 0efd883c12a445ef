package quarantinelever_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
	"lifeboat/internal/lever/quarantinelever"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/relational"
	"lifeboat/internal/quarantine/sqlite"
)

// shelf keeps plans in memory.
type shelf map[string][]byte

func (s shelf) Put(_ context.Context, hash string, plan []byte) error { s[hash] = plan; return nil }

func (s shelf) Get(_ context.Context, hash string) ([]byte, error) {
	if p, ok := s[hash]; ok {
		return p, nil
	}
	return nil, fault.New(fault.NotFound, "no such plan")
}

type world struct {
	*quarantinelever.Driver
	sql   *sql.DB
	plans shelf
}

func newWorld(t *testing.T) *world {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shop.db")
	pool, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	for _, q := range []string{
		"CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT)", "CREATE TABLE line (id INTEGER PRIMARY KEY, orders INTEGER REFERENCES orders ON DELETE CASCADE)",
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) INSERT INTO orders SELECT i, 'secret ' || i FROM n", "INSERT INTO line SELECT id, id FROM orders",
	} {
		if _, err := pool.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sqlite.Open(path, relational.Options{Name: "shopdb", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	n := 0
	w := &world{sql: pool, plans: shelf{}}
	w.Driver = quarantinelever.New(quarantinelever.Options{Kind: quarantinelever.SQLite, Plans: w.plans, Now: time.Now,
		NewID:    func() string { n++; return fmt.Sprintf("op%d", n) },
		Database: func(name string) (quarantine.Database, bool) { return db, name == "shopdb" }})
	return w
}

func request(config string) lever.Request {
	return lever.Request{Card: lever.Card{Name: "take", Kind: quarantinelever.SQLite, Config: json.RawMessage(config)}, Now: time.Now()}
}

func (w *world) lines(t *testing.T) (n int) {
	t.Helper()
	if err := w.sql.QueryRow("SELECT count(*) FROM line").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestThereAndBack(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), context.Background()
	p, err := w.Plan(ctx, request(`{"database": "shopdb", "table": "orders", "keys": [["7"]]}`))
	if err != nil {
		t.Fatal(err)
	}
	if raw, _ := json.Marshal(p); strings.Contains(string(raw), "secret") || strings.Contains(string(w.plans[p.Hash]), "secret") {
		t.Errorf("the plan holds contents: %s", raw)
	}
	see := func(want lever.World) {
		t.Helper()
		o, err := w.Observe(ctx, p, 0)
		v, errV := w.Verify(ctx, p, lever.There)
		if err != nil || errV != nil || o.World != want || v.World != want {
			t.Fatalf("%v %v %+v %+v, want %s", err, errV, o, v, want)
		}
	}
	see(lever.Before)
	for range 2 {
		if err := w.Apply(ctx, p, 0, lever.Token{}); err != nil {
			t.Fatal(err)
		}
		see(lever.After)
	}
	if n := w.lines(t); n != 49 {
		t.Errorf("%d lines", n)
	}
	for range 2 {
		if o, err := w.Revert(ctx, p, 0, lever.Token{Pull: "p1", By: "ann"}); err != nil || o.World != lever.Before {
			t.Fatalf("%v %+v", err, o)
		}
		see(lever.Before)
	}
	if n := w.lines(t); n != 50 {
		t.Errorf("%d lines", n)
	}
}

func TestConflictIsForeign(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), context.Background()
	p, err := w.Plan(ctx, request(`{"database": "shopdb", "table": "orders", "keys": [["7"]]}`))
	if err == nil {
		err = w.Apply(ctx, p, 0, lever.Token{})
	}
	if err == nil {
		_, err = w.sql.Exec("INSERT INTO orders VALUES (7, 'new')")
	}
	if err != nil {
		t.Fatal(err)
	}
	if v, err := w.Verify(ctx, p, lever.There); err != nil || v.World != lever.Foreign {
		t.Errorf("%v %+v", err, v)
	}
	if o, err := w.Revert(ctx, p, 0, lever.Token{Pull: "p1"}); err != nil || o.World != lever.Foreign || o.Detail == "" {
		t.Errorf("%v %+v", err, o)
	}
	if n := w.lines(t); n != 49 {
		t.Errorf("%d lines: half of it came back", n)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	w, ctx := newWorld(t), context.Background()
	for config, kind := range map[string]fault.Kind{
		`{"database": "other", "table": "orders", "keys": [["7"]]}`:                                   fault.Invalid,
		`{"database": "shopdb", "keys": [["7"]]}`:                                                     fault.Invalid,
		`{"database": "shopdb", "table": "orders", "key": [["7"]]}`:                                   fault.Invalid,
		`{"database": "shopdb", "table": "orders"}`:                                                   fault.Invalid,
		`{"database": "shopdb", "table": "nothing", "keys": [["7"]]}`:                                 fault.NotFound,
		`{"database": "shopdb", "table": "orders", "where": {"column": "id", "op": ">", "value": 0}}`: fault.Refused,
		`[]`: fault.Invalid,
	} {
		if _, err := w.Plan(ctx, request(config)); fault.KindOf(err) != kind {
			t.Errorf("%s: %v", config, err)
		}
	}
	drill := request(`{"database": "shopdb", "table": "orders", "keys": [["7"]]}`)
	drill.Drill = true
	if _, err := w.Plan(ctx, drill); fault.KindOf(err) != fault.NotSupported {
		t.Errorf("drill: %v", err)
	}
	p, err := w.Plan(ctx, request(`{"database": "shopdb", "table": "orders", "keys": [["7"]]}`))
	if err != nil {
		t.Fatal(err)
	}
	for hash, raw := range w.plans {
		w.plans[hash] = []byte(strings.Replace(string(raw), `"7"`, `"8"`, 1))
	}
	if err := w.Apply(ctx, p, 0, lever.Token{}); fault.KindOf(err) != fault.Refused {
		t.Errorf("a changed plan was applied: %v", err)
	}
	if err := w.Apply(ctx, p, 1, lever.Token{}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a step that is not there: %v", err)
	}
	if r, err := w.Preflight(ctx, drill.Card); err != nil || !r.Ready {
		t.Errorf("%v %+v", err, r)
	}
}
