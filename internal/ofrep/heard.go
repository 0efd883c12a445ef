package ofrep

import (
	"cmp"
	"hash/maphash"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"lifeboat/internal/feature"
)

// What is told of who has heard.
type (
	Heard     = feature.Heard
	Listeners = feature.Listeners
	Behind    = feature.Behind
)

// The limits of what is kept.
const (
	maxClients = 10_000
	maxNews    = 32
	forgetting = 10 * time.Minute
)

// news is what an audience is answered now, and what it was before.
type news struct {
	number   uint64 // grows with each change; 0: none yet
	digest   string
	revision string
	since    time.Time
	before   []past // oldest first
}

type past struct{ digest, revision string }

// came notes a change; it says false when there is none.
func (n *news) came(digest, revision string, now time.Time) bool {
	if n.number > 0 && n.digest == digest {
		return false
	}
	if n.number > 0 {
		n.before = append(n.before, past{n.digest, n.revision})
		n.before = n.before[max(0, len(n.before)-maxNews):]
	}
	n.number, n.digest, n.revision, n.since = n.number+1, digest, revision, now
	return true
}

// revisionOf is the newest manifest with that digest, "" when it is too long ago.
func (n *news) revisionOf(digest string) string {
	for _, p := range slices.Backward(n.before) {
		if p.digest == digest {
			return p.revision
		}
	}
	return ""
}

// clients are who asked, by what tells them apart. They are in parts, so that
// questions do not wait for one another.
type clients struct{ parts [16]part }

type part struct {
	mu        sync.Mutex // guards what follows
	known     map[uint64]client
	uncounted uint64
	swept     time.Time
}

type client struct {
	digest string    // of what it was answered last
	heard  time.Time // when it was answered that first
	old    bool      // it had asked before that
	seen   time.Time
}

// note keeps that a client was answered what is in force; body is what it sent, of
// a bulk request.
func (s *Server) note(r *http.Request, v *View, who caller, body []byte) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	var h maphash.Hash
	h.SetSeed(s.seed)
	_, _ = h.WriteString(host)
	_, _ = h.WriteString("\x00" + who.name + "\x00")
	if body == nil {
		_, _ = h.WriteString(r.UserAgent())
	}
	_, _ = h.Write(body)
	id := h.Sum64()
	s.heard[who.audience].note(id, v.sets[who.audience].digest, s.opts.Now())
}

func (c *clients) note(id uint64, digest string, now time.Time) {
	p := &c.parts[id%uint64(len(c.parts))]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = map[uint64]client{}
	}
	k, known := p.known[id]
	if !known && !p.room(now, maxClients/len(c.parts)) {
		p.uncounted++
		return
	}
	if k.digest != digest {
		k.old, k.digest, k.heard = known, digest, now
	}
	k.seen = now
	p.known[id] = k
}

// room forgets who was silent, at most once a second.
func (p *part) room(now time.Time, most int) bool { // with mu held
	if len(p.known) < most {
		return true
	}
	if now.Sub(p.swept) < time.Second {
		return false
	}
	p.swept = now
	for id, k := range p.known {
		if now.Sub(k.seen) > forgetting {
			delete(p.known, id)
		}
	}
	return len(p.known) < most
}

// Heard counts who has heard of what is answered now.
func (s *Server) Heard() Heard {
	return Heard{Pages: s.listeners(pages), Servers: s.listeners(servers), Copies: s.listeners(copies)}
}

func (s *Server) listeners(a audience) Listeners {
	now := s.opts.Now()
	s.mu.Lock()
	n := s.news[a]
	n.before = slices.Clone(n.before)
	l := Listeners{Revision: n.revision, Since: n.since, Behind: []Behind{}}
	for st := range s.streams {
		if st.who.audience != a {
			continue
		}
		l.Streams++
		if st.told == n.number {
			l.Told++
		}
	}
	s.mu.Unlock()
	behind := map[string]Behind{}
	for i := range s.heard[a].parts {
		s.heard[a].parts[i].count(&l, n.digest, now, behind)
	}
	for digest, b := range behind {
		b.Revision = n.revisionOf(digest)
		l.Behind = append(l.Behind, b)
	}
	slices.SortFunc(l.Behind, func(x, y Behind) int { return cmp.Or(y.Seen.Compare(x.Seen), cmp.Compare(y.Revision, x.Revision)) })
	return l
}

// count adds the clients of one part.
func (p *part) count(l *Listeners, digest string, now time.Time, behind map[string]Behind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.Uncounted += p.uncounted
	for _, k := range p.known {
		if now.Sub(k.seen) > forgetting {
			continue
		}
		l.Clients++
		if k.digest != digest {
			b := behind[k.digest]
			b.Clients++
			if k.seen.After(b.Seen) {
				b.Seen = k.seen
			}
			behind[k.digest] = b
			continue
		}
		l.Heard++
		if k.old && k.heard.After(l.Since) {
			l.Slowest = max(l.Slowest, k.heard.Sub(l.Since))
		}
	}
}
