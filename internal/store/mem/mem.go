// Package mem keeps a store in memory: for tests, and as the plainest reading of
// the contract.
//
// Nothing is durable. Only package control and tests may import it.
//
// Concurrency: every method may be called from any goroutine.
package mem

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"
	"sync"

	"lifeboat/internal/store"
)

// Options of a Store; the zero value is usable.
type Options struct {
	Keep int // revisions of history; 10,000 if 0
}

// Store is a store.Engine in memory.
type Store struct {
	life string
	keep store.Revision
	bell store.Bell

	mu       sync.RWMutex
	kvs      map[string]store.KV
	history  []store.Change // in the order of Watch
	revision store.Revision
	closed   bool
}

var _ store.Engine = (*Store)(nil)

// New makes an empty store.
func New(o Options) *Store {
	var life [16]byte
	_, _ = rand.Read(life[:]) // never fails
	return &Store{
		life: hex.EncodeToString(life[:]),
		keep: store.Revision(cmp.Or(max(o.Keep, 0), 10_000)),
		kvs:  map[string]store.KV{},
	}
}

// Life implements store.Engine.
func (s *Store) Life() string { return s.life }

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) (store.KV, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(ctx); err != nil {
		return store.KV{}, err
	}
	kv, ok := s.kvs[key]
	if !ok {
		return store.KV{}, store.NotFound(key)
	}
	return clone(kv), nil
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, prefix string) ([]store.KV, store.Revision, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(ctx); err != nil {
		return nil, 0, err
	}
	var kvs []store.KV
	for key, kv := range s.kvs {
		if strings.HasPrefix(key, prefix) {
			kvs = append(kvs, clone(kv))
		}
	}
	slices.SortFunc(kvs, func(a, b store.KV) int { return strings.Compare(a.Key, b.Key) })
	return kvs, s.revision, nil
}

// Txn implements store.Store.
func (s *Store) Txn(ctx context.Context, conds []store.Cond, writes []store.Write) (store.Revision, error) {
	if err := store.Check(conds, writes); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	for _, c := range conds {
		if s.kvs[c.Key].Modified != c.Modified {
			return 0, store.ErrConflict
		}
	}
	changes := s.changes(writes)
	if len(changes) == 0 {
		return s.revision, nil
	}
	for _, c := range changes {
		if c.Deleted {
			delete(s.kvs, c.Key)
		} else {
			s.kvs[c.Key] = c.KV
		}
	}
	s.revision++
	s.history = append(s.history, changes...)
	s.compact()
	s.bell.Ring()
	return s.revision, nil
}

// changes are what the writes come to at the next revision.
func (s *Store) changes(writes []store.Write) []store.Change {
	var changes []store.Change
	for _, w := range writes {
		old, exists := s.kvs[w.Key]
		if w.Delete && !exists {
			continue
		}
		changes = append(changes, store.Changed(w, old, s.revision+1))
	}
	slices.SortFunc(changes, func(a, b store.Change) int { return strings.Compare(a.Key, b.Key) })
	return changes
}

func (s *Store) compact() {
	if s.revision <= s.keep || s.history[0].Modified > s.revision-s.keep {
		return
	}
	s.history = s.history[s.after(s.revision-s.keep):]
}

// after is the place of the first change after a revision.
func (s *Store) after(r store.Revision) int {
	i, _ := slices.BinarySearchFunc(s.history, r+1, func(c store.Change, r store.Revision) int {
		return cmp.Compare(c.Modified, r)
	})
	return i
}

// Changes implements store.History.
func (s *Store) Changes(ctx context.Context, prefix string, from store.Revision, limit int) ([]store.Change, store.Revision, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(ctx); err != nil {
		return nil, 0, err
	}
	if from >= s.revision {
		return nil, from, nil
	}
	if from+1 < s.history[0].Modified {
		return nil, 0, store.ErrCompacted
	}
	var changes []store.Change
	through := from
	for _, c := range s.history[s.after(from):] {
		if c.Modified > through && len(changes) >= limit {
			return changes, through, nil
		}
		through = c.Modified
		if strings.HasPrefix(c.Key, prefix) {
			changes = append(changes, store.Change{KV: clone(c.KV), Deleted: c.Deleted})
		}
	}
	return changes, through, nil
}

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, prefix string, from store.Revision, yield func(store.Change) bool) error {
	return store.Follow(ctx, s, &s.bell, prefix, from, yield)
}

// Revision implements store.Store.
func (s *Store) Revision(ctx context.Context) (store.Revision, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.revision, s.usable(ctx)
}

// Close implements store.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.bell.Ring()
	return nil
}

// usable is called with mu held.
func (s *Store) usable(ctx context.Context) error {
	if s.closed {
		return store.ErrClosed
	}
	return context.Cause(ctx)
}

func clone(kv store.KV) store.KV {
	kv.Value = slices.Clone(kv.Value)
	return kv
}
