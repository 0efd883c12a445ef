package web

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeboat/internal/incident"
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
	d := x.drawnOf(incident.Evidence{Kind: "http", Title: "How main answers"}, captured)
	for _, want := range []string{"30012 ms", "TLS 1.3 agreed", "&lt;script&gt;", `role="img"`} {
		if !strings.Contains(string(d.Figure), want) {
			t.Errorf("the picture does not hold %q:\n%s", want, d.Figure)
		}
	}
	if d := x.drawnOf(incident.Evidence{Kind: "http", Title: "What main sent for GET /."}, captured); d.Figure != "" {
		t.Error("what a page sent is drawn as ours")
	}
	if d := x.drawnOf(incident.Evidence{Kind: "http", Title: "How main answers"}, "just a text\n12 ms  alone"); d.Figure != "" {
		t.Error("one line is no picture")
	}
	answers := x.drawnOf(incident.Evidence{Kind: "dns"}, "DNS questions to ns1, now\n\n;; shop.example.com. A, over udp, after 3 ms: NOERROR, flags [aa], 60 bytes\nshop.example.com.\t60\tIN\tA\t203.0.113.10\n").Answers
	if diff := cmp.Diff([]answerRow{{"shop.example.com. A", "NOERROR\nA 203.0.113.10, for 60 s"}}, answers); diff != "" {
		t.Error(diff)
	}
	shown := x.drawnOf(incident.Evidence{Kind: "tls"}, "TLS handshakes\n\n== shop.example.com\nthe certificate is not for shop.example.com; it is for x\n\n-- certificate 1\nsubject: CN=x\nissuer: CN=ca\nnames: x\n\n-- certificate 2\nissuer: CN=root\n").Shown
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

// TestDrawnLog: a log is drawn by when its lines were written and by what they say, what
// tells of trouble first, and as text.
func TestDrawnLog(t *testing.T) {
	t.Parallel()
	b := launch(t)
	x := scope{s: newServer(b.options())}
	var log strings.Builder
	for i := range 60 {
		fmt.Fprintf(&log, "2026-03-12T02:%02d:00Z GET /orders/%d answered 200 in %d ms\n", i, 4000+i, i)
		if i > 40 {
			fmt.Fprintf(&log, "2026-03-12T02:%02d:01Z error: order %d has no <script>\n", i, 4000+i)
		}
	}
	log.WriteString("2026-03-12T02:59:30Z release 412 is in\n")
	d := x.drawnOf(incident.Evidence{Kind: "log"}, log.String())
	if len(d.Lines) != 3 || d.AllLines != 80 || !d.Lines[0].Trouble || d.Lines[0].Count != 19 || d.Lines[1].Count != 1 || d.Lines[1].Trouble || d.Lines[2].Count != 60 {
		t.Errorf("%+v", d.Lines)
	}
	for _, want := range []string{"80 lines", "19 tell of trouble", "02:00:00", "02:59:30", `class="bad"`} {
		if !strings.Contains(strings.ReplaceAll(string(d.Figure), nbsp, " "), want) {
			t.Errorf("the picture does not hold %q:\n%s", want, d.Figure)
		}
	}
	for name, text := range map[string]string{"nothing": "", "a line": "one", "no times": "one\ntwo\nthree\n", "one time": "2026-03-12 02:00:00 a\n2026-03-12 02:00:00 b\n", "no text": strings.Repeat("\x00\xff\n", 50)} {
		if d := x.drawnOf(incident.Evidence{Kind: "log"}, text); d.Figure != "" {
			t.Errorf("%s: it is drawn", name)
		}
	}
	many := ""
	for i := range 100 {
		many += strings.Repeat("x", i+1) + "\n"
	}
	if d := x.drawnOf(incident.Evidence{Kind: "log"}, many); len(d.Lines) != maxLineKinds || d.MoreLines != 80 {
		t.Errorf("%d kinds, %d more", len(d.Lines), d.MoreLines)
	}
}
