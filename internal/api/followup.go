package api

import (
	"time"

	"lifeboat/internal/incident"
)

// FollowUpBody is a change owed after an incident. In a change of one, what is left out
// stays as it is.
type FollowUpBody struct {
	What     string    `json:"what,omitempty" maxLength:"4000" example:"The pool's size is an alarm."`
	Kind     string    `json:"kind,omitempty" enum:"commitment,idea" doc:"commitment unless said"`
	Class    string    `json:"class,omitempty" enum:"prevent,detect,contain,return_faster,process" doc:"prevent unless said"`
	Owner    string    `json:"owner,omitempty" maxLength:"300" example:"Ada"`
	Due      time.Time `json:"due,omitzero"`
	DoneWhen string    `json:"done_when,omitempty" maxLength:"4000" doc:"how anybody can see that it is done" example:"The alarm fires in a drill."`
	Tracker  string    `json:"tracker,omitempty" maxLength:"300" doc:"where it is followed"`
}

func (b FollowUpBody) followUp(id string) incident.FollowUp {
	return incident.FollowUp{ID: id, Kind: b.Kind, Class: b.Class, What: b.What, Owner: b.Owner, Due: b.Due, DoneWhen: b.DoneWhen, Tracker: b.Tracker}
}

func (a *api) followUpRoutes() {
	incidentAct(a, asCommand("/incidents/{id}/follow-ups", "follow-up-add", "Write down what is owed", incident.AddFollowUp{}), func(b FollowUpBody) incident.Command {
		return incident.AddFollowUp{FollowUp: b.followUp("")}
	})
	incidentItemAct(a, asCommand("/incidents/{id}/follow-ups/{item}/change", "follow-up-change", "Change what is owed: owner, date, done-when or text", incident.ChangeFollowUp{}), func(id string, b FollowUpBody) incident.Command {
		return incident.ChangeFollowUp{FollowUp: b.followUp(id)}
	})
	for _, r := range []struct{ state, summary string }{
		{"done", "Say that it is done"}, {"verified", "Say that somebody has looked and it is so"}, {"declined", "Say that it will not be done, and why"},
	} {
		op := asCommand("/incidents/{id}/follow-ups/{item}/"+r.state, "follow-up-"+r.state, r.summary, incident.EndFollowUp{})
		incidentItemAct(a, op, func(id string, b *ReasonBody) incident.Command {
			return incident.EndFollowUp{ID: id, State: r.state, Reason: b.reason()}
		})
	}
}
