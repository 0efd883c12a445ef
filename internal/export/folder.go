package export

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"lifeboat/internal/fault"
)

// mark is the file by which a folder is known to be an export. It tells nothing.
const mark = ".lifeboat-export"

// Written is what came of an export.
type Written struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"` // of all files
}

// Write makes dir hold the files and nothing else. It writes them into a new folder
// beside it and puts that one in its place in one step, so that whoever reads finds the
// old ones or the new ones. A dir that holds anything else is fault Refused.
func Write(dir string, files map[string][]byte) (w Written, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return w, fmt.Errorf("find the folder: %w", err)
	}
	there, err := ours(dir)
	if err != nil {
		return w, err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".new-*")
	if err != nil {
		return w, unwritable(filepath.Dir(dir), err)
	}
	defer func() { _ = os.RemoveAll(fresh) }() // the old files, or what was written in vain
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := put(fresh, name, files[name]); err != nil {
			return Written{}, unwritable(dir, err)
		}
		w.Files++
		w.Bytes += int64(len(files[name]))
	}
	if err := errors.Join(put(fresh, mark, nil), os.Chmod(fresh, 0o755)); err != nil {
		return Written{}, unwritable(dir, err)
	}
	if err := replace(fresh, dir, there); err != nil {
		return Written{}, unwritable(dir, err)
	}
	return w, nil
}

func unwritable(dir string, err error) error {
	return fault.New(fault.Unavailable, "the status page could not be written to %s; what was there is untouched", dir).Because(err).
		WithHint("see that the folder's parent is writable by this account and has room")
}

// ours says whether dir is there, and refuses one that is not an export's.
func ours(dir string) (there bool, err error) {
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look at the folder: %w", err)
	case !info.IsDir():
		return false, fault.New(fault.Refused, "%s is not a folder", dir).WithHint("name a folder that is new, empty, or an earlier export")
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return false, fmt.Errorf("look into the folder: %w", err)
	}
	if len(list) > 0 && !slices.ContainsFunc(list, func(e fs.DirEntry) bool { return e.Name() == mark }) {
		return false, fault.New(fault.Refused, "%s holds files that are not an export's, and all of them would be lost", dir).
			WithHint("name a folder that is new, empty, or an earlier export")
	}
	return true, nil
}

// put writes a file durably; its folders are made. Everybody may read it: a web server
// runs under an account of its own.
func put(dir, name string, body []byte) error {
	to := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	return errors.Join(err, f.Sync(), f.Close())
}

// replace puts fresh in dir's place and leaves what was there at fresh.
func replace(fresh, dir string, there bool) error {
	if !there {
		return os.Rename(fresh, dir)
	}
	err := unix.Renameat2(unix.AT_FDCWD, fresh, unix.AT_FDCWD, dir, unix.RENAME_EXCHANGE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	// A file system that can't exchange two folders: for a moment there is none, and the
	// old one comes back where the new one can't.
	old := fresh + ".old"
	if err := os.Rename(dir, old); err != nil {
		return err
	}
	if err := os.Rename(fresh, dir); err != nil {
		return errors.Join(err, os.Rename(old, dir))
	}
	return os.RemoveAll(old)
}
