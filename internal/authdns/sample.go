package authdns

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lifeboat/internal/ratelimit"
	"lifeboat/internal/zone"
)

// What is told of queries comes from samples: a serving goroutine puts every query, or
// under load one of many, into a ring, and another one takes them out and counts. A
// sample stands for as many queries as were passed over for it, so that figures are
// exact in calm and estimates under load.

// Bounds of the samples.
const (
	ringSize   = 64 // samples of one goroutine that wait
	takeEach   = 250 * time.Millisecond
	maxAsked   = 1000    // names with types that are counted
	mostPassed = 1 << 20 // a sample stands for so many queries at most
	neverMask  = 1<<64 - 1
)

// sample is a query that was answered.
type sample struct {
	weight uint64
	client netip.Addr
	typ    uint16
	rcode  uint16
	udp    bool
	length uint8
	name   [maxName]byte
}

// ring holds the samples of one shard until they are taken. Who finds it busy passes
// on: nobody waits.
type ring struct {
	mask       atomic.Uint64 // a query whose number has none of these bits is a sample; neverMask: none is
	busy       atomic.Bool   // somebody writes
	head, tail atomic.Uint32 // written, taken
	samples    [ringSize]sample
}

// sampled puts the query that was answered last into the ring, if it is its turn.
func (c *worker) sampled(q *query, name []byte, client netip.Addr, rcode uint16, udp bool) {
	r := c.ring
	mask := r.mask.Load()
	if c.number&mask != 0 || mask == neverMask || !r.busy.CompareAndSwap(false, true) {
		return
	}
	if head := r.head.Load(); head-r.tail.Load() < ringSize {
		s := &r.samples[head%ringSize]
		s.weight, s.client, s.typ, s.rcode, s.udp = mask+1, client, q.typ, rcode, udp
		s.length = uint8(copy(s.name[:], name))
		r.head.Store(head + 1)
	}
	r.busy.Store(false)
}

// Asked is how often a name was asked for with a type.
type Asked struct {
	Name    string // absolute, lower case; "" for all that is not there or not ours, and for names that are too many to count
	Type    uint16
	Queries uint64
}

// asked counts.
type asked struct {
	mu     sync.Mutex // guards what follows; never taken by a query
	counts map[askedKey]uint64

	second int64 // of the log's budget
	told   int   // in that second
}

type askedKey struct {
	name string // wire form
	typ  uint16
}

// Asked are the names that were asked for most, up to n with their types, since the
// server was made. Under load the figures are estimates. They are 0 before Serve.
func (s *Server) Asked(n int) []Asked {
	s.asked.mu.Lock()
	defer s.asked.mu.Unlock()
	all := make([]Asked, 0, len(s.asked.counts))
	for k, count := range s.asked.counts {
		a := Asked{Type: k.typ, Queries: count}
		if k.name != "" {
			a.Name = zone.Unpack(k.name)
		}
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b Asked) int {
		return cmp.Or(cmp.Compare(b.Queries, a.Queries), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type))
	})
	return all[:min(n, len(all))]
}

// collect takes samples until the context ends.
func (s *Server) collect(ctx context.Context) {
	for i := range s.shards {
		s.shards[i].ring.mask.CompareAndSwap(neverMask, 0)
	}
	tick := time.NewTicker(takeEach)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.takeSamples()
			return
		case <-tick.C:
			s.takeSamples()
		}
	}
}

func (s *Server) takeSamples() {
	log := s.settings.Load().QueryLog
	for i := range s.shards {
		r := s.shards[i].ring
		head, tail := r.head.Load(), r.tail.Load()
		for at := tail; at != head; at++ {
			one := &r.samples[at%ringSize]
			s.asked.add(one)
			if log > 0 {
				s.tell(one, log)
			}
		}
		r.tail.Store(head)
		r.adapt(head - tail)
	}
}

// adapt samples fewer queries where the ring was filled, and more where it was hardly
// used.
func (r *ring) adapt(taken uint32) {
	switch mask := r.mask.Load(); {
	case taken >= ringSize/2 && mask < mostPassed-1:
		r.mask.Store(mask*8 + 7)
	case taken < ringSize/32 && mask > 0:
		r.mask.Store(mask >> 1)
	}
}

// add counts a sample. What is not there goes without its name, which anybody can make
// up; where there are too many names, one of those that were asked for least makes room.
func (a *asked) add(s *sample) {
	k := askedKey{typ: s.typ}
	if s.rcode == rcodeNoError {
		k.name = string(lower(nil, s.name[:s.length]))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.counts == nil {
		a.counts = map[askedKey]uint64{}
	}
	if _, known := a.counts[k]; !known && len(a.counts) >= maxAsked {
		a.makeRoom()
	}
	a.counts[k] += s.weight
}

// makeRoom drops the least of a few names, in whose place all are counted that were
// dropped.
func (a *asked) makeRoom() { // with mu held
	var least askedKey
	looked := 0
	for k, count := range a.counts { // begins anywhere
		if k.name == "" {
			continue
		}
		if looked == 0 || count < a.counts[least] {
			least = k
		}
		if looked++; looked == 16 {
			break
		}
	}
	a.counts[askedKey{typ: least.typ}] += a.counts[least]
	delete(a.counts, least)
}

// tell logs a sample, within so many lines a second. Of the client only its network
// is told.
func (s *Server) tell(one *sample, most int) {
	now := s.options.Now().Unix()
	if s.asked.second != now {
		s.asked.second, s.asked.told = now, 0
	}
	if s.asked.told++; s.asked.told > most {
		return
	}
	transport := "tcp"
	if one.udp {
		transport = "udp"
	}
	s.options.Logger.Info("a query", "component", "authdns", "client", ratelimit.Network(one.client),
		"name", zone.Unpack(string(one.name[:one.length])), slog.Int("type", int(one.typ)), slog.Int("rcode", int(one.rcode)), "transport", transport, "one_of", one.weight)
}
