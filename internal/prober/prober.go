// Package prober asks the checks of targets on time and tells what is seen of
// them.
//
// It asks (Asker), keeps the time of each job (Prober) and leaves every judgement
// to package probe. It is not a monitor with a memory: it keeps the newest Kept
// results of each job and no more, and it knows nothing of what is ordered, of
// incidents or of levers. The answer process runs one; an Asker may be used
// alone, for example to ask a standby once before visitors are sent there. It
// imports only pure packages.
//
// Invariants: a job never overlaps itself; the next asking begins at the end of
// the one before or Every after its beginning, whichever is later; no job waits
// for another one, however many hang, so that probe.WorstDetection holds for
// each.
//
// Concurrency: every method of a Prober may be called from any goroutine; Run
// owns all goroutines, one a job. An Asker is a value and may be used from any
// goroutine.
package prober

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"lifeboat/internal/probe"
)

// Kept is how many results of each job are kept for pictures.
const Kept = 60

// Job is one check to be asked of one target.
type Job struct {
	Target probe.Target
	Check  probe.Check
}

// Status is what is known of one job at a moment.
type Status struct {
	Target probe.Target   `json:"target"`
	Check  probe.Check    `json:"check"` // with its defaults filled in
	Seen   probe.Seen     `json:"seen"`
	Since  time.Time      `json:"since"`  // when that was first seen, or when the job was set
	Last   probe.Result   `json:"last"`   // the zero value before the first asking has ended
	Streak probe.Streak   `json:"streak"` // passes in a row, every one counted
	Recent []probe.Result `json:"recent"` // oldest first, at most Kept
}

// Options of a Prober. The zero value is useful.
type Options struct {
	Logger *slog.Logger     // silent when nil
	Now    func() time.Time // for what is shown; waits are kept by monotonic timers. time.Now when nil

	// Ask asks once. It MUST return soon after its context ends, which is at the
	// latest Check.Timeout after its beginning. Ask when nil.
	Ask func(context.Context, probe.Target, probe.Check) probe.Result

	// Spread is how long a new job waits before its first asking, so that jobs set
	// together don't all ask at once: at random below Every when nil.
	Spread func(every time.Duration) time.Duration

	// OnTransition is told each change in what is seen: in order for each job, from
	// the job's own goroutine. It MUST NOT block, because the job's next asking
	// waits for it: put the transition into a ring or a buffered channel and
	// return. It may call Seen and Set. A transition of a job that Set is just
	// taking away may still arrive while Set runs.
	OnTransition func(probe.Transition)
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Ask == nil {
		o.Ask = Asker{Now: o.Now}.Ask
	}
	if o.Spread == nil {
		o.Spread = func(every time.Duration) time.Duration { return rand.N(every) }
	}
	if o.OnTransition == nil {
		o.OnTransition = func(probe.Transition) {}
	}
	return o
}

// Prober keeps a set of jobs going.
type Prober struct {
	opts    Options
	changed chan struct{} // holds one token when Run has to look at the jobs again

	// mu guards all below. It is never held while something is asked or told.
	mu      sync.Mutex
	running bool
	watches []*watch // in the order of Set
}

// New makes a Prober without jobs; nothing is asked before Run.
func New(o Options) *Prober {
	return &Prober{opts: o.withDefaults(), changed: make(chan struct{}, 1)}
}

// Set says which jobs there are from now on, before or during Run. A job that is
// there already, with the very same target and check, goes on undisturbed; one
// that differs in anything begins anew as Unknown; one that is gone is stopped,
// and what it was just being answered is not counted. The same job twice is one.
func (p *Prober) Set(jobs []Job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := make(map[Job]*watch, len(p.watches))
	for _, w := range p.watches {
		old[w.job] = w
	}
	taken := make(map[Job]bool, len(jobs))
	p.watches = nil
	for _, j := range jobs {
		j.Check = j.Check.WithDefaults()
		if taken[j] {
			continue
		}
		taken[j] = true
		w, ok := old[j]
		if !ok {
			w = newWatch(j, p.opts)
		}
		p.watches = append(p.watches, w)
	}
	for j, w := range old {
		if !taken[j] {
			w.remove()
		}
	}
	p.lookAgain()
}

// lookAgain tells Run that the jobs have changed; one token is enough for any
// number of changes.
func (p *Prober) lookAgain() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// Run asks the jobs until ctx ends, waits until the askings under way have ended,
// and returns nil. What was seen stays readable, and Run may be called again. A
// second Run beside a running one is an error.
func (p *Prober) Run(ctx context.Context) error {
	if !p.claim() {
		return errors.New("run prober: it is running already")
	}
	defer p.release()
	// Each goroutine is one job's; ctx, or the job's removal, stops it.
	var jobs sync.WaitGroup
	defer jobs.Wait()
	for {
		for _, w := range p.current() {
			jobCtx, started := w.start(ctx)
			if !started {
				continue
			}
			jobs.Go(func() { w.run(jobCtx) })
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.changed:
		}
	}
}

func (p *Prober) claim() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running {
		return false
	}
	p.running = true
	return true
}

func (p *Prober) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = false
}

// current is a copy of the jobs, so that nobody walks over the jobs with the lock held.
func (p *Prober) current() []*watch {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*watch(nil), p.watches...)
}

// Seen is what is known of every job now, in the order of Set. The caller owns it.
func (p *Prober) Seen() []Status {
	watches := p.current()
	all := make([]Status, len(watches))
	for i, w := range watches {
		all[i] = w.status()
	}
	return all
}
