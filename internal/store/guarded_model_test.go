package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"lifeboat/internal/slot/slottest"
	"lifeboat/internal/store"
	"lifeboat/internal/store/mem"
)

// TestGuardedModel lets primary, journal and process fail at random. All through
// that Guarded behaves like a store that works; after a crash it has at least what
// was recorded; when all works again the primary has everything.
func TestGuardedModel(t *testing.T) {
	t.Parallel()
	for range 10 { // ten times rapid's usual number
		rapid.Check(t, guardedModel)
	}
}

func guardedModel(rt *rapid.T) {
	w := newWorld(rt)
	rt.Repeat(map[string]func(*rapid.T){
		"txn":   w.txn,
		"txn 2": w.txn,
		"primary fails later": func(rt *rapid.T) {
			w.room = rapid.IntRange(0, 3).Draw(rt, "transactions")
		},
		"primary works":         func(*rapid.T) { w.room = -1 },
		"journal tears":         func(rt *rapid.T) { w.disk.FailWrites(rapid.IntRange(0, 900).Draw(rt, "room"), syscall.ENOSPC) },
		"journal does not sync": func(*rapid.T) { w.disk.FailSyncs(syscall.EIO) },
		"journal works":         func(*rapid.T) { w.disk.FailWrites(0, nil); w.disk.FailSyncs(nil) },
		"merge":                 func(*rapid.T) { w.g.Merge(context.Background()) },
		"crash":                 w.crash,
		"follow":                w.follow,
		"":                      w.check,
	})
	w.recover(rt)
}

// world is a Guarded among things that fail, and what it should say.
type world struct {
	primary *flaky
	room    int // transactions that the primary takes before it fails; negative: any number
	disk    *slottest.Disk
	g       *store.Guarded

	states  []map[string]store.KV // by revision
	changes []string              // in the order of a watch
	counts  []int                 // how many changes there are up to a revision
	cursor  store.Revision        // of a watcher
}

func newWorld(rt *rapid.T) *world {
	w := &world{room: -1, disk: slottest.NewDisk(), states: []map[string]store.KV{{}}, counts: []int{0}}
	w.primary = &flaky{Store: mem.New(mem.Options{}), fail: func(int64) error {
		if w.room == 0 {
			return errDown
		}
		w.room = max(w.room-1, -1)
		return nil
	}}
	w.start(rt)
	return w
}

func (w *world) start(rt *rapid.T) {
	w.g = guard(rt, w.primary, openJournal(rt, w.disk, 12<<10), store.GuardOptions{Interval: 1, LastResort: func([]byte) {}})
}

func (w *world) now() map[string]store.KV { return w.states[len(w.states)-1] }

func (w *world) txn(rt *rapid.T) {
	key := rapid.SampledFrom([]string{"a", "b", "c", "d"})
	var conds []store.Cond
	var writes []store.Write
	holds := true
	for _, k := range rapid.SliceOfNDistinct(key, 0, 2, rapid.ID).Draw(rt, "conditions") {
		c := store.Cond{Key: k, Modified: w.now()[k].Modified}
		if rapid.IntRange(0, 9).Draw(rt, "stale") == 0 {
			c.Modified++
			holds = false
		}
		conds = append(conds, c)
	}
	for _, k := range rapid.SliceOfNDistinct(key, 0, 3, rapid.ID).Draw(rt, "writes") {
		write := store.Write{Key: k, Delete: rapid.Bool().Draw(rt, "delete")}
		if !write.Delete {
			write.Value = []byte(rapid.StringN(0, 50, -1).Draw(rt, "value"))
		}
		writes = append(writes, write)
	}
	rev, err := w.g.Txn(context.Background(), conds, writes)
	if !holds {
		if !errors.Is(err, store.ErrConflict) {
			rt.Fatalf("a stale condition: %d, %v", rev, err)
		}
		return
	}
	want := w.apply(writes)
	if err != nil || rev != want {
		rt.Fatalf("revision %d, %v, want %d", rev, err, want)
	}
}

func (w *world) apply(writes []store.Write) store.Revision {
	next := store.Revision(len(w.states))
	state := maps.Clone(w.now())
	var lines []string
	for _, write := range writes {
		old, exists := state[write.Key]
		switch {
		case !write.Delete:
			state[write.Key] = store.Changed(write, old, next).KV
			lines = append(lines, text(state[write.Key]))
		case exists:
			delete(state, write.Key)
			lines = append(lines, fmt.Sprintf("%s@%d", write.Key, next))
		}
	}
	if len(lines) == 0 {
		return next - 1
	}
	slices.Sort(lines)
	w.states = append(w.states, state)
	w.changes = append(w.changes, lines...)
	w.counts = append(w.counts, len(w.changes))
	return next
}

// crash ends the process, sometimes with the power.
func (w *world) crash(rt *rapid.T) {
	recorded := store.Recorded(w.g)
	if rapid.Bool().Draw(rt, "power cut") {
		w.disk = w.disk.PowerCut()
	}
	w.start(rt)
	rev, err := w.g.Revision(context.Background())
	if err != nil || rev < recorded || int(rev) >= len(w.states) {
		rt.Fatalf("revision %d after a crash, %v; %d was recorded, %d acknowledged", rev, err, recorded, len(w.states)-1)
	}
	w.states = w.states[:rev+1]
	w.counts = w.counts[:rev+1]
	w.changes = w.changes[:w.counts[rev]]
	w.cursor = min(w.cursor, rev)
	if got := w.g.Strays(); len(got) > 0 {
		rt.Fatalf("strays %q", got)
	}
}

// follow reads as a watcher does, to the end.
func (w *world) follow(rt *rapid.T) {
	limit := rapid.IntRange(1, 4).Draw(rt, "limit")
	got := []string{}
	start := w.counts[w.cursor]
	for {
		changes, through, err := w.g.Changes(context.Background(), "", w.cursor, limit)
		if err != nil {
			rt.Fatalf("changes: %v", err)
		}
		got = append(got, lines(changes)...)
		if through == w.cursor {
			break
		}
		w.cursor = through
	}
	if !slices.Equal(got, w.changes[start:]) {
		rt.Fatalf("watched %q, want %q", got, w.changes[start:])
	}
}

func lines(changes []store.Change) (lines []string) {
	for _, c := range changes {
		if c.Deleted {
			lines = append(lines, fmt.Sprintf("%s@%d", c.Key, c.Modified))
		} else {
			lines = append(lines, text(c.KV))
		}
	}
	return lines
}

func (w *world) check(rt *rapid.T) { w.compare(rt, w.g) }

func (w *world) compare(rt *rapid.T, s store.Store) {
	kvs, rev, err := s.List(context.Background(), "")
	if err != nil || int(rev) != len(w.states)-1 {
		rt.Fatalf("list at %d, %v, want %d", rev, err, len(w.states)-1)
	}
	got := map[string]store.KV{}
	for _, kv := range kvs {
		got[kv.Key] = kv
	}
	if fmt.Sprint(got) != fmt.Sprint(w.now()) {
		rt.Fatalf("got %v, want %v", got, w.now())
	}
}

// recover heals everything and looks into the primary itself.
func (w *world) recover(rt *rapid.T) {
	w.room = -1
	w.disk.FailWrites(0, nil)
	w.disk.FailSyncs(nil)
	w.g.Merge(context.Background())
	if _, pending, reason, degraded := w.g.Degraded(); degraded {
		rt.Fatalf("still degraded, %d pending: %s", pending, reason)
	}
	w.compare(rt, w.primary.Store)
	changes, _, err := w.primary.Store.Changes(context.Background(), "", 0, 1<<20)
	if got := lines(changes); err != nil || !slices.Equal(got, w.changes) {
		rt.Fatalf("the primary's history is %q, %v, want %q", got, err, w.changes)
	}
	if records, err := openJournal(rt, w.disk, 12<<10).Records(); err != nil || len(records) != 0 {
		rt.Fatalf("the journal still has %d records, %v", len(records), err)
	}
}
