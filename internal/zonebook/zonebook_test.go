package zonebook

import (
	"strings"
	"testing"

	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
)

const text = `; what the shop needs
www IN CNAME shop.example.com.
@ 3600 IN MX 10 mail
mail 300 IN A 192.0.2.25
mail 300 IN AAAA 2001:db8::25
@ 3600 IN TXT "v=spf1 mx -all"
*.apps 300 IN A 192.0.2.80
old 600 IN A 192.0.2.9
two 60 IN A 192.0.2.1
two 60 IN A 192.0.2.2
sub IN NS ns1.sub
ns1.sub IN A 192.0.2.53
`

func facts() Facts {
	src := zone.Source{Apex: "shop.example.com.", TTL: 60, NS: []string{"ns1.example.net."}, Text: text, Follow: map[string]string{"shop.example.com.": "shop"}}
	return Facts{Zone: src, Hash: TextOf(src).Hash(), Authority: []string{"ca.example.net"}}
}

func drafted(t *testing.T, f Facts, changes ...Change) Draft {
	t.Helper()
	d, err := Draft{}.With(f, changes...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestPlan: what publishing would do is said in words, what is probably not meant is
// warned of, and what leaves visitors without an answer has to be accepted.
func TestPlan(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change   Change
		crisis   bool
		says     string // in a line
		asks     string
		warns    string
		notWarns string
	}{
		"add":           {change: Change{Op: Add, Name: "api", Type: "A", Data: []string{"192.0.2.7"}}, says: "api.shop.example.com A: new, 192.0.2.7, kept for 1 min."},
		"add to a set":  {change: Change{Op: Add, Name: "two", Type: "A", Data: []string{"192.0.2.3"}}, says: "two.shop.example.com A: 192.0.2.3 is added to what is there. Resolvers may keep the old answer for 1 min."},
		"replace one":   {change: Change{Op: Replace, Name: "two", Type: "A", Old: []string{"192.0.2.1"}, Data: []string{"192.0.2.3"}}, says: "two.shop.example.com A: 192.0.2.1 → 192.0.2.3."},
		"replace all":   {change: Change{Op: Replace, Name: "old", Type: "A", Data: []string{"192.0.2.10"}}, says: "old.shop.example.com A: 192.0.2.9 → 192.0.2.10. Resolvers may keep the old answer for 10 min."},
		"another time":  {change: Change{Op: Replace, Name: "old", Type: "A", TTL: 60, Data: []string{"192.0.2.9"}}, says: "old.shop.example.com A: kept for 1 min instead of 10 min."},
		"remove one":    {change: Change{Op: Remove, Name: "two", Type: "A", Old: []string{"192.0.2.1"}}, says: "two.shop.example.com A: 192.0.2.1 goes away, the others stay."},
		"a name goes":   {change: Change{Op: Remove, Name: "old", Type: "A"}, says: "old.shop.example.com A: 192.0.2.9 goes away.", asks: "old.shop.example.com has no records any more: whoever asks for it is told that there is no such name."},
		"wildcard goes": {change: Change{Op: Remove, Name: "*.apps", Type: "A"}, asks: "all names below apps.shop.example.com that have no records of their own"},
		"a long time":   {change: Change{Op: Add, Name: "api", Type: "A", TTL: 604800, Data: []string{"192.0.2.7"}}, warns: "api.shop.example.com A may be kept for 7 d"},
		"mail server":   {change: Change{Op: Replace, Name: "mail", Type: "A", Data: []string{"192.0.2.26"}}, warns: "Mail depends on mail.shop.example.com A"},
		"MX":            {change: Change{Op: Add, Name: "@", Type: "MX", Data: []string{"20 mail2.example.net."}}, warns: "Mail depends on shop.example.com MX"},
		"DKIM":          {change: Change{Op: Add, Name: "k1._domainkey", Type: "TXT", Data: []string{`"v=DKIM1; p=abc"`}}, warns: "Mail depends on k1._domainkey.shop.example.com TXT"},
		"DMARC":         {change: Change{Op: Add, Name: "_dmarc", Type: "TXT", Data: []string{`"v=DMARC1; p=none"`}}, warns: "Mail depends on _dmarc.shop.example.com TXT"},
		"two SPF":       {change: Change{Op: Add, Name: "@", Type: "TXT", Data: []string{`"v=spf1 -all"`}}, warns: "has 2 SPF texts"},
		"CAA blocks":    {change: Change{Op: Add, Name: "@", Type: "CAA", Data: []string{`0 issue "other.example"`}}, warns: "does not name ca.example.net, which makes the certificates"},
		"CAA allows":    {change: Change{Op: Add, Name: "@", Type: "CAA", Data: []string{`0 issue "CA.example.net; validationmethods=dns-01"`}}, notWarns: "does not name"},
		"CAA tells":     {change: Change{Op: Add, Name: "@", Type: "CAA", Data: []string{`0 iodef "mailto:a@example.net"`}}, notWarns: "does not name"},
		"wildcard":      {change: Change{Op: Add, Name: "*", Type: "A", Data: []string{"192.0.2.80"}}, warns: "answers for every name below shop.example.com that has no records of its own"},
		"out of one":    {change: Change{Op: Add, Name: "x.apps", Type: "TXT", Data: []string{`"x"`}}, warns: "x.apps.shop.example.com has records of its own now, so *.apps.shop.example.com answers for it no more"},
		"nowhere":       {change: Change{Op: Add, Name: "c", Type: "CNAME", Data: []string{"nothing.shop.example.com."}}, warns: "c.shop.example.com CNAME leads to nothing.shop.example.com, which has no address in this zone."},
		"to the site":   {change: Change{Op: Add, Name: "c", Type: "CNAME", Data: []string{"shop.example.com."}}, notWarns: "no address in this zone"},
		"by wildcard":   {change: Change{Op: Add, Name: "c", Type: "CNAME", Data: []string{"y.apps.shop.example.com."}}, notWarns: "no address in this zone"},
		"handed on":     {change: Change{Op: Add, Name: "c", Type: "CNAME", Data: []string{"y.sub.shop.example.com."}}, notWarns: "no address in this zone"},
		"delegation":    {change: Change{Op: Add, Name: "team", Type: "NS", Data: []string{"ns1.example.org."}}, warns: "Everything at and below team.shop.example.com is answered by ns1.example.org"},
		"in a crisis":   {crisis: true, change: Change{Op: Add, Name: "api", Type: "A", TTL: 86400, Data: []string{"192.0.2.7"}}, says: "kept for 1 min.", warns: "An incident is open"},
		"not touched":   {crisis: true, change: Change{Op: Add, Name: "api", Type: "A", Data: []string{"192.0.2.7"}}, says: "api.shop.example.com A: new", notWarns: "An incident is open"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := facts()
			f.Incident = c.crisis
			p := f.Plan(drafted(t, f, c.change).Changes)
			if !p.Good() || p.Zoned == nil || p.Hash == "" {
				t.Fatalf("refused: %v", p.Refused)
			}
			var lines []string
			for _, l := range p.Lines {
				lines = append(lines, l.Words)
			}
			contains := func(what string, all []string, part string) {
				if got := strings.Join(all, "\n"); part != "" && !strings.Contains(got, part) {
					t.Errorf("the %s are\n%s\nwithout %q", what, got, part)
				}
			}
			contains("lines", lines, c.says)
			contains("asks", p.Asks, c.asks)
			contains("warnings", p.Warnings, c.warns)
			if got := strings.Join(p.Warnings, "\n"); c.notWarns != "" && strings.Contains(got, c.notWarns) {
				t.Errorf("needlessly warned: %s", got)
			}
			if c.asks == "" && len(p.Asks) > 0 {
				t.Errorf("needlessly asked: %s", p.Asks)
			}
		})
	}
}

// TestRefused: what can't be is refused with the record's name and a remedy, when it is
// written or by the plan.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change Change
		says   string
		zone   func(*Facts)
	}{
		"a site's address":    {Change{Op: Add, Name: "@", Type: "A", Data: []string{"192.0.2.1"}}, "the name follows the site shop", nil},
		"a site's hints":      {Change{Op: Add, Name: "@", Type: "HTTPS", Data: []string{"1 . alpn=h2"}}, "the name follows the site shop", nil},
		"SOA":                 {Change{Op: Add, Name: "@", Type: "SOA", Data: []string{"a. b. 1 2 3 4 5"}}, "the SOA record is kept here by itself", nil},
		"SOA by number":       {Change{Op: Add, Name: "@", Type: "TYPE6", Data: []string{`\# 22 00 00 00000001000000020000000300000004 00000005`}}, "SOA", nil},
		"signatures":          {Change{Op: Add, Name: "@", Type: "NSEC", Data: []string{"a. A"}}, "signatures are made here", nil},
		"keys":                {Change{Op: Remove, Name: "@", Type: "DNSKEY"}, "the zone's keys are kept here", func(f *Facts) { f.Zone.DNSSEC = true }},
		"own name servers":    {Change{Op: Add, Name: "@", Type: "NS", Data: []string{"ns9.example.net."}}, "the zone's own name servers are in the configuration", nil},
		"last name server":    {Change{Op: Remove, Name: "@", Type: "NS"}, "has no name server", func(f *Facts) { f.Zone.NS = nil; f.Zone.Text += "@ IN NS ns1.example.net.\n" }},
		"beside a CNAME":      {Change{Op: Add, Name: "www", Type: "A", Data: []string{"192.0.2.1"}}, "www.shop.example.com. is a CNAME and has other records too", nil},
		"outside":             {Change{Op: Add, Name: "www.example.net.", Type: "A", Data: []string{"192.0.2.1"}}, "lies outside the zone", nil},
		"no address":          {Change{Op: Add, Name: "x", Type: "A", Data: []string{"192.0.2"}}, "x.shop.example.com A: \"192.0.2\" does not read as the data of this type", nil},
		"a comment":           {Change{Op: Add, Name: "x", Type: "TXT", Data: []string{"a; b"}}, "would be a comment", nil},
		"an open quote":       {Change{Op: Add, Name: "x", Type: "TXT", Data: []string{`"a`}}, "is left open", nil},
		"two lines":           {Change{Op: Add, Name: "x", Type: "A", Data: []string{"192.0.2.1\ny IN A 192.0.2.2"}}, "can't be written", nil},
		"no type":             {Change{Op: Add, Name: "x", Type: "A A", Data: []string{"192.0.2.1"}}, "is no type of a record", nil},
		"nothing":             {Change{Op: Add, Name: "x", Type: "A"}, "what it is to hold is missing", nil},
		"too long":            {Change{Op: Add, Name: "x", Type: "A", TTL: 1 << 31, Data: []string{"192.0.2.1"}}, "is larger than there can be", nil},
		"gone already":        {Change{Op: Remove, Name: "nothing", Type: "A"}, "somebody else has removed it", nil},
		"another one by now":  {Change{Op: Replace, Name: "two", Type: "A", Old: []string{"192.0.2.77"}, Data: []string{"192.0.2.3"}}, "holds \"192.0.2.77\" no more", nil},
		"another zone's":      {Change{Op: Add, Name: "a.deep", Type: "A", Data: []string{"192.0.2.3"}}, "another zone here, deep.shop.example.com, answers for it", func(f *Facts) { f.Others = []*zone.Zone{parsed("deep.shop.example.com.")} }},
		"another server's":    {Change{Op: Add, Name: "a.their", Type: "A", Data: []string{"192.0.2.3"}}, "which comes from another server", func(f *Facts) { f.Secondary = []string{"their.shop.example.com."} }},
		"hides a site's name": {Change{Op: Add, Name: "sub2", Type: "NS", Data: []string{"ns1.example.org."}}, "is hidden by the NS record", func(f *Facts) { f.Zone.Follow["x.sub2.shop.example.com."] = "shop" }},
		"an alias's name": {Change{Op: Add, Name: "cdn", Type: "TXT", Data: []string{`"x"`}}, "has records of its own and follows site far", func(f *Facts) {
			f.Zone.Follow["cdn.shop.example.com."] = "far"
			f.Sites = map[string]zone.Positions{"far": {"main": {Alias: "x.example.org."}}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := facts()
			if c.zone != nil {
				c.zone(&f)
			}
			d, err := Draft{}.With(f, c.change)
			if err == nil {
				p := f.Plan(d.Changes)
				if p.Good() || len(p.Refused) == 0 {
					t.Fatalf("it is taken: %v", p.Lines)
				}
				err = p.Refused[0].fault()
			}
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.Refused && k != fault.Conflict {
				t.Errorf("it is %s", k)
			}
			if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "(") {
				t.Errorf("it says %v", err)
			}
		})
	}
}

func parsed(apex string) *zone.Zone {
	z, err := zone.Parse(zone.Source{Apex: apex, TTL: 60, NS: []string{"ns1.example.net."}})
	if err != nil {
		panic(err) // a constant
	}
	return z
}

// TestStalePlan: a plan's hash names what would be served and where it stands.
func TestStalePlan(t *testing.T) {
	t.Parallel()
	f := facts()
	changes := drafted(t, f, Change{Op: Add, Name: "api", Type: "A", Data: []string{"192.0.2.7"}}).Changes
	p := f.Plan(changes)
	if again := f.Plan(changes); again.Hash != p.Hash {
		t.Error("the same facts give another plan")
	}
	f.Number = 1
	if f.Plan(changes).Hash == p.Hash {
		t.Error("a plan on another revision has the same hash")
	}
	f = facts()
	f.Zone.Text += "more IN A 192.0.2.1\n"
	if f.Plan(changes).Hash == p.Hash {
		t.Error("another zone has the same hash")
	}
}

// TestForms: a record's fields are put together, and come apart again.
func TestForms(t *testing.T) {
	t.Parallel()
	const apex = "example.com."
	for _, c := range []struct {
		typ    string
		fields map[string]string
		want   string // or what the refusal says
	}{
		{"A", map[string]string{"address": " 192.0.2.1 "}, "192.0.2.1"},
		{"A", map[string]string{"address": "2001:db8::1"}, "belongs into a record of type AAAA"},
		{"AAAA", map[string]string{"address": "2001:DB8::1"}, "2001:db8::1"},
		{"AAAA", map[string]string{"address": "192.0.2.1"}, "belongs into a record of type A"},
		{"CNAME", map[string]string{"target": "www"}, "www.example.com."},
		{"CNAME", map[string]string{"target": "www.example.net"}, "www.example.net."},
		{"CNAME", map[string]string{"target": "@"}, "example.com."},
		{"CNAME", map[string]string{"target": "a b"}, "is no name"},
		{"CNAME", map[string]string{"target": ""}, "is missing"},
		{"MX", map[string]string{"target": "mail.example.com"}, "10 mail.example.com."},
		{"MX", map[string]string{"preference": "70000", "target": "mail"}, "is no figure from 0 to 65535"},
		{"TXT", map[string]string{"text": `say "hi"; bye`}, `"say \"hi\"; bye"`},
		{"TXT", map[string]string{"text": `"as it" "was given"`}, `"as it" "was given"`},
		{"TXT", map[string]string{"text": strings.Repeat("x", 300)}, `"` + strings.Repeat("x", 255) + `" "` + strings.Repeat("x", 45) + `"`},
		{"SRV", map[string]string{"port": "5061", "target": "sip"}, "0 0 5061 sip.example.com."},
		{"CAA", map[string]string{"text": "ca.example.net"}, `0 issue "ca.example.net"`},
		{"CAA", map[string]string{"tag": "nonsense", "text": "ca.example.net"}, "is none of issue, issuewild, iodef"},
		{"HTTPS", map[string]string{"rest": "alpn=h2,h3"}, `1 . alpn=h2,h3`},
		{"SSHFP", map[string]string{"data": "1 1 dd465c09cfa51fb45020cc83316fff21b9ec74ac"}, "1 1 dd465c09cfa51fb45020cc83316fff21b9ec74ac"},
	} {
		form := FormOf(c.typ)
		got, err := form.Data(apex, func(name string) string { return c.fields[name] })
		if err != nil {
			if !strings.Contains(err.Error(), c.want) || strings.HasPrefix(c.want, "1") {
				t.Errorf("%s %v: %v", c.typ, c.fields, err)
			}
			continue
		}
		if got != c.want {
			t.Errorf("%s %v is %s, want %s", c.typ, c.fields, got, c.want)
		}
		if _, err := parse(apex, "x.example.com.", c.typ, got); err != nil {
			t.Errorf("%s %s: %v", c.typ, got, err)
		}
		back := form.Split(got)
		if again, err := form.Data(apex, func(name string) string { return back[name] }); err != nil || again != got {
			t.Errorf("%s %s comes apart as %v, and together as %s %v", c.typ, got, back, again, err)
		}
	}
}

// TestPaste: a piece of a zone file becomes changes; what is wrong is told by its line.
func TestPaste(t *testing.T) {
	t.Parallel()
	f := facts()
	changes, err := Paste(f, "\ufeff$TTL 5m\r\napi A 192.0.2.1\r\napi A 192.0.2.2\r\n@ SOA a. b. 1 2 3 4 5\r\n@ MX 20 backup\r\n", false)
	if err != nil || len(changes) != 2 || changes[0].TTL != 300 || len(changes[0].Data) != 2 || changes[1].Data[0] != "20 backup.shop.example.com." {
		t.Errorf("it is %+v %v", changes, err)
	}
	for text, says := range map[string]string{
		"":                                   "nothing was pasted",
		"www A":                              "line 1",
		"a 60 IN A 192.0.2.1\nb 60 IN A x\n": "line 2",
		"$GENERATE 1-65535 a$ A 192.0.2.1":   "is not taken here",
		"$INCLUDE /etc/passwd":               "line 1",
		"@ SOA a. b. 1 2 3 4 5":              "no record in the text",
		strings.Repeat("x", MaxPaste+1):      "octets",
		"a.example.net. A 192.0.2.1":         "outside the zone",
	} {
		_, err := Paste(f, text, false)
		if err == nil {
			t.Errorf("%.60q is taken", text)
			continue
		}
		said := err.Error()
		for _, p := range problems(err) {
			said += " " + p.String()
		}
		if !strings.Contains(said, says) {
			t.Errorf("%.60q: %s", text, said)
		}
	}
}

func TestParseTTL(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]uint32{"": 0, "300": 300, "5m": 300, "5 min": 300, "1h": 3600, "1 day": 86400, "2 weeks": 1209600} {
		if got, err := ParseTTL(typed); err != nil || got != want {
			t.Errorf("%q is %d %v", typed, got, err)
		}
	}
	for _, typed := range []string{"x", "-1", "1.5h", "0", "99999999999", "4000w", "h", "5 m 3"} {
		if got, err := ParseTTL(typed); err == nil {
			t.Errorf("%q is %d", typed, got)
		}
	}
}
