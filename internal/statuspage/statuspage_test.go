package statuspage

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"lifeboat/internal/probe"
)

var update = flag.Bool("update", false, "write the golden files anew")

var now = time.Date(2026, 3, 12, 2, 35, 20, 0, time.UTC)

func checksAt(place string, ago time.Duration, seen ...probe.Seen) []Seen {
	names := []string{"Front page", "Search", "Checkout"}
	var list []Seen
	for i, s := range seen {
		list = append(list, Seen{Place: place, Check: names[i], Seen: s, LastAt: now.Add(-ago), Every: 5 * time.Second})
	}
	return list
}

func base(mode Mode) Page {
	return Page{
		Mode: mode, Site: "shop", Title: "Example Shop", Names: []string{"shop.example.com", "www.shop.example.com"},
		Ordered: "main", Home: "main", Now: now, Contact: "hello@example.com",
	}
}

// pages are the pages whose every byte is looked at in testdata.
func pages() map[string]Page {
	crisis := base(Crisis)
	crisis.Ordered, crisis.Since = "standby", now.Add(-28*time.Minute)
	crisis.IncidentID, crisis.IncidentTitle = "01JP4K6Z7Q9V", "Orders can't be placed"
	crisis.Message = "Orders that you have placed are safe, and will be sent as promised.\n\nWe write here again at 03:00."
	crisis.Seen = append(checksAt("main", 8*time.Second, probe.Up, probe.Down, probe.Down), checksAt("standby", time.Second, probe.Up)...)

	least := base(Crisis)
	least.Title, least.Contact, least.Ordered = "", "", "standby"

	answers := crisis
	answers.Seen = checksAt("main", 3*time.Second, probe.Up, probe.Up)
	stale := crisis
	stale.Seen = checksAt("main", 3*time.Minute, probe.Down, probe.Up)

	back := base(Returned)
	back.IncidentID, back.Since, back.Seen = crisis.IncidentID, now.Add(-2*time.Minute), checksAt("main", 4*time.Second, probe.Up, probe.Up)
	stray := base(Returned)
	stray.Seen = checksAt("main", 4*time.Second, probe.Up)
	strayDown := base(Returned)
	strayDown.Seen = checksAt("main", 4*time.Second, probe.Up, probe.Down)

	quiet := base(Status)
	quiet.Seen = checksAt("main", 2*time.Second, probe.Up, probe.Up, probe.Up)
	broken := base(Status)
	broken.Seen = checksAt("main", 2*time.Second, probe.Up, probe.Down, probe.Unknown)
	relapse := broken
	relapse.IncidentID, relapse.Message = crisis.IncidentID, "Example Shop works again."
	unknown := base(Status)
	closed := crisis
	closed.Mode = Status
	away := quiet
	away.Ordered, away.Since, away.Seen = "backup", now.Add(-26*time.Hour), checksAt("backup", 5*time.Second, probe.Up, probe.Up)
	away.IncidentID = crisis.IncidentID
	return map[string]Page{
		"crisis": crisis, "crisis-least": least, "crisis-answers": answers, "crisis-stale": stale,
		"returned": back, "returned-stray": stray, "returned-down": strayDown,
		"status-quiet": quiet, "status-broken": broken, "status-relapse": relapse, "status-unknown": unknown, "status-closed": closed, "status-away": away,
	}
}

func render(t testing.TB, p Page) Rendered {
	t.Helper()
	r, err := Render(p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, p := range pages() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := render(t, p)
			golden(t, name+".html", r.HTML)
			golden(t, name+".json", append(bytes.Clone(r.Problem), r.JSON...))
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (write it with -update)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (look, then -update):\n%s", name, diff)
	}
}

// The first page fits into the first flight of a connection, whatever is in it.
func TestSmall(t *testing.T) {
	t.Parallel()
	p := pages()["crisis"]
	p.Title = strings.Repeat("Wörter und mehr ", 100)
	p.IncidentTitle = p.Title
	for i := range 4000 {
		p.Message += string(rune('a'+i*i%26)) + string(rune('0'+i%7))
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(render(t, p).HTML)
	w.Close()
	if b.Len() > 14<<10 {
		t.Errorf("%d bytes compressed", b.Len())
	}
}

func TestNothingForeign(t *testing.T) {
	t.Parallel()
	for name, p := range pages() {
		page := string(render(t, p).HTML)
		if strings.Count(page, "<script>") != strings.Count(page, "<noscript><meta") || strings.Contains(page, "<script ") {
			t.Errorf("%s: a script is only where the page asks again, and inline", name)
		}
		for _, no := range []string{"src=", "@import", "url(", "style=", "on" + "click", "lifeboat", "//"} {
			if strings.Contains(strings.ToLower(page), no) {
				t.Errorf("%s holds %q", name, no)
			}
		}
	}
}

func TestPolicyNamesStyleAndScript(t *testing.T) {
	t.Parallel()
	for _, element := range []string{"style", "script"} {
		_, rest, _ := strings.Cut(string(render(t, pages()["crisis"]).HTML), "<"+element+">")
		inside, _, _ := strings.Cut(rest, "</"+element+">")
		sum := sha256.Sum256([]byte(inside))
		if want := element + "-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(Policy(), want) || inside == "" {
			t.Errorf("policy %q lacks %q", Policy(), want)
		}
	}
}

// The beacon has other news when the page says something new, and only then.
func TestComeback(t *testing.T) {
	t.Parallel()
	p := pages()["crisis"]
	was := string(Comeback(p))
	p.Now = p.Now.Add(time.Minute)
	if now := string(Comeback(p)); now != was || !strings.Contains(now, `"standby":1`) || !strings.Contains(now, `"closed"`) {
		t.Errorf("%s, then %s", was, now)
	}
	p.Message += "More."
	if string(Comeback(p)) == was {
		t.Error("the page says something new, and its news are the same")
	}
	p.Mode = Returned
	if !strings.Contains(string(Comeback(p)), `"moved"`) {
		t.Error("a late-comer is told that the site is closed")
	}
}

func TestWordsByKnowledge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ has, lacks []string }{
		"crisis": {[]string{"We know that something is wrong with Example Shop. We have put this page up while we look into it.",
			"Orders can&#39;t be placed", "Checked 8\u00a0s ago", `<time datetime="2026-03-12T02:07:20Z">02:07`, "does not answer as it should",
			`<meta http-equiv="refresh" content="30">`, "mailto:hello@example.com"}, []string{"do not know"}},
		"crisis-least":   {[]string{"shop.example.com is taking a break", "no check has told us anything yet"}, []string{"ago", "In a hurry", "reference", "since", "It is about", "latest news"}},
		"crisis-answers": {[]string{"answers our checks. It stays closed until somebody here has made sure"}, []string{"is open", "is back"}},
		"crisis-stale":   {[]string{"We do not know", "We last checked 3\u00a0min ago"}, []string{"does not answer", "Checked"}},
		"returned":       {[]string{"Example Shop is back.", "still remembers", "tries again by itself every 30"}, []string{"is wrong"}},
		"returned-stray": {[]string{"Example Shop is open."}, []string{"is back", "is wrong"}},
		"returned-down":  {[]string{"Example Shop is not here.", "does not answer as it should"}, []string{"is back", "is open"}},
		"status-quiet":   {[]string{"Example Shop works as it should.", "All 3 of our checks pass."}, []string{"refresh", "noindex", "What we know"}},
		"status-broken":  {[]string{"does not work as it should", "Does not work", "We do not know"}, []string{"looking into"}},
		"status-relapse": {[]string{"does not work as it should", "may be older than what our checks see now", "What we wrote last", "looking into it"}, []string{"The latest news"}},
		"status-unknown": {[]string{"We do not know how Example Shop is doing.", "No check has told us anything yet."}, []string{"What we check", "works as it should"}},
		"status-closed":  {[]string{"is taking a break", "Visitors are given the stand-in page, since"}, []string{"put this page up"}},
		"status-away":    {[]string{"11 March 2026, 00:35", "a second Example Shop", "Example Shop is open."}, nil},
	} {
		page := string(render(t, pages()[name]).HTML)
		for _, want := range c.has {
			if !strings.Contains(page, want) {
				t.Errorf("%s lacks %q", name, want)
			}
		}
		for _, no := range c.lacks {
			if strings.Contains(body(page), no) || no == "refresh" && strings.Contains(page, no) || no == "noindex" && strings.Contains(page, no) {
				t.Errorf("%s holds %q", name, no)
			}
		}
	}
}

func body(page string) string { _, b, _ := strings.Cut(page, "<body>"); return b }

func TestJudge(t *testing.T) {
	t.Parallel()
	at := func(s probe.Seen, ago, every time.Duration) Seen {
		return Seen{Place: "main", Check: "c", Seen: s, LastAt: now.Add(-ago), Every: every}
	}
	for name, c := range map[string]struct {
		seen []Seen
		want probe.Seen
		age  time.Duration // of what is told; -1: none
	}{
		"none":               {nil, probe.Unknown, -1},
		"never asked":        {[]Seen{{Place: "main", Seen: probe.Up}}, probe.Unknown, -1},
		"up":                 {[]Seen{at(probe.Up, time.Second, 0), at(probe.Up, 9*time.Second, 0)}, probe.Up, 9 * time.Second},
		"one down":           {[]Seen{at(probe.Up, time.Second, 0), at(probe.Down, 9*time.Second, 0)}, probe.Down, 9 * time.Second},
		"one unknown":        {[]Seen{at(probe.Up, time.Second, 0), at(probe.Unknown, 9*time.Second, 0)}, probe.Unknown, time.Second},
		"at the limit":       {[]Seen{at(probe.Up, time.Minute, 0)}, probe.Up, time.Minute},
		"too old":            {[]Seen{at(probe.Up, time.Minute+1, 0)}, probe.Unknown, time.Minute + 1},
		"old down":           {[]Seen{at(probe.Down, time.Hour, 0)}, probe.Unknown, time.Hour},
		"one too old":        {[]Seen{at(probe.Up, time.Second, 0), at(probe.Up, time.Hour, 0)}, probe.Unknown, time.Second},
		"asked seldom":       {[]Seen{at(probe.Up, 5*time.Minute, 2*time.Minute)}, probe.Up, 5 * time.Minute},
		"clock set back":     {[]Seen{at(probe.Up, -time.Hour, 0)}, probe.Unknown, -time.Hour},
		"a little ahead":     {[]Seen{at(probe.Up, -time.Second, 0)}, probe.Up, -time.Second},
		"word nobody knows":  {[]Seen{at("sideways", time.Second, 0)}, probe.Unknown, time.Second},
		"elsewhere down":     {[]Seen{at(probe.Up, time.Second, 0), {Place: "backup", Seen: probe.Down, LastAt: now}}, probe.Up, time.Second},
		"only elsewhere":     {[]Seen{{Place: "backup", Seen: probe.Up, LastAt: now}}, probe.Unknown, -1},
		"down beats unknown": {[]Seen{at(probe.Down, time.Second, 0), at(probe.Unknown, 2*time.Second, 0)}, probe.Down, time.Second},
	} {
		p := base(Crisis)
		p.Ordered, p.Seen = "standby", c.seen
		k := p.judge()
		age := time.Duration(-1)
		if !k.at.IsZero() {
			age = now.Sub(k.at)
		}
		if k.seen != c.want || age != c.age {
			t.Errorf("%s: %s from %v ago, want %s from %v ago", name, k.seen, age, c.want, c.age)
		}
	}
}

func TestAge(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "just now", 0: "just now", 8900 * time.Millisecond: "8 s ago", 119 * time.Second: "119 s ago",
		2 * time.Minute: "2 min ago", 119 * time.Minute: "119 min ago", 47 * time.Hour: "47 h ago", 49 * time.Hour: "2 days ago",
	} {
		if got := strings.ReplaceAll(Age(d), "\u00a0", " "); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Page){
		"no mode":    func(p *Page) { p.Mode = "" },
		"no time":    func(p *Page) { p.Now = time.Time{} },
		"no name":    func(p *Page) { p.Site, p.Title, p.Names = "", "", nil },
		"other mode": func(p *Page) { p.Mode = "party" },
	} {
		p := base(Crisis)
		change(&p)
		if _, err := Render(p); err == nil {
			t.Errorf("%s: rendered", name)
		}
	}
}

func TestDocuments(t *testing.T) {
	t.Parallel()
	var doc map[string]any
	decode(t, render(t, pages()["crisis"]).Problem, &doc)
	for name, want := range map[string]any{
		"type": TypeClosed, "title": "Service Unavailable", "status": 503.0, "incident": "01JP4K6Z7Q9V", "retry_after": 30.0,
		"since": "2026-03-12T02:07:20Z", "checked_at": "2026-03-12T02:35:12Z",
	} {
		if doc[name] != want {
			t.Errorf("problem %s: %v, want %v", name, doc[name], want)
		}
	}
	doc = nil
	decode(t, render(t, pages()["status-unknown"]).JSON, &doc)
	if checks, ok := doc["seen"].(map[string]any)["checks"].([]any); !ok || len(checks) != 0 {
		t.Errorf("checks %v, want an empty list", doc["seen"])
	}
}

func decode(t *testing.T, b []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
}

var drawText = rapid.OneOf(rapid.Just(""), rapid.SampledFrom([]string{
	"Example Shop", " ", "\n\n", "<script>alert(1)</script>", `" onload="x`, "\x00\xff", "a\u2028b", "{{.}}", "javascript:alert(1)",
}), rapid.String())

func drawPage(t *rapid.T) Page {
	times := rapid.SampledFrom([]time.Time{{}, now, now.Add(-8 * time.Second), now.Add(-time.Hour), now.Add(-50 * 24 * time.Hour), now.Add(time.Hour)})
	place := rapid.SampledFrom([]string{"", "main", "backup", "standby"})
	p := Page{
		Mode: rapid.SampledFrom([]Mode{Crisis, Returned, Status}).Draw(t, "mode"), Site: "shop",
		Title: drawText.Draw(t, "title"), Ordered: place.Draw(t, "ordered"), Home: place.Draw(t, "home"), Since: times.Draw(t, "since"),
		IncidentID: drawText.Draw(t, "id"), IncidentTitle: drawText.Draw(t, "incident"), Message: drawText.Draw(t, "message"),
		Contact: drawText.Draw(t, "contact"), Now: now,
	}
	for range rapid.IntRange(0, 3).Draw(t, "checks") {
		p.Seen = append(p.Seen, Seen{Place: place.Draw(t, "place"), Check: drawText.Draw(t, "check"),
			Seen: rapid.SampledFrom([]probe.Seen{probe.Up, probe.Down, probe.Unknown, ""}).Draw(t, "seen"), LastAt: times.Draw(t, "at")})
	}
	return p
}

var hollow = regexp.MustCompile(`no value|%!|0001|datetime=""| ,|, since \.|, at \.|, at <|-\d+[\x{00a0} ](s|min|h|days) ago`)

// No sentence without its fact, no element that the template did not write,
// whatever people put into titles and messages.
func TestNoHollowSentence(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := drawPage(t)
		clean := p
		clean.Title, clean.IncidentTitle, clean.Message, clean.Contact, clean.IncidentID = "Shop", "", "", "", ""
		for i := range clean.Seen {
			clean.Seen[i].Check = "c"
		}
		r, err := Render(clean)
		if err != nil {
			t.Fatal(err)
		}
		if found := hollow.FindString(strings.ReplaceAll(body(string(r.HTML)), ", at <time datetime=\"2", "")); found != "" {
			t.Fatalf("hollow sentence %q in\n%s", found, body(string(r.HTML)))
		}
	})
}

func TestNothingBreaksOut(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, tag := range strings.Fields("html head meta link title style body main p i h1 b span time h2 div dl dt dd ul li svg path em br footer a noscript script") {
		known[tag] = true
	}
	rapid.Check(t, func(t *rapid.T) {
		r, err := Render(drawPage(t))
		if err != nil {
			t.Fatal(err)
		}
		z := html.NewTokenizer(bytes.NewReader(r.HTML))
		for z.Next() != html.ErrorToken {
			tok := z.Token()
			if tok.Type == html.StartTagToken && !known[tok.Data] {
				t.Fatalf("element %s", tok.Data)
			}
			for _, a := range tok.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "href" && strings.HasPrefix(a.Val, "javascript") || a.Key == "datetime" && a.Val == "" {
					t.Fatalf("attribute %s=%q", a.Key, a.Val)
				}
			}
		}
		var doc any
		if err := json.Unmarshal(append(r.Problem, r.JSON...), &doc); err != nil || hasNull(doc) {
			t.Fatalf("%v, or a null, in %s%s", err, r.Problem, r.JSON)
		}
	})
}

func hasNull(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), hasNull)
	case []any:
		return slices.ContainsFunc(v, hasNull)
	}
	return v == nil
}

// Every dt has a dd with text, every heading something below it.
func TestNothingEmpty(t *testing.T) {
	t.Parallel()
	empty := regexp.MustCompile(`<(p|dd|dt|h1|h2|li|em|span|b|dl|ul|title)( [^>]*)?>\s*</`)
	for name, p := range pages() {
		if found := empty.FindString(string(render(t, p).HTML)); found != "" {
			t.Errorf("%s has an empty element %q", name, found)
		}
	}
}

func BenchmarkRender(b *testing.B) {
	p := pages()["crisis"]
	b.ReportAllocs()
	for b.Loop() {
		render(b, p)
	}
}
