package web

import (
	"math"
	"testing"
	"time"

	"lifeboat/internal/engine"
)

func TestExpectedArrivals(t *testing.T) {
	t.Parallel()
	at := func(came ...uint64) (all []engine.Arrival) {
		for i, n := range came {
			all = append(all, engine.Arrival{From: start.Add(time.Duration(i) * engine.ArrivalSlice), Requests: n})
		}
		return all
	}
	for name, c := range map[string]struct {
		all   []engine.Arrival
		since time.Time
		ttl   time.Duration
		want  []float64 // nil: it is not known
	}{
		"a TTL of three slices":  {at(0, 30, 60, 60), start, 15 * time.Second, []float64{10, 30, 50, 60}},
		"long ago":               {at(7, 9, 8), start.Add(-time.Hour), time.Minute, []float64{8, 8, 8}},
		"nobody came":            {at(0, 0, 0), start, time.Minute, []float64{0, 0, 0}},
		"kept for no time":       {at(1, 2, 3), start, 0, nil},
		"it is not known when":   {at(1, 2, 3), time.Time{}, time.Minute, nil},
		"sent after they came":   {at(1, 2, 3), start.Add(time.Hour), time.Minute, nil},
		"the clock was set back": {at(1, 2, 3), start.Add(6 * time.Second), time.Second, []float64{0, 3, 3}},
	} {
		got := expectedArrivals(c.all, c.since, c.ttl)
		if len(got) != len(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
			continue
		}
		for i := range got {
			if math.Abs(got[i]-c.want[i]) > 0.01 {
				t.Errorf("%s: %v, want %v", name, got, c.want)
				break
			}
		}
	}
}
