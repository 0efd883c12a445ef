package web

import (
	"context"
	"database/sql"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"

	"lifeboat/internal/incident"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/desk"
	"lifeboat/internal/quarantine/doctor"
	"lifeboat/internal/quarantine/find"
	"lifeboat/internal/quarantine/relational"
	"lifeboat/internal/quarantine/sqlite"
)

// shopRows is a real database with a desk before it. Levers are pulled by it itself, for
// the boat's engine has no driver for rows.
type shopRows struct {
	*desk.Desk
	sql *sql.DB
}

func (b *boat) rows() *shopRows {
	b.t.Helper()
	path := filepath.Join(b.t.TempDir(), "shop.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	must(b.t, err)
	b.t.Cleanup(func() { _ = db.Close() })
	for _, q := range []string{
		"CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT, total NUMERIC)", "CREATE TABLE line (id INTEGER PRIMARY KEY, orders INTEGER NOT NULL REFERENCES orders ON DELETE CASCADE)",
		"CREATE INDEX line_orders ON line (orders)", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) INSERT INTO orders SELECT i, 'fine', 10 * i FROM n",
		"INSERT INTO line SELECT id, id FROM orders", "UPDATE orders SET total = '19,5O' WHERE id = 37", "CREATE VIEW open_orders AS SELECT * FROM orders",
	} {
		_, err := db.Exec(q)
		must(b.t, err)
	}
	keeper, err := doctor.Keep(doctor.Options{Target: doctor.Target{Name: "shopdb", Kind: doctor.SQLite, File: path, Tables: []string{"orders", "line"}}, Now: b.clock, Logger: slog.New(slog.DiscardHandler)})
	must(b.t, err)
	r := &shopRows{sql: db}
	r.Desk, err = desk.New(desk.Options{Dir: b.t.TempDir(), Acts: r, Now: b.clock, NewID: b.newID, Logger: slog.New(slog.DiscardHandler), Sources: []desk.Source{{
		Name: "shopdb", Kind: "quarantine/sqlite", Site: "shop", Tables: []string{"orders", "line"},
		Lookout: desk.Lookout{Target: find.Target{Name: "shopdb", Kind: doctor.SQLite, Tables: []string{"orders", "line"}, Query: "SELECT count(*) FROM orders WHERE typeof(total) = 'text'"}, Lend: keeper.Do},
		Open: func() (quarantine.Database, error) {
			return sqlite.Open(path, relational.Options{Name: "shopdb", Tables: []string{"orders", "line"}, Now: b.clock})
		},
	}}})
	must(b.t, err)
	b.t.Cleanup(func() { _ = r.Close() })
	return r
}

// Pull implements desk.Acts.
func (r *shopRows) Pull(ctx context.Context, _, lever, _ string, _ incident.Actor) (incident.Incident, error) {
	for _, k := range r.Plans() {
		if k.Lever == lever {
			db, err := r.Database(k.Plan.Database)
			if err == nil {
				_, err = db.Apply(ctx, k.Plan, nil)
			}
			return incident.Incident{}, err
		}
	}
	return incident.Incident{}, sql.ErrNoRows
}

// Back, Evidence, Note and Look implement desk.Acts.
func (r *shopRows) Back(context.Context, string, string, string, incident.Actor) (incident.Incident, error) {
	return incident.Incident{}, nil
}
func (r *shopRows) Evidence(context.Context, string) (find.Evidence, error) {
	return find.Evidence{}, nil
}
func (r *shopRows) Note(context.Context, string, string, incident.Actor) error { return nil }
func (r *shopRows) Look(context.Context, string, string) error                 { return nil }

// dataPages are the pages of rows as a person meets them, from the search to the way back.
func dataPages(t *testing.T) map[string]string {
	t.Helper()
	b := launch(t)
	rows := b.rows()
	o := b.options()
	o.Desk = rows
	br := browse(t, New(o))
	br.enter(b)
	pages := map[string]string{}
	keep := func(name string, p *sheet) *sheet { checkPage(t, p); pages[name] = p.raw; return p }
	keep("rows", br.open("/data").want(http.StatusOK, "No row is held."))
	found := br.open("/data").press("Find the row", "database=shopdb", "logs=orders 37: the total can't be read")
	for found.says("Looking for the row") {
		found = br.open(found.url.Path)
	}
	keep("rows-found", found.want(http.StatusOK, "Found: row 37 of orders.", "total"))
	keep("rows-refused", br.open("/lifeboat/rows-plan").press("See what would leave", "table=shopdb orders", "where=id > 0").want(http.StatusOK, "can’t be carried out", "All rows of orders would leave"))
	plan := keep("rows-plan", found.press("See what would leave with row 37 of orders").want(http.StatusOK, "Take 1 row out of orders, with 1 that hangs on it", "Nothing was changed"))
	keep("rows-away", plan.press("Take these rows away", "text=Order 37 breaks the list").want(http.StatusOK, "It was carried out"))
	held := keep("rows-held", br.open("/data").want(http.StatusOK, "2 rows are held.")).follow("orders")
	keep("rows-waiting", held.want(http.StatusOK, "Nothing stands in the way of 2 rows.", "Correct a row first"))
	keep("rows-back", held.press("Put them back", "set=total=19.50").want(http.StatusOK, "No row waits.", "2 rows are back."))
	var total string
	must(t, rows.sql.QueryRow("SELECT typeof(total) || total FROM orders WHERE id = 37").Scan(&total))
	if total != "real19.5" {
		t.Errorf("the row that was chosen came back with %s", total)
	}
	return pages
}

// TestRowsForEverybody: nobody stumbles over a page of rows.
func TestRowsForEverybody(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("SKIP: a browser takes some seconds")
	}
	forEverybody(t, dataPages(t))
}
