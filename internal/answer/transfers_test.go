package answer

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/dnssec"
	"lifeboat/internal/signer"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/xfr"
	"lifeboat/internal/zone"
)

func transferKey() snapshot.TSIGKey {
	return snapshot.TSIGKey{Name: "ns2.example.", Algorithm: "hmac-sha256", Secret: []byte("the secret of ns2")}
}

// giving lets a name server at an address have the shop's zone.
func giving(to string) func(*snapshot.Manifest, *snapshot.Contents) {
	return func(_ *snapshot.Manifest, c *snapshot.Contents) {
		c.Transfers = snapshot.Transfers{
			Keys: []snapshot.TSIGKey{transferKey()},
			Out:  []snapshot.Exchange{{Zone: apex, Peers: []snapshot.Peer{{Address: netip.MustParseAddrPort(to), Key: "ns2.example."}}}},
		}
	}
}

// fetched is the zone as a secondary gets it.
func (r *rig) fetched() *zone.Zone {
	r.t.Helper()
	z, err := xfr.Fetch(r.t.Context(), xfr.FetchOptions{Server: r.ns, Apex: apex, Key: transferKey(), Limit: 10 * time.Second, MaxBytes: 1 << 20})
	must(r.t, err)
	return z
}

// A second answer that is a secondary of the first follows what control orders, and what
// a person pulls while control is dead. It holds the zone when the first is gone, and over
// a restart of its own.
func TestSecondaryFollows(t *testing.T) {
	t.Parallel()
	second := start(t, folder(t))
	first := start(t, folder(t))
	copies := func(_ *snapshot.Manifest, c *snapshot.Contents) {
		c.Zones, c.Sites[0].Levers = nil, nil
		c.Transfers = snapshot.Transfers{
			Keys: []snapshot.TSIGKey{transferKey()},
			In:   []snapshot.Exchange{{Zone: apex, Peers: []snapshot.Peer{{Address: netip.MustParseAddrPort(first.ns), Key: "ns2.example."}}}},
		}
	}
	first.takes(order(t, 1, 1, "main", giving(second.ns)))
	second.takes(order(t, 1, 1, "main", copies))
	second.eventually("the zone comes", func() bool { return second.addr() == mainIP })
	first.takes(order(t, 1, 2, "backup", giving(second.ns)))
	second.eventually("an ordered move", func() bool { return second.addr() == backupIP })
	if r := first.do(Request{Do: "pull", Lever: "to-standby"}); !r.OK {
		t.Fatal(r.Err)
	}
	second.eventually("a local order", func() bool { return second.addr() == standbyIP && second.serial() == first.serial() })
	first.eventually("the secondary's serial is known", func() bool {
		s := first.standing().Secondaries
		return len(s) == 1 && s[0].Serial == first.serial() && s[0].Problem == ""
	})
	if c := first.status().Counters; c["transfer_whole"] != 1 || c["transfer_changes"] < 2 || c["dns_secondaries_behind"] != 0 || second.status().Counters["transfer_in"] < 3 {
		t.Errorf("first %v, second %v", c, second.status().Counters)
	}
	first.stop()
	serial := second.serial()
	second = second.again()
	if got := second.addr(); got != standbyIP || second.serial() != serial {
		t.Errorf("after a restart without its primary: %s, %d", got, second.serial())
	}
	if c := second.standing().Copies; len(c) != 1 || c[0].Serial != serial || c[0].Expired {
		t.Errorf("%+v", c)
	}
	info, err := os.Stat(filepath.Join(second.dir, "copies", "shop.example.com.zone"))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o", info.Mode().Perm())
	}
}

// Whatever changes in what a zone answers, its serial grows, so that no secondary ever
// sees two zones under one serial, nor a serial that goes back: by control, by hand, by
// what is seen, by a new configuration whose serial control did not raise enough, and
// over a restart.
func TestSerialNamesWhatIsAnswered(t *testing.T) {
	t.Parallel()
	r := start(t, folder(t))
	seen := map[uint32]string{}
	var last uint32
	look := func(what string, changed bool) {
		t.Helper()
		z := r.fetched()
		text := strings.ReplaceAll(z.Text(), "\t", " ")
		if i := strings.Index(text, "SOA"); i < 0 {
			t.Fatal(text)
		}
		_, body, _ := strings.Cut(text[strings.Index(text, "SOA"):], "\n")
		if before, known := seen[z.Serial()]; known && before != body {
			t.Errorf("%s: serial %d was\n%s\nand is\n%s", what, z.Serial(), before, body)
		}
		if z.Serial() != last && last != 0 && !zone.SerialNewer(z.Serial(), last) {
			t.Errorf("%s: the serial went from %d to %d", what, last, z.Serial())
		}
		if changed && z.Serial() == last {
			t.Errorf("%s: the serial did not grow", what)
		}
		if r.serial() != z.Serial() {
			t.Errorf("%s: %d is answered, %d was given", what, r.serial(), z.Serial())
		}
		seen[z.Serial()], last = body, z.Serial()
	}
	const peer = "127.0.0.1:9"
	revision := uint64(0)
	takes := func(position string, serial uint32, change ...func(*snapshot.Manifest, *snapshot.Contents)) {
		t.Helper()
		revision++
		p := order(t, 1, revision, position, append([]func(*snapshot.Manifest, *snapshot.Contents){giving(peer), func(m *snapshot.Manifest, _ *snapshot.Contents) { m.Serials[apex] = serial }}, change...)...)
		r.takes(p)
	}
	text := func(s string) func(*snapshot.Manifest, *snapshot.Contents) {
		return func(_ *snapshot.Manifest, c *snapshot.Contents) { c.Zones[0].Text += s }
	}
	takes("main", 100)
	look("at first", true)
	takes("main", 100)
	look("the same again", false)
	takes("standby", 100)
	look("a move with the serial of before", true)
	takes("main", 150)
	look("the way back", true)
	r.world.set("main", true)
	r.eventually("half as long", func() bool { return r.ttl() == 30 })
	look("seen down", true)
	takes("main", 151, text("a IN A 192.0.2.1\n"))
	look("another text under a serial that is served already", true)
	r.world.set("main", false)
	r.eventually("all of it", func() bool { return r.ttl() == 60 })
	look("seen up", true)
	takes("main", 152, text("a IN A 192.0.2.1\n"), func(m *snapshot.Manifest, _ *snapshot.Contents) {
		o := m.Sites["shop"]
		o.TTLCap = 20
		m.Sites["shop"] = o
	})
	look("a cap", true)
	takes("main", 152, func(_ *snapshot.Manifest, c *snapshot.Contents) {
		c.Sites[0].Positions["main"] = at("203.0.113.99")
	})
	look("another address", true)
	proof := func(m *snapshot.Manifest, c *snapshot.Contents) {
		c.Zones[0].Text += "_acme-challenge IN TXT \"for good\"\n"
		m.Challenges = map[string]snapshot.Challenge{"_acme-challenge." + apex: {Values: []string{"proof"}, Until: r.clock.now().Add(time.Minute)}}
	}
	takes("main", 152, proof)
	look("a proof", true)
	if !strings.Contains(seen[last], "\"proof\"") {
		t.Errorf("the proof is not given: %s", seen[last])
	}
	r.clock.ahead(2 * time.Minute)
	r.renderSoon()
	r.eventually("the proof is over", func() bool { return r.serial() != last })
	look("the proof is over", true)
	if strings.Contains(seen[last], "\"proof\"") {
		t.Errorf("the proof is given still: %s", seen[last])
	}
	takes("main", 152) // the next start's clock is not ahead: the proof would be good again
	look("the text of before", true)
	if rep := r.do(Request{Do: "pull", Lever: "to-backup"}); !rep.OK {
		t.Fatal(rep.Err)
	}
	look("by hand", true)
	r = r.again()
	look("after a restart", false)
	takes("main", 0)
	look("control knows no serial", false)
}

// What can't be served with a copy that has come is refused whole, and the copies stay
// those that were asked for before.
func TestRefusedSnapshotKeepsItsCopies(t *testing.T) {
	t.Parallel()
	first, second := start(t, folder(t)), start(t, folder(t))
	first.takes(order(t, 1, 1, "main", giving(second.ns)))
	in := func(c *snapshot.Contents) {
		c.Transfers = snapshot.Transfers{Keys: []snapshot.TSIGKey{transferKey()}, In: []snapshot.Exchange{{Zone: apex, Peers: []snapshot.Peer{{Address: netip.MustParseAddrPort(first.ns), Key: "ns2.example."}}}}}
	}
	second.takes(order(t, 1, 1, "main", func(_ *snapshot.Manifest, c *snapshot.Contents) { c.Zones = nil; in(c) }))
	second.eventually("the zone comes", func() bool { return second.addr() == mainIP })
	ack := second.take(order(t, 1, 2, "main", func(_ *snapshot.Manifest, c *snapshot.Contents) { in(c) })) // the same zone of its own, too
	if ack.Err == "" || !strings.Contains(ack.Err, "twice") {
		t.Errorf("taken: %+v", ack)
	}
	if got := second.addr(); got != mainIP || len(second.copies.Zones()) != 1 {
		t.Errorf("%s, %d copies", got, len(second.copies.Zones()))
	}
	second.takes(order(t, 1, 3, "standby"))
	if got := second.addr(); got != standbyIP || len(second.copies.Zones()) != 0 {
		t.Errorf("its own zone: %s, %d copies", got, len(second.copies.Zones()))
	}
}

// New signatures are a new serial too, also where control has not raised it enough: else a
// secondary would keep the old ones until they are over.
func TestNewSignaturesAreANewSerial(t *testing.T) {
	t.Parallel()
	r := start(t, folder(t))
	key, err := signer.NewKey(time.Now())
	must(t, err)
	keys := signer.Keys{Keys: []*signer.Key{key}}
	signed := func(at time.Time) func(*snapshot.Manifest, *snapshot.Contents) {
		return func(m *snapshot.Manifest, c *snapshot.Contents) {
			m.Serials[apex] = 100
			c.Zones[0].DNSSEC = true
			z, err := zone.Parse(c.Zones[0])
			must(t, err)
			made, _, err := keys.Sign(signer.Wanted{Zone: z, Sites: positionsOf(*c), Serial: 100}, dnssec.Zone{}, at)
			must(t, err)
			c.Signed = []dnssec.Zone{made}
		}
	}
	const peer = "127.0.0.1:9"
	now := time.Now()
	r.takes(order(t, 1, 1, "main", giving(peer), signed(now)))
	first := r.fetched().Serial()
	r.takes(order(t, 1, 2, "main", giving(peer), signed(now.Add(time.Hour))))
	second := r.fetched().Serial()
	if second != zone.NextSerial(first) || r.serial() != second {
		t.Errorf("the serial was %d and is %d; %d is answered", first, second, r.serial())
	}
}
