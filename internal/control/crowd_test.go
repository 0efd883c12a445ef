package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// comes is a connection from an address; it remembers that it was closed.
type comes struct {
	net.Conn
	from   string
	closed bool
}

func (c *comes) RemoteAddr() net.Addr {
	a, _ := net.ResolveTCPAddr("tcp", c.from)
	return a
}
func (c *comes) Close() error { c.closed = true; return nil }

// queue is a listener of prepared connections.
type queue struct {
	net.Listener
	conns []*comes
}

func (q *queue) Close() error { return nil }

func (q *queue) Accept() (net.Conn, error) {
	if len(q.conns) == 0 {
		return nil, net.ErrClosed
	}
	c := q.conns[0]
	q.conns = q.conns[1:]
	return c, nil
}

// TestCrowd tells who is left, as address and order of arrival, of a crowd of four.
func TestCrowd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		come   string // a letter an address, a capital: it asks for something
		remain string
	}{
		"there is room":               {"abcd", "abcd"},
		"the idlest gives way":        {"abcde", "bcde"},
		"the greedy one gives way":    {"zzzza", "zzza"},
		"even if it is busy":          {"ZZZZa", "ZZZa"},
		"not to itself":               {"ZZZZZ", "ZZZZ"},
		"its own idle ones":           {"zzzzzz", "zzzz"},
		"everybody comes in":          {"ZZZZabc", "Zabc"},
		"all hold one and are busy":   {"ABCDa", "ABCD"},
		"not from those who hold few": {"aZZZZZz", "aZZZ"},
		"a busy one before an idle":   {"aZZZb", "aZZb"},
		"idle before busy":            {"AbCDe", "ACDe"},
	} {
		var all []*comes
		for i, r := range c.come {
			all = append(all, &comes{from: fmt.Sprintf("192.0.2.%d:%d", strings.ToLower(string(r))[0], 1000+i)})
		}
		crowd := newCrowd(&queue{conns: append([]*comes(nil), all...)}, 4)
		for i := 0; ; i++ {
			got, err := crowd.Accept()
			if errors.Is(err, net.ErrClosed) {
				break
			}
			conn := got.(*guest).Conn.(*comes)
			for j, known := range all {
				if known == conn && c.come[j] < 'a' {
					crowd.stateOf(got, http.StateActive)
				}
			}
		}
		left := ""
		for i, conn := range all {
			if !conn.closed {
				left += string(c.come[i])
			}
		}
		if left != c.remain || len(crowd.all) > 4 {
			t.Errorf("%s: of %s there remain %s, want %s", name, c.come, left, c.remain)
		}
		for g := range crowd.all {
			_, _ = g.Close(), g.Close()
		}
		if len(crowd.all) != 0 || len(crowd.held) != 0 {
			t.Errorf("%s: %v are held after all have gone", name, crowd.held)
		}
	}
}

// TestCrowdWaits: where all are busy and hold no more than one, who holds none is let in
// when the first of them leaves or has been answered, and not before.
func TestCrowdWaits(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(c *crowd, g net.Conn){
		"leaves":   func(_ *crowd, g net.Conn) { _ = g.Close() },
		"answered": func(c *crowd, g net.Conn) { c.stateOf(g, http.StateIdle) },
		"closed":   func(c *crowd, _ net.Conn) { _ = c.Close() },
	} {
		synctest.Test(t, func(t *testing.T) {
			ln := &queue{conns: []*comes{{from: "192.0.2.1:1"}, {from: "192.0.2.2:1"}, {from: "192.0.2.3:1"}}}
			crowd := newCrowd(ln, 2)
			var in []net.Conn
			for range 2 {
				g, err := crowd.Accept()
				if err != nil {
					t.Fatal(err)
				}
				crowd.stateOf(g, http.StateActive)
				in = append(in, g)
			}
			third := make(chan error, 1)
			go func() {
				_, err := crowd.Accept()
				third <- err
			}()
			synctest.Wait()
			select {
			case err := <-third:
				t.Fatalf("%s: did not wait: %v", name, err)
			default:
			}
			leave(crowd, in[0])
			if err := <-third; (name == "closed") != errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func TestNeighbour(t *testing.T) {
	t.Parallel()
	at := func(s string) net.Addr { return (&comes{from: s}).RemoteAddr() }
	for _, pair := range [][2]string{{"[2001:db8::1]:1", "[2001:db8::ffff:2]:2"}, {"192.0.2.1:1", "192.0.2.1:2"}, {"[::ffff:192.0.2.1]:1", "192.0.2.1:2"}, {"[fe80::1%lo]:1", "[fe80::2]:1"}} {
		if neighbour(at(pair[0])) != neighbour(at(pair[1])) {
			t.Errorf("%v are two", pair)
		}
	}
	for _, pair := range [][2]string{{"[2001:db8::1]:1", "[2001:db8:0:1::1]:1"}, {"192.0.2.1:1", "192.0.2.2:1"}} {
		if neighbour(at(pair[0])) == neighbour(at(pair[1])) {
			t.Errorf("%v are one", pair)
		}
	}
	if neighbour(&net.UnixAddr{Name: "@"}).IsValid() {
		t.Error("a socket without an address is some address")
	}
}

// TestOneAddressCannotTakeTheConsole: somebody who opens all connections there are, and
// asks for nothing or never to the end, keeps nobody else out.
func TestOneAddressCannotTakeTheConsole(t *testing.T) {
	t.Parallel()
	const most = 8
	for name, begins := range map[string]string{"silent": "", "kept alive": "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n", "never done": "GET /slow HTTP/1.1\r\nHo"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) })
			go func() { done <- serveHTTP(ctx, newCrowd(ln, most), h, nil, nil) }()
			greedy := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
			var held []net.Conn
			for range 3 * most {
				c, err := greedy.DialContext(ctx, "tcp", ln.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.WriteString(c, begins)
				if strings.Contains(begins, "\r\n\r\n") {
					if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
						_, _ = io.Copy(io.Discard, resp.Body)
					}
				}
				held = append(held, c)
			}
			client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{}} // ends if it is kept out
			for range 3 {
				resp, err := client.Get("http://" + ln.Addr().String() + "/")
				if err != nil {
					t.Fatalf("kept out: %v", err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			for _, c := range held {
				_ = c.Close()
			}
			client.CloseIdleConnections()
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}
