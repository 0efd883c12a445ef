package authdns

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
)

func TestFailover(t *testing.T) {
	t.Parallel()
	table := mustTable(t, testSites(), testSource())
	s := New(Options{})
	set := func(o Orders) {
		t.Helper()
		v, err := table.View(o)
		if err != nil {
			t.Fatal(err)
		}
		s.Set(v)
	}
	soa := func(serial string) []string {
		return []string{strings.Replace(soaAuthority[0], " 7 ", " "+serial+" ", 1)}
	}
	at := func(shop, api string, serial, limit uint32) Orders {
		return Orders{
			Position: map[string]string{"shop": shop, "api": api, "nobody-follows": "x"},
			Serial:   map[string]uint32{"example.com.": serial},
			TTLCap:   map[string]uint32{"shop": limit},
		}
	}
	set(at("main", "main", 10, 0))
	runCases(t, s, []Case{
		{Name: "shop.example.com.", Type: "A", Answer: []string{"shop.example.com. 60 IN A 203.0.113.10"}},
		{Name: "shop.example.com.", Type: "AAAA", Answer: []string{"shop.example.com. 60 IN AAAA 2001:db8::10"}},
		{Name: "api.example.com.", Type: "AAAA", Authority: soa("10")},
	})
	set(at("standby", "main", 11, 0)) // the standby has no IPv6: both types move together
	runCases(t, s, []Case{
		{Name: "shop.example.com.", Type: "A", Answer: []string{"shop.example.com. 60 IN A 198.51.100.7"}},
		{Name: "shop.example.com.", Type: "AAAA", Authority: soa("11")},
		{Name: "shop.example.com.", Type: "HTTPS", Authority: soa("11")},
		{Name: "toshop.example.com.", Type: "A", Answer: []string{"toshop.example.com. 60 IN CNAME shop.example.com.", "shop.example.com. 60 IN A 198.51.100.7"}},
		{Name: "toshop.example.com.", Type: "AAAA", Answer: []string{"toshop.example.com. 60 IN CNAME shop.example.com."}, Authority: soa("11")},
		{Name: "any.tenants.example.com.", Type: "A", Answer: []string{"any.tenants.example.com. 60 IN A 198.51.100.7"}},
		{Name: "example.com.", Type: "A", Answer: []string{"example.com. 60 IN A 198.51.100.7"}},
		{Name: "example.com.", Type: "MX", Answer: []string{"example.com. 300 IN MX 10 mail.example.com."}, Additional: mailAddresses},
		{Name: "api.example.com.", Type: "A", Answer: []string{"api.example.com. 60 IN A 203.0.113.30"}},
	})
	set(at("backup", "standby", 12, 5))
	runCases(t, s, []Case{
		{Name: "shop.example.com.", Type: "A", Answer: []string{"shop.example.com. 5 IN A 203.0.113.20", "shop.example.com. 5 IN A 203.0.113.21"}},
		{Name: "api.example.com.", Type: "A", Authority: soa("12")},
		{Name: "api.example.com.", Type: "AAAA", Answer: []string{"api.example.com. 60 IN AAAA 2001:db8::7"}},
		{Name: "example.com.", Type: "SOA", Answer: []string{strings.Replace(soa("12")[0], " 60 IN", " 3600 IN", 1)}},
	})
	if serial, ok := s.View().Serial("example.com."); serial != 12 || !ok {
		t.Errorf("serial %d %v", serial, ok)
	}
	if p, ok := s.View().Position("shop"); p != "backup" || !ok {
		t.Errorf("position %q %v", p, ok)
	}
}

// While a site is in trouble its names are cached half as long, and never longer
// than the cap.
func TestDegraded(t *testing.T) {
	t.Parallel()
	table := mustTable(t, testSites(), testSource())
	for _, c := range []struct{ limit, ttl uint32 }{{0, 30}, {100, 30}, {7, 7}} {
		v, err := table.View(Orders{Position: calm().Position, Degraded: map[string]bool{"shop": true, "api": false}, TTLCap: map[string]uint32{"shop": c.limit}})
		if err != nil {
			t.Fatal(err)
		}
		s := New(Options{})
		s.Set(v)
		runCases(t, s, []Case{
			{Name: "shop.example.com.", Type: "A", Answer: []string{fmt.Sprintf("shop.example.com. %d IN A 203.0.113.10", c.ttl)}},
			{Name: "api.example.com.", Type: "A", Answer: []string{"api.example.com. 60 IN A 203.0.113.30"}},
		})
	}
}

// A position may be an alias: its names are CNAMEs as long as it is in force.
func TestAliasPosition(t *testing.T) {
	t.Parallel()
	sites := map[string]zone.Positions{"shop": {
		"main": ips("203.0.113.10"), "far": zone.Addresses{Alias: "Shop.CDN.example.net."},
		"near": zone.Addresses{Alias: "mail.example.com."}, "wild": zone.Addresses{Alias: "deep.tenants.example.com."},
	}}
	src := zone.Source{Apex: "example.com.", TTL: 60, NS: []string{"ns.example.net."}, Text: "mail A 192.0.2.25\ntoshop CNAME shop\nmx MX 10 shop\n",
		Follow: map[string]string{"shop.example.com.": "shop", "*.tenants.example.com.": "shop"}}
	table := mustTable(t, sites, src)
	soa := []string{"example.com. 60 IN SOA ns.example.net. hostmaster.example.com. 1 3600 600 1209600 60"}
	for position, cases := range map[string][]Case{
		"main": {
			{Name: "shop.example.com.", Type: "CNAME", Authority: soa},
			{Name: "shop.example.com.", Type: "A", Answer: []string{"shop.example.com. 60 IN A 203.0.113.10"}},
		},
		"far": {
			{Name: "shop.example.com.", Type: "A", Answer: []string{"shop.example.com. 60 IN CNAME shop.cdn.example.net."}},
			{Name: "shop.example.com.", Type: "HTTPS", Answer: []string{"shop.example.com. 60 IN CNAME shop.cdn.example.net."}},
			{Name: "shop.example.com.", Type: "CNAME", Answer: []string{"shop.example.com. 60 IN CNAME shop.cdn.example.net."}},
			{Name: "shop.example.com.", Type: "ANY", Answer: []string{"shop.example.com. 60 IN CNAME shop.cdn.example.net."}},
			{Name: "toshop.example.com.", Type: "A", Answer: []string{"toshop.example.com. 60 IN CNAME shop.example.com.", "shop.example.com. 60 IN CNAME shop.cdn.example.net."}},
			{Name: "x.tenants.example.com.", Type: "A", Answer: []string{"x.tenants.example.com. 60 IN CNAME shop.cdn.example.net."}},
			{Name: "mx.example.com.", Type: "MX", Answer: []string{"mx.example.com. 60 IN MX 10 shop.example.com."}},
		},
		"near": {
			{Name: "shop.example.com.", Type: "A", Answer: []string{"shop.example.com. 60 IN CNAME mail.example.com.", "mail.example.com. 60 IN A 192.0.2.25"}},
			{Name: "shop.example.com.", Type: "AAAA", Answer: []string{"shop.example.com. 60 IN CNAME mail.example.com."}, Authority: soa},
			{Name: "shop.example.com.", Type: "CNAME", Answer: []string{"shop.example.com. 60 IN CNAME mail.example.com."}},
		},
		"wild": { // leads to itself: bounded
			{Name: "deep.tenants.example.com.", Type: "A", Answer: []string{"deep.tenants.example.com. 60 IN CNAME deep.tenants.example.com."}},
		},
	} {
		v, err := table.View(Orders{Position: map[string]string{"shop": position}})
		if err != nil {
			t.Fatal(err)
		}
		s := New(Options{})
		s.Set(v)
		runCases(t, s, cases)
	}
}

func TestAliasIsRefused(t *testing.T) {
	t.Parallel()
	for about, c := range map[string]struct {
		text, name string
		place      zone.Addresses
		says       string
	}{
		"at the apex":    {"", "example.com.", zone.Addresses{Alias: "a.example.net."}, "has records of its own"},
		"with records":   {"shop MX 10 a\n", "shop.example.com.", zone.Addresses{Alias: "a.example.net."}, "has records of its own"},
		"of itself":      {"", "shop.example.com.", zone.Addresses{Alias: "SHOP.example.com."}, "alias of that same name"},
		"with addresses": {"", "shop.example.com.", zone.Addresses{Alias: "a.example.net.", IPs: ips("192.0.2.1").IPs}, "with 1 addresses"},
		"not absolute":   {"", "shop.example.com.", zone.Addresses{Alias: "a.example.net"}, "can't be an alias"},
	} {
		z, err := zone.Parse(zone.Source{Apex: "example.com.", TTL: 60, NS: []string{"ns.example.net."}, Text: c.text, Follow: map[string]string{c.name: "shop"}})
		if err != nil {
			t.Fatal(err)
		}
		table, err := Compile([]*zone.Zone{z}, map[string]zone.Positions{"shop": {"main": ips("192.0.2.1"), "far": c.place}})
		if table != nil || fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", about, err)
		}
	}
}

func TestViewRefuses(t *testing.T) {
	t.Parallel()
	table := mustTable(t, testSites(), testSource())
	for _, o := range []Orders{
		{},
		{Position: map[string]string{"shop": "main"}},
		{Position: map[string]string{"shop": "main", "api": "moon"}},
		{Position: map[string]string{"shop": "", "api": "main"}},
	} {
		if v, err := table.View(o); fault.KindOf(err) != fault.Invalid || v != nil {
			t.Errorf("%v: view %v, error %v", o, v, err)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	z, err := zone.Parse(testSource())
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(map[string]zone.Positions)) map[string]zone.Positions {
		sites := testSites()
		change(sites)
		return sites
	}
	for name, c := range map[string]struct {
		zones []*zone.Zone
		sites map[string]zone.Positions
		says  string
	}{
		"unknown site":    {[]*zone.Zone{z}, with(func(m map[string]zone.Positions) { delete(m, "api") }), `api.example.com. follows site "api", which is not there`},
		"empty position":  {[]*zone.Zone{z}, with(func(m map[string]zone.Positions) { m["api"]["standby"] = zone.Addresses{} }), "position standby of site api has 0 addresses"},
		"no position":     {[]*zone.Zone{z}, with(func(m map[string]zone.Positions) { m["api"] = nil }), "site api has no position"},
		"useless address": {[]*zone.Zone{z}, with(func(m map[string]zone.Positions) { m["api"]["standby"] = ips("0.0.0.0") }), "0.0.0.0 is no address of a server"},
		"same zone twice": {[]*zone.Zone{z, z}, testSites(), "zone example.com. is there twice"},
	} {
		table, err := Compile(c.zones, c.sites)
		if table != nil || fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever is ordered, a following name keeps an address, and a serial that is
// ordered to grow grows.
func TestEveryViewKeepsNamesAlive(t *testing.T) {
	t.Parallel()
	sites := testSites()
	table := mustTable(t, sites, testSource())
	names := []string{"example.com.", "shop.example.com.", "x.tenants.example.com.", "api.example.com.", "toshop.example.com."}
	rapid.Check(t, func(r *rapid.T) {
		s := New(Options{})
		serial := rapid.Uint32().Draw(r, "serial")
		for range rapid.IntRange(1, 8).Draw(r, "views") {
			o := Orders{Position: map[string]string{}, Serial: map[string]uint32{"example.com.": serial}, TTLCap: map[string]uint32{}}
			for _, id := range []string{"shop", "api"} {
				o.Position[id] = rapid.SampledFrom([]string{"main", "backup", "standby", "moon"}).Draw(r, "position")
				o.TTLCap[id] = rapid.SampledFrom([]uint32{0, 1, 30, 600}).Draw(r, "cap")
			}
			before := s.View()
			if v, err := table.View(o); err == nil {
				s.Set(v)
			}
			v := s.View()
			if v == nil {
				continue
			}
			if before != nil && before != v {
				was, _ := before.Serial("example.com.")
				if now, _ := v.Serial("example.com."); now != was && !zone.SerialNewer(now, was) {
					r.Fatalf("serial went from %d to %d", was, now)
				}
			}
			for _, name := range names {
				addresses := 0
				for _, typ := range []uint16{dns.TypeA, dns.TypeAAAA} {
					m := ask(t, s, question(name, typ), true)
					for _, rr := range m.Answer {
						if rr.Header().Rrtype == typ {
							addresses++
						}
					}
				}
				if addresses == 0 {
					r.Fatalf("%s has no address with %v", name, o)
				}
			}
			serial = zone.NextSerial(serial)
		}
	})
}

// A flip looks at no name: it makes a few small things, however many names there
// are.
func TestFlipCostsTheSameWithManyNames(t *testing.T) { // not parallel: it counts allocations
	cost := func(names int) float64 {
		table := manyNames(t, names)
		o := Orders{Position: map[string]string{"shop": "standby"}}
		return testing.AllocsPerRun(50, func() {
			if _, err := table.View(o); err != nil {
				t.Error(err)
			}
		})
	}
	if few, many := cost(10), cost(20_000); many > few {
		t.Errorf("a flip of 10 names makes %v allocations, of 20,000 names %v", few, many)
	}
}

func manyNames(t testing.TB, n int) *Table {
	t.Helper()
	src := zone.Source{Apex: "example.com.", TTL: 60, NS: []string{"ns.example.net."}, Follow: map[string]string{}}
	for i := range n {
		src.Follow[fmt.Sprintf("host%d.example.com.", i)] = "shop"
	}
	return mustTable(t, testSites(), src)
}

func BenchmarkFlip100000(b *testing.B) {
	table := manyNames(b, 100_000)
	s := New(Options{})
	o := []Orders{{Position: map[string]string{"shop": "standby"}}, {Position: map[string]string{"shop": "main"}}}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		v, err := table.View(o[i&1])
		if err != nil {
			b.Fatal(err)
		}
		s.Set(v)
		i++
	}
}
