package desk

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/store"
	"lifeboat/internal/zone"
	"lifeboat/internal/zonebook"
	"lifeboat/internal/zonediff"
)

// How long name servers are asked after a publishing, and how often.
const (
	observeFor = 3 * time.Second
	observeTry = 20 * time.Millisecond // between two questions to one server; doubled each time
	askLimit   = 500 * time.Millisecond
	maxLooked  = 8 // record sets that are asked for
)

// Ask asks one server for one record set, without recursion.
type Ask func(ctx context.Context, server netip.AddrPort, name string, typ uint16) (*dns.Msg, error)

// Over asks over UDP, and over TCP where the answer is cut short.
func Over(ctx context.Context, server netip.AddrPort, name string, typ uint16) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	q := new(dns.Msg)
	q.SetQuestion(name, typ)
	q.RecursionDesired = false
	q.SetEdns0(1232, false)
	for _, network := range []string{"udp", "tcp"} {
		c := dns.Client{Net: network, Timeout: askLimit}
		m, _, err := c.ExchangeContext(ctx, q, server.String())
		if err != nil || !m.Truncated {
			return m, err
		}
	}
	return nil, fmt.Errorf("the answer is cut short over TCP")
}

// observe asks every name server until each answers by the new revision, or time is up,
// and keeps what was seen.
func (d *Desk) observe(ctx context.Context, apex string, r zonebook.Revision, p zonebook.Plan, began time.Time) Outcome {
	looked, servers := wanted(p), d.serversOf(p)
	seen := make([]Seen, len(servers))
	ctx, cancel := context.WithTimeout(ctx, observeFor)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex // guards took
	var took time.Duration
	for i, server := range servers {
		wg.Go(func() { // ends with ctx
			seen[i] = d.watch(ctx, server, apex, r.Serial, looked)
			if at := d.o.Now().Sub(began); seen[i].New {
				mu.Lock()
				took = max(took, at)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	out := Outcome{At: d.o.Now().UTC(), Took: took.Milliseconds(), Servers: seen, Words: words(seen, took)}
	kept, stop := context.WithTimeout(context.WithoutCancel(ctx), observeFor)
	defer stop()
	if _, err := d.o.Store.Txn(kept, nil, storeOutcome(apex, r.Number, out)); err != nil {
		d.o.Logger.Warn("what was seen of a published zone is not written down", "zone", apex, "cause", err)
	}
	return out
}

// serversOf are the name servers that the zone names, of those that can be asked; all of
// them where it names none.
func (d *Desk) serversOf(p zonebook.Plan) (out []Server) {
	if p.Zoned == nil {
		return d.o.Servers
	}
	named := map[string]bool{}
	for _, rec := range p.Zoned.Records() {
		if rec.Type == dns.TypeNS && rec.Owner == p.Zoned.ApexWire() {
			named[strings.ToLower(zone.Unpack(string(rec.Data)))] = true
		}
	}
	for _, s := range d.o.Servers {
		if named[strings.ToLower(dns.Fqdn(s.Name))] {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		return d.o.Servers
	}
	return out
}

// watch asks one server until it answers by the new revision, or ctx ends.
func (d *Desk) watch(ctx context.Context, server Server, apex string, serial uint32, looked []look) Seen {
	s := Seen{Server: server.Name}
	for wait := observeTry; ; wait *= 2 {
		s.Detail = d.asked(ctx, server, apex, serial, looked)
		if s.New = s.Detail == ""; s.New {
			return s
		}
		t := time.NewTimer(min(wait, askLimit))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return s
		}
	}
}

// asked says in what a server does not answer by the new revision yet; "" where it does.
func (d *Desk) asked(ctx context.Context, server Server, apex string, serial uint32, looked []look) string {
	m, err := d.o.Ask(ctx, server.Address, apex, dns.TypeSOA)
	if err != nil {
		return "it does not answer"
	}
	soa := (*dns.SOA)(nil)
	for _, rr := range m.Answer {
		if s, is := rr.(*dns.SOA); is {
			soa = s
		}
	}
	switch {
	case m.Rcode != dns.RcodeSuccess || !m.Authoritative || soa == nil:
		return "it does not answer for the zone (" + dns.RcodeToString[m.Rcode] + ")"
	case soa.Serial != serial && !zone.SerialNewer(soa.Serial, serial):
		return fmt.Sprintf("it still has serial %d", soa.Serial)
	}
	for _, l := range looked {
		m, err := d.o.Ask(ctx, server.Address, l.name, l.typ)
		if err != nil {
			return "it does not answer for " + l.name
		}
		if !l.like(m) {
			return fmt.Sprintf("it answers %s %s with something else", l.name, zone.TypeName(l.typ))
		}
	}
	return ""
}

// look is a record set as it has to be answered.
type look struct {
	name string
	typ  uint16
	data [][]byte // none: there is to be none
}

// wanted are the first sets that differ, as they are to be answered.
func wanted(p zonebook.Plan) (out []look) {
	if p.Zoned == nil {
		return nil
	}
	for _, l := range p.Lines {
		typ, known := dns.StringToType[l.Type]
		if !known || typ == dns.TypeSOA || len(out) == maxLooked || hasNS(p.Zoned, l.Name) || strings.HasPrefix(l.Name, "*.") {
			continue // a delegation is a referral, and no answer
		}
		x := look{name: l.Name, typ: typ}
		for _, rec := range p.Zoned.Records() {
			if rec.Type == typ && zone.Unpack(rec.Owner) == l.Name && !rec.Glue {
				x.data = append(x.data, rec.Data)
			}
		}
		if l.Kind == zonediff.Removed || len(x.data) == 0 {
			continue // a wildcard, or a site's place, may answer in its place
		}
		out = append(out, x)
	}
	return out
}

// hasNS says whether a name is at or below a delegation.
func hasNS(z *zone.Zone, name string) bool {
	wire, err := zone.Pack(name)
	if err != nil {
		return true
	}
	for _, rec := range z.Records() {
		if rec.Type == dns.TypeNS && rec.Owner != z.ApexWire() && zone.Under(wire, rec.Owner) {
			return true
		}
	}
	return false
}

// like says whether an answer holds the set and nothing else of its name and type.
func (l look) like(m *dns.Msg) bool {
	var got [][]byte
	for _, rr := range m.Answer {
		if rr.Header().Rrtype != l.typ || !strings.EqualFold(rr.Header().Name, l.name) {
			continue
		}
		wire := make([]byte, dns.Len(rr)+64)
		n, err := dns.PackRR(rr, wire, 0, nil, false)
		if err != nil {
			return false
		}
		owner, err := zone.Pack(rr.Header().Name)
		if err != nil || len(owner)+10 > n {
			return false
		}
		got = append(got, wire[len(owner)+10:n])
	}
	if len(got) != len(l.data) {
		return false
	}
	for _, want := range l.data {
		if !slices.ContainsFunc(got, func(g []byte) bool { return bytes.EqualFold(g, want) }) {
			return false
		}
	}
	return true
}

func (d *Desk) get(ctx context.Context, key string, v any) bool {
	kv, err := d.o.Store.Get(ctx, key)
	return err == nil && json.Unmarshal(kv.Value, v) == nil
}

func storeOutcome(apex string, n int, o Outcome) []store.Write {
	return []store.Write{written(numbered(keyOutcome, apex, n), o)}
}
