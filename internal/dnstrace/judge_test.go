package dnstrace

import (
	"testing"

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
