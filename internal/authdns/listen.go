package authdns

import (
	"context"
	"errors"
	"net"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"lifeboat/internal/fault"
	"lifeboat/internal/udpbatch"
)

// portTries is how often a free port is looked for that both UDP and TCP have.
const portTries = 20

// Listen opens n UDP sockets that share a port by SO_REUSEPORT, and a TCP
// listener on the same. With port 0 a free one is chosen. An address that another
// process holds, also one that would share it, that is not this machine's or not
// allowed is a fault.Invalid that names it.
func Listen(addr string, n int) (udp []*net.UDPConn, tcp *net.TCPListener, err error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, nil, fault.New(fault.Invalid, "%q is no address to listen on", addr).Because(err).WithHint("write it as 127.0.0.1:5354 or [::1]:5354")
	}
	tries := 1
	if port == "0" {
		tries = portTries
	}
	for range tries {
		udp, tcp, err = listenOnce(addr, max(n, 1))
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	if err != nil {
		return nil, nil, explain(addr, err)
	}
	return udp, tcp, nil
}

func listenOnce(addr string, n int) (udp []*net.UDPConn, tcp *net.TCPListener, err error) {
	defer func() {
		if err != nil {
			closeAll(udp, tcp)
		}
	}()
	// The listener does not share: holding it keeps a second lifeboat off the port.
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	tcp = l.(*net.TCPListener)
	host, _, _ := net.SplitHostPort(addr)
	addr = net.JoinHostPort(host, strconv.Itoa(tcp.Addr().(*net.TCPAddr).Port))
	// A socket that would share the port could be bound beside anybody else's of
	// the same account, and each would get a part of the queries: try alone first.
	probe, err := net.ListenPacket("udp", addr)
	if err != nil {
		return nil, tcp, err
	}
	if err := probe.Close(); err != nil {
		return nil, tcp, err
	}
	sharing := net.ListenConfig{Control: sharePort}
	for range n {
		conn, err := sharing.ListenPacket(context.Background(), "udp", addr)
		if err != nil {
			return udp, tcp, err
		}
		udp = append(udp, conn.(*net.UDPConn))
	}
	return udp, tcp, nil
}

func closeAll(udp []*net.UDPConn, tcp *net.TCPListener) {
	if tcp != nil {
		tcp.Close()
	}
	for _, conn := range udp {
		conn.Close()
	}
}

// bufferSize is how many octets of packets a socket may hold for us, each way. The
// kernel's own is good for some 270 queries: less than come in while a collector or a
// neighbour has the core.
const bufferSize = 1 << 20

// sharePort sets what a UDP socket needs before it is bound. One that will take
// packets for all addresses has to tell from the first on where each was sent to;
// for others this would only cost.
func sharePort(_, addr string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		for _, buffer := range []int{unix.SO_RCVBUF, unix.SO_SNDBUF} {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, buffer, bufferSize) // as much as the system allows is what we get
		}
	})
	if host, _, _ := net.SplitHostPort(addr); host == "" || net.ParseIP(host).IsUnspecified() {
		err = errors.Join(err, udpbatch.AskForDestination(raw))
	}
	return errors.Join(err, failed)
}

// inOnePiece has answers leave a socket whole or not at all (RFC 9715 section 3.1):
// fragments can be forged, and get lost, and ours are small enough for any path. The
// kernel is told not to believe who says that a path is smaller still. Where it knows
// no such setting, answers go out as ever.
func inOnePiece(conn *net.UDPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE)
	})
}

// explain says what a person can do about an address that can't be had.
func explain(addr string, err error) error {
	f := fault.New(fault.Unavailable, "DNS can't listen on %s", addr).Because(err)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		f = fault.New(fault.Unavailable, "the DNS address %s is taken by another process", addr)
		f.Cause = err
		_, port, _ := net.SplitHostPort(addr)
		return f.WithHint("see who has it with: ss -lntup 'sport = :%s'; stop it or choose another address", port)
	case errors.Is(err, syscall.EACCES):
		return f.WithHint("ports under 1024 need the right to bind: start through systemd, or choose a port like 5354")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return f.WithHint("it is not an address of this machine: see them with: ip addr")
	}
	return f
}
