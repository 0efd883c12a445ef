// Package dnstrace follows a name from the root down each delegation, as a resolver
// does, but asks every name server of each zone cut, and says where they disagree and
// what a resolver would get now. It also fetches a zone by transfer, for a comparison.
//
// It is no resolver and no cache: it validates no signatures, takes no answer from
// anybody but authoritative servers, and looks up no name except by the trace itself.
// Only cli and parentwatch may import it.
//
// The rules are pure and stand in judge.go: what one message means, where the servers
// of a zone differ, the sentence at the end. This file walks; ask.go asks.
//
// Invariants: everything is bounded: questions, steps, servers of a zone, aliases,
// depth of lookups for name servers, the time of a question and of the whole. Addresses
// that come along with a referral are taken only for the servers that it names and only
// from a zone above them.
//
// Concurrency: Run asks the servers of one zone side by side and has ended all that it
// started when it returns. Dial and Now may be called from several goroutines.
package dnstrace

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/fault"
)

// The bounds of a trace.
const (
	maxQuestions = 1000
	maxSteps     = 32 // zone cuts and aliases of one name
	maxAddresses = 40 // of one zone that are asked; the root has 26
	maxAliases   = 10
	maxDepth     = 4 // lookups of name servers for lookups of name servers
)

// Dial opens a connection; net.Dialer's DialContext is one.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Options say what is traced, and how.
type Options struct {
	Name, Type string
	From       []netip.AddrPort // servers to begin with; empty: the root's
	Port       uint16           // of the servers that delegations name; 0: that of the first in From, else 53
	Question   time.Duration    // the longest that one try of a question waits; 0: 2 s
	Limit      time.Duration    // the longest that all of it takes; 0: 30 s
	Now        func() time.Time
	Dial       Dial // nil: the network's
}

func (o Options) withDefaults() Options {
	if o.Port == 0 {
		o.Port = 53
		if len(o.From) > 0 {
			o.Port = o.From[0].Port()
		}
	}
	o.Question, o.Limit = cmp.Or(o.Question, 2*time.Second), cmp.Or(o.Limit, 30*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	return o
}

// Trace is a name followed to its end.
type Trace struct {
	Name    string   `json:"name"` // absolute, lower case
	Type    string   `json:"type"`
	Steps   []Step   `json:"steps"`
	Kind    Kind     `json:"kind"`    // answer, nodata, nxdomain or failed
	Records []string `json:"records"` // what a resolver gets, "TYPE data"
	TTL     uint32   `json:"ttl"`     // seconds that it may keep it
	Wrong   []string `json:"wrong"`   // what is wrong on the way, the last step's first
	Verdict string   `json:"verdict"` // one sentence
}

// Step is one question to all name servers of a zone.
type Step struct {
	Zone    string   `json:"zone"` // absolute; empty while it is not known
	Name    string   `json:"name"`
	Replies []Reply  `json:"replies"`
	Wrong   []string `json:"wrong"` // where the servers disagree or fail
}

// server is a name server of a zone cut and its addresses.
type server struct {
	name  string // empty for those that the trace began with
	addrs []netip.Addr
	glue  bool // its addresses came from the zone above
}

// cut is a zone and who answers for it.
type cut struct {
	zone    string // empty while it is not known
	servers []server
	start   []netip.AddrPort // in place of servers, for the servers to begin with
}

// names are the cut's name servers.
func (c *cut) names() []string {
	var out []string
	for _, s := range c.servers {
		out = append(out, s.name)
	}
	slices.Sort(out)
	return out
}

// tracer is one run.
type tracer struct {
	o     Options
	asked atomic.Int64
	cuts  map[string]*cut // by zone; "" is where everything begins
	steps []Step
}

// Run traces a name. Its errors are fault.Invalid, for a name or type that can't be
// one; what servers do wrong is in the Trace.
func Run(ctx context.Context, o Options) (Trace, error) {
	o = o.withDefaults()
	typ, known := dns.StringToType[strings.ToUpper(o.Type)]
	if !known {
		return Trace{}, fault.New(fault.Invalid, "there is no record type %q", o.Type).WithHint("say A, AAAA, MX, NS, SOA, TXT …")
	}
	if typ == dns.TypeANY || typ == dns.TypeAXFR || typ == dns.TypeIXFR || typ == dns.TypeOPT || typ == dns.TypeNone {
		return Trace{}, fault.New(fault.Invalid, "%s can't be traced", strings.ToUpper(o.Type)).WithHint("say A, AAAA, MX, NS, SOA, TXT …")
	}
	if _, ok := dns.IsDomainName(o.Name); !ok || o.Name == "" {
		return Trace{}, fault.New(fault.Invalid, "%q is no domain name", o.Name).WithHint("labels have 63 octets at most, names 255")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.Limit, fmt.Errorf("the trace took longer than %s", o.Limit))
	defer cancel()
	t := &tracer{o: o, cuts: map[string]*cut{"": {start: o.From}}}
	if len(o.From) == 0 {
		t.cuts = map[string]*cut{"": rootCut()}
	}
	out := Trace{Name: dns.CanonicalName(o.Name), Type: dns.TypeToString[typ]}
	end := t.follow(ctx, out.Name, typ, 0)
	if err := context.Cause(ctx); err != nil && end.kind == Failed {
		end.reason = err.Error()
	}
	out.Steps, out.Kind, out.Records, out.TTL = t.steps, end.kind, end.records, end.ttl
	out.Wrong = wrongOf(t.steps)
	out.Verdict = verdict(out, end)
	return out, nil
}

// outcome is what a resolver would get.
type outcome struct {
	kind    Kind
	records []string
	ttl     uint32   // seconds; the least on the way along aliases
	others  []string // what it may get instead, where servers differ
	addrs   []netip.Addr
	reason  string // why it failed
}

// follow walks down from the deepest zone cut that is known, and along aliases. Steps
// are kept at depth 0; below it, one good answer from each zone is enough.
func (t *tracer) follow(ctx context.Context, name string, typ uint16, depth int) outcome {
	least, aliases, chain := ^uint32(0), map[string]bool{name: true}, []string(nil)
	at := t.deepest(name)
	for range maxSteps {
		q := question{name, typ}
		replies := t.gather(ctx, at, q, depth > 0)
		best, others := choose(replies)
		var wrong []string
		if depth == 0 {
			step := Step{Zone: cmp.Or(at.zone, zoneOf(replies)), Name: name, Replies: replies}
			step.Wrong = append(compare(replies), t.parentAndChild(ctx, at, best)...)
			t.steps, wrong = append(t.steps, step), step.Wrong
		}
		if best == nil {
			return outcome{kind: Failed, reason: nobody(at.zone, wrong)}
		}
		switch best.Kind {
		case Referral: // always further down: classify sees to it
			at = t.delegation(ctx, at, best, depth)
			t.cuts[at.zone] = at
		case Alias:
			chain, least = append(chain, best.Records...), min(least, best.TTL)
			if name = best.alias; aliases[name] || len(aliases) > maxAliases {
				return outcome{kind: Failed, reason: "the aliases lead in a circle or are too many, at " + name}
			}
			aliases[name] = true
			at = t.deepest(name)
		default:
			return outcome{kind: best.Kind, records: append(chain, best.Records...), ttl: min(least, best.TTL), others: others, addrs: best.addrs}
		}
	}
	return outcome{kind: Failed, reason: "there are too many steps"}
}

// deepest is the zone cut nearest above a name that is known.
func (t *tracer) deepest(name string) *cut {
	best := t.cuts[""]
	for zone, c := range t.cuts {
		if zone != "" && dns.IsSubDomain(zone, name) && (best.zone == "" || dns.CountLabel(zone) > dns.CountLabel(best.zone)) {
			best = c
		}
	}
	return best
}

// delegation is the zone cut that a referral names, with the addresses of its servers:
// those that came along, else those that a trace of their own finds.
func (t *tracer) delegation(ctx context.Context, from *cut, r *Reply, depth int) *cut {
	c := &cut{zone: r.Zone}
	for _, name := range r.NS {
		s := server{name: name}
		if from.zone == "" || dns.IsSubDomain(from.zone, name) {
			s.addrs, s.glue = r.glue[name], len(r.glue[name]) > 0
		}
		c.servers = append(c.servers, s)
	}
	if depth >= maxDepth {
		return c
	}
	for i := range c.servers {
		s := &c.servers[i]
		// A server inside the zone can only be found by its glue.
		if len(s.addrs) > 0 || dns.IsSubDomain(c.zone, s.name) {
			continue
		}
		if depth > 0 && c.reachable() {
			break // one is enough to look up a name server
		}
		for _, typ := range []uint16{dns.TypeA, dns.TypeAAAA} {
			s.addrs = append(s.addrs, t.follow(ctx, s.name, typ, depth+1).addrs...)
		}
	}
	return c
}

func (c *cut) reachable() bool {
	return slices.ContainsFunc(c.servers, func(s server) bool { return len(s.addrs) > 0 })
}

// gather asks all servers of a zone, or, when one answer is enough, one after the other.
func (t *tracer) gather(ctx context.Context, at *cut, q question, enough bool) []Reply {
	out := t.targets(at)
	if enough {
		for i := range out {
			if t.one(ctx, at.zone, q, &out[i], false); out[i].Kind.good() {
				return out[i : i+1]
			}
		}
		return out
	}
	var all sync.WaitGroup
	for i := range out {
		if out[i].Kind == "" {
			all.Go(func() { t.one(ctx, at.zone, q, &out[i], true) }) // ends with its questions, which ctx bounds
		}
	}
	all.Wait()
	return out
}

// targets are the replies to be filled in, one for each address.
func (t *tracer) targets(at *cut) []Reply {
	var out []Reply
	for _, a := range at.start {
		out = append(out, Reply{Address: a.String(), to: a})
	}
	for _, s := range at.servers {
		for _, a := range s.addrs {
			to := netip.AddrPortFrom(a, t.o.Port)
			out = append(out, Reply{Server: s.name, Address: to.String(), to: to})
		}
		if len(s.addrs) == 0 {
			out = append(out, Reply{Server: s.name, Kind: Unreachable, Problem: "no address of it can be found"})
		}
	}
	return out[:min(len(out), maxAddresses)]
}

// parentAndChild compares what the zone above says of a zone's servers with what the
// zone says itself: their names, and the addresses that came along.
func (t *tracer) parentAndChild(ctx context.Context, at *cut, best *Reply) []string {
	if at.zone == "" || at.zone == "." || best == nil {
		return nil
	}
	own := t.records(ctx, best, question{at.zone, dns.TypeNS})
	wrong := compareNames(at.names(), own)
	for _, s := range at.servers {
		if !s.glue || !dns.IsSubDomain(at.zone, s.name) {
			continue
		}
		var has []string
		for _, typ := range []uint16{dns.TypeA, dns.TypeAAAA} {
			has = append(has, t.records(ctx, best, question{s.name, typ})...)
		}
		wrong = append(wrong, compareGlue(s.name, s.addrs, has)...)
	}
	return wrong
}

// records asks one server, which has answered already, for a record set's data.
func (t *tracer) records(ctx context.Context, from *Reply, q question) []string {
	m, _, err := t.ask(ctx, from.to, q)
	if err != nil || !m.Authoritative {
		return nil
	}
	var out []string
	for _, rr := range m.Answer {
		if h := rr.Header(); h.Rrtype == q.typ && dns.CanonicalName(h.Name) == q.name {
			out = append(out, dataOf(rr))
		}
	}
	slices.Sort(out)
	return out
}
