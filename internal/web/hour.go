package web

import (
	"fmt"
	"html/template"
	"time"

	"lifeboat/internal/engine"
	"lifeboat/internal/probe"
)

// hourLine is a check's last hour as a small picture, with its words.
type hourLine struct {
	Check string
	Words string
	Strip template.HTML
}

// The strip: a column for each minute. What passed is a low line, what failed a full
// column, what nobody can tell a hollow one of half the height; nobody asked: nothing.
const (
	stripMinutes = 60
	stripHigh    = 16.0
	fewMinutes   = 3 // below that there is nothing to see yet
)

// hours are the last hours of a place's checks.
func (x scope) hours(place string, all []engine.Hour) []hourLine {
	var out []hourLine
	for _, h := range all {
		if h.Place != place || len(h.Minutes) < fewMinutes {
			continue
		}
		out = append(out, hourOf(h, x.now()))
	}
	return out
}

func hourOf(h engine.Hour, now time.Time) hourLine {
	d := &drawing{w: 4 * stripMinutes, h: stripHigh}
	from := now.UTC().Truncate(time.Minute).Add(-(stripMinutes - 1) * time.Minute)
	failed, unclear := 0, 0
	var took time.Duration
	for _, m := range h.Minutes {
		i := int(m.From.Sub(from) / time.Minute)
		if i < 0 || i >= stripMinutes {
			continue
		}
		x := float64(4 * i)
		switch m.Verdict {
		case probe.Pass:
			took = m.Took
			d.line("act", x, stripHigh-2, x+3.2, stripHigh-2)
		case probe.Fail:
			failed++
			d.path("flt", "M%.1f 0h3.2v%.0fh-3.2z", x, stripHigh)
		default:
			unclear++
			d.path("unk", "M%.1f 8h2v7h-2z", x+0.6)
		}
	}
	l := hourLine{Check: h.Check, Words: "passed all hour"}
	switch {
	case failed > 0:
		l.Words = fmt.Sprintf("failed in %d of %s", failed, count(len(h.Minutes), "minute", "minutes"))
	case unclear > 0:
		l.Words = fmt.Sprintf("no clear answer in %d of %s", unclear, count(len(h.Minutes), "minute", "minutes"))
	case len(h.Minutes) < stripMinutes:
		l.Words = "passed for " + count(len(h.Minutes), "minute", "minutes")
	}
	if took > 0 && h.Minutes[len(h.Minutes)-1].Verdict == probe.Pass {
		l.Words += ", answers in " + spell(took)
	}
	l.Strip = d.svg(" strip", "The last hour of the check "+h.Check+": "+l.Words)
	return l
}
