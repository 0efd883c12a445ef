package standby

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/fault"
	"lifeboat/internal/statuspage"
)

// restEvery is how old the pages may get in which no age is told.
const restEvery = time.Minute

// More makes other forms of a board, by path: feeds, badges and the like. A path that is
// a page's already is the page's.
type More func(b board.Board) (map[string]statuspage.Document, error)

// Statuses makes the documents of status pages and keeps what has not changed. It
// belongs to one goroutine at a time.
type Statuses struct {
	More  []More
	Feeds []statuspage.Feed // that the pages link to

	kept map[string]*kept     // by page
	last map[string]*Statused // likewise
}

// kept are the documents of a page that are not made anew each time.
type kept struct {
	like string // what they were made of
	at   time.Time
	rest map[string]statuspage.Document
	asks asks
}

// Statused is a status page, ready to be served at its names.
type Statused struct {
	page      board.Page
	docs      map[string]notice
	languages []string
	lock      map[string]notice // what those are given who may not read it, by trouble and language
	missing   map[string]notice // by language

	board   board.Board // what pages are made of that are made for one request
	options statuspage.Options
	ready   map[string]notice // those of asks
}

// notice is a document of a status page, ready to be sent.
type notice struct {
	*stored
	status int
}

// Render makes the pages of a sheet. version names the sheet and history: while it and
// the states stay, only what tells ages is made anew.
func (s *Statuses) Render(f board.Facts, version string) ([]*Statused, error) {
	next, last := map[string]*kept{}, map[string]*Statused{}
	var out []*Statused
	for _, page := range f.Sheet.Pages {
		b := board.Make(page, f)
		k, err := s.rest(b, version)
		if err != nil {
			return nil, fmt.Errorf("render status page %s: %w", page.ID, err)
		}
		next[page.ID] = k
		p, err := s.page(b, k)
		if err != nil {
			return nil, fmt.Errorf("render status page %s: %w", page.ID, err)
		}
		out, last[page.ID] = append(out, p), p
	}
	s.kept, s.last = next, last
	return out, nil
}

func (s *Statuses) options() statuspage.Options {
	return statuspage.Options{Feeds: s.Feeds}
}

// rest gives the documents that tell no age, as they are kept or anew.
func (s *Statuses) rest(b board.Board, version string) (*kept, error) {
	like := version + b.UpdatedAt.String()
	for _, c := range b.Components {
		like += "," + string(c.State)
	}
	for _, m := range b.Maintenances {
		like += "," + string(m.Step)
	}
	if k := s.kept[b.Page.ID]; k != nil && k.like == like && b.Now.Sub(k.at) < restEvery && !b.Now.Before(k.at) {
		return k, nil
	}
	docs, err := statuspage.Rest(b, s.options())
	if err != nil {
		return nil, err
	}
	asks, err := makeAsks(b, s.options())
	if err != nil {
		return nil, err
	}
	return &kept{like, b.Now, docs, asks}, nil
}

func (s *Statuses) page(b board.Board, k *kept) (*Statused, error) {
	before := s.last[b.Page.ID]
	if before == nil {
		before = &Statused{}
	}
	p := &Statused{page: b.Page, docs: map[string]notice{}, lock: map[string]notice{}, missing: map[string]notice{}, languages: statuspage.Offered(b.Page),
		board: b, options: s.options(), ready: map[string]notice{}}
	for key, d := range k.asks {
		p.ready[key] = p.tell(d, before.ready[key])
	}
	fresh, err := statuspage.Fresh(b, s.options())
	if err != nil {
		return nil, err
	}
	for _, more := range s.More {
		docs, err := more(b)
		if err != nil {
			return nil, err
		}
		p.keep(docs, before)
	}
	p.keep(k.rest, before)
	p.keep(fresh, before)
	p.keep(map[string]statuspage.Document{robotsPath: {Type: plainText[0], Body: []byte(p.robots())}}, before)
	for _, tag := range p.languages {
		d, err := statuspage.Missing(b, s.options(), tag)
		if err != nil {
			return nil, err
		}
		p.missing[tag] = p.tell(d, before.missing[tag])
		if b.Page.Private == nil {
			continue
		}
		for _, t := range statuspage.Troubles() {
			d, err := statuspage.Lock(b.Page, s.options(), tag, t, b.Now)
			if err != nil {
				return nil, err
			}
			p.lock[string(t)+tag] = p.tell(d, before.lock[string(t)+tag])
		}
	}
	return p, nil
}

func (p *Statused) keep(docs map[string]statuspage.Document, before *Statused) {
	for path, d := range docs {
		p.docs[path] = p.tell(d, before.docs[path])
	}
}

// tell stores a document; what was stored of it before, with the same bytes, is taken.
func (p *Statused) tell(d statuspage.Document, before notice) notice {
	h := http.Header{"Content-Security-Policy": {cmp.Or(d.Policy, "default-src 'none'")}, "Vary": statusVaries}
	if d.Lang != "" {
		h["Content-Language"] = []string{d.Lang}
	}
	t := notice{store(Document{Type: d.Type, Bytes: d.Body, Header: h}, before.stored), cmp.Or(d.Status, http.StatusOK)}
	if p.page.Private != nil {
		h["Vary"] = privateVaries
		t.cache = []string{"private, no-cache"}
	}
	return t
}

var (
	statusVaries  = []string{"Accept, Accept-Encoding, Accept-Language, Content-Type, User-Agent"}
	privateVaries = []string{"Accept, Accept-Encoding, Accept-Language, Authorization, Content-Type, Cookie, User-Agent"}
)

// AddStatus puts status pages into a View that nobody serves yet. A name that belongs to
// a site is left to it, and told as an error of kind Invalid; the others are there.
func (v *View) AddStatus(pages []*Statused) error {
	var failed error
	for _, p := range pages {
		site := ""
		if len(p.page.Sites) == 1 {
			site = p.page.Sites[0]
		}
		h := &host{site: site, kind: statusHost, status: p}
		for _, name := range p.page.Hosts {
			key, ok := hostName(name)
			switch other := v.hosts[key]; {
			case !ok:
				failed = errors.Join(failed, fault.New(fault.Invalid, "%q is not a host name", name).At("status"))
			case other != nil:
				failed = errors.Join(failed, fault.New(fault.Invalid, "the name %s belongs to site %s already", key, other.site).
					At("status").WithHint("a name can lead to one site only, and a status page needs a name of its own"))
			default:
				v.hosts[key] = h
			}
		}
	}
	return failed
}

// serveStatus answers at the status page's own name.
func (t target) serveStatus(w http.ResponseWriter, r *http.Request, s *Server, form string) {
	h := w.Header()
	p := t.status
	if p.page.Private == nil {
		h.Set("Access-Control-Allow-Origin", "*")
	}
	switch {
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
	case r.Method == http.MethodOptions:
		preflight(w, r)
		return
	case r.Method == http.MethodPost && r.URL.Path == unlockPath && p.page.Private != nil:
		p.unlock(w, r, s, form)
		return
	default:
		h.Set("Allow", "GET, HEAD, OPTIONS")
		text(w, r, http.StatusMethodNotAllowed, "This page can only be read.\n")
		return
	}
	if r.URL.Path == robotsPath {
		p.docs[robotsPath].answer(w, r)
		return
	}
	if p.page.Private != nil {
		if p.page.Private.SignIn && r.URL.Path == statuspage.PathSignIn {
			p.toConsole(w, r)
			return
		}
		if ok, trouble := p.admits(r, s); !ok {
			p.refuse(w, r, trouble)
			return
		}
	}
	t.countStatus(r)
	d, known := p.find(r)
	if !known {
		d = p.missing[p.language(r)]
	}
	d.answer(w, r)
}

func (t target) countStatus(r *http.Request) {
	if r.Header[CheckHeader] != nil {
		t.count.checks.Add(1)
		return
	}
	t.count.status.Add(1)
}

func (p *Statused) robots() string {
	if p.page.Private != nil {
		return "User-agent: *\nDisallow: /\n"
	}
	return robots
}

const robotsPath = "/robots.txt"

// find gives the document of an address: at the first page in the form and the language
// that is asked for.
func (p *Statused) find(r *http.Request) (notice, bool) {
	path := r.URL.Path
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	if lang := strings.TrimPrefix(path, "/"); slices.Contains(p.languages, lang) {
		path += "/"
	}
	form := ""
	switch {
	case wantsJSON(r):
		form = "status.json"
	case wantsText(r):
		form = "status.txt"
	}
	if form != "" && strings.HasSuffix(path, "/") {
		path += form
	}
	if first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/"); !slices.Contains(p.languages, first) {
		if d, known := p.docs["/"+p.language(r)+path]; known {
			return d, true
		}
	}
	d, known := p.docs[path]
	return d, known
}

// language is the first of the page's that the reader would have (RFC 9110 section
// 12.5.4), or the page's own.
func (p *Statused) language(r *http.Request) string {
	best, most := p.languages[0], 0.0
	for element := range elements(r.Header.Values("Accept-Language")) {
		tag, q := weigh(element)
		for _, known := range p.languages {
			if q > most && (tag == strings.ToLower(known) || strings.HasPrefix(tag, strings.ToLower(known)+"-")) {
				best, most = known, q
			}
		}
	}
	return best
}

// wantsText: who asks from a terminal is given text, unless HTML is asked for by name.
func wantsText(r *http.Request) bool {
	plain, page := 0.0, 0.0
	for element := range elements(r.Header.Values("Accept")) {
		switch kind, q := weigh(element); kind {
		case "text/plain":
			plain = max(plain, q)
		case "text/html", "application/xhtml+xml":
			page = max(page, q)
		}
	}
	if plain > 0 || page > 0 {
		return plain > page
	}
	agent, _, _ := strings.Cut(r.UserAgent(), "/")
	return slices.Contains([]string{"curl", "Wget", "wget", "HTTPie", "xh", "fetch"}, agent)
}

// answer sends a document, or says that it has not changed.
func (t notice) answer(w http.ResponseWriter, r *http.Request) {
	if t.status == http.StatusOK {
		t.serve(w, r)
		return
	}
	for name, values := range t.more {
		w.Header()[name] = values
	}
	t.send(w, r, t.status)
}
