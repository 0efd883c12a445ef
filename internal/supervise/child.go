package supervise

import (
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Restarts: the first comes at once, later ones wait longer until the child has
// lived for a while. Resolvers ask again after about a second, so answer never waits
// long enough for that to be lost, whatever ends it again and again.
const (
	firstWait       = 100 * time.Millisecond
	longWait        = 2 * time.Second
	longWaitAnswers = 200 * time.Millisecond
	goodLife        = 10 * time.Second
)

// backoff is how long to wait before the next start, at the most for long.
type backoff struct{ next, long time.Duration }

// after gives the wait after a child that lived this long.
func (b *backoff) after(life time.Duration) time.Duration {
	if life >= goodLife {
		b.next = 0
	}
	wait := b.next
	b.next = min(max(2*wait, firstWait), b.long)
	return wait
}

// child is one of the two that are kept going.
type child struct {
	name    string
	long    time.Duration // between two starts, at the most
	start   func() (*process, error)
	changed func()
	now     func() time.Time
	log     *slog.Logger
	stop    chan struct{} // closed by end: no further start
	ended   chan struct{} // closed by keep: none runs any more

	mu      sync.Mutex
	process *process // guarded by mu; the newest, or the joined one at first
	ending  bool     // guarded by mu
}

func newChild(name string, long time.Duration, start func() (*process, error), p *parent) *child {
	return &child{
		name: name, long: long, start: start, changed: p.changed, now: p.Now, log: p.log.With("child", name),
		stop: make(chan struct{}), ended: make(chan struct{}),
	}
}

// keep starts the child whenever none runs, until end is called.
func (c *child) keep() {
	defer close(c.ended)
	b := backoff{long: c.long}
	for {
		began := c.now()
		p, over := c.begin()
		if over {
			return
		}
		if p != nil {
			c.changed()
			<-p.done
			c.log.Warn("a child has ended", "pid", p.pid, "how", p.how)
			if p.joined {
				began = time.Time{} // it has lived for longer than we know
			}
		}
		select {
		case <-c.stop:
			return
		case <-time.After(b.after(c.now().Sub(began))):
		}
	}
}

// begin gives the joined process at first, later a new one; nil when none could be
// started; over when none may be.
func (c *child) begin() (p *process, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process != nil && c.process.running() {
		return c.process, false
	}
	if c.ending {
		return nil, true
	}
	p, err := c.start()
	if err != nil {
		c.log.Error("can't start a child; trying again", "error", err)
		return nil, false
	}
	c.process = p
	c.log.Info("started a child", "pid", p.pid)
	return p, false
}

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// current is the process that runs now, nil if none does.
func (c *child) current() *process {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process == nil || !c.process.running() {
		return nil
	}
	return c.process
}

// end ends the child for good: asked first, killed when late or in a hurry.
func (c *child) end(late <-chan time.Time, hurry <-chan struct{}) {
	c.mu.Lock()
	c.ending = true
	close(c.stop)
	p := c.process
	c.mu.Unlock()
	if p == nil {
		<-c.ended
		return
	}
	p.ask()
	select {
	case <-c.ended:
		return
	case <-late:
		c.log.Warn("a child takes too long to end; killing it", "pid", p.pid)
	case <-hurry:
	}
	_ = p.signal(unix.SIGKILL) // an error means that it has ended
	<-c.ended
}
