package web

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"lifeboat/internal/engine"
	"lifeboat/internal/incident"
	"lifeboat/internal/probe"
)

const wellHeadline = "All is well."

func homeSeen(v engine.SiteView) probe.Seen {
	for _, p := range v.Seen {
		if p.Role == "home" {
			return p.Seen
		}
	}
	return probe.Unknown
}

// quiet is the page while no incident is open.
func (x scope) quiet(p *page) {
	p.calm(10)
	switch homeSeen(x.v) {
	case probe.Up:
		p.Headline, p.Lede = wellHeadline, "If something looks wrong, press the button. You cannot break anything: every first step can be taken back."
	case probe.Down:
		p.Headline, p.Lede = "The site does not answer as it should.", "Nobody has called it yet. Press the button: every first step can be taken back."
	default:
		p.Headline, p.Lede = "We can’t tell how the site is.", "No check has given a clear answer lately."
	}
	p.Clock.Since = "not checked yet"
	if p.Seen != "" {
		p.Clock.Since = "checked " + p.Seen + " ago"
	}
	b := boxOf(x.ask("declare"))
	b.Ask.Terms, b.Bare = terms{}, true
	b.After = x.part("next", nil)
	p.Box = b
	p.Main = x.part("calm", calmPart{Ready: x.readiness(), Parked: x.parked(), May: p.May, Site: x.v.ID, Warnings: x.o.Warnings, Signed: signedFor(x.o), Secured: securedFor(x.o)})
	if x.v.AutoHeld {
		p.Notices = append(p.Notices, notice{Text: "Nothing moves by itself: a person took an automatic move back.", Href: sitePath(x) + "/resume", Link: "Let rules move it again"})
	}
	if x.in != nil {
		x.levers(p, x.firstFree())
	}
	if x.in == nil || x.in.Drill {
		return
	}
	again := x.ask("declare", "recurrence", x.in.ID)
	again.Title, again.Says = "It has come back", "A new incident, linked with the last one: "+cut(x.in.Title, 80)
	p.Others = append(p.Others, again)
}

func (x scope) firstFree() string {
	l, _ := x.best()
	return l.Name
}

// calmPart is what is below the button in calm.
type calmPart struct {
	Ready  *readiness
	Parked []parkedLine
	May    string
	Site   string

	Warnings []string // of the configuration
	Secured  string   // how ready the standby is to answer over HTTPS; "" where it need not be
	Signed   string   // for how long signed answers validate; "" where none is signed
}

// signedFor says for how long signed answers validate should control be gone.
func signedFor(o engine.Overview) string {
	if o.Signing == nil || len(o.Signing.Zones) == 0 {
		return ""
	}
	days := count(o.Signing.Days(o.Now), "day", "days")
	if o.Signing.Problem != "" {
		return "The zones could not be signed anew. Their answers validate for " + days + " more."
	}
	return "DNS answers are signed, and validate for " + days + " without control."
}

// securedFor says how ready the standby is to answer over HTTPS.
func securedFor(o engine.Overview) string {
	h := o.HTTPS
	switch {
	case h == nil:
		return ""
	case h.Until.IsZero():
		return "The standby has no certificate for " + h.Least + ": in a crisis its visitors would meet a warning."
	case !h.Until.After(o.Now):
		return "A certificate of the standby is over: in a crisis visitors would meet a warning."
	}
	days := count(int(h.Until.Sub(o.Now)/(24*time.Hour)), "day", "days")
	return "The standby holds certificates for " + count(h.Names, "name", "names") + ", good for " + days + ". Readiness " + strconv.Itoa(h.Ready) + " of 100."
}

// readiness is the lever that would be on top, with its last rehearsal.
type readiness struct {
	Title, Words string
	Armed        bool
	Rehearse     string // leads to the rehearsal, where it is due
	Pull         ask
}

func (x scope) readiness() *readiness {
	l, found := x.best()
	if !found {
		return nil
	}
	r := readiness{Title: l.Title, Words: rehearsed(l, x.now()) + ".", Armed: l.Armed, Pull: x.ask("pull", "lever", l.Name)}
	r.Pull.Small = true
	if !l.Armed {
		r.Rehearse = x.ask("drill", "lever", l.Name).Page
	}
	return &r
}

// parkedLine is a lever that stays pulled though nothing is going on.
type parkedLine struct {
	Title, Words string
	Overdue      bool
	Back         ask
}

func (x scope) parked() []parkedLine {
	var out []parkedLine
	for _, p := range x.v.Parked {
		out = append(out, x.parkedLine(p))
	}
	return out
}

func (x scope) parkedLine(p incident.Pull) parkedLine {
	l := parkedLine{Title: p.Title, Words: "It stays pulled.", Back: x.ask("go-back")}
	if k := p.Parked; k != nil {
		l.Overdue = x.now().After(k.Until)
		l.Words = fmt.Sprintf("It stays pulled until %s. %s looks after it: %s", k.Until.In(x.s.o.Zone).Format("2 January 2006"), k.Owner, sentence(k.Reason))
	}
	l.Back.Title = "Go back: " + p.Title
	return l
}

// over is the page once everybody is back and nothing is left but the writing.
func (x scope) over(p *page) {
	if x.stand().Hurt() {
		x.again(p)
		return
	}
	p.Step, p.Headline, p.Lede = 5, "It is over. Well done.", "20 minutes of writing now saves a night later. Most of it is written already."
	open := unanswered(*x.in)
	draft := ask{Title: "Read the draft", Page: writeUpPath(x), Terms: terms{"You read what was written as it happened. " + questionsLeft(open), "About 20 minutes.", "Every word can be changed until it is finished, and after that as a new version."}}
	if x.in.WriteUp.Final {
		p.Lede = "The write-up is finished. One press closes it."
		p.Box = boxOf(x.ask("close"))
		if p.Box.Before = x.missing(); p.Box.Before != "" {
			p.Lede = "The write-up is finished. A little is left before it is closed."
		}
		p.Others = append(p.Others, ask{Title: "Read the write-up", Page: writeUpPath(x), Says: "Version " + fmt.Sprint(x.in.WriteUp.Version)})
	} else {
		p.Box = linked(draft)
		x.others(p, "close")
	}
	x.others(p, "tell", "hand-over")
	x.levers(p, "")
	p.Main = x.part("parked", x.stillPulled())
}

// again is the page while the site is seen to break once more after everybody is back:
// the way to safety comes before all writing.
func (x scope) again(p *page) {
	p.calm(5)
	p.Step, p.Headline = 1, "It is not over."
	p.Lede = "The site does not answer as it should again. Visitors see it. Get them to safety first; what was written stays."
	switch l, found := x.best(); {
	case x.in.Phase == incident.Watch && len(x.in.Returned()) > 0:
		p.Box = boxOf(x.ask("step-back"))
	case found && x.usable(l.Kind, l.To):
		p.Box = x.leverBox(l)
		x.levers(p, l.Name)
	default:
		p.Lede = "The site does not answer as it should again, and no lever is free. Call somebody."
	}
	p.Main = x.part("watched", x.watched())
	x.others(p, "tell")
	if x.in.Phase == incident.Review {
		p.Others = append(p.Others, ask{Title: "Read the write-up", Page: writeUpPath(x), Says: "It can wait."})
	}
	p.Main += x.part("parked", x.stillPulled())
}

func questionsLeft(n int) string {
	if n == 0 {
		return "All four questions are answered."
	}
	return count(n, "question is", "questions are") + " left for people."
}

// stillPulled are the levers that stay pulled past the return, in an open incident.
func (x scope) stillPulled() []parkedLine {
	var out []parkedLine
	for _, p := range x.in.ParkedPulls() {
		l := x.parkedLine(p)
		switch x.in.Phase {
		case incident.Watch, incident.Review:
			l.Back = x.ask("put-back", "lever", p.Lever)
		default:
			l.Back = x.ask("unpark", "lever", p.Lever)
		}
		out = append(out, l)
	}
	return out
}

// watching is the page while everybody is back and the site is kept an eye on.
func (x scope) watching(p *page) {
	if x.stand().Hurt() {
		x.again(p)
		return
	}
	p.Step, p.Headline = 4, "You’re back."
	left := x.in.WatchUntil.Sub(x.now())
	p.Lede = "We keep watching until " + x.s.clock(x.in.WatchUntil) + ". You may get some air."
	if left <= 0 {
		p.Lede = "The watch is over as soon as every check passes and what was promised is measured again."
	}
	p.calm(5)
	p.Clock.Big, p.Clock.Since = wholeSeconds(left), "of watching left"
	if left <= 0 {
		p.Clock.Big, p.Clock.Since = "", ""
	}
	if f, found := x.in.LastFix(); found && f.State == incident.StateWorked && f.Promise.Check != "" {
		p.Main = x.promiseAgain(f)
	}
	p.Main = x.part("watched", x.watched()) + p.Main
	x.others(p, "tell", "end-watch")
	p.Main += x.part("parked", x.stillPulled())
}

// watched are the checks of the site that everybody is on again.
func (x scope) watched() []doing {
	var out []doing
	for _, p := range x.v.Seen {
		if p.Role != "home" {
			continue
		}
		for _, c := range p.Checks {
			d := doing{Words: c.Check, Says: "passes", Mark: markDone, Done: c.Seen == probe.Up}
			switch {
			case c.Seen == probe.Down:
				d.Says, d.Mark = "does not pass: "+cut(c.Last.Detail, 160), markFault
			case !d.Done:
				d.Says, d.Mark = "gives no clear answer: "+cut(c.Last.Detail, 160), markSeen
			}
			out = append(out, d)
		}
	}
	return out
}

// quietFor says how long ago something new was written down.
func (x scope) quietFor() time.Duration {
	at := slices.MaxFunc([]time.Time{x.in.NewsAt, x.in.Since}, func(a, b time.Time) int { return a.Compare(b) })
	return x.now().Sub(at)
}
