// Package standby is the alternate web server: it answers at the site's own names
// during a crisis, to those who come late after the return, and at the status
// page's own name at all times.
//
// It decides who asked (the host name), which position that site is ordered to
// (the View) and which of the finished answers is sent. It is not the page
// (package statuspage writes it), it proxies nothing, and it renders nothing in a
// request: the caller compiles a View on every change and, because ages are
// written into the page, at least every five seconds. But for what one visitor filled in
// or owns, a subscription, whose pages are made as they are asked for, a bounded number
// of them a minute. Only package answer runs it.
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
	"log"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"lifeboat/internal/listen"
	"lifeboat/internal/subscribe"
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
	maxStreams  = 32 // requests under way on one HTTP/2 connection
)

// Options of a Server. The zero value is useful.
type Options struct {
	Logger     *slog.Logger     // where faults of connections go; nil: nowhere
	Now        func() time.Time // time.Now when nil
	MaxConns   int              // connections held at once, of all listeners; DefaultMaxConns when 0
	PerAddress int              // of them for one IPv4 address or IPv6 /64; a sixteenth of MaxConns when 0. This machine's own are not counted
	Handshakes int              // TLS handshakes that may wait for the processor; 1024 for each when 0

	// Subscribe asks control what somebody wants who subscribes at a status page. It MUST
	// return within a few seconds; nil: nobody can be asked.
	Subscribe func(ctx context.Context, a subscribe.Ask) subscribe.Told
}

// DefaultMaxConns is what fits into about 400 MB: a connection over TLS takes 35 KiB.
const DefaultMaxConns = 12 << 10

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxConns <= 0 {
		o.MaxConns = DefaultMaxConns
	}
	if o.PerAddress <= 0 {
		o.PerAddress = max(o.MaxConns/16, 1)
	}
	if o.Handshakes <= 0 {
		o.Handshakes = 1024 * runtime.GOMAXPROCS(0)
	}
	return o
}

// Server answers from the View that was set last.
type Server struct {
	opts    Options
	current atomic.Pointer[current]
	strays  atomic.Uint64 // requests for names that are not ours
	crowd   crowd
	gate    gate
	keys    keys
	gripes  gripes

	tries    *tries        // of passwords
	begins   *turns        // of those who subscribe
	links    *turns        // of those who come with a subscription's link
	setting  sync.Mutex    // held by Set, so that no counter is made twice
	turnedMu sync.Mutex    // guards turned
	turned   chan struct{} // closed and made anew when a site has gone home
}

// current is a View with the counters of its sites.
type current struct {
	hosts  map[string]target
	sites  map[string]kind
	counts map[string]*counter

	keeping sync.Mutex                          // held while kept is changed
	kept    atomic.Pointer[map[string]*readied] // answers to ordinary requests (quick.go)
}

type target struct {
	*host
	marker []string
	count  *counter
}

// New makes a Server that answers 503 to everybody until Set is called.
func New(o Options) *Server {
	o = o.withDefaults()
	s := &Server{opts: o, turned: make(chan struct{}), tries: newTries(), begins: newTurns(beginsEach, beginsEachIn, beginsAll), links: newTurns(linksEach, linksEachIn, linksAll)}
	s.crowd = newCrowd(o.MaxConns, o.PerAddress)
	s.gate = newGate(o.Handshakes)
	s.gripes = gripes{log: o.Logger, now: o.Now}
	return s
}

func (s *Server) now() time.Time { return s.opts.Now() }

// Set changes what is answered, from the next request on. Counters of sites that
// are still there go on; those of sites that are gone are dropped. Where a site has
// left the standby, idle connections are ended (HTTP/2: GOAWAY), so that who held one
// looks the name up again.
func (s *Server) Set(v *View) {
	s.setting.Lock()
	defer s.setting.Unlock()
	old := s.current.Load()
	c := &current{hosts: make(map[string]target, len(v.hosts)), sites: v.sites, counts: map[string]*counter{}}
	c.kept.Store(&map[string]*readied{})
	for name, h := range v.hosts {
		n := c.counts[h.site]
		if n == nil && old != nil {
			n = old.counts[h.site]
		}
		if n == nil {
			n = &counter{}
		}
		c.counts[h.site] = n
		c.hosts[name] = target{h, []string{h.site}, n}
	}
	s.current.Store(c)
	if old != nil && left(old.sites, c.sites) {
		s.turn()
	}
}

// left says whether a site has left the standby.
func left(before, now map[string]kind) bool {
	for site, k := range before {
		if k == inFailover && now[site] != inFailover {
			return true
		}
	}
	return false
}

func (s *Server) turn() {
	s.turnedMu.Lock()
	defer s.turnedMu.Unlock()
	close(s.turned)
	s.turned = make(chan struct{})
}

func (s *Server) whenTurned() <-chan struct{} {
	s.turnedMu.Lock()
	defer s.turnedMu.Unlock()
	return s.turned
}

// Handler is the standby for whoever has a listener of their own.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// Serve answers on ln until ctx ends, then finishes what is under way for at most
// five seconds. It closes ln. It returns nil after a stop by ctx.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	return s.serveFront(ctx, s.newFront(ln, nil))
}

// settleTime is how long a server that takes no connection any more goes on: the request
// of one that it took last is on its way, and a server that is ending answers none.
const settleTime = 500 * time.Millisecond

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// serveFront serves with one HTTP server after the other: the one before ends its idle
// connections when a site has gone home.
func (s *Server) serveFront(ctx context.Context, f *front) error {
	defer f.close()
	var olds sync.WaitGroup
	defer olds.Wait()
	for {
		inner, stop := context.WithCancel(ctx)
		turned, done := s.whenTurned(), make(chan error, 1)
		if _, wakes := f.ln.(deadliner); !wakes {
			turned = nil
		}
		lease := f.lease()
		olds.Go(func() { // ends with inner
			q := s.quick(lease)
			err := listen.HTTP(inner, q, s.httpServer(), stopTimeout)
			q.finish(stopTimeout)
			done <- err
		})
		select {
		case err := <-done:
			stop()
			return err
		case <-ctx.Done():
			stop()
			return <-done
		case <-turned:
			lease.end()
			select {
			case <-lease.left:
			case err := <-done:
				stop()
				if err != nil {
					return err
				}
			}
			olds.Go(func() { // ends with ctx
				defer stop()
				pause(ctx, settleTime)
			})
		}
	}
}

func (s *Server) httpServer() *http.Server {
	return &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    MaxHeader,
		ConnContext:       withConn,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerConnection: 1 << 20, MaxReceiveBufferPerStream: MaxBody},
		ErrorLog:          log.New(&s.gripes, "", 0),
	}
}

// crowded: more than half of the connections are taken. Then none is kept after
// its answer, since a visitor needs one answer and the next visitor a connection.
func (s *Server) crowded() bool { return s.crowd.open.Load() > int64(s.opts.MaxConns)/2 }

// Count is what was answered at a site's names since the start.
type Count struct {
	Failover uint64 // visitors' requests while the site was ordered to the standby
	Late     uint64 // visitors' requests while it was ordered elsewhere
	Status   uint64 // requests at the status page's own name
	Checks   uint64 // our own checks, and those of monitors at paths that are named as theirs
	Waiting  uint64 // questions of open pages whether they may come back
}

type counter struct{ failover, late, status, checks, waiting atomic.Uint64 }

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
		counts[site] = Count{n.failover.Load(), n.late.Load(), n.status.Load(), n.checks.Load(), n.waiting.Load()}
	}
	return counts
}

// Strays counts requests for names that are not ours.
func (s *Server) Strays() uint64 { return s.strays.Load() }

// Load is how the door is doing.
type Load struct {
	Open       uint64 // connections held now
	Full       uint64 // connections refused since the start, because all were taken
	Greedy     uint64 // because one address had its share
	Shed       uint64 // because too many handshakes waited for the processor
	Unasked    uint64 // connections that ended without a request that could be read
	Handshakes uint64 // TLS handshakes that were finished
	Unknown    uint64 // TLS handshakes for names without a certificate
}

// Load reads the counters of connections.
func (s *Server) Load() Load {
	return Load{
		Open: uint64(max(s.crowd.open.Load(), 0)), Full: s.crowd.full.Load(), Greedy: s.crowd.greedy.Load(), Shed: s.gate.shed.Load(),
		Unasked: s.crowd.unasked.Load(), Handshakes: s.keys.handshakes.Load(), Unknown: s.keys.unknown.Load(),
	}
}
