package zone

import (
	"strings"
	"testing"
)

func TestHintsThatStay(t *testing.T) {
	t.Parallel()
	z, err := Parse(Source{
		Apex: "example.com.", File: "t.zone", Line: 1, TTL: 60, NS: []string{"ns.example.net."}, Follow: map[string]string{"shop.example.com.": "shop"},
		Text: "a IN HTTPS 1 shop ipv4hint=192.0.2.1\nb IN HTTPS 1 shop alpn=h2\nc IN HTTPS 1 other ipv6hint=2001:db8::1\nother IN A 192.0.2.1\nd IN SVCB 1 Shop alpn=h2 ipv6hint=2001:db8::1\n@ IN CAA 0 issue \"ca.example\"\n@ IN CAA 0 iodef \"mailto:x@example.com\"\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(z.Warnings(), "\n")
	if strings.Count(got, "carries addresses") != 2 || !strings.Contains(got, "t.zone:1: the HTTPS record of a.example.com.") || !strings.Contains(got, "t.zone:5: the SVCB record of d.example.com.") {
		t.Errorf("%s", got)
	}
	if notes := z.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "only ca.example may make certificates for names at and below example.com.") {
		t.Errorf("%q", notes)
	}
}

func FuzzHinted(f *testing.F) {
	f.Add([]byte("\x00\x01\x04shop\x00\x00\x04\x00\x04\x01\x02\x03\x04"))
	f.Add([]byte("\x00\x01\x3f"))
	f.Fuzz(func(_ *testing.T, data []byte) { hinted(data) })
}
