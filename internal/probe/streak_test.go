package probe_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"lifeboat/internal/probe"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestStreak(t *testing.T) {
	t.Parallel()
	type asked struct {
		second  int
		verdict probe.Verdict
		passes  int
		hold    bool
	}
	for _, tc := range []struct {
		name  string
		apart time.Duration
		asked []asked
	}{
		{"passes count", 0, []asked{{0, probe.Pass, 1, false}, {1, probe.Pass, 2, false}}},
		{"a fail takes it back to nothing", 0, []asked{{0, probe.Pass, 1, false}, {1, probe.Fail, 0, false}, {2, probe.Pass, 1, false}}},
		{"inconclusive too, and holds", 0, []asked{{0, probe.Pass, 1, false}, {1, probe.Inconclusive, 0, true}, {2, probe.Pass, 1, false}}},
		{"a fail ends the hold", 0, []asked{{0, probe.Inconclusive, 0, true}, {1, probe.Fail, 0, false}}},
		{"too close is not counted", time.Minute, []asked{{0, probe.Pass, 1, false}, {59, probe.Pass, 1, false}, {60, probe.Pass, 2, false}, {119, probe.Pass, 2, false}}},
		{"too close and failed does count", time.Minute, []asked{{0, probe.Pass, 1, false}, {1, probe.Fail, 0, false}}},
		{"a clock set back an hour costs one round only", time.Minute, []asked{{3600, probe.Pass, 1, false}, {0, probe.Pass, 1, false}, {60, probe.Pass, 2, false}}},
		{"a clock set back doesn't matter where none is asked to be apart", 0, []asked{{3600, probe.Pass, 1, false}, {0, probe.Pass, 2, false}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var s probe.Streak
			for _, a := range tc.asked {
				s = s.Next(probe.Result{At: noon.Add(time.Duration(a.second) * time.Second), Verdict: a.verdict}, tc.apart)
				if s.Passes != a.passes || s.Hold != a.hold {
					t.Errorf("at %d s: %+v, want %d passes, hold %v", a.second, s, a.passes, a.hold)
				}
			}
		})
	}
}

// TestStreakNeverCountsTooFast holds whatever the verdicts: n counted passes need
// (n−1) × apart without anything but passes.
func TestStreakNeverCountsTooFast(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		apart := time.Duration(rapid.IntRange(0, 90).Draw(t, "apart")) * time.Second
		var s probe.Streak
		now, clean := noon, noon // clean: when the first pass after the newest other verdict began
		for _, step := range rapid.SliceOf(rapid.IntRange(0, 120)).Draw(t, "steps") {
			now = now.Add(time.Duration(step) * time.Second)
			v := rapid.SampledFrom([]probe.Verdict{probe.Pass, probe.Pass, probe.Pass, probe.Fail, probe.Inconclusive}).Draw(t, "verdict")
			if s.Passes == 0 {
				clean = now
			}
			s = s.Next(probe.Result{At: now, Verdict: v}, apart)
			if v != probe.Pass && s.Passes != 0 {
				t.Fatalf("%s left %d passes", v, s.Passes)
			}
			if s.Passes > 0 && now.Sub(clean) < time.Duration(s.Passes-1)*apart {
				t.Fatalf("%d passes %s apart counted within %s", s.Passes, apart, now.Sub(clean))
			}
		}
	})
}
