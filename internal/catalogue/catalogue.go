// Package catalogue holds what the console says, in every language that it speaks: one
// file a language under languages, read by go-i18n.
//
// The console is written in English, in its templates and in the code; the record and
// the API stay English. A page in another language is the English page, its sentences
// said anew on the way out: a message's id is its English text, with slots such as
// {{.Name}} for what is filled in. A slot whose name begins with S holds words of ours
// and is said anew, too; one that begins with N or Count holds a number; any other holds
// what people or machines wrote and stays as it is, but for the names of months.
//
// It is not a translator: what stands in no message stays English, and a test of package
// web walks all pages and says what that is.
//
// Invariants: English is never touched; nothing becomes markup that was not markup; what
// stands in code, textarea, pre, script, style, article or below translate="no" stays.
//
// Concurrency: a Tongue may be used from any goroutine. Any package of an edge may import
// it.
package catalogue

import (
	"embed"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

//go:embed languages/*.json
var files embed.FS

// English is the language that everything is written in.
const English = "en"

// Tongue says things in one language.
type Tongue struct {
	Tag  string // BCP 47: de
	Name string // in itself: Deutsch
	Dir  string // ltr or rtl

	loc *i18n.Localizer
}

// Nobody's language: each message is wrapped, so that a test sees what is in none.
const (
	pseudo      = "en-x-marked"
	pseudoOpen  = "⟦"
	pseudoClose = "⟧"
)

// Marked is English with each message between ⟦ and ⟧, written from right to left: a
// test's way to see what is no message.
func Marked() *Tongue { return &Tongue{Tag: pseudo, Name: "Marked", Dir: "rtl"} }

type shelf struct {
	tags    []string // English first
	tongues map[string]*Tongue
	exact   map[string]string // English → id
	shapes  []shape
}

// shape is the English of a message that has slots.
type shape struct {
	id       string
	literals []string // around the slots: one more than these
	slots    []string
	weight   int
}

var read = sync.OnceValue(func() *shelf {
	s := &shelf{tags: []string{English}, tongues: map[string]*Tongue{English: {Tag: English, Name: "English", Dir: "ltr"}}, exact: map[string]string{}}
	bundle := i18n.NewBundle(language.English)
	bundle.RegisterUnmarshalFunc("json", json.Unmarshal)
	entries, err := files.ReadDir("languages")
	if err != nil {
		panic(fmt.Sprintf("read the languages of the console: %v", err)) // embedded: never
	}
	for _, e := range entries {
		file, err := bundle.LoadMessageFileFS(files, "languages/"+e.Name())
		if err != nil {
			panic(fmt.Sprintf("read %s: %v", e.Name(), err)) // a test reads them all
		}
		tag := strings.TrimSuffix(e.Name(), ".json")
		if tag == English {
			s.learn(file.Messages)
			continue
		}
		t := &Tongue{Tag: tag, loc: i18n.NewLocalizer(bundle, tag)}
		t.Name, t.Dir = t.fill("name of the language", nil, nil), t.fill("direction of the script", nil, nil)
		s.tags, s.tongues[tag] = append(s.tags, tag), t
	}
	return s
})

// learn keeps how each message is told from a page.
func (s *shelf) learn(messages []*i18n.Message) {
	for _, m := range messages {
		if m.ID == dayPattern {
			continue // how a day is written, not what is said: it would fit any two words
		}
		for _, text := range []string{m.One, m.Other} {
			switch shape := shapeOf(m.ID, text); {
			case text == "":
			case len(shape.slots) == 0:
				s.exact[text] = m.ID
			default:
				s.shapes = append(s.shapes, shape)
			}
		}
	}
	slices.SortFunc(s.shapes, func(a, b shape) int { // who says most is meant
		if a.weight != b.weight {
			return b.weight - a.weight
		}
		return strings.Compare(a.id+strings.Join(a.literals, ""), b.id+strings.Join(b.literals, ""))
	})
}

var slot = regexp.MustCompile(`\{\{\.([A-Za-z0-9]+)\}\}`)

func shapeOf(id, text string) shape {
	s := shape{id: id}
	at := 0
	for _, m := range slot.FindAllStringSubmatchIndex(text, -1) {
		s.literals, s.slots = append(s.literals, text[at:m[0]]), append(s.slots, text[m[2]:m[3]])
		at = m[1]
	}
	s.literals = append(s.literals, text[at:])
	for _, l := range s.literals {
		s.weight += len(l)
	}
	return s
}

// Tags are the languages that there is a catalogue of, English first.
func Tags() []string { return slices.Clone(read().tags) }

// In gives a language; English for a tag that there is no catalogue of.
func In(tag string) *Tongue {
	if t, known := read().tongues[tag]; known {
		return t
	}
	return read().tongues[English]
}

// Known says whether there is a catalogue of a tag.
func Known(tag string) bool { return read().tongues[tag] != nil }

var matcher = sync.OnceValue(func() language.Matcher {
	var tags []language.Tag
	for _, t := range read().tags {
		tags = append(tags, language.Make(t))
	}
	return language.NewMatcher(tags)
})

const maxAccept = 500 // bytes of Accept-Language that are read

// Choose gives the language that a browser asks for (RFC 9110, section 12.5.4).
func Choose(accept string) *Tongue {
	wanted, _, err := language.ParseAcceptLanguage(accept[:min(len(accept), maxAccept)])
	if err != nil || len(wanted) == 0 {
		return In(English)
	}
	_, at, sure := matcher().Match(wanted...)
	if sure == language.No {
		return In(English)
	}
	return In(read().tags[at])
}

// Limits on what is looked at: no sentence of ours is longer.
const (
	maxText      = 4000 // bytes
	maxSentences = 16
	maxDepth     = 5
)

const nbsp = "\u00a0"

var unit = regexp.MustCompile(`(\d) (s|ms|min|h|%|KB|MB|GB)\b`)

// Say says words of ours anew; whole is false where a part of them is in no message and
// stays as it was.
func (t *Tongue) Say(text string) (said string, whole bool) {
	if t.Tag == English || len(text) > maxText {
		return text, t.Tag == English
	}
	if plain := strings.ReplaceAll(text, nbsp, " "); plain != text { // between a number and its unit
		said, whole = t.Say(plain)
		return unit.ReplaceAllString(said, "$1"+nbsp+"$2"), whole
	}
	if onlyDay.MatchString(text) {
		return t.wrap(text, t.dated(text)), true
	}
	if span := twoDays.FindStringSubmatch(text); span != nil {
		return t.wrap(text, t.dated(span[1])+" "+t.fill("to", nil, nil)+" "+t.dated(span[5])), true
	}
	said, whole, found := t.message(text, 0)
	if found && whole {
		return said, true
	}
	if n := strings.Count(text, dot); n > 0 && n < maxSentences {
		return t.row(text)
	}
	if found && !strings.Contains(text, ". ") {
		return said, false
	}
	return t.sentences(text, 0)
}

// dot parts what stands in one row: “Step 2 of 4 · Ada · told by web”.
const dot = "·"

// row says each part of a row by itself.
func (t *Tongue) row(text string) (string, bool) {
	parts := strings.Split(text, dot)
	whole := true
	for i, part := range parts {
		words := strings.Trim(part, " ")
		if words == "" {
			continue
		}
		said, all := t.Say(words)
		at := strings.Index(part, words)
		parts[i], whole = part[:at]+said+part[at+len(words):], whole && all
	}
	return strings.Join(parts, dot), whole
}

// sentences says a text by the longest runs of its sentences that are messages.
func (t *Tongue) sentences(text string, depth int) (string, bool) {
	parts := split(text)
	if len(parts) == 1 || len(parts) > maxSentences || depth > maxDepth {
		if said, whole, found := t.message(text, depth); found {
			return said, whole
		}
		return text, false
	}
	var out strings.Builder
	whole := true
	for at := 0; at < len(parts); {
		said, to := "", 0
		for end := len(parts); end > at && to == 0; end-- {
			run := strings.Join(parts[at:end], "")
			trimmed := strings.TrimRight(run, " ")
			if s, all, found := t.message(trimmed, depth); found && (all || end == at+1) {
				said, to = s+run[len(trimmed):], end
				whole = whole && all
			}
		}
		if to == 0 {
			said, to, whole = parts[at], at+1, false
		}
		out.WriteString(said)
		at = to
	}
	return out.String(), whole
}

// split parts a text after each end of a sentence; each part keeps the space after it.
func split(text string) []string {
	var parts []string
	from := 0
	for i := 1; i < len(text); i++ {
		if text[i] != ' ' {
			continue
		}
		before := text[:i]
		if before[len(before)-1] == '.' || before[len(before)-1] == '?' || strings.HasSuffix(before, "…") || strings.HasSuffix(before, ".”") || strings.HasSuffix(before, "…”") {
			parts = append(parts, text[from:i+1])
			from = i + 1
		}
	}
	return append(parts, text[from:])
}

// message says one message.
func (t *Tongue) message(text string, depth int) (said string, whole, found bool) {
	if depth > maxDepth {
		return text, false, false
	}
	if said, known := t.exactly(text); known {
		return t.wrap(text, said), true, true
	}
	for _, s := range read().shapes {
		values := s.read(text)
		if values == nil {
			continue
		}
		data, count := map[string]any{}, any(nil)
		all := true
		for i, name := range s.slots {
			value := values[i]
			switch {
			case name[0] == 'S':
				again, good := t.sentences(value, depth+1)
				value, all = again, all && good
			case name == "Count":
				count = strings.ReplaceAll(value, ",", "")
			case t.Tag != pseudo && name[0] != 'N':
				value = t.dated(value)
			}
			data[name] = value
		}
		if found && !all {
			continue
		}
		now := t.wrap(text, t.fill(s.id, data, count))
		if all {
			return now, true, true
		}
		said, found = now, true
	}
	return said, false, found
}

// exactly says a message without slots. The name of an act is its page's headline, too,
// with a full stop behind it.
func (t *Tongue) exactly(text string) (said string, known bool) {
	if id, known := read().exact[text]; known {
		return t.fill(id, nil, nil), true
	}
	if bare, ended := strings.CutSuffix(text, "."); ended {
		if id, known := read().exact[bare]; known {
			return t.fill(id, nil, nil) + ".", true
		}
	} else if id, known := read().exact[text+"."]; known {
		return strings.TrimSuffix(t.fill(id, nil, nil), "."), true
	}
	return "", false
}

func (t *Tongue) wrap(english, said string) string {
	if t.Tag == pseudo {
		return pseudoOpen + english + pseudoClose
	}
	return said
}

// fill gives a message in this language.
func (t *Tongue) fill(id string, data map[string]any, count any) string {
	if t.loc == nil {
		return id
	}
	c := &i18n.LocalizeConfig{MessageID: id, TemplateData: data}
	if count != nil {
		c.PluralCount = count
	}
	text, err := t.loc.Localize(c)
	if err != nil && text == "" {
		return id // a test holds that each message is in each language
	}
	return text
}

const dayPattern = "{{.Nday}} {{.Month}}{{.Year}}"

// Days as pages write them: 12 March 2026, 12 March, 12 Mar 02:41; and a text that is
// nothing but one, with the time of day and UTC beside it.
const aDay = `\b(\d{1,2}) (January|February|March|April|May|June|July|August|September|October|November|December|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b( \d{4})?`
const aTime = `(?:,? \d\d:\d\d(?::\d\d)?(?: UTC)?)*`

var (
	months  = regexp.MustCompile(aDay)
	onlyDay = regexp.MustCompile(`^` + aDay + aTime + `$`)
	twoDays = regexp.MustCompile(`^(` + aDay + aTime + `) to (` + aDay + aTime + `)$`)
)

// dated writes days as people of the language do.
func (t *Tongue) dated(text string) string {
	return months.ReplaceAllStringFunc(text, func(day string) string {
		m := months.FindStringSubmatch(day)
		return t.fill(dayPattern, map[string]any{"Nday": m[1], "Month": t.fill(m[2], nil, nil), "Year": m[3]}, nil)
	})
}

// read gives what stands in the slots, nil where the text is of another shape. A slot
// takes as little as it can, and never nothing.
func (s shape) read(text string) []string {
	last := len(s.literals) - 1
	if len(text) < s.weight+len(s.slots) || !strings.HasPrefix(text, s.literals[0]) || !strings.HasSuffix(text, s.literals[last]) {
		return nil
	}
	end := len(text) - len(s.literals[last])
	at := len(s.literals[0])
	values := make([]string, 0, len(s.slots))
	for i, name := range s.slots {
		to := end
		if i+1 < last {
			next := strings.Index(text[min(at+1, end):end], s.literals[i+1])
			if next < 0 {
				return nil
			}
			to = at + 1 + next
		}
		if to <= at {
			return nil
		}
		value := text[at:to]
		if (name[0] == 'N' || name == "Count") && !number(value) {
			return nil
		}
		values = append(values, value)
		if at = to; i+1 < last {
			at += len(s.literals[i+1])
		}
	}
	return values
}

func number(s string) bool {
	_, err := strconv.ParseFloat(strings.ReplaceAll(s, ",", ""), 64)
	return err == nil
}
