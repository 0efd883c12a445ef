package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batch is as many packets as one system call of the load takes.
const batch = 32

// sockets are how many the load has, so that a server meets several clients.
const sockets = 4

// late is when a query without an answer counts as lost.
const late = 200 * time.Millisecond

// header is the kernel's struct mmsghdr.
type header struct {
	unix.Msghdr
	size uint32
	_    [4]byte
}

// load is what a server is asked.
type load struct {
	queries [][]byte // with id 0
	window  int
	edns    bool
	echo    bool // the answer is the query itself with QR set
	do      bool // signatures are asked for, and come
}

// tally is what came of it.
type tally struct {
	answered, bad, lost, calls int
	took                       time.Duration
}

// queries are one for each name, in an order of no kind.
func queries(names int, edns bool) [][]byte {
	list := make([][]byte, names)
	for i, at := range rand.Perm(names) {
		b := []byte{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}
		for _, label := range []string{fmt.Sprintf("host%d", at), "bench", "test"} {
			b = append(append(b, byte(len(label))), label...)
		}
		b = append(b, 0, 0, 1, 0, 1)
		if edns {
			b[11] = 1
			b = append(b, 0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0)
		}
		list[i] = b
	}
	return list
}

// validating are the queries with DO set (RFC 3225), which their OPT record ends with.
func validating(queries [][]byte) (list [][]byte) {
	for _, q := range queries {
		q = bytes.Clone(q)
		q[len(q)-4] |= 0x80
		list = append(list, q)
	}
	return list
}

// ready waits until a server answers well.
func (l *load) ready(addr string, ended <-chan struct{}) error {
	conn, err := net.Dial("udp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	b := make([]byte, 2048)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		select {
		case <-ended:
			return errors.New("it ended")
		default:
		}
		_ = conn.SetDeadline(time.Now().Add(20 * time.Millisecond))
		if _, err := conn.Write(l.queries[0]); err == nil {
			if n, err := conn.Read(b); err == nil && l.good(b[:n], l.queries[0]) {
				return nil
			}
		}
		time.Sleep(5 * time.Millisecond) // the port is closed yet, or the zone not loaded
	}
	return errors.New("no good answer within 20 s")
}

// good says whether a packet answers a query: QR, the code, the number of answers,
// and the question.
func (l *load) good(answer, query []byte) bool {
	const start = 12
	if len(answer) < len(query) || answer[2]&0x80 == 0 || answer[2]&0x02 != 0 || answer[3]&0x0f != 0 {
		return false
	}
	records := uint16(1)
	if l.do {
		records = 2
	}
	if !l.echo && binary.BigEndian.Uint16(answer[6:]) != records {
		return false
	}
	end := start + bytes.IndexByte(query[start:], 0) + 5
	return bytes.Equal(answer[start:end], query[start:end])
}

// flow is one socket of the load. An id is the place of a query on its way, counted
// from base.
type flow struct {
	fd      int
	asked   []int  // by place: the query, or -1
	base    uint16 // moves on when queries are lost, so that late answers are known
	next    int
	in, out []header
	buffers [][]byte
	packets [][]byte
	vectors [2][]unix.Iovec
}

// run keeps a window of queries on their way for so long, each checked when its answer
// comes. The mark is called at the beginning and at the end.
func (l *load) run(core int, addr string, length time.Duration, mark func(end bool) error) (t tally, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var everywhere unix.CPUSet
	if err := unix.SchedGetaffinity(0, &everywhere); err != nil {
		return t, err
	}
	if err := pin(core); err != nil {
		return t, err
	}
	// The thread goes back to where it was and lives on: servers die with the thread
	// that has started them.
	defer func() { err = errors.Join(err, unix.SchedSetaffinity(0, &everywhere)) }()
	err = l.pinned(addr, length, mark, &t)
	return t, err
}

func (l *load) pinned(addr string, length time.Duration, mark func(end bool) error, t *tally) error {
	flows := make([]*flow, sockets)
	for i := range flows {
		f, err := newFlow(addr, l.window/sockets)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(f.fd) }()
		flows[i] = f
	}
	if mark == nil {
		mark = func(bool) error { return nil }
	}
	if err := mark(false); err != nil {
		return err
	}
	start := time.Now()
	for _, f := range flows {
		if err := l.send(f, places(len(f.asked))); err != nil {
			return err
		}
	}
	quiet := start
	for now := start; now.Sub(start) < length; now = time.Now() {
		idle := true
		for _, f := range flows {
			n, err := l.turn(f, t)
			if err != nil {
				return err
			}
			idle = idle && n == 0
		}
		if !idle {
			quiet = now
		} else if now.Sub(quiet) > late {
			for _, f := range flows {
				if err := l.again(f, t); err != nil {
					return err
				}
			}
			quiet = now
		}
	}
	t.took = time.Since(start)
	return mark(true)
}

func places(n int) []uint16 {
	list := make([]uint16, n)
	for i := range list {
		list[i] = uint16(i)
	}
	return list
}

// newFlow opens a socket that takes packets from the server only.
func newFlow(addr string, window int) (*flow, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	f := &flow{fd: fd, asked: make([]int, window), in: make([]header, batch), out: make([]header, batch)}
	for i := range f.vectors {
		f.vectors[i] = make([]unix.Iovec, batch)
	}
	for i := range batch {
		f.buffers = append(f.buffers, make([]byte, 1536))
		f.packets = append(f.packets, make([]byte, 512))
		f.vectors[0][i].Base, f.vectors[1][i].Base = &f.buffers[i][0], &f.packets[i][0]
		f.vectors[0][i].SetLen(len(f.buffers[i]))
		f.in[i].Iov, f.out[i].Iov = &f.vectors[0][i], &f.vectors[1][i]
		f.in[i].SetIovlen(1)
		f.out[i].SetIovlen(1)
	}
	return f, nil
}

// turn takes what has come, checks it, and asks as much again.
func (l *load) turn(f *flow, t *tally) (n int, err error) {
	r, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(f.fd), uintptr(unsafe.Pointer(&f.in[0])), batch, unix.MSG_DONTWAIT, 0, 0)
	switch errno {
	case 0:
	case unix.EAGAIN, unix.EINTR:
		return 0, nil
	default:
		return 0, fmt.Errorf("receive: %w", errno)
	}
	t.calls++
	var free [batch]uint16
	for i := range int(r) {
		answer := f.buffers[i][:f.in[i].size]
		if len(answer) < 12 {
			t.bad++
			continue
		}
		place := binary.BigEndian.Uint16(answer) - f.base
		if int(place) >= len(f.asked) || f.asked[place] < 0 {
			if f.base == 0 { // it is no late one
				t.bad++
			}
			continue
		}
		if l.good(answer, l.queries[f.asked[place]]) {
			t.answered++
		} else {
			t.bad++
		}
		f.asked[place] = -1
		free[n] = place
		n++
	}
	return int(r), l.send(f, free[:n])
}

// again asks anew: when nobody answers for long, what is on its way is lost.
func (l *load) again(f *flow, t *tally) error {
	t.lost += len(f.asked)
	f.base += uint16(len(f.asked))
	return l.send(f, places(len(f.asked)))
}

// send asks in places that are free.
func (l *load) send(f *flow, free []uint16) error {
	for len(free) > 0 {
		n := min(len(free), batch)
		for i, place := range free[:n] {
			f.next = (f.next + 1) % len(l.queries)
			query := l.queries[f.next]
			f.asked[place] = f.next
			binary.BigEndian.PutUint16(f.packets[i], f.base+place)
			copy(f.packets[i][2:], query[2:])
			f.vectors[1][i].SetLen(len(query))
		}
		if err := f.flush(n); err != nil {
			return err
		}
		free = free[n:]
	}
	return nil
}

func (f *flow) flush(n int) error {
	for sent := 0; sent < n; {
		r, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(f.fd), uintptr(unsafe.Pointer(&f.out[sent])), uintptr(n-sent), 0, 0, 0)
		if errno != 0 && errno != unix.EINTR && errno != unix.EAGAIN {
			return fmt.Errorf("send: %w", errno)
		}
		if errno == 0 {
			sent += int(r)
		}
	}
	return nil
}

// echo is the floor: what the kernel takes to receive and to send a packet.
func echo(addr string) error {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	headers, vectors := make([]header, batch), make([]unix.Iovec, batch)
	from, buffers := make([]unix.RawSockaddrInet4, batch), make([][1536]byte, batch)
	for i := range headers {
		vectors[i].Base = &buffers[i][0]
		headers[i].Name, headers[i].Namelen = (*byte)(unsafe.Pointer(&from[i])), unix.SizeofSockaddrInet4
		headers[i].Iov = &vectors[i]
		headers[i].SetIovlen(1)
	}
	for {
		for i := range vectors {
			vectors[i].SetLen(len(buffers[i]))
		}
		n, err := call(unix.SYS_RECVMMSG, fd, headers, unix.MSG_WAITFORONE)
		if err != nil {
			return err
		}
		for i := range n {
			buffers[i][2] |= 0x80
			vectors[i].SetLen(int(headers[i].size))
		}
		for sent := 0; sent < n; {
			m, err := call(unix.SYS_SENDMMSG, fd, headers[sent:n], 0)
			if err != nil {
				return err
			}
			sent += m
		}
	}
}

func call(number, fd int, headers []header, flags uintptr) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(uintptr(number), uintptr(fd), uintptr(unsafe.Pointer(&headers[0])), uintptr(len(headers)), flags, 0, 0)
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 {
			return 0, errno
		}
		return int(n), nil
	}
}
