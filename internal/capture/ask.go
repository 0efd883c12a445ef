package capture

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/probe"
)

const (
	maxHeader  = 64 << 10 // bytes of an answer's header, interim ones included
	maxInterim = 8        // interim answers (RFC 9110 section 15.2) that are passed over
	maxBegin   = 200      // bytes that are kept of what is no HTTP answer

	userAgent = "lifeboat-capture"
	// mark is the request header that keeps the standby from counting us as a visitor.
	mark = "Lifeboat-Check"
)

// aLongTimeAgo as a deadline makes a connection give up at once.
var aLongTimeAgo = time.Unix(1, 0)

// dial connects to the address and nothing else: no name is looked up, and no proxy
// of the environment is asked. The connection gives up when ctx ends; close ends it.
func dial(ctx context.Context, network string, at netip.AddrPort) (conn net.Conn, closeIt func(), err error) {
	d := net.Dialer{KeepAlive: -1}
	conn, err = d.DialContext(ctx, network, at.String())
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(aLongTimeAgo) })
	return conn, func() { stop(); _ = conn.Close() }, nil
}

// looking is a TLS client that takes any certificate and old versions, too: what is
// wrong with them is to be seen, and nothing secret is sent.
func looking(host string, protocols ...string) *tls.Config {
	return &tls.Config{ServerName: host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, NextProtos: protocols}
}

// question is one page to ask for.
type question struct {
	place  string
	at     netip.AddrPort
	scheme string
	host   string
	path   string
}

// source names whom the question goes to.
func (q question) source() string { return source(q.place, q.at) }

func source(name string, at netip.AddrPort) string {
	if name == "" {
		return at.String()
	}
	return name + " " + at.String()
}

func (q question) target() probe.Target {
	return probe.Target{Address: q.at.Addr().String(), Port: int(q.at.Port()), Scheme: q.scheme, Host: q.host}
}

// step is something that happened in an asking, and when.
type step struct {
	after time.Duration
	what  string
}

// asking is one question and all that came of it. It speaks HTTP/1.1 itself instead
// of through http.Transport: one connection, one question, one deadline, and nothing
// that redirects, retries, pools, unpacks or lingers.
type asking struct {
	question
	now    func() time.Time
	began  time.Time
	steps  []step
	came   int64  // bytes
	begin  []byte // the first of them
	resp   *http.Response
	offset time.Duration // of the other clock
	body   []byte
	more   bool  // the body is longer than MaxBody
	err    error // why it is not complete
}

// ask asks, and always returns what came.
func (q question) ask(ctx context.Context, now func() time.Time) *asking {
	a := &asking{question: q, now: now, began: now()}
	a.err = a.perform(ctx)
	return a
}

func (a *asking) note(what string) { a.steps = append(a.steps, step{a.now().Sub(a.began), what}) }

func (a *asking) perform(ctx context.Context) error {
	conn, closeIt, err := dial(ctx, "tcp", a.at)
	if err != nil {
		return err
	}
	defer closeIt()
	a.note("connected")
	if a.scheme == "https" {
		secured := tls.Client(conn, looking(a.host, "http/1.1"))
		if err := secured.HandshakeContext(ctx); err != nil {
			return err
		}
		conn = secured
		a.note("secured with " + tls.VersionName(secured.ConnectionState().Version) + "; the certificate is looked at elsewhere")
	}
	req, err := a.request(ctx)
	if err != nil {
		return err
	}
	// A server may answer and hang up before it has read the question; what it said
	// counts, so an error of writing is told only when nothing can be read.
	writeErr := req.Write(conn)
	a.note("question sent")
	if err := a.readHeader(conn, req); err != nil {
		if writeErr != nil && a.came == 0 {
			return writeErr
		}
		return err
	}
	// resp.Body is not closed: that would read on to its end, whatever it takes. The
	// connection is closed instead.
	return a.readBody()
}

func (a *asking) request(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.scheme+"://"+a.target().Authority()+a.path, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", "*/*")
	req.Header.Set(mark, "capture")
	return req, nil
}

// watched is a connection from which the HTTP reader reads; what comes is noted.
type watched struct {
	net.Conn
	a *asking
}

func (w watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 && w.a.came == 0 {
		w.a.note("first byte of the answer")
	}
	w.a.came += int64(n)
	if room := maxBegin - len(w.a.begin); room > 0 {
		w.a.begin = append(w.a.begin, p[:min(n, room)]...)
	}
	return n, err
}

// readHeader reads the final answer's header and passes over interim ones.
func (a *asking) readHeader(conn net.Conn, req *http.Request) error {
	limited := &io.LimitedReader{R: watched{conn, a}, N: maxHeader}
	buffered := bufio.NewReader(limited)
	for range maxInterim + 1 {
		resp, err := http.ReadResponse(buffered, req)
		switch {
		case err != nil && limited.N <= 0:
			return failf("the answer's header is longer than %d KiB", maxHeader>>10)
		case err != nil && a.came == 0 && errors.Is(err, io.ErrUnexpectedEOF):
			return io.EOF
		case err != nil && a.came > 0 && !outOfTime(err) && !strings.HasPrefix(string(a.begin), "HTTP/"):
			return failf("what came back is not an HTTP answer")
		case err != nil:
			return err
		case resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols:
			limited.N = math.MaxInt64 // the body has its own limit
			a.resp = resp
			a.offset = clockOffset(resp.Header, a.now())
			return nil
		}
	}
	return failf("more than %d interim answers came, and no final one", maxInterim)
}

func (a *asking) readBody() (err error) {
	a.body, err = io.ReadAll(io.LimitReader(a.resp.Body, MaxBody+1))
	if len(a.body) > MaxBody {
		a.body, a.more = a.body[:MaxBody], true
		a.note("stopped reading after " + size(MaxBody))
		return nil
	}
	if err == nil {
		a.note("answer complete: " + size(float64(len(a.body))))
	}
	return err
}

// clockOffset is how far the clock behind a Date header is ahead of ours. A cache
// hands on the date of what it holds, and says how old that is (RFC 9111 section 4.2.3).
func clockOffset(h http.Header, now time.Time) time.Duration {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0
	}
	if age, err := strconv.Atoi(h.Get("Age")); err == nil && age > 0 && age < 1<<31 {
		date = date.Add(time.Duration(age) * time.Second)
	}
	return date.Sub(now).Round(time.Second)
}
