package engine

import (
	"context"
	"time"

	"lifeboat/internal/incident"
	"lifeboat/internal/store"
)

// The keys of what outlives an incident.
const (
	keyHome   = "home/"   // SITE → homeOrder: the home that people made permanent
	keyParked = "parked/" // SITE → []incident.Pull: levers that stay pulled, with no incident open
)

// loadHomes takes homes made permanent into use; where the file agrees by now they are
// forgotten.
func (e *Engine) loadHomes(ctx context.Context) error {
	homes := map[string]homeOrder{}
	if err := list(ctx, e.o.Store, keyHome, homes); err != nil {
		return err
	}
	var writes []store.Write
	for id, h := range homes {
		s, known := e.contents().Site(id)
		_, has := s.Positions[h.Place]
		if known && !has {
			e.o.Logger.Warn("a place that was made home is not in the configuration any more", "site", id, "place", h.Place, "home", s.Home)
		}
		if !known || !has || s.Home == h.Place {
			delete(homes, id)
			writes = append(writes, store.Write{Key: keyHome + id, Delete: true})
		}
	}
	if len(writes) > 0 {
		if _, err := e.o.Store.Txn(ctx, nil, writes); err != nil {
			return err
		}
	}
	e.mu.Lock()
	e.homes = homes
	e.mu.Unlock()
	return e.setWorld(withHomes(e.contents(), homes))
}

// newHome says which place events make a site's home: where the pull on top, which is
// the last of them, has led.
func (r *runner) newHome(events []incident.Event, next incident.Incident) (h homeOrder, settled bool) {
	for _, ev := range events {
		if ev.Type != incident.LeverSettled {
			continue
		}
		if p, known := next.Pull(ev.Subject.ID); known {
			h, settled = homeOrder{Place: p.To, At: ev.At, By: ev.Actor.Name, Was: r.site().Home}, true
		}
	}
	return h, settled
}

// settleHome takes a new home into use: what is served does not move, only what counts
// as home.
func (r *runner) settleHome(h homeOrder) error {
	e := r.e
	e.changing.Lock()
	defer e.changing.Unlock()
	e.mu.Lock()
	e.homes[r.id] = h
	e.mu.Unlock()
	return e.setWorld(withHomes(e.contents(), map[string]homeOrder{r.id: h}))
}

// homeWarnings say where the configuration file disagrees with a home made permanent.
func (e *Engine) homeWarnings() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []string
	for _, id := range e.ids {
		if h, has := e.homes[id]; has {
			out = append(out, h.warning(id))
		}
	}
	return out
}

// parkedOverdue says whether a parked lever's date has passed.
func parkedOverdue(p incident.Pull, now time.Time) bool {
	return p.Parked != nil && now.After(p.Parked.Until)
}
