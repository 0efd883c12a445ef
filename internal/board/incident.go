package board

import (
	"cmp"
	"slices"
	"time"
)

// Step is how far an incident or a maintenance is.
type Step string

// The steps of an incident, in their order, and those of a maintenance.
const (
	Investigating Step = "investigating"
	Identified    Step = "identified"
	Monitoring    Step = "monitoring"
	Resolved      Step = "resolved"
	Postmortem    Step = "postmortem" // resolved, and what happened is written up

	Scheduled  Step = "scheduled"
	InProgress Step = "in_progress"
	Verifying  Step = "verifying"
	Completed  Step = "completed"
)

// Over says whether nothing more is going on.
func (s Step) Over() bool { return s == Resolved || s == Postmortem || s == Completed }

// IncidentSteps are those that an update of an incident can have.
func IncidentSteps() []Step { return []Step{Investigating, Identified, Monitoring, Resolved} }

// MaintenanceSteps are those that an update of a maintenance can have.
func MaintenanceSteps() []Step { return []Step{Scheduled, InProgress, Verifying, Completed} }

// Incident is a public one: what visitors are told of something that went wrong.
type Incident struct {
	ID         string    `json:"id"` // of its page; never a number
	Title      Text      `json:"title"`
	Step       Step      `json:"step"`
	Impact     Impact    `json:"impact"`
	StartedAt  time.Time `json:"started_at"` // when it began, which may be before anybody told
	CreatedAt  time.Time `json:"created_at"`
	UpdatedAt  time.Time `json:"updated_at"`
	Monitoring time.Time `json:"monitoring_at,omitzero"`
	ResolvedAt time.Time `json:"resolved_at,omitzero"`
	NextDue    time.Time `json:"next_due,omitzero"` // when the next news was promised for
	Updates    []Update  `json:"updates"`           // oldest first
	Story      *Story    `json:"story,omitempty"`   // the post-mortem, once it is published
	Crew       string    `json:"crew,omitempty"`    // the crew's incident that it tells of, if there is one
	Site       string    `json:"site,omitempty"`    // of the crew's incident
	Components []string  `json:"components"`        // that it touched so far, in order of first mention
	Given      Impact    `json:"given,omitempty"`   // the impact that a person gave; "": it follows from the components
	By         string    `json:"by,omitempty"`      // for the crew
}

// Update is one message of an incident or a maintenance.
type Update struct {
	ID       string     `json:"id"`
	Step     Step       `json:"step"`
	Text     Text       `json:"text"` // plain; an empty line parts paragraphs
	At       time.Time  `json:"at"`
	NextDue  time.Time  `json:"next_due,omitzero"`
	Affected []Affected `json:"affected,omitempty"`
	Silent   bool       `json:"silent,omitempty"` // subscribers are not told
	By       string     `json:"by,omitempty"`     // for the crew
}

// Affected is a component whose state an update changed.
type Affected struct {
	Component string `json:"component"`
	Old       State  `json:"old"`
	New       State  `json:"new"`
}

// Story is a published post-mortem: what happened, for the public.
type Story struct {
	Text Text      `json:"text"` // plain; an empty line parts paragraphs; a line that begins with "# " is a heading
	At   time.Time `json:"at"`
}

// Open says whether it is still going on.
func (in Incident) Open() bool { return !in.Step.Over() }

// Says is the state that the incident gives a component now, "" for none: what its
// newest update that names the component said, while it is open.
func (in Incident) Says(component string) State {
	if !in.Open() {
		return ""
	}
	return said(in.Updates, component)
}

// Touches says whether one of the components was ever named.
func (in Incident) Touches(components []string) bool { return touches(in.Components, components) }

func said(updates []Update, component string) State {
	for _, u := range slices.Backward(updates) {
		for _, a := range u.Affected {
			if a.Component == component {
				return a.New
			}
		}
	}
	return ""
}

func touches(named, components []string) bool {
	return slices.ContainsFunc(named, func(c string) bool { return slices.Contains(components, c) })
}

// ImpactOf is the impact that component states amount to.
func ImpactOf(states ...State) Impact {
	worst := Operational
	for _, s := range states {
		if s != Maintained && s != Unknown {
			worst = Worse(worst, s)
		}
	}
	switch worst {
	case Degraded:
		return ImpactMinor
	case Partial:
		return ImpactMajor
	case Major:
		return ImpactCritical
	}
	return ImpactNone
}

// Maintenance is work that was announced.
type Maintenance struct {
	ID         string    `json:"id"`
	Title      Text      `json:"title"`
	From       time.Time `json:"from"`
	Until      time.Time `json:"until"`
	Step       Step      `json:"step"`               // as last said; At counts the clock in
	Silent     bool      `json:"silent,omitempty"`   // subscribers were told nothing of it yet
	ByHand     bool      `json:"by_hand,omitempty"`  // it begins and ends when a person says so, not by the clock
	Rule       string    `json:"rule,omitempty"`     // of the recurring one that it is an occurrence of
	Cancelled  bool      `json:"cancelled,omitzero"` // an occurrence that was taken back: kept, so that its rule does not announce it again
	Components []string  `json:"components"`
	CreatedAt  time.Time `json:"created_at"`
	UpdatedAt  time.Time `json:"updated_at"`
	StartedAt  time.Time `json:"started_at,omitzero"`
	EndedAt    time.Time `json:"ended_at,omitzero"`
	Updates    []Update  `json:"updates"` // oldest first
	By         string    `json:"by,omitempty"`
}

// At is the maintenance as it is now: one that goes by the clock has begun and ended as
// announced. Both times that it tells are then those announced.
func (m Maintenance) At(now time.Time) Maintenance {
	if m.ByHand || m.Step.Over() {
		return m
	}
	if m.Step == Scheduled && !now.Before(m.From) {
		m.Step, m.StartedAt, m.UpdatedAt = InProgress, m.From, latest(m.UpdatedAt, m.From)
	}
	if m.Step != Scheduled && !now.Before(m.Until) {
		m.Step, m.EndedAt, m.UpdatedAt = Completed, m.Until, latest(m.UpdatedAt, m.Until)
	}
	return m
}

// Active says whether work is going on. Call it on what At gave.
func (m Maintenance) Active() bool { return m.Step == InProgress || m.Step == Verifying }

// Touches says whether one of the components is worked on.
func (m Maintenance) Touches(components []string) bool { return touches(m.Components, components) }

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// byNewest orders incidents: open ones first, then the newest.
func byNewest(a, b Incident) int {
	if a.Open() != b.Open() {
		if a.Open() {
			return -1
		}
		return 1
	}
	return cmp.Or(b.StartedAt.Compare(a.StartedAt), cmp.Compare(b.ID, a.ID))
}
