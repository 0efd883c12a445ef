package postmortem

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/incident"
)

// header is what one wants to know before reading.
func (b *builder) header() []Block {
	var all []Term
	declared := b.firstOf(incident.Declared)
	site := b.site()
	if len(b.o.Names) > 0 {
		site += " (" + clean(strings.Join(b.o.Names, ", ")) + ")"
	}
	addTerm(&all, "Incident", fact(refs(declared), "%s", clean(b.in.ID)))
	addTerm(&all, "Site", fact(refs(declared), "%s", site))
	if b.in.Drill {
		addTerm(&all, "Kind", fact(refs(declared), "a drill, on a name that is nobody's"))
	}
	when := day(b.in.DeclaredAt) + ", " + b.clock(b.in.DeclaredAt)
	if local := b.local(b.in.DeclaredAt); local != "" {
		when += " (" + local + ")"
	}
	addTerm(&all, "Declared", fact(refs(declared), "%s", when))
	addTerm(&all, "State", b.state())
	if led := b.leads(); !led.Absent { // that nobody did stands where it belongs, with the people
		addTerm(&all, "Led by", led)
	}
	if e := b.lastOf(incident.SeverityChanged); e.Seq > 0 {
		d := data[severityData](e)
		addTerm(&all, "Severity", fact(refs(e), "%s%s", clean(d.Level), saying(b.quote(d.Why))))
	}
	if e := b.lastOf(incident.WriteUpFinal); b.in.WriteUp.Final && e.Seq > 0 {
		addTerm(&all, "Write-up", fact(refs(e), "final, version %d, finished by %s on %s", b.in.WriteUp.Version, b.who(e.Actor), date(e.At)))
	} else {
		addTerm(&all, "Write-up", b.absent("draft"))
	}
	return terms(all)
}

// state is where the incident stands.
func (b *builder) state() Fact {
	moved := b.of(incident.Declared, incident.PhaseChanged, incident.CancelledType, incident.ClosedType)
	if len(moved) == 0 {
		return Fact{}
	}
	e := moved[len(moved)-1]
	span := ""
	if a := b.after(e.At); a != "" {
		span = ", " + a
	}
	switch {
	case b.in.Phase == incident.Closed && b.in.Drill:
		return fact(refs(e), "over%s", span)
	case b.in.Phase == incident.Closed:
		return fact(refs(e), "closed%s", span)
	case b.in.Phase == incident.Cancelled:
		return fact(refs(e), "a false alarm%s", span)
	case b.in.Phase == incident.Review:
		return fact(refs(e), "over%s; the write-up is open", span)
	}
	return fact(refs(e), "open: it is at %s", b.in.Phase.Words())
}

// leads are those who led, one after the other.
func (b *builder) leads() Fact {
	var who []string
	var seen []incident.Event
	for _, e := range b.of(incident.RoleTaken, incident.HandoverAccepted) {
		if d := data[roleData](e); d.Role == "lead" {
			if name := b.name(d.Person); len(who) == 0 || who[len(who)-1] != name {
				who, seen = append(who, name), append(seen, e)
			}
		}
	}
	if len(who) > 0 {
		return fact(refs(seen...), "%s", strings.Join(who, ", then "))
	}
	if !b.real() {
		return Fact{}
	}
	return b.absent("nobody")
}

// summary is the incident in at most four sentences, and one more for each kind of
// detour: a cause that did not stand, a fix that did not help, a return that did not
// last.
func (b *builder) summary() []Block {
	var p Paragraph
	p.say(b.began())
	if b.in.Drill {
		p.say(b.rehearsed())
		return paragraph("", p)
	}
	p.say(b.madeSafe())
	if b.in.Phase == incident.Cancelled {
		e := b.lastOf(incident.CancelledType)
		p.say(fact(refs(e), "%s called it a false alarm at %s%s.", b.Who(e.Actor), b.at(e.At), saying(b.quote(data[reasonData](e).Reason))))
		return paragraph("", p)
	}
	var way Paragraph
	for _, f := range []Fact{b.wrongCause(), b.inVain(), b.turnedBack(), b.cause()} {
		way.say(f)
	}
	slices.SortStableFunc(way, func(x, y Fact) int { // as it went; what is not in the record comes last
		if x.Absent || y.Absent {
			return cmp.Compare(btoi(x.Absent), btoi(y.Absent))
		}
		return cmp.Compare(x.Events[0], y.Events[0])
	})
	p = append(p, way...)
	p.say(b.ending())
	return paragraph("", p)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// symptoms are what visitors met, as the first question's answers tell it.
var symptoms = map[string]string{
	"nothing-loads": "Nothing loaded on %s",
	"some-pages":    "Some pages of %s failed",
	"one-thing":     "One part of %s was broken",
	"wrong-data":    "%s showed wrong or private data",
}

// declarer is what a check saw that declared the incident itself, in the same moment.
func (b *builder) declarer() *sight {
	e := b.firstOf(incident.Declared)
	if e.Seq == 0 || !e.Actor.Automatic() {
		return nil
	}
	for _, s := range b.sights() {
		if s.Seen == "down" && clean(e.Actor.Name) == "The check "+clean(s.Check) && s.At.Sub(e.At).Abs() < time.Second {
			return &s
		}
	}
	return nil
}

// began is the first sentence: what, where, when, and how long it had been so.
func (b *builder) began() Fact {
	e := b.firstOf(incident.Declared)
	if e.Seq == 0 {
		return Fact{}
	}
	from := refs(e)
	when := fmt.Sprintf("on %s at %s", day(e.At), b.clock(e.At))
	if local := b.local(e.At); local != "" {
		when += " (" + local + ")"
	}
	if s := b.self; s != nil && !b.in.Drill {
		return fact(join(from, refs(s.event)), "%s %s saw %s fail and declared the incident%s.", begin(when), checkName(s.Check), b.site(), saying(b.quote(s.Detail)))
	}
	title := ": " + cited(b.title())
	if strings.HasPrefix(b.in.Title, "Something is wrong with ") {
		title = ""
	}
	what := symptoms[b.in.Symptom]
	if b.in.Phase == incident.Cancelled { // what was thought is not what was
		what = ""
	}
	late := ""
	if s, found := b.firstDown(); found && e.At.Sub(s.At) >= time.Minute {
		late = fmt.Sprintf(", %s after a check had first seen the site fail", spell(e.At.Sub(s.At)))
		from = join(from, refs(s.event))
	}
	switch {
	case e.AtSource == incident.FromRecalled:
		return fact(from, "It began at %s %s with a local order by %s, which was taken over into the record afterwards%s.", b.site(), when, b.who(e.Actor), title)
	case b.in.Drill:
		what := "a lever"
		if len(b.in.Pulls) > 0 {
			what = orElse(b.quote(b.in.Pulls[0].Title), what)
		}
		return fact(from, "%s rehearsed %s at %s %s.", b.Who(e.Actor), what, b.site(), when)
	case what != "":
		return fact(from, "%s when %s declared the incident %s%s.", fmt.Sprintf(what, b.site()), b.who(e.Actor), when, late)
	}
	return fact(from, "%s declared an incident at %s %s%s%s.", b.Who(e.Actor), b.site(), when, late, title)
}

// rehearsed is what a drill came to.
func (b *builder) rehearsed() Fact {
	e := b.lastOf(incident.DrillScored)
	if e.Seq == 0 {
		return b.absent("The drill has no score.")
	}
	d := data[incident.DrillData](e)
	if !d.OK {
		return fact(refs(e), "The drill of %s failed%s.", b.leverTitle(clean(d.Lever)), saying(b.quote(d.Detail)))
	}
	return fact(refs(e), "The way there took %s, and the way back %s.", spell(time.Duration(d.ThereMS)*time.Millisecond), spell(time.Duration(d.BackMS)*time.Millisecond))
}

// madeSafe is how visitors came to safety, and for how long they stayed there.
func (b *builder) madeSafe() Fact {
	pulls := b.pulls()
	for i, p := range pulls {
		if p.seen.Seq == 0 {
			continue
		}
		s := fmt.Sprintf("The lever %s was pulled %s and was seen in force from outside %s", b.cite(p.Title), b.promptly(p.pressed.At), later(p.seen.At.Sub(p.pressed.At)))
		if b.o.Public {
			s = fmt.Sprintf("After %s %s was in force", spell(p.seen.At.Sub(b.in.DeclaredAt)), b.cite(p.Title))
		}
		from := refs(p.pressed, p.seen)
		if others, more := b.alsoPulled(pulls[i+1:], p.Lever); others != "" {
			s, from = s+"; "+others, join(from, more)
		}
		span, more := b.forHowLong(p)
		return fact(join(from, more), "%s%s.", s, span)
	}
	if e := b.lastOf(incident.DecisionMade); e.Seq > 0 {
		return fact(refs(e), "Visitors stayed where they were%s.", saying(b.quote(data[reasonData](e).Reason)))
	}
	if len(pulls) > 0 {
		p := pulls[0]
		return fact(refs(p.pressed), "%s was pulled %s, and nobody saw it in force from outside.", b.cite(p.Title), b.promptly(p.pressed.At))
	}
	if b.o.Public {
		return b.absent("Visitors stayed where they were.")
	}
	return b.absent("No lever was pulled.")
}

// forHowLong is how long visitors were away, or else how long a lever was in force that
// left them where they were.
func (b *builder) forHowLong(p pullStory) (string, []uint64) {
	away := b.away()
	if len(away) == 0 {
		if moves(p.Kind) || p.ends.Seq == 0 {
			return "", nil
		}
		held, _ := p.held(b.now)
		return fmt.Sprintf("; it remained so for %s, and visitors stayed on the real site", spell(held)), refs(p.ends)
	}
	were, figure := "were", spell(total(away))
	if b.growing() {
		were = "have been"
	}
	if len(away) > 1 {
		figure += " in all"
	}
	return fmt.Sprintf("; visitors %s kept away from the real site for %s", were, b.soFar(figure)), spanRefs(away)
}

// promptly is when somebody pressed, seen from the declaration.
func (b *builder) promptly(t time.Time) string { return orElse(b.after(t), "at once") }

// growing says whether visitors still are where a lever put them.
func (b *builder) growing() bool { return b.in.Phase.Open() && len(b.in.Loose()) > 0 }

// soFar marks a figure that still grows.
func (b *builder) soFar(figure string) string {
	if b.growing() {
		return figure + " so far"
	}
	return figure
}

// alsoPulled names the other levers that were seen in force.
func (b *builder) alsoPulled(rest []pullStory, but string) (string, []uint64) {
	var names []string
	var from []uint64
	for _, p := range rest {
		if name := b.quote(p.Title); p.seen.Seq > 0 && p.Lever != but && !slices.Contains(names, name) {
			names, from = append(names, name), join(from, refs(p.seen))
		}
	}
	if len(names) == 0 {
		return "", nil
	}
	return listed(names) + " followed", from
}

// wrongCause is a cause that was confirmed and did not stand.
func (b *builder) wrongCause() Fact {
	for _, w := range b.withdrawn() {
		d := data[incident.Diagnosis](w.confirmed)
		if b.stands(d.Causes) || b.o.Public { // what was thought is for those who look further
			continue
		}
		came := "was withdrawn"
		if w.ruledOut.Seq > 0 {
			came = "turned out to be wrong"
		}
		return fact(refs(w.confirmed, w.event, w.ruledOut), "A first cause was confirmed %s and %s%s.", orElse(b.after(w.confirmed.At), "at once"), came, saying(b.quote(d.Statement)))
	}
	return Fact{}
}

// maxVain is how many fixes that did not help the summary names.
const maxVain = 2

// inVain are the fixes that did not help.
func (b *builder) inVain() Fact {
	var from []uint64
	var told []string
	for _, f := range b.tried() {
		result := data[measuredData](f.measured).Result
		if f.measured.Seq == 0 || result != incident.StateNoEffect && result != incident.StateWorse {
			continue
		}
		from = join(from, refs(f.measured, f.ends()))
		did := strings.Replace(b.outcome(f), ", ", " and was ", 1)
		told = append(told, fmt.Sprintf("%s, %s, %s", fixName(f.ID), b.cite(f.Change), did))
	}
	switch {
	case len(told) == 0:
		return Fact{}
	case b.o.Public && len(told) == 1:
		return fact(from, "A first change did not help.")
	case b.o.Public:
		return fact(from, "%s did not help.", begin(counted(len(told), "change")))
	case len(told) > maxVain:
		return fact(from, "%s did not help.", begin(counted(len(told), "fix")))
	}
	return fact(from, "%s.", begin(strings.Join(told, "; ")))
}

// turnedBack are the returns that did not last.
func (b *builder) turnedBack() Fact {
	turns := b.turns()
	if len(turns) == 0 {
		return Fact{}
	}
	t := turns[len(turns)-1]
	from := refs(t.planned, t.left, t.back, t.event)
	s := ""
	f, found := b.carried(t)
	if found && !b.o.Public {
		s, from = fmt.Sprintf("after %s, %s, ", fixName(f.ID), b.cite(f.Change)), join(from, refs(f.measured))
	}
	switch {
	case !t.moved():
		s += fmt.Sprintf("a return was given up before visitors moved: %s", b.cutShort(t))
	case t.back.Seq == 0:
		s += fmt.Sprintf("visitors began to go back, and %s: %s", later(t.event.At.Sub(t.left.At)), b.cutShort(t))
	default:
		s += fmt.Sprintf("everybody was back %s, and %s %s", orElse(b.after(t.back.At), "at once"), later(t.event.At.Sub(t.back.At)), b.cutShort(t))
	}
	if len(t.seen) > 0 && t.pressed() {
		when := "before that"
		if !t.warned() {
			when = later(t.seen[0].At.Sub(t.event.At))
		}
		s, from = s+fmt.Sprintf("; a check saw the site fail %s", when), join(from, refs(t.seen[0].event))
	}
	if e := f.ends(); found && e.Type == incident.FixRolledBack && !b.o.Public {
		s, from = s+"; "+fixName(f.ID)+" was rolled back", join(from, refs(e))
	}
	if n := len(turns) - 1; n > 0 {
		s += "; it was not the first return that did not last"
		for _, x := range turns[:n] {
			from = join(from, refs(x.event))
		}
	}
	return fact(from, "%s.", begin(s))
}

// cause is what it came from, or that nobody knows.
func (b *builder) cause() Fact {
	if e, found := b.diagnosed(); found {
		d := data[incident.Diagnosis](e)
		sure := ""
		if d.Confidence == incident.Likely {
			sure = " as likely"
		}
		return fact(refs(e), "The cause was confirmed%s %s%s.", sure, orElse(b.after(e.At), "at once"), saying(b.quote(d.Statement)))
	}
	if b.over() {
		return b.absent("The cause is not known; that stays an open question.")
	}
	return b.absent("No cause has been confirmed so far.")
}

// ending is how it was cured, and when everybody was back.
func (b *builder) ending() Fact {
	f, fixed := b.cured()
	back := b.lastOf(incident.ReturnCompleted)
	if b.in.Phase == incident.FailOver || b.in.Phase == incident.Diagnose || b.in.Phase == incident.Fixing || b.in.Phase == incident.FailBack {
		return b.unfinished(f, fixed)
	}
	if back.Seq == 0 {
		return Fact{}
	}
	planned := b.returnOf(back)
	if settled := b.settled(planned); len(settled) > 0 {
		return fact(join(refs(planned, back), refs(settled...)), "Nobody went back: at %s the place where visitors were became the site's home%s.", b.at(back.At), saying(b.quote(data[returnData](planned).Because)))
	}
	home, from := b.homeAgain(planned, back)
	because := data[returnData](planned).Because
	if t := b.turns(); len(t) > 0 && ofFix.FindString(clean(because)) == "" { // the fix had been there before
		fixed = fixed && f.measured.Seq > t[len(t)-1].event.Seq
	}
	s := ""
	switch {
	case b.o.Public && fixed:
		s, from = fmt.Sprintf("The change that cured it was %s, and ", b.cite(f.Change)), join(from, refs(f.measured))
	case b.o.Public:
	case fixed:
		s, from = fmt.Sprintf("%s, %s, did what it promised, and ", fixName(f.ID), b.cite(f.Change)), join(from, refs(f.measured))
	case planned.Seq > 0:
		if !slices.ContainsFunc(b.in.Fixes, incident.Fix.Done) {
			s = "no fix is recorded; "
		}
		s, from = s+fmt.Sprintf("the way back began with the words %s, and ", b.cite(because)), join(from, refs(planned))
	}
	return fact(from, "%s.", begin(s+home+" at "+b.at(back.At)))
}

// homeAgain is what the end of a return came to, as a clause that a time can follow.
func (b *builder) homeAgain(planned, back incident.Event) (string, []uint64) {
	undone, moved := b.putBack(planned, back)
	if moved {
		return "everybody was back on the real site", refs(back)
	}
	if len(undone) == 0 {
		return "the real site passed its checks", refs(back)
	}
	var from []uint64
	var names []string
	for _, p := range undone {
		if name := b.cite(p.Title); !slices.Contains(names, name) {
			names = append(names, name)
		}
		from = join(from, refs(p.back))
	}
	put := listed(names) + " " + was(len(names)) + " put back"
	if b.whole(back) {
		put = "visitors had the whole site again: " + put
	}
	return put, join(from, refs(back))
}

// whole says whether no lever was in force any more when a return was complete.
func (b *builder) whole(back incident.Event) bool {
	return !slices.ContainsFunc(b.pulls(), func(p pullStory) bool {
		return p.seen.Seq > 0 && p.seen.Seq < back.Seq && (p.ends.Seq == 0 || p.ends.Seq > back.Seq)
	})
}

// unfinished is how far an open incident has come.
func (b *builder) unfinished(f fixStory, fixed bool) Fact {
	e := b.lastOf(incident.PhaseChanged)
	if e.Seq == 0 {
		e = b.firstOf(incident.Declared)
	}
	if fixed && !b.o.Public {
		return fact(join(refs(e), refs(f.measured)), "%s, %s, did what it promised; the incident is still open, at %s.", begin(fixName(f.ID)), b.cite(f.Change), b.in.Phase.Words())
	}
	return fact(refs(e), "The incident is still open, at %s.", b.in.Phase.Words())
}
