package board

import (
	"encoding/json"
	"time"
)

// DaysShown is how many days a bar has.
const DaysShown = 90

// Tally is how many seconds of a day a component was in each state.
type Tally [6]int

// place of a state in a Tally.
var tallied = map[State]int{Operational: 0, Degraded: 1, Partial: 2, Major: 3, Maintained: 4, Unknown: 5}

// Of gives the seconds in a state.
func (t Tally) Of(s State) int { return t[tallied[s]] }

// Add counts seconds in a state.
func (t *Tally) Add(s State, seconds int) {
	if i, known := tallied[s]; known && seconds > 0 {
		t[i] += seconds
	}
}

// Known are the seconds of which something is known.
func (t Tally) Known() int { return t[0] + t[1] + t[2] + t[3] + t[4] }

// Down are the seconds of an outage, partial or not.
func (t Tally) Down() int { return t[2] + t[3] }

// Worst is the worst state of the day of which there were enough seconds to be seen by
// people (30), Unknown when nothing is known.
func (t Tally) Worst() State {
	const enough = 30
	for _, s := range []State{Major, Partial, Degraded} {
		if t.Of(s) >= enough {
			return s
		}
	}
	switch {
	case t.Known() == 0:
		return Unknown
	case t.Of(Maintained) >= enough:
		return Maintained
	}
	return Operational
}

// Plus is the sum of two tallies.
func (t Tally) Plus(o Tally) Tally {
	for i := range t {
		t[i] += o[i]
	}
	return t
}

// MarshalJSON leaves the zeros at the end out.
func (t Tally) MarshalJSON() ([]byte, error) {
	n := len(t)
	for n > 0 && t[n-1] == 0 {
		n--
	}
	return json.Marshal(t[:n])
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (t *Tally) UnmarshalJSON(b []byte) error {
	var list []int
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	*t = Tally{}
	for i, n := range list {
		if i < len(t) {
			t[i] = max(0, n)
		}
	}
	return nil
}

// Day is one day of a component.
type Day struct {
	Date  string `json:"d"` // 2026-11-22, in the page's time zone
	Tally Tally  `json:"s"`
}

// Point is how long a component's checks took, over a while.
type Point struct {
	At   time.Time `json:"t"`           // the while's beginning
	Mean int       `json:"m"`           // milliseconds, of the passes
	Most int       `json:"x,omitempty"` // the slowest of them
}

// Past is what was measured of a component.
type Past struct {
	Days  []Day   `json:"days,omitempty"`  // oldest first; without those of which nothing is known
	Times []Point `json:"times,omitempty"` // the last day's, oldest first
}

// History is what was measured before now, by component.
type History map[string]Past

// Uptime is the share of known time that was no outage, in hundredths of a per cent,
// rounded down so that 10000 means that there was none; -1 when nothing is known.
func Uptime(days []Day) int {
	known, down := 0, 0
	for _, d := range days {
		known, down = known+d.Tally.Known(), down+d.Tally.Down()
	}
	if known == 0 {
		return -1
	}
	return 10000 * (known - down) / known
}
