package api_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/api"
	"lifeboat/internal/incident"
	"lifeboat/internal/ledger"
	"lifeboat/internal/outbox"
	"lifeboat/internal/role"
)

// TestChangeFromAPipeline: a reporter's token tells of a deployment, with all that is known.
func TestChangeFromAPipeline(t *testing.T) {
	t.Parallel()
	e, b := listen(t)
	no := false
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	r := send(t, b.handler, "POST", "/api/v1/changes", b.as[role.Reporter],
		`{"id":"deploy-1","what":"Release 2.4","kind":"deploy","at":"2026-03-01T08:00:00Z","site":"shop","source":"ci","who":"Ada","ref":"4f2a","host":"web1","service":"shop","reversible":false}`)
	want := ledger.Change{ID: "deploy-1", At: at, Site: "shop", Source: "ci", Kind: "deploy", Who: "Ada", What: "Release 2.4", Ref: "4f2a", Host: "web1", Service: "shop", Reversible: &no}
	if diff := cmp.Diff(want, e.change); r.status != 201 || diff != "" {
		t.Errorf("%d %s: %s", r.status, r.body, diff)
	}
	b.do("POST", "/api/v1/changes", `{"what":"The mail to everybody"}`, 201)
	if e.change.Kind != ledger.Other || e.by.Name != "Ada" {
		t.Errorf("%+v by %+v", e.change, e.by)
	}
	f, _ := reflect.TypeFor[api.ChangeBody]().FieldByName("Kind")
	if got, want := f.Tag.Get("enum"), strings.Join(ledger.Kinds(), ","); got != want {
		t.Errorf("the kinds are %s, the ledger has %s", got, want)
	}
}

// TestChangesAreRanked: by the beginning of the open incident, with people's marks.
func TestChangesAreRanked(t *testing.T) {
	t.Parallel()
	e, b := listen(t)
	began := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	e.in.FirstSymptomAt = began
	e.in.Changes = []incident.Change{{ID: "near", Suspect: true, Note: "hm"}}
	e.changes = []ledger.Change{{ID: "after", At: began.Add(time.Minute)}, {ID: "near", At: began.Add(-time.Minute)}, {ID: "far", At: began.Add(-time.Hour)}}
	got := decode[api.Changes](t, b.do("GET", "/api/v1/changes?site=shop&from=2026-03-01T00:00:00Z&to=2026-03-02T00:00:00Z&limit=7", nil, 200))
	var order []string
	for _, c := range got.Changes {
		order = append(order, c.ID)
	}
	if diff := cmp.Diff([]string{"near", "far", "after"}, order); diff != "" || got.Incident != "01J" {
		t.Errorf("%+v: %s", got, diff)
	}
	if c := got.Changes[0]; !c.Suspect || c.Note != "hm" || !c.Before || c.When != "60 seconds before it began" {
		t.Errorf("the nearest: %+v", c)
	}
	if q := e.query; q.Site != "shop" || q.Limit != 7 || q.From.IsZero() || q.To.IsZero() {
		t.Errorf("asked for %+v", q)
	}
	e.in.Phase = incident.Closed
	if got := decode[api.Changes](t, b.do("GET", "/api/v1/changes?site=shop", nil, 200)); got.Incident != "" || got.Changes[0].ID != "after" || got.Changes[0].When != "" {
		t.Errorf("with nothing open: %+v", got)
	}
	if got := decode[api.Changes](t, b.do("GET", "/api/v1/changes", nil, 200)); len(got.Changes) != 3 || e.query.Limit != 50 {
		t.Errorf("of all sites: %+v, asked for %+v", got, e.query)
	}
	b.do("GET", "/api/v1/changes?site=nope", nil, 404)
	for _, wrong := range []string{"limit=0", "limit=201", "limit=x", "from=yesterday", "sort=up"} {
		b.do("GET", "/api/v1/changes?"+wrong, nil, 422)
	}
}

func TestQueue(t *testing.T) {
	t.Parallel()
	e, b := listen(t)
	if r := b.do("GET", "/api/v1/queue", nil, 200); !strings.Contains(string(r.body), `"messages":[]`) {
		t.Errorf("nothing waits: %s", r.body)
	}
	e.queue = []outbox.Message{{ID: "m1", Channel: "chat", Kind: "update.staff", LastError: "it answered 500"}}
	if got := decode[api.Queue](t, b.do("GET", "/api/v1/queue", nil, 200)); len(got.Messages) != 1 || got.Messages[0].LastError == "" {
		t.Errorf("queue: %+v", got)
	}
	for _, act := range []string{"retry", "drop"} {
		b.do("POST", "/api/v1/queue/m1/"+act, nil, 204)
		if e.did != act+" m1" {
			t.Errorf("%s: %q", act, e.did)
		}
	}
}

// TestWriteUp: in three forms, none of which may run anything.
func TestWriteUp(t *testing.T) {
	t.Parallel()
	e, b := listen(t)
	for query, want := range map[string]string{
		"": "application/json", "?format=json&public=true": "application/json", "?format=markdown": "text/markdown; charset=utf-8", "?format=html": "text/html; charset=utf-8",
	} {
		r := b.do("GET", "/api/v1/incidents/01J/write-up"+query, nil, 200)
		if got := r.header.Get("Content-Type"); got != want || len(r.body) == 0 || !strings.Contains(r.header.Get("Content-Security-Policy"), "sandbox") {
			t.Errorf("%q: %s, policy %q", query, got, r.header.Get("Content-Security-Policy"))
		}
		if public := strings.Contains(query, "public"); e.public != public {
			t.Errorf("%q: public %v", query, e.public)
		}
		if want == "application/json" && !json.Valid(r.body) {
			t.Errorf("%q: %s", query, r.body)
		}
	}
	b.do("GET", "/api/v1/incidents/01J/write-up?format=pdf", nil, 422)
	b.do("GET", "/api/v1/incidents/nope/write-up", nil, 404)
}

// TestAccounts: made, changed, signed out and disabled; no answer tells a password.
func TestAccounts(t *testing.T) {
	t.Parallel()
	b := launch(t)
	const password = "four words in a row"
	made := b.do("POST", "/api/v1/accounts", api.AccountBody{Name: "Grace", Title: "Grace Hopper", Role: "operator", Password: password}, 201)
	if a := decode[api.Account](t, made); a.Name != "grace" || a.Role != role.Operator || a.Title != "Grace Hopper" {
		t.Errorf("made %+v", a)
	}
	b.do("POST", "/api/v1/accounts", api.AccountBody{Name: "grace", Role: "operator", Password: password}, 409)
	weak := b.do("POST", "/api/v1/accounts", api.AccountBody{Name: "eve", Role: "viewer", Password: "hunter2"}, 422)
	if p := decode[api.Problem](t, weak); p.Place != "password" || strings.Contains(string(weak.body), "hunter2") {
		t.Errorf("a weak password: %s", weak.body)
	}
	b.do("POST", "/api/v1/accounts/grace/role", api.RoleBody{Role: "commander"}, 200)
	b.do("POST", "/api/v1/accounts/grace/title", api.TitleBody{Title: "Admiral"}, 200)
	b.do("POST", "/api/v1/accounts/grace/password", api.PasswordBody{Password: "four other words here"}, 200)
	if _, err := b.accounts.SignIn(t.Context(), "grace", "four other words here", "127.0.0.1"); err != nil {
		t.Error(err)
	}
	if _, _, err := b.accounts.Open(t.Context(), sessionOf("grace"), "password"); err != nil {
		t.Fatal(err)
	}
	if s := decode[api.SessionList](t, b.do("GET", "/api/v1/accounts/grace/sessions", nil, 200)); len(s.Sessions) != 1 || s.Sessions[0].Role != role.Commander {
		t.Errorf("sign-ins: %+v", s)
	}
	b.do("DELETE", "/api/v1/accounts/grace/sessions", nil, 204)
	if s := decode[api.SessionList](t, b.do("GET", "/api/v1/accounts/grace/sessions", nil, 200)); len(s.Sessions) != 0 {
		t.Errorf("signed out: %+v", s)
	}
	off := decode[api.Account](t, b.do("POST", "/api/v1/accounts/grace/disable", nil, 200))
	if off.Enabled() {
		t.Errorf("disabled: %+v", off)
	}
	b.do("POST", "/api/v1/accounts/grace/enable", nil, 200)
	b.do("POST", "/api/v1/accounts/nobody/disable", nil, 404)
	b.do("GET", "/api/v1/accounts/nobody/sessions", nil, 404)
	b.do("DELETE", "/api/v1/accounts/nobody/sessions", nil, 404)
	list := b.do("GET", "/api/v1/accounts", nil, 200)
	if got := decode[api.AccountList](t, list); len(got.Accounts) != 1 || got.Accounts[0].Title != "Admiral" || got.Accounts[0].Role != role.Commander {
		t.Errorf("accounts: %s", list.body)
	}
	for _, r := range []reply{made, list} {
		if strings.Contains(string(r.body), "argon2") || strings.Contains(string(r.body), "words") {
			t.Errorf("a password is told: %s", r.body)
		}
	}
}

// TestLastAdminStays: nobody locks everybody out.
func TestLastAdminStays(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.do("POST", "/api/v1/accounts", api.AccountBody{Name: "ada", Role: "admin", Password: "four words in a row"}, 201)
	b.do("POST", "/api/v1/accounts/ada/role", api.RoleBody{Role: "viewer"}, 409)
	b.do("POST", "/api/v1/accounts/ada/disable", nil, 409)
}

func TestNoAccounts(t *testing.T) {
	t.Parallel()
	b := launch(t)
	o := b.options()
	o.Accounts = nil
	h := api.New(o)
	for _, path := range []string{"GET /api/v1/accounts", "GET /api/v1/accounts/a/sessions", "DELETE /api/v1/accounts/a/sessions", "POST /api/v1/accounts/a/disable"} {
		method, url, _ := strings.Cut(path, " ")
		if r := send(t, h, method, url, b.raw, nil); r.status != 501 || decode[api.Problem](t, r).Hint == "" {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	b.do("POST", "/api/v1/tokens", api.TokenBody{Name: "Grace"}, 201)
}

// TestFindings: what lifeboat proposes is judged by its id alone, and people add their own.
func TestFindings(t *testing.T) {
	t.Parallel()
	b := launch(t)
	res := decode[api.Result](t, b.do("POST", "/api/v1/levers/to-standby/pull", api.ReasonBody{Reason: "All of it is down."}, 200))
	at := "/api/v1/incidents/" + res.Incident.ID + "/write-up/findings"
	list := func() []api.WriteUpFinding {
		return decode[api.WriteUpFindings](t, b.do("GET", at, nil, 200)).Findings
	}
	before := list()
	if len(before) == 0 || before[0].Judged || before[0].Text == "" || len(before[0].Events) == 0 {
		t.Fatalf("a lever that was never rehearsed is worth a finding: %+v", before)
	}
	b.do("POST", at, api.FindingBody{ID: before[0].ID, Accepted: true, Note: "True."}, 200)
	b.do("POST", at, api.FindingBody{About: "process", Text: "Nobody knew the password."}, 200)
	b.do("POST", at, api.FindingBody{ID: "nope", Accepted: true}, 404)
	b.do("POST", at, api.FindingBody{Text: "About nothing."}, 422)
	after := list()
	if len(after) != len(before)+1 {
		t.Fatalf("%d findings, then %d", len(before), len(after))
	}
	if f := after[0]; !f.Judged || !f.Accepted || f.Note != "True." || f.Text != before[0].Text {
		t.Errorf("judged: %+v", f)
	}
	if f := after[len(after)-1]; !f.Judged || !f.Accepted || f.Text != "Nobody knew the password." {
		t.Errorf("written: %+v", f)
	}
	page := b.do("GET", "/api/v1/incidents/"+res.Incident.ID+"/write-up?format=html", nil, 200)
	if !strings.Contains(string(page.body), "<html") || strings.Contains(string(page.body), "<script") {
		t.Errorf("page: %.300s", page.body)
	}
}
