package api

import (
	"context"

	"lifeboat/internal/engine"
	"lifeboat/internal/role"
)

// Signing is how the signed zones are doing.
type Signing = engine.SigningView

type zoneInput struct {
	Zone string `path:"zone" maxLength:"255" doc:"the zone's name, absolute"`
}

func (a *api) signingRoutes() {
	route(a, get("/dns/keys", "keys", "The keys of signed zones, the DS records that their parents need, and for how long answers validate"), func(ctx context.Context, _ *struct{}) (*body[Signing], error) {
		o, err := a.o.Engine.Overview(ctx)
		if o.Signing == nil {
			o.Signing = &Signing{}
		}
		return &body[Signing]{*o.Signing}, err
	})
	route(a, post("/dns/keys/{zone}/roll", "key-roll", "Begin a roll-over of a zone's key", role.Admin), func(ctx context.Context, in *zoneInput) (*struct{}, error) {
		a.o.Logger.Info("a roll-over was asked for", "zone", in.Zone, "by", actorOf(ctx).Name)
		return nil, a.o.Engine.RollKey(ctx, in.Zone)
	})
}

func (s sink) signing(o engine.Overview) {
	if o.Signing == nil {
		return
	}
	for _, z := range o.Signing.Zones {
		s.gauge(signedLeft, max(z.Until.Sub(o.Now).Seconds(), 0), z.Apex)
		s.gauge(signedCount, float64(z.Signatures), z.Apex)
	}
	s.count(signedMade, o.Signing.Made)
	trouble := 0.0
	if o.Signing.Problem != "" {
		trouble = 1
	}
	s.gauge(signedTrouble, trouble)
}
