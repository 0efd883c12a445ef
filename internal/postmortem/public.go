package postmortem

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"lifeboat/internal/incident"
)

// apology is the place that stays empty on purpose: an apology that a program wrote is
// none.
func (b *builder) apology() []Block {
	return []Block{{Blank: "To be written: a word of apology, in your own words."}}
}

// mask is a name, and what stands in its place in the public version.
type mask struct{ name, role string }

// The words for people whom the public does not know by name.
const (
	onDuty = "the operator on duty"
	member = "a member of the team"
)

var roleWords = map[string]string{
	"lead":          "the lead",
	"scribe":        "the scribe",
	"communication": "the person who told people",
	"expert":        "an expert",
}

// roleOf is what somebody is called in the public version.
func (b *builder) roleOf(name string) string {
	name = clean(name)
	for _, m := range b.masks {
		if m.name == name {
			return m.role
		}
	}
	return member
}

// masksOf gives every name in the record with the role that its bearer had, longest
// first, so that a whole name goes before its parts.
func masksOf(in incident.Incident, events []incident.Event, o Options) []mask {
	roles := map[string]string{}
	add := func(name, role string) {
		if name = clean(name); utf8.RuneCountInString(name) > 1 && (roles[name] == "" || roles[name] == member) {
			roles[name] = role
		}
	}
	for _, e := range events { // roles first: they tell more than "on duty"
		if e.Type == incident.RoleTaken || e.Type == incident.HandoverAccepted {
			d := data[roleData](e)
			add(d.Person, orElse(roleWords[d.Role], onDuty))
		}
	}
	for _, e := range events {
		if !e.Actor.Automatic() {
			add(e.Actor.Name, onDuty)
			for part := range strings.FieldsSeq(clean(e.Actor.Name)) {
				add(strings.Trim(part, ".,()"), roles[clean(e.Actor.Name)])
			}
		}
	}
	for _, name := range named(in) {
		add(name, member)
	}
	var out []mask
	for name, role := range roles {
		if !shared(name, o) {
			out = append(out, mask{name, role})
		}
	}
	slices.SortFunc(out, func(a, b mask) int {
		if d := len(b.name) - len(a.name); d != 0 {
			return d
		}
		return strings.Compare(a.name, b.name)
	})
	return out
}

// named are the people that the record names beside those who did something.
func named(in incident.Incident) []string {
	out := []string{in.WriteUp.FinalBy}
	for _, p := range in.Pulls {
		out = append(out, p.By.Name)
		if p.Parked != nil {
			out = append(out, p.Parked.Owner)
		}
	}
	for _, c := range in.Changes {
		out = append(out, c.Who)
	}
	for _, f := range in.Fixes {
		out = append(out, f.Owner)
	}
	for _, h := range in.Handovers {
		out = append(out, h.From, h.To)
	}
	for _, f := range in.FollowUps {
		out = append(out, f.Owner)
	}
	for _, who := range in.Roles {
		out = append(out, who)
	}
	return out
}

// shared says whether a name is a word that the document needs: of the site, or of
// lifeboat itself.
func shared(name string, o Options) bool {
	words := strings.ToLower(clean(o.Title + " " + strings.Join(o.Names, " ") + " lifeboat somebody"))
	return slices.Contains(strings.Fields(words), strings.ToLower(name))
}

// addresses are what the public has no use for: mail addresses and IPv4 addresses.
var addresses = regexp.MustCompile(`[^\s@<>()]+@[^\s@<>()]+\.[^\s@<>()]+|\b\d{1,3}(\.\d{1,3}){3}\b`)

// masked takes names and addresses out of a text, in the public version.
func (b *builder) masked(s string) string {
	if !b.o.Public {
		return s
	}
	s = addresses.ReplaceAllString(s, "(an address)")
	for _, m := range b.masks {
		for _, form := range []string{m.name, begin(m.name), strings.ToUpper(m.name)} {
			s = replaceWord(s, form, m.role)
		}
	}
	return s
}

// replaceWord replaces a word where it stands alone.
func replaceWord(s, word, with string) string {
	var out strings.Builder
	for {
		i := strings.Index(s, word)
		if i < 0 || word == "" {
			return out.String() + s
		}
		before, _ := utf8.DecodeLastRuneInString(s[:i])
		if out.Len() > 0 && i == 0 {
			before, _ = utf8.DecodeLastRuneInString(out.String())
		}
		after, _ := utf8.DecodeRuneInString(s[i+len(word):])
		switch {
		case letter(before) || letter(after):
			out.WriteString(s[:i+len(word)])
		case i == 0 && out.Len() == 0:
			out.WriteString(begin(with))
		default:
			out.WriteString(s[:i] + with)
		}
		s = s[i+len(word):]
	}
}

func letter(r rune) bool { return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) }
