package api

import (
	"cmp"
	"context"
	"net/http"
	"reflect"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/postmortem"
)

// FindingBody accepts a finding or not, or writes one. A finding that lifeboat proposes is
// named by its id alone.
type FindingBody struct {
	ID       string `json:"id,omitempty" maxLength:"64" doc:"of a finding that is there; leave it out to write one"`
	About    string `json:"about,omitempty" enum:"process,architecture" doc:"of one that you write"`
	Text     string `json:"text,omitempty" maxLength:"4000" doc:"of one that you write"`
	Accepted bool   `json:"accepted" doc:"one that you write is accepted by that"`
	Note     string `json:"note,omitempty" maxLength:"2000"`
}

// WriteUpFindings are findings on how people work and how the system is built.
type WriteUpFindings struct {
	Findings []WriteUpFinding `json:"findings"`
}

// WriteUpFinding is one that lifeboat proposes, or that a person wrote.
type WriteUpFinding struct {
	incident.Finding
	Events []uint64 `json:"events,omitempty" doc:"of one that lifeboat proposes: the events it rests on"`
	Judged bool     `json:"judged" doc:"a person has accepted it or not"`
}

func (a *api) writeUpRoutes() {
	read := get("/incidents/{id}/write-up", "write-up", "The post-mortem, as JSON, Markdown or a page of its own")
	schema := a.h.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[postmortem.Document](), true, "PostMortem")
	read.adjust = func(op *huma.Operation) { describeWriteUp(op, schema) }
	route(a, read, a.writeUp)
	incidentItemAct(a, asCommand("/incidents/{id}/write-up/sections/{item}", "write-up-edit", "Put your own words into a section", incident.EditSection{}), func(section string, b TextBody) incident.Command {
		return incident.EditSection{Section: section, Text: b.Text}
	})
	incidentItemAct(a, asCommand("/incidents/{id}/write-up/answers/{item}", "write-up-answer", "Answer one of the four questions: surprise, help, hard or different", incident.Answer{}), func(question string, b TextBody) incident.Command {
		return incident.Answer{Question: question, Text: b.Text}
	})
	route(a, get("/incidents/{id}/write-up/findings", "write-up-findings", "What lifeboat proposes to learn, and what people made of it"), a.findings)
	route(a, asCommand("/incidents/{id}/write-up/findings", "write-up-finding", "Accept a finding or not, or write one", incident.JudgeFinding{}), a.judgeFinding)
	route(a, asCommand("/incidents/{id}/write-up/finish", "write-up-finish", "Make the post-mortem final", incident.Finalise{}), func(ctx context.Context, in *IncidentPath) (*acted, error) {
		return a.outcomeIn(ctx, in.ID, func(ctx context.Context) (engine.Result, error) {
			return a.o.Engine.FinishWriteUp(ctx, in.ID, actorOf(ctx))
		})
	})
}

// pagePolicy is for the post-mortem as a page: its own style, and nothing else.
const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

func (a *api) writeUp(ctx context.Context, in *struct {
	IncidentPath
	Format string `query:"format" enum:"json,markdown,html" default:"json"`
	Public bool   `query:"public" doc:"the version for everybody: no names"`
}) (*huma.StreamResponse, error) {
	doc, err := a.o.Engine.WriteUp(ctx, in.ID, in.Public)
	if err != nil {
		return nil, err
	}
	kind, text, err := written(doc, in.Format)
	if err != nil {
		return nil, fault.New(fault.Internal, "write the post-mortem").Because(err)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", kind)
		hc.SetHeader("Content-Security-Policy", pagePolicy)
		hc.SetStatus(http.StatusOK)
		_, _ = hc.BodyWriter().Write(text) // a caller that has gone away misses nothing
	}}, nil
}

// written is the post-mortem in a form, with its media type.
func written(doc postmortem.Document, format string) (mediaType string, text []byte, err error) {
	switch format {
	case "markdown":
		return "text/markdown; charset=utf-8", postmortem.Markdown(doc), nil
	case "html":
		text, err = postmortem.HTML(doc, postmortem.HTMLOptions{})
		return "text/html; charset=utf-8", text, err
	}
	text, err = postmortem.JSON(doc)
	return "application/json", text, err
}

func (a *api) findings(ctx context.Context, in *IncidentPath) (*body[WriteUpFindings], error) {
	all, err := a.findingsOf(ctx, in.ID)
	return &body[WriteUpFindings]{WriteUpFindings{all}}, err
}

// findingsOf gives all findings: what is proposed with what was made of it, then what
// people wrote.
func (a *api) findingsOf(ctx context.Context, id string) ([]WriteUpFinding, error) {
	events, err := a.o.Engine.Events(ctx, id)
	if err != nil {
		return nil, err
	}
	judged := map[string]incident.Finding{}
	kept := incident.Fold(events).WriteUp.Findings
	for _, f := range kept {
		judged[f.ID] = f
	}
	out := []WriteUpFinding{}
	for _, p := range postmortem.Findings(events) {
		f, is := judged[p.ID]
		if !is {
			f = p.Finding
		}
		out = append(out, WriteUpFinding{f, p.Events, is})
		delete(judged, p.ID)
	}
	for _, f := range kept {
		if _, left := judged[f.ID]; left {
			out = append(out, WriteUpFinding{Finding: f, Judged: true})
		}
	}
	return out, nil
}

func (a *api) judgeFinding(ctx context.Context, in *struct {
	IncidentPath
	Body FindingBody
}) (*acted, error) {
	b := in.Body
	f := incident.Finding{ID: b.ID, About: b.About, Text: b.Text, Accepted: b.Accepted, Note: b.Note}
	if b.ID != "" {
		known, err := a.findingsOf(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(known, func(k WriteUpFinding) bool { return k.ID == b.ID })
		if i < 0 {
			return nil, fault.New(fault.NotFound, "there is no finding %q", b.ID).At("id").WithHint("see them with: lifeboat postmortem finding list")
		}
		f.About, f.Text = cmp.Or(b.About, known[i].About), cmp.Or(b.Text, known[i].Text)
	}
	return a.actIn(ctx, in.ID, incident.JudgeFinding{Finding: f})
}

func describeWriteUp(op *huma.Operation, schema *huma.Schema) {
	text := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	op.Responses["200"] = &huma.Response{
		Description: "the post-mortem",
		Content: map[string]*huma.MediaType{
			"application/json": {Schema: schema}, "text/markdown": text, "text/html": text,
		},
	}
}
