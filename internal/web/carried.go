package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"lifeboat/internal/account"
)

// carried is a form that was sent when the sign-in had ended, or when who sent it had to
// show once more who they are. It waits in the page, beside what is typed to sign in, and
// is never sent by itself.
type carried struct {
	Path   string
	Fields []pair
}

type pair struct{ Name, Value string }

// The names under which a waiting form travels.
const (
	carriedPath  = "then"
	carriedField = "then."
	carriedRoom  = 16 << 10 // bytes more than a form may have, for its names
)

// unkept are fields that are never put into a page again.
var unkept = []string{"password", "again", "old", "token", "code", "proof", "credential", "state", "half", "secret"}

// carry keeps a form that can be shown again: those of acts.
func carry(r *http.Request) (c carried) {
	if r.Method != http.MethodPost {
		return carried{}
	}
	if isUpload(r) {
		readWords(r)
	}
	if path := r.URL.EscapedPath(); actPath(path) != "" {
		c.Path = path
		for name, values := range r.PostForm {
			for _, v := range values {
				if !slices.Contains(unkept, name) {
					c.Fields = append(c.Fields, pair{name, v})
				}
			}
		}
	}
	slices.SortStableFunc(c.Fields, func(a, b pair) int { return strings.Compare(a.Name, b.Name) })
	return c
}

// readWords reads what was typed beside a file, within the bounds of that form, and leaves
// the file: who sends it is nobody yet.
func readWords(r *http.Request) {
	r.PostForm, _, _ = readUpload(r) // what came of it, whole or not, is shown again
	drain(r.Body, maxDrain)
}

// waiting reads the form that waits beside what was sent.
func waiting(r *http.Request) (c carried) {
	path := r.PostFormValue(carriedPath)
	if actPath(path) == "" && path != enterPath {
		return carried{}
	}
	c.Path = path
	for name, values := range r.PostForm {
		if plain, is := strings.CutPrefix(name, carriedField); is && !slices.Contains(unkept, plain) {
			for _, v := range values {
				c.Fields = append(c.Fields, pair{plain, v})
			}
		}
	}
	slices.SortStableFunc(c.Fields, func(a, b pair) int { return strings.Compare(a.Name, b.Name) })
	return c
}

// actPath gives the act whose form is sent to a path of ours; "" where it is none.
func actPath(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || u.RawQuery != "" || !strings.HasPrefix(path, "/") {
		return ""
	}
	parts := strings.Split(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	rooted := len(parts) == 2 && parts[0] == "lifeboat" || len(parts) == 3 && (parts[0] == "sites" || parts[0] == "incidents")
	name := parts[len(parts)-1]
	if _, known := acts[name]; !rooted || !known {
		return ""
	}
	return name
}

func (c carried) values() url.Values {
	out := url.Values{}
	for _, f := range c.Fields {
		out.Add(f.Name, f.Value)
	}
	return out
}

// Typed is what a person wrote into it.
func (c carried) Typed() string { return wordsOf(c.values()) }

// resume shows a form that has waited, with all that was typed, for an explicit press.
// Nothing is done by this.
func (s *server) resume(w http.ResponseWriter, r *http.Request, who account.Session, c carried, m message) {
	parts := strings.Split(strings.Trim(c.Path, "/"), "/")
	site, id := "", ""
	unescaped := ""
	if len(parts) == 3 {
		unescaped, _ = url.PathUnescape(parts[1]) // actPath has parsed it
	}
	switch parts[0] {
	case "sites":
		site = unescaped
	case "incidents":
		id = unescaped
	}
	x, err := s.scope(r.Context(), who, site, id, c.values())
	if err != nil {
		s.problem(w, statusOf(err), who, messageOf(err), c.Typed())
		return
	}
	s.showForm(w, http.StatusOK, x, actPath(c.Path), &m)
}

// signedInAgain and provedAgain are what is said above a form that has waited.
var (
	signedInAgain = message{Kind: "again", Text: "You are signed in again. Nothing was done yet.", Next: "What you typed is still here. Press the button to do it."}
	provedAgain   = message{Kind: "again", Text: "Thank you. Nothing was done yet.", Next: "What you typed is still here. Press the button to do it."}
)
