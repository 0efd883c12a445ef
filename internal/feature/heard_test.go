package feature

import (
	"testing"
	"time"
)

func TestWhoHasHeardInWords(t *testing.T) {
	t.Parallel()
	clock := func(t time.Time) string { return t.Format("15:04") }
	seen := time.Date(2026, 3, 1, 10, 2, 0, 0, time.UTC)
	for want, l := range map[string]Listeners{
		"": {},
		"14 of 15 open pages have heard, the slowest after 1.9 s; 1 not seen since 10:02.": {Clients: 15, Heard: 14, Slowest: 1900 * time.Millisecond, Behind: []Behind{{Clients: 1, Seen: seen}}},
		"1 of 1 open page has heard.":                           {Clients: 1, Heard: 1},
		"0 of 3 open pages have heard; 3 not seen since 10:02.": {Clients: 3, Behind: []Behind{{Clients: 3, Seen: seen}}},
	} {
		if got := l.Words("open page", "open pages", clock); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
