package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/api"
	"lifeboat/internal/apiclient"
	"lifeboat/internal/feed"
	"lifeboat/internal/incident"
)

// watchEvery is how often --watch looks.
const watchEvery = time.Second

func (a *app) status() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{Use: "status", Short: "One screen: what is seen, what is ordered, what to do next", Args: cobra.NoArgs, Example: "  lifeboat status --watch"}
	r := a.remote(cmd)
	cmd.Flags().BoolVar(&watch, "watch", false, "look again each second, and show what has changed, until stopped")
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

// watch looks until it is stopped, and shows what has changed. What can't be reached is
// told and tried again: the next look may succeed.
func (a *app) watch(ctx context.Context, c *apiclient.Client, asJSON bool) error {
	tick := time.NewTicker(cmp.Or(a.every, watchEvery))
	defer tick.Stop()
	last := ""
	for first := true; ; first = false {
		o, err := c.Status(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && first:
			return err
		case err != nil:
			if text := err.Error(); text != last {
				last = text
				a.explain(err)
			}
		default:
			if last, err = a.redraw(o, last, asJSON); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// redraw shows the state where it differs from what was shown last. A screen is drawn
// anew, ages and all; elsewhere only what matters counts, and stands below the last one.
func (a *app) redraw(o api.Overview, last string, asJSON bool) (shown string, err error) {
	switch now := stillOf(o); {
	case asJSON:
		if now != last {
			err = json.NewEncoder(a.o.Out).Encode(o)
		}
		return now, err
	case !a.o.Screen:
		if now != last {
			a.screen(o)
			a.printf("\n")
		}
		return now, nil
	}
	var screen bytes.Buffer
	b := &app{o: a.o, out: &plainWriter{&screen}, err: a.err}
	b.screen(o)
	if screen.String() == last {
		return last, nil
	}
	_, err = fmt.Fprint(a.o.Out, "\x1b[H\x1b[2J", screen.String()) // home, wipe; the rest holds no control characters
	return screen.String(), err
}

// stillOf is what of a state matters: no ages, no counts that grow by themselves.
func stillOf(o api.Overview) string {
	o.Now, o.Signing = time.Time{}, nil
	o.Answer.Counters, o.Answer.HeardAt, o.Answer.Waiting = nil, time.Time{}, 0
	sites := slices.Clone(o.Sites)
	for i := range sites {
		sites[i].Visits = feed.Visits{}
		seen := slices.Clone(sites[i].Seen)
		for j := range seen {
			seen[j].AgeMS, seen[j].Checks = 0, nil
		}
		sites[i].Seen = seen
	}
	o.Sites = sites
	b, _ := json.Marshal(o) // it came as JSON
	return string(b)
}

// screen is one look at everything.
func (a *app) screen(o api.Overview) {
	for i, s := range o.Sites {
		if i > 0 {
			a.printf("\n")
		}
		a.site(o, s)
	}
	if line := signedFor(o); line != "" {
		a.printf("\n%s\n", line)
	}
	for _, line := range troubles(o) {
		a.printf("\n! %s\n", line)
	}
}

// offCard are the pulls that hold of levers which are not on the card, such as those that
// take rows away.
func offCard(in incident.Incident, s api.SiteView) []incident.Pull {
	return slices.DeleteFunc(in.Holding(), func(p incident.Pull) bool {
		return slices.ContainsFunc(s.Levers, func(l api.LeverView) bool { return l.Name == p.Lever })
	})
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
	if in != nil {
		for _, p := range offCard(*in, s) {
			t.row("lever", p.Lever, string(p.State), p.Title)
		}
		loop(t, *in, now)
	}
	if slices.ContainsFunc(s.Levers, func(l api.LeverView) bool { return l.Kind == "feature" && l.State != "free" }) {
		for _, line := range heard(o) {
			t.row("heard", line)
		}
	}
	for _, p := range parkedOf(s) {
		t.row("parked", p.Lever, parkedWords(p, now), p.Parked.Reason)
	}
	t.end()
	if in != nil {
		a.lastEvents(s.Tail)
	}
	a.printf("\n")
	for _, line := range next(orNone(in), &s, now) {
		a.printf("next: %s\n", line)
	}
}

// heard tells who has heard of a kill switch as it is now.
func heard(o api.Overview) []string {
	h := o.Answer.Heard
	return slices.DeleteFunc([]string{
		h.Pages.Words("open page", "open pages", clock), h.Servers.Words("program", "programs", clock), h.Copies.Words("copy", "copies", clock),
	}, func(s string) bool { return s == "" })
}

// loop are the rows of an open incident: what is known, what it might be, the fix, and
// what people were promised.
func loop(t *table, in incident.Incident, now time.Time) {
	for _, role := range sorted(in.Roles) {
		t.row("role", role, in.Roles[role])
	}
	if n := len(in.Evidence); n > 0 {
		t.row("evidence", many(n, "piece"), deciding(in))
	}
	for _, c := range in.Causes {
		t.row("cause", c.ID, stateOf(c), short(c.Statement, 80)+balance(c))
	}
	f, found := in.FixInFlight()
	if !found {
		f, found = in.FixPlanned()
	}
	if !found {
		f, found = in.LastFix()
	}
	if found {
		t.row("fix", f.ID, fixWords[f.State], short(f.Change, 80)+"; promised: "+f.Promise.Words())
	}
	if !in.UpdateDue.IsZero() {
		t.row("news", "promised", promised(in.UpdateDue, now))
	}
}

// deciding is what decides by itself, of all evidence.
func deciding(in incident.Incident) string {
	for _, e := range in.Evidence {
		if e.Deciding != "" {
			return e.ID + ": " + e.Deciding
		}
	}
	return ""
}

// balance says what speaks for and against a possible cause.
func balance(c incident.Cause) string {
	count := map[string]int{}
	for _, w := range c.Weights {
		count[w.Stance]++
	}
	if len(c.Weights)+len(c.Tests) == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d for, %d against, %s)", count[incident.For], count[incident.Against], many(len(c.Tests), "test"))
}

func promised(at, now time.Time) string {
	if now.After(at) {
		return "for " + clock(at) + ", overdue by " + lasted(now.Sub(at))
	}
	return "for " + clock(at) + ", in " + lasted(at.Sub(now))
}

// parkedOf are the levers that stay pulled: of the open incident, or of an ended one.
func parkedOf(s api.SiteView) []incident.Pull {
	if s.Incident != nil && s.Incident.Phase.Open() {
		return s.Incident.ParkedPulls()
	}
	return slices.DeleteFunc(slices.Clone(s.Parked), func(p incident.Pull) bool { return p.Parked == nil })
}

func parkedWords(p incident.Pull, now time.Time) string {
	text := "by " + p.Parked.Owner + " until " + day(p.Parked.Until)
	if now.After(p.Parked.Until) {
		text += ", overdue"
	}
	return text
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
	return fmt.Sprintf("%s met the status page, %d of them after the return", count(s.Visits.Failover+s.Visits.Late, "request"), s.Visits.Late)
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
	if o.Signing != nil && o.Signing.Problem != "" {
		out = append(out, "The zones could not be signed anew: "+o.Signing.Problem+". "+signedFor(o))
	}
	if o.Waiting > 0 {
		out = append(out, many(o.Waiting, "message")+" could not go out yet. Next: lifeboat queue list")
	}
	return out
}

func orNone(in *incident.Incident) incident.Incident {
	if in == nil {
		return incident.Incident{}
	}
	return *in
}

func sorted[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
