package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"lifeboat/internal/account"
	"lifeboat/internal/engine"
	"lifeboat/internal/incident"
)

// leverRow is a lever in the room of all levers.
type leverRow struct {
	engine.LeverView
	SiteTitle, SitePage string
	Notices, HowLong    string
	Rehearsed, Until    string
	Side                string
	Parked              *parkedLine
	Forms               []ask
}

// levers is the room of all levers.
func (s *server) levers(w http.ResponseWriter, r *http.Request, who account.Session) {
	o, err := s.o.Engine.Overview(r.Context())
	if err != nil {
		s.fail(w, who, err)
		return
	}
	var rows []leverRow
	armed := 0
	for _, v := range o.Sites {
		x := scope{s: s, who: who, o: o, v: v, in: v.Incident, args: url.Values{}}
		for _, l := range v.Levers {
			if l.Armed {
				armed++
			}
			rows = append(rows, x.leverRow(l))
		}
	}
	headline := fmt.Sprintf("%d of %s armed.", armed, count(len(rows), "lever is", "levers are"))
	if len(rows) == 0 {
		headline = "There is no lever."
	}
	p := s.room(who, o, "/levers", headline, "Each is a quick move that can be taken back. A rehearsal proves both ways, on a name that is nobody’s.")
	p.Say, p.Body = s.said(r), rows
	s.show(w, http.StatusOK, "levers.html", p)
}

func (x scope) leverRow(l engine.LeverView) leverRow {
	row := leverRow{LeverView: l, SiteTitle: x.v.Title, SitePage: sitePath(x), Notices: notices(l), HowLong: howLong(x.v, l), Rehearsed: rehearsed(l, x.now()) + "."}
	if l.Armed && !l.Drill.ArmedUntil.IsZero() {
		row.Until = "Armed until " + l.Drill.ArmedUntil.In(x.s.o.Zone).Format("2 January")
	}
	row.Side = strings.Join(append(sentences(l.SideEffects), sentences(l.Problems)...), " ")
	if row.Side == "" {
		row.Side = "None known."
	}
	for _, pull := range x.held() {
		if pull.Lever == l.Name && pull.Parked != nil {
			p := x.parkedLine(pull)
			row.Parked = &p
		}
	}
	row.Forms = x.leverForms(l, row.Parked != nil)
	for i := range row.Forms {
		row.Forms[i].Small = true
		row.Forms[i].Terms = terms{}
		row.Forms[i].Name = row.Forms[i].Title + ": " + l.Title
	}
	return row
}

// held are the pulls that hold: of the open incident, or left parked by an ended one.
func (x scope) held() []incident.Pull {
	if x.open() {
		return x.in.Holding()
	}
	return x.v.Parked
}

// leverForms are what can be done with a lever now.
func (x scope) leverForms(l engine.LeverView, parked bool) []ask {
	switch l.State {
	case string(incident.Active):
		back := x.ask("put-back", "lever", l.Name)
		back.Title = "Put back"
		if parked {
			return []ask{back, titled(x.ask("unpark", "lever", l.Name), "With the rest")}
		}
		return []ask{back, titled(x.ask("park", "lever", l.Name), "Leave it for now")}
	case string(incident.Applying), string(incident.Undoing):
		return []ask{titled(x.ask("pull", "lever", l.Name), "On its way")}
	case string(incident.Stuck):
		return []ask{titled(x.ask("put-back", "lever", l.Name), "Put back"), titled(x.ask("pull", "lever", l.Name), "Pull again")}
	}
	forms := []ask{titled(x.ask("drill", "lever", l.Name), "Rehearse"), titled(x.ask("pull", "lever", l.Name), "Pull")}
	if parked {
		forms = append(forms, titled(x.ask("go-back"), "Go back"))
	}
	return forms
}

func titled(a ask, title string) ask {
	a.Title = title
	return a
}

func sentences(in []string) []string {
	out := make([]string, 0, len(in))
	for _, s := range in {
		out = append(out, sentence(s))
	}
	return out
}
