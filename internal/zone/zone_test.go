package zone

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"lifeboat/internal/fault"
)

// source is a zone that Parse takes; tests change it.
func source(text string) Source {
	return Source{Apex: "shop.example.com.", File: "lifeboat.yaml", Line: 101, TTL: 60, NS: []string{"ns1.lifeboat.example.net.", "ns2.lifeboat.example.net."}, Text: text}
}

func TestSOAAndNSAreMade(t *testing.T) {
	t.Parallel()
	s := source("@ IN MX 10 mail.example.com.\n")
	s.Contact = "first.last@example.com"
	s.Apex = "Shop.Example.com."
	z, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	want := `$ORIGIN shop.example.com.
shop.example.com. 3600 IN NS ns1.lifeboat.example.net.
shop.example.com. 3600 IN NS ns2.lifeboat.example.net.
shop.example.com. 3600 IN SOA ns1.lifeboat.example.net. first\.last.example.com. 1 3600 600 1209600 60
shop.example.com. 60 IN MX 10 mail.example.com.
`
	if got := strings.ReplaceAll(z.Text(), "\t", " "); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if z.Serial() != 1 || z.Apex() != "shop.example.com." || len(z.Warnings()) != 0 {
		t.Errorf("serial %d, apex %s, warnings %q", z.Serial(), z.Apex(), z.Warnings())
	}
}

func TestOwnSOAAndNSAreKept(t *testing.T) {
	t.Parallel()
	z, err := Parse(source("@ SOA a.example.net. b.example.net. (\n 2026010101 ; serial\n 1h 10m 2w 60 )\n@ NS a.example.net.\n"))
	if err != nil {
		t.Fatal(err)
	}
	if z.Serial() != 2026010101 || len(z.Records()) != 2 {
		t.Errorf("%d\n%s", z.Serial(), z.Text())
	}
}

func TestTTLs(t *testing.T) {
	t.Parallel()
	z, err := Parse(source(`
a     A 192.0.2.1
b 5m  IN A 192.0.2.1
c IN 10 A 192.0.2.1
$TTL 1h30m
d     A 192.0.2.1
      TXT "the owner is d"
$ORIGIN sub
e     A 192.0.2.1
$GENERATE 1-2 g$ A 192.0.2.$
$GENERATE 3-4/1 g$ 7 IN A 192.0.2.$
$GENERATE 5-5 g$ IN MX 10 m$
$GENERATE 6-6 g$ MX "10 m$" ; BIND's way
$GENERATE 7-7 g$ TXT "10 m$"
`))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]uint32{}
	for _, r := range z.Records() {
		got[strings.TrimSuffix(Unpack(r.Owner), "shop.example.com.")+typeName(r.Type)] = r.TTL
		if strings.HasPrefix(r.Owner, "\x02g7") && string(r.Data) != "\x05"+"10 m7" {
			t.Errorf("the text of g7 is %q", r.Data)
		}
	}
	want := map[string]uint32{"SOA": 3600, "NS": 3600, "a.A": 60, "b.A": 300, "c.A": 10, "d.A": 5400, "d.TXT": 5400,
		"e.sub.A": 5400, "g1.sub.A": 5400, "g2.sub.A": 5400, "g3.sub.A": 7, "g4.sub.A": 7, "g5.sub.MX": 5400, "g6.sub.MX": 5400, "g7.sub.TXT": 5400}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// Each mistake is told with its place, what is wrong, and what to do.
func TestErrors(t *testing.T) {
	t.Parallel()
	for about, c := range map[string]struct {
		change func(*Source)
		text   string
		says   []string
	}{
		"syntax":                {nil, "www A 192.0.2\n", []string{"lifeboat.yaml:101:13: bad A A", "192.0.2.1"}},
		"unknown type":          {nil, "\nwww IN AA 192.0.2.1\n", []string{"lifeboat.yaml:102:"}},
		"no data":               {nil, "www A\n", []string{"lifeboat.yaml:101"}},
		"no data of an MX":      {nil, "www MX\n", []string{"lifeboat.yaml:101"}},
		"half the data":         {nil, "www MX 10\n", []string{"lifeboat.yaml:101"}},
		"cut short":             {nil, "www MX \\# 2 0000\n", []string{"lifeboat.yaml:101", "not whole"}},
		"a SRV without a name":  {nil, "www SRV \\# 6 000000000000\n", []string{"not whole"}},
		"an SVCB without one":   {nil, "www SVCB \\# 2 0001\n", []string{"not whole"}},
		"a wrong length":        {nil, "www A \\# 5 0000000000\n", []string{"lifeboat.yaml:101"}},
		"only an owner":         {nil, "www\n", []string{"lifeboat.yaml:101"}},
		"no owner":              {nil, " A 192.0.2.1\n", []string{"lifeboat.yaml:101", "begins with white space"}},
		"open quote":            {nil, "www TXT \"abc\nx A 192.0.2.1\n", []string{"lifeboat.yaml:101", "quoted string is not closed"}},
		"open parenthesis":      {nil, "a A 192.0.2.1\nwww SOA ( a. b. 1 2 3\n", []string{"lifeboat.yaml:102", "parenthesis is not closed"}},
		"stray parenthesis":     {nil, "www ) A 192.0.2.1\n", []string{"lifeboat.yaml:101", "closing parenthesis"}},
		"$INCLUDE":              {nil, "$INCLUDE /etc/passwd\n", []string{"lifeboat.yaml:101: $INCLUDE is refused", "put the file's lines here"}},
		"unknown directive":     {nil, "$FOO bar\n", []string{"lifeboat.yaml:101: the directive $FOO bar"}},
		"$TTL":                  {nil, "$TTL soon\n", []string{`"soon" is not a time`}},
		"bad $GENERATE":         {nil, "$GENERATE 9-1 g$ A 192.0.2.$\n", []string{"lifeboat.yaml:101", "$GENERATE"}},
		"class":                 {nil, "www CH A 192.0.2.1\n", []string{"class CH is not served"}},
		"query type":            {nil, "www TYPE255 \\# 0\n", []string{"ANY is no type"}},
		"outside":               {nil, "www.example.com. A 192.0.2.1\n", []string{"lifeboat.yaml:101: www.example.com. lies outside the zone shop.example.com."}},
		"TTL too large":         {nil, "www 4294967295 A 192.0.2.1\n", []string{"larger than there can be"}},
		"no TTL":                {func(s *Source) { s.TTL = 0 }, "www A 192.0.2.1\n", []string{"has no TTL", "$TTL 300"}},
		"CNAME and others":      {nil, "www CNAME a\nwww A 192.0.2.1\n", []string{"lifeboat.yaml:101: www.shop.example.com. is a CNAME and has other records too"}},
		"two CNAMEs":            {nil, "www CNAME a\nwww CNAME b\n", []string{"another CNAME"}},
		"CNAME at the apex":     {nil, "@ CNAME a\n", []string{"is a CNAME and has other records"}},
		"two SOAs":              {nil, "@ SOA a. b. 1 2 3 4 5\n@ SOA a. b. 2 2 3 4 5\n", []string{"lifeboat.yaml:102: a second SOA"}},
		"SOA below":             {nil, "www SOA a. b. 1 2 3 4 5\n", []string{"not the zone's apex"}},
		"two DNAMEs":            {nil, "www DNAME a.\nwww DNAME b.\n", []string{"two DNAME records"}},
		"missing glue":          {nil, "@ NS ns1\n", []string{"lifeboat.yaml:101: the name server ns1.shop.example.com. lies in the zone and has no address", "ns1.shop.example.com. 3600 IN A"}},
		"missing glue, made NS": {func(s *Source) { s.NS = []string{"ns.shop.example.com."} }, "", []string{"ns.shop.example.com. lies in the zone and has no address"}},
		"no name server":        {func(s *Source) { s.NS = nil }, "www A 192.0.2.1\n", []string{"has no name server"}},
		"name server relative":  {func(s *Source) { s.NS = []string{"ns"} }, "", []string{"not absolute"}},
		"bad contact":           {func(s *Source) { s.Contact = "x@a..b" }, "", []string{"contact of zone"}},
		"bad apex":              {func(s *Source) { s.Apex = "shop" }, "", []string{"not absolute", "final dot"}},
		"follow and A":          {follow("www"), "www A 192.0.2.1\n", []string{"lifeboat.yaml:101: www.shop.example.com. follows site shop and has a A record too"}},
		"follow and AAAA":       {follow("www"), "www AAAA 2001:db8::1\n", []string{"has a AAAA record too"}},
		"follow and CNAME":      {follow("www"), "www CNAME a\n", []string{"has a CNAME record too"}},
		"follow a delegation":   {follow("sub"), "sub NS ns.example.net.\n", []string{"hidden by the NS record of sub.shop.example.com."}},
		"follow below one":      {follow("www.sub"), "sub NS ns.example.net.\n", []string{"hidden by the NS record of sub.shop.example.com."}},
		"follow below a DNAME":  {follow("www.sub"), "sub DNAME example.net.\n", []string{"hidden by the DNAME record"}},
		"follow outside":        {func(s *Source) { s.Follow = map[string]string{"www.example.com.": "shop"} }, "", []string{"following name www.example.com.", "outside the zone"}},
		"follow relative":       {func(s *Source) { s.Follow = map[string]string{"www": "shop"} }, "", []string{"not absolute"}},
		"follow nothing":        {func(s *Source) { s.Follow = map[string]string{"www.shop.example.com.": ""} }, "", []string{"no site is named"}},
		"follow twice": {func(s *Source) {
			s.Follow = map[string]string{"www.shop.example.com.": "a", "WWW.shop.example.com.": "b"}
		}, "", []string{"twice"}},
		"too large": {nil, manyTXT(), []string{"too large for an answer"}},
	} {
		s := source(c.text)
		if c.change != nil {
			c.change(&s)
		}
		z, err := Parse(s)
		if z != nil || fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: zone %v, error %v", about, z, err)
			continue
		}
		for _, says := range c.says {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %q is not in:\n%v", about, says, err)
			}
		}
		if !strings.Contains(err.Error(), "(") {
			t.Errorf("%s: no remedy in %v", about, err)
		}
	}
}

func follow(label string) func(*Source) {
	return func(s *Source) { s.Follow = map[string]string{label + ".shop.example.com.": "shop"} }
}

func manyTXT() string {
	var b strings.Builder
	for i := range 400 {
		fmt.Fprintf(&b, "big TXT \"%d%s\"\n", i, strings.Repeat("x", 200))
	}
	return b.String()
}

func TestAllErrorsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Parse(source("a A 1\nok A 192.0.2.1\nb MX x\n$INCLUDE y\nc TXT \"\nd AAAA z\n"))
	if err == nil {
		t.Fatal("no error")
	}
	if got := strings.Count(err.Error(), "\n") + 1; got != 5 {
		t.Errorf("%d errors:\n%v", got, err)
	}
	for _, place := range []string{"lifeboat.yaml:101", "lifeboat.yaml:103", "lifeboat.yaml:104", "lifeboat.yaml:105", "lifeboat.yaml:106"} {
		if !strings.Contains(err.Error(), place) {
			t.Errorf("%s is missing in\n%v", place, err)
		}
	}
	_, err = Parse(source(strings.Repeat("a A 1\n", 1000)))
	if !strings.Contains(err.Error(), "and 975 more problems") {
		t.Errorf("%d octets of error", len(err.Error()))
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	for about, c := range map[string]struct {
		change func(*Source)
		text   string
		says   string
		left   int // records beside SOA and NS
	}{
		"long TTL":            {nil, "a 700000 A 192.0.2.1\n", "lifeboat.yaml:101: the TTL of a.shop.example.com. A is 700000 seconds", 1},
		"TTL 0":               {nil, "a 0 A 192.0.2.1\n", "is 0: nothing is cached", 1},
		"TTLs differ":         {nil, "a 50 A 192.0.2.1\na 40 A 192.0.2.2\n", "lifeboat.yaml:102: the A records of a.shop.example.com. have different TTLs", 2},
		"twice":               {nil, "a A 192.0.2.1\na A 192.0.2.1\n", "lifeboat.yaml:102: the same A record", 1},
		"below a delegation":  {nil, "s NS ns.example.net.\nx.s MX 1 a.\n", "lifeboat.yaml:102: the MX record of x.s.shop.example.com. is never answered", 1},
		"at a delegation":     {nil, "s NS ns.example.net.\ns TXT x\n", "the TXT record of s.shop.example.com. is never answered", 1},
		"address, no glue":    {nil, "s NS ns.example.net.\nx.s A 192.0.2.1\n", "the A record of x.s.shop.example.com. is never answered", 1},
		"below a DNAME":       {nil, "d DNAME example.net.\nx.d A 192.0.2.1\n", "the A record of x.d.shop.example.com. is never answered", 1},
		"no glue":             {nil, "s NS ns.s\n", "the delegation of s.shop.example.com. can't be followed", 1},
		"wildcard delegation": {nil, "*.s NS ns.example.net.\n", "do not delegate", 1},
		"signatures":          {nil, "a NSEC b A\n", "the NSEC record is left out", 0},
		"hints":               {follow("w"), "w HTTPS 1 . ipv4hint=192.0.2.1\n", "the HTTPS record of w.shop.example.com. is left out", 0},
		"hints of a service":  {follow("w"), "w SVCB 1 . ipv4hint=192.0.2.1\n", "the SVCB record of w.shop.example.com. is left out", 0},
		"slow follow":         {func(s *Source) { follow("w")(s); s.TTL = 3600 }, "", "the TTL of the following name w.shop.example.com. is 3600 seconds", 0},
		"slow way to follow":  {follow("w"), "c 3600 CNAME d\nd CNAME w\n", "c.shop.example.com. leads to the following name w.shop.example.com. with a TTL of 3600", 2},
		"slow denial":         {follow("w"), "@ SOA a. b. 1 2 3 4 3600\n", "negative answers are cached for 60 seconds", 0},
		"CNAME loop":          {nil, "a CNAME b\nb CNAME a\n", "leads back to itself", 2},
		"CNAME to itself":     {nil, "a CNAME a\n", "leads back to itself", 1},
	} {
		s := source(c.text)
		if c.change != nil {
			c.change(&s)
		}
		if about == "slow denial" {
			s.Text = strings.Replace(s.Text, "@ SOA", "@ 3600 SOA", 1)
			c.says = "negative answers are cached for 3600 seconds"
		}
		z, err := Parse(s)
		if err != nil {
			t.Errorf("%s: %v", about, err)
			continue
		}
		if !slices.ContainsFunc(z.Warnings(), func(w string) bool { return strings.Contains(w, c.says) }) {
			t.Errorf("%s: %q is not in %q", about, c.says, z.Warnings())
		}
		left := slices.DeleteFunc(slices.Clone(z.Records()), func(r Record) bool {
			return r.Owner == z.ApexWire() && (r.Type == dns.TypeSOA || r.Type == dns.TypeNS)
		})
		if len(left) != c.left {
			t.Errorf("%s: %d records are left\n%s", about, len(left), z.Text())
		}
	}
}

func TestGlueIsMarked(t *testing.T) {
	t.Parallel()
	z, err := Parse(source("s NS s\ns NS ns.s\ns A 192.0.2.1\nns.s AAAA 2001:db8::1\nns A 192.0.2.2\n"))
	if err != nil || len(z.Warnings()) > 0 {
		t.Fatal(err, z.Warnings())
	}
	for _, r := range z.Records() {
		if want := strings.HasSuffix(Unpack(r.Owner), "s.shop.example.com.") && r.Type != dns.TypeNS && Unpack(r.Owner) != "ns.shop.example.com."; r.Glue != want {
			t.Errorf("%s: glue %v", r, r.Glue)
		}
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	s := source("www MX 10 mail.example.com.\n")
	s.Follow = map[string]string{"shop.example.com.": "shop", "WWW.shop.example.com.": "shop", "*.t.shop.example.com.": "other"}
	z, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range z.Follow() {
		got = append(got, fmt.Sprintf("%s %s %d", Unpack(f.Owner), f.Site, f.TTL))
	}
	want := []string{"*.t.shop.example.com. other 60", "www.shop.example.com. shop 60", "shop.example.com. shop 60"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	body := "@ 300 NS ns.elsewhere.test.\nwww 300 A 192.0.2.1\n"
	for about, c := range map[string]struct{ text, file, apex string }{
		"SOA":                  {"$TTL 300\n$ORIGIN com.\nExample SOA a. b. 1 2 3 4 5\n$ORIGIN example.com.\n" + body, "x", "example.com."},
		"SOA relative to file": {"@ 300 IN SOA a. b. 1 2 3 4 5\n" + body, "/etc/db.example.org", "example.org."},
		"SOA of the file":      {body, "zones/example.net.zone", "example.net."},
		"origin":               {"$ORIGIN example.com.\n" + body, "zone.txt", "example.com."},
		"bare name":            {body, "example.com", "example.com."},
	} {
		z, err := Check(c.text, c.file)
		if err != nil {
			t.Errorf("%s: %v", about, err)
			continue
		}
		if z.Apex() != c.apex {
			t.Errorf("%s: apex %s", about, z.Apex())
		}
	}
	if _, err := Check(body, "zonefile"); err == nil || !strings.Contains(err.Error(), "$ORIGIN example.com.") {
		t.Errorf("no name: %v", err)
	}
	if _, err := Check("$ORIGIN example.com.\nwww 300 A 1\n", "f.zone"); err == nil || !strings.HasPrefix(err.Error(), "f.zone:2:11: ") {
		t.Errorf("place: %v", err)
	}
}

func TestOverlap(t *testing.T) {
	t.Parallel()
	parse := func(apex, text string, follows ...string) *Zone {
		s := Source{Apex: apex, File: apex + "zone", TTL: 60, NS: []string{"ns.example.net."}, Text: text, Follow: map[string]string{}}
		for _, f := range follows {
			s.Follow[f] = "shop"
		}
		z, err := Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	parent := parse("example.com.", "deleg NS ns.example.net.\n", "www.example.com.", "www.lone.example.com.")
	for about, c := range map[string]struct {
		zones         []*Zone
		warning, says string
	}{
		"apart":             {[]*Zone{parent, parse("example.org.", "")}, "", ""},
		"delegated":         {[]*Zone{parse("deleg.example.com.", ""), parent}, "", ""},
		"not delegated":     {[]*Zone{parse("other.example.com.", ""), parent}, "example.com. does not delegate it", ""},
		"twice":             {[]*Zone{parent, parent}, "", "zone example.com. is there twice"},
		"follow taken away": {[]*Zone{parent, parse("lone.example.com.", "")}, "does not delegate", "www.lone.example.com. follows site shop in zone example.com., but zone lone.example.com. answers for it"},
	} {
		warnings, err := Overlap(c.zones)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", about, err)
		}
		if (len(warnings) == 0) != (c.warning == "") || !strings.Contains(strings.Join(warnings, "\n"), c.warning) {
			t.Errorf("%s: warnings %q", about, warnings)
		}
	}
}
