package capture

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestPage(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Host != fmt.Sprintf("%s:%d", host, port(r)) || r.Header.Get(mark) == "" || r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("asked with %s %v", r.Host, r.Header)
		}
		w.Header().Set("Date", time.Now().Add(2*time.Hour).UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Type", "text/html")
		w.Header().Add("Set-Cookie", "session=opensesame; Path=/; HttpOnly")
		w.Header().Add("Set-Cookie", "opensesame")
		w.Header().Set("Authorization", "Bearer opensesame")
		w.Header().Set("X-Auth-Token", "opensesame")
		w.Header().Set("Location", "https://me:opensesame@id.example.net/cb?code=opensesame")
		w.Header().Set("X-Request-Id", "r-1")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, "<h1>It broke</h1>")
	})
	items, done := runs(t, job(place("http", at, "/cart?id=1")), patient())
	if len(items) != 2 || done.Problem != "" || asked.Load() != 1 {
		t.Fatalf("%d items, %+v, asked %d times", len(items), done, asked.Load())
	}
	how, page := items[0], items[1]
	has(t, how.Summary, "GET /cart?id=1 answered 500 after ")
	if how.Source != "main "+at.String() || how.Problem != "" || how.Deciding != "" || how.ClockOffset.Round(time.Minute) != 2*time.Hour {
		t.Errorf("%+v", how)
	}
	text := string(how.Body)
	has(t, text, "connected", "question sent", "first byte of the answer", "answer complete: 17 bytes", "HTTP/1.1 500 Internal Server Error", "X-Request-Id: r-1", "session="+removed,
		"Location: https://removed@id.example.net/cb?"+removed, "ahead of ours")
	lacks(t, text, "opensesame")
	if string(page.Body) != "<h1>It broke</h1>" || page.Type != "text/html" || page.Truncated || page.Kind != KindHTTP {
		t.Errorf("%+v", page)
	}
}

func port(r *http.Request) int {
	return r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr).Port
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	at := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	items, _ := runs(t, job(place("http", at, "/")), patient())
	has(t, items[0].Summary, "GET / answered 302 after ")
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
}

// What servers can do to who asks: each costs its own item, at most its time, and
// tells what it was.
func TestHostileServers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		talk    func(net.Conn)
		summary string
		problem string // "" where something came
		body    int    // bytes of the page, -1 where there is no page
		cut     bool
		o       Options
	}{
		"says nothing":           {func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, "GET / got no answer: no complete answer within 1 s.", "no complete answer within 1 s", -1, false, hasty()},
		"hangs up":               {says(""), "GET / got no answer: the connection was closed without an answer.", "closed without", -1, false, patient()},
		"resets":                 {reset, "GET / got no answer: the connection was cut off.", "cut off", -1, false, patient()},
		"another protocol":       {says("SSH-2.0-OpenSSH_9.2\r\n"), "GET / got no answer: what came back is not an HTTP answer.", "not an HTTP answer", -1, false, patient()},
		"endless header lines":   {endless("HTTP/1.1 200 OK\r\n", "X-A: b\r\n"), "GET / got no answer: the answer's header is longer than 64 KiB.", "longer than 64 KiB", -1, false, patient()},
		"one endless line":       {endless("HTTP/1.1 200 OK\r\nX-A: ", "aaaaaaaaaaaaaaaaaaaaaaaa"), "GET / got no answer: the answer's header is longer than 64 KiB.", "longer than 64 KiB", -1, false, patient()},
		"endless interims":       {endless("", "HTTP/1.1 103 Early Hints\r\n\r\n"), "GET / got no answer: more than 8 interim answers came, and no final one.", "interim", -1, false, patient()},
		"an endless body":        {endless("HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("x", 4096)), "GET / answered 200 after ", "", MaxBody, true, patient()},
		"endless small chunks":   {endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", strings.Repeat("10\r\n0123456789abcdef\r\n", 99)), "GET / answered 200 after ", "", MaxBody, true, patient()},
		"a trickle":              {trickle, "but only ", "", 1, true, hasty()},
		"less than promised":     {says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"), ", but only 3 bytes of the page came: the answer broke off.", "", 3, true, patient()},
		"an impossible length":   {says("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nabc"), "GET / got no answer: ", "bad Content-Length", -1, false, patient()},
		"a gigantic length":      {says("HTTP/1.1 200 OK\r\nContent-Length: 999999999999999\r\n\r\nabc"), ", but only 3 bytes", "", 3, true, patient()},
		"broken chunks":          {says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), ", but only 0 bytes", "", -1, false, patient()},
		"a switch":               {says("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nabc"), "GET / answered 101 after ", "", -1, false, patient()},
		"unprintable everything": {says("HTTP/1.1 200 \x1b[2J\r\nX-\x7fA: \x1b[31m\x00\r\n\r\n"), "GET / got no answer: ", "malformed", -1, false, patient()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			items, done := runs(t, job(place("http", serveRaw(t, c.talk), "/")), c.o)
			if done.Problem != "" {
				t.Error(done.Problem)
			}
			how := items[0]
			has(t, how.Summary, c.summary)
			if has(t, how.Problem, c.problem); c.problem == "" && how.Problem != "" {
				t.Errorf("problem %q", how.Problem)
			}
			if strings.ContainsAny(string(how.Body), "\x1b\x00\x7f") {
				t.Errorf("unprintable: %q", how.Body)
			}
			if c.body < 0 {
				if len(items) != 1 {
					t.Errorf("a page: %+v", items[1])
				}
				return
			}
			if len(items) != 2 || len(items[1].Body) < c.body || items[1].Truncated != c.cut {
				t.Fatalf("%d items, the last of %d bytes", len(items), len(items[len(items)-1].Body))
			}
			if c.body > 1 && len(items[1].Body) != c.body {
				t.Errorf("%d bytes", len(items[1].Body))
			}
		})
	}
}

// No more is read than is kept: a page without end costs neither time nor memory.
func TestEndlessPageIsLeft(t *testing.T) {
	t.Parallel()
	sent := make(chan int, 1)
	at := serveRaw(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		n, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
		for part := make([]byte, 64<<10); err == nil; {
			var w int
			w, err = c.Write(part)
			n += w
		}
		sent <- n
	})
	if items, _ := runs(t, job(place("http", at, "/")), patient()); len(items) != 2 {
		t.Errorf("%d items", len(items))
	}
	if n := <-sent; n > 32*MaxBody { // what the sockets hold, too
		t.Errorf("it took %d bytes", n)
	}
}

func reset(c net.Conn) {
	_, _ = c.Read(make([]byte, 1))
	_ = c.(*net.TCPConn).SetLinger(0)
}

// trickle sends a byte now and then, for ever.
func trickle(c net.Conn) {
	_, _ = c.Read(make([]byte, 4096))
	_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nx")
	for err == nil {
		time.Sleep(10 * time.Millisecond)
		_, err = io.WriteString(c, "x")
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	it := only(t, job(place("http", closed(t), "/")), patient())
	if it.Summary != "GET / got no answer: the connection was refused: nobody listens there." || it.Problem == "" {
		t.Errorf("%+v", it)
	}
}

// A page over TLS whose certificate is bad is captured all the same.
func TestPageOverBadTLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	at := serveTLS(t, tlsConfig(a.sign(-48*time.Hour, -24*time.Hour, host)))
	items, _ := runs(t, job(place("https", at, "/")), patient())
	pages := 0
	for _, it := range items {
		if it.Kind == KindHTTP && string(it.Body) == "hello" {
			pages++
		}
	}
	if pages != 1 || len(items) != 3 {
		t.Errorf("%d of %d items are the page", pages, len(items))
	}
}

func TestTLSThatIsNone(t *testing.T) {
	t.Parallel()
	items, _ := runs(t, job(place("https", serveRaw(t, says("HTTP/1.1 400 Bad Request\r\n\r\n")), "/")), patient())
	for _, it := range items {
		if it.Problem != "what came back is not TLS" {
			t.Errorf("%s: %+v", it.Kind, it)
		}
	}
	if len(items) != 2 {
		t.Errorf("%d items", len(items))
	}
}

func TestStopsWhenTold(t *testing.T) {
	t.Parallel()
	connected := make(chan struct{}, 9)
	at := serveRaw(t, func(c net.Conn) { connected <- struct{}{}; _, _ = io.Copy(io.Discard, c) })
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { <-connected; cancel() }()
	var items []Item
	j := job(place("http", at, "/a", "/b", "/c"))
	o := patient()
	o.Parallel = 1
	done := Run(ctx, j, o, func(it Item) { items = append(items, it) })
	if len(items) != 1 || items[0].Problem != "the asking was cut short here" {
		t.Errorf("%+v", items)
	}
	if done.Problem != "2 of 3 questions were not asked: the time was up" {
		t.Errorf("%+v", done)
	}
}

func TestClockOffset(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for _, c := range []struct {
		date, age string
		want      time.Duration
	}{
		{at(0), "", 0}, {at(time.Hour), "", time.Hour}, {at(-time.Hour), "", -time.Hour}, {at(-time.Hour), "3600", 0},
		{"", "", 0}, {"yesterday", "", 0}, {at(time.Hour), "-5", time.Hour}, {at(time.Hour), "x", time.Hour}, {at(0), "99999999999999", 0},
	} {
		if got := clockOffset(http.Header{"Date": {c.date}, "Age": {c.age}}, now); got != c.want {
			t.Errorf("%q %q: %s, want %s", c.date, c.age, got, c.want)
		}
	}
	for d, want := range map[time.Duration]string{0: "right", time.Second: "right", 90 * time.Second: "1m30s ahead of ours", -90 * time.Second: "1m30s behind ours"} {
		if got := ahead(d); got != want {
			t.Errorf("%s: %q", d, got)
		}
	}
}

func TestRedacted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, value, want string }{
		{"Server", "nginx", "nginx"},
		{"Set-Cookie", "a=b; Path=/", "a=" + removed},
		{"Set-Cookie", "secret", removed},
		{"Set-Cookie", "secret; Path=/", removed},
		{"Proxy-Authorization", "x", removed},
		{"X-Api-Key", "x", removed},
		{"X-CSRF-Token", "x", removed},
		{"Www-Authenticate", `Basic realm="shop"`, `Basic realm="shop"`},
		{"X-Cache-Key", "/a", "/a"},
		{"Location", "/login", "/login"},
		{"Location", "/login?next=x", "/login?" + removed},
		{"Location", "/login#token=x", "/login#" + removed},
		{"Location", "https://a:b@c/d", "https://removed@c/d"},
		{"Location", "http://[", "http://["},
	} {
		if got := redacted(c.name, c.value); got != c.want {
			t.Errorf("%s: %s is shown as %q, want %q", c.name, c.value, got, c.want)
		}
	}
}
