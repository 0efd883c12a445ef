package web

import (
	"net/http"
	"strings"
	"testing"

	"lifeboat/internal/role"
)

// TestLinksOfOthers: a link that somebody sends may lead to a form. It neither chooses what
// an account may do nor gives another person's reason, and the page says whose account it is.
func TestLinksOfOthers(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.person("eve", "Eve", role.Reporter)
	h := b.handler()
	in := b.cookie(h)
	page := func(path string) string {
		t.Helper()
		w := request(t, h, http.MethodGet, path, nil, with(in))
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %d", path, w.Code)
		}
		return w.Body.String()
	}
	for _, act := range []string{"account-role", "account-password", "account-disable", "account-enable"} {
		got := page("/lifeboat/" + act + "?name=eve&role=admin&password=chosen")
		if head, _, _ := strings.Cut(got, "</h1>"); !strings.Contains(head[strings.LastIndex(head, "<h1"):], "eve") {
			t.Errorf("%s: the page does not say whose account it is", act)
		}
		if !strings.Contains(got, `name="name" value="eve"`) {
			t.Errorf("%s: the form is about nobody", act)
		}
		if strings.Contains(got, `value="admin" checked`) || strings.Contains(got, "chosen") {
			t.Errorf("%s: the link has chosen: %s", act, got)
		}
	}
	if got := page("/lifeboat/account-role?name=eve&role=admin"); !strings.Contains(got, `value="reporter" checked`) {
		t.Error("the role that eve has is not the one that is marked")
	}
	if got := page("/lifeboat/account-add?new_name=mallory&role=admin"); strings.Contains(got, "mallory") || strings.Contains(got, `value="admin" checked`) {
		t.Error("a link fills in a new account")
	}
	if got := page("/sites/shop/go-back?anyway=1&reason=somebody+else+wants+it&text=what+changed"); strings.Contains(got, "somebody else wants it") || !strings.Contains(got, "what changed") {
		t.Error("a link gives the reason for going on anyway")
	}
}
