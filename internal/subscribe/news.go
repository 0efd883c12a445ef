package subscribe

import (
	"time"

	"lifeboat/internal/board"
)

// Kind is what news tell of, as webhooks name it.
type Kind string

// The kinds of news.
const (
	IncidentOpened       Kind = "incident.opened"
	IncidentUpdated      Kind = "incident.updated"
	IncidentWritten      Kind = "incident.story_published"
	MaintenancePlanned   Kind = "maintenance.planned"
	MaintenanceUpdated   Kind = "maintenance.updated"
	MaintenanceMoved     Kind = "maintenance.moved"
	MaintenanceCancelled Kind = "maintenance.cancelled"
)

// News is one thing that subscribers are told: the page as it was then, not as it is when
// the message leaves.
type News struct {
	ID         string           `json:"id"` // the same at every try, so that whoever gets it twice can tell
	At         time.Time        `json:"at"`
	Kind       Kind             `json:"kind"`
	Subject    string           `json:"subject"` // id of the incident or maintenance
	Path       string           `json:"path"`    // of its page
	Title      board.Text       `json:"title"`
	Text       board.Text       `json:"text,omitempty"` // what was said; none where nothing was
	Step       board.Step       `json:"step"`
	Impact     board.Impact     `json:"impact"`
	Affected   []board.Affected `json:"affected,omitempty"`   // whose state changed with it
	Components []string         `json:"components,omitempty"` // that the incident or maintenance touches
	Site       string           `json:"site,omitempty"`       // of the crew's incident
	From       time.Time        `json:"from,omitzero"`        // of a maintenance
	Until      time.Time        `json:"until,omitzero"`
	Next       time.Time        `json:"next,omitzero"` // when the next news are promised for
}

// NewsOf is what subscribers are told of a change, if anything: nothing of what is
// corrected, of states that a person set, and of what was said with Silent.
func NewsOf(before board.Records, c board.Change) (News, bool) {
	n := News{ID: c.Event.ID, At: c.Event.At, Kind: Kind(c.Event.Type), Subject: c.Event.Subject}
	switch n.Kind {
	case IncidentOpened, IncidentUpdated, IncidentWritten:
		n.incident(*c.Incident)
	case MaintenancePlanned, MaintenanceUpdated:
		n.maintenance(*c.Maintenance)
	case "maintenance.edited":
		was := before.Maintenances[n.Subject]
		if was.From.Equal(c.Maintenance.From) && was.Until.Equal(c.Maintenance.Until) {
			return n, false
		}
		n.Kind = MaintenanceMoved
		n.maintenance(*c.Maintenance)
	case MaintenanceCancelled:
		n.maintenance(before.Maintenances[n.Subject])
	default:
		return n, false
	}
	return n, !c.Silent
}

func (n *News) incident(in board.Incident) {
	n.Path, n.Title, n.Step, n.Impact, n.Components, n.Site = board.PathIncident+in.ID, in.Title, in.Step, in.Impact, in.Components, in.Site
	n.say(in.Updates)
}

func (n *News) maintenance(m board.Maintenance) {
	n.Path, n.Title, n.Step, n.Impact = board.PathMaintenance+m.ID, m.Title, m.Step, board.ImpactMaintenance
	n.Components, n.From, n.Until = m.Components, m.From, m.Until
	n.say(m.Updates)
}

// say takes what was said with the change, if something was.
func (n *News) say(updates []board.Update) {
	if len(updates) == 0 || !updates[len(updates)-1].At.Equal(n.At) {
		return
	}
	u := updates[len(updates)-1]
	n.Text, n.Step, n.Affected, n.Next = u.Text, u.Step, u.Affected, u.NextDue
}
