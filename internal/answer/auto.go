package answer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"lifeboat/internal/feed"
	"lifeboat/internal/probe"
	"lifeboat/internal/snapshot"
)

// autoTick is how often the rule for silence looks.
const autoTick = 100 * time.Millisecond

// autopilot fails a site over by itself when control has been silent: as a local
// order, within what the manifest allows.
func (a *Answer) autopilot(ctx context.Context) {
	if a.follow == nil {
		return
	}
	t := time.NewTicker(autoTick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			a.autoOnce()
		}
	}
}

func (a *Answer) autoOnce() {
	silent, now := a.follow.Silent(), a.o.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.contents.Sites {
		in := autoInput{Site: s, Order: a.manifest.Sites[s.ID], Position: exposed(a.manifest, a.local, s), LastAuto: a.local.LastAuto[s.ID], Silent: silent}
		if in.Order.Auto == nil || silent < in.Order.Auto.Silence {
			continue
		}
		in.Seen = a.places(s)
		if o, go_ := in.decide(now); go_ {
			o.ID = a.o.NewID()
			last := maps.Clone(a.local.LastAuto)
			if last == nil {
				last = map[string]time.Time{}
			}
			last[s.ID] = now.UTC()
			a.local.LastAuto = last
			if err := a.obey(o); err != nil {
				a.o.Logger.Error("an automatic failover was not made", "site", s.ID, "cause", err)
			}
		}
	}
}

// exposed is where visitors meet the site, be it only a part of them: the less safe of
// the positions in force.
func exposed(m snapshot.Manifest, local snapshot.Local, s snapshot.Site) string {
	at := snapshot.InForce(m, local, s)
	if at.Other != "" {
		return at.Other
	}
	return at.Position
}

// autoInput is all that the rule for silence looks at.
type autoInput struct {
	Site     snapshot.Site
	Order    snapshot.SiteOrder
	Position string // in force
	LastAuto time.Time
	Silent   time.Duration         // since control was last heard
	Seen     map[string]probe.Seen // by place
}

// decide says whether answer moves the site by itself: the site is seen down, control
// is silent, the lever is armed, its standby is healthy (R1, R2), and it has not
// moved by itself within the set time (U4).
func (in autoInput) decide(now time.Time) (snapshot.Order, bool) {
	a := in.Order.Auto
	switch {
	case a == nil, in.Site.Failover != "auto", in.Silent < a.Silence:
	case in.Position != in.Site.Home, in.Seen[in.Position] != probe.Down:
	case !now.Before(a.ArmedUntil), now.Before(a.NotBefore):
	case !in.LastAuto.IsZero() && now.Before(in.LastAuto.Add(a.Gap)):
	case in.Seen[a.Position] != probe.Up:
	default:
		return snapshot.Order{
			Lever: a.Lever, Site: in.Site.ID, Position: a.Position, At: now.UTC(), By: "rule",
			Reason: fmt.Sprintf("%s was seen down and control had been silent for %s.", in.Site.Title, in.Silent.Round(time.Second)),
		}, true
	}
	return snapshot.Order{}, false
}

// places sums up what the checks see of each place of a site.
func (a *Answer) places(s snapshot.Site) map[string]probe.Seen {
	views := map[string][]probe.View{}
	for _, st := range a.prober.Seen() {
		if st.Target.Site == s.ID {
			views[st.Target.Place] = append(views[st.Target.Place], probe.View{Gate: st.Check.Gate || st.Target.Place == snapshot.Standby, Seen: st.Seen})
		}
	}
	out := map[string]probe.Seen{}
	for place, v := range views {
		out[place] = probe.Summarise(v)
	}
	return out
}

// obey puts a local order in force: kept first where the disk allows it, with the
// serials that it will be served with, in force in any case, then reported.
func (a *Answer) obey(o snapshot.Order) error { // with mu held
	if err := snapshot.Toward(o, a.manifest, a.local, a.contents); err != nil {
		return err
	}
	before := a.local
	a.local.Orders = append(slices.Clone(a.local.Orders), o)
	a.local.Serials = a.grown(a.zonesOf(map[string]bool{o.Site: o.Position != ""}))
	if err := a.folder.SaveLocal(a.local); err != nil {
		a.problem = "a local order is in force but could not be kept on disk: " + err.Error()
		a.o.Logger.Error("a local order is not kept on disk", "cause", err)
	}
	if err := a.enforce(nil); err != nil {
		a.local = before
		return errors.Join(err, a.folder.SaveLocal(a.local))
	}
	a.o.Logger.Warn("a local order is in force", "lever", o.Lever, "site", o.Site, "by", o.By)
	a.ring.Add(feed.Report{At: o.At, Order: &o})
	return nil
}

// onTransition hands a change in what is seen to control. It does not block.
func (a *Answer) onTransition(t probe.Transition) {
	a.ring.Add(feed.Report{At: t.At, Transition: &t})
	a.renderSoon()
}
