package web

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/account"
	"lifeboat/internal/api"
	"lifeboat/internal/board"
	"lifeboat/internal/fault"
)

// Board is what people write on the status page: the API goes by the same, and Preview
// shows what would come of it. *desk.Desk is one.
type Board interface {
	api.Board
	Sheet() board.Sheet
	Past() board.History
	Preview(who board.Who, c board.Command) (board.Sheet, board.Change, error)
}

// The rooms of the status page.
const (
	boardPath     = "/status-page"
	boardRefresh  = 15 // seconds
	pastOnBoard   = 20 // incidents and works that are over
	boardEvents   = 100
	incidentsPath = boardPath + "/incidents/"
	worksPath     = boardPath + "/maintenances/"
)

// noBoard is what somebody meets where there is no status page.
func noBoard() error {
	return fault.New(fault.NotFound, "there is no status page here").WithHint("write status: with a host in the configuration")
}

// statusPart is the first page of the room.
type statusPart struct {
	Tell, Plan ask
	Open       []publicRow
	Parts      []partRow
	Works      []workRow
	Rules      []ruleRow
	Templates  []templateRow
	Past       []publicRow
	Over       []workRow
	Pages      []boardAddress
	Reach      string
	Told       bool // there is a page of who is told
}

// publicRow is an incident as visitors are told of it.
type publicRow struct {
	board.Incident
	Name, Says, Impacts, Newest string
	Next                        string
	Update                      *ask
}

// partRow is a part of the service: what the checks say beside what is shown.
type partRow struct {
	ID, Name, Mark, Shown, Because, Measured, Checked string
	Override                                          *overrideRow
	Change                                            ask
}

type overrideRow struct {
	Words, By, Until, Reason string
	TakeBack                 ask
}

type workRow struct {
	board.Maintenance
	Name, Says, When, Parts string
	Go, Cancel              *ask
}

type ruleRow struct{ Title, Every, Lasts, Next, Announced string }

type templateRow struct{ Title, Text, Page string }

type boardAddress struct{ Name, URL, Languages, Private string }

// boardRoom is the room of the status page: how each part is shown and why, and what
// visitors are told.
func (s *server) boardRoom(w http.ResponseWriter, r *http.Request, who account.Session) {
	x, b, err := s.boardScope(r, who)
	if err != nil {
		s.fail(w, who, err)
		return
	}
	headline, lede := x.boardWords(b)
	p := s.room(who, x.o, boardPath, headline, lede)
	p.Say, p.Refresh, p.Live = s.said(r), boardRefresh, true
	part := statusPart{Tell: x.ask("board-open"), Plan: x.ask("board-plan"), Parts: x.parts(b), Rules: x.rules(), Pages: x.addresses()}
	part.Tell.Go = true
	incidents, works := board.Listed(s.o.Board.Records(), s.o.Now())
	for _, in := range incidents {
		if in.Open() {
			part.Open = append(part.Open, x.publicRow(in))
		} else if len(part.Past) < pastOnBoard {
			part.Past = append(part.Past, x.publicRow(in))
		}
	}
	for _, m := range works {
		if !m.Step.Over() {
			part.Works = append(part.Works, x.workRow(m))
		} else if len(part.Over) < pastOnBoard {
			part.Over = append(part.Over, x.workRow(m))
		}
	}
	for _, t := range s.o.Board.Settings().Templates {
		text := x.words(t.Text)
		part.Templates = append(part.Templates, templateRow{cmp.Or(x.words(t.Title), t.ID), cut(text, 200), "/lifeboat/board-open?" + url.Values{"template": {t.ID}}.Encode()})
	}
	if s.o.Reach != nil {
		part.Reach = s.o.Reach(nil)
	}
	part.Told = s.o.Subscribers != nil
	p.Body = part
	s.show(w, http.StatusOK, "board.html", p)
}

// boardScope gathers what the pages of the room need: the board as answer would make it
// now, of all sites.
func (s *server) boardScope(r *http.Request, who account.Session) (scope, board.Board, error) {
	x, err := s.scope(r.Context(), who, "", "", url.Values{})
	if err == nil && s.o.Board == nil {
		err = noBoard()
	}
	if err != nil {
		return x, board.Board{}, err
	}
	return x, board.Make(board.Page{Zone: s.boardZone()}, s.boardFacts(s.o.Board.Sheet())), nil
}

func (s *server) boardZone() string {
	if z := s.o.Board.Settings().Zone; z != nil {
		return z.String()
	}
	return ""
}

// boardFacts is all that a page is made of now, with a sheet.
func (s *server) boardFacts(sheet board.Sheet) board.Facts {
	for i := range sheet.Pages {
		sheet.Pages[i].Subscribe = nil // nobody can subscribe at a preview
	}
	f := board.Facts{Sheet: sheet, History: s.o.Board.Past(), Now: s.o.Now()}
	f.Ordered, f.Seen = s.o.Engine.Visible()
	return f
}

// boardWords say in two sentences what visitors read.
func (x scope) boardWords(b board.Board) (headline, lede string) {
	open, bad := len(b.Open()), 0
	for _, c := range b.Components {
		if c.State != board.Operational {
			bad++
		}
	}
	switch {
	case len(b.Components) == 0:
		headline = "Visitors are shown no part yet."
	case open == 0 && bad == 0:
		headline = "Visitors read that all works."
	case open == 1:
		headline = "Visitors read: " + ended(cut(x.words(b.Open()[0].Title), 100))
	case open > 1:
		headline = "Visitors read of " + count(open, "incident", "incidents") + "."
	case !slices.ContainsFunc(b.Components, func(c board.Component) bool {
		return c.State != board.Operational && c.State != board.Unknown
	}):
		headline = "Visitors read that we do not know."
	default:
		headline = "Visitors see that " + count(bad, "part does not work", "parts do not work") + " as it should."
		if bad > 1 {
			headline = "Visitors see that " + count(bad, "part", "parts") + " do not work as they should."
		}
	}
	switch pages := x.s.o.Board.Settings().Pages; len(pages) {
	case 0:
		lede = "No status page has a name of its own yet: write host: under status: in the configuration."
	case 1:
		lede = "Their page is at " + cmp.Or(pages[0].URL, "no address yet") + ". It goes on with this console gone."
	default:
		lede = "Their " + count(len(pages), "page", "pages") + " go on with this console gone."
	}
	return headline, lede
}

// words gives a text as the crew reads it: in the page's first language, or in English.
func (x scope) words(t board.Text) string {
	text, _ := t.In("", x.tongues()[0], "en")
	return text
}

func (x scope) parts(b board.Board) []partRow {
	records := x.s.o.Board.Records()
	var out []partRow
	for _, c := range b.Components {
		p := partRow{ID: c.ID, Name: cmp.Or(x.words(c.Name), c.ID), Mark: markOfState(c.State), Shown: stateWords[c.State], Because: x.because(c), Change: x.ask("board-override", "item", c.ID)}
		p.Change.Title, p.Change.Name = "Show it otherwise", "Show it otherwise: "+p.Name
		if c.Measured != "" {
			p.Measured = stateWords[c.Measured]
			p.Checked = "never"
			if !c.CheckedAt.IsZero() {
				p.Checked = spell(x.s.o.Now().Sub(c.CheckedAt).Truncate(time.Second)) + " ago"
			}
		}
		if o, set := records.Overrides[c.ID]; set && o.Holds(x.s.o.Now()) {
			v := overrideRow{Words: stateWords[o.State], By: cmp.Or(o.By, "somebody") + ", " + x.s.date(o.At), Until: "until it is taken back", Reason: x.words(o.Reason), TakeBack: x.ask("board-take-back", "item", c.ID)}
			if !o.Until.IsZero() {
				v.Until = "until " + x.s.date(o.Until)
			}
			v.TakeBack.Name = v.TakeBack.Title + ": " + p.Name
			p.Override = &v
		}
		out = append(out, p)
	}
	return out
}

// because says what decides the state that is shown.
func (x scope) because(c board.Component) string {
	switch c.Why {
	case board.ByOverride:
		return "A person said so."
	case board.ByIncident:
		return "An incident says so."
	case board.ByMaintenance:
		return "Work is under way."
	case board.ByOrder:
		return "Visitors are given the standby page."
	case board.ByNobody:
		return "Nobody said otherwise."
	}
	return "The checks say so."
}

func (x scope) publicRow(in board.Incident) publicRow {
	v := publicRow{Incident: in, Name: x.words(in.Title), Says: publicSteps[in.Step], Impacts: impactWords[in.Impact]}
	if in.Story != nil {
		v.Says = publicSteps[board.Resolved]
	}
	if in.Impact == board.ImpactNone && in.Given == "" && in.Open() { // nobody knows that it has none
		v.Impacts = "effect not said yet"
	}
	if n := len(in.Updates); n > 0 {
		v.Newest = x.words(in.Updates[n-1].Text)
	}
	if in.Open() {
		a := x.ask("board-update", "item", in.ID)
		a.Name, v.Update = a.Title+": "+v.Name, &a
		if !in.NextDue.IsZero() {
			v.Next = "News was promised for " + x.s.clock(in.NextDue) + "."
			if in.NextDue.Before(x.s.o.Now()) {
				v.Next = "News was promised for " + x.s.clock(in.NextDue) + ", which is over."
			}
		}
	}
	return v
}

func (x scope) workRow(m board.Maintenance) workRow {
	v := workRow{Maintenance: m, Name: x.words(m.Title), Says: publicSteps[m.Step], When: x.s.date(m.From) + " to " + x.s.date(m.Until), Parts: listed(x.named(m.Components))}
	switch {
	case m.Step == board.Scheduled:
		v.Go = x.workAsk(m, board.InProgress, "Begin now")
		c := x.ask("board-cancel", "item", m.ID)
		c.Name, v.Cancel = c.Title+": "+v.Name, &c
	case !m.Step.Over():
		v.Go = x.workAsk(m, board.Completed, "It is done")
	}
	return v
}

func (x scope) workAsk(m board.Maintenance, to board.Step, title string) *ask {
	a := x.ask("board-work", "item", m.ID, "step", string(to))
	a.Title, a.Name = title, title+": "+x.words(m.Title)
	return &a
}

// named are the names of components.
func (x scope) named(ids []string) []string {
	var out []string
	for _, id := range ids {
		out = append(out, x.partName(id))
	}
	return out
}

func (x scope) partName(id string) string {
	for _, d := range x.s.o.Board.Settings().Components {
		if d.ID == id {
			return cmp.Or(x.words(d.Name), id)
		}
	}
	return id
}

// rules are the works that recur, and when they do next.
func (x scope) rules() []ruleRow {
	set := x.s.o.Board.Settings()
	zone := set.Zone
	if zone == nil {
		zone = time.UTC
	}
	var out []ruleRow
	for _, r := range set.Rules {
		out = append(out, ruleRow{x.words(r.Title), r.Every.String(), spell(r.Lasts), x.s.date(r.Every.Next(x.s.o.Now(), zone)), spell(r.Announce)})
	}
	return out
}

func (x scope) addresses() []boardAddress {
	var out []boardAddress
	for _, p := range x.s.o.Board.Settings().Pages {
		a := boardAddress{Name: p.Name, URL: p.URL}
		var tongues []string
		for _, tag := range p.Languages {
			tongues = append(tongues, tongue(tag))
		}
		a.Languages = listed(tongues)
		switch {
		case p.Private == nil:
			a.Private = "everybody may read it"
		case p.Private.Hash != "" && p.Private.SignIn:
			a.Private = "for those who know its password, or who sign in"
		case p.Private.SignIn:
			a.Private = "for those who sign in"
		default:
			a.Private = "for those who know its password"
		}
		out = append(out, a)
	}
	return out
}

// publicPart is the page of one incident: what was told, and what can be done about it.
type publicPart struct {
	publicRow
	Began, Parts, Crew   string
	Messages             []messagePart
	Act                  []ask
	Edit, Attach, Story  *ask
	Told                 string
	StoryOff             *ask
	Addresses, CrewWrite string
}

type messagePart struct {
	board.Update
	Says    string
	Changes []string
	Texts   []spoken
	Correct *ask
}

// spoken is a text in one language.
type spoken struct{ Tongue, Lang, Text string }

// boardIncident is one incident of the status page.
func (s *server) boardIncident(w http.ResponseWriter, r *http.Request, who account.Session) {
	x, _, err := s.boardScope(r, who)
	var in board.Incident
	if err == nil {
		in, err = x.oneIncident(r.PathValue("item"))
	}
	if err != nil {
		s.fail(w, who, err)
		return
	}
	v := publicPart{publicRow: x.publicRow(in), Began: s.date(in.StartedAt), Parts: listed(x.named(in.Components)), Messages: x.messages(in.Updates, "board-edit", in.ID)}
	lede := sentence(v.Says)
	if in.Crew != "" {
		v.Crew = in.Crew
		lede += " It comes from an incident of the crew: what they tell the public is here by itself."
	}
	if in.Open() {
		v.Act = []ask{*v.Update}
		v.Act[0].Go = true
	}
	edit := x.ask("board-edit", "item", in.ID)
	edit.Title = "Correct its title or impact"
	v.Edit = &edit
	attach := x.ask("board-attach", "item", in.ID)
	v.Attach = &attach
	if !in.Open() {
		story := x.ask("board-story", "item", in.ID)
		if in.Story != nil {
			story.Title = "Write it anew"
			off := x.ask("board-story-off", "item", in.ID)
			v.StoryOff, v.Told = &off, x.words(in.Story.Text)
		}
		v.Story = &story
	}
	p := s.room(who, x.o, boardPath, ended(v.Name), lede)
	p.Say, p.Body, p.Where = s.said(r), v, []string{"Status page"}
	s.show(w, http.StatusOK, "boardincident.html", p)
}

// messages are updates with the form that corrects each, newest first.
func (x scope) messages(list []board.Update, correct, item string) []messagePart {
	var out []messagePart
	for _, u := range slices.Backward(list) {
		m := messagePart{Update: u, Says: publicSteps[u.Step], Texts: x.spoken(u.Text)}
		for _, a := range u.Affected {
			if a.Old != a.New {
				m.Changes = append(m.Changes, x.partName(a.Component)+": "+stateWords[a.New])
			}
		}
		if correct != "" {
			a := x.ask(correct, "item", item, "update", u.ID)
			a.Title, a.Name = "Correct it", "Correct it: the message of "+x.s.date(u.At)
			m.Correct = &a
		}
		out = append(out, m)
	}
	return out
}

// spoken is a text in all its languages, the page's first one first.
func (x scope) spoken(t board.Text) []spoken {
	var out []spoken
	for _, tag := range append([]string{""}, sortedTags(t)...) {
		if t[tag] == "" || tag == "" && len(out) > 0 {
			continue
		}
		lang := cmp.Or(tag, x.tongues()[0])
		out = append(out, spoken{tongue(lang), lang, t[tag]})
	}
	return out
}

func sortedTags(t board.Text) []string {
	var out []string
	for tag := range t {
		if tag != "" {
			out = append(out, tag)
		}
	}
	slices.Sort(out)
	return out
}

func (x scope) oneIncident(id string) (board.Incident, error) {
	if x.s.o.Board == nil {
		return board.Incident{}, noBoard()
	}
	in, known := x.s.o.Board.Records().Incidents[id]
	if !known {
		return in, fault.New(fault.NotFound, "there is no such incident on the status page").WithHint("look under Status page")
	}
	return in, nil
}

func (x scope) oneWork(id string) (board.Maintenance, error) {
	if x.s.o.Board == nil {
		return board.Maintenance{}, noBoard()
	}
	m, known := x.s.o.Board.Records().Maintenances[id]
	if !known || m.Cancelled {
		return m, fault.New(fault.NotFound, "there is no such work on the status page").WithHint("look under Status page")
	}
	return m.At(x.s.o.Now()), nil
}

// workPart is the page of one work.
type workPart struct {
	workRow
	Messages []messagePart
	Act      []ask
	Edit     *ask
	Recurs   string
}

// boardWork is one work of the status page.
func (s *server) boardWork(w http.ResponseWriter, r *http.Request, who account.Session) {
	x, _, err := s.boardScope(r, who)
	var m board.Maintenance
	if err == nil {
		m, err = x.oneWork(r.PathValue("item"))
	}
	if err != nil {
		s.fail(w, who, err)
		return
	}
	v := workPart{workRow: x.workRow(m), Messages: x.messages(m.Updates, "", m.ID)}
	lede := sentence(v.Says) + " " + sentence(v.When)
	if m.Rule != "" {
		v.Recurs = m.Rule
	}
	if !m.Step.Over() {
		tell := x.ask("board-work", "item", m.ID)
		edit := x.ask("board-work-edit", "item", m.ID)
		v.Act, v.Edit = []ask{*v.Go, tell}, &edit
		if !m.ByHand {
			lede += " It begins and ends by the clock, unless somebody says so earlier."
		}
	}
	p := s.room(who, x.o, boardPath, ended(v.Name), lede)
	p.Say, p.Body, p.Where = s.said(r), v, []string{"Status page"}
	s.show(w, http.StatusOK, "boardwork.html", p)
}

// boardHistory is what people did on the status page.
func (s *server) boardHistory(w http.ResponseWriter, r *http.Request, who account.Session) {
	x, _, err := s.boardScope(r, who)
	var events []board.Event
	if err == nil {
		events, err = s.o.Board.Events(r.Context())
	}
	if err != nil {
		s.fail(w, who, err)
		return
	}
	p := s.room(who, x.o, boardPath, "What people did here.", "Newest first. None of these names leaves for the public.")
	p.Where, p.Body = []string{"Status page"}, events[:min(len(events), boardEvents)]
	s.show(w, http.StatusOK, "boardhistory.html", p)
}

// The words for states, steps and impacts: those of the status page in English.
var (
	stateWords = map[board.State]string{
		board.Operational: "works", board.Degraded: "slow or unsteady", board.Partial: "works in part", board.Major: "does not work",
		board.Maintained: "planned work", board.Unknown: "we do not know",
	}
	publicSteps = map[board.Step]string{
		board.Investigating: "We are looking into it", board.Identified: "We know what it is", board.Monitoring: "It is mended, and we are watching",
		board.Resolved: "It is over", board.Postmortem: "It is over, and written up", board.Scheduled: "Planned", board.InProgress: "Under way", board.Verifying: "We are checking the work", board.Completed: "Done",
	}
	impactWords = map[board.Impact]string{
		board.ImpactNone: "no effect", board.ImpactMinor: "small effect", board.ImpactMajor: "large effect", board.ImpactCritical: "very large effect", board.ImpactMaintenance: "planned work",
	}
)

// markOfState is the sign beside a state: never its colour alone.
func markOfState(s board.State) string {
	switch s {
	case board.Operational:
		return markDone
	case board.Unknown, "":
		return "unknown"
	case board.Maintained:
		return "now"
	}
	return markFault
}

// tongue is what a language is called.
func tongue(tag string) string {
	names := map[string]string{"en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "nl": "Dutch", "pl": "Polish", "pt": "Portuguese", "da": "Danish", "sv": "Swedish"}
	return cmp.Or(names[strings.ToLower(tag)], tag)
}

// tongues are the languages that visitors are told in, the page's first one first.
func (x scope) tongues() []string {
	out := []string{}
	if x.s != nil && x.s.o.Board != nil {
		for _, p := range x.s.o.Board.Settings().Pages {
			for _, tag := range p.Languages {
				if !slices.Contains(out, tag) {
					out = append(out, tag)
				}
			}
		}
	}
	if len(out) == 0 {
		return []string{"en"}
	}
	return out
}
