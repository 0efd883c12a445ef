package statuspage

import (
	"fmt"
	"strings"

	"lifeboat/internal/board"
)

// Text makes the first page as plain text in one language, for terminals.
func Text(b board.Board, o Options, tag string) Document {
	p := newPress(b, o, tag)
	var t strings.Builder
	fmt.Fprintf(&t, "%s\n\n%s\n%s\n", line(b.Page.Name), p.head(), p.known())
	for _, in := range b.Open() {
		p.tellText(&t, p.incident(in, 1))
	}
	for _, m := range append(b.Active(), b.Upcoming()...) {
		p.tellText(&t, p.maintenance(m, 1))
	}
	for _, s := range p.sections() {
		fmt.Fprintf(&t, "\n%s\n", s.Name)
		for _, c := range s.Components {
			fmt.Fprintf(&t, "  %s %s: %s\n", signs[c.State], c.Name, c.Says)
			for _, more := range []string{c.Both, c.Reason} {
				if more != "" {
					fmt.Fprintf(&t, "      %s\n", more)
				}
			}
		}
	}
	fmt.Fprintf(&t, "\n%s\n%s\n", p.w.say("page.written", with{"Time": p.w.clock(b.Now, b.Now).Text}), b.Page.URL)
	return Document{Type: "text/plain; charset=utf-8", Body: []byte(t.String()), Policy: "default-src 'none'", Lang: p.w.tag}
}

// signs tell states apart in a terminal that has no colours.
var signs = map[string]string{"o": "[+]", "g": "[~]", "p": "[-]", "m": "[x]", "w": "[*]", "u": "[?]"}

func (p press) tellText(t *strings.Builder, v item) {
	fmt.Fprintf(t, "\n! %s\n  %s. %s.\n", v.Title, v.Step, v.When)
	for _, more := range []string{v.Touched, v.Next} {
		if more != "" {
			fmt.Fprintf(t, "  %s\n", more)
		}
	}
	for _, u := range v.Updates {
		for _, para := range u.Text {
			fmt.Fprintf(t, "  %s: %s\n", u.At.Text, para)
		}
	}
}

// boardJSON is the small JSON of a page. Lists are never null.
type boardJSON struct {
	Page       string          `json:"page"`
	URL        string          `json:"url"`
	State      board.State     `json:"state"` // the worst of the components'
	Says       string          `json:"says"`
	CheckedAt  string          `json:"checked_at,omitempty"`
	Places     int             `json:"places"`
	Components []componentJSON `json:"components"`
	Incidents  []newsJSON      `json:"incidents"`   // open ones
	Planned    []newsJSON      `json:"maintenance"` // under way and to come
	Written    string          `json:"written_at"`
}

type componentJSON struct {
	ID        string      `json:"id"`
	Name      string      `json:"name"`
	State     board.State `json:"state"`
	Measured  board.State `json:"measured,omitempty"` // what the checks see, whatever is shown
	Why       board.Why   `json:"decided_by"`
	CheckedAt string      `json:"checked_at,omitempty"`
}

type newsJSON struct {
	ID      string       `json:"id"`
	Title   string       `json:"title"`
	Step    board.Step   `json:"step"`
	Impact  board.Impact `json:"impact,omitempty"`
	From    string       `json:"from"`
	Until   string       `json:"until,omitempty"`
	Message string       `json:"message,omitempty"`
	URL     string       `json:"url"`
}

// JSON makes the first page as a small JSON document in one language.
func JSON(b board.Board, o Options, tag string) (Document, error) {
	p := newPress(b, o, tag)
	doc := boardJSON{
		Page: line(b.Page.Name), URL: b.Page.URL, State: b.State, Says: p.head(), CheckedAt: machine(b.Knowledge.At), Places: len(b.Knowledge.Places),
		Components: []componentJSON{}, Incidents: []newsJSON{}, Planned: []newsJSON{}, Written: machine(b.Now),
	}
	for _, c := range b.Components {
		doc.Components = append(doc.Components, componentJSON{c.ID, p.names[c.ID], c.State, c.Measured, c.Why, machine(c.CheckedAt)})
	}
	for _, in := range b.Open() {
		doc.Incidents = append(doc.Incidents, newsJSON{in.ID, p.w.plain(in.Title), in.Step, in.Impact, machine(in.StartedAt), "", p.newest(in.Updates), in.Link(b.Page)})
	}
	for _, m := range append(b.Active(), b.Upcoming()...) {
		doc.Planned = append(doc.Planned, newsJSON{m.ID, p.w.plain(m.Title), m.Step, "", machine(m.From), machine(m.Until), p.newest(m.Updates), m.Link(b.Page)})
	}
	body, err := encode(doc)
	return Document{Type: "application/json", Body: body, Policy: "default-src 'none'", Lang: p.w.tag}, err
}

func (p press) newest(list []board.Update) string {
	if len(list) == 0 {
		return ""
	}
	text, _ := p.w.text(list[len(list)-1].Text, p.first)
	return cut(text, maxMessage)
}

// Fresh makes the documents in which ages are told, by path: they are to be made anew
// every few seconds. Rest makes all others, which change only as what they tell of does.
func Fresh(b board.Board, o Options) (map[string]Document, error) {
	out := map[string]Document{}
	for i, tag := range offered(b.Page) {
		html, err := Front(b, o, tag)
		if err != nil {
			return nil, err
		}
		text := Text(b, o, tag)
		json, err := JSON(b, o, tag)
		if err != nil {
			return nil, err
		}
		for _, at := range prefixes(tag, i) {
			out[at+"/"], out[at+"/status.txt"], out[at+"/status.json"] = html, text, json
		}
	}
	return out, nil
}

// prefixes are what addresses in a language begin with; the first has none, too.
func prefixes(tag string, i int) []string {
	if i == 0 {
		return []string{"", "/" + tag}
	}
	return []string{"/" + tag}
}

// Rest makes all documents but the Fresh ones, by path. Those of a history end where a
// page would be larger than a browser likes.
func Rest(b board.Board, o Options) (map[string]Document, error) {
	out := map[string]Document{}
	months := Months(b)
	for i, tag := range offered(b.Page) {
		put := func(path string, d Document, err error) error {
			for _, at := range prefixes(tag, i) {
				out[at+path] = d
			}
			return err
		}
		for _, in := range b.Incidents {
			d, err := IncidentPage(b, o, tag, in)
			if err := put(board.PathIncident+in.ID, d, err); err != nil {
				return nil, err
			}
		}
		for _, m := range b.Maintenances {
			d, err := MaintenancePage(b, o, tag, m)
			if err := put(board.PathMaintenance+m.ID, d, err); err != nil {
				return nil, err
			}
		}
		for _, c := range b.Components {
			d, err := ComponentPage(b, o, tag, c)
			if err := put(PathComponent+c.ID, d, err); err != nil {
				return nil, err
			}
		}
		for j, month := range months {
			d, err := HistoryPage(b, o, tag, month, months)
			if err := put(board.PathHistory+month, d, err); err != nil {
				return nil, err
			}
			if j == 0 {
				_ = put(strings.TrimSuffix(board.PathHistory, "/"), d, nil)
			}
		}
	}
	if at := LogoPath(b.Page); at != "" {
		out[at] = logoOf(b.Page)
	}
	return out, nil
}
