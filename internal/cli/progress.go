package cli

import (
	"context"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressAfter is how long something may take before it shows that it goes on.
const progressAfter = time.Second

// slowly does something that can take long. On a terminal it shows that it goes on.
func (a *app) slowly(ctx context.Context, what string, f func(ctx context.Context) error) error {
	if !a.o.Terminal {
		return f(ctx)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { a.spin(what, done) }) // ends with done
	err := f(ctx)
	close(done)
	wg.Wait()
	return err
}

func (a *app) spin(what string, done <-chan struct{}) {
	t := time.NewTimer(progressAfter)
	defer t.Stop()
	select {
	case <-done:
		return
	case <-t.C:
	}
	bar := progressbar.NewOptions(-1, progressbar.OptionSetWriter(a.o.Err), progressbar.OptionSetDescription(what),
		progressbar.OptionSpinnerType(14), progressbar.OptionClearOnFinish(), progressbar.OptionSetElapsedTime(true))
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		_ = bar.Add(1) // a display
		select {
		case <-done:
			_ = bar.Finish()
			return
		case <-tick.C:
		}
	}
}

// steps shows how many of several things are done; without a terminal it shows
// nothing.
func (a *app) steps(n int, what string) (done func()) {
	if !a.o.Terminal || n < 2 {
		return func() {}
	}
	bar := progressbar.NewOptions(n, progressbar.OptionSetWriter(a.o.Err), progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(), progressbar.OptionSetRenderBlankState(true))
	return func() { _ = bar.Add(1) } // a display
}
