package desk

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"lifeboat/internal/subscribe"
)

// When what failed is tried again.
const (
	minWait = 15 * time.Second // doubled with each try of one parcel
	maxWait = 15 * time.Minute
	minDown = 2 * time.Second // doubled with each failure of a way as a whole
	maxDown = 2 * time.Minute
	restIn  = 10 * time.Second // a way that had nothing to bring for so long lets its connections go
	oneTry  = 5 * time.Minute  // a carrier has limits of its own
)

// parcel is one message that is owed: news to a subscription, or its link.
type parcel struct {
	sub      string
	news     string // "": its link
	due      time.Time
	attempts int
	failed   error // of the last try; nil: none was made
	order    uint64
}

// lane brings the parcels of one way.
type lane struct {
	way     subscribe.Way
	carrier Carrier
	wake    chan struct{} // holds one while there may be work for somebody who waits

	mu     sync.Mutex // guards all below
	line   line       // of what was not tried yet, or could not be: no receiver's fault
	again  line       // of what its receiver has not taken: behind all in line that is due, so that slow ones hold up no others
	next   uint64
	pause  time.Time // nothing is brought before
	failed int       // in a row, of the way as a whole
	why    string    // of that
	busy   int       // on their way
	rested bool      // since something was brought
}

func newLane(way subscribe.Way, c Carrier) *lane {
	return &lane{way: way, carrier: c, wake: make(chan struct{}, 1)}
}

// line is a heap of parcels: links first, and of the rest those that are due first.
type line []*parcel

func (l line) Len() int      { return len(l) }
func (l line) Swap(i, j int) { l[i], l[j] = l[j], l[i] }
func (l line) Less(i, j int) bool {
	if !l[i].due.Equal(l[j].due) {
		return l[i].due.Before(l[j].due)
	}
	return l[i].order < l[j].order
}
func (l *line) Push(x any) { *l = append(*l, x.(*parcel)) }
func (l *line) Pop() any {
	old := *l
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*l = old[:len(old)-1]
	return p
}

// add puts parcels in line.
func (l *lane) add(parcels ...*parcel) {
	l.mu.Lock()
	for _, p := range parcels {
		l.next++
		p.order = l.next
		if p.attempts > 0 {
			heap.Push(&l.again, p)
		} else {
			heap.Push(&l.line, p)
		}
	}
	l.mu.Unlock()
	l.ring()
}

func (l *lane) ring() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// take gives a parcel that is due, or how long there is none.
func (l *lane) take(now time.Time) (p *parcel, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := &l.line
	if len(l.line) == 0 || l.line[0].due.After(now) && len(l.again) > 0 && l.again[0].due.Before(l.line[0].due) {
		from = &l.again
	}
	switch {
	case len(*from) == 0 && l.rested:
		return nil, time.Hour // until somebody rings
	case len(*from) == 0:
		return nil, restIn
	}
	if wait = max((*from)[0].due.Sub(now), l.pause.Sub(now)); wait > 0 {
		return nil, wait
	}
	p = heap.Pop(from).(*parcel)
	l.rested = false
	if l.busy++; len(l.line)+len(l.again) > 0 && l.failed == 0 { // nobody is woken to try a way that may be closed still
		l.ring()
	}
	return p, 0
}

// trouble pauses the lane: what came of a try was not about one receiver.
func (l *lane) trouble(now time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.pause) {
		return // told by another that set out at the same time
	}
	l.failed, l.why = l.failed+1, reason(err)
	l.pause = now.Add(backoff(l.failed, minDown, maxDown))
}

func (l *lane) fine() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed, l.why, l.pause = 0, "", time.Time{}
}

func (l *lane) back() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy--
}

// backoff is how long to wait after so many failures: the doubled least up to most, at
// random between the half of it and all.
func backoff(failures int, least, most time.Duration) time.Duration {
	wait := most
	if failures < 12 {
		wait = min(least<<(failures-1), most)
	}
	return wait/2 + rand.N(wait/2)
}

// work brings what is due until ctx ends. Several do so beside each other.
func (d *Desk) work(ctx context.Context, l *lane) {
	for ctx.Err() == nil {
		p, wait := l.take(d.o.Now())
		if p != nil {
			d.bring(ctx, l, p)
			l.back()
			continue
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-l.wake:
		case <-t.C:
			if l.rests() {
				l.carrier.Rest()
			}
		}
		t.Stop()
	}
}

// rests says whether somebody has to let the connections go: nothing is to be brought.
func (l *lane) rests() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	rests := !l.rested && len(l.line)+len(l.again) == 0 && l.busy == 0
	l.rested = l.rested || rests
	return rests
}
