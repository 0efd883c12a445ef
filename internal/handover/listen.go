package handover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/fault"
)

// maxUnixPath is what the kernel takes as a socket's path, in bytes (unix(7)).
const maxUnixPath = 107

// dialStale is how long a socket file's owner has to take a connection; the
// kernel does that for any that listens, even a stopped one.
const dialStale = 2 * time.Second

// CheckAddr says whether an address can be meant for listening: host:port with a
// number for the port. flag is named in the error.
func CheckAddr(flag, addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = net.ResolveTCPAddr("tcp", addr)
	}
	if err == nil && host != "" && net.ParseIP(host) == nil && host != "localhost" {
		err = errors.New("the host is not an IP address")
	}
	if err != nil {
		return fault.New(fault.Invalid, "%q is no address to listen on", addr).At(flag).Because(err).
			WithHint("write it as 127.0.0.1:8080, [::1]:8080 or :8080")
	}
	return nil
}

// ListenTCP listens on a TCP address for the flag that asked for it. An error
// names flag, address and what to do.
func ListenTCP(flag, addr string) (*net.TCPListener, error) {
	if err := CheckAddr(flag, addr); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", addr) // an IP address: nothing to look up or wait for
	if err != nil {
		return nil, explain(flag, addr, err)
	}
	return l.(*net.TCPListener), nil
}

// explain says what a person can do about an address that can't be had.
func explain(flag, addr string, err error) error {
	_, port, _ := net.SplitHostPort(addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fault.New(fault.Unavailable, "port %s (%s) is taken by another program", port, flag).At(flag+" "+addr).
			Because(err).WithHint("choose another with %s, or see who has it with: ss -lntp 'sport = :%s'", flag, port)
	case errors.Is(err, syscall.EACCES):
		return fault.New(fault.Denied, "port %s (%s) is not allowed to this account", port, flag).At(flag+" "+addr).
			Because(err).WithHint("ports under 1024 need root, CAP_NET_BIND_SERVICE or a systemd socket; or choose a higher one with %s", flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fault.New(fault.Invalid, "this machine does not have the address (%s)", flag).At(flag + " " + addr).
			Because(err).WithHint("see its addresses with: ip addr")
	}
	return fault.New(fault.Unavailable, "can't listen (%s)", flag).At(flag + " " + addr).Because(err)
}

// ListenUnix listens on a local socket. Its file has mode 0600 from its first
// moment and belongs to the account uid (-1: to this process's). A file left by
// a process that died is replaced; one that somebody listens on is a
// fault.Conflict. Closing the listener leaves the file.
func ListenUnix(path string, uid int) (*net.UnixListener, error) {
	if len(path) > maxUnixPath {
		return nil, fault.New(fault.Invalid, "the path of a local socket has %d bytes, Linux takes %d", len(path), maxUnixPath).
			At(path).WithHint("choose a data folder with a shorter path (--data)")
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	private := net.ListenConfig{Control: ownerOnly}
	l, err := private.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on local socket: %w", err)
	}
	u := l.(*net.UnixListener)
	u.SetUnlinkOnClose(false)
	if uid >= 0 && uid != os.Geteuid() {
		if err := os.Lchown(path, uid, -1); err != nil {
			return nil, errors.Join(fmt.Errorf("give local socket: %w", err), u.Close(), os.Remove(path))
		}
	}
	return u, nil
}

// ownerOnly runs before the socket is bound: Linux makes the file with the
// socket's mode, so no umask of the whole process needs to change.
func ownerOnly(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) { failed = unix.Fchmod(int(fd), 0o600) })
	return errors.Join(err, failed)
}

// removeStale removes a socket file that nobody listens on. Anything else in its
// place is left alone and told.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at local socket: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fault.New(fault.Conflict, "a file that is no socket is in the way").At(path).WithHint("move it away")
	}
	conn, err := net.DialTimeout("unix", path, dialStale)
	if err == nil {
		_ = conn.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fault.New(fault.Conflict, "another process listens on this socket").At(path).Because(err).
			WithHint("stop the lifeboat that uses this data folder, or choose another folder with --data")
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove stale socket: %w", err)
	}
	return nil
}
