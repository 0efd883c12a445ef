package api_test

import (
	"context"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"lifeboat/internal/api"
	"lifeboat/internal/certs"
	"lifeboat/internal/engine"
	"lifeboat/internal/feed"
	"lifeboat/internal/probe"
	"lifeboat/internal/signer"
)

// talkative is an answer that has seen and counted something.
func talkative(b *boat) {
	b.wire.status = feed.Status{
		At: b.clock.now(), Gaps: 2, Waiting: 1,
		Sights: []feed.Sight{
			{Site: "shop", Place: "main", Check: "home", Gate: true, Seen: probe.Down, Last: probe.Result{At: b.clock.now().Add(-3 * time.Second), Took: time.Second}},
			{Site: "shop", Place: "standby", Check: "standing", Gate: true, Seen: probe.Up, Last: probe.Result{At: b.clock.now()}},
		},
		Visits: map[string]feed.Visits{"shop": {Failover: 5, Late: 1}},
		Counters: map[string]uint64{
			"dns_queries": 7, "dns_rcode_noerror": 6, "dns_asked A shop.example.com.": 5, "dns_rcode_nxdomain": 1, "dns_dropped": 0, "dns_malformed": 0, "dns_truncated": 0, "dns_limited": 0, "dns_slipped": 0, "dns_panics": 0,
			"transfer_whole": 0, "transfer_changes": 0, "transfer_refused": 0, "transfer_shed": 0, "transfer_broken": 0, "transfer_unsigned": 0, "transfer_told": 0, "transfer_untold": 0, "transfer_heard": 0, "transfer_in": 0, "dns_secondaries_behind": 1, "dns_copies_expired": 0,
			"dns_tcp_connections": 0, "dns_tcp_refused": 0, "dns_socket_errors": 0, "ofrep_answered": 3, "ofrep_unknown": 0, "ofrep_refused": 0, "ofrep_not_ready": 0,
			"ofrep_bulk": 0, "ofrep_not_modified": 0, "ofrep_denied": 0, "ofrep_limited": 0, "ofrep_shed": 0, "ofrep_streams": 0, "ofrep_told": 0, "ofrep_copied": 0,
			"standby_open": 3, "standby_full": 0, "standby_greedy": 0, "standby_shed": 0, "standby_unasked": 0, "standby_handshakes": 0, "standby_unknown_names": 0, "standby_strays": 0,
			"something_new": 1,
		},
	}
}

func scrape(t *testing.T, b *boat) string {
	t.Helper()
	return string(send(t, b.handler, "GET", "/metrics", "", nil).body)
}

func TestMetricsTell(t *testing.T) {
	t.Parallel()
	b := launch(t, talkative)
	b.engine.Status()
	b.do("POST", "/api/v1/levers/to-standby/drill", nil, 200)
	b.do("POST", "/api/v1/levers/to-standby/pull", nil, 200)
	send(t, b.handler, "GET", "/api/v1/incidents/random-"+strings.Repeat("x", 20), b.raw, nil)
	send(t, b.handler, "GET", "/wp-login.php", "", nil)
	got := scrape(t, b)
	for _, line := range []string{
		`lifeboat_site_ordered{position="standby",site="shop"} 1`,
		`lifeboat_site_ordered{position="main",site="shop"} 0`,
		`lifeboat_site_seen{place="main",site="shop"} 0`,
		`lifeboat_site_seen{place="standby",site="shop"} 1`,
		`lifeboat_site_seen_age_seconds{place="main",site="shop"} 2`,
		`lifeboat_site_ttl_seconds{site="shop"} 600`,
		`lifeboat_site_auto_held{site="shop"} 0`,
		`lifeboat_incidents_open{phase="diagnose",site="shop"} 1`,
		`lifeboat_incidents_open{phase="fail_over",site="shop"} 0`,
		`lifeboat_lever_active{kind="zone",site="shop"} 1`,
		`lifeboat_lever_active{kind="feature",site="shop"} 0`,
		`lifeboat_lever_armed_left_seconds{lever="to-standby"} 2.592e+06`,
		`lifeboat_lever_armed_left_seconds{lever="close-checkout"} 0`,
		`lifeboat_answer_connected 1`,
		`lifeboat_answer_ready 1`,
		`lifeboat_answer_reports_lost_total 2`,
		`lifeboat_record_degraded 0`,
		`lifeboat_standby_requests_total{kind="failover",site="shop"} 5`,
		`lifeboat_dns_queries_total 7`,
		`lifeboat_dns_answers_total{rcode="nxdomain"} 1`,
		`lifeboat_ofrep_answered_total 3`,
		`lifeboat_build_info{version="test"} 1`,
		`lifeboat_http_requests_total{code="200",route="POST /api/v1/levers/{lever}/pull"} 1`,
		`lifeboat_http_requests_total{code="404",route="GET /api/v1/incidents/{id}"} 1`,
		`lifeboat_http_requests_total{code="401",route="/"} 1`,
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	for _, leak := range []string{"something_new", "random-", "wp-login"} {
		if strings.Contains(got, leak) {
			t.Errorf("%q became a metric or a label", leak)
		}
	}
}

func TestMetricsWithoutRecord(t *testing.T) {
	t.Parallel()
	b := launch(t)
	o := b.options()
	o.Engine = broken{b.engine, errors.New("disk on fire")}
	r := send(t, api.New(o), "GET", "/metrics", "", nil)
	if r.status != 200 || !strings.Contains(string(r.body), "lifeboat_answer_connected 0") {
		t.Errorf("metrics without a record: %d %s", r.status, r.body)
	}
}

// TestMetricsAreClean: names and help texts as promlint wants them, and each in the
// reference, which names no other.
func TestMetricsAreClean(t *testing.T) {
	t.Parallel()
	b := launch(t, talkative)
	b.engine.Status()
	o := b.options()
	o.Registry, o.Outside, o.Engine, o.Certificates = prometheus.NewRegistry(), outsider{}, signing{o.Engine}, keeping{}
	send(t, api.New(o), "GET", "/healthz", "", nil)
	found, err := o.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(found).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	page, err := os.ReadFile(reference("metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	var told, made []string
	for _, m := range regexp.MustCompile("`(lifeboat_[a-z_]+)[`{]").FindAllStringSubmatch(string(page), -1) {
		told = append(told, m[1])
	}
	for _, f := range found {
		made = append(made, f.GetName())
		if !slices.Contains(told, f.GetName()) {
			t.Errorf("the reference does not name %s: %s", f.GetName(), f.GetHelp())
		}
	}
	for _, name := range told {
		if !slices.Contains(made, name) {
			t.Errorf("the reference names %s, which is not there", name)
		}
	}
}

// keeping has a certificate whose renewal failed.
type keeping struct{ api.Certificates }

func (keeping) View() certs.Holdings {
	return certs.Holdings{
		Score: 40, Names: []certs.Readiness{{Site: "shop", Name: "shop.example.com", Score: 40, Left: 0.2, Until: time.Now().Add(time.Hour)}},
		Renewals: []certs.Renewal{{ID: "shop.ecdsa", Failures: 2}},
	}
}

// signing is an engine with a signed zone.
type signing struct{ api.Engine }

func (e signing) Overview(ctx context.Context) (engine.Overview, error) {
	o, err := e.Engine.Overview(ctx)
	o.Signing = &engine.SigningView{Zones: []signer.ZoneView{{Apex: "shop.example.com.", Until: o.Now.Add(time.Hour), Signatures: 7}}}
	return o, err
}
