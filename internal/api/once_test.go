package api_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/api"
	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/lever"
	"lifeboat/internal/role"
)

const key = "Idempotency-Key"

// TestKeyedWriteIsDoneOnce: into an incident, also after a restart.
func TestKeyedWriteIsDoneOnce(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.do("POST", "/api/v1/sites/shop/declare", nil, 200)
	note := func(h http.Handler, raw, k, text string) reply {
		return send(t, h, "POST", "/api/v1/sites/shop/notes", raw, api.NoteBody{Text: text}, key, k)
	}
	first := note(b.handler, b.raw, "a", "Smoke.")
	again := note(b.handler, b.raw, `"a"`, "Smoke.")
	later := note(api.New(b.options()), b.raw, "a", "Smoke.")
	for name, r := range map[string]reply{"again": again, "after a restart": later} {
		res := decode[api.Result](t, r)
		if r.status != 200 || r.header.Get("Idempotent-Replayed") != "true" || len(res.Events) > 0 || res.Incident.Seq != 2 {
			t.Errorf("%s: %d %q %s", name, r.status, r.header.Get("Idempotent-Replayed"), r.body)
		}
	}
	if first.status != 200 || first.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("the first: %d %s", first.status, first.body)
	}
	if r := note(b.handler, b.raw, "a", "Fire."); r.status != 422 || decode[api.Problem](t, r).Place != key {
		t.Errorf("another note under the same key: %d %s", r.status, r.body)
	}
	if r := note(b.handler, b.as[role.Operator], "a", "Fire."); r.status != 200 || r.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("somebody else's key: %d %s", r.status, r.body)
	}
	if r := b.do("POST", "/api/v1/sites/shop/severity", api.SeverityBody{Level: "high"}, 200, key, "a"); r.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("another route's key: %s", r.body)
	}
	for _, wrong := range []string{"", strings.Repeat("x", 300), "a b", "ä", "\x7f"} {
		if r := note(b.handler, b.raw, wrong, "Smoke."); r.status != 422 {
			t.Errorf("the key %q: %d", wrong, r.status)
		}
	}
}

// TestKeyOfARefusalIsFree: what was not done may be asked for again under its key.
func TestKeyOfARefusalIsFree(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.do("POST", "/api/v1/sites/shop/close", api.ReasonBody{Reason: "It is over."}, 404, key, "a")
	b.do("POST", "/api/v1/sites/shop/declare", nil, 200, key, "a")
	b.do("POST", "/api/v1/levers/to-standby/pull", nil, 409, key, "b")
	res := decode[api.Result](t, b.do("POST", "/api/v1/levers/to-standby/pull", api.ReasonBody{Reason: "All of it is down."}, 200, key, "b"))
	if !res.Incident.Contained() {
		t.Errorf("pulled: %+v", res.Incident)
	}
	if r := b.do("POST", "/api/v1/levers/to-standby/pull", api.ReasonBody{Reason: "All of it is down."}, 200, key, "b"); r.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("again: %s", r.body)
	}
}

// TestReplayTellsTheTruth: a retry is not told that a lever is pulled whose effect nobody
// has seen.
func TestReplayTellsTheTruth(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.world.Store(lever.Unknown)
	why := api.ReasonBody{Reason: "All of it is down."}
	b.do("POST", "/api/v1/levers/to-standby/pull", why, 503, key, "a")
	r := b.do("POST", "/api/v1/levers/to-standby/pull", why, 503, key, "a")
	if p := decode[api.Problem](t, r); p.Incident == "" || !strings.Contains(p.Detail, "unknown now") {
		t.Errorf("again: %s", r.body)
	}
	if in := decode[api.SiteIncident](t, b.do("GET", "/api/v1/sites/shop/incident", nil, 200)); len(in.Incident.Pulls) != 1 {
		t.Errorf("pulled %d times", len(in.Incident.Pulls))
	}
}

// TestKeyedTokenIsMadeOnce: an answer that only we know is given again, for a day.
func TestKeyedTokenIsMadeOnce(t *testing.T) {
	t.Parallel()
	b := launch(t)
	grace := api.TokenBody{Name: "Grace", Role: "reporter"}
	first := b.do("POST", "/api/v1/tokens", grace, 201, key, "a")
	again := b.do("POST", "/api/v1/tokens", grace, 201, key, "a")
	if string(first.body) != string(again.body) || again.header.Get("Idempotent-Replayed") != "true" || again.header.Get("Content-Type") != first.header.Get("Content-Type") {
		t.Errorf("again: %v %s", again.header, again.body)
	}
	b.do("POST", "/api/v1/tokens", api.TokenBody{Name: "Linus"}, 422, key, "a")
	if list := decode[api.TokenList](t, b.do("GET", "/api/v1/tokens", nil, 200)); len(list.Tokens) != 7 {
		t.Errorf("%d tokens", len(list.Tokens))
	}
	b.clock.advance(25 * time.Hour)
	if r := b.do("POST", "/api/v1/tokens", grace, 409, key, "a"); r.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("a day later: %s", r.body)
	}
}

// slow is an engine whose first drill waits.
type slow struct {
	api.Engine
	calls       *atomic.Int64
	began, done chan struct{}
}

func (s slow) Drill(ctx context.Context, _ string, _ incident.Actor) (engine.DrillRecord, error) {
	if s.calls.Add(1) == 1 {
		s.began <- struct{}{}
		<-s.done
	}
	return engine.DrillRecord{OK: true}, ctx.Err()
}

// TestKeyUnderWay: the same request twice at once is done once.
func TestKeyUnderWay(t *testing.T) {
	t.Parallel()
	b := launch(t)
	o := b.options()
	e := slow{b.engine, new(atomic.Int64), make(chan struct{}), make(chan struct{})}
	o.Engine = e
	h := api.New(o)
	var wg sync.WaitGroup
	wg.Go(func() {
		if r := send(t, h, "POST", "/api/v1/levers/to-standby/drill", b.raw, nil, key, "a"); r.status != 200 {
			t.Errorf("the first: %d %s", r.status, r.body)
		}
	})
	<-e.began
	if r := send(t, h, "POST", "/api/v1/levers/to-standby/drill", b.raw, nil, key, "a"); r.status != 409 {
		t.Errorf("at the same time: %d %s", r.status, r.body)
	}
	close(e.done)
	wg.Wait()
	if r := send(t, h, "POST", "/api/v1/levers/to-standby/drill", b.raw, nil, key, "a"); r.status != 200 || r.header.Get("Idempotent-Replayed") == "" {
		t.Errorf("afterwards: %d %s", r.status, r.body)
	}
}

// TestPanicFreesItsKey: our own mistake does not hold a key for ever.
func TestPanicFreesItsKey(t *testing.T) {
	t.Parallel()
	b := launch(t)
	o := b.options()
	o.Engine = broken{b.engine, nil}
	h := api.New(o)
	for range 2 {
		if r := send(t, h, "POST", "/api/v1/sites/shop/cancel", b.raw, nil, key, "a"); r.status != 500 {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
}

// TestHostileKeyedBody: a body that does not arrive, or is too long, is told as without a
// key.
func TestHostileKeyedBody(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.do("POST", "/api/v1/sites/shop/notes", `{"text":"`+strings.Repeat("x", 70<<10)+`"}`, 413, key, "a")
	req := httptest.NewRequestWithContext(t.Context(), "POST", "/api/v1/sites/shop/notes", failing{})
	req.Header.Set("Authorization", "Bearer "+b.raw)
	req.Header.Set(key, "b")
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, req)
	if w.Code < 400 || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("a body that breaks off: %d %s", w.Code, w.Body)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("gone") }

// TestBrake: who writes without end is told to wait; who leads to safety is not.
func TestBrake(t *testing.T) {
	t.Parallel()
	b := launch(t)
	o := b.options()
	o.Engine = broken{b.engine, fault.New(fault.NotFound, "no")}
	h := api.New(o)
	ask := func(path, raw string) reply { return send(t, h, "POST", path, raw, nil) }
	n := 0
	var last reply
	for ; n < 2000; n++ {
		if last = ask("/api/v1/sites/shop/cancel", b.raw); last.status == 429 {
			break
		}
	}
	p := decode[api.Problem](t, last)
	if n < 100 || n > 1000 || last.header.Get("Retry-After") == "" || p.Kind != fault.Unavailable || p.Hint == "" {
		t.Errorf("after %d: %v %s", n, last.header, last.body)
	}
	if r := ask("/api/v1/sites/shop/declare", b.raw); r.status == 429 {
		t.Error("a declaration is held up")
	}
	if r := ask("/api/v1/sites/shop/step-back", b.raw); r.status == 429 {
		t.Error("the way back to safety is held up")
	}
	if r := ask("/api/v1/sites/shop/cancel", b.as[role.Operator]); r.status == 429 {
		t.Error("somebody else is held up")
	}
	if r := send(t, h, "GET", "/api/v1/features", b.raw, nil); r.status == 429 {
		t.Errorf("reading is held up: %d", r.status)
	}
	b.clock.advance(time.Second)
	if r := ask("/api/v1/sites/shop/cancel", b.raw); r.status != 404 {
		t.Errorf("a second later: %d", r.status)
	}
}

// TestStaleWithoutIfMatch: a race that nobody asked about is a plain conflict.
func TestStaleWithoutIfMatch(t *testing.T) {
	t.Parallel()
	b := launch(t)
	o := b.options()
	o.Engine = broken{b.engine, fault.New(fault.Conflict, "nothing was done: this was asked for another incident").Because(engine.ErrStale)}
	r := send(t, api.New(o), "POST", "/api/v1/sites/shop/cancel", b.raw, nil)
	if p := decode[api.Problem](t, r); r.status != 409 || strings.Contains(p.Detail, engine.ErrStale.Text) {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// FuzzKey: a key that is taken is short, visible and what was sent.
func FuzzKey(f *testing.F) {
	for _, seed := range []string{"a", `"a"`, `""`, `"`, " a ", "a b", "\x00", "ä", strings.Repeat("x", 201)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		key, err := api.ParseKey(header)
		if err == nil && (key == "" || len(key) > 200 || !strings.Contains(header, key) || strings.ContainsFunc(key, func(r rune) bool { return r < 0x21 || r > 0x7e })) {
			t.Errorf("%q becomes %q", header, key)
		}
	})
}
