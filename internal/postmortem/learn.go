package postmortem

import (
	"fmt"
	"slices"
	"time"

	"lifeboat/internal/incident"
)

// questions are the four that only people can answer, with their answers. Of a drill
// and a false alarm only those that were answered are shown.
func (b *builder) questions() []Block {
	var out []Block
	for _, q := range incident.Questions {
		answers := b.about("question", q.Key, incident.WriteUpAnswered)
		if len(answers) > 0 {
			if e := answers[len(answers)-1]; len(lines(data[textData](e).Text)) > 0 {
				quote := b.wrote(e)
				out = append(out, Block{Heading: q.Text, Quote: &quote})
				continue
			}
		}
		if b.real() {
			out = append(out, Block{Heading: q.Text, Blank: "No answer yet."})
		}
	}
	return out
}

// wrote is what a person wrote, as a quotation.
func (b *builder) wrote(e incident.Event) Quote {
	text := lines(data[textData](e).Text)
	for i := range text {
		text[i] = b.masked(text[i])
	}
	at := e.At.UTC()
	if y := at.Year(); y < 0 || y > 9999 { // what JSON can't hold, no clock has said
		at = time.Time{}
	}
	return Quote{Lines: text, By: b.Who(e.Actor), At: at, Events: refs(e)}
}

func (b *builder) process() []Block      { return b.findings(incident.AboutProcess) }
func (b *builder) architecture() []Block { return b.findings(incident.AboutArchitecture) }

// findings are those on one matter: what people accepted, what is still proposed, and
// what they did not accept.
func (b *builder) findings(about string) []Block {
	var accepted, proposed, rejected []Paragraph
	judged := map[string]bool{}
	for _, f := range b.in.WriteUp.Findings {
		judged[f.ID] = true
		events := b.about("finding", f.ID, incident.FindingJudged)
		if f.About != about || len(events) == 0 {
			continue
		}
		e := events[len(events)-1]
		p := Paragraph{fact(refs(e), "%s", stopped(b.text(f.Text, 2*longText)))}
		switch note := b.quote(f.Note); {
		case !f.Accepted:
			p.say(fact(refs(e), "%s did not accept it%s.", b.Who(e.Actor), saying(note)))
			rejected = append(rejected, p)
			continue
		case note != "":
			p.say(fact(refs(e), "%s added: %s.", b.Who(e.Actor), note))
		}
		accepted = append(accepted, p)
	}
	for _, x := range b.proposals() {
		if x.About == about && !judged[x.ID] {
			proposed = append(proposed, Paragraph{fact(x.Events, "%s", x.Text)})
		}
	}
	return slices.Concat(bullets("Accepted", accepted...), bullets("Proposed, not judged yet", proposed...), bullets("Not accepted", rejected...))
}

var classWords = map[string]string{
	"prevent": "prevent it", "detect": "notice it sooner", "contain": "get visitors to safety sooner", "return_faster": "return sooner", "process": "work together better",
}

// followUps are what is owed, and beside it what was only thought of.
func (b *builder) followUps() []Block {
	if b.o.Public {
		return b.publicFollowUps()
	}
	owed := Table{Columns: []string{"What", "Owner", "Due", "Done when", "Meant to", "State"}}
	var ideas []Paragraph
	for _, f := range b.in.FollowUps {
		from := refs(b.about("followup", f.ID)...)
		state := clean(f.State)
		if f.Reason != "" {
			state += saying(b.quote(f.Reason))
		}
		if f.Kind == "idea" {
			if len(from) > 0 {
				ideas = append(ideas, Paragraph{fact(from, "%s", stopped(b.text(f.What, longText)))})
			}
			continue
		}
		what := b.text(f.What, longText)
		if tracker := b.text(f.Tracker, 100); tracker != "" {
			what += " (" + tracker + ")"
		}
		due := "no date"
		if !f.Due.IsZero() {
			due = date(f.Due)
		}
		owner := "nobody"
		if clean(f.Owner) != "" {
			owner = b.name(f.Owner)
		}
		owed.row(from, what, owner, due, orElse(b.text(f.DoneWhen, cellText), "not said"), orElse(classWords[f.Class], clean(f.Class)), state)
	}
	out := append(table("", owed), bullets("Ideas, promised by nobody", ideas...)...)
	if len(out) == 0 && b.over() && b.real() {
		return paragraph("", Paragraph{b.absent("Nothing has been agreed on so far.")})
	}
	return out
}

// publicFollowUps are what we do about it, as far as visitors are concerned.
func (b *builder) publicFollowUps() []Block {
	var items []Paragraph
	for _, f := range b.in.FollowUps {
		if f.Kind != "commitment" || f.State == "declined" {
			continue
		}
		when := ""
		switch {
		case f.State != "open":
			when = " This is done."
		case !f.Due.IsZero():
			when = fmt.Sprintf(" Due by %s.", date(f.Due))
		}
		p := Paragraph{}
		p.say(fact(refs(b.about("followup", f.ID)...), "%s%s", stopped(b.text(f.What, longText)), when))
		items = append(items, p)
	}
	return bullets("", items...)
}

// recurrence is what other incidents this one is tied to.
func (b *builder) recurrence() []Block {
	var items []Paragraph
	for _, l := range b.in.Links {
		from := refs(b.about("incident", l.Incident, incident.IncidentLinked)...)
		if len(from) == 0 {
			from = refs(b.firstOf(incident.Declared))
		}
		var p Paragraph
		if l.Kind == "recurrence_of" {
			p.say(fact(from, "It was taken to be a recurrence of %s.", clean(l.Incident)))
		} else {
			p.say(fact(from, "It was linked with %s.", clean(l.Incident)))
		}
		items = append(items, p)
	}
	return bullets("", items...)
}
