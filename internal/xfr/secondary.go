package xfr

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/dnssec"
	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

// SecondaryOptions are what a Secondary is made with.
type SecondaryOptions struct {
	Dir    string           // keeps the last good copies; made with mode 0700
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: nothing is told
	Dial   Dial             // nil: the network's

	// Take puts a change of the copies in force, and MUST then commit it, under the lock
	// under which it looks at Zones. An error means that the copies can't be served
	// together with what else there is: the new one is refused, and what was in force
	// stays. It is called by one goroutine at a time. nil: every change is committed.
	Take func(c Change) error

	Least    time.Duration // between two looks at one primary, whatever the SOA and NOTIFY say; 1 s when 0
	Limit    time.Duration // for one transfer, 5 min when 0
	MaxBytes int64         // of one transfer, 256 MiB when 0
}

func (o SecondaryOptions) withDefaults() SecondaryOptions {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Take == nil {
		o.Take = func(c Change) error { c.Commit(); return nil }
	}
	o.Least = cmp.Or(o.Least, time.Second)
	o.Limit = cmp.Or(o.Limit, 5*time.Minute)
	o.MaxBytes = cmp.Or(o.MaxBytes, 256<<20)
	return o
}

// Change is a new copy of one zone, or that its copy has expired.
type Change struct {
	s  *Secondary
	k  *kept
	to *copied // nil: expired
}

// Held is a copy of somebody else's zone.
type Held struct {
	Zone   *zone.Zone
	Signed *dnssec.Foreign // what its primary has signed; nil where it is not signed
	Given  *Signed         // the same, for those who get the zone from here
}

// Zones are all copies as they will be, by name.
func (c Change) Zones() []Held {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.s.zones(c.k.apex, c.to)
}

// Commit makes the change: from now on Secondary.Zones has it.
func (c Change) Commit() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.k.expired = c.to == nil; !c.k.expired {
		c.k.copy = c.to
	}
}

// Secondary keeps zones as their primaries serve them. The last good copy of each is
// kept on disk too, and holds until the SOA's expire time has passed without a word of
// any primary (RFC 1034 section 4.3.5).
type Secondary struct {
	o    SecondaryOptions
	wake chan struct{} // the setup has changed

	taking sync.Mutex // one copy at a time is put in force; never locked with mu held

	mu    sync.Mutex // guards what follows
	setup snapshot.Transfers
	kept  map[string]*kept
	came  uint64 // zones
}

// kept is one zone of somebody else's.
type kept struct {
	apex  string
	peers []snapshot.Peer
	look  chan struct{} // a primary says that there is something new
	stop  context.CancelFunc

	copy    *copied // nil: none is here
	good    time.Time
	expired bool
	problem string
}

// Copy is how it stands with one zone of somebody else's.
type Copy struct {
	Zone    string    `json:"zone"`
	Serial  uint32    `json:"serial"` // 0: there is no copy
	Good    time.Time `json:"good,omitzero"`
	Expired bool      `json:"expired,omitempty"` // no primary was heard for the SOA's expire time: it is not answered
	Signed  bool      `json:"signed,omitempty"`  // by its primary, and answered so
	Until   time.Time `json:"until,omitzero"`    // when the first of its signatures ends; its primary makes them anew
	Problem string    `json:"problem,omitempty"`
}

// NewSecondary makes a Secondary that keeps nothing until it is configured.
func NewSecondary(o SecondaryOptions) *Secondary {
	return &Secondary{o: o.withDefaults(), wake: make(chan struct{}, 1), kept: map[string]*kept{}}
}

// Configure says which zones are kept from now on, and reads the copies of new ones from
// disk. It does not call Take: whoever configures asks for Zones and puts them in force
// with the rest.
func (s *Secondary) Configure(t snapshot.Transfers) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setup = t
	wanted := map[string]bool{}
	for _, x := range t.In {
		wanted[x.Zone] = true
		k := s.kept[x.Zone]
		if k == nil {
			k = &kept{apex: x.Zone, look: make(chan struct{}, 1)}
			s.load(k)
			s.kept[x.Zone] = k
		}
		k.peers = x.Peers
	}
	for apex, k := range s.kept {
		if !wanted[apex] {
			if k.stop != nil {
				k.stop()
			}
			delete(s.kept, apex)
		}
	}
	poke(s.wake)
}

// poke leaves a note where there is none yet.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Zones are the copies that hold now, by name.
func (s *Secondary) Zones() []Held {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.zones("", nil)
}

// zones are the copies that hold, with another one in place of a zone's.
func (s *Secondary) zones(apex string, other *copied) (out []Held) { // with mu held
	for _, k := range s.kept {
		c := k.copy
		if k.expired {
			c = nil
		}
		if k.apex == apex {
			c = other
		}
		if c != nil {
			out = append(out, Held{c.zone, c.signed, c.given})
		}
	}
	slices.SortFunc(out, func(a, b Held) int { return cmp.Compare(a.Zone.Apex(), b.Zone.Apex()) })
	return out
}

// Copies are how it stands with every zone, by name.
func (s *Secondary) Copies() (out []Copy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.kept {
		c := Copy{Zone: k.apex, Good: k.good, Expired: k.expired, Problem: k.problem}
		if k.copy != nil {
			c.Serial = k.copy.serial
			if signed := k.copy.signed; signed != nil {
				c.Signed, c.Until = true, signed.Ends
				if c.Problem == "" && !s.o.Now().Before(signed.Ends) {
					c.Problem = "signatures of its primary are over: whoever validates does not take all of its answers; have the primary sign it anew"
				}
			}
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Copy) int { return cmp.Compare(a.Zone, b.Zone) })
	return out
}

// Count is how often a zone has come in, whole or as differences.
func (s *Secondary) Count() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.came
}

// Notified takes a NOTIFY from a primary of a zone. Any number of them while one is
// being heeded are one.
func (s *Secondary) Notified(apex string, from netip.Addr, key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kept[apex]
	if k == nil || !slices.ContainsFunc(k.peers, func(p snapshot.Peer) bool { return p.Address.Addr().Unmap() == from.Unmap() && p.Key == key }) {
		return false
	}
	poke(k.look)
	return true
}

// Run keeps the zones until ctx ends.
func (s *Secondary) Run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		s.mu.Lock()
		for _, k := range s.kept {
			if k.stop != nil {
				continue
			}
			mine, stop := context.WithCancel(ctx)
			k.stop = stop
			all.Go(func() { // ended by Configure, or by ctx
				defer stop()
				s.keep(mine, k)
			})
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
	}
}

// keep looks at a zone's primaries: at once, then as the SOA says, and when a NOTIFY
// comes.
func (s *Secondary) keep(ctx context.Context, k *kept) {
	for {
		ok := s.look(ctx, k)
		if ctx.Err() != nil || !pause(ctx, s.o.Least) { // whoever sends NOTIFY without end makes us look no more often
			return
		}
		wait := time.NewTimer(s.rest(k, ok) - s.o.Least)
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-k.look:
			wait.Stop()
		case <-wait.C:
		}
	}
}

// The bounds of what a SOA may say, and what is done without one.
const (
	mostRefresh = 24 * time.Hour
	noCopyRetry = 30 * time.Second
)

// rest is how long nothing needs to be looked at: the SOA's refresh after a good look,
// else its retry, or until the copy expires.
func (s *Secondary) rest(k *kept, ok bool) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.copy == nil {
		return max(noCopyRetry, s.o.Least)
	}
	soa := k.copy.records[0].Data
	at := func(i int) time.Duration {
		return time.Duration(binary.BigEndian.Uint32(soa[len(soa)-20+i:])) * time.Second
	}
	wait := at(8)
	if ok {
		wait = at(4)
	}
	if left := k.good.Add(at(12)).Sub(s.o.Now()); !k.expired && left > 0 {
		wait = min(wait, left)
	}
	return max(s.o.Least, min(wait, mostRefresh))
}

// expiry is when a copy holds no more.
func (k *kept) expiry() time.Time {
	soa := k.copy.records[0].Data
	return k.good.Add(time.Duration(binary.BigEndian.Uint32(soa[len(soa)-8:])) * time.Second)
}

// look asks the primaries in their order, until one has told how it stands.
func (s *Secondary) look(ctx context.Context, k *kept) bool {
	s.mu.Lock()
	peers, have, setup := k.peers, k.copy, s.setup
	s.mu.Unlock()
	var problems []error
	for _, p := range peers {
		key, _ := setup.Key(p.Key)
		o := FetchOptions{Server: p.Address.String(), Apex: k.apex, Key: key, Limit: s.o.Limit, MaxBytes: s.o.MaxBytes, Now: s.o.Now, Dial: s.o.Dial}
		got, err := fetch(ctx, o, have)
		if err != nil && have != nil && ctx.Err() == nil && !unreachable(err) { // it may not know differences, or lose track of them
			o.Limit = s.o.Limit
			got, err = s.fetchWhole(ctx, o, have)
		}
		if err == nil {
			err = s.take(k, have, got)
		}
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		problems = append(problems, err)
	}
	s.failed(k, errors.Join(problems...))
	return false
}

// unreachable says whether nothing at all was heard.
func unreachable(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}

// fetchWhole gets the whole zone. What is not newer than what we have is what we have:
// no serial goes back.
func (s *Secondary) fetchWhole(ctx context.Context, o FetchOptions, have *copied) (*copied, error) {
	got, err := fetch(ctx, o, nil)
	if err == nil && !zone.SerialNewer(got.serial, have.serial) {
		return have, nil
	}
	return got, err
}

// take puts what came in force, and keeps it on disk.
func (s *Secondary) take(k *kept, have, got *copied) error {
	s.taking.Lock()
	defer s.taking.Unlock()
	s.mu.Lock()
	back := k.expired
	s.mu.Unlock()
	if got != have || back {
		if err := s.o.Take(Change{s, k, got}); err != nil {
			return fault.New(fault.Invalid, "the new copy of %s is refused", k.apex).Because(err)
		}
		s.o.Logger.Info("a zone came in", "component", "xfr", "zone", k.apex, "serial", got.serial, "records", len(got.records), "whole", !got.steps)
	}
	now := s.o.Now()
	err := s.save(k, got, got != have, now)
	s.mu.Lock()
	defer s.mu.Unlock()
	if got != have {
		s.came++
	}
	k.good, k.problem = now, ""
	if err != nil {
		k.problem = "the copy is in force but could not be kept on disk: " + err.Error()
		s.o.Logger.Error("a copy of a zone is not kept on disk", "component", "xfr", "zone", k.apex, "cause", err)
	}
	return nil
}

// failed notes why there is no word of any primary, and ends a copy that has expired.
func (s *Secondary) failed(k *kept, err error) {
	s.taking.Lock()
	defer s.taking.Unlock()
	s.mu.Lock()
	k.problem = err.Error()
	over := k.copy != nil && !k.expired && !s.o.Now().Before(k.expiry())
	s.mu.Unlock()
	s.o.Logger.Warn("no primary of a zone gives it away; the last good copy is kept", "component", "xfr", "zone", k.apex, "expired", over, "cause", err)
	if over {
		if err := s.o.Take(Change{s, k, nil}); err != nil {
			s.o.Logger.Error("an expired zone is answered still", "component", "xfr", "zone", k.apex, "cause", err)
		}
	}
}

// file is where a zone's copy is kept. Its time is when a primary last said that it is
// good.
func (s *Secondary) file(apex string) string {
	return filepath.Join(s.o.Dir, strings.ReplaceAll(strings.TrimSuffix(apex, "."), string(filepath.Separator), "_")+".zone")
}

func (s *Secondary) save(k *kept, c *copied, fresh bool, now time.Time) error {
	if fresh {
		if err := os.MkdirAll(s.o.Dir, 0o700); err != nil {
			return err
		}
		if err := snapshot.WriteFile(s.file(k.apex), []byte(textOf(c.records))); err != nil {
			return err
		}
	}
	return os.Chtimes(s.file(k.apex), now, now)
}

// load reads a zone's last good copy.
func (s *Secondary) load(k *kept) {
	file := s.file(k.apex)
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil && info.Size() > 4*s.o.MaxBytes {
		err = errors.New("it is too large")
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(file)
	}
	var c *copied
	if err == nil {
		c, err = readCopied(k.apex, file, string(text))
	}
	if err != nil {
		k.problem = err.Error()
		s.o.Logger.Warn("the kept copy of a zone can't be used", "component", "xfr", "zone", k.apex, "cause", err)
		return
	}
	k.copy, k.good = c, info.ModTime()
	k.expired = !s.o.Now().Before(k.expiry())
}

// readCopied reads what textOf has written.
func readCopied(apex, file, text string) (*copied, error) {
	var records []zone.Record
	p := dns.NewZoneParser(strings.NewReader(text), ".", file)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		r, err := recordOf(rr, apex)
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	if err := p.Err(); err != nil {
		return nil, err
	}
	if len(records) == 0 || records[0].Type != dns.TypeSOA || len(records[0].Data) < 22 {
		return nil, fault.New(fault.Invalid, "it does not begin with a SOA record").At(file)
	}
	return newCopied(apex, file, records)
}
