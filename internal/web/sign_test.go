package web

import (
	"crypto/tls"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
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
	return serve(h, r)
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func from(addr string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = addr } }

func with(c *http.Cookie) func(*http.Request) { return func(r *http.Request) { r.AddCookie(c) } }

func header(key, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(key, value) }
}

var right, wrong = url.Values{"token": {theToken}}, url.Values{"token": {"lb_wrong"}}

// session signs in and gives the cookie.
func session(t *testing.T, h http.Handler, change ...func(*http.Request)) *http.Cookie {
	t.Helper()
	w := request(t, h, http.MethodPost, "/sign-in", right, change...)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/" {
		t.Fatalf("sign-in gave %d to %q: %s", w.Code, w.Header().Get("Location"), w.Body)
	}
	return cookieOf(t, w)
}

func cookieOf(t *testing.T, w *httptest.ResponseRecorder) *http.Cookie {
	t.Helper()
	for _, c := range w.Result().Cookies() {
		if c.Name == cookieName {
			return c
		}
	}
	t.Fatal("no cookie")
	return nil
}

// inside says whether the cookie opens the first page.
func inside(t *testing.T, h http.Handler, c *http.Cookie) bool {
	t.Helper()
	w := request(t, h, http.MethodGet, "/", nil, with(c))
	if w.Code == http.StatusSeeOther && w.Header().Get("Location") != "/sign-in" {
		t.Errorf("leads to %s", w.Header().Get("Location"))
	}
	return w.Code == http.StatusOK && strings.Contains(w.Body.String(), "The shop")
}

func TestCookie(t *testing.T) {
	t.Parallel()
	h := newBoat().handler()
	for name, c := range map[string]*http.Cookie{"plain": session(t, h), "TLS": session(t, h, func(r *http.Request) { r.TLS = &tls.ConnectionState{} })} {
		if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.Secure != (name == "TLS") || c.MaxAge != int(idleLife.Seconds()) {
			t.Errorf("%s: %s", name, c)
		}
		if strings.Contains(c.Value, theToken) || !inside(t, h, c) {
			t.Errorf("%s: the cookie holds the token, or does not let in", name)
		}
	}
	spaced := url.Values{"token": {" " + theToken + "\r\n"}}
	if w := request(t, h, http.MethodPost, "/sign-in", spaced); w.Code != http.StatusSeeOther {
		t.Errorf("a token pasted with its line end gives %d", w.Code)
	}
}

func TestWrongToken(t *testing.T) {
	t.Parallel()
	h := newBoat().handler()
	for _, f := range []url.Values{wrong, {}, {"token": {""}}, {"token": {theToken + "x"}}} {
		w := request(t, h, http.MethodPost, "/sign-in", f)
		if w.Code != http.StatusForbidden || len(w.Result().Cookies()) > 0 || strings.Contains(w.Body.String(), "lb_") {
			t.Errorf("%v: %d, %v: %s", f, w.Code, w.Result().Cookies(), w.Body)
		}
	}
	w := request(t, h, http.MethodPost, "/sign-in?token="+theToken, url.Values{})
	if w.Code != http.StatusForbidden {
		t.Errorf("a token in the address gives %d: addresses end up in logs", w.Code)
	}
}

// TestTamperedCookie: a cookie of which any one character was changed does not let
// in, nor does what was signed for another use or by another key.
func TestTamperedCookie(t *testing.T) {
	t.Parallel()
	b := newBoat()
	h := b.handler()
	c := session(t, h)
	good := c.Value
	body, _, _ := strings.Cut(good, ".")
	forged := []string{"", ".", body, body + ".", "." + body, good + "A", good + "." + good, base64.RawURLEncoding.EncodeToString([]byte(`{"id":"t1"}`)) + "."}
	for i := range good {
		other := byte('A')
		if good[i] == 'A' {
			other = 'B'
		}
		forged = append(forged, good[:i]+string(other)+good[i+1:])
	}
	o := b.options()
	s := &server{o: o}
	p := person{ID: "t1", Name: "Ada", Since: start, Seen: start}
	forged = append(forged, s.seal("message", p), s.seal("session", person{Since: start, Seen: start}), s.seal("session", []int{1}))
	s.o.Key = []byte("another")
	forged = append(forged, s.seal("session", p))
	for _, v := range forged {
		if decodesAlike(v, good) {
			continue
		}
		c.Value = v
		if inside(t, h, c) {
			t.Errorf("%q lets in", v)
		}
	}
}

// decodesAlike: the last character of base64 carries bits that nobody reads.
func decodesAlike(a, b string) bool {
	x, xs, _ := strings.Cut(a, ".")
	y, ys, _ := strings.Cut(b, ".")
	m, err := base64.RawURLEncoding.DecodeString(x)
	n, err2 := base64.RawURLEncoding.DecodeString(y)
	ms, err3 := base64.RawURLEncoding.DecodeString(xs)
	ns, err4 := base64.RawURLEncoding.DecodeString(ys)
	return err == nil && err2 == nil && err3 == nil && err4 == nil && string(m) == string(n) && string(ms) == string(ns)
}

func TestSessionEnds(t *testing.T) {
	t.Parallel()
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		b := newBoat()
		h := b.handler()
		c := session(t, h)
		b.wait(idleLife)
		if !inside(t, h, c) {
			t.Error("ended too early")
		}
		b.wait(time.Second)
		if inside(t, h, c) {
			t.Error("goes on without anybody there")
		}
	})
	t.Run("absolute", func(t *testing.T) {
		t.Parallel()
		b := newBoat()
		h := b.handler()
		c := session(t, h)
		for range int(absoluteLife / (10 * time.Minute)) {
			b.wait(10 * time.Minute)
			w := request(t, h, http.MethodGet, "/", nil, with(c))
			if w.Code != http.StatusOK {
				t.Fatalf("ended at %s although somebody is there", b.clock())
			}
			c = cookieOf(t, w) // a page that is open carries it on
		}
		b.wait(time.Second)
		if inside(t, h, c) {
			t.Error("never ends")
		}
	})
	t.Run("sign-out", func(t *testing.T) {
		t.Parallel()
		w := request(t, newBoat().handler(), http.MethodPost, "/sign-out", url.Values{})
		if c := cookieOf(t, w); c.Value != "" || c.MaxAge >= 0 || w.Header().Get("Location") != "/sign-in" {
			t.Errorf("%s, then %s", c, w.Header().Get("Location"))
		}
	})
	t.Run("clock set back", func(t *testing.T) {
		t.Parallel()
		b := newBoat()
		h := b.handler()
		c := session(t, h)
		b.wait(-time.Hour)
		if !inside(t, h, c) {
			t.Error("a clock set back signs people out")
		}
	})
}

// TestTooManyTries: each address has its own limit, and waits a bounded time.
func TestTooManyTries(t *testing.T) {
	t.Parallel()
	b := newBoat()
	h := b.handler()
	try := func(addr string, f url.Values) int {
		return request(t, h, http.MethodPost, "/sign-in", f, from(addr)).Code
	}
	for i := range triesAtOnce {
		if code := try("192.0.2.1:1000", wrong); code != http.StatusForbidden {
			t.Fatalf("try %d: %d", i, code)
		}
	}
	w := request(t, h, http.MethodPost, "/sign-in", right, from("192.0.2.1:2000"))
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "Too many tries") {
		t.Errorf("after the limit: %d, %v", w.Code, w.Header())
	}
	if code := try("192.0.2.2:1000", right); code != http.StatusSeeOther {
		t.Errorf("another address: %d", code)
	}
	b.wait(-time.Hour) // the clock is set back: the wait stays what it was
	try("192.0.2.1:1000", wrong)
	b.wait(tryEvery)
	if code := try("192.0.2.1:1000", right); code != http.StatusSeeOther {
		t.Errorf("after the wait: %d", code)
	}
	if code := try("192.0.2.1:1000", right); code != http.StatusTooManyRequests {
		t.Errorf("one wait, one try; the second gave %d", code)
	}
}

func TestDoorsAreBounded(t *testing.T) {
	t.Parallel()
	d := newDoors(func() time.Time { return start })
	for i := range 3 * maxDoors {
		if !d.try(string(rune('a'+i%26)) + time.Duration(i).String()) {
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
	b := newBoat()
	contained(t, b)
	b.set(func(b *boat) {
		b.second = true
		b.record.Degraded = true
		b.answer.Connected = false
	})
	h := b.handler()
	before := len(b.commands)
	secret := []string{"The shop", "shop.example", "The blog", "blog", "to-standby", "status page", "looked after", "degraded", "not connected", b.in.ID}
	paths := []string{"/", "/sites/shop", "/sites/shop/pull", "/sites/nowhere", "/incidents", "/incidents/" + b.in.ID, "/nowhere", "/sign-in", "/sign-out", "/sites/shop/note", "/sites/shop/nothing"}
	for _, path := range paths {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions} {
			w := request(t, h, method, path, url.Values{"text": {"x"}, "lever": {b.lever[:1]}})
			for _, s := range secret {
				if strings.Contains(w.Body.String(), s) {
					t.Errorf("%s %s tells %q:\n%s", method, path, s, w.Body)
				}
			}
			if w.Code == http.StatusOK && path != "/sign-in" {
				t.Errorf("%s %s: 200", method, path)
			}
		}
	}
	known, unknown := request(t, h, http.MethodGet, "/sites/shop", nil), request(t, h, http.MethodGet, "/sites/nowhere", nil)
	if known.Code != unknown.Code || known.Header().Get("Location") != unknown.Header().Get("Location") {
		t.Error("a stranger can tell which sites there are")
	}
	if len(b.commands) != before {
		t.Errorf("a stranger did %+v", b.commands[before:])
	}
}

// TestSignInEndsWhileTyping: nothing is done, and nothing typed is lost.
func TestSignInEndsWhileTyping(t *testing.T) {
	t.Parallel()
	b := newBoat()
	contained(t, b)
	p := browse(t, b.handler()).enter()
	note, back := p.follow("Write down what you see"), p.follow("Go back")
	b.wait(idleLife + time.Second)
	before := len(b.commands)

	text := "\nfirst line\n<b>second</b> & \"third\"\n"
	lost := note.press("Write down what you see", text).want(http.StatusForbidden, "Your sign-in has ended, so nothing was done.", "Copy what you typed")
	if got := lost.field("typed"); got != text {
		t.Errorf("what was typed came back as %q", got)
	}
	if strings.Contains(lost.text(), "shop") {
		t.Errorf("tells of the site:\n%s", lost.text())
	}
	checkPage(t, b, lost, true)
	if _, only := attr(lost.all("textarea")[0], "readonly"); !only || len(lost.all("input")) != 1 {
		t.Error("what was typed must not be sent again by signing in")
	}
	back.press("Go back", "it is mended").want(http.StatusForbidden, "it is mended")
	pressed := p.press("Put back: Show visitors the status page").want(http.StatusForbidden, "nothing was done", "then press again")
	if len(pressed.all("textarea")) > 0 {
		t.Error("nothing was typed, yet there is a field for it")
	}
	lost.press("Sign in", theToken).want(http.StatusOK, "Visitors are looked after.")
	if len(b.commands) != before {
		t.Errorf("done without a sign-in: %+v", b.commands[before:])
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
			b := newBoat()
			h := b.handler()
			change := []func(*http.Request){with(session(t, h))}
			for k, v := range c.headers {
				change = append(change, header(k, v))
			}
			w := request(t, h, http.MethodPost, "/sites/shop/declare", url.Values{}, change...)
			if c.refused != (w.Code == http.StatusForbidden) || c.refused != (len(b.commands) == 0) {
				t.Errorf("%d, done: %+v", w.Code, b.commands)
			}
			if c.refused && (!strings.Contains(w.Body.String(), "sent by another site") || w.Header().Get("Content-Security-Policy") == "") {
				t.Errorf("the refusal is no page of ours: %s", w.Body)
			}
			for _, path := range []string{"/sign-in", "/sign-out"} {
				w := request(t, h, http.MethodPost, path, right, change[1:]...)
				if c.refused != (w.Code == http.StatusForbidden) {
					t.Errorf("%s: %d", path, w.Code)
				}
			}
			if w := request(t, h, http.MethodGet, "/", nil, change...); w.Code != http.StatusOK {
				t.Errorf("a link from elsewhere: %d", w.Code)
			}
		})
	}
}

func TestMessageIsOursAndFresh(t *testing.T) {
	t.Parallel()
	b := newBoat()
	br := browse(t, b.handler())
	p := br.enter().press("Something is wrong").want(http.StatusOK, "Done. Ada declared")
	again := p.url.RequestURI()
	br.open(again).want(http.StatusOK, "Done. Ada declared")
	if strings.Contains(br.open(again[:len(again)-4]+"AAAA").text(), "Done.") {
		t.Error("a forged message is shown")
	}
	b.wait(messageLife + time.Second)
	if strings.Contains(br.open(again).text(), "Done.") {
		t.Error("a message of long ago is shown")
	}
}

func FuzzSealed(f *testing.F) {
	b := newBoat()
	h := b.handler()
	s := &server{o: b.options()}
	in := &http.Cookie{Name: cookieName, Value: s.seal("session", person{ID: "t1", Since: start, Seen: start})}
	good := s.seal("session", person{ID: "t1", Name: "Ada", Since: start, Seen: start})
	said := s.seal("message", message{Kind: "done", Text: "All done.", At: start})
	for _, seed := range []string{"", ".", "..", "e30.", good, said, strings.Repeat("A", 5000) + ".A", "e30.e30", "\x00.\xff", "a=b; c.d"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sealed string) {
		var p person
		if s.open("session", sealed, &p) && !decodesAlike(sealed, good) {
			t.Errorf("%q is taken for a sign-in of %+v", sealed, p)
		}
		var m message
		if s.open("message", sealed, &m) && !decodesAlike(sealed, said) {
			t.Errorf("%q is taken for a message of ours: %+v", sealed, m)
		}
		w := request(t, h, http.MethodGet, "/", nil, header("Cookie", cookieName+"="+sealed))
		if w.Code != http.StatusSeeOther && !decodesAlike(strings.Trim(sealed, "\""), good) && !strings.Contains(sealed, good) {
			t.Errorf("%q: %d", sealed, w.Code)
		}
		w = request(t, h, http.MethodGet, "/?m="+url.QueryEscape(sealed), nil, with(in))
		if w.Code != http.StatusOK || strings.Contains(w.Body.String(), "<b>Done.</b>") && !decodesAlike(sealed, said) {
			t.Errorf("a message %q: %d", sealed, w.Code)
		}
	})
}

// TestRevokedTokenEndsItsSignIns: whoever's token is taken back is out at the next
// request, however long the sign-in would have lasted.
func TestRevokedTokenEndsItsSignIns(t *testing.T) {
	t.Parallel()
	b, revoked := newBoat(), false
	o := b.options()
	o.Tokens = fakeTokens{&revoked}
	br := browse(t, New(o))
	br.enter().want(200, "Something is wrong")
	revoked = true
	br.open("/").want(200, "Sign in.")
}
