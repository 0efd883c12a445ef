package standby

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"lifeboat/internal/fault"
	"lifeboat/internal/probe"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/statuspage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 3, 12, 2, 35, 20, 0, time.UTC)

func sites() []snapshot.Site {
	return []snapshot.Site{
		{ID: "shop", Title: "Example Shop", Names: []string{"shop.example.com", "www.shop.example.com"},
			StatusName: "status.example.com", Home: "main", Places: []string{"main", "backup", "standby"}},
		{ID: "docs", Title: "Example Docs", Names: []string{"docs.example.com"}, Home: "main"},
		{ID: "shop~drill", Title: "Drill", Names: []string{"shop.example.com", "drill.example.com"}, Home: "main", Shadow: "shop"},
	}
}

func orders() map[string]snapshot.SiteOrder {
	return map[string]snapshot.SiteOrder{
		"shop":       {Position: "standby", Since: now.Add(-28 * time.Minute), Incident: "01J", Title: "Orders can't be placed", Message: "We are on it."},
		"docs":       {Position: "main", Since: now.Add(-time.Hour)},
		"shop~drill": {Position: "standby"},
	}
}

func seen() map[string][]statuspage.Seen {
	return map[string][]statuspage.Seen{
		"shop": {{Place: "main", Check: "home", Seen: probe.Down, LastAt: now.Add(-8 * time.Second)}},
		"docs": {{Place: "main", Check: "home", Seen: probe.Up, LastAt: now.Add(-2 * time.Second)}},
	}
}

func view(t testing.TB, o map[string]snapshot.SiteOrder) *View {
	t.Helper()
	v, err := Compile(Input{Sites: sites(), Orders: o, Seen: seen(), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.AddStatus(statused(t, o)); err != nil {
		t.Fatal(err)
	}
	return v
}

func server(t testing.TB) *Server {
	t.Helper()
	s := New(Options{})
	s.Set(view(t, orders()))
	return s
}

func ask(s *Server, method, host, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://placeholder"+path, strings.NewReader(body))
	r.Host = host
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

const (
	shop   = "shop.example.com"
	docs   = "docs.example.com"
	status = "status.example.com"

	html    = "text/html; charset=utf-8"
	plain   = "text/plain; charset=utf-8"
	problem = "application/problem+json"
	json    = "application/json"
)

// TestAnswers is the matrix of who asks for what, and what they get.
func TestAnswers(t *testing.T) {
	t.Parallel()
	s := server(t)
	for _, c := range []struct {
		method, host, path string
		status             int
		kind               string // content type
		marker             string
		words              string // in the body
	}{
		{"GET", shop, "/", 503, html, "shop", "We know that something is wrong with Example Shop"},
		{"GET", "www." + shop, "/any/where?q=1", 503, html, "shop", "We know that something is wrong with Example Shop"},
		{"GET", shop, "/healthz", 503, html, "shop", "taking a break"},
		{"GET", shop, "/favicon.ico", 503, plain, "shop", ""},
		{"POST", shop, "/checkout", 503, html, "shop", "taking a break"},
		{"DELETE", shop, "/cart", 503, html, "shop", "taking a break"},
		{"HEAD", shop, "/", 503, html, "shop", ""},
		{"GET", shop, "/api/orders", 503, problem, "shop", `"status": 503`},
		{"HEAD", shop, "/api/orders", 503, problem, "shop", ""},
		{"OPTIONS", shop, "/api/orders", 204, "", "shop", ""},
		{"GET", shop, "/robots.txt", 200, plain, "shop", "User-agent: *\nDisallow:\n"},
		{"HEAD", shop, "/robots.txt", 200, plain, "shop", ""},
		{"GET", shop, "/.well-known/security.txt", 404, plain, "shop", ""},
		{"GET", shop, "/.well-known", 404, plain, "shop", ""},
		{"GET", shop, "/.well-knownish", 503, html, "shop", ""},
		{"GET", docs, "/", 503, html, "docs", "Example Docs is open."},
		{"GET", docs, "/", 503, html, "docs", "tries again by itself"},
		{"GET", docs, "/api", 503, problem, "docs", statuspage.TypeMoved},
		{"GET", docs, "/robots.txt", 200, plain, "docs", "Disallow:"},
		{"GET", status, "/", 200, html, "", "Example Shop is taking a break."},
		{"HEAD", status, "/", 200, html, "", ""},
		{"GET", status, "/status.json", 200, json, "", `"decided_by": "order"`},
		{"GET", status, "/robots.txt", 200, plain, "", ""},
		{"GET", status, "/elsewhere", 404, html, "", "Nothing is here."},
		{"GET", status, "/.well-known/security.txt", 404, html, "", ""},
		{"POST", status, "/", 405, plain, "", ""},
		{"OPTIONS", status, "/", 204, "", "", ""},
		{"GET", "other.example.com", "/", 421, plain, "", "not served here"},
		{"OPTIONS", "other.example.com", "/", 421, plain, "", ""},
		{"GET", "drill.example.com", "/", 421, plain, "", ""},
		{"GET", "example.com", "/robots.txt", 421, plain, "", ""},
	} {
		t.Run(c.method+" "+c.host+c.path, func(t *testing.T) {
			t.Parallel()
			w := ask(s, c.method, c.host, c.path, "")
			h := w.Header()
			if w.Code != c.status || h.Get("Content-Type") != c.kind || h.Get(Marker) != c.marker {
				t.Errorf("%d %q marker %q, want %d %q marker %q", w.Code, h.Get("Content-Type"), h.Get(Marker), c.status, c.kind, c.marker)
			}
			if !strings.Contains(w.Body.String(), c.words) {
				t.Errorf("body lacks %q:\n%s", c.words, w.Body)
			}
			if (c.method == "HEAD" || c.status == 204) && w.Body.Len() > 0 {
				t.Errorf("a body of %d bytes", w.Body.Len())
			}
			checkHeaders(t, w, c.method, c.host == status)
		})
	}
}

// checkHeaders holds what is true of every answer.
func checkHeaders(t *testing.T, w *httptest.ResponseRecorder, method string, page bool) {
	t.Helper()
	h := w.Header()
	want := map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Content-Security-Policy": statuspage.Policy(), "Set-Cookie": ""}
	if page { // each of its documents has its own
		delete(want, "Content-Security-Policy")
	}
	switch w.Code {
	case 200:
		want["Cache-Control"] = "no-cache"
	case 503:
		want["Retry-After"] = "30"
		want["Access-Control-Allow-Origin"] = "*"
	case 204:
		want["Access-Control-Allow-Origin"] = "*"
		want["Access-Control-Allow-Headers"] = "*, Authorization"
		want["Access-Control-Max-Age"] = "0"
	case 405:
		want["Allow"] = "GET, HEAD, OPTIONS"
	}
	if w.Code != 204 && method != "HEAD" {
		want["Content-Length"] = fmt.Sprint(w.Body.Len())
	}
	for name, value := range want {
		if got := h.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
}

func TestLateComersAreNotKept(t *testing.T) {
	t.Parallel()
	s := server(t)
	if got := ask(s, "GET", docs, "/", "").Header().Get("Connection"); got != "close" {
		t.Errorf("a late-comer's connection is kept (%q)", got)
	}
	if got := ask(s, "GET", shop, "/", "").Header().Get("Connection"); got != "" {
		t.Errorf("a visitor's connection in failover: %q", got)
	}
}

func TestNegotiation(t *testing.T) {
	t.Parallel()
	s := server(t)
	const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
	for _, c := range []struct {
		path, accept, contentType string
		json                      bool
	}{
		{"/", "", "", false},
		{"/", "*/*", "", false},
		{"/", browser, "", false},
		{"/", "image/avif,image/webp,*/*", "", false},
		{"/", "application/json", "", true},
		{"/", "APPLICATION/JSON", "", true},
		{"/", "application/problem+json", "", true},
		{"/", "application/vnd.api+json", "", true},
		{"/", "application/*", "", true},
		{"/", "application/json, text/plain, */*", "", true},
		{"/", "*/*, application/json", "", true},
		{"/", "application/json;q=0.1, */*", "", false},
		{"/", "text/html, application/json", "", false},
		{"/", "application/json, text/html", "", true},
		{"/", "text/html;q=0.5, application/json", "", true},
		{"/", "text/html, application/json;q=0.9", "", false},
		{"/", "application/json;q=0", "", false},
		{"/", "application/json;q=nan", "", false},
		{"/", "application/json;q=-1", "", false},
		{"/", "application/json ; charset=utf-8 ; Q=0.7 , text/html;q=0.6", "", true},
		{"/", ",,;q=1,;;,", "", false},
		{"/", "", "application/json", true},
		{"/", browser, "application/json; charset=utf-8", true},
		{"/", browser, "application/x-www-form-urlencoded", false},
		{"/api/", browser, "", true},
		{"/api/v1/x", "", "", true},
		{"/apiary", browser, "", false},
		{"/shop/api/x", browser, "", false},
	} {
		want := html
		if c.json {
			want = problem
		}
		w := ask(s, "POST", shop, c.path, "{}", "Accept", c.accept, "Content-Type", c.contentType)
		if got := w.Header().Get("Content-Type"); got != want {
			t.Errorf("%s accept %q content type %q: got %s, want %s", c.path, c.accept, c.contentType, got, want)
		}
		if vary := w.Header().Get("Vary"); !strings.Contains(vary, "Accept") {
			t.Errorf("Vary: %q", vary)
		}
	}
	if got := ask(s, "GET", status, "/", "", "Accept", "application/json").Header().Get("Content-Type"); got != json {
		t.Errorf("the status page for a program: %s", got)
	}
}

func TestEncodings(t *testing.T) {
	t.Parallel()
	s := server(t)
	for accept, want := range map[string]string{
		"": "", "gzip": "gzip", "deflate, gzip;q=0.5": "gzip", "gzip;q=0": "", "br": "br", "GZIP": "gzip", "x-gzip": "gzip", "identity": "", "gzip;q=x": "",
		"zstd": "zstd", "gzip, zstd": "zstd", "gzip, deflate, br, zstd": "br", "gzip, deflate, br;q=0": "gzip", "*": "br", "br;q=0, *": "zstd", "*;q=0": "",
	} {
		w := ask(s, "GET", shop, "/", "", "Accept-Encoding", accept)
		if got := w.Header().Get("Content-Encoding"); got != want {
			t.Errorf("%q: encoded with %q, want %q", accept, got, want)
			continue
		}
		if diff := cmp.Diff(ask(s, "GET", shop, "/", "").Body.String(), unpack(t, want, w.Body)); diff != "" {
			t.Errorf("%q: %s", accept, diff)
		}
		if want != "" && w.Body.Len() > 14<<10 {
			t.Errorf("%s: %d bytes", want, w.Body.Len())
		}
	}
}

func unpack(t testing.TB, encoding string, r io.Reader) string {
	t.Helper()
	var err error
	switch encoding {
	case "gzip":
		r, err = gzip.NewReader(r)
	case "br":
		r = brotli.NewReader(r)
	case "zstd":
		r, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
	}
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestHostName(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"shop.example.com": shop, "SHOP.Example.COM": shop, "shop.example.com.": shop, "shop.example.com:8081": shop,
		"shop.example.com.:80": shop, "shop.example.com:": shop, "xn--bcher-kva.example": "xn--bcher-kva.example", "_dmarc.example.com": "_dmarc.example.com",
		"": "", ".": "", "..": "", ".example.com": "", "a..b": "", "shop.example.com..": "", "shop.example.com:80:80": "", "shop.example.com:x": "",
		"[::1]": "", "[::1]:80": "", "::1": "", "shop.example.com/": "", "shop.example.com\x00": "", "user@shop.example.com": "", "shop.example.com,evil": "",
		"shop example.com": "", "\u212Aelvin.example": "", "bücher.example": "", "shop.example.com:999999": "", strings.Repeat("a.", 127) + "com": "",
	} {
		got, ok := hostName(header)
		if got != want || ok != (want != "") {
			t.Errorf("%q: %q %t, want %q", header, got, ok, want)
		}
	}
}

func TestHostileHosts(t *testing.T) {
	t.Parallel()
	s := server(t)
	for _, host := range []string{"", "[::1]:80", "127.0.0.1", "shop.example.com@evil", "shop.example.com\r\nSet-Cookie: a=b", "SHOP\u212A", strings.Repeat("x", 5000)} {
		w := ask(s, "GET", host, "/", "")
		if w.Code != 421 || w.Header().Get(Marker) != "" || len(host) > 9 && strings.Contains(w.Body.String(), host) {
			t.Errorf("%q: %d, marker %q, %s", host, w.Code, w.Header().Get(Marker), w.Body)
		}
	}
	if s.Strays() != 7 {
		t.Errorf("%d strays, want 7", s.Strays())
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	s := server(t)
	for _, path := range []string{"/", "/api/x", "/robots.txt", "/.well-known/x"} {
		ask(s, "GET", shop, path, "")
		ask(s, "GET", docs, path, "")
	}
	ask(s, "OPTIONS", shop, "/", "")
	ask(s, "GET", shop, "/", "", CheckHeader, "R2")
	ask(s, "GET", docs, "/", "", "lifeboat-check", "")
	ask(s, "GET", status, "/", "")
	ask(s, "GET", "nowhere.example", "/", "")
	want := map[string]Count{"shop": {Failover: 2, Status: 1, Checks: 1}, "docs": {Late: 2, Checks: 1}}
	if diff := cmp.Diff(want, s.Counts()); diff != "" {
		t.Error(diff)
	}

	s.Set(view(t, nil)) // both at home now
	ask(s, "GET", shop, "/", "")
	want["shop"] = Count{Failover: 2, Late: 1, Status: 1, Checks: 1}
	if diff := cmp.Diff(want, s.Counts()); diff != "" {
		t.Errorf("after the return: %s", diff)
	}

	v, err := Compile(Input{Sites: sites()[1:2], Now: now})
	if err != nil {
		t.Fatal(err)
	}
	s.Set(v)
	delete(want, "shop")
	if diff := cmp.Diff(want, s.Counts()); diff != "" {
		t.Errorf("after a site is gone: %s", diff)
	}
}

func TestChecksAreAnsweredTheSame(t *testing.T) {
	t.Parallel()
	s := server(t)
	for _, host := range []string{shop, docs} {
		visitor, check := ask(s, "GET", host, "/", ""), ask(s, "GET", host, "/", "", CheckHeader, "1")
		if diff := cmp.Diff(visitor.Header(), check.Header()); diff != "" || visitor.Code != check.Code || visitor.Body.String() != check.Body.String() {
			t.Errorf("%s: a check is answered otherwise: %s", host, diff)
		}
	}
}

func TestNotReady(t *testing.T) {
	t.Parallel()
	s := New(Options{})
	w := ask(s, "GET", shop, "/", "")
	if w.Code != 503 || w.Header().Get("Retry-After") != "1" || w.Header().Get(Marker) != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if len(s.Counts()) != 0 {
		t.Errorf("counts %v", s.Counts())
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func([]snapshot.Site){
		"one name twice":           func(l []snapshot.Site) { l[1].Names = []string{"Shop.example.com."} },
		"a name that can't be one": func(l []snapshot.Site) { l[1].Names = []string{"a b"} },
	} {
		list := sites()
		change(list)
		if _, err := Compile(Input{Sites: list, Now: now}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Compile(Input{Sites: sites()}); err == nil {
		t.Error("compiled without the time")
	}
}

func TestPositions(t *testing.T) {
	t.Parallel()
	s := New(Options{})
	for position, want := range map[string]string{
		"standby": "taking a break", "main": "is not here", "backup": "is not here", "": "is not here", "unheard": "is not here",
	} {
		s.Set(view(t, map[string]snapshot.SiteOrder{"shop": {Position: position}}))
		if w := ask(s, "GET", shop, "/", ""); w.Code != 503 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("position %q: %d without %q", position, w.Code, want)
		}
	}
}

func TestSetWhileAnswering(t *testing.T) {
	t.Parallel()
	s := server(t)
	views := []*View{view(t, orders()), view(t, nil)}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 300 {
				if w := ask(s, "GET", shop, "/", ""); w.Code != 503 || w.Header().Get(Marker) != "shop" {
					t.Errorf("%d %v", w.Code, w.Header())
					return
				}
			}
		})
	}
	for i := range 100 {
		s.Set(views[i%2])
	}
	group.Wait()
	if c := s.Counts()["shop"]; c.Failover+c.Late != 1200 {
		t.Errorf("%+v, want 1200 visitors in all", c)
	}
}

// serve starts s on a loopback port and gives its address.
func serve(t *testing.T, s *Server) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stopped with %v", err)
		}
	})
	return ln.Addr().String()
}

// exchange sends raw bytes on one connection and gives each answer that comes.
func exchange(t *testing.T, address string, requests ...string) []*http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	var got []*http.Response
	for _, r := range requests {
		// A server that has closed is found out by reading.
		_, _ = io.WriteString(conn, r)
		res, err := http.ReadResponse(answers, nil)
		if err != nil {
			return got
		}
		_, _ = io.Copy(io.Discard, res.Body)
		got = append(got, res)
	}
	return got
}

func TestOverTheWire(t *testing.T) {
	t.Parallel()
	address := serve(t, server(t))
	get := "GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n"
	small := "POST / HTTP/1.1\r\nHost: SHOP.example.com.:8081\r\nContent-Length: 5\r\n\r\nhello"
	chunked := "POST / HTTP/1.1\r\nHost: shop.example.com\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	for name, c := range map[string]struct {
		requests []string
		want     []int
	}{
		"kept open":         {[]string{get, get}, []int{503, 503}},
		"small body":        {[]string{small, small, get}, []int{503, 503, 503}},
		"a body in chunks":  {[]string{small, chunked, get}, []int{503, 503}}, // nothing is read behind one
		"huge body":         {[]string{"POST / HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 99999999\r\n\r\n", get}, []int{503}},
		"asks for leave":    {[]string{"POST / HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n", get}, []int{503}},
		"late-comer":        {[]string{"GET / HTTP/1.1\r\nHost: docs.example.com\r\n\r\n", get}, []int{503}},
		"no host":           {[]string{"GET / HTTP/1.1\r\n\r\n"}, []int{400}},
		"two hosts":         {[]string{"GET / HTTP/1.1\r\nHost: shop.example.com\r\nHost: evil\r\n\r\n"}, []int{400}},
		"old protocol":      {[]string{"GET / HTTP/1.0\r\n\r\n"}, []int{421}},
		"absolute form":     {[]string{"GET http://shop.example.com/x HTTP/1.1\r\nHost: evil\r\n\r\n"}, []int{503}},
		"star":              {[]string{"OPTIONS * HTTP/1.1\r\nHost: shop.example.com\r\n\r\n"}, []int{200}},
		"headers too large": {[]string{"GET / HTTP/1.1\r\nHost: shop.example.com\r\nX: " + strings.Repeat("x", MaxHeader+8<<10) + "\r\n\r\n"}, []int{431}},
		"rubbish":           {[]string{"\x16\x03\x01\x02\x00\r\n\r\n"}, []int{400}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []int
			for _, res := range exchange(t, address, c.requests...) {
				got = append(got, res.StatusCode)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// With more than half of the connections taken none is kept.
func TestCrowded(t *testing.T) {
	t.Parallel()
	s := New(Options{MaxConns: 4})
	s.Set(view(t, orders()))
	address := serve(t, s)
	get := "GET / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n"
	closing := func() bool { return exchange(t, address, get)[0].Close }
	if closing() {
		t.Error("closed in calm")
	}
	for range 3 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		// One answer, so that the server is known to have it.
		_, _ = io.WriteString(conn, get)
		if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
			t.Fatal(err)
		}
	}
	if !closing() {
		t.Error("kept in a crowd")
	}
}

// A client that sends a byte a second, in the head or in the body, is cut off; so
// is one that never sends anything. The bubble's clock decides.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first, slow string
		most        time.Duration
	}{
		"head":    {"", "GET / HTTP/1.1\r\nHost: shop.example.com\r\nX: yyyyyyyyyyyyyyyyyyyyyyyy", headerTimeout + 2*time.Second},
		"body":    {"POST / HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 1000\r\n\r\n", strings.Repeat("z", 100), readTimeout + 2*time.Second},
		"nothing": {"", "", headerTimeout + 2*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, ours := net.Pipe()
				ctx, cancel := context.WithCancel(t.Context())
				s := server(t)
				done := make(chan error, 1)
				go func() { done <- s.Serve(ctx, newPipeListener(ours)) }()
				began := time.Now()
				ended := make(chan time.Duration, 1)
				go func() {
					_, _ = io.Copy(io.Discard, client)
					ended <- time.Since(began)
				}()
				_, _ = io.WriteString(client, c.first)
				var writer sync.WaitGroup
				writer.Go(func() {
					for _, b := range []byte(c.slow) {
						if _, err := client.Write([]byte{b}); err != nil {
							return
						}
						time.Sleep(time.Second)
					}
				})
				if took := <-ended; took > c.most {
					t.Errorf("kept for %v, at most %v wanted", took, c.most)
				}
				client.Close()
				writer.Wait()
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A stop waits for the answer that is under way.
func TestStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, ours := net.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		s := server(t)
		go func() { done <- s.Serve(ctx, newPipeListener(ours)) }()
		_, _ = io.WriteString(client, "POST / HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 2\r\n\r\na")
		synctest.Wait()
		cancel()
		synctest.Wait()
		go func() { _, _ = io.WriteString(client, "b") }()
		res, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil || res.StatusCode != 503 {
			t.Fatalf("%v %v", res, err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		client.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// pipeListener hands out one connection and then waits for its end.
type pipeListener struct {
	conns chan net.Conn
	ended chan struct{}
	once  sync.Once
}

func newPipeListener(c net.Conn) *pipeListener {
	l := &pipeListener{conns: make(chan net.Conn, 1), ended: make(chan struct{})}
	l.conns <- c
	return l
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.ended:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.ended) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func FuzzHostName(f *testing.F) {
	for _, seed := range []string{shop, "SHOP.example.com.:80", "[::1]:80", "..", "\u212A", "a:b", ":80", "."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		name, ok := hostName(header)
		if !ok {
			if name != "" {
				t.Fatalf("%q: refused with %q", header, name)
			}
			return
		}
		if again, ok := hostName(name); !ok || again != name {
			t.Fatalf("%q: %q is not settled", header, name)
		}
		if !strings.HasPrefix(strings.ToLower(header), name) {
			t.Fatalf("%q became %q", header, name)
		}
	})
}

func FuzzNegotiation(f *testing.F) {
	f.Add("text/html,application/json;q=0.9", "gzip;q=0")
	f.Add(";;q=,", ",")
	s := server(f)
	f.Fuzz(func(t *testing.T, accept, encoding string) {
		w := ask(s, "GET", shop, "/", "", "Accept", accept, "Accept-Encoding", encoding)
		if w.Code != 503 || w.Body.Len() == 0 {
			t.Fatalf("%d with %d bytes", w.Code, w.Body.Len())
		}
	})
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		view(b, orders())
	}
}

func BenchmarkAnswer(b *testing.B) {
	s := server(b)
	r := httptest.NewRequest("GET", "http://"+shop+"/", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		w.Body.Reset()
		s.Handler().ServeHTTP(w, r)
	}
}
