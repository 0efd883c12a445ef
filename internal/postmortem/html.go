package postmortem

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"regexp"
	"strconv"
	"strings"
)

// HTMLOptions say how the HTML form looks and where its references lead.
type HTMLOptions struct {
	Style    template.CSS // in place of our own; trusted, as it comes from the program
	LinkBase string       // address of a page that lists the events; "" leads to the annex of the same page
	Anchor   string       // before an event's number in the ids of that page; "e" where it is empty, as in "#e12"
}

//go:embed page.html
var pageText string

//go:embed style.css
var styleText string

var pages = template.Must(template.New("page").Funcs(template.FuncMap{
	"date":   func(q *Quote) string { return date(q.At) },
	"tight":  tight,
	"slug":   slug,
	"anchor": func(event uint64) string { return anchor + strconv.FormatUint(event, 10) },
}).Parse(pageText))

// page is what the template is given.
type page struct {
	Document
	Style template.CSS
	base  string // of a reference, up to the number of the event
	links bool
}

// HTML is the document as one file: its style inside, no scripts, fit to print, light
// or dark as the reader's system is.
func HTML(d Document, o HTMLOptions) ([]byte, error) {
	return render("page", d, o)
}

// Fragment is the sections alone, without title and style, to stand in a page. Its
// classes are those of the style that HTML has.
func Fragment(d Document, o HTMLOptions) (template.HTML, error) {
	b, err := render("article", d, o)
	return template.HTML(b), err // every text in it was escaped by the template
}

func render(name string, d Document, o HTMLOptions) ([]byte, error) {
	p := page{Document: d, Style: o.Style, base: "#" + anchor, links: o.LinkBase != "" && !d.Public || hasRecord(d)}
	if o.LinkBase != "" {
		p.base = o.LinkBase + "#" + orElse(o.Anchor, "e")
	}
	if p.Style == "" {
		p.Style = template.CSS(styleText)
	}
	var out bytes.Buffer
	if err := pages.ExecuteTemplate(&out, name, p); err != nil {
		return nil, fmt.Errorf("write the page: %w", err)
	}
	return out.Bytes(), nil
}

// Parts are the sections, each with the way its references are written.
func (p page) Parts() []part {
	out := make([]part, len(p.Sections))
	seen := map[string]int{}
	for i, s := range p.Sections {
		id := "s-" + slug(s.Key)
		if seen[id]++; seen[id] > 1 { // keys of people's own sections can come out alike
			id += fmt.Sprint("--", seen[id])
		}
		out[i] = part{s, id, p}
	}
	return out
}

// part is a section on a page.
type part struct {
	Section
	ID   string
	page page
}

// reference is the numbers behind a sentence, and where they lead.
type reference struct{ Href, Label string }

// Ref is the reference of a fact, nil where it has none.
func (p part) Ref(f Fact) *reference {
	if !p.page.links || f.Absent || len(f.Events) == 0 {
		return nil
	}
	return &reference{fmt.Sprint(p.page.base, f.Events[0]), label(f.Events)}
}

// QuoteRef is the reference of what a person wrote.
func (p part) QuoteRef(q *Quote) *reference { return p.Ref(Fact{Events: q.Events}) }

// sentence is a fact as it stands in a paragraph.
type sentence struct {
	Fact
	Ref *reference
}

// Sentences are those of a paragraph; of two on the same events the second names them.
func (p part) Sentences(all Paragraph) []sentence {
	out := make([]sentence, len(all))
	for i, f := range all {
		out[i].Fact = f
		if !shareEvents(all, i) {
			out[i].Ref = p.Ref(f)
		}
	}
	return out
}

// Paragraphs are what a person wrote, line by line.
func (q Quote) Paragraphs() [][]string {
	var out [][]string
	var now []string
	for _, line := range append(q.Lines, "") {
		if line != "" {
			now = append(now, line)
			continue
		}
		if len(now) > 0 {
			out = append(out, now)
		}
		now = nil
	}
	return out
}

var (
	units  = regexp.MustCompile(`(\d) (ms|s|min|h|days?|UTC)\b`)
	chains = regexp.MustCompile(`\b(days?|h|min) (\d)`)
	counts = regexp.MustCompile(`\b([Ff]ix|cause|[Ee]vidence|[Ss]tep) (e?\d+)\b`)
)

// tight keeps a figure and its unit on one line, and a thing and its number.
func tight(s string) string {
	s = counts.ReplaceAllString(s, "$1\u00a0$2")
	return units.ReplaceAllString(chains.ReplaceAllString(s, "$1\u00a0$2"), "$1\u00a0$2")
}

// slug is a key as an id: letters, digits and hyphens.
func slug(key string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(key))
}
