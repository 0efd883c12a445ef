package api_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/account"
	"lifeboat/internal/api"
	"lifeboat/internal/config"
	"lifeboat/internal/engine"
	"lifeboat/internal/feed"
	"lifeboat/internal/lever"
	"lifeboat/internal/probe"
	"lifeboat/internal/role"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/store"
	"lifeboat/internal/store/mem"
	"lifeboat/internal/token"
)

const sample = `
nameservers: {ns1.example.net.: 127.0.0.1:1}
sites:
  shop:
    title: Example Shop
    names: [shop.example.com]
    scheme: http
    origins: {main: {address: 203.0.113.10}}
    standby: {addresses: [198.51.100.7]}
    checks: {home: {http: {path: /}}}
    sanity: {passes: 1, apart: 1s}
zones:
  shop.example.com:
    ttl: 600s
    ns: [ns1.example.net.]
    follow: {"@": shop}
    records: ""
levers:
  to-standby: {title: Show visitors the status page, zone: {site: shop, to: standby}}
  close-checkout: {title: Close the checkout, feature: {key: checkout, value: false}}
features:
  checkout: {value: true, off: false, says: Card payments}
`

// clock is a time that a test moves.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

// wire stands for answer: it takes everything, and says what it is told to.
type wire struct {
	mu        sync.Mutex
	connected bool
	status    feed.Status
	refuse    error
}

func (w *wire) Publish(_ context.Context, m snapshot.Manifest, _ snapshot.Signed, _ map[string][]byte) (feed.Ack, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return feed.Ack{Epoch: m.Epoch, Revision: m.Revision}, w.refuse
}

func (w *wire) Status() (feed.Status, time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status, w.status.At, w.connected
}

// driver moves through the engine's orders, and sees what they are, or a world of
// its own.
type driver struct {
	kind   string
	orders lever.Orders
	world  *atomic.Value // a lever.World that is always seen; none when empty
}

func (d driver) Kind() string { return d.kind }
func (d driver) Capabilities() lever.Capabilities {
	return lever.Capabilities{Class: lever.R0, SideEffects: []string{"Nobody can buy."}}
}
func (d driver) Preflight(context.Context, lever.Card) (lever.Readiness, error) {
	return lever.Readiness{Problems: []string{"Something is missing: add it."}}, nil
}

func (d driver) Plan(ctx context.Context, r lever.Request) (lever.Plan, error) {
	if d.kind == "feature" {
		key := "checkout"
		if r.Drill {
			key = config.ShadowFeature(key)
		}
		before, err := d.orders.Flag(ctx, key)
		return lever.Plan{Kind: d.kind, Lever: r.Card.Name, Target: key, Drill: r.Drill, Steps: []lever.Step{{Before: before, After: []byte("false")}}}, err
	}
	site := r.Card.Site
	if r.Drill {
		site = snapshot.ShadowID(site)
	}
	before, err := d.orders.Position(ctx, site)
	b, _ := json.Marshal(before)
	return lever.Plan{Kind: d.kind, Lever: r.Card.Name, Target: site, Drill: r.Drill, Steps: []lever.Step{{Before: b, After: []byte(`"standby"`)}}}, err
}

func (d driver) set(ctx context.Context, p lever.Plan, to json.RawMessage, t lever.Token) error {
	if d.kind == "feature" {
		return d.orders.SetFlag(ctx, p.Target, to, t)
	}
	var position string
	if err := json.Unmarshal(to, &position); err != nil {
		return err
	}
	return d.orders.Move(ctx, p.Target, position, t)
}

func (d driver) Apply(ctx context.Context, p lever.Plan, _ int, t lever.Token) error {
	return d.set(ctx, p, p.Steps[0].After, t)
}

func (d driver) Revert(ctx context.Context, p lever.Plan, _ int, t lever.Token) (lever.Observation, error) {
	err := d.set(ctx, p, p.Steps[0].Before, t)
	return lever.Observation{World: lever.Before}, err
}

func (d driver) Observe(ctx context.Context, p lever.Plan, _ int) (lever.Observation, error) {
	if w, set := d.world.Load().(lever.World); set && w != "" {
		return lever.Observation{World: w, Detail: "ns1 was asked"}, nil
	}
	now, err := d.Plan(ctx, lever.Request{Card: lever.Card{Name: p.Lever, Site: strings.TrimSuffix(p.Target, "~drill")}, Drill: p.Drill})
	if err != nil {
		return lever.Observation{}, err
	}
	world := lever.Before
	if string(now.Steps[0].Before) == string(p.Steps[0].After) {
		world = lever.After
	}
	return lever.Observation{World: world, Detail: "ns1 was asked", Seen: []lever.Sighted{{Witness: "ns1", World: world, Value: "x"}}}, nil
}

func (d driver) Verify(ctx context.Context, p lever.Plan, _ lever.Direction) (lever.Observation, error) {
	return d.Observe(ctx, p, 0)
}
func (d driver) Dispose(context.Context, lever.Plan) error { return nil }

// boat is a control plane without a network.
type boat struct {
	t      *testing.T
	clock  *clock
	wire   *wire
	store  store.Store
	engine *engine.Engine
	tokens *token.Book
	world  *atomic.Value
	record engine.RecordView
	page   probe.Result // what the standby's check says
	with   engine.Company

	accounts *account.Book
	handler  http.Handler         // asks for a token
	raw      string               // an admin's, by the name of Ada
	as       map[role.Role]string // a token of each role
}

func launch(t *testing.T, change ...func(*boat)) *boat {
	t.Helper()
	b := &boat{t: t, clock: newClock(), wire: &wire{connected: true}, store: mem.New(mem.Options{}), world: &atomic.Value{}, page: probe.Result{Verdict: probe.Pass}}
	b.wire.status.At = b.clock.now()
	for _, f := range change {
		f(b)
	}
	c, err := config.Parse("lifeboat.yaml", []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	var id atomic.Int64
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	b.engine, err = engine.New(engine.Options{
		Config: c, Store: b.store, Key: key, Now: b.clock.now, NewID: func() string { return fmt.Sprintf("ID%06d", id.Add(1)) }, Logger: log, Version: "test",
		Drivers: func(o lever.Orders) map[string]lever.Driver {
			return map[string]lever.Driver{"zone": driver{"zone", o, b.world}, "feature": driver{"feature", o, b.world}}
		},
		Ask: func(context.Context, probe.Target, probe.Check) probe.Result {
			return b.page
		},
		Record: func() engine.RecordView { return b.record },
		Waits:  engine.Waits{Answer: time.Second, Observe: 50 * time.Millisecond, Drift: time.Hour}, Company: b.with,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.engine.Start(t.Context(), b.wire); err != nil {
		t.Fatal(err)
	}
	if b.wire.connected {
		if err := b.engine.Connected(t.Context(), feed.Hello{Formats: []int{snapshot.Format}}); err != nil {
			t.Fatal(err)
		}
	}
	if b.tokens, err = token.New(t.Context(), b.store, b.clock.now, log); err != nil {
		t.Fatal(err)
	}
	if b.raw, _, err = b.tokens.Create(t.Context(), "Ada"); err != nil {
		t.Fatal(err)
	}
	b.as = map[role.Role]string{}
	for _, r := range role.Roles {
		if b.as[r], _, err = b.tokens.CreateAs(t.Context(), "a "+string(r), r); err != nil {
			t.Fatal(err)
		}
	}
	b.accounts, err = account.New(t.Context(), account.Options{Store: b.store, Now: b.clock.now, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	b.handler = api.New(b.options())
	return b
}

func (b *boat) options() api.Options {
	return api.Options{Engine: b.engine, Tokens: b.tokens, Accounts: b.accounts, Logger: slog.New(slog.DiscardHandler), Now: b.clock.now, Version: "test"}
}

// reply is an answer, read.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// send asks a handler; body may be nil, a string, or anything that becomes JSON.
// headers are names and values in turn.
func send(t *testing.T, h http.Handler, method, path, raw string, body any, headers ...string) reply {
	t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		r = bytes.NewReader(text)
	}
	req := httptest.NewRequestWithContext(t.Context(), method, path, r)
	if raw != "" {
		req.Header.Set("Authorization", "Bearer "+raw)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return reply{w.Code, w.Header(), w.Body.Bytes()}
}

// do asks with a good token, and fails the test on another status than wanted.
func (b *boat) do(method, path string, body any, want int, headers ...string) reply {
	b.t.Helper()
	r := send(b.t, b.handler, method, path, b.raw, body, headers...)
	if r.status != want {
		b.t.Fatalf("%s %s: status %d, want %d: %s", method, path, r.status, want, r.body)
	}
	return r
}

func decode[T any](t *testing.T, r reply) (v T) {
	t.Helper()
	if err := json.Unmarshal(r.body, &v); err != nil {
		t.Fatalf("%v in %s", err, r.body)
	}
	return v
}

func sessionOf(name string) account.Who { return account.OfAccount(name) }
