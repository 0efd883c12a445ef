package postmortem

import (
	"slices"
	"time"

	"lifeboat/internal/incident"
)

// times are the moments that the incident turned on.
func (b *builder) times() []Block {
	t := Table{Columns: []string{"What", "UTC"}}
	if b.zoned() {
		t.Columns = append(t.Columns, b.zone())
	}
	t.Columns = append(t.Columns, "From the declaration")
	if !b.o.Public {
		t.Columns = append(t.Columns, "Where the time comes from")
	}
	k := keyTable{b, &t}
	k.beginning()
	k.middle()
	k.end()
	return table("", t)
}

// keyTable fills the table of key times.
type keyTable struct {
	*builder
	table *Table
}

// add adds a moment that is known.
func (k keyTable) add(what string, at time.Time, source string, events ...incident.Event) {
	if at.IsZero() {
		return
	}
	cells := []string{what, k.short(at.UTC(), k.in.DeclaredAt.UTC())}
	if k.zoned() {
		cells = append(cells, k.short(at.In(k.o.Zone), k.in.DeclaredAt.In(k.o.Zone)))
	}
	span := "–"
	switch d := at.Sub(k.in.DeclaredAt); {
	case k.in.DeclaredAt.IsZero() || d.Abs() < 500*time.Millisecond:
	case d < 0:
		span = spell(d) + " before"
	default:
		span = spell(d) + " after"
	}
	k.table.row(refs(events...), append(cells, span, source)[:len(k.table.Columns)]...)
}

// unknown adds a moment that nobody measured.
func (k keyTable) unknown(what, why string, events ...incident.Event) {
	cells := []string{what, why}
	for len(cells) < len(k.table.Columns) {
		cells = append(cells, "")
	}
	f := fact(refs(events...), "")
	if len(events) == 0 {
		f = k.absent("")
	}
	k.table.Rows = append(k.table.Rows, Row{Cells: cells, Fact: f})
}

func (k keyTable) beginning() {
	if c, found := k.suspect(); found && !k.o.Public {
		k.add("First change suspected", c.At, "the list of changes", k.about("change", c.ID)...)
	}
	declared := k.firstOf(incident.Declared)
	down, measured := k.firstDown()
	if measured {
		k.add("First symptom", down.At, "measured by "+checkName(down.Check), down.event)
	}
	if told := k.in.FirstSymptomAt; !told.IsZero() && (!measured || told.Before(down.At.Add(-time.Second))) {
		k.add("First symptom, as told", told, "entered at the declaration", declared)
	} else if !measured && k.real() {
		k.unknown("First symptom", notMeasured)
	}
	if declared.Seq > 0 {
		if by := noticedBy[k.in.Noticed]; by != "" && !k.in.Drill && !k.o.Public && (byPerson(declared) || k.in.Noticed == "monitor") {
			k.add("Noticed", declared.At, by+"; told at the declaration, so no later", declared)
		}
		k.add("Declared", declared.At, k.sourceOf(declared), declared)
	}
}

// noticedBy is who noticed it, for a table.
var noticedBy = map[string]string{"monitor": "monitoring", "visitor": "a visitor", "staff": "the staff", "social": "people on social media"}

// suspect is the earliest change that is marked as suspected.
func (b *builder) suspect() (incident.Change, bool) {
	for i := len(b.in.Changes) - 1; i >= 0; i-- { // newest first
		if b.in.Changes[i].Suspect {
			return b.in.Changes[i], true
		}
	}
	return incident.Change{}, false
}

// sourceOf says where the time of an event comes from.
func (b *builder) sourceOf(e incident.Event) string {
	switch {
	case e.AtSource == incident.FromRecalled:
		return "recalled, from a local order"
	case e.AtSource == incident.FromProbe:
		return "a probe"
	case e.Actor.Automatic():
		return "recorded by lifeboat"
	}
	return "pressed by " + b.who(e.Actor)
}

func (k keyTable) middle() {
	pulls := k.pulls()
	if i := slices.IndexFunc(pulls, func(p pullStory) bool { return !p.carried }); i >= 0 {
		what := "First lever pulled"
		if k.o.Public {
			what = "First measure taken"
		}
		k.add(what, pulls[i].pressed.At, k.sourceOf(pulls[i].pressed), pulls[i].pressed)
	}
	var safe incident.Event
	for _, p := range pulls {
		if p.seen.Seq > 0 && (safe.Seq == 0 || p.seen.At.Before(safe.At)) {
			safe = p.seen
		}
	}
	switch e := k.lastOf(incident.DecisionMade); {
	case safe.Seq > 0:
		what := "Safe"
		if k.in.Drill {
			what = "In force"
		}
		k.add(what, safe.At, "seen from outside", safe)
	case len(pulls) > 0:
		k.unknown("Safe", "never seen from outside", pulls[0].pressed)
	case e.Seq > 0:
		k.add("Decided to stay", e.At, k.sourceOf(e), e)
	}
	if e, found := k.diagnosed(); found {
		k.add("Cause confirmed", e.At, k.sourceOf(e), e)
	}
	if f, found := k.cured(); found {
		name := begin(fixName(f.ID))
		if k.o.Public {
			name = "Fix"
		}
		k.add(name+" in place", f.placed.At, k.sourceOf(f.placed), f.placed)
		source := "read back by its check"
		if !f.measured.Actor.Automatic() {
			source = "the word of " + k.who(f.measured.Actor)
		}
		k.add(name+" measured", f.measured.At, source, f.measured)
	}
}

func (k keyTable) end() {
	planned, back := k.lastOf(incident.ReturnPlanned), k.lastOf(incident.ReturnCompleted)
	switch settled := k.settled(planned); {
	case len(settled) > 0:
		k.add("Made permanent", settled[0].At, k.sourceOf(settled[0]), settled...)
	default:
		if planned.Seq > 0 {
			k.add("Return started", planned.At, k.sourceOf(planned), planned)
		}
		if back.Seq > 0 {
			k.add("Everybody back", back.At, "seen from outside", back)
		}
	}
	for _, e := range []incident.Event{k.lastOf(incident.WatchPassed), k.lastOf(incident.CancelledType), k.lastOf(incident.ClosedType)} {
		if e.Seq > 0 {
			k.add("Over", e.At, k.sourceOf(e), e)
			return
		}
	}
}

// detection is how it came to be known.
func (b *builder) detection() []Block {
	var p Paragraph
	declared := b.firstOf(incident.Declared)
	if declared.Seq > 0 && !b.in.Drill {
		if declared.AtSource == incident.FromRecalled {
			p.say(fact(refs(declared), "It began with a local order by %s at %s, which was taken over into the record %s.", b.who(declared.Actor), b.clock(declared.At), later(declared.RecordedAt.Sub(declared.At))))
		} else {
			p.say(fact(refs(declared), "%s declared the incident at %s.", b.Who(declared.Actor), b.clock(declared.At)))
		}
		if byPerson(declared) || b.in.Noticed == "monitor" {
			p.say(fact(refs(declared), "%s", noticed[b.in.Noticed]))
		}
		if told := b.in.FirstSymptomAt; !told.IsZero() {
			if d := declared.At.Sub(told); d >= time.Second {
				p.say(fact(refs(declared), "The first symptom was put at %s, %s earlier.", b.clock(told), spell(d)))
			}
		}
		b.sawBefore(&p, declared)
	}
	return paragraph("", p)
}

var noticed = map[string]string{
	"monitor": "Monitoring had noticed it.",
	"visitor": "A visitor had noticed it.",
	"staff":   "Somebody on the staff had noticed it.",
	"social":  "It had been noticed on social media.",
}

// sawBefore is what the checks saw before the declaration, and when the first saw
// anything at all.
func (b *builder) sawBefore(p *Paragraph, declared incident.Event) {
	seen := map[string]bool{}
	early := 0
	for _, s := range b.sights() {
		if s.Seen != "down" || seen[s.Check] || s.At.After(declared.At) || len(seen) > 5 {
			continue
		}
		seen[s.Check] = true
		early++
		p.say(fact(refs(s.event), "%s had seen the real site fail since %s, %s before the declaration%s.", begin(checkName(s.Check)), b.clock(s.At), spell(declared.At.Sub(s.At)), saying(b.quote(s.Detail))))
	}
	if early > 0 {
		return
	}
	down, found := b.firstDown()
	switch {
	case found:
		p.say(b.absent("No check had seen anything by then."))
		p.say(fact(refs(down.event), "The first to see it was %s, %s%s.", checkName(down.Check), later(down.At.Sub(declared.At)), saying(b.quote(down.Detail))))
	default:
		p.say(b.absent("No check recorded that the real site failed."))
	}
}
