package desk

import (
	"context"
	"slices"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/fault"
)

// Crew is what the crew of an incident told the public: it goes onto the page by itself.
type Crew struct {
	ID    string // the crew's incident
	Site  string
	Title board.Text
	Began time.Time
	News  []News // oldest first
}

// News is one message of theirs.
type News struct {
	ID     string
	Text   string
	Step   board.Step
	By     string
	NextIn time.Duration
}

// Follow puts what crews told onto the page: each message once, whenever it is called. A
// message that the page can't take is said in the log and left out.
func (d *Desk) Follow(ctx context.Context, crews []Crew) {
	for _, c := range crews {
		for _, n := range c.News {
			if err := d.follow(ctx, c, n); err != nil && fault.KindOf(err) != fault.Conflict {
				d.o.Logger.Warn("a message to the public is not on the status page", "incident", c.ID, "update", n.ID, "cause", err)
			}
		}
	}
}

func (d *Desk) follow(ctx context.Context, c Crew, n News) error {
	d.mu.Lock()
	known, found := board.Incident{}, false
	for _, in := range d.records.Incidents {
		if in.Crew == c.ID {
			known, found = in, true
		}
	}
	states := d.touched(c.Site)
	d.mu.Unlock()
	who := board.Who{Name: n.By, Via: "incident " + c.ID}
	text := board.Text{"": n.Text}
	if !found {
		_, err := d.Do(ctx, who, board.OpenIncident{
			Title: c.Title, Text: text, Step: n.Step, States: states, StartedAt: c.Began, NextIn: n.NextIn, Crew: c.ID, Site: c.Site, First: n.ID,
		})
		return err
	}
	if slices.ContainsFunc(known.Updates, func(u board.Update) bool { return u.ID == n.ID }) {
		return nil
	}
	if n.Step == board.Resolved {
		states = nil
	}
	_, err := d.Do(ctx, who, board.UpdateIncident{ID: known.ID, Text: text, Step: n.Step, States: states, NextIn: n.NextIn, Crew: n.ID})
	return err
}

// touched are the components that a site measures, as they are shown now.
func (d *Desk) touched(site string) map[string]board.State { // with mu held
	out := map[string]board.State{}
	for _, def := range d.o.Settings.Components {
		if !slices.ContainsFunc(def.Measured, func(m board.Measure) bool { return m.Site == site }) {
			continue
		}
		state := d.shown[def.ID]
		if !slices.Contains(board.States(), state) || state == board.Maintained {
			state = board.Operational
		}
		out[def.ID] = state
	}
	return out
}
