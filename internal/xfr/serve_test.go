package xfr

import (
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/authdns"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

// Who is not written down for a zone, with address and key, does not get it, on any
// transport, by any kind of transfer.
func TestNobodyElseGetsAZone(t *testing.T) {
	t.Parallel()
	w := launch(t, Options{})
	now := w.now()
	stranger := us
	stranger.Name = "stranger.example."
	wrongSecret := us
	wrongSecret.Secret = []byte("a guess")
	wrongAlgorithm := us
	wrongAlgorithm.Algorithm = "hmac-sha512"
	elsewhere := netip.MustParseAddr("127.0.0.2")
	for _, tt := range []struct {
		name  string
		zone  string
		from  netip.Addr
		sign  func([]byte) []byte
		rcode int
		tsig  uint16 // error in it
	}{
		{"no key", apex, here, func(q []byte) []byte { return q }, dns.RcodeRefused, 0},
		{"a key that nobody knows", apex, here, func(q []byte) []byte { q, _ = signed(q, stranger, now); return q }, dns.RcodeNotAuth, badKey},
		{"another secret", apex, here, func(q []byte) []byte { q, _ = signed(q, wrongSecret, now); return q }, dns.RcodeNotAuth, badSig},
		{"another algorithm", apex, here, func(q []byte) []byte { q, _ = signed(q, wrongAlgorithm, now); return q }, dns.RcodeNotAuth, badKey},
		{"too old", apex, here, func(q []byte) []byte { q, _ = signed(q, us, now.Add(-301*time.Second)); return q }, dns.RcodeNotAuth, badTime},
		{"of the future", apex, here, func(q []byte) []byte { q, _ = signed(q, us, now.Add(400*time.Second)); return q }, dns.RcodeNotAuth, badTime},
		{"the key of another zone", other, here, func(q []byte) []byte { q, _ = signed(q, us, now); return q }, dns.RcodeRefused, 0},
		{"another address", apex, elsewhere, func(q []byte) []byte { q, _ = signed(q, us, now); return q }, dns.RcodeRefused, 0},
		{"a zone that is not here", "example.net.", here, func(q []byte) []byte { q, _ = signed(q, us, now); return q }, dns.RcodeRefused, 0},
		{"a name in the zone", "www." + apex, here, func(q []byte) []byte { q, _ = signed(q, us, now); return q }, dns.RcodeRefused, 0},
		{"two keys", apex, here, func(q []byte) []byte { q, _ = signed(q, us, now); q, _ = signed(q, us, now); return q }, dns.RcodeFormatError, 0},
		{"a cut MAC", apex, here, func(q []byte) []byte {
			return appendTSIG(q, us, uint64(now.Unix()), make([]byte, 16), 0, nil)
		}, dns.RcodeNotAuth, badTrunc},
	} {
		for _, network := range []string{"udp", "tcp"} {
			for _, typ := range []uint16{dns.TypeAXFR, dns.TypeIXFR} {
				q := tt.sign(asking(tt.zone, typ, 1))
				all := w.exchange(network, tt.from, q)
				m := unpack(t, all[0])
				if len(all) != 1 || m.Rcode != tt.rcode || len(m.Answer) != 0 {
					t.Errorf("%s, %s, %s: %d messages, %v", tt.name, network, dns.Type(typ), len(all), m)
				}
				if sig := m.IsTsig(); tt.tsig != 0 && (sig == nil || sig.Error != tt.tsig || (len(sig.MAC) > 0) != (tt.tsig == badTime)) {
					t.Errorf("%s, %s: TSIG %v, want error %d", tt.name, network, sig, tt.tsig)
				}
			}
		}
	}
	if c := w.xfr.Counts(); c.Whole+c.Changes > 0 || c.Refused == 0 || c.Unsigned == 0 {
		t.Errorf("%+v", c)
	}
}

// With a wrong time the sender learns ours, signed (RFC 8945 section 5.2.3).
func TestWrongTimeIsToldSigned(t *testing.T) {
	t.Parallel()
	w := launch(t, Options{})
	q, mac := signed(asking(apex, dns.TypeAXFR, 0), us, w.now().Add(-time.Hour))
	reply := w.exchange("tcp", here, q)[0]
	s, err := cutSignature(reply)
	must(t, err)
	if !slices.Equal(s.mac, macOf(us, mac, s.body, s.variables(us, false))) {
		t.Error("it is not signed")
	}
	if b, _ := hex.DecodeString(s.rr.OtherData); len(b) != 6 || s.rr.TimeSigned != uint64(w.now().Add(-time.Hour).Unix()) {
		t.Errorf("other data %s, time %d", s.rr.OtherData, s.rr.TimeSigned)
	}
}

// Updates are refused everywhere, signed or not, and nothing changes.
func TestUpdatesAreRefused(t *testing.T) {
	t.Parallel()
	w := launch(t, Options{})
	m := new(dns.Msg).SetUpdate(apex)
	rr, err := dns.NewRR("www." + apex + " 60 IN A 192.0.2.66")
	must(t, err)
	m.Insert([]dns.RR{rr})
	plain, err := m.Pack()
	must(t, err)
	good, _ := signed(plain, us, w.now())
	for name, msg := range map[string][]byte{"plain": plain, "signed": good} {
		for _, network := range []string{"udp", "tcp"} {
			if got := unpack(t, w.exchange(network, here, msg)[0]); got.Rcode != dns.RcodeNotImplemented {
				t.Errorf("%s over %s: %s", name, network, dns.RcodeToString[got.Rcode])
			}
		}
	}
	q := new(dns.Msg).SetQuestion("www."+apex, dns.TypeA)
	b, err := q.Pack()
	must(t, err)
	if got := unpack(t, w.dns.Handle(nil, b, true)); got.Answer[0].(*dns.A).A.String() != "203.0.113.10" {
		t.Errorf("%v", got)
	}
}

// A plain query that is signed is answered signed, over UDP too, and its answer is the
// one that everybody gets.
func TestSignedQueriesAreAnsweredSigned(t *testing.T) {
	t.Parallel()
	w := launch(t, Options{})
	for _, network := range []string{"udp", "tcp"} {
		q, mac := signed(ask(apex, dns.TypeSOA), us, w.now())
		v := &verifier{key: us, before: mac, now: w.now}
		body, done, err := v.take(w.exchange(network, here, q)[0])
		if err != nil || !done {
			t.Fatalf("%s: %v", network, err)
		}
		if m := unpack(t, body); len(m.Answer) != 1 || m.Answer[0].(*dns.SOA).Serial != 7 || !m.Authoritative {
			t.Errorf("%s: %v", network, m)
		}
	}
}

// What has no room for the signature is asked for again over TCP; the OPT record stays
// (RFC 6891 section 6.1.1).
func TestSignedAnswerWithoutRoomIsCut(t *testing.T) {
	t.Parallel()
	w := launch(t, Options{})
	long := parse(t, apex, "long IN TXT \""+strings.Repeat("x", 250)+"\" \""+strings.Repeat("y", 150)+"\"\n")
	table, err := authdns.Compile([]*zone.Zone{long}, positions())
	must(t, err)
	view, err := table.View(ordered("main", 8))
	must(t, err)
	w.dns.Set(view)
	for _, edns := range []bool{false, true} {
		m := new(dns.Msg).SetQuestion("long."+apex, dns.TypeTXT)
		if edns {
			m.SetEdns0(512, false)
		}
		q, err := m.Pack()
		must(t, err)
		q, mac := signed(q, us, w.now())
		body, _, err := (&verifier{key: us, before: mac, now: w.now}).take(w.exchange("udp", here, q)[0])
		must(t, err)
		if got := unpack(t, body); !got.Truncated || len(got.Answer) != 0 || (got.IsEdns0() != nil) != edns {
			t.Errorf("EDNS %v: %v", edns, got)
		}
	}
}

// A transfer holds what is answered: the addresses of the position in force, its serial.
func TestTransferHoldsWhatIsAnswered(t *testing.T) {
	t.Parallel()
	w := launch(t, Options{})
	for _, position := range []string{"main", "standby", "cdn", "backup"} {
		st := w.xfr.state.Load()
		serial := st.zones[apex].now.serial + 1
		o := ordered(position, serial)
		o.TTLCap = map[string]uint32{"shop": 45}
		o.Degraded = map[string]bool{"shop": position == "backup"}
		o.Challenges = map[string]authdns.Challenge{
			"_acme." + apex: {Values: []string{"one-" + position, "for-good"}, Until: time.Now().Add(time.Hour)},
			"past." + apex:  {Values: []string{"over"}, Until: time.Now().Add(-time.Second)},
			"none." + apex:  {Values: []string{"nowhere"}, Until: time.Now().Add(time.Hour)},
		}
		view, err := w.dns.View().Table().View(o)
		must(t, err)
		w.xfr.Set(Zones{Zones: []*zone.Zone{st.zones[apex].now.zone, st.zones[other].now.zone}, Positions: positions(), Orders: o})
		w.dns.Set(view)
		q, _ := signed(asking(apex, dns.TypeAXFR, 0), us, w.now())
		got, seen := map[string]bool{}, map[string]bool{}
		for _, m := range w.exchange("tcp", here, q) {
			for _, rr := range unpack(t, m).Answer {
				got[rr.String()] = true
			}
		}
		for _, name := range []string{apex, "www." + apex, "api." + apex, "mail." + apex, "_acme." + apex, "past." + apex} {
			for _, typ := range []uint16{dns.TypeSOA, dns.TypeNS, dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeTXT} {
				b, err := new(dns.Msg).SetQuestion(name, typ).Pack()
				must(t, err)
				for _, rr := range unpack(t, w.dns.Handle(nil, b, false)).Answer {
					if !got[rr.String()] {
						t.Errorf("%s: %s is answered and was not transferred", position, rr)
					}
					seen[rr.String()] = true
				}
			}
		}
		for rr := range got {
			if !seen[rr] {
				t.Errorf("%s: transferred and not answered: %s", position, rr)
			}
		}
	}
}

// However a zone changes, whoever holds an older version and takes the differences holds
// what is answered now; and a flip is a difference of a few records.
func TestDifferencesLeadToTheVersionInForce(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	places := []string{"main", "backup", "standby", "cdn"}
	var h *history
	var versions []*version
	text := map[int]string{}
	z := parse(t, apex, "")
	for serial := uint32(1<<32 - 40); serial != 40; serial = zone.NextSerial(serial) { // over the end of the numbers
		if rng.IntN(3) == 0 {
			text[rng.IntN(30)] = fmt.Sprintf(" %d IN TXT \"%d\"\n", 60+rng.IntN(2), rng.IntN(5))
			delete(text, rng.IntN(30))
			var b strings.Builder
			for n, data := range text {
				fmt.Fprintf(&b, "n%d%s", n, data)
			}
			z = parse(t, apex, b.String())
		}
		o := ordered(places[rng.IntN(4)], serial)
		if rng.IntN(2) == 0 {
			o.Challenges = map[string]authdns.Challenge{fmt.Sprintf("n%d.%s", rng.IntN(30), apex): {Values: []string{"a", fmt.Sprint(rng.IntN(5))}, Until: time.Now().Add(time.Hour)}}
		}
		v := Zones{Positions: positions(), Orders: o}.version(z, headOf(z))
		next, why := h.next(v)
		if why != "" {
			t.Fatal(why)
		}
		h = next
		versions = append(versions, v)
		for _, old := range versions[max(0, len(versions)-8):] {
			if old.serial == v.serial {
				continue
			}
			steps, ok := h.since(old.serial)
			if !ok {
				t.Fatalf("no way from %d to %d", old.serial, v.serial)
			}
			have := &copied{serial: old.serial, records: append([]zone.Record{old.soa()}, slices.Collect(old.records())...)}
			in := &incoming{o: FetchOptions{Apex: apex}, have: have}
			for r := range differences(v, steps) {
				must(t, in.next(r))
			}
			if in.phase != atEnd {
				t.Fatalf("the differences do not end: %d", in.phase)
			}
			got, err := in.checked("test")
			must(t, err)
			want := all(v)
			if !slices.EqualFunc(got.records[1:], want, func(a, b zone.Record) bool { return sameData(a, b) && a.TTL == b.TTL }) || got.serial != v.serial {
				t.Fatalf("from %d to %d: %d records, want %d", old.serial, v.serial, len(got.records)-1, len(want))
			}
		}
	}
}

func TestFlipIsASmallDifference(t *testing.T) {
	t.Parallel()
	z := parse(t, apex, strings.Repeat("\n", 2)+"$GENERATE 1-3000 h$ A 192.0.2.1\n")
	version := func(position string, serial uint32) *version {
		return Zones{Positions: positions(), Orders: ordered(position, serial)}.version(z, headOf(z))
	}
	h, _ := (*history)(nil).next(version("main", 1))
	h, _ = h.next(version("standby", 2))
	steps, ok := h.since(1)
	if !ok || len(steps) != 1 {
		t.Fatalf("%d steps", len(steps))
	}
	if n := len(slices.Collect(differences(h.now, steps))); n != 2+2+2*2+2 { // SOAs; A and AAAA of two names go, A comes
		t.Errorf("%d records", n)
	}
	again, _ := h.next(version("standby", 2))
	if again != h {
		t.Error("what has not changed is a new version")
	}
	if n, why := h.next(version("main", 2)); why == "" || len(n.steps) > 0 {
		t.Error("a change under the same serial is not told")
	}
	if n, why := h.next(version("main", 1)); why == "" || len(n.steps) > 0 {
		t.Error("a serial that goes back is not told")
	}
	for serial := uint32(3); serial < 500; serial++ {
		h, _ = h.next(version([]string{"main", "standby"}[serial%2], serial))
	}
	if len(h.steps) > maxSteps {
		t.Errorf("%d steps are kept", len(h.steps))
	}
	if _, ok := h.since(2); ok {
		t.Error("there is a way from a version that is long gone")
	}
}

// More transfers than may be are put off, and the places come back.
func TestTransfersAreBounded(t *testing.T) {
	t.Parallel()
	s := New(Options{AtOnce: 3, PerPeer: 2})
	second := netip.MustParseAddr("127.0.0.2")
	for i, tt := range []struct {
		from netip.Addr
		ok   bool
	}{{here, true}, {here, true}, {here, false}, {second, true}, {second, false}} {
		if s.enter(tt.from) != tt.ok {
			t.Errorf("%d: the limits do not hold", i)
		}
	}
	s.leave(here)
	if !s.enter(second) || s.Counts().Shed != 2 {
		t.Errorf("%+v", s.Counts())
	}
	w := launch(t, Options{Bytes: 10})
	q, _ := signed(asking(apex, dns.TypeAXFR, 0), us, w.now())
	c := w.dial("tcp", here)
	defer c.Close()
	write(c, q)
	if b, err := io.ReadAll(c); err != nil || len(b) > 0 || w.xfr.Counts().Broken != 1 {
		t.Errorf("a transfer over the limit: %d octets, %v, %+v", len(b), err, w.xfr.Counts())
	}
}

// A NOTIFY counts only from a primary of the zone, with its key.
func TestNotifyIsTakenFromPrimariesOnly(t *testing.T) {
	t.Parallel()
	in := NewSecondary(SecondaryOptions{Dir: t.TempDir()})
	setup := snapshot.Transfers{Keys: []snapshot.TSIGKey{us, them}, In: []snapshot.Exchange{{Zone: apex, Peers: []snapshot.Peer{{Address: netip.AddrPortFrom(here, 9), Key: us.Name}}}}}
	in.Configure(setup)
	w := launch(t, Options{Notified: in.Notified})
	w.xfr.Configure(setup)
	rr, err := dns.NewRR(soaLine(9))
	must(t, err)
	soa, err := recordOf(rr, apex)
	must(t, err)
	msg := notifyMessage(apex, soa)
	good, _ := signed(msg, us, w.now())
	wrong, _ := signed(msg, them, w.now())
	elsewhere := netip.MustParseAddr("127.0.0.2")
	for _, network := range []string{"udp", "tcp"} {
		for _, tt := range []struct {
			name  string
			msg   []byte
			from  netip.Addr
			rcode int
		}{
			{"good", good, here, 0}, {"not signed", msg, here, dns.RcodeRefused}, {"with the key of another", wrong, here, dns.RcodeRefused},
			{"from elsewhere", good, elsewhere, dns.RcodeRefused},
		} {
			m := unpack(t, w.exchange(network, tt.from, tt.msg)[0])
			if m.Rcode != tt.rcode || m.Opcode != dns.OpcodeNotify || !m.Response {
				t.Errorf("%s over %s: %v", tt.name, network, m)
			}
		}
	}
	if n := len(in.kept[apex].look); n != 1 {
		t.Errorf("%d looks are waiting", n)
	}
	none := launch(t, Options{})
	if m := unpack(t, none.exchange("udp", here, msg)[0]); m.Rcode != dns.RcodeRefused {
		t.Errorf("without primaries: %v", m)
	}
}

// FuzzPeers: whatever comes, nothing panics, nothing is given away, and what is answered
// can be read.
func FuzzPeers(f *testing.F) {
	good, _ := signed(asking(apex, dns.TypeAXFR, 0), us, time.Now().Add(-time.Hour))
	f.Add(good, true)
	f.Add(asking(apex, dns.TypeIXFR, 6), false)
	f.Add(notifyMessage(apex, zone.Record{Owner: wireName(apex), Type: dns.TypeSOA}), true)
	f.Add(ask(apex, dns.TypeSOA), false)
	w := launchQuiet(f)
	f.Fuzz(func(t *testing.T, msg []byte, udp bool) {
		before := w.Counts().Panics
		out := w.Handle(nil, msg, udp)
		if w.Counts().Panics != before {
			t.Fatal("panic")
		}
		if out == nil {
			return
		}
		if m := new(dns.Msg); m.Unpack(out) != nil {
			t.Fatalf("can't be read: %x", out)
		}
		if typ, ok := asksForTransfer(msg); ok && out[3]&15 == 0 {
			t.Fatalf("a %s was answered", dns.Type(typ))
		}
	})
}

func asksForTransfer(msg []byte) (uint16, bool) {
	q := questionOf(msg)
	if q == nil || msg[2]&0x78 != 0 {
		return 0, false
	}
	typ := uint16(q[len(q)-4])<<8 | uint16(q[len(q)-3])
	return typ, typ == dns.TypeAXFR || typ == dns.TypeIXFR
}

// launchQuiet is a name server without sockets.
func launchQuiet(f *testing.F) *authdns.Server {
	f.Helper()
	x := New(Options{})
	s := authdns.New(authdns.Options{Peers: x})
	zones := []*zone.Zone{parse(f, apex, "")}
	table, err := authdns.Compile(zones, positions())
	must(f, err)
	o := ordered("main", 7)
	view, err := table.View(o)
	must(f, err)
	x.Configure(snapshot.Transfers{Keys: []snapshot.TSIGKey{us}, Out: []snapshot.Exchange{{Zone: apex, Peers: []snapshot.Peer{{Address: netip.AddrPortFrom(here, 9), Key: us.Name}}}}})
	x.Set(Zones{Zones: zones, Positions: positions(), Orders: o})
	s.Set(view)
	return s
}
