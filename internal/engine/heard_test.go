package engine_test

import (
	"strings"
	"testing"

	"lifeboat/internal/incident"
	"lifeboat/internal/probe"
)

// TestTheTimelineSaysWhoHasHeard: once every program that asks has met the closed feature,
// once for each pull.
func TestTheTimelineSaysWhoHasHeard(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	b.homeSeen(probe.Up)
	b.askedBy("checkout", "u1")
	must(t, b.pull("close-checkout", "orders fail"))
	b.eventually("the timeline says who has heard", func() bool {
		b.askedBy("checkout", "u1")
		return b.toldOf("1 of 1 program has heard") == 1
	})
	b.stopC()
	b.control()
	b.ready()
	b.do(incident.Note{Text: "Looked again."}, me)
	if n := b.toldOf("has heard"); n != 1 {
		t.Errorf("told %d times", n)
	}
}

func (b *boat) toldOf(text string) int {
	b.t.Helper()
	events, err := b.eng.Events(b.t.Context(), b.state().ID)
	must(b.t, err)
	n := 0
	for _, e := range events {
		if e.Type == incident.NoteAdded && strings.Contains(e.Text, text) {
			n++
		}
	}
	return n
}
