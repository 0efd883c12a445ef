package evidence

import "golang.org/x/sys/unix"

// diskFree is how many bytes this account may still write to the disk of dir.
func diskFree(dir string) (n int64, known bool) {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return 0, false
	}
	return int64(min(s.Bavail, 1<<62/uint64(max(s.Bsize, 1)))) * int64(s.Bsize), true
}
