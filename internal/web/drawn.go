package web

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"

	"lifeboat/internal/capture"
	"lifeboat/internal/incident"
)

// What was captured as text is drawn where its make is known: how long each part of a
// question took, what servers answered, what a certificate says. The text itself stays
// below, as it was kept: it is what counts.
//
// The texts are package capture's; another make, or a text that somebody else wrote, is
// only shown as it is.

// drawn is a piece of evidence as a picture or a table.
type drawn struct {
	Figure  template.HTML
	Answers []answerRow // of name servers and resolvers
	Shown   []shownCert
	Lines   []lineKind // of a log
	Changed []diffLine // against the capture before it
	Since   string     // id of that one

	MoreLines, AllLines int // kinds of lines that are not in Lines; lines of the log
}

// answerRow is a question to a server, and what it said.
type answerRow struct{ Question, Answer string }

// shownCert is a certificate as a browser met it.
type shownCert struct {
	Name  string
	Wrong string // why a browser would not take it
	Facts []answerRow
}

// Bounds of what is drawn.
const (
	maxSteps   = 20
	maxAnswers = 60
	maxDiff    = 400 // lines of each side
)

// drawnOf draws a text that a collector made. What a page sent is of the same kind as how
// it answered, and is its owner's: the title, which is ours, tells them apart.
func (x scope) drawnOf(e incident.Evidence, text string) drawn {
	switch {
	case e.Kind == capture.KindHTTP && strings.HasPrefix(e.Title, "How "):
		return drawn{Figure: x.waterfall(text)}
	case e.Kind == capture.KindDNS:
		return drawn{Answers: answersOf(text)}
	case e.Kind == capture.KindTLS:
		return drawn{Shown: certificatesOf(text)}
	case e.Kind == capture.KindLog:
		return x.drawnLog(text)
	}
	return drawn{}
}

// took is one step of a question, and when it was over.
type took struct {
	what  string
	after int64 // milliseconds since it began
}

// stepsOf reads the lines "      12 ms  connected".
func stepsOf(text string) []took {
	var out []took
	for line := range strings.Lines(text) {
		ms, what, is := strings.Cut(strings.TrimSpace(line), " ms  ")
		after, err := strconv.ParseInt(ms, 10, 64)
		if !is || err != nil || after < 0 || after > 1<<40 {
			if len(out) > 0 {
				break // they stand together
			}
			continue
		}
		if out = append(out, took{cut(what, 80), after}); len(out) == maxSteps {
			break
		}
	}
	return out
}

// waterfall draws the steps of a question below each other, to scale.
func (x scope) waterfall(text string) template.HTML {
	steps := stepsOf(text)
	if len(steps) < 2 {
		return ""
	}
	all := max(1, steps[len(steps)-1].after)
	draw := func(w float64, class string) template.HTML {
		const row, left = 40.0, 2.0
		d := &drawing{w: w, h: row*float64(len(steps)) + 8}
		at := func(ms int64) float64 { return left + (w-2*left)*float64(min(ms, all))/float64(all) }
		before := int64(0)
		for i, s := range steps {
			y := row * float64(i)
			d.text("", "start", left, y+14, s.what)
			d.text("b", "end", w-left, y+14, fmt.Sprintf("%d ms", s.after))
			d.line("gr", left, y+26, w-left, y+26)
			fmt.Fprintf(d, `<rect class="took" x="%.1f" y="%.1f" width="%.1f" height="8"/>`, at(before), y+22, max(2, at(s.after)-at(before)))
			before = s.after
		}
		return d.svg(class, "How long each step took: "+stepWords(steps))
	}
	return x.part("figure", figure{
		Title: "How long it took", Says: "Each bar begins where the one before it ended.",
		Narrow: draw(320, " narrow"), Wide: draw(760, " wide"),
	})
}

func stepWords(steps []took) string {
	var out []string
	for _, s := range steps {
		out = append(out, fmt.Sprintf("%s after %d ms", s.what, s.after))
	}
	return listed(out)
}

// certificatesOf reads what was shown for each name: "== NAME", lines about it, and
// "-- certificate 1" with lines "key: value".
func certificatesOf(text string) []shownCert {
	var out []shownCert
	first := true
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if name, is := strings.CutPrefix(line, "== "); is {
			if len(out) == 20 {
				break
			}
			out, first = append(out, shownCert{Name: cut(name, 253)}), true
			continue
		}
		if len(out) == 0 {
			continue
		}
		c := &out[len(out)-1]
		if n, is := strings.CutPrefix(line, "-- certificate "); is {
			first = n == "1"
			continue
		}
		key, value, is := strings.Cut(line, ": ")
		switch {
		case first && is && (key == "issuer" || key == "valid" || key == "names" || key == "key" || key == "sha256"):
			c.Facts = append(c.Facts, answerRow{key, cut(value, 400)})
		case line == "a browser takes it":
			c.Wrong = ""
		case strings.HasPrefix(line, "no TLS connection"), strings.HasPrefix(line, "the certificate is not for"), strings.Contains(line, "expired on"):
			c.Wrong = cut(line, 300)
		}
	}
	return out
}

// lasting is a capture's text without what differs each time: when it was asked, how long
// it took, what time the other side had.
func lasting(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		head, rest, _ := strings.Cut(trimmed, ", after ")
		switch {
		case strings.Contains(line, " ms  "), strings.HasPrefix(trimmed, "asked of "), strings.HasPrefix(trimmed, "DNS questions to "), strings.HasPrefix(trimmed, "TLS handshakes with "),
			strings.HasPrefix(trimmed, "Date: "), strings.HasPrefix(trimmed, "Age: "), strings.HasPrefix(trimmed, "its clock is "):
		case strings.HasPrefix(trimmed, ";; ") && rest != "":
			_, said, _ := strings.Cut(rest, ": ")
			b.WriteString(head + ": " + said + "\n")
		default:
			b.WriteString(line)
		}
	}
	return b.String()
}

// diffLine is a line that is new, gone, or the same.
type diffLine struct{ Mark, Text string }

// diffOf compares two texts line by line, by their longest common run of lines; nil
// where they are the same, or too long to be compared.
func diffOf(before, now string) []diffLine {
	a, b := strings.Split(strings.TrimRight(before, "\n"), "\n"), strings.Split(strings.TrimRight(now, "\n"), "\n")
	if before == now || len(a) > maxDiff || len(b) > maxDiff {
		return nil
	}
	common := make([][]uint16, len(a)+1)
	for i := range common {
		common[i] = make([]uint16, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []diffLine
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out, i = append(out, diffLine{"−", cut(a[i], 300)}), i+1
		default:
			out, j = append(out, diffLine{"+", cut(b[j], 300)}), j+1
		}
	}
	return out
}

// answersOf reads questions and answers: ";; NAME TYPE, over udp, after 3 ms: NOERROR,
// …" and below it the records.
func answersOf(text string) []answerRow {
	var out []answerRow
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if head, is := strings.CutPrefix(line, ";; "); is {
			if question, rest, found := strings.Cut(head, ", over "); found {
				if len(out) == maxAnswers {
					break
				}
				_, said, _ := strings.Cut(rest, ": ")
				code, _, _ := strings.Cut(said, ",")
				out = append(out, answerRow{cut(question, 300), cut(code, 200)})
			}
			continue
		}
		if n := len(out); n > 0 && line != "" && len(out[n-1].Answer) < 1000 {
			if fields := strings.Fields(line); len(fields) > 4 && fields[2] == "IN" {
				out[n-1].Answer += "\n" + fields[3] + " " + cut(strings.Join(fields[4:], " "), 200) + ", for " + fields[1] + " s"
			}
		}
	}
	return out
}
