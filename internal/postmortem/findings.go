package postmortem

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/incident"
)

// Proposal is a finding that a rule proposes, with the events it rests on. Its id says
// which rule, and about what, and stays the same while the incident goes on, so that a
// person's judgement stays with it.
type Proposal struct {
	incident.Finding
	Events []uint64 `json:"events"`
}

// From when on a time is worth a finding.
const (
	slowPress   = 5 * time.Minute  // from the declaration to the first lever
	slowDeclare = 5 * time.Minute  // from the first failed check to the declaration
	slowNews    = 15 * time.Minute // that visitors are away and the public hears nothing
	maxNamed    = 3                // things that one finding names
)

// Findings proposes what the events say about how people work and how the system is
// built. It names no person.
func Findings(events []incident.Event) []Proposal {
	return newBuilder(events, Options{}).proposals()
}

// proposer looks for one kind of finding.
type proposer struct {
	about string
	drill bool // also in drills and false alarms
	over  bool // only once it is over, since it is about what did not happen
	look  func(*builder) []hit
}

// hit is what a proposer found.
type hit struct {
	id     string
	events []uint64
	text   string
}

func found(id string, events []uint64, format string, args ...any) []hit {
	if len(events) == 0 {
		return nil
	}
	return []hit{{id, events, fmt.Sprintf(format, args...)}}
}

// proposers are all rules, in the order of the loop.
var proposers = []proposer{
	{about: incident.AboutProcess, look: (*builder).lateDeclaration},
	{about: incident.AboutArchitecture, look: (*builder).checkMissing},
	{about: incident.AboutProcess, look: (*builder).slowLever},
	{about: incident.AboutProcess, look: (*builder).unarmed},
	{about: incident.AboutArchitecture, drill: true, look: (*builder).unseen},
	{about: incident.AboutProcess, look: (*builder).foreignChange},
	{about: incident.AboutProcess, over: true, look: (*builder).nobodyLed},
	{about: incident.AboutArchitecture, over: true, look: (*builder).noChanges},
	{about: incident.AboutArchitecture, look: (*builder).evidenceMissing},
	{about: incident.AboutProcess, over: true, look: (*builder).causeUnknown},
	{about: incident.AboutProcess, look: (*builder).fixBeforeCause},
	{about: incident.AboutProcess, look: (*builder).fixFailed},
	{about: incident.AboutProcess, look: (*builder).severalFixes},
	{about: incident.AboutProcess, look: (*builder).fixElsewhere},
	{about: incident.AboutProcess, look: (*builder).fixAlone},
	{about: incident.AboutProcess, look: (*builder).overridden},
	{about: incident.AboutProcess, look: (*builder).newsLate},
	{about: incident.AboutProcess, look: (*builder).publicLate},
	{about: incident.AboutArchitecture, look: (*builder).newsFailed},
	{about: incident.AboutProcess, look: (*builder).steppedBack},
	{about: incident.AboutArchitecture, look: (*builder).relapsed},
	{about: incident.AboutArchitecture, look: (*builder).parked},
	{about: incident.AboutProcess, look: (*builder).handoverOpen},
	{about: incident.AboutArchitecture, drill: true, look: (*builder).drillFailed},
}

func (b *builder) proposals() []Proposal {
	out := []Proposal{}
	if len(b.events) == 0 {
		return out
	}
	by := incident.Actor{Kind: "rule", ID: "postmortem", Name: "lifeboat"}
	for _, x := range proposers {
		if !x.drill && !b.real() || x.over && !b.over() {
			continue
		}
		for _, h := range x.look(b) {
			id := cut(clean(h.id), 64)
			if slices.ContainsFunc(out, func(p Proposal) bool { return p.ID == id }) {
				continue
			}
			out = append(out, Proposal{incident.Finding{ID: id, About: x.about, Text: h.text, By: by, At: b.last.At}, h.events})
		}
	}
	return out
}

func (b *builder) lateDeclaration() []hit {
	declared := b.firstOf(incident.Declared)
	down, seen := b.firstDown()
	if late := declared.At.Sub(down.At); seen && declared.Seq > 0 && late > slowDeclare {
		return found("late-declaration", refs(down.event, declared), "%s saw the site fail %s before the incident was declared. In that time nobody was told, or nobody pressed.", begin(checkName(down.Check)), spell(late))
	}
	return nil
}

// checkMissing is a failure that people noticed before any check did.
func (b *builder) checkMissing() []hit {
	declared := b.firstOf(incident.Declared)
	who := map[string]string{"visitor": "a visitor", "staff": "the staff", "social": "people on social media"}[b.in.Noticed]
	if declared.Seq == 0 || who == "" || !byPerson(declared) {
		return nil
	}
	switch down, seen := b.firstDown(); {
	case !seen && !b.over():
		return nil
	case !seen:
		return found("check-missing", refs(declared), "No check saw the site fail; %s noticed it. A check for what visitors met is missing.", who)
	case down.At.After(declared.At):
		return found("check-missing", refs(declared, down.event), "The first to see the site fail was %s, %s after the declaration; %s had noticed it before. A check that sees this sooner is missing.", checkName(down.Check), spell(down.At.Sub(declared.At)), who)
	}
	return nil
}

func (b *builder) slowLever() []hit {
	pulls := slices.DeleteFunc(b.pulls(), func(p pullStory) bool { return p.carried })
	declared := b.firstOf(incident.Declared)
	if len(pulls) == 0 || declared.Seq == 0 || b.in.NoFailover != "" {
		return nil
	}
	if took := pulls[0].pressed.At.Sub(declared.At); took > slowPress {
		return found("slow-first-lever", refs(declared, pulls[0].pressed), "It took %s from the declaration until the first lever was pulled.", spell(took))
	}
	return nil
}

func (b *builder) unarmed() (out []hit) {
	for _, p := range b.pulls() {
		d := data[pressData](p.pressed)
		if d.Facts == nil || p.carried || p.pressed.AtSource == incident.FromRecalled {
			continue
		}
		why := ""
		switch until := d.Facts.ArmedUntil; {
		case until.IsZero():
			why = "it had never been rehearsed"
		case !p.pressed.At.Before(until):
			why = "its last rehearsal was too long ago"
		default:
			continue
		}
		out = append(out, found("unarmed-"+p.Lever, refs(p.pressed), "%s was pulled without being armed: %s.", begin(b.cite(p.Title)), why)...)
	}
	return out
}

// unseen are levers that were pulled and could not be seen in force.
func (b *builder) unseen() (out []hit) {
	for _, p := range b.pulls() {
		unclear := b.about("pull", p.ID, incident.LeverUnknown, incident.LeverFailed)
		if len(unclear) == 0 {
			continue
		}
		what := "nobody could tell from outside whether it was in force"
		if unclear[0].Type == incident.LeverFailed {
			what = "it did not take effect"
		}
		out = append(out, found("unseen-"+p.Lever, refs(append(unclear, p.pressed)...), "%s was pulled, and %s%s.", begin(b.quote(p.Title)), what, saying(b.quote(data[incident.OutcomeData](unclear[0]).Detail)))...)
	}
	return out
}

func (b *builder) foreignChange() (out []hit) {
	for _, p := range b.pulls() {
		if drift := b.about("pull", p.ID, incident.LeverDrift); len(drift) > 0 {
			out = append(out, found("foreign-change-"+p.Lever, refs(drift...), "While %s was in force, somebody else changed it%s.", b.cite(p.Title), orOften(len(drift)))...)
		}
	}
	return out
}

func orOften(n int) string {
	if n == 1 {
		return ""
	}
	return ", " + times(n)
}

func (b *builder) nobodyLed() []hit {
	if !b.leads().Absent {
		return nil
	}
	return found("nobody-led", refs(b.first, b.last), "Nobody took the lead, from the declaration to the end.")
}

func (b *builder) noChanges() []hit {
	if len(b.of(incident.ChangeSeen)) > 0 {
		return nil
	}
	return found("no-changes", refs(b.first, b.last), "No change is recorded before the incident. Either nothing had been changed, or the list of changes does not hear of it.")
}

func (b *builder) evidenceMissing() []hit {
	var names []string
	var from []uint64
	all := b.of(incident.EvidenceCaptured)
	for _, e := range all {
		if x := data[incident.Evidence](e); x.Problem != "" {
			from = join(from, refs(e))
			names = append(names, b.cite(x.Title)+" ("+strings.TrimRight(b.text(x.Problem, 120), ". ")+")")
		}
	}
	if n := len(names); n > 0 {
		more := ""
		if n > maxNamed {
			names, more = names[:maxNamed], ", and more"
		}
		return found("evidence-missing", from, "%s of %s of evidence could not be had in full: %s%s.", begin(number(n)), counted(len(all), "piece"), strings.Join(names, ", "), more)
	}
	return nil
}

func (b *builder) causeUnknown() []hit {
	if _, known := b.diagnosed(); known {
		return nil
	}
	return found("cause-unknown", refs(b.first, b.last), "The incident ended without a confirmed cause, so it may come again.")
}

func (b *builder) fixBeforeCause() (out []hit) {
	for _, f := range b.tried() {
		if f.begun.Seq > 0 && !f.Outside && !b.diagnosedBy(f.begun.Seq) {
			out = append(out, found("fix-before-cause-"+f.ID, refs(f.begun, f.measured), "%s was begun before a cause was confirmed; it %s.", begin(fixName(f.ID)), b.came(f))...)
		}
	}
	return out
}

// came is what a fix came to, as the end of a sentence.
func (b *builder) came(f fixStory) string {
	switch data[measuredData](f.measured).Result {
	case incident.StateWorked:
		return "did what it promised"
	case incident.StateNoEffect:
		return "had no effect"
	case incident.StateWorse:
		return "did harm"
	}
	return "was not measured"
}

func (b *builder) fixFailed() (out []hit) {
	for _, f := range b.tried() {
		switch d := data[measuredData](f.measured); d.Result {
		case incident.StateNoEffect:
			what := "what it was to change had not been written down"
			if p := b.promise(f.Promise, "would pass"); f.Promise.Check != "" {
				what = "it had promised that " + p
			} else if f.Promise.To != "" {
				what = "it had promised " + p
			}
			out = append(out, found("fix-no-effect-"+f.ID, refs(f.proposed, f.measured), "%s had no effect; %s.", begin(fixName(f.ID)), what)...)
		case incident.StateWorse:
			out = append(out, found("fix-harm-"+f.ID, refs(f.proposed, f.measured), "%s did harm%s.", begin(fixName(f.ID)), saying(b.quote(strings.TrimPrefix(d.Why, "it made things worse: "))))...)
		}
	}
	return out
}

func (b *builder) severalFixes() []hit {
	var begun []incident.Event
	for _, f := range b.tried() {
		if f.begun.Seq > 0 {
			begun = append(begun, f.begun)
		}
	}
	if len(begun) < 2 {
		return nil
	}
	return found("several-fixes", refs(begun...), "%s were begun in this incident, the last %s after the first.", begin(counted(len(begun), "fix")), spell(begun[len(begun)-1].At.Sub(begun[0].At)))
}

func (b *builder) fixElsewhere() (out []hit) {
	for _, f := range b.tried() {
		if f.Outside {
			out = append(out, found("fix-elsewhere-"+f.ID, refs(f.proposed), "%s was made elsewhere before it was told here, so nobody had read it and its promise came after it.", begin(fixName(f.ID)))...)
		}
	}
	return out
}

func (b *builder) fixAlone() (out []hit) {
	for _, f := range b.tried() {
		timeout := b.about("fix", f.ID, incident.ApprovalTimeout)
		switch {
		case len(timeout) > 0:
			out = append(out, found("fix-alone-"+f.ID, refs(append(timeout, f.proposed)...), "Nobody else read %s within %s, so it went ahead on one person's word.", fixName(f.ID), spell(f.Waits))...)
		case f.Alone && f.Waits == 0 && !f.Outside && f.begun.Seq > 0:
			out = append(out, found("fix-alone-"+f.ID, refs(f.proposed, f.begun), "Nobody else could approve %s: only one account may.", fixName(f.ID))...)
		}
	}
	return out
}

// presses counts the moments of events: one press can pass a rule for two reasons.
func presses(events []incident.Event) int {
	n := 0
	for i, e := range events {
		if i == 0 || !e.At.Equal(events[i-1].At) {
			n++
		}
	}
	return n
}

// overridden are the rules that were overridden, but for R1, of which unarmed tells.
func (b *builder) overridden() (out []hit) {
	events := map[string][]incident.Event{}
	var rules []string
	for _, e := range b.of(incident.RuleOverridden) {
		rule := clean(data[ruleData](e).Rule)
		if events[rule] == nil {
			rules = append(rules, rule)
		}
		events[rule] = append(events[rule], e)
	}
	for _, rule := range rules {
		if rule == incident.R1.ID || rule == "" {
			continue
		}
		out = append(out, found("overridden-"+rule, refs(events[rule]...), "%s was overridden %s.", begin(theRule(rule)), times(presses(events[rule])))...)
	}
	return out
}

func (b *builder) newsLate() []hit {
	var from []uint64
	n, all, longest := 0, 0, time.Duration(0)
	for _, x := range b.promises() {
		if x.moved {
			continue
		}
		all++
		if late := x.late(b.told()); late >= time.Minute {
			n, longest, from = n+1, max(longest, late), join(from, refs(x.made, x.by))
		}
	}
	if n == 0 {
		return nil
	}
	switch first := b.promises()[0]; {
	case all == 1 && first.by.Seq > 0:
		return found("news-late", from, "The promised message came %s late.", spell(longest))
	case all == 1 && b.in.Phase.Open():
		return found("news-late", from, "The promised message is overdue.")
	case all == 1:
		return found("news-late", from, "The promised message never came.")
	case n == all:
		none := "None"
		if all == 2 {
			none = "Neither"
		}
		return found("news-late", from, "%s of the %s promised messages came in time; the longest wait beyond the promise was %s.", none, number(all), spell(longest))
	}
	return found("news-late", from, "%s of %s promised messages did not come in time; the longest wait beyond the promise was %s.", begin(number(n)), number(all), spell(longest))
}

// publicLate is a public that was told late, or nothing, while visitors were away.
func (b *builder) publicLate() []hit {
	away := b.away()
	if len(away) == 0 || total(away) <= slowNews {
		return nil
	}
	for _, e := range b.of(incident.UpdateSent) {
		if data[incident.Update](e).Audience != incident.Public {
			continue
		}
		if late := e.At.Sub(away[0].from); late > slowNews {
			return found("public-late", join(away[0].events, refs(e)), "The public was first told %s after visitors had been taken away from the site.", spell(late))
		}
		return nil
	}
	if !b.over() {
		return nil
	}
	return found("public-untold", spanRefs(away), "Visitors were kept away for %s, and the public was told nothing.", spell(total(away)))
}

func (b *builder) newsFailed() (out []hit) {
	events := map[string][]incident.Event{}
	var channels []string
	for _, e := range b.of(incident.UpdateFailed, incident.IntegrationFails) {
		channel := clean(data[deliveryData](e).Channel)
		if events[channel] == nil {
			channels = append(channels, channel)
		}
		events[channel] = append(events[channel], e)
	}
	for _, channel := range channels {
		what, often := "A message", ""
		if n := len(events[channel]); n > 1 {
			what, often = "Messages", ", "+times(n)
		}
		out = append(out, found("news-failed-"+channel, refs(events[channel]...), "%s could not go out by %s%s%s.", what, orElse(channel, "a channel"), often, saying(b.quote(data[deliveryData](events[channel][0]).Detail)))...)
	}
	return out
}

func (b *builder) steppedBack() []hit {
	all := slices.DeleteFunc(b.turns(), func(t turn) bool { return t.event.Type != incident.SteppedBack })
	if len(all) == 0 {
		return nil
	}
	what := "A return was given up: "
	if n := len(all); n > 1 {
		what = begin(number(n)) + " returns were given up, the first of them thus: "
	}
	return found("stepped-back", turnRefs(all), "%s%s.", what, b.nameless(all[0]))
}

func (b *builder) relapsed() []hit {
	all := slices.DeleteFunc(b.turns(), func(t turn) bool { return t.event.Type != incident.WatchRelapse })
	if len(all) == 0 {
		return nil
	}
	t := all[0]
	from := join(turnRefs(all), refs(t.since()))
	s := "A return did not last: "
	if n := len(all); n > 1 {
		s = begin(number(n)) + " returns did not last. Of the first: "
	}
	if since := t.since(); since.Seq > 0 {
		s += spell(t.event.At.Sub(since.At)) + " into the watch "
	}
	s += b.nameless(t)
	switch {
	case len(t.seen) == 0:
		return found("relapsed", from, "%s.", s)
	case t.warned():
		return found("relapsed", join(from, refs(t.seen[0].event)), "%s, after %s had seen the real site fail.", s, checkName(t.seen[0].Check))
	}
	late := spell(t.seen[0].At.Sub(t.event.At))
	return found("relapsed", join(from, refs(t.seen[0].event)), "%s, and the first check to see the real site fail did so %s later. What the checks asked before the return did not show it.", s, late)
}

// turnRefs are the events that ended returns.
func turnRefs(all []turn) (out []uint64) {
	for _, t := range all {
		out = join(out, refs(t.event))
	}
	return out
}

// parked are levers that stay pulled past the return.
func (b *builder) parked() (out []hit) {
	for _, p := range b.pulls() {
		if p.Parked == nil || !p.Holds() {
			continue
		}
		out = append(out, found("parked-"+p.Lever, refs(b.about("pull", p.ID, incident.LeverParked)...), "%s stays pulled past the return, until %s%s.", begin(b.quote(p.Title)), date(p.Parked.Until), saying(b.quote(p.Parked.Reason)))...)
	}
	return out
}

func (b *builder) handoverOpen() (out []hit) {
	for _, h := range b.in.Handovers {
		if h.AcceptedAt.IsZero() && b.over() {
			out = append(out, found("handover-open-"+h.ID, refs(b.about("handover", h.ID, incident.HandoverOffered)...), "%s was offered at %s, and nobody took it up.", begin(theRole(h.Role)), b.clock(h.At))...)
		}
	}
	return out
}

func (b *builder) drillFailed() []hit {
	e := b.lastOf(incident.DrillScored)
	if d := data[incident.DrillData](e); e.Seq > 0 && !d.OK {
		return found("drill-failed-"+d.Lever, refs(e), "The drill of %s failed%s.", b.leverTitle(clean(d.Lever)), saying(b.quote(d.Detail)))
	}
	return nil
}
