package authdns

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/dnssec"
	"lifeboat/internal/fault"
	"lifeboat/internal/signer"
	"lifeboat/internal/zone"
)

// proofName has TXT records that proofs are put beside.
const proofName = "_acme-challenge.mail.example.com."

// signedTestZone is the test zone, signed, and its key.
func signedTestZone(t testing.TB, sites map[string]zone.Positions) (*zone.Zone, dnssec.Zone) {
	t.Helper()
	src := testSource()
	src.Challenges = []string{"mail.example.com."}
	z, err := zone.Parse(src)
	if err != nil {
		t.Fatal(err)
	}
	key, err := signer.NewKey(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	signed, _, err := signer.Keys{Keys: []*signer.Key{key}}.Sign(signer.Wanted{Zone: z, Sites: sites, Serial: 7, Proofs: map[string][]string{proofName: {"proof"}}}, dnssec.Zone{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return z, signed
}

func signedServer(t testing.TB) *Server {
	t.Helper()
	z, signed := signedTestZone(t, testSites())
	table, err := CompileSigned([]*zone.Zone{z}, testSites(), []dnssec.Zone{signed})
	if err != nil {
		t.Fatal(err)
	}
	v, err := table.View(calm())
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{})
	s.Set(v)
	return s
}

func wanting(name string, typ uint16, do bool) *dns.Msg {
	q := question(name, typ)
	q.SetEdns0(1232, do)
	return q
}

// Signatures go out only to those who ask for them, and never in place of what an
// answer has without.
func TestSignaturesAreAskedFor(t *testing.T) {
	t.Parallel()
	signed, plain := signedServer(t), testServer(t)
	for _, c := range []struct{ name, typ string }{
		{"example.com.", "A"}, {"example.com.", "SOA"}, {"example.com.", "NS"}, {"example.com.", "MX"}, {"shop.example.com.", "A"}, {"alias2.example.com.", "A"},
		{"gone.example.com.", "A"}, {"q.wild.example.com.", "TXT"}, {"b.ent.example.com.", "A"}, {"x.sub.example.com.", "A"}, {"x.side.example.com.", "A"},
		{"host.old.example.com.", "A"}, {"sub.example.com.", "DS"}, {"side.example.com.", "DS"}, {"outside.example.com.", "A"},
	} {
		want := ask(t, plain, wanting(c.name, typeOf(t, c.typ), false), false)
		same := ask(t, signed, wanting(c.name, typeOf(t, c.typ), false), false)
		if got, want := fmt.Sprint(lines(same.Answer), lines(same.Ns), lines(same.Extra)), fmt.Sprint(lines(want.Answer), lines(want.Ns), lines(want.Extra)); got != want {
			t.Errorf("%s %s without DO: %s\nwant %s", c.name, c.typ, got, want)
		}
		more := ask(t, signed, wanting(c.name, typeOf(t, c.typ), true), false)
		all := strings.Join(append(lines(more.Answer), lines(more.Ns)...), "\n")
		if !strings.Contains(all, "RRSIG") {
			t.Errorf("%s %s with DO has no signature:\n%s", c.name, c.typ, all)
		}
		for _, line := range append(lines(want.Answer), lines(want.Ns)...) {
			if !strings.Contains(all, line) {
				t.Errorf("%s %s with DO lacks %s", c.name, c.typ, line)
			}
		}
	}
}

// An answer that has no room for a signature it needs is cut; one of the additional
// section is left out.
func TestSignedAnswersThatAreTooLarge(t *testing.T) {
	t.Parallel()
	s := signedServer(t)
	if m := ask(t, s, wanting("huge.example.com.", dns.TypeA, true), true); !m.Truncated || len(m.Answer) > 0 {
		t.Errorf("100 addresses fit: %v", m)
	}
	if m := ask(t, s, wanting("huge.example.com.", dns.TypeA, true), false); m.Truncated || len(m.Answer) != 101 {
		t.Errorf("over TCP: %v", m.MsgHdr)
	}
	q := wanting("example.com.", dns.TypeMX, true)
	q.IsEdns0().SetUDPSize(512)
	if m := ask(t, s, q, true); m.Truncated || len(m.Answer) != 2 {
		t.Errorf("an MX with its signature in 512 octets: %v", m)
	}
	q = wanting("q.wild.example.com.", dns.TypeA, true)
	q.IsEdns0().SetUDPSize(512)
	if m := ask(t, s, q, true); m.Truncated == (len(m.Ns) == 2) {
		t.Errorf("a proof is missing, and the answer is not cut: %v", m)
	}
}

// The types of signing are data: whoever asks for them gets them.
func TestSignaturesAsData(t *testing.T) {
	t.Parallel()
	s := signedServer(t)
	for _, do := range []bool{false, true} {
		if m := ask(t, s, wanting("shop.example.com.", dns.TypeRRSIG, do), false); len(m.Answer) != 3 { // over A, AAAA and NSEC
			t.Errorf("RRSIG: %v", m)
		}
		m := ask(t, s, wanting("shop.example.com.", dns.TypeNSEC, do), false)
		if n := 1 + map[bool]int{true: 1}[do]; len(m.Answer) != n {
			t.Errorf("NSEC: %v", m)
		}
	}
	if m := ask(t, s, wanting("ent.example.com.", dns.TypeNSEC, true), false); len(m.Answer) != 0 || len(m.Ns) == 0 {
		t.Errorf("NSEC of a name that only has others below it: %v", m)
	}
}

// A zone without all its signatures is refused whole.
func TestMissingSignatures(t *testing.T) {
	t.Parallel()
	z, signed := signedTestZone(t, testSites())
	other, err := zone.Parse(zone.Source{Apex: "example.com.", Text: testZone + "new IN A 192.0.2.1\n"})
	if err != nil {
		t.Fatal(err)
	}
	moved := testSites()
	moved["shop"]["third"] = ips("203.0.113.99")
	without := signed
	without.First += dnssec.SerialsAhead
	for about, f := range map[string]func() (*Prepared, error){
		"a record more":   func() (*Prepared, error) { return PrepareSigned(other, nil, signed) },
		"a position more": func() (*Prepared, error) { return PrepareSigned(z, moved, signed) },
		"other serials":   func() (*Prepared, error) { return PrepareSigned(z, testSites(), without) },
		"none":            func() (*Prepared, error) { return PrepareSigned(z, testSites(), dnssec.Zone{Apex: "example.com."}) },
	} {
		if _, err := f(); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", about, err)
		}
	}
}

// A serial that is not signed is held back at the last one that is.
func TestSerialsBeyondTheSignedOnes(t *testing.T) {
	t.Parallel()
	z, signed := signedTestZone(t, testSites())
	table, err := CompileSigned([]*zone.Zone{z}, testSites(), []dnssec.Zone{signed})
	if err != nil {
		t.Fatal(err)
	}
	for wanted, want := range map[uint32]uint32{7: 7, 262: 262, 263: 262, 100000: 262, 6: 7} {
		o := calm()
		o.Serial = map[string]uint32{"example.com.": wanted}
		v, err := table.View(o)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := v.Serial("example.com."); got != want {
			t.Errorf("serial %d is answered as %d, want %d", wanted, got, want)
		}
	}
}

func TestSignedAllocations(t *testing.T) {
	s := signedServer(t)
	out := make([]byte, 0, 65536)
	for _, q := range []*dns.Msg{
		wanting("shop.example.com.", dns.TypeA, true), wanting("mail.example.com.", dns.TypeA, true), wanting("gone.example.com.", dns.TypeA, true),
		wanting("q.wild.example.com.", dns.TypeA, true), wanting("alias2.example.com.", dns.TypeA, true), wanting("x.sub.example.com.", dns.TypeA, true),
		wanting("example.com.", dns.TypeSOA, true), wanting("host.old.example.com.", dns.TypeA, true), wanting("b.ent.example.com.", dns.TypeA, true),
		wanting("shop.example.com.", dns.TypeRRSIG, true),
	} {
		wire := packed(t, q)
		if got := testing.AllocsPerRun(100, func() { s.Handle(out, wire, false) }); got != 0 {
			t.Errorf("%s: %v allocations", q.Question[0].String(), got)
		}
	}
}

// Neither does a share cost an allocation, on either side of it, nor do proofs.
func TestSignedAllocationsWithAShare(t *testing.T) {
	s := signedServer(t)
	o := calm()
	o.Share = map[string]Share{"shop": {Position: "standby", Percent: 50}}
	o.Challenges = map[string]Challenge{proofName: {Values: []string{"proof"}, Until: time.Now().Add(time.Hour)}}
	v, err := s.View().Table().View(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Set(v)
	out := make([]byte, 0, 65536)
	for _, q := range []*dns.Msg{
		wanting("shop.example.com.", dns.TypeA, true), wanting("shop.example.com.", dns.TypeAAAA, true), wanting("toshop.example.com.", dns.TypeA, true), wanting("example.com.", dns.TypeAAAA, true),
		wanting("shop.example.com.", dns.TypeNSEC, true), wanting("shop.example.com.", dns.TypeRRSIG, true), wanting(proofName, dns.TypeTXT, true), wanting(proofName, dns.TypeRRSIG, true),
		wanting(proofName, dns.TypeANY, true),
	} {
		wire := packed(t, q)
		for i := range byte(8) {
			client := netip.AddrFrom4([4]byte{10, 0, i, 1})
			if got := testing.AllocsPerRun(100, func() { s.handleFrom(&worker{counters: &s.shards[0]}, out, wire, client, false) }); got != 0 {
				t.Errorf("%s for %s: %v allocations", q.Question[0].String(), client, got)
			}
		}
	}
}

func BenchmarkSigned(b *testing.B) {
	s := signedServer(b)
	for _, c := range []struct {
		about, name string
		typ         uint16
	}{
		{"follow", "shop.example.com.", dns.TypeA},
		{"static", "mail.example.com.", dns.TypeA},
		{"nxdomain", "gone.example.com.", dns.TypeA},
		{"wildcard", "q.wild.example.com.", dns.TypeA},
		{"referral", "x.sub.example.com.", dns.TypeA},
	} {
		for _, do := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s do=%v", c.about, do), func(b *testing.B) {
				wire := packed(b, wanting(c.name, c.typ, do))
				out := make([]byte, 0, 4096)
				b.ReportAllocs()
				for b.Loop() {
					s.Handle(out, wire, true)
				}
			})
		}
	}
}
