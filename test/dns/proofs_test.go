package dns

import (
	"slices"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"lifeboat/internal/authdns"
	"lifeboat/internal/dnssec"
	"lifeboat/internal/signer"
	"lifeboat/internal/zone"
)

// TestProofsAreSigned holds that what certificate authorities find in a signed zone
// verifies: while proofs are given out, when they are over by themselves, and where one
// has no signature yet. What there is at a name never changes with them.
func TestProofsAreSigned(t *testing.T) {
	t.Parallel()
	const own, led, kept = "_acme-challenge.shop.example.com.", "_acme-challenge.mail.example.com.", "proofs.example.com."
	z, err := zone.Parse(zone.Source{Apex: "example.com.", TTL: 60, Challenges: []string{"shop.example.com."}, Follow: map[string]string{"shop.example.com.": "shop"},
		Text: validated + "_acme-challenge.mail IN CNAME proofs\nproofs IN TXT kept\n@ IN TXT \"v=spf1 -all\"\n"})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	key, err := signer.NewKey(now)
	if err != nil {
		t.Fatal(err)
	}
	proofs := map[string][]string{own: {"two", "one", "two"}, kept: {"three", "kept"}, "example.com.": {"four"}}
	sites := map[string]zone.Positions{"shop": positions()}
	signed, _, err := signer.Keys{Keys: []*signer.Key{key}}.Sign(signer.Wanted{Zone: z, Sites: sites, Serial: 7, Proofs: proofs}, dnssec.Zone{}, now)
	if err != nil {
		t.Fatal(err)
	}
	table, err := authdns.CompileSigned([]*zone.Zone{z}, sites, []dnssec.Zone{signed})
	if err != nil {
		t.Fatal(err)
	}
	rr, err := wire.NewRR(zone.Record{Owner: z.ApexWire(), Type: wire.TypeDNSKEY, TTL: 1, Data: key.Data()}.String())
	if err != nil {
		t.Fatal(err)
	}
	dnskey := rr.(*wire.DNSKEY)
	clock := now
	s := &signedServer{Server: authdns.New(authdns.Options{}), table: table, validator: validator{keys: map[string][]*wire.DNSKEY{"example.com.": {dnskey}}, now: now}}
	put := func(proofs map[string][]string, until time.Time) {
		t.Helper()
		o := authdns.Orders{Position: map[string]string{"shop": "four"}, Challenges: map[string]authdns.Challenge{}, Now: func() time.Time { return clock }}
		for name, values := range proofs {
			o.Challenges[name] = authdns.Challenge{Values: values, Until: until}
		}
		view, err := table.View(o)
		if err != nil {
			t.Fatal(err)
		}
		s.Set(view)
	}
	ask := func(name string, typ uint16) *wire.Msg {
		t.Helper()
		m := s.ask(t, name, typ)
		if err := s.validator.check(m, "example.com."); err != nil {
			t.Errorf("%s %s: %v\n%s", name, wire.Type(typ), err, m)
		}
		return m
	}
	first := map[string]*wire.NSEC{}
	looks := func(what string, want map[string][]string) {
		t.Helper()
		for name, texts := range want {
			m := ask(name, wire.TypeTXT)
			var set []wire.RR
			var got []string
			for _, rr := range m.Answer {
				if txt, is := rr.(*wire.TXT); is {
					set, got = append(set, rr), append(got, txt.Txt...)
				}
			}
			if slices.Sort(got); !slices.Equal(got, texts) {
				t.Errorf("%s: %s is %q, want %q", what, name, got, texts)
			}
			any := 0 // who keeps such an answer may be asked for TXT next
			for _, rr := range ask(name, wire.TypeANY).Answer {
				if _, is := rr.(*wire.TXT); is {
					any++
				}
			}
			if any > 0 && any != len(texts) {
				t.Errorf("%s: ANY at %s has %d TXT records, want %q", what, name, any, texts)
			}
			if name == led {
				continue
			}
			for _, rr := range s.ask(t, name, wire.TypeRRSIG).Answer {
				if sig := rr.(*wire.RRSIG); sig.TypeCovered == wire.TypeTXT && (sig.Verify(dnskey, set) != nil || sig.Hdr.Ttl != set[0].Header().Ttl) {
					t.Errorf("%s: the signature at %s is of another set than its TXT records", what, name)
				}
			}
			nsec := ask(name, wire.TypeNSEC).Answer[0].(*wire.NSEC)
			if first[name] == nil {
				first[name] = nsec
			}
			if first[name].String() != nsec.String() {
				t.Errorf("%s: %s, and it was %s", what, nsec, first[name])
			}
			ask(name, wire.TypeAAAA)
		}
	}
	const words = "lifeboat puts the proofs of certificates here"
	calm := map[string][]string{own: {words}, kept: {"kept"}, led: {"kept"}, "example.com.": {"v=spf1 -all"}}
	busy := map[string][]string{own: {words, "one", "two"}, kept: {"kept", "three"}, led: {"kept", "three"}, "example.com.": {"four", "v=spf1 -all"}}
	put(nil, now)
	looks("before", calm)
	put(proofs, now.Add(time.Minute))
	looks("given out", busy)
	clock = now.Add(time.Minute - 1)
	looks("to the last moment", busy)
	clock = now.Add(time.Minute)
	looks("over", calm)
	put(map[string][]string{own: {"one", "five"}, kept: {"three"}}, clock.Add(time.Minute))
	looks("one without a signature", map[string][]string{own: {words}, kept: {"kept", "three"}, led: {"kept", "three"}})
	if n := s.Counts().Panics; n > 0 {
		t.Errorf("%d panics", n)
	}
}
