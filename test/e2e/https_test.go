package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// secured gives a boat an authority of its own, and its places the certificate that the
// standby has, too.
func (b *Boat) secured() {
	b.t.Helper()
	write := func(name, kind string, der []byte) {
		b.Must(os.WriteFile(filepath.Join(b.dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	key := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		b.Must(err)
		return k
	}
	caKey, leafKey := key(), key()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority for a test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	b.Must(err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "shop.example.com"}, DNSNames: []string{"shop.example.com", "www.shop.example.com"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, leafKey.Public(), caKey)
	b.Must(err)
	raw, err := x509.MarshalPKCS8PrivateKey(leafKey)
	b.Must(err)
	write("ca.pem", "CERTIFICATE", caDER)
	write("shop.pem", "CERTIFICATE", leafDER)
	write("shop.key", "PRIVATE KEY", raw)
	b.https = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leafDER}, PrivateKey: leafKey}}}
	for _, o := range []*Origin{b.main, b.backup} {
		o.Down()
		o.https = b.https
		o.Up()
	}
	b.more += "certificates: {roots_file: ca.pem, files: {shop: {certificate: shop.pem, key: shop.key}}}\n"
}

// browserThatTrusts is a browser of somebody whose company has an authority of its own.
func (b *Boat) browserThatTrusts(names string) context.Context {
	b.t.Helper()
	certutil, err := exec.LookPath("certutil")
	if err != nil {
		b.t.Skip("SKIP-LOUD: there is no certutil here; install it with: make deps")
	}
	home := b.t.TempDir()
	db := filepath.Join(home, ".pki", "nssdb")
	b.Must(os.MkdirAll(db, 0o700))
	for _, args := range [][]string{{"-N", "--empty-password"}, {"-A", "-t", "C,,", "-n", "company", "-i", filepath.Join(b.dir, "ca.pem")}} {
		if out, err := exec.Command(certutil, append([]string{"-d", "sql:" + db}, args...)...).CombinedOutput(); err != nil {
			b.t.Fatalf("certutil: %v\n%s", err, out)
		}
	}
	return browserAt(b.t, true, names, chromedp.Env("HOME="+home))
}

// follower leads to where the name server says that the shop is, at each new connection:
// a browser's own rules for names don't change while it runs.
func (b *Boat) follower() (addr string) {
	b.t.Helper()
	ln, err := net.Listen("tcp", b.host(7))
	b.Must(err)
	var wg sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	b.t.Cleanup(func() { stop(); _ = ln.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { b.lead(ctx, c) })
		}
	})
	return b.Addr(7)
}

// lead carries one connection.
func (b *Boat) lead(ctx context.Context, c net.Conn) {
	defer func() { _ = c.Close() }()
	ip, err := lookup(b.DNS(), "shop.example.com.")
	if err != nil {
		return
	}
	to, err := net.Dial("tcp", net.JoinHostPort(ip, strconv.Itoa(b.port)))
	if err != nil {
		return
	}
	defer func() { _ = to.Close() }()
	end := context.AfterFunc(ctx, func() { _, _ = c.Close(), to.Close() })
	defer end()
	go func() { // ends with the connection
		_, _ = io.Copy(to, c)
		_ = to.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(c, to)
}

// TestBrowserOverHTTPS: somebody on the shop's page by https meets the standby at the same
// address without a warning, and is brought back by the page itself.
func TestBrowserOverHTTPS(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Ready: (*Boat).secured})
	tab := b.browserThatTrusts("MAP shop.example.com " + b.follower() + ", ")
	site := "https://shop.example.com:" + strconv.Itoa(b.port) + "/"
	if err := chromedp.Do(tab, chromedp.Navigate(site)); err != nil { // a warning is an error here; the first step starts the browser
		t.Fatal(err)
	}
	b.reads(tab, "this is main")
	b.main.Down() // with the connection that the browser holds
	b.Pull("to-standby")
	ctx, cancel := context.WithTimeout(tab, within)
	defer cancel()
	b.Eventually("the page is the standby's", func() bool {
		return chromedp.Do(ctx, chromedp.Navigate(site)) == nil && strings.Contains(b.page(tab), "Example Shop is taking a break")
	})
	// The page waits as its script says; its clock is only made faster.
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("(s => { window.setTimeout = (f, ms) => s(f, ms / 100) })(window.setTimeout), isSecureContext && location.protocol == 'https:'")); err != nil {
		t.Fatal(err)
	}
	b.Eventually("the page asks whether it may come back", func() bool { return b.Site().Visits.Waiting > 0 })
	b.GoBack()
	b.reads(tab, "this is main")
}

// reads waits until a page says something.
func (b *Boat) reads(tab context.Context, words string) {
	b.t.Helper()
	b.Eventually("the page says "+words, func() bool { return strings.Contains(b.page(tab), words) })
}
