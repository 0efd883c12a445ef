package standby

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// What visitors send in a crisis is nearly always the same: a browser asks for a page at
// the site's own name, and gets the one page that is ready. Such a request is answered
// here, with bytes that were made before. Whatever is not quite ordinary is handed to
// net/http together with the bytes that were read of it, and stays there: what decides is
// the one handler, and this is no second one. The bytes that are sent were written by it,
// for a request that differs in nothing that it looks at.

// quick is a listener for net/http. What it accepts are the connections that are not, or
// no longer, served here.
//
// Concurrency: as a net.Listener; each connection has a goroutine of its own.
type quick struct {
	server *Server
	lease  *lease
	rest   chan net.Conn
	failed chan error
	closed chan struct{}
	ending atomic.Bool
	served sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{} // guarded by mu: those that are served here
}

func (s *Server) quick(l *lease) *quick {
	q := &quick{server: s, lease: l, rest: make(chan net.Conn), failed: make(chan error, 1), closed: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	q.served.Go(q.run) // ends with the lease
	return q
}

func (q *quick) run() {
	for {
		c, err := q.lease.Accept()
		if err != nil {
			q.failed <- err
			return
		}
		q.served.Go(func() { q.serve(c) }) // ends with its deadlines, or by end
	}
}

// Accept gives the next connection that is not served here.
func (q *quick) Accept() (net.Conn, error) {
	select {
	case c := <-q.rest:
		return c, nil
	case err := <-q.failed:
		return nil, err
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

// Close takes no further connection, and wakes those that wait for a request.
func (q *quick) Close() error {
	if q.ending.Swap(true) {
		return nil
	}
	close(q.closed)
	q.each(func(c net.Conn) { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	return q.lease.Close()
}

// Addr is the listener's.
func (q *quick) Addr() net.Addr { return q.lease.Addr() }

// finish waits until no connection is served here any more; after the grace they are
// cut off.
func (q *quick) finish(grace time.Duration) {
	_ = q.Close()
	cut := time.AfterFunc(grace, func() { q.each(func(c net.Conn) { _ = c.Close() }) })
	defer cut.Stop()
	q.served.Wait()
}

func (q *quick) each(f func(net.Conn)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for c := range q.conns {
		f(c)
	}
}

// enter keeps a connection, so that it can be woken; leave lets go of it.
func (q *quick) enter(c net.Conn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.conns[c] = struct{}{}
}

func (q *quick) leave(c net.Conn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.conns, c)
}

// serve answers on a connection until it is handed on or ends.
func (q *quick) serve(c net.Conn) {
	q.enter(c)
	mine := true // not handed on
	defer func() {
		if p := recover(); p != nil { // one bad request must not end the process
			q.server.opts.Logger.Error("a connection to the standby failed in our own code", "cause", fmt.Sprint(p))
			mine = true
		}
		if mine {
			q.leave(c)
			_ = c.Close()
		}
	}()
	counted, _ := c.(*conn)
	if t, is := c.(*tls.Conn); is {
		counted, _ = t.NetConn().(*conn)
		_ = t.SetDeadline(time.Now().Add(headerTimeout))
		if err := t.Handshake(); err != nil {
			q.refused(t, err)
			return
		}
		if t.ConnectionState().NegotiatedProtocol == "h2" {
			mine = !q.pass(c, nil)
			return
		}
	}
	buf := heads.Get().(*[headSize]byte)
	defer heads.Put(buf)
	rest, goes := q.answers(c, counted, buf[:])
	if goes {
		mine = !q.pass(c, slices.Clone(rest))
	}
}

// headSize is the longest head of a request that is answered here, in bytes.
const headSize = 4 << 10

var heads = sync.Pool{New: func() any { return new([headSize]byte) }}

// answers answers one ordinary request after the other. It ends with the connection, or
// gives what was read of a request that is not ordinary.
func (q *quick) answers(c net.Conn, counted *conn, buf []byte) (rest []byte, handOn bool) {
	n, by := 0, time.Now().Add(headerTimeout) // when the head of a request has to be there
	idle := false                             // nothing of the next request is there
	for {
		o, size, state := readOrdinary(buf[:n])
		switch {
		case state == incomplete && n < len(buf):
			_ = c.SetReadDeadline(by)
			if q.ending.Load() { // Close has come before the line above, or wakes the one below
				return nil, false
			}
			got, err := c.Read(buf[n:])
			if err != nil {
				return nil, false
			}
			if n += got; n == got && idle { // its first bytes
				by, idle = time.Now().Add(headerTimeout), false
			}
			continue
		case state != whole:
			return buf[:n], true
		}
		now := time.Now()
		bytes, last := q.server.ready(o, counted == nil || counted.secure, now)
		if bytes == nil {
			return buf[:n], true
		}
		if counted != nil {
			counted.asked.Store(true)
		}
		_ = c.SetWriteDeadline(now.Add(writeTimeout))
		if _, err := c.Write(bytes); err != nil || last {
			return nil, false
		}
		n = copy(buf, buf[size:n])
		by, idle = now.Add(idleTimeout), n == 0
		if !idle {
			by = now.Add(headerTimeout)
		}
	}
}

// pass hands a connection to net/http, with what was read of it.
func (q *quick) pass(c net.Conn, read []byte) bool {
	q.leave(c)
	_ = c.SetDeadline(time.Time{})
	if len(read) > 0 {
		c = &begun{Conn: c, read: read}
	}
	select {
	case q.rest <- c:
		return true
	case <-q.closed:
		_ = c.Close()
		return true
	}
}

// refused tells of a handshake that failed, as net/http would.
func (q *quick) refused(t *tls.Conn, err error) {
	var header tls.RecordHeaderError
	if errors.As(err, &header) && header.Conn != nil && spokeHTTP(header.RecordHeader) {
		_, _ = io.WriteString(header.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
		_ = header.Conn.Close()
	}
	q.server.complain("handshakes that failed", t.RemoteAddr().String()+": "+err.Error())
}

// spokeHTTP says whether the first bytes on a secured connection are a method.
func spokeHTTP(header [5]byte) bool {
	switch string(header[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		return true
	}
	return false
}

// begun is a connection of which something was read.
type begun struct {
	net.Conn
	read []byte
}

// Read gives what was read first.
func (b *begun) Read(p []byte) (int, error) {
	if len(b.read) > 0 {
		n := copy(p, b.read)
		b.read = b.read[n:]
		return n, nil
	}
	return b.Conn.Read(p)
}

// readied is an answer that the handler wrote once, for all requests that are alike to it.
type readied struct {
	target target
	status string
	fields []byte // without Date and Connection
	body   []byte
	dated  atomic.Pointer[dated]
}

// dated is an answer with its date, which is that of one second.
type dated struct {
	second      int64
	open, close []byte
}

// maxKept is how many answers are kept for one View: by name and by what clients accept.
const maxKept = 256

// ready gives the bytes of an ordinary request's answer, and whether the connection ends
// with them; nil where the handler has to be asked.
func (s *Server) ready(o ordinary, secure bool, now time.Time) (bytes []byte, last bool) {
	c := s.current.Load()
	if c == nil {
		return nil, false
	}
	var scratch [512]byte
	key := o.key(scratch[:0])
	k := (*c.kept.Load())[string(key)]
	if k == nil {
		if k = s.keep(c, o, string(key)); k == nil {
			return nil, false
		}
	}
	if !k.target.ordinary(string(o.path), secure) {
		return nil, false
	}
	k.target.visitors().Add(1)
	last = k.target.kind == elsewhere || s.crowded()
	d := k.at(now)
	if last {
		return d.close, true
	}
	return d.open, false
}

// ordinary says whether a path is answered with what every other path is: it is none of
// those that never fail, of programs or of health checks.
func (t target) ordinary(path string, secure bool) bool {
	if t.host == nil || t.kind == statusHost || !secure && t.scheme == "https" {
		return false
	}
	if _, fixed := t.documents[path]; fixed || under(t.health, path) || under(t.api, path) {
		return false
	}
	return path != "/favicon.ico" && !under(wellKnownRule, path)
}

var wellKnownRule = []string{"/.well-known"}

// keep has the handler answer a request like this one, and keeps what it wrote.
func (s *Server) keep(c *current, o ordinary, key string) *readied {
	name, ok := hostName(string(o.host))
	t, known := c.hosts[name]
	if !ok || !known || !t.ordinary(string(o.path), true) {
		return nil
	}
	w := &written{header: http.Header{}}
	uncounted := t
	uncounted.count = &counter{} // nobody has come yet
	harden(w.header)
	uncounted.serveProduction(w, o.request(), "")
	if w.status != http.StatusServiceUnavailable {
		return nil
	}
	k := &readied{target: t, status: "HTTP/1.1 " + strconv.Itoa(w.status) + " " + http.StatusText(w.status) + "\r\n", body: w.body}
	w.header.Del("Connection")
	var fields octets
	_ = w.header.Write(&fields) // to memory
	k.fields = fields
	c.keeping.Lock()
	defer c.keeping.Unlock()
	before := *c.kept.Load()
	if len(before) >= maxKept {
		return nil
	}
	next := make(map[string]*readied, len(before)+1)
	for key, k := range before {
		next[key] = k
	}
	next[key] = k
	c.kept.Store(&next)
	return k
}

// octets is bytes that are written to.
type octets []byte

// Write implements io.Writer.
func (l *octets) Write(b []byte) (int, error) {
	*l = append(*l, b...)
	return len(b), nil
}

// at gives the answer with the date of now.
func (k *readied) at(now time.Time) *dated {
	second := now.Unix()
	if d := k.dated.Load(); d != nil && d.second == second {
		return d
	}
	date := "Date: " + now.UTC().Format(http.TimeFormat) + "\r\n"
	make := func(more string) []byte {
		b := append([]byte(k.status), k.fields...)
		b = append(append(append(b, date...), more...), "\r\n"...)
		return append(b, k.body...)
	}
	d := &dated{second: second, open: make(""), close: make("Connection: close\r\n")}
	k.dated.Store(d)
	return d
}

// written takes what the handler writes.
type written struct {
	header http.Header
	status int
	body   []byte
}

// Header implements http.ResponseWriter.
func (w *written) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *written) WriteHeader(status int) { w.status = status }

// Write implements http.ResponseWriter.
func (w *written) Write(b []byte) (int, error) {
	w.body = append(w.body, b...)
	return len(b), nil
}
