//go:build linux && (amd64 || arm64)

package udpbatch

import (
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// header is the kernel's struct mmsghdr (recvmmsg(2), sendmmsg(2)).
type header struct {
	unix.Msghdr
	size uint32 // octets received or sent
	_    [4]byte
}

// batch is the way of recvmmsg and sendmmsg. What the kernel is given pointers to
// belongs to it, or to its Socket, and so stays where it is.
type batch struct {
	raw     syscall.RawConn
	conn    *net.UDPConn
	own     *owned // nil for a socket that Go's poller knows
	in, out []header
	parts   []unix.Iovec            // of the packets that come in
	answers []unix.Iovec            // of those that go out
	from    []unix.RawSockaddrInet6 // the senders; an IPv4 address takes the first octets
	oob     [][]byte                // control messages; nil for a socket bound to one address

	busy       int // packets since the socket was last empty, or a rest was taken
	used       int // headers of in that the last batch has changed
	begin, end int // of out: what is to be sent
	count      int // the result of the last system call
	errno      syscall.Errno

	rest               *time.Timer
	receiving, sending func(fd uintptr) bool // made once: a method value is an allocation
}

// newBatch gives nil where the kernel, or what stands before it, has no such calls.
// With take the connection is closed, and the socket the batch's own.
func newBatch(conn *net.UDPConn, packets int, any, take bool) (way, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	if known, err := kernelKnows(raw); err != nil || !known {
		return nil, err
	}
	b := &batch{
		raw: raw, conn: conn,
		in: make([]header, packets), parts: make([]unix.Iovec, packets),
		out: make([]header, packets), answers: make([]unix.Iovec, packets),
		from: make([]unix.RawSockaddrInet6, packets),
		used: packets,
	}
	if any {
		b.oob = windows(packets, oobSize)
	}
	b.rest = time.NewTimer(0)
	<-b.rest.C
	b.receiving, b.sending = b.receiveOnce, b.sendOnce
	if take {
		if b.own, err = own(conn); err != nil {
			return nil, err
		}
		b.raw = b.own
	}
	return b, nil
}

func (b *batch) stop() {
	if b.own != nil {
		b.own.stop()
		return
	}
	_ = b.conn.SetDeadline(past) // a closed one has ended
}

func (b *batch) close() error {
	if b.own != nil {
		return b.own.close()
	}
	return b.conn.Close()
}

// kernelKnows says whether both system calls are there and allowed: a sandbox may
// not know them. Asked for no packet, they do nothing.
func kernelKnows(raw syscall.RawConn) (bool, error) {
	var recv, send syscall.Errno
	err := raw.Control(func(fd uintptr) {
		_, _, recv = unix.Syscall6(unix.SYS_RECVMMSG, fd, 0, 0, unix.MSG_DONTWAIT, 0, 0)
		_, _, send = unix.Syscall6(unix.SYS_SENDMMSG, fd, 0, 0, unix.MSG_DONTWAIT, 0, 0)
	})
	refused := func(e syscall.Errno) bool { return e == unix.ENOSYS || e == unix.EPERM || e == unix.EACCES }
	return !refused(recv) && !refused(send), err
}

func (b *batch) receive(s *Socket) (n int, err error) {
	b.prepare(s)
	if b.busy >= patience {
		b.giveWay()
	}
	if err := b.raw.Read(b.receiving); err != nil {
		return 0, err
	}
	if b.errno != 0 {
		return 0, b.errno
	}
	b.used = b.count
	for i := range b.used {
		s.packets[i] = s.in[i][:b.in[i].size]
	}
	return b.used, nil
}

// prepare puts right what the batch before has changed in the headers.
func (b *batch) prepare(s *Socket) {
	for i := range b.used {
		h := &b.in[i]
		if h.Iov == nil {
			b.parts[i].Base = &s.in[i][0]
			b.parts[i].SetLen(len(s.in[i]))
			h.Iov = &b.parts[i]
			h.SetIovlen(1)
			h.Name = (*byte)(unsafe.Pointer(&b.from[i]))
		}
		h.Namelen = unix.SizeofSockaddrInet6
		if b.oob != nil {
			h.Control = &b.oob[i][0]
			h.SetControllen(len(b.oob[i]))
		}
	}
	b.used = 0
}

// patience is how many packets are received, under a flood, before the other
// goroutines get their turn: some milliseconds.
const patience = 64 * Most

// moment is how long a rest lasts.
const moment = 50 * time.Microsecond

// receiveOnce takes what is there; false when nothing is, and the poller has to
// wait.
func (b *batch) receiveOnce(fd uintptr) bool {
	b.call(unix.SYS_RECVMMSG, fd, b.in)
	b.busy += b.count
	if b.errno == unix.EAGAIN {
		b.busy = 0
		return false
	}
	return true
}

// giveWay lets everything else in the process have its turn. A goroutine that makes
// no ordinary system call and never waits is in nobody's view: with as many of them as
// cores, Go would not even look whether the network has something for the others. A
// rest of a moment makes it look; what comes in meanwhile is kept by the socket.
func (b *batch) giveWay() {
	b.busy = 0
	b.rest.Reset(moment)
	<-b.rest.C
}

// sendOnce sends what has not been sent yet; false when the kernel takes no more
// just now.
func (b *batch) sendOnce(fd uintptr) bool {
	b.call(unix.SYS_SENDMMSG, fd, b.out[b.begin:b.end])
	return b.errno != unix.EAGAIN
}

// call enters the kernel without the scheduler's knowledge, and does not wait there.
func (b *batch) call(number, fd uintptr, headers []header) {
	for {
		n, _, errno := unix.RawSyscall6(number, fd, uintptr(unsafe.Pointer(&headers[0])), uintptr(len(headers)), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			n = 0
		}
		b.count, b.errno = int(n), errno
		return
	}
}

func (b *batch) client(i int) netip.AddrPort {
	from := &b.from[i]
	raw := (*[unix.SizeofSockaddrInet6]byte)(unsafe.Pointer(from))
	port := binary.BigEndian.Uint16(raw[2:])
	switch from.Family {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw[4:8])), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(from.Addr).Unmap(), port)
	}
	return netip.AddrPort{}
}

func (b *batch) send(s *Socket) (failed int) {
	b.begin, b.end = 0, 0
	for _, a := range s.answers {
		b.queue(a)
	}
	for b.begin < b.end {
		if b.raw.Write(b.sending) != nil { // the deadline passed, or the socket is closed
			return failed + b.end - b.begin
		}
		if b.errno != 0 { // of the first that was to be sent
			b.count = 1
			failed++
		}
		b.begin += b.count
	}
	return failed
}

// queue makes the header of an answer: to the sender of the packet, from the
// address that this was sent to.
func (b *batch) queue(a answer) {
	if b.from[a.to].Port == 0 {
		return // nobody can be there
	}
	in, h, part := &b.in[a.to], &b.out[b.end], &b.answers[b.end]
	part.Base = &a.packet[0]
	part.SetLen(len(a.packet))
	h.Iov = part
	h.SetIovlen(1)
	h.Name, h.Namelen = in.Name, in.Namelen
	h.Control = nil
	h.SetControllen(0)
	if b.oob != nil {
		if oob := fromDestination(b.oob[a.to][:in.Controllen]); oob != nil {
			h.Control = &oob[0]
			h.SetControllen(len(oob))
		}
	}
	b.end++
}
