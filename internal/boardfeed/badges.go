package boardfeed

import (
	"bytes"
	_ "embed"
	"html/template"
	"slices"
	"unicode/utf8"

	"lifeboat/internal/board"
	"lifeboat/internal/statuspage"
)

//go:embed badge.svg
var badgeSource string

//go:embed widget.html
var widgetSource string

var (
	badgePage  = template.Must(template.New("badge").Parse(badgeSource)) // html/template escapes for SVG, too: it is parsed as HTML
	widgetPage = template.Must(template.New("widget").Parse(widgetSource))
)

// look is how a badge shows a state: a word, a colour with enough contrast to white
// (WCAG 2.2, 4.5:1), and shields.io's name of a colour.
type look struct{ says, colour, shields string }

var looks = map[board.State]look{
	board.Operational: {"operational", "#1e7a3c", "brightgreen"},
	board.Degraded:    {"degraded", "#8a5a00", "yellow"},
	board.Partial:     {"partial outage", "#a8480f", "orange"},
	board.Major:       {"major outage", "#b3261e", "red"},
	board.Maintained:  {"maintenance", "#2b5fad", "blue"},
	board.Unknown:     {"not known", "#5f6368", "lightgrey"},
}

// badge is what badge.svg needs; lengths are in pixels.
type badge struct {
	Label, Says, Colour     string
	Left, Right, Width      int
	LeftMiddle, RightMiddle int
}

// shield is shields.io's endpoint format.
type shield struct {
	Version int    `json:"schemaVersion"`
	Label   string `json:"label"`
	Message string `json:"message"`
	Color   string `json:"color"`
	IsError bool   `json:"isError,omitempty"`
}

// longest is how many letters of a name a badge shows.
const longest = 40

// badges writes the page's badge and each component's, drawn and for shields.io.
func (w *writer) badges() error {
	if err := w.badge(PathBadge, PathShields, w.b.Page.Name, w.b.State); err != nil {
		return err
	}
	for _, c := range w.b.Components {
		if err := w.badge(folderBadge+c.ID+".svg", folderShields+c.ID+".json", w.say(c.Name), c.State); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) badge(drawn, told, label string, state board.State) error {
	l, known := looks[state]
	if !known {
		l = looks[board.Unknown]
	}
	if letters := []rune(label); len(letters) > longest {
		label = string(letters[:longest-1]) + "…"
	}
	var out bytes.Buffer
	b := badge{Label: label, Says: l.says, Colour: l.colour, Left: wide(label), Right: wide(l.says)}
	b.Width, b.LeftMiddle, b.RightMiddle = b.Left+b.Right, b.Left/2, b.Left+b.Right/2
	if err := badgePage.Execute(&out, b); err != nil {
		return err
	}
	w.docs[drawn] = statuspage.Document{Type: "image/svg+xml", Body: out.Bytes(), Policy: "default-src 'none'; style-src 'unsafe-inline'; sandbox"}
	return w.putJSON(told, "application/json; charset=utf-8", shield{1, label, l.says, l.shields, state == board.Major})
}

// wide is about how long a text is at 11 pixels, with its margins. The text is fitted
// into it, so that it need not be exact.
func wide(s string) int { return 7*utf8.RuneCountInString(s) + 14 }

// widget is what widget.html needs.
type widget struct {
	Lang, Name, URL, Says, Colour string
	Style                         template.CSS
	News                          []widgetNews
}

type widgetNews struct{ Title, Says, Link string }

// newsShown is how much a widget tells.
const newsShown = 3

//go:embed widget.css
var widgetStyle string

// widget writes a small page to be shown in a frame of other pages. It alone may be.
func (w *writer) widget() error {
	l, known := looks[w.b.State]
	if !known {
		l = looks[board.Unknown]
	}
	v := widget{Lang: w.languages[0], Name: w.b.Page.Name, URL: w.b.Page.URL + "/", Says: w.apiStatus().Description, Colour: l.colour, Style: template.CSS(widgetStyle)}
	for _, in := range w.b.Open() {
		v.News = append(v.News, widgetNews{w.say(in.Title), words[string(in.Step)], in.Link(w.b.Page)})
	}
	for _, m := range slices.Concat(w.b.Active(), w.b.Upcoming()) {
		v.News = append(v.News, widgetNews{w.say(m.Title), words[string(m.Step)], m.Link(w.b.Page)})
	}
	v.News = v.News[:min(len(v.News), newsShown)]
	var out bytes.Buffer
	if err := widgetPage.Execute(&out, v); err != nil {
		return err
	}
	w.docs[PathWidget] = statuspage.Document{Type: "text/html; charset=utf-8", Body: out.Bytes(), Lang: v.Lang, Policy: "default-src 'none'; style-src " + statuspage.Hashed(widgetStyle) + "; base-uri 'none'; frame-ancestors *"}
	return nil
}
