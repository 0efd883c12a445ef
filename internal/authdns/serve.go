package authdns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"lifeboat/internal/udpbatch"
)

// idlePause is how long a socket rests after an error, so that one that keeps
// failing does not take a core.
const idlePause = 10 * time.Millisecond

// Serve answers on sockets until the context ends, one goroutine for each UDP
// socket and one for each TCP connection. The sockets stay open and belong to
// the caller, who may serve them again. An error means that a socket can't be
// served at all; trouble with single packets or connections is counted and gone
// over. Serve returns once every goroutine has ended.
func (s *Server) Serve(ctx context.Context, udp []*net.UDPConn, tcp []*net.TCPListener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { setDeadlines(udp, tcp, time.Unix(1, 0)) })
	var wg sync.WaitGroup
	errs := make([]error, len(udp)+len(tcp))
	run := func(i int, serve func() error) { // ended by ctx, through the deadlines
		wg.Go(func() {
			if errs[i] = serve(); errs[i] != nil {
				cancel()
			}
		})
	}
	for i, conn := range udp {
		run(i, func() error { return s.serveUDP(ctx, conn) })
	}
	for i, l := range tcp {
		run(len(udp)+i, func() error { return s.serveTCP(ctx, l) })
	}
	wg.Wait()
	if !stop() {
		setDeadlines(udp, tcp, time.Time{})
	}
	return errors.Join(errs...)
}

// setDeadlines wakes what waits on the sockets, or makes them usable again.
func setDeadlines(udp []*net.UDPConn, tcp []*net.TCPListener, at time.Time) {
	for _, conn := range udp {
		conn.SetDeadline(at)
	}
	for _, l := range tcp {
		l.SetDeadline(at)
	}
}

// serveUDP answers one socket, batch by batch, from buffers that are used again and
// again.
func (s *Server) serveUDP(ctx context.Context, conn *net.UDPConn) error {
	c := s.worker()
	socket, err := udpbatch.New(conn, udpbatch.Options{Plain: s.options.PlainUDP})
	if err != nil {
		return err
	}
	inOnePiece(conn)
	for {
		n, err := socket.Receive()
		if err != nil {
			if done, err := s.stopped(ctx, err); done {
				return err
			}
			c.udpErrors.Add(1)
			continue
		}
		s.batch(c, socket, n)
	}
}

// stopped says whether serving ends after an error: by the context, or because
// the socket was closed under us. It rests a moment if not.
func (s *Server) stopped(ctx context.Context, err error) (bool, error) {
	if ctx.Err() != nil {
		return true, nil
	}
	if errors.Is(err, net.ErrClosed) {
		return true, fmt.Errorf("serve: %w", err)
	}
	rest := time.NewTimer(idlePause)
	defer rest.Stop()
	select {
	case <-ctx.Done():
		return true, nil
	case <-rest.C:
		return false, nil
	}
}
