package publish_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/capture"
	"lifeboat/internal/fault"
	"lifeboat/internal/feed"
	"lifeboat/internal/feed/follow"
	"lifeboat/internal/feed/publish"
	"lifeboat/internal/probe"
	"lifeboat/internal/snapshot"
)

var quiet = slog.New(slog.DiscardHandler)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pipes is a listener in memory, so that time can be the test's own.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// dial connects, or fails at once when nobody listens.
func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	mine, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return mine, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// control is a Handler that remembers.
type control struct {
	mu        sync.Mutex // guards all below
	said      []string   // arriving, connected, reports: in order
	hellos    []feed.Hello
	reports   []feed.Report
	connected func(context.Context, feed.Hello) error
	handling  func([]feed.Report)
}

func (c *control) Arriving() { c.note("arriving", nil) }

func (c *control) Connected(ctx context.Context, h feed.Hello) error {
	c.note("connected", func() { c.hellos = append(c.hellos, h) })
	if c.connected != nil {
		return c.connected(ctx, h)
	}
	return nil
}

func (c *control) Reports(_ context.Context, r []feed.Report) {
	if c.handling != nil {
		c.handling(r)
	}
	c.note("reports", func() { c.reports = append(c.reports, r...) })
}

func (c *control) note(what string, f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said = append(c.said, what)
	if f != nil {
		f()
	}
}

func (c *control) got() []feed.Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.reports)
}

func (c *control) greeted() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.hellos)
}

// serve runs a server until stop is called.
func serve(t *testing.T, ln net.Listener, o publish.Options) (*publish.Server, func()) {
	t.Helper()
	o.Logger = quiet
	if o.Now == nil {
		o.Now = time.Now
	}
	s := publish.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("serve: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return s, stop
}

// answer is a follower with a ring, and what it was told to take.
type answer struct {
	ring *feed.Ring
	f    *follow.Follower

	mu    sync.Mutex // guards all below
	taken []feed.Publish
	take  func(feed.Publish) feed.Ack
	parts []string

	capture func(context.Context, capture.Job, func(capture.Item)) capture.Done
	stage   func(feed.Stage, map[string][]byte) feed.Staged // nil: it knows nothing of it
}

func (a *answer) hello(life string) func() feed.Hello {
	return func() feed.Hello {
		a.mu.Lock()
		defer a.mu.Unlock()
		return feed.Hello{Formats: []int{1}, Epoch: 3, Revision: 4, Parts: slices.Clone(a.parts), Life: life}
	}
}

func (a *answer) publish(p feed.Publish) feed.Ack {
	a.mu.Lock()
	a.taken = append(a.taken, p)
	take := a.take
	a.mu.Unlock()
	m, err := snapshot.Decode(p.Signed.Manifest)
	if err != nil {
		return feed.Ack{Kind: fault.KindOf(err), Err: err.Error()}
	}
	if take != nil {
		return take(p)
	}
	return feed.Ack{Epoch: m.Epoch, Revision: m.Revision, Serials: map[string]uint32{"shop.example.com.": 7}}
}

func (a *answer) tookParts(i int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.taken[i].Parts)
}

// follows runs a follower until stop is called.
func (a *answer) follows(t *testing.T, life string, dial func(context.Context) (net.Conn, error)) (stop func()) {
	t.Helper()
	if a.ring == nil {
		a.ring = feed.NewRing()
	}
	a.f = follow.New(follow.Options{
		Dial: dial, Hello: a.hello(life), Take: a.publish, Ring: a.ring, Capture: a.capture, Stage: a.stage, Now: time.Now, Logger: quiet,
		Status: func() feed.Status { return feed.Status{Epoch: 3, Revision: 4, Problem: life} },
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); a.f.Run(ctx) }()
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); <-done }) }
	t.Cleanup(stop)
	return stop
}

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// nth is a report with a time of its own.
func nth(n int) feed.Report {
	at := began.Add(time.Duration(n) * time.Second)
	return feed.Report{At: at, Transition: &probe.Transition{Check: "home", From: probe.Up, To: probe.Down, At: at}}
}

func snap(revision uint64, parts ...string) (snapshot.Manifest, snapshot.Signed, map[string][]byte) {
	m := snapshot.Manifest{Format: 1, Epoch: 3, Revision: revision}
	b := map[string][]byte{}
	for _, p := range parts {
		b[p] = []byte(p)
	}
	return m, snapshot.Signed{Manifest: []byte(`{"format":1,"epoch":3,"revision":` + itoa(revision) + `}`)}, b
}

func itoa(n uint64) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

// mortal is a connection that dies after so many bytes in both directions, in the
// middle of a message as well as between two.
type mortal struct {
	net.Conn
	mu   sync.Mutex
	left int
}

var errDied = errors.New("the connection died")

func (m *mortal) spend(n int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n = min(n, m.left)
	m.left -= n
	return n
}

func (m *mortal) Write(p []byte) (int, error) {
	n := m.spend(len(p))
	w, err := m.Conn.Write(p[:n])
	if err == nil && n < len(p) {
		_ = m.Close()
		err = errDied
	}
	return w, err
}

func (m *mortal) Read(p []byte) (int, error) {
	n := m.spend(len(p))
	if n == 0 && len(p) > 0 {
		_ = m.Close()
		return 0, errDied
	}
	return m.Conn.Read(p[:n])
}

func decode[T any](t testing.TB, body []byte) T {
	t.Helper()
	var v T
	must(t, json.Unmarshal(body, &v))
	return v
}
