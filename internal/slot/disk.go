package slot

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// FS is what a file is opened on: the real disk (OS), or a test's (package
// slottest).
type FS interface {
	// Open opens an existing file for reading and writing; a missing one is
	// os.ErrNotExist.
	Open(path string) (Handle, error)
	// Create makes an empty file of mode 0600, over any old one.
	Create(path string) (Handle, error)
	// Rename moves a file over another and returns when the folder is synced.
	Rename(from, to string) error
	// Remove deletes a file.
	Remove(path string) error
}

// Handle is an open file.
type Handle interface {
	io.ReaderAt
	io.WriterAt
	Size() (int64, error)
	Sync() error // the data, and the size where it grew
	Close() error
}

// Allocate makes a file of zeros whose space is really taken, lets fill (which may
// be nil) put contents into it, and moves it into place whole: after a crash
// there is the old file or the new one.
func Allocate(fs FS, path string, size int64, fill func(Handle) error) (Handle, error) {
	temporary := path + ".new"
	h, err := fs.Create(temporary)
	if err != nil {
		return nil, Fault("create", path, err)
	}
	if err := allocate(fs, h, temporary, path, size, fill); err != nil {
		_ = h.Close()
		_ = fs.Remove(temporary)
		return nil, Fault("allocate", path, err)
	}
	return h, nil
}

func allocate(fs FS, h Handle, temporary, path string, size int64, fill func(Handle) error) error {
	zeros := make([]byte, min(size, 64<<10))
	for off := int64(0); off < size; off += int64(len(zeros)) {
		if _, err := h.WriteAt(zeros[:min(int64(len(zeros)), size-off)], off); err != nil {
			return err
		}
	}
	if fill != nil {
		if err := fill(h); err != nil {
			return err
		}
	}
	if err := h.Sync(); err != nil {
		return err
	}
	return fs.Rename(temporary, path)
}

// OS is the real disk.
var OS FS = disk{}

type disk struct{}

func (disk) Open(path string) (Handle, error) { return open(path, os.O_RDWR) }

func (disk) Create(path string) (Handle, error) {
	return open(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

func (disk) Remove(path string) error { return os.Remove(path) }

func (disk) Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func open(path string, flag int) (Handle, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return file{f}, nil
}

type file struct{ *os.File }

func (f file) Sync() error { return datasync(f.File) }

func (f file) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// hint is the next step for an error of the disk.
func hint(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "free some space on this disk"
	case errors.Is(err, syscall.EROFS):
		return "the file system is read-only: look at the disk, then mount it writable"
	case errors.Is(err, os.ErrPermission):
		return "give this account the right to write the file and its folder"
	default:
		return "look at the disk and the system's messages about it"
	}
}
