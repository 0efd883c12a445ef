// Package supervise is `lifeboat serve`: it opens every socket, starts one
// control and one answer of the same binary, hands the sockets down, and starts
// again whichever of the two ends.
//
// It answers no query, reads no configuration and decides nothing about sites.
// Only the command line and the demo run it; control uses LoadOrMakeKey. It
// imports handover, snapshot and fault, and of the data plane only the function
// that opens DNS sockets.
//
// Invariants: the sockets of the data plane stay open while a child is replaced,
// so that no query is lost; the children outlive a killed parent, and the next
// parent on the folder joins them; at most one parent works on a folder; the
// signing key exists before either child starts, and answer's trust in it is
// never changed here once answer has anything to lose; answer stops last.
//
// Concurrency: Run may be called once per folder and process; it owns its
// goroutines and returns after all of them.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"lifeboat/internal/authdns"
	"lifeboat/internal/fault"
	"lifeboat/internal/handover"
)

// How long the children may take to end: control first, then answer.
const (
	controlGrace = 10 * time.Second
	wholeGrace   = 15 * time.Second
)

// Options are what serve is started with. Data and the first four addresses are needed.
type Options struct {
	Binary string   // what to start the children from; this program if empty
	Data   string   // the data folder
	Config string   // control's configuration file
	Env    []string // added to the children's environment

	ControlArgs, AnswerArgs []string // added to the children's arguments

	HTTP, DNS, StandbyHTTP, OFREP string // addresses; port 0 chooses a free one
	StandbyHTTPS                  string // the same; "": the standby does not answer over TLS
	UDPSockets                    int    // UDP sockets that share the DNS port; one per processor if 0

	ControlUser, AnswerUser string // accounts to run the children as; needs root
	ReadyFile               string // written when both are ready, and again when an address or pid changes

	// OnReady is called once, when both children are ready.
	OnReady func(Addresses)
	// Sockets are already open ones, from systemd: they stand for the addresses.
	Sockets handover.Sockets
	// ListenDNS opens the DNS sockets; authdns.Listen if nil.
	ListenDNS func(addr string, n int) ([]*net.UDPConn, *net.TCPListener, error)

	Stderr *os.File // where the children write; this program's if nil
	Logger *slog.Logger
	Now    func() time.Time // time.Now if nil
}

func (o Options) withDefaults() (Options, error) {
	if o.Data == "" {
		return o, fault.New(fault.Invalid, "no data folder is named").At("--data")
	}
	var err error
	if o.Data, err = filepath.Abs(o.Data); err != nil {
		return o, fmt.Errorf("find data folder: %w", err)
	}
	if o.Binary == "" {
		if o.Binary, err = os.Executable(); err != nil {
			return o, fmt.Errorf("find this program: %w", err)
		}
	}
	if o.UDPSockets < 1 {
		o.UDPSockets = runtime.GOMAXPROCS(0)
	}
	if o.ListenDNS == nil {
		o.ListenDNS = authdns.Listen
	}
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, o.validate()
}

func (o Options) validate() error {
	if o.Sockets.Has(handover.DNSUDP) != o.Sockets.Has(handover.DNSTCP) {
		return fault.New(fault.Invalid, "of the DNS sockets only one kind was handed down").At("--dns").
			WithHint("hand down both %s and %s, or neither", handover.DNSUDP, handover.DNSTCP)
	}
	addrs := []struct{ socket, flag, addr string }{
		{handover.HTTP, "--http", o.HTTP},
		{handover.DNSTCP, "--dns", o.DNS},
		{handover.StandbyHTTP, "--standby-http", o.StandbyHTTP},
		{handover.OFREP, "--ofrep", o.OFREP},
	}
	if o.StandbyHTTPS != "" {
		addrs = append(addrs, struct{ socket, flag, addr string }{handover.StandbyHTTPS, "--standby-https", o.StandbyHTTPS})
	}
	for _, a := range addrs {
		if o.Sockets.Has(a.socket) {
			continue
		}
		if err := handover.CheckAddr(a.flag, a.addr); err != nil {
			return err
		}
	}
	return nil
}

// parent is a running serve.
type parent struct {
	Options
	log      *slog.Logger
	accounts accounts
	news     chan struct{} // capacity 1: an address or a pid has changed

	control, answer *child

	mu      sync.Mutex
	sockets struct{ control, answer handover.Sockets } // guarded by mu
	at      Addresses                                  // guarded by mu: what is bound; HTTP "" while the console has no port
	console console                                    // guarded by mu
}

// Run keeps one control and one answer going until ctx ends or a SIGTERM, SIGINT
// or SIGHUP comes; then it ends control, then answer, within 15 s. A second signal
// ends both at once. The error tells what kept it from starting: a taken address
// of the data plane (a taken console port only delays the console), a second
// serve on the folder, an unusable folder.
func Run(ctx context.Context, o Options) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGPIPE) // whoever reads our log may go away
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, stopSignals()...)
	defer signal.Stop(signals)

	p := &parent{Options: o, log: o.Logger.With("component", "supervise"), news: make(chan struct{}, 1)}
	if p.accounts, err = findAccounts(o.ControlUser, o.AnswerUser); err != nil {
		return err
	}
	if err := makeFolders(o.Data, p.accounts, p.log); err != nil {
		return err
	}
	lock, err := lockFolder(o.Data)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // which lets go of the lock
	defer p.closeSockets()
	if err := p.prepare(ctx); err != nil {
		return err
	}
	p.run(ctx, signals)
	return nil
}

// stopSignals are the signals that mean "end". A SIGHUP that was ignored from the
// start (nohup) stays so.
func stopSignals() []os.Signal {
	stop := []os.Signal{syscall.SIGTERM, syscall.SIGINT}
	if !signal.Ignored(syscall.SIGHUP) {
		stop = append(stop, syscall.SIGHUP)
	}
	return stop
}

// prepare makes the key, finds the children that already run and opens what
// they don't hold.
func (p *parent) prepare(ctx context.Context) error {
	if p.ReadyFile != "" {
		if err := os.Remove(p.ReadyFile); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove old ready file: %w", err)
		}
	}
	if err := p.makeKey(); err != nil {
		return err
	}
	p.control = newChild("control", longWait, p.startControl, p)
	p.answer = newChild("answer", longWaitAnswers, p.startAnswer, p)
	if err := p.join(ctx); err != nil {
		return err
	}
	if p.control.process == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.openControl()
	}
	return nil
}

// run keeps the children until it is time to end, then ends them in order.
func (p *parent) run(ctx context.Context, signals <-chan os.Signal) {
	around, stop := context.WithCancel(ctx)
	defer stop()
	var children, helpers sync.WaitGroup
	children.Go(p.answer.keep)                     // ended by p.answer.end
	children.Go(p.control.keep)                    // ended by p.control.end
	helpers.Go(func() { p.report(around) })        // ended by stop
	helpers.Go(func() { p.seekConsole(around) })   // ended by stop
	hurry := p.waitForEnd(ctx, signals, &children) // closed by a second signal
	stop()
	helpers.Wait()

	p.log.Info("ending; control first, answer last")
	deadline := time.After(wholeGrace)
	p.control.end(time.After(controlGrace), hurry)
	p.answer.end(deadline, hurry)
	children.Wait()
	p.forget()
	p.log.Info("ended")
}

// waitForEnd returns when ctx ends or a signal says so. The channel that it
// gives is closed by the second signal; its goroutine ends with the children.
func (p *parent) waitForEnd(ctx context.Context, signals <-chan os.Signal, children *sync.WaitGroup) <-chan struct{} {
	seen := 0
	select {
	case <-ctx.Done():
	case sig := <-signals:
		p.log.Info("told to end", "signal", sig.String())
		seen++
	}
	gone := make(chan struct{})
	go func() { children.Wait(); close(gone) }() // ends with the children
	hurry := make(chan struct{})
	go func() { // ends with the children, or at the second signal
		for ; seen < 2; seen++ {
			select {
			case <-gone:
				return
			case <-signals:
			}
		}
		p.log.Warn("told to end now")
		close(hurry)
	}()
	return hurry
}

// changed says that an address or a pid is new.
func (p *parent) changed() {
	select {
	case p.news <- struct{}{}:
	default: // it has been said and not been heard yet
	}
}

// forget removes what would mislead the next serve after an orderly end.
func (p *parent) forget() {
	gone := []string{statePath(p.Data), p.at.ControlSock, p.at.AnswerSock, filepath.Join(p.Data, handover.FeedSock)}
	if p.ReadyFile != "" {
		gone = append(gone, p.ReadyFile)
	}
	for _, path := range gone {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			p.log.Warn("can't remove a file", "path", path, "error", err)
		}
	}
}
