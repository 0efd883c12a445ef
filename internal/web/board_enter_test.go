package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"lifeboat/internal/board"
	"lifeboat/internal/board/door"
	"lifeboat/internal/issuer"
	"lifeboat/internal/role"
)

// private makes the boat's status page one that is read by signing in.
func (b *boat) private() *door.Ring {
	b.t.Helper()
	d := b.writing()
	pages := d.Settings().Pages
	pages[0].Private = &board.Private{SignIn: true, Console: "https://lifeboat.example.net", Key: []byte("k")}
	return door.New(b.clock)
}

// TestEnterStatusPage: who comes from the status page signs in and is led back with a pass
// in a form: in no address, for that browser, to the page that the configuration names.
func TestEnterStatusPage(t *testing.T) {
	t.Parallel()
	b := launch(t)
	ring := b.private()
	b.person("jonas", "Jonas", role.Viewer)
	o := b.options()
	o.Passes = ring.Mint
	h := New(o)
	secret := "a secret of one browser"
	path := enterPath + "?" + url.Values{"page": {"main"}, "browser": {board.Bound(secret)}, "to": {"https://evil.example"}}.Encode()
	takes := func(p *sheet) {
		t.Helper()
		p.want(http.StatusOK, "You may read Harbour Goods.", "Open the status page")
		form := p.all("form")
		last := form[len(form)-2] // the choice of a language is below it
		pass := p.filled(last).Get("pass")
		if to := get(last, "action"); to != "https://status.example.org/unlock" || get(last, "method") != "post" {
			t.Errorf("the form leads to %q", to)
		}
		read, ok := board.ReadPass(ring.Keys(), "main", pass)
		if !ok || !read.Enters(secret, b.clock()) || strings.Contains(p.url.String(), pass) || strings.Contains(p.raw, "evil") {
			t.Errorf("%+v %v at %s", read, ok, p.url)
		}
		if policy := p.header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' https://status.example.org;") || p.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v", p.header)
		}
	}
	br := browse(t, h)
	takes(br.open(path).want(http.StatusOK, "Then you are led back to the status page.").press("Sign in", "name=jonas", "password="+password))
	takes(br.open(path)) // signed in already
	wrong := browse(t, h).open(path).press("Sign in", "name=jonas", "password=not this one").want(http.StatusForbidden)
	takes(wrong.press("Sign in", "name=jonas", "password="+password))
	for _, bad := range []string{"?page=other&browser=" + board.Bound(secret), "?page=main", "?page=main&browser=short", "?page=main&browser=" + strings.Repeat("A", 4000), ""} {
		if p := br.open(enterPath + bad); p.status != http.StatusNotFound && p.status != http.StatusBadRequest || strings.Contains(p.raw, `name="pass"`) {
			t.Errorf("%s: %d", bad, p.status)
		}
	}
	if p := browse(t, h).open(enterPath + "?page=//evil&browser=x"); strings.Contains(p.raw, "evil") {
		t.Errorf("what is no browser is carried along: %s", p.text())
	}
	pages := b.words.Settings().Pages
	pages[0].Private.SignIn = false
	br.open(path).want(http.StatusNotFound, "no such status page")
}

// TestEnterByTheCompany: the way by the company's own sign-in leads there, too.
func TestEnterByTheCompany(t *testing.T) {
	t.Parallel()
	b := launch(t)
	ring := b.private()
	o := b.options()
	o.Passes = ring.Mint
	kim, fresh := issuer.Person{Issuer: "https://id.example.com", Subject: "7", Name: "kim@example.com", Title: "Kim", Role: role.Viewer}, false
	o.Company = friendly{&kim, &fresh}
	br := browse(t, New(o))
	p := br.open(enterPath+"?page=main&browser="+board.Bound("one")).follow("Sign in with Example SSO").want(http.StatusOK, "You may read Harbour Goods.")
	form := p.all("form")
	if pass, ok := board.ReadPass(ring.Keys(), "main", p.filled(form[len(form)-2]).Get("pass")); !ok || !pass.Enters("one", b.clock()) {
		t.Errorf("%+v %v", pass, ok)
	}
	br.open("/sign-in/company?page=main&browser=nonsense").want(http.StatusOK).at("/")
}
