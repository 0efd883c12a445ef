// Package follow is answer's end of the feed: it dials control, says what is
// served, takes snapshots, hands over reports, captures evidence when it is asked
// to, and asks what visitors of a status page want of control.
//
// It never makes answer wait: a stopped control costs a few blocked goroutines here
// and nothing else. It imports no control-plane package. Evidence is captured by one
// job at a time, beside everything else, and belongs to its connection: when that
// ends, so does the job, and control knows.
//
// Concurrency: Run is called once; the other methods from any goroutine.
package follow

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lifeboat/internal/capture"
	"lifeboat/internal/fault"
	"lifeboat/internal/feed"
)

// Options of a Follower. Dial, Hello, Take and Status MUST be set.
type Options struct {
	Dial   func(context.Context) (net.Conn, error)
	Hello  func() feed.Hello
	Take   func(feed.Publish) feed.Ack // applies a snapshot; called one at a time
	Status func() feed.Status
	Ring   *feed.Ring

	// Stage makes the parts of a coming snapshot ready; those that have come are given by
	// hash. It is called one at a time, beside all else; nil: nothing is taken ahead.
	Stage func(s feed.Stage, parts map[string][]byte) feed.Staged

	// Capture does a job and hands over its items, one at a time; nil: none is done.
	// It MUST return soon after its context ends.
	Capture func(ctx context.Context, j capture.Job, emit func(capture.Item)) capture.Done

	Now    func() time.Time
	Logger *slog.Logger
	Retry  time.Duration // between attempts to dial; 100ms, and up to 20 times as long after greetings that came to nothing
}

// Follower follows one control.
type Follower struct {
	o     Options
	heard atomic.Pointer[time.Time] // when control last said something
	asked atomic.Pointer[questions] // of the connection; nil: there is none

	capturing chan struct{}  // holds a token while a job is under way
	captures  sync.WaitGroup // of the goroutines that do jobs, make parts ready and ask
}

// maxWaiting is how many jobs wait at the most while one is under way.
const maxWaiting = 4

// New makes a Follower; control counts as heard now.
func New(o Options) *Follower {
	if o.Retry == 0 {
		o.Retry = 100 * time.Millisecond
	}
	f := &Follower{o: o, capturing: make(chan struct{}, 1)}
	f.listen()
	return f
}

func (f *Follower) listen() {
	now := f.o.Now()
	f.heard.Store(&now)
}

// Silent is for how long control has said nothing. A clock set back starts the
// silence anew.
func (f *Follower) Silent() time.Duration {
	d := f.o.Now().Sub(*f.heard.Load())
	if d < 0 {
		f.listen()
		return 0
	}
	return d
}

// Run follows until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	defer f.captures.Wait()
	wait := f.o.Retry
	for {
		c, err := f.o.Dial(ctx)
		switch {
		case err != nil:
			wait = f.o.Retry // nobody there yet: look often
		case f.session(ctx, &feed.Conn{Conn: c}):
			wait = f.o.Retry
		default:
			wait = min(2*wait, 20*f.o.Retry) // we were not taken: no use in asking all the time
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// session speaks with one control until the connection ends. It says whether a
// snapshot was taken on it.
func (f *Follower) session(ctx context.Context, c *feed.Conn) (took bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	defer func() { _ = c.Close() }()
	hello := f.o.Hello()
	hello.Captures, hello.Stages = f.o.Capture != nil, f.o.Stage != nil
	if c.Send(feed.TypeHello, hello) != nil {
		return false
	}
	jobs := make(chan capture.Job, maxWaiting)
	f.captures.Go(func() { f.capture(ctx, c, jobs) }) // ends with ctx
	stages := make(chan staging, 1)
	f.captures.Go(func() { f.stage(ctx, c, stages) }) // ends with ctx
	asked := newQuestions()
	f.captures.Go(func() { asked.send(ctx, c) }) // ends with ctx
	f.asked.Store(asked)
	defer close(asked.ended)
	defer f.asked.Store(nil)
	seen := make(chan uint64, 1)
	done := make(chan struct{})
	sent := make(chan struct{})
	go func() { // ends with done, or with the connection
		defer close(sent)
		f.send(c, seen, done)
	}()
	took, err := f.receive(c, seen, jobs, stages, asked)
	close(done)
	_ = c.Close()
	<-sent
	f.o.Logger.Info("feed to control ended", "cause", err)
	return took
}

// receive handles control's messages in order.
func (f *Follower) receive(c *feed.Conn, seen chan uint64, jobs chan<- capture.Job, stages chan<- staging, asked *questions) (took bool, err error) {
	var pieces feed.Pieces
	for {
		kind, body, err := c.Receive()
		if err != nil {
			return took, err
		}
		f.listen()
		switch kind {
		case feed.TypePublish:
			var p feed.Publish
			if err := json.Unmarshal(body, &p); err != nil {
				return took, fault.New(fault.Invalid, "a snapshot can't be read").Because(err)
			}
			if ahead := pieces.Take(slices.Values(p.Ahead)); len(ahead) > 0 {
				maps.Copy(ahead, p.Parts)
				p.Parts = ahead
			}
			ack := f.o.Take(p)
			took = took || ack.Err == ""
			err = c.Send(feed.TypeAck, ack)
		case feed.TypePiece:
			err = f.piece(body, &pieces)
		case feed.TypeStage:
			err = f.makeReady(c, body, &pieces, stages)
		case feed.TypeSeen:
			var seq uint64
			if err := json.Unmarshal(body, &seq); err != nil {
				return took, err
			}
			f.o.Ring.Seen(seq)
			select {
			case <-seen: // an older number that send has not looked at yet
			default:
			}
			seen <- seq
		case feed.TypeAsk:
			err = c.Send(feed.TypeStatus, f.o.Status())
		case feed.TypeSubscribed:
			asked.hear(body)
		case feed.TypeCapture:
			if problem, id := f.order(body, jobs); problem != "" {
				f.o.Logger.Warn("evidence is not captured", "job", id, "cause", problem)
				err = c.Send(feed.TypeCaptureDone, capture.Done{Job: id, Problem: problem})
			}
		}
		if err != nil {
			return took, err
		}
	}
}

// order puts a job in line, or says why not. What can't be read is no reason to lose
// the connection, on which visitors depend.
func (f *Follower) order(body json.RawMessage, jobs chan<- capture.Job) (problem, id string) {
	var j capture.Job
	if err := json.Unmarshal(body, &j); err != nil { // fills in what it can, so that control knows which job it was
		return "the job can't be read: " + err.Error(), j.ID
	}
	if f.o.Capture == nil {
		return "this answer captures no evidence", j.ID
	}
	select {
	case jobs <- j:
		return "", j.ID
	default:
		return fmt.Sprintf("%d other jobs wait already", maxWaiting), j.ID
	}
}

// capture does one job after the other. One of a connection that has ended may still
// be on its way out: it is waited for.
func (f *Follower) capture(ctx context.Context, c *feed.Conn, jobs <-chan capture.Job) {
	send := func(kind string, body any) {
		if c.Send(kind, body) != nil {
			_ = c.Close() // nothing can follow half a message; with it, ctx ends
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-jobs:
			select {
			case <-ctx.Done():
				return
			case f.capturing <- struct{}{}:
			}
			done := f.o.Capture(ctx, j, func(it capture.Item) { send(feed.TypeCaptured, it) })
			<-f.capturing
			done.Job = j.ID
			send(feed.TypeCaptureDone, done)
		}
	}
}

// send hands over reports in order, one batch under way at a time.
func (f *Follower) send(c *feed.Conn, seen <-chan uint64, done <-chan struct{}) {
	var last uint64
	waiting := false
	for {
		if !waiting {
			if batch := f.o.Ring.After(last, feed.Window); len(batch) > 0 {
				last, waiting = batch[len(batch)-1].Seq, true
				if c.Send(feed.TypeReports, batch) != nil {
					_ = c.Close() // receive ends, and with it done
				}
			}
		}
		select {
		case <-done:
			return
		case seq := <-seen:
			if seq >= last {
				waiting = false
			}
		case <-f.o.Ring.Wake():
		}
	}
}
