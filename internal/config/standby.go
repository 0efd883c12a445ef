package config

import (
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"path/filepath"
	"strings"

	"lifeboat/internal/snapshot"
)

// Bounds of what the standby answers beside its page.
const (
	maxAnswerPaths = 50
	maxWellKnown   = 20
	maxAnswerBytes = 64 << 10 // of each file
)

// standby reads where the standby is, and what it answers beside its page.
func (b *builder) standby(s section) (addresses []netip.Addr, answers snapshot.Answers) {
	if !s.needs("standby", ": there is nowhere to send visitors to", "standby: {addresses: [198.51.100.7]}") {
		return nil, answers
	}
	p, ok := s.section(s.n.get("standby"), "standby of "+s.where, standbyKeys)
	if !ok {
		return nil, answers
	}
	answers.API = p.answerPaths("api", "[/api, /graphql]")
	answers.Health = p.answerPaths("health", "[/healthz]")
	if n := p.n.get("robots"); n != nil {
		answers.Robots, _ = p.file(n, p.of("robots"), "robots: |")
	}
	answers.WellKnown = b.wellKnown(p)
	return p.addresses(), answers
}

// answerPaths reads paths that each stand for all below them; nil where none are said.
func (s section) answerPaths(key, example string) (out []string) {
	if s.n.get(key) == nil {
		return nil
	}
	out = []string{}
	for _, n := range s.few(key, example, maxAnswerPaths) {
		path, ok := s.text(n, s.of(key), example)
		if !ok {
			continue
		}
		if path == "" || len(path) > maxPath || !validPath(path) || strings.Contains(path, "?") || path == "/" {
			s.invalid(n.at, "%s: %q is not a path", s.of(key), clip(path)).WithHint("begin with / and leave out host and question, for example %s: %s", key, example)
			continue
		}
		out = append(out, path)
	}
	return out
}

// file reads the text of a small file that is written into the configuration.
func (s section) file(n *node, what, example string) (string, bool) {
	text, ok := s.text(n, what, example)
	switch {
	case !ok:
		return "", false
	case n.folded:
		s.invalid(n.at, "%s: the line ends are lost here", what).WithHint("write | behind the colon, so that each line stays one")
		return "", false
	case len(text) > maxAnswerBytes || strings.TrimSpace(text) == "":
		s.invalid(n.at, "%s: 1 to %d bytes fit, these are %d", what, maxAnswerBytes, len(text)).WithHint("for example %s", example)
		return "", false
	}
	return text, true
}

// wellKnown reads the files below /.well-known/, by name.
func (b *builder) wellKnown(s section) map[string]string {
	n := s.n.get("well_known")
	if n == nil {
		return nil
	}
	const example = `well_known: {security.txt: "Contact: mailto:security@example.com"}`
	out := map[string]string{}
	for _, e := range b.atMost(maxWellKnown, n, s.of("well_known"), example) {
		if !wellKnownName(e.key) {
			b.invalid(e.at, "%s: %q is no name of a file below /.well-known/", s.of("well_known"), clip(e.key)).
				WithHint("write letters, figures, - _ . and /, for example security.txt; proofs for certificates (acme-challenge) are made by themselves")
			continue
		}
		if text, ok := s.file(e.value, clip(e.key)+" of "+s.of("well_known"), example); ok {
			out[e.key] = text
		}
	}
	return out
}

func wellKnownName(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	for _, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_./", c)) {
			return false
		}
	}
	return len(name) <= 100 && name != "standby.json" && !strings.HasPrefix(name, "acme-challenge")
}

// authorities reads who else may sign the certificates of a site's places.
func (b *builder) authorities(s section) (out [][]byte) {
	n := s.n.get("ca_file")
	if n == nil {
		return nil
	}
	const example = "ca_file: company-ca.pem"
	name, ok := b.text(n, s.of("ca_file"), example)
	switch {
	case !ok:
		return nil
	case !filepath.IsLocal(name) || b.folder == nil:
		b.invalid(n.at, "%s: %q is not inside the folder of the configuration file", s.of("ca_file"), clip(name)).WithHint("put the file beside it, for example %s", example)
		return nil
	}
	data, err := readInside(b.folder, filepath.ToSlash(name))
	if err != nil {
		b.invalid(n.at, "%s: can't read %q", s.of("ca_file"), clip(name)).Because(err).WithHint("the path begins at the folder of the configuration file and stays inside it")
		return nil
	}
	for len(out) <= maxAuthorities {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil || block.Type != "CERTIFICATE" || !cert.IsCA {
			b.invalid(n.at, "%s: %q holds something else than certificates of authorities", s.of("ca_file"), clip(name)).WithHint("keep CERTIFICATE blocks of authorities alone in it, no key")
			return nil
		}
		out = append(out, block.Bytes)
	}
	if len(out) == 0 || len(out) > maxAuthorities {
		b.invalid(n.at, "%s: %q holds %d certificates, 1 to %d fit", s.of("ca_file"), clip(name), len(out), maxAuthorities).WithHint("write them in PEM, one after the other")
		return nil
	}
	return out
}

// maxAuthorities is how many may be named for a site.
const maxAuthorities = 10
