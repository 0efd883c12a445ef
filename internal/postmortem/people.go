package postmortem

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/incident"
)

// decisions are the choices that people made, the guard rails that they passed, and
// those that asked them to wait.
func (b *builder) decisions() []Block {
	var out []Block
	for _, d := range b.in.Decisions {
		made := b.about("decision", d.ID, incident.Chosen)
		var p Paragraph
		p.say(fact(refs(made...), "At %s the question was: %s", b.clock(d.At), b.question(d.Question)))
		p.say(fact(refs(made...), "%s chose %s%s.", b.Who(d.By), b.cite(d.Chosen), saying(b.quote(d.Reason))))
		if len(d.Options) > 0 {
			var options []string
			for _, o := range d.Options {
				options = append(options, b.cite(o))
			}
			p.say(fact(refs(made...), "The options had been %s.", listed(options)))
		}
		for _, e := range b.about("decision", d.ID, incident.ObjectionRaised) {
			p.say(fact(refs(e), "%s objected%s.", b.Who(e.Actor), saying(b.quote(data[objectionData](e).Text))))
		}
		out = append(out, paragraph("", p)...)
	}
	out = append(out, b.overrides()...)
	return append(out, b.refusals()...)
}

// question is a question that somebody typed, with its mark.
func (b *builder) question(s string) string {
	s = strings.TrimRight(b.text(s, longText), ". ")
	if strings.HasSuffix(s, "?") {
		return cited(s)
	}
	return cited(s) + "."
}

// overrides are the guard rails that were passed, each with who and why.
func (b *builder) overrides() []Block {
	var items []Paragraph
	all := b.of(incident.RuleOverridden)
	for i, e := range all {
		d, same := data[ruleData](e), []incident.Event{e}
		if i > 0 && b.sameRow(all[i-1], e) && data[ruleData](all[i-1]).Rule == d.Rule {
			continue // one press can pass a rule for two reasons
		}
		for _, x := range all[i+1:] {
			if b.sameRow(e, x) && data[ruleData](x).Rule == d.Rule {
				same = append(same, x)
			}
		}
		f := fact(refs(same...), "At %s %s overrode %s%s.", b.clock(e.At), b.who(e.Actor), theRule(d.Rule), saying(b.quote(d.Reason)))
		f.Amber = true
		items = append(items, Paragraph{f})
	}
	return bullets("Overrides", items...)
}

// theRule is a guard rail within a sentence.
func theRule(id string) string { return "the rule " + inFull(id) }

// inFull is what a guard rail asks for, with its number.
func inFull(id string) string {
	for _, r := range incident.Rules {
		if r.ID == id {
			return "“" + r.Text + "” (" + r.ID + ")"
		}
	}
	return cited(cut(clean(id), 16))
}

// refused is why a rule asked to wait, in lifeboat's own words.
func (b *builder) refused(d ruleData) string {
	reason := inOwn(d.Reason)
	for _, p := range b.in.Pulls { // by the name that it has in the configuration
		if title := clean(p.Title); p.Lever != "" && title != "" {
			reason = strings.Replace(reason, fmt.Sprintf("The lever %q ", p.Lever), "The lever “"+title+"” ", 1)
			reason = strings.Replace(reason, ": taking back "+p.Lever+".", ": taking back “"+title+"”.", 1)
		}
	}
	return b.quote(begin(reason))
}

// refusals are what a rule asked to wait, each reason once.
func (b *builder) refusals() []Block {
	var keys []string
	events := map[string][]incident.Event{}
	for _, e := range b.of(incident.RuleRefused) {
		d := data[ruleData](e)
		key := d.Rule + "\x00" + d.Reason
		if events[key] == nil {
			keys = append(keys, key)
		}
		events[key] = append(events[key], e)
	}
	var items []Paragraph
	for _, key := range keys {
		all := events[key]
		d := data[ruleData](all[0])
		often := ""
		if len(all) > 1 {
			often = ", " + times(len(all))
		}
		items = append(items, Paragraph{fact(refs(all...), "At %s %s asked %s to wait%s%s.", b.clock(all[0].At), theRule(d.Rule), b.who(all[0].Actor), often, saying(b.refused(d)))})
	}
	return bullets("Rules that asked to wait", items...)
}

// audiences are those who are told.
var audiences = map[string]string{incident.Public: "the public", incident.Staff: "the staff", incident.Leaders: "the leaders"}

// communication is what people outside the crew were told, and whether promises of
// news were kept.
func (b *builder) communication() []Block {
	sent := b.of(incident.UpdateSent)
	if len(sent) == 0 {
		if !b.real() || !b.over() && len(b.in.Pulls) == 0 {
			return nil
		}
		return paragraph("", Paragraph{b.absent("Nobody was told outside the crew.")})
	}
	t := Table{Columns: []string{"When", "To", "By", "Message", "Next promised for"}}
	for _, e := range sent {
		u := data[incident.Update](e)
		next := "–"
		switch {
		case u.Final:
			next = "it was the last"
		case !u.NextDue.IsZero():
			next = b.clock(u.NextDue)
		}
		t.row(refs(e), b.second(e.At.UTC(), b.in.DeclaredAt.UTC()), orElse(audiences[u.Audience], "somebody"), b.who(e.Actor), b.text(u.Text, 2*longText), next)
	}
	var p Paragraph
	b.firstTold(&p)
	for _, e := range b.of(incident.UpdateSnoozed) {
		d := data[dueData](e)
		p.say(fact(refs(e), "At %s %s put the next one off until %s%s.", b.clock(e.At), b.who(e.Actor), b.clock(d.Due), saying(b.quote(d.Reason))))
	}
	for _, x := range b.promises() {
		p.say(x.fact(b))
	}
	b.longestSilence(&p)
	b.failures(&p)
	return append(table("", t), paragraph("", p)...)
}

// firstTold is when the public was first told, seen from the declaration.
func (b *builder) firstTold(p *Paragraph) {
	for _, e := range b.of(incident.UpdateSent) {
		if data[incident.Update](e).Audience == incident.Public {
			p.say(fact(refs(e), "The public was first told %s.", orElse(b.after(e.At), "at the declaration")))
			return
		}
	}
	if b.in.Phase.Open() && !b.over() {
		p.say(b.absent("The public has been told nothing so far."))
		return
	}
	p.say(b.absent("The public was told nothing."))
}

// promise is a time for which news was promised.
type promise struct {
	due      time.Time
	made, by incident.Event // by is the message that kept it, or came late
	moved    bool           // it was put off before its time
}

// promises are all times for which news was promised, in order.
func (b *builder) promises() []promise {
	var out []promise
	open := false
	for _, e := range b.of(incident.UpdateSent, incident.UpdateSnoozed) {
		if open && e.Type == incident.UpdateSent {
			out[len(out)-1].by, open = e, false
		}
		due := data[dueData](e).Due
		if e.Type == incident.UpdateSent {
			due = data[incident.Update](e).NextDue
		} else if open && !due.IsZero() {
			out[len(out)-1].moved = true
		}
		if !due.IsZero() {
			out, open = append(out, promise{due: due, made: e}), true
		}
	}
	return out
}

// late is how late the news came, or has not come by the end.
func (x promise) late(end time.Time) time.Duration {
	if x.moved {
		return 0
	}
	if x.by.Seq > 0 {
		end = x.by.At
	}
	return max(0, end.Sub(x.due))
}

func (x promise) fact(b *builder) Fact {
	switch late := x.late(b.now); {
	case x.moved:
		return Fact{}
	case x.by.Seq > 0 && late < time.Second:
		return fact(refs(x.made, x.by), "News was promised for %s and came in time.", b.clock(x.due))
	case x.by.Seq > 0:
		return fact(refs(x.made, x.by), "News was promised for %s and came %s late.", b.clock(x.due), spell(late))
	case late > 0 && !b.in.Phase.Open():
		return fact(refs(x.made), "News was promised for %s and never came.", b.clock(x.due))
	case late > 0:
		return fact(refs(x.made), "News was promised for %s and has not come so far.", b.clock(x.due))
	}
	return Fact{}
}

// longestSilence is the longest time between two messages, where it was long.
func (b *builder) longestSilence(p *Paragraph) {
	var from, to incident.Event
	sent := b.of(incident.UpdateSent)
	for i := 1; i < len(sent); i++ {
		if from.Seq == 0 || sent[i].At.Sub(sent[i-1].At) > to.At.Sub(from.At) {
			from, to = sent[i-1], sent[i]
		}
	}
	if from.Seq > 0 && to.At.Sub(from.At) >= 30*time.Minute {
		p.say(fact(refs(from, to), "The longest silence between two messages was %s.", spell(to.At.Sub(from.At))))
	}
}

// failures are the messages that could not go out at once.
func (b *builder) failures(p *Paragraph) {
	told := map[string]bool{}
	for _, e := range b.of(incident.UpdateFailed, incident.IntegrationFails) {
		d := data[deliveryData](e)
		if told[d.ID+"\x00"+d.Channel] {
			continue
		}
		told[d.ID+"\x00"+d.Channel] = true
		what := b.message(d.ID)
		later := b.delivered(d, e.Seq)
		switch {
		case later.Seq > 0:
			p.say(fact(refs(e, later), "%s could not go out by %s at first%s and went out %s later.", what, clean(d.Channel), aside(b.quote(d.Detail)), spell(later.At.Sub(e.At))))
		default:
			p.say(fact(refs(e), "%s could not go out by %s%s.", what, clean(d.Channel), saying(b.quote(d.Detail))))
		}
	}
}

// message is an update by the time at which it was written.
func (b *builder) message(id string) string {
	for _, u := range b.in.Updates {
		if u.ID == id && id != "" {
			return "The message of " + b.clock(u.At)
		}
	}
	return "Messages"
}

func (b *builder) delivered(d deliveryData, after uint64) incident.Event {
	for _, e := range b.about("update", d.ID, incident.UpdateDelivered) {
		if e.Seq > after && data[deliveryData](e).Channel == d.Channel {
			return e
		}
	}
	return incident.Event{}
}

// people are the roles and who had them, one after the other. Nobody is ranked: names
// stand by the alphabet.
func (b *builder) people() []Block {
	first := map[string]incident.Event{}
	for _, e := range b.events {
		if name := cut(clean(e.Actor.Name), 64); !e.Actor.Automatic() && name != "" && first[name].Seq == 0 {
			first[name] = e
		}
	}
	var p Paragraph
	names := slices.SortedFunc(maps.Keys(first), func(x, y string) int {
		return cmp.Or(strings.Compare(strings.ToLower(x), strings.ToLower(y)), strings.Compare(x, y))
	})
	if len(names) > 0 {
		var seen []incident.Event
		for _, n := range names {
			seen = append(seen, first[n])
		}
		p.say(fact(refs(seen...), "%s took part.", listed(names)))
	}
	for _, e := range b.of(incident.RoleTaken, incident.RoleReleased) {
		d := data[roleData](e)
		verb := "took"
		if e.Type == incident.RoleReleased {
			verb = "gave up"
		}
		p.say(fact(refs(e), "%s %s %s at %s.", begin(b.name(d.Person)), verb, theRole(d.Role), b.at(e.At)))
	}
	if b.leads().Absent {
		p.say(b.absent("Nobody took the lead."))
	}
	out := paragraph("", p)
	for _, h := range b.in.Handovers {
		out = append(out, b.handover(h)...)
	}
	return out
}

// theRole is a role as people say it.
func theRole(role string) string {
	if role == "lead" {
		return "the lead"
	}
	return "the role of " + orElse(map[string]string{"scribe": "scribe", "communication": "telling people", "expert": "expert"}[role], cited(cut(clean(role), 40)))
}

// handover is one person giving a role to another, with what they were told.
func (b *builder) handover(h incident.Handover) []Block {
	var p Paragraph
	offered := refs(b.about("handover", h.ID, incident.HandoverOffered)...)
	p.say(fact(offered, "%s offered %s %s at %s.", begin(b.name(h.From)), b.name(h.To), theRole(h.Role), b.clock(h.At)))
	p.say(fact(offered, "How things were%s.", saying(b.quote(h.Brief.Things))))
	if q := b.quote(h.Brief.Doing); q != "" {
		p.say(fact(offered, "What was being done: %s.", q))
	}
	if q := b.quote(h.Brief.Needs); q != "" {
		p.say(fact(offered, "What was needed: %s.", q))
	}
	accepted := b.about("handover", h.ID, incident.HandoverAccepted)
	for _, e := range accepted {
		p.say(fact(refs(e), "%s took over %s later.", b.Who(e.Actor), spell(e.At.Sub(h.At))))
	}
	if len(accepted) == 0 && len(p) > 0 {
		p.say(fact(offered, "It was not taken up."))
	}
	return paragraph("", p)
}

// onRole tells what somebody did with a role.
func onRole(verb string) teller {
	return func(b *builder, e incident.Event) string {
		d := data[roleData](e)
		return fmt.Sprintf("%s %s %s.", begin(b.name(d.Person)), verb, theRole(d.Role))
	}
}

var peopleTellers = map[incident.Type]teller{
	incident.RuleRefused: func(b *builder, e incident.Event) string {
		d := data[ruleData](e)
		return fmt.Sprintf("%s asked %s to wait%s.", begin(theRule(d.Rule)), b.who(e.Actor), saying(b.refused(d)))
	},
	incident.RuleOverridden: func(b *builder, e incident.Event) string { return b.overrode([]incident.Event{e}) },
	incident.SeverityChanged: func(b *builder, e incident.Event) string {
		d := data[severityData](e)
		return fmt.Sprintf("%s set the severity to %s%s.", b.Who(e.Actor), clean(d.Level), saying(b.quote(d.Why)))
	},
	incident.IncidentLinked: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("%s linked this incident to %s.", b.Who(e.Actor), clean(data[incident.Link](e).Incident))
	},
	incident.RoleTaken:    onRole("took"),
	incident.RoleReleased: onRole("gave up"),
	incident.HandoverOffered: func(b *builder, e incident.Event) string {
		h := data[incident.Handover](e)
		return fmt.Sprintf("%s offered %s %s.", begin(b.name(h.From)), b.name(h.To), theRole(h.Role))
	},
	incident.HandoverAccepted: func(b *builder, e incident.Event) string {
		d := data[roleData](e)
		return fmt.Sprintf("%s took over %s.", begin(b.name(d.Person)), theRole(d.Role))
	},
	incident.Chosen: func(b *builder, e incident.Event) string {
		d := data[incident.Decision](e)
		return fmt.Sprintf("%s %s chose %s.", b.question(d.Question), b.Who(e.Actor), b.cite(d.Chosen))
	},
	incident.ObjectionRaised: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("%s objected%s.", b.Who(e.Actor), saying(b.quote(data[objectionData](e).Text)))
	},
	incident.UpdateSent: func(b *builder, e incident.Event) string {
		u := data[incident.Update](e)
		return fmt.Sprintf("%s told %s%s.", b.Who(e.Actor), orElse(audiences[u.Audience], "people"), saying(b.quote(u.Text)))
	},
	incident.UpdateSnoozed: func(b *builder, e incident.Event) string {
		d := data[dueData](e)
		return fmt.Sprintf("%s put the next message off until %s%s.", b.Who(e.Actor), b.clock(d.Due), saying(b.quote(d.Reason)))
	},
	incident.UpdateFailed: func(b *builder, e incident.Event) string {
		d := data[deliveryData](e)
		return fmt.Sprintf("%s could not go out by %s%s.", b.message(d.ID), clean(d.Channel), saying(b.quote(d.Detail)))
	},
	incident.UpdateIsDue: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("The news promised for %s was overdue.", b.clock(data[dueData](e).Due))
	},
	incident.IntegrationFails: func(b *builder, e incident.Event) string {
		d := data[deliveryData](e)
		return fmt.Sprintf("The channel %s took no messages%s.", clean(d.Channel), saying(b.quote(d.Detail)))
	},
}
