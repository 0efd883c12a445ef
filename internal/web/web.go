// Package web is the edge for people: the whole loop as pages that are rendered here
// and work without JavaScript.
//
// It decides nothing. Every button is a command to the engine, and every refusal is
// shown as the engine gave it, with all that was typed and the field that lets a
// person go on where that is possible. What can be pressed is one table (acts); a
// form on a page, on a page of its own and after a refusal is the same form. POST
// leads to a redirect; nothing changes by GET. Only package control opens it.
//
// Invariants: without a valid sign-in nothing of a site is shown; what was typed comes
// back when it was refused; a page with a field to type in does not reload itself; a
// button that can't be pressed keeps its place and says why; nothing of what somebody
// wrote or sent is run, here or in a browser.
//
// Concurrency: a handler may be called from any goroutine.
package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"lifeboat/internal/account"
	"lifeboat/internal/board"
	"lifeboat/internal/config"
	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/feature"
	"lifeboat/internal/incident"
	"lifeboat/internal/ledger"
	"lifeboat/internal/outbox"
	"lifeboat/internal/postmortem"
	"lifeboat/internal/role"
	"lifeboat/internal/session"
	"lifeboat/internal/token"
)

// Engine is what the pages need of the engine.
type Engine interface {
	Overview(ctx context.Context) (engine.Overview, error)
	Incidents(ctx context.Context) ([]engine.Head, error)
	Incident(ctx context.Context, id string) (incident.Incident, error)
	Events(ctx context.Context, id string) ([]incident.Event, error)
	Do(ctx context.Context, site string, c incident.Command, by incident.Actor) (engine.Result, error)
	DoIn(ctx context.Context, id string, c incident.Command, by incident.Actor) (engine.Result, error)
	Drill(ctx context.Context, lever string, by incident.Actor) (engine.DrillRecord, error)
	ResumeAuto(ctx context.Context, site string) error

	Capture(ctx context.Context, site string) error
	Attach(ctx context.Context, site string, f engine.File, by incident.Actor) (engine.Result, error)
	Evidence(ctx context.Context, id, piece string) (incident.Evidence, io.ReadSeekCloser, error)
	Changes(ctx context.Context, q ledger.Query) ([]ledger.Change, error)
	AddChange(ctx context.Context, c ledger.Change, by incident.Actor) (ledger.Change, error)

	WriteUp(ctx context.Context, id string, public bool) (postmortem.Document, error)
	FinishWriteUp(ctx context.Context, id string, by incident.Actor) (engine.Result, error)

	Queue(ctx context.Context) ([]outbox.Message, error)
	RetryMessage(ctx context.Context, id string) error
	DropMessage(ctx context.Context, id string) error

	Visible() (map[string]board.Ordered, []board.Seen)
	Features() ([]feature.Flag, map[string]feature.Order)
	Arrivals(site string) []engine.Arrival
	Hours(site string) []engine.Hour
	Changed() <-chan struct{}
}

// Tokens says whom a token belongs to; a wrong one is an error. token.Book is one.
type Tokens interface {
	Verify(raw string) (token.Identity, error)
}

// Accounts holds who may sign in, and the sign-ins; account.Book is one.
type Accounts interface {
	SignIn(ctx context.Context, name, password, from string) (account.Account, error)
	Open(ctx context.Context, who account.Who, how string) (raw string, s account.Session, err error)
	Session(raw string) (account.Session, bool)
	Sessions(who account.Who) []account.Session
	Close(ctx context.Context, raw string) error
	CloseAll(ctx context.Context, who account.Who) error
	Prove(raw string)

	Wants(name string) bool
	Half(name string) string
	HalfOf(text string) (name string, good bool)
	Second(ctx context.Context, half, code, from string) (a account.Account, how string, err error)
	Code(ctx context.Context, name, code, from string) (how string, err error)
	HasPasskeys() bool
	AskPasskey() (options, state string, err error)
	Passkey(ctx context.Context, state, response, from string) (account.Account, error)

	Factors(name string) (account.Factors, error)
	SetTOTP(ctx context.Context, name, secret, code string) error
	RemoveTOTP(ctx context.Context, name string) error
	NewCodes(ctx context.Context, name string) ([]string, error)
	NewPasskey(name string) (options, state string, err error)
	AddPasskey(ctx context.Context, name, label, state, response string) (account.Passkey, error)
	RemovePasskey(ctx context.Context, name, id string) error

	Invite(ctx context.Context, a account.Account) (account.Account, string, error)
	Reset(ctx context.Context, name string, sure bool) (string, error)
	Accept(ctx context.Context, code, password, from string) (account.Account, error)
	FromOutside(ctx context.Context, o account.Outside, name, title string, may role.Role) (account.Account, error)
	Connect(ctx context.Context, name string, o account.Outside) error
	Disconnect(ctx context.Context, name string) error

	List() []account.Account
	Get(name string) (account.Account, error)
	Create(ctx context.Context, a account.Account, password string) (account.Account, error)
	SetRole(ctx context.Context, name string, may role.Role) error
	SetPassword(ctx context.Context, name, password string) error
	Enable(ctx context.Context, name string) error
	Disable(ctx context.Context, name string) error
}

// Options of the pages. Engine, Tokens, Accounts, Key, Now and Logger MUST be set.
type Options struct {
	Engine      Engine
	Tokens      Tokens
	Accounts    Accounts
	Desk        Desk                              // nil: the configuration has no databases
	Board       Board                             // the status page; nil: there is none
	Subscribers Subscribers                       // who is told what the status page tells; nil where there is none
	Reach       func(c *board.Change) string      // who is told of a change, or of all (nil), in a sentence; nil: nobody is
	Zones       Zones                             // where records are edited; nil: nowhere
	Passes      func(page, browser string) string // makes the pass to a private status page; nil: nobody signs in to read one
	Company     Company                           // the company's own sign-in; nil: none
	Ring        *session.Ring                     // signs what waits in a browser; one of the process's own where it is nil
	Key         []byte                            // signs what a redirect says; 32 bytes
	Now         func() time.Time
	Logger      *slog.Logger
	Channels    []engine.Channel // who is told what: the message to send names them
	Fingerprint func() string    // of the certificate that is shown by address, for the emergency card; nil: there is none
	Zone        *time.Location   // local time, shown beside UTC; the machine's when nil
	Config      *config.Config   // what the room of settings shows; nil: nothing
	Demo        string           // one line on top of every page
	Ending      <-chan struct{}  // closed when the server is to end: open streams end with it
	URL         string           // where people reach the pages; https: cookies go over nothing else. Empty: it is not known
}

//go:embed page/*.html page/*.css page/*.js
var files embed.FS

var (
	style   = mustRead("page/style.css")
	article = style + mustRead("page/writeup.css") // of the one page with a long text
	pages   = template.Must(template.New("").Funcs(funcs(time.UTC)).ParseFS(files, "page/*.html"))
	script  = mustRead("page/live.js")
	desked  = style + mustRead("page/board.css") // of the status page's rooms
	signing = mustRead("page/passkey.js")        // of the pages that ask for a passkey
	leaving = mustRead("page/enter.js")          // of the page that leads to a private status page
	csp     = "default-src 'none'; script-src 'sha256-" + hash(script) + "' 'sha256-" + hash(signing) + "' 'sha256-" + hash(leaving) + "'; connect-src 'self'; style-src 'sha256-" + hash(style) + "' 'sha256-" + hash(article) + "' 'sha256-" + hash(desked) + "'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
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
	pages *template.Template // with the words of this server's time zone
	doors *doors             // of tokens; accounts have their own
	brake *doors             // of those who are signed in

	streams streams
	answers lastAnswers
	files   *doors // of what they upload
	drafts  drafts
	pressed pressed
}

// New makes the handler of all pages.
func New(o Options) http.Handler {
	s := newServer(o)
	foreign := http.NewCrossOriginProtection()
	foreign.SetDenyHandler(http.HandlerFunc(s.foreign))
	return headers(speaking(s.surviving(foreign.Handler(s.forms(s.routes())))))
}

func newServer(o Options) *server {
	if o.Zone == nil {
		o.Zone = time.Local
	}
	if o.Ring == nil {
		o.Ring = session.New(o.Now)
	}
	return &server{o: o, pages: template.Must(pages.Clone()).Funcs(funcs(o.Zone)), doors: newDoors(o.Now, triesAtOnce, tryEvery), brake: newDoors(o.Now, pressesAtOnce, pressEvery), files: newDoors(o.Now, filesAtOnce, fileEvery)}
}

// CompanyPath is where the company's own sign-in leads back to.
const CompanyPath = "/sign-in/company/back"

func (s *server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, h := range s.rooms() {
		mux.HandleFunc(pattern, s.signedIn(h))
	}
	for pattern, h := range s.doorways() {
		mux.HandleFunc(pattern, h)
	}
	return mux
}

// rooms are the routes of those who are signed in.
func (s *server) rooms() map[string]func(http.ResponseWriter, *http.Request, account.Session) {
	return map[string]func(http.ResponseWriter, *http.Request, account.Session){
		"GET /{$}":                    s.home,
		"GET /sites/{site}":           s.site,
		"GET /sites/{site}/{act}":     s.form,
		"GET /levers":                 s.levers,
		"GET /changes":                s.changes,
		"GET /features":               s.features,
		"GET /follow-ups":             s.owed,
		"GET /settings":               s.settings,
		"GET /card":                   s.card,
		"GET /messages":               s.messages,
		"GET /data":                   s.data,
		"GET /data/plans/{plan}":      s.dataPlan,
		"GET /data/searches/{search}": s.dataSearch,

		"GET /data/held/{operation}": s.dataHeld,
		"GET /incidents":             s.incidents,

		"GET /zones":                s.zones,
		"GET /zones/{zone}":         s.oneZone,
		"GET /zones/{zone}/plan":    s.zonePlan,
		"GET /zones/{zone}/history": s.zoneHistory,
		"GET /zones/{zone}/text":    s.zoneText,

		"GET /status-page":                                  s.boardRoom,
		"GET /status-page/history":                          s.boardHistory,
		"GET " + subscribersPath:                            s.subscribersRoom,
		"GET /status-page/incidents/{item}":                 s.boardIncident,
		"GET /status-page/maintenances/{item}":              s.boardWork,
		"GET /status-page/preview/{draft}/{page}/{path...}": s.showDraft,

		"GET " + enterPath: s.enterStatusPage,

		"GET /incidents/{id}":                        s.timeline,
		"GET /incidents/{id}/crew":                   s.crew,
		"GET /incidents/{id}/write-up":               s.writeUp,
		"GET /incidents/{id}/write-up.md":            s.writeUpText,
		"GET /incidents/{id}/write-up.html":          s.writeUpFile,
		"GET /incidents/{id}/evidence":               s.evidence,
		"GET /incidents/{id}/evidence/{piece}":       s.piece,
		"GET /incidents/{id}/evidence/{piece}/image": s.image,
		"GET /incidents/{id}/evidence/{piece}/file":  s.file,
		"GET /incidents/{id}/{act}":                  s.form,

		"POST /sites/{site}/{act}":   s.act,
		"POST /incidents/{id}/{act}": s.act,
		"POST /lifeboat/{act}":       s.act,
		"GET /lifeboat/{act}":        s.form,

		"GET /account":           s.ownAccount,
		"POST /account/password": s.ownPassword,
		"POST /account/prove":    s.prove,
		"GET /account/app":       s.own(s.newApp),
		"POST /account/app":      s.own(s.setApp),
		"POST /account/app/off":  s.own(s.dropApp),
		"POST /account/codes":    s.own(s.newCodes),
		"GET /account/passkey":   s.own(s.newPasskey),
		"POST /account/passkey":  s.own(s.addPasskey),

		"POST /account/passkey/off":  s.own(s.dropPasskey),
		"GET /account/company/prove": s.proveAtCompany,
		"GET /account/company":       s.own(s.connectCompany),
		"POST /account/company":      s.own(s.connect),
		"POST /account/company/off":  s.own(s.dropCompany),

		"POST /account/leave-all": s.leaveAll,
		"GET /accounts":           s.accounts,
		"GET /accounts/{name}":    s.oneAccount,
		"GET /live":               s.live,
		"/":                       s.noPage,
	}
}

// doorways are the routes of everybody.
func (s *server) doorways() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /sign-in":          s.signIn,
		"POST /sign-in":         s.enter,
		"POST /sign-in/name":    s.enter,
		"POST /sign-in/code":    s.enterCode,
		"POST /sign-in/passkey": s.enterPasskey,
		"GET /sign-in/company":  s.toCompany,
		"GET " + CompanyPath:    s.fromCompany,
		"GET /welcome":          s.welcome,
		"POST /welcome":         s.accept,
		"POST /sign-out":        s.leave,
		"POST /language":        s.chooseLanguage,
	}
}

func (s *server) noPage(w http.ResponseWriter, r *http.Request, who account.Session) {
	s.fail(w, who, fault.New(fault.NotFound, "there is no such page").WithHint("go to the first one"))
}

// headers puts what every answer carries.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", csp)
		h.Set("Referrer-Policy", "same-origin") // not less: without, browsers tell no Origin, and every form that comes over plain HTTP is a foreign one
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), publickey-credentials-create=(self), publickey-credentials-get=(self)")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// surviving keeps a fault of ours to the page that met it, and tells the person.
func (s *server) surviving(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		watched := &sending{ResponseWriter: w}
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			s.o.Logger.Error("a page failed in our code", "method", r.Method, "path", cut(r.URL.Path, 200), "cause", cause)
			if watched.yes {
				panic(http.ErrAbortHandler) // half of it is out: the browser shall see that it broke off
			}
			s.problem(w, http.StatusInternalServerError, account.Session{}, message{Text: "Something failed inside lifeboat.", Next: "Look where things stand before you press again. Commands still work: lifeboat status"}, "")
		}()
		next.ServeHTTP(watched, r)
	})
}

// sending remembers that an answer is on its way.
type sending struct {
	http.ResponseWriter
	yes bool
}

// WriteHeader implements http.ResponseWriter.
func (b *sending) WriteHeader(status int) {
	b.yes = true
	b.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (b *sending) Write(p []byte) (int, error) {
	b.yes = true
	return b.ResponseWriter.Write(p)
}

// Unwrap lets deadlines be set through it.
func (b *sending) Unwrap() http.ResponseWriter { return b.ResponseWriter }

// show renders a page; a fault of ours in it is logged and told.
func (s *server) show(w http.ResponseWriter, status int, name string, p page) {
	p.Demo, p.Rows, p.Public, p.Zones = demoOf(s.o.Demo), s.o.Desk != nil, s.o.Board != nil, s.o.Zones != nil
	switch p.Style = template.CSS(style); { //nolint:gosec // our own file
	case name == "writeup.html":
		p.Style = template.CSS(article) //nolint:gosec // our own file
	case strings.HasPrefix(name, "board"):
		p.Style = template.CSS(desked) //nolint:gosec // our own file
	}
	if p.Live {
		p.Script = template.JS(script) //nolint:gosec // our own file
	}
	p.finish()
	var b bytes.Buffer
	if err := s.pages.ExecuteTemplate(&b, name, p); err != nil {
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
	case fault.NotSupported:
		return http.StatusNotImplemented
	}
	return http.StatusInternalServerError
}

// fail shows an error that has no page to go back to.
func (s *server) fail(w http.ResponseWriter, who account.Session, err error) {
	s.problem(w, statusOf(err), who, messageOf(err), "")
}

// problem shows what went wrong, with what was typed.
func (s *server) problem(w http.ResponseWriter, status int, who account.Session, m message, typed string) {
	s.show(w, status, "problem.html", page{Title: "That did not work", Who: who, Bare: true, Headline: "That did not work.", Room: true, Say: m, Body: typed})
}
