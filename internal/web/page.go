package web

import (
	"bytes"
	"cmp"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"lifeboat/internal/account"
	"lifeboat/internal/engine"
	"lifeboat/internal/incident"
	"lifeboat/internal/probe"
	"lifeboat/internal/role"
)

// page is what every page is made of. A site's page has one sentence of state, at most
// one box, and beside it what is known.
type page struct {
	Title   string
	Style   template.CSS
	Demo    demoLine
	Who     account.Session
	Refresh int  // seconds; 0: the page does not reload itself
	Live    bool // it keeps itself as things are now, where scripts run
	Script  template.JS
	Say     message
	Banners []string

	Bare     bool   // nobody is signed in: no rooms
	Room     bool   // a room: no steps, a flat sea
	At       string // which room
	Rows     bool   // rows can be taken out of databases
	Zones    bool   // records of zones can be edited
	Public   bool   // there is a status page
	Waiting  int    // messages that could not go out yet
	Drill    bool
	Where    []string // the first one in bold
	Headline string
	Lede     string
	Clock    clock
	Step     int // 1 to 4; 0: calm, 5: after
	Steps    []step
	Sea      sea

	Site     string
	Incident string // id, where there is one to link to
	Notices  []notice
	Lead     template.HTML // above the box
	Box      *box
	Others   []ask
	Main     template.HTML // below it
	Board    template.HTML // over the whole width
	Side     template.HTML // beside it: a picture
	Places   []placeLine
	Ordered  string
	Heard    []string // who has heard of a closed feature
	Seen     string   // how old what is seen is
	Note     noteForm
	Log      []soFar
	Back     string // a form's page: where leaving it leads
	May      string // why hardly anything can be pressed
	Keel     keel
	Body     any // of a room
}

// demoLine is the line on top of every page of a demo: where its shop is broken is a
// link, and what is for a terminal shows where there is room.
type demoLine struct{ Text, Link, Rest string }

func demoOf(s string) demoLine {
	at := strings.Index(s, "http://")
	if at < 0 {
		return demoLine{Text: s}
	}
	link, rest, more := strings.Cut(s[at:], " ")
	if more {
		rest = " " + rest
	}
	return demoLine{s[:at], link, rest}
}

// box is the one thing that somebody is about to do.
type box struct {
	Title  string
	Before template.HTML
	Ask    ask
	Link   bool // the form has a page of its own
	Bare   bool // without a frame: all that there is to do
	After  template.HTML
}

func boxOf(a ask) *box {
	a.Go = true
	a.numbered()
	return &box{Ask: a}
}

// linked is a box whose button leads to the form's own page.
func linked(a ask) *box {
	b := boxOf(a)
	b.Link = true
	return b
}

// clock is the time that counts: since the call, or of now.
type clock struct{ Big, Since, Local, UTC string }

type step struct {
	N     int
	Label string
	Class string
}

// sea is how things stand before a word is read.
type sea struct {
	Width int
	Path  string
}

var seas = []sea{
	{56, "M0 12H56"},
	{50, "M0 12C9.1 1.6 15.9 1.6 25 12S40.9 22.4 50 12"},
	{84, "M0 12C15.3 6.6 26.7 6.6 42 12S68.7 17.4 84 12"},
	{84, "M0 12C15.3 6.6 26.7 6.6 42 12S68.7 17.4 84 12"},
	{132, "M0 12C24 8.6 42 8.6 66 12S108 15.4 132 12"},
	{56, "M0 12H56"},
}

// notice is a line above the box: what waits for somebody.
type notice struct {
	Text, Href, Link string
	Amber            bool
}

// noteForm is the box for notes, or the link to it where the page reloads itself.
type noteForm struct {
	Ask  *ask
	Link string
	Hint string
}

// placeLine is what is seen of a place.
type placeLine struct {
	Hours                   []hourLine // of its checks
	Place, Words, Age, Mark string
	Details                 []string
}

// keel is the foot of every page.
type keel struct {
	Safety   *ask
	Off      string // why it can't be pressed
	To       string // where it leads
	Contacts []engine.Contact
}

// finish adds what follows from the rest.
func (p *page) finish() {
	p.Sea = seas[min(max(p.Step, 0), 5)]
	if p.Room {
		p.Sea = seas[0]
	}
	for i, label := range []string{"Get safe", "Find out", "Fix", "Go back"} {
		s := step{N: i + 1, Label: label}
		switch {
		case s.N == p.Step:
			s.Class = "now"
		case s.N < p.Step:
			s.Class = "done"
		}
		p.Steps = append(p.Steps, s)
	}
	if p.May == "" && !p.Bare && p.Who.Role == role.Viewer {
		p.May = "Your role, viewer, looks at everything and changes nothing. Somebody with the role reporter or above can press."
	}
}

// part renders a piece of a page.
func (x scope) part(name string, data any) template.HTML {
	var b bytes.Buffer
	if err := x.s.pages.ExecuteTemplate(&b, name, data); err != nil {
		x.s.o.Logger.Error("a part of a page could not be rendered", "part", name, "cause", err)
		return ""
	}
	return template.HTML(b.String()) //nolint:gosec // html/template has escaped it
}

// blank is a page of a site with all that does not depend on the moment.
func (x scope) blank() page {
	p := page{
		Who: x.who, Banners: banners(x.o), Waiting: x.o.Waiting, At: "/", Site: x.v.ID, Keel: keel{Contacts: x.o.Contacts},
		Clock: clock{Big: x.s.clock(x.now()), Since: "now", UTC: beside(x.now(), x.s.o.Zone)},
		Where: []string{cmp.Or(x.v.Title, x.v.ID)},
	}
	if len(x.o.Sites) > 1 || len(x.v.Names) > 0 {
		p.Where = append(p.Where, listed(x.v.Names))
	}
	if x.in != nil {
		p.Incident, p.Drill = x.in.ID, x.in.Drill && x.open()
	}
	if x.open() {
		p.Where = append([]string{phaseWords(x.in.Phase)}, p.Where...)
		p.Clock = clock{Big: wholeSeconds(x.now().Sub(x.in.DeclaredAt)), Since: "since " + x.s.clock(x.in.DeclaredAt), Local: x.s.clock(x.now()), UTC: beside(x.now(), x.s.o.Zone)}
	}
	x.beside(&p)
	x.keel(&p)
	return p
}

// beside fills the column of what is known.
func (x scope) beside(p *page) {
	p.Ordered = "Visitors go to " + placeWords(x.v.Ordered.Position)
	if x.v.Ordered.Home {
		p.Ordered += " (home)"
	}
	p.Ordered += "."
	if slices.ContainsFunc(x.v.Levers, func(l engine.LeverView) bool { return l.Kind == "feature" && l.State != "free" }) {
		p.Heard = x.s.heard(x.o)
	}
	if p.Side == "" && x.open() && x.v.Ordered.Position == "standby" {
		p.Side = x.arrivalsPicture(x.s.o.Engine.Arrivals(x.v.ID))
	}
	oldest, hours := int64(-1), x.s.o.Engine.Hours(x.v.ID)
	for _, s := range x.v.Seen {
		oldest = max(oldest, s.AgeMS)
		line := placeOf(s)
		if s.Role == "home" { // of the others it is enough how they are
			line.Hours = x.hours(s.Place, hours)
		}
		p.Places = append(p.Places, line)
	}
	if oldest >= 0 {
		p.Seen = tenths(oldest)
	}
	p.Log = x.soFar()
	if x.open() {
		a := x.ask("note")
		a.ID, a.Title, a.Terms, a.Small = "note-", "Keep", terms{}, true
		p.Note = noteForm{Ask: &a, Hint: "What, and when"}
		p.Back = sitePath(x)
	}
}

func placeOf(s engine.PlaceView) placeLine {
	l := placeLine{Place: sentencePlace(s.Place), Words: "we do not know", Mark: markSeen, Age: "never"}
	switch s.Seen {
	case probe.Up:
		l.Words, l.Mark = "answers", markDone
	case probe.Down:
		l.Words, l.Mark = "does not answer as it should", markFault
	}
	if s.AgeMS >= 0 {
		l.Age = tenths(s.AgeMS)
	}
	for _, c := range s.Checks {
		if c.Last.Verdict != probe.Pass && c.Last.Detail != "" && len(l.Details) < 3 {
			l.Details = append(l.Details, c.Check+": "+cut(c.Last.Detail, 160))
		}
	}
	return l
}

func sentencePlace(place string) string {
	if place == "standby" {
		return "The status page"
	}
	return place
}

// keel decides what the way to safety is right now.
func (x scope) keel(p *page) {
	if !x.open() || x.past {
		return
	}
	switch in := *x.in; {
	case in.Phase == incident.FailBack || in.Phase == incident.Watch:
		a := x.ask("step-back")
		p.Keel.Safety, p.Keel.To = &a, "it is pulled again"
		if ids := in.Returned(); len(ids) == 0 {
			p.Keel.To = "the return ends here"
		}
	case len(in.Loose()) > 0 && !x.stand().Hurt():
		p.Keel.Off = "a lever is pulled"
		if x.stand().Safe() {
			p.Keel.Off = "visitors are safe now"
		}
	case in.Phase == incident.FailOver:
		p.Keel.Off = "nobody has moved yet"
	default:
		l, found := x.best()
		if !found || !x.usable(l.Kind, l.To) {
			p.Keel.Off = "no lever is free"
			break
		}
		a := x.ask("pull", "lever", l.Name)
		p.Keel.Safety, p.Keel.To = &a, cut(l.Title, 28)
		if l.Kind == "zone" {
			p.Keel.To = "to " + cut(placeWords(l.To), 28)
		}
	}
	if p.Keel.Safety != nil {
		a := p.Keel.Safety
		a.ID, a.Title, a.Terms = "keel-", "Go back to safety", terms{}
		if a.Off != "" {
			p.Keel.Off, p.Keel.Safety = a.Off, nil
		}
	}
}

// calm says that a page may look again by itself after some seconds: then it has no
// field to type into.
func (p *page) calm(seconds int) {
	p.Refresh = seconds
	if p.Note.Ask != nil {
		p.Note.Link, p.Note.Ask = p.Note.Ask.Page, nil
	}
}

// banners are what stands above everything else.
func banners(o engine.Overview) []string {
	var out []string
	if !o.Answer.Connected {
		out = append(out, "The answer process is not connected. It goes on as it was told last; a lever can be pulled on its machine with: lifeboat answer pull LEVER.")
	} else if o.Answer.Problem != "" {
		out = append(out, "The answer process has a problem: "+o.Answer.Problem+".")
	}
	if o.Record.Degraded {
		out = append(out, "The record is degraded: "+o.Record.Reason+". Everything works, and what happens is kept aside until it can be written.")
	}
	return out
}

// room is the frame of a page that is about no one site.
func (s *server) room(who account.Session, o engine.Overview, at, headline, lede string) page {
	return page{
		Title: headline, Who: who, Room: true, At: at, Headline: headline, Lede: lede, Banners: banners(o), Waiting: o.Waiting,
		Keel: keel{Contacts: o.Contacts}, Clock: clock{Big: s.clock(s.o.Now()), UTC: beside(s.o.Now(), s.o.Zone)},
	}
}

// home is the one site's page, or the list of sites.
func (s *server) home(w http.ResponseWriter, r *http.Request, who account.Session) {
	o, err := s.o.Engine.Overview(r.Context())
	if err != nil {
		s.fail(w, who, err)
		return
	}
	if len(o.Sites) == 1 {
		s.showSite(w, r, scope{s: s, who: who, o: o, v: o.Sites[0], in: o.Sites[0].Incident, args: r.URL.Query()})
		return
	}
	s.showSites(w, r, who, o)
}

// site is one site's page.
func (s *server) site(w http.ResponseWriter, r *http.Request, who account.Session) {
	x, err := s.scope(r.Context(), who, r.PathValue("site"), "", r.URL.Query())
	if err != nil {
		s.fail(w, who, err)
		return
	}
	if ask := x.arg("ask"); ask != "" { // a form by the name that it had in an address of old
		q := url.Values{}
		if l := x.arg("lever"); l != "" {
			q.Set("lever", l)
		}
		http.Redirect(w, r, "/sites/"+url.PathEscape(x.v.ID)+"/"+url.PathEscape(ask)+"?"+q.Encode(), http.StatusSeeOther)
		return
	}
	s.showSite(w, r, x)
}

func (s *server) showSite(w http.ResponseWriter, r *http.Request, x scope) {
	p := x.page(x.arg("see"))
	p.Back = ""
	p.Say = s.said(r)
	if p.Title == "" {
		p.Title = p.Headline
	}
	p.Title, p.Live = fmt.Sprintf("%s – %s", cut(p.Title, 100), x.v.Title), true
	s.show(w, http.StatusOK, "site.html", p)
}

// home is where leaving a form leads.
func (p page) home(x scope) string {
	switch {
	case x.past && x.in != nil:
		return "/incidents/" + url.PathEscape(x.in.ID)
	case x.v.ID != "":
		return sitePath(x)
	}
	return "/"
}

// siteLine is a site in the list of all.
type siteLine struct {
	ID, Title, Sentence, Place string
	Names                      string
	Ready                      string
	Armed                      bool
	Drill, Open                bool
	Call                       *ask // while nobody has called it
}

func (s *server) showSites(w http.ResponseWriter, r *http.Request, who account.Session, o engine.Overview) {
	var sites []siteLine
	busy := 0
	for _, v := range o.Sites {
		x := scope{s: s, who: who, o: o, v: v, in: v.Incident, args: url.Values{}, bare: true}
		p := x.page("")
		l := siteLine{ID: v.ID, Title: v.Title, Sentence: p.Headline, Place: placeWords(v.Ordered.Position), Names: listed(v.Names), Drill: p.Drill, Open: x.open()}
		if best, found := x.best(); found {
			l.Ready, l.Armed = best.Title+". "+rehearsed(best, o.Now), best.Armed
		}
		if !x.open() {
			call := x.ask("declare")
			call.Small, call.Name = true, call.Title+": "+v.Title
			l.Call = &call
		}
		if x.open() || p.Headline != wellHeadline {
			busy++
		}
		sites = append(sites, l)
	}
	headline, lede := wellHeadline, "Open a site if something looks wrong there. You cannot break anything: every first step can be taken back."
	switch {
	case len(o.Sites) == 0:
		headline, lede = "No site is configured.", "Add one to the configuration file, and start lifeboat again."
	case busy > 0:
		headline = fmt.Sprintf("%s to look at.", count(busy, "site", "sites"))
	}
	p := s.room(who, o, "/", headline, lede)
	p.Refresh, p.Live, p.Say, p.Body = 10, true, s.said(r), sites
	s.show(w, http.StatusOK, "sites.html", p)
}
