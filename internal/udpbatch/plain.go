package udpbatch

import (
	"net"
	"net/netip"
)

// plain is the way of package net: one packet a call.
type plain struct {
	conn *net.UDPConn
	any  bool // bound to all addresses
	from netip.AddrPort
	oob  [oobSize]byte
	oobn int
}

func (p *plain) receive(s *Socket) (n int, err error) {
	var size int
	if p.any {
		size, p.oobn, _, p.from, err = p.conn.ReadMsgUDPAddrPort(s.in[0], p.oob[:])
	} else {
		size, p.from, err = p.conn.ReadFromUDPAddrPort(s.in[0])
	}
	if err != nil {
		return 0, err
	}
	s.packets[0] = s.in[0][:size]
	return 1, nil
}

func (p *plain) client(int) netip.AddrPort {
	return netip.AddrPortFrom(p.from.Addr().Unmap().WithZone(""), p.from.Port())
}

func (p *plain) send(s *Socket) (failed int) {
	if p.from.Port() == 0 {
		return 0 // nobody can be there
	}
	var err error
	if packet := s.answers[0].packet; p.any {
		_, _, err = p.conn.WriteMsgUDPAddrPort(packet, fromDestination(p.oob[:p.oobn]), p.from)
	} else {
		_, err = p.conn.WriteToUDPAddrPort(packet, p.from)
	}
	if err != nil {
		return 1
	}
	return 0
}

func (p *plain) stop() { _ = p.conn.SetDeadline(past) } // a closed one has ended

func (p *plain) close() error { return p.conn.Close() }
