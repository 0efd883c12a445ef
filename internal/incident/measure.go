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
		carried := p.FirstAt.Before(in.DeclaredAt) // zero, too: never seen in force
		if !carried && (m.SafeAt.IsZero() || p.FirstAt.Before(m.SafeAt)) {
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

// down gives when a check saw the home down.
func (in Incident) down(now time.Time) []span {
	var out []span
	failing, since := map[string]bool{}, time.Time{}
	for _, s := range in.Sights {
		if !s.Home {
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
		case before > 0 && len(failing) == 0 && s.At.After(since):
			out = append(out, span{since, s.At})
		}
	}
	if len(failing) > 0 && now.After(since) {
		out = append(out, span{since, now})
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
		if !p.BackAt.IsZero() {
			to = p.BackAt
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
	from, to := a.from, a.to
	if b.from.After(from) {
		from = b.from
	}
	if b.to.Before(to) {
		to = b.to
	}
	return max(0, to.Sub(from))
}
