package store_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/journal"
	"lifeboat/internal/slot/slottest"
	"lifeboat/internal/store"
	"lifeboat/internal/store/mem"
	"lifeboat/internal/store/sqlite"
	"lifeboat/internal/store/storetest"
)

// flaky is a primary whose Txn fails when told to.
type flaky struct {
	*mem.Store
	fail  func(n int64) error // asked before the nth Txn
	calls atomic.Int64
}

func (f *flaky) Txn(ctx context.Context, conds []store.Cond, writes []store.Write) (store.Revision, error) {
	if err := f.fail(f.calls.Add(1)); err != nil {
		return 0, err
	}
	return f.Store.Txn(ctx, conds, writes)
}

// breakable is a primary that is up or down.
func breakable() (f *flaky, down *atomic.Bool) {
	down = new(atomic.Bool)
	return &flaky{Store: mem.New(mem.Options{}), fail: func(int64) error {
		if down.Load() {
			return errDown
		}
		return nil
	}}, down
}

var errDown = fault.New(fault.Unavailable, "the disk is full")

func TestGuardedContract(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(n int64) error{
		"works":  func(int64) error { return nil },
		"broken": func(int64) error { return errDown },
		"every third fails": func(n int64) error {
			if n%3 == 0 {
				return errDown
			}
			return nil
		},
		"two of three fail": func(n int64) error {
			if n%3 != 0 {
				return errDown
			}
			return nil
		},
		"an error nobody foresaw": func(n int64) error {
			if n%2 == 0 {
				return errors.New("surprise")
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T) store.Store {
				f := &flaky{Store: mem.New(mem.Options{}), fail: fail}
				return guard(t, f, openJournal(t, slottest.NewDisk(), 64<<10), store.GuardOptions{Interval: 1, LastResort: func([]byte) {}})
			})
		})
	}
}

func TestDegradedAndBack(t *testing.T) {
	t.Parallel()
	primary, down := breakable()
	j := openJournal(t, slottest.NewDisk(), 0)
	now := time.Unix(1000, 0)
	g := guard(t, primary, j, store.GuardOptions{Now: func() time.Time { return now }})
	put(t, g, "a", "1")
	expectDegraded(t, g, 0, "")
	down.Store(true)
	put(t, g, "b", "2")
	now = now.Add(10)
	put(t, g, "a", "3")
	since, _, _, _ := g.Degraded()
	if !since.Equal(time.Unix(1000, 0)) {
		t.Errorf("since %v", since)
	}
	expectDegraded(t, g, 2, "the disk is full")
	expectList(t, g, "a=3@3", "b=2@2")
	expectList(t, primary.Store, "a=1@1")
	expectRecords(t, j, 2)
	down.Store(false)
	g.Merge(t.Context())
	expectDegraded(t, g, 0, "")
	expectList(t, g, "a=3@3", "b=2@2")
	expectList(t, primary.Store, "a=3@3", "b=2@2")
	expectRecords(t, j, 0)
	put(t, g, "c", "4")
	expectList(t, primary.Store, "a=3@3", "b=2@2", "c=4@4")
}

func TestTxnTriesToMergeOncePerInterval(t *testing.T) {
	t.Parallel()
	primary, down := breakable()
	now := time.Unix(1000, 0)
	g := guard(t, primary, nil, store.GuardOptions{Now: func() time.Time { return now }, LastResort: func([]byte) {}})
	down.Store(true)
	put(t, g, "k", "0")
	tries := func(after time.Duration) int64 {
		before := primary.calls.Load()
		now = now.Add(after)
		put(t, g, "k", "v")
		return primary.calls.Load() - before
	}
	for _, c := range []struct {
		after time.Duration
		want  int64
	}{{0, 0}, {999 * time.Millisecond, 0}, {time.Millisecond, 1}, {0, 0}, {-time.Hour, 1}, {0, 0}, {time.Second, 1}} {
		if got := tries(c.after); got != c.want {
			t.Errorf("after %v: %d tries, want %d", c.after, got, c.want)
		}
	}
	down.Store(false)
	put(t, g, "k", "still held")
	expectDegraded(t, g, 9, "")
	now = now.Add(time.Second)
	put(t, g, "k", "written")
	expectDegraded(t, g, 0, "")
	expectList(t, primary.Store, "k=written@10")
}

func TestRunMerges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		primary, down := breakable()
		g := guard(t, primary, openJournal(t, slottest.NewDisk(), 0), store.GuardOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- g.Run(ctx) }()
		down.Store(true)
		put(t, g, "k", "1")
		time.Sleep(10 * time.Second)
		expectDegraded(t, g, 1, "full")
		down.Store(false)
		time.Sleep(time.Second)
		synctest.Wait()
		expectDegraded(t, g, 0, "")
		down.Store(true)
		put(t, g, "k", "2")
		down.Store(false)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		expectList(t, primary.Store, "k=2@2")
	})
}

func TestJournalIsReplayed(t *testing.T) {
	t.Parallel()
	disk := slottest.NewDisk()
	primary, down := breakable()
	g := guard(t, primary, openJournal(t, disk, 0), store.GuardOptions{})
	put(t, g, "a", "1")
	down.Store(true)
	put(t, g, "a", "2")
	put(t, g, "b", "3")

	g = guard(t, primary, openJournal(t, disk, 0), store.GuardOptions{}) // the process died
	expectDegraded(t, g, 2, "full")
	expectList(t, g, "a=2@2", "b=3@3")
	put(t, g, "a", "4")

	down.Store(false)
	j := openJournal(t, disk, 0)
	g = guard(t, primary, j, store.GuardOptions{})
	expectDegraded(t, g, 0, "")
	expectList(t, primary.Store, "a=4@4", "b=3@3")
	expectRecords(t, j, 0)
}

func TestReplaySkipsWhatThePrimaryHas(t *testing.T) {
	t.Parallel()
	disk := slottest.NewDisk()
	primary, down := breakable()
	g := guard(t, primary, openJournal(t, disk, 0), store.GuardOptions{})
	down.Store(true)
	put(t, g, "a", "1")
	put(t, g, "b", "2")
	down.Store(false)
	disk.FailSyncs(syscall.EIO) // the journal can't be emptied
	g.Merge(t.Context())
	expectDegraded(t, g, 0, "")
	put(t, g, "a", "3")
	g = guard(t, primary, openJournal(t, disk.PowerCut(), 0), store.GuardOptions{})
	expectDegraded(t, g, 0, "")
	expectList(t, g, "a=3@3", "b=2@2")
	if got := g.Strays(); len(got) != 0 {
		t.Errorf("strays %q", got)
	}
}

func TestRecordsOfAnotherStoreAreStrays(t *testing.T) {
	t.Parallel()
	disk := slottest.NewDisk()
	old, down := breakable()
	g := guard(t, old, openJournal(t, disk, 0), store.GuardOptions{})
	put(t, g, "a", "1")
	down.Store(true)
	put(t, g, "a", "2")

	older := &flaky{Store: old.Store, fail: func(int64) error { return nil }}
	j := openJournal(t, disk, 0)
	if err := j.Append([]byte(fmt.Sprintf(`{"life":%q,"revision":9,"writes":[{"Key":"x"}]}`, old.Life()))); err != nil {
		t.Fatal(err)
	}
	if err := j.Append([]byte("no record")); err != nil {
		t.Fatal(err)
	}
	var told int
	g = guard(t, older, j, store.GuardOptions{LastResort: func([]byte) { told++ }})
	expectList(t, g, "a=2@2") // its own record is taken, the one after a gap and the damaged one are not
	if got := len(g.Strays()); got != 2 || told != 2 {
		t.Errorf("%d strays, %d told", got, told)
	}
	expectRecords(t, j, 0)

	if err := j.Append([]byte(fmt.Sprintf(`{"life":%q,"revision":1,"writes":[{"Key":"x"}]}`, old.Life()))); err != nil {
		t.Fatal(err)
	}
	g = guard(t, mem.New(mem.Options{}), j, store.GuardOptions{LastResort: func([]byte) { told++ }})
	expectList(t, g)
	if got := len(g.Strays()); got != 1 || told != 3 {
		t.Errorf("%d strays, %d told", got, told)
	}
}

func TestLastResort(t *testing.T) {
	t.Parallel()
	disk := slottest.NewDisk()
	primary, down := breakable()
	j := openJournal(t, disk, 0)
	var told []string
	g := guard(t, primary, j, store.GuardOptions{LastResort: func(b []byte) { told = append(told, string(b)) }})
	down.Store(true)
	put(t, g, "a", "1")
	disk.FailWrites(10, syscall.EIO)
	put(t, g, "b", "2")
	put(t, g, "c", "3")
	if len(told) != 2 || !strings.Contains(told[0], `"revision":2`) || !strings.Contains(told[1], `"revision":3`) {
		t.Errorf("told %q", told)
	}
	expectDegraded(t, g, 3, "the journal does not take the record")
	expectList(t, g, "a=1@1", "b=2@2", "c=3@3")
	expectRecords(t, j, 1)
	disk.FailWrites(0, nil)
	put(t, g, "d", "4") // brings in what had been missed, in order
	if len(told) != 2 {
		t.Errorf("told %q", told)
	}
	if _, _, reason, _ := g.Degraded(); strings.Contains(reason, "journal") {
		t.Errorf("reason %q", reason)
	}
	g = guard(t, primary, openJournal(t, disk, 0), store.GuardOptions{})
	expectList(t, g, "a=1@1", "b=2@2", "c=3@3", "d=4@4")
}

// TestLastResortTellsNoValues: the log says what is not kept, and nothing of what it says.
func TestLastResortTellsNoValues(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	disk := slottest.NewDisk()
	primary, down := breakable()
	j := openJournal(t, disk, 0)
	if err := j.Append([]byte(`{"hash":"$argon2id$stray`)); err != nil {
		t.Fatal(err)
	}
	g := guard(t, primary, j, store.GuardOptions{Log: slog.New(slog.NewTextHandler(&said, nil))})
	put(t, g, "account/gone", "1")
	down.Store(true)
	disk.FailWrites(1000, syscall.EIO)
	writes := []store.Write{{Key: "account/ada", Value: []byte("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$a2V5")}, {Key: "account/gone", Delete: true}}
	for i := range 500 {
		writes = append(writes, store.Write{Key: fmt.Sprintf("session/%04d", i), Value: []byte("argon2id")})
	}
	if _, err := g.Txn(t.Context(), nil, writes); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"recorded in memory only", "revision=2", "put account/ada", "delete account/gone", "more=482", "can't be read"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("the log does not say %q: %.2000s", want, said.String())
		}
	}
	for _, never := range []string{"argon2id", "c2FsdA", base64.StdEncoding.EncodeToString(writes[0].Value)[:20], "session/0400"} {
		if strings.Contains(said.String(), never) {
			t.Errorf("the log tells %q: %.2000s", never, said.String())
		}
	}
}

func TestMergeHalfWay(t *testing.T) {
	t.Parallel()
	disk := slottest.NewDisk()
	room := 0
	primary := &flaky{Store: mem.New(mem.Options{}), fail: func(int64) error {
		if room == 0 {
			return errDown
		}
		room--
		return nil
	}}
	g := guard(t, primary, openJournal(t, disk, 0), store.GuardOptions{})
	for i := range 5 {
		put(t, g, fmt.Sprint("k", i), "v")
	}
	room = 3
	g.Merge(t.Context())
	expectDegraded(t, g, 2, "full")
	put(t, g, "k5", "v") // must be recorded behind those that are left
	put(t, g, "k0", "v")
	want := []string{"k0=v@7", "k1=v@2", "k2=v@3", "k3=v@4", "k4=v@5", "k5=v@6"}
	expectList(t, g, want...)
	g = guard(t, primary, openJournal(t, disk.PowerCut(), 0), store.GuardOptions{})
	expectDegraded(t, g, 4, "full")
	expectList(t, g, want...)
	room = -1
	g.Merge(t.Context())
	expectList(t, primary.Store, want...)
}

// TestMergeOfWhatThePrimaryHas: a primary may have taken a transaction although it
// said that it had not.
func TestMergeOfWhatThePrimaryHas(t *testing.T) {
	t.Parallel()
	primary, down := breakable()
	g := guard(t, primary, openJournal(t, slottest.NewDisk(), 0), store.GuardOptions{})
	down.Store(true)
	put(t, g, "a", "1")
	put(t, g, "b", "2")
	put(t, primary.Store, "a", "1")
	down.Store(false)
	g.Merge(t.Context())
	expectDegraded(t, g, 0, "")
	expectList(t, primary.Store, "a=1@1", "b=2@2")
}

// TestUnsureRecord: a record that a dead process could not sync shows up in the
// journal, but nobody may rely on it before it is.
func TestUnsureRecord(t *testing.T) {
	t.Parallel()
	disk := slottest.NewDisk()
	primary, down := breakable()
	down.Store(true)
	var told int
	o := store.GuardOptions{LastResort: func([]byte) { told++ }}
	g := guard(t, primary, openJournal(t, disk, 0), o)
	disk.FailSyncs(syscall.EIO)
	put(t, g, "a", "1")
	g = guard(t, primary, openJournal(t, disk, 0), o)
	if told != 2 {
		t.Errorf("told %d times, once by each process is right", told)
	}
	expectDegraded(t, g, 1, "the journal does not take the record")
	disk.FailSyncs(nil)
	put(t, g, "b", "2")
	expectList(t, guard(t, primary, openJournal(t, disk.PowerCut(), 0), o), "a=1@1", "b=2@2")
}

func TestPendingIsBounded(t *testing.T) {
	t.Parallel()
	primary, down := breakable()
	g := guard(t, primary, nil, store.GuardOptions{MaxPending: 3000, LastResort: func([]byte) {}})
	down.Store(true)
	for i := 0; ; i++ {
		_, err := g.Txn(t.Context(), nil, []store.Write{{Key: fmt.Sprint(i), Value: make([]byte, 300)}})
		if err != nil {
			if fault.KindOf(err) != fault.Unavailable || i < 3 || i > 9 {
				t.Errorf("transaction %d: %v", i, err)
			}
			break
		}
	}
	down.Store(false)
	g.Merge(t.Context())
	put(t, g, "k", "goes on")
}

func TestUnreadablePrimaryIsAnError(t *testing.T) {
	t.Parallel()
	primary := mem.New(mem.Options{})
	_ = primary.Close()
	if _, err := store.Guard(t.Context(), primary, nil, store.GuardOptions{}); err == nil {
		t.Error("no error")
	}
}

// TestGuardedConcurrently has writers, readers and watchers while the primary comes
// and goes: nothing is lost, seen twice or out of order.
func TestGuardedConcurrently(t *testing.T) {
	t.Parallel()
	primary, down := breakable()
	g := guard(t, primary, openJournal(t, slottest.NewDisk(), 64<<10), store.GuardOptions{Interval: 1, LastResort: func([]byte) {}})
	const writers, each = 4, 50
	ctx, stop := context.WithCancel(t.Context())
	var writing, others sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				put(t, g, fmt.Sprintf("w%d", w), fmt.Sprint(i))
				if i%5 == w {
					down.Store(!down.Load())
				}
			}
		})
	}
	for range 3 {
		others.Go(func() {
			next := store.Revision(1)
			err := g.Watch(t.Context(), "", 0, func(c store.Change) bool {
				if c.Modified != next {
					t.Errorf("%d came instead of %d", c.Modified, next)
				}
				next++
				return next <= writers*each
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	others.Go(func() { readWhile(ctx, t, g) })
	others.Go(func() {
		for ctx.Err() == nil {
			g.Merge(ctx)
		}
	})
	writing.Wait()
	stop()
	others.Wait()
	down.Store(false)
	g.Merge(t.Context())
	expectList(t, primary.Store, func() (want []string) {
		kvs, _, _ := g.List(t.Context(), "")
		for _, kv := range kvs {
			want = append(want, text(kv))
		}
		return want
	}()...)
	if rev, err := primary.Revision(t.Context()); err != nil || rev != writers*each {
		t.Errorf("revision %d, %v", rev, err)
	}
}

// readWhile checks that no reading goes back in time or mixes two times.
func readWhile(ctx context.Context, t *testing.T, g *store.Guarded) {
	var last store.Revision
	for ctx.Err() == nil {
		kvs, rev, err := g.List(t.Context(), "")
		if err != nil || rev < last {
			t.Errorf("revision %d came after %d, %v", rev, last, err)
		}
		last = rev
		var newest store.Revision
		for _, kv := range kvs {
			newest = max(newest, kv.Modified)
		}
		if newest != rev {
			t.Errorf("a list of revision %d has nothing newer than %d", rev, newest)
		}
		now, err := g.Revision(t.Context())
		if err != nil || now < last {
			t.Errorf("revision %d came after %d, %v", now, last, err)
		}
		last = now
	}
}

// TestGuardedOnAFullDisk is the real thing: SQLite and journal on a disk without a
// byte left, a restart in between, and space again.
func TestGuardedOnAFullDisk(t *testing.T) {
	t.Parallel()
	slottest.InTmpfs(t, 8<<20, func(folder string) {
		g := guardFolder(t, folder)
		put(t, g, "k0", "before")
		free := slottest.Fill(t, folder)
		want := []string{"k0=before@1"}
		add := func(i int) {
			value := strings.Repeat(string(rune('a'+i%26)), 2000)
			put(t, g, fmt.Sprintf("k%03d", i), value)
			want = append(want, fmt.Sprintf("k%03d=%s@%d", i, value, i+1))
		}
		for i := 1; i <= 100; i++ {
			add(i)
		}
		_, pending, reason, degraded := g.Degraded()
		if !degraded || pending < 50 || strings.Contains(reason, "journal") {
			t.Fatalf("%v, %d pending: %s", degraded, pending, reason)
		}
		expectList(t, g, want...)

		if err := g.Close(); err != nil {
			t.Logf("close on a full disk: %v", err)
		}
		g = guardFolder(t, folder)
		expectList(t, g, want...)
		for i := 101; i <= 120; i++ {
			add(i)
		}

		free()
		g.Merge(t.Context())
		expectDegraded(t, g, 0, "")
		expectList(t, g, want...)
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
		s, err := sqlite.Open(t.Context(), filepath.Join(folder, "store.db"), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		expectList(t, s, want...)
		seen := 0
		err = s.Watch(t.Context(), "", 0, func(c store.Change) bool {
			seen++
			if c.Modified != store.Revision(seen) {
				t.Errorf("%d came as number %d", c.Modified, seen)
			}
			return seen < len(want)
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func guardFolder(t *testing.T, folder string) *store.Guarded {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(folder, "store.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(filepath.Join(folder, "journal"), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return guard(t, s, j, store.GuardOptions{})
}

func guard(t fataler, primary store.Engine, j store.Journal, o store.GuardOptions) *store.Guarded {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	g, err := store.Guard(context.Background(), primary, j, o)
	if err != nil {
		t.Fatalf("guard: %v", err)
	}
	return g
}

func openJournal(t fataler, disk *slottest.Disk, size int64) *journal.Journal {
	t.Helper()
	if size == 0 {
		size = 64 << 10
	}
	j, err := journal.OpenWith(disk, "journal", size)
	if err != nil {
		t.Fatalf("journal: %v", err)
	}
	return j
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func put(t *testing.T, s store.Store, key, value string) {
	t.Helper()
	if _, err := s.Txn(t.Context(), nil, []store.Write{{Key: key, Value: []byte(value)}}); err != nil {
		t.Errorf("txn: %v", err)
	}
}

func text(kv store.KV) string { return fmt.Sprintf("%s=%s@%d", kv.Key, kv.Value, kv.Modified) }

func expectList(t *testing.T, s store.Store, want ...string) {
	t.Helper()
	kvs, _, err := s.List(t.Context(), "")
	var got []string
	for _, kv := range kvs {
		got = append(got, text(kv))
	}
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("got %.30q, %v, want %.30q", got, err, want)
	}
}

func expectDegraded(t *testing.T, g *store.Guarded, want int, why string) {
	t.Helper()
	since, pending, reason, degraded := g.Degraded()
	if degraded != (want > 0) || since.IsZero() == degraded || pending != want || !strings.Contains(reason, why) {
		t.Errorf("degraded %v since %v, %d pending: %q; want %d, %q", degraded, since, pending, reason, want, why)
	}
}

func expectRecords(t *testing.T, j *journal.Journal, want int) {
	t.Helper()
	if records, err := j.Records(); err != nil || len(records) != want {
		t.Errorf("%d records in the journal, %v, want %d", len(records), err, want)
	}
}

// FuzzReplay gives Guard whatever a journal may hold: it starts, and what does not
// fit is a stray.
func FuzzReplay(f *testing.F) {
	for _, seed := range []string{
		`{"life":%q,"revision":1,"writes":[{"Key":"a","Value":"eA=="}]}`,
		`{"life":%q,"revision":1,"writes":[{"Key":"","Value":null}]}`,
		`{"life":%q,"revision":1,"writes":[]}`,
		`{"life":%q,"revision":18446744073709551615,"writes":[{"Key":"a"}]}`,
		`{"life":%q}`, `{"life":"other"}`, `null`, `{`, ``,
	} {
		f.Add([]byte(strings.ReplaceAll(seed, "%q", `"LIFE"`)))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		primary := mem.New(mem.Options{})
		j := openJournal(t, slottest.NewDisk(), 256<<10)
		if err := j.Append([]byte(strings.ReplaceAll(string(raw), "LIFE", primary.Life()))); err != nil {
			return // larger than the journal
		}
		g := guard(t, primary, j, store.GuardOptions{LastResort: func([]byte) {}})
		rev, err := primary.Revision(t.Context())
		if err != nil || int(rev)+len(g.Strays()) != 1 {
			t.Errorf("revision %d, %v, strays %q", rev, err, g.Strays())
		}
		put(t, g, "k", "goes on")
	})
}
