package filelever

import (
	"errors"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

var errOtherDevice = unix.EXDEV

// rename moves a file inside root and never over another one (renameat2(2),
// RENAME_NOREPLACE). Both folders are opened through root, so neither can lead out
// of it.
func rename(root *os.Root, from, to string) (err error) {
	a, err := root.Open(path.Dir(from))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	b, err := root.Open(path.Dir(to))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	err = unix.Renameat2(int(a.Fd()), path.Base(from), int(b.Fd()), path.Base(to), unix.RENAME_NOREPLACE)
	if err != nil {
		return &fs.PathError{Op: "rename", Path: from, Err: err}
	}
	return nil
}
