package config

import (
	"slices"
	"strconv"
	"time"

	"lifeboat/internal/probe"
	"lifeboat/internal/snapshot"
)

// The waits of a site (rule U12: these and no others), and what they may be.
var (
	everySpan     = span{5 * time.Second, 100 * time.Millisecond, time.Hour}
	timeoutSpan   = span{2 * time.Second, 50 * time.Millisecond, time.Minute}
	apartSpan     = span{time.Minute, 100 * time.Millisecond, time.Hour}
	takeBackSpan  = span{15 * time.Minute, time.Second, 24 * time.Hour}
	watchSpan     = span{time.Hour, time.Second, 30 * 24 * time.Hour}
	armedForSpan  = span{720 * time.Hour, time.Second, 8760 * time.Hour}
	settleSpan    = span{30 * time.Second, 0, time.Hour}
	autoGapSpan   = span{time.Hour, time.Second, 30 * 24 * time.Hour}
	silenceSpan   = span{10 * time.Second, time.Second, time.Hour}
	updateSpan    = span{20 * time.Minute, time.Second, 24 * time.Hour}
	stuckSpan     = span{30 * time.Minute, time.Second, 24 * time.Hour}
	holdSpan      = span{5 * time.Minute, 100 * time.Millisecond, 24 * time.Hour}
	lookBackSpan  = span{24 * time.Hour, time.Minute, 720 * time.Hour}
	lookAgainSpan = span{15 * time.Second, 15 * time.Second, time.Minute}

	approvalSpan = span{10 * time.Minute, 100 * time.Millisecond, 24 * time.Hour}
	pauseSpan    = span{time.Minute, 100 * time.Millisecond, time.Hour}
	betweenSpan  = span{20 * time.Minute, 100 * time.Millisecond, 24 * time.Hour}
	restSpan     = span{10 * time.Minute, 100 * time.Millisecond, 24 * time.Hour}
)

// maxStages is how many stages a return may have.
const maxStages = 20

// StandbyCheckName is the name of the check that StandbyCheck makes; no check in
// a file may take it.
const StandbyCheckName = "standby"

func (b *builder) sites(top section) {
	entries := b.named(top.n.get("sites"), "sites", "sites: {shop: {names: [shop.example.com], …}}")
	if len(entries) == 0 && len(b.problems) == 0 {
		b.invalid(top.at("sites"), "there are no sites").WithHint("add a site with names, origins and standby; lifeboat config show has a sample")
	}
	for _, e := range entries {
		b.id(e.at, "site", e.key)
		s, ok := b.section(e.value, "site "+clip(e.key), siteKeys)
		if !ok {
			b.c.Sites = append(b.c.Sites, Site{ID: e.key})
			continue
		}
		b.c.Sites = append(b.c.Sites, b.site(e.key, s))
	}
}

func (b *builder) site(id string, s section) Site {
	site := Site{
		ID:       id,
		Title:    s.line("title", id, "Example Shop", 120),
		Scheme:   s.choice("scheme", "https", "https", "http"),
		Contact:  s.line("contact", "", "Call us on +1 555 0100", 300),
		Failover: s.choice("failover", "propose", "propose", "auto", "off"),
		TakeBack: s.wait("take_back", takeBackSpan),
		Watch:    s.wait("watch", watchSpan),
		ArmedFor: s.wait("armed_for", armedForSpan),
		Settle:   s.wait("settle", settleSpan),
		AutoGap:  s.wait("auto_gap", autoGapSpan),
		Silence:  s.wait("silence", silenceSpan),

		UpdateEvery: s.wait("update_every", updateSpan),
		Stuck:       s.wait("stuck", stuckSpan),
		LookBack:    s.wait("look_back", lookBackSpan),
		LookAgain:   s.wait("look_again", lookAgainSpan),
	}
	site.Port = s.number("port", schemePort(site.Scheme), 1, 65535)
	if n := s.n.get("status_page"); n != nil {
		site.StatusName = b.host(n, s.of("status_page"))
	}
	site.Names = s.names()
	site.Origins = b.origins(s)
	site.Home = s.home(site.Origins)
	site.Standby, site.Answers = b.standby(s)
	site.Trust = b.authorities(s)
	if site.Scheme == "http" && site.Trust != nil {
		b.warn(s.at("ca_file"), "%s has a ca_file, and is asked over plain http", s.where).WithHint("write scheme: https, or remove it")
	}
	site.Checks = b.checks(s)
	site.Sanity = s.sanity()
	site.GoBack = s.goBack()
	site.Capture = s.capture(site)
	site.Fixes = s.fixes()
	return site
}

func schemePort(scheme string) int {
	if scheme == "http" {
		return 80
	}
	return 443
}

// names reads the host names that visitors type.
func (s section) names() []string {
	const sample = "names: [shop.example.com, www.shop.example.com]"
	if !s.needs("names", ": nobody could visit it", sample) {
		return nil
	}
	nodes := s.list("names", "[shop.example.com]")
	if shape := s.n.get("names").shape; len(nodes) == 0 && (shape == listShape || shape == emptyShape) {
		s.invalid(s.at("names"), "%s is empty", s.of("names")).WithHint("for example %s", sample)
	}
	var out []string
	for _, n := range nodes {
		name := s.host(n, s.of("names"))
		if name == "" {
			continue
		}
		if slices.Contains(out, name) {
			s.invalid(n.at, "%s: %s is written twice", s.of("names"), name).WithHint("remove one")
			continue
		}
		out = append(out, name)
	}
	return out
}

// maxOrigins is how many places a site may run at.
const maxOrigins = 50

func (b *builder) origins(s section) []Origin {
	const sample = "origins: {main: {address: 203.0.113.10}}"
	if !s.needs("origins", ": there is nowhere that it runs", sample) {
		return nil
	}
	entries := b.named(s.n.get("origins"), s.of("origins"), sample)
	if shape := s.n.get("origins").shape; len(entries) == 0 && (shape == mapShape || shape == emptyShape) {
		b.invalid(s.at("origins"), "%s is empty", s.of("origins")).WithHint("for example %s", sample)
	}
	if len(entries) > maxOrigins {
		b.invalid(s.at("origins"), "%s: %d are too many, %d fit", s.of("origins"), len(entries), maxOrigins).WithHint("make several sites of it")
		return nil
	}
	var out []Origin
	for _, e := range entries {
		b.id(e.at, "origin of "+s.where, e.key)
		if e.key == snapshot.Standby {
			b.invalid(e.at, "an origin of %s is called standby", s.where).
				WithHint("give it another name, for example backup; standby is where the status page is")
		}
		origin := Origin{Name: e.key}
		if o, ok := b.section(e.value, "origin "+clip(e.key)+" of "+s.where, originKeys); ok {
			origin.Addresses = o.addresses()
			if n := o.n.get("alias"); n != nil {
				if text, ok := o.text(n, o.of("alias"), "shop.cdn.example.net."); ok {
					origin.Alias = o.absolute(n.at, o.of("alias"), text)
				}
			}
		}
		out = append(out, origin)
	}
	return out
}

// home is the origin that visitors are sent to in calm.
func (s section) home(origins []Origin) string {
	first := ""
	names := make([]string, 0, len(origins))
	for _, o := range origins {
		names = append(names, o.Name)
	}
	if len(names) > 0 {
		first = names[0]
	}
	n := s.n.get("home")
	if n == nil {
		return first
	}
	home, ok := s.text(n, s.of("home"), "home: main")
	if ok && !slices.Contains(names, home) && len(names) > 0 {
		s.invalid(n.at, "%s names %q, which is no origin of it", s.of("home"), clip(home)).WithHint("write %s", orList(names))
	}
	return home
}

func (s section) sanity() Sanity {
	out := Sanity{Passes: 5, Apart: apartSpan.def}
	n := s.n.get("sanity")
	if n == nil {
		return out
	}
	if p, ok := s.section(n, "sanity of "+s.where, sanityKeys); ok {
		out.Passes = p.number("passes", out.Passes, 1, 1000)
		out.Apart = p.wait("apart", apartSpan)
	}
	return out
}

// goBack reads the stages of the return: rising shares, of which the last may be spelled
// out as 100.
func (s section) goBack() GoBack {
	out := GoBack{Hold: holdSpan.def}
	n := s.n.get("go_back")
	if n == nil {
		return out
	}
	p, ok := s.section(n, "go_back of "+s.where, goBackKeys)
	if !ok {
		return out
	}
	out.Hold = p.wait("hold", holdSpan)
	last := 0
	for _, item := range p.few("stages", "[10, 50, 100]", maxStages) {
		share, err := strconv.Atoi(item.text)
		switch {
		case item.shape != numberShape || err != nil:
			s.invalid(item.at, "%s: expected a share in per cent, found %s", p.of("stages"), item.found()).WithHint("for example stages: [10, 50, 100]")
			return out
		case share <= last || share > 100:
			s.invalid(item.at, "%s: %d does not follow %d", p.of("stages"), share, last).WithHint("from 1 to 100, each more than the one before, for example stages: [10, 50, 100]")
			return out
		}
		if last = share; share < 100 {
			out.Stages = append(out.Stages, share)
		}
	}
	return out
}

func (s section) fixes() Fixes {
	p := section{s.report, "fixes of " + s.where, &node{at: s.n.at, shape: emptyShape}}
	if n := s.n.get("fixes"); n != nil {
		if given, ok := s.section(n, p.where, fixesKeys); ok {
			p = given
		}
	}
	return Fixes{
		Approval: p.wait("approval", approvalSpan),
		Pause:    p.wait("pause", pauseSpan),
		Apart:    p.wait("apart", betweenSpan),
		Rest:     p.wait("rest", restSpan),
		Passes:   p.number("passes", 3, 1, 1000),
	}
}

func (b *builder) checks(s section) []probe.Check {
	var out []probe.Check
	n := s.n.get("checks")
	for _, e := range b.named(n, s.of("checks"), "checks: {home: {http: {path: /}, every: 5s}}") {
		b.id(e.at, "check of "+s.where, e.key)
		if e.key == StandbyCheckName {
			b.invalid(e.at, "a check of %s is called standby", s.where).
				WithHint("give it another name; the standby is checked without being asked")
		}
		if c, ok := b.section(e.value, "check "+clip(e.key)+" of "+s.where, checkKeys); ok {
			out = append(out, c.check(e.key))
		}
	}
	return out
}

// check reads one check and fills in its defaults.
func (s section) check(name string) probe.Check {
	c := probe.Check{
		Name:      name,
		Every:     s.wait("every", everySpan),
		Timeout:   s.wait("timeout", timeoutSpan),
		DownAfter: s.number("down_after", 3, 1, 100),
		UpAfter:   s.number("up_after", 5, 1, 100),
		Gate:      s.truth("gate", true),
	}
	h, t := s.n.get("http"), s.n.get("tcp")
	switch {
	case h != nil && t != nil:
		s.invalid(s.at("tcp"), "%s has both http and tcp", s.where).WithHint("make two checks of it")
	case h != nil:
		c.Kind = probe.KindHTTP
		if p, ok := s.section(h, "http of "+s.where, httpKeys); ok {
			p.http(&c)
		}
	case t != nil:
		c.Kind = probe.KindTCP
		// Without a port it is the site's, which the target brings.
		if p, ok := s.section(t, "tcp of "+s.where, tcpKeys); ok && p.n.get("port") != nil {
			c.Port = p.number("port", 5432, 1, 65535)
		}
	case !s.refused(checkKeys):
		s.invalid(s.n.at, "%s asks nothing", s.where).WithHint("add http: {path: /} or tcp: {port: 5432}")
	}
	return c
}

func (s section) http(c *probe.Check) {
	c.Path = s.path("/", "/cart")
	c.Method = s.choice("method", "GET", "GET", "HEAD", "OPTIONS")
	c.Status = s.number("status", 200, 100, 599)
	c.Contains = s.line("contains", "", "Add to cart", 1024)
	if c.Contains != "" && c.Method == "HEAD" {
		s.invalid(s.at("contains"), "%s: an answer to HEAD has no text to look in", s.of("contains")).WithHint("use method: GET")
	}
}

// maxPath is how long a path may be, in characters.
const maxPath = 2048

// path reads a path to ask a site for.
func (s section) path(def, example string) string {
	path := s.line("path", def, def, maxPath)
	if path != "" && !validPath(path) {
		s.notPath(s.at("path"), "path", path, "path: "+example)
	}
	return path
}

func (s section) notPath(at position, key, path, example string) {
	s.invalid(at, "%s: %q is not a path", s.of(key), clip(path)).
		WithHint("begin with / and leave out host and spaces, for example %s", example)
}

func validPath(path string) bool {
	for _, c := range path {
		if c <= ' ' || c > 0x7e || c == '#' {
			return false
		}
	}
	return path[0] == '/'
}
