package api_test

import (
	"encoding/json"
	"strings"
	"testing"

	"lifeboat/internal/api"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/role"
	"lifeboat/internal/token"
)

// routeOf is an operation as the document tells of it.
type routeOf struct {
	method, path string
	least        role.Role
}

// allRoutes reads every operation from the document, with something in the place of what
// its path names.
func allRoutes(t *testing.T) []routeOf {
	t.Helper()
	made, err := api.Document("1")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]struct {
			Role role.Role `json:"x-role"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(made, &doc); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("{site}", "shop", "{lever}", "to-standby", "{item}", "x1", "{id}", "x", "{name}", "nobody")
	var out []routeOf
	for path, item := range doc.Paths {
		for method, op := range item {
			out = append(out, routeOf{strings.ToUpper(method), fill.Replace(path), op.Role})
		}
	}
	if len(out) < 80 {
		t.Fatalf("only %d operations were found", len(out))
	}
	return out
}

// TestEveryRouteAsksForARole: none lets in who may less than it says, and whoever may that
// much is not stopped at the door.
func TestEveryRouteAsksForARole(t *testing.T) {
	t.Parallel()
	b := launch(t)
	for _, r := range allRoutes(t) {
		if !r.least.Known() {
			t.Errorf("%s %s asks for no role", r.method, r.path)
			continue
		}
		if r.method != "GET" && !r.least.AtLeast(role.Reporter) {
			t.Errorf("%s %s is open to who may only look", r.method, r.path)
		}
		for _, who := range role.Roles {
			got := send(t, b.handler, r.method, r.path, b.as[who], nil)
			if enough := who.AtLeast(r.least); enough != (got.status != 403) {
				t.Errorf("%s %s as %s, which asks for %s: %d %s", r.method, r.path, who, r.least, got.status, got.body)
			} else if !enough {
				p := decode[api.Problem](t, got)
				if p.Kind != fault.Denied || !strings.Contains(p.Hint, string(r.least)) {
					t.Errorf("%s %s as %s: %+v does not name the role %s", r.method, r.path, who, p, r.least)
				}
			}
		}
	}
}

// TestRolesOfActs: those that the brief of each role promises.
func TestRolesOfActs(t *testing.T) {
	t.Parallel()
	want := map[string]role.Role{
		"POST /api/v1/sites/shop/declare":          role.Reporter,
		"POST /api/v1/sites/shop/step-back":        role.Reporter,
		"POST /api/v1/levers/to-standby/pull":      role.Reporter,
		"POST /api/v1/sites/shop/evidence":         role.Reporter,
		"POST /api/v1/changes":                     role.Reporter,
		"POST /api/v1/sites/shop/causes":           role.Operator,
		"POST /api/v1/sites/shop/fix/approve":      role.Operator,
		"POST /api/v1/levers/to-standby/drill":     role.Operator,
		"POST /api/v1/queue/x/drop":                role.Operator,
		"POST /api/v1/sites/shop/auto/resume":      role.Commander,
		"POST /api/v1/sites/shop/close":            role.Commander,
		"POST /api/v1/incidents/x/write-up/finish": role.Commander,
		"GET /api/v1/tokens":                       role.Admin,
		"POST /api/v1/accounts/nobody/password":    role.Admin,
		"DELETE /api/v1/accounts/nobody/sessions":  role.Admin,
		"GET /api/v1/status":                       role.Viewer,
		"GET /api/v1/incidents/x/evidence/x1":      role.Viewer,
	}
	for _, r := range allRoutes(t) {
		name := r.method + " " + r.path
		if least, named := want[name]; named && least != r.least {
			t.Errorf("%s asks for %s, want %s", name, r.least, least)
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("there is no %s", name)
	}
}

// TestActorHasARole: the heart is told what the token may do, and it decides alike.
func TestActorHasARole(t *testing.T) {
	t.Parallel()
	b := launch(t)
	res := decode[api.Result](t, send(t, b.handler, "POST", "/api/v1/sites/shop/declare", b.as[role.Reporter], nil))
	if by := res.Events[0].Actor; by.Role != "reporter" || by.Name != "a reporter" {
		t.Errorf("declared by %+v", by)
	}
	r := send(t, b.handler, "POST", "/api/v1/sites/shop/close", b.as[role.Commander], api.ReasonBody{Reason: "Nothing to learn."})
	if r.status != 409 {
		t.Errorf("a commander closes too early: %d %s", r.status, r.body)
	}
	why := api.ReasonBody{Reason: "All of it is down."}
	if r := send(t, b.handler, "POST", "/api/v1/levers/to-standby/pull", b.as[role.Reporter], why); r.status != 200 {
		t.Errorf("a reporter pulls a lever that is not armed, with a sentence: %d %s", r.status, r.body)
	}
}

// newer are tokens of a version that knows other roles.
type newer struct {
	api.Tokens
	may role.Role
}

func (n newer) Verify(string) (token.Identity, error) {
	return token.Identity{ID: "x", Name: "X", Role: n.may}, nil
}

// TestUnknownRolesOpenNothing: neither a role of a newer version nor none at all lets
// anybody change something.
func TestUnknownRolesOpenNothing(t *testing.T) {
	t.Parallel()
	b := launch(t)
	for may, want := range map[role.Role][2]int{"captain": {403, 403}, "": {200, 403}} {
		o := b.options()
		o.Tokens = newer{b.tokens, may}
		h := api.New(o)
		for i, path := range []string{"GET /api/v1/status", "POST /api/v1/sites/shop/declare"} {
			method, url, _ := strings.Cut(path, " ")
			if r := send(t, h, method, url, "lb_x", nil); r.status != want[i] {
				t.Errorf("%s with the role %q: %d, want %d", path, may, r.status, want[i])
			}
		}
	}
	if in, err := b.engine.Incidents(t.Context()); err != nil || len(in) > 0 {
		t.Errorf("%d incidents (%v), want none", len(in), err)
	}
	if incident.May(incident.Declare{}, incident.Actor{Kind: "person"}) == nil {
		t.Error("the heart lets in who has no role")
	}
}

// TestStrangePathsAskToo: what is no route is no way around the check.
func TestStrangePathsAskToo(t *testing.T) {
	t.Parallel()
	b := launch(t)
	for path, want := range map[string]int{
		"POST /api/v1//sites/shop/declare": 403, "POST /api/v1/nope": 404, "DELETE /api/v1/sites/shop/declare": 405,
		"GET /api/v1//status": 307, "GET /api/v1/nope": 404,
	} {
		method, url, _ := strings.Cut(path, " ")
		if r := send(t, b.handler, method, url, b.as[role.Viewer], nil); r.status != want {
			t.Errorf("%s: %d, want %d", path, r.status, want)
		}
	}
	if in, err := b.engine.Incidents(t.Context()); err != nil || len(in) > 0 {
		t.Errorf("%d incidents (%v), want none", len(in), err)
	}
}

// TestForgottenRoutesAreClosed: a route that names no role is for admins alone.
func TestForgottenRoutesAreClosed(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]role.Role{"POST /api/v1/forgotten": role.Admin, "DELETE /x": role.Admin, "GET /api/v1/forgotten": role.Viewer, "/": role.Viewer} {
		method, _, _ := strings.Cut(pattern, " ")
		if got := api.LeastFor(pattern, method); got != want {
			t.Errorf("%s asks for %s, want %s", pattern, got, want)
		}
	}
}
