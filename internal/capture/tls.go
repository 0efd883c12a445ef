package capture

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// tlsTasks look at the certificates of each address, for every name of the site.
func (r *run) tlsTasks() []task {
	if r.job.Scheme != "https" {
		return nil
	}
	var out []task
	r.each(func(place string, a netip.Addr) {
		at := netip.AddrPortFrom(a, uint16(r.job.Port))
		it := Item{Kind: KindTLS, Source: source(place, at), Title: fmt.Sprintf("The certificates that %s shows.", source(place, at))}
		out = append(out, task{it, func(ctx context.Context, it Item) []Item { return []Item{r.certificates(ctx, it, at)} }})
	})
	return out
}

// shown is what an address showed for one name.
type shown struct {
	name  string
	state tls.ConnectionState
	err   error // no handshake

	wrong    string // what is wrong with it, in a sentence without its full stop
	deciding bool   // nobody's browser takes it
	took     time.Duration
}

func (r *run) certificates(ctx context.Context, it Item, at netip.AddrPort) Item {
	var all []shown
	for _, name := range r.job.Names {
		s := r.handshake(ctx, at, name)
		all = append(all, s)
		if s.err != nil && len(all) == 1 && !isAlert(s.err) {
			break // nobody is there, or no TLS: the other names would wait for the same
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "TLS handshakes with %s, %s\n", it.Source, stamp(it.At))
	written := map[string]string{} // name that it was shown for, by certificate
	for _, s := range all {
		r.describe(ctx, &b, s, written)
	}
	it.Body = b.Bytes()
	it.Summary, it.Deciding, it.Problem = r.sum(ctx, all)
	return it
}

// handshake looks first and judges afterwards: a bad certificate is to be seen whole.
func (r *run) handshake(ctx context.Context, at netip.AddrPort, name string) shown {
	s := shown{name: name}
	began := r.o.Now()
	conn, closeIt, err := dial(ctx, "tcp", at)
	if err != nil {
		s.err = err
		return s
	}
	defer closeIt()
	secured := tls.Client(conn, looking(name, "h2", "http/1.1"))
	if s.err = secured.HandshakeContext(ctx); s.err != nil {
		return s
	}
	s.took, s.state = r.o.Now().Sub(began), secured.ConnectionState()
	s.wrong, s.deciding = r.judge(name, s.state)
	return s
}

// judge says what a browser would not take, the plainest first.
func (r *run) judge(name string, state tls.ConnectionState) (wrong string, deciding bool) {
	if len(state.PeerCertificates) == 0 {
		return "no certificate was shown", false
	}
	leaf, now := state.PeerCertificates[0], r.o.Now()
	switch {
	case now.After(leaf.NotAfter):
		return "the certificate expired on " + day(leaf.NotAfter), true
	case now.Before(leaf.NotBefore):
		return "the certificate is not valid before " + day(leaf.NotBefore), true
	case leaf.VerifyHostname(name) != nil:
		return fmt.Sprintf("the certificate is not for %s; it is for %s", name, nameList(leaf)), true
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: r.o.Roots, Intermediates: between, CurrentTime: now})
	if err != nil {
		return r.distrust(err, now), false
	}
	if state.Version < tls.VersionTLS12 {
		return "browsers do not speak " + tls.VersionName(state.Version) + " any more", false
	}
	return "", false
}

// distrust says why a chain of certificates ends at nobody we trust.
func (r *run) distrust(err error, now time.Time) string {
	if r.o.Roots == nil && withoutAuthorities(err) {
		return "whether the certificate is trusted can't be told here: this machine has no list of certificate authorities"
	}
	if cert, ok := errors.AsType[x509.CertificateInvalidError](err); ok && cert.Reason == x509.Expired && cert.Cert != nil && now.After(cert.Cert.NotAfter) {
		return fmt.Sprintf("a certificate between this one and its authority (%s) expired on %s", cert.Cert.Subject, day(cert.Cert.NotAfter))
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the certificate is from an authority that is not known here, or certificates between them are missing"
	}
	return "the certificate can't be trusted: " + err.Error()
}

// withoutAuthorities says whether err comes from this machine's knowing no authority
// at all: then no certificate can be judged.
func withoutAuthorities(err error) bool {
	if _, unreadable := errors.AsType[x509.SystemRootsError](err); unreadable {
		return true
	}
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); !unknown {
		return false
	}
	pool, err := x509.SystemCertPool()
	return err != nil || pool.Equal(x509.NewCertPool())
}

// sum is what all names' certificates come to.
func (r *run) sum(ctx context.Context, all []shown) (summary, deciding, problem string) {
	var wrong []string
	var ends time.Time
	for _, s := range all {
		switch {
		case s.err != nil:
			wrong = append(wrong, fmt.Sprintf("%s got no TLS connection: %s", s.name, why(ctx, s.err, r.o.Item)))
		case s.wrong != "":
			wrong = append(wrong, s.wrong)
			if s.deciding && deciding == "" {
				deciding = sentence(s.wrong)
			}
		}
		if s.err == nil && len(s.state.PeerCertificates) > 0 && (ends.IsZero() || s.state.PeerCertificates[0].NotAfter.Before(ends)) {
			ends = s.state.PeerCertificates[0].NotAfter
		}
	}
	if all[0].err != nil && ends.IsZero() {
		problem = why(ctx, all[0].err, r.o.Item)
	}
	switch {
	case deciding != "":
		return deciding, deciding, ""
	case len(wrong) > 1:
		return fmt.Sprintf("%s, and %s with a problem.", strings.TrimSuffix(sentence(wrong[0]), "."), counted(len(wrong)-1, "more name")), "", problem
	case len(wrong) == 1:
		return sentence(wrong[0]), "", problem
	}
	return fmt.Sprintf("The certificate for %s is good until %s.", all[0].name, day(ends)), "", ""
}

// describe writes one name's handshake and, once each, the certificates.
func (r *run) describe(ctx context.Context, b *bytes.Buffer, s shown, written map[string]string) {
	fmt.Fprintf(b, "\n== %s\n", s.name)
	if s.err != nil {
		fmt.Fprintf(b, "no TLS connection: %s\n", line(why(ctx, s.err, r.o.Item)))
		return
	}
	st := s.state
	fmt.Fprintf(b, "%s, %s, protocol %q, in %s\n", tls.VersionName(st.Version), tls.CipherSuiteName(st.CipherSuite), st.NegotiatedProtocol, span(s.took))
	fmt.Fprintf(b, "OCSP answer: %s; signed certificate timestamps: %d\n", size(float64(len(st.OCSPResponse))), len(st.SignedCertificateTimestamps))
	if s.wrong == "" {
		fmt.Fprintln(b, "a browser takes it")
	} else {
		fmt.Fprintln(b, line(s.wrong))
	}
	if len(st.PeerCertificates) == 0 {
		return
	}
	print := hash(st.PeerCertificates[0].Raw)
	if first, same := written[print]; same {
		fmt.Fprintf(b, "the same certificate as for %s\n", first)
		return
	}
	written[print] = s.name
	for i, c := range st.PeerCertificates {
		certificate(b, i, c)
	}
}

func certificate(b *bytes.Buffer, i int, c *x509.Certificate) {
	fmt.Fprintf(b, "\n-- certificate %d\nsubject: %s\nissuer: %s\nserial: %x\nvalid: %s to %s\n", i+1, clip(c.Subject.String(), 1000), clip(c.Issuer.String(), 1000), c.SerialNumber,
		c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339))
	if i == 0 {
		fmt.Fprintf(b, "names: %s\n", clip(strings.Join(names(c), ", "), 16<<10))
	}
	fmt.Fprintf(b, "key: %s; signature: %s; CA: %t\nsha256: %s\n", key(c), c.SignatureAlgorithm, c.IsCA, hash(c.Raw))
	_ = pem.Encode(b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a buffer takes everything
}

func key(c *x509.Certificate) string {
	switch k := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return c.PublicKeyAlgorithm.String()
}

// names are those that a certificate is for.
func names(c *x509.Certificate) []string {
	out := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		out = append(out, ip.String())
	}
	return out
}

// nameList names the first few of them.
func nameList(c *x509.Certificate) string {
	const most = 3
	list := names(c)
	switch {
	case len(list) == 0:
		return "no name at all"
	case len(list) > most:
		return strings.Join(list[:most], ", ") + " and " + counted(len(list)-most, "more name")
	}
	return strings.Join(list, ", ")
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
