package web

import (
	"context"
	"html/template"
	"net/http"
	"slices"
	"sync"
	"time"

	"lifeboat/internal/account"
	"lifeboat/internal/incident"
)

// incidents is the list of all incidents.
func (s *server) incidents(w http.ResponseWriter, r *http.Request, who account.Session) {
	heads, err := s.o.Engine.Incidents(r.Context())
	if err != nil {
		s.fail(w, who, err)
		return
	}
	o, err := s.o.Engine.Overview(r.Context())
	if err != nil {
		s.fail(w, who, err)
		return
	}
	slices.Reverse(heads)
	p := s.room(who, o, "/incidents", count(len(heads), "incident", "incidents")+".", "Each with its timeline, its evidence and its write-up. More reports are healthier.")
	if len(heads) == 0 {
		p.Headline, p.Lede = "There was none yet.", ""
	}
	p.Body = heads[:min(len(heads), maxRows)]
	s.show(w, http.StatusOK, "incidents.html", p)
}

// eventRow is an event as it is told, with what corrects it.
type eventRow struct {
	incident.Event
	Corrections []incident.Event
	NewDay      bool
	Correct     string // leads to a correction
}

// timeline is all that happened in an incident: the story, or everything.
func (s *server) timeline(w http.ResponseWriter, r *http.Request, who account.Session) {
	x, err := s.incidentScope(r, who)
	if err != nil {
		s.fail(w, who, err)
		return
	}
	events, err := s.o.Engine.Events(r.Context(), x.in.ID)
	if err != nil {
		s.fail(w, who, err)
		return
	}
	broken := ""
	if err := incident.Verify(events); err != nil {
		broken = sentence(err.Error())
	}
	all := x.arg("all") != ""
	p := x.incidentRoom(cut(x.in.Title, 160), lineOf(*x.in))
	p.Say, p.Live = s.said(r), true
	p.Where = p.Where[:2]
	p.Body = struct {
		Rows    []eventRow
		All     bool
		Broken  string
		Hidden  int
		In      incident.Incident
		Picture template.HTML // the same, to scale
	}{x.rows(events, all), all, broken, len(events) - len(x.rows(events, false)), *x.in, x.axis(x.onset(), x.lastTurn(events))}
	s.show(w, http.StatusOK, "timeline.html", p)
}

// lastTurn is a little after the last turning point of an incident that is over; now,
// while it is open.
func (x scope) lastTurn(events []incident.Event) time.Time {
	if x.in.Phase.Open() && x.in.Phase != incident.Review {
		return x.now()
	}
	last := x.in.DeclaredAt
	for _, e := range events {
		if slices.Contains(turning, e.Type) && e.At.After(last) {
			last = e.At
		}
	}
	if end := last.Add(last.Sub(x.onset())/10 + time.Minute); end.Before(x.now()) {
		return end
	}
	return x.now()
}

// lineOf says in a sentence where an incident stands.
func lineOf(in incident.Incident) string {
	switch {
	case in.Phase.Open():
		return "It is open: " + in.Phase.Words() + "."
	case in.Phase == incident.Cancelled:
		return "It was a false alarm."
	}
	return "It is closed."
}

// rows puts corrections beside what they correct, and marks where a day begins.
func (x scope) rows(events []incident.Event, all bool) []eventRow {
	fixes := map[string][]incident.Event{}
	for _, e := range events {
		if e.Corrects != "" {
			fixes[e.Corrects] = append(fixes[e.Corrects], e)
		}
	}
	if !all { // the story is told in the order in which it happened
		events = slices.Clone(events)
		slices.SortStableFunc(events, func(a, b incident.Event) int { return a.At.Compare(b.At) })
	}
	day := ""
	var out []eventRow
	for _, e := range events {
		if !all && (!told(e) || e.Corrects != "") {
			continue
		}
		e.Text = textOnPage(e)
		row := eventRow{Event: e, Corrections: fixes[e.ID]}
		if d := e.At.In(x.s.o.Zone).Format("2 January 2006"); d != day {
			day, row.NewDay = d, true
		}
		if all {
			row.Correct = x.ask("correct", "event", e.ID).Page
		}
		out = append(out, row)
	}
	return out
}

// lastAnswers remembers the newest answer to the one question, so that a page which looks again
// does not read the whole record each time: nobody shall make it slow by writing much.
type lastAnswers struct {
	mu sync.Mutex // guards all below
	of map[string]answerAt
}

// answerAt is the newest answer among the events of an incident up to one.
type answerAt struct {
	seq    uint64
	answer string
}

const maxRemembered = 1000 // incidents

// answeredBefore gives the newest answer to the one question that is not in the tail.
func (x scope) answeredBefore() string {
	c := &x.s.answers
	c.mu.Lock()
	defer c.mu.Unlock() // one at a time reads the record; the others have it from the first
	known, has := c.of[x.in.ID]
	if now := x.v.Incident; has && now != nil && now.ID == x.in.ID && (known.seq >= now.Seq || len(x.v.Tail) > 0 && x.v.Tail[0].Seq <= known.seq+1) {
		c.of[x.in.ID] = answerAt{max(known.seq, now.Seq), known.answer} // who asks has looked through the tail
		return known.answer
	}
	events, err := x.s.o.Engine.Events(context.Background(), x.in.ID) // reads memory or a local file, and is bounded by the record
	if err != nil || len(events) == 0 {
		return ""
	}
	out := answerAt{seq: events[len(events)-1].Seq}
	for _, e := range slices.Backward(events) {
		if out.answer = answered(e); out.answer != "" {
			break
		}
	}
	if c.of == nil || len(c.of) >= maxRemembered {
		c.of = map[string]answerAt{}
	}
	c.of[x.in.ID] = out
	return out.answer
}
