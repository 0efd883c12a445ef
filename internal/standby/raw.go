package standby

import (
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// A read or write of a socket that does not block takes some microseconds. Go's scheduler
// watches such calls in case one blocks, and under load it gives the processor to another
// thread and back for many of them. These are made behind its back; whoever must wait
// still waits in Go's poller, with the deadlines of the connection.

// rawOf gives what a connection's socket is reached by; nil: it is none.
func rawOf(c net.Conn) syscall.RawConn {
	t, is := c.(*net.TCPConn)
	if !is {
		return nil
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// receive reads what is there, and waits where nothing is.
func (c *conn) receive(b []byte) (n int, err error) {
	if c.raw == nil || len(b) == 0 {
		return c.Conn.Read(b)
	}
	failed := c.raw.Read(func(fd uintptr) bool {
		n, err = unbothered(unix.SYS_READ, fd, b)
		return err != unix.EAGAIN
	})
	switch {
	case failed != nil:
		return 0, failed
	case err != nil:
		return 0, &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// send writes all of b.
func (c *conn) send(b []byte) (n int, err error) {
	if c.raw == nil || len(b) == 0 {
		return c.Conn.Write(b)
	}
	failed := c.raw.Write(func(fd uintptr) bool {
		for n < len(b) {
			var put int
			if put, err = unbothered(unix.SYS_WRITE, fd, b[n:]); err != nil {
				return err != unix.EAGAIN
			}
			n += put
		}
		return true
	})
	if failed != nil {
		return n, failed
	}
	if err != nil {
		return n, &net.OpError{Op: "write", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
	}
	return n, nil
}
