// Package ofrep answers feature flags over HTTP in the OpenFeature Remote
// Evaluation Protocol (OFREP, OpenAPI 0.3.0): one flag for a server, all public
// flags for a page, and event streams that tell pages of a change.
//
// A lifeboat beside an application (package replica) is handed the flags themselves.
//
// It is not a flag system: package feature decides what a flag comes to, and a
// View carries the answers as finished bytes, so that a request costs one map
// look-up, or one rule where a flag has one. It never asks a store, never writes,
// and logs nothing of a request. Package answer calls Set whenever a manifest is
// taken.
//
// Invariants: a known flag is always answered with an explicit value, or with an
// error that says what the question lacks; an answer has a Content-Length and is
// written at once, because clients have been seen to wait for ever for the rest of
// a body; who can't be served now is told so at once; one flag never spoils the
// others; what is kept of clients is bounded and holds nothing that they sent.
//
// Concurrency: everything may be called from any goroutine. A stream is a request
// of its own and ends with its client, with Serve's context, or when it is too slow.
package ofrep

import (
	"context"
	"hash/maphash"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"lifeboat/internal/feature"
	"lifeboat/internal/listen"
)

// RevisionHeader names the response header that says which manifest the answer
// is true for, as EPOCH.REVISION.
const RevisionHeader = "Lifeboat-Revision"

// MaxBody is the most bytes that a request's body may have.
const MaxBody = 64 << 10

// Options of a Server. The zero value is useful.
type Options struct {
	Logger     *slog.Logger     // where faults of connections go, at level debug; nil: nowhere
	MaxConns   int              // connections held at once, streams among them; 12288 when 0, or three quarters of the files that the process may open
	MaxStreams int              // event streams held at once; 10240 when 0, or five sixths of the connections
	MaxBusy    int              // rules and sets evaluated at once; 256 when 0
	Heartbeat  time.Duration    // between two signs of life on a stream; 15s when 0
	Now        func() time.Time // time.Now when nil
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxConns <= 0 {
		o.MaxConns = min(12_288, filesAllowed()*3/4)
	}
	if o.MaxStreams <= 0 {
		o.MaxStreams = min(10_240, max(1, o.MaxConns*5/6)) // questions find room beside them
	}
	if o.MaxBusy <= 0 {
		o.MaxBusy = 256
	}
	if o.Heartbeat <= 0 {
		o.Heartbeat = 15 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Server answers from the View that was set last.
type Server struct {
	opts   Options
	view   atomic.Pointer[View]
	access atomic.Pointer[access]
	busy   atomic.Int64
	counts counters
	seed   maphash.Seed
	heard  [3]clients // by audience

	mu      sync.Mutex // guards what follows
	news    [3]news    // by audience
	streams map[*stream]struct{}
}

// New makes a Server that answers 503 until Set is called.
func New(o Options) *Server {
	s := &Server{opts: o.withDefaults(), seed: maphash.MakeSeed(), streams: map[*stream]struct{}{}}
	s.Allow(feature.Access{})
	return s
}

// Set changes what is answered, from the next request on, and tells the streams
// whose flags changed by it.
func (s *Server) Set(v *View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.Store(v)
	now := s.opts.Now()
	for _, a := range listening {
		if !s.news[a].came(v.sets[a].digest, v.revision, now) {
			continue
		}
		for st := range s.streams {
			if st.who.audience == a {
				st.wake()
			}
		}
	}
}

// Allow changes who may ask, from the next request on. Streams that are open stay.
func (s *Server) Allow(a feature.Access) { s.access.Store(compileAccess(a)) }

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
// three seconds; streams end at once. It closes ln. It returns nil after a stop by
// ctx.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.opts.Logger.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
	}
	return listen.HTTP(ctx, newShedder(ln, s.opts.MaxConns, &s.counts.shed), srv, stopTimeout)
}

// Counts are how often each kind of answer was given since the start.
type Counts struct {
	Answered    uint64 // a flag's value
	Unknown     uint64 // no such flag
	Refused     uint64 // the request was wrong
	NotReady    uint64 // before the first View
	Bulk        uint64 // all flags at once
	NotModified uint64 // all flags at once, and the client has them
	Denied      uint64 // no key, or not a good one
	Limited     uint64 // a key asked too often
	Shed        uint64 // too busy
	Streams     uint64 // streams that were opened
	Told        uint64 // changes told to streams
	Copied      uint64 // flags handed to copies
}

type counters struct {
	answered, unknown, refused, notReady, bulk, notModified, denied, limited, shed, streams, told, copied atomic.Uint64
}

// Counts reads the counters.
func (s *Server) Counts() Counts {
	c := &s.counts
	return Counts{
		Answered: c.answered.Load(), Unknown: c.unknown.Load(), Refused: c.refused.Load(), NotReady: c.notReady.Load(),
		Bulk: c.bulk.Load(), NotModified: c.notModified.Load(), Denied: c.denied.Load(), Limited: c.limited.Load(),
		Shed: c.shed.Load(), Streams: c.streams.Load(), Told: c.told.Load(),
		Copied: c.copied.Load(),
	}
}
