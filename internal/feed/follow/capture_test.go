package follow_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lifeboat/internal/capture"
	"lifeboat/internal/feed"
	"lifeboat/internal/feed/follow"
)

// next is the next end of a job that the follower tells.
func next(t *testing.T, c *feed.Conn) capture.Done {
	t.Helper()
	kind, body, err := c.Receive()
	must(t, err)
	var d capture.Done
	if kind != feed.TypeCaptureDone || json.Unmarshal(body, &d) != nil {
		t.Fatalf("it says %s %s", kind, body)
	}
	return d
}

// One job at a time, four wait, more are refused; the feed goes on.
func TestJobsInLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conns := make(chan *feed.Conn)
		var now, most atomic.Int32
		release := make(chan struct{})
		run(t, follow.Options{Dial: dialled(conns), Capture: func(_ context.Context, j capture.Job, emit func(capture.Item)) capture.Done {
			most.Store(max(most.Load(), now.Add(1)))
			<-release
			now.Add(-1)
			return capture.Done{Items: 1}
		}})
		c := <-conns
		kind, body, err := c.Receive()
		must(t, err)
		var h feed.Hello
		if must(t, json.Unmarshal(body, &h)); kind != feed.TypeHello || !h.Captures {
			t.Fatalf("greeted with %s %s", kind, body)
		}
		for n := range 5 {
			must(t, c.Send(feed.TypeCapture, capture.Job{ID: fmt.Sprint(n)}))
			synctest.Wait()
		}
		must(t, c.Send(feed.TypeCapture, capture.Job{ID: "5"}))
		if d := next(t, c); d.Job != "5" || d.Problem != "4 other jobs wait already" {
			t.Errorf("%+v", d)
		}
		must(t, c.Send(feed.TypeAsk, struct{}{}))
		if kind, _, err := c.Receive(); err != nil || kind != feed.TypeStatus {
			t.Errorf("asked for its status it says %q, %v", kind, err)
		}
		for n := range 5 {
			release <- struct{}{}
			if d := next(t, c); d.Job != fmt.Sprint(n) || d.Items != 1 || d.Problem != "" {
				t.Errorf("%+v", d)
			}
		}
		if most.Load() != 1 {
			t.Errorf("%d at once", most.Load())
		}
		_ = c.Close()
	})
}

// What can't be read costs the job, never the connection that visitors depend on.
func TestJobsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conns := make(chan *feed.Conn)
		run(t, follow.Options{Dial: dialled(conns), Capture: func(context.Context, capture.Job, func(capture.Item)) capture.Done {
			t.Error("captured")
			return capture.Done{}
		}})
		c := <-conns
		greeted(t, c)
		for body, id := range map[any]string{1: "", "x": "", json.Number("1e999"): "", `{"id":"1","names":{}}`: "1", `{"places":7,"id":"2"}`: "2"} {
			send := body
			if s, ok := body.(string); ok && strings.HasPrefix(s, "{") {
				send = json.RawMessage(s)
			}
			must(t, c.Send(feed.TypeCapture, send))
			if d := next(t, c); d.Job != id || !strings.HasPrefix(d.Problem, "the job can't be read") {
				t.Errorf("%v: %+v", body, d)
			}
		}
		_ = c.Close()
	})
}

func TestAnswerThatCapturesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conns := make(chan *feed.Conn)
		run(t, follow.Options{Dial: dialled(conns)})
		c := <-conns
		_, body, err := c.Receive()
		must(t, err)
		if strings.Contains(string(body), "captures") {
			t.Errorf("it says that it can: %s", body)
		}
		must(t, c.Send(feed.TypeCapture, capture.Job{ID: "1"}))
		if d := next(t, c); d.Job != "1" || d.Problem != "this answer captures no evidence" {
			t.Errorf("%+v", d)
		}
		_ = c.Close()
	})
}

// A job ends with its connection. One that is slow to end keeps nobody from
// following on, only the next job waits for it; the follower's end waits, too.
func TestJobEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conns := make(chan *feed.Conn)
		began, release := make(chan string, 9), make(chan struct{})
		o := follow.Options{Dial: dialled(conns), Ring: feed.NewRing(), Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
		o.Hello = func() feed.Hello { return feed.Hello{Epoch: 3} }
		o.Status = func() feed.Status { return feed.Status{} }
		o.Take = func(feed.Publish) feed.Ack { return feed.Ack{} }
		o.Capture = func(ctx context.Context, j capture.Job, _ func(capture.Item)) capture.Done {
			began <- j.ID
			<-ctx.Done()
			<-release
			return capture.Done{}
		}
		f := follow.New(o)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); f.Run(ctx) }()
		c := <-conns
		greeted(t, c)
		must(t, c.Send(feed.TypeCapture, capture.Job{ID: "1"}))
		if id := <-began; id != "1" {
			t.Errorf("job %s", id)
		}
		_ = c.Close()
		c = <-conns
		greeted(t, c)
		must(t, c.Send(feed.TypeCapture, capture.Job{ID: "2"}))
		synctest.Wait()
		select {
		case id := <-began:
			t.Errorf("job %s has begun beside the first", id)
		default:
		}
		release <- struct{}{}
		if id := <-began; id != "2" {
			t.Errorf("job %s", id)
		}
		cancel()
		synctest.Wait()
		select {
		case <-ended:
			t.Error("the follower has ended, and its job has not")
		default:
		}
		release <- struct{}{}
		<-ended
	})
}
