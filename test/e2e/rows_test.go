package e2e

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/quarantine/desk"
)

// A row that does harm leaves with what hangs on it, is held, survives a killed control,
// and comes back corrected.
func TestRowsLeaveAndComeBackCorrected(t *testing.T) {
	t.Parallel()
	b := Moor(t, Options{Still: true})
	file := filepath.Join(b.dir, "shop.db")
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(5000)")
	b.Must(err)
	t.Cleanup(func() { _ = db.Close() })
	for _, q := range []string{
		"CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT)", "CREATE TABLE line (id INTEGER PRIMARY KEY, orders INTEGER NOT NULL REFERENCES orders ON DELETE CASCADE)",
		"CREATE INDEX line_orders ON line (orders)", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) INSERT INTO orders SELECT i, 'bad' FROM n",
		"INSERT INTO line SELECT id, id FROM orders",
	} {
		_, err := db.Exec(q)
		b.Must(err)
	}
	there := func(query string) (n int) { b.Must(db.QueryRow(query).Scan(&n)); return n }
	b.more = "databases:\n  shopdb: {kind: sqlite, file: " + file + ", tables: [orders, line]}\n"
	b.Configure(b.sample())
	b.Serve()
	p := b.Teller("ada", "commander")

	var k desk.Kept
	p.reads(&k, "data", "plan", "orders", "--key", "7")
	if k.Plan.Rows != 2 || len(k.Plan.Refused) > 0 {
		t.Fatalf("the plan: %+v", k.Plan)
	}
	id := k.Plan.ID
	if said := p.says(done, "data", "apply", id, "--hash", k.Plan.Hash[:12], "--reason", "Order 7 breaks the list").out; !strings.Contains(said, "lifeboat data held") {
		t.Error(said)
	}
	if n := there("SELECT count(*) FROM orders WHERE id = 7") + there("SELECT count(*) FROM line WHERE orders = 7"); n != 0 {
		t.Fatalf("%d rows are still there", n)
	}
	b.KillControl()
	b.Eventually("control is back", b.Ready)
	if said := p.says(done, "data", "held").out; !strings.Contains(said, id) || !strings.Contains(said, "2 rows of orders wait") {
		t.Error(said)
	}
	if said := p.says(done, "status").out; !strings.Contains(said, k.Lever) {
		t.Errorf("status does not tell that rows are away:\n%s", said)
	}
	p.does("data", "verify", id)
	p.does("data", "preview", id)
	p.does("data", "restore", id, "--edit", "orders 7 note=mended", "--reason", "It was mended")
	if there("SELECT count(*) FROM orders WHERE id = 7 AND note = 'mended'") != 1 || there("SELECT count(*) FROM line WHERE orders = 7") != 1 {
		t.Error("the rows are not back as they were corrected")
	}
	if story := b.Story(); !strings.Contains(story, "corrected") {
		t.Errorf("the timeline does not tell of it:\n%s", story)
	}
	if pull, known := b.Site().Incident.Pull(b.Site().Incident.Pulls[0].ID); !known || pull.Lever != k.Lever || pull.Holds() {
		t.Errorf("the lever of the rows still holds: %+v", pull)
	}
}
