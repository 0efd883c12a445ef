package capture

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Options of Run. The zero value is useful.
type Options struct {
	Now      func() time.Time // time.Now when nil
	Roots    *x509.CertPool   // who is trusted to sign certificates; the machine's own list when nil
	Parallel int              // items under way at once; 8
	Item     time.Duration    // for one item; 20s
	All      time.Duration    // for the whole job; 60s
	Question time.Duration    // for a DNS server's first chance to answer; 2s, and twice that for the second and over TCP
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Parallel == 0 {
		o.Parallel = 8
	}
	if o.Item == 0 {
		o.Item = 20 * time.Second
	}
	if o.All == 0 {
		o.All = time.Minute
	}
	if o.Question == 0 {
		o.Question = 2 * time.Second
	}
	return o
}

// task is one thing to ask, and makes one item or a few.
type task struct {
	Item // what is known of it before it is asked
	do   func(ctx context.Context, it Item) []Item
}

// Run asks everything that the job names and hands each item over as soon as it is
// there. It returns when all is asked, the time is up or ctx has ended; what has come
// until then is handed over. emit is called by one goroutine at a time; the others wait
// for it, so that no more than Parallel tasks' items are ever held.
func Run(ctx context.Context, j Job, o Options, emit func(Item)) Done {
	done := Done{Job: j.ID, Incident: j.Incident, Site: j.Site}
	if err := j.Validate(); err != nil {
		done.Problem = err.Error()
		return done
	}
	r := &run{job: j, o: o.withDefaults()}
	ctx, cancel := context.WithTimeoutCause(ctx, r.o.All, errAll)
	defer cancel()
	tasks := r.tasks()
	queue := make(chan task, len(tasks))
	for _, t := range tasks {
		queue <- t
	}
	close(queue)
	var (
		mu      sync.Mutex // guards what follows, and orders emit
		unasked int
		workers sync.WaitGroup
	)
	work := func() { // ends with the queue; ctx makes that short
		for t := range queue {
			if ctx.Err() != nil {
				mu.Lock()
				unasked++
				mu.Unlock()
				continue
			}
			items := r.take(ctx, t)
			mu.Lock()
			for _, it := range items {
				done.Items++
				emit(it)
			}
			mu.Unlock()
		}
	}
	for range min(r.o.Parallel, len(tasks)) {
		workers.Go(work)
	}
	workers.Wait()
	if unasked > 0 {
		done.Problem = fmt.Sprintf("%d of %s were not asked: the time was up", unasked, counted(len(tasks), "question"))
	}
	return done
}

// run is one job under way.
type run struct {
	job Job
	o   Options
}

// take does one task in its time. A panic is a fault of ours that a hostile server
// found: it costs the item, not the process that answers visitors.
func (r *run) take(ctx context.Context, t task) (items []Item) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.o.Item, errTime)
	defer cancel()
	t.Job, t.Incident, t.Site, t.At = r.job.ID, r.job.Incident, r.job.Site, r.o.Now()
	defer func() {
		if p := recover(); p != nil {
			t.Problem = "what came could not be read, by a fault in lifeboat"
			t.Summary = sentence(t.Problem)
			items = []Item{t.Item}
		}
		for i := range items {
			if items[i].Took == 0 {
				items[i].Took = r.o.Now().Sub(t.At)
			}
			items[i] = items[i].sealed()
		}
	}()
	return t.do(ctx, t.Item)
}

// tasks are all things to ask. The kinds take turns, so that none is left for last
// when the time gets short.
func (r *run) tasks() []task {
	lanes := [][]task{r.dnsTasks(), r.httpTasks(), r.tlsTasks(), r.metricsTasks()}
	var out []task
	for i, more := 0, true; more; i++ {
		more = false
		for _, lane := range lanes {
			if i < len(lane) {
				out, more = append(out, lane[i]), true
			}
		}
	}
	return out
}

// each calls f for every address of every place.
func (r *run) each(f func(place string, at netip.Addr)) {
	for _, p := range r.job.Places {
		for _, a := range p.Addresses {
			f(p.Name, a)
		}
	}
}
