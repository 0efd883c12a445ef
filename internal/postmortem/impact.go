package postmortem

import (
	"slices"
	"time"

	"lifeboat/internal/incident"
)

const notMeasured = "not measured"

// impact is what visitors met, as far as it was measured.
func (b *builder) impact() []Block {
	if b.in.Drill { // no visitor met it
		return nil
	}
	var all []Term
	e := b.lastOf(incident.ImpactMeasured)
	measured, read := tryData[incident.Impact](e)
	read = read && e.Seq > 0
	addTerm(&all, "The site was seen to fail for", b.seenDown(e, measured, read))
	addTerm(&all, "Visitors were still sent there for", b.exposed(e, measured, read))
	away := b.away()
	if len(away) > 0 {
		addTerm(&all, "Visitors were kept away for", fact(spanRefs(away), "%s", b.soFar(spell(total(away)))))
	}
	for _, p := range b.pulls() {
		if held, seen := p.held(b.now); seen && p.Kind != "zone" {
			stays := ""
			if p.ends.Seq == 0 {
				stays = ", and it is still in force"
			}
			addTerm(&all, "Meanwhile in force", fact(refs(p.seen, p.ends), "%s, for %s%s", b.cite(p.Title), spell(held), stays))
		}
	}
	switch {
	case read && measured.StandbyHit > 0:
		addTerm(&all, "Requests that met the status page", fact(refs(e), "%s", b.soFar(thousands(measured.StandbyHit))))
	case read && b.toStandby():
		addTerm(&all, "Requests that met the status page", fact(refs(e), "none"))
	case !read && b.toStandby():
		addTerm(&all, "Requests that met the status page", b.absent(notMeasured))
	}
	if read && measured.Late > 0 {
		addTerm(&all, "Of these, after the return", fact(refs(e), "%s", thousands(measured.Late)))
	}
	if !b.real() {
		all = slices.DeleteFunc(all, func(t Term) bool { return t.Absent })
	}
	return terms(all)
}

// toStandby says whether a lever that was seen in force led to the status page.
func (b *builder) toStandby() bool {
	return slices.ContainsFunc(b.pulls(), func(p pullStory) bool {
		d := data[pressData](p.pressed)
		return p.seen.Seq > 0 && (p.To == "standby" || d.Facts != nil && d.Facts.ToStandby)
	})
}

// seenDown is how long checks saw the real site fail.
func (b *builder) seenDown(e incident.Event, m incident.Impact, read bool) Fact {
	down := b.down()
	n := len(down)
	still := ""
	if n > 0 && down[n-1].open {
		still = ", and it had not been seen well again"
	}
	switch {
	case n == 1:
		return fact(down[0].events, "%s, from %s to %s%s", spell(total(down)), b.clock(down[0].from), b.clock(down[0].to), still)
	case n > 1:
		return fact(spanRefs(down), "%s in all, in %s stretches between %s and %s%s", spell(total(down)), number(n), b.clock(down[0].from), b.clock(down[n-1].to), still)
	case read && m.DownFrom.IsZero():
		return fact(refs(e), "no check saw it fail")
	case read:
		return fact(refs(e), "%s; it began at %s", notMeasured, b.clock(m.DownFrom))
	}
	return b.absent(notMeasured)
}

// exposed is how long visitors were sent to a site that was seen to fail.
func (b *builder) exposed(e incident.Event, m incident.Impact, read bool) Fact {
	say := func(events []uint64, d time.Duration) Fact {
		if d < time.Millisecond {
			return fact(events, "none of that time")
		}
		return fact(events, "%s", spell(d))
	}
	switch down := b.down(); {
	case len(down) > 0:
		return say(join(spanRefs(down), spanRefs(b.away())), outside(down, b.away()))
	case read && !m.DownFrom.IsZero():
		return say(refs(e), time.Duration(m.ExposedMS)*time.Millisecond)
	case read:
		return Fact{}
	}
	return b.absent(notMeasured)
}
