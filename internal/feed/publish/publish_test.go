package publish_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/feed"
	"lifeboat/internal/feed/publish"
)

func TestPublish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, ln := &control{}, newPipes()
		s, _ := serve(t, ln, publish.Options{Handler: c})
		m, signed, parts := snap(5, "a", "b", "c")
		if _, err := s.Publish(t.Context(), m, signed, parts); fault.KindOf(err) != fault.Unavailable || errors.Is(err, publish.ErrUnsure) || !strings.Contains(err.Error(), "lifeboat answer pull LEVER") {
			t.Errorf("nobody connected: %v", err)
		}
		a := &answer{parts: []string{"b"}}
		stop := a.follows(t, "life 1", ln.dial)
		synctest.Wait()
		if len(c.hellos) != 1 || c.hellos[0].Revision != 4 || c.hellos[0].Parts[0] != "b" || c.said[0] != "arriving" || c.said[1] != "connected" {
			t.Fatalf("heard %v, %+v", c.said, c.hellos)
		}
		ack, err := s.Publish(t.Context(), m, signed, parts)
		if err != nil || ack.Revision != 5 || ack.Serials["shop.example.com."] != 7 {
			t.Fatalf("ack %+v, %v", ack, err)
		}
		if n := a.tookParts(0); n != 2 {
			t.Errorf("%d parts were sent, and one of three was held", n)
		}
		m, signed, parts = snap(6, "a", "b", "c", "d")
		if _, err := s.Publish(t.Context(), m, signed, parts); err != nil {
			t.Fatal(err)
		}
		if n := a.tookParts(1); n != 1 {
			t.Errorf("%d parts were sent again", n)
		}
		if st, at, connected := s.Status(); st.Problem != "life 1" || at.IsZero() || !connected {
			t.Errorf("status %+v of %s, connected %t", st, at, connected)
		}
		changed := s.Changed()
		stop()
		synctest.Wait()
		select {
		case <-changed:
		default:
			t.Error("the end of the connection is no change")
		}
		if _, _, connected := s.Status(); connected {
			t.Error("still connected")
		}
		if _, err := s.Publish(t.Context(), m, signed, parts); fault.KindOf(err) != fault.Unavailable || errors.Is(err, publish.ErrUnsure) {
			t.Errorf("after it left: %v", err)
		}
	})
}

func TestPublishRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, ln, a := &control{}, newPipes(), &answer{}
		s, _ := serve(t, ln, publish.Options{Handler: c})
		a.take = func(feed.Publish) feed.Ack {
			return feed.Ack{Epoch: 3, Revision: 5, Kind: fault.Refused, Err: "epoch 3 would move shop from standby to main, away from safety"}
		}
		a.follows(t, "1", ln.dial)
		synctest.Wait()
		m, signed, parts := snap(5, "a")
		for range 2 {
			_, err := s.Publish(t.Context(), m, signed, parts)
			if fault.KindOf(err) != fault.Refused || errors.Is(err, publish.ErrUnsure) || !strings.Contains(err.Error(), "away from safety") {
				t.Errorf("%v", err)
			}
		}
		if n := a.tookParts(1); n != 1 {
			t.Error("a part of a refused snapshot counts as held")
		}
	})
}

// A connection that is lost while answer takes the snapshot, a word that does not
// come in time, an answer that stands still: it is not known whether it was taken.
func TestPublishUnsure(t *testing.T) {
	t.Parallel()
	for name, hurt := range map[string]func(cancel func(), conn net.Conn){
		"the connection dies": func(_ func(), conn net.Conn) { _ = conn.Close() },
		"the time is up":      func(cancel func(), _ net.Conn) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, ln, a := &control{}, newPipes(), &answer{}
				s, _ := serve(t, ln, publish.Options{Handler: c})
				taking, go_ := make(chan struct{}), make(chan struct{})
				a.take = func(feed.Publish) feed.Ack { close(taking); <-go_; return feed.Ack{Epoch: 3, Revision: 5} }
				var conn net.Conn
				a.follows(t, "1", func(ctx context.Context) (net.Conn, error) {
					var err error
					if conn == nil {
						conn, err = ln.dial(ctx)
						return conn, err
					}
					return nil, errDied
				})
				synctest.Wait()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				got := make(chan error, 1)
				go func() {
					m, signed, parts := snap(5, "a")
					_, err := s.Publish(ctx, m, signed, parts)
					got <- err
				}()
				<-taking
				hurt(cancel, conn)
				if err := <-got; !errors.Is(err, publish.ErrUnsure) || fault.KindOf(err) != fault.Unavailable {
					t.Errorf("%v", err)
				}
				close(go_)
			})
		})
	}
}

// An answer that reads nothing holds up no order beyond its time. (By the real clock:
// senders wait for each other at a mutex, which a clock of the test's own stops at.)
func TestPublishToAStoppedAnswer(t *testing.T) {
	t.Parallel()
	c, ln := &control{}, newPipes()
	s, _ := serve(t, ln, publish.Options{Handler: c})
	conn, err := ln.dial(t.Context())
	must(t, err)
	raw := &feed.Conn{Conn: conn}
	must(t, raw.Send(feed.TypeHello, feed.Hello{Epoch: 3}))
	until(t, s, func() bool { _, _, connected := s.Status(); return connected })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	m, signed, parts := snap(5, "a")
	if _, err := s.Publish(ctx, m, signed, parts); !errors.Is(err, publish.ErrUnsure) {
		t.Errorf("%v", err)
	}
	until(t, s, func() bool { _, _, connected := s.Status(); return !connected }) // nothing follows half a message
	if _, err := s.Publish(ctx, m, signed, parts); fault.KindOf(err) != fault.Unavailable || errors.Is(err, publish.ErrUnsure) {
		t.Errorf("an order whose time is up already: %v", err)
	}
}

// until waits for a change after which ok holds.
func until(t *testing.T, s *publish.Server, ok func() bool) {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		changed := s.Changed()
		if ok() {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatal("it did not come to that")
		}
	}
}

func TestNewerConnectionReplacesOlder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, ln := &control{}, newPipes()
		s, _ := serve(t, ln, publish.Options{Handler: c})
		old, err := ln.dial(t.Context())
		must(t, err)
		raw := &feed.Conn{Conn: old}
		must(t, raw.Send(feed.TypeHello, feed.Hello{Epoch: 1}))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				if _, _, err := raw.Receive(); err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		a := &answer{}
		a.follows(t, "new", ln.dial)
		<-ended
		synctest.Wait()
		if _, _, connected := s.Status(); !connected || c.greeted() != 2 {
			t.Fatalf("connected %t after %d greetings", connected, c.greeted())
		}
		m, signed, parts := snap(5)
		if _, err := s.Publish(t.Context(), m, signed, parts); err != nil || len(a.taken) != 1 {
			t.Errorf("the newer one took %d, %v", len(a.taken), err)
		}
	})
}

func TestBadGreetings(t *testing.T) {
	t.Parallel()
	for name, greet := range map[string]func(c *feed.Conn){
		"reports first":   func(c *feed.Conn) { _ = c.Send(feed.TypeReports, []feed.Report{nth(1)}) },
		"garbage":         func(c *feed.Conn) { _, _ = c.Write([]byte("GET / HTTP/1.1\r\n")) },
		"another shape":   func(c *feed.Conn) { _ = c.Send(feed.TypeHello, []int{1}) },
		"nothing, for 5s": func(*feed.Conn) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, ln := &control{}, newPipes()
				s, _ := serve(t, ln, publish.Options{Handler: c})
				conn, err := ln.dial(t.Context())
				must(t, err)
				raw := &feed.Conn{Conn: conn}
				greet(raw)
				for {
					if _, _, err := raw.Receive(); err != nil {
						break
					}
				}
				synctest.Wait()
				if _, _, connected := s.Status(); connected || len(c.said) != 0 {
					t.Errorf("connected %t, told %v", connected, c.said)
				}
			})
		})
	}
}

func TestConnectionsThatAreNotTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, ln, a := &control{}, newPipes(), &answer{}
		var admitted atomic.Bool
		s, _ := serve(t, ln, publish.Options{Handler: c, Admit: func(net.Conn) error {
			if admitted.Load() {
				return nil
			}
			return errors.New("not of this account")
		}})
		a.follows(t, "1", ln.dial)
		time.Sleep(time.Second)
		if c.greeted() != 0 {
			t.Error("a refused caller was heard")
		}
		tries := 0
		c.connected = func(context.Context, feed.Hello) error {
			if tries++; tries < 3 {
				return errors.New("the store is not readable")
			}
			return nil
		}
		admitted.Store(true)
		time.Sleep(10 * time.Second) // greetings that come to nothing are tried again more and more slowly
		if _, _, connected := s.Status(); !connected || c.greeted() != 3 {
			t.Errorf("connected %t after %d greetings, want the third", connected, c.greeted())
		}
	})
}

// A clock that is set back, or ahead, closes nobody out.
func TestGreetingWithAnotherClock(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{-time.Hour, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			c, ln, a := &control{}, newPipes(), &answer{}
			s, _ := serve(t, ln, publish.Options{Handler: c, Now: func() time.Time { return time.Now().Add(skew) }})
			a.follows(t, "1", ln.dial)
			time.Sleep(3 * time.Second)
			if _, _, connected := s.Status(); !connected || c.greeted() != 1 {
				t.Errorf("%s: connected %t after %d greetings", skew, connected, c.greeted())
			}
		})
	}
}

// flaky fails to accept now and then, as a machine without free files does.
type flaky struct {
	*pipes
	fails atomic.Int32
}

func (f *flaky) Accept() (net.Conn, error) {
	if f.fails.Add(-1) >= 0 {
		return nil, errors.New("too many open files")
	}
	return f.pipes.Accept()
}

func TestAcceptFailsForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, ln, a := &control{}, &flaky{pipes: newPipes()}, &answer{}
		ln.fails.Store(5)
		s, _ := serve(t, ln, publish.Options{Handler: c})
		a.follows(t, "1", ln.dial)
		time.Sleep(5 * time.Second)
		if _, _, connected := s.Status(); !connected {
			t.Error("nobody is let in any more")
		}
	})
}

// told fails unless the reports are those from first to last, each with its own
// time, in order and once, but for gaps that name their number. It gives how many
// were lost.
func told(t *testing.T, reports []feed.Report, last int) (lost int) {
	t.Helper()
	known := 0
	for i, r := range reports {
		switch {
		case r.Gap > 0 && int(r.Seq)-r.Gap == known:
			lost += r.Gap
		case r.Gap == 0 && int(r.Seq) == known+1 && r.At.Equal(nth(known+1).At) && r.Transition.At.Equal(r.At):
		default:
			t.Fatalf("report %d after number %d: %+v", i, known, r)
		}
		known = int(r.Seq)
	}
	if known != last {
		t.Fatalf("%d of %d are known", known, last)
	}
	return lost
}

// Wherever a connection dies, control gets every report once and in order.
func TestReportsOverDyingConnections(t *testing.T) {
	t.Parallel()
	for seed := range uint64(24) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rnd, deaths := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
				c, ln, a := &control{}, newPipes(), &answer{}
				serve(t, ln, publish.Options{Handler: c})
				var well atomic.Bool
				var died atomic.Int32
				a.follows(t, "1", func(ctx context.Context) (net.Conn, error) {
					conn, err := ln.dial(ctx)
					if err != nil || well.Load() {
						return conn, err
					}
					died.Add(1)
					return &mortal{Conn: conn, left: 150 + deaths.IntN(60_000)}, nil
				})
				n, most := 0, 20
				if seed%4 == 0 {
					most = 2000 // more than the ring holds while nobody fetches
				}
				for range 60 {
					for range rnd.IntN(most) {
						n++
						a.ring.Add(nth(n))
					}
					time.Sleep(time.Duration(rnd.IntN(300)) * time.Millisecond)
				}
				well.Store(true)
				for range 600 {
					time.Sleep(time.Second)
					if w, _ := a.ring.Stats(); w == 0 {
						break
					}
				}
				lost := told(t, c.got(), n)
				if died.Load() < 2 {
					t.Errorf("only %d connections died", died.Load())
				}
				t.Logf("%d reports over %d connections, %d lost", n, died.Load(), lost)
			})
		})
	}
}

// A gap that reaches back over what had come before, since the acknowledgement was
// lost, counts only what was lost.
func TestGapOverWhatWasHandled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, ln := &control{}, newPipes()
		serve(t, ln, publish.Options{Handler: c})
		for _, batch := range [][]feed.Report{
			{{Seq: 1}, {Seq: 2}, {Seq: 3}},
			{{Seq: 2}, {Seq: 3}},
			{{Seq: 8, Gap: 8}, {Seq: 9}},
			{{Seq: 8, Gap: 8}, {Seq: 9}, {Seq: 10}},
		} {
			conn, err := ln.dial(t.Context())
			must(t, err)
			raw := &feed.Conn{Conn: conn}
			must(t, raw.Send(feed.TypeHello, feed.Hello{Life: "1"}))
			must(t, raw.Send(feed.TypeReports, batch))
			go func() { _, _ = io.Copy(io.Discard, conn) }() // the acknowledgement is not understood
			synctest.Wait()
			_ = conn.Close()
			synctest.Wait()
		}
		want := []feed.Report{{Seq: 1}, {Seq: 2}, {Seq: 3}, {Seq: 8, Gap: 5}, {Seq: 9}, {Seq: 10}}
		if got := c.got(); !slices.Equal(got, want) {
			t.Errorf("got %+v", got)
		}
	})
}

// A new answer process counts from 1 again: nothing of it is taken for old.
func TestNewLifeOfAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, ln := &control{}, newPipes()
		serve(t, ln, publish.Options{Handler: c})
		for life := range 3 {
			a := &answer{}
			stop := a.follows(t, fmt.Sprint("life ", life), ln.dial)
			for n := range 500 {
				a.ring.Add(nth(n + 1))
			}
			time.Sleep(time.Second)
			stop()
			told(t, c.got()[500*life:], 500)
		}
	})
}

// A new control gets again what the old one had not acknowledged, and no more.
func TestNewLifeOfControl(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln := make(chan *pipes, 1)
		ln <- newPipes()
		a := &answer{}
		now := <-ln
		var mu sync.Mutex
		a.follows(t, "1", func(ctx context.Context) (net.Conn, error) {
			mu.Lock()
			p := now
			mu.Unlock()
			return p.dial(ctx)
		})
		n, known := 0, 0
		for life := range 5 {
			p := newPipes()
			mu.Lock()
			_ = now.Close()
			now = p
			mu.Unlock()
			c := &control{}
			if life%2 == 0 {
				c.handling = func([]feed.Report) { time.Sleep(30 * time.Millisecond) }
			}
			_, stop := serve(t, p, publish.Options{Handler: c})
			for range 1000 {
				n++
				a.ring.Add(nth(n))
			}
			time.Sleep(150 * time.Millisecond)
			stop()
			got := c.got()
			if len(got) == 0 {
				continue
			}
			if first := int(got[0].Seq); first > known+1 || known-first+1 > feed.Window {
				t.Fatalf("life %d: after %d comes %d", life, known, first)
			}
			for i, r := range got {
				if int(r.Seq) != int(got[0].Seq)+i || !r.At.Equal(nth(int(r.Seq)).At) {
					t.Fatalf("life %d: %+v at %d", life, r, i)
				}
			}
			known = int(got[len(got)-1].Seq)
		}
		if known == 0 {
			t.Fatal("nothing came through")
		}
	})
}

// A control that stands still, for however long: answer goes on, its memory stays
// as it is, and what was seen meanwhile arrives afterwards, in order.
func TestStoppedControl(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, ln, a := &control{}, newPipes(), &answer{}
		stopped, resume := make(chan struct{}), make(chan struct{})
		var once sync.Once
		c.handling = func([]feed.Report) { once.Do(func() { close(stopped); <-resume }) }
		serve(t, ln, publish.Options{Handler: c})
		a.follows(t, "1", ln.dial)
		const total = 3 * feed.RingSize
		a.ring.Add(nth(1))
		<-stopped
		for n := 2; n <= total; n++ {
			a.ring.Add(nth(n))
			if n%64 == 0 {
				time.Sleep(300 * time.Millisecond)
			}
		}
		if w, _ := a.ring.Stats(); w != feed.RingSize {
			t.Errorf("%d wait", w)
		}
		close(resume)
		time.Sleep(time.Minute)
		if lost := told(t, c.got(), total); lost == 0 || lost > total-feed.RingSize {
			t.Errorf("%d lost", lost)
		}
	})
}

// The same over a real socket whose reader does not read at all.
func TestReaderThatNeverReads(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "feed.sock")
	ln, err := net.Listen("unix", path)
	must(t, err)
	conns := make(chan net.Conn, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			conns <- c
		}
	}()
	a := &answer{}
	a.follows(t, "1", func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	})
	conn := <-conns
	raw := &feed.Conn{Conn: conn}
	for range 200 { // questions for the status, whose answers nobody reads
		must(t, raw.Send(feed.TypeAsk, struct{}{}))
	}
	const total = 2 * feed.RingSize
	for n := 1; n <= total; n++ {
		a.ring.Add(nth(n))
	}
	var got []feed.Report
	for len(got) == 0 || int(got[len(got)-1].Seq) < total {
		kind, body, err := raw.Receive()
		must(t, err)
		if kind == feed.TypeReports {
			got = append(got, decode[[]feed.Report](t, body)...)
			must(t, raw.Send(feed.TypeSeen, got[len(got)-1].Seq))
		}
	}
	told(t, got, total)
	_ = conn.Close()
	_ = ln.Close()
}
