package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"lifeboat/internal/role"
)

// TestBehindWhatEndsTLS: behind a proxy on this machine visitors don't share one door, so
// that a stranger who tries passwords keeps nobody else out; and nobody gets more tries by
// naming addresses themselves.
func TestBehindWhatEndsTLS(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.person("jonas", "Jonas", role.Operator)
	h := b.handler()
	try := func(peer, forwarded string, f url.Values) *httptest.ResponseRecorder {
		return request(t, h, http.MethodPost, "/sign-in", f, from(peer), header("X-Forwarded-For", forwarded))
	}
	for what, f := range map[string][2]url.Values{
		"password": {{"name": {"nobody"}, "password": {"wrong"}}, {"name": {"jonas"}, "password": {password}}},
		"token":    {wrong, {"token": {b.token}}},
	} {
		for range 30 {
			try("127.0.0.1:1000", "10.9.9.9, 203.0.113.66", f[0])
		}
		if w := try("127.0.0.1:1000", "203.0.113.66", f[1]); w.Code != http.StatusTooManyRequests {
			t.Errorf("%s: through the proxy a stranger has tries without end: %d", what, w.Code)
		}
		for _, mine := range []string{"203.0.113.7", "10.9.9.9, 203.0.113.8", " 203.0.113.9:4711", "[2001:db8::1]:4711", "2001:db8:0:2::1"} {
			if w := try("127.0.0.1:2000", mine, f[1]); w.Code != http.StatusSeeOther {
				t.Errorf("%s: from %s: kept out with %d by a stranger elsewhere", what, mine, w.Code)
			}
		}
		last := 0
		for _, claimed := range []string{"198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4", "198.51.100.5", "198.51.100.6", "198.51.100.7", "198.51.100.8", "198.51.100.9", "198.51.100.10", "198.51.100.11", "198.51.100.12"} {
			last = try("203.0.113.77:1000", claimed, f[0]).Code
		}
		if last != http.StatusTooManyRequests {
			t.Errorf("%s: who is no proxy of ours names addresses, and goes on trying: %d", what, last)
		}
	}
}

// TestCameFrom: what a header calls an address is one, and as short.
func TestCameFrom(t *testing.T) {
	t.Parallel()
	for told, want := range map[string]string{
		"203.0.113.7": "203.0.113.7", "203.0.113.7:80": "203.0.113.7", "[2001:db8::1]": "2001:db8::1", "a, 2001:db8::1": "2001:db8::1",
		"fe80::1%" + strings.Repeat("x", 5000): "fe80::1", "[fe80::1%\x1b]2;title]:80": "fe80::1", "nobody": "127.0.0.1:1000", "": "127.0.0.1:1000",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = "127.0.0.1:1000"
		r.Header.Set("X-Forwarded-For", told)
		if got := cameFrom(r); got != want {
			t.Errorf("%.40q: %.80q, want %q", told, got, want)
		}
	}
}

// TestCookieBehindWhatEndsTLS: where the configuration says that people come by https, no
// cookie is one that a browser sends without TLS, whatever a request claims. Where it says
// nothing, what ends TLS on this machine is believed, the browser is, and nobody else.
func TestCookieBehindWhatEndsTLS(t *testing.T) {
	t.Parallel()
	b := launch(t)
	const proxy, stranger = "127.0.0.1:1000", "203.0.113.66:1000"
	for name, c := range map[string]struct {
		url    string
		change []func(*http.Request)
		secure bool
	}{
		"configured":                       {"https://boat.example.net", nil, true},
		"configured, whatever a header is": {"https://boat.example.net", []func(*http.Request){from(proxy), header("X-Forwarded-Proto", "http")}, true},
		"configured, over a tunnel":        {"https://boat.example.net", []func(*http.Request){header("Origin", "http://127.0.0.1:8080"), header("Sec-Fetch-Site", "same-origin")}, true},
		"the proxy says so":                {"", []func(*http.Request){from(proxy), header("X-Forwarded-Proto", "https")}, true},
		"a stranger says so":               {"", []func(*http.Request){from(stranger), header("X-Forwarded-Proto", "https")}, false},
		"the browser says so":              {"", []func(*http.Request){header("Origin", "https://example.com"), header("Sec-Fetch-Site", "same-origin")}, true},
		"without":                          {"", []func(*http.Request){from(proxy), header("X-Forwarded-Proto", "http"), header("Origin", "http://example.com")}, false},
		"nothing is said":                  {"", nil, false},
	} {
		h := b.at(c.url)
		got := b.cookie(h, c.change...)
		if got.Secure != c.secure || (got.Name == secureCookie) != c.secure || !got.HttpOnly || got.Path != "/" || got.Domain != "" {
			t.Errorf("%s: %s", name, got)
		}
		if !letsIn(t, h, got) { // a page that is opened by a link says nothing of its origin
			t.Errorf("%s: the cookie does not let in", name)
		}
		w := request(t, h, http.MethodPost, "/sign-out", url.Values{}, append(c.change, with(got))...)
		gone := map[string]bool{}
		for _, c := range w.Result().Cookies() {
			gone[c.Name] = c.MaxAge < 0 && c.Value == ""
		}
		if !gone[cookieName] || !gone[secureCookie] || letsIn(t, h, got) {
			t.Errorf("%s: after signing out: %v", name, w.Result().Cookies())
		}
	}
	plain := b.cookie(b.handler())
	for name, h := range map[string]http.Handler{"configured": b.at("https://boat.example.net"), "not": b.handler()} {
		change := []func(*http.Request){from(proxy), header("X-Forwarded-Proto", "https")}
		if name == "configured" {
			change = nil
		}
		if letsIn(t, h, plain, change...) {
			t.Errorf("%s: over TLS a cookie counts that anybody could have set", name)
		}
	}
}

// TestPlainWhereTLSIsDue: a browser would throw the cookie away and show the same form
// again and again, so the page says where to sign in.
func TestPlainWhereTLSIsDue(t *testing.T) {
	t.Parallel()
	b := launch(t)
	h := b.at("https://boat.example.net:8443")
	w := request(t, h, http.MethodPost, "/sign-in", url.Values{"token": {b.token}}, header("Origin", "http://example.com"))
	if w.Code != http.StatusForbidden || len(w.Result().Cookies()) > 0 || !strings.Contains(w.Body.String(), "Open https://boat.example.net:8443 ") {
		t.Errorf("%d, %v: %s", w.Code, w.Result().Cookies(), w.Body)
	}
}

// at makes the pages for people who reach them at a URL.
func (b *boat) at(url string) http.Handler {
	o := b.options()
	o.URL = url
	return New(o)
}
