package sqlite_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/relational"
)

// More columns than a function takes arguments are hashed in parts, by row and by set alike.
func TestWideTableMovesAndComesBack(t *testing.T) {
	t.Parallel()
	columns := make([]string, 250)
	for n := range columns {
		columns[n] = fmt.Sprintf("c%d TEXT DEFAULT 'cell %d'", n, n)
	}
	w := bench(t, false, "CREATE TABLE wide (id INTEGER PRIMARY KEY, "+strings.Join(columns, ", ")+")", "INSERT INTO wide (id) VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10), (11), (12), (13), (14), (15), (16), (17), (18), (19), (20), (21), (22), (23), (24), (25)")
	before := w.Dump(t)
	db, err := w.Open(w.DSN, relational.Options{Name: "shop", Now: time.Now, Tables: []string{"wide"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	ctx := context.Background()
	request := quarantine.Request{ID: "wide", Table: "wide", Keys: []quarantine.Key{{"3"}, {"4"}}}
	p, err := db.Plan(ctx, request)
	if err != nil || len(p.Refused) > 0 {
		t.Fatalf("plan: %v, %+v", err, p.Refused)
	}
	// A cell behind the first hundred is changed: the hash sees it.
	if _, err := w.SQL.Exec("UPDATE wide SET c240 = 'other' WHERE id = 4"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Apply(ctx, p, nil); err == nil || !strings.Contains(err.Error(), "stale") {
		t.Fatalf("a changed row: got %v, want a stale plan", err)
	}
	if _, err := w.SQL.Exec("UPDATE wide SET c240 = 'cell 240' WHERE id = 4"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Apply(ctx, p, nil); err != nil {
		t.Fatalf("apply: %v", err)
	}
	if w.Dump(t) == before {
		t.Error("nothing has left")
	}
	if _, err := db.Restore(ctx, quarantine.Back{Operation: "wide", ID: "back"}, nil); err != nil {
		t.Fatalf("restore: %v", err)
	}
	if got := w.Dump(t); got != before {
		t.Errorf("the table differs:\n%.300s\nwant\n%.300s", got, before)
	}
}
