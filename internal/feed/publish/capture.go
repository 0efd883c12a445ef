package publish

import (
	"context"
	"encoding/json"
	"sync"

	"lifeboat/internal/capture"
	"lifeboat/internal/fault"
	"lifeboat/internal/feed"
)

// CaptureHandler is a Handler that takes evidence. Its methods are called one at a
// time, in the order in which things came, beside the Handler's own; however long
// they take, acknowledgements, reports and the status go on.
type CaptureHandler interface {
	// Captured gives one item. ctx ends when nothing can be recorded any more.
	Captured(ctx context.Context, it capture.Item)
	// CaptureDone ends a job: once for each that Capture took, at the latest when the
	// connection has ended; but for the end of serving.
	CaptureDone(ctx context.Context, d capture.Done)
}

// Limits of the evidence of one connection.
const (
	maxOrdered = 8        // jobs
	maxItem    = 2 << 20  // bytes of one item's message
	maxQueued  = 32 << 20 // bytes of items that wait for the handler
)

// Capture asks answer for evidence and returns at once; what comes is given to the
// CaptureHandler. It fails with kind Unavailable when no answer is connected or it has
// enough to do, and NotSupported when this one captures nothing.
func (s *Server) Capture(ctx context.Context, j capture.Job) error {
	if err := j.Validate(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fault.New(fault.Unavailable, "capture evidence").Because(err)
	}
	s.mu.Lock()
	se := s.conn
	s.mu.Unlock()
	switch {
	case se == nil:
		return fault.New(fault.Unavailable, "the answer process is not connected, so no evidence is captured from outside").WithHint("see whether it runs: lifeboat answer status")
	case s.capturer == nil || !se.hello.Captures:
		return fault.New(fault.NotSupported, "the answer process that is connected captures no evidence").WithHint("start lifeboat anew, so that both processes are of this version")
	}
	return se.evidence.order(j)
}

// evidence is what one connection has been asked for and has brought.
type evidence struct {
	orders chan capture.Job // to be sent
	wake   chan struct{}    // signalled when something was queued, or at the end

	mu    sync.Mutex // guards all below
	jobs  map[string]*ordered
	queue []arrival
	bytes int // of the queue
	lost  int // items dropped since the last done; jobs are done one at a time
	ended bool
}

// ordered is a job that has not come to its end for the handler.
type ordered struct {
	capture.Job
	done bool // its end is in the queue
}

// arrival is an item as it came, or the end of a job.
type arrival struct {
	item json.RawMessage
	done *capture.Done
}

func newEvidence() *evidence {
	return &evidence{orders: make(chan capture.Job, maxOrdered), wake: make(chan struct{}, 1), jobs: map[string]*ordered{}}
}

// order takes a job to be sent.
func (e *evidence) order(j capture.Job) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return fault.New(fault.Unavailable, "the answer process has just left").WithHint("try again")
	}
	if e.jobs[j.ID] != nil {
		return fault.New(fault.Conflict, "capture %s is under way already", j.ID)
	}
	busy := fault.New(fault.Unavailable, "%d captures are under way already", len(e.jobs)).WithHint("try again in a minute")
	if len(e.jobs) >= maxOrdered {
		return busy
	}
	select {
	case e.orders <- j:
		e.jobs[j.ID] = &ordered{Job: j}
		return nil
	default:
		return busy
	}
}

// send sends what is ordered until ctx ends.
func (e *evidence) send(ctx context.Context, c *feed.Conn) {
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-e.orders:
			if c.Send(feed.TypeCapture, j) != nil {
				_ = c.Close() // nothing can follow half a message
				return
			}
		}
	}
}

// add queues an item, or drops it when the handler is too far behind.
func (e *evidence) add(item json.RawMessage) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.jobs) == 0 { // nobody has asked
		return
	}
	if len(item) > maxItem || e.bytes+len(item) > maxQueued {
		e.lost++
		return
	}
	e.push(arrival{item: item})
}

// done queues the end of a job.
func (e *evidence) done(d capture.Done) {
	e.mu.Lock()
	defer e.mu.Unlock()
	o := e.jobs[d.Job]
	if o == nil || o.done {
		return
	}
	o.done = true
	d.Incident, d.Site, d.Lost = o.Incident, o.Site, e.lost
	e.lost = 0
	e.push(arrival{done: &d})
}

func (e *evidence) push(a arrival) { // with mu held
	e.queue = append(e.queue, a)
	e.bytes += len(a.item)
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// end is called when the connection has ended: what was not finished never will be.
func (e *evidence) end() {
	e.mu.Lock()
	var open []string
	for id, o := range e.jobs {
		if !o.done {
			open = append(open, id)
		}
	}
	e.mu.Unlock()
	for _, id := range open {
		e.done(capture.Done{Job: id, Problem: "the answer process left before everything was captured"})
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	close(e.wake)
}

// next waits for what came next; false at the end, or when ctx has ended.
func (e *evidence) next(ctx context.Context) (a arrival, more bool) {
	for ctx.Err() == nil {
		e.mu.Lock()
		if len(e.queue) > 0 {
			a, e.queue = e.queue[0], e.queue[1:]
			e.bytes -= len(a.item)
			e.mu.Unlock()
			return a, true
		}
		ended := e.ended
		e.mu.Unlock()
		if ended {
			return a, false
		}
		select {
		case <-ctx.Done():
		case <-e.wake:
		}
	}
	return a, false
}

// deliver gives the handler what the connection brought, to its end even when the
// connection has ended; only the end of serving cuts it short.
func (s *Server) deliver(serving context.Context, e *evidence) {
	unusable := 0 // items since the last done
	for {
		a, more := e.next(serving)
		if !more {
			return
		}
		s.capturing.Lock() // the connection before may still be at work
		if a.done != nil {
			a.done.Lost += unusable
			unusable = 0
			s.capturer.CaptureDone(serving, *a.done)
			e.forget(a.done.Job)
		} else if it, err := e.read(a.item); err != nil {
			unusable++
			s.o.Logger.Warn("an item of evidence was not taken", "cause", err)
		} else {
			s.capturer.Captured(serving, it)
		}
		s.capturing.Unlock()
	}
}

// read makes an item of what came. Which incident it belongs to is for control to say.
func (e *evidence) read(raw json.RawMessage) (it capture.Item, err error) {
	if err := json.Unmarshal(raw, &it); err != nil {
		return it, fault.New(fault.Invalid, "an item of evidence can't be read").Because(err)
	}
	if err := it.Validate(); err != nil {
		return it, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	o := e.jobs[it.Job]
	if o == nil {
		return it, fault.New(fault.Invalid, "nobody has asked for it")
	}
	it.Incident, it.Site = o.Incident, o.Site
	return it, nil
}

func (e *evidence) forget(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.jobs, id)
}
