package supervise

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/handover"
)

// How long a child may take to say who it is, and the longest thing that is read
// of it, in bytes.
const (
	askTimeout = 2 * time.Second
	maxReply   = 1 << 20
)

// reply is the part of a child's answer that we understand.
type reply struct {
	PID   int    `json:"pid"`
	Ready bool   `json:"ready"`
	Error string `json:"error"`
}

// askAnswer asks a running answer how it is: one JSON line there, one back.
func askAnswer(ctx context.Context, sock string) (reply, error) {
	conn, err := dial(ctx, sock)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = conn.Close() }() // nothing is lost with it
	if _, err := io.WriteString(conn, `{"do":"status"}`+"\n"); err != nil {
		return reply{}, fmt.Errorf("ask answer: %w", err)
	}
	line, err := bufio.NewReader(io.LimitReader(conn, maxReply)).ReadBytes('\n')
	if err != nil {
		return reply{}, fmt.Errorf("ask answer: %w", err)
	}
	return readReply(line)
}

// borrowSockets takes a running answer's sockets.
func borrowSockets(ctx context.Context, sock string) (handover.Sockets, error) {
	conn, err := dial(ctx, sock)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // nothing is lost with it
	if _, err := io.WriteString(conn, `{"do":"sockets"}`+"\n"); err != nil {
		return nil, fmt.Errorf("ask answer for its sockets: %w", err)
	}
	return handover.Receive(conn)
}

// dial connects to a local socket, for one short exchange.
func dial(ctx context.Context, sock string) (*net.UnixConn, error) {
	d := net.Dialer{Timeout: askTimeout}
	conn, err := d.DialContext(ctx, "unix", sock)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	if err := conn.SetDeadline(time.Now().Add(askTimeout)); err != nil { // the kernel's clock, not a decision
		_ = conn.Close()
		return nil, fmt.Errorf("set deadline: %w", err)
	}
	return conn.(*net.UnixConn), nil
}

// askControl asks a running control over its local socket: healthz says who it is,
// readyz whether it is ready.
func askControl(ctx context.Context, sock, path string) (reply, error) {
	client := http.Client{
		Timeout: askTimeout,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", sock)
			},
		},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://control"+path, nil)
	if err != nil {
		return reply{}, fmt.Errorf("ask control: %w", err)
	}
	res, err := client.Do(req)
	if err != nil {
		return reply{}, fmt.Errorf("ask control: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // nothing is lost with it
	if path == "/readyz" {
		return reply{Ready: res.StatusCode == http.StatusOK}, nil
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxReply))
	if err != nil {
		return reply{}, fmt.Errorf("ask control: %w", err)
	}
	return readReply(b)
}

func readReply(b []byte) (reply, error) {
	var r reply
	if err := json.Unmarshal(b, &r); err != nil {
		return reply{}, fault.New(fault.Unavailable, "it said something that we don't understand").Because(err)
	}
	if r.Error != "" {
		return reply{}, fault.New(fault.Unavailable, "it said: %s", r.Error)
	}
	return r, nil
}
