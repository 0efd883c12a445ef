package standby

import (
	"strings"
	"testing"

	"lifeboat/internal/snapshot"
	"lifeboat/internal/statuspage"
)

// told is a standby whose shop says what it answers.
func told(t testing.TB) *Server {
	t.Helper()
	list := sites()
	list[0].Answers = snapshot.Answers{
		API: []string{"/graphql/", "/v2"}, Health: []string{"/up"}, Robots: "User-agent: *\nDisallow: /cart\n",
		WellKnown: map[string]string{"security.txt": "Contact: mailto:a@example.com\n", "assetlinks.json": "[]", "apple-app-site-association": "{}"},
	}
	v, err := Compile(Input{Sites: list, Orders: orders(), Seen: seen(), Now: now})
	must(t, err)
	s := New(Options{})
	s.Set(v)
	return s
}

// TestEachPath is the matrix of what a client is and how it is told.
func TestEachPath(t *testing.T) {
	t.Parallel()
	s := told(t)
	const events, jsonKind = "text/event-stream", "application/json"
	for _, c := range []struct {
		method, path string
		headers      []string
		status       int
		kind, words  string
	}{
		{"GET", "/graphql", nil, 503, problem, `"retry_after": 30`},
		{"POST", "/graphql/x", nil, 503, problem, ""},
		{"GET", "/v2/orders", nil, 503, problem, ""},
		{"GET", "/v2ish", nil, 503, html, ""},
		{"GET", "/api/orders", nil, 503, html, ""}, // no path of programs here
		{"GET", "/up", nil, 503, plain, "unavailable"},
		{"HEAD", "/up/deep", nil, 503, plain, ""},
		{"GET", "/robots.txt", nil, 200, plain, "Disallow: /cart"},
		{"GET", "/.well-known/security.txt", nil, 200, plain, "mailto:a@example.com"},
		{"GET", "/.well-known/assetlinks.json", nil, 200, jsonKind, "[]"},
		{"HEAD", "/.well-known/apple-app-site-association", nil, 200, jsonKind, ""},
		{"GET", "/.well-known/acme-challenge/abc", nil, 404, plain, ""},
		{"POST", "/.well-known/security.txt", nil, 404, plain, ""},
		{"GET", statuspage.Beacon, nil, 200, jsonKind, `"state":"closed"`},
		{"GET", "/live", []string{"Accept", events}, 503, events, "retry: 30000\n\n"},
		{"GET", "/socket", []string{"Connection", "Upgrade", "Upgrade", "websocket"}, 503, plain, ""},
		{"GET", "/", []string{"Upgrade", "h2c"}, 503, html, "taking a break"},
		{"POST", "/pkg.S/M", []string{"Content-Type", "application/grpc-web+proto"}, 200, "application/grpc-web+proto", ""},
		{"POST", "/pkg.S/M", []string{"Content-Type", "application/grpc"}, 503, problem, ""}, // HTTP/1.1 has no trailers that a gRPC client reads
		{"GET", "/x.png", []string{"Sec-Fetch-Dest", "image", "Accept", "image/avif,*/*"}, 503, plain, ""},
		{"GET", "/x.js", []string{"Sec-Fetch-Dest", "script", "Accept", "*/*"}, 503, plain, ""},
		{"GET", "/data", []string{"Sec-Fetch-Dest", "empty", "Accept", "*/*"}, 503, problem, ""},
		{"GET", "/part", []string{"Sec-Fetch-Dest", "empty", "Accept", "text/html"}, 503, html, ""},
		{"GET", "/", []string{"Sec-Fetch-Dest", "document", "Accept", "text/html,application/xhtml+xml,*/*;q=0.8"}, 503, html, "taking a break"},
		{"GET", "/video", []string{"Range", "bytes=0-1"}, 503, html, ""},
	} {
		w := ask(s, c.method, shop, c.path, "", c.headers...)
		h := w.Header()
		if w.Code != c.status || h.Get("Content-Type") != c.kind || !strings.Contains(w.Body.String(), c.words) || h.Get(Marker) != "shop" {
			t.Errorf("%s %s %q: %d %s %q", c.method, c.path, c.headers, w.Code, h.Get("Content-Type"), w.Body)
		}
		if c.method == "HEAD" && w.Body.Len() > 0 {
			t.Errorf("%s %s: a body", c.method, c.path)
		}
		if w.Code == 503 && (h.Get("Retry-After") == "" || h.Get("Cache-Control") != "no-store" || h.Get("Etag") != "" || h.Get("Content-Range") != "") {
			t.Errorf("%s %s: %v", c.method, c.path, h)
		}
	}
	w := ask(s, "POST", shop, "/pkg.S/M", "", "Content-Type", "application/grpc-web")
	if w.Header().Get("Grpc-Status") != "14" || w.Body.Len() > 0 {
		t.Errorf("gRPC-Web: %v %q", w.Header(), w.Body)
	}
	n := s.Counts()["shop"]
	if n.Checks != 2 || n.Waiting != 1 {
		t.Errorf("%+v", n)
	}
}

// TestScriptsOfOtherOrigins may read why the site is closed, also with cookies.
func TestScriptsOfOtherOrigins(t *testing.T) {
	t.Parallel()
	s := told(t)
	w := ask(s, "OPTIONS", shop, "/v2/orders", "", "Origin", "https://app.example.net", "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "x-token, content-type")
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "https://app.example.net", "Access-Control-Allow-Credentials": "true", "Access-Control-Allow-Methods": "PUT",
		"Access-Control-Allow-Headers": "x-token, content-type", "Access-Control-Max-Age": "0",
	} {
		if got := w.Header().Get(name); got != want || w.Code != 204 {
			t.Errorf("preflight: %s: %q, want %q", name, got, want)
		}
	}
	w = ask(s, "PUT", shop, "/v2/orders", "", "Origin", "https://app.example.net")
	if h := w.Header(); h.Get("Access-Control-Allow-Origin") != "https://app.example.net" || !strings.Contains(h.Get("Vary"), "Origin") || h.Get("Access-Control-Expose-Headers") != "Retry-After" {
		t.Errorf("%v", h)
	}
	w = ask(s, "OPTIONS", shop, "/", "", "Origin", strings.Repeat("x", 5000), "Access-Control-Request-Headers", strings.Repeat("x", 5000))
	if h := w.Header(); h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Headers") != "*, Authorization" {
		t.Errorf("%v", h)
	}
}

// TestUnchanged: a document that somebody has is not sent again, in any encoding.
func TestUnchanged(t *testing.T) {
	t.Parallel()
	s := told(t)
	v := view(t, orders())
	s.Set(v)
	for host, path := range map[string]string{shop: "/robots.txt", status: "/"} {
		tag := ask(s, "GET", host, path, "").Header().Get("Etag")
		for sent, want := range map[string]int{tag: 304, strings.TrimPrefix(tag, "W/"): 304, `"a", ` + tag: 304, "*": 304, `"a"`: 200, "": 200} {
			w := ask(s, "GET", host, path, "", "If-None-Match", sent, "Accept-Encoding", "gzip")
			if w.Code != want || want == 304 && w.Body.Len() > 0 || w.Header().Get("Etag") != tag {
				t.Errorf("%s%s with %q: %d", host, path, sent, w.Code)
			}
		}
	}
	if w := ask(s, "GET", shop, "/", "", "If-None-Match", "*"); w.Code != 503 {
		t.Errorf("a closed site: %d", w.Code)
	}
}

// TestNothingIsMadeTwice: what has not changed is not compressed again.
func TestNothingIsMadeTwice(t *testing.T) {
	t.Parallel()
	in := Input{Sites: sites(), Orders: orders(), Seen: seen(), Now: now}
	first, err := Compile(in)
	must(t, err)
	in.Before = first
	second, err := Compile(in)
	must(t, err)
	a, b := first.hosts[shop].page, second.hosts[shop].page
	if &a.encoded[0].bytes[0] != &b.encoded[0].bytes[0] {
		t.Error("the same page is compressed again")
	}
	in.Now = now.Add(40 * 1e9)
	third, err := Compile(in)
	must(t, err)
	if c := third.hosts[shop].page; c.etag[0] == a.etag[0] {
		t.Error("another page has the bytes of the one before")
	}
}

func TestUnder(t *testing.T) {
	t.Parallel()
	all := rules([]string{"/api/", "/v2"}, nil)
	for path, want := range map[string]bool{"/api": true, "/api/": true, "/api/x": true, "/apix": false, "/v2": true, "/v2/x": true, "/v": false, "": false, "/": false} {
		if under(all, path) != want {
			t.Errorf("%q: %t", path, !want)
		}
	}
	if under(rules([]string{}, defaultAPI), "/api") || !under(rules(nil, defaultAPI), "/api") {
		t.Error("none is not the usual")
	}
}
