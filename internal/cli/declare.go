package cli

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/fault"
)

func (a *app) declare() *cobra.Command {
	var b api.DeclareBody
	var since string
	return a.command(act{
		use: "declare [SITE] [TITLE]", short: "Say that something is wrong", args: cobra.MaximumNArgs(2), site: true, argued: true, complete: theSites, doing: "Declaring",
		long:    "Say that something is wrong. Nothing moves by this, and nothing can be broken by it; a false alarm ends with: lifeboat cancel.",
		example: "  lifeboat declare\n  lifeboat declare \"The checkout hangs\"\n  lifeboat declare shop --symptom nothing-loads --title \"The data centre is dark\"",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&b.Title, "title", "", "what people will call it")
			cmd.Flags().StringVar(&b.Symptom, "symptom", "", "nothing-loads, some-pages, one-thing, wrong-data or not-sure")
			cmd.Flags().StringVar(&b.Noticed, "noticed", "", "who noticed: monitor, visitor, staff or social")
			cmd.Flags().StringVar(&since, "since", "", "when it began: a time like 2026-03-01T09:00:00Z, or how long ago, like 20m")
			cmd.Flags().StringVar(&b.RecurrenceOf, "recurrence-of", "", "an earlier incident that this looks like")
		},
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			if since != "" {
				at, err := a.ago("--since", since)
				if err != nil {
					return api.Result{}, err
				}
				b.FirstSymptomAt = at
			}
			site, title, err := siteAndTitle(ctx, c, in.args)
			if err != nil {
				return api.Result{}, err
			}
			if title != "" && b.Title != "" {
				return api.Result{}, usage("the title is given twice: %q, and by --title", short(title, 60))
			}
			b.Title = cmp.Or(b.Title, title)
			if site, err = siteOf(ctx, c, cmp.Or(site, in.site)); err != nil {
				return api.Result{}, err
			}
			return c.Declare(ctx, site, b)
		},
	})
}

// siteAndTitle tells a site's name from what people will call the incident: in a hurry
// nobody looks up which comes first.
func siteAndTitle(ctx context.Context, c *apiclient.Client, args []string) (site, title string, err error) {
	if len(args) == 0 {
		return "", "", nil
	}
	o, err := c.Status(ctx)
	if err != nil {
		return "", "", err
	}
	var all []string
	for _, s := range o.Sites {
		all = append(all, s.ID)
	}
	for _, arg := range args {
		switch {
		case site == "" && slices.Contains(all, arg):
			site = arg
		case title == "" && (len(args) == 2 || strings.ContainsAny(arg, " \t")):
			title = arg
		default:
			return "", "", fault.New(fault.NotFound, "there is no site %q", short(arg, 60)).WithHint("name one of %s; a title is given by: lifeboat declare --title %q", strings.Join(all, ", "), short(arg, 60))
		}
	}
	return site, title, nil
}

func (a *app) note() *cobra.Command {
	return a.command(act{
		use: "note TEXT", short: "Write down what you see", args: cobra.ExactArgs(1), site: true, doing: "Writing it down",
		example: "  lifeboat note \"The checkout hangs at the third page\"",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			return c.Note(ctx, in.site, in.args[0])
		},
	})
}

func (a *app) goOn() *cobra.Command {
	cmd := a.command(act{
		use: "go-on", short: "Go on without moving visitors", args: cobra.NoArgs, site: true, doing: "Writing it down", reason: "one sentence: why visitors stay where they are",
		long:    "Go on to finding out what happened without moving visitors. A lever can still be pulled at any time.",
		example: "  lifeboat go-on --reason \"Only the search is broken\"",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			return c.NoFailover(ctx, in.site, in.reason)
		},
	})
	cmd.Aliases = []string{"no-failover"} // its name in earlier versions
	return cmd
}

func (a *app) cancel() *cobra.Command {
	return a.command(act{
		use: "cancel", short: "It was a false alarm", args: cobra.NoArgs, site: true, doing: "Cancelling", reason: "one sentence: what it was",
		example: "  lifeboat cancel --reason \"The check was wrong\"",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			return c.Cancel(ctx, in.site, in.reason)
		},
	})
}

func (a *app) close() *cobra.Command {
	return a.command(act{
		use: "close", short: "Close the incident", args: cobra.NoArgs, site: true, doing: "Closing", reason: "one sentence: why there is no post-mortem, or why anyway",
		long:    "Close the incident after the watch. It asks that the post-mortem is final and what is owed has owner, date and done-when; a reason passes that.",
		example: "  lifeboat close",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			if err := saysEnough(in.reason); err != nil {
				return api.Result{}, err
			}
			return c.Close(ctx, in.site, in.reason)
		},
	})
}
