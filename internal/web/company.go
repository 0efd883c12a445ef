package web

import (
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"lifeboat/internal/account"
	"lifeboat/internal/fault"
	"lifeboat/internal/issuer"
)

// The company's own sign-in, over the browser: what has to be remembered meanwhile is in a
// signed cookie of its own.
const (
	companyCookie = "lifeboat_company"
	companyLife   = 10 * time.Minute
	forCompany    = "at the company’s sign-in"
	forConnect    = "to be connected"
)

// errand is what somebody went to the company's sign-in for.
type errand struct {
	State issuer.State `json:"st"`
	What  string       `json:"w"` // in, prove, connect
	Who   account.Who  `json:"who"`
	Then  url.Values   `json:"then,omitempty"` // the status page that they want to read
}

// toCompany leads there. GET, since the policy of our pages lets no form lead elsewhere;
// nothing is changed by it.
func (s *server) toCompany(w http.ResponseWriter, r *http.Request) {
	e := errand{What: "in"}
	if c := toEnter(r.URL.Query()); c.Path != "" {
		e.Then = c.values()
	}
	s.leadTo(w, r, e)
}

func (s *server) proveAtCompany(w http.ResponseWriter, r *http.Request, who account.Session) {
	s.leadTo(w, r, errand{What: "prove", Who: who.Who})
}

func (s *server) connectCompany(w http.ResponseWriter, r *http.Request, who account.Session) {
	s.leadTo(w, r, errand{What: "connect", Who: who.Who})
}

func (s *server) leadTo(w http.ResponseWriter, r *http.Request, e errand) {
	if s.o.Company == nil {
		s.noCompany(w, r)
		return
	}
	address, state, err := s.o.Company.Begin(r.Context(), e.What != "in")
	if err != nil {
		s.companyFailed(w, r, err)
		return
	}
	e.State = state
	body, err := json.Marshal(e)
	if err != nil { // our own type
		s.companyFailed(w, r, err)
		return
	}
	s.setCompany(w, r, s.o.Ring.Sign(forCompany, body, s.o.Now().Add(companyLife)), companyLife)
	http.Redirect(w, r, address, http.StatusSeeOther)
}

func (s *server) noCompany(w http.ResponseWriter, r *http.Request) {
	s.companyFailed(w, r, fault.New(fault.NotSupported, "no sign-in of the company is in the configuration").WithHint("sign in with your name and password"))
}

// companyFailed shows the page of all the other ways.
func (s *server) companyFailed(w http.ResponseWriter, r *http.Request, err error) {
	m := messageOf(err)
	m.Kind = "failed"
	s.showSignIn(w, r, statusOf(err), signInForm{}, m)
}

func (s *server) setCompany(w http.ResponseWriter, r *http.Request, value string, life time.Duration) {
	name := companyCookie
	if s.cookieOver(r) {
		name = "__Host-" + name
	}
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: int(life.Seconds()), HttpOnly: true, Secure: name != companyCookie, SameSite: http.SameSiteLaxMode})
}

// errandOf reads the cookie.
func (s *server) errandOf(r *http.Request) (e errand, good bool) {
	name := companyCookie
	if s.secured(r) {
		name = "__Host-" + name
	}
	c, err := r.Cookie(name)
	if err != nil {
		return e, false
	}
	body, good := s.o.Ring.Read(forCompany, c.Value)
	return e, good && json.Unmarshal(body, &e) == nil
}

// fromCompany is where the company's sign-in leads back to.
func (s *server) fromCompany(w http.ResponseWriter, r *http.Request) {
	e, good := s.errandOf(r)
	s.setCompany(w, r, "", -time.Second) // it counts once
	if s.o.Company == nil {
		s.noCompany(w, r)
		return
	}
	if !good {
		s.companyFailed(w, r, fault.New(fault.Denied, "this sign-in was not begun in this browser, or too long ago").WithHint("begin again"))
		return
	}
	p, err := s.o.Company.Finish(r.Context(), e.State, r.URL.Query())
	if err != nil {
		s.companyFailed(w, r, err)
		return
	}
	who, raw, signed := s.session(r)
	switch {
	case e.What == "in":
		s.enterFromCompany(w, r, p, e.Then)
	case !signed || who.Who != e.Who:
		s.companyFailed(w, r, fault.New(fault.Denied, "your sign-in has ended meanwhile").WithHint("sign in again"))
	case e.What == "prove":
		a, err := s.o.Accounts.FromOutside(r.Context(), outside(p), p.Name, p.Title, p.Role)
		if err != nil || account.OfAccount(a.Name) != who.Who {
			s.companyFailed(w, r, fault.New(fault.Denied, "this is somebody else’s company account").WithHint("use your own"))
			return
		}
		s.o.Accounts.Prove(raw)
		s.back(w, r, "/account", "Thank you. Nothing was done yet: press again.")
	default:
		s.askConnect(w, who, p)
	}
}

func outside(p issuer.Person) account.Outside {
	return account.Outside{Issuer: p.Issuer, Subject: p.Subject}
}

func (s *server) enterFromCompany(w http.ResponseWriter, r *http.Request, p issuer.Person, then url.Values) {
	a, err := s.o.Accounts.FromOutside(r.Context(), outside(p), p.Name, p.Title, p.Role)
	if err != nil {
		s.companyFailed(w, r, err)
		return
	}
	s.o.Logger.Info("somebody signed in", "account", a.Name, "from", cameFrom(r), "with", "company")
	if c := toEnter(then); c.Path != "" {
		if _, ok := s.openSession(w, r, account.OfAccount(a.Name), "company"); ok {
			http.Redirect(w, r, enterPath+"?"+c.values().Encode(), http.StatusSeeOther)
		}
		return
	}
	s.open(w, r, account.OfAccount(a.Name), "company")
}

// connectPart is the page on which somebody connects their account: by a press of theirs,
// for a link from elsewhere may have led here.
type connectPart struct{ Name, Title, Sealed string }

func (s *server) askConnect(w http.ResponseWriter, who account.Session, p issuer.Person) {
	body, err := json.Marshal(struct {
		P issuer.Person
		W account.Who
	}{p, who.Who})
	if err != nil { // our own type
		s.fail(w, who, err)
		return
	}
	s.show(w, http.StatusOK, "connect.html", page{
		Title: "Connect", Who: who, Bare: true, Room: true, Headline: "Is this you?", Lede: "Whoever signs in there as this person is you here from then on.",
		Body: connectPart{p.Name, p.Title, s.o.Ring.Sign(forConnect, body, s.o.Now().Add(companyLife))},
	})
}

// connect does it.
func (s *server) connect(w http.ResponseWriter, r *http.Request, who account.Session) {
	var sealed struct {
		P issuer.Person
		W account.Who
	}
	body, good := s.o.Ring.Read(forConnect, r.PostFormValue("sealed"))
	if !good || json.Unmarshal(body, &sealed) != nil || sealed.W != who.Who {
		s.did(w, r, who, fault.New(fault.Denied, "too much time has passed").WithHint("begin again"), "")
		return
	}
	s.did(w, r, who, s.o.Accounts.Connect(r.Context(), who.Who.Account, outside(sealed.P)), "Your account is connected with "+sealed.P.Name+".")
}
