package authdns

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"lifeboat/internal/ratelimit"
)

// connLimit counts the TCP connections that are open, and knows which of them wait
// for a query.
type connLimit struct {
	total, perClient int

	mu      sync.Mutex // guards what follows; taken once when a connection opens and once when it ends
	open    map[*tcpConn]struct{}
	clients map[netip.Prefix]int
}

// tcpConn is a connection that is open.
type tcpConn struct {
	*net.TCPConn
	client netip.Prefix
	idle   atomic.Int64 // since when it waits for a query, in nanoseconds of Unix time; 0: it does not
	gone   bool         // it holds no place any more; guarded by connLimit's lock
}

func (l *connLimit) init(total, perClient int) {
	l.total, l.perClient = total, perClient
	l.open, l.clients = map[*tcpConn]struct{}{}, map[netip.Prefix]int{}
}

// enter lets a connection in within the limits. Where all places are taken, the
// connection that has waited longest for its next query gives up its place (RFC 7766
// section 6.2.3): who opens connections and says nothing locks nobody out.
func (l *connLimit) enter(conn *tcpConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clients[conn.client] >= l.perClient {
		return false
	}
	if len(l.open) >= l.total {
		longest := l.longestIdle()
		if longest == nil {
			return false
		}
		l.remove(longest)
		longest.Close() // its goroutine ends by this
	}
	l.open[conn] = struct{}{}
	l.clients[conn.client]++
	return true
}

func (l *connLimit) longestIdle() (longest *tcpConn) { // with mu held
	var since int64
	for conn := range l.open {
		if idle := conn.idle.Load(); idle != 0 && (longest == nil || idle < since) {
			longest, since = conn, idle
		}
	}
	return longest
}

func (l *connLimit) remove(conn *tcpConn) { // with mu held
	if conn.gone {
		return
	}
	conn.gone = true
	delete(l.open, conn)
	if l.clients[conn.client]--; l.clients[conn.client] == 0 {
		delete(l.clients, conn.client)
	}
}

func (l *connLimit) leave(conn *tcpConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(conn)
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
		client := &tcpConn{TCPConn: conn, client: clientOf(conn)}
		if !s.conns.enter(client) {
			c.tcpRefused.Add(1)
			conn.Close()
			continue
		}
		c.tcpConns.Add(1)
		wg.Go(func() { // ended by the connection's deadlines, or by ctx
			defer s.conns.leave(client)
			s.serveConn(ctx, &worker{counters: c}, client)
		})
	}
}

// clientOf is the network that a limit counts.
func clientOf(conn *net.TCPConn) netip.Prefix {
	addr, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	return ratelimit.Network(addr.AddrPort().Addr())
}

// serveConn answers the queries of one connection in their order. Each query has
// to arrive whole, and its answer to be taken, within the idle time; all of them
// within the connection's.
func (s *Server) serveConn(ctx context.Context, c *worker, conn *tcpConn) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	var from netip.Addr
	if addr, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		from = addr.AddrPort().Addr()
	}
	r, w := bufio.NewReaderSize(conn, 2048), bufio.NewWriterSize(conn, 2048)
	end := s.options.Now().Add(s.options.TCPTime)
	defer w.Flush() // answers that wait for a query after them, which turned out to be none
	c.more = func(reply []byte) error {
		if err := conn.SetDeadline(s.options.Now().Add(s.options.TCPIdle)); err != nil {
			return err
		}
		if err := writeAnswer(w, reply); err != nil {
			return err
		}
		return w.Flush()
	}
	var in, out []byte
	for sent := 0; sent < s.options.TCPBytes; {
		now := s.options.Now()
		if conn.SetDeadline(earlier(end, now.Add(s.options.TCPIdle))) != nil {
			return
		}
		var err error
		if in, err = s.nextQuery(c, conn, r, in, now); err != nil {
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
		sent += len(reply)
		if !queryWaits(r) && w.Flush() != nil {
			return
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// nextQuery waits for a query. Until it has come whole, the connection's place may be
// given to another.
func (s *Server) nextQuery(c *worker, conn *tcpConn, r *bufio.Reader, in []byte, now time.Time) ([]byte, error) {
	if !queryWaits(r) {
		conn.idle.Store(now.UnixNano())
		defer conn.idle.Store(0)
	}
	return s.readQuery(c, r, in)
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
func (s *Server) readQuery(c *worker, r *bufio.Reader, in []byte) ([]byte, error) {
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
