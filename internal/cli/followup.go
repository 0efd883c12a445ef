package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/incident"
)

func (a *app) followUp() *cobra.Command {
	end := func(use, state, short, reason string) *cobra.Command {
		return a.command(act{
			use: use + " ID", short: short, args: cobra.ExactArgs(1), incident: true, complete: theFollowUps, doing: "Writing it down", reason: reason,
			example: "  lifeboat follow-up " + use + " a1",
			do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
				return c.EndFollowUp(ctx, in.incident, in.args[0], state, in.reason)
			},
		})
	}
	return group("follow-up", "What is owed after an incident: who, until when, and how anybody sees that it is done", a.followUpAdd(), a.followUpList(), a.followUpChange(),
		end("done", "done", "Say that it is done", "what was done"), end("verify", "verified", "Say that you have looked, and it is so", "what was looked at"),
		end("decline", "declined", "Say that it will not be done", "one sentence: why not"))
}

// followUpFlags are what a new one and a changed one share.
func followUpFlags(cmd *cobra.Command, b *api.FollowUpBody, due *string) {
	f := cmd.Flags()
	f.StringVar(&b.Owner, "owner", "", "who does it")
	f.StringVar(due, "due", "", "until when: a date like 2026-04-01, a time, or from now on, like 14d")
	f.StringVar(&b.DoneWhen, "done-when", "", "how anybody can see that it is done")
	f.StringVar(&b.Class, "class", "", "prevent (default), detect, contain, return_faster or process")
	f.StringVar(&b.Kind, "kind", "", "commitment (default) or idea")
	f.StringVar(&b.Tracker, "tracker", "", "where it is followed")
}

func (a *app) followUpAdd() *cobra.Command {
	var b api.FollowUpBody
	var due string
	return a.command(act{
		use: "add WHAT", short: "Write down what is owed", args: cobra.ExactArgs(1), incident: true, doing: "Writing it down",
		example: "  lifeboat follow-up add \"An alarm for the pool\" --owner Ada --due 14d --done-when \"It rings in a drill\" --class detect",
		flags:   func(cmd *cobra.Command) { followUpFlags(cmd, &b, &due) },
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			b.What = in.args[0]
			if err := a.setDue(&b, due); err != nil {
				return api.Result{}, err
			}
			return c.AddFollowUp(ctx, in.incident, b)
		},
	})
}

func (a *app) setDue(b *api.FollowUpBody, due string) (err error) {
	if due != "" {
		b.Due, err = a.when("--due", due)
	}
	return err
}

func (a *app) followUpChange() *cobra.Command {
	var b api.FollowUpBody
	var due string
	return a.command(act{
		use: "change ID", short: "Change what is owed; what is left out stays", args: cobra.ExactArgs(1), incident: true, complete: theFollowUps, doing: "Writing it down",
		example: "  lifeboat follow-up change a1 --owner Grace --due 2026-04-01",
		flags: func(cmd *cobra.Command) {
			followUpFlags(cmd, &b, &due)
			cmd.Flags().StringVar(&b.What, "what", "", "what is to be done")
		},
		do: func(ctx context.Context, c *apiclient.Client, in actInput) (api.Result, error) {
			if err := a.setDue(&b, due); err != nil {
				return api.Result{}, err
			}
			return c.ChangeFollowUp(ctx, in.incident, in.args[0], b)
		},
	})
}

// owed is a follow-up with its incident, for --json.
type owed struct {
	Incident string `json:"incident"`
	incident.FollowUp
}

func (a *app) followUpList() *cobra.Command {
	var all bool
	var named, site string
	cmd := &cobra.Command{Use: "list", Short: "List what is owed, by an incident or by all of them", Args: cobra.NoArgs, Example: "  lifeboat follow-up list\n  lifeboat follow-up list --all"}
	r := a.remote(cmd)
	f := cmd.Flags()
	f.BoolVar(&all, "all", false, "of all incidents, those that are open")
	f.StringVar(&named, "incident", "", "the incident it is about (default: the open one, or the last)")
	f.StringVar(&site, "site", "", "the site it is about, where there are several")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		c, err := a.client(ctx, r)
		if err != nil {
			return err
		}
		list, err := a.owedBy(ctx, c, all, named, site)
		if err != nil {
			return err
		}
		if r.json {
			return a.writeJSON(map[string]any{"follow_ups": orEmpty(list)})
		}
		a.owedTable(list)
		return nil
	}
	return cmd
}

// owedBy gathers follow-ups of one incident, or the open ones of all.
func (a *app) owedBy(ctx context.Context, c *apiclient.Client, all bool, named, site string) ([]owed, error) {
	var ids []string
	if all {
		heads, err := c.Incidents(ctx)
		if err != nil {
			return nil, err
		}
		for _, h := range heads {
			if !h.Drill && (site == "" || h.Site == site) {
				ids = append(ids, h.ID)
			}
		}
	} else {
		id, err := incidentOf(ctx, c, named, site)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	var out []owed
	for _, id := range ids {
		in, err := c.Incident(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, f := range in.FollowUps {
			if !all || f.State == "open" || f.State == "done" { // done is not verified yet
				out = append(out, owed{id, f})
			}
		}
	}
	return out, nil
}

func (a *app) owedTable(list []owed) {
	if len(list) == 0 {
		a.printf("Nothing is owed.\n")
		return
	}
	t := a.table()
	t.row("INCIDENT", "ID", "STATE", "OWNER", "DUE", "WHAT")
	for _, f := range list {
		t.row(f.Incident, f.ID, f.State, dash(f.Owner), dueWords(f.Due, f.State, a.o.Now()), f.What)
	}
	t.end()
}

func dueWords(at time.Time, state string, now time.Time) string {
	switch {
	case at.IsZero():
		return "-"
	case state == "open" && now.After(at):
		return at.Local().Format(dateOnly) + ", overdue"
	}
	return at.Local().Format(dateOnly)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
