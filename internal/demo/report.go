package demo

import (
	"fmt"
	"io"
	"sort"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"lifeboat/internal/incident"
)

// Report is what a play measured. Times are in milliseconds.
type Report struct {
	Case       string `json:"case"`
	OK         bool   `json:"ok"`
	FailedStep string `json:"failed_step,omitempty"`
	Failure    string `json:"failure,omitempty"` // what was seen where it failed

	Incident   string           `json:"incident,omitempty"`
	Phases     []incident.Phase `json:"phases,omitempty"` // that it went through
	Cause      string           `json:"cause,omitempty"`  // empty: not known
	Fixes      []Tried          `json:"fixes,omitempty"`
	Refusals   []Refusal        `json:"refusals,omitempty"`
	PostMortem string           `json:"post_mortem,omitempty"` // file, as Markdown
	Summary    []string         `json:"summary,omitempty"`     // of the post-mortem, sentence by sentence

	ReadyMS         float64 `json:"ready_ms"`                     // lifeboat's processes started → ready
	OutageSeenMS    float64 `json:"outage_seen_ms"`               // shop broken → seen down, by the API
	PressToDNSMS    float64 `json:"press_to_dns_ms"`              // press sent → first changed answer in hand
	PressToDoneMS   float64 `json:"press_to_done_ms"`             // press sent → told that its effect was seen from outside
	StandbyRequests int     `json:"standby_requests"`             // visits that the standby met
	ReturnChecks    Checks  `json:"return_checks"`                // what had to pass before visitors went back
	ReturnToDNSMS   float64 `json:"return_to_dns_ms"`             // return pressed → first changed answer in hand, all checks in between
	BackToDNSMS     float64 `json:"back_to_dns_ms"`               // last check passed → first changed answer in hand
	PutBackToDNSMS  float64 `json:"put_back_to_dns_ms,omitempty"` // lever put back → first changed answer in hand
	TimelineEvents  int     `json:"timeline_events"`              // of the incident, its chain of hashes intact
	Visits          Visits  `json:"visits"`
	DNS             Queries `json:"dns"`
	Drills          []drill `json:"drills"`
	Steps           []Step  `json:"steps"`
}

// Tried is a fix and what it came to, as it was measured.
type Tried struct {
	ID     string `json:"id"`
	Change string `json:"change"`
	Result string `json:"result"` // worked, no_effect, worse
	Words  string `json:"words"`
}

// Refusal is a guard rail that said no, as the case expects it to.
type Refusal struct {
	Rule    string `json:"rule"`
	Reason  string `json:"reason"`
	Satisfy string `json:"satisfy"`
}

// Step is one step of a play.
type Step struct {
	Name string  `json:"name"`
	MS   float64 `json:"ms"`
	Said string  `json:"said"`
}

// Checks are the sanity checks of a return.
type Checks struct {
	Needed int            `json:"needed"` // passes in a row, of each
	Passed map[string]int `json:"passed"` // by check
}

func (c Checks) String() string {
	var words []string
	for name, n := range c.Passed {
		words = append(words, fmt.Sprintf("%s %d of %d", name, n, c.Needed))
	}
	sort.Strings(words)
	return strings.Join(words, ", ")
}

// Write writes the report as a table.
func (r *Report) Write(w io.Writer) error {
	title := wrap(strings.Join(r.Summary, " "), reportWidth)
	if !r.OK {
		title = fmt.Sprintf("Stopped at the step %q: %s", r.FailedStep, r.Failure)
	}
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	_, _ = fmt.Fprintf(w, "\n%s\n\n", title) // the last write tells
	for _, row := range r.rows() {
		_, _ = fmt.Fprintf(t, "  %s\t%s\n", row[0], row[1])
	}
	return t.Flush()
}

// reportWidth is how wide the summary is written, in characters.
const reportWidth = 110

// wrap breaks a text into lines of at most so many characters, between words.
func wrap(text string, width int) string {
	var out strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case column == 0:
		case column+1+n > width:
			out.WriteByte('\n')
			column = 0
		default:
			out.WriteByte(' ')
			column++
		}
		out.WriteString(word)
		column += n
	}
	return out.String()
}

// rows are the table: only what was reached.
func (r *Report) rows() (rows [][2]string) {
	row := func(reached bool, what, format string, args ...any) {
		if reached {
			rows = append(rows, [2]string{what, fmt.Sprintf(format, args...)})
		}
	}
	time := func(what string, ms float64) { row(ms > 0, what, "%s", words(ms)) }
	v, d := r.Visits, r.DNS
	row(true, "case", "%s", r.Case)
	row(len(r.Phases) > 0, "phases", "%s", phaseWords(r.Phases))
	row(r.Cause != "", "cause", "%s", r.Cause)
	for _, f := range r.Fixes {
		row(true, "fix "+f.ID, "%s %s", f.Change, f.Words)
	}
	for _, no := range r.Refusals {
		row(true, "refused by "+no.Rule, "%s", no.Reason)
	}
	time("outage seen after", r.OutageSeenMS)
	time("press → first changed DNS answer", r.PressToDNSMS)
	time("press → effect seen from outside", r.PressToDoneMS)
	row(r.PressToDNSMS > 0, "requests met by the standby", "%d", r.StandbyRequests)
	row(r.ReturnChecks.Needed > 0, "return checks", "%s", r.ReturnChecks)
	time("return pressed → first changed DNS answer", r.ReturnToDNSMS)
	time("checks passed → first changed DNS answer", r.BackToDNSMS)
	time("put back → first changed DNS answer", r.PutBackToDNSMS)
	row(v.Total() > 0, "visits", "%d: %d met main, %d the standby, %d nothing", v.Total(), v.Main, v.Standby, v.Errors)
	row(v.Total() > 0, "visits that met what they should not have", "%d", v.Unexpected)
	row(d.Asked > 0, "DNS answers", "%d: %d wrong, %d missing (%d asked twice)", d.Asked, d.Wrong, d.Missing, d.AskedAgain)
	row(r.TimelineEvents > 0, "events in the timeline", "%d", r.TimelineEvents)
	row(r.PostMortem != "", "post-mortem", "%s", near(r.PostMortem))
	return rows
}

// words writes milliseconds as a person would.
func words(ms float64) string {
	switch {
	case ms < 10:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.2f s", ms/1000)
}
