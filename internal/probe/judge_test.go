package probe_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"lifeboat/internal/probe"
)

var letters = map[rune]probe.Verdict{'p': probe.Pass, 'f': probe.Fail, '?': probe.Inconclusive}

// run plays verdicts ("p", "f", "?"; blanks are for the eye) and gives what was
// seen after each, as U, D or "." for unknown.
func run(c probe.Check, verdicts string) string {
	var b strings.Builder
	j := probe.NewJudge(c)
	for _, r := range strings.ReplaceAll(verdicts, " ", "") {
		j, _ = j.Next(letters[r])
		b.WriteString(map[probe.Seen]string{probe.Up: "U", probe.Down: "D", probe.Unknown: "."}[j.Seen()])
	}
	return b.String()
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		down, up int
		verdicts string
		want     string
	}{
		{"one pass at the start is no proof", 3, 2, "p", "."},
		{"passes at the start", 3, 2, "ppp", ".UU"},
		{"fails at the start", 3, 2, "ffff", "..DD"},
		{"one fail is not an outage", 3, 2, "pp f p ff p", ".UUUUUU"},
		{"one pass is not a recovery", 2, 3, "ff p f pp f ppp", ".DDDDDDDDU"},
		{"thresholds of one", 1, 1, "pfpf", "UDUD"},
		{"flapping never gets anywhere from unknown", 2, 2, "pfpfpfpf", "........"},
		{"flapping leaves up as it is", 2, 2, "pp fpfpfp", ".UUUUUUU"},
		{"flapping leaves down as it is", 2, 2, "ff pfpfpf", ".DDDDDDD"},
		{"inconclusive doesn't break a row of fails", 3, 2, "pp f?f?f", ".UUUUUD"},
		{"inconclusive doesn't break a row of passes", 3, 3, "fff p?p??p", "..DDDDDDU"},
		{"inconclusive adds nothing", 3, 3, "pp?", "..."},
		{"three inconclusive in a row", 1, 1, "p ??? ", "UUU."},
		{"as many as it takes to be down, where that is more", 4, 1, "p ????", "UUUU."},
		{"a conclusive one in between starts the inconclusive row anew", 2, 1, "p ??f??p", "UUUUUUU"},
		{"after unknown the rows begin anew", 3, 2, "pp ff ??? f ff", ".UUUUU...D"},
		{"after unknown the passes begin anew", 3, 3, "fff pp ??? p pp", "..DDDDD...U"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := run(probe.Check{DownAfter: tc.down, UpAfter: tc.up}, tc.verdicts); got != tc.want {
				t.Errorf("%s: saw %s, want %s", tc.verdicts, got, tc.want)
			}
		})
	}
}

func TestJudgeTellsAChangeOnce(t *testing.T) {
	t.Parallel()
	j := probe.NewJudge(probe.Check{DownAfter: 2, UpAfter: 1})
	var changes []probe.Seen
	for _, v := range []probe.Verdict{probe.Pass, probe.Pass, probe.Fail, probe.Fail, probe.Fail, "newer than this version"} {
		next, changed := j.Next(v)
		if changed != (next.Seen() != j.Seen()) {
			t.Fatalf("changed is %v from %s to %s", changed, j.Seen(), next.Seen())
		}
		if j = next; changed {
			changes = append(changes, j.Seen())
		}
	}
	if len(changes) != 2 || changes[0] != probe.Up || changes[1] != probe.Down {
		t.Errorf("changes are %v, want up and then down", changes)
	}
	if got := (probe.Judge{}).Seen(); got != probe.Unknown {
		t.Errorf("the zero value sees %q", got)
	}
}

// TestJudgeProperties compares the judge with a plain reading of its promise: look
// back over all verdicts, each time from the beginning.
func TestJudgeProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := probe.Check{
			DownAfter: rapid.IntRange(1, 6).Draw(t, "down_after"),
			UpAfter:   rapid.IntRange(1, 6).Draw(t, "up_after"),
		}
		verdicts := rapid.SliceOf(rapid.SampledFrom([]probe.Verdict{probe.Pass, probe.Fail, probe.Inconclusive})).Draw(t, "verdicts")
		j, seen := probe.NewJudge(c), probe.Unknown
		for i, v := range verdicts {
			j, _ = j.Next(v)
			seen = lookBack(c, verdicts[:i+1], seen)
			if j.Seen() != seen {
				t.Fatalf("after %v: saw %s, want %s", verdicts[:i+1], j.Seen(), seen)
			}
		}
	})
}

func lookBack(c probe.Check, verdicts []probe.Verdict, before probe.Seen) probe.Seen {
	passes, fails := rowAtEnd(c, verdicts, probe.Pass), rowAtEnd(c, verdicts, probe.Fail)
	switch {
	case unclearAtEnd(verdicts) >= max(c.DownAfter, 3):
		return probe.Unknown
	case passes >= c.UpAfter && verdicts[len(verdicts)-1] == probe.Pass:
		return probe.Up
	case fails >= c.DownAfter && verdicts[len(verdicts)-1] == probe.Fail:
		return probe.Down
	}
	return before
}

func unclearAtEnd(verdicts []probe.Verdict) (n int) {
	for i := len(verdicts) - 1; i >= 0 && verdicts[i] == probe.Inconclusive; i-- {
		n++
	}
	return n
}

// rowAtEnd counts v from the end, over inconclusive ones, up to the other verdict
// or to inconclusive ones that are too many in a row.
func rowAtEnd(c probe.Check, verdicts []probe.Verdict, v probe.Verdict) (n int) {
	unclear := 0
	for i := len(verdicts) - 1; i >= 0; i-- {
		switch verdicts[i] {
		case v:
			n, unclear = n+1, 0
		case probe.Inconclusive:
			if unclear++; unclear >= max(c.DownAfter, 3) {
				return n
			}
		default:
			return n
		}
	}
	return n
}
