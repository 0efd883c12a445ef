package statuspage

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"lifeboat/internal/board"
	"lifeboat/internal/probe"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// company is a page of eight components in three groups with an incident, one that is
// over and written up, and planned work.
func company() (board.Page, board.Facts) {
	page := board.Page{ID: "main", Hosts: []string{"status.example.org"}, URL: "https://status.example.org", Name: "Harbour Goods", Languages: []string{"en", "de"}, Zone: "Europe/Berlin", Contact: "hello@example.org", Subscribe: []string{"mail", "webhook", "slack"}}
	f := board.Facts{
		Now: noon, Ordered: map[string]board.Ordered{"shop": {Position: "main", Home: "main"}}, History: board.History{},
		Sheet: board.Sheet{Pages: []board.Page{page}, Groups: []board.Group{
			{ID: "shop", Name: board.Text{"": "Shop", "de": "Laden"}}, {ID: "help", Name: board.Text{"": "Help and deliveries", "de": "Hilfe und Lieferungen"}},
		}},
	}
	for i, name := range []string{"Website", "Search", "Checkout", "Accounts", "Deliveries", "Help pages", "Mail", "Programs' interface"} {
		id := fmt.Sprintf("part-%c", 'a'+i)
		d := board.Definition{ID: id, Group: []string{"shop", "help"}[i/4], Name: board.Text{"": name}, Measured: []board.Measure{{Site: "shop", Checks: []string{id}}}}
		f.Sheet.Components = append(f.Sheet.Components, d)
		f.Seen = append(f.Seen, board.Seen{Site: "shop", Place: "main", Check: id, Seen: probe.Up, At: noon.Add(-8 * time.Second), Every: 5 * time.Second})
		f.History[id] = past(i)
	}
	f.Seen[2].Seen = probe.Down
	update := func(id string, step board.Step, ago time.Duration, text board.Text, to board.State) board.Update {
		return board.Update{ID: id, Step: step, Text: text, At: noon.Add(-ago), Affected: []board.Affected{{Component: "part-c", Old: board.Operational, New: to}}}
	}
	f.Sheet.Incidents = []board.Incident{
		{ID: "cards", Title: board.Text{"": "Card payments fail", "de": "Kartenzahlungen schlagen fehl"}, Step: board.Identified, Impact: board.ImpactMajor, StartedAt: noon.Add(-50 * time.Minute), CreatedAt: noon.Add(-45 * time.Minute),
			UpdatedAt: noon.Add(-10 * time.Minute), NextDue: noon.Add(20 * time.Minute), Components: []string{"part-c"}, Updates: []board.Update{
				update("u1", board.Investigating, 45*time.Minute, board.Text{"": "Some card payments do not go through. We are looking into it.\n\nOrders that you have placed are safe.", "de": "Einige Kartenzahlungen gehen nicht durch. Wir gehen der Sache nach."}, board.Partial),
				update("u2", board.Identified, 10*time.Minute, board.Text{"": "The company that takes the payments for us has a fault, and has told us that they are on it."}, board.Major),
			}},
		{ID: "slow", Title: board.Text{"": "The search was slow"}, Step: board.Postmortem, Impact: board.ImpactMinor, StartedAt: noon.Add(-100 * time.Hour), ResolvedAt: noon.Add(-98 * time.Hour), Components: []string{"part-b"},
			Updates: []board.Update{{ID: "u1", Step: board.Resolved, Text: board.Text{"": "It is over."}, At: noon.Add(-98 * time.Hour)}},
			Story:   &board.Story{At: noon.Add(-72 * time.Hour), Text: board.Text{"": "# What happened\n\nAn index was being built while everybody was searching.\n\n# What we change\nIt is built at night."}}},
	}
	f.Sheet.Maintenances = []board.Maintenance{{ID: "move", Title: board.Text{"": "Deliveries move to a new system"}, Step: board.Scheduled, From: noon.Add(30 * time.Hour), Until: noon.Add(32 * time.Hour), Components: []string{"part-e"},
		Updates: []board.Update{{ID: "u1", Step: board.Scheduled, Text: board.Text{"": "For two hours deliveries can't be followed. They arrive as usual."}, At: noon.Add(-time.Hour)}}}}
	return page, f
}

// past are ninety days with some trouble, and a day of response times.
func past(seed int) board.Past {
	var p board.Past
	for i := range 90 {
		d := board.Day{Date: noon.AddDate(0, 0, i-89).Format(time.DateOnly), Tally: board.Tally{86400}}
		switch (i*7 + seed*13) % 61 {
		case 3:
			d.Tally = board.Tally{86400 - 840, 0, 0, 840}
		case 11:
			d.Tally = board.Tally{86400 - 5400, 5400}
		case 20:
			d.Tally = board.Tally{86400 - 1900, 0, 1900}
		case 33:
			d.Tally = board.Tally{86400 - 7200, 0, 0, 0, 7200}
		}
		if i < 6 && seed > 4 {
			continue
		}
		p.Days = append(p.Days, d)
	}
	for i := range 288 {
		ms := 120 + 10*seed + (i*i*(seed+3))%47
		if i > 200 && i < 215 {
			ms += 180
		}
		p.Times = append(p.Times, board.Point{At: noon.Add(time.Duration(i-288) * 5 * time.Minute), Mean: ms, Most: ms + ms/2})
	}
	return p
}

func documents(t *testing.T, page board.Page, f board.Facts) map[string]Document {
	t.Helper()
	b := board.Make(page, f)
	o := Options{Feeds: []Feed{{"Atom", "application/atom+xml", "/history.atom"}}}
	fresh, err := Fresh(b, o)
	if err != nil {
		t.Fatal(err)
	}
	rest, err := Rest(b, o)
	if err != nil {
		t.Fatal(err)
	}
	for path, d := range rest {
		fresh[path] = d
	}
	for path, d := range subscribing(t, b, o) {
		fresh[path] = d
	}
	return fresh
}

// TestWrite writes all documents to the folder of the environment, for people to look at.
func TestWrite(t *testing.T) {
	folder := os.Getenv("LIFEBOAT_PAGES")
	if folder == "" {
		t.Skip("LIFEBOAT_PAGES names no folder to write the pages to")
	}
	page, f := company()
	for path, d := range documents(t, page, f) {
		name := filepath.Join(folder, strings.NewReplacer("/", "_").Replace(path)+".html")
		if err := os.WriteFile(name, d.Body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func packed(t *testing.T, b []byte) int {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Len()
}

func TestFrontIsSmall(t *testing.T) {
	t.Parallel()
	page, f := company()
	for _, tag := range []string{"en", "de"} {
		d, err := Front(board.Make(page, f), Options{}, tag)
		if err != nil {
			t.Fatal(err)
		}
		if n := packed(t, d.Body); n > 14<<10 {
			t.Errorf("the first page in %s takes %d bytes compressed: it does not fit into the first answer of a new connection", tag, n)
		}
		t.Logf("%s: %d bytes, %d compressed", tag, len(d.Body), packed(t, d.Body))
	}
}

func TestCataloguesAreWhole(t *testing.T) {
	t.Parallel()
	read := func(tag string) map[string]any {
		b, err := catalogue.ReadFile("languages/" + tag + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	english := read("en")
	for _, tag := range Languages() {
		other := read(tag)
		for id, text := range english {
			if _, plural := text.(map[string]any); other[id] == nil || plural != (fmt.Sprintf("%T", other[id]) == "map[string]interface {}") {
				t.Errorf("%s: %s is missing or has other forms", tag, id)
			}
		}
		for id := range other {
			if english[id] == nil {
				t.Errorf("%s: nobody says %s", tag, id)
			}
		}
	}
}

var unsaid = regexp.MustCompile(`<no value>|ZgotmplZ|\{\{|\b(head|state|step|news|bar|day|both|known|age|span|page|times|lock|date|subscribe)\.[a-z]{3,}`)

// TestEverythingIsSaid looks for messages that are not in the catalogue, or are not
// filled in.
func TestEverythingIsSaid(t *testing.T) {
	t.Parallel()
	page, f := company()
	for path, d := range documents(t, page, f) {
		for _, line := range strings.Split(string(d.Body), "\n") {
			if bad := unsaid.FindString(line); bad != "" && !strings.Contains(line, "<style>") {
				t.Errorf("%s has %q: %s", path, bad, line)
			}
		}
	}
}

// TestWellFormed parses each page, and looks that ids are there once, that each label
// points at one, and that headings leave no level out.
func TestWellFormed(t *testing.T) {
	t.Parallel()
	page, f := company()
	for path, d := range documents(t, page, f) {
		if !strings.HasPrefix(d.Type, "text/html") {
			continue
		}
		tree, err := html.Parse(bytes.NewReader(d.Body))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		ids, wanted, level := map[string]bool{}, []string{}, 0
		var walk func(*html.Node)
		walk = func(n *html.Node) {
			for _, a := range n.Attr {
				switch a.Key {
				case "id":
					if ids[a.Val] {
						t.Errorf("%s: the id %s is there twice", path, a.Val)
					}
					ids[a.Val] = true
				case "aria-labelledby":
					wanted = append(wanted, a.Val)
				case "style", "onclick":
					t.Errorf("%s: an attribute %s, which the policy forbids", path, a.Key)
				}
			}
			if len(n.Data) == 2 && n.Data[0] == 'h' && n.Data[1] >= '1' && n.Data[1] <= '6' && n.Type == html.ElementNode {
				if now := int(n.Data[1] - '0'); now > level+1 {
					t.Errorf("%s: a heading of level %d follows one of level %d", path, now, level)
				} else {
					level = now
				}
			}
			for c := n.FirstChild; c != nil; c = c.NextSibling {
				walk(c)
			}
		}
		walk(tree)
		for _, id := range wanted {
			if !ids[id] {
				t.Errorf("%s: no id %s", path, id)
			}
		}
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	page, f := company()
	all := documents(t, page, f)
	for path, d := range all {
		for _, part := range strings.Split(string(d.Body), `href="`)[1:] {
			href, _, _ := strings.Cut(part, `"`)
			if _, known := all[href]; strings.HasPrefix(href, "/") && !known && href != "/history.atom" {
				t.Errorf("%s leads to %s, where nothing is", path, href)
			}
		}
	}
}

func TestSentencesOfDays(t *testing.T) {
	t.Parallel()
	page, f := company()
	b := board.Make(page, f)
	for tag, want := range map[string]map[string]string{
		"en": {"[86400]": "22 November 2026: no trouble", "[85560,0,0,840]": "22 November 2026: down 14\u00a0min", "[]": "22 November 2026: nothing is known",
			"[70000,0,0,0,7200,7200]": "22 November 2026: planned work 2\u00a0h, nothing is known of 2\u00a0h", "[80940,5460]": "22 November 2026: slow or unsteady 1\u00a0h 31\u00a0min"},
		"de": {"[86400]": "22. November 2026: keine Störung", "[85560,0,0,840]": "22. November 2026: 14\u00a0min ausgefallen"},
	} {
		p := newPress(b, Options{}, tag)
		for tally, sentence := range want {
			var x board.Tally
			if err := json.Unmarshal([]byte(tally), &x); err != nil {
				t.Fatal(err)
			}
			if got := p.day(board.Day{Date: "2026-11-22", Tally: x}, 0); got != sentence {
				t.Errorf("%s %s: %q, want %q", tag, tally, got, sentence)
			}
		}
		if got := p.day(board.Day{Date: "2026-11-22", Tally: board.Tally{85560, 0, 0, 840}}, 1); tag == "en" && got != "22 November 2026: down 14\u00a0min, in 1 incident" {
			t.Error(got)
		}
	}
}

func TestTheHeadSays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change    func(*board.Facts)
		head, how string
	}{
		{func(f *board.Facts) {}, "Checkout does not work.", "Checked 8\u00a0s ago from 1 place."},
		{func(f *board.Facts) { f.Sheet.Incidents = nil; f.Seen[2].Seen = probe.Up }, "Everything works.", "Checked 8\u00a0s ago from 1 place."},
		{func(f *board.Facts) { f.Seen = nil; f.Sheet.Incidents = nil }, "We do not know how things are right now.", "No check has told us anything yet."},
		{func(f *board.Facts) { f.Now = f.Now.Add(5 * time.Minute); f.Sheet.Incidents = nil }, "We do not know how things are right now.", "We last checked 5\u00a0min ago. How things are now, we do not know."},
		{func(f *board.Facts) { f.Seen[2].Seen = probe.Up; f.Sheet.Incidents[0].Updates = nil }, "We are looking into a problem.", ""},
		{func(f *board.Facts) { f.Sheet.Incidents = nil; f.Seen[1].Seen = probe.Down }, "2 of 8 parts do not work.", ""},
		{func(f *board.Facts) { f.Sheet.Incidents, f.Sheet.Components = nil, nil }, "Nothing is watched here yet.", ""},
		{func(f *board.Facts) {
			for i, from := range []string{"Frankfurt", "London", "New York"} {
				s := f.Seen[2]
				s.From, s.At = from, noon.Add(-time.Duration(i+2)*time.Second)
				f.Seen[2+i] = s
			}
			f.Sheet.Components = f.Sheet.Components[2:3]
		}, "Checkout does not work.", "Checked 4\u00a0s ago from 3 places: Frankfurt, London, New York."},
	} {
		page, f := company()
		c.change(&f)
		p := newPress(board.Make(page, f), Options{}, "en")
		if got := p.head(); got != c.head {
			t.Errorf("%q, want %q", got, c.head)
		}
		if got := p.known(); c.how != "" && got != c.how {
			t.Errorf("%q, want %q", got, c.how)
		}
	}
}

// TestTheTextIsMadeOfSentences reads the line below an incident's title.
func TestTheTextIsMadeOfSentences(t *testing.T) {
	t.Parallel()
	page, f := company()
	for tag, want := range map[string]string{"en": "we know what it is. Began ", "de": ". Begann "} {
		d := Text(board.Make(page, f), Options{}, tag)
		if !strings.Contains(strings.ToLower(string(d.Body)), strings.ToLower(want)) {
			t.Errorf("%s lacks %q:\n%s", tag, want, d.Body)
		}
	}
}

// TestNoEffectIsSaidOnlyWhenItIsKnown opens an incident before anything was seen to fail.
func TestNoEffectIsSaidOnlyWhenItIsKnown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		step  board.Step
		given board.Impact
		want  string
	}{
		"open, nobody knows":     {board.Investigating, "", ""},
		"open, a person said so": {board.Investigating, board.ImpactNone, "No effect"},
		"over":                   {board.Resolved, "", "No effect"},
	} {
		page, f := company()
		p := newPress(board.Make(page, f), Options{}, "en")
		in := board.Incident{ID: "x", Step: c.step, Given: c.given, Impact: board.ImpactNone, StartedAt: noon}
		if got := p.impact(in); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestOtherLanguagesAreSaidSo(t *testing.T) {
	t.Parallel()
	page, f := company()
	d, err := Front(board.Make(page, f), Options{}, "de")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`<html lang="de" dir="ltr">`, "Kartenzahlungen schlagen fehl", "Nur auf English", `lang="en"`, "Checkout funktioniert nicht."} {
		if !strings.Contains(string(d.Body), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestWhatPeopleWriteStaysText(t *testing.T) {
	t.Parallel()
	page, f := company()
	const evil = `<script>alert(1)</script>"onload=x`
	page.Name, page.Contact, page.Colour = evil, evil, "red;}</style><script>"
	f.Sheet.Components[0].Name = board.Text{"": evil}
	f.Sheet.Incidents[0].Title = board.Text{"": evil + strings.Repeat("x", 5000)}
	f.Sheet.Incidents[0].Updates[0].Text = board.Text{"": evil + strings.Repeat("y", 50000)}
	for path, d := range documents(t, page, f) {
		if strings.HasPrefix(d.Type, "text/html") && (bytes.Contains(d.Body, []byte("<script>alert")) || bytes.Contains(d.Body, []byte("</style><script>"))) {
			t.Errorf("%s holds a script that is not ours", path)
		}
		if len(d.Body) > 200<<10 {
			t.Errorf("%s has %d bytes", path, len(d.Body))
		}
	}
}

func TestPolicyNamesTheStyleAndScript(t *testing.T) {
	t.Parallel()
	page, f := company()
	page.Colour = "#7a3b1d"
	d, err := Front(board.Make(page, f), Options{}, "en")
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"style", "script"} {
		_, rest, _ := strings.Cut(string(d.Body), "<"+tag+">")
		body, _, found := strings.Cut(rest, "</"+tag+">")
		if !found || !strings.Contains(d.Policy, Hashed(body)) {
			t.Errorf("the policy does not let the %s through: %s", tag, d.Policy)
		}
	}
}

func TestMonths(t *testing.T) {
	t.Parallel()
	page, f := company()
	f.Sheet.Incidents[1].StartedAt = noon.AddDate(0, -2, 0)
	if got := Months(board.Make(page, f)); !slices.Equal(got, []string{"2026-11", "2026-10", "2026-09"}) {
		t.Errorf("%v", got)
	}
	f.Sheet.Incidents[1].StartedAt = time.Time{}
	if got := Months(board.Make(page, f)); len(got) != monthsShown {
		t.Errorf("%d months", len(got))
	}
}
