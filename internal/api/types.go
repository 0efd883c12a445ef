package api

import (
	"lifeboat/internal/account"
	"lifeboat/internal/engine"
	"lifeboat/internal/feature"
	"lifeboat/internal/incident"
	"lifeboat/internal/outbox"
	"lifeboat/internal/postmortem"
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
	Evidence    = incident.Evidence
	Token       = token.Identity
	Account     = account.Account
	Session     = account.Session
	Message     = outbox.Message
	WriteUp     = postmortem.Document
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
	Levers  []LeverView    `json:"levers" doc:"that close it, with when they were rehearsed last"`
}

// Features lists all flags.
type Features struct {
	Features []Feature `json:"features"`
}
