package lever

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// PlanLife is how long a plan may wait before it must be made anew.
const PlanLife = 15 * time.Minute

// NewPlan makes a plan of one step and names it by its contents.
func NewPlan(r Request, target, says string, before, after any) (Plan, error) {
	b, err := json.Marshal(before)
	if err != nil {
		return Plan{}, fmt.Errorf("encode before: %w", err)
	}
	a, err := json.Marshal(after)
	if err != nil {
		return Plan{}, fmt.Errorf("encode after: %w", err)
	}
	return OneStep(r, target, Step{Name: "move", Says: says, Before: b, After: a})
}

// OneStep makes a plan of the step and names it by its contents.
func OneStep(r Request, target string, step Step) (Plan, error) {
	p := Plan{
		Lever: r.Card.Name, Kind: r.Card.Kind, Target: target, Drill: r.Drill, Expires: r.Now.Add(PlanLife).UTC(),
		Steps: []Step{step}, Config: r.Card.Config,
	}
	h, err := json.Marshal(struct {
		Lever, Target string
		Steps         []Step
	}{p.Lever, p.Target, p.Steps})
	if err != nil {
		return Plan{}, fmt.Errorf("encode plan: %w", err)
	}
	sum := sha256.Sum256(h)
	p.Hash = hex.EncodeToString(sum[:])
	return p, nil
}

// Weigh sums up what the witnesses saw: all alike is that, both ends at once is
// Partial, a stranger at one of them is Foreign whatever the others say, and else one
// that can't be asked, or nobody to ask, is Unknown.
func Weigh(seen []Sighted) World {
	count := map[World]int{}
	for _, s := range seen {
		count[s.World]++
	}
	switch {
	case count[Foreign] > 0:
		return Foreign
	case len(seen) == 0 || count[Unknown] > 0:
		return Unknown
	case count[After] == len(seen):
		return After
	case count[Before] == len(seen):
		return Before
	}
	return Partial
}
