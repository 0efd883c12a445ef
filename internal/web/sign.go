package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// How long a sign-in lasts, and how often one may be tried.
const (
	cookieName   = "lifeboat_session"
	absoluteLife = 12 * time.Hour
	idleLife     = 30 * time.Minute
	messageLife  = 10 * time.Minute
	maxSaid      = 300 // characters
	triesAtOnce  = 10
	tryEvery     = 6 * time.Second
	maxDoors     = 4096
)

// person is who is signed in.
type person struct {
	ID    string    `json:"id"`
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
	Seen  time.Time `json:"seen"`
}

// seal signs a value for one use; open gives it back if the signature is ours.
func (s *server) seal(use string, v any) string {
	b, err := json.Marshal(v)
	if err != nil { // our own types
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(b) + "." + base64.RawURLEncoding.EncodeToString(s.mac(use, b))
}

func (s *server) open(use, sealed string, v any) bool {
	body, sum, found := strings.Cut(sealed, ".")
	b, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil || !found {
		return false
	}
	got, err := base64.RawURLEncoding.DecodeString(sum)
	return err == nil && hmac.Equal(got, s.mac(use, b)) && json.Unmarshal(b, v) == nil
}

func (s *server) mac(use string, b []byte) []byte {
	h := hmac.New(sha256.New, s.o.Key)
	h.Write([]byte(use + "\x00"))
	h.Write(b)
	return h.Sum(nil)
}

// signedIn lets only those pass who are signed in; the others meet the sign-in page,
// with what they typed if their sign-in ended meanwhile.
func (s *server) signedIn(next func(http.ResponseWriter, *http.Request, person)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var p person
		now := s.o.Now()
		c, err := r.Cookie(cookieName)
		if err != nil || !s.open("session", c.Value, &p) || !s.o.Tokens.Known(p.ID) || now.After(p.Since.Add(absoluteLife)) || now.After(p.Seen.Add(idleLife)) {
			s.stranger(w, r)
			return
		}
		if now.Sub(p.Seen) > time.Minute {
			p.Seen = now
			s.setCookie(w, r, s.seal("session", p), idleLife)
		}
		next(w, r, p)
	}
}

// stranger sends the browser to the sign-in page. A form is answered with that page
// itself: nothing was done, and what was typed is there to be copied.
func (s *server) stranger(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
		return
	}
	m := message{Kind: "failed", Text: "Your sign-in has ended, so nothing was done.", Next: "Sign in again, then press again.", Typed: typed(r)}
	if m.Typed != "" {
		m.Next = "Copy what you typed, sign in again, and send it again."
	}
	s.show(w, http.StatusForbidden, "signin.html", frame{Title: "Sign in", Say: m})
}

func (s *server) setCookie(w http.ResponseWriter, r *http.Request, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: value, Path: "/", MaxAge: int(life.Seconds()), HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode,
	})
}

func (s *server) signIn(w http.ResponseWriter, _ *http.Request) {
	s.show(w, http.StatusOK, "signin.html", frame{Title: "Sign in"})
}

// enter takes the token once and signs the browser in.
func (s *server) enter(w http.ResponseWriter, r *http.Request) {
	if !s.doors.try(r.RemoteAddr) {
		w.Header().Set("Retry-After", "6")
		s.show(w, http.StatusTooManyRequests, "signin.html", frame{Title: "Sign in", Say: message{Kind: "failed", Text: "Too many tries from here.", Next: "Wait a moment and try again."}})
		return
	}
	id, name, err := s.o.Tokens.Verify(strings.TrimSpace(r.PostFormValue("token")))
	if err != nil {
		s.show(w, http.StatusForbidden, "signin.html", frame{Title: "Sign in", Say: message{Kind: "failed", Text: "This token is not known.", Next: "Look for a letter too few or too many. Anybody who has a token can make you one with: lifeboat token create NAME."}})
		return
	}
	now := s.o.Now()
	s.setCookie(w, r, s.seal("session", person{ID: id, Name: name, Since: now, Seen: now}), idleLife)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *server) leave(w http.ResponseWriter, r *http.Request) {
	s.setCookie(w, r, "", -time.Second)
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}

// doors counts tries to sign in by address: a bucket each, of bounded number.
type doors struct {
	now func() time.Time
	mu  sync.Mutex // guards m
	m   map[string]bucket
}

type bucket struct {
	left int
	at   time.Time
}

func newDoors(now func() time.Time) *doors { return &doors{now: now, m: map[string]bucket{}} }

// try says whether an address may try once more.
func (d *doors) try(remote string) bool {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	b, known := d.m[host]
	if !known {
		if len(d.m) >= maxDoors { // forget all: better than to lock somebody out for good
			d.m = map[string]bucket{}
		}
		b = bucket{triesAtOnce, now}
	}
	switch more := int(now.Sub(b.at) / tryEvery); {
	case more > 0:
		b.left, b.at = min(triesAtOnce, b.left+more), now
	case now.Before(b.at): // the clock was set back: nobody waits for it to catch up
		b.at = now
	}
	may := b.left > 0
	if may {
		b.left--
	}
	d.m[host] = b
	return may
}

// message is what the last act came to. What was done is carried over the redirect;
// what was not is shown in answer to the form itself, with all that was typed.
type message struct {
	Kind string    `json:"k,omitempty"` // done, refused, failed
	Text string    `json:"t,omitempty"`
	At   time.Time `json:"at"`

	Next     string `json:"-"`
	Rule     string `json:"-"`
	Override bool   `json:"-"`
	Typed    string `json:"-"`
	Reason   string `json:"-"` // typed into the field of an override
}

// said gives the message that the redirect carries, if it is ours and fresh.
func (s *server) said(r *http.Request) message {
	var m message
	if !s.open("message", r.URL.Query().Get("m"), &m) || s.o.Now().Sub(m.At) > messageLife {
		return message{}
	}
	return m
}

// back sends the browser to the site's page with what was done.
func (s *server) back(w http.ResponseWriter, r *http.Request, site, done string) {
	q := url.Values{"m": {s.seal("message", message{Kind: "done", Text: cut(done), At: s.o.Now()})}}
	http.Redirect(w, r, "/sites/"+url.PathEscape(site)+"?"+q.Encode(), http.StatusSeeOther)
}

// cut keeps a message short enough for an address; all of it is in the timeline.
func cut(s string) string {
	if r := []rune(s); len(r) > maxSaid {
		return string(r[:maxSaid]) + "…"
	}
	return s
}

// sentence begins with a capital and ends with a stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	r, n := utf8.DecodeRuneInString(s)
	s = string(unicode.ToUpper(r)) + s[n:]
	if !strings.ContainsAny(s[len(s)-1:], ".!?") {
		s += "."
	}
	return s
}
