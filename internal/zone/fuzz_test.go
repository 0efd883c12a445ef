package zone

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// FuzzParse holds that no text breaks the parser, and that what it took comes
// back the same from the text that it writes.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"@ SOA a b 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n",
		"$TTL 1h\n$ORIGIN sub\nwww IN 300 A 192.0.2.1\n  TXT \"a b\" c;comment\n",
		"a TXT \"\\\"quoted\\\" \\; \\065\" ( \"more\"\n\"lines\" )\n",
		"*.w CNAME www\nwww AAAA 2001:db8::1\ns NS ns.s\nns.s A 192.0.2.1\n",
		"$GENERATE 1-3 h$ A 192.0.2.$\n$GENERATE 1-3/2 h${0,3,x} CNAME x\n",
		"_s._tcp SRV 0 0 80 www\nh HTTPS 1 . alpn=h2 ipv4hint=192.0.2.1\nc CAA 0 issue \"ca.example\"\n",
		"u TYPE65280 \\# 3 010203\nx A \\# 4 c0000201\nn NAPTR 1 1 \"u\" \"E2U\" \"!x!y!\" .\n",
		"a\\.b\\032c A 192.0.2.1\n\\@ A 192.0.2.1\nd DNAME e\nl LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m\n",
		"$INCLUDE x\n\"a b\" A 192.0.2.1\n(\n)\n;\n", "\x00", "a A\n", "@ APL\n",
		"$INCLUDE a.txt sub\n  TXT \"owner\"\n$INCLUDE b.txt\n", "x TYPE65281 \\# 0\n", "$GENERATE 1-2 h$ MX 10 m$\n",
	} {
		f.Add(text)
	}
	for _, line := range strings.Split(strings.TrimSpace(everyType), "\n") {
		f.Add("x " + line + "\n")
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := Source{Apex: "example.com.", TTL: 60, NS: []string{"ns.example.net."}, Text: text, Follow: map[string]string{"follows.example.com.": "shop"}}
		s.Includes = map[string]string{"a.txt": "i A 192.0.2.9\n$ORIGIN deep\n$TTL 9\n", "b.txt": "$INCLUDE a.txt\n$INCLUDE b.txt\n", "x": text}
		z, err := Parse(s)
		if err != nil {
			return
		}
		s.Text = z.Text()
		again, err := Parse(s)
		if err != nil {
			t.Fatalf("its own text is refused: %v\n%s", err, s.Text)
		}
		same := slices.EqualFunc(z.Records(), again.Records(), func(a, b Record) bool {
			return a.Owner == b.Owner && a.Type == b.Type && a.TTL == b.TTL && a.Glue == b.Glue && bytes.Equal(a.Data, b.Data)
		})
		if !same {
			t.Fatalf("not the same zone:\n%s\n%s", z.Text(), again.Text())
		}
	})
}
