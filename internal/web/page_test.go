package web

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"lifeboat/internal/engine"
	"lifeboat/internal/incident"
	"lifeboat/internal/probe"
)

var update = flag.Bool("update", false, "write the golden files anew")

// scene is a state of the world, and the page that shows it.
type scene struct {
	name   string
	set    func(*testing.T, *boat)
	look   func(*sheet) *sheet // from the first page on; nil: the first page itself
	out    bool                // not signed in
	status int                 // 0: 200
}

func unarmed(_ *testing.T, b *boat) { b.set(func(b *boat) { b.unarmed = true }) }

func seen(s probe.Seen) func(*testing.T, *boat) {
	return func(_ *testing.T, b *boat) {
		b.set(func(b *boat) { b.home, b.checks = s, "connection refused" })
	}
}

func declared(t *testing.T, b *boat) { b.do(t, incident.Declare{Noticed: "staff"}) }

func contained(t *testing.T, b *boat) {
	declared(t, b)
	b.wait(7 * time.Second)
	b.pull(t)
	b.wait(3 * time.Minute)
}

func returning(t *testing.T, b *boat) {
	contained(t, b)
	b.do(t, incident.GoBack{Because: "the release was taken back"})
	b.sane(t, 3)
}

func watching(t *testing.T, b *boat) {
	returning(t, b)
	b.sane(t, 1)
}

func reviewing(t *testing.T, b *boat) {
	watching(t, b)
	b.wait(time.Hour)
	b.do(t, incident.WatchOver{})
}

func closed(t *testing.T, b *boat) {
	reviewing(t, b)
	b.do(t, incident.Close{Reason: "it was a rehearsed move"})
}

var scenes = []scene{
	{name: "quiet-up"},
	{name: "quiet-down", set: seen(probe.Down)},
	{name: "quiet-unknown", set: seen(probe.Unknown)},
	{name: "proposed", set: func(t *testing.T, b *boat) {
		seen(probe.Down)(t, b)
		b.do(t, incident.Propose{Why: "The shop does not answer"})
	}},
	{name: "declared", set: declared},
	{name: "applying", set: func(t *testing.T, b *boat) {
		b.set(func(b *boat) { b.slow = true })
		b.pull(t)
	}},
	{name: "unknown", set: func(t *testing.T, b *boat) {
		b.set(func(b *boat) { b.slow = true })
		b.pull(t)
		b.do(t, incident.Outcome{Pull: b.in.Pulls[0].ID, Result: incident.Unclear, Detail: "one name server does not answer"})
	}},
	{name: "contained", set: contained},
	{name: "drifted", set: func(t *testing.T, b *boat) {
		contained(t, b)
		b.do(t, incident.Drifted{Pull: b.in.Pulls[0].ID, Detail: "192.0.2.7 is answered"})
	}},
	{name: "stays", set: func(t *testing.T, b *boat) {
		declared(t, b)
		b.do(t, incident.DecideNoFailover{Reason: "only one page fails"})
	}},
	{name: "return", set: returning},
	{name: "return-held", set: func(t *testing.T, b *boat) {
		returning(t, b)
		b.do(t, incident.Sanity{Check: "front", Verdict: "inconclusive", Detail: "the answer was cut off"})
	}},
	{name: "return-passed", set: func(t *testing.T, b *boat) {
		returning(t, b)
		b.set(func(b *boat) { b.slow = true })
		b.sane(t, 1)
	}},
	{name: "watch", set: watching},
	{name: "review", set: reviewing},
	{name: "closed", set: closed},
	{name: "auto-held", set: func(_ *testing.T, b *boat) { b.set(func(b *boat) { b.autoHeld = true }) }},
	{name: "degraded", set: func(_ *testing.T, b *boat) {
		b.set(func(b *boat) { b.record = engine.RecordView{Degraded: true, Reason: "no space left on the disk"} })
	}},
	{name: "disconnected", set: func(_ *testing.T, b *boat) { b.set(func(b *boat) { b.answer.Connected = false }) }},
	{name: "answer-problem", set: func(_ *testing.T, b *boat) { b.set(func(b *boat) { b.answer.Problem = "its disk is full" }) }},
	{name: "sites", set: func(t *testing.T, b *boat) {
		contained(t, b)
		b.set(func(b *boat) { b.second = true })
	}},
	{name: "incidents-none", look: func(p *sheet) *sheet { return p.follow("Incidents") }},
	{name: "incidents", set: closed, look: func(p *sheet) *sheet { return p.follow("Incidents") }},
	{name: "timeline", set: closed, look: func(p *sheet) *sheet { return p.follow("All of it") }},
	{name: "timeline-changed", set: func(t *testing.T, b *boat) {
		closed(t, b)
		b.set(func(b *boat) { b.events[3].Text = "It was somebody else." })
	}, look: func(p *sheet) *sheet { return p.follow("All of it") }},
	{name: "note", set: declared, look: func(p *sheet) *sheet { return p.follow("Write down what you see") }},
	{name: "go-back", set: contained, look: func(p *sheet) *sheet { return p.follow("Go back") }},
	{name: "done", set: contained, look: func(p *sheet) *sheet {
		return p.follow("Write down what you see").press("Write down what you see", "one page is slow")
	}},
	{name: "refused", set: unarmed, status: http.StatusConflict, look: func(p *sheet) *sheet { return p.press("Show visitors the status page") }},
	{name: "refused-typed", set: unarmed, status: http.StatusConflict, look: func(p *sheet) *sheet {
		return p.press("Show visitors the status page").press("Do it anyway: Show visitors the status page", "ok")
	}},
	{name: "refused-return", set: func(t *testing.T, b *boat) {
		contained(t, b)
		b.set(func(b *boat) { b.ungated = true })
	}, status: http.StatusConflict, look: func(p *sheet) *sheet {
		return p.follow("Go back").press("Go back", "the cable is back")
	}},
	{name: "refused-hard", set: func(t *testing.T, b *boat) {
		declared(t, b)
		seen(probe.Down)(t, b)
	}, status: http.StatusConflict, look: func(p *sheet) *sheet {
		return p.follow("It was a false alarm").press("It was a false alarm", "I looked at the wrong site")
	}},
	{name: "drill-failed", status: http.StatusServiceUnavailable, look: func(p *sheet) *sheet { return p.press("Rehearse") }},
	{name: "no-such-page", status: http.StatusNotFound, look: func(p *sheet) *sheet { return p.b.open("/nowhere") }},
	{name: "no-such-site", status: http.StatusNotFound, look: func(p *sheet) *sheet { return p.b.open("/sites/nowhere") }},
	{name: "sign-in", out: true},
	{name: "sign-in-wrong", out: true, status: http.StatusForbidden, look: func(p *sheet) *sheet { return p.press("Sign in", "lb_wrong") }},
}

// TestGolden shows each state as it is served. What the pages link to and send is
// there, and what a person without a mouse or eyes needs is, too.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, c := range scenes {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBoat()
			if c.set != nil {
				c.set(t, b)
			}
			br := browse(t, b.handler())
			p := br.open("/")
			if !c.out {
				p = br.enter()
			}
			if c.look != nil {
				p = c.look(p)
			}
			if want := max(c.status, http.StatusOK); c.status == 0 && p.status != http.StatusOK || c.status != 0 && p.status != c.status {
				t.Errorf("status %d, want %d", p.status, want)
			}
			golden(t, c.name, p)
			checkPage(t, b, p, c.out)
		})
	}
}

func golden(t *testing.T, name string, p *sheet) {
	t.Helper()
	before, rest, _ := strings.Cut(p.raw, "<style>")
	_, after, _ := strings.Cut(rest, "</style>")
	got := []byte(before + "<style>…</style>" + after)
	file := filepath.Join("testdata", "golden", name+".html")
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what is served now (go test ./internal/web -update, then read the difference):\n%s", file, got)
	}
}

// TestNoGoldenLeftOver keeps files of scenes that are gone from looking like truth.
func TestNoGoldenLeftOver(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/golden/*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".html")
		if !slices.ContainsFunc(scenes, func(s scene) bool { return s.name == name }) {
			t.Errorf("%s belongs to no scene", f)
		}
	}
}

// checkPage holds what is true of every page.
func checkPage(t *testing.T, b *boat, p *sheet, out bool) {
	t.Helper()
	balanced(t, p.raw)
	if n := len(p.all("h1")); n != 1 {
		t.Errorf("%d headings of the first rank", n)
	}
	for _, n := range p.all("title") {
		if textOf(n) == "" {
			t.Error("no title")
		}
	}
	checkQuiet(t, p)
	checkFields(t, p)
	checkForms(t, b, p)
	checkLinks(t, p, out)
}

// balanced fails where a tag is closed that was not opened, or the other way round: a
// browser repairs that, each in its own way.
func balanced(t *testing.T, raw string) {
	t.Helper()
	void := []string{"meta", "link", "input", "br"}
	var open []string
	z := html.NewTokenizer(strings.NewReader(raw))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if !errors.Is(z.Err(), io.EOF) || len(open) > 0 {
				t.Errorf("the page ends within %v: %v", open, z.Err())
			}
			return
		case html.StartTagToken:
			if name, _ := z.TagName(); !slices.Contains(void, string(name)) {
				open = append(open, string(name))
			}
		case html.EndTagToken:
			name, _ := z.TagName()
			if len(open) == 0 || open[len(open)-1] != string(name) {
				t.Errorf("</%s> closes %v", name, open)
				return
			}
			open = open[:len(open)-1]
		}
	}
}

// checkQuiet: nothing runs, and nothing comes from elsewhere.
func checkQuiet(t *testing.T, p *sheet) {
	t.Helper()
	for n := range p.doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if slices.Contains([]string{"script", "img", "iframe", "object", "embed", "base"}, n.Data) {
			t.Errorf("there is a <%s>", n.Data)
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "src" {
				t.Errorf("<%s> has %s=%q", n.Data, a.Key, a.Val)
			}
		}
	}
}

// checkFields: each field has its label, each button its words, each id is there once;
// a page with a field to type in does not reload itself.
func checkFields(t *testing.T, p *sheet) {
	t.Helper()
	ids, labels := map[string]int{}, map[string]bool{}
	for n := range p.doc.Descendants() {
		if id, has := attr(n, "id"); has {
			ids[id]++
		}
		if n.Data == "label" {
			labels[get(n, "for")] = true
		}
	}
	for id, times := range ids {
		if times > 1 {
			t.Errorf("the id %q is there %d times", id, times)
		}
	}
	typing := false
	for _, n := range p.all("input", "textarea", "button") {
		switch {
		case n.Data == "button":
			if textOf(n) == "" {
				t.Error("a button without words")
			}
		case get(n, "type") != "hidden":
			typing = true
			if !labels[get(n, "id")] {
				t.Errorf("the field %q has no label", get(n, "name"))
			}
			if by, has := attr(n, "aria-describedby"); has && ids[by] == 0 {
				t.Errorf("the field %q is described by %q, which is not there", get(n, "name"), by)
			}
		}
	}
	reloads := slices.ContainsFunc(p.all("meta"), func(n *html.Node) bool { return get(n, "http-equiv") == "refresh" })
	if typing && reloads {
		t.Error("a page with a field to type in reloads itself")
	}
}

// checkForms: each form goes to a route that knows what to do.
func checkForms(t *testing.T, b *boat, p *sheet) {
	t.Helper()
	mux := (&server{o: b.options()}).routes()
	for _, f := range p.all("form") {
		action := get(f, "action")
		if get(f, "method") != "post" {
			t.Errorf("the form to %s does not POST", action)
		}
		_, pattern := mux.Handler(httptest.NewRequest(http.MethodPost, action, nil))
		switch pattern {
		case "POST /sign-in", "POST /sign-out":
		case "POST /sites/{site}/{act}":
			parts := strings.Split(action, "/")
			_, known := commandOf(parts[3], form{})
			if parts[2] != "shop" || !known && parts[3] != "drill" && parts[3] != "resume" {
				t.Errorf("nobody knows what %s is", action)
			}
		default:
			t.Errorf("the form to %s has no route: %q", action, pattern)
		}
	}
}

// checkLinks: each link leads to a page.
func checkLinks(t *testing.T, p *sheet, out bool) {
	t.Helper()
	for _, a := range p.all("a") {
		href := get(a, "href")
		if id, here := strings.CutPrefix(href, "#"); here {
			if !slices.ContainsFunc(within(p.doc, "main", "li"), func(n *html.Node) bool { return get(n, "id") == id }) {
				t.Errorf("%s leads nowhere", href)
			}
			continue
		}
		u, err := url.Parse(href)
		if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, "/") {
			t.Errorf("%q leads outside: %v", href, err)
			continue
		}
		got := p.b.open(href)
		if got.status != http.StatusOK || !out && got.url.Path != u.Path {
			t.Errorf("%s leads to %d at %s", href, got.status, got.url)
		}
		if ask := u.Query().Get("ask"); ask != "" && len(got.all("textarea")) == 0 {
			t.Errorf("%s opens no form", href)
		}
	}
}

// TestStyleIsTheOneAllowed: the policy names the hash of the style as it is served.
func TestStyleIsTheOneAllowed(t *testing.T) {
	t.Parallel()
	b := newBoat()
	br := browse(t, b.handler())
	for _, p := range []*sheet{br.open("/sign-in"), br.enter(), br.open("/nowhere")} {
		_, rest, _ := strings.Cut(p.raw, "<style>")
		served, _, found := strings.Cut(rest, "</style>")
		policy := p.header.Get("Content-Security-Policy")
		if !found || len(served) < 1000 || !strings.Contains(policy, "style-src 'sha256-"+hash(served)+"';") {
			t.Errorf("%s: the style is not the one of the policy %q", p.url, policy)
		}
		for _, part := range []string{"default-src 'none'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: the policy lacks %q", p.url, part)
			}
		}
		for key, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"} {
			if got := p.header.Get(key); got != want {
				t.Errorf("%s: %s is %q", p.url, key, got)
			}
		}
	}
}

const hostile = `"'></textarea></title><script>alert(1)</script><img src=x onerror=alert(2)>{{.}}`

// TestHostileText: what people and machines wrote is shown, and does nothing.
func TestHostileText(t *testing.T) {
	t.Parallel()
	b := newBoat()
	b.set(func(b *boat) {
		b.title, b.lever, b.unarmed, b.checks, b.home = hostile, "a&ask=cancel#"+hostile, true, hostile, probe.Down
		b.record = engine.RecordView{Degraded: true, Reason: hostile}
	})
	br := browse(t, b.handler())
	first := br.enter()
	refused := first.press("Show visitors the status page")
	pages := []*sheet{first, refused.want(http.StatusConflict)}
	contained := refused.press("Do it anyway: Show visitors the status page", hostile).want(http.StatusOK, hostile)
	pages = append(pages, contained)
	pages = append(pages, contained.follow("Write down what you see").press("Write down what you see", hostile).want(http.StatusOK, "Ada: "+hostile))
	pages = append(pages, br.open("/").follow("All of it").want(http.StatusOK, hostile), br.open("/incidents").want(http.StatusOK, hostile))
	pages = append(pages, br.open("/sites/shop?ask="+url.QueryEscape(hostile)+"&lever="+url.QueryEscape(hostile)), br.open("/?m="+url.QueryEscape(hostile)))
	pages = append(pages, br.open("/sites/"+url.PathEscape(hostile)).want(http.StatusNotFound), br.open("/incidents/"+url.PathEscape(hostile)).want(http.StatusNotFound))
	b.set(func(b *boat) { b.second = true })
	pages = append(pages, br.open("/").want(http.StatusOK, hostile))
	form := contained.follow("Write down what you see")
	b.wait(absoluteLife + time.Second)
	pages = append(pages, form.press("Write down what you see", hostile).want(http.StatusForbidden, hostile))
	for _, p := range pages {
		checkQuiet(t, p)
		balanced(t, p.raw)
	}
}

func TestAge(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0.0 s", 250 * time.Millisecond: "0.2 s", 119 * time.Second: "119 s", 2 * time.Minute: "2 min", 3 * time.Hour: "3 h", 72 * time.Hour: "3 days",
	} {
		if got := age(d); got != want {
			t.Errorf("age(%s) = %q, want %q", d, got, want)
		}
	}
}
