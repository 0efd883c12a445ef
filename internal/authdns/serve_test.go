package authdns

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"lifeboat/internal/fault"
	"lifeboat/internal/ratelimit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// All queries that many clients ask at once over both transports are answered
// from one view, while views change under them.
func TestServeWhileViewsChange(t *testing.T) {
	t.Parallel()
	table := mustTable(t, testSites(), testSource())
	var views []*View
	for i, position := range []string{"main", "standby"} {
		v, err := table.View(Orders{Position: map[string]string{"shop": position, "api": "main"}, Serial: map[string]uint32{"example.com.": uint32(i)}})
		if err != nil {
			t.Fatal(err)
		}
		views = append(views, v)
	}
	s := New(Options{})
	s.Set(views[0])
	udp, tcp := serving(t, s, "127.0.0.1:0", 2)
	stop := make(chan struct{})
	var flips, clients sync.WaitGroup
	flips.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				s.Set(views[i%2])
			}
		}
	})
	for _, network := range []string{"udp", "tcp", "udp", "tcp"} {
		addr := udp[0].LocalAddr().String()
		if network == "tcp" {
			addr = tcp.Addr().String()
		}
		clients.Go(func() { askMany(t, network, addr, 200) })
	}
	clients.Wait()
	close(stop)
	flips.Wait()
	if c := s.Counts(); c.Queries != 800 || c.Rcodes[rcodeNoError] != 800 || c.Panics != 0 || c.TCPConns != 2 {
		t.Errorf("counts %+v", c)
	}
}

func askMany(t *testing.T, network, addr string, n int) {
	conn, err := dns.DialTimeout(network, addr, 10*time.Second)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	client := dns.Client{Net: network, Timeout: 10 * time.Second}
	for range n {
		m, _, err := client.ExchangeWithConn(question("shop.example.com.", dns.TypeA), conn)
		if err != nil {
			t.Error(err)
			return
		}
		if len(m.Answer) != 1 {
			t.Errorf("%v", m)
		}
	}
}

// Several queries sent at once over one connection are all answered, in order.
func TestPipelining(t *testing.T) {
	t.Parallel()
	s := testServer(t)
	_, tcp := serving(t, s, "127.0.0.1:0", 1)
	conn := dialTCP(t, tcp.Addr().String())
	defer conn.Close()
	var all [][]byte
	for i := range 200 {
		q := question("huge.example.com.", dns.TypeA)
		q.Id = uint16(i)
		all = append(all, packed(t, q))
	}
	wire := framed(all...)
	var writing sync.WaitGroup
	writing.Go(func() {
		for len(wire) > 0 { // in odd pieces
			n := min(77, len(wire))
			if _, err := conn.Write(wire[:n]); err != nil {
				t.Error(err)
				return
			}
			wire = wire[n:]
		}
	})
	r := bufio.NewReader(conn)
	for i := range all {
		reply, err := readFrame(r)
		if err != nil {
			t.Fatal(err)
		}
		var m dns.Msg
		if err := m.Unpack(reply); err != nil || int(m.Id) != i || len(m.Answer) != 100 {
			t.Fatalf("answer %d: %v %v", i, err, &m)
		}
	}
	writing.Wait()
}

// A query whose successor has only begun to arrive is answered at once.
func TestHalfAQueryHoldsNothingUp(t *testing.T) {
	t.Parallel()
	_, tcp := serving(t, testServer(t), "127.0.0.1:0", 1)
	conn := dialTCP(t, tcp.Addr().String())
	defer conn.Close()
	wire := framed(packed(t, question("mail.example.com.", dns.TypeA)))
	conn.Write(append(wire, wire[:7]...))
	if _, err := readFrame(conn); err != nil {
		t.Fatal(err)
	}
	conn.Write(wire[7:])
	if _, err := readFrame(conn); err != nil {
		t.Fatal(err)
	}
}

// What ends a connection does not take the answers before it away.
func TestAnswersBeforeTheEnd(t *testing.T) {
	t.Parallel()
	_, tcp := serving(t, testServer(t), "127.0.0.1:0", 1)
	good := packed(t, question("mail.example.com.", dns.TypeA))
	response := packed(t, question("mail.example.com.", dns.TypeA).SetReply(question("x.", dns.TypeA)))
	for about, last := range map[string][]byte{"too short": {1, 2, 3}, "a response": response, "too long": make([]byte, 5000)} {
		conn := dialTCP(t, tcp.Addr().String())
		conn.Write(framed(good, good, last))
		for i := range 2 {
			if _, err := readFrame(conn); err != nil {
				t.Errorf("%s: answer %d: %v", about, i, err)
			}
		}
		if _, err := readFrame(conn); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: the connection stays open: %v", about, err)
		}
		conn.Close()
	}
	conn := dialTCP(t, tcp.Addr().String())
	defer conn.Close()
	conn.Write(framed(good, good))
	conn.(*net.TCPConn).CloseWrite()
	for i := range 2 {
		if _, err := readFrame(conn); err != nil {
			t.Errorf("after a half close: answer %d: %v", i, err)
		}
	}
}

func TestTCPLimits(t *testing.T) {
	t.Parallel()
	table := mustTable(t, testSites(), testSource())
	v, err := table.View(calm())
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{TCPConns: 5, TCPPerClient: 3, MaxQuerySize: 100, TCPIdle: 30 * time.Second})
	s.Set(v)
	_, tcp := serving(t, s, "127.0.0.1:0", 1)
	q := framed(packed(t, question("mail.example.com.", dns.TypeA)))
	served := func(from string) (net.Conn, bool) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err := d.Dial("tcp", tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		conn.Write(q)
		_, err = readFrame(conn)
		return conn, err == nil
	}
	var first net.Conn
	for i := range 3 {
		conn, ok := served("127.0.0.1")
		if !ok {
			t.Fatalf("connection %d was not served", i)
		}
		first = conn
	}
	if _, ok := served("127.0.0.1"); ok {
		t.Error("a fourth connection of one client was served")
	}
	for range 2 {
		if _, ok := served("127.0.9.1"); !ok {
			t.Error("another client was not served")
		}
	}
	first.Write([]byte{0, 101}) // too long a query ends the connection
	if _, err := readFrame(first); err == nil {
		t.Error("a query over the limit was answered")
	}
	if c := s.Counts(); c.TCPRefused != 1 || c.TCPConns != 5 || c.TCPOversized != 1 {
		t.Errorf("counts %+v", c)
	}
	eventually(t, func() bool { _, ok := served("127.0.0.1"); return ok })
}

// With all places taken, the connection that says nothing for longest makes room,
// and one that is at work does not.
func TestIdleConnectionMakesRoom(t *testing.T) {
	t.Parallel()
	s := testServer(t)
	s.conns.init(3, 2)
	_, tcp := serving(t, s, "127.0.0.1:0", 1)
	q := framed(packed(t, question("mail.example.com.", dns.TypeA)))
	var conns []net.Conn
	for i := range 6 {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(i+1), 1)}}
		conn, err := d.Dial("tcp", tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		conns = append(conns, conn)
		if i > 0 { // the first says nothing at all
			conn.Write(q)
			if _, err := readFrame(conn); err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
		}
		eventually(t, func() bool { return waiting(&s.conns) == min(i+1, 3) })
	}
	for i, conn := range conns[:3] {
		if _, err := readFrame(conn); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("connection %d did not make room: %v", i, err)
		}
	}
	for i, conn := range conns[3:] {
		conn.Write(q)
		if _, err := readFrame(conn); err != nil {
			t.Errorf("connection %d: %v", i+3, err)
		}
	}
	if c := s.Counts(); c.TCPConns != 6 || c.TCPRefused != 0 {
		t.Errorf("counts %+v", c)
	}
}

// waiting is how many connections wait for a query.
func waiting(l *connLimit) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.open {
		if conn.idle.Load() != 0 {
			n++
		}
	}
	return n
}

func TestConnectionsAtWorkKeepTheirPlace(t *testing.T) {
	t.Parallel()
	var l connLimit
	l.init(2, 1)
	a, b, c := &tcpConn{client: ratelimit.Network(netip.MustParseAddr("192.0.2.1"))}, &tcpConn{}, &tcpConn{client: ratelimit.Network(netip.MustParseAddr("192.0.3.1"))}
	if !l.enter(a) || !l.enter(b) || l.enter(c) {
		t.Error("a place was given away, or not given")
	}
	l.leave(a)
	l.leave(a) // as a connection does that had to make room
	if !l.enter(c) || l.enter(&tcpConn{client: c.client}) {
		t.Error("the place of one that left was not given, or one to a client with one")
	}
	l.leave(b)
	l.total = 9
	if !l.enter(a) || l.enter(&tcpConn{client: a.client}) {
		t.Error("who left twice may come twice")
	}
}

// A connection waits until its query has come, and no longer.
func TestIdleEndsWithTheQuery(t *testing.T) {
	t.Parallel()
	s := New(Options{TCPBytes: 1 << 30})
	s.Set(testServer(t).View())
	_, tcp := serving(t, s, "127.0.0.1:0", 1)
	conn := dialTCP(t, tcp.Addr().String())
	eventually(t, func() bool { return waiting(&s.conns) == 1 })
	q := framed(packed(t, question("huge.example.com.", dns.TypeA)))
	var asking sync.WaitGroup
	asking.Go(func() { // and never reads, until the connection is closed
		for {
			if _, err := conn.Write(q); err != nil {
				return
			}
		}
	})
	eventually(t, func() bool { return waiting(&s.conns) == 0 })
	s.conns.mu.Lock()
	if len(s.conns.open) != 1 {
		t.Error("the connection has ended")
	}
	s.conns.mu.Unlock()
	conn.Close()
	asking.Wait()
}

// A connection ends with its time and with its share of answers, whatever it asks;
// all that it asked before is answered.
func TestConnectionEnds(t *testing.T) {
	t.Parallel()
	view := testServer(t).View()
	for about, o := range map[string]Options{
		"its octets": {TCPBytes: 100_000},
		"its time":   {TCPTime: 200 * time.Millisecond},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			s := New(o)
			s.Set(view)
			_, tcp := serving(t, s, "127.0.0.1:0", 1)
			conn := dialTCP(t, tcp.Addr().String())
			defer conn.Close()
			q := framed(packed(t, question("huge.example.com.", dns.TypeA)))
			for got := 0; ; {
				conn.Write(q)
				reply, err := readFrame(conn)
				if err != nil {
					if strings.Contains(err.Error(), "timeout") || (o.TCPBytes > 0 && got < o.TCPBytes) {
						t.Errorf("after %d octets: %v", got, err)
					}
					break
				}
				if got += len(reply); o.TCPBytes > 0 && got > o.TCPBytes+2000 {
					t.Errorf("%d octets were given", got)
					break
				}
			}
		})
	}
}

// eventually asks until the answer is yes or ten seconds have passed.
func eventually(t *testing.T, yes func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !yes(); {
		if time.Now().After(deadline) {
			t.Fatal("not within 10 s")
		}
	}
}

// Connections that trickle or say nothing are closed, and hold nothing up
// meanwhile.
func TestStalledConnections(t *testing.T) {
	t.Parallel()
	v, err := mustTable(t, testSites(), testSource()).View(calm())
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{TCPIdle: 200 * time.Millisecond, TCPPerClient: 100})
	s.Set(v)
	udp, tcp := serving(t, s, "127.0.0.1:0", 1)
	var stalled []net.Conn
	for i := range 50 {
		conn := dialTCP(t, tcp.Addr().String())
		defer conn.Close()
		conn.Write([]byte{0, 50, 1, 2, 3}[:i%6])
		stalled = append(stalled, conn)
	}
	askMany(t, "udp", udp[0].LocalAddr().String(), 100)
	for _, conn := range stalled {
		if _, err := readFrame(conn); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("a stalled connection was not closed: %v", err)
		}
	}
}

// Sockets that are held elsewhere can be served again after the context of the first
// serving has ended, as a restart in place needs.
func TestServeAgain(t *testing.T) {
	t.Parallel()
	s := testServer(t)
	udp, tcp, err := Listen("127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(udp, tcp)
	held, err := udp[0].File()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	for range 2 {
		again, err := net.FilePacketConn(held)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- s.Serve(ctx, []*net.UDPConn{again.(*net.UDPConn)}, []*net.TCPListener{tcp}) }()
		askMany(t, "udp", udp[0].LocalAddr().String(), 3)
		askMany(t, "tcp", tcp.Addr().String(), 3)
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// A socket that can't be served is an error, and none of the others is left open.
func TestServeEndsWhenASocketIsClosed(t *testing.T) {
	t.Parallel()
	udp, tcp, err := Listen("127.0.0.1:0", 2)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(udp, tcp)
	udp[1].Close()
	if err := testServer(t).Serve(context.Background(), udp, []*net.TCPListener{tcp}); err == nil {
		t.Error("no error told of the closed socket")
	}
	if udp[0].Close() == nil {
		t.Error("the other socket was left open")
	}
}

// A socket bound to all addresses answers from the one that was asked.
func TestAnswersComeFromTheAddressAsked(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{"0.0.0.0:0", "[::]:0"} {
		udp, tcp, err := Listen(listen, 1)
		if err != nil {
			if strings.HasPrefix(listen, "[") {
				t.Logf("SKIP-LOUD: no IPv6 on this machine: %v", err)
				continue
			}
			t.Fatal(err)
		}
		closeAll(udp, tcp)
		udp, _ = serving(t, testServer(t), listen, 1)
		port := udp[0].LocalAddr().(*net.UDPAddr).Port
		for _, to := range []string{"127.0.0.7", "127.0.0.1"} {
			// A connected socket takes no answer from elsewhere.
			askMany(t, "udp", fmt.Sprintf("%s:%d", to, port), 3)
		}
		if listen[0] == '[' {
			askMany(t, "udp", fmt.Sprintf("[::1]:%d", port), 3)
		}
	}
}

// What is served is not cut into fragments, wherever the socket is from.
func TestAnswersInOnePiece(t *testing.T) {
	t.Parallel()
	udp, _ := serving(t, testServer(t), "127.0.0.1:0", 1)
	askMany(t, "udp", udp[0].LocalAddr().String(), 1) // it is being served
	raw, err := udp[0].SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		if got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER); err != nil || got != unix.IP_PMTUDISC_PROBE {
			t.Errorf("IP_MTU_DISCOVER is %d, %v", got, err)
		}
	})
}

func TestListen(t *testing.T) {
	t.Parallel()
	udp, tcp, err := Listen("127.0.0.1:0", 3)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(udp, tcp)
	if len(udp) != 3 {
		t.Fatalf("%d sockets", len(udp))
	}
	port := tcp.Addr().(*net.TCPAddr).Port
	for _, conn := range udp {
		if got := conn.LocalAddr().(*net.UDPAddr).Port; got != port {
			t.Errorf("UDP port %d, TCP port %d", got, port)
		}
	}
	addr := tcp.Addr().String()
	refused := func(about, addr, says string) {
		t.Helper()
		udp, tcp, err := Listen(addr, 2)
		if err == nil {
			closeAll(udp, tcp)
		}
		if kind := fault.KindOf(err); (kind != fault.Unavailable && kind != fault.Invalid) || !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", about, err)
		}
	}
	refused("both taken", addr, "taken by another process")
	tcp.Close()
	refused("only UDP taken, by sockets that would share", addr, "taken by another process")
	refused("not ours", "192.0.2.1:5353", "not an address of this machine")
	refused("no port", "127.0.0.1", "127.0.0.1:5354")
}
