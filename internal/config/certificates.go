package config

import (
	"net/url"
	"slices"
	"strings"
)

// Certificates say where those of the sites' names come from.
type Certificates struct {
	Directory  string            // of the authority that they are asked of (ACME); "" = nobody is asked
	Email      string            // may be empty
	RootsFile  string            // certificates of the authority's roots, PEM; "" = the machine's own
	Profile    string            // "" = the authority's own
	Keys       []string          // ecdsa, rsa or both, in the order of preference
	KeyID      string            // of the account elsewhere that ours is bound to; may be empty
	MACKeyFile string            // holds the key that goes with it
	CAA        []string          // what the authority is called in CAA records; none: as its directory says
	Files      []CertificateFile // kept up to date by somebody else, in the file's order
}

// CertificateFile is a certificate and its key on disk. Relative paths are resolved
// against the file's folder.
type CertificateFile struct {
	Name        string
	Certificate string
	Key         string
}

// authorities are the directories that have a name of their own.
var authorities = map[string]string{
	"letsencrypt":         "https://acme-v02.api.letsencrypt.org/directory",
	"letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}

// The most that is taken.
const (
	maxCertificateFiles = 200
	maxCAA              = 10
)

// certificates reads where the certificates of the sites' names come from.
func (b *builder) certificates(top section) {
	n := top.n.get("certificates")
	if n == nil {
		return
	}
	s, ok := b.section(n, "certificates", certificatesKeys)
	if !ok || s.refused(certificatesKeys) {
		return
	}
	c := &Certificates{Keys: s.keyKinds(), Files: b.certificateFiles(s)}
	b.c.Certificates = c
	if s.n.get("ca") == nil {
		for _, key := range []string{"email", "agree", "profile", "eab", "caa"} {
			if s.n.get(key) != nil {
				s.invalid(s.at(key), "%s is said, and no authority that it could be for", s.of(key)).WithHint("add ca: letsencrypt, or take it out")
			}
		}
		c.RootsFile = b.besideFile(s, "roots_file", "roots.pem")
		return // what is served is brought by files and by lifeboat certs import
	}
	c.Directory = s.directory()
	c.Email, c.RootsFile = s.email(), b.besideFile(s, "roots_file", "roots.pem")
	c.Profile = s.line("profile", "", "classic", 60)
	c.CAA = s.caaNames()
	b.eab(s, c)
	if !s.truth("agree", false) {
		s.invalid(s.at("agree"), "certificates: the authority's terms are not agreed to").WithHint("read them at the authority, and add agree: true")
	}
}

// directory reads whom certificates are asked of.
func (s section) directory() string {
	const sample = "ca: letsencrypt"
	text, ok := s.text(s.n.get("ca"), s.of("ca"), sample)
	if !ok {
		return ""
	}
	if d, known := authorities[text]; known {
		return d
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" || len(text) > maxURL {
		problem := s.invalid(s.at("ca"), "%s: %q is no authority that is known, and no https address of an ACME directory", s.of("ca"), clip(text))
		if near := nearest(text, []string{"letsencrypt", "letsencrypt-staging"}); near != "" {
			problem.WithHint("did you mean %q?", near)
		} else {
			problem.WithHint("for example letsencrypt, or https://ca.example.net/acme/acme/directory")
		}
		return ""
	}
	return text
}

// email reads whom the authority may write to.
func (s section) email() string {
	text := s.line("email", "", "ops@example.com", 200)
	local, host, is := strings.Cut(text, "@")
	if text != "" && (!is || local == "" || badLabels(strings.ToLower(host)) != "" || strings.ContainsAny(text, " ,;<>?&")) {
		s.invalid(s.at("email"), "%s: %q is no address of one mailbox", s.of("email"), clip(text)).WithHint("for example ops@example.com")
		return ""
	}
	return text
}

// keyKinds reads which keys certificates have.
func (s section) keyKinds() []string {
	const sample = "[ecdsa, rsa]"
	var out []string
	for _, n := range s.few("keys", sample, 2) {
		text, ok := s.text(n, s.of("keys"), "keys: "+sample)
		switch {
		case !ok:
		case text != "ecdsa" && text != "rsa":
			s.invalid(n.at, "%s: expected ecdsa or rsa, found %s", s.of("keys"), n.found()).WithHint("for example keys: %s", sample)
		case slices.Contains(out, text):
			s.invalid(n.at, "%s: %s is written twice", s.of("keys"), text).WithHint("remove one")
		default:
			out = append(out, text)
		}
	}
	if len(out) == 0 {
		return []string{"ecdsa"}
	}
	return out
}

// caaNames reads what the authority is called in CAA records.
func (s section) caaNames() (out []string) {
	for _, n := range s.few("caa", "[ca.example.net]", maxCAA) {
		text, ok := s.text(n, s.of("caa"), "caa: [ca.example.net]")
		if !ok {
			continue
		}
		text = strings.ToLower(strings.TrimSuffix(text, "."))
		if why := badLabels(text); why != "" {
			s.invalid(n.at, "%s: %q %s", s.of("caa"), clip(text), why).WithHint("for example letsencrypt.org")
			continue
		}
		out = append(out, text)
	}
	return out
}

// eab reads the account elsewhere that ours is bound to.
func (b *builder) eab(s section, c *Certificates) {
	n := s.n.get("eab")
	if n == nil {
		return
	}
	e, ok := b.section(n, "eab of certificates", eabKeys)
	if !ok || e.refused(eabKeys) || !e.needs("key_id", "", "key_id: what the authority gave you") || !e.needs("mac_key_file", "", "mac_key_file: eab.key") {
		return
	}
	c.KeyID, c.MACKeyFile = e.line("key_id", "", "kid-1", 500), b.besideFile(e, "mac_key_file", "eab.key")
}

// certificateFiles reads certificates that somebody else keeps up to date.
func (b *builder) certificateFiles(s section) (out []CertificateFile) {
	const sample = "files: {shop: {certificate: shop.pem, key: shop.key}}"
	for _, e := range b.atMost(maxCertificateFiles, s.n.get("files"), s.of("files"), sample) {
		b.id(e.at, "certificate", e.key)
		f, ok := b.section(e.value, "certificate "+clip(e.key), certificateFileKeys)
		if !ok || f.refused(certificateFileKeys) || !f.needs("certificate", "", "certificate: "+example(e.key)+".pem") ||
			!f.needs("key", ": it can't be served without", "key: "+example(e.key)+".key") {
			continue
		}
		x := CertificateFile{Name: e.key, Certificate: b.besideFile(f, "certificate", "shop.pem"), Key: b.besideFile(f, "key", "shop.key")}
		if i := slices.IndexFunc(out, func(o CertificateFile) bool { return o.Certificate == x.Certificate }); i >= 0 {
			b.invalid(e.at, "certificates %s and %s are the same file", out[i].Name, clip(e.key)).WithHint("keep one of them")
			continue
		}
		out = append(out, x)
	}
	return out
}
