// Package handover carries open sockets from one process to another: from the
// parent (systemd or serve) to answer and control when they start, and from a
// running answer to a new parent that joins it. A socket that two processes hold
// outlives either, so that a restart loses no query.
//
// It opens, names, passes and guards sockets. It does not serve on them, start
// processes or decide who should have which. Supervise, answer, control and the
// command line may import it; it imports only fault.
//
// Invariants: every descriptor is close-on-exec; a held socket's file is not
// watched by Go's poller, so holding one costs nothing while another process
// serves on it; the local sockets have mode 0600 from their first moment.
// It needs Linux.
//
// Concurrency: a Sockets belongs to one goroutine at a time, as any map; the
// connections and listeners that it gives out are as free as package net's.
package handover

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"lifeboat/internal/fault"
)

// The names of the sockets. Those that end in .sock are the file's name in the
// data folder too.
const (
	DNSUDP      = "dns-udp" // several that share a port by SO_REUSEPORT
	DNSTCP      = "dns-tcp"
	StandbyHTTP = "standby-http"
	OFREP       = "ofrep"

	StandbyHTTPS = "standby-https" // not there where the standby is not to answer over TLS
	AnswerSock   = "answer.sock"   // local orders

	HTTP        = "http"         // pages and API
	ControlSock = "control.sock" // the API without a token
	FeedSock    = "feed.sock"    // answer dials control here
)

// Sockets are open sockets by name, held so that they can be passed on again.
// The nil map holds none.
type Sockets map[string][]*os.File

// Add holds a socket under a name. The caller keeps conn and may close it: the
// socket stays open as long as it is held here.
func (s Sockets) Add(name string, conn syscall.Conn) error {
	f, err := hold(name, conn)
	if err != nil {
		return err
	}
	s[name] = append(s[name], f)
	return nil
}

// Has says whether a socket of that name is held.
func (s Sockets) Has(name string) bool { return len(s[name]) > 0 }

// Close lets go of all of them.
func (s Sockets) Close() error {
	var failed []error
	for _, f := range s.ExtraFiles() {
		failed = append(failed, f.Close())
	}
	clear(s)
	return errors.Join(failed...)
}

// UDP gives connections on all UDP sockets of a name. None of that name is a
// fault.NotFound.
func (s Sockets) UDP(name string) ([]*net.UDPConn, error) {
	return open(s, name, func(f *os.File) (*net.UDPConn, error) {
		conn, err := net.FilePacketConn(f)
		return as[*net.UDPConn](conn, err)
	})
}

// TCP gives listeners on all TCP sockets of a name (systemd may hand down one for
// each address). None of that name is a fault.NotFound.
func (s Sockets) TCP(name string) ([]*net.TCPListener, error) {
	return open(s, name, func(f *os.File) (*net.TCPListener, error) {
		l, err := net.FileListener(f)
		return as[*net.TCPListener](l, err)
	})
}

// Listener gives a listener on the one socket of a name, TCP or Unix. Closing it
// leaves the held socket and a Unix socket's file alone. None of that name is a
// fault.NotFound, more than one a fault.Invalid.
func (s Sockets) Listener(name string) (net.Listener, error) {
	if n := len(s[name]); n > 1 {
		return nil, fault.New(fault.Invalid, "%d sockets named %q were handed down, one is expected", n, name)
	}
	all, err := open(s, name, net.FileListener)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// Addr is the address that the first socket of a name is bound to.
func (s Sockets) Addr(name string) (net.Addr, error) {
	if !s.Has(name) {
		return nil, missing(name)
	}
	f := s[name][0]
	if conn, err := net.FilePacketConn(f); err == nil {
		return conn.LocalAddr(), conn.Close()
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("look at socket %q: %w", name, err)
	}
	return l.Addr(), l.Close()
}

// names are the names in a fixed order, one for each socket: that of ExtraFiles.
func (s Sockets) names() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(s)) {
		for range s[name] {
			out = append(out, name)
		}
	}
	return out
}

// open makes a connection or listener of each socket of a name: all or none.
func open[T io.Closer](s Sockets, name string, make func(*os.File) (T, error)) ([]T, error) {
	if !s.Has(name) {
		return nil, missing(name)
	}
	var out []T
	for _, f := range s[name] {
		v, err := make(f)
		if err != nil {
			for _, opened := range out {
				_ = opened.Close()
			}
			return nil, fmt.Errorf("use socket %q: %w", name, err)
		}
		out = append(out, v)
	}
	return out, nil
}

// as narrows what package net made of a descriptor; another kind is closed.
func as[T io.Closer](v io.Closer, err error) (T, error) {
	var none T
	if err != nil {
		return none, err
	}
	if t, is := v.(T); is {
		return t, nil
	}
	_ = v.Close()
	return none, fault.New(fault.Invalid, "it is of the wrong kind, %T", v)
}

func missing(name string) error {
	return fault.New(fault.NotFound, "no socket named %q was handed down", name)
}

// hold duplicates a connection's descriptor. (Its File method would not do: asking
// that file for its descriptor makes the socket blocking in every process.)
func hold(name string, conn syscall.Conn) (*os.File, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("hold socket %q: %w", name, err)
	}
	var f *os.File
	var failed error
	err = raw.Control(func(fd uintptr) { f, failed = unwatched(int(fd), name) })
	if err := errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("hold socket %q: %w", name, err)
	}
	return f, nil
}

// unwatched duplicates a descriptor into a file that Go's poller leaves alone:
// os.NewFile would have the poller of this process woken by every packet that
// another process serves. So the file is made of /dev/null, opened blocking, and
// the socket put in its place.
func unwatched(fd int, name string) (*os.File, error) {
	place, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/null: %w", err)
	}
	f := os.NewFile(uintptr(place), name) // before the socket is there: it looks for O_NONBLOCK
	if err := unix.Dup3(fd, place, unix.O_CLOEXEC); err != nil {
		return nil, errors.Join(fmt.Errorf("duplicate descriptor: %w", err), f.Close())
	}
	return f, nil
}
