package boardfeed

import (
	"encoding/xml"
	"html"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/board"
)

// entry is an incident or a maintenance as feeds tell it.
type entry struct {
	id, title, link string
	text            string // the newest message
	html            string // all messages, newest first
	began, updated  time.Time
	about           []string // names of components
}

// entries are the newest incidents and maintenances, the one that was updated last first.
func (w *writer) entries() []entry {
	var out []entry
	for _, in := range w.incidents() {
		e := entry{id: in.ID, title: w.say(in.Title), link: in.Link(w.b.Page), began: w.since(in.StartedAt, in.CreatedAt), updated: w.since(in.UpdatedAt, in.StartedAt)}
		e = w.tell(e, in.Updates, in.Components)
		if in.Story != nil {
			e.html = w.story(*in.Story) + e.html
			e.text = "What happened: " + firstWords(w.long(in.Story.Text))
		}
		out = append(out, e)
	}
	for _, m := range w.maintenances() {
		e := entry{id: m.ID, title: words[string(m.Step)] + ": " + w.say(m.Title), link: m.Link(w.b.Page), began: w.since(m.CreatedAt, m.From), updated: w.since(m.UpdatedAt, m.CreatedAt, m.From)}
		out = append(out, w.tell(e, m.Updates, m.Components))
	}
	slices.SortStableFunc(out, func(a, b entry) int { return b.updated.Compare(a.updated) })
	return out[:min(len(out), maxEntries)]
}

func (w *writer) tell(e entry, updates []board.Update, components []string) entry {
	var page strings.Builder
	for _, u := range slices.Backward(updates) {
		at := w.since(u.At).In(w.b.Page.Location())
		page.WriteString("<p><strong>" + html.EscapeString(words[string(u.Step)]) + "</strong> – <time datetime=\"" + at.Format(time.RFC3339) + "\">" + at.Format("2 January 2006 15:04 MST") + "</time></p>\n")
		for _, paragraph := range paragraphs(w.long(u.Text)) {
			page.WriteString("<p>" + html.EscapeString(paragraph) + "</p>\n")
		}
	}
	e.html = page.String()
	if len(updates) > 0 {
		last := updates[len(updates)-1]
		e.text = words[string(last.Step)] + ": " + w.long(last.Text)
	}
	for _, id := range components {
		if c, has := w.b.Component(id); has {
			e.about = append(e.about, w.say(c.Name))
		}
	}
	return e
}

// story is a post-mortem: a line that begins with # is a heading.
func (w *writer) story(s board.Story) string {
	var out strings.Builder
	at := w.since(s.At).In(w.b.Page.Location())
	out.WriteString("<p><strong>What happened</strong> – <time datetime=\"" + at.Format(time.RFC3339) + "\">" + at.Format("2 January 2006 15:04 MST") + "</time></p>\n")
	for _, p := range paragraphs(w.long(s.Text)) {
		if head, rest, _ := strings.Cut(p, "\n"); strings.HasPrefix(head, "#") {
			out.WriteString("<h3>" + html.EscapeString(strings.TrimLeft(head, "# ")) + "</h3>\n")
			p = rest
		}
		if p != "" {
			out.WriteString("<p>" + html.EscapeString(p) + "</p>\n")
		}
	}
	return out.String()
}

// firstWords is the first paragraph that is no heading, for a summary.
func firstWords(text string) string {
	for _, p := range paragraphs(text) {
		if head, rest, _ := strings.Cut(p, "\n"); strings.HasPrefix(head, "#") {
			p = rest
		}
		if p != "" {
			return p
		}
	}
	return ""
}

// paragraphs parts a text at its empty lines.
func paragraphs(text string) []string {
	var out []string
	for p := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// titled is what the feeds are called.
func (w *writer) titled() string { return strings.TrimSpace(w.b.Page.Name) + ": status" }

type (
	rssFile struct {
		XMLName xml.Name `xml:"rss"`
		Version string   `xml:"version,attr"`
		Atom    string   `xml:"xmlns:atom,attr"`
		Channel rssChannel
	}
	rssChannel struct {
		XMLName xml.Name  `xml:"channel"`
		Title   string    `xml:"title"`
		Link    string    `xml:"link"`
		Self    atomLink  `xml:"atom:link"`
		About   string    `xml:"description"`
		Lang    string    `xml:"language"`
		Built   string    `xml:"lastBuildDate"`
		TTL     int       `xml:"ttl"` // minutes
		Items   []rssItem `xml:"item"`
	}
	rssItem struct {
		Title      string   `xml:"title"`
		Link       string   `xml:"link"`
		GUID       string   `xml:"guid"` // the address: it never changes
		Published  string   `xml:"pubDate"`
		About      string   `xml:"description"`
		Categories []string `xml:"category"`
	}
)

// rss writes RSS 2.0. An item's date is its newest message's, so that readers see it
// come up again.
func (w *writer) rss() error {
	c := rssChannel{
		Title: w.titled(), Link: w.b.Page.URL + "/", About: "Incidents and planned work", Lang: w.languages[0], TTL: 1,
		Self: atomLink{Rel: "self", Type: "application/rss+xml", Href: w.b.Page.URL + PathRSS}, Built: w.since(w.b.UpdatedAt).Format(time.RFC1123Z),
	}
	for _, e := range w.entries() {
		c.Items = append(c.Items, rssItem{e.title, e.link, e.link, e.updated.Format(time.RFC1123Z), e.html, e.about})
	}
	return w.putXML(PathRSS, "application/rss+xml; charset=utf-8", rssFile{Version: "2.0", Atom: "http://www.w3.org/2005/Atom", Channel: c})
}

type (
	atomFile struct {
		XMLName xml.Name    `xml:"http://www.w3.org/2005/Atom feed"`
		Lang    string      `xml:"xml:lang,attr"`
		Title   string      `xml:"title"`
		ID      string      `xml:"id"`
		Updated string      `xml:"updated"`
		Author  string      `xml:"author>name"`
		Links   []atomLink  `xml:"link"`
		Entries []atomEntry `xml:"entry"`
	}
	atomLink struct {
		Rel  string `xml:"rel,attr"`
		Type string `xml:"type,attr"`
		Href string `xml:"href,attr"`
	}
	atomEntry struct {
		Title      string         `xml:"title"`
		ID         string         `xml:"id"`
		Link       atomLink       `xml:"link"`
		Published  string         `xml:"published"`
		Updated    string         `xml:"updated"`
		Categories []atomCategory `xml:"category"`
		Content    atomContent    `xml:"content"`
	}
	atomCategory struct {
		Term string `xml:"term,attr"`
	}
	atomContent struct {
		Type string `xml:"type,attr"`
		Text string `xml:",chardata"`
	}
)

// atom writes RFC 4287.
func (w *writer) atom() error {
	at := w.b.Page.URL
	f := atomFile{
		Lang: w.languages[0], Title: w.titled(), ID: at + "/", Updated: w.since(w.b.UpdatedAt).Format(time.RFC3339), Author: w.b.Page.Name,
		Links: []atomLink{{"self", "application/atom+xml", at + PathAtom}, {"alternate", "text/html", at + "/"}},
	}
	for _, e := range w.entries() {
		a := atomEntry{
			Title: e.title, ID: e.link, Link: atomLink{"alternate", "text/html", e.link}, Published: e.began.Format(time.RFC3339),
			Updated: e.updated.Format(time.RFC3339), Content: atomContent{"html", e.html},
		}
		for _, name := range e.about {
			a.Categories = append(a.Categories, atomCategory{name})
		}
		f.Entries = append(f.Entries, a)
	}
	return w.putXML(PathAtom, "application/atom+xml; charset=utf-8", f)
}

func (w *writer) putXML(path, kind string, v any) error {
	body, err := xml.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	w.put(path, kind, append([]byte(xml.Header), append(body, '\n')...))
	return nil
}

type (
	jsonFile struct {
		Version  string       `json:"version"`
		Title    string       `json:"title"`
		Home     string       `json:"home_page_url"`
		Feed     string       `json:"feed_url"`
		Language string       `json:"language"`
		Authors  []jsonAuthor `json:"authors"`
		Items    []jsonItem   `json:"items"`
	}
	jsonAuthor struct {
		Name string `json:"name"`
		URL  string `json:"url"`
	}
	jsonItem struct {
		ID        string   `json:"id"`
		URL       string   `json:"url"`
		Title     string   `json:"title"`
		HTML      string   `json:"content_html"`
		Summary   string   `json:"summary,omitempty"`
		Published string   `json:"date_published"`
		Modified  string   `json:"date_modified"`
		Tags      []string `json:"tags,omitempty"`
	}
)

// jsonFeed writes JSON Feed 1.1 (jsonfeed.org).
func (w *writer) jsonFeed() error {
	at := w.b.Page.URL
	f := jsonFile{
		Version: "https://jsonfeed.org/version/1.1", Title: w.titled(), Home: at + "/", Feed: at + PathJSON, Language: w.languages[0],
		Authors: []jsonAuthor{{w.b.Page.Name, at + "/"}}, Items: []jsonItem{},
	}
	for _, e := range w.entries() {
		f.Items = append(f.Items, jsonItem{e.link, e.link, e.title, e.html, e.text, e.began.Format(time.RFC3339), e.updated.Format(time.RFC3339), e.about})
	}
	return w.putJSON(PathJSON, "application/feed+json; charset=utf-8", f)
}
