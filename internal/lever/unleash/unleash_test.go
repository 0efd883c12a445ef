package unleash_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
	"lifeboat/internal/lever/levertest"
	"lifeboat/internal/lever/outside"
	"lifeboat/internal/lever/unleash"
)

// fake behaves as Unleash's Admin API is documented: toggles by environment, 404 for
// what it does not know, 409 where a feature without strategies is turned on.
type fake struct {
	mu         sync.Mutex
	on         map[string]bool // by feature, in production
	strategies bool
	by         string
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(parts) == 4 && parts[2] == "events" {
		send(w, map[string]any{"version": 1, "events": []any{map[string]any{"createdBy": f.by, "type": "feature-environment-enabled", "environment": "production"}}})
		return
	}
	if len(parts) < 8 || strings.Join(parts[:3], "/") != "api/admin/projects" || parts[3] != "default" || parts[7] != "production" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	on, known := f.on[parts[5]]
	switch {
	case !known:
		w.WriteHeader(http.StatusNotFound)
	case len(parts) == 8 && r.Method == http.MethodGet:
		send(w, map[string]any{"name": "production", "featureName": parts[5], "environment": "production", "type": "production", "enabled": on, "sortOrder": 1, "strategies": []any{}})
	case len(parts) == 9 && r.Method == http.MethodPost && (parts[8] == "on" || parts[8] == "off"):
		if parts[8] == "on" && !f.strategies {
			w.WriteHeader(http.StatusConflict)
			return
		}
		f.on[parts[5]] = parts[8] == "on"
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func card(s unleash.Section) lever.Card {
	b, _ := json.Marshal(s)
	return lever.Card{Name: "close-checkout", Kind: unleash.Kind, Title: "Close the checkout", Site: "shop", Config: b}
}

func TestContract(t *testing.T) {
	t.Parallel()
	levertest.RunOutside(t, func(t *testing.T) *levertest.Outside {
		f := &fake{on: map[string]bool{"checkout": true, "rehearsal": false}, strategies: true, by: "eve@example.com"}
		f.on["rehearsal"] = true
		door := levertest.NewDoor(t, "s3cret", f)
		section := unleash.Section{Remote: outside.Remote{URL: door.URL, TokenFile: token(t, "s3cret")}, Feature: "checkout", Environment: "production", Drill: "rehearsal"}
		with := func(change func(s *unleash.Section)) lever.Card {
			s := section
			change(&s)
			return card(s)
		}
		open := func() lever.Driver { return unleash.New(time.Now) }
		return &levertest.Outside{
			Gone: true, Lose: door.Lose, Bare: with(func(s *unleash.Section) { s.Drill = "" }),
			Stage: &levertest.Stage{
				Driver: open(), Restart: open, Card: card(section),
				Bad: map[string]lever.Card{
					"no such feature": with(func(s *unleash.Section) { s.Feature, s.Drill = "moon", "sun" }),
					"no address":      with(func(s *unleash.Section) { s.URL = "example.com" }),
					"no environment":  with(func(s *unleash.Section) { s.Environment = "" }),
					"half":            with(func(s *unleash.Section) { s.To = "half" }),
				},
				State: func() string {
					f.mu.Lock()
					defer f.mu.Unlock()
					on, known := f.on["checkout"]
					return fmt.Sprint(on, known)
				},
				Drift: func() { f.mu.Lock(); defer f.mu.Unlock(); delete(f.on, "checkout") },
				Blind: door.Blind, Hang: door.Hang, Fail: door.Fail, Writes: door.Writes,
			},
		}
	})
}

// Somebody turns it on again: the lever sees that it no longer holds, and by whom.
func TestSomebodyTurnsItOnAgain(t *testing.T) {
	t.Parallel()
	f := &fake{on: map[string]bool{"checkout": true}, strategies: true, by: "eve@example.com"}
	door := levertest.NewDoor(t, "s3cret", f)
	d := unleash.New(time.Now)
	c := card(unleash.Section{Remote: outside.Remote{URL: door.URL, TokenFile: token(t, "s3cret")}, Feature: "checkout", Environment: "production"})
	p, err := d.Plan(t.Context(), lever.Request{Card: c, Now: time.Now()})
	must(t, err)
	must(t, d.Apply(t.Context(), p, 0, lever.Token{}))
	f.mu.Lock()
	f.on["checkout"] = true
	f.mu.Unlock()
	obs, err := d.Observe(t.Context(), p, 0)
	must(t, err)
	if obs.World != lever.Before || !strings.Contains(obs.Detail, "eve@example.com") {
		t.Errorf("%+v", obs)
	}
}

// What Unleash refuses comes with its reason, and no error has the token.
func TestRefusals(t *testing.T) {
	t.Parallel()
	f := &fake{on: map[string]bool{"checkout": false}}
	door := levertest.NewDoor(t, "s3cret", f)
	d := unleash.New(time.Now)
	section := unleash.Section{Remote: outside.Remote{URL: door.URL, TokenFile: token(t, "s3cret")}, Feature: "checkout", Environment: "production", To: "on"}
	p, err := d.Plan(t.Context(), lever.Request{Card: card(section), Now: time.Now()})
	must(t, err)
	if err := d.Apply(t.Context(), p, 0, lever.Token{}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("without strategies: %v", err)
	}
	section.TokenFile = token(t, "an0ther")
	if _, err := d.Plan(t.Context(), lever.Request{Card: card(section), Now: time.Now()}); fault.KindOf(err) != fault.Denied || strings.Contains(err.Error(), "an0ther") {
		t.Errorf("with another token: %v", err)
	}
	r, err := d.Preflight(t.Context(), card(section))
	if err != nil || r.Ready || !strings.Contains(r.Problems[0], "401") {
		t.Errorf("preflight: %+v %v", r, err)
	}
	section.TokenFile = "/nowhere/token"
	if _, err := d.Plan(t.Context(), lever.Request{Card: card(section), Now: time.Now()}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("without a token: %v", err)
	}
}

// 429 is waited out once where that is short, and told where it is not.
func TestTooMany(t *testing.T) {
	t.Parallel()
	f := &fake{on: map[string]bool{"checkout": true}, strategies: true}
	door := levertest.NewDoor(t, "s3cret", f)
	d := unleash.New(time.Now)
	c := card(unleash.Section{Remote: outside.Remote{URL: door.URL, TokenFile: token(t, "s3cret")}, Feature: "checkout", Environment: "production"})
	door.Busy("0")
	if _, err := d.Plan(t.Context(), lever.Request{Card: c, Now: time.Now()}); err != nil {
		t.Errorf("after a short wait: %v", err)
	}
	for _, after := range []string{"3600", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), "soon", "-1"} {
		door.Busy(after)
		if _, err := d.Plan(t.Context(), lever.Request{Card: c, Now: time.Now()}); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "429") {
			t.Errorf("Retry-After %s: %v", after, err)
		}
	}
	door.Busy("0", "0")
	if _, err := d.Plan(t.Context(), lever.Request{Card: c, Now: time.Now()}); err == nil {
		t.Error("told twice to wait, and went on")
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// token writes one into a file.
func token(t testing.TB, text string) string {
	path := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(path, []byte(text+"\n"), 0o600))
	return path
}

func send(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
