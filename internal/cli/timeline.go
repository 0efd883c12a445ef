package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/incident"
)

func (a *app) timeline() *cobra.Command {
	var full bool
	var named, site string
	cmd := &cobra.Command{Use: "timeline [INCIDENT]", Short: "What happened, in order", Args: cobra.MaximumNArgs(1), Example: "  lifeboat timeline --full",
		Long: "What happened in an incident, in order: the open one, or the last, unless another is named. --full adds every single check and who did what through what."}
	r := a.remote(cmd)
	cmd.Flags().BoolVar(&full, "full", false, "every event, with its number, kind and actor")
	cmd.Flags().StringVar(&named, "incident", "", "the incident it is about (default: the open one, or the last)")
	cmd.Flags().StringVar(&site, "site", "", "the site it is about, where there are several")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		if len(args) > 0 {
			named = args[0]
		}
		id, err := incidentOf(cmd.Context(), c, named, site)
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

func (a *app) events(line api.Timeline, full bool) {
	if len(line.Events) > 0 {
		a.printf("%s, from %s\n\n", line.Incident, day(line.Events[0].At))
	}
	t := a.table()
	for _, e := range line.Events {
		switch {
		case full:
			t.row(fmt.Sprint(e.Seq), clock(e.At), string(e.Type), actor(e.Actor), e.Text)
		case !quiet(e.Type):
			t.row(clock(e.At), e.Text)
		}
	}
	t.end()
	if !line.Intact {
		a.printf("\n! This record was changed after it was written: %s.\n", line.Broken)
	}
}

// quiet are the events that only the full timeline shows.
func quiet(t incident.Type) bool {
	switch t {
	case incident.CheckVerdict, incident.StageStarted, incident.LeverSharing, incident.FixRead, incident.ChangeSeen:
		return true
	}
	return false
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
	cmd := &cobra.Command{Use: "incidents", Short: "All incidents, oldest first", Args: cobra.NoArgs, Example: "  lifeboat incidents --drills"}
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
