package outbox

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/store"
)

const (
	storeWait = 5 * time.Second // before the store is asked again after it failed
	lookWait  = time.Minute     // the longest wait: a clock that was set is noticed by then
)

// lane is what one goroutine works on.
type lane struct {
	url  string // empty: the lane of strays, which sends nothing
	key  []byte
	bell chan struct{} // holds one token when there may be something new

	pause time.Time // the receiver asked to be left alone until then; only its goroutine reads it
}

func newLane() *lane { return &lane{bell: make(chan struct{}, 1)} }

func (l *lane) ring() {
	select {
	case l.bell <- struct{}{}:
	default:
	}
}

// entry is what is known of a stored message, without its body.
type entry struct {
	m         Message
	rev       store.Revision // that it was read at or written at
	sent      bool           // its receiver has it; only the deletion is owed
	pushedOut bool           // too many wait
	away      bool           // it failed because of its receiver, not because of itself
	yielded   bool           // an older one went before it, since its last try
	notBefore time.Time      // the store failed
}

// lane gives who works on an entry. What is pushed out must not wait for a
// receiver that hangs.
func (b *Box) lane(e *entry) *lane {
	if l := b.lanes[e.m.Channel]; l != nil && !e.pushedOut {
		return l
	}
	return b.stray
}

// due says when there is something to do about an entry, if ever.
func (l *lane) due(e *entry) (at time.Time, ever bool) {
	switch {
	case e.pushedOut, e.sent:
		at = e.notBefore
	case !e.m.Dead.IsZero():
		return at, false
	case l.url == "":
		at = e.m.Expires
	default:
		at = e.m.NextTry
	}
	if at.Before(e.notBefore) {
		at = e.notBefore
	}
	return at, true
}

// next gives the oldest message of a lane that is due, or how long to wait. What
// waits for a receiver that was away goes before what is newer, due or not: else
// "we are back" would arrive before "we are looking into it". It does so once for
// each try of a newer one, lest one that makes its receiver fail holds up others.
func (b *Box) next(l *lane) (id string, wait time.Duration) {
	now := b.o.Now()
	wait = lookWait
	b.mu.Lock()
	defer b.mu.Unlock()
	var oldest, first *entry
	for _, e := range b.entries {
		if b.lane(e) != l {
			continue
		}
		if e.away && e.m.Dead.IsZero() && (first == nil || older(e.m, first.m) < 0) {
			first = e
		}
		at, ever := l.due(e)
		left := at.Sub(now)
		if l.url != "" && left > maxWait { // nothing ever waits that long: the clock was set back
			left = 0
		}
		switch {
		case !ever:
		case left > 0:
			wait = min(wait, left)
		case oldest == nil || older(e.m, oldest.m) < 0:
			oldest = e
		}
	}
	if pause := l.pause.Sub(now); pause > 0 && pause <= maxWait {
		return "", min(pause, lookWait)
	}
	switch {
	case oldest == nil:
		return "", wait
	case first != nil && older(first.m, oldest.m) < 0 && !oldest.yielded:
		oldest.yielded = true
		return first.m.ID, 0
	}
	return oldest.m.ID, 0
}

func older(a, b Message) int {
	return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
}

// work handles a lane's messages until ctx ends.
func (b *Box) work(ctx context.Context, l *lane) {
	for ctx.Err() == nil {
		id, wait := b.next(l)
		if id != "" {
			b.handle(ctx, l, id)
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-l.bell:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// follow keeps the entries as the store has them, until ctx ends or the store is
// closed.
func (b *Box) follow(ctx context.Context) error {
	for {
		err := b.watch(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, store.ErrClosed):
			return err
		case !errors.Is(err, store.ErrCompacted):
			b.o.Logger.Warn("the outbox can't be read", "error", err)
		}
		timer := time.NewTimer(storeWait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (b *Box) watch(ctx context.Context) error {
	kvs, rev, err := b.o.Store.List(ctx, prefix)
	if err != nil {
		return err
	}
	b.load(kvs, rev)
	return b.o.Store.Watch(ctx, prefix, rev, func(c store.Change) bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.learn(c)
		b.bound()
		return true
	})
}

// load takes what a listing at a revision holds, and forgets what it does not.
func (b *Box) load(kvs []store.KV, rev store.Revision) {
	b.mu.Lock()
	defer b.mu.Unlock()
	listed := make(map[string]bool, len(kvs))
	for _, kv := range kvs {
		listed[kv.Key] = true
		b.learn(store.Change{KV: kv})
	}
	for id, e := range b.entries {
		if !listed[prefix+id] && e.rev <= rev {
			delete(b.entries, id)
		}
	}
	b.bound()
}

// learn takes one change of the store, which may be older than what is known. It is
// called with mu held.
func (b *Box) learn(c store.Change) {
	id := strings.TrimPrefix(c.Key, prefix)
	e := b.entries[id]
	switch {
	case e != nil && e.rev >= c.Modified:
	case c.Deleted:
		delete(b.entries, id)
	default:
		m, err := decode(c.KV)
		if err != nil {
			b.o.Logger.Error("a stored message can't be read", "message", id, "error", err)
			delete(b.entries, id)
			return
		}
		m.Body = nil
		e = &entry{m: m, rev: c.Modified, sent: e != nil && e.sent, away: m.Attempts > 0}
		b.entries[id] = e
		b.lane(e).ring()
	}
}

// bound pushes out what is more than MaxMessages: the dead first, then the oldest.
// It is called with mu held.
func (b *Box) bound() {
	if len(b.entries) <= MaxMessages {
		return
	}
	staying := make([]*entry, 0, len(b.entries))
	for _, e := range b.entries {
		if !e.pushedOut {
			staying = append(staying, e)
		}
	}
	if len(staying) <= MaxMessages {
		return
	}
	slices.SortFunc(staying, func(x, y *entry) int {
		if x.m.Dead.IsZero() != y.m.Dead.IsZero() {
			if y.m.Dead.IsZero() {
				return -1
			}
			return 1
		}
		return older(x.m, y.m)
	})
	for _, e := range staying[:len(staying)-MaxMessages] {
		e.pushedOut = true
	}
	b.stray.ring()
}

// decode reads a stored message.
func decode(kv store.KV) (Message, error) {
	var m Message
	if err := json.Unmarshal(kv.Value, &m); err != nil {
		return m, err
	}
	if prefix+m.ID != kv.Key {
		return m, fault.New(fault.Internal, "it is stored under another name")
	}
	return m, nil
}
