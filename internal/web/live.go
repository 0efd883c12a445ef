package web

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"lifeboat/internal/account"
)

// How the stream behaves that tells a page to look again.
const (
	liveBeat    = 5 * time.Second        // figures and ages that merely grow are looked at this often
	liveGap     = 100 * time.Millisecond // a burst of changes is one look
	liveWrite   = 5 * time.Second        // a reader that takes nothing for so long is cut off
	maxStreams  = 200                    // of all, so that the console's connections are never used up
	maxOwn      = 12                     // of one person
	liveContent = "text/event-stream"
)

// streams counts those that are open, by whom.
type streams struct {
	mu  sync.Mutex
	all int
	own map[string]int
}

// enter takes a place, or says that there is none.
func (c *streams) enter(who string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all >= maxStreams || c.own[who] >= maxOwn {
		return false
	}
	if c.own == nil {
		c.own = map[string]int{}
	}
	c.all++
	c.own[who]++
	return true
}

func (c *streams) leave(who string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	if c.own[who]--; c.own[who] == 0 {
		delete(c.own, who)
	}
}

// live tells an open page when to look again (HTML, server-sent events). It says
// nothing of what has changed: the page asks for itself, so that what a person sees is
// always one whole page, and nothing is missed between two streams.
func (s *server) live(w http.ResponseWriter, r *http.Request, who account.Session) {
	name := actor(who).ID
	if !s.streams.enter(name) {
		w.Header().Set("Retry-After", "10")
		http.Error(w, "Too many pages are open. This one looks again by itself.", http.StatusServiceUnavailable)
		return
	}
	defer s.streams.leave(name)
	out := http.NewResponseController(w)
	_ = out.SetReadDeadline(time.Time{}) // it lasts longer than a request may take
	w.Header().Set("Content-Type", liveContent)
	say := func(event string) bool {
		_ = out.SetWriteDeadline(time.Now().Add(liveBeat + liveWrite)) // the kernel's clock; one that has passed can't be moved
		_, err := fmt.Fprintf(w, "retry: 1000\nevent: %s\ndata: 1\n\n", event)
		return err == nil && out.Flush() == nil
	}
	beat := time.NewTicker(liveBeat)
	defer beat.Stop()
	for {
		changed := s.o.Engine.Changed()
		if _, _, still := s.session(r); !still {
			say("gone")
			return
		}
		if !say("look") {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-s.o.Ending:
			return
		case <-changed:
			time.Sleep(liveGap)
		case <-beat.C:
		}
	}
}
