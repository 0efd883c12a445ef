package publish_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lifeboat/internal/capture"
	"lifeboat/internal/fault"
	"lifeboat/internal/feed"
	"lifeboat/internal/feed/publish"
)

// witness is a control that takes evidence.
type witness struct {
	control

	seen  sync.Mutex // guards all below
	items []capture.Item
	done  []capture.Done
	order []string // titles of items and ids of jobs, as they came
	hold  func(capture.Item)
}

func (w *witness) Captured(_ context.Context, it capture.Item) {
	if w.hold != nil {
		w.hold(it)
	}
	w.seen.Lock()
	defer w.seen.Unlock()
	w.items = append(w.items, it)
	w.order = append(w.order, it.Title)
}

func (w *witness) CaptureDone(_ context.Context, d capture.Done) {
	w.seen.Lock()
	defer w.seen.Unlock()
	w.done = append(w.done, d)
	w.order = append(w.order, "end of "+d.Job)
}

func (w *witness) told() (items []capture.Item, done []capture.Done) {
	w.seen.Lock()
	defer w.seen.Unlock()
	return slices.Clone(w.items), slices.Clone(w.done)
}

func job(id string) capture.Job {
	return capture.Job{ID: id, Incident: "incident of " + id, Site: "shop", Names: []string{"shop.example.com"}}
}

// item is one that answer could send; it claims to be of another incident.
func item(id, title string, body []byte) capture.Item {
	sum := sha256.Sum256(body)
	return capture.Item{Job: id, Incident: "another", Site: "other", Kind: capture.KindHTTP, Title: title, Body: body, SHA256: hex.EncodeToString(sum[:])}
}

func TestCapture(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, ln, a := &witness{}, newPipes(), &answer{}
		s, _ := serve(t, ln, publish.Options{Handler: w})
		if err := s.Capture(t.Context(), job("1")); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "is not connected") {
			t.Errorf("nobody connected: %v", err)
		}
		a.capture = func(_ context.Context, j capture.Job, emit func(capture.Item)) capture.Done {
			for n := range 3 {
				emit(item(j.ID, fmt.Sprintf("%s.%d", j.ID, n), bytes.Repeat([]byte{0, 0xff, byte(n)}, 100)))
			}
			return capture.Done{Job: "wrong", Items: 3, Problem: j.Names[0]}
		}
		a.follows(t, "1", ln.dial)
		synctest.Wait()
		for _, id := range []string{"1", "2"} {
			must(t, s.Capture(t.Context(), job(id)))
		}
		if err := s.Capture(t.Context(), capture.Job{ID: "3"}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("an invalid job: %v", err)
		}
		synctest.Wait()
		items, done := w.told()
		if got := strings.Join(w.order, " "); got != "1.0 1.1 1.2 end of 1 2.0 2.1 2.2 end of 2" {
			t.Fatal(got)
		}
		if it := items[4]; it.Incident != "incident of 2" || it.Site != "shop" || !bytes.Equal(it.Body, bytes.Repeat([]byte{0, 0xff, 1}, 100)) {
			t.Errorf("%+v", it)
		}
		if want := (capture.Done{Job: "2", Incident: "incident of 2", Site: "shop", Items: 3, Problem: "shop.example.com"}); done[1] != want {
			t.Errorf("%+v", done[1])
		}
		must(t, s.Capture(t.Context(), job("1"))) // it is over, so it can come again
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Capture(ctx, job("4")); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("too late: %v", err)
		}
	})
}

// An older end on either side is told from a newer one, and nothing breaks.
func TestCaptureWithAnOlderEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, ln, a := &witness{}, newPipes(), &answer{} // that captures nothing
		s, _ := serve(t, ln, publish.Options{Handler: w})
		a.follows(t, "1", ln.dial)
		synctest.Wait()
		if err := s.Capture(t.Context(), job("1")); fault.KindOf(err) != fault.NotSupported {
			t.Errorf("an older answer: %v", err)
		}
		m, signed, parts := snap(5)
		_, err := s.Publish(t.Context(), m, signed, parts)
		must(t, err)
	})
	synctest.Test(t, func(t *testing.T) {
		c, ln := &control{}, newPipes() // that takes none
		s, _ := serve(t, ln, publish.Options{Handler: c})
		raw := by(t, s, ln)
		if err := s.Capture(t.Context(), job("1")); fault.KindOf(err) != fault.NotSupported {
			t.Errorf("an older control: %v", err)
		}
		must(t, raw.Send(feed.TypeCaptured, item("1", "x", nil)))
		must(t, raw.Send(feed.TypeCaptureDone, capture.Done{Job: "1"}))
		must(t, raw.Send(feed.TypeStatus, feed.Status{Problem: "still here"}))
		synctest.Wait()
		if st, _, connected := s.Status(); !connected || st.Problem != "still here" {
			t.Errorf("connected %t, %+v", connected, st)
		}
		_ = raw.Close()
	})
}

// by is a raw answer that has greeted and that control has asked for the jobs.
func by(t *testing.T, s *publish.Server, ln *pipes, ids ...string) *feed.Conn {
	t.Helper()
	conn, err := ln.dial(t.Context())
	must(t, err)
	raw := &feed.Conn{Conn: conn}
	must(t, raw.Send(feed.TypeHello, feed.Hello{Epoch: 3, Captures: true}))
	go func() {
		for {
			if _, _, err := raw.Receive(); err != nil {
				return
			}
		}
	}()
	synctest.Wait()
	for _, id := range ids {
		must(t, s.Capture(t.Context(), job(id)))
	}
	return raw
}

// A handler that stands still holds up nothing but evidence, of which as much waits
// as fits; what does not is counted.
func TestSlowCaptureHandler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, ln := &witness{}, newPipes()
		go_ := make(chan struct{})
		w.hold = func(capture.Item) { <-go_ }
		s, _ := serve(t, ln, publish.Options{Handler: w})
		raw := by(t, s, ln, "1", "2")
		const sent = 40
		for n := range sent {
			must(t, raw.Send(feed.TypeCaptured, item("1", fmt.Sprint(n), make([]byte, capture.MaxBody))))
		}
		must(t, raw.Send(feed.TypeCaptureDone, capture.Done{Job: "1", Items: sent}))
		must(t, raw.Send(feed.TypeReports, []feed.Report{{Seq: 1}}))
		must(t, raw.Send(feed.TypeStatus, feed.Status{Problem: "well"}))
		synctest.Wait()
		if st, _, _ := s.Status(); st.Problem != "well" {
			t.Errorf("the status waits: %+v", st)
		}
		if len(w.got()) != 1 {
			t.Error("reports wait")
		}
		close(go_)
		synctest.Wait()
		items, done := w.told()
		if len(done) != 1 || len(items)+done[0].Lost != sent || done[0].Lost == 0 || len(items) < 20 {
			t.Fatalf("%d items of %d, %+v", len(items), sent, done)
		}
		must(t, raw.Send(feed.TypeCaptured, item("2", "later", nil)))
		must(t, raw.Send(feed.TypeCaptureDone, capture.Done{Job: "2", Items: 1}))
		synctest.Wait()
		if _, done = w.told(); len(done) != 2 || done[1].Lost != 0 {
			t.Errorf("%+v", done)
		}
		_ = raw.Close()
	})
}

// What answer says is not believed further than it goes.
func TestOddEvidence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, ln := &witness{}, newPipes()
		s, _ := serve(t, ln, publish.Options{Handler: w})
		raw := by(t, s, ln, "1")
		wrong := item("1", "wrong hash", []byte("x"))
		wrong.Body = []byte("y")
		for _, body := range []any{
			wrong, item("9", "not asked for", nil), item("1", "too long", make([]byte, capture.MaxBody+1)), item("1", "much too long", make([]byte, 3<<20)), 7, "x", nil, json.RawMessage(`{"took":"x"}`),
		} {
			must(t, raw.Send(feed.TypeCaptured, body))
		}
		must(t, raw.Send(feed.TypeCaptureDone, capture.Done{Job: "9"}))
		must(t, raw.Send(feed.TypeCaptured, item("1", "good", []byte("x"))))
		for range 3 {
			must(t, raw.Send(feed.TypeCaptureDone, capture.Done{Job: "1", Lost: 99}))
		}
		synctest.Wait()
		if items, done := w.told(); len(items) != 1 || items[0].Title != "good" || len(done) != 1 || done[0].Lost != 8 {
			t.Errorf("%d items, %+v", len(items), done)
		}
		if _, _, connected := s.Status(); !connected {
			t.Error("the connection has ended")
		}
		for range 50 { // nobody has asked: nothing is kept
			must(t, raw.Send(feed.TypeCaptured, item("1", "late", nil)))
		}
		synctest.Wait()
		if items, _ := w.told(); len(items) != 1 {
			t.Errorf("%d items", len(items))
		}
		_ = raw.Close()
	})
}

func TestTooManyCaptures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, ln := &witness{}, newPipes()
		s, _ := serve(t, ln, publish.Options{Handler: w})
		raw := by(t, s, ln, "1")
		if err := s.Capture(t.Context(), job("1")); fault.KindOf(err) != fault.Conflict {
			t.Errorf("the same again: %v", err)
		}
		taken := 1
		var err error
		for n := 2; n < 100 && err == nil; n++ {
			if err = s.Capture(t.Context(), job(fmt.Sprint(n))); err == nil {
				taken++
			}
		}
		if fault.KindOf(err) != fault.Unavailable || taken != 8 {
			t.Errorf("%d taken, %v", taken, err)
		}
		must(t, raw.Send(feed.TypeCaptureDone, capture.Done{Job: "3"}))
		synctest.Wait()
		must(t, s.Capture(t.Context(), job("100")))
		_ = raw.Close()
		synctest.Wait()
		if _, done := w.told(); len(done) != 9 {
			t.Errorf("%d of 9 jobs have ended with the connection", len(done))
		}
	})
}

// A connection that dies in the middle: what came is kept, the job is at an end and
// says why, and the next one works.
func TestCaptureOverADyingConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, ln, a := &witness{}, newPipes(), &answer{}
		s, _ := serve(t, ln, publish.Options{Handler: w})
		var conn net.Conn
		stopped := make(chan struct{}, 1)
		a.capture = func(ctx context.Context, j capture.Job, emit func(capture.Item)) capture.Done {
			emit(item(j.ID, "first of "+j.ID, []byte("x")))
			if j.ID == "1" {
				<-ctx.Done()
				stopped <- struct{}{}
			}
			emit(item(j.ID, "second of "+j.ID, []byte("x")))
			return capture.Done{Items: 2}
		}
		a.follows(t, "1", func(ctx context.Context) (net.Conn, error) {
			var err error
			conn, err = ln.dial(ctx)
			return conn, err
		})
		synctest.Wait()
		must(t, s.Capture(t.Context(), job("1")))
		must(t, s.Capture(t.Context(), job("2"))) // waits, and never comes to it
		synctest.Wait()
		_ = conn.Close()
		<-stopped
		time.Sleep(time.Second)
		must(t, s.Capture(t.Context(), job("3")))
		synctest.Wait()
		items, done := w.told()
		if len(items) != 3 || items[0].Title != "first of 1" || items[2].Title != "second of 3" {
			t.Errorf("%d items: %v", len(items), w.order)
		}
		slices.SortFunc(done, func(a, b capture.Done) int { return strings.Compare(a.Job, b.Job) })
		if len(done) != 3 || done[0].Problem == "" || done[0].Incident != "incident of 1" || done[1].Problem == "" || done[2].Problem != "" {
			t.Errorf("%+v", done)
		}
	})
}

// Evidence is not given out after serving has ended, and its end waits for nobody.
func TestServingEndsDuringCapture(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, ln, a := &witness{}, newPipes(), &answer{}
		s, stop := serve(t, ln, publish.Options{Handler: w})
		a.capture = func(ctx context.Context, j capture.Job, emit func(capture.Item)) capture.Done {
			<-ctx.Done()
			return capture.Done{}
		}
		a.follows(t, "1", ln.dial)
		synctest.Wait()
		must(t, s.Capture(t.Context(), job("1")))
		synctest.Wait()
		stop()
		if _, done := w.told(); len(done) != 0 {
			t.Errorf("%+v", done)
		}
	})
}
