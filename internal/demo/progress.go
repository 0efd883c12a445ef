package demo

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// barEvery is how often a bar is drawn at most.
const barEvery = 100 * time.Millisecond

// teller shows how a play gets on: one line a step, and where the play waits a bar,
// if somebody sits at a terminal.
type teller struct {
	w        io.Writer
	terminal bool
	now      func() time.Time
	began    time.Time
}

// line tells that a step is done, or that it failed.
func (t *teller) line(mark, step, what string) {
	_, _ = fmt.Fprintf(t.w, "%7.2f s  %s %-10s %s\n", t.now().Sub(t.began).Seconds(), mark, step, what) // nobody reads: nothing to be done
}

// wait shows a bar of n parts; n 0 is a wait of no known length. A bar that nobody
// sees does nothing.
func (t *teller) wait(what string, n int) *bar {
	if !t.terminal {
		return &bar{}
	}
	look := []progressbar.Option{
		progressbar.OptionSetWriter(t.w), progressbar.OptionSetDescription("           " + what), progressbar.OptionSetWidth(30), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetRenderBlankState(true), progressbar.OptionSpinnerType(14), progressbar.OptionSetPredictTime(false), progressbar.OptionThrottle(barEvery),
	}
	if n == 0 {
		return &bar{progressbar.NewOptions(-1, look...)}
	}
	return &bar{progressbar.NewOptions(n, append(look, progressbar.OptionShowCount())...)}
}

type bar struct{ *progressbar.ProgressBar }

// at shows how far it got.
func (b *bar) at(n int) {
	if b.ProgressBar == nil {
		return
	}
	if most := b.GetMax(); most > 0 { // a full bar would end itself
		_ = b.Set(min(n, most-1)) // a display
		return
	}
	_ = b.Add(1) // a display
}

// over takes the bar away.
func (b *bar) over() {
	if b.ProgressBar != nil {
		_ = b.Finish() // a display
	}
}
