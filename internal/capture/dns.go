package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	udpSize    = 1232 // bytes of an answer that no path has to take apart (RFC 9715 section 3.1)
	maxRecords = 100  // of one section that are written down
	maxNamed   = 3    // names that a summary tells of
)

// dnsTasks ask each name server and each resolver for all names.
func (r *run) dnsTasks() []task {
	var out []task
	add := func(s Server, resolver bool, title string) {
		from := source(s.Name, s.Address)
		it := Item{Kind: KindDNS, Source: from, Title: fmt.Sprintf(title, from)}
		out = append(out, task{it, func(ctx context.Context, it Item) []Item {
			l := &lookup{at: s.Address, resolver: resolver, limit: r.o.Question}
			return []Item{l.all(ctx, it, r.job.Names)}
		}})
	}
	for _, s := range r.job.Resolvers {
		add(s, true, "What the resolver %s tells visitors about the site's names.")
	}
	for _, s := range r.job.Nameservers {
		add(s, false, "What the name server %s says about the site's names.")
	}
	return out
}

// lookup is one server and what it has said so far.
type lookup struct {
	at       netip.AddrPort
	resolver bool          // asked for recursion
	limit    time.Duration // for the first try of one question; the others have twice as long

	text     bytes.Buffer
	named    []string // what it says of each name, for the summary
	answers  int
	problem  string // the first one
	zone     string // whose serial is known
	serial   uint32
	hasZone  bool
	overTCP  bool // UDP has brought nothing, TCP has
	withoutE bool // it does not understand EDNS
}

// all asks for every name. A server that does not answer the first question at all is
// not asked the others: each would wait as long.
func (l *lookup) all(ctx context.Context, it Item, names []string) Item {
	fmt.Fprintf(&l.text, "DNS questions to %s, %s\n", it.Source, stamp(it.At))
	for i, name := range names {
		if ctx.Err() != nil || i > 0 && l.answers == 0 {
			fmt.Fprintf(&l.text, "\n%s not asked any more\n", counted(len(names)-i, "name"))
			break
		}
		l.name(ctx, dns.Fqdn(name))
	}
	it.Body = l.text.Bytes()
	if l.answers == 0 {
		it.Problem = l.problem
		it.Summary = "It gave no answer: " + l.problem + "."
		return it
	}
	said := l.named
	if len(said) > maxNamed {
		said = append(said[:maxNamed:maxNamed], counted(len(l.named)-maxNamed, "more name"))
	}
	if l.hasZone {
		said = append(said, fmt.Sprintf("serial %d", l.serial))
	}
	if l.overTCP {
		said = append(said, "it answers over TCP only")
	}
	it.Summary = strings.Join(said, "; ") + "."
	return it
}

// name asks for the addresses of a name, and a name server for its zone's serial.
func (l *lookup) name(ctx context.Context, name string) {
	v4, err := l.ask(ctx, name, dns.TypeA)
	if v4 == nil && l.answers == 0 {
		l.named = append(l.named, bare(name)+": "+err.Error())
		return
	}
	v6, err6 := l.ask(ctx, name, dns.TypeAAAA)
	if err == nil {
		err = err6
	}
	l.named = append(l.named, bare(name)+" "+l.says(v4, v6, err))
	if l.resolver || l.hasZone && dns.IsSubDomain(l.zone, name) {
		return
	}
	if m, _ := l.ask(ctx, name, dns.TypeSOA); m != nil {
		l.learn(m)
	}
}

// learn notes the serial of the zone that an answer comes from.
func (l *lookup) learn(m *dns.Msg) {
	for _, section := range [][]dns.RR{m.Answer, m.Ns} {
		for _, rr := range section {
			if soa, ok := rr.(*dns.SOA); ok && !l.hasZone {
				l.zone, l.serial, l.hasZone = soa.Hdr.Name, soa.Serial, true
			}
		}
	}
}

// says is what the answers for a name come to.
func (l *lookup) says(v4, v6 *dns.Msg, err error) string {
	var found []string
	ttl := ^uint32(0)
	var odd string // why there is no address
	for _, m := range []*dns.Msg{v4, v6} {
		if m == nil {
			continue
		}
		if m.Rcode != dns.RcodeSuccess {
			odd = rcode(m.Rcode)
		}
		if !l.resolver && !m.Authoritative && m.Rcode == dns.RcodeSuccess {
			odd = "is not served there (the answer is not authoritative)"
		}
		for _, rr := range m.Answer {
			switch a := rr.(type) {
			case *dns.A:
				found, ttl = append(found, a.A.String()), min(ttl, a.Hdr.Ttl)
			case *dns.AAAA:
				found, ttl = append(found, a.AAAA.String()), min(ttl, a.Hdr.Ttl)
			}
		}
	}
	switch {
	case odd != "":
		return odd
	case len(found) == 0 && err != nil:
		return "got no answer: " + err.Error()
	case len(found) == 0:
		return "has no address"
	}
	more := ""
	if len(found) > maxNamed {
		found, more = found[:maxNamed], fmt.Sprintf(" and %d more", len(found)-maxNamed)
	}
	still := ""
	if l.resolver {
		still = "another "
	}
	return fmt.Sprintf("is %s%s for %s%d s", strings.Join(found, ", "), more, still, ttl)
}

// rcode is a response code in words (RFC 1035 section 4.1.1).
func rcode(code int) string {
	name := dns.RcodeToString[code]
	switch code {
	case dns.RcodeNameError:
		return "does not exist (" + name + ")"
	case dns.RcodeServerFailure:
		return "can't be looked up (" + name + ")"
	case dns.RcodeRefused:
		return "is refused (" + name + ")"
	}
	if name == "" {
		name = fmt.Sprint("code ", code)
	}
	return "is answered with the error " + name
}

func bare(name string) string { return strings.TrimSuffix(name, ".") }

// ask asks one question and writes down what came. It is asked over UDP, once more
// where nothing came, and then, or when the answer was cut short, over TCP.
func (l *lookup) ask(ctx context.Context, name string, typ uint16) (*dns.Msg, error) {
	said := map[string]string{} // why there is no answer, by network
	var last error
	var short *dns.Msg // an answer that was cut short
	for i, network := range []string{"udp", "udp", "tcp"} {
		if network == "udp" && (short != nil || last != nil && !outOfTime(last)) {
			continue // a second datagram helps only against a loss
		}
		limit := l.limit
		if i > 0 { // a resolver may itself be waiting for somebody
			limit *= 2
		}
		m, err := l.exchange(ctx, limit, network, name, typ)
		if last = err; err != nil {
			said[network] = l.why(ctx, err, limit)
			if ctx.Err() != nil {
				break
			}
			continue
		}
		l.answers++
		if m.Truncated && network == "udp" {
			short = m
			continue
		}
		l.overTCP = l.overTCP || network == "tcp" && short == nil
		return m, nil
	}
	if short != nil { // better than nothing
		return short, nil
	}
	failed := failure(said["udp"])
	if tcp := said["tcp"]; tcp != "" && tcp != said["udp"] {
		failed = failure(fmt.Sprintf("over UDP %s, over TCP %s", said["udp"], tcp))
	}
	if l.problem == "" {
		l.problem = string(failed)
	}
	return nil, failed
}

// why is package words' why for one question, whose time is shorter than the item's.
func (l *lookup) why(ctx context.Context, err error, limit time.Duration) string {
	if outOfTime(err) && ctx.Err() == nil {
		return "no answer within " + span(limit)
	}
	var parse *dns.Error
	if errors.As(err, &parse) {
		return "what came back is no DNS answer (" + parse.Error() + ")"
	}
	return why(ctx, err, limit)
}

// exchange asks over one transport and writes down the answer or why there is none.
func (l *lookup) exchange(ctx context.Context, limit time.Duration, network, name string, typ uint16) (*dns.Msg, error) {
	ask, cancel := context.WithTimeoutCause(ctx, limit, errTime)
	defer cancel()
	q := l.query(name, typ)
	began := time.Now()
	m, n, err := roundTrip(ask, network, l.at, q)
	took := time.Since(began)
	fmt.Fprintf(&l.text, "\n;; %s %s, over %s, after %s: ", name, dns.TypeToString[typ], network, span(took))
	if err != nil {
		fmt.Fprintln(&l.text, line(l.why(ctx, err, limit)))
		return nil, err
	}
	l.write(m, n)
	odd := m.Rcode == dns.RcodeFormatError || m.Rcode == dns.RcodeNotImplemented || m.Rcode == dns.RcodeBadVers
	if odd && !l.withoutE { // some old servers know nothing of EDNS (RFC 6891 section 7)
		l.withoutE = true
		return l.exchange(ctx, limit, network, name, typ)
	}
	return m, nil
}

func (l *lookup) query(name string, typ uint16) *dns.Msg {
	q := new(dns.Msg).SetQuestion(name, typ)
	q.RecursionDesired = l.resolver
	if !l.withoutE {
		q.SetEdns0(udpSize, false)
		opt := q.IsEdns0()
		opt.Option = append(opt.Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID}) // which of many machines it is (RFC 5001)
	}
	return q
}

// roundTrip sends a question and reads its answer of n bytes. On UDP, what is no
// answer to this question is passed over, as a resolver does (RFC 5452 section 9).
func roundTrip(ctx context.Context, network string, at netip.AddrPort, q *dns.Msg) (m *dns.Msg, n int, err error) {
	conn, closeIt, err := dial(ctx, network, at)
	if err != nil {
		return nil, 0, err
	}
	defer closeIt()
	c := &dns.Conn{Conn: conn, UDPSize: udpSize}
	if err := c.WriteMsg(q); err != nil {
		return nil, 0, err
	}
	for {
		p, err := c.ReadMsgHeader(nil)
		if err != nil && !errors.Is(err, dns.ErrShortRead) {
			return nil, 0, err
		}
		m := new(dns.Msg)
		if err == nil {
			err = m.Unpack(p)
		}
		if err == nil && !answers(m, q) {
			err = failf("what came back answers another question")
		}
		if err == nil {
			return m, len(p), nil
		}
		if network != "udp" || m.Id == q.Id && m.Response {
			return nil, 0, err
		}
	}
}

func answers(m, q *dns.Msg) bool {
	if m.Id != q.Id || !m.Response {
		return false
	}
	if len(m.Question) == 0 { // a server that could not read the question may leave it out
		return m.Rcode != dns.RcodeSuccess
	}
	a, b := m.Question[0], q.Question[0]
	return a.Qtype == b.Qtype && a.Qclass == b.Qclass && strings.EqualFold(a.Name, b.Name)
}

// write writes an answer down, much as dig does.
func (l *lookup) write(m *dns.Msg, n int) {
	var flags []string
	for _, f := range []struct {
		set  bool
		name string
	}{{m.Authoritative, "aa"}, {m.Truncated, "tc"}, {m.RecursionDesired, "rd"}, {m.RecursionAvailable, "ra"}, {m.AuthenticatedData, "ad"}, {m.CheckingDisabled, "cd"}} {
		if f.set {
			flags = append(flags, f.name)
		}
	}
	code := dns.RcodeToString[m.Rcode]
	if code == "" {
		code = fmt.Sprint("code ", m.Rcode)
	}
	fmt.Fprintf(&l.text, "%s, flags [%s], %s\n", code, strings.Join(flags, " "), counted(n, "byte"))
	if opt := m.IsEdns0(); opt != nil {
		l.options(opt)
	}
	for _, s := range []struct {
		name    string
		records []dns.RR
	}{{"answer", m.Answer}, {"authority", m.Ns}, {"additional", m.Extra}} {
		l.section(s.name, s.records)
	}
}

// options writes who answered and, where the server says so, why it has failed.
func (l *lookup) options(opt *dns.OPT) {
	for i, o := range opt.Option {
		if i == maxRecords {
			return
		}
		switch o := o.(type) {
		case *dns.EDNS0_NSID:
			fmt.Fprintf(&l.text, ";; the server calls itself %s (hex)\n", clip(o.Nsid, 1024))
		case *dns.EDNS0_EDE: // RFC 8914
			fmt.Fprintf(&l.text, ";; it adds: %s (%d) %s\n", dns.ExtendedErrorCodeToString[o.InfoCode], o.InfoCode, line(o.ExtraText))
		}
	}
}

func (l *lookup) section(name string, records []dns.RR) {
	for i, rr := range records {
		if _, opt := rr.(*dns.OPT); opt {
			continue
		}
		if i == maxRecords || l.text.Len() > MaxBody {
			fmt.Fprintf(&l.text, "; and %d more in the %s section\n", len(records)-i, name)
			return
		}
		if i == 0 {
			fmt.Fprintf(&l.text, "; %s\n", name)
		}
		fmt.Fprintln(&l.text, clip(strings.ReplaceAll(rr.String(), "\t", " "), 4096))
	}
}
