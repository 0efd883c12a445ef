// Package shop is the sample site of the demo: a small web shop that does what
// real shops do (pages, a basket, a checkout, an API, a database, a service that it
// depends on, metrics and a log) and that can be broken on request.
//
// It is not part of lifeboat's own work: no other package knows what it sells, and
// it knows nothing of lifeboat but the address of a flag endpoint (OFREP). It runs
// in its own process, one for each origin of the demo; package cli starts it and
// package demo breaks it. Several shops may share one data file: what is wrong with
// the books is wrong for all of them, and outlives their processes.
//
// Invariants: nothing is pretended: whatever goes wrong goes wrong in the shop's own
// code, its books or the service that it asks; the public port never offers a way to
// break the shop, only the control socket does (mode 0600); every answer carries the
// header Shop-Origin; when the flag endpoint does not answer in time, the checkout
// stays open (the code default); while the checkout is closed, nobody asks the stock
// service; connections, bodies, baskets, the orders kept and the log are bounded.
//
// Concurrency: Run starts all goroutines and returns when they have ended. Break, Do,
// Repair and State may be called from any goroutine of any process; so may a Stock.
package shop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"golang.org/x/net/netutil"

	"lifeboat/internal/fault"
)

// OriginHeader names the shop that answered, on every answer.
const OriginHeader = "Shop-Origin"

// Limits of the public port.
const (
	maxConnections = 512      // more wait in the listen queue
	maxBody        = 64 << 10 // bytes
	writeTimeout   = 10 * time.Second
	stopTimeout    = 3 * time.Second
)

// Options say where a shop listens and what it uses.
type Options struct {
	Listen   string       // address of the public port, "127.0.0.1:0" when empty
	Listener net.Listener // used in place of Listen when set; Run closes it
	Control  string       // path of the control socket; no control when empty
	DataFile string       // the SQLite file; made when it does not exist
	OFREP    string       // base URL of the flag endpoint; always the code default when empty
	Stock    string       // base URL of the stock service; nobody is asked when empty
	Name     string       // which origin this is, "main" when empty
	Release  string       // of the shop's code: GoodRelease when empty
	Well     int          // how many requests a LeakyRelease answers first, about; 40 when 0
	Log      string       // file for a line per failing request, at most 4 MiB and as much before; Logger when empty
	Logger   *slog.Logger // slog.Default when nil
	Ready    func(net.Addr)
	Now      func() time.Time

	exit func(int) // os.Exit outside tests
}

func (o Options) withDefaults() Options {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.Name == "" {
		o.Name = "main"
	}
	if o.Release == "" {
		o.Release = GoodRelease
	}
	if o.Well == 0 {
		o.Well = usualWell
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.Logger = o.Logger.With("origin", o.Name)
	if o.Ready == nil {
		o.Ready = func(net.Addr) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.exit == nil {
		o.exit = os.Exit
	}
	return o
}

func (o Options) validate() error {
	if o.DataFile == "" {
		return fault.New(fault.Invalid, "no data file given").At("data file").
			WithHint("name a file that the shop may write, such as shop.db")
	}
	if o.Well < minWell || o.Well > maxWell {
		return fault.New(fault.Invalid, "not a number of requests that fits: %d", o.Well).At("well").
			WithHint("from %d to %d", minWell, maxWell)
	}
	return errors.Join(checkRelease(o.Release), checkURL("ofrep", o.OFREP), checkURL("stock", o.Stock))
}

// checkURL says whether a text is the base URL of a service, or nothing.
func checkURL(place, text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fault.New(fault.Invalid, "not the URL of a service: %q", text).At(place).
			WithHint("give a base such as http://127.0.0.1:8016")
	}
	return nil
}

// Run serves the shop until ctx ends, then stops within a few seconds and returns
// nil. It returns a *fault.Error when an option is wrong or a port is taken.
func Run(ctx context.Context, o Options) error {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return errors.Join(err, closeListener(o.Listener))
	}
	log, closeLog, err := o.openLog()
	if err != nil {
		return errors.Join(err, closeListener(o.Listener))
	}
	defer closeLog()
	data, err := openData(ctx, o.DataFile, o.Now)
	if err != nil {
		return errors.Join(err, closeListener(o.Listener))
	}
	defer data.Close()
	public, err := listen(o)
	if err != nil {
		return err
	}
	s := newSite(o, data, ctx.Done(), log)
	defer s.close()
	servers := []*running{{
		name:     "public",
		listener: netutil.LimitListener(public, maxConnections),
		server:   newServer(s.handler(), o.Logger),
	}}
	if o.Control != "" {
		socket, err := listenSocket(o.Control)
		if err != nil {
			return errors.Join(err, public.Close())
		}
		defer os.Remove(o.Control)
		servers = append(servers, &running{
			name:     "control",
			listener: socket,
			server:   newServer(newControl(s, public.Addr().String(), o.exit), o.Logger),
		})
	}
	o.Ready(public.Addr())
	for _, l := range slices.Compact([]*slog.Logger{o.Logger, log}) {
		l.Info("shop open", "release", o.Release, "address", public.Addr().String())
	}
	return serveAll(ctx, servers)
}

// openLog gives the logger for failing requests, and what closes it.
func (o Options) openLog() (log *slog.Logger, closed func(), err error) {
	if o.Log == "" {
		return o.Logger, func() {}, nil
	}
	f, err := openLog(o.Log, maxLog)
	if err != nil {
		return nil, nil, err
	}
	return slog.New(slog.NewTextHandler(f, nil)).With("origin", o.Name), func() { _ = f.Close() }, nil // nothing is buffered
}

func closeListener(l net.Listener) error {
	if l == nil {
		return nil
	}
	return l.Close()
}

func listen(o Options) (net.Listener, error) {
	if o.Listener != nil {
		return o.Listener, nil
	}
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "listen for visitors").At(o.Listen).Because(err).
			WithHint("is another program using this address?")
	}
	return l, nil
}

// running is one server with its listener.
type running struct {
	name     string
	listener net.Listener
	server   *http.Server
}

// serveAll serves until ctx ends or one server fails, and stops all.
func serveAll(ctx context.Context, servers []*running) error {
	ended := make(chan error, len(servers))
	for _, r := range servers {
		// Ends when stopAll shuts the server down.
		go func() {
			err := r.server.Serve(r.listener)
			if errors.Is(err, http.ErrServerClosed) {
				err = nil
			} else if err != nil {
				err = fmt.Errorf("serve %s: %w", r.name, err)
			}
			ended <- err
		}()
	}
	var failed error
	waiting := len(servers)
	select {
	case <-ctx.Done():
	case failed = <-ended:
		waiting--
	}
	stopAll(servers)
	for range waiting {
		failed = errors.Join(failed, <-ended)
	}
	return failed
}

// stopAll lets requests finish, for a bounded time.
func stopAll(servers []*running) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), stopTimeout,
		errors.New("shop took too long to stop"))
	defer cancel()
	for _, r := range servers {
		if err := r.server.Shutdown(ctx); err != nil {
			r.server.Close()
		}
	}
}

func newServer(h http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}
