package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type tokenInput struct {
	ID string `path:"id" maxLength:"64" doc:"the token's id, not the token"`
}

type tokenCreate struct{ Body TokenBody }

type created struct {
	Status int
	Body   NewToken
}

func (a *api) tokenRoutes(h huma.API) {
	route(h, http.MethodGet, "/tokens", "tokens", "Who has a token", a.tokens)
	route(h, http.MethodPost, "/tokens", "token-create", "Make a token; its text is told once", a.createToken)
	route(h, http.MethodDelete, "/tokens/{id}", "token-revoke", "Take a token's rights away", a.revokeToken)
}

func (a *api) tokens(context.Context, *struct{}) (*body[TokenList], error) {
	return &body[TokenList]{TokenList{a.o.Tokens.List()}}, nil
}

func (a *api) createToken(ctx context.Context, in *tokenCreate) (*created, error) {
	raw, id, err := a.o.Tokens.Create(ctx, in.Body.Name)
	return &created{http.StatusCreated, NewToken{Token: id, Text: raw}}, err
}

func (a *api) revokeToken(ctx context.Context, in *tokenInput) (*struct{}, error) {
	return nil, a.o.Tokens.Revoke(ctx, in.ID)
}
