package web

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/account"
	"lifeboat/internal/board/desk"
	"lifeboat/internal/config"
	"lifeboat/internal/engine"
	"lifeboat/internal/evidence"
	"lifeboat/internal/fault"
	"lifeboat/internal/feed"
	"lifeboat/internal/incident"
	"lifeboat/internal/ledger"
	"lifeboat/internal/lever"
	"lifeboat/internal/outbox"
	"lifeboat/internal/probe"
	"lifeboat/internal/role"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/store"
	"lifeboat/internal/store/mem"
	"lifeboat/internal/token"
)

var start = time.Date(2026, 3, 12, 2, 6, 0, 0, time.UTC)

// berlin is where the people of these tests are.
var berlin = time.FixedZone("CET", 3600)

const password = "four words that fit"

// settings is the configuration of the tests' sites.
const settings = `
contacts:
  - {name: Mara Lind, phone: "+49 30 23125 014", says: on call}
  - {name: Jonas Weber, phone: "+49 30 23125 027", says: knows the database}
channels:
  room: {webhook: {url: "https://chat.example.com/in"}, tells: [public, staff, incident]}
sites:
  shop:
    title: Example Shop
    names: [shop.example.com]
    origins:
      main: {address: 203.0.113.10}
      backup: {address: 203.0.113.20}
    standby: {addresses: [198.51.100.7]}
    checks:
      home: {http: {path: /}, every: 5s}
      pay: {http: {path: /pay}, every: 5s}
    sanity: {passes: 2, apart: 1s}
    go_back: {stages: [10, 50], hold: 5m}
    take_back: 1m
    watch: 1h
zones:
  shop.example.com:
    ttl: 60s
    ns: [ns1.example.net.]
    follow: {"@": shop}
    records: |
      www IN CNAME shop.example.com.
levers:
  to-standby: {title: Show visitors the status page, zone: {site: shop, to: standby}}
  to-backup: {title: Use the backup, zone: {site: shop, to: backup}}
  close-checkout: {title: Close the checkout, says: Customers can look but not buy, feature: {key: checkout, value: false}}
features:
  checkout: {value: true, off: false, says: Card payments, owner: Jonas Weber, code_default: true}
actions:
  roll-back: {site: shop, title: Put release 411 back, exec: [/usr/bin/true], undo: {exec: [/usr/bin/true]}}
`

// boat is a whole control plane in the test's process: the real engine, accounts,
// tokens, ledger and folder of evidence, around a world that does as it is told. The
// engine's own loops don't run, so that nothing happens by itself.
type boat struct {
	t        *testing.T
	eng      *engine.Engine
	accounts *account.Book
	tokens   *token.Book
	store    store.Store
	ledger   *ledger.Book
	folder   string     // of evidence
	words    *desk.Desk // of the status page, where there is one
	told     Subscribers
	token    string // Ada's, an admin's
	ada      incident.Actor
	record   func() engine.RecordView
	others   int

	mu     sync.Mutex // guards all below
	now    time.Time
	ids    int
	seen   map[string]probe.Seen // of home's checks
	detail string
	sunk   map[string]bool // places that are down
	gone   bool            // answer is not connected
	sick   string          // what answer says of itself
	hold   chan struct{}
	deny   error // what the next act comes to
	foggy  bool  // nobody can tell what an act did
	shares bool  // levers can go back by shares
	queue  []outbox.Message
}

func launch(t *testing.T) *boat {
	t.Helper()
	b := &boat{t: t, now: start, seen: map[string]probe.Seen{"home": probe.Up, "pay": probe.Up}, others: 1}
	cfg, err := config.Parse("lifeboat.yaml", []byte(settings))
	must(t, err)
	s := mem.New(mem.Options{})
	b.store = s
	log := slog.New(slog.DiscardHandler)
	_, key, err := ed25519.GenerateKey(nil)
	must(t, err)
	b.tokens, err = token.New(t.Context(), s, b.clock, log)
	must(t, err)
	raw, id, err := b.tokens.CreateAs(t.Context(), "Ada", role.Admin)
	must(t, err)
	b.token, b.ada = raw, incident.Actor{Kind: "person", ID: id.ID, Name: id.Name, Via: "web", Role: "admin"}
	b.accounts, err = account.New(t.Context(), account.Options{Store: s, Now: b.clock, Logger: log, Token: func(id string) (string, role.Role, bool) {
		who, known := b.tokens.Lookup(id)
		return who.Name, who.Role, known
	}})
	must(t, err)
	b.ledger = ledger.New(ledger.Options{Store: s, Now: b.clock, NewID: b.newID})
	b.folder = t.TempDir()
	bodies, err := evidence.Open(b.folder, 1<<30)
	must(t, err)
	b.eng, err = engine.New(engine.Options{
		Config: cfg, Store: s, Key: key, Now: b.clock, NewID: b.newID, Logger: log, Version: "test", Ask: b.ask,
		Drivers: func(o lever.Orders) map[string]lever.Driver {
			return map[string]lever.Driver{"zone": &tame{b: b, o: o, kind: "zone"}, "feature": &tame{b: b, o: o, kind: "feature"}}
		},
		Record: func() engine.RecordView {
			if b.record != nil {
				return b.record()
			}
			return engine.RecordView{}
		},
		Waits: engine.Waits{Answer: time.Second, Observe: time.Second, Drift: time.Hour},
		Company: engine.Company{
			Bodies: bodies, Ledger: b.ledger, Outbox: tray{b}, Channels: []engine.Channel{{Name: "room", Tells: []string{"public", "staff", "incident"}}},
			Acts:   []engine.Act{{Name: "roll-back", Title: "Put release 411 back", Site: "shop", Undo: true}},
			Others: func(incident.Actor) int { return b.others },
		},
	})
	must(t, err)
	must(t, b.eng.Start(t.Context(), world{b}))
	must(t, b.eng.Connected(t.Context(), feed.Hello{Formats: []int{snapshot.Format}}))
	b.look()
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (b *boat) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

// kept counts the bodies of evidence that lie in their folder.
func (b *boat) kept() (n int) {
	b.t.Helper()
	must(b.t, filepath.WalkDir(b.folder, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	}))
	return n
}

// wait lets time pass; what is seen is seen again.
func (b *boat) wait(d time.Duration) {
	b.set(func() { b.now = b.now.Add(d) })
	b.look()
}

// set changes the world.
func (b *boat) set(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// look lets answer tell what it sees.
func (b *boat) look() { b.eng.Status() }

func (b *boat) newID() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ids++
	return fmt.Sprintf("01J0000000000000000000%04d", b.ids)
}

// breaks makes home's checks see this.
func (b *boat) breaks(s probe.Seen, detail string) {
	b.set(func() { b.seen["home"], b.seen["pay"], b.detail = s, s, detail })
	b.look()
}

func (b *boat) ask(_ context.Context, _ probe.Target, c probe.Check) probe.Result {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := verdictOf(probe.Up)
	if s, of := b.seen[c.Name]; of {
		v = verdictOf(s)
	}
	detail := b.detail
	if c.Name == config.StandbyCheckName && b.sunk["standby"] {
		v, detail = probe.Fail, "connection refused"
	}
	return probe.Result{At: b.now, Took: 120 * time.Millisecond, Verdict: v, Detail: detail}
}

func verdictOf(s probe.Seen) probe.Verdict {
	switch s {
	case probe.Up:
		return probe.Pass
	case probe.Down:
		return probe.Fail
	}
	return probe.Inconclusive
}

// world is answer, as the engine meets it.
type world struct{ b *boat }

// Publish implements engine.Feed.
func (w world) Publish(_ context.Context, m snapshot.Manifest, _ snapshot.Signed, _ map[string][]byte) (feed.Ack, error) {
	return feed.Ack{Epoch: m.Epoch, Revision: m.Revision, Serials: m.Serials}, nil
}

// Status implements engine.Feed.
func (w world) Status() (feed.Status, time.Time, bool) {
	w.b.mu.Lock()
	defer w.b.mu.Unlock()
	st := feed.Status{At: w.b.now, Visits: map[string]feed.Visits{"shop": {Failover: 42}}, Problem: w.b.sick}
	for _, place := range []string{"main", "backup", "standby"} {
		for _, c := range []string{"home", "pay"} {
			s := feed.Sight{Site: "shop", Place: place, Check: c, Gate: true, Every: 5 * time.Second, Seen: probe.Up, Since: start.Add(-time.Hour), Target: place}
			if place == "standby" {
				s.Check = config.StandbyCheckName
			}
			if place == "main" {
				s.Seen = w.b.seen[c]
			}
			if w.b.sunk[place] {
				s.Seen = probe.Down
			}
			s.Last = probe.Result{At: w.b.now.Add(-time.Second), Took: 200 * time.Millisecond, Verdict: verdictOf(s.Seen), Detail: "200 after 200 ms"}
			if s.Seen != probe.Up {
				s.Last.Detail, s.Since = w.b.detail, w.b.now.Add(-8*time.Minute)
			}
			if place != "standby" || c == "home" {
				st.Sights = append(st.Sights, s)
			}
		}
	}
	return st, w.b.now, !w.b.gone
}

// tame is a driver whose world does at once what it is told, unless the test says
// otherwise.
type tame struct {
	b    *boat
	o    lever.Orders
	kind string
}

func (d *tame) Kind() string { return d.kind }
func (d *tame) Capabilities() lever.Capabilities {
	return lever.Capabilities{Class: lever.R0, SideEffects: []string{"Search engines are told to come back"}}
}
func (d *tame) Preflight(context.Context, lever.Card) (lever.Readiness, error) {
	return lever.Readiness{Ready: true}, nil
}

func (d *tame) Plan(ctx context.Context, r lever.Request) (lever.Plan, error) {
	if d.kind == "feature" {
		var c config.FeatureLever
		if err := json.Unmarshal(r.Card.Config, &c); err != nil {
			return lever.Plan{}, err
		}
		key := c.Key
		if r.Drill {
			key = config.ShadowFeature(key)
		}
		now, err := d.o.Flag(ctx, key)
		if err != nil {
			return lever.Plan{}, err
		}
		return lever.NewPlan(r, key, "set the feature", now, c.Value)
	}
	var c config.ZoneLever
	if err := json.Unmarshal(r.Card.Config, &c); err != nil {
		return lever.Plan{}, err
	}
	site := c.Site
	if r.Drill {
		site = snapshot.ShadowID(site)
	}
	at, err := d.o.Position(ctx, site)
	if err != nil {
		return lever.Plan{}, err
	}
	return lever.NewPlan(r, site, "move visitors", at, c.To)
}

func (d *tame) CanShare(lever.Plan) bool {
	d.b.mu.Lock()
	defer d.b.mu.Unlock()
	return d.b.shares
}

func (d *tame) Share(context.Context, lever.Plan, int, int, lever.Token) error { return nil }

func (d *tame) Apply(ctx context.Context, p lever.Plan, _ int, t lever.Token) error {
	return d.order(ctx, p, p.Steps[0].After, t)
}

func (d *tame) Revert(ctx context.Context, p lever.Plan, _ int, t lever.Token) (lever.Observation, error) {
	return lever.Observation{World: lever.Before}, d.order(ctx, p, p.Steps[0].Before, t)
}

func (d *tame) order(ctx context.Context, p lever.Plan, to json.RawMessage, t lever.Token) error {
	d.b.mu.Lock()
	hold, deny := d.b.hold, d.b.deny
	d.b.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if deny != nil {
		return deny
	}
	if d.kind == "feature" {
		if string(to) == "null" {
			to = nil
		}
		return d.o.SetFlag(ctx, p.Target, to, t)
	}
	var position string
	if err := json.Unmarshal(to, &position); err != nil {
		return err
	}
	return d.o.Move(ctx, p.Target, position, t)
}

func (d *tame) Observe(ctx context.Context, p lever.Plan, _ int) (lever.Observation, error) {
	d.b.mu.Lock()
	foggy := d.b.foggy
	d.b.mu.Unlock()
	if foggy {
		return lever.Observation{World: lever.Unknown, Detail: "one name server does not answer"}, nil
	}
	var now json.RawMessage
	if d.kind == "feature" {
		now, _ = d.o.Flag(ctx, p.Target)
	} else {
		at, _ := d.o.Position(ctx, p.Target)
		now, _ = json.Marshal(at)
	}
	w := lever.Foreign
	switch {
	case bytes.Equal(now, p.Steps[0].After):
		w = lever.After
	case bytes.Equal(now, p.Steps[0].Before), len(now) == 0 && string(p.Steps[0].Before) == "null":
		w = lever.Before
	}
	return lever.Observation{World: w, Detail: "2 of 2 name servers answer so"}, nil
}

func (d *tame) Verify(ctx context.Context, p lever.Plan, _ lever.Direction) (lever.Observation, error) {
	return d.Observe(ctx, p, 0)
}
func (d *tame) Dispose(context.Context, lever.Plan) error { return nil }

// tray is an outbox that keeps what it is given.
type tray struct{ b *boat }

func (x tray) Write(m outbox.Message) store.Write {
	x.b.mu.Lock()
	defer x.b.mu.Unlock()
	m.LastError, m.Attempts = "connection refused", 2
	x.b.queue = append(x.b.queue, m)
	return store.Write{Key: "outbox/" + m.ID, Value: []byte("{}")}
}
func (x tray) Wake() {}
func (x tray) Queue(context.Context) ([]outbox.Message, error) {
	x.b.mu.Lock()
	defer x.b.mu.Unlock()
	return append([]outbox.Message(nil), x.b.queue...), nil
}
func (x tray) Retry(_ context.Context, id string) error { return x.find(id, false) }
func (x tray) Drop(_ context.Context, id string) error  { return x.find(id, true) }

func (x tray) find(id string, drop bool) error {
	x.b.mu.Lock()
	defer x.b.mu.Unlock()
	for i, m := range x.b.queue {
		if m.ID == id {
			if drop {
				x.b.queue = append(x.b.queue[:i:i], x.b.queue[i+1:]...)
			}
			return nil
		}
	}
	return fault.New(fault.NotFound, "there is no message %q", id)
}

// options of a handler around the boat.
func (b *boat) options() Options {
	o := Options{
		Engine: b.eng, Tokens: b.tokens, Accounts: b.accounts, Key: bytes.Repeat([]byte{7}, 32), Now: b.clock, Logger: slog.New(slog.DiscardHandler), Zone: berlin,
		Channels: []engine.Channel{{Name: "room", Tells: []string{"public", "staff", "incident"}}},
	}
	if b.words != nil {
		o.Board = b.words
	}
	if b.told != nil {
		o.Subscribers = b.told
	}
	return o
}

func (b *boat) handler() http.Handler { return New(b.options()) }

// person adds somebody who can sign in.
func (b *boat) person(name, title string, may role.Role) {
	b.t.Helper()
	if _, err := b.accounts.Get(name); err == nil {
		return
	}
	_, err := b.accounts.Create(b.t.Context(), account.Account{Name: name, Title: title, Role: may}, password)
	must(b.t, err)
}

var jonas = incident.Actor{Kind: "person", ID: "jonas", Name: "Jonas", Via: "web", Role: "operator"}

// do runs a command that the test itself needs done.
func (b *boat) do(c incident.Command) engine.Result {
	b.t.Helper()
	return b.doAs(c, b.ada)
}

func (b *boat) doAs(c incident.Command, by incident.Actor) engine.Result {
	b.t.Helper()
	r, err := b.eng.Do(b.t.Context(), "shop", c, by)
	if err != nil {
		b.t.Fatalf("%T: %v", c, err)
	}
	return r
}

// machine is what a collector or a rule of lifeboat does.
func (b *boat) machine(c incident.Command) {
	b.t.Helper()
	b.doAs(c, incident.Actor{Kind: "collector", Name: "lifeboat"})
}

func (b *boat) in() incident.Incident {
	b.t.Helper()
	o, err := b.eng.Overview(b.t.Context())
	must(b.t, err)
	if o.Sites[0].Incident == nil {
		return incident.Incident{}
	}
	return *o.Sites[0].Incident
}

func (b *boat) pull(name string) {
	b.t.Helper()
	b.do(engine.PullRequest{Lever: name, PullLever: incident.PullLever{Reason: "the test wants it"}})
}

func (b *boat) drill(name string) {
	b.t.Helper()
	rec, err := b.eng.Drill(b.t.Context(), name, b.ada)
	must(b.t, err)
	if !rec.OK {
		b.t.Fatal(rec.Detail)
	}
}

// sane counts n passes of every sanity check.
func (b *boat) sane(n int) {
	b.t.Helper()
	for range n {
		b.wait(time.Second)
		for _, c := range []string{"home", "pay"} {
			if r := b.in().Return; r != nil && !r.Passed {
				b.machine(incident.Sanity{Check: c, Verdict: "pass"})
			}
		}
	}
}

// reads lets the promised check be read after a fix.
func (b *boat) reads(verdict string, took time.Duration, others map[string]string) {
	b.t.Helper()
	b.readsAfter(20*time.Second, verdict, took, others)
}

func (b *boat) readsAfter(d time.Duration, verdict string, took time.Duration, others map[string]string) {
	b.t.Helper()
	b.wait(d)
	b.machine(incident.ReadFix{Reading: incident.Reading{At: b.clock(), Verdict: verdict, Took: took, Detail: "502 after 90 ms"}, Others: others})
}

// machineReadsAgain lets the promise be measured with everybody back.
func (b *boat) machineReadsAgain() {
	b.t.Helper()
	b.machine(incident.ReadAgain{Reading: incident.Reading{At: b.clock(), Verdict: "pass", Took: 90 * time.Millisecond}})
}

var incidentDeclared = incident.Declare{Noticed: "staff"}

// failing is an engine of which every look fails once it is told to.
type failing struct {
	Engine
	mu  sync.Mutex // guards err
	err error
}

func (f *failing) fails(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *failing) now() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// Overview implements Engine.
func (f *failing) Overview(ctx context.Context) (engine.Overview, error) {
	if err := f.now(); err != nil {
		return engine.Overview{}, err
	}
	return f.Engine.Overview(ctx)
}

// Incidents implements Engine.
func (f *failing) Incidents(ctx context.Context) ([]engine.Head, error) {
	if err := f.now(); err != nil {
		return nil, err
	}
	return f.Engine.Incidents(ctx)
}
