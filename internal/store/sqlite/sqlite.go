// Package sqlite keeps a store in one SQLite file: what lifeboat uses on one
// machine.
//
// It is not a general use of SQL: two tables, the keys as they are and the
// changes of the last revisions. Only package control may import it.
//
// Invariants: a Txn that returned nil is on the disk (write-ahead log, synced at
// each commit). Every revision has at least one row in changes, so that the newest
// row is the revision and the oldest says where history begins. A full or broken
// disk is an error of the call, never an exit; once it is writable again the same
// open store goes on.
//
// Concurrency: every method may be called from any goroutine. One connection
// writes, others read beside it. Watchers are woken within the process, so a file
// MUST have one process at a time.
package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"

	"lifeboat/internal/fault"
	"lifeboat/internal/store"
)

// Options of a Store; the zero value is usable.
type Options struct {
	Keep int // revisions of history for Watch; 10,000 if 0
}

// Store is a store.Engine in a file.
type Store struct {
	path   string
	keep   store.Revision
	life   string
	write  *sql.DB // one connection
	read   *sql.DB // some; the same as write where the disk had no room for their shared index
	bell   store.Bell
	closed atomic.Bool
	q      queries
}

var _ store.Engine = (*Store)(nil)

// readers is how many connections read beside the one that writes.
const readers = 4

// Open opens the file or makes it, mode 0600. Errors are *fault.Error.
//
// A file that exists can be opened for reading, and for writing later, on a disk
// that has no byte left.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	if err := create(path); err != nil {
		return nil, fault.New(fault.Unavailable, "open the store").At(path).Because(err).
			WithHint("look at the folder: does it exist, is it writable for this account?")
	}
	s := &Store{path: path, keep: store.Revision(cmp.Or(max(o.Keep, 0), 10_000))}
	err := s.open(ctx, shared)
	if fault.KindOf(err) == fault.Unavailable && s.open(ctx, alone) == nil {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// create makes the file, so that it and what SQLite puts beside it are private.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(f.Close(), folder.Sync(), folder.Close())
}

// open connects in a mode; on error everything is closed again.
func (s *Store) open(ctx context.Context, m mode) (err error) {
	s.write = connect(s.path, m, "immediate", 1)
	s.read = s.write
	if m == shared {
		s.read = connect(s.path, m, "deferred", readers)
	}
	defer func() {
		if err != nil {
			_ = s.read.Close()
			_ = s.write.Close()
		}
	}()
	if s.life, err = prepareFile(ctx, s.write, s.path); err != nil {
		return s.fault(ctx, "open the store", err)
	}
	if s.q, err = prepareQueries(ctx, s.write, s.read); err != nil {
		return s.fault(ctx, "open the store", err)
	}
	return nil
}

// Life implements store.Engine.
func (s *Store) Life() string { return s.life }

// Close implements store.Store.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.bell.Ring()
	err := s.read.Close()
	if s.write != s.read {
		err = errors.Join(err, s.write.Close())
	}
	return err
}

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, prefix string, from store.Revision, yield func(store.Change) bool) error {
	return store.Follow(ctx, s, &s.bell, prefix, from, yield)
}
