package statuspage

import (
	"strings"
	"testing"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/subscribe"
)

var letterPage = board.Page{ID: "main", Name: "Example Shop", URL: "https://status.example.com", Languages: []string{"en", "de"}, Zone: "Europe/Berlin"}

const letterLink = "https://status.example.com/subscription/abc"

func TestNewsLetter(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 3, 4, 0, 0, time.UTC)
	n := subscribe.News{
		ID: "e1", At: at, Kind: subscribe.IncidentUpdated, Path: "/incidents/x", Title: board.Text{"": "Orders fail", "de": "Bestellungen gehen nicht"}, Step: board.Identified, Impact: board.ImpactMajor,
		Text:     board.Text{"": "The database\nis full.\n\nWe make room. <b>&"},
		Affected: []board.Affected{{Component: "pay", Old: board.Operational, New: board.Major}}, Components: []string{"pay"}, Next: at.Add(30 * time.Minute),
	}
	names := map[string]board.Text{"pay": {"": "Payments", "de": "Bezahlen"}}
	got := NewsLetter(letterPage, "en", n, names, letterLink)
	const want = `Orders fail
We know what it is

The database is full.

We make room. <b>&

Large effect
Payments: Does not work
Next news by 04:34 CET

Read on:
https://status.example.com/incidents/x

-- 
You get this because somebody asked for the news of Example Shop at this address, and confirmed it.
Change what you are told, or stop it:
https://status.example.com/subscription/abc
`
	if text := strings.ReplaceAll(got.Text, "\u00a0", " "); text != want || got.Subject != "[Example Shop] Orders fail: We know what it is" {
		t.Errorf("%q\n%s", got.Subject, text)
	}
	if !strings.Contains(got.Chat, "> We make room. &lt;b&gt;&amp;\n") || !strings.HasSuffix(got.Chat, "<https://status.example.com/incidents/x|Read on> · <"+letterLink+"|Change or stop>") {
		t.Errorf("in a chat: %s", got.Chat)
	}
	got = NewsLetter(letterPage, "de", n, names, letterLink)
	for _, part := range []string{"Bestellungen gehen nicht\nWir wissen, woran es liegt", "Bezahlen: ", "https://status.example.com/de/incidents/x\n"} {
		if !strings.Contains(got.Text, part) {
			t.Errorf("in German, without %q:\n%s", part, got.Text)
		}
	}
	n.Affected = []board.Affected{{Component: "pay", Old: board.Major, New: board.Major}}
	if got = NewsLetter(letterPage, "en", n, names, letterLink); strings.Contains(got.Text, "Payments: ") || !strings.Contains(got.Text, "It concerns: Payments\n") {
		t.Errorf("of a component that is as it was:\n%s", got.Text)
	}
	n = subscribe.News{ID: "e2", At: at, Kind: subscribe.MaintenanceCancelled, Path: "/maintenance/y", Title: board.Text{"": "Backup\r\nBcc: eve@example.com"}, Impact: board.ImpactMaintenance, From: at, Until: at.Add(time.Hour)}
	got = NewsLetter(letterPage, "en", n, names, letterLink)
	if strings.ContainsAny(got.Subject, "\r\n") || strings.Contains(got.Text, "/maintenance/y") || strings.Contains(got.Text, "From ") {
		t.Errorf("called off: %q\n%s", got.Subject, got.Text)
	}
	n.Kind, n.Components = subscribe.MaintenanceMoved, []string{"pay", "gone"}
	got = NewsLetter(letterPage, "en", n, names, letterLink)
	if text := strings.ReplaceAll(got.Text, "\u00a0", " "); !strings.Contains(text, "The time has changed") || !strings.Contains(text, "From 04:04 CET until 05:04 CET\nIt concerns: Payments, gone") {
		t.Errorf("moved:\n%s", text)
	}
}

func TestLinkLetter(t *testing.T) {
	t.Parallel()
	s := subscribe.Subscription{Page: "main", Way: subscribe.Mail}
	for _, tag := range []string{"en", "de"} {
		pending := LinkLetter(letterPage, tag, s, letterLink)
		s.Confirmed = time.Now()
		active := LinkLetter(letterPage, tag, s, letterLink)
		s.Confirmed = time.Time{}
		for _, l := range []Letter{pending, active} {
			if !strings.Contains(l.Text, "\n"+letterLink+"\n") || strings.Contains(l.Text+l.Subject+l.Chat, "letter.") || !strings.Contains(l.Subject, "Example Shop") || !strings.Contains(l.Chat, "<"+letterLink+"|") {
				t.Errorf("%s: %+v", tag, l)
			}
		}
		if pending.Text == active.Text || !strings.Contains(pending.Text, "48") {
			t.Errorf("%s: %s", tag, pending.Text)
		}
	}
}
