package authdns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"lifeboat/internal/zone"
)

// Case is a question and what must be answered, in zone text without TTLs where
// these do not matter.
type Case struct {
	Name, Type string
	Rcode      int
	NoAA       bool
	Answer     []string
	Authority  []string
	Additional []string
}

// soaAuthority is the authority section of denials in the test zone.
var soaAuthority = []string{"example.com. 60 IN SOA ns1.example.com. hostmaster.example.com. 7 3600 600 1209600 60"}

// testZone holds something of every theme.
const testZone = `
$TTL 300
@            3600 IN SOA ns1 hostmaster 7 3600 600 1209600 60
@            3600 IN NS  ns1
@            3600 IN NS  ns2.elsewhere.net.
@            IN MX  10 mail
@            IN TXT "v=spf1 -all"
ns1          3600 IN A 192.0.2.53
mail         IN A 192.0.2.25
mail         IN AAAA 2001:db8::25
; chains
alias        IN CNAME mail
alias2       IN CNAME alias
toshop       60 IN CNAME shop
outside      IN CNAME www.elsewhere.net.
nowhere      IN CNAME gone
loop1        IN CNAME loop2
loop2        IN CNAME loop1
tosub        IN CNAME host.sub
nodatatarget IN CNAME ns1
; wildcards and empty non-terminals
*.wild       IN A 192.0.2.77
*.wild       IN TXT "any"
x.y.wild     IN A 192.0.2.78
*.walias     IN CNAME mail
a.b.ent      IN A 192.0.2.79
; delegations
sub          IN NS ns.sub
sub          IN NS ns2.elsewhere.net.
sub          IN DS 12345 13 2 0102030405060708091011121314151617181920212223242526272829303132
ns.sub       IN A 192.0.2.54
ns.sub       IN AAAA 2001:db8::54
side         IN NS ns1
lame         IN NS ns.elsewhere.net.
; DNAME
old          IN DNAME new
host.new     IN A 192.0.2.80
self         IN DNAME x.self
older        IN DNAME old
`

// big appends names with more data than a datagram takes.
func big() string {
	var b strings.Builder
	for i := range 40 {
		fmt.Fprintf(&b, "big IN A 198.51.100.%d\n", i+1)
	}
	for i := range 100 {
		fmt.Fprintf(&b, "huge IN A 203.0.113.%d\n", i+1)
	}
	for i := range 12 {
		fmt.Fprintf(&b, "many IN NS a-rather-long-name-server-name-%d.many\na-rather-long-name-server-name-%d.many IN AAAA 2001:db8::%d\n", i, i, i+1)
	}
	return b.String()
}

func testSource() zone.Source {
	return zone.Source{
		Apex: "example.com.", File: "test.zone", Line: 1, TTL: 60, Text: testZone + big(),
		Follow: map[string]string{"example.com.": "shop", "shop.example.com.": "shop", "*.tenants.example.com.": "shop", "api.example.com.": "api"},
	}
}

func ips(list ...string) zone.Addresses {
	var a zone.Addresses
	for _, s := range list {
		a.IPs = append(a.IPs, netip.MustParseAddr(s))
	}
	return a
}

func testSites() map[string]zone.Positions {
	return map[string]zone.Positions{
		"shop": {"main": ips("203.0.113.10", "2001:db8::10"), "backup": ips("203.0.113.20", "203.0.113.21"), "standby": ips("198.51.100.7")},
		"api":  {"main": ips("203.0.113.30"), "standby": ips("2001:db8::7")},
		"idle": {},
	}
}

func calm() Orders { return Orders{Position: map[string]string{"shop": "main", "api": "main"}} }

func mustTable(t testing.TB, sites map[string]zone.Positions, sources ...zone.Source) *Table {
	t.Helper()
	var zones []*zone.Zone
	for _, s := range sources {
		z, err := zone.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		zones = append(zones, z)
	}
	table, err := Compile(zones, sites)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func mustServer(t testing.TB, o Orders, sites map[string]zone.Positions, sources ...zone.Source) *Server {
	t.Helper()
	v, err := mustTable(t, sites, sources...).View(o)
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{})
	s.Set(v)
	t.Cleanup(func() {
		if n := s.Counts().Panics; n > 0 {
			t.Errorf("%d panics were recovered", n)
		}
	})
	return s
}

func testServer(t testing.TB) *Server {
	t.Helper()
	return mustServer(t, calm(), testSites(), testSource())
}

func typeOf(t testing.TB, name string) uint16 {
	t.Helper()
	var typ uint16
	if n, ok := dns.StringToType[name]; ok {
		return n
	}
	if _, err := fmt.Sscanf(name, "TYPE%d", &typ); err != nil {
		t.Fatalf("no type %s", name)
	}
	return typ
}

func packed(t testing.TB, m *dns.Msg) []byte {
	t.Helper()
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

func question(name string, typ uint16) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(name, typ)
	m.RecursionDesired = false
	return m
}

// ask puts a message through Handle and has the wire library read the answer.
func ask(t testing.TB, s *Server, q *dns.Msg, udp bool) *dns.Msg {
	t.Helper()
	reply := s.Handle(make([]byte, 0, 4096), packed(t, q), udp)
	if reply == nil {
		t.Fatalf("no answer to %v", q)
	}
	var m dns.Msg
	if err := m.Unpack(reply); err != nil {
		t.Fatalf("answer to %v: %v\n%x", q, err, reply)
	}
	if m.Id != q.Id || !m.Response || m.Opcode != q.Opcode {
		t.Errorf("header of the answer: %v", m.MsgHdr)
	}
	return &m
}

// runCases asks each question over both transports.
func runCases(t *testing.T, s *Server, cases []Case) {
	t.Helper()
	for _, c := range cases {
		for _, udp := range []bool{true, false} {
			m := ask(t, s, question(c.Name, typeOf(t, c.Type)), udp)
			got := fmt.Sprintf("%s aa=%v\nanswer %q\nauthority %q\nadditional %q", dns.RcodeToString[m.Rcode], m.Authoritative, lines(m.Answer), lines(m.Ns), lines(m.Extra))
			want := fmt.Sprintf("%s aa=%v\nanswer %q\nauthority %q\nadditional %q", dns.RcodeToString[c.Rcode], !c.NoAA, normal(t, c.Answer), normal(t, c.Authority), normal(t, c.Additional))
			if got != want {
				t.Errorf("%s %s udp=%v\ngot  %s\nwant %s", c.Name, c.Type, udp, got, want)
			}
			if m.Truncated {
				t.Errorf("%s %s is truncated", c.Name, c.Type)
			}
		}
	}
}

func lines(rrs []dns.RR) []string {
	var l []string
	for _, rr := range rrs {
		l = append(l, strings.Join(strings.Fields(rr.String()), " "))
	}
	slices.Sort(l)
	return l
}

func normal(t testing.TB, records []string) []string {
	t.Helper()
	var rrs []dns.RR
	for _, r := range records {
		rr, err := dns.NewRR(r)
		if err != nil {
			t.Fatal(err)
		}
		rrs = append(rrs, rr)
	}
	return lines(rrs)
}
