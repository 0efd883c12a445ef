// Package probe holds what a check is and how its results are judged.
//
// It is pure: no clock, no I/O. Package prober asks; this package decides what
// the answers mean. Any package may import it; it imports nothing of ours but
// fault.
//
// Concurrency: all types are values.
package probe

import "time"

// Verdict is what one asking came to. There are three, because "we can't tell"
// must never be read as healthy or as broken.
type Verdict string

// The verdicts.
const (
	Pass         Verdict = "pass"
	Fail         Verdict = "fail"
	Inconclusive Verdict = "inconclusive"
)

// Kind of a check.
type Kind string

// The kinds of checks.
const (
	KindHTTP Kind = "http" // http or https, by the target's scheme
	KindTCP  Kind = "tcp"
)

// Check is one question asked again and again of a target.
type Check struct {
	Name      string        `json:"name"`
	Kind      Kind          `json:"kind"`
	Path      string        `json:"path,omitempty"`     // http: the path, "/" when empty
	Method    string        `json:"method,omitempty"`   // http: GET when empty
	Status    int           `json:"status,omitempty"`   // http: 200 when 0
	Contains  string        `json:"contains,omitempty"` // http: text that the body must hold
	Header    string        `json:"header,omitempty"`   // http: "Name: value" that the answer must carry
	Port      int           `json:"port,omitempty"`     // tcp: port, the target's when 0
	Every     time.Duration `json:"every"`
	Timeout   time.Duration `json:"timeout"`
	DownAfter int           `json:"down_after"`
	UpAfter   int           `json:"up_after"`
	Gate      bool          `json:"gate"` // must pass before visitors return
}

// Target is who is asked: an address, spoken to with the real host name and SNI.
type Target struct {
	Site    string `json:"site"`
	Place   string `json:"place"`   // an origin's name, or "standby"
	Address string `json:"address"` // IP address, no port
	Port    int    `json:"port"`
	Scheme  string `json:"scheme"` // http or https
	Host    string `json:"host"`   // the site's name
}

// Result is one asking of one check at one target.
type Result struct {
	At      time.Time     `json:"at"` // when the asking began
	Took    time.Duration `json:"took"`
	Verdict Verdict       `json:"verdict"`
	Detail  string        `json:"detail"`           // one line for people, at most 300 bytes
	Status  int           `json:"status,omitempty"` // http status where there was one
}

// Seen is what the results so far come to.
type Seen string

// What can be seen of a target.
const (
	Up      Seen = "up"
	Down    Seen = "down"
	Unknown Seen = "unknown"
)

// Transition is a change in what is seen, as reported to control.
type Transition struct {
	Target Target    `json:"target"`
	Check  string    `json:"check"`
	From   Seen      `json:"from"`
	To     Seen      `json:"to"`
	At     time.Time `json:"at"`
	Detail string    `json:"detail"`
}
