package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"lifeboat/internal/api"
	"lifeboat/internal/role"
)

// Signed says whether lifeboat knows who somebody is.
func (r *Reader) Signed() bool {
	r.b.t.Helper()
	r.Open("/")
	return !strings.HasPrefix(r.at.Path, "/sign-in")
}

// TestAccountsOutliveControl: who has signed in stays signed in when control is killed,
// and what an admin does to an account counts at once, and after a restart.
func TestAccountsOutliveControl(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Failover: "off", Undrilled: true})
	admin := b.Person("root", role.Admin)
	crew := b.People("Ada:operator", "Ben:commander", "Vic:viewer")
	ada, ben, vic := crew[0], crew[1], crew[2]
	for _, restart := range []func(){func() {}, b.KillControl, func() { b.KillAnswer(); b.KillControl() }} {
		restart()
		for _, r := range crew {
			if !r.Signed() || !r.Says(r.name) {
				t.Errorf("%s is not signed in any more:\n%s", r.name, r.Text())
			}
		}
	}
	b.Reader("Ada").SignIn("ada", password)

	admin.Do("/accounts/vic/role", api.RoleBody{Role: string(role.Reporter)}, nil)
	if vic.Open("/"); !vic.Can("Something is wrong") {
		t.Error("a reporter can't declare")
	}
	admin.Do("/accounts/ada/password", api.PasswordBody{Password: "four other words entirely"}, nil)
	admin.Do("/accounts/ben/disable", nil, nil)
	for _, restart := range []func(){func() {}, b.KillControl} {
		restart()
		for _, r := range []*Reader{ada, ben} {
			if r.Signed() {
				t.Errorf("%s is still signed in", r.name)
			}
		}
		for name, word := range map[string]string{"ada": password, "ben": password, "vic": "a wrong one altogether", "nobody": password} {
			r := b.Reader(name)
			r.Press("Sign in", typed{"Name": name, "Password": word})
			if r.status != http.StatusForbidden || r.Signed() {
				t.Errorf("%s can sign in with %q: %d", name, word, r.status)
			}
		}
		b.Reader("Ada").SignIn("ada", "four other words entirely")
	}
	vic.Press("Something is wrong", nil)
	if in := b.Incident(); !in.Phase.Open() {
		t.Errorf("the reporter's press opened nothing:\n%s", vic)
	}
	vic.Open("/account")
	vic.Press("Sign out", nil)
	if vic.Signed() {
		t.Error("who signed out is signed in")
	}
	b.secrets(password, "four other words entirely")
}

// secrets checks that nothing that anybody typed to sign in is in a log or in the
// record.
func (b *Boat) secrets(words ...string) {
	b.t.Helper()
	b.Must(filepath.WalkDir(b.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // gone meanwhile, or a socket
		}
		text, err := os.ReadFile(path)
		for _, w := range words {
			if err == nil && strings.Contains(string(text), w) {
				b.t.Errorf("%s holds a password", path)
			}
		}
		return nil
	}))
}

// document is what is needed of the API's own description.
type document struct {
	Paths map[string]map[string]struct {
		Role role.Role `json:"x-role"`
	} `json:"paths"`
}

var parameter = regexp.MustCompile(`\{(\w+)\}`)

// TestRolesBind asks for everything that there is, as everybody who may not, by the API
// and by the pages, and nothing is done.
func TestRolesBind(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Failover: "off", Ready: (*Boat).withRepair})
	var may []*Person
	for _, r := range role.Roles {
		may = append(may, b.Person("the "+string(r), r))
	}
	admin := may[len(may)-1]
	crew := b.People("Ann:admin", "Vic:viewer")
	admin.Do("/sites/shop/declare", api.DeclareBody{Title: "Who may?"}, nil)
	admin.Do("/sites/shop/no-failover", api.ReasonBody{Reason: "It is slow."}, nil)
	admin.Do("/sites/shop/causes", api.CauseBody{Statement: "The disk is full."}, nil)
	admin.Do("/sites/shop/evidence/notes", api.EvidenceNoteBody{Title: "df"}, nil)
	in := b.settled()
	b.byAPI(may, in.ID)
	b.byPages(crew[0], crew[1], in.ID)
	if now := b.settled(); now.Seq != in.Seq {
		t.Errorf("something was done:\n%s", b.Story())
	}
}

// settled is the open incident once nothing is collected any more.
func (b *Boat) settled() (in api.Incident) {
	b.t.Helper()
	same := 0
	b.Eventually("nothing is written any more", func() bool {
		now := b.Incident()
		if now.Seq != in.Seq {
			same = 0
		}
		same, in = same+1, now
		return same > 50
	})
	return in
}

// byAPI asks for every route as everybody below its role.
func (b *Boat) byAPI(may []*Person, id string) {
	t := b.t
	t.Helper()
	var doc document
	res, err := http.Get("http://" + b.Console() + "/api/openapi.json")
	b.Must(err)
	b.Must(json.NewDecoder(res.Body).Decode(&doc))
	b.Must(res.Body.Close())
	real := map[string]string{"site": "shop", "lever": "to-standby", "id": id, "item": "c1", "name": "ann", "plan": "p1", "operation": "p1", "search": "p1", "zone": "shop.example.com"}
	asked := 0
	for path, methods := range doc.Paths {
		to := parameter.ReplaceAllStringFunc(strings.TrimPrefix(path, "/api/v1"), func(p string) string { return real[strings.Trim(p, "{}")] })
		for method, op := range methods {
			method = strings.ToUpper(method)
			if !op.Role.Known() || method != http.MethodGet && op.Role == role.Viewer {
				t.Errorf("%s %s asks for the role %q", method, path, op.Role)
			}
			for _, p := range may {
				if !p.may.AtLeast(op.Role) {
					asked++
					p.Fails(http.StatusForbidden, method, to, map[string]any{})
				}
			}
			(&Person{b: b, name: "nobody", text: "wrong"}).Fails(http.StatusUnauthorized, method, to, map[string]any{})
		}
	}
	if asked < 100 {
		t.Errorf("only %d routes were tried", asked)
	}
}

// byPages sends every form that an admin has on a page, as a viewer.
func (b *Boat) byPages(admin, viewer *Reader, id string) {
	t := b.t
	t.Helper()
	at := "/incidents/" + id
	sent := map[string]bool{}
	for _, page := range []string{
		"/", "/sites/shop", "/levers", "/features", "/follow-ups", "/settings", "/changes", "/messages", "/accounts", "/accounts/vic", at, at + "/evidence", at + "/crew", at + "/write-up", "/lifeboat/change",
		"/sites/shop/weigh?cause=c1", "/sites/shop/test?cause=c1", "/sites/shop/confirm?cause=c1", "/sites/shop/rule-out?cause=c1", "/sites/shop/tell", "/sites/shop/cancel",
	} {
		admin.Open(page)
		forms := all(admin.page, func(n *html.Node) bool { return n.DataAtom == atom.Form })
		if admin.status != http.StatusOK {
			t.Errorf("%s is answered with %d", page, admin.status)
		}
		for _, form := range forms {
			action := get(form, "action")
			if slices.Contains([]string{"/sign-out", "/account/leave-all", "/account/password", "/language"}, action) {
				continue // their own
			}
			f := admin.fields(form)
			for i := range f.list {
				switch x := f.list[i]; {
				case get(x.node, "type") == "date":
					f.list[i].value = time.Now().AddDate(0, 0, 7).Format(time.DateOnly)
				case x.value == "" && !x.file:
					f.list[i].value = "Because I want it."
				}
			}
			viewer.at = admin.at
			viewer.submit(form, f)
			sent[action] = true
			if viewer.status != http.StatusForbidden {
				t.Errorf("a viewer may %s: %d\n%s", action, viewer.status, viewer.Text())
			}
		}
	}
	if len(sent) < 20 {
		t.Errorf("only %d forms were tried: %v", len(sent), sent)
	}
}
