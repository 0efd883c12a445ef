package flipt_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
	"lifeboat/internal/lever/flipt"
	"lifeboat/internal/lever/levertest"
	"lifeboat/internal/lever/outside"
)

// fake behaves as Flipt's management API is documented, of both versions: in v2 a flag
// is one resource with a revision, in v1 its rollouts are kept elsewhere.
type fake struct {
	mu       sync.Mutex
	flags    map[string]string // JSON by key
	rollouts map[string]string // of v1, a list
	revision int
	says     bool // fields without contents are said, as some servers do
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if key, is := strings.CutPrefix(r.URL.Path, "/api/v1/namespaces/default/flags/"); is {
		f.v1(w, r, key)
		return
	}
	rest, is := strings.CutPrefix(r.URL.Path, "/api/v2/environments/production/namespaces/default/resources")
	key := strings.TrimPrefix(rest, "/flipt.core.Flag/")
	switch {
	case !is:
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodGet:
		text, known := f.flags[key]
		if !known {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		send(w, map[string]any{"resource": map[string]any{"namespaceKey": "default", "key": key, "payload": json.RawMessage(text)}, "revision": strconv.Itoa(f.revision)})
	case r.Method == http.MethodPut && rest == "":
		var in struct {
			Key      string         `json:"key"`
			Revision string         `json:"revision"`
			Payload  map[string]any `json:"payload"`
		}
		if json.NewDecoder(r.Body).Decode(&in) != nil || in.Payload["@type"] != "flipt.core.Flag" || in.Payload["key"] != in.Key {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if in.Revision != strconv.Itoa(f.revision) {
			w.WriteHeader(http.StatusConflict)
			return
		}
		if f.says {
			for _, k := range []string{"rules", "rollouts"} {
				if in.Payload[k] == nil {
					in.Payload[k] = []any{}
				}
			}
		}
		b, _ := json.Marshal(in.Payload)
		f.flags[in.Key] = string(b)
		f.revision++
		send(w, map[string]any{"revision": strconv.Itoa(f.revision)})
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func (f *fake) v1(w http.ResponseWriter, r *http.Request, key string) {
	key, rollouts := strings.CutSuffix(key, "/rollouts")
	text, known := f.flags[key]
	switch {
	case !known:
		w.WriteHeader(http.StatusNotFound)
	case rollouts:
		list := f.rollouts[key]
		if list == "" {
			list = "[]"
		}
		send(w, map[string]any{"rules": json.RawMessage(list), "nextPageToken": "", "totalCount": 0})
	case r.Method == http.MethodGet:
		send(w, json.RawMessage(text))
	case r.Method == http.MethodPut: // what is not sent is emptied
		var was, in map[string]any
		if json.NewDecoder(r.Body).Decode(&in) != nil || json.Unmarshal([]byte(text), &was) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		for _, k := range []string{"name", "description", "enabled", "metadata"} {
			was[k] = in[k]
		}
		b, _ := json.Marshal(was)
		f.flags[key] = string(b)
		send(w, was)
	}
}

const (
	boolean = `{"@type":"flipt.core.Flag","key":"%s","type":"BOOLEAN_FLAG_TYPE","name":"Checkout","description":"Card payments","enabled":true,"rollouts":[{"type":"THRESHOLD_ROLLOUT_TYPE","threshold":{"percentage":12.50,"value":true}}],"metadata":{"owner":"payments"}}`
	variant = `{"@type":"flipt.core.Flag","key":"%s","type":"VARIANT_FLAG_TYPE","name":"Checkout","enabled":false,"variants":[{"key":"cards"},{"key":"none"}],"rules":[{"segments":["staff"],"distributions":[{"variant":"cards","rollout":100}]}],"defaultVariant":"cards"}`
	plain   = `{"key":"%s","type":"BOOLEAN_FLAG_TYPE","name":"Checkout","description":"Card payments","enabled":true,"namespaceKey":"default","variants":[],"metadata":{"owner":"payments"}}`
)

func card(s flipt.Section) lever.Card {
	b, _ := json.Marshal(s)
	return lever.Card{Name: "close-checkout", Kind: flipt.Kind, Title: "Close the checkout", Site: "shop", Config: b}
}

func TestContract(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		flag string
		says bool
		set  flipt.Section
	}{
		"v2 variant":              {flag: variant, set: flipt.Section{Variant: "none"}},
		"v2 boolean, all is said": {flag: boolean, says: true},
		"v1 boolean":              {flag: plain, set: flipt.Section{API: flipt.V1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			levertest.RunOutside(t, func(t *testing.T) *levertest.Outside { return stage(t, c.flag, c.says, c.set) })
		})
	}
}

func stage(t *testing.T, flag string, says bool, section flipt.Section) *levertest.Outside {
	f := &fake{flags: map[string]string{"checkout": fmt.Sprintf(flag, "checkout"), "rehearsal": fmt.Sprintf(flag, "rehearsal")}, says: says, rollouts: map[string]string{"ruled": `[{"id":"1"}]`}}
	f.flags["ruled"] = fmt.Sprintf(plain, "ruled")
	door := levertest.NewDoor(t, "Bearer s3cret", f)
	section.Remote = outside.Remote{URL: door.URL, TokenFile: token(t, "s3cret")}
	section.Environment, section.Flag, section.Drill = "production", "checkout", "rehearsal"
	with := func(change func(s *flipt.Section)) lever.Card {
		s := section
		change(&s)
		return card(s)
	}
	open := func() lever.Driver { return flipt.New(time.Now) }
	bad := map[string]lever.Card{
		"no such flag":    with(func(s *flipt.Section) { s.Flag, s.Drill = "moon", "sun" }),
		"no such variant": with(func(s *flipt.Section) { s.API, s.Variant = flipt.V2, "ajar" }),
		"no such version": with(func(s *flipt.Section) { s.API = "v3" }),
	}
	if section.API == flipt.V1 {
		bad["rollouts that v1 can't set aside"] = with(func(s *flipt.Section) { s.Flag, s.Drill = "ruled", "" })
		delete(bad, "no such variant")
	}
	var race func(func() error)
	if section.API != flipt.V1 {
		race = func(during func() error) {
			door.Before(func() { // a colleague is quicker
				f.mu.Lock()
				defer f.mu.Unlock()
				f.flags["checkout"] = strings.NewReplacer(`"enabled":true`, `"enabled":false`, `"enabled":false`, `"enabled":true`).Replace(f.flags["checkout"])
				f.revision++
			})
			_ = during()
		}
	}
	return &levertest.Outside{
		Lose: door.Lose, Race: race, Bare: with(func(s *flipt.Section) { s.Drill = "" }), Gone: section.API == flipt.V1,
		Stage: &levertest.Stage{
			Driver: open(), Restart: open, Card: card(section), Bad: bad,
			State: func() string { return who(f, "checkout") },
			Drift: func() {
				f.mu.Lock()
				defer f.mu.Unlock()
				if section.API == flipt.V1 {
					f.rollouts["checkout"] = `[{"id":"2"}]`
					return
				}
				var m map[string]any
				must(t, json.Unmarshal([]byte(f.flags["checkout"]), &m))
				m["rules"] = []any{map[string]any{"segments": []any{"beta"}}}
				b, _ := json.Marshal(m)
				f.flags["checkout"] = string(b)
				f.revision++
			},
			Blind: door.Blind, Hang: door.Hang, Fail: door.Fail, Writes: door.Writes,
		},
	}
}

// who is what a flag says, in one order of keys and without what is empty.
func who(f *fake, key string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var m map[string]any
	if json.Unmarshal([]byte(f.flags[key]), &m) != nil {
		return f.flags[key]
	}
	for k, v := range m {
		if list, is := v.([]any); is && len(list) == 0 {
			delete(m, k)
		}
	}
	b, _ := json.Marshal(m)
	return string(b)
}

// What the lever does not move stays, also what was changed meanwhile.
func TestTheRestStays(t *testing.T) {
	t.Parallel()
	f := &fake{flags: map[string]string{"checkout": fmt.Sprintf(boolean, "checkout")}}
	door := levertest.NewDoor(t, "", f)
	d := flipt.New(time.Now)
	p, err := d.Plan(t.Context(), lever.Request{Card: card(flipt.Section{Remote: outside.Remote{URL: door.URL}, Environment: "production", Flag: "checkout"}), Now: time.Now()})
	must(t, err)
	if p.Steps[0].From != "true by its rules" || p.Steps[0].To != "false" {
		t.Errorf("from %q to %q", p.Steps[0].From, p.Steps[0].To)
	}
	must(t, d.Apply(t.Context(), p, 0, lever.Token{}))
	f.mu.Lock()
	f.flags["checkout"] = strings.Replace(f.flags["checkout"], "Card payments", "All payments", 1)
	f.mu.Unlock()
	_, err = d.Revert(t.Context(), p, 0, lever.Token{})
	must(t, err)
	want := strings.Replace(fmt.Sprintf(boolean, "checkout"), "Card payments", "All payments", 1)
	var a, b any
	must(t, json.Unmarshal([]byte(f.flags["checkout"]), &a))
	must(t, json.Unmarshal([]byte(want), &b))
	if x, y := fmt.Sprint(a), fmt.Sprint(b); x != y {
		t.Errorf("got  %s\nwant %s", x, y)
	}
}

// An answer that is no flag is not believed.
func TestNoFlag(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "<html>", "[]", `{"resource":{}}`, `{"resource":{"payload":5}}`, `{"resource":{"payload":{"enabled":true`} {
		door := levertest.NewDoor(t, "", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }))
		_, err := flipt.New(time.Now).Plan(t.Context(), lever.Request{Card: card(flipt.Section{Remote: outside.Remote{URL: door.URL}, Flag: "checkout"}), Now: time.Now()})
		if fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%q: %v", body, err)
		}
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
