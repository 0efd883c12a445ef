package postmortem

import (
	"strings"
	"testing"

	"lifeboat/internal/incident"
)

// BenchmarkBuild writes up a night of ten thousand events: the longest story with what was
// seen and captured in it told again and again.
func BenchmarkBuild(b *testing.B) {
	var longest, again []incident.Event
	var o Options
	for _, x := range stories(b) {
		if len(x.events) > len(longest) {
			longest, o = x.events, x.o
		}
	}
	for _, e := range longest {
		if strings.HasPrefix(string(e.Type), "check.") || strings.HasPrefix(string(e.Type), "evidence.") || e.Type == incident.RuleOverridden {
			again = append(again, e)
		}
	}
	events := append([]incident.Event{}, longest...)
	for len(events) < 10_000 {
		e := again[len(events)%len(again)]
		e.Seq = uint64(len(events) + 1)
		events = append(events, e)
	}
	for b.Loop() {
		Build(events, o)
	}
}
