package engine

import (
	"testing"
	"time"

	"lifeboat/internal/feed"
	"lifeboat/internal/probe"
)

// TestHours: the worst of a minute stays, what is known already counts once, no more
// than an hour is kept, and a clock that was set back spoils nothing.
func TestHours(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 12, 2, 0, 0, 0, time.UTC)
	var h hours
	see := func(at time.Duration, v probe.Verdict, took time.Duration) {
		h.note("shop", []feed.Sight{
			{Site: "shop", Place: "main", Check: "home", Last: probe.Result{At: start.Add(at), Verdict: v, Took: took}},
			{Site: "blog", Place: "main", Check: "home", Last: probe.Result{At: start.Add(at), Verdict: probe.Fail}},
		})
	}
	h.note("shop", []feed.Sight{{Site: "shop", Place: "main", Check: "home"}}) // never asked
	see(0, probe.Pass, 200*time.Millisecond)
	see(5*time.Second, probe.Inconclusive, 0)
	see(10*time.Second, probe.Fail, 0)
	see(15*time.Second, probe.Pass, 300*time.Millisecond)
	see(2*time.Minute, probe.Pass, time.Second)
	see(30*time.Second, probe.Fail, 0) // the clock was set back
	if len(h.all) != 1 || len(h.all[0].Minutes) != 2 {
		t.Fatalf("%+v", h.all)
	}
	if m := h.all[0].Minutes; m[0] != (Minute{start, probe.Fail, 300 * time.Millisecond}) || m[1] != (Minute{start.Add(2 * time.Minute), probe.Pass, time.Second}) {
		t.Errorf("%+v", m)
	}
	for i := range 90 {
		see(time.Duration(3+i)*time.Minute, probe.Pass, time.Millisecond)
	}
	if m := h.all[0].Minutes; len(m) != hourKept || !m[hourKept-1].From.Equal(start.Add(92*time.Minute)) {
		t.Errorf("%d minutes are kept, to %s", len(m), m[len(m)-1].From)
	}
}
