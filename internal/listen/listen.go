// Package listen runs what answers on a listener until a context ends: an HTTP
// server, or a function for each connection.
//
// It knows no protocol of ours and opens no socket; whoever calls it has the
// listener, and gives it up to be closed. Both planes use it.
//
// Concurrency: every call stands alone; when it returns, what it started has ended
// (of HTTP: but for handlers that take longer than the grace).
package listen

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// HTTP serves srv on ln until ctx ends, then lets requests under way finish for at
// most grace and cuts off what is left. It closes ln. It returns nil after a stop by
// ctx.
func HTTP(ctx context.Context, ln net.Listener, srv *http.Server, grace time.Duration) error {
	stopped := make(chan struct{})
	ended, end := context.WithCancel(ctx)
	// Ends with ctx or, when Serve fails by itself, by end.
	go func() {
		defer close(stopped)
		<-ended.Done()
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		if srv.Shutdown(limit) != nil {
			_ = srv.Close()
		}
	}()
	err := srv.Serve(ln)
	end()
	<-stopped
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// retryAccept is how long Conns waits after a connection could not be accepted.
const retryAccept = 100 * time.Millisecond

// Conns calls f in a goroutine of its own for each connection that admit lets in
// (nil: everybody), until ctx ends; it returns when every f has. f closes the
// connection and is to end with its own deadline or with ctx. Conns closes ln. It
// returns nil after a stop by ctx, and net.ErrClosed when somebody else closed ln;
// every other fault passes: too many open files, for example.
func Conns(ctx context.Context, ln net.Listener, admit func(net.Conn) error, log *slog.Logger, f func(net.Conn)) error {
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer func() { _ = ln.Close() }() // stop may have come before what it stops had begun
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = c.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			log.Error("a connection could not be accepted", "cause", err)
			select {
			case <-ctx.Done():
			case <-time.After(retryAccept):
			}
			continue
		}
		if admit != nil {
			if err := admit(c); err != nil {
				log.Warn("a connection was refused", "cause", err)
				_ = c.Close()
				continue
			}
		}
		wg.Go(func() { f(c) })
	}
}
