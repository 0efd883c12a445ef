// Package certs holds the certificates of the sites' names before they are needed: it
// has them made by an authority (ACME, RFC 8555) with proofs in DNS alone (DNS-01),
// renews them in time, reads those that people bring, and says how ready each name is.
//
// It serves nothing and is never asked during a handshake: names come from the
// configuration, and what is held goes to answer in the snapshot (snapshot.Certificates).
// It does not know the engine: what it needs of it are values and functions in Options.
// Only control, and the edges that show what it says, may import it.
//
// Invariants: a certificate on disk is always handed on, even one that is over, and is
// replaced only by one that can be served; a renewal that fails is told ever louder and
// keeps nothing from starting; whoever asks less of a certificate than its lifetime can't
// be pressed into a loop, because all thresholds are fractions of it; a proof is told to
// the authority only after our own name servers were seen to give it out. No key is in a
// log, an error or a view; files are readable for their owner alone.
//
// ready.go and caa.go are pure: what is known in, a number and sentences out.
//
// Concurrency: a Keeper's methods may be called from any goroutine; one look after
// certificates goes on at a time. Run owns its goroutines and ends with its context.
package certs

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mholt/acmez/v3"

	"lifeboat/internal/snapshot"
)

// The fractions of a lifetime that are left when something is due. They are fractions,
// because lifetimes shrink: 90 days, 64, 45, 6.
const (
	renewLeft = 3 // a third: renewed, where the authority does not say when
	warnLeft  = 4 // a quarter: it should have been, and it is a warning
	pageLeft  = 8 // an eighth: somebody has to look today
)

// The kinds of keys. Handshakes with ECDSA cost a third of those with RSA.
const (
	ECDSA = "ecdsa" // P-256
	RSA   = "rsa"   // 2048 bits, for clients of before 2010
)

// Wanted is what one certificate is to be for: a set of our own, which no other server
// asks the authority for.
type Wanted struct {
	ID    string   // the site's
	Names []string // lower case, without final dot; the first one names it for people
	Here  bool     // served by this process itself (Pair): its key is not handed to answer
}

// File is a certificate that somebody else keeps up to date.
type File struct {
	ID          string // that the configuration gives it
	Certificate string // absolute path: PEM, the leaf and its chain
	Key         string // absolute path: PEM; may be the same file
}

// Authority is whom certificates are asked of.
type Authority struct {
	Directory string         // URL
	Title     string         // for people
	Roots     *x509.CertPool // that the directory's own certificate is judged by; nil: the machine's own
	Email     string         // may be empty
	KeyID     string         // of an account elsewhere that ours is bound to (RFC 8555 section 7.3.4); may be empty
	MACKey    string         // base64url, goes with KeyID
	Profile   string         // may be empty: the authority's own, which is the long one
	Keys      []string       // ECDSA, RSA or both, in the order of preference
	CAA       []string       // what the authority is called in CAA records; empty: not known
}

// Solver shows an authority in one way that a name is ours (RFC 8555 section 8). A
// Solver that needs time between Present and the authority's look is an acmez.Waiter
// too.
type Solver interface {
	acmez.Solver
	Kind() string                                 // as the authority calls it, for example dns-01
	Check(ctx context.Context, name string) error // says what keeps a name from being proved; changes nothing
}

// Options of a Keeper. Dir, Publish, Now and Logger MUST be set.
type Options struct {
	Dir       string // made where it is missing
	Wanted    []Wanted
	Files     []File
	Authority *Authority // nil: only files, and what was imported
	Solvers   []Solver   // how names are proved, by Kind

	// Publish has answer serve with these certificates. It is given all of them at each
	// change, and once at the start. It MUST not wait for answer.
	Publish func(certs []snapshot.Certificate)

	Look   Looker                  // nil: nothing is looked at outside
	Places func() []Place          // what the daily look asks, of each name; nil: none
	Page   func(name, text string) // tells people who are not looking; nil: the log alone
	Ready  func() bool             // can proofs be given out now; nil: always
	Roots  *x509.CertPool          // that chains are judged by; nil: the machine's own

	Now    func() time.Time
	Logger *slog.Logger
}

// Place is a name with all that is asked about it.
type Place struct {
	Site    string
	Name    string
	Port    int
	Here    netip.AddrPort   // answer's own listener; zero: it has none
	Standby []netip.AddrPort // where visitors will meet the standby
	Origins []netip.AddrPort // where production answers now
	Below   []string         // names of our zones below it that follow a site

	Own       bool   // production never answered for it: the status page's own name
	Why       string // why a look at Standby says nothing about the outside; "": it does
	Rehearsed Glance
}

// Keeper holds certificates and looks after them.
type Keeper struct {
	o      Options
	folder folder
	issuer *issuer // nil: there is no authority

	tending sync.Mutex // held while certificates are looked after

	mu       sync.Mutex // guards all below
	held     []Held     // in the order that they are served in
	state    state
	problems []Trouble        // with files and with what is on disk
	facts    map[string]Facts // by name, as they were looked at last
	lookedAt time.Time
	handedAt time.Time            // when certificates went to answer last
	requests []request            // of people who wait
	paged    map[string]time.Time // when people were told of a subject last
	wake     chan struct{}
}

// New reads what is on disk and hands it on. Only a folder that can't be made is an
// error: whatever is wrong in it is told by Problems.
func New(o Options) (*Keeper, error) {
	f, err := openFolder(o.Dir)
	if err != nil {
		return nil, err
	}
	k := &Keeper{o: o, folder: f, facts: map[string]Facts{}, paged: map[string]time.Time{}, wake: make(chan struct{}, 1)}
	k.state = f.readState()
	if o.Authority != nil {
		k.issuer = newIssuer(*o.Authority, f, o.Solvers, o.Logger, o.Now)
	}
	k.reload(true)
	return k, nil
}

// How often it is looked whether something is due, and how often all is looked at.
const (
	readyEvery = time.Second // whether proofs can be given out
	tendEvery  = time.Minute
	lookEvery  = 24 * time.Hour
	lookAgain  = 10 * time.Minute // while something is not served
	settle     = 10 * time.Second // for answer to take what was handed on
)

// Run looks after certificates until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	tick, ready := time.NewTicker(tendEvery), time.NewTicker(readyEvery)
	defer tick.Stop()
	defer ready.Stop()
	for could := false; ctx.Err() == nil; {
		k.Tend(ctx)
		k.lookIfDue(ctx)
		for waiting := true; waiting; {
			select {
			case <-ready.C:
				can := k.o.Ready == nil || k.o.Ready()
				waiting, could = could || !can, can
			case <-tick.C:
				waiting = false
			case <-k.wake:
				waiting = false
			case <-ctx.Done():
				return
			}
		}
	}
}

// Tend does what is due now: it reads files again that have changed, and has
// certificates made or renewed.
func (k *Keeper) Tend(ctx context.Context) {
	k.tending.Lock()
	defer k.tending.Unlock()
	k.reload(false)
	asked := k.asked()
	for _, job := range k.jobs() {
		if ctx.Err() != nil {
			break
		}
		k.refreshWindow(ctx, job)
		why := k.due(job)
		if slices.ContainsFunc(asked, func(r request) bool { return r.asksFor(job) }) {
			why = "a person asks for it"
		}
		if why != "" {
			k.renew(ctx, job, why)
		}
	}
	for _, r := range asked {
		close(r.done)
	}
	k.alarm()
}

// Wake has Run look at once.
func (k *Keeper) Wake() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}
