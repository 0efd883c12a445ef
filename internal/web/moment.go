package web

import (
	"slices"
	"strings"

	"lifeboat/internal/engine"
	"lifeboat/internal/incident"
)

// page puts a site's page together for the moment that it is in. see names another
// part of the same moment that somebody asked for.
func (x scope) page(see string) page {
	p := x.blank()
	switch {
	case !x.open():
		x.quiet(&p)
	case x.stuckPull() != nil:
		x.cannotTell(&p)
	case x.in.Phase != incident.FailBack && moving(*x.in):
		x.moving(&p)
	default:
		x.phase(&p, see)
	}
	x.notices(&p)
	return p
}

func (x scope) phase(p *page, see string) {
	switch x.in.Phase {
	case incident.FailOver:
		x.getSafe(p)
	case incident.Diagnose:
		x.lookAround(p, see)
	case incident.Fixing:
		x.oneFix(p)
	case incident.FailBack:
		x.goingBack(p)
	case incident.Watch:
		x.watching(p)
	default:
		x.over(p)
	}
}

// moving says whether an act is under way.
func moving(in incident.Incident) bool {
	return slices.ContainsFunc(in.Pulls, func(p incident.Pull) bool { return p.State == incident.Applying || p.State == incident.Undoing })
}

// stuckPull is a pull of which nobody can tell whether it is in force.
func (x scope) stuckPull() *incident.Pull {
	for i, p := range x.in.Pulls {
		if p.State == incident.Stuck {
			return &x.in.Pulls[i]
		}
	}
	return nil
}

// others are forms behind the one box, each with a line on what it does.
func (x scope) others(p *page, names ...string) {
	for _, name := range names {
		a := x.ask(name)
		a.Says = saysOf[name]
		if a.Fields == nil && a.Off == "" {
			a.Page = a.Action
		}
		p.Others = append(p.Others, a)
	}
}

// saysOf is the line beside a folded choice.
var saysOf = map[string]string{
	"stay":               "Nobody is moved. One sentence says why.",
	"cancel":             "Nothing has been moved; this just closes it.",
	"tell":               "One short message; it is written already.",
	"snooze":             "The promise that was made moves.",
	"report-fix":         "Somebody has changed something already: write it down, without blame.",
	"fix":                "Four lines, before anything is touched.",
	"go-back":            "It went away by itself, or somebody else has mended it.",
	"advance":            "Passes rule R13; your name and reason are recorded.",
	"end-watch":          "Before its time, with a reason.",
	"permanent":          "The old place does not come back.",
	"withdraw-fix":       "Nothing has been touched yet.",
	"alone":              "Nobody answers. A pause follows.",
	"measure":            "Perhaps it needed longer.",
	"judge":              "You saw what no check can see.",
	"keep":               "It stays as it is, with a reason, and step 2 goes on.",
	"object":             "One sentence says what speaks against it.",
	"not-carried-out":    "It stopped halfway, or could not begin.",
	"not-taken-back":     "Then it is taken back by hand, or kept with a reason.",
	"withdraw-diagnosis": "Something was seen that does not fit.",
	"cause":              "A wrong guess that is ruled out is progress.",
	"close":              "Without a write-up it takes a sentence.",
	"severity":           "For those who were not there.",
	"hand-over":          "Three lines, and somebody else has it.",
	"weigh":              "Something speaks for it, or against it, that is not written down yet.",
	"rule-out":           "No: something shows that it is not this.",
	"take-back":          "What it changed goes back to what it was.",
}

// levers are the other levers, as choices.
func (x scope) levers(p *page, but string) {
	for _, l := range x.ranked() {
		if l.Name == but {
			continue
		}
		a := x.ask("pull", "lever", l.Name)
		a.Says = strings.TrimSpace(notices(l) + " " + howLong(x.v, l))
		p.Others = append(p.Others, a)
	}
}

// best is the lever that fits what visitors meet.
func (x scope) best() (engine.LeverView, bool) {
	if all := x.ranked(); len(all) > 0 {
		return all[0], true
	}
	return engine.LeverView{}, false
}

// ranked are the levers that can be pulled, the fitting one first: for one broken
// thing those that close a feature, else the one that leads to the status page. What
// leads to a place that is seen down comes last.
func (x scope) ranked() []engine.LeverView {
	one := x.symptom() == "one-thing"
	rank := func(l engine.LeverView) int {
		switch {
		case !x.usable(l.Kind, l.To):
			return 5
		case l.Proposed:
			return 0
		case one && l.Kind != "zone":
			return 1
		case l.To == "standby":
			return 2
		case l.Kind == "zone":
			return 3
		}
		return 4
	}
	var out []engine.LeverView
	for _, l := range x.v.Levers {
		if l.State == "free" || l.State == string(incident.Stuck) || again(l) {
			out = append(out, l)
		}
	}
	slices.SortStableFunc(out, func(a, b engine.LeverView) int { return rank(a) - rank(b) })
	return out
}

// again says whether a lever no longer holds and can be pulled again. What we order
// ourselves is ordered still: there the press would change nothing.
func again(l engine.LeverView) bool {
	return l.Drifted && l.State == string(incident.Active) && l.Kind != "zone" && l.Kind != "feature"
}

// notices are what waits for somebody, whatever the moment.
func (x scope) notices(p *page) {
	if !x.open() {
		return
	}
	for _, h := range x.in.Handovers {
		if h.AcceptedAt.IsZero() {
			p.Notices = append(p.Notices, notice{Text: h.From + " hands over to " + h.To + ": " + labelOf(parts, h.Role) + ".", Href: sitePath(x) + "/accept?handover=" + h.ID, Link: "Read the brief"})
		}
	}
	if due := x.in.UpdateDue; !due.IsZero() && !x.now().Before(due) {
		p.Notices = append(p.Notices, notice{Text: "News was promised for " + x.s.clock(due) + " and has not been sent yet.", Href: sitePath(x) + "/tell", Link: "Tell people", Amber: true})
	}
	if x.v.AutoHeld {
		p.Notices = append(p.Notices, notice{Text: "Nothing moves by itself: a person took an automatic move back.", Href: sitePath(x) + "/resume", Link: "Let rules move it again"})
	}
	for _, pull := range x.in.Holding() {
		if pull.Drifted {
			if l := x.lever(pull.Lever); again(l) {
				p.Notices = append(p.Notices, notice{Text: "Your lever “" + pull.Title + "” no longer holds: somebody else changed it. " + sentence(pull.Detail) + " Nothing is set again by itself.", Href: sitePath(x) + "/pull?lever=" + l.Name, Link: "Pull it again", Amber: true})
				continue
			}
			p.Notices = append(p.Notices, notice{Text: "Somebody else changed “" + pull.Title + "”: it no longer holds as it was ordered. We show it and do not fight it.", Href: "/changes", Link: "Find out who", Amber: true})
		}
	}
	for i := len(x.in.Overrides) - 1; i >= 0 && i >= len(x.in.Overrides)-2; i-- {
		o := x.in.Overrides[i]
		p.Notices = append(p.Notices, notice{Text: "Rule " + o.Rule + " was passed by " + o.By.Name + ", " + x.s.clock(o.At) + ": “" + cut(o.Reason, 200) + "”", Amber: true})
	}
}
