package config

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// section is a mapping whose keys are known beforehand. Its methods read one key
// each, note what is wrong with it, and then give the default.
type section struct {
	*report
	where string // "site shop", for messages
	n     *node
}

// section reads a mapping with known keys; ok is false when it is none. A
// mapping left empty counts as one without keys.
func (r *report) section(n *node, where string, keys keySet) (s section, ok bool) {
	s = section{r, where, n}
	switch n.shape {
	case emptyShape:
		return s, true
	case mapShape:
	default:
		r.invalid(n.at, "%s: expected a mapping, found %s", where, n.found()).
			WithHint("write one \"key: value\" a line below it; keys are %s", strings.Join(keys.known, ", "))
		return s, false
	}
	for _, e := range n.entries {
		r.checkKey(e, where, keys)
	}
	return s, true
}

func (r *report) checkKey(e entry, where string, keys keySet) {
	if slices.Contains(keys.known, e.key) {
		return
	}
	if remedy, later := keys.later[e.key]; later {
		r.later(e.at, strconv.Quote(e.key)+" in "+where).WithHint("remove it; %s", remedy)
		return
	}
	problem := r.invalid(e.at, "unknown key %q in %s", clip(e.key), where)
	if near := nearest(e.key, keys.known); near != "" {
		problem.WithHint("did you mean %q?", near)
		return
	}
	problem.WithHint("keys here are %s", strings.Join(keys.known, ", "))
}

// named reads a mapping whose keys are the file's own names: sites, checks ...
func (r *report) named(n *node, where, example string) []entry {
	switch {
	case n == nil || n.shape == emptyShape:
		return nil
	case n.shape == mapShape:
		return n.entries
	}
	r.invalid(n.at, "%s: expected a mapping, found %s", where, n.found()).WithHint("for example %s", example)
	return nil
}

// atMost is named with a limit.
func (r *report) atMost(most int, n *node, where, example string) []entry {
	entries := r.named(n, where, example)
	if len(entries) > most {
		r.invalid(n.at, "%s: %d are too many, %d fit", where, len(entries), most).WithHint("keep those that matter most")
		return nil
	}
	return entries
}

// refused says whether the section has a key that was refused already.
func (s section) refused(keys keySet) bool {
	return s.n.shape == mapShape && slices.ContainsFunc(s.n.entries, func(e entry) bool { return !slices.Contains(keys.known, e.key) })
}

// at is where a key's value is, or the section when the key is not there.
func (s section) at(key string) position { return s.n.find(key) }

func (s section) of(key string) string { return key + " of " + s.where }

// needs notes a key that must be there.
func (s section) needs(key, why, example string) bool {
	if s.n.get(key) != nil {
		return true
	}
	s.invalid(s.n.at, "%s has no %s%s", s.where, key, why).WithHint("add %s", example)
	return false
}

// text reads a scalar that must be text.
func (r *report) text(n *node, what, example string) (string, bool) {
	if n.shape != textShape {
		r.invalid(n.at, "%s: expected text, found %s", what, n.found()).WithHint("for example %s", example)
		return "", false
	}
	if strings.Contains(n.text, "${") {
		r.later(n.at, what+": taking a value from the environment (${…})").WithHint("write the value itself")
		return "", false
	}
	return n.text, true
}

// line reads one line of text for people.
func (s section) line(key, def, example string, most int) string {
	n := s.n.get(key)
	if n == nil {
		return def
	}
	if n.shape == numberShape || n.shape == boolShape {
		example = strconv.Quote(n.text)
	}
	text, ok := s.text(n, s.of(key), key+": "+example)
	if !ok {
		return def
	}
	switch {
	case strings.TrimSpace(text) == "":
		s.invalid(n.at, "%s is empty", s.of(key)).WithHint("for example %s: %s", key, example)
	case strings.ContainsAny(text, "\n\t"):
		s.invalid(n.at, "%s must be one line", s.of(key)).WithHint("for example %s: %s", key, example)
	case hasControl(text):
		s.invalid(n.at, "%s has a control character", s.of(key)).WithHint("remove it")
	case utf8.RuneCountInString(text) > most:
		s.invalid(n.at, "%s is too long: %d characters, %d fit", s.of(key), utf8.RuneCountInString(text), most).
			WithHint("say it shorter")
	}
	return text
}

// hasControl says whether text has what only a terminal would notice. The file
// itself has none; quotes bring it in: "\e".
func hasControl(text string) bool { return strings.ContainsFunc(text, unicode.IsControl) }

// choice reads one word out of a few.
func (s section) choice(key, def string, of ...string) string {
	n := s.n.get(key)
	if n == nil {
		return def
	}
	text, ok := s.text(n, s.of(key), key+": "+of[0])
	if !ok || slices.Contains(of, text) {
		return text
	}
	problem := s.invalid(n.at, "%s: expected %s, found %s", s.of(key), orList(of), n.found())
	if near := nearest(text, of); near != "" {
		problem.WithHint("did you mean %q?", near)
	} else {
		problem.WithHint("for example %s: %s", key, of[0])
	}
	return def
}

// number reads a whole number within bounds.
func (s section) number(key string, def, least, most int) int {
	n := s.n.get(key)
	if n == nil {
		return def
	}
	value, err := strconv.Atoi(n.text)
	switch {
	case n.shape != numberShape || err != nil:
		s.invalid(n.at, "%s: expected a whole number, found %s", s.of(key), n.found()).WithHint("for example %s: %d", key, def)
		return def
	case value < least || value > most:
		s.invalid(n.at, "%s: %d is out of range", s.of(key), value).WithHint("from %d to %d", least, most)
		return def
	}
	return value
}

// truth reads true or false.
func (s section) truth(key string, def bool) bool {
	n := s.n.get(key)
	if n == nil {
		return def
	}
	if n.shape != boolShape {
		s.invalid(n.at, "%s: expected true or false, found %s", s.of(key), n.found()).WithHint("for example %s: true", key)
		return def
	}
	return n.text == "true"
}

// span is a wait's default and bounds.
type span struct{ def, least, most time.Duration }

// wait reads a duration within bounds.
func (s section) wait(key string, is span) time.Duration {
	n := s.n.get(key)
	if n == nil {
		return is.def
	}
	if n.shape == textShape && strings.Contains(n.text, "${") {
		s.text(n, s.of(key), "")
		return is.def
	}
	d, err := time.ParseDuration(n.text)
	switch {
	case n.shape != textShape || err != nil:
		s.invalid(n.at, "%s: expected a duration, found %s", s.of(key), n.found()).
			WithHint("for example %s: %s; units are ms, s, m and h", key, short(is.def))
		return is.def
	case d < is.least || d > is.most:
		s.invalid(n.at, "%s: %s is out of range", s.of(key), clip(n.text)).WithHint("from %s to %s", short(is.least), short(is.most))
		return is.def
	}
	return d
}

// seconds reads a duration of whole seconds, as DNS counts.
func (s section) seconds(key string, is span) uint32 {
	d := s.wait(key, is)
	if d%time.Second != 0 {
		s.invalid(s.at(key), "%s: DNS counts whole seconds, found %s", s.of(key), short(d)).WithHint("for example %s: %s", key, short(is.def))
	}
	return uint32(d / time.Second)
}

// maxItems is how long a list may be: far above use, and low enough to compare
// each with each.
const maxItems = 1000

// list reads a list's items.
func (s section) list(key, example string) []*node {
	n := s.n.get(key)
	switch {
	case n == nil || n.shape == emptyShape:
		return nil
	case n.shape == listShape && len(n.items) > maxItems:
		s.invalid(n.at, "%s: %d are too many, %d fit", s.of(key), len(n.items), maxItems).WithHint("make several sites or zones of it")
		return nil
	case n.shape == listShape:
		return n.items
	}
	s.invalid(n.at, "%s: expected a list, found %s", s.of(key), n.found()).WithHint("for example %s: %s", key, example)
	return nil
}

// few is list with a lower limit.
func (s section) few(key, example string, most int) []*node {
	if n := s.n.get(key); n != nil && n.shape == listShape && len(n.items) > most {
		s.invalid(n.at, "%s: %d are too many, %d fit", s.of(key), len(n.items), most).WithHint("keep those that matter most")
		return nil
	}
	return s.list(key, example)
}

// short writes a duration as people do: 5m, not 5m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func orList(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// id checks a name that the file gives to something: it goes into addresses,
// metrics and the command line.
func (r *report) id(at position, what, id string) bool {
	if idPattern.MatchString(id) {
		return true
	}
	r.invalid(at, "%s %q has a bad name", what, clip(id)).
		WithHint("1 to 40 of a-z, 0-9 and -, for example %s", example(id))
	return false
}

// example makes a good id out of a bad one.
func example(id string) string {
	out := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-':
			return c
		case c == '_', c == ' ', c == '.':
			return '-'
		}
		return -1
	}, strings.ToLower(id))
	out = out[:min(len(out), 40)]
	if !idPattern.MatchString(out) {
		return "shop"
	}
	return out
}
