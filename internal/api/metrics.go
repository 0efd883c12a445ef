package api

import (
	"context"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lifeboat/internal/feature"
	"lifeboat/internal/incident"
	"lifeboat/internal/parentwatch"
	"lifeboat/internal/probe"
)

// metrics are what the API counts of itself.
type metrics struct {
	requests   *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	panics     prometheus.Counter
	readErrors prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lifeboat_http_requests_total", Help: "Requests to the API, by the route they took and the status they got."}, []string{"route", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "lifeboat_http_request_duration_seconds", Help: "How long requests to the API took; a pull ends when its effect was seen from outside.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}}, []string{"route"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "lifeboat_http_panics_total", Help: "Requests during which our code failed; each was answered with a problem."}),
		readErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "lifeboat_metrics_read_errors_total", Help: "Times that the state could not be read whole for these metrics."}),
	}
	r.MustRegister(m.requests, m.duration, m.panics, m.readErrors)
	return m
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("lifeboat_"+name, help, labels, nil)
}

var (
	buildInfo      = desc("build_info", "1, with the version that runs.", "version")
	siteOrdered    = desc("site_ordered", "1 for the position that visitors are ordered to, 0 for the others.", "site", "position")
	siteSeen       = desc("site_seen", "What the checks of a place come to: 1 up, 0 down, -1 unknown.", "site", "place")
	seenAge        = desc("site_seen_age_seconds", "How old the newest result about a place is.", "site", "place")
	siteTTL        = desc("site_ttl_seconds", "How long the world may keep an answer about the names that move.", "site")
	autoHeld       = desc("site_auto_held", "1 while nothing moves by itself because a person took an automatic move back.", "site")
	incidentsOpen  = desc("incidents_open", "1 for the phase of the site's open incident, 0 for the others.", "site", "phase")
	evidenceHeld   = desc("incident_evidence", "Pieces of evidence of the site's open incident; 0 without one.", "site")
	updateOverdue  = desc("update_overdue", "1 while news was promised for a time that has passed.", "site")
	fixInFlight    = desc("fix_in_flight", "1 while a fix holds the site: begun, and its end not settled.", "site")
	fixes          = desc("fixes", "Fixes of the site's open incident that have come to an end, by what they came to.", "site", "outcome")
	leversParked   = desc("levers_parked", "Levers that stay pulled past the return, with somebody who looks after them.", "site")
	parkedOverdue  = desc("levers_parked_overdue", "Parked levers whose date has passed.", "site")
	messages       = desc("messages_waiting", "Messages to channels that could not go out yet.")
	leverActive    = desc("lever_active", "How many levers of a kind are pulled.", "site", "kind")
	leverArmed     = desc("lever_armed_left_seconds", "How long the last good drill keeps a lever armed; 0 when it is not.", "lever")
	leverDrifted   = desc("lever_drifted", "1 while somebody else has changed what the pulled lever had ordered.", "lever")
	answerUp       = desc("answer_connected", "1 while the answer process is connected.")
	answerReady    = desc("answer_ready", "1 while what is ordered can be published.")
	behind         = desc("dns_secondaries_behind", "Secondaries that have not answered with the newest serial of a zone.")
	expired        = desc("dns_copies_expired", "Zones of others whose copy has expired, because no primary was heard.")
	answerWaiting  = desc("answer_reports_waiting", "Reports that answer holds for control.")
	answerLost     = desc("answer_reports_lost_total", "Reports that were lost since answer started, because nobody fetched them in time.")
	recordDegraded = desc("record_degraded", "1 while the record can't be written and the journal of last resort is in use.")
	recordPending  = desc("record_pending", "Transactions in the journal that wait for the store.")
	standbyVisits  = desc("standby_requests_total", "Requests met by the standby, by kind: failover, late (after the return), checks, waiting (open pages that ask whether they may come back).", "site", "kind")
	zoneSeen       = desc("zone_seen", "Whether the world sees what we publish of a zone: 1 it does, 0 not all of it or not at all, -1 nobody can tell.", "zone")
	zoneSeenAge    = desc("zone_seen_age_seconds", "How old the last look at a zone from outside is.", "zone")
	domainExpires  = desc("domain_expires_seconds", "How long the domain of a zone is still registered, where the registry is asked.", "zone")
	flagClients    = desc("ofrep_clients", "Clients that asked for features within ten minutes, by kind: pages, programs, copies.", "kind")
	flagHeard      = desc("ofrep_clients_heard", "Those of them that have heard of the features as they are now.", "kind")
	flagSlowest    = desc("ofrep_clients_slowest_seconds", "How long the last of them took to hear.", "kind")
	dnsAnswers     = desc("dns_answers_total", "DNS answers by response code.", "rcode")
	dnsAsked       = desc("dns_asked_total", "DNS queries by name and type, of the 50 that were asked for most; estimates under load. Without a name: what is not there.", "name", "type")
	signedLeft     = desc("dnssec_valid_left_seconds", "How long the answers of a signed zone validate unless it is signed again.", "zone")
	standbyOpen    = desc("standby_connections", "Connections that the standby holds.")
	signedCount    = desc("dnssec_signatures", "Signatures of a zone that are made ahead.", "zone")
	signedMade     = desc("dnssec_signatures_made_total", "Signatures made since control started.")
	signedTrouble  = desc("dnssec_trouble", "1 while zones could not be signed anew.")

	certificateLeft     = desc("certificate_left_seconds", "How long the certificate that is served for a name is good for; 0 without one.", "site", "name")
	certificateShare    = desc("certificate_left_ratio", "How much of its lifetime is left, 0 to 1.", "site", "name")
	certificateReady    = desc("certificate_readiness", "How ready the standby is to answer for a name over HTTPS, 0 to 100.", "site", "name")
	certificateFailures = desc("certificate_renewal_failures", "Tries in a row to have a certificate made that came to nothing.", "certificate")
)

// counted are the answer process's own counters, by the names it reports them under.
// A name that is not here is not shown: the reference lists what is.
var counted = map[string]*prometheus.Desc{
	"dns_queries":           desc("dns_queries_total", "DNS messages received, answered or not."),
	"dns_dropped":           desc("dns_dropped_total", "DNS messages without an answer: shorter than a header, or answers themselves."),
	"dns_malformed":         desc("dns_malformed_total", "DNS messages dropped or answered FORMERR."),
	"dns_truncated":         desc("dns_truncated_total", "DNS answers that told the client to come back over TCP."),
	"dns_limited":           desc("dns_limited_total", "DNS answers that the rate limit held back."),
	"dns_slipped":           desc("dns_slipped_total", "DNS answers that the rate limit sent without records, so that the client comes back over TCP."),
	"dns_panics":            desc("dns_panics_total", "DNS queries during which our code failed; each was answered SERVFAIL."),
	"dns_tcp_connections":   desc("dns_tcp_connections_total", "DNS connections over TCP."),
	"dns_tcp_refused":       desc("dns_tcp_refused_total", "DNS connections over TCP that were closed at once for a limit."),
	"dns_socket_errors":     desc("dns_socket_errors_total", "Failures to receive or send a DNS message."),
	"transfer_whole":        desc("dns_transfer_whole_total", "Zones given to secondaries whole (AXFR)."),
	"transfer_changes":      desc("dns_transfer_changes_total", "Zones given to secondaries as differences (IXFR)."),
	"transfer_refused":      desc("dns_transfer_refused_total", "Zone transfers and NOTIFY messages that were not allowed."),
	"transfer_shed":         desc("dns_transfer_shed_total", "Zone transfers put off, because as many as may be were under way."),
	"transfer_broken":       desc("dns_transfer_broken_total", "Zone transfers that were not taken to the end."),
	"transfer_unsigned":     desc("dns_transfer_bad_signature_total", "Messages of other name servers whose signature (TSIG) was not good."),
	"transfer_told":         desc("dns_transfer_told_total", "Changes of a zone that a secondary has acknowledged (NOTIFY)."),
	"transfer_untold":       desc("dns_transfer_untold_total", "Changes of a zone that a secondary could not be told of."),
	"transfer_heard":        desc("dns_transfer_heard_total", "NOTIFY messages taken from primaries."),
	"transfer_in":           desc("dns_transfer_in_total", "Zones that came in from a primary, whole or as differences."),
	"standby_full":          desc("standby_full_total", "Connections to the standby that were reset because all were taken."),
	"standby_greedy":        desc("standby_greedy_total", "Connections to the standby that were reset because their address had its share."),
	"standby_shed":          desc("standby_shed_total", "Connections to the standby that were reset because too many TLS handshakes waited."),
	"standby_unasked":       desc("standby_unasked_total", "Connections to the standby that ended without a request that could be read."),
	"standby_handshakes":    desc("standby_tls_handshakes_total", "TLS handshakes of the standby that were finished."),
	"standby_unknown_names": desc("standby_tls_unknown_names_total", "TLS handshakes for names without a certificate."),
	"standby_strays":        desc("standby_strays_total", "Requests to the standby for names that are not served."),
	"ofrep_answered":        desc("ofrep_answered_total", "Feature evaluations answered."),
	"ofrep_unknown":         desc("ofrep_unknown_total", "Feature evaluations of a feature that is not configured."),
	"ofrep_refused":         desc("ofrep_refused_total", "Feature evaluations that could not be understood."),
	"ofrep_not_ready":       desc("ofrep_not_ready_total", "Feature evaluations before the first snapshot."),
	"ofrep_bulk":            desc("ofrep_bulk_total", "Answers with all features."),
	"ofrep_not_modified":    desc("ofrep_not_modified_total", "Questions for all features from who has them already."),
	"ofrep_denied":          desc("ofrep_denied_total", "Questions for features without a good key, or from a page that may not ask."),
	"ofrep_limited":         desc("ofrep_limited_total", "Questions for features above a key's limit."),
	"ofrep_shed":            desc("ofrep_shed_total", "Questions for features turned away because too many were asking."),
	"ofrep_streams":         desc("ofrep_streams_total", "Event streams that were opened."),
	"ofrep_told":            desc("ofrep_told_total", "Changes told to event streams."),
	"ofrep_copied":          desc("ofrep_copied_total", "Times that all features were handed to a copy."),
}

// levels are those of them that also go down.
var levels = map[string]*prometheus.Desc{"dns_secondaries_behind": behind, "dns_copies_expired": expired, "standby_open": standbyOpen}

var plainDescs = []*prometheus.Desc{
	buildInfo, siteOrdered, siteSeen, seenAge, siteTTL, autoHeld, incidentsOpen, evidenceHeld, updateOverdue, fixInFlight, fixes, leversParked, parkedOverdue, messages, leverActive, leverArmed, leverDrifted,
	behind, expired, standbyOpen, answerUp, answerReady, answerWaiting, answerLost, recordDegraded, recordPending, standbyVisits, dnsAnswers, zoneSeen, zoneSeenAge, domainExpires,
	signedLeft, signedCount, signedMade, signedTrouble, certificateLeft, certificateShare, certificateReady, certificateFailures, flagClients, flagHeard, flagSlowest,
}

// openPhases are the phases in which an incident holds its site.
var openPhases = []incident.Phase{incident.FailOver, incident.Diagnose, incident.Fixing, incident.FailBack, incident.Watch, incident.Review}

// scrapeTime bounds the look that a scrape takes.
const scrapeTime = 5 * time.Second

// collector turns one look at everything into metrics, at each scrape.
type collector struct {
	o      Options
	errors prometheus.Counter
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range plainDescs {
		ch <- d
	}
	for _, d := range counted {
		ch <- d
	}
}

// Collect implements prometheus.Collector. What can't be read is left out and
// counted; the rest is told.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	o, err := c.o.Engine.Overview(ctx)
	if err != nil {
		c.errors.Inc()
	}
	s := sink{ch}
	s.gauge(buildInfo, 1, c.o.Version)
	s.answer(o)
	s.signing(o)
	if c.o.Certificates != nil {
		s.certificates(c.o.Certificates.View())
	}
	for _, site := range o.Sites {
		s.site(o.Now, site)
	}
	if c.o.Outside != nil {
		s.zones(c.o.Now(), c.o.Outside.Reports())
	}
}

// zones tells what the world sees of our zones.
func (s sink) zones(now time.Time, reports []parentwatch.Report) {
	for _, r := range reports {
		seen := map[parentwatch.State]float64{parentwatch.Seen: 1, parentwatch.Unknown: -1}[r.State]
		s.gauge(zoneSeen, seen, r.Zone)
		s.gauge(zoneSeenAge, now.Sub(r.At).Seconds(), r.Zone)
		if r.Registration != nil && !r.Registration.Expires.IsZero() {
			s.gauge(domainExpires, r.Registration.Expires.Sub(now).Seconds(), r.Zone)
		}
	}
}

type sink struct{ ch chan<- prometheus.Metric }

func (s sink) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (s sink) count(d *prometheus.Desc, v uint64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

func (s sink) answer(o Overview) {
	s.gauge(answerUp, number(o.Answer.Connected))
	s.gauge(answerReady, number(o.Answer.Ready))
	s.gauge(answerWaiting, float64(o.Answer.Waiting))
	s.count(answerLost, o.Answer.Gaps)
	s.gauge(recordDegraded, number(o.Record.Degraded))
	s.gauge(recordPending, float64(o.Record.Pending))
	s.gauge(messages, float64(o.Waiting))
	h := o.Answer.Heard
	for kind, l := range map[string]feature.Listeners{"pages": h.Pages, "programs": h.Servers, "copies": h.Copies} {
		s.gauge(flagClients, float64(l.Clients), kind)
		s.gauge(flagHeard, float64(l.Heard), kind)
		s.gauge(flagSlowest, l.Slowest.Seconds(), kind)
	}
	for name, v := range o.Answer.Counters {
		if d, known := levels[name]; known {
			s.gauge(d, float64(v))
		} else if d, known := counted[name]; known {
			s.count(d, v)
		} else if rcode, is := strings.CutPrefix(name, "dns_rcode_"); is {
			s.count(dnsAnswers, v, rcode)
		} else if asked, is := strings.CutPrefix(name, "dns_asked "); is {
			typ, name, _ := strings.Cut(asked, " ")
			s.count(dnsAsked, v, name, typ)
		}
	}
}

func (s sink) site(now time.Time, v SiteView) {
	for _, p := range v.Seen {
		s.gauge(siteOrdered, number(p.Place == v.Ordered.Position), v.ID, p.Place)
		s.gauge(siteSeen, seen(p.Seen), v.ID, p.Place)
		if p.AgeMS >= 0 {
			s.gauge(seenAge, float64(p.AgeMS)/1000, v.ID, p.Place)
		}
	}
	s.gauge(siteTTL, float64(v.TTL), v.ID)
	s.gauge(autoHeld, number(v.AutoHeld), v.ID)
	for _, p := range openPhases {
		s.gauge(incidentsOpen, number(v.Incident != nil && v.Incident.Phase == p), v.ID, string(p))
	}
	s.count(standbyVisits, v.Visits.Failover, v.ID, "failover")
	s.count(standbyVisits, v.Visits.Late, v.ID, "late")
	s.count(standbyVisits, v.Visits.Checks, v.ID, "checks")
	s.count(standbyVisits, v.Visits.Waiting, v.ID, "waiting")
	s.levers(now, v)
	s.loop(now, v)
}

// outcomes are how a fix can end.
var outcomes = []incident.FixState{incident.StateWorked, incident.StateRolledBack, incident.StateAccepted, incident.StateWithdrawn}

// loop tells how the open incident's diagnosis and fix stand.
func (s sink) loop(now time.Time, v SiteView) {
	var in incident.Incident
	parked := v.Parked
	if v.Incident != nil && v.Incident.Phase.Open() {
		in, parked = *v.Incident, v.Incident.ParkedPulls()
	}
	late := 0
	for _, p := range parked {
		late += int(number(p.Parked != nil && now.After(p.Parked.Until)))
	}
	_, flies := in.FixInFlight()
	s.gauge(evidenceHeld, float64(len(in.Evidence)), v.ID)
	s.gauge(updateOverdue, number(!in.UpdateDue.IsZero() && now.After(in.UpdateDue)), v.ID)
	s.gauge(fixInFlight, number(flies), v.ID)
	s.gauge(leversParked, float64(len(parked)), v.ID)
	s.gauge(parkedOverdue, float64(late), v.ID)
	ended := map[incident.FixState]int{}
	for _, f := range in.Fixes {
		ended[f.State]++
	}
	for _, o := range outcomes {
		s.gauge(fixes, float64(ended[o]), v.ID, string(o))
	}
}

func (s sink) levers(now time.Time, v SiteView) {
	pulled := map[string]int{}
	for _, l := range v.Levers {
		pulled[l.Kind] += int(number(l.State != "free"))
		s.gauge(leverArmed, max(0, l.Drill.ArmedUntil.Sub(now).Seconds()), l.Name)
		s.gauge(leverDrifted, number(l.Drifted), l.Name)
	}
	for kind, n := range pulled {
		s.gauge(leverActive, float64(n), v.ID, kind)
	}
}

func number(claim bool) float64 {
	if claim {
		return 1
	}
	return 0
}

func seen(s probe.Seen) float64 {
	switch s {
	case probe.Up:
		return 1
	case probe.Down:
		return 0
	}
	return -1
}
