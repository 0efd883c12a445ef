package standby

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"lifeboat/internal/statuspage"
)

var retryAfter = strconv.Itoa(int(statuspage.Refresh.Seconds()))

// robots allows everything: a robots.txt that fails can stop a crawler for the
// whole host, and the 503 of the other paths says enough.
const robots = "User-agent: *\nDisallow:\n"

// serve answers one request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if c, is := r.Context().Value(connKey{}).(*conn); is {
		c.asked.Store(true)
	}
	c := s.current.Load()
	if t, at, is := c.subscribing(r); is {
		t.serveSubscribe(w, r, s, at)
		return
	}
	h, form := w.Header(), unlockForm(r)
	if !discard(r) || s.crowded() {
		h["Connection"] = closing
	}
	harden(h)
	if c == nil {
		h["Retry-After"] = oneMoment
		text(w, r, http.StatusServiceUnavailable, "Not ready yet. Please ask again in a second.\n")
		return
	}
	name, ok := hostName(r.Host)
	t, known := c.hosts[name]
	switch {
	case !ok, !known:
		s.strays.Add(1)
		h["Connection"] = closing
		s.complain("requests for names that are not served here", r.Host)
		text(w, r, http.StatusMisdirectedRequest, "This name is not served here.\n")
	case t.kind == statusHost:
		t.serveStatus(w, r, s, form)
	default:
		t.serveProduction(w, r, s.secured(name, t.host, r))
	}
}

var (
	policyField   = []string{statuspage.Policy()}
	noReferrer    = []string{"no-referrer"}
	noSniff       = []string{"nosniff"}
	retryAfterOne = []string{retryAfter}
)

// harden sets what every answer carries.
func harden(h http.Header) {
	h["Cache-Control"] = mayNotBeKept
	h["Content-Security-Policy"] = policyField
	h["Referrer-Policy"] = noReferrer
	h["X-Content-Type-Options"] = noSniff
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
	// RFC 9112 section 6.1: after a coding, which may have come with a length, the
	// connection is ended, so that nothing can be smuggled behind it.
	return errors.Is(err, io.EOF) && n <= MaxBody && len(r.TransferEncoding) == 0
}

// serveProduction answers at the site's own name, in failover and out of it. secure is
// where a visitor who came without TLS is to be sent, "" nowhere.
func (t target) serveProduction(w http.ResponseWriter, r *http.Request, secure string) {
	h := w.Header()
	h[Marker], h["Alt-Svc"] = t.marker, forgetAltSvc
	share(h, r)
	if t.kind == elsewhere {
		// The next request has to look the name up again.
		h["Connection"] = closing
	}
	path := r.URL.Path
	d, fixed := t.documents[path]
	switch {
	case r.Method == http.MethodOptions:
		preflight(w, r)
	case fixed && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		t.serveFixed(w, r, d)
	case path == "/.well-known", strings.HasPrefix(path, wellKnownPath):
		text(w, r, http.StatusNotFound, "Not known here.\n")
	case secure != "":
		h["Location"] = []string{secure}
		text(w, r, http.StatusTemporaryRedirect, "This site is asked for over HTTPS.\n")
	default:
		t.serveClosed(w, r, path)
	}
}

// serveFixed answers what does not fail with the site: robots.txt, the beacon, files
// below /.well-known/.
func (t target) serveFixed(w http.ResponseWriter, r *http.Request, d *stored) {
	if r.Header[CheckHeader] == nil && r.URL.Path == statuspage.Beacon {
		t.count.waiting.Add(1)
	}
	d.serve(w, r)
}

// serveClosed says in the asker's own language that the site is not to be had.
func (t target) serveClosed(w http.ResponseWriter, r *http.Request, path string) {
	h := w.Header()
	h["Retry-After"], h["Access-Control-Expose-Headers"] = retryAfterOne, exposedFields
	if under(t.health, path) {
		t.count.checks.Add(1)
		text(w, r, http.StatusServiceUnavailable, "unavailable\n")
		return
	}
	t.countProduction(r)
	switch kind := kindOf(r, under(t.api, path)); kind {
	case wantsGRPC:
		trailersOnly(w, r)
	case wantsEvents:
		t.events.send(w, r, http.StatusServiceUnavailable)
	case wantsProblem:
		t.problem.send(w, r, http.StatusServiceUnavailable)
	case wantsNothing:
		text(w, r, http.StatusServiceUnavailable, "")
	default:
		t.page.send(w, r, http.StatusServiceUnavailable)
	}
}

// trailersOnly is how gRPC says UNAVAILABLE: a header block and nothing else.
// Source: the gRPC over HTTP/2 protocol, "Responses"; code 14 of its status codes.
func trailersOnly(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Content-Type"] = []string{mediaType(r.Header.Get("Content-Type"))}
	h["Grpc-Status"], h["Grpc-Message"] = []string{"14"}, []string{"The site is closed for now. Ask again later."}
	h["Access-Control-Expose-Headers"] = []string{"Retry-After, Grpc-Status, Grpc-Message"}
	w.WriteHeader(http.StatusOK)
}

func (t target) countProduction(r *http.Request) {
	if r.Header[CheckHeader] != nil {
		t.count.checks.Add(1)
		return
	}
	t.visitors().Add(1)
}

// visitors is the counter of a visitor's request at a production name.
func (t target) visitors() *atomic.Uint64 {
	if t.kind == inFailover {
		return &t.count.failover
	}
	return &t.count.late
}

// maxOrigin is the longest origin that is named in an answer, in bytes.
const maxOrigin = 256

// share lets scripts of any origin read an answer, also one asked for with cookies:
// nothing in it is for one visitor alone.
func share(h http.Header, r *http.Request) {
	origin := r.Header["Origin"]
	if len(origin) != 1 || len(origin[0]) > maxOrigin {
		h["Access-Control-Allow-Origin"] = everybody
		return
	}
	h["Access-Control-Allow-Origin"], h["Access-Control-Allow-Credentials"] = origin, []string{"true"}
}

// methods are those of a usual API.
const methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

// preflight lets a browser's script go on to the answer that tells it more. It is
// not to be remembered: production's own answer may be another.
func preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Allow", methods)
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", "*, Authorization")
	// With cookies a star is no wildcard (Fetch, "CORS-preflight fetch"): what is asked for is named.
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" && len(asked) <= 4*maxOrigin {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	if asked := r.Header.Get("Access-Control-Request-Method"); asked != "" && len(asked) <= 32 {
		h.Set("Access-Control-Allow-Methods", asked)
	}
	h.Set("Access-Control-Max-Age", "0")
	h["Vary"] = []string{"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"}
	w.WriteHeader(http.StatusNoContent)
}

// text writes a short plain answer.
func text(w http.ResponseWriter, r *http.Request, status int, words string) {
	h := w.Header()
	h["Content-Type"] = plainText
	h["Content-Length"] = []string{strconv.Itoa(len(words))}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, words)
	}
}
