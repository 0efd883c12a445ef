// Package ratelimit keeps a server whose clients can lie about their address from
// being used against others: it counts the answers to each network by their class,
// and says of each answer whether it may go out whole (response rate limiting, as
// NSD and BIND do it).
//
// It is no protection of the server itself, which has done its work when it asks,
// and no limit for connections, whose clients have proved their address. It knows
// nothing of DNS: a class is a number. Package authdns may import it.
//
// Invariants: the table has a fixed size, a flood of made-up networks can't grow it;
// what one network sends never changes what another gets, short of a hash that they
// share, which nobody outside can arrange; nothing is allocated after New.
//
// The count is NSD's: answers of this second and half of what went before, so that
// twice the rate is what a steady client at the rate comes to, and a network that
// was silent may take twice the rate at once. As long as a network asks on above the
// rate, all its answers of the class are over it.
//
// Concurrency: a *Limiter belongs to one goroutine, and takes no lock. A server has
// one for each socket that it reads, and each counts for itself.
package ratelimit

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"time"
)

// Options are what a Limiter is made with. The zero value is NSD's.
type Options struct {
	Rate     int            // answers a second to one network and class: 200 when 0, without limit when negative
	Slip     int            // of the answers over the rate each so many'th is cut, so that who is really there can ask over TCP: 2 when 0, none when negative
	Networks int            // how many pairs of network and class are counted at once: 32,768 when 0, 16 octets each
	Exempt   []netip.Prefix // networks without a limit: our own, this machine's when nil
}

// Loopback is this machine, the Exempt of a zero Options.
var Loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// Verdict is what becomes of an answer.
type Verdict uint8

// The verdicts.
const (
	Send Verdict = iota // as it is
	Cut                 // without records, marked as truncated
	Drop                // not at all
)

// Class is a kind of answer, as fine as the caller likes: what a reflected flood
// can't leave by asking for something slightly different.
type Class uint64

// bucket counts the answers to one network and class.
type bucket struct {
	tag    uint32 // of the hash that the set does not stand for; 0: never used
	second uint32 // of count, since the limiter began
	count  uint32 // answers in that second
	before uint32 // what went before it, each second weighing half of the next
}

// ways is how many buckets a hash can lie in: a cache line of them.
const ways = 4

type set [ways]bucket

// Limiter counts.
type Limiter struct {
	limit  uint32 // twice the rate; 0: no limit
	slip   uint32
	exempt []netip.Prefix
	seed   maphash.Seed
	sets   []set
	start  time.Time
	second uint32
}

// New makes a limiter.
func New(o Options) *Limiter {
	l := &Limiter{seed: maphash.MakeSeed(), exempt: o.Exempt}
	switch {
	case o.Rate == 0:
		l.limit = 2 * 200
	case o.Rate > 0:
		l.limit = 2 * uint32(min(o.Rate, 1<<30))
	}
	switch {
	case o.Slip == 0:
		l.slip = 2
	case o.Slip > 0:
		l.slip = uint32(min(o.Slip, 1<<30))
	}
	if o.Networks <= 0 {
		o.Networks = 1 << 15 // a table that a core's cache holds
	}
	if o.Exempt == nil {
		l.exempt = Loopback
	}
	if l.limit > 0 {
		n := 1
		for n*ways < min(o.Networks, 1<<26) {
			n *= 2
		}
		l.sets = make([]set, n)
	}
	return l
}

// Tick tells the time, by which all answers count until the next Tick. Seconds are
// fine enough: a caller ticks once for a batch. A clock that is set back only makes
// the second at hand a longer one.
func (l *Limiter) Tick(now time.Time) {
	if l.start.IsZero() {
		l.start = now
	}
	l.second = max(l.second, uint32(max(0, now.Sub(l.start)/time.Second)))
}

// Network is what a client is counted by: /24 for IPv4 and /64 for IPv6, what one
// household or firm has at least. An IPv4 address mapped into IPv6 is IPv4.
func Network(client netip.Addr) netip.Prefix {
	client = client.Unmap()
	bits := 64
	if client.Is4() {
		bits = 24
	}
	p, _ := client.WithZone("").Prefix(bits) // fails for no address, which is a network of its own
	return p
}

// Check counts an answer and says what becomes of it.
func (l *Limiter) Check(client netip.Addr, class Class) Verdict {
	if l.limit == 0 {
		return Send
	}
	client = client.Unmap()
	for _, p := range l.exempt {
		if p.Contains(client) {
			return Send
		}
	}
	b := l.bucket(l.hash(client, class))
	if l.add(b) < l.limit {
		return Send
	}
	if l.slip > 0 && b.count%l.slip == 0 {
		return Cut
	}
	return Drop
}

// hash is of a client's network, the same as Network's, and the class.
func (l *Limiter) hash(client netip.Addr, class Class) uint64 {
	var b [17]byte
	if client.Is4() {
		a := client.As4()
		copy(b[:], a[:3])
		b[16] = 4
	} else {
		a := client.As16()
		copy(b[:], a[:8])
	}
	binary.NativeEndian.PutUint64(b[8:], uint64(class))
	return maphash.Bytes(l.seed, b[:])
}

// bucket finds the bucket of a hash. Where there is none, it takes that of the set
// which counts least, so that made-up networks do not wipe out one under attack.
func (l *Limiter) bucket(hash uint64) *bucket {
	s := &l.sets[hash&uint64(len(l.sets)-1)]
	tag := uint32(hash>>32) | 1
	least, fewest := 0, ^uint32(0)
	for i := range s {
		if s[i].tag == tag {
			return &s[i]
		}
		if n := l.weight(&s[i]); n < fewest {
			least, fewest = i, n
		}
	}
	s[least] = bucket{tag: tag, second: l.second}
	return &s[least]
}

// weight is how much a bucket counts by now.
func (l *Limiter) weight(b *bucket) uint32 {
	return (b.count + b.before/2) >> min(l.second-b.second, 31)
}

// add counts an answer, and gives what the network comes to.
func (l *Limiter) add(b *bucket) uint32 {
	switch passed := l.second - b.second; {
	case passed == 0:
		b.count++
	case passed == 1:
		b.before = b.before/2 + b.count
		b.count, b.second = 1, l.second
	default:
		b.before = b.count >> min(passed, 31)
		b.count, b.second = 1, l.second
	}
	return max(b.count+b.before/2, b.before)
}
