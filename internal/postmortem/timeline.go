package postmortem

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"lifeboat/internal/incident"
)

// timeline is what happened, in order, grouped by the steps of the loop.
func (b *builder) timeline() []Block {
	var out []Block
	groups := map[string]int{}
	for _, g := range b.groups() {
		t := Table{Columns: []string{"UTC"}, Log: true}
		if b.zoned() {
			t.Columns = append(t.Columns, b.zone())
		}
		t.Columns = append(t.Columns, "What happened")
		for _, l := range g.lines {
			cells := []string{b.second(l.at.UTC(), b.in.DeclaredAt.UTC())}
			if b.zoned() {
				cells = append(cells, b.second(l.at.In(b.o.Zone), b.in.DeclaredAt.In(b.o.Zone)))
			}
			t.row(l.events, append(cells, cut(l.text, longLine))...)
			if n := len(t.Rows); n > 0 {
				t.Rows[n-1].Amber = l.amber
			}
		}
		heading := g.heading
		if groups[heading]++; groups[heading] > 1 {
			heading += ", again"
		}
		out = append(out, table(heading, t)...)
	}
	return out
}

// second is a time of day to the second, with its date where that is another day.
func (b *builder) second(t, day time.Time) string {
	if b.otherDay(t, day) {
		return t.Format("2 Jan 15:04:05")
	}
	return t.Format("15:04:05")
}

// line is one row of the timeline.
type line struct {
	at     time.Time
	text   string
	events []uint64
	amber  bool
}

// group is the rows of one step.
type group struct {
	heading string
	runs    [][]incident.Event
	ofType  map[incident.Type][]int // places in runs
	lines   []line
}

// begin begins a run with an event.
func (g *group) begin(e incident.Event) {
	if g.ofType == nil {
		g.ofType = map[incident.Type][]int{}
	}
	g.ofType[e.Type] = append(g.ofType[e.Type], len(g.runs))
	g.runs = append(g.runs, []incident.Event{e})
}

var steps = map[incident.Phase]string{
	incident.FailOver:  "Step 1: getting visitors to safety",
	incident.Diagnose:  "Step 2: finding out what happened",
	incident.Fixing:    "Step 3: the fix",
	incident.FailBack:  "Step 4: going back",
	incident.Watch:     "The watch",
	incident.Review:    "Afterwards",
	incident.Closed:    "Afterwards",
	incident.Cancelled: "Afterwards",
}

// groups are the rows by the step in which they happened, and before all of them what
// was before the declaration. Within a step they stand by their time.
func (b *builder) groups() []*group {
	before := &group{heading: "Before the declaration"}
	out := b.stepwise()
	for _, g := range out {
		for _, run := range g.runs {
			l, told := b.line(run)
			switch {
			case !told:
			case l.at.Before(b.in.DeclaredAt.Add(-time.Second)):
				before.lines = append(before.lines, l)
			default:
				g.lines = append(g.lines, l)
			}
		}
	}
	out = append([]*group{before}, out...)
	for _, g := range out {
		slices.SortStableFunc(g.lines, func(a, b line) int { return a.at.Compare(b.at) })
	}
	return out
}

// stepwise parts the events by steps, and within a step into runs that are told in one
// row each.
func (b *builder) stepwise() []*group {
	out := []*group{{heading: steps[incident.FailOver]}}
	for _, e := range b.events {
		if e.Type == incident.PhaseChanged {
			if to := steps[data[phaseData](e).To]; to != "" && to != out[len(out)-1].heading {
				out = append(out, &group{heading: to})
			}
		}
		if e.Type == incident.CancelledType {
			out = append(out, &group{heading: "The end"})
		}
		switch {
		case e.Story == "hidden", b.self != nil && e.Seq == b.self.event.Seq && e.Story != "pinned":
		case !b.joins(out, e):
			out[len(out)-1].begin(e)
		}
	}
	return out
}

// round is how long after a piece of evidence the next one belongs to the same round.
const round = 2 * time.Second

// joins puts an event into the row of others that it is told with, if there is one: what
// was captured in one round, whatever happened between; what several checks saw of a
// place at one moment; and the rules that one press overrode. Only rows of its own type
// are looked at, and of those that are told by the moment only the last minute's: a
// record may be long.
func (b *builder) joins(groups []*group, e incident.Event) bool {
	captured := e.Type == incident.EvidenceCaptured
	if e.Story == "pinned" || !captured && e.Type != incident.SightChanged && e.Type != incident.RuleOverridden {
		return false
	}
	for at, g := range slices.Backward(groups) {
		if at < len(groups)-2 || at < len(groups)-1 && !captured {
			return false
		}
		for _, i := range slices.Backward(g.ofType[e.Type]) {
			run := g.runs[i]
			if run[0].Story == "pinned" {
				continue
			}
			if b.sameRow(run[0], e) || captured && e.At.Sub(run[len(run)-1].At).Abs() < round {
				g.runs[i] = append(run, e)
				return true
			}
			if captured || e.At.Sub(run[0].At) > time.Minute {
				return false
			}
		}
	}
	return false
}

// sameRow says whether two events of a step are told together.
func (b *builder) sameRow(x, y incident.Event) bool {
	switch {
	case x.Type != y.Type:
		return false
	case x.Type == incident.RuleOverridden:
		return x.At.Equal(y.At) && x.Actor == y.Actor && data[ruleData](x).Reason == data[ruleData](y).Reason
	case x.Type == incident.SightChanged:
		a, c := data[incident.Sight](x), data[incident.Sight](y)
		return a.Home == c.Home && a.Place == c.Place && a.Seen == c.Seen && a.At.Sub(c.At).Abs() < time.Second
	}
	return false
}

// overrode is a row on the rules that one press overrode.
func (b *builder) overrode(run []incident.Event) string {
	var rules []string
	for _, e := range run {
		if rule := inFull(data[ruleData](e).Rule); !slices.Contains(rules, rule) {
			rules = append(rules, rule)
		}
	}
	what := "the rule "
	if len(rules) > 1 {
		what = "the rules "
	}
	return fmt.Sprintf("%s overrode %s%s.", b.Who(run[0].Actor), what+listed(rules), saying(b.quote(data[ruleData](run[0]).Reason)))
}

// line is a row, if the events are worth one.
func (b *builder) line(run []incident.Event) (line, bool) {
	e := run[0]
	l := line{at: e.At, events: refs(run...), amber: e.Type == incident.RuleOverridden}
	if e.Seq == 0 {
		return l, false
	}
	tell, known := tellers[e.Type]
	switch {
	case e.Type == incident.EvidenceCaptured && e.Story != "pinned":
		l.text = b.captured(run)
	case e.Type == incident.RuleOverridden:
		l.text = b.overrode(run)
	case e.Type == incident.SightChanged:
		l.text = b.saw(run)
		if s := data[incident.Sight](e); !s.At.IsZero() {
			l.at = s.At
		}
	case known:
		l.text = tell(b, e)
	}
	if e.Type == incident.Declared && b.self != nil && b.self.event.Story != "hidden" {
		l.events = join(l.events, refs(b.self.event))
	}
	if l.text == "" && (!known || e.Story == "pinned") { // of a newer version, or held to be worth it
		l.text = b.text(e.Text, longText)
	}
	if l.text == "" {
		return l, false
	}
	for _, e := range run {
		for _, c := range b.corrections[e.ID] {
			l.text += fmt.Sprintf(" %s corrected this%s.", b.Who(c.Actor), saying(b.quote(data[textData](c).Text)))
			l.events = join(l.events, refs(c))
		}
	}
	return l, true
}

// maxSaid is how many different answers of checks one row names.
const maxSaid = 3

// saw is a row on what checks saw of one place at one moment.
func (b *builder) saw(run []incident.Event) string {
	var checks, said []string
	s := data[incident.Sight](run[0])
	for _, e := range run {
		x := data[incident.Sight](e)
		checks = append(checks, x.Check)
		if q := b.quote(x.Detail); q != "" && x.Seen != "up" && len(said) < maxSaid && !slices.Contains(said, q) {
			said = append(said, q)
		}
	}
	saw := map[string]string{"up": "saw %s answer as it should", "down": "saw %s fail", "unknown": "got no clear answer from %s"}[s.Seen]
	if saw == "" {
		return ""
	}
	place := "the real site"
	if !s.Home {
		place = orElse(quoted(b.text(s.Place, 64)), "the site")
	}
	return fmt.Sprintf("%s "+saw+"%s.", begin(checkNames(checks)), place, saying(listed(said)))
}

// captured is a row on all that the collectors brought in one round.
func (b *builder) captured(run []incident.Event) string {
	missing := 0
	for _, e := range run {
		if data[incident.Evidence](e).Problem != "" {
			missing++
		}
	}
	s := begin(counted(len(run), "piece")) + " of evidence " + was(len(run)) + " captured"
	if took := run[len(run)-1].At.Sub(run[0].At); took >= time.Second {
		s += " within " + spell(took)
	}
	switch {
	case missing == len(run):
		s += ", and could not be had in full"
	case missing > 0:
		s += "; " + number(missing) + " of them could not be had in full"
	}
	return s + "."
}

func was(n int) string {
	if n == 1 {
		return "was"
	}
	return "were"
}

// teller tells an event in a sentence; "" where it is not worth one.
type teller func(*builder, incident.Event) string

func silent(*builder, incident.Event) string { return "" }

// plain tells what somebody did, and the reason that the data hold.
func plain(did string) teller {
	return func(b *builder, e incident.Event) string {
		return fmt.Sprintf("%s %s%s.", b.Who(e.Actor), did, saying(b.quote(data[reasonData](e).Reason)))
	}
}

// tellers are the words of the timeline for every type that this version knows.
// Readings, weights and what people write afterwards have sections of their own.
var tellers = func() map[incident.Type]teller {
	all := map[incident.Type]teller{}
	for _, some := range []map[incident.Type]teller{leverTellers, knowledgeTellers, causeTellers, fixTellers, returnTellers, peopleTellers} {
		maps.Copy(all, some)
	}
	for _, t := range []incident.Type{
		incident.PhaseChanged, incident.LeverUndoing, incident.LeverSharing, incident.LeverShared, incident.CheckVerdict, incident.StageStarted, incident.EvidenceCaptured, incident.ChangeSeen, incident.ImpactMeasured,
		incident.CauseWeighed, incident.CauseConfirmed, incident.FixRead, incident.FixRollingBack, incident.UpdateDelivered, incident.Corrected,
		incident.WriteUpEdited, incident.WriteUpAnswered, incident.FindingJudged, incident.WriteUpFinal, incident.WriteUpReopened,
		incident.FollowUpAdded, incident.FollowUpChanged, incident.FollowUpDone, incident.FollowUpVerified, incident.FollowUpDeclined,
	} {
		all[t] = silent
	}
	return all
}()

// pullTitle is the title of the lever that an event is about.
func (b *builder) pullTitle(e incident.Event) string {
	if p, found := b.in.Pull(e.Subject.ID); found {
		return begin(orElse(b.quote(p.Title), "a lever"))
	}
	return "A lever"
}

func detail(b *builder, e incident.Event) string {
	return saying(b.quote(data[incident.OutcomeData](e).Detail))
}

var leverTellers = map[incident.Type]teller{
	incident.Declared: func(b *builder, e incident.Event) string {
		if b.in.Drill && b.firstOf(incident.DrillStarted).Seq > 0 {
			return ""
		}
		if own := b.self; own != nil && own.event.Story != "hidden" {
			return fmt.Sprintf("%s saw the real site fail%s and declared the incident.", begin(checkName(own.Check)), aside(b.quote(own.Detail)))
		}
		return fmt.Sprintf("%s declared the incident: %s.", b.Who(e.Actor), cited(b.title()))
	},
	incident.DrillStarted: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("%s began to rehearse %s.", b.Who(e.Actor), b.leverTitle(clean(e.Subject.ID)))
	},
	incident.DrillScored: func(b *builder, e incident.Event) string { return b.rehearsed().Text },
	incident.CancelledType: func(b *builder, e incident.Event) string {
		return plain("called it a false alarm")(b, e)
	},
	incident.ClosedType: func(b *builder, e incident.Event) string {
		if b.in.Drill {
			return "The drill was over."
		}
		return plain("closed the incident")(b, e)
	},
	incident.LeverProposed: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("%s proposed the lever %s%s.", b.Who(e.Actor), b.leverTitle(data[reasonData](e).Lever), b.whyProposed(e))
	},
	incident.LeverApplying: func(b *builder, e incident.Event) string {
		p := data[pressData](e).Pull
		return fmt.Sprintf("%s pulled the lever %s%s.", b.Who(e.Actor), b.cite(p.Title), b.aim(p))
	},
	incident.LeverActive: func(b *builder, e incident.Event) string {
		if b.nextAbout(e, incident.LeverSeen) {
			return ""
		}
		return fmt.Sprintf("%s was in force%s.", b.pullTitle(e), detail(b, e))
	},
	incident.LeverSeen: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("%s was seen in force from outside%s.", b.pullTitle(e), detail(b, e))
	},
	incident.LeverFailed: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("%s did not take effect%s.", b.pullTitle(e), detail(b, e))
	},
	incident.LeverUnknown: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("Nobody could tell whether %s was in force%s.", b.pullTitle(e), detail(b, e))
	},
	incident.LeverUndone: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("%s was put back%s.", b.pullTitle(e), detail(b, e))
	},
	incident.LeverDrift: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("%s was found changed by somebody else%s.", b.pullTitle(e), detail(b, e))
	},
	incident.LeverParked: func(b *builder, e incident.Event) string {
		k := data[parkData](e).Parking
		return fmt.Sprintf("%s left %s pulled until %s%s.", b.Who(e.Actor), b.pullTitle(e), date(k.Until), saying(b.quote(k.Reason)))
	},
	incident.LeverUnparked: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("%s was to go back with the rest.", b.pullTitle(e))
	},
	incident.LeverSettled: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("%s became permanent%s.", b.pullTitle(e), detail(b, e))
	},
	incident.LeverGivenUp: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("The way back of %s was given up%s.", b.pullTitle(e), detail(b, e))
	},
	incident.AutoHeldType: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("%s took an automatic move back; nothing moved by itself from then on.", b.Who(e.Actor))
	},
	incident.DecisionMade: plain("decided not to move visitors"),
	incident.TimerFired: func(b *builder, e incident.Event) string {
		return fmt.Sprintf("A reminder: visitors had been kept away for %s.", spell(e.At.Sub(b.in.DeclaredAt)))
	},
}

// nextAbout says whether the next event is of the type and about the same thing.
func (b *builder) nextAbout(e incident.Event, t incident.Type) bool {
	return slices.ContainsFunc(b.about(e.Subject.Type, e.Subject.ID, t), func(x incident.Event) bool { return x.Seq == e.Seq+1 })
}
