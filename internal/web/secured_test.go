package web

import (
	"testing"
	"time"

	"lifeboat/internal/engine"
)

func TestSecuredFor(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	for want, h := range map[string]*engine.HTTPSView{
		"": nil,
		"The standby has no certificate for shop.example.com: in a crisis its visitors would meet a warning.": {Names: 2, Least: "shop.example.com"},
		"A certificate of the standby is over: in a crisis visitors would meet a warning.":                    {Names: 2, Until: now},
		"The standby holds certificates for 2\u00a0names, good for 57\u00a0days. Readiness 92 of 100.":        {Names: 2, Ready: 92, Until: now.Add(57*24*time.Hour + time.Hour)},
		"The standby holds certificates for 1\u00a0name, good for 1\u00a0day. Readiness 50 of 100.":           {Names: 1, Ready: 50, Until: now.Add(25 * time.Hour)},
	} {
		if got := securedFor(engine.Overview{Now: now, HTTPS: h}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
