package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"lifeboat/internal/fault"
	"lifeboat/internal/ledger"
	"lifeboat/internal/store"
	"lifeboat/internal/store/mem"
)

// counted is a store that counts what it is asked.
type counted struct {
	store.Store
	lists, read atomic.Int64
	fail        atomic.Bool
	together    chan struct{} // the first two who ask for a key wait for each other, unless it is nil
}

func (c *counted) Get(ctx context.Context, key string) (store.KV, error) {
	kv, err := c.Store.Get(ctx, key)
	if c.together == nil {
		return kv, err
	}
	select {
	case c.together <- struct{}{}:
	case <-c.together:
	case <-time.After(time.Second): // the third, after a conflict
	}
	return kv, err
}

func (c *counted) List(ctx context.Context, prefix string) ([]store.KV, store.Revision, error) {
	if c.fail.Load() {
		return nil, 0, fault.New(fault.Unavailable, "gone")
	}
	kvs, rev, err := c.Store.List(ctx, prefix)
	c.lists.Add(1)
	c.read.Add(int64(len(kvs)))
	return kvs, rev, err
}

func newBook() (*ledger.Book, *counted) {
	s := &counted{Store: mem.New(mem.Options{})}
	return ledger.New(ledger.Options{Store: s, Now: func() time.Time { return now }}), s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func add(t testing.TB, b *ledger.Book, changes ...ledger.Change) {
	t.Helper()
	for _, c := range changes {
		_, added, err := b.Add(context.Background(), c)
		must(t, err)
		if !added {
			t.Fatalf("%s was not added", c.ID)
		}
	}
}

func ids(changes []ledger.Change) (out []string) {
	for _, c := range changes {
		out = append(out, c.ID)
	}
	return out
}

func list(t testing.TB, b *ledger.Book, q ledger.Query) []string {
	t.Helper()
	changes, err := b.List(context.Background(), q)
	must(t, err)
	return ids(changes)
}

// fill puts changes into the store past the book, a thousand at once.
func fill(t testing.TB, s store.Store, changes []ledger.Change) {
	t.Helper()
	for chunk := range slices.Chunk(changes, 1000) {
		var writes []store.Write
		for _, c := range chunk {
			writes = append(writes, ledger.Writes(c)...)
		}
		_, err := s.Txn(context.Background(), nil, writes)
		must(t, err)
	}
}

func TestAdd(t *testing.T) {
	t.Parallel()
	b, _ := newBook()
	c, added, err := b.Add(t.Context(), ledger.Change{Source: "person", Kind: ledger.Traffic, What: " a mail to all customers\n"})
	if err != nil || !added || c.ID == "" || !c.At.Equal(now) || !c.RecordedAt.Equal(now) || c.What != "a mail to all customers" {
		t.Fatalf("%+v, %t, %v", c, added, err)
	}
	got, err := b.List(t.Context(), ledger.Query{})
	if err != nil || len(got) != 1 || got[0] != c {
		t.Errorf("%+v, %v", got, err)
	}
	for name, bad := range map[string]ledger.Change{
		"what: ":          {Source: "person", Kind: ledger.Traffic},
		"is still to":     deploy("ahead", now.Add(ledger.MaxAhead+time.Second)),
		"is too long ago": deploy("old", now.Add(-ledger.MaxAge-time.Second)),
	} {
		if _, added, err := b.Add(t.Context(), bad); added || fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The same ID twice is one change, also where it is said again with another time.
func TestAddTwice(t *testing.T) {
	t.Parallel()
	b, s := newBook()
	first := deploy("d/1", now.Add(-time.Hour))
	add(t, b, first)
	again := deploy("d/1", now)
	again.What = "something else"
	c, added, err := b.Add(t.Context(), again)
	if err != nil || added || c.What != first.What || !c.At.Equal(first.At) {
		t.Errorf("%+v, %t, %v", c, added, err)
	}
	fill(t, s, []ledger.Change{deploy("own", now)})
	if _, added, err := b.Add(t.Context(), deploy("own", now.Add(-time.Minute))); added || err != nil {
		t.Errorf("one that Writes recorded: %t, %v", added, err)
	}
	if got := list(t, b, ledger.Query{}); !slices.Equal(got, []string{"own", "d/1"}) {
		t.Errorf("%v", got)
	}
}

// Two who tell of the same at once, and both find that it is not there.
func TestAddAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, s := newBook()
		s.together = make(chan struct{})
		var wg sync.WaitGroup
		var count atomic.Int64
		for n := range 2 {
			wg.Go(func() {
				c, added, err := b.Add(t.Context(), deploy("same", now.Add(-time.Duration(n)*time.Hour)))
				if err != nil || c.ID != "same" {
					t.Errorf("%+v, %v", c, err)
				}
				if added {
					count.Add(1)
				}
			})
		}
		wg.Wait()
		if got := list(t, b, ledger.Query{}); count.Load() != 1 || len(got) != 1 {
			t.Errorf("added %d times, %v", count.Load(), got)
		}
	})
}

// An ID whose change was lost can be told again.
func TestStaleID(t *testing.T) {
	t.Parallel()
	b, s := newBook()
	_, err := s.Txn(t.Context(), nil, []store.Write{{Key: "change-id/d", Value: []byte("change/20260101T000000.000000000Z-d")}})
	must(t, err)
	add(t, b, deploy("d", now))
}

func TestList(t *testing.T) {
	t.Parallel()
	b, s := newBook()
	all, blog := deploy("all", now.Add(-3*time.Hour)), deploy("blog", now.Add(-2*time.Hour))
	all.Site, blog.Site = "", "blog"
	add(t, b, deploy("last-year", now.AddDate(-1, 0, 0)), deploy("spring", now.AddDate(0, -7, 0)), deploy("midnight", now.Truncate(24*time.Hour)),
		deploy("before-midnight", now.Truncate(24*time.Hour).Add(-1)), deploy("ahead", now.Add(30*time.Minute)), all, blog, deploy("late", now.Add(-time.Minute)))
	_, err := s.Txn(t.Context(), nil, []store.Write{{Key: "change/20261122T020000.000000000Z-torn", Value: []byte("{")}})
	must(t, err)
	for name, c := range map[string]struct {
		q    ledger.Query
		want string
	}{
		"all":               {ledger.Query{}, "ahead late blog midnight all before-midnight spring last-year"},
		"newest":            {ledger.Query{Limit: 2}, "ahead late"},
		"of a site":         {ledger.Query{Site: "shop"}, "ahead late midnight all before-midnight spring last-year"},
		"of another":        {ledger.Query{Site: "blog"}, "blog all"},
		"of one without":    {ledger.Query{Site: "news"}, "all"},
		"both ends count":   {ledger.Query{From: now.Add(-3 * time.Hour), To: now.Add(-time.Minute)}, "late blog midnight all"},
		"one moment":        {ledger.Query{From: now.Truncate(24 * time.Hour), To: now.Truncate(24 * time.Hour)}, "midnight all"},
		"long ago":          {ledger.Query{From: now.AddDate(-1, 0, -1), To: now.AddDate(0, -6, 0)}, "spring last-year"},
		"up to long ago":    {ledger.Query{To: now.AddDate(0, -8, 0)}, "last-year"},
		"the wrong way":     {ledger.Query{From: now, To: now.Add(-time.Hour)}, ""},
		"negative limit":    {ledger.Query{Limit: -1, From: now}, "ahead"},
		"another time zone": {ledger.Query{From: now.Add(-time.Minute).In(time.FixedZone("", 9*3600)), To: now.In(time.FixedZone("", -9*3600))}, "late"},
	} {
		if got := strings.Join(list(t, b, c.q), " "); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	s.fail.Store(true)
	if _, err := b.List(t.Context(), ledger.Query{}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%v", err)
	}
}

// A look at an incident reads what lies around it, not all there is.
func TestListIsBounded(t *testing.T) {
	t.Parallel()
	b, s := newBook()
	var changes []ledger.Change
	for n := range ledger.MaxChanges {
		changes = append(changes, deploy(fmt.Sprint(n), now.Add(-time.Duration(n)*57*time.Minute)))
	}
	fill(t, s, changes)
	for name, c := range map[string]struct {
		q           ledger.Query
		got         int
		lists, read int64
	}{
		"the newest":          {ledger.Query{}, 100, 6, 130},
		"of one day":          {ledger.Query{From: now.AddDate(0, 0, -1), To: now}, 26, 2, 60},
		"of a day in spring":  {ledger.Query{From: now.AddDate(0, -7, -1), To: now.AddDate(0, -7, 0)}, 25, 2, 60},
		"as many as there be": {ledger.Query{Limit: 1 << 30}, ledger.MaxLimit, 50, 2500},
		"nothing there":       {ledger.Query{Site: "news"}, 0, 50, 11000},
	} {
		s.lists.Store(0)
		s.read.Store(0)
		got := list(t, b, c.q)
		if len(got) != c.got || s.lists.Load() > c.lists || s.read.Load() > c.read {
			t.Errorf("%s: %d changes by %d listings of %d", name, len(got), s.lists.Load(), s.read.Load())
		}
	}
}

// Any changes, added in any order: List gives those asked for, newest first.
func TestListModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b, _ := newBook()
		when := rapid.OneOf(
			rapid.Int64Range(-int64(ledger.MaxAge), int64(ledger.MaxAhead)),
			rapid.Int64Range(-int64(72*time.Hour), 0),
			rapid.Map(rapid.Int64Range(-400, 0), func(days int64) int64 { return days*int64(24*time.Hour) - int64(3*time.Hour) }),
		)
		var model []ledger.Change
		for n := range rapid.IntRange(0, 40).Draw(t, "changes") {
			c := deploy(fmt.Sprintf("%d.%d", rapid.IntRange(0, 30).Draw(t, "id"), n/20), now.Add(time.Duration(max(when.Draw(t, "at"), -int64(ledger.MaxAge)))))
			c.Site = rapid.SampledFrom([]string{"", "shop", "blog"}).Draw(t, "site")
			kept, added, err := b.Add(context.Background(), c)
			known := slices.IndexFunc(model, func(m ledger.Change) bool { return m.ID == c.ID })
			if err != nil || added != (known < 0) || !added && kept != model[known] {
				t.Fatalf("add %+v: %+v, %t, %v", c, kept, added, err)
			}
			if added {
				model = append(model, kept)
			}
		}
		q := ledger.Query{Site: rapid.SampledFrom([]string{"", "shop", "news"}).Draw(t, "of"), Limit: rapid.IntRange(1, 50).Draw(t, "limit")}
		if rapid.Bool().Draw(t, "span") {
			q.From, q.To = now.Add(time.Duration(when.Draw(t, "from"))), now.Add(time.Duration(when.Draw(t, "to")))
		}
		want := slices.DeleteFunc(slices.Clone(model), func(c ledger.Change) bool {
			return !q.From.IsZero() && c.At.Before(q.From) || !q.To.IsZero() && c.At.After(q.To) || q.Site != "" && c.Site != "" && c.Site != q.Site
		})
		slices.SortFunc(want, func(a, b ledger.Change) int {
			if n := b.At.Compare(a.At); n != 0 {
				return n
			}
			return strings.Compare(b.ID, a.ID)
		})
		got, err := b.List(context.Background(), q)
		if want = want[:min(len(want), q.Limit)]; err != nil || !slices.Equal(got, want) {
			t.Fatalf("%+v: %v, want %v, %v", q, ids(got), ids(want), err)
		}
	})
}

// The oldest make room, with what names them, and never more than may be is kept.
func TestPrune(t *testing.T) {
	t.Parallel()
	b, s := newBook()
	count := func() (changes, names int) {
		a, _, err := s.Store.List(t.Context(), "change/")
		must(t, err)
		n, _, err := s.Store.List(t.Context(), "change-id/")
		must(t, err)
		return len(a), len(n)
	}
	var changes []ledger.Change
	for n := range ledger.MaxChanges {
		changes = append(changes, deploy(fmt.Sprintf("old-%d", n), now.Add(-ledger.MaxAge/2-time.Duration(n)*time.Second)))
	}
	fill(t, s, changes)
	add(t, b, deploy("first", now))
	for n := range 350 {
		add(t, b, deploy(fmt.Sprint(n), now.Add(-time.Duration(n)*time.Second)))
		if have, names := count(); have > ledger.MaxChanges || have != names {
			t.Fatalf("after %d: %d changes, %d names", n, have, names)
		}
	}
	if got := list(t, b, ledger.Query{To: now.Add(-24 * time.Hour), Limit: 1}); !slices.Equal(got, []string{"old-0"}) {
		t.Errorf("the newest of the old: %v", got)
	}
	if _, added, err := b.Add(t.Context(), deploy("old-9999", now)); err != nil || !added {
		t.Errorf("an ID that was pruned: %t, %v", added, err)
	}
}

func TestPruneByAge(t *testing.T) {
	t.Parallel()
	b, s := newBook()
	var changes []ledger.Change
	for n := range 2500 {
		changes = append(changes, deploy(fmt.Sprintf("old-%d", n), now.Add(-ledger.MaxAge-time.Duration(n+1)*time.Second)))
	}
	fill(t, s, append(changes, deploy("young", now.Add(-ledger.MaxAge+time.Second))))
	if got := list(t, b, ledger.Query{}); !slices.Equal(got, []string{"young"}) {
		t.Errorf("%v is shown", got)
	}
	for _, want := range []int{1501, 501, 1, 1} {
		must(t, b.Prune(t.Context()))
		if kvs, _, err := s.Store.List(t.Context(), "change/"); err != nil || len(kvs) != want {
			t.Fatalf("%d are kept, want %d: %v", len(kvs), want, err)
		}
	}
}

// A change is recorded even where the old ones can't be deleted.
func TestPruneFails(t *testing.T) {
	t.Parallel()
	b, s := newBook()
	s.fail.Store(true)
	add(t, b, deploy("d", now))
	if err := b.Prune(t.Context()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%v", err)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	b, s := newBook()
	must(t, s.Close())
	if _, added, err := b.Add(t.Context(), deploy("d", now)); added || !errors.Is(err, store.ErrClosed) {
		t.Errorf("%t, %v", added, err)
	}
}
