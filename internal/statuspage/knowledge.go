package statuspage

import (
	"time"

	"lifeboat/internal/probe"
	"lifeboat/internal/snapshot"
)

// skew is how far in the future a result may lie (a clock that was set back)
// before its age can't be told.
const skew = 5 * time.Second

// knowledge is what the checks come to at the place that a visitor asks about.
type knowledge struct {
	place  string
	seen   probe.Seen
	at     time.Time // the result that seen rests on: the oldest when up, the newest otherwise; zero: none
	checks []finding
	old    bool // unknown only because every result is too old
}

// finding is one check, judged.
type finding struct {
	Name string
	Seen probe.Seen
	At   time.Time
	old  bool
}

// judge looks at the place where the site is ordered to be, or at home while it
// is ordered to the standby.
func (p Page) judge() knowledge {
	k := knowledge{place: p.Ordered}
	if p.Ordered == snapshot.Standby || p.Ordered == "" {
		k.place = p.Home
	}
	for _, s := range p.Seen {
		if s.Place == k.place {
			k.checks = append(k.checks, s.judge(p.Now))
		}
	}
	k.sum()
	return k
}

// judge turns old or impossible knowledge to Unknown.
func (s Seen) judge(now time.Time) finding {
	f := finding{Name: line(s.Check), Seen: probe.Unknown, At: s.LastAt.UTC()}
	if s.LastAt.IsZero() {
		f.At = time.Time{}
		return f
	}
	age := now.Sub(s.LastAt)
	if f.old = age > max(StaleAfter, 3*s.Every); f.old || age < -skew {
		return f
	}
	if s.Seen == probe.Up || s.Seen == probe.Down {
		f.Seen = s.Seen
	}
	return f
}

// sum: one check that is down is enough for "down"; "up" needs all of them.
func (k *knowledge) sum() {
	up, down, old := 0, 0, 0
	for _, f := range k.checks {
		switch {
		case f.Seen == probe.Up:
			up++
		case f.Seen == probe.Down:
			down++
		case f.old:
			old++
		}
	}
	k.seen = probe.Unknown
	switch {
	case down > 0:
		k.seen = probe.Down
	case up > 0 && up == len(k.checks):
		k.seen = probe.Up
	case old > 0 && old == len(k.checks):
		k.old = true
	}
	for _, f := range k.checks {
		k.rest(f)
	}
}

// rest picks the result whose age is told.
func (k *knowledge) rest(f finding) {
	switch {
	case f.At.IsZero() || k.seen != probe.Unknown && f.Seen != k.seen:
	case k.at.IsZero(),
		k.seen == probe.Up && f.At.Before(k.at),
		k.seen != probe.Up && f.At.After(k.at):
		k.at = f.At
	}
}
