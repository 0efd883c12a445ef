// Package apiclient speaks to lifeboat's API, over TCP with a token or over
// control.sock without one.
//
// It decides nothing and keeps nothing. A problem document comes back as the
// *fault.Refusal or *fault.Error that it was made of, so that a caller can't tell
// whether the engine is here or elsewhere. cli and demo import it.
//
// Concurrency: a Client may be used from any goroutine.
package apiclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/api"
	"lifeboat/internal/fault"
)

// ErrUnreachable is in the chain of an error after which nobody is known to have
// heard the request.
var ErrUnreachable = errors.New("nobody answers there")

// Limits on an exchange.
const (
	maxReply    = 64 << 20 // bytes
	maxProblem  = 1 << 20
	dialTime    = 5 * time.Second
	requestTime = time.Minute // longer than the server's own bound
	fileTime    = 3 * time.Minute
	aliveTime   = 2 * time.Second
)

// Options of a Client. Server MUST be set.
type Options struct {
	Server string // http://HOST:PORT, https://… or unix:PATH
	Token  string // none is needed over unix
	Via    string // what the timeline calls us: cli; empty: api
}

// Client is a connection's settings; it holds no state of lifeboat's.
type Client struct {
	base, server, token, via string

	http  *http.Client
	files *http.Client // for what is large
	alive sync.Once
}

// New makes a Client; nothing is asked yet.
func New(o Options) (*Client, error) {
	c := &Client{server: o.Server, token: o.Token, via: o.Via}
	dialer := net.Dialer{Timeout: dialTime}
	transport := &http.Transport{DialContext: dialer.DialContext, MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true, Proxy: http.ProxyFromEnvironment}
	if path, local := strings.CutPrefix(o.Server, "unix:"); local {
		if path == "" {
			return nil, fault.New(fault.Invalid, "unix: names no socket").At("--server").WithHint("write unix:lifeboat-data/control.sock")
		}
		c.base, transport.Proxy = "http://control", nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "unix", path) }
	} else {
		u, err := url.Parse(o.Server)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return nil, fault.New(fault.Invalid, "%q is not an address of lifeboat", o.Server).At("--server").WithHint("write http://HOST:PORT, https://HOST or unix:PATH")
		}
		c.base = strings.TrimSuffix(u.Scheme+"://"+u.Host+u.Path, "/")
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // a token is sent to nobody else
	c.http = &http.Client{Transport: transport, Timeout: requestTime, CheckRedirect: stay}
	c.files = &http.Client{Transport: transport, Timeout: fileTime, CheckRedirect: stay}
	return c, nil
}

// call asks one route. in becomes the body, nil for none; the answer is read into
// out, nil to drop it.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	size := int64(0)
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body, size = bytes.NewReader(b), int64(len(b))
	}
	res, err := c.ask(ctx, c.http, method, path, content{body, "application/json", size})
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // nothing is lost with it
	return c.read(res, out)
}

// send sends a file; what came of it is read into out.
func (c *Client) send(ctx context.Context, path string, body io.Reader, size int64, out any) error {
	res, err := c.ask(ctx, c.files, http.MethodPost, path, content{body, "application/octet-stream", size})
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }() // nothing is lost with it
	return c.read(res, out)
}

// fetch reads an answer that is no JSON for us.
func (c *Client) fetch(ctx context.Context, path string) ([]byte, error) {
	res, err := c.ask(ctx, c.files, http.MethodGet, path, content{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }() // it was only read
	switch {
	case res.StatusCode >= 300:
		return nil, problem(res)
	case res.Header.Get("Content-Security-Policy") == "": // lifeboat says what may be done with it
		return nil, c.stranger(res.Status)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxReply))
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the answer of %s did not arrive whole", c.server).Because(err).WithHint("ask again")
	}
	return b, nil
}

// content is the body of a request.
type content struct {
	body io.Reader // nil: none
	kind string
	size int64 // bytes; -1 where it is not known
}

// ask sends one request.
func (c *Client) ask(ctx context.Context, by *http.Client, method, path string, body content) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+"/api/v1"+path, body.body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if body.body != nil {
		req.Header.Set("Content-Type", body.kind)
		req.ContentLength = body.size
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.via != "" {
		req.Header.Set(api.ClientHeader, c.via)
	}
	if err := c.knock(ctx); err != nil {
		return nil, err
	}
	res, err := by.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	return res, nil
}

// knock asks once whether anybody is there: a socket can be held for a process that
// is gone or stands still, and an act may take longer than anybody waits to learn that.
func (c *Client) knock(ctx context.Context) (failed error) {
	c.alive.Do(func() {
		ctx, cancel := context.WithTimeout(ctx, aliveTime)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/healthz", nil)
		if err != nil {
			failed = fmt.Errorf("make request: %w", err)
			return
		}
		res, err := c.http.Do(req)
		if err != nil {
			failed = c.unreachable(err)
			return
		}
		_ = res.Body.Close()
	})
	return failed
}

func (c *Client) unreachable(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fault.New(fault.Unavailable, "lifeboat can't be reached at %s", c.server).Because(fmt.Errorf("%w: %w", ErrUnreachable, err)).
		WithHint("start it with: lifeboat serve; or say where it is with --server. DNS and the status page go on without it, and so do levers: lifeboat answer pull LEVER")
}

func (c *Client) read(res *http.Response, out any) error {
	if res.StatusCode >= 300 {
		return problem(res)
	}
	if out == nil || res.StatusCode == http.StatusNoContent {
		return nil
	}
	if kind := res.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/json") {
		return c.stranger(res.Status)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxReply)).Decode(out); err != nil {
		return fault.New(fault.Unavailable, "the answer of %s can't be read", c.server).Because(err)
	}
	return nil
}

// stranger is the error for an answer that is not lifeboat's.
func (c *Client) stranger(status string) error {
	return fault.New(fault.Unavailable, "what answers at %s is not lifeboat (%s)", c.server, status).WithHint("say where lifeboat is with --server")
}

// problem turns a problem document back into the error that it was made of.
func problem(res *http.Response) error {
	var p api.Problem
	b, err := io.ReadAll(io.LimitReader(res.Body, maxProblem))
	if err != nil || json.Unmarshal(b, &p) != nil || p.Detail == "" {
		return fault.New(api.KindOf(res.StatusCode), "it answered %s and did not say why", res.Status).WithHint("see that --server is lifeboat's own address")
	}
	if p.Refusal != nil {
		return p.Refusal
	}
	if p.Kind == "" {
		p.Kind = api.KindOf(res.StatusCode)
	}
	e := &fault.Error{Kind: p.Kind, Place: p.Place, Text: p.Detail, Hint: p.Hint}
	if p.Incident != "" {
		e.Hint = strings.TrimPrefix(e.Hint+"; how far it got: lifeboat timeline "+p.Incident, "; ")
	}
	return e
}
