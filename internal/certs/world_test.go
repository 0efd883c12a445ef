package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"

	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
)

// Pebble waits between validations and refuses good nonces at random unless it is told
// not to.
func TestMain(m *testing.M) {
	for key, value := range map[string]string{"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"} {
		if err := os.Setenv(key, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ninety is how long the authority's certificates are good for.
const ninety = 90 * 24 * time.Hour

// pebble is a real ACME server, Let's Encrypt's own for tests, in this process.
type pebble struct {
	*httptest.Server
	db     *db.MemoryStore
	roots  *x509.CertPool
	orders atomic.Int64

	// refuse answers in the server's place where it says true.
	refuse atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool]
}

// startPebble starts one that asks this name server for proofs.
func startPebble(t *testing.T, nameServer string) *pebble {
	t.Helper()
	quiet := log.New(io.Discard, "", 0)
	p := &pebble{db: db.NewMemoryStore(), roots: x509.NewCertPool()}
	profiles := map[string]ca.Profile{"classic": {Description: "the long one", ValidityPeriod: uint64(ninety / time.Second)}}
	authority := ca.New(quiet, p.db, "", "ecdsa", 0, 1, profiles)
	checker := va.New(quiet, 1, 1, false, nameServer, p.db)
	front := wfe.New(quiet, p.db, checker, authority, []string{"pebble.letsencrypt.org"}, false, false, 0, 0)
	h := front.Handler()
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse := p.refuse.Load(); refuse != nil && (*refuse)(w, r) {
			return
		}
		if strings.HasPrefix(r.URL.Path, "/order-plz") {
			p.orders.Add(1)
		}
		h.ServeHTTP(w, r)
	}))
	p.Config.ErrorLog = quiet
	p.StartTLS()
	t.Cleanup(p.Close)
	p.roots.AddCert(p.Certificate())
	root, err := x509.ParseCertificate(authority.GetRootCert(0).DER)
	must(t, err)
	p.roots.AddCert(root)
	return p
}

func (p *pebble) refuseWith(f func(w http.ResponseWriter, r *http.Request) bool) { p.refuse.Store(&f) }

// nameServer answers TXT and CNAME questions from what was put.
type nameServer struct {
	addr netip.AddrPort

	mu    sync.Mutex // guards all below
	texts map[string][]string
	alias map[string]string
	raw   map[string][]dns.RR // by name
	dumb  bool                // it gives no proof out
	wrong bool                // it gives another one out
	puts  int
}

func startDNS(t *testing.T) *nameServer {
	t.Helper()
	s := &nameServer{texts: map[string][]string{}, alias: map[string]string{}, raw: map[string][]dns.RR{}}
	conn, ln := samePort(t)
	s.addr = netip.MustParseAddrPort(ln.Addr().String())
	for _, server := range []*dns.Server{{PacketConn: conn}, {Listener: ln}} {
		ready, done := make(chan struct{}), make(chan struct{})
		server.Handler, server.NotifyStartedFunc = dns.HandlerFunc(s.answer), func() { close(ready) }
		go func() { defer close(done); _ = server.ActivateAndServe() }() // ends with the test
		<-ready
		t.Cleanup(func() { _ = server.Shutdown(); <-done })
	}
	return s
}

// samePort listens at one port over UDP and TCP: the authority asks over TCP.
func samePort(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 100 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		conn, err := net.ListenPacket("udp", ln.Addr().String())
		if err == nil {
			return conn, ln
		}
		_ = ln.Close()
	}
	t.Fatal("no port is free for both")
	return nil, nil
}

func (s *nameServer) answer(w dns.ResponseWriter, q *dns.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := new(dns.Msg).SetReply(q)
	m.Authoritative = true
	name := strings.ToLower(q.Question[0].Name)
	if to := s.alias[name]; to != "" {
		m.Answer = append(m.Answer, &dns.CNAME{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET}, Target: to})
		name = to
	}
	if q.Question[0].Qtype == dns.TypeTXT && !s.dumb {
		for _, text := range s.texts[name] {
			if s.wrong {
				text = strings.Repeat("x", len(text))
			}
			m.Answer = append(m.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{text}})
		}
	}
	for _, rr := range s.raw[name] {
		if rr.Header().Rrtype == q.Question[0].Qtype {
			m.Answer = append(m.Answer, rr)
		}
	}
	_ = w.WriteMsg(m) // the client asks again
}

func (s *nameServer) write(t *testing.T, lines ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		must(t, err)
		s.raw[rr.Header().Name] = append(s.raw[rr.Header().Name], rr)
	}
}

func (s *nameServer) set(f func(s *nameServer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

// ChallengeAt: example.com is ours.
func (s *nameServer) ChallengeAt(name string) (string, error) {
	name = strings.TrimSuffix(strings.TrimPrefix(name, "*."), ".") + "."
	if !strings.HasPrefix(name, "_acme-challenge.") {
		name = "_acme-challenge." + name
	}
	if !strings.HasSuffix(name, ".example.com.") {
		return "", fault.New(fault.NotFound, "%s is in no zone of ours", name)
	}
	return name, nil
}

func (s *nameServer) PutChallenge(_ context.Context, owner, value string, _ time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts++
	s.texts[owner] = append(s.texts[owner], value)
	return nil
}

func (s *nameServer) DropChallenge(_ context.Context, owner, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts[owner] = slices.DeleteFunc(s.texts[owner], func(v string) bool { return v == value })
	return nil
}

func (s *nameServer) left() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.texts {
		n += len(v)
	}
	return n
}

// port is a keeper with everything around it.
type port struct {
	*Keeper
	t    *testing.T
	o    Options
	dns  *nameServer
	ca   *pebble
	said *lines

	mu    sync.Mutex // guards all below
	now   time.Time
	given [][]snapshot.Certificate
	pages []string
}

// lines are what was logged.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newPort makes a keeper of shop.example.com and www.shop.example.com at a real
// authority.
func newPort(t *testing.T, change func(p *port, o *Options)) *port {
	t.Helper()
	p := &port{t: t, dns: startDNS(t), said: &lines{}, now: time.Now().Add(time.Minute)} // not before the authority makes what it makes
	p.ca = startPebble(t, p.dns.addr.String())
	servers := func(string) []netip.AddrPort { return []netip.AddrPort{p.dns.addr} }
	p.o = Options{
		Dir: t.TempDir(), Wanted: []Wanted{{ID: "shop", Names: []string{"shop.example.com", "www.shop.example.com"}}},
		Authority: &Authority{Directory: p.ca.URL + "/dir", Roots: p.ca.roots, Email: "ops@example.com", Keys: []string{ECDSA}},
		Solvers:   []Solver{&DNS01{Zones: p.dns, Servers: servers, Ask: Servers(true, p.dns.addr)}},
		Publish: func(c []snapshot.Certificate) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.given = append(p.given, c)
		},
		Page: func(name, text string) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.pages = append(p.pages, name+": "+text)
		},
		Roots: p.ca.roots, Now: p.clock, Logger: slog.New(slog.NewTextHandler(p.said, nil)),
	}
	if change != nil {
		change(p, &p.o)
	}
	p.open()
	return p
}

// open starts a keeper on the folder, as a new control does.
func (p *port) open() {
	p.t.Helper()
	k, err := New(p.o)
	must(p.t, err)
	p.Keeper = k
}

func (p *port) clock() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

// later moves the clock and lets the keeper look.
func (p *port) later(d time.Duration) {
	p.mu.Lock()
	p.now = p.now.Add(d)
	p.mu.Unlock()
	p.Tend(p.t.Context())
}

// served are the certificates that were handed on last.
func (p *port) served() []snapshot.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.given) == 0 {
		p.t.Fatal("nothing was handed on")
	}
	return p.given[len(p.given)-1]
}

// leaf is the one certificate that is served.
func (p *port) leaf() *x509.Certificate {
	p.t.Helper()
	got := p.served()
	if len(got) != 1 {
		p.t.Fatalf("%d certificates are served; the log says\n%s", len(got), p.said)
	}
	leaf, _, err := got[0].Open()
	must(p.t, err)
	return leaf
}

func (p *port) paged() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.pages)
}

// remembered is what is known of the shop's certificate.
func (p *port) remembered() item {
	p.Keeper.mu.Lock()
	defer p.Keeper.mu.Unlock()
	return maps.Clone(p.state.Items)["shop.ecdsa"]
}

// pemFiles writes a certificate and its key as a person would bring them.
func pemFiles(c snapshot.Certificate) (cert, key []byte) {
	for _, der := range c.Chain {
		cert = append(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: c.Key})
}

// problemDocument answers as an authority does that refuses.
func problemDocument(w http.ResponseWriter, status int, kind, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Replay-Nonce", fmt.Sprint(time.Now().UnixNano()))
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"type":"urn:ietf:params:acme:error:%s","detail":%q,"status":%d}`, kind, detail, status)
}
