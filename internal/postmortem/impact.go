package postmortem

import (
	"fmt"
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
	addTerm(&all, "Of that, with visitors there", b.exposed(e, measured, read))
	addTerm(&all, "Met after the return", b.unmeasured())
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
			name := "Meanwhile in force"
			if len(away) == 0 {
				name = "In force"
			}
			addTerm(&all, name, fact(refs(p.seen, p.ends), "%s, for %s%s", b.cite(p.Title), spell(held), stays))
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
	case n == 1 && b.clock(down[0].from) == b.clock(down[0].to):
		return fact(down[0].events, "%s, from %s on%s", spell(total(down)), b.clock(down[0].from), still)
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
	down, away := b.down(), b.away()
	switch {
	case len(down) > 0:
	case read && !m.DownFrom.IsZero():
		return fact(refs(e), "%s", spell(time.Duration(m.ExposedMS)*time.Millisecond))
	case read:
		return Fact{}
	default:
		return b.absent(notMeasured)
	}
	from := join(spanRefs(down), spanRefs(away))
	met := outside(down, away)
	switch {
	case met < time.Millisecond:
		return fact(from, "none")
	case len(away) == 0:
		recovered, more := b.recovered(down)
		return fact(join(from, more), "all of it, since visitors stayed on the real site%s", recovered)
	}
	again, more := b.exposedAgain(down, away, met)
	return fact(join(from, more), "%s%s", spell(met), again)
}

// exposedAgain is how long of it was after visitors had begun to go back, as the end of
// a clause.
func (b *builder) exposedAgain(down, away []stretch, all time.Duration) (string, []uint64) {
	returned := b.firstOf(incident.StagePassed)
	if returned.Seq == 0 {
		return "", nil
	}
	var later []stretch
	for _, s := range down {
		if s.to.After(returned.At) {
			if s.from.Before(returned.At) {
				s.from = returned.At
			}
			later = append(later, s)
		}
	}
	met := outside(later, away)
	if met < time.Millisecond {
		return "", nil
	}
	part := spell(met)
	if met == all {
		part = "all"
	}
	return ", " + part + " of it after visitors had begun to go back", refs(returned)
}

// recovered is how soon after a lever the site was seen well, where no fix had begun, as
// the end of a clause.
func (b *builder) recovered(down []stretch) (string, []uint64) {
	last := down[len(down)-1]
	for _, f := range b.tried() {
		if f.begun.Seq > 0 && f.begun.At.Before(last.to) {
			return "", nil
		}
	}
	for _, p := range b.pulls() {
		if after := last.to.Sub(p.seen.At); p.seen.Seq > 0 && !last.open && after > 0 {
			return fmt.Sprintf("; it was seen well again %s after %s was in force", spell(after), b.cite(p.Title)), refs(p.seen)
		}
	}
	return "", nil
}

// unmeasured is what no check can tell: what visitors met after a return, before a
// person sent them to safety again and ahead of the checks.
func (b *builder) unmeasured() Fact {
	for _, t := range b.turns() {
		if !t.moved() || !t.pressed() || t.warned() {
			continue
		}
		from, saw := refs(t.since(), t.event), "no check saw the real site fail"
		if len(t.seen) > 0 {
			from = join(from, refs(t.seen[0].event))
			saw = "the first check to see the real site fail did so " + spell(t.seen[0].At.Sub(t.event.At)) + " after that"
		}
		return fact(from, "%s: everybody had been back for %s when %s, and %s", notMeasured, spell(t.event.At.Sub(t.since().At)), b.cutShort(t), saw)
	}
	return Fact{}
}
