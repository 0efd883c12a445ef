package web

import (
	"context"
	"fmt"
	"net/http"

	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
)

// act runs the command that a button stands for, then leads back to the page.
func (s *server) act(w http.ResponseWriter, r *http.Request, who person) {
	site, name := r.PathValue("site"), r.PathValue("act")
	f := form{Lever: r.PostFormValue("lever"), Text: r.PostFormValue("text"), Reason: r.PostFormValue("reason")}
	by := incident.Actor{Kind: "person", ID: who.ID, Name: who.Name, Via: "web"}
	done, err := s.run(r.Context(), site, name, f, by)
	if err == nil {
		s.back(w, r, site, done)
		return
	}
	m := messageOf(err)
	m.Typed, m.Reason = f.Text, f.Reason
	o, oerr := s.o.Engine.Overview(r.Context())
	v, known := siteOf(o, site)
	if oerr != nil || !known {
		m.Typed = typed(r)
		s.problem(w, statusOf(err), m)
		return
	}
	p := sitePage(v, o, name, f.Lever, m)
	if p.Ask == nil || p.Ask.Field == "" { // the form is gone, what was typed is not
		m.Typed = typed(r)
	}
	s.show(w, statusOf(err), "site.html", frame{Title: "Not yet – " + v.Title, Who: who.Name, Banners: banners(o), Say: m, Body: p})
}

// form is what a form carries.
type form struct{ Lever, Text, Reason string }

// run gives the sentence that says what was done.
func (s *server) run(ctx context.Context, site, name string, f form, by incident.Actor) (string, error) {
	switch name {
	case "drill":
		rec, err := s.o.Engine.Drill(ctx, f.Lever, by)
		if err == nil && !rec.OK {
			err = fault.New(fault.Unavailable, "the drill of %s failed: %s", f.Lever, rec.Detail)
		}
		return fmt.Sprintf("DRILL: there in %d ms, back in %d ms. Nothing real was moved.", rec.ThereMS, rec.BackMS), err
	case "resume":
		return "Rules may move this site again.", s.o.Engine.ResumeAuto(ctx, site)
	}
	c, known := commandOf(name, f)
	if !known {
		return "", fault.New(fault.NotFound, "there is no act %q", name)
	}
	res, err := s.o.Engine.Do(ctx, site, c, by)
	return lastText(res.Events), err
}

// commandOf is the command of a form. Each name is a route of the page's forms.
func commandOf(name string, f form) (incident.Command, bool) {
	switch name {
	case "declare":
		return incident.Declare{Title: f.Text, Noticed: "staff"}, true
	case "pull":
		return engine.PullRequest{Lever: f.Lever, PullLever: incident.PullLever{Reason: f.Text}}, true
	case "put-back":
		return incident.PutBack{Lever: f.Lever, Reason: f.Text}, true
	case "note":
		return incident.Note{Text: f.Text}, true
	case "stay":
		return incident.DecideNoFailover{Reason: f.Text}, true
	case "go-back":
		return incident.GoBack{Because: f.Text, Reason: f.Reason}, true
	case "advance":
		return incident.Advance{Reason: f.Text}, true
	case "step-back":
		return incident.StepBack{}, true
	case "end-watch":
		return incident.WatchOver{Reason: f.Text}, true
	case "cancel":
		return incident.Cancel{Reason: f.Text}, true
	case "close":
		return incident.Close{Reason: f.Text}, true
	}
	return nil, false
}

// lastText is the last sentence that an act wrote into the timeline.
func lastText(events []incident.Event) string {
	if len(events) == 0 {
		return "Done."
	}
	return events[len(events)-1].Text
}
