package handover

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"lifeboat/internal/fault"
)

// LockFolder makes the folder (mode 0700) and makes sure that one process works on
// it, until the lock is closed or the process ends.
func LockFolder(dir string) (io.Closer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.New(fault.Unavailable, "make the folder").Because(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "open the folder's lock").Because(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fault.New(fault.Conflict, "another process works on %s", dir).WithHint("stop it first, or name another folder with --data"), f.Close())
	}
	return f, nil
}
