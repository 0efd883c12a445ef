package standby

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestNetwork(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]string{
		"192.0.2.7:1": "192.0.2.7", "[::ffff:192.0.2.7]:1": "192.0.2.7", "[2001:db8:1:2:3:4:5:6]:1": "2001:db8:1:2::", "[2001:db8:1:2::9]:2": "2001:db8:1:2::",
		"127.0.0.9:1": "", "[::1]:1": "", "[fe80::1%eth0]:5": "fe80::",
	} {
		got := network(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from)))
		if want == "" && got.IsValid() || want != "" && got != netip.MustParseAddr(want) {
			t.Errorf("%s: %s", from, got)
		}
	}
	if network(&net.UnixAddr{}).IsValid() {
		t.Error("a local socket is counted")
	}
}

func TestCrowd(t *testing.T) {
	t.Parallel()
	c := newCrowd(4, 2)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	var here netip.Addr
	for i, want := range []bool{true, true, false} {
		if c.admit(a) != want {
			t.Errorf("one address, connection %d: %t", i+1, !want)
		}
	}
	if !c.admit(b) || !c.admit(here) || c.admit(here) || c.admit(b) {
		t.Error("the whole is not bounded by 4")
	}
	if c.greedy.Load() != 1 || c.full.Load() != 2 || c.open.Load() != 4 {
		t.Errorf("greedy %d full %d open %d", c.greedy.Load(), c.full.Load(), c.open.Load())
	}
	c.leave(a)
	c.leave(a)
	c.leave(b)
	if len(c.of) != 0 || !c.admit(a) {
		t.Error("a place is not given back")
	}
}

// TestGate: no more handshakes have the processor than may, and who would wait behind too
// many is turned away.
func TestGate(t *testing.T) {
	t.Parallel()
	g := newGate(3)
	for range atOnce {
		must(t, g.enter())
	}
	var waiting sync.WaitGroup
	for range 3 {
		waiting.Go(func() {
			if g.enter() != nil {
				t.Error("one who may wait was turned away")
			}
		})
	}
	for g.waiting.Load() < 3 {
		time.Sleep(time.Millisecond)
	}
	if !g.packed() || !errors.Is(g.enter(), errShed) || g.shed.Load() != 1 {
		t.Error("one more than may wait was let in")
	}
	for range atOnce {
		g.leave()
	}
	waiting.Wait()
	if g.packed() || len(g.slots) != 3 {
		t.Errorf("%d inside", len(g.slots))
	}
}

// TestGateIsPatientWithFew: who has waited too long is turned away where many wait
// behind, and served where few do.
func TestGateIsPatientWithFew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			wait, turned int
			held         time.Duration
		}{{2, 0, patience + 1}, {4, 2, patience + 1}, {4, 0, patience}} {
			g := newGate(10)
			g.few = 2
			for range atOnce {
				must(t, g.enter())
			}
			var turned atomic.Int64
			for range c.wait {
				go func() { // ends with its turn
					if errors.Is(g.enter(), errShed) {
						turned.Add(1)
						return
					}
					g.leave()
				}()
			}
			synctest.Wait()
			time.Sleep(c.held)
			g.leave()
			synctest.Wait()
			if int(turned.Load()) != c.turned || int(g.shed.Load()) != c.turned || g.waiting.Load() != 0 || len(g.slots) != atOnce-1 {
				t.Errorf("%d waiting for %s: %d turned away, want %d; %d still wait, %d inside", c.wait, c.held, turned.Load(), c.turned, g.waiting.Load(), len(g.slots))
			}
		}
	})
}

// TestBacklog: a row of late ones longer than few is turned away from there on, until one
// comes in time.
func TestBacklog(t *testing.T) {
	t.Parallel()
	b := backlog{patience: patience, few: 2}
	for i, c := range []struct {
		age  time.Duration
		want bool
	}{{0, false}, {patience + 1, false}, {patience + 1, false}, {patience + 1, true}, {time.Hour, true}, {patience, false}, {time.Hour, false}} {
		if b.stale(c.age) != c.want {
			t.Errorf("connection %d, %s old: turned away %t", i+1, c.age, !c.want)
		}
	}
}

// TestWaited: the kernel says how long a connection has been in its queue.
func TestWaited(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	out := dialed(t, ln.Addr().String())
	_, err = io.WriteString(out, "x")
	must(t, err)
	in, err := ln.Accept()
	must(t, err)
	defer in.Close()
	for age, said := waited(in); age < 20*time.Millisecond || !said; age, said = waited(in) { // it grows
		time.Sleep(time.Millisecond)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if age, said := waited(a); age != 0 || said {
		t.Error("a pipe has no queue")
	}
	mute := dialed(t, ln.Addr().String())
	defer mute.Close()
	silent, err := ln.Accept()
	must(t, err)
	defer silent.Close()
	if _, said := waited(silent); said {
		t.Error("somebody who said nothing has said something")
	}
}

// TestLateOnesAreReset: those who were left in the queue are reset before their handshake
// where there are many, and who comes in time is served again.
func TestLateOnesAreReset(t *testing.T) {
	t.Parallel()
	s := New(Options{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	f := s.newFront(ln, &tls.Config{})
	f.queue = backlog{patience: 0, few: 2}
	var all []net.Conn
	for range 5 {
		all = append(all, dialed(t, ln.Addr().String()))
	}
	time.Sleep(20 * time.Millisecond) // all are late now
	go func() {                       // ends with the listener
		for {
			if _, err := f.accept(); err != nil {
				return
			}
		}
	}()
	for _, c := range all[2:] {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("a late one: %v", err)
		}
	}
	if l := s.Load(); l.Shed != 3 || l.Open != 2 {
		t.Errorf("%+v", l)
	}
}

// TestFull: who comes when all connections are taken is reset at once, over TLS before
// the handshake.
func TestFull(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, Options{MaxConns: 2}, nil)
	for range 2 {
		c, err := s.dial(t, &tls.Config{ServerName: shop})
		must(t, err)
		_ = c
	}
	c, err := net.Dial("tcp", s.addr)
	if err == nil { // it may be reset before we know of it
		defer c.Close()
		must(t, c.SetDeadline(time.Now().Add(10*time.Second)))
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v", err)
	}
	if l := s.Load(); l.Full != 1 || l.Open != 2 {
		t.Errorf("%+v", l)
	}
}

// TestSlowHandshakes hold up nobody: those who stop in the middle have no slot.
func TestSlowHandshakes(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, Options{Handshakes: 1}, nil)
	for range 4 * atOnce {
		c, err := net.Dial("tcp", s.addr)
		must(t, err)
		defer c.Close()
		_, err = io.WriteString(c, "\x16\x03\x01\x02\x00\x01") // the beginning of a ClientHello
		must(t, err)
	}
	for range 3 {
		conn, err := s.dial(t, &tls.Config{ServerName: shop})
		must(t, err)
		if res := get(t, conn, shop, "/"); res.StatusCode != 503 {
			t.Errorf("%d", res.StatusCode)
		}
	}
	if l := s.Load(); l.Shed > 0 {
		t.Errorf("%+v", l)
	}
}

// lines is a log as text.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestBadInput is refused cheaply, changes nothing, and is told once a minute with its
// count.
func TestBadInput(t *testing.T) {
	t.Parallel()
	var out lines
	s := serveTLS(t, Options{Logger: slog.New(slog.NewTextHandler(&out, nil))}, nil)
	plain := start(t, s.Serve)
	for about, c := range map[string]struct{ sent, want string }{
		"a header of 1 MB":           {"GET / HTTP/1.1\r\nHost: " + shop + "\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", "HTTP/1.1 431 "},
		"a target of 1 MB":           {"GET /" + strings.Repeat("x", 1<<20) + " HTTP/1.1\r\nHost: " + shop + "\r\n\r\n", "HTTP/1.1 431 "},
		"a Host with a path":         {"GET / HTTP/1.1\r\nHost: " + shop + "/x\r\n\r\n", "HTTP/1.1 4"},
		"a Host that can't be":       {"GET / HTTP/1.1\r\nHost: " + strings.Repeat("a.", 2000) + "\r\n\r\n", "HTTP/1.1 421 "},
		"two Hosts":                  {"GET / HTTP/1.1\r\nHost: " + shop + "\r\nHost: " + docs + "\r\n\r\n", "HTTP/1.1 400 "},
		"no Host":                    {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
		"two lengths":                {"POST / HTTP/1.1\r\nHost: " + shop + "\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", "HTTP/1.1 400 "},
		"a length with a plus":       {"POST / HTTP/1.1\r\nHost: " + shop + "\r\nContent-Length: +1\r\n\r\nx", "HTTP/1.1 400 "},
		"a strange coding":           {"POST / HTTP/1.1\r\nHost: " + shop + "\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", "HTTP/1.1 501 "},
		"a space before the colon":   {"GET / HTTP/1.1\r\nHost: " + shop + "\r\nContent-Length : 1\r\n\r\n", "HTTP/1.1 400 "},
		"a line that is no request":  {"HELLO\r\n\r\n", "HTTP/1.1 400 "},
		"a bad chunk":                {"POST / HTTP/1.1\r\nHost: " + shop + "\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n", "HTTP/1.1 503 "},
		"a length and a coding":      {"POST / HTTP/1.1\r\nHost: " + shop + "\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: " + shop + "\r\n\r\n", "HTTP/1.1 503 "},
		"HTTP/2 without its preface": {"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "HTTP/1.1 "},
	} {
		conn, err := net.Dial("tcp", plain)
		must(t, err)
		must(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
		_, _ = io.WriteString(conn, c.sent) // it may be reset before the end
		got, _ := io.ReadAll(conn)
		must(t, conn.Close())
		if !strings.HasPrefix(string(got), c.want) || strings.Count(string(got), "HTTP/1.1 ") != 1 {
			t.Errorf("%s: %.100q, want %q and the end", about, got, c.want)
		}
	}
	if res := get(t, dialed(t, plain), shop, "/"); res.StatusCode != 503 {
		t.Errorf("a good request: %d", res.StatusCode)
	}
	for range 50 {
		_, err := s.dial(t, &tls.Config{ServerName: "nobody.example.com"})
		if err == nil {
			t.Fatal("a name without a certificate is served")
		}
	}
	if n := strings.Count(out.String(), "level="); n != 1 {
		t.Errorf("%d lines in a minute:\n%s", n, &out)
	}
	for failed := 0; failed < 50; time.Sleep(time.Millisecond) { // the server hears of each a little later than we do
		s.gripes.mu.Lock()
		failed = s.gripes.counts["handshakes that failed"]
		s.gripes.mu.Unlock()
	}
	s.clock.forward(gripeEvery)
	ask(s.Server, "GET", "x.example", "/", "")
	if text := out.String(); strings.Count(text, "level=") != 2 || !strings.Contains(text, "handshakes_that_failed=50") || strings.Contains(text, "\n\n") {
		t.Errorf("after a minute:\n%s", text)
	}
	if l := s.Load(); l.Unasked < 8 || l.Unknown != 50 {
		t.Errorf("%+v", l)
	}
}

func dialed(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	must(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	return c
}

// TestComingAreFew: no more are taken out of the kernel's queue than come to a slot soon;
// who stops in the middle of a handshake, or leaves, holds up nobody.
func TestComingAreFew(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, Options{}, nil)
	for i := range 2 * comingMost {
		c, err := net.Dial("tcp", s.addr)
		must(t, err)
		_, err = io.WriteString(c, "\x16\x03\x01\x02\x00\x01") // the beginning of a ClientHello
		must(t, err)
		if i%2 == 0 {
			must(t, c.Close())
		} else {
			defer c.Close()
		}
	}
	conn, err := s.dial(t, &tls.Config{ServerName: shop})
	must(t, err)
	if res := get(t, conn, shop, "/"); res.StatusCode != 503 {
		t.Errorf("%d", res.StatusCode)
	}
	for deadline := time.Now().Add(10 * time.Second); len(s.gate.coming) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d tokens were not given back", len(s.gate.coming))
		}
	}
	if open := s.Load().Open; open < comingMost {
		t.Errorf("they were given back by the end of the handshakes only: %d are open", open)
	}
}
