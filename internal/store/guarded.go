package store

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lifeboat/internal/fault"
)

// Journal is where transactions are recorded while the primary can't be written;
// package journal keeps it in a file.
type Journal interface {
	// Append MUST be durable once it has returned nil.
	Append(rec []byte) error
	// Records gives all since the last Reset, in order.
	Records() ([][]byte, error)
	// Sync returns nil once all of Records is durable: an earlier life may have
	// failed at its last one.
	Sync() error
	// Reset MUST be durable once it has returned nil.
	Reset() error
}

// GuardOptions of a Guarded; the zero value is usable.
type GuardOptions struct {
	Interval   time.Duration       // between two tries to merge; 1s
	MaxPending int                 // bytes of records that may wait for the primary; 64 MiB
	LastResort func(record []byte) // takes what not even the journal took; if nil a log line that names its keys
	Now        func() time.Time    // time.Now
	Log        *slog.Logger        // slog.Default()
}

func (o GuardOptions) withDefaults() GuardOptions {
	o.Interval = cmp.Or(o.Interval, time.Second)
	o.MaxPending = cmp.Or(o.MaxPending, 64<<20)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.LastResort == nil {
		o.LastResort = func(raw []byte) { tell(o.Log, raw) }
	}
	return o
}

// Guarded is a Store that goes on while its primary can't be written: it then
// records transactions in the journal, keeps them in memory, answers as if they
// were in the primary, and puts them there, with the same revisions, once it can
// be written again.
//
// An acknowledged transaction is in at least one of: the primary, the journal, what
// LastResort leads to, which by default is memory and a log line without its values.
// One that only LastResort has is lost if the process ends before the primary takes it. The primary MUST be readable all the time and MUST
// NOT be written by anybody else.
//
// Concurrency: every method may be called from any goroutine. Run works in the
// goroutine that calls it.
type Guarded struct {
	primary Engine
	journal Journal
	o       GuardOptions
	bell    Bell

	// turn is held by who writes: a Txn or a merge. It guards the fields up to mu.
	turn     chan struct{}
	lastTry  time.Time
	resetDue bool // the journal holds records that are in the primary
	unsure   bool // what an earlier life left in the journal may not be durable

	mu       sync.RWMutex // guards the rest; writers also hold turn
	revision Revision
	overlay  overlay
	since    time.Time // when the primary failed; zero: it works
	reason   string
	untaken  error // why the journal does not take what waits; nil: it does
	strays   [][]byte

	closed atomic.Bool
}

var _ Engine = (*Guarded)(nil)

// Guard puts the primary under guard. What an earlier life left in the journal is
// brought into the primary, or held in memory until it can be. Nobody else may use
// the two from then on. Close closes the primary and leaves the journal to its
// owner. A nil journal is one that takes nothing. It fails only if the primary
// can't be read.
func Guard(ctx context.Context, primary Engine, journal Journal, o GuardOptions) (*Guarded, error) {
	if journal == nil {
		journal = noJournal{}
	}
	g := &Guarded{primary: primary, journal: journal, o: o.withDefaults(), turn: make(chan struct{}, 1)}
	rev, err := primary.Revision(ctx)
	if err != nil {
		return nil, err
	}
	g.revision = rev
	g.overlay.reset()
	if err := g.replay(ctx); err != nil {
		return nil, err
	}
	return g, nil
}

// Life implements Engine: it is the primary's.
func (g *Guarded) Life() string { return g.primary.Life() }

// Degraded says whether transactions wait for the primary (degraded), since when,
// how many, and why, in words for a person.
func (g *Guarded) Degraded() (since time.Time, pending int, reason string, degraded bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	reason = g.reason
	if g.untaken != nil {
		reason += "; and the journal does not take the record: " + g.untaken.Error()
	}
	return g.since, len(g.overlay.pending), reason, !g.since.IsZero()
}

// Strays are the records that the journal held at the start and that do not belong
// to this primary: it was made anew, or is an older copy. They are not applied.
func (g *Guarded) Strays() [][]byte {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return slices.Clone(g.strays)
}

// Get implements Store.
func (g *Guarded) Get(ctx context.Context, key string) (KV, error) {
	if err := g.usable(ctx); err != nil {
		return KV{}, err
	}
	g.mu.RLock()
	c, held := g.overlay.keys[key]
	g.mu.RUnlock()
	if !held {
		return g.primary.Get(ctx, key)
	}
	if c.Deleted {
		return KV{}, NotFound(key)
	}
	return copyKV(c.KV), nil
}

// List implements Store.
func (g *Guarded) List(ctx context.Context, prefix string) ([]KV, Revision, error) {
	g.mu.RLock()
	held, newest := g.overlay.list(prefix)
	g.mu.RUnlock()
	kvs, rev, err := g.primary.List(ctx, prefix)
	if err != nil || rev >= newest { // the primary has all that was held
		return kvs, rev, err
	}
	kvs = slices.DeleteFunc(kvs, func(kv KV) bool { _, ok := held[kv.Key]; return ok })
	for _, c := range held {
		if !c.Deleted {
			kvs = append(kvs, copyKV(c.KV))
		}
	}
	slices.SortFunc(kvs, func(a, b KV) int { return strings.Compare(a.Key, b.Key) })
	return kvs, newest, nil
}

// Changes implements History. A revision is the same in memory and in the primary,
// so that it does not matter which of them a watcher is given.
func (g *Guarded) Changes(ctx context.Context, prefix string, from Revision, limit int) ([]Change, Revision, error) {
	if err := g.usable(ctx); err != nil {
		return nil, 0, err
	}
	g.mu.RLock()
	changes, through, held := g.overlay.changes(prefix, from, limit)
	g.mu.RUnlock()
	if held {
		return changes, through, nil
	}
	return g.primary.Changes(ctx, prefix, from, limit)
}

// Watch implements Store.
func (g *Guarded) Watch(ctx context.Context, prefix string, from Revision, yield func(Change) bool) error {
	return Follow(ctx, g, &g.bell, prefix, from, yield)
}

// Revision implements Store.
func (g *Guarded) Revision(ctx context.Context) (Revision, error) {
	if err := g.usable(ctx); err != nil {
		return 0, err
	}
	g.mu.RLock()
	newest := g.overlay.newest
	g.mu.RUnlock()
	if newest > 0 {
		return newest, nil
	}
	return g.primary.Revision(ctx)
}

// Txn implements Store. It is refused as fault Unavailable only when more waits
// for the primary than may.
func (g *Guarded) Txn(ctx context.Context, conds []Cond, writes []Write) (Revision, error) {
	if err := Check(conds, writes); err != nil {
		return 0, err
	}
	if err := g.take(ctx); err != nil {
		return 0, err
	}
	defer g.give()
	if g.degraded() && g.due() {
		g.merge(ctx)
	}
	if !g.degraded() {
		rev, err := g.primary.Txn(ctx, conds, writes)
		if !failed(ctx, err) {
			g.written(rev, err)
			return rev, err
		}
		g.degrade(err)
	}
	return g.hold(context.WithoutCancel(ctx), conds, writes)
}

// Run merges, every Interval while it is needed, until ctx ends; then it tries a
// last time. It returns ctx's cause.
func (g *Guarded) Run(ctx context.Context) error {
	ticker := time.NewTicker(g.o.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			g.Merge(ctx)
		case <-ctx.Done():
			g.Merge(context.WithoutCancel(ctx))
			return context.Cause(ctx)
		}
	}
}

// Merge tries to bring what waits into the primary now, whatever the Interval.
func (g *Guarded) Merge(ctx context.Context) {
	if g.take(ctx) != nil {
		return
	}
	defer g.give()
	g.merge(ctx)
}

// Close implements Store: it closes the primary. What waits stays in the journal.
func (g *Guarded) Close() error {
	g.closed.Store(true)
	err := g.primary.Close()
	g.bell.Ring()
	return err
}

func (g *Guarded) usable(ctx context.Context) error {
	if g.closed.Load() {
		return ErrClosed
	}
	return context.Cause(ctx)
}

func (g *Guarded) take(ctx context.Context) error {
	if err := g.usable(ctx); err != nil {
		return err
	}
	select {
	case g.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (g *Guarded) give() { <-g.turn }

// failed says whether the primary, not the caller, is why a Txn wasn't done. An
// error that nobody foresaw counts as that: it must not stop a move to safety.
func failed(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrConflict) || errors.Is(err, ErrClosed) {
		return false
	}
	kind := fault.KindOf(err)
	return kind == fault.Unavailable || kind == fault.Internal
}

// written notes what the primary answered.
func (g *Guarded) written(rev Revision, err error) {
	if err != nil {
		return
	}
	g.mu.Lock()
	g.revision = rev
	g.mu.Unlock()
	g.bell.Ring()
}

// noJournal takes nothing.
type noJournal struct{}

func (noJournal) Append([]byte) error        { return fault.New(fault.Unavailable, "there is no journal") }
func (noJournal) Records() ([][]byte, error) { return nil, nil }
func (noJournal) Sync() error                { return nil }
func (noJournal) Reset() error               { return nil }

func copyKV(kv KV) KV {
	kv.Value = append([]byte{}, kv.Value...)
	return kv
}
