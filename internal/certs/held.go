package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/snapshot"
)

// Where a certificate comes from.
const (
	FromAuthority = "authority"
	FromFile      = "file"     // named in the configuration
	FromImport    = "imported" // brought by a command
)

// Held is a certificate that is handed to answer. What it shows to others has no key.
type Held struct {
	ID     string    `json:"id" doc:"the site, the file or the import that it is of"`
	Source string    `json:"source" enum:"authority,file,imported"`
	Names  []string  `json:"names"`
	Kind   string    `json:"key" doc:"kind of its key: ecdsa, rsa or ed25519"`
	From   time.Time `json:"from"`
	Until  time.Time `json:"until"`
	Issuer string    `json:"issuer"`
	Serial string    `json:"serial" doc:"hexadecimal"`
	Notes  []string  `json:"notes,omitempty" doc:"what was mended as it was read"`

	untrusted string            // why it leads to no trusted root; "": it does
	leaf      *x509.Certificate // of cert
	cert      snapshot.Certificate
}

// hold makes a Held of what can be served.
func hold(id, source string, c snapshot.Certificate, notes []string) (Held, error) {
	leaf, key, err := c.Open()
	if err != nil {
		return Held{}, err
	}
	return Held{
		ID: id, Source: source, Names: slices.Clone(c.Names), Kind: kindOf(key.Public()), From: leaf.NotBefore, Until: leaf.NotAfter,
		Issuer: leaf.Issuer.String(), Serial: hex.EncodeToString(leaf.SerialNumber.Bytes()), Notes: notes, leaf: leaf, cert: c,
	}, nil
}

// kindOf is what a public key is called.
func kindOf(public any) string {
	switch public.(type) {
	case *ecdsa.PublicKey:
		return ECDSA
	case *rsa.PublicKey:
		return RSA
	case ed25519.PublicKey:
		return "ed25519"
	}
	return "unknown"
}

// lifetime is how long the certificate is for, never nothing.
func (h Held) lifetime() time.Duration { return max(h.Until.Sub(h.From), time.Second) }

// Left is how much of the lifetime is left: 1 at its beginning, 0 and less when it is
// over.
func (h Held) Left(now time.Time) float64 { return float64(h.Until.Sub(now)) / float64(h.lifetime()) }

// below says whether less than 1/part of the lifetime is left.
func (h Held) below(part int, now time.Time) bool {
	return h.Until.Sub(now) <= h.lifetime()/time.Duration(part)
}

// covers says whether the certificate is for a name.
func (h Held) covers(name string) bool { return h.leaf.VerifyHostname(name) == nil }

// coversAll says whether it is for each of the names.
func (h Held) coversAll(names []string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return !h.covers(n) })
}

// chain says why the certificate does not lead to a root that is trusted; nil: it does.
// That it is over is not asked here.
func (h Held) chain(roots *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, der := range h.cert.Chain[1:] {
		if c, err := x509.ParseCertificate(der); err == nil { // Open has read it before
			between.AddCert(c)
		}
	}
	middle := h.From.Add(h.lifetime() / 2)
	_, err := h.leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: middle})
	return err
}

// leafNames are a leaf's names as answer takes them, without those that it can't.
func leafNames(leaf *x509.Certificate) []string {
	var out []string
	for _, name := range leaf.DNSNames {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if base := strings.TrimPrefix(name, "*."); base != "" && !strings.Contains(base, "*") && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// order puts certificates as answer is to choose: those that are not over first, then
// what people brought, ECDSA before the others, and the one that lasts longest.
func order(all []Held, now time.Time) {
	rank := func(h Held) int {
		n := 0
		if !h.Until.After(now) {
			n += 8
		}
		if h.Source == FromAuthority {
			n += 4
		}
		if h.Kind != ECDSA {
			n += 2
		}
		return n
	}
	slices.SortStableFunc(all, func(a, b Held) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		if d := b.Until.Compare(a.Until); d != 0 {
			return d
		}
		return strings.Compare(a.ID, b.ID)
	})
}

// same says whether two lists hold the same certificates in the same order.
func same(a, b []Held) bool {
	return slices.EqualFunc(a, b, func(x, y Held) bool {
		return x.ID == y.ID && x.Source == y.Source && slices.EqualFunc(x.cert.Chain, y.cert.Chain, bytes.Equal)
	})
}
