package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"lifeboat/internal/account"
	"lifeboat/internal/board"
	"lifeboat/internal/fault"
)

// enterPath is where the status page sends who wants to read it and has to sign in.
const enterPath = boardPath + "/enter"

// toEnter keeps what somebody came with over a sign-in; nothing where that is no page and
// no browser.
func toEnter(q url.Values) carried {
	page, browser := q.Get("page"), q.Get("browser")
	if page == "" || len(page) > 100 || !board.IsBound(browser) {
		return carried{}
	}
	return carried{Path: enterPath, Fields: []pair{{"browser", browser}, {"page", page}}}
}

// enterStatusPage gives who is signed in the pass to a private status page, as a form that
// leads there: it stands in no address. The page's address is the configuration's, never
// the request's.
func (s *server) enterStatusPage(w http.ResponseWriter, r *http.Request, who account.Session) {
	q := r.URL.Query()
	x, err := s.scope(r.Context(), who, "", "", url.Values{})
	if err == nil && s.o.Board == nil {
		err = noBoard()
	}
	if err != nil {
		s.fail(w, who, err)
		return
	}
	pages := s.o.Board.Settings().Pages
	i := slices.IndexFunc(pages, func(p board.Page) bool { return p.ID == q.Get("page") })
	switch {
	case i < 0 || pages[i].Private == nil || !pages[i].Private.SignIn || s.o.Passes == nil || pages[i].URL == "":
		s.fail(w, who, fault.New(fault.NotFound, "there is no such status page that one signs in to read").WithHint("open the status page, and press Sign in there"))
		return
	case !board.IsBound(q.Get("browser")):
		s.fail(w, who, fault.New(fault.Invalid, "this address does not say which browser it is for").WithHint("open the status page, and press Sign in there"))
		return
	}
	page := pages[i]
	p := s.room(who, x.o, boardPath, "You may read "+page.Name+".", "This leads back to its status page.")
	p.Body = struct{ To, Pass, Life string }{page.URL + "/unlock", s.o.Passes(page.ID, q.Get("browser")), spell(board.PassLife)}
	s.o.Logger.Info("a pass to a private status page was made", "page", page.ID, "by", who.Name)
	w.Header().Set("Content-Security-Policy", strings.Replace(csp, "form-action 'self'", "form-action 'self' "+page.URL, 1))
	s.show(w, http.StatusOK, "boardenter.html", p)
}
