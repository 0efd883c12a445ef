// Package incident is the heart: one crisis from declared to closed, as a list of
// events, and the rules about what may be done next.
//
// State is a fold over events (Apply); a command becomes events or a refusal
// (Decide). Both are plain functions over values: no clock, no I/O, no random
// numbers. What the world looks like comes in as Facts, and the facts that a rule
// used are copied into the events, so that a timeline can be read years later.
//
// It is not the engine: it neither stores nor acts. It imports of ours
// only fault and role. Each part of the loop has a file of its own with its values, its
// commands, what Decide makes of them and how their events fold: contain.go,
// evidence.go, cause.go, fix.go, goback.go, people.go, writeup.go.
//
// Rule numbers (R1 ... R22, U1 ... U12) are listed in rules.go and are used in
// refusals, in the timeline and in tests.
//
// Concurrency: values; Apply never changes its receiver.
package incident

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// Phase is where an incident is.
type Phase string

// The phases. The zero value is "not declared yet".
const (
	None      Phase = ""
	FailOver  Phase = "fail_over"
	Diagnose  Phase = "diagnose"
	Fixing    Phase = "fix"
	FailBack  Phase = "fail_back"
	Watch     Phase = "watch"
	Review    Phase = "review"
	Closed    Phase = "closed"
	Cancelled Phase = "cancelled"
)

// Open says whether the incident still holds its site.
func (p Phase) Open() bool { return p != None && p != Closed && p != Cancelled }

// known says whether this version has the phase.
func (p Phase) known() bool {
	switch p {
	case FailOver, Diagnose, Fixing, FailBack, Watch, Review, Closed, Cancelled:
		return true
	}
	return false
}

// Words are what people call the phase.
func (p Phase) Words() string {
	switch p {
	case FailOver:
		return "step 1, getting visitors to safety"
	case Diagnose:
		return "step 2, finding out what happened"
	case Fixing:
		return "step 3, the fix"
	case FailBack:
		return "step 4, going back"
	case Watch:
		return "the watch after the return"
	case Review:
		return "the write-up"
	case Closed:
		return "its end: it is closed"
	case Cancelled:
		return "its end: it was a false alarm"
	}
	return "its beginning"
}

// Incident is what the events so far come to.
type Incident struct {
	ID       string    `json:"id"`
	Site     string    `json:"site"`
	Title    string    `json:"title"`
	Symptom  string    `json:"symptom,omitempty"`
	Noticed  string    `json:"how_noticed,omitempty"`
	Severity string    `json:"severity,omitempty"` // low, medium, high, critical
	Drill    bool      `json:"drill,omitempty"`
	Phase    Phase     `json:"phase"`
	Since    time.Time `json:"since"` // of the phase
	NewsAt   time.Time `json:"news_at,omitzero"`
	Links    []Link    `json:"links,omitempty"` // to other incidents

	DeclaredAt     time.Time `json:"declared_at"`
	FirstSymptomAt time.Time `json:"first_symptom_at,omitzero"`
	EndedAt        time.Time `json:"ended_at,omitzero"`

	Pulls      []Pull     `json:"pulls,omitempty"`
	Return     *Return    `json:"return,omitempty"`
	WatchUntil time.Time  `json:"watch_until,omitzero"`
	RelapsedAt time.Time  `json:"relapsed_at,omitzero"`  // it was over, and came again
	NoFailover string     `json:"no_failover,omitempty"` // R4: why nothing was contained
	Proposed   string     `json:"proposed,omitempty"`    // lever that a rule proposes
	Overrides  []Override `json:"overrides,omitempty"`
	Reminders  int        `json:"reminders,omitempty"` // U2: how often the clock has spoken
	AutoHeld   bool       `json:"auto_held,omitempty"` // U3

	Evidence  []Evidence `json:"evidence,omitempty"`
	Changes   []Change   `json:"changes,omitempty"` // newest first
	Sights    []Sight    `json:"sights,omitempty"`  // changes of what the checks see, oldest first
	Impact    *Impact    `json:"impact,omitempty"`
	ImpactDue bool       `json:"impact_due,omitempty"` // the phase is one that asks for it, and it was not measured since
	Causes    []Cause    `json:"causes,omitempty"`
	Diagnosis *Diagnosis `json:"diagnosis,omitempty"`
	Fixes     []Fix      `json:"fixes,omitempty"`

	Roles     map[string]string `json:"roles,omitempty"` // who holds it, by role
	Handovers []Handover        `json:"handovers,omitempty"`
	Decisions []Decision        `json:"decisions,omitempty"`
	Updates   []Update          `json:"updates,omitempty"`
	UpdateDue time.Time         `json:"update_due,omitzero"` // when the next was promised
	UpdateRem bool              `json:"update_reminded,omitempty"`

	Promised map[string]time.Time `json:"promised,omitempty"` // when news is owed, by audience

	FollowUps []FollowUp `json:"follow_ups,omitempty"`
	WriteUp   WriteUp    `json:"write_up,omitzero"`

	Keys []string `json:"-"` // idempotency keys of the newest writes

	Seq  uint64 `json:"seq"`  // of the last event
	Hash string `json:"hash"` // of the last event
}

// PullState is where a pull is.
type PullState string

// The states of a pull.
const (
	Applying PullState = "applying"
	Active   PullState = "active"
	Undoing  PullState = "undoing"
	Undone   PullState = "undone"
	Failed   PullState = "failed"
	Settled  PullState = "permanent" // where it led is home now
	Stuck    PullState = "unknown"   // neither before nor after: a person must look
)

// Pull is a lever that was pulled in this incident.
type Pull struct {
	ID      string          `json:"id"`
	Lever   string          `json:"lever"`
	Kind    string          `json:"kind"`
	Title   string          `json:"title"`
	Target  string          `json:"target"`
	From    string          `json:"from"`
	To      string          `json:"to"`
	State   PullState       `json:"state"`
	Token   uint64          `json:"token"` // sequence number of the intent: the fencing token within the incident
	By      Actor           `json:"by"`
	At      time.Time       `json:"at"`               // pressed
	SeenAt  time.Time       `json:"seen_at,omitzero"` // effect seen from outside, the last time that it was doubted
	FirstAt time.Time       `json:"first_seen_at,omitzero"`
	BackAt  time.Time       `json:"back_at,omitzero"` // put back, seen from outside
	GoneAt  time.Time       `json:"gone_at,omitzero"` // somebody else was seen to have put it back
	Detail  string          `json:"detail,omitempty"`
	Drifted bool            `json:"drifted,omitempty"` // U7
	Parked  *Parking        `json:"parked,omitempty"`  // R17: it stays pulled past the return
	Carried bool            `json:"carried,omitempty"` // an earlier incident left it parked
	Plan    json.RawMessage `json:"plan,omitempty"`

	Shares      bool `json:"shares,omitempty"`       // it can go back by shares
	Share       int  `json:"share,omitempty"`        // per cent of its visitors who are back while it holds
	Wanted      int  `json:"share_wanted,omitempty"` // per cent, as ordered last; another than Share: on its way
	ShareFailed bool `json:"share_failed,omitempty"` // how many are back is not certain
}

// Parking says who looks after a lever that stays pulled when the rest goes back.
type Parking struct {
	Owner  string    `json:"owner"`
	Until  time.Time `json:"until"`
	Reason string    `json:"reason"`
	By     Actor     `json:"by"`
	At     time.Time `json:"at"`
}

// Holds says whether the pull keeps visitors where it put them, or may.
func (p Pull) Holds() bool { return p.State != Undone && p.State != Failed && p.State != Settled }

// Return is the way back under way.
type Return struct {
	Because  string         `json:"because"` // R22: what changed, in a sentence
	At       time.Time      `json:"at"`
	By       Actor          `json:"by"`
	Needed   int            `json:"needed"`  // passes in a row, a check
	Streak   map[string]int `json:"streak"`  // by check
	Failing  map[string]int `json:"failing"` // fails in a row, by check
	Held     string         `json:"held,omitempty"`
	LastAt   time.Time      `json:"last_at,omitzero"` // of the last sanity result
	Passed   bool           `json:"passed"`
	Undo     []string       `json:"undo,omitempty"` // pulls that this return takes back, newest first
	Complete bool           `json:"complete,omitempty"`

	Stages    []int     `json:"stages,omitempty"`    // per cent, ascending, before everybody; none: all at once
	Stage     int       `json:"stage,omitempty"`     // how many of them are passed
	Share     int       `json:"share,omitempty"`     // per cent of visitors who are back
	HoldUntil time.Time `json:"hold_until,omitzero"` // the stage under way is not passed before
}

// Override is a guard rail passed by a named person.
type Override struct {
	Rule   string    `json:"rule"`
	Reason string    `json:"reason"`
	By     Actor     `json:"by"`
	At     time.Time `json:"at"`
}

// Actor is who did something.
type Actor struct {
	Kind string `json:"kind"` // person, rule, collector, api, system
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
	Via  string `json:"via,omitempty"`  // web, cli, api, socket
	Role string `json:"role,omitempty"` // what a person may do: viewer ... admin
}

// Automatic says that no person pressed.
func (a Actor) Automatic() bool {
	return a.Kind == "rule" || a.Kind == "system" || a.Kind == "collector"
}

// Pull gives the pull with an id.
func (in Incident) Pull(id string) (Pull, bool) {
	for _, p := range in.Pulls {
		if p.ID == id {
			return p, true
		}
	}
	return Pull{}, false
}

// Holding gives the pulls that hold, oldest first.
func (in Incident) Holding() []Pull {
	var out []Pull
	for _, p := range in.Pulls {
		if p.Holds() {
			out = append(out, p)
		}
	}
	return out
}

// Loose gives the pulls that hold and are not parked, oldest first: those which the
// return takes back.
func (in Incident) Loose() []Pull {
	return slices.DeleteFunc(in.Holding(), func(p Pull) bool { return p.Parked != nil })
}

// ParkedPulls gives the pulls that stay when the rest goes back.
func (in Incident) ParkedPulls() []Pull {
	return slices.DeleteFunc(in.Holding(), func(p Pull) bool { return p.Parked == nil })
}

// Contained says whether a pull is active with its effect seen from outside.
func (in Incident) Contained() bool {
	for _, p := range in.Pulls {
		if p.State == Active && !p.SeenAt.IsZero() && !p.Carried {
			return true
		}
	}
	return false
}

// own gives the pulls of this incident that hold, parked ones too.
func (in Incident) own() []Pull {
	return slices.DeleteFunc(in.Holding(), func(p Pull) bool { return p.Carried })
}

// Lock says who holds the one lock of a site (R10), or "".
func (in Incident) Lock() string {
	for _, p := range in.Pulls {
		if p.State == Undoing {
			return "taking back " + p.Lever
		}
	}
	if f, found := in.FixInFlight(); found {
		return "the fix " + f.ID
	}
	if in.Phase == FailBack {
		return "the return"
	}
	return ""
}

// OnTop gives the newest pull that holds on the target.
func (in Incident) OnTop(target string) (Pull, bool) {
	for i := len(in.Pulls) - 1; i >= 0; i-- {
		if p := in.Pulls[i]; p.Target == target && p.Holds() {
			return p, true
		}
	}
	return Pull{}, false
}

// Wrote says whether a write with the idempotency key is in the incident already.
func (in Incident) Wrote(key string) bool { return slices.Contains(in.Keys, key) }

// clone makes a copy that shares nothing that Apply changes.
func (in Incident) clone() Incident {
	in.Pulls = slices.Clone(in.Pulls)
	in.Overrides = slices.Clone(in.Overrides)
	in.Links = slices.Clone(in.Links)
	in.Evidence = slices.Clone(in.Evidence)
	in.Changes = slices.Clone(in.Changes)
	in.Sights = slices.Clone(in.Sights)
	in.Handovers = slices.Clone(in.Handovers)
	in.Decisions = slices.Clone(in.Decisions)
	in.Updates = slices.Clone(in.Updates)
	in.FollowUps = slices.Clone(in.FollowUps)
	in.Keys = slices.Clone(in.Keys)
	in.Causes = slices.Clone(in.Causes)
	in.Fixes = slices.Clone(in.Fixes)
	in.Roles, in.Promised = maps.Clone(in.Roles), maps.Clone(in.Promised)
	in.WriteUp = in.WriteUp.clone()
	if in.Return != nil {
		r := *in.Return
		r.Streak, r.Failing = map[string]int{}, map[string]int{}
		maps.Copy(r.Streak, in.Return.Streak)
		maps.Copy(r.Failing, in.Return.Failing)
		in.Return = &r
	}
	return in
}
