// Package storetest is the contract of package store as a test that every engine
// passes.
//
// Only tests import it.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lifeboat/internal/fault"
	"lifeboat/internal/store"
)

// Run tests the contract; open gives an empty store. Closing twice must be
// harmless.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	tests := map[string]func(*testing.T, store.Store){
		"empty":                        testEmpty,
		"a key's life":                 testKeyLife,
		"conditions":                   testConditions,
		"a conflict writes nothing":    testAtomic,
		"nothing to write":             testNothingToWrite,
		"list":                         testList,
		"values are copies":            testCopies,
		"limits":                       testLimits,
		"cancelled":                    testCancelled,
		"closed":                       testClosed,
		"concurrent compare and swap":  testCounter,
		"watch from":                   testWatchFrom,
		"watch ends":                   testWatchEnds,
		"watch ends with the store":    testWatchClosed,
		"watch while writing":          testWatchWhileWriting,
		"large transaction is watched": testLargeTxn,
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			t.Cleanup(func() { _ = s.Close() })
			tests[name](t, s)
		})
	}
	t.Run("model", func(t *testing.T) {
		t.Parallel()
		testModel(t, open)
	})
}

// Compaction tests that history older than keep revisions is told to be gone;
// open gives an empty store that keeps that many.
func Compaction(t *testing.T, open func(t *testing.T, keep int) store.Store) {
	t.Helper()
	const keep = 5
	s := open(t, keep)
	for i := range 20 {
		txn(t, s, nil, put("k", fmt.Sprint(i)))
	}
	for from := store.Revision(0); from < 20-keep-1; from++ {
		if err := s.Watch(t.Context(), "", from, stop); !errors.Is(err, store.ErrCompacted) {
			t.Errorf("watch from %d: %v", from, err)
		}
	}
	for from := store.Revision(20 - keep); from < 20; from++ {
		expect(t, take(t, s, "", from, int(20-from))[0].Modified, from+1)
	}
	kvs, rev, err := s.List(t.Context(), "")
	if err != nil || rev != 20 || len(kvs) != 1 {
		t.Errorf("list: %v, %d, %v", kvs, rev, err)
	}
}

func testEmpty(t *testing.T, s store.Store) {
	_, err := s.Get(t.Context(), "k")
	expect(t, fault.KindOf(err), fault.NotFound)
	kvs, rev, err := s.List(t.Context(), "")
	if len(kvs) != 0 || rev != 0 || err != nil {
		t.Errorf("list: %v, %d, %v", kvs, rev, err)
	}
	expectRevision(t, s, 0)
}

func testKeyLife(t *testing.T, s store.Store) {
	expect(t, txn(t, s, nil, put("other", "x")), 1)
	expect(t, txn(t, s, nil, put("k", "one")), 2)
	expectKV(t, s, store.KV{Key: "k", Value: []byte("one"), Created: 2, Modified: 2})
	expect(t, txn(t, s, nil, put("k", "two")), 3)
	expectKV(t, s, store.KV{Key: "k", Value: []byte("two"), Created: 2, Modified: 3})
	expect(t, txn(t, s, nil, del("k")), 4)
	_, err := s.Get(t.Context(), "k")
	expect(t, fault.KindOf(err), fault.NotFound)
	expect(t, txn(t, s, nil, put("k", "")), 5)
	expectKV(t, s, store.KV{Key: "k", Value: []byte{}, Created: 5, Modified: 5})
	expectRevision(t, s, 5)
}

func testConditions(t *testing.T, s store.Store) {
	if _, err := s.Txn(t.Context(), []store.Cond{{Key: "k", Modified: 1}}, []store.Write{put("k", "x")}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("an absent key had a revision: %v", err)
	}
	txn(t, s, []store.Cond{{Key: "k"}}, put("k", "one"))
	for _, wrong := range []store.Revision{0, 2, 1 << 60} {
		if _, err := s.Txn(t.Context(), []store.Cond{{Key: "k", Modified: wrong}}, []store.Write{put("k", "x")}); !errors.Is(err, store.ErrConflict) {
			t.Errorf("revision %d held: %v", wrong, err)
		}
	}
	txn(t, s, []store.Cond{{Key: "k", Modified: 1}, {Key: "absent"}}, put("k", "two"))
	expectKV(t, s, store.KV{Key: "k", Value: []byte("two"), Created: 1, Modified: 2})
	txn(t, s, []store.Cond{{Key: "k", Modified: 2}}, del("k"))
	txn(t, s, []store.Cond{{Key: "k"}}, put("k", "three"))
}

func testAtomic(t *testing.T, s store.Store) {
	txn(t, s, nil, put("a", "1"), put("b", "1"))
	_, err := s.Txn(t.Context(), []store.Cond{{Key: "a", Modified: 1}, {Key: "b", Modified: 7}},
		[]store.Write{put("a", "2"), del("b"), put("c", "2")})
	if !errors.Is(err, store.ErrConflict) {
		t.Fatalf("got %v", err)
	}
	kvs, rev, err := s.List(t.Context(), "")
	if err != nil || rev != 1 || len(kvs) != 2 || kvs[0].Modified != 1 || kvs[1].Modified != 1 {
		t.Errorf("list: %v, %d, %v", kvs, rev, err)
	}
	txn(t, s, nil, put("a", "3"), del("b"), put("c", "3"))
	kvs, rev, err = s.List(t.Context(), "")
	if err != nil || rev != 2 || len(kvs) != 2 || kvs[0].Modified != 2 || kvs[1].Modified != 2 {
		t.Errorf("list: %v, %d, %v", kvs, rev, err)
	}
}

func testNothingToWrite(t *testing.T, s store.Store) {
	expect(t, txn(t, s, nil), 0)
	txn(t, s, nil, put("k", "x"))
	expect(t, txn(t, s, []store.Cond{{Key: "k", Modified: 1}}), 1)
	expect(t, txn(t, s, nil, del("absent")), 1)
	if _, err := s.Txn(t.Context(), []store.Cond{{Key: "k"}}, nil); !errors.Is(err, store.ErrConflict) {
		t.Errorf("got %v", err)
	}
	expectRevision(t, s, 1)
}

func testList(t *testing.T, s store.Store) {
	keys := []string{"a", "a/", "a/1", "a/10", "a/2", "a/\U0010FFFF", "a/ü", "a0", "b", "\U0010FFFF", "\U0010FFFF1", "A", "a%", "a_"}
	for _, k := range keys {
		txn(t, s, nil, put(k, k))
	}
	for _, prefix := range append([]string{"", "c", "a/1", "a%", "a_"}, keys...) {
		var want, got []string
		for _, k := range keys {
			if strings.HasPrefix(k, prefix) {
				want = append(want, k)
			}
		}
		slices.Sort(want)
		kvs, rev, err := s.List(t.Context(), prefix)
		if err != nil || rev != store.Revision(len(keys)) {
			t.Fatalf("list %q: %d, %v", prefix, rev, err)
		}
		for _, kv := range kvs {
			got = append(got, kv.Key)
			expect(t, string(kv.Value), kv.Key)
		}
		if !slices.Equal(got, want) {
			t.Errorf("list %q: %q, want %q", prefix, got, want)
		}
	}
}

func testCopies(t *testing.T, s store.Store) {
	value := []byte("value")
	txn(t, s, nil, store.Write{Key: "k", Value: value})
	value[0] = 'X'
	kv, err := s.Get(t.Context(), "k")
	expect(t, string(kv.Value), "value")
	kv.Value[0] = 'Y'
	kvs, _, err2 := s.List(t.Context(), "")
	expect(t, string(kvs[0].Value), "value")
	kvs[0].Value[0] = 'Z'
	expect(t, string(take(t, s, "", 0, 1)[0].Value), "value")
	if err != nil || err2 != nil {
		t.Error(err, err2)
	}
}

func testLimits(t *testing.T, s store.Store) {
	long := strings.Repeat("k", store.MaxKey+1)
	many := make([]store.Write, store.MaxWrites+1)
	manyConds := make([]store.Cond, store.MaxWrites+1)
	for i := range many {
		many[i] = put(fmt.Sprint("key", i), "v")
		manyConds[i].Key = many[i].Key
	}
	for name, bad := range map[string]struct {
		conds  []store.Cond
		writes []store.Write
	}{
		"long key":          {nil, []store.Write{put(long, "")}},
		"long key, cond":    {[]store.Cond{{Key: long}}, nil},
		"empty key":         {nil, []store.Write{put("", "")}},
		"empty key, cond":   {[]store.Cond{{}}, nil},
		"not UTF-8":         {nil, []store.Write{put("a\xffb", "")}},
		"zero byte":         {nil, []store.Write{put("a\x00b", "")}},
		"large value":       {nil, []store.Write{{Key: "k", Value: make([]byte, store.MaxValue+1)}}},
		"twice":             {nil, []store.Write{put("k", "1"), del("k")}},
		"too many writes":   {nil, many},
		"too many, cond":    {manyConds, nil},
		"one of two is bad": {nil, []store.Write{put("k", "1"), put("", "1")}},
	} {
		if _, err := s.Txn(t.Context(), bad.conds, bad.writes); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	expectRevision(t, s, 0)
	large := bytes.Repeat([]byte{0, 1, 0xff}, store.MaxValue/3+1)[:store.MaxValue]
	txn(t, s, manyConds[1:], append(many[2:], store.Write{Key: long[1:], Value: large})...)
	expectKV(t, s, store.KV{Key: long[1:], Value: large, Created: 1, Modified: 1})
}

func testCancelled(t *testing.T, s store.Store) {
	cause := errors.New("the test has had enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	_, err := s.Get(ctx, "k")
	_, _, err2 := s.List(ctx, "")
	_, err3 := s.Txn(ctx, nil, []store.Write{put("k", "v")})
	_, err4 := s.Revision(ctx)
	err5 := s.Watch(ctx, "", 0, stop)
	for i, err := range []error{err, err2, err3, err4, err5} {
		if !errors.Is(err, cause) {
			t.Errorf("method %d: %v", i, err)
		}
	}
	expectRevision(t, s, 0)
}

func testClosed(t *testing.T, s store.Store) {
	txn(t, s, nil, put("k", "v"))
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	_, err := s.Get(t.Context(), "k")
	_, _, err2 := s.List(t.Context(), "")
	_, err3 := s.Txn(t.Context(), nil, []store.Write{put("k", "v")})
	_, err4 := s.Revision(t.Context())
	err5 := s.Watch(t.Context(), "", 0, stop)
	for i, err := range []error{err, err2, err3, err4, err5} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("method %d: %v", i, err)
		}
	}
}

func testCounter(t *testing.T, s store.Store) {
	const writers, each = 4, 10
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for range each {
				if err := increment(t.Context(), s); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	kv, err := s.Get(t.Context(), "counter")
	if err != nil || len(kv.Value) != writers*each {
		t.Errorf("counted %d, %v", len(kv.Value), err)
	}
	expectRevision(t, s, writers*each)
}

func increment(ctx context.Context, s store.Store) error {
	for {
		kv, err := s.Get(ctx, "counter")
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return err
		}
		_, err = s.Txn(ctx, []store.Cond{{Key: "counter", Modified: kv.Modified}},
			[]store.Write{{Key: "counter", Value: append(kv.Value, 'i')}})
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

func testWatchFrom(t *testing.T, s store.Store) {
	txn(t, s, nil, put("b", "1"), put("a", "1"), put("c", "1"))
	txn(t, s, nil, put("x", "2"))
	txn(t, s, nil, del("b"), put("a", "3"))
	all := []string{"1 a=1 (1)", "1 b=1 (1)", "1 c=1 (1)", "2 x=2 (2)", "3 a=3 (1)", "3 b deleted"}
	for from, want := range map[store.Revision][]string{0: all, 1: all[3:], 2: all[4:]} {
		if got := texts(take(t, s, "", from, len(want))); !slices.Equal(got, want) {
			t.Errorf("from %d: %q, want %q", from, got, want)
		}
	}
	if got, want := texts(take(t, s, "b", 0, 2)), []string{"1 b=1 (1)", "3 b deleted"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func testWatchEnds(t *testing.T, s store.Store) {
	txn(t, s, nil, put("a", "1"), put("b", "1"))
	if got := take(t, s, "", 0, 1); len(got) != 1 {
		t.Errorf("got %v", got)
	}
	cause := errors.New("the test has had enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	var got []store.Change
	err := s.Watch(ctx, "", 0, func(c store.Change) bool {
		got = append(got, c)
		if len(got) == 2 {
			cancel(cause)
		}
		return true
	})
	if !errors.Is(err, cause) || len(got) != 2 {
		t.Errorf("got %v, %v", got, err)
	}
	cancel(nil)
}

func testWatchClosed(t *testing.T, s store.Store) {
	txn(t, s, nil, put("a", "1"))
	done := make(chan error, 1)
	seen := make(chan store.Change, 1)
	ctx, cancel := patient(t)
	defer cancel()
	go func() {
		done <- s.Watch(ctx, "", 0, func(c store.Change) bool { seen <- c; return true })
	}()
	<-seen
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, store.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// testWatchWhileWriting has watchers come in while several writers write: each
// sees every change after its start once, in order.
func testWatchWhileWriting(t *testing.T, s store.Store) {
	const writers, each = 3, 15
	var writing, watching sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				txn(t, s, nil, put(fmt.Sprintf("w%d/%d", w, i), "v"), put(fmt.Sprintf("last/%d", w), fmt.Sprint(i)))
			}
		})
	}
	for range 4 {
		watching.Go(func() {
			from, err := s.Revision(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			left := 2 * (writers*each - int(from))
			rev, key := from, "~"
			for _, c := range take(t, s, "", from, left) {
				next := c.Modified == rev+1 && key > "w" && c.Key < "m"
				same := c.Modified == rev && c.Key > key
				if !next && !same {
					t.Errorf("%d %s came after %d %s", c.Modified, c.Key, rev, key)
				}
				rev, key = c.Modified, c.Key
			}
			expect(t, rev, writers*each)
		})
	}
	writing.Wait()
	watching.Wait()
	expect(t, len(take(t, s, "w1/", 0, each)), each)
}

func testLargeTxn(t *testing.T, s store.Store) {
	var writes []store.Write
	for i := range 1000 {
		writes = append(writes, put(fmt.Sprintf("k%04d", i), "v"))
	}
	txn(t, s, nil, put("k", "first"))
	txn(t, s, nil, writes...)
	txn(t, s, nil, put("k", "last"))
	got := take(t, s, "k", 0, 1002)
	expect(t, got[1].Key, "k0000")
	expect(t, got[1000].Key, "k0999")
	expect(t, string(got[1001].Value), "last")
}

// testModel compares a store with the contract written down as plainly as it can
// be.
func testModel(t *testing.T, open func(t *testing.T) store.Store) {
	rapid.Check(t, func(rt *rapid.T) {
		s := open(t)
		defer s.Close()
		m := model{kvs: map[string]store.KV{}}
		for range rapid.IntRange(1, 25).Draw(rt, "transactions") {
			conds, writes := draw(rt, m)
			want, wantErr := m.txn(conds, writes)
			got, err := s.Txn(t.Context(), conds, writes)
			if !errors.Is(err, wantErr) || err == nil && got != want {
				rt.Fatalf("txn %v %v: %d, %v, want %d, %v", conds, writes, got, err, want, wantErr)
			}
		}
		kvs, rev, err := s.List(t.Context(), "")
		if err != nil || rev != m.revision || fmt.Sprint(kvs) != fmt.Sprint(m.list()) {
			rt.Fatalf("list: %v, %d, %v, want %v, %d", kvs, rev, err, m.list(), m.revision)
		}
		if got := texts(take(t, s, "", 0, len(m.changes))); !slices.Equal(got, texts(m.changes)) {
			rt.Fatalf("watch: %q, want %q", got, texts(m.changes))
		}
	})
}

type model struct {
	kvs      map[string]store.KV
	changes  []store.Change
	revision store.Revision
}

func (m *model) txn(conds []store.Cond, writes []store.Write) (store.Revision, error) {
	for _, c := range conds {
		if m.kvs[c.Key].Modified != c.Modified {
			return 0, store.ErrConflict
		}
	}
	next := m.revision + 1
	slices.SortFunc(writes, func(a, b store.Write) int { return strings.Compare(a.Key, b.Key) })
	for _, w := range writes {
		old, exists := m.kvs[w.Key]
		switch {
		case w.Delete && exists:
			delete(m.kvs, w.Key)
			m.changes = append(m.changes, store.Change{KV: store.KV{Key: w.Key, Modified: next}, Deleted: true})
			m.revision = next
		case !w.Delete:
			kv := store.KV{Key: w.Key, Value: w.Value, Created: old.Created, Modified: next}
			if !exists {
				kv.Created = next
			}
			m.kvs[w.Key] = kv
			m.changes = append(m.changes, store.Change{KV: kv})
			m.revision = next
		}
	}
	return m.revision, nil
}

func (m *model) list() []store.KV {
	var kvs []store.KV
	for _, key := range slices.Sorted(maps.Keys(m.kvs)) {
		kvs = append(kvs, m.kvs[key])
	}
	return kvs
}

func draw(rt *rapid.T, m model) (conds []store.Cond, writes []store.Write) {
	key := rapid.SampledFrom([]string{"a", "b", "c/1", "c/2", "ü"})
	for _, k := range rapid.SliceOfNDistinct(key, 0, 3, rapid.ID).Draw(rt, "conditions") {
		c := store.Cond{Key: k, Modified: m.kvs[k].Modified}
		if rapid.IntRange(0, 9).Draw(rt, "stale") == 0 {
			c.Modified++
		}
		conds = append(conds, c)
	}
	for _, k := range rapid.SliceOfNDistinct(key, 0, 4, rapid.ID).Draw(rt, "writes") {
		if rapid.Bool().Draw(rt, "delete") {
			writes = append(writes, del(k))
		} else {
			writes = append(writes, put(k, rapid.StringN(0, 5, -1).Draw(rt, "value")))
		}
	}
	return conds, writes
}

func put(key, value string) store.Write { return store.Write{Key: key, Value: []byte(value)} }

func del(key string) store.Write { return store.Write{Key: key, Delete: true} }

func stop(store.Change) bool { return false }

func txn(t *testing.T, s store.Store, conds []store.Cond, writes ...store.Write) store.Revision {
	t.Helper()
	rev, err := s.Txn(t.Context(), conds, writes)
	if err != nil {
		t.Errorf("txn: %v", err)
	}
	return rev
}

// take watches until n changes have come.
func take(t *testing.T, s store.Store, prefix string, from store.Revision, n int) (got []store.Change) {
	t.Helper()
	if n == 0 {
		return nil
	}
	ctx, cancel := patient(t)
	defer cancel()
	err := s.Watch(ctx, prefix, from, func(c store.Change) bool {
		got = append(got, c)
		return len(got) < n
	})
	if err != nil {
		t.Errorf("watch %q from %d: %v", prefix, from, err)
	}
	return got
}

// patient ends a watch that would wait for ever.
func patient(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(t.Context(), 30*time.Second, errors.New("a change did not come"))
}

// texts writes changes as "revision key=value (created)".
func texts(changes []store.Change) (lines []string) {
	for _, c := range changes {
		if c.Deleted {
			lines = append(lines, fmt.Sprintf("%d %s deleted", c.Modified, c.Key))
			continue
		}
		lines = append(lines, fmt.Sprintf("%d %s=%s (%d)", c.Modified, c.Key, c.Value, c.Created))
	}
	return lines
}

func expect[T comparable](t *testing.T, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func expectRevision(t *testing.T, s store.Store, want store.Revision) {
	t.Helper()
	got, err := s.Revision(t.Context())
	if err != nil || got != want {
		t.Errorf("revision %d, %v, want %d", got, err, want)
	}
}

func expectKV(t *testing.T, s store.Store, want store.KV) {
	t.Helper()
	got, err := s.Get(t.Context(), want.Key)
	if err != nil || got.Created != want.Created || got.Modified != want.Modified || got.Key != want.Key || !bytes.Equal(got.Value, want.Value) {
		t.Errorf("got %.200v, %v, want %.200v", got, err, want)
	}
}
