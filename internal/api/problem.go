package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/store"
)

// Problem is what went wrong, for machines and people (RFC 9457). Detail is a
// sentence, Hint the next step.
type Problem struct {
	Status   int            `json:"status"`
	Title    string         `json:"title" doc:"the status in words"`
	Detail   string         `json:"detail"`
	Kind     fault.Kind     `json:"kind" enum:"invalid,not_found,conflict,refused,denied,unavailable,not_in_version,internal"`
	Place    string         `json:"place,omitempty" doc:"the field, flag or file that it is about"`
	Hint     string         `json:"hint,omitempty" doc:"the next step"`
	Incident string         `json:"incident,omitempty" doc:"the incident whose timeline tells more"`
	Refusal  *fault.Refusal `json:"refusal,omitempty" doc:"kind refused: which guard rail, and what would satisfy it"`
	Errors   []FieldProblem `json:"errors,omitempty" doc:"kind invalid: everything that is wrong with the request"`
	Now      *Standing      `json:"now,omitempty" doc:"status 412: the incident as it is now"`

	wait time.Duration // status 429: until the next one counts
}

// Standing is where an incident stands, for whoever looked at an older one.
type Standing struct {
	ETag     string         `json:"etag"`
	Incident string         `json:"incident,omitempty"`
	Phase    incident.Phase `json:"phase,omitempty"`
	Seq      uint64         `json:"seq,omitempty" doc:"number of its newest event"`
	Title    string         `json:"title,omitempty"`
}

// FieldProblem is one thing wrong with a request.
type FieldProblem struct {
	Place string `json:"place"`
	Text  string `json:"text"`
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus gives the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType makes JSON a problem document.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders says when to come back, and how to get in.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	switch p.Status {
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "2")
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="lifeboat"`)
	case http.StatusRequestEntityTooLarge:
		h.Set("Connection", "close") // what is still on its way may be more than is read on for: the next request needs another line
	case http.StatusTooManyRequests:
		h.Set("Retry-After", strconv.Itoa(seconds(p.wait)))
	}
	if p.Now != nil {
		h.Set("ETag", p.Now.ETag)
	}
	return h
}

// statusOf gives the HTTP status of each kind.
var statusOf = map[fault.Kind]int{
	fault.Invalid:      http.StatusUnprocessableEntity,
	fault.NotFound:     http.StatusNotFound,
	fault.Conflict:     http.StatusConflict,
	fault.Refused:      http.StatusConflict,
	fault.Denied:       http.StatusForbidden,
	fault.Unavailable:  http.StatusServiceUnavailable,
	fault.NotSupported: http.StatusNotImplemented,
	fault.Internal:     http.StatusInternalServerError,
}

// KindOf gives the kind that a status stands for, where a problem does not say.
func KindOf(status int) fault.Kind {
	switch status {
	case http.StatusNotFound:
		return fault.NotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return fault.Conflict
	case http.StatusUnauthorized, http.StatusForbidden:
		return fault.Denied
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		return fault.Unavailable
	case http.StatusNotImplemented:
		return fault.NotSupported
	}
	if status >= 400 && status < 500 {
		return fault.Invalid
	}
	return fault.Internal
}

// problemOf makes a problem of any error.
func problemOf(err error) *Problem {
	var done *Problem
	if errors.As(err, &done) {
		return done
	}
	p := &Problem{Kind: fault.KindOf(err), Detail: err.Error()}
	var refusal *fault.Refusal
	var f *fault.Error
	switch {
	case errors.As(err, &refusal):
		p.Refusal, p.Detail = refusal, strings.TrimSpace(refusal.Reason+" "+refusal.Satisfy)
	case errors.As(err, &f):
		p.Place, p.Hint, p.Detail = f.Place, f.Hint, strings.Replace(err.Error(), f.Error(), bare(f), 1)
	case errors.Is(err, store.ErrConflict):
		p.Kind, p.Detail, p.Hint = fault.Conflict, "somebody else changed this at the same time", "look again, then try again"
	case errors.Is(err, context.DeadlineExceeded):
		p.Kind, p.Detail, p.Hint = fault.Unavailable, "it took too long", "see where things stand with: lifeboat status"
	}
	p.Status = statusOf[p.Kind]
	if p.Status == 0 {
		p.Status = http.StatusInternalServerError
	}
	p.Title = http.StatusText(p.Status)
	return p
}

// bare is a fault's text without place and hint, which have fields of their own.
func bare(f *fault.Error) string {
	if f.Cause != nil && !errors.Is(f.Cause, engine.ErrStale) { // which says the same
		return f.Text + ": " + f.Cause.Error()
	}
	return f.Text
}

// validation makes a problem of what the library found wrong with a request.
func validation(status int, msg string, errs []error) *Problem {
	p := &Problem{Status: status, Title: http.StatusText(status), Kind: KindOf(status), Detail: msg, Hint: "the routes and their fields are in /api/openapi.json"}
	for _, err := range errs {
		var d huma.ErrorDetailer
		if err == nil {
			continue
		}
		f := FieldProblem{Text: err.Error()}
		if errors.As(err, &d) {
			f = FieldProblem{Place: strings.TrimPrefix(d.ErrorDetail().Location, "body."), Text: d.ErrorDetail().Message}
		}
		p.Errors = append(p.Errors, f)
	}
	if len(p.Errors) > 0 {
		p.Place, p.Detail = p.Errors[0].Place, msg+": "+p.Errors[0].Text
	}
	if status >= http.StatusInternalServerError {
		p.Hint = ""
	}
	return p
}

// write sends a problem where the library is not at work.
func (p *Problem) write(w http.ResponseWriter) {
	for k, v := range p.GetHeaders() {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // a caller that has gone away misses nothing
}
