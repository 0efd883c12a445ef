package cli

import (
	"context"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
)

// act is a command that changes something in an incident.
type act struct {
	use, short, long, example string

	args   cobra.PositionalArgs
	doing  string // shown while it takes long
	reason string // what --reason is for; "" for no such flag
	site   bool   // it is about a site, which --site names
	flags  func(*cobra.Command)
	do     func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error)
}

type actInput struct {
	site, reason string
	args         []string
}

// command makes the cobra command of an act.
func (a *app) command(x act) *cobra.Command {
	in := actInput{}
	cmd := &cobra.Command{Use: x.use, Short: x.short, Long: x.long, Example: x.example, Args: x.args}
	r := a.remote(cmd)
	if x.reason != "" {
		cmd.Flags().StringVar(&in.reason, "reason", "", x.reason)
	}
	if x.site {
		cmd.Flags().StringVar(&in.site, "site", "", "the site it is about, where there are several")
	}
	if x.flags != nil {
		x.flags(cmd)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		in.args = args
		return a.act(cmd.Context(), r, x, in)
	}
	return cmd
}

func (a *app) act(ctx context.Context, r *remote, x act, in actInput) error {
	c, err := a.client(ctx, r)
	if err != nil {
		return err
	}
	if x.site {
		if in.site, err = siteOf(ctx, c, in.site); err != nil {
			return err
		}
	}
	var res api.Result
	err = a.slowly(ctx, x.doing, func(ctx context.Context) (err error) {
		res, err = x.do(ctx, c, in)
		return err
	})
	if err != nil {
		return err
	}
	if r.json {
		return a.writeJSON(res)
	}
	a.outcome(res)
	return nil
}

// outcome tells what an act came to: what was written down, where we are, and what
// to do next.
func (a *app) outcome(res api.Result) {
	for _, e := range res.Events {
		a.printf("%s\n", e.Text)
	}
	a.printf("\n%s (%s)\n", words(res.Incident.Phase), res.Incident.Title)
	for _, line := range next(res.Incident, nil) {
		a.printf("  next: %s\n", line)
	}
}
