package answer

import (
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
