package engine_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/lever"
	"lifeboat/internal/probe"
)

// blinkered is the zone driver with eyes that a test can cover or cross.
type blinkered struct {
	lever.Driver
	world *atomic.Pointer[lever.World] // what it claims to see; nil: the truth
	looks *atomic.Int64                // how often it was asked
}

func (d blinkered) Observe(ctx context.Context, p lever.Plan, step int) (lever.Observation, error) {
	d.looks.Add(1)
	if w := d.world.Load(); w != nil {
		return lever.Observation{World: *w, Detail: "the test says so"}, nil
	}
	return d.Driver.Observe(ctx, p, step)
}

func (d blinkered) Revert(ctx context.Context, p lever.Plan, step int, t lever.Token) (lever.Observation, error) {
	if obs, err := d.Observe(ctx, p, step); err != nil || obs.World == lever.Foreign {
		return obs, err
	}
	return d.Driver.Revert(ctx, p, step, t)
}

// blind launches a boat whose zone driver can be made to see what a test wants.
func blind(t *testing.T) (*boat, func(lever.World)) {
	world := &atomic.Pointer[lever.World]{}
	b := launch(t, "propose")
	b.stopC()
	b.wrap = func(d lever.Driver) lever.Driver { return blinkered{d, world, &b.looks} }
	b.control()
	b.eventually("ready", func() bool { return b.overview().Answer.Ready })
	return b, func(w lever.World) {
		if w == "" {
			world.Store(nil)
			return
		}
		world.Store(&w)
	}
}

func (b *boat) events() []incident.Event {
	b.t.Helper()
	ev, err := b.eng.Events(context.Background(), b.overview().Sites[0].Incident.ID)
	must(b.t, err)
	must(b.t, incident.Verify(ev))
	return ev
}

func (b *boat) happened(want incident.Type) bool {
	for _, e := range b.events() {
		if e.Type == want {
			return true
		}
	}
	return false
}

func TestTheIntentIsInTheRecordBeforeTheAnswerChanges(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	b.drill("to-standby")
	var seen atomic.Bool
	b.hook = func(point string) {
		if point != "intent recorded" {
			return
		}
		kvs, _, err := b.store.List(context.Background(), "event/")
		must(t, err)
		for _, kv := range kvs {
			if strings.Contains(string(kv.Value), string(incident.LeverApplying)) && strings.Contains(string(kv.Value), `"zone:shop"`) {
				seen.Store(true)
			}
		}
		if got := b.addr(); got != "127.0.0.1" {
			t.Errorf("DNS answers %s before the act", got)
		}
	}
	must(t, b.pull("to-standby", ""))
	if !seen.Load() {
		t.Error("the intent was not in the record when the act began")
	}
}

func TestWhatCannotBeSeenIsNotCalledDone(t *testing.T) {
	t.Parallel()
	b, see := blind(t)
	see(lever.Unknown)
	err := b.pull("to-standby", "nobody has rehearsed it")
	if fault.KindOf(err) != fault.Unavailable || !b.happened(incident.LeverUnknown) || b.happened(incident.LeverActive) {
		t.Fatalf("pressed without eyes: %v", err)
	}
	see("")
	_, err = b.eng.Do(context.Background(), "shop", incident.PutBack{Lever: "to-standby"}, me)
	must(t, err)
	if got := b.addr(); got != "127.0.0.1" {
		t.Fatalf("DNS answers %s", got)
	}
}

func TestWhatSomebodyElseChangedIsShownNotFought(t *testing.T) {
	t.Parallel()
	b, see := blind(t)
	must(t, b.pull("to-standby", "nobody has rehearsed it"))
	before := b.overview().Sites[0].Ordered.Generation
	see(lever.Foreign)
	b.eventually("drift is noticed", func() bool { return b.happened(incident.LeverDrift) })
	if o := b.overview(); o.Sites[0].Ordered.Generation != before || !o.Sites[0].Levers[0].Drifted {
		t.Fatalf("it was fought, or not shown: %+v", o.Sites[0].Levers[0])
	}
	_, err := b.eng.Do(context.Background(), "shop", incident.PutBack{Lever: "to-standby"}, me)
	if fault.KindOf(err) != fault.Conflict {
		t.Fatalf("a put-back over somebody else's change: %v", err)
	}
}

func TestWithoutAnswerNothingIsPublished(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	b.eventually("ready", func() bool { return b.overview().Answer.Ready })
	b.stopA()
	b.eventually("answer is gone", func() bool { return !b.overview().Answer.Connected })
	err := b.pull("to-standby", "it is down")
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "answer pull") {
		t.Fatalf("a press without answer: %v", err)
	}
	if o := b.overview(); o.Sites[0].Ordered.Position != "main" {
		t.Fatalf("ordered: %+v", o.Sites[0].Ordered)
	}
}

func TestWhatWasSeenBeforeAnswerLeftIsNotKnown(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	b.homeSeen(probe.Up)
	b.stopA()
	b.clockMu.Lock()
	b.skew = time.Minute
	b.clockMu.Unlock()
	b.homeSeen(probe.Unknown)
}

func TestWhatIsOrderedButNotThereYetIsNotCalledPutBack(t *testing.T) {
	t.Parallel()
	b, see := blind(t)
	see(lever.Unknown)
	if err := b.pull("to-standby", "nobody has rehearsed it"); err == nil {
		t.Fatal("pressed without eyes, and called done")
	}
	see(lever.Before) // the old answer is seen once more while the order is in force
	looks := b.looks.Load()
	b.eventually("it was looked at", func() bool { return b.looks.Load() > looks+2 })
	if b.happened(incident.LeverUndone) {
		t.Fatal("the pull counts as put back while the site is ordered to the standby")
	}
	see("")
	b.eventually("it is seen in force", func() bool { return b.happened(incident.LeverActive) })
}
