package web

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

var update = flag.Bool("update", false, "write the golden files anew")

// kept are the scenes whose pages are kept as golden files: the moments of the loop.
var kept = []string{
	"quiet-up", "quiet-down", "quiet-parked", "declared", "answered", "answered-one-thing", "applying", "unknown", "contained", "not-safe", "stays", "drifted", "diagnose", "stuck", "confirm", "diagnosed", "touch", "thrash",
	"fix", "fix-asked", "fix-waits", "fix-alone", "measuring", "no-effect", "harm", "interrupted", "worked", "return", "return-held", "return-stage", "watch", "review-again", "review", "accept", "drill", "stale", "refused-typed", "viewer", "sign-in",
}

// TestScenes shows each state as it is served. What the pages link to and send is
// there, and what a person without a mouse or eyes needs is, too.
func TestScenes(t *testing.T) {
	t.Parallel()
	for _, c := range scenes {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := c.play(t)
			checkPage(t, p.page)
			if !strings.HasPrefix(c.name, "write-up") {
				checkWeight(t, p.page)
			}
			if slices.Contains(kept, c.name) {
				golden(t, c.name, p.page)
			}
		})
	}
}

var (
	keys   = regexp.MustCompile(`name="key" value="[0-9a-f]+"`)
	styles = regexp.MustCompile(`(?s)<(style|script)>.*?</(style|script)>`)
)

func golden(t *testing.T, name string, p *sheet) {
	t.Helper()
	got := keys.ReplaceAll(styles.ReplaceAll([]byte(p.raw), []byte("<$1>…</$1>")), []byte(`name="key" value="…"`))
	place := filepath.Join("testdata", "golden", name+".html")
	if *update {
		must(t, os.WriteFile(place, got, 0o600))
	}
	want, err := os.ReadFile(place)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what is served now (go test ./internal/web -update, then read the difference):\n%s", place, got)
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
		if !slices.Contains(kept, name) || !slices.ContainsFunc(scenes, func(s scene) bool { return s.name == name }) {
			t.Errorf("%s belongs to no scene", f)
		}
	}
}

// maxWeight is what a page with all its style may weigh on the wire, compressed.
const maxWeight = 14 << 10

func checkWeight(t *testing.T, p *sheet) {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := io.WriteString(z, p.raw)
	must(t, errors.Join(err, z.Close()))
	if b.Len() > maxWeight {
		t.Errorf("%s weighs %d bytes compressed, more than %d", p.url, b.Len(), maxWeight)
	}
}

// checkPage holds what is true of every page.
func checkPage(t *testing.T, p *sheet) {
	t.Helper()
	balanced(t, p.raw)
	heads := 0
	for _, n := range p.all("h1") {
		if !inside(n, "article") { // a write-up brings its own, which is not shown
			heads++
		}
	}
	if heads != 1 {
		t.Errorf("%d headings of the first rank", heads)
	}
	for _, n := range p.all("title") {
		if textOf(n) == "" {
			t.Error("no title")
		}
	}
	if line := command.FindString(notHere.Replace(p.text())); line != "" && p.url.Path != "/card" { // which is for paper
		t.Errorf("%s names a command of a terminal: %q", p.url, line)
	}
	checkQuiet(t, p)
	checkFields(t, p)
	checkForms(t, p)
	checkLinks(t, p)
}

func inside(n *html.Node, tag string) bool {
	for a := range n.Ancestors() {
		if a.Data == tag {
			return true
		}
	}
	return false
}

// balanced fails where a tag is closed that was not opened, or the other way round: a
// browser repairs that, each in its own way.
func balanced(t *testing.T, raw string) {
	t.Helper()
	void := []string{"meta", "link", "input", "br", "img"}
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
			name, _ := z.TagName()
			if nested := string(name); slices.Contains([]string{"form", "p"}, nested) && slices.Contains(open, nested) {
				t.Errorf("<%s> within <%s>", nested, nested)
			}
			if !slices.Contains(void, string(name)) {
				open = append(open, string(name))
			}
			if slices.Contains([]string{"div", "ul", "dl", "section", "form", "details", "h2"}, string(name)) && slices.Contains(open, "p") {
				t.Errorf("<%s> within <p>", name)
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

// checkQuiet: nothing runs but our own script, and nothing comes from elsewhere.
func checkQuiet(t *testing.T, p *sheet) {
	t.Helper()
	for n := range p.doc.Descendants() {
		if n.Type != html.ElementNode || n.Data == "iframe" && strings.HasPrefix(get(n, "src"), previewPath) && get(n, "sandbox") == "allow-same-origin" {
			continue // a page of ours that runs nothing
		}
		if n.Data == "script" && (len(n.Attr) != 0 || n.FirstChild == nil || n.FirstChild.Data != script && n.FirstChild.Data != signing) {
			t.Errorf("there is a <script> that is not ours")
		}
		if slices.Contains([]string{"iframe", "object", "embed", "base"}, n.Data) {
			t.Errorf("there is a <%s>", n.Data)
		}
		for _, a := range n.Attr {
			ours := n.Data == "img" && (strings.HasPrefix(a.Val, "/incidents/") && strings.HasSuffix(a.Val, "/image") || strings.HasPrefix(a.Val, "data:image/png;base64,"))
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "src" && !ours {
				t.Errorf("<%s> has %s=%q", n.Data, a.Key, a.Val)
			}
		}
	}
}

// checkFields: each field has its label, each button its words, each id is there once;
// what describes something is there; a page with a field to type in does not reload
// itself.
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
		if times > 1 || id == "" {
			t.Errorf("the id %q is there %d times", id, times)
		}
	}
	typing := false
	for n := range p.doc.Descendants() {
		if by, has := attr(n, "aria-describedby"); has && ids[by] == 0 {
			t.Errorf("<%s> %q is described by %q, which is not there", n.Data, get(n, "name"), by)
		}
		switch n.Data {
		case "button":
			if textOf(n) == "" {
				t.Error("a button without words")
			}
			if get(n, "aria-disabled") == "true" && get(n, "type") != "button" {
				t.Errorf("the button %q can't be pressed and sends its form all the same", textOf(n))
			}
		case "input", "textarea", "select":
			if get(n, "type") == "hidden" {
				continue
			}
			typing = true
			if !labels[get(n, "id")] {
				t.Errorf("the field %q has no label", get(n, "name"))
			}
		}
	}
	reloads := slices.ContainsFunc(p.all("meta"), func(n *html.Node) bool { return get(n, "http-equiv") == "refresh" })
	if typing && reloads {
		t.Error("a page with a field to type in reloads itself")
	}
}

// checkForms: each form goes to a route that knows what to do, and acts once.
func checkForms(t *testing.T, p *sheet) {
	t.Helper()
	mux := newServer(Options{Now: time.Now}).routes()
	for _, f := range p.all("form") {
		action := get(f, "action")
		if get(f, "role") == "search" { // it only looks
			continue
		}
		if get(f, "method") != "post" {
			t.Errorf("the form to %s does not POST", action)
		}
		u, err := url.Parse(action)
		must(t, err)
		_, pattern := mux.Handler(httptest.NewRequest(http.MethodPost, u.Path, nil))
		switch pattern {
		case "POST /language", "POST /sign-in", "POST /sign-in/name", "POST /sign-out", "POST /account/password", "POST /account/leave-all", "POST /account/codes", "POST /account/app/off", "POST /account/passkey/off",
			"POST /account/prove", "POST /account/app", "POST /account/passkey", "POST /account/company", "POST /account/company/off", "POST /sign-in/code", "POST /sign-in/passkey", "POST /welcome":
		case "POST /sites/{site}/{act}", "POST /incidents/{id}/{act}", "POST /lifeboat/{act}":
			parts := strings.Split(u.Path, "/")
			if _, known := acts[parts[len(parts)-1]]; !known {
				t.Errorf("nobody knows what %s is", action)
			}
			if !p.hasField(f, "key") {
				t.Errorf("the form to %s acts as often as it is sent", action)
			}
		default:
			t.Errorf("the form to %s has no route: %q", action, pattern)
		}
	}
}

// checkLinks: each link leads to a page.
func checkLinks(t *testing.T, p *sheet) {
	t.Helper()
	seen := map[string]bool{}
	for _, a := range p.all("a") {
		href, has := attr(a, "href")
		if !has {
			continue
		}
		if textOf(a) == "" && get(a, "aria-label") == "" {
			t.Errorf("the link to %s has no words", href)
		}
		if id, here := strings.CutPrefix(href, "#"); here {
			if !strings.Contains(p.raw, ` id="`+id+`"`) {
				t.Errorf("%s leads nowhere", href)
			}
			continue
		}
		if strings.HasPrefix(href, "tel:") || seen[href] {
			continue
		}
		seen[href] = true
		u, err := url.Parse(href)
		if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, "/") {
			t.Errorf("%q leads outside: %v", href, err)
			continue
		}
		got := p.b.open(href)
		if got.status != http.StatusOK || got.url.Path != u.Path && got.url.Path != "/sign-in" {
			t.Errorf("%s leads to %d at %s", href, got.status, got.url)
		}
	}
}

// TestStyleIsTheOneAllowed: the policy names the hash of the style as it is served.
func TestStyleIsTheOneAllowed(t *testing.T) {
	t.Parallel()
	b := launch(t)
	br := browse(t, b.handler())
	b.do(incidentDeclared)
	for _, p := range []*sheet{br.open("/sign-in"), br.enter(b), br.open("/nowhere"), br.open("/incidents/" + b.in().ID + "/write-up")} {
		_, rest, _ := strings.Cut(p.raw, "<style>")
		served, _, found := strings.Cut(rest, "</style>")
		policy := p.header.Get("Content-Security-Policy")
		if !found || len(served) < 1000 || !strings.Contains(policy, "'sha256-"+hash(served)+"'") {
			t.Errorf("%s: the style is not one of the policy %q", p.url, policy)
		}
		for _, part := range []string{"default-src 'none'", "img-src 'self' data:", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: the policy lacks %q", p.url, part)
			}
		}
		for key, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin", "Cache-Control": "no-store"} {
			if got := p.header.Get(key); got != want {
				t.Errorf("%s: %s is %q", p.url, key, got)
			}
		}
	}
}

func TestSpell(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 250 * time.Millisecond: "250 ms", 2500 * time.Millisecond: "2.5 s", 119 * time.Second: "119 s", 2 * time.Minute: "2 min", 20 * time.Minute: "20 min",
		78 * time.Minute: "78 min", time.Hour: "1 h", 3*time.Hour + 12*time.Minute: "3 h 12 min", 72 * time.Hour: "3 days",
	} {
		if got := plainSpace(spell(d)); got != want {
			t.Errorf("spell(%s) = %q, want %q", d, got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"": 0, "5": 5 * time.Minute, "5 min": 5 * time.Minute, "5\u00a0min": 5 * time.Minute, "90s": 90 * time.Second, "90 s": 90 * time.Second, "1h": time.Hour, "1,5 h": 90 * time.Minute, "500 ms": 500 * time.Millisecond,
	} {
		if got, err := span("x", text, time.Minute); err != nil || got != want {
			t.Errorf("span(%q) = %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"soon", "5 parsecs", "--", strings.Repeat("9", 400)} {
		if got, err := span("x", text, time.Minute); err == nil {
			t.Errorf("span(%q) = %s", text, got)
		}
	}
}

func FuzzSpan(f *testing.F) {
	for _, seed := range []string{"", "5", "5 min", "1h30m", "-3s", "1e9h", "９分"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := span("x", text, time.Minute)
		if err != nil && err.Error() == "" || err != nil && d != 0 {
			t.Errorf("span(%q) = %s, %v", text, d, err)
		}
	})
}

// notHere are the two lines that a page owes to a terminal: where the page itself can't
// help any more.
var notHere = strings.NewReplacer("lifeboat answer pull LEVER", "", "Commands still work: lifeboat status", "")
