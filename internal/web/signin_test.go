package web

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
	"github.com/pquerna/otp/totp"

	"lifeboat/internal/account"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/issuer"
	"lifeboat/internal/role"
	"lifeboat/internal/store/mem"
)

// code is what an app shows some time from now.
func (b *boat) code(secret string, later time.Duration) string {
	b.t.Helper()
	c, err := totp.GenerateCode(secret, b.clock().Add(later))
	must(b.t, err)
	return c
}

// TestSecondFactor: from the page of an account to a sign-in with a code, and with a
// recovery code.
func TestSecondFactor(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.person("jonas", "Jonas", role.Operator)
	br := browse(t, b.handler())
	br.enterAs("jonas")
	p := br.open("/account").follow("Set it up")
	checkPage(t, p)
	secret := p.field("secret")
	if len(p.all("img")) != 1 || !p.says(secret) {
		t.Error("the secret is not shown as a picture and as text")
	}
	p = p.press("Ask for its codes from now on", "code=000000").want(http.StatusBadRequest, "This is not the code that the app shows now.")
	if p.field("secret") != secret {
		t.Error("a slip of the finger costs the secret that the app has already")
	}
	p = p.press("Ask for its codes from now on", "code="+b.code(secret, 0)).want(http.StatusOK, "Now make recovery codes")
	p = p.press("Make ten").want(http.StatusOK, "They are shown this once.")
	checkPage(t, p)
	codes := regexp.MustCompile(`<code>([0-9a-z-]{19})</code>`).FindAllStringSubmatch(p.raw, -1)
	if len(codes) != 10 || strings.Contains(p.url.String(), codes[0][1]) {
		t.Fatalf("%d codes at %s", len(codes), p.url)
	}
	br.open("/account").want(http.StatusOK, "10 left of ten")

	b.wait(10 * time.Minute)
	other := browse(t, b.handler())
	half := other.open("/sign-in").press("Sign in", "name=jonas", "password="+password).want(http.StatusOK, "One more step.")
	checkPage(t, half)
	if other.open("/account").url.Path != "/sign-in" {
		t.Fatal("a password alone lets in")
	}
	half.press("Go on", "code=000000").want(http.StatusForbidden, "This code is not right").press("Go on", "code="+b.code(secret, 0)).at("/")
	third := browse(t, b.handler())
	half = third.open("/sign-in").press("Sign in", "name=jonas", "password="+password)
	half.press("Go on", "code="+b.code(secret, 0)).want(http.StatusForbidden, "was used before")
	half.press("Go on", "code="+codes[2][1]).want(http.StatusOK, "9 are left.").at("/account")
	half.press("Go on", "code="+codes[2][1]).want(http.StatusForbidden)
	late := browse(t, b.handler()).open("/sign-in").press("Sign in", "name=jonas", "password="+password)
	b.wait(6 * time.Minute)
	late.press("Go on", "code="+b.code(secret, 0)).want(http.StatusForbidden, "Too much time has passed", "Sign in from the beginning")
}

// TestSessionFixation: no text that a browser brought becomes somebody's sign-in, at none
// of the doors.
func TestSessionFixation(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.person("jonas", "Jonas", role.Operator)
	h := b.handler()
	attackers := b.cookie(h)
	for name, form := range map[string]url.Values{"/sign-in": {"token": {b.token}}, "/sign-in/name": {"name": {"jonas"}, "password": {password}}} {
		for _, planted := range []*http.Cookie{attackers, {Name: cookieName, Value: "planted"}, {Name: secureCookie, Value: attackers.Value}} {
			w := request(t, h, http.MethodPost, name, form, with(planted))
			if c := cookieOf(t, w); c.Value == planted.Value {
				t.Errorf("%s: the browser keeps its old text", name)
			}
			if w.Code != http.StatusSeeOther {
				t.Errorf("%s: %d", name, w.Code)
			}
		}
	}
	if letsIn(t, h, attackers) {
		t.Error("what was planted is still good")
	}
}

// TestShowOnceMore: what changes who may do what asks for a proof of the last ten minutes,
// keeps what was typed, and the way to safety never asks.
func TestShowOnceMore(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.person("root", "Root", role.Admin)
	b.person("jonas", "Jonas", role.Operator)
	br := browse(t, b.handler())
	br.enterAs("root")
	br.open("/lifeboat/account-invite").press("Invite somebody", "new_name=kim", "role=viewer").want(http.StatusOK, "Hand this to them.", "counts once")
	b.wait(11 * time.Minute)
	p := br.open("/lifeboat/account-role?name=jonas").press("Change the role", "role=admin").want(http.StatusForbidden, "Show once more who you are.", "Nothing was done yet")
	checkPage(t, p)
	if a, _ := b.accounts.Get("jonas"); a.Role != role.Operator {
		t.Fatal("it was done without a proof")
	}
	p.press("Go on", "proof=wrong words entirely").want(http.StatusForbidden, "That is not right, so nothing was done.")
	p = p.press("Go on", "proof="+password).want(http.StatusOK, "Thank you. Nothing was done yet.")
	if a, _ := b.accounts.Get("jonas"); a.Role != role.Operator {
		t.Fatal("it was done without a press")
	}
	p.press("Change the role").want(http.StatusOK, "jonas is admin now.")
	b.wait(11 * time.Minute)
	for _, path := range []string{"/account/app", "/account/codes", "/account/passkey", "/account/company/off"} {
		method := http.MethodPost
		if path == "/account/passkey" {
			method = http.MethodGet
		}
		r, err := http.NewRequestWithContext(t.Context(), method, br.base+path, nil)
		must(t, err)
		br.send(r).want(http.StatusForbidden, "Show once more who you are.")
	}
	for _, name := range []string{"account-add", "account-invite", "account-role", "account-password", "account-reset", "account-disable", "account-enable", "rows-purge", "rows-discard", "redact"} {
		if !acts[name].prove {
			t.Errorf("%s asks for no proof", name)
		}
	}
	for name, a := range acts {
		anybody := a.forbidden(scope{who: account.Session{Role: role.Reporter}}) == ""
		if a.prove && (a.safe || anybody || name == "pull" || name == "declare" || name == "step-back") {
			t.Errorf("%s leads to safety, or anybody may, and it asks for a proof", name)
		}
	}
	br.open("/").press("Something is wrong").want(http.StatusOK)
	if b.in().Phase == incident.None {
		t.Error("the way to safety was held up")
	}
	ada := browse(t, b.handler())
	ada.enter(b)
	b.wait(11 * time.Minute)
	p = ada.open("/lifeboat/account-disable?name=jonas").press("Disable the account").want(http.StatusForbidden, "Your token, once more")
	p.press("Go on", "proof="+b.token).want(http.StatusOK, "Nothing was done yet.").press("Disable the account").want(http.StatusOK, "can’t sign in any more")
}

// TestWelcome: an invitation leads to an account whose password only its owner knows.
func TestWelcome(t *testing.T) {
	t.Parallel()
	b := launch(t)
	admin := browse(t, b.handler())
	p := admin.enter(b).b.open("/accounts").follow("Ada") // her own page says what to do where there is no account
	p.want(http.StatusOK, "Make the first account").follow("Invite somebody")
	p = admin.open("/lifeboat/account-invite").press("Invite somebody", "new_name=kim", "title=Kim <b>", "role=commander").want(http.StatusOK, "Hand this to them.")
	code := regexp.MustCompile(`<code>([0-9a-z-]{19})</code>`).FindStringSubmatch(p.raw)
	if code == nil || strings.Contains(p.url.String(), code[1]) {
		t.Fatalf("%s: %s", p.url, p.text())
	}
	kim := browse(t, b.handler())
	w := kim.open("/welcome")
	checkPage(t, w)
	w.press("Come in", "invitation="+code[1], "password=four other words", "again=five other words").want(http.StatusBadRequest, "are not the same")
	w.press("Come in", "invitation="+code[1], "password=short", "again=short").want(http.StatusBadRequest, "fewer than 12")
	w.press("Come in", "invitation=0000-0000-0000-0000", "password="+password, "again="+password).want(http.StatusForbidden, "does not count")
	w.press("Come in", "invitation="+code[1], "password="+password, "again="+password).want(http.StatusOK, "Your name for signing in is kim", "Kim <b>").at("/account")
	w.press("Come in", "invitation="+code[1], "password="+password, "again="+password).want(http.StatusForbidden, "counts no more")
}

// TestCarriedForms: what may wait beside a sign-in, and what may not.
func TestCarriedForms(t *testing.T) {
	t.Parallel()
	b := launch(t)
	looking(b)
	h := b.handler()
	big := strings.Repeat("ü\"<&", 7000) // a form that is nearly full
	lost := request(t, h, http.MethodPost, "/sites/shop/note", url.Values{"text": {big}})
	if lost.Code == http.StatusRequestEntityTooLarge {
		big = strings.Repeat("ü", 10000)
		lost = request(t, h, http.MethodPost, "/sites/shop/note", url.Values{"text": {big}})
	}
	if lost.Code != http.StatusForbidden || !strings.Contains(lost.Body.String(), "then.text") {
		t.Fatalf("%d: %.300s", lost.Code, lost.Body)
	}
	for path, keeps := range map[string]bool{
		"/sites/shop/note": true, "/sites/nowhere/note": true, "/incidents/x/note": true, "/lifeboat/change": true,
		"https://evil.example/sites/shop/note": false, "//evil.example/lifeboat/change": false, "/sites/shop/nothing": false, "/account/password": false, "/lifeboat/change?x=y": false,
		"javascript:alert(1)": false, "": false, "/sites/../lifeboat/x/change": false,
	} {
		form := url.Values{"token": {"lb_wrong"}, "then": {path}, "then.text": {"typed <script>"}, "then.password": {"a secret of mine"}}
		w := request(t, h, http.MethodPost, "/sign-in", form)
		if got := strings.Contains(w.Body.String(), "then.text"); got != keeps {
			t.Errorf("%s waits: %v, want %v", path, got, keeps)
		}
		if strings.Contains(w.Body.String(), "a secret of mine") || strings.Contains(w.Body.String(), "typed <script>") {
			t.Errorf("%s: a secret was shown again, or typed text is run", path)
		}
		b.wait(tryEvery)
	}
	seq := b.in().Seq
	w := request(t, h, http.MethodPost, "/sign-in", url.Values{"token": {b.token}, "then": {"/sites/shop/note"}, "then.text": {big}})
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Nothing was done yet.") || b.in().Seq != seq {
		t.Errorf("%d, %d events: %.300s", w.Code, b.in().Seq-seq, w.Body)
	}
}

// hanging is a company's sign-in that is down.
type hanging struct{ err error }

// Title implements Company.
func (hanging) Title() string { return "Example SSO" }

// Begin implements Company.
func (h hanging) Begin(context.Context, bool) (string, issuer.State, error) {
	return "", issuer.State{}, h.err
}

// Finish implements Company.
func (h hanging) Finish(context.Context, issuer.State, url.Values) (issuer.Person, error) {
	return issuer.Person{}, h.err
}

// TestCompanyIsDown: the page of all other ways is the answer, and they work.
func TestCompanyIsDown(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.person("jonas", "Jonas", role.Operator)
	o := b.options()
	o.Company = hanging{fault.New(fault.Unavailable, "Example SSO can’t be reached").WithHint("sign in with your name and password")}
	br := browse(t, New(o))
	p := br.open("/sign-in").follow("Sign in with Example SSO").want(http.StatusServiceUnavailable, "Example SSO can’t be reached", "Sign in with your name and password")
	p.press("Sign in", "name=jonas", "password="+password).at("/")
	for _, path := range []string{CompanyPath, CompanyPath + "?state=x&code=y"} {
		browse(t, New(o)).open(path).want(http.StatusForbidden, "not begun in this browser")
	}
}

// TestPasskeysInABrowser: a real browser with an authenticator makes a passkey, signs in
// with it without a name, shows with it once more who it is, and can't without it.
func TestPasskeysInABrowser(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a browser")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("SKIP-LOUD: chromium is not there; make deps installs it")
	}
	b := launch(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	base := fmt.Sprintf("http://localhost:%d", ln.Addr().(*net.TCPAddr).Port)
	b.accounts, err = account.New(t.Context(), account.Options{Store: mem.New(mem.Options{}), Now: b.clock, Logger: slog.New(slog.DiscardHandler), Console: base})
	must(t, err)
	b.person("jonas", "Jonas", role.Admin)
	o := b.options()
	o.URL = base
	server := httptest.NewUnstartedServer(New(o))
	must(t, server.Listener.Close())
	server.Listener = ln
	server.Start()
	t.Cleanup(server.Close)
	tab := openTab(t, path)
	run := func(what string, steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		ctx, cancel := context.WithTimeout(tab, 40*time.Second)
		defer cancel()
		if err := chromedp.Do(ctx, steps...); err != nil {
			said, _ := chromedp.Run(tab, chromedp.Evaluate[string](`document.body.innerText`))
			t.Fatalf("%s: %v\n%s", what, err, said)
		}
	}
	until := func(what, words string) {
		t.Helper()
		quoted, err := json.Marshal(words)
		must(t, err)
		for deadline := time.Now().Add(40 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			is, err := chromedp.Run(tab, chromedp.Evaluate[bool](`document.body !== null && document.body.innerText.includes(`+string(quoted)+`)`))
			if err == nil && is {
				return
			}
			if time.Now().After(deadline) {
				said, _ := chromedp.Run(tab, chromedp.Evaluate[string](`document.body.innerText`))
				t.Fatalf("%s: not in time:\n%s", what, said)
			}
		}
	}
	_, err = chromedp.Call(tab, webauthn.Enable, webauthn.EnableParams{})
	must(t, err)
	_, err = chromedp.Call(tab, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
		HasResidentKey: true, HasUserVerification: true, AutomaticPresenceSimulation: true, IsUserVerified: true,
	}})
	must(t, err)
	run("sign in", chromedp.Navigate(base+"/sign-in"), chromedp.WaitVisible("#name"), chromedp.SendKeys("#name", "jonas"), chromedp.SendKeys("#password", password), chromedp.Click(`form[action="/sign-in/name"] button`))
	until("the first page", "Something is wrong")
	run("make a passkey", chromedp.Navigate(base+"/account/passkey"), chromedp.WaitVisible("#label"), chromedp.SendKeys("#label", "blue key"), chromedp.Click(`form[action="/account/passkey"] button`))
	until("it is made", "You can sign in with blue key now.")
	until("it is listed", "not used yet")
	f, err := b.accounts.Factors("jonas")
	must(t, err)
	if len(f.Passkeys) != 1 || f.Passkeys[0].Label != "blue key" || !b.accounts.Wants("jonas") {
		t.Fatalf("%+v", f)
	}
	run("again", chromedp.Navigate(base+"/account/passkey"), chromedp.WaitVisible("#label"), chromedp.SendKeys("#label", "the same"), chromedp.Click(`form[action="/account/passkey"] button`))
	until("it is there", "This passkey is here already.")
	run("sign out", chromedp.Navigate(base+"/account"), chromedp.WaitVisible(`form[action="/sign-out"] button`), chromedp.Click(`form[action="/sign-out"] button`))
	until("signed out", "Sign in with a passkey")
	run("sign in by passkey", chromedp.Click(`form[action="/sign-in/passkey"] button`))
	until("in, without a name", "Something is wrong")
	b.wait(11 * time.Minute)
	run("something dangerous", chromedp.Navigate(base+"/account/app"))
	until("asks", "Show once more who you are.")
	run("show it", chromedp.Click(`form[action="/account/prove"][data-passkey] button`))
	until("shown", "Thank you. Nothing was done yet: press again.")
	until("last used", "last used")
	s := b.accounts.Sessions(account.OfAccount("jonas"))
	if len(s) != 1 || s[0].How != "passkey" {
		t.Errorf("%+v", s)
	}
}
