// Package emergency is the small page that answer shows over its own socket while control
// can't be asked: where each site is sent, what is seen, which levers there are, and a
// button for each. It is reached through a tunnel: ssh -L 8080:PATH/answer.sock.
//
// It decides nothing and keeps nothing: what a press stands for is a local order, which
// answer makes and control writes down when it is back. It needs no script, no session and
// no file. Only answer uses it; it belongs to the data plane.
//
// Invariants: who may speak is settled by the socket, before a request is read. A tunnel's
// end is open to the browser that uses it, so a press counts only from this page itself:
// same origin (Sec-Fetch-Site, Origin), a Host that is the machine's own (no name that
// somebody else's DNS could lead here), and a token that only this page has. GET changes
// nothing. What sites, levers and people are called is shown as text. The page is in the
// language that the browser asks for, where the catalogue has it.
//
// Concurrency: a handler may be called from any goroutine.
package emergency

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
	"unicode"

	"lifeboat/internal/catalogue"
	"lifeboat/internal/fault"
)

// Limits of the page.
const (
	maxForm = 4 << 10 // bytes
	maxName = 60      // characters
)

// View is what the page shows.
type View struct {
	Now      time.Time
	Ready    bool          // a good snapshot is in force
	Silent   time.Duration // since control was heard
	Epoch    uint64
	Revision uint64
	Problem  string // "" where all is well
	Sites    []Site
	Orders   []Order // local ones that control has not taken over
}

// Site is one site.
type Site struct {
	ID, Title, Contact string
	Names              []string
	Position           string // where visitors are sent: an origin's name or standby
	Seen               []Seen
	Levers             []Lever
}

// Seen is what the checks see of one place.
type Seen struct{ Place, Word string }

// Lever is one that can be pulled here. Off says why it can't be now.
type Lever struct{ Name, Title, Off string }

// Order is a local order in force.
type Order struct {
	Lever, By string
	At        time.Time
}

// Answer is what the page needs of answer.
type Answer interface {
	View() View
	// Pull puts a lever in force. by names who is on the other end of the socket, who is
	// the name that was typed, "" without.
	Pull(lever, by, who string) error
}

//go:embed page.html
var files embed.FS

var page = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"place": func(p string) string {
		if p == "standby" {
			return "the status page"
		}
		return p
	},
	"clock": func(t time.Time) string { return t.UTC().Format("15:04:05") + " UTC" },
	"ago":   func(d time.Duration) string { return d.Round(time.Second).String() },
	"join":  func(names []string) string { return strings.Join(names, ", ") },
}).ParseFS(files, "page.html"))

var style = func() template.CSS {
	b, err := files.ReadFile("page.html")
	if err != nil {
		panic(err) // embedded above
	}
	_, css, _ := strings.Cut(string(b), "<style>")
	css, _, _ = strings.Cut(css, "</style>")
	return template.CSS(css) //nolint:gosec // our own file
}()

// Handler makes the page. caller names who is on the other end of a request's socket.
func Handler(a Answer, caller func(*http.Request) string, log *slog.Logger) http.Handler {
	s := &server{answer: a, caller: caller, log: log}
	_, _ = rand.Read(s.key[:]) // never fails
	foreign := http.NewCrossOriginProtection()
	foreign.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.show(w, r, http.StatusForbidden, "This form was sent by another page, so nothing was done.", "")
	}))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		s.show(w, r, http.StatusOK, "", r.URL.Query().Get("done"))
	})
	mux.HandleFunc("POST /pull", s.pull)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.show(w, r, http.StatusNotFound, "There is no such page here.", "")
	})
	return headers(s.home(foreign.Handler(mux)))
}

type server struct {
	answer Answer
	caller func(*http.Request) string
	log    *slog.Logger
	key    [32]byte // makes the token of the page, of this process
}

// headers puts what every answer carries.
func headers(next http.Handler) http.Handler {
	sum := sha256.Sum256([]byte(style))
	csp := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", csp)
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// home lets only those pass who asked for the machine by its own name: the name of
// somebody else's page may be led to the tunnel's end by its DNS.
func (s *server) home(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		at, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if !strings.EqualFold(host, "localhost") && (err != nil || !at.IsLoopback()) {
			http.Error(w, "Open this page as http://localhost:PORT/ at the end of your tunnel.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// token is what only this page has. It is the same for all levers: whoever can read one
// page can read them all.
func (s *server) token() string {
	h := hmac.New(sha256.New, s.key[:])
	h.Write([]byte("pull"))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// shown is what the template gets.
type shown struct {
	View
	Token, Problem, Done string
	Overdue              bool // control has been silent for long
}

func (s *server) show(w http.ResponseWriter, r *http.Request, status int, problem, done string) {
	v := s.answer.View()
	if done != "" { // an address may be anybody's: only a lever that is in force is told
		inForce := ""
		for _, o := range v.Orders {
			if o.Lever == done {
				inForce = done
			}
		}
		done = inForce
	}
	var b bytes.Buffer
	if err := page.Execute(&b, shown{View: v, Token: s.token(), Problem: problem, Done: done, Overdue: v.Silent > 10*time.Second}); err != nil {
		s.log.Error("the emergency page could not be made", "cause", err)
		http.Error(w, "This page could not be made. The command still works: lifeboat answer pull LEVER", http.StatusInternalServerError)
		return
	}
	tongue := catalogue.Choose(r.Header.Get("Accept-Language"))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", tongue.Tag)
	w.Header().Set("Vary", "Accept-Language")
	w.WriteHeader(status)
	_, _ = w.Write(tongue.HTML(b.Bytes())) // a reader that has gone away misses nothing
}

// pull puts a lever in force, then leads back to the page.
func (s *server) pull(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		s.show(w, r, http.StatusBadRequest, "The form could not be read, so nothing was done. Press again.", "")
		return
	}
	if !hmac.Equal([]byte(r.PostForm.Get("token")), []byte(s.token())) {
		s.show(w, r, http.StatusForbidden, "This page was made before answer was started again, so nothing was done. Press again.", "")
		return
	}
	lever := r.PostForm.Get("lever")
	err := s.answer.Pull(lever, s.caller(r), plain(r.PostForm.Get("who")))
	if err != nil {
		s.show(w, r, statusOf(err), words(err), "")
		return
	}
	http.Redirect(w, r, "/?done="+template.URLQueryEscaper(lever), http.StatusSeeOther)
}

// plain is a name as one short line.
func plain(s string) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) && r != ' ' || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, s)), " ")
	if r := []rune(s); len(r) > maxName {
		return string(r[:maxName])
	}
	return s
}

func statusOf(err error) int {
	switch fault.KindOf(err) {
	case fault.Conflict, fault.Refused:
		return http.StatusConflict
	case fault.NotFound:
		return http.StatusNotFound
	}
	return http.StatusServiceUnavailable
}

// words are an error as a sentence or two.
func words(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		out := f.Text + "."
		if f.Hint != "" {
			out += " Next: " + f.Hint + "."
		}
		return strings.ToUpper(out[:1]) + out[1:]
	}
	return "That was not done: " + err.Error()
}
