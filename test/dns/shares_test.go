package dns

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	wire "github.com/miekg/dns"

	"lifeboat/internal/authdns"
	"lifeboat/internal/dnssec"
	"lifeboat/internal/signer"
	"lifeboat/internal/zone"
)

// resolvers are networks that ask a server, each over a connection of its own.
type resolvers struct {
	t     *testing.T
	addr  string
	conns []*wire.Conn
}

// networks are as many resolvers as it takes for both sides of a share of any site.
const networks = 8

func newResolvers(t *testing.T, s *authdns.Server) *resolvers {
	t.Helper()
	r := &resolvers{t: t, addr: fmt.Sprintf("127.0.0.1:%d", serve(t, s)), conns: make([]*wire.Conn, networks)}
	t.Cleanup(func() {
		for _, c := range r.conns {
			if c != nil {
				c.Close()
			}
		}
	})
	return r
}

// ask has one of them ask for an answer with signatures.
func (r *resolvers) ask(who int, name string, typ uint16) *wire.Msg {
	r.t.Helper()
	q := new(wire.Msg)
	q.SetQuestion(name, typ)
	q.SetEdns0(1232, true)
	client := wire.Client{Net: "tcp", Timeout: 10 * time.Second, Dialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+who), 1)}, Timeout: 10 * time.Second}}
	for range 2 { // a connection that has waited for long may be closed
		if r.conns[who] == nil {
			conn, err := client.Dial(r.addr)
			if err != nil {
				r.t.Fatal(err)
			}
			r.conns[who] = conn
		}
		m, _, err := client.ExchangeWithConn(q, r.conns[who])
		if err == nil {
			return m
		}
		r.t.Log(err)
		r.conns[who].Close()
		r.conns[who] = nil
	}
	r.t.Fatalf("no answer to %s %s", name, wire.Type(typ))
	return nil
}

// sharedZone is a signed zone with names of every kind that follow sites.
func sharedZone(t *testing.T, sites map[string]zone.Positions) (*authdns.Table, validator) {
	t.Helper()
	z, err := zone.Parse(zone.Source{Apex: "example.com.", TTL: 60, Text: validated + "tomail IN MX 5 shop\n",
		Follow: map[string]string{"example.com.": "apex", "shop.example.com.": "shop", "*.tenants.example.com.": "shop"}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	key, err := signer.NewKey(now)
	if err != nil {
		t.Fatal(err)
	}
	signed, _, err := signer.Keys{Keys: []*signer.Key{key}}.Sign(signer.Wanted{Zone: z, Sites: sites, Serial: z.Serial()}, dnssec.Zone{}, now)
	if err != nil {
		t.Fatal(err)
	}
	table, err := authdns.CompileSigned([]*zone.Zone{z}, sites, []dnssec.Zone{signed})
	if err != nil {
		t.Fatal(err)
	}
	rr, err := wire.NewRR(zone.Record{Owner: z.ApexWire(), Type: wire.TypeDNSKEY, TTL: 1, Data: key.Data()}.String())
	if err != nil {
		t.Fatal(err)
	}
	return table, validator{keys: map[string][]*wire.DNSKEY{z.Apex(): {rr.(*wire.DNSKEY)}}, now: now}
}

// told is what a position comes to in answers.
func told(at zone.Addresses) (data map[uint16][]string) {
	data = map[uint16][]string{}
	if at.Alias != "" {
		return map[uint16][]string{wire.TypeCNAME: {at.Alias}}
	}
	for _, ip := range at.IPs {
		typ := wire.TypeAAAA
		if ip.Is4() {
			typ = wire.TypeA
		}
		data[typ] = append(data[typ], ip.String())
	}
	return data
}

// dataOf are the addresses, or the alias, that a section has for a name.
func dataOf(rrs []wire.RR, name string) map[uint16][]string {
	data := map[uint16][]string{}
	for _, rr := range rrs {
		if rr.Header().Name != name {
			continue
		}
		switch rr := rr.(type) {
		case *wire.A:
			data[wire.TypeA] = append(data[wire.TypeA], rr.A.String())
		case *wire.AAAA:
			data[wire.TypeAAAA] = append(data[wire.TypeAAAA], rr.AAAA.String())
		case *wire.CNAME:
			data[wire.TypeCNAME] = append(data[wire.TypeCNAME], rr.Target)
		}
	}
	return data
}

// moving are the types that differ between positions.
var moving = []uint16{wire.TypeA, wire.TypeCNAME, wire.TypeAAAA}

// TestSharesAreSigned has networks on both sides of a share ask, for every pair of
// positions: each is told one of the two, whole, with the signatures and the proofs of
// that one and no other.
func TestSharesAreSigned(t *testing.T) {
	t.Parallel()
	sites := map[string]zone.Positions{"shop": positions(), "apex": positions()}
	delete(sites["apex"], "alias")
	table, v := sharedZone(t, sites)
	server := authdns.New(authdns.Options{})
	r := newResolvers(t, server)
	at := func(site, position string) string { // an apex can't be an alias
		if _, has := sites[site][position]; !has {
			return "standby"
		}
		return position
	}
	put := func(position, other string, limit uint32) {
		t.Helper()
		o := authdns.Orders{Position: map[string]string{}, Share: map[string]authdns.Share{}, TTLCap: map[string]uint32{"shop": limit, "apex": limit}}
		for site := range sites {
			o.Position[site], o.Share[site] = at(site, position), authdns.Share{Position: at(site, other), Percent: 50}
		}
		view, err := table.View(o)
		if err != nil {
			t.Fatal(err)
		}
		server.Set(view)
	}
	names := []struct{ site, owner, asked string }{
		{"apex", "example.com.", "example.com."}, {"shop", "shop.example.com.", "shop.example.com."}, {"shop", "*.tenants.example.com.", "acme.tenants.example.com."},
		{"shop", "shop.example.com.", "toshop.example.com."}, {"shop", "shop.example.com.", "tomail.example.com."},
	}
	put("standby", "four", 0)
	there := map[string][]bool{} // by site: who is sent to the other position
	for _, n := range names[:2] {
		sides := map[bool]bool{}
		for who := range networks {
			got := dataOf(r.ask(who, n.asked, wire.TypeA).Answer, n.asked)[wire.TypeA]
			there[n.site] = append(there[n.site], len(got) == 2)
			sides[len(got) == 2] = true
		}
		if len(sides) != 2 {
			t.Fatalf("all of %d networks are on one side of the share of %s", networks, n.site)
		}
	}
	for _, position := range slices.Sorted(keysOf(positions())) {
		for i, other := range slices.Sorted(keysOf(positions())) {
			put(position, other, uint32(i%2*7))
			for _, n := range names {
				for who := range networks {
					want := told(sites[n.site][at(n.site, position)])
					if there[n.site][who] {
						want = told(sites[n.site][at(n.site, other)])
					}
					for _, typ := range []uint16{wire.TypeA, wire.TypeAAAA, wire.TypeCNAME, wire.TypeMX, wire.TypeTXT, wire.TypeNSEC, wire.TypeANY} {
						m := r.ask(who, n.asked, typ)
						about := fmt.Sprintf("%s, shared with %s: network %d asks for %s %s", position, other, who, n.asked, wire.Type(typ))
						if err := v.check(m, "example.com."); err != nil {
							t.Fatalf("%s: %v\n%s", about, err, m)
						}
						if wrong := strange(m, n.owner, n.asked, want); wrong != "" {
							t.Fatalf("%s: %s\n%s", about, wrong, m)
						}
					}
				}
			}
		}
	}
	if n := server.Counts().Panics; n > 0 {
		t.Errorf("%d panics", n)
	}
}

// TestSharesWithAResolver has two real resolvers, one on each side of a share, take what
// they are told as secure: addresses, an alias, and that there is none.
func TestSharesWithAResolver(t *testing.T) {
	t.Parallel()
	tool(t, "unbound")
	sites := map[string]zone.Positions{"shop": positions(), "apex": positions()}
	delete(sites["apex"], "alias")
	table, v := sharedZone(t, sites)
	server := authdns.New(authdns.Options{})
	r := newResolvers(t, server)
	put := func(position, other string) {
		t.Helper()
		view, err := table.View(authdns.Orders{Position: map[string]string{"shop": position, "apex": "four"}, Share: map[string]authdns.Share{"shop": {Position: other, Percent: 50}}})
		if err != nil {
			t.Fatal(err)
		}
		server.Set(view)
	}
	put("standby", "four")
	side := map[bool]int{}
	for who := range networks {
		side[len(dataOf(r.ask(who, "shop.example.com.", wire.TypeA).Answer, "shop.example.com.")[wire.TypeA]) == 2] = who
	}
	_, port, err := net.SplitHostPort(r.addr)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	ask := map[bool]func(string, uint16) *wire.Msg{}
	for there, who := range side {
		ask[there], _ = resolverAt(t, fmt.Sprintf("127.0.%d.1", 1+who), number, strings.ReplaceAll(v.keys["example.com."][0].ToDS(wire.SHA256).String(), "\t", " "), "example.com.")
	}
	if len(ask) != 2 {
		t.Fatalf("all of %d networks are on one side of the share", networks)
	}
	for i, at := range [][2]string{{"standby", "six"}, {"both", "four"}, {"six", "four"}, {"alias", "standby"}, {"four", "alias"}} {
		put(at[0], at[1])
		for there, ask := range ask {
			want := told(sites["shop"][at[0]])
			if there {
				want = told(sites["shop"][at[1]])
			}
			names := []string{fmt.Sprintf("tenant%d.tenants.example.com.", i)}
			if !slices.Contains(at[:], "alias") { // within a second, unbound keeps an alias that has no TTL left
				names = append(names, "shop.example.com.")
			}
			for _, name := range names {
				for _, typ := range []uint16{wire.TypeA, wire.TypeAAAA, wire.TypeCNAME} {
					if len(want[wire.TypeCNAME]) > 0 && typ != wire.TypeCNAME {
						continue // it leads out of what the resolver knows
					}
					m := ask(name, typ)
					if m.Rcode != wire.RcodeSuccess || !m.AuthenticatedData {
						t.Errorf("%v, other side %t: %s %s is not secure\n%s", at, there, name, wire.Type(typ), m)
					}
					got := dataOf(m.Answer, name)[typ]
					if slices.Sort(got); !slices.Equal(got, want[typ]) {
						t.Errorf("%v, other side %t: %s %s is %v, want %v", at, there, name, wire.Type(typ), got, want[typ])
					}
				}
			}
		}
	}
}

func keysOf(p zone.Positions) func(func(string) bool) {
	return func(yield func(string) bool) {
		for name := range p {
			if !yield(name) {
				return
			}
		}
	}
}

// strange says what of an answer does not belong to a position: data of a followed name,
// or the types that its NSEC record tells of.
func strange(m *wire.Msg, owner, asked string, want map[uint16][]string) string {
	for _, name := range []string{owner, asked} {
		if name != owner && owner == "shop.example.com." {
			continue // a name that leads there
		}
		for typ, got := range dataOf(slices.Concat(m.Answer, m.Ns, m.Extra), name) {
			if !slices.Equal(got, want[typ]) {
				return fmt.Sprintf("%s %s is %v, want %v", name, wire.Type(typ), got, want[typ])
			}
		}
	}
	for _, rr := range slices.Concat(m.Answer, m.Ns) {
		nsec, is := rr.(*wire.NSEC)
		if !is || nsec.Hdr.Name != owner && (nsec.Hdr.Name != asked || owner[0] != '*') {
			continue
		}
		for _, typ := range moving {
			if slices.Contains(nsec.TypeBitMap, typ) != (len(want[typ]) > 0) {
				return fmt.Sprintf("%s is not of the position with %v", nsec, want)
			}
		}
	}
	return ""
}
