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

// A preview ends with the command that does just that, and not more.
func TestAPreviewSaysHowToDoIt(t *testing.T) {
	t.Parallel()
	clear := quarantine.Preview{Rows: 2, Clear: true}
	words := backWords(true, []string{"4711"}, []string{"orders 4711 note=it's fine"})
	if want := ` --only '4711' --edit 'orders 4711 note=it'\''s fine' --skip`; words != want {
		t.Errorf("%s, want %s", words, want)
	}
	if said := previewText(clear, "lifeboat data restore op1"+words); !strings.HasSuffix(said, "To put them back: lifeboat data restore op1"+words) {
		t.Error(said)
	}
	if said := previewText(quarantine.Preview{Clear: true}, "lifeboat data restore op1"); strings.Contains(said, "restore") {
		t.Errorf("there is nothing to put back: %s", said)
	}
}
