package engine_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/config"
	"lifeboat/internal/incident"
	"lifeboat/internal/probe"
)

// launchStaged is a boat whose checkout is closed and whose return has begun, in stages of
// a fifth and three fifths.
func launchStaged(t *testing.T, hold string) *boat {
	t.Helper()
	b := launch(t, "propose")
	b.stopC()
	b.text = strings.Replace(b.text, "    watch: 1s\n", "    watch: 1s\n    go_back: {stages: [20, 60], hold: "+hold+"}\n", 1)
	var err error
	b.cfg, err = config.Parse("lifeboat.yaml", []byte(b.text))
	must(t, err)
	b.control()
	b.homeSeen(probe.Up)
	must(t, b.pull("close-checkout", "orders fail"))
	if n := b.back(); n != 0 {
		t.Fatalf("it is closed, and open to %d", n)
	}
	b.do(incident.GoBack{Because: "The card company is back."}, me)
	return b
}

// atFirstStage waits until a fifth is back.
func (b *boat) atFirstStage() {
	b.t.Helper()
	b.eventually("a fifth is back", func() bool { in := b.state(); return in.Return != nil && in.Return.Share == 20 && !in.Moving() })
	if n := b.back(); n < 5 || n > 45 {
		b.t.Fatalf("%d of 100 are back, want about 20", n)
	}
}

func (b *boat) allAway() {
	b.t.Helper()
	b.eventually("nobody is back", func() bool { in := b.state(); return in.Phase == incident.Diagnose && in.BackShare() == 0 })
	if n := b.back(); n != 0 {
		b.t.Errorf("%d of 100 are still back", n)
	}
}

func TestTheReturnGoesInStages(t *testing.T) {
	t.Parallel()
	b := launchStaged(t, "300ms")
	seen := map[int]bool{}
	b.eventually("everybody is back", func() bool {
		in := b.state()
		if in.Return != nil {
			seen[in.Return.Share] = true
		}
		return in.Phase == incident.Watch || in.Phase == incident.Review
	})
	if !seen[20] || !seen[60] {
		t.Errorf("stages on the way: %v", seen)
	}
	if n := b.back(); n != 100 {
		t.Errorf("%d of 100 are back", n)
	}
}

// home counts the networks, of a hundred, whose resolvers are sent to the real site.
func (b *boat) homeOf100() int {
	b.t.Helper()
	n := 0
	for i := range 100 {
		c := &dns.Client{Dialer: &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.IPv4(127, 9, byte(i), 1)}, Timeout: 2 * time.Second}}
		q := new(dns.Msg)
		q.SetQuestion("shop.example.com.", dns.TypeA)
		r, _, err := c.Exchange(q, b.dns.String())
		must(b.t, err)
		if len(r.Answer) > 0 && r.Answer[0].(*dns.A).A.String() == "127.0.0.1" {
			n++
		}
	}
	return n
}

// A share of the resolvers goes home, and everybody stays there in the end; pulled again,
// nobody is.
func TestVisitorsGoBackInStages(t *testing.T) {
	t.Parallel()
	b := launchStaged(t, "1h")
	must(t, b.pull("to-standby", "the shop burns"))
	b.allAway()
	b.do(incident.GoBack{Because: "It is out."}, me)
	b.atFirstStage()
	if n := b.homeOf100(); n < 5 || n > 45 {
		t.Errorf("%d of 100 networks are sent home, want about 20", n)
	}
	b.do(incident.Advance{Reason: "It looks well."}, me)
	b.eventually("three fifths are back", func() bool { in := b.state(); return in.Return != nil && in.Return.Share == 60 && !in.Moving() })
	if n := b.homeOf100(); n < 40 || n > 80 {
		t.Errorf("%d of 100 networks are sent home, want about 60", n)
	}
	b.do(incident.StepBack{}, me)
	b.allAway()
	if n := b.homeOf100(); n != 0 {
		t.Errorf("%d of 100 networks are sent home", n)
	}
	b.do(incident.GoBack{Because: "It is out, really."}, me)
	b.atFirstStage()
	for range 2 {
		b.do(incident.Advance{Reason: "It looks well."}, me)
	}
	b.eventually("everybody is back", func() bool { return b.phase() == incident.Watch || b.phase() == incident.Review })
	if n := b.homeOf100(); n != 100 {
		t.Errorf("%d of 100 networks are sent home", n)
	}
}

func TestAStepBackTakesTheShareBack(t *testing.T) {
	t.Parallel()
	b := launchStaged(t, "1h")
	b.atFirstStage()
	b.do(incident.StepBack{}, me)
	b.allAway()
}

func TestTheSiteSeenDownTakesTheShareBack(t *testing.T) {
	t.Parallel()
	b := launchStaged(t, "1h")
	b.atFirstStage()
	b.up.Store("down", true)
	b.allAway()
}

// The hold outlives control; and a share that could not be taken back, because answer was
// gone, is taken back when it is there again.
func TestAShareOutlivesControlAndIsTakenBackInTheEnd(t *testing.T) {
	t.Parallel()
	b := launchStaged(t, "1h")
	b.atFirstStage()
	b.stopC()
	b.control()
	b.ready()
	b.atFirstStage()
	b.stopA()
	if _, err := b.eng.Do(context.Background(), "shop", incident.StepBack{}, me); err == nil {
		t.Error("a share was taken back with nobody to tell")
	}
	if p := b.state().Pulls[0]; b.phase() != incident.Diagnose || !p.Moving() || !p.ShareFailed {
		t.Errorf("at %s: %+v", b.phase(), p)
	}
	b.startAnswer()
	b.allAway()
}
