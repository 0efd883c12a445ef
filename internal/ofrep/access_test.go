package ofrep

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/feature"
)

func hash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

func keys() feature.Access {
	return feature.Access{Keys: []feature.Key{
		{Name: "shop", SHA256: hash("for servers"), For: feature.ForServers},
		{Name: "pages", SHA256: hash("for pages"), For: feature.ForPages},
		{Name: "slow", SHA256: hash("for few"), For: feature.ForServers, PerSecond: 2},
		{Name: "unread", SHA256: "not a hash", For: feature.ForServers},
	}}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	s := server(Compile(board(), nil))
	s.Allow(keys())
	for name, c := range map[string]struct {
		header string
		target string
		status int
		has    string // in the body
	}{
		"no key":                {"", one, 401, "a good key"},
		"no key for all":        {"", all, 401, "a good key"},
		"a wrong key":           {"X-API-Key: for server", one, 401, "a good key"},
		"the hash":              {"X-API-Key: " + hash("for servers"), one, 401, "a good key"},
		"an empty key":          {"X-API-Key: ", one, 401, "a good key"},
		"not Bearer":            {"Authorization: Basic for servers", one, 401, "a good key"},
		"a server's key":        {"X-API-Key: for servers", all + "/secret", 200, `"key":"secret"`},
		"as Bearer":             {"Authorization: bearer for servers", all + "/secret", 200, `"key":"secret"`},
		"all for a server":      {"X-API-Key: for servers", all, 200, `"key":"secret"`},
		"a page's key":          {"X-API-Key: for pages", one, 200, `"key":"checkout"`},
		"not for pages":         {"X-API-Key: for pages", all + "/secret", 404, `FLAG_NOT_FOUND`},
		"lifeboat's own":        {"Authorization: Bearer " + keys().Own(), all + "/checkout~drill", 200, `"value":true`},
		"own of other keys":     {"Authorization: Bearer " + feature.Access{Keys: keys().Keys[:1]}.Own(), one, 401, "a good key"},
		"stream token as a key": {"X-API-Key: " + keys().Stream(keys().Keys[0]), one, 401, "a good key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var headers []string
			if c.header != "" {
				headers = append(headers, c.header)
			}
			w := asked(t, s, "POST", c.target, `{"context":{"targetingKey":"u"}}`, headers...)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.has) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if (w.Code == 401) != (w.Header().Get("WWW-Authenticate") != "") {
				t.Error("WWW-Authenticate goes with 401")
			}
			if w.Code == 401 && strings.Contains(w.Body.String(), "secret") {
				t.Errorf("%s", w.Body)
			}
		})
	}
	for path, want := range map[string]int{"": 401, "?key=shop&token=x": 401, "?token=": 401} {
		if w := asked(t, s, "GET", streamPath+path, ""); w.Code != want {
			t.Errorf("stream %q: %d", path, w.Code)
		}
	}
}

// The address of a stream opens the stream, holds no key, and is another for
// another key.
func TestStreamByToken(t *testing.T) {
	t.Parallel()
	s := server(Compile(board(), nil))
	s.Allow(keys())
	base, _ := running(t, s)
	seen := map[string]bool{}
	for _, key := range []string{"for servers", "for pages"} {
		w := asked(t, s, "POST", all, `{"context":{"targetingKey":"u"}}`, "X-API-Key: "+key)
		var got struct {
			EventStreams []struct{ Endpoint struct{ RequestURI string } }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.EventStreams) != 1 {
			t.Fatalf("%s: %v", w.Body, err)
		}
		uri := got.EventStreams[0].Endpoint.RequestURI
		if strings.Contains(uri, "for") || seen[uri] || seen[w.Header().Get("ETag")] {
			t.Errorf("%s, ETag %s", uri, w.Header().Get("ETag"))
		}
		seen[uri], seen[w.Header().Get("ETag")] = true, true
		l := listenTo(t, base, strings.TrimPrefix(uri, streamPath), "")
		if l.res.StatusCode != 200 || l.next() == "ended" {
			t.Errorf("%s: %d", uri, l.res.StatusCode)
		}
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	clock := time.Unix(1000, 0)
	s := New(Options{Now: func() time.Time { return clock }})
	s.Set(Compile(flags(), nil))
	s.Allow(keys())
	count := func(n int) (ok int) {
		for range n {
			w := asked(t, s, "POST", one, `{}`, "X-API-Key: for few")
			if w.Code == 200 {
				ok++
			} else if w.Code != 429 || w.Header().Get("Retry-After") != "1" || w.Header().Get("Access-Control-Expose-Headers") == "" {
				t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
			}
		}
		return ok
	}
	if ok := count(10); ok != 2 {
		t.Errorf("%d of 10 at once, want 2", ok)
	}
	clock = clock.Add(500 * time.Millisecond)
	if ok := count(10); ok != 1 {
		t.Errorf("%d of 10 half a second later, want 1", ok)
	}
	clock = clock.Add(time.Hour)
	if ok := count(10); ok != 2 {
		t.Errorf("%d of 10 an hour later, want 2", ok)
	}
	if w := asked(t, s, "POST", one, `{}`, "X-API-Key: for servers"); w.Code != 200 {
		t.Errorf("another key is answered %d", w.Code)
	}
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	s := server(Compile(board(), nil))
	s.Allow(feature.Access{Origins: []string{"https://shop.example.com"}})
	const body = `{"context":{"targetingKey":"u"}}`
	good := asked(t, s, "POST", all, body, "Origin: https://shop.example.com")
	if good.Code != 200 || good.Header().Get("Access-Control-Allow-Origin") != "https://shop.example.com" || good.Header().Get("Vary") != "Origin" {
		t.Errorf("%d %v", good.Code, good.Header())
	}
	for _, method := range []string{"POST", "OPTIONS"} {
		bad := asked(t, s, method, all, body, "Origin: https://evil.example.com")
		if bad.Header().Get("Access-Control-Allow-Origin") != "" || method == "POST" && bad.Code != 403 || strings.Contains(bad.Body.String(), "checkout") {
			t.Errorf("%s: %d %v %s", method, bad.Code, bad.Header(), bad.Body)
		}
	}
	if w := asked(t, s, "POST", one, body); w.Code != 200 {
		t.Errorf("a server is answered %d", w.Code)
	}
}

// Who finds no place for a connection is told at once, and is served again as soon
// as there is one.
func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	s := New(Options{MaxConns: 2, MaxStreams: 2})
	s.Set(Compile(flags(), nil))
	base, _ := running(t, s)
	one, two := listenTo(t, base, "", ""), listenTo(t, base, "", "")
	one.next()
	two.next()
	post := func() (int, string) {
		res, err := asker.Post(base+"/ofrep/v1/evaluate/flags/checkout", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res.StatusCode, res.Header.Get("Retry-After") + string(b)
	}
	if code, said := post(); code != 503 || !strings.HasPrefix(said, `1{"errorCode":"GENERAL","errorDetails"`) {
		t.Errorf("%d %s", code, said)
	}
	one.close()
	until(t, "there is a place again", func() bool { code, _ := post(); return code == 200 })
	if s.Counts().Shed == 0 {
		t.Error("nobody was counted")
	}
}

func TestBusy(t *testing.T) {
	t.Parallel()
	s := New(Options{MaxBusy: 1})
	s.Set(Compile(board(), nil))
	s.busy.Add(1) // somebody is at it
	for _, target := range []string{all, all + "/engine"} {
		if w := asked(t, s, "POST", target, `{}`); w.Code != 503 || w.Header().Get("Retry-After") != "1" {
			t.Errorf("%s: %d %v", target, w.Code, w.Header())
		}
	}
	if w := asked(t, s, "POST", one, `{}`); w.Code != 200 {
		t.Errorf("a flag without a rule is answered %d", w.Code)
	}
	s.busy.Add(-1)
	if w := asked(t, s, "POST", all, `{}`); w.Code != 200 || s.busy.Load() != 0 {
		t.Errorf("%d, %d busy", w.Code, s.busy.Load())
	}
}

// A body of 1 MB gets its answer, on a real connection, too.
func TestLargeBodyIsToldWhy(t *testing.T) {
	t.Parallel()
	s := server(Compile(flags(), nil))
	base, _ := running(t, s)
	for _, size := range []int{MaxBody, 1 << 20, 3 << 20} {
		res, err := asker.Post(base+one, "application/json", strings.NewReader(fmt.Sprintf(`{"context":{"a":%q}}`, strings.Repeat("x", size))))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusBadRequest || !strings.Contains(string(b), `"INVALID_CONTEXT"`) || err != nil {
			t.Errorf("%d: %d %s %v", size, res.StatusCode, b, err)
		}
	}
}

// A request in pieces, and several in one, are answered as they stand.
func TestPipelined(t *testing.T) {
	t.Parallel()
	s := server(Compile(flags(), nil))
	base, _ := running(t, s)
	c, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	const q = "POST " + one + " HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
	// One that is too large is read to its end, so that the next has its turn.
	large := strings.Replace(q, "Content-Length: 2\r\n\r\n{}", "Content-Length: 1000000\r\n\r\n"+strings.Repeat(" ", 1_000_000), 1)
	if _, err := io.WriteString(c, q+large+q+strings.Replace(q, "Host: a", "Host: a\r\nConnection: close", 1)); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if n := strings.Count(string(b), `{"key":"checkout","value":true`); n != 3 || err != nil {
		t.Errorf("%d answers, %v", n, err)
	}
}
