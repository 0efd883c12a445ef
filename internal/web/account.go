package web

import (
	"net/http"
	"net/url"

	"lifeboat/internal/account"
	"lifeboat/internal/fault"
	"lifeboat/internal/role"
)

// ownPart is somebody's own account.
type ownPart struct {
	Sessions []sessionRow
	Account  bool // with a password; else a token
	Name     string
	Role     role.Role
	Does     string
	Factors  account.Factors
	Company  string // the words of the company's own sign-in; "" without
	Keys     bool   // a passkey can be made: the page was opened under the console's name
	Where    string // else: under which it could; "" without any
	None     bool   // there is no account yet, and this is a token that may make one
}

type sessionRow struct {
	account.Session
	Here bool
}

// ownAccount is the page of whoever is signed in.
func (s *server) ownAccount(w http.ResponseWriter, r *http.Request, who account.Session) {
	s.showOwn(w, r, who, http.StatusOK, s.said(r))
}

func (s *server) showOwn(w http.ResponseWriter, r *http.Request, who account.Session, status int, m message) {
	o, err := s.o.Engine.Overview(r.Context())
	if err != nil {
		s.o.Logger.Warn("an account is shown without what is known of sites", "cause", err)
	}
	part := ownPart{Account: who.Who.Account != "", Name: who.Who.Account, Role: who.Role, Does: who.Role.May(), Keys: s.named(r)}
	part.None = !part.Account && who.Role.AtLeast(role.Admin) && len(s.o.Accounts.List()) == 0
	if part.Account {
		part.Factors, err = s.o.Accounts.Factors(who.Who.Account)
		if err != nil {
			s.fail(w, who, err)
			return
		}
	}
	if s.o.Company != nil {
		part.Company = s.o.Company.Title()
	}
	if s.o.Accounts.HasPasskeys() && !part.Keys {
		part.Where = s.o.URL
	}
	for _, other := range s.o.Accounts.Sessions(who.Who) {
		part.Sessions = append(part.Sessions, sessionRow{other, other.ID == who.ID})
	}
	p := s.room(who, o, "/account", who.Name+".", "Your sign-ins, what you sign in with, and what you may do.")
	p.Say, p.Body = m, part
	s.show(w, status, "account.html", p)
}

// ownPassword changes the password of whoever is signed in; the old one is asked for,
// since a browser may be left open. All other sign-ins end.
func (s *server) ownPassword(w http.ResponseWriter, r *http.Request, who account.Session) {
	if who.Who.Account == "" {
		s.fail(w, who, fault.New(fault.Invalid, "you signed in with a token, which has no password"))
		return
	}
	if _, err := s.o.Accounts.SignIn(r.Context(), who.Who.Account, r.PostFormValue("old"), cameFrom(r)); err != nil {
		m := messageOf(err)
		if !isTooSoon(err) {
			m.Text, m.Next = "The old password is not right, so nothing was changed.", "Type it again."
		}
		s.showOwn(w, r, who, statusOf(err), m)
		return
	}
	if r.PostFormValue("password") != r.PostFormValue("again") {
		s.showOwn(w, r, who, http.StatusBadRequest, message{Kind: "failed", Text: "The two new passwords are not the same, so nothing was changed.", Next: "Type the new one twice."})
		return
	}
	if err := s.o.Accounts.SetPassword(r.Context(), who.Who.Account, r.PostFormValue("password")); err != nil {
		s.showOwn(w, r, who, statusOf(err), messageOf(err))
		return
	}
	s.o.Logger.Info("somebody has changed their password", "account", who.Who.Account)
	raw, _, openErr := s.o.Accounts.Open(r.Context(), who.Who, "password")
	if openErr != nil {
		s.notSignedIn(w, r, openErr)
		return
	}
	s.setCookie(w, r, raw)
	s.back(w, r, "/account", "Your password is changed. Everywhere else you have to sign in again.")
}

// leaveAll ends all sign-ins of whoever is signed in.
func (s *server) leaveAll(w http.ResponseWriter, r *http.Request, who account.Session) {
	if err := s.o.Accounts.CloseAll(r.Context(), who.Who); err != nil {
		s.o.Logger.Warn("a sign-out is not kept yet", "cause", err)
	}
	clearCookies(w)
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}

// accounts is the room of all accounts, for those who manage them.
func (s *server) accounts(w http.ResponseWriter, r *http.Request, who account.Session) {
	if !who.Role.AtLeast(role.Admin) {
		s.fail(w, who, notAdmin(who))
		return
	}
	x, err := s.scope(r.Context(), who, "", "", url.Values{})
	if err != nil {
		s.fail(w, who, err)
		return
	}
	list := s.o.Accounts.List()
	p := s.room(who, x.o, "/accounts", count(len(list), "account", "accounts")+".", "Who may sign in, and what they may do. A name in a timeline stays one person’s, so accounts are disabled and never deleted.")
	p.Say = s.said(r)
	p.Body = struct {
		List  []account.Account
		Forms []ask
	}{list, []ask{x.ask("account-invite"), x.ask("account-add")}}
	s.show(w, http.StatusOK, "accounts.html", p)
}

// oneAccount is the page of an account, for those who manage them.
func (s *server) oneAccount(w http.ResponseWriter, r *http.Request, who account.Session) {
	if !who.Role.AtLeast(role.Admin) {
		s.fail(w, who, notAdmin(who))
		return
	}
	a, err := s.o.Accounts.Get(r.PathValue("name"))
	if err != nil {
		s.fail(w, who, err)
		return
	}
	x, err := s.scope(r.Context(), who, "", "", url.Values{})
	if err != nil {
		s.fail(w, who, err)
		return
	}
	names := []string{"account-role", "account-password", "account-reset", "account-disable"}
	if !a.Enabled() {
		names[3] = "account-enable"
	}
	var forms []ask
	for _, name := range names {
		forms = append(forms, x.ask(name, "name", a.Name))
	}
	p := s.room(who, x.o, "/accounts", a.Title+".", a.Role.May())
	factors, _ := s.o.Accounts.Factors(a.Name) // it is there: Get has found it
	p.Where, p.Say = []string{a.Name}, s.said(r)
	p.Body = struct {
		Account  account.Account
		Forms    []ask
		Sessions int
		Factors  account.Factors
	}{a, forms, len(s.o.Accounts.Sessions(account.OfAccount(a.Name))), factors}
	s.show(w, http.StatusOK, "one-account.html", p)
}
