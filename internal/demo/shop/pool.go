package shop

import (
	"errors"
	"net/http"
	"sync/atomic"
	"time"
)

// Limits of the workers.
const (
	workers  = 8
	poolWait = 2 * time.Second // then a visitor is told that nobody is free
)

var (
	// errBusy is a request that no worker could take.
	errBusy = errors.New("no worker was free")
	// errWaited is one whose visitor would not wait for that.
	errWaited = errors.New("no worker was free, and the visitor gave up, or the shop stops")
)

// pool are the workers: so many requests are answered at once, the others wait. One
// page that waits for somebody else's service can so make every page wait.
type pool struct {
	done    <-chan struct{} // closed when the shop stops
	slots   chan struct{}   // one for each worker at work
	leak    int64           // release 415: every so many requests a worker is never given back; 0: never
	served  atomic.Int64
	waiting atomic.Int64
}

// newPool makes the workers of a release that is well for so many requests, or for
// good when well is 0.
func newPool(done <-chan struct{}, well int) *pool {
	p := &pool{done: done, slots: make(chan struct{}, workers)}
	if well > 0 {
		p.leak = max(1, int64(well)/workers)
	}
	return p
}

// inUse is how many workers are at work, or lost.
func (p *pool) inUse() int { return len(p.slots) }

// serve lets a worker answer each request.
func (p *pool) serve(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch err := p.take(r); {
		case errors.Is(err, errBusy):
			blame(w, err)
			w.Header().Set("Retry-After", "5")
			http.Error(w, "Too many people at once. Please try again in a moment.", http.StatusServiceUnavailable)
			return
		case err != nil:
			blame(w, err)
			panic(http.ErrAbortHandler)
		}
		if n := p.served.Add(1); p.leak == 0 || n%p.leak != 0 {
			defer func() { <-p.slots }() // what release 415 forgets now and then
		}
		next.ServeHTTP(w, r)
	})
}

// take waits for a free worker.
func (p *pool) take(r *http.Request) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	default:
	}
	p.waiting.Add(1)
	defer p.waiting.Add(-1)
	late := time.NewTimer(poolWait)
	defer late.Stop()
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-late.C:
		return errBusy
	case <-r.Context().Done():
	case <-p.done:
	}
	return errWaited
}
