package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/fault"
)

// act is a command that changes something in an incident.
type act struct {
	use, short, long, example string

	args     cobra.PositionalArgs
	complete completer // of what args name
	doing    string    // shown while it takes long
	reason   string    // what --reason is for; "" for no such flag
	site     bool      // it is about a site, which --site names
	argued   bool      // its arguments may name the site, too: do finds it
	incident bool      // it is about an incident, open or ended, which --incident names
	flags    func(*cobra.Command)
	do       func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error)
}

type actInput struct {
	site, incident, reason string
	args                   []string
}

// arg is the argument at a place, "" where there is none.
func (in actInput) arg(i int) string {
	if i < len(in.args) {
		return in.args[i]
	}
	return ""
}

// command makes the cobra command of an act.
func (a *app) command(x act) *cobra.Command {
	in := actInput{}
	cmd := &cobra.Command{Use: x.use, Short: x.short, Long: x.long, Example: x.example, Args: x.args}
	r := a.remote(cmd)
	if x.reason != "" {
		cmd.Flags().StringVar(&in.reason, "reason", "", x.reason)
	}
	if x.site || x.incident {
		cmd.Flags().StringVar(&in.site, "site", "", "the site it is about, where there are several")
	}
	if x.incident {
		cmd.Flags().StringVar(&in.incident, "incident", "", "the incident it is about, open or ended (default: the open one, or the last)")
	}
	if x.flags != nil {
		x.flags(cmd)
	}
	if x.complete != nil {
		cmd.ValidArgsFunction = a.completion(r, x.complete)
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
	switch {
	case x.site && !x.argued:
		in.site, err = siteOf(ctx, c, in.site)
	case x.incident:
		in.incident, err = incidentOf(ctx, c, in.incident, in.site)
	}
	if err != nil {
		return err
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
	if len(res.Events) == 0 {
		a.printf("Nothing had to be done: it is so already.\n")
	}
	a.printf("\n%s (%s)\n", words(res.Incident.Phase), res.Incident.Title)
	for _, line := range next(res.Incident, nil, a.o.Now()) {
		a.printf("  next: %s\n", line)
	}
}

// look is a command that shows something of an incident, open or ended.
type look struct {
	use, short, example string

	args     cobra.PositionalArgs
	complete completer
	flags    func(*cobra.Command)
	show     func(ctx context.Context, c *apiclient.Client, in api.Incident, args []string, asJSON bool) error
}

// looking makes the cobra command of a look.
func (a *app) looking(x look) *cobra.Command {
	var named, site string
	cmd := &cobra.Command{Use: x.use, Short: x.short, Example: x.example, Args: x.args}
	r := a.remote(cmd)
	cmd.Flags().StringVar(&named, "incident", "", "the incident it is about (default: the open one, or the last)")
	cmd.Flags().StringVar(&site, "site", "", "the site it is about, where there are several")
	if x.flags != nil {
		x.flags(cmd)
	}
	if x.complete != nil {
		cmd.ValidArgsFunction = a.completion(r, x.complete)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		c, err := a.client(ctx, r)
		if err != nil {
			return err
		}
		id, err := incidentOf(ctx, c, named, site)
		if err != nil {
			return err
		}
		in, err := c.Incident(ctx, id)
		if err != nil {
			return err
		}
		return x.show(ctx, c, in, args, r.json)
	}
	return cmd
}

// incidentOf is the incident named, the open one, or the last that was real.
func incidentOf(ctx context.Context, c *apiclient.Client, named, site string) (string, error) {
	if named != "" {
		return named, nil
	}
	heads, err := c.Incidents(ctx)
	if err != nil {
		return "", err
	}
	last := ""
	var open []string
	for _, h := range heads {
		if h.Drill || site != "" && h.Site != site {
			continue
		}
		last = h.ID
		if h.Phase.Open() {
			open = append(open, h.ID)
		}
	}
	switch {
	case len(open) == 1:
		return open[0], nil
	case len(open) > 1:
		return "", usage("several incidents are open: say which with --site, or --incident with one of %s", strings.Join(open, ", "))
	case last == "":
		return "", fault.New(fault.NotFound, "there was no incident yet").WithHint("if something looks wrong: lifeboat declare")
	}
	return last, nil
}

// call is a command that asks for one thing and tells one result; what is no incident's.
type call struct {
	use, short, long, example string

	args  cobra.PositionalArgs
	flags func(*cobra.Command)
	do    func(ctx context.Context, c *apiclient.Client, args []string) (result any, told string, err error)
}

// calling makes the cobra command of a call.
func (a *app) calling(x call) *cobra.Command {
	cmd := &cobra.Command{Use: x.use, Short: x.short, Long: x.long, Example: x.example, Args: x.args}
	r := a.remote(cmd)
	if x.flags != nil {
		x.flags(cmd)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		result, told, err := x.do(cmd.Context(), c, args)
		if err != nil {
			return err
		}
		if r.json {
			return a.writeJSON(result)
		}
		a.printf("%s\n", told)
		return nil
	}
	return cmd
}
