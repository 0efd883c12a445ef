package authdns

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
)

// Proofs are answered beside what the zone has there until they are over, and then no
// more, without anybody doing anything.
func TestChallengesEndByThemselves(t *testing.T) { // not parallel: it counts allocations
	src := testSource()
	src.Challenges = []string{"shop.example.com.", "mail.example.com."}
	src.Text += "_acme-challenge.mail 300 IN CNAME proofs\nproofs 300 IN TXT \"kept\"\n"
	table := mustTable(t, testSites(), src)
	now := time.Unix(1000, 0)
	o := calm()
	o.Now = func() time.Time { return now }
	o.Challenges = map[string]Challenge{
		"_acme-challenge.shop.example.com.": {Values: []string{"one", "two", "one"}, Until: now.Add(time.Minute)},
		"proofs.example.com.":               {Values: []string{"three", "kept"}, Until: now.Add(2 * time.Minute)},
		"gone.example.com.":                 {Values: []string{"nowhere"}, Until: now.Add(time.Hour)},
		"ns1.example.com.":                  {Values: []string{"no TXT there"}, Until: now.Add(time.Hour)},
	}
	v, err := table.View(o)
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{})
	s.Set(v)
	shop, proofs := "_acme-challenge.shop.example.com. 10 IN TXT ", "proofs.example.com. 10 IN TXT "
	own := shop + `"lifeboat puts the proofs of certificates here"`
	led := "_acme-challenge.mail.example.com. 300 IN CNAME proofs.example.com."
	before := []Case{
		{Name: "_acme-challenge.Shop.example.com.", Type: "TXT", Answer: []string{strings.Replace(own, "shop", "Shop", 1), strings.Replace(shop, "shop", "Shop", 1) + `"one"`, strings.Replace(shop, "shop", "Shop", 1) + `"two"`}},
		{Name: "_acme-challenge.mail.example.com.", Type: "TXT", Answer: []string{led, proofs + `"kept"`, proofs + `"three"`}},
		{Name: "_acme-challenge.shop.example.com.", Type: "A", Authority: soaAuthority},
		{Name: "gone.example.com.", Type: "TXT", Rcode: dns.RcodeNameError, Authority: soaAuthority},
		{Name: "ns1.example.com.", Type: "TXT", Authority: soaAuthority},
	}
	runCases(t, s, before)
	wire, out := packed(t, question("_acme-challenge.shop.example.com.", dns.TypeTXT)), make([]byte, 4096)
	if got := testing.AllocsPerRun(100, func() { s.Handle(out, wire, true) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
	now = now.Add(time.Minute - 1)
	runCases(t, s, before)
	now = now.Add(1)
	runCases(t, s, []Case{
		{Name: "_acme-challenge.shop.example.com.", Type: "TXT", Answer: []string{own}},
		{Name: "_acme-challenge.mail.example.com.", Type: "TXT", Answer: []string{led, proofs + `"kept"`, proofs + `"three"`}},
	})
	now = now.Add(time.Minute)
	runCases(t, s, []Case{{Name: "proofs.example.com.", Type: "TXT", Answer: []string{`proofs.example.com. 300 IN TXT "kept"`}}})
}

// What can't be a proof is refused, and the view before stays.
func TestBadChallenges(t *testing.T) {
	t.Parallel()
	src := testSource()
	src.Challenges = []string{"shop.example.com."}
	table := mustTable(t, testSites(), src)
	var many []string
	for i := range zone.MaxProofs + 1 {
		many = append(many, fmt.Sprint(i))
	}
	for about, values := range map[string][]string{"too many": many, "too long": {strings.Repeat("x", 256)}, "a space": {"a b"}, "empty": {""}, "an escape": {"a\x1b"}} {
		o := calm()
		o.Challenges = map[string]Challenge{"_acme-challenge.shop.example.com.": {Values: values, Until: time.Now().Add(time.Hour)}}
		if _, err := table.View(o); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", about, err)
		}
	}
}
