package shop

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"time"

	"lifeboat/internal/fault"
)

// clientTimeout bounds one call to a control socket, dialling included.
const clientTimeout = 5 * time.Second

// Break breaks the shop behind a control socket: "kill", "hang" or "bad-release".
// After kill it returns when the process is gone. Errors are *fault.Error: Invalid
// for an unknown way, Unavailable when nobody answers.
func Break(ctx context.Context, socket, how string) error {
	way, err := ParseHarm(how)
	if err != nil {
		return err
	}
	_, err = call(ctx, socket, http.MethodPost, "/break/"+string(way))
	return err
}

// Repair ends hang and bad-release. A shop that was killed does not answer: it has
// to be started again.
func Repair(ctx context.Context, socket string) error {
	_, err := call(ctx, socket, http.MethodPost, "/repair")
	return err
}

// State tells how the shop behind a control socket is.
func State(ctx context.Context, socket string) (Condition, error) {
	return call(ctx, socket, http.MethodGet, "/state")
}

func call(ctx context.Context, socket, method, path string) (Condition, error) {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://shop"+path, nil)
	if err != nil {
		return Condition{}, err
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return Condition{}, silent(socket, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	switch {
	case resp.StatusCode == http.StatusAccepted && ctx.Err() == nil:
		return Condition{Harm: Kill}, nil // cut off in the middle, as it should be
	case err != nil:
		return Condition{}, silent(socket, err)
	case resp.StatusCode != http.StatusOK:
		return Condition{}, fault.New(fault.Internal, "shop answered %s", resp.Status).At(socket)
	}
	var c Condition
	if err := json.Unmarshal(body, &c); err != nil {
		return Condition{}, fault.New(fault.Internal, "read the shop's condition").At(socket).Because(err)
	}
	return c, nil
}

func silent(socket string, err error) error {
	return fault.New(fault.Unavailable, "the shop does not answer").At(socket).Because(err).
		WithHint("is it running? A shop that was killed has to be started again")
}
