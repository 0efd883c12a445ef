package control

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/certs"
	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
)

// The console speaks HTTP and HTTPS on one port: the first byte of a connection tells
// which. Under its own name it shows the certificate that the configuration names, or that
// somebody got for it; by address, and where there is none, one of its own making, which
// people know by its fingerprint.

// Limits of the console's own certificate.
const (
	ownLife   = 20 * 365 * 24 * time.Hour // its fingerprint is printed on a card in a drawer
	maxPEM    = 256 << 10                 // bytes
	tlsRecord = 0x16                      // a TLS handshake begins with it: RFC 8446, section 5.1
	lookEvery = time.Minute               // at the files of a certificate
)

// ownPath is the file that holds the console's own certificate and its key.
func ownPath(dir string) string { return filepath.Join(dir, "console.pem") }

// ownCertificate reads the console's own certificate, or makes it.
func ownCertificate(dir string, now func() time.Time) (*tls.Certificate, error) {
	path := ownPath(dir)
	b, err := readPEM(path)
	if err == nil {
		pair, err := tls.X509KeyPair(b, b)
		if err == nil && now().Before(pair.Leaf.NotAfter) {
			return &pair, nil
		}
	}
	b, err = makeOwn(now())
	if err != nil {
		return nil, fmt.Errorf("make the console's certificate: %w", err)
	}
	if err := snapshot.WriteFile(path, b); err != nil {
		return nil, fault.New(fault.Unavailable, "the console's own certificate can't be kept").At(path).Because(err)
	}
	pair, err := tls.X509KeyPair(b, b)
	return &pair, err
}

func makeOwn(now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	cert := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "lifeboat console"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(ownLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		return nil, err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})...), nil
}

func readPEM(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return io.ReadAll(io.LimitReader(f, maxPEM))
}

// Fingerprint is the SHA-256 of a certificate as browsers show it.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}

// ConsoleFingerprint gives the fingerprint of the certificate that the console shows by
// address.
func ConsoleFingerprint(dir string) (string, error) {
	b, err := readPEM(ownPath(dir))
	if err != nil {
		return "", fault.New(fault.NotFound, "the console has no certificate of its own yet").At(ownPath(dir)).Because(err).
			WithHint("start control once, and say where its data folder is with --data")
	}
	pair, err := tls.X509KeyPair(b, b)
	if err != nil {
		return "", fault.New(fault.Invalid, "the console's own certificate can't be read").At(ownPath(dir)).WithHint("delete the file: control makes a new one when it starts, with another fingerprint")
	}
	return Fingerprint(pair.Leaf.Raw), nil
}

// fromFiles gives the certificate in two files, and reads them again when they change.
func fromFiles(cert, key string, now func() time.Time, log *slog.Logger) func() (*tls.Certificate, error) {
	var mu sync.Mutex // guards all below
	var looked, changed time.Time
	var last *tls.Certificate
	var failed error
	return func() (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		if now().Sub(looked) < lookEvery && !looked.IsZero() {
			return last, failed
		}
		looked = now()
		info, err := os.Stat(cert)
		if err == nil && last != nil && info.ModTime().Equal(changed) {
			return last, nil
		}
		var pair *tls.Certificate
		if err == nil {
			pair, err = pairOf(cert, key)
		}
		if err != nil {
			log.Error("the console's certificate can't be read", "file", cert, "cause", err)
			if last == nil {
				failed = err
			}
			return last, failed // the one from before goes on
		}
		last, changed, failed = pair, info.ModTime(), nil
		return last, nil
	}
}

func pairOf(cert, key string) (*tls.Certificate, error) {
	c, cerr := readPEM(cert)
	k, kerr := readPEM(key)
	if err := errors.Join(cerr, kerr); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(c, k)
	return &pair, err
}

// consoleTLS is what the console speaks TLS with. held has the certificate of its own
// name where the authority is asked for it.
func consoleTLS(o Options, held *certs.Keeper) (*tls.Config, error) {
	own, err := ownCertificate(o.Dir, o.Now)
	if err != nil {
		return nil, err
	}
	u, _ := url.Parse(o.Config.ConsoleURL)     // the configuration has seen to it
	var named func() (*tls.Certificate, error) // nil: its own name has none
	switch asked := o.Config.AskedConsole(); {
	case o.Config.ConsoleCert != "":
		named = fromFiles(o.Config.ConsoleCert, o.Config.ConsoleKey, o.Now, o.Logger)
	case asked != "" && held != nil:
		named = func() (*tls.Certificate, error) { return held.Pair(asked), nil }
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if named != nil && u != nil && strings.EqualFold(hello.ServerName, u.Hostname()) {
				if c, err := named(); err == nil && c != nil {
					return c, nil
				}
			}
			return own, nil // better than no page: the fingerprint is on the card
		},
	}, nil
}

// either is a listener whose connections speak HTTP or TLS, as each of them begins.
//
// Concurrency: as a net.Listener; Accept is called by one goroutine at a time.
type either struct {
	net.Listener
	conf  *tls.Config
	ready chan net.Conn
	fault chan error
	done  chan struct{} // closed by Close
	once  sync.Once
}

func newEither(ln net.Listener, conf *tls.Config) *either {
	e := &either{Listener: ln, conf: conf, ready: make(chan net.Conn), fault: make(chan error), done: make(chan struct{})}
	go e.run() // ends when the listener is closed
	return e
}

func (e *either) run() {
	for {
		c, err := e.Listener.Accept()
		if err != nil {
			select {
			case e.fault <- err:
			case <-e.done:
			}
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		go e.sort(c) // ends with its deadline
	}
}

// sort looks at the first byte of a connection: who sends none within the time for a
// header goes.
func (e *either) sort(c net.Conn) {
	_ = c.SetReadDeadline(time.Now().Add(headerLimit))
	p := &peeked{Conn: c, r: bufio.NewReaderSize(c, 512)}
	first, err := p.r.Peek(1)
	if err != nil || c.SetReadDeadline(time.Time{}) != nil {
		_ = c.Close()
		return
	}
	var out net.Conn = p
	if first[0] == tlsRecord {
		out = tls.Server(p, e.conf)
	}
	select {
	case e.ready <- out:
	case <-e.done:
		_ = c.Close()
	}
}

// Accept implements net.Listener.
func (e *either) Accept() (net.Conn, error) {
	select {
	case c := <-e.ready:
		return c, nil
	case err := <-e.fault:
		return nil, err
	case <-e.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (e *either) Close() error {
	e.once.Do(func() { close(e.done) })
	return e.Listener.Close()
}

// peeked is a connection of which the beginning was read.
type peeked struct {
	net.Conn
	r *bufio.Reader
}

// Read implements net.Conn.
func (p *peeked) Read(b []byte) (int, error) { return p.r.Read(b) }

// guestOf finds the guest of the crowd below what either has put around it.
func guestOf(c net.Conn) (*guest, bool) {
	if t, is := c.(*tls.Conn); is {
		c = t.NetConn()
	}
	if p, is := c.(*peeked); is {
		c = p.Conn
	}
	g, is := c.(*guest)
	return g, is
}

// serveConsole serves the pages and the API on one port, with and without TLS.
func (p plane) serveConsole(ctx context.Context, h http.Handler) error {
	crowd := newCrowd(p.o.HTTP, maxConsole)
	conf, err := consoleTLS(p.o, p.certs)
	if err != nil { // the pages go on without
		p.o.Logger.Error("the console speaks no TLS of its own", "cause", err)
		return serveHTTP(ctx, crowd, h, nil, nil)
	}
	return serveHTTP(ctx, newEither(crowd, conf), h, nil, nil)
}
