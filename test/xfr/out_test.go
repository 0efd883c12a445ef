package xfr

import (
	"net/netip"
	"testing"
	"time"

	"lifeboat/internal/snapshot"
)

// A failover is seen at plain secondaries: each is told by NOTIFY, and takes what has
// changed.
func TestSecondariesFollowAFailover(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			b := launch(t, true)
			p := start(t, k, setting{us: b.addr, known: func(peer netip.AddrPort) {
				b.gives(snapshot.Peer{Address: peer, Key: keyName}) // before it asks: one that was refused comes back late
			}})
			waitFor(t, k.name, p.addr, www, "203.0.113.10")
			for _, name := range []string{"h1999." + apex, "mail." + apex} {
				if got, _ := asked(p.addr, name); got == "" {
					t.Errorf("%s has no %s", k.name, name)
				}
			}
			var took []time.Duration
			for range rounds(k) {
				for _, to := range []struct{ position, address string }{{"standby", "198.51.100.7"}, {"main", "203.0.113.10"}} {
					began := b.flip(to.position)
					waitFor(t, k.name, p.addr, www, to.address)
					took = append(took, time.Since(began).Round(time.Millisecond))
				}
			}
			c := b.xfr.Counts()
			t.Logf("%s: from the flip to the changed answer %v; %d whole, %d differences, %d notified", k.name, took, c.Whole, c.Changes, c.Told)
			if c.Unsigned+c.Refused+c.Broken > 0 {
				t.Errorf("%+v", c)
			}
			if !k.polls && c.Changes == 0 {
				t.Errorf("%s got no differences: %+v", k.name, c)
			}
			ours, _ := b.xfr.Serving(apex)
			for late := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
				st := b.xfr.Standings()
				if len(st) == 1 && st[0].Serial == ours && st[0].Ours == ours && st[0].Problem == "" {
					break
				}
				if time.Now().After(late) {
					t.Fatalf("standings: %+v", st)
				}
			}
		})
	}
}

// rounds are how often the site goes there and back. Who polls takes a second each way.
func rounds(k kind) int {
	if k.polls {
		return 1
	}
	return 5
}
