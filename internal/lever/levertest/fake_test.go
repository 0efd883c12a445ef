package levertest_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"lifeboat/internal/lever"
	"lifeboat/internal/lever/levertest"
)

func now() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func TestFake(t *testing.T) {
	t.Parallel()
	levertest.Run(t, func(t *testing.T) *levertest.Stage {
		f := levertest.NewFake(now, map[string]string{"door": "open"})
		return &levertest.Stage{
			Driver: f, Restart: func() lever.Driver { return f },
			Card:  levertest.FakeCard("close-door", "shop", "door", "closed"),
			Bad:   map[string]lever.Card{"no such thing": levertest.FakeCard("x", "shop", "window", "closed"), "nowhere to go": levertest.FakeCard("x", "shop", "door", "")},
			State: func() string { return f.At("door") }, Drift: func() { f.Put("door", "ajar") },
			Blind:  func() func() { f.Blind(true); return func() { f.Blind(false) } },
			Hang:   func() func() { f.Blind(true); return func() { f.Blind(false) } }, // its Hang waits for the caller's deadline, however long
			Fail:   func(err error) { f.Fail(levertest.Apply, err); f.Fail(levertest.Revert, err) },
			Writes: f.Writes,
		}
	})
}

func TestFakeSwitches(t *testing.T) {
	t.Parallel()
	f := levertest.NewFake(now, map[string]string{"door": "open"})
	card := levertest.FakeCard("close-door", "shop", "door", "closed")
	p, err := f.Plan(t.Context(), lever.Request{Card: card, Now: now()})
	if err != nil {
		t.Fatal(err)
	}
	lost := errors.New("lost")
	f.Unsure(levertest.Apply, lost)
	if err := f.Apply(t.Context(), p, 0, lever.Token{}); !errors.Is(err, lost) || f.At("door") != "closed" {
		t.Errorf("unsure: %v, at %s", err, f.At("door"))
	}
	var heard []string
	f.Hook(func(verb string) { heard = append(heard, verb) })
	f.Fail(levertest.Observe, lost)
	if obs, err := f.Observe(t.Context(), p, 0); err != nil || obs.World != lever.Unknown {
		t.Errorf("a failed look: %+v, %v", obs, err)
	}
	if want := []string{levertest.Observe}; !slices.Equal(heard, want) {
		t.Errorf("heard %q", heard)
	}
	if want := []string{"plan door", "apply door", "observe door"}; !slices.Equal(f.Calls(), want) {
		t.Errorf("calls %q", f.Calls())
	}
}
