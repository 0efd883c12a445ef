//go:build linux && (amd64 || arm64)

package udpbatch

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// owned is a socket that Go's poller does not know. The poller would be called for
// each packet that leaves, though nobody waits for that; here the kernel is asked to
// wait only when there is nothing else to do, and by a thread of its own. It is a
// syscall.RawConn, so that a batch need not know the difference.
type owned struct {
	fd      int
	waiting [2]unix.PollFd
	ended   atomic.Bool

	mu   sync.Mutex // guards wake, which others write to
	wake int        // an eventfd; -1 once closed
}

// own takes a socket out of the poller, and closes the connection. The descriptor is
// another one of the same socket.
func own(conn *net.UDPConn) (*owned, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	o := &owned{fd: -1, wake: -1}
	var failed error
	err = raw.Control(func(fd uintptr) { o.fd, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err = errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("duplicate descriptor: %w", err)
	}
	if o.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, errors.Join(fmt.Errorf("make an eventfd: %w", err), unix.Close(o.fd))
	}
	o.waiting = [2]unix.PollFd{{Fd: int32(o.fd)}, {Fd: int32(o.wake), Events: unix.POLLIN}}
	if err := conn.Close(); err != nil {
		return nil, errors.Join(err, o.close())
	}
	return o, nil
}

// Control gives the descriptor.
func (o *owned) Control(f func(fd uintptr)) error {
	f(uintptr(o.fd))
	return nil
}

// Read calls f, and again whenever there may be something to read, until it is true.
func (o *owned) Read(f func(fd uintptr) bool) error { return o.until(f, unix.POLLIN) }

// Write is Read for writing.
func (o *owned) Write(f func(fd uintptr) bool) error { return o.until(f, unix.POLLOUT) }

func (o *owned) until(f func(fd uintptr) bool, events int16) error {
	for {
		if o.ended.Load() {
			return net.ErrClosed
		}
		if f(uintptr(o.fd)) {
			return nil
		}
		o.waiting[0].Events = events
		if _, err := unix.Poll(o.waiting[:], -1); err != nil && err != syscall.EINTR {
			return err
		}
	}
}

// stop ends the waiting, now and for good. It may be called from any goroutine.
func (o *owned) stop() {
	o.ended.Store(true)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.wake >= 0 {
		_, _ = unix.Write(o.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // in the machine's order: not 0 in any
	}
}

// close lets go of the socket. Nobody may be waiting.
func (o *owned) close() error {
	o.ended.Store(true)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.wake < 0 {
		return nil
	}
	err := errors.Join(unix.Close(o.wake), unix.Close(o.fd))
	o.wake, o.fd = -1, -1
	return err
}
