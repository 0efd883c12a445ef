package api

import (
	"context"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/role"
)

// operation is one route: where it is, what it is called, and who may use it.
type operation struct {
	method, path, id, summary string

	about       string // more than the summary says
	conditional bool   // it heeds If-Match
	ruling
	adjust func(*huma.Operation) // for the few that are not JSON both ways
}

// get is an operation that only reads.
func get(path, id, summary string) operation {
	return operation{method: http.MethodGet, path: path, id: id, summary: summary, ruling: ruling{least: role.Viewer}}
}

// post is an operation that changes something.
func post(path, id, summary string, least role.Role) operation {
	return operation{method: http.MethodPost, path: path, id: id, summary: summary, ruling: ruling{least: least}}
}

// asCommand is a post whose role is the heart's.
func asCommand(path, id, summary string, c incident.Command) operation {
	op := post(path, id, summary, leastFor(c))
	op.keyed, op.conditional = true, true
	return op
}

// leastFor is the role that a command asks for, as incident.May has it.
func leastFor(c incident.Command) role.Role {
	for _, r := range role.Roles {
		if incident.May(c, incident.Actor{Kind: "person", Role: string(r)}) == nil {
			return r
		}
	}
	return role.Admin
}

// route registers one operation; its errors become problem documents.
func route[I, O any](a *api, op operation, f func(context.Context, *I) (*O, error)) {
	if !op.least.Known() || op.method != http.MethodGet && op.least == role.Viewer { // a route without a check is a mistake of ours
		panic("the route " + op.method + " " + op.path + " asks for no role")
	}
	a.rules[op.method+" /api/v1"+op.path] = op.ruling
	huma.Register(a.h, op.document(), func(ctx context.Context, in *I) (*O, error) {
		out, err := f(ctx, in)
		if err != nil {
			return nil, problemOf(err)
		}
		return out, nil
	})
}

// document says what a route is in OpenAPI.
func (op operation) document() huma.Operation {
	first, _, _ := strings.Cut(strings.TrimPrefix(op.path, "/"), "/")
	out := huma.Operation{
		Method: op.method, Path: "/api/v1" + op.path, OperationID: op.id, Summary: op.summary, Description: op.about, Tags: []string{first},
		MaxBodyBytes: maxBody, BodyReadTimeout: bodyTime, Extensions: map[string]any{"x-role": op.least},
		Responses: map[string]*huma.Response{"default": {Ref: "#/components/responses/problem"}},
	}
	for _, status := range op.problems() {
		out.Responses[strconv.Itoa(status)] = &huma.Response{Ref: "#/components/responses/" + strconv.Itoa(status)}
	}
	if op.method == http.MethodPost {
		out.Parameters = append(out.Parameters, &huma.Param{Ref: "#/components/parameters/" + keyHeader})
	}
	if op.conditional {
		out.Parameters = append(out.Parameters, &huma.Param{Ref: "#/components/parameters/If-Match"})
	}
	if op.adjust != nil {
		op.adjust(&out)
	}
	return out
}

// problems are the statuses worth telling apart.
func (op operation) problems() []int {
	out := []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity, http.StatusServiceUnavailable}
	if strings.Contains(op.path, "{") {
		out = append(out, http.StatusNotFound)
	}
	if op.method == http.MethodPost {
		out = append(out, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	if op.conditional {
		out = append(out, http.StatusPreconditionFailed)
	}
	if op.method != http.MethodGet && !op.safe {
		out = append(out, http.StatusTooManyRequests)
	}
	return out
}

// meanings are what is told by each status beside 200.
var meanings = map[int]string{
	http.StatusUnauthorized:          "No token, or one that opens nothing",
	http.StatusForbidden:             "Your role may not do this; `hint` says which can",
	http.StatusNotFound:              "There is no such thing, or no incident is open",
	http.StatusConflict:              "It does not fit how things stand, or a guard rail says no: `refusal` says which, and what would satisfy it",
	http.StatusPreconditionFailed:    "Somebody has written since you looked; nothing was done. `now` says how it is",
	http.StatusRequestEntityTooLarge: "The body is too large",
	http.StatusUnsupportedMediaType:  "The body is not JSON",
	http.StatusUnprocessableEntity:   "The request is wrong; `place` or `errors` say where",
	http.StatusTooManyRequests:       "This token writes too much; `Retry-After` says when to go on",
	http.StatusServiceUnavailable:    "A part is away, or no effect could be seen; `Retry-After` says when to ask again",
}

// shared are the responses and parameters that many operations have.
func shared(c *huma.Components) {
	problem := func(text string) *huma.Response {
		schema := c.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
		return &huma.Response{Description: text, Content: map[string]*huma.MediaType{"application/problem+json": {Schema: schema}}}
	}
	c.Responses = map[string]*huma.Response{"problem": problem("What went wrong (RFC 9457)")}
	for status, text := range meanings {
		c.Responses[strconv.Itoa(status)] = problem(text)
	}
	c.Parameters = map[string]*huma.Param{
		keyHeader: {
			Name: keyHeader, In: "header", Schema: &huma.Schema{Type: huma.TypeString, MaxLength: new(maxKey)}, Example: "deploy-4711",
			Description: "the same key again, for a day at least, gives the same outcome and no second act",
		},
		"If-Match": {
			Name: "If-Match", In: "header", Schema: &huma.Schema{Type: huma.TypeString}, Example: `"01J9ZZ6V3Q4W5E6R7T8Y9U0P1A-17"`,
			Description: "the ETag of the incident as you saw it: where somebody has written since, nothing is done (412)",
		},
	}
}

// SitePath is the site that a path names. It and its like are exported because the
// library fills in only what is.
type SitePath struct {
	Site string `path:"site" maxLength:"100" doc:"the site's id in the configuration" example:"shop"`
}

// SiteItemPath is one thing in the open incident of a site.
type SiteItemPath struct {
	SitePath
	Item string `path:"item" maxLength:"200" doc:"its id within the incident, such as c1, d2 or h1; of a role its name" example:"c1"`
}

// IncidentPath is the incident that a path names.
type IncidentPath struct {
	ID string `path:"id" maxLength:"64" doc:"the incident's id" example:"01J9ZZ6V3Q4W5E6R7T8Y9U0P1A"`
}

// IncidentItemPath is one thing in an incident.
type IncidentItemPath struct {
	IncidentPath
	Item string `path:"item" maxLength:"200" doc:"its id within the incident, such as e2 or a1; of a section or a question its key" example:"a1"`
}

// checker is a body with something in it that its schema can't say.
type checker interface{ check() error }

func checked(body any) error {
	if c, is := body.(checker); is {
		return c.check()
	}
	return nil
}

// siteAct registers an act in the open incident of a site. B is its body.
func siteAct[B any](a *api, op operation, command func(B) incident.Command) {
	route(a, op, func(ctx context.Context, in *struct {
		SitePath
		Body B
	}) (*acted, error) {
		if err := checked(in.Body); err != nil {
			return nil, err
		}
		return a.act(ctx, in.Site, command(in.Body))
	})
}

// itemAct registers an act on one thing in the open incident of a site.
func itemAct[B any](a *api, op operation, command func(item string, b B) incident.Command) {
	route(a, op, func(ctx context.Context, in *struct {
		SiteItemPath
		Body B
	}) (*acted, error) {
		if err := checked(in.Body); err != nil {
			return nil, err
		}
		return a.act(ctx, in.Site, command(in.Item, in.Body))
	})
}

// incidentAct registers an act in an incident, open or ended.
func incidentAct[B any](a *api, op operation, command func(B) incident.Command) {
	route(a, op, func(ctx context.Context, in *struct {
		IncidentPath
		Body B
	}) (*acted, error) {
		if err := checked(in.Body); err != nil {
			return nil, err
		}
		return a.actIn(ctx, in.ID, command(in.Body))
	})
}

// incidentItemAct registers an act on one thing in an incident, open or ended.
func incidentItemAct[B any](a *api, op operation, command func(item string, b B) incident.Command) {
	route(a, op, func(ctx context.Context, in *struct {
		IncidentItemPath
		Body B
	}) (*acted, error) {
		if err := checked(in.Body); err != nil {
			return nil, err
		}
		return a.actIn(ctx, in.ID, command(in.Item, in.Body))
	})
}

// span reads how long something lasts; "" is 0.
func span(text, place string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fault.New(fault.Invalid, "%.40q is no duration", text).At(place).WithHint("write it like 90s, 20m or 1h30m")
	}
	return d, nil
}

// spanOf is span of a text that was checked.
func spanOf(text string) time.Duration {
	d, _ := span(text, "")
	return d
}
