package account

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/role"
	"lifeboat/internal/store"
)

// How long a session lasts, and how many there are.
const (
	absoluteLife  = 12 * time.Hour
	idleLife      = 30 * time.Minute
	secretLen     = 32 // bytes: 256 bits
	maxSessions   = 1000
	maxEach       = 20 // of one account or token: nobody can push all others out
	sessionPrefix = "session/"
)

// Who is whose a session is: an account, by its name, or a token, by its id.
type Who struct {
	Account string `json:"account,omitempty"`
	Token   string `json:"token,omitempty"`
}

// OfAccount is the sessions' owner who signs in with this name.
func OfAccount(name string) Who { return Who{Account: fold(name)} }

// OfToken is the sessions' owner who has the token with this id.
func OfToken(id string) Who { return Who{Token: id} }

// String tells accounts and tokens apart: account/ada, token/3f9a12c04d77.
func (w Who) String() string {
	if w.Token != "" {
		return "token/" + w.Token
	}
	return "account/" + w.Account
}

// Session is somebody's sign-in, as it is now.
type Session struct {
	ID     string    `json:"id"` // for people; it opens nothing
	Who    Who       `json:"who"`
	Name   string    `json:"name"` // as the timeline shows it: an account's title, a token's name
	Role   role.Role `json:"role"`
	How    string    `json:"how"` // somebody signed in
	Opened time.Time `json:"opened"`
	Seen   time.Time `json:"seen"` // when it was last used
	Ends   time.Time `json:"ends"` // however much it is used
}

// kept is what the store keeps of a session.
type kept struct {
	ID     string    `json:"-"`    // it is in the key
	Hash   string    `json:"hash"` // SHA-256 of the session's text, hex
	Who    Who       `json:"who"`
	How    string    `json:"how"`
	Opened time.Time `json:"opened"`
	Seen   time.Time `json:"seen"`
}

func (k kept) over(now time.Time) bool {
	return now.Sub(k.Opened) >= absoluteLife || now.Sub(k.Seen) >= idleLife
}

// with adds what is not the session's own.
func (k kept) with(name string, may role.Role) Session {
	return Session{ID: k.ID, Who: k.Who, Name: name, Role: may, How: k.How, Opened: k.Opened, Seen: k.Seen, Ends: k.Opened.Add(absoluteLife)}
}

// sessionID is a session's name, for its key and for people.
func sessionID(hash [sha256.Size]byte) string { return hex.EncodeToString(hash[:8]) }

// Open makes a session for an account that has just signed in, or for a token that
// has just been verified. how is one word on it: password, token. raw is for the
// browser; it is given here once and never again. Who has too many sessions loses the
// one that was used least recently.
//
// The error is of kind Denied: the account is disabled or the token is not known.
func (b *Book) Open(ctx context.Context, who Who, how string) (raw string, s Session, err error) {
	b.writing.Lock() // an account can't be disabled between the look at it and its session
	defer b.writing.Unlock()
	name, may, good := b.holder(who)
	if !good {
		return "", Session{}, fault.New(fault.Denied, "this account or token is not good any more").WithHint("ask an admin")
	}
	var secret [secretLen]byte
	_, _ = rand.Read(secret[:]) // never fails
	raw = base64.RawURLEncoding.EncodeToString(secret[:])
	hash := sha256.Sum256([]byte(raw))
	now := b.o.Now().UTC()
	k := kept{ID: sessionID(hash), Hash: hex.EncodeToString(hash[:]), Who: who, How: how, Opened: now, Seen: now}
	b.mu.Lock()
	b.forgetOver(now)
	b.makeRoom(func(other kept) bool { return other.Who == who }, maxEach)
	b.makeRoom(func(kept) bool { return true }, maxSessions)
	b.sessions[hash] = k
	b.mu.Unlock()
	if err := b.flush(ctx); err != nil { // no reason to let nobody in
		b.o.Logger.Warn("a sign-in can't be kept: it ends with the next restart", "who", who.String(), "cause", err)
	}
	return raw, k.with(name, may), nil
}

// Session gives the session of a text, while it is good, and notes that it was used.
// It reads memory only. Its time tells nothing: what is looked up is a hash.
func (b *Book) Session(raw string) (Session, bool) {
	hash := sha256.Sum256([]byte(raw))
	now := b.o.Now().UTC()
	b.mu.Lock()
	k, known := b.sessions[hash]
	b.mu.Unlock()
	if !known || k.over(now) {
		return Session{}, false
	}
	name, may, good := b.holder(k.Who)
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known = b.sessions[hash]; !known { // closed meanwhile
		return Session{}, false
	}
	if !good { // for good: it must not come back when the account does
		delete(b.sessions, hash)
		return Session{}, false
	}
	k.Seen = now
	b.sessions[hash] = k
	return k.with(name, may), true
}

// Sessions gives the sessions of an account or token that are good, the newest first.
func (b *Book) Sessions(who Who) []Session {
	name, may, good := b.holder(who)
	now := b.o.Now()
	var out []Session
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range b.sessions {
		if good && k.Who == who && !k.over(now) {
			out = append(out, k.with(name, may))
		}
	}
	slices.SortFunc(out, func(x, y Session) int { return cmp.Or(y.Opened.Compare(x.Opened), cmp.Compare(x.ID, y.ID)) })
	return out
}

// Close ends a session. It has ended even if there is an error; the error says that
// the store does not have it yet.
func (b *Book) Close(ctx context.Context, raw string) error {
	hash := sha256.Sum256([]byte(raw))
	b.mu.Lock()
	delete(b.sessions, hash)
	b.mu.Unlock()
	return b.ended(ctx)
}

// CloseAll ends all sessions of an account or token. They have ended even if there is
// an error, as with Close.
func (b *Book) CloseAll(ctx context.Context, who Who) error {
	b.mu.Lock()
	b.drop(who)
	b.mu.Unlock()
	return b.ended(ctx)
}

func (b *Book) ended(ctx context.Context) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	if err := b.flush(ctx); err != nil {
		return fault.New(fault.Unavailable, "the sign-in has ended, but the store does not have that yet, and could bring it back at a restart").
			Because(err).WithHint("it is tried again every minute; look at: lifeboat status")
	}
	return nil
}

// holder says who an account or token is now, and whether it is still good.
func (b *Book) holder(who Who) (name string, may role.Role, good bool) {
	switch {
	case who.Account != "" && who.Token == "":
		r, known := b.record(who.Account)
		return r.Title, r.Role, known && r.Enabled()
	case who.Token != "" && who.Account == "":
		return b.o.Token(who.Token)
	}
	return "", "", false
}

// drop forgets all sessions of one.
func (b *Book) drop(who Who) { // with mu held
	for hash, k := range b.sessions {
		if k.Who == who {
			delete(b.sessions, hash)
		}
	}
}

// forgetOver forgets the sessions that are over.
func (b *Book) forgetOver(now time.Time) { // with mu held
	for hash, k := range b.sessions {
		if k.over(now) {
			delete(b.sessions, hash)
		}
	}
}

// makeRoom forgets those that were used least recently until there is room for one
// more of a sort.
func (b *Book) makeRoom(sort func(kept) bool, most int) { // with mu held
	for {
		n := 0
		var oldest [sha256.Size]byte
		for hash, k := range b.sessions {
			if !sort(k) {
				continue
			}
			if n == 0 || k.Seen.Before(b.sessions[oldest].Seen) {
				oldest = hash
			}
			n++
		}
		if n < most {
			return
		}
		delete(b.sessions, oldest)
	}
}

// How often the store learns that sessions are used. Each of them is written seldom:
// all that is lost is that a restart may end one some minutes early.
const (
	sweepEvery = time.Minute
	seenEvery  = 5 * time.Minute
	storeTime  = 5 * time.Second // for the store to take them
	batch      = 1000            // writes of one transaction
)

// Run tells the store every minute which sessions were used and which are over, until
// ctx ends; then it does a last time. It returns ctx's cause.
func (b *Book) Run(ctx context.Context) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			b.sweep(ctx)
		case <-ctx.Done():
			b.sweep(context.WithoutCancel(ctx))
			return context.Cause(ctx)
		}
	}
}

func (b *Book) sweep(ctx context.Context) {
	b.mu.Lock()
	b.forgetOver(b.o.Now())
	b.mu.Unlock()
	b.writing.Lock()
	defer b.writing.Unlock()
	if err := b.flush(ctx); err != nil {
		b.o.Logger.Warn("the store does not take the sign-ins", "cause", err)
	}
}

// flush makes the store's sessions those in memory.
func (b *Book) flush(ctx context.Context) error { // with writing held
	due, err := b.due()
	if err != nil {
		return err
	}
	slow := fault.New(fault.Unavailable, "the store does not answer")
	ctx, cancel := context.WithTimeoutCause(ctx, storeTime, slow) // others wait to sign in
	defer cancel()
	for part := range slices.Chunk(due, batch) {
		var writes []store.Write
		for _, d := range part {
			writes = append(writes, d.write)
		}
		if _, err := b.o.Store.Txn(ctx, nil, writes); err != nil {
			return fmt.Errorf("keep sessions: %w", err)
		}
		for _, d := range part {
			if d.write.Delete {
				delete(b.stored, d.hash)
			} else {
				b.stored[d.hash] = d.seen
			}
		}
	}
	return nil
}

// change is what the store must be told of a session.
type change struct {
	hash  [sha256.Size]byte
	seen  time.Time
	write store.Write
}

// due is where the store differs from memory by more than may be.
func (b *Book) due() ([]change, error) { // with writing held
	late := !b.o.Degraded() // what was seen can wait: the journal is small, and the incident's
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []change
	for hash, k := range b.sessions {
		seen, stored := b.stored[hash]
		if stored && (!late || k.Seen.Sub(seen) < seenEvery) {
			continue
		}
		value, err := json.Marshal(k)
		if err != nil {
			return nil, fmt.Errorf("encode session: %w", err)
		}
		out = append(out, change{hash, k.Seen, store.Write{Key: sessionPrefix + k.ID, Value: value}})
	}
	for hash := range b.stored {
		if _, known := b.sessions[hash]; !known {
			out = append(out, change{hash: hash, write: store.Write{Key: sessionPrefix + sessionID(hash), Delete: true}})
		}
	}
	return out, nil
}

// loadSessions reads the sessions of an earlier life.
func (b *Book) loadSessions(ctx context.Context) error {
	kvs, _, err := b.o.Store.List(ctx, sessionPrefix)
	if err != nil {
		return fmt.Errorf("read sessions: %w", err)
	}
	now := b.o.Now()
	for _, kv := range kvs {
		k, hash, err := readSession(kv)
		if err != nil {
			b.o.Logger.Warn("a sign-in in the store can't be read", "key", kv.Key, "cause", err)
			continue
		}
		b.stored[hash] = k.Seen
		if !k.over(now) && len(b.sessions) < maxSessions {
			b.sessions[hash] = k
		}
	}
	return nil
}

func readSession(kv store.KV) (k kept, hash [sha256.Size]byte, err error) {
	if err := json.Unmarshal(kv.Value, &k); err != nil {
		return k, hash, err
	}
	raw, err := hex.DecodeString(k.Hash)
	if err != nil || len(raw) != len(hash) {
		return k, hash, errors.New("its hash is not one")
	}
	hash = [sha256.Size]byte(raw)
	k.ID = sessionID(hash)
	if kv.Key != sessionPrefix+k.ID {
		return k, hash, errors.New("its key is another's")
	}
	return k, hash, nil
}
