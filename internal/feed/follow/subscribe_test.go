package follow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lifeboat/internal/feed"
	"lifeboat/internal/feed/follow"
	"lifeboat/internal/subscribe"
)

// wish is a question that can be told from others.
func wish(n int) subscribe.Ask {
	return subscribe.Ask{Do: subscribe.Begin, Page: "main", Way: subscribe.Mail, To: fmt.Sprintf("%d@example.com", n)}
}

// asks has a question under way; its answer is given when it comes.
func asks(f *follow.Follower, a subscribe.Ask) <-chan subscribe.Told {
	told := make(chan subscribe.Told, 1)
	go func() { told <- f.Subscribe(context.Background(), a) }()
	return told
}

// heard is the next question that control hears.
func heard(t *testing.T, c *feed.Conn) feed.Subscribe {
	t.Helper()
	kind, body, err := c.Receive()
	must(t, err)
	var s feed.Subscribe
	if kind != feed.TypeSubscribe || json.Unmarshal(body, &s) != nil {
		t.Fatalf("it says %s %s", kind, body)
	}
	return s
}

func outcome(t *testing.T, told <-chan subscribe.Told, want subscribe.Outcome) subscribe.Told {
	t.Helper()
	got := <-told
	if got.Outcome != want {
		t.Errorf("told %q, want %q", got.Outcome, want)
	}
	return got
}

// Answers find who asked, in whatever order they come.
func TestSubscribe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conns := make(chan *feed.Conn)
		f := run(t, follow.Options{Dial: dialled(conns)})
		c := <-conns
		greeted(t, c)
		synctest.Wait()
		one, two := asks(f, wish(1)), asks(f, wish(2))
		first, second := heard(t, c), heard(t, c)
		if first.ID == second.ID || first.Ask.To == second.Ask.To {
			t.Fatalf("%+v %+v", first, second)
		}
		for _, odd := range []any{1, feed.Subscribed{ID: 99, Told: subscribe.Told{Outcome: subscribe.Open}}, "x", []int{}} { // for nobody, and unreadable
			must(t, c.Send(feed.TypeSubscribed, odd))
		}
		for _, s := range []feed.Subscribe{second, first, first} { // once too often
			must(t, c.Send(feed.TypeSubscribed, feed.Subscribed{ID: s.ID, Told: subscribe.Told{Outcome: subscribe.Asked, To: s.Ask.To}}))
		}
		if a, b := outcome(t, one, subscribe.Asked), outcome(t, two, subscribe.Asked); a.To != "1@example.com" || b.To != "2@example.com" {
			t.Errorf("%+v %+v", a, b)
		}
		if told := f.Subscribe(t.Context(), subscribe.Ask{Do: subscribe.Begin, To: strings.Repeat("x", 3000)}); told.Outcome != subscribe.Wrong || told.Field != "to" {
			t.Errorf("what its check refuses travels: %+v", told)
		}
	})
}

// Nobody there, a connection that ends, an older control that passes the question over,
// a visitor who has gone: Away, and no later than it was promised.
func TestSubscribeAway(t *testing.T) {
	t.Parallel()
	t.Run("nobody is connected", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			f := run(t, follow.Options{Dial: func(context.Context) (net.Conn, error) { return nil, errors.New("nobody listens") }})
			outcome(t, asks(f, wish(1)), subscribe.Away)
		})
	})
	t.Run("the connection ends, and the next is as good as new", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			conns := make(chan *feed.Conn)
			f := run(t, follow.Options{Dial: dialled(conns)})
			c := <-conns
			greeted(t, c)
			synctest.Wait()
			began, told := time.Now(), asks(f, wish(1))
			heard(t, c)
			_ = c.Close()
			if outcome(t, told, subscribe.Away); time.Since(began) > time.Second {
				t.Errorf("it took %s", time.Since(began))
			}
			c = <-conns
			greeted(t, c)
			synctest.Wait()
			told = asks(f, wish(2))
			s := heard(t, c)
			must(t, c.Send(feed.TypeSubscribed, feed.Subscribed{ID: s.ID, Told: subscribe.Told{Outcome: subscribe.Asked}}))
			outcome(t, told, subscribe.Asked)
		})
	})
	t.Run("an older control", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			conns := make(chan *feed.Conn)
			f := run(t, follow.Options{Dial: dialled(conns)})
			c := <-conns
			greeted(t, c)
			synctest.Wait()
			began, told := time.Now(), asks(f, wish(1))
			s := heard(t, c) // and passes it over
			if outcome(t, told, subscribe.Away); time.Since(began) != feed.AskLimit {
				t.Errorf("it took %s", time.Since(began))
			}
			must(t, c.Send(feed.TypeSubscribed, feed.Subscribed{ID: s.ID})) // too late, for nobody
			must(t, c.Send(feed.TypeAsk, struct{}{}))
			if kind, _, err := c.Receive(); err != nil || kind != feed.TypeStatus {
				t.Errorf("the feed does not go on: %q, %v", kind, err)
			}
		})
	})
	t.Run("the visitor has gone", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			conns := make(chan *feed.Conn)
			f := run(t, follow.Options{Dial: dialled(conns)})
			c := <-conns
			greeted(t, c)
			synctest.Wait()
			ctx, cancel := context.WithCancel(t.Context())
			told := make(chan subscribe.Told, 1)
			go func() { told <- f.Subscribe(ctx, wish(1)) }()
			heard(t, c)
			cancel()
			outcome(t, told, subscribe.Away)
		})
	})
}

// A control that stands still holds up no more than 64 visitors, each for three seconds;
// what nobody waits for any more is not asked once it goes on.
func TestSubscribeFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conns := make(chan *feed.Conn)
		f := run(t, follow.Options{Dial: dialled(conns)})
		c := <-conns
		greeted(t, c)
		synctest.Wait()
		var waiting []<-chan subscribe.Told
		for n := range 64 {
			waiting = append(waiting, asks(f, wish(n)))
			synctest.Wait()
		}
		outcome(t, asks(f, wish(64)), subscribe.Busy)
		began := time.Now()
		for _, told := range waiting {
			outcome(t, told, subscribe.Away)
		}
		if took := time.Since(began); took != feed.AskLimit {
			t.Errorf("they waited %s", took)
		}
		for n := range 10 { // the line is full of questions that nobody waits for
			outcome(t, asks(f, wish(100+n)), subscribe.Away)
		}
		first := heard(t, c) // it had been begun
		synctest.Wait()
		last := asks(f, wish(1000))
		next := heard(t, c)
		if next.Ask.To != "1000@example.com" {
			t.Errorf("after %s it hears of %s, for which nobody waits", first.Ask.To, next.Ask.To)
		}
		must(t, c.Send(feed.TypeSubscribed, feed.Subscribed{ID: next.ID, Told: subscribe.Told{Outcome: subscribe.Asked}}))
		outcome(t, last, subscribe.Asked)
	})
}
