package listen_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/listen"
)

// grace is more than any answer here takes.
const grace = 30 * time.Second

func loopback(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

// TestHTTPFinishes: a request under way when ctx ends is answered in full.
func TestHTTPFinishes(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	ln := loopback(t)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		cancel()
		_, _ = io.WriteString(w, "whole")
	})}
	served := make(chan error, 1)
	go func() { served <- listen.HTTP(ctx, ln, srv, grace) }()
	res, err := http.Get("http://" + ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || string(body) != "whole" {
		t.Errorf("answered %q (%v), want the whole of it", body, err)
	}
	if err := <-served; err != nil {
		t.Errorf("a stop by ctx is told as %v", err)
	}
}

func TestHTTPTellsAFault(t *testing.T) {
	t.Parallel()
	ln := loopback(t)
	_ = ln.Close()
	if err := listen.HTTP(t.Context(), ln, &http.Server{}, grace); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed listener is told as %v", err)
	}
}

// flaky fails the first Accept as a process without free descriptors does.
type flaky struct {
	net.Listener
	failed bool
}

func (f *flaky) Accept() (net.Conn, error) {
	if !f.failed {
		f.failed = true
		return nil, errors.New("too many open files")
	}
	return f.Listener.Accept()
}

// TestConns: a fault passes, who is not admitted is cut off, who is gets f, and f has
// ended when Conns returns.
func TestConns(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	ln := &flaky{Listener: loopback(t)}
	refused := false
	admit := func(net.Conn) error {
		if !refused {
			refused = true
			return errors.New("a stranger")
		}
		return nil
	}
	ended := false
	served := make(chan error, 1)
	go func() {
		served <- listen.Conns(ctx, ln, admit, slog.New(slog.DiscardHandler), func(c net.Conn) {
			_, _ = io.WriteString(c, "hello")
			_ = c.Close()
			<-ctx.Done()
			ended = true
		})
	}()
	for _, want := range []string{"", "hello"} {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(c)
		_ = c.Close()
		if string(got) != want {
			t.Errorf("a caller reads %q, want %q", got, want)
		}
	}
	cancel()
	if err := <-served; err != nil || !ended {
		t.Errorf("stopped with %v, f ended: %v", err, ended)
	}
}

// brink is told to stop while it accepts.
type brink struct {
	stop   func()
	closed atomic.Bool
	net.Listener
}

func (b *brink) Accept() (net.Conn, error) {
	b.stop()
	return nil, errors.New("interrupted")
}

func (b *brink) Close() error {
	b.closed.Store(true)
	return nil
}

// TestConnsHasClosedItsListener: whoever listens again at once finds the address free.
func TestConnsHasClosedItsListener(t *testing.T) {
	t.Parallel()
	for range 1000 {
		ctx, cancel := context.WithCancel(t.Context())
		ln := &brink{stop: cancel}
		if err := listen.Conns(ctx, ln, nil, slog.New(slog.DiscardHandler), func(net.Conn) {}); err != nil || !ln.closed.Load() {
			t.Fatalf("stopped with %v, its listener is closed: %v", err, ln.closed.Load())
		}
	}
}

func TestConnsTellsAClosedListener(t *testing.T) {
	t.Parallel()
	ln := loopback(t)
	_ = ln.Close()
	if err := listen.Conns(t.Context(), ln, nil, slog.New(slog.DiscardHandler), func(net.Conn) {}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed listener is told as %v", err)
	}
}
