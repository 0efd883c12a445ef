// Package answer wires the data plane: DNS, the standby page, kill switches and
// checks, all from the last good snapshot and the local orders.
//
// It never needs control, a store, a network or free disk space to go on, and it
// may move a site towards safety by itself, never away from it. It imports pure
// packages, the servers of the data plane, listen and feed/follow, and nothing of
// the control plane (a house test holds that wall).
//
// Concurrency: Run is called once. What is in force lives under one mutex that is
// taken by snapshots, local orders and rendering, never by a query, a request or a
// check.
package answer

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"lifeboat/internal/authdns"
	"lifeboat/internal/boardfeed"
	"lifeboat/internal/capture"
	"lifeboat/internal/fault"
	"lifeboat/internal/feed"
	"lifeboat/internal/feed/follow"
	"lifeboat/internal/ofrep"
	"lifeboat/internal/probe"
	"lifeboat/internal/prober"
	"lifeboat/internal/ratelimit"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/standby"
	"lifeboat/internal/subscribe"
	"lifeboat/internal/xfr"
	"lifeboat/internal/zone"
)

// Options of an Answer. Sockets are opened by the parent.
type Options struct {
	Dir     string // of snapshots, orders and the trusted key
	UDP     []*net.UDPConn
	TCP     []*net.TCPListener
	Standby net.Listener

	StandbyTLS net.Listener // nil: the standby does not answer over TLS

	OFREP  net.Listener
	Orders net.Listener // answer.sock; nil: none

	Dial    func(context.Context) (net.Conn, error) // to control; nil: alone
	Admit   func(net.Conn) error                    // who may speak on Orders
	Sockets func(*net.UnixConn) error               // hands the sockets to a new parent; nil: can't
	Caller  func(net.Conn) string                   // names who speaks on Orders; nil: nobody in particular
	Ask     func(context.Context, probe.Target, probe.Check) probe.Result
	Capture func(context.Context, capture.Job, func(capture.Item)) capture.Done // nil: as package capture does

	Now     func() time.Time
	NewID   func() string
	PID     int
	Version string
	Logger  *slog.Logger
}

// Answer is the data plane.
type Answer struct {
	o       Options
	folder  *snapshot.Folder
	dns     *authdns.Server
	standby *standby.Server
	ofrep   *ofrep.Server
	prober  *prober.Prober
	ring    *feed.Ring
	follow  *follow.Follower
	xfr     *xfr.Server    // gives zones to secondaries
	copies  *xfr.Secondary // of zones that others serve

	memory authdns.Memory
	pages  atomic.Pointer[standby.View] // compiled last

	writing  sync.Mutex // guards statuses; taken before rendering
	statuses standby.Statuses

	rendering sync.Mutex          // held while a view is made, so that no older one follows it; taken before mu
	statused  []*standby.Statused // as rendered last; guarded by rendering
	trusted   prober.Trust        // whom checks trust

	staging sync.Mutex // held while parts are made ready; taken before mu

	mu       sync.Mutex // guards all below
	key      ed25519.PublicKey
	manifest snapshot.Manifest
	previous snapshot.Manifest
	contents snapshot.Contents
	local    snapshot.Local
	life     string // of this process, for the reports' numbers
	compiled
	staged   staged              // made ready for a snapshot that is to come
	proofs   map[string][]string // for certificate authorities: those in force when the zones were last given, by name
	serials  map[string]uint32   // served now, by apex
	degraded map[string]bool     // sites that are seen down somewhere
	problem  string              // why not all is well, for status
	changed  chan struct{}       // signalled when pages must be rendered anew
}

// New opens the folder and puts the last good snapshot in force. It fails only
// when the folder itself can't be used; a missing key or snapshot makes answer not
// ready, and it says so.
func New(o Options) (*Answer, error) {
	folder, err := snapshot.OpenFolder(o.Dir)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "open the snapshots").Because(err).WithHint("the folder %s must be writable by this account", o.Dir)
	}
	entrance := lookAtDoor(o.Standby, o.StandbyTLS)
	a := &Answer{
		o: o, folder: folder, ring: feed.NewRing(), serials: map[string]uint32{}, changed: make(chan struct{}, 1),
		ofrep: ofrep.New(ofrep.Options{Logger: o.Logger}),
	}
	a.standby = standby.New(standby.Options{Logger: o.Logger, Now: o.Now, MaxConns: entrance.conns, Subscribe: a.subscribe})
	a.statuses = standby.Statuses{More: []standby.More{boardfeed.All}, Feeds: boardfeed.Links()}
	a.copies = xfr.NewSecondary(xfr.SecondaryOptions{Dir: filepath.Join(o.Dir, "copies"), Now: o.Now, Logger: o.Logger, Take: a.takeCopies})
	a.xfr = xfr.New(xfr.Options{Now: o.Now, Logger: o.Logger, Notified: a.copies.Notified})
	a.dns = authdns.New(authdns.Options{Peers: a.xfr, Logger: o.Logger})
	if o.Ask == nil {
		o.Ask = a.trusted.Ask
	}
	a.prober = prober.New(prober.Options{Logger: o.Logger, Now: o.Now, Ask: o.Ask, OnTransition: a.onTransition})
	if o.Capture == nil {
		o.Capture = func(ctx context.Context, j capture.Job, emit func(capture.Item)) capture.Done {
			return capture.Run(ctx, j, capture.Options{Now: o.Now}, emit)
		}
	}
	if o.Dial != nil {
		a.follow = follow.New(follow.Options{Dial: o.Dial, Hello: a.hello, Take: a.take, Stage: a.stage, Status: a.status, Ring: a.ring, Capture: o.Capture, Now: o.Now, Logger: o.Logger})
	}
	a.dns.SetCookieSecrets(cookieSecret(o.Dir, o.Logger))
	a.say(entrance)
	a.life = o.NewID()
	a.mu.Lock()
	a.restore()
	a.mu.Unlock()
	a.renderOnce()
	return a, nil
}

// subscribe asks control what a visitor of a status page wants of it.
func (a *Answer) subscribe(ctx context.Context, ask subscribe.Ask) subscribe.Told {
	if a.follow == nil {
		return subscribe.Told{Outcome: subscribe.Away}
	}
	return a.follow.Subscribe(ctx, ask)
}

// cookieSecret is what DNS cookies are made with (RFC 9018). It is kept, so that the
// cookies of clients hold over a restart; where it can't be, it lives as long as we do.
func cookieSecret(dir string, log *slog.Logger) (secret authdns.CookieSecret) {
	path := filepath.Join(dir, "cookie.secret")
	if b, err := os.ReadFile(path); err == nil && len(b) == len(secret) {
		return authdns.CookieSecret(b)
	}
	_, _ = rand.Read(secret[:]) // never fails
	if err := snapshot.WriteFile(path, secret[:]); err != nil {
		log.Warn("the secret of DNS cookies is not kept; a restart makes clients ask for new ones", "cause", err)
	}
	return secret
}

// restore puts in force what was kept.
func (a *Answer) restore() { // with mu held
	var err error
	if a.key, err = a.folder.Key(); err != nil {
		a.trouble(err)
		return
	}
	if a.local, err = a.folder.LoadLocal(); err != nil {
		a.trouble(err)
	}
	m, c, problems, err := a.folder.Load(a.key)
	for _, p := range problems {
		a.o.Logger.Warn("a kept snapshot was passed over", "cause", p)
	}
	if fault.KindOf(err) == fault.NotFound && len(problems) == 0 { // a first start: control's greeting mends it
		a.problem = err.Error()
		a.o.Logger.Info("answer waits for its first snapshot", "cause", err)
		return
	}
	if err != nil {
		a.trouble(err)
		return
	}
	made, err := a.compile(c)
	if err != nil {
		a.trouble(err)
		return
	}
	if err := a.swap(m, c, made, true); err != nil {
		a.trouble(err)
	}
}

// trouble notes why not all is well.
func (a *Answer) trouble(err error) { // with mu held
	a.problem = err.Error()
	a.o.Logger.Warn("answer is not well", "cause", err)
}

// enforce puts manifest, local orders and table in force: in memory, at once. moved
// names the zones whose serial must grow although the manifest's has not; the
// others grow when the manifest's does.
func (a *Answer) enforce(moved map[string]bool) error { // with mu held
	serials := a.grown(moved)
	positions, shares := a.standings()
	orders := authdns.Orders{Position: positions, Share: shares, Serial: serials, TTLCap: map[string]uint32{}, Degraded: a.degraded, Challenges: challenges(a.manifest), Now: a.o.Now}
	for _, s := range a.contents.Sites {
		if o := a.manifest.Sites[s.ID]; o.TTLCap > 0 {
			orders.TTLCap[s.ID] = o.TTLCap
		}
	}
	view, err := a.table.View(orders)
	if err != nil {
		return fmt.Errorf("compile what is ordered: %w", err)
	}
	a.dns.Configure(settings(a.contents.DNS))
	a.xfr.Configure(a.contents.Transfers)
	a.xfr.Set(a.given(view, orders))
	a.dns.Set(view)
	a.xfr.Tell()
	a.ofrep.Allow(a.contents.Access)
	a.ofrep.Set(ofrep.Compile(a.contents.Features, snapshot.EffectiveFlags(a.manifest, a.local)).At(a.manifest.Epoch, a.manifest.Revision))
	a.serials, a.local.Serials, a.proofs = serials, serials, a.proofsNow()
	a.renderSoon()
	return nil
}

// challenges are the manifest's proofs for certificate authorities, as the name server
// understands them.
func challenges(m snapshot.Manifest) map[string]authdns.Challenge {
	out := map[string]authdns.Challenge{}
	for name, c := range m.Challenges {
		out[name] = authdns.Challenge(c)
	}
	return out
}

// settings are what the name server does, as it understands them.
func settings(d snapshot.DNS) authdns.Settings {
	return authdns.Settings{NSID: d.NSID, RequireCookie: d.RequireCookie, QueryLog: d.QueryLog, RateLimit: ratelimit.Options{Rate: d.Rate, Slip: d.Slip, Exempt: d.Exempt}}
}

// grown are the serials to serve next, by apex.
func (a *Answer) grown(moved map[string]bool) map[string]uint32 { // with mu held
	out := map[string]uint32{}
	for _, z := range a.contents.Zones {
		out[z.Apex] = serial(a.manifest.Serials[z.Apex], a.local.Serials[z.Apex], a.serials[z.Apex], moved[z.Apex])
	}
	return out
}

// serial is what a zone is served with: never less than before, and more where its
// content changed (RFC 1982).
func serial(ordered, local, served uint32, moved bool) uint32 {
	next := ordered
	for _, s := range []uint32{local, served} {
		if next == 0 || s != 0 && zone.SerialNewer(s, next) {
			next = s
		}
	}
	if moved && next == served {
		next = zone.NextSerial(next)
	}
	return next
}

// zonesOf are the zones in which a name follows one of the sites.
func (a *Answer) zonesOf(sites map[string]bool) map[string]bool { // with mu held
	out := map[string]bool{}
	for site, moved := range sites {
		if moved {
			maps.Copy(out, a.zonesBy[site])
		}
	}
	return out
}

// positions are in force now, by site.
func (a *Answer) positions() map[string]string { // with mu held
	out := map[string]string{}
	for _, s := range a.contents.Sites {
		out[s.ID] = snapshot.Effective(a.manifest, a.local, s)
	}
	return out
}

// standings are positions, with the shares of those who are sent elsewhere, as the name
// server gives them out: what somebody is told who is not known is the safer one.
func (a *Answer) standings() (positions map[string]string, shares map[string]authdns.Share) { // with mu held
	positions, shares = map[string]string{}, map[string]authdns.Share{}
	for _, s := range a.contents.Sites {
		at := snapshot.InForce(a.manifest, a.local, s)
		positions[s.ID] = at.Position
		if at.Other != "" {
			shares[s.ID] = authdns.Share{Position: at.Other, Percent: at.Percent}
		}
	}
	return positions, shares
}

// Run serves until ctx ends. DNS and the standby end last.
func (a *Answer) Run(ctx context.Context) error {
	late, stopLate := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLate()
	var early, servers sync.WaitGroup
	errs := make(chan error, 5)
	serve := func(name string, f func(context.Context) error) {
		servers.Go(func() { // ends with late
			if err := f(late); err != nil {
				errs <- fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	serve("dns", func(ctx context.Context) error { return a.dns.Serve(ctx, a.o.UDP, a.o.TCP) })
	serve("standby", func(ctx context.Context) error { return a.standby.Serve(ctx, a.o.Standby) })
	if a.o.StandbyTLS != nil {
		serve("standby over TLS", func(ctx context.Context) error { return a.standby.ServeTLS(ctx, a.o.StandbyTLS) })
	}
	serve("ofrep", func(ctx context.Context) error { return a.ofrep.Serve(ctx, a.o.OFREP) })
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	early.Go(func() { _ = a.prober.Run(ctx) }) // ends with ctx, as all below
	early.Go(func() { a.render(ctx) })
	early.Go(func() { a.hurry(ctx) })
	early.Go(func() { a.autopilot(ctx) })
	early.Go(func() { a.xfr.Run(ctx) })
	early.Go(func() { a.copies.Run(ctx) })
	if a.follow != nil {
		early.Go(func() { a.follow.Run(ctx) })
	}
	if a.o.Orders != nil {
		early.Go(func() { a.serveOrders(ctx) })
	}
	var failed error
	select {
	case failed = <-errs:
	case <-ctx.Done():
	}
	stop()
	early.Wait()
	stopLate()
	servers.Wait()
	return errors.Join(failed, a.folder.Close())
}
