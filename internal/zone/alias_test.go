package zone

import (
	"net/netip"
	"strings"
	"testing"

	"lifeboat/internal/fault"
)

// A CNAME stands alone, and is no apex: a name that can't follow an alias is told of
// before anything is served.
func TestAliases(t *testing.T) {
	t.Parallel()
	main := Addresses{IPs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}
	for about, tt := range map[string]struct {
		follow, alias, text string
		want                []string
	}{
		"good":             {"www.example.com.", "shop.cdn.example.net.", "", nil},
		"with a proof":     {"www.example.com.", "shop.cdn.example.net.", "_acme-challenge.www IN TXT \"x\"\n", nil},
		"an apex":          {"example.com.", "shop.cdn.example.net.", "", []string{"a zone's own name can't be one", "let only names below example.com. follow"}},
		"other records":    {"www.example.com.", "shop.cdn.example.net.", "www IN MX 10 mail.example.net.\n", []string{"records of its own", "a CNAME stands alone"}},
		"leads to itself":  {"www.example.com.", "WWW.example.com.", "", []string{"which follows the same site"}},
		"is no name":       {"www.example.com.", "shop.cdn.example.net", "", []string{"final dot", "absolute name"}},
		"another position": {"www.example.com.", "", "", nil},
	} {
		sites := map[string]Positions{"shop": {"main": main, "cdn": {Alias: tt.alias}}}
		if tt.alias == "" {
			sites["shop"]["cdn"] = main
		}
		src := Source{Apex: "example.com.", File: "t.zone", Line: 1, TTL: 60, NS: []string{"ns.example.net."}, Text: tt.text, Follow: map[string]string{tt.follow: "shop"}}
		_, _, err := Readable([]Source{src}, sites)
		if (err == nil) != (tt.want == nil) || err != nil && fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", about, err)
			continue
		}
		for _, part := range tt.want {
			if !strings.Contains(err.Error(), part) || !strings.Contains(err.Error(), "t.zone") {
				t.Errorf("%s: %v; want %q", about, err, part)
			}
		}
	}
}
