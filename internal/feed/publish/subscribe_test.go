package publish_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lifeboat/internal/feed"
	"lifeboat/internal/feed/publish"
	"lifeboat/internal/subscribe"
)

func wish(n int) subscribe.Ask {
	return subscribe.Ask{Do: subscribe.Begin, Page: "main", Way: subscribe.Mail, To: fmt.Sprintf("%d@example.com", n), Components: []string{"shop"}, Language: "de"}
}

// tell is what a visitor is told.
func tell(a *answer, ask subscribe.Ask) <-chan subscribe.Told {
	told := make(chan subscribe.Told, 1)
	go func() { told <- a.f.Subscribe(context.Background(), ask) }()
	return told
}

func TestSubscribe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln, a := newPipes(), &answer{}
		want := subscribe.Told{Outcome: subscribe.Open, Way: subscribe.Webhook, To: "https://hooks.example.com/…", Components: []string{"shop"}, Language: "de", Pending: true, Secret: "whsec_x"}
		var got subscribe.Ask
		serve(t, ln, publish.Options{Handler: &control{}, Subscribe: func(_ context.Context, ask subscribe.Ask) subscribe.Told { got = ask; return want }})
		a.follows(t, "1", ln.dial)
		synctest.Wait()
		told := <-tell(a, wish(1))
		if b, _ := json.Marshal(told); string(b) != mustJSON(t, want) {
			t.Errorf("told %s", b)
		}
		if mustJSON(t, got) != mustJSON(t, wish(1)) {
			t.Errorf("asked %+v", got)
		}
	})
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return string(b)
}

// A control that takes no subscriptions says so at once.
func TestSubscribeNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln, a := newPipes(), &answer{}
		serve(t, ln, publish.Options{Handler: &control{}})
		a.follows(t, "1", ln.dial)
		synctest.Wait()
		began := time.Now()
		if told := <-tell(a, wish(1)); told.Outcome != subscribe.Away || time.Since(began) > time.Second {
			t.Errorf("%+v after %s", told, time.Since(began))
		}
	})
}

// slow answers questions when it is let, and counts.
type slow struct {
	release  chan struct{}
	stubborn bool // it does not mind that nobody waits any more

	mu               sync.Mutex // guards all below
	now, most, calls int
}

func (s *slow) enter(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now += n
	s.most, s.calls = max(s.most, s.now), s.calls+max(n, 0)
}

func (s *slow) counts() (now, most, calls int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now, s.most, s.calls
}

func (s *slow) answer(ctx context.Context, a subscribe.Ask) subscribe.Told {
	s.enter(1)
	defer s.enter(-1)
	if s.stubborn {
		ctx = context.Background()
	}
	select {
	case <-s.release:
		return subscribe.Told{Outcome: subscribe.Asked, To: a.To}
	case <-ctx.Done():
		return subscribe.Told{Outcome: subscribe.Away}
	}
}

// Sixteen questions at a time, the others in line; a snapshot and the status pass them by.
func TestSubscribeAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln, a, c := newPipes(), &answer{}, &slow{release: make(chan struct{})}
		s, _ := serve(t, ln, publish.Options{Handler: &control{}, Subscribe: c.answer})
		a.follows(t, "1", ln.dial)
		synctest.Wait()
		var all []<-chan subscribe.Told
		for n := range 40 {
			all = append(all, tell(a, wish(n)))
		}
		synctest.Wait()
		if now, _, _ := c.counts(); now != 16 {
			t.Errorf("%d at one time", now)
		}
		m, signed, parts := snap(5, "a")
		if _, err := s.Publish(t.Context(), m, signed, parts); err != nil {
			t.Error(err)
		}
		_, before, _ := s.Status()
		time.Sleep(1100 * time.Millisecond)
		if _, at, connected := s.Status(); !connected || !at.After(before) {
			t.Errorf("the status is that of %s, connected %t", at, connected)
		}
		close(c.release)
		for n, told := range all {
			if got := <-told; got.Outcome != subscribe.Asked || got.To != wish(n).To {
				t.Errorf("%d: %+v", n, got)
			}
		}
		if _, most, calls := c.counts(); most != 16 || calls != 40 {
			t.Errorf("%d at one time, %d of 40 in all", most, calls)
		}
	})
}

// What has waited too long is not begun any more: nobody would hear of it.
func TestSubscribeTooLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln, a, c := newPipes(), &answer{}, &slow{release: make(chan struct{}), stubborn: true}
		serve(t, ln, publish.Options{Handler: &control{}, Subscribe: c.answer})
		a.follows(t, "1", ln.dial)
		synctest.Wait()
		var all []<-chan subscribe.Told
		for n := range 40 {
			all = append(all, tell(a, wish(n)))
		}
		for _, told := range all {
			if got := <-told; got.Outcome != subscribe.Away {
				t.Errorf("%+v", got)
			}
		}
		synctest.Wait()
		close(c.release)
		synctest.Wait()
		if now, _, calls := c.counts(); calls != 16 || now != 0 {
			t.Errorf("%d were begun, %d go on", calls, now)
		}
		if got := <-tell(a, wish(99)); got.Outcome != subscribe.Asked {
			t.Errorf("the next one: %+v", got)
		}
	})
}

// A connection that ends takes its questions along.
func TestSubscribeCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln, a, c := newPipes(), &answer{}, &slow{release: make(chan struct{})}
		serve(t, ln, publish.Options{Handler: &control{}, Subscribe: c.answer})
		stop := a.follows(t, "1", ln.dial)
		synctest.Wait()
		told := tell(a, wish(1))
		synctest.Wait()
		began := time.Now()
		stop()
		if got := <-told; got.Outcome != subscribe.Away {
			t.Errorf("%+v", got)
		}
		synctest.Wait()
		if now, _, calls := c.counts(); now != 0 || calls != 1 || time.Since(began) > time.Second {
			t.Errorf("%d of %d go on after %s", now, calls, time.Since(began))
		}
	})
}

// An answer that asks more than it may, or what can't be read, loses the questions that are
// too many, and nothing else.
func TestSubscribeFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln, c, h := newPipes(), &slow{release: make(chan struct{})}, &control{}
		serve(t, ln, publish.Options{Handler: h, Subscribe: c.answer})
		conn, err := ln.dial(t.Context())
		must(t, err)
		raw := &feed.Conn{Conn: conn}
		must(t, raw.Send(feed.TypeHello, feed.Hello{Epoch: 3, Life: "1"}))
		var mu sync.Mutex
		answered, seen := map[uint64]subscribe.Outcome{}, uint64(0)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				kind, body, err := raw.Receive()
				if err != nil {
					return
				}
				mu.Lock()
				switch kind {
				case feed.TypeSubscribed:
					s := decode[feed.Subscribed](t, body)
					answered[s.ID] = s.Told.Outcome
				case feed.TypeSeen:
					seen = decode[uint64](t, body)
				}
				mu.Unlock()
			}
		}()
		for _, odd := range []any{1, "x", nil, []int{}, map[string]any{"id": -1}} {
			must(t, raw.Send(feed.TypeSubscribe, odd))
		}
		synctest.Wait()
		must(t, raw.Send(feed.TypeSubscribe, feed.Subscribe{ID: 1000, Ask: subscribe.Ask{Do: subscribe.End, Token: "none"}}))
		for n := range 200 {
			must(t, raw.Send(feed.TypeSubscribe, feed.Subscribe{ID: uint64(n + 1), Ask: wish(n)}))
			synctest.Wait()
		}
		report := nth(1)
		report.Seq = 1
		must(t, raw.Send(feed.TypeReports, []feed.Report{report}))
		synctest.Wait()
		mu.Lock()
		if seen != 1 || len(h.got()) != 1 {
			t.Errorf("reports are held up: seen %d", seen)
		}
		mu.Unlock()
		close(c.release)
		synctest.Wait()
		mu.Lock()
		if answered[1000] != subscribe.Unknown || answered[1] != subscribe.Asked || answered[64] != subscribe.Asked || answered[65] != "" || len(answered) > 66 {
			t.Errorf("%d are answered: %v", len(answered), answered)
		}
		mu.Unlock()
		_ = raw.Close()
		<-ended
	})
}
