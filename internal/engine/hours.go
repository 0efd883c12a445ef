package engine

import (
	"slices"
	"sync"
	"time"

	"lifeboat/internal/feed"
	"lifeboat/internal/probe"
)

// Minute is what a check came to in one minute: the worst that was seen, and how long
// the slowest pass took.
type Minute struct {
	From    time.Time // UTC
	Verdict probe.Verdict
	Took    time.Duration // 0 where nothing passed
}

// Hour is a check's last hour at one place, oldest minute first. Minutes in which it was
// not asked are not there.
type Hour struct {
	Place, Check string
	Minutes      []Minute
}

// hourKept is how many minutes are kept, in memory: they are for a picture. What turns is
// on record.
const hourKept = 60

// hours are the last hour of each check of a site.
type hours struct {
	mu  sync.Mutex
	all []Hour
}

// note takes the newest results of a site's checks; one that is known already changes
// nothing.
func (h *hours) note(site string, sights []feed.Sight) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range sights {
		if s.Site != site || s.Last.At.IsZero() {
			continue
		}
		i := slices.IndexFunc(h.all, func(o Hour) bool { return o.Place == s.Place && o.Check == s.Check })
		if i < 0 {
			i = len(h.all)
			h.all = append(h.all, Hour{Place: s.Place, Check: s.Check})
		}
		h.all[i].add(s.Last)
	}
}

func (o *Hour) add(r probe.Result) {
	from := r.At.UTC().Truncate(time.Minute)
	n := len(o.Minutes)
	if n > 0 && from.Before(o.Minutes[n-1].From) { // the clock was set back
		return
	}
	if n == 0 || from.After(o.Minutes[n-1].From) {
		o.Minutes = append(o.Minutes, Minute{From: from, Verdict: r.Verdict})
		o.Minutes = slices.Clone(o.Minutes[max(0, len(o.Minutes)-hourKept):])
	}
	m := &o.Minutes[len(o.Minutes)-1]
	if badness(r.Verdict) > badness(m.Verdict) {
		m.Verdict = r.Verdict
	}
	if r.Verdict == probe.Pass {
		m.Took = max(m.Took, r.Took)
	}
}

// badness orders verdicts: what failed is worse than what nobody can tell.
func badness(v probe.Verdict) int {
	switch v {
	case probe.Pass:
		return 0
	case probe.Fail:
		return 2
	}
	return 1
}

// Hours gives the last hour of each of a site's checks.
func (e *Engine) Hours(site string) []Hour {
	r, known := e.runners[site]
	if !known {
		return nil
	}
	r.hours.mu.Lock()
	defer r.hours.mu.Unlock()
	out := slices.Clone(r.hours.all)
	for i := range out {
		out[i].Minutes = slices.Clone(out[i].Minutes)
	}
	return out
}
