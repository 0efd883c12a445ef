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
	lever, text := r.PostFormValue("lever"), r.PostFormValue("text")
	by := incident.Actor{Kind: "person", ID: who.ID, Name: who.Name, Via: "web"}
	done, err := s.run(r.Context(), site, name, lever, text, by)
	if err == nil {
		s.back(w, r, site, done)
		return
	}
	m := messageOf(err)
	m.Typed = text
	o, oerr := s.o.Engine.Overview(r.Context())
	v, known := siteOf(o, site)
	if oerr != nil || !known {
		s.fail(w, r, err)
		return
	}
	p := sitePage(v, o, name, lever, m)
	s.show(w, statusOf(err), "site.html", frame{Title: "Not yet – " + v.Title, Who: who.Name, Banners: banners(o), Say: m, Body: p})
}

// run gives the sentence that says what was done.
func (s *server) run(ctx context.Context, site, name, lever, text string, by incident.Actor) (string, error) {
	switch name {
	case "drill":
		rec, err := s.o.Engine.Drill(ctx, lever, by)
		if err == nil && !rec.OK {
			err = fault.New(fault.Unavailable, "the drill of %s failed: %s", lever, rec.Detail)
		}
		return fmt.Sprintf("DRILL: there in %d ms, back in %d ms. Nothing real was moved.", rec.ThereMS, rec.BackMS), err
	case "resume":
		return "Rules may move this site again.", s.o.Engine.ResumeAuto(ctx, site)
	}
	c, known := commandOf(name, lever, text)
	if !known {
		return "", fault.New(fault.NotFound, "there is no act %q", name)
	}
	res, err := s.o.Engine.Do(ctx, site, c, by)
	return lastText(res.Events), err
}

// commandOf is the command of a form. Each name is a route of the page's forms.
func commandOf(name, lever, text string) (incident.Command, bool) {
	switch name {
	case "declare":
		return incident.Declare{Title: text, Noticed: "staff"}, true
	case "pull":
		return engine.PullRequest{Lever: lever, PullLever: incident.PullLever{Reason: text}}, true
	case "put-back":
		return incident.PutBack{Lever: lever, Reason: text}, true
	case "note":
		return incident.Note{Text: text}, true
	case "stay":
		return incident.DecideNoFailover{Reason: text}, true
	case "go-back":
		return incident.GoBack{Because: text}, true
	case "advance":
		return incident.Advance{Reason: text}, true
	case "step-back":
		return incident.StepBack{}, true
	case "end-watch":
		return incident.WatchOver{Reason: text}, true
	case "cancel":
		return incident.Cancel{Reason: text}, true
	case "close":
		return incident.Close{Reason: text}, true
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
