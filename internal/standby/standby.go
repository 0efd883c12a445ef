// Package standby is the alternate web server: it answers at the site's own names
// during a crisis, to those who come late after the return, and at the status
// page's own name at all times.
//
// It decides who asked (the host name), which position that site is ordered to
// (the View) and which of the finished answers is sent. It is not the page
// (package statuspage writes it), it proxies nothing, and it renders nothing in a
// request: the caller compiles a View on every change and, because ages are
// written into the page, at least every five seconds. Only package answer runs it.
//
// Invariants: a production name is answered 503 with the marker header and never
// a cookie, in calm as in a crisis, so that the check "is the standby healthy?" is
// the same before and during; an unknown name learns nothing; no request can make
// the server hold more than MaxHeader of headers, read more than MaxBody of a
// body, or keep a connection beyond its deadlines.
//
// Concurrency: everything may be called from any goroutine. A View is immutable.
package standby

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"

	"lifeboat/internal/listen"
)

// The headers by which the standby and its checkers know each other.
const (
	Marker      = "Lifeboat-Standby" // response: the site's id; on every answer at a production name
	CheckHeader = "Lifeboat-Check"   // request: present on our own checks, which are not counted as visitors
)

// The bounds of a connection.
const (
	MaxHeader = 16 << 10 // bytes of a request's head; net/http grants 4 KiB more
	MaxBody   = 64 << 10 // bytes of a request's body that are read (and thrown away)

	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 10 * time.Second
	// Shorter than the page's refresh, so that an open page comes back over a new
	// connection and so looks the name up again.
	idleTimeout = 15 * time.Second
	stopTimeout = 5 * time.Second
)

// Options of a Server. The zero value is useful.
type Options struct {
	Logger   *slog.Logger // where faults of connections go, at level debug; nil: nowhere
	MaxConns int          // connections held at once; 8192 when 0

	Now func() time.Time // time.Now
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxConns <= 0 {
		o.MaxConns = 8192
	}
	return o
}

// Server answers from the View that was set last.
type Server struct {
	opts    Options
	current atomic.Pointer[current]
	strays  atomic.Uint64 // requests for names that are not ours
	open    atomic.Int64  // connections of Serve

	tries *tries // of passwords

	setting sync.Mutex // held by Set, so that no counter is made twice
}

// current is a View with the counters of its sites.
type current struct {
	hosts  map[string]target
	counts map[string]*counter
}

type target struct {
	*host
	count *counter
}

// New makes a Server that answers 503 to everybody until Set is called.
func New(o Options) *Server { return &Server{opts: o.withDefaults(), tries: newTries()} }

func (s *Server) now() time.Time { return s.opts.Now() }

// Set changes what is answered, from the next request on. Counters of sites that
// are still there go on; those of sites that are gone are dropped.
func (s *Server) Set(v *View) {
	s.setting.Lock()
	defer s.setting.Unlock()
	old := s.current.Load()
	c := &current{hosts: make(map[string]target, len(v.hosts)), counts: map[string]*counter{}}
	for name, h := range v.hosts {
		n := c.counts[h.site]
		if n == nil && old != nil {
			n = old.counts[h.site]
		}
		if n == nil {
			n = &counter{}
		}
		c.counts[h.site] = n
		c.hosts[name] = target{h, n}
	}
	s.current.Store(c)
}

// Handler is the standby for whoever has a listener of their own.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// Serve answers on ln until ctx ends, then finishes what is under way for at most
// five seconds. It closes ln. It returns nil after a stop by ctx.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	return listen.HTTP(ctx, netutil.LimitListener(ln, s.opts.MaxConns), s.httpServer(), stopTimeout)
}

func (s *Server) httpServer() *http.Server {
	return &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    MaxHeader,
		ConnState:         s.connState,
		ErrorLog:          slog.NewLogLogger(s.opts.Logger.Handler(), slog.LevelDebug),
	}
}

// connState counts open connections.
func (s *Server) connState(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.open.Add(-1)
	}
}

// crowded: more than half of the connections are taken. Then none is kept after
// its answer, since a visitor needs one answer and the next visitor a connection.
func (s *Server) crowded() bool { return s.open.Load() > int64(s.opts.MaxConns)/2 }

// Count is what was answered at a site's names since the start.
type Count struct {
	Failover uint64 // visitors' requests while the site was ordered to the standby
	Late     uint64 // visitors' requests while it was ordered elsewhere
	Status   uint64 // requests at the status page's own name
	Checks   uint64 // our own checks
}

type counter struct{ failover, late, status, checks atomic.Uint64 }

// Counts reads every site's counters, by site id.
func (s *Server) Counts() map[string]Count {
	counts := map[string]Count{}
	c := s.current.Load()
	if c == nil {
		return counts
	}
	for site, n := range c.counts {
		if site == "" { // the page of all sites
			continue
		}
		counts[site] = Count{n.failover.Load(), n.late.Load(), n.status.Load(), n.checks.Load()}
	}
	return counts
}

// Strays counts requests for names that are not ours.
func (s *Server) Strays() uint64 { return s.strays.Load() }
