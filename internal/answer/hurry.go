package answer

import (
	"context"
	"time"
)

const (
	hurryEvery = time.Second / 4
	manyShakes = 75 // TLS handshakes in that time, finished or turned away
)

// hurry lets more garbage pile up while many handshakes are made, and only then: a tenth of
// what a new connection costs is collecting it.
func (a *Answer) hurry(ctx context.Context) {
	t := time.NewTicker(hurryEvery)
	defer t.Stop()
	var last uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		l := a.standby.Load()
		now := l.Handshakes + l.Shed
		a.memory.Hurry(now-last >= manyShakes)
		last = now
	}
}
