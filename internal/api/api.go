// Package api is the edge for machines: a JSON API under /api/v1 with a generated
// OpenAPI 3.1 document, and beside it /metrics, /healthz and /readyz.
//
// It decides nothing and stores nothing: each route is one call of the engine or of
// the token book. What goes wrong is told as a problem document (RFC 9457) that
// carries a fault's kind, place and hint, or a guard rail's rule, reason and what
// would satisfy it. Control serves it; cli and apiclient take its types.
//
// Invariants: every route that is not named as open asks for a token, by the pattern
// that matched and not by the path that was sent; a body has at most 64 KiB and no
// unknown field; whatever is read of a request is bounded in time.
//
// Concurrency: the handler may be called from any goroutine.
package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"lifeboat/internal/engine"
	"lifeboat/internal/feature"
	"lifeboat/internal/incident"
	"lifeboat/internal/token"
)

// Engine is what the API needs of the engine; *engine.Engine is one.
type Engine interface {
	Overview(ctx context.Context) (engine.Overview, error)
	Do(ctx context.Context, site string, c incident.Command, by incident.Actor) (engine.Result, error)
	Drill(ctx context.Context, lever string, by incident.Actor) (engine.DrillRecord, error)
	Check(ctx context.Context) ([]engine.Finding, error)
	Events(ctx context.Context, id string) ([]incident.Event, error)
	Incidents(ctx context.Context) ([]engine.Head, error)
	ResumeAuto(ctx context.Context, site string) error
	SiteOf(lever string) (string, error)
	Features() ([]feature.Flag, map[string]feature.Order)
}

// Tokens is what the API needs of the token book; *token.Book is one.
type Tokens interface {
	Verify(raw string) (token.Identity, error)
	Create(ctx context.Context, name string) (raw string, id token.Identity, err error)
	List() []token.Identity
	Revoke(ctx context.Context, id string) error
}

// Options of the API. Engine, Tokens, Logger and Now MUST be set.
type Options struct {
	Engine  Engine
	Tokens  Tokens
	Logger  *slog.Logger
	Now     func() time.Time
	Version string
	Root    bool         // for control.sock: whoever got in needs no token
	Ready   func() error // a further condition of /readyz; may be nil

	Registry *prometheus.Registry // of /metrics; one of its own when nil
}

// Limits on a request.
const (
	maxBody     = 64 << 10         // bytes
	bodyTime    = 5 * time.Second  // for a body to arrive
	requestTime = 45 * time.Second // for an answer: a drill there and back, with all its waits
)

type api struct {
	o       Options
	mux     *http.ServeMux
	spec    []byte // the OpenAPI document
	metrics *metrics
}

// New makes the handler for /api/, /metrics, /healthz and /readyz.
func New(o Options) http.Handler {
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	a := &api{o: o, mux: http.NewServeMux(), metrics: newMetrics(o.Registry)}
	o.Registry.MustRegister(&collector{o: o, errors: a.metrics.readErrors})
	a.spec = a.routes()
	a.mux.HandleFunc("GET /api/openapi.json", a.openAPI)
	a.mux.HandleFunc("GET /healthz", a.healthz)
	a.mux.HandleFunc("GET /readyz", a.readyz)
	a.mux.Handle("GET /metrics", promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{}))
	a.mux.HandleFunc("/", a.noRoute)
	return a.observed(a.admitted(a.mux))
}

// Document gives the OpenAPI document of a version, indented.
func Document(version string) ([]byte, error) {
	a := &api{o: Options{Version: version}, mux: http.NewServeMux()}
	var v any
	if err := json.Unmarshal(a.routes(), &v); err != nil {
		return nil, err
	}
	return json.MarshalIndent(v, "", "  ")
}

// useProblems makes the library tell its own errors as ours.
var useProblems = sync.OnceFunc(func() {
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError { return validation(status, msg, errs) }
})

// routes registers everything under /api/v1 and gives the OpenAPI document.
func (a *api) routes() []byte {
	useProblems()
	registry := huma.NewMapRegistry("#/components/schemas/", schemaName)
	h := humago.New(a.mux, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "lifeboat", Version: a.o.Version,
				Description: "Carries a company through a site crisis: fail over, diagnose, fix, fail back. What is seen and what is ordered are separate everywhere.",
				License:     &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Components: &huma.Components{
				Schemas:         registry,
				SecuritySchemes: map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer", Description: "lifeboat token create NAME makes one. control.sock needs none."}},
			},
			Security: []map[string][]string{{"token": {}}},
		},
		Formats: huma.DefaultFormats, DefaultFormat: "application/json", RejectUnknownQueryParameters: true,
	})
	a.statusRoutes(h)
	a.leverRoutes(h)
	a.siteRoutes(h)
	a.incidentRoutes(h)
	a.tokenRoutes(h)
	for name, s := range registry.Map() {
		if !strings.HasSuffix(name, "Body") { // what we send may have more fields in a later version
			s.AdditionalProperties = nil
		}
	}
	spec, err := json.Marshal(h.OpenAPI())
	if err != nil { // made of our own types when the program starts, and compared in a test
		panic("the OpenAPI document can't be written: " + err.Error())
	}
	return spec
}

// schemaName names the schemas where two packages have a type of one name, or the
// name says little outside its package.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.PkgPath() + "." + t.Name() {
	case "lifeboat/internal/probe.Result":
		return "CheckResult"
	case "lifeboat/internal/engine.Result":
		return "ActResult"
	case "lifeboat/internal/engine.Head":
		return "IncidentHead"
	}
	return huma.DefaultSchemaNamer(t, hint)
}

// route registers one operation; its errors become problem documents.
func route[I, O any](h huma.API, method, path, id, summary string, f func(context.Context, *I) (*O, error)) {
	op := huma.Operation{
		Method: method, Path: "/api/v1" + path, OperationID: id, Summary: summary, Tags: []string{tag(path)},
		MaxBodyBytes: maxBody, BodyReadTimeout: bodyTime,
	}
	huma.Register(h, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := f(ctx, in)
		if err != nil {
			return nil, problemOf(err)
		}
		return out, nil
	})
}

// tag groups operations by the first part of their path.
func tag(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return first
}

func (a *api) openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/openapi+json")
	_, _ = w.Write(a.spec) // a caller that has gone away misses nothing
}
