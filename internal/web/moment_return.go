package web

import (
	"fmt"
	"html/template"
	"maps"
	"slices"

	"lifeboat/internal/incident"
)

// goingBack is step 4: the real site is asked directly, then everybody goes back.
func (x scope) goingBack(p *page) {
	p.Step = 4
	p.calm(3)
	r := x.in.Return
	if r == nil { // a newer version's way of going back
		p.Headline, p.Lede = "Visitors go back.", ""
		return
	}
	switch {
	case r.Passed:
		p.Headline, p.Lede = "Visitors go back.", "The real site looks healthy: we asked it directly, "+count(r.Needed, "time", "times")+" in a row."
		x.followingBack(p)
	case r.Held != "":
		p.Headline, p.Lede = "We can’t tell.", "A check gave no clear answer, so we wait. Nothing moves. "+sentence(r.Held)
	case x.in.Moving():
		p.Headline, p.Lede = fmt.Sprintf("About %d %% of visitors go back.", r.Share), "We wait until our answers have changed."
	case r.Share > 0:
		p.Headline, p.Lede = fmt.Sprintf("About %d %% of visitors are back.", r.Share), x.shareWatched(*r)
	default:
		p.Headline, p.Lede = "We ask the real site, directly.", "Nobody moves before it has answered well, "+count(r.Needed, "time", "times")+" in a row."
	}
	if !r.Passed {
		p.Box = x.letIn(*r)
		advance := x.ask("advance")
		advance.Says = saysOf["advance"]
		p.Others = append(p.Others, advance)
	}
	p.Lead = x.stages(*r) + x.beads(*r)
	x.others(p, "tell")
}

// letIn is the door that opens by itself: it keeps its place, and says what it waits
// for.
func (x scope) letIn(r incident.Return) *box {
	if x.in.Moving() {
		return nil
	}
	waits := "the first answers"
	var behind []string
	for _, name := range x.gates(r) {
		if n := r.Streak[name]; n < r.Needed {
			behind = append(behind, fmt.Sprintf("“%s” has passed %d of %s", name, n, count(r.Needed, "time", "times")))
		}
	}
	if len(behind) > 0 {
		waits = listed(behind)
	}
	what, who := "Let everybody back in", "Everybody meets the real site again, all at once."
	switch next := r.Next(); {
	case next < 100:
		what, who = fmt.Sprintf("Let about %d %% back in", next), "They meet the real site again; the others stay where they are."
	case r.Share > 0:
		who = "All others meet the real site again, too."
	}
	if x.now().Before(r.HoldUntil) {
		waits += ", and not before " + x.s.clock(r.HoldUntil)
	}
	return boxOf(ask{
		ID: "let-in-", Title: what, Off: "It opens by itself. Awaited: " + waits + ". Nothing to do until then.",
		Terms: terms{who, "Our answers change at once; visitors follow as they did before.", "“Go back to safety”, at any time. If a check fails three times we do it ourselves."},
	})
}

// shareWatched says for how long the share that is back is watched.
func (x scope) shareWatched(r incident.Return) string {
	next := fmt.Sprintf("about %d %%", r.Next())
	if r.Next() == 100 {
		next = "everybody"
	}
	if x.now().Before(r.HoldUntil) {
		return "We watch how they fare until " + x.s.clock(r.HoldUntil) + ". Then " + next + " may go back."
	}
	return "We have watched how they fare. When the checks hold, " + next + " goes back."
}

// stage is one share of a return.
type stage struct {
	Words     string
	Done, Now bool
}

// stages are the shares of a return in a row, with everybody at the end.
func (x scope) stages(r incident.Return) template.HTML {
	if len(r.Stages) == 0 {
		return ""
	}
	var out []stage
	for i, share := range r.Stages {
		out = append(out, stage{fmt.Sprintf("%d %%", share), i < r.Stage, i == r.Stage})
	}
	return x.part("stages", append(out, stage{"everybody", r.Passed, r.Stage == len(r.Stages)}))
}

// gates are the checks that must hold.
func (x scope) gates(r incident.Return) []string {
	names := slices.Collect(maps.Keys(r.Streak))
	for _, p := range x.v.Seen {
		for _, c := range p.Checks {
			if p.Role == "home" && c.Gate && !slices.Contains(names, c.Check) {
				names = append(names, c.Check)
			}
		}
	}
	slices.Sort(names)
	return names
}

// followingBack shows what of the way back is done.
func (x scope) followingBack(p *page) {
	var list []doing
	for _, id := range x.in.Return.Undo {
		if pull, known := x.in.Pull(id); known {
			list = append(list, doing{Words: pull.Title, Says: "is put back, seen from outside", Done: pull.State == incident.Undone})
		}
	}
	p.Main = x.part("doing", list)
}

// bead is a check with its passes in a row.
type bead struct {
	Check          string
	Passed, Needed int
	Dots           []bool
	Full           bool
	Says           string
}

const maxBeads = 20

// beads are the checks that must hold before anybody goes back.
func (x scope) beads(r incident.Return) template.HTML {
	var out []bead
	for _, name := range x.gates(r) {
		b := bead{Check: name, Passed: r.Streak[name], Needed: r.Needed, Full: r.Streak[name] >= r.Needed, Says: "asked at the real site, by its address"}
		if n := r.Failing[name]; n > 0 {
			b.Says = "failed " + count(n, "time", "times") + " in a row; three times step back by themselves"
		}
		if r.Needed <= maxBeads {
			for i := range r.Needed {
				b.Dots = append(b.Dots, i < b.Passed)
			}
		}
		out = append(out, b)
	}
	return x.part("beads", struct {
		Because string
		List    []bead
	}{ended(r.Because), out})
}
