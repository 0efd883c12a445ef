package postmortem

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/incident"
)

// maxShown is how many changes are told one by one; the rest is counted.
const maxShown = 20

// changes is what had changed before the incident, as far as the record looked at it.
func (b *builder) changes() []Block {
	var before []incident.Change
	for _, c := range b.in.Changes { // newest first
		if b.in.DeclaredAt.IsZero() || !c.At.After(b.in.DeclaredAt) {
			before = append(before, c)
		}
	}
	if len(before) == 0 {
		if !b.real() {
			return nil
		}
		return paragraph("", Paragraph{b.absent("No change is recorded before the incident.")})
	}
	t := Table{Columns: []string{"When", "Before the declaration", "What", "By"}}
	if _, suspected := b.suspect(); suspected {
		t.Columns = append(t.Columns, "Suspected")
	}
	var left []uint64
	for i, c := range before {
		from := refs(b.about("change", c.ID)...)
		if i >= maxShown && !c.Suspect {
			left = join(left, from)
			continue
		}
		mark := ""
		if c.Suspect {
			mark = "yes" + saying(b.quote(c.Note))
			if e := b.marker(c.ID); e.Seq > 0 {
				mark = "by " + b.who(e.Actor) + saying(b.quote(c.Note))
			}
		}
		what := b.text(c.What, cellText)
		if kind := strings.Trim(b.text(c.Kind, 32)+", "+b.text(c.Ref, 64), ", "); kind != "" {
			what += " (" + kind + ")"
		}
		by := b.text(c.Source, 64)
		if who := clean(c.Who); who != "" {
			by = b.name(who)
		}
		cells := []string{b.second(c.At.UTC(), b.in.DeclaredAt.UTC()), spell(b.in.DeclaredAt.Sub(c.At)), what, by, mark}
		t.row(from, cells[:len(t.Columns)]...)
	}
	out := table("", t)
	if len(left) > 0 {
		out = append(out, paragraph("", Paragraph{fact(left, "%s more had come earlier.", begin(counted(len(before)-len(t.Rows), "change")))})...)
	}
	return out
}

// marker is the event that marked a change as suspected.
func (b *builder) marker(id string) incident.Event {
	var out incident.Event
	for _, e := range b.about("change", id, incident.ChangeMarked) {
		if data[markData](e).Suspect {
			out = e
		}
	}
	return out
}

// causes are the possible causes: why each was held possible, and what became of it.
func (b *builder) causes() []Block {
	var out []Block
	for _, c := range b.in.Causes {
		t := causeTale{builder: b, cause: c}
		heading := begin(causeName(c.ID))
		if q := b.quote(c.Statement); t.short() {
			heading += ": " + q
		}
		out = append(out, paragraph(heading, t.tell())...)
	}
	return out
}

// causeTale tells of one possible cause, event by event.
type causeTale struct {
	*builder
	cause incident.Cause
	last  string // the newest words that were told, so that they are not told twice
	out   Paragraph
}

// heading is how much of a person's words fits a heading, in characters.
const heading = 120

// short says whether its heading has all of its statement.
func (t *causeTale) short() bool {
	s := t.text(t.cause.Statement, longText)
	return quoted(s) != "" && len([]rune(s)) <= heading
}

// unlessTold is a reason as the end of a sentence, if the sentence before has not told
// it.
func (t *causeTale) unlessTold(words string) string {
	q := t.quote(words)
	if q == t.last {
		return ""
	}
	t.last = q
	return saying(q)
}

func (t *causeTale) tell() Paragraph {
	all := t.about("cause", t.cause.ID)
	again := ""
	for i, e := range all {
		reason := saying(t.quote(data[reasonData](e).Reason))
		switch e.Type {
		case incident.CauseOpened:
			t.opened(e)
		case incident.CauseWeighed:
			t.weighed(e, all[i+1:])
		case incident.CauseTested:
			t.tested(e)
		case incident.CauseRuledOut:
			t.out.say(fact(refs(e), "%s ruled it out at %s%s.", t.Who(e.Actor), t.clock(e.At), t.unlessTold(data[reasonData](e).Reason)))
		case incident.CauseParked:
			t.out.say(fact(refs(e), "%s left it aside at %s%s.", t.Who(e.Actor), t.clock(e.At), reason))
		case incident.CauseReopened:
			t.out.say(fact(refs(e), "%s took it up again at %s%s.", t.Who(e.Actor), t.clock(e.At), reason))
		case incident.CauseConfirmed:
			t.out.say(fact(refs(e), "%s confirmed it%s at %s.", t.Who(e.Actor), again, t.clock(e.At)))
			again = " again"
			t.doubted(e)
		}
	}
	if len(t.out) > 0 && t.cause.Undecided() && t.over() {
		t.out.say(fact(refs(all...), "It stayed open."))
	}
	return t.out
}

// doubted says that a confirmation was withdrawn.
func (t *causeTale) doubted(confirmed incident.Event) {
	for _, w := range t.withdrawn() {
		if ids := data[incident.Diagnosis](w.confirmed).Causes; w.confirmed.Seq > confirmed.Seq && w.confirmed.At.Equal(confirmed.At) && slices.Contains(ids, t.cause.ID) {
			t.out.say(fact(refs(w.event), "That was withdrawn at %s%s.", t.clock(w.event.At), t.since(data[reasonData](w.event).Reason)))
		}
	}
}

func (t *causeTale) opened(e incident.Event) {
	c, statement := t.cause, ""
	if !t.short() {
		statement = saying(t.quote(c.Statement))
	}
	t.out.say(fact(refs(e), "%s raised it at %s%s.", t.Who(e.Actor), t.clock(e.At), statement))
	if q := t.quote(c.Prediction); q != "" {
		t.out.say(fact(refs(e), "It predicted: %s.", q))
	}
}

// weighed tells how evidence spoke to it; only the newest word on each piece counts.
func (t *causeTale) weighed(e incident.Event, later []incident.Event) {
	w := data[weighData](e).Weight
	for _, x := range later {
		if x.Type == incident.CauseWeighed && data[weighData](x).Weight.Evidence == w.Evidence {
			return
		}
	}
	stance := map[string]string{incident.For: "spoke for it", incident.Against: "spoke against it", incident.Neutral: "spoke neither for nor against it"}[w.Stance]
	if stance != "" {
		what, title := t.exhibit(w.Evidence)
		t.last = title
		t.out.say(fact(join(refs(e), refs(t.shown(w.Evidence)...)), "%s %s%s.", begin(what), stance, t.unlessTold(w.Note)))
	}
}

// shown are the events that brought a piece of evidence, or a change.
func (b *builder) shown(id string) []incident.Event {
	return append(b.about("evidence", id, incident.EvidenceCaptured, incident.EvidenceAttached), b.about("change", id, incident.ChangeSeen)...)
}

// exhibit is a piece of evidence, or a change, within a sentence, and its title.
func (b *builder) exhibit(id string) (what, title string) {
	for _, e := range b.in.Evidence {
		if e.ID == id {
			title = b.cite(e.Title)
			return "evidence " + clean(id) + ", " + title + ",", title
		}
	}
	for _, c := range b.in.Changes {
		if c.ID == id {
			title = b.cite(c.What)
			return "the change " + title, title
		}
	}
	return "evidence " + cited(cut(clean(id), 40)), ""
}

// suspected is a change within a sentence.
func (b *builder) suspected(e incident.Event) string {
	what, _ := b.exhibit(e.Subject.ID)
	return what
}

func (t *causeTale) tested(e incident.Event) {
	x := data[testData](e).Test
	what := "The prediction"
	if strings.TrimSpace(x.Prediction) != strings.TrimSpace(t.cause.Prediction) {
		what = "A further prediction, " + t.cite(x.Prediction) + ","
	}
	came := map[string]string{incident.TestHeld: "came true", incident.TestFailed: "did not come true", incident.TestUnclear: "could neither be seen nor be excluded"}[x.Outcome]
	if came != "" {
		t.out.say(fact(refs(e), "%s %s%s.", what, came, t.unlessTold(x.Saw)))
	}
}

// diagnosis is what broke and why, or that nobody knows.
func (b *builder) diagnosis() []Block {
	e, found := b.diagnosed()
	if !found {
		return b.unknownCause()
	}
	d := data[incident.Diagnosis](e)
	var p Paragraph
	sure := map[string]string{incident.Proved: ", and called it proved", incident.Likely: ", and called it likely"}[d.Confidence]
	p.say(fact(refs(e), "At %s %s confirmed the cause%s%s.", b.at(e.At), b.who(e.Actor), sure, saying(b.quote(d.Statement))))
	b.withdrawals(&p, e.Seq)
	out := paragraph("", p)
	var factors []Paragraph
	for _, f := range d.Factors {
		if text := b.text(f, cellText); text != "" {
			factors = append(factors, Paragraph{fact(refs(e), "%s", stopped(text))})
		}
	}
	heading := "What contributed"
	if len(factors) == 0 {
		return out
	}
	return append(out, bullets(heading, factors...)...)
}

// stopped ends a sentence that somebody typed.
func stopped(s string) string {
	if s == "" || strings.ContainsAny(s[len(s)-1:], ".!?") || strings.HasSuffix(s, "…") {
		return s
	}
	return s + "."
}

// withdrawals tells of earlier diagnoses that did not last.
func (b *builder) withdrawals(p *Paragraph, before uint64) {
	for _, w := range b.withdrawn() {
		if w.event.Seq < before {
			what := ", " + b.cite(data[incident.Diagnosis](w.confirmed).Statement) + ","
			if b.o.Public { // what was thought is for those who look further
				what = ""
			}
			p.say(fact(refs(w.confirmed, w.event), "An earlier diagnosis%s had been withdrawn at %s%s.", what, b.clock(w.event.At), b.since(data[reasonData](w.event).Reason)))
		}
	}
}

// unknownCause is an open question, never a guess.
func (b *builder) unknownCause() []Block {
	if !b.real() && len(b.in.Causes) == 0 {
		return nil
	}
	var p Paragraph
	if b.over() {
		p.say(b.absent("The cause is not known. It stays an open question."))
	} else {
		p.say(b.absent("No cause has been confirmed so far."))
	}
	for _, e := range b.of(incident.DiagnosisWithdrawn) {
		p.say(fact(refs(e), "A diagnosis was withdrawn at %s%s.", b.clock(e.At), b.since(data[reasonData](e).Reason)))
	}
	if b.o.Public { // what was thought is for those who look further
		return paragraph("", p)
	}
	var open []Paragraph
	for _, c := range b.in.Causes {
		if c.Undecided() || c.State == incident.CauseAside {
			if q := b.quote(c.Statement); q != "" {
				open = append(open, Paragraph{fact(refs(b.about("cause", c.ID, incident.CauseOpened)...), "%s.", begin(q))})
			}
		}
	}
	open = slices.DeleteFunc(open, func(p Paragraph) bool { return len(p[0].Events) == 0 })
	return append(paragraph("", p), bullets("Not ruled out", open...)...)
}

var knowledgeTellers = map[incident.Type]teller{
	incident.NoteAdded: func(b *builder, e incident.Event) string {
		text := data[textData](e).Text
		if text == "" || e.Actor.Automatic() {
			return stopped(b.text(orElse(text, e.Text), longText))
		}
		return fmt.Sprintf("%s noted%s.", b.Who(e.Actor), saying(b.quote(text)))
	},
	incident.SightChanged: func(b *builder, e incident.Event) string { return b.saw([]incident.Event{e}) },
	incident.EvidenceAttached: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("%s added evidence %s%s.", b.Who(e.Actor), orElse(clean(e.Subject.ID), "–"), saying(b.quote(data[incident.Evidence](e).Title)))
	},
	incident.EvidenceRedacted: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("%s took the body of evidence %s away%s.", b.Who(e.Actor), orElse(clean(e.Subject.ID), "–"), saying(b.quote(data[reasonData](e).Reason)))
	},
	incident.ChangeMarked: func(b *builder, e incident.Event) string {
		if data[markData](e).Suspect {
			return fmt.Sprintf("%s suspected %s.", b.Who(e.Actor), b.suspected(e))
		}
		return fmt.Sprintf("%s no longer suspected %s.", b.Who(e.Actor), b.suspected(e))
	},
}

// onCause tells what somebody did with a possible cause.
func onCause(did string) teller {
	return func(b *builder, e incident.Event) string {
		return fmt.Sprintf("%s "+did+"%s.", b.Who(e.Actor), causeName(e.Subject.ID), saying(b.quote(data[reasonData](e).Reason)))
	}
}

var causeTellers = map[incident.Type]teller{
	incident.CauseOpened: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("%s raised %s%s.", b.Who(e.Actor), causeName(e.Subject.ID), saying(b.quote(data[incident.Cause](e).Statement)))
	},
	incident.CauseTested: func(b *builder, e incident.Event) string {
		x := data[testData](e).Test
		came := map[string]string{incident.TestHeld: "it was as predicted", incident.TestFailed: "it was not as predicted", incident.TestUnclear: "it gave no clear result"}[x.Outcome]
		if came == "" {
			return ""
		}
		return fmt.Sprintf("%s tested %s, and %s%s.", b.Who(e.Actor), causeName(e.Subject.ID), came, saying(b.quote(x.Saw)))
	},
	incident.CauseRuledOut: func(b *builder, e incident.Event) string {
		why := b.quote(data[reasonData](e).Reason)
		for _, x := range b.about("cause", e.Subject.ID, incident.CauseTested) {
			if x.Seq < e.Seq && e.At.Sub(x.At) < time.Minute && why == b.quote(data[testData](x).Test.Saw) { // the row before tells it
				why = ""
			}
		}
		return fmt.Sprintf("%s ruled %s out%s.", b.Who(e.Actor), causeName(e.Subject.ID), saying(why))
	},
	incident.CauseParked:   onCause("left %s aside"),
	incident.CauseReopened: onCause("took %s up again"),
	incident.DiagnosisConfirmed: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("%s confirmed the cause%s.", b.Who(e.Actor), saying(b.quote(data[incident.Diagnosis](e).Statement)))
	},
	incident.DiagnosisWithdrawn: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("The diagnosis was open again%s.", b.since(data[reasonData](e).Reason))
	},
}
