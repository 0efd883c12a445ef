package postmortem

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// How much of a text that somebody typed stands within a sentence, in characters. The
// whole of it stays in the record.
const (
	longText = 400
	longName = 200
	cellText = 300
	longLine = 800
)

// clean makes a text fit a line: valid UTF-8, single spaces, nothing that hides, and
// nothing that turns the direction in which the rest of the line is read.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case hides(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	return strings.Join(strings.Fields(s), " ")
}

// hides says whether a character is not seen and changes how others are: controls,
// marks of direction (UAX #9, section 2), zero-width spaces, tags. Joiners stay, since
// scripts and emoji are written with them.
func hides(r rune) bool {
	switch {
	case unicode.Is(unicode.Cc, r), r >= 0x202A && r <= 0x202E, r >= 0x2060 && r <= 0x206F, r >= 0xFFF9 && r <= 0xFFFB, r >= 0xE0000 && r <= 0xE007F:
		return true
	}
	return r == 0x00AD || r == 0x061C || r == 0x180E || r == 0x200B || r == 0x200E || r == 0x200F || r == 0xFEFF
}

// cut gives at most so many characters of a text.
func cut(s string, most int) string {
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return strings.TrimRight(string(r[:most-1]), " ") + "…"
}

// quoted puts a text that somebody typed into quotation marks, without its full stop.
// What is empty stays so.
func quoted(s string) string {
	if s = strings.TrimRight(s, ". "); s == "" {
		return ""
	}
	return "“" + strings.NewReplacer("“", "‘", "”", "’").Replace(s) + "”"
}

// cited is a quotation in the middle of a sentence, where one has to stand.
func cited(s string) string { return orElse(quoted(s), "“–”") }

// saying is a colon and a quotation, or nothing: how a sentence ends with a reason.
func saying(quotation string) string {
	if quotation == "" {
		return ""
	}
	return ": " + quotation
}

// aside is a quotation in brackets within a sentence, or nothing.
func aside(quotation string) string {
	if quotation == "" {
		return ""
	}
	return " (" + quotation + ")"
}

// lines are what a person wrote, line by line, with at most one empty line between.
func lines(s string) []string {
	var out []string
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u2028", "\n", "\u2029", "\n").Replace(s)
	for line := range strings.SplitSeq(s, "\n") {
		line = clean(line)
		if line == "" && (len(out) == 0 || out[len(out)-1] == "") {
			continue
		}
		out = append(out, line)
	}
	for len(out) > 0 && out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	return out
}

// spell is a stretch of time as people say it: 40 ms, 0.6 s, 42 s, 4 min 20 s, 1 h 5 min,
// 2 days 3 h.
func spell(d time.Duration) string {
	d = d.Abs()
	switch {
	case d < 100*time.Millisecond:
		d = d.Round(time.Millisecond)
	case d < 10*time.Second:
		d = d.Round(100 * time.Millisecond)
	case d < 10*time.Minute:
		d = d.Round(time.Second)
	case d < 24*time.Hour:
		d = d.Round(time.Minute)
	default:
		d = d.Round(time.Hour)
	}
	switch day := 24 * time.Hour; {
	case d >= day:
		return both(count(int(d/day), "day"), int(d%day/time.Hour), "h")
	case d >= time.Hour:
		return both(fmt.Sprintf("%d h", d/time.Hour), int(d%time.Hour/time.Minute), "min")
	case d >= time.Minute:
		return both(fmt.Sprintf("%d min", d/time.Minute), int(d%time.Minute/time.Second), "s")
	case d > 0 && d < 100*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s"
}

// later is a stretch of time until something happened.
func later(d time.Duration) string {
	if d < time.Millisecond {
		return "at once"
	}
	return spell(d) + " later"
}

func both(first string, n int, unit string) string {
	if n == 0 {
		return first
	}
	return fmt.Sprintf("%s %d %s", first, n, unit)
}

// small are the numbers that prose spells out.
var small = []string{"no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}

// number is a count within a sentence.
func number(n int) string {
	if n >= 0 && n < len(small) {
		return small[n]
	}
	return thousands(uint64(max(0, n)))
}

// counted is a number in words with its noun: one check, three checks.
func counted(n int, noun string) string {
	if n == 1 {
		return "one " + noun
	}
	return number(n) + " " + plural(noun)
}

// count is a figure with its noun: 1 day, 3 days.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(uint64(max(0, n))) + " " + plural(noun)
}

func plural(noun string) string {
	if s, found := strings.CutSuffix(noun, "y"); found && !strings.HasSuffix(s, "a") {
		return s + "ies"
	}
	if strings.HasSuffix(noun, "x") {
		return noun + "es"
	}
	return noun + "s"
}

// times says how often: once, twice, three times.
func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return number(n) + " times"
}

// thousands is a number with its digits in groups.
func thousands(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// listed joins words: a, b and c.
func listed(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// begin makes the first letter of a sentence a capital.
func begin(s string) string {
	for i, r := range s {
		if i == 0 {
			return string(unicode.ToUpper(r)) + s[len(string(r)):]
		}
	}
	return s
}

// checkName is a check within a sentence: the check “front”.
func checkName(s string) string {
	if s = quoted(cut(clean(s), 64)); s == "" {
		return "a check"
	}
	return "the check " + s
}

// checkNames are some checks within a sentence: the checks “books” and “front”.
func checkNames(all []string) string {
	var names []string
	for _, s := range all {
		if s = quoted(cut(clean(s), 64)); s != "" && !slices.Contains(names, s) {
			names = append(names, s)
		}
	}
	switch {
	case len(names) == 0:
		return "a check"
	case len(names) == 1:
		return "the check " + names[0]
	}
	slices.Sort(names)
	return "the checks " + listed(names)
}

// inWords are what lifeboat itself calls by an id, and how people call it.
var inWords = []struct {
	short *regexp.Regexp
	long  string
}{
	{regexp.MustCompile(`\b[Tt]he fix f(\d{1,4})\b`), "fix $1"},
	{regexp.MustCompile(`\b(already: |begun: |What |that )f(\d{1,4})\b`), "${1}fix $2"},
	{regexp.MustCompile(`\b(speaks for|prediction of|still open:) c(\d{1,4})\b`), "$1 possible cause $2"},
}

// lapse is a stretch of time as Go writes it, in lifeboat's own words.
var lapse = regexp.MustCompile(`\b(only |more than |in the last )((?:\d+(?:\.\d+)?(?:h|m|s|ms))+)\b`)

// inOwn is what lifeboat itself said, with its ids and times as people say them.
func inOwn(s string) string {
	for _, w := range inWords {
		s = w.short.ReplaceAllString(s, w.long)
	}
	return lapse.ReplaceAllStringFunc(s, func(found string) string {
		m := lapse.FindStringSubmatch(found)
		d, err := time.ParseDuration(m[2])
		if err != nil {
			return found
		}
		return m[1] + spell(d)
	})
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
