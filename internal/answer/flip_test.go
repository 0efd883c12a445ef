package answer

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

// manyContents are a zone in which so many names follow the shop, one with as many
// addresses, and a small one.
func manyContents(names int) func(m *snapshot.Manifest, c *snapshot.Contents) {
	var text []byte
	follow := map[string]string{apex: "shop"}
	for i := range names {
		text = fmt.Appendf(text, "host%d A 198.51.100.%d\n", i, i%250)
		follow[fmt.Sprintf("name%d.%s", i, apex)] = "shop"
	}
	zones := []zone.Source{
		{Apex: apex, TTL: 60, NS: []string{"ns1.example.net."}, Text: "mail IN A 192.0.2.25\n", Follow: follow},
		{Apex: "large.example.", TTL: 60, NS: []string{"ns1.example.net."}, Text: string(text)},
		{Apex: "small.example.", TTL: 60, NS: []string{"ns1.example.net."}, Text: "www A 192.0.2.1\n"},
	}
	return func(m *snapshot.Manifest, c *snapshot.Contents) {
		c.Zones = slices.Clone(zones)
		peer := netip.MustParseAddrPort("127.0.0.1:9")
		c.Transfers = snapshot.Transfers{Out: []snapshot.Exchange{{Zone: apex, Peers: []snapshot.Peer{{Address: peer}}}}}
	}
}

// A zone that stays as it was is taken over, and not read again; one that is another
// is read.
func TestOnlyWhatChangedIsPrepared(t *testing.T) {
	t.Parallel()
	r := start(t, folder(t))
	many := manyContents(10)
	r.takes(order(t, 1, 1, "main", many))
	before := r.prepared
	r.takes(order(t, 1, 2, "main", many, func(_ *snapshot.Manifest, c *snapshot.Contents) { c.Zones[2].Text = "www A 192.0.2.2\n" }))
	for name, same := range map[string]bool{apex: true, "large.example.": true, "small.example.": false} {
		if got := r.prepared[name].ready == before[name].ready; got != same {
			t.Errorf("%s: taken over %v, want %v", name, got, same)
		}
	}
	before = r.prepared
	r.takes(order(t, 1, 3, "backup", many, func(_ *snapshot.Manifest, c *snapshot.Contents) { c.Zones[2].Text = "www A 192.0.2.2\n" }))
	if got := r.addr(); got != backupIP || r.prepared["small.example."].ready != before["small.example."].ready {
		t.Errorf("a flip prepares zones anew, or went to %s", got)
	}
}

// BenchmarkFlip is from a manifest that has come to an answer that is another, with a
// zone of 100,000 names that all move, one of as many that don't, and secondaries.
func BenchmarkFlip(b *testing.B) {
	r := start(b, folder(b))
	many := manyContents(100_000)
	r.takes(order(b, 1, 1, "main", many))
	_, refs, err := func() (map[string][]byte, map[string]snapshot.Ref, error) {
		c := contents()
		many(nil, &c)
		return c.Encode()
	}()
	must(b, err)
	var took []time.Duration
	revision := uint64(1)
	places := [2]string{"main", "backup"}
	for b.Loop() {
		revision++
		place := places[revision%2]
		p := order(b, 1, revision, place, func(m *snapshot.Manifest, _ *snapshot.Contents) { m.Parts = refs })
		begin := time.Now()
		r.mu.Lock()
		m, err := snapshot.Open(p.Signed, r.key)
		if err == nil {
			err = r.install(m, nil)
		}
		r.mu.Unlock()
		must(b, err)
		if got, want := r.addr(), map[string]string{"main": mainIP, "backup": backupIP}[place]; got != want {
			b.Fatalf("%s, want %s", got, want)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
}
