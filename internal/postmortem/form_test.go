package postmortem

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/html"
)

// failer is a *testing.T or a *rapid.T.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// mustHoldTogether holds that no text breaks any form of the document.
func mustHoldTogether(t failer, d Document) {
	t.Helper()
	mustBeMarkdown(t, d)
	for _, o := range []HTMLOptions{{}, {LinkBase: "/incidents/x/timeline"}, {LinkBase: "javascript:alert(1)//"}} {
		page, err := HTML(d, o)
		if err != nil {
			t.Fatalf("write the page: %v", err)
		}
		fragment, err := Fragment(d, o)
		if err != nil {
			t.Fatalf("write the fragment: %v", err)
		}
		mustBeHTML(t, d, page)
		if !bytes.Contains(page, []byte(fragment)) {
			t.Fatalf("the fragment is not the article of the page")
		}
	}
	b, err := JSON(d)
	if err != nil {
		t.Fatalf("write JSON: %v", err)
	}
	var back Document
	if err := json.Unmarshal(b, &back); err != nil || back.Schema != Schema || len(back.Sections) != len(d.Sections) {
		t.Fatalf("JSON does not come back: %v", err)
	}
}

var (
	referencePattern = regexp.MustCompile(` \[\[[0-9, –…]+\]\]\(#event-\d+\)`)
	anchorPattern    = regexp.MustCompile(`<a id="event-\d+"></a>`)
	lineStart        = regexp.MustCompile(`^(# |## |### |- |> |>$|_|$|[^\s#>\-+=\x60~<0-9]|\\[-+=#>\x60~<|*_\[\]&$\\]|\d)`)
	ordered          = regexp.MustCompile(`^\d{1,9}[.)]( |$)`)
)

// mustBeMarkdown holds, line by line, that the only marks are ours: what is left when
// they are taken away has no character that means anything.
func mustBeMarkdown(t failer, d Document) {
	t.Helper()
	text := string(Markdown(d))
	if !utf8.ValidString(text) || strings.ContainsAny(text, "\r\x00\u2028\u202e") {
		t.Fatalf("Markdown holds characters that hide")
	}
	headings := 0
	for i, line := range strings.Split(text, "\n") {
		switch {
		case !lineStart.MatchString(line), ordered.MatchString(line):
			t.Fatalf("line %d begins a structure of its own: %.120q", i+1, line)
		case strings.HasPrefix(line, "#"):
			headings++
		}
		rest := anchorPattern.ReplaceAllString(referencePattern.ReplaceAllString(line, ""), "")
		rest = strings.TrimSuffix(strings.TrimLeft(rest, "#->"), "\\") // ours: the line's kind, and a hard break
		if bare := bareMark(rest); bare != "" {
			t.Fatalf("line %d holds %q, which means something: %.200q", i+1, bare, line)
		}
	}
	want := 1 + len(d.Sections)
	for _, s := range d.Sections {
		for _, b := range s.Blocks {
			if b.Heading != "" {
				want++
			}
		}
	}
	if headings != want {
		t.Fatalf("there are %d headings, and %d were written", headings, want)
	}
}

// bareMark gives a character that has a meaning and no backslash before it. Two pairs
// are ours: the bold of a term or a row, and a line all in italics.
func bareMark(line string) string {
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "_") && strings.HasSuffix(line, "_") && len(line) > 1 {
		line = line[1 : len(line)-1]
	}
	if strings.HasPrefix(line, "**") {
		line = strings.Replace(line[2:], "**", "", 1)
	}
	runes := []rune(line)
	for i := 0; i < len(runes); i++ {
		switch r := runes[i]; {
		case r == '\\':
			i++
		case strings.ContainsRune("`*[]<>|~&$#", r), r == '_' && !within(runes, i):
			return string(r)
		}
	}
	return ""
}

// tags are all that the page is made of.
var tags = map[string]bool{}

func init() {
	for _, tag := range strings.Fields("html head meta link title style body article header p b h1 nav details summary ol li a section h2 h3 ul dl div dt dd bdi sup table thead tbody tr th td span blockquote footer br") {
		tags[tag] = true
	}
}

// mustBeHTML parses the page as a browser does.
func mustBeHTML(t failer, d Document, page []byte) {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatalf("parse the page: %v", err)
	}
	ids, sections := map[string]int{}, 0
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if !tags[n.Data] {
			t.Fatalf("the page holds a <%s>", n.Data)
		}
		if n.Data == "section" {
			sections++
		}
		for _, a := range n.Attr {
			mustBeOurs(t, n, a)
			if a.Key == "id" {
				ids[a.Val]++
			}
		}
	}
	if sections != len(d.Sections) {
		t.Fatalf("the page has %d sections, the document %d", sections, len(d.Sections))
	}
	for id, n := range ids {
		if n > 1 && strings.HasPrefix(id, "s-") {
			t.Fatalf("the id %q is there %d times", id, n)
		}
	}
}

func mustBeOurs(t failer, n *html.Node, a html.Attribute) {
	t.Helper()
	switch a.Key {
	case "lang", "charset", "name", "content", "http-equiv", "rel", "class", "dir", "id", "scope", "aria-label", "data-label":
	case "href":
		if n.Data == "a" && !strings.Contains(a.Val, "#") || strings.HasPrefix(a.Val, "javascript:") {
			t.Fatalf("a link leads to %q", a.Val)
		}
	default:
		t.Fatalf("<%s> has the attribute %s=%q", n.Data, a.Key, a.Val)
	}
}

// Every reference of a document leads somewhere, in both forms.
func TestReferencesLeadSomewhere(t *testing.T) {
	t.Parallel()
	target := regexp.MustCompile(`#event-(\d+)[")]`)
	for _, x := range stories(t) {
		d := Build(x.events, x.o)
		page, err := HTML(d, HTMLOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for form, text := range map[string]string{"HTML": string(page), "Markdown": string(Markdown(d))} {
			links := target.FindAllStringSubmatch(text, -1)
			if len(links) == 0 && !x.o.Public {
				t.Errorf("%s, %s: there is no reference", x.name, form)
			}
			if len(links) > 0 && x.o.Public {
				t.Errorf("%s, %s: the public is led to the record", x.name, form)
			}
			for _, l := range links {
				if n := strings.Count(text, fmt.Sprintf(`<a id="event-%s"></a>`, l[1])); n != 1 {
					t.Errorf("%s, %s: event %s has %d places to lead to", x.name, form, l[1], n)
				}
			}
		}
	}
}

// A page of another program keeps its own links.
func TestLinkBase(t *testing.T) {
	t.Parallel()
	x := stories(t)[0]
	d := Build(x.events, x.o)
	f, err := Fragment(d, HTMLOptions{LinkBase: "/incidents/7/timeline"})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(f), `href="/incidents/7/timeline#e1"`) || strings.Contains(string(f), `href="#`) {
		t.Error("references do not lead to the page that was named")
	}
	if f, err = Fragment(d, HTMLOptions{LinkBase: "/incidents/7/timeline", Anchor: "line-"}); err != nil || !strings.Contains(string(f), `href="/incidents/7/timeline#line-1"`) {
		t.Errorf("references do not lead to the ids of the page that was named (%v)", err)
	}
	if strings.Contains(string(f), "<style") || strings.Contains(string(f), "<html") {
		t.Error("the fragment is more than an article")
	}
	page, err := HTML(d, HTMLOptions{Style: "body{color:teal}"})
	if err != nil || !strings.Contains(string(page), "body{color:teal}") || strings.Contains(string(page), "--paper") {
		t.Errorf("the style is not the one that was given (%v)", err)
	}
}

// FuzzEscape: a text that is escaped comes back as it was, and holds no mark.
func FuzzEscape(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	back := regexp.MustCompile(`\\([!-/:-@\[-\x60{-~])`)
	f.Fuzz(func(t *testing.T, s string) {
		out := escape(s)
		if strings.ContainsAny(out, "\n\r") {
			t.Fatalf("%q is more than one line", out)
		}
		if got := back.ReplaceAllString(out, "$1"); got != clean(s) {
			t.Fatalf("%q came back as %q", clean(s), got)
		}
		if ordered.MatchString(out) || out != "" && strings.ContainsRune("-+=#>`~<|*_", rune(out[0])) {
			t.Fatalf("%q begins a structure", out)
		}
		if bare := bareMark("x " + out); bare != "" {
			t.Fatalf("%q holds %q", out, bare)
		}
	})
}

// FuzzClean: what is cleaned is one line that hides nothing, and stays as it is when
// it is cleaned again.
func FuzzClean(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := clean(s)
		switch {
		case clean(out) != out:
			t.Fatalf("%q cleaned again is %q", out, clean(out))
		case !utf8.ValidString(out) || strings.ContainsFunc(out, hides) || strings.ContainsAny(out, "\n\t\u2028"):
			t.Fatalf("%q is not clean", out)
		}
		for _, line := range lines(s) {
			if clean(line) != line {
				t.Fatalf("the line %q is not clean", line)
			}
		}
	})
}

// The keys of the sections are what people edit by, so they stay.
func TestSectionKeys(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range rooms {
		if seen[r.key] || slug(r.key) == "" || len(PublicPrefix+r.key) > 40 {
			t.Errorf("the key %q can't be told apart, or is too long to be edited by", r.key)
		}
		seen[r.key] = true
	}
	public := map[string]bool{}
	for _, r := range rooms {
		if r.public {
			public[r.key] = true
		}
	}
	want := map[string]bool{KeySummary: true, KeyApology: true, KeyImpact: true, KeyTimes: true, KeyDiagnosis: true, KeyFollowUps: true}
	if !maps.Equal(public, want) {
		t.Errorf("the public version has the sections %v", public)
	}
}
