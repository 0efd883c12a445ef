package journal_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"lifeboat/internal/fault"
	"lifeboat/internal/journal"
	"lifeboat/internal/slot"
	"lifeboat/internal/slot/slottest"
)

const small = 16 << 10

func TestAppendRecordsReset(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	j := open(t, slot.OS, path, small)
	expect(t, j)
	add(t, j, "one", "", strings.Repeat("long", 300))
	expect(t, j, "one", "", strings.Repeat("long", 300))
	j = open(t, slot.OS, path, small)
	expect(t, j, "one", "", strings.Repeat("long", 300))
	add(t, j, "four")
	reset(t, j)
	expect(t, j)
	j = open(t, slot.OS, path, small)
	expect(t, j)
	add(t, j, "1") // what the first generation left behind it must not show
	expect(t, open(t, slot.OS, path, small), "1")
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 || info.Size() != small {
		t.Errorf("%v, %v", info, err)
	}
}

func TestFull(t *testing.T) {
	t.Parallel()
	j := open(t, slottest.NewDisk(), "j", small)
	var kept []string
	for {
		rec := fmt.Sprintf("record %d", len(kept))
		err := j.Append([]byte(rec))
		if err != nil {
			if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "full") {
				t.Fatalf("got %v", err)
			}
			break
		}
		kept = append(kept, rec)
	}
	if len(kept) != (small-8192)/512 {
		t.Errorf("%d records fit", len(kept))
	}
	expect(t, j, kept...)
	reset(t, j)
	add(t, j, "room again")
	expect(t, j, "room again")
}

func TestGrowKeepsTheRecords(t *testing.T) {
	t.Parallel()
	disk := slottest.NewDisk()
	j := open(t, disk, "j", small)
	reset(t, j)
	add(t, j, "one", "two")
	disk.FailWrites(small+100, syscall.ENOSPC)
	expect(t, open(t, disk, "j", 2*small), "one", "two")
	disk.FailWrites(0, nil)
	j = open(t, disk, "j", 2*small)
	expect(t, j, "one", "two")
	add(t, j, strings.Repeat("x", small))
	expect(t, open(t, disk, "j", small), "one", "two", strings.Repeat("x", small))
}

func TestTornAppendAtEachByte(t *testing.T) {
	t.Parallel()
	rec := strings.Repeat("0123456789", 60)
	for n := range 64 + len(rec) {
		disk := slottest.NewDisk()
		j := open(t, disk, "j", small)
		add(t, j, "stale", strings.Repeat("STALE", 200))
		reset(t, j)
		add(t, j, "one")
		disk.FailWrites(n, syscall.ENOSPC)
		if err := j.Append([]byte(rec)); fault.KindOf(err) != fault.Unavailable {
			t.Fatalf("torn at %d: %v", n, err)
		}
		disk.FailWrites(0, nil)
		expect(t, open(t, disk, "j", small), "one")
		add(t, j, "two")
		expect(t, open(t, disk, "j", small), "one", "two")
	}
}

func TestTornResetAtEachByte(t *testing.T) {
	t.Parallel()
	for n := range 64 + 8 {
		disk := slottest.NewDisk()
		j := open(t, disk, "j", small)
		reset(t, j)
		add(t, j, "one", "two")
		disk.FailWrites(n, syscall.EIO)
		if err := j.Reset(); fault.KindOf(err) != fault.Unavailable {
			t.Fatalf("torn at %d: %v", n, err)
		}
		disk.FailWrites(0, nil)
		got := read(t, open(t, disk, "j", small))
		if len(got) != 0 && !slices.Equal(got, []string{"one", "two"}) {
			t.Fatalf("torn at %d: %q", n, got)
		}
		// Whatever the disk has now, the next record must not be lost among it.
		add(t, j, "three")
		expect(t, open(t, disk, "j", small), "three")
	}
}

func TestUnsyncedResetIsFinishedByTheNextAppend(t *testing.T) {
	t.Parallel()
	disk := slottest.NewDisk()
	j := open(t, disk, "j", small)
	add(t, j, "one")
	disk.FailSyncs(syscall.EIO)
	if j.Reset() == nil || j.Append([]byte("two")) == nil {
		t.Fatal("no error without a sync")
	}
	expect(t, open(t, disk.PowerCut(), "j", small), "one")
	disk.FailSyncs(nil)
	add(t, j, "three")
	expect(t, j, "three")
	expect(t, open(t, disk.PowerCut(), "j", small), "three")
}

// TestUnsyncedRecordIsWrittenAgain: what a dead process failed to sync is read by
// the next one, which must not put a record behind it that a power cut would cut
// off.
func TestUnsyncedRecordIsWrittenAgain(t *testing.T) {
	t.Parallel()
	disk := slottest.NewDisk()
	j := open(t, disk, "j", small)
	disk.FailSyncs(syscall.EIO)
	if j.Append([]byte("one")) == nil {
		t.Fatal("no error without a sync")
	}
	j = open(t, disk, "j", small)
	expect(t, j, "one")
	if j.Sync() == nil {
		t.Error("unsure, and Sync says nothing")
	}
	disk.FailSyncs(nil)
	add(t, j, "two")
	expect(t, open(t, disk.PowerCut(), "j", small), "one", "two")
	if err := j.Sync(); err != nil {
		t.Error(err)
	}
}

// TestModel: every record that was acknowledged is there, in order, until a Reset;
// what failed may be there after them, and nothing else.
func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		disk := slottest.NewDisk()
		j := open(rt, disk, "j", small)
		m := model{maybe: map[string]bool{}}
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				rec := rapid.StringN(1, 900, 1500).Draw(rt, "record")
				if err := j.Append([]byte(rec)); err != nil {
					m.maybe[rec] = true
					return
				}
				got := read(rt, j)
				if len(got) == 0 || got[len(got)-1] != rec {
					rt.Fatalf("acknowledged %.50q is not in %.50q", rec, got)
				}
				m.check(rt, got[:len(got)-1])
				m = model{kept: got, maybe: map[string]bool{}}
			},
			"reset": func(*rapid.T) {
				if j.Reset() != nil {
					m.resetFailed = true
				} else {
					m = model{maybe: map[string]bool{}}
				}
			},
			"fail":   func(rt *rapid.T) { disk.FailWrites(rapid.IntRange(0, 2000).Draw(rt, "room"), syscall.ENOSPC) },
			"nosync": func(*rapid.T) { disk.FailSyncs(syscall.EIO) },
			"heal":   func(*rapid.T) { disk.FailWrites(0, nil); disk.FailSyncs(nil) },
			"restart": func(rt *rapid.T) {
				j = open(rt, disk, "j", small)
				m.check(rt, read(rt, j))
			},
			"power cut": func(rt *rapid.T) {
				disk = disk.PowerCut()
				j = open(rt, disk, "j", small)
				got := read(rt, j)
				m.check(rt, got)
				m = model{kept: got, maybe: map[string]bool{}}
			},
		})
	})
}

// model is what a journal has to hold.
type model struct {
	kept        []string
	maybe       map[string]bool // failed
	resetFailed bool            // kept may be gone
}

func (m model) check(t fataler, got []string) {
	t.Helper()
	rest := got
	if len(got) >= len(m.kept) && slices.Equal(got[:len(m.kept)], m.kept) {
		rest = got[len(m.kept):]
	} else if !m.resetFailed {
		t.Fatalf("got %.50q, want %.50q", got, m.kept)
	}
	for _, rec := range rest {
		if !m.maybe[rec] {
			t.Fatalf("got %.50q, want %.50q", got, m.kept)
		}
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	slottest.InTmpfs(t, 1<<20, func(folder string) {
		path := filepath.Join(folder, "journal")
		j := open(t, slot.OS, path, 256<<10)
		slottest.Fill(t, folder)
		var kept []string
		for i := range 300 {
			rec := fmt.Sprintf("record %d", i)
			add(t, j, rec)
			kept = append(kept, rec)
		}
		expect(t, open(t, slot.OS, path, 256<<10), kept...)
		reset(t, j)
		expect(t, open(t, slot.OS, path, 256<<10))
	})
}

func FuzzOpen(f *testing.F) {
	disk := slottest.NewDisk()
	j := open(f, disk, "j", 9216)
	f.Add(disk.Bytes("j"))
	add(f, j, "one", "two")
	f.Add(disk.Bytes("j"))
	reset(f, j)
	add(f, j, "three")
	f.Add(disk.Bytes("j"))
	f.Add(disk.Bytes("j")[8192:])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		disk := slottest.NewDisk()
		disk.Put("j", b)
		j := open(t, disk, "j", 9216)
		read(t, j)
		reset(t, j)
		add(t, j, "new")
		expect(t, open(t, disk, "j", 9216), "new")
	})
}

func BenchmarkAppend(b *testing.B) {
	j := open(b, slot.OS, filepath.Join(b.TempDir(), "j"), 0)
	rec := make([]byte, 1000)
	for b.Loop() {
		if j.Append(rec) != nil {
			reset(b, j)
		}
	}
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func open(t fataler, fs slot.FS, path string, size int64) *journal.Journal {
	t.Helper()
	j, err := journal.OpenWith(fs, path, size)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return j
}

func add(t fataler, j *journal.Journal, recs ...string) {
	t.Helper()
	for _, rec := range recs {
		if err := j.Append([]byte(rec)); err != nil {
			t.Fatalf("append: %v", err)
		}
	}
}

func reset(t fataler, j *journal.Journal) {
	t.Helper()
	if err := j.Reset(); err != nil {
		t.Fatalf("reset: %v", err)
	}
}

func read(t fataler, j *journal.Journal) (got []string) {
	t.Helper()
	records, err := j.Records()
	if err != nil {
		t.Fatalf("records: %v", err)
	}
	for _, r := range records {
		got = append(got, string(r))
	}
	return got
}

func expect(t fataler, j *journal.Journal, want ...string) {
	t.Helper()
	if got := read(t, j); !slices.Equal(got, want) {
		t.Fatalf("got %.60q, want %.60q", got, want)
	}
}
