package levertest

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"sync"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
)

// Orders stands in for the engine: it keeps what is ordered, shuts out older
// tokens, and puts every change in force before it returns.
type Orders struct {
	inForce func(positions map[string]string, flags map[string]json.RawMessage) error

	mu        sync.Mutex // guards all below
	positions map[string]string
	sent      map[string]share // of visitors, to other positions
	flags     map[string]json.RawMessage
	shares    map[string]int  // percent, of the flags that have an order
	known     map[string]bool // flags that exist
	fence     map[string]uint64
	writes    int
	fail      error
}

// NewOrders makes Orders of sites at positions and of flags without an order.
// inForce is told the whole of what is ordered at each change, and once now.
func NewOrders(positions map[string]string, flags []string, inForce func(positions map[string]string, flags map[string]json.RawMessage) error) (*Orders, error) {
	o := &Orders{inForce: inForce, positions: maps.Clone(positions), sent: map[string]share{}, flags: map[string]json.RawMessage{}, shares: map[string]int{}, known: map[string]bool{}, fence: map[string]uint64{}}
	for _, f := range flags {
		o.known[f] = true
	}
	return o, inForce(maps.Clone(o.positions), maps.Clone(o.flags))
}

// Fail makes every order come to err from now on, without effect; nil ends it.
func (o *Orders) Fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fail = err
}

// Writes is how many orders came through.
func (o *Orders) Writes() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.writes
}

// Position implements lever.Orders.
func (o *Orders) Position(ctx context.Context, site string) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	at, known := o.positions[site]
	if !known {
		return "", fault.New(fault.NotFound, "there is no site %q", site)
	}
	return at, ctx.Err()
}

// Move implements lever.Orders.
func (o *Orders) Move(ctx context.Context, site, position string, t lever.Token) error {
	return o.change(ctx, "site/"+site, t, func() {
		o.positions[site] = position
		delete(o.sent, site)
	})
}

// share is who is sent elsewhere.
type share struct {
	position string
	percent  int
}

// Share implements lever.Orders. What it orders is not told to inForce: Shared gives it.
func (o *Orders) Share(ctx context.Context, site, position string, percent int, t lever.Token) error {
	return o.change(ctx, "site/"+site, t, func() {
		delete(o.sent, site)
		if percent > 0 {
			o.sent[site] = share{position, percent}
		}
	})
}

// Shared implements lever.Orders.
func (o *Orders) Shared(ctx context.Context, site string) (position string, percent int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.sent[site]
	return s.position, s.percent, ctx.Err()
}

// Flag implements lever.Orders.
func (o *Orders) Flag(ctx context.Context, key string) (json.RawMessage, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.known[key] {
		return nil, fault.New(fault.NotFound, "there is no feature %q", key)
	}
	return bytes.Clone(o.flags[key]), ctx.Err()
}

// SetFlag implements lever.Orders.
func (o *Orders) SetFlag(ctx context.Context, key string, value json.RawMessage, t lever.Token) error {
	return o.change(ctx, "flag/"+key, t, func() {
		delete(o.flags, key)
		delete(o.shares, key)
		if value != nil {
			o.flags[key] = bytes.Clone(value)
		}
	})
}

// ShareFlag implements lever.Orders.
func (o *Orders) ShareFlag(ctx context.Context, key string, percent int, t lever.Token) error {
	value, err := o.Flag(ctx, key)
	switch {
	case err != nil:
		return err
	case percent < 0 || percent > 100:
		return fault.New(fault.Invalid, "a share of %d percent can't be", percent)
	case value == nil:
		return fault.New(fault.Conflict, "nothing is ordered for the feature %q", key)
	}
	return o.change(ctx, "flag/"+key, t, func() { o.shares[key] = percent })
}

// SharedFlag is how many percent of those who ask have the flag's own value although another
// is ordered.
func (o *Orders) SharedFlag(key string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.shares[key]
}

func (o *Orders) change(ctx context.Context, what string, t lever.Token, f func()) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fault.New(fault.Unavailable, "order").Because(err)
	}
	if o.fail != nil {
		return o.fail
	}
	if t.Revision < o.fence[what] {
		return fault.New(fault.Conflict, "a newer order has been given since")
	}
	o.fence[what] = t.Revision
	o.writes++
	f()
	return o.inForce(maps.Clone(o.positions), maps.Clone(o.flags))
}
