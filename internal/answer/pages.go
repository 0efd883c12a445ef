package answer

import (
	"context"
	"maps"
	"time"

	"lifeboat/internal/board"
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

// renderOnce makes all pages. Sites' own names come first: they wait for no status page.
func (a *Answer) renderOnce() {
	a.renderSites()
	if a.renderStatus() {
		a.renderSites()
	}
}

// inView are the sites as visitors are sent to them, and what the pages are made of.
func (a *Answer) inView() (sites []snapshot.Site, orders map[string]snapshot.SiteOrder, facts board.Facts, version string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, part := range []string{snapshot.PartStatus, snapshot.PartHistory, snapshot.PartSites} {
		version += a.manifest.Parts[part].SHA256
	}
	orders, facts = inViewOf(a.manifest, a.contents, a.local, a.o.Now())
	return a.contents.Sites, orders, facts, version
}

// inViewOf is what a snapshot and the local orders make of each site.
func inViewOf(m snapshot.Manifest, c snapshot.Contents, l snapshot.Local, now time.Time) (map[string]snapshot.SiteOrder, board.Facts) {
	orders := map[string]snapshot.SiteOrder{}
	facts := board.Facts{Sheet: c.Boards(), History: c.History, Ordered: map[string]board.Ordered{}, Now: now}
	for _, s := range c.Sites {
		o := m.Sites[s.ID]
		if pos := snapshot.Effective(m, l, s); pos != o.Position {
			o = localOrder(l, s, pos)
		}
		orders[s.ID] = o
		facts.Ordered[s.ID] = ordered(s, o)
	}
	return orders, facts
}

// renderSites makes the pages of the sites' own names, with the status pages as they
// were rendered last.
func (a *Answer) renderSites() {
	a.rendering.Lock()
	defer a.rendering.Unlock()
	sites, orders, facts, _ := a.inView()
	seen := map[string][]statuspage.Seen{}
	for _, st := range a.prober.Seen() {
		seen[st.Target.Site] = append(seen[st.Target.Site], statuspage.Seen{Place: st.Target.Place, Check: st.Check.Name, Seen: st.Seen, LastAt: st.Last.At, Every: st.Check.Every})
	}
	v, err := standby.Compile(standby.Input{Sites: sites, Orders: orders, Seen: seen, Now: facts.Now, Before: a.pages.Load()})
	if err != nil {
		a.o.Logger.Error("the pages were not rendered", "cause", err)
		return
	}
	if err := v.AddStatus(a.statused); err != nil { // the other names go on
		a.o.Logger.Error("a status page is not at its name", "cause", err)
	}
	a.pages.Store(v)
	a.standby.Set(v)
}

// renderStatus makes the status pages; those of before stay where they can't be made.
func (a *Answer) renderStatus() bool {
	a.writing.Lock()
	defer a.writing.Unlock()
	sites, orders, facts, version := a.inView()
	facts.Seen = boardSeen(a.prober.Seen())
	facts, messages := heard(facts, sites, orders)
	version += messages
	pages, err := a.statuses.Render(facts, version)
	if err != nil {
		a.o.Logger.Error("the status pages were not rendered", "cause", err)
		return false
	}
	a.rendering.Lock()
	defer a.rendering.Unlock()
	a.statused = pages
	return len(pages) > 0
}

// heard adds what crews told visitors that the board has not been told yet.
func heard(f board.Facts, sites []snapshot.Site, orders map[string]snapshot.SiteOrder) (board.Facts, string) {
	messages := ""
	for _, s := range sites {
		if o := orders[s.ID]; s.Shadow == "" && o.Message != "" {
			f = f.Heard(s.ID, statuspage.Symptom("", s.Title), o.Message, o.Since)
			messages += o.Message
		}
	}
	return f, messages
}

// ordered is where a site's visitors are sent, as status pages see it.
func ordered(s snapshot.Site, o snapshot.SiteOrder) board.Ordered {
	out := board.Ordered{Position: o.Position, Home: s.Home, Since: o.Since}
	if o.Share != nil {
		out.Share = o.Share.Position
	}
	return out
}

// boardSeen is what the checks see, as status pages take it.
func boardSeen(sights []prober.Status) []board.Seen {
	var out []board.Seen
	for _, st := range sights {
		s := board.Seen{Site: st.Target.Site, Place: st.Target.Place, Check: st.Check.Name, Seen: st.Seen, At: st.Last.At, Every: st.Check.Every}
		if st.Last.Verdict == probe.Pass {
			s.Took = st.Last.Took
		}
		out = append(out, s)
	}
	return out
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
		st.Visits[site] = feed.Visits{Failover: c.Failover, Late: c.Late, Checks: c.Checks, Waiting: c.Waiting}
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
