package slot_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"lifeboat/internal/fault"
	"lifeboat/internal/slot"
	"lifeboat/internal/slot/slottest"
)

func TestWriteRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orders")
	f := open(t, slot.OS, path, 100)
	expect(t, f, "", "")
	write(t, f, "one")
	expect(t, f, "one", "")
	write(t, f, "two")
	expect(t, f, "two", "one")
	write(t, f, "three")
	expect(t, f, "three", "two")
	f = open(t, slot.OS, path, 100)
	expect(t, f, "three", "two")
	write(t, f, "four")
	expect(t, f, "four", "three")
}

func TestFileIsPrivateAndAllocated(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orders")
	f := open(t, slot.OS, path, 10_000)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != fs.FileMode(0o600) {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	if taken := info.Sys().(*syscall.Stat_t).Blocks * 512; taken < info.Size() {
		t.Errorf("%d bytes of %d are allocated", taken, info.Size())
	}
	if info.Size() < 20_000 || f.Cap() < 10_000 {
		t.Errorf("size %d, cap %d", info.Size(), f.Cap())
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	f := open(t, slottest.NewDisk(), "f", 100)
	write(t, f, strings.Repeat("x", f.Cap()))
	err := f.Write(make([]byte, f.Cap()+1))
	if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "4033 bytes") {
		t.Errorf("got %v", err)
	}
	expect(t, f, strings.Repeat("x", f.Cap()), "")
}

func TestEmptyValueIsAValue(t *testing.T) {
	t.Parallel()
	f := open(t, slottest.NewDisk(), "f", 100)
	write(t, f, "")
	newest, _, err := f.Read()
	if err != nil || newest == nil || len(newest) != 0 {
		t.Errorf("got %q, %v", newest, err)
	}
}

func TestTornWriteLeavesThePrevious(t *testing.T) {
	t.Parallel()
	for n := range 64 + len("third value") {
		disk := slottest.NewDisk()
		f := open(t, disk, "f", 100)
		write(t, f, "the oldest")
		write(t, f, "second value")
		disk.FailWrites(n, syscall.ENOSPC)
		if err := f.Write([]byte("third value")); fault.KindOf(err) != fault.Unavailable || !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("torn at %d: got %v", n, err)
		}
		// The torn slot held the oldest.
		if newest, _, err := f.Read(); err != nil || string(newest) != "second value" {
			t.Fatalf("torn at %d: newest is %q, %v", n, newest, err)
		}
		disk.FailWrites(0, nil)
		g := open(t, disk, "f", 100)
		if newest, _, _ := g.Read(); string(newest) != "second value" {
			t.Fatalf("torn at %d, reopened: newest is %q", n, newest)
		}
		write(t, g, "fourth value")
		expect(t, g, "fourth value", "second value")
	}
}

func TestWriteAfterAFailureGoesToTheSameSlot(t *testing.T) {
	t.Parallel()
	disk := slottest.NewDisk()
	f := open(t, disk, "f", 100)
	write(t, f, "one")
	write(t, f, "two")
	disk.FailSyncs(syscall.EIO)
	for range 3 {
		if err := f.Write([]byte("lost")); !errors.Is(err, syscall.EIO) {
			t.Fatalf("got %v", err)
		}
	}
	g := open(t, disk.PowerCut(), "f", 100)
	expect(t, g, "two", "one")
	disk.FailSyncs(nil)
	write(t, f, "three")
	expect(t, f, "three", "two")
}

// TestUnsyncedValueIsWrittenAgain: what a dead process failed to sync is read by the
// next one, which must not overwrite the only value that is on the disk.
func TestUnsyncedValueIsWrittenAgain(t *testing.T) {
	t.Parallel()
	disk := slottest.NewDisk()
	f := open(t, disk, "f", 100)
	write(t, f, "one")
	disk.FailSyncs(syscall.EIO)
	if f.Write([]byte("two")) == nil {
		t.Fatal("no error without a sync")
	}
	f = open(t, disk, "f", 100)
	expect(t, f, "two", "one")
	disk.FailSyncs(nil)
	disk.FailWrites(64+len("two")+10, syscall.EIO) // tears the write of "three"
	if f.Write([]byte("three")) == nil {
		t.Fatal("no error for a torn write")
	}
	if newest, _, err := open(t, disk.PowerCut(), "f", 100).Read(); err != nil || string(newest) != "two" {
		t.Errorf("newest is %q, %v", newest, err)
	}
}

func TestGrow(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	f := open(t, slot.OS, path, 100)
	write(t, f, "one")
	write(t, f, "two")
	large := open(t, slot.OS, path, 50_000)
	expect(t, large, "two", "one")
	write(t, large, strings.Repeat("x", 50_000))
	same := open(t, slot.OS, path, 10)
	if same.Cap() < 50_000 {
		t.Errorf("a smaller wish shrank it to %d", same.Cap())
	}
	expect(t, same, strings.Repeat("x", 50_000), "two")
}

func TestGrowOnAFullDiskKeepsTheOld(t *testing.T) {
	t.Parallel()
	disk := slottest.NewDisk()
	f := open(t, disk, "f", 100)
	write(t, f, "one")
	for room := 0; room < 20_000; room += 777 {
		disk.FailWrites(room, syscall.ENOSPC)
		f := open(t, disk, "f", 10_000)
		if f.Cap() > 10_000 {
			t.Fatalf("cap %d", f.Cap())
		}
		expect(t, f, "one", "")
	}
	disk.FailWrites(0, nil)
	write(t, open(t, disk, "f", 10_000), strings.Repeat("x", 10_000))
}

func TestNewFileOnAFullDiskIsRefused(t *testing.T) {
	t.Parallel()
	disk := slottest.NewDisk()
	disk.FailWrites(5000, syscall.ENOSPC)
	_, err := slot.OpenWith(disk, "f", 100)
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("got %v", err)
	}
	if disk.Bytes("f") != nil || disk.Bytes("f.new") != nil {
		t.Error("half a file was left")
	}
}

func TestCutOffFileKeepsWhatIsWhole(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 10, 75, 5000, 8191} {
		disk := slottest.NewDisk()
		write(t, open(t, disk, "f", 100), "one")
		whole := disk.Bytes("f")
		disk.Put("f", whole[:size])
		f := open(t, disk, "f", 100)
		write(t, f, "two")
		if newest, _, err := f.Read(); err != nil || string(newest) != "two" {
			t.Errorf("cut to %d: %q, %v", size, newest, err)
		}
	}
}

// TestModel: whatever fails in between, Read gives the last value whose Write
// returned nil or one that was tried after it, and a power cut never less. A tried
// value that a restart found as the newest may be made sure and so outlive the cut.
func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		disk := slottest.NewDisk()
		f := open(rt, disk, "f", 200)
		var kept string
		tried, found := map[string]bool{}, map[string]bool{}
		rt.Repeat(map[string]func(*rapid.T){
			"write": func(rt *rapid.T) {
				v := rapid.StringN(1, 40, 200).Draw(rt, "value")
				if f.Write([]byte(v)) == nil {
					kept, tried, found = v, map[string]bool{}, map[string]bool{}
				} else {
					tried[v] = true
				}
			},
			"fail":   func(rt *rapid.T) { disk.FailWrites(rapid.IntRange(0, 300).Draw(rt, "room"), syscall.ENOSPC) },
			"nosync": func(*rapid.T) { disk.FailSyncs(syscall.EIO) },
			"heal":   func(*rapid.T) { disk.FailWrites(0, nil); disk.FailSyncs(nil) },
			"restart": func(rt *rapid.T) {
				f = open(rt, disk, "f", 200)
				if newest, _, _ := f.Read(); tried[string(newest)] {
					found[string(newest)] = true
				}
			},
			"powercut": func(rt *rapid.T) {
				disk = disk.PowerCut()
				f = open(rt, disk, "f", 200)
				newest, _, _ := f.Read()
				if string(newest) != kept && !found[string(newest)] {
					rt.Fatalf("after a power cut: %q, want %q", newest, kept)
				}
				kept, tried, found = string(newest), map[string]bool{}, map[string]bool{}
			},
			"": func(rt *rapid.T) {
				newest, _, err := f.Read()
				if err != nil || string(newest) != kept && !tried[string(newest)] {
					rt.Fatalf("newest is %q (%v), want %q", newest, err, kept)
				}
			},
		})
	})
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	slottest.InTmpfs(t, 1<<20, func(folder string) {
		f := open(t, slot.OS, filepath.Join(folder, "f"), 10_000)
		write(t, f, "before")
		slottest.Fill(t, folder)
		if err := os.WriteFile(filepath.Join(folder, "other"), []byte("x"), 0o600); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("the disk is not full: %v", err)
		}
		for i := range 50 {
			write(t, f, strings.Repeat(string(rune('a'+i%26)), 10_000))
		}
		write(t, f, "after")
		if newest, _, err := open(t, slot.OS, filepath.Join(folder, "f"), 10_000).Read(); err != nil || string(newest) != "after" {
			t.Fatalf("newest is %.20q, %v", newest, err)
		}
	})
}

func FuzzRead(f *testing.F) {
	disk := slottest.NewDisk()
	s := open(f, disk, "f", 100)
	f.Add(disk.Bytes("f"))
	write(f, s, "one")
	f.Add(disk.Bytes("f"))
	write(f, s, "two")
	f.Add(disk.Bytes("f"))
	f.Add([]byte("lbslot01"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		disk := slottest.NewDisk()
		disk.Put("f", b)
		s := open(t, disk, "f", 100)
		if _, _, err := s.Read(); err != nil {
			t.Fatal(err)
		}
		write(t, s, "new")
		if newest, _, err := s.Read(); err != nil || !bytes.Equal(newest, []byte("new")) {
			t.Fatalf("newest is %q, %v", newest, err)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	f := open(b, slot.OS, filepath.Join(b.TempDir(), "f"), 4000)
	v := make([]byte, 4000)
	for b.Loop() {
		if err := f.Write(v); err != nil {
			b.Fatal(err)
		}
	}
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func open(t fataler, fs slot.FS, path string, payload int) *slot.File {
	t.Helper()
	f, err := slot.OpenWith(fs, path, payload)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	if c, ok := t.(interface{ Cleanup(func()) }); ok {
		c.Cleanup(func() { _ = f.Close() })
	}
	return f
}

func write(t fataler, f *slot.File, v string) {
	t.Helper()
	if err := f.Write([]byte(v)); err != nil {
		t.Fatalf("write: %v", err)
	}
}

func expect(t fataler, f *slot.File, newest, previous string) {
	t.Helper()
	n, p, err := f.Read()
	if err != nil || string(n) != newest || string(p) != previous {
		t.Fatalf("got %.40q, %.40q, %v; want %.40q, %.40q", n, p, err, newest, previous)
	}
}
