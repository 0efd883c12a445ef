package authdns

import (
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"lifeboat/internal/ratelimit"
)

// Options are what a Server is made with. The zero value is useful.
type Options struct {
	Logger       *slog.Logger     // told of what happens to sockets, and of samples of queries (Settings.QueryLog); nil: nothing
	Now          func() time.Time // for the deadlines of TCP connections; nil: time.Now
	TCPConns     int              // connections at once, 200 when 0
	TCPPerClient int              // connections at once from one network (ratelimit.Network), 20 when 0
	TCPIdle      time.Duration    // how long a connection may take for one query or answer, 10 s when 0
	TCPTime      time.Duration    // how long a connection may last in all, 2 min when 0
	TCPBytes     int              // octets of answers that a connection may take, 1 MiB when 0
	MaxQuerySize int              // octets of a query over TCP, 4096 when 0; a longer one ends the connection

	Peers Peers // takes transfers, notifies and what is signed with TSIG; nil: these are refused

	PlainUDP      bool              // one packet a system call, as where no batches are known
	RateLimit     ratelimit.Options // these four are the Settings to begin with
	NSID          string
	RequireCookie bool
	QueryLog      int
}

// Settings are what Configure may change while a Server serves.
type Settings struct {
	// RateLimit is for answers over UDP, whose clients can lie about their address.
	// Each socket counts for itself. The zero value is NSD's limit, this machine
	// being exempt.
	RateLimit ratelimit.Options
	NSID      string // tells whoever asks which server answered (RFC 5001); nothing when empty, MaxNSID octets at most are told

	// RequireCookie answers a client that speaks cookies with BADCOOKIE over UDP,
	// until it brings one of ours, so that nobody can ask in its name. For times of
	// an attack: it costs each such client a second query. Clients without cookies
	// are answered as ever. Without a secret it does nothing.
	RequireCookie bool

	// QueryLog is how many lines a second at most tell of what was asked; 0: none. It
	// is a sample, told a moment later, without the client's whole address.
	QueryLog int
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.TCPConns <= 0 {
		o.TCPConns = 200
	}
	if o.TCPPerClient <= 0 {
		o.TCPPerClient = 20
	}
	if o.TCPIdle <= 0 {
		o.TCPIdle = 10 * time.Second
	}
	if o.TCPTime <= 0 {
		o.TCPTime = 2 * time.Minute
	}
	if o.TCPBytes <= 0 {
		o.TCPBytes = 1 << 20
	}
	if o.MaxQuerySize <= 0 {
		o.MaxQuerySize = 4096
	}
	return o
}

// Server answers queries from the View that was last set.
type Server struct {
	options  Options
	settings atomic.Pointer[Settings] // in force; never nil
	view     atomic.Pointer[View]
	shards   [shards]counters
	next     atomic.Uint32 // the shard that the next serving goroutine takes
	conns    connLimit
	asked    asked
	secrets  atomic.Pointer[[]CookieSecret] // nil: no cookies
}

// New makes a server that answers SERVFAIL until Set is called.
func New(o Options) *Server {
	s := &Server{options: o.withDefaults()}
	s.conns.init(s.options.TCPConns, s.options.TCPPerClient)
	for i := range s.shards {
		s.shards[i].ring = new(ring)
		s.shards[i].ring.mask.Store(neverMask)
	}
	s.Configure(Settings{RateLimit: o.RateLimit, NSID: o.NSID, RequireCookie: o.RequireCookie, QueryLog: o.QueryLog})
	return s
}

// Configure puts settings in force for every query from now on. A socket whose rate
// limit changes begins to count anew, with the packets that it reads next.
func (s *Server) Configure(set Settings) {
	set.NSID = set.NSID[:min(len(set.NSID), MaxNSID)]
	set.RateLimit.Exempt = slices.Clone(set.RateLimit.Exempt) // nil stays nil
	s.settings.Store(&set)
}

// Set puts a view in force for every query from now on. A nil view is passed
// over: a server never forgets what it can answer.
func (s *Server) Set(v *View) {
	if v != nil {
		s.view.Store(v)
	}
}

// View is the view in force, nil before the first Set.
func (s *Server) View() *View { return s.view.Load() }

// Handle answers one query: the answer is written to dst, which is grown where
// it is too small and MUST NOT overlap the query. nil means that no answer is
// given. It is what the sockets do, but for cookies, which need to know the client;
// it may be called by anybody.
func (s *Server) Handle(dst, query []byte, udp bool) []byte {
	return s.handleFrom(&worker{counters: &s.shards[0]}, dst, query, netip.Addr{}, udp)
}

// handleFrom answers a client, which may be unknown. It survives a panic: one bad
// query must not take the others' answers away.
func (s *Server) handleFrom(c *worker, dst, msg []byte, client netip.Addr, udp bool) (out []byte) {
	defer func() {
		if recover() != nil {
			c.panics.Add(1)
			out = bare(dst, msg, rcodeServFail)
			c.rcodes[rcodeServFail].Add(1)
			c.class = classOf(rcodeServFail)
		}
	}()
	c.number = c.queries.Add(1)
	c.opt, c.proven = 0, false
	code, ok, drop := accept(msg, s.options.Peers != nil)
	if drop {
		c.malformed.Add(1)
		c.dropped.Add(1)
		return nil
	}
	if !ok {
		if code == rcodeFormErr {
			c.malformed.Add(1)
		}
		c.rcodes[code].Add(1)
		c.class = classOf(code)
		return bare(dst, msg, code)
	}
	if isNotify(msg) {
		return s.servePeer(c, dst, msg, client, udp)
	}
	return s.answer(c, dst, msg, client, udp)
}

func (s *Server) answer(c *worker, dst, msg []byte, client netip.Addr, udp bool) []byte {
	var q query
	code := q.parse(msg)
	if q.end == 0 {
		c.malformed.Add(1)
		c.rcodes[rcodeFormErr].Add(1)
		c.class = classOf(rcodeFormErr)
		return bare(dst, msg, rcodeFormErr)
	}
	if s.options.Peers != nil && code == rcodeNoError && (q.signed || q.typ == typeAXFR || q.typ == typeIXFR) {
		return s.servePeer(c, dst, msg, client, udp)
	}
	var m message
	var x extras
	set := s.settings.Load()
	known := s.extras(&x, &q, set.NSID, client, udp)
	c.proven = known
	m.start(dst, msg, &q, &x, q.limit(udp))
	v := s.view.Load()
	var flags byte
	a := answer{v: v, m: &m, client: client, typ: q.typ, zone: none}
	switch {
	case code == rcodeFormErr:
		c.malformed.Add(1)
	case code != rcodeNoError:
	case x.cookies && !known && udp && set.RequireCookie:
		code = rcodeBadCook
	case q.end == headerSize: // a cookie is all that was asked for
	case v == nil:
		code, x.extended = rcodeServFail, errNotReady
	case q.class != classIN || q.typ == typeAXFR || q.typ == typeIXFR:
		code, x.extended = rcodeRefused, errNotSupported
	default:
		a.do = q.do
		a.write(q.labels)
		code = a.rcode
		if a.aa {
			flags |= flagAA
		}
		if code == rcodeRefused {
			x.extended = errNotAuthority
		}
	}
	c.class = a.class(code)
	if m.short {
		c.truncated.Add(1)
		m.cut()
		flags |= flagTC
	}
	c.rcodes[code].Add(1)
	if q.end > headerSize {
		c.sampled(&q, msg[headerSize:q.end-4], client, code, udp)
	}
	reply := m.finish(&q, &x, code, flags)
	c.opt = len(reply) - len(m.buf)
	return reply
}
