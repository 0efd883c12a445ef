package answer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/snapshot"
)

// selfSigned is a certificate for names, and a list that trusts it.
func selfSigned(t testing.TB, names ...string) (snapshot.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return snapshot.Certificate{Names: names, Chain: [][]byte{der}, Key: raw}, pool
}

// shouts is a log that many write to.
type shouts struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *shouts) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *shouts) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// TestServesHTTPS with the snapshot's certificates, from the moment it is taken and after
// a restart with control dead; a bad one takes nothing from the rest.
func TestServesHTTPS(t *testing.T) {
	t.Parallel()
	var log shouts
	listened := ""
	secured := func(o *Options) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		o.StandbyTLS, listened = ln, ln.Addr().String()
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	}
	name := contents().Sites[0].Names[0]
	good, pool := selfSigned(t, name)
	bad := good
	bad.Names = []string{"other.example.com"}
	r := start(t, folder(t), secured)
	r.takes(order(t, 1, 1, snapshot.Standby, func(_ *snapshot.Manifest, c *snapshot.Contents) {
		c.Certificates = snapshot.Certificates{Certs: []snapshot.Certificate{bad, good}, TicketSecret: make([]byte, snapshot.MinTicketSecret)}
	}))
	ask := func() {
		t.Helper()
		client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: name}, DisableKeepAlives: true}}
		req, err := http.NewRequest("GET", "https://"+listened+"/", nil)
		must(t, err)
		req.Host = name
		res, err := client.Do(req)
		must(t, err)
		must(t, res.Body.Close())
		if res.StatusCode != 503 || res.Header.Get("Lifeboat-Standby") == "" || res.TLS == nil {
			t.Errorf("%s %v", res.Status, res.Header)
		}
	}
	ask()
	if text := log.String(); strings.Count(text, "a certificate can't be served") != 1 || !strings.Contains(text, "other.example.com") {
		t.Errorf("the bad one is not told once:\n%s", text)
	}
	r.stop()
	start(t, r.dir, secured)
	ask()
}
