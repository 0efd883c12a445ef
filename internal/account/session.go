package account

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/role"
	"lifeboat/internal/store"
)

// How long a session lasts, and how many there are.
const (
	absoluteLife  = 12 * time.Hour
	idleLife      = 30 * time.Minute
	idLen         = 16 // bytes: nobody meets one by chance
	maxSessions   = 1000
	maxEach       = 20 // of one account or token: nobody can push all others out
	sessionPrefix = "session/"
	purpose       = "session" // of the text that a browser holds

	// Proved is how long after somebody has shown who they are they may do what is
	// dangerous without showing it again.
	Proved = 10 * time.Minute
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
	Seen   time.Time `json:"seen"`   // when it was last used
	Proved time.Time `json:"proved"` // when they last showed who they are
	Ends   time.Time `json:"ends"`   // however much it is used
}

// kept is what the store keeps of a session.
type kept struct {
	ID     string    `json:"-"`              // it is in the key
	Hash   string    `json:"hash,omitempty"` // of a session from before they were signed: it opens nothing any more
	Who    Who       `json:"who"`
	How    string    `json:"how"`
	Opened time.Time `json:"opened"`
	Seen   time.Time `json:"seen"`
	Proved time.Time `json:"proved,omitzero"`
}

func (k kept) over(now time.Time) bool {
	return now.Sub(k.Opened) >= absoluteLife || now.Sub(k.Seen) >= idleLife
}

// with adds what is not the session's own.
func (k kept) with(name string, may role.Role) Session {
	return Session{ID: k.ID, Who: k.Who, Name: name, Role: may, How: k.How, Opened: k.Opened, Seen: k.Seen, Proved: k.Proved, Ends: k.Opened.Add(absoluteLife)}
}

// ticket is what a session's text says: enough to know it by where neither memory nor
// store has it.
type ticket struct {
	ID      string    `json:"i"`
	Account string    `json:"a,omitempty"`
	Token   string    `json:"t,omitempty"`
	How     string    `json:"h"`
	Opened  time.Time `json:"o"`
}

func (t ticket) kept() kept {
	return kept{ID: t.ID, Who: Who{Account: t.Account, Token: t.Token}, How: t.How, Opened: t.Opened, Seen: t.Opened}
}

// newID names a session, for its key and for people.
func newID() string {
	var b [idLen]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

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
	now := b.o.Now().UTC()
	b.mu.Lock()
	k := kept{ID: newID(), Who: who, How: how, Opened: now, Seen: now, Proved: now}
	if before := b.voids[who.String()]; !k.Opened.After(before) { // all others ended at this very moment
		k.Opened = before.Add(time.Nanosecond)
	}
	b.forgetOver(now)
	b.makeRoom(func(other kept) bool { return other.Who == who }, maxEach)
	b.makeRoom(func(kept) bool { return true }, maxSessions)
	b.sessions[k.ID] = k
	b.mu.Unlock()
	if err := b.flush(ctx); err != nil { // no reason to let nobody in
		b.o.Logger.Warn("a sign-in can't be kept; its browser still has it", "who", who.String(), "cause", err)
	}
	body, err := json.Marshal(ticket{k.ID, who.Account, who.Token, how, k.Opened})
	if err != nil {
		return "", Session{}, fmt.Errorf("encode session: %w", err)
	}
	return b.o.Ring.Sign(purpose, body, k.Opened.Add(absoluteLife)), k.with(name, may), nil
}

// Session gives the session of a text, while it is good, and notes that it was used.
// It reads memory only. One that is signed and that nobody has ended counts even where
// neither memory nor the store knows it: the store was gone when it was opened.
func (b *Book) Session(raw string) (Session, bool) {
	t, signed := b.ticket(raw)
	if !signed {
		return Session{}, false
	}
	now := b.o.Now().UTC()
	k, known := b.known(t)
	if !known || k.over(now) {
		return Session{}, false
	}
	name, may, good := b.holder(k.Who)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended(k) { // closed meanwhile
		return Session{}, false
	}
	if !good { // for good: it must not come back when the account does
		b.end(k)
		return Session{}, false
	}
	if again, has := b.sessions[k.ID]; has {
		k = again
	} else {
		b.makeRoom(func(kept) bool { return true }, maxSessions)
	}
	k.Seen = now
	b.sessions[k.ID] = k
	return k.with(name, may), true
}

// ticket reads a session's text, if it is one of ours.
func (b *Book) ticket(raw string) (t ticket, signed bool) {
	body, good := b.o.Ring.Read(purpose, raw)
	if !good || json.Unmarshal(body, &t) != nil || t.ID == "" {
		return ticket{}, false
	}
	return t, true
}

// known gives the session of a ticket, from memory or from what it says itself. When it
// was last used is not known then: it counts as used when we started.
func (b *Book) known(t ticket) (k kept, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if k, known = b.sessions[t.ID]; known {
		return k, true
	}
	k = t.kept()
	if k.Seen.Before(b.started) {
		k.Seen = b.started
	}
	return k, !b.ended(k)
}

// Prove notes that whoever has this session has just shown again who they are.
func (b *Book) Prove(raw string) {
	t, signed := b.ticket(raw)
	if !signed {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if k, known := b.sessions[t.ID]; known {
		k.Proved = b.o.Now().UTC()
		b.sessions[t.ID] = k
	}
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
	if t, signed := b.ticket(raw); signed {
		b.mu.Lock()
		b.end(t.kept())
		b.mu.Unlock()
	}
	return b.told(ctx)
}

// CloseAll ends all sessions of an account or token. They have ended even if there is
// an error, as with Close.
func (b *Book) CloseAll(ctx context.Context, who Who) error {
	b.mu.Lock()
	b.drop(who)
	b.mu.Unlock()
	return b.told(ctx)
}

func (b *Book) told(ctx context.Context) error {
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

// drop ends all sessions of one that were opened until now.
func (b *Book) drop(who Who) { // with mu held
	before := b.o.Now().UTC()
	for id, k := range b.sessions {
		if k.Who == who {
			delete(b.sessions, id)
			if k.Opened.After(before) {
				before = k.Opened
			}
		}
	}
	b.voids[who.String()] = before
}

// ended says whether somebody has ended a session.
func (b *Book) ended(k kept) bool { // with mu held
	_, one := b.closed[k.ID]
	all, any := b.voids[k.Who.String()]
	return one || any && !k.Opened.After(all)
}

// maxClosed is how many sessions that were ended one by one are remembered, until they
// would have ended by themselves.
const maxClosed = 20_000

// end ends a session for good: its text is signed, and would count again.
func (b *Book) end(k kept) { // with mu held
	delete(b.sessions, k.ID)
	if len(b.closed) >= maxClosed { // nobody gets there but by a script: all of theirs end
		b.drop(k.Who)
		return
	}
	b.closed[k.ID] = k.Opened.Add(absoluteLife)
}

// forgetOver forgets the sessions that are over.
func (b *Book) forgetOver(now time.Time) { // with mu held
	for id, k := range b.sessions {
		switch {
		case now.Sub(k.Opened) >= absoluteLife:
			delete(b.sessions, id)
		case k.over(now):
			b.end(k)
		}
	}
	for id, ends := range b.closed {
		if !now.Before(ends) {
			delete(b.closed, id)
		}
	}
	for who, before := range b.voids {
		if now.Sub(before) >= absoluteLife {
			delete(b.voids, who)
		}
	}
}

// makeRoom ends those that were used least recently until there is room for one more
// of a sort.
func (b *Book) makeRoom(sort func(kept) bool, most int) { // with mu held
	for {
		n := 0
		var oldest kept
		for _, k := range b.sessions {
			if !sort(k) {
				continue
			}
			if n == 0 || k.Seen.Before(oldest.Seen) {
				oldest = k
			}
			n++
		}
		if n < most {
			return
		}
		b.end(oldest)
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
	if err := b.o.Ring.Rotate(); err != nil {
		b.o.Logger.Warn("the key of the sign-ins is not changed", "cause", err)
	}
	b.writing.Lock()
	defer b.writing.Unlock()
	b.keepAll(ctx)
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
				delete(b.stored, d.write.Key)
			} else {
				b.stored[d.write.Key] = d.at
			}
		}
	}
	return nil
}

// What the store keeps of sessions that were ended: one, until it would have ended by
// itself; all of somebody's that were opened until then.
const (
	closedPrefix = "signed-out/one/"
	voidPrefix   = "signed-out/all/"
)

// change is what the store must be told of a key; at tells its value from an older one.
type change struct {
	at    time.Time
	write store.Write
}

// due is where the store differs from memory by more than may be.
func (b *Book) due() ([]change, error) { // with writing held
	late := !b.o.Degraded() // what was seen can wait: the journal is small, and the incident's
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []change
	want := map[string]bool{}
	add := func(key string, at time.Time, v any, again bool) error {
		want[key] = true
		if was, stored := b.stored[key]; stored && (!again || was.Equal(at)) {
			return nil
		}
		value, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("encode session: %w", err)
		}
		out = append(out, change{at, store.Write{Key: key, Value: value}})
		return nil
	}
	var failed error
	for _, k := range b.sessions {
		key := sessionPrefix + k.ID
		failed = errors.Join(failed, add(key, k.Seen, k, late && k.Seen.Sub(b.stored[key]) >= seenEvery))
	}
	for id, ends := range b.closed {
		failed = errors.Join(failed, add(closedPrefix+id, ends, ends, false))
	}
	for who, before := range b.voids {
		failed = errors.Join(failed, add(voidPrefix+who, before, before, true))
	}
	for key := range b.stored {
		if !want[key] {
			out = append(out, change{write: store.Write{Key: key, Delete: true}})
		}
	}
	return out, failed
}

// loadSessions reads the sessions of an earlier life, and those that were ended.
func (b *Book) loadSessions(ctx context.Context) error {
	now := b.o.Now()
	for prefix, take := range map[string]func(id string, value []byte) (at time.Time, err error){
		sessionPrefix: b.loadSession,
		closedPrefix:  func(id string, value []byte) (time.Time, error) { return loadMoment(b.closed, id, value) },
		voidPrefix:    func(who string, value []byte) (time.Time, error) { return loadMoment(b.voids, who, value) },
	} {
		kvs, _, err := b.o.Store.List(ctx, prefix)
		if err != nil {
			return fmt.Errorf("read sessions: %w", err)
		}
		for _, kv := range kvs {
			at, err := take(strings.TrimPrefix(kv.Key, prefix), kv.Value)
			if err != nil {
				b.o.Logger.Warn("a sign-in in the store can't be read", "key", kv.Key, "cause", err)
				continue
			}
			b.stored[kv.Key] = at
		}
	}
	for id, k := range b.sessions {
		if b.ended(k) || now.Sub(k.Opened) >= absoluteLife {
			delete(b.sessions, id)
		}
	}
	return nil
}

func loadMoment(into map[string]time.Time, key string, value []byte) (at time.Time, err error) {
	if err := json.Unmarshal(value, &at); err != nil {
		return at, err
	}
	into[key] = at
	return at, nil
}

func (b *Book) loadSession(id string, value []byte) (time.Time, error) {
	var k kept
	if err := json.Unmarshal(value, &k); err != nil {
		return time.Time{}, err
	}
	if len(id) != 2*idLen && k.Hash == "" || k.Who == (Who{}) {
		return time.Time{}, errors.New("it is nobody's")
	}
	k.ID = id
	if k.Hash == "" && len(b.sessions) < maxSessions { // else it is forgotten, and deleted
		b.sessions[id] = k
	}
	return k.Seen, nil
}
