// Package web is the edge for people: the plain page, rendered here, that works
// without JavaScript.
//
// It decides nothing: every button is a command to the engine, and every refusal is
// shown as the engine gave it, with the field that lets a person go on where that is
// possible. POST leads to a redirect; nothing changes by GET. Only package control
// opens it.
//
// Invariants: without a valid sign-in nothing of a site is shown; what was typed comes
// back when it was refused; a page with a field to type in does not reload itself.
//
// Concurrency: a handler may be called from any goroutine.
package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
)

// Engine is what the pages need of the engine.
type Engine interface {
	Overview(ctx context.Context) (engine.Overview, error)
	Do(ctx context.Context, site string, c incident.Command, by incident.Actor) (engine.Result, error)
	Drill(ctx context.Context, lever string, by incident.Actor) (engine.DrillRecord, error)
	Events(ctx context.Context, id string) ([]incident.Event, error)
	Incidents(ctx context.Context) ([]engine.Head, error)
	ResumeAuto(ctx context.Context, site string) error
}

// Tokens says whom a token belongs to; a wrong one is an error.
type Tokens interface {
	Verify(raw string) (id, name string, err error)
	Known(id string) bool // the token with this id has not been taken back
}

// Options of the pages. All but Demo MUST be set.
type Options struct {
	Engine Engine
	Tokens Tokens
	Key    []byte // signs sign-ins and messages; 32 bytes
	Now    func() time.Time
	Logger *slog.Logger
	Demo   string // one line on top of every page
}

//go:embed page/*.html page/style.css
var files embed.FS

var (
	style = mustRead("page/style.css")
	pages = template.Must(template.New("").Funcs(funcs).ParseFS(files, "page/*.html"))
	csp   = "default-src 'none'; style-src 'sha256-" + hash(style) + "'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

func mustRead(name string) string {
	b, err := files.ReadFile(name)
	if err != nil {
		panic(err) // embedded above
	}
	return string(b)
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

type server struct {
	o     Options
	doors *doors
}

// New makes the handler of all pages.
func New(o Options) http.Handler {
	s := &server{o: o, doors: newDoors(o.Now)}
	foreign := http.NewCrossOriginProtection()
	foreign.SetDenyHandler(http.HandlerFunc(s.foreign))
	return headers(foreign.Handler(s.forms(s.routes())))
}

func (s *server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.signedIn(s.home))
	mux.HandleFunc("GET /sites/{site}", s.signedIn(s.site))
	mux.HandleFunc("GET /incidents", s.signedIn(s.incidents))
	mux.HandleFunc("GET /incidents/{id}", s.signedIn(s.timeline))
	mux.HandleFunc("POST /sites/{site}/{act}", s.signedIn(s.act))
	mux.HandleFunc("GET /sites/{site}/{act}", func(w http.ResponseWriter, r *http.Request) { // the address of a refused form, opened anew
		http.Redirect(w, r, "/sites/"+url.PathEscape(r.PathValue("site")), http.StatusSeeOther)
	})
	mux.HandleFunc("GET /sign-in", s.signIn)
	mux.HandleFunc("POST /sign-in", s.enter)
	mux.HandleFunc("POST /sign-out", s.leave)
	mux.HandleFunc("/", s.signedIn(func(w http.ResponseWriter, r *http.Request, who person) {
		s.fail(w, fault.New(fault.NotFound, "there is no such page").WithHint("go to the first one"))
	}))
	return mux
}

// headers puts what every answer carries.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", csp)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// frame is what every page has around its own part.
type frame struct {
	Title   string
	Style   template.CSS
	Demo    string
	Who     string
	Refresh int // seconds; 0: the page does not reload itself
	Say     message
	Banners []string
	Body    any
}

// show renders a page; a fault of ours in it is logged and told.
func (s *server) show(w http.ResponseWriter, status int, name string, f frame) {
	f.Style, f.Demo = template.CSS(style), s.o.Demo //nolint:gosec // our own file
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, f); err != nil {
		s.o.Logger.Error("a page could not be rendered", "page", name, "cause", err)
		http.Error(w, "This page could not be made. Commands still work: lifeboat status", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // a reader that has gone away misses nothing
}

// statusOf is the HTTP status for a kind of error.
func statusOf(err error) int {
	switch fault.KindOf(err) {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict, fault.Refused:
		return http.StatusConflict
	case fault.Denied:
		return http.StatusForbidden
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// fail shows an error that has no page to go back to.
func (s *server) fail(w http.ResponseWriter, err error) {
	s.problem(w, statusOf(err), messageOf(err))
}

func (s *server) problem(w http.ResponseWriter, status int, m message) {
	s.show(w, status, "problem.html", frame{Title: "That did not work", Body: m})
}

// home is the one site's page, or the list of sites.
func (s *server) home(w http.ResponseWriter, r *http.Request, who person) {
	o, err := s.o.Engine.Overview(r.Context())
	if err != nil {
		s.fail(w, err)
		return
	}
	if len(o.Sites) == 1 {
		s.showSite(w, r, who, o, o.Sites[0])
		return
	}
	var sites []siteLine
	for _, v := range o.Sites {
		m := momentOf(v, o.Now)
		sites = append(sites, siteLine{ID: v.ID, Title: v.Title, Sentence: m.Headline, Place: placeWords(v.Ordered.Position)})
	}
	s.show(w, http.StatusOK, "sites.html", frame{Title: "All sites", Who: who.Name, Refresh: 10, Banners: banners(o), Say: s.said(r), Body: sites})
}

type siteLine struct{ ID, Title, Sentence, Place string }

func (s *server) site(w http.ResponseWriter, r *http.Request, who person) {
	o, err := s.o.Engine.Overview(r.Context())
	if err != nil {
		s.fail(w, err)
		return
	}
	v, known := siteOf(o, r.PathValue("site"))
	if !known {
		s.fail(w, fault.New(fault.NotFound, "there is no site %q", r.PathValue("site")).WithHint("go to the first page"))
		return
	}
	s.showSite(w, r, who, o, v)
}

func siteOf(o engine.Overview, id string) (engine.SiteView, bool) {
	for _, v := range o.Sites {
		if v.ID == id {
			return v, true
		}
	}
	return engine.SiteView{}, false
}

func (s *server) showSite(w http.ResponseWriter, r *http.Request, who person, o engine.Overview, v engine.SiteView) {
	say := s.said(r)
	p := sitePage(v, o, r.URL.Query().Get("ask"), r.URL.Query().Get("lever"), say)
	f := frame{Title: p.Moment.Headline + " – " + v.Title, Who: who.Name, Banners: banners(o), Say: say, Body: p}
	if p.Ask == nil {
		f.Refresh = p.Moment.Refresh
	}
	s.show(w, http.StatusOK, "site.html", f)
}

func (s *server) incidents(w http.ResponseWriter, r *http.Request, who person) {
	heads, err := s.o.Engine.Incidents(r.Context())
	if err != nil {
		s.fail(w, err)
		return
	}
	s.show(w, http.StatusOK, "incidents.html", frame{Title: "Incidents", Who: who.Name, Body: newestFirst(heads)})
}

func (s *server) timeline(w http.ResponseWriter, r *http.Request, who person) {
	events, err := s.o.Engine.Events(r.Context(), r.PathValue("id"))
	if err != nil {
		s.fail(w, err)
		return
	}
	in := incident.Fold(events)
	broken := ""
	if err := incident.Verify(events); err != nil {
		broken = err.Error()
	}
	s.show(w, http.StatusOK, "timeline.html", frame{Title: in.Title, Who: who.Name, Body: struct {
		In     incident.Incident
		Events []incident.Event
		Broken string
	}{in, events, broken}})
}

// banners are what stands above everything else.
func banners(o engine.Overview) []string {
	var out []string
	if !o.Answer.Connected {
		out = append(out, "The answer process is not connected. It goes on as it was told last; a lever can be pulled on its machine with: lifeboat answer pull LEVER.")
	} else if o.Answer.Problem != "" {
		out = append(out, "The answer process has a problem: "+o.Answer.Problem+".")
	}
	if o.Record.Degraded {
		out = append(out, "The record is degraded: "+o.Record.Reason+". Everything works, and what happens is kept aside until it can be written.")
	}
	return out
}

// messageOf turns an error into what is shown.
func messageOf(err error) message {
	var refusal *fault.Refusal
	if errors.As(err, &refusal) {
		return message{Kind: "refused", Text: refusal.Reason, Next: refusal.Satisfy, Rule: refusal.Rule, Override: refusal.Overridable}
	}
	var e *fault.Error
	if errors.As(err, &e) {
		text := e.Text
		if e.Cause != nil {
			text += ": " + e.Cause.Error()
		}
		return message{Kind: "failed", Text: sentence(text), Next: sentence(e.Hint)}
	}
	return message{Kind: "failed", Text: sentence(err.Error())}
}
