package api

import (
	"context"
	"strings"
)

// body is an answer with a JSON body.
type body[T any] struct{ Body T }

func (a *api) statusRoutes() {
	route(a, get("/status", "status", "What is seen, what is ordered, what can be done"), a.status)
	route(a, get("/check", "check", "Look at the whole and say plainly what would hurt"), a.check)
	route(a, get("/features", "features", "The features and what is ordered for them"), a.features)
}

func (a *api) status(ctx context.Context, _ *struct{}) (*body[Overview], error) {
	o, err := a.o.Engine.Overview(ctx)
	return &body[Overview]{o}, err
}

func (a *api) check(ctx context.Context, _ *struct{}) (*body[Findings], error) {
	found, err := a.o.Engine.Check(ctx)
	return &body[Findings]{Findings{found}}, err
}

func (a *api) features(ctx context.Context, _ *struct{}) (*body[Features], error) {
	o, err := a.o.Engine.Overview(ctx)
	if err != nil {
		return nil, err
	}
	levers := map[string][]LeverView{}
	for _, s := range o.Sites {
		for _, l := range s.Levers {
			if l.Kind == "feature" {
				levers[l.To] = append(levers[l.To], l)
			}
		}
	}
	flags, orders := a.o.Engine.Features()
	out := Features{Features: make([]Feature, 0, len(flags))}
	for _, f := range flags {
		if strings.Contains(f.Key, "~") { // a drill's stand-in
			continue
		}
		v := Feature{Flag: f, Levers: append([]LeverView{}, levers[f.Key]...)}
		if o, ordered := orders[f.Key]; ordered {
			v.Ordered = &o
		}
		out.Features = append(out.Features, v)
	}
	return &body[Features]{out}, nil
}
