package web

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/incident"
)

// figure is a picture with its words. It is drawn here; the page only places it.
type figure struct {
	Title, Says string
	Label       string // for those who do not see it
	Narrow      template.HTML
	Wide        template.HTML // over the whole width, where that is another one
}

// drawing writes an SVG, with classes in place of styles.
type drawing struct {
	strings.Builder
	w, h float64
}

func (d *drawing) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(d, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, class, x1, y1, x2, y2)
}

func (d *drawing) text(class, anchor string, x, y float64, words string) {
	if class != "" {
		class = ` class="` + class + `"`
	}
	fmt.Fprintf(d, `<text%s x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, class, x, y, anchor, template.HTMLEscapeString(words))
}

func (d *drawing) point(class string, x, y, r float64) {
	fmt.Fprintf(d, `<circle class="%s" cx="%.1f" cy="%.1f" r="%.1f"/>`, class, x, y, r)
}

func (d *drawing) path(class, format string, args ...any) {
	fmt.Fprintf(d, `<path class="%s" d="%s"/>`, class, fmt.Sprintf(format, args...))
}

func (d *drawing) svg(class, label string) template.HTML {
	return template.HTML(fmt.Sprintf(`<svg class="pic%s" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">%s</svg>`, class, d.w, d.h, template.HTMLEscapeString(label), d.String())) //nolint:gosec // numbers, and text that is escaped
}

// promiseGraph is the one thing that was promised, as it was read after the fix, with
// the promise dashed.
func (x scope) promiseGraph(f incident.Fix) figure {
	g := figure{Title: "The check “" + f.Promise.Check + "”", Says: "What was promised, as it is read at the real site. Dashed: the promise."}
	g.Label = "The check " + f.Promise.Check + ": " + promiseWords(f)
	if n := len(f.Readings); n > 0 {
		g.Label += ". The last reading: " + seenWords(f.Readings[n-1])
	}
	d := &drawing{w: 360, h: 220}
	p := plotOf(f)
	p.grid(d, x.s.clock(f.AppliedAt), spell(f.Promise.Within))
	p.promise(d, f)
	p.readings(d, f)
	g.Narrow = d.svg("", g.Label)
	return g
}

// plot maps time and time-to-answer to the picture: passes by how long they took,
// below a lane of their own for what failed.
type plot struct {
	from, to time.Time
	most     time.Duration // at the top of the scale
	lane     float64       // of fails
}

const (
	plotLeft, plotRight, plotTop, plotBottom = 46.0, 346.0, 52.0, 186.0
)

func plotOf(f incident.Fix) plot {
	p := plot{from: f.AppliedAt, to: f.AppliedAt.Add(f.Promise.Within), most: 2 * f.Promise.Below, lane: 24}
	for _, r := range f.Readings {
		if r.Verdict == "pass" {
			p.most = max(p.most, r.Took)
		}
		if r.At.After(p.to) {
			p.to = r.At
		}
		if r.At.Before(p.from) {
			p.from = r.At
		}
	}
	p.most = nice(p.most)
	return p
}

// nice rounds a scale up to 1, 2 or 5 of some unit.
func nice(d time.Duration) time.Duration {
	if d <= 0 {
		return time.Second
	}
	unit := math.Pow(10, math.Floor(math.Log10(float64(d))))
	for _, n := range []float64{1, 2, 5, 10} {
		if float64(d) <= n*unit {
			return time.Duration(n * unit)
		}
	}
	return d
}

func (p plot) x(t time.Time) float64 {
	all := p.to.Sub(p.from)
	if all <= 0 {
		return plotLeft
	}
	return plotLeft + (plotRight-plotLeft)*min(1, max(0, float64(t.Sub(p.from))/float64(all)))
}

func (p plot) y(took time.Duration) float64 {
	return plotBottom - (plotBottom-plotTop)*min(1, float64(took)/float64(p.most))
}

func (p plot) grid(d *drawing, from, within string) {
	for _, part := range []int64{0, 1, 2} {
		at := time.Duration(int64(p.most) * part / 2)
		d.line("gr", plotLeft, p.y(at), plotRight, p.y(at))
		d.text("s", "end", plotLeft-8, p.y(at)+4.5, spell(at))
	}
	d.line("gr", plotLeft, p.lane, plotRight, p.lane)
	d.text("s", "end", plotLeft-8, p.lane+4.5, "fails")
	d.text("s", "start", plotLeft, 208, from)
	d.text("s", "end", plotRight, 208, "+"+within)
}

func (p plot) promise(d *drawing, f incident.Fix) {
	end := p.x(f.AppliedAt.Add(f.Promise.Within))
	d.line("ord", end, 12, end, plotBottom)
	if f.Promise.Below > 0 {
		d.line("ord", plotLeft, p.y(f.Promise.Below), plotRight, p.y(f.Promise.Below))
		d.text("halo", "end", plotRight-4, p.y(f.Promise.Below)-6, "promised: under "+spell(f.Promise.Below))
		return
	}
	d.text("halo", "end", plotRight-4, plotTop-6, "promised: passes below this line")
	d.line("ord", plotLeft, plotTop, plotRight, plotTop)
}

func (p plot) readings(d *drawing, f incident.Fix) {
	var line []string
	flush := func() {
		if len(line) > 1 {
			fmt.Fprintf(d, `<polyline class="seen" points="%s"/>`, strings.Join(line, " "))
		}
		line = nil
	}
	for i, r := range f.Readings {
		x, last := p.x(r.At), i == len(f.Readings)-1
		if r.Verdict != "pass" {
			flush()
			d.path(map[bool]string{true: "flt", false: "flt unk"}[r.Verdict == "fail"], "M%.1f %.1fl6 11h-12z", x, p.lane-6)
			continue
		}
		line = append(line, fmt.Sprintf("%.1f,%.1f", x, p.y(r.Took)))
		if last {
			flush()
			d.point("pt", x, p.y(r.Took), 7)
		} else if len(f.Readings) < 40 {
			d.point("ptb", x, p.y(r.Took), 3)
		}
	}
	flush()
}

// promiseAgain shows what a fix promised, and that it is measured again with
// everybody back.
func (x scope) promiseAgain(f incident.Fix) template.HTML {
	words := "It is measured again with everybody back, before the watch ends."
	if f.Again != "" {
		words = "Measured again with everybody back: " + map[string]string{"pass": "it holds.", "fail": "it does not hold.", "inconclusive": "we can’t tell."}[f.Again]
	}
	return x.part("again", struct{ Check, Promise, Words string }{f.Promise.Check, sentence(promiseWords(f)), words})
}

// axis is one time axis from before the first symptom until now: what failed, what was
// changed, what we did.
func (x scope) axis(onset, until time.Time) template.HTML {
	in := *x.in
	in.Changes, _ = suspects(in)
	t := timeline{to: until, onset: onset}
	t.from = onset.Add(-max(15*time.Minute, until.Sub(onset)/2))
	for _, c := range in.Changes {
		if c.At.Before(t.from) && onset.Sub(c.At) < min(3*time.Hour, 15*time.Minute+5*until.Sub(onset)) {
			t.from = c.At.Add(-2 * time.Minute)
		}
	}
	if all := t.to.Sub(t.from); all < time.Minute || until.Sub(onset) < all/30 { // what matters would be a sliver at its end
		return ""
	}
	label := fmt.Sprintf("One time axis from %s to %s: when checks failed, what was changed, what we did.", x.s.clock(t.from), x.s.clock(t.to))
	draw := func(w float64, class string, ticks int) template.HTML {
		d := &drawing{w: w, h: 250}
		t.safe(d, in)
		t.failing(d, in)
		t.ticks(d, ticks, x.s.clock)
		t.changes(d, in)
		t.acts(d, in)
		return d.svg(class, label)
	}
	return x.part("figure", figure{
		Label: label, Narrow: draw(350, " narrow", 3), Wide: draw(1200, " wide", 8),
		Says: "Dark: checks that fail. Lines: what we did. Diamonds: what was changed, numbered as below; filled when suspected.",
	})
}

type timeline struct{ from, to, onset time.Time }

const (
	axisBase = 178.0
	axisTop  = 70.0
)

func (t timeline) x(d *drawing, at time.Time) float64 {
	return 4 + (d.w-8)*min(1, max(0, float64(at.Sub(t.from))/float64(t.to.Sub(t.from))))
}

func (t timeline) within(at time.Time) bool { return !at.Before(t.from) && !at.After(t.to) }

func (t timeline) ticks(d *drawing, n int, clock func(time.Time) string) {
	d.line("ax", 4, axisBase, d.w-4, axisBase)
	for i := range n {
		at := t.from.Add(t.to.Sub(t.from) * time.Duration(2*i+1) / time.Duration(2*n))
		d.line("ax", t.x(d, at), axisBase, t.x(d, at), axisBase+5)
		d.text("s", "middle", t.x(d, at), axisBase+20, clock(at))
	}
}

// failing draws the share of home's checks that are seen down.
func (t timeline) failing(d *drawing, in incident.Incident) {
	all, down := map[string]bool{}, map[string]bool{}
	for _, s := range in.Sights {
		if s.Home {
			all[s.Check] = true
		}
	}
	if len(all) == 0 {
		return
	}
	y := func() float64 { return axisBase - (axisBase-axisTop-16)*float64(len(down))/float64(len(all)) }
	var path strings.Builder
	fmt.Fprintf(&path, "M4 %.1f", axisBase)
	for _, s := range in.Sights {
		if !s.Home {
			continue
		}
		fmt.Fprintf(&path, "H%.1f", t.x(d, s.At))
		if s.Seen == "down" {
			down[s.Check] = true
		} else {
			delete(down, s.Check)
		}
		fmt.Fprintf(&path, "V%.1f", y())
	}
	fmt.Fprintf(&path, "H%.1f", d.w-4)
	d.path("area", "%sV%.1fZ", path.String(), axisBase)
	d.path("symp", "%s", path.String())
}

// safe shades the time in which visitors were kept from harm.
func (t timeline) safe(d *drawing, in incident.Incident) {
	for _, p := range in.Pulls {
		if p.SeenAt.IsZero() {
			continue
		}
		to := t.to
		if !p.BackAt.IsZero() {
			to = p.BackAt
		}
		x1, x2 := t.x(d, p.SeenAt), t.x(d, to)
		fmt.Fprintf(d, `<rect class="safe" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, x1, axisTop, max(0, x2-x1), axisBase-axisTop)
	}
}

func (t timeline) changes(d *drawing, in incident.Incident) {
	last := math.Inf(1)
	for i, c := range in.Changes { // newest first, as in the list
		if !t.within(c.At) || i >= perColumn {
			continue
		}
		x := t.x(d, c.At)
		class, words := "chg", "s"
		if c.Suspect {
			class, words = "chg sus", "b"
		}
		d.path(class, "M%.1f 206l7 7-7 7-7-7z", x)
		if last-x > 14 {
			d.text(words, "middle", x, 238, fmt.Sprint(i+1))
			last = x
		}
	}
}

// acts are what we did, each a line with its words, staggered so that they can be read.
func (t timeline) acts(d *drawing, in incident.Incident) {
	type act struct {
		at    time.Time
		words string
	}
	all := []act{{in.DeclaredAt, "called"}}
	for _, p := range in.Pulls {
		words := p.To
		if p.Kind == "zone" {
			words = placeWords(p.To)
		}
		all = append(all, act{p.At, "to " + cut(words, 22)})
	}
	for _, f := range in.Fixes {
		if f.Done() {
			all = append(all, act{f.StartedAt, "fix " + f.ID})
		}
	}
	slices.SortStableFunc(all, func(a, b act) int { return a.at.Compare(b.at) })
	for i, a := range all {
		if !t.within(a.at) || i > 5 {
			continue
		}
		x, y := t.x(d, a.at), 14+18*float64(i%3)
		d.line("act", x, y-9, x, axisBase)
		anchor, dx := "start", 6.0
		if i == 0 && x > 80 || x > d.w-140 {
			anchor, dx = "end", -6
		}
		d.text("a halo", anchor, x+dx, y, a.words)
	}
}
