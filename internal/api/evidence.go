package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
	"unicode"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/role"
)

// EvidenceList is what was collected in an incident.
type EvidenceList struct {
	Incident string     `json:"incident"`
	Evidence []Evidence `json:"evidence"`
}

// EvidenceNoteBody is evidence without a file.
type EvidenceNoteBody struct {
	Title string `json:"title" maxLength:"300" doc:"what it shows, in a sentence" example:"The load balancer's page says: 0 of 2 healthy"`
	Text  string `json:"text,omitempty" maxLength:"4000"`
}

// Captured says that answer was asked to collect evidence; it comes in as it is found.
type Captured struct {
	Site string `json:"site"`
}

func (a *api) evidenceRoutes() {
	route(a, get("/incidents/{id}/evidence", "evidence", "What was collected in an incident"), a.evidence)
	body := get("/incidents/{id}/evidence/{item}", "evidence-body", "The body of a piece of evidence")
	body.about = "Text and real images are shown as what they are; everything else is a download. Nothing of it may run."
	body.file, body.adjust = true, describeBody
	route(a, body, a.evidenceBody)

	file := asCommand("/sites/{site}/evidence", "evidence-add", "Add a file as evidence", incident.Attach{})
	file.about = fmt.Sprintf("The request's body is the file, at most %d bytes. What it is is told by its contents, not by its name or its Content-Type.", engine.MaxFile)
	file.file, file.adjust = true, describeFile
	route(a, file, a.addEvidence)
	route(a, asCommand("/sites/{site}/evidence/notes", "evidence-note", "Add evidence without a file", incident.Attach{}), func(ctx context.Context, in *struct {
		SitePath
		Body EvidenceNoteBody
	}) (*acted, error) {
		return a.attach(ctx, in.Site, engine.File{Title: in.Body.Title, Text: in.Body.Text})
	})
	capture := post("/sites/{site}/evidence/capture", "evidence-capture", "Collect evidence from outside and from the logs now", role.Operator)
	capture.about = "Nothing is waited for: what is found is evidence of the open incident as it comes in."
	route(a, capture, func(ctx context.Context, in *SitePath) (*body202[Captured], error) {
		return &body202[Captured]{http.StatusAccepted, Captured{in.Site}}, a.o.Engine.Capture(ctx, in.Site)
	})
	incidentItemAct(a, asCommand("/incidents/{id}/evidence/{item}/redact", "evidence-redact", "Take the body of a piece of evidence away, saying why", incident.Redact{}), func(id string, b ReasonBody) incident.Command {
		return incident.Redact{Evidence: id, Reason: b.Reason}
	})
}

// body202 is an answer for what goes on afterwards.
type body202[T any] struct {
	Status int
	Body   T
}

func (a *api) evidence(ctx context.Context, in *IncidentPath) (*body[EvidenceList], error) {
	now, err := a.o.Engine.Incident(ctx, in.ID)
	out := EvidenceList{Incident: in.ID, Evidence: now.Evidence}
	if out.Evidence == nil {
		out.Evidence = []Evidence{}
	}
	return &body[EvidenceList]{out}, err
}

// fileInput is a file that comes in; its bytes are not held in memory.
type fileInput struct {
	SitePath
	Name  string `query:"name" maxLength:"200" doc:"the file's name" example:"error.log"`
	Title string `query:"title" maxLength:"300" doc:"what it shows, in a sentence"`
	Text  string `query:"text" maxLength:"4000" doc:"more about it"`

	contentType string
	body        io.Reader
	size        int64
}

// Resolve takes the request's body as it comes.
func (in *fileInput) Resolve(ctx huma.Context) []error {
	r, w := humago.Unwrap(ctx)
	deadline := time.Now().Add(fileTime) // the kernel's clock
	rc := http.NewResponseController(w)
	_, _ = rc.SetReadDeadline(deadline), rc.SetWriteDeadline(deadline) // a test's writer has none
	in.contentType, in.size, in.body = r.Header.Get("Content-Type"), r.ContentLength, arriving{http.MaxBytesReader(w, r.Body, engine.MaxFile)}
	return nil
}

// arriving tells what went wrong with a file on its way.
type arriving struct{ io.Reader }

func (f arriving) Read(b []byte) (int, error) {
	n, err := f.Reader.Read(b)
	var large *http.MaxBytesError
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return n, err
	case errors.As(err, &large):
		return n, tooLarge()
	}
	return n, fault.New(fault.Invalid, "the file did not arrive whole").Because(err).WithHint("send it again")
}

func tooLarge() *Problem {
	p := problemOf(fault.New(fault.Invalid, "the file has more than %d MB", engine.MaxFile>>20).WithHint("cut it: the minutes around the first symptom are enough"))
	p.Status, p.Title = http.StatusRequestEntityTooLarge, http.StatusText(http.StatusRequestEntityTooLarge)
	return p
}

func (a *api) addEvidence(ctx context.Context, in *fileInput) (*acted, error) {
	if in.size > engine.MaxFile {
		return nil, tooLarge()
	}
	return a.attach(ctx, in.Site, engine.File{Name: baseName(in.Name), Type: in.contentType, Title: in.Title, Text: in.Text, Body: in.body})
}

func (a *api) attach(ctx context.Context, site string, f engine.File) (*acted, error) {
	ctx, err := a.expecting(ctx, site)
	if err != nil {
		return nil, err
	}
	return outcome(ctx, func(ctx context.Context) (engine.Result, error) { return a.o.Engine.Attach(ctx, site, f, actorOf(ctx)) })
}

// baseName is a file's name without its folders and without what can't be seen.
func baseName(name string) string {
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	name = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, ""))
	if name == "." || name == "/" {
		return ""
	}
	return name
}

// What a browser may do with evidence: look at it, and nothing else.
const (
	bodyPolicy = "default-src 'none'; sandbox; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
	plainText  = "text/plain; charset=utf-8"
	anyBytes   = "application/octet-stream"
)

// shown says as what a body is sent, and whether a browser may show it.
func shown(x Evidence) (mediaType string, inline bool) {
	switch x.Type {
	case "image/png", "image/jpeg", "image/gif", "image/webp":
		return x.Type, true
	case "text/plain":
		return plainText, true
	}
	return anyBytes, false
}

func (a *api) evidenceBody(ctx context.Context, in *IncidentItemPath) (*huma.StreamResponse, error) {
	x, body, err := a.o.Engine.Evidence(ctx, in.ID, in.Item)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer func() { _ = body.Close() }() // it was only read
		r, w := humago.Unwrap(hc)
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(fileTime)) // the kernel's clock
		mediaType, inline := shown(x)
		h := w.Header()
		h.Set("Content-Type", mediaType)
		h.Set("Content-Disposition", disposition(x, inline))
		h.Set("Content-Security-Policy", bodyPolicy)
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("ETag", `"`+x.SHA256+`"`)
		http.ServeContent(w, r, "", x.At, body)
	}}, nil
}

func disposition(x Evidence, inline bool) string {
	how, name := "attachment", baseName(x.Name)
	if inline {
		how = "inline"
	}
	if name == "" {
		name = x.ID
	}
	if v := mime.FormatMediaType(how, map[string]string{"filename": name}); v != "" {
		return v
	}
	return how
}

func describeFile(op *huma.Operation) {
	op.RequestBody = &huma.RequestBody{
		Description: "the file", Required: true,
		Content: map[string]*huma.MediaType{"*/*": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
	}
}

func describeBody(op *huma.Operation) {
	bytes := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
	op.Responses["200"] = &huma.Response{
		Description: "the body, as text/plain, as an image, or as a download",
		Content:     map[string]*huma.MediaType{"text/plain": bytes, "image/*": bytes, anyBytes: bytes},
	}
}
