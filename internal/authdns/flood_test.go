package authdns

import (
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/zone"
)

// flood asks over UDP as fast as it can, from as many sockets as there are processors
// and one more, until the test has done what it wants; nobody reads the answers.
func flood(t *testing.T, addr string) (stop func()) {
	t.Helper()
	query := packed(t, question("mail.example.com.", dns.TypeA))
	var end atomic.Bool
	var flooding sync.WaitGroup
	for range runtime.GOMAXPROCS(0) + 1 {
		conn, err := net.Dial("udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		flooding.Go(func() {
			defer conn.Close()
			for !end.Load() {
				_, _ = conn.Write(query) // what the kernel has no room for is part of the flood
			}
		})
	}
	return func() { end.Store(true); flooding.Wait() }
}

// Under more queries than can be answered, who comes over TCP is served: each query is
// answered within its deadline.
func TestTCPUnderAFlood(t *testing.T) { // not parallel: it takes all processors
	for name, plain := range map[string]bool{"batches": false, "plain": true} {
		t.Run(name, func(t *testing.T) {
			s := New(Options{PlainUDP: plain})
			s.Set(testServer(t).View())
			udp, tcp := serving(t, s, "127.0.0.1:0", runtime.GOMAXPROCS(0))
			stop := flood(t, udp[0].LocalAddr().String())
			defer stop()
			const enough, queries = 1000, 5
			asked := uint64(0)
			flooded := func() uint64 { return s.Counts().Queries - queries*asked }
			for late := time.Now().Add(time.Minute); !t.Failed() && (asked < 20 || flooded() < enough); asked++ { // on a machine that is busy the flood comes late
				if time.Now().After(late) {
					t.Fatalf("there was no flood: %+v", s.Counts())
				}
				askMany(t, "tcp", tcp.Addr().String(), queries)
			}
			if c := s.Counts(); c.TCPConns != asked {
				t.Errorf("%d connections: %+v", asked, c)
			}
		})
	}
}

// traps are questions that cost as much as one can: chains, loops, names of most
// labels, sets with all that goes along, and ANY where most is.
func traps(t testing.TB) (s *Server, queries map[string]*dns.Msg) {
	t.Helper()
	var b strings.Builder
	for i := range 30 {
		fmt.Fprintf(&b, "c%d CNAME c%d\nd%d DNAME d%d\n*.w%d CNAME a.w%d\n", i, i+1, i, i+1, i, i+1)
	}
	b.WriteString("loop DNAME loop.loop\nself DNAME x.self\nc30 A 192.0.2.1\nd30 A 192.0.2.1\n")
	for i := range 500 {
		fmt.Fprintf(&b, "many MX 10 mx%d\nmx%d A 192.0.2.%d\nmx%d AAAA 2001:db8::%d\nhuge%d.cut NS ns%d.cut\ncut NS ns%d.cut\nns%d.cut A 192.0.2.1\n", i, i, i%250, i, i+1, i, i, i, i)
	}
	deep := strings.Repeat("a.", 120)
	fmt.Fprintf(&b, "%sdeep A 192.0.2.1\n", strings.Repeat("b.", 110))
	for typ := range 60 {
		fmt.Fprintf(&b, "all TYPE%d \\# 200 %0400d\n", 65280+typ, 1)
	}
	s = mustServer(t, Orders{}, nil, zone.Source{Apex: "example.com.", TTL: 60, NS: []string{"ns.example.net."}, Text: b.String()})
	queries = map[string]*dns.Msg{
		"nothing of it":   question("mx1.example.com.", dns.TypeA),
		"CNAME chain":     question("c0.example.com.", dns.TypeA),
		"DNAME chain":     question("x.d0.example.com.", dns.TypeA),
		"DNAME loop":      question("x.loop.example.com.", dns.TypeA),
		"DNAME to itself": question("x.self.example.com.", dns.TypeA),
		"wildcard chain":  question("q.w0.example.com.", dns.TypeA),
		"most labels":     question(deep+"example.com.", dns.TypeA),
		"deepest":         question("c."+strings.Repeat("b.", 110)+"deep.example.com.", dns.TypeA),
		"beside deepest":  question(strings.Repeat("c.", 50)+strings.Repeat("b.", 60)+"deep.example.com.", dns.TypeA),
		"500 MX":          question("many.example.com.", dns.TypeMX),
		"ANY":             question("all.example.com.", dns.TypeANY),
		"500 NS":          question("x.cut.example.com.", dns.TypeA),
	}
	for _, q := range queries {
		q.SetEdns0(4096, false)
	}
	return s, queries
}

// No question costs more than a bounded answer: nothing is allocated, chains end, and
// what is too large is cut.
func TestTraps(t *testing.T) { // not parallel: it counts allocations
	s, queries := traps(t)
	out := make([]byte, 0, maxMessage)
	for name, q := range queries {
		wire := packed(t, q)
		for _, udp := range []bool{true, false} {
			m := ask(t, s, q, udp)
			chained := 0
			for _, rr := range m.Answer {
				if t := rr.Header().Rrtype; t == dns.TypeCNAME || t == dns.TypeDNAME {
					chained++
				}
			}
			if chained > 2*(maxChain+1) {
				t.Errorf("%s: a chain of %d records", name, chained)
			}
			if n := testing.AllocsPerRun(20, func() { s.Handle(out, wire, udp) }); n > 0 {
				t.Errorf("%s, udp %v: %v allocations", name, udp, n)
			}
		}
	}
}

// BenchmarkTraps is what such a question costs, beside an ordinary one.
func BenchmarkTraps(b *testing.B) {
	s, queries := traps(b)
	out := make([]byte, 0, maxMessage)
	names := make([]string, 0, len(queries))
	for name := range queries {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		wire := packed(b, queries[name])
		for transport, udp := range map[string]bool{"UDP": true, "TCP": false} {
			b.Run(name+"/"+transport, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					s.Handle(out, wire, udp)
				}
			})
		}
	}
}
