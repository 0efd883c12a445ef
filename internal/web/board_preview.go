package web

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/account"
	"lifeboat/internal/board"
	"lifeboat/internal/boardfeed"
	"lifeboat/internal/statuspage"
)

// Limits on previews that are remembered.
const (
	maxDrafts   = 64
	draftLife   = 30 * time.Minute
	previewPath = boardPath + "/preview/"
)

// draft is what the status page would be once a form was published.
type draft struct {
	who   account.Who
	facts board.Facts
	at    time.Time
}

// drafts are the previews that people look at; the oldest is forgotten.
type drafts struct {
	mu sync.Mutex // guards m
	m  map[string]draft
}

func (d *drafts) keep(v draft) string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	id := hex.EncodeToString(b[:])
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.m == nil {
		d.m = map[string]draft{}
	}
	oldest := ""
	for k, old := range d.m {
		if v.at.Sub(old.at) > draftLife || v.at.Before(old.at) {
			delete(d.m, k)
		} else if oldest == "" || old.at.Before(d.m[oldest].at) {
			oldest = k
		}
	}
	if len(d.m) >= maxDrafts {
		delete(d.m, oldest)
	}
	d.m[id] = v
	return id
}

func (d *drafts) of(id string, who account.Who, now time.Time) (draft, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, known := d.m[id]
	return v, known && v.who == who && now.Sub(v.at) <= draftLife
}

// previewPart is the page on which somebody sees what visitors will see.
type previewPart struct {
	Frame   string
	Views   []viewLink
	Publish ask
	Change  ask
	Told    []string
	Reach   string
	Page    bool   // there is a page to look at
	Unseen  string // why there is none
}

type viewLink struct {
	Title, Href string
}

// preview shows what visitors would see, and the one press that publishes it. What was
// typed travels in the page.
func (s *server) preview(w http.ResponseWriter, r *http.Request, x scope, name string, m message) {
	c, err := acts[name].tells(x)
	if err != nil {
		s.refused(w, r, x, name, err)
		return
	}
	sheet, change, err := s.o.Board.Preview(x.boardWho(), c)
	if err != nil {
		s.refused(w, r, x, name, err)
		return
	}
	p := s.room(x.who, x.o, boardPath, "This is what visitors will see.", "Nothing is published yet.")
	p.Where, p.Say = []string{"Status page"}, m
	facts := s.boardFacts(sheet)
	id := s.drafts.keep(draft{x.who.Who, facts, s.o.Now()})
	part := previewPart{Views: x.views(facts, change, id)}
	part.Page = len(part.Views) > 0
	if part.Page {
		part.Frame = part.Views[0].Href
	} else {
		p.Headline, part.Unseen = "No visitor will see this.", "No page shows the parts that it names. Press “Change it”, and choose other parts."
		if len(facts.Sheet.Pages) == 0 {
			part.Unseen = "No page has a name of its own yet. It is kept, and shown as soon as the configuration has one: host: under status:."
		}
	}
	part.Publish, part.Change = x.pressAgain(name, "publish", "Publish"), x.pressAgain(name, "change", "Change it")
	part.Publish.Go = true
	if part.Page {
		part.Publish.Terms = terms{"Visitors see this, and feeds carry it.", "A few seconds.", backOf(change)}
	}
	if s.o.Reach != nil {
		part.Reach = s.o.Reach(&change)
	}
	p.Body = part
	status := http.StatusOK
	if m.Text != "" {
		status = http.StatusConflict
	}
	w.Header().Set("Content-Security-Policy", csp+"; frame-src 'self'")
	s.show(w, status, "boardpreview.html", p)
}

// backOf says how something is taken back.
func backOf(c board.Change) string {
	switch {
	case c.Override != nil:
		return "“Take it back”: the checks decide again."
	case c.Maintenance != nil:
		return "Change or cancel it; once begun, say that it is done."
	case c.Incident != nil && c.Incident.Story != nil:
		return "“Take the write-up off the page”."
	}
	return "Correct it, or tell more. What people have read they have read."
}

// pressAgain is the form with all that was typed, hidden, for another press.
func (x scope) pressAgain(name, press, title string) ask {
	a := ask{Action: x.base() + name, Title: title, Key: newKey(), ID: press + "-"}
	for _, key := range sortedKeys(x.args) {
		if slices.Contains([]string{"key", "press", "basis", "incident", "phase", "made"}, key) {
			continue
		}
		for _, v := range x.args[key] {
			a.Fields = append(a.Fields, field{Name: key, Kind: hidden, Value: v})
		}
	}
	a.Fields = append(a.Fields, field{Name: "press", Kind: hidden, Value: press}, field{Name: "basis", Kind: hidden, Value: x.basis()})
	return a
}

func sortedKeys(v url.Values) []string {
	var out []string
	for k := range v {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// views are the pages on which a change shows, in each language: its own first, then the
// first page.
func (x scope) views(f board.Facts, c board.Change, id string) []viewLink {
	var out []viewLink
	for _, page := range f.Sheet.Pages {
		b := board.Make(page, f)
		title, at := "The first page", "/"
		switch {
		case c.Incident != nil:
			if _, on := b.Incident(c.Incident.ID); !on {
				continue
			}
			title, at = "The incident", board.PathIncident+c.Incident.ID
		case c.Maintenance != nil:
			if _, on := b.Maintenance(c.Maintenance.ID); !on {
				continue
			}
			title, at = "The work", board.PathMaintenance+c.Maintenance.ID
		case c.Override != nil:
			if _, on := b.Component(c.Override.Component); !on {
				continue
			}
		}
		name := ""
		if len(f.Sheet.Pages) > 1 {
			name = ", " + cmp.Or(page.Name, page.ID)
		}
		for i, tag := range statuspage.Offered(page) {
			under, lang := previewPath+id+"/"+url.PathEscape(page.ID), ""
			if i > 0 {
				under += "/" + tag
			}
			if len(statuspage.Offered(page)) > 1 {
				lang = " in " + tongue(tag)
			}
			if at != "/" {
				out = append(out, viewLink{title + lang + name, under + at})
			}
			out = append(out, viewLink{"The first page" + lang + name, under + "/"})
		}
	}
	if c.Override == nil && c.Incident == nil && c.Maintenance == nil {
		return out
	}
	slices.SortStableFunc(out, func(a, b viewLink) int { // what is told comes before the page that it is on
		return cmp.Compare(strings.Index(a.Title, "The first page"), strings.Index(b.Title, "The first page"))
	})
	return out
}

// showDraft is one page of a preview: the bytes that answer would serve, but for the
// addresses in it, which lead to the preview's other pages.
func (s *server) showDraft(w http.ResponseWriter, r *http.Request, who account.Session) {
	v, known := s.drafts.of(r.PathValue("draft"), who.Who, s.o.Now())
	i := slices.IndexFunc(v.facts.Sheet.Pages, func(p board.Page) bool { return p.ID == r.PathValue("page") })
	if !known || i < 0 {
		s.fail(w, who, noDraft())
		return
	}
	page := v.facts.Sheet.Pages[i]
	d, found, err := statuspage.At(board.Make(page, v.facts), statuspage.Options{Feeds: boardfeed.Links()}, "/"+r.PathValue("path"))
	switch {
	case err != nil:
		s.fail(w, who, err)
		return
	case !found:
		s.fail(w, who, noDraft())
		return
	}
	under := previewPath + r.PathValue("draft") + "/" + url.PathEscape(page.ID) + "/"
	body := d.Body
	if strings.HasPrefix(d.Type, "text/html") {
		body = moved(body, under)
	}
	h := w.Header()
	h.Set("Content-Type", d.Type)
	h.Set("X-Frame-Options", "SAMEORIGIN")
	h.Set("Content-Security-Policy", framed(d.Policy))
	_, _ = w.Write(body) // a reader that has gone away misses nothing
}

// framed is a page's own policy, of a page that we frame ourselves and that runs nothing.
func framed(policy string) string {
	var out []string
	for rule := range strings.SplitSeq(policy, ";") {
		name, _, _ := strings.Cut(strings.TrimSpace(rule), " ")
		if !slices.Contains([]string{"frame-ancestors", "script-src", "connect-src", "form-action", "sandbox"}, name) {
			out = append(out, strings.TrimSpace(rule))
		}
	}
	return strings.Join(append(out, "form-action 'none'", "frame-ancestors 'self'", "sandbox allow-same-origin"), "; ")
}

// moved has the addresses of a page begin elsewhere. Quotes in what people wrote are
// escaped, so that only our own attributes match.
func moved(body []byte, under string) []byte {
	for _, name := range []string{"href", "src"} {
		body = bytes.ReplaceAll(body, []byte(` `+name+`="/`), []byte(` `+name+`="`+under))
	}
	return body
}
