package apiclient

import (
	"context"
	"net/url"

	"lifeboat/internal/api"
)

// Board is the status page: how each part is shown and why, and what was written.
func (c *Client) Board(ctx context.Context) (api.StatusBoard, error) {
	return get[api.StatusBoard](ctx, c, "/board")
}

// BoardEvents are what people did on the status page, newest first.
func (c *Client) BoardEvents(ctx context.Context) (api.StatusEvents, error) {
	return get[api.StatusEvents](ctx, c, "/board/events")
}

func boardItem(kind, id, do string) string {
	return "/board/" + kind + "/" + url.PathEscape(id) + "/" + do
}

// SetOverride shows a component with a state that the checks do not say.
func (c *Client) SetOverride(ctx context.Context, component string, b api.OverrideBody) (api.StatusDone, error) {
	return post[api.StatusDone](ctx, c, boardItem("components", component, "override"), b)
}

// DropOverride lets the checks decide again.
func (c *Client) DropOverride(ctx context.Context, component string) (api.StatusDone, error) {
	return post[api.StatusDone](ctx, c, boardItem("components", component, "take-back"), nil)
}

// OpenPublicIncident tells visitors of something that is wrong.
func (c *Client) OpenPublicIncident(ctx context.Context, b api.PublicIncidentBody) (api.StatusDone, error) {
	return post[api.StatusDone](ctx, c, "/board/incidents", b)
}

// UpdatePublicIncident tells visitors more.
func (c *Client) UpdatePublicIncident(ctx context.Context, id string, b api.PublicUpdateBody) (api.StatusDone, error) {
	return post[api.StatusDone](ctx, c, boardItem("incidents", id, "update"), b)
}

// EditPublicIncident corrects what visitors are told.
func (c *Client) EditPublicIncident(ctx context.Context, id string, b api.PublicEditBody) (api.StatusDone, error) {
	return post[api.StatusDone](ctx, c, boardItem("incidents", id, "edit"), b)
}

// AttachPublicIncident ties what visitors are told to the crew's incident; "" unties it.
func (c *Client) AttachPublicIncident(ctx context.Context, id, crew string) (api.StatusDone, error) {
	return post[api.StatusDone](ctx, c, boardItem("incidents", id, "attach"), api.AttachBody{Incident: crew})
}

// PublishStory puts a post-mortem on the page, or takes it off.
func (c *Client) PublishStory(ctx context.Context, id string, b api.StoryBody) (api.StatusDone, error) {
	return post[api.StatusDone](ctx, c, boardItem("incidents", id, "story"), b)
}

// PlanMaintenance announces work.
func (c *Client) PlanMaintenance(ctx context.Context, b api.MaintenanceBody) (api.StatusDone, error) {
	return post[api.StatusDone](ctx, c, "/board/maintenances", b)
}

// UpdateMaintenance tells how the work goes.
func (c *Client) UpdateMaintenance(ctx context.Context, id string, b api.MaintenanceUpdateBody) (api.StatusDone, error) {
	return post[api.StatusDone](ctx, c, boardItem("maintenances", id, "update"), b)
}

// EditMaintenance changes what is announced.
func (c *Client) EditMaintenance(ctx context.Context, id string, b api.MaintenanceEditBody) (api.StatusDone, error) {
	return post[api.StatusDone](ctx, c, boardItem("maintenances", id, "edit"), b)
}

// CancelMaintenance takes an announcement back.
func (c *Client) CancelMaintenance(ctx context.Context, id string) (api.StatusDone, error) {
	return post[api.StatusDone](ctx, c, boardItem("maintenances", id, "cancel"), nil)
}
