package api

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/role"
)

// open are the routes that need no token: they tell machines how we are, and the
// shape of the API. None of them changes anything.
var open = map[string]bool{
	"GET /healthz":          true,
	"GET /readyz":           true,
	"GET /metrics":          true,
	"GET /api/openapi.json": true,
}

// ClientHeader tells the timeline through what a person came: a client of ours names
// itself in it.
const ClientHeader = "Lifeboat-Client"

type actorKey struct{}

type peerKey struct{}

// WithPeer names who is on the other end of a local socket; "root" where nothing is
// said. Whoever calls it has made sure of the name.
func WithPeer(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, peerKey{}, name)
}

// admitted lets a request in by its token, or, on control.sock, without one, and then by
// the role that its route asks for.
func (a *api) admitted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, pattern := a.mux.Handler(r)
		if open[pattern] {
			next.ServeHTTP(w, r)
			return
		}
		by, err := a.actor(r)
		if err != nil {
			p := problemOf(err)
			p.Status, p.Title = http.StatusUnauthorized, http.StatusText(http.StatusUnauthorized)
			p.write(w)
			return
		}
		rule := a.ruling(pattern, r.Method)
		if err := rule.permits(by); err != nil {
			problemOf(err).write(w)
			return
		}
		if writes(r.Method) && !rule.safe {
			limit := a.brake
			if rule.file {
				limit = a.files
			}
			if wait := limit.take(by.ID + "\x00" + by.Name); wait > 0 {
				tooMany(rule.file, wait).write(w)
				return
			}
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), actorKey{}, by)))
	})
}

func writes(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// ruling is what a pattern asks for. What is no route of ours changes nothing (a redirect
// to a cleaner path, a path that is not there); should it ever be one that was forgotten,
// it is closed.
func (a *api) ruling(pattern, method string) ruling {
	rule, known := a.rules[pattern]
	switch {
	case known:
		return rule
	case pattern == "/" || !writes(method):
		return ruling{least: role.Viewer}
	}
	return ruling{least: role.Admin}
}

// permits says whether somebody's role is enough.
func (r ruling) permits(by incident.Actor) error {
	if role.Role(by.Role).AtLeast(r.least) {
		return nil
	}
	return fault.New(fault.Denied, "your role, %s, may not do this", by.Role).WithHint("somebody with the role %s can", r.least)
}

// actor says who asks.
func (a *api) actor(r *http.Request) (incident.Actor, error) {
	by := incident.Actor{Kind: "person", Via: "api"}
	if r.Header.Get(ClientHeader) == "cli" {
		by.Via = "cli"
	}
	if a.o.Root {
		by.ID, by.Name, by.Role = "control.sock", "root", string(role.Admin)
		if name, said := r.Context().Value(peerKey{}).(string); said && name != "" {
			by.Name = name
		}
		return by, nil
	}
	header := r.Header.Get("Authorization")
	if header == "" {
		return by, fault.New(fault.Denied, "this needs a token").
			WithHint("commands take it from LIFEBOAT_TOKEN, and need none on lifeboat's own machine; other clients send the header Authorization: Bearer TOKEN")
	}
	scheme, raw, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return by, fault.New(fault.Denied, "the Authorization header is not of the form Bearer TOKEN").WithHint("send the header Authorization: Bearer TOKEN")
	}
	who, err := a.o.Tokens.Verify(strings.TrimSpace(raw))
	if err != nil {
		return by, err
	}
	by.ID, by.Name, by.Role = who.ID, who.Name, cmp.Or(string(who.Role), string(role.Viewer))
	return by, nil
}

// actorOf gives who asks, inside a route.
func actorOf(ctx context.Context) incident.Actor {
	by, _ := ctx.Value(actorKey{}).(incident.Actor) // admitted has set it
	return by
}
