package demo

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"lifeboat/internal/demo/shop"
	"lifeboat/internal/fault"
	"lifeboat/internal/handover"
)

// ShopSocket is the name under which a shop's listener is handed down to it.
const ShopSocket = "shop"

// How long a shop may take to end, and how often it is asked whether it is there.
const (
	shopGrace = 5 * time.Second
	askEvery  = 10 * time.Millisecond
)

// origin is one place that runs the shop, in a process of its own. What has died
// stays dead until somebody repairs it.
type origin struct {
	binary   string
	name     string // main or backup
	ip       string
	port     int
	dataFile string
	control  string // the shop's own control socket
	ofrep    string
	stock    string   // base URL of the stock service
	shopLog  string   // where the shop writes a line per failing request
	log      *os.File // what the process itself says

	mu      sync.Mutex // guards all below
	cmd     *exec.Cmd
	ended   chan struct{} // closed when the process has ended
	release string        // what the next start runs; shop.GoodRelease if empty
	well    int           // how many requests a leaky one answers first
}

// runs is the release that runs, or would run if the shop were started.
func (s *origin) runs() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cmp.Or(s.release, shop.GoodRelease)
}

// start runs the shop on a listener, which it takes over, and waits until it answers.
func (s *origin) start(ctx context.Context, l *net.TCPListener) error {
	sockets := handover.Sockets{}
	err := errors.Join(sockets.Add(ShopSocket, l), l.Close())
	defer func() { _ = sockets.Close() }() // the shop has its own: a dead shop's port must refuse
	if err != nil {
		return err
	}
	cmd := exec.Command(s.binary, s.arguments()...)
	cmd.Env = append(handover.Environ(os.Environ()), sockets.Env())
	cmd.ExtraFiles = sockets.ExtraFiles()
	cmd.Stdout, cmd.Stderr = s.log, s.log
	// A group of its own, so that a ^C reaches only us; and never longer than we live.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := s.spawn(cmd); err != nil {
		return fault.New(fault.Unavailable, "start the shop %s", s.name).Because(err)
	}
	return s.await(ctx)
}

func (s *origin) arguments() []string {
	args := []string{
		"demo-shop", "--name", s.name, "--file", s.dataFile, "--control", s.control,
		"--ofrep", s.ofrep, "--stock", s.stock, "--log", s.shopLog, "--release", s.runs(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.well > 0 {
		args = append(args, "--well", strconv.Itoa(s.well))
	}
	return args
}

// spawn starts the process from a thread that stays: the kernel takes the end of
// the thread for the end of the parent.
func (s *origin) spawn(cmd *exec.Cmd) error {
	started, ended := make(chan error, 1), make(chan struct{})
	go func() { // ends with the shop
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is the log's to tell
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cmd, s.ended = cmd, ended
	return nil
}

// await waits until the shop answers.
func (s *origin) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTime, errors.New("it took too long"))
	defer cancel()
	for {
		_, err := shop.State(ctx, s.control)
		if err == nil {
			return nil
		}
		select {
		case <-s.done():
			return fault.New(fault.Unavailable, "the shop %s ended at its start", s.name).WithHint("its words are in %s", s.log.Name())
		case <-ctx.Done():
			return fault.New(fault.Unavailable, "the shop %s does not answer", s.name).Because(errors.Join(context.Cause(ctx), err)).
				WithHint("its words are in %s", s.log.Name())
		case <-time.After(askEvery):
		}
	}
}

// done is closed when no shop runs.
func (s *origin) done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == nil {
		none := make(chan struct{})
		close(none)
		return none
	}
	return s.ended
}

// dead says whether no shop runs.
func (s *origin) dead() bool {
	select {
	case <-s.done():
		return true
	default:
		return false
	}
}

// repair ends what a shop can do to itself; one that has died is started again.
func (s *origin) repair(ctx context.Context) error {
	err := shop.Repair(ctx, s.control)
	if err == nil {
		return nil
	}
	select {
	case <-s.done():
	case <-ctx.Done():
		return err
	case <-time.After(shopGrace): // it lives and does not listen to us
		return err
	}
	if err := s.restart(ctx); err != nil {
		return err
	}
	return shop.Repair(ctx, s.control) // what was in its books has outlived it
}

// deploy puts a release in place of the one that runs.
func (s *origin) deploy(ctx context.Context, release string, well int) error {
	s.mu.Lock()
	s.release, s.well = release, well
	s.mu.Unlock()
	return s.restart(ctx)
}

// restart ends the process, if it runs, and starts one at its address: the same
// release, the same books.
func (s *origin) restart(ctx context.Context) error {
	s.stop()
	l, err := listenAt(s.ip, s.port)
	if err != nil {
		return fault.New(fault.Unavailable, "the shop can't be started again").At(net.JoinHostPort(s.ip, strconv.Itoa(s.port))).Because(err)
	}
	return s.start(ctx, l)
}

// stop ends the shop: asked first, killed when late.
func (s *origin) stop() {
	s.mu.Lock()
	cmd, ended := s.cmd, s.ended
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended
	_ = cmd.Process.Signal(syscall.SIGCONT) // a stopped one is woken, so that it can
	select {
	case <-ended:
	case <-time.After(shopGrace):
		_ = cmd.Process.Kill()
		<-ended
	}
}
