package api

import (
	"context"
	"errors"
	"net/http"

	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
)

// acted is what an act came to: the events that it added, and the incident as it is now.
type acted struct {
	ETag     string `header:"ETag" doc:"of the incident as it is now; for If-Match"`
	Replayed string `header:"Idempotent-Replayed" enum:"true" doc:"this was done before, under the same Idempotency-Key"`
	Body     Result
}

// act runs a command on a site. What went wrong after the intent was recorded tells the
// incident, whose timeline says how far it got.
func (a *api) act(ctx context.Context, site string, c incident.Command) (*acted, error) {
	ctx, err := a.expecting(ctx, site)
	if err != nil {
		return nil, err
	}
	return outcome(ctx, func(ctx context.Context) (engine.Result, error) { return a.o.Engine.Do(ctx, site, c, actorOf(ctx)) })
}

// actIn runs a command in an incident, open or ended.
func (a *api) actIn(ctx context.Context, id string, c incident.Command) (*acted, error) {
	return a.outcomeIn(ctx, id, func(ctx context.Context) (engine.Result, error) { return a.o.Engine.DoIn(ctx, id, c, actorOf(ctx)) })
}

// outcomeIn is outcome for what is done in an incident by its id.
func (a *api) outcomeIn(ctx context.Context, id string, do func(context.Context) (engine.Result, error)) (*acted, error) {
	x := expectationOf(ctx)
	if x.given && x.Incident != id {
		in, err := a.o.Engine.Incident(ctx, id)
		if err != nil {
			return nil, err
		}
		return nil, stale(in, "what you saw was another incident")
	}
	if x.given {
		ctx = engine.WithExpect(ctx, x.Expect)
	}
	return outcome(ctx, do)
}

// outcome runs an act of the engine and tells what came of it.
func outcome(ctx context.Context, do func(context.Context) (engine.Result, error)) (*acted, error) {
	res, err := do(ctx)
	if err != nil {
		return nil, failedAct(ctx, res, err)
	}
	out := &acted{ETag: etagOf(res.Incident), Body: res}
	if key := keyOf(ctx); key != "" && len(res.Events) == 0 && res.Incident.Wrote(key) {
		out.Replayed = "true"
	}
	if out.Body.Events == nil {
		out.Body.Events = []incident.Event{}
	}
	return out, nil
}

// failedAct is what is told of an act that was not done, or not to its end.
func failedAct(ctx context.Context, res engine.Result, err error) error {
	if errors.Is(err, engine.ErrStale) && expectationOf(ctx).given {
		return stale(res.Incident, textOf(err))
	}
	p := problemOf(err)
	if res.Incident.Phase.Open() {
		p.Incident = res.Incident.ID
	}
	return p
}

// textOf is a fault's own text, without its place, hint and cause.
func textOf(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Text
	}
	return err.Error()
}

// reason is the sentence, "" without a body.
func (b *ReasonBody) reason() string {
	if b == nil {
		return ""
	}
	return b.Reason
}

// current gives a site as it is now.
func (a *api) current(ctx context.Context, site string) (SiteView, error) {
	o, err := a.o.Engine.Overview(ctx)
	for _, s := range o.Sites {
		if s.ID == site {
			return s, nil
		}
	}
	if err == nil {
		err = fault.New(fault.NotFound, "there is no site %q", site).WithHint("see them with: lifeboat status")
	}
	return SiteView{}, err
}

// stale says that an act was not done because somebody has written since the caller
// looked, and what is now.
func stale(now incident.Incident, text string) *Problem {
	return &Problem{
		Status: http.StatusPreconditionFailed, Title: http.StatusText(http.StatusPreconditionFailed), Kind: fault.Conflict, Detail: text,
		Place: "If-Match", Hint: "look again, then decide again", Incident: now.ID,
		Now: &Standing{ETag: etagOf(now), Incident: now.ID, Phase: now.Phase, Seq: now.Seq, Title: now.Title},
	}
}
