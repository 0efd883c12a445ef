package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
)

func (a *app) levers() *cobra.Command {
	cmd := &cobra.Command{Use: "levers", Short: "The card: what can be pulled now, its effect, when it was last rehearsed", Args: cobra.NoArgs, Example: "  lifeboat levers"}
	r := a.remote(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		levers, err := c.Levers(cmd.Context())
		if err != nil {
			return err
		}
		if r.json {
			return a.writeJSON(api.Levers{Levers: levers})
		}
		a.card(levers)
		return nil
	}
	return cmd
}

func (a *app) card(levers []api.LeverView) {
	if len(levers) == 0 {
		a.printf("There is no lever yet: add some to the configuration.\n")
		return
	}
	t := a.table()
	t.row("LEVER", "SITE", "STATE", "REHEARSED", "WHAT IT DOES")
	for _, l := range levers {
		t.row(l.Name, l.Site, leverState(l), rehearsed(l, a.o.Now()), strings.TrimSpace(l.Title+". "+l.Says))
	}
	t.end()
	a.printf("\nTo pull one: lifeboat pull LEVER. To put it back: lifeboat put-back LEVER.\n")
}

// leverState says whether a lever is pulled, and how it stands if so.
func leverState(l api.LeverView) string {
	switch {
	case l.Drifted:
		return "pulled, changed by somebody else"
	case l.State == "active":
		return "pulled"
	case l.State == "unknown":
		return "we can't tell: look"
	case l.State == "applying":
		return "being pulled"
	case l.State == "undoing":
		return "being put back"
	case l.Proposed:
		return "proposed"
	}
	return l.State
}

// rehearsed says when a lever was rehearsed last, and whether that still counts.
func rehearsed(l api.LeverView, now time.Time) string {
	d := l.Drill
	switch {
	case d.At.IsZero():
		return "never"
	case !d.OK:
		return lasted(now.Sub(d.At)) + " ago, failed"
	case !l.Armed:
		return lasted(now.Sub(d.At)) + " ago, too long"
	}
	return lasted(now.Sub(d.At)) + " ago, armed"
}

func (a *app) pull() *cobra.Command {
	return a.command(act{
		use: "pull LEVER", short: "Pull a lever; done once its effect was seen from outside", args: cobra.ExactArgs(1), complete: theLevers, doing: "Doing it, and looking from outside",
		long:    "Pull a lever. Without an open incident this declares one. It is done once its effect was seen from outside, and can be put back.",
		reason:  "one sentence: why, where the lever is not armed or the standby does not answer",
		example: "  lifeboat pull to-standby",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			return c.Pull(ctx, in.args[0], in.reason)
		},
	})
}

func (a *app) putBack() *cobra.Command {
	return a.command(act{
		use: "put-back LEVER", short: "Put a lever back", args: cobra.ExactArgs(1), complete: theLevers, example: "  lifeboat put-back to-standby", doing: "Putting it back, and looking from outside",
		long:   "Put one lever back. Soon after the pull this is free; later it exposes visitors again, and is the return: lifeboat go-back start.",
		reason: "one sentence: why it is put back outside the return",
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			return c.PutBack(ctx, in.args[0], in.reason)
		},
	})
}

// drilled is what one rehearsal came to, for --json.
type drilled struct {
	Lever string `json:"lever"`
	api.DrillRecord
}

func (a *app) drill() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "drill LEVER | --all", Short: "Rehearse a lever on a name that is nobody's: there and back, measured", Args: cobra.MaximumNArgs(1),
		Example: "  lifeboat drill --all",
		Long:    "Rehearse a lever on a name that is nobody's: there and back, measured from outside. A good one arms the lever: it can then be pulled without a word. Visitors notice nothing.",
	}
	r := a.remote(cmd)
	cmd.ValidArgsFunction = a.completion(r, theLevers)
	cmd.Flags().BoolVar(&all, "all", false, "rehearse every lever on the card")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if all == (len(args) == 1) {
			return usage("name one lever, or say --all")
		}
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		if all {
			levers, err := c.Levers(cmd.Context())
			if err != nil {
				return err
			}
			for _, l := range levers {
				args = append(args, l.Name)
			}
		}
		return a.rehearse(cmd.Context(), c, args, r.json)
	}
	return cmd
}

func (a *app) rehearse(ctx context.Context, c *apiclient.Client, names []string, asJSON bool) error {
	var out []drilled
	good := true
	done := a.steps(len(names), "Rehearsing")
	for _, name := range names {
		var rec api.DrillRecord
		one := func(ctx context.Context) (err error) { rec, err = c.Drill(ctx, name); return err }
		err := error(nil)
		if len(names) == 1 {
			err = a.slowly(ctx, "Rehearsing "+name, one)
		} else {
			err = one(ctx)
		}
		if err != nil {
			return err
		}
		done()
		good = good && rec.OK
		out = append(out, drilled{name, rec})
	}
	if err := a.scores(out, asJSON); err != nil || good {
		return err
	}
	return silent{exitFailed}
}

func (a *app) scores(out []drilled, asJSON bool) error {
	if asJSON {
		return a.writeJSON(map[string]any{"drills": out})
	}
	t := a.table()
	t.row("LEVER", "RESULT", "THERE", "BACK", "ARMED UNTIL")
	for _, d := range out {
		if !d.OK {
			t.row(d.Lever, "failed: "+d.Detail)
			continue
		}
		if d.LookedOnly {
			t.row(d.Lever, "looked at: nothing was moved", "", "", day(d.ArmedUntil))
			continue
		}
		t.row(d.Lever, "good", fmt.Sprintf("%d ms", d.ThereMS), fmt.Sprintf("%d ms", d.BackMS), day(d.ArmedUntil))
	}
	t.end()
	return nil
}
