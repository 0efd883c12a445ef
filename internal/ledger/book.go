package ledger

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/store"
)

// How much is listed and deleted at once.
const (
	DefaultLimit = 100  // changes that List gives where no limit is said
	MaxLimit     = 1000 // changes that List gives
	pruneEvery   = 100  // changes added
	pruneMost    = 1000 // changes deleted at once: two writes each
	daysFirst    = 31   // days that List reads one by one before it reads months
)

// Options of a Book. Store MUST be set.
type Options struct {
	Store  store.Store
	Now    func() time.Time // time.Now
	NewID  func() string    // for changes that come without one; random text
	Logger *slog.Logger     // silent when nil
}

// Book is the ledger in a store.
type Book struct {
	o Options

	mu      sync.Mutex // guards all below
	unswept int        // changes added since the last look at how many there are; -1: there was none yet
}

// New makes a Book.
func New(o Options) *Book {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.NewID == nil {
		o.NewID = func() string { return strings.ToLower(rand.Text()) }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Book{o: o, unswept: -1}
}

// Add records a change and gives it as it is recorded. A change whose ID is known
// is not recorded again: the one that is there is given, and added is false. An ID
// or a time that is not said is given: the time is now. What Check refuses, what is
// to come and what is too old to be kept is fault Invalid.
//
// Every hundredth change, the oldest beyond what is kept are deleted.
func (b *Book) Add(ctx context.Context, c Change) (recorded Change, added bool, err error) {
	now := b.o.Now().UTC()
	if c.ID == "" {
		c.ID = b.o.NewID()
	}
	if c.At.IsZero() {
		c.At = now
	}
	c.At, c.RecordedAt, c.What = c.At.UTC().Round(0), now, strings.TrimSpace(c.What)
	if err := c.Check(); err != nil {
		return Change{}, false, err
	}
	switch ago := now.Sub(c.At); {
	case ago < -MaxAhead:
		return Change{}, false, invalid("at", "%s is still to come", c.At.Format(time.RFC3339)).WithHint("tell of a change when it is made, and check the clock")
	case ago > MaxAge:
		return Change{}, false, invalid("at", "%s is too long ago to be kept", c.At.Format(time.RFC3339)).WithHint("changes are kept for %d days", MaxAge/(24*time.Hour))
	}
	recorded, added, err = b.add(ctx, c)
	if added && b.due() {
		if err := b.Prune(ctx); err != nil { // the change itself is recorded
			b.o.Logger.Warn("old changes can't be deleted", "error", err)
		}
	}
	return recorded, added, err
}

func (b *Book) add(ctx context.Context, c Change) (Change, bool, error) {
	for try := 0; ; try++ {
		known, rev, err := b.known(ctx, c.ID)
		if err != nil {
			return Change{}, false, err
		}
		if known != nil {
			return *known, false, nil
		}
		_, err = b.o.Store.Txn(ctx, []store.Cond{{Key: keyID + c.ID, Modified: rev}}, Writes(c))
		if err == nil {
			return c, true, nil
		}
		if !errors.Is(err, store.ErrConflict) || try == 3 {
			return Change{}, false, err
		}
	}
}

// known gives the change of an ID, if there is one, and the revision of what names
// it.
func (b *Book) known(ctx context.Context, id string) (*Change, store.Revision, error) {
	name, err := b.o.Store.Get(ctx, keyID+id)
	if fault.KindOf(err) == fault.NotFound {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	kv, err := b.o.Store.Get(ctx, string(name.Value))
	if fault.KindOf(err) == fault.NotFound {
		return nil, name.Modified, nil
	}
	if err != nil {
		return nil, 0, err
	}
	var c Change
	if err := json.Unmarshal(kv.Value, &c); err != nil {
		return nil, 0, fault.New(fault.Internal, "the change %s can't be read", id).Because(err)
	}
	return &c, name.Modified, nil
}

// due says whether it is time to look how many changes there are.
func (b *Book) due() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unswept++
	if b.unswept > 0 && b.unswept < pruneEvery {
		return false
	}
	b.unswept = 0
	return true
}

// Prune deletes the oldest changes beyond what is kept, at most a thousand at once.
// It reads the whole ledger, so Add does it only once in a while, and leaves room
// for as many as come until then.
func (b *Book) Prune(ctx context.Context) error {
	kvs, _, err := b.o.Store.List(ctx, keyChange)
	if err != nil {
		return err
	}
	oldest := keyChange + b.o.Now().UTC().Add(-MaxAge).Format(keyTime)
	many := max(0, len(kvs)-(MaxChanges-pruneEvery))
	var writes []store.Write
	for i, kv := range kvs {
		if i >= pruneMost || i >= many && kv.Key >= oldest {
			break
		}
		writes = append(writes, store.Write{Key: kv.Key, Delete: true}, store.Write{Key: keyID + idOf(kv.Key), Delete: true})
	}
	if len(writes) == 0 {
		return nil
	}
	_, err = b.o.Store.Txn(ctx, nil, unique(writes))
	return err
}

// unique keeps one write a key: a store takes no more.
func unique(writes []store.Write) []store.Write {
	slices.SortFunc(writes, func(a, b store.Write) int { return strings.Compare(a.Key, b.Key) })
	return slices.CompactFunc(writes, func(a, b store.Write) bool { return a.Key == b.Key })
}

// Query says which changes are wanted.
type Query struct {
	Site  string    // those of this site and those of all sites; empty: all
	From  time.Time // not before it; zero: as far as is kept
	To    time.Time // not after it; zero: until now
	Limit int       // at most MaxLimit; 0: DefaultLimit
}

// List gives changes, newest first.
//
// The store has no ranges, only prefixes, so it is asked for one day after the
// other, newest first, for a month, and then for whole months, until there are
// enough: a look at an incident costs as many reads as it has days, the longest one
// less than fifty.
func (b *Book) List(ctx context.Context, q Query) ([]Change, error) {
	limit := min(cmp.Or(max(q.Limit, 0), DefaultLimit), MaxLimit)
	from, end := b.span(q)
	var out []Change
	for step := 0; end.After(from) && len(out) < limit; step++ {
		newest := end.Add(-1)
		layout, start := keyDay, newest.Truncate(24*time.Hour) // of UTC, which has no other days
		if step >= daysFirst {
			layout, start = keyMonth, time.Date(newest.Year(), newest.Month(), 1, 0, 0, 0, 0, time.UTC)
		}
		kvs, _, err := b.o.Store.List(ctx, keyChange+newest.Format(layout))
		if err != nil {
			return nil, err
		}
		for _, kv := range slices.Backward(kvs) {
			c, ok := b.read(kv)
			if !ok || c.At.Before(from) || !c.At.Before(end) || q.Site != "" && c.Site != "" && c.Site != q.Site {
				continue
			}
			if out = append(out, c); len(out) == limit {
				break
			}
		}
		end = start
	}
	return out, nil
}

// span gives from when on and up to but without when a query looks.
func (b *Book) span(q Query) (from, end time.Time) {
	now := b.o.Now().UTC()
	from, end = now.Add(-MaxAge), now.Add(2*MaxAhead) // a clock that was set back a little hides nothing
	if q.From.After(from) {
		from = q.From.UTC()
	}
	if !q.To.IsZero() && q.To.Before(end) {
		end = q.To.UTC().Add(1)
	}
	return from, end
}

func (b *Book) read(kv store.KV) (Change, bool) {
	var c Change
	if err := json.Unmarshal(kv.Value, &c); err != nil {
		b.o.Logger.Error("a stored change can't be read", "key", kv.Key, "error", err)
		return c, false
	}
	return c, true
}
