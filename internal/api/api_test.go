package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/api"
	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/feature"
	"lifeboat/internal/incident"
	"lifeboat/internal/lever"
	"lifeboat/internal/probe"
	"lifeboat/internal/store"
)

var update = flag.Bool("update", false, "write the reference's files anew")

func reference(name string) string { return filepath.Join("..", "..", "docs", "reference", name) }

// TestThereAndBack plays an incident from the declaration to its end.
func TestThereAndBack(t *testing.T) {
	t.Parallel()
	b := launch(t)
	res := decode[api.Result](t, b.do("POST", "/api/v1/sites/shop/declare", api.DeclareBody{Title: "Nothing loads", Symptom: "nothing-loads"}, 200))
	if res.Incident.Phase != incident.FailOver || res.Incident.Title != "Nothing loads" {
		t.Fatalf("declared: %+v", res.Incident)
	}
	if by := res.Events[0].Actor; by.Name != "Ada" || by.Kind != "person" || by.Via != "api" {
		t.Errorf("declared by %+v, want Ada by the API", by)
	}
	b.do("POST", "/api/v1/sites/shop/notes", api.NoteBody{Text: "The truck is in the data centre."}, 200)
	res = decode[api.Result](t, b.do("POST", "/api/v1/levers/to-standby/pull", api.ReasonBody{Reason: "All of it is down."}, 200))
	if res.Incident.Phase != incident.Diagnose || !res.Incident.Contained() {
		t.Fatalf("pulled: %+v", res.Incident)
	}
	o := decode[api.Overview](t, b.do("GET", "/api/v1/status", nil, 200))
	if got := o.Sites[0].Ordered.Position; got != "standby" {
		t.Errorf("ordered %q, want standby", got)
	}
	b.do("POST", "/api/v1/sites/shop/go-back", api.GoBackBody{Because: "The truck is gone."}, 200)
	b.do("POST", "/api/v1/sites/shop/step-back", nil, 200)
	b.do("POST", "/api/v1/sites/shop/go-back", api.GoBackBody{Because: "The truck is really gone."}, 200)
	res = decode[api.Result](t, b.do("POST", "/api/v1/sites/shop/advance", api.ReasonBody{Reason: "I looked myself."}, 200))
	if res.Incident.Phase != incident.Watch {
		t.Fatalf("went on: %+v", res.Incident)
	}
	b.do("POST", "/api/v1/sites/shop/end-watch", api.ReasonBody{Reason: "It is a test."}, 200)
	res = decode[api.Result](t, b.do("POST", "/api/v1/sites/shop/close", api.ReasonBody{Reason: "Nothing to learn."}, 200))
	if res.Incident.Phase != incident.Closed {
		t.Fatalf("closed: %+v", res.Incident)
	}
	b.timeline(res.Incident.ID)
}

// timeline checks that what was done can be read back in all three ways.
func (b *boat) timeline(id string) {
	b.t.Helper()
	line := decode[api.Timeline](b.t, b.do("GET", "/api/v1/incidents/"+id+"/timeline", nil, 200))
	if !line.Intact || len(line.Events) < 15 || line.Events[0].Type != incident.Declared {
		b.t.Errorf("timeline: intact %v, %d events", line.Intact, len(line.Events))
	}
	in := decode[api.Incident](b.t, b.do("GET", "/api/v1/incidents/"+id, nil, 200))
	if in.Phase != incident.Closed || in.Seq != uint64(len(line.Events)) {
		b.t.Errorf("incident: %s, seq %d of %d", in.Phase, in.Seq, len(line.Events))
	}
	heads := decode[api.Incidents](b.t, b.do("GET", "/api/v1/incidents", nil, 200))
	if len(heads.Incidents) != 1 || heads.Incidents[0].ID != id {
		b.t.Errorf("incidents: %+v", heads)
	}
}

func TestDrillArms(t *testing.T) {
	t.Parallel()
	b := launch(t)
	rec := decode[api.DrillRecord](t, b.do("POST", "/api/v1/levers/to-standby/drill", nil, 200))
	if !rec.OK {
		t.Fatalf("drill: %+v", rec)
	}
	for _, l := range decode[api.Levers](t, b.do("GET", "/api/v1/levers", nil, 200)).Levers {
		if l.Armed != (l.Name == "to-standby") {
			t.Errorf("%s: armed %v", l.Name, l.Armed)
		}
	}
	b.do("POST", "/api/v1/levers/to-standby/pull", nil, 200) // armed: no sentence is asked for
	b.do("POST", "/api/v1/levers/to-standby/put-back", nil, 200)
	b.do("POST", "/api/v1/sites/shop/no-failover", api.ReasonBody{Reason: "Let us look first."}, 200)
}

func TestFeatures(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.do("POST", "/api/v1/levers/close-checkout/pull", api.ReasonBody{Reason: "Cards fail."}, 200)
	for _, f := range decode[api.Features](t, b.do("GET", "/api/v1/features", nil, 200)).Features {
		switch {
		case f.Key == "checkout" && (f.Ordered == nil || string(f.Ordered.Value) != "false" || f.Says != "Card payments"):
			t.Errorf("feature: %+v", f)
		case f.Key != "checkout" && f.Ordered != nil:
			t.Errorf("another one moved: %+v", f)
		}
	}
}

// TestProblems: what goes wrong is told with kind, status, place and remedy.
func TestProblems(t *testing.T) {
	t.Parallel()
	b := launch(t)
	long := strings.Repeat("x", 3000)
	for _, c := range []struct {
		name, method, path string
		body               any
		status             int
		kind               fault.Kind
		says               string
	}{
		{"not armed", "POST", "/api/v1/levers/to-standby/pull", nil, 409, fault.Refused, "never rehearsed"},
		{"unknown lever", "POST", "/api/v1/levers/nope/pull", nil, 404, fault.NotFound, `no lever "nope"`},
		{"unknown site", "POST", "/api/v1/sites/nope/declare", nil, 404, fault.NotFound, `no site "nope"`},
		{"a drill's stand-in", "POST", "/api/v1/sites/shop~drill/declare", nil, 404, fault.NotFound, "no site"},
		{"unknown incident", "GET", "/api/v1/incidents/nope", nil, 404, fault.NotFound, "no incident"},
		{"nothing open", "POST", "/api/v1/sites/shop/cancel", nil, 404, fault.NotFound, "no open incident"},
		{"unknown field", "POST", "/api/v1/sites/shop/declare", `{"titel":"x"}`, 422, fault.Invalid, "unexpected property"},
		{"unknown symptom", "POST", "/api/v1/sites/shop/declare", `{"symptom":"hm"}`, 422, fault.Invalid, "symptom"},
		{"unknown query", "GET", "/api/v1/status?x=1", nil, 422, fault.Invalid, "unknown query parameter"},
		{"from the future", "POST", "/api/v1/sites/shop/declare", `{"first_symptom_at":"2036-01-01T00:00:00Z"}`, 422, fault.Invalid, "future"},
		{"too long a reason", "POST", "/api/v1/levers/to-standby/pull", api.ReasonBody{Reason: long}, 422, fault.Invalid, "length"},
		{"not JSON", "POST", "/api/v1/sites/shop/declare", `{`, 400, fault.Invalid, ""},
		{"no body", "POST", "/api/v1/sites/shop/notes", nil, 400, fault.Invalid, "body is required"},
		{"too much", "POST", "/api/v1/sites/shop/notes", `{"text":"` + strings.Repeat("x", 70<<10) + `"}`, 413, fault.Invalid, ""},
		{"no such route", "GET", "/api/v1/nope", nil, 404, fault.NotFound, "/api/v1/nope"},
		{"no such method", "GET", "/api/v1/levers/to-standby/pull", nil, 405, fault.Invalid, "GET"},
		{"no name", "POST", "/api/v1/tokens", `{"name":" "}`, 422, fault.Invalid, "no name"},
		{"no such token", "DELETE", "/api/v1/tokens/nope", nil, 404, fault.NotFound, "no token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := send(t, b.handler, c.method, c.path, b.raw, c.body)
			if r.status != c.status || r.header.Get("Content-Type") != "application/problem+json" {
				t.Fatalf("status %d (%s), want %d: %s", r.status, r.header.Get("Content-Type"), c.status, r.body)
			}
			p := decode[api.Problem](t, r)
			if p.Status != c.status || p.Kind != c.kind || p.Title != http.StatusText(c.status) {
				t.Errorf("problem %+v, want kind %s", p, c.kind)
			}
			if !strings.Contains(fmt.Sprintf("%s %s %v", p.Detail, p.Place, p.Errors), c.says) {
				t.Errorf("problem %s does not say %q", r.body, c.says)
			}
			if p.Hint == "" && p.Refusal == nil {
				t.Errorf("no next step in %s", r.body)
			}
		})
	}
}

func TestRefusalIsWhole(t *testing.T) {
	t.Parallel()
	b := launch(t)
	p := decode[api.Problem](t, b.do("POST", "/api/v1/levers/to-standby/pull", nil, 409))
	want := &fault.Refusal{Rule: "R1", Reason: `The lever "to-standby" is not armed. It was never rehearsed.`, Satisfy: "Rehearse it in a drill.", Command: "lifeboat drill to-standby", Overridable: true}
	if diff := cmp.Diff(want, p.Refusal); diff != "" {
		t.Error(diff)
	}
}

// TestFailedActTellsIncident: an act that fails after its intent names the incident
// whose timeline tells how far it got.
func TestFailedActTellsIncident(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.world.Store(lever.Unknown)
	r := b.do("POST", "/api/v1/levers/to-standby/pull", api.ReasonBody{Reason: "It is down."}, 503)
	p := decode[api.Problem](t, r)
	if p.Incident == "" || p.Kind != fault.Unavailable || r.header.Get("Retry-After") == "" {
		t.Fatalf("problem %+v, Retry-After %q", p, r.header.Get("Retry-After"))
	}
	in := decode[api.Incident](t, b.do("GET", "/api/v1/incidents/"+p.Incident, nil, 200))
	if len(in.Pulls) != 1 || in.Pulls[0].State != incident.Stuck {
		t.Errorf("incident: %+v", in)
	}
}

// broken is an engine that fails as it is told.
type broken struct {
	api.Engine
	err error
}

func (e broken) Overview(context.Context) (engine.Overview, error) { return engine.Overview{}, e.err }
func (e broken) Do(context.Context, string, incident.Command, incident.Actor) (engine.Result, error) {
	if e.err == nil {
		panic("our own fault")
	}
	return engine.Result{}, e.err
}
func (e broken) Features() ([]feature.Flag, map[string]feature.Order) { return nil, nil }

func TestErrorsBecomeProblems(t *testing.T) {
	t.Parallel()
	b := launch(t)
	f := func(k fault.Kind) error { return fault.New(k, "text").At("place").WithHint("next step") }
	for _, c := range []struct {
		err          error
		status       int
		kind         fault.Kind
		detail, hint string
	}{
		{f(fault.Invalid), 422, fault.Invalid, "text", "next step"},
		{f(fault.NotFound), 404, fault.NotFound, "text", "next step"},
		{f(fault.Conflict), 409, fault.Conflict, "text", "next step"},
		{f(fault.Refused), 409, fault.Refused, "text", "next step"},
		{f(fault.Denied), 403, fault.Denied, "text", "next step"},
		{f(fault.Unavailable), 503, fault.Unavailable, "text", "next step"},
		{f(fault.NotSupported), 501, fault.NotSupported, "text", "next step"},
		{f(fault.Internal), 500, fault.Internal, "text", "next step"},
		{f("new"), 500, "new", "text", "next step"},
		{errors.New("plain"), 500, fault.Internal, "plain", ""},
		{fmt.Errorf("pull x: %w", f(fault.Unavailable)), 503, fault.Unavailable, "pull x: text", "next step"},
		{fault.New(fault.Invalid, "text").Because(errors.New("cause")), 422, fault.Invalid, "text: cause", ""},
		{fmt.Errorf("write: %w", store.ErrConflict), 409, fault.Conflict, "somebody else changed this at the same time", "look again, then try again"},
		{context.DeadlineExceeded, 503, fault.Unavailable, "it took too long", "see where things stand with: lifeboat status"},
		{nil, 500, fault.Internal, "something failed inside lifeboat", "its log tells more"},
	} {
		o := b.options()
		o.Engine = broken{b.engine, c.err}
		r := send(t, api.New(o), "POST", "/api/v1/sites/shop/cancel", b.raw, nil)
		p := decode[api.Problem](t, r)
		if r.status != c.status || p.Kind != c.kind || p.Detail != c.detail || p.Hint != c.hint {
			t.Errorf("%v: %d %+v, want %d %s %q %q", c.err, r.status, p, c.status, c.kind, c.detail, c.hint)
		}
	}
}

// TestWhoMayAsk: without a good token only the four open routes answer.
func TestWhoMayAsk(t *testing.T) {
	t.Parallel()
	b := launch(t)
	revoked, who, err := b.tokens.Create(t.Context(), "Gone")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.tokens.Revoke(t.Context(), who.ID); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][2]int{ // without a token, with one
		"GET /healthz":                           {200, 200},
		"GET /readyz":                            {200, 200},
		"GET /metrics":                           {200, 200},
		"GET /api/openapi.json":                  {200, 200},
		"GET /api/v1/status":                     {401, 200},
		"GET /api/v1/levers":                     {401, 200},
		"GET /api/v1/incidents":                  {401, 200},
		"GET /api/v1/features":                   {401, 200},
		"GET /api/v1/tokens":                     {401, 200},
		"POST /api/v1/tokens":                    {401, 400},
		"DELETE /api/v1/tokens/x":                {401, 404},
		"POST /api/v1/sites/shop/declare":        {401, 200},
		"POST /api/v1/levers/to-standby/pull":    {401, 409},
		"POST /api/v1/sites/shop/auto/resume":    {401, 204},
		"GET /api/v1/nope":                       {401, 404},
		"GET /":                                  {401, 404},
		"GET /api/v1%2Fstatus":                   {401, 404},
		"GET /api//v1/status":                    {401, 307},
		"GET /healthz/../api/v1/status":          {401, 307},
		"HEAD /api/v1/status":                    {401, 200},
		"OPTIONS /api/v1/levers/to-standby/pull": {401, 405},
	} {
		method, url, _ := strings.Cut(path, " ")
		for name, raw := range map[string]string{"none": "", "wrong": "lb_wrong", "revoked": revoked} {
			if r := send(t, b.handler, method, url, raw, nil); r.status != want[0] {
				t.Errorf("%s with token %q: %d, want %d", path, name, r.status, want[0])
			} else if r.status == 401 && !strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s: 401 without WWW-Authenticate", path)
			}
		}
		if r := send(t, b.handler, method, url, b.raw, nil); r.status != want[1] {
			t.Errorf("%s with a good token: %d, want %d: %s", path, r.status, want[1], r.body)
		}
	}
	if heads, err := b.engine.Incidents(t.Context()); err != nil || len(heads) != 1 {
		t.Errorf("%d incidents (%v), want the one that was declared with a token", len(heads), err)
	}
}

func TestOtherSchemes(t *testing.T) {
	t.Parallel()
	b := launch(t)
	for header, want := range map[string]int{
		"Bearer " + b.raw: 200, "bearer  " + b.raw: 200, "Basic " + b.raw: 401, b.raw: 401, "Bearer": 401, "Bearer " + b.raw + "x": 401,
	} {
		req := httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/status", nil)
		req.Header.Set("Authorization", header)
		w := httptest.NewRecorder()
		b.handler.ServeHTTP(w, req)
		if w.Code != want {
			t.Errorf("%q: %d, want %d", header, w.Code, want)
		}
	}
}

// TestRootNeedsNoToken: on control.sock whoever got in is let in, by name.
func TestRootNeedsNoToken(t *testing.T) {
	t.Parallel()
	b := launch(t)
	o := b.options()
	o.Root = true
	h := api.New(o)
	res := decode[api.Result](t, send(t, h, "POST", "/api/v1/sites/shop/declare", "", nil))
	if by := res.Events[0].Actor; by.Name != "root" || by.Kind != "person" {
		t.Errorf("declared by %+v, want root", by)
	}
	if e := res.Events[0]; e.AtSource != incident.FromServer {
		t.Errorf("at_source %q: what is pressed on control.sock happens now", e.AtSource)
	}
	req := httptest.NewRequestWithContext(api.WithPeer(t.Context(), "ada"), "POST", "/api/v1/sites/shop/notes", strings.NewReader(`{"text":"Smoke."}`))
	req.Header.Set(api.ClientHeader, "cli")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	res = decode[api.Result](t, reply{body: w.Body.Bytes()})
	if by := res.Events[0].Actor; by.Name != "ada" || by.Via != "cli" {
		t.Errorf("noted by %+v, want ada by the command line", by)
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	b := launch(t)
	made := decode[api.NewToken](t, b.do("POST", "/api/v1/tokens", api.TokenBody{Name: "Grace"}, 201))
	if r := send(t, b.handler, "GET", "/api/v1/status", made.Text, nil); r.status != 200 {
		t.Fatalf("the new token: %d", r.status)
	}
	list := b.do("GET", "/api/v1/tokens", nil, 200)
	if got := decode[api.TokenList](t, list); len(got.Tokens) != 7 || strings.Contains(string(list.body), made.Text) || strings.Contains(string(list.body), "hash") {
		t.Errorf("tokens: %s", list.body)
	}
	b.do("DELETE", "/api/v1/tokens/"+made.ID, nil, 204)
	if r := send(t, b.handler, "GET", "/api/v1/status", made.Text, nil); r.status != 401 {
		t.Errorf("a revoked token: %d", r.status)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	b := launch(t)
	var h struct {
		OK  bool `json:"ok"`
		PID int  `json:"pid"`
	}
	r := send(t, b.handler, "GET", "/healthz", "", nil)
	if err := json.Unmarshal(r.body, &h); err != nil || !h.OK || h.PID != os.Getpid() {
		t.Errorf("healthz: %s", r.body)
	}
	if r := send(t, b.handler, "GET", "/readyz", "", nil); r.status != 200 {
		t.Errorf("readyz: %d %s", r.status, r.body)
	}
	o := b.options()
	o.Engine = broken{b.engine, errors.New("disk on fire")}
	if r := send(t, api.New(o), "GET", "/readyz", "", nil); r.status != 503 || !strings.Contains(string(r.body), "disk on fire") {
		t.Errorf("readyz without a record: %d %s", r.status, r.body)
	}
	o = b.options()
	o.Ready = func() error { return errors.New("not yet") }
	if r := send(t, api.New(o), "GET", "/readyz", "", nil); r.status != 503 || !strings.Contains(string(r.body), "not yet") {
		t.Errorf("readyz with a condition: %d %s", r.status, r.body)
	}
	apart := launch(t, func(b *boat) { b.wire.connected = false })
	if r := send(t, apart.handler, "GET", "/readyz", "", nil); r.status != 503 || !strings.Contains(string(r.body), "answer process is not connected") {
		t.Errorf("readyz without answer: %d %s", r.status, r.body)
	}
	if r := send(t, apart.handler, "POST", "/api/v1/sites/shop/declare", apart.raw, nil); r.status != 200 {
		t.Errorf("without answer nothing can be declared: %d %s", r.status, r.body)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	b := launch(t)
	found := decode[api.Findings](t, b.do("GET", "/api/v1/check", nil, 200)).Findings
	by := map[string]api.Finding{}
	last := api.SeverityProblem
	order := map[api.Severity]int{api.SeverityProblem: 0, api.SeverityWarning: 1, api.SeverityOK: 2}
	for _, f := range found {
		by[f.Code] = f
		if order[f.Severity] < order[last] {
			t.Errorf("%s comes after %s", f.Severity, last)
		}
		last = f.Severity
		if f.Title == "" || f.Text == "" || (f.Severity != api.SeverityOK && f.Next == "" && f.Code != "lever") {
			t.Errorf("finding without its words: %+v", f)
		}
	}
	for code, want := range map[string]struct {
		severity api.Severity
		text     string
	}{
		"one-name-server": {api.SeverityWarning, "One name server: if this machine dies, your site disappears."},
		"name-server":     {api.SeverityProblem, "does not answer"},
		"ttl":             {api.SeverityWarning, "600 seconds"},
		"one-origin":      {api.SeverityWarning, "One origin"},
		"standby":         {api.SeverityOK, "status page answers"},
		"rehearsed":       {api.SeverityWarning, "never rehearsed"},
		"lever":           {api.SeverityProblem, "Something is missing: add it."},
		"answer":          {api.SeverityOK, "connected"},
		"record":          {api.SeverityOK, "written down"},
	} {
		if f := by[code]; f.Severity != want.severity || !strings.Contains(f.Text, want.text) {
			t.Errorf("%s: %+v, want %s with %q", code, f, want.severity, want.text)
		}
	}
	if f, told := by["configuration"]; told && strings.Contains(f.Text, "are kept for") {
		t.Errorf("the TTL is told twice: %+v", f)
	}
}

func TestCheckTellsWhatIsBroken(t *testing.T) {
	t.Parallel()
	b := launch(t, func(b *boat) {
		b.wire.connected = false
		b.wire.status.Gaps = 3
		b.record = engine.RecordView{Degraded: true, Pending: 2, Reason: "no space left"}
		b.page = probe.Result{Verdict: probe.Fail, Detail: "connection refused"}
	})
	problems := map[string]string{}
	for _, f := range decode[api.Findings](t, b.do("GET", "/api/v1/check", nil, 200)).Findings {
		if f.Severity != api.SeverityOK {
			problems[f.Code] += f.Text
		}
	}
	for code, text := range map[string]string{"answer": "not connected", "record": "no space left", "reports": "3 reports", "standby": "does not answer as it should: connection refused"} {
		if !strings.Contains(problems[code], text) {
			t.Errorf("%s: %q does not say %q", code, problems[code], text)
		}
	}
}

func TestArmedRunsOut(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.do("POST", "/api/v1/levers/to-standby/drill", nil, 200)
	text := func() string {
		for _, f := range decode[api.Findings](t, b.do("GET", "/api/v1/check", nil, 200)).Findings {
			if f.Code == "rehearsed" && f.About == "to-standby" {
				return string(f.Severity) + ": " + f.Text
			}
		}
		return ""
	}
	for _, step := range []struct {
		later time.Duration
		want  string
	}{{0, "ok: Rehearsed"}, {25 * 24 * time.Hour, "warning: Its last rehearsal counts only until"}, {6 * 24 * time.Hour, "warning: Its last rehearsal is too long ago"}} {
		b.clock.advance(step.later)
		if got := text(); !strings.HasPrefix(got, step.want) {
			t.Errorf("%s later: %q, want %q", step.later, got, step.want)
		}
	}
}

// TestOpenAPI compares the committed document with the one that the code makes.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	made, err := api.Document("1")
	if err != nil {
		t.Fatal(err)
	}
	made = append(made, '\n')
	path := reference("openapi.json")
	if *update {
		if err := os.WriteFile(path, made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(kept) != string(made) {
		t.Errorf("%s is not what the code makes; look at the change, then: go test ./internal/api -run OpenAPI -update", path)
	}
	doc, err := openapi3.NewLoader().LoadFromData(made)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") || doc.Paths.Len() < 80 {
		t.Errorf("version %s with %d paths", doc.OpenAPI, doc.Paths.Len())
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.Summary == "" || op.OperationID == "" || op.Responses.Default() == nil || op.Responses.Status(403) == nil {
				t.Errorf("%s %s: no summary, no id or no problem document", method, path)
			}
			if method == "POST" && op.Parameters.GetByInAndName("header", "Idempotency-Key") == nil {
				t.Errorf("%s %s: it does not say that it is done once", method, path)
			}
		}
	}
}
