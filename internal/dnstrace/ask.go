package dnstrace

import (
	"context"
	"errors"
	"net/netip"
	"syscall"

	"github.com/miekg/dns"

	"lifeboat/internal/fault"
)

const udpSize = 1232 // octets of an answer that no path has to take apart (RFC 9715 section 3.1)

// question is what is asked, class IN.
type question struct {
	name string // absolute, lower case
	typ  uint16
}

// ParseServer reads an address, with DNS's port where it names none. Names are refused:
// a trace looks up none but by itself.
func ParseServer(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, 53), nil
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return a, fault.New(fault.Invalid, "%q is no address", s).WithHint("say HOST:PORT with an IP address, such as 192.0.2.53:53 or [2001:db8::53]:53")
	}
	return a, nil
}

// one asks one server and fills in its reply: what it says, and the serial it has.
func (t *tracer) one(ctx context.Context, zone string, q question, r *Reply, serial bool) {
	if r.Kind != "" {
		return // it has no address
	}
	began := t.o.Now()
	m, tcp, err := t.ask(ctx, r.to, q)
	took := t.o.Now().Sub(began)
	if err != nil {
		r.Kind, r.Problem, r.Took = Unreachable, plain(err), took.Milliseconds()
		if r.to.Addr().Is6() && (errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)) {
			r.Kind, r.Problem = NoRoute, "this machine has no IPv6"
		}
		return
	}
	said := classify(m, q, zone)
	said.Server, said.Address, said.to = r.Server, r.Address, r.to
	said.TCP, said.Took = tcp, took.Milliseconds()
	*r = said
	if !serial || !r.Kind.good() {
		return
	}
	of := zone
	if of == "" {
		switch of = q.name; r.Kind {
		case Referral:
			of = above(r.Zone)
		case Alias: // asked for its SOA, it would give the alias
			of = above(q.name)
		}
	}
	if m, _, err := t.ask(ctx, r.to, question{of, dns.TypeSOA}); err == nil {
		r.learn(m)
	}
}

// above is the name one label up.
func above(name string) string {
	if next, end := dns.NextLabel(name, 0); !end {
		return name[next:]
	}
	return "."
}

// ask sends a question over UDP, twice, and over TCP when the answer is cut.
func (t *tracer) ask(ctx context.Context, to netip.AddrPort, q question) (m *dns.Msg, tcp bool, err error) {
	for range 2 {
		if m, err = t.exchange(ctx, "udp", to, q); err == nil || ctx.Err() != nil || !timedOut(err) {
			break
		}
	}
	if err == nil && m.Truncated {
		m, err = t.exchange(ctx, "tcp", to, q)
		tcp = true
	}
	return m, tcp, err
}

func timedOut(err error) bool {
	var e interface{ Timeout() bool }
	return errors.As(err, &e) && e.Timeout()
}

// exchange is one question and its answer over one connection.
func (t *tracer) exchange(ctx context.Context, network string, to netip.AddrPort, q question) (*dns.Msg, error) {
	if t.asked.Add(1) > maxQuestions {
		return nil, errors.New("the trace has asked too many questions")
	}
	ctx, cancel := context.WithTimeout(ctx, t.o.Question)
	defer cancel()
	conn, err := t.o.Dial(ctx, network, to.String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()                         // what matters has been read
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // a stopped trace waits for nobody
	c := &dns.Conn{Conn: conn, UDPSize: 65535}                  // what is larger than was asked for is still read
	msg := new(dns.Msg).SetQuestion(q.name, q.typ)
	msg.RecursionDesired = false
	msg.SetEdns0(udpSize, false)
	client := &dns.Client{Net: network, Timeout: t.o.Question, UDPSize: udpSize}
	m, _, err := client.ExchangeWithConnContext(ctx, msg, c)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	if len(m.Question) > 0 && (dns.CanonicalName(m.Question[0].Name) != q.name || m.Question[0].Qtype != q.typ) {
		return nil, errors.New("it answered another question")
	}
	return m, nil
}

// plain is why a server gave no answer, in words.
func plain(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there"
	case errors.Is(err, context.DeadlineExceeded), timedOut(err):
		return "it does not answer"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "there is no way to it"
	}
	return err.Error()
}

// rootCut are the root's servers, from the hints that IANA publishes (named.root).
func rootCut() *cut {
	c := &cut{zone: "."}
	for i, pair := range [...][2]string{
		{"198.41.0.4", "2001:503:ba3e::2:30"}, {"170.247.170.2", "2801:1b8:10::b"}, {"192.33.4.12", "2001:500:2::c"},
		{"199.7.91.13", "2001:500:2d::d"}, {"192.203.230.10", "2001:500:a8::e"}, {"192.5.5.241", "2001:500:2f::f"},
		{"192.112.36.4", "2001:500:12::d0d"}, {"198.97.190.53", "2001:500:1::53"}, {"192.36.148.17", "2001:7fe::53"},
		{"192.58.128.30", "2001:503:c27::2:30"}, {"193.0.14.129", "2001:7fd::1"}, {"199.7.83.42", "2001:500:9f::42"},
		{"202.12.27.33", "2001:dc3::35"},
	} {
		s := server{name: string(rune('a'+i)) + ".root-servers.net."}
		for _, a := range pair {
			s.addrs = append(s.addrs, netip.MustParseAddr(a))
		}
		c.servers = append(c.servers, s)
	}
	return c
}
