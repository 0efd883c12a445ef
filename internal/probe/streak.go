package probe

import "time"

// Streak counts passes in a row. It is stricter than a Judge: whatever is not a pass
// takes it back to nothing. The sanity checks of a return (rule R13) are counted by
// package incident.
type Streak struct {
	Passes int       `json:"passes"`
	Hold   bool      `json:"hold"`          // the newest asking was inconclusive: go neither forward nor back
	Last   time.Time `json:"last,omitzero"` // when the newest counted asking began
}

// Next is the streak after one more result. A pass that began less than apart
// after the last counted one is not counted and breaks nothing; with apart 0 every
// pass counts.
func (s Streak) Next(r Result, apart time.Duration) Streak {
	switch r.Verdict {
	case Pass:
		return s.pass(r.At, apart)
	case Fail:
		return Streak{}
	default:
		return Streak{Hold: true}
	}
}

func (s Streak) pass(at time.Time, apart time.Duration) Streak {
	if s.Passes == 0 {
		return Streak{Passes: 1, Last: at}
	}
	gap := at.Sub(s.Last)
	switch {
	case apart <= 0, gap >= apart:
		s.Passes, s.Last = s.Passes+1, at
	case gap < 0: // the clock was set back: measure from here, else nothing would count until it has caught up
		s.Last = at
	}
	return s
}
