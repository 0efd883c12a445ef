package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/config"
	"lifeboat/internal/lever"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

// Severity of a Finding.
type Severity string

// The severities: a problem is what does not work now, or would not when it is
// needed; a warning works today and will hurt one day; ok was looked at and is well.
const (
	SeverityProblem Severity = "problem"
	SeverityWarning Severity = "warning"
	SeverityOK      Severity = "ok"
)

// Finding is one thing that Check looked at.
type Finding struct {
	Severity Severity `json:"severity" enum:"problem,warning,ok"`
	Code     string   `json:"code" doc:"what was looked at; the same in every version"`
	About    string   `json:"about,omitempty" doc:"the site, lever, zone or name server"`
	Title    string   `json:"title"`
	Text     string   `json:"text" doc:"plain sentences"`
	Next     string   `json:"next,omitempty" doc:"the next step"`
}

// The bounds of a Check.
const (
	checkTime   = 8 * time.Second // of the whole
	askTime     = 2 * time.Second // of one name server about one zone
	expiresSoon = 7 * 24 * time.Hour
)

// Check looks at the whole, asks the name servers, the standby and the drivers, and
// says in plain words what would hurt in a crisis: problems first. It changes
// nothing. The error is ctx's alone.
func (e *Engine) Check(ctx context.Context) ([]Finding, error) {
	bounded, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	c := &checkup{e: e}
	c.answer()
	c.record(bounded)
	c.nameServers(bounded)
	c.signing()
	for _, id := range e.ids {
		c.site(bounded, e.runners[id])
	}
	c.levers(bounded)
	c.outside(bounded)
	c.found = append(c.found, e.outsideFindings()...)
	c.configuration()
	if e.o.Beside != nil {
		c.found = append(c.found, e.o.Beside()...)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	rank := map[Severity]int{SeverityProblem: 0, SeverityWarning: 1, SeverityOK: 2}
	sort.SliceStable(c.found, func(i, j int) bool { return rank[c.found[i].Severity] < rank[c.found[j].Severity] })
	return c.found, nil
}

// SiteOf gives the site of a lever on the card.
func (e *Engine) SiteOf(name string) (string, error) {
	c, err := e.card(name)
	return c.Site, err
}

// checkup gathers findings.
type checkup struct {
	e     *Engine
	found []Finding
}

func (c *checkup) add(s Severity, code, about, title, text, next string) {
	c.found = append(c.found, Finding{Severity: s, Code: code, About: about, Title: title, Text: text, Next: next})
}

// answer looks at the process that answers visitors.
func (c *checkup) answer() {
	const code, title = "answer", "The answer process"
	v := c.e.answerView()
	switch {
	case !v.Connected:
		c.add(SeverityProblem, code, "", title, "The answer process is not connected. It goes on answering as it was told last, but none of the levers that move what it serves can be pulled from here.",
			"See whether it runs with: lifeboat answer status. Levers can be pulled there: lifeboat answer pull LEVER.")
	case !v.Ready:
		c.add(SeverityProblem, code, "", title, "Nothing can be published to the answer process: "+cmp.Or(v.Problem, "it has just connected")+".", "Ask it itself: lifeboat answer status.")
	case v.Problem != "":
		c.add(SeverityProblem, code, "", title, "The answer process has a problem: "+v.Problem+".", "Ask it itself: lifeboat answer status.")
	default:
		c.add(SeverityOK, code, "", title, "The answer process is connected and takes orders.", "")
	}
	if v.Gaps > 0 {
		c.add(SeverityWarning, "reports", "", "Reports of what was seen", fmt.Sprintf("%d reports were lost since the answer process started, because nobody fetched them in time.", v.Gaps),
			"Nothing needs to be done; timelines of that time have gaps.")
	}
}

// signing looks for how long signed answers hold.
func (c *checkup) signing() {
	v := c.e.Signing()
	if v == nil {
		return
	}
	const code, title = "signing", "Signed zones"
	left := fmt.Sprintf("Their answers validate for %d days without control.", v.Days(c.e.o.Now()))
	if v.Problem != "" {
		c.add(SeverityProblem, code, "", title, "Zones could not be signed anew: "+v.Problem+". "+left, "Look at the keys: lifeboat zone keys, and at the folder dnssec in control's data folder.")
		return
	}
	c.add(SeverityOK, code, "", title, left, "")
}

// record looks at where everything is written down.
func (c *checkup) record(ctx context.Context) {
	const code, title = "record", "The record"
	if _, err := c.e.o.Store.Revision(ctx); err != nil {
		c.add(SeverityProblem, code, "", title, "The record can't be read: "+err.Error()+".", "Look at the disk of lifeboat's data folder: df -h, and its owner and rights.")
		return
	}
	if v := c.e.o.Record(); v.Degraded {
		c.add(SeverityProblem, code, "", title, fmt.Sprintf("The record can't be written: %s. %d entries wait in the journal of last resort.", v.Reason, v.Pending),
			"Make room on the disk of lifeboat's data folder: df -h.")
		return
	}
	c.add(SeverityOK, code, "", title, "What happens is written down.", "")
}

// nameServers looks whether the name servers are more than one machine, and asks
// each for each of its zones, all at once.
func (c *checkup) nameServers(ctx context.Context) {
	type asked struct {
		ns   config.Nameserver
		apex string
		err  error
	}
	var all []*asked
	var wg sync.WaitGroup
	for _, src := range c.e.contents().Zones {
		names := authorities(src)
		c.machines(src.Apex, names)
		for _, ns := range c.e.o.Config.Nameservers {
			if len(names) == 0 || slices.Contains(names, ns.Name) {
				a := &asked{ns: ns, apex: src.Apex}
				all = append(all, a)
				wg.Go(func() { a.err = askServer(ctx, ns, a.apex) }) // ends with askTime
			}
		}
	}
	wg.Wait()
	for _, a := range all {
		c.served(a.ns, a.apex, a.err)
	}
}

// authorities are the zone's own name servers.
func authorities(src zone.Source) []string {
	names := slices.Clone(src.NS)
	z, err := zone.Parse(src)
	if err != nil {
		return names
	}
	const typeNS = 2 // RFC 1035 section 3.2.2
	for _, rec := range z.Records() {
		if rec.Type == typeNS && rec.Owner == z.ApexWire() {
			if name := strings.ToLower(zone.Unpack(string(rec.Data))); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// noSecond is what can be done about the one machine that this version answers from.
const noSecond = "Keep this machine apart from production, and a copy of its configuration and data folder ready to start on another one."

// machines says whether a zone hangs on one machine.
func (c *checkup) machines(apex string, names []string) {
	const code, title = "one-name-server", "Name servers"
	hosts := map[netip.Addr]bool{}
	for _, ns := range c.e.o.Config.Nameservers {
		if slices.Contains(names, ns.Name) {
			hosts[ns.Address.Addr().Unmap()] = true
		}
	}
	switch {
	case len(names) < 2:
		c.add(SeverityWarning, code, apex, title, "One name server: if this machine dies, your site disappears.",
			noSecond)
	case len(hosts) == 1:
		c.add(SeverityWarning, code, apex, title, fmt.Sprintf("%d name servers at one address: if this machine dies, your site disappears.", len(names)),
			noSecond)
	default:
		c.add(SeverityOK, code, apex, title, fmt.Sprintf("The zone has %d name servers.", len(names)), "")
	}
}

// askServer asks one name server for one zone, over the network as a resolver would.
func askServer(ctx context.Context, ns config.Nameserver, apex string) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, ns.Address.String())
	}}
	_, err := r.LookupNS(ctx, apex)
	return err
}

func (c *checkup) served(ns config.Nameserver, apex string, err error) {
	const code, title = "name-server", "Name server"
	about := ns.Name + " " + apex
	if err != nil {
		c.add(SeverityProblem, code, about, title, fmt.Sprintf("%s (%s) does not answer for %s: %s.", ns.Name, ns.Address, apex, plain(err)),
			fmt.Sprintf("See whether it runs and can be reached: dig @%s -p %d %s SOA", ns.Address.Addr(), ns.Address.Port(), apex))
		return
	}
	c.add(SeverityOK, code, about, title, fmt.Sprintf("%s answers for %s.", ns.Name, apex), "")
}

// plain is a lookup's error without the server that was not asked.
func plain(err error) string {
	var d *net.DNSError
	switch {
	case !errors.As(err, &d):
		return err.Error()
	case d.IsTimeout:
		return "no answer in time"
	case d.IsNotFound:
		return "it does not know the zone"
	}
	return d.Err
}

// site looks at what keeps one site's visitors safe.
func (c *checkup) site(ctx context.Context, r *runner) {
	c.standby(ctx, r)
	origins := 0
	for _, p := range r.site().Places {
		if p != snapshot.Standby {
			origins++
		}
	}
	if origins == 1 {
		c.add(SeverityWarning, "one-origin", r.id, "Places to run", "One origin: when it breaks, visitors can be shown the status page and nothing else.",
			"When you can, run the site at a second place and add it under origins.")
	}
	if len(r.site().Checks) == 0 {
		c.add(SeverityWarning, "unchecked", r.id, "Checks", "Nothing checks the site: lifeboat can't see whether it works, and nothing is asked before visitors go back.",
			"Add checks: {home: {http: {path: /}}} to the site.")
	}
	if c.e.autoOf(r.id).Held {
		c.add(SeverityWarning, "auto-held", r.id, "Moves by itself", "A person took an automatic move back, so nothing moves by itself.", "Let it move again with: lifeboat auto resume "+r.id)
	}
	if ttl := c.e.ttl(r.id); ttl > maxTTL {
		c.add(SeverityWarning, "ttl", r.id, "How long answers are kept", fmt.Sprintf("The names that move are kept for %d seconds: some visitors would meet the broken site that long.", ttl),
			"Write ttl: 60s in the zone, now: in a crisis it is too late.")
	}
	c.parked(r)
	in, _ := r.look()
	for _, p := range in.Holding() {
		if p.Drifted {
			c.add(SeverityProblem, "drift", p.Lever, "Changed by somebody else", fmt.Sprintf("%q is pulled, but somebody else changed what it had ordered.", p.Title), "See the timeline: lifeboat timeline "+in.ID)
		}
	}
}

// maxTTL is the longest that an answer which may have to move should be kept, in
// seconds.
const maxTTL = 300

func (c *checkup) standby(ctx context.Context, r *runner) {
	const code, title = "standby", "The status page"
	if len(r.site().Positions[snapshot.Standby].IPs) == 0 {
		c.add(SeverityProblem, code, r.id, title, "The site has no standby: visitors can't be shown the status page.", "Add standby: {addresses: [...]} to the site.")
		return
	}
	if _, ok := r.remedy(); !ok {
		c.add(SeverityProblem, "no-lever", r.id, "A lever to the status page", "No lever shows visitors the status page.",
			"Add to levers: to-standby: {title: Show visitors the status page, zone: {site: "+r.id+", to: standby}}.")
	}
	switch verdict, detail := c.e.standbyNow(ctx, r.site()); verdict {
	case "pass":
		c.add(SeverityOK, code, r.id, title, "The status page answers at the standby's address, by the site's name.", "")
	case "fail":
		c.add(SeverityProblem, code, r.id, title, "The status page does not answer as it should: "+detail+".", "See that the standby's addresses are this machine's, and its port is free: lifeboat answer status.")
	default:
		c.add(SeverityWarning, code, r.id, title, "We can't tell whether the status page answers: "+cmp.Or(detail, "it was not asked yet")+".", "Ask again in a moment: lifeboat check.")
	}
}

// levers looks at each lever on the card: rehearsed lately, and could it be pulled.
func (c *checkup) levers(ctx context.Context) {
	found := c.e.Preflight(ctx)
	told := map[string]bool{} // levers share name servers: each trouble is told once
	for _, card := range c.e.o.Config.Levers {
		c.rehearsed(ctx, card)
		for _, p := range found[card.Name].Problems {
			if !told[p] {
				told[p] = true
				c.add(SeverityProblem, "lever", card.Name, card.Title, p, "")
			}
		}
	}
}

func (c *checkup) rehearsed(ctx context.Context, card lever.Card) {
	const code = "rehearsed"
	drill := "Rehearse it with: lifeboat drill " + card.Name
	rec, err := c.e.drillRecord(ctx, card.Name)
	cfg, _ := c.e.site(card.Site)
	left, soon := rec.ArmedUntil.Sub(c.e.o.Now()), min(expiresSoon, cfg.ArmedFor/4)
	switch {
	case err != nil:
		return // the record's own finding tells
	case rec.At.IsZero():
		c.add(SeverityWarning, code, card.Name, card.Title, "It was never rehearsed, so nobody knows whether it works.", drill)
	case !rec.OK:
		c.add(SeverityProblem, code, card.Name, card.Title, "Its last rehearsal failed: "+rec.Detail+".", drill)
	case left <= 0:
		c.add(SeverityWarning, code, card.Name, card.Title, "Its last rehearsal is too long ago.", drill)
	case left < soon:
		c.add(SeverityWarning, code, card.Name, card.Title, fmt.Sprintf("Its last rehearsal counts only until %s.", rec.ArmedUntil.UTC().Format("2 January 15:04 UTC")), drill)
	case rec.LookedOnly:
		c.add(SeverityOK, code, card.Name, card.Title, "Looked at: it can be reached. Nothing was moved, because the lever declares nothing that a drill could move.", "")
	default:
		c.add(SeverityOK, code, card.Name, card.Title, fmt.Sprintf("Rehearsed: there in %d ms, back in %d ms.", rec.ThereMS, rec.BackMS), "")
	}
}

// outside looks at what waits to go out to others.
func (c *checkup) outside(ctx context.Context) {
	queue, err := c.e.Queue(ctx)
	if err != nil {
		return // the record's own finding tells
	}
	const code, title, next = "messages", "News to others", "See why with: lifeboat queue list"
	waiting := map[string]int{}
	for _, m := range queue {
		if m.LastError != "" {
			waiting[m.Channel]++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(waiting)) {
		c.add(SeverityWarning, code, name, title, fmt.Sprintf("%s could not go out by %s yet; each is tried again for a day.", messages(waiting[name]), name), next)
	}
	if c.e.o.Company.Bodies == nil {
		c.add(SeverityProblem, "evidence", "", "Evidence", "The bodies of evidence can't be kept.", "See why in the log, and that the folder control/evidence can be written.")
	}
}

// parked tells of levers that stay pulled past their date.
func (c *checkup) parked(r *runner) {
	in, _ := r.look()
	r.viewMu.Lock()
	left := append(slices.Clone(r.left), in.ParkedPulls()...)
	r.viewMu.Unlock()
	for _, p := range left {
		if parkedOverdue(p, c.e.o.Now()) {
			c.add(SeverityWarning, "parked", p.Lever, p.Title, fmt.Sprintf("It was parked until %s, and %s looks after it.", p.Parked.Until.Format("2 January 15:04 UTC"), p.Parked.Owner),
				`Put it back with: lifeboat go-back start --because "what changed", or park it anew.`)
		}
	}
}

// configuration tells the file's own warnings, but for those that were looked at
// above.
func (c *checkup) configuration() {
	for _, w := range append(c.e.o.Config.Warnings(), c.e.homeWarnings()...) {
		if c.covered(w) {
			continue
		}
		text, next := w, ""
		if i := strings.LastIndex(w, " ("); i > 0 && strings.HasSuffix(w, ")") {
			text, next = w[:i], w[i+2:len(w)-1]
		}
		c.add(SeverityWarning, "configuration", "", "The configuration", text, next)
	}
}

// covered says whether a warning of the file repeats a finding.
func (c *checkup) covered(warning string) bool {
	return strings.Contains(warning, ": nothing checks site ") || strings.Contains(warning, " move, and their answers are kept for ")
}

func messages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}
