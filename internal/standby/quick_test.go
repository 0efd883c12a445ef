package standby

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const browserHead = "User-Agent: Mozilla/5.0\r\nAccept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nSec-Fetch-Dest: document\r\nUpgrade-Insecure-Requests: 1\r\nCookie: a=b\r\n"

// ordinaryOnes are requests that are answered without net/http, unusualOnes those that are
// handed to it. What they are answered is asked of net/http alone, too.
var (
	ordinaryOnes = map[string]string{
		"a browser's":       "GET / HTTP/1.1\r\nHost: shop.example.com\r\n" + browserHead + "\r\n",
		"a deep page":       "GET /a/b.html?x=%20y&z=1 HTTP/1.1\r\nHost: SHOP.example.com:80\r\n" + browserHead + "Connection: Keep-Alive\r\n\r\n",
		"nothing is said":   "GET /x HTTP/1.1\r\nHost: shop.example.com\r\n\r\n",
		"JSON is asked for": "GET /x HTTP/1.1\r\nHost: shop.example.com\r\nAccept: application/json\r\n\r\n",
		"events":            "GET /x HTTP/1.1\r\nhost: shop.example.com\r\naccept: text/event-stream\r\n\r\n",
		"an image":          "GET /logo.png HTTP/1.1\r\nHost: shop.example.com\r\nAccept: image/avif,*/*\r\nSec-Fetch-Dest: image\r\n\r\n",
		"no compression":    "GET / HTTP/1.1\r\nHost: shop.example.com\r\nAccept-Encoding: identity\r\n\r\n",
		"gzip alone":        "GET / HTTP/1.1\r\nHost: shop.example.com\r\nAccept-Encoding: gzip\r\n\r\n",
		"ordered elsewhere": "GET / HTTP/1.1\r\nHost: docs.example.com\r\n" + browserHead + "\r\n",
	}
	unusualOnes = map[string]string{
		"HEAD":             "HEAD / HTTP/1.1\r\nHost: shop.example.com\r\n\r\n",
		"a body":           "POST / HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 3\r\n\r\nabc",
		"GET with a body":  "GET / HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 3\r\n\r\nabc",
		"chunks":           "GET / HTTP/1.1\r\nHost: shop.example.com\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"both lengths":     "GET / HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"an origin":        "GET / HTTP/1.1\r\nHost: shop.example.com\r\nOrigin: https://a.example\r\n\r\n",
		"a check of ours":  "GET / HTTP/1.1\r\nHost: shop.example.com\r\nLifeboat-Check: 1\r\n\r\n",
		"a WebSocket":      "GET / HTTP/1.1\r\nHost: shop.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
		"the last":         "GET / HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n",
		"HTTP/1.0":         "GET / HTTP/1.0\r\nHost: shop.example.com\r\n\r\n",
		"no host":          "GET / HTTP/1.1\r\n\r\n",
		"two hosts":        "GET / HTTP/1.1\r\nHost: shop.example.com\r\nHost: other.example\r\n\r\n",
		"two of accept":    "GET / HTTP/1.1\r\nHost: shop.example.com\r\nAccept: application/json\r\nAccept: text/html\r\n\r\n",
		"whole URL":        "GET http://shop.example.com/ HTTP/1.1\r\nHost: shop.example.com\r\n\r\n",
		"an escape":        "GET /%61pi HTTP/1.1\r\nHost: shop.example.com\r\n\r\n",
		"dots":             "GET /a/../api HTTP/1.1\r\nHost: shop.example.com\r\n\r\n",
		"two slashes":      "GET //api HTTP/1.1\r\nHost: shop.example.com\r\n\r\n",
		"a folded line":    "GET / HTTP/1.1\r\nHost: shop.example.com\r\nCookie: a\r\n b\r\n\r\n",
		"bare ends":        "GET / HTTP/1.1\nHost: shop.example.com\n\n",
		"a space too many": "GET /  HTTP/1.1\r\nHost: shop.example.com\r\n\r\n",
		"a name's space":   "GET / HTTP/1.1\r\nHost : shop.example.com\r\n\r\n",
		"other bytes":      "GET / HTTP/1.1\r\nHost: shop.example.com\r\nCookie: \x01\r\n\r\n",
		"robots.txt":       "GET /robots.txt HTTP/1.1\r\nHost: shop.example.com\r\n\r\n",
		"well known":       "GET /.well-known/security.txt HTTP/1.1\r\nHost: shop.example.com\r\n\r\n",
		"of programs":      "GET /api/orders HTTP/1.1\r\nHost: shop.example.com\r\n\r\n",
		"an icon":          "GET /favicon.ico HTTP/1.1\r\nHost: shop.example.com\r\n\r\n",
		"another name":     "GET / HTTP/1.1\r\nHost: stranger.example\r\n\r\n",
		"the status page":  "GET / HTTP/1.1\r\nHost: status.example.com\r\n\r\n",
		"no request":       "hello\r\n\r\n",
	}
)

// answered sends bytes over a connection of its own and gives what came, without dates.
func answered(t *testing.T, address, request string, times int) (out []string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	must(t, err)
	defer func() { _ = c.Close() }()
	must(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	r := bufio.NewReader(c)
	for range times {
		if _, err := io.WriteString(c, request); err != nil {
			break
		}
		method, _, _ := strings.Cut(request, " ")
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			break
		}
		body, err := io.ReadAll(res.Body)
		must(t, err)
		res.Header.Del("Date")
		var b bytes.Buffer
		must(t, res.Header.Write(&b))
		out = append(out, res.Proto+" "+res.Status+"\n"+b.String()+"\n"+string(body))
		if res.Close {
			out = append(out, "and it ends")
			break
		}
	}
	return out
}

// TestQuickAnswersAsTheHandler: over and over again on one connection, what is answered
// without net/http is what net/http answers.
func TestQuickAnswersAsTheHandler(t *testing.T) {
	t.Parallel()
	s := server(t)
	ours := serve(t, s)
	plain := httptest.NewUnstartedServer(s.Handler())
	plain.Config = s.httpServer()
	plain.Start()
	defer plain.Close()
	for _, all := range []map[string]string{ordinaryOnes, unusualOnes} {
		for name, request := range all {
			want, got := answered(t, plain.Listener.Addr().String(), request, 3), answered(t, ours, request, 3)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: (-net/http +ours)\n%.1500s", name, diff)
			}
		}
	}
	if n := len(*s.current.Load().kept.Load()); n < 7 {
		t.Errorf("%d answers are kept: the ordinary ones were not answered here", n)
	}
}

func TestReadOrdinary(t *testing.T) {
	t.Parallel()
	for name, request := range ordinaryOnes {
		o, size, state := readOrdinary([]byte(request + "GET"))
		if state != whole || size != len(request) || !strings.HasPrefix(string(o.target), string(o.path)) {
			t.Errorf("%s: %v, %d of %d bytes", name, state, size, len(request))
		}
		for i := range len(request) {
			if _, _, state := readOrdinary([]byte(request[:i])); state != incomplete {
				t.Fatalf("%s: %v after %d bytes", name, state, i)
			}
		}
	}
	later := []string{"robots.txt", "well known", "of programs", "an icon", "another name", "the status page"} // their paths and names are looked at when they are answered
	for name, request := range unusualOnes {
		if _, _, state := readOrdinary([]byte(request)); state == whole && !slices.Contains(later, name) {
			t.Errorf("%s is ordinary", name)
		}
	}
}

// TestQuickCounts: a visitor is counted once, whoever answers; what is behind a request
// that is handed on is not lost.
func TestQuickCounts(t *testing.T) {
	t.Parallel()
	s := server(t)
	address := serve(t, s)
	before := s.Counts()["shop"]
	request := ordinaryOnes["a browser's"]
	if got := answered(t, address, request, 5); len(got) != 5 {
		t.Fatalf("%d answers", len(got))
	}
	after := s.Counts()["shop"]
	if after.Failover+after.Late-before.Failover-before.Late != 5 {
		t.Errorf("%+v, and then %+v", before, after)
	}
	c, err := net.Dial("tcp", address)
	must(t, err)
	defer func() { _ = c.Close() }()
	must(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	both := request + unusualOnes["HEAD"] + request // in one go, and then the half of one
	_, err = io.WriteString(c, both+request[:20])
	must(t, err)
	r := bufio.NewReader(c)
	for i, method := range []string{"GET", "HEAD", "GET", "GET"} {
		if i == 3 {
			_, err = io.WriteString(c, request[20:])
			must(t, err)
		}
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		_, err = io.Copy(io.Discard, res.Body)
		must(t, err)
	}
}

// FuzzReadOrdinary: what is taken as ordinary is read by net/http in the same way: the
// same name and path, as long, and without a body.
func FuzzReadOrdinary(f *testing.F) {
	for _, all := range []map[string]string{ordinaryOnes, unusualOnes} {
		for _, request := range all {
			f.Add([]byte(request))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, size, state := readOrdinary(b)
		if state != whole {
			return
		}
		r := bufio.NewReader(bytes.NewReader(b))
		req, err := http.ReadRequest(r)
		if err != nil {
			t.Fatalf("net/http does not take it: %v\n%q", err, b)
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			t.Fatal(err)
		}
		if rest, _ := io.ReadAll(r); len(b)-len(rest) != size {
			t.Errorf("it is %d bytes long for net/http, %d for us\n%q", len(b)-len(rest), size, b)
		}
		if req.Host != string(o.host) || req.URL.Path != string(o.path) || req.Method != http.MethodGet || req.ContentLength != 0 || req.TransferEncoding != nil || req.Close {
			t.Errorf("%+v\n%q", req, b)
		}
		for name, value := range map[string][]byte{"Accept": o.accept, "Accept-Encoding": o.encoding, "Sec-Fetch-Dest": o.dest} {
			if got := req.Header[name]; len(got) > 1 || len(got) == 1 && got[0] != string(value) || len(got) == 0 && value != nil {
				t.Errorf("%s is %q for net/http, %q for us", name, got, value)
			}
		}
		for name := range req.Header {
			if fields[strings.ToLower(name)] == strange {
				t.Errorf("%s was passed over", name)
			}
		}
	})
}
