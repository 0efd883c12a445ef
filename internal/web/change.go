package web

import (
	"net/http"
	"net/url"

	"lifeboat/internal/account"
	"lifeboat/internal/ledger"
)

// changeRow is a change in the ledger.
type changeRow struct {
	ledger.Change
	Link string // where to read on, if that is an address
	Mark *ask   // while an incident looks at it
	Sus  bool
}

// maxRows bounds what a room lists.
const maxRows = 200

// changes is the room of the ledger: what was changed, newest first.
func (s *server) changes(w http.ResponseWriter, r *http.Request, who account.Session) {
	site := r.URL.Query().Get("site")
	x, err := s.scope(r.Context(), who, site, "", r.URL.Query())
	if err != nil {
		s.fail(w, who, err)
		return
	}
	list, err := s.o.Engine.Changes(r.Context(), ledger.Query{Site: site, Limit: maxRows})
	if err != nil {
		s.fail(w, who, err)
		return
	}
	var rows []changeRow
	for _, c := range list {
		rows = append(rows, x.changeRow(c))
	}
	p := s.room(who, x.o, "/changes", "What was changed.", "Most outages come of a change, so it is the first list to look at. Newest first.")
	if site != "" {
		p.Where = []string{x.v.Title}
	}
	p.Say = s.said(r)
	p.Body = struct {
		Rows []changeRow
		Add  ask
	}{rows, x.ask("change")}
	s.show(w, http.StatusOK, "changes.html", p)
}

func (x scope) changeRow(c ledger.Change) changeRow {
	row := changeRow{Change: c, Link: readable(c.Ref)}
	for _, v := range x.o.Sites {
		if v.Incident == nil || !v.Incident.Phase.Open() || c.Site != "" && c.Site != v.ID {
			continue
		}
		y := x
		y.v, y.in = v, v.Incident
		for _, known := range v.Incident.Changes {
			if known.ID != c.ID {
				continue
			}
			suspect := "yes"
			if row.Sus = known.Suspect; row.Sus {
				suspect = "no"
			}
			a := y.ask("mark", "change", c.ID, "suspect", suspect)
			a.Small = true
			row.Mark = &a
		}
	}
	return row
}

// readable gives an address that may be followed, else "".
func readable(ref string) string {
	u, err := url.Parse(ref)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return ""
	}
	return ref
}
