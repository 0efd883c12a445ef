package postmortem

import (
	"slices"
	"strings"
	"time"

	"lifeboat/internal/incident"
)

// pullStory is a pull with the events that tell of it.
type pullStory struct {
	incident.Pull
	pressed incident.Event // it was pulled; for one that an earlier incident left, the declaration
	seen    incident.Event // first seen in force from outside
	back    incident.Event // seen put back
	ends    incident.Event // put back, or made permanent
	all     []incident.Event
	carried bool // an earlier incident left it pulled
}

// pulls are the levers that were pulled, in order.
func (b *builder) pulls() []pullStory {
	var out []pullStory
	for _, p := range b.in.Pulls {
		s := pullStory{Pull: p, all: b.about("pull", p.ID)}
		for _, e := range s.all {
			switch e.Type {
			case incident.LeverApplying:
				if s.pressed.Seq == 0 {
					s.pressed = e
				}
			case incident.LeverSeen:
				if s.seen.Seq == 0 {
					s.seen = e
				}
			case incident.LeverUndone:
				s.back, s.ends = e, e
			case incident.LeverSettled, incident.LeverGivenUp:
				s.ends = e
			}
		}
		if s.pressed.Seq == 0 {
			s.pressed, s.carried = b.firstOf(incident.Declared), true
		}
		if s.pressed.Seq > 0 {
			out = append(out, s)
		}
	}
	return out
}

// held is how long it was in force as far as that was seen, and whether it was.
func (p pullStory) held(now time.Time) (time.Duration, bool) {
	switch {
	case p.seen.Seq == 0:
		return 0, false
	case p.ends.Seq > 0:
		now = p.ends.At
	}
	return now.Sub(p.seen.At), now.After(p.seen.At)
}

// fixStory is a fix with the events that tell of it.
type fixStory struct {
	incident.Fix
	proposed, begun, measured, again incident.Event
	placed                           incident.Event // first in place
	all                              []incident.Event
}

// tried are the fixes, in order.
func (b *builder) tried() []fixStory {
	var out []fixStory
	for _, f := range b.in.Fixes {
		s := fixStory{Fix: f, all: b.about("fix", f.ID)}
		for _, e := range s.all {
			switch e.Type {
			case incident.FixProposed:
				s.proposed = e
			case incident.FixApplying:
				s.begun = e
			case incident.FixApplied:
				if s.placed.Seq == 0 {
					s.placed = e
				}
			case incident.FixMeasured:
				s.measured = e
			case incident.FixAgain:
				s.again = e
			}
		}
		if f.Outside {
			s.begun, s.placed = s.proposed, s.proposed
		}
		if s.proposed.Seq > 0 {
			out = append(out, s)
		}
	}
	return out
}

// cured is the newest fix that did what it promised and is still in place.
func (b *builder) cured() (fixStory, bool) {
	all := b.tried()
	slices.Reverse(all)
	i := slices.IndexFunc(all, func(f fixStory) bool { return f.Fix.Done() && f.State == incident.StateWorked && f.measured.Seq > 0 })
	if i < 0 {
		return fixStory{}, false
	}
	return all[i], true
}

// ends is what became of it in the end: taken back, or kept as it was.
func (f fixStory) ends() incident.Event {
	for _, e := range slices.Backward(f.all) {
		if e.Type == incident.FixRolledBack || e.Type == incident.FixAccepted {
			return e
		}
	}
	return incident.Event{}
}

// fixName is what a fix is called within a sentence: fix 1.
func fixName(id string) string { return numbered("fix", "f", id) }

// causeName is what a possible cause is called within a sentence.
func causeName(id string) string { return numbered("possible cause", "c", id) }

func numbered(noun, prefix, id string) string {
	id = clean(id)
	if n, found := strings.CutPrefix(id, prefix); found && n != "" && strings.Trim(n, "0123456789") == "" && len(n) < 5 {
		return noun + " " + n
	}
	return noun + " " + cited(cut(id, 40))
}

// diagnosed is the confirmation that stands.
func (b *builder) diagnosed() (incident.Event, bool) {
	var standing incident.Event
	for _, e := range b.of(incident.DiagnosisConfirmed, incident.DiagnosisWithdrawn) {
		standing = incident.Event{}
		if e.Type == incident.DiagnosisConfirmed && data[incident.Diagnosis](e).Statement != "" {
			standing = e
		}
	}
	return standing, standing.Seq > 0
}

// withdrawn is a confirmation that did not stand.
type withdrawn struct {
	confirmed, event incident.Event
	ruledOut         incident.Event // its first cause, afterwards
}

// withdrawn are the confirmations that did not stand, in order.
func (b *builder) withdrawn() []withdrawn {
	var out []withdrawn
	var standing incident.Event
	for _, e := range b.of(incident.DiagnosisConfirmed, incident.DiagnosisWithdrawn) {
		if e.Type == incident.DiagnosisConfirmed {
			standing = e
			continue
		}
		if standing.Seq > 0 {
			w := withdrawn{confirmed: standing, event: e}
			for _, id := range data[incident.Diagnosis](standing).Causes {
				for _, x := range b.about("cause", id, incident.CauseRuledOut) {
					if x.Seq > e.Seq && w.ruledOut.Seq == 0 {
						w.ruledOut = x
					}
				}
			}
			out = append(out, w)
		}
		standing = incident.Event{}
	}
	return out
}

// stands says whether one of some causes is part of the confirmation that stands.
func (b *builder) stands(causes []string) bool {
	e, found := b.diagnosed()
	return found && slices.ContainsFunc(data[incident.Diagnosis](e).Causes, func(id string) bool { return slices.Contains(causes, id) })
}

// moves says whether a lever of a kind sends visitors to another place.
func moves(kind string) bool { return kind == "zone" }

// putBack gives the levers that a return has put back, and whether visitors moved with
// it: where nothing was left to put back, whether any lever had sent them away.
func (b *builder) putBack(planned, back incident.Event) (out []pullStory, moved bool) {
	away := false
	for _, p := range b.pulls() {
		away = away || p.seen.Seq > 0 && moves(p.Kind)
		if p.back.Seq > planned.Seq && p.back.Seq < back.Seq {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return nil, away
	}
	return out, slices.ContainsFunc(out, func(p pullStory) bool { return moves(p.Kind) })
}

// leaves gives the titles of the levers that a return is about to put back, and whether
// visitors move with it.
func (b *builder) leaves(passed incident.Event) (names []string, moved bool) {
	for _, id := range data[passedData](passed).Undo {
		if p, found := b.in.Pull(id); found {
			moved = moved || moves(p.Kind)
			if name := b.cite(p.Title); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names, moved || len(names) == 0
}

// diagnosedBy says whether a cause stood confirmed when an event came.
func (b *builder) diagnosedBy(seq uint64) bool {
	standing := false
	for _, e := range b.of(incident.DiagnosisConfirmed, incident.DiagnosisWithdrawn) {
		if e.Seq < seq {
			standing = e.Type == incident.DiagnosisConfirmed
		}
	}
	return standing
}

// returnOf is the plan that a later event of a return belongs to.
func (b *builder) returnOf(of incident.Event) incident.Event {
	var planned incident.Event
	for _, e := range b.of(incident.ReturnPlanned) {
		if e.Seq < of.Seq {
			planned = e
		}
	}
	return planned
}

// settled are the events of a return that ended where visitors were.
func (b *builder) settled(planned incident.Event) []incident.Event {
	if planned.Seq == 0 {
		return nil
	}
	var out []incident.Event
	for _, e := range b.of(incident.LeverSettled, incident.ReturnPlanned) {
		if e.Seq <= planned.Seq {
			continue
		}
		if e.Type == incident.ReturnPlanned {
			break
		}
		out = append(out, e)
	}
	return out
}

// byPerson says whether the declaration tells who noticed it: one that came with an
// automatic move or a local order does not.
func byPerson(declared incident.Event) bool {
	return !declared.Actor.Automatic() && declared.AtSource != incident.FromRecalled
}

// sight is a change of what a check saw, with its event.
type sight struct {
	incident.Sight
	event incident.Event
}

// sights are what the checks saw at the real site, by their time.
func (b *builder) sights() []sight {
	var out []sight
	for _, e := range b.of(incident.SightChanged) {
		if s, readable := tryData[incident.Sight](e); readable && s.Home {
			if s.At.IsZero() {
				s.At = e.At
			}
			out = append(out, sight{s, e})
		}
	}
	slices.SortStableFunc(out, func(a, b sight) int { return a.At.Compare(b.At) })
	return out
}

// firstDown is when a check first saw the real site fail.
func (b *builder) firstDown() (sight, bool) {
	all := b.sights()
	i := slices.IndexFunc(all, func(s sight) bool { return s.Seen == "down" })
	if i < 0 {
		return sight{}, false
	}
	return all[i], true
}

// stretch is a span of time with the events that begin and end it.
type stretch struct {
	from, to time.Time
	events   []uint64
	checks   []string // whose word ends it
	open     bool     // its end was not seen
}

// down is when at least one check saw the real site fail.
func (b *builder) down() []stretch {
	var out []stretch
	failing, open := map[string]bool{}, stretch{}
	for _, s := range b.sights() {
		before := len(failing)
		if s.Seen == "down" {
			failing[s.Check] = true
		} else {
			delete(failing, s.Check)
		}
		switch {
		case before == 0 && len(failing) > 0:
			open = stretch{from: s.At, events: refs(s.event)}
		case before > 0 && len(failing) == 0:
			open.to, open.events, open.checks = s.At, join(open.events, refs(s.event)), []string{s.Check}
			out = append(out, open)
		}
	}
	if len(failing) > 0 && b.now.After(open.from) {
		open.to, open.open = b.now, true
		out = append(out, open)
	}
	return slices.DeleteFunc(out, func(s stretch) bool { return !s.to.After(s.from) })
}

// away is when visitors were kept away from the real site, without overlaps.
func (b *builder) away() []stretch {
	var all []stretch
	for _, p := range b.pulls() {
		if held, seen := p.held(b.now); p.Kind == "zone" && seen {
			all = append(all, stretch{from: p.seen.At, to: p.seen.At.Add(held), events: refs(p.seen, p.ends)})
		}
	}
	slices.SortStableFunc(all, func(a, b stretch) int { return a.from.Compare(b.from) })
	var out []stretch
	for _, s := range all {
		if n := len(out); n > 0 && !s.from.After(out[n-1].to) {
			if s.to.After(out[n-1].to) {
				out[n-1].to = s.to
			}
			out[n-1].events = join(out[n-1].events, s.events)
			continue
		}
		out = append(out, s)
	}
	return out
}

func total(all []stretch) (sum time.Duration) {
	for _, s := range all {
		sum += s.to.Sub(s.from)
	}
	return sum
}

func spanRefs(all []stretch) (out []uint64) {
	for _, s := range all {
		out = join(out, s.events)
	}
	return out
}

// outside is how long the stretches of a lie outside those of b.
func outside(a, b []stretch) time.Duration {
	sum := total(a)
	for _, x := range a {
		for _, y := range b {
			from, to := x.from, x.to
			if y.from.After(from) {
				from = y.from
			}
			if y.to.Before(to) {
				to = y.to
			}
			sum -= max(0, to.Sub(from))
		}
	}
	return sum
}
