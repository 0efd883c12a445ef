package incident

import (
	"slices"
	"time"
)

// span is a stretch of time.
type span struct{ from, to time.Time }

// Measured gives the impact as the record shows it by now: how long checks saw the
// home down, and how long of that visitors were still sent there. Who met the status
// page is not in the record; the caller adds it.
func (in Incident) Measured(now time.Time) Impact {
	if !in.EndedAt.IsZero() && in.EndedAt.Before(now) {
		now = in.EndedAt
	}
	m := Impact{At: now.UTC()}
	down, away := in.down(now), in.away(now)
	if len(down) > 0 {
		m.DownFrom = down[0].from
	}
	for _, d := range down {
		m.ExposedMS += d.to.Sub(d.from).Milliseconds()
		for _, a := range away {
			m.ExposedMS -= overlap(d, a).Milliseconds()
		}
	}
	for _, a := range away {
		m.AwayMS += a.to.Sub(a.from).Milliseconds()
	}
	for _, p := range in.Pulls {
		if !p.Carried && !p.FirstAt.IsZero() && (m.SafeAt.IsZero() || p.FirstAt.Before(m.SafeAt)) {
			m.SafeAt = p.FirstAt
		}
		if p.BackAt.After(m.BackAt) {
			m.BackAt = p.BackAt
		}
	}
	if len(in.Loose()) > 0 {
		m.BackAt = time.Time{}
	}
	return m
}

// down gives when a check saw the home down. A place that was made the site's home is
// home from then on. After the last sight that fits into the record nobody knows.
func (in Incident) down(now time.Time) []span {
	sights := slices.Clone(in.Sights)
	slices.SortStableFunc(sights, func(a, b Sight) int { return a.At.Compare(b.At) })
	if n := len(sights); n >= maxSights && sights[n-1].At.Before(now) {
		now = sights[n-1].At
	}
	var out []span
	var from time.Time
	home := func(s Sight) bool { return s.Home }
	for _, p := range in.settled() {
		out = append(out, fails(sights, home, span{from, p.BackAt})...)
		from, home = p.BackAt, func(s Sight) bool { return s.Place == p.To }
	}
	return append(out, fails(sights, home, span{from, now})...)
}

// settled gives the pulls that made the place they led to the site's home, in order:
// of those that ended together, the one on top.
func (in Incident) settled() []Pull {
	var out []Pull
	for _, p := range in.Pulls {
		if p.State != Settled {
			continue
		}
		if n := len(out); n > 0 && out[n-1].BackAt.Equal(p.BackAt) {
			out = out[:n-1]
		}
		out = append(out, p)
	}
	return out
}

// fails gives when any check of a place failed within a time.
func fails(sights []Sight, of func(Sight) bool, within span) []span {
	var out []span
	failing, since := map[string]bool{}, time.Time{}
	end := func(at time.Time) {
		if s := (span{later(since, within.from), at}); s.to.After(s.from) {
			out = append(out, s)
		}
	}
	for _, s := range sights {
		if !of(s) || s.At.After(within.to) {
			continue
		}
		before := len(failing)
		if s.Seen == "down" {
			failing[s.Check] = true
		} else {
			delete(failing, s.Check)
		}
		switch {
		case before == 0 && len(failing) > 0:
			since = s.At
		case before > 0 && len(failing) == 0:
			end(s.At)
		}
	}
	if len(failing) > 0 {
		end(within.to)
	}
	return out
}

// away gives when visitors were sent somewhere else, without overlaps.
func (in Incident) away(now time.Time) []span {
	var all []span
	for _, p := range in.Pulls {
		if p.Kind != "zone" || p.FirstAt.IsZero() {
			continue
		}
		to := now
		for _, end := range []time.Time{p.BackAt, p.GoneAt} {
			if !end.IsZero() && end.Before(to) {
				to = end
			}
		}
		from := p.FirstAt
		if from.Before(in.DeclaredAt) { // left parked by an earlier incident
			from = in.DeclaredAt
		}
		if to.After(from) {
			all = append(all, span{from, to})
		}
	}
	slices.SortFunc(all, func(a, b span) int { return a.from.Compare(b.from) })
	var out []span
	for _, s := range all {
		if n := len(out); n > 0 && !s.from.After(out[n-1].to) {
			if s.to.After(out[n-1].to) {
				out[n-1].to = s.to
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

func overlap(a, b span) time.Duration {
	to := a.to
	if b.to.Before(to) {
		to = b.to
	}
	return max(0, to.Sub(later(a.from, b.from)))
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
