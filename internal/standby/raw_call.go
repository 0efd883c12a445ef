package standby

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// unbothered makes a call that reads or writes b, which is not empty, on a socket that
// does not block, without telling the scheduler.
func unbothered(call, fd uintptr, b []byte) (int, error) {
	for {
		n, _, fault := unix.RawSyscall(call, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b))) //nolint:gosec // the call ends before b can go
		switch fault {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, fault
		}
	}
}
