package answer

import (
	"context"
	"maps"
	"time"

	"lifeboat/internal/feed"
	"lifeboat/internal/probe"
	"lifeboat/internal/prober"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/standby"
	"lifeboat/internal/statuspage"
)

// renderEvery is how old the ages on the pages may get.
const renderEvery = 5 * time.Second

// renderSoon asks for new pages; it does not block.
func (a *Answer) renderSoon() {
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// render makes the pages anew on change and as their ages grow, never in a request.
func (a *Answer) render(ctx context.Context) {
	t := time.NewTicker(renderEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-a.changed:
		}
		a.renderOnce()
		a.standby.Rotate()
		a.heedDegraded()
		a.heedProofs()
	}
}

// heedDegraded lets answers about a site that is seen down somewhere be kept half as
// long: it may be moved soon.
func (a *Answer) heedDegraded() {
	now := map[string]bool{}
	for _, st := range a.prober.Seen() {
		if st.Seen == probe.Down && st.Target.Place != snapshot.Standby {
			now[st.Target.Site] = true
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.table == nil || maps.Equal(now, a.degraded) {
		return
	}
	before := a.degraded
	a.degraded = now
	if err := a.enforce(a.givenOf(changedSites(before, now))); err != nil {
		a.degraded = before
		a.trouble(err)
		return
	}
	if len(a.gives) > 0 { // the serials that secondaries have seen
		a.keepSerials()
	}
}

func (a *Answer) renderOnce() {
	sights := a.prober.Seen()
	a.mu.Lock()
	sites, orders := a.contents.Sites, map[string]snapshot.SiteOrder{}
	for _, s := range sites {
		o := a.manifest.Sites[s.ID]
		if pos := snapshot.Effective(a.manifest, a.local, s); pos != o.Position {
			o = localOrder(a.local, s, pos)
		}
		orders[s.ID] = o
	}
	a.mu.Unlock()
	seen := map[string][]statuspage.Seen{}
	for _, st := range sights {
		seen[st.Target.Site] = append(seen[st.Target.Site], statuspage.Seen{Place: st.Target.Place, Check: st.Check.Name, Seen: st.Seen, LastAt: st.Last.At, Every: st.Check.Every})
	}
	v, err := standby.Compile(standby.Input{Sites: sites, Orders: orders, Seen: seen, Now: a.o.Now(), Before: a.pages.Load()})
	if err != nil {
		a.o.Logger.Error("the pages were not rendered", "cause", err)
		return
	}
	a.pages.Store(v)
	a.standby.Set(v)
}

// secure serves HTTPS with the snapshot's certificates. What can't be used is told and
// left out; it takes nothing from the rest.
func (a *Answer) secure(c snapshot.Contents) { // with mu held
	for _, problem := range a.standby.SetCertificates(c.Certificates) {
		a.o.Logger.Warn("a certificate can't be served", "cause", problem)
	}
	authorities := map[string][][]byte{}
	for _, s := range c.Sites {
		authorities[s.ID] = s.Trust
	}
	a.trusted.Set(authorities)
}

// countDoor adds how the standby's door is doing.
func countDoor(m map[string]uint64, l standby.Load, strays uint64) {
	maps.Copy(m, map[string]uint64{
		"standby_open": l.Open, "standby_full": l.Full, "standby_greedy": l.Greedy, "standby_shed": l.Shed,
		"standby_unasked": l.Unasked, "standby_handshakes": l.Handshakes, "standby_unknown_names": l.Unknown, "standby_strays": strays,
	})
}

// localOrder is what the page is told of a site that a local order moved.
func localOrder(l snapshot.Local, s snapshot.Site, pos string) snapshot.SiteOrder {
	o := snapshot.SiteOrder{Position: pos}
	for _, lo := range l.Orders {
		if lo.Site == s.ID && lo.Position == pos {
			o.Since = lo.At
		}
	}
	return o
}

// jobs are the checks of all places of all sites, by address.
func jobs(sites []snapshot.Site) []prober.Job {
	var out []prober.Job
	for _, s := range sites {
		if s.Shadow != "" {
			continue
		}
		for _, place := range s.Places {
			for _, t := range s.Targets(place) {
				if place == snapshot.Standby {
					out = append(out, prober.Job{Target: t, Check: s.Standing})
					continue
				}
				for _, c := range s.Checks {
					out = append(out, prober.Job{Target: t, Check: c})
				}
			}
		}
	}
	return out
}

// status is what answer says of itself.
func (a *Answer) status() feed.Status {
	st := feed.Status{At: a.o.Now().UTC(), Visits: map[string]feed.Visits{}, Heard: a.ofrep.Heard()}
	for _, s := range a.prober.Seen() {
		st.Sights = append(st.Sights, feed.Sight{
			Site: s.Target.Site, Place: s.Target.Place, Check: s.Check.Name, Gate: s.Check.Gate, Every: s.Check.Every, Seen: s.Seen, Since: s.Since, Last: s.Last, Target: s.Target.Address,
		})
	}
	for site, c := range a.standby.Counts() {
		st.Visits[site] = feed.Visits{Failover: c.Failover, Late: c.Late, Checks: c.Checks}
	}
	dns, flags := a.dns.Counts(), a.ofrep.Counts()
	st.Counters = counters(dns, flags)
	countDoor(st.Counters, a.standby.Load(), a.standby.Strays())
	countAsked(st.Counters, a.dns.Asked(mostAsked))
	a.exchanged(st.Counters)
	st.Waiting, st.Gaps = a.ring.Stats()
	a.mu.Lock()
	defer a.mu.Unlock()
	st.Epoch, st.Revision, st.Problem = a.manifest.Epoch, a.manifest.Revision, a.problem
	return st
}
