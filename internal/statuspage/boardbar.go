package statuspage

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/board"
)

var boardScriptJS = template.JS(boardScript)

// bar is the last days of a component: a drawing, and a sentence for each day.
type bar struct {
	Label    string
	Paths    []path
	Days     []string
	From, To string
	Uptime   string
}

type path struct{ State, D string }

// shapes tell the states apart without colour: each day is drawn from these pieces, as
// pairs of where they begin and how high they are, in 40 units. A whole bar is a good
// day, a broken one is not, the highest is an outage.
var shapes = map[board.State][][2]int{
	board.Operational: {{6, 28}},
	board.Degraded:    {{6, 8}, {19, 15}},
	board.Partial:     {{6, 6}, {16, 7}, {27, 7}},
	board.Major:       {{0, 40}},
	board.Maintained:  {{13, 14}},
	board.Unknown:     {{31, 3}},
}

func (p press) bar(c board.Component) *bar {
	b := &bar{From: p.w.say("bar.from", with{"Count": len(c.Days)}), To: p.w.say("bar.to"), Uptime: p.uptime(c)}
	b.Label = p.w.say("bar.label", with{"Name": p.names[c.ID], "Count": len(c.Days), "Uptime": b.Uptime})
	drawn := map[board.State]*strings.Builder{}
	counts := p.counts(c)
	for i, d := range c.Days {
		worst := d.Tally.Worst()
		if drawn[worst] == nil {
			drawn[worst] = &strings.Builder{}
		}
		for _, piece := range shapes[worst] {
			fmt.Fprintf(drawn[worst], "M%d %dh4v%dh-4z", 5*i, piece[0], piece[1])
		}
		b.Days = append(b.Days, p.day(d, counts[i]))
	}
	for _, s := range []board.State{board.Operational, board.Maintained, board.Unknown, board.Degraded, board.Partial, board.Major} {
		if drawn[s] != nil {
			b.Paths = append(b.Paths, path{letters[s], drawn[s].String()})
		}
	}
	return b
}

func (p press) uptime(c board.Component) string {
	if c.Uptime < 0 {
		return p.w.say("bar.no_uptime")
	}
	percent := fmt.Sprintf("%d.%02d", c.Uptime/100, c.Uptime%100)
	if c.Uptime == 10000 {
		percent = "100"
	}
	if p.w.tag != "en" {
		percent = strings.Replace(percent, ".", p.w.say("decimal"), 1)
	}
	return p.w.say("bar.uptime", with{"Percent": percent})
}

// counts says how many incidents touched the component on each of its days.
func (p press) counts(c board.Component) []int {
	out := make([]int, len(c.Days))
	for _, in := range p.b.Incidents {
		if !slices.Contains(in.Components, c.ID) {
			continue
		}
		from, to := in.StartedAt.In(p.w.zone).Format(time.DateOnly), p.b.Now.In(p.w.zone).Format(time.DateOnly)
		if !in.ResolvedAt.IsZero() {
			to = in.ResolvedAt.In(p.w.zone).Format(time.DateOnly)
		}
		for i, d := range c.Days {
			if d.Date >= from && d.Date <= to {
				out[i]++
			}
		}
	}
	return out
}

// day says how a day was, in one sentence.
func (p press) day(d board.Day, incidents int) string {
	at, err := time.Parse(time.DateOnly, d.Date)
	if err != nil {
		return d.Date
	}
	date := p.w.date(at)
	what := p.what(d.Tally)
	switch {
	case d.Tally.Known() == 0 && incidents == 0:
		return p.w.say("day.unknown", with{"Date": date})
	case what == "" && incidents == 0:
		return p.w.say("day.works", with{"Date": date})
	case what == "":
		what = p.w.say("state.operational")
	}
	if incidents > 0 {
		what = p.w.say("day.in", with{"What": what, "Count": incidents})
	}
	return p.w.say("day.told", with{"Date": date, "What": what})
}

// what lists what a day had beside good hours.
func (p press) what(t board.Tally) string {
	const seldom = 3600 // seconds of which nothing is known, as from a restart, that are not worth a word
	var list []string
	for _, s := range []struct {
		state board.State
		id    string
		least int
	}{{board.Major, "day.down", 1}, {board.Partial, "day.partial", 1}, {board.Degraded, "day.degraded", 30}, {board.Maintained, "day.maintained", 30}, {board.Unknown, "day.nothing_for", seldom}} {
		if n := t.Of(s.state); n >= s.least {
			list = append(list, p.w.say(s.id, with{"Span": p.w.span(n)}))
		}
	}
	return strings.Join(list, ", ")
}

// spark is the last day's response times in the size of a word.
type spark struct{ Path, Now string }

func (p press) spark(c board.Component) *spark {
	if len(c.Times) < 2 {
		return nil
	}
	const wide, high = 72, 18
	points := thin(c.Times, 36)
	most := 1
	for _, t := range points {
		most = max(most, t.Mean)
	}
	from, to := p.b.Now.Add(-24*time.Hour), p.b.Now
	var d strings.Builder
	for i, t := range points {
		x := share(t.At, from, to) * wide
		fmt.Fprintf(&d, "%s%.0f %.0f", verb(i), x, high-1-float64(t.Mean)/float64(most)*(high-3))
	}
	return &spark{d.String(), p.w.say("times.now", with{"Count": points[len(points)-1].Mean})}
}

func verb(i int) string {
	if i == 0 {
		return "M"
	}
	return "L"
}

func share(t, from, to time.Time) float64 {
	return min(1, max(0, t.Sub(from).Seconds()/to.Sub(from).Seconds()))
}

// thin gives at most n points, each the mean of those that it stands for.
func thin(list []board.Point, n int) []board.Point {
	if len(list) <= n {
		return list
	}
	out := make([]board.Point, 0, n)
	for i := range n {
		part := list[i*len(list)/n : (i+1)*len(list)/n]
		sum, most := 0, 0
		for _, t := range part {
			sum, most = sum+t.Mean, max(most, t.Most)
		}
		out = append(out, board.Point{At: part[len(part)-1].At, Mean: sum / len(part), Most: most})
	}
	return out
}
