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

	filesAtOnce = 20 // of one caller: the folder of evidence is everybody's
	fileEvery   = 5 * time.Second
)

// brake counts each caller's writes of one sort.
type brake struct {
	now    func() time.Time
	atOnce int
	every  time.Duration // brings one back

	mu   sync.Mutex // guards left
	left map[string]allowance
}

type allowance struct {
	n  int
	at time.Time // n was true
}

func newBrake(now func() time.Time, atOnce int, every time.Duration) *brake {
	return &brake{now: now, atOnce: atOnce, every: every, left: map[string]allowance{}}
}

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
		x = allowance{b.atOnce, now}
	}
	if more := now.Sub(x.at) / b.every; more > 0 {
		x = allowance{min(b.atOnce, x.n+int(min(more, time.Duration(b.atOnce)))), x.at.Add(more * b.every)}
	} else if now.Before(x.at) { // the clock was set back
		x.at = now
	}
	defer func() { b.left[caller] = x }()
	if x.n == 0 {
		return b.every - now.Sub(x.at)
	}
	x.n--
	return 0
}

// tooMany is told to a caller that writes too much.
func tooMany(file bool, wait time.Duration) *Problem {
	f := fault.New(fault.Unavailable, "this token has sent too many requests").WithHint("wait a second; what leads to safety is never held up")
	if file {
		f = fault.New(fault.Unavailable, "this token has sent too many files").WithHint("send the next one in %d seconds; notes, and what leads to safety, are not held up", seconds(wait))
	}
	p := problemOf(f)
	p.Status, p.Title, p.wait = http.StatusTooManyRequests, http.StatusText(http.StatusTooManyRequests), wait
	return p
}

// seconds are whole ones, and one at least.
func seconds(d time.Duration) int { return max(1, int((d+time.Second-1)/time.Second)) }
