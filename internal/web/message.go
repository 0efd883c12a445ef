package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
)

const (
	messageLife = 10 * time.Minute
	maxSaid     = 300 // characters
)

// message is what the last act came to. What was done is carried over the redirect;
// what was not is shown in answer to the form itself, with all that was typed.
type message struct {
	Kind string    `json:"k,omitempty"` // done, refused, failed, stale
	Text string    `json:"t,omitempty"`
	At   time.Time `json:"at"`

	Next     string `json:"-"` // what would satisfy it, or the next step
	Rule     string `json:"-"`
	Override bool   `json:"-"` // a sentence lets this person go on
	Since    string `json:"-"` // what has happened since the page was made
}

// messageOf turns an error into what is shown.
func messageOf(err error) message {
	var refusal *fault.Refusal
	if errors.As(err, &refusal) {
		next := onPage(refusal.Satisfy)
		if words, has := satisfied[refusal.Rule]; has {
			next = words
		}
		return message{Kind: "refused", Text: refusal.Reason, Next: next, Rule: refusal.Rule, Override: refusal.Overridable}
	}
	kind := "failed"
	if errors.Is(err, engine.ErrStale) {
		kind = "stale"
	}
	var e *fault.Error
	if !errors.As(err, &e) {
		return message{Kind: kind, Text: sentence(err.Error())}
	}
	text := e.Text
	if e.Cause != nil && kind != "stale" && !isTooSoon(e.Cause) {
		text += ": " + e.Cause.Error()
	}
	return message{Kind: kind, Text: sentence(onPage(text)), Next: sentence(onPage(e.Hint))}
}

// seal signs a message for the address; said gives it back if it is ours and fresh.
func (s *server) seal(m message) string {
	b, err := json.Marshal(m)
	if err != nil { // our own type
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(b) + "." + base64.RawURLEncoding.EncodeToString(s.mac(b))
}

func (s *server) said(r *http.Request) message {
	var m message
	body, sum, _ := strings.Cut(r.URL.Query().Get("m"), ".")
	b, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		return message{}
	}
	got, err := base64.RawURLEncoding.DecodeString(sum)
	if err != nil || !hmac.Equal(got, s.mac(b)) || json.Unmarshal(b, &m) != nil || s.o.Now().Sub(m.At) > messageLife {
		return message{}
	}
	return m
}

func (s *server) mac(b []byte) []byte {
	h := hmac.New(sha256.New, s.o.Key)
	h.Write([]byte("message\x00"))
	h.Write(b)
	return h.Sum(nil)
}

// back sends the browser on with what was done.
func (s *server) back(w http.ResponseWriter, r *http.Request, path, done string) {
	u, err := url.Parse(path)
	if err != nil { // our own paths
		u = &url.URL{Path: "/"}
	}
	q := u.Query()
	q.Set("m", s.seal(message{Kind: "done", Text: cut(done, maxSaid), At: s.o.Now()}))
	u.RawQuery = q.Encode()
	http.Redirect(w, r, u.String(), http.StatusSeeOther)
}

// cut keeps a text short enough; all of it is in the timeline.
func cut(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// ended is a text of somebody's with a stop at its end.
func ended(s string) string {
	if last, _ := utf8.DecodeLastRuneInString(s); s == "" || strings.ContainsRune(".!?…", last) {
		return s
	}
	return s + "."
}

// sentence begins with a capital and ends with a stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	r, n := utf8.DecodeRuneInString(s)
	return ended(string(unicode.ToUpper(r)) + s[n:])
}
