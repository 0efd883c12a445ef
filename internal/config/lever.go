package config

import (
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/feature"
	"lifeboat/internal/lever"
	"lifeboat/internal/snapshot"
)

// The kinds of levers that lifeboat's own parts know, too.
const (
	kindZone    = "zone"
	kindFeature = "feature"
)

// leverKind is how the section of one kind of lever is read.
type leverKind struct {
	name string
	read func(b *builder, card *lever.Card, s section, n *node) bool
}

// leverTable is all kinds of levers in this version.
var leverTable = []leverKind{
	{kindZone, (*builder).zoneLever},
	{kindFeature, (*builder).featureLever},
	{kindFlagd, (*builder).flagFileLever},
	{kindGOFF, (*builder).flagFileLever},
	{kindEnvFile, (*builder).envFileLever},
	{kindUnleash, (*builder).unleashLever},
	{kindFlipt, (*builder).fliptLever},
	{kindLaunchDarkly, (*builder).launchDarklyLever},
	{kindFiles, (*builder).filesLever},
	{kindObjects, (*builder).objectsLever},
}

// leverKindNames are the names of the kinds, in the table's order.
func leverKindNames() []string {
	out := make([]string, len(leverTable))
	for i, k := range leverTable {
		out[i] = k.name
	}
	return out
}

func looksTrueOrFalse(text string) bool {
	return slices.Contains([]string{"true", "false", "yes", "no", "on", "off", "y", "n"}, strings.ToLower(text))
}

func (b *builder) levers(top section) {
	for _, e := range b.named(top.n.get("levers"), "levers", "levers: {to-standby: {title: Show the status page, zone: {site: shop, to: standby}}}") {
		b.id(e.at, "lever", e.key)
		s, ok := b.section(e.value, "lever "+clip(e.key), leverKeys)
		if !ok {
			continue
		}
		s.needs("title", ": nobody would know what it does", "title: Show visitors the status page")
		card := lever.Card{Name: e.key, Title: s.line("title", "", "Show visitors the status page", 120), Says: s.line("says", "", "Customers can look but not buy.", 300)}
		if b.lever(&card, s) {
			b.c.Levers = append(b.c.Levers, card)
		}
	}
}

// lever reads the one kind that a lever is of.
func (b *builder) lever(card *lever.Card, s section) bool {
	var found []leverKind
	var names []string
	for _, k := range leverTable {
		if s.n.get(k.name) != nil {
			found, names = append(found, k), append(names, k.name)
		}
	}
	switch {
	case len(found) > 1:
		b.invalid(s.at(names[1]), "%s is of two kinds, %s and %s", s.where, names[0], names[1]).WithHint("make two levers of it")
	case len(found) == 1:
		card.Kind = names[0]
		return found[0].read(b, card, s, s.n.get(names[0]))
	case !s.refused(leverKeys):
		b.invalid(s.n.at, "%s moves nothing", s.where).WithHint("add zone: {site: shop, to: standby} or feature: {key: checkout, value: false}; kinds are %s", orList(leverKindNames()))
	}
	return false
}

func (b *builder) zoneLever(card *lever.Card, s section, n *node) bool {
	p, ok := b.section(n, "zone of "+s.where, zoneLeverKeys)
	if !ok {
		return false
	}
	if s.n.get("site") != nil {
		b.invalid(s.at("site"), "%s names its site in the wrong place", s.where).WithHint("write it inside: zone: {site: shop, to: standby}")
	}
	card.Site, ok = p.known("site", "zone: {site: shop, to: standby}")
	if !ok {
		return false
	}
	site := b.siteOf(p.at("site"), p.of("site"), card.Site)
	to, ok := p.known("to", "zone: {site: shop, to: standby}")
	if !ok || site == nil {
		return false
	}
	b.safer(p, *site, to)
	card.Config = b.raw(ZoneLever{Site: card.Site, To: to})
	return true
}

// safer checks that a position exists and is not the one that one comes from.
func (b *builder) safer(p section, site Site, to string) {
	safe := []string{snapshot.Standby}
	for _, o := range site.Origins {
		if o.Name != site.Home {
			safe = append(safe, o.Name)
		}
	}
	switch {
	case to == site.Home && to != "":
		b.invalid(p.at("to"), "%s is %s, the home of %s: a lever moves towards safety, and home is where one comes from", p.of("to"), clip(to), site.ID).
			WithHint("write %s; visitors come home by going back", orList(safe))
	case !slices.Contains(safe, to) && len(site.Origins) > 0:
		b.invalid(p.at("to"), "%s names %q, which is no position of site %s", p.of("to"), clip(to), site.ID).WithHint("write %s", orList(safe))
	}
}

// known reads a name that something else in the file must have.
func (s section) known(key, sample string) (string, bool) {
	if !s.needs(key, "", sample) {
		return "", false
	}
	return s.text(s.n.get(key), s.of(key), sample)
}

// siteOf finds a site, and says which there are when it is not there.
func (b *builder) siteOf(at position, what, id string) *Site {
	i := slices.IndexFunc(b.c.Sites, func(s Site) bool { return s.ID == id })
	if i >= 0 {
		return &b.c.Sites[i]
	}
	ids := make([]string, 0, len(b.c.Sites))
	for _, s := range b.c.Sites {
		ids = append(ids, s.ID)
	}
	b.missing(at, what, "site", id, ids)
	return nil
}

// missing notes a name that nothing in the file has.
func (b *builder) missing(at position, what, kind, id string, ids []string) {
	problem := b.invalid(at, "%s names %s %s, which is not in this file", what, kind, strconv.Quote(clip(id)))
	switch near := nearest(id, ids); {
	case near != "":
		problem.WithHint("did you mean %q?", near)
	case len(ids) == 0:
		problem.WithHint("add it under %ss, or remove this", kind)
	default:
		problem.WithHint("there is %s", orList(ids[:min(len(ids), 10)]))
	}
}

func (b *builder) featureLever(card *lever.Card, s section, n *node) bool {
	p, ok := b.section(n, "feature of "+s.where, featureLeverKeys)
	if !ok {
		return false
	}
	card.Site = b.ownSite(s)
	key, ok := p.known("key", "feature: {key: checkout, value: false}")
	if !ok {
		return false
	}
	i := slices.IndexFunc(b.c.Features, func(f feature.Flag) bool { return f.Key == key })
	if i < 0 {
		keys := make([]string, 0, len(b.c.Features))
		for _, f := range b.c.Features {
			keys = append(keys, f.Key)
		}
		b.missing(p.at("key"), p.of("key"), "feature", key, keys)
		return false
	}
	value, ok := p.value("value", ": what the feature becomes")
	if !ok {
		return false
	}
	calm := b.c.Features[i]
	switch err := calm.CheckValue(value); {
	case calm.Value == nil: // told already
	case err != nil:
		b.told(p.at("value"), p.of("value"), err)
	case feature.Same(calm.Value, value):
		b.invalid(p.at("value"), "%s is %s, as the feature is in calm: pulling the lever would change nothing", p.of("value"), clip(string(value))).
			WithHint("write value: %s", clip(string(calm.Off)))
	}
	card.Config = b.raw(FeatureLever{Key: key, Value: value})
	return true
}

// ownSite finds the site that a feature lever or an action belongs to: the only
// one unless said.
func (b *builder) ownSite(s section) string {
	switch n := s.n.get("site"); {
	case n != nil:
		id, ok := b.text(n, s.of("site"), "site: shop")
		if ok {
			b.siteOf(n.at, s.of("site"), id)
		}
		return id
	case len(b.c.Sites) == 1:
		return b.c.Sites[0].ID
	case len(b.c.Sites) > 1:
		b.invalid(s.n.at, "%s does not say which site it belongs to", s.where).WithHint("add site: %s beside its title", b.c.Sites[0].ID)
	}
	return ""
}
