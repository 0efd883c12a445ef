package config

import (
	"fmt"
	"net/url"
	"regexp"

	"lifeboat/internal/lever"
)

// The kinds of levers that ask another system's API.
const (
	kindUnleash      = "unleash"
	kindFlipt        = "flipt"
	kindLaunchDarkly = "launchdarkly"
)

// Remote is where an API is and who asks. The secret itself is never in the file.
type Remote struct {
	URL       string `json:"url,omitempty"`
	TokenFile string `json:"token_file,omitempty"` // relative paths resolved against the file's folder
	TokenEnv  string `json:"token_env,omitempty"`  // an environment variable of lifeboat's
}

// UnleashLever is the driver section of an unleash lever.
type UnleashLever struct {
	Remote
	Project     string `json:"project,omitempty"`
	Feature     string `json:"feature"`
	Environment string `json:"environment"`
	To          string `json:"to,omitempty"` // off or on
	Drill       string `json:"drill,omitempty"`
}

// FliptLever is the driver section of a flipt lever.
type FliptLever struct {
	Remote
	API         string `json:"api,omitempty"` // v2 or v1
	Environment string `json:"environment,omitempty"`
	Namespace   string `json:"namespace,omitempty"`
	Flag        string `json:"flag"`
	Variant     string `json:"variant,omitempty"`
	Drill       string `json:"drill,omitempty"`
}

// LaunchDarklyLever is the driver section of a launchdarkly lever.
type LaunchDarklyLever struct {
	Remote
	Project     string `json:"project"`
	Flag        string `json:"flag"`
	Environment string `json:"environment"`
	Variation   string `json:"variation,omitempty"`
	Drill       string `json:"drill,omitempty"`
}

// remoteLater are keys that would put a secret into the file, or a rule into a lever.
var remoteLater = map[string]string{
	"token": useTokenFile, "api_key": useTokenFile, "api_token": useTokenFile, "secret": useTokenFile, "password": useTokenFile, "headers": useTokenFile,
	"percent": holdsForAll, "key": "write flag, or feature at Unleash",
}

const useTokenFile = "write token_file: with the name of a file that holds it, or token_env:"

var unleashLeverKeys = keySet{known: []string{"url", "token_file", "token_env", "project", "feature", "environment", "to", "drill"}, later: remoteLater}
var fliptLeverKeys = keySet{known: []string{"url", "token_file", "token_env", "api", "environment", "namespace", "flag", "variant", "drill"}, later: remoteLater}
var launchDarklyLeverKeys = keySet{known: []string{"url", "token_file", "token_env", "project", "flag", "environment", "variation", "drill"}, later: remoteLater}

const (
	unleashSample      = `unleash: {url: "https://unleash.example.net", token_file: unleash.token, feature: checkout, environment: production}`
	fliptSample        = `flipt: {url: "https://flipt.example.net", token_file: flipt.token, flag: checkout}`
	launchDarklySample = "launchdarkly: {token_file: launchdarkly.token, project: shop, flag: checkout, environment: production}"
)

func (b *builder) unleashLever(card *lever.Card, s section, n *node) bool {
	p, ok := b.section(n, "unleash of "+s.where, unleashLeverKeys)
	if !ok {
		return false
	}
	card.Site = b.ownSite(s)
	l := UnleashLever{Remote: b.remote(p, "https://unleash.example.net", false), Project: p.line("project", "default", "default", 200), To: p.switched()}
	l.Feature, l.Environment = p.must("feature", unleashSample, &ok), p.must("environment", unleashSample, &ok)
	l.Drill = p.drillFlag("feature", "a feature")
	card.To, card.Config = fmt.Sprintf("%s %s in %s", l.Feature, l.To, l.Environment), b.raw(l)
	return ok && l.URL != ""
}

// switched reads off or on, which YAML may take for false and true.
func (s section) switched() string {
	if n := s.n.get("to"); n != nil && n.shape == boolShape {
		return map[string]string{"true": "on", "false": "off"}[n.text]
	}
	return s.choice("to", "off", "off", "on")
}

func (b *builder) fliptLever(card *lever.Card, s section, n *node) bool {
	p, ok := b.section(n, "flipt of "+s.where, fliptLeverKeys)
	if !ok {
		return false
	}
	card.Site = b.ownSite(s)
	l := FliptLever{
		Remote: b.remote(p, "https://flipt.example.net", false), API: p.choice("api", "v2", "v2", "v1"), Environment: p.line("environment", "default", "production", 200),
		Namespace: p.line("namespace", "default", "default", 200), Variant: p.line("variant", "", `"off"`, 200),
	}
	l.Flag = p.must("flag", fliptSample, &ok)
	l.Drill = p.drillFlag("flag", "a flag of the same namespace")
	if l.API == "v1" && (l.Variant != "" || p.n.get("environment") != nil) {
		b.invalid(p.n.at, "%s: the API of version 1 can set no variant for everybody and has no environments", p.where).WithHint("leave variant and environment out, or use Flipt 2")
	}
	value := l.Variant
	if value == "" {
		value = "false"
	}
	card.To, card.Config = fmt.Sprintf("%s of %s", value, l.Flag), b.raw(l)
	return ok && l.URL != ""
}

func (b *builder) launchDarklyLever(card *lever.Card, s section, n *node) bool {
	p, ok := b.section(n, "launchdarkly of "+s.where, launchDarklyLeverKeys)
	if !ok {
		return false
	}
	card.Site = b.ownSite(s)
	const home = "https://app.launchdarkly.com"
	l := LaunchDarklyLever{Remote: Remote{URL: home}, Variation: p.line("variation", "", "Closed", 200)}
	if p.n.get("url") != nil {
		l.Remote = b.remote(p, home, false)
	} else {
		b.tokens(p, &l.Remote, false)
	}
	l.Project, l.Flag, l.Environment = p.must("project", launchDarklySample, &ok), p.must("flag", launchDarklySample, &ok), p.must("environment", launchDarklySample, &ok)
	l.Drill = p.drillFlag("flag", "a flag of the same project")
	card.To, card.Config = fmt.Sprintf("%s off in %s", l.Flag, l.Environment), b.raw(l)
	return ok && l.URL != ""
}

// remote reads where an API is and where the token is kept; open says that it may be
// asked without one.
func (b *builder) remote(p section, sample string, open bool) Remote {
	r := Remote{URL: b.remoteURL(p, sample, open)}
	b.tokens(p, &r, open)
	return r
}

// remoteURL reads an address; its messages never repeat it.
func (b *builder) remoteURL(p section, sample string, open bool) string {
	if !p.needs("url", ": nobody would be asked", `url: "`+sample+`"`) {
		return ""
	}
	text, ok := b.text(p.n.get("url"), p.of("url"), `url: "`+sample+`"`)
	if !ok {
		return ""
	}
	u, why, _ := webhookURL(text)
	if why == "" && !open && u.RawQuery != "" {
		why = "has a query (?…): only the system's own address belongs here"
	}
	if why != "" {
		b.invalid(p.at("url"), "%s %s", p.of("url"), why).WithHint("for example %s", sample)
		return ""
	}
	b.hooks = append(b.hooks, hook{p.where, p.at("url"), u})
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawQuery: u.RawQuery}).String()
}

var tokenEnvPattern = regexp.MustCompile(`^[A-Z_][A-Z0-9_]{0,99}$`)

func (b *builder) tokens(p section, r *Remote, open bool) {
	r.TokenFile, r.TokenEnv = b.besideFile(p, "token_file", "flags.token"), p.line("token_env", "", "FLAGS_TOKEN", 100)
	switch {
	case r.TokenFile != "" && r.TokenEnv != "":
		b.invalid(p.at("token_env"), "%s has both token_file and token_env", p.where).WithHint("keep one of them")
	case r.TokenEnv != "" && !tokenEnvPattern.MatchString(r.TokenEnv): // may be the token itself: not repeated
		b.invalid(p.at("token_env"), "%s is no name of an environment variable", p.of("token_env")).WithHint("write its name, for example FLAGS_TOKEN, not the token")
	case !open && p.n.get("token_file") == nil && p.n.get("token_env") == nil:
		b.invalid(p.n.at, "%s does not say where its token is", p.where).WithHint("add token_file: flags.token, a file that lifeboat alone can read")
	}
}
