package capture

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// No proxy of the environment may ever stand between us and who is asked.
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"} {
		os.Setenv(name, "http://127.0.0.1:1")
	}
	goleak.VerifyTestMain(m)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const host = "shop.example.com"

// job is one for a site on loopback.
func job(change ...func(*Job)) Job {
	j := Job{ID: "J1", Incident: "I1", Site: "shop", Names: []string{host}, Scheme: "http", Port: 80}
	for _, f := range change {
		f(&j)
	}
	return j
}

// place is the job's change for one place on loopback.
func place(scheme string, at net.Addr, paths ...string) func(*Job) {
	return func(j *Job) {
		ap := netip.MustParseAddrPort(at.String())
		j.Scheme, j.Port, j.Paths = scheme, int(ap.Port()), paths
		j.Places = []Place{{Name: "main", Addresses: []netip.Addr{ap.Addr()}}}
	}
}

// patient are times enough on any machine; hasty ones are meant to run out.
func patient() Options {
	return Options{Item: 30 * time.Second, All: time.Minute, Question: 10 * time.Second}
}

func hasty() Options {
	return Options{Item: time.Second, All: time.Minute}
}

// run runs a job and gives what came, every item checked for what all must be.
func runs(t testing.TB, j Job, o Options) ([]Item, Done) {
	t.Helper()
	var out []Item
	done := Run(context.Background(), j, o, func(it Item) { out = append(out, it) })
	for _, it := range out {
		must(t, it.Validate())
		if it.Job != j.ID || it.Incident != j.Incident || it.Site != j.Site || it.Source == "" || it.At.IsZero() || it.Took < 0 || it.Type == "" {
			t.Errorf("not whole: %+v", it)
		}
		for _, s := range []string{it.Title, it.Summary} {
			if !strings.HasSuffix(s, ".") || strings.Contains(s, "\n") {
				t.Errorf("not a sentence: %q", s)
			}
		}
	}
	if done.Items != len(out) || done.Job != j.ID {
		t.Errorf("done says %+v of %d items", done, len(out))
	}
	return out, done
}

// only runs a job that gives one item.
func only(t testing.TB, j Job, o Options) Item {
	t.Helper()
	items, done := runs(t, j, o)
	if len(items) != 1 || done.Problem != "" {
		t.Fatalf("%d items, %+v", len(items), done)
	}
	return items[0]
}

// has fails unless the text holds all parts.
func has(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("no %q in:\n%s", p, text)
		}
	}
}

// lacks fails if the text holds any of the parts.
func lacks(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if strings.Contains(text, p) {
			t.Errorf("%q in:\n%s", p, text)
		}
	}
}

func serve(t testing.TB, h http.HandlerFunc) net.Addr {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr()
}

// serveRaw gives each connection to talk, which returns when the test is over at the
// latest: the connection is closed then.
func serveRaw(t testing.TB, talk func(net.Conn)) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var mu sync.Mutex
	var conns []net.Conn
	var talks sync.WaitGroup
	talks.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			talks.Go(func() {
				defer func() { _ = c.Close() }()
				talk(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		talks.Wait()
	})
	return l.Addr()
}

// says answers whatever is asked with a text, and hangs up.
func says(text string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, _ = io.WriteString(c, text)
	}
}

// endless says a text and then another one for ever.
func endless(begin, again string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		_, err := io.WriteString(c, begin)
		for err == nil {
			_, err = io.WriteString(c, again)
		}
	}
}

// closed is an address at which nobody listens.
func closed(t testing.TB) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Close())
	return l.Addr()
}

// authority signs certificates.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Authority"}, NotBefore: time.Now().Add(-10 * 365 * 24 * time.Hour), NotAfter: time.Now().Add(10 * 365 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, c, c, &a.key.PublicKey, a.key)
	must(t, err)
	a.cert, err = x509.ParseCertificate(raw)
	must(t, err)
	return a
}

func (a *authority) roots() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// sign makes a certificate that is good from one time to another.
func (a *authority) sign(from, to time.Duration, names ...string) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(a.t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "shop"}, DNSNames: names, NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(to)}
	raw, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	must(a.t, err)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
}

// serveTLS serves pages with TLS.
func serveTLS(t testing.TB, c *tls.Config) net.Addr {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	s.TLS = c
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr()
}
