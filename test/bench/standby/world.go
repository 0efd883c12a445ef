package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/andybalholm/brotli"

	"lifeboat/internal/probe"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/statuspage"
	"lifeboat/internal/zone"
)

// siteName is what everybody serves.
const siteName = "shop.bench.test"

// world is what all servers have: one certificate, and one page.
type world struct {
	roots  *x509.CertPool
	length int // of the page, compressed
}

// makeWorld writes the certificate, the page in brotli, and a folder for answer.
func makeWorld(dir string) (*world, error) {
	root, rootKey, err := authority()
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{siteName}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, KeyUsage: x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	chain := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})...)
	for name, text := range map[string][]byte{"cert.pem": chain, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return nil, err
		}
	}
	c := contents(snapshot.Certificate{Names: []string{siteName}, Chain: [][]byte{der, root.Raw}, Key: raw})
	w := &world{roots: x509.NewCertPool()}
	w.roots.AddCert(root)
	if w.length, err = writePage(dir, c); err != nil {
		return nil, err
	}
	return w, writeSnapshot(filepath.Join(dir, "lifeboat", "answer"), c)
}

func authority() (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return cert, key, err
}

func contents(cert snapshot.Certificate) snapshot.Contents {
	return snapshot.Contents{
		Sites: []snapshot.Site{{
			ID: "shop", Title: "Example Shop", Names: []string{siteName}, Scheme: "http", Port: 80, Home: "main", Places: []string{"main", snapshot.Standby},
			Positions: zone.Positions{"main": {IPs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}, snapshot.Standby: {IPs: []netip.Addr{netip.MustParseAddr("192.0.2.2")}}},
			Standing:  probe.Check{Name: "standby", Kind: probe.KindTCP, Every: time.Hour, Timeout: time.Second, DownAfter: 1, UpAfter: 1}, Contact: "Write to help@example.org",
		}},
		Certificates: snapshot.Certificates{Certs: []snapshot.Certificate{cert}, TicketSecret: make([]byte, snapshot.MinTicketSecret)},
	}
}

var atStandby = snapshot.SiteOrder{Position: snapshot.Standby, Since: time.Now().UTC(), Generation: 1, Title: "Orders can't be placed", Message: "We are looking into it. Nothing is lost."}

// writePage writes the page that lifeboat serves for the others.
func writePage(dir string, c snapshot.Contents) (int, error) {
	site := c.Sites[0]
	r, err := statuspage.Render(statuspage.Page{
		Mode: statuspage.Crisis, Site: site.ID, Title: site.Title, Names: site.Names, Ordered: atStandby.Position, Home: site.Home, Since: atStandby.Since,
		IncidentTitle: atStandby.Title, Message: atStandby.Message, Now: time.Now(), Contact: site.Contact,
	})
	if err != nil {
		return 0, err
	}
	html := r.HTML
	www := filepath.Join(dir, "www")
	if err := os.MkdirAll(www, 0o755); err != nil {
		return 0, err
	}
	f, err := os.Create(filepath.Join(www, "page.html.br"))
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	w := brotli.NewWriterLevel(f, 6)
	if _, err := w.Write(html); err != nil {
		return 0, err
	}
	if err := w.Close(); err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return int(info.Size()), os.WriteFile(filepath.Join(www, "page.html"), html, 0o644)
}

func writeSnapshot(dir string, c snapshot.Contents) error {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	f, err := snapshot.OpenFolder(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := f.Pin(public); err != nil {
		return err
	}
	parts, refs, err := c.Encode()
	if err != nil {
		return err
	}
	s, err := snapshot.Sign(snapshot.Manifest{Format: snapshot.Format, Epoch: 1, Revision: 1, At: time.Now().UTC(), Parts: refs, Sites: map[string]snapshot.SiteOrder{"shop": atStandby}, Serials: map[string]uint32{}}, key)
	if err != nil {
		return err
	}
	return f.Save(s, parts)
}
