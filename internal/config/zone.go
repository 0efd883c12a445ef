package config

import (
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

var (
	ttlSpan     = span{time.Minute, time.Second, 24 * time.Hour}
	minimumSpan = span{time.Minute, time.Second, 24 * time.Hour}
)

func (b *builder) zones(top section) {
	seen := map[string]position{}
	for _, e := range b.named(top.n.get("zones"), "zones", "zones: {shop.example.com: {ns: [ns1.example.net.], follow: {\"@\": shop}}}") {
		apex := b.apex(e)
		s, ok := b.section(e.value, "zone "+clip(e.key), zoneKeys)
		if !ok || apex == "" {
			continue
		}
		if first, twice := seen[apex]; twice {
			b.invalid(e.at, "zone %s is written twice, first in line %d", apex, first.line).
				WithHint("put all its records and names into one of them; case and the final dot make no difference")
			continue
		}
		seen[apex] = e.at
		if peers := b.peers(s, "secondaries"); len(peers) > 0 {
			b.c.Secondaries = append(b.c.Secondaries, snapshot.Exchange{Zone: apex, Peers: peers})
		}
		if b.incoming(apex, s) {
			continue
		}
		b.c.Zones = append(b.c.Zones, b.zone(apex, s))
		b.zoneKeys = append(b.zoneKeys, e.key)
	}
}

func (b *builder) apex(e entry) string {
	name, why, remedy := hostName(e.key)
	if why != "" {
		b.badName(e.at, "the zone's name", e.key, why, remedy)
		return ""
	}
	return name + "."
}

func (b *builder) zone(apex string, s section) zone.Source {
	src := zone.Source{
		Apex:    apex,
		File:    b.file,
		Line:    s.n.at.line,
		TTL:     s.seconds("ttl", ttlSpan),
		Minimum: s.seconds("minimum", minimumSpan),
		NS:      s.servers(),
		Contact: s.mailbox(),
		Follow:  b.follow(apex, s),
		DNSSEC:  s.truth("dnssec", false),
	}
	b.records(&src, s)
	if s.n.get("at_least") != nil {
		if b.c.AtLeast == nil {
			b.c.AtLeast = map[string]int{}
		}
		b.c.AtLeast[apex] = s.number("at_least", 40, 1, 10_000_000)
	}
	if len(src.NS) == 0 && !hasNS(src.Text) && s.n.get("ns") == nil {
		b.invalid(s.n.at, "%s has no ns: nobody could be asked for it", s.where).WithHint("add ns: [ns1.example.net., ns2.example.net.]")
	}
	return src
}

func (s section) servers() []string {
	var out []string
	nodes := s.list("ns", "[ns1.example.net.]")
	for _, n := range nodes {
		text, ok := s.text(n, s.of("ns"), "ns1.example.net.")
		if !ok {
			continue
		}
		name := s.absolute(n.at, s.of("ns"), text)
		if name == "" {
			continue
		}
		if slices.Contains(out, name) {
			s.invalid(n.at, "%s: %s is written twice", s.of("ns"), name).WithHint("remove one")
			continue
		}
		out = append(out, name)
	}
	if n := s.n.get("ns"); n != nil && len(nodes) == 0 && (n.shape == listShape || n.shape == emptyShape) {
		s.invalid(n.at, "%s is empty", s.of("ns")).WithHint("for example ns: [ns1.example.net., ns2.example.net.]")
	}
	return out
}

func (s section) mailbox() string {
	text := s.line("contact", "", "hostmaster@example.com", 253)
	if text == "" {
		return ""
	}
	name, why := mailbox(text)
	if why != "" {
		s.invalid(s.at("contact"), "%s: %q %s", s.of("contact"), clip(text), why).WithHint("for example contact: hostmaster@example.com")
	}
	return name
}

// follow reads which names' addresses follow which site. Whether the site exists
// is seen later.
func (b *builder) follow(apex string, s section) map[string]string {
	entries := b.named(s.n.get("follow"), s.of("follow"), `follow: {"@": shop, www: shop}`)
	out := map[string]string{}
	for _, e := range entries {
		site, ok := b.text(e.value, "follow "+clip(e.key)+" of "+s.where, e.key+": shop")
		owner := b.owner(apex, s, e)
		if !ok || owner == "" {
			continue
		}
		if _, twice := out[owner]; twice {
			b.invalid(e.at, "%s follows twice in %s", owner, s.where).WithHint("keep one of them")
			continue
		}
		out[owner] = site
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// owner makes a following name absolute.
func (b *builder) owner(apex string, s section, e entry) string {
	full, own := absoluteOwner(e.key, apex), strings.TrimSuffix(strings.ToLower(e.key), ".")
	if full != own+"." && (own+"." == apex || strings.HasSuffix(own+".", "."+apex)) {
		b.invalid(e.at, "follow of %s: %q without a final dot would stand below the zone itself", s.where, clip(e.key)).
			WithHint("write %q, or the part before the zone's name", clip(own)+".")
		return ""
	}
	if full == apex {
		return apex
	}
	name, why, remedy := hostName(full)
	switch {
	case why != "":
		b.badName(e.at, "follow of "+s.where, e.key, why, remedy)
		return ""
	case !strings.HasSuffix(full, "."+apex):
		b.invalid(e.at, "follow of %s: %s. is not in the zone", s.where, name).
			WithHint("write a name below %s, or move this line to its own zone", apex)
		return ""
	case drillLabel(name, apex):
		b.invalid(e.at, "follow of %s: %s. is kept for drills", s.where, name).WithHint("take another name")
		return ""
	}
	return name + "."
}

// absoluteOwner makes an owner name absolute: "@" is the apex, and a name without
// a final dot is below it.
func absoluteOwner(key, apex string) string {
	key = strings.ToLower(key)
	switch {
	case key == "@":
		return apex
	case strings.HasSuffix(key, "."):
		return key
	}
	return key + "." + apex
}

// records fills in the zone's text, from the file itself or from one beside it.
func (b *builder) records(src *zone.Source, s section) {
	text, file := s.n.get("records"), s.n.get("file")
	switch {
	case text != nil && file != nil:
		b.invalid(file.at, "%s has both records and file", s.where).WithHint("keep one of them")
	case file != nil:
		b.recordsFile(src, s, file)
	case text == nil || text.shape == emptyShape:
	case text.shape != textShape:
		b.invalid(text.at, "%s: expected text, found %s", s.of("records"), text.found()).
			WithHint("write records: | and below it one record a line, for example @ IN MX 10 mail.example.com.")
	case text.folded:
		b.invalid(text.at, "%s: the line ends are lost here", s.of("records")).WithHint("write records: | so that each record keeps its line")
	default:
		src.Text, src.Line = text.text, text.line
	}
}

func (b *builder) recordsFile(src *zone.Source, s section, n *node) {
	name, ok := b.text(n, s.of("file"), "file: shop.zone")
	if !ok {
		return
	}
	switch {
	case !filepath.IsLocal(name):
		b.invalid(n.at, "%s: %q is not inside the folder of the configuration file", s.of("file"), clip(name)).
			WithHint("put the zone file beside it, for example file: shop.zone")
		return
	case b.folder == nil:
		b.invalid(n.at, "%s: there is no folder here to read it from", s.of("file")).WithHint("write the text under records: |")
		return
	}
	data, err := readInside(b.folder, filepath.ToSlash(name))
	if err != nil {
		b.invalid(n.at, "%s: can't read %q", s.of("file"), clip(name)).Because(err).
			WithHint("the path begins at the folder of the configuration file and stays inside it")
		return
	}
	if !utf8.Valid(data) {
		b.invalid(n.at, "%s: %q is not UTF-8 text", s.of("file"), clip(name)).WithHint("save the file as UTF-8")
		return
	}
	src.File, src.Line = filepath.Join(filepath.Dir(b.file), name), 1
	src.Text = strings.ReplaceAll(strings.TrimPrefix(string(data), "\ufeff"), "\r\n", "\n")
	beside, err := fs.Sub(b.folder, path.Dir(filepath.ToSlash(name)))
	if err == nil {
		src.Includes, err = zone.Includes(beside, src.Text, src.File)
	}
	if err != nil {
		b.invalid(n.at, "%s: %q includes what can't be read", s.of("file"), clip(name)).Because(err).WithHint("put the included files into the zone file's folder")
	}
}

// hasNS says whether zone text seems to bring its own NS records. The text is
// parsed elsewhere; here it decides only whether a missing `ns` is an error.
func hasNS(text string) bool {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, ";")
		for _, field := range strings.Fields(line) {
			if strings.EqualFold(field, "NS") {
				return true
			}
		}
	}
	return false
}

// mentioned gives those of some names (absolute) that zone text has records of,
// written at a line's start, relative to the apex or in full.
func mentioned(text, apex string, names map[string]string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line[0] == ' ' || line[0] == '\t' {
			continue
		}
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		owner := absoluteOwner(f[0], apex)
		if _, ok := names[owner]; ok && !slices.Contains(out, owner) {
			out = append(out, owner)
		}
	}
	return out
}
