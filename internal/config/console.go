package config

import (
	"net/url"
	"slices"
	"strings"

	"lifeboat/internal/zone"
)

// console reads where people reach lifeboat's own pages.
func (b *builder) console(top section) {
	n := top.n.get("console")
	if n == nil {
		return
	}
	s, ok := b.section(n, "console", consoleKeys)
	const sample = `url: "https://lifeboat.example.net"`
	if !ok || !s.needs("url", ": nothing is said of it", sample) {
		return
	}
	at := s.at("url")
	text, ok := b.text(s.n.get("url"), s.of("url"), sample)
	if !ok {
		return
	}
	u, why, remedy := consoleURL(text)
	if why != "" {
		b.invalid(at, "%s %s", s.of("url"), why).WithHint("%s", remedy)
		return
	}
	b.c.ConsoleURL, b.consoleAt = u, at
	b.certificate(s)
}

// consoleURL reads scheme, host and port, or says what is wrong and what to write instead.
func consoleURL(text string) (plain, why, remedy string) {
	const example = "for example https://lifeboat.example.net"
	u, why, remedy := webhookURL(text)
	switch {
	case why != "":
		return "", why, strings.ReplaceAll(remedy, "ops.example.com/purge", "lifeboat.example.net")
	case u.Scheme != "https":
		return "", "is not one of https", "write it as people type it, " + example
	case u.Path != "" && u.Path != "/", u.RawQuery != "" || u.ForceQuery:
		return "", "has a path or a query: lifeboat's pages are at the top of a name", example
	}
	return "https://" + strings.ToLower(u.Host), "", ""
}

// consoleReached warns of a name that leads elsewhere when it is needed.
func (b *builder) consoleReached() {
	u, err := url.Parse(b.c.ConsoleURL)
	if err != nil || b.c.ConsoleURL == "" {
		return
	}
	for _, s := range b.c.Sites {
		if slices.Contains(s.Names, strings.TrimSuffix(u.Hostname(), ".")) {
			b.warn(b.consoleAt, "console is at %s, a name of site %s: in a crisis it leads to the status page", u.Hostname(), s.ID).
				WithHint("use a name that does not follow a site")
		}
	}
}

// AskedConsole is the console's own name where an authority is asked for its
// certificate: there is one, no files are named, and the name lies in a zone of ours,
// where it can be proved. Otherwise "".
func (c *Config) AskedConsole() string {
	u, err := url.Parse(c.ConsoleURL)
	if err != nil || c.ConsoleCert != "" || c.Certificates == nil || c.Certificates.Directory == "" {
		return ""
	}
	name := strings.TrimSuffix(u.Hostname(), ".")
	if name == "" || !slices.ContainsFunc(c.Zones, func(z zone.Source) bool { return below(z.Apex, name) }) {
		return ""
	}
	return name
}
