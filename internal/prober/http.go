package prober

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
)

const (
	// MaxBody is how many bytes of an answer's body are read and judged.
	MaxBody = 1 << 20
	// maxHeader is how many bytes an answer's header may have, interim ones included.
	maxHeader = 64 << 10
	// maxInterim is how many interim answers (RFC 9110 section 15.2) are passed over.
	maxInterim = 8

	userAgent = "lifeboat-check"
	// Mark is the request header that carries the check's name, so that nobody counts
	// a check as a visitor.
	Mark = "Lifeboat-Check"
)

// askHTTP asks over the connection. It speaks HTTP/1.1 itself instead of through
// http.Transport: one connection, one question, one deadline, and nothing that
// redirects, retries, pools, unpacks or lingers.
func (x *exchange) askHTTP(ctx context.Context, conn net.Conn) error {
	x.during = ""
	req, err := x.request(ctx)
	if err != nil {
		return err
	}
	// A target may answer and hang up before it has read the question; what it said
	// counts, so an error of writing is told only when nothing can be read.
	writeErr := req.Write(conn)
	resp, err := x.readHeader(conn, req)
	if err != nil {
		if writeErr != nil && x.came == 0 {
			return writeErr
		}
		return err
	}
	x.status = resp.StatusCode
	// resp.Body is not closed: that would read on to its end, whatever it takes. The
	// connection is closed instead.
	return x.compare(resp)
}

func (x *exchange) request(ctx context.Context) (*http.Request, error) {
	url := x.target.Scheme + "://" + x.target.Authority() + x.check.Path
	req, err := http.NewRequestWithContext(ctx, x.check.Method, url, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", "*/*")
	req.Header.Set(Mark, x.check.Name)
	return req, nil
}

// readHeader reads the final answer's header and passes over interim ones.
func (x *exchange) readHeader(conn net.Conn, req *http.Request) (*http.Response, error) {
	limited := &io.LimitedReader{R: countingReader{conn, &x.came}, N: maxHeader}
	buffered := bufio.NewReader(limited)
	for range maxInterim + 1 {
		resp, err := http.ReadResponse(buffered, req)
		switch {
		case err != nil && limited.N <= 0:
			return nil, failf("the answer's header is longer than %d KiB", maxHeader>>10)
		case err != nil:
			return nil, err
		case resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols:
			limited.N = math.MaxInt64 // the body has its own limit
			return resp, nil
		}
	}
	return nil, failf("more than %d interim answers and no final one", maxInterim)
}

// countingReader adds up what was read.
type countingReader struct {
	r io.Reader
	n *int64
}

func (c countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	*c.n += int64(n)
	return n, err
}

// compare holds the answer against what the check wants, first what needs no body.
func (x *exchange) compare(resp *http.Response) error {
	if resp.StatusCode != x.check.Status {
		return failf("answered %d, expected %d", resp.StatusCode, x.check.Status)
	}
	if name, value := x.check.WantedHeader(); name != "" && !carries(resp.Header, name, value) {
		return failf("answered %d without the header %q", resp.StatusCode, x.check.Header)
	}
	body, err := readBody(resp.Body, x.check.Contains != "")
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return failf("the answer broke off after %d bytes", x.came)
	}
	if err != nil {
		return err
	}
	if x.check.Contains != "" && !bytes.Contains(body, []byte(x.check.Contains)) {
		return failf("the page does not contain %q", x.check.Contains)
	}
	return nil
}

// carries says whether one of the header's lines has the value; any will do for "".
func carries(h http.Header, name, value string) bool {
	for _, v := range h.Values(name) {
		if value == "" || strings.TrimSpace(v) == value {
			return true
		}
	}
	return false
}

// readBody reads the body to its end or to MaxBody, and keeps it where it is
// needed.
func readBody(body io.Reader, keep bool) ([]byte, error) {
	limited := io.LimitReader(body, MaxBody)
	if keep {
		return io.ReadAll(limited)
	}
	_, err := io.Copy(io.Discard, limited)
	return nil, err
}
