package demo

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/demo/shop"
)

// changeTime bounds telling lifeboat of a change: a pipeline waits for nobody either.
const changeTime = 2 * time.Second

// past is what had changed before anybody touched the shop: what a diagnosis has to
// look through. Nothing of it is ever the cause.
var past = []struct {
	ago  time.Duration
	body api.ChangeBody
}{
	{20 * time.Hour, api.ChangeBody{ID: "release-412", Kind: "deploy", What: "Release 412 of the shop was deployed to main and backup", Who: "Grace", Source: "ci", Ref: "release-412", Service: "shop"}},
	{3 * time.Hour, api.ChangeBody{ID: "openssl", Kind: "package", What: "openssl was updated from 3.0.15 to 3.0.16", Who: "unattended-upgrades", Source: "apt"}},
	{2 * time.Hour, api.ChangeBody{ID: "backup", Kind: "schedule", What: "The nightly backup of the books ran for four minutes", Who: "cron", Source: "cron"}},
	{50 * time.Minute, api.ChangeBody{ID: "banner", Kind: "configuration", What: "The line on the home page says that it rains", Who: "Edsger", Source: "cms", Service: "shop"}},
	{25 * time.Minute, api.ChangeBody{ID: "newsletter", Kind: "traffic", What: "The newsletter went out to 12,000 people", Who: "Edsger", Source: "newsletter"}},
}

// harmChange is what somebody changed when the shop breaks in this way; a way that is
// not here comes out of the blue.
var harmChange = map[shop.Harm]api.ChangeBody{
	shop.BadRelease:     {Kind: "deploy", What: "Release 413 of the shop was deployed to main", Who: "Grace", Source: "ci", Ref: "release-413", Service: "shop"},
	shop.LeakyRelease:   {Kind: "deploy", What: "Release 415 of the shop was deployed to main", Who: "Grace", Source: "ci", Ref: "release-415", Service: "shop"},
	shop.PoisonRow:      {Kind: "other", What: "The supplier's list of products was read in: one is new", Who: "import", Source: "cron", Service: "books"},
	shop.SlowDependency: {Kind: "configuration", What: "The stock service was moved to another machine", Who: "The warehouse", Source: "mail", Service: "stock"},
	shop.FullDisk:       {Kind: "schedule", What: "The quarterly export of all orders was begun", Who: "cron", Source: "cron", Service: "books"},
	shop.Flaky:          {Kind: "schedule", What: "The job that counts visits was begun", Who: "cron", Source: "cron", Service: "books"},
}

// tellPast writes into the book of changes what had happened before today's crisis. A
// demo that is started twice a day tells it once.
func tellPast(ctx context.Context, c *apiclient.Client, now time.Time) error {
	for _, p := range past {
		body := p.body
		body.ID, body.At = fmt.Sprintf("demo-%s-%s", body.ID, now.UTC().Format("20060102")), now.Add(-p.ago).UTC()
		if err := tellChange(ctx, c, body); err != nil {
			return fmt.Errorf("tell of a change: %w", err)
		}
	}
	return nil
}

func tellChange(ctx context.Context, c *apiclient.Client, body api.ChangeBody) error {
	ctx, cancel := context.WithTimeoutCause(ctx, changeTime, fmt.Errorf("it took longer than %s", changeTime))
	defer cancel()
	body.Site = siteID
	_, err := c.AddChange(ctx, body)
	return err
}

// tellHarm tells lifeboat what changed when the shop broke, as a pipeline or a cron job
// would. A lifeboat that does not listen misses it.
func (b *boat) tellHarm(ctx context.Context, how shop.Harm, at time.Time) {
	body, told := harmChange[how]
	if !told {
		return
	}
	c, err := b.client()
	if err == nil {
		body.At = at.UTC()
		err = tellChange(ctx, c, body)
	}
	if err != nil {
		slog.New(slog.NewTextHandler(b.log, nil)).Warn("lifeboat was not told of a change", "change", body.What, "cause", err)
	}
}
