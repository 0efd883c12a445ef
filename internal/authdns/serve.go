package authdns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
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
		conn.SetReadDeadline(at)
	}
	for _, l := range tcp {
		l.SetDeadline(at)
	}
}

// serveUDP answers one socket, from buffers that are used again and again.
func (s *Server) serveUDP(ctx context.Context, conn *net.UDPConn) error {
	c := s.shard()
	in, out := make([]byte, 4096), make([]byte, 0, 4096)
	source, err := newSource(conn)
	if err != nil {
		return fmt.Errorf("prepare UDP socket %s: %w", conn.LocalAddr(), err)
	}
	for {
		n, client, err := source.read(in)
		if err != nil {
			if done, err := s.stopped(ctx, err); done {
				return err
			}
			c.udpErrors.Add(1)
			continue
		}
		reply := s.handleFrom(c, out, in[:n], client.Addr(), true)
		if reply == nil {
			continue
		}
		if err := source.write(reply, client); err != nil {
			c.udpErrors.Add(1)
		}
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

// source is a UDP socket that answers from the address that was asked, which the
// kernel would not do by itself where the socket is bound to all addresses.
type source struct {
	conn *net.UDPConn
	any  bool // bound to all addresses
	oob  [128]byte
	oobn int
}

func newSource(conn *net.UDPConn) (*source, error) {
	s := &source{conn: conn}
	addr, ok := conn.LocalAddr().(*net.UDPAddr)
	if !ok || !addr.IP.IsUnspecified() {
		return s, nil
	}
	s.any = true
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	return s, askForDestination(raw)
}

func (s *source) read(b []byte) (n int, client netip.AddrPort, err error) {
	if !s.any {
		return s.conn.ReadFromUDPAddrPort(b)
	}
	n, s.oobn, _, client, err = s.conn.ReadMsgUDPAddrPort(b, s.oob[:])
	return n, client, err
}

func (s *source) write(b []byte, client netip.AddrPort) error {
	if client.Port() == 0 {
		return nil // nobody can be there
	}
	if !s.any {
		_, err := s.conn.WriteToUDPAddrPort(b, client)
		return err
	}
	_, _, err := s.conn.WriteMsgUDPAddrPort(b, fromDestination(s.oob[:s.oobn]), client)
	return err
}
