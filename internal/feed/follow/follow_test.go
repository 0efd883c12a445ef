package follow_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lifeboat/internal/feed"
	"lifeboat/internal/feed/follow"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run follows over dial until the test ends.
func run(t *testing.T, o follow.Options) *follow.Follower {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Ring == nil {
		o.Ring = feed.NewRing()
	}
	o.Hello = func() feed.Hello { return feed.Hello{Epoch: 3} }
	o.Status = func() feed.Status { return feed.Status{Epoch: 3} }
	if o.Take == nil {
		o.Take = func(feed.Publish) feed.Ack { return feed.Ack{Epoch: 3} }
	}
	f := follow.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return f
}

// dialled gives each connection that the follower makes.
func dialled(conns chan<- *feed.Conn) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		mine, theirs := net.Pipe()
		select {
		case conns <- &feed.Conn{Conn: theirs}:
			return mine, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func greeted(t *testing.T, c *feed.Conn) {
	t.Helper()
	kind, body, err := c.Receive()
	must(t, err)
	var h feed.Hello
	if kind != feed.TypeHello || json.Unmarshal(body, &h) != nil || h.Epoch != 3 {
		t.Fatalf("greeted with %s %s", kind, body)
	}
}

func TestSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conns := make(chan *feed.Conn)
		var skew atomic.Int64
		f := run(t, follow.Options{Dial: dialled(conns), Now: func() time.Time { return time.Now().Add(time.Duration(skew.Load())) }})
		if s := f.Silent(); s != 0 {
			t.Errorf("silent for %s at the start", s)
		}
		c := <-conns
		greeted(t, c)
		time.Sleep(7 * time.Second)
		if s := f.Silent(); s != 7*time.Second {
			t.Errorf("silent for %s: a connection alone says nothing", s)
		}
		must(t, c.Send(feed.TypeAsk, struct{}{}))
		if kind, _, err := c.Receive(); err != nil || kind != feed.TypeStatus {
			t.Errorf("asked for its status it says %q, %v", kind, err)
		}
		if s := f.Silent(); s != 0 {
			t.Errorf("silent for %s after a question", s)
		}
		must(t, c.Send("a later version's message", 1))
		must(t, c.Send(feed.TypeAsk, struct{}{}))
		if kind, _, err := c.Receive(); err != nil || kind != feed.TypeStatus {
			t.Errorf("after an unknown message: %q, %v", kind, err)
		}
		time.Sleep(9 * time.Second)
		skew.Store(int64(-time.Hour))
		if s := f.Silent(); s != 0 {
			t.Errorf("silent for %s when the clock was set back", s)
		}
		time.Sleep(2 * time.Second)
		if s := f.Silent(); s != 2*time.Second {
			t.Errorf("silent for %s, and the count began anew two seconds ago", s)
		}
		_ = c.Close()
		time.Sleep(time.Second)
		if s := f.Silent(); s != 3*time.Second {
			t.Errorf("silent for %s: losing the connection is no word", s)
		}
	})
}

// What can't be read ends the connection, and the next one is as good as new.
func TestGarbageEndsTheConnection(t *testing.T) {
	t.Parallel()
	for name, say := range map[string]func(c *feed.Conn){
		"a snapshot of another shape":         func(c *feed.Conn) { _ = c.Send(feed.TypePublish, 1) },
		"an acknowledgement of another shape": func(c *feed.Conn) { _ = c.Send(feed.TypeSeen, "x") },
		"a negative acknowledgement":          func(c *feed.Conn) { _ = c.Send(feed.TypeSeen, -1) },
		"bytes":                               func(c *feed.Conn) { _, _ = c.Write([]byte{0xff, 0xff, 0xff, 0xff}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				conns := make(chan *feed.Conn)
				took := 0
				run(t, follow.Options{Dial: dialled(conns), Take: func(feed.Publish) feed.Ack { took++; return feed.Ack{} }})
				c := <-conns
				greeted(t, c)
				go say(c)
				if _, _, err := c.Receive(); err == nil {
					t.Error("the connection goes on")
				}
				_ = c.Close()
				if took != 0 {
					t.Error("it was taken")
				}
				greeted(t, <-conns)
			})
		})
	}
}

// Acknowledgements of what was never sent, or long ago, or twice, do no harm.
func TestOddAcknowledgements(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conns := make(chan *feed.Conn)
		ring := feed.NewRing()
		run(t, follow.Options{Dial: dialled(conns), Ring: ring})
		c := <-conns
		greeted(t, c)
		for n := range 5 {
			ring.Add(feed.Report{At: time.Now(), Gap: 0})
			kind, body, err := c.Receive()
			must(t, err)
			var r []feed.Report
			must(t, json.Unmarshal(body, &r))
			if kind != feed.TypeReports || len(r) != 1 || int(r[0].Seq) != n+1 {
				t.Fatalf("%s %s", kind, body)
			}
			for _, seq := range []int{0, n, n + 1, n + 1} {
				must(t, c.Send(feed.TypeSeen, seq))
			}
		}
		if w, _ := ring.Stats(); w != 0 {
			t.Errorf("%d wait", w)
		}
		_ = c.Close()
	})
}

func TestDialsUntilItWorks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conns := make(chan *feed.Conn)
		tries := 0
		good := dialled(conns)
		run(t, follow.Options{Retry: 100 * time.Millisecond, Dial: func(ctx context.Context) (net.Conn, error) {
			if tries++; tries < 50 {
				return nil, errors.New("nobody listens")
			}
			return good(ctx)
		}})
		began := time.Now()
		greeted(t, <-conns)
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("50 tries took %s", took)
		}
	})
}
