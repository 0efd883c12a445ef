package web

import (
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/engine"
	"lifeboat/internal/incident"
	"lifeboat/internal/probe"
)

// page is the one page of a site: what the moment is, what is ordered and seen, what
// can be pressed.
type page struct {
	Site   engine.SiteView
	Moment moment
	Steps  []step
	Ask    *ask   // the form that is open; nil: none
	Safety *ask   // the way back to safety beside an open form; nil: none is needed
	Main   *ask   // the one thing to do now
	Others []ask  // other choices
	Levers []card // all of them, with the reason where one can't be pressed
	Beads  []beads
	Now    time.Time
	Open   bool // an incident is open
}

// moment is the sentence of state.
type moment struct {
	Step     int // 1 to 4; 0: calm, 5: after
	Headline string
	Lede     string
	Since    time.Time
	Refresh  int // seconds
}

type step struct {
	N     int
	Label string
	Class string
}

// ask is a button, or a form with one field: what it does, and what is said below.
type ask struct {
	Act, Lever  string
	Title       string
	Field       string // the question of its field; "": a button alone
	Must        bool   // the field must be filled
	Anyway      string // the question of a second field, in which an override says why
	Happens     string
	HowLong     string
	TakenBack   string
	Typed       string
	Reason      string // typed into the second field
	Rule        string // that refused it
	Plain       bool   // not the one thing to do
	Problem     string
	ProblemNext string
}

type card struct {
	engine.LeverView
	Pull, Back *ask
	Rehearsed  string
	Drill      bool
}

type beads struct {
	Check  string
	Passed int
	Needed int
	Dots   []bool
}

// momentOf says in a sentence how things stand with a site.
func momentOf(v engine.SiteView, now time.Time) moment {
	in := v.Incident
	if in == nil || !in.Phase.Open() {
		return calm(v)
	}
	m := moment{Since: in.DeclaredAt, Refresh: 5}
	switch in.Phase {
	case incident.FailOver:
		m.Step, m.Headline, m.Lede = 1, "Let’s get out of hot water first.", "You don’t need to know why yet."
		if moving(in) {
			m.Headline, m.Lede, m.Refresh = "Doing it now.", "You can let go of the mouse.", 2
		}
	case incident.Diagnose, incident.Fix:
		m.Step, m.Headline, m.Lede = 2, "Visitors are looked after.", "There is no hurry now. The next minutes are for looking, not for touching."
		if len(in.Holding()) == 0 {
			m.Headline, m.Lede = "Visitors stay where they are.", in.NoFailover
		}
		if i := slices.IndexFunc(in.Pulls, func(p incident.Pull) bool { return p.Holds() && p.Drifted }); i >= 0 {
			m.Headline, m.Lede = "Somebody else changed it.", "“"+in.Pulls[i].Title+"” no longer holds as it was ordered. We show it and do not fight it: find out who did it."
		}
	case incident.FailBack:
		m.Step, m.Headline, m.Lede = 4, "We ask the real site, directly.", "Nothing moves until it has answered well often enough in a row."
		m.Refresh = 2
		if in.Return != nil && in.Return.Passed {
			m.Headline, m.Lede = "Visitors go back.", "The real site looks healthy."
		}
		if in.Return != nil && in.Return.Held != "" {
			m.Headline, m.Lede = "We can’t tell.", "A check gave no clear answer, so we wait. Nothing moves. "+sentence(in.Return.Held)
		}
	case incident.Watch:
		m.Step, m.Headline = 4, "You’re back."
		m.Lede = "We keep watching until " + in.WatchUntil.UTC().Format("15:04:05 UTC") + ". You may get some air."
	case incident.Review:
		m.Step, m.Headline, m.Lede, m.Refresh = 5, "It is over. Well done.", "Write down what you remember while it is fresh.", 0
	}
	if i := slices.IndexFunc(in.Pulls, func(p incident.Pull) bool { return p.State == incident.Stuck }); i >= 0 {
		m.Headline = "We can’t tell."
		m.Lede = "“" + in.Pulls[i].Title + "” may be in force, or not. Somebody must look. " + sentence(in.Pulls[i].Detail)
	}
	return m
}

func calm(v engine.SiteView) moment {
	m := moment{Refresh: 10}
	switch homeSeen(v) {
	case probe.Up:
		m.Headline, m.Lede = "All is well.", "If something looks wrong, press the button. You cannot break anything: every first step can be taken back."
	case probe.Down:
		m.Headline, m.Lede = "The site does not answer as it should.", "Nobody has called it yet."
	default:
		m.Headline, m.Lede = "We can’t tell how the site is.", "No check has given a clear answer lately."
	}
	return m
}

func homeSeen(v engine.SiteView) probe.Seen {
	for _, p := range v.Seen {
		if p.Role == "home" {
			return p.Seen
		}
	}
	return probe.Unknown
}

// moving says whether an act is under way.
func moving(in *incident.Incident) bool {
	return slices.ContainsFunc(in.Pulls, func(p incident.Pull) bool { return p.State == incident.Applying || p.State == incident.Undoing })
}

// sitePage puts a site's page together; open names the form that is to be open.
func sitePage(v engine.SiteView, o engine.Overview, open, lever string, say message) page {
	p := page{Site: v, Moment: momentOf(v, o.Now), Now: o.Now, Open: v.Incident != nil && v.Incident.Phase.Open()}
	p.Steps = steps(p.Moment.Step)
	for _, l := range v.Levers {
		p.Levers = append(p.Levers, cardOf(v, l, o.Now))
	}
	p.choices()
	p.beads()
	if a := p.find(open, lever); a != nil {
		a.answered(say)
		p.Ask = a
		if p.Main != nil && p.Main.Act == "step-back" && a.Act != "step-back" {
			p.Safety = p.Main
		}
	}
	return p
}

// answered puts into a form what came of it: all that was typed, why it was not done,
// and the field with which a person goes on anyway.
func (a *ask) answered(say message) {
	a.Typed, a.Reason = say.Typed, say.Reason
	if say.Kind == "refused" || say.Kind == "failed" {
		a.Problem, a.ProblemNext, a.Rule = say.Text, say.Next, say.Rule
	}
	if !say.Override {
		return
	}
	const question = "Do it anyway, because …"
	a.Title = "Do it anyway: " + a.Title
	if a.Act == "go-back" && strings.TrimSpace(a.Typed) != "" { // says what changed already
		a.Anyway = question
		return
	}
	a.Field, a.Must = question, true
}

func steps(now int) []step {
	out := []step{{1, "Get safe", ""}, {2, "Find out", ""}, {3, "Fix", ""}, {4, "Go back", ""}}
	for i := range out {
		switch {
		case out[i].N == now:
			out[i].Class = "now"
		case out[i].N < now:
			out[i].Class = "done"
		}
	}
	return out
}

// cardOf is a lever with its buttons.
func cardOf(v engine.SiteView, l engine.LeverView, now time.Time) card {
	c := card{LeverView: l, Rehearsed: "It was never rehearsed.", Drill: l.State == "free"}
	if !l.Drill.At.IsZero() {
		c.Rehearsed = fmt.Sprintf("Rehearsed %s ago: there in %d ms, back in %d ms.", age(now.Sub(l.Drill.At)), l.Drill.ThereMS, l.Drill.BackMS)
		if !l.Drill.OK {
			c.Rehearsed = fmt.Sprintf("The last rehearsal, %s ago, failed: %s.", age(now.Sub(l.Drill.At)), l.Drill.Detail)
		}
		if l.Drill.OK && !l.Armed {
			c.Rehearsed += " That does not count any more."
		}
	}
	switch l.State {
	case "free", "unknown":
		c.Pull = &ask{Act: "pull", Lever: l.Name, Title: l.Title, Happens: happens(l), HowLong: howLong(v, l), TakenBack: "One press puts it back, and takes as long. Nothing is lost.", Plain: true}
	}
	switch l.State {
	case "active", "unknown":
		c.Back = &ask{Act: "put-back", Lever: l.Name, Title: "Put back: " + l.Title, Happens: "Everything is as before this lever was pulled.", HowLong: howLong(v, l), TakenBack: "Pull it again.", Plain: true}
	}
	return c
}

func happens(l engine.LeverView) string {
	if l.Says != "" {
		return sentence(l.Says)
	}
	if l.To == "standby" {
		return "Everyone who opens the site sees a short, honest page instead of an error."
	}
	if l.Kind == "zone" {
		return "Visitors are sent to " + placeWords(l.To) + "."
	}
	return "The feature " + l.To + " is closed everywhere."
}

// howLong is an estimate, and says so.
func howLong(v engine.SiteView, l engine.LeverView) string {
	if l.Kind != "zone" {
		return "At the next question that each application asks."
	}
	ttl := time.Duration(v.TTL) * time.Second
	return fmt.Sprintf("Our answers change at once. An estimate for visitors: half within about %s, nearly all within %s. A few may see the old place for longer.", age(ttl/2+30*time.Second), age(ttl+2*time.Minute))
}

// choices decides the one thing to do, and the others.
func (p *page) choices() {
	note := ask{Act: "note", Title: "Write down what you see", Field: "What, and when", Must: true, Plain: true}
	if !p.Open {
		p.Main = &ask{Act: "declare", Title: "Something is wrong", Happens: "We open an incident and lead you through it.", HowLong: "At once.", TakenBack: "Call it a false alarm."}
		if homeSeen(p.Site) == probe.Down {
			p.suggestLever()
		}
		return
	}
	in := p.Site.Incident
	p.Others = append(p.Others, note)
	cancel := ask{Act: "cancel", Title: "It was a false alarm", Field: "In one sentence", Plain: true}
	goBack := ask{Act: "go-back", Title: "Go back", Field: "What has changed, in one sentence", Must: true,
		Happens: "The real site is asked directly, again and again. When it has answered well often enough in a row, everything is put back.", HowLong: "As long as the checks take; then our answers change at once.", TakenBack: "Go back to safety: one press."}
	stepBack := ask{Act: "step-back", Title: "Go back to safety", Happens: "The return ends. What was put back is pulled again.", HowLong: "At once.", TakenBack: "Start the return again."}
	switch in.Phase {
	case incident.FailOver:
		p.suggestLever()
		stay := ask{Act: "stay", Title: "Leave visitors where they are", Field: "Why, in one sentence", Must: true, Plain: true}
		p.Others = append(p.Others, stay, cancel)
	case incident.Diagnose, incident.Fix:
		if len(in.Holding()) > 0 && homeSeen(p.Site) == probe.Down { // looking comes first while there is nothing to go back to
			look := note
			look.Plain, look.Happens, look.HowLong, look.TakenBack = false, "What you see goes into the timeline, with the time.", "At once.", "A note stays; a later one can correct it."
			goBack.Plain = true
			p.Main, p.Others[0] = &look, goBack
		} else if len(in.Holding()) > 0 {
			p.Main = &goBack
		} else {
			p.suggestLever()
			p.Others = append(p.Others, cancel)
		}
	case incident.FailBack:
		p.Main = &stepBack
		if in.Return != nil && !in.Return.Passed {
			p.Others = append(p.Others, ask{Act: "advance", Title: "Go on before the checks are all in", Field: "Why, in one sentence", Must: true, Plain: true})
		}
	case incident.Watch:
		p.Main = &stepBack
		p.Others = append(p.Others, ask{Act: "end-watch", Title: "End the watch now", Field: "Why, in one sentence", Must: true, Plain: true})
	case incident.Review:
		p.Main = &ask{Act: "close", Title: "Close it", Field: "Why there is no post-mortem, in one sentence", Must: true, Happens: "The incident is closed; its timeline stays.", HowLong: "At once.", TakenBack: "A closed incident is not opened again; a new one can be called."}
	}
}

// suggestLever puts the proposed lever on top, else the first that leads to the
// standby, else the first that is free.
func (p *page) suggestLever() {
	best := -1
	rank := func(c card) int {
		switch {
		case c.Pull == nil:
			return 0
		case c.Proposed:
			return 3
		case c.To == "standby":
			return 2
		}
		return 1
	}
	for i, c := range p.Levers {
		if rank(c) > 0 && (best < 0 || rank(c) > rank(p.Levers[best])) {
			best = i
		}
	}
	if best < 0 {
		return
	}
	if p.Main != nil { // declaring stays one press away
		other := *p.Main
		other.Plain = true
		p.Others = append(p.Others, other)
	}
	main := *p.Levers[best].Pull
	main.Plain = false
	p.Main = &main
}

// find gives the form with an act's name.
func (p *page) find(act, lever string) *ask {
	if act == "" {
		return nil
	}
	all := slices.Clone(p.Others)
	if p.Main != nil {
		all = append(all, *p.Main)
	}
	for _, c := range p.Levers {
		for _, a := range []*ask{c.Pull, c.Back} {
			if a != nil {
				all = append(all, *a)
			}
		}
		if c.Drill {
			all = append(all, ask{Act: "drill", Lever: c.Name, Title: "Rehearse: " + c.LeverView.Title})
		}
	}
	for _, a := range all {
		if a.Act == act && (a.Lever == "" || a.Lever == lever) {
			return &a
		}
	}
	return nil
}

// beads are the passes in a row of the return.
func (p *page) beads() {
	if !p.Open || p.Site.Incident.Return == nil {
		return
	}
	r := p.Site.Incident.Return
	for _, n := range slices.Sorted(maps.Keys(r.Streak)) {
		b := beads{Check: n, Passed: r.Streak[n], Needed: r.Needed}
		for i := range min(b.Needed, 60) {
			b.Dots = append(b.Dots, i < b.Passed)
		}
		p.Beads = append(p.Beads, b)
	}
}

func newestFirst[T any](oldestFirst []T) []T {
	out := slices.Clone(oldestFirst)
	slices.Reverse(out)
	return out
}

// funcs are what the templates may call.
var funcs = template.FuncMap{
	"age":   age,
	"since": func(now, t time.Time) string { return age(now.Sub(t)) },
	"ms":    func(n int64) string { return age(time.Duration(n) * time.Millisecond) },
	"utc":   func(t time.Time) string { return t.UTC().Format("15:04:05") },
	"day":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") },
	"stamp": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"phase": phaseWords,
	"place": placeWords,
	"state": stateWords,
	"kind":  kindOf,
	"formOf": func(site string, a any) struct {
		Site string
		Ask  ask
	} {
		f := struct {
			Site string
			Ask  ask
		}{Site: site}
		switch a := a.(type) {
		case ask:
			f.Ask = a
		case *ask:
			f.Ask = *a
		}
		return f
	},
	"last": newestFirst[incident.Event],
}

// age is a time span in words, short.
func age(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%.1f s", max(d, 0).Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// placeWords names a place that visitors can be sent to.
func placeWords(place string) string {
	if place == "standby" {
		return "the status page"
	}
	return place
}

// stateWords is the state of a lever that is not free.
func stateWords(state string) string {
	switch incident.PullState(state) {
	case incident.Applying:
		return "being pulled"
	case incident.Active:
		return "pulled"
	case incident.Undoing:
		return "being put back"
	case incident.Stuck:
		return "unknown: look"
	}
	return state
}

func phaseWords(p incident.Phase) string {
	switch p {
	case incident.FailOver:
		return "Step 1: get safe"
	case incident.Diagnose:
		return "Step 2: find out"
	case incident.Fix:
		return "Step 3: fix"
	case incident.FailBack:
		return "Step 4: go back"
	case incident.Watch:
		return "Watching"
	case incident.Review:
		return "Write-up"
	case incident.Closed:
		return "Closed"
	case incident.Cancelled:
		return "False alarm"
	}
	return string(p)
}

// kindOf gives the mark of an event: disc, we did; ring, seen; amber, a rule.
func kindOf(t incident.Type) string {
	switch s := string(t); {
	case strings.HasPrefix(s, "rule."):
		return "rule"
	case t == incident.CheckVerdict, t == incident.LeverSeen, t == incident.LeverDrift, t == incident.WatchRelapse:
		return "seen"
	case t == incident.LeverFailed, t == incident.LeverUnknown:
		return "failed"
	}
	return "did"
}
