package web

import (
	"html/template"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"lifeboat/internal/account"
	"lifeboat/internal/incident"
	"lifeboat/internal/postmortem"
)

// findingRow is a finding with what people made of it.
type findingRow struct {
	incident.Finding
	Judged      bool
	Take, Leave ask
}

type followUpRow struct {
	incident.FollowUp
	Class       string
	Overdue     bool
	Change, End ask
}

type questionRow struct {
	Text, By string
	Form     ask
}

type sectionRow struct {
	Title  string
	Edited bool
	Edit   ask
}

type writeUpPart struct {
	Article   template.HTML
	Public    bool
	In        incident.Incident
	Questions []questionRow
	Findings  []findingRow
	FollowUps []followUpRow
	Sections  []sectionRow
	AddFind   ask
	AddOwed   ask
	Finish    ask
	Close     *ask
	Recur     *ask
	Base      string
	OnPage    string // the incident of the status page that it can be put on
	Todo      []todo
	Loose     bool // nothing of it holds up the closing
}

// writeUp is the post-mortem: what was written as it happened, and what people add.
func (s *server) writeUp(w http.ResponseWriter, r *http.Request, who account.Session) {
	x, err := s.incidentScope(r, who)
	if err != nil {
		s.fail(w, who, err)
		return
	}
	public := x.arg("public") != ""
	doc, err := s.o.Engine.WriteUp(r.Context(), x.in.ID, public)
	if err != nil {
		s.fail(w, who, err)
		return
	}
	article, err := postmortem.Fragment(doc, postmortem.HTMLOptions{LinkBase: "/incidents/" + url.PathEscape(x.in.ID) + "?all=1"})
	if err != nil {
		s.fail(w, who, err)
		return
	}
	part := writeUpPart{Article: article, Public: public, In: *x.in, Base: writeUpPath(x), OnPage: x.onStatusPage()}
	for _, sec := range doc.Sections {
		if !slices.Contains([]string{postmortem.KeyQuestions, postmortem.KeyEvidence, postmortem.KeyRecord}, sec.Key) {
			part.Sections = append(part.Sections, x.sectionRow(sec, public))
		}
	}
	if !public {
		events, err := s.o.Engine.Events(r.Context(), x.in.ID)
		if err != nil {
			s.fail(w, who, err)
			return
		}
		x.writing(&part, events)
	}
	p := x.incidentRoom(cut(doc.Title, 160), x.writeUpLine(doc))
	p.Where = append([]string{"Write-up"}, p.Where[1:2]...)
	p.Say, p.Body = s.said(r), part
	s.show(w, http.StatusOK, "writeup.html", p)
}

// onStatusPage is where the status page tells of an incident of the crew's; "" where it
// tells nothing.
func (x scope) onStatusPage() string {
	if x.s.o.Board == nil {
		return ""
	}
	for id, in := range x.s.o.Board.Records().Incidents {
		if in.Crew == x.in.ID {
			return incidentsPath + url.PathEscape(id)
		}
	}
	return ""
}

// writing is what people add: answers, findings, what is owed.
func (x scope) writing(part *writeUpPart, events []incident.Event) {
	for _, q := range incident.Questions {
		row := questionRow{Text: q.Text, Form: x.ask("answer", "question", q.Key)}
		if a := x.in.WriteUp.Answers[q.Key]; a.Text != "" {
			row.By = a.By.Name + ", " + x.s.date(a.At)
		}
		part.Questions = append(part.Questions, row)
	}
	judged := map[string]bool{}
	for _, f := range x.in.WriteUp.Findings {
		judged[f.ID] = true
		part.Findings = append(part.Findings, x.findingRow(f, true))
	}
	for _, f := range postmortem.Findings(events) {
		if !judged[f.ID] {
			part.Findings = append(part.Findings, x.findingRow(f.Finding, false))
		}
	}
	for _, f := range x.in.FollowUps {
		part.FollowUps = append(part.FollowUps, x.followUpRow(f))
	}
	part.Todo = x.stillToDo(*part)
	part.Loose = !slices.ContainsFunc(part.Todo, func(t todo) bool { return t.Must })
	part.AddFind, part.AddOwed, part.Finish = x.ask("finding"), x.ask("follow-up"), x.ask("finish")
	part.Finish.Go = true
	if x.in.Phase == incident.Review {
		live := x
		live.past = false
		a := live.ask("close")
		part.Close = &a
	}
	if !x.open() && x.in.Phase == incident.Closed && !x.in.Drill && x.v.ID != "" {
		again := x
		again.past, again.in = false, nil
		a := again.ask("declare", "recurrence", x.in.ID)
		a.Title = "It has come back"
		part.Recur = &a
	}
}

func (x scope) findingRow(f incident.Finding, judged bool) findingRow {
	row := findingRow{Finding: f, Judged: judged}
	about := f.About
	row.Take = x.ask("judge-finding", "finding", f.ID, "about", about, "text", f.Text, "accepted", "yes")
	row.Leave = x.ask("judge-finding", "finding", f.ID, "about", about, "text", f.Text, "accepted", "no")
	for _, a := range []*ask{&row.Take, &row.Leave} {
		a.ID, a.Small, a.Name = "finding-"+f.ID+"-", true, a.Title+": "+cut(f.Text, 80)
	}
	return row
}

func (x scope) sectionRow(sec postmortem.Section, public bool) sectionRow {
	key := sec.Key
	if public {
		key = postmortem.PublicPrefix + key
	}
	row := sectionRow{Title: sec.Title, Edited: sec.Edited, Edit: x.ask("section", "section", key)}
	row.Edit.Title = sec.Title
	return row
}

func (x scope) writeUpLine(doc postmortem.Document) string {
	open := unanswered(*x.in)
	switch {
	case doc.Public:
		return "What visitors may read. It holds no name of a person."
	case doc.Final:
		return "Version " + strconv.Itoa(doc.Version) + " is final."
	}
	return "A draft. Most of it was written as it happened. " + questionsLeft(open)
}

// writeUpText is the write-up as Markdown, to take along.
func (s *server) writeUpText(w http.ResponseWriter, r *http.Request, who account.Session) {
	s.takeAlong(w, r, who, "text/markdown; charset=utf-8", ".md", func(d postmortem.Document) ([]byte, error) { return postmortem.Markdown(d), nil })
}

// writeUpFile is the write-up as one page, to take along.
func (s *server) writeUpFile(w http.ResponseWriter, r *http.Request, who account.Session) {
	s.takeAlong(w, r, who, "text/html; charset=utf-8", ".html", func(d postmortem.Document) ([]byte, error) {
		return postmortem.HTML(d, postmortem.HTMLOptions{})
	})
}

func (s *server) takeAlong(w http.ResponseWriter, r *http.Request, who account.Session, kind, end string, as func(postmortem.Document) ([]byte, error)) {
	id := r.PathValue("id")
	doc, err := s.o.Engine.WriteUp(r.Context(), id, r.URL.Query().Get("public") != "")
	var b []byte
	if err == nil {
		b, err = as(doc)
	}
	if err != nil {
		s.fail(w, who, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": "write-up-" + id + end}))
	_, _ = w.Write(b) // a reader that has gone away misses nothing
}

// followUpRow is a follow-up with what can be done about it.
func (x scope) followUpRow(f incident.FollowUp) followUpRow {
	row := followUpRow{FollowUp: f, Class: labelOf(classes, f.Class), Overdue: f.State == "open" && !f.Due.IsZero() && x.now().After(f.Due)}
	row.Change, row.End = x.ask("follow-up-change", "follow_up", f.ID), x.ask("follow-up-end", "follow_up", f.ID)
	row.Change.Title, row.End.Title = "Change", "Done, or not"
	row.Change.Name, row.End.Name = row.Change.Title+": "+f.ID, row.End.Title+": "+f.ID
	return row
}
