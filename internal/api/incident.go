package api

import (
	"context"

	"lifeboat/internal/incident"
)

// CorrectBody adds a correction to an event, which stays as it is.
type CorrectBody struct {
	Event string `json:"event" maxLength:"40" doc:"the id of the event"`
	Text  string `json:"text" maxLength:"4000" example:"It was 09:12, not 09:21."`
}

// LinkBody ties an incident to another one.
type LinkBody struct {
	Incident string `json:"incident" maxLength:"40" doc:"the other incident's id"`
	Kind     string `json:"kind,omitempty" enum:"related,recurrence_of" doc:"related unless said"`
}

func (a *api) incidentRoutes() {
	route(a, get("/incidents", "incidents", "All incidents, oldest first, drills among them"), a.incidents)
	route(a, get("/incidents/{id}", "incident", "One incident as its events come to: evidence, causes, fixes and all else"), a.incident)
	route(a, get("/incidents/{id}/timeline", "timeline", "Everything that happened in an incident, in order"), a.timeline)
	incidentAct(a, asCommand("/incidents/{id}/corrections", "correct", "Correct an event; it stays, with the correction beside it", incident.Correct{}), func(b CorrectBody) incident.Command {
		return incident.Correct{Event: b.Event, Text: b.Text}
	})
	incidentAct(a, asCommand("/incidents/{id}/links", "link", "Tie the incident to another one", incident.LinkIncident{}), func(b LinkBody) incident.Command {
		return incident.LinkIncident{Incident: b.Incident, Kind: b.Kind}
	})
}

func (a *api) incidents(ctx context.Context, _ *struct{}) (*body[Incidents], error) {
	heads, err := a.o.Engine.Incidents(ctx)
	return &body[Incidents]{Incidents{heads}}, err
}

func (a *api) incident(ctx context.Context, in *struct {
	IncidentPath
	IfNoneMatch string `header:"If-None-Match" doc:"the ETag that you have: 304 where nothing was written since"`
}) (*versioned[Incident], error) {
	now, err := a.o.Engine.Incident(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return withETag(in.IfNoneMatch, etagOf(now), now), nil
}

func (a *api) timeline(ctx context.Context, in *IncidentPath) (*body[Timeline], error) {
	events, err := a.o.Engine.Events(ctx, in.ID)
	out := Timeline{Incident: in.ID, Events: events, Intact: true}
	if broken := incident.Verify(events); broken != nil {
		out.Intact, out.Broken = false, broken.Error()
	}
	return &body[Timeline]{out}, err
}
