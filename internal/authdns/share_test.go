package authdns

import (
	"fmt"
	"math"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"lifeboat/internal/fault"
)

// firstFor is the first address that a client is told.
func firstFor(t *testing.T, s *Server, name string, client string) string {
	t.Helper()
	out := s.handleFrom(&worker{counters: &s.shards[0]}, nil, packed(t, question(name, dns.TypeA)), netip.MustParseAddr(client), true)
	m := new(dns.Msg)
	if err := m.Unpack(out); err != nil || len(m.Answer) == 0 {
		t.Fatalf("%s asked for %s: %v, %v", client, name, m, err)
	}
	if a, is := m.Answer[len(m.Answer)-1].(*dns.A); is {
		return a.A.String()
	}
	return m.Answer[0].String()
}

// A share is told to about as many networks as it says, to each the same at every time
// and server, and to those of a smaller share still in a larger one. Other sites, and
// who is not known, are told what they were.
func TestShares(t *testing.T) { // not parallel: it counts allocations
	const all = 5000
	table := mustTable(t, testSites(), testSource())
	at := func(percent int) *Server {
		o := Orders{Position: map[string]string{"shop": "standby", "api": "main"}, TTLCap: map[string]uint32{"shop": 30}}
		if percent > 0 {
			o.Share = map[string]Share{"shop": {Position: "main", Percent: percent}}
		}
		v, err := table.View(o)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := v.Shared("shop"); ok != (percent > 0) || got != percent {
			t.Errorf("shared: %d, %t", got, ok)
		}
		s := New(Options{})
		s.Set(v)
		return s
	}
	var before map[string]bool
	for _, percent := range []int{0, 1, 10, 50, 99} {
		s := at(percent)
		there := map[string]bool{}
		for i := range all {
			for _, client := range []string{fmt.Sprintf("10.%d.%d.9", i>>8, i&255), fmt.Sprintf("2001:db8:%x:%x00::1", i>>8, i&255)} {
				if firstFor(t, s, "shop.example.com.", client) == "203.0.113.10" {
					there[client] = true
				}
			}
		}
		share := 100 * float64(len(there)) / (2 * all)
		if math.Abs(share-float64(percent)) > 2 {
			t.Errorf("at %d %% of networks, %.1f %% are told", percent, share)
		}
		for client := range before {
			if !there[client] {
				t.Fatalf("%s was sent there and is no more at %d %%", client, percent)
			}
		}
		before = there
	}
	s := at(50)
	for client := range before {
		first := firstFor(t, s, "shop.example.com.", client)
		for _, name := range []string{"example.com.", "toshop.example.com.", "x.tenants.example.com."} {
			if got := firstFor(t, s, name, client); got != first {
				t.Errorf("%s is told %s of shop and %s of %s", client, first, got, name)
			}
		}
		if got := firstFor(t, s, "api.example.com.", client); got != "203.0.113.30" {
			t.Errorf("another site's answer is %s", got)
		}
		near := netip.MustParseAddr(client).Next().String()
		if got := firstFor(t, s, "shop.example.com.", near); got != first {
			t.Errorf("%s is told %s, its neighbour %s", client, first, got)
		}
	}
	runCases(t, s, []Case{ // nobody is known who asks so
		{Name: "shop.example.com.", Type: "A", Answer: []string{"shop.example.com. 30 IN A 198.51.100.7"}},
	})
	wire, out, client := packed(t, question("shop.example.com.", dns.TypeA)), make([]byte, 4096), netip.MustParseAddr("2001:db8::1")
	if got := testing.AllocsPerRun(100, func() { s.handleFrom(&worker{counters: &s.shards[0]}, out, wire, client, true) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// A share that nobody could follow is refused, and one to where everybody is, is none.
func TestBadShares(t *testing.T) {
	t.Parallel()
	table := mustTable(t, testSites(), testSource())
	for about, share := range map[string]Share{"all": {"main", 100}, "none": {"main", 0}, "less": {"main", -1}, "nowhere": {"moon", 10}} {
		o := calm()
		o.Share = map[string]Share{"shop": share}
		if _, err := table.View(o); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", about, err)
		}
	}
	o := calm()
	o.Share = map[string]Share{"shop": {"main", 10}, "nobody-follows": {"moon", 10}}
	v, err := table.View(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, shared := v.Shared("shop"); shared {
		t.Error("a share to where the site is counts as one")
	}
}
