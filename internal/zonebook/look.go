package zonebook

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lifeboat/internal/zone"
	"lifeboat/internal/zonediff"
)

// held is what a zone holds, by name and type: data as text.
type held map[string]map[string][]string

// index reads a checked zone; following names have an entry, too.
func index(z *zone.Zone) held {
	out := held{}
	for _, rec := range z.Records() {
		if rec.Line == 0 && rec.Type != 2 { // made; of these only the name servers are of use here
			continue
		}
		name := zone.Unpack(rec.Owner)
		if out[name] == nil {
			out[name] = map[string][]string{}
		}
		typ, data := rec.Value()
		out[name][typ] = append(out[name][typ], data)
	}
	for _, f := range z.Follow() {
		name := zone.Unpack(f.Owner)
		if out[name] == nil {
			out[name] = map[string][]string{}
		}
		out[name][followed] = nil
	}
	return out
}

// followed stands for the addresses that a following name has.
const followed = "(site)"

// addressed says whether visitors come by the name.
func addressed(types map[string][]string) bool {
	for _, t := range []string{"A", "AAAA", "CNAME", "HTTPS", followed} {
		if _, has := types[t]; has {
			return true
		}
	}
	return false
}

// look compares two versions of a zone with an eye to what is probably not meant.
type look struct {
	f       Facts
	was, is held
	d       zonediff.Diff
}

// permitted refuses what a draft must not touch even by side effect.
func (l look) permitted(c zonediff.Change) error {
	if c.Type == "SOA" || c.Type == "NS" && c.Name == l.f.Zone.Apex && c.Kind == zonediff.TTL {
		return nil // made by itself
	}
	return l.f.editable(c.Name, c.Type)
}

// words say what happens to one record set.
func (l look) words(c zonediff.Change) string {
	what := trimmed(c.Name) + " " + c.Type + ": "
	kept := ""
	if c.OldTTL > 0 {
		kept = " Resolvers may keep the old answer for " + zonediff.Lasting(c.OldTTL) + "."
	}
	ttl := ""
	if c.OldTTL != c.NewTTL && c.OldTTL > 0 && c.NewTTL > 0 {
		ttl = fmt.Sprintf(" From then on it is kept for %s instead of %s.", zonediff.Lasting(c.NewTTL), zonediff.Lasting(c.OldTTL))
	}
	switch c.Kind {
	case zonediff.Added:
		more := ""
		if l.was[c.Name] == nil {
			more = " The name is new: resolvers that asked for it lately may say for a while that there is none."
		}
		return what + "new, " + several(c.Type, c.New) + ", kept for " + zonediff.Lasting(c.NewTTL) + "." + more
	case zonediff.Removed:
		return what + several(c.Type, c.Old) + " goes away." + kept
	case zonediff.TTL:
		return what + fmt.Sprintf("kept for %s instead of %s.", zonediff.Lasting(c.NewTTL), zonediff.Lasting(c.OldTTL))
	}
	switch {
	case len(c.Old) == 0:
		return what + several(c.Type, c.New) + " is added to what is there." + kept + ttl
	case len(c.New) == 0:
		return what + several(c.Type, c.Old) + " goes away, the others stay." + kept + ttl
	}
	return what + several(c.Type, c.Old) + " → " + several(c.Type, c.New) + "." + kept + ttl
}

// several are the data of some records in words. Names stand without their final dot.
func several(typ string, data []string) string {
	var out []string
	for i, d := range data {
		if i == 6 {
			out = append(out, fmt.Sprintf("%d more", len(data)-6))
			break
		}
		out = append(out, short(Shown(typ, d), 200))
	}
	return strings.Join(out, ", ")
}

// Shown is a record's data as people read it: a name at its end without the final dot.
func Shown(typ, data string) string {
	switch typ {
	case "CNAME", "NS", "MX", "SRV", "PTR", "DNAME":
		if bare := strings.TrimSuffix(data, "."); bare != "" && !strings.HasSuffix(bare, " ") {
			return bare
		}
	}
	return data
}

// summary says in a sentence what would change.
func (l look) summary() string {
	var add, gone, other int
	for _, c := range l.d.Changes {
		switch c.Kind {
		case zonediff.Added:
			add++
		case zonediff.Removed:
			gone++
		default:
			other++
		}
	}
	if len(l.d.Changes) == 0 {
		return "Nothing would change."
	}
	if len(l.d.Changes) == 1 {
		c := l.d.Changes[0]
		return trimmed(c.Name) + " " + c.Type + " " + map[zonediff.Kind]string{zonediff.Added: "is new", zonediff.Removed: "is removed", zonediff.Data: "is changed", zonediff.TTL: "is kept for another time"}[c.Kind] + "."
	}
	var parts []string
	for _, p := range []struct {
		n    int
		word string
	}{{other, "changed"}, {add, "new"}, {gone, "removed"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.word))
		}
	}
	return fmt.Sprintf("%d record sets: %s.", len(l.d.Changes), strings.Join(parts, ", "))
}

// asks are what has to be accepted: names that are answered now, and would not be.
func (l look) asks() (out []string) {
	for _, name := range slices.SortedFunc(maps.Keys(l.was), byName) {
		now := l.is[name]
		switch {
		case now == nil && isWildcard(name):
			out = append(out, fmt.Sprintf("%s goes away: all names below %s that have no records of their own are answered with “there is no such name”.", trimmed(name), trimmed(name[2:])))
		case now == nil:
			if w := l.wildcard(name); w != "" {
				out = append(out, fmt.Sprintf("%s has no records of its own any more: it is answered with those of %s.", trimmed(name), trimmed(w)))
				continue
			}
			out = append(out, fmt.Sprintf("%s has no records any more: whoever asks for it is told that there is no such name.", trimmed(name)))
		case addressed(l.was[name]) && !addressed(now):
			out = append(out, fmt.Sprintf("%s has no address any more: nobody can reach it by that name.", trimmed(name)))
		}
		if len(out) == 50 {
			return append(out, "And there are more names of which this is true.")
		}
	}
	return out
}

func isWildcard(name string) bool { return strings.HasPrefix(name, "*.") }

// wildcard is the one that answers for a name without records; "" where none does.
func (l look) wildcard(name string) string {
	for {
		_, up, more := strings.Cut(name, ".")
		if !more || up == "" || len(up) < len(l.f.Zone.Apex) {
			return ""
		}
		if _, has := l.is["*."+up]; has {
			return "*." + up
		}
		if _, exists := l.is[up]; exists {
			return "" // a name between hides it (RFC 4592 section 3.3.1)
		}
		name = up
	}
}

// warnings are what is probably not meant, or takes long to be seen.
func (l look) warnings() (out []string) {
	say := func(format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		if !slices.Contains(out, text) && len(out) < 60 {
			out = append(out, text)
		}
	}
	for _, c := range l.d.Changes {
		where := trimmed(c.Name) + " " + c.Type
		if c.NewTTL > longTTL && c.NewTTL != c.OldTTL {
			say("%s may be kept for %s: a mistake would stay as long. An hour (1h) is usual.", where, zonediff.Lasting(c.NewTTL))
		}
		if l.mail(c) {
			say("Mail depends on %s: send a message in both directions after publishing, and look whether it comes.", where)
		}
		if c.Type == "NS" && c.Name == l.f.Zone.Apex {
			say("The zone above names the servers of %s, too: have them changed there (at the registrar), or resolvers meet the old ones.", trimmed(c.Name))
		} else if c.Type == "NS" && c.Kind != zonediff.Removed {
			say("Everything at and below %s is answered by %s: other records there are not.", trimmed(c.Name), several("NS", l.is[c.Name]["NS"]))
		}
		if c.Type == "DS" {
			say("%s: when it does not fit the keys of %s, nothing below it is believed by whoever checks signatures.", where, trimmed(c.Name))
		}
		if isWildcard(c.Name) && c.Kind == zonediff.Added && l.was[c.Name] == nil {
			say("%s answers for every name below %s that has no records of its own, mistyped ones too.", trimmed(c.Name), trimmed(c.Name[2:]))
		}
		if w := l.hidden(c); w != "" {
			say("%s has records of its own now, so %s answers for it no more, for no type.", trimmed(c.Name), trimmed(w))
		}
		l.targets(c, say)
	}
	l.authorities(say)
	l.spf(say)
	return out
}

// hidden is the wildcard that a new name takes itself out of.
func (l look) hidden(c zonediff.Change) string {
	if c.Kind != zonediff.Added || l.was[c.Name] != nil || isWildcard(c.Name) {
		return ""
	}
	return l.wildcard(c.Name)
}

// mail says whether mail depends on what is changed.
func (l look) mail(c zonediff.Change) bool {
	first, _, _ := strings.Cut(c.Name, ".")
	switch {
	case c.Type == "MX", first == "_dmarc", strings.Contains(c.Name, "._domainkey."), first == "_mta-sts", first == "_smtp":
		return true
	case c.Type == "TXT" && slices.ContainsFunc(slices.Concat(c.Old, c.New), func(d string) bool { return strings.HasPrefix(strings.ToLower(d), `"v=spf1`) }):
		return true
	case c.Type == "A" || c.Type == "AAAA" || c.Type == "CNAME":
		for _, types := range l.was {
			for _, data := range types["MX"] {
				if f := strings.Fields(data); len(f) == 2 && strings.EqualFold(f[1], c.Name) {
					return true
				}
			}
		}
	}
	return false
}

// targets warns of names of the zone that records lead to, and that are not there.
func (l look) targets(c zonediff.Change, say func(string, ...any)) {
	at := map[string]int{"CNAME": 0, "NS": 0, "MX": 1, "HTTPS": 1, "SVCB": 1, "SRV": 3}
	if i, leads := at[c.Type]; leads {
		for _, data := range c.New {
			f := strings.Fields(data)
			if i >= len(f) {
				continue
			}
			if to := strings.ToLower(f[i]); l.missing(to) {
				say("%s %s leads to %s, which has no address in this zone.", trimmed(c.Name), c.Type, trimmed(to))
			}
		}
	}
	if c.Kind != zonediff.Removed || addressed(l.is[c.Name]) || !addressed(l.was[c.Name]) {
		return
	}
	for name, types := range l.is {
		for typ, i := range at {
			for _, data := range types[typ] {
				if f := strings.Fields(data); i < len(f) && strings.EqualFold(f[i], c.Name) {
					say("%s %s still leads to %s, which has no address any more.", trimmed(name), typ, trimmed(c.Name))
				}
			}
		}
	}
}

// missing says whether a name lies in the zone, and nobody would find an address there.
func (l look) missing(name string) bool {
	wire, err := zone.Pack(name)
	apex, _ := zone.Pack(l.f.Zone.Apex) // it was parsed
	if err != nil || name == "." || !zone.Under(wire, apex) || addressed(l.is[name]) || l.wildcard(name) != "" && l.is[name] == nil {
		return false
	}
	for up := name; len(up) > len(l.f.Zone.Apex); _, up, _ = strings.Cut(up, ".") { // handed on
		if len(l.is[up]["NS"]) > 0 {
			return false
		}
	}
	for _, z := range l.f.Others {
		if zone.Under(wire, z.ApexWire()) && len(z.ApexWire()) > len(apex) {
			return false
		}
	}
	return true
}

// authorities warns of CAA records that keep our own certificates from being made
// (RFC 8659).
func (l look) authorities(say func(string, ...any)) {
	if len(l.f.Authority) == 0 {
		return
	}
	for _, c := range l.d.Changes {
		if c.Type != "CAA" || c.Kind == zonediff.Removed {
			continue
		}
		for _, tag := range []string{"issue", "issuewild"} {
			names, said := issuers(l.is[c.Name]["CAA"], tag)
			if said && !slices.ContainsFunc(l.f.Authority, func(a string) bool { return slices.Contains(names, strings.ToLower(a)) }) {
				say("%s CAA (%s) does not name %s, which makes the certificates of this lifeboat: none could be renewed for names at and below it. Add one that names it.", trimmed(c.Name), tag, listed(l.f.Authority))
			}
		}
	}
}

// issuers are the authorities that CAA records allow.
func issuers(data []string, tag string) (names []string, said bool) {
	for _, d := range data {
		f := strings.SplitN(d, " ", 3)
		if len(f) < 3 || !strings.EqualFold(f[1], tag) {
			continue
		}
		said = true
		who, _, _ := strings.Cut(strings.Trim(f[2], `"`), ";")
		names = append(names, strings.ToLower(strings.TrimSpace(who)))
	}
	return names, said
}

// spf warns of two SPF records at a name, which count as none (RFC 7208 section 4.5).
func (l look) spf(say func(string, ...any)) {
	for _, c := range l.d.Changes {
		n := 0
		for _, d := range l.is[c.Name]["TXT"] {
			if strings.HasPrefix(strings.ToLower(d), `"v=spf1`) {
				n++
			}
		}
		if c.Type == "TXT" && n > 1 {
			say("%s has %d SPF texts: mail servers take that as a fault. Keep one, and put the others into it.", trimmed(c.Name), n)
		}
	}
}

// Versus says what one record set has in force that the configuration has not, and the
// other way round: c leads from the configuration to what is in force.
func Versus(c zonediff.Change) string {
	what := trimmed(c.Name) + " " + c.Type + ": "
	switch c.Kind {
	case zonediff.Added:
		return what + several(c.Type, c.New) + " is in force, and not in the file"
	case zonediff.Removed:
		return what + several(c.Type, c.Old) + " is in the file, and not in force"
	case zonediff.TTL:
		return what + fmt.Sprintf("kept for %s in force, and %s by the file", zonediff.Lasting(c.NewTTL), zonediff.Lasting(c.OldTTL))
	}
	switch {
	case len(c.Old) == 0:
		return what + several(c.Type, c.New) + " is in force, and not in the file"
	case len(c.New) == 0:
		return what + several(c.Type, c.Old) + " is in the file, and not in force"
	}
	return what + several(c.Type, c.New) + " is in force, and " + several(c.Type, c.Old) + " in the file"
}
