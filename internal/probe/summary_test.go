package probe_test

import (
	"testing"

	"lifeboat/internal/probe"
)

func TestSummarise(t *testing.T) {
	t.Parallel()
	gate := func(s probe.Seen) probe.View { return probe.View{Gate: true, Seen: s} }
	watch := func(s probe.Seen) probe.View { return probe.View{Seen: s} }
	for _, tc := range []struct {
		name  string
		views []probe.View
		want  probe.Seen
	}{
		{"nothing is checked", nil, probe.Unknown},
		{"all up", []probe.View{gate(probe.Up), gate(probe.Up)}, probe.Up},
		{"one down", []probe.View{gate(probe.Up), gate(probe.Unknown), gate(probe.Down)}, probe.Down},
		{"down wins over unknown", []probe.View{gate(probe.Down), gate(probe.Unknown)}, probe.Down},
		{"one unknown", []probe.View{gate(probe.Up), gate(probe.Unknown)}, probe.Unknown},
		{"not yet seen counts as unknown", []probe.View{gate(probe.Up), gate("")}, probe.Unknown},
		{"what is no gate doesn't decide beside one", []probe.View{gate(probe.Up), watch(probe.Down)}, probe.Up},
		{"without a gate all decide", []probe.View{watch(probe.Up), watch(probe.Down)}, probe.Down},
		{"without a gate all up", []probe.View{watch(probe.Up), watch(probe.Up)}, probe.Up},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := probe.Summarise(tc.views); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
