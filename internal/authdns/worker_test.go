package authdns

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/ratelimit"
	"lifeboat/internal/udpbatch"
)

// workbench is a server whose batches are answered by hand. It limits this machine as
// any other, and its clock stands still.
type workbench struct {
	*Server
	c      *worker
	conn   *net.UDPConn
	socket *udpbatch.Socket
}

func newWorkbench(t testing.TB, o Options) *workbench {
	t.Helper()
	now := time.Now()
	o.Now = func() time.Time { return now }
	if o.RateLimit.Exempt == nil {
		o.RateLimit.Exempt = []netip.Prefix{}
	}
	s := New(o)
	s.Set(testServer(t).View())
	udp, tcp, err := Listen("127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeAll(udp, tcp) })
	w := &workbench{Server: s, conn: udp[0], c: s.worker()}
	if w.socket, err = udpbatch.New(w.conn, udpbatch.Options{Plain: o.PlainUDP}); err != nil {
		t.Fatal(err)
	}
	w.conn.SetDeadline(now.Add(20 * time.Second))
	return w
}

// client gives a client of its own network on this machine.
func (w *workbench) client(t testing.TB, from string) *net.UDPConn {
	t.Helper()
	conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, w.conn.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

// answer answers so many packets that have been sent.
func (w *workbench) answer(t testing.TB, packets int) {
	for packets > 0 {
		n, err := w.socket.Receive()
		if err != nil {
			t.Fatal(err)
		}
		w.batch(w.c, w.socket, n)
		packets -= n
	}
}

// ask has a client ask for a name so many times, and tells what came.
func (w *workbench) ask(t *testing.T, conn *net.UDPConn, name string, typ uint16, times int) (whole, cut int) {
	t.Helper()
	q := question(name, typ)
	q.SetEdns0(1232, false)
	wire, b := packed(t, q), make([]byte, 4096)
	for range times {
		before := w.Counts().Limited
		conn.Write(wire)
		w.answer(t, 1)
		if w.Counts().Limited != before {
			continue
		}
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		var m dns.Msg
		if err := m.Unpack(b[:n]); err != nil || m.Id != q.Id || !m.Response || len(m.Question) != 1 || m.Question[0] != q.Question[0] {
			t.Fatalf("%v %v", err, &m)
		}
		if !m.Truncated {
			whole++
			continue
		}
		cut++
		if n != len(wire) || len(m.Answer)+len(m.Ns) > 0 || m.IsEdns0() == nil {
			t.Errorf("%d octets to %d of a query: %v", n, len(wire), &m)
		}
	}
	return whole, cut
}

// A flood in the name of one network is kept to a trickle, a part of it cut so that
// a client that is really there can ask over TCP. No other network notices.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{false, true} {
		w := newWorkbench(t, Options{PlainUDP: plain, RateLimit: ratelimit.Options{Rate: 10}})
		flood, neighbour, quiet := w.client(t, "127.1.1.1"), w.client(t, "127.1.1.200"), w.client(t, "127.1.2.1")
		check := func(about string, conn *net.UDPConn, name string, times, whole, cut int) {
			t.Helper()
			if gotWhole, gotCut := w.ask(t, conn, name, dns.TypeA, times); gotWhole != whole || gotCut != cut {
				t.Errorf("plain=%v, %s: %d whole and %d cut, not %d and %d", plain, about, gotWhole, gotCut, whole, cut)
			}
		}
		check("the flood", flood, "mail.example.com.", 119, 19, 50)
		check("its network", neighbour, "mail.example.com.", 10, 0, 5)
		check("another network", quiet, "mail.example.com.", 15, 15, 0)
		check("another name", neighbour, "ns1.example.com.", 15, 15, 0)
		if c := w.Counts(); c.Queries != 159 || c.Rcodes[rcodeNoError] != 159 || c.Slipped != 55 || c.Limited != 55 || c.Truncated != 0 || c.UDPErrors != 0 {
			t.Errorf("counts %+v", c)
		}
		// The class is that of the flood's last query.
		check("the flood again", flood, "mail.example.com.", 1, 0, 1)
		w.c.proven = true
		if got := w.c.within(netip.MustParseAddr("127.1.1.1"), []byte("as it is")); string(got) != "as it is" {
			t.Errorf("who has proved its address got %q", got)
		}
		check("the flood, which has proved nothing by it", flood, "mail.example.com.", 1, 0, 0)
	}
}

// A client in a flooded network that speaks cookies learns one from an answer that is
// cut, and is limited no more.
func TestCookieLiftsTheLimit(t *testing.T) {
	t.Parallel()
	w := newWorkbench(t, Options{RateLimit: ratelimit.Options{Rate: 5, Slip: 1}})
	w.SetCookieSecrets(CookieSecret{7})
	w.ask(t, w.client(t, "127.1.1.1"), "mail.example.com.", dns.TypeA, 50)
	neighbour, cookie, b := w.client(t, "127.1.1.2"), "0123456789abcdef", make([]byte, 4096)
	for i := range 20 {
		neighbour.Write(packed(t, withOptions(question("mail.example.com.", dns.TypeA), &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: cookie})))
		w.answer(t, 1)
		n, err := neighbour.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		var m dns.Msg
		if err := m.Unpack(b[:n]); err != nil || m.Truncated != (i == 0) || m.IsEdns0() == nil || len(m.IsEdns0().Option) != 1 {
			t.Fatalf("answer %d: %v %v", i, err, &m)
		}
		cookie = m.IsEdns0().Option[0].(*dns.EDNS0_COOKIE).Cookie
	}
}

// A flood can't leave its class by made-up names.
func TestClasses(t *testing.T) {
	t.Parallel()
	w := newWorkbench(t, Options{})
	class := func(name string, typ uint16) ratelimit.Class {
		if w.handleFrom(w.c, nil, packed(t, question(name, typ)), netip.Addr{}, true) == nil {
			t.Fatal("no answer")
		}
		return w.c.class
	}
	seen := map[ratelimit.Class]string{}
	for _, same := range [][]string{
		{"mail.example.com. A", "MAIL.example.com. A", "mail.example.com. AAAA"},
		{"ns1.example.com. A"},
		{"alias.example.com. A", "alias.example.com. CNAME"},
		{"mail.example.com. MX", "mail.example.com. TXT"},
		{"q.wild.example.com. A", "r.wild.example.com. A", "s.t.wild.example.com. TXT"},
		{"gone.example.com. A", "a.b.gone.example.com. A", "x.mail.example.com. TXT"},
		{"x.sub.example.com. A", "y.z.sub.example.com. MX"},
		{"a.lame.example.com. A", "b.lame.example.com. A"},
		{"host.old.example.com. A", "host.old.example.com. TXT"},
		{"old.example.com. DNAME"},
		{"sub.example.com. DS"},
		{"mail.example.com. ANY", "MAIL.example.com. ANY"},
		{"www.elsewhere.net. A", "elsewhere.org. MX", "mail.example.com. AXFR", "example.com. IXFR"},
	} {
		var first ratelimit.Class
		for i, q := range same {
			var name, typ string
			fmt.Sscan(q, &name, &typ)
			got := class(name, typeOf(t, typ))
			if i == 0 {
				first = got
				if other, ok := seen[got]; ok {
					t.Errorf("%s is of one class with %s", q, other)
				}
				seen[got] = q
			}
			if got != first {
				t.Errorf("%s is of class %x, %s of %x", q, got, same[0], first)
			}
		}
	}
	for _, n := range negatives(t) {
		if w.handleFrom(w.c, nil, n.msg, netip.Addr{}, true) != nil && w.c.class>>classKind != kindError {
			t.Errorf("%s: class %x", n.about, w.c.class)
		}
	}
}

// An answer of any kind can be cut, and is then hardly longer than the query.
func TestSlip(t *testing.T) {
	t.Parallel()
	w := newWorkbench(t, Options{})
	var all [][]byte
	for _, n := range negatives(t) {
		all = append(all, n.msg)
	}
	for _, name := range []string{"mail.example.com.", "big.example.com.", "many.example.com.", "gone.example.com.", "."} {
		for _, edns := range []bool{false, true} {
			q := question(name, dns.TypeA)
			if edns {
				q.SetEdns0(4096, true)
			}
			all = append(all, packed(t, q))
		}
	}
	for _, query := range all {
		reply := w.handleFrom(w.c, nil, query, netip.Addr{}, true)
		if reply == nil {
			continue
		}
		var whole, cut dns.Msg
		if err := whole.Unpack(reply); err != nil {
			t.Fatal(err)
		}
		got := slip(reply, w.c.opt)
		err := cut.Unpack(got)
		if err != nil || !cut.Truncated || cut.Id != whole.Id || !cut.Response || len(got) > len(query)+40 { // options are longer than those that ask for them
			t.Errorf("%x: %v %x", query, err, got)
		}
		if fmt.Sprint(cut.Question, cut.IsEdns0()) != fmt.Sprint(whole.Question, whole.IsEdns0()) {
			t.Errorf("%x: %v became %v", query, &whole, &cut)
		}
	}
}

// A query over UDP costs no allocation from the socket to the socket, be it answered,
// cut or held back.
func TestBatchAllocations(t *testing.T) { // not parallel: it counts allocations
	for about, o := range map[string]Options{
		"exempt":  {RateLimit: ratelimit.Options{Exempt: ratelimit.Loopback}},
		"counted": {RateLimit: ratelimit.Options{Rate: 1 << 29}},
		"limited": {RateLimit: ratelimit.Options{Rate: 1}},
		"plain":   {PlainUDP: true},
	} {
		w := newWorkbench(t, o)
		conn := w.client(t, "127.0.0.1")
		q := question("shop.example.com.", dns.TypeA)
		q.SetEdns0(1232, false)
		wire := packed(t, q)
		if got := testing.AllocsPerRun(50, func() {
			for range 20 {
				conn.Write(wire)
			}
			w.answer(t, 20)
		}); got != 0 {
			t.Errorf("%s: %v allocations for 20 queries", about, got)
		}
	}
}

// BenchmarkUDP is a query's way through a socket of ours, there and back; ns/packet
// leaves out what the client costs. Beside a flood that is held back, a packet costs
// no more than without.
func BenchmarkUDP(b *testing.B) {
	quietOnly := []netip.Prefix{netip.MustParsePrefix("127.1.1.0/24")}
	for _, c := range []struct {
		about string
		o     Options
		flood bool // a network that is over its limit asks as often as the client
	}{
		{"plain", Options{PlainUDP: true, RateLimit: ratelimit.Options{Rate: 1 << 29}}, false},
		{"batch", Options{RateLimit: ratelimit.Options{Rate: 1 << 29}}, false},
		{"batch, no limit", Options{RateLimit: ratelimit.Options{Rate: -1}}, false},
		{"batch beside a flood", Options{RateLimit: ratelimit.Options{Rate: 1, Slip: -1, Exempt: quietOnly}}, true},
	} {
		b.Run(c.about, func(b *testing.B) {
			w := newWorkbench(b, c.o)
			quiet, flood := w.client(b, "127.1.1.1"), w.client(b, "127.1.2.1")
			q := question("shop.example.com.", dns.TypeA)
			q.SetEdns0(1232, false)
			wire, answer := packed(b, q), make([]byte, 4096)
			packets, spent := 0, time.Duration(0)
			b.ReportAllocs()
			for left := b.N; left > 0; left -= 16 {
				waiting := 16
				for range 16 {
					quiet.Write(wire)
					if c.flood {
						flood.Write(wire)
						waiting++
					}
				}
				start := time.Now()
				w.answer(b, waiting)
				spent += time.Since(start)
				packets += waiting
				for range 16 {
					quiet.Read(answer)
				}
			}
			b.ReportMetric(float64(spent.Nanoseconds())/float64(packets), "ns/packet")
		})
	}
}

// Settings are in force with the next packets, on the sockets that are served
// already, and cost a query nothing. A limit that stays the same counts on.
func TestConfigure(t *testing.T) { // not parallel: it counts allocations
	limit := ratelimit.Options{Rate: 5, Exempt: []netip.Prefix{}}
	w := newWorkbench(t, Options{NSID: "before", RateLimit: limit})
	w.SetCookieSecrets(CookieSecret{7})
	client := w.client(t, "127.1.1.1")
	check := func(about string, times, whole int) {
		t.Helper()
		if got, _ := w.ask(t, client, "mail.example.com.", dns.TypeA, times); got != whole {
			t.Errorf("%s: %d of %d whole, not %d", about, got, times, whole)
		}
	}
	check("five a second", 30, 9)
	w.Configure(Settings{RateLimit: limit, NSID: "after"})
	check("another name, the same limit", 30, 0)
	if got := nsidOf(t, w); got != "after" {
		t.Errorf("NSID %q", got)
	}
	limit.Rate = 10
	w.Configure(Settings{RateLimit: limit})
	check("ten a second", 30, 19)
	w.Configure(Settings{RateLimit: ratelimit.Options{Rate: 10}}) // this machine is exempt
	check("exempt", 100, 100)
	w.Configure(Settings{RateLimit: ratelimit.Options{Rate: -1, Exempt: []netip.Prefix{}}})
	check("no limit", 1000, 1000)
	limit.Exempt = []netip.Prefix{netip.MustParsePrefix("127.1.2.0/24")}
	w.Configure(Settings{RateLimit: limit})
	limit.Exempt[0] = netip.MustParsePrefix("127.1.1.0/24") // the caller's own
	check("another network is exempt", 30, 19)
	w.Configure(Settings{RequireCookie: true})
	with := withOptions(question("mail.example.com.", dns.TypeA), &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"})
	var m dns.Msg
	out := w.handleFrom(w.c, nil, packed(t, with), netip.MustParseAddr("127.1.1.1"), true)
	if err := m.Unpack(out); err != nil || m.Rcode != dns.RcodeBadCookie {
		t.Errorf("cookies are required: %v %v", err, &m)
	}
	if got := nsidOf(t, w); got != "" {
		t.Errorf("NSID %q where none is set", got)
	}
	w.Configure(Settings{NSID: strings.Repeat("n", MaxNSID+1), RateLimit: limit})
	if got := nsidOf(t, w); got != strings.Repeat("n", MaxNSID) {
		t.Errorf("NSID %q of %d octets", got, len(got))
	}
	wire := packed(t, question("shop.example.com.", dns.TypeA))
	if got := testing.AllocsPerRun(50, func() {
		client.Write(wire)
		w.answer(t, 1)
	}); got != 0 {
		t.Errorf("%v allocations for a query", got)
	}
}

// nsidOf asks a server for its name.
func nsidOf(t *testing.T, w *workbench) string {
	t.Helper()
	m := ask(t, w.Server, withOptions(question("mail.example.com.", dns.TypeA), &dns.EDNS0_NSID{Code: dns.EDNS0NSID}), true)
	for _, o := range m.IsEdns0().Option {
		if o, is := o.(*dns.EDNS0_NSID); is {
			name, _ := hex.DecodeString(o.Nsid)
			return string(name)
		}
	}
	return ""
}
