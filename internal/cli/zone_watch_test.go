package cli

import (
	"context"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/parentwatch"
)

// outsider stands in for the look from outside.
type outsider struct{ reports []parentwatch.Report }

func (o *outsider) Reports() []parentwatch.Report { return o.reports }
func (o *outsider) Zones() []string               { return []string{"shop.example.com."} }
func (o *outsider) Look(_ context.Context, apex string) (parentwatch.Report, error) {
	r := o.reports[0]
	r.Zone = apex
	return r, nil
}

func TestZoneWatch(t *testing.T) {
	t.Parallel()
	serial := uint32(41)
	behind := parentwatch.Report{
		Zone: "shop.example.com.", At: noon, State: parentwatch.Partly, Verdict: "1 of 2 name servers answers with serial 41, we publish 43.", Serial: 43,
		Problems: []string{"1 of 2 name servers answers with serial 41, we publish 43.", "The domain example.com. expires on 2026-06-01, in 5 days. Renew it."},
		Servers:  []parentwatch.Server{{Name: "ns1.example.net.", Address: "192.0.2.53:53", Serial: &serial}, {Name: "ns2.example.net.", Problem: "it does not answer"}},

		Registration: &parentwatch.Registration{Domain: "example.com.", Expires: noon.Add(5 * 24 * time.Hour)},
	}
	well := parentwatch.Report{Zone: "shop.example.com.", At: noon, State: parentwatch.Seen, Verdict: "The world sees what we publish."}
	for about, tt := range map[string]struct {
		report parentwatch.Report
		args   []string
		code   int
		parts  []string
	}{
		"not all of it": {behind, []string{"shop.example.com"}, 1, []string{"1 of 2 name servers answers", "Renew it.", "ns1.example.net.", "192.0.2.53:53", "it does not answer", "registered until"}},
		"all of it":     {well, nil, 0, []string{"The world sees what we publish."}},
		"the last look": {well, []string{"--last"}, 0, []string{"The world sees what we publish."}},
		"for machines":  {well, []string{"--json"}, 0, []string{`"state": "seen"`}},
	} {
		s := &scene{outside: &outsider{[]parentwatch.Report{tt.report}}}
		r := run(t, s, append([]string{"zone", "watch"}, tt.args...)...)
		if r.code != tt.code {
			t.Errorf("%s: exit %d, %s", about, r.code, r.err)
		}
		for _, part := range tt.parts {
			if !strings.Contains(r.out, part) {
				t.Errorf("%s: no %q in %s", about, part, r.out)
			}
		}
	}
}
