package api

import (
	"cmp"
	"context"
	"strings"
	"time"

	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/parentwatch"
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

// Outside looks at our zones as the world does; *parentwatch.Watcher is one.
type Outside interface {
	Reports() []parentwatch.Report
	Look(ctx context.Context, apex string) (parentwatch.Report, error)
	Zones() []string
}

// Seen is what the world sees of a zone.
type Seen = parentwatch.Report

// SeenList is what the world sees of our zones, as it was looked at last.
type SeenList struct {
	Zones []Seen `json:"zones"`
}

// LookBody names what to look at.
type LookBody struct {
	Zone string `json:"zone,omitempty" maxLength:"260" doc:"one zone; all of them unless said" example:"shop.example.com."`
}

func (a *api) watchRoutes() {
	route(a, get("/dns/watch", "dns-watch", "What the world sees of our zones, as it was looked at last"), func(context.Context, *struct{}) (*body[SeenList], error) {
		out := SeenList{Zones: []Seen{}}
		if a.o.Outside != nil {
			out.Zones = a.o.Outside.Reports()
		}
		return &body[SeenList]{out}, nil
	})
	look := post("/dns/watch", "dns-look", "Look now, from the root down, what the world sees of our zones", role.Operator)
	look.about = "It asks the servers of the root and of the zones above, and each name server that they name. That may take half a minute; of several zones, those are told that were looked at in that time."
	route(a, look, a.lookOutside)
}

// lookOutside looks at one zone, or at all while there is time.
func (a *api) lookOutside(ctx context.Context, in *struct{ Body LookBody }) (*body[SeenList], error) {
	if a.o.Outside == nil {
		return nil, fault.New(fault.NotSupported, "nobody looks at our zones from outside here")
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime-5*time.Second)
	defer cancel()
	zones := a.o.Outside.Zones()
	if in.Body.Zone != "" {
		zones = []string{strings.ToLower(strings.TrimSuffix(in.Body.Zone, ".")) + "."}
	}
	out := SeenList{Zones: []Seen{}}
	for _, apex := range zones {
		r, err := a.o.Outside.Look(ctx, apex)
		if err != nil {
			return nil, err
		}
		out.Zones = append(out.Zones, r)
		if ctx.Err() != nil {
			break
		}
	}
	return &body[SeenList]{out}, nil
}

func (a *api) dnsRoutes() {
	a.watchRoutes()
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
