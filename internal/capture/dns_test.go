package capture

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/authdns"
	"lifeboat/internal/zone"
)

// serveDNS answers on one port, over UDP and TCP.
func serveDNS(t testing.TB, h dns.HandlerFunc) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	pc, err := net.ListenPacket("udp", l.Addr().String())
	must(t, err)
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait) // the last: cleanups run backwards
	for _, s := range []*dns.Server{{Listener: l, Handler: h}, {PacketConn: pc, Handler: h}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		wg.Go(func() { _ = s.ActivateAndServe() })
		<-started
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return netip.MustParseAddrPort(l.Addr().String())
}

// records answers with these, of the name and type that is asked for.
func records(t testing.TB, lines ...string) dns.HandlerFunc {
	t.Helper()
	var all []dns.RR
	for _, l := range lines {
		rr, err := dns.NewRR(l)
		must(t, err)
		all = append(all, rr)
	}
	return func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.RecursionAvailable = q.RecursionDesired
		m.Authoritative = !q.RecursionDesired
		for _, rr := range all {
			if rr.Header().Rrtype == q.Question[0].Qtype && rr.Header().Name == q.Question[0].Name {
				m.Answer = append(m.Answer, rr)
			}
		}
		_ = w.WriteMsg(m)
	}
}

// answers with a message that f changes.
func changed(f func(m, q *dns.Msg)) dns.HandlerFunc {
	return func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Authoritative = true
		f(m, q)
		_ = w.WriteMsg(m)
	}
}

func resolver(at netip.AddrPort) func(*Job) {
	return func(j *Job) { j.Resolvers = []Server{{Name: "resolver", Address: at}} }
}

func nameserver(at netip.AddrPort) func(*Job) {
	return func(j *Job) { j.Nameservers = []Server{{Name: "ns1.example.net.", Address: at}} }
}

// Our own name server is asked like anybody's.
func TestNameServer(t *testing.T) {
	t.Parallel()
	z, err := zone.Parse(zone.Source{Apex: "shop.example.com.", TTL: 60, NS: []string{"ns1.example.net."}, Text: "www IN A 203.0.113.10\nwww IN AAAA 2001:db8::10\n", Follow: map[string]string{"shop.example.com.": "shop"}})
	must(t, err)
	table, err := authdns.Compile([]*zone.Zone{z}, map[string]zone.Positions{"shop": {"main": zone.Addresses{IPs: []netip.Addr{netip.MustParseAddr("203.0.113.10")}}}})
	must(t, err)
	view, err := table.View(authdns.Orders{Position: map[string]string{"shop": "main"}, Serial: map[string]uint32{"shop.example.com.": 77}})
	must(t, err)
	udp, tcp, err := authdns.Listen("127.0.0.1:0", 1)
	must(t, err)
	s := authdns.New(authdns.Options{Logger: slog.New(slog.DiscardHandler)})
	s.Set(view)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, udp, []*net.TCPListener{tcp}) }()
	t.Cleanup(func() { cancel(); must(t, <-served) })

	j := job(nameserver(netip.MustParseAddrPort(udp[0].LocalAddr().String())))
	j.Names = []string{host, "www.shop.example.com", "gone.shop.example.com", "shop.example.org"}
	it := only(t, j, patient())
	if it.Summary != "shop.example.com is 203.0.113.10 for 60 s; www.shop.example.com is 203.0.113.10, 2001:db8::10 for 60 s; gone.shop.example.com does not exist (NXDOMAIN); 1 more name; serial 77." {
		t.Errorf("%q", it.Summary)
	}
	if it.Source != "ns1.example.net. "+udp[0].LocalAddr().String() || it.Problem != "" || it.Deciding != "" {
		t.Errorf("%+v", it)
	}
	has(t, string(it.Body), ";; shop.example.com. A, over udp, after ", "NOERROR, flags [aa]", "shop.example.com. 60 IN A 203.0.113.10", ";; www.shop.example.com. AAAA", "NXDOMAIN, flags [aa]",
		"; authority", " IN SOA ", "REFUSED, flags []")
}

func TestResolver(t *testing.T) {
	t.Parallel()
	var recursion atomic.Bool
	good := records(t, "shop.example.com. 43 IN CNAME cdn.example.net.", "cdn.example.net. 20 IN A 203.0.113.10", "shop.example.com. 43 IN A 203.0.113.10")
	it := only(t, job(resolver(serveDNS(t, func(w dns.ResponseWriter, q *dns.Msg) {
		recursion.Store(q.RecursionDesired)
		good(w, q)
	}))), patient())
	if it.Summary != "shop.example.com is 203.0.113.10 for another 43 s." || !recursion.Load() {
		t.Errorf("%q, recursion asked for: %t", it.Summary, recursion.Load())
	}
	lacks(t, string(it.Body), "SOA")
}

func TestDNSAnswers(t *testing.T) {
	t.Parallel()
	nsid := hex.EncodeToString([]byte("fra1"))
	for name, c := range map[string]struct {
		h       dns.HandlerFunc
		summary string
		body    []string
	}{
		"SERVFAIL with a reason": {changed(func(m, q *dns.Msg) {
			m.Rcode = dns.RcodeServerFailure
			m.SetEdns0(1232, false)
			m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeSignatureExpired, ExtraText: "since \x1b[31m 3 days"}, &dns.EDNS0_NSID{Code: dns.EDNS0NSID, Nsid: nsid}}
		}), "shop.example.com can't be looked up (SERVFAIL).", []string{";; it adds: Signature Expired (7) since  [31m 3 days", "the server calls itself " + nsid}},
		"refused":           {changed(func(m, q *dns.Msg) { m.Rcode = dns.RcodeRefused }), "shop.example.com is refused (REFUSED).", nil},
		"a code of its own": {changed(func(m, q *dns.Msg) { m.Rcode = 12 }), "shop.example.com is answered with the error code 12.", []string{"code 12, flags"}},
		"no address":        {changed(func(m, q *dns.Msg) {}), "shop.example.com has no address.", nil},
		"lame":              {changed(func(m, q *dns.Msg) { m.Authoritative = false }), "shop.example.com is not served there (the answer is not authoritative).", nil},
		"without question":  {changed(func(m, q *dns.Msg) { m.Rcode, m.Question = dns.RcodeFormatError, nil }), "shop.example.com is answered with the error FORMERR.", nil},
		"knows no EDNS": {changed(func(m, q *dns.Msg) {
			if q.IsEdns0() != nil {
				m.Rcode = dns.RcodeFormatError
				return
			}
			if q.Question[0].Qtype == dns.TypeA {
				m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 7}, A: net.IPv4(203, 0, 113, 9)}}
			}
		}), "shop.example.com is 203.0.113.9 for 7 s.", []string{"FORMERR", "NOERROR"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			it := only(t, job(nameserver(serveDNS(t, c.h))), patient())
			if it.Summary != c.summary || it.Problem != "" {
				t.Errorf("%q, problem %q", it.Summary, it.Problem)
			}
			has(t, string(it.Body), c.body...)
		})
	}
}

// A long answer comes over TCP; a server that sends thousands of records costs no
// more than an item.
func TestLongAnswers(t *testing.T) {
	t.Parallel()
	it := only(t, job(nameserver(serveDNS(t, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Authoritative = true
		if _, stream := w.RemoteAddr().(*net.TCPAddr); !stream {
			m.Truncated = true
			_ = w.WriteMsg(m)
			return
		}
		for i := range 3000 {
			m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 9}, A: net.IPv4(10, 0, byte(i>>8), byte(i))})
		}
		m.Compress = true
		_ = w.WriteMsg(m)
	}))), patient())
	if !strings.HasPrefix(it.Summary, "shop.example.com is 10.0.0.0, 10.0.0.1, 10.0.0.2 and ") || !strings.HasSuffix(it.Summary, " for 9 s.") {
		t.Errorf("%q", it.Summary)
	}
	has(t, string(it.Body), "flags [aa tc]", "over tcp", "; and 2900 more in the answer section")
}

func TestOverTCPOnly(t *testing.T) {
	t.Parallel()
	good := records(t, "shop.example.com. 60 IN A 203.0.113.10")
	it := only(t, job(resolver(serveDNS(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if _, stream := w.RemoteAddr().(*net.TCPAddr); stream {
			good(w, q)
		}
	}))), Options{Item: 30 * time.Second, Question: 300 * time.Millisecond})
	if it.Summary != "shop.example.com is 203.0.113.10 for another 60 s; it answers over TCP only." || it.Problem != "" {
		t.Errorf("%+v", it)
	}
}

// What servers can do to who asks.
func TestHostileDNS(t *testing.T) {
	t.Parallel()
	raw := func(f func(q []byte) [][]byte) netip.AddrPort {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		must(t, err)
		var wg sync.WaitGroup
		wg.Go(func() {
			b := make([]byte, 4096)
			for {
				n, from, err := pc.ReadFrom(b)
				if err != nil {
					return
				}
				for _, p := range f(append([]byte(nil), b[:n]...)) {
					_, _ = pc.WriteTo(p, from)
				}
			}
		})
		t.Cleanup(func() { _ = pc.Close(); wg.Wait() })
		return netip.MustParseAddrPort(pc.LocalAddr().String())
	}
	good := func(q []byte) []byte {
		m := new(dns.Msg)
		must(t, m.Unpack(q))
		r := new(dns.Msg).SetReply(m)
		if m.Question[0].Qtype == dns.TypeA {
			rr, _ := dns.NewRR(m.Question[0].Name + " 5 IN A 203.0.113.10")
			r.Answer = []dns.RR{rr}
		}
		b, err := r.Pack()
		must(t, err)
		return b
	}
	with := func(q []byte, f func(m *dns.Msg)) []byte {
		m := new(dns.Msg)
		must(t, m.Unpack(good(q)))
		f(m)
		b, err := m.Pack()
		must(t, err)
		return b
	}
	const right = "shop.example.com is 203.0.113.10 for another 5 s."
	for name, c := range map[string]struct {
		f    func(q []byte) [][]byte
		want string // in the summary
		wait bool   // for what never comes
	}{
		"says nothing":       {func([]byte) [][]byte { return nil }, "It gave no answer: ", true},
		"the question back":  {func(q []byte) [][]byte { return [][]byte{q} }, "It gave no answer: ", true},
		"one byte":           {func(q []byte) [][]byte { return [][]byte{{0}} }, "It gave no answer: ", true},
		"a loop of pointers": {func(q []byte) [][]byte { return [][]byte{append(good(q)[:12], 0xc0, 12, 0, 1, 0, 1)} }, "It gave no answer: ", false},
		"counts that lie":    {func(q []byte) [][]byte { b := good(q); b[6], b[7] = 0xff, 0xff; return [][]byte{b} }, right, false},
		"cut off":            {func(q []byte) [][]byte { b := good(q); return [][]byte{b[:len(b)-2]} }, "It gave no answer: ", false},
		"another question": {func(q []byte) [][]byte {
			return [][]byte{with(q, func(m *dns.Msg) { m.Question[0].Name = "evil.example." })}
		}, "It gave no answer: over UDP what came back answers another question, over TCP the connection was refused: nobody listens there.", false},
		"strangers first": {func(q []byte) [][]byte { return [][]byte{with(q, func(m *dns.Msg) { m.Id++ }), {1, 2, 3}, good(q)} }, right, false},
		"a hundred strangers": {func(q []byte) [][]byte {
			b := with(q, func(m *dns.Msg) { m.Id++ })
			out := make([][]byte, 100)
			for i := range out {
				out[i] = b
			}
			return append(out, good(q))
		}, right, false},
		"the name in capitals": {func(q []byte) [][]byte {
			return [][]byte{with(q, func(m *dns.Msg) { m.Question[0].Name = "SHOP.example.com." })}
		}, right, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := patient()
			if c.wait {
				o.Question = 50 * time.Millisecond
			}
			it := only(t, job(resolver(raw(c.f))), o)
			has(t, it.Summary, c.want)
			if (it.Problem == "") == strings.HasPrefix(it.Summary, "It gave no answer") {
				t.Errorf("%+v", it)
			}
		})
	}
}

// Nobody there: the first name's questions are enough to know it.
func TestDeadServer(t *testing.T) {
	t.Parallel()
	j := job(nameserver(netip.MustParseAddrPort(closed(t).String())))
	j.Names = []string{host, "www.example.com", "m.example.com"}
	it := only(t, j, patient())
	has(t, it.Summary, "It gave no answer: the connection was refused: nobody listens there.")
	has(t, string(it.Body), "2 names not asked any more")
	lacks(t, string(it.Body), "AAAA")
}

// An item's time is its own: names that are not reached are told.
func TestSlowServer(t *testing.T) {
	t.Parallel()
	good := records(t, "n0.example.com. 60 IN A 203.0.113.10")
	j := job(resolver(serveDNS(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if strings.HasPrefix(q.Question[0].Name, "n0.") {
			good(w, q)
		}
	})))
	j.Names = nil
	for i := range MaxNames {
		j.Names = append(j.Names, fmt.Sprintf("n%d.example.com", i))
	}
	it := only(t, j, Options{Item: 2 * time.Second, Question: 100 * time.Millisecond})
	has(t, it.Summary, "n0.example.com is 203.0.113.10 for another 60 s; n1.example.com got no answer: ")
	has(t, string(it.Body), "names not asked any more")
	if it.Problem != "" {
		t.Errorf("problem %q", it.Problem)
	}
}
