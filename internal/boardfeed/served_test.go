package boardfeed_test

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/boardfeed"
	"lifeboat/internal/standby"
)

// served is the standby with a status page, as answer serves it.
func served(t *testing.T) *httptest.Server {
	t.Helper()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	page := board.Page{ID: "main", Hosts: []string{"status.example.org"}, URL: "https://status.example.org", Name: "Harbour Goods"}
	cards := []string{"cards"}
	f := board.Facts{Now: now, Sheet: board.Sheet{
		Pages:      []board.Page{page},
		Groups:     []board.Group{{ID: "shop", Name: board.Text{"": "Shop"}}},
		Components: []board.Definition{{ID: "cards", Group: "shop", Name: board.Text{"": "Cards"}}, {ID: "mail", Name: board.Text{"": "Mail"}}},
		Incidents: []board.Incident{{ID: "cards-fail", Title: board.Text{"": "Card payments fail"}, Step: board.Identified, Impact: board.ImpactMajor, StartedAt: now.Add(-time.Hour), Components: cards, Updates: []board.Update{
			{ID: "u1", Step: board.Identified, Text: board.Text{"": "Found."}, At: now, Affected: []board.Affected{{Component: "cards", New: board.Major}}}}}},
		Maintenances: []board.Maintenance{{ID: "move", Title: board.Text{"": "A move"}, Step: board.Scheduled, From: now.Add(time.Hour), Until: now.Add(2 * time.Hour), Components: []string{"mail"}}},
	}}
	pages, err := (&standby.Statuses{More: []standby.More{boardfeed.All}, Feeds: boardfeed.Links()}).Render(f, "")
	if err != nil {
		t.Fatal(err)
	}
	v, err := standby.Compile(standby.Input{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.AddStatus(pages); err != nil {
		t.Fatal(err)
	}
	s := standby.New(standby.Options{})
	s.Set(v)
	// Clients ask by address; the name is what the page is found by.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Host = "status.example.org"
		s.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

// Every form is there for GET and HEAD, for pages of other origins too, and is not sent
// again to who has it.
func TestServed(t *testing.T) {
	t.Parallel()
	server := served(t)
	ask := func(method, path, tag string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", "https://elsewhere.example")
		r.Header.Set("If-None-Match", tag)
		r.Header.Set("Accept", "*/*")
		got, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = got.Body.Close()
		return got
	}
	for path, kind := range map[string]string{
		"/api/v2/summary.json":              "application/json; charset=utf-8",
		"/api/v2/components.json":           "application/json; charset=utf-8",
		"/api/v2/incidents/unresolved.json": "application/json; charset=utf-8",
		boardfeed.PathRSS:                   "application/rss+xml; charset=utf-8",
		boardfeed.PathAtom:                  "application/atom+xml; charset=utf-8",
		boardfeed.PathJSON:                  "application/feed+json; charset=utf-8",
		boardfeed.PathCalendar:              "text/calendar; charset=utf-8",
		boardfeed.PathBadge:                 "image/svg+xml",
		"/badge/cards.svg":                  "image/svg+xml",
		boardfeed.PathShields:               "application/json; charset=utf-8",
		boardfeed.PathWidget:                "text/html; charset=utf-8",
	} {
		got, head := ask("GET", path, ""), ask("HEAD", path, "")
		tag := got.Header.Get("Etag")
		if got.StatusCode != 200 || head.StatusCode != 200 || head.Header.Get("Etag") != tag || tag == "" ||
			got.Header.Get("Content-Type") != kind || got.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %d %v", path, got.StatusCode, head.StatusCode, got.Header)
		}
		if again := ask("GET", path, tag); again.StatusCode != http.StatusNotModified {
			t.Errorf("%s: sent again: %d", path, again.StatusCode)
		}
	}
}

// A client of Statuspage's that is not ours reads the API (npm: @aero/statuspage).
func TestAnotherClient(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("SKIP-LOUD: there is no node; install it with: make deps")
	}
	folder, err := exec.CommandContext(t.Context(), "../../scripts/npm", "--check").Output()
	if err != nil {
		t.Skip("SKIP-LOUD: the JavaScript clients are not there; install them with: make deps")
	}
	cmd := exec.CommandContext(t.Context(), "node", "testdata/client.cjs", served(t).URL)
	cmd.Env = append(cmd.Environ(), "NODE_PATH="+strings.TrimSpace(string(folder))+"/node_modules")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const want = `status critical
summary critical, Harbour Goods, components 2, incidents 1, maintenances 1
components Mail operational, Shop major_outage with Cards
incidents cards-fail identified with 1 updates
unresolved cards-fail
upcoming move scheduled
active 
all move
`
	if string(out) != want {
		t.Errorf("%s", out)
	}
}
