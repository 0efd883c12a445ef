package apiclient

import (
	"context"
	"net/http"
	"net/url"

	"lifeboat/internal/api"
	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/desk"
)

func plan(id, act string) string { return "/data/plans/" + url.PathEscape(id) + act }
func held(id, act string) string { return "/data/held/" + url.PathEscape(id) + "/" + act }

// Databases are those that rows can be taken out of.
func (c *Client) Databases(ctx context.Context) ([]api.DataSource, error) {
	d, err := get[api.DataSources](ctx, c, "/data")
	return d.Databases, err
}

// DataPlans are the kept plans, newest first.
func (c *Client) DataPlans(ctx context.Context) ([]desk.Kept, error) {
	p, err := get[api.DataPlans](ctx, c, "/data/plans")
	return p.Plans, err
}

// PlanData says which rows would leave; nothing is changed.
func (c *Client) PlanData(ctx context.Context, b api.DataPlanBody) (desk.Kept, error) {
	return post[desk.Kept](ctx, c, "/data/plans", b)
}

// DataPlan is one kept plan, with how far it is carried out.
func (c *Client) DataPlan(ctx context.Context, id string) (desk.Kept, error) {
	return get[desk.Kept](ctx, c, plan(id, ""))
}

// ApproveData approves a plan that somebody else has made.
func (c *Client) ApproveData(ctx context.Context, id string, b api.DataHashBody) (desk.Kept, error) {
	return post[desk.Kept](ctx, c, plan(id, "/approve"), b)
}

// ApplyData carries a plan out.
func (c *Client) ApplyData(ctx context.Context, id string, b api.DataHashBody) (desk.Kept, error) {
	return post[desk.Kept](ctx, c, plan(id, "/apply"), b)
}

// StopData stops a batch after the transaction under way.
func (c *Client) StopData(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, plan(id, "/stop"), nil, nil)
}

// HeldData is what the databases hold, newest first.
func (c *Client) HeldData(ctx context.Context) (desk.Holding, error) {
	return get[desk.Holding](ctx, c, "/data/held")
}

// VerifyData says whether an operation is as it should be.
func (c *Client) VerifyData(ctx context.Context, id string) (quarantine.Verdict, error) {
	return get[quarantine.Verdict](ctx, c, held(id, "verify"))
}

// PreviewData says what putting rows back would do.
func (c *Client) PreviewData(ctx context.Context, id string, b api.DataBackBody) (quarantine.Preview, error) {
	return post[quarantine.Preview](ctx, c, held(id, "preview"), b)
}

// RestoreData puts rows back.
func (c *Client) RestoreData(ctx context.Context, id string, b api.DataBackBody) (quarantine.Returned, error) {
	return post[quarantine.Returned](ctx, c, held(id, "restore"), b)
}

// DiscardData gives held rows up.
func (c *Client) DiscardData(ctx context.Context, id string, b api.DataDropBody) (quarantine.Operation, error) {
	return post[quarantine.Operation](ctx, c, held(id, "discard"), b)
}

// PurgeData deletes the copies for ever, or is the first of two people to ask for it.
func (c *Client) PurgeData(ctx context.Context, id string) (api.DataPurged, error) {
	return post[api.DataPurged](ctx, c, held(id, "purge"), nil)
}

// SearchData begins to look for the row that does harm.
func (c *Client) SearchData(ctx context.Context, b api.DataSearchBody) (desk.Search, error) {
	return post[desk.Search](ctx, c, "/data/searches", b)
}

// DataSearches are the searches of late, newest first.
func (c *Client) DataSearches(ctx context.Context) ([]desk.Search, error) {
	s, err := get[api.DataSearches](ctx, c, "/data/searches")
	return s.Searches, err
}

// DataSearch says how far a search is.
func (c *Client) DataSearch(ctx context.Context, id string) (desk.Search, error) {
	return get[desk.Search](ctx, c, "/data/searches/"+url.PathEscape(id))
}

// StopSearch stops a search; what it has taken away is put back first.
func (c *Client) StopSearch(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, "/data/searches/"+url.PathEscape(id)+"/stop", nil, nil)
}
