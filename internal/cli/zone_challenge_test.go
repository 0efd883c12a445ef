package cli

import (
	"strings"
	"testing"
)

func TestZoneChallenge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args  []string
		asked string
		out   string
		code  int
	}{
		{[]string{"shop.example.com", "abc", "def", "--for", "90s"}, "prove shop.example.com[abc def] 1m30s", "_acme-challenge.shop.example.com. gives out 2 proofs until", 0},
		{[]string{"shop.example.com", "abc"}, "prove shop.example.com[abc] 10m0s", "gives out 1 proof until", 0},
		{[]string{"--drop", "shop.example.com", "abc"}, "unprove shop.example.com[abc]", "no more", 0},
		{[]string{"--drop", "shop.example.com"}, "unprove shop.example.com[]", "no more", 0},
		{nil, "", "_acme-challenge.shop.example.com. until", 0},
		{[]string{"--drop"}, "", "", 2},
		{[]string{"shop.example.com"}, "", "", 2},
		{[]string{"shop.example.com", strings.Repeat("x", 10), "--for", "soon"}, "", "", 2},
	} {
		s := &scene{}
		r := run(t, s, append([]string{"zone", "challenge"}, tt.args...)...)
		if r.code != tt.code || s.asked != tt.asked || !strings.Contains(r.out, tt.out) {
			t.Errorf("%q: exit %d, asked %q, out %q, err %q", tt.args, r.code, s.asked, r.out, r.err)
		}
	}
}
