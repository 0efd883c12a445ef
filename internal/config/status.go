package config

import (
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/statuspage"
)

// Limits on what a status page has.
const (
	maxStatusHosts      = 5
	maxStatusGroups     = 50
	maxStatusComponents = 200
	maxStatusRules      = 20
	maxStatusTemplates  = 50
	maxMeasures         = 20
	maxStatusName       = 80
	maxStatusText       = 300
)

var (
	lastsSpan    = span{time.Hour, time.Minute, 7 * 24 * time.Hour}
	announceSpan = span{72 * time.Hour, 0, 60 * 24 * time.Hour}
)

// Status is what the file says of the status page. Without it each site is a component
// of a page of its own.
type Status struct {
	Page       board.Page // of all sites; without hosts there is none
	Groups     []board.Group
	Components []board.Definition // none: one for each site
	Rules      []board.Rule
	Templates  []board.Template

	Subscribers *Subscribers // nil: nobody can subscribe
}

var statusKeys = keySet{
	known: []string{"host", "hosts", "url", "name", "colour", "colour_at_night", "logo", "languages", "time_zone", "contact", "groups", "components", "templates", "maintenance", "private", "subscribers"},
	later: map[string]string{
		"color": "write colour", "css": "write colour and logo", "html": "write colour and logo", "title": "write name", "theme": "the page follows the reader's own, light or dark",
		"incidents": "write them with lifeboat status incident", "language": "write languages: [de]", "timezone": "write time_zone",
	},
}

var groupKeys = keySet{known: []string{"name", "says"}, later: map[string]string{"components": "write group: NAME at each component"}}

var componentKeys = keySet{
	known: []string{"name", "says", "group", "measured_by", "only_if_bad"},
	later: map[string]string{"site": "write measured_by: [SITE]", "checks": "write measured_by: [SITE/CHECK]", "state": "say it with lifeboat status override", "checked_by": "write measured_by"},
}

var templateKeys = keySet{known: []string{"title", "step", "text"}}

var ruleKeys = keySet{
	known: []string{"title", "text", "every", "lasts", "announce", "components"},
	later: map[string]string{"from": "plan work that happens once with lifeboat status maintenance plan", "duration": "write lasts"},
}

var privateKeys = keySet{
	known: []string{"password_hash", "sign_in"},
	later: map[string]string{"password": useHash, "users": "write sign_in: true: everybody who has an account reads it"},
}

const (
	useHash  = "write password_hash: what lifeboat status password prints"
	letIn    = useHash + ", or sign_in: true"
	atASite  = `add console: {url: "https://lifeboat.example.net"}`
	overHTTP = "leave out url, or write it with https"
)

// status reads how the status page looks and what it tells of.
func (b *builder) status(top section) {
	n := top.n.get("status")
	if n == nil {
		return
	}
	s, ok := b.section(n, "status", statusKeys)
	if !ok {
		return
	}
	st := &Status{}
	b.c.Status = st
	st.Page = b.statusPage(s)
	st.Groups = b.statusGroups(s)
	st.Components = b.statusComponents(s, st.Groups)
	st.Templates = b.statusTemplates(s)
	st.Rules = b.statusRules(s, st.Components)
	st.Subscribers = b.subscribers(s)
	st.Page.Subscribe = st.Subscribers.Ways()
	b.statusNames(s)
}

func (b *builder) statusPage(s section) board.Page {
	p := board.Page{
		ID: "main", Name: s.line("name", "", "Example Shop", maxStatusName), Contact: s.line("contact", "", "help@example.com", maxStatusText),
		Colour: s.colour("colour"), Night: s.colour("colour_at_night"), Languages: s.languages(), Zone: s.zone(), Private: b.private(s),
	}
	nodes := s.few("hosts", "[status.example.com]", maxStatusHosts)
	if n := s.n.get("host"); n != nil {
		nodes = append([]*node{n}, nodes...)
	}
	for _, n := range nodes {
		if name := b.host(n, "host of status"); name != "" && !slices.Contains(p.Hosts, name) {
			p.Hosts = append(p.Hosts, name)
		}
	}
	if p.Logo = b.logo(s); p.Logo != nil {
		p.LogoType, _ = statuspage.CheckLogo(p.Logo)
	}
	p.URL = s.pageURL(p.Hosts)
	if p.Private != nil && p.Private.SignIn && strings.HasPrefix(p.URL, "http:") && !loopbackURL(p.URL) {
		s.invalid(s.at("url"), "%s is not one of https: what people get by signing in would be read on the way", s.of("url")).WithHint(overHTTP)
	}
	return p
}

// pageURL is where people reach the page: https at its first name unless said.
func (s section) pageURL(hosts []string) string {
	n := s.n.get("url")
	if n == nil {
		if len(hosts) == 0 {
			return ""
		}
		return "https://" + hosts[0]
	}
	text, ok := s.text(n, s.of("url"), `url: "https://status.example.com"`)
	if !ok {
		return ""
	}
	u, why, remedy := webhookURL(text)
	switch {
	case why != "":
		s.invalid(n.at, "%s %s", s.of("url"), why).WithHint("%s", strings.ReplaceAll(remedy, "ops.example.com/purge", "status.example.com"))
		return ""
	case u.Path != "" && u.Path != "/", u.RawQuery != "":
		s.invalid(n.at, "%s has a path or a query: the page is at the top of a name", s.of("url")).WithHint("for example https://status.example.com")
		return ""
	}
	return u.Scheme + "://" + strings.ToLower(u.Host)
}

// loopbackURL says whether an address never leaves the machine.
func loopbackURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Hostname() == "localhost" || strings.HasPrefix(u.Hostname(), "127."))
}

// colour reads #rrggbb.
func (s section) colour(key string) string {
	text := s.line(key, "", `"#0a5260"`, 40)
	if text == "" {
		return ""
	}
	if len(text) != 7 || text[0] != '#' || strings.Trim(text[1:], "0123456789abcdefABCDEF") != "" {
		s.invalid(s.at(key), "%s: %q is no colour", s.of(key), clip(text)).WithHint(`write it as "#0a5260", in quotes`)
		return ""
	}
	return strings.ToLower(text)
}

// languages reads what the page is offered in.
func (s section) languages() []string {
	known := statuspage.Languages()
	var out []string
	for _, n := range s.few("languages", "[en, de]", board.MaxLanguages) {
		tag, ok := s.text(n, s.of("languages"), "languages: [en, de]")
		switch {
		case !ok:
		case !slices.Contains(known, tag):
			s.invalid(n.at, "%s: the page is not written in %q", s.of("languages"), clip(tag)).WithHint("there are %s; what you write yourself can be in any language", strings.Join(known, ", "))
		case slices.Contains(out, tag):
			s.invalid(n.at, "%s: %s is written twice", s.of("languages"), tag).WithHint("remove one")
		default:
			out = append(out, tag)
		}
	}
	if len(out) == 0 {
		return []string{"en"}
	}
	return out
}

func (s section) zone() string {
	name := s.line("time_zone", "Etc/UTC", "Europe/Berlin", 60)
	if _, err := time.LoadLocation(name); err != nil || name == "Local" {
		s.invalid(s.at("time_zone"), "%s: there is no time zone %q", s.of("time_zone"), clip(name)).WithHint("write a name such as Europe/Berlin or Etc/UTC")
		return "Etc/UTC"
	}
	return name
}

// logo reads the file that the page's head shows.
func (b *builder) logo(s section) []byte {
	name := s.line("logo", "", "logo.svg", maxFilePath)
	if name == "" {
		return nil
	}
	at := s.at("logo")
	switch {
	case !filepath.IsLocal(name):
		b.invalid(at, "%s: %q is not inside the folder of the configuration file", s.of("logo"), clip(name)).WithHint("put the logo beside it, for example logo: logo.svg")
		return nil
	case b.folder == nil:
		b.invalid(at, "%s: there is no folder here to read it from", s.of("logo")).WithHint("check the file where it lies")
		return nil
	}
	data, err := readInside(b.folder, filepath.ToSlash(name))
	if err != nil {
		b.invalid(at, "%s: can't read %q", s.of("logo"), clip(name)).Because(err).WithHint("the path begins at the folder of the configuration file and stays inside it")
		return nil
	}
	if _, err := statuspage.CheckLogo(data); err != nil {
		b.told(at, s.of("logo"), err)
		return nil
	}
	return data
}

// private reads who may read the page.
func (b *builder) private(s section) *board.Private {
	n := s.n.get("private")
	if n == nil {
		return nil
	}
	p, ok := b.section(n, "private of status", privateKeys)
	if !ok {
		return nil
	}
	out := &board.Private{Hash: p.line("password_hash", "", `"$argon2id$v=19$…"`, 256)}
	if out.Hash != "" && board.CheckHash(out.Hash) != nil {
		p.invalid(p.at("password_hash"), "%s is not the hash of a password", p.of("password_hash")).WithHint("write what lifeboat status password prints, in quotes")
	}
	out.SignIn = p.truth("sign_in", false)
	switch {
	case out.Hash == "" && !out.SignIn && !p.refused(privateKeys):
		p.invalid(n.at, "private of status lets nobody in").WithHint(letIn)
	case out.SignIn && b.c.ConsoleURL == "":
		p.invalid(p.at("sign_in"), "%s needs the console's address, where people sign in", p.of("sign_in")).WithHint(atASite)
	}
	return out
}

// words reads a text in one language or in several: text, or {en: text, de: text}.
func (s section) texts(key, sample string, most int, needed bool) board.Text {
	n := s.n.get(key)
	switch {
	case n == nil && needed:
		s.needs(key, "", key+": "+sample)
		return nil
	case n == nil:
		return nil
	case n.shape != mapShape:
		if text := s.passage(n, key, sample, most); text != "" {
			return board.Text{"": text}
		}
		return nil
	}
	out := board.Text{}
	if len(n.entries) > board.MaxLanguages {
		s.invalid(n.at, "%s: %d languages are too many, %d fit", s.of(key), len(n.entries), board.MaxLanguages).WithHint("keep those that your readers have")
		return nil
	}
	for _, e := range n.entries {
		if !board.Tag(e.key) {
			s.invalid(e.at, "%s: %q is no language", s.of(key), clip(e.key)).WithHint("write a tag such as de or pt-BR")
			continue
		}
		if text := s.passage(e.value, key, sample, most); text != "" {
			out[e.key] = text
		}
	}
	return out
}

// passage reads one text of several lines at the most.
func (s section) passage(n *node, key, sample string, most int) string {
	text, ok := s.text(n, s.of(key), key+": "+sample)
	if !ok {
		return ""
	}
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		s.invalid(n.at, "%s is empty", s.of(key)).WithHint("for example %s: %s", key, sample)
	case len([]rune(text)) > most:
		s.invalid(n.at, "%s is too long: %d characters, %d fit", s.of(key), len([]rune(text)), most).WithHint("say it shorter")
		return ""
	case hasControl(strings.ReplaceAll(text, "\n", " ")):
		s.invalid(n.at, "%s has a control character", s.of(key)).WithHint("remove it")
		return ""
	}
	return text
}

func (b *builder) statusGroups(s section) []board.Group {
	var out []board.Group
	for _, e := range b.atMost(maxStatusGroups, s.n.get("groups"), "groups of status", "groups: {shop: {name: Shop}}") {
		g, ok := b.section(e.value, "group "+clip(e.key), groupKeys)
		if !b.statusID(e.at, "group", e.key) || !ok {
			continue
		}
		out = append(out, board.Group{ID: e.key, Name: g.texts("name", "Shop", maxStatusName, true), Says: g.texts("says", "All that is sold", maxStatusText, false)})
	}
	return out
}

// statusID checks a name that readers of the page's data see: some take numbers for
// dates.
func (b *builder) statusID(at position, what, id string) bool {
	if !b.id(at, what, id) {
		return false
	}
	if id[0] >= 'a' && id[0] <= 'z' {
		return true
	}
	b.invalid(at, "%s %q begins with no letter: programs that read the page could take it for a date", what, clip(id)).WithHint("for example %s-%s", what, id)
	return false
}

func (b *builder) statusComponents(s section, groups []board.Group) []board.Definition {
	var out []board.Definition
	for _, e := range b.atMost(maxStatusComponents, s.n.get("components"), "components of status", "components: {web: {name: Website, measured_by: [shop]}}") {
		c, ok := b.section(e.value, "component "+clip(e.key), componentKeys)
		if !b.statusID(e.at, "component", e.key) || !ok {
			continue
		}
		d := board.Definition{
			ID: e.key, Name: c.texts("name", "Website", maxStatusName, true), Says: c.texts("says", "Pages and search", maxStatusText, false),
			Group: c.line("group", "", "shop", 40), OnlyIfBad: c.truth("only_if_bad", false), Measured: b.measured(c),
		}
		if d.Group != "" && !slices.ContainsFunc(groups, func(g board.Group) bool { return g.ID == d.Group }) {
			var ids []string
			for _, g := range groups {
				ids = append(ids, g.ID)
			}
			b.missing(c.at("group"), c.of("group"), "group", d.Group, ids)
		}
		out = append(out, d)
	}
	return out
}

// measured reads SITE and SITE/CHECK.
func (b *builder) measured(c section) []board.Measure {
	var out []board.Measure
	for _, n := range c.few("measured_by", "[shop, shop/home]", maxMeasures) {
		text, ok := c.text(n, c.of("measured_by"), "measured_by: [shop]")
		if !ok {
			continue
		}
		id, check, one := strings.Cut(text, "/")
		site := b.siteOf(n.at, c.of("measured_by"), id)
		if site == nil {
			continue
		}
		m := board.Measure{Site: id}
		if one {
			m.Checks = []string{check}
			var names []string
			for _, x := range site.Checks {
				names = append(names, x.Name)
			}
			if !slices.Contains(names, check) {
				b.missing(n.at, c.of("measured_by"), "check", check, names)
				continue
			}
		}
		if i := slices.IndexFunc(out, func(x board.Measure) bool { return x.Site == id }); i >= 0 && one && len(out[i].Checks) > 0 {
			out[i].Checks = append(out[i].Checks, check)
			continue
		} else if i >= 0 {
			b.invalid(n.at, "%s: %s is measured twice", c.of("measured_by"), clip(text)).WithHint("write either %s or some of its checks", id)
			continue
		}
		out = append(out, m)
	}
	return out
}

func (b *builder) statusTemplates(s section) []board.Template {
	var out []board.Template
	for _, e := range b.atMost(maxStatusTemplates, s.n.get("templates"), "templates of status", "templates: {looking: {text: We are looking into it.}}") {
		t, ok := b.section(e.value, "template "+clip(e.key), templateKeys)
		if !b.id(e.at, "template", e.key) || !ok {
			continue
		}
		var steps []string
		for _, x := range board.IncidentSteps() {
			steps = append(steps, string(x))
		}
		out = append(out, board.Template{
			ID: e.key, Title: t.texts("title", "Payments fail", board.MaxTitle, false), Text: t.texts("text", "We are looking into it.", board.MaxMessage, true),
			Step: board.Step(t.choice("step", "", steps...)),
		})
	}
	return out
}

func (b *builder) statusRules(s section, components []board.Definition) []board.Rule {
	var out []board.Rule
	const sample = `maintenance: {backup: {title: Backup, every: sunday 02:00, lasts: 1h}}`
	for _, e := range b.atMost(maxStatusRules, s.n.get("maintenance"), "maintenance of status", sample) {
		m, ok := b.section(e.value, "maintenance "+clip(e.key), ruleKeys)
		if !b.statusID(e.at, "maintenance", e.key) || !ok {
			continue
		}
		r := board.Rule{
			ID: e.key, Title: m.texts("title", "Backup", board.MaxTitle, true), Text: m.texts("text", "Orders can't be placed for an hour.", board.MaxMessage, false),
			Lasts: m.wait("lasts", lastsSpan), Announce: m.wait("announce", announceSpan),
		}
		if m.needs("every", "", "every: sunday 02:00") {
			every, err := board.ParseEvery(m.line("every", "", "sunday 02:00", 60))
			if err != nil {
				b.told(m.at("every"), m.of("every"), err)
			}
			r.Every = every
		}
		var ids []string
		for _, c := range components {
			ids = append(ids, c.ID)
		}
		if len(components) == 0 {
			for _, site := range b.c.Sites {
				ids = append(ids, board.ID(site.ID))
			}
		}
		for _, n := range m.few("components", "[web]", maxStatusComponents) {
			id, ok := m.text(n, m.of("components"), "components: [web]")
			if ok && !slices.Contains(ids, id) {
				b.missing(n.at, m.of("components"), "component", id, ids)
			} else if ok {
				r.Components = append(r.Components, id)
			}
		}
		out = append(out, r)
	}
	return out
}

// statusNames checks that the page's names are nobody else's.
func (b *builder) statusNames(s section) {
	owner := map[string]string{}
	for _, site := range b.c.Sites {
		for _, name := range site.Names {
			owner[name] = site.ID
		}
		if site.StatusName != "" {
			owner[site.StatusName] = site.ID
		}
	}
	for _, name := range b.c.Status.Page.Hosts {
		if site := owner[name]; site != "" {
			at := s.at("hosts")
			if s.n.get("host") != nil {
				at = s.at("host")
			}
			b.invalid(at, "the status page is at %s, which belongs to site %s", name, site).WithHint("give it a name of its own, for example status.example.net, or leave out status_page of the site")
		}
	}
}

// Board is all that a status page is made of, with the defaults: a page of all sites
// where status names a host, one for each site that has a status_page, and a component
// for each site where none is written.
func (c *Config) Board() (pages []board.Page, groups []board.Group, components []board.Definition) {
	st := c.Status
	if st == nil {
		st = &Status{Page: board.Page{Languages: []string{"en"}, Zone: "Etc/UTC"}}
	}
	components = slices.Clone(st.Components)
	if len(components) == 0 {
		for _, s := range c.Sites {
			components = append(components, board.Site(s.ID, s.Title))
		}
	}
	if len(st.Page.Hosts) > 0 {
		p := st.Page
		if p.Name == "" && len(c.Sites) > 0 {
			p.Name = c.Sites[0].Title
		}
		if p.Contact == "" && len(c.Sites) > 0 {
			p.Contact = c.Sites[0].Contact
		}
		pages = append(pages, p)
	}
	for _, s := range c.Sites {
		if s.StatusName == "" {
			continue
		}
		p := st.Page
		p.ID, p.Hosts, p.Sites, p.URL = board.ID(s.ID), []string{s.StatusName}, []string{s.ID}, "https://"+s.StatusName
		p.Name = s.Title
		if s.Contact != "" {
			p.Contact = s.Contact
		}
		pages = append(pages, p)
	}
	return pages, slices.Clone(st.Groups), components
}
