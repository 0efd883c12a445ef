package e2e

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/quarantine"
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
	if said := p.says(done, "data", "apply", id, "--hash", k.Plan.Hash[:12], "--reason", "Order 7 breaks the list").out; !strings.Contains(said, "lifeboat data verify "+id) {
		t.Error(said)
	}
	if n := there("SELECT count(*) FROM orders WHERE id = 7") + there("SELECT count(*) FROM line WHERE orders = 7"); n != 0 {
		t.Fatalf("%d rows are still there", n)
	}
	b.KillControl()
	b.Eventually("control is back", b.Ready)
	if said := p.says(done, "data", "held").out; !strings.Contains(said, id) || !strings.Contains(said, "chosen in orders; 2 rows wait") {
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

// By pages alone, without scripts: the row is found, what would leave is read, it leaves,
// and comes back corrected.
func TestRowsByForms(t *testing.T) {
	t.Parallel()
	b := Moor(t, Options{Still: true})
	file := filepath.Join(b.dir, "shop.db")
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(5000)")
	b.Must(err)
	t.Cleanup(func() { _ = db.Close() })
	for _, q := range []string{
		"CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT, total NUMERIC)", "CREATE TABLE line (id INTEGER PRIMARY KEY, orders INTEGER NOT NULL REFERENCES orders ON DELETE CASCADE)",
		"CREATE INDEX line_orders ON line (orders)", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) INSERT INTO orders SELECT i, 'fine', 10 * i FROM n",
		"INSERT INTO line SELECT id, id FROM orders", "UPDATE orders SET total = '19,5O' WHERE id = 37",
	} {
		_, err := db.Exec(q)
		b.Must(err)
	}
	there := func(query string) (n int) { b.Must(db.QueryRow(query).Scan(&n)); return n }
	b.more = "databases:\n  shopdb: {kind: sqlite, file: " + file + ", tables: [orders, line], symptom_query: SELECT count(*) FROM orders WHERE typeof(total) = 'text'}\n"
	b.Configure(b.sample())
	b.Serve()
	crew := b.People("Ada:operator", "Vic:viewer")
	ada, vic := crew[0], crew[1]
	if vic.Open("/data"); vic.Can("Find the row") || vic.Can("See what would leave") {
		t.Error("a viewer can look for rows")
	}
	ada.Open("/data")
	ada.MustSay("No row is held.")
	ada.Press("Find the row", typed{"Which page fails?": "/orders", "Lines of its log, or what it answers": "orders 37: the total can't be read"})
	ada.Await("Found: row 37 of orders.")
	ada.MustSay("This row does the harm")
	ada.Press("See what would leave", nil)
	ada.MustSay("Take 1 row out of orders, with 1 that hangs on it")
	ada.MustSay("1 row here hangs on rows that leave")
	ada.Press("Take these rows away", typed{"Why, in one sentence": "Order 37 breaks the list"})
	ada.MustSay("The rows are gone, as seen in the database.")
	if n := there("SELECT count(*) FROM orders WHERE id = 37") + there("SELECT count(*) FROM line WHERE orders = 37"); n != 0 {
		t.Fatalf("%d rows are still there", n)
	}
	ada.Open("/data")
	ada.MustSay("Order 37 breaks the list")
	ada.Open(dataLink(t, b))
	ada.MustSay("Nothing stands in the way of 2 rows.") // and the row that was chosen is the one to correct
	ada.Press("Put them back", typed{"What it shall say: COLUMN=VALUE, one in each line": "total=19.50"})
	ada.MustSay("No row waits.")
	if there("SELECT count(*) FROM orders WHERE id = 37 AND total = 19.5 AND typeof(total) = 'real'") != 1 || there("SELECT count(*) FROM line WHERE orders = 37") != 1 {
		t.Error("the rows are not back as they were corrected")
	}
}

// dataLink is the page of the only operation.
func dataLink(t *testing.T, b *Boat) string {
	t.Helper()
	var h desk.Holding
	b.Teller("root", "viewer").reads(&h, "data", "held")
	if len(h.Held) != 1 {
		t.Fatalf("%+v", h)
	}
	return "/data/held/" + h.Held[0].Operation.ID
}

// Control is killed while a search has rows away: they are back when it has started
// again, and nothing is held.
func TestRowsComeBackFromASearchCutShort(t *testing.T) {
	t.Parallel()
	b := Moor(t, Options{Still: true})
	file := filepath.Join(b.dir, "shop.db")
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(5000)")
	b.Must(err)
	t.Cleanup(func() { _ = db.Close() })
	for _, q := range []string{"CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT)", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) INSERT INTO orders SELECT i, 'fine' FROM n"} {
		_, err := db.Exec(q)
		b.Must(err)
	}
	there := func() (n int) { b.Must(db.QueryRow("SELECT count(*) FROM orders").Scan(&n)); return n }
	b.more = "databases:\n  shopdb: {kind: sqlite, file: " + file + ", tables: [orders]}\n"
	b.Configure(b.sample())
	b.Serve()
	ada := b.Teller("ada", "operator")
	ada.does("declare", "The list of orders breaks")
	b.main.Down() // the page fails whatever is away
	cmd := b.Command("data", "search", "--page", "/", "--by", "moving")
	cmd.Env = append(cmd.Env, ada.env...)
	b.Must(cmd.Start())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	writtenDown := func() bool {
		_, err := os.Stat(filepath.Join(b.data, "control", "rows", "searching"))
		return err == nil
	}
	b.Eventually("rows are away", func() bool { return there() < 50 && writtenDown() })
	b.KillControl()
	b.Eventually("every row is back", func() bool { return there() == 50 && !writtenDown() })
	var h desk.Holding
	ada.reads(&h, "data", "held")
	for _, x := range h.Held {
		if x.Operation.State != quarantine.Restored {
			t.Errorf("%s is %s", x.Operation.ID, x.Operation.State)
		}
	}
	b.Eventually("the timeline tells of it", func() bool { return strings.Contains(b.Story(), "was cut short") })
}
