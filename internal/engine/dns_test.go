package engine_test

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// What the configuration says of the name server reaches an answer that goes on, and so
// does that it says no more of it.
func TestTheNameServerDoesWhatTheConfigurationSays(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	for _, tt := range []struct{ text, want string }{{"dns: {nsid: ns1.here}\n", "ns1.here"}, {"", ""}} {
		b.restart(func(text string) string { return text + tt.text })
		b.eventually("NSID "+tt.want, func() bool { return b.nsid() == tt.want })
	}
}

// nsid is what the name server calls itself.
func (b *boat) nsid() string {
	b.t.Helper()
	q := new(dns.Msg).SetQuestion("shop.example.com.", dns.TypeA)
	q.SetEdns0(1232, false)
	q.IsEdns0().Option = append(q.IsEdns0().Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID})
	m, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(q, b.dns.String())
	must(b.t, err)
	for _, o := range m.IsEdns0().Option {
		if id, is := o.(*dns.EDNS0_NSID); is {
			name, err := hex.DecodeString(id.Nsid)
			must(b.t, err)
			return string(name)
		}
	}
	return ""
}
