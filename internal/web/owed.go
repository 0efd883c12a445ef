package web

import (
	"net/http"
	"net/url"
	"slices"

	"lifeboat/internal/account"
)

// owedRow is a follow-up in the room of all that is owed.
type owedRow struct {
	followUpRow
	Incident, Title string
	Ended           string // how and when it ended; "": it is open
}

// owed is the room of all follow-ups: what is open first, what is overdue before all.
func (s *server) owed(w http.ResponseWriter, r *http.Request, who account.Session) {
	o, err := s.o.Engine.Overview(r.Context())
	if err != nil {
		s.fail(w, who, err)
		return
	}
	heads, err := s.o.Engine.Incidents(r.Context())
	if err != nil {
		s.fail(w, who, err)
		return
	}
	slices.Reverse(heads) // the newest first
	var rows []owedRow
	for _, h := range heads[:min(len(heads), maxRows)] {
		if h.Drill {
			continue
		}
		in, err := s.o.Engine.Incident(r.Context(), h.ID)
		if err != nil {
			s.fail(w, who, err)
			return
		}
		x := scope{s: s, who: who, o: o, in: &in, past: true, args: url.Values{}}
		x.v, _ = siteOf(o, in.Site)
		for _, f := range in.FollowUps {
			row := owedRow{followUpRow: x.followUpRow(f), Incident: h.ID, Title: h.Title}
			if f.State != "open" {
				row.Ended = followUpWords(f.State) + ", " + s.date(f.At)
			}
			rows = append(rows, row)
		}
	}
	nearestFirst(rows)
	open := countOf(rows, func(r owedRow) bool { return r.Ended == "" })
	late := countOf(rows, func(r owedRow) bool { return r.Overdue })
	headline := "Nothing is owed."
	switch {
	case late > 0:
		headline = count(open, "follow-up is", "follow-ups are") + " open, " + count(late, "is", "are") + " overdue."
	case open > 0:
		headline = count(open, "follow-up is", "follow-ups are") + " open."
	}
	p := s.room(who, o, "/follow-ups", headline, "What we promised after incidents, with who does it and how anybody can see that it is done.")
	p.Say, p.Body = s.said(r), rows
	s.show(w, http.StatusOK, "owed.html", p)
}

func countOf[T any](all []T, is func(T) bool) (n int) {
	for _, v := range all {
		if is(v) {
			n++
		}
	}
	return n
}

// nearestFirst puts what is open before what ended, and the nearest date first; what has no
// date is behind what has one.
func nearestFirst(rows []owedRow) {
	slices.SortStableFunc(rows, func(a, b owedRow) int {
		if (a.Ended == "") != (b.Ended == "") {
			if a.Ended == "" {
				return -1
			}
			return 1
		}
		if a.Ended != "" {
			return b.At.Compare(a.At) // the last that ended first
		}
		if a.Due.IsZero() != b.Due.IsZero() {
			return b.Due.Compare(a.Due)
		}
		return a.Due.Compare(b.Due)
	})
}

func followUpWords(state string) string {
	return map[string]string{"done": "Done", "verified": "Done, and somebody has looked", "declined": "Will not be done"}[state]
}
