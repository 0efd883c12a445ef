package shop

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"lifeboat/internal/fault"
)

// clientTimeout bounds one call to a control socket, dialling included.
const clientTimeout = 5 * time.Second

// Break does to the shop behind a control socket what a shop can do to itself: kill,
// hang, poison-row, full-disk, flaky (with a setting, as ParseBreakage reads it).
// After kill it returns when the process is gone. Errors are *fault.Error: Invalid
// for another way, Unavailable when nobody answers or when it could not be done.
func Break(ctx context.Context, socket, how string) error {
	b, err := ParseBreakage(how)
	if err != nil {
		return err
	}
	_, err = call(ctx, socket, http.MethodPost, "/break/"+b.String())
	return err
}

// Do does repair-row or free-disk at the shop behind a control socket, and says what
// came of it: there may have been nothing to do.
func Do(ctx context.Context, socket string, act Act) (said string, err error) {
	answer, err := call(ctx, socket, http.MethodPost, "/do/"+url.PathEscape(string(act)))
	return answer.Said, err
}

// Repair ends whatever a shop can do to itself. A shop that was killed does not
// answer: it has to be started again.
func Repair(ctx context.Context, socket string) error {
	_, err := call(ctx, socket, http.MethodPost, "/repair")
	return err
}

// State tells how the shop behind a control socket is.
func State(ctx context.Context, socket string) (Condition, error) {
	answer, err := call(ctx, socket, http.MethodGet, "/state")
	return answer.Condition, err
}

func call(ctx context.Context, socket, method, path string) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://shop"+path, nil)
	if err != nil {
		return reply{}, err
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return reply{}, silent(socket, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	switch {
	case resp.StatusCode == http.StatusAccepted && ctx.Err() == nil:
		return reply{}, nil // cut off in the middle, as it should be
	case err != nil:
		return reply{}, silent(socket, err)
	case resp.StatusCode != http.StatusOK:
		return reply{}, refused(socket, resp.StatusCode, body)
	}
	var answer reply
	if err := json.Unmarshal(body, &answer); err != nil {
		return reply{}, fault.New(fault.Internal, "read the shop's condition").At(socket).Because(err)
	}
	return answer, nil
}

// refused is what a shop says that could not do what was asked.
func refused(socket string, status int, body []byte) error {
	kind := fault.Unavailable
	if status == http.StatusNotFound {
		kind = fault.Invalid
	}
	var p problem
	if err := json.Unmarshal(body, &p); err != nil || p.Detail == "" {
		p.Detail = http.StatusText(status)
	}
	return fault.New(kind, "the shop refuses: %s", p.Detail).At(socket).WithHint("look at its condition, and try again")
}

func silent(socket string, err error) error {
	return fault.New(fault.Unavailable, "the shop does not answer").At(socket).Because(err).
		WithHint("is it running? A shop that was killed has to be started again")
}
