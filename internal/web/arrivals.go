package web

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"lifeboat/internal/engine"
)

// arrivalsPicture is who meets the status page, as our own web server counts them: the
// sign that visitors have followed. It is empty until somebody has come for two slices.
func (x scope) arrivalsPicture(all []engine.Arrival) template.HTML {
	if since := x.v.Ordered.Since; !since.IsZero() {
		for len(all) > 0 && all[0].From.Add(engine.ArrivalSlice).Before(since) {
			all = all[1:]
		}
	}
	if len(all) < 3 {
		return ""
	}
	all = all[:len(all)-1] // the newest is not over yet
	last := all[len(all)-1]
	now := fmt.Sprintf("%d in %d s", last.Requests, int(engine.ArrivalSlice/time.Second))
	g := figure{Title: "Who meets the status page", Says: "Requests, as our own web server counts them."}
	g.Label = "Requests of visitors at the status page since " + x.s.clock(all[0].From) + ": the last were " + now
	d := &drawing{w: 360, h: 150}
	expected := expectedArrivals(all, x.v.Ordered.Since, time.Duration(x.v.TTL)*time.Second)
	if expected != nil {
		by := x.s.clock(x.v.Ordered.Since.Add(time.Duration(x.v.TTL) * time.Second))
		g.Says += " Dashed: what the TTL lets one expect, if as many come as until now. Resolvers keep the old answer until " + by + " at most, browsers up to a minute longer."
		g.Label += fmt.Sprintf("; expected %.0f", expected[len(expected)-1])
	}
	drawArrivals(d, all, expected, now)
	d.text("s", "start", plotLeft, 140, x.s.clock(all[0].From))
	d.text("s", "end", plotRight, 140, x.s.clock(last.From))
	g.Narrow = d.svg("", g.Label)
	return x.part("figure", g)
}

// expectedArrivals is how many requests a slice would have if resolvers had asked at
// times that have nothing to do with the move: then a share of them that grows evenly
// until the TTL is over has asked anew. Its area is that of what came, so that the form
// alone is compared: who comes more late than it says is held up by something else than
// resolvers. nil where it is not known when visitors were sent, or how long answers are
// kept.
func expectedArrivals(all []engine.Arrival, since time.Time, ttl time.Duration) []float64 {
	if since.IsZero() || ttl <= 0 {
		return nil
	}
	shares, came, sum := make([]float64, len(all)), 0.0, 0.0
	for i, a := range all {
		middle := a.From.Add(engine.ArrivalSlice / 2).Sub(since)
		shares[i] = min(1, max(0, float64(middle)/float64(ttl)))
		came, sum = came+float64(a.Requests), sum+shares[i]
	}
	if sum == 0 {
		return nil
	}
	for i := range shares {
		shares[i] *= came / sum
	}
	return shares
}

// drawArrivals draws a line over the slices, with the newest number at its end, and
// dashed what was expected.
func drawArrivals(d *drawing, all []engine.Arrival, expected []float64, now string) {
	const top, bottom = 34.0, 116.0
	most := uint64(1)
	for _, a := range all {
		most = max(most, a.Requests)
	}
	for _, n := range expected {
		most = max(most, uint64(n+0.5))
	}
	x := func(i int) float64 { return plotLeft + (plotRight-plotLeft)*float64(i)/float64(len(all)-1) }
	y := func(n float64) float64 { return bottom - (bottom-top)*n/float64(most) }
	d.line("gr", plotLeft, top, plotRight, top)
	d.line("gr", plotLeft, bottom, plotRight, bottom)
	d.text("s", "end", plotLeft-8, top+4.5, fmt.Sprint(most))
	d.text("s", "end", plotLeft-8, bottom+4.5, "0")
	curve := func(class string, at func(i int) float64) {
		points := make([]string, len(all))
		for i := range all {
			points[i] = fmt.Sprintf("%.1f,%.1f", x(i), y(at(i)))
		}
		fmt.Fprintf(d, `<polyline class="%s" points="%s"/>`, class, strings.Join(points, " "))
	}
	if expected != nil {
		curve("ord", func(i int) float64 { return expected[i] })
	}
	curve("seen", func(i int) float64 { return float64(all[i].Requests) })
	end := len(all) - 1
	last := y(float64(all[end].Requests))
	d.point("pt", x(end), last, 6)
	d.text("halo b", "end", plotRight, last-12, now)
}
