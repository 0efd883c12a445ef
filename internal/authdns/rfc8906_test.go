package authdns

import (
	"net"
	"testing"

	"github.com/miekg/dns"
)

// TestRFC8906 asks what RFC 8906 section 8 wants every server to be asked, on
// every transport.
func TestRFC8906(t *testing.T) {
	t.Parallel()
	s := testServer(t)
	soa := func(change ...func(m *dns.Msg)) *dns.Msg {
		m := question("example.com.", dns.TypeSOA)
		for _, c := range change {
			c(m)
		}
		return m
	}
	edns := func(m *dns.Msg) { m.SetEdns0(4096, false) }
	version1 := func(m *dns.Msg) { edns(m); m.IsEdns0().SetVersion(1) }
	option100 := func(m *dns.Msg) {
		m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_LOCAL{Code: 100, Data: []byte{1}})
	}
	flags := func(m *dns.Msg) { m.IsEdns0().Hdr.Ttl |= 0x40 }
	do := func(m *dns.Msg) { m.IsEdns0().SetDo() }
	typ := func(typ uint16) func(*dns.Msg) { return func(m *dns.Msg) { m.Question[0].Qtype = typ } }
	options := func(m *dns.Msg) {
		m.IsEdns0().Option = []dns.EDNS0{
			&dns.EDNS0_NSID{Code: dns.EDNS0NSID}, &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, Address: net.IPv4zero.To4()},
			&dns.EDNS0_EXPIRE{Code: dns.EDNS0EXPIRE, Empty: true}, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"},
		}
	}
	sends := transports(t, s)
	for _, c := range []struct {
		about string
		q     *dns.Msg
		rcode int
		soa   bool
	}{
		{"8.1.1 the zone is served", soa(), dns.RcodeSuccess, true},
		{"8.1.2 unknown types", soa(typ(1000)), dns.RcodeSuccess, false},
		{"8.1.3.1 CD", soa(func(m *dns.Msg) { m.CheckingDisabled = true }), dns.RcodeSuccess, true},
		{"8.1.3.2 AD", soa(func(m *dns.Msg) { m.AuthenticatedData = true }), dns.RcodeSuccess, true},
		{"8.1.3.3 the reserved bit", soa(func(m *dns.Msg) { m.Zero = true }), dns.RcodeSuccess, true},
		{"8.1.3.4 RD", soa(func(m *dns.Msg) { m.RecursionDesired = true }), dns.RcodeSuccess, true},
		{"8.1.4 unknown opcodes", &dns.Msg{MsgHdr: dns.MsgHdr{Id: 7, Opcode: 15}}, dns.RcodeNotImplemented, false},
		{"8.2.1 EDNS", soa(edns), dns.RcodeSuccess, true},
		{"8.2.2 version 1", soa(version1), dns.RcodeBadVers, false},
		{"8.2.3 an unknown option", soa(edns, option100), dns.RcodeSuccess, true},
		{"8.2.4 unknown flags", soa(edns, flags), dns.RcodeSuccess, true},
		{"8.2.5 version 1 and unknown flags", soa(version1, flags), dns.RcodeBadVers, false},
		{"8.2.6 version 1 and an unknown option", soa(version1, option100), dns.RcodeBadVers, false},
		{"8.2.7 truncated", soa(func(m *dns.Msg) {
			m.SetEdns0(512, true)
			m.Question[0] = question("huge.example.com.", dns.TypeA).Question[0]
		}), dns.RcodeSuccess, false},
		{"8.2.8 DO", soa(edns, do), dns.RcodeSuccess, true},
		{"8.2.9 version 1 and DO", soa(version1, do), dns.RcodeBadVers, false},
		{"8.2.10 several options", soa(edns, options), dns.RcodeSuccess, true},
	} {
		for way, send := range sends {
			var m dns.Msg
			if err := m.Unpack(send(t, packed(t, c.q))); err != nil {
				t.Errorf("%s: %s: %v", c.about, way, err)
				continue
			}
			if m.Rcode != c.rcode || m.Opcode != c.q.Opcode || m.RecursionAvailable || m.AuthenticatedData || m.Zero || m.RecursionDesired != c.q.RecursionDesired {
				t.Errorf("%s: %s: %v", c.about, way, &m)
			}
			if has := len(m.Answer) == 1 && m.Answer[0].Header().Rrtype == dns.TypeSOA; has != c.soa || m.Authoritative != (c.rcode == dns.RcodeSuccess) {
				t.Errorf("%s: %s: SOA %v, AA %v", c.about, way, has, m.Authoritative)
			}
			asked, told := c.q.IsEdns0(), m.IsEdns0()
			if (asked == nil) != (told == nil) {
				t.Errorf("%s: %s: OPT %v", c.about, way, told)
			} else if told != nil && (told.Version() != 0 || told.Hdr.Ttl&0x7fff != 0 || told.Do() != asked.Do() || len(told.Option) != 0) {
				t.Errorf("%s: %s: OPT %v", c.about, way, told)
			}
		}
	}
}
