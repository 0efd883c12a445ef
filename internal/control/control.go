// Package control wires the control plane: the record, the engine, the feed to
// answer, and the edges for machines and people.
//
// It holds the one explicit table of stores and drivers. Nothing but the command
// line imports it. What the data plane serves goes on without it.
//
// Concurrency: Run is called once a process.
package control

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"lifeboat/internal/account"
	"lifeboat/internal/api"
	boarddesk "lifeboat/internal/board/desk"
	"lifeboat/internal/board/door"
	"lifeboat/internal/certs"
	"lifeboat/internal/config"
	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/feed/publish"
	"lifeboat/internal/handover"
	"lifeboat/internal/issuer"
	"lifeboat/internal/journal"
	"lifeboat/internal/lever"
	"lifeboat/internal/lever/featurelever"
	"lifeboat/internal/lever/filelever"
	"lifeboat/internal/lever/objectlever"
	"lifeboat/internal/lever/zonelever"
	"lifeboat/internal/listen"
	"lifeboat/internal/outbox"
	"lifeboat/internal/parentwatch"
	"lifeboat/internal/prober"
	"lifeboat/internal/quarantine/desk"
	"lifeboat/internal/quarantine/doctor"
	"lifeboat/internal/role"
	"lifeboat/internal/session"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/store"
	"lifeboat/internal/store/sqlite"
	subdesk "lifeboat/internal/subscribe/desk"
	"lifeboat/internal/supervise"
	"lifeboat/internal/token"
	"lifeboat/internal/web"
	"lifeboat/internal/zone"
	zonedesk "lifeboat/internal/zonebook/desk"
)

// Options of a control plane. Dir, Config, Feed, Now, NewID and Logger MUST be set.
type Options struct {
	Dir    string // DATA/control
	Config *config.Config
	HTTP   net.Listener // the console; nil while its port is taken
	Root   net.Listener // control.sock: the API without a token
	Feed   net.Listener // feed.sock
	OFREP  string       // address to read flags back at

	StandbyHTTPS string // address where answer serves the standby over TLS; "": nowhere

	AdmitRoot func(net.Conn) error  // who may speak on Root
	PeerRoot  func(net.Conn) string // what the timeline calls who speaks there; nil: root
	AdmitFeed func(net.Conn) error  // who may follow the feed
	Tell      func(line string)     // for the person at the terminal; nil: nobody
	Terminal  bool                  // Tell reaches a terminal, so that a secret may be shown
	Note      string                // shown on top of the pages (the demo's)

	Now     func() time.Time
	NewID   func() string
	Version string
	Logger  *slog.Logger
	Hook    func(point string)
}

// Run runs the control plane until ctx ends.
func Run(ctx context.Context, o Options) error {
	lock, err := handover.LockFolder(o.Dir)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	key, _, err := supervise.LoadOrMakeKey(o.Dir)
	if err != nil {
		return err
	}
	if _, _, err := zone.Readable(o.Config.Zones, o.Config.Positions()); err != nil { // a zone that can't be served must not reach answer
		return err
	}
	record, closeRecord, err := openRecord(ctx, o)
	if err != nil {
		return err
	}
	defer closeRecord()
	book, file, err := openBook(ctx, &o, record)
	if err != nil {
		return err
	}
	read, _, err := zone.Readable(o.Config.Zones, o.Config.Positions())
	if err != nil {
		return err
	}
	sizes, err := engine.Sizes(ctx, record, read, o.Config.AtLeast)
	if err != nil {
		return err
	}
	accounts, tokens, ring, err := openPeople(ctx, record, func() bool { _, _, _, degraded := record.Degraded(); return degraded }, o)
	if err != nil {
		return err
	}
	var eng *engine.Engine // told below, before the box runs
	with, box, err := company(o, record, accounts, func(ctx context.Context, m outbox.Message, err error) { eng.Delivered(ctx, m, err) })
	if err != nil {
		return err
	}
	var outside *parentwatch.Watcher // looks once the engine is there
	var held *certs.Keeper           // likewise
	with.HTTPS = func() *engine.HTTPSView { return httpsView(held) }
	with.Outside = func() []engine.Finding {
		return slices.Concat(seen(outside.Reports()), certificateFindings(held), bookFindings(o.Config, book))
	}
	zones, err := signing(o)
	if err != nil {
		return err
	}
	exchanged, err := transfers(o.Config)
	if err != nil {
		return err
	}
	tickets, err := keptSecret(filepath.Join(o.Dir, "ticket.secret"))
	if err != nil {
		o.Logger.Warn("the secret of session tickets is not kept; browsers shake hands anew after a restart of control", "cause", err)
	}
	round, bad := databases(o)
	rows, err := openDesk(o, round, rowActs{&eng})
	if err != nil {
		return err
	}
	if rows != nil {
		with.Card = rows.Card
		defer func() { _ = rows.Close() }()
	}
	eng, err = engine.New(engine.Options{
		File: file, Transfers: exchanged, Sizes: sizes, TicketSecret: tickets,
		Config: o.Config, Store: record, Key: key, Drivers: drivers(o, rows), Ask: trusting(o.Config).Ask, Now: o.Now, NewID: o.NewID, Logger: o.Logger,
		Version: o.Version, Record: recordView(record), Hook: o.Hook, Company: with, Signing: zones,
		Beside: databaseFindings(round, bad),
	})
	if err != nil {
		return err
	}
	if outside, err = watcher(o, eng); err != nil {
		return err
	}
	if held, err = certificates(o, eng); err != nil {
		return err
	}
	told, err := openSubscribers(ctx, o, record, key, eng.Ring)
	if err != nil {
		return err
	}
	words, doors, changed, err := openBoard(ctx, o, record, key, told)
	if err != nil {
		return err
	}
	feed := publish.New(publish.Options{Logger: o.Logger, Now: o.Now, Handler: eng, Admit: o.AdmitFeed, Subscribe: told.Ask})
	if err := eng.Start(ctx, feed); err != nil {
		return err
	}
	return plane{o: o, record: record, accounts: accounts, tokens: tokens, ring: ring, box: box, eng: eng, feed: feed, channels: with.Channels, round: round, rows: rows, outside: outside, certs: held, words: words, told: told, doors: doors, changed: changed, zones: openZones(o, record, book, eng)}.serve(ctx)
}

// plane is the whole control plane, wired.
type plane struct {
	o        Options
	record   *store.Guarded
	accounts *account.Book
	tokens   *token.Book
	ring     *session.Ring
	box      *outbox.Box
	eng      *engine.Engine
	feed     *publish.Server
	channels []engine.Channel
	outside  *parentwatch.Watcher
	round    *doctor.Round
	rows     *desk.Desk      // nil without databases
	certs    *certs.Keeper   // nil without certificates
	words    *boarddesk.Desk // what people write on the status page
	told     *subdesk.Desk   // who is told what is written there
	doors    *door.Ring      // who signed in reads it
	changed  chan struct{}   // signalled when they did
	zones    *zonedesk.Desk  // where records of zones are edited
}

// serve runs all loops and edges; the edges end first.
func (p plane) serve(ctx context.Context) error {
	o, feed := p.o, p.feed
	console, root, err := p.edges(ctx.Done())
	if err != nil {
		return err
	}
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var loops, doors sync.WaitGroup
	errs := make(chan error, 4)
	loops.Go(func() { errs <- feed.Serve(inner, o.Feed) }) // all end with inner
	loops.Go(func() { p.eng.Run(inner) })
	loops.Go(func() { _ = p.record.Run(inner) })
	loops.Go(func() { _ = p.accounts.Run(inner) })
	loops.Go(func() { _ = p.box.Run(inner) })
	loops.Go(func() { p.round.Run(inner) })
	if p.rows != nil {
		loops.Go(func() { p.rows.Recover(inner, system) })
	}
	loops.Go(func() { watchStatus(inner, feed, p.eng) })
	loops.Go(func() { p.outside.Run(inner) })
	if p.certs != nil {
		loops.Go(func() { p.certs.Run(inner) })
	}
	loops.Go(func() { p.told.Run(inner) })
	loops.Go(func() { keepBoard(inner, o, p.words, p.doors, p.eng, p.changed) })
	if o.HTTP != nil {
		doors.Go(func() { errs <- p.serveConsole(ctx, console) }) // with ctx
	}
	if o.Root != nil {
		doors.Go(func() { errs <- serveHTTP(ctx, o.Root, root, o.AdmitRoot, o.PeerRoot) })
	}
	var failed error
	select {
	case failed = <-errs:
	case <-ctx.Done():
		doors.Wait()
	}
	stop()
	loops.Wait()
	return failed
}

// watchStatus hands answer's word on itself to the engine as it comes.
func watchStatus(ctx context.Context, feed *publish.Server, eng *engine.Engine) {
	for {
		changed := feed.Changed()
		eng.Status()
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// openRecord opens the store behind the journal of last resort.
func openRecord(ctx context.Context, o Options) (*store.Guarded, func(), error) {
	db, err := sqlite.Open(ctx, filepath.Join(o.Dir, "lifeboat.db"), sqlite.Options{})
	if err != nil {
		return nil, nil, err
	}
	j, err := journal.Open(filepath.Join(o.Dir, "journal"), 0)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	g, err := store.Guard(ctx, db, j, store.GuardOptions{Now: o.Now, Log: o.Logger})
	if err != nil {
		return nil, nil, errors.Join(err, j.Close(), db.Close())
	}
	return g, func() { _ = errors.Join(g.Close(), j.Close(), db.Close()) }, nil
}

// trusting asks checks with the authorities that the configuration names.
func trusting(c *config.Config) *prober.Trust {
	authorities := map[string][][]byte{}
	for _, s := range c.Sites {
		authorities[s.ID] = s.Trust
	}
	t := &prober.Trust{}
	t.Set(authorities)
	return t
}

func recordView(g *store.Guarded) func() engine.RecordView {
	return func() engine.RecordView {
		since, pending, reason, degraded := g.Degraded()
		return engine.RecordView{Degraded: degraded, Since: since, Pending: pending, Reason: reason}
	}
}

// openPeople opens the books of accounts and tokens, and makes the first token where
// nobody could sign in yet.
func openPeople(ctx context.Context, record store.Store, degraded func() bool, o Options) (*account.Book, *token.Book, *session.Ring, error) {
	tokens, err := token.New(ctx, record, o.Now, o.Logger)
	if err != nil {
		return nil, nil, nil, err
	}
	ring, err := session.Open(filepath.Join(o.Dir, "sign-in.keys"), o.Now)
	if err != nil { // it works all the same; sign-ins end with this process
		o.Logger.Warn("the keys of the sign-ins", "cause", err)
	}
	secret, err := keptSecret(filepath.Join(o.Dir, "second-factor.key"))
	if err != nil {
		return nil, nil, nil, err
	}
	accounts, err := account.New(ctx, account.Options{
		Store: record, Now: o.Now, Logger: o.Logger, Ring: ring, SecondKey: secret, Console: o.Config.ConsoleURL,
		Token: func(id string) (string, role.Role, bool) {
			who, known := tokens.Lookup(id)
			return who.Name, who.Role, known
		},
		Degraded: degraded,
	})
	if err != nil || accounts.Count(role.Admin) > 0 {
		return accounts, tokens, ring, err
	}
	path := filepath.Join(o.Dir, "admin.token")
	created, raw, err := tokens.EnsureFirst(ctx, path)
	if err != nil {
		return nil, nil, nil, err
	}
	if created && o.Tell != nil {
		if o.Terminal {
			o.Tell("admin token: " + raw + " (also in " + path + ")")
		} else {
			o.Tell("the admin token is in " + path)
		}
	}
	return accounts, tokens, ring, nil
}

// drivers is the one table of levers.
func drivers(o Options, rows *desk.Desk) func(lever.Orders) map[string]lever.Driver {
	sites, zones, flags := o.Config.Parts()
	contents := snapshot.Contents{Sites: sites, Zones: zones, Features: flags}
	servers := map[string]netip.AddrPort{}
	for _, n := range o.Config.Nameservers {
		servers[n.Name] = n.Address
	}
	return func(orders lever.Orders) map[string]lever.Driver {
		table := elsewhere(o)
		maps.Copy(table, rowDrivers(rows, o.Now))
		maps.Copy(table, map[string]lever.Driver{
			zonelever.Kind: zonelever.New(zonelever.Options{Orders: orders, Nameservers: servers, Now: o.Now, Site: func(id string, drill bool) (zonelever.Site, bool) {
				if drill {
					id = snapshot.ShadowID(id)
				}
				s, known := contents.Site(id)
				return zonelever.Site{ID: id, Names: names(zones, id), Fixed: fixed(o.Config, s), Positions: s.Positions}, known
			}}),
			featurelever.Kind: featurelever.New(featurelever.Options{
				Orders: orders, OFREP: "http://" + o.OFREP, Key: o.Config.Access.Own(), Now: o.Now, Shadow: config.ShadowFeature,
				Own: func(key string) json.RawMessage { f, _ := contents.Flag(key); return f.Value },
			}),
			filelever.Kind:   filelever.New(filelever.Options{Now: o.Now}),
			objectlever.Kind: objectlever.New(objectlever.Options{Now: o.Now, Secret: objectlever.ReadCredentials}),
		})
		return table
	}
}

// fixed are those names of a site that lie in zones of somebody else's.
func fixed(c *config.Config, s snapshot.Site) (out []string) {
	for _, name := range s.Names {
		if _, theirs := c.PrimaryOf(name + "."); theirs {
			out = append(out, name+".")
		}
	}
	return out
}

// names are the names that follow a site, in all zones.
func names(zones []zone.Source, site string) []string {
	var out []string
	for _, z := range zones {
		for name, s := range z.Follow {
			if s == site {
				out = append(out, name)
			}
		}
	}
	return out
}

// edges makes the handlers of the console and of control.sock. Open streams end when
// ending is closed.
func (p plane) edges(ending <-chan struct{}) (console, root http.Handler, err error) {
	o := p.o
	key, err := keptSecret(filepath.Join(o.Dir, "session.key"))
	if err != nil {
		return nil, nil, err
	}
	machines := api.Options{Engine: p.eng, Desk: p.desk(), Board: p.words, Subscribers: p.told, Zones: p.zones, Tokens: p.tokens, Accounts: p.accounts, Logger: o.Logger, Now: o.Now, Version: o.Version, Outside: p.outside, Console: o.Config.ConsoleURL}
	if p.certs != nil {
		machines.Certificates = p.certs
	}
	people := web.New(web.Options{
		Engine: p.eng, Tokens: p.tokens, Accounts: p.accounts, Desk: p.desk(), Board: p.words, Subscribers: p.told, Reach: reach(p.told, p.words), Zones: p.zones, Key: key, Now: o.Now, Logger: o.Logger, Channels: p.channels, Demo: o.Note,
		URL: o.Config.ConsoleURL, Config: o.Config, Ending: ending, Company: companySignIn(o), Ring: p.ring, Passes: p.doors.Mint,
		Fingerprint: func() string { f, _ := ConsoleFingerprint(o.Dir); return f }, // without one the card has no such line
	})
	mux := http.NewServeMux()
	remote := api.New(machines)
	machines.Root = true
	for _, path := range []string{"/api/", "/metrics", "/healthz", "/readyz"} {
		mux.Handle(path, remote)
	}
	mux.Handle("/", people)
	return mux, api.New(machines), nil
}

// companySignIn makes the client of the company's own sign-in; nil without one. What is
// wrong with it keeps nothing else from starting.
func companySignIn(o Options) web.Company {
	c := o.Config.SignIn
	if c == nil {
		return nil
	}
	key, err := secret(c.SecretFile)
	if err != nil {
		o.Logger.Error("the company's sign-in can't be used", "cause", err)
		return nil
	}
	return issuer.New(issuer.Options{
		Name: c.Name, Issuer: c.Issuer, ClientID: c.ClientID, Secret: string(key), Callback: o.Config.ConsoleURL + web.CompanyPath,
		Claim: c.Claim, Groups: c.Groups, Scopes: c.Scopes, Now: o.Now,
	})
}

// keptSecret reads or makes a secret: the key that signs what the pages carry over a
// redirect, what answer makes session tickets with. One that could not be kept comes with
// the error.
func keptSecret(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err == nil && len(b) == 32 {
		return b, nil
	}
	b = make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	if err := snapshot.WriteFile(path, b); err != nil {
		return b, fmt.Errorf("keep a secret: %w", err)
	}
	return b, nil
}

// Limits of the console.
const (
	headerLimit = 5 * time.Second
	requestTime = 30 * time.Second
	idleLimit   = 2 * time.Minute
	stopLimit   = 5 * time.Second
	maxConsole  = 512 // connections at once: the record and the feed need open files, too
)

// serveHTTP serves a handler until ctx ends, then lets requests under way finish.
func serveHTTP(ctx context.Context, ln net.Listener, h http.Handler, admit func(net.Conn) error, peer func(net.Conn) string) error {
	if admit != nil {
		ln = admitted{ln, admit}
	}
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: headerLimit, ReadTimeout: requestTime, WriteTimeout: 2 * requestTime, IdleTimeout: idleLimit, MaxHeaderBytes: 32 << 10,
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	switch c := ln.(type) {
	case *crowd:
		srv.ConnState = c.stateOf
	case *either:
		srv.ConnState = c.Listener.(*crowd).stateOf //nolint:forcetypeassert // serveConsole has put it there
	}
	if peer != nil {
		srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return api.WithPeer(ctx, peer(c)) }
	}
	if err := listen.HTTP(ctx, ln, srv, stopLimit); err != nil {
		return fault.New(fault.Unavailable, "serve %s", ln.Addr()).Because(err)
	}
	return nil
}

// admitted closes connections of those who may not speak.
type admitted struct {
	net.Listener
	admit func(net.Conn) error
}

func (a admitted) Accept() (net.Conn, error) {
	for {
		c, err := a.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if a.admit(c) == nil {
			return c, nil
		}
		_ = c.Close()
	}
}

// KeyLine is the public key as answer trusts it.
func KeyLine(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil { // asked for before control's first start
		return "", fault.New(fault.Unavailable, "make the folder").Because(err)
	}
	key, _, err := supervise.LoadOrMakeKey(dir)
	if err != nil {
		return "", err
	}
	return snapshot.FormatKey(key.Public().(ed25519.PublicKey)), nil
}
