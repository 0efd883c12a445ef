package prober_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lifeboat/internal/probe"
	"lifeboat/internal/prober"
	"lifeboat/test/door"
)

func TestMain(m *testing.M) {
	// No proxy of the environment may ever stand between us and a target.
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"} {
		os.Setenv(name, "http://127.0.0.1:1")
	}
	goleak.VerifyTestMain(m)
}

const host = "shop.example.com"

// targetAt is the place behind a listener on loopback.
func targetAt(addr net.Addr, scheme string) probe.Target {
	ap := netip.MustParseAddrPort(addr.String())
	return probe.Target{
		Site: "shop", Place: "main", Address: ap.Addr().String(), Port: int(ap.Port()), Scheme: scheme, Host: host,
	}
}

// patient is a check that has time enough on any machine; hasty one that is meant
// to run out of it.
func patient() probe.Check { return probe.Check{Name: "home", Timeout: 30 * time.Second} }
func hasty() probe.Check   { return probe.Check{Name: "home", Timeout: 100 * time.Millisecond} }

func serve(t *testing.T, h http.HandlerFunc) probe.Target {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return targetAt(s.Listener.Addr(), "http")
}

// serveRaw gives each connection to talk, which returns when the test is over at
// the latest: the connection is closed then.
func serveRaw(t *testing.T, talk func(net.Conn)) probe.Target {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var conns []net.Conn
	var talks sync.WaitGroup
	talks.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			talks.Go(func() { defer conn.Close(); talk(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		talks.Wait()
	})
	return targetAt(l.Addr(), "http")
}

// hang reads and never says a word.
func hang(conn net.Conn) { io.Copy(io.Discard, conn) }

// say reads the question's beginning and says a text.
func say(text string) func(net.Conn) {
	return func(conn net.Conn) {
		conn.Read(make([]byte, 4096))
		io.WriteString(conn, text)
	}
}

// trickle says the text at once and then a byte every ten milliseconds for ever.
func trickle(text string) func(net.Conn) {
	return func(conn net.Conn) {
		say(text)(conn)
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for range ticker.C {
			if _, err := io.WriteString(conn, "a"); err != nil {
				return
			}
		}
	}
}

// flood says the text over and over as fast as it is taken.
func flood(begin, text string) func(net.Conn) {
	return func(conn net.Conn) {
		say(begin)(conn)
		for {
			if _, err := io.WriteString(conn, text); err != nil {
				return
			}
		}
	}
}

func cutOff(conn net.Conn) {
	conn.Read(make([]byte, 1))
	conn.(*net.TCPConn).SetLinger(0)
}

func want(t *testing.T, r probe.Result, v probe.Verdict, detail string) {
	t.Helper()
	if r.Verdict != v || !strings.Contains(r.Detail, detail) {
		t.Errorf("got %s %q, want %s %q", r.Verdict, r.Detail, v, detail)
	}
	if len(r.Detail) > 300 || strings.ContainsFunc(r.Detail, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		t.Errorf("%q is not one line of at most 300 bytes", r.Detail)
	}
	if r.At.IsZero() || r.Took < 0 {
		t.Errorf("began at %v and took %v", r.At, r.Took)
	}
}

func TestAskHTTP(t *testing.T) {
	t.Parallel()
	target := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Shop", "main")
		switch r.URL.Path {
		case "/broken":
			w.WriteHeader(500)
			io.WriteString(w, "panic:\r\n\x1b[31m at main.go")
		case "/moved":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/nothing":
			w.WriteHeader(204)
		case "/hints":
			w.WriteHeader(http.StatusEarlyHints)
			io.WriteString(w, "after the hints")
		default:
			fmt.Fprintf(w, "Add to cart %s", r.URL.RawQuery)
		}
	})
	for _, tc := range []struct {
		name    string
		edit    func(*probe.Check)
		verdict probe.Verdict
		detail  string
		status  int
	}{
		{"fine", func(*probe.Check) {}, probe.Pass, "answered 200", 200},
		{"text is there", func(c *probe.Check) { c.Contains = "Add to cart" }, probe.Pass, "answered 200", 200},
		{"text is not there", func(c *probe.Check) { c.Contains = "Buy\nnow" }, probe.Fail, `the page does not contain "Buy\nnow"`, 200},
		{"a long text is not there", func(c *probe.Check) { c.Contains = strings.Repeat("é", 2000) }, probe.Fail, "…", 200},
		{"query", func(c *probe.Check) { c.Path, c.Contains = "/?a=1", "cart a=1" }, probe.Pass, "", 200},
		{"header is there", func(c *probe.Check) { c.Header = "x-shop: main" }, probe.Pass, "", 200},
		{"any value of the header", func(c *probe.Check) { c.Header = "X-Shop:" }, probe.Pass, "", 200},
		{"header has another value", func(c *probe.Check) { c.Header = "X-Shop: backup" }, probe.Fail, `without the header "X-Shop: backup"`, 200},
		{"header is missing", func(c *probe.Check) { c.Header = "X-Other:" }, probe.Fail, `without the header "X-Other:"`, 200},
		{"500", func(c *probe.Check) { c.Path = "/broken" }, probe.Fail, "answered 500, expected 200", 500},
		{"500 is wanted", func(c *probe.Check) { c.Path, c.Status = "/broken", 500 }, probe.Pass, "answered 500", 500},
		{"200 is not wanted", func(c *probe.Check) { c.Status = 503 }, probe.Fail, "answered 200, expected 503", 200},
		{"redirects are not followed", func(c *probe.Check) { c.Path = "/moved" }, probe.Fail, "answered 302, expected 200", 302},
		{"a redirect can be wanted", func(c *probe.Check) { c.Path, c.Status = "/moved", 302 }, probe.Pass, "", 302},
		{"no body", func(c *probe.Check) { c.Path, c.Status = "/nothing", 204 }, probe.Pass, "", 204},
		{"interim answers are passed over", func(c *probe.Check) { c.Path, c.Contains = "/hints", "after" }, probe.Pass, "", 200},
		{"HEAD", func(c *probe.Check) { c.Method = "HEAD" }, probe.Pass, "", 200},
		{"check that is not valid", func(c *probe.Check) { c.Method = "DELETE" }, probe.Inconclusive, "not asked: method", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := patient()
			tc.edit(&c)
			r := prober.Ask(t.Context(), target, c)
			want(t, r, tc.verdict, tc.detail)
			if r.Status != tc.status {
				t.Errorf("status %d, want %d", r.Status, tc.status)
			}
		})
	}
}

func TestAskSpeaksAsAVisitorWould(t *testing.T) {
	t.Parallel()
	var conns atomic.Int32
	asked := make(chan *http.Request, 3)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r }))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	target := targetAt(s.Listener.Addr(), "http")
	for range 3 {
		want(t, prober.Ask(t.Context(), target, patient()), probe.Pass, "")
	}
	r := <-asked
	if want := fmt.Sprintf("%s:%d", host, target.Port); r.Host != want {
		t.Errorf("Host is %q, want %q", r.Host, want)
	}
	if !r.Close {
		t.Error("the target isn't told that the connection ends with the answer")
	}
	for name, want := range map[string]string{"User-Agent": "lifeboat-check", "Lifeboat-Check": "home", "Accept-Encoding": ""} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if conns.Load() != 3 {
		t.Errorf("3 askings used %d connections", conns.Load())
	}
}

// TestAskBadAnswers holds whatever a broken target may say; each must end by
// itself, without waiting for the timeout.
func TestAskBadAnswers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		talk   func(net.Conn)
		detail string
	}{
		{"hangs up", func(net.Conn) {}, "the connection was"},
		{"hangs up after the question", say(""), "the connection was closed without an answer"},
		{"cut off", cutOff, "the connection was cut off"},
		{"hangs up in the header", say("HTTP/1.1 200 OK\r\nA: b\r\n"), "the connection was closed without an answer"},
		{"something else", say("SSH-2.0-\x1b[31mserver\r\n"), "what came back is not an HTTP answer"},
		{"body breaks off", say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"), "the answer broke off after 43 bytes"},
		{"chunks break off", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"), "the answer broke off"},
		{"chunks are garbage", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc"), "what came back is not an HTTP answer"},
		{"endless header", flood("HTTP/1.1 200 OK\r\n", "A: b\r\n"), "the answer's header is longer than 64 KiB"},
		{"endless header line", flood("HTTP/1.1 200 OK\r\n", "a"), "the answer's header is longer than 64 KiB"},
		{"endless interim answers", flood("", "HTTP/1.1 100 Continue\r\n\r\n"), "more than 8 interim answers"},
		{"another protocol", say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"), "answered 101, expected 200"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			want(t, prober.Ask(t.Context(), serveRaw(t, tc.talk), patient()), probe.Fail, tc.detail)
		})
	}
}

// TestAskBodyOverTheLimit: the first MiB is judged, and the rest is not waited for.
func TestAskBodyOverTheLimit(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		begin    string
		contains string
		verdict  probe.Verdict
	}{
		{"without a text", "HTTP/1.1 200 OK\r\n\r\n", "", probe.Pass},
		{"text in the first MiB", "HTTP/1.1 200 OK\r\n\r\nAdd to cart", "Add to cart", probe.Pass},
		{"text never comes", "HTTP/1.1 200 OK\r\n\r\n", "Add to cart", probe.Fail},
		{"more is promised than read", "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n", "", probe.Pass},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			target := serveRaw(t, flood(tc.begin, strings.Repeat("x", 4096)))
			c := patient()
			c.Contains = tc.contains
			want(t, prober.Ask(t.Context(), target, c), tc.verdict, "")
		})
	}
}

func TestAskTimeout(t *testing.T) {
	t.Parallel()
	tlsTo := func(target probe.Target) probe.Target { target.Scheme = "https"; return target }
	for _, tc := range []struct {
		name   string
		target probe.Target
		detail string
	}{
		{"accepts and never answers", serveRaw(t, hang), "no answer within 100 ms"},
		{"accepts and never shakes hands", tlsTo(serveRaw(t, hang)), "no answer within 100 ms (TLS handshake)"},
		{"trickles the first line", serveRaw(t, trickle("HTTP/1.1 200 ")), "no complete answer within 100 ms, only"},
		{"trickles the header", serveRaw(t, trickle("HTTP/1.1 200 OK\r\nA: ")), "no complete answer within 100 ms, only"},
		{"trickles the body", serveRaw(t, trickle("HTTP/1.1 200 OK\r\n\r\n")), "no complete answer within 100 ms, only"},
		{"never ends the body", serveRaw(t, func(c net.Conn) { say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")(c); hang(c) }), "no complete answer within 100 ms, only 41 bytes came"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := prober.Ask(t.Context(), tc.target, hasty())
			want(t, r, probe.Fail, tc.detail)
			if r.Took < hasty().Timeout {
				t.Errorf("took %s, less than the timeout", r.Took)
			}
		})
	}
}

// TestAskConnectTimeout fills a listener's queue, so that the next connection is
// neither taken nor refused.
func TestAskConnectTimeout(t *testing.T) {
	t.Parallel()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: bound.(*syscall.SockaddrInet4).Port}
	c := probe.Check{Name: "port", Kind: probe.KindTCP, Timeout: 100 * time.Millisecond}
	for range 20 {
		conn, err := net.DialTimeout("tcp", addr.String(), 100*time.Millisecond)
		if err != nil {
			break // the queue is full
		}
		t.Cleanup(func() { conn.Close() })
	}
	want(t, prober.Ask(t.Context(), targetAt(addr, "http"), c), probe.Fail, "no answer within 100 ms (connecting)")
}

func TestAskRefused(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := targetAt(l.Addr(), "http")
	door.LetGo(t, l)
	want(t, prober.Ask(t.Context(), target, patient()), probe.Fail, "connection refused")
	c := probe.Check{Name: "port", Kind: probe.KindTCP, Timeout: 30 * time.Second}
	want(t, prober.Ask(t.Context(), target, c), probe.Fail, "connection refused")
}

func TestAskTCP(t *testing.T) {
	t.Parallel()
	target := serveRaw(t, hang)
	c := probe.Check{Name: "port", Kind: probe.KindTCP, Timeout: 30 * time.Second}
	want(t, prober.Ask(t.Context(), target, c), probe.Pass, "connected")
	c.Port, target.Port = target.Port, 1
	want(t, prober.Ask(t.Context(), target, c), probe.Pass, "connected")
}

func TestAskInconclusive(t *testing.T) {
	t.Parallel()
	hung := serveRaw(t, hang)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	brief, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	t.Cleanup(cancel)
	at := func(address string) probe.Target {
		return probe.Target{Address: address, Port: 80, Scheme: "http", Host: host}
	}
	for _, tc := range []struct {
		name   string
		ctx    context.Context
		target probe.Target
		detail string
	}{
		{"told to stop", cancelled, hung, "the asking was cut short here"},
		{"given less time than the check", brief, hung, "the asking was cut short here"},
		{"credentials of a cloud", t.Context(), at("169.254.169.254"), "never asked"},
		{"the same, dressed up", t.Context(), at("::ffff:a9fe:a9fe"), "never asked"},
		{"credentials by IPv6", t.Context(), at("fd00:ec2::254"), "never asked"},
		{"a name", t.Context(), at("shop.example.com"), "not an IP address"},
		{"link-local without a link", t.Context(), at("fe80::1"), "this machine"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			want(t, prober.Ask(tc.ctx, tc.target, patient()), probe.Inconclusive, tc.detail)
		})
	}
}

// TestAskCancelledMidway: Ask returns when it is told to, whatever the target does.
func TestAskCancelledMidway(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	target := serveRaw(t, func(conn net.Conn) {
		conn.Read(make([]byte, 1))
		cancel()
		hang(conn)
	})
	want(t, prober.Ask(ctx, target, patient()), probe.Inconclusive, "the asking was cut short here")
}

// alone runs the test again in a process of its own, for what belongs to a whole
// process; it returns true there, and false here when that has ended.
func alone(t *testing.T, env ...string) bool {
	t.Helper()
	const mark = "LIFEBOAT_TEST_ALONE"
	if os.Getenv(mark) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(append(os.Environ(), mark+"=1"), env...)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

func TestAskWithoutFiles(t *testing.T) {
	t.Parallel()
	if !alone(t) {
		return
	}
	target := serveRaw(t, hang)
	c := probe.Check{Name: "port", Kind: probe.KindTCP, Timeout: 30 * time.Second}
	want(t, prober.Ask(t.Context(), target, c), probe.Pass, "")
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 1, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	r := prober.Ask(t.Context(), target, c)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	want(t, r, probe.Inconclusive, "this process has no file left to ask with")
}

// TestAskWithoutAuthorities: a machine that knows no authority can't judge any
// certificate, so it must not call every site down.
func TestAskWithoutAuthorities(t *testing.T) {
	t.Parallel()
	empty := alone(t, "SSL_CERT_FILE=/dev/null", "SSL_CERT_DIR="+t.TempDir())
	unreadable := alone(t, "SSL_CERT_FILE=/dev/null", "SSL_CERT_DIR=/dev/null")
	if !empty || !unreadable {
		return
	}
	config := &tls.Config{Certificates: []tls.Certificate{newAuthority(t).sign(t, host, -time.Hour, time.Hour)}}
	target := serveTLS(t, config, func(http.ResponseWriter, *http.Request) {})
	want(t, prober.Ask(t.Context(), target, patient()), probe.Inconclusive, "no list of certificate authorities")
}

// authority signs certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"},
		NotBefore: time.Now().Add(-240 * time.Hour), NotAfter: time.Now().Add(240 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return authority{cert, key, pool}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign makes a certificate for the name, valid from and until hours from now.
func (a authority) sign(t *testing.T, name string, from, until time.Duration) tls.Certificate {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name},
		NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(until),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func serveTLS(t *testing.T, config *tls.Config, h http.HandlerFunc) probe.Target {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = config
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return targetAt(s.Listener.Addr(), "https")
}

func TestAskHTTPS(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t), newAuthority(t)
	hour := time.Hour
	for _, tc := range []struct {
		name    string
		cert    tls.Certificate
		auth    tls.ClientAuthType
		roots   *x509.CertPool
		verdict probe.Verdict
		detail  string
	}{
		{"fine", ours.sign(t, host, -hour, hour), 0, ours.pool, probe.Pass, "answered 200"},
		{"expired", ours.sign(t, host, -2*hour, -hour), 0, ours.pool, probe.Fail, "the certificate expired on 2"},
		{"not yet valid", ours.sign(t, host, hour, 2*hour), 0, ours.pool, probe.Fail, "the certificate is not valid before 2"},
		{"for another name", ours.sign(t, "other.example.com", -hour, hour), 0, ours.pool, probe.Fail, "the certificate is not for shop.example.com"},
		{"of an unknown authority", theirs.sign(t, host, -hour, hour), 0, ours.pool, probe.Fail, "an authority that is not known here"},
		{"wants a certificate of ours", ours.sign(t, host, -hour, hour), tls.RequireAnyClientCert, ours.pool, probe.Fail, "TLS was refused"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			config := &tls.Config{Certificates: []tls.Certificate{tc.cert}, ClientAuth: tc.auth}
			target := serveTLS(t, config, func(http.ResponseWriter, *http.Request) {})
			want(t, prober.Asker{Roots: tc.roots}.Ask(t.Context(), target, patient()), tc.verdict, tc.detail)
		})
	}
}

func TestAskHTTPSSpeaksTheName(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	asked := make(chan *http.Request, 1)
	target := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.sign(t, host, -time.Hour, time.Hour)}},
		func(_ http.ResponseWriter, r *http.Request) { asked <- r })
	want(t, prober.Asker{Roots: ca.pool}.Ask(t.Context(), target, patient()), probe.Pass, "")
	r := <-asked
	if r.TLS.ServerName != host || r.ProtoMajor != 1 {
		t.Errorf("SNI %q over %s, want %q over HTTP/1.1", r.TLS.ServerName, r.Proto, host)
	}
}

func TestAskHTTPSOfAPlainServer(t *testing.T) {
	t.Parallel()
	target := serveRaw(t, say("HTTP/1.0 400 Bad Request\r\n\r\nplain HTTP only"))
	target.Scheme = "https"
	want(t, prober.Ask(t.Context(), target, patient()), probe.Fail, "what came back is not TLS")
}

// TestAskClockSetBack: a time that a check took is never below nothing.
func TestAskClockSetBack(t *testing.T) {
	t.Parallel()
	target := serve(t, func(http.ResponseWriter, *http.Request) {})
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now := noon
	a := prober.Asker{Now: func() time.Time { defer func() { now = now.Add(-time.Hour) }(); return now }}
	r := a.Ask(t.Context(), target, patient())
	want(t, r, probe.Pass, "")
	if !r.At.Equal(noon) || r.Took != 0 {
		t.Errorf("began at %s and took %s", r.At, r.Took)
	}
}
