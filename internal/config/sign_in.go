package config

import (
	"slices"
	"strings"

	"lifeboat/internal/role"
)

// maxGroups is how many groups of a company's sign-in may have a role.
const maxGroups = 100

// signIn reads the company's own sign-in: an addition, never the only way.
func (b *builder) signIn(top section) {
	n := top.n.get("sign_in")
	if n == nil {
		return
	}
	s, ok := b.section(n, "sign_in", signInKeys)
	if !ok {
		return
	}
	const sample = "issuer: https://id.example.com"
	if !s.needs("issuer", ": nobody could be asked", sample) || !s.needs("client_id", ": the issuer would not know us", "client_id: lifeboat") ||
		!s.needs("secret_file", ": the issuer would not believe us", "secret_file: sign-in.secret") || !s.needs("groups", ": nobody could come in", "groups: {engineers: operator}") {
		return
	}
	issuer, ok := b.text(s.n.get("issuer"), s.of("issuer"), sample)
	if !ok {
		return
	}
	u, why, remedy := webhookURL(issuer)
	loopback := why == "" && (u.Hostname() == "localhost" || strings.HasPrefix(u.Hostname(), "127."))
	switch {
	case why == "" && u.Scheme != "https" && !loopback:
		why, remedy = "is not one of https", sample
	case why == "" && (u.RawQuery != "" || u.ForceQuery):
		why, remedy = "has a query", sample
	}
	if why != "" {
		b.invalid(s.at("issuer"), "%s %s", s.of("issuer"), why).WithHint("%s", strings.ReplaceAll(remedy, "https://ops.example.com/purge", "https://id.example.com"))
		return
	}
	if b.c.ConsoleURL == "" {
		b.invalid(n.at, "sign_in needs the console's address, which the issuer leads back to").WithHint(`add console: {url: "https://lifeboat.example.net"}`)
		return
	}
	b.c.SignIn = &SignIn{
		Name: s.line("name", "", "Example SSO", 40), Issuer: issuer, ClientID: s.line("client_id", "", "lifeboat", 200), SecretFile: b.secretFile(s),
		Claim: s.line("claim", "groups", "groups", 100), Groups: b.groups(s),
	}
	for _, n := range s.few("scopes", "[groups]", 10) {
		if scope, ok := b.text(n, s.of("scopes"), "scopes: [groups]"); ok {
			b.c.SignIn.Scopes = append(b.c.SignIn.Scopes, scope)
		}
	}
}

// groups reads which role each group has.
func (b *builder) groups(s section) map[string]role.Role {
	const sample = "groups: {engineers: operator}"
	out := map[string]role.Role{}
	var names []string
	for _, r := range role.Roles {
		names = append(names, string(r))
	}
	entries := b.atMost(maxGroups, s.n.get("groups"), s.of("groups"), sample)
	for _, e := range entries {
		text, ok := b.text(e.value, "group "+clip(e.key), sample)
		switch {
		case !ok:
		case !slices.Contains(names, text):
			problem := b.invalid(e.value.at, "group %s: expected %s, found %s", clip(e.key), orList(names), e.value.found())
			if near := nearest(text, names); near != "" {
				problem.WithHint("did you mean %q?", near)
			} else {
				problem.WithHint("for example %s", sample)
			}
		default:
			out[e.key] = role.Role(text)
		}
	}
	if len(entries) == 0 && s.n.get("groups").shape == mapShape {
		b.invalid(s.at("groups"), "%s is empty: nobody could come in", s.of("groups")).WithHint("for example %s", sample)
	}
	return out
}

// certificate reads the files of the console's own certificate.
func (b *builder) certificate(s section) {
	cert, key := b.besideFile(s, "certificate", "console.pem"), b.besideFile(s, "key", "console.key")
	switch {
	case cert == "" && key == "":
	case cert == "":
		b.invalid(s.at("key"), "%s is there, and certificate is not", s.of("key")).WithHint("add certificate: console.pem")
	case key == "":
		b.invalid(s.at("certificate"), "%s is there, and key is not", s.of("certificate")).WithHint("add key: console.key")
	default:
		b.c.ConsoleCert, b.c.ConsoleKey = cert, key
	}
}
