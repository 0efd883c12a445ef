package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"lifeboat/internal/engine"
	"lifeboat/internal/incident"
)

type leverInput struct {
	Lever string `path:"lever" maxLength:"100" doc:"the lever's name on the card"`
}

type leverReason struct {
	Lever string `path:"lever" maxLength:"100" doc:"the lever's name on the card"`
	Body  *ReasonBody
}

func (a *api) leverRoutes(h huma.API) {
	route(h, http.MethodGet, "/levers", "levers", "The card: what can be pulled now, and when it was last rehearsed", a.levers)
	route(h, http.MethodPost, "/levers/{lever}/pull", "pull", "Pull a lever, declaring an incident if none is open; answered once the effect was seen from outside", a.pull)
	route(h, http.MethodPost, "/levers/{lever}/put-back", "put-back", "Put a lever back", a.putBack)
	route(h, http.MethodPost, "/levers/{lever}/drill", "drill", "Rehearse a lever on a name that is nobody's, there and back", a.drill)
}

func (a *api) levers(ctx context.Context, _ *struct{}) (*body[Levers], error) {
	o, err := a.o.Engine.Overview(ctx)
	out := Levers{Levers: []LeverView{}}
	for _, s := range o.Sites {
		out.Levers = append(out.Levers, s.Levers...)
	}
	return &body[Levers]{out}, err
}

func (a *api) pull(ctx context.Context, in *leverReason) (*body[Result], error) {
	return a.actOn(ctx, in.Lever, engine.PullRequest{Lever: in.Lever, PullLever: incident.PullLever{Reason: in.Body.reason()}})
}

func (a *api) putBack(ctx context.Context, in *leverReason) (*body[Result], error) {
	return a.actOn(ctx, in.Lever, incident.PutBack{Lever: in.Lever, Reason: in.Body.reason()})
}

func (a *api) drill(ctx context.Context, in *leverInput) (*body[DrillRecord], error) {
	rec, err := a.o.Engine.Drill(ctx, in.Lever, actorOf(ctx))
	return &body[DrillRecord]{rec}, err
}

// actOn runs a command on the site of a lever.
func (a *api) actOn(ctx context.Context, lever string, c incident.Command) (*body[Result], error) {
	site, err := a.o.Engine.SiteOf(lever)
	if err != nil {
		return nil, err
	}
	return a.act(ctx, site, c)
}

// act runs a command. What went wrong after the intent was recorded tells the
// incident, whose timeline says how far it got.
func (a *api) act(ctx context.Context, site string, c incident.Command) (*body[Result], error) {
	res, err := a.o.Engine.Do(ctx, site, c, actorOf(ctx))
	if err != nil {
		p := problemOf(err)
		if res.Incident.Phase.Open() {
			p.Incident = res.Incident.ID
		}
		return nil, p
	}
	return &body[Result]{res}, nil
}

// reason is the sentence, "" without a body.
func (b *ReasonBody) reason() string {
	if b == nil {
		return ""
	}
	return b.Reason
}
