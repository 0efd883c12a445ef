package authdns

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
)

// connLimit counts the TCP connections that are open.
type connLimit struct {
	total, perClient int

	mu      sync.Mutex // guards what follows; taken once when a connection opens and once when it ends
	open    int
	clients map[netip.Addr]int
}

func (l *connLimit) init(total, perClient int) {
	l.total, l.perClient = total, perClient
	l.clients = map[netip.Addr]int{}
}

func (l *connLimit) enter(client netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.total || l.clients[client] >= l.perClient {
		return false
	}
	l.open++
	l.clients[client]++
	return true
}

func (l *connLimit) leave(client netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.clients[client]--; l.clients[client] == 0 {
		delete(l.clients, client)
	}
}

// serveTCP accepts connections within the limits (RFC 7766 section 6.2) and
// waits for all of them in the end.
func (s *Server) serveTCP(ctx context.Context, l *net.TCPListener) error {
	c := s.shard()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		conn, err := l.AcceptTCP()
		if err != nil {
			if done, err := s.stopped(ctx, err); done {
				return err
			}
			s.options.Logger.Warn("a TCP connection could not be accepted", "component", "authdns", "error", err)
			continue
		}
		client := clientOf(conn)
		if !s.conns.enter(client) {
			c.tcpRefused.Add(1)
			conn.Close()
			continue
		}
		c.tcpConns.Add(1)
		wg.Go(func() { // ended by the connection's deadlines, or by ctx
			defer s.conns.leave(client)
			s.serveConn(ctx, c, conn)
		})
	}
}

// clientOf is who a limit counts: an IPv4 address, or an IPv6 network of 64 bits,
// which is what one client has at least.
func clientOf(conn *net.TCPConn) netip.Addr {
	addr, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	ip := addr.AddrPort().Addr().Unmap()
	if ip.Is6() {
		if prefix, err := ip.WithZone("").Prefix(64); err == nil {
			return prefix.Addr()
		}
	}
	return ip
}

// serveConn answers the queries of one connection in their order. Each query has
// to arrive whole, and its answer to be taken, within the idle time.
func (s *Server) serveConn(ctx context.Context, c *counters, conn *net.TCPConn) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	var from netip.Addr
	if addr, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		from = addr.AddrPort().Addr()
	}
	r, w := bufio.NewReaderSize(conn, 2048), bufio.NewWriterSize(conn, 2048)
	defer w.Flush() // answers that wait for a query after them, which turned out to be none
	var in, out []byte
	for {
		if conn.SetDeadline(s.options.Now().Add(s.options.TCPIdle)) != nil {
			return
		}
		var err error
		if in, err = s.readQuery(c, r, in); err != nil {
			return
		}
		reply := s.handleFrom(c, out, in, from, false)
		if reply == nil {
			return // a client that sends responses does not speak DNS
		}
		out = reply
		if writeAnswer(w, reply) != nil {
			return
		}
		if !queryWaits(r) && w.Flush() != nil {
			return
		}
	}
}

// writeAnswer writes an answer with its length before it.
func writeAnswer(w *bufio.Writer, reply []byte) error {
	var size [2]byte
	binary.BigEndian.PutUint16(size[:], uint16(len(reply)))
	if _, err := w.Write(size[:]); err != nil {
		return err
	}
	_, err := w.Write(reply)
	return err
}

// queryWaits says whether another whole query has arrived already, so that its
// answer can go out together with the one before.
func queryWaits(r *bufio.Reader) bool {
	if r.Buffered() < 2 {
		return false
	}
	size, err := r.Peek(2)
	return err == nil && r.Buffered() >= 2+int(binary.BigEndian.Uint16(size))
}

// readQuery reads a query with its length before it (RFC 1035 section 4.2.2).
func (s *Server) readQuery(c *counters, r *bufio.Reader, in []byte) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return in, err
	}
	n := int(binary.BigEndian.Uint16(size[:]))
	if n < headerSize || n > s.options.MaxQuerySize {
		c.tcpOversized.Add(1)
		return in, net.ErrClosed
	}
	if cap(in) < n {
		in = make([]byte, n)
	}
	in = in[:n]
	_, err := io.ReadFull(r, in)
	return in, err
}
