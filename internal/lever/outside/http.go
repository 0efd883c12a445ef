package outside

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/lever"
)

// Remote is how a lever's section says where an API is and who asks.
type Remote struct {
	URL       string `json:"url"`
	TokenFile string `json:"token_file,omitempty"`
	TokenEnv  string `json:"token_env,omitempty"`
}

// Check says what is missing.
func (r Remote) Check() error {
	u, err := url.Parse(r.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return fault.New(fault.Invalid, "the lever's url is no address of an API").WithHint("write it whole, for example https://flags.example.com")
	}
	return nil
}

// maxToken is how long a token may be, in bytes.
const maxToken = 4096

// token reads the secret anew at each call, so that a new one needs no restart.
func (r Remote) token() (string, error) {
	var text string
	switch {
	case r.TokenFile != "":
		f, err := os.Open(filepath.Clean(r.TokenFile))
		if err != nil {
			return "", fault.New(fault.Unavailable, "the token can't be read from %s", r.TokenFile).WithHint("write it there, readable for lifeboat alone")
		}
		b, err := io.ReadAll(io.LimitReader(f, maxToken+1))
		_ = f.Close()
		if err != nil || len(b) > maxToken {
			return "", fault.New(fault.Unavailable, "%s does not hold a token", r.TokenFile).WithHint("write the token alone into it")
		}
		text = string(b)
	case r.TokenEnv != "":
		text = os.Getenv(r.TokenEnv)
	default:
		return "", nil
	}
	text = strings.TrimSpace(text)
	if text == "" || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", fault.New(fault.Unavailable, "there is no token in %s", r.TokenFile+r.TokenEnv).WithHint("write the token alone, in one line")
	}
	return text, nil
}

// API asks one system over HTTP.
type API struct {
	Remote
	Scheme string // before the token in Authorization: "Bearer "; may be ""
	Header map[string]string
	Client *http.Client // nil: one of ours
}

// The bounds of one call.
const (
	callTime  = 3 * time.Second
	maxAnswer = 4 << 20 // bytes
	maxWait   = 2 * time.Second
)

// client follows no redirect: a token goes nowhere that the configuration does not
// name.
var client = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: callTime, ResponseHeaderTimeout: callTime, MaxResponseHeaderBytes: 64 << 10,
	},
}

// Call is one question or one write.
type Call struct {
	Method string
	Path   string // with its query, escaped
	Type   string // of Body; application/json unless said
	Body   any    // nil: none
	Into   any    // nil: the answer's body is not looked at
}

// Do makes a call. Where it is told to come again soon it does, once. A write whose
// outcome is not known has lever.ErrUnsure in its error's chain.
func (a API) Do(ctx context.Context, c Call) error {
	for try := 0; ; try++ {
		wait, err := a.once(ctx, c)
		if err == nil || wait == 0 || try > 0 {
			return err
		}
		if wait > maxWait {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// once makes a call once; wait is above 0 where it may be made again after it.
func (a API) once(ctx context.Context, c Call) (wait time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	req, err := a.request(ctx, c)
	if err != nil {
		return 0, err
	}
	writes := c.Method != http.MethodGet
	use := a.Client
	if use == nil {
		use = client
	}
	resp, err := use.Do(req)
	if err != nil {
		return 0, lost(err, writes)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if resp.StatusCode/100 != 2 {
		return again(resp), refused(resp.StatusCode, writes)
	}
	if err != nil {
		return 0, lost(err, writes)
	}
	if c.Into == nil {
		return 0, nil
	}
	if len(body) > maxAnswer || json.Unmarshal(body, c.Into) != nil {
		return 0, lost(errors.New("the answer can't be read"), writes)
	}
	return 0, nil
}

func (a API) request(ctx context.Context, c Call) (*http.Request, error) {
	secret, err := a.token()
	if err != nil {
		return nil, err
	}
	var body io.Reader
	if c.Body != nil {
		b, err := json.Marshal(c.Body)
		if err != nil {
			return nil, fault.New(fault.Internal, "write the question").Because(err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, c.Method, strings.TrimSuffix(a.URL, "/")+c.Path, body)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the lever's url is no address of an API")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "lifeboat")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		if c.Type != "" {
			req.Header.Set("Content-Type", c.Type)
		}
	}
	for k, v := range a.Header {
		req.Header.Set(k, v)
	}
	if secret != "" {
		req.Header.Set("Authorization", a.Scheme+secret)
	}
	return req, nil
}

// lost is the error of a call that no whole answer came to. One that never left is
// known not to be taken.
func lost(err error, writes bool) error {
	var op *net.OpError
	var u *url.Error
	if errors.As(err, &u) { // its text has the address, which the caller says better
		err = u.Err
	}
	out := fault.New(fault.Unavailable, "no whole answer came").Because(err)
	if writes && !(errors.As(err, &op) && op.Op == "dial") {
		out = out.Because(errors.Join(lever.ErrUnsure, err))
	}
	return out
}

// refused is the error of an answer that is no success. A server that broke in the
// middle may have taken a write; one that says it is too busy has not.
func refused(status int, writes bool) error {
	said := strconv.Itoa(status) + " " + http.StatusText(status)
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fault.New(fault.Denied, "it answered %s", said).WithHint("see that the token is right and may change this flag")
	case status == http.StatusMethodNotAllowed:
		return fault.New(fault.Denied, "it answered %s", said).WithHint("its rules may ask for an approval: let lifeboat's token pass them")
	case status == http.StatusNotFound:
		return fault.New(fault.NotFound, "it answered %s", said).WithHint("see that the flag, and what it is in, are named as they are there")
	case status == http.StatusConflict, status == http.StatusPreconditionFailed:
		return fault.New(fault.Conflict, "it answered %s: somebody else was quicker, or its rules forbid it", said).WithHint("look at the flag there, and press again")
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return fault.New(fault.Unavailable, "it answered %s", said).WithHint("press again in a moment")
	case status >= 500 && writes:
		return fault.New(fault.Unavailable, "it answered %s", said).Because(lever.ErrUnsure)
	}
	return fault.New(fault.Unavailable, "it answered %s", said)
}

// again is how long a server asks to wait: Retry-After (RFC 9110 section 10.2.3), or
// LaunchDarkly's X-Ratelimit-Reset in milliseconds since 1970.
func again(resp *http.Response) time.Duration {
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	text := resp.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 && seconds < 1<<20 {
		return max(time.Duration(seconds)*time.Second, time.Millisecond)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(time.Until(at), time.Millisecond)
	}
	if ms, err := strconv.ParseInt(resp.Header.Get("X-Ratelimit-Reset"), 10, 64); err == nil && ms > 0 && ms < 1<<52 {
		return max(time.Until(time.UnixMilli(ms)), time.Millisecond)
	}
	return 0
}

// Get asks for a path.
func (a API) Get(ctx context.Context, path string, into any) error {
	return a.Do(ctx, Call{Method: http.MethodGet, Path: path, Into: into})
}

// Path puts parts of a path together, each escaped.
func Path(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("/" + url.PathEscape(p))
	}
	return b.String()
}

// Name is a person's name as a system gives it, short and without what a terminal
// would obey.
func Name(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == '\ufffd' {
			return -1
		}
		return c
	}, s)
	if r := []rune(s); len(r) > 100 {
		s = string(r[:100])
	}
	return s
}
