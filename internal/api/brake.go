package api

import (
	"net/http"
	"sync"
	"time"

	"lifeboat/internal/fault"
)

// How much one caller may write: a script that has lost its way must not fill the record
// while people work in it. What leads to safety is not counted.
const (
	writesAtOnce = 240
	writeEvery   = 250 * time.Millisecond // brings one back
	mostCallers  = 4096
)

// brake counts each caller's writes.
type brake struct {
	now func() time.Time

	mu   sync.Mutex // guards left
	left map[string]allowance
}

type allowance struct {
	n  int
	at time.Time // n was true
}

func newBrake(now func() time.Time) *brake { return &brake{now: now, left: map[string]allowance{}} }

// take takes one write, or says how long it takes until there is one.
func (b *brake) take(caller string) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	x, known := b.left[caller]
	if !known {
		if len(b.left) >= mostCallers { // all of them are named by tokens: nobody can flood this
			clear(b.left)
		}
		x = allowance{writesAtOnce, now}
	}
	if more := now.Sub(x.at) / writeEvery; more > 0 {
		x = allowance{min(writesAtOnce, x.n+int(min(more, writesAtOnce))), x.at.Add(more * writeEvery)}
	} else if now.Before(x.at) { // the clock was set back
		x.at = now
	}
	defer func() { b.left[caller] = x }()
	if x.n == 0 {
		return writeEvery - now.Sub(x.at)
	}
	x.n--
	return 0
}

// tooMany is told to a caller that writes too much.
func tooMany() *Problem {
	p := problemOf(fault.New(fault.Unavailable, "this token has sent too many requests").WithHint("wait a second; what leads to safety is never held up"))
	p.Status, p.Title = http.StatusTooManyRequests, http.StatusText(http.StatusTooManyRequests)
	return p
}
