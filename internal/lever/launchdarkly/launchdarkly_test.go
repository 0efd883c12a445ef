package launchdarkly_test

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
	"lifeboat/internal/lever/launchdarkly"
	"lifeboat/internal/lever/levertest"
	"lifeboat/internal/lever/outside"
)

// flag is one of the fake's.
type flag struct {
	On      bool `json:"on"`
	Off     *int `json:"offVariation,omitempty"`
	Version int  `json:"version"`
}

// fake behaves as LaunchDarkly's REST API is documented: one flag's representation,
// semantic patches that are taken whole or not at all, versions that grow.
type fake struct {
	mu       sync.Mutex
	flags    map[string]*flag
	approval bool // patches need one
	patches  []string
}

var values = []map[string]any{
	{"_id": "id-true", "value": true, "name": "Open"}, {"_id": "id-false", "value": false, "name": "Closed"}, {"_id": "id-read", "value": "read", "name": "Read only"},
}

func number(i int) *int { return &i }

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Header.Get("LD-API-Version") == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if r.URL.Path == "/api/v2/auditlog" && r.URL.Query().Get("spec") == "proj/shop:env/production:flag/checkout" {
		send(w, map[string]any{"items": []any{map[string]any{"member": map[string]any{"email": "eve@example.com"}}}})
		return
	}
	x, known := f.flags[strings.TrimPrefix(r.URL.Path, "/api/v2/flags/shop/")]
	switch {
	case !known:
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodGet:
		send(w, map[string]any{"key": "checkout", "kind": "multivariate", "variations": values, "environments": map[string]any{"production": x}, "_version": 7})
	case r.Method == http.MethodPatch:
		w.WriteHeader(f.patch(x, r))
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func (f *fake) patch(x *flag, r *http.Request) int {
	var p struct {
		EnvironmentKey string `json:"environmentKey"`
		Instructions   []struct{ Kind, VariationID string }
	}
	if f.approval {
		return http.StatusMethodNotAllowed
	}
	if !strings.Contains(r.Header.Get("Content-Type"), "domain-model=launchdarkly.semanticpatch") || json.NewDecoder(r.Body).Decode(&p) != nil || p.EnvironmentKey != "production" || len(p.Instructions) == 0 {
		return http.StatusBadRequest
	}
	next := *x
	for _, i := range p.Instructions {
		switch i.Kind {
		case "turnFlagOn":
			next.On = true
		case "turnFlagOff":
			next.On = false
		case "updateOffVariation":
			at := -1
			for n, v := range values {
				if v["_id"] == i.VariationID {
					at = n
				}
			}
			if at < 0 {
				return http.StatusBadRequest
			}
			next.Off = number(at)
		default:
			return http.StatusBadRequest
		}
		f.patches = append(f.patches, i.Kind)
	}
	next.Version++
	*x = next
	return http.StatusOK
}

func card(s launchdarkly.Section) lever.Card {
	b, _ := json.Marshal(s)
	return lever.Card{Name: "close-checkout", Kind: launchdarkly.Kind, Title: "Close the checkout", Site: "shop", Config: b}
}

func newFake() *fake {
	return &fake{flags: map[string]*flag{"checkout": {On: true, Off: number(1), Version: 3}, "rehearsal": {On: true, Off: number(1)}, "bare": {On: true}}}
}

func TestContract(t *testing.T) {
	t.Parallel()
	for _, variation := range []string{"", "Read only"} {
		t.Run("variation "+variation, func(t *testing.T) {
			t.Parallel()
			levertest.RunOutside(t, func(t *testing.T) *levertest.Outside { return stage(t, variation) })
		})
	}
}

func stage(t *testing.T, variation string) *levertest.Outside {
	f := newFake()
	door := levertest.NewDoor(t, "api-s3cret", f)
	section := launchdarkly.Section{
		Remote: outside.Remote{URL: door.URL, TokenFile: token(t, "api-s3cret")}, Project: "shop", Flag: "checkout", Environment: "production", Variation: variation, Drill: "rehearsal",
	}
	with := func(change func(s *launchdarkly.Section)) lever.Card {
		s := section
		change(&s)
		return card(s)
	}
	open := func() lever.Driver { return launchdarkly.New(time.Now) }
	return &levertest.Outside{
		Lose: door.Lose, Bare: with(func(s *launchdarkly.Section) { s.Drill = "" }),
		Stage: &levertest.Stage{
			Driver: open(), Restart: open, Card: card(section),
			Bad: map[string]lever.Card{
				"no such flag":        with(func(s *launchdarkly.Section) { s.Flag, s.Drill = "moon", "sun" }),
				"no such variation":   with(func(s *launchdarkly.Section) { s.Variation = "ajar" }),
				"no such environment": with(func(s *launchdarkly.Section) { s.Environment = "test" }),
				"no off variation":    with(func(s *launchdarkly.Section) { s.Flag, s.Drill = "bare", "bare-drill" }),
				"no project":          with(func(s *launchdarkly.Section) { s.Project = "" }),
			},
			State: func() string {
				f.mu.Lock()
				defer f.mu.Unlock()
				x := f.flags["checkout"]
				return fmt.Sprint(x.On, *x.Off)
			},
			Drift: func() { // somebody gives another value while it is off
				f.mu.Lock()
				defer f.mu.Unlock()
				f.flags["checkout"].On, f.flags["checkout"].Off = false, number(0)
			},
			Blind: door.Blind, Hang: door.Hang, Fail: door.Fail, Writes: door.Writes,
		},
	}
}

// The value is right at each moment: set before it is turned off, and after it is on.
func TestOrderOfInstructions(t *testing.T) {
	t.Parallel()
	f := newFake()
	door := levertest.NewDoor(t, "k", f)
	d := launchdarkly.New(time.Now)
	c := card(launchdarkly.Section{Remote: outside.Remote{URL: door.URL, TokenFile: token(t, "k")}, Project: "shop", Flag: "checkout", Environment: "production", Variation: "read"})
	p, err := d.Plan(t.Context(), lever.Request{Card: c, Now: time.Now()})
	must(t, err)
	if p.Steps[0].From != "on" || p.Steps[0].To != "off (Read only)" {
		t.Errorf("from %q to %q", p.Steps[0].From, p.Steps[0].To)
	}
	must(t, d.Apply(t.Context(), p, 0, lever.Token{}))
	_, err = d.Revert(t.Context(), p, 0, lever.Token{})
	must(t, err)
	if got := strings.Join(f.patches, " "); got != "updateOffVariation turnFlagOff turnFlagOn updateOffVariation" {
		t.Error(got)
	}
}

// Who changed it is asked of LaunchDarkly, and an approval that is needed is told.
func TestWhoAndApproval(t *testing.T) {
	t.Parallel()
	f := newFake()
	door := levertest.NewDoor(t, "k", f)
	d := launchdarkly.New(time.Now)
	c := card(launchdarkly.Section{Remote: outside.Remote{URL: door.URL, TokenFile: token(t, "k")}, Project: "shop", Flag: "checkout", Environment: "production"})
	p, err := d.Plan(t.Context(), lever.Request{Card: c, Now: time.Now()})
	must(t, err)
	f.approval = true
	if err := d.Apply(t.Context(), p, 0, lever.Token{}); fault.KindOf(err) != fault.Denied {
		t.Errorf("with approvals: %v", err)
	}
	f.approval = false
	must(t, d.Apply(t.Context(), p, 0, lever.Token{}))
	f.flags["checkout"].Off = number(2)
	obs, err := d.Observe(t.Context(), p, 0)
	must(t, err)
	if obs.World != lever.Foreign || !strings.Contains(obs.Detail, "eve@example.com") {
		t.Errorf("%+v", obs)
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
