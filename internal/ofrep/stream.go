package ofrep

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// stream is an open event stream (Server-sent events, WHATWG HTML section 9.2).
type stream struct {
	who   caller
	woken chan struct{} // holds one: what happens while one is written is told as one
	told  uint64        // the change that was told last; guarded by Server.mu
}

// wake never waits: who has not read the last change is told of the newest.
func (st *stream) wake() {
	select {
	case st.woken <- struct{}{}:
	default:
	}
}

// The waits of a stream.
const (
	retryMS     = "2000"          // before a client comes back
	frameLimit  = 5 * time.Second // for a client to take one frame
	fullRetry   = 5               // seconds, where there is no room for a stream
	streamStart = "retry: " + retryMS + "\n\n"
)

// stream tells a page of changes until one of the two goes away. A page that comes
// without Last-Event-ID is told of what is in force at once: it may have changed
// between the page's question and its stream.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, who caller) {
	st := &stream{who: who, woken: make(chan struct{}, 1)}
	if !s.open(st) {
		s.counts.shed.Add(1)
		later(w, http.StatusServiceUnavailable, fullRetry, failure{Code: codeGeneral, Details: "too many streams are open"})
		return
	}
	defer s.close(st)
	s.counts.streams.Add(1)
	control := http.NewResponseController(w)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	h.Set("X-Content-Type-Options", "nosniff")
	frame := func(text string) bool {
		_ = control.SetWriteDeadline(time.Now().Add(frameLimit)) // in place of the server's, which is for questions; a recorder has none
		_, err := w.Write([]byte(text))
		return err == nil && control.Flush() == nil
	}
	last := r.Header.Get("Last-Event-ID")
	if !frame(streamStart) {
		return
	}
	st.wake()
	// Clients that came at once don't all have to be woken at once.
	beat := time.NewTicker(s.opts.Heartbeat - rand.N(s.opts.Heartbeat/4+1))
	defer beat.Stop()
	for {
		text := ": here\n\n"
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
		case <-st.woken:
			id, since := s.tell(st)
			if id == last {
				continue
			}
			last, text = id, event(id, since)
			s.counts.told.Add(1)
		}
		if !frame(text) {
			return
		}
	}
}

// event is the frame that makes a client ask again. Its id is the flags' digest, so
// that a client that comes back, to whichever process, is told only what is new.
func event(id string, since time.Time) string {
	return "id: " + id + "\nevent: message\ndata: {\"type\":\"refetchEvaluation\",\"etag\":\"" + id + "\",\"lastModified\":" + strconv.FormatInt(since.Unix(), 10) + "}\n\n"
}

// open takes a place for a stream.
func (s *Server) open(st *stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.streams) >= s.opts.MaxStreams {
		return false
	}
	s.streams[st] = struct{}{}
	return true
}

func (s *Server) close(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, st)
}

// tell gives what is in force, and notes that the stream is told of it.
func (s *Server) tell(st *stream) (digest string, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := &s.news[st.who.audience]
	st.told = n.number
	return n.digest, n.since
}
