package lever_test

import (
	"encoding/json"
	"testing"
	"time"

	"lifeboat/internal/lever"
)

func TestWeigh(t *testing.T) {
	t.Parallel()
	b, a, f, u := lever.Before, lever.After, lever.Foreign, lever.Unknown
	for _, c := range []struct {
		seen []lever.World
		want lever.World
	}{
		{nil, u},
		{[]lever.World{a}, a},
		{[]lever.World{b, b}, b},
		{[]lever.World{a, b}, lever.Partial},
		{[]lever.World{a, u}, u},
		{[]lever.World{b, u}, u},
		{[]lever.World{u, u}, u},
		{[]lever.World{a, f}, f},
		{[]lever.World{b, f}, f},
		{[]lever.World{f, u}, f},
		{[]lever.World{a, b, f, u}, f},
		{[]lever.World{a, lever.Partial}, lever.Partial},
	} {
		var seen []lever.Sighted
		for _, w := range c.seen {
			seen = append(seen, lever.Sighted{World: w})
		}
		if got := lever.Weigh(seen); got != c.want {
			t.Errorf("%v come to %q, want %q", c.seen, got, c.want)
		}
	}
}

// A plan's name stands for what it does: it changes with any of that, and with
// nothing else.
func TestPlanHash(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r := lever.Request{Card: lever.Card{Name: "l", Kind: "fake"}, Now: at}
	first, err := lever.NewPlan(r, "door", "move it", "open", "closed")
	if err != nil {
		t.Fatal(err)
	}
	if !first.Expires.Equal(at.Add(lever.PlanLife)) {
		t.Errorf("expires %s", first.Expires)
	}
	later := r
	later.Now = at.Add(time.Hour)
	if p, _ := lever.NewPlan(later, "door", "move it", "open", "closed"); p.Hash != first.Hash {
		t.Error("the hash changes with the time")
	}
	other := r
	other.Card.Name = "m"
	for name, make := range map[string]func() (lever.Plan, error){
		"lever":  func() (lever.Plan, error) { return lever.NewPlan(other, "door", "move it", "open", "closed") },
		"target": func() (lever.Plan, error) { return lever.NewPlan(r, "window", "move it", "open", "closed") },
		"before": func() (lever.Plan, error) { return lever.NewPlan(r, "door", "move it", "ajar", "closed") },
		"after":  func() (lever.Plan, error) { return lever.NewPlan(r, "door", "move it", "open", "locked") },
	} {
		if p, err := make(); err != nil || p.Hash == first.Hash {
			t.Errorf("the hash stays with another %s (%v)", name, err)
		}
	}
	if _, err := lever.NewPlan(r, "door", "move it", json.RawMessage("{"), "closed"); err == nil {
		t.Error("a before that is no JSON makes a plan")
	}
}
