package engine

import (
	"sync"
	"time"

	"lifeboat/internal/feed"
	"lifeboat/internal/probe"
	"lifeboat/internal/snapshot"
)

// sights is what answer's checks see, as last reported: never what is ordered.
type sights struct {
	mu sync.Mutex // guards the rest
	m  map[sightKey]feed.Sight
	at time.Time // of the last status
}

type sightKey struct{ site, place, check, target string }

func newSights() *sights { return &sights{m: map[sightKey]feed.Sight{}} }

// status takes a whole status; checks that it does not name are gone.
func (s *sights) status(st feed.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m, s.at = make(map[sightKey]feed.Sight, len(st.Sights)), st.At
	for _, v := range st.Sights {
		s.m[sightKey{v.Site, v.Place, v.Check, v.Target}] = v
	}
}

// transition takes a change that came before the next status.
func (s *sights) transition(t probe.Transition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := sightKey{t.Target.Site, t.Target.Place, t.Check, t.Target.Address}
	if v, known := s.m[k]; known && v.Since.Before(t.At) {
		v.Seen, v.Since = t.To, t.At
		v.Last.Detail = t.Detail
		s.m[k] = v
	}
}

// elsewhereDown says whether the check sees another address of the same place down.
func (s *sights) elsewhereDown(t probe.Transition) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, v := range s.m {
		if k.site == t.Target.Site && k.place == t.Target.Place && k.check == t.Check && k.target != t.Target.Address && v.Seen == probe.Down {
			return true
		}
	}
	return false
}

// staleAfter is how old a check's last result may be, at the least, before what was
// seen counts no more: answer may have gone since.
const staleAfter = 10 * time.Second

// known is what a sight says now: nothing once its last result is too old.
func known(v feed.Sight, now time.Time) probe.Seen {
	if now.Sub(v.Last.At.Add(v.Last.Took)) > max(staleAfter, 3*v.Every) {
		return probe.Unknown
	}
	return v.Seen
}

// place is what the checks of a place come to now.
func (s *sights) place(site, place string, now time.Time) probe.Seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	var views []probe.View
	for k, v := range s.m {
		if k.site == site && k.place == place {
			views = append(views, probe.View{Gate: v.Gate || place == snapshot.Standby, Seen: known(v, now)})
		}
	}
	return probe.Summarise(views)
}

// last is the newest result of a check at a place, the worst of its addresses.
func (s *sights) last(site, place, check string) (probe.Result, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out probe.Result
	found := false
	for k, v := range s.m {
		if k.site != site || k.place != place || k.check != check {
			continue
		}
		if !found || v.Last.Verdict != probe.Pass {
			out, found = v.Last, true
		}
	}
	return out, found
}

// of gives all sights of a site.
func (s *sights) of(site string) []feed.Sight {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []feed.Sight
	for k, v := range s.m {
		if k.site == site {
			out = append(out, v)
		}
	}
	return out
}

// current says whether a sight is news: it has just changed, or answer's last word on
// all of them is no older. What waited while control stood still may be over.
func (s *sights) current(v feed.Sight, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Sub(v.Since) < fresh || now.Sub(s.at) < fresh
}

// down gives the gate check that is seen down at a place, if what its checks come to
// is down.
func (s *sights) down(site, place string, now time.Time) (feed.Sight, bool) {
	if s.place(site, place, now) != probe.Down {
		return feed.Sight{}, false
	}
	var found feed.Sight
	for _, v := range s.of(site) {
		if v.Place == place && v.Seen == probe.Down && (found.Check == "" || v.Since.Before(found.Since)) {
			found = v
		}
	}
	return found, found.Check != ""
}
