package postmortem

import (
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/incident"
)

func TestSpell(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0:                                      "0 s",
		300 * time.Microsecond:                 "0 s",
		42 * time.Millisecond:                  "42 ms",
		99900 * time.Microsecond:               "0.1 s",
		600 * time.Millisecond:                 "0.6 s",
		2 * time.Second:                        "2 s",
		9960 * time.Millisecond:                "10 s",
		42400 * time.Millisecond:               "42 s",
		59900 * time.Millisecond:               "1 min",
		time.Minute:                            "1 min",
		4*time.Minute + 20*time.Second:         "4 min 20 s",
		9*time.Minute + 59600*time.Millisecond: "10 min",
		24*time.Minute + 40*time.Second:        "25 min",
		59*time.Minute + 45*time.Second:        "1 h",
		time.Hour + 5*time.Minute:              "1 h 5 min",
		23*time.Hour + 59*time.Minute:          "23 h 59 min",
		24 * time.Hour:                         "1 day",
		51 * time.Hour:                         "2 days 3 h",
		-4 * time.Minute:                       "4 min",
	} {
		if got := spell(d); got != want {
			t.Errorf("%v is told as %q, want %q", d, got, want)
		}
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		counted(1, "fix"):                   "one fix",
		counted(2, "fix"):                   "two fixes",
		counted(12, "piece"):                "12 pieces",
		counted(3, "reply"):                 "three replies",
		count(1, "day"):                     "1 day",
		count(1234567, "day"):               "1,234,567 days",
		times(1):                            "once",
		times(2):                            "twice",
		times(3):                            "three times",
		times(40):                           "40 times",
		number(0):                           "no",
		listed([]string{"a"}):               "a",
		listed([]string{"a", "b"}):          "a and b",
		listed(strings.Fields("a b c")):     "a, b and c",
		ranges([]uint64{1, 2, 3, 7, 9, 10}): "1–3, 7, 9, 10",
		label([]uint64{1, 3, 5, 7, 9}):      "1, 3, 5 …",
		begin("éa"):                         "Éa",
		stopped("a"):                        "a.",
		stopped("a?"):                       "a?",
		stopped("a…"):                       "a…",
		quoted("It is “so”."):               "“It is ‘so’”",
		quoted(" . "):                       "",
		cited(""):                           "“–”",
		fixName("f12"):                      "fix 12",
		fixName("x"):                        "fix “x”",
		causeName("c1"):                     "possible cause 1",
		checkName("a"):                      "the check “a”",
		checkName(" "):                      "a check",
		checkNames(strings.Fields("b a b")): "the checks “a” and “b”",
		checkNames(strings.Fields("b b")):   "the check “b”",
		checkNames(nil):                     "a check",
		theRule("R10"):                      "the rule “one change at a time on a site” (R10)",
		theRule("Z9"):                       "the rule “Z9”",
	} {
		if got != want {
			t.Errorf("told as %q, want %q", got, want)
		}
	}
}

// What lifeboat itself says has its ids and times as people say them; nothing else in it
// is touched.
func TestInOwn(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"Another change is under way: the fix f1.":                             "Another change is under way: fix 1.",
		"The fix f12 was kept, though it was not seen to do what it promised.": "fix 12 was kept, though it was not seen to do what it promised.",
		"A fix is proposed already: f2, Start f3 anew.":                        "A fix is proposed already: fix 2, Start f3 anew.",
		"What f1 promised was not measured again with everybody back.":         "What fix 1 promised was not measured again with everybody back.",
		"Nothing that was seen speaks for c3 yet.":                             "Nothing that was seen speaks for possible cause 3 yet.",
		"Another possible cause is still open: c1, The disk sdc1 is full.":     "Another possible cause is still open: possible cause 1, The disk sdc1 is full.",
		"The last fix was begun only 2s ago.":                                  "The last fix was begun only 2 s ago.",
		"It was pulled more than 15m ago, so it is the return.":                "It was pulled more than 15 min ago, so it is the return.",
		"The site has moved by itself once already in the last 1h30m0s.":       "The site has moved by itself once already in the last 1 h 30 min.",
		"Somebody objected: the timeout of 5s is not enough.":                  "Somebody objected: the timeout of 5s is not enough.",
	} {
		if got := inOwn(s); got != want {
			t.Errorf("%q became %q, want %q", s, got, want)
		}
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	got := strings.Join(lines("\n\r\none \u202etwo\r\n\n\n\nthree\u2028four\n\n"), "|")
	if want := "one two||three|four"; got != want {
		t.Errorf("read as %q, want %q", got, want)
	}
}

// A time is told in UTC with local time and the span from the declaration beside it,
// and with its date where that is another day.
func TestTimes(t *testing.T) {
	t.Parallel()
	x := stories(t)[0]
	b := newBuilder(x.events, x.o)
	for got, want := range map[string]string{
		b.at(night):                             "02:06 UTC (03:06 CET)",
		b.at(night.Add(4 * time.Minute)):        "02:10 UTC (03:10 CET, 4 min after the declaration)",
		b.at(night.Add(-8 * time.Minute)):       "01:58 UTC (02:58 CET, 8 min before the declaration)",
		b.at(night.Add(22 * time.Hour)):         "00:06 UTC on 13 March (01:06 CET on 13 March, 22 h after the declaration)",
		b.clock(night.Add(time.Minute)):         "02:07 UTC",
		b.zone():                                "Local, CET",
		b.short(night.Add(30*time.Hour), night): "13 Mar 08:06",
	} {
		if got != want {
			t.Errorf("told as %q, want %q", got, want)
		}
	}
	b.o.Zone = time.UTC
	if got, want := b.at(night.Add(time.Minute)), "02:07 UTC (1 min after the declaration)"; got != want {
		t.Errorf("in UTC told as %q, want %q", got, want)
	}
}

// The prose of all stories is calm and whole.
func TestProse(t *testing.T) {
	t.Parallel()
	never := []string{
		"!", "  ", "..", "%!", "<nil>", "was was", " the the ", " a a ", " 1 times", "one times", "fixs", "should have", "could have", "human error", "root" + " cause", "fail" + "-over", "0001", "“”", " ,", " .", "()", " :",
		"canary", "runbook", "NaN", "map[",
	}
	for _, x := range stories(t) {
		d := Build(x.events, x.o)
		for key, f := range d.Facts() {
			if annex(key) || f.Text == "" {
				continue
			}
			for _, word := range never {
				if strings.Contains(f.Text, word) {
					t.Errorf("%s, %s: %q says %q", x.name, key, f.Text, word)
				}
			}
		}
		for _, s := range d.Sections {
			for _, b := range s.Blocks {
				for _, p := range append(b.List, b.Paragraph) {
					for _, f := range p {
						mustBeSentence(t, x.name, s.Key, f.Text)
					}
				}
			}
		}
		if s, found := d.Section(KeySummary); !found || len(s.Blocks[0].Paragraph) > 4+detours(x.events) {
			t.Errorf("%s: the summary has more than four sentences and one for each detour, or is missing", x.name)
		}
	}
}

// detours are the kinds of detour that an incident took.
func detours(events []incident.Event) int {
	n := 0
	for _, kinds := range [][]incident.Type{{incident.DiagnosisWithdrawn}, {incident.FixRolledBack, incident.FixAccepted}, {incident.SteppedBack, incident.WatchRelapse}} {
		if slices.ContainsFunc(events, func(e incident.Event) bool { return slices.Contains(kinds, e.Type) }) {
			n++
		}
	}
	return n
}

func mustBeSentence(t *testing.T, story, key, s string) {
	t.Helper()
	first := []rune(s)[0]
	begins := strings.ContainsRune("“ABCDEFGHIJKLMNOPQRSTUVWXYZ", first) || strings.HasPrefix(s, "root ")
	ends := strings.HasSuffix(s, ".") || strings.HasSuffix(s, "?”")
	if !begins || !ends {
		t.Errorf("%s, %s: not a sentence: %q", story, key, s)
	}
}
