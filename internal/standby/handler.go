package standby

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"lifeboat/internal/statuspage"
)

var retryAfter = strconv.Itoa(int(statuspage.Refresh.Seconds()))

// robots allows everything: a robots.txt that fails can stop a crawler for the
// whole host, and the 503 of the other paths says enough.
const robots = "User-agent: *\nDisallow:\n"

// serve answers one request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	form := unlockForm(r)
	if !discard(r) || s.crowded() {
		w.Header().Set("Connection", "close")
	}
	harden(w.Header())
	c := s.current.Load()
	if c == nil {
		w.Header().Set("Retry-After", "1")
		text(w, r, http.StatusServiceUnavailable, "Not ready yet. Please ask again in a second.\n")
		return
	}
	name, ok := hostName(r.Host)
	t, known := c.hosts[name]
	switch {
	case !ok, !known:
		s.strays.Add(1)
		text(w, r, http.StatusMisdirectedRequest, "This name is not served here.\n")
	case t.kind == statusHost:
		t.serveStatus(w, r, s, form)
	default:
		t.serveProduction(w, r)
	}
}

// harden sets what every answer carries.
func harden(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", statuspage.Policy())
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
}

// discard reads a request's body to its end, so that the connection can be used
// again. It is false when the body is too long, broken, too slow, or waits for
// our leave to be sent; then the connection has to be closed.
func discard(r *http.Request) bool {
	if r.ContentLength == 0 {
		return true
	}
	if r.ContentLength > MaxBody || r.Header.Get("Expect") != "" {
		return false
	}
	n, err := io.CopyN(io.Discard, r.Body, MaxBody+1)
	return errors.Is(err, io.EOF) && n <= MaxBody
}

// serveProduction answers at the site's own name, in failover and out of it.
func (t target) serveProduction(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set(Marker, t.site)
	h.Set("Access-Control-Allow-Origin", "*")
	if t.kind == elsewhere {
		// The next request has to look the name up again.
		h.Set("Connection", "close")
	}
	path := r.URL.Path
	switch {
	case r.Method == http.MethodOptions:
		preflight(w)
	case path == "/robots.txt":
		text(w, r, http.StatusOK, robots)
	case path == "/.well-known", strings.HasPrefix(path, "/.well-known/"):
		text(w, r, http.StatusNotFound, "Not known here.\n")
	default:
		t.countProduction(r)
		h.Set("Retry-After", retryAfter)
		h.Set("Access-Control-Expose-Headers", "Retry-After")
		t.send(w, r, http.StatusServiceUnavailable, t.choose(r))
	}
}

func (t target) countProduction(r *http.Request) {
	switch {
	case r.Header[CheckHeader] != nil:
		t.count.checks.Add(1)
	case t.kind == inFailover:
		t.count.failover.Add(1)
	default:
		t.count.late.Add(1)
	}
}

// preflight lets a browser's script go on to the answer that tells it more. It is
// not to be remembered: production's own answer may be another.
func preflight(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "*, Authorization")
	h.Set("Access-Control-Max-Age", "0")
	w.WriteHeader(http.StatusNoContent)
}

// choose picks page or document.
func (t target) choose(r *http.Request) *body {
	if wantsJSON(r) {
		return &t.json
	}
	return &t.html
}

// send writes stored bytes.
func (t target) send(w http.ResponseWriter, r *http.Request, status int, b *body) {
	h := w.Header()
	h.Set("Content-Type", b.contentType)
	h.Set("Vary", "Accept, Accept-Encoding, Content-Type")
	stored := b.plain
	if acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		stored = b.gzip
	}
	h.Set("Content-Length", stored.length)
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		// A visitor who has gone away is no fault of ours.
		_, _ = w.Write(stored.bytes)
	}
}

// text writes a short plain answer.
func text(w http.ResponseWriter, r *http.Request, status int, words string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(words)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, words)
	}
}
