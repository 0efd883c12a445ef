package account

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"sync"
	"time"

	"lifeboat/internal/fault"
)

// How often signing in may be tried in vain. Nobody waits longer than aloneEvery for
// what strangers do elsewhere: once a name's tries are used up, each address still has
// its own few for that name. In a crisis, keeping a person out costs more than a guess
// at a password of twelve characters gives away.
const (
	tries      = 10 // at once: of an address, of a name
	tryEvery   = 6 * time.Second
	alone      = 2 // at once: of an address for a name whose tries are used up
	aloneEvery = 30 * time.Second
	maxBuckets = 4096 // of each sort

	codeTries = 5 // at once, of codes of an app for a name: three of a million are right
	codeEvery = 30 * time.Second

	knownFor = 30 * 24 * time.Hour // from where somebody has signed in
	maxKnown = 4096
)

// TooSoon is in the error of a sign-in that was not looked at because there were too
// many before it.
type TooSoon struct {
	Wait time.Duration // until the next one counts; whole seconds
}

func (t *TooSoon) Error() string { return fmt.Sprintf("the next try counts in %s", t.Wait) }

// doors counts the sign-ins that were tried in vain.
type doors struct {
	now func() time.Time

	mu        sync.Mutex           // guards all below
	addresses buckets              // by address
	names     buckets              // by name
	pairs     buckets              // by name and address
	codes     buckets              // codes of an app, by name: whoever tries them has the password
	recovery  buckets              // of what can't be guessed, by address
	homes     map[string]time.Time // when somebody last signed in from somewhere, by name and address
}

func newDoors(now func() time.Time) *doors {
	return &doors{
		now:       now,
		addresses: buckets{size: tries, every: tryEvery, m: map[string]bucket{}},
		names:     buckets{size: tries, every: tryEvery, m: map[string]bucket{}},
		pairs:     buckets{size: alone, every: aloneEvery, m: map[string]bucket{}},
		codes:     buckets{size: codeTries, every: codeEvery, m: map[string]bucket{}},
		recovery:  buckets{size: tries, every: tryEvery, m: map[string]bucket{}},
		homes:     map[string]time.Time{},
	}
}

// remember notes that somebody has signed in from an address.
func (d *doors) remember(name, from string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := name + " " + address(from)
	if _, again := d.homes[key]; !again && len(d.homes) >= maxKnown {
		for other := range d.homes { // any: it only waits its turn again
			delete(d.homes, other)
			break
		}
	}
	d.homes[key] = d.now()
}

// known says whether somebody of that name has signed in from an address before.
func (d *doors) known(name, from string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, known := d.homes[name+" "+address(from)]
	return known && d.now().Sub(at) < knownFor
}

// try takes one try, or says how long to wait for the next.
func (d *doors) try(name, from string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, host := d.now(), address(from)
	wait := d.addresses.take(host, now)
	if wait == 0 && d.names.take(name, now) > 0 {
		wait = d.pairs.take(name+" "+host, now)
	}
	if wait == 0 {
		return nil
	}
	return tooSoon(wait)
}

func tooSoon(wait time.Duration) error {
	soon := &TooSoon{Wait: time.Duration(math.Ceil(wait.Seconds())) * time.Second}
	return fault.New(fault.Denied, "too many tries to sign in").Because(soon).WithHint("wait %s, then try again", soon.Wait)
}

// tryCode takes one try of a code of an app. Its limit is the name's, from wherever it is
// tried; a recovery code or a passkey is not held up by it.
func (d *doors) tryCode(name, from string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	wait := d.recovery.take(address(from), now)
	if wait == 0 {
		wait = d.codes.take(name, now)
	}
	if wait == 0 {
		return nil
	}
	return tooSoon(wait)
}

// forgiveCode gives it back.
func (d *doors) forgiveCode(name, from string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.recovery.give(address(from))
	d.codes.give(name)
}

// tryRecovery takes one try of what has too many bits to be guessed.
func (d *doors) tryRecovery(from string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if wait := d.recovery.take(address(from), d.now()); wait > 0 {
		return tooSoon(wait)
	}
	return nil
}

// forgiveRecovery gives it back.
func (d *doors) forgiveRecovery(from string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.recovery.give(address(from))
}

// forgive gives a try back: it was not in vain. Many people who sign in from one
// office at once don't stop each other.
func (d *doors) forgive(name, from string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	host := address(from)
	d.addresses.give(host)
	d.names.give(name)
	d.pairs.give(name + " " + host)
}

// address is what of a remote address one person has: of IPv6, all of a /64.
func address(from string) string {
	host, _, err := net.SplitHostPort(from)
	if err != nil {
		host = from
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return ""
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	p, _ := a.Prefix(64) // an IPv6 address has 128 bits
	return p.String()
}

// buckets hold tries, one bucket a key.
type buckets struct {
	size  int
	every time.Duration // brings one try back
	m     map[string]bucket
}

type bucket struct {
	left int
	at   time.Time // left was true
}

// take takes one, or says how long it takes until there is one.
func (b *buckets) take(key string, now time.Time) time.Duration {
	k, known := b.m[key]
	if !known {
		b.makeRoom(now)
		k = bucket{b.size, now}
	}
	k = b.filled(k, now)
	var wait time.Duration
	if k.left > 0 {
		k.left--
	} else {
		wait = b.every - now.Sub(k.at)
	}
	b.m[key] = k
	return wait
}

// filled gives a bucket as it is now.
func (b *buckets) filled(k bucket, now time.Time) bucket {
	more := now.Sub(k.at) / b.every
	switch {
	case more < 0 || now.Before(k.at): // the clock was set back: nobody waits for it to catch up
		k.at = now
	case k.left+int(more) >= b.size:
		return bucket{b.size, now}
	default:
		k.left += int(more)
		k.at = k.at.Add(more * b.every)
	}
	return k
}

// give puts one back.
func (b *buckets) give(key string) {
	if k, known := b.m[key]; known {
		k.left++ // filled sees to the size
		b.m[key] = k
	}
}

// makeRoom forgets the full buckets, which say nothing, and where that is not enough
// any, a quarter of them: better than to lock somebody out, or to forget all when
// somebody floods us.
func (b *buckets) makeRoom(now time.Time) {
	if len(b.m) < maxBuckets {
		return
	}
	for key, k := range b.m {
		if b.filled(k, now).left == b.size {
			delete(b.m, key)
		}
	}
	for key := range b.m {
		if len(b.m) <= maxBuckets*3/4 {
			return
		}
		delete(b.m, key)
	}
}
