package standby

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// crowd counts connections, and says who may have another.
type crowd struct {
	max, each int
	open      atomic.Int64
	full      atomic.Uint64
	greedy    atomic.Uint64
	unasked   atomic.Uint64

	mu *sync.Mutex
	of map[netip.Addr]int // guarded by mu
}

func newCrowd(most, each int) crowd {
	return crowd{max: most, each: each, mu: &sync.Mutex{}, of: map[netip.Addr]int{}}
}

// network is whom a connection is counted for: an IPv4 address, or the /64 that one
// customer of a provider has (RFC 6177). This machine's own are nobody's.
func network(a net.Addr) netip.Addr {
	at, is := a.(*net.TCPAddr)
	if !is {
		return netip.Addr{}
	}
	ip := at.AddrPort().Addr().Unmap().WithZone("")
	if ip.IsLoopback() {
		return netip.Addr{}
	}
	if ip.Is6() {
		p, _ := ip.Prefix(64) // it has 128 bits
		ip = p.Addr()
	}
	return ip
}

// admit takes a connection in, or says that there is no room.
func (c *crowd) admit(from netip.Addr) bool {
	if c.open.Add(1) > int64(c.max) {
		c.open.Add(-1)
		c.full.Add(1)
		return false
	}
	if !from.IsValid() {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of[from] >= c.each {
		c.open.Add(-1)
		c.greedy.Add(1)
		return false
	}
	c.of[from]++
	return true
}

func (c *crowd) leave(from netip.Addr) {
	c.open.Add(-1)
	if !from.IsValid() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of[from]--; c.of[from] <= 0 {
		delete(c.of, from)
	}
}

// gate lets a few handshakes at a time have the processor. The others wait outside
// Go's run queue, so that a storm of them delays neither a query to the name server nor
// an answer to who is in already; who would wait too long is turned away at once.
type gate struct {
	slots    chan struct{}
	coming   chan struct{} // holds a token for each who was taken in with something said, and has not come to a slot
	most     int64
	patience time.Duration // who has waited longer behind more than few is turned away, too
	few      int64
	waiting  atomic.Int64
	shed     atomic.Uint64
}

const (
	// atOnce is how many handshakes are computed at a time.
	atOnce = 8
	// comingMost is how many are taken out of the kernel's queue ahead of the slots. More
	// would wait in Go's run queue, where whatever else there is to do waits behind them.
	comingMost = 64
	// patience is how long a visitor waits in either queue, the kernel's and the gate's,
	// while many wait: together, with the handshake, they stay below a second.
	patience = 300 * time.Millisecond
	// few are served however late they are: they cost a fraction of patience, and a
	// process that was held up for a moment is no storm.
	few = 256
)

func newGate(most int) gate {
	return gate{slots: make(chan struct{}, atOnce), coming: make(chan struct{}, comingMost), most: int64(most), patience: patience, few: few}
}

var errShed = errors.New("too many handshakes wait for the processor")

// enter waits for a slot.
func (g *gate) enter() error {
	select {
	case g.slots <- struct{}{}:
		return nil
	default:
	}
	if g.waiting.Add(1) > g.most {
		g.waiting.Add(-1)
		g.shed.Add(1)
		return errShed
	}
	began := time.Now()
	g.slots <- struct{}{} // held for a fraction of a millisecond each
	// Whoever is handed a slot would run at once, one after the other, and what waits in the
	// runtime's common queue, the listener and the name server among it, would not.
	runtime.Gosched()
	if behind := g.waiting.Add(-1); behind >= g.few && time.Since(began) > g.patience {
		g.leave()
		g.shed.Add(1)
		return errShed
	}
	return nil
}

func (g *gate) leave() { <-g.slots }

// packed says whether whoever comes now would be turned away later.
func (g *gate) packed() bool { return g.waiting.Load() >= g.most }

// backlog watches how late connections come out of the kernel's queue, where no count of
// ours sees them. Nobody is served in time behind thousands who are late.
type backlog struct {
	patience time.Duration
	few      int64
	late     atomic.Int64 // in a row
}

// stale takes the age of the next one, and says whether it is to be turned away.
func (b *backlog) stale(age time.Duration) bool {
	if age <= b.patience {
		b.late.Store(0)
		return false
	}
	return b.late.Add(1) > b.few
}

// waited is how long ago the other end of a connection was heard of last: of one that has
// just been accepted, how long it was in the queue; and whether it has said something. 0
// and false where the kernel does not tell.
func waited(c net.Conn) (age time.Duration, said bool) {
	raw := rawOf(c)
	if raw == nil {
		return 0, false
	}
	_ = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			age = time.Duration(info.Last_data_recv) * time.Millisecond // set when it is established, too
			said = info.Bytes_received > 0
		}
	})
	return age, said
}

// front is a listener behind which connections are counted; with a TLS configuration
// they are secured.
type front struct {
	server *Server
	ln     net.Listener
	tls    *tls.Config // nil: none
	queue  backlog
}

func (s *Server) newFront(ln net.Listener, config *tls.Config) *front {
	return &front{server: s, ln: ln, tls: config, queue: backlog{patience: patience, few: few}}
}

func (f *front) close() { _ = f.ln.Close() }

// accept gives the next connection that is let in. Who is not is reset: a handshake
// costs more than all the rest, and a browser asks again.
func (f *front) accept() (net.Conn, error) {
	for {
		raw, err := f.ln.Accept()
		if err != nil {
			return nil, err
		}
		from := network(raw.RemoteAddr())
		said := false
		if f.tls != nil {
			var age time.Duration
			if age, said = waited(raw); f.queue.stale(age) || f.server.gate.packed() {
				f.server.gate.shed.Add(1)
				reset(raw)
				continue
			}
		}
		if !f.server.crowd.admit(from) {
			f.server.complain("connections beyond the limits", raw.RemoteAddr().String())
			reset(raw)
			continue
		}
		c := &conn{Conn: raw, raw: rawOf(raw), server: f.server, from: from, secure: f.tls != nil, early: f.tls != nil}
		if f.tls != nil {
			if said {
				f.server.gate.coming <- struct{}{} // given back as soon as its goroutine has had a turn
				c.coming.Store(true)
			}
			return tls.Server(c, f.tls), nil
		}
		return c, nil
	}
}

// reset ends a connection without a further packet being waited for.
func reset(c net.Conn) {
	if t, is := c.(interface{ SetLinger(int) error }); is {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// lease is the front for one HTTP server, which closes the listener that it is given.
type lease struct {
	*front
	ending  sync.Once
	closing sync.Once
	leaving sync.Once
	ended   chan struct{} // closed: no connection is to be taken any more
	left    chan struct{} // closed: none is
	closed  chan struct{} // closed: the server is ending
}

// deadliner is a listener that can be woken.
type deadliner interface{ SetDeadline(time.Time) error }

func (f *front) lease() *lease {
	if d, is := f.ln.(deadliner); is {
		_ = d.SetDeadline(time.Time{})
	}
	return &lease{front: f, ended: make(chan struct{}), left: make(chan struct{}), closed: make(chan struct{})}
}

// Accept gives the next connection, until the lease is over. Then it waits for the
// server's end, which it would bring about by returning.
func (l *lease) Accept() (net.Conn, error) {
	c, err := l.accept()
	if err != nil {
		select {
		case <-l.ended:
			l.leaving.Do(func() { close(l.left) })
			<-l.closed
			return nil, net.ErrClosed
		default:
		}
	}
	return c, err
}

// end takes no further connection; the listener stays open for the next lease where it
// can be woken.
func (l *lease) end() {
	l.ending.Do(func() {
		close(l.ended)
		if d, is := l.ln.(deadliner); is {
			_ = d.SetDeadline(time.Unix(1, 0))
			return
		}
		l.front.close()
	})
}

// Close ends the lease, and what waits in Accept.
func (l *lease) Close() error {
	l.end()
	l.closing.Do(func() { close(l.closed) })
	return nil
}

// Addr is the listener's.
func (l *lease) Addr() net.Addr { return l.ln.Addr() }

// conn is a connection that is counted, and whose handshake waits its turn.
type conn struct {
	net.Conn
	raw    syscall.RawConn // nil: it is no socket
	server *Server
	from   netip.Addr
	secure bool
	early  bool        // a handshake has not been answered; of the one goroutine that makes it
	inside atomic.Bool // it has a slot of the gate
	coming atomic.Bool // it has a token of those who come to it
	got    atomic.Int64
	asked  atomic.Bool
	closed atomic.Bool
}

// Read lets a handshake wait for the processor once the other end has said something:
// who says nothing holds up nobody.
func (c *conn) Read(b []byte) (int, error) {
	c.outside()
	n, err := c.receive(b)
	if n > 0 {
		c.got.Add(int64(n))
		if c.early {
			err := c.server.gate.enter()
			c.come()
			if err != nil {
				if t, is := c.Conn.(interface{ SetLinger(int) error }); is {
					_ = t.SetLinger(0)
				}
				return 0, err
			}
			c.inside.Store(true)
		}
	}
	return n, err
}

// Write comes when what a handshake had to compute is over.
func (c *conn) Write(b []byte) (int, error) {
	if c.early {
		c.early = false
		c.outside()
	}
	return c.send(b)
}

// come gives the token back of who has come to the gate.
func (c *conn) come() {
	if c.coming.Load() && c.coming.CompareAndSwap(true, false) {
		<-c.server.gate.coming
	}
}

func (c *conn) outside() {
	if c.inside.Load() && c.inside.CompareAndSwap(true, false) {
		c.server.gate.leave()
	}
}

// Close gives the place back.
func (c *conn) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.come()
		c.outside()
		c.server.crowd.leave(c.from)
		if !c.asked.Load() {
			c.server.unasked(c)
		}
	}
	return c.Conn.Close()
}

// connKey is where a request's connection is in its context.
type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	if b, is := c.(*begun); is {
		c = b.Conn
	}
	if t, is := c.(*tls.Conn); is {
		c = t.NetConn()
	}
	return context.WithValue(ctx, connKey{}, c)
}
