package shop

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// exitKilled is what a shell reports of a process that got SIGKILL.
const exitKilled = 137

// errGone is a request that nobody waits for any more.
var errGone = errors.New("the visitor gave up, or the shop stops")

// hang holds all requests while it is on.
type hang struct {
	done <-chan struct{} // closed when the shop stops
	held atomic.Int64    // requests that hang now

	mu      sync.Mutex // guards the rest
	on      bool
	changed chan struct{} // closed, and replaced, at each change
}

func newHang(done <-chan struct{}) *hang {
	return &hang{done: done, changed: make(chan struct{})}
}

func (h *hang) set(on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.on = on
	close(h.changed)
	h.changed = make(chan struct{})
}

// now says whether it is on, and gives a channel that is closed when that changes.
func (h *hang) now() (bool, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.on, h.changed
}

// inflict stands before every public page.
func (h *hang) inflict(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.survive(r) {
			// Nobody is there to be answered, or the shop is going: end the
			// connection without a byte, as a dying server does.
			blame(w, errGone)
			panic(http.ErrAbortHandler)
		}
		// Counted from here and not from the request, which may have hung for long.
		// A writer without deadlines (in a test) is no reason to stop.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
		next.ServeHTTP(w, r)
	})
}

// survive waits while the shop hangs. It is false when the client gave up or the
// shop stops; a request that outlives the hang is answered like any other.
func (h *hang) survive(r *http.Request) bool {
	for {
		on, changed := h.now()
		if !on {
			return true
		}
		// The server notices that a client left only once the body is read.
		if err := holdBody(r); err != nil {
			return false
		}
		if !h.hold(r, changed) {
			return false
		}
	}
}

// hold waits for a change; false when there is nobody left to wait for.
func (h *hang) hold(r *http.Request, changed <-chan struct{}) bool {
	h.held.Add(1)
	defer h.held.Add(-1)
	select {
	case <-changed:
		return true
	case <-r.Context().Done():
	case <-h.done:
	}
	return false
}

// holdBody reads the body into memory, for whoever answers the request later.
func holdBody(r *http.Request) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return err
	}
	if len(body) > maxBody {
		// Too long to keep; the handler refuses it by its length.
		r.Body = http.MaxBytesReader(nil, io.NopCloser(bytes.NewReader(body)), maxBody)
		return nil
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}
