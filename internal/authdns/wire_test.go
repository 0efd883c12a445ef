package authdns

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/zone"
)

func TestTruncation(t *testing.T) {
	t.Parallel()
	s := testServer(t)
	withEDNS := func(name string, typ uint16, size uint16) *dns.Msg {
		q := question(name, typ)
		q.SetEdns0(size, false)
		return q
	}
	for _, c := range []struct {
		about string
		q     *dns.Msg
		udp   bool
		tc    bool
		n     int // answers or name servers
		limit int
	}{
		{"40 addresses in 512 octets", question("big.example.com.", dns.TypeA), true, true, 0, 512},
		{"40 addresses in 1232 octets", withEDNS("big.example.com.", dns.TypeA, 4096), true, false, 40, 1232},
		{"a client that takes 600", withEDNS("big.example.com.", dns.TypeA, 600), true, true, 0, 600},
		{"a client that says 0 takes 512", withEDNS("mail.example.com.", dns.TypeA, 0), true, false, 1, 512},
		{"100 addresses in 1232 octets", withEDNS("huge.example.com.", dns.TypeA, 65535), true, true, 0, 1232},
		{"100 addresses over TCP", question("huge.example.com.", dns.TypeA), false, false, 100, 65535},
		{"a referral whose glue does not fit", question("many.example.com.", dns.TypeA), true, true, 0, 512},
		{"a referral with all its glue", question("many.example.com.", dns.TypeA), false, false, 12, 65535},
	} {
		m := ask(t, s, c.q, c.udp)
		if m.Truncated != c.tc || len(m.Answer)+len(m.Ns) != c.n {
			t.Errorf("%s: TC %v, %d records, %d glue", c.about, m.Truncated, len(m.Answer)+len(m.Ns), len(m.Extra))
		}
		if size := len(s.Handle(nil, packed(t, c.q), c.udp)); size > c.limit {
			t.Errorf("%s: %d octets", c.about, size)
		}
		if (c.q.IsEdns0() == nil) != (m.IsEdns0() == nil) {
			t.Errorf("%s: OPT %v in the question, %v in the answer", c.about, c.q.IsEdns0(), m.IsEdns0())
		}
	}
	if n := s.Counts().Truncated; n != 8 {
		t.Errorf("%d truncated answers counted", n)
	}
}

func TestEDNS(t *testing.T) {
	t.Parallel()
	s := testServer(t)
	q := question("mail.example.com.", dns.TypeA)
	q.SetEdns0(4096, true)
	opt := q.IsEdns0()
	opt.Option = append(opt.Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID}, &dns.EDNS0_LOCAL{Code: 65001, Data: []byte("unknown")})
	m := ask(t, s, q, true)
	got := m.IsEdns0()
	if got == nil || got.UDPSize() != 1232 || !got.Do() || got.Version() != 0 || len(got.Option) != 0 || len(m.Answer) != 1 {
		t.Errorf("%v", m)
	}
	opt.SetVersion(1)
	m = ask(t, s, q, true)
	if m.Rcode != dns.RcodeBadVers || len(m.Answer) != 0 || m.IsEdns0() == nil || m.IsEdns0().Version() != 0 {
		t.Errorf("version 1: %v", m)
	}
	q = question("mail.example.com.", dns.TypeA)
	q.RecursionDesired, q.CheckingDisabled, q.AuthenticatedData = true, true, true
	if m := ask(t, s, q, true); !m.RecursionDesired || !m.CheckingDisabled || m.AuthenticatedData || m.RecursionAvailable || m.Zero {
		t.Errorf("flags %v", m.MsgHdr)
	}
}

// negative is a message that must be turned away, the same on every transport.
type negative struct {
	about string
	msg   []byte
	rcode int // -1: no answer at all
}

func negatives(t testing.TB) []negative {
	t.Helper()
	plain := packed(t, question("mail.example.com.", dns.TypeA))
	edit := func(change func(b []byte) []byte) []byte { return change(bytes.Clone(plain)) }
	set := func(i int, v byte) []byte { return edit(func(b []byte) []byte { b[i] = v; return b }) }
	opcode := func(o int) []byte { return set(2, byte(o<<3)) }
	opt := []byte{0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 0}
	additional := func(n byte, records ...[]byte) []byte {
		return edit(func(b []byte) []byte { b[11] = n; return append(b, bytes.Join(records, nil)...) })
	}
	class := func(c byte) []byte { return set(len(plain)-1, c) }
	list := []negative{
		{"11 octets", plain[:11], -1},
		{"a response", set(2, 0x80), -1},
		{"a response with opcode NOTIFY", set(2, 0xA0), -1},
		{"no question", set(5, 0), dns.RcodeFormatError},
		{"two questions", set(5, 2), dns.RcodeFormatError},
		{"an answer in the question", set(7, 1), dns.RcodeFormatError},
		{"255 additional records claimed", set(11, 255), dns.RcodeFormatError},
		{"an additional record claimed", set(11, 1), dns.RcodeFormatError},
		{"an authority record that is no IXFR's", edit(func(b []byte) []byte { b[9] = 1; return append(b, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0) }), dns.RcodeFormatError},
		{"header only", plain[:12], dns.RcodeFormatError},
		{"half a name", plain[:16], dns.RcodeFormatError},
		{"no class", plain[:len(plain)-2], dns.RcodeFormatError},
		{"octets after the end", append(bytes.Clone(plain), 0), dns.RcodeFormatError},
		{"a pointer in the question", edit(func(b []byte) []byte { b[12], b[13] = 0xC0, 12; return b }), dns.RcodeFormatError},
		{"a label type of old", set(12, 0x41), dns.RcodeFormatError},
		{"a name of 300 octets", longName(), dns.RcodeFormatError},
		{"two OPT records", additional(2, opt, opt), dns.RcodeFormatError},
		{"an OPT record with a name", additional(1, append([]byte{1, 'x'}, opt...)), dns.RcodeFormatError},
		{"an OPT record cut short", additional(1, opt[:9]), dns.RcodeFormatError},
		{"an OPT record longer than the message", additional(1, append(bytes.Clone(opt[:9]), 0, 9)), dns.RcodeFormatError},
		{"a cookie of 9 octets", additional(1, append(bytes.Clone(opt[:9]), 0, 13, 0, 10, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9)), dns.RcodeFormatError},
		{"a cookie of 41 octets", additional(1, append(append(bytes.Clone(opt[:9]), 0, 45, 0, 10, 0, 41), make([]byte, 41)...)), dns.RcodeFormatError},
		{"an option longer than the OPT record", additional(1, append(bytes.Clone(opt[:9]), 0, 4, 0, 3, 0, 9)), dns.RcodeFormatError},
		{"EDNS version 1", additional(1, []byte{0, 0, 41, 4, 0, 0, 1, 0, 0, 0, 0}), dns.RcodeBadVers},
		{"EDNS version 1, with options of a form that we can't know", additional(1, []byte{0, 0, 41, 4, 0, 0, 1, 0, 0, 0, 3, 1, 2, 3}), dns.RcodeBadVers},
		{"class CHAOS", class(dns.ClassCHAOS), dns.RcodeRefused},
		{"class NONE", class(254), dns.RcodeRefused},
		{"class ANY", class(255), dns.RcodeRefused},
	}
	for o := 1; o < 16; o++ {
		list = append(list, negative{"opcode " + dns.OpcodeToString[o], opcode(o), dns.RcodeNotImplemented})
	}
	return list
}

func longName() []byte {
	b := []byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for range 5 {
		b = append(b, 59)
		b = append(b, bytes.Repeat([]byte{'x'}, 59)...)
	}
	return append(b, 0, 0, 1, 0, 1)
}

// transport sends a message and gives the answer, nil when there is none.
type transport func(t *testing.T, msg []byte) []byte

// transports are all ways into the server. A new one belongs here.
func transports(t testing.TB, s *Server) map[string]transport {
	t.Helper()
	udp, tcp := serving(t, s, "127.0.0.1:0", 1)
	single := New(Options{PlainUDP: true})
	single.Set(s.View())
	plain, _ := serving(t, single, "127.0.0.1:0", 1)
	return map[string]transport{
		"Handle, UDP": func(_ *testing.T, msg []byte) []byte { return s.Handle(nil, msg, true) },
		"Handle, TCP": func(_ *testing.T, msg []byte) []byte { return s.Handle(nil, msg, false) },
		"UDP":         func(t *testing.T, msg []byte) []byte { return overUDP(t, udp[0].LocalAddr().String(), msg) },
		"UDP, plain":  func(t *testing.T, msg []byte) []byte { return overUDP(t, plain[0].LocalAddr().String(), msg) },
		"TCP":         func(t *testing.T, msg []byte) []byte { return overTCP(t, tcp.Addr().String(), msg) },
	}
}

// serving listens and serves until the test ends.
func serving(t testing.TB, s *Server, addr string, n int) ([]*net.UDPConn, *net.TCPListener) {
	t.Helper()
	udp, tcp, err := Listen(addr, n)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, udp, []*net.TCPListener{tcp}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
		closeAll(udp, tcp)
	})
	return udp, tcp
}

// sentinel is asked after a message to see that no answer is on its way to it.
var sentinel = dns.Question{Name: "mail.example.com.", Qtype: dns.TypeAAAA, Qclass: dns.ClassINET}

func overUDP(t testing.TB, addr string, msg []byte) []byte {
	t.Helper()
	conn, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	last := packed(t, &dns.Msg{MsgHdr: dns.MsgHdr{Id: 0xBEEF}, Question: []dns.Question{sentinel}})
	b := make([]byte, 65536)
	var reply []byte
	for _, m := range [][]byte{msg, last} { // one socket: answered in this order
		if _, err := conn.Write(m); err != nil {
			t.Fatal(err)
		}
	}
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if binary.BigEndian.Uint16(b) == 0xBEEF {
			return reply
		}
		reply = bytes.Clone(b[:n])
	}
}

func overTCP(t testing.TB, addr string, msg []byte) []byte {
	t.Helper()
	conn := dialTCP(t, addr)
	defer conn.Close()
	conn.Write(framed(msg))
	reply, err := readFrame(conn)
	if err != nil {
		return nil
	}
	return reply
}

func dialTCP(t testing.TB, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn
}

func framed(msgs ...[]byte) (b []byte) {
	for _, m := range msgs {
		b = binary.BigEndian.AppendUint16(b, uint16(len(m)))
		b = append(b, m...)
	}
	return b
}

func readFrame(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

func TestNegativesOnEveryTransport(t *testing.T) {
	t.Parallel()
	s := testServer(t)
	for name, send := range transports(t, s) {
		for _, c := range negatives(t) {
			reply := send(t, c.msg)
			if (reply == nil) != (c.rcode < 0) {
				t.Errorf("%s: %s: answer %x", name, c.about, reply)
				continue
			}
			if reply == nil {
				continue
			}
			var m dns.Msg
			if err := m.Unpack(reply); err != nil {
				t.Errorf("%s: %s: %v", name, c.about, err)
				continue
			}
			if m.Rcode != c.rcode || !m.Response || m.Authoritative || len(m.Answer)+len(m.Ns) > 0 || m.Id != binary.BigEndian.Uint16(c.msg) {
				t.Errorf("%s: %s: %v", name, c.about, &m)
			}
			if len(reply) > len(c.msg)+optSize {
				t.Errorf("%s: %s: the answer is larger than the message: %d, %d octets", name, c.about, len(reply), len(c.msg))
			}
		}
	}
	if c := s.Counts(); c.Panics > 0 || c.Rcodes[rcodeNotImp] != 15*4 || c.Malformed == 0 || c.Dropped == 0 {
		t.Errorf("counts %+v", c)
	}
}

func TestServfailBeforeTheFirstView(t *testing.T) {
	t.Parallel()
	s := New(Options{})
	s.Set(nil)
	for _, name := range []string{"example.com.", "elsewhere.net."} {
		if m := ask(t, s, question(name, dns.TypeA), true); m.Rcode != dns.RcodeServerFailure || m.Authoritative {
			t.Errorf("%v", m)
		}
	}
}

// Every type, every class and every opcode is answered with the code that it
// should be, none breaks the code.
func TestEveryTypeClassAndOpcode(t *testing.T) {
	t.Parallel()
	s := testServer(t)
	out := make([]byte, 0, 65536)
	asked := func(name string, b []byte, want int) {
		reply := s.Handle(out, b, true)
		switch {
		case len(reply) < headerSize || len(reply) > plainUDP:
			t.Fatalf("%s %x: %d octets", name, b, len(reply))
		case int(reply[3]&15) != want || reply[2]&flagQR == 0 || reply[2]&opcodeMask != b[2]&opcodeMask || reply[3]&0xF0 != 0:
			t.Fatalf("%s %x: header %x, code %d expected", name, b, reply[:4], want)
		}
	}
	names := map[string]int{
		"example.com.": rcodeNoError, "gone.example.com.": rcodeNXDomain, "alias2.example.com.": rcodeNoError, "nowhere.example.com.": rcodeNXDomain,
		"x.sub.example.com.": rcodeNoError, "sub.example.com.": rcodeNoError, "host.old.example.com.": rcodeNoError, "gone.old.example.com.": rcodeNXDomain,
		"q.wild.example.com.": rcodeNoError, "x.tenants.example.com.": rcodeNoError, "b.ent.example.com.": rcodeNoError, "elsewhere.net.": rcodeRefused,
	}
	for name, code := range names {
		b := packed(t, question(name, 0))
		for typ := range 1 << 16 {
			binary.BigEndian.PutUint16(b[len(b)-4:], uint16(typ))
			switch {
			case typ == typeAXFR || typ == typeIXFR:
				asked(name, b, rcodeRefused)
			case name == "nowhere.example.com." && (typ == typeCNAME || typ == typeANY), name == "gone.old.example.com." && (typ == typeCNAME || typ == typeANY):
				asked(name, b, rcodeNoError) // the CNAME is there
			default:
				asked(name, b, code)
			}
		}
	}
	b := packed(t, question("mail.example.com.", dns.TypeA))
	for class := range 1 << 16 {
		binary.BigEndian.PutUint16(b[len(b)-2:], uint16(class))
		for opcode := range 16 {
			b[2] = byte(opcode << 3)
			switch {
			case opcode != opQuery:
				asked("opcode", b, rcodeNotImp)
			case class != classIN:
				asked("class", b, rcodeRefused)
			default:
				asked("mail.example.com.", b, rcodeNoError)
			}
		}
	}
	if n := s.Counts().Panics; n != 0 {
		t.Errorf("%d panics", n)
	}
}

// A panic costs the one query, and is counted.
func TestPanicIsSurvived(t *testing.T) {
	t.Parallel()
	s := New(Options{})
	s.Set(&View{table: &Table{byWire: map[string]int32{"\x00": 99}, deepest: 9}})
	m := ask(t, s, question("example.com.", dns.TypeA), true)
	if m.Rcode != dns.RcodeServerFailure || s.Counts().Panics != 1 {
		t.Errorf("%v, %d panics", m, s.Counts().Panics)
	}
}

// The number of allocations for a query, pinned: there are none.
func TestAllocations(t *testing.T) { // not parallel: it counts allocations
	s := testServer(t)
	out := make([]byte, 0, 4096)
	for _, c := range []struct {
		name string
		typ  uint16
	}{
		{"shop.example.com.", dns.TypeA},
		{"shop.example.com.", dns.TypeMX},
		{"example.com.", dns.TypeSOA},
		{"example.com.", dns.TypeNS},
		{"alias2.example.com.", dns.TypeA},
		{"gone.example.com.", dns.TypeA},
		{"q.wild.example.com.", dns.TypeTXT},
		{"x.sub.example.com.", dns.TypeA},
		{"example.com.", dns.TypeANY},
		{"elsewhere.net.", dns.TypeA},
		{"big.example.com.", dns.TypeA},
		{"host.old.example.com.", dns.TypeA},
		{"a.self.example.com.", dns.TypeA},
	} {
		q := question(c.name, c.typ)
		q.SetEdns0(1232, false)
		wire := packed(t, q)
		if got := testing.AllocsPerRun(100, func() { s.Handle(out, wire, true) }); got != 0 {
			t.Errorf("%s %s: %v allocations", c.name, dns.TypeToString[c.typ], got)
		}
	}
	s.SetCookieSecrets(CookieSecret{1}, CookieSecret{2})
	client := netip.MustParseAddr("2001:db8::1")
	for _, name := range []string{"mail.example.com.", "elsewhere.net."} {
		wire := packed(t, withOptions(question(name, dns.TypeA), &dns.EDNS0_NSID{Code: dns.EDNS0NSID}, &dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE},
			&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708010000005cf79f111f8130c3eee29480"}))
		if got := testing.AllocsPerRun(100, func() { s.handleFrom(&worker{counters: &s.shards[0]}, out, wire, client, false) }); got != 0 {
			t.Errorf("%s with options: %v allocations", name, got)
		}
	}
	alias := mustServer(t, Orders{Position: map[string]string{"shop": "far"}}, map[string]zone.Positions{"shop": {"far": zone.Addresses{Alias: "a.example.net."}}},
		zone.Source{Apex: "example.com.", TTL: 60, NS: []string{"ns.example.net."}, Follow: map[string]string{"shop.example.com.": "shop"}})
	aliased := packed(t, question("shop.example.com.", dns.TypeA))
	if got := testing.AllocsPerRun(100, func() { alias.Handle(out, aliased, true) }); got != 0 {
		t.Errorf("an alias makes %v allocations", got)
	}
	scrap := []byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0xFF, 0xFF}
	if got := testing.AllocsPerRun(100, func() { s.Handle(out, scrap, true) }); got != 0 {
		t.Errorf("a hostile header makes %v allocations", got)
	}
}

func BenchmarkHandle(b *testing.B) {
	s := testServer(b)
	for _, c := range []struct {
		about, name string
		typ         uint16
	}{
		{"follow", "shop.example.com.", dns.TypeA},
		{"static", "mail.example.com.", dns.TypeA},
		{"ns", "example.com.", dns.TypeNS},
		{"soa", "example.com.", dns.TypeSOA},
		{"nxdomain", "gone.example.com.", dns.TypeA},
		{"wildcard", "q.wild.example.com.", dns.TypeA},
		{"chain", "alias2.example.com.", dns.TypeA},
		{"referral", "x.sub.example.com.", dns.TypeA},
	} {
		b.Run(c.about, func(b *testing.B) {
			q := question(c.name, c.typ)
			q.SetEdns0(1232, false)
			wire := packed(b, q)
			out := make([]byte, 0, 4096)
			b.ReportAllocs()
			for b.Loop() {
				s.Handle(out, wire, true)
			}
		})
	}
}
