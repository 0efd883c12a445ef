package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
)

// lookBack is how old the changes are that are shown unless said.
const lookBack = 24 * time.Hour

func (a *app) changes() *cobra.Command {
	var site, since string
	q := apiclient.ChangesQuery{}
	cmd := &cobra.Command{Use: "changes", Short: "What was changed: in an incident, what came last before it began first", Args: cobra.NoArgs,
		Long:    "What was changed. While an incident is open they are ranked by its beginning: what came last before it is the first thing to look at.",
		Example: "  lifeboat changes\n  lifeboat changes --since 7d"}
	r := a.remote(cmd)
	cmd.Flags().StringVar(&site, "site", "", "the site it is about, where there are several")
	cmd.Flags().StringVar(&since, "since", "", "no older ones: a time, a date, or how long ago, like 2h or 7d (default: a day)")
	cmd.Flags().IntVar(&q.Limit, "limit", 50, "how many, at most 200")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		c, err := a.client(ctx, r)
		if err != nil {
			return err
		}
		q.From = a.o.Now().Add(-lookBack)
		if since != "" {
			if q.From, err = a.ago("--since", since); err != nil {
				return err
			}
		}
		if q.Site, err = siteOf(ctx, c, site); err != nil {
			return err
		}
		found, err := c.Changes(ctx, q)
		if err != nil {
			return err
		}
		if r.json {
			return a.writeJSON(found)
		}
		a.changeTable(found)
		return nil
	}
	cmd.AddCommand(a.changesAdd(), a.changesMark())
	return cmd
}

func (a *app) changeTable(found api.Changes) {
	if len(found.Changes) == 0 {
		a.printf("Nothing is known to have changed in that time. Tell of a change with: lifeboat changes add\n")
		return
	}
	t := a.table()
	t.row("ID", "WHEN", "KIND", "WHO", "WHAT")
	for _, c := range found.Changes {
		when, what := day(c.At), c.What
		if c.When != "" {
			when = c.When
		}
		if c.Suspect {
			what += " (suspected" + remark(c.Note) + ")"
		}
		t.row(c.ID, when, c.Kind, c.Who, what)
	}
	t.end()
}

func remark(note string) string {
	if note == "" {
		return ""
	}
	return ": " + note
}

func (a *app) changesAdd() *cobra.Command {
	var b api.ChangeBody
	var at string
	var allSites bool
	cmd := a.calling(call{
		use: "add WHAT", short: "Tell of a change: the last step of a deployment", args: cobra.ExactArgs(1),
		example: "  lifeboat changes add \"Release 2.4 of the shop\" --kind deploy --ref 4f2a9c1 --id deploy-4711",
		flags: func(cmd *cobra.Command) {
			f := cmd.Flags()
			f.StringVar(&b.Kind, "kind", "", "deploy, configuration, flag, dns, certificate, schema, package, schedule, traffic or other (default)")
			f.StringVar(&at, "at", "", "when it took effect: a time, or how long ago, like 20m (default: now)")
			f.StringVar(&b.Site, "site", "", "the site it concerns (default: the only one)")
			f.BoolVar(&allSites, "all-sites", false, "it concerns all sites")
			f.StringVar(&b.Who, "who", "", "who made it (default: you)")
			f.StringVar(&b.Source, "source", "", "where it is known from")
			f.StringVar(&b.Ref, "ref", "", "where more is told: a commit, an address")
			f.StringVar(&b.Host, "host", "", "where it changed")
			f.StringVar(&b.Service, "service", "", "what changed")
			f.StringVar(&b.ID, "id", "", "its id at its source: the same id again is the same change")
		},
		do: func(ctx context.Context, c *apiclient.Client, args []string) (any, string, error) {
			b.What = args[0]
			if at != "" {
				when, err := a.ago("--at", at)
				if err != nil {
					return nil, "", err
				}
				b.At = when
			}
			if b.Site == "" && !allSites {
				b.Site = onlySite(ctx, c)
			}
			kept, err := c.AddChange(ctx, b)
			return kept, "Written down: " + kept.What + " (" + kept.ID + ")", err
		},
	})
	return cmd
}

// onlySite is the only site, "" where there are several: then a change concerns all.
func onlySite(ctx context.Context, c *apiclient.Client) string {
	o, err := c.Status(ctx)
	if err != nil || len(o.Sites) != 1 {
		return ""
	}
	return o.Sites[0].ID
}

func (a *app) changesMark() *cobra.Command {
	var b api.MarkBody
	var clear bool
	return a.command(act{
		use: "mark ID", short: "Suspect a change, or no longer", args: cobra.ExactArgs(1), site: true, complete: theChanges, doing: "Writing it down",
		example: "  lifeboat changes mark deploy-4711 --note \"It touches the pool\"",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().BoolVar(&clear, "clear", false, "take the mark back")
			cmd.Flags().StringVar(&b.Note, "note", "", "why")
		},
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			b.Suspect = !clear
			return c.MarkChange(ctx, in.site, in.args[0], b)
		},
	})
}
