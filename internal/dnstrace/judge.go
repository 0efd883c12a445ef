package dnstrace

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"lifeboat/internal/zonediff"
)

// Kind is what a server's reply comes to.
type Kind string

// The kinds of reply. Failed is a trace's only.
const (
	Answer      Kind = "answer"
	Alias       Kind = "alias"    // a CNAME to a name that has to be asked for elsewhere
	Referral    Kind = "referral" // to a zone below
	NoData      Kind = "nodata"   // the name is there, the type is not
	NXDomain    Kind = "nxdomain" // the name is not there
	Lame        Kind = "lame"     // it does not answer for the zone (RFC 9499 section 7)
	Unreachable Kind = "unreachable"
	NoRoute     Kind = "noroute" // this machine can't ask it; says nothing about it
	Failed      Kind = "failed"
)

// good says whether a resolver goes on with such a reply.
func (k Kind) good() bool {
	return k == Answer || k == Alias || k == Referral || k == NoData || k == NXDomain
}

// Reply is what one server said at one address.
type Reply struct {
	Server        string   `json:"server,omitempty"` // its name
	Address       string   `json:"address,omitempty"`
	Kind          Kind     `json:"kind"`
	Rcode         string   `json:"rcode,omitempty"`
	Authoritative bool     `json:"authoritative"`
	Records       []string `json:"records,omitempty"` // "TYPE data", sorted; along aliases in their order
	Zone          string   `json:"zone,omitempty"`    // of a referral: the zone below
	NS            []string `json:"ns,omitempty"`      // of a referral, sorted
	TTL           uint32   `json:"ttl"`               // seconds: the least of what was said; of a denial, how long that may be kept (RFC 2308)
	Serial        *uint32  `json:"serial,omitempty"`
	TCP           bool     `json:"tcp,omitempty"` // the answer did not fit into a datagram
	Took          int64    `json:"tookMs"`        // milliseconds
	Problem       string   `json:"problem,omitempty"`

	to    netip.AddrPort
	alias string
	of    string // the zone whose serial it is
	glue  map[string][]netip.Addr
	addrs []netip.Addr // of an answer
}

// name is how a server is spoken of.
func (r *Reply) name() string {
	if r.Server == "" {
		return r.Address
	}
	if r.Address == "" {
		return r.Server
	}
	return r.Server + " (" + r.Address + ")"
}

// dataOf is a record's data in the form of a master file.
func dataOf(rr dns.RR) string {
	switch v := rr.(type) {
	case *dns.NS:
		return dns.CanonicalName(v.Ns)
	case *dns.CNAME:
		return dns.CanonicalName(v.Target)
	}
	return strings.TrimSpace(strings.TrimPrefix(rr.String(), rr.Header().String()))
}

// classify says what a message means to a resolver that asked q at a server of a zone;
// the zone is empty while it is not known.
func classify(m *dns.Msg, q question, zone string) Reply {
	r := Reply{Rcode: rcodeText(m.Rcode), Authoritative: m.Authoritative, TTL: ^uint32(0)}
	if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		r.Kind, r.Problem, r.TTL = Lame, "it says "+r.Rcode, 0
		return r
	}
	last, found := r.chain(m, q, zone)
	if !found && last == q.name && m.Rcode == dns.RcodeSuccess && r.referral(m, q, zone) {
		return r
	}
	if r.Problem == "" && !m.Authoritative {
		r.Problem = "its answer is not authoritative"
	}
	switch {
	case r.Problem != "":
		r.Kind, r.TTL = Lame, 0
	case found:
		r.Kind = Answer
	case last != q.name:
		r.Kind, r.alias = Alias, last
	default:
		r.Kind, r.TTL = NoData, 0
		if m.Rcode == dns.RcodeNameError {
			r.Kind = NXDomain
		}
		for _, rr := range m.Ns {
			if soa, ok := rr.(*dns.SOA); ok {
				r.TTL = min(soa.Hdr.Ttl, soa.Minttl)
			}
		}
	}
	return r
}

// chain reads the answer section along its aliases. It leaves off where an alias leads
// out of the zone: what follows there is not this server's to say.
func (r *Reply) chain(m *dns.Msg, q question, zone string) (last string, found bool) {
	last = q.name
	for range maxAliases {
		var data []string
		alias := ""
		for _, rr := range m.Answer {
			h := rr.Header()
			switch {
			case dns.CanonicalName(h.Name) != last:
			case h.Rrtype == q.typ:
				data, r.TTL = append(data, dns.Type(h.Rrtype).String()+" "+dataOf(rr)), min(r.TTL, h.Ttl)
				r.address(rr)
			case h.Rrtype == dns.TypeCNAME && alias == "":
				alias = dataOf(rr)
				r.TTL = min(r.TTL, h.Ttl)
			}
		}
		if len(data) > 0 {
			slices.Sort(data)
			r.Records = append(r.Records, data...)
			return last, true
		}
		if alias == "" {
			return last, false
		}
		r.Records, last = append(r.Records, "CNAME "+alias), alias
		if zone != "" && !dns.IsSubDomain(zone, alias) {
			return last, false
		}
	}
	return last, false
}

func (r *Reply) address(rr dns.RR) {
	if a, ok := addressOf(rr); ok {
		r.addrs = append(r.addrs, a)
	}
}

func addressOf(rr dns.RR) (netip.Addr, bool) {
	switch v := rr.(type) {
	case *dns.A:
		a, ok := netip.AddrFromSlice(v.A.To4())
		return a, ok
	case *dns.AAAA:
		a, ok := netip.AddrFromSlice(v.AAAA.To16())
		return a, ok
	}
	return netip.Addr{}, false
}

// referral reads the authority section, and says whether it refers to a zone below.
// One that refers to the zone itself or to one above it is noted as a problem.
func (r *Reply) referral(m *dns.Msg, q question, zone string) bool {
	for _, rr := range m.Ns {
		ns, ok := rr.(*dns.NS)
		if !ok {
			continue
		}
		owner := dns.CanonicalName(ns.Hdr.Name)
		down := owner != "." && owner != zone && (zone == "" || dns.IsSubDomain(zone, owner)) && dns.IsSubDomain(owner, q.name)
		if !down && !m.Authoritative {
			r.Problem = "it refers to " + owner + " instead of answering"
			return false
		}
		if down && (r.Zone == "" || r.Zone == owner) && len(r.NS) < maxAddresses {
			r.Kind, r.Zone, r.TTL = Referral, owner, min(r.TTL, ns.Hdr.Ttl)
			r.NS = append(r.NS, dataOf(ns))
		}
	}
	if r.Kind != Referral {
		return false
	}
	slices.Sort(r.NS)
	r.NS = slices.Compact(r.NS)
	r.glue = map[string][]netip.Addr{}
	for _, rr := range m.Extra {
		name := dns.CanonicalName(rr.Header().Name)
		if a, ok := addressOf(rr); ok && slices.Contains(r.NS, name) && !slices.Contains(r.glue[name], a) {
			r.glue[name] = append(r.glue[name], a)
		}
	}
	return true
}

// learn takes the serial from an answer to a question for a SOA.
func (r *Reply) learn(m *dns.Msg) {
	if !m.Authoritative {
		return
	}
	for _, section := range [][]dns.RR{m.Answer, m.Ns} {
		for _, rr := range section {
			if soa, ok := rr.(*dns.SOA); ok && r.Serial == nil {
				r.Serial = &soa.Serial
				r.of = dns.CanonicalName(soa.Hdr.Name)
			}
		}
	}
}

// rcodeText is a response code by its name.
func rcodeText(code int) string {
	if s, known := dns.RcodeToString[code]; known {
		return s
	}
	return fmt.Sprintf("RCODE%d", code)
}

// gist is what a reply says, to be compared with others.
func (r *Reply) gist() string {
	switch r.Kind {
	case Referral:
		return "refers to " + r.Zone + " at " + strings.Join(r.NS, ", ")
	case NoData:
		return "says that there is no record of the type"
	case NXDomain:
		return "says that there is no such name"
	}
	return "answers " + strings.Join(r.Records, ", ")
}

// choose is the reply that most servers give, the first of them, and what the others
// say instead. It is nil where no server gives one that a resolver goes on with.
func choose(replies []Reply) (best *Reply, others []string) {
	count := map[string]int{}
	for i := range replies {
		if r := &replies[i]; r.Kind.good() {
			count[r.gist()]++
		}
	}
	for i := range replies {
		r := &replies[i]
		if r.Kind.good() && (best == nil || count[r.gist()] > count[best.gist()]) {
			best = r
		}
	}
	for i := range replies {
		if r := &replies[i]; r.Kind.good() && r.gist() != best.gist() && !slices.Contains(others, r.gist()) {
			others = append(others, r.gist())
		}
	}
	return best, others
}

// zoneOf is the zone whose serial the servers told.
func zoneOf(replies []Reply) string {
	for _, r := range replies {
		if r.of != "" {
			return r.of
		}
	}
	return ""
}

// compare says which servers fail, and where the others disagree.
func compare(replies []Reply) (wrong []string) {
	for i := range replies {
		switch r := &replies[i]; r.Kind {
		case Unreachable:
			wrong = append(wrong, fmt.Sprintf("%s can't be asked: %s", r.name(), r.Problem))
		case Lame:
			wrong = append(wrong, fmt.Sprintf("%s is lame: %s", r.name(), r.Problem))
		}
	}
	best, _ := choose(replies)
	if best == nil {
		return wrong
	}
	for i := range replies {
		if r := &replies[i]; r.Kind.good() && r.gist() != best.gist() {
			wrong = append(wrong, fmt.Sprintf("%s %s, but %s %s", r.name(), r.gist(), best.name(), best.gist()))
		}
	}
	return append(wrong, compareSerials(replies)...)
}

// compareSerials says which servers have another serial than the first one.
func compareSerials(replies []Reply) (wrong []string) {
	var first *Reply
	for i := range replies {
		r := &replies[i]
		switch {
		case r.Serial == nil:
		case first == nil:
			first = r
		case *r.Serial != *first.Serial:
			wrong = append(wrong, fmt.Sprintf("%s has serial %d, but %s has %d", r.name(), *r.Serial, first.name(), *first.Serial))
		}
	}
	return wrong
}

// compareNames compares a zone's name servers by the zone above with those by itself.
func compareNames(above, own []string) []string {
	if len(own) == 0 || slices.Equal(above, own) {
		return nil
	}
	return []string{fmt.Sprintf("the zone above names %s, the zone itself names %s", strings.Join(above, ", "), strings.Join(own, ", "))}
}

// compareGlue compares the addresses of a server that the zone above gives with those
// that its own zone gives. Addresses that only the zone itself has are no fault.
func compareGlue(name string, glue []netip.Addr, own []string) (wrong []string) {
	if len(own) == 0 {
		return []string{fmt.Sprintf("the zone above has an address of %s, the zone itself has none", name)}
	}
	for _, a := range glue {
		if !slices.Contains(own, a.String()) {
			wrong = append(wrong, fmt.Sprintf("the zone above has the address %s of %s, the zone itself has %s", a, name, strings.Join(own, ", ")))
		}
	}
	return wrong
}

// wrongOf is all that is wrong on the way, the last step's first.
func wrongOf(steps []Step) []string {
	out := []string{}
	for _, s := range slices.Backward(steps) {
		for _, w := range s.Wrong {
			if s.Zone != "" {
				w = s.Zone + ": " + w
			}
			out = append(out, w)
		}
	}
	return out
}

// nobody says that no server of a zone helps on.
func nobody(zone string, wrong []string) string {
	if zone == "" {
		return "none of the servers named gives an answer"
	}
	if len(wrong) == 0 {
		return "no name server of " + zone + " could be asked"
	}
	return "no name server of " + zone + " gives an answer"
}

// verdict is the sentence at the end: what a resolver gets now, for how long it may
// keep it, and what is wrong.
func verdict(t Trace, end outcome) string {
	var said string
	keep := "may keep that for " + zonediff.Lasting(t.TTL)
	switch t.Kind {
	case Answer:
		said = fmt.Sprintf("A resolver gets %s for %s now", strings.Join(t.Records, ", "), t.Name)
	case NoData:
		said = fmt.Sprintf("A resolver is told now that there is no %s record of %s", t.Type, t.Name)
	case NXDomain:
		said = fmt.Sprintf("A resolver is told now that there is no name %s", t.Name)
	default:
		said, keep = fmt.Sprintf("A resolver gets no answer for %s now (SERVFAIL)", t.Name), cmp.Or(end.reason, "the trace broke off")
	}
	if len(end.others) > 0 {
		said += " (but one server " + strings.Join(end.others, ", another ") + ")"
	}
	if t.Kind == Failed {
		said += ": " + keep
	} else {
		said += " and " + keep
	}
	switch len(t.Wrong) {
	case 0:
		if t.Kind != Failed {
			said += "; all name servers on the way agree"
		}
	case 1:
		said += "; wrong: " + t.Wrong[0]
	default:
		said += fmt.Sprintf("; wrong: %s, and %d more", t.Wrong[0], len(t.Wrong)-1)
	}
	return said + "."
}
