// Package issuer signs people in by the company's own sign-in: OpenID Connect, as an
// addition to what lifeboat keeps itself.
//
// It knows neither accounts nor pages: Begin gives an address and what has to be
// remembered meanwhile, Finish gives who came back, with the role that their groups have.
// web keeps the state in a signed cookie; account has the accounts. Nothing here is asked
// while somebody signs in another way, and all that is asked has a deadline and a bound.
//
// Invariants: a code counts only with the state, the nonce and the proof key (PKCE, RFC
// 7636) that it was asked for with; who is in no group that the configuration names has no
// role and comes in nowhere; the client's secret is in no error and no log.
//
// Concurrency: the methods of a Client may be called from any goroutine.
package issuer

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"lifeboat/internal/fault"
	"lifeboat/internal/role"
)

// Limits on what is asked of the issuer.
const (
	deadline  = 5 * time.Second // of each request: nobody waits at three in the morning
	maxBody   = 1 << 20         // bytes of each answer
	maxGroups = 1000
	maxName   = 64              // characters of what the issuer calls somebody
	freshness = 2 * time.Minute // of a sign-in that was asked for anew
)

// Options of a Client. Issuer, ClientID, Secret, Callback, Groups and Now MUST be set.
type Options struct {
	Name     string // as the page shows it; "the company’s sign-in" where it is empty
	Issuer   string
	ClientID string
	Secret   string
	Callback string               // the address on our console that the issuer leads back to
	Claim    string               // that lists somebody's groups; groups where it is empty
	Groups   map[string]role.Role // what each group may do; the highest counts
	Scopes   []string             // beside openid and profile
	Now      func() time.Time
	Client   *http.Client // http.DefaultTransport's where it is nil
}

// Client signs people in at one issuer.
type Client struct {
	o    Options
	http *http.Client

	mu       sync.Mutex     // guards provider
	provider *oidc.Provider // nil until it could be asked
}

// State is what has to be remembered between Begin and Finish, by the same browser. It is
// no secret of ours, and MUST NOT be one that somebody else can set.
type State struct {
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"`
	Fresh    bool      `json:"f,omitempty"`
	At       time.Time `json:"at"`
}

// Person is who came back.
type Person struct {
	Issuer  string    `json:"iss"`
	Subject string    `json:"sub"` // the issuer's own name for them: it never changes
	Name    string    `json:"name"`
	Title   string    `json:"title"`
	Role    role.Role `json:"role"`
}

// New makes a client. It asks nothing yet: the issuer may be down.
func New(o Options) *Client {
	base := o.Client
	if base == nil {
		base = &http.Client{}
	}
	c := *base
	c.Transport = bounded{cmp.Or[http.RoundTripper](base.Transport, http.DefaultTransport)}
	c.Timeout = deadline
	return &Client{o: o, http: &c}
}

// bounded cuts off what an issuer sends too much of.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.next.RoundTrip(r)
	if err == nil {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, maxBody), res.Body}
	}
	return res, err
}

// Title is how the page shows it.
func (c *Client) Title() string { return cmp.Or(c.o.Name, "the company’s sign-in") }

// down says that the issuer can't be asked, and that the other ways are there.
func (c *Client) down(err error) error {
	return fault.New(fault.Unavailable, "%s can’t be reached", c.Title()).Because(plain(err)).WithHint("sign in with your name and password, a passkey or a token: they need nobody else")
}

// plain leaves out what an error may hold of an answer.
func plain(err error) error {
	var r *oauth2.RetrieveError
	if errors.As(err, &r) {
		return fmt.Errorf("it answered %s", cmp.Or(short(r.ErrorCode), http.StatusText(r.Response.StatusCode)))
	}
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return errors.New(short(err.Error()))
}

// short is a text of the issuer's as one line.
func short(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 200 {
		return string(r[:200]) + "…"
	}
	return s
}

// ask gives the issuer's own description of itself (OpenID Connect Discovery 1.0), from
// memory once it was had.
func (c *Client) ask(ctx context.Context) (*oidc.Provider, error) {
	c.mu.Lock()
	p := c.provider
	c.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, c.http), c.o.Issuer)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.provider = p
	return p, nil
}

func (c *Client) config(p *oidc.Provider) oauth2.Config {
	return oauth2.Config{ClientID: c.o.ClientID, ClientSecret: c.o.Secret, Endpoint: p.Endpoint(), RedirectURL: c.o.Callback, Scopes: append([]string{oidc.ScopeOpenID, "profile"}, c.o.Scopes...)}
}

// random is 256 bits for an address.
func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Begin gives the address at which somebody signs in. With fresh the issuer asks anew,
// even if they are signed in there.
func (c *Client) Begin(ctx context.Context, fresh bool) (string, State, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	p, err := c.ask(ctx)
	if err != nil {
		return "", State{}, c.down(err)
	}
	s := State{State: random(), Nonce: random(), Verifier: oauth2.GenerateVerifier(), Fresh: fresh, At: c.o.Now().UTC()}
	options := []oauth2.AuthCodeOption{oidc.Nonce(s.Nonce), oauth2.S256ChallengeOption(s.Verifier)}
	if fresh {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"))
	}
	conf := c.config(p)
	return conf.AuthCodeURL(s.State, options...), s, nil
}

// claims are those of an ID token that we look at.
type claims struct {
	Name     string `json:"name"`
	Username string `json:"preferred_username"`
	Email    string `json:"email"`
	AuthTime int64  `json:"auth_time"`
}

// Finish gives who came back with q, for what Begin had begun.
func (c *Client) Finish(ctx context.Context, s State, q url.Values) (Person, error) {
	stray := fault.New(fault.Denied, "this sign-in was not begun in this browser").WithHint("begin again")
	if s.State == "" || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(s.State)) != 1 {
		return Person{}, stray
	}
	if refused := q.Get("error"); refused != "" {
		return Person{}, fault.New(fault.Denied, "%s did not let you in: %s", c.Title(), short(refused)).WithHint("try again, or sign in another way")
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, c.http), deadline)
	defer cancel()
	p, err := c.ask(ctx)
	if err != nil {
		return Person{}, c.down(err)
	}
	conf := c.config(p)
	tokens, err := conf.Exchange(ctx, q.Get("code"), oauth2.VerifierOption(s.Verifier))
	if err != nil {
		return Person{}, c.down(err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	id, err := p.VerifierContext(ctx, &oidc.Config{ClientID: c.o.ClientID, Now: c.o.Now}).Verify(ctx, raw)
	if err != nil {
		return Person{}, fault.New(fault.Denied, "what %s says of you can’t be believed", c.Title()).Because(plain(err)).WithHint("sign in another way, and tell an admin")
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(s.Nonce)) != 1 {
		return Person{}, stray
	}
	return c.person(id, s)
}

// person reads what the issuer says of somebody.
func (c *Client) person(id *oidc.IDToken, s State) (Person, error) {
	var known claims
	var all map[string]any
	if err := errors.Join(id.Claims(&known), id.Claims(&all)); err != nil {
		return Person{}, fault.New(fault.Denied, "what %s says of you can’t be read", c.Title()).WithHint("sign in another way, and tell an admin")
	}
	if s.Fresh && c.o.Now().Sub(time.Unix(known.AuthTime, 0)) > freshness {
		return Person{}, fault.New(fault.Denied, "%s did not ask you anew", c.Title()).WithHint("sign out there, and try again")
	}
	may, has := c.may(all[cmp.Or(c.o.Claim, "groups")])
	if !has {
		return Person{}, fault.New(fault.Denied, "none of your groups may come in here").WithHint("ask an admin which group can, or sign in another way")
	}
	name := cmp.Or(known.Username, known.Email, id.Subject)
	return Person{Issuer: id.Issuer, Subject: id.Subject, Name: cutTo(name, maxName), Title: cutTo(cmp.Or(known.Name, name), maxName), Role: may}, nil
}

func cutTo(s string, most int) string {
	if r := []rune(short(s)); len(r) > most {
		return string(r[:most])
	} else {
		return string(r)
	}
}

// may is the highest role that somebody's groups have.
func (c *Client) may(claim any) (best role.Role, has bool) {
	var groups []any
	switch v := claim.(type) {
	case []any:
		groups = v[:min(len(v), maxGroups)]
	case string:
		groups = []any{v}
	}
	for _, g := range groups {
		name, _ := g.(string)
		if may, known := c.o.Groups[name]; known && slices.Contains(role.Roles, may) && (!has || may.AtLeast(best)) {
			best, has = may, true
		}
	}
	return best, has
}
