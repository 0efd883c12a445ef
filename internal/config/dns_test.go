package config

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/authdns"
	"lifeboat/internal/ratelimit"
	"lifeboat/internal/snapshot"
)

func TestDNS(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", maxServerName/2)
	for text, want := range map[string]snapshot.DNS{
		"":                                  {},
		"dns:\n":                            {},
		"dns: {}\n":                         {},
		"dns: {exempt: }\n":                 {},
		"dns: {nsid: ns1.example.net}\n":    {NSID: "ns1.example.net"},
		"dns: {nsid: " + long + "}\n":       {NSID: long},
		"dns: {require_cookie: true}\n":     {RequireCookie: true},
		"dns: {require_cookie: false}\n":    {},
		"dns: {rate: 1, slip: 1}\n":         {Rate: 1, Slip: 1},
		"dns: {query_log: 10}\n":            {QueryLog: 10},
		"dns: {rate: 1000000, slip: 100}\n": {Rate: 1000000, Slip: 100},
		"dns: {rate: off, slip: off}\n":     {Rate: -1, Slip: -1},
		"dns: {exempt: []}\n":               {Exempt: []netip.Prefix{}},
		"dns: {exempt: [\"192.0.2.0/24\", \"2001:DB8::/32\", \"0.0.0.0/0\"]}\n": {
			Exempt: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("0.0.0.0/0")},
		},
	} {
		c, err := Parse("x.yaml", []byte(minimal+text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, c.DNS, same); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

// The sample says what holds without it, and a name fits that a server tells whole.
func TestSampleOfDNSIsTheUsual(t *testing.T) {
	t.Parallel()
	c, err := Parse("example.yaml", []byte(uncommented()))
	if err != nil {
		t.Fatal(err)
	}
	want := snapshot.DNS{NSID: "ns1", Rate: 200, Slip: 2, Exempt: ratelimit.Loopback}
	if diff := cmp.Diff(want, c.DNS, same); diff != "" {
		t.Error(diff)
	}
	if maxServerName != authdns.MaxNSID {
		t.Errorf("%d octets are taken, %d are told", maxServerName, authdns.MaxNSID)
	}
}
