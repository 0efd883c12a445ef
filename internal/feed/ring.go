package feed

import (
	"sync"
	"time"
)

// RingSize is how many reports wait for control at the most.
const RingSize = 4096

// Ring keeps reports for control in order and in bounded memory. When it is full
// the oldest go, and their number becomes a Gap in their place. It never blocks.
type Ring struct {
	mu     sync.Mutex // guards all below
	items  []Report   // oldest first, at most RingSize
	next   uint64     // sequence number of the next report
	lost   uint64     // since start
	gap    int        // lost and not told yet, in a row before items[0]
	gapSeq uint64     // of the newest of them
	gapAt  time.Time
	wake   chan struct{}
}

// NewRing makes an empty ring.
func NewRing() *Ring { return &Ring{next: 1, wake: make(chan struct{}, 1)} }

// Add puts a report into the ring and numbers it.
func (r *Ring) Add(rep Report) {
	r.mu.Lock()
	rep.Seq = r.next
	r.next++
	if len(r.items) == RingSize {
		r.gapSeq, r.gapAt = r.items[0].Seq, r.items[0].At
		r.items = r.items[1:] // the array moves on when append needs room, once in a thousand
		r.gap++
		r.lost++
	}
	r.items = append(r.items, rep)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Wake is signalled when something was added.
func (r *Ring) Wake() <-chan struct{} { return r.wake }

// After gives up to n reports with a sequence number over seq; a Gap comes first
// where some were lost.
func (r *Ring) After(seq uint64, n int) []Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Report
	if r.gap > 0 && r.gapSeq > seq {
		out = append(out, Report{Seq: r.gapSeq, At: r.gapAt, Gap: int(min(uint64(r.gap), r.gapSeq-seq))})
	}
	for _, it := range r.items {
		if len(out) == n {
			break
		}
		if it.Seq > seq {
			out = append(out, it)
		}
	}
	return out
}

// Seen drops what control has acknowledged. What went while it was on its way was
// not lost.
func (r *Ring) Seen(seq uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gapSeq <= seq {
		r.gap = 0
	} else {
		r.gap = int(min(uint64(r.gap), r.gapSeq-seq))
	}
	i := 0
	for i < len(r.items) && r.items[i].Seq <= seq {
		i++
	}
	r.items = append(r.items[:0], r.items[i:]...)
}

// Stats gives how many wait and how many were lost since start.
func (r *Ring) Stats() (waiting int, lost uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.items), r.lost
}
