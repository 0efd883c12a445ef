package ofrep

import (
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// shedder accepts connections up to a limit, and tells the others at once that
// there is no room: left to wait, they would hang until their own deadline.
type shedder struct {
	net.Listener
	free  chan struct{} // a place each
	turns chan struct{} // for telling those without a place
	shed  *atomic.Uint64
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

// placed gives its place back when it is closed.
type placed struct {
	net.Conn
	free chan struct{}
	once sync.Once
}

func (c *placed) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.free })
	return err
}
