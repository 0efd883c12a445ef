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
		t.Columns = append(t.Columns, "Source")
	}
	k := keyTable{builder: b, table: &t}
	k.beginning()
	k.middle()
	k.end()
	slices.SortStableFunc(k.moments, func(x, y moment) int { return x.at.Compare(y.at) })
	for _, m := range k.moments {
		t.Rows = append(t.Rows, m.row)
	}
	return table("", t)
}

// keyTable gathers the key times.
type keyTable struct {
	*builder
	table   *Table
	moments []moment
}

// moment is a row, by its time; one that nobody measured stands where it was added.
type moment struct {
	at  time.Time
	row Row
}

// add adds a moment that is known.
func (k *keyTable) add(what string, at time.Time, source string, events ...incident.Event) {
	from := refs(events...)
	if at.IsZero() || len(from) == 0 {
		return
	}
	cells := []string{what, k.short(at.UTC(), k.in.DeclaredAt.UTC())}
	if k.zoned() {
		cells = append(cells, k.short(at.In(k.o.Zone), k.in.DeclaredAt.In(k.o.Zone)))
	}
	span, least := "–", 500*time.Millisecond
	if k.fine {
		least = time.Millisecond
	}
	switch d := at.Sub(k.in.DeclaredAt); {
	case k.in.DeclaredAt.IsZero() || d.Abs() < least:
	case d < 0:
		span = spell(d) + " before"
	default:
		span = spell(d) + " after"
	}
	cells = append(cells, span, source)[:len(k.table.Columns)]
	k.moments = append(k.moments, moment{at, Row{Cells: cells, Fact: Fact{Events: from}}})
}

// unknown adds a moment that nobody measured.
func (k *keyTable) unknown(what, why string, events ...incident.Event) {
	cells := []string{what, why}
	for len(cells) < len(k.table.Columns) {
		cells = append(cells, "")
	}
	f := fact(refs(events...), "")
	if len(events) == 0 {
		f = k.absent("")
	}
	at := k.in.DeclaredAt
	if n := len(k.moments); n > 0 {
		at = k.moments[n-1].at
	}
	k.moments = append(k.moments, moment{at, Row{Cells: cells, Fact: f}})
}

func (k *keyTable) beginning() {
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
		source := k.sourceOf(declared)
		if by := noticedBy[k.in.Noticed]; by != "" && !k.in.Drill && byPerson(declared) {
			source += "; " + by + " had noticed it"
		}
		k.add("Declared", declared.At, source, declared)
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

func (k *keyTable) middle() {
	pulls := k.pulls()
	if i := slices.IndexFunc(pulls, func(p pullStory) bool { return !p.carried }); i >= 0 {
		what := "First lever pulled"
		if k.o.Public {
			what = "First measure taken"
		}
		k.add(what, pulls[i].pressed.At, k.sourceOf(pulls[i].pressed), pulls[i].pressed)
	}
	k.safe(pulls)
	for _, w := range k.withdrawn() {
		if !k.o.Public {
			k.add("Cause confirmed, later withdrawn", w.confirmed.At, k.sourceOf(w.confirmed), w.confirmed, w.event)
		}
	}
	if e, found := k.diagnosed(); found {
		k.add("Cause confirmed", e.At, k.sourceOf(e), e)
	}
	cured, found := k.cured()
	for _, f := range k.tried() {
		if f.measured.Seq > 0 && (!k.o.Public || found && f.ID == cured.ID) {
			k.fix(f)
		}
	}
	if down := k.down(); len(down) > 0 && !down[len(down)-1].open {
		last := down[len(down)-1]
		k.add("Site seen well again", last.to, "measured by "+checkNames(last.checks), k.bySeq(last.events)...)
	}
}

// safe is when the first lever was seen in force: visitors are safe where it sends them
// elsewhere.
func (k *keyTable) safe(pulls []pullStory) {
	var first, away incident.Event
	for _, p := range pulls {
		if p.seen.Seq == 0 {
			continue
		}
		if first.Seq == 0 || p.seen.At.Before(first.At) {
			first = p.seen
		}
		if moves(p.Kind) && (away.Seq == 0 || p.seen.At.Before(away.At)) {
			away = p.seen
		}
	}
	switch e := k.lastOf(incident.DecisionMade); {
	case k.in.Drill && first.Seq > 0, away.Seq == 0 && first.Seq > 0:
		k.add("Lever in force", first.At, "seen from outside", first)
	case away.Seq > 0:
		k.add("Visitors safe", away.At, "seen from outside", away)
	case len(pulls) > 0:
		k.unknown("Lever in force", "never seen from outside", pulls[0].pressed)
	case e.Seq > 0:
		k.add("Decided to stay", e.At, k.sourceOf(e), e)
	}
}

// fix adds when a fix was in place, and when it was clear what it did.
func (k *keyTable) fix(f fixStory) {
	name := begin(fixName(f.ID))
	if k.o.Public {
		name = "Fix"
	}
	k.add(name+" in place", f.placed.At, k.sourceOf(f.placed), f.placed)
	source := "read back by its check"
	if !f.measured.Actor.Automatic() {
		source = "the word of " + k.who(f.measured.Actor)
	}
	came := map[incident.FixState]string{incident.StateNoEffect: ": no effect", incident.StateWorse: ": it did harm"}[data[measuredData](f.measured).Result]
	k.add(name+" measured"+came, f.measured.At, source, f.measured)
}

// bySeq gives events by their sequence numbers.
func (b *builder) bySeq(numbers []uint64) []incident.Event {
	return slices.DeleteFunc(slices.Clone(b.events), func(e incident.Event) bool { return !slices.Contains(numbers, e.Seq) })
}

func (k *keyTable) end() {
	var planned incident.Event
	for _, e := range k.of(incident.ReturnPlanned, incident.ReturnCompleted, incident.SteppedBack, incident.WatchRelapse) {
		settled := k.settled(planned)
		switch {
		case e.Type == incident.ReturnPlanned:
			if planned = e; len(k.settled(e)) == 0 {
				k.add("Return started", e.At, k.sourceOf(e), e)
			}
		case e.Type == incident.ReturnCompleted && len(settled) > 0:
			k.add("Made permanent", settled[0].At, k.sourceOf(settled[0]), settled...)
		case e.Type == incident.ReturnCompleted:
			what := "Everybody back"
			if undone, moved := k.putBack(planned, e); !moved {
				what = "Return complete"
				if len(undone) > 0 && k.whole(e) {
					what = "Whole site back"
				}
			}
			k.add(what, e.At, "seen from outside", e)
		default:
			what := "Return given up"
			if e.Type == incident.WatchRelapse {
				what = "Back to safety"
			}
			k.add(what, e.At, k.sourceOf(e), e)
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
	declared := b.firstOf(incident.Declared)
	if declared.Seq == 0 || b.in.Drill {
		return nil
	}
	var p Paragraph
	own := b.self
	switch {
	case own != nil:
		p.say(fact(refs(declared, own.event), "%s saw the real site fail at %s%s and declared the incident by itself.", begin(checkName(own.Check)), b.clock(own.At), aside(b.quote(own.Detail))))
	case declared.AtSource == incident.FromRecalled:
		p.say(fact(refs(declared), "It began with a local order by %s at %s, which was taken over into the record %s.", b.who(declared.Actor), b.clock(declared.At), later(declared.RecordedAt.Sub(declared.At))))
	default:
		p.say(fact(refs(declared), "%s declared the incident at %s.", b.Who(declared.Actor), b.clock(declared.At)))
	}
	if byPerson(declared) || b.in.Noticed == "monitor" && own == nil {
		p.say(fact(refs(declared), "%s", noticed[b.in.Noticed]))
	}
	if told := b.in.FirstSymptomAt; !told.IsZero() {
		if d := declared.At.Sub(told); d >= time.Second {
			p.say(fact(refs(declared), "The first symptom was put at %s, %s earlier.", b.clock(told), spell(d)))
		}
	}
	b.sawBefore(&p, declared)
	return paragraph("", p)
}

var noticed = map[string]string{
	"monitor": "Monitoring had noticed it.",
	"visitor": "A visitor had noticed it.",
	"staff":   "Somebody on the staff had noticed it.",
	"social":  "It had been noticed on social media.",
}

// sawBefore is what the checks saw by the declaration, but for the one that declared
// it, and when the first saw anything at all.
func (b *builder) sawBefore(p *Paragraph, declared incident.Event) {
	seen, early := map[string]bool{}, b.self != nil
	if early {
		seen[b.self.Check] = true
	}
	for _, s := range b.sights() {
		if s.Seen != "down" || seen[s.Check] || s.At.After(declared.At) || len(seen) > 5 {
			continue
		}
		seen[s.Check], early = true, true
		if before := declared.At.Sub(s.At); before < time.Second {
			p.say(fact(refs(s.event), "%s saw the real site fail at the same moment%s.", begin(checkName(s.Check)), saying(b.quote(s.Detail))))
		} else {
			p.say(fact(refs(s.event), "%s had seen the real site fail since %s, %s before the declaration%s.", begin(checkName(s.Check)), b.clock(s.At), spell(before), saying(b.quote(s.Detail))))
		}
	}
	if early {
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
