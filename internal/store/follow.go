package store

import (
	"context"
	"errors"
	"sync"
)

// ErrClosed is returned by every method after Close.
var ErrClosed = errors.New("the store is closed")

// Engine is a Store that keeps history which can be read without waiting: what
// Guard needs to stand in front of it.
type Engine interface {
	Store
	History
	// Life names the store's contents from their making on: 32 random hex
	// digits. A store that was deleted and made again has another life.
	Life() string
}

// History is the past of a store.
type History interface {
	// Changes gives changes with the prefix after a revision, in the order of
	// Watch, and the revision that they are complete through. It MUST NOT wait for
	// new ones and MUST NOT split a revision; it may stop after about limit of
	// them. through is never less than from, and equal to it only if there is
	// nothing after it. A history that is gone is ErrCompacted.
	Changes(ctx context.Context, prefix string, from Revision, limit int) (changes []Change, through Revision, err error)
}

// Bell wakes whoever waits for a change. The zero value is ready.
//
// Concurrency: any goroutine.
type Bell struct {
	mu   sync.Mutex
	rung chan struct{} // closed by the next Ring; nil while nobody waits
}

// Next gives a channel that the next Ring closes. Take it before looking, so that
// no change falls in between.
func (b *Bell) Next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.rung
}

// Ring wakes all who wait.
func (b *Bell) Ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung != nil {
		close(b.rung)
		b.rung = nil
	}
}

// batch is about how many changes a watch reads at once.
const batch = 256

// Follow is Watch for a store that has a history and rings a bell after each
// transaction and when it is closed.
func Follow(ctx context.Context, h History, bell *Bell, prefix string, from Revision, yield func(Change) bool) error {
	for {
		rung := bell.Next()
		changes, through, err := h.Changes(ctx, prefix, from, batch)
		if err != nil {
			return err
		}
		for _, c := range changes {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if !yield(c) {
				return nil
			}
		}
		if through > from {
			from = through
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-rung:
		}
	}
}
