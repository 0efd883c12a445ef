package xfr

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"lifeboat/internal/authdns"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const (
	apex  = "shop.example.com."
	other = "other.example.com."
)

// Keys: us may have apex, them may have other.
var (
	us   = snapshot.TSIGKey{Name: "us.example.", Algorithm: "hmac-sha256", Secret: []byte("the secret of us")}
	them = snapshot.TSIGKey{Name: "them.example.", Algorithm: "hmac-sha512", Secret: []byte("the secret of them")}
)

var here = netip.MustParseAddr("127.0.0.1")

func positions() map[string]zone.Positions {
	ips := func(all ...string) zone.Addresses {
		var a zone.Addresses
		for _, ip := range all {
			a.IPs = append(a.IPs, netip.MustParseAddr(ip))
		}
		return a
	}
	return map[string]zone.Positions{"shop": {
		"main": ips("203.0.113.10", "2001:db8::10"), "backup": ips("203.0.113.20"), "standby": ips("198.51.100.7"), "cdn": {Alias: "shop.cdn.example.net."},
	}}
}

func parse(t testing.TB, name, text string) *zone.Zone {
	t.Helper()
	s := zone.Source{Apex: name, TTL: 60, NS: []string{"ns1.example.net."}, Text: text}
	if name == apex {
		s.Follow = map[string]string{"www." + apex: "shop", "api." + apex: "shop"}
	}
	z, err := zone.Parse(s)
	must(t, err)
	return z
}

func ordered(position string, serial uint32) authdns.Orders {
	return authdns.Orders{Position: map[string]string{"shop": position}, Serial: map[string]uint32{apex: serial, other: serial}}
}

// world is a name server that gives two zones away.
type world struct {
	t    *testing.T
	dns  *authdns.Server
	xfr  *Server
	addr string
	now  func() time.Time
}

func launch(t *testing.T, o Options, server ...func(*authdns.Options)) *world {
	t.Helper()
	w := &world{t: t, xfr: New(o), now: o.withDefaults().Now}
	ao := authdns.Options{Peers: w.xfr}
	for _, f := range server {
		f(&ao)
	}
	w.dns = authdns.New(ao)
	zones := []*zone.Zone{parse(t, apex, "mail IN A 192.0.2.25\n_acme IN TXT \"for-good\"\n_acme IN TXT \"more\"\npast IN TXT \"for-good\"\n"), parse(t, other, "")}
	table, err := authdns.Compile(zones, positions())
	must(t, err)
	orders := ordered("main", 7)
	view, err := table.View(orders)
	must(t, err)
	peer := func(at netip.Addr, k string) []snapshot.Peer {
		return []snapshot.Peer{{Address: netip.AddrPortFrom(at, 9), Key: k}}
	}
	w.xfr.Configure(snapshot.Transfers{Keys: []snapshot.TSIGKey{us, them}, Out: []snapshot.Exchange{{Zone: apex, Peers: peer(here, us.Name)}, {Zone: other, Peers: peer(here, them.Name)}}})
	w.xfr.Set(Zones{Zones: zones, Positions: positions(), Orders: orders})
	w.dns.Set(view)
	udp, tcp, err := authdns.Listen("127.0.0.1:0", 1)
	must(t, err)
	w.addr = tcp.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { // ended by stop
		if err := w.dns.Serve(ctx, udp, []*net.TCPListener{tcp}); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		all.Wait()
		udp[0].Close()
		tcp.Close()
		if n := w.dns.Counts().Panics; n > 0 {
			t.Errorf("%d panics", n)
		}
	})
	return w
}

// dial connects from an address of loopback.
func (w *world) dial(network string, from netip.Addr) net.Conn {
	w.t.Helper()
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	if network == "udp" {
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	c, err := d.Dial(network, w.addr)
	must(w.t, err)
	must(w.t, c.SetDeadline(time.Now().Add(10*time.Second)))
	return c
}

// exchange sends octets and gives the first message that comes back, and the others up to
// the end of the transfer.
func (w *world) exchange(network string, from netip.Addr, msg []byte) (all [][]byte) {
	w.t.Helper()
	c := w.dial(network, from)
	defer c.Close()
	if network == "udp" {
		_, err := c.Write(msg)
		must(w.t, err)
		buf := make([]byte, maxMessage)
		n, err := c.Read(buf)
		must(w.t, err)
		return [][]byte{buf[:n]}
	}
	_, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...))
	must(w.t, err)
	in := &incoming{conn: c, left: 1 << 30}
	for soas := 0; ; {
		m, err := in.read()
		must(w.t, err)
		all = append(all, m)
		got := unpack(w.t, m)
		for _, rr := range got.Answer {
			if rr.Header().Rrtype == dns.TypeSOA {
				soas++
			}
		}
		if got.Rcode != 0 || soas != 1 || len(got.Answer) == 1 {
			return all
		}
	}
}

func unpack(t testing.TB, msg []byte) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(msg); err != nil {
		t.Fatalf("%v: %x", err, msg)
	}
	return m
}

// asking is a request for a transfer; an IXFR is from a serial.
func asking(name string, typ uint16, serial uint32) []byte {
	q := ask(name, typ)
	if typ == dns.TypeIXFR {
		q[9] = 1
		rr, err := dns.NewRR(fmt.Sprintf("%s 60 IN SOA ns1.example.net. h.example.com. %d 1 2 3 4", name, serial))
		if err != nil {
			panic(err)
		}
		r, err := recordOf(rr, name)
		if err != nil {
			panic(err)
		}
		q = appendData(append(q, 0xC0, headerSize), r)
	}
	return q
}

func signed(msg []byte, k snapshot.TSIGKey, now time.Time) (out, mac []byte) {
	s := &signer{key: k, now: func() time.Time { return now }}
	out = s.sign(append([]byte(nil), msg...))
	return out, s.before
}

// primary is a server that says what it is told to, to each connection in turn.
type primary struct {
	addr netip.AddrPort
	mu   sync.Mutex // guards what follows
	say  func(q *dns.Msg, c net.Conn)
}

func newPrimary(t *testing.T, say func(q *dns.Msg, c net.Conn)) *primary {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &primary{addr: netip.MustParseAddrPort(l.Addr().String()), say: say}
	var all sync.WaitGroup
	all.Go(func() { // ended by closing the listener
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { // ended by its deadline, or by who has dialled
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				in := &incoming{conn: c, left: 1 << 20}
				msg, err := in.read()
				if err != nil {
					return
				}
				q := new(dns.Msg)
				if q.Unpack(msg) == nil {
					p.mu.Lock()
					say := p.say
					p.mu.Unlock()
					say(q, c)
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return p
}

func (p *primary) says(say func(q *dns.Msg, c net.Conn)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.say = say
}

// answering packs records as the one message of an answer.
func answering(q *dns.Msg, rcode int, lines ...string) []byte {
	m := new(dns.Msg).SetReply(q)
	m.Rcode = rcode
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			panic(line + ": " + err.Error())
		}
		m.Answer = append(m.Answer, rr)
	}
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

func write(c net.Conn, messages ...[]byte) {
	for _, m := range messages {
		_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...)) // who has gone away misses nothing
	}
}

// lines says a zone in one message.
func lines(all ...string) func(*dns.Msg, net.Conn) {
	return func(q *dns.Msg, c net.Conn) { write(c, answering(q, 0, all...)) }
}

func soaLine(serial int) string {
	return fmt.Sprintf("%s 60 IN SOA ns1.example.net. h.example.com. %d 3600 600 86400 60", apex, serial)
}

const nsLine = apex + " 60 IN NS ns1.example.net."

func contains(err error, text string) bool { return err != nil && strings.Contains(err.Error(), text) }
