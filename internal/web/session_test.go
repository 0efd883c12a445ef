package web

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/incident"
	"lifeboat/internal/role"
)

// request sends one request to the handler, past any browser.
func request(t *testing.T, h http.Handler, method, path string, form url.Values, change ...func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func from(addr string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = addr } }

func with(c *http.Cookie) func(*http.Request) { return func(r *http.Request) { r.AddCookie(c) } }

func header(key, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(key, value) }
}

func overTLS(r *http.Request) { r.TLS = &tls.ConnectionState{} }

var wrong = url.Values{"token": {"lb_wrong"}}

// cookie signs in with the boat's token and gives the cookie.
func (b *boat) cookie(h http.Handler, change ...func(*http.Request)) *http.Cookie {
	b.t.Helper()
	w := request(b.t, h, http.MethodPost, "/sign-in", url.Values{"token": {b.token}}, change...)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/" {
		b.t.Fatalf("sign-in gave %d to %q: %s", w.Code, w.Header().Get("Location"), w.Body)
	}
	return cookieOf(b.t, w)
}

func cookieOf(t *testing.T, w *httptest.ResponseRecorder) *http.Cookie {
	t.Helper()
	for _, c := range w.Result().Cookies() {
		if strings.HasSuffix(c.Name, cookieName) {
			return c
		}
	}
	t.Fatal("no cookie")
	return nil
}

// letsIn says whether the cookie opens the first page.
func letsIn(t *testing.T, h http.Handler, c *http.Cookie, change ...func(*http.Request)) bool {
	t.Helper()
	w := request(t, h, http.MethodGet, "/", nil, append(change, with(c))...)
	if w.Code == http.StatusSeeOther && w.Header().Get("Location") != "/sign-in" {
		t.Errorf("leads to %s", w.Header().Get("Location"))
	}
	return w.Code == http.StatusOK && strings.Contains(w.Body.String(), "Example Shop")
}

func TestCookie(t *testing.T) {
	t.Parallel()
	b := launch(t)
	h := b.handler()
	for name, safe := range map[string]bool{"plain": false, "TLS": true} {
		var change []func(*http.Request)
		want := cookieName
		if safe {
			change, want = []func(*http.Request){overTLS}, "__Host-"+cookieName
		}
		c := b.cookie(h, change...)
		if c.Name != want || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.Secure != safe {
			t.Errorf("%s: %s", name, c)
		}
		if strings.Contains(c.Value, b.token) || !letsIn(t, h, c, change...) {
			t.Errorf("%s: the cookie holds the token, or does not let in", name)
		}
		if safe && letsIn(t, h, &http.Cookie{Name: cookieName, Value: c.Value}, overTLS) {
			t.Error("over TLS a cookie counts that anybody could have set")
		}
	}
	spaced := url.Values{"token": {" " + b.token + "\r\n"}}
	if w := request(t, h, http.MethodPost, "/sign-in", spaced); w.Code != http.StatusSeeOther {
		t.Errorf("a token pasted with its line end gives %d", w.Code)
	}
}

// TestWrongSignIn: nothing that was typed is told, and the name is there again.
func TestWrongSignIn(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.person("jonas", "Jonas", role.Operator)
	h := b.handler()
	for _, f := range []url.Values{wrong, {}, {"token": {b.token + "x"}}, {"name": {"jonas"}, "password": {"a secret nobody has"}}, {"name": {"nobody"}, "password": {password}}, {"name": {"jonas"}}} {
		w := request(t, h, http.MethodPost, "/sign-in/name", f)
		if w.Code != http.StatusForbidden || len(w.Result().Cookies()) > 0 || strings.Contains(w.Body.String(), "lb_") || strings.Contains(w.Body.String(), "nobody has") {
			t.Errorf("%v: %d, %v: %s", f, w.Code, w.Result().Cookies(), w.Body)
		}
		if name := f.Get("name"); name != "" && !strings.Contains(w.Body.String(), `value="`+name+`"`) {
			t.Errorf("the name %q has to be typed again", name)
		}
	}
	if w := request(t, h, http.MethodPost, "/sign-in?token="+b.token, url.Values{}); w.Code != http.StatusForbidden {
		t.Errorf("a token in the address gives %d: addresses end up in logs", w.Code)
	}
	w := request(t, h, http.MethodPost, "/sign-in/name", url.Values{"name": {" Jonas "}, "password": {password}})
	if w.Code != http.StatusSeeOther || !letsIn(t, h, cookieOf(t, w)) {
		t.Errorf("the right ones give %d", w.Code)
	}
}

// TestForgedCookie: what is no session's text does not let in.
func TestForgedCookie(t *testing.T) {
	t.Parallel()
	b := launch(t)
	h := b.handler()
	good := b.cookie(h).Value
	for _, v := range []string{"", ".", good + "A", good[1:], strings.ToUpper(good), "e30.e30", strings.Repeat("A", 5000)} {
		if letsIn(t, h, &http.Cookie{Name: cookieName, Value: v}) {
			t.Errorf("%q lets in", v)
		}
	}
}

func TestSessionEnds(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.person("jonas", "Jonas", role.Operator)
	h := b.handler()
	if c := b.cookie(h); true {
		b.wait(29 * time.Minute)
		if !letsIn(t, h, c) {
			t.Error("ended too early")
		}
		b.wait(31 * time.Minute)
		if letsIn(t, h, c) {
			t.Error("goes on without anybody there")
		}
	}
	c := b.cookie(h)
	if w := request(t, h, http.MethodPost, "/sign-out", url.Values{}, with(c)); cookieOf(t, w).MaxAge >= 0 || letsIn(t, h, c) {
		t.Error("signing out leaves the session open")
	}
	one, two := b.cookie(h), b.cookie(h)
	request(t, h, http.MethodPost, "/account/leave-all", url.Values{}, with(one))
	if letsIn(t, h, one) || letsIn(t, h, two) {
		t.Error("signing out everywhere leaves a session open")
	}
	old := b.cookie(h)
	b.cookie(h, with(old))
	if letsIn(t, h, old) {
		t.Error("a new sign-in leaves the browser's old one open")
	}
	c = b.cookie(h)
	for range 12 * 6 {
		b.wait(10 * time.Minute)
		if !letsIn(t, h, c) {
			break
		}
	}
	if letsIn(t, h, c) {
		t.Error("never ends")
	}
	w := request(t, h, http.MethodPost, "/sign-in/name", url.Values{"name": {"jonas"}, "password": {password}})
	c = cookieOf(t, w)
	must(t, b.accounts.Disable(t.Context(), "jonas"))
	if letsIn(t, h, c) {
		t.Error("a disabled account goes on")
	}
}

// TestTooManyTries: each address has its own limit, and waits a bounded time.
func TestTooManyTries(t *testing.T) {
	t.Parallel()
	b := launch(t)
	h := b.handler()
	try := func(addr string, f url.Values) *httptest.ResponseRecorder {
		return request(t, h, http.MethodPost, "/sign-in", f, from(addr))
	}
	right := url.Values{"token": {b.token}}
	for i := range triesAtOnce {
		if w := try("192.0.2.1:1000", wrong); w.Code != http.StatusForbidden {
			t.Fatalf("try %d: %d", i, w.Code)
		}
	}
	w := try("192.0.2.1:2000", right)
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "6" || !strings.Contains(w.Body.String(), "too many tries") {
		t.Errorf("after the limit: %d, %v", w.Code, w.Header())
	}
	if w := try("192.0.2.2:1000", right); w.Code != http.StatusSeeOther {
		t.Errorf("another address: %d", w.Code)
	}
	b.wait(-time.Hour) // the clock is set back: the wait stays what it was
	try("192.0.2.1:1000", wrong)
	b.wait(tryEvery)
	if w := try("192.0.2.1:1000", right); w.Code != http.StatusSeeOther {
		t.Errorf("after the wait: %d", w.Code)
	}
	try("192.0.2.1:1000", wrong) // the right one was not in vain, this one is
	if w := try("192.0.2.1:1000", right); w.Code != http.StatusTooManyRequests {
		t.Errorf("one wait, one try in vain; the second gave %d", w.Code)
	}
	for range 20 {
		w = try("192.0.2.9:1000", url.Values{"name": {"ada"}, "password": {"wrong"}})
	}
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
		t.Errorf("passwords can be tried without end: %d", w.Code)
	}
}

// TestManyWithTokens: people who sign in from one office at once don't stop each other.
func TestManyWithTokens(t *testing.T) {
	t.Parallel()
	b := launch(t)
	h := b.handler()
	for i := range 3 * triesAtOnce {
		b.cookie(h, from(fmt.Sprintf("[2001:db8::%x]:1000", i)))
	}
	for i := range triesAtOnce + 1 {
		w := request(t, h, http.MethodPost, "/sign-in", wrong, from(fmt.Sprintf("[2001:db8::%x]:1000", i)))
		if late := i == triesAtOnce; late != (w.Code == http.StatusTooManyRequests) {
			t.Errorf("try %d from one network: %d", i, w.Code)
		}
	}
}

func TestDoorsAreBounded(t *testing.T) {
	t.Parallel()
	d := newDoors(func() time.Time { return start }, triesAtOnce, tryEvery)
	for i := range 3 * maxDoors {
		if d.try(string(rune('a'+i%26))+time.Duration(i).String()) > 0 {
			t.Fatal("a new address may not try")
		}
		if len(d.m) > maxDoors {
			t.Fatalf("%d addresses are kept", len(d.m))
		}
	}
}

// TestNothingWithoutSignIn: whoever is not signed in learns nothing of any site.
func TestNothingWithoutSignIn(t *testing.T) {
	t.Parallel()
	b := launch(t)
	looking(b)
	attach(b, "The page", "page.png", "image/png", pixel)
	b.set(func() { b.gone = true })
	h := b.handler()
	in := b.in()
	secret := []string{"Example Shop", "shop.example", "to-standby", "status page", "looked after", "not connected", "Mara", "Release 412", "connections"}
	here := "/incidents/" + in.ID
	paths := []string{"/", "/sites/shop", "/sites/shop/pull", "/sites/shop/pull?lever=to-standby", "/sites/nowhere", "/levers", "/features", "/follow-ups", "/settings", "/changes", "/messages", "/accounts", "/accounts/ada", "/account", "/incidents", here,
		here + "/crew", here + "/write-up", here + "/write-up.md", here + "/write-up.html", here + "/evidence", here + "/evidence/e1", here + "/evidence/e3/image", here + "/evidence/e3/file", here + "/answer", "/lifeboat/change", "/nowhere", "/sign-in", "/sign-out", "/account/password", "/account/leave-all"}
	for _, path := range paths {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions} {
			w := request(t, h, method, path, url.Values{"text": {"x"}})
			for _, s := range secret {
				if strings.Contains(w.Body.String(), s) {
					t.Errorf("%s %s tells %q:\n%s", method, path, s, w.Body)
				}
			}
			if bytes.Contains(w.Body.Bytes(), pixel) || w.Code == http.StatusOK && path != "/sign-in" {
				t.Errorf("%s %s: %d", method, path, w.Code)
			}
		}
	}
	known, unknown := request(t, h, http.MethodGet, "/sites/shop", nil), request(t, h, http.MethodGet, "/sites/nowhere", nil)
	if known.Code != unknown.Code || known.Header().Get("Location") != unknown.Header().Get("Location") {
		t.Error("a stranger can tell which sites there are")
	}
	if b.in().Seq != in.Seq {
		t.Error("a stranger did something")
	}
}

// TestSignInEndsWhileTyping: nothing is done, and nothing typed is lost.
func TestSignInEndsWhileTyping(t *testing.T) {
	t.Parallel()
	b := launch(t)
	looking(b)
	p := browse(t, b.handler()).enter(b)
	note, fix := p.b.open("/sites/shop/note"), p.b.open("/sites/shop/fix")
	b.wait(31 * time.Minute)
	before := b.in().Seq

	text := "first line\n<b>second</b> & \"third\""
	lost := note.press("Write down what you see", "text="+text).want(http.StatusForbidden, "Your sign-in has ended, so nothing was done.", "the form comes back as you filled it in")
	if got := lost.field("typed"); got != text {
		t.Errorf("what was typed came back as %q", got)
	}
	if lost.says("shop") {
		t.Errorf("tells of the site:\n%s", lost.text())
	}
	checkPage(t, lost)
	fix.press("Write down one fix", "text=a smaller pool", "way_back=the old one", "takes=a minute").want(http.StatusForbidden, "a smaller pool", "the old one", "a minute")
	pressed := p.press("Put back: Show visitors the status page").want(http.StatusForbidden, "nothing was done", "you press once more")
	if len(pressed.all("textarea")) > 0 {
		t.Error("nothing was typed, yet there is a field for it")
	}
	back := lost.press("Sign in with the token", "token="+b.token).want(http.StatusOK, "You are signed in again. Nothing was done yet.")
	if got := back.field("text"); got != text {
		t.Errorf("the form came back with %q", got)
	}
	if b.in().Seq != before {
		t.Error("something was done without a press")
	}
	back.press("Write down what you see").want(http.StatusOK, "Ada: first line")
	if b.in().Seq != before+1 {
		t.Error("the second press did not do it once")
	}
}

// TestForeignForms: another site can't press here with our visitor's browser.
func TestForeignForms(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		headers map[string]string
		refused bool
	}{
		{"same origin", map[string]string{"Sec-Fetch-Site": "same-origin"}, false},
		{"typed or a bookmark", map[string]string{"Sec-Fetch-Site": "none"}, false},
		{"cross site", map[string]string{"Sec-Fetch-Site": "cross-site"}, true},
		{"same site, other host", map[string]string{"Sec-Fetch-Site": "same-site"}, true},
		{"cross site with our origin", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "http://example.com"}, true},
		{"old browser, our origin", map[string]string{"Origin": "http://example.com"}, false},
		{"old browser, other origin", map[string]string{"Origin": "http://evil.example"}, true},
		{"old browser, other port", map[string]string{"Origin": "http://example.com:81"}, true},
		{"old browser, no origin", map[string]string{"Origin": "null"}, true},
		{"no browser", nil, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := launch(t)
			h := b.handler()
			change := []func(*http.Request){with(b.cookie(h))}
			for k, v := range c.headers {
				change = append(change, header(k, v))
			}
			w := request(t, h, http.MethodPost, "/sites/shop/declare", url.Values{}, change...)
			if c.refused != (w.Code == http.StatusForbidden) || c.refused != (b.in().Phase == incident.None) {
				t.Errorf("%d, then %s", w.Code, b.in().Phase)
			}
			if c.refused && (!strings.Contains(w.Body.String(), "sent by another site") || w.Header().Get("Content-Security-Policy") == "") {
				t.Errorf("the refusal is no page of ours: %s", w.Body)
			}
			for _, path := range []string{"/sites/shop/evidence", "/account/leave-all", "/sign-out", "/sign-in", "/sign-in/name"} {
				w := request(t, h, http.MethodPost, path, url.Values{"token": {b.token}}, change...)
				if c.refused != (w.Code == http.StatusForbidden) {
					t.Errorf("%s: %d", path, w.Code)
				}
			}
			if w := request(t, h, http.MethodGet, "/sign-in", nil, change...); w.Code != http.StatusOK {
				t.Errorf("a link from elsewhere: %d", w.Code)
			}
		})
	}
}

func TestMessageIsOursAndFresh(t *testing.T) {
	t.Parallel()
	b := launch(t)
	br := browse(t, b.handler())
	const says = "Ada declared: Something is wrong with Example Shop"
	p := br.enter(b).press("Something is wrong").want(http.StatusOK, says)
	again := p.url.RequestURI()
	shown := func(path string) bool { return strings.Contains(br.open(path).raw, `class="said" role="status"`) }
	if !shown(again) || shown(again[:len(again)-4]+"AAAA") || shown("/sites/shop?m=e30.e30") {
		t.Error("a message of ours is not shown, or a forged one is")
	}
	b.wait(messageLife + time.Second)
	if shown(again) {
		t.Error("a message of long ago is shown")
	}
}

func FuzzSaid(f *testing.F) {
	s := newServer(Options{Key: bytes.Repeat([]byte{7}, 32), Now: func() time.Time { return start }})
	good := s.seal(message{Kind: "done", Text: "All done.", At: start})
	for _, seed := range []string{"", ".", "..", "e30.", good, strings.Repeat("A", 5000) + ".A", "e30.e30", "\x00.\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sealed string) {
		r := httptest.NewRequest(http.MethodGet, "/?m="+url.QueryEscape(sealed), nil)
		if m := s.said(r); m.Text != "" && m.Text != "All done." {
			t.Errorf("%q is taken for a message of ours: %+v", sealed, m)
		}
	})
}

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }
