package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// body is an answer with a JSON body.
type body[T any] struct{ Body T }

func (a *api) statusRoutes(h huma.API) {
	route(h, http.MethodGet, "/status", "status", "What is seen, what is ordered, what can be done", a.status)
	route(h, http.MethodGet, "/check", "check", "Look at the whole and say plainly what would hurt", a.check)
	route(h, http.MethodGet, "/features", "features", "The features and what is ordered for them", a.features)
}

func (a *api) status(ctx context.Context, _ *struct{}) (*body[Overview], error) {
	o, err := a.o.Engine.Overview(ctx)
	return &body[Overview]{o}, err
}

func (a *api) check(ctx context.Context, _ *struct{}) (*body[Findings], error) {
	found, err := a.o.Engine.Check(ctx)
	return &body[Findings]{Findings{found}}, err
}

func (a *api) features(context.Context, *struct{}) (*body[Features], error) {
	flags, orders := a.o.Engine.Features()
	out := Features{Features: make([]Feature, 0, len(flags))}
	for _, f := range flags {
		v := Feature{Flag: f}
		if o, ordered := orders[f.Key]; ordered {
			v.Ordered = &o
		}
		out.Features = append(out.Features, v)
	}
	return &body[Features]{out}, nil
}
