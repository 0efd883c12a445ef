package engine

import (
	"fmt"
	"testing"
	"time"

	"lifeboat/internal/feed"
)

// TestArrivals: what is counted on becomes slices without a gap, whatever the clock and
// the counter do.
func TestArrivals(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 3, 0, 1, 0, time.UTC)
	var a arrivals
	saw := func(count uint64, after time.Duration) string {
		a.note(feed.Visits{Failover: count}, start.Add(after))
		out := ""
		for _, s := range a.slices {
			out += fmt.Sprintf("%s:%d ", s.From.Format("05"), s.Requests)
		}
		return out
	}
	for _, c := range []struct {
		count uint64
		after time.Duration
		want  string
	}{
		{40, 0, ""},               // before we looked
		{40, 3 * time.Second, ""}, // nobody came
		{43, 5 * time.Second, "05:3 "},
		{50, 8 * time.Second, "05:10 "},
		{51, 19 * time.Second, "05:10 10:0 15:0 20:1 "},
		{52, 4 * time.Second, "05:10 10:0 15:0 20:1 "}, // a clock that was set back
		{5, 25 * time.Second, "05:10 10:0 15:0 20:1 25:5 "},
	} {
		if got := saw(c.count, c.after); got != c.want {
			t.Errorf("%d after %s: %q, want %q", c.count, c.after, got, c.want)
		}
	}
	saw(6, 20*time.Minute)
	saw(7, 40*time.Minute)
	if len(a.slices) != arrivalsKept {
		t.Errorf("%d slices are kept, not %d", len(a.slices), arrivalsKept)
	}
	if saw(8, 20*time.Hour); len(a.slices) != 1 {
		t.Errorf("after a long silence %d slices are kept", len(a.slices))
	}
}
