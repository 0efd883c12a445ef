package engine

import (
	"context"
	"errors"

	"lifeboat/internal/fault"
	"lifeboat/internal/store"
	"lifeboat/internal/zone"
)

// Sizes counts the records of zones, and refuses, all at once, those that have lost more
// than half of what they had when they were published last: a generator that failed
// looks like that. Where the configuration says how many are enough (by apex), as many
// are taken. Nothing is written: Options.Sizes are kept once answer has greeted.
func Sizes(ctx context.Context, s store.Store, zones []*zone.Zone, enough map[string]int) (map[string]int, error) {
	before := map[string]int{}
	if err := list(ctx, s, keySize, before); err != nil {
		return nil, err
	}
	out := map[string]int{}
	var problems []error
	for _, z := range zones {
		n := z.Size()
		out[z.Apex()] = n
		if least, said := enough[z.Apex()]; said && n >= least {
			continue
		}
		var f *fault.Error
		if err := zone.Shrunk(z, before[z.Apex()]); errors.As(err, &f) {
			problems = append(problems, f.WithHint("answer goes on with the zone that it has; if this one is right, write at_least: %d in it", n))
		}
	}
	return out, errors.Join(problems...)
}
