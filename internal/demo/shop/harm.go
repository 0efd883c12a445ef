package shop

import (
	"bytes"
	_ "embed"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"lifeboat/internal/fault"
)

// Harm is a way in which a shop can be broken.
type Harm string

// The ways. Kill can't be repaired from here: somebody must start the shop again.
const (
	None       Harm = "none"
	Kill       Harm = "kill"        // the process exits at once with code 137
	Hang       Harm = "hang"        // accepts, reads, never answers
	BadRelease Harm = "bad-release" // every page is a 500 with a stack trace
)

// exitKilled is what a shell reports of a process that got SIGKILL.
const exitKilled = 137

//go:embed templates/trace.html
var tracePage []byte

// ParseHarm reads a way to break a shop. None is not one.
func ParseHarm(text string) (Harm, error) {
	switch h := Harm(text); h {
	case Kill, Hang, BadRelease:
		return h, nil
	}
	return "", fault.New(fault.Invalid, "no such way to break the shop: %q", text).
		WithHint("one of kill, hang, bad-release")
}

// harm is the present condition of a shop, and what it does to each request.
type harm struct {
	done <-chan struct{} // closed when the shop stops
	exit func(int)

	held atomic.Int64 // requests that hang now

	mu      sync.Mutex // guards the rest
	current Harm
	changed chan struct{} // closed, and replaced, at each change
}

func newHarm(done <-chan struct{}, exit func(int)) *harm {
	return &harm{done: done, exit: exit, current: None, changed: make(chan struct{})}
}

func (h *harm) set(to Harm) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.current = to
	close(h.changed)
	h.changed = make(chan struct{})
}

// now gives the condition, and a channel that is closed when it changes.
func (h *harm) now() (Harm, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.current, h.changed
}

// inflict stands before every public page.
func (h *harm) inflict(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.survive(r) {
			// Nobody is there to be answered, or the shop is going: end the
			// connection without a byte, as a dying server does.
			panic(http.ErrAbortHandler)
		}
		// Counted from here and not from the request, which may have hung for long.
		// A writer without deadlines (in a test) is no reason to stop.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
		if current, _ := h.now(); current == BadRelease {
			serveTrace(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// survive waits while the shop hangs. It is false when the client gave up or the
// shop stops; a request that outlives the hang is answered like any other.
func (h *harm) survive(r *http.Request) bool {
	for {
		current, changed := h.now()
		if current != Hang {
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
func (h *harm) hold(r *http.Request, changed <-chan struct{}) bool {
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

func serveTrace(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusInternalServerError)
	_, _ = w.Write(tracePage) // a client that left needs nothing more
}
