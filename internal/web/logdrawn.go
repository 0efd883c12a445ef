package web

import (
	"cmp"
	"fmt"
	"html/template"
	"regexp"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/quarantine/find"
)

// A log is drawn by what its lines have in common: those that differ in numbers, times
// and names alone are one kind. Trouble is guessed by words, and called so; the log
// itself stays below.

// lineKind is lines that say the same.
type lineKind struct {
	Sample  string // the last of them
	Count   int
	Trouble bool
}

// Bounds of a drawn log.
const (
	maxLineKinds = 20
	maxLogLines  = 20_000
	logSlices    = 24
)

// troubled are the words by which a line is taken to tell of trouble.
var troubled = regexp.MustCompile(`(?i)\b(error|err|fatal|panic|exception|traceback|critical|crit|emerg|alert|failed|failure|refused|denied|timed? ?out|timeout|deadlock|out of memory|no space)\b|"? 5\d\d |status"?[=:]"?5\d\d\b`)

// stamped is a time as most logs write it: RFC 3339, or with a space and without a zone.
var stamped = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d`)

// logLine is what is read of one line.
type logLine struct {
	at      time.Time // zero: it bears no time
	trouble bool
}

// logOf reads a log: the kinds of its lines, those of trouble first and the rarest first
// among the others, and when each line was written.
func logOf(text string) (kinds []lineKind, lines []logLine) {
	index := map[string]int{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if len(lines) == maxLogLines {
			break
		}
		l := logLine{trouble: troubled.MatchString(line)}
		if s := stamped.FindString(line[:min(len(line), 200)]); s != "" {
			l.at, _ = time.Parse(time.DateTime, strings.Replace(s, "T", " ", 1)) // its zone is the log's own
		}
		lines = append(lines, l)
		key := find.Template(line)
		i, known := index[key]
		if !known {
			i = len(kinds)
			index[key], kinds = i, append(kinds, lineKind{})
		}
		k := &kinds[i]
		k.Sample, k.Count, k.Trouble = cut(line, 300), k.Count+1, k.Trouble || l.trouble
	}
	slices.SortStableFunc(kinds, func(a, b lineKind) int {
		if a.Trouble != b.Trouble {
			if a.Trouble {
				return -1
			}
			return 1
		}
		if a.Trouble { // what happens most
			return cmp.Compare(b.Count, a.Count)
		}
		return cmp.Compare(a.Count, b.Count) // what is unusual
	})
	return kinds, lines
}

// drawnLog draws a log: how many lines were written when, and what they say.
func (x scope) drawnLog(text string) drawn {
	kinds, lines := logOf(text)
	if len(lines) < 2 {
		return drawn{}
	}
	out := drawn{Lines: kinds[:min(len(kinds), maxLineKinds)], MoreLines: max(0, len(kinds)-maxLineKinds), AllLines: len(lines)}
	out.Figure = x.logPicture(lines)
	return out
}

// logPicture draws lines over time, those of trouble in front. It is empty where fewer
// than two of three lines bear a time, or all the same one.
func (x scope) logPicture(lines []logLine) template.HTML {
	var from, to time.Time
	dated := 0
	for _, l := range lines {
		if l.at.IsZero() {
			continue
		}
		dated++
		if from.IsZero() || l.at.Before(from) {
			from = l.at
		}
		if l.at.After(to) {
			to = l.at
		}
	}
	if dated*3 < len(lines)*2 || !to.After(from) {
		return ""
	}
	var all, bad [logSlices]int
	most, trouble := 1, 0
	for _, l := range lines {
		if l.at.IsZero() {
			continue
		}
		i := min(logSlices-1, int(float64(logSlices)*float64(l.at.Sub(from))/float64(to.Sub(from))))
		all[i]++
		most = max(most, all[i])
		if l.trouble {
			bad[i]++
			trouble++
		}
	}
	const w, top, bottom = 360.0, 8.0, 92.0
	d := &drawing{w: w, h: 116}
	step := w / logSlices
	for i := range all {
		bar := func(class string, n int) {
			if h := (bottom - top) * float64(n) / float64(most); n > 0 {
				fmt.Fprintf(d, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, class, float64(i)*step+1, bottom-max(2, h), step-2, max(2, h))
			}
		}
		bar("lines", all[i])
		bar("bad", bad[i])
	}
	d.line("gr", 0, bottom, w, bottom)
	d.text("s", "start", 0, 110, from.Format(time.TimeOnly))
	d.text("s", "end", w, 110, to.Format(time.TimeOnly))
	g := figure{
		Title: "When it was written", Says: fmt.Sprintf("%s, by the log’s own clock. Dark: %s by their words.", count(dated, "line", "lines"), count(trouble, "tells of trouble", "tell of trouble")),
		Label: fmt.Sprintf("%s from %s to %s; %s", count(dated, "line", "lines"), from.Format(time.DateTime), to.Format(time.DateTime), count(trouble, "tells of trouble", "tell of trouble")),
	}
	g.Narrow = d.svg("", g.Label)
	return x.part("figure", g)
}
