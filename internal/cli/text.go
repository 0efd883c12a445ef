package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"lifeboat/internal/incident"
)

// plainWriter lets no control character through: titles and notes are typed by
// anybody, and a terminal obeys what it is sent.
type plainWriter struct{ w io.Writer }

func (p *plainWriter) Write(b []byte) (int, error) {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return '\ufffd'
		}
		return r
	}, string(b))
	if _, err := io.WriteString(p.w, clean); err != nil {
		return 0, err
	}
	return len(b), nil
}

// table aligns rows of cells.
type table struct{ w *tabwriter.Writer }

func (a *app) table() *table { return &table{tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)} }

// row adds a row. Tabs and line ends in a cell would break the columns.
func (t *table) row(cells ...string) {
	for i, c := range cells {
		cells[i] = strings.Map(func(r rune) rune {
			if r == '\t' || r == '\n' {
				return ' '
			}
			return r
		}, c)
	}
	_, _ = fmt.Fprintln(t.w, strings.TrimRight(strings.Join(cells, "\t"), "\t")) // into memory
}

func (t *table) end() { _ = t.w.Flush() } // a reader that has gone away misses nothing

// writeJSON writes a result for machines, as it came.
func (a *app) writeJSON(v any) error {
	e := json.NewEncoder(a.o.Out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// phaseWords say where an incident is.
var phaseWords = map[incident.Phase]string{
	incident.FailOver:  "Step 1 of 4: get visitors to safety",
	incident.Diagnose:  "Step 2 of 4: find out what happened",
	incident.Fixing:    "Step 3 of 4: one fix",
	incident.FailBack:  "Step 4 of 4: go back",
	incident.Watch:     "Watching",
	incident.Review:    "Write-up",
	incident.Closed:    "Closed",
	incident.Cancelled: "False alarm",
}

func words(p incident.Phase) string {
	if w, known := phaseWords[p]; known {
		return w
	}
	return string(p)
}

// lasted says how long something took or has lasted, in at most two units.
func lasted(d time.Duration) string {
	d = max(0, d)
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}

// clock gives a time of day where we are, and in UTC beside it where that differs.
func clock(t time.Time) string {
	local := t.Local()
	if _, offset := local.Zone(); offset == 0 {
		return t.UTC().Format("15:04:05 UTC")
	}
	return local.Format("15:04:05") + t.UTC().Format(" (15:04:05 UTC)")
}

func day(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

// short gives at most so many characters of a text.
func short(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// spanOf reads a duration, also of days: 90s, 20m, 7d.
func spanOf(text string) (time.Duration, error) {
	if days, is := strings.CutSuffix(text, "d"); is {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n <= 10_000 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	return time.ParseDuration(text)
}

// many counts things whose plural ends in s.
func many(n int, thing string) string { return count(uint64(max(0, n)), thing) }

func count(n uint64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// bare is a sentence without its stop, to be gone on from.
func bare(s string) string { return strings.TrimRight(strings.TrimSpace(s), ".") }
