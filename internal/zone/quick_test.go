package zone

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// parseBoth reads a zone in both ways.
func parseBoth(s Source) (quick, slow *Zone, quickErr, slowErr error) {
	quick, quickErr = Parse(s)
	slow, slowErr = parse(s, true)
	return quick, slow, quickErr, slowErr
}

// sameZones says how two ways of reading a zone differ, "" when they don't.
func sameZones(s Source) string {
	quick, slow, quickErr, slowErr := parseBoth(s)
	if fmt.Sprint(quickErr) != fmt.Sprint(slowErr) {
		return fmt.Sprintf("quick: %v\nslow: %v", quickErr, slowErr)
	}
	if quickErr != nil {
		return ""
	}
	same := slices.EqualFunc(quick.Records(), slow.Records(), func(a, b Record) bool {
		return a.Owner == b.Owner && a.Type == b.Type && a.TTL == b.TTL && a.Glue == b.Glue && a.Line == b.Line && bytes.Equal(a.Data, b.Data)
	})
	if !same {
		return fmt.Sprintf("quick:\n%s\nslow:\n%s", quick.Text(), slow.Text())
	}
	if !slices.Equal(quick.Warnings(), slow.Warnings()) {
		return fmt.Sprintf("quick: %q\nslow: %q", quick.Warnings(), slow.Warnings())
	}
	return ""
}

// quickLines are the lines that the quick way is for, and some that are nearly so.
var quickLines = []string{
	"@ 3600 IN SOA ns.example.net. hostmaster 4294967295 7200 900 1209600 60",
	"@ IN NS ns.example.net.", "www 300 IN A 192.0.2.1 ; a comment", "www IN 300 AAAA 2001:db8::1", " A 192.0.2.2", "\tTXT \"a b; (c)\" word",
	"WWW2.Example.COM. cname WWW", "m MX 10 mail.example.net.", "m MX 010 .", "_s._tcp SRV 0 5 443 @", "p PTR host.example.org.",
	"c CAA 0 issue \"ca.example\"", "c CAA 128 iodef mailto:a", "*.w A 1.2.3.4", "a A 01.2.3.4", "a A 1.2.3", "a A 1.2.3.4.", "a A 256.1.1.1",
	"b AAAA ::ffff:1.2.3.4", "b AAAA 1.2.3.4", "b AAAA ::", "1 A 192.0.2.1", "A A 192.0.2.1", "IN A 192.0.2.1", "in IN A 192.0.2.1",
	"300 300 A 192.0.2.1", "x 4294967295 A 192.0.2.1", "x 1h A 192.0.2.1", "x CH A 192.0.2.1", "x IN IN A 192.0.2.1", "x 1 2 A 192.0.2.1",
	"$ORIGIN sub", "$ORIGIN org.", "$ORIGIN .", "$TTL 5", "", ";c", "   ", "  ; c", "t TXT unquoted", "t TXT \"\"", "t TXT \"a\"\"b\"", "t TXT \"a\" \"b\"",
	"t TXT a\"b\"", "t TXT \"a\\\"b\"", "d DNAME e", "h HTTPS 1 . alpn=h2", "a..b A 192.0.2.1", ".a A 192.0.2.1", "x.example.org. A 192.0.2.1",
	"x A 192.0.2.1 192.0.2.2", "x A", "x MX 70000 a", "x MX a", "x SRV 1 2 a", "x NS", "x TYPE1 \\# 4 c0000201", "u A 192.0.2.1\r", "\\@ A 192.0.2.1",
	"x NS \"a\"", "\"x\" A 192.0.2.1", "x CAA 0 issue ;", "x CAA 0 is-sue a", "x CAA 256 issue a", "x CAA 0 issue a b", "x SOA a b 1h 2 3 4 5",
	"x SOA a b 99999999999 2 3 4 5", "x SOA a b 1 2 3 4 4294967295", "x MX +1 a", "x A 192.0.2.1;c", "@ TXT v=spf1 -all", "x TXT a@b c:d e=f",
	"x PTR a@b", "x CNAME @", "x CNAME a/b", "x SRV 1 2 3 .", "x aaaa 2001:DB8::A", "x AAAA 2001:db8::1%eth0", "x AAAA 1:2:3:4:5:6:7:8:9",
}

// Each line is read as the wire library reads it, alone and after another.
func TestQuickAgrees(t *testing.T) {
	t.Parallel()
	for _, first := range append(quickLines, strings.Repeat("a", 63)+" A 192.0.2.1", strings.Repeat("a", 64)+" A 192.0.2.1", strings.Repeat("a.", 125)+" A 192.0.2.1",
		"n A 192.0.2.1 ;"+strings.Repeat("c", 600), "n TXT "+strings.Repeat("t", 255), "n TXT "+strings.Repeat("t", 256), "n TXT \""+strings.Repeat("t", 300)+"\"",
		"n TXT"+strings.Repeat(" t", 15), "n TXT"+strings.Repeat(" t", 20), "n TXT \""+strings.Repeat("t", 253)+"\" \""+strings.Repeat("t", 253)+"\" c") {
		for _, second := range quickLines {
			for _, ttl := range []uint32{0, 60} {
				s := Source{Apex: "example.com.", TTL: ttl, NS: []string{"ns.example.net."}, Text: first + "\n" + second + "\n  A 192.0.2.77\n"}
				if diff := sameZones(s); diff != "" {
					t.Errorf("%q: %s", s.Text, diff)
				}
			}
		}
	}
}

// FuzzQuick holds that the quick way reads a zone as the wire library does.
func FuzzQuick(f *testing.F) {
	for _, line := range quickLines {
		f.Add(line+"\n A 192.0.2.9\n", uint32(60))
	}
	f.Add(strings.Join(quickLines, "\n"), uint32(0))
	f.Fuzz(func(t *testing.T, text string, ttl uint32) {
		s := Source{Apex: "example.com.", TTL: ttl, NS: []string{"ns.example.net."}, Text: text,
			Includes: map[string]string{"i": "i A 192.0.2.9\n$ORIGIN deep\n$TTL 9\nj A 192.0.2.9\n"}}
		if diff := sameZones(s); diff != "" {
			t.Fatal(diff)
		}
	})
}
