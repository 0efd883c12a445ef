package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"lifeboat/internal/account"
	"lifeboat/internal/fault"
	"lifeboat/internal/issuer"
)

// Company is the company's own sign-in (OIDC). It is an addition: what it does, and that
// it is down, changes nothing on the ways beside it. issuer.Client is one.
type Company interface {
	Title() string
	Begin(ctx context.Context, fresh bool) (address string, state issuer.State, err error)
	Finish(ctx context.Context, state issuer.State, q url.Values) (issuer.Person, error)
}

// signInForm is what the sign-in page shows again.
type signInForm struct {
	Name, Typed string
	Then        carried
	Passkey     *passkeyForm
	CompanyPage string // what leads to it
	Company     string // the words of the way by the company's own sign-in
	Half        string // the password was right: what the second page sends with the code
	Codes       bool   // there is an app to take a code from
	First       string // where the first token lies
}

// passkeyForm is what a page needs to ask a browser for a passkey.
type passkeyForm struct{ Options, State string }

// passkeys gives what the page needs to ask for a passkey; nothing where this page was
// opened under another name than the console's: a browser has none for it.
func (s *server) passkeys(r *http.Request) *passkeyForm {
	if !s.named(r) {
		return nil
	}
	options, state, err := s.o.Accounts.AskPasskey()
	if err != nil {
		return nil
	}
	return &passkeyForm{options, state}
}

// named says whether a page was opened under the console's own name.
func (s *server) named(r *http.Request) bool {
	u, err := url.Parse(s.o.URL)
	return err == nil && s.o.Accounts.HasPasskeys() && strings.EqualFold(u.Host, r.Host)
}

func (s *server) showSignIn(w http.ResponseWriter, r *http.Request, status int, f signInForm, m message) {
	f.Passkey = s.passkeys(r)
	if s.o.Company != nil {
		f.Company, f.CompanyPage = s.o.Company.Title(), "/sign-in/company"
	}
	lede := "With your name and password, or with a token."
	if f.Then.Path == enterPath {
		lede = "Then you are led back to the status page."
		f.CompanyPage += "?" + f.Then.values().Encode()
	}
	s.show(w, status, "signin.html", page{Title: "Sign in", Bare: true, Room: true, Headline: "Sign in.", Lede: lede, Say: m, Body: f})
}

func (s *server) signIn(w http.ResponseWriter, r *http.Request) {
	s.showSignIn(w, r, http.StatusOK, signInForm{}, message{})
}

// again shows the sign-in page with what was on it, and why it did not work.
func (s *server) again(w http.ResponseWriter, r *http.Request, status int, m message) {
	c := waiting(r)
	s.showSignIn(w, r, status, signInForm{Name: cut(r.PostFormValue("name"), 64), Then: c, Typed: c.Typed()}, m)
}

// enter takes a name and a password, or a token, and signs the browser in.
func (s *server) enter(w http.ResponseWriter, r *http.Request) {
	if s.turnAway(w, r) {
		return
	}
	who, how, err := s.proved(r)
	switch {
	case err != nil:
		s.notSignedIn(w, r, err)
	case how == "password" && s.o.Accounts.Wants(who.Account):
		s.askSecond(w, r, http.StatusOK, who.Account, s.o.Accounts.Half(who.Account), message{})
	default:
		s.open(w, r, who, how)
	}
}

// turnAway answers a browser that would not keep the cookie.
func (s *server) turnAway(w http.ResponseWriter, r *http.Request) bool {
	if !s.barred(r) {
		return false
	}
	s.again(w, r, http.StatusForbidden, message{Kind: "failed", Text: "This page came to you without TLS, so your browser would not keep the sign-in.", Next: "Open " + s.o.URL + " and sign in there."})
	return true
}

// proved says who has shown to be somebody.
func (s *server) proved(r *http.Request) (account.Who, string, error) {
	raw := strings.TrimSpace(r.PostFormValue("token"))
	if raw == "" {
		a, err := s.o.Accounts.SignIn(r.Context(), r.PostFormValue("name"), r.PostFormValue("password"), cameFrom(r))
		return account.OfAccount(a.Name), "password", err
	}
	who, err := s.byToken(r, raw)
	return who, "token", err
}

// byToken gives whose a token is.
func (s *server) byToken(r *http.Request, raw string) (account.Who, error) {
	if wait := s.doors.try(cameFrom(r)); wait > 0 {
		soon := &account.TooSoon{Wait: wait}
		return account.Who{}, fault.New(fault.Denied, "too many tries to sign in").Because(soon).WithHint("wait %s, then try again", soon.Wait)
	}
	id, err := s.o.Tokens.Verify(raw)
	if err == nil {
		s.doors.forgive(cameFrom(r))
	}
	return account.OfToken(id.ID), err
}

// askSecond is the page after a password that was right.
func (s *server) askSecond(w http.ResponseWriter, r *http.Request, status int, name, half string, m message) {
	f, err := s.o.Accounts.Factors(name)
	if err != nil {
		s.notSignedIn(w, r, err)
		return
	}
	body := signInForm{Name: name, Half: half, Then: waiting(r), Codes: !f.TOTP.IsZero()}
	if len(f.Passkeys) > 0 {
		body.Passkey = s.passkeys(r)
	}
	lede := "Type the code that your app shows, or one of your recovery codes."
	if !body.Codes {
		lede = "Use your passkey, or type one of your recovery codes."
	}
	s.show(w, status, "second.html", page{Title: "Sign in", Bare: true, Room: true, Headline: "One more step.", Lede: lede, Say: m, Body: body})
}

// enterCode takes the second factor.
func (s *server) enterCode(w http.ResponseWriter, r *http.Request) {
	if s.turnAway(w, r) {
		return
	}
	half := r.PostFormValue("half")
	a, how, err := s.o.Accounts.Second(r.Context(), half, r.PostFormValue("code"), cameFrom(r))
	if err == nil {
		s.open(w, r, account.OfAccount(a.Name), how)
		return
	}
	if name, good := s.o.Accounts.HalfOf(half); good { // another code can be typed
		status, m := s.refusal(w, err)
		s.askSecond(w, r, status, name, half, m)
		return
	}
	s.notSignedIn(w, r, err)
}

// enterPasskey takes a passkey's answer.
func (s *server) enterPasskey(w http.ResponseWriter, r *http.Request) {
	if s.turnAway(w, r) {
		return
	}
	a, err := s.o.Accounts.Passkey(r.Context(), r.PostFormValue("state"), r.PostFormValue("credential"), cameFrom(r))
	if err != nil {
		s.notSignedIn(w, r, err)
		return
	}
	s.open(w, r, account.OfAccount(a.Name), "passkey")
}

// open makes a session. The one that the browser had ends: nobody's old text can
// become somebody's new sign-in.
func (s *server) open(w http.ResponseWriter, r *http.Request, who account.Who, how string) {
	who2, ok := s.openSession(w, r, who, how)
	if !ok {
		return
	}
	if c := waiting(r); c.Path == enterPath {
		http.Redirect(w, r, enterPath+"?"+c.values().Encode(), http.StatusSeeOther)
		return
	} else if c.Path != "" {
		s.resume(w, r, who2, c, signedInAgain)
		return
	}
	if how == "recovery" {
		s.back(w, r, "/account", leftWords(s.o.Accounts, who.Account))
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// leftWords say how many recovery codes are left.
func leftWords(b Accounts, name string) string {
	f, err := b.Factors(name)
	switch {
	case err != nil || f.Codes == 0:
		return "That was your last recovery code. Make new ones now."
	case f.Codes == 1:
		return "You are signed in by a recovery code, which does not count again. One is left: make new ones soon."
	}
	return "You are signed in by a recovery code, which does not count again. " + count(f.Codes, "is", "are") + " left."
}

func (s *server) openSession(w http.ResponseWriter, r *http.Request, who account.Who, how string) (account.Session, bool) {
	if _, old, good := s.session(r); good {
		_ = s.o.Accounts.Close(r.Context(), old) // it has ended all the same
	}
	raw, session, err := s.o.Accounts.Open(r.Context(), who, how)
	if err != nil {
		s.notSignedIn(w, r, err)
		return session, false
	}
	s.setCookie(w, r, raw)
	return session, true
}

func (s *server) notSignedIn(w http.ResponseWriter, r *http.Request, err error) {
	status, m := s.refusal(w, err)
	s.again(w, r, status, m)
}

// welcome is the page of an invitation. Its code is behind the # of the link, which is
// never sent; where no script runs it is typed.
func (s *server) welcome(w http.ResponseWriter, r *http.Request) {
	s.showWelcome(w, http.StatusOK, "", message{})
}

// showWelcome shows it, with the code that was typed: the link that brought it is gone, and
// it counts as long as nothing was done.
func (s *server) showWelcome(w http.ResponseWriter, status int, code string, m message) {
	s.show(w, status, "welcome.html", page{Title: "Welcome", Bare: true, Room: true, Headline: "Welcome.", Lede: "Choose your password. After this you can add an app for codes, or a passkey.", Say: m, Body: cut(code, 64)})
}

// accept takes an invitation.
func (s *server) accept(w http.ResponseWriter, r *http.Request) {
	if s.turnAway(w, r) {
		return
	}
	if r.PostFormValue("password") != r.PostFormValue("again") {
		s.showWelcome(w, http.StatusBadRequest, r.PostFormValue("invitation"), message{Kind: "failed", Text: "The two passwords are not the same, so nothing was done.", Next: "Type it twice."})
		return
	}
	a, err := s.o.Accounts.Accept(r.Context(), r.PostFormValue("invitation"), r.PostFormValue("password"), cameFrom(r))
	if err != nil {
		status, m := s.refusal(w, err)
		s.showWelcome(w, status, r.PostFormValue("invitation"), m)
		return
	}
	if _, ok := s.openSession(w, r, account.OfAccount(a.Name), "password"); ok {
		s.back(w, r, "/account", "Your name for signing in is "+a.Name+". Add a second factor now: it takes a minute.")
	}
}

// refusal is what a sign-in that was not taken is answered with.
func (s *server) refusal(w http.ResponseWriter, err error) (int, message) {
	m, status := messageOf(err), statusOf(err)
	m.Kind = "failed"
	var soon *account.TooSoon
	if errors.As(err, &soon) {
		w.Header().Set("Retry-After", seconds(soon.Wait))
		status, m.Text = http.StatusTooManyRequests, "There were too many tries to sign in."
	}
	return status, m
}
