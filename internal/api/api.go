// Package api is the edge for machines: a JSON API under /api/v1 with a generated
// OpenAPI 3.1 document, and beside it /metrics, /healthz and /readyz.
//
// It decides nothing and stores nothing: each route is one call of the engine, or of
// the books of tokens and accounts. What goes wrong is told as a problem document (RFC
// 9457) that carries a fault's kind, place and hint, or a guard rail's rule, reason and
// what would satisfy it. Control serves it; cli and apiclient take its types.
//
// Invariants: every route that is not named as open asks for a token and for a role, by
// the pattern that matched and not by the path that was sent; the role of an act is the
// one that incident.May names, so that the edge and the heart can't disagree. A body has
// at most 64 KiB and no unknown field, a file at most engine.MaxFile; whatever is read of
// a request is bounded in time. A POST with an Idempotency-Key is done once. What leads
// to safety is held up by no limit of requests and by no old page.
//
// Concurrency: the handler may be called from any goroutine.
package api

import (
	"context"
	"encoding/json"
	"io"
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

	"lifeboat/internal/account"
	"lifeboat/internal/engine"
	"lifeboat/internal/feature"
	"lifeboat/internal/incident"
	"lifeboat/internal/ledger"
	"lifeboat/internal/outbox"
	"lifeboat/internal/postmortem"
	"lifeboat/internal/role"
	"lifeboat/internal/token"
)

// Engine is what the API needs of the engine; *engine.Engine is one.
type Engine interface {
	Overview(ctx context.Context) (engine.Overview, error)
	Do(ctx context.Context, site string, c incident.Command, by incident.Actor) (engine.Result, error)
	Drill(ctx context.Context, lever string, by incident.Actor) (engine.DrillRecord, error)
	Check(ctx context.Context) ([]engine.Finding, error)
	ResumeAuto(ctx context.Context, site string) error
	SiteOf(lever string) (string, error)
	Features() ([]feature.Flag, map[string]feature.Order)

	Incidents(ctx context.Context) ([]engine.Head, error)
	Incident(ctx context.Context, id string) (incident.Incident, error)
	DoIn(ctx context.Context, id string, c incident.Command, by incident.Actor) (engine.Result, error)
	Events(ctx context.Context, id string) ([]incident.Event, error)
	WriteUp(ctx context.Context, id string, public bool) (postmortem.Document, error)
	FinishWriteUp(ctx context.Context, id string, by incident.Actor) (engine.Result, error)

	Capture(ctx context.Context, site string) error
	Attach(ctx context.Context, site string, f engine.File, by incident.Actor) (engine.Result, error)
	Evidence(ctx context.Context, id, piece string) (incident.Evidence, io.ReadSeekCloser, error)
	AddChange(ctx context.Context, c ledger.Change, by incident.Actor) (ledger.Change, error)
	Changes(ctx context.Context, q ledger.Query) ([]ledger.Change, error)

	Queue(ctx context.Context) ([]outbox.Message, error)
	RetryMessage(ctx context.Context, id string) error
	DropMessage(ctx context.Context, id string) error
	RollKey(ctx context.Context, apex string) error

	PutChallenge(ctx context.Context, name string, values []string, ttl time.Duration) (engine.Challenge, error)
	DropChallenge(ctx context.Context, name string, values []string) error
	Challenges(ctx context.Context) ([]engine.Challenge, error)
}

// Tokens is what the API needs of the token book; *token.Book is one.
type Tokens interface {
	Verify(raw string) (token.Identity, error)
	CreateAs(ctx context.Context, name string, may role.Role) (raw string, id token.Identity, err error)
	List() []token.Identity
	Revoke(ctx context.Context, id string) error
}

// Accounts is what the API needs of the book of accounts; *account.Book is one.
type Accounts interface {
	List() []account.Account
	Get(name string) (account.Account, error)
	Create(ctx context.Context, a account.Account, password string) (account.Account, error)
	SetPassword(ctx context.Context, name, password string) error
	SetRole(ctx context.Context, name string, may role.Role) error
	SetTitle(ctx context.Context, name, title string) error
	Disable(ctx context.Context, name string) error
	Enable(ctx context.Context, name string) error
	Sessions(who account.Who) []account.Session
	CloseAll(ctx context.Context, who account.Who) error
	Invite(ctx context.Context, a account.Account) (account.Account, string, error)
	Reset(ctx context.Context, name string, sure bool) (string, error)
	Factors(name string) (account.Factors, error)
}

// Options of the API. Engine, Tokens, Logger and Now MUST be set.
type Options struct {
	Engine   Engine
	Tokens   Tokens
	Console  string   // where people reach the pages, for the links of invitations; empty: it is not known
	Accounts Accounts // its routes say that there are none where it is nil
	Logger   *slog.Logger
	Now      func() time.Time
	Version  string
	Desk     Desk         // nil: the configuration has no databases
	Root     bool         // for control.sock: whoever got in needs no token, and is an admin
	Ready    func() error // a further condition of /readyz; may be nil

	Zones Zones // where records are edited; its routes say that nobody does where it is nil

	Board Board // the status page; its routes say that there is none where it is nil

	Subscribers Subscribers // who is told what it tells; likewise

	Outside Outside // what the world sees of our zones; its routes say that nobody looks where it is nil

	Certificates Certificates // nil: the configuration has none

	Registry *prometheus.Registry // of /metrics; one of its own when nil
}

// Limits on a request.
const (
	maxBody     = 64 << 10         // bytes
	bodyTime    = 5 * time.Second  // for a body to arrive
	requestTime = 45 * time.Second // for an answer: a drill there and back, with all its waits
	fileTime    = 2 * time.Minute  // for a file to arrive, or to be taken
)

type api struct {
	o       Options
	mux     *http.ServeMux
	h       huma.API
	spec    []byte            // the OpenAPI document
	rules   map[string]ruling // of each route, by its pattern
	once    *once             // what was asked for under an idempotency key
	brake   *brake            // how much one caller may write
	files   *brake            // how many files one caller may send
	metrics *metrics
}

// ruling is what is asked of a request before its route sees it.
type ruling struct {
	least role.Role
	safe  bool // leads to safety, or only says what is seen: no limit holds it up
	file  bool // carries a file, which is not looked at here
	keyed bool // the engine knows what was done under an idempotency key; else the answer is kept
}

// New makes the handler for /api/, /metrics, /healthz and /readyz.
func New(o Options) http.Handler {
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	a := &api{o: o, mux: http.NewServeMux(), metrics: newMetrics(o.Registry), once: newOnce(o.Now), brake: newBrake(o.Now, writesAtOnce, writeEvery), files: newBrake(o.Now, filesAtOnce, fileEvery)}
	o.Registry.MustRegister(&collector{o: o, errors: a.metrics.readErrors})
	a.spec = a.routes()
	a.mux.HandleFunc("GET /api/openapi.json", a.openAPI)
	a.mux.HandleFunc("GET /healthz", a.healthz)
	a.mux.HandleFunc("GET /readyz", a.readyz)
	a.mux.Handle("GET /metrics", promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{}))
	a.mux.HandleFunc("/", a.noRoute)
	return drained(a.observed(a.admitted(a.conditional(a.keyed(a.mux)))))
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

const aboutAPI = `Carries a company through a site crisis: fail over, diagnose, fix, fail back. What is seen and what is ordered are separate everywhere.

Each operation names the least role that may use it in ` + "`x-role`" + `. An answer about an incident has an ` + "`ETag`" + `; sent back as ` + "`If-Match`" + ` it makes an act
conditional (412 when somebody has written since), except for what leads to safety, which nothing holds up. A POST with an ` + "`Idempotency-Key`" + ` is done once.`

// routes registers everything under /api/v1 and gives the OpenAPI document.
func (a *api) routes() []byte {
	useProblems()
	registry := huma.NewMapRegistry("#/components/schemas/", schemaName)
	a.rules = map[string]ruling{}
	a.h = humago.New(a.mux, huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "lifeboat", Version: a.o.Version, Description: aboutAPI,
				License: &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Components: &huma.Components{
				Schemas:         registry,
				SecuritySchemes: map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer", Description: "lifeboat token create NAME makes one. control.sock needs none."}},
			},
			Security: []map[string][]string{{"token": {}}},
		},
		Formats: huma.DefaultFormats, DefaultFormat: "application/json", RejectUnknownQueryParameters: true,
	})
	shared(a.h.OpenAPI().Components)
	for _, register := range []func(){
		a.statusRoutes, a.leverRoutes, a.siteRoutes, a.evidenceRoutes, a.changeRoutes, a.dataRoutes, a.causeRoutes, a.fixRoutes, a.peopleRoutes,
		a.incidentRoutes, a.followUpRoutes, a.writeUpRoutes, a.queueRoutes, a.dnsRoutes, a.signingRoutes, a.certificateRoutes, a.tokenRoutes, a.accountRoutes, a.boardRoutes, a.subscriberRoutes, a.zoneRoutes,
	} {
		register()
	}
	for name, s := range registry.Map() {
		if !strings.HasSuffix(name, "Body") { // what we send may have more fields in a later version
			s.AdditionalProperties = nil
		}
	}
	spec, err := json.Marshal(a.h.OpenAPI())
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
	switch t.PkgPath() {
	case "lifeboat/internal/quarantine":
		return "Quarantine" + huma.DefaultSchemaNamer(t, hint)
	case "lifeboat/internal/quarantine/desk":
		return "Desk" + huma.DefaultSchemaNamer(t, hint)
	case "lifeboat/internal/zonebook", "lifeboat/internal/zonebook/desk", "lifeboat/internal/zonediff":
		return "Book" + huma.DefaultSchemaNamer(t, hint)
	}
	switch t.PkgPath() + "." + t.Name() {
	case "lifeboat/internal/board.Incident", "lifeboat/internal/board.Update", "lifeboat/internal/board.Event", "lifeboat/internal/board.Override", "lifeboat/internal/board.Who":
		return "Public" + huma.DefaultSchemaNamer(t, hint)
	case "lifeboat/internal/probe.Result":
		return "CheckResult"
	case "lifeboat/internal/engine.Result":
		return "ActResult"
	case "lifeboat/internal/engine.Head":
		return "IncidentHead"
	case "lifeboat/internal/engine.Finding":
		return "CheckFinding"
	case "lifeboat/internal/incident.Change":
		return "SeenChange"
	case "lifeboat/internal/ledger.Change":
		return "LedgerChange"
	case "lifeboat/internal/incident.Sight":
		return "SightChange"
	case "lifeboat/internal/postmortem.Document":
		return "PostMortem"
	case "lifeboat/internal/engine.Act":
		return "PreparedAct"
	}
	return huma.DefaultSchemaNamer(t, hint)
}

func (a *api) openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/openapi+json")
	_, _ = w.Write(a.spec) // a caller that has gone away misses nothing
}
