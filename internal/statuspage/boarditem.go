package statuspage

import (
	"strings"

	"lifeboat/internal/board"
)

// item is an incident or a maintenance, as a page tells of it.
type item struct {
	State, Href, Title, Lang, Only string
	Step, When, Impact, Lasted     string
	Touched, Next                  string
	Updates                        []message
}

type message struct {
	Step       string
	At         stamp
	Text       []string
	Lang, Only string
	Changes    string
}

// incident lays an incident out with its newest messages, newest first.
func (p press) incident(in board.Incident, most int) item {
	title, lang := p.w.text(in.Title, p.first)
	v := item{
		State: letters[stateOfImpact(in.Impact)], Href: p.at + board.PathIncident + in.ID, Title: line(title), Lang: lang, Only: p.w.only(lang),
		Step: p.w.say("step." + string(in.Step)), When: p.w.say("news.began", with{"Time": p.w.clock(in.StartedAt, p.b.Now).Text}),
		Impact: p.impact(in), Lasted: p.lasted(in), Touched: p.touched(in.Components), Updates: p.updates(in.Updates, most),
	}
	if in.Open() && !in.NextDue.IsZero() {
		id := "news.next"
		if in.NextDue.Before(p.b.Now) {
			id = "news.late"
		}
		v.Next = p.w.say(id, with{"Time": p.w.clock(in.NextDue, p.b.Now).Text})
	}
	if !in.Open() {
		v.State = letters[board.Unknown]
	}
	return v
}

// impact says how much it hurts. "No effect" is said only where a person said so or it is
// over: of an open incident for which no component has changed yet, nobody knows that.
func (p press) impact(in board.Incident) string {
	if in.Open() && in.Impact == board.ImpactNone && in.Given == "" {
		return ""
	}
	return p.w.say("impact." + string(in.Impact))
}

func (p press) maintenance(m board.Maintenance, most int) item {
	title, lang := p.w.text(m.Title, p.first)
	from := m.From
	if !m.StartedAt.IsZero() {
		from = m.StartedAt
	}
	until := m.Until
	if !m.EndedAt.IsZero() {
		until = m.EndedAt
	}
	return item{
		State: letters[board.Maintained], Href: p.at + board.PathMaintenance + m.ID, Title: line(title), Lang: lang, Only: p.w.only(lang),
		Step: p.w.say("step." + string(m.Step)), Touched: p.touched(m.Components), Updates: p.updates(m.Updates, most),
		When: p.w.say("work.when", with{"From": p.w.clock(from, p.b.Now).Text, "Until": p.w.clock(until, from).Text}),
	}
}

// stateOfImpact is the state whose colour and mark an impact is shown with.
func stateOfImpact(i board.Impact) board.State {
	switch i {
	case board.ImpactCritical:
		return board.Major
	case board.ImpactMajor:
		return board.Partial
	case board.ImpactMinor:
		return board.Degraded
	}
	return board.Unknown
}

func (p press) touched(ids []string) string {
	var names []string
	for _, id := range ids {
		if name := p.names[id]; name != "" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return p.w.say("news.touched", with{"Names": strings.Join(names, ", ")})
}

// updates lays messages out, the newest first.
func (p press) updates(list []board.Update, most int) []message {
	var out []message
	for i := len(list) - 1; i >= 0 && len(out) < most; i-- {
		u := list[i]
		text, lang := p.w.text(u.Text, p.first)
		v := message{Step: p.w.say("step." + string(u.Step)), At: p.w.clock(u.At, p.b.Now), Text: paragraphs(text), Lang: lang, Only: p.w.only(lang)}
		var changes []string
		for _, a := range u.Affected {
			if name := p.names[a.Component]; name != "" && a.Old != a.New {
				changes = append(changes, p.w.say("news.change", with{"Name": name, "New": p.w.say("state." + string(a.New))}))
			}
		}
		v.Changes = strings.Join(changes, " · ")
		out = append(out, v)
	}
	return out
}
