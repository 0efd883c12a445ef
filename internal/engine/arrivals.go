package engine

import (
	"slices"
	"sync"
	"time"

	"lifeboat/internal/feed"
)

// Arrival is how many requests of visitors met the standby in one slice of time, while
// the site was ordered there.
type Arrival struct {
	From     time.Time // UTC
	Requests uint64
}

// How finely and how far back arrivals are kept, in memory: they are for a picture. What
// counts for the post-mortem is counted on record.
const (
	ArrivalSlice = 5 * time.Second
	arrivalsKept = int(30 * time.Minute / ArrivalSlice)
)

// arrivals are the slices of one site, oldest first and without a gap.
type arrivals struct {
	mu     sync.Mutex
	last   feed.Visits
	known  bool
	slices []Arrival
}

// note takes what answer has counted until now.
func (a *arrivals) note(v feed.Visits, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	came := grown(a.last.Failover, v.Failover)
	if !a.known {
		came = 0 // before we looked
	}
	a.last, a.known = v, true
	from := now.UTC().Truncate(ArrivalSlice)
	if n := len(a.slices); n == 0 && came == 0 || n > 0 && from.Before(a.slices[n-1].From) { // nobody yet, or the clock was set back
		return
	}
	for n := len(a.slices); n > 0 && a.slices[n-1].From.Before(from); n = len(a.slices) {
		if from.Sub(a.slices[n-1].From) > ArrivalSlice*time.Duration(arrivalsKept) {
			a.slices = nil
			break
		}
		a.slices = append(a.slices, Arrival{From: a.slices[n-1].From.Add(ArrivalSlice)})
	}
	if len(a.slices) == 0 {
		a.slices = []Arrival{{From: from}}
	}
	a.slices = slices.Clone(a.slices[max(0, len(a.slices)-arrivalsKept):])
	a.slices[len(a.slices)-1].Requests += came
}

// Arrivals gives the slices of a site's last half hour since somebody met its standby,
// oldest first; the newest is not over yet.
func (e *Engine) Arrivals(site string) []Arrival {
	r, known := e.runners[site]
	if !known {
		return nil
	}
	r.arrivals.mu.Lock()
	defer r.arrivals.mu.Unlock()
	return slices.Clone(r.arrivals.slices)
}
