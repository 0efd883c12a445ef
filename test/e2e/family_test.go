package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/api"
)

// records are all records of a type that our name server answers for the site's
// name; negative says that a SOA came instead.
func (b *Boat) records(typ uint16) (found []string, negative bool) {
	b.t.Helper()
	m := new(dns.Msg).SetQuestion("shop.example.com.", typ)
	c := dns.Client{Timeout: 2 * time.Second}
	var r *dns.Msg
	b.Eventually("the name server answers", func() (ok bool) {
		var err error
		r, _, err = c.Exchange(m, b.DNS())
		return err == nil
	})
	if r.Rcode != dns.RcodeSuccess {
		b.t.Errorf("%s: %s", dns.TypeToString[typ], dns.RcodeToString[r.Rcode])
	}
	for _, rr := range r.Answer {
		found = append(found, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	return found, len(r.Ns) == 1 && r.Ns[0].Header().Rrtype == dns.TypeSOA
}

// addresses checks all that a visitor's machine could go by: a type without an
// address is NODATA, and hints are never given.
func (b *Boat) addresses(want map[uint16][]string) {
	b.t.Helper()
	for _, typ := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeHTTPS, dns.TypeSVCB} {
		got, negative := b.records(typ)
		if !slices.Equal(got, want[typ]) || negative != (len(want[typ]) == 0) {
			b.t.Errorf("%s: %q, NODATA %v; want %q", dns.TypeToString[typ], got, negative, want[typ])
		}
	}
}

// TestBothFamilies: all addresses of a name move together. A place without IPv6
// leaves nobody at the IPv6 address of the place before, and no hint does.
func TestBothFamilies(t *testing.T) {
	t.Parallel()
	b := Moor(t, Options{})
	text := strings.Replace(b.sample(), "backup: {address: "+b.address(backup)+"}", "backup: {addresses: ["+b.address(backup)+`, "::1"]}`, 1)
	text = strings.Replace(text, "    records: |\n", "    records: |\n      @ HTTPS 1 . ipv4hint="+b.address(home)+" ipv6hint=::1\n      @ SVCB 1 . ipv4hint="+b.address(home)+"\n", 1)
	b.Configure(text)
	b.Serve()
	pull := func(lever string) {
		t.Helper()
		b.Must(b.Post("/levers/"+lever+"/pull", api.ReasonBody{Reason: "Never rehearsed."}, nil))
	}
	b.addresses(map[uint16][]string{dns.TypeA: {b.address(home)}})
	pull("to-backup")
	b.addresses(map[uint16][]string{dns.TypeA: {b.address(backup)}, dns.TypeAAAA: {"::1"}})
	pull("to-standby")
	b.addresses(map[uint16][]string{dns.TypeA: {b.address(standby)}})
	b.GoBack()
	b.addresses(map[uint16][]string{dns.TypeA: {b.address(home)}})
}

// TestLateComers: whoever still comes to the standby after the return gets the page,
// and is counted as late.
func TestLateComers(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{})
	visit := func() {
		t.Helper()
		if status, page, err := fetch(b.host(3), "shop.example.com", "/basket"); err != nil || status != 503 || !strings.Contains(page, "Example Shop") {
			t.Errorf("the standby answers with %d, %v", status, err)
		}
	}
	b.Pull("to-standby")
	visit()
	b.GoBack()
	visit()
	visit()
	b.Eventually("the late-comers are counted", func() bool {
		v := b.Site().Visits
		return v.Failover == 1 && v.Late == 2
	})
	if status, _, err := fetch(b.host(3), "elsewhere.example.com", "/"); err != nil || status != 421 {
		t.Errorf("a name that is nobody's: %d, %v", status, err)
	}
}
