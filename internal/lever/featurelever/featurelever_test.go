package featurelever_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/config"
	"lifeboat/internal/feature"
	"lifeboat/internal/lever"
	"lifeboat/internal/lever/featurelever"
	"lifeboat/internal/lever/levertest"
	"lifeboat/internal/ofrep"
)

// world is a real OFREP endpoint behind a door that can be shut.
type world struct {
	t      *testing.T
	flags  []feature.Flag
	server *ofrep.Server
	http   *httptest.Server
	door   atomic.Pointer[http.HandlerFunc] // in place of the endpoint, when set
	orders *levertest.Orders
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, server: ofrep.New(ofrep.Options{})}
	for _, f := range []feature.Flag{
		{Key: "checkout", Value: json.RawMessage("true"), Off: json.RawMessage("false")},
		{Key: "search", Value: json.RawMessage("true"), Off: json.RawMessage("false")},
		{Key: "ramp", Value: json.RawMessage("12"), Off: json.RawMessage("0"), Targeting: json.RawMessage(`{"fractional":[["off",1]]}`)},
	} {
		key := f.Key
		shadow := f
		shadow.Key = config.ShadowFeature(key)
		w.flags = append(w.flags, f, shadow)
	}
	keys := make([]string, len(w.flags))
	for i, f := range w.flags {
		keys[i] = f.Key
	}
	var err error
	w.orders, err = levertest.NewOrders(nil, keys, func(_ map[string]string, values map[string]json.RawMessage) error {
		w.order(w.flags, values)
		return nil
	})
	must(t, err)
	w.http = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if door := w.door.Load(); door != nil {
			(*door)(rw, r)
			return
		}
		w.server.Handler().ServeHTTP(rw, r)
	}))
	t.Cleanup(w.http.Close)
	return w
}

func (w *world) order(flags []feature.Flag, values map[string]json.RawMessage) {
	orders := map[string]feature.Order{}
	for k, v := range values {
		orders[k] = feature.Order{Value: v, Lever: "close-checkout"}
	}
	w.server.Set(ofrep.Compile(flags, orders))
}

func (w *world) driver() lever.Driver {
	return featurelever.New(featurelever.Options{
		Orders: w.orders, OFREP: w.http.URL, Shadow: config.ShadowFeature, Now: time.Now,
		Own: func(key string) json.RawMessage {
			for _, f := range w.flags {
				if f.Key == key {
					return f.Value
				}
			}
			return nil
		},
	})
}

// shut puts a handler in the endpoint's place until it is called again.
func (w *world) shut(h http.HandlerFunc) func() {
	w.door.Store(&h)
	return func() { w.door.Store(nil) }
}

func (w *world) state() string {
	rec := httptest.NewRecorder()
	req := httptest.NewRequest(http.MethodPost, "/ofrep/v1/evaluate/flags/checkout", strings.NewReader(`{"context":{}}`))
	req.Header.Set("Content-Type", "application/json")
	w.server.Handler().ServeHTTP(rec, req)
	var a struct{ Value json.RawMessage }
	if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil || a.Value == nil {
		w.t.Errorf("the endpoint says %d %s", rec.Code, rec.Body)
	}
	return string(a.Value)
}

func card(section string) lever.Card {
	return lever.Card{Name: "close-checkout", Kind: featurelever.Kind, Title: "Close the checkout", Site: "shop", Config: json.RawMessage(section)}
}

var gone = func(rw http.ResponseWriter, _ *http.Request) {
	c, _, err := http.NewResponseController(rw).Hijack()
	if err == nil {
		_ = c.Close()
	}
}

// hung waits until the caller has gone, which shows only once its question is read.
var hung = func(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func TestContract(t *testing.T) {
	t.Parallel()
	levertest.Run(t, func(t *testing.T) *levertest.Stage {
		w := start(t)
		return &levertest.Stage{
			Driver: w.driver(), Restart: w.driver, Card: card(`{"key":"checkout","value":false}`),
			Bad: map[string]lever.Card{
				"no such feature": card(`{"key":"moon","value":false}`), "no value": card(`{"key":"checkout"}`), "a null value": card(`{"key":"checkout","value":null}`),
				"no key": card(`{"value":false}`),
			},
			State: w.state,
			Drift: func() { w.shut(strange) },
			Blind: func() func() { return w.shut(gone) },
			Hang:  func() func() { return w.shut(hung) },
			Fail:  w.orders.Fail, Writes: w.orders.Writes,
		}
	})
}

// strange is another server in the endpoint's place, with a value of its own.
var strange = func(rw http.ResponseWriter, _ *http.Request) {
	_, _ = rw.Write([]byte(`{"key":"checkout","value":"ajar"}`))
}

// An order that was there before the pull is put back as it was.
func TestOrderBeforeIsPutBack(t *testing.T) {
	t.Parallel()
	w := start(t)
	must(t, w.orders.SetFlag(t.Context(), "checkout", json.RawMessage("false"), lever.Token{}))
	d := w.driver()
	p, err := d.Plan(t.Context(), lever.Request{Card: card(`{"key":"checkout","value":true}`), Now: time.Now()})
	must(t, err)
	must(t, d.Apply(t.Context(), p, 0, lever.Token{Revision: 1}))
	if got := w.state(); got != "true" {
		t.Fatalf("answered %s", got)
	}
	_, err = d.Revert(t.Context(), p, 0, lever.Token{Revision: 1})
	must(t, err)
	if v, err := w.orders.Flag(t.Context(), "checkout"); err != nil || string(v) != "false" {
		t.Errorf("ordered %s, %v", v, err)
	}
}

// A feature with a rule is closed for everybody and given back to its rule. What the
// rule says by itself is not taken for the lever's doing.
func TestRule(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.driver()
	c := card(`{"key":"ramp","value":0.0}`)
	if r, err := d.Preflight(t.Context(), c); err != nil || !r.Ready {
		t.Fatalf("%+v %v", r, err)
	}
	p, err := d.Plan(t.Context(), lever.Request{Card: c, Now: time.Now()})
	must(t, err)
	expect := func(want lever.World) {
		t.Helper()
		if obs, err := d.Observe(t.Context(), p, 0); err != nil || obs.World != want {
			t.Errorf("seen as %q (%s), %v; want %q", obs.World, obs.Detail, err, want)
		}
	}
	expect(lever.Before) // though the rule comes to 0, too
	must(t, d.Apply(t.Context(), p, 0, lever.Token{Revision: 1}))
	expect(lever.After)
	must(t, w.orders.SetFlag(t.Context(), "ramp", json.RawMessage("5"), lever.Token{Revision: 2}))
	expect(lever.Foreign)
	must(t, d.Apply(t.Context(), p, 0, lever.Token{Revision: 3}))
	_, err = d.Revert(t.Context(), p, 0, lever.Token{Revision: 3})
	must(t, err)
	expect(lever.Before)

	// With an order before the pull, a rule that happens to say the same is not the pull.
	must(t, w.orders.SetFlag(t.Context(), "ramp", json.RawMessage("5"), lever.Token{Revision: 4}))
	p, err = d.Plan(t.Context(), lever.Request{Card: c, Now: time.Now()})
	must(t, err)
	must(t, w.orders.SetFlag(t.Context(), "ramp", nil, lever.Token{Revision: 5}))
	expect(lever.Foreign)
}

// While it goes back in stages it is neither here nor there, and goes back all the same.
func TestStages(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.driver()
	p, err := d.Plan(t.Context(), lever.Request{Card: card(`{"key":"checkout","value":false}`), Now: time.Now()})
	must(t, err)
	if err := w.orders.ShareFlag(t.Context(), "checkout", 5, lever.Token{Revision: 1}); err == nil {
		t.Error("a share of what is not ordered")
	}
	must(t, d.Apply(t.Context(), p, 0, lever.Token{Revision: 1}))
	must(t, w.orders.ShareFlag(t.Context(), "checkout", 50, lever.Token{Revision: 1}))
	for _, share := range []int{1, 50, 100} {
		w.server.Set(ofrep.Compile(w.flags, map[string]feature.Order{"checkout": {Value: json.RawMessage("false"), Share: share}}))
		obs, err := d.Observe(t.Context(), p, 0)
		if err != nil || obs.World != lever.Partial {
			t.Errorf("at %d percent seen as %q, %v", share, obs.World, err)
		}
	}
	_, err = d.Revert(t.Context(), p, 0, lever.Token{Revision: 2})
	must(t, err)
	if got := w.state(); got != "true" || w.orders.SharedFlag("checkout") != 0 {
		t.Errorf("put back, it is %s, and shared to %d percent", got, w.orders.SharedFlag("checkout"))
	}
}

// Where keys are asked for, the lever has one of its own.
func TestKey(t *testing.T) {
	t.Parallel()
	w := start(t)
	access := feature.Access{Keys: []feature.Key{{Name: "shop", SHA256: strings.Repeat("ab", 32), For: feature.ForServers}}}
	w.server.Allow(access)
	for key, ready := range map[string]bool{"": false, "x": false, access.Own(): true} {
		d := featurelever.New(featurelever.Options{Orders: w.orders, OFREP: w.http.URL, Key: key, Now: time.Now, Own: func(string) json.RawMessage { return json.RawMessage("true") }})
		if r, err := d.Preflight(t.Context(), card(`{"key":"checkout","value":false}`)); err != nil || r.Ready != ready {
			t.Errorf("with key %q: %+v %v", key, r, err)
		}
	}
}

// Whatever stands in the endpoint's place, nothing but a flag's value is believed.
func TestOnlyAValueIsBelieved(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.driver()
	p, err := d.Plan(t.Context(), lever.Request{Card: card(`{"key":"checkout","value":false}`), Now: time.Now()})
	must(t, err)
	for name, h := range map[string]http.HandlerFunc{
		"an error": func(rw http.ResponseWriter, _ *http.Request) {
			http.Error(rw, `{"value":false}`, http.StatusInternalServerError)
		},
		"no value":   func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte(`{"key":"checkout"}`)) },
		"a null":     func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte(`{"value":null}`)) },
		"a web page": func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte(`<html>`)) },
		"half an answer": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Length", "99")
			_, _ = rw.Write([]byte(`{"value":`))
		},
		"a flood": func(rw http.ResponseWriter, _ *http.Request) {
			_, _ = rw.Write([]byte(`{"value":"` + strings.Repeat("x", 1<<20) + `"}`))
		},
	} {
		again := w.shut(h)
		obs, err := d.Observe(t.Context(), p, 0)
		if err != nil || obs.World != lever.Unknown {
			t.Errorf("%s: seen as %q, %v", name, obs.World, err)
		}
		again()
	}
}

// The examples in the README are good configuration.
func TestReadme(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	must(t, err)
	for _, heading := range []string{"## Name", "## Description", "## Config", "## Undo", "## Limits", "## Examples"} {
		if !strings.Contains(string(text), "\n"+heading+"\n") {
			t.Errorf("the README has no %q", heading)
		}
	}
	found := 0
	for i, part := range strings.Split(string(text), "```") {
		body, isYAML := strings.CutPrefix(part, "yaml\n")
		if i%2 == 0 || !isYAML {
			continue
		}
		cfg, err := config.Parse("README.md", []byte(body))
		if err != nil {
			t.Errorf("example: %v", err)
			continue
		}
		for _, l := range cfg.Levers {
			if l.Kind == featurelever.Kind {
				found++
			}
		}
	}
	if found == 0 {
		t.Error("no lever of this kind in the examples")
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
