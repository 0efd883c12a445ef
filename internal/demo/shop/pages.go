package shop

import (
	"bytes"
	"crypto/rand"
	"embed"
	"fmt"
	"html/template"
	"path"
	"strings"
	"time"
)

//go:embed templates/*.html art/*.svg
var files embed.FS

// view is what every page gets.
type view struct {
	Title  string
	Origin string // who serves it, for the footer
	Pieces int    // in the basket
	Body   any    // the page's own
}

// pages are the templates, by name.
type pages struct {
	byName map[string]*template.Template
}

// loadPages parses the embedded templates; they are part of the program, so that a
// mistake in them ends it (and every test).
func loadPages() *pages {
	functions := template.FuncMap{"euro": euro, "art": loadArt(), "day": day}
	layout := template.Must(template.New("layout.html").Funcs(functions).ParseFS(files, "templates/layout.html"))
	p := &pages{byName: make(map[string]*template.Template)}
	for _, name := range []string{"home", "product", "basket", "checkout", "closed", "order", "orders", "about", "note"} {
		t := template.Must(layout.Clone())
		p.byName[name] = template.Must(t.ParseFS(files, "templates/"+name+".html"))
	}
	return p
}

func (p *pages) render(name string, v view) ([]byte, error) {
	t, ok := p.byName[name]
	if !ok {
		return nil, fmt.Errorf("render page: no template %q", name)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		return nil, fmt.Errorf("render page: %w", err)
	}
	return b.Bytes(), nil
}

// loadArt gives the function that turns a picture's name into its SVG.
func loadArt() func(name string) template.HTML {
	pictures := make(map[string]template.HTML)
	entries, err := files.ReadDir("art")
	if err != nil {
		panic(err) // embedded: can't happen in a program that was built
	}
	for _, e := range entries {
		text, err := files.ReadFile(path.Join("art", e.Name()))
		if err != nil {
			panic(err) // as above
		}
		pictures[strings.TrimSuffix(e.Name(), ".svg")] = template.HTML(text) // ours, not a visitor's
	}
	return func(name string) template.HTML { return pictures[name] }
}

func euro(cents int) string { return fmt.Sprintf("€ %d.%02d", cents/100, cents%100) }

func day(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }

// newKey makes two presses of one form's button one order.
func newKey() string { return rand.Text() }
