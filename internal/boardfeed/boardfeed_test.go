package boardfeed

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"lifeboat/internal/board"
	"lifeboat/internal/probe"
	"lifeboat/internal/statuspage"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// hostile is what people may write, and programs on the way may make of it.
const hostile = "\x00\x01\x0b\x1f\x7f\uffff]]>--><script>alert(1)</script> & \"quoted\" 'single' \u202eright to left\u202c END:VEVENT\r\nBEGIN:VALARM, a;b \\n {{.}} é 漢字 🛟"

// company is a page with a group, a component of no group, an incident that goes on, one
// that is over, and three maintenances; every text ends with more.
func company(more string) board.Board {
	text := func(s string) board.Text { return board.Text{"": s + more, "de": "auf Deutsch"} }
	page := board.Page{ID: "main", Hosts: []string{"status.example.org"}, URL: "https://status.example.org", Name: "Harbour Goods" + more, Languages: []string{"en", "de"}, Zone: "Europe/Berlin", CreatedAt: noon.AddDate(-1, 0, 0)}
	at := func(d time.Duration) time.Time { return noon.Add(d) }
	f := board.Facts{Now: noon, Ordered: map[string]board.Ordered{"shop": {Position: "main", Home: "main"}}, Sheet: board.Sheet{
		Pages:  []board.Page{page},
		Groups: []board.Group{{ID: "shop", Name: text("Shop"), Says: text("All of it")}, {ID: "empty", Name: text("Empty")}},
		Components: []board.Definition{
			{ID: "mail", Name: text("Mail")},
			{ID: "website", Group: "shop", Name: text("Website"), Says: text("Pages"), Measured: []board.Measure{{Site: "shop", Checks: []string{"front"}}}},
			{ID: "cards", Group: "shop", Name: text("Cards"), Measured: []board.Measure{{Site: "shop", Checks: []string{"cards"}}}},
		},
		Incidents: []board.Incident{
			{ID: "cards-fail", Title: text("Card payments fail"), Step: board.Identified, Impact: board.ImpactMajor, StartedAt: at(-time.Hour), CreatedAt: at(-50 * time.Minute), UpdatedAt: at(-10 * time.Minute), Components: []string{"cards", "gone"}, Updates: []board.Update{
				{ID: "u1", Step: board.Investigating, Text: text("We look into it.\n\nOrders are safe."), At: at(-50 * time.Minute), Affected: []board.Affected{{Component: "cards", Old: board.Operational, New: board.Partial}, {Component: "gone", New: board.Major}}},
				{ID: "u2", Step: board.Identified, Text: text("Found."), At: at(-10 * time.Minute), Silent: true},
			}},
			{ID: "slow", Title: text("Slow"), Step: board.Postmortem, Impact: board.ImpactMinor, StartedAt: at(-100 * time.Hour), CreatedAt: at(-100 * time.Hour), UpdatedAt: at(-98 * time.Hour), Monitoring: at(-99 * time.Hour), ResolvedAt: at(-98 * time.Hour), Story: &board.Story{At: at(-90 * time.Hour), Text: text("# What came together\n\nAn index was missing.")}},
		},
		Maintenances: []board.Maintenance{
			{ID: "now", Title: text("Going on"), Step: board.Scheduled, From: at(-time.Hour), Until: at(time.Hour), Components: []string{"mail"}},
			{ID: "move", Title: text("To come"), Step: board.Scheduled, From: at(30 * time.Hour), Until: at(32 * time.Hour), CreatedAt: at(-time.Hour), Updates: []board.Update{{ID: "u1", Step: board.Scheduled, Text: text("For two hours."), At: at(-time.Hour)}}},
			{ID: "done", Title: text("Over"), Step: board.Completed, From: at(-30 * time.Hour), Until: at(-29 * time.Hour), StartedAt: at(-30 * time.Hour), EndedAt: at(-28 * time.Hour)},
		},
	}}
	for check, seen := range map[string]probe.Seen{"front": probe.Up, "cards": probe.Down} {
		f.Seen = append(f.Seen, board.Seen{Site: "shop", Place: "main", Check: check, Seen: seen, At: at(-8 * time.Second), Every: 5 * time.Second})
	}
	return board.Make(page, f)
}

func all(t testing.TB, b board.Board) map[string]statuspage.Document {
	t.Helper()
	docs, err := All(b)
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

func read(t *testing.T, docs map[string]statuspage.Document, path string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal(docs[path].Body, &out); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return out
}

// A post-mortem is in the API as a field and as the newest message, and in every feed;
// without one the field is null.
func TestStoryIsTold(t *testing.T) {
	t.Parallel()
	docs := all(t, company(""))
	list, _ := read(t, docs, "/api/v2/incidents.json")["incidents"].([]any)
	for _, v := range list {
		in, _ := v.(map[string]any)
		updates, _ := in["incident_updates"].([]any)
		first, _ := updates[0].(map[string]any)
		switch in["id"] {
		case "slow":
			if in["status"] != "postmortem" || in["postmortem_body"] != "# What came together\n\nAn index was missing." || in["postmortem_published_at"] != "2026-11-18T18:00:00.000Z" || first["status"] != "postmortem" || first["body"] != in["postmortem_body"] {
				t.Errorf("%v", in)
			}
		default:
			if body, has := in["postmortem_body"]; !has || body != nil || first["status"] == "postmortem" {
				t.Errorf("%v", in)
			}
		}
	}
	for path, want := range map[string]string{PathRSS: "What came together&lt;/h3&gt;", PathAtom: "What came together&lt;/h3&gt;", PathJSON: `<h3>What came together</h3>\n<p>An index was missing.</p>`} {
		if body := string(docs[path].Body); !strings.Contains(body, want) {
			t.Errorf("%s lacks %q", path, want)
		}
	}
	if body := string(docs[PathJSON].Body); !strings.Contains(body, `"summary":"What happened: An index was missing."`) {
		t.Errorf("%s", body)
	}
}

// Every path that readers of Statuspage's API ask is there, with its keys.
func TestAPIIsComplete(t *testing.T) {
	t.Parallel()
	docs := all(t, company(""))
	for path, keys := range map[string][]string{
		"/api/v2/status.json":                          {"page", "status"},
		"/api/v2/summary.json":                         {"components", "incidents", "page", "scheduled_maintenances", "status"},
		"/api/v2/components.json":                      {"components", "page", "status"},
		"/api/v2/incidents.json":                       {"incidents", "page"},
		"/api/v2/incidents/unresolved.json":            {"incidents", "page"},
		"/api/v2/scheduled-maintenances.json":          {"page", "scheduled_maintenances"},
		"/api/v2/scheduled-maintenances/upcoming.json": {"page", "scheduled_maintenances"},
		"/api/v2/scheduled-maintenances/active.json":   {"page", "scheduled_maintenances"},
	} {
		var got []string
		for k := range read(t, docs, path) {
			got = append(got, k)
		}
		if slices.Sort(got); !slices.Equal(got, keys) {
			t.Errorf("%s: %v", path, got)
		}
	}
	for path, want := range map[string][]string{
		"/api/v2/incidents.json":            {"cards-fail", "slow"},
		"/api/v2/incidents/unresolved.json": {"cards-fail"},
		"/api/v2/summary.json":              {"cards-fail"},
	} {
		if got := ids(read(t, docs, path)["incidents"]); !slices.Equal(got, want) {
			t.Errorf("%s: %v", path, got)
		}
	}
	for path, want := range map[string][]string{
		"/api/v2/scheduled-maintenances.json":          {"now", "move", "done"},
		"/api/v2/scheduled-maintenances/upcoming.json": {"move"},
		"/api/v2/scheduled-maintenances/active.json":   {"now"},
		"/api/v2/summary.json":                         {"now", "move"},
	} {
		if got := ids(read(t, docs, path)["scheduled_maintenances"]); !slices.Equal(got, want) {
			t.Errorf("%s: %v", path, got)
		}
	}
}

func ids(list any) []string {
	var out []string
	for _, v := range list.([]any) {
		out = append(out, v.(map[string]any)["id"].(string))
	}
	return out
}

// What strict readers trip over: a list that is null, a group that is not there, another
// word for a state, a time without its zone.
func TestAPIIsForStrictReaders(t *testing.T) {
	t.Parallel()
	bare := board.Make(board.Page{ID: "main", URL: "https://s.example"}, board.Facts{Now: noon})
	for name, b := range map[string]board.Board{"company": company(""), "hostile": company(hostile), "bare": bare} {
		for path, d := range all(t, b) {
			if !strings.HasPrefix(path, "/api/") {
				continue
			}
			var v any
			if err := json.Unmarshal(d.Body, &v); err != nil {
				t.Fatalf("%s %s: %v", name, path, err)
			}
			walk(v, func(key string, v any) {
				switch s, _ := v.(string); {
				case strings.HasSuffix(key, "s") && v == nil && key != "reminder_intervals" && key != "status":
					t.Errorf("%s %s: %s is null", name, path, key)
				case (strings.HasSuffix(key, "_at") || key == "scheduled_for" || key == "scheduled_until") && v != nil:
					if _, err := time.Parse("2006-01-02T15:04:05.000Z", s); err != nil {
						t.Errorf("%s %s: %s: %v", name, path, key, err)
					}
				case key == "indicator" && !slices.Contains([]string{"none", "minor", "major", "critical"}, s):
					t.Errorf("%s %s: indicator %q", name, path, s)
				case (key == "id" || key == "page_id") && s == "":
					t.Errorf("%s %s: no %s", name, path, key)
				}
			})
			if list, has := v.(map[string]any)["components"].([]any); has {
				known := ids(list)
				for _, c := range list {
					if g, has := c.(map[string]any)["group_id"].(string); has && !slices.Contains(known, g) {
						t.Errorf("%s %s: group %s is not there", name, path, g)
					}
				}
			}
		}
	}
}

func walk(v any, see func(key string, v any)) {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			see(k, inner)
			walk(inner, see)
		}
	case []any:
		for _, inner := range v {
			walk(inner, see)
		}
	}
}

// Maintenance alone is no trouble, and nothing known is never green.
func TestIndicator(t *testing.T) {
	t.Parallel()
	status := func(b board.Board) string {
		s := read(t, all(t, b), "/api/v2/status.json")["status"].(map[string]any)
		return fmt.Sprint(s["indicator"], ": ", s["description"])
	}
	page := board.Page{ID: "main", URL: "https://s.example"}
	part := []board.Definition{{ID: "web", Measured: []board.Measure{{Site: "shop"}}}}
	work := []board.Maintenance{{ID: "now", Step: board.InProgress, ByHand: true, Components: []string{"web"}}}
	for want, b := range map[string]board.Board{
		"critical: Major System Outage":   company(""),
		"none: All Systems Operational":   board.Make(page, board.Facts{Now: noon}),
		"minor: State Not Known":          board.Make(page, board.Facts{Now: noon, Sheet: board.Sheet{Components: part}}),
		"none: Service Under Maintenance": board.Make(page, board.Facts{Now: noon, Sheet: board.Sheet{Components: part, Maintenances: work}}),
	} {
		if got := status(b); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// As ages grow nothing changes, so that readers are told so.
func TestSameBytesWhileNothingHappens(t *testing.T) {
	t.Parallel()
	b := company("")
	first := all(t, b)
	b.Now = b.Now.Add(time.Minute)
	for path, d := range all(t, b) {
		if !bytes.Equal(d.Body, first[path].Body) {
			t.Errorf("%s has changed", path)
		}
	}
}

// Nothing that people write breaks a form or becomes a part of it.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	for path, d := range all(t, company(hostile)) {
		switch {
		case strings.HasSuffix(path, ".json"):
			if !json.Valid(d.Body) {
				t.Errorf("%s is no JSON", path)
			}
		case strings.HasPrefix(d.Type, "text/html"):
			noScript(t, path, d.Body)
		case strings.HasPrefix(d.Type, "text/calendar"):
			if bytes.Contains(d.Body, []byte("\nBEGIN:VALARM")) || bytes.ContainsAny(d.Body, "\x00\x01\x0b\x1f\x7f") {
				t.Errorf("%s: a text became a line of its own:\n%s", path, d.Body)
			}
		default:
			noElement(t, path, d.Body)
		}
	}
}

func noElement(t *testing.T, path string, body []byte) {
	t.Helper()
	x, in := xml.NewDecoder(bytes.NewReader(body)), ""
	for {
		token, err := x.Token()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return
		}
		switch e := token.(type) {
		case xml.StartElement:
			if in = e.Name.Local; in == "script" {
				t.Errorf("%s has a script", path)
			}
		case xml.CharData:
			if in == "description" || in == "content" { // HTML; all else is plain
				noScript(t, path, e)
			}
		}
	}
}

func noScript(t *testing.T, path string, body []byte) {
	t.Helper()
	z := html.NewTokenizer(bytes.NewReader(body))
	for z.Next() != html.ErrorToken {
		if z.Token().Data == "script" && z.Token().Type == html.StartTagToken {
			t.Errorf("%s has a script", path)
		}
	}
}

// A page with more than a reader wants tells of the newest.
func TestAtMostFifty(t *testing.T) {
	t.Parallel()
	b := company("")
	for i := range 200 {
		b.Incidents = append(b.Incidents, board.Incident{ID: fmt.Sprintf("old-%d", i), Step: board.Resolved, StartedAt: noon.AddDate(0, 0, -i-10)})
	}
	docs := all(t, b)
	if got := ids(read(t, docs, "/api/v2/incidents.json")["incidents"]); len(got) != maxEntries || got[0] != "cards-fail" {
		t.Errorf("%d, first %s", len(got), got[0])
	}
	if got := ids(read(t, docs, PathJSON)["items"]); len(got) != maxEntries {
		t.Errorf("%d items", len(got))
	}
}

// Readers that are not ours (those of Debian's own Python: python3-feedparser and python3-icalendar) read the
// feeds without a complaint.
func TestOtherReaders(t *testing.T) {
	t.Parallel()
	if err := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", "import feedparser, icalendar").Run(); err != nil {
		t.Skip("SKIP-LOUD: python3-feedparser and python3-icalendar are not there; install them with: make deps")
	}
	for name, more := range map[string]string{"plain": "", "hostile": hostile} {
		folder := t.TempDir()
		for path, d := range all(t, company(more)) {
			if strings.Count(path, "/") == 1 {
				if err := os.WriteFile(filepath.Join(folder, filepath.Base(path)), d.Body, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		out, err := exec.CommandContext(t.Context(), "/usr/bin/python3", "testdata/read.py", folder).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		want := "history.rss: 5 entries, cards-fail first\nhistory.atom: 5 entries, cards-fail first\ncalendar.ics: 5 events, 2026-11-23 18:00:00+00:00 to 2026-11-23 20:00:00+00:00\n"
		if string(out) != want {
			t.Errorf("%s:\n%s", name, out)
		}
	}
}

// A parameter that may be there once (RFC 5545 section 3.2) is there once.
func TestCalendarParameters(t *testing.T) {
	t.Parallel()
	for line := range strings.SplitSeq(string(all(t, company(""))[PathCalendar].Body), "\r\n") {
		field, _, _ := strings.Cut(line, ":")
		seen := map[string]bool{}
		for _, parameter := range strings.Split(field, ";")[1:] {
			name, _, _ := strings.Cut(parameter, "=")
			if seen[name] {
				t.Errorf("%s is there twice: %s", name, line)
			}
			seen[name] = true
		}
	}
}

func TestBadges(t *testing.T) {
	t.Parallel()
	docs := all(t, company(" and a name that is longer than any badge should be"))
	for path, want := range map[string]string{"/badge.svg": "major outage", "/badge/website.svg": "operational", "/badge/mail.svg": "maintenance"} {
		if d := docs[path]; !bytes.Contains(d.Body, []byte(">"+want+"</text>")) || !bytes.Contains(d.Body, []byte(`role="img"`)) || len(d.Body) > 1500 {
			t.Errorf("%s: %s", path, d.Body)
		}
	}
	if got := string(docs["/shields/cards.json"].Body); !strings.HasPrefix(got, `{"schemaVersion":1,"label":"Cards and a name`) || !strings.Contains(got, `…","message":"major outage","color":"red","isError":true}`) {
		t.Error(got)
	}
}

// The widget alone may be shown in others' pages.
func TestOnlyTheWidgetMayBeFramed(t *testing.T) {
	t.Parallel()
	for path, d := range all(t, company("")) {
		if framed := strings.Contains(d.Policy, "frame-ancestors *"); framed != (path == PathWidget) {
			t.Errorf("%s: %s", path, d.Policy)
		}
	}
}
