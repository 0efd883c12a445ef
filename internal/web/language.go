package web

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lifeboat/internal/account"
	"lifeboat/internal/catalogue"
	"lifeboat/internal/fault"
)

// languageCookie keeps which language somebody chose. It says nothing of who they are.
const (
	languageCookie = "lifeboat_language"
	languageLife   = 365 * 24 * time.Hour
)

// heard is the language that a page is asked for in: as it was chosen at a page's foot,
// else as the browser says.
func heard(r *http.Request) *catalogue.Tongue {
	if c, err := r.Cookie(languageCookie); err == nil && catalogue.Known(c.Value) {
		return catalogue.In(c.Value)
	}
	return catalogue.Choose(r.Header.Get("Accept-Language"))
}

// languages are those that a page can be in, for its foot.
func languages() []*catalogue.Tongue {
	var all []*catalogue.Tongue
	for _, tag := range catalogue.Tags() {
		all = append(all, catalogue.In(tag))
	}
	return all
}

// speaking says pages anew in the reader's language. Streams, files and what visitors will
// see, which has a language of its own, pass as they are.
func speaking(next http.Handler) http.Handler { return speakingIn(heard, next) }

func speakingIn(choose func(*http.Request) *catalogue.Tongue, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept-Language, Cookie")
		if strings.HasPrefix(r.URL.Path, previewPath) {
			next.ServeHTTP(w, r)
			return
		}
		t := choose(r)
		if t.Tag == catalogue.English {
			next.ServeHTTP(w, r)
			return
		}
		s := &speaker{ResponseWriter: w, tongue: t}
		next.ServeHTTP(s, r)
		s.finish()
	})
}

// speaker holds a page back until it is whole, to say it anew.
type speaker struct {
	http.ResponseWriter
	tongue *catalogue.Tongue
	page   *bytes.Buffer // nil: what is sent is no page
	status int
}

// WriteHeader implements http.ResponseWriter.
func (s *speaker) WriteHeader(status int) {
	if s.status != 0 {
		return
	}
	s.status = status
	h := s.Header()
	if strings.HasPrefix(h.Get("Content-Type"), "text/html") && h.Get("Content-Disposition") == "" {
		s.page = &bytes.Buffer{}
		h.Set("Content-Language", s.tongue.Tag)
		h.Del("Content-Length")
		return
	}
	s.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (s *speaker) Write(p []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	if s.page != nil {
		return s.page.Write(p)
	}
	return s.ResponseWriter.Write(p)
}

// Unwrap lets streams be sent and deadlines be set through it.
func (s *speaker) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *speaker) finish() {
	if s.page == nil {
		return
	}
	s.ResponseWriter.WriteHeader(s.status)
	_, _ = s.ResponseWriter.Write(s.tongue.HTML(s.page.Bytes())) // a reader that has gone away misses nothing
}

// chooseLanguage keeps a language and leads back to the page that it was chosen on.
func (s *server) chooseLanguage(w http.ResponseWriter, r *http.Request) {
	tag := r.PostFormValue("language")
	if !catalogue.Known(tag) {
		s.problem(w, http.StatusBadRequest, account.Session{}, messageOf(fault.New(fault.Invalid, "there is no language %q here", cut(tag, 20)).WithHint("choose one at the foot of a page")), "")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: languageCookie, Value: tag, Path: "/", MaxAge: int(languageLife / time.Second), HttpOnly: true, Secure: s.cookieOver(r), SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, sentFrom(r), http.StatusSeeOther)
}

// sentFrom is the page of ours that a form was sent from, the first page where it is not
// known.
func sentFrom(r *http.Request) string {
	u, err := url.Parse(r.Referer())
	if err != nil || u.Host != r.Host || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") {
		return "/"
	}
	return (&url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}).RequestURI()
}
