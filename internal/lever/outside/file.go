package outside

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"lifeboat/internal/fault"
)

// MaxFile is how big a file of flags may be, in bytes.
const MaxFile = 4 << 20

// File is a file of somebody else's, as it was read.
type File struct {
	Path  string // without links
	Bytes []byte
	sum   [sha256.Size]byte
	info  os.FileInfo
}

// ReadFile reads a regular file whole. Links are followed, so that what is replaced
// later is the file and not the link to it. It returns when ctx ends, even where the
// disk does not answer.
func ReadFile(ctx context.Context, path string) (File, error) {
	return bounded(ctx, func() (File, error) { return readFile(path) })
}

// bounded gives up waiting for f when ctx ends; f goes on by itself and ends when the
// disk answers.
func bounded[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	var none T
	if ctx.Err() != nil {
		return none, fault.New(fault.Unavailable, "it was not begun").Because(context.Cause(ctx))
	}
	done := make(chan result, 1)
	go func() { // ends with f
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		return none, fault.New(fault.Unavailable, "the disk does not answer").Because(context.Cause(ctx))
	}
}

func readFile(path string) (File, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return File{}, unreadable(path, err)
	}
	f, err := os.OpenFile(real, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0) // a pipe in the file's place holds nobody up
	if err != nil {
		return File{}, unreadable(path, err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return File{}, unreadable(path, err)
	}
	if !info.Mode().IsRegular() {
		return File{}, fault.New(fault.Unavailable, "%s is no regular file", path).WithHint("name the file itself")
	}
	b, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	switch {
	case err != nil:
		return File{}, unreadable(path, err)
	case len(b) > MaxFile:
		return File{}, fault.New(fault.Unavailable, "%s is bigger than %d bytes", path, MaxFile).WithHint("move the flag into a file of its own")
	}
	return File{Path: real, Bytes: b, sum: sha256.Sum256(b), info: info}, nil
}

func unreadable(path string, err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fault.New(fault.Unavailable, "%s can't be read: %v", path, err).WithHint("see that it is there and that lifeboat may read it")
}

// replacing is held while a file is compared and replaced: two levers may share one.
var replacing sync.Mutex

// Replace puts other bytes in the file's place at once (a rename), where it is still
// as it was read. Mode and owner stay. rename is os.Rename but for tests.
func (f File) Replace(ctx context.Context, b []byte, rename func(from, to string) error) error {
	_, err := bounded(ctx, func() (struct{}, error) {
		replacing.Lock()
		defer replacing.Unlock()
		return struct{}{}, f.replace(ctx, b, rename)
	})
	return err
}

func (f File) replace(ctx context.Context, b []byte, rename func(from, to string) error) error {
	folder := filepath.Dir(f.Path)
	tmp := filepath.Join(folder, "."+filepath.Base(f.Path)+".lifeboat-"+randomName())
	defer func() { _ = os.Remove(tmp) }() // gone already when the rename worked
	if err := f.prepare(tmp, b); err != nil {
		return unwritable(f.Path, err)
	}
	now, err := readFile(f.Path)
	if err != nil {
		return err
	}
	if now.sum != f.sum || !os.SameFile(now.info, f.info) {
		return fault.New(fault.Conflict, "%s was changed a moment ago by somebody else", f.Path).WithHint("look, and press again")
	}
	if ctx.Err() != nil { // the caller has given up: nothing happens behind its back
		return fault.New(fault.Unavailable, "the disk does not answer").Because(context.Cause(ctx))
	}
	if err := rename(tmp, f.Path); err != nil {
		return unwritable(f.Path, err)
	}
	d, err := os.Open(folder)
	if err != nil {
		return nil // it is in place; only a power cut could lose it
	}
	_ = errors.Join(d.Sync(), d.Close())
	return nil
}

// prepare writes the new bytes beside the file, with its mode and owner.
func (f File) prepare(tmp string, b []byte) error {
	w, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	if _, err = io.Copy(w, bytes.NewReader(b)); err == nil {
		if owner, is := f.info.Sys().(*syscall.Stat_t); is {
			err = own(w, owner)
		}
	}
	if err == nil {
		err = w.Chmod(f.info.Mode() & (os.ModePerm | os.ModeSetuid | os.ModeSetgid | os.ModeSticky))
	}
	return errors.Join(err, w.Sync(), w.Close())
}

// own gives a new file the owner of the old one, where that is somebody else.
func own(w *os.File, owner *syscall.Stat_t) error {
	info, err := w.Stat()
	if err != nil {
		return err
	}
	if now, is := info.Sys().(*syscall.Stat_t); is && now.Uid == owner.Uid && now.Gid == owner.Gid {
		return nil
	}
	return w.Chown(int(owner.Uid), int(owner.Gid))
}

func unwritable(path string, err error) error {
	var p *os.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		err = p.Err
	case errors.As(err, &l):
		err = l.Err
	}
	return fault.New(fault.Unavailable, "%s can't be replaced: %v", path, err).
		WithHint("lifeboat must be able to write in its folder and to keep its owner; a file that is mounted by itself can't be replaced, its folder can")
}

// Problems says in calm what would keep the file from being replaced.
func (f File) Problems() []string {
	if s, is := f.info.Sys().(*syscall.Stat_t); is && s.Nlink > 1 {
		return []string{f.Path + " has more than one name on the disk, and only this one would change: make it a file of its own."}
	}
	owner, is := f.info.Sys().(*syscall.Stat_t)
	switch {
	case unix.Access(filepath.Dir(f.Path), unix.W_OK) != nil:
		return []string{"lifeboat may not write in the folder of " + f.Path + ": let its user or group write there."}
	case is && os.Geteuid() != 0 && int(owner.Uid) != os.Geteuid():
		return []string{f.Path + " belongs to somebody else, and lifeboat could not keep its owner: give it to lifeboat's user, readable for the others."}
	}
	return nil
}

func randomName() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
