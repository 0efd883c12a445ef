package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
)

func (a *app) timeline() *cobra.Command {
	var full bool
	cmd := &cobra.Command{Use: "timeline [INCIDENT]", Short: "What happened, in order", Args: cobra.MaximumNArgs(1),
		Long: "What happened in an incident, in order: the open one, or the last, unless another is named. --full adds every single check and who did what through what."}
	r := a.remote(cmd)
	cmd.Flags().BoolVar(&full, "full", false, "every event, with its number, kind and actor")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		id, err := incidentOf(cmd.Context(), c, args)
		if err != nil {
			return err
		}
		line, err := c.Timeline(cmd.Context(), id)
		if err != nil {
			return err
		}
		if r.json {
			return a.writeJSON(line)
		}
		a.events(line, full)
		return nil
	}
	return cmd
}

// incidentOf is the incident named, the open one, or the last that was real.
func incidentOf(ctx context.Context, c *apiclient.Client, args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	heads, err := c.Incidents(ctx)
	if err != nil {
		return "", err
	}
	last := ""
	for _, h := range heads {
		if h.Drill {
			continue
		}
		if h.Phase.Open() {
			return h.ID, nil
		}
		last = h.ID
	}
	if last == "" {
		return "", fault.New(fault.NotFound, "there was no incident yet").WithHint("if something looks wrong: lifeboat declare")
	}
	return last, nil
}

func (a *app) events(line api.Timeline, full bool) {
	if len(line.Events) > 0 {
		a.printf("%s, from %s\n\n", line.Incident, day(line.Events[0].At))
	}
	t := a.table()
	for _, e := range line.Events {
		switch {
		case full:
			t.row(fmt.Sprint(e.Seq), clock(e.At), string(e.Type), actor(e.Actor), e.Text)
		case e.Type != incident.CheckVerdict && e.Type != incident.StageStarted:
			t.row(clock(e.At), e.Text)
		}
	}
	t.end()
	if !line.Intact {
		a.printf("\n! This record was changed after it was written: %s.\n", line.Broken)
	}
}

func actor(by incident.Actor) string {
	name := by.Name
	if name == "" {
		name = by.Kind
	}
	if by.Via == "" {
		return name
	}
	return name + " via " + by.Via
}

func (a *app) incidents() *cobra.Command {
	var drills bool
	cmd := &cobra.Command{Use: "incidents", Short: "All incidents, oldest first", Args: cobra.NoArgs}
	r := a.remote(cmd)
	cmd.Flags().BoolVar(&drills, "drills", false, "drills, too")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		all, err := c.Incidents(cmd.Context())
		if err != nil {
			return err
		}
		heads := make([]api.Head, 0, len(all))
		for _, h := range all {
			if drills || !h.Drill {
				heads = append(heads, h)
			}
		}
		if r.json {
			return a.writeJSON(api.Incidents{Incidents: heads})
		}
		a.heads(heads)
		return nil
	}
	return cmd
}

func (a *app) heads(heads []api.Head) {
	if len(heads) == 0 {
		a.printf("There was no incident yet.\n")
		return
	}
	t := a.table()
	t.row("INCIDENT", "SITE", "DECLARED", "LASTED", "WHERE IT IS", "TITLE")
	for _, h := range heads {
		took := "open"
		if !h.EndedAt.IsZero() {
			took = lasted(h.EndedAt.Sub(h.DeclaredAt))
		}
		t.row(h.ID, h.Site, day(h.DeclaredAt), took, words(h.Phase), h.Title)
	}
	t.end()
}
