package card

import (
	"strings"
	"testing"
)

// TestCard: armed levers come first, and the first one is in the command to type.
func TestCard(t *testing.T) {
	t.Parallel()
	levers := []Lever{{Name: "b"}, {Name: "a", Armed: true}, {Name: "c", Armed: true}}
	got := Sorted(levers)
	if got[0].Name != "a" || got[1].Name != "c" || got[2].Name != "b" || levers[0].Name != "b" {
		t.Errorf("%v", got)
	}
	c := Card{Sites: []Site{{Title: "Blog"}, {Title: "Shop", Levers: got}}}
	if said := c.Steps()[1].Command; said != "lifeboat pull a" {
		t.Errorf("%q", said)
	}
	if said := (Card{}).Steps()[1].Command; !strings.HasSuffix(said, " LEVER") {
		t.Errorf("%q", said)
	}
}
