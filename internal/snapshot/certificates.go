package snapshot

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"strings"

	"lifeboat/internal/fault"
)

// Certificates are what answer serves HTTPS with, and the secret that its processes
// make session ticket keys of. Who makes the part keeps the order: answer takes, of
// those that name a host, one with an ECDSA key first and one with an RSA key for
// clients that can't do with it.
type Certificates struct {
	Certs []Certificate `json:"certs"`

	// TicketSecret is what the keys of session tickets are derived from (RFC 8446 section
	// 2.2), by every answer process for itself. Of fewer than MinTicketSecret bytes is
	// none: then each process has keys of its own, and resumes only its own sessions.
	TicketSecret Secret `json:"ticket_secret,omitempty"`
}

// Certificate is one chain with its key, and the names that it is served for.
type Certificate struct {
	Names []string `json:"names"` // lower case, no final dot; "*." in front stands for one label
	Chain [][]byte `json:"chain"` // DER, leaf first, without the root
	Key   Secret   `json:"key"`   // PKCS #8, DER: ECDSA, RSA or Ed25519
}

// Bounds of the part.
const (
	MinTicketSecret = 32 // bytes
	maxChain        = 10 // certificates
)

// IsZero says whether no name has a certificate.
func (c Certificates) IsZero() bool { return len(c.Certs) == 0 }

// Open reads a certificate and says whether it can be served for its names: the key
// must be the leaf's, and the leaf must be for each of the names. That it is over is
// no fault here: an old certificate is more to a visitor than none. Who takes
// certificates leaves out those that can't be opened and goes on with the others.
func (c Certificate) Open() (leaf *x509.Certificate, key crypto.Signer, err error) {
	if len(c.Names) == 0 || len(c.Chain) == 0 || len(c.Chain) > maxChain {
		return nil, nil, fault.New(fault.Invalid, "a certificate needs a name and 1 to %d certificates; it has %d and %d", maxChain, len(c.Names), len(c.Chain))
	}
	for i, der := range c.Chain {
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, nil, c.unusable("certificate %d of the chain can't be read", i+1).Because(err)
		}
		if i == 0 {
			leaf = parsed
		}
	}
	for _, name := range c.Names {
		if !covers(leaf, name) {
			return nil, nil, c.unusable("the certificate is not for %s", name).WithHint("make one that has the name among its subject alternative names")
		}
	}
	any, err := x509.ParsePKCS8PrivateKey(c.Key)
	if err != nil { // its text may not hold a part of the key
		return nil, nil, c.unusable("the key can't be read as PKCS #8")
	}
	key, is := any.(crypto.Signer)
	if !is || !owns(key, leaf) {
		return nil, nil, c.unusable("the key is not the certificate's").WithHint("import the key that the certificate was made with")
	}
	return leaf, key, nil
}

// covers says whether a leaf is for a name, which may be a wildcard itself.
func covers(leaf *x509.Certificate, name string) bool {
	base, wild := strings.CutPrefix(name, "*.")
	if name == "" || name != strings.ToLower(name) || strings.Contains(base, "*") {
		return false
	}
	if wild {
		for _, san := range leaf.DNSNames {
			if strings.EqualFold(san, name) {
				return true
			}
		}
		return false
	}
	return leaf.VerifyHostname(name) == nil
}

// owns says whether a key belongs to a leaf, and is of a kind that is served with.
func owns(key crypto.Signer, leaf *x509.Certificate) bool {
	switch public := key.Public().(type) {
	case *ecdsa.PublicKey:
		return public.Equal(leaf.PublicKey)
	case *rsa.PublicKey:
		return public.Equal(leaf.PublicKey)
	case ed25519.PublicKey:
		return public.Equal(leaf.PublicKey)
	}
	return false
}

func (c Certificate) unusable(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, format, args...).At("certificate of " + c.Names[0])
}
