package outbox_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lifeboat/internal/outbox"
	"lifeboat/internal/store"
	"lifeboat/internal/store/mem"
	"lifeboat/internal/webhook"
)

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

// got is one webhook as a receiver had it.
type got struct {
	id, signature, timestamp string
	body                     []byte
	at                       time.Time
}

// receiver is who is told.
type receiver struct {
	mu     sync.Mutex       // guards all below
	answer http.HandlerFunc // 204 if nil
	got    []got
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	r.got = append(r.got, got{req.Header.Get("webhook-id"), req.Header.Get("webhook-signature"), req.Header.Get("webhook-timestamp"), body, time.Now()})
	answer := r.answer
	r.mu.Unlock()
	if answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	answer(w, req)
}

// answers says what is answered from now on.
func (r *receiver) answers(h http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = h
}

func (r *receiver) all() []got {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

func (r *receiver) ids() (ids []string) {
	for _, g := range r.all() {
		ids = append(ids, g.id)
	}
	return ids
}

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func later(seconds string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", seconds)
		w.WriteHeader(http.StatusTooManyRequests)
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// told is one call of Result.
type told struct {
	id       string
	attempts int
	dead     bool
	err      error
}

// world is a store, receivers by name of their channel, and what Result was told.
type world struct {
	t         *testing.T
	store     store.Store
	receivers map[string]*receiver
	listeners map[string]*pipes

	mu   sync.Mutex // guards told
	told []told
}

func newWorld(t *testing.T, receivers map[string]*receiver) *world {
	w := &world{t: t, store: mem.New(mem.Options{}), receivers: receivers, listeners: map[string]*pipes{}}
	for name, r := range receivers {
		ln := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		w.listeners[name+".example.com:80"] = ln
		server := &http.Server{Handler: r}
		go func() { _ = server.Serve(ln) }()
		t.Cleanup(func() { _ = server.Close() })
	}
	return w
}

func (w *world) dial(ctx context.Context, _, address string) (net.Conn, error) {
	mine, theirs := net.Pipe()
	select {
	case w.listeners[address].conns <- theirs:
		return mine, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (w *world) result(_ context.Context, m outbox.Message, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, told{m.ID, m.Attempts, !m.Dead.IsZero(), err})
}

func (w *world) results() []told {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.told)
}

// box makes a box with the receivers for channels, or those named.
func (w *world) box(names ...string) *outbox.Box {
	w.t.Helper()
	if names == nil {
		for name := range w.receivers {
			names = append(names, name)
		}
	}
	o := outbox.Options{Store: w.store, Result: w.result, Client: webhook.NewClient(webhook.Options{Dial: w.dial})}
	for _, name := range names {
		o.Channels = append(o.Channels, outbox.Channel{Name: name, URL: "http://" + name + ".example.com/secret-in-the-path", Secret: []byte(name)})
	}
	b, err := outbox.New(o)
	must(w.t, err)
	return b
}

// run runs a box until stop is called, or the test ends.
func (w *world) run(b *outbox.Box) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		_ = b.Run(ctx)
		close(done)
	}()
	stop = func() { cancel(); <-done }
	w.t.Cleanup(stop)
	return stop
}

// add writes messages in one transaction.
func (w *world) add(b *outbox.Box, messages ...outbox.Message) {
	w.t.Helper()
	var writes []store.Write
	for _, m := range messages {
		writes = append(writes, b.Write(m))
	}
	_, err := w.store.Txn(w.t.Context(), nil, writes)
	must(w.t, err)
}

func (w *world) queue(b *outbox.Box) []outbox.Message {
	w.t.Helper()
	q, err := b.Queue(w.t.Context())
	must(w.t, err)
	return q
}

func message(id, channel string) outbox.Message {
	return outbox.Message{ID: id, Channel: channel, Kind: "update.public", Incident: "i1", Site: "shop", Body: json.RawMessage(`{"text":"` + id + `"}`)}
}

// bubble runs a test in a time of its own.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Parallel()
	synctest.Test(t, f)
}
