// Package obs holds what all parts need to be observed alike: the logger.
//
// The operator's log is not the timeline: what people need to know is an event.
//
// Concurrency: a Logger may be used from any goroutine and never blocks its
// caller: lines that can't be written in time are dropped and counted.
package obs

import (
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
)

// KeyComponent is the log key that names the part of lifeboat.
const KeyComponent = "component"

// waiting is how many lines may wait for a slow reader.
const waiting = 1024

// Logger writes text lines to w without ever waiting for it: answer must go on when
// the terminal or the pipe behind w stands still.
func Logger(w io.Writer, component string) *slog.Logger {
	l := &line{lines: make(chan []byte, waiting)}
	go l.run(w) // ends with the process
	return slog.New(slog.NewTextHandler(l, nil)).With(KeyComponent, component)
}

// line hands whole lines to the one goroutine that writes.
type line struct {
	lines chan []byte
	lost  atomic.Int64
}

// Write never blocks and never fails.
func (l *line) Write(p []byte) (int, error) {
	select {
	case l.lines <- append([]byte(nil), p...):
	default:
		l.lost.Add(1)
	}
	return len(p), nil
}

func (l *line) run(w io.Writer) {
	for p := range l.lines {
		if n := l.lost.Swap(0); n > 0 {
			p = append(fmt.Appendf(nil, "level=WARN msg=\"log lines were dropped\" count=%d\n", n), p...)
		}
		_, _ = w.Write(p) // nobody reads: nothing to be done
	}
}
