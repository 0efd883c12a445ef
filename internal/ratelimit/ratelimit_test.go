package ratelimit

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// tally is what became of answers.
type tally struct{ sent, cut, dropped int }

func (t *tally) add(v Verdict) {
	switch v {
	case Send:
		t.sent++
	case Cut:
		t.cut++
	case Drop:
		t.dropped++
	}
}

// load is what one client asks: so many of a class each second, from one second to
// another.
type load struct {
	client   string
	class    Class
	rate     int
	from, to int
	want     []tally // by second
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		about string
		o     Options
		loads []load
	}{
		{"at the rate, for ever", Options{}, []load{{"192.0.2.1", 1, 199, 0, 4, []tally{{199, 0, 0}, {199, 0, 0}, {199, 0, 0}, {199, 0, 0}}}}},
		{"a burst of twice the rate", Options{}, []load{{"192.0.2.1", 1, 399, 0, 1, []tally{{399, 0, 0}}}}},
		{"a flood", Options{}, []load{{"192.0.2.1", 1, 2000, 0, 3, []tally{{399, 801, 800}, {0, 1000, 1000}, {0, 1000, 1000}}}}},
		{"a flood that stops, and asks again", Options{}, []load{
			{"192.0.2.1", 1, 2000, 0, 1, []tally{{399, 801, 800}}},
			{"192.0.2.1", 1, 100, 5, 7, []tally{{100, 0, 0}, {100, 0, 0}}},
		}},
		{"no slip", Options{Slip: -1}, []load{{"192.0.2.1", 1, 1000, 0, 1, []tally{{399, 0, 601}}}}},
		{"each slips", Options{Slip: 1}, []load{{"192.0.2.1", 1, 1000, 0, 1, []tally{{399, 601, 0}}}}},
		{"another rate", Options{Rate: 5, Slip: 3}, []load{{"192.0.2.1", 1, 100, 0, 1, []tally{{9, 30, 61}}}}},
		{"no limit", Options{Rate: -1}, []load{{"192.0.2.1", 1, 100000, 0, 1, []tally{{100000, 0, 0}}}}},
		{"neighbours share", Options{}, []load{
			{"192.0.2.1", 1, 1000, 0, 1, []tally{{399, 301, 300}}},
			{"192.0.2.254", 1, 10, 0, 1, []tally{{0, 5, 5}}},
			{"192.0.3.1", 1, 10, 0, 1, []tally{{10, 0, 0}}},
		}},
		{"IPv6 by /64", Options{}, []load{
			{"2001:db8::1", 1, 1000, 0, 1, []tally{{399, 301, 300}}},
			{"2001:db8::ffff:ffff:ffff:ffff", 1, 10, 0, 1, []tally{{0, 5, 5}}},
			{"2001:db8:0:1::1", 1, 10, 0, 1, []tally{{10, 0, 0}}},
		}},
		{"IPv4 mapped is IPv4", Options{}, []load{
			{"192.0.2.1", 1, 1000, 0, 1, []tally{{399, 301, 300}}},
			{"::ffff:192.0.2.9", 1, 10, 0, 1, []tally{{0, 5, 5}}},
		}},
		{"classes do not share", Options{}, []load{
			{"192.0.2.1", 1, 1000, 0, 1, []tally{{399, 301, 300}}},
			{"192.0.2.1", 2, 10, 0, 1, []tally{{10, 0, 0}}},
		}},
		{"a flood does not slow another network", Options{}, []load{
			{"192.0.2.1", 1, 100000, 0, 2, []tally{{399, 49801, 49800}, {0, 50000, 50000}}},
			{"198.51.100.1", 1, 150, 0, 2, []tally{{150, 0, 0}, {150, 0, 0}}},
			{"2001:db8::1", 1, 150, 0, 2, []tally{{150, 0, 0}, {150, 0, 0}}},
		}},
		{"this machine is exempt", Options{}, []load{{"127.8.9.1", 1, 5000, 0, 1, []tally{{5000, 0, 0}}}, {"::1", 1, 5000, 0, 1, []tally{{5000, 0, 0}}}}},
		{"an exempt network", Options{Exempt: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/25")}}, []load{
			{"192.0.2.127", 1, 5000, 0, 1, []tally{{5000, 0, 0}}},
			{"192.0.2.128", 1, 1000, 0, 1, []tally{{399, 301, 300}}},
			{"127.0.0.1", 1, 1000, 0, 1, []tally{{399, 301, 300}}},
		}},
		{"nobody is exempt", Options{Exempt: []netip.Prefix{}}, []load{{"127.0.0.1", 1, 1000, 0, 1, []tally{{399, 301, 300}}}}},
	} {
		t.Run(c.about, func(t *testing.T) {
			t.Parallel()
			l := New(c.o)
			for second := range 10 {
				l.Tick(begin.Add(time.Duration(second)*time.Second + 300*time.Millisecond))
				for _, load := range c.loads {
					if second < load.from || second >= load.to {
						continue
					}
					var got tally
					for range load.rate {
						got.add(l.Check(addr(load.client), load.class))
					}
					if want := load.want[second-load.from]; got != want {
						t.Errorf("second %d, %s class %d: %+v, not %+v", second, load.client, load.class, got, want)
					}
				}
			}
		})
	}
}

// A network under attack stays limited while networks that do not exist are made up
// by the hundred thousand, far more than the table has room for.
func TestMadeUpNetworksDoNotHideOne(t *testing.T) {
	t.Parallel()
	l := New(Options{Networks: 1024})
	random := rand.New(rand.NewPCG(1, 2))
	l.Tick(begin)
	var victim tally
	for i := range 200_000 {
		if i%20 == 0 {
			victim.add(l.Check(addr("192.0.2.1"), 1))
		}
		l.Check(netip.AddrFrom4([4]byte{byte(1 + random.IntN(100)), byte(random.IntN(256)), byte(random.IntN(256)), 1}), 1)
	}
	if victim.sent > 500 { // 399 with a table of its own
		t.Errorf("%+v", victim)
	}
}

// Of any load, each network alone gets in any second at most twice the rate, and all
// of what it asks when that is less than the rate.
func TestNetworksAreTreatedAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.IntRange(1, 50).Draw(t, "rate")
		l := New(Options{Rate: rate})
		for second := range 6 {
			l.Tick(begin.Add(time.Duration(second) * time.Second))
			for network := range byte(5) {
				asked := rapid.IntRange(0, 200).Draw(t, "asked")
				if network == 0 {
					asked = rate - 1
				}
				var got tally
				for range asked {
					got.add(l.Check(netip.AddrFrom4([4]byte{192, 0, network, 1}), 1))
				}
				if got.sent >= 2*rate {
					t.Fatalf("network %d got %d answers in a second, at %d", network, got.sent, rate)
				}
				if network == 0 && got.sent != asked {
					t.Fatalf("the quiet network got %d of %d", got.sent, asked)
				}
			}
		}
	})
}

func TestTickBackwards(t *testing.T) {
	t.Parallel()
	l := New(Options{Rate: 10})
	check := func(want string) {
		t.Helper()
		var got tally
		for range 30 {
			got.add(l.Check(addr("192.0.2.1"), 1))
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%+v, not %s", got, want)
		}
	}
	l.Tick(begin)
	check("{19 6 5}")
	l.Tick(begin.Add(-time.Hour))
	check("{0 15 15}")
	l.Tick(begin.Add(time.Minute))
	check("{19 6 5}")
	l.Tick(begin.Add(30 * time.Second))
	check("{0 15 15}")
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for client, want := range map[string]string{
		"192.0.2.77": "192.0.2.0/24", "::ffff:192.0.2.77": "192.0.2.0/24",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "::1": "::/64",
	} {
		if got := Network(addr(client)).String(); got != want {
			t.Errorf("%s is of %s, not %s", client, got, want)
		}
	}
	if Network(netip.Addr{}).IsValid() {
		t.Error("no address has a network")
	}
}

func TestNothingIsAllocated(t *testing.T) { // not parallel: it counts allocations
	l := New(Options{})
	l.Tick(begin)
	clients := []netip.Addr{addr("192.0.2.1"), addr("2001:db8::1"), addr("::ffff:198.51.100.1"), addr("127.0.0.1"), {}}
	i := 0
	if got := testing.AllocsPerRun(1000, func() {
		l.Tick(begin.Add(time.Duration(i) * 10 * time.Millisecond))
		l.Check(clients[i%len(clients)], Class(i))
		i++
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// BenchmarkCheck is the cost for a quiet client: alone, and while a flood from one
// network or from made-up ones goes on beside it. It is the same.
func BenchmarkCheck(b *testing.B) {
	quiet := addr("198.51.100.1")
	flood := func(n uint32) netip.Addr {
		return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), 1})
	}
	for _, c := range []struct {
		about string
		other func(i uint32) netip.Addr
	}{
		{"alone", func(uint32) netip.Addr { return quiet }},
		{"beside a flood from one network", func(uint32) netip.Addr { return addr192 }},
		{"beside made-up networks", func(i uint32) netip.Addr { return flood(i * 2654435761) }},
	} {
		b.Run(c.about, func(b *testing.B) {
			l := New(Options{Rate: 1 << 29})
			l.Tick(begin)
			var i uint32
			b.ReportAllocs()
			for b.Loop() {
				i++
				l.Check(c.other(i), 1)
				l.Check(quiet, 1)
			}
		})
	}
}

var addr192 = addr("192.0.2.1")
