package api

import (
	"context"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/role"
)

// SiteIncident is the incident of a site, with what else its record says.
type SiteIncident struct {
	Site     string          `json:"site"`
	Open     bool            `json:"open"`
	Incident *Incident       `json:"incident,omitempty" doc:"the open one, or the last that ended since lifeboat started"`
	Tail     []Event         `json:"tail" doc:"its newest events"`
	Parked   []incident.Pull `json:"parked,omitempty" doc:"levers that an ended incident left pulled"`
}

// DeclareBody says that something is wrong.
type DeclareBody struct {
	Title          string    `json:"title,omitempty" maxLength:"200" doc:"what people will call it" example:"Nothing loads"`
	Symptom        string    `json:"symptom,omitempty" enum:"nothing-loads,some-pages,one-thing,wrong-data,not-sure"`
	Noticed        string    `json:"how_noticed,omitempty" enum:"monitor,visitor,staff,social"`
	FirstSymptomAt time.Time `json:"first_symptom_at,omitzero" doc:"when it began, as far as known"`
	RecurrenceOf   string    `json:"recurrence_of,omitempty" maxLength:"40" doc:"an earlier incident that this looks like"`
}

// ReasonBody carries the one sentence that passes a soft guard rail.
type ReasonBody struct {
	Reason string `json:"reason,omitempty" maxLength:"2000" doc:"one sentence: why, or why anyway" example:"The data centre is dark."`
}

// NoteBody is what somebody saw.
type NoteBody struct {
	Text string `json:"text" maxLength:"16384" example:"The checkout hangs at the third page."`
}

// GoBackBody starts the return.
type GoBackBody struct {
	Because string `json:"because,omitempty" maxLength:"2000" doc:"what changed, in one sentence" example:"The power is back."`
	Reason  string `json:"reason,omitempty" maxLength:"2000" doc:"why anyway, where a guard rail says no"`
}

func (a *api) siteRoutes() {
	route(a, get("/sites/{site}/incident", "site-incident", "The open incident of a site, or the last one"), a.siteIncident)
	declare := asCommand("/sites/{site}/declare", "declare", "Say that something is wrong", incident.Declare{})
	declare.safe = true
	route(a, declare, a.declare)
	note := asCommand("/sites/{site}/notes", "note", "Write down what you see", incident.Note{})
	siteAct(a, note, func(b NoteBody) incident.Command { return incident.Note{Text: b.Text} })
	goBack := asCommand("/sites/{site}/go-back", "go-back", "Start the return: sanity checks first, then everything is put back", incident.GoBack{})
	siteAct(a, goBack, func(b *GoBackBody) incident.Command {
		if b == nil {
			b = &GoBackBody{}
		}
		return incident.GoBack{Because: b.Because, Reason: b.Reason}
	})
	for _, r := range []struct {
		path, summary string
		command       func(reason string) incident.Command
	}{
		{"no-failover", "Go on without moving visitors", func(s string) incident.Command { return incident.DecideNoFailover{Reason: s} }},
		{"advance", "Go on with the return before its checks are all in", func(s string) incident.Command { return incident.Advance{Reason: s} }},
		{"end-watch", "End the watch", func(s string) incident.Command { return incident.WatchOver{Reason: s} }},
		{"make-permanent", "Make the place where visitors are the site's home: the old one does not come back", func(s string) incident.Command { return incident.MakePermanent{Reason: s} }},
		{"cancel", "It was a false alarm", func(s string) incident.Command { return incident.Cancel{Reason: s} }},
		{"close", "Close the incident; a reason passes what is not written down yet", func(s string) incident.Command { return incident.Close{Reason: s} }},
	} {
		siteAct(a, asCommand("/sites/{site}/"+r.path, r.path, r.summary, r.command("")), func(b *ReasonBody) incident.Command { return r.command(b.reason()) })
	}
	back := asCommand("/sites/{site}/step-back", "step-back", "Go back to safety during the return or the watch; asks nothing", incident.StepBack{})
	back.safe = true
	route(a, back, a.stepBack)
	route(a, post("/sites/{site}/auto/resume", "auto-resume", "Let rules move the site again", role.Commander), a.autoResume)
}

func (a *api) siteIncident(ctx context.Context, in *struct {
	SitePath
	IfNoneMatch string `header:"If-None-Match" doc:"the ETag that you have: 304 where nothing was written since"`
}) (*versioned[SiteIncident], error) {
	s, err := a.current(ctx, in.Site)
	if err != nil {
		return nil, err
	}
	out := SiteIncident{Site: s.ID, Incident: s.Incident, Tail: s.Tail, Parked: s.Parked}
	if out.Tail == nil {
		out.Tail = []Event{}
	}
	etag := noIncident
	if s.Incident != nil {
		out.Open, etag = s.Incident.Phase.Open(), etagOf(*s.Incident)
	}
	return withETag(in.IfNoneMatch, etag, out), nil
}

func (a *api) declare(ctx context.Context, in *struct {
	SitePath
	Body *DeclareBody
}) (*acted, error) {
	b := in.Body
	if b == nil {
		b = &DeclareBody{}
	}
	if b.FirstSymptomAt.After(a.o.Now().Add(time.Minute)) {
		return nil, fault.New(fault.Invalid, "the first symptom lies in the future").At("first_symptom_at").WithHint("leave it out when it is not known")
	}
	return a.act(ctx, in.Site, incident.Declare{Title: b.Title, Symptom: b.Symptom, Noticed: b.Noticed, FirstSymptomAt: b.FirstSymptomAt, RecurrenceOf: b.RecurrenceOf})
}

func (a *api) stepBack(ctx context.Context, in *SitePath) (*acted, error) {
	return a.act(ctx, in.Site, incident.StepBack{})
}

func (a *api) autoResume(ctx context.Context, in *SitePath) (*struct{}, error) {
	err := a.o.Engine.ResumeAuto(ctx, in.Site)
	if err == nil { // no timeline tells of it
		a.o.Logger.Info("rules may move a site again", "site", in.Site, "by", actorOf(ctx).Name)
	}
	return nil, err
}
