package authdns

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// sampling is a server whose samples are taken by the test.
func sampling(t *testing.T, o Options) (s *Server, ask func(name string, typ uint16, times int)) {
	t.Helper()
	s = New(o)
	s.Set(testServer(t).View())
	for i := range s.shards {
		s.shards[i].ring.mask.Store(0)
	}
	return s, func(name string, typ uint16, times int) {
		t.Helper()
		wire, out := packed(t, question(name, typ)), make([]byte, 0, 4096)
		c := &worker{counters: &s.shards[0]}
		for range times {
			s.handleFrom(c, out, wire, netip.MustParseAddr("192.0.2.99"), true)
		}
	}
}

// Names are counted with their types; what is not there goes without its name.
func TestAsked(t *testing.T) {
	t.Parallel()
	s, ask := sampling(t, Options{})
	ask("Mail.example.com.", dns.TypeA, 3)
	ask("mail.example.com.", dns.TypeAAAA, 2)
	ask("made.up.example.com.", dns.TypeA, 4)
	ask("elsewhere.example.net.", dns.TypeA, 1)
	s.takeSamples()
	ask("mail.example.com.", dns.TypeA, 3)
	s.takeSamples()
	want := fmt.Sprint([]Asked{{"mail.example.com.", dns.TypeA, 6}, {"", dns.TypeA, 5}, {"mail.example.com.", dns.TypeAAAA, 2}})
	if got := fmt.Sprint(s.Asked(10)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := s.Asked(1); len(got) != 1 || got[0].Queries != 6 {
		t.Errorf("the first is %v", got)
	}
}

// Under load one of many queries is looked at, and stands for the others; in calm each
// is again. What does not fit the ring costs nothing.
func TestSamplesUnderLoad(t *testing.T) { // not parallel: it counts allocations
	s, ask := sampling(t, Options{})
	r := s.shards[0].ring
	for range 5 {
		ask("mail.example.com.", dns.TypeA, 10*ringSize)
		s.takeSamples()
	}
	if mask := r.mask.Load(); mask == 0 {
		t.Fatal("each query is looked at under load")
	}
	before := s.Asked(1)[0].Queries
	ask("mail.example.com.", dns.TypeA, 16*int(r.mask.Load()+1))
	mask := r.mask.Load()
	s.takeSamples()
	if got, want := s.Asked(1)[0].Queries-before, 16*(mask+1); got != want {
		t.Errorf("%d queries are counted as %d", want, got)
	}
	for range 64 {
		s.takeSamples()
	}
	if mask := r.mask.Load(); mask != 0 {
		t.Errorf("in calm one of %d is looked at", mask+1)
	}
	wire, out, c := packed(t, question("mail.example.com.", dns.TypeA)), make([]byte, 0, 4096), &worker{counters: &s.shards[0]}
	if n := testing.AllocsPerRun(2*ringSize, func() { s.handleFrom(c, out, wire, netip.Addr{}, true) }); n != 0 {
		t.Errorf("%v allocations for a sample", n)
	}
}

// Names that are made up, where a wildcard lets them be, take no memory without end.
func TestAskedIsBounded(t *testing.T) {
	t.Parallel()
	s, ask := sampling(t, Options{})
	for i := range maxAsked + 500 {
		ask(fmt.Sprintf("n%d.wild.example.com.", i), dns.TypeA, 1)
		ask("mail.example.com.", dns.TypeA, 1)
		s.takeSamples()
	}
	all := s.Asked(maxAsked * 2)
	var sum uint64
	for _, a := range all {
		sum += a.Queries
	}
	if len(all) > maxAsked+1 || sum != 2*(maxAsked+500) || all[0].Name != "mail.example.com." || all[0].Queries != maxAsked+500 {
		t.Errorf("%d names, %d queries, first %v", len(all), sum, all[0])
	}
}

// The log is a sample within its budget, and tells the client's network alone.
func TestQueryLog(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	now := time.Unix(1000, 0)
	s, ask := sampling(t, Options{QueryLog: 3, Logger: slog.New(slog.NewTextHandler(&b, nil)), Now: func() time.Time { return now }})
	ask("mail.example.com.", dns.TypeA, 20)
	s.takeSamples()
	if n := strings.Count(b.String(), "\n"); n != 3 {
		t.Errorf("%d lines:\n%s", n, &b)
	}
	now = now.Add(time.Second)
	ask("mail.example.com.", dns.TypeA, 2)
	s.takeSamples()
	if n := strings.Count(b.String(), "\n"); n != 5 {
		t.Errorf("%d lines:\n%s", n, &b)
	}
	for _, want := range []string{"name=mail.example.com.", "client=192.0.2.0/24", "type=1", "rcode=0", "transport=udp", "one_of=1"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in %s", want, &b)
		}
	}
	s.Configure(Settings{})
	ask("mail.example.com.", dns.TypeA, 2)
	s.takeSamples()
	if n := strings.Count(b.String(), "\n"); n != 5 {
		t.Errorf("it logs on:\n%s", &b)
	}
}

// While it serves, the server takes the samples itself.
func TestSamplesOnSockets(t *testing.T) {
	t.Parallel()
	s := testServer(t)
	udp, tcp := serving(t, s, "127.0.0.1:0", 1)
	for end := time.Now().Add(20 * time.Second); len(s.Asked(1)) == 0; {
		if time.Now().After(end) {
			t.Fatal("nothing is counted")
		}
		askMany(t, "udp", udp[0].LocalAddr().String(), 1)
		askMany(t, "tcp", tcp.Addr().String(), 1)
	}
}
