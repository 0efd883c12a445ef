package slot

import (
	"os"

	"golang.org/x/sys/unix"
)

// datasync writes the file's data, and of its metadata only what reading it back
// needs: an overwrite in place then costs no change of the file system's journal.
func datasync(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var syncErr error
	err = conn.Control(func(fd uintptr) {
		for {
			if syncErr = unix.Fdatasync(int(fd)); syncErr != unix.EINTR {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	return syncErr
}
