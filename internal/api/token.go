package api

import (
	"cmp"
	"context"

	"lifeboat/internal/account"
	"lifeboat/internal/role"
)

// TokenList lists who has a token.
type TokenList struct {
	Tokens []Token `json:"tokens"`
}

// NewToken is a token with its text, which is told once.
type NewToken struct {
	Token
	Text string `json:"token" doc:"the token itself; it is not kept and can't be shown again"`
}

// TokenBody names who a token is for, and what they may do.
type TokenBody struct {
	Name string `json:"name" maxLength:"64" doc:"as the timeline will show it" example:"deploy pipeline"`
	Role string `json:"role,omitempty" enum:"viewer,reporter,operator,commander,admin" doc:"operator unless said; reporter is enough for a pipeline"`
}

type tokenInput struct {
	ID string `path:"id" maxLength:"64" doc:"the token's id, not the token" example:"3f9a12c04d77"`
}

func (a *api) tokenRoutes() {
	list := get("/tokens", "tokens", "Who has a token")
	list.least = role.Admin
	route(a, list, a.tokens)
	route(a, post("/tokens", "token-create", "Make a token; its text is told once", role.Admin), a.createToken)
	revoke := operation{method: "DELETE", path: "/tokens/{id}", id: "token-revoke", summary: "Take a token's rights away, and end its sign-ins", ruling: ruling{least: role.Admin}}
	route(a, revoke, a.revokeToken)
}

func (a *api) tokens(context.Context, *struct{}) (*body[TokenList], error) {
	return &body[TokenList]{TokenList{a.o.Tokens.List()}}, nil
}

func (a *api) createToken(ctx context.Context, in *struct{ Body TokenBody }) (*created[NewToken], error) {
	raw, id, err := a.o.Tokens.CreateAs(ctx, in.Body.Name, role.Role(cmp.Or(in.Body.Role, string(role.Operator))))
	if err != nil {
		return nil, err
	}
	a.o.Logger.Info("a token was made", "token", id.ID, "name", id.Name, "role", id.Role, "by", actorOf(ctx).Name)
	return &created[NewToken]{201, NewToken{Token: id, Text: raw}}, nil
}

func (a *api) revokeToken(ctx context.Context, in *tokenInput) (*struct{}, error) {
	if err := a.o.Tokens.Revoke(ctx, in.ID); err != nil {
		return nil, err
	}
	a.o.Logger.Info("a token was revoked", "token", in.ID, "by", actorOf(ctx).Name)
	if a.o.Accounts != nil { // they are void already: this forgets them
		return nil, a.o.Accounts.CloseAll(ctx, account.OfToken(in.ID))
	}
	return nil, nil
}
