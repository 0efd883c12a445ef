package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"lifeboat/internal/incident"
)

type incidentInput struct {
	ID string `path:"id" maxLength:"64" doc:"the incident's id"`
}

func (a *api) incidentRoutes(h huma.API) {
	route(h, http.MethodGet, "/incidents", "incidents", "All incidents, oldest first, drills among them", a.incidents)
	route(h, http.MethodGet, "/incidents/{id}", "incident", "One incident as its events come to", a.incident)
	route(h, http.MethodGet, "/incidents/{id}/timeline", "timeline", "Everything that happened in an incident, in order", a.timeline)
}

func (a *api) incidents(ctx context.Context, _ *struct{}) (*body[Incidents], error) {
	heads, err := a.o.Engine.Incidents(ctx)
	return &body[Incidents]{Incidents{heads}}, err
}

func (a *api) incident(ctx context.Context, in *incidentInput) (*body[Incident], error) {
	events, err := a.o.Engine.Events(ctx, in.ID)
	return &body[Incident]{incident.Fold(events)}, err
}

func (a *api) timeline(ctx context.Context, in *incidentInput) (*body[Timeline], error) {
	events, err := a.o.Engine.Events(ctx, in.ID)
	out := Timeline{Incident: in.ID, Events: events, Intact: true}
	if broken := incident.Verify(events); broken != nil {
		out.Intact, out.Broken = false, broken.Error()
	}
	return &body[Timeline]{out}, err
}
