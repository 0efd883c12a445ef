package authdns

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/zone"
)

// FuzzHandle holds that no packet breaks the server or is answered with one that
// can't be read, is too large or tells what was not asked for.
func FuzzHandle(f *testing.F) {
	for _, n := range negatives(f) {
		f.Add(n.msg)
	}
	for _, name := range []string{"example.com.", "toshop.example.com.", "x.sub.example.com.", "a.old.example.com.", "q.wild.example.com.", "huge.example.com."} {
		for _, typ := range []uint16{dns.TypeA, dns.TypeNS, dns.TypeMX, dns.TypeANY, dns.TypeDS, dns.TypeAXFR} {
			q := question(name, typ)
			f.Add(packed(f, q))
			q.SetEdns0(1232, true)
			f.Add(packed(f, q))
			q.IsEdns0().Option = []dns.EDNS0{
				&dns.EDNS0_NSID{Code: dns.EDNS0NSID}, &dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE},
				&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "2464c4abcf10c957010000005cf79f111f8130c3eee29480"},
			}
			f.Add(packed(f, q))
		}
	}
	signed := question("example.com.", dns.TypeSOA)
	signed.SetTsig("key.", dns.HmacSHA256, 300, 1559731985)
	f.Add(packed(f, signed))
	f.Add([]byte{0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 41, 4, 0, 0, 0, 0, 0, 0, 12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8}) // a cookie alone
	chain := append([]byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 1}, bytes.Repeat([]byte{0xC0, 12}, 200)...)
	f.Add(chain)
	v, err := mustTable(f, testSites(), testSource()).View(calm())
	if err != nil {
		f.Fatal(err)
	}
	var servers []*Server
	for _, require := range []bool{false, true} {
		s := New(Options{NSID: strings.Repeat("n", 100), RequireCookie: require, Now: func() time.Time { return time.Unix(1559731985, 0) }})
		s.SetCookieSecrets(secretOf(f, "e5e973e5a6b2a43f48e7dc849e37bfcf"))
		s.Set(v)
		servers = append(servers, s)
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		for _, s := range servers {
			for _, client := range []string{"198.51.100.100", "2001:db8::1"} {
				checkHandle(t, s, msg, netip.MustParseAddr(client), true)
				checkHandle(t, s, msg, netip.MustParseAddr(client), false)
			}
		}
	})
}

func checkHandle(t *testing.T, s *Server, msg []byte, client netip.Addr, udp bool) {
	in := bytes.Clone(msg)
	reply := s.handleFrom(&worker{counters: &s.shards[0]}, make([]byte, 0, 512), in, client, udp)
	if !bytes.Equal(in, msg) {
		t.Fatal("the query was changed")
	}
	if s.Counts().Panics > 0 {
		t.Fatalf("panic on %x", msg)
	}
	if reply == nil {
		return
	}
	if udp && len(reply) > ednsUDP {
		t.Fatalf("%d octets over UDP", len(reply))
	}
	var m, q dns.Msg
	if err := m.Unpack(reply); err != nil {
		t.Fatalf("unreadable answer: %v\nquery  %x\nanswer %x", err, msg, reply)
	}
	if !m.Response || m.Id != binary.BigEndian.Uint16(msg) {
		t.Fatalf("header %v", m.MsgHdr)
	}
	opt := m.IsEdns0()
	if q.Unpack(msg) != nil {
		return // ours reads less of a message, and so takes more
	}
	if opt == nil {
		if udp && len(reply) > plainUDP {
			t.Fatalf("%d octets without EDNS", len(reply))
		}
		return
	}
	if q.IsEdns0() == nil {
		t.Fatalf("an OPT record that was not asked for: %v", &m)
	}
	for _, o := range opt.Option {
		asked := o.Option() == optionError
		for _, w := range q.IsEdns0().Option {
			asked = asked || w.Option() == o.Option()
		}
		if !asked {
			t.Fatalf("an option that was not asked for: %v", &m)
		}
	}
}

// FuzzAnswer holds that whatever zone can be parsed can be served, and every
// answer from it be read.
func FuzzAnswer(f *testing.F) {
	f.Add(testZone, "host.old.example.com.", uint16(dns.TypeA))
	for _, text := range []string{
		"a CNAME b\nb CNAME a\n", "a DNAME x.a\n", "@ DNAME sub\n", "s NS ns.s\nns.s A 192.0.2.1\n", "*.w CNAME x.w\n", "a HTTPS 0 b\nb HTTPS 1 .\nb A 192.0.2.1\n",
		"a SRV 0 0 0 .\n", "a MX 0 .\n", "a TYPE65280 \\# 0\n", "a TYPE64 \\# 3 000100\n", "* NS x\n", "*.a DNAME b\n", "a APL\n",
	} {
		for _, typ := range []uint16{dns.TypeA, dns.TypeCNAME, dns.TypeHTTPS, dns.TypeSRV, dns.TypeMX, dns.TypeANY, 65280} {
			f.Add(text, "a.example.com.", typ)
			f.Add(text, "x.a.example.com.", typ)
		}
	}
	f.Fuzz(func(t *testing.T, text, name string, typ uint16) {
		z, err := zone.Parse(zone.Source{Apex: "example.com.", TTL: 60, NS: []string{"ns.example.net."}, Text: text, Follow: map[string]string{"follows.example.com.": "shop"}})
		if err != nil {
			return
		}
		table, err := Compile([]*zone.Zone{z}, testSites())
		if err != nil {
			t.Fatalf("%v\n%s", err, z.Text())
		}
		v, err := table.View(Orders{Position: map[string]string{"shop": "main"}})
		if err != nil {
			t.Fatal(err)
		}
		q := question(name, typ)
		wire, err := q.Pack()
		if err != nil {
			return
		}
		s := New(Options{})
		s.Set(v)
		for _, udp := range []bool{true, false} {
			checkHandle(t, s, wire, netip.Addr{}, udp)
		}
	})
}
