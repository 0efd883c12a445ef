package snapshot

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/fault"
)

// certificate is a self-signed one for names.
func certificate(t testing.TB, key crypto.Signer, names ...string) Certificate {
	t.Helper()
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: names, NotBefore: epoch1, NotAfter: epoch1.Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	must(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return Certificate{Names: names, Chain: [][]byte{der}, Key: raw}
}

func ecdsaKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func TestCertificateOpens(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	for kind, key := range map[string]crypto.Signer{"ECDSA": ecdsaKey(t), "RSA": rsaKey, "Ed25519": edKey} {
		c := certificate(t, key, "shop.example.com", "*.shop.example.com")
		leaf, opened, err := c.Open()
		if err != nil || leaf.DNSNames[0] != "shop.example.com" || opened.Public() == nil {
			t.Errorf("%s: %v", kind, err)
		}
		c.Names = []string{"www.shop.example.com"} // covered by the wildcard
		if _, _, err := c.Open(); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// What can't be served is told apart, with the name and without a byte of the key.
func TestCertificateDoesNotOpen(t *testing.T) {
	t.Parallel()
	good := certificate(t, ecdsaKey(t), "shop.example.com")
	with := func(f func(*Certificate)) Certificate {
		c := good
		f(&c)
		return c
	}
	for about, c := range map[string]Certificate{
		"nothing":             {},
		"no name":             with(func(c *Certificate) { c.Names = nil }),
		"no chain":            with(func(c *Certificate) { c.Chain = nil }),
		"no key":              with(func(c *Certificate) { c.Key = nil }),
		"a broken key":        with(func(c *Certificate) { c.Key = c.Key[:20] }),
		"another key":         with(func(c *Certificate) { c.Key = certificate(t, ecdsaKey(t), "x.example").Key }),
		"a broken chain":      with(func(c *Certificate) { c.Chain = [][]byte{c.Chain[0], {1, 2, 3}} }),
		"too long a chain":    with(func(c *Certificate) { c.Chain = make([][]byte, 11) }),
		"another name":        with(func(c *Certificate) { c.Names = []string{"shop.example.com", "other.example.com"} }),
		"a wildcard":          with(func(c *Certificate) { c.Names = []string{"*.example.com"} }),
		"an empty name":       with(func(c *Certificate) { c.Names = []string{""} }),
		"capital letters":     with(func(c *Certificate) { c.Names = []string{"Shop.example.com"} }),
		"a star in the midst": with(func(c *Certificate) { c.Names = []string{"shop.*.com"} }),
	} {
		_, _, err := c.Open()
		if fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", about, err)
		}
	}
	_, _, err := with(func(c *Certificate) { c.Names = []string{"other.example.com"} }).Open()
	if !strings.Contains(err.Error(), "other.example.com") {
		t.Errorf("the name is not told: %v", err)
	}
}

// The part is there where a name has a certificate, and comes back as it was; a reader
// that does not know it passes it over.
func TestCertificatesPart(t *testing.T) {
	t.Parallel()
	c := contents()
	c.Certificates.TicketSecret = []byte(strings.Repeat("s", MinTicketSecret))
	_, refs, err := c.Encode()
	must(t, err)
	if _, there := refs[PartCertificates]; there {
		t.Error("a part without a certificate")
	}
	c.Certificates.Certs = []Certificate{certificate(t, ecdsaKey(t), "shop.example.com")}
	parts, refs, err := c.Encode()
	must(t, err)
	got, err := DecodeContents(refs, func(hash string) ([]byte, error) { return parts[hash], nil })
	must(t, err)
	if d := cmp.Diff(c.Certificates, got.Certificates); d != "" {
		t.Error(d)
	}
	if text := fmt.Sprintf("%v %+v", got.Certificates, got.Certificates); strings.Count(text, "***") != 4 { // a key and the secret, twice
		t.Errorf("a secret is shown: %.200s", text)
	}
	refs["of a version to come"] = Ref{SHA256: "00"}
	if _, err := DecodeContents(refs, func(hash string) ([]byte, error) { return parts[hash], nil }); err != nil {
		t.Errorf("a part that is not known is asked for: %v", err)
	}
}
