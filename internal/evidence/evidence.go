// Package evidence keeps what was captured: a folder of bodies, each named by the
// SHA-256 of what it holds.
//
// It keeps bytes only. What a body is, where it came from and which incident it
// belongs to is in the store's record, which names it by its hash. A body is never
// changed; the same content lies there once. Kind decides how a file that somebody
// hands in may be shown. The control plane uses it; it imports only fault.
//
// Invariants: a body that Put has returned is on disk, whole; the sum of all bodies
// is at most the limit; Get gives nothing that is not what its name says.
//
// Concurrency: a Folder may be used from any goroutine, by one process at a time.
package evidence

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"lifeboat/internal/fault"
)

// Blob is one body in the folder.
type Blob struct {
	SHA256    string // in hex; its name
	Size      int64  // bytes
	Truncated bool   // there was more than fitted
}

// Folder is a folder of bodies.
type Folder struct {
	dir    string
	limit  int64
	create func(dir string) (temporary, error) // a test's disk can be full

	mu   sync.Mutex // guards used, and moving into place
	used int64      // bytes of all bodies, those being written included
}

// temporary is a file that is being written.
type temporary interface {
	io.WriteCloser
	Name() string
	Sync() error
}

// unfinished is how the names of files begin that are being written.
const unfinished = ".new-"

func createTemp(dir string) (temporary, error) { return os.CreateTemp(dir, unfinished+"*") } // mode 0600

// Open opens or makes the folder (mode 0700). It counts what is there and removes
// what a crash left half written. All bodies together may be limit bytes long.
func Open(dir string, limit int64) (*Folder, error) {
	f := &Folder{dir: dir, limit: limit, create: createTemp}
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = os.Chmod(dir, 0o700) // it may have been there
	}
	if err != nil {
		return nil, diskFault("make the folder of evidence", err)
	}
	if err := f.tidy(); err != nil {
		return nil, diskFault("read the folder of evidence", err)
	}
	return f, nil
}

func (f *Folder) tidy() error {
	top, err := os.ReadDir(f.dir)
	if err != nil {
		return err
	}
	for _, d := range top {
		switch {
		case strings.HasPrefix(d.Name(), unfinished) && d.Type().IsRegular():
			err = os.Remove(filepath.Join(f.dir, d.Name()))
		case len(d.Name()) == 2 && isHex(d.Name()) && d.IsDir():
			err = f.count(filepath.Join(f.dir, d.Name()))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// count adds up one folder's bodies.
func (f *Folder) count(dir string) error {
	bodies, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, b := range bodies {
		info, err := b.Info()
		if err != nil {
			return err
		}
		f.used += info.Size()
	}
	return nil
}

// Put keeps what r gives, at most most bytes of it. It returns when the body is on
// disk. When the disk or the folder is full it fails with kind Unavailable and leaves
// nothing behind; when r fails, with r's error in the chain.
func (f *Folder) Put(r io.Reader, most int64) (Blob, error) {
	tmp, err := f.create(f.dir)
	if err != nil {
		return Blob{}, diskFault("keep evidence", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already when it was moved into place
	w := &counting{folder: f, to: tmp, sum: sha256.New()}
	b, err := w.fill(r, most)
	if err == nil {
		err = diskFault("keep evidence", tmp.Sync())
	}
	if cerr := tmp.Close(); err == nil {
		err = diskFault("keep evidence", cerr)
	}
	if err == nil {
		err = f.settle(tmp.Name(), b)
	}
	if err != nil {
		f.take(-w.taken)
		return Blob{}, err
	}
	return b, nil
}

// counting writes to the disk what the folder has room for.
type counting struct {
	folder *Folder
	to     io.Writer
	sum    hash.Hash
	taken  int64
}

func (c *counting) fill(r io.Reader, most int64) (Blob, error) {
	n, err := io.Copy(c, io.LimitReader(r, most))
	b := Blob{SHA256: hex.EncodeToString(c.sum.Sum(nil)), Size: n}
	if err == nil && n == most {
		b.Truncated, err = isMore(r)
	}
	if _, told := errors.AsType[*fault.Error](err); err != nil && !told {
		err = fmt.Errorf("read evidence: %w", err)
	}
	return b, err
}

// isMore says whether r has another byte.
func isMore(r io.Reader) (bool, error) {
	n, err := io.ReadFull(r, make([]byte, 1))
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n > 0, err
}

func (c *counting) Write(p []byte) (int, error) {
	if !c.folder.take(int64(len(p))) {
		return 0, fault.New(fault.Unavailable, "there is no room for more evidence: all of it together may be %d bytes long", c.folder.limit).
			WithHint("raise the limit of evidence")
	}
	c.taken += int64(len(p))
	c.sum.Write(p) // never fails
	n, err := c.to.Write(p)
	return n, diskFault("keep evidence", err)
}

// take reserves room for n bytes, or says that there is none; a negative n gives it
// back.
func (f *Folder) take(n int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n > 0 && n > f.limit-f.used {
		return false
	}
	f.used += n
	return true
}

// settle moves a body into place. One that is there already is replaced: it is the
// same, unless the disk has damaged it.
func (f *Folder) settle(from string, b Blob) error {
	to, err := f.path(b.SHA256)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	err = os.Mkdir(filepath.Dir(to), 0o700)
	if err == nil {
		err = syncFolder(f.dir)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return diskFault("keep evidence", err)
	}
	old := int64(0)
	if info, err := os.Lstat(to); err == nil {
		old = info.Size()
	}
	if err := os.Rename(from, to); err != nil {
		return diskFault("keep evidence", err)
	}
	f.used -= old
	if err := syncFolder(filepath.Dir(to)); err != nil {
		f.used += b.Size // it lies there, whatever the disk will say of it after a crash
		return diskFault("keep evidence", err)
	}
	return nil
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// path is where a body lies: ab/cdef…. Nothing but a hash makes one.
func (f *Folder) path(sha256 string) (string, error) {
	if len(sha256) != 64 || !isHex(sha256) {
		return "", fault.New(fault.Invalid, "%q is not the hash of evidence", shortened(sha256)).WithHint("a hash has 64 digits, 0 to 9 and a to f")
	}
	return filepath.Join(f.dir, sha256[:2], sha256[2:]), nil
}

func isHex(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'f') }) < 0
}

func shortened(s string) string {
	if len(s) > 80 {
		return s[:80]
	}
	return s
}

// Get opens a body for reading, after it has been read once and found to be what its
// name says. The caller closes it.
func (f *Folder) Get(sha256 string) (body io.ReadSeekCloser, size int64, err error) {
	path, err := f.path(sha256)
	if err != nil {
		return nil, 0, err
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fault.New(fault.NotFound, "there is no such evidence here").At(sha256)
	}
	if err != nil {
		return nil, 0, diskFault("read evidence", err)
	}
	size, err = check(file, sha256)
	if err != nil {
		_ = file.Close()
		return nil, 0, err
	}
	return file, size, nil
}

// check reads a file to its end, compares, and goes back to its beginning.
func check(file *os.File, name string) (size int64, err error) {
	sum := sha256.New()
	if size, err = io.Copy(sum, file); err != nil {
		return 0, diskFault("read evidence", err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != name {
		return 0, fault.New(fault.Internal, "this evidence is not what was kept: the disk is damaged, or somebody has changed it").At(name).
			WithHint("look at the disk; what was kept may still be in a backup")
	}
	_, err = file.Seek(0, io.SeekStart)
	return size, err
}

// Verify says whether a body is there and is what its name says.
func (f *Folder) Verify(sha256 string) error {
	body, _, err := f.Get(sha256)
	if err != nil {
		return err
	}
	return body.Close()
}

// Free is how many bytes can still be kept: by the limit, and by the disk where that
// can be told.
func (f *Folder) Free() int64 {
	f.mu.Lock()
	free := max(0, f.limit-f.used)
	f.mu.Unlock()
	if onDisk, known := diskFree(f.dir); known {
		free = min(free, onDisk)
	}
	return free
}

// diskFault tells what a disk's error means; nil for none, and faults stay as they are.
func diskFault(doing string, err error) error {
	if _, told := errors.AsType[*fault.Error](err); err == nil || told {
		return err
	}
	f := fault.New(fault.Unavailable, "%s", doing).Because(err)
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.New(fault.Unavailable, "%s: the disk is full", doing).Because(err).WithHint("free some space on this disk")
	case errors.Is(err, syscall.EROFS):
		return f.WithHint("the file system is read-only: look at the disk, then mount it writable")
	case errors.Is(err, fs.ErrPermission):
		return f.WithHint("give this account the right to write the folder of evidence")
	}
	return f.WithHint("look at the disk and the system's messages about it")
}
