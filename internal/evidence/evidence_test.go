package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	"lifeboat/internal/fault"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, dir string, limit int64) *Folder {
	t.Helper()
	f, err := Open(dir, limit)
	must(t, err)
	return f
}

func hashOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func put(t testing.TB, f *Folder, s string) Blob {
	t.Helper()
	b, err := f.Put(strings.NewReader(s), 1<<20)
	must(t, err)
	if b != (Blob{SHA256: hashOf(s), Size: int64(len(s))}) {
		t.Fatalf("%+v", b)
	}
	return b
}

// files lists the folder's files, with what the modes must be.
func files(t testing.TB, f *Folder) (names []string) {
	t.Helper()
	must(t, filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		must(t, err)
		info, err := d.Info()
		must(t, err)
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		} else {
			rel, _ := filepath.Rel(f.dir, path)
			names = append(names, rel)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		return nil
	}))
	return names
}

func TestPutAndGet(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "evidence")
	f := open(t, dir, 1<<20)
	for _, s := range []string{"", "one", strings.Repeat("x", 100_000), "one"} {
		put(t, f, s)
		body, size, err := f.Get(hashOf(s))
		must(t, err)
		b, err := io.ReadAll(body)
		must(t, err)
		if string(b) != s || size != int64(len(s)) {
			t.Errorf("%d bytes, said %d, want %d", len(b), size, len(s))
		}
		must(t, body.Close())
		must(t, f.Verify(hashOf(s)))
	}
	if names := files(t, f); len(names) != 3 || names[0] != hashOf("one")[:2]+"/"+hashOf("one")[2:] {
		t.Errorf("%v", names)
	}
	if f.used != 100_003 {
		t.Errorf("%d bytes are counted", f.used)
	}
	if again := open(t, dir, 1<<20); again.used != f.used {
		t.Errorf("%d bytes are counted after a start", again.used)
	}
}

func TestTruncated(t *testing.T) {
	t.Parallel()
	f := open(t, t.TempDir(), 1<<20)
	for _, c := range []struct {
		text string
		most int64
		want Blob
	}{
		{"12345", 5, Blob{hashOf("12345"), 5, false}}, {"123456", 5, Blob{hashOf("12345"), 5, true}}, {"1234", 5, Blob{hashOf("1234"), 4, false}},
		{"", 0, Blob{hashOf(""), 0, false}}, {"1", 0, Blob{hashOf(""), 0, true}},
	} {
		if b, err := f.Put(iotest.OneByteReader(strings.NewReader(c.text)), c.most); err != nil || b != c.want {
			t.Errorf("%q up to %d: %+v, %v", c.text, c.most, b, err)
		}
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	f := open(t, t.TempDir(), 10)
	put(t, f, "123456")
	if f.Free() != 4 {
		t.Errorf("%d free", f.Free())
	}
	_, err := f.Put(strings.NewReader("abcde"), 100)
	if fe, ok := errors.AsType[*fault.Error](err); !ok || fe.Kind != fault.Unavailable || fe.Hint == "" || !strings.Contains(err.Error(), "together may be 10 bytes") {
		t.Errorf("%v", err)
	}
	if names := files(t, f); len(names) != 1 || f.Free() != 4 {
		t.Errorf("left: %v, %d free", names, f.Free())
	}
	if _, err := f.Put(strings.NewReader("abcde"), 4); err != nil || f.Free() != 0 {
		t.Errorf("%v, %d free", err, f.Free())
	}
	if smaller := open(t, f.dir, 3); smaller.Free() != 0 {
		t.Errorf("%d free", smaller.Free())
	}
}

// fullDisk is a file on a disk that has room for so many bytes.
type fullDisk struct {
	temporary
	room int
	sync error
}

func (f *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), f.room)
	f.room -= n
	if n < len(p) {
		return n, &fs.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC}
	}
	return f.temporary.Write(p)
}

func (f *fullDisk) Sync() error { return errors.Join(f.temporary.Sync(), f.sync) }

func TestFullDisk(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(temporary) temporary{
		"at once":      func(f temporary) temporary { return &fullDisk{temporary: f} },
		"in between":   func(f temporary) temporary { return &fullDisk{temporary: f, room: 70_000} },
		"when it asks": func(f temporary) temporary { return &fullDisk{temporary: f, room: 1 << 20, sync: syscall.EDQUOT} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t, t.TempDir(), 1<<20)
			f.create = func(dir string) (temporary, error) {
				tmp, err := createTemp(dir)
				return wrap(tmp), err
			}
			_, err := f.Put(strings.NewReader(strings.Repeat("x", 100_000)), 1<<20)
			if fe, ok := errors.AsType[*fault.Error](err); !ok || fe.Kind != fault.Unavailable || fe.Hint != "free some space on this disk" || !strings.Contains(err.Error(), "the disk is full") {
				t.Errorf("%v", err)
			}
			if names := files(t, f); len(names) != 0 || f.used != 0 {
				t.Errorf("left: %v, %d bytes counted", names, f.used)
			}
		})
	}
	f := open(t, t.TempDir(), 1<<20)
	f.create = func(string) (temporary, error) { return nil, syscall.ENOSPC }
	if _, err := f.Put(strings.NewReader("x"), 1); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%v", err)
	}
}

func TestReaderFails(t *testing.T) {
	t.Parallel()
	f := open(t, t.TempDir(), 1<<20)
	gone := errors.New("the browser went away")
	for _, most := range []int64{3, 1 << 20} {
		if _, err := f.Put(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(gone)), most); !errors.Is(err, gone) {
			t.Errorf("%v", err)
		}
	}
	if names := files(t, f); len(names) != 0 || f.used != 0 {
		t.Errorf("left: %v, %d bytes counted", names, f.used)
	}
}

func TestOddNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "secret"), []byte("x"), 0o600))
	f := open(t, filepath.Join(dir, "evidence"), 1<<20)
	good := put(t, f, "x").SHA256
	for _, name := range []string{
		"", "secret", "../secret", "..", strings.ToUpper(good), good[:63], good + "0", good[:62] + "/.", "../" + good[3:], strings.Repeat("../", 21) + "x", good[:63] + "\x00", strings.Repeat("x", 1<<16),
	} {
		_, _, err := f.Get(name)
		if fault.KindOf(err) != fault.Invalid || len(err.Error()) > 500 {
			t.Errorf("%q: %v", name[:min(len(name), 80)], err)
		}
		if fault.KindOf(f.Verify(name)) != fault.Invalid {
			t.Errorf("%q is verified", name[:min(len(name), 80)])
		}
	}
	if _, _, err := f.Get(hashOf("y")); fault.KindOf(err) != fault.NotFound {
		t.Errorf("%v", err)
	}
}

// What was changed on the disk is not given out, and keeping the same again mends it.
func TestDamage(t *testing.T) {
	t.Parallel()
	f := open(t, t.TempDir(), 1<<20)
	b := put(t, f, "the truth")
	path, err := f.path(b.SHA256)
	must(t, err)
	must(t, os.WriteFile(path, []byte("a lie, and longer"), 0o600))
	if _, _, err := f.Get(b.SHA256); fault.KindOf(err) != fault.Internal {
		t.Errorf("%v", err)
	}
	if err := f.Verify(b.SHA256); err == nil || !strings.Contains(err.Error(), "is not what was kept") {
		t.Errorf("%v", err)
	}
	again := open(t, f.dir, 1<<20)
	put(t, again, "the truth")
	must(t, again.Verify(b.SHA256))
	if again.used != 9 {
		t.Errorf("%d bytes are counted", again.used)
	}
}

func TestOpenTidies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := open(t, dir, 1<<20)
	put(t, f, "kept")
	must(t, os.WriteFile(filepath.Join(dir, unfinished+"123"), []byte("half"), 0o600))
	must(t, os.Mkdir(filepath.Join(dir, "lost+found"), 0)) // not ours to read
	must(t, os.Chmod(dir, 0o755))
	f = open(t, dir, 1<<20)
	if f.used != 4 {
		t.Errorf("%d bytes are counted", f.used)
	}
	must(t, os.Remove(filepath.Join(dir, "lost+found")))
	if names := files(t, f); len(names) != 1 {
		t.Errorf("%v", names)
	}
	if _, err := Open(filepath.Join(dir, hashOf("kept")[:2], hashOf("kept")[2:]), 1); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a file for a folder: %v", err)
	}
}

// Many at once, the same and others: each is whole, and the count is right.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	f := open(t, t.TempDir(), 1<<20)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for n := range 5 {
				text := strings.Repeat(fmt.Sprint(n), 100*(n+1))
				if b, err := f.Put(strings.NewReader(text), 1<<20); err != nil || b.SHA256 != hashOf(text) {
					t.Errorf("%d: %+v, %v", i, b, err)
				}
				if err := f.Verify(hashOf(text)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if f.used != 1500 || len(files(t, f)) != 5 {
		t.Errorf("%d bytes are counted, %v", f.used, files(t, f))
	}
}

func TestGetSeeks(t *testing.T) {
	t.Parallel()
	f := open(t, t.TempDir(), 1<<20)
	put(t, f, "0123456789")
	body, _, err := f.Get(hashOf("0123456789"))
	must(t, err)
	defer func() { _ = body.Close() }()
	_, err = body.Seek(-3, io.SeekEnd)
	must(t, err)
	if b, err := io.ReadAll(body); err != nil || !bytes.Equal(b, []byte("789")) {
		t.Errorf("%q %v", b, err)
	}
}
