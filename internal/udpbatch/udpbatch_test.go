package udpbatch

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ways are what every test of behaviour is run with.
var ways = map[string]Options{"batch": {}, "own": {Own: true}, "own, plain": {Own: true, Plain: true}, "batches of 3": {Packets: 3}, "plain": {Plain: true}}

func eachWay(t *testing.T, run func(t *testing.T, o Options)) {
	t.Helper()
	t.Parallel()
	for name, o := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, o)
		})
	}
}

func listen(t testing.TB, addr string) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenPacket("udp", addr)
	if err != nil {
		if strings.HasPrefix(addr, "[") {
			t.Skipf("SKIP-LOUD: no IPv6 on this machine: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	udp := conn.(*net.UDPConn)
	udp.SetDeadline(time.Now().Add(20 * time.Second))
	return udp
}

// dial gives a connected client, which takes no packet from elsewhere.
func dial(t testing.TB, host string, to *net.UDPConn) *net.UDPConn {
	t.Helper()
	_, port, _ := net.SplitHostPort(to.LocalAddr().String())
	conn, err := net.Dial("udp", net.JoinHostPort(host, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	udp := conn.(*net.UDPConn)
	udp.SetDeadline(time.Now().Add(20 * time.Second))
	return udp
}

func mustSocket(t testing.TB, conn *net.UDPConn, o Options) *Socket {
	t.Helper()
	s, err := New(conn, o)
	if err != nil {
		t.Fatal(err)
	}
	if o.Own {
		t.Cleanup(func() { s.Close() })
	}
	return s
}

// echo answers so many packets with themselves, an exclamation before them.
func echo(t testing.TB, s *Socket, packets int) (batches []int) {
	t.Helper()
	for packets > 0 {
		n, err := s.Receive()
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			s.Answer(i, append(append(s.Room(i), '!'), s.Packet(i)...))
		}
		if failed := s.Send(); failed != 0 {
			t.Fatalf("%d of %d could not be sent", failed, n)
		}
		packets -= n
		batches = append(batches, n)
	}
	return batches
}

func write(t testing.TB, conn *net.UDPConn, packet string) {
	t.Helper()
	if _, err := conn.Write([]byte(packet)); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, conn *net.UDPConn) string {
	t.Helper()
	b := make([]byte, 65536)
	n, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// Each of several clients gets the answers to its own packets, from the address
// that it asked, whatever the socket is bound to.
func TestAnswersReachWhoAsked(t *testing.T) {
	eachWay(t, func(t *testing.T, o Options) {
		for _, c := range []struct {
			listen string
			hosts  []string
		}{
			{"127.0.0.1:0", []string{"127.0.0.1", "127.0.0.1"}},
			{"[::1]:0", []string{"::1", "::1"}},
			{"0.0.0.0:0", []string{"127.0.0.1", "127.0.0.7", "127.1.2.3"}},
			{"[::]:0", []string{"127.0.0.1", "::1", "127.0.0.7", "::1"}},
		} {
			t.Run(c.listen, func(t *testing.T) {
				conn := listen(t, c.listen)
				s := mustSocket(t, conn, o)
				const each = 25
				var clients []*net.UDPConn
				for _, host := range c.hosts {
					clients = append(clients, dial(t, host, conn))
				}
				for i := range each {
					for k, client := range clients {
						write(t, client, fmt.Sprintf("client %d packet %d", k, i))
					}
				}
				echo(t, s, each*len(clients))
				for k, client := range clients {
					for i := range each {
						if got, want := read(t, client), fmt.Sprintf("!client %d packet %d", k, i); got != want {
							t.Errorf("%q came, not %q", got, want)
						}
					}
				}
			})
		}
	})
}

// What has come is taken by the batch, and the next batch begins clean.
func TestBatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{}, "[32 18]"},
		{Options{Packets: 1000}, "[32 18]"},
		{Options{Packets: 20}, "[20 20 10]"},
	} {
		conn := listen(t, "127.0.0.1:0")
		s, client := mustSocket(t, conn, c.o), dial(t, "127.0.0.1", conn)
		if _, ok := s.way.(*plain); ok {
			t.Skip("SKIP-LOUD: no batches on this system")
		}
		for i := range 50 {
			write(t, client, strings.Repeat("x", 50-i)) // ever shorter
		}
		if got := fmt.Sprint(echo(t, s, 50)); got != c.want {
			t.Errorf("%+v: batches of %s, not %s", c.o, got, c.want)
		}
		for i := range 50 {
			if got := read(t, client); len(got) != 51-i {
				t.Errorf("answer %d has %d octets", i, len(got))
			}
		}
	}
}

func TestClientIsWhoSent(t *testing.T) {
	eachWay(t, func(t *testing.T, o Options) {
		for listening, host := range map[string]string{"127.0.0.1:0": "127.0.0.1", "[::1]:0": "::1", "[::]:0": "127.0.0.1"} {
			conn := listen(t, listening)
			s, client := mustSocket(t, conn, o), dial(t, host, conn)
			write(t, client, "x")
			if _, err := s.Receive(); err != nil {
				t.Fatal(err)
			}
			if got, want := s.Client(0).String(), client.LocalAddr().String(); got != want {
				t.Errorf("%s: client %s, not %s", listening, got, want)
			}
		}
	})
}

// A packet that can't be sent costs itself alone.
func TestSendingFails(t *testing.T) {
	eachWay(t, func(t *testing.T, o Options) {
		conn := listen(t, "127.0.0.1:0")
		s, client := mustSocket(t, conn, o), dial(t, "127.0.0.1", conn)
		tooLong := make([]byte, 70_000) // EMSGSIZE
		const packets = 12
		for i := range packets {
			write(t, client, fmt.Sprint(i))
		}
		failed, none := 0, 0
		for left := packets; left > 0; {
			n, err := s.Receive()
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				switch packets - left + i {
				case 0, 4, 5, 11:
					s.Answer(i, tooLong)
				case 7:
					none++ // no answer at all
				default:
					s.Answer(i, s.Packet(i))
				}
			}
			failed += s.Send()
			left -= n
		}
		if failed != 4 || none != 1 {
			t.Errorf("%d failed, %d without an answer", failed, none)
		}
		for _, want := range []string{"1", "2", "3", "6", "8", "9", "10"} {
			if got := read(t, client); got != want {
				t.Errorf("%q came, not %q", got, want)
			}
		}
	})
}

// A client that is gone makes the kernel tell of ports that are closed; nobody else
// is harmed.
func TestClientsThatAreGone(t *testing.T) {
	eachWay(t, func(t *testing.T, o Options) {
		conn := listen(t, "127.0.0.1:0")
		s, client := mustSocket(t, conn, o), dial(t, "127.0.0.1", conn)
		for range 5 {
			gone := dial(t, "127.0.0.1", conn)
			write(t, gone, "gone")
			gone.Close()
			write(t, client, "here")
			echo(t, s, 2)
			if got := read(t, client); got != "!here" {
				t.Errorf("%q came", got)
			}
		}
	})
}

func TestLongPacketsAreCut(t *testing.T) {
	eachWay(t, func(t *testing.T, o Options) {
		o.Received = 100
		conn := listen(t, "127.0.0.1:0")
		s, client := mustSocket(t, conn, o), dial(t, "127.0.0.1", conn)
		for _, size := range []int{99, 100, 101, 5000} {
			write(t, client, strings.Repeat("x", size))
			if _, err := s.Receive(); err != nil {
				t.Fatal(err)
			}
			if got := len(s.Packet(0)); got != min(size, 100) {
				t.Errorf("%d octets of %d were kept", got, size)
			}
		}
	})
}

// Waiting ends with the deadline, after which the socket can be used again, and when
// the connection is closed.
func TestWaitingEnds(t *testing.T) {
	eachWay(t, func(t *testing.T, o Options) {
		conn := listen(t, "127.0.0.1:0")
		s, client := mustSocket(t, conn, o), dial(t, "127.0.0.1", conn)
		waiting := func(end func()) error {
			time.AfterFunc(20*time.Millisecond, end)
			_, err := s.Receive()
			return err
		}
		if o.Own {
			for range 2 { // for good
				if err := waiting(s.End); err == nil {
					t.Error("it waits on after its end")
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			s.End()
			if _, err := client.Write([]byte("x")); err == nil {
				_, err = client.Read(make([]byte, 9))
				if !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("the socket is open still: %v", err)
				}
			}
			return
		}
		if err := waiting(func() { conn.SetReadDeadline(time.Unix(1, 0)) }); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after the deadline: %v", err)
		}
		conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		write(t, client, "x")
		echo(t, s, 1)
		read(t, client)
		if err := waiting(func() { conn.Close() }); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestNothingIsAllocated(t *testing.T) { // not parallel: it counts allocations
	for _, listening := range []string{"127.0.0.1:0", "0.0.0.0:0", "own 127.0.0.1:0"} {
		listening, own := strings.CutPrefix(listening, "own ")
		conn := listen(t, listening)
		s, client := mustSocket(t, conn, Options{Own: own}), dial(t, "127.0.0.1", conn)
		query, b := []byte("0123456789"), make([]byte, 100)
		got := testing.AllocsPerRun(50, func() {
			for range Most {
				client.Write(query)
			}
			for left := Most; left > 0; {
				n, _ := s.Receive()
				for i := range n {
					if s.Client(i).Port() != 0 {
						s.Answer(i, append(s.Room(i), s.Packet(i)...))
					}
				}
				s.Send()
				left -= n
			}
			for range Most {
				client.Read(b)
			}
		})
		if got != 0 {
			t.Errorf("%s: %v allocations for %d packets", listening, got, Most)
		}
	}
}

// told is a control message as the kernel gives it.
func told(level, typ int, data []byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.SetLen(unix.CmsgLen(len(data)))
	h.Level, h.Type = int32(level), int32(typ)
	copy(b[unix.CmsgLen(0):], data)
	return b
}

// An answer leaves from where the packet went, by any interface, but for a
// link-local address, which is nothing without its own.
func TestFromDestination(t *testing.T) {
	t.Parallel()
	v4 := func(data ...byte) []byte { return told(unix.IPPROTO_IP, unix.IP_PKTINFO, data) }
	v6 := func(addr string, data ...byte) []byte {
		a := netip.MustParseAddr(addr).As16()
		return told(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, append(a[:], data...))
	}
	ttl := told(unix.IPPROTO_IP, unix.IP_TTL, []byte{64, 0, 0, 0})
	for about, c := range map[string]struct{ in, want []byte }{
		"nothing":         {nil, nil},
		"something else":  {ttl, nil},
		"IPv4":            {v4(7, 0, 0, 0, 10, 0, 0, 1, 192, 0, 2, 1), v4(0, 0, 0, 0, 192, 0, 2, 1, 192, 0, 2, 1)},
		"after another":   {append(bytes.Clone(ttl), v4(7, 0, 0, 0, 10, 0, 0, 1, 192, 0, 2, 1)...), v4(0, 0, 0, 0, 192, 0, 2, 1, 192, 0, 2, 1)},
		"IPv6":            {v6("2001:db8::1", 7, 0, 0, 0), v6("2001:db8::1", 0, 0, 0, 0)},
		"IPv6 link-local": {v6("fe80::1", 7, 0, 0, 0), v6("fe80::1", 7, 0, 0, 0)},
		"both":            {append(v6("::ffff:192.0.2.1", 7, 0, 0, 0), v4(7, 0, 0, 0, 10, 0, 0, 1, 192, 0, 2, 1)...), v6("::ffff:192.0.2.1", 0, 0, 0, 0)},
		"cut short":       {v4(7, 0, 0, 0, 10, 0, 0, 1, 192, 0, 2, 1)[:unix.CmsgLen(9)], nil},
	} {
		if got := fromDestination(c.in); !bytes.Equal(got, c.want) {
			t.Errorf("%s: %x, not %x", about, got, c.want)
		}
	}
}

// FuzzDestination: whatever the kernel tells, what it is told is whole, and no
// address that it did not tell.
func FuzzDestination(f *testing.F) {
	f.Add([]byte{})
	for _, m := range []struct{ level, typ, size int }{{unix.IPPROTO_IP, unix.IP_PKTINFO, 12}, {unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, 20}, {unix.IPPROTO_IP, unix.IP_TTL, 4}} {
		b := told(m.level, m.typ, bytes.Repeat([]byte{7}, m.size))
		f.Add(b)
		f.Add(append(bytes.Clone(b), b...))
		f.Add(b[:len(b)-5])
	}
	f.Fuzz(func(t *testing.T, oob []byte) {
		in := bytes.Clone(oob)
		got := fromDestination(in)
		if got == nil {
			return
		}
		if _, err := unix.ParseSocketControlMessage(got); err != nil {
			t.Fatalf("%x became %x: %v", oob, got, err)
		}
	})
}

func BenchmarkEcho(b *testing.B) {
	for _, name := range []string{"batch", "plain"} {
		b.Run(name, func(b *testing.B) {
			conn := listen(b, "127.0.0.1:0")
			s, client := mustSocket(b, conn, ways[name]), dial(b, "127.0.0.1", conn)
			query, answer := make([]byte, 40), make([]byte, 100)
			b.ReportAllocs()
			for left := b.N; left > 0; left -= Most {
				for range Most {
					client.Write(query)
				}
				for waiting := Most; waiting > 0; {
					n, err := s.Receive()
					if err != nil {
						b.Fatal(err)
					}
					for i := range n {
						s.Answer(i, s.Packet(i))
					}
					s.Send()
					waiting -= n
				}
				for range Most {
					client.Read(answer)
				}
			}
		})
	}
}
