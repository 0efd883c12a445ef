package levertest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Door stands before the handler of a stand-in for somebody's API, and hurts it as
// told. It lets in whoever has the token.
type Door struct {
	*httptest.Server
	inner  http.Handler
	header string // what Authorization must say

	mu     sync.Mutex // guards all below
	gone   bool
	fails  bool
	loses  bool
	before func() // called before a write is handled
	hung   chan struct{}
	writes int
	busy   []string // Retry-After of the next answers
}

// NewDoor opens the door of an API; header is what Authorization must say.
func NewDoor(t testing.TB, header string, inner http.Handler) *Door {
	d := &Door{inner: inner, header: header}
	d.Server = httptest.NewServer(d)
	t.Cleanup(d.Close)
	return d
}

func (d *Door) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// Blind breaks every connection.
func (d *Door) Blind() func() {
	d.set(func() { d.gone = true })
	return func() { d.set(func() { d.gone = false }) }
}

// Hang takes every question and never answers.
func (d *Door) Hang() func() {
	c := make(chan struct{})
	d.set(func() { d.hung = c })
	return func() { d.set(func() { d.hung = nil }); close(c) }
}

// Fail answers writes with 503 and takes none.
func (d *Door) Fail(err error) { d.set(func() { d.fails = err != nil }) }

// Lose takes writes and breaks off in the middle of the answer.
func (d *Door) Lose() func() {
	d.set(func() { d.loses = true })
	return func() { d.set(func() { d.loses = false }) }
}

// Busy answers the next questions with 429 and these Retry-After.
func (d *Door) Busy(after ...string) { d.set(func() { d.busy = after }) }

// Before is called before the next write is handled, once.
func (d *Door) Before(f func()) { d.set(func() { d.before = f }) }

// Writes is how many writes were taken.
func (d *Door) Writes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writes
}

// ServeHTTP hurts or hands on.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	writes := r.Method != http.MethodGet
	d.mu.Lock()
	gone, fails, loses, hung, before, busy := d.gone, d.fails, d.loses, d.hung, d.before, d.busy
	if len(busy) > 0 {
		d.busy = busy[1:]
	}
	if writes {
		d.before = nil
	}
	d.mu.Unlock()
	switch {
	case gone:
		hangUp(w)
	case hung != nil:
		_, _ = io.Copy(io.Discard, r.Body) // the caller's going away shows only then
		select {
		case <-hung:
		case <-r.Context().Done():
		}
	case len(busy) > 0:
		w.Header().Set("Retry-After", busy[0])
		w.WriteHeader(http.StatusTooManyRequests)
	case d.header != "" && r.Header.Get("Authorization") != d.header:
		w.WriteHeader(http.StatusUnauthorized)
	case writes && fails:
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		if writes && before != nil {
			before()
		}
		d.hand(w, r, writes, loses)
	}
}

func (d *Door) hand(w http.ResponseWriter, r *http.Request, writes, loses bool) {
	rec := httptest.NewRecorder()
	d.inner.ServeHTTP(rec, r)
	if writes && rec.Code/100 == 2 {
		d.set(func() { d.writes++ })
		if loses {
			hangUp(w)
			return
		}
	}
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

func hangUp(w http.ResponseWriter) {
	if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = c.Close()
	}
}
