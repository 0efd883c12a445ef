package api

import (
	"time"

	"lifeboat/internal/engine"
	"lifeboat/internal/feature"
	"lifeboat/internal/incident"
	"lifeboat/internal/token"
)

// What the API speaks of, for its clients.
type (
	Overview    = engine.Overview
	SiteView    = engine.SiteView
	PlaceView   = engine.PlaceView
	LeverView   = engine.LeverView
	DrillRecord = engine.DrillRecord
	Result      = engine.Result
	Head        = engine.Head
	Finding     = engine.Finding
	Severity    = engine.Severity
	Incident    = incident.Incident
	Event       = incident.Event
	Token       = token.Identity
)

// The severities of a Finding.
const (
	SeverityProblem = engine.SeverityProblem
	SeverityWarning = engine.SeverityWarning
	SeverityOK      = engine.SeverityOK
)

// Levers is the whole card.
type Levers struct {
	Levers []LeverView `json:"levers"`
}

// Findings is what a look at the whole found, problems first.
type Findings struct {
	Findings []Finding `json:"findings"`
}

// Incidents lists all incidents, oldest first.
type Incidents struct {
	Incidents []Head `json:"incidents"`
}

// Timeline is an incident's events in order.
type Timeline struct {
	Incident string  `json:"incident"`
	Events   []Event `json:"events"`
	Intact   bool    `json:"intact" doc:"the chain of hashes holds: nothing was changed after it was written"`
	Broken   string  `json:"broken,omitempty" doc:"where it does not"`
}

// Feature is a flag and what is ordered for it.
type Feature struct {
	feature.Flag
	Ordered *feature.Order `json:"ordered,omitempty"`
}

// Features lists all flags.
type Features struct {
	Features []Feature `json:"features"`
}

// TokenList lists who has a token.
type TokenList struct {
	Tokens []Token `json:"tokens"`
}

// NewToken is a token with its text, which is told once.
type NewToken struct {
	Token
	Text string `json:"token" doc:"the token itself; it is not kept and can't be shown again"`
}

// DeclareBody says that something is wrong.
type DeclareBody struct {
	Title          string    `json:"title,omitempty" maxLength:"200" doc:"what people will call it"`
	Symptom        string    `json:"symptom,omitempty" enum:"nothing-loads,some-pages,one-thing,wrong-data,not-sure"`
	Noticed        string    `json:"how_noticed,omitempty" enum:"monitor,visitor,staff,social"`
	FirstSymptomAt time.Time `json:"first_symptom_at,omitzero" doc:"when it began, as far as known"`
}

// ReasonBody carries the one sentence that passes a soft guard rail.
type ReasonBody struct {
	Reason string `json:"reason,omitempty" maxLength:"2000" doc:"one sentence: why, or why anyway"`
}

// NoteBody is what somebody saw.
type NoteBody struct {
	Text string `json:"text" maxLength:"16384"`
}

// GoBackBody starts the return.
type GoBackBody struct {
	Because string `json:"because,omitempty" maxLength:"2000" doc:"what changed, in one sentence"`
	Reason  string `json:"reason,omitempty" maxLength:"2000" doc:"why anyway, where a guard rail says no"`
}

// TokenBody names who a token is for.
type TokenBody struct {
	Name string `json:"name" maxLength:"64" doc:"as the timeline will show it"`
}
