package zone

import (
	"strings"
	"testing"

	"lifeboat/internal/fault"
)

// Where proofs are looked for something exists for good, and nothing else of the zone
// changes.
func TestChallenges(t *testing.T) {
	t.Parallel()
	z, err := Parse(Source{
		Apex: "example.com.", File: "t", Line: 1, TTL: 60, NS: []string{"ns.example.net."}, Follow: map[string]string{"shop.example.com.": "shop"},
		Challenges: []string{"example.com.", "shop.example.com.", "own.example.com.", "led.example.com.", "away.example.com.", "any.wild.example.com.",
			"below.cut.example.com.", "below.dname.example.com.", "loop.example.com.", "*.stars.example.com.", "other.example.org."},
		Text: `own IN A 192.0.2.1
_acme-challenge.own 900 IN TXT "mine"
led IN A 192.0.2.1
_acme-challenge.led IN CNAME Proofs.led
away IN A 192.0.2.1
_acme-challenge.away IN CNAME proofs.example.org.
*.wild IN A 192.0.2.1
cut IN NS ns.example.net.
below.cut IN A 192.0.2.1
dname IN DNAME elsewhere.example.org.
loop IN A 192.0.2.1
_acme-challenge.loop IN CNAME _acme-challenge.loop
*.stars IN A 192.0.2.1
`,
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, rec := range z.Records() {
		if rec.Type == 16 {
			got = append(got, rec.String())
		}
	}
	made := func(name string) string { return name + "\t10\tIN\tTXT\t\"" + challengeText + "\"" }
	want := []string{made("_acme-challenge.example.com."), made("_acme-challenge.shop.example.com."), made("_acme-challenge.stars.example.com."), made("proofs.led.example.com."), "_acme-challenge.own.example.com.\t900\tIN\tTXT\t\"mine\""}
	for _, w := range want {
		if !strings.Contains(strings.Join(got, "\n"), w) {
			t.Errorf("missing %s", w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("TXT records:\n%s", strings.Join(got, "\n"))
	}
	in := func(name string) (*Zone, error) {
		if strings.HasSuffix(name, "example.com.") {
			return z, nil
		}
		return nil, nil
	}
	for name, want := range map[string]string{
		"Shop.example.com":                  "_acme-challenge.shop.example.com.",
		"*.stars.example.com":               "_acme-challenge.stars.example.com.",
		"_acme-challenge.shop.example.com.": "_acme-challenge.shop.example.com.",
		"led.example.com.":                  "proofs.led.example.com.",
		"away.example.com.":                 "",
		"any.wild.example.com.":             "",
		"below.cut.example.com.":            "",
		"loop.example.com.":                 "",
		"www.example.org.":                  "",
	} {
		owner, apex, err := ChallengeAt(name, in)
		if owner != want || (want == "") != (fault.KindOf(err) == fault.NotFound) || want != "" && apex != "example.com." {
			t.Errorf("%s: %s in %s, %v", name, owner, apex, err)
		}
	}
	if _, _, err := ChallengeAt(strings.Repeat("a", 70)+".example.com", in); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a label of 70 octets: %v", err)
	}
}
