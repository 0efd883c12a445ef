// Package door makes the passes with which people who have signed in read a private status
// page, and keeps the keys that sign them.
//
// It knows neither people nor HTTP: web asks it for a pass once somebody has signed in,
// and the desk publishes what checks passes. It is not in what answer is built from, which
// gets public keys only: whoever takes answer over can read a private page, and can let
// nobody in at another one.
//
// Invariants: a key is published some minutes before it signs; the key before it is
// published for as long as a pass of it can hold; no private key leaves the process but
// into its file, which nobody else may read.
//
// Concurrency: the methods of a Ring may be called from any goroutine.
package door

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"sync"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/keyfile"
)

// How keys live.
const (
	keyLife = 30 * 24 * time.Hour
	ahead   = 10 * time.Minute // published before it signs: answer has it by then
	maxKeys = 2
)

// key is one that signs, has signed, or will.
type key struct {
	ID   string    `json:"id"`
	Seed []byte    `json:"seed"`
	Made time.Time `json:"made"`
}

// Ring holds the keys, the newest first.
type Ring struct {
	file keyfile.File[key]
	now  func() time.Time

	mu   sync.Mutex // guards keys
	keys []key
}

// New makes a ring that lives as long as the process.
func New(now func() time.Time) *Ring { return &Ring{now: now, keys: []key{fresh(now())}} }

// Open reads the ring in the file at path, and makes it where there is none. Where the
// file can't be kept the ring works all the same, and the error says so beside it. A file
// that others may read, or that is none of ours, is replaced: all passes end.
func Open(path string, now func() time.Time) (*Ring, error) {
	r := &Ring{now: now, file: keyfile.File[key]{Path: path, What: "the keys of the passes to a private status page", Cost: "who reads a private status page signs in again",
		Most: maxKeys, Whole: func(k key) bool { return k.ID != "" && len(k.Seed) == ed25519.SeedSize }}}
	keys, err := r.file.Read()
	if err != nil || len(keys) == 0 {
		r.keys = []key{fresh(now())}
		return r, errors.Join(err, r.file.Write(r.keys))
	}
	r.keys = keys
	_, err = r.Rotate()
	return r, err
}

func fresh(now time.Time) key {
	k := key{ID: random(6), Seed: make([]byte, ed25519.SeedSize), Made: now.UTC()}
	_, _ = rand.Read(k.Seed) // never fails
	return k
}

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// Rotate makes a new key once the newest is a month old, and forgets the one before once
// no pass of it can hold. It says whether what is published has changed. The error says
// that the change could not be kept; the ring goes on as it was.
func (r *Ring) Rotate() (changed bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	var next []key
	switch age := now.Sub(r.keys[0].Made); {
	case age >= keyLife:
		next = []key{fresh(now), r.keys[0]}
	case len(r.keys) > 1 && age > ahead+board.PassLife:
		next = r.keys[:1]
	default:
		return false, nil
	}
	if err := r.file.Write(next); err != nil {
		return false, err
	}
	r.keys = next
	return true, nil
}

// Keys are what passes are checked with.
func (r *Ring) Keys() []board.PassKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []board.PassKey
	for _, k := range r.keys {
		public, _ := ed25519.NewKeyFromSeed(k.Seed).Public().(ed25519.PublicKey)
		out = append(out, board.PassKey{ID: k.ID, Key: public})
	}
	return out
}

// Mint makes a pass for a page and a browser, which has to bring it within a minute.
func (r *Ring) Mint(page, bound string) string {
	r.mu.Lock()
	k := r.keys[0]
	if len(r.keys) > 1 && r.now().Sub(k.Made) < ahead {
		k = r.keys[1]
	}
	r.mu.Unlock()
	now := r.now()
	p := board.Pass{Page: page, Bound: bound, ID: random(12), Enter: now.Add(board.EnterLife), Until: now.Add(board.PassLife)}
	return p.Sign(k.ID, ed25519.NewKeyFromSeed(k.Seed))
}
