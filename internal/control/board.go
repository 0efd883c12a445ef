package control

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"path/filepath"
	"slices"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/board/desk"
	"lifeboat/internal/board/door"
	"lifeboat/internal/config"
	"lifeboat/internal/engine"
	"lifeboat/internal/incident"
	"lifeboat/internal/statuspage"
	"lifeboat/internal/store"
	subscribers "lifeboat/internal/subscribe/desk"
)

// The status page's own pace.
const (
	countEvery = 5 * time.Second // at what is shown, to count it
	tellEvery  = 5 * time.Minute // what was measured, to answer
)

// openBoard reads what people wrote on the status page and what was measured for it.
func openBoard(ctx context.Context, o Options, record *store.Guarded, key ed25519.PrivateKey, subscribers *subscribers.Desk) (*desk.Desk, *door.Ring, chan struct{}, error) {
	changed := make(chan struct{}, 1)
	settings := boardSettings(o.Config, key)
	doors := door.New(o.Now)
	if slices.ContainsFunc(settings.Pages, func(p board.Page) bool { return p.Private != nil && p.Private.SignIn }) {
		var err error
		if doors, err = door.Open(filepath.Join(o.Dir, "passes.key"), o.Now); err != nil {
			o.Logger.Warn("who reads the status page by signing in may have to do so again", "cause", err)
		}
	}
	d := desk.New(desk.Options{
		Store: record, Settings: settings, Now: o.Now, NewID: o.NewID, Logger: o.Logger, Passes: doors.Keys, Besides: subscribers.News,
		Degraded: func() bool { _, _, _, degraded := record.Degraded(); return degraded },
		Changed: func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		},
	})
	return d, doors, changed, d.Start(ctx)
}

// boardSettings are what the configuration says of the status page. Cookies of a private
// page are signed with a key that only this control's and the password together make: a
// new password ends them all.
func boardSettings(c *config.Config, key ed25519.PrivateKey) desk.Settings {
	s := desk.Settings{}
	s.Pages, s.Groups, s.Components = c.Board()
	if c.Status != nil {
		s.Rules, s.Templates, s.Zone = c.Status.Rules, c.Status.Templates, c.Status.Page.Location()
	}
	for i, p := range s.Pages {
		if p.Private == nil {
			continue
		}
		private := *p.Private
		private.Console = c.ConsoleURL
		mac := hmac.New(sha256.New, key.Seed())
		mac.Write([]byte("status page\x00" + p.ID + "\x00" + private.Hash))
		private.Key = mac.Sum(nil)
		s.Pages[i].Private = &private
	}
	return s
}

// keepBoard puts what crews tell onto the status page, counts what it shows, announces
// recurring work, and hands all of it to answer as it changes.
func keepBoard(ctx context.Context, o Options, d *desk.Desk, doors *door.Ring, eng *engine.Engine, changed <-chan struct{}) {
	t := time.NewTicker(countEvery)
	defer t.Stop()
	var told time.Time
	titles := map[string]string{}
	for _, s := range o.Config.Sites {
		titles[s.ID] = s.Title
	}
	tell := func(sheet *board.Sheet) {
		if len(d.Settings().Pages) == 0 {
			return
		}
		if err := eng.Tell(ctx, sheet, d.Past()); err != nil {
			o.Logger.Warn("the status page could not be handed to answer; it is tried again", "cause", err)
		}
	}
	words := func() { s := d.Sheet(); tell(&s) }
	words()
	for {
		news := eng.Changed()
		b, _ := visible(d, eng, o.Now())
		d.Show(b)
		d.Follow(ctx, crews(eng.Told(), titles, o.Now()))
		select {
		case <-ctx.Done():
			d.Save(context.WithoutCancel(ctx))
			return
		case <-news:
		case <-changed:
			words()
		case <-t.C:
			d.Tend(ctx)
			if turned, err := doors.Rotate(); err != nil {
				o.Logger.Warn("the keys of the passes to the status page stay as they are", "cause", err)
			} else if turned {
				words()
			}
			if now := o.Now(); look(ctx, d, eng, now) || now.Sub(told) >= tellEvery || now.Before(told) {
				told = now
				tell(nil)
			}
		}
	}
}

// look counts what is shown now.
func look(ctx context.Context, d *desk.Desk, eng *engine.Engine, now time.Time) bool {
	b, seen := visible(d, eng, now)
	return d.Look(ctx, b, seen)
}

// visible is how every component is shown now, and what the checks see.
func visible(d *desk.Desk, eng *engine.Engine, now time.Time) (board.Board, []board.Seen) {
	at, seen := eng.Visible()
	f := board.Facts{Sheet: d.Sheet(), Ordered: at, Seen: seen, Now: now}
	return board.Make(board.Page{Zone: d.Settings().Zone.String()}, f), seen
}

// crews are the incidents of which the public was told something, in the status page's
// words.
func crews(told []engine.Told, titles map[string]string, now time.Time) []desk.Crew {
	var out []desk.Crew
	for _, t := range told {
		c := desk.Crew{ID: t.ID, Site: t.Site, Title: statuspage.Symptom(t.Symptom, titles[t.Site]), Began: t.Began}
		for i, u := range t.Updates {
			n := desk.News{ID: u.ID, Text: u.Text, Step: board.Investigating, By: u.By.Name}
			if i == len(t.Updates)-1 { // how things are now is known of the newest
				n.Step = step(t)
				if u.NextDue.After(now) {
					n.NextIn = u.NextDue.Sub(now).Round(time.Second)
				}
			}
			if u.Final {
				n.Step = board.Resolved
			}
			c.News = append(c.News, n)
		}
		out = append(out, c)
	}
	return out
}

// step is how far an incident is, for visitors.
func step(t engine.Told) board.Step {
	switch t.Phase {
	case incident.Watch, incident.Review, incident.Closed:
		return board.Monitoring
	case incident.Fixing, incident.FailBack:
		return board.Identified
	}
	if t.Diagnosed {
		return board.Identified
	}
	return board.Investigating
}
