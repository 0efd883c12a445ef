package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/issuer"
	"lifeboat/internal/role"
)

// friendly is a company's sign-in that lets everybody in as one person; package issuer is
// tested against a real one.
type friendly struct {
	person *issuer.Person
	fresh  *bool
}

// Title implements Company.
func (friendly) Title() string { return "Example SSO" }

// Begin implements Company.
func (f friendly) Begin(_ context.Context, fresh bool) (string, issuer.State, error) {
	*f.fresh = fresh
	return CompanyPath + "?state=s1&code=c", issuer.State{State: "s1", Nonce: "n", Verifier: "v"}, nil // as if it had been there
}

// Finish implements Company.
func (f friendly) Finish(_ context.Context, s issuer.State, q url.Values) (issuer.Person, error) {
	if s.State != q.Get("state") {
		return issuer.Person{}, fault.New(fault.Denied, "this sign-in was not begun in this browser")
	}
	return *f.person, nil
}

// TestCompanySignIn: an account is made, connected by a press of its owner, and proved;
// and it is never the only way.
func TestCompanySignIn(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.person("root", "Root", role.Admin)
	b.person("jonas", "Jonas", role.Operator)
	kim := issuer.Person{Issuer: "https://id.example.com", Subject: "7", Name: "kim@example.com", Title: "Kim", Role: role.Reporter}
	fresh := false
	o := b.options()
	o.Company = friendly{&kim, &fresh}
	h := New(o)
	br := browse(t, h)
	br.open("/sign-in").follow("Sign in with Example SSO").want(http.StatusOK).at("/")
	if fresh {
		t.Error("a usual sign-in asks anew")
	}
	br.open("/account").want(http.StatusOK, "kim", "Connected with https://id.example.com")
	b.wait(11 * time.Minute)
	p := br.open("/account/app").want(http.StatusForbidden, "Show it at Example SSO")
	p.follow("Show it at Example SSO").want(http.StatusOK, "Thank you. Nothing was done yet")
	if !fresh {
		t.Error("a proof takes an old sign-in for a new one")
	}
	br.open("/account/app").want(http.StatusOK, "An app for codes.")

	jonas := browse(t, h)
	jonas.enterAs("jonas")
	ask := jonas.open("/account").follow("Connect it").want(http.StatusOK, "Is this you?", "kim@example.com")
	checkPage(t, ask)
	ask.press("Yes, connect it").want(http.StatusConflict, "is connected with the account kim already")
	kim.Subject, kim.Name = "8", "jonas@example.com"
	ask = jonas.open("/account").follow("Connect it")
	if f, _ := b.accounts.Factors("jonas"); f.Company != "" {
		t.Error("connected without a press")
	}
	ask.press("Yes, connect it").want(http.StatusOK, "is connected with jonas@example.com")
	other := browse(t, h)
	other.open("/sign-in/company").at("/")
	other.open("/account").want(http.StatusOK, "You are signed in as jonas", "operator") // the role is the one that it has here
	other.open("/account").press("Disconnect it").want(http.StatusOK, "not connected")

	stranger := browse(t, h)
	stranger.open(CompanyPath+"?state=s1&code=c").want(http.StatusForbidden, "not begun in this browser")
	w := request(t, h, http.MethodGet, "/sign-in/company", nil, overTLS)
	c := w.Result().Cookies()
	if len(c) != 1 || !strings.HasPrefix(c[0].Name, "__Host-") || !c[0].HttpOnly || !c[0].Secure || c[0].SameSite != http.SameSiteLaxMode {
		t.Errorf("%v", c)
	}
	b.wait(11 * time.Minute)
	if w := request(t, h, http.MethodGet, CompanyPath+"?state=s1&code=c", nil, overTLS, with(c[0])); w.Code != http.StatusForbidden {
		t.Errorf("after ten minutes: %d", w.Code)
	}
}
