package authdns

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/zone"
)

// The vectors of RFC 9018 appendix A, and of the SipHash paper.
func TestCookieVectors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		client, brought, server, ip, secret string
		at                                  int64
	}{
		{"2464c4abcf10c957", "", "010000005cf79f111f8130c3eee29480", "198.51.100.100", "e5e973e5a6b2a43f48e7dc849e37bfcf", 1559731985},
		{"2464c4abcf10c957", "010000005cf79f111f8130c3eee29480", "010000005cf7a871d4a564a1442aca77", "198.51.100.100", "e5e973e5a6b2a43f48e7dc849e37bfcf", 1559734385},
		{"fc93fc62807ddb86", "01abcdef5cf78f71a314227b6679ebf5", "010000005cf7a9acf73a7810aca2381e", "203.0.113.203", "e5e973e5a6b2a43f48e7dc849e37bfcf", 1559734700},
		{"22681ab97d52c298", "", "010000005cf7c57926556bd0934c72f8", "2001:db8:220:1:59de:d0f4:8769:82b8", "dd3bdf9344b678b185a6f5cb60fca715", 1559741817},
	} {
		var out [wholeCookie]byte
		secrets := []CookieSecret{secretOf(t, c.secret)}
		if good := cookie(&out, secrets, unhex(t, c.client+c.brought), netip.MustParseAddr(c.ip), time.Unix(c.at, 0)); good != (c.at == 1559734385) { // the others brought none, or one too old
			t.Errorf("%s %s: good %v", c.client, c.brought, good)
		}
		if got := hex.EncodeToString(out[:]); got != c.client+c.server {
			t.Errorf("%s from %s: %s, %s expected", c.client, c.ip, got, c.client+c.server)
		}
	}
	var out [wholeCookie]byte
	fresh := time.Unix(0x5cf78f71, 0) // reserved octets count, though we set none
	if !cookie(&out, []CookieSecret{secretOf(t, "e5e973e5a6b2a43f48e7dc849e37bfcf")}, unhex(t, "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5"), netip.MustParseAddr("203.0.113.203"), fresh) {
		t.Error("a cookie with reserved octets was not taken")
	}
	var key CookieSecret
	var b []byte
	for i := range 16 {
		key[i] = byte(i)
	}
	for i := range 15 {
		b = append(b, byte(i))
	}
	if got := sipHash(&key, b); got != 0xa129ca6149be45e5 {
		t.Errorf("SipHash-2-4 is %x", got)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func secretOf(t testing.TB, s string) (secret CookieSecret) {
	t.Helper()
	copy(secret[:], unhex(t, s))
	return secret
}

// A server cookie holds for an hour, for one client and one address, under any of
// the secrets, and is made anew when it is old or of an older secret.
func TestCookieLife(t *testing.T) {
	t.Parallel()
	old, next, strange := CookieSecret{1}, CookieSecret{2}, CookieSecret{3}
	ip, now := netip.MustParseAddr("192.0.2.1"), time.Unix(1<<32-1000, 0) // the figure wraps within the hour
	asked := []byte("8 octets")
	made := func(secret CookieSecret, ip netip.Addr) []byte {
		var out [wholeCookie]byte
		cookie(&out, []CookieSecret{secret}, asked, ip, now)
		return out[:]
	}
	mine := made(next, ip)
	for _, c := range []struct {
		about      string
		brought    []byte
		from       netip.Addr
		after      time.Duration
		good, same bool
	}{
		{"fresh", mine, ip, 0, true, true},
		{"mapped into IPv6", mine, netip.MustParseAddr("::ffff:192.0.2.1"), 0, true, true},
		{"half an hour old", mine, ip, 1800 * time.Second, true, true},
		{"older", mine, ip, 1801 * time.Second, true, false},
		{"an hour old", mine, ip, 3600 * time.Second, true, false},
		{"too old", mine, ip, 3601 * time.Second, false, false},
		{"of a clock ahead of ours", mine, ip, -300 * time.Second, true, true},
		{"too far ahead", mine, ip, -301 * time.Second, false, false},
		{"another address", mine, netip.MustParseAddr("192.0.2.2"), 0, false, false},
		{"the secret before", made(old, ip), ip, 0, true, false},
		{"an unknown secret", made(strange, ip), ip, 0, false, false},
		{"another client cookie", append([]byte("9"), mine[1:]...), ip, 0, false, false},
		{"one bit less", append(append([]byte(nil), mine[:23]...), mine[23]^1), ip, 0, false, false},
		{"of another server", append(append([]byte(nil), mine...), 0), ip, 0, false, false},
		{"none", asked, ip, 0, false, false},
	} {
		var out [wholeCookie]byte
		good := cookie(&out, []CookieSecret{next, old}, c.brought, c.from, now.Add(c.after))
		same := string(out[:]) == string(c.brought)
		if good != c.good || same != c.same {
			t.Errorf("%s: good %v, sent back as it was %v", c.about, good, same)
		}
		if !same && !cookie(&out, []CookieSecret{next}, append([]byte(nil), out[:]...), c.from, now.Add(c.after)) {
			t.Errorf("%s: the new cookie does not hold", c.about)
		}
	}
}

// askFrom asks as a client at an address.
func askFrom(t testing.TB, s *Server, q *dns.Msg, from string, udp bool) *dns.Msg {
	t.Helper()
	addr := netip.Addr{}
	if from != "" {
		addr = netip.MustParseAddr(from)
	}
	var m dns.Msg
	reply := s.handleFrom(&worker{counters: &s.shards[0]}, nil, packed(t, q), addr, udp)
	if err := m.Unpack(reply); err != nil {
		t.Fatalf("%v: %x", err, reply)
	}
	return &m
}

func withOptions(q *dns.Msg, options ...dns.EDNS0) *dns.Msg {
	q.SetEdns0(1232, false)
	q.IsEdns0().Option = options
	return q
}

// told are an answer's code and options as text.
func told(m *dns.Msg) string {
	text := dns.RcodeToString[m.Rcode]
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			text += fmt.Sprintf(" %d:%s", o.Option(), strings.ReplaceAll(o.String(), " ", ""))
		}
	}
	return text
}

func TestOptions(t *testing.T) {
	t.Parallel()
	v, err := mustTable(t, testSites(), testSource()).View(calm())
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{NSID: "ns1.here", Now: func() time.Time { return time.Unix(1559731985, 0) }})
	s.SetCookieSecrets(secretOf(t, "e5e973e5a6b2a43f48e7dc849e37bfcf"))
	nsid := &dns.EDNS0_NSID{Code: dns.EDNS0NSID}
	keepalive := &dns.EDNS0_TCP_KEEPALIVE{Code: dns.EDNS0TCPKEEPALIVE}
	client := &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "2464c4abcf10c957"}
	second := &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "ffffffffffffffff"}
	subnet := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: []byte{192, 0, 2, 0}}
	ours := "10:2464c4abcf10c957010000005cf79f111f8130c3eee29480"
	q := func(name string, typ uint16, options ...dns.EDNS0) *dns.Msg {
		return withOptions(question(name, typ), options...)
	}
	chaos := q("version.bind.", dns.TypeTXT)
	chaos.Question[0].Qclass = dns.ClassCHAOS
	early := told(askFrom(t, s, q("mail.example.com.", dns.TypeA), "198.51.100.100", true))
	if early != "SERVFAIL 15:14(NotReady):()" {
		t.Errorf("before the first view: %s", early)
	}
	s.Set(v)
	for _, c := range []struct {
		about string
		q     *dns.Msg
		udp   bool
		want  string
	}{
		{"nothing asked", q("mail.example.com.", dns.TypeA), true, "NOERROR"},
		{"no EDNS", question("elsewhere.net.", dns.TypeA), true, "REFUSED"},
		{"NSID", q("mail.example.com.", dns.TypeA, nsid), true, "NOERROR 3:6e73312e68657265"},
		{"keepalive over UDP", q("mail.example.com.", dns.TypeA, keepalive), true, "NOERROR"},
		{"keepalive", q("mail.example.com.", dns.TypeA, keepalive), false, "NOERROR 11:usetcpkeep-alive,timeout10000ms"},
		{"cookie", q("mail.example.com.", dns.TypeA, client), true, "NOERROR " + ours},
		{"cookie over TCP", q("mail.example.com.", dns.TypeA, client), false, "NOERROR " + ours},
		{"two cookies", q("mail.example.com.", dns.TypeA, client, second), true, "NOERROR " + ours},
		{"client subnet is not echoed", q("mail.example.com.", dns.TypeA, subnet), true, "NOERROR"},
		{"all, truncated", q("huge.example.com.", dns.TypeA, nsid, client, keepalive), true, "NOERROR 3:6e73312e68657265 " + ours},
		{"a name of others", q("elsewhere.net.", dns.TypeA), true, "REFUSED 15:20(NotAuthoritative):()"},
		{"a transfer", q("example.com.", dns.TypeAXFR), false, "REFUSED 15:21(NotSupported):()"},
		{"class CHAOS", chaos, true, "REFUSED 15:21(NotSupported):()"},
		{"a denial is no error", q("gone.example.com.", dns.TypeA), true, "NXDOMAIN"},
	} {
		m := askFrom(t, s, c.q, "198.51.100.100", c.udp)
		got := told(m)
		if got != c.want {
			t.Errorf("%s: %q, %q expected", c.about, got, c.want)
		}
		if c.udp && m.Truncated != strings.Contains(c.about, "truncated") {
			t.Errorf("%s: TC %v", c.about, m.Truncated)
		}
	}
	bare := q("", 0, client)
	bare.Question = nil
	if got := askFrom(t, s, bare, "198.51.100.100", true); told(got) != "NOERROR "+ours || len(got.Question) > 0 {
		t.Errorf("a cookie alone: %v", got)
	}
	bare.IsEdns0().Option = nil
	if got := askFrom(t, s, bare, "198.51.100.100", true); got.Rcode != dns.RcodeFormatError {
		t.Errorf("neither question nor cookie: %v", got)
	}
	s.SetCookieSecrets()
	if got := told(askFrom(t, s, q("mail.example.com.", dns.TypeA, client), "198.51.100.100", true)); got != "NOERROR" {
		t.Errorf("without a secret: %s", got)
	}
	if got := fmt.Sprintf("%v %+v %#v", CookieSecret{7}, CookieSecret{7}, CookieSecret{7}); strings.Contains(got, "7") {
		t.Errorf("a secret is written out: %s", got)
	}
}

// The options of an answer count against the size that the client can take.
func TestOptionsFit(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 60 {
		for j := range i {
			fmt.Fprintf(&text, "a%d A 192.0.2.%d\n", i, j+1)
		}
	}
	table := mustTable(t, nil, zone.Source{Apex: "example.com.", TTL: 60, NS: []string{"ns.example.net."}, Text: text.String()})
	v, err := table.View(Orders{})
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{NSID: "ns1.here"})
	s.Set(v)
	s.SetCookieSecrets(CookieSecret{1})
	full := 0
	for i := range 60 {
		for size := 512; size <= 1232; size += 7 {
			q := withOptions(question(fmt.Sprintf("a%d.example.com.", i), dns.TypeA), &dns.EDNS0_NSID{Code: dns.EDNS0NSID}, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"})
			q.IsEdns0().SetUDPSize(uint16(size))
			n := len(s.handleFrom(&worker{counters: &s.shards[0]}, nil, packed(t, q), netip.MustParseAddr("192.0.2.1"), true))
			if n > size {
				t.Errorf("a%d: %d octets, the client takes %d", i, n, size)
			}
			if n > size-16 {
				full++
			}
		}
	}
	if full == 0 {
		t.Error("no answer came near the limit")
	}
}

// A policy may ask clients that know cookies for one of ours first.
func TestRequireCookie(t *testing.T) {
	t.Parallel()
	v, err := mustTable(t, testSites(), testSource()).View(calm())
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{RequireCookie: true})
	s.Set(v)
	s.SetCookieSecrets(CookieSecret{1})
	q := func(cookie string) *dns.Msg {
		return withOptions(question("mail.example.com.", dns.TypeA), &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: cookie})
	}
	m := askFrom(t, s, q("0102030405060708"), "192.0.2.1", true)
	if m.Rcode != dns.RcodeBadCookie || len(m.Answer) > 0 || m.Authoritative {
		t.Fatalf("a client cookie alone: %v", m)
	}
	given := m.IsEdns0().Option[0].(*dns.EDNS0_COOKIE).Cookie
	if m := askFrom(t, s, q(given), "192.0.2.1", true); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 {
		t.Errorf("with our cookie: %v", m)
	}
	if m := askFrom(t, s, q(given), "192.0.2.2", true); m.Rcode != dns.RcodeBadCookie {
		t.Errorf("with another's cookie: %v", m)
	}
	if m := askFrom(t, s, q("0102030405060708"), "192.0.2.1", false); m.Rcode != dns.RcodeSuccess {
		t.Errorf("over TCP: %v", m)
	}
	if m := askFrom(t, s, question("mail.example.com.", dns.TypeA), "192.0.2.1", true); m.Rcode != dns.RcodeSuccess {
		t.Errorf("a client without cookies: %v", m)
	}
	if n := s.Counts().Rcodes[rcodeBadCook]; n != 2 {
		t.Errorf("%d counted", n)
	}
}

// A client at a socket gets a cookie that holds on the other transport too, and
// after a restart with the same secret.
func TestCookiesOnSockets(t *testing.T) {
	t.Parallel()
	given := ""
	for range 2 {
		s := testServer(t)
		s.SetCookieSecrets(CookieSecret{9})
		udp, tcp := serving(t, s, "127.0.0.1:0", 1)
		for network, addr := range map[string]string{"udp": udp[0].LocalAddr().String(), "tcp": tcp.Addr().String()} {
			asked := given
			if asked == "" {
				asked = "0102030405060708"
			}
			c := dns.Client{Net: network, Timeout: 10 * time.Second}
			m, _, err := c.Exchange(withOptions(question("mail.example.com.", dns.TypeA), &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: asked}), addr)
			if err != nil {
				t.Fatal(err)
			}
			if len(m.IsEdns0().Option) != 1 {
				t.Fatalf("%s: %v", network, m)
			}
			got := m.IsEdns0().Option[0].(*dns.EDNS0_COOKIE).Cookie
			if given != "" && got != given {
				t.Errorf("%s: %s, %s expected", network, got, given)
			}
			given = got
		}
	}
}
