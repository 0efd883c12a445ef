package ofrep

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lifeboat/internal/feature"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is more than anything here takes.
const patience = 20 * time.Second

// running serves s on the loopback network until the test ends.
func running(t testing.TB, s *Server) (base string, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stopped with %v", err)
		}
	}
	t.Cleanup(stop)
	return "http://" + ln.Addr().String(), stop
}

// listener is a page that holds a stream.
type listener struct {
	t      testing.TB
	res    *http.Response
	lines  *bufio.Reader
	cancel context.CancelFunc
}

var asker = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func listenTo(t testing.TB, base, query, lastID string) *listener {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	r, err := http.NewRequestWithContext(ctx, "GET", base+streamPath+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	res, err := asker.Do(r)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	l := &listener{t, res, bufio.NewReader(res.Body), cancel}
	t.Cleanup(l.close)
	return l
}

func (l *listener) close() { l.cancel(); _ = l.res.Body.Close() }

// next is the next frame, signs of life left out.
func (l *listener) next() string {
	l.t.Helper()
	frame := ""
	for {
		line, err := l.lines.ReadString('\n')
		if err != nil {
			return "ended"
		}
		switch {
		case line != "\n":
			frame += line
		case strings.HasPrefix(frame, ":"), strings.HasPrefix(frame, "retry:"):
			frame = ""
		default:
			return frame
		}
	}
}

func idOf(frame string) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(frame, "id: "), "\n")
	return id
}

func TestStream(t *testing.T) {
	t.Parallel()
	s := New(Options{Now: func() time.Time { return time.Unix(1771622898, 0) }})
	s.Set(Compile(flags(), nil).At(1, 1))
	base, _ := running(t, s)
	l := listenTo(t, base, "", "")
	if got := l.res.Header.Get("Content-Type"); l.res.StatusCode != 200 || got != "text/event-stream" {
		t.Fatalf("%d %s", l.res.StatusCode, got)
	}
	first := l.next() // what is in force: it may have changed since the page asked
	id := idOf(first)
	if want := "id: " + id + "\nevent: message\ndata: {\"type\":\"refetchEvaluation\",\"etag\":\"" + id + "\",\"lastModified\":1771622898}\n"; first != want || id == "" {
		t.Fatalf("told %q, want %q", first, want)
	}
	s.Set(Compile(flags(), nil).At(1, 2)) // changes nothing, and is not told
	hidden := flags()
	hidden[1].Value, hidden[1].Off = raw("false"), raw("true") // for servers only
	s.Set(Compile(hidden, nil).At(1, 3))
	s.Set(Compile(flags(), orders()).At(1, 4))
	second := l.next()
	if idOf(second) == id || idOf(second) == "ended" {
		t.Fatalf("told %q after %s", second, id)
	}
	if w := asked(t, s, "POST", all, `{}`); !strings.Contains(w.Header().Get("ETag"), idOf(second)) {
		t.Errorf("the event's etag %s is not in %s", idOf(second), w.Header().Get("ETag"))
	}

	// Who comes back is told only what is new.
	back := listenTo(t, base, "", idOf(second))
	s.Set(Compile(flags(), nil).At(1, 5))
	if got := back.next(); idOf(got) != id {
		t.Errorf("who came back is told %q, want the change after", got)
	}
	late := listenTo(t, base, "", idOf(second))
	if got := late.next(); idOf(got) != id {
		t.Errorf("who missed a change is told %q", got)
	}
}

// What changes while a client is not read from is told as one.
func TestStreamCoalesces(t *testing.T) {
	t.Parallel()
	s := New(Options{})
	s.Set(Compile(flags(), nil))
	st := &stream{who: caller{audience: pages}, woken: make(chan struct{}, 1)}
	if !s.open(st) {
		t.Fatal("no room")
	}
	for i := range 1001 {
		s.Set(Compile(flags(), map[string]feature.Order{"checkout": {Value: raw(fmt.Sprint(i%2 == 1))}}).At(1, uint64(i)))
	}
	if n := len(st.woken); n != 1 {
		t.Errorf("%d wake-ups wait", n)
	}
	s.close(st)
}

func TestStreamEnds(t *testing.T) {
	t.Parallel()
	s := New(Options{MaxStreams: 2, Heartbeat: 20 * time.Millisecond})
	s.Set(Compile(flags(), nil))
	base, stop := running(t, s)
	one, two := listenTo(t, base, "", ""), listenTo(t, base, "", "")
	one.next()
	two.next()
	three := listenTo(t, base, "", "")
	if three.res.StatusCode != 503 || three.res.Header.Get("Retry-After") == "" {
		t.Errorf("a stream too many is answered %d", three.res.StatusCode)
	}
	one.close() // its place is free once the server has seen it
	until(t, "the place of a client that left is free", func() bool { return s.Heard().Pages.Streams == 1 })
	if four := listenTo(t, base, "", ""); four.res.StatusCode != 200 {
		t.Errorf("%d", four.res.StatusCode)
	}
	beat, err := two.lines.ReadString('\n')
	if err != nil || beat != ": here\n" {
		t.Errorf("a quiet stream says %q %v", beat, err)
	}
	stop()
	if _, err := io.ReadAll(two.lines); err != nil { // it is ended, not cut off
		t.Errorf("a stream of a server that stops: %v", err)
	}
	if n := s.Heard().Pages.Streams; n != 0 {
		t.Errorf("%d streams outlive the server", n)
	}
}

// until waits for a condition.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("not: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// A stream outlives the deadlines of questions.
func TestStreamOutlivesTheDeadlines(t *testing.T) {
	t.Parallel()
	s := New(Options{})
	s.Set(Compile(flags(), nil))
	base, _ := running(t, s)
	l := listenTo(t, base, "", "")
	l.next()
	time.Sleep(readTimeout + writeTimeout/10) // the deadline itself is what is tested
	s.Set(Compile(flags(), orders()))
	if got := l.next(); got == "ended" {
		t.Error("the stream was cut off")
	}
}

func TestHeard(t *testing.T) {
	t.Parallel()
	clock := time.Unix(1_000_000, 0)
	s := New(Options{Now: func() time.Time { return clock }})
	s.Set(Compile(board(), nil).At(1, 41))
	ask := func(who string) {
		t.Helper()
		if w := asked(t, s, "POST", all, `{"context":{"targetingKey":"`+who+`"}}`); w.Code != 200 {
			t.Fatal(w.Code)
		}
	}
	for i := range 15 {
		ask(fmt.Sprint("u", i))
	}
	ask("u3") // a client is counted once
	asked(t, s, "POST", one, `{}`)
	clock = clock.Add(time.Minute)
	s.Set(Compile(board(), orders()).At(1, 42))
	clock = clock.Add(500 * time.Millisecond)
	for i := range 13 {
		ask(fmt.Sprint("u", i))
	}
	clock = clock.Add(1400 * time.Millisecond)
	ask("u13")
	s.Set(Compile(board(), orders()).At(1, 43)) // changes no flag
	clock = clock.Add(time.Second)
	ask("a new one") // was not waited for
	got := s.Heard().Pages
	if got.Revision != "1.42" || got.Clients != 16 || got.Heard != 15 || got.Slowest != 1900*time.Millisecond || len(got.Behind) != 1 {
		t.Fatalf("%+v", got)
	}
	if b := got.Behind[0]; b.Revision != "1.41" || b.Clients != 1 || !b.Seen.Equal(time.Unix(1_000_000, 0)) {
		t.Errorf("behind: %+v", b)
	}
	if got := s.Heard().Servers; got.Clients != 1 || got.Heard != 0 {
		t.Errorf("servers: %+v", got)
	}
	clock = clock.Add(forgetting)
	if got := s.Heard().Pages; got.Clients != 1 || len(got.Behind) != 0 {
		t.Errorf("after ten minutes: %+v", got)
	}
}

// However many ask, what is kept is bounded, and says that it is not all.
func TestHeardIsBounded(t *testing.T) {
	t.Parallel()
	clock := time.Unix(1_000_000, 0)
	s := New(Options{Now: func() time.Time { return clock }})
	s.Set(Compile(flags(), nil))
	for i := range 3 * maxClients {
		s.heard[pages].note(uint64(i), "x", clock)
	}
	got := s.Heard().Pages
	if got.Clients > maxClients || got.Uncounted != uint64(3*maxClients-got.Clients) {
		t.Errorf("%d clients, %d uncounted", got.Clients, got.Uncounted)
	}
	clock = clock.Add(forgetting + time.Second)
	for i := range 100 {
		s.heard[pages].note(uint64(1<<40+i), "y", clock)
	}
	if got := s.Heard().Pages; got.Clients != 100 {
		t.Errorf("%d clients after the others went silent", got.Clients)
	}
}
