package web

import (
	"net/http"
	"net/url"

	"lifeboat/internal/account"
	"lifeboat/internal/incident"
)

// roleRow is a part that somebody plays.
type roleRow struct {
	Label, Holder string
	Take, Release ask
}

type decisionRow struct {
	incident.Decision
	Object ask
}

type linkRow struct{ ID, Words string }

type crewPart struct {
	Roles     []roleRow
	Decisions []decisionRow
	Handovers []incident.Handover
	Updates   []incident.Update
	Links     []linkRow
	Severity  string
	Forms     []ask
	Site      string
	Open      bool
	May       string
}

// crew is the page about the people of an incident: who does what, what was decided,
// what people were told.
func (s *server) crew(w http.ResponseWriter, r *http.Request, who account.Session) {
	x, err := s.incidentScope(r, who)
	if err != nil {
		s.fail(w, who, err)
		return
	}
	live := x
	live.past = !x.open()
	part := crewPart{Decisions: x.decisions(live), Handovers: x.in.Handovers, Updates: newestFirst(x.in.Updates), Severity: labelOf(levels, x.in.Severity), Site: "/sites/" + url.PathEscape(x.in.Site), Open: x.open()}
	for _, o := range parts {
		row := roleRow{Label: o.Label, Holder: x.in.Roles[o.Value]}
		row.Take, row.Release = live.ask("take-role", "role", o.Value), live.ask("release-role", "role", o.Value)
		row.Take.Name, row.Release.Name = "Take it: "+o.Label, "Let it go: "+o.Label
		row.Take.Small, row.Release.Small = true, true
		part.Roles = append(part.Roles, row)
	}
	for _, l := range x.in.Links {
		words := "It is related to"
		if l.Kind == "recurrence_of" {
			words = "It is a recurrence of"
		}
		part.Links = append(part.Links, linkRow{l.Incident, words})
	}
	names := []string{"link"}
	if x.open() {
		names = []string{"hand-over", "decide", "severity", "tell", "link"}
		if !x.in.UpdateDue.IsZero() {
			names = append(names, "snooze")
		}
	}
	for _, name := range names {
		a := live.ask(name)
		a.Says = saysOf[name]
		part.Forms = append(part.Forms, a)
	}
	p := x.incidentRoom("People and decisions.", "Who does what, what was decided and why, and what people were told.")
	p.Say = s.said(r)
	p.Body = part
	s.show(w, http.StatusOK, "crew.html", p)
}

func (x scope) decisions(live scope) []decisionRow {
	var out []decisionRow
	for _, d := range x.in.Decisions {
		a := live.ask("disagree", "decision", d.ID)
		a.Name = "Object: " + d.ID
		out = append(out, decisionRow{d, a})
	}
	return out
}
