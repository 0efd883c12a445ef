package web

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const captured = `GET /cart
Host: shop.example.com
asked of main 203.0.113.10:443, 2026-03-12 02:06:00.000 UTC

       3 ms  connected
      12 ms  TLS 1.3 agreed
      12 ms  question sent
   30012 ms  GET /cart got no answer: <script>

HTTP/1.1 502 Bad Gateway
Date: Thu, 12 Mar 2026 02:06:00 GMT
Server: shop
`

// TestDrawn: what was captured is drawn with its numbers, and what somebody else wrote is
// shown as text.
func TestDrawn(t *testing.T) {
	t.Parallel()
	b := launch(t)
	x := scope{s: newServer(b.options())}
	d := x.drawnOf("http", captured)
	for _, want := range []string{"30012 ms", "TLS 1.3 agreed", "&lt;script&gt;", `role="img"`} {
		if !strings.Contains(string(d.Figure), want) {
			t.Errorf("the picture does not hold %q:\n%s", want, d.Figure)
		}
	}
	if d := x.drawnOf("http", "just a text\n12 ms  alone"); d.Figure != "" {
		t.Error("one line is no picture")
	}
	answers := x.drawnOf("dns", "DNS questions to ns1, now\n\n;; shop.example.com. A, over udp, after 3 ms: NOERROR, flags [aa], 60 bytes\nshop.example.com.\t60\tIN\tA\t203.0.113.10\n").Answers
	if diff := cmp.Diff([]answerRow{{"shop.example.com. A", "NOERROR\nA 203.0.113.10, for 60 s"}}, answers); diff != "" {
		t.Error(diff)
	}
	shown := x.drawnOf("tls", "TLS handshakes\n\n== shop.example.com\nthe certificate is not for shop.example.com; it is for x\n\n-- certificate 1\nsubject: CN=x\nissuer: CN=ca\nnames: x\n\n-- certificate 2\nissuer: CN=root\n").Shown
	if diff := cmp.Diff([]shownCert{{"shop.example.com", "the certificate is not for shop.example.com; it is for x", []answerRow{{"issuer", "CN=ca"}, {"names", "x"}}}}, shown); diff != "" {
		t.Error(diff)
	}
}

// TestWhatDiffers: two captures of the same thing differ only in what lasts.
func TestWhatDiffers(t *testing.T) {
	t.Parallel()
	later := strings.NewReplacer("02:06:00", "02:09:11", "30012 ms", "29 ms").Replace(captured)
	if d := diffOf(lasting(captured), lasting(later)); d != nil {
		t.Errorf("nothing that lasts differs: %v", d)
	}
	got := diffOf(lasting(captured), lasting(strings.Replace(later, "Server: shop", "Server: other", 1)))
	if diff := cmp.Diff([]diffLine{{"−", "Server: shop"}, {"+", "Server: other"}}, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzDrawn: nothing that was captured, or uploaded under its name, brings a page down.
func FuzzDrawn(f *testing.F) {
	f.Add(captured, captured)
	f.Add(";; a A, over udp, after 1 ms: NXDOMAIN\n", "== a\n-- certificate 1\nnames: b\n")
	f.Fuzz(func(t *testing.T, a, b string) {
		_, _, _ = stepsOf(a), answersOf(a), certificatesOf(b)
		for _, l := range diffOf(lasting(a), lasting(b)) {
			if l.Mark != "+" && l.Mark != "−" {
				t.Errorf("%q", l)
			}
		}
	})
}
