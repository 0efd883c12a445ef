package postmortem

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"lifeboat/internal/incident"
)

// fixes are what was tried, each with its promise and with what was measured. More
// than one are shown beside each other first.
func (b *builder) fixes() []Block {
	tried := b.tried()
	var out []Block
	if len(tried) > 1 {
		t := Table{Columns: []string{"Fix", "Promised", "Came to"}}
		for _, f := range tried {
			t.row(refs(f.proposed, f.measured, f.lastOf()), begin(fixName(f.ID)), begin(b.promise(f.Promise, "passes")), begin(b.outcome(f)))
		}
		out = append(out, table("", t)...)
	}
	for _, f := range tried {
		t := fixTale{builder: b, fix: f}
		heading := begin(fixName(f.ID))
		if q := b.quote(f.Change); t.short() {
			heading += ": " + q
		}
		out = append(out, paragraph(heading, t.tell())...)
	}
	return out
}

// lastOf is the newest event about the fix.
func (f fixStory) lastOf() incident.Event {
	if len(f.all) == 0 {
		return incident.Event{}
	}
	return f.all[len(f.all)-1]
}

// promise is what a fix promised, as a clause; pass is the verb in its tense.
func (b *builder) promise(p incident.Promise, pass string) string {
	switch {
	case p.Check == "" && clean(p.To) == "":
		return "nothing that was written down"
	case p.Check == "":
		return b.cite(p.To)
	}
	s := checkName(p.Check) + " " + pass
	if p.Below > 0 {
		s += " in less than " + spell(p.Below)
	}
	if p.Within > 0 {
		s += " within " + spell(p.Within)
	}
	return s
}

// outcome is what a fix came to, in a few words.
func (b *builder) outcome(f fixStory) string {
	measured := map[incident.FixState]string{incident.StateWorked: "did what it promised", incident.StateNoEffect: "had no effect", incident.StateWorse: "did harm"}
	s := ""
	if f.measured.Seq > 0 {
		s = measured[data[measuredData](f.measured).Result]
	}
	t, turned := b.turnOf(f.ID)
	if turned && s != "" {
		s += " at first; " + b.lasted(t)
		if f.Again == "pass" && f.again.Seq > t.event.Seq {
			s += "; it held after the next return"
		}
	}
	ends := map[incident.FixState]string{
		incident.StateProposed: "not begun", incident.StateApproved: "approved, not begun", incident.StateWithdrawn: "withdrawn", incident.StateApplying: "under way", incident.StateMeasuring: "being measured",
		incident.StateInterrupted: "interrupted", incident.StateRollingBack: "being rolled back", incident.StateRolledBack: "rolled back", incident.StateAccepted: "kept as it was",
	}[f.State]
	switch {
	case turned && ends != "":
		return s + "; " + ends
	case s != "" && ends != "":
		return s + ", " + ends
	case turned:
		return s
	case f.State == incident.StateWorked && f.Again == "pass":
		return s + ", also w" + strings.TrimPrefix(b.withAll(), "W")
	}
	return orElse(s+ends, "not known")
}

// fixTale tells of one fix, event by event.
type fixTale struct {
	*builder
	fix      fixStory
	out      Paragraph
	rolling  incident.Event
	turned   bool             // that it did not last was told
	readings int              // since it was in place
	last     incident.Reading // the newest
	lastRead incident.Event
}

func (t *fixTale) tell() Paragraph {
	t.turned = true
	turn, found := t.turnOf(t.fix.ID)
	if found {
		t.turned = false
	}
	for _, e := range t.fix.all {
		t.lasted(turn, e.Seq)
		t.one(e)
	}
	t.lasted(turn, math.MaxUint64)
	if t.rolling.Seq > 0 {
		t.out.say(fact(refs(t.rolling), "%s began to roll it back at %s.", t.Who(t.rolling.Actor), t.clock(t.rolling.At)))
	}
	return t.out
}

func (t *fixTale) one(e incident.Event) {
	reason := saying(t.quote(data[reasonData](e).Reason))
	switch e.Type {
	case incident.FixProposed:
		t.proposed(e)
	case incident.FixWithdrawn:
		t.out.say(fact(refs(e), "%s withdrew it at %s%s.", t.Who(e.Actor), t.clock(e.At), reason))
	case incident.ApprovalGiven:
		t.out.say(fact(refs(e), "%s read it and had no strong objection.", t.Who(e.Actor)))
	case incident.ApprovalRefused:
		t.out.say(fact(refs(e), "%s objected%s.", t.Who(e.Actor), reason))
	case incident.ApprovalTimeout:
		t.out.say(fact(refs(e), "Nobody else answered within %s, and %s went on alone after a pause%s.", spell(t.fix.Waits), t.who(e.Actor), reason))
	case incident.FixApplying:
		t.begun(e)
	case incident.FixApplied:
		t.applied(e)
	case incident.FixRead:
		if d := data[readingData](e); !d.Reading.At.IsZero() {
			t.readings, t.last, t.lastRead = t.readings+1, d.Reading, e
		}
	case incident.FixMeasured:
		t.measured(e)
	case incident.FixInterrupted:
		t.interrupted(e)
	case incident.FixRollingBack:
		t.rolling = e
	case incident.FixRolledBack:
		t.out.say(fact(refs(t.rolling, e), "By %s %s had rolled it back.", t.clock(e.At), t.who(orActor(t.rolling, e))))
		t.rolling = incident.Event{}
	case incident.FixAccepted:
		t.rolling = incident.Event{}
		t.out.say(fact(refs(e), "%s left it in place as it was%s.", t.Who(e.Actor), reason))
	case incident.FixAgain:
		t.again(e)
	}
}

// short says whether the heading has all of what was to be changed.
func (t *fixTale) short() bool {
	s := t.text(t.fix.Change, longText)
	return quoted(s) != "" && len([]rune(s)) <= heading
}

// lasted tells that it did not last, once all before that is told.
func (t *fixTale) lasted(turn turn, before uint64) {
	if t.turned || turn.event.Seq > before {
		return
	}
	t.turned = true
	t.out.say(fact(refs(turn.left, turn.event), "It did not last: %s.", t.builder.lasted(turn)))
}

// orActor is who began, or who ended where nobody is known to have begun.
func orActor(a, b incident.Event) incident.Actor {
	if a.Seq > 0 {
		return a.Actor
	}
	return b.Actor
}

func (t *fixTale) proposed(e incident.Event) {
	f := t.fix
	change := ""
	if !t.short() {
		change = saying(t.quote(f.Change))
	}
	if f.Outside {
		t.out.say(fact(refs(e), "It had been made elsewhere, and %s reported it at %s%s.", t.who(e.Actor), t.at(e.At), change))
	} else {
		t.out.say(fact(refs(e), "%s proposed it at %s%s.", t.Who(e.Actor), t.at(e.At), change))
	}
	if n := len(f.Causes); n > 0 {
		names := make([]string, n)
		for i, id := range f.Causes {
			names[i] = causeName(id)
		}
		t.out.say(fact(refs(e), "It was meant for %s.", listed(names)))
	}
	switch {
	case f.Promise.Check != "":
		t.out.say(fact(refs(e), "It promised that %s%s.", t.promise(f.Promise, "would pass"), t.stoodAt(f.Promise)))
	case f.Promise.To != "":
		t.out.say(fact(refs(e), "It promised %s, within %s.", t.cite(f.Promise.To), spell(f.Promise.Within)))
	default:
		t.out.say(fact(refs(e), "What it would change was not written down."))
	}
	if f.WayBack != "" {
		t.out.say(fact(refs(e), "The way back was %s.", t.cite(f.WayBack)))
	}
	if f.Owner != "" && f.Owner != f.By.Name && !f.Outside {
		t.out.say(fact(refs(e), "%s was to do it.", begin(t.name(f.Owner))))
	}
	if f.Alone && f.Waits == 0 && !f.Outside {
		t.out.say(fact(refs(e), "Nobody else could approve it, so a pause stood in for a second reader."))
	}
}

// before says whether the thing that an event is about has one of the type before it.
func (b *builder) before(e incident.Event, kind incident.Type) bool {
	return slices.ContainsFunc(b.about(e.Subject.Type, e.Subject.ID, kind), func(x incident.Event) bool { return x.Seq < e.Seq })
}

// stoodAt is how the promised check stood when the fix was written down.
func (b *builder) stoodAt(p incident.Promise) string {
	switch p.From {
	case "":
		return ""
	case "pass":
		return "; it passed then, too"
	case "fail":
		return "; until then it failed"
	case "inconclusive":
		return "; until then it gave no clear answer"
	}
	return "; until then it stood at " + b.cite(p.From)
}

func (t *fixTale) begun(e incident.Event) {
	if title, known := t.o.Actions[t.fix.Action]; t.fix.Action != "" {
		if !known || clean(title) == "" {
			title = t.fix.Action
		}
		t.out.say(fact(refs(e), "%s began it at %s and let lifeboat carry out %s.", t.Who(e.Actor), t.clock(e.At), t.cite(title)))
		return
	}
	t.out.say(fact(refs(e), "%s began it at %s.", t.Who(e.Actor), t.clock(e.At)))
}

func (t *fixTale) applied(e incident.Event) {
	t.readings, t.lastRead, t.rolling = 0, incident.Event{}, incident.Event{}
	switch begun := t.fix.begun; {
	case t.before(e, incident.FixMeasured), t.before(e, incident.FixInterrupted):
		t.out.say(fact(refs(e), "It was measured once more from %s on.", t.clock(e.At)))
	case begun.Seq > 0 && e.At.After(begun.At):
		t.out.say(fact(refs(e), "It was in place %s.", later(e.At.Sub(begun.At))))
	default:
		t.out.say(fact(refs(e), "It was in place at %s.", t.clock(e.At)))
	}
}

// measured tells what it came to: read back by the check, or in the words of whoever
// judged it.
func (t *fixTale) measured(e incident.Event) {
	d := data[measuredData](e)
	verdict := map[incident.FixState]string{incident.StateWorked: "It did what it promised", incident.StateNoEffect: "It did not do what it promised", incident.StateWorse: "It did harm"}[d.Result]
	if verdict == "" {
		return
	}
	if !e.Actor.Automatic() {
		why := strings.TrimPrefix(d.Why, e.Actor.Name+" says: ")
		t.out.say(fact(refs(e), "%s, by the word of %s%s.", verdict, t.who(e.Actor), saying(t.quote(why))))
		return
	}
	if d.Result == incident.StateWorse {
		t.out.say(fact(refs(e), "%s%s.", verdict, saying(t.quote(strings.TrimPrefix(d.Why, "it made things worse: ")))))
		return
	}
	t.readBack(e, d)
}

// readBack tells what the promised check said, up to the verdict.
func (t *fixTale) readBack(e incident.Event, d measuredData) {
	check, took := checkName(t.fix.Promise.Check), ""
	if t.fix.placed.Seq > 0 && e.At.After(t.fix.placed.At) {
		took = spell(e.At.Sub(t.fix.placed.At))
	}
	from := refs(t.lastRead, e)
	switch {
	case t.lastRead.Seq == 0 || took == "":
		t.out.say(fact(refs(e), "%s%s.", map[bool]string{true: "It did what it promised", false: "It did not do what it promised"}[d.Result == incident.StateWorked], saying(t.quote(d.Why))))
	case d.Result == incident.StateWorked:
		row, last := data[readingData](t.lastRead).Streak, ""
		if t.last.Took > 0 {
			last = ", the last time in " + spell(t.last.Took)
		}
		t.out.say(fact(from, "It did what it promised: %s after it was in place %s had passed %s in a row%s.", took, check, times(row), last))
	default:
		t.out.say(fact(from, "It did not do what it promised: in %s %s was asked %s, and the last time it %s.", took, check, times(t.readings), t.reading(t.last)))
	}
}

// reading is what a check said, as a clause.
func (b *builder) reading(r incident.Reading) string {
	s := map[string]string{"pass": "passed", "fail": "failed"}[r.Verdict]
	if s == "" {
		s = "gave no clear answer"
	}
	if r.Took > 0 && r.Verdict == "pass" {
		s += " in " + spell(r.Took)
	}
	if r.Verdict != "pass" {
		s += aside(b.quote(r.Detail))
	}
	return s
}

// brokenOff is why a fix was interrupted, as the end of a sentence.
func (b *builder) brokenOff(e incident.Event) string {
	why := data[carriedData](e).Detail
	if why == "a lever was pulled" { // in lifeboat's own words
		return ": " + why
	}
	return saying(b.quote(why))
}

func (t *fixTale) interrupted(e incident.Event) {
	why := t.brokenOff(e)
	if t.rolling.Seq > 0 {
		t.out.say(fact(refs(t.rolling, e), "It could not be rolled back%s.", why))
		t.rolling = incident.Event{}
		return
	}
	t.out.say(fact(refs(e), "It was interrupted at %s%s.", t.clock(e.At), why))
}

// again is whether the promise held with everybody back: the newest word on it. The way
// back tells the others.
func (t *fixTale) again(e incident.Event) {
	if e.Seq != t.fix.again.Seq {
		return
	}
	when := t.withAll()
	if turn, found := t.turnOf(t.fix.ID); found && turn.event.Seq < e.Seq {
		when = "After the next return"
	}
	switch data[readingData](e).Verdict {
	case "pass":
		t.out.say(fact(refs(e), "%s the promise still held.", when))
	case "fail":
		t.out.say(fact(refs(e), "%s the promise no longer held.", when))
	default:
		t.out.say(fact(refs(e), "%s nobody could tell whether the promise still held.", when))
	}
}

// withAll is when a promise is measured again: with the visitors that had been away, or
// with the levers put back that had left them where they were.
func (b *builder) withAll() string {
	back := b.lastOf(incident.ReturnCompleted)
	if _, moved := b.putBack(b.returnOf(back), back); back.Seq > 0 && !moved {
		return "With the levers put back"
	}
	return "With everybody back"
}

// onFix tells what somebody did with a fix.
func onFix(did string) teller {
	return func(b *builder, e incident.Event) string {
		return fmt.Sprintf("%s "+did+"%s.", b.Who(e.Actor), fixName(e.Subject.ID), saying(b.quote(data[reasonData](e).Reason)))
	}
}

var fixTellers = map[incident.Type]teller{
	incident.FixProposed: func(b *builder, e incident.Event) string {
		f := data[incident.Fix](e)
		did := "proposed " + fixName(f.ID)
		if f.Outside {
			did = "reported " + fixName(f.ID) + ", made elsewhere"
		}
		return fmt.Sprintf("%s %s%s.", b.Who(e.Actor), did, saying(b.quote(f.Change)))
	},
	incident.FixWithdrawn:    onFix("withdrew %s"),
	incident.ApprovalGiven:   onFix("read %s and had no strong objection"),
	incident.ApprovalRefused: onFix("objected to %s"),
	incident.ApprovalTimeout: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("Nobody answered about %s, and %s went on alone%s.", fixName(e.Subject.ID), b.who(e.Actor), saying(b.quote(data[aloneData](e).Reason)))
	},
	incident.FixApplying: onFix("began %s"),
	incident.FixApplied: func(b *builder, e incident.Event) string {
		if b.before(e, incident.FixApplied) {
			return fmt.Sprintf("%s was measured once more.", begin(fixName(e.Subject.ID)))
		}
		return fmt.Sprintf("%s was in place.", begin(fixName(e.Subject.ID)))
	},
	incident.FixMeasured: func(b *builder, e incident.Event) string {
		came := map[incident.FixState]string{incident.StateWorked: "did what it promised", incident.StateNoEffect: "did not do what it promised", incident.StateWorse: "did harm"}[data[measuredData](e).Result]
		if came == "" {
			return ""
		}
		return fmt.Sprintf("%s %s.", begin(fixName(e.Subject.ID)), came)
	},
	incident.FixInterrupted: func(b *builder, e incident.Event) string {
		was := "was interrupted"
		if b.before(e, incident.FixRollingBack) && !b.before(e, incident.FixRolledBack) {
			was = "could not be rolled back"
		}
		return fmt.Sprintf("%s %s%s.", begin(fixName(e.Subject.ID)), was, b.brokenOff(e))
	},
	incident.FixRolledBack: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("%s was rolled back.", begin(fixName(e.Subject.ID)))
	},
	incident.FixAccepted: onFix("left %s in place as it was"),
	incident.FixAgain: func(b *builder, e incident.Event) string {
		d := data[readingData](e)
		if d.Verdict == "pass" {
			return fmt.Sprintf("%s, %s still kept its promise.", b.withAll(), fixName(e.Subject.ID))
		}
		return fmt.Sprintf("%s, the check of %s %s.", b.withAll(), fixName(e.Subject.ID), b.reading(d.Reading))
	},
}
