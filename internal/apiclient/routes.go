package apiclient

import (
	"context"
	"net/http"
	"net/url"

	"lifeboat/internal/api"
)

// get reads one route.
func get[T any](ctx context.Context, c *Client, path string) (v T, err error) {
	return v, c.call(ctx, http.MethodGet, path, nil, &v)
}

// post asks for one act.
func post[T any](ctx context.Context, c *Client, path string, in any) (v T, err error) {
	return v, c.call(ctx, http.MethodPost, path, in, &v)
}

func site(id, act string) string    { return "/sites/" + url.PathEscape(id) + "/" + act }
func lever(name, act string) string { return "/levers/" + url.PathEscape(name) + "/" + act }

// Status is one look at everything.
func (c *Client) Status(ctx context.Context) (api.Overview, error) {
	return get[api.Overview](ctx, c, "/status")
}

// Check looks at the whole, problems first.
func (c *Client) Check(ctx context.Context) ([]api.Finding, error) {
	f, err := get[api.Findings](ctx, c, "/check")
	return f.Findings, err
}

// Features gives the flags and what is ordered for them.
func (c *Client) Features(ctx context.Context) ([]api.Feature, error) {
	f, err := get[api.Features](ctx, c, "/features")
	return f.Features, err
}

// Levers is the whole card.
func (c *Client) Levers(ctx context.Context) ([]api.LeverView, error) {
	l, err := get[api.Levers](ctx, c, "/levers")
	return l.Levers, err
}

// Pull pulls a lever and returns once its effect was seen from outside.
func (c *Client) Pull(ctx context.Context, name, reason string) (api.Result, error) {
	return post[api.Result](ctx, c, lever(name, "pull"), api.ReasonBody{Reason: reason})
}

// PutBack puts a lever back.
func (c *Client) PutBack(ctx context.Context, name, reason string) (api.Result, error) {
	return post[api.Result](ctx, c, lever(name, "put-back"), api.ReasonBody{Reason: reason})
}

// Drill rehearses a lever; a drill that failed is no error.
func (c *Client) Drill(ctx context.Context, name string) (api.DrillRecord, error) {
	return post[api.DrillRecord](ctx, c, lever(name, "drill"), nil)
}

// Declare says that something is wrong.
func (c *Client) Declare(ctx context.Context, id string, b api.DeclareBody) (api.Result, error) {
	return post[api.Result](ctx, c, site(id, "declare"), b)
}

// Note writes down what somebody saw.
func (c *Client) Note(ctx context.Context, id, text string) (api.Result, error) {
	return post[api.Result](ctx, c, site(id, "notes"), api.NoteBody{Text: text})
}

// GoBack starts the return.
func (c *Client) GoBack(ctx context.Context, id string, b api.GoBackBody) (api.Result, error) {
	return post[api.Result](ctx, c, site(id, "go-back"), b)
}

// StepBack goes back to safety.
func (c *Client) StepBack(ctx context.Context, id string) (api.Result, error) {
	return post[api.Result](ctx, c, site(id, "step-back"), nil)
}

// NoFailover goes on without moving visitors.
func (c *Client) NoFailover(ctx context.Context, id, reason string) (api.Result, error) {
	return post[api.Result](ctx, c, site(id, "no-failover"), api.ReasonBody{Reason: reason})
}

// Advance goes on with the return before its checks are all in.
func (c *Client) Advance(ctx context.Context, id, reason string) (api.Result, error) {
	return post[api.Result](ctx, c, site(id, "advance"), api.ReasonBody{Reason: reason})
}

// EndWatch ends the watch.
func (c *Client) EndWatch(ctx context.Context, id, reason string) (api.Result, error) {
	return post[api.Result](ctx, c, site(id, "end-watch"), api.ReasonBody{Reason: reason})
}

// Cancel says that it was a false alarm.
func (c *Client) Cancel(ctx context.Context, id, reason string) (api.Result, error) {
	return post[api.Result](ctx, c, site(id, "cancel"), api.ReasonBody{Reason: reason})
}

// Close ends the incident.
func (c *Client) Close(ctx context.Context, id, reason string) (api.Result, error) {
	return post[api.Result](ctx, c, site(id, "close"), api.ReasonBody{Reason: reason})
}

// ResumeAuto lets rules move the site again.
func (c *Client) ResumeAuto(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, site(id, "auto/resume"), nil, nil)
}

// Incidents lists all incidents, oldest first.
func (c *Client) Incidents(ctx context.Context) ([]api.Head, error) {
	i, err := get[api.Incidents](ctx, c, "/incidents")
	return i.Incidents, err
}

// Incident is one incident as its events come to.
func (c *Client) Incident(ctx context.Context, id string) (api.Incident, error) {
	return get[api.Incident](ctx, c, "/incidents/"+url.PathEscape(id))
}

// Timeline is all that happened in an incident.
func (c *Client) Timeline(ctx context.Context, id string) (api.Timeline, error) {
	return get[api.Timeline](ctx, c, "/incidents/"+url.PathEscape(id)+"/timeline")
}

// Keys are those of the signed zones.
func (c *Client) Keys(ctx context.Context) (api.Signing, error) {
	return get[api.Signing](ctx, c, "/dns/keys")
}

// RollKey begins a roll-over of a zone's key.
func (c *Client) RollKey(ctx context.Context, apex string) error {
	return c.call(ctx, http.MethodPost, "/dns/keys/"+url.PathEscape(apex)+"/roll", nil, nil)
}

// Challenges are the proofs that certificate authorities find.
func (c *Client) Challenges(ctx context.Context) ([]api.Challenge, error) {
	l, err := get[api.ChallengeList](ctx, c, "/dns/challenges")
	return l.Challenges, err
}

// PutChallenge shows proofs to certificate authorities.
func (c *Client) PutChallenge(ctx context.Context, b api.ChallengeBody) (api.Challenge, error) {
	return post[api.Challenge](ctx, c, "/dns/challenges", b)
}

// DropChallenge takes a proof back, all of the name's where value is "".
func (c *Client) DropChallenge(ctx context.Context, name, value string) error {
	q := url.Values{"name": {name}}
	if value != "" {
		q.Set("value", value)
	}
	return c.call(ctx, http.MethodDelete, "/dns/challenges?"+q.Encode(), nil, nil)
}

// Outside is what the world saw of our zones when it was looked at last.
func (c *Client) Outside(ctx context.Context) ([]api.Seen, error) {
	l, err := get[api.SeenList](ctx, c, "/dns/watch")
	return l.Zones, err
}

// LookOutside looks now at one zone, at all where it is "".
func (c *Client) LookOutside(ctx context.Context, zone string) ([]api.Seen, error) {
	l, err := post[api.SeenList](ctx, c, "/dns/watch", api.LookBody{Zone: zone})
	return l.Zones, err
}

// Tokens lists who has a token.
func (c *Client) Tokens(ctx context.Context) ([]api.Token, error) {
	t, err := get[api.TokenList](ctx, c, "/tokens")
	return t.Tokens, err
}

// CreateToken makes a token; its text is told once.
func (c *Client) CreateToken(ctx context.Context, b api.TokenBody) (api.NewToken, error) {
	return post[api.NewToken](ctx, c, "/tokens", b)
}

// RevokeToken takes a token's rights away.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/tokens/"+url.PathEscape(id), nil, nil)
}

// Certificates says how ready each name is, and what is held.
func (c *Client) Certificates(ctx context.Context) (api.CertificatesView, error) {
	return get[api.CertificatesView](ctx, c, "/certificates")
}

// LookAtCertificates looks at all names now.
func (c *Client) LookAtCertificates(ctx context.Context) (api.CertificatesView, error) {
	return post[api.CertificatesView](ctx, c, "/certificates/look", nil)
}

// RenewCertificates has a site's certificates made now.
func (c *Client) RenewCertificates(ctx context.Context, name string) (api.CertificatesView, error) {
	return post[api.CertificatesView](ctx, c, "/certificates/renew", api.RenewBody{Name: name})
}

// ImportCertificate brings a certificate and its key.
func (c *Client) ImportCertificate(ctx context.Context, b api.ImportBody) (api.CertificateView, error) {
	return post[api.CertificateView](ctx, c, "/certificates/import", b)
}

// ForgetCertificate takes a certificate away that was brought.
func (c *Client) ForgetCertificate(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/certificates/"+url.PathEscape(id), nil, nil)
}
