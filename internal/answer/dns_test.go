package answer

import (
	"encoding/hex"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/snapshot"
)

// ttl is how long the shop's address may be kept, in seconds.
func (r *rig) ttl() uint32 {
	r.t.Helper()
	m, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(new(dns.Msg).SetQuestion(apex, dns.TypeA), r.ns)
	must(r.t, err)
	if len(m.Answer) != 1 {
		r.t.Fatalf("no address: %s", m)
	}
	return m.Answer[0].Header().Ttl
}

// While a site is seen down, and while control caps it, answers are kept less long.
func TestAnswersAreKeptLessLongInACrisis(t *testing.T) {
	t.Parallel()
	r := start(t, folder(t))
	r.takes(order(t, 1, 1, "main"))
	if got := r.ttl(); got != 60 {
		t.Fatalf("in calm %d s", got)
	}
	r.world.set("main", true)
	r.eventually("half of it while it is seen down", func() bool { return r.ttl() == 30 })
	r.world.set("main", false)
	r.eventually("all of it when it is well again", func() bool { return r.ttl() == 60 })
	r.takes(order(t, 1, 2, "main", func(m *snapshot.Manifest, _ *snapshot.Contents) {
		o := m.Sites["shop"]
		o.TTLCap = 20
		m.Sites["shop"] = o
	}))
	if got := r.ttl(); got != 20 {
		t.Errorf("capped at 20, and it is %d s", got)
	}
}

// cookie asks with a client's cookie, and a server's where there is one, and gives the
// server's of the answer with the code.
func (r *rig) cookie(sent string) (server string, rcode int) {
	r.t.Helper()
	q := new(dns.Msg).SetQuestion(apex, dns.TypeA)
	q.SetEdns0(1232, false)
	q.IsEdns0().Option = append(q.IsEdns0().Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708" + sent})
	m, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(q, r.ns)
	must(r.t, err)
	for _, o := range m.IsEdns0().Option {
		if c, is := o.(*dns.EDNS0_COOKIE); is {
			return c.Cookie[16:], m.Rcode
		}
	}
	r.t.Fatalf("no cookie came: %s", m)
	return "", 0
}

// Cookies hold over a restart (RFC 9018 section 3): the secret is kept.
func TestCookiesHoldOverARestart(t *testing.T) {
	t.Parallel()
	r := start(t, folder(t))
	r.takes(order(t, 1, 1, "main"))
	first, _ := r.cookie("")
	r = r.again()
	if got, rcode := r.cookie(first); got != first || rcode != dns.RcodeSuccess {
		t.Errorf("after a restart the cookie %s became %s (%s)", first, got, dns.RcodeToString[rcode])
	}
}

// nsid is what the name server calls itself.
func (r *rig) nsid() string {
	r.t.Helper()
	q := new(dns.Msg).SetQuestion(apex, dns.TypeA)
	q.SetEdns0(1232, false)
	q.IsEdns0().Option = append(q.IsEdns0().Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID})
	m, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(q, r.ns)
	must(r.t, err)
	for _, o := range m.IsEdns0().Option {
		if id, is := o.(*dns.EDNS0_NSID); is {
			name, err := hex.DecodeString(id.Nsid)
			must(r.t, err)
			return string(name)
		}
	}
	return ""
}

// flood asks so often at once that a limit of one a second is far behind, and tells
// whether an answer was cut.
func (r *rig) flood() bool {
	r.t.Helper()
	for range 10 {
		m, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(new(dns.Msg).SetQuestion(apex, dns.TypeA), r.ns)
		must(r.t, err)
		if m.Truncated {
			return true
		}
	}
	return false
}

// What the name server does comes with a snapshot, takes hold at once, holds over a
// restart, and ends with the snapshot that says nothing of it.
func TestSnapshotSaysWhatTheNameServerDoes(t *testing.T) {
	t.Parallel()
	r := start(t, folder(t))
	r.takes(order(t, 1, 1, "main"))
	if _, code := r.cookie(""); r.nsid() != "" || r.flood() || code != dns.RcodeSuccess {
		t.Error("something was done that nobody asked for")
	}
	r.takes(order(t, 1, 2, "main", func(_ *snapshot.Manifest, c *snapshot.Contents) {
		c.DNS = snapshot.DNS{NSID: "ns1.here", RequireCookie: true, Rate: 1, Slip: 1, Exempt: []netip.Prefix{}}
	}))
	check := func(when string) {
		t.Helper()
		if got := r.nsid(); got != "ns1.here" {
			t.Errorf("%s: NSID %q", when, got)
		}
		if server, code := r.cookie(""); code != dns.RcodeBadCookie {
			t.Errorf("%s: without a cookie %s", when, dns.RcodeToString[code])
		} else if _, code := r.cookie(server); code != dns.RcodeSuccess {
			t.Errorf("%s: with a cookie %s", when, dns.RcodeToString[code])
		}
		if !r.flood() {
			t.Errorf("%s: nothing is limited", when)
		}
	}
	check("at once")
	r = r.again()
	check("after a restart")
	r.takes(order(t, 1, 3, "main"))
	if _, code := r.cookie(""); r.nsid() != "" || r.flood() || code != dns.RcodeSuccess {
		t.Error("it goes on though the snapshot says nothing of it")
	}
}
