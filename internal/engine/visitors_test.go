package engine_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/lever"
)

// A part of visitors is sent home, more of them, and all back to safety by whoever sits
// at answer: no name server asks anybody, nobody sees another hand in it, and a new
// control knows.
func TestAShareOfVisitors(t *testing.T) {
	t.Parallel()
	b, _ := blind(t)
	ctx := t.Context()
	must(t, b.pull("to-standby", "a test"))
	first := b.serial("shop.example.com.")
	must(t, b.eng.Share(ctx, "shop", "main", 50, lever.Token{Revision: 1 << 40}))
	if b.serial("shop.example.com.") == first {
		t.Error("secondaries can't see the share begin")
	}
	home, safe := b.networks()
	if home == 0 || safe == 0 {
		t.Fatalf("at 50 %% %d networks are sent home, %d to the standby", home, safe)
	}
	for _, percent := range []int{99, 1, 50} { // our own network is among those, and is not
		must(t, b.eng.Share(ctx, "shop", "main", percent, lever.Token{Revision: 1 << 40}))
		looks := b.looks.Load()
		b.eventually("what is held was looked at", func() bool { return b.looks.Load() > looks+2 })
	}
	if b.happened(incident.LeverDrift) {
		t.Error("our own share counts as somebody else's change")
	}
	if err := b.eng.Share(ctx, "shop", "main", 60, lever.Token{Revision: 3}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("an old writer: %v", err)
	}
	b.restart(nil)
	b.ready()
	if at, percent, err := b.eng.Shared(ctx, "shop"); err != nil || at != "main" || percent != 50 {
		t.Errorf("the new control knows of %d %% at %q, %v", percent, at, err)
	}
	if again, _ := b.networks(); again != home {
		t.Errorf("after a restart %d networks are sent home, before %d", again, home)
	}
	b.pullAtAnswer("to-standby")
	if home, _ := b.networks(); home != 0 {
		t.Errorf("a local order to safety leaves %d networks at home", home)
	}
	b.eventually("control has taken it over", func() bool { _, percent, _ := b.eng.Shared(ctx, "shop"); return percent == 0 })
	for about, err := range map[string]error{
		"all":      b.eng.Share(ctx, "shop", "main", 100, lever.Token{Revision: 1 << 41}),
		"less":     b.eng.Share(ctx, "shop", "main", -1, lever.Token{Revision: 1 << 41}),
		"nowhere":  b.eng.Share(ctx, "shop", "moon", 10, lever.Token{Revision: 1 << 41}),
		"no site":  b.eng.Share(ctx, "moon", "main", 10, lever.Token{Revision: 1 << 41}),
		"it is at": b.eng.Share(ctx, "shop", "standby", 10, lever.Token{Revision: 1 << 41}),
	} {
		if err == nil {
			t.Errorf("a share %s is taken", about)
		}
	}
}

// networks is how many of sixty loopback networks are told home, and the standby.
func (b *boat) networks() (home, safe int) {
	b.t.Helper()
	for i := range 60 {
		c := dns.Client{Timeout: 5 * time.Second, Dialer: &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(fmt.Sprintf("127.0.%d.1", i+1))}}}
		m, _, err := c.ExchangeContext(context.Background(), new(dns.Msg).SetQuestion("shop.example.com.", dns.TypeA), b.dns.String())
		must(b.t, err)
		for _, rr := range m.Answer {
			a, is := rr.(*dns.A)
			switch {
			case !is:
			case a.A.String() == "127.0.0.1":
				home++
			case a.A.String() == "127.0.0.8":
				safe++
			}
		}
	}
	return home, safe
}

// What is published of a zone is told as it is ordered, both positions of a share, and
// no drill's names.
func TestPublished(t *testing.T) {
	t.Parallel()
	b, _ := blind(t)
	must(t, b.pull("to-standby", "a test"))
	must(t, b.eng.Share(t.Context(), "shop", "main", 10, lever.Token{Revision: 1 << 40}))
	got := b.eng.Published()
	if len(got) != 1 || got[0].Apex != "shop.example.com." || got[0].Serial != b.serial("shop.example.com.") || len(got[0].NS) != 1 {
		t.Fatalf("%+v", got)
	}
	at := got[0].Names["shop.example.com."]
	if len(got[0].Names) != 1 || len(at) != 2 || at[0].IPs[0].String() != "127.0.0.8" || at[1].IPs[0].String() != "127.0.0.1" {
		t.Errorf("%+v", got[0].Names)
	}
}
