// Package parentwatch looks at our zones as the world does: from the root down, by what
// the zone above says, and by what each name server answers that it names. It tells in
// words whether the world sees what we publish, because a failover by DNS is worth
// nothing where it does not.
//
// It changes nothing, is on nobody's way to safety, and knows neither store nor engine:
// what we publish is told to it. Asking is dnstrace's; judge.go is pure. control runs a
// Watcher; api and cli show its reports.
//
// Invariants: all that comes from outside is bounded in count, size and time; one look
// is under way at a time; what can't be told is called so and never "wrong".
//
// Concurrency: a Watcher's methods may be called from any goroutine; a Report is not
// changed after it is made.
package parentwatch

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/dnstrace"
)

// Zone is what we publish of a zone.
type Zone struct {
	Apex   string // absolute, lower case
	Serial uint32
	NS     []string          // absolute, lower case
	Names  map[string][]Told // names that follow a site → what a server may answer, one of these
	DS     []string          // "KEYTAG ALGORITHM DIGESTTYPE DIGEST" of our keys, one of which the zone above should have; nil: the zone is not signed
}

// Told is what a position answers: addresses, or an alias alone.
type Told struct {
	Addresses []netip.Addr
	Alias     string // absolute
}

// State is what a look came to.
type State string

// The states.
const (
	Seen    State = "seen"    // the world sees what we publish
	Partly  State = "partly"  // some of it, or with something to mend
	Unseen  State = "unseen"  // it is sent elsewhere, or to nobody
	Unknown State = "unknown" // we can't tell
)

// Security is whether those who validate can.
type Security string

// The kinds of security.
const (
	Unsigned Security = "unsigned"
	Secure   Security = "secure"  // the zone above vouches for a key of ours
	Open     Security = "open"    // the zone is signed, and the zone above does not vouch for it yet
	Broken   Security = "broken"  // it vouches for keys that are none of ours: whoever validates gets nothing
	Untold   Security = "unknown" // we can't tell
)

// Report is one look at one zone.
type Report struct {
	Zone     string    `json:"zone" example:"shop.example.com."`
	At       time.Time `json:"at"`
	State    State     `json:"state" enum:"seen,partly,unseen,unknown"`
	Verdict  string    `json:"verdict" doc:"one sentence" example:"The world sees what we publish."`
	Problems []string  `json:"problems" doc:"what is wrong, the worst first"`
	Serial   uint32    `json:"serial" doc:"that we publish"`
	Parent   []string  `json:"parent" doc:"the name servers that the zone above names"`
	DS       []string  `json:"ds" doc:"of the zone above"`
	DNSSEC   Security  `json:"dnssec" enum:"unsigned,secure,open,broken,unknown" doc:"whether those who validate can: open is a signed zone that the zone above does not vouch for"`
	Servers  []Server  `json:"servers"`

	Registration *Registration `json:"registration,omitempty" doc:"what the registry says, where it was asked"`
}

// Server is one name server at one address.
type Server struct {
	Name    string  `json:"name"`
	Address string  `json:"address,omitempty"`
	Serial  *uint32 `json:"serial,omitempty"`
	Problem string  `json:"problem,omitempty" doc:"why it gave no good answer"`

	NS     []string        `json:"ns,omitempty" doc:"the name servers that it names"`
	silent bool            // this machine has no way to it: that says nothing
	names  map[string]Told // what it says of the names that follow a site
}

// Options say how a look asks.
type Options struct {
	From     []netip.AddrPort // servers to begin with; empty: the root's
	Question time.Duration    // see dnstrace.Options
	Limit    time.Duration    // of one trace
	Dial     dnstrace.Dial
	Now      func() time.Time // MUST be set
	RDAP     *RDAP            // nil: the registry is not asked
}

// maxNames is how many names that follow a site are asked for, of one zone.
const maxNames = 4

// Look looks at one zone. It ends with ctx, and after a few times Options.Limit.
func Look(ctx context.Context, z Zone, o Options) Report {
	r := Report{Zone: z.Apex, At: o.Now().UTC(), Serial: z.Serial, DNSSEC: Untold, Problems: []string{}, Parent: []string{}, DS: []string{}, Servers: []Server{}}
	t, err := o.trace(ctx, z.Apex, "NS", o.From)
	if err != nil {
		r.State, r.Verdict = Unknown, "We can't tell what the world sees: "+err.Error()+"."
		return r
	}
	s := sightOf(z, t)
	if len(s.servers) > 0 {
		o.askAbove(ctx, z, t, &s)
		o.askNames(ctx, z, t, &s)
	}
	if ctx.Err() != nil {
		r.State, r.Verdict = Unknown, "We can't tell what the world sees: the look was broken off."
		return r
	}
	if o.RDAP != nil {
		reg := o.RDAP.Ask(ctx, z.Apex)
		r.Registration = &reg
	}
	s.judge(z, &r)
	return r
}

func (o Options) trace(ctx context.Context, name, typ string, from []netip.AddrPort) (dnstrace.Trace, error) {
	var port uint16
	if len(o.From) > 0 {
		port = o.From[0].Port()
	}
	return dnstrace.Run(ctx, dnstrace.Options{Name: name, Type: typ, From: from, Port: port, Question: o.Question, Limit: o.Limit, Now: o.Now, Dial: o.Dial})
}

// addresses are those of a step's servers that gave an answer.
func addresses(s dnstrace.Step) (out []netip.AddrPort) {
	for _, r := range s.Replies {
		if a, err := netip.ParseAddrPort(r.Address); err == nil && r.Problem == "" {
			out = append(out, a)
		}
	}
	return out
}

// askAbove asks the zone above for the DS records.
func (o Options) askAbove(ctx context.Context, z Zone, t dnstrace.Trace, s *sight) {
	if len(t.Steps) < 2 {
		return // the servers to begin with hold the zone themselves
	}
	from := addresses(t.Steps[len(t.Steps)-2])
	if len(from) == 0 {
		return
	}
	ds, err := o.trace(ctx, z.Apex, "DS", from[:1])
	if err != nil || ds.Kind != dnstrace.Answer && ds.Kind != dnstrace.NoData {
		return
	}
	s.dsKnown = true
	for _, rec := range ds.Records {
		if data, is := strings.CutPrefix(rec, "DS "); is {
			s.ds = append(s.ds, strings.ToUpper(data))
		}
	}
}

// askNames asks every server of the zone for some of the names that follow a site.
func (o Options) askNames(ctx context.Context, z Zone, t dnstrace.Trace, s *sight) {
	from := addresses(t.Steps[len(t.Steps)-1])
	if len(from) == 0 {
		return
	}
	names := sortedKeys(z.Names)
	for _, name := range names[:min(len(names), maxNames)] {
		for _, typ := range []string{"A", "AAAA"} {
			answer, err := o.trace(ctx, name, typ, from)
			if err != nil || len(answer.Steps) == 0 {
				continue
			}
			for _, reply := range answer.Steps[0].Replies {
				s.told(name, reply)
			}
		}
	}
}

// sightOf reads what a trace of the zone's NS records says of its servers.
func sightOf(z Zone, t dnstrace.Trace) (s sight) {
	s.kind, s.reason = t.Kind, t.Verdict
	if len(t.Steps) == 0 {
		return s
	}
	last := t.Steps[len(t.Steps)-1]
	s.last, s.delegated = last.Zone, last.Zone == z.Apex
	if len(t.Steps) > 1 || s.delegated {
		for _, r := range last.Replies {
			if s.delegated && r.Server != "" && !slices.Contains(s.parent, r.Server) {
				s.parent = append(s.parent, r.Server)
			}
		}
	}
	slices.Sort(s.parent)
	if !s.delegated && t.Kind != dnstrace.Answer {
		return s
	}
	for _, w := range last.Wrong {
		if strings.HasPrefix(w, "the zone above ") {
			s.wrong = append(s.wrong, w)
		}
	}
	for _, r := range last.Replies {
		srv := Server{Name: r.Server, Address: r.Address, Serial: r.Serial, Problem: r.Problem, silent: r.Kind == dnstrace.NoRoute}
		for _, rec := range r.Records {
			if name, is := strings.CutPrefix(rec, "NS "); is {
				srv.NS = append(srv.NS, name)
			}
		}
		if srv.Problem == "" && (r.Kind != dnstrace.Answer || !r.Authoritative) {
			srv.Problem = fmt.Sprintf("it has no NS records of %s", z.Apex)
		}
		s.servers = append(s.servers, srv)
	}
	return s
}
