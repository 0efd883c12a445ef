package standby

import (
	"bufio"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/snapshot"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	pool *x509.CertPool
}

func newAuthority(t testing.TB) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(1000 * time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	must(t, err)
	a := authority{key: key, pool: x509.NewCertPool()}
	a.cert, err = x509.ParseCertificate(der)
	must(t, err)
	a.pool.AddCert(a.cert)
	return a
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var rsaKey = func() crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}()

func (a authority) sign(t testing.TB, useRSA bool, names ...string) snapshot.Certificate {
	t.Helper()
	var key crypto.Signer = rsaKey
	if !useRSA {
		var err error
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: names, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(100 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.cert, key.Public(), a.key)
	must(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return snapshot.Certificate{Names: names, Chain: [][]byte{der}, Key: raw}
}

// clock is a time that tests move.
type clock struct{ at atomic.Int64 }

func newClock() *clock                   { c := &clock{}; c.at.Store(now.UnixNano()); return c }
func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()).UTC() }
func (c *clock) forward(d time.Duration) { c.at.Add(int64(d)) }

// secured is a standby over TLS at an address.
type secured struct {
	*Server
	authority
	addr  string
	clock *clock
}

func serveTLS(t testing.TB, o Options, certs func(a authority) snapshot.Certificates) secured {
	t.Helper()
	s := secured{authority: newAuthority(t), clock: newClock()}
	o.Now = s.clock.now
	s.Server = New(o)
	s.Set(view(t, orders()))
	if certs == nil {
		certs = func(a authority) snapshot.Certificates {
			return snapshot.Certificates{Certs: []snapshot.Certificate{a.sign(t, false, shop, "www."+shop, docs)}, TicketSecret: make([]byte, snapshot.MinTicketSecret)}
		}
	}
	if problems := s.SetCertificates(certs(s.authority)); problems != nil {
		t.Fatal(problems)
	}
	s.addr = start(t, s.ServeTLS)
	return s
}

// start serves on a port of its own until the test ends.
func start(t testing.TB, serve func(context.Context, net.Listener) error) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

func (s secured) dial(t testing.TB, c *tls.Config) (*tls.Conn, error) {
	t.Helper()
	if c.RootCAs == nil {
		c.RootCAs = s.pool
	}
	c.Time = s.clock.now
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: c}
	conn, err := d.Dial("tcp", s.addr)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*tls.Conn), conn.SetDeadline(time.Now().Add(10 * time.Second))
}

// get asks over a connection for a page.
func get(t testing.TB, conn net.Conn, host, path string) *http.Response {
	t.Helper()
	_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host)
	must(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	_, err = io.Copy(io.Discard, res.Body)
	must(t, err)
	return res
}

func TestServesByName(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, Options{}, func(a authority) snapshot.Certificates {
		return snapshot.Certificates{Certs: []snapshot.Certificate{a.sign(t, true, shop), a.sign(t, false, shop), a.sign(t, false, "*.example.net"), a.sign(t, true, docs)}}
	})
	for name, want := range map[string]string{shop: "ECDSA", docs: "RSA", "a.example.net": "ECDSA", "SHOP.example.com": "ECDSA"} {
		conn, err := s.dial(t, &tls.Config{ServerName: name})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := conn.ConnectionState().PeerCertificates[0].PublicKeyAlgorithm.String(); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	// Who can't do with ECDSA is given RSA.
	conn, err := s.dial(t, &tls.Config{ServerName: shop, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}})
	if err != nil || conn.ConnectionState().PeerCertificates[0].PublicKeyAlgorithm != x509.RSA {
		t.Errorf("RSA alone: %v", err)
	}
	if res := get(t, conn, shop, "/"); res.StatusCode != 503 || res.Header.Get(Marker) != "shop" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	// A name without a certificate learns nothing but that.
	for _, name := range []string{"other.example.com", "example.net", "a.b.example.net", ""} {
		_, err := s.dial(t, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := s.dial(t, &tls.Config{ServerName: shop, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	if l := s.Load(); l.Unknown < 4 || l.Handshakes == 0 {
		t.Errorf("%+v", l)
	}
}

func TestProtocols(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, Options{}, nil)
	for want, offered := range map[string][]string{"": nil, "http/1.1": {"h2", "http/1.1"}, "h2": {"h2"}} {
		conn, err := s.dial(t, &tls.Config{ServerName: shop, NextProtos: offered})
		must(t, err)
		if got := conn.ConnectionState().NegotiatedProtocol; got != want {
			t.Errorf("offered %q: %q, want %q", offered, got, want)
		}
	}
}

// over2 is a client that speaks HTTP/2 alone.
func (s secured) over2() *http.Client {
	only := new(http.Protocols)
	only.SetHTTP2(true)
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: s.pool, Time: s.clock.now}, Protocols: only,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", s.addr)
		},
	}}
}

// TestGRPC: UNAVAILABLE in one block of headers.
func TestGRPC(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, Options{}, nil)
	client := s.over2()
	defer client.CloseIdleConnections()
	r, err := http.NewRequest("POST", "https://"+shop+"/pkg.Service/Method", strings.NewReader("\x00\x00\x00\x00\x01x"))
	must(t, err)
	r.Header.Set("Content-Type", "application/grpc+proto")
	r.Header.Set("Te", "trailers")
	res, err := client.Do(r)
	must(t, err)
	body, err := io.ReadAll(res.Body)
	must(t, err)
	h := res.Header
	if res.ProtoMajor != 2 || res.StatusCode != 200 || h.Get("Grpc-Status") != "14" || h.Get("Grpc-Message") == "" || h.Get("Content-Type") != "application/grpc+proto" || len(body) > 0 {
		t.Errorf("%s %d %v %q", res.Proto, res.StatusCode, h, body)
	}
}

// TestReturnEndsIdleConnections: when a site goes home, who holds a connection is told
// to look its name up again: by the end of it in HTTP/1.1, by GOAWAY in HTTP/2.
func TestReturnEndsIdleConnections(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, Options{}, nil)
	plain := start(t, s.Serve)
	over1, err := s.dial(t, &tls.Config{ServerName: shop})
	must(t, err)
	bare, err := net.DialTimeout("tcp", plain, 10*time.Second)
	must(t, err)
	defer bare.Close()
	must(t, bare.SetDeadline(time.Now().Add(10*time.Second)))
	over2, err := s.dial(t, &tls.Config{ServerName: shop, NextProtos: []string{"h2"}})
	must(t, err)
	get(t, over1, shop, "/")
	get(t, bare, shop, "/")
	// The preface and empty settings; then frames are read until GOAWAY (RFC 9113 section 6.8).
	_, err = io.WriteString(over2, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	must(t, err)
	frame := func() byte {
		head := make([]byte, 9)
		_, err := io.ReadFull(over2, head)
		must(t, err)
		_, err = io.CopyN(io.Discard, over2, int64(head[0])<<16|int64(head[1])<<8|int64(head[2]))
		must(t, err)
		return head[3]
	}
	if first := frame(); first != 4 {
		t.Fatalf("the first frame is of type %d", first)
	}
	home := orders()
	o := home["shop"]
	o.Position = "main"
	home["shop"] = o
	s.Set(view(t, home))
	for about, conn := range map[string]net.Conn{"HTTP/1.1 over TLS": over1, "HTTP/1.1": bare} {
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", about, err)
		}
	}
	for frame() != 7 {
	}
	// Whoever comes now is served, and not kept.
	late, err := s.dial(t, &tls.Config{ServerName: shop})
	must(t, err)
	if res := get(t, late, shop, "/"); res.StatusCode != 503 || !res.Close || res.Header.Get("Alt-Svc") != "clear" {
		t.Errorf("late: %d, close %t, %v", res.StatusCode, res.Close, res.Header)
	}
	if n := s.Counts()["shop"]; n.Late != 1 || n.Failover != 2 {
		t.Errorf("%+v", n)
	}
}

// TestBadCertificates: one that can't be served takes nothing from the others, and a name
// keeps the good one that it had.
func TestBadCertificates(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, Options{}, nil)
	good := s.sign(t, false, docs)
	bad := s.sign(t, false, shop)
	bad.Key = good.Key
	if problems := s.SetCertificates(snapshot.Certificates{Certs: []snapshot.Certificate{bad, good}}); len(problems) != 1 || !strings.Contains(problems[0].Error(), shop) {
		t.Fatal(problems)
	}
	for _, name := range []string{shop, docs} {
		if _, err := s.dial(t, &tls.Config{ServerName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.dial(t, &tls.Config{ServerName: "www." + shop}); err == nil {
		t.Error("a name that has no certificate any more is served")
	}
}

// TestTickets: sessions are resumed by every process that has the secret, for 16 hours at
// least and never for ever.
func TestTickets(t *testing.T) {
	t.Parallel()
	secret := []byte(strings.Repeat("s", snapshot.MinTicketSecret))
	var certs []snapshot.Certificate
	give := func(a authority) snapshot.Certificates {
		if certs == nil {
			certs = []snapshot.Certificate{a.sign(t, false, shop)}
		}
		return snapshot.Certificates{Certs: certs, TicketSecret: secret}
	}
	first := serveTLS(t, Options{}, give)
	second := serveTLS(t, Options{}, give)
	sessions := tls.NewLRUClientSessionCache(10)
	resumed := func(s secured, at time.Duration) bool {
		t.Helper()
		s.clock.at.Store(now.Add(at).UnixNano())
		s.Rotate()
		conn, err := s.dial(t, &tls.Config{ServerName: shop, ClientSessionCache: sessions, RootCAs: first.pool})
		must(t, err)
		get(t, conn, shop, "/") // the ticket comes with the first answer
		return conn.ConnectionState().DidResume
	}
	if resumed(first, 0) || !resumed(first, 0) || !resumed(second, 0) {
		t.Error("a session is not resumed, there or at another process")
	}
	if !resumed(second, 16*time.Hour) {
		t.Error("a session is not resumed after 16 hours")
	}
	if resumed(second, 16*time.Hour+3*ticketPeriod) {
		t.Error("a session is resumed for ever")
	}
	if slices.Equal(key32(ticketKey(secret, 1)), key32(ticketKey(secret, 2))) || slices.Equal(key32(ticketKey(secret, 1)), key32(ticketKey([]byte("other"), 1))) {
		t.Error("keys don't depend on secret and period")
	}
}

func key32(k [32]byte) []byte { return k[:] }

// TestPlainIsLedToTLS, where the site is one of https and its certificate is good now.
func TestPlainIsLedToTLS(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, Options{}, nil)
	list := sites()
	list[0].Scheme, list[0].Port = "https", 8443
	v, err := Compile(Input{Sites: list, Orders: orders(), Seen: seen(), Now: now})
	must(t, err)
	s.Set(v)
	_, err = s.dial(t, &tls.Config{ServerName: shop}) // it listens
	must(t, err)
	w := ask(s.Server, "GET", shop, "/cart?a=b", "")
	if w.Code != 307 || w.Header().Get("Location") != "https://shop.example.com:8443/cart?a=b" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET x:.evil.example HTTP/1.1\r\nHost: " + shop + "\r\n\r\n")))
	must(t, err)
	odd := httptest.NewRecorder()
	s.Handler().ServeHTTP(odd, r)
	if to := odd.Header().Get("Location"); to != "https://shop.example.com:8443/" {
		t.Errorf("an address that is none leads to %q", to)
	}
	for about, w := range map[string]int{
		"a site of http": ask(s.Server, "GET", docs, "/", "").Code,
		"our own check":  ask(s.Server, "GET", shop, "/", "", CheckHeader, "1").Code,
		"no certificate": func() int {
			s.SetCertificates(snapshot.Certificates{})
			return ask(s.Server, "GET", shop, "/", "").Code
		}(),
		"robots.txt -303": ask(s.Server, "GET", shop, "/robots.txt", "").Code + 303,
	} {
		if w != 503 {
			t.Errorf("%s: %d", about, w)
		}
	}
	s.SetCertificates(snapshot.Certificates{Certs: []snapshot.Certificate{s.sign(t, false, shop)}})
	s.clock.forward(200 * time.Hour)
	if got := ask(s.Server, "GET", shop, "/", "").Code; got != 503 {
		t.Errorf("the certificate is over: %d", got)
	}
}
