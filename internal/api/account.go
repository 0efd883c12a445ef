package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"lifeboat/internal/account"
	"lifeboat/internal/fault"
	"lifeboat/internal/role"
)

// AccountList lists the people who may sign in.
type AccountList struct {
	Accounts []Account `json:"accounts"`
}

// SessionList lists the sign-ins of an account.
type SessionList struct {
	Account  string    `json:"account"`
	Sessions []Session `json:"sessions"`
}

// AccountBody makes an account.
type AccountBody struct {
	Name     string `json:"name" maxLength:"64" doc:"for signing in" example:"ada"`
	Title    string `json:"title,omitempty" maxLength:"64" doc:"as the timeline shows it; the name unless said" example:"Ada Lovelace"`
	Role     string `json:"role" enum:"viewer,reporter,operator,commander,admin"`
	Password string `json:"password" maxLength:"1024" format:"password" doc:"at least 12 characters"`
}

// RoleBody says what somebody may do.
type RoleBody struct {
	Role string `json:"role" enum:"viewer,reporter,operator,commander,admin"`
}

// TitleBody says how the timeline shows somebody.
type TitleBody struct {
	Title string `json:"title" maxLength:"64"`
}

// PasswordBody is a new password.
type PasswordBody struct {
	Password string `json:"password" maxLength:"1024" format:"password" doc:"at least 12 characters"`
}

// InviteBody makes an account whose owner chooses the password.
type InviteBody struct {
	Name  string `json:"name" maxLength:"64" doc:"for signing in" example:"ada"`
	Title string `json:"title,omitempty" maxLength:"64" doc:"as the timeline shows it; the name unless said" example:"Ada Lovelace"`
	Role  string `json:"role" enum:"viewer,reporter,operator,commander,admin"`
}

// Invitation lets the owner of an account choose a password, once.
type Invitation struct {
	Account Account   `json:"account"`
	Code    string    `json:"code" doc:"for the page /welcome; it is not kept and can't be shown again"`
	Link    string    `json:"link,omitempty" doc:"to that page, with the code behind a #, which browsers don't send"`
	Ends    time.Time `json:"ends"`
}

// AccountPath is the account that a path names.
type AccountPath struct {
	Name string `path:"name" maxLength:"64" doc:"the name for signing in" example:"ada"`
}

func (a *api) accountRoutes() {
	list := get("/accounts", "accounts", "Who may sign in")
	list.least = role.Admin
	route(a, list, a.accounts)
	route(a, post("/accounts", "account-create", "Make an account", role.Admin), a.createAccount)
	accountAct(a, "role", "Give an account another role; its sign-ins have it at once", func(ctx context.Context, name string, b RoleBody) error {
		return a.o.Accounts.SetRole(ctx, name, role.Role(b.Role))
	})
	accountAct(a, "title", "Change how the timeline shows an account from now on", func(ctx context.Context, name string, b TitleBody) error {
		return a.o.Accounts.SetTitle(ctx, name, b.Title)
	})
	accountAct(a, "password", "Give an account another password, and end its sign-ins", func(ctx context.Context, name string, b PasswordBody) error {
		return a.o.Accounts.SetPassword(ctx, name, b.Password)
	})
	accountAct(a, "disable", "Take an account's rights away, and end its sign-ins", func(ctx context.Context, name string, _ *NothingBody) error {
		return a.o.Accounts.Disable(ctx, name)
	})
	accountAct(a, "enable", "Let an account sign in again, with the password that it had", func(ctx context.Context, name string, _ *NothingBody) error {
		return a.o.Accounts.Enable(ctx, name)
	})
	route(a, post("/accounts/invite", "account-invite", "Make an account whose owner chooses the password by a link that counts once", role.Admin), a.invite)
	route(a, post("/accounts/{name}/reset", "account-reset", "Take from an account all that it is signed in with, and invite its owner anew", role.Admin), a.reset)
	factors := get("/accounts/{name}/factors", "account-factors", "What an account is signed in with")
	factors.least = role.Admin
	route(a, factors, a.factors)
	sessions := get("/accounts/{name}/sessions", "sessions", "The sign-ins of an account")
	sessions.least = role.Admin
	route(a, sessions, a.sessions)
	end := operation{method: http.MethodDelete, path: "/accounts/{name}/sessions", id: "sign-out", summary: "End all sign-ins of an account", ruling: ruling{least: role.Admin}}
	route(a, end, a.signOut)
}

// haveAccounts says so where there is no book of accounts.
func (a *api) haveAccounts() error {
	if a.o.Accounts == nil {
		return fault.New(fault.NotSupported, "this lifeboat keeps no accounts").WithHint("use tokens: lifeboat token create NAME")
	}
	return nil
}

func (a *api) accounts(context.Context, *struct{}) (*body[AccountList], error) {
	if err := a.haveAccounts(); err != nil {
		return nil, err
	}
	return &body[AccountList]{AccountList{a.o.Accounts.List()}}, nil
}

func (a *api) createAccount(ctx context.Context, in *struct{ Body AccountBody }) (*created[Account], error) {
	if err := a.haveAccounts(); err != nil {
		return nil, err
	}
	b := in.Body
	made, err := a.o.Accounts.Create(ctx, account.Account{Name: b.Name, Title: b.Title, Role: role.Role(b.Role)}, b.Password)
	if err != nil {
		return nil, err
	}
	a.o.Logger.Info("an account was made", "account", made.Name, "role", made.Role, "by", actorOf(ctx).Name)
	return &created[Account]{http.StatusCreated, made}, nil
}

func (a *api) invite(ctx context.Context, in *struct{ Body InviteBody }) (*created[Invitation], error) {
	if err := a.haveAccounts(); err != nil {
		return nil, err
	}
	b := in.Body
	made, code, err := a.o.Accounts.Invite(ctx, account.Account{Name: b.Name, Title: b.Title, Role: role.Role(b.Role)})
	if err != nil {
		return nil, err
	}
	a.o.Logger.Info("somebody was invited", "account", made.Name, "role", made.Role, "by", actorOf(ctx).Name)
	return &created[Invitation]{http.StatusCreated, a.invitation(made, code)}, nil
}

func (a *api) invitation(of Account, code string) Invitation {
	out := Invitation{Account: of, Code: code}
	if f, err := a.o.Accounts.Factors(of.Name); err == nil {
		out.Ends = f.Invited
	}
	if a.o.Console != "" {
		out.Link = a.o.Console + "/welcome#" + url.PathEscape(code)
	}
	return out
}

func (a *api) reset(ctx context.Context, in *struct {
	AccountPath
	Body *NothingBody
}) (*body[Invitation], error) {
	if err := a.haveAccounts(); err != nil {
		return nil, err
	}
	code, err := a.o.Accounts.Reset(ctx, in.Name, a.o.Root) // who is on the machine itself gets in again
	if err != nil {
		return nil, err
	}
	of, err := a.o.Accounts.Get(in.Name)
	a.o.Logger.Warn("an account was reset", "account", of.Name, "by", actorOf(ctx).Name)
	return &body[Invitation]{a.invitation(of, code)}, err
}

func (a *api) factors(_ context.Context, in *AccountPath) (*body[account.Factors], error) {
	if err := a.haveAccounts(); err != nil {
		return nil, err
	}
	f, err := a.o.Accounts.Factors(in.Name)
	return &body[account.Factors]{f}, err
}

// accountAct registers a change of an account; it answers with the account as it is then.
func accountAct[B any](a *api, what, summary string, do func(ctx context.Context, name string, b B) error) {
	route(a, post("/accounts/{name}/"+what, "account-"+what, summary, role.Admin), func(ctx context.Context, in *struct {
		AccountPath
		Body B
	}) (*body[Account], error) {
		if err := a.haveAccounts(); err != nil {
			return nil, err
		}
		if err := do(ctx, in.Name, in.Body); err != nil {
			return nil, err
		}
		now, err := a.o.Accounts.Get(in.Name)
		a.o.Logger.Info("an account was changed", "account", now.Name, "change", what, "by", actorOf(ctx).Name)
		return &body[Account]{now}, err
	})
}

func (a *api) sessions(_ context.Context, in *AccountPath) (*body[SessionList], error) {
	if err := a.haveAccounts(); err != nil {
		return nil, err
	}
	of, err := a.o.Accounts.Get(in.Name)
	out := SessionList{Account: of.Name, Sessions: a.o.Accounts.Sessions(account.OfAccount(in.Name))}
	if out.Sessions == nil {
		out.Sessions = []Session{}
	}
	return &body[SessionList]{out}, err
}

func (a *api) signOut(ctx context.Context, in *AccountPath) (*struct{}, error) {
	if err := a.haveAccounts(); err != nil {
		return nil, err
	}
	of, err := a.o.Accounts.Get(in.Name)
	if err != nil {
		return nil, err
	}
	a.o.Logger.Info("the sign-ins of an account were ended", "account", of.Name, "by", actorOf(ctx).Name)
	return nil, a.o.Accounts.CloseAll(ctx, account.OfAccount(of.Name))
}
