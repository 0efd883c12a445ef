package dns

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"lifeboat/internal/authdns"
	"lifeboat/internal/dnssec"
	"lifeboat/internal/signer"
	"lifeboat/internal/zone"
)

// positions are all kinds of places that a site can be at.
func positions() zone.Positions {
	ip := netip.MustParseAddr
	return zone.Positions{
		"four":    {IPs: []netip.Addr{ip("203.0.113.1"), ip("203.0.113.2")}},
		"six":     {IPs: []netip.Addr{ip("2001:db8::10")}},
		"both":    {IPs: []netip.Addr{ip("203.0.113.3"), ip("2001:db8::11")}},
		"alias":   {Alias: "cdn.elsewhere.example."},
		"standby": {IPs: []netip.Addr{ip("198.51.100.7")}},
	}
}

// signedServer is our server for signed zones, whose sites move.
type signedServer struct {
	*authdns.Server
	table     *authdns.Table
	validator validator
	followed  map[string][]string // names that follow a site, by apex
}

// follow gives names of a zone that can follow a site: of those that are proposed the
// ones that it takes.
func follow(t *testing.T, m maker, z made) *zone.Zone {
	t.Helper()
	src := zone.Source{Apex: z.apex, File: z.apex + "zone", Line: 1, Text: z.text, TTL: 60, Follow: map[string]string{}}
	best, err := zone.Parse(src)
	if err != nil {
		t.Fatalf("%v\n%s", err, z.text)
	}
	for _, name := range []string{"f." + z.apex, "f." + m.below(z.apex), "*.w." + z.apex, "f.x." + z.apex} {
		try := src
		try.Follow = map[string]string{name: "shop"}
		for n := range best.Source().Follow {
			try.Follow[n] = "shop"
		}
		if p, err := zone.Parse(try); err == nil {
			best = p
		}
	}
	return best
}

func serveSigned(t *testing.T, m maker, zones []made, now time.Time) *signedServer {
	t.Helper()
	s := &signedServer{Server: authdns.New(authdns.Options{}), validator: validator{keys: map[string][]*wire.DNSKEY{}, now: now}, followed: map[string][]string{}}
	sites := map[string]zone.Positions{"shop": positions()}
	var parsed []*zone.Zone
	for _, z := range zones {
		parsed = append(parsed, follow(t, m, z))
	}
	if _, err := zone.Overlap(parsed); err != nil { // a name follows in a zone that does not answer for it
		for i, z := range zones {
			if parsed[i], err = zone.Parse(zone.Source{Apex: z.apex, Text: z.text}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var signed []dnssec.Zone
	for _, z := range parsed {
		key, err := signer.NewKey(now)
		if err != nil {
			t.Fatal(err)
		}
		done, _, err := signer.Keys{Keys: []*signer.Key{key}}.Sign(signer.Wanted{Zone: z, Sites: sites, Serial: z.Serial()}, dnssec.Zone{}, now)
		if err != nil {
			t.Fatal(err)
		}
		signed = append(signed, done)
		rr, err := wire.NewRR(zone.Record{Owner: z.ApexWire(), Type: wire.TypeDNSKEY, TTL: 1, Data: key.Data()}.String())
		if err != nil {
			t.Fatal(err)
		}
		s.validator.keys[z.Apex()] = []*wire.DNSKEY{rr.(*wire.DNSKEY)}
		for _, f := range z.Follow() {
			s.followed[z.Apex()] = append(s.followed[z.Apex()], zone.Unpack(f.Owner))
		}
	}
	var err error
	if s.table, err = authdns.CompileSigned(parsed, sites, signed); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if n := s.Counts().Panics; n > 0 {
			t.Errorf("%d panics", n)
		}
	})
	return s
}

// ask asks over TCP's limits for an answer with signatures.
func (s *signedServer) ask(t *testing.T, name string, typ uint16) *wire.Msg {
	t.Helper()
	q := new(wire.Msg)
	q.SetQuestion(name, typ)
	q.SetEdns0(1232, true)
	raw, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	m := new(wire.Msg)
	if err := m.Unpack(s.Handle(nil, raw, false)); err != nil {
		t.Fatalf("%s %s: %v", name, wire.Type(typ), err)
	}
	return m
}

// TestSignedAnswersHold asks random questions about random signed zones, with the
// followed names at every kind of position and TTLs lowered, and holds each answer
// against a validator that knows nothing of how they were made.
func TestSignedAnswersHold(t *testing.T) {
	t.Parallel()
	soak := os.Getenv("LIFEBOAT_SOAK") == "1"
	n := seed(t, soak)
	t.Logf("LIFEBOAT_SEED=%d repeats this", n)
	rounds, questions := 8, 400
	if soak {
		rounds, questions = 200, 2000
	}
	tally := map[string]int{}
	for round := range rounds {
		m := maker{rand.New(rand.NewPCG(n, uint64(round)))}
		zones := m.zones(4)
		s := serveSigned(t, m, zones, time.Now())
		names := slices.Sorted(func(yield func(string) bool) {
			for p := range positions() {
				if !yield(p) {
					return
				}
			}
		})
		for i := range questions {
			if i%20 == 0 { // a flip, and a lower TTL
				view, err := s.table.View(authdns.Orders{Position: map[string]string{"shop": names[m.IntN(len(names))]}, Degraded: map[string]bool{"shop": m.IntN(2) == 0}, TTLCap: map[string]uint32{"shop": uint32(m.IntN(30))}})
				if err != nil {
					t.Fatal(err)
				}
				s.Set(view)
			}
			z := zones[m.IntN(len(zones))]
			name, typ := m.question(z)
			if f := s.followed[z.apex]; len(f) > 0 && m.IntN(4) == 0 {
				name = f[m.IntN(len(f))]
				typ = []uint16{wire.TypeA, wire.TypeAAAA, wire.TypeMX, wire.TypeCNAME, wire.TypeANY}[m.IntN(5)]
			}
			switch m.IntN(20) {
			case 0:
				typ = wire.TypeANY
			case 1:
				name, typ = z.apex, []uint16{wire.TypeDNSKEY, wire.TypeCDS, wire.TypeCDNSKEY, wire.TypeSOA, wire.TypeNSEC3PARAM}[m.IntN(5)]
			}
			if _, err := wire.PackDomainName(name, make([]byte, 300), 0, nil, false); err != nil {
				continue
			}
			r := s.ask(t, name, typ)
			if r.Rcode == wire.RcodeRefused {
				continue
			}
			apex := s.validator.zoneOf(lowered(name))
			if typ == wire.TypeDS && apex == lowered(name) {
				if above := s.validator.zoneOf(lowered(up(name))); above != "" {
					apex = above
				}
			}
			if err := s.validator.check(r, apex); err != nil {
				t.Fatalf("round %d: %s %s: %v\n%s", round, name, wire.Type(typ), err, r)
			}
			tally[kind(r)]++
		}
	}
	t.Log(tally)
	for _, k := range []string{"data", "no name", "no data", "referral"} {
		if tally[k] == 0 {
			t.Errorf("no answer was of the kind %q", k)
		}
	}
}

func lowered(name string) string { return wire.CanonicalName(name) }

// kind names an answer's kind, for the tally.
func kind(m *wire.Msg) string {
	switch {
	case m.Rcode == wire.RcodeNameError:
		return "no name"
	case m.Rcode != wire.RcodeSuccess:
		return wire.RcodeToString[m.Rcode]
	case len(m.Answer) > 0:
		return "data"
	case len(m.Ns) > 0 && slices.ContainsFunc(m.Ns, func(rr wire.RR) bool { return rr.Header().Rrtype == wire.TypeSOA }):
		return "no data"
	case len(m.Ns) > 0:
		return "referral"
	}
	return fmt.Sprint("other ", m.Rcode)
}
