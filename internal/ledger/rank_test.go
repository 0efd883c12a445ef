package ledger_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lifeboat/internal/ledger"
)

func TestRank(t *testing.T) {
	t.Parallel()
	before := func(d time.Duration) ledger.Change { return deploy(d.String(), now.Add(-d)) }
	const day = 24 * time.Hour
	changes := []ledger.Change{before(-3 * time.Hour), before(day), before(4 * time.Minute), before(-time.Second), before(0), before(90 * time.Second), before(49 * time.Hour), before(500 * time.Millisecond)}
	kept := slices.Clone(changes)
	var got []string
	for _, r := range ledger.Rank(changes, now, now.Add(time.Hour)) {
		got = append(got, r.When)
	}
	want := []string{"just before it began", "just before it began", "90 seconds before it began", "4 minutes before it began", "24 hours before it began",
		"2 days before it began", "1 second after it began", "3 hours after it began"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if !slices.Equal(changes, kept) {
		t.Error("the list that was given is changed")
	}
	for d, want := range map[time.Duration]string{
		119 * time.Second: "119 seconds before it was declared", 2 * time.Minute: "2 minutes before it was declared", 119*time.Minute + 59*time.Second: "119 minutes before it was declared",
		2 * time.Hour: "2 hours before it was declared", 48 * time.Hour: "2 days before it was declared", -time.Nanosecond: "just after it was declared",
	} {
		r := ledger.Rank([]ledger.Change{before(d)}, time.Time{}, now)[0]
		if r.When != want || r.Before != (d >= 0) {
			t.Errorf("%s: %+v", d, r)
		}
	}
	if r := ledger.Rank(nil, now, now); r == nil || len(r) != 0 {
		t.Errorf("%v", r)
	}
}

// Any changes in any order: all are there once; those before come first, each
// nearer than the next; then those after, in the same way; and the order given does
// not matter.
func TestRankModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var changes []ledger.Change
		for range rapid.IntRange(0, 30).Draw(t, "n") {
			changes = append(changes, deploy(rapid.StringMatching("[a-z]{1,3}").Draw(t, "id"), now.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "at"))*time.Minute)))
		}
		ranked := ledger.Rank(changes, now, time.Time{})
		if len(ranked) != len(changes) {
			t.Fatalf("%d of %d", len(ranked), len(changes))
		}
		for i, r := range ranked {
			if r.Before == r.At.After(now) || r.Before == strings.Contains(r.When, "after") {
				t.Fatalf("%+v", r)
			}
			if i == 0 {
				continue
			}
			p := ranked[i-1]
			if r.Before && !p.Before || r.Before == p.Before && p.At.Sub(now).Abs() > r.At.Sub(now).Abs() {
				t.Fatalf("%s is after %s", r.When, p.When)
			}
		}
		again := ledger.Rank(rapid.Permutation(changes).Draw(t, "order"), now, time.Time{})
		if !slices.Equal(ranked, again) {
			t.Fatal("the order given matters")
		}
	})
}
