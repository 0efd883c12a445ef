// Package token holds who may use the API: tokens of 256 random bits, of which the
// store keeps only SHA-256.
//
// It knows no HTTP and decides no right: a token names a person or a machine and has
// a role (package role), and the edges hold each command against that. api and web
// call Verify; control makes the Book and the first token.
//
// Invariants: a token's text is never in the store; a revoked token stays in the
// store without its rights, so that it can't come back by a file that still has it.
//
// Concurrency: the methods of a Book may be called from any goroutine. Verify reads
// memory only, so that it works while the store is gone.
package token

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"lifeboat/internal/fault"
	"lifeboat/internal/role"
	"lifeboat/internal/store"
)

// The form of a token: the prefix lets people, and scanners of leaked secrets,
// recognise one.
const (
	prefix    = "lb_"
	secretLen = 32 // bytes: 256 bits
	maxName   = 64 // characters
	keyPrefix = "token/"
)

// Identity is who a token belongs to.
type Identity struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Role    role.Role `json:"role" enum:"viewer,reporter,operator,commander,admin"`
	Created time.Time `json:"created"`
}

// record is what the store keeps of a token.
type record struct {
	Identity
	Hash    string    `json:"hash"` // SHA-256 of the token's text, hex
	Revoked time.Time `json:"revoked,omitzero"`
}

// Book knows all tokens.
type Book struct {
	store store.Store
	now   func() time.Time
	log   *slog.Logger

	writing sync.Mutex   // held over a change in the store; taken before mu
	mu      sync.RWMutex // guards all below
	byHash  map[[sha256.Size]byte]record
}

// New reads all tokens from the store.
func New(ctx context.Context, s store.Store, now func() time.Time, log *slog.Logger) (*Book, error) {
	b := &Book{store: s, now: now, log: log, byHash: map[[sha256.Size]byte]record{}}
	kvs, _, err := s.List(ctx, keyPrefix)
	if err != nil {
		return nil, fmt.Errorf("read tokens: %w", err)
	}
	for _, kv := range kvs {
		var r record
		hash, err := r.read(kv.Value)
		if err != nil { // one that can't be read opens nothing, and must not lock everybody out
			log.Error("a token in the store can't be read", "key", kv.Key, "cause", err)
			continue
		}
		b.byHash[hash] = r
	}
	return b, nil
}

func (r *record) read(value []byte) (hash [sha256.Size]byte, err error) {
	if err := json.Unmarshal(value, r); err != nil {
		return hash, err
	}
	raw, err := hex.DecodeString(r.Hash)
	if err != nil || len(raw) != len(hash) {
		return hash, errors.New("its hash is not one")
	}
	if r.Role == "" { // made when a token could do everything; one of a newer version keeps its role, which may do nothing here
		r.Role = role.Admin
	}
	return [sha256.Size]byte(raw), nil
}

// Verify gives who a token belongs to, or a *fault.Error of kind Denied. The time it
// takes tells nothing about other tokens: what is compared are hashes.
func (b *Book) Verify(raw string) (Identity, error) {
	hash := sha256.Sum256([]byte(raw))
	b.mu.RLock()
	r, known := b.byHash[hash]
	b.mu.RUnlock()
	want, err := hex.DecodeString(r.Hash)
	if err != nil || !known || !r.Revoked.IsZero() || subtle.ConstantTimeCompare(want, hash[:]) != 1 {
		return Identity{}, fault.New(fault.Denied, "this token is not known").
			WithHint("a new one is made on lifeboat's machine with: lifeboat token create NAME")
	}
	return r.Identity, nil
}

// Known says whether the token with the id is still good: sign-ins made with one
// end when it is taken back.
func (b *Book) Known(id string) bool {
	_, known := b.Lookup(id)
	return known
}

// Lookup gives who the token with the id belongs to, while it is good.
func (b *Book) Lookup(id string) (Identity, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, r := range b.byHash {
		if r.ID == id && r.Revoked.IsZero() {
			return r.Identity, true
		}
	}
	return Identity{}, false
}

// Create makes a token that may do everything: CreateAs with role.Admin.
func (b *Book) Create(ctx context.Context, name string) (raw string, id Identity, err error) {
	return b.CreateAs(ctx, name, role.Admin)
}

// CreateAs makes a token for somebody. Its text is given here once and never again.
func (b *Book) CreateAs(ctx context.Context, name string, may role.Role) (raw string, id Identity, err error) {
	name = strings.TrimSpace(name)
	if err := nameOK(name); err != nil {
		return "", Identity{}, err
	}
	if _, err := role.ParseRole(string(may)); err != nil {
		return "", Identity{}, err
	}
	b.writing.Lock()
	defer b.writing.Unlock()
	for _, other := range b.List() {
		if other.Name == name {
			return "", Identity{}, fault.New(fault.Conflict, "there is a token named %q already", name).At("name").
				WithHint("choose another name, or revoke that one: lifeboat token revoke %s", other.ID)
		}
	}
	raw = generate()
	id, err = b.add(ctx, raw, name, may)
	if err != nil {
		return "", Identity{}, err
	}
	return raw, id, nil
}

// generate makes a token's text.
func generate() string {
	var secret [secretLen]byte
	_, _ = rand.Read(secret[:]) // never fails
	return prefix + base64.RawURLEncoding.EncodeToString(secret[:])
}

// wellFormed says whether a text has a token's form.
func wellFormed(raw string) bool {
	rest, ok := strings.CutPrefix(raw, prefix)
	secret, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	return ok && err == nil && len(secret) == secretLen
}

func nameOK(name string) error {
	switch {
	case name == "":
		return fault.New(fault.Invalid, "the token has no name").At("name").WithHint("name who will use it, as the timeline will show it")
	case utf8.RuneCountInString(name) > maxName:
		return fault.New(fault.Invalid, "the name has more than %d characters", maxName).At("name").WithHint("choose a shorter one")
	case !utf8.ValidString(name) || strings.IndexFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0:
		return fault.New(fault.Invalid, "the name holds characters that can't be printed").At("name").WithHint("use one line of plain text")
	}
	return nil
}

// add keeps a token in the store and, once it is there, in memory. Its id comes from
// its hash, so that a token which is registered again is the same one.
func (b *Book) add(ctx context.Context, raw, name string, may role.Role) (Identity, error) { // with writing held
	hash := sha256.Sum256([]byte(raw))
	text := hex.EncodeToString(hash[:])
	r := record{Identity: Identity{ID: text[:12], Name: name, Role: may, Created: b.now().UTC()}, Hash: text}
	if err := b.keep(ctx, r, []store.Cond{{Key: keyPrefix + r.ID}}); err != nil {
		return Identity{}, err
	}
	return r.Identity, nil
}

func (b *Book) keep(ctx context.Context, r record, conds []store.Cond) error { // with writing held
	value, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode token: %w", err)
	}
	if _, err := b.store.Txn(ctx, conds, []store.Write{{Key: keyPrefix + r.ID, Value: value}}); err != nil {
		return fmt.Errorf("keep token: %w", err)
	}
	raw, err := hex.DecodeString(r.Hash)
	if err != nil {
		return fmt.Errorf("read token's hash: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.byHash[[sha256.Size]byte(raw)] = r
	return nil
}

// List gives everybody who has a token, the oldest first.
func (b *Book) List() []Identity {
	b.mu.RLock()
	defer b.mu.RUnlock()
	out := make([]Identity, 0, len(b.byHash))
	for _, r := range b.byHash {
		if r.Revoked.IsZero() {
			out = append(out, r.Identity)
		}
	}
	slices.SortFunc(out, func(x, y Identity) int { return cmp.Or(x.Created.Compare(y.Created), cmp.Compare(x.ID, y.ID)) })
	return out
}

// Revoke takes a token's rights away, from now on.
func (b *Book) Revoke(ctx context.Context, id string) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	for _, r := range b.all() {
		if r.ID == id && r.Revoked.IsZero() {
			r.Revoked = b.now().UTC()
			return b.keep(ctx, r, nil)
		}
	}
	return fault.New(fault.NotFound, "there is no token %q", id).WithHint("see them with: lifeboat token list")
}

func (b *Book) all() []record {
	b.mu.RLock()
	defer b.mu.RUnlock()
	out := make([]record, 0, len(b.byHash))
	for _, r := range b.byHash {
		out = append(out, r)
	}
	return out
}
