package demo

import (
	"fmt"
	"io"
	"sort"
	"strings"
	"text/tabwriter"

	"lifeboat/internal/demo/shop"
)

// Report is what a play measured. Times are in milliseconds.
type Report struct {
	Case       shop.Harm `json:"case"`
	OK         bool      `json:"ok"`
	FailedStep string    `json:"failed_step,omitempty"`
	Failure    string    `json:"failure,omitempty"` // what was seen where it failed

	ReadyMS         float64 `json:"ready_ms"`         // lifeboat's processes started → ready
	OutageSeenMS    float64 `json:"outage_seen_ms"`   // shop broken → seen down, by the API
	PressToDNSMS    float64 `json:"press_to_dns_ms"`  // press sent → first changed answer in hand
	PressToDoneMS   float64 `json:"press_to_done_ms"` // press sent → told that its effect was seen from outside
	StandbyRequests int     `json:"standby_requests"` // visits that the standby met
	ReturnChecks    Checks  `json:"return_checks"`    // what had to pass before visitors went back
	ReturnToDNSMS   float64 `json:"return_to_dns_ms"` // return pressed → first changed answer in hand, all checks in between
	BackToDNSMS     float64 `json:"back_to_dns_ms"`   // last check passed → first changed answer in hand
	TimelineEvents  int     `json:"timeline_events"`  // of the incident, its chain of hashes intact
	Visits          Visits  `json:"visits"`
	DNS             Queries `json:"dns"`
	Drills          []drill `json:"drills"`
	Steps           []Step  `json:"steps"`
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
	title := "There and back."
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

// rows are the table: only what was reached.
func (r *Report) rows() (rows [][2]string) {
	row := func(reached bool, what, format string, args ...any) {
		if reached {
			rows = append(rows, [2]string{what, fmt.Sprintf(format, args...)})
		}
	}
	time := func(what string, ms float64) { row(ms > 0, what, "%s", words(ms)) }
	v, d := r.Visits, r.DNS
	row(true, "the shop was broken by", "%s", r.Case)
	time("outage seen after", r.OutageSeenMS)
	time("press → first changed DNS answer", r.PressToDNSMS)
	time("press → effect seen from outside", r.PressToDoneMS)
	row(r.PressToDNSMS > 0, "requests met by the standby", "%d", r.StandbyRequests)
	row(r.ReturnChecks.Needed > 0, "return checks", "%s", r.ReturnChecks)
	time("return pressed → first changed DNS answer", r.ReturnToDNSMS)
	time("checks passed → first changed DNS answer", r.BackToDNSMS)
	row(v.Total() > 0, "visits", "%d: %d met main, %d the standby, %d nothing", v.Total(), v.Main, v.Standby, v.Errors)
	row(v.Total() > 0, "visits that met what they should not have", "%d", v.Unexpected)
	row(d.Asked > 0, "DNS answers", "%d: %d wrong, %d missing (%d asked twice)", d.Asked, d.Wrong, d.Missing, d.AskedAgain)
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
