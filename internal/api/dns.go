package api

import (
	"cmp"
	"context"
	"time"

	"lifeboat/internal/engine"
	"lifeboat/internal/role"
)

// Challenge is what certificate authorities find at a name.
type Challenge = engine.Challenge

// ChallengeList is what is given out now.
type ChallengeList struct {
	Challenges []Challenge `json:"challenges"`
}

// ChallengeBody is a proof that a name is ours.
type ChallengeBody struct {
	Name   string   `json:"name" minLength:"1" maxLength:"300" doc:"the name that the certificate is for, or where the proof is looked for" example:"shop.example.com"`
	Values []string `json:"values" minItems:"1" maxItems:"16" doc:"what the certificate authority has to find, 255 octets each" example:"gfj9Xq...Rg85nM"`
	For    string   `json:"for,omitempty" maxLength:"20" doc:"how long, 10m unless said, 24h at most" example:"10m"`
}

// challengeTime is how long a proof is kept unless said.
const challengeTime = 10 * time.Minute

type dropChallenge struct {
	Name  string `query:"name" required:"true" minLength:"1" maxLength:"300" doc:"the name that the certificate was for" example:"shop.example.com"`
	Value string `query:"value" maxLength:"255" doc:"the one proof to take back; all of the name's unless said"`
}

func (a *api) dnsRoutes() {
	route(a, get("/dns/challenges", "challenges", "The proofs that certificate authorities find in our zones"), func(ctx context.Context, _ *struct{}) (*body[ChallengeList], error) {
		list, err := a.o.Engine.Challenges(ctx)
		return &body[ChallengeList]{ChallengeList{list}}, err
	})
	put := post("/dns/challenges", "challenge-put", "Show a proof that a name is ours to certificate authorities (ACME, DNS-01)", role.Admin)
	put.about = "Answered once the name server gives it out. It is gone by itself when its time is over; the same proof again lasts longer. " +
		"A CNAME at `_acme-challenge.NAME` is followed within our zones. A name has 16 proofs at most."
	route(a, put, a.putChallenge)
	drop := operation{method: "DELETE", path: "/dns/challenges", id: "challenge-drop", summary: "Take a proof back before its time is over", ruling: ruling{least: role.Admin}}
	route(a, drop, func(ctx context.Context, in *dropChallenge) (*struct{}, error) {
		var values []string
		if in.Value != "" {
			values = []string{in.Value}
		}
		return nil, a.o.Engine.DropChallenge(ctx, in.Name, values)
	})
}

func (a *api) putChallenge(ctx context.Context, in *struct{ Body ChallengeBody }) (*body[Challenge], error) {
	ttl, err := span(in.Body.For, "for")
	if err != nil {
		return nil, err
	}
	c, err := a.o.Engine.PutChallenge(ctx, in.Body.Name, in.Body.Values, cmp.Or(ttl, challengeTime))
	if err != nil {
		return nil, err
	}
	a.o.Logger.Info("a proof for certificate authorities is given out", "name", c.Name, "until", c.Until, "by", actorOf(ctx).Name)
	return &body[Challenge]{c}, nil
}
