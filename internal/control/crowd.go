package control

import (
	"cmp"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// crowd is a listener of a bounded number of connections on which no one address can
// keep the others out. When it is full, whoever holds the most gives way: first with the
// connection on which nothing has been asked for longest, then with the oldest. Nobody
// gives way to a newcomer who holds more than they do. Where nobody does, a newcomer who
// holds none waits until somebody leaves, and others are sent away.
//
// Concurrency: as a net.Listener; stateOf is for http.Server.ConnState.
type crowd struct {
	net.Listener
	most int
	free chan struct{} // holds one token when somebody has left
	shut chan struct{} // closed with the listener
	once sync.Once     // closes shut

	mu   sync.Mutex // guards all below
	last uint64     // place in the order of the newest
	all  map[*guest]struct{}
	held map[netip.Prefix]int // connections of each neighbour
}

// guest is one connection of a crowd.
type guest struct {
	net.Conn
	crowd *crowd
	from  netip.Prefix

	// guarded by the crowd's mu
	idle  bool   // nothing is asked for
	since uint64 // place in the order: of its arrival, and of its becoming idle
}

func newCrowd(ln net.Listener, most int) *crowd {
	return &crowd{Listener: ln, most: most, free: make(chan struct{}, 1), shut: make(chan struct{}), all: map[*guest]struct{}{}, held: map[netip.Prefix]int{}}
}

// neighbour is what of an address one person has: of IPv6, all of a /64. What is no
// address is one neighbour.
func neighbour(a net.Addr) netip.Prefix {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip, bits := at.Addr().Unmap().WithZone(""), 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // an address has as many
	return p
}

// Accept implements net.Listener.
func (c *crowd) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g, wait := c.let(conn)
		for wait {
			select {
			case <-c.free:
			case <-c.shut:
				return nil, errors.Join(net.ErrClosed, conn.Close())
			}
			g, wait = c.let(conn)
		}
		if g != nil {
			return g, nil
		}
		_ = conn.Close()
	}
}

// Close implements net.Listener.
func (c *crowd) Close() error {
	c.once.Do(func() { close(c.shut) })
	return c.Listener.Close()
}

// let takes a newcomer in, in somebody's place where it is full; nil where there is none,
// and whether waiting for one is fair.
func (c *crowd) let(conn net.Conn) (g *guest, wait bool) {
	from := neighbour(conn.RemoteAddr())
	c.mu.Lock()
	var leaves *guest
	if len(c.all) >= c.most {
		if leaves = c.giveWay(c.held[from]); leaves == nil {
			wait = c.held[from] == 0
			c.mu.Unlock()
			return nil, wait
		}
		c.forget(leaves)
	}
	c.last++
	g = &guest{Conn: conn, crowd: c, from: from, idle: true, since: c.last}
	c.all[g] = struct{}{}
	c.held[from]++
	c.mu.Unlock()
	if leaves != nil {
		_ = leaves.Close() // whoever reads from it is told
	}
	return g, false
}

// giveWay finds whose connection ends for a newcomer who holds so many.
func (c *crowd) giveWay(mine int) *guest { // with mu held
	var out *guest
	for g := range c.all {
		if held := c.held[g.from]; held < mine || !g.idle && held <= mine+1 {
			continue // the two would only change places
		}
		if out == nil || c.before(g, out) < 0 {
			out = g
		}
	}
	return out
}

// before orders by who gives way: of those who hold the most, what is idle, then what is
// old.
func (c *crowd) before(a, b *guest) int { // with mu held
	rank := func(g *guest) int {
		if g.idle {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(c.held[b.from], c.held[a.from]), cmp.Compare(rank(a), rank(b)), cmp.Compare(a.since, b.since))
}

func (c *crowd) forget(g *guest) { // with mu held
	if _, in := c.all[g]; !in {
		return
	}
	delete(c.all, g)
	if c.held[g.from]--; c.held[g.from] == 0 {
		delete(c.held, g.from)
	}
	select {
	case c.free <- struct{}{}:
	default:
	}
}

// stateOf notes on which connections something is asked for.
func (c *crowd) stateOf(conn net.Conn, s http.ConnState) {
	g, is := guestOf(conn)
	if !is || s != http.StateActive && s != http.StateIdle {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	g.idle = s == http.StateIdle
	if g.idle {
		c.last++
		g.since = c.last
		select {
		case c.free <- struct{}{}: // it may give way now
		default:
		}
	}
}

// Close implements net.Conn.
func (g *guest) Close() error {
	g.crowd.mu.Lock()
	g.crowd.forget(g)
	g.crowd.mu.Unlock()
	return g.Conn.Close()
}
