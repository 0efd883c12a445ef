package store

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"lifeboat/internal/fault"
)

// This file is what a Guarded does while its primary can't be written. All of it
// is called with the turn taken.

func (g *Guarded) degraded() bool { return !g.since.IsZero() }

// degrade notes that the primary failed and why.
func (g *Guarded) degrade(err error) {
	now := g.o.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reason = err.Error()
	g.lastTry = now
	if g.since.IsZero() {
		g.since = now
		g.o.Log.Error("the store can't be written, the record is degraded", "error", err)
	}
}

// hold takes a transaction in the primary's place.
func (g *Guarded) hold(ctx context.Context, conds []Cond, writes []Write) (Revision, error) {
	for _, c := range conds {
		kv, err := g.current(ctx, c.Key)
		if err != nil {
			return 0, err
		}
		if kv.Modified != c.Modified {
			return 0, ErrConflict
		}
	}
	h := &held{record: record{Life: g.Life(), Revision: g.revision + 1, Conds: conds}}
	if err := g.stage(ctx, h, writes); err != nil || len(h.changes) == 0 {
		return g.revision, err
	}
	if err := h.encode(); err != nil {
		return 0, fmt.Errorf("encode the record: %w", err)
	}
	if g.overlay.bytes+len(h.raw) > g.o.MaxPending {
		return 0, fault.New(fault.Unavailable, "%d transactions wait for the store, more than memory may hold", len(g.overlay.pending)).
			WithHint("make the store writable again: %s", g.reason)
	}
	g.accept(h)
	g.record()
	g.bell.Ring()
	return h.Revision, nil
}

// stage works out what the writes change, and keeps those that change something.
func (g *Guarded) stage(ctx context.Context, h *held, writes []Write) error {
	for _, w := range writes {
		old, err := g.current(ctx, w.Key)
		if err != nil {
			return err
		}
		if w.Delete && old.Modified == 0 {
			continue
		}
		c := Changed(w, old, h.Revision)
		h.Writes = append(h.Writes, Write{Key: w.Key, Value: c.Value, Delete: w.Delete})
		h.changes = append(h.changes, c)
	}
	sortChanges(h.changes)
	return nil
}

// current is a key as it is now, the zero KV if it is absent.
func (g *Guarded) current(ctx context.Context, key string) (KV, error) {
	kv, err := g.Get(ctx, key)
	if fault.KindOf(err) == fault.NotFound {
		return KV{}, nil
	}
	return kv, err
}

func (g *Guarded) accept(h *held) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.overlay.add(h)
	g.revision = h.Revision
}

// record brings into the journal what is not in it yet, in order, so that it
// always holds the first of what waits without a gap. What it does not take goes
// to LastResort, once, and is tried again with the next transaction.
func (g *Guarded) record() {
	o := &g.overlay
	if g.resetDue && o.journaled == 0 {
		g.resetJournal()
	}
	if g.unsure {
		if err := g.journal.Sync(); err != nil {
			g.taken(err)
			g.lastResort(o.pending)
			return
		}
		g.unsure = false
	}
	for o.journaled < len(o.pending) {
		if err := g.journal.Append(o.pending[o.journaled].raw); err != nil {
			g.taken(err)
			g.lastResort(o.pending[o.journaled:])
			return
		}
		o.journaled++
	}
	g.taken(nil)
}

// taken notes whether the journal takes what waits.
func (g *Guarded) taken(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.untaken = err
	if err != nil {
		g.o.Log.Error("the journal can't be written", "error", err)
	}
}

func (g *Guarded) lastResort(hs []*held) {
	for _, h := range hs {
		if !h.told {
			h.told = true
			g.o.LastResort(h.raw)
		}
	}
}

// mostTold is how many keys of a record a log line names.
const mostTold = 20

// tell says in the log what a record would have changed, without the values: a log is
// read by more people than the record, and an account's value holds a password's hash.
func tell(log *slog.Logger, raw []byte) {
	var r record
	if err := json.Unmarshal(raw, &r); err != nil {
		log.Error("a record that can't be read is kept nowhere", "bytes", len(raw)) // the cause could quote it
		return
	}
	var writes []string
	for _, w := range r.Writes[:min(len(r.Writes), mostTold)] {
		what := "put "
		if w.Delete {
			what = "delete "
		}
		writes = append(writes, what+w.Key)
	}
	log.Error("recorded in memory only", "life", r.Life, "revision", r.Revision, "writes", writes, "more", len(r.Writes)-len(writes))
}

// resetJournal empties the journal. Failing to is harmless: its records are known
// to be in the primary by their revision.
func (g *Guarded) resetJournal() {
	err := g.journal.Reset()
	g.resetDue = err != nil
	if err != nil {
		g.o.Log.Warn("the journal can't be emptied", "error", err)
	}
}

// due says whether it is time for a try to merge. A clock that was set back makes
// it so.
func (g *Guarded) due() bool {
	passed := g.o.Now().Sub(g.lastTry)
	return passed < 0 || passed >= g.o.Interval
}

// merge brings what waits into the primary, as far as that goes.
func (g *Guarded) merge(ctx context.Context) {
	if !g.degraded() {
		if g.resetDue {
			g.resetJournal()
		}
		return
	}
	merged, err := g.push(context.WithoutCancel(ctx))
	if err != nil {
		g.settle(merged)
		g.degrade(err)
		return
	}
	g.o.Log.Info("the store is written again, the record is complete", "merged", merged)
	g.settle(merged)
	g.resetJournal()
}

// push gives the primary one transaction after the other and says how many it has
// of what waits.
func (g *Guarded) push(ctx context.Context) (merged int, err error) {
	rev, err := g.primary.Revision(ctx)
	if err != nil {
		return 0, err
	}
	for _, h := range g.overlay.pending {
		if h.Revision > rev {
			// The conditions held when it was acknowledged; nothing may refuse it now.
			if h.Revision != rev+1 {
				return merged, fmt.Errorf("the store is at revision %d and can't take transaction %d: somebody else changed it", rev, h.Revision)
			}
			if rev, err = g.primary.Txn(ctx, nil, h.Writes); err != nil {
				return merged, err
			}
		}
		merged++
	}
	return merged, nil
}

// settle forgets what the primary has, and that it failed once nothing waits.
func (g *Guarded) settle(merged int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.overlay.drop(merged)
	if len(g.overlay.pending) == 0 {
		g.since, g.reason, g.untaken = time.Time{}, "", nil
		g.unsure = false
	}
}

// replay takes what an earlier life left in the journal.
func (g *Guarded) replay(ctx context.Context) error {
	raws, err := g.journal.Records()
	if err != nil {
		g.o.Log.Error("the journal can't be read", "error", err)
		return nil
	}
	for _, raw := range raws {
		if err := g.replayOne(ctx, raw); err != nil {
			return err
		}
	}
	g.resetDue = len(raws) > 0
	g.overlay.journaled = len(g.overlay.pending)
	if len(g.overlay.pending) > 0 {
		g.degrade(fault.New(fault.Unavailable, "the journal holds transactions that the store does not have yet"))
	}
	g.unsure = true
	g.merge(ctx)
	if g.degraded() {
		g.record()
	}
	return nil
}

// replayOne takes the next transaction into the overlay. What the primary has is
// skipped; what does not follow on it is a stray.
func (g *Guarded) replayOne(ctx context.Context, raw []byte) error {
	h := &held{raw: raw}
	err := json.Unmarshal(raw, &h.record)
	mine := err == nil && h.Life == g.Life()
	if mine && 0 < h.Revision && h.Revision <= g.revision {
		return nil
	}
	writes := h.Writes
	h.Writes = nil
	if mine && h.Revision == g.revision+1 && Check(nil, writes) == nil {
		if err := g.stage(ctx, h, writes); err != nil {
			return err
		}
	}
	if len(h.changes) == 0 {
		g.o.Log.Error("the journal holds a record of another store", "revision", h.Revision, "error", err)
		g.strays = append(g.strays, raw)
		g.o.LastResort(raw)
		return nil
	}
	g.accept(h)
	return nil
}
