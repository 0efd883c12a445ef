package ledger

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Ranked is a change as seen from the beginning of an incident.
type Ranked struct {
	Change
	Before bool   `json:"before"` // it was there when it began
	When   string `json:"when"`   // as "4 minutes before it began"
}

// Rank orders changes by how near they are to the beginning of an incident: those
// before the first symptom, newest first, because what changed last before it began
// is the first thing to look at; then those after it, oldest first. A first symptom
// that nobody knows is zero: then the time of the declaration stands for it, and the
// words say so.
func Rank(changes []Change, firstSymptom, declared time.Time) []Ranked {
	began, words := firstSymptom, "it began"
	if began.IsZero() {
		began, words = declared, "it was declared"
	}
	out := make([]Ranked, 0, len(changes))
	for _, c := range changes {
		r := Ranked{Change: c, Before: !c.At.After(began)}
		if r.Before {
			r.When = plain(began.Sub(c.At)) + " before " + words
		} else {
			r.When = plain(c.At.Sub(began)) + " after " + words
		}
		out = append(out, r)
	}
	slices.SortStableFunc(out, func(a, b Ranked) int {
		switch {
		case a.Before != b.Before && a.Before:
			return -1
		case a.Before != b.Before:
			return 1
		case a.Before:
			a, b = b, a
		}
		return cmp.Or(a.At.Compare(b.At), strings.Compare(a.ID, b.ID))
	})
	return out
}

// plain says how long a time is, in whole units and rounded down.
func plain(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Second:
		return "just"
	case d < 2*time.Minute:
		return count(d/time.Second, "second")
	case d < 2*time.Hour:
		return count(d/time.Minute, "minute")
	case d < 2*day:
		return count(d/time.Hour, "hour")
	default:
		return count(d/day, "day")
	}
}

func count(n time.Duration, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}
