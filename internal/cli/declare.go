package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
)

func (a *app) declare() *cobra.Command {
	var b api.DeclareBody
	var since string
	return a.command(act{
		use: "declare [SITE]", short: "Say that something is wrong", args: cobra.MaximumNArgs(1), site: true, doing: "Declaring",
		long:    "Say that something is wrong. Nothing moves by this, and nothing can be broken by it; a false alarm ends with: lifeboat cancel.",
		example: "  lifeboat declare\n  lifeboat declare shop --symptom nothing-loads --title \"The data centre is dark\"",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&b.Title, "title", "", "what people will call it")
			cmd.Flags().StringVar(&b.Symptom, "symptom", "", "nothing-loads, some-pages, one-thing, wrong-data or not-sure")
			cmd.Flags().StringVar(&b.Noticed, "noticed", "", "who noticed: monitor, visitor, staff or social")
			cmd.Flags().StringVar(&since, "since", "", "when it began: a time like 2026-03-01T09:00:00Z, or how long ago, like 20m")
		},
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			at, err := a.began(since)
			if err != nil {
				return api.Result{}, err
			}
			b.FirstSymptomAt = at
			if len(in.args) > 0 {
				in.site = in.args[0]
			}
			return c.Declare(ctx, in.site, b)
		},
	})
}

// began reads when something began: a time, or how long ago.
func (a *app) began(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return a.o.Now().Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, usage("--since: %q is neither a time like 2026-03-01T09:00:00Z nor a duration like 20m", text)
	}
	return at, nil
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

func (a *app) noFailover() *cobra.Command {
	return a.command(act{
		use: "no-failover", short: "Go on without moving visitors", args: cobra.NoArgs, site: true, doing: "Writing it down", reason: "one sentence: why visitors stay where they are",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			return c.NoFailover(ctx, in.site, in.reason)
		},
	})
}

func (a *app) cancel() *cobra.Command {
	return a.command(act{
		use: "cancel", short: "It was a false alarm", args: cobra.NoArgs, site: true, doing: "Cancelling", reason: "one sentence: what it was",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			return c.Cancel(ctx, in.site, in.reason)
		},
	})
}

func (a *app) close() *cobra.Command {
	return a.command(act{
		use: "close", short: "Close the incident", args: cobra.NoArgs, site: true, doing: "Closing", reason: "one sentence: why there is no post-mortem",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			return c.Close(ctx, in.site, in.reason)
		},
	})
}
