package incident

import (
	"encoding/json"
	"time"
)

// Command is what somebody wants. Each command is a value; Decide says what comes
// of it.
type Command interface {
	name() string // as in "can't ..."
	decide(d *draft) error
}

// Declare opens an incident.
type Declare struct {
	Title          string
	Symptom        string // nothing-loads, some-pages, one-thing, wrong-data, not-sure
	Noticed        string // monitor, visitor, staff, social
	FirstSymptomAt time.Time
	RecurrenceOf   string // an earlier incident
	Drill          bool
}

// PullLever pulls the lever that Facts.Lever describes. Without an open incident
// it declares one in the same breath.
type PullLever struct {
	PullID string
	Reason string // one sentence; passes soft rules
	Drill  bool
}

// PutBack takes one pull back, freely while the rules allow it (U1).
type PutBack struct {
	Lever  string
	Reason string
}

// Outcome records what was seen from outside after an act.
type Outcome struct {
	Pull   string
	Back   bool   // of a put-back
	Result Result // what it came to
	Detail string
	Seen   json.RawMessage
	TookMS int64

	GivenUp bool // there is no way back any more, because somebody gave it up; Back and Result don't count
}

// Result of an act.
type Result string

// The results of an act, as seen from outside.
const (
	Done    Result = "done"
	NotDone Result = "not_done" // the world is as before
	Unclear Result = "unclear"  // neither; a person must look
)

// Adopt takes a lever that is pulled already into the record: a local order made at
// answer, or a position found at start by a new store.
type Adopt struct {
	PullID string
	At     time.Time
	By     Actor
	Title  string // of the incident, if one has to be opened
	Detail string
}

// Propose records that a rule would pull the lever.
type Propose struct{ Why string }

// Drifted records that somebody else changed what a pull had ordered (U7).
type Drifted struct {
	Pull   string
	Back   bool // the world is as before the pull
	Detail string
	Seen   json.RawMessage
}

// Note writes down what somebody saw.
type Note struct{ Text string }

// DecideNoFailover goes on to the diagnosis without moving visitors (R4).
type DecideNoFailover struct{ Reason string }

// GoBack starts the return: sanity checks first, then everything is put back.
type GoBack struct {
	Because string // R22: what changed, in one sentence
	Reason  string // passes soft rules
}

// Sanity is one result of a sanity check during the return.
type Sanity struct {
	Check   string
	Verdict string // pass, fail, inconclusive
	Detail  string
}

// Advance goes on with the return before the checks are all in (R13).
type Advance struct{ Reason string }

// StepBack goes back to safety during the return or the watch; never refused (R16).
type StepBack struct{ PullIDs map[string]string } // new pull id by the id of the pull to repeat

// Relapsed says that a check fails again in the watch, the write-up, or while a share of
// the visitors is back.
type Relapsed struct{ Detail string }

// WatchOver ends the watch when its window has passed (R17).
type WatchOver struct{ Reason string }

// Cancel says that it was a false alarm (R5).
type Cancel struct{ Reason string }

// Close ends the incident (R18 to R21). The reason passes what is still open.
type Close struct{ Reason string }

// ParkLever leaves a lever pulled when the rest goes back, with somebody who looks
// after it and a date (R17).
type ParkLever struct {
	Lever  string
	Owner  string
	Until  time.Time
	Reason string
}

// UnparkLever lets the return take a parked lever back with the rest.
type UnparkLever struct{ Lever string }

// MakePermanent makes the place where visitors are the site's home: the old one does
// not come back.
type MakePermanent struct{ Reason string }

// Remind makes the clock of a held failover speak (U2).
type Remind struct{}

// ScoreDrill ends a rehearsal with its measures.
type ScoreDrill struct{ DrillData }

func (Declare) name() string          { return "declare" }
func (PullLever) name() string        { return "pull" }
func (PutBack) name() string          { return "put back" }
func (Outcome) name() string          { return "record" }
func (Adopt) name() string            { return "take over" }
func (Propose) name() string          { return "propose" }
func (Drifted) name() string          { return "record" }
func (Note) name() string             { return "note" }
func (DecideNoFailover) name() string { return "go on without failing over" }
func (GoBack) name() string           { return "go back" }
func (Sanity) name() string           { return "record" }
func (Advance) name() string          { return "advance" }
func (StepBack) name() string         { return "step back" }
func (Relapsed) name() string         { return "record" }
func (WatchOver) name() string        { return "end the watch" }
func (Cancel) name() string           { return "cancel" }
func (Close) name() string            { return "close" }
func (Remind) name() string           { return "remind" }
func (ScoreDrill) name() string       { return "score" }
func (ParkLever) name() string        { return "park a lever" }
func (UnparkLever) name() string      { return "unpark a lever" }
func (MakePermanent) name() string    { return "make it permanent" }

func (c Declare) decide(d *draft) error          { return d.declare(c) }
func (c PullLever) decide(d *draft) error        { return d.pull(c) }
func (c Adopt) decide(d *draft) error            { return d.adopt(c) }
func (c PutBack) decide(d *draft) error          { return d.putBack(c) }
func (c Outcome) decide(d *draft) error          { return d.outcome(c) }
func (c Propose) decide(d *draft) error          { return d.propose(c) }
func (c Drifted) decide(d *draft) error          { return d.drifted(c) }
func (c Note) decide(d *draft) error             { return d.note(c) }
func (c DecideNoFailover) decide(d *draft) error { return d.noFailover(c) }
func (c GoBack) decide(d *draft) error           { return d.goBack(c) }
func (c Sanity) decide(d *draft) error           { return d.sanity(c) }
func (c Advance) decide(d *draft) error          { return d.advance(c) }
func (c StepBack) decide(d *draft) error         { return d.stepBack(c) }
func (c Relapsed) decide(d *draft) error         { return d.relapsed(c) }
func (c WatchOver) decide(d *draft) error        { return d.watchOver(c) }
func (c Cancel) decide(d *draft) error           { return d.cancel(c) }
func (c Close) decide(d *draft) error            { return d.close(c) }
func (c ScoreDrill) decide(d *draft) error       { return d.score(c) }
func (c ParkLever) decide(d *draft) error        { return d.park(c) }
func (c UnparkLever) decide(d *draft) error      { return d.unpark(c) }
func (c MakePermanent) decide(d *draft) error    { return d.makePermanent(c) }
func (Remind) decide(d *draft) error             { return d.remind() }

// Facts are what Decide may know of the world. Whoever calls Decide gathers them
// just before; what is not known stays zero and counts as "can't tell".
type Facts struct {
	Actor      Actor
	IncidentID string // to use when the command declares one
	Site       string
	SiteTitle  string
	At         time.Time // when it happened; now when zero

	Lever *LeverFacts // of PullLever, Adopt and Propose

	Standby       string // verdict of the standby, now: pass, fail, inconclusive
	StandbyDetail string
	HomeSeen      string   // up, down, unknown: what the checks of the home origin come to
	Impact        *Impact  // measured so far: of Cancel
	Gates         []string // names of the gate checks
	Settings      Settings

	LastAuto time.Time // last automatic move of this site (U4, U5)
	AutoHeld bool      // a person aborted an automatic move (U3)

	Key       string            // idempotency key of the write
	Ended     bool              // the command is for an incident that has ended
	Parked    []Pull            // levers that an earlier incident left parked
	Place     string            // where visitors are ordered to be
	PlaceSeen string            // up, down, unknown: what the checks of that place come to
	Origin    bool              // that place is an origin, not the standby
	Checks    []string          // names of all checks
	Verdicts  map[string]string // of the checks at the real origin just now: of ProposeFix and ApplyFix
	Actions   []ActionFacts     // prepared acts of the site
	Approvers int               // other people who may approve a fix (R9)
}

// ActionFacts is a prepared act for a fix.
type ActionFacts struct {
	Name string
	Undo bool // how it is taken back is declared
}

// LeverFacts are what is known of the lever that is to be pulled.
type LeverFacts struct {
	Name       string          `json:"name"`
	Kind       string          `json:"kind"`
	Title      string          `json:"title"`
	Target     string          `json:"target"`
	From       string          `json:"from"`
	To         string          `json:"to"`
	FromRank   int             `json:"from_rank"`
	ToRank     int             `json:"to_rank"`
	ToStandby  bool            `json:"to_standby,omitempty"`
	ToSeen     string          `json:"to_seen,omitempty"` // up, down, unknown: the origin it leads to
	Reversible bool            `json:"reversible"`
	ArmedUntil time.Time       `json:"armed_until,omitzero"`
	Standby    string          `json:"standby,omitempty"`
	Shares     bool            `json:"shares,omitempty"` // it can go back by shares
	Plan       json.RawMessage `json:"-"`
}

// Settings are a site's waits and counts (U12).
type Settings struct {
	Passes   int
	Apart    time.Duration
	TakeBack time.Duration
	Watch    time.Duration
	Settle   time.Duration
	AutoGap  time.Duration
	Stages   []int         // per cent, ascending, of the return before everybody
	Hold     time.Duration // how long a share is watched before the next goes back

	Approval  time.Duration // how long another person is waited for (R9)
	Pause     time.Duration // how long one reads it again alone (R9)
	FixApart  time.Duration // two fixes closer together ask to stop (R11)
	FixPasses int           // passes in a row until a fix counts as worked
}
