package api

import (
	"context"
	"time"

	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/role"
)

// LeverPath is the lever that a path names.
type LeverPath struct {
	Lever string `path:"lever" maxLength:"100" doc:"the lever's name on the card" example:"to-standby"`
}

type leverReason struct {
	LeverPath
	Body *ReasonBody
}

// ParkBody says who looks after a lever that stays pulled, and until when.
type ParkBody struct {
	Owner  string    `json:"owner" maxLength:"300" example:"Ada"`
	Until  time.Time `json:"until"`
	Reason string    `json:"reason" maxLength:"2000" doc:"one sentence: why it stays" example:"The payment provider is back on Monday."`
}

func (a *api) leverRoutes() {
	route(a, get("/levers", "levers", "The card: what can be pulled now, and when it was last rehearsed"), a.levers)
	pull := asCommand("/levers/{lever}/pull", "pull", "Pull a lever, declaring an incident if none is open; answered once the effect was seen from outside", incident.PullLever{})
	pull.safe = true
	route(a, pull, a.pull)
	back := asCommand("/levers/{lever}/put-back", "put-back", "Put a lever back", incident.PutBack{})
	back.safe = true
	route(a, back, a.putBack)
	route(a, post("/levers/{lever}/drill", "drill", "Rehearse a lever on a name that is nobody's, there and back", role.Operator), a.drill)
	park := asCommand("/levers/{lever}/park", "park", "Leave a lever pulled when the rest goes back, with an owner and a date", incident.ParkLever{})
	route(a, park, func(ctx context.Context, in *struct {
		LeverPath
		Body ParkBody
	}) (*acted, error) {
		return a.actOn(ctx, in.Lever, incident.ParkLever{Lever: in.Lever, Owner: in.Body.Owner, Until: in.Body.Until, Reason: in.Body.Reason})
	})
	route(a, asCommand("/levers/{lever}/unpark", "unpark", "Let the return take a parked lever back with the rest", incident.UnparkLever{}), func(ctx context.Context, in *LeverPath) (*acted, error) {
		return a.actOn(ctx, in.Lever, incident.UnparkLever{Lever: in.Lever})
	})
}

func (a *api) levers(ctx context.Context, _ *struct{}) (*body[Levers], error) {
	o, err := a.o.Engine.Overview(ctx)
	out := Levers{Levers: []LeverView{}}
	for _, s := range o.Sites {
		out.Levers = append(out.Levers, s.Levers...)
	}
	return &body[Levers]{out}, err
}

func (a *api) pull(ctx context.Context, in *leverReason) (*acted, error) {
	out, err := a.actOn(ctx, in.Lever, engine.PullRequest{Lever: in.Lever, PullLever: incident.PullLever{Reason: in.Body.reason()}})
	return seenOnReplay(out, err, in.Lever, func(p incident.Pull) bool { return !p.SeenAt.IsZero() })
}

func (a *api) putBack(ctx context.Context, in *leverReason) (*acted, error) {
	out, err := a.actOn(ctx, in.Lever, incident.PutBack{Lever: in.Lever, Reason: in.Body.reason()})
	return seenOnReplay(out, err, in.Lever, func(p incident.Pull) bool { return !p.BackAt.IsZero() })
}

// seenOnReplay keeps a retry from being told that something is done whose effect nobody
// has seen: the first request may have ended without knowing.
func seenOnReplay(out *acted, err error, lever string, seen func(incident.Pull) bool) (*acted, error) {
	if err != nil || out.Replayed == "" {
		return out, err
	}
	pulls := out.Body.Incident.Pulls
	for i := len(pulls) - 1; i >= 0; i-- {
		if pulls[i].Lever != lever {
			continue
		}
		if seen(pulls[i]) {
			return out, nil
		}
		break
	}
	p := problemOf(fault.New(fault.Unavailable, "this was asked for already under the same key, and its effect was not seen from outside").WithHint("look with: lifeboat status; then ask again with a new key"))
	p.Incident = out.Body.Incident.ID
	return nil, p
}

func (a *api) drill(ctx context.Context, in *LeverPath) (*body[DrillRecord], error) {
	rec, err := a.o.Engine.Drill(ctx, in.Lever, actorOf(ctx))
	return &body[DrillRecord]{rec}, err
}

// actOn runs a command on the site of a lever.
func (a *api) actOn(ctx context.Context, lever string, c incident.Command) (*acted, error) {
	site, err := a.o.Engine.SiteOf(lever)
	if err != nil {
		return nil, err
	}
	return a.act(ctx, site, c)
}
