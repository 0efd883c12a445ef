// Package publish is control's end of the feed: it listens, learns what answer
// serves, publishes snapshots, takes reports, asks for evidence, and answers what visitors
// of a status page want of control.
//
// One answer is connected at a time: a newer connection replaces the older one.
// What is published is decided by package engine; nothing is published on a
// connection before its Hello has been handled.
//
// Concurrency: Serve is called once; the other methods from any goroutine.
package publish

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"lifeboat/internal/capture"
	"lifeboat/internal/fault"
	"lifeboat/internal/feed"
	"lifeboat/internal/listen"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/subscribe"
)

// ErrUnsure is in the chain of a Publish error after which it is not known whether
// answer took the snapshot.
var ErrUnsure = errors.New("it is not known whether answer took the order")

// Handler is what the feed tells control. Connected and Reports are called one at a
// time, and may publish. One that is a CaptureHandler, too, can be given evidence.
type Handler interface {
	// Arriving is called before a new connection can be published on.
	Arriving()
	// Connected is called first; an error ends the connection.
	Connected(ctx context.Context, h feed.Hello) error
	// Reports gives each report of a life of answer once, in order.
	Reports(ctx context.Context, r []feed.Report)
}

// Options of a Server. Logger, Now and Handler MUST be set.
type Options struct {
	Logger  *slog.Logger
	Now     func() time.Time
	Handler Handler
	Admit   func(net.Conn) error // who may connect; nil: anybody who reaches the socket
	Ask     time.Duration        // between questions for the status; 1s

	// Subscribe answers what a visitor of a status page wants, which has passed Ask.Check.
	// It is called from up to sixteen goroutines at a time, beside all else, and MUST return
	// soon after its context ends: then nobody waits any more. nil: visitors hear Away.
	Subscribe func(ctx context.Context, a subscribe.Ask) subscribe.Told
}

// Server is control's end of the feed.
type Server struct {
	o        Options
	capturer CaptureHandler // nil: none

	mu      sync.Mutex // guards all below
	conn    *session
	status  feed.Status
	heardAt time.Time
	changed chan struct{} // closed and made anew when conn or status changes

	staging sync.Mutex // held while parts are sent ahead

	handling sync.Mutex // held while the handler works; guards life and handled
	life     string     // of answer, whose reports have been handled up to
	handled  uint64     // this number

	capturing sync.Mutex // held while the capturer works

	subscribing chan struct{} // holds a token for each question that is being answered
}

// session is one connected answer.
type session struct {
	*feed.Conn
	hello    feed.Hello
	held     map[string]bool // parts that answer holds
	evidence *evidence

	mu     sync.Mutex // guards held, acks and staged
	acks   map[[2]uint64]chan feed.Ack
	stages uint64 // so many have been asked for
	staged chan feed.Staged
	done   chan struct{}

	questions chan struct{}  // holds a token for each question that has come and has not been answered
	answering sync.WaitGroup // of the goroutines that do
}

// greetLimit is how long a connection may take to its greeting.
const greetLimit = 5 * time.Second

// New makes a Server.
func New(o Options) *Server {
	if o.Ask == 0 {
		o.Ask = time.Second
	}
	s := &Server{o: o, changed: make(chan struct{}), subscribing: make(chan struct{}, atOnce)}
	s.capturer, _ = o.Handler.(CaptureHandler)
	return s
}

// Serve accepts answers until ctx ends.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	err := listen.Conns(ctx, ln, s.o.Admit, s.o.Logger.With("socket", "feed.sock"), func(c net.Conn) {
		s.serve(ctx, &feed.Conn{Conn: c}) // ends with the connection or ctx
	})
	if err != nil {
		return fault.New(fault.Unavailable, "accept answer").Because(err)
	}
	return nil
}

// serve speaks with one answer until its connection ends.
func (s *Server) serve(ctx context.Context, c *feed.Conn) {
	serving := ctx
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	se := &session{Conn: c, held: map[string]bool{}, evidence: newEvidence(), acks: map[[2]uint64]chan feed.Ack{}, staged: make(chan feed.Staged, 1), done: make(chan struct{}), questions: make(chan struct{}, maxQuestions)}
	reports := make(chan []feed.Report, feed.Window)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer se.answering.Wait()
	defer cancel()
	defer close(se.done)
	defer se.evidence.end()
	if err := s.greet(c, se); err != nil {
		s.o.Logger.Warn("answer did not greet", "cause", err)
		return
	}
	s.o.Handler.Arriving()
	s.replace(se)
	defer s.leave(se)
	wg.Go(func() { // ends with ctx
		if err := s.connected(ctx, se.hello); err != nil {
			s.o.Logger.Warn("answer was not taken", "cause", err)
			cancel()
			return
		}
		_ = se.Send(feed.TypeAsk, struct{}{}) // what answer says of itself has changed; a failure ends the connection below
		s.work(ctx, serving, se, reports)
	})
	wg.Go(func() { s.ask(ctx, se) }) // ends with ctx
	if s.capturer != nil {
		wg.Go(func() { se.evidence.send(ctx, se.Conn) })  // ends with ctx
		wg.Go(func() { s.deliver(serving, se.evidence) }) // ends with the connection, when all is delivered, or with serving
	}
	err := s.receive(ctx, se, reports)
	s.o.Logger.Info("answer left", "cause", err)
}

func (s *Server) greet(c *feed.Conn, se *session) error {
	_ = c.SetReadDeadline(time.Now().Add(greetLimit)) // by the kernel's clock, whatever ours says
	kind, body, err := c.Receive()
	if err != nil {
		return err
	}
	if kind != feed.TypeHello {
		return fault.New(fault.Invalid, "the first message is %q, not a greeting", kind)
	}
	if err := json.Unmarshal(body, &se.hello); err != nil {
		return err
	}
	for _, h := range se.hello.Parts {
		se.held[h] = true
	}
	return c.SetReadDeadline(time.Time{})
}

func (s *Server) receive(ctx context.Context, se *session, reports chan<- []feed.Report) error {
	for {
		kind, body, err := se.Receive()
		if err != nil {
			return err
		}
		switch kind {
		case feed.TypeAck:
			err = se.acked(body)
		case feed.TypeStaged:
			var st feed.Staged
			if err = json.Unmarshal(body, &st); err == nil {
				se.hear(st)
			}
		case feed.TypeReports:
			var r []feed.Report
			if err = json.Unmarshal(body, &r); err == nil {
				select {
				case reports <- r:
				case <-ctx.Done():
				}
			}
		case feed.TypeStatus:
			var st feed.Status
			if err = json.Unmarshal(body, &st); err == nil {
				s.setStatus(st)
			}
		case feed.TypeSubscribe:
			s.question(ctx, se, body)
		case feed.TypeCaptured:
			se.evidence.add(body)
		case feed.TypeCaptureDone:
			var d capture.Done
			if err = json.Unmarshal(body, &d); err == nil {
				se.evidence.done(d)
			}
		}
		if err != nil {
			return err
		}
	}
}

// work hands reports to the handler in order, then acknowledges them. What came
// before the connection ended is handled to its end; only serving's end, when nothing
// can be recorded any more, leaves it to answer to send it again.
func (s *Server) work(ctx, serving context.Context, se *session, reports <-chan []feed.Report) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-reports:
			s.handle(serving, se.hello.Life, r)
			if serving.Err() != nil || len(r) > 0 && se.Send(feed.TypeSeen, r[len(r)-1].Seq) != nil {
				return
			}
		}
	}
}

func (s *Server) connected(ctx context.Context, h feed.Hello) error {
	s.handling.Lock() // the connection before may still be at work
	defer s.handling.Unlock()
	return s.o.Handler.Connected(ctx, h)
}

// handle gives the handler what it has not had yet: an acknowledgement that was lost
// with its connection makes answer send again. Numbers count within a life.
func (s *Server) handle(ctx context.Context, life string, r []feed.Report) {
	s.handling.Lock()
	defer s.handling.Unlock()
	if life != s.life || life == "" {
		s.life, s.handled = life, 0
	}
	i := 0
	for i < len(r) && r[i].Seq <= s.handled {
		i++
	}
	if r = r[i:]; len(r) == 0 || ctx.Err() != nil {
		return
	}
	if r[0].Gap > 0 { // it may reach back over what was handled
		r[0].Gap = int(min(uint64(r[0].Gap), r[0].Seq-s.handled))
	}
	s.o.Handler.Reports(ctx, r)
	if ctx.Err() == nil {
		s.handled = r[len(r)-1].Seq
	}
}

func (s *Server) ask(ctx context.Context, se *session) {
	t := time.NewTicker(s.o.Ask)
	defer t.Stop()
	for {
		if se.Send(feed.TypeAsk, struct{}{}) != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (se *session) acked(body json.RawMessage) error {
	var a feed.Ack
	if err := json.Unmarshal(body, &a); err != nil {
		return err
	}
	se.mu.Lock()
	defer se.mu.Unlock()
	k := [2]uint64{a.Epoch, a.Revision}
	if ch, waits := se.acks[k]; waits {
		ch <- a // holds one
		delete(se.acks, k)
	}
	return nil
}

// forget ends the wait for answer's word on a manifest.
func (se *session) forget(m snapshot.Manifest) {
	se.mu.Lock()
	defer se.mu.Unlock()
	delete(se.acks, [2]uint64{m.Epoch, m.Revision})
}

// Publish sends a snapshot and waits until answer has it in force. It fails with
// kind Unavailable when no answer is connected or its word does not come before
// ctx ends (then it is not known whether it took it).
func (s *Server) Publish(ctx context.Context, m snapshot.Manifest, signed snapshot.Signed, parts map[string][]byte) (feed.Ack, error) {
	s.mu.Lock()
	se := s.conn
	s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return feed.Ack{}, fault.New(fault.Unavailable, "publish to answer").Because(err)
	}
	if se == nil {
		return feed.Ack{}, fault.New(fault.Unavailable, "the answer process is not connected").WithHint("on its machine: lifeboat answer pull LEVER")
	}
	wait, msg := make(chan feed.Ack, 1), feed.Publish{Signed: signed, Parts: map[string][]byte{}}
	se.mu.Lock()
	se.acks[[2]uint64{m.Epoch, m.Revision}] = wait
	se.mu.Unlock()
	missing := se.missing(parts)
	defer se.forget(m)
	late := context.AfterFunc(ctx, func() { _ = se.Close() }) // a stopped answer reads nothing: half a message ends the connection
	var err error
	for _, h := range missing {
		if len(parts[h]) > feed.MaxPiece && se.hello.Stages && err == nil {
			err = se.sendPart(h, parts[h])
			msg.Ahead = append(msg.Ahead, h)
			continue
		}
		msg.Parts[h] = parts[h]
	}
	if err == nil {
		err = se.Send(feed.TypePublish, msg)
	}
	late()
	if err != nil {
		return feed.Ack{}, fault.New(fault.Unavailable, "publish to answer").Because(errors.Join(ErrUnsure, err))
	}
	select {
	case a := <-wait:
		if a.Err != "" {
			return a, fault.New(a.Kind, "answer did not take it: %s", a.Err)
		}
		se.holds(missing)
		return a, nil
	case <-se.done:
		return feed.Ack{}, fault.New(fault.Unavailable, "answer left").Because(ErrUnsure)
	case <-ctx.Done():
		return feed.Ack{}, fault.New(fault.Unavailable, "answer gave no word in time").Because(ErrUnsure)
	}
}

// replace makes se the connected answer; the one before is dropped.
func (s *Server) replace(se *session) {
	s.mu.Lock()
	old := s.conn
	s.conn = se
	s.signal()
	s.mu.Unlock()
	if old != nil {
		_ = old.Close()
	}
}

func (s *Server) leave(se *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == se {
		s.conn = nil
		s.signal()
	}
}

func (s *Server) setStatus(st feed.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.heardAt = st, s.o.Now()
	s.signal()
}

func (s *Server) signal() { // with mu held
	close(s.changed)
	s.changed = make(chan struct{})
}

// Status is answer's last word on itself, when it came, and whether answer is
// connected now.
func (s *Server) Status() (st feed.Status, at time.Time, connected bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status, s.heardAt, s.conn != nil
}

// Changed is closed at the next change of the connection or the status.
func (s *Server) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}
