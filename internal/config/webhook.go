package config

import (
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxURL is how long a webhook's URL may be, in bytes.
const maxURL = 2048

// hook is a webhook of the file: what it belongs to, and where its URL is written.
type hook struct {
	where string
	at    position
	url   *url.URL
}

// webhook reads where a POST goes. Its messages never repeat the URL: it may hold
// a secret that should not be there.
func (b *builder) webhook(s section, n *node) *Webhook {
	p, ok := b.section(n, "webhook of "+s.where, webhookKeys)
	if !ok {
		return nil
	}
	const sample = `url: "https://ops.example.com/purge"`
	if !p.needs("url", ": nobody would be asked", sample) {
		return nil
	}
	at := p.at("url")
	text, ok := b.text(p.n.get("url"), p.of("url"), sample)
	if !ok {
		return nil
	}
	u, why, remedy := webhookURL(text)
	if why != "" {
		b.invalid(at, "%s %s", p.of("url"), why).WithHint("%s", remedy)
		return nil
	}
	b.hooks = append(b.hooks, hook{p.where, at, u})
	return &Webhook{URL: text, SecretFile: b.secretFile(p)}
}

// secretFile reads the name of the file that holds a secret, not the secret.
func (b *builder) secretFile(s section) string { return b.besideFile(s, "secret_file", "hook.secret") }

// besideFile reads a path; a relative one begins at the file's folder.
func (b *builder) besideFile(s section, key, example string) string {
	name := s.line(key, "", example, maxFilePath)
	switch {
	case name == "":
		return ""
	case filepath.IsAbs(name):
		return filepath.Clean(name)
	}
	return filepath.Join(filepath.Dir(b.file), name)
}

// webhookURL reads a URL that can be posted to, or says why it can't be and what
// to write instead.
func webhookURL(text string) (u *url.URL, why, remedy string) {
	const example = "for example https://ops.example.com/purge"
	if len(text) > maxURL {
		return nil, "is too long: " + strconv.Itoa(len(text)) + " bytes, " + strconv.Itoa(maxURL) + " fit", "write a shorter one"
	}
	if strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > 0x7e }) {
		return nil, "has a space or a character that URLs can't have", "write %20 for a space, and names as DNS does (xn--…)"
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, "can't be read as a URL", example
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, "is not one of http or https", "write it whole, " + example
	case u.User != nil:
		return nil, "holds a user or a password: whoever sees the URL would have it", "take it out of the URL; let the receiver check the signature made with secret_file"
	case u.Fragment != "" || strings.Contains(text, "#"):
		return nil, "has a fragment (#…), which is never sent", "leave out # and what follows"
	}
	why, remedy = badHost(u)
	return u, why, remedy
}

// badHost says what keeps a URL's host from being asked, "" when nothing does.
func badHost(u *url.URL) (why, remedy string) {
	host := u.Hostname()
	if host == "" {
		return "has no host", "write it whole, for example https://ops.example.com/purge"
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return "has a bad port", "from 1 to 65535, for example https://ops.example.com:8443/purge"
		}
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if why := unusable(a.WithZone("")); why != "" {
			return "has an address that " + why, "write the address that is listened at"
		}
		return "", ""
	}
	if why := badLabels(strings.ToLower(strings.TrimSuffix(host, "."))); why != "" {
		return "has a bad host, which " + why, "for example https://ops.example.com/purge"
	}
	return "", ""
}

// secretQueries are names under which secrets are written into URLs.
var secretQueries = []string{"token", "access_token", "auth", "key", "api_key", "apikey", "secret", "password", "sig", "signature"}

// reached warns of webhooks that others can listen to, or that a crisis breaks.
func (b *builder) reached() {
	for _, h := range b.hooks {
		host := strings.TrimSuffix(strings.ToLower(h.url.Hostname()), ".")
		if h.url.Scheme == "http" && !loopback(host) {
			b.warn(h.at, "%s goes over plain http: whoever is on the way can read it", h.where).WithHint("use https")
		}
		for key := range h.url.Query() {
			if slices.Contains(secretQueries, strings.ToLower(key)) {
				b.warn(h.at, "%s seems to hold a secret in its URL: whoever reads this file has it", h.where).
					WithHint("let the receiver check the signature made with secret_file")
				break
			}
		}
		for _, s := range b.c.Sites {
			if slices.Contains(s.Names, host) {
				b.warn(h.at, "%s is at %s, a name of site %s: in a crisis it leads to the status page", h.where, host, s.ID).
					WithHint("use a name that does not follow a site")
			}
		}
	}
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback() || host == "localhost" || strings.HasSuffix(host, ".localhost")
}
