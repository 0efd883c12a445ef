package authdns

import (
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"lifeboat/internal/zone"
)

func TestApex(t *testing.T) {
	t.Parallel()
	runCases(t, testServer(t), []Case{
		{Name: "example.com.", Type: "SOA", Answer: []string{"example.com. 3600 IN SOA ns1.example.com. hostmaster.example.com. 7 3600 600 1209600 60"}},
		{Name: "example.com.", Type: "NS", Answer: []string{"example.com. 3600 IN NS ns1.example.com.", "example.com. 3600 IN NS ns2.elsewhere.net."}, Additional: []string{"ns1.example.com. 3600 IN A 192.0.2.53"}},
		{Name: "example.com.", Type: "MX", Answer: []string{"example.com. 300 IN MX 10 mail.example.com."}, Additional: mailAddresses},
		{Name: "example.com.", Type: "A", Answer: []string{"example.com. 60 IN A 203.0.113.10"}},
		{Name: "example.com.", Type: "AAAA", Answer: []string{"example.com. 60 IN AAAA 2001:db8::10"}},
		{Name: "example.com.", Type: "CAA", Authority: soaAuthority},
		{Name: "example.com.", Type: "DS", Authority: soaAuthority},
		{Name: "gone.example.com.", Type: "A", Rcode: dns.RcodeNameError, Authority: soaAuthority},
		{Name: "a.very.deep.name.that.has.more.labels.than.any.other.gone.example.com.", Type: "A", Rcode: dns.RcodeNameError, Authority: soaAuthority},
		{Name: "example.org.", Type: "A", Rcode: dns.RcodeRefused, NoAA: true},
		{Name: "com.", Type: "NS", Rcode: dns.RcodeRefused, NoAA: true},
		{Name: ".", Type: "NS", Rcode: dns.RcodeRefused, NoAA: true},
		{Name: "notexample.com.", Type: "A", Rcode: dns.RcodeRefused, NoAA: true},
		{Name: "mail.example.com.", Type: "A", Answer: []string{"mail.example.com. 300 IN A 192.0.2.25"}},
		{Name: "mail.example.com.", Type: "TYPE65280", Authority: soaAuthority},
	})
}

func TestTransfersAreRefused(t *testing.T) {
	t.Parallel()
	runCases(t, testServer(t), []Case{
		{Name: "example.com.", Type: "AXFR", Rcode: dns.RcodeRefused, NoAA: true},
		{Name: "example.com.", Type: "IXFR", Rcode: dns.RcodeRefused, NoAA: true},
	})
	q := new(dns.Msg)
	q.SetIxfr("example.com.", 1, "ns1.example.com.", "hostmaster.example.com.")
	if m := ask(t, testServer(t), q, false); m.Rcode != dns.RcodeRefused {
		t.Errorf("IXFR with its SOA: %s", dns.RcodeToString[m.Rcode])
	}
}

func TestWildcard(t *testing.T) {
	t.Parallel()
	runCases(t, testServer(t), []Case{
		{Name: "some.wild.example.com.", Type: "A", Answer: []string{"some.wild.example.com. 300 IN A 192.0.2.77"}},
		{Name: "a.b.c.wild.example.com.", Type: "TXT", Answer: []string{`a.b.c.wild.example.com. 300 IN TXT "any"`}},
		{Name: "some.wild.example.com.", Type: "MX", Authority: soaAuthority},
		{Name: "*.wild.example.com.", Type: "A", Answer: []string{"*.wild.example.com. 300 IN A 192.0.2.77"}},
		{Name: "wild.example.com.", Type: "A", Authority: soaAuthority},
		// y.wild exists without data and so blocks the wildcard (RFC 4592 section 4.3)
		{Name: "y.wild.example.com.", Type: "A", Authority: soaAuthority},
		{Name: "z.y.wild.example.com.", Type: "A", Rcode: dns.RcodeNameError, Authority: soaAuthority},
		{Name: "x.y.wild.example.com.", Type: "A", Answer: []string{"x.y.wild.example.com. 300 IN A 192.0.2.78"}},
		{Name: "x.y.wild.example.com.", Type: "TXT", Authority: soaAuthority},
		{Name: "any.walias.example.com.", Type: "A", Answer: []string{"any.walias.example.com. 300 IN CNAME mail.example.com.", "mail.example.com. 300 IN A 192.0.2.25"}},
		{Name: "t1.tenants.example.com.", Type: "A", Answer: []string{"t1.tenants.example.com. 60 IN A 203.0.113.10"}},
		{Name: "t1.tenants.example.com.", Type: "MX", Authority: soaAuthority},
		{Name: "tenants.example.com.", Type: "A", Authority: soaAuthority},
	})
}

func TestEmptyNonTerminal(t *testing.T) {
	t.Parallel()
	runCases(t, testServer(t), []Case{
		{Name: "ent.example.com.", Type: "A", Authority: soaAuthority},
		{Name: "b.ent.example.com.", Type: "A", Authority: soaAuthority},
		{Name: "b.ent.example.com.", Type: "ANY", Authority: soaAuthority},
		{Name: "c.ent.example.com.", Type: "A", Rcode: dns.RcodeNameError, Authority: soaAuthority},
	})
}

func TestChains(t *testing.T) {
	t.Parallel()
	runCases(t, testServer(t), []Case{
		{Name: "alias2.example.com.", Type: "A", Answer: []string{"alias2.example.com. 300 IN CNAME alias.example.com.", "alias.example.com. 300 IN CNAME mail.example.com.", "mail.example.com. 300 IN A 192.0.2.25"}},
		{Name: "alias.example.com.", Type: "CNAME", Answer: []string{"alias.example.com. 300 IN CNAME mail.example.com."}},
		{Name: "alias.example.com.", Type: "ANY", Answer: []string{"alias.example.com. 300 IN CNAME mail.example.com."}},
		{Name: "alias.example.com.", Type: "MX", Answer: []string{"alias.example.com. 300 IN CNAME mail.example.com."}, Authority: soaAuthority},
		{Name: "toshop.example.com.", Type: "A", Answer: []string{"toshop.example.com. 60 IN CNAME shop.example.com.", "shop.example.com. 60 IN A 203.0.113.10"}},
		{Name: "toshop.example.com.", Type: "AAAA", Answer: []string{"toshop.example.com. 60 IN CNAME shop.example.com.", "shop.example.com. 60 IN AAAA 2001:db8::10"}},
		{Name: "outside.example.com.", Type: "A", Answer: []string{"outside.example.com. 300 IN CNAME www.elsewhere.net."}},
		{Name: "nowhere.example.com.", Type: "A", Rcode: dns.RcodeNameError, Answer: []string{"nowhere.example.com. 300 IN CNAME gone.example.com."}, Authority: soaAuthority},
		{Name: "loop1.example.com.", Type: "A", Answer: []string{"loop1.example.com. 300 IN CNAME loop2.example.com.", "loop2.example.com. 300 IN CNAME loop1.example.com."}},
		{Name: "tosub.example.com.", Type: "A", Answer: []string{"tosub.example.com. 300 IN CNAME host.sub.example.com."}, Authority: subNS, Additional: subGlue},
		{Name: "nodatatarget.example.com.", Type: "AAAA", Answer: []string{"nodatatarget.example.com. 300 IN CNAME ns1.example.com."}, Authority: soaAuthority},
		{Name: "host.old.example.com.", Type: "A", Answer: []string{"old.example.com. 300 IN DNAME new.example.com.", "host.old.example.com. 300 IN CNAME host.new.example.com.", "host.new.example.com. 300 IN A 192.0.2.80"}},
		{Name: "host.old.example.com.", Type: "CNAME", Answer: []string{"old.example.com. 300 IN DNAME new.example.com.", "host.old.example.com. 300 IN CNAME host.new.example.com."}},
		{Name: "host.older.example.com.", Type: "A", Answer: []string{"older.example.com. 300 IN DNAME old.example.com.", "host.older.example.com. 300 IN CNAME host.old.example.com.",
			"old.example.com. 300 IN DNAME new.example.com.", "host.old.example.com. 300 IN CNAME host.new.example.com.", "host.new.example.com. 300 IN A 192.0.2.80"}},
		{Name: "gone.old.example.com.", Type: "CNAME", Answer: []string{"old.example.com. 300 IN DNAME new.example.com.", "gone.old.example.com. 300 IN CNAME gone.new.example.com."}},
		{Name: "host.old.example.com.", Type: "ANY", Answer: []string{"old.example.com. 300 IN DNAME new.example.com.", "host.old.example.com. 300 IN CNAME host.new.example.com."}},
		{Name: "old.example.com.", Type: "A", Authority: soaAuthority},
		{Name: "old.example.com.", Type: "DNAME", Answer: []string{"old.example.com. 300 IN DNAME new.example.com."}},
	})
}

var mailAddresses = []string{"mail.example.com. 300 IN A 192.0.2.25", "mail.example.com. 300 IN AAAA 2001:db8::25"}

// What the names in an answer lead to goes along, if the zone holds it.
func TestAdditional(t *testing.T) {
	t.Parallel()
	src := zone.Source{Apex: "example.com.", TTL: 60, NS: []string{"ns.sub.example.com."}, Follow: map[string]string{"shop.example.com.": "shop"}, Text: `
sub    NS ns.sub
ns.sub A 192.0.2.53
web    A 192.0.2.1
web    AAAA 2001:db8::1
web    HTTPS 1 . alpn=h2
@      HTTPS 0 web
alias  HTTPS 0 Shop
own    HTTPS 1 . alpn=h2
own    HTTPS 2 own port=8443
own    A 192.0.2.2
none   HTTPS 0 .
none   A 192.0.2.3
far    HTTPS 0 www.elsewhere.net.
*.w    HTTPS 1 .
*.w    A 192.0.2.4
_s     SVCB 1 web
_t     SRV 0 0 80 web
_t     SRV 1 0 81 web
_t     SRV 2 0 82 ns.sub
to     CNAME _t
mx     MX 10 missing
mx     MX 20 SHOP
mx     MX 30 .
`}
	web := []string{"web.example.com. 60 IN A 192.0.2.1", "web.example.com. 60 IN AAAA 2001:db8::1"}
	runCases(t, mustServer(t, Orders{Position: map[string]string{"shop": "standby"}}, testSites(), src), []Case{
		{Name: "example.com.", Type: "NS", Answer: []string{"example.com. 3600 IN NS ns.sub.example.com."}, Additional: []string{"ns.sub.example.com. 60 IN A 192.0.2.53"}},
		{Name: "example.com.", Type: "HTTPS", Answer: []string{"example.com. 60 IN HTTPS 0 web.example.com."}, Additional: append([]string{`web.example.com. 60 IN HTTPS 1 . alpn="h2"`}, web...)},
		{Name: "alias.example.com.", Type: "HTTPS", Answer: []string{"alias.example.com. 60 IN HTTPS 0 Shop.example.com."}, Additional: []string{"Shop.example.com. 60 IN A 198.51.100.7"}},
		{Name: "own.example.com.", Type: "HTTPS", Answer: []string{`own.example.com. 60 IN HTTPS 1 . alpn="h2"`, `own.example.com. 60 IN HTTPS 2 own.example.com. port="8443"`}, Additional: []string{"own.example.com. 60 IN A 192.0.2.2"}},
		{Name: "none.example.com.", Type: "HTTPS", Answer: []string{"none.example.com. 60 IN HTTPS 0 ."}},
		{Name: "far.example.com.", Type: "HTTPS", Answer: []string{"far.example.com. 60 IN HTTPS 0 www.elsewhere.net."}},
		{Name: "x.w.example.com.", Type: "HTTPS", Answer: []string{"x.w.example.com. 60 IN HTTPS 1 ."}, Additional: []string{"x.w.example.com. 60 IN A 192.0.2.4"}},
		{Name: "_s.example.com.", Type: "SVCB", Answer: []string{"_s.example.com. 60 IN SVCB 1 web.example.com."}, Additional: web},
		{Name: "to.example.com.", Type: "SRV", Answer: []string{"to.example.com. 60 IN CNAME _t.example.com.", "_t.example.com. 60 IN SRV 0 0 80 web.example.com.", "_t.example.com. 60 IN SRV 1 0 81 web.example.com.", "_t.example.com. 60 IN SRV 2 0 82 ns.sub.example.com."}, Additional: web},
		{Name: "mx.example.com.", Type: "MX", Answer: []string{"mx.example.com. 60 IN MX 10 missing.example.com.", "mx.example.com. 60 IN MX 20 SHOP.example.com.", "mx.example.com. 60 IN MX 30 ."}, Additional: []string{"SHOP.example.com. 60 IN A 198.51.100.7"}},
	})
}

// What goes along never makes an answer too large: it is left out instead.
func TestAdditionalIsLeftOut(t *testing.T) {
	t.Parallel()
	src := zone.Source{Apex: "example.com.", TTL: 60, NS: []string{"ns.example.net."}, Text: "m MX 10 big\n" + big()}
	s := mustServer(t, Orders{}, nil, src)
	if m := ask(t, s, question("m.example.com.", dns.TypeMX), true); m.Truncated || len(m.Answer) != 1 || len(m.Extra) != 0 {
		t.Errorf("over UDP: %v", m)
	}
	if m := ask(t, s, question("m.example.com.", dns.TypeMX), false); len(m.Extra) != 40 {
		t.Errorf("over TCP: %v", m)
	}
}

// A DNAME may lead to a name that is too long (RFC 6672 section 2.2).
func TestDNAMETooLong(t *testing.T) {
	t.Parallel()
	label := strings.Repeat("x", 60)
	src := zone.Source{Apex: "example.com.", TTL: 60, NS: []string{"ns.example.net."},
		Text: "d IN DNAME " + label + "." + label + "." + label + ".example.net.\n"}
	q := question(label+"."+"d.example.com.", dns.TypeA)
	m := ask(t, mustServer(t, Orders{}, nil, src), q, false)
	if m.Rcode != dns.RcodeYXDomain || len(m.Answer) != 1 {
		t.Errorf("got %v", m)
	}
}

func TestLongChainIsCut(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 30 {
		text.WriteString("c" + string(rune('a'+i/10)) + string(rune('0'+i%10)) + " CNAME c" + string(rune('a'+(i+1)/10)) + string(rune('0'+(i+1)%10)) + "\n")
	}
	src := zone.Source{Apex: "example.com.", TTL: 60, NS: []string{"ns.example.net."}, Text: text.String()}
	m := ask(t, mustServer(t, Orders{}, nil, src), question("ca0.example.com.", dns.TypeA), true)
	if len(m.Answer) != maxChain+1 || m.Rcode != dns.RcodeSuccess {
		t.Errorf("%d records, %s", len(m.Answer), dns.RcodeToString[m.Rcode])
	}
}

var (
	subNS   = []string{"sub.example.com. 300 IN NS ns.sub.example.com.", "sub.example.com. 300 IN NS ns2.elsewhere.net."}
	subGlue = []string{"ns.sub.example.com. 300 IN A 192.0.2.54", "ns.sub.example.com. 300 IN AAAA 2001:db8::54"}
)

func TestDelegation(t *testing.T) {
	t.Parallel()
	referral := func(name, typ string) Case {
		return Case{Name: name, Type: typ, NoAA: true, Authority: subNS, Additional: subGlue}
	}
	runCases(t, testServer(t), []Case{
		referral("sub.example.com.", "A"),
		referral("sub.example.com.", "NS"),
		referral("sub.example.com.", "SOA"),
		referral("sub.example.com.", "ANY"),
		referral("deep.down.sub.example.com.", "A"),
		referral("ns.sub.example.com.", "A"),
		referral("ds.sub.example.com.", "DS"),
		{Name: "sub.example.com.", Type: "DS", Answer: []string{"sub.example.com. 300 IN DS 12345 13 2 0102030405060708091011121314151617181920212223242526272829303132"}},
		{Name: "side.example.com.", Type: "DS", Authority: soaAuthority},
		{Name: "side.example.com.", Type: "A", NoAA: true, Authority: []string{"side.example.com. 300 IN NS ns1.example.com."}, Additional: []string{"ns1.example.com. 3600 IN A 192.0.2.53"}},
		{Name: "lame.example.com.", Type: "A", NoAA: true, Authority: []string{"lame.example.com. 300 IN NS ns.elsewhere.net."}},
	})
}

// The deepest zone answers, but the DS of its apex lies in the zone above.
func TestParentAndChild(t *testing.T) {
	t.Parallel()
	parent := zone.Source{Apex: "example.com.", TTL: 60, NS: []string{"ns.example.net."}, Text: `
sub  IN NS ns.sub
sub  IN DS 1 13 2 0102030405060708091011121314151617181920212223242526272829303132
ns.sub IN A 192.0.2.1
from IN CNAME www.sub
mail IN MX 10 www.sub
deep.down IN NS ns.example.net.
tosub IN CNAME sub
todeep IN CNAME deep.down
* IN TXT wild
www.sub IN A 192.0.2.66
`}
	child := zone.Source{Apex: "sub.example.com.", TTL: 60, NS: []string{"ns.sub.example.com."}, Text: "ns A 192.0.2.1\nwww A 192.0.2.2\nup CNAME @\n"}
	lone := zone.Source{Apex: "other.example.com.", TTL: 60, NS: []string{"ns.example.net."}}
	deep := zone.Source{Apex: "deep.down.example.com.", TTL: 60, NS: []string{"ns.example.net."}}
	parentSOA := []string{"example.com. 60 IN SOA ns.example.net. hostmaster.example.com. 1 3600 600 1209600 60"}
	childSOA := []string{"sub.example.com. 60 IN SOA ns.sub.example.com. hostmaster.sub.example.com. 1 3600 600 1209600 60"}
	runCases(t, mustServer(t, Orders{}, nil, parent, child, lone, deep), []Case{
		{Name: "www.sub.example.com.", Type: "A", Answer: []string{"www.sub.example.com. 60 IN A 192.0.2.2"}},
		{Name: "sub.example.com.", Type: "NS", Answer: []string{"sub.example.com. 3600 IN NS ns.sub.example.com."}, Additional: []string{"ns.sub.example.com. 60 IN A 192.0.2.1"}},
		{Name: "sub.example.com.", Type: "DS", Answer: []string{"sub.example.com. 60 IN DS 1 13 2 0102030405060708091011121314151617181920212223242526272829303132"}},
		{Name: "down.example.com.", Type: "TXT", Authority: parentSOA}, // an empty non-terminal
		{Name: "x.down.example.com.", Type: "TXT", Rcode: dns.RcodeNameError, Authority: parentSOA},
		{Name: "x.down.elsewhere.example.com.", Type: "TXT", Answer: []string{"x.down.elsewhere.example.com. 60 IN TXT wild"}},
		{Name: "x.sub.example.com.", Type: "DS", Rcode: dns.RcodeNameError, Authority: childSOA},
		{Name: "tosub.example.com.", Type: "DS", Answer: []string{"tosub.example.com. 60 IN CNAME sub.example.com.", "sub.example.com. 60 IN DS 1 13 2 0102030405060708091011121314151617181920212223242526272829303132"}},
		{Name: "todeep.example.com.", Type: "DS", Answer: []string{"todeep.example.com. 60 IN CNAME deep.down.example.com."}, Authority: parentSOA},
		{Name: "up.sub.example.com.", Type: "DS", Answer: []string{"up.sub.example.com. 60 IN CNAME sub.example.com."}, Authority: childSOA},
		{Name: "from.example.com.", Type: "A", Answer: []string{"from.example.com. 60 IN CNAME www.sub.example.com."}},
		{Name: "mail.example.com.", Type: "MX", Answer: []string{"mail.example.com. 60 IN MX 10 www.sub.example.com."}}, // another zone's word
		{Name: "other.example.com.", Type: "DS", Authority: []string{"other.example.com. 60 IN SOA ns.example.net. hostmaster.other.example.com. 1 3600 600 1209600 60"}},
	})
}

func TestMinimalANY(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"example.com.", "big.example.com.", "shop.example.com.", "api.example.com.", "mail.example.com.", "q.wild.example.com."} {
		m := ask(t, testServer(t), question(name, dns.TypeANY), false)
		if len(m.Answer) == 0 || m.Rcode != dns.RcodeSuccess || !m.Authoritative {
			t.Errorf("%s ANY: %v", name, m)
		}
		for _, rr := range m.Answer {
			if rr.Header().Rrtype != m.Answer[0].Header().Rrtype {
				t.Errorf("%s ANY holds more than one RRset: %v", name, m.Answer)
			}
		}
	}
}

// The question comes back as it was asked, down to the case of its letters.
func TestCaseIsKept(t *testing.T) {
	t.Parallel()
	s := testServer(t)
	for _, name := range []string{"MaIl.ExAmPlE.cOm.", "aLIAS2.eXample.COM.", "GONE.example.COM.", "x.SUB.Example.com.", "HOST.old.EXAMPLE.com."} {
		q := question(name, dns.TypeA)
		m := ask(t, s, q, true)
		if m.Question[0] != q.Question[0] {
			t.Errorf("asked %v, got %v", q.Question[0], m.Question[0])
		}
		lowered := ask(t, s, question(strings.ToLower(name), dns.TypeA), true)
		fold := func(m *dns.Msg) string {
			all := strings.Split(strings.ToLower(strings.Join(slices.Concat(lines(m.Answer), lines(m.Ns), lines(m.Extra)), "\n")), "\n")
			slices.Sort(all)
			return strings.Join(all, "\n")
		}
		if fold(m) != fold(lowered) {
			t.Errorf("%s: %s, in lower case %s", name, fold(m), fold(lowered))
		}
	}
}

// Answers to ordinary questions are as small as compression makes them.
func TestCompression(t *testing.T) {
	t.Parallel()
	s := testServer(t)
	for _, c := range []struct {
		name string
		typ  uint16
		most int
	}{
		{"example.com.", dns.TypeNS, 94}, // with the address of ns1
		{"example.com.", dns.TypeSOA, 80},
		{"gone.example.com.", dns.TypeA, 90},
		{"x.sub.example.com.", dns.TypeA, 142},
		{"alias2.example.com.", dns.TypeA, 91},
	} {
		reply := s.Handle(nil, packed(t, question(c.name, c.typ)), true)
		if len(reply) > c.most {
			t.Errorf("%s %s: %d octets, at most %d expected", c.name, dns.TypeToString[c.typ], len(reply), c.most)
		}
	}
}
