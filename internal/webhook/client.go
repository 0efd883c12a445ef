package webhook

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"lifeboat/internal/fault"
)

// Limits on what is taken from a receiver.
const (
	MaxAnswer  = 64 << 10       // bytes of a body, and of all headers
	maxWaiting = 24 * time.Hour // the longest Retry-After that is understood
)

// Options of a Client; the zero value is usable.
type Options struct {
	Now  func() time.Time                                                     // time.Now
	Dial func(ctx context.Context, network, address string) (net.Conn, error) // a net.Dialer's
}

// Client posts webhooks.
type Client struct {
	now  func() time.Time
	http *http.Client
}

// NewClient makes a Client.
func NewClient(o Options) *Client {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	return &Client{now: o.Now, http: &http.Client{
		// The signature is for the receiver that was named, and nobody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: o.Dial,
			// Posts are rare, and one over a connection that died meanwhile can't be
			// told from one that was not taken.
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: MaxAnswer,
		},
	}}
}

// Call is one POST.
type Call struct {
	URL            string
	Key            []byte // of Key; empty: it is not signed
	ID             string // of ID; the same at every try
	IdempotencyKey string // sent as the header of that name; may be empty
	Body           []byte // JSON
}

// Answer is what came of a POST.
type Answer struct {
	Status     int
	Text       []byte        // the first MaxAnswer bytes of the body, as far as they came
	Truncated  bool          // there was more
	RetryAfter time.Duration // what the receiver asks to wait; 0: nothing
	Sent       bool          // a connection stood: the receiver may have it, answer or not
}

// Post tries once and gives what was answered, whatever its status. No answer is
// fault Unavailable; Sent tells whether the receiver may have it all the same. The
// caller bounds the time by ctx.
func (c *Client) Post(ctx context.Context, call Call) (Answer, error) {
	var sent atomic.Bool // GotConn comes from a goroutine of the transport
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, call.URL, bytes.NewReader(call.Body))
	if err != nil {
		return Answer{}, cmp.Or(CheckURL(call.URL), error(fault.New(fault.Invalid, "the URL can't be posted to")))
	}
	c.header(req.Header, call)
	resp, err := c.http.Do(req)
	if err != nil {
		return Answer{Sent: sent.Load()}, noAnswer(ctx, err)
	}
	defer resp.Body.Close()
	answer := Answer{Status: resp.StatusCode, Sent: true, RetryAfter: retryAfter(resp.Header.Get("Retry-After"), c.now())}
	// The status has said it all: a body that breaks off changes nothing.
	answer.Text, _ = io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	if answer.Truncated = len(answer.Text) > MaxAnswer; answer.Truncated {
		answer.Text = answer.Text[:MaxAnswer]
	}
	return answer, nil
}

func (c *Client) header(h http.Header, call Call) {
	at := c.now()
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "lifeboat")
	h.Set(HeaderID, call.ID)
	h.Set(HeaderTimestamp, timestamp(at))
	if len(call.Key) > 0 {
		h.Set(HeaderSignature, Sign(call.Key, call.ID, at, call.Body))
	}
	if call.IdempotencyKey != "" {
		h.Set("Idempotency-Key", call.IdempotencyKey)
	}
}

// noAnswer says why there was no answer, without the URL that url.Error holds.
func noAnswer(ctx context.Context, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var n net.Error
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout() {
		return fault.New(fault.Unavailable, "the receiver did not answer in time")
	}
	return fault.New(fault.Unavailable, "the receiver can't be reached").Because(err)
}

// Err is nil for an answer that says the webhook was taken: any 2xx and nothing
// else (Standard Webhooks, "Delivery success and failure").
func (a Answer) Err() error {
	if a.Status >= 200 && a.Status <= 299 {
		return nil
	}
	err := fault.New(fault.Unavailable, "the receiver answered %s", strings.TrimSpace(strconv.Itoa(a.Status)+" "+http.StatusText(a.Status)))
	switch {
	case a.Status >= 300 && a.Status <= 399:
		return err.WithHint("write down the address that it points to: nothing is sent on to another one")
	case a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden:
		return err.WithHint("check that both sides have the same secret")
	case a.Status == http.StatusNotFound:
		return err.WithHint("check its address")
	case a.Status == http.StatusGone:
		return err.WithHint("it wants no more: take it out of the configuration, or give its new address")
	}
	return err
}

// retryAfter reads the header of that name (RFC 9110 section 10.2.3): seconds, or
// a date. What can't be read or has passed is 0, and none is longer than a day.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 32); err == nil {
		return min(time.Duration(seconds)*time.Second, maxWaiting)
	}
	at, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxWaiting)
}
