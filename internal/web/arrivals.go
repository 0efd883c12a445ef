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
	drawArrivals(d, all, now)
	d.text("s", "start", plotLeft, 140, x.s.clock(all[0].From))
	d.text("s", "end", plotRight, 140, x.s.clock(last.From))
	g.Narrow = d.svg("", g.Label)
	return x.part("figure", g)
}

// drawArrivals draws a line over the slices, with the newest number at its end.
func drawArrivals(d *drawing, all []engine.Arrival, now string) {
	const top, bottom = 34.0, 116.0
	most := uint64(1)
	for _, a := range all {
		most = max(most, a.Requests)
	}
	x := func(i int) float64 { return plotLeft + (plotRight-plotLeft)*float64(i)/float64(len(all)-1) }
	y := func(n uint64) float64 { return bottom - (bottom-top)*float64(n)/float64(most) }
	d.line("gr", plotLeft, top, plotRight, top)
	d.line("gr", plotLeft, bottom, plotRight, bottom)
	d.text("s", "end", plotLeft-8, top+4.5, fmt.Sprint(most))
	d.text("s", "end", plotLeft-8, bottom+4.5, "0")
	points := make([]string, len(all))
	for i, a := range all {
		points[i] = fmt.Sprintf("%.1f,%.1f", x(i), y(a.Requests))
	}
	fmt.Fprintf(d, `<polyline class="seen" points="%s"/>`, strings.Join(points, " "))
	end := len(all) - 1
	d.point("pt", x(end), y(all[end].Requests), 6)
	d.text("halo b", "end", plotRight, y(all[end].Requests)-12, now)
}
