// Package udpbatch receives UDP packets and answers them by the batch: on Linux
// (amd64 and arm64) up to Most packets in one system call each way, elsewhere one
// by one through package net.
//
// It is for a server that answers each packet at once, or not at all, with at most
// one packet. It opens no socket, knows no protocol, counts nothing and never logs.
// Whoever serves UDP may import it.
//
// Invariants: an answer leaves from the address that was asked, also where the
// socket is bound to all addresses; a packet that can't be sent (EPERM, ENOBUFS,
// ECONNREFUSED and the like) costs itself and never one of the others; nothing is
// allocated after New.
//
// What makes it fast: at the cost of a name server's look-up, entering Go's
// scheduler for each packet is dear. Here the kernel is entered by RawSyscall with
// MSG_DONTWAIT as long as packets are there, and the socket is waited for through
// the poller, as any other, once it is empty. A thread within RawSyscall can't be
// stopped for the collector, which is why a batch is short. Under a flood that never
// leaves the socket empty, a rest every few milliseconds lets the rest of the process
// go on. A socket that Go's poller knows calls it back for each packet that leaves,
// about a tenth of an answer's cost: with Own it knows the socket no more.
//
// Concurrency: a *Socket belongs to one goroutine, but for End.
package udpbatch

import (
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Most is as many packets as a batch can have.
const Most = 32

// Options are what a Socket is made with. The zero value is useful.
type Options struct {
	Packets  int  // of a batch: Most when 0, and at most
	Received int  // octets kept of a packet that comes in, 4096 when 0; what is longer is cut
	Answer   int  // octets of the room for each answer, 1280 when 0
	Own      bool // take the socket over: the connection is the Socket's, and closed by New where that is faster
	Plain    bool // one by one through package net, as where nothing better is known
}

func (o Options) withDefaults() Options {
	if o.Packets <= 0 || o.Packets > Most {
		o.Packets = Most
	}
	if o.Received <= 0 {
		o.Received = 4096
	}
	if o.Answer <= 0 {
		o.Answer = 1280
	}
	return o
}

// Socket is a UDP socket with the buffers of one batch.
type Socket struct {
	way     way
	in      [][]byte // where packets are received
	packets [][]byte // of the batch: what was received, within in
	room    [][]byte
	answers []answer
}

// answer is a packet that waits for Send.
type answer struct {
	to     int // the packet of the batch that it answers
	packet []byte
}

// way is how packets come and go.
type way interface {
	// receive waits for packets and sets s.packets.
	receive(s *Socket) (n int, err error)
	client(i int) netip.AddrPort
	// send sends s.answers, and says how many could not be.
	send(s *Socket) (failed int)
	stop()
	close() error
}

// past is a deadline that is over.
var past = time.Unix(1, 0)

// New prepares a socket. Without Own the connection stays the caller's, and MUST NOT
// be read by anybody else; a deadline of it ends the waiting for a while. Where it is bound to all addresses, the kernel is told to say
// which one each packet was sent to; packets that are waiting already may be
// without (see AskForDestination).
func New(conn *net.UDPConn, o Options) (*Socket, error) {
	o = o.withDefaults()
	any, err := boundToAny(conn)
	if err != nil {
		return nil, fmt.Errorf("prepare UDP socket %s: %w", conn.LocalAddr(), err)
	}
	s := &Socket{}
	if !o.Plain {
		s.way, err = newBatch(conn, o.Packets, any, o.Own)
		if err != nil {
			return nil, fmt.Errorf("prepare UDP socket %s: %w", conn.LocalAddr(), err)
		}
	}
	if s.way == nil {
		s.way, o.Packets = &plain{conn: conn, any: any}, 1
	}
	s.in, s.room = windows(o.Packets, o.Received), windows(o.Packets, o.Answer)
	s.packets = make([][]byte, o.Packets)
	s.answers = make([]answer, 0, o.Packets)
	return s, nil
}

// line is what a cache holds together, in octets.
const line = 64

// windows gives n buffers of equal size in one piece of memory. They begin a line
// further each, so that their first octets do not fight for the same place in a
// cache.
func windows(n, size int) [][]byte {
	step := (size+line-1)/line*line + line
	all := make([]byte, n*step)
	list := make([][]byte, n)
	for i := range list {
		list[i] = all[i*step : i*step+size : i*step+size]
	}
	return list
}

// boundToAny says whether a socket takes packets for all addresses, and has the
// kernel tell them apart if so.
func boundToAny(conn *net.UDPConn) (bool, error) {
	addr, ok := conn.LocalAddr().(*net.UDPAddr)
	if !ok || !addr.IP.IsUnspecified() {
		return false, nil
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return false, err
	}
	return true, AskForDestination(raw)
}

// Receive waits for a packet and takes what has come, up to a batch. The batch
// before, its answers included, is forgotten. An error is one of waiting or of
// receiving: the deadline passed, the connection was closed, the kernel has no
// memory. The Socket can be used on.
func (s *Socket) Receive() (n int, err error) {
	s.answers = s.answers[:0]
	return s.way.receive(s)
}

// End ends the waiting of Receive and Send for good: they give an error. It may be
// called from any goroutine, also after Close.
func (s *Socket) End() { s.way.stop() }

// Close lets go of the socket, or closes the connection that it was made from. Others
// who hold the same socket keep it.
func (s *Socket) Close() error { return s.way.close() }

// Packet is packet i of the batch, valid until the next Receive.
func (s *Socket) Packet(i int) []byte { return s.packets[i] }

// Client is who sent packet i. An IPv4 address is one, whatever the socket's
// family; an IPv6 address is without its zone.
func (s *Socket) Client(i int) netip.AddrPort { return s.way.client(i) }

// Room is where the answer to packet i may be written: an empty slice with the
// capacity that was asked for.
func (s *Socket) Room(i int) []byte { return s.room[i][:0] }

// Answer has a packet sent to the sender of packet i by the next Send. It MUST NOT
// be changed before, and need not lie in the room. There is one answer to a packet
// at most.
func (s *Socket) Answer(i int, packet []byte) {
	if len(packet) > 0 && len(s.answers) < cap(s.answers) {
		s.answers = append(s.answers, answer{to: i, packet: packet})
	}
}

// Send sends the answers, and says how many of them could not be sent. It waits
// where the kernel takes no more just now.
func (s *Socket) Send() (failed int) {
	if len(s.answers) == 0 {
		return 0
	}
	failed = s.way.send(s)
	s.answers = s.answers[:0]
	return failed
}
