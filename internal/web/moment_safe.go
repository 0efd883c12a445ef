package web

import (
	"lifeboat/internal/engine"
	"lifeboat/internal/incident"
)

// getSafe is step 1: the one question, then the one lever.
func (x scope) getSafe(p *page) {
	p.Step, p.Headline, p.Lede = 1, "Let’s get out of hot water first.", "You don’t need to know why yet."
	symptom := x.symptom()
	if best, found := x.best(); found && best.Proposed {
		p.Notices = append(p.Notices, notice{Text: "A rule proposes the lever below. A person presses."})
	} else if symptom == "" || x.arg("see") == "question" {
		p.Box = x.question()
		x.levers(p, "")
		x.others(p, "stay", "cancel")
		return
	}
	if symptom != "" {
		p.Lead = x.part("answer", struct{ Words, Page string }{symptomWords(symptom), sitePath(x) + "?see=question"})
	}
	l, found := x.best()
	if !found {
		p.Lede = "No lever is free. Call somebody, or leave visitors where they are."
		p.Box = linked(x.ask("stay"))
		x.others(p, "cancel")
		return
	}
	p.Box = x.leverBox(l)
	x.levers(p, l.Name)
	x.others(p, "stay", "cancel")
}

// question is the one question, with five answers.
func (x scope) question() *box {
	a := x.ask("symptom")
	a.Submit, a.Submits, a.Title = "symptom", symptoms, ""
	b := boxOf(a)
	b.Title = "What are visitors meeting?"
	return b
}

// leverBox is a lever as the one thing to do.
func (x scope) leverBox(l engine.LeverView) *box {
	b := boxOf(x.ask("pull", "lever", l.Name))
	b.Ask.Ready = x.part("ready", readiness{Words: rehearsed(l, x.now()) + ".", Armed: l.Armed})
	return b
}

// lines are what is done at the press, with what of it is seen.
type doing struct {
	Words, Says string
	Done        bool
	Mark        string // of what is watched
}

// moving is the page while an act is under way.
func (x scope) moving(p *page) {
	p.Step, p.Headline, p.Lede = 1, "Doing it now.", "You can let go of the mouse."
	if x.in.Phase != incident.FailOver {
		p.Step = 2
	}
	p.calm(2)
	pull, back := x.underWay()
	to := pull.To
	if back {
		p.Headline, to = "Putting it back.", pull.From
	}
	ordered := "our own answers change at once"
	if pull.Kind != "zone" && pull.Kind != "feature" {
		ordered = "the system that keeps the flag is told"
	}
	list := []doing{
		{Words: "It is written down", Says: pull.Title, Done: true},
		{Words: "It is ordered", Says: ordered, Done: pull.Kind != "zone" || x.v.Ordered.Position == to},
		{Words: "It is seen from outside", Says: "we ask as a visitor would", Done: false},
		{Words: "Visitors follow", Says: howLong(x.v, x.lever(pull.Lever)), Done: false},
	}
	p.Main = x.part("doing", list)
}

// underWay is the pull that is on its way, there or back.
func (x scope) underWay() (incident.Pull, bool) {
	for _, p := range x.in.Pulls {
		if p.State == incident.Applying {
			return p, false
		}
	}
	for _, p := range x.in.Pulls {
		if p.State == incident.Undoing {
			return p, true
		}
	}
	return incident.Pull{}, false
}

// cannotTell is the page while nobody can tell whether a lever is in force.
func (x scope) cannotTell(p *page) {
	pull := x.stuckPull()
	p.Step, p.Headline = 1, "We can’t tell."
	if x.in.Phase != incident.FailOver {
		p.Step = 2
	}
	p.Lede = "“" + pull.Title + "” may be in force, or not. Somebody must look. " + sentence(pull.Detail)
	b := boxOf(x.ask("pull", "lever", pull.Lever))
	b.Ask.Title = "Pull it once more"
	b.Ask.Off = x.role("pull")
	p.Box = b
	back := x.ask("put-back", "lever", pull.Lever)
	back.Says = "If you know that it should not be in force."
	p.Others = append(p.Others, back)
	x.levers(p, pull.Lever)
}

// role says why the role of who looks does not allow an act.
func (x scope) role(name string) string { return acts[name].forbidden(x) }
