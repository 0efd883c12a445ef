package cli

import (
	"strings"
	"testing"
	"time"

	"lifeboat/internal/quarantine"
	"lifeboat/internal/quarantine/desk"
)

// What can be done next is said with all that has to be typed.
func TestWhatIsNextWithAPlan(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	const apply = `lifeboat data apply p1 --hash 0123456789ab --reason "why"`
	for name, c := range map[string]struct {
		change func(*desk.Kept)
		says   string
	}{
		"new":         {func(*desk.Kept) {}, "Nothing was changed. To carry it out: " + apply},
		"refused":     {func(k *desk.Kept) { k.Plan.Refused = []quarantine.Refusal{{}} }, "make another plan"},
		"to approve":  {func(k *desk.Kept) { k.Approval = true }, "lifeboat data approve p1 --hash 0123456789ab"},
		"cut short":   {func(k *desk.Kept) { k.Begun = now }, apply},
		"stopped":     {func(k *desk.Kept) { k.Begun, k.Progress = now, &desk.Progress{} }, apply},
		"halted":      {func(k *desk.Kept) { k.Begun, k.Progress = now, &desk.Progress{Problem: "it is full"} }, apply},
		"under way":   {func(k *desk.Kept) { k.Begun, k.Progress = now, &desk.Progress{Running: true} }, "lifeboat data stop p1"},
		"carried out": {func(k *desk.Kept) { k.Begun, k.Done = now, now }, "It was carried out"},
	} {
		k := desk.Kept{Plan: quarantine.Plan{ID: "p1", Hash: strings.Repeat("0123456789abcdef", 4)}}
		c.change(&k)
		if said := planNext(k); !strings.Contains(said, c.says) {
			t.Errorf("%s: %q does not say %q", name, said, c.says)
		}
	}
}
