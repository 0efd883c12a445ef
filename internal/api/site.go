package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
)

type siteInput struct {
	Site string `path:"site" maxLength:"100" doc:"the site's id in the configuration"`
}

type siteReason struct {
	Site string `path:"site" maxLength:"100" doc:"the site's id in the configuration"`
	Body *ReasonBody
}

type siteDeclare struct {
	Site string `path:"site" maxLength:"100" doc:"the site's id in the configuration"`
	Body *DeclareBody
}

type siteNote struct {
	Site string `path:"site" maxLength:"100" doc:"the site's id in the configuration"`
	Body NoteBody
}

type siteGoBack struct {
	Site string `path:"site" maxLength:"100" doc:"the site's id in the configuration"`
	Body *GoBackBody
}

func (a *api) siteRoutes(h huma.API) {
	route(h, http.MethodPost, "/sites/{site}/declare", "declare", "Say that something is wrong", a.declare)
	route(h, http.MethodPost, "/sites/{site}/notes", "note", "Write down what you see", a.note)
	route(h, http.MethodPost, "/sites/{site}/go-back", "go-back", "Start the return: sanity checks first, then everything is put back", a.goBack)
	for _, r := range []struct {
		path, id, summary string
		command           func(reason string) incident.Command
	}{
		{"no-failover", "no-failover", "Go on without moving visitors", func(s string) incident.Command { return incident.DecideNoFailover{Reason: s} }},
		{"advance", "advance", "Go on with the return before its checks are all in", func(s string) incident.Command { return incident.Advance{Reason: s} }},
		{"end-watch", "end-watch", "End the watch", func(s string) incident.Command { return incident.WatchOver{Reason: s} }},
		{"cancel", "cancel", "It was a false alarm", func(s string) incident.Command { return incident.Cancel{Reason: s} }},
		{"close", "close", "Close the incident, saying why there is no post-mortem", func(s string) incident.Command { return incident.Close{Reason: s} }},
	} {
		route(h, http.MethodPost, "/sites/{site}/"+r.path, r.id, r.summary, func(ctx context.Context, in *siteReason) (*body[Result], error) {
			return a.act(ctx, in.Site, r.command(in.Body.reason()))
		})
	}
	route(h, http.MethodPost, "/sites/{site}/step-back", "step-back", "Go back to safety during the return or the watch; asks nothing", a.stepBack)
	route(h, http.MethodPost, "/sites/{site}/auto/resume", "auto-resume", "Let rules move the site again", a.autoResume)
}

func (a *api) declare(ctx context.Context, in *siteDeclare) (*body[Result], error) {
	b := in.Body
	if b == nil {
		b = &DeclareBody{}
	}
	if b.FirstSymptomAt.After(a.o.Now().Add(time.Minute)) {
		return nil, fault.New(fault.Invalid, "the first symptom lies in the future").At("first_symptom_at").WithHint("leave it out when it is not known")
	}
	return a.act(ctx, in.Site, incident.Declare{Title: b.Title, Symptom: b.Symptom, Noticed: b.Noticed, FirstSymptomAt: b.FirstSymptomAt})
}

func (a *api) note(ctx context.Context, in *siteNote) (*body[Result], error) {
	return a.act(ctx, in.Site, incident.Note{Text: in.Body.Text})
}

func (a *api) goBack(ctx context.Context, in *siteGoBack) (*body[Result], error) {
	b := in.Body
	if b == nil {
		b = &GoBackBody{}
	}
	return a.act(ctx, in.Site, incident.GoBack{Because: b.Because, Reason: b.Reason})
}

func (a *api) stepBack(ctx context.Context, in *siteInput) (*body[Result], error) {
	return a.act(ctx, in.Site, incident.StepBack{})
}

func (a *api) autoResume(ctx context.Context, in *siteInput) (*struct{}, error) {
	return nil, a.o.Engine.ResumeAuto(ctx, in.Site)
}
