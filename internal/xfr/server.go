package xfr

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lifeboat/internal/authdns"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

// Notified is told of a NOTIFY for a zone, from an address and signed with a key, "" for
// none. It says whether it was for us.
type Notified func(apex string, from netip.Addr, key string) bool

// Server gives zones to their secondaries and tells these when one has changed. It is
// the authdns.Peers of a name server.
type Server struct {
	o     Options
	state atomic.Pointer[state]
	wake  chan struct{} // that there is something to tell

	mu       sync.Mutex // guards what follows; taken by Set, and where a transfer begins and ends
	setup    snapshot.Transfers
	zones    Zones
	heads    map[*zone.Zone]zone.Record // their SOA records: a flip looks for nothing
	running  map[netip.Addr]int
	atOnce   int
	seen     map[pair]Standing
	counters Counts
}

// state is what transfers and signatures are served from. It is never changed.
type state struct {
	keys  map[string]snapshot.TSIGKey
	peers map[string][]snapshot.Peer // by apex
	zones map[string]*history
}

// Counts are what a Server has done since it was made.
type Counts struct {
	Whole    uint64 // zones given away whole (AXFR)
	Changes  uint64 // zones given away as differences (IXFR)
	Refused  uint64 // transfers that were not allowed
	Shed     uint64 // transfers put off because as many as may be were under way
	Broken   uint64 // transfers that nobody took to the end
	Unsigned uint64 // messages whose signature was not good
	Told     uint64 // NOTIFY messages that a secondary has acknowledged
	Untold   uint64 // changes of which a secondary could not be told
	Heard    uint64 // NOTIFY messages taken from primaries
}

// New makes a Server that refuses everything until it has a setup and zones.
func New(o Options) *Server {
	s := &Server{o: o.withDefaults(), wake: make(chan struct{}, 1), running: map[netip.Addr]int{}, seen: map[pair]Standing{}}
	s.state.Store(&state{})
	return s
}

// Configure says with whom zones are exchanged from now on.
func (s *Server) Configure(t snapshot.Transfers) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setup = t
	s.renew()
}

// Set puts zones in force: call it before the View with the same orders is put in force,
// and Tell after. It costs as much as there are sites, and where a zone's text is another
// one as much as comparing the texts.
func (s *Server) Set(z Zones) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zones = z
	s.renew()
}

// Tell has the secondaries told of what they have not heard yet. It does not wait.
func (s *Server) Tell() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Server) renew() { // with mu held
	old := s.state.Load()
	next := &state{keys: map[string]snapshot.TSIGKey{}, peers: map[string][]snapshot.Peer{}, zones: map[string]*history{}}
	for _, k := range s.setup.Keys {
		next.keys[k.Name] = k
	}
	for _, x := range s.setup.Out {
		next.peers[x.Zone] = append(next.peers[x.Zone], x.Peers...)
	}
	heads := map[*zone.Zone]zone.Record{}
	for _, z := range s.zones.Zones {
		if len(next.peers[z.Apex()]) == 0 {
			continue
		}
		head, known := s.heads[z]
		if !known {
			head = headOf(z)
		}
		heads[z] = head
		h, why := old.zones[z.Apex()].next(s.zones.version(z, head))
		if why != "" {
			s.o.Logger.Warn("secondaries may not follow", "component", "xfr", "zone", z.Apex(), "cause", why)
		}
		next.zones[z.Apex()] = h
	}
	s.heads = heads
	s.state.Store(next)
}

// Counts are what was done so far.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counters
}

func (s *Server) count(what func(*Counts)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what(&s.counters)
}

// Serving says whether a zone is given to secondaries, and under which serial.
func (s *Server) Serving(apex string) (serial uint32, ok bool) {
	h := s.state.Load().zones[apex]
	if h == nil {
		return 0, false
	}
	return h.now.serial, true
}

// allowed says whether a zone may be given to an address that has signed with a key, ""
// for none. This is the one place that says so.
func (st *state) allowed(apex string, from netip.Addr, key string) bool {
	return slices.ContainsFunc(st.peers[apex], func(p snapshot.Peer) bool {
		return p.Address.Addr().Unmap() == from.Unmap() && p.Key == key
	})
}

// enter takes one of the places for transfers; false when there is none.
func (s *Server) enter(from netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.atOnce >= s.o.AtOnce || s.running[from] >= s.o.PerPeer {
		s.counters.Shed++
		return false
	}
	s.atOnce++
	s.running[from]++
	return true
}

func (s *Server) leave(from netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.atOnce--
	if s.running[from]--; s.running[from] == 0 {
		delete(s.running, from)
	}
}

// Run tells secondaries of changes until ctx ends.
func (s *Server) Run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	calls := map[pair]call{}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C: // whom something went wrong with is told again
		case <-s.wake:
		}
		s.tellAll(ctx, calls, &all)
	}
}

var _ authdns.Peers = (*Server)(nil)

// apexOf is the zone's name in a question.
func apexOf(name string) string {
	wire, err := zone.Pack(name)
	if err != nil {
		return ""
	}
	return zone.Unpack(wire)
}
