package api

import (
	"lifeboat/internal/incident"
)

// SeverityBody says how bad it is.
type SeverityBody struct {
	Level string `json:"level" enum:"low,medium,high,critical"`
	Why   string `json:"why,omitempty" maxLength:"2000"`
}

// HandoverBody offers a role to somebody, with what they have to know.
type HandoverBody struct {
	Role   string `json:"role" enum:"lead,scribe,communication,expert"`
	To     string `json:"to" maxLength:"64" doc:"who takes over" example:"Grace"`
	Things string `json:"things" maxLength:"4000" doc:"how things are" example:"Visitors meet the status page. The pool of the shop runs dry; we don't know why."`
	Doing  string `json:"doing,omitempty" maxLength:"4000" doc:"what is being done, by whom, back when"`
	Needs  string `json:"needs,omitempty" maxLength:"4000" doc:"what is needed"`
}

// DecisionBody writes a choice down.
type DecisionBody struct {
	Question string   `json:"question" maxLength:"4000" example:"Do we wait for the provider?"`
	Options  []string `json:"options,omitempty" maxItems:"50"`
	Chosen   string   `json:"chosen" maxLength:"4000" example:"No, we move."`
	Reason   string   `json:"reason" maxLength:"4000" example:"They can't say when."`
}

// TextBody is what somebody wrote.
type TextBody struct {
	Text string `json:"text" maxLength:"16384"`
}

// UpdateBody tells people.
type UpdateBody struct {
	Audience string `json:"audience" enum:"public,staff,leaders" doc:"public is shown on the status page"`
	Text     string `json:"text" maxLength:"1500" example:"We know that the shop does not load. We have put a safe page up while we look into it."`
	NextIn   string `json:"next_in,omitempty" maxLength:"20" doc:"when the next message is promised, as a duration" example:"20m"`
	Over     bool   `json:"over,omitempty" doc:"it is over: no further message follows"`
}

func (b UpdateBody) check() error {
	_, err := span(b.NextIn, "next_in")
	return err
}

// SnoozeBody puts the next message off.
type SnoozeBody struct {
	By     string `json:"by" maxLength:"20" doc:"from now, as a duration" example:"15m"`
	Reason string `json:"reason,omitempty" maxLength:"2000"`
}

func (b SnoozeBody) check() error {
	_, err := span(b.By, "by")
	return err
}

func (a *api) peopleRoutes() {
	siteAct(a, asCommand("/sites/{site}/severity", "severity", "Say how bad it is", incident.SetSeverity{}), func(b SeverityBody) incident.Command {
		return incident.SetSeverity{Level: b.Level, Why: b.Why}
	})
	itemAct(a, asCommand("/sites/{site}/roles/{item}/take", "role-take", "Take a role, whoever has it: lead, scribe, communication or expert", incident.TakeRole{}), func(role string, _ *NothingBody) incident.Command {
		return incident.TakeRole{Role: role}
	})
	itemAct(a, asCommand("/sites/{site}/roles/{item}/release", "role-release", "Let a role go", incident.ReleaseRole{}), func(role string, _ *NothingBody) incident.Command {
		return incident.ReleaseRole{Role: role}
	})
	siteAct(a, asCommand("/sites/{site}/handovers", "handover-offer", "Offer a role to somebody, with a brief", incident.OfferHandover{}), func(b HandoverBody) incident.Command {
		return incident.OfferHandover{Role: b.Role, To: b.To, Brief: incident.Brief{Things: b.Things, Doing: b.Doing, Needs: b.Needs}}
	})
	itemAct(a, asCommand("/sites/{site}/handovers/{item}/accept", "handover-accept", "Take over: I have it", incident.AcceptHandover{}), func(id string, _ *NothingBody) incident.Command {
		return incident.AcceptHandover{Handover: id}
	})
	siteAct(a, asCommand("/sites/{site}/decisions", "decide", "Write a decision down", incident.Choose{}), func(b DecisionBody) incident.Command {
		return incident.Choose{Question: b.Question, Options: b.Options, Chosen: b.Chosen, Reason: b.Reason}
	})
	itemAct(a, asCommand("/sites/{site}/decisions/{item}/object", "object", "Object to a decision", incident.Object{}), func(id string, b TextBody) incident.Command {
		return incident.Object{Decision: id, Text: b.Text}
	})
	send := asCommand("/sites/{site}/updates", "update-send", "Tell people", incident.SendUpdate{})
	send.about = "A public message is on the status page at once. What goes out by channels is queued and never waited for."
	siteAct(a, send, func(b UpdateBody) incident.Command {
		return incident.SendUpdate{Audience: b.Audience, Text: b.Text, NextIn: spanOf(b.NextIn), Final: b.Over}
	})
	siteAct(a, asCommand("/sites/{site}/updates/snooze", "update-snooze", "Put the next promised message off", incident.SnoozeUpdate{}), func(b SnoozeBody) incident.Command {
		return incident.SnoozeUpdate{By: spanOf(b.By), Reason: b.Reason}
	})
}

// NothingBody is for an act whose path says it all.
type NothingBody struct{}
