// Package ofrep answers feature flags over HTTP in the OpenFeature Remote
// Evaluation Protocol (OFREP, OpenAPI 0.3.0): one flag at a time in this version.
//
// It is not a flag system: package feature decides what a flag comes to, and a
// View carries the answers as finished bytes, so that a request costs one map
// look-up. It never asks a store, never writes, and logs nothing of a request.
// Package answer calls Set whenever a manifest is taken.
//
// Invariants: a known flag is always answered with an explicit value; an answer
// has a Content-Length and is written at once, because clients have been seen to
// wait for ever for the rest of a body.
//
// Concurrency: everything may be called from any goroutine.
package ofrep

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"

	"lifeboat/internal/listen"
)

// RevisionHeader names the response header that says which manifest the answer
// is true for, as EPOCH.REVISION.
const RevisionHeader = "Lifeboat-Revision"

// MaxBody is the most bytes that a request's body may have.
const MaxBody = 64 << 10

// Options of a Server. The zero value is useful.
type Options struct {
	Logger   *slog.Logger // where faults of connections go, at level debug; nil: nowhere
	MaxConns int          // connections held at once; 1024 when 0
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxConns <= 0 {
		o.MaxConns = 1024
	}
	return o
}

// Server answers from the View that was set last.
type Server struct {
	opts   Options
	view   atomic.Pointer[View]
	counts counters
}

// New makes a Server that answers 503 until Set is called.
func New(o Options) *Server { return &Server{opts: o.withDefaults()} }

// Set changes what is answered, from the next request on.
func (s *Server) Set(v *View) { s.view.Store(v) }

// Handler is the endpoint, for whoever has a listener of their own.
func (s *Server) Handler() http.Handler { return s }

// The waits of a connection. A client that needs longer gets its code's default
// sooner by being cut off.
const (
	headerTimeout = 2 * time.Second
	readTimeout   = 5 * time.Second
	writeTimeout  = 5 * time.Second
	idleTimeout   = 2 * time.Minute // evaluations come in bursts: a client keeps its connection
	stopTimeout   = 3 * time.Second
	maxHeader     = 16 << 10
)

// Serve answers on ln until ctx ends, then finishes what is under way for at most
// three seconds. It closes ln. It returns nil after a stop by ctx.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.opts.Logger.Handler(), slog.LevelDebug),
	}
	return listen.HTTP(ctx, netutil.LimitListener(ln, s.opts.MaxConns), srv, stopTimeout)
}

// Counts are how often each kind of answer was given since the start.
type Counts struct {
	Answered uint64 // a flag's value
	Unknown  uint64 // no such flag
	Refused  uint64 // the request was wrong, or asked for what this version lacks
	NotReady uint64 // before the first View
}

type counters struct{ answered, unknown, refused, notReady atomic.Uint64 }

// Counts reads the counters.
func (s *Server) Counts() Counts {
	return Counts{
		Answered: s.counts.answered.Load(),
		Unknown:  s.counts.unknown.Load(),
		Refused:  s.counts.refused.Load(),
		NotReady: s.counts.notReady.Load(),
	}
}
