package apiclient

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"lifeboat/internal/api"
	"lifeboat/internal/zonebook"
	zonedesk "lifeboat/internal/zonebook/desk"
)

func zonePath(zone, act string) string { return "/zones/" + url.PathEscape(zone) + act }

// Zones are the zones, who is changing them, and how they stand to the configuration.
func (c *Client) Zones(ctx context.Context) ([]zonedesk.View, error) {
	l, err := get[api.ZoneList](ctx, c, "/zones")
	return l.Zones, err
}

// Zone is a zone's records with your draft on them; only those with the filter's words.
func (c *Client) Zone(ctx context.Context, zone, filter string) (zonedesk.Sheet, error) {
	path := zonePath(zone, "")
	if filter != "" {
		path += "?" + url.Values{"filter": {filter}}.Encode()
	}
	return get[zonedesk.Sheet](ctx, c, path)
}

// ChangeZone adds changes to your draft.
func (c *Client) ChangeZone(ctx context.Context, zone string, b api.ZoneChangesBody) (zonebook.Draft, error) {
	return post[zonebook.Draft](ctx, c, zonePath(zone, "/draft"), b)
}

// PasteZone adds a piece of a zone file to your draft.
func (c *Client) PasteZone(ctx context.Context, zone string, b api.ZonePasteBody) (zonebook.Draft, error) {
	return post[zonebook.Draft](ctx, c, zonePath(zone, "/draft/paste"), b)
}

// TakeOutOfZone takes a change out of your draft, or all of them (0).
func (c *Client) TakeOutOfZone(ctx context.Context, zone string, n int) (zonebook.Draft, error) {
	return post[zonebook.Draft](ctx, c, zonePath(zone, "/draft/take-out"), api.ZoneTakeOutBody{Change: n})
}

// ZoneDraft is what you have changed and not published.
func (c *Client) ZoneDraft(ctx context.Context, zone string) (zonebook.Draft, error) {
	return get[zonebook.Draft](ctx, c, zonePath(zone, "/draft"))
}

// PlanZone says what publishing would do.
func (c *Client) PlanZone(ctx context.Context, zone, kind string, revision int) (zonebook.Plan, error) {
	q := url.Values{"kind": {kind}, "revision": {strconv.Itoa(revision)}}
	return get[zonebook.Plan](ctx, c, zonePath(zone, "/plan?"+q.Encode()))
}

// PublishZone publishes what a plan says.
func (c *Client) PublishZone(ctx context.Context, zone string, b api.ZonePublishBody) (zonedesk.Published, error) {
	return post[zonedesk.Published](ctx, c, zonePath(zone, "/publish"), b)
}

// ZoneHistory are a zone's revisions, newest first.
func (c *Client) ZoneHistory(ctx context.Context, zone string) ([]zonedesk.Entry, error) {
	l, err := get[api.ZoneHistory](ctx, c, zonePath(zone, "/revisions"))
	return l.Revisions, err
}

// ZoneRevision is one revision with its text.
func (c *Client) ZoneRevision(ctx context.Context, zone string, n int) (api.ZoneRevision, error) {
	return get[api.ZoneRevision](ctx, c, zonePath(zone, "/revisions/"+strconv.Itoa(n)))
}

// ZoneText is what is in force, as the text of a zone file.
func (c *Client) ZoneText(ctx context.Context, zone string) (string, error) {
	t, err := get[api.ZoneText](ctx, c, zonePath(zone, "/text"))
	return t.Text, err
}

// KeepZone says that what was published stays in force although the file has changed.
func (c *Client) KeepZone(ctx context.Context, zone string) error {
	return c.call(ctx, http.MethodPost, zonePath(zone, "/keep"), nil, nil)
}
