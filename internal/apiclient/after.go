package apiclient

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"lifeboat/internal/account"
	"lifeboat/internal/api"
)

// What is done in an incident by its id, also when it has ended; and what belongs to none.

func in(id, what string) string { return "/incidents/" + url.PathEscape(id) + "/" + what }

// File is evidence to be added.
type File struct {
	Name, Title, Text string
	Body              io.Reader
	Size              int64 // bytes; -1 where it is not known
}

// AddEvidence adds a file as evidence.
func (c *Client) AddEvidence(ctx context.Context, id string, f File) (res api.Result, err error) {
	q := url.Values{}
	for name, v := range map[string]string{"name": f.Name, "title": f.Title, "text": f.Text} {
		if v != "" {
			q.Set(name, v)
		}
	}
	return res, c.send(ctx, site(id, "evidence")+"?"+q.Encode(), f.Body, f.Size, &res)
}

// EvidenceBody is the body of a piece of evidence.
func (c *Client) EvidenceBody(ctx context.Context, id, piece string) ([]byte, error) {
	return c.fetch(ctx, in(id, "evidence/"+url.PathEscape(piece)))
}

// Redact takes the body of a piece of evidence away.
func (c *Client) Redact(ctx context.Context, id, piece, reason string) (api.Result, error) {
	return act(ctx, c, in(id, "evidence/"+url.PathEscape(piece)+"/redact"), api.ReasonBody{Reason: reason})
}

// Link ties an incident to another one.
func (c *Client) Link(ctx context.Context, id string, b api.LinkBody) (api.Result, error) {
	return act(ctx, c, in(id, "links"), b)
}

// Correct corrects an event.
func (c *Client) Correct(ctx context.Context, id string, b api.CorrectBody) (api.Result, error) {
	return act(ctx, c, in(id, "corrections"), b)
}

// AddFollowUp writes down what is owed.
func (c *Client) AddFollowUp(ctx context.Context, id string, b api.FollowUpBody) (api.Result, error) {
	return act(ctx, c, in(id, "follow-ups"), b)
}

// ChangeFollowUp changes what is owed.
func (c *Client) ChangeFollowUp(ctx context.Context, id, followUp string, b api.FollowUpBody) (api.Result, error) {
	return act(ctx, c, in(id, "follow-ups/"+url.PathEscape(followUp)+"/change"), b)
}

// EndFollowUp says that it is done, verified or declined.
func (c *Client) EndFollowUp(ctx context.Context, id, followUp, state, reason string) (api.Result, error) {
	return act(ctx, c, in(id, "follow-ups/"+url.PathEscape(followUp)+"/"+url.PathEscape(state)), api.ReasonBody{Reason: reason})
}

// WriteUp is the post-mortem in a form: json, markdown or html.
func (c *Client) WriteUp(ctx context.Context, id, format string, public bool) ([]byte, error) {
	q := url.Values{"format": {format}}
	if public {
		q.Set("public", "true")
	}
	return c.fetch(ctx, in(id, "write-up?"+q.Encode()))
}

// EditSection puts somebody's own words into a section.
func (c *Client) EditSection(ctx context.Context, id, section, text string) (api.Result, error) {
	return act(ctx, c, in(id, "write-up/sections/"+url.PathEscape(section)), api.TextBody{Text: text})
}

// Answer answers one of the four questions.
func (c *Client) Answer(ctx context.Context, id, question, text string) (api.Result, error) {
	return act(ctx, c, in(id, "write-up/answers/"+url.PathEscape(question)), api.TextBody{Text: text})
}

// Findings gives what lifeboat proposes to learn, and what people made of it.
func (c *Client) Findings(ctx context.Context, id string) ([]api.WriteUpFinding, error) {
	f, err := get[api.WriteUpFindings](ctx, c, in(id, "write-up/findings"))
	return f.Findings, err
}

// JudgeFinding accepts a finding or not, or writes one.
func (c *Client) JudgeFinding(ctx context.Context, id string, b api.FindingBody) (api.Result, error) {
	return act(ctx, c, in(id, "write-up/findings"), b)
}

// FinishWriteUp makes the post-mortem final.
func (c *Client) FinishWriteUp(ctx context.Context, id string) (api.Result, error) {
	return act(ctx, c, in(id, "write-up/finish"), nil)
}

// Queue gives what waits to go out.
func (c *Client) Queue(ctx context.Context) ([]api.Message, error) {
	q, err := get[api.Queue](ctx, c, "/queue")
	return q.Messages, err
}

// RetryMessage tries a message again now.
func (c *Client) RetryMessage(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, "/queue/"+url.PathEscape(id)+"/retry", nil, nil)
}

// DropMessage gives a message up.
func (c *Client) DropMessage(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, "/queue/"+url.PathEscape(id)+"/drop", nil, nil)
}

func accountPath(name, what string) string { return "/accounts/" + url.PathEscape(name) + "/" + what }

// Accounts lists who may sign in.
func (c *Client) Accounts(ctx context.Context) ([]api.Account, error) {
	l, err := get[api.AccountList](ctx, c, "/accounts")
	return l.Accounts, err
}

// CreateAccount makes an account.
func (c *Client) CreateAccount(ctx context.Context, b api.AccountBody) (api.Account, error) {
	return post[api.Account](ctx, c, "/accounts", b)
}

// Invite makes an account whose owner chooses the password.
func (c *Client) Invite(ctx context.Context, b api.InviteBody) (api.Invitation, error) {
	return post[api.Invitation](ctx, c, "/accounts/invite", b)
}

// ResetAccount takes from an account all that it is signed in with, and invites its owner
// anew.
func (c *Client) ResetAccount(ctx context.Context, name string) (api.Invitation, error) {
	return post[api.Invitation](ctx, c, accountPath(name, "reset"), nil)
}

// Factors gives what an account is signed in with.
func (c *Client) Factors(ctx context.Context, name string) (account.Factors, error) {
	return get[account.Factors](ctx, c, accountPath(name, "factors"))
}

// SetRole gives an account another role.
func (c *Client) SetRole(ctx context.Context, name, role string) (api.Account, error) {
	return post[api.Account](ctx, c, accountPath(name, "role"), api.RoleBody{Role: role})
}

// SetTitle changes how the timeline shows an account.
func (c *Client) SetTitle(ctx context.Context, name, title string) (api.Account, error) {
	return post[api.Account](ctx, c, accountPath(name, "title"), api.TitleBody{Title: title})
}

// SetPassword gives an account another password.
func (c *Client) SetPassword(ctx context.Context, name, password string) (api.Account, error) {
	return post[api.Account](ctx, c, accountPath(name, "password"), api.PasswordBody{Password: password})
}

// DisableAccount takes an account's rights away.
func (c *Client) DisableAccount(ctx context.Context, name string) (api.Account, error) {
	return post[api.Account](ctx, c, accountPath(name, "disable"), nil)
}

// EnableAccount lets an account sign in again.
func (c *Client) EnableAccount(ctx context.Context, name string) (api.Account, error) {
	return post[api.Account](ctx, c, accountPath(name, "enable"), nil)
}

// Sessions lists the sign-ins of an account.
func (c *Client) Sessions(ctx context.Context, name string) (api.SessionList, error) {
	return get[api.SessionList](ctx, c, accountPath(name, "sessions"))
}

// SignOut ends all sign-ins of an account.
func (c *Client) SignOut(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, accountPath(name, "sessions"), nil, nil)
}
