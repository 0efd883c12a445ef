package statuspage

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/board"
)

// Document is a finished answer of the status page's own name.
type Document struct {
	Type   string // Content-Type
	Body   []byte
	Policy string // Content-Security-Policy
	Lang   string // Content-Language; "" where there is none
	Status int    // 200 when 0
}

// Feed is another form that the page is in, linked to from it.
type Feed struct{ Title, Type, Path string }

// Options of the documents of a page.
type Options struct {
	Feeds []Feed
	Still bool // a copy that nobody makes anew, and which therefore says so
}

// Limits on what one page holds, so that it loads at once.
const (
	barsShown    = 40  // components with bars on the front page
	pastShown    = 10  // incidents of the last two weeks on it
	openShown    = 20  // incidents that go on, and maintenances
	updatesShown = 3   // messages of each on it
	monthsShown  = 36  // months of history
	storyShown   = 200 // paragraphs
)

//go:embed board.html
var boardSource string

//go:embed board.css
var boardStyle string

//go:embed board.js
var boardScript string

var boardPages = template.Must(template.New("board").Parse(boardSource))

// The default colours: the same petrol as the standby page's.
const (
	brandDay   = "#0a5260"
	brandNight = "#82cbd3"
)

// frame is what all documents of a page have.
type frame struct {
	Lang, Dir, Title, Name, Initial, Logo, Home string
	NoIndex                                     bool
	Subscribe                                   string // where somebody begins to be told of news; "": nowhere
	Others                                      []other
	Languages                                   string
	Feeds                                       []feedLink
	FeedsTitle                                  string
	Style                                       template.CSS
	Script                                      template.JS
	Foot                                        []string
	Contact                                     *contact
	T                                           map[string]string // the words that the layout needs
}

type other struct {
	Lang, Href, Text string
	Here             bool
}

type feedLink struct{ Type, Title, Href string }

// press makes the documents of one board in one language.
type press struct {
	b     board.Board
	o     Options
	w     *words
	first string // the page's first language
	at    string // what all addresses in this language begin with: "" or "/de"
	names map[string]string
}

func newPress(b board.Board, o Options, tag string) press {
	p := press{b: b, o: o, w: newWords(tag, b.Page.Location()), first: firstLanguage(b.Page), names: map[string]string{}}
	if tag != p.first {
		p.at = "/" + tag
	}
	for _, c := range b.Components {
		p.names[c.ID] = p.w.plain(c.Name)
	}
	return p
}

// Offered are the languages that a page is in; the first is its own.
func Offered(p board.Page) []string { return offered(p) }

func offered(p board.Page) []string {
	var out []string
	for _, tag := range p.Languages {
		if _, known := languages()[tag]; known && !slices.Contains(out, tag) {
			out = append(out, tag)
		}
	}
	if len(out) == 0 {
		return []string{"en"}
	}
	return out
}

func firstLanguage(p board.Page) string { return offered(p)[0] }

// frame fills in what surrounds a page; path is its address without the language.
func (p press) frame(title, path string, keys ...string) frame {
	f := frame{
		Lang: p.w.tag, Dir: p.w.say("dir"), Title: title + " – " + line(p.b.Page.Name), Name: line(p.b.Page.Name), Initial: initial(p.b.Page.Name),
		Home: p.at + "/", Languages: p.w.say("page.languages"), FeedsTitle: p.w.say("page.feeds"), NoIndex: p.b.Page.Private != nil,
		Style: style(p.b.Page), T: map[string]string{"Back": p.w.say("history.back")},
	}
	if len(p.b.Page.Logo) > 0 {
		f.Logo = LogoPath(p.b.Page)
	}
	if len(p.b.Page.Subscribe) > 0 && !p.o.Still {
		f.Subscribe, f.T["Get"] = p.at+PathSubscribe, p.w.say("subscribe.link")
	}
	for _, k := range keys {
		name, id, _ := strings.Cut(k, "=")
		f.T[name] = p.w.say(id)
	}
	if tags := offered(p.b.Page); len(tags) > 1 {
		for _, tag := range tags {
			href := "/" + tag + path
			f.Others = append(f.Others, other{tag, href, newWords(tag, time.UTC).say("name"), tag == p.w.tag})
		}
	}
	for _, x := range p.o.Feeds {
		f.Feeds = append(f.Feeds, feedLink{x.Type, x.Title, x.Path})
	}
	now := p.w.clock(p.b.Now, p.b.Now)
	f.Foot = []string{p.w.say("page.written", with{"Time": now.Text}), p.w.say("page.zone", with{"Zone": cmp.Or(p.b.Page.Zone, "UTC")})}
	f.Contact = contactOf(line(p.b.Page.Contact))
	return f
}

// style is the page's, in its own colours.
func style(p board.Page) template.CSS {
	day := cmp.Or(colour(p.Colour), brandDay)
	night := cmp.Or(colour(p.Night), brandNight)
	if p.Night == "" && colour(p.Colour) != "" {
		night = "#dfe5e6" // a colour for a light page can't be read on a dark one
	}
	return template.CSS(strings.NewReplacer("BRAND", day, "NIGHT", night, "\n", "").Replace(boardStyle))
}

// colour lets only #rrggbb through.
func colour(s string) string {
	if len(s) != 7 || s[0] != '#' || strings.Trim(s[1:], "0123456789abcdefABCDEF") != "" {
		return ""
	}
	return s
}

// LogoPath is where a page's logo lies, "" without one.
func LogoPath(p board.Page) string {
	switch {
	case len(p.Logo) == 0:
		return ""
	case p.LogoType == "image/png":
		return "/logo.png"
	}
	return "/logo.svg"
}

// Hashed names a style or a script in a Content-Security-Policy (CSP level 3, section 2.3.1).
func Hashed(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// policy is what a page needs and no more: its own style and script by hash, its own
// logo, and to ask itself again.
func policy(p board.Page, script bool) string {
	rules := "default-src 'none'; style-src " + Hashed(string(style(p))) + "; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	if script {
		rules += "; connect-src 'self'; script-src " + Hashed(boardScript)
	}
	return rules
}

// write makes a document of a page.
func (p press) write(name string, v any, script bool) (Document, error) {
	var out bytes.Buffer
	out.Grow(16 << 10)
	if err := boardPages.ExecuteTemplate(&out, name, v); err != nil {
		return Document{}, fmt.Errorf("write the %s page: %w", name, err)
	}
	return Document{Type: "text/html; charset=utf-8", Body: out.Bytes(), Policy: policy(p.b.Page, script), Lang: p.w.tag}, nil
}

// letters name the states in the page's style.
var letters = map[board.State]string{
	board.Operational: "o", board.Degraded: "g", board.Partial: "p", board.Major: "m", board.Maintained: "w", board.Unknown: "u", "": "u",
}
