package web

import (
	"cmp"
	"fmt"
	"html/template"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/incident"
	"lifeboat/internal/probe"
)

// lookAround is step 2: first people are told, then the board is filled.
func (x scope) lookAround(p *page, see string) {
	p.Step = 2
	contained, now := len(x.in.Holding()) > 0, x.stand()
	if contained && now.Hurt() && see != "board" && x.nextLever(p) {
		x.notSafe(p, now)
		return
	}
	if contained && len(x.in.Updates) == 0 && len(x.in.Causes) == 0 && see != "board" {
		x.tellFirst(p)
		return
	}
	p.Headline, p.Lede = "What happened?", now.Words("Visitors are looked after. There is no hurry.")
	if !contained {
		p.Lede += " " + sentence(x.in.NoFailover)
	}
	x.nextLook(p)
	p.Board = x.board(p.May)
	names := []string{"tell", "fix", "report-fix"}
	if !worked(x) || homeSeen(x.v) == probe.Down {
		names = append(names, "go-back")
	}
	if x.in.Diagnosis != nil {
		names = append(names, "withdraw-diagnosis")
	}
	if x.awayFromHome() && x.v.Ordered.Position != "standby" {
		names = append(names, "permanent")
	}
	x.others(p, names...)
	if !contained {
		x.others(p, "cancel")
	}
	x.heldLevers(p)
	x.levers(p, "")
	p.Main = x.part("parked", x.stillPulled())
}

// notSafe is the moment after a press that did not help: the next lever is on top.
func (x scope) notSafe(p *page, now stand) {
	p.calm(5) // a check may need some seconds to see that it helps
	p.Headline, p.Lede = "Visitors still see errors.", now.Words("")+" The next lever is one press away."
	if now.Away {
		p.Lede = "They are sent to " + now.Where + ", and it does not answer as it should. The next lever is one press away."
	}
	p.Others = append(p.Others, ask{Title: "Look first: what happened?", Page: sitePath(x) + "?see=board", Says: "The board, with what was changed and seen."})
	x.others(p, "tell")
	x.heldLevers(p)
	x.levers(p, x.firstFree())
}

// tellFirst is the moment after the press: visitors are safe, and want to know.
func (x scope) tellFirst(p *page) {
	const calm = "There is no hurry now. The next 10 minutes are for looking, not for touching."
	switch now := x.stand(); {
	case now.Safe() && now.Away:
		p.Headline, p.Lede, p.Where[0] = "Visitors are looked after.", calm, "Safe"
	case now.Safe():
		p.Headline, p.Lede, p.Where[0] = now.Title+": done.", "The site’s checks pass. "+calm, "Safe"
	case now.Hurt():
		p.Headline, p.Lede = "Visitors still see errors.", now.Words("")+" No other lever is free. Call somebody, and tell people."
	default:
		p.Headline, p.Lede = "It is done. We can’t tell yet whether it helps.", now.Words("")
	}
	b := boxOf(x.ask("tell"))
	b.Title, b.Ask.Title = "Tell people, in one short message", "Tell people"
	p.Box = b
	later := ask{Title: "Later: what happened?", Page: sitePath(x) + "?see=board", Says: "The board, with what was changed and seen."}
	p.Others = append(p.Others, later)
	x.heldLevers(p)
	x.levers(p, "")
	p.Main = x.part("dont", nil)
}

// heldLevers are ways to take a lever back, or to leave it when the rest goes back.
func (x scope) heldLevers(p *page) {
	for _, pull := range x.in.Holding() {
		if pull.State != incident.Active {
			continue
		}
		a := x.ask("put-back", "lever", pull.Lever)
		a.Says = "The old state returns to visitors. Later than some minutes after the press that is the return, with its checks."
		p.Others = append(p.Others, a)
		if pull.Parked == nil {
			b := x.ask("park", "lever", pull.Lever)
			b.Says = "It stays past the return, with somebody who looks after it and a date."
			p.Others = append(p.Others, b)
		}
	}
}

// nextLook is the one thing to do next on the way to a cause.
func (x scope) nextLook(p *page) {
	in := *x.in
	fixed, repaired := in.LastFix()
	switch {
	case in.Diagnosis != nil && repaired && fixed.State == incident.StateWorked && homeSeen(x.v) == probe.Down:
		p.Headline = "It broke again."
		p.Lede = x.still() + " Fix " + fixed.ID + " did what it promised, and still the real site does not answer as it should. Is it the same cause?"
		p.Box = linked(x.ask("cause"))
		p.Box.Ask.Terms = terms{}
		p.Box.After = x.part("progress", struct{ Words string }{progress(in)})
	case in.Diagnosis != nil && repaired && fixed.State == incident.StateWorked:
		p.Headline, p.Lede = "The fix holds.", x.still()+" The last return stepped back. Say what is different before the next one."
		p.Box = linked(x.ask("go-back"))
	case in.Diagnosis != nil:
		p.Headline, p.Lede = "So this is it.", sentence(in.Diagnosis.Statement)
		p.Box = linked(x.ask("fix"))
	case x.ready() != "":
		p.Headline = "So this is it?"
		b := linked(x.ask("confirm", "cause", x.ready()))
		b.Ask.Terms = terms{"You read once more what speaks for it, and say yes, partly or no.", "A minute.", "You can take this back."}
		b.Ask.Title, p.Box = "Look at it once more", b
	case x.isStuck():
		p.Headline = "Nothing new for " + spell(x.quietFor()) + "."
		p.Lede = "That is normal. Three things help:"
		p.Lead = x.part("stuck", struct{ Say, Changes string }{sitePath(x) + "/hand-over", "/changes?site=" + url.QueryEscape(x.v.ID)})
		p.Box = linked(x.ask("cause"))
	default:
		p.Box = linked(x.ask("cause"))
	}
	if x.in.Diagnosis == nil {
		p.Box.Ask.Terms = terms{}
		p.Box.After = x.part("progress", struct{ Words string }{progress(in)})
	}
}

// progress says how far the looking is.
func progress(in incident.Incident) string {
	if len(in.Causes) == 0 {
		return "No guess yet. What changed last, and what was seen first?"
	}
	return guesses(in) + ". Ruling out is progress."
}

func (x scope) isStuck() bool {
	after := cmp.Or(x.v.Promises.Stuck, 30*time.Minute)
	return x.quietFor() >= after
}

// ready gives the possible cause that nothing stands against any more.
func (x scope) ready() string {
	found := ""
	for _, c := range x.in.Causes {
		if !c.Undecided() {
			continue
		}
		held := slices.ContainsFunc(c.Tests, func(t incident.Test) bool { return t.Outcome == incident.TestHeld })
		if found != "" || !c.Has(incident.For) || !held {
			return ""
		}
		found = c.ID
	}
	return found
}

// boardPart are the three columns, and the picture above them.
type boardPart struct {
	Picture  template.HTML
	May      string
	Changes  []changeItem
	Older    int
	Own      string // what of our own was left out
	Evidence []incident.Evidence
	More     int
	Causes   []causeItem
	Guesses  string
	All      string // leads to the evidence
	Add      string
	Ledger   string
	NewAdd   string
}

type changeItem struct {
	incident.Change
	N      int
	Before string // how long before the first symptom
	Mark   ask
}

type causeItem struct {
	incident.Cause
	Lines  []causeLine
	Links  []ask
	By     string
	Struck bool
}

type causeLine struct{ Label, Words string }

// How much of a column is shown: what somebody wrote at length is whole in the timeline.
const (
	perColumn = 8
	perCause  = 12  // lines
	maxCause  = 600 // characters of what a cause says
	maxLine   = 300 // characters of a line below it
)

// board fills the three columns: what changed, what we saw, what it might be.
func (x scope) board(may string) template.HTML {
	if x.bare {
		return ""
	}
	in := *x.in
	b := boardPart{May: may, All: evidencePath(x), Add: sitePath(x) + "/" + upload, Ledger: "/changes?site=" + url.QueryEscape(x.v.ID), NewAdd: "/lifeboat/change?at_site=" + url.QueryEscape(x.v.ID), Guesses: count(len(in.Causes), "guess", "guesses")}
	onset := x.onset()
	changes, own := suspects(in)
	if own > 0 {
		b.Own = "Left out: " + count(own, "move of our own levers. It is", "moves of our own levers. They are") + " in the ledger of changes."
	}
	for i, c := range changes {
		if len(b.Changes) == perColumn {
			b.Older = len(changes) - i
			break
		}
		b.Changes = append(b.Changes, x.changeItem(c, i+1, onset))
	}
	seen := slices.Clone(in.Evidence)
	slices.Reverse(seen)
	slices.SortStableFunc(seen, func(a, c incident.Evidence) int { return weight(c) - weight(a) })
	b.Evidence = seen[:min(perColumn, len(seen))]
	b.More = len(seen) - len(b.Evidence)
	for _, c := range in.Causes {
		b.Causes = append(b.Causes, x.causeItem(c))
	}
	slices.SortStableFunc(b.Causes, func(a, c causeItem) int { return rankOf(a.State) - rankOf(c.State) })
	b.Picture = x.axis(onset, x.now())
	return x.part("board", b)
}

// suspects are the changes that may have broken it, newest first, and how many of our
// own levers' moves were left out: a lever is an answer to what broke. Fixes stay: a
// repair of last week may well be what broke today.
func suspects(in incident.Incident) (list []incident.Change, own int) {
	for _, c := range in.Changes {
		if c.Source == "lifeboat" && c.Kind == "lever" && !c.Suspect {
			own++
			continue
		}
		list = append(list, c)
	}
	return list, own
}

// unwell finds what says that something was not answered as it should.
var unwell = regexp.MustCompile(`answered [45]\d\d|no answer`)

// weight puts on top what decides by itself, then what people brought, logs, and what
// was not answered well. What was sent, word by word, is for a closer look.
func weight(e incident.Evidence) int {
	switch {
	case e.Deciding != "":
		return 5
	case e.Collector == "person":
		return 4
	case e.Kind == "log" && e.Problem == "":
		return 3
	case e.Kind == "http" && strings.HasPrefix(e.Title, "What "):
		return 0
	case e.Kind == "http" && unwell.MatchString(e.Summary):
		return 2
	}
	return 1
}

func rankOf(s incident.CauseState) int {
	return slices.Index([]incident.CauseState{incident.CauseSure, incident.CauseTesting, incident.CauseOpen, incident.CauseAside, incident.CauseOut}, s)
}

// onset is when the first symptom was measured, or told.
func (x scope) onset() time.Time {
	at := x.in.DeclaredAt
	if !x.in.FirstSymptomAt.IsZero() {
		at = x.in.FirstSymptomAt
	}
	for _, s := range x.in.Sights {
		if s.Home && s.Seen == "down" && s.At.Before(at) {
			at = s.At
		}
	}
	return at
}

func (x scope) changeItem(c incident.Change, n int, onset time.Time) changeItem {
	i := changeItem{Change: c, N: n}
	if d := onset.Sub(c.At); d >= 0 {
		i.Before = spell(d) + " before the first failure"
	} else {
		i.Before = spell(-d) + " after the first failure"
	}
	suspect := "yes"
	if c.Suspect {
		suspect = "no"
	}
	i.Mark = x.ask("mark", "change", c.ID, "suspect", suspect)
	i.Mark.Small = true
	return i
}

func (x scope) causeItem(c incident.Cause) causeItem {
	i := causeItem{Cause: c, By: c.By.Name, Struck: c.State == incident.CauseOut}
	i.Statement = cut(c.Statement, maxCause)
	add := func(label, words string) {
		if words != "" {
			i.Lines = append(i.Lines, causeLine{label, cut(words, maxLine)})
		}
	}
	older := max(0, len(c.Weights)+len(c.Tests)-perCause)
	if older > 0 {
		add("before", count(older, "line", "lines")+", in the timeline.")
	}
	for _, w := range c.Weights[min(older, len(c.Weights)):] {
		words := sentence(shown(*x.in, w.Evidence))
		if w.Note != "" {
			words += " " + sentence(w.Note)
		}
		add(stance(w.Stance), words)
	}
	for _, t := range c.Tests[max(0, older-len(c.Weights)):] {
		add("tested", fmt.Sprintf("%s %s %s", sentence(t.Prediction), outcome(t.Outcome), sentence(t.Saw)))
	}
	if len(c.Tests) == 0 && c.Undecided() {
		add("next", sentence(c.Prediction))
	}
	add("because", sentence(c.Reason))
	names := []string{"weigh", "test", "confirm", "rule-out", "park-cause"}
	switch c.State {
	case incident.CauseOut, incident.CauseAside:
		names = []string{"reopen"}
	case incident.CauseSure:
		names = nil
	}
	for _, name := range names {
		a := x.ask(name, "cause", c.ID)
		a.Title = map[string]string{"weigh": "Weigh", "test": "Test", "confirm": "This is it", "rule-out": "Rule out", "park-cause": "Park", "reopen": "Take it up again"}[name]
		a.Name = a.Title + ": " + c.ID
		i.Links = append(i.Links, a)
	}
	return i
}

func stance(s string) string {
	if s == incident.Neutral {
		return "neither"
	}
	return s
}

func outcome(s string) string {
	return map[string]string{incident.TestHeld: "It is so.", incident.TestFailed: "It is not so.", incident.TestUnclear: "We can’t tell."}[s]
}
