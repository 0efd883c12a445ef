package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/incident"
)

// watchEvery is how often --watch looks.
const watchEvery = time.Second

func (a *app) status() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{Use: "status", Short: "One screen: what is seen, what is ordered, what to do next", Args: cobra.NoArgs}
	r := a.remote(cmd)
	cmd.Flags().BoolVar(&watch, "watch", false, "look again each second until stopped")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.client(cmd.Context(), r)
		if err != nil {
			return err
		}
		if watch {
			return a.watch(cmd.Context(), c, r.json)
		}
		o, err := c.Status(cmd.Context())
		if err != nil {
			return err
		}
		if r.json {
			return a.writeJSON(o)
		}
		a.screen(o)
		return nil
	}
	return cmd
}

// watch looks until it is stopped. What can't be reached is told and tried again: the
// next look may succeed.
func (a *app) watch(ctx context.Context, c *apiclient.Client, asJSON bool) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for first := true; ; first = false {
		o, err := c.Status(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && first:
			return err
		case err != nil:
			a.explain(err)
		case asJSON:
			if err := json.NewEncoder(a.o.Out).Encode(o); err != nil {
				return fmt.Errorf("write: %w", err)
			}
		default:
			a.redraw(o)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// redraw draws the screen anew, or below the last one where nothing can be wiped.
func (a *app) redraw(o api.Overview) {
	if a.o.Screen {
		_, _ = fmt.Fprint(a.o.Out, "\x1b[H\x1b[2J") // home, wipe
	}
	a.screen(o)
	if !a.o.Screen {
		a.printf("\n")
	}
}

// screen is one look at everything.
func (a *app) screen(o api.Overview) {
	for i, s := range o.Sites {
		if i > 0 {
			a.printf("\n")
		}
		a.site(o, s)
	}
	for _, line := range troubles(o) {
		a.printf("\n! %s\n", line)
	}
}

func (a *app) site(o api.Overview, s api.SiteView) {
	in, now := s.Incident, o.Now
	if in == nil || !in.Phase.Open() {
		in = nil
		a.printf("%s (%s): %s\n", s.Title, s.ID, calm(s, o.Answer.Connected))
	} else {
		a.printf("%s (%s): %s, for %s\n%s  %s\n", s.Title, s.ID, words(in.Phase), lasted(now.Sub(in.Since)), in.ID, in.Title)
	}
	a.printf("\n")
	t := a.table()
	a.places(t, s)
	t.row("ordered", s.Ordered.Position, since(now, s.Ordered.Since), visits(s))
	for _, l := range s.Levers {
		t.row("lever", l.Name, leverState(l), "rehearsed "+rehearsed(l, now))
	}
	t.end()
	if in != nil {
		a.lastEvents(s.Tail)
	}
	a.printf("\n")
	for _, line := range next(orNone(in), &s) {
		a.printf("next: %s\n", line)
	}
}

func (a *app) places(t *table, s api.SiteView) {
	for _, p := range s.Seen {
		age := "never asked"
		if p.AgeMS >= 0 {
			age = lasted(time.Duration(p.AgeMS)*time.Millisecond) + " ago"
		}
		detail := ""
		for _, c := range p.Checks {
			if c.Last.Detail != "" && c.Last.Verdict != "pass" {
				detail = c.Check + ": " + c.Last.Detail
			}
		}
		name := p.Place
		if p.Role == "home" {
			name += " (home)"
		}
		t.row("seen", name, string(p.Seen)+", "+age, detail)
	}
}

// lastLines is how many events a screen shows.
const lastLines = 5

func (a *app) lastEvents(tail []api.Event) {
	a.printf("\n")
	for _, e := range tail[max(0, len(tail)-lastLines):] {
		a.printf("%s  %s\n", clock(e.At), e.Text)
	}
}

// calm says how a site without an open incident is: only what is seen counts, and
// only while somebody looks.
func calm(s api.SiteView, looking bool) string {
	if !looking {
		return "We can't tell whether it works."
	}
	for _, p := range s.Seen {
		if p.Place != s.Ordered.Position {
			continue
		}
		switch p.Seen {
		case "up":
			return "All is well."
		case "down":
			return "It is seen down, and nobody has declared an incident."
		}
	}
	return "We can't tell whether it works."
}

func since(now, at time.Time) string {
	if at.IsZero() {
		return "as always"
	}
	return "since " + lasted(now.Sub(at))
}

func visits(s api.SiteView) string {
	if s.Visits.Failover+s.Visits.Late == 0 {
		return ""
	}
	return fmt.Sprintf("%d requests met the status page, %d of them after the return", s.Visits.Failover+s.Visits.Late, s.Visits.Late)
}

// troubles are lifeboat's own.
func troubles(o api.Overview) []string {
	var out []string
	if !o.Answer.Connected {
		out = append(out, "The answer process is not connected: it goes on answering, and no lever can be pulled from here. Next: lifeboat answer status")
	} else if o.Answer.Problem != "" {
		out = append(out, "The answer process: "+o.Answer.Problem+". Next: lifeboat answer status")
	}
	if o.Record.Degraded {
		out = append(out, fmt.Sprintf("The record can't be written (%s): levers work, %d entries wait in the journal. Next: make room on the disk", o.Record.Reason, o.Record.Pending))
	}
	return out
}

// next says what to do next in an incident. s adds what is on the card; nil leaves
// it out.
func next(in incident.Incident, s *api.SiteView) []string {
	for _, p := range in.Holding() {
		if p.State == incident.Stuck {
			return []string{fmt.Sprintf("we can't tell whether %s took effect: look with lifeboat check, then pull it again or put it back", p.Lever)}
		}
	}
	switch in.Phase {
	case incident.None, incident.Closed, incident.Cancelled:
		return []string{"if something looks wrong: lifeboat declare"}
	case incident.FailOver:
		if s != nil && len(in.Holding()) == 0 && homeUp(s) {
			return []string{"the site is seen up again; if it was a false alarm: lifeboat cancel", "else " + firstMove(in, s)}
		}
		return []string{firstMove(in, s), `or, if visitors should stay where they are: lifeboat no-failover --reason "why"`}
	case incident.Diagnose, incident.Fix:
		if len(in.Holding()) == 0 {
			return []string{"find out what happened; write down what you see: lifeboat note TEXT", "when it is well again: lifeboat cancel"}
		}
		return []string{"find out what happened; write down what you see: lifeboat note TEXT", `when it is fixed: lifeboat go-back start --because "what changed"`}
	case incident.FailBack:
		return returning(in)
	case incident.Watch:
		return []string{"watching until " + clock(in.WatchUntil), "if it breaks again: lifeboat go-back step-back"}
	}
	return []string{`it is over. Close it: lifeboat close --reason "why no post-mortem"`}
}

func returning(in incident.Incident) []string {
	if in.Return == nil {
		return nil
	}
	if in.Return.Passed {
		return []string{"everything is being put back; to go back to safety: lifeboat go-back step-back"}
	}
	lines := []string{"sanity checks: " + streaks(in.Return)}
	if in.Return.Held != "" {
		lines[0] += "; we can't tell: " + in.Return.Held
	}
	return append(lines, `wait, or go on: lifeboat go-back advance --reason "why"; to go back to safety: lifeboat go-back step-back`)
}

// homeUp says whether the checks of the home origin pass.
func homeUp(s *api.SiteView) bool {
	for _, p := range s.Seen {
		if p.Role == "home" {
			return p.Seen == "up"
		}
	}
	return false
}

// firstMove names the lever to pull: the proposed one, else the first that leads to
// the standby.
func firstMove(in incident.Incident, s *api.SiteView) string {
	name := in.Proposed
	if name == "" && s != nil {
		for _, l := range s.Levers {
			if l.To == "standby" {
				name = l.Name
				break
			}
		}
	}
	if name == "" {
		return "get visitors to safety: lifeboat levers, then lifeboat pull LEVER"
	}
	return "get visitors to safety: lifeboat pull " + name
}

func orNone(in *incident.Incident) incident.Incident {
	if in == nil {
		return incident.Incident{}
	}
	return *in
}

func sorted[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
