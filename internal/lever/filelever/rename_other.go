//go:build !linux

package filelever

import (
	"os"
	"syscall"
)

var errOtherDevice = syscall.EXDEV

// rename moves a file inside root and never over another one: a second name is
// made, which fails where there is one, then the first is removed.
func rename(root *os.Root, from, to string) error {
	if err := root.Link(from, to); err != nil {
		return err
	}
	return root.Remove(from)
}
