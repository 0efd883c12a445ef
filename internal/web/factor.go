package web

import (
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"lifeboat/internal/account"
	"lifeboat/internal/fault"
)

// own lets only those pass who have an account, and have shown a short while ago who they
// are: what an account is signed in with is changed here.
func (s *server) own(next func(http.ResponseWriter, *http.Request, account.Session)) func(http.ResponseWriter, *http.Request, account.Session) {
	return func(w http.ResponseWriter, r *http.Request, who account.Session) {
		if who.Who.Account == "" {
			s.fail(w, who, fault.New(fault.Invalid, "you signed in with a token, which has nothing beside it").WithHint("make an account for each person under Accounts"))
			return
		}
		if !s.fresh(who) {
			s.askProof(w, r, http.StatusForbidden, who, carried{}, message{})
			return
		}
		next(w, r, who)
	}
}

// fresh says whether somebody has shown a short while ago who they are.
func (s *server) fresh(who account.Session) bool {
	return s.o.Now().Sub(who.Proved) < account.Proved
}

// proofPart is the page on which somebody shows once more who they are.
type proofPart struct {
	Then    carried
	Typed   string
	Token   bool // they signed in with a token
	Outside bool // there is only the company's sign-in to show it by
	Company string
	Passkey *passkeyForm
}

// askProof asks for it, with the form that waits.
func (s *server) askProof(w http.ResponseWriter, r *http.Request, status int, who account.Session, c carried, m message) {
	part := proofPart{Then: c, Typed: c.Typed(), Token: who.Who.Token != ""}
	if who.Who.Account != "" {
		f, _ := s.o.Accounts.Factors(who.Who.Account)
		part.Outside = !f.Password && len(f.Passkeys) == 0
		if len(f.Passkeys) > 0 {
			part.Passkey = s.passkeys(r)
		}
	}
	if s.o.Company != nil {
		part.Company = s.o.Company.Title()
	}
	s.show(w, status, "prove.html", page{
		Title: "Show once more who you are", Who: who, Room: true, Bare: true, Headline: "Show once more who you are.",
		Lede: "This changes who may do what, or cannot be taken back, and a browser may have been left open. Nothing was done yet.", Say: m, Body: part,
	})
}

// prove takes a password, a code of the app, a passkey or a token, and shows the form that
// has waited.
func (s *server) prove(w http.ResponseWriter, r *http.Request, who account.Session) {
	err := s.shown(r, who)
	if err != nil {
		status, m := s.refusal(w, err)
		if !isTooSoon(err) && r.PostFormValue("credential") == "" {
			m.Text = "That is not right, so nothing was done."
			m.Next = "Type it again."
		}
		s.askProof(w, r, status, who, waiting(r), m)
		return
	}
	s.markProved(w, r, who)
}

// markProved notes it, and goes on with what has waited.
func (s *server) markProved(w http.ResponseWriter, r *http.Request, who account.Session) {
	_, raw, _ := s.session(r)
	s.o.Accounts.Prove(raw)
	if c := waiting(r); c.Path != "" {
		now, _ := s.o.Accounts.Session(raw)
		s.resume(w, r, now, c, provedAgain)
		return
	}
	s.back(w, r, "/account", "Thank you. Nothing was done yet: press again.")
}

// shown says whether what was sent is this person's.
func (s *server) shown(r *http.Request, who account.Session) error {
	other := fault.New(fault.Denied, "this is somebody else’s").WithHint("use your own")
	typed := r.PostFormValue("proof")
	switch {
	case who.Who.Token != "":
		owner, err := s.byToken(r, strings.TrimSpace(typed))
		if err == nil && owner != who.Who {
			return other
		}
		return err
	case r.PostFormValue("credential") != "":
		a, err := s.o.Accounts.Passkey(r.Context(), r.PostFormValue("state"), r.PostFormValue("credential"), cameFrom(r))
		if err == nil && account.OfAccount(a.Name) != who.Who {
			return other
		}
		return err
	case len(strings.ReplaceAll(strings.TrimSpace(typed), " ", "")) == 6: // no password is as short
		_, err := s.o.Accounts.Code(r.Context(), who.Who.Account, typed, cameFrom(r))
		return err
	}
	_, err := s.o.Accounts.SignIn(r.Context(), who.Who.Account, typed, cameFrom(r))
	return err
}

// appPart is the page that brings an app's codes.
type appPart struct {
	Secret  string
	Picture template.URL
	Again   bool // there is one already
}

// newApp is the page on which an app gets its secret. It is kept nowhere until a code
// shows that the app has it.
func (s *server) newApp(w http.ResponseWriter, r *http.Request, who account.Session) {
	s.showApp(w, r, who, http.StatusOK, account.NewSecret(), message{})
}

func (s *server) showApp(w http.ResponseWriter, _ *http.Request, who account.Session, status int, secret string, m message) {
	png, err := account.SecretPicture("lifeboat", who.Who.Account, secret)
	if err != nil {
		s.fail(w, who, err)
		return
	}
	f, _ := s.o.Accounts.Factors(who.Who.Account)
	p := page{Title: "An app for codes", Who: who, Bare: true, Room: true, Headline: "An app for codes.", Lede: "It shows a new code every 30 seconds, and needs no network.", Say: m}
	p.Body = appPart{Secret: secret, Again: !f.TOTP.IsZero(), Picture: template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(png))} //nolint:gosec // our own picture
	s.show(w, status, "app.html", p)
}

// setApp takes the first code of an app.
func (s *server) setApp(w http.ResponseWriter, r *http.Request, who account.Session) {
	if err := s.o.Accounts.SetTOTP(r.Context(), who.Who.Account, r.PostFormValue("secret"), r.PostFormValue("code")); err != nil {
		status, m := s.refusal(w, err)
		secret := r.PostFormValue("secret")
		if _, bad := account.SecretPicture("lifeboat", who.Who.Account, secret); bad != nil {
			secret = account.NewSecret()
		}
		s.showApp(w, r, who, status, secret, m)
		return
	}
	s.o.Logger.Info("an account asks for an app's codes now", "account", who.Who.Account)
	s.needCodes(w, r, who, "The app’s codes are asked for from now on.")
}

// needCodes goes on to the recovery codes where there are none: a phone gets lost.
func (s *server) needCodes(w http.ResponseWriter, r *http.Request, who account.Session, done string) {
	if f, err := s.o.Accounts.Factors(who.Who.Account); err == nil && f.Codes == 0 {
		done += " Now make recovery codes, for the day it is not at hand."
	}
	s.back(w, r, "/account", done)
}

// dropApp asks for no codes any more.
func (s *server) dropApp(w http.ResponseWriter, r *http.Request, who account.Session) {
	s.did(w, r, who, s.o.Accounts.RemoveTOTP(r.Context(), who.Who.Account), "The app’s codes are not asked for any more.")
}

// did leads back to the account with what was done.
func (s *server) did(w http.ResponseWriter, r *http.Request, who account.Session, err error, done string) {
	if err != nil {
		status, m := s.refusal(w, err)
		s.showOwn(w, r, who, status, m)
		return
	}
	s.o.Logger.Info("what an account is signed in with was changed", "account", who.Who.Account, "path", r.URL.Path)
	s.back(w, r, "/account", done)
}

// codesPart is the page that shows recovery codes, once.
type codesPart struct {
	Codes []string
	Name  string
	Made  string
}

// newCodes makes recovery codes and shows them: in answer to the form itself, so that they
// are in no address and on no page that can be opened again.
func (s *server) newCodes(w http.ResponseWriter, r *http.Request, who account.Session) {
	codes, err := s.o.Accounts.NewCodes(r.Context(), who.Who.Account)
	if err != nil {
		s.did(w, r, who, err, "")
		return
	}
	s.o.Logger.Info("an account has new recovery codes", "account", who.Who.Account)
	p := page{Title: "Recovery codes", Who: who, Bare: true, Room: true, Headline: "Your recovery codes.", Lede: "Print this page, or write them down, and keep them where you will find them at night. They are shown this once."}
	p.Body = codesPart{codes, who.Who.Account, s.date(s.o.Now())}
	s.show(w, http.StatusOK, "codes.html", p)
}

// keyPart is the page on which a passkey is made.
type keyPart struct {
	passkeyForm
	Label string
}

// newPasskey is the page on which a passkey is made.
func (s *server) newPasskey(w http.ResponseWriter, r *http.Request, who account.Session) {
	s.showNewPasskey(w, r, who, http.StatusOK, "", message{})
}

func (s *server) showNewPasskey(w http.ResponseWriter, r *http.Request, who account.Session, status int, label string, m message) {
	if !s.named(r) {
		why := fault.New(fault.NotSupported, "there are no passkeys here: the console has no name of its own").WithHint("write console with its url into the configuration")
		if s.o.Accounts.HasPasskeys() {
			why = fault.New(fault.NotSupported, "a passkey belongs to the console's name, and this page was opened by another address").WithHint("open %s/account, and make it there", s.o.URL)
		}
		s.fail(w, who, why)
		return
	}
	options, state, err := s.o.Accounts.NewPasskey(who.Who.Account)
	if err != nil {
		s.fail(w, who, err)
		return
	}
	p := page{Title: "A passkey", Who: who, Bare: true, Room: true, Headline: "A passkey.", Lede: "Your phone, your computer or a small key shows that it is you. It works for this name only, so no other page can ask for it.", Say: m}
	p.Body = keyPart{passkeyForm{options, state}, label}
	s.show(w, status, "passkey.html", p)
}

// addPasskey keeps it.
func (s *server) addPasskey(w http.ResponseWriter, r *http.Request, who account.Session) {
	k, err := s.o.Accounts.AddPasskey(r.Context(), who.Who.Account, r.PostFormValue("label"), r.PostFormValue("state"), r.PostFormValue("credential"))
	if err != nil {
		status, m := s.refusal(w, err)
		s.showNewPasskey(w, r, who, status, r.PostFormValue("label"), m)
		return
	}
	s.o.Logger.Info("an account has a new passkey", "account", who.Who.Account, "passkey", k.Label)
	s.needCodes(w, r, who, "You can sign in with "+k.Label+" now.")
}

func (s *server) dropPasskey(w http.ResponseWriter, r *http.Request, who account.Session) {
	s.did(w, r, who, s.o.Accounts.RemovePasskey(r.Context(), who.Who.Account, r.PostFormValue("id")), "The passkey does not count any more.")
}

func (s *server) dropCompany(w http.ResponseWriter, r *http.Request, who account.Session) {
	s.did(w, r, who, s.o.Accounts.Disconnect(r.Context(), who.Who.Account), "Your account is not connected with the company’s sign-in any more.")
}

// oncePart is what is shown once, to whoever has made it.
type oncePart struct{ Name, Code, Link, Ends, Done string }

// showOnce shows the code of an invitation: in answer to the form itself.
func (s *server) showOnce(w http.ResponseWriter, x scope, name, done, code string) {
	p := s.room(x.who, x.o, "/accounts", "Hand this to them.", done)
	part := oncePart{Name: name, Code: code, Done: done, Ends: "three days"}
	if s.o.URL != "" {
		part.Link = s.o.URL + "/welcome#" + url.PathEscape(code)
	}
	p.Body = part
	s.show(w, http.StatusOK, "once.html", p)
}
