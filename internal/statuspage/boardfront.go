package statuspage

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/board"
)

// front is the first page.
type front struct {
	frame
	State    string
	Head     string
	Known    string
	Open     []item
	Work     []item
	Sections []section
	Past     []brief
	History  string
}

type section struct {
	Anchor, Name, Says string
	Components         []component
}

// component is a line of the page.
type component struct {
	State, Name, Href, Says string
	Both, Reason, About     string
	Spark                   *spark
	Bar                     *bar
}

// brief is an incident in one line.
type brief struct {
	Href, Title, Lang, Only string
	Began                   stamp
	Step, Lasted            string
}

// Front makes the first page in one language.
func Front(b board.Board, o Options, tag string) (Document, error) {
	p := newPress(b, o, tag)
	f := front{State: letters[p.headState()], Head: p.head(), Known: p.known(), History: p.at + "/history"}
	f.frame = p.frame(f.Head, "/", "Now=news.now", "Work=news.work", "Past=news.past", "PastNone=news.past_none", "More=news.more")
	f.Script = boardScriptJS
	for _, in := range b.Open() {
		if len(f.Open) < openShown {
			f.Open = append(f.Open, p.incident(in, updatesShown))
		}
	}
	for _, m := range append(b.Active(), b.Upcoming()...) {
		if len(f.Work) < openShown {
			f.Work = append(f.Work, p.maintenance(m, updatesShown))
		}
	}
	f.Sections = p.sections()
	f.Past = p.past(b.Now.Add(-14*24*time.Hour), nil)
	return p.write("front", f, true)
}

// past are the incidents that ended since a time, of one component where it is said.
func (p press) past(since time.Time, of []string) []brief {
	var out []brief
	for _, in := range p.b.Incidents {
		if in.Open() && of == nil || in.StartedAt.Before(since) || of != nil && !in.Touches(of) || len(out) == pastShown {
			continue
		}
		title, lang := p.w.text(in.Title, p.first)
		out = append(out, brief{p.at + board.PathIncident + in.ID, line(title), lang, p.w.only(lang), p.w.clock(in.StartedAt, p.b.Now), p.w.say("step." + string(in.Step)), p.lasted(in)})
	}
	return out
}

func (p press) lasted(in board.Incident) string {
	if in.ResolvedAt.IsZero() || !in.ResolvedAt.After(in.StartedAt) {
		return ""
	}
	return p.w.say("news.lasted", with{"Span": p.w.span(int(in.ResolvedAt.Sub(in.StartedAt).Seconds()))})
}

// headState is the state that the page's sentence tells of.
func (p press) headState() board.State {
	switch {
	case len(p.b.Components) == 0 && len(p.b.Open()) == 0:
		return board.Unknown
	case (p.b.State == board.Operational || p.b.State == board.Maintained) && len(p.b.Open()) > 0:
		return board.Degraded
	}
	return p.b.State
}

// head says how things are in one sentence.
func (p press) head() string {
	switch state := p.b.State; {
	case len(p.b.Components) == 0 && len(p.b.Open()) == 0:
		return p.w.say("head.none")
	case state == board.Degraded, state == board.Partial, state == board.Major:
		return p.headOf(state)
	case state == board.Unknown && p.b.Knowledge.Fresh > 0:
		return p.w.say("head.unknown_some")
	case state == board.Unknown:
		return p.w.say("head.unknown")
	case len(p.b.Open()) > 0:
		return p.w.say("head.looking")
	case state == board.Maintained:
		return p.w.say("head.planned")
	}
	return p.w.say("head.works")
}

// headOf counts the components that are as bad as the worst.
func (p press) headOf(worst board.State) string {
	n, ordered, name := 0, 0, ""
	for _, c := range p.b.Components {
		if c.State != worst {
			continue
		}
		n++
		name = p.names[c.ID]
		if c.Why == board.ByOrder {
			ordered++
		}
	}
	if worst == board.Major && ordered == n {
		return p.w.say("head.order", with{"Count": n, "All": len(p.b.Components), "Name": name})
	}
	id := map[board.State]string{board.Degraded: "head.degraded", board.Partial: "head.partial", board.Major: "head.major"}[worst]
	return p.w.say(id, with{"Count": n, "All": len(p.b.Components), "Name": name})
}

// known says how old the knowledge is, and of a copy, which it is itself.
func (p press) known() string {
	if !p.o.Still {
		return p.knowledge()
	}
	now := p.b.Now.In(p.w.zone)
	return p.w.say("known.still", with{"Date": p.w.date(now), "Clock": now.Format("15:04") + "\u00a0" + zoneName(now), "Known": p.knowledge()})
}

func (p press) knowledge() string {
	k := p.b.Knowledge
	age := p.w.age(p.b.Now.Sub(k.At))
	switch {
	case k.Fresh+k.Stale == 0:
		return p.w.say("known.unmeasured")
	case k.At.IsZero():
		return p.w.say("known.never")
	case k.Fresh == 0:
		return p.w.say("known.stale", with{"Age": age})
	}
	if named := slices.DeleteFunc(slices.Clone(k.Places), func(s string) bool { return s == "" }); len(named) == len(k.Places) {
		return p.w.say("known.checked_named", with{"Age": age, "Count": len(named), "Places": strings.Join(named, ", ")})
	}
	return p.w.say("known.checked", with{"Age": age, "Count": len(k.Places)})
}

func (p press) sections() []section {
	var out []section
	bars := 0
	for i, s := range p.b.Sections {
		v := section{Anchor: fmt.Sprintf("g%d", i), Name: p.w.plain(s.Name), Says: p.w.plain(s.Says)}
		if s.ID == "" {
			v.Name = p.w.say("news.parts")
		}
		for _, c := range s.Components {
			if c.OnlyIfBad && c.State == board.Operational {
				continue
			}
			line := p.component(c)
			if bars++; bars > barsShown {
				line.Bar, line.Spark = nil, nil
			}
			v.Components = append(v.Components, line)
		}
		if len(v.Components) > 0 {
			out = append(out, v)
		}
	}
	return out
}

// component lays one out.
func (p press) component(c board.Component) component {
	v := component{
		State: letters[c.State], Name: p.names[c.ID], Href: p.at + PathComponent + c.ID, Says: p.w.say("state." + string(c.State)),
		Both: p.both(c), About: p.w.plain(c.Says), Spark: p.spark(c), Bar: p.bar(c),
	}
	if c.Override != nil {
		v.Reason = p.w.plain(c.Override.Reason)
	}
	return v
}

// PathComponent is where a component's days and times are; its id follows.
const PathComponent = "/components/"

// both says what people said beside what the checks see, where the two differ.
func (p press) both(c board.Component) string {
	measured := with{}
	suffix := "_unmeasured"
	if c.Measured != "" {
		measured["Measured"], suffix = p.w.say("state."+string(c.Measured)), ""
	}
	switch {
	case c.Why == board.ByOverride:
		measured["Time"] = p.w.clock(c.Override.At, p.b.Now).Text
		return p.w.say("both.override"+suffix, measured)
	case c.Why == board.ByIncident:
		return p.w.say("both.incident"+suffix, measured)
	case c.Why == board.ByOrder:
		return p.w.say("both.order")
	case c.Why == board.ByNobody:
		return p.w.say("both.nobody")
	}
	return ""
}
