package api_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/api"
	"lifeboat/internal/fault"
	"lifeboat/internal/parentwatch"
)

// outsider stands in for the look from outside.
type outsider struct{}

func (outsider) Zones() []string { return []string{"shop.example.com."} }
func (outsider) Reports() []parentwatch.Report {
	return []parentwatch.Report{{
		Zone: "shop.example.com.", State: parentwatch.Partly, Verdict: "1 of 2 name servers is behind.",
		Registration: &parentwatch.Registration{Expires: time.Now().Add(time.Hour)},
	}}
}
func (o outsider) Look(_ context.Context, apex string) (parentwatch.Report, error) {
	if apex != "shop.example.com." {
		return parentwatch.Report{}, fault.New(fault.NotFound, "there is no zone %q here", apex)
	}
	return o.Reports()[0], nil
}

func TestWhatTheWorldSees(t *testing.T) {
	t.Parallel()
	b := launch(t)
	o := b.options()
	o.Outside = outsider{}
	h := api.New(o)
	for _, tt := range []struct {
		method, body string
		status       int
		part         string
	}{
		{"GET", "", 200, "is behind"},
		{"POST", `{}`, 200, "is behind"},
		{"POST", `{"zone": "Shop.example.com"}`, 200, "is behind"},
		{"POST", `{"zone": "other.example."}`, 404, "there is no zone"},
	} {
		var in any
		if tt.body != "" {
			in = tt.body
		}
		r := send(t, h, tt.method, "/api/v1/dns/watch", b.raw, in)
		if r.status != tt.status || !strings.Contains(string(r.body), tt.part) {
			t.Errorf("%s %s: %d %s", tt.method, tt.body, r.status, r.body)
		}
	}
	if r := send(t, b.handler, "POST", "/api/v1/dns/watch", b.raw, "{}"); r.status/100 == 2 {
		t.Errorf("nobody looks, and yet %d %s", r.status, r.body)
	}
}

func TestChallenges(t *testing.T) {
	t.Parallel()
	e, b := listen(t)
	r := b.do("POST", "/api/v1/dns/challenges", map[string]any{"name": "shop.example.com", "values": []string{"abc"}, "for": "90s"}, 200)
	if e.did != "prove shop.example.com[abc] 1m30s" || !strings.Contains(string(r.body), "_acme-challenge.shop.example.com.") {
		t.Errorf("%s: %s", e.did, r.body)
	}
	b.do("POST", "/api/v1/dns/challenges", map[string]any{"name": "shop.example.com", "values": []string{"abc"}}, 200)
	if e.did != "prove shop.example.com[abc] 10m0s" {
		t.Error(e.did)
	}
	b.do("POST", "/api/v1/dns/challenges", map[string]any{"name": "shop.example.com", "values": []string{"abc"}, "for": "soon"}, 422)
	b.do("POST", "/api/v1/dns/challenges", map[string]any{"name": "shop.example.com"}, 422)
	b.do("DELETE", "/api/v1/dns/challenges?name=shop.example.com&value=abc", nil, 204)
	if e.did != "unprove shop.example.com[abc]" {
		t.Error(e.did)
	}
	b.do("DELETE", "/api/v1/dns/challenges?name=shop.example.com", nil, 204)
	if e.did != "unprove shop.example.com[]" {
		t.Error(e.did)
	}
	if r := b.do("GET", "/api/v1/dns/challenges", nil, 200); !strings.Contains(string(r.body), "_acme-challenge.shop.example.com.") {
		t.Errorf("%s", r.body)
	}
}
