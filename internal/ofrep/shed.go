package ofrep

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// shedder accepts connections up to a limit, and tells the others at once that
// there is no room: left to wait, they would hang until their own deadline.
type shedder struct {
	net.Listener
	free  chan struct{} // a place each
	turns chan struct{} // for telling those without a place
	shed  *atomic.Uint64
}

// filesAllowed is how many files the process may hold open; a connection is one.
func filesAllowed() int {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil || r.Cur > 1<<20 {
		return 1 << 20
	}
	return max(64, int(r.Cur))
}

// polite is how many are told at the same time; the others are only closed.
const polite = 32

func newShedder(ln net.Listener, most int, shed *atomic.Uint64) *shedder {
	return &shedder{ln, make(chan struct{}, most), make(chan struct{}, polite), shed}
}

// Accept gives the next connection for which there is a place.
func (l *shedder) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.free <- struct{}{}:
			return &placed{Conn: c, free: l.free}, nil
		default:
		}
		l.shed.Add(1)
		select {
		case l.turns <- struct{}{}:
			go func() { // ends by its deadline
				defer func() { <-l.turns }()
				turnAway(c)
			}()
		default:
			_ = c.Close()
		}
	}
}

// tooFull is said to whom there is no room for. It has a body, as every answer.
var tooFull = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(fullBody)) +
	"\r\nRetry-After: 1\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: ETag, Retry-After\r\nConnection: close\r\n\r\n" + fullBody

const fullBody = `{"errorCode":"GENERAL","errorDetails":"too many are asking; ask again in a second"}`

// awayLimit is how long one who is turned away is waited for.
const awayLimit = 250 * time.Millisecond

// turnAway answers once the question has begun: an answer before it is taken for a
// fault by clients. Then it reads on until the client has seen the answer: closing
// before the whole question has come would take it back.
func turnAway(c net.Conn) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(awayLimit))
	var first [1]byte
	if _, err := io.ReadFull(c, first[:]); err != nil {
		return
	}
	if _, err := io.WriteString(c, tooFull); err != nil {
		return
	}
	if half, is := c.(interface{ CloseWrite() error }); is {
		if err := half.CloseWrite(); err != nil {
			return
		}
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(c, MaxBody))
}

// connKey is where a request's context has its *placed.
type connKey struct{}

// placed gives its place back when it is closed, and can send in one piece what comes
// in several: each costs a system call, and clients have been seen to hang between two.
type placed struct {
	net.Conn
	free chan struct{}
	once sync.Once

	// of the goroutine that answers, the only one that writes
	least  int           // bytes that are to come before anything is sent; 0: send at once
	gained *bytes.Buffer // what has come of them
}

// gather holds back what is written until more than so many bytes are there. An answer
// is longer than its body, so that none is held back for ever.
func (c *placed) gather(least int) { c.least = least }

// Write sends, or holds back.
func (c *placed) Write(b []byte) (int, error) {
	if c.least == 0 {
		return c.Conn.Write(b)
	}
	if c.gained == nil {
		c.gained = buffers.Get().(*bytes.Buffer)
	}
	if c.gained.Len()+len(b) <= c.least {
		return c.gained.Write(b)
	}
	pieces := net.Buffers{c.gained.Bytes(), b}
	_, err := pieces.WriteTo(c.Conn)
	putBuffer(c.gained)
	c.least, c.gained = 0, nil
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

// CloseWrite lets the client read a refusal before the connection is closed.
func (c *placed) CloseWrite() error {
	if half, is := c.Conn.(interface{ CloseWrite() error }); is {
		return half.CloseWrite()
	}
	return nil
}

func (c *placed) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.free })
	return err
}
