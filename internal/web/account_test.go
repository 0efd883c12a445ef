package web

import (
	"net/http"
	"testing"

	"lifeboat/internal/role"
)

func TestAccounts(t *testing.T) {
	t.Parallel()
	b := launch(t)
	br := browse(t, b.handler())
	br.enter(b)
	p := br.open("/accounts").want(http.StatusOK, "There is none yet.")
	p = p.press("Add the account", "new_name=Jonas", "title=Jonas W.", "role=operator", "password="+password).want(http.StatusOK, "Jonas W. can sign in as jonas.", "Jonas W.")
	p.press("Add the account", "new_name=eve", "title=Eve", "role=viewer", "password=too short").want(http.StatusBadRequest, "fewer than 12 characters")
	again := p.press("Add the account", "new_name=jonas", "title=Another", "role=viewer", "password="+password).want(http.StatusConflict, "There is an account named \"jonas\" already.")
	if again.value("new_name") != "jonas" || again.value("title") != "Another" || again.value("role") != "viewer" || again.value("password") != "" {
		t.Errorf("came back as %q, %q, %q, %q", again.value("new_name"), again.value("title"), again.value("role"), again.value("password"))
	}
	jo := br.other()
	jo.enterAs("jonas")
	one := br.open("/accounts/jonas").want(http.StatusOK, "Jonas W.", "Signed in 1 times now.")
	one = one.press("Change the role", "role=commander").want(http.StatusOK, "jonas is commander now.")
	jo.open("/account").want(http.StatusOK, "Your role is commander.")
	one = one.press("Set a new password", "password=another four words").want(http.StatusOK, "has to sign in again")
	jo.open("/").want(http.StatusOK, "Sign in.")
	one.press("Disable the account").want(http.StatusOK, "can’t sign in any more.")
	jo.open("/").press("Sign in", "name=jonas", "password=another four words").want(http.StatusForbidden, "or the account is disabled")
	br.open("/accounts/jonas").press("Let it sign in again").want(http.StatusOK, "can sign in again")
	jo.open("/").press("Sign in", "name=jonas", "password=another four words").at("/")
}

// TestAccountsAreAdmins: nobody else sees or changes them.
func TestAccountsAreAdmins(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.person("carl", "Carl", role.Commander)
	br := browse(t, b.handler())
	br.enterAs("carl")
	br.open("/accounts").want(http.StatusForbidden, "may not manage accounts")
	br.open("/accounts/carl").want(http.StatusForbidden, "may not manage accounts")
	for name, typed := range map[string]map[string][]string{
		"account-add":      {"new_name": {"eve"}, "role": {"admin"}, "password": {password}},
		"account-role":     {"name": {"carl"}, "role": {"admin"}},
		"account-password": {"name": {"carl"}, "password": {"another four words"}},
		"account-disable":  {"name": {"carl"}},
	} {
		br.post("/lifeboat/"+name, typed).want(http.StatusForbidden, "Your role, commander, may not do this. Somebody with the role admin can.")
	}
	a, err := b.accounts.Get("carl")
	if must(t, err); a.Role != role.Commander || !a.Enabled() || len(b.accounts.List()) != 1 {
		t.Errorf("%+v", b.accounts.List())
	}
}

func TestOwnPassword(t *testing.T) {
	t.Parallel()
	b := launch(t)
	b.person("jonas", "Jonas", role.Operator)
	h := b.handler()
	br := browse(t, h)
	elsewhere := br.other()
	elsewhere.enterAs("jonas")
	p := br.enterAs("jonas").follow("Jonas").want(http.StatusOK, "You are signed in as jonas.", "This browser", "Another browser")
	p.press("Change it", "old=not this one", "password=another four words", "again=another four words").want(http.StatusForbidden, "The old password is not right, so nothing was changed.")
	p.press("Change it", "old="+password, "password=another four words", "again=another five words").want(http.StatusBadRequest, "The two new passwords are not the same")
	p.press("Change it", "old="+password, "password=aaaaaaaaaaaaaa", "again=aaaaaaaaaaaaaa").want(http.StatusBadRequest, "one of those that are tried first")
	p = p.press("Change it", "old="+password, "password=another four words", "again=another four words").want(http.StatusOK, "Your password is changed.")
	elsewhere.open("/").want(http.StatusOK, "Sign in.")
	p.press("Sign out everywhere").want(http.StatusOK, "Sign in.").press("Sign in", "name=jonas", "password=another four words").at("/")
	br.other().open("/").press("Sign in", "name=jonas", "password="+password).want(http.StatusForbidden)
	br.other().enter(b).follow("Ada").want(http.StatusOK, "You are signed in with a token.")
}
