package standby

import (
	"log/slog"
	"strings"
	"sync"
	"time"
)

// gripeEvery is how often bad input is told of, whatever comes.
const gripeEvery = time.Minute

// gripes tells of bad input: in one line a minute, with how much of it there was and
// one sample, not once for each request.
type gripes struct {
	log *slog.Logger
	now func() time.Time

	mu     sync.Mutex
	last   time.Time // guarded by mu, as all below
	counts map[string]int
	sample string
}

// maxSample is how much of a sample is told, in bytes.
const maxSample = 100

// add counts one piece of bad input; what must be one of a few words.
func (g *gripes) add(what, sample string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.counts == nil {
		g.counts = map[string]int{}
	}
	g.counts[what]++
	g.sample = strings.ToValidUTF8(sample[:min(len(sample), maxSample)], "?")
	g.tell()
}

// tell says what there was, where a minute has gone by.
func (g *gripes) tell() { // with mu held
	now := g.now()
	if len(g.counts) == 0 || now.Sub(g.last) < gripeEvery && !g.last.IsZero() {
		return
	}
	g.last = now
	args := []any{"sample", g.sample}
	for what, n := range g.counts {
		args = append(args, strings.ReplaceAll(what, " ", "_"), n)
	}
	g.log.Warn("the standby was sent what it does not answer", args...)
	clear(g.counts)
}

// Write takes a line of the HTTP server's own log.
func (g *gripes) Write(line []byte) (int, error) {
	what := "faults of connections"
	text := strings.TrimSpace(string(line))
	if strings.Contains(text, "TLS handshake error") {
		what = "handshakes that failed"
	}
	g.add(what, text)
	return len(line), nil
}

func (s *Server) complain(what, sample string) { s.gripes.add(what, sample) }

// handshake is more than a browser sends to be secured, in bytes.
const handshake = 4 << 10

// unasked notes a connection that ended without a request that could be read. Who has
// sent nothing, or a handshake alone, was only early, as browsers are.
func (s *Server) unasked(c *conn) {
	got := c.got.Load()
	if got == 0 {
		return
	}
	s.crowd.unasked.Add(1)
	if !c.secure || got > handshake {
		s.complain("connections without a request", c.RemoteAddr().String())
	}
}
