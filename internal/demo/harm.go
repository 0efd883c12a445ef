package demo

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"lifeboat/internal/demo/shop"
	"lifeboat/internal/fault"
	"lifeboat/internal/handover"
)

// socketName is the demo's own local socket in its folder: who starts the shops can
// break and repair them. It has mode 0600.
const socketName = "demo.sock"

// askTime bounds one exchange over the demo's socket: a shop may have to start.
const askTime = readyTime + 10*time.Second

// maxReply is the longest thing read from the demo's socket, in bytes.
const maxReply = 64 << 10

// Break breaks the shop of the demo that runs on a folder: "kill", "hang" or
// "bad-release". It is a fault.NotFound when no demo runs there.
func Break(ctx context.Context, data, how string) error {
	if _, err := shop.ParseHarm(how); err != nil {
		return err
	}
	return tell(ctx, data, "/break/"+how)
}

// Repair brings the shop back, whatever was done to it; a dead one is started again.
func Repair(ctx context.Context, data string) error { return tell(ctx, data, "/repair") }

// said is the demo's answer: nothing, or what went wrong.
type said struct {
	Kind fault.Kind `json:"kind,omitempty"`
	Text string     `json:"text,omitempty"`
	Hint string     `json:"hint,omitempty"`
}

// tell asks the demo on a folder for one thing.
func tell(ctx context.Context, data, path string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, askTime, errors.New("it took too long"))
	defer cancel()
	socket := filepath.Join(data, socketName)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://demo"+path, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return fault.New(fault.NotFound, "no demo runs on this folder").At("--data "+data).Because(errors.Unwrap(err)).
			WithHint("start one with: lifeboat demo --data %s", data)
	}
	defer func() { _ = res.Body.Close() }() // nothing is lost with it
	var s said
	if err := json.NewDecoder(io.LimitReader(res.Body, maxReply)).Decode(&s); err != nil {
		return fault.New(fault.Internal, "the demo's answer can't be read").At(socket).Because(err)
	}
	if s.Kind != "" {
		return &fault.Error{Kind: s.Kind, Text: s.Text, Hint: s.Hint}
	}
	return nil
}

// obey serves the demo's socket until ctx ends.
func (b *boat) obey(ctx context.Context, l net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /break/{how}", b.do(func(r *http.Request) error { return b.main.hurt(r.Context(), r.PathValue("how")) }))
	mux.HandleFunc("POST /repair", b.do(func(r *http.Request) error { return b.main.repair(r.Context()) }))
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	_ = srv.Serve(l) // ends with ctx
	_ = os.Remove(l.Addr().String())
}

// do makes a handler of one act; acts come one after the other.
func (b *boat) do(act func(*http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b.acting.Lock()
		err := act(r)
		b.acting.Unlock()
		var s said
		var f *fault.Error
		switch {
		case errors.As(err, &f):
			s = said{Kind: f.Kind, Text: (&fault.Error{Place: f.Place, Text: f.Text, Cause: f.Cause}).Error(), Hint: f.Hint}
		case err != nil:
			s = said{Kind: fault.Internal, Text: err.Error()}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s) // a caller that left needs nothing more
	}
}

// openSocket opens the demo's socket; a demo that runs already keeps it.
func openSocket(data string) (net.Listener, error) {
	l, err := handover.ListenUnix(filepath.Join(data, socketName), -1)
	if fault.KindOf(err) == fault.Conflict {
		return nil, fault.New(fault.Conflict, "a demo runs on this folder already").At("--data " + data).
			WithHint("stop it first, or choose another folder with --data")
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}
