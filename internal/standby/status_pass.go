package standby

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/statuspage"
)

// EnterPath is where the console gives passes.
const EnterPath = "/status-page/enter"

// secretLen is how many bytes a browser's secret has.
const secretLen = 32

// toConsole sends a browser to the console to sign in. It is given a secret that stays
// with it; the console hears what the secret is hashed to, and binds the pass to that: a
// pass that somebody else brings, or sends a link to, opens nothing.
func (p *Statused) toConsole(w http.ResponseWriter, r *http.Request) {
	b := make([]byte, secretLen)
	_, _ = rand.Read(b) // never fails
	secret := base64.RawURLEncoding.EncodeToString(b)
	p.setCookie(w, r, wayCookie, secret, wayFor)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", p.page.Private.Console+EnterPath+"?"+url.Values{"page": {p.page.ID}, "browser": {board.Bound(secret)}}.Encode())
	text(w, r, http.StatusSeeOther, "Sign in at the console.\n")
}

// enter takes a pass that a browser brings from the console, once.
func (p *Statused) enter(w http.ResponseWriter, r *http.Request, s *Server, text string) {
	secret, now := p.cookie(r, wayCookie), s.now()
	pass, good := board.ReadPass(p.page.Private.Passes, p.page.ID, text)
	if !p.page.Private.SignIn || !good || secret == "" || !pass.Enters(secret, now) || !s.tries.first(pass, now) {
		p.refuse(w, r, statuspage.Stale)
		return
	}
	p.setCookie(w, r, wayCookie, "", 0)
	p.setCookie(w, r, passCookie, secret+"."+text, pass.Until.Sub(now))
	seeOther(w, r, "/")
}

// signedIn says whether a browser has a pass that still holds, and its secret. What is
// cheap is looked at first.
func (p *Statused) signedIn(r *http.Request, now time.Time) bool {
	secret, text, both := strings.Cut(p.cookie(r, passCookie), ".")
	if !both || !p.page.Private.SignIn || len(secret) != base64.RawURLEncoding.EncodedLen(secretLen) {
		return false
	}
	pass, good := board.ReadPass(p.page.Private.Passes, p.page.ID, text)
	return good && pass.Holds(secret, now)
}

// first says whether a pass is brought for the first time. Where more were brought within
// a minute than are remembered, none is taken.
func (t *tries) first(p board.Pass, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, again := t.came[p.ID]; again {
		return false
	}
	if len(t.came) >= maxBrought {
		for id, until := range t.came {
			if !now.Before(until) {
				delete(t.came, id)
			}
		}
	}
	if len(t.came) >= maxBrought {
		return false
	}
	t.came[p.ID] = p.Enter
	return true
}
