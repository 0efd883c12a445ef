package find

import (
	"regexp"
	"slices"
	"strings"
)

// Mention is something in the evidence that looks like a key.
type Mention struct {
	Value string
	Near  []string // words just before it, lower case: "order" of "order 4711", "orders" of /orders/4711
	Where string   // in words: "the failing page's address"
	Score float64
}

var (
	uuidLike   = regexp.MustCompile(`(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`)
	stampLike  = regexp.MustCompile(`\d{4}[-/]\d{2}[-/]\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?|\b\d{1,2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4}|\b\d{2}:\d{2}:\d{2}([.,]\d+)?`)
	noiseLike  = regexp.MustCompile(`\b\d{1,3}(\.\d{1,3}){3}(:\d+)?\b|\b0x[0-9a-fA-F]+\b|\b\d+\.\d+[0-9.]*\b|\b\d+(ms|s|us|µs|kB|KB|MB|GB|%)|\b(HTTP/\d(\.\d)?"? \d{3})|(?i)\b(line|port|pid|status|code|errno|thread)[ =:#]+\d+|:\d+:\d+\b|\.[a-z]{1,4}:\d+`)
	numberLike = regexp.MustCompile(`\b\d{1,19}\b`)
	wordLike   = regexp.MustCompile(`[\pL_]{2,40}`)
	quotedLike = regexp.MustCompile(`'[^']{1,80}'|"[^"]{1,80}"`)
)

// Mentions picks out of the evidence what looks like a key, the most telling
// first. What a log line of a kind that was usual before says counts little.
func Mentions(e Evidence) []Mention {
	var m mentions
	for _, p := range e.Paths {
		m.scan(p, "the failing page's address", 12)
	}
	left := MaxText
	for _, b := range e.Bodies {
		b = b[:min(len(b), left)]
		left -= len(b)
		m.scan(b, "the failing page's answer", 8)
	}
	usual := map[string]bool{}
	for _, l := range e.Usual[max(0, len(e.Usual)-20_000):] {
		usual[Template(l)] = true
	}
	for _, l := range slices.Backward(e.Logs) { // the newest first
		if left -= len(l); left < 0 {
			break
		}
		if usual[Template(l)] {
			m.scan(l, "a log line of a usual kind", 1)
		} else {
			m.scan(l, "a log line of a new kind", 8)
		}
	}
	slices.SortStableFunc(m, func(a, b Mention) int { return int(8 * (b.Score - a.Score)) })
	return m
}

type mentions []Mention

// scan takes keys out of one text. The same value found again counts once, as what
// tells most.
func (m *mentions) scan(text, where string, score float64) {
	blank := func(s string) string { return strings.Repeat(" ", len(s)) }
	rest := text
	for _, at := range uuidLike.FindAllStringIndex(rest, maxMentions) {
		m.add(text, at, where, score)
	}
	rest = uuidLike.ReplaceAllStringFunc(rest, blank)
	rest = stampLike.ReplaceAllStringFunc(rest, blank)
	rest = noiseLike.ReplaceAllStringFunc(rest, blank)
	for _, at := range numberLike.FindAllStringIndex(rest, maxMentions) {
		m.add(text, at, where, score)
	}
}

func (m *mentions) add(text string, at []int, where string, score float64) {
	value := strings.ToLower(text[at[0]:at[1]])
	before := text[max(0, at[0]-60):at[0]]
	words := wordLike.FindAllString(strings.ToLower(before), -1)
	near := words[max(0, len(words)-2):]
	if i := slices.IndexFunc(*m, func(x Mention) bool { return x.Value == value }); i >= 0 {
		old := &(*m)[i]
		if old.Score < score {
			old.Score, old.Where = score, where
		}
		for _, w := range near {
			if !slices.Contains(old.Near, w) && len(old.Near) < 8 {
				old.Near = append(old.Near, w)
			}
		}
		return
	}
	if len(*m) < maxMentions {
		*m = append(*m, Mention{Value: value, Near: slices.Clone(near), Where: where, Score: score})
	}
}

// Template is what a log line says without what differs from line to line.
func Template(line string) string {
	line = line[:min(len(line), 2000)]
	line = uuidLike.ReplaceAllString(line, "U")
	line = stampLike.ReplaceAllString(line, "T")
	line = quotedLike.ReplaceAllString(line, "Q")
	return regexpDigits.ReplaceAllString(line, "N")
}

var regexpDigits = regexp.MustCompile(`(0x)?[0-9a-fA-F]*\d[0-9a-fA-F]*`)

// about says whether words are about a table: "order", "orders" and "order_id" are
// about orders, and about order_lines a little less.
func about(near []string, tableName string) float64 {
	_, name := splitName(tableName)
	stem := singular(strings.ToLower(name))
	best := 0.0
	for _, w := range near {
		w = singular(strings.TrimSuffix(strings.TrimSuffix(w, "_id"), "id"))
		switch {
		case w == "" || len(w) < 3:
		case w == stem:
			best = max(best, 1)
		case strings.HasPrefix(stem, w+"_"), strings.HasSuffix(stem, "_"+w), strings.HasPrefix(w, stem):
			best = max(best, 0.5)
		}
	}
	return best
}

func singular(w string) string {
	switch {
	case strings.HasSuffix(w, "ies") && len(w) > 4:
		return w[:len(w)-3] + "y"
	case strings.HasSuffix(w, "ses"), strings.HasSuffix(w, "xes"):
		return w[:len(w)-2]
	case strings.HasSuffix(w, "s") && !strings.HasSuffix(w, "ss") && len(w) > 3:
		return w[:len(w)-1]
	}
	return w
}
