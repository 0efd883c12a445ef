package standby

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lifeboat/internal/snapshot"
)

// keys are what connections are secured with.
type keys struct {
	current    atomic.Pointer[chains]
	handshakes atomic.Uint64
	unknown    atomic.Uint64
	serving    atomic.Bool // some listener is secured

	mu     sync.Mutex
	config *tls.Config // guarded by mu, as all below; nil until ServeTLS or SetCertificates
	secret []byte      // of session tickets
	period int64       // whose ticket keys are in use
}

// chains are certificates by name; those of a wildcard by the name behind "*".
type chains struct{ exact, wild map[string]*offer }

// offer is what is served at a name.
type offer struct {
	first, other *tls.Certificate // ECDSA first; other is nil where there is one only
	until        time.Time        // the earliest end
	from         time.Time        // the latest begin
}

// SetCertificates serves HTTPS with these from the next handshake on. One that can't
// be opened is left out and told in problems; a name that had a good one keeps that.
func (s *Server) SetCertificates(c snapshot.Certificates) (problems []error) {
	before := s.keys.current.Load()
	next := &chains{exact: map[string]*offer{}, wild: map[string]*offer{}}
	var failed []snapshot.Certificate
	for _, cert := range c.Certs {
		made, err := open(cert)
		if err != nil {
			problems = append(problems, err)
			failed = append(failed, cert)
			continue
		}
		for _, name := range cert.Names {
			next.add(name, made)
		}
	}
	for _, cert := range failed {
		for _, name := range cert.Names {
			if had := before.exactly(name); had != nil && next.exactly(name) == nil {
				next.put(name, had)
			}
		}
	}
	s.keys.current.Store(next)
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	s.keys.secret = nil
	if len(c.TicketSecret) >= snapshot.MinTicketSecret {
		s.keys.secret = c.TicketSecret
	}
	s.keys.period = 0
	s.rotate()
	return problems
}

func open(c snapshot.Certificate) (*tls.Certificate, error) {
	leaf, key, err := c.Open()
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: c.Chain, PrivateKey: key, Leaf: leaf}, nil
}

func (c *chains) place(name string) (map[string]*offer, string) {
	if base, wild := strings.CutPrefix(name, "*"); wild {
		return c.wild, base
	}
	return c.exact, name
}

func (c *chains) exactly(name string) *offer {
	if c == nil {
		return nil
	}
	in, key := c.place(name)
	return in[key]
}

func (c *chains) put(name string, o *offer) {
	in, key := c.place(name)
	in[key] = o
}

// add offers a certificate at a name: of several of a kind the one that lasts longest,
// ECDSA first, since an RSA handshake costs five times as much.
func (c *chains) add(name string, cert *tls.Certificate) {
	o := c.exactly(name)
	if o == nil {
		c.put(name, (&offer{first: cert}).dated())
		return
	}
	all := []*tls.Certificate{o.first, cert}
	if o.other != nil {
		all = append(all, o.other)
	}
	var fast, slow *tls.Certificate
	for _, one := range all {
		kind := &slow
		if isECDSA(one) {
			kind = &fast
		}
		if *kind == nil || one.Leaf.NotAfter.After((*kind).Leaf.NotAfter) {
			*kind = one
		}
	}
	next := &offer{first: fast, other: slow}
	if fast == nil {
		next = &offer{first: slow}
	}
	c.put(name, next.dated())
}

func (o *offer) dated() *offer {
	o.from, o.until = o.first.Leaf.NotBefore, o.first.Leaf.NotAfter
	return o
}

func isECDSA(c *tls.Certificate) bool { return c.Leaf.PublicKeyAlgorithm == x509.ECDSA }

// find gives what is served at a name: its own certificate, else that of a wildcard for
// it (RFC 6125 section 6.4.3: one label).
func (c *chains) find(name string) *offer {
	if c == nil {
		return nil
	}
	if o := c.exact[name]; o != nil {
		return o
	}
	if i := strings.IndexByte(name, '.'); i > 0 {
		return c.wild[name[i:]]
	}
	return nil
}

// certificate answers a handshake. For a name that we have none for, also for a client
// that names none, the handshake ends with the alert unrecognized_name (RFC 6066
// section 3), without a certificate.
func (s *Server) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	name, ok := hostName(hello.ServerName)
	o := s.keys.current.Load().find(name)
	if !ok || o == nil {
		s.keys.unknown.Add(1)
		return nil, nil
	}
	if o.other != nil && hello.SupportsCertificate(o.first) != nil {
		return o.other, nil
	}
	return o.first, nil
}

// protocols are what is offered by ALPN (RFC 7301), best first: over HTTP/1.1 a page
// costs visitors the same and us a third less, and it keeps no session that outlives a
// return. Clients that speak HTTP/2 alone, as gRPC's do, are given that.
var protocols = []string{"http/1.1", "h2"}

// secure gives the configuration of all secured listeners.
func (s *Server) secure() *tls.Config {
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	if s.keys.config == nil {
		s.keys.config = &tls.Config{
			MinVersion:       tls.VersionTLS12,
			NextProtos:       protocols,
			GetCertificate:   s.certificate,
			Time:             s.opts.Now,
			VerifyConnection: func(tls.ConnectionState) error { s.keys.handshakes.Add(1); return nil },
		}
		s.rotate()
	}
	return s.keys.config
}

// ticketPeriod is how long a key of session tickets is used for new ones. It is read
// for two periods more, so that a session may be resumed for 16 hours at least.
const ticketPeriod = 8 * time.Hour

// Rotate brings the keys of session tickets up to date; it is to be called every minute
// or so, and costs nothing where nothing has changed.
func (s *Server) Rotate() {
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	s.rotate()
}

// rotate derives the keys from the secret and the time alone, so that all processes
// that have the secret have the same ones without speaking to each other. Without a
// secret package tls makes keys of its own.
func (s *Server) rotate() { // with keys.mu held
	k := &s.keys
	period := s.opts.Now().Unix() / int64(ticketPeriod/time.Second)
	if k.config == nil || k.secret == nil || k.period == period {
		return
	}
	k.period = period
	var all [][32]byte
	for _, p := range []int64{period, period - 1, period - 2} {
		all = append(all, ticketKey(k.secret, p))
	}
	k.config.SetSessionTicketKeys(all)
}

func ticketKey(secret []byte, period int64) (key [32]byte) {
	b, err := hkdf.Key(sha256.New, secret, nil, "lifeboat session tickets "+strconv.FormatInt(period, 10), len(key))
	if err != nil { // only for lengths that can't be
		panic(fmt.Sprintf("derive a ticket key: %v", err))
	}
	copy(key[:], b)
	return key
}

// ServeTLS answers over TLS on ln until ctx ends, as Serve does.
func (s *Server) ServeTLS(ctx context.Context, ln net.Listener) error {
	s.keys.serving.Store(true)
	defer s.keys.serving.Store(false)
	return s.serveFront(ctx, s.newFront(ln, s.secure()))
}

// byTLS says whether a request came over TLS, also on a connection that net/http was
// handed with a part of it read.
func byTLS(r *http.Request) bool {
	c, is := r.Context().Value(connKey{}).(*conn)
	return r.TLS != nil || is && c.secure
}

// secured is where a request that came without TLS is sent: to the same page over TLS,
// where the site is one of https and a certificate for the name is good now. Where none
// is, the page itself says more than a browser's warning does.
func (s *Server) secured(name string, h *host, r *http.Request) string {
	if byTLS(r) || h.scheme != "https" || !s.keys.serving.Load() || r.Header[CheckHeader] != nil {
		return ""
	}
	o := s.keys.current.Load().find(name)
	if now := s.opts.Now(); o == nil || now.Before(o.from) || !now.Before(o.until) {
		return ""
	}
	at := "https://" + name
	if h.port != 443 && h.port != 0 {
		at += ":" + strconv.Itoa(h.port)
	}
	to := r.URL.RequestURI()
	if !strings.HasPrefix(to, "/") { // "GET x:.example.net" would make another name of it
		to = "/"
	}
	return at + to
}
