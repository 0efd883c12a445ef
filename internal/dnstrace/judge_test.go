package dnstrace

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// FuzzClassify: whatever a server sends, a referral leads down, and a lame server says why.
func FuzzClassify(f *testing.F) {
	m := new(dns.Msg).SetQuestion("www.sub.example.com.", dns.TypeA)
	m.Response = true
	for _, line := range []string{"sub.example.com. 60 IN NS ns.sub.example.com.", ". 60 IN NS a.root-servers.net.", "example.com. 60 IN SOA a. b. 1 2 3 4 5"} {
		rr, err := dns.NewRR(line)
		if err != nil {
			f.Fatal(err)
		}
		c := m.Copy()
		c.Ns = append(c.Ns, rr)
		wire, err := c.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		m := new(dns.Msg)
		if m.Unpack(wire) != nil {
			t.Skip()
		}
		r := classify(m, question{"www.sub.example.com.", dns.TypeA}, "example.com.")
		switch {
		case r.Kind == Referral && (r.Zone == "example.com." || !dns.IsSubDomain("example.com.", r.Zone)):
			t.Fatalf("led to %q", r.Zone)
		case r.Kind == Lame && r.Problem == "":
			t.Fatal("lame without a reason")
		case !r.Kind.good() && r.Kind != Lame:
			t.Fatalf("kind %q", r.Kind)
		}
		compare([]Reply{r, r})
	})
}

func TestTransfer(t *testing.T) {
	t.Parallel()
	soa := "example.com. 60 IN SOA ns.example.net. h.example.com. 7 3600 600 86400 60"
	for name, tc := range map[string]struct {
		lines []string
		max   int64
		wrong string
	}{
		"whole":     {[]string{soa, "example.com. 60 IN NS ns.example.net.", "www.example.com. 60 IN A 192.0.2.2", soa}, 1 << 20, ""},
		"too large": {[]string{soa, "example.com. 60 IN NS ns.example.net.", soa}, 40, "more than is taken"},
		"no SOA":    {[]string{"example.com. 60 IN NS ns.example.net.", soa}, 1 << 20, "does not begin with a SOA"},
		"refused":   {nil, 1 << 20, "does not give example.com. away: REFUSED"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			s := &dns.Server{Listener: listener, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
				m := new(dns.Msg).SetReply(q)
				if tc.lines == nil {
					m.Rcode = dns.RcodeRefused
				}
				for _, line := range tc.lines {
					rr, err := dns.NewRR(line)
					if err != nil {
						t.Error(err)
					}
					m.Answer = append(m.Answer, rr)
				}
				_ = w.WriteMsg(m)
			})}
			ended := make(chan struct{})
			started := make(chan struct{})
			s.NotifyStartedFunc = func() { close(started) }
			go func() { defer close(ended); _ = s.ActivateAndServe() }() // the cleanup ends it
			<-started
			t.Cleanup(func() { _ = s.ShutdownContext(context.Background()); <-ended })
			z, err := Transfer(t.Context(), TransferOptions{Server: listener.Addr().String(), Apex: "example.com.", Limit: 10 * time.Second, MaxBytes: tc.max})
			switch {
			case tc.wrong == "" && (err != nil || z.Serial() != 7 || len(z.Records()) != 3):
				t.Errorf("%v, %v", z, err)
			case tc.wrong != "" && (err == nil || !strings.Contains(err.Error(), tc.wrong)):
				t.Errorf("%v, want %q", err, tc.wrong)
			}
		})
	}
}
