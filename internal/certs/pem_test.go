package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
)

var now0 = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

func keyOf(t testing.TB, kind string) crypto.Signer {
	t.Helper()
	key, err := newKey(kind)
	must(t, err)
	return key
}

// selfSigned is a certificate that nobody else signed.
func selfSigned(t testing.TB, kind string, from, until time.Time, names ...string) snapshot.Certificate {
	t.Helper()
	key := keyOf(t, kind)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(7), DNSNames: names, NotBefore: from, NotAfter: until, Subject: pkix.Name{CommonName: "leaf"}}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	must(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return snapshot.Certificate{Names: names, Chain: [][]byte{der}, Key: raw}
}

// family is a leaf, its authority and the root above.
func family(t testing.TB) (chain []*x509.Certificate, key crypto.Signer) {
	t.Helper()
	var parent *x509.Certificate
	var parentKey crypto.Signer
	for i, name := range []string{"root", "between", "leaf"} {
		c := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: name}, NotBefore: now0, NotAfter: now0.Add(ninety), IsCA: i < 2, BasicConstraintsValid: i < 2}
		if i == 2 {
			c.DNSNames = []string{"shop.example.com", "*.shop.example.com"}
		}
		own := keyOf(t, ECDSA)
		if parent == nil {
			parent, parentKey = c, own
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, own.Public(), parentKey)
		must(t, err)
		made, err := x509.ParseCertificate(der)
		must(t, err)
		chain, parent, parentKey = append([]*x509.Certificate{made}, chain...), made, own
	}
	return chain, parentKey
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// The chain is put in order, whatever order the file has, and the root is left out.
func TestReadMendsTheOrder(t *testing.T) {
	t.Parallel()
	chain, key := family(t)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	stranger := selfSigned(t, ECDSA, now0, now0.Add(ninety), "other.example.com").Chain[0]
	for about, c := range map[string]struct {
		order []int
		extra []byte
		notes int
	}{
		"in order": {[]int{0, 1}, nil, 0}, "with the root": {[]int{0, 1, 2}, nil, 0}, "backwards": {[]int{2, 1, 0}, nil, 1}, "leaf last": {[]int{1, 0}, nil, 1}, "with a stranger": {[]int{0, 1}, stranger, 1},
	} {
		var text []byte
		for _, i := range c.order {
			text = append(text, block("CERTIFICATE", chain[i].Raw)...)
		}
		if c.extra != nil {
			text = append(text, block("CERTIFICATE", c.extra)...)
		}
		got, notes, err := Read(text, block("PRIVATE KEY", raw), "cert.pem", "key.pem")
		if err != nil || len(got.Chain) != 2 || !bytes.Equal(got.Chain[0], chain[0].Raw) || !bytes.Equal(got.Chain[1], chain[1].Raw) || len(notes) != c.notes {
			t.Errorf("%s: %d in the chain, %q, %v", about, len(got.Chain), notes, err)
		}
	}
}

// What can't be served is told with its place and the next step, and without a byte of
// the key.
func TestReadRefuses(t *testing.T) {
	t.Parallel()
	good := selfSigned(t, ECDSA, now0, now0.Add(ninety), "shop.example.com")
	cert, key := pemFiles(good)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	weakKey, err := x509.MarshalPKCS8PrivateKey(weak)
	must(t, err)
	nameless := selfSigned(t, ECDSA, now0, now0.Add(ninety))
	namelessCert, namelessKey := pemFiles(nameless)
	_, otherKey := pemFiles(selfSigned(t, ECDSA, now0, now0.Add(ninety), "shop.example.com"))
	for about, c := range map[string]struct {
		cert, key []byte
		says      string
	}{
		"no certificate":       {key, key, "cert.pem: there is no certificate"},
		"no key":               {cert, cert, "key.pem: there is no private key"},
		"nothing":              {nil, nil, "there is no certificate"},
		"another key":          {cert, otherKey, "key.pem: the key is not the one of the certificate in cert.pem"},
		"an encrypted key":     {cert, block("ENCRYPTED PRIVATE KEY", []byte("x")), "is encrypted"},
		"an old encrypted key": {cert, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: []byte("x")}), "is encrypted"},
		"a broken key":         {cert, block("PRIVATE KEY", good.Key[:40]), "the key can't be read"},
		"a broken certificate": {block("CERTIFICATE", good.Chain[0][:50]), key, "certificate 1 of the file can't be read"},
		"a weak key":           {cert, block("PRIVATE KEY", weakKey), "has 1024 bits"},
		"no names":             {namelessCert, namelessKey, "for no host name"},
		"too much":             {bytes.Repeat(cert, 21), key, "more than 20"},
	} {
		_, _, err := Read(c.cert, c.key, "cert.pem", "key.pem")
		var f *fault.Error
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", about, err)
		} else if f = err.(*fault.Error); f.Hint == "" || f.Place == "" {
			t.Errorf("%s: no place or no next step: %v", about, err)
		}
	}
}

// A certificate that somebody else keeps is read again when it changes; while its files
// do not fit, the one before is served, and it is said.
func TestFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(c snapshot.Certificate, withKey bool) {
		cert, key := pemFiles(c)
		must(t, os.WriteFile(filepath.Join(dir, "cert.pem"), cert, 0o600))
		if withKey {
			must(t, os.WriteFile(filepath.Join(dir, "key.pem"), key, 0o600))
		}
	}
	from := time.Now().Add(-time.Hour)
	first := selfSigned(t, ECDSA, from, from.Add(ninety), "shop.example.com", "www.shop.example.com")
	write(first, true)
	p := newPort(t, func(_ *port, o *Options) {
		o.Files = []File{{"shop", filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}}
	})
	p.Tend(t.Context())
	if got := p.leaf(); !bytes.Equal(got.Raw, first.Chain[0]) || p.ca.orders.Load() != 0 {
		t.Errorf("another certificate, or the authority was asked %d times", p.ca.orders.Load())
	}
	second := selfSigned(t, ECDSA, from, from.Add(ninety), "shop.example.com", "www.shop.example.com")
	write(second, false)
	p.later(time.Minute)
	if got := p.leaf(); !bytes.Equal(got.Raw, first.Chain[0]) {
		t.Error("half of a change was taken")
	}
	if v := p.View(); len(v.Problems) != 1 || !strings.Contains(v.Problems[0].Text, "not the one of the certificate") || v.Problems[0].Next == "" {
		t.Errorf("%+v", v.Problems)
	}
	write(second, true)
	p.later(time.Minute)
	if got := p.leaf(); !bytes.Equal(got.Raw, second.Chain[0]) || len(p.View().Problems) != 0 {
		t.Errorf("the change was not taken: %+v", p.View().Problems)
	}
	p.later(70 * 24 * time.Hour) // nobody renews it: the authority is asked in time
	if v := p.View(); len(v.Certificates) != 2 || v.Certificates[1].Source != FromAuthority {
		t.Errorf("%+v", v.Certificates)
	}
}

func TestImportAndForget(t *testing.T) {
	t.Parallel()
	p := newPort(t, func(_ *port, o *Options) { o.Authority = nil })
	from := time.Now().Add(-time.Hour)
	cert, key := pemFiles(selfSigned(t, RSA, from, from.Add(ninety), "www.shop.example.com"))
	h, err := p.Import(cert, key)
	must(t, err)
	if h.ID != "import.www.shop.example.com.rsa" || len(p.served()) != 1 {
		t.Errorf("%+v", h)
	}
	p.open()
	if v := p.View(); len(v.Certificates) != 1 || v.Certificates[0].Source != FromImport || v.Names[0].Score != 0 || v.Names[1].Days != 89 {
		t.Errorf("%+v", v)
	}
	for about, c := range map[string]snapshot.Certificate{
		"over":      selfSigned(t, ECDSA, from.Add(-ninety), from, "shop.example.com"),
		"elsewhere": selfSigned(t, ECDSA, from, from.Add(ninety), "other.example.org"),
	} {
		cert, key := pemFiles(c)
		if _, err := p.Import(cert, key); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", about, err)
		}
	}
	if err := p.Forget("shop.ecdsa"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("%v", err)
	}
	must(t, p.Forget(h.ID))
	if len(p.served()) != 0 {
		t.Error("it is served on")
	}
	if err := p.Renew(t.Context(), "shop"); fault.KindOf(err) != fault.NotSupported {
		t.Errorf("renewed by nobody: %v", err)
	}
}

// What is broken on disk is told, and keeps nothing from starting.
func TestBrokenFolder(t *testing.T) {
	t.Parallel()
	p := newPort(t, nil)
	p.Tend(t.Context())
	for _, name := range []string{"state.json", "held/shop.rsa.pem", "held/import.x.ecdsa.pem"} {
		must(t, os.WriteFile(filepath.Join(p.o.Dir, name), []byte("-----BEGIN nonsense"), 0o600))
	}
	p.open()
	p.leaf()
	if v := p.View(); len(v.Problems) != 2 {
		t.Errorf("%+v", v.Problems)
	}
}

func FuzzRead(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(block("CERTIFICATE", []byte("x")), block("PRIVATE KEY", raw))
	f.Fuzz(func(t *testing.T, cert, key []byte) {
		if c, _, err := Read(cert, key, "cert", "key"); err == nil {
			if _, _, err := c.Open(); err != nil {
				t.Errorf("taken, and can't be served: %v", err)
			}
		}
	})
}
