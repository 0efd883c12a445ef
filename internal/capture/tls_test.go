package capture

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func tlsConfig(c ...tls.Certificate) *tls.Config { return &tls.Config{Certificates: c} }

func TestCertificates(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * time.Hour
	a, stranger := newAuthority(t), newAuthority(t)
	ago, soon := day(time.Now().Add(-2*24*time.Hour)), day(time.Now().Add(2*24*time.Hour))
	for name, c := range map[string]struct {
		config   *tls.Config
		deciding string // "" when nothing decides
		summary  string
	}{
		"good":        {tlsConfig(a.sign(-year, year, host)), "", "The certificate for shop.example.com is good until " + day(time.Now().Add(year)) + "."},
		"wildcard":    {tlsConfig(a.sign(-year, year, "*.example.com")), "", "is good until"},
		"expired":     {tlsConfig(a.sign(-year, -2*24*time.Hour, host)), "The certificate expired on " + ago + ".", ""},
		"not yet":     {tlsConfig(a.sign(2*24*time.Hour, year, host)), "The certificate is not valid before " + soon + ".", ""},
		"wrong name":  {tlsConfig(a.sign(-year, year, "a.example.net", "b.example.net", "c.example.net", "d.example.net")), "The certificate is not for shop.example.com; it is for a.example.net, b.example.net, c.example.net and 1 more name.", ""},
		"no name":     {tlsConfig(a.sign(-year, year)), "The certificate is not for shop.example.com; it is for no name at all.", ""},
		"a stranger":  {tlsConfig(stranger.sign(-year, year, host)), "", "The certificate is from an authority that is not known here, or certificates between them are missing."},
		"old version": {&tls.Config{Certificates: []tls.Certificate{a.sign(-year, year, host)}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, "", "Browsers do not speak TLS 1.1 any more."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := patient()
			o.Roots = a.roots()
			it := only(t, job(place("https", serveTLS(t, c.config))), o)
			if c.summary == "" {
				c.summary = c.deciding
			}
			if it.Deciding != c.deciding || !strings.Contains(it.Summary, c.summary) || it.Problem != "" || it.Kind != KindTLS {
				t.Errorf("%+v", it)
			}
			has(t, string(it.Body), "== shop.example.com", "issuer: CN=Test Authority", "-----BEGIN CERTIFICATE-----", "key: ECDSA P-256", "valid: ")
		})
	}
}

// Each name is asked for, since servers choose the certificate by name; a
// certificate is written down once.
func TestCertificateOfEachName(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * time.Hour
	a := newAuthority(t)
	good, bad := a.sign(-year, year, "shop.example.com", "m.example.com"), a.sign(-year, -24*time.Hour, "www.example.com")
	at := serveTLS(t, &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		switch h.ServerName {
		case "www.example.com":
			return &bad, nil
		case "strange.example.com":
			return nil, errors.New("not ours")
		}
		return &good, nil
	}})
	o := patient()
	o.Roots = a.roots()
	it := only(t, job(place("https", at), func(j *Job) {
		j.Names = []string{host, "m.example.com", "www.example.com", "strange.example.com"}
	}), o)
	has(t, it.Deciding, "The certificate expired on ")
	text := string(it.Body)
	has(t, text, "== m.example.com", "the same certificate as for shop.example.com", "== strange.example.com\nno TLS connection: TLS was refused: ")
	if n := strings.Count(text, "BEGIN CERTIFICATE"); n != 2 {
		t.Errorf("%d certificates are written down", n)
	}
	// A refusal of the first name says nothing of the others.
	it = only(t, job(place("https", at), func(j *Job) { j.Names = []string{"strange.example.com", host} }), o)
	has(t, it.Summary, "Strange.example.com got no TLS connection: TLS was refused")
	has(t, string(it.Body), "== shop.example.com", "a browser takes it")
	if it.Problem != "" {
		t.Errorf("problem %q, and one name is served", it.Problem)
	}
}

func TestExpiredBetween(t *testing.T) {
	t.Parallel()
	r := &run{o: patient()}
	now := time.Now()
	said := r.distrust(x509.CertificateInvalidError{Cert: &x509.Certificate{NotAfter: now.Add(-24 * time.Hour)}, Reason: x509.Expired}, now)
	has(t, said, "a certificate between this one and its authority", "expired on "+day(now.Add(-24*time.Hour)))
}

func TestNoHandshake(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		at      net.Addr
		problem string
		o       Options
	}{
		"nobody there":  {closed(t), "nobody listens there", patient()},
		"no word":       {serveRaw(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), "no complete answer within 1 s", hasty()},
		"a hang-up":     {serveRaw(t, says("")), "closed without an answer", patient()},
		"endless bytes": {serveRaw(t, endless("\x16\x03\x03\x40\x00", "\x02\x00")), "", patient()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			it := only(t, job(place("https", c.at), func(j *Job) { j.Names = []string{host, "www.example.com"} }), c.o)
			if has(t, it.Problem, c.problem); it.Problem == "" || it.Deciding != "" {
				t.Errorf("%+v", it)
			}
			lacks(t, string(it.Body), "== www.example.com")
		})
	}
}
