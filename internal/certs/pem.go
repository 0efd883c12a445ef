package certs

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
)

// Bounds of what is read.
const (
	maxPEM    = 256 << 10 // bytes of a file
	maxBlocks = 20        // of a file
	minRSA    = 2048      // bits
	keepRSA   = 8192      // more would cost each visitor a second
)

// bring is what to do where something does not fit together.
const bring = "bring the certificate and the key that it was made with"

// Read puts a certificate and its key together, from the text of two PEM files that may
// be the same one. The leaf is the certificate that the key is for, wherever it stands,
// and the chain is put in order behind it; notes say what was mended. The places are
// named in errors, which never hold a byte of the key. That a certificate is over is no
// error here.
func Read(certificate, key []byte, certificatePlace, keyPlace string) (c snapshot.Certificate, notes []string, err error) {
	all, err := readChain(certificate, certificatePlace)
	if err != nil {
		return c, nil, err
	}
	signer, err := readKey(key, keyPlace)
	if err != nil {
		return c, nil, err
	}
	at := -1
	for i, x := range all {
		if public, is := signer.Public().(interface{ Equal(crypto.PublicKey) bool }); is && public.Equal(x.PublicKey) {
			at = i
			break
		}
	}
	if at < 0 {
		return c, nil, fault.New(fault.Invalid, "the key is not the one of the certificate in %s", certificatePlace).At(keyPlace).WithHint(bring)
	}
	chain, notes := inOrder(all, at)
	if c.Names = leafNames(chain[0]); len(c.Names) == 0 {
		return c, nil, fault.New(fault.Invalid, "the certificate is for no host name").At(certificatePlace).
			WithHint("have one made with the names among its subject alternative names; a common name alone counts nowhere any more")
	}
	for _, x := range chain {
		c.Chain = append(c.Chain, x.Raw)
	}
	if c.Key, err = x509.MarshalPKCS8PrivateKey(signer); err != nil { // its text may hold a part of the key
		return c, nil, fault.New(fault.Invalid, "the key is of a kind that can't be kept").At(keyPlace).WithHint("use ECDSA P-256, or RSA")
	}
	if _, _, err := c.Open(); err != nil {
		return c, nil, err
	}
	return c, notes, nil
}

// readChain reads all certificates of a PEM file.
func readChain(text []byte, place string) (out []*x509.Certificate, err error) {
	for n, rest := 0, text; ; n++ {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if n == maxBlocks {
			return nil, fault.New(fault.Invalid, "the file holds more than %d blocks", maxBlocks).At(place).WithHint("leave the leaf and what leads to its root")
		}
		if b.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, fault.New(fault.Invalid, "certificate %d of the file can't be read", len(out)+1).At(place).Because(err).WithHint("look at it with: openssl x509 -noout -text -in %s", place)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, fault.New(fault.Invalid, "there is no certificate in the file").At(place).WithHint("it begins with -----BEGIN CERTIFICATE-----")
	}
	return out, nil
}

// readKey reads the first private key of a PEM file.
func readKey(text []byte, place string) (crypto.Signer, error) {
	for n, rest := 0, text; n < maxBlocks; n++ {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if b.Type == "ENCRYPTED PRIVATE KEY" || bytes.Contains([]byte(b.Headers["Proc-Type"]), []byte("ENCRYPTED")) {
			return nil, fault.New(fault.Invalid, "the key is encrypted").At(place).WithHint("nobody can type a password in a crisis: openssl pkey -in %s -out plain.key", place)
		}
		var key any
		var err error
		switch b.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(b.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(b.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(b.Bytes)
		default:
			continue
		}
		signer, is := key.(crypto.Signer)
		if err != nil || !is { // the text of err may hold a part of the key
			return nil, fault.New(fault.Invalid, "the key can't be read").At(place).WithHint("look at it with: openssl pkey -noout -in %s", place)
		}
		if r, is := signer.(*rsa.PrivateKey); is && (r.N.BitLen() < minRSA || r.N.BitLen() > keepRSA) {
			return nil, fault.New(fault.Invalid, "the RSA key has %d bits", r.N.BitLen()).At(place).WithHint("%d are enough and fewer are trusted nowhere; ECDSA P-256 is better", minRSA)
		}
		return signer, nil
	}
	return nil, fault.New(fault.Invalid, "there is no private key in the file").At(place).WithHint("a certificate can't be served without its key; %s", bring)
}

// inOrder puts the certificates behind the leaf in the order that each was signed by the
// next one. The root is left out, for whoever trusts it has it.
func inOrder(all []*x509.Certificate, leaf int) (chain []*x509.Certificate, notes []string) {
	chain = []*x509.Certificate{all[leaf]}
	left := make([]*x509.Certificate, 0, len(all))
	left = append(append(left, all[:leaf]...), all[leaf+1:]...)
	inPlace, roots := leaf == 0, 0
	for len(left) > 0 {
		last, next := chain[len(chain)-1], -1
		for i, c := range left {
			if bytes.Equal(last.RawIssuer, c.RawSubject) && last.CheckSignatureFrom(c) == nil && !bytes.Equal(last.Raw, c.Raw) {
				next = i
				break
			}
		}
		if next < 0 {
			break
		}
		if c := left[next]; bytes.Equal(c.RawIssuer, c.RawSubject) {
			roots++
		} else {
			chain = append(chain, c)
		}
		inPlace = inPlace && next == 0
		left = append(left[:next], left[next+1:]...)
		if roots > 0 {
			break
		}
	}
	if !inPlace {
		notes = append(notes, "the certificates stood in the wrong order; they are served in the right one")
	}
	if n := len(left); n > 0 {
		notes = append(notes, fmt.Sprintf("%d certificates of the file do not belong to the chain and are left out", n))
	}
	return chain, notes
}

// pemOf writes a certificate with its key as one text: the key first.
func pemOf(c snapshot.Certificate) []byte {
	var b bytes.Buffer
	_ = pem.Encode(&b, &pem.Block{Type: "PRIVATE KEY", Bytes: c.Key}) // a buffer takes everything
	for _, der := range c.Chain {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	return b.Bytes()
}

// Over says what is wrong with the time that a certificate is for; "" when nothing is.
func Over(from, until, now time.Time) string {
	switch {
	case !until.After(now):
		return "it is over since " + until.UTC().Format("2 January 2006 15:04 UTC")
	case from.After(now):
		return "it begins only on " + from.UTC().Format("2 January 2006 15:04 UTC")
	}
	return ""
}
