package api

import (
	"io"
	"net/http"
	"time"
)

// How much of a body that was refused is still read, and for how long: somebody who
// sends while the connection is closed sees a reset and never the reason.
const (
	maxDrain  = 12 << 20 // bytes: the largest file and a little more
	drainTime = time.Second
)

// drained reads on after an answer that came before the end of its request's body.
func drained(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := r.Body // what reads it may put a limit around it
		next.ServeHTTP(w, r)
		if body == nil || body == http.NoBody {
			return
		}
		_ = http.NewResponseController(w).Flush()                                    // the answer first
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(drainTime)) // where it can't be set the server's own holds
		_, _ = io.CopyN(io.Discard, body, maxDrain)                                  // how far it came matters to nobody
	})
}
