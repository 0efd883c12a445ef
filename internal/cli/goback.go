package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
)

func (a *app) goBack() *cobra.Command {
	return group("go-back", "Go back: sanity checks first, then everything is put back", a.goBackStart(), a.goBackAdvance(), a.stepBack(), a.endWatch())
}

func (a *app) goBackStart() *cobra.Command {
	var b api.GoBackBody
	var wait bool
	return a.command(act{
		use: "start", short: "Start the return", args: cobra.NoArgs, site: true, doing: "Going back", reason: "one sentence: why anyway, where a guard rail says no",
		long: "Start the return: the real site is asked directly until its sanity checks have passed often enough in a row, then everything is put back.",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&b.Because, "because", "", "what changed, in one sentence")
			cmd.Flags().BoolVar(&wait, "wait", false, "wait until everybody is back on the real site, or the return was given up")
		},
		example: "  lifeboat go-back start --because \"The power is back\" --wait",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			b.Reason = in.reason
			res, err := c.GoBack(ctx, in.site, b)
			if err != nil || !wait {
				return res, err
			}
			return a.awaitReturn(ctx, c, in.site, res)
		},
	})
}

// lookEvery is how often a waiting command looks.
const lookEvery = 500 * time.Millisecond

// awaitReturn looks until the return is over. Giving it up is a failure: visitors
// are safe, and not back.
func (a *app) awaitReturn(ctx context.Context, c *apiclient.Client, site string, res api.Result) (api.Result, error) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for res.Incident.Phase == incident.FailBack {
		select {
		case <-ctx.Done():
			return res, ctx.Err()
		case <-tick.C:
		}
		in, err := c.Incident(ctx, res.Incident.ID)
		if err != nil {
			return res, err
		}
		res.Incident = in
	}
	if res.Incident.Phase == incident.Diagnose || res.Incident.Phase == incident.FailOver {
		return res, fault.New(fault.Unavailable, "the return was given up: visitors are where they were before").WithHint("why is told by: lifeboat timeline %s", res.Incident.ID)
	}
	line, err := c.Timeline(ctx, res.Incident.ID)
	if err != nil {
		return res, err
	}
	res.Events = slices.DeleteFunc(line.Events, func(e api.Event) bool { return len(res.Events) > 0 && e.Seq < res.Events[0].Seq })
	return res, nil
}

func (a *app) goBackAdvance() *cobra.Command {
	return a.command(act{
		use: "advance", short: "Go on before the sanity checks are all in", args: cobra.NoArgs, site: true, doing: "Going on", reason: "one sentence: why not wait",
		example: "  lifeboat go-back advance --reason \"I looked myself\"",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			return c.Advance(ctx, in.site, in.reason)
		},
	})
}

func (a *app) stepBack() *cobra.Command {
	return a.command(act{
		use: "step-back", short: "Go back to safety; asks nothing and is never refused", args: cobra.NoArgs, site: true, doing: "Going back to safety",
		example: "  lifeboat go-back step-back",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			return c.StepBack(ctx, in.site)
		},
	})
}

func (a *app) endWatch() *cobra.Command {
	return a.command(act{
		use: "end-watch", short: "End the watch before its time", args: cobra.NoArgs, site: true, doing: "Ending the watch", reason: "one sentence: why not wait",
		example: "  lifeboat go-back end-watch --reason \"It has been quiet all day\"",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			return c.EndWatch(ctx, in.site, in.reason)
		},
	})
}

// streaks says how far the sanity checks are.
func streaks(r *incident.Return) string {
	text := ""
	for _, name := range sorted(r.Streak) {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%s %d of %d in a row", name, r.Streak[name], r.Needed)
	}
	if text == "" {
		return "none yet"
	}
	return text
}
