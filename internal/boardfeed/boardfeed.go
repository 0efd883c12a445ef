// Package boardfeed writes a status page for readers that are programs: Statuspage's
// API version 2, RSS, Atom, JSON Feed, a calendar, badges and a widget.
//
// It is pure: no clock, no I/O; the same board always gives the same bytes, and a board
// of which only ages have changed gives the same bytes too, so that readers are told
// "not modified". It decides no state (package board) and serves nothing (package
// standby). Any package may import it.
//
// Invariants: no list is null; every text from people is escaped for the form that it
// is in; no address is another than the page's own.
//
// Concurrency: everything may be called from any goroutine.
package boardfeed

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"lifeboat/internal/board"
	"lifeboat/internal/statuspage"
)

// The addresses of the forms, on the status page's own host name. Those of Statuspage's
// API and its two feeds are where its readers look.
const (
	PathRSS      = "/history.rss"
	PathAtom     = "/history.atom"
	PathJSON     = "/feed.json"
	PathCalendar = "/calendar.ics"
	PathWidget   = "/widget"
	PathBadge    = "/badge.svg"
	PathShields  = "/shields.json"

	folderAPI     = "/api/v2/"
	folderBadge   = "/badge/"   // ID.svg
	folderShields = "/shields/" // ID.json
)

// maxEntries is how many incidents a feed or a list of the API holds.
const maxEntries = 50

// Links are the forms that a page links to.
func Links() []statuspage.Feed {
	return []statuspage.Feed{
		{Title: "RSS", Type: "application/rss+xml", Path: PathRSS},
		{Title: "Atom", Type: "application/atom+xml", Path: PathAtom},
		{Title: "JSON Feed", Type: "application/feed+json", Path: PathJSON},
		{Title: "iCal", Type: "text/calendar", Path: PathCalendar},
	}
}

// All makes every form of a board, by path.
func All(b board.Board) (map[string]statuspage.Document, error) {
	b.Page.Name = strings.Join(strings.Fields(clean(b.Page.Name)), " ")
	w := writer{b: b, languages: statuspage.Offered(b.Page), docs: map[string]statuspage.Document{}}
	for _, write := range []func() error{w.api, w.rss, w.atom, w.jsonFeed, w.calendar, w.badges, w.widget} {
		if err := write(); err != nil {
			return nil, err
		}
	}
	return w.docs, nil
}

// writer gathers the documents of one board.
type writer struct {
	b         board.Board
	languages []string
	docs      map[string]statuspage.Document
}

// closed is the policy of what needs nothing.
const closed = "default-src 'none'; frame-ancestors 'none'"

func (w *writer) put(path, kind string, body []byte) {
	w.docs[path] = statuspage.Document{Type: kind, Body: body, Policy: closed}
}

// putJSON leaves <, > and & as they are: nothing here stands in a page.
func (w *writer) putJSON(path, kind string, v any) error {
	var out strings.Builder
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	w.put(path, kind, []byte(out.String()))
	return nil
}

// say gives a text in the page's first language, or in whichever it is; on one line.
func (w *writer) say(t board.Text) string { return strings.Join(strings.Fields(w.long(t)), " ") }

// long gives a text with its paragraphs.
func (w *writer) long(t board.Text) string {
	text, _ := t.In("", w.languages[0])
	return clean(text)
}

// clean leaves out what neither a line of a calendar (RFC 5545 section 3.1) nor XML
// (1.0, section 2.2) may hold.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' || r == utf8.RuneError || r == 0xFFFE || r == 0xFFFF {
			return -1
		}
		return r
	}, s)
}

// since gives the first of the times that is known.
func (w *writer) since(times ...time.Time) time.Time {
	for _, t := range append(times, w.b.Page.CreatedAt, w.b.UpdatedAt) {
		if !t.IsZero() {
			return t.UTC()
		}
	}
	return time.Unix(0, 0).UTC()
}

// incidents are the newest, at most maxEntries.
func (w *writer) incidents() []board.Incident {
	out := slices.Clone(w.b.Incidents)
	slices.SortStableFunc(out, func(a, b board.Incident) int { return b.StartedAt.Compare(a.StartedAt) })
	return out[:min(len(out), maxEntries)]
}

// maintenances are those of the board, at most maxEntries.
func (w *writer) maintenances() []board.Maintenance {
	return w.b.Maintenances[:min(len(w.b.Maintenances), maxEntries)]
}

// words of the states and steps, as readers of Statuspage's feeds know them.
var words = map[string]string{
	string(board.Operational): "Operational", string(board.Degraded): "Degraded performance", string(board.Partial): "Partial outage",
	string(board.Major): "Major outage", string(board.Maintained): "Under maintenance", string(board.Unknown): "Not known",
	string(board.Investigating): "Investigating", string(board.Identified): "Identified", string(board.Monitoring): "Monitoring",
	string(board.Resolved): "Resolved", string(board.Postmortem): "Resolved", string(board.Scheduled): "Scheduled",
	string(board.InProgress): "In progress", string(board.Verifying): "Verifying", string(board.Completed): "Completed",
}
