package web

import (
	"cmp"
	"html/template"

	"lifeboat/internal/incident"
)

// oneFix is step 3: a fix that is read, begun, measured, and kept or taken back.
func (x scope) oneFix(p *page) {
	p.Step = 3
	f, found := x.fix()
	if !found {
		x.fixed(p)
		return
	}
	p.Where = append(p.Where, "Fix "+f.ID)
	p.Headline, p.Lede = "One fix.", x.still()
	p.Main = x.promised(f)
	switch f.State {
	case incident.StateProposed, incident.StateApproved:
		x.toRead(p, f)
	case incident.StateApplying:
		x.toDo(p, f)
	case incident.StateMeasuring:
		x.toMeasure(p, f)
	case incident.StateNoEffect, incident.StateWorse:
		x.toTakeBack(p, f)
	case incident.StateInterrupted:
		x.interrupted(p)
	case incident.StateRollingBack:
		x.rollingBack(p, f)
	}
	p.Side = x.figure(f)
}

// figure is what was read of the promise: a picture once there is more than a point.
func (x scope) figure(f incident.Fix) template.HTML {
	switch len(f.Readings) {
	case 0:
		return ""
	case 1:
		return x.part("reading", struct{ Check, Words string }{f.Promise.Check, sentence(seenWords(f.Readings[0]))})
	}
	return x.part("figure", x.promiseGraph(f))
}

// toRead is a fix that somebody else reads, or that waits for its moment.
func (x scope) toRead(p *page, f incident.Fix) {
	mine := f.By.ID == x.by().ID && f.By.Name == x.by().Name
	p.calm(5)
	if !mine && len(f.Approvals) == 0 && f.Objection == "" && x.role("approve") == "" {
		p.Headline, p.Lede = "Read it, please.", f.By.Name+" wants to change one thing. Is there a strong objection?"
		p.Box, p.Main = boxOf(x.ask("approve")), ""
		p.Box.Before = x.promised(f)
		stop := x.ask("object")
		stop.Says = saysOf["object"]
		p.Box.After = x.part("second", stop)
		x.others(p, "withdraw-fix")
		return
	}
	apply := boxOf(x.ask("apply"))
	p.Box = apply
	switch {
	case f.Objection != "":
		p.Headline = "Somebody says stop."
	case len(f.Approvals) > 0:
		p.Headline = "It has been read."
		p.Lede = f.Approvals[len(f.Approvals)-1].By.Name + " has no strong objection. " + p.Lede
	case f.Alone && apply.Ask.Off != "":
		p.Headline, p.Lede = "Read it once more, slowly.", "You are alone with this. "+p.Lede
	case f.Alone:
		p.Headline, p.Lede = "You have read it once more.", "You are alone with this. "+p.Lede
	case x.ask("alone").Off == "":
		p.Headline, p.Lede = "Nobody has answered.", "It was asked for "+spell(f.Waits)+". You may go on alone, after a pause to read it once more. "+p.Lede
		p.Box = linked(x.ask("alone"))
	default:
		p.Headline, p.Lede = "Ask somebody to read it.", "Another pair of eyes finds what yours have stopped seeing. "+p.Lede
	}
	if !f.Alone && len(f.Approvals) == 0 && !p.Box.Link {
		x.others(p, "alone")
	}
	x.others(p, "object", "withdraw-fix")
	if f.Objection != "" {
		x.others(p, "approve")
	}
	if apply.Ask.Off != "" && x.role("apply") == "" {
		now := x.ask("apply")
		now.Title, now.Says, now.Off, now.Page = "Begin it now, because …", "Passes rule R9; your name and reason are recorded.", "", now.Action+"?anyway=1"
		now.Fields = []field{{Name: "reason", Kind: area}} // it is typed on its own page
		p.Others = append(p.Others, now)
	}
}

// toDo is a fix that is being done.
func (x scope) toDo(p *page, f incident.Fix) {
	p.calm(5)
	if f.Action != "" {
		p.Headline, p.Lede = "lifeboat does it now.", "You can let go of the mouse. "+p.Lede
		p.Main = x.part("doing", []doing{{Words: "It was read", Says: "or somebody went on alone", Done: true}, {Words: "It is begun", Says: happensOf(x, f), Done: true}, {Words: "It has come to its end", Says: "its last lines are kept"}}) + p.Main
		return
	}
	p.Headline, p.Lede = "Do it now.", cmp.Or(f.Owner, "Somebody")+" does it by hand. Say when it is done. "+p.Lede
	p.Box = boxOf(x.ask("carried-out"))
	x.others(p, "not-carried-out")
}

// toMeasure is a fix that nobody touches while it shows what it did.
func (x scope) toMeasure(p *page, f incident.Fix) {
	p.calm(5)
	left := f.AppliedAt.Add(f.Promise.Within).Sub(x.now())
	p.Headline, p.Lede = "Waiting to see what it did.", "Hands off for "+wholeSeconds(left)+"."
	if left <= 0 {
		p.Lede = "The time that was promised is over. The next look decides."
	}
	if f.Promise.Check == "" {
		p.Lede = "No check can tell. Look, and say what you see."
		p.Box = linked(x.ask("judge"))
		x.others(p, "take-back")
		return
	}
	x.others(p, "judge", "take-back")
}

// toTakeBack is a fix that did not help: it is taken back first.
func (x scope) toTakeBack(p *page, f incident.Fix) {
	p.Headline, p.Lede = "It did not do what we expected.", "That tells us something. "+p.Lede
	if f.State == incident.StateWorse {
		p.Headline, p.Lede = "It did harm.", sentence(f.Result)+" "+p.Lede
	}
	p.Box = boxOf(x.ask("take-back", "fix", f.ID))
	x.others(p, "keep")
	if f.State == incident.StateNoEffect {
		x.others(p, "measure")
	}
}

// interrupted is a fix that did not come to its end.
func (x scope) interrupted(p *page) {
	f, _ := x.fix()
	p.Headline, p.Lede = "The fix was interrupted.", sentence(f.Result)+" Nothing else is touched before it is settled. "+p.Lede
	p.Box = boxOf(x.ask("take-back", "fix", f.ID))
	x.others(p, "measure", "judge", "keep")
}

// rollingBack is a fix on its way back.
func (x scope) rollingBack(p *page, f incident.Fix) {
	p.calm(5)
	p.Headline = "Taking it back."
	if f.Action != "" && f.Undo {
		p.Lede = "lifeboat does it now. You can let go of the mouse. " + p.Lede
		x.others(p, "keep")
		return
	}
	p.Lede = "By hand: " + sentence(f.WayBack) + " Say when it is done. " + p.Lede
	p.Box = boxOf(x.ask("taken-back"))
	x.others(p, "not-taken-back", "keep")
}

// fixed is step 3 with its fix settled: the way back is open.
func (x scope) fixed(p *page) {
	f, _ := x.in.LastFix()
	if !worked(x) {
		p.Headline, p.Lede = "What next?", "No fix is under way. "+x.still()
		p.Box = linked(x.ask("fix"))
		x.others(p, "cause", "report-fix", "go-back")
		p.Board = x.board(p.May)
		return
	}
	p.Headline, p.Lede = "It did what it promised.", sentence(f.Result)+" Next: go back, once the real site has answered well often enough in a row."
	b := linked(x.ask("go-back"))
	p.Box = b
	p.Main = x.promised(f)
	p.Side = x.figure(f)
	x.others(p, "tell", "take-back")
	if x.awayFromHome() && x.v.Ordered.Position != "standby" {
		x.others(p, "permanent")
	}
	x.heldLevers(p)
	p.Main += x.part("parked", x.stillPulled())
}

// promiseLine is a line of what was promised, with what was seen of it.
type promiseLine struct{ Label, Words, Seen string }

type promisePart struct {
	Lines  []promiseLine
	Said   []string
	Output string
}

// promised are the four lines, as they were written down before anything was touched.
func (x scope) promised(f incident.Fix) template.HTML {
	seen := ""
	if n := len(f.Readings); n > 0 && f.State != incident.StateMeasuring {
		seen = seenWords(f.Readings[n-1])
	}
	part := promisePart{Output: f.Output, Lines: []promiseLine{
		{Label: "I will change", Words: f.Change},
		{Label: "I expect", Words: cmp.Or(promiseWords(f), "nothing was written down"), Seen: seen},
		{Label: "If not, I will", Words: cmp.Or(f.WayBack, "let its prepared act be undone")},
		{Label: "It will take", Words: cmp.Or(f.Takes, "nobody has said") + ", and at most " + spell(f.Promise.Within) + " to see what it did"},
	}}
	if f.Risk != "" {
		part.Lines = append(part.Lines, promiseLine{Label: "It could also", Words: f.Risk})
	}
	written := "Written by " + f.By.Name + " " + x.s.clock(f.At) + "."
	if f.Outside {
		written = "Done elsewhere, told by " + f.By.Name + " " + x.s.clock(f.At) + "."
	}
	part.Said = append(part.Said, written)
	for _, a := range f.Approvals {
		part.Said = append(part.Said, "Read by "+a.By.Name+" "+x.s.clock(a.At)+": no strong objection.")
	}
	if f.Objection != "" {
		part.Said = append(part.Said, "An objection stands: "+sentence(f.Objection))
	}
	if f.Alone {
		part.Said = append(part.Said, "Nobody else has read it.")
	}
	return x.part("promised", part)
}

// promiseWords is what a fix promised. How the check was before is told until the fix is
// in place: what was "now" then is not now any more.
func promiseWords(f incident.Fix) string {
	if p := f.Promise; !f.AppliedAt.IsZero() {
		p.From = ""
		return p.Words()
	}
	return f.Promise.Words()
}

func seenWords(r incident.Reading) string {
	switch {
	case r.Verdict == "pass" && r.Took > 0:
		return "it passes, in " + spell(r.Took)
	case r.Verdict == "pass":
		return "it passes"
	case r.Verdict == "fail":
		return "it fails. " + sentence(r.Detail)
	}
	return "it gives no clear answer. " + sentence(r.Detail)
}
