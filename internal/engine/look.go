package engine

import (
	"context"
	"encoding/json"
	"slices"

	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/lever"
	"lifeboat/internal/store"
)

// LookAt looks at a pulled lever now and records what is seen where that ends the pull:
// what somebody put back, or gave up, beside the lever. It also lets a lever go that an
// ended incident had left parked. A lever that is not pulled is no error.
func (e *Engine) LookAt(ctx context.Context, site, name string) error {
	r, known := e.runners[site]
	if !known {
		return errNoSite(site)
	}
	r.mu.Lock()
	held := append(r.in.Holding(), r.parked...)
	r.mu.Unlock()
	i := slices.IndexFunc(held, func(p incident.Pull) bool { return p.Lever == name })
	if i < 0 {
		return nil
	}
	p := held[i]
	var plan lever.Plan
	driver, known := e.drivers[p.Kind]
	if err := json.Unmarshal(p.Plan, &plan); err != nil || !known {
		return fault.New(fault.Internal, "the plan of %s can't be read", name)
	}
	ctx, cancel := context.WithTimeout(ctx, e.o.Waits.Observe)
	defer cancel()
	obs, err := driver.Observe(ctx, plan, 0)
	if err != nil || obs.World != lever.Before && obs.World != lever.Gone {
		return err
	}
	r.pullEnded(ctx, p, plan, obs)
	return nil
}

// pullEnded records that a pull holds no more, as it was seen.
func (r *runner) pullEnded(ctx context.Context, p incident.Pull, plan lever.Plan, obs lever.Observation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.in.Phase.Open() {
		if err := r.unpark(ctx, p.ID); err != nil {
			r.complain("a lever that ended was not taken off those that are parked", err)
		}
		return
	}
	if now, known := r.in.Pull(p.ID); !known || now.State != p.State { // moved on while we looked
		return
	}
	c := incident.Outcome{Pull: p.ID, Back: true, Result: incident.Done, Detail: obs.Detail, GivenUp: obs.World == lever.Gone}
	if _, err := r.outcome(ctx, p, c, plan); err != nil {
		r.complain("the end of a lever was not recorded", err)
	}
}

// unpark forgets a parked pull, with no incident open.
func (r *runner) unpark(ctx context.Context, id string) error { // with mu held
	left := slices.DeleteFunc(slices.Clone(r.parked), func(p incident.Pull) bool { return p.ID == id })
	w := put(keyParked+r.id, left)
	if len(left) == 0 {
		w = store.Write{Key: keyParked + r.id, Delete: true}
	}
	if _, err := r.e.o.Store.Txn(ctx, nil, []store.Write{w}); err != nil {
		return err
	}
	r.parked = left
	r.show(nil)
	return nil
}
