package postmortem

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/incident"
)

// builder is the record of one incident, read in every way that the sections need.
type builder struct {
	in          incident.Incident
	events      []incident.Event
	first, last incident.Event
	o           Options
	masks       []mask // of names, in the public version
	self        *sight // what a check saw that declared the incident itself
	now         time.Time
	fine        bool                    // the crisis was short: times of day have seconds
	byType      map[incident.Type][]int // where the events of a type are
	bySubject   map[incident.Subject][]int
	corrections map[string][]incident.Event // by the id of the event that is corrected
}

func newBuilder(events []incident.Event, o Options) *builder {
	if o.Public {
		events = slices.DeleteFunc(slices.Clone(events), func(e incident.Event) bool { return e.Visibility == "restricted" })
	}
	b := &builder{in: incident.Fold(events), events: events, o: o}
	if len(events) == 0 {
		return b
	}
	b.first, b.last = events[0], events[len(events)-1]
	b.index()
	b.self = b.declarer()
	b.now = b.end()
	b.fine = b.crisis().Sub(b.in.DeclaredAt) < 30*time.Minute
	if o.Public {
		b.masks = masksOf(b.in, events, o)
	}
	return b
}

// index notes where the events of each type, and about each thing, are.
func (b *builder) index() {
	b.byType, b.bySubject, b.corrections = map[incident.Type][]int{}, map[incident.Subject][]int{}, map[string][]incident.Event{}
	for i, e := range b.events {
		b.byType[e.Type] = append(b.byType[e.Type], i)
		b.bySubject[e.Subject] = append(b.bySubject[e.Subject], i)
		if e.Type == incident.Corrected && e.Corrects != "" {
			b.corrections[e.Corrects] = append(b.corrections[e.Corrects], e)
		}
	}
}

// end is when the story ends, or how far it goes by now.
func (b *builder) end() time.Time {
	t := b.told()
	switch {
	case !b.in.EndedAt.IsZero():
		return b.in.EndedAt
	case b.in.Phase.Open() && b.o.Now.After(t):
		return b.o.Now
	}
	return t
}

// told is how far the events go. What is proposed counts up to then, whoever asks and
// when: the same finding has the same figure everywhere.
func (b *builder) told() time.Time {
	t := b.last.At
	for _, e := range b.events {
		if e.At.After(t) && e.At.Sub(t) < 24*time.Hour { // a clock that was far ahead does not stretch the story
			t = e.At
		}
	}
	return t
}

// crisis is when the crisis ended, as far as it has: what comes then is calm.
func (b *builder) crisis() time.Time {
	for _, t := range []incident.Type{incident.ReturnCompleted, incident.CancelledType} {
		if e := b.lastOf(t); e.Seq > 0 && e.At.Before(b.now) {
			return e.At
		}
	}
	return b.now
}

// over says whether the incident is over, so that what did not happen did not happen.
func (b *builder) over() bool {
	return b.in.Phase == incident.Review || b.in.Phase == incident.Closed
}

// real says whether it was neither a drill nor a false alarm.
func (b *builder) real() bool { return !b.in.Drill && b.in.Phase != incident.Cancelled }

// of gives the events of some types, in order.
func (b *builder) of(types ...incident.Type) []incident.Event {
	var at []int
	for _, t := range types {
		at = append(at, b.byType[t]...)
	}
	if len(types) > 1 {
		slices.Sort(at)
	}
	out := make([]incident.Event, len(at))
	for i, n := range at {
		out[i] = b.events[n]
	}
	return out
}

// firstOf gives the first event of a type; its Seq is 0 where there is none.
func (b *builder) firstOf(t incident.Type) incident.Event {
	if all := b.byType[t]; len(all) > 0 {
		return b.events[all[0]]
	}
	return incident.Event{}
}

// lastOf gives the last event of a type; its Seq is 0 where there is none.
func (b *builder) lastOf(t incident.Type) incident.Event {
	if all := b.byType[t]; len(all) > 0 {
		return b.events[all[len(all)-1]]
	}
	return incident.Event{}
}

// about gives the events about one thing, in order; of all types or of some.
func (b *builder) about(kind, id string, types ...incident.Type) []incident.Event {
	var out []incident.Event
	for _, n := range b.bySubject[incident.Subject{Type: kind, ID: id}] {
		if e := b.events[n]; len(types) == 0 || slices.Contains(types, e.Type) {
			out = append(out, e)
		}
	}
	return out
}

// refs are the sequence numbers of events, sorted, each once; events without a number
// are not there.
func refs(events ...incident.Event) []uint64 {
	var out []uint64
	for _, e := range events {
		if e.Seq > 0 {
			out = append(out, e.Seq)
		}
	}
	return tidy(out)
}

func tidy(numbers []uint64) []uint64 {
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// join puts references together.
func join(all ...[]uint64) []uint64 { return tidy(slices.Concat(all...)) }

// fact is a sentence about events.
func fact(events []uint64, format string, args ...any) Fact {
	return Fact{Text: fmt.Sprintf(format, args...), Events: events}
}

// absent is the sentence that something is not in the record. It rests on all of it.
func (b *builder) absent(format string, args ...any) Fact {
	f := fact(refs(b.first, b.last), format, args...)
	f.Absent = true
	return f
}

// say adds a sentence. One without events, or without words, is no fact and is not said.
func (p *Paragraph) say(f Fact) {
	if len(f.Events) > 0 && f.Text != "" {
		*p = append(*p, f)
	}
}

// paragraph is a block of the sentences that there are.
func paragraph(heading string, p Paragraph) []Block {
	if len(p) == 0 {
		return nil
	}
	return []Block{{Heading: heading, Paragraph: p}}
}

// bullets is a list of the paragraphs that say something.
func bullets(heading string, items ...Paragraph) []Block {
	items = slices.DeleteFunc(items, func(p Paragraph) bool { return len(p) == 0 })
	if len(items) == 0 {
		return nil
	}
	return []Block{{Heading: heading, List: items}}
}

// add adds a term whose fact is one.
func addTerm(all *[]Term, name string, f Fact) {
	if len(f.Events) > 0 && f.Text != "" {
		*all = append(*all, Term{Name: name, Fact: f})
	}
}

func terms(all []Term) []Block {
	if len(all) == 0 {
		return nil
	}
	return []Block{{Terms: all}}
}

// row adds a row that rests on events.
func (t *Table) row(events []uint64, cells ...string) {
	if len(events) > 0 {
		t.Rows = append(t.Rows, Row{Cells: cells, Fact: Fact{Events: events}})
	}
}

func table(heading string, t Table) []Block {
	if len(t.Rows) == 0 {
		return nil
	}
	return []Block{{Heading: heading, Table: &t}}
}

// text is what somebody typed, as part of a sentence: on one line, cut, and without
// names in the public version.
func (b *builder) text(s string, most int) string { return cut(b.masked(clean(s)), most) }

// quote is what somebody typed, in quotation marks; "" where they typed nothing.
func (b *builder) quote(s string) string { return quoted(b.text(s, longText)) }

// cite is quote where the sentence needs one.
func (b *builder) cite(s string) string { return cited(b.text(s, longText)) }

// who is an actor within a sentence.
func (b *builder) who(a incident.Actor) string {
	switch {
	case b.o.Public && !a.Automatic():
		return b.roleOf(a.Name)
	case clean(a.Name) != "":
		name := cut(clean(a.Name), 64)
		if check, found := strings.CutPrefix(name, "The check "); found && a.Automatic() {
			return checkName(check)
		}
		if a.Automatic() && len(name) > 4 && name[:4] == "The " {
			return "the " + name[4:]
		}
		return name
	case a.Kind == "rule":
		return "a rule"
	case a.Automatic():
		return "lifeboat"
	}
	return "somebody"
}

// Who is an actor at the beginning of a sentence. A name stays as it is written.
func (b *builder) Who(a incident.Actor) string {
	if !b.o.Public && !a.Automatic() && clean(a.Name) != "" {
		return b.who(a)
	}
	if who := b.who(a); who != "lifeboat" {
		return begin(who)
	}
	return "lifeboat"
}

// name is somebody who is named in the data.
func (b *builder) name(s string) string {
	if b.o.Public {
		return b.roleOf(s)
	}
	return cut(orElse(clean(s), "somebody"), 64)
}

// site is what people call it.
func (b *builder) site() string {
	return cut(cmp.Or(clean(b.o.Title), clean(b.in.Site), "the site"), longName)
}

// clock is a time of day, with its date where that is not the day of the declaration.
func (b *builder) clock(t time.Time) string {
	layout := "15:04 UTC"
	if b.fine {
		layout = "15:04:05 UTC"
	}
	if b.otherDay(t.UTC(), b.in.DeclaredAt.UTC()) {
		layout += " on 2 January"
	}
	return t.UTC().Format(layout)
}

func (b *builder) otherDay(t, day time.Time) bool {
	if b.in.DeclaredAt.IsZero() {
		day = b.first.At.In(t.Location())
	}
	return t.YearDay() != day.YearDay() || t.Year() != day.Year()
}

// local is a time of day where people are, or "" where that is UTC or not known.
func (b *builder) local(t time.Time) string {
	if !b.zoned() {
		return ""
	}
	layout := "15:04 MST"
	if b.fine {
		layout = "15:04:05 MST"
	}
	t = t.In(b.o.Zone)
	if b.otherDay(t, b.in.DeclaredAt.In(b.o.Zone)) {
		layout += " on 2 January"
	}
	return t.Format(layout)
}

// short is a time of day in a column that says which; with its date where that is not
// the day of the declaration.
func (b *builder) short(t, day time.Time) string {
	layout := "15:04"
	if b.fine {
		layout = "15:04:05"
	}
	if b.otherDay(t, day) {
		layout = "2 Jan " + layout
	}
	return t.Format(layout)
}

// zone is the name of local time, for the head of a column.
func (b *builder) zone() string { return "Local, " + b.in.DeclaredAt.In(b.o.Zone).Format("MST") }

func (b *builder) zoned() bool { return b.o.Zone != nil && b.o.Zone != time.UTC }

// after is how long before or after the declaration a time lies; "" at it.
func (b *builder) after(t time.Time) string {
	d := t.Sub(b.in.DeclaredAt)
	switch {
	case b.in.DeclaredAt.IsZero() || d.Abs() < 500*time.Millisecond:
		return ""
	case d < 0:
		return spell(d) + " before the declaration"
	}
	return spell(d) + " after the declaration"
}

// at is a time within a sentence: 03:12 UTC (04:12 CET, 4 min after the declaration).
func (b *builder) at(t time.Time) string {
	aside := b.local(t)
	if after := b.after(t); after != "" {
		if aside != "" {
			aside += ", "
		}
		aside += after
	}
	if aside == "" {
		return b.clock(t)
	}
	return b.clock(t) + " (" + aside + ")"
}

// day is a date in full.
func day(t time.Time) string { return t.UTC().Format("Monday 2 January 2006") }

// date is a date within a sentence.
func date(t time.Time) string { return t.UTC().Format("2 January 2006") }
