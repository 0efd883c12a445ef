package engine_test

import (
	"context"
	"strings"
	"testing"

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
