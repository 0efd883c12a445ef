// Package store is the contract that lifeboat's record is kept behind:
// compare-and-swap by revision, transactions over several keys, ordered watch.
//
// It is not a cache and knows nothing of incidents: keys are strings with
// slashes, values are bytes. The words are etcd's (revision, watch, compact), so
// that an etcd cluster can stand behind the same contract. Only the control
// plane may import it; only package control may import an engine of it
// (store/mem, store/sqlite).
//
// Concurrency: every method of a Store may be called from any goroutine.
package store

import (
	"context"
	"errors"
)

// Revision counts the transactions of a store: the first is 1. Zero means
// "absent" in a condition and "from the beginning" in a watch.
type Revision uint64

// KV is a key with its value and the revisions that made and last changed it.
type KV struct {
	Key      string
	Value    []byte
	Created  Revision
	Modified Revision
}

// Cond is a comparison: the key's Modified revision MUST equal Modified (0: the
// key MUST be absent) for the transaction to take place.
type Cond struct {
	Key      string
	Modified Revision
}

// Write puts a value under a key, or deletes the key.
type Write struct {
	Key    string
	Value  []byte
	Delete bool
}

// Change is one key's change at a revision, as a watch tells it.
type Change struct {
	KV
	Deleted bool
}

// ErrConflict is returned by Txn when a condition does not hold; nothing was
// written.
var ErrConflict = errors.New("a condition of the transaction does not hold")

// ErrCompacted is returned by Watch when the history that it asks for is gone;
// read with List and watch from there.
var ErrCompacted = errors.New("the history asked for has been compacted")

// Limits on what a transaction may carry.
const (
	MaxKey    = 512
	MaxValue  = 1 << 20
	MaxWrites = 4096
)

// Store keeps keys, values and their order.
//
// Txn MUST be atomic and, once it has returned nil, durable. All writes of one
// Txn share its revision. Revisions MUST grow by exactly one a Txn. A Txn
// without writes changes no revision, and deleting an absent key is no write. What
// Check refuses is fault Invalid. After Close every method returns ErrClosed. A failure to reach the medium is a
// *fault.Error of kind Unavailable; then nothing was written.
type Store interface {
	// Get gives the key, or a *fault.Error of kind NotFound.
	Get(ctx context.Context, key string) (KV, error)
	// List gives all keys with the prefix, in the order of the keys, and the
	// revision that the reading is true for.
	List(ctx context.Context, prefix string) ([]KV, Revision, error)
	// Txn writes all or, where a condition fails, nothing (ErrConflict).
	Txn(ctx context.Context, conds []Cond, writes []Write) (Revision, error)
	// Watch calls yield for every change with the prefix and a revision greater than
	// from, in order of revision and within one revision in order of keys, until
	// ctx ends (it returns ctx's cause) or yield returns false (it returns nil).
	Watch(ctx context.Context, prefix string, from Revision, yield func(Change) bool) error
	// Revision is the newest revision.
	Revision(ctx context.Context) (Revision, error)
	Close() error
}
