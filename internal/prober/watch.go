package prober

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"lifeboat/internal/probe"
)

// watch is one job under way: its clock, its judge and its newest results.
type watch struct {
	job  Job
	opts Options

	// mu guards all below; it is held for a few assignments at a time.
	mu      sync.Mutex
	stop    context.CancelFunc // of the goroutine; nil while there is none
	removed bool               // by Set: nothing counts any more
	judge   probe.Judge
	streak  probe.Streak
	since   time.Time
	ring    [Kept]probe.Result
	count   int // of all results ever
}

func newWatch(j Job, o Options) *watch {
	return &watch{job: j, opts: o, judge: probe.NewJudge(j.Check), since: o.Now()}
}

// start claims the watch for a goroutine that the caller starts; false when it
// has one already or has been removed.
func (w *watch) start(ctx context.Context) (context.Context, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop != nil || w.removed {
		return nil, false
	}
	ctx, w.stop = context.WithCancel(ctx)
	return ctx, true
}

func (w *watch) remove() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.removed = true
	if w.stop != nil {
		w.stop()
	}
}

// run asks until ctx ends. The timer is set again before each asking and read
// after it: so the next one begins Every after the beginning of this one, or at
// once when this one took longer.
func (w *watch) run(ctx context.Context) {
	defer w.ended()
	every := max(w.job.Check.Every, probe.MinEvery)
	timer := time.NewTimer(w.opts.Spread(every))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(every)
		r := w.ask(ctx)
		if ctx.Err() != nil {
			return // the answer of an asking that we cut short says nothing
		}
		w.record(r)
	}
}

func (w *watch) ended() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stop()
	w.stop = nil
}

func (w *watch) ask(ctx context.Context) probe.Result {
	ctx, cancel := context.WithTimeoutCause(ctx, w.job.Check.Timeout, errNoAnswer)
	defer cancel()
	began := w.opts.Now()
	r := w.opts.Ask(ctx, w.job.Target, w.job.Check)
	if r.At.IsZero() {
		r.At = began
	}
	return r
}

func (w *watch) record(r probe.Result) {
	t, changed := w.take(r)
	if !changed {
		return
	}
	w.opts.Logger.Info("what is seen has changed",
		slog.String("site", t.Target.Site), slog.String("place", t.Target.Place), slog.String("check", t.Check),
		slog.String("from", string(t.From)), slog.String("to", string(t.To)), slog.String("detail", t.Detail))
	w.opts.OnTransition(t)
}

// take takes one result in and gives the transition that it made, if any.
func (w *watch) take(r probe.Result) (t probe.Transition, changed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.removed {
		return t, false
	}
	w.ring[w.count%Kept] = r
	w.count++
	w.streak = w.streak.Next(r, 0)
	before := w.judge.Seen()
	if w.judge, changed = w.judge.Next(r.Verdict); !changed {
		return t, false
	}
	w.since = w.opts.Now()
	return probe.Transition{
		Target: w.job.Target, Check: w.job.Check.Name,
		From: before, To: w.judge.Seen(), At: w.since, Detail: r.Detail,
	}, true
}

func (w *watch) status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := Status{
		Target: w.job.Target, Check: w.job.Check,
		Seen: w.judge.Seen(), Since: w.since, Streak: w.streak,
		Recent: make([]probe.Result, 0, min(w.count, Kept)),
	}
	for i := max(0, w.count-Kept); i < w.count; i++ {
		s.Recent = append(s.Recent, w.ring[i%Kept])
	}
	if w.count > 0 {
		s.Last = w.ring[(w.count-1)%Kept]
	}
	return s
}
