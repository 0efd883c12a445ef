package statuspage

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/board"
)

// one is the page of an incident or a maintenance.
type one struct {
	frame
	Head, HeadLang string
	Open           []item
	Story          *tale
}

// tale is the public version of a post-mortem (its section 23).
type tale struct {
	Title, When, Lang, Only string
	Text                    []passage
}

// passage is a heading or a paragraph.
type passage struct {
	Head bool
	Text string
}

// IncidentPage makes an incident's own page in one language.
func IncidentPage(b board.Board, o Options, tag string, in board.Incident) (Document, error) {
	p := newPress(b, o, tag)
	v := p.incident(in, len(in.Updates))
	v.Href = ""
	page := one{Head: v.Title, Open: []item{v}}
	if v.Only != "" {
		page.HeadLang = v.Lang
	}
	page.Open[0].Title = p.w.say("news.updates")
	page.Open[0].Lang, page.frame = "", p.frame(v.Title, board.PathIncident+in.ID)
	if in.Story != nil {
		text, lang := p.w.text(in.Story.Text, p.first)
		page.Story = &tale{p.w.say("news.story"), p.w.say("news.story_at", with{"Time": p.w.clock(in.Story.At, b.Now).Text}), lang, p.w.only(lang), passages(text)}
	}
	return p.write("one", page, false)
}

// MaintenancePage makes a maintenance's own page in one language.
func MaintenancePage(b board.Board, o Options, tag string, m board.Maintenance) (Document, error) {
	p := newPress(b, o, tag)
	v := p.maintenance(m, len(m.Updates))
	v.Href = ""
	page := one{Head: v.Title, Open: []item{v}}
	if v.Only != "" {
		page.HeadLang = v.Lang
	}
	page.Open[0].Title = p.w.say("news.updates")
	page.Open[0].Lang, page.frame = "", p.frame(v.Title, board.PathMaintenance+m.ID)
	return p.write("one", page, false)
}

// passages parts a longer text: an empty line parts paragraphs, and a line that begins
// with "#" is a heading.
func passages(text string) []passage {
	var out []passage
	for _, part := range emptyLine.Split(strings.ReplaceAll(text, "\r\n", "\n"), -1) {
		for part != "" && len(out) < storyShown {
			head, rest, _ := strings.Cut(part, "\n")
			if trimmed := strings.TrimSpace(head); strings.HasPrefix(trimmed, "#") {
				if title := line(strings.TrimLeft(trimmed, "# ")); title != "" {
					out = append(out, passage{true, title})
				}
				part = rest
				continue
			}
			for _, words := range paragraphsOf(part) {
				out = append(out, passage{false, words})
			}
			break
		}
	}
	return out
}

// history is a month.
type history struct {
	frame
	Head         string
	Open         []item
	Older, Newer string
}

// Months are those that a board has pages of, newest first: from now back to the first
// that anything is told of.
func Months(b board.Board) []string {
	now := b.Now.In(b.Page.Location())
	first := now
	for _, in := range b.Incidents {
		if in.StartedAt.Before(first) {
			first = in.StartedAt
		}
	}
	for _, m := range b.Maintenances {
		if m.From.Before(first) {
			first = m.From
		}
	}
	oldest := first.In(b.Page.Location()).Format("2006-01")
	var out []string
	for i := 0; i < monthsShown; i++ {
		month := time.Date(now.Year(), now.Month()-time.Month(i), 15, 0, 0, 0, 0, now.Location()).Format("2006-01")
		if month < oldest {
			break
		}
		out = append(out, month)
	}
	return out
}

// HistoryPage makes a month's page in one language; months is what Months gave.
func HistoryPage(b board.Board, o Options, tag, month string, months []string) (Document, error) {
	p := newPress(b, o, tag)
	at, err := time.ParseInLocation("2006-01", month, p.w.zone)
	if err != nil {
		return Document{}, fmt.Errorf("no such month %q", month)
	}
	v := history{Head: p.w.say("history.title", with{"Month": p.w.say("date.month", with{"Month": p.w.month(at), "Year": at.Year()})})}
	v.frame = p.frame(v.Head, board.PathHistory+month, "None=history.none", "Incidents=news.past_all", "Older=history.older", "Newer=history.newer")
	in := func(t time.Time) bool { return t.In(p.w.zone).Format("2006-01") == month }
	for _, x := range b.Incidents {
		if in(x.StartedAt) {
			v.Open = append(v.Open, p.incident(x, 1))
		}
	}
	for _, m := range b.Maintenances {
		if in(m.From) {
			v.Open = append(v.Open, p.maintenance(m, 0))
		}
	}
	if i := slices.Index(months, month); i >= 0 {
		if i+1 < len(months) {
			v.Older = p.at + board.PathHistory + months[i+1]
		}
		if i > 0 {
			v.Newer = p.at + board.PathHistory + months[i-1]
		}
	}
	return p.write("history", v, false)
}

// how is a component's own page.
type how struct {
	frame
	One   []component
	Times *times
	Rows  []dayRow
	Past  []brief
}

type dayRow struct{ State, Date, What string }

// times is the drawing of a day's response times, and the same as a table.
type times struct {
	Title, Label         string
	Hour, MeanOf, MostOf string
	Charts               []chart
	Rows                 []hourRow
}

type hourRow struct{ Hour, Mean, Most string }

// chart is drawn for one width: a label keeps its size.
type chart struct {
	Class      string
	Width      int
	Grid       []label
	Hours      []label
	Mean, Most string
}

type label struct {
	D, Text string
	X, Y    int
}

// ComponentPage makes a component's own page in one language.
func ComponentPage(b board.Board, o Options, tag string, c board.Component) (Document, error) {
	p := newPress(b, o, tag)
	v := how{One: []component{p.component(c)}, Times: p.times(c), Past: p.past(time.Time{}, []string{c.ID})}
	title := p.w.say("page.components", with{"Name": p.names[c.ID]})
	v.frame = p.frame(title, PathComponent+c.ID, "Table=bar.table", "TableNone=bar.table_none", "Day=table.day", "What=table.what", "Incidents=news.past_all")
	v.Script = boardScriptJS
	counts := p.counts(c)
	for i, d := range slices.Backward(c.Days) {
		worst := d.Tally.Worst()
		what := p.what(d.Tally)
		if at, err := time.Parse(time.DateOnly, d.Date); err == nil && (what != "" || counts[i] > 0) && d.Tally.Known() > 0 {
			if what == "" {
				what = p.w.say("state.operational")
			}
			if counts[i] > 0 {
				what = p.w.say("day.in", with{"What": what, "Count": counts[i]})
			}
			v.Rows = append(v.Rows, dayRow{letters[worst], p.w.date(at), what})
		}
	}
	return p.write("how", v, true)
}

func (p press) times(c board.Component) *times {
	t := &times{Title: p.w.say("times.title"), Hour: p.w.say("times.hour"), MeanOf: p.w.say("times.mean"), MostOf: p.w.say("times.most")}
	if len(c.Times) < 2 {
		t.Label = p.w.say("times.none")
		return t
	}
	least, most, sum := c.Times[0].Mean, 0, 0
	for _, x := range c.Times {
		least, most, sum = min(least, x.Mean), max(most, x.Mean, x.Most), sum+x.Mean
	}
	t.Label = p.w.say("times.label", with{"Least": least, "Most": most, "Mean": sum / len(c.Times)})
	for _, w := range []struct {
		class string
		width int
		every time.Duration
	}{{"full", 688, 3 * time.Hour}, {"slim", 340, 6 * time.Hour}} {
		t.Charts = append(t.Charts, p.chart(c.Times, w.class, w.width, w.every, most))
	}
	t.Rows = p.hours(c.Times)
	return t
}

// chart draws points between a scale of round numbers and the hours of the day.
func (p press) chart(points []board.Point, class string, width int, every time.Duration, most int) chart {
	const top, foot, left = 14, 160, 56
	ch := chart{Class: class, Width: width}
	scale := round(most)
	y := func(ms int) int { return foot - ms*(foot-top)/scale }
	for i := 0; i <= 2; i++ {
		ms := scale * i / 2
		ch.Grid = append(ch.Grid, label{fmt.Sprintf("M%d %dH%d", left, y(ms), width), p.w.say("times.now", with{"Count": ms}), 0, y(ms) + 4})
	}
	from, to := p.b.Now.Add(-24*time.Hour), p.b.Now
	x := func(at time.Time) int { return left + int(share(at, from, to)*float64(width-left-4)) }
	for h := from.In(p.w.zone).Truncate(time.Hour).Add(time.Hour); h.Before(to); h = h.Add(time.Hour) {
		if h.Hour()%int(every/time.Hour) == 0 && x(h) > left+16 && x(h) < width-18 {
			ch.Hours = append(ch.Hours, label{Text: h.Format("15:04"), X: x(h), Y: foot + 20})
		}
	}
	var mean, worst, back strings.Builder
	gap := 2 * step(points)
	for i, pt := range points {
		v := "L"
		if i == 0 || pt.At.Sub(points[i-1].At) > gap {
			v = "M"
		}
		fmt.Fprintf(&mean, "%s%d %d", v, x(pt.At), y(pt.Mean))
		fmt.Fprintf(&worst, "%s%d %d", verb(i), x(pt.At), y(max(pt.Mean, pt.Most)))
		fmt.Fprintf(&back, "L%d %d", x(points[len(points)-1-i].At), y(points[len(points)-1-i].Mean))
	}
	ch.Mean, ch.Most = mean.String(), worst.String()+back.String()+"z"
	return ch
}

// step is the usual time between points: the shortest.
func step(points []board.Point) time.Duration {
	least := time.Hour
	for i := 1; i < len(points); i++ {
		if d := points[i].At.Sub(points[i-1].At); d > 0 {
			least = min(least, d)
		}
	}
	return least
}

// round gives the next number that a scale can end with, and that can be halved.
func round(n int) int {
	for size := 10; ; size *= 10 {
		for _, f := range []int{1, 2, 4, 6, 8} {
			if f*size >= n {
				return f * size
			}
		}
		if size > 1<<30 {
			return n
		}
	}
}

// hours sums the points up by the hour, newest first.
func (p press) hours(points []board.Point) []hourRow {
	var out []hourRow
	for i := len(points) - 1; i >= 0; {
		hour := points[i].At.In(p.w.zone).Truncate(time.Hour)
		n, sum, most := 0, 0, 0
		for ; i >= 0 && points[i].At.In(p.w.zone).Truncate(time.Hour).Equal(hour); i-- {
			n, sum, most = n+1, sum+points[i].Mean, max(most, points[i].Mean, points[i].Most)
		}
		out = append(out, hourRow{p.w.clock(hour, p.b.Now).Text, p.w.say("times.now", with{"Count": sum / n}), p.w.say("times.now", with{"Count": most})})
	}
	return out
}

// lock is the page before a private one.
type lock struct {
	frame
	Head, Known, Trouble, SignIn string
	Form                         bool
}

// Trouble with a password.
type Trouble string

// The troubles.
const (
	NoTrouble Trouble = ""
	Wrong     Trouble = "lock.wrong"
	TooMany   Trouble = "lock.slow"
	Stale     Trouble = "lock.stale" // of a sign-in, not of a password
)

// Troubles are all that a lock can be shown with.
func Troubles() []Trouble { return []Trouble{NoTrouble, Wrong, TooMany, Stale} }

// PathSignIn is where somebody goes to sign in for a private page.
const PathSignIn = "/sign-in"

// Lock makes the page that asks for a private page's password.
func Lock(page board.Page, o Options, tag string, t Trouble, now time.Time) (Document, error) {
	p := newPress(board.Board{Page: page, Now: now}, o, tag)
	v := lock{Head: p.w.say("lock.title"), Known: p.w.say("lock.how"), Form: page.Private != nil && page.Private.Hash != ""}
	if !v.Form {
		v.Head, v.Known = p.w.say("lock.signin"), ""
	}
	if page.Private != nil && page.Private.SignIn {
		v.SignIn = PathSignIn
	}
	if t != NoTrouble {
		v.Trouble = p.w.say(string(t))
	}
	v.frame = p.frame(v.Head, "/", "Label=lock.label", "Button=lock.button", "Go=lock.go")
	v.Logo, v.Subscribe, v.Contact, v.Foot, v.Feeds = "", "", nil, nil, nil
	d, err := p.write("lock", v, false)
	d.Status = 401
	return d, err
}

// Missing makes the page for an address at which nothing is.
func Missing(b board.Board, o Options, tag string) (Document, error) {
	p := newPress(b, o, tag)
	v := lock{Head: p.w.say("missing.title"), Known: p.w.say("missing.says")}
	v.frame = p.frame(v.Head, "/")
	d, err := p.write("missing", v, false)
	d.Status = 404
	return d, err
}
