package desk_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/lever"
	"lifeboat/internal/lever/quarantinelever"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/desk"
	"lifeboat/internal/quarantine/doctor"
	"lifeboat/internal/quarantine/find"
	"lifeboat/internal/quarantine/relational"
	"lifeboat/internal/quarantine/sqlite"
)

var (
	ann = incident.Actor{Kind: "person", ID: "ann", Name: "Ann", Role: "operator"}
	ben = incident.Actor{Kind: "person", ID: "ben", Name: "Ben", Role: "commander"}
	cec = incident.Actor{Kind: "person", ID: "cec", Name: "Cec", Role: "commander"}
	rik = incident.Actor{Kind: "person", ID: "rik", Name: "Rik", Role: "reporter"}
)

// room is a desk over a real SQLite database, with the driver that the engine would call.
type room struct {
	*desk.Desk
	t      *testing.T
	sql    *sql.DB
	driver lever.Driver
	path   string
	dir    string

	mu    sync.Mutex
	now   time.Time
	ids   int
	notes []string
	plans map[string]lever.Plan // of pulled levers

	evidence find.Evidence
	keeper   *doctor.Keeper
	query    string                                     // the symptom query
	asked    func(context.Context) (find.Answer, error) // the page; by default bad while order 7 is there
}

func open(t *testing.T, approval bool) *room {
	t.Helper()
	r := &room{t: t, now: time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC), plans: map[string]lever.Plan{}, path: filepath.Join(t.TempDir(), "shop.db"), dir: t.TempDir()}
	var err error
	if r.sql, err = sql.Open("sqlite", "file:"+r.path+"?_pragma=busy_timeout(5000)"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.sql.Close() })
	r.run("CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT)", "CREATE TABLE line (id INTEGER PRIMARY KEY, orders INTEGER REFERENCES orders ON DELETE CASCADE)",
		"CREATE INDEX line_orders ON line (orders)",
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) INSERT INTO orders SELECT i, 'secret ' || i FROM n", "INSERT INTO line SELECT id, id FROM orders")
	r.reopen(approval)
	return r
}

// reopen makes the desk anew, as after a restart of control.
func (r *room) reopen(approval bool) {
	r.t.Helper()
	target := doctor.Target{Name: "shopdb", Kind: doctor.SQLite, File: r.path, Tables: []string{"orders", "line"}}
	var err error
	if r.keeper, err = doctor.Keep(doctor.Options{Target: target, Now: r.clock, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		r.t.Fatal(err)
	}
	look := desk.Lookout{
		Target: find.Target{Name: "shopdb", Kind: doctor.SQLite, Tables: []string{"orders", "line"}, Query: r.query}, Lend: r.keeper.Do,
		Page: func(ctx context.Context, path string) (find.Answer, error) { return r.asked(ctx) },
	}
	if r.asked == nil {
		r.asked = r.page
	}
	d, err := desk.New(desk.Options{
		Dir: r.dir, Acts: r, Now: r.clock, NewID: r.id, Logger: slog.New(slog.DiscardHandler),
		Sources: []desk.Source{{Name: "shopdb", Kind: "quarantine/sqlite", Site: "shop", Tables: []string{"orders", "line"}, Approval: approval, Lookout: look, Open: func() (quarantine.Database, error) {
			return sqlite.Open(r.path, relational.Options{Name: "shopdb", Tables: []string{"orders", "line"}, Now: r.clock, Limits: quarantine.Limits{Batch: 3}})
		}}},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = d.Close() })
	r.Desk = d
	r.driver = quarantinelever.New(quarantinelever.Options{Kind: "quarantine/sqlite", Database: d.Database, Now: r.clock, Plan: func(id string) (quarantine.Plan, error) {
		k, err := d.Kept(id)
		return k.Plan, err
	}})
}

// page fails while order 7 is there.
func (r *room) page(ctx context.Context) (find.Answer, error) {
	var n int
	err := r.sql.QueryRowContext(ctx, "SELECT count(*) FROM orders WHERE id = 7").Scan(&n)
	return find.Answer{Harm: n > 0, Says: []string{"the page answers 200", "the page answers 500"}[n]}, err
}

// Evidence implements desk.Acts.
func (r *room) Evidence(context.Context, string) (find.Evidence, error) { return r.evidence, nil }

func (r *room) clock() time.Time { r.mu.Lock(); defer r.mu.Unlock(); return r.now }

func (r *room) later(d time.Duration) { r.mu.Lock(); defer r.mu.Unlock(); r.now = r.now.Add(d) }

func (r *room) id() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids++
	return fmt.Sprintf("01ABC%05d", r.ids)
}

func (r *room) run(queries ...string) {
	r.t.Helper()
	for _, q := range queries {
		if _, err := r.sql.Exec(q); err != nil {
			r.t.Fatalf("%s: %v", q, err)
		}
	}
}

func (r *room) count(query string) (n int) {
	r.t.Helper()
	if err := r.sql.QueryRow(query).Scan(&n); err != nil {
		r.t.Fatal(err)
	}
	return n
}

func (r *room) left(orders, lines int) {
	r.t.Helper()
	if o, l := r.count("SELECT count(*) FROM orders"), r.count("SELECT count(*) FROM line"); o != orders || l != lines {
		r.t.Errorf("%d orders and %d lines, want %d and %d", o, l, orders, lines)
	}
}

// Pull, Back, Note and Look are what the engine does, without its rules.
func (r *room) Pull(ctx context.Context, site, name, reason string, _ incident.Actor) (incident.Incident, error) {
	c, known := r.Card(name)
	if !known || site != "shop" || reason == "" {
		return incident.Incident{}, fault.New(fault.NotFound, "no card %s for %q", name, reason)
	}
	p, err := r.driver.Plan(ctx, lever.Request{Card: c, Now: r.clock()})
	if err != nil {
		return incident.Incident{}, err
	}
	r.plans[name] = p
	if err := r.driver.Apply(ctx, p, 0, lever.Token{By: "Ann"}); err != nil {
		return incident.Incident{}, err
	}
	r.sees(name, lever.After)
	return incident.Incident{}, nil
}

func (r *room) Back(context.Context, string, string, string, incident.Actor) (incident.Incident, error) {
	return incident.Incident{}, nil
}

func (r *room) Note(_ context.Context, _, text string, by incident.Actor) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, by.Name+": "+text)
	return nil
}

func (r *room) Look(context.Context, string, string) error { return nil }

func (r *room) told(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.notes, func(n string) bool { return strings.Contains(n, text) })
}

func (r *room) sees(name string, want lever.World) {
	r.t.Helper()
	if o, err := r.driver.Observe(context.Background(), r.plans[name], 0); err != nil || o.World != want {
		r.t.Fatalf("seen %q (%s), %v; want %q", o.World, o.Detail, err, want)
	}
}

func (r *room) plan(keys ...string) desk.Kept {
	r.t.Helper()
	req := quarantine.Request{Mode: quarantine.Move, Table: "orders"}
	for _, k := range keys {
		req.Keys = append(req.Keys, quarantine.Key{k})
	}
	k, err := r.Plan(context.Background(), "shopdb", req, ann)
	if err != nil || len(k.Plan.Refused) > 0 {
		r.t.Fatalf("%v %+v", err, k.Plan.Refused)
	}
	return k
}

func (r *room) apply(k desk.Kept) {
	r.t.Helper()
	if _, err := r.Apply(context.Background(), k.Plan.ID, k.Plan.Hash, "it breaks the list", ann); err != nil {
		r.t.Fatal(err)
	}
}

const why = "it breaks the list"

func TestThereAndBack(t *testing.T) {
	t.Parallel()
	r, ctx := open(t, false), context.Background()
	k := r.plan("7")
	if k.Title != "Take 1 row out of orders, with 1 that hangs on it" || k.Site != "shop" {
		t.Errorf("%+v", k)
	}
	if raw, _ := json.Marshal(k); strings.Contains(string(raw), "secret") {
		t.Errorf("the plan holds contents: %s", raw)
	}
	r.apply(k)
	r.left(199, 199)
	r.apply(k) // pressed twice
	r.left(199, 199)
	if h := r.Held(ctx); len(h.Held) != 1 || h.Held[0].Operation.Waiting() != 2 || h.Held[0].Operation.ID != k.Plan.ID {
		t.Errorf("held: %+v", h)
	}
	p, err := r.Preview(ctx, quarantine.Back{Operation: k.Plan.ID})
	if err != nil || !p.Clear || p.Rows != 2 {
		t.Errorf("preview: %v %+v", err, p)
	}
	value := "mended"
	back := quarantine.Back{Operation: k.Plan.ID, ID: "once", Edits: []quarantine.Edit{{Table: "orders", Key: quarantine.Key{"7"}, Set: []quarantine.Cell{{Column: "note", Value: &value}}}}}
	for range 2 {
		if _, err := r.Restore(ctx, back, "with another note", ann); err != nil {
			t.Fatal(err)
		}
	}
	r.left(200, 200)
	if n := r.count("SELECT count(*) FROM orders WHERE note = 'mended'"); n != 1 {
		t.Error("it came back uncorrected")
	}
	if !r.told("Puts back what "+k.Plan.ID+" holds: all of it, 1 row corrected. with another note") || !r.told("2 rows of "+k.Plan.ID+" are back, 1 of them corrected.") {
		t.Errorf("told: %q", r.notes)
	}
	r.sees(k.Lever, lever.Before)
	if err := r.driver.Apply(ctx, r.plans[k.Lever], 0, lever.Token{}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("taken away again by the same plan: %v", err)
	}
}

func TestTheLeverPutsAllBackOrNothing(t *testing.T) {
	t.Parallel()
	r, ctx := open(t, false), context.Background()
	k := r.plan("7", "8")
	r.apply(k)
	r.run("INSERT INTO orders VALUES (7, 'new')")
	if o, err := r.driver.Revert(ctx, r.plans[k.Lever], 0, lever.Token{By: "Ann"}); err != nil || o.World != lever.Foreign || o.Detail == "" {
		t.Errorf("%v %+v", err, o)
	}
	r.left(199, 198)
	r.run("DELETE FROM orders WHERE id = 7")
	for range 2 {
		if _, err := r.driver.Revert(ctx, r.plans[k.Lever], 0, lever.Token{By: "Ann"}); err != nil {
			t.Fatal(err)
		}
		r.sees(k.Lever, lever.Before)
	}
	r.left(200, 200)
}

func TestSomeOfItAndTheRestGivenUp(t *testing.T) {
	t.Parallel()
	r, ctx := open(t, false), context.Background()
	k := r.plan("7", "8")
	r.apply(k)
	if _, err := r.Restore(ctx, quarantine.Back{Operation: k.Plan.ID, Roots: []quarantine.Key{{"8"}}}, why, ann); err != nil {
		t.Fatal(err)
	}
	r.left(199, 199)
	r.sees(k.Lever, lever.Partial)
	if _, err := r.Discard(ctx, k.Plan.ID, nil, "a test order", ann); fault.KindOf(err) != fault.Denied && fault.KindOf(err) != fault.Refused {
		t.Errorf("an operator gave rows up: %v", err)
	}
	if _, err := r.Discard(ctx, k.Plan.ID, nil, " ", ben); fault.KindOf(err) != fault.Invalid {
		t.Errorf("given up without a word: %v", err)
	}
	if _, done, err := r.Purge(ctx, k.Plan.ID, ben); done || fault.KindOf(err) != fault.Refused {
		t.Errorf("a purge of rows that are held is asked for: %t %v", done, err)
	}
	if op, err := r.Discard(ctx, k.Plan.ID, nil, "a test order", ben); err != nil || op.Discarded != 2 {
		t.Fatalf("%v %+v", err, op)
	}
	r.sees(k.Lever, lever.Gone)
	for n, c := range []struct {
		by   incident.Actor
		done bool
	}{{ben, false}, {ben, false}, {cec, true}} {
		if _, done, err := r.Purge(ctx, k.Plan.ID, c.by); err != nil || done != c.done {
			t.Errorf("purge %d: %t %v", n, done, err)
		}
	}
}

func TestAnotherPersonReadsIt(t *testing.T) {
	t.Parallel()
	r, ctx := open(t, true), context.Background()
	k := r.plan("7")
	for what, c := range map[string]struct {
		hash string
		by   incident.Actor
		kind fault.Kind
	}{
		"not yet read":        {k.Plan.Hash, ann, fault.Refused},
		"another hash":        {strings.Repeat("0", 64), ann, fault.Conflict},
		"who may not press":   {k.Plan.Hash, rik, fault.Refused},
		"whoever made it":     {"approve", ann, fault.Refused},
		"what was not read":   {"approve other", ben, fault.Conflict},
		"a plan not there":    {"approve none", ben, fault.NotFound},
		"a path for an id":    {"approve path", ben, fault.NotFound},
		"a plan of no letter": {"kept path", ben, fault.Invalid},
	} {
		var err error
		switch c.hash {
		case "approve":
			_, err = r.Approve(k.Plan.ID, k.Plan.Hash, c.by)
		case "approve other":
			_, err = r.Approve(k.Plan.ID, "0", c.by)
		case "approve none":
			_, err = r.Approve("none", "0", c.by)
		case "approve path":
			_, err = r.Approve("../x", "0", c.by)
		case "kept path":
			_, err = r.Kept("../x")
		default:
			_, err = r.Apply(ctx, k.Plan.ID, c.hash, why, c.by)
		}
		if fault.KindOf(err) != c.kind {
			t.Errorf("%s: %v, want %s", what, err, c.kind)
		}
	}
	r.left(200, 200)
	if _, err := r.Approve(k.Plan.ID, k.Plan.Hash, ben); err != nil {
		t.Fatal(err)
	}
	r.reopen(true)
	r.apply(k)
	r.left(199, 199)
}

func TestAPlanThatWasChangedOrIsOld(t *testing.T) {
	t.Parallel()
	r, ctx := open(t, false), context.Background()
	k := r.plan("7")
	r.later(time.Hour)
	if _, err := r.Apply(ctx, k.Plan.ID, k.Plan.Hash, why, ann); fault.KindOf(err) != fault.Conflict {
		t.Errorf("an old plan: %v", err)
	}
	k = r.plan("7")
	path := filepath.Join(r.dir, k.Plan.ID+".json")
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(strings.ReplaceAll(string(b), `"7"`, `"8"`)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Apply(ctx, k.Plan.ID, k.Plan.Hash, why, ann); fault.KindOf(err) != fault.Internal {
		t.Errorf("a changed plan: %v", err)
	}
	r.later(30 * 24 * time.Hour)
	r.plan("9")
	if n := len(r.Plans()); n != 1 {
		t.Errorf("%d plans are kept of which one is new", n)
	}
	r.left(200, 200)
}

func TestABatchIsStoppedAndGoesOn(t *testing.T) {
	t.Parallel()
	r, ctx := open(t, false), context.Background()
	where, err := quarantine.ParsePredicate("id <= 15")
	if err != nil {
		t.Fatal(err)
	}
	k, err := r.Plan(ctx, "shopdb", quarantine.Request{Mode: quarantine.Move, Table: "orders", Where: where, Batch: true}, ann)
	if err != nil || len(k.Plan.Refused) > 0 {
		t.Fatalf("%v %+v", err, k.Plan.Refused)
	}
	if err := r.Stop(k.Plan.ID); fault.KindOf(err) != fault.Conflict {
		t.Errorf("stopped what is not under way: %v", err)
	}
	r.apply(k)
	deadline := time.Now().Add(20 * time.Second)
	for r.count("SELECT count(*) FROM orders") != 185 || !ended(r, k.Plan.ID) {
		if time.Now().After(deadline) {
			now, _ := r.Kept(k.Plan.ID)
			t.Fatalf("not done: %+v", now.Progress)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if !r.told("so not atomic") {
		t.Errorf("told: %q", r.notes)
	}
	r.sees(k.Lever, lever.After)
	if now, err := r.Kept(k.Plan.ID); err != nil || now.Done.IsZero() || now.Halted() {
		t.Errorf("a batch that was carried out: %+v, %v", now, err)
	}
}

// What was asked for and refused, or cut short, is not said to be carried out, and can be
// asked for again.
func TestHalted(t *testing.T) {
	t.Parallel()
	r, ctx := open(t, false), context.Background()
	k := r.plan("7")
	if _, err := r.Apply(ctx, k.Plan.ID, k.Plan.Hash, "", ann); err == nil {
		t.Fatal("pulled without a reason")
	}
	r.reopen(false)
	if now, err := r.Kept(k.Plan.ID); err != nil || !now.Halted() || !strings.Contains(now.HowToApply(), " --hash "+k.Plan.Hash[:12]+" --reason ") {
		t.Errorf("%+v, %v", now, err)
	}
	r.left(200, 200)
	r.apply(k)
	r.left(199, 199)
	if now, err := r.Kept(k.Plan.ID); err != nil || now.Done.IsZero() || now.Halted() {
		t.Errorf("%+v, %v", now, err)
	}
}

func ended(r *room, id string) bool {
	k, err := r.Kept(id)
	return err == nil && k.Progress != nil && !k.Progress.Running
}

func TestBadWords(t *testing.T) {
	t.Parallel()
	r, ctx := open(t, false), context.Background()
	for what, c := range map[string]struct {
		db  string
		req quarantine.Request
	}{
		"no such database": {"other", quarantine.Request{Table: "orders", Keys: []quarantine.Key{{"1"}}}},
		"no such table":    {"shopdb", quarantine.Request{Table: "nothing", Keys: []quarantine.Key{{"1"}}}},
		"no row named":     {"shopdb", quarantine.Request{Table: "orders"}},
		"a key of words":   {"shopdb", quarantine.Request{Table: "orders", Keys: []quarantine.Key{{"one", "two"}}}},
	} {
		c.req.Mode = quarantine.Move
		k, err := r.Plan(ctx, c.db, c.req, ann)
		if err == nil && len(k.Plan.Refused) == 0 {
			t.Errorf("%s: taken", what)
		}
	}
	for _, id := range []string{"none", "../x", ""} {
		if _, err := r.Verify(ctx, id); err == nil {
			t.Errorf("verify %q is taken", id)
		}
	}
	if _, known := r.Card("rows-none"); known {
		t.Error("a card of no plan")
	}
}
