package zonelever

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"lifeboat/internal/fault"
)

// lookupTimeout bounds one question to one name server.
const lookupTimeout = 500 * time.Millisecond

// Lookup asks an authoritative server for the addresses of a name, without
// recursion, over UDP (RFC 1035). NODATA gives no address; anything but an
// authoritative NOERROR is an error.
func Lookup(ctx context.Context, server netip.AddrPort, name string, v6 bool) ([]netip.Addr, error) {
	t := dnsmessage.TypeA
	if v6 {
		t = dnsmessage.TypeAAAA
	}
	m, err := exchange(ctx, server, name, t)
	if err != nil {
		return nil, err
	}
	return addresses(m), nil
}

// Alias asks an authoritative server where the CNAME of a name leads, as Lookup asks
// for addresses; "" where there is none.
func Alias(ctx context.Context, server netip.AddrPort, name string) (string, error) {
	m, err := exchange(ctx, server, name, dnsmessage.TypeCNAME)
	if err != nil {
		return "", err
	}
	for _, r := range m.Answers {
		if c, is := r.Body.(*dnsmessage.CNAMEResource); is {
			return c.CNAME.String(), nil
		}
	}
	return "", nil
}

// exchange asks one question and gives an authoritative answer without error.
func exchange(ctx context.Context, server netip.AddrPort, name string, t dnsmessage.Type) (m dnsmessage.Message, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	query, id, err := question(name, t)
	if err != nil {
		return m, err
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "udp", server.String())
	if err != nil {
		return m, fault.New(fault.Unavailable, "ask %s", server).Because(err)
	}
	defer func() { _ = c.Close() }()
	deadline, _ := ctx.Deadline()
	_ = c.SetDeadline(deadline)
	if _, err := c.Write(query); err != nil {
		return m, fault.New(fault.Unavailable, "ask %s", server).Because(err)
	}
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return m, fault.New(fault.Unavailable, "no answer from %s", server).Because(err)
		}
		if n < 12 || binary.BigEndian.Uint16(buf) != id {
			continue // not the answer to this question
		}
		return read(buf[:n])
	}
}

func question(name string, t dnsmessage.Type) (query []byte, id uint16, err error) {
	var b [2]byte
	_, _ = rand.Read(b[:]) // never fails
	id = binary.BigEndian.Uint16(b[:])
	n, err := dnsmessage.NewName(name)
	if err != nil {
		return nil, 0, fault.New(fault.Invalid, "%q is not a name", name).Because(err)
	}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: id}, Questions: []dnsmessage.Question{{Name: n, Type: t, Class: dnsmessage.ClassINET}}}
	query, err = m.Pack()
	return query, id, err
}

// read takes an answer that says something for sure.
func read(msg []byte) (m dnsmessage.Message, err error) {
	if err := m.Unpack(msg); err != nil {
		return m, fault.New(fault.Unavailable, "the answer can't be read").Because(err)
	}
	if !m.Response || !m.Authoritative || m.RCode != dnsmessage.RCodeSuccess {
		return m, fault.New(fault.Unavailable, "the answer is %s, authoritative %t", m.RCode, m.Authoritative)
	}
	if m.Truncated { // a part of the addresses would look like somebody else's
		return m, fault.New(fault.Unavailable, "the answer is cut short")
	}
	return m, nil
}

func addresses(m dnsmessage.Message) (out []netip.Addr) {
	for _, r := range m.Answers {
		switch body := r.Body.(type) {
		case *dnsmessage.AResource:
			out = append(out, netip.AddrFrom4(body.A))
		case *dnsmessage.AAAAResource:
			out = append(out, netip.AddrFrom16(body.AAAA))
		}
	}
	return out
}
