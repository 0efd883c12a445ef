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
// socket and one for each TCP connection. The UDP sockets are Serve's from now on, and
// closed when it returns (whoever wants to serve them again holds them elsewhere, as
// package handover does); the listeners stay open and belong to the caller. An error
// means that a socket can't be served at all; trouble with single packets or
// connections is counted and gone over. Serve returns once every goroutine has ended.
func (s *Server) Serve(ctx context.Context, udp []*net.UDPConn, tcp []*net.TCPListener) (err error) {
	sockets, err := s.takeOver(udp)
	defer func() {
		for _, socket := range sockets {
			err = errors.Join(err, socket.Close())
		}
	}()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		setDeadlines(tcp, time.Unix(1, 0))
		for _, socket := range sockets {
			socket.End()
		}
	})
	var wg, collecting sync.WaitGroup
	collecting.Go(func() { s.collect(ctx) }) // ended by ctx
	errs := make([]error, len(sockets)+len(tcp))
	run := func(i int, serve func() error) { // ended by ctx, through the deadlines
		wg.Go(func() {
			if errs[i] = serve(); errs[i] != nil {
				cancel()
			}
		})
	}
	for i, socket := range sockets {
		run(i, func() error { return s.serveUDP(ctx, socket) })
	}
	for i, l := range tcp {
		run(len(sockets)+i, func() error { return s.serveTCP(ctx, l) })
	}
	wg.Wait()
	cancel()
	collecting.Wait()
	if !stop() {
		setDeadlines(tcp, time.Time{})
	}
	return errors.Join(errs...)
}

// takeOver prepares the UDP sockets. Where one can't be, the others are told with it.
func (s *Server) takeOver(udp []*net.UDPConn) (sockets []*udpbatch.Socket, err error) {
	for _, conn := range udp {
		inOnePiece(conn)
		socket, failed := udpbatch.New(conn, udpbatch.Options{Plain: s.options.PlainUDP, Own: true})
		if failed != nil {
			err = errors.Join(err, failed, conn.Close())
			continue
		}
		sockets = append(sockets, socket)
	}
	return sockets, err
}

// setDeadlines wakes what waits on the listeners, or makes them usable again.
func setDeadlines(tcp []*net.TCPListener, at time.Time) {
	for _, l := range tcp {
		l.SetDeadline(at)
	}
}

// serveUDP answers one socket, batch by batch, from buffers that are used again and
// again.
func (s *Server) serveUDP(ctx context.Context, socket *udpbatch.Socket) error {
	c := s.worker()
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
