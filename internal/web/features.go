package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lifeboat/internal/account"
	"lifeboat/internal/engine"
	"lifeboat/internal/feature"
)

// featureRow is a feature in the room of all features.
type featureRow struct {
	feature.Flag
	Now     string // how it is for those who ask
	Closed  bool
	Ordered string // who ordered it, with which lever and when; "": nobody
	Calm    string // its value in calm
	Off     string // its value when its lever is pulled
	Without string // what the code takes when lifeboat can't be asked
	Who     string // who gets which value by a rule
	Levers  []featureLever
}

// featureLever is a lever that closes it, with the page it is pulled on.
type featureLever struct {
	engine.LeverView
	Rehearsed string
	Forms     []ask
}

// features is the room of all features.
func (s *server) features(w http.ResponseWriter, r *http.Request, who account.Session) {
	o, err := s.o.Engine.Overview(r.Context())
	if err != nil {
		s.fail(w, who, err)
		return
	}
	flags, orders := s.o.Engine.Features()
	var rows []featureRow
	closed := 0
	for _, f := range flags {
		if strings.Contains(f.Key, "~") { // a drill's stand-in
			continue
		}
		order, ordered := orders[f.Key]
		row := s.featureRow(f, order, ordered)
		if ordered {
			closed++
		}
		for _, v := range o.Sites {
			x := scope{s: s, who: who, o: o, v: v, in: v.Incident, args: url.Values{}}
			row.Levers = append(row.Levers, x.closing(f.Key)...)
		}
		rows = append(rows, row)
	}
	headline := "Every feature is as in calm."
	switch {
	case len(rows) == 0:
		headline = "There is no feature."
	case closed > 0:
		headline = fmt.Sprintf("%d of %s changed by a lever.", closed, count(len(rows), "feature is", "features are"))
	}
	p := s.room(who, o, "/features", headline, "What programs and pages ask lifeboat for. Closing one is a press on its lever, and opens again with it.")
	p.Say, p.Body = s.said(r), rows
	p.Heard = s.heard(o)
	s.show(w, http.StatusOK, "features.html", p)
}

func (s *server) featureRow(f feature.Flag, o feature.Order, ordered bool) featureRow {
	row := featureRow{Flag: f, Calm: cut(string(f.Value), 200), Off: cut(string(f.Off), 200), Without: cut(string(f.CodeDefault), 200)}
	row.Now = row.Calm
	if len(f.Targeting) > 0 {
		row.Now, row.Who = "by a rule", "Who gets which value is said by a rule, else "+row.Calm+"."
	}
	if !ordered {
		return row
	}
	row.Closed, row.Now = true, cut(string(o.Value), 200)
	if o.Share > 0 {
		row.Now = fmt.Sprintf("%s; %d %% have it back", row.Now, o.Share)
	}
	row.Ordered = "Lever " + o.Lever
	if o.By != "" {
		row.Ordered += ", by " + o.By
	}
	if at, err := time.Parse(time.RFC3339, o.Since); err == nil {
		row.Ordered += ", since " + s.date(at)
	}
	row.Ordered += "."
	return row
}

// closing are the levers of a site that close a feature.
func (x scope) closing(key string) (out []featureLever) {
	for _, l := range x.v.Levers {
		if l.Kind != "feature" || l.To != key {
			continue
		}
		row := x.leverRow(l)
		out = append(out, featureLever{LeverView: l, Rehearsed: row.Rehearsed, Forms: row.Forms})
	}
	return out
}

// heard says who has heard of the features as they are now.
func (s *server) heard(o engine.Overview) (out []string) {
	h := o.Answer.Heard
	for _, line := range []string{h.Pages.Words("open page", "open pages", s.clock), h.Servers.Words("program", "programs", s.clock), h.Copies.Words("copy", "copies", s.clock)} {
		if line != "" {
			out = append(out, line)
		}
	}
	return out
}
