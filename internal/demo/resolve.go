package demo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// How long a resolver waits for a name server, and how often it asks at most: once
// more after a second, as resolvers do.
const (
	resolveTime  = time.Second
	resolveTries = 2
)

// maxPacket is the longest answer that is read, in bytes.
const maxPacket = 4096

// resolver asks one name server over UDP, each time anew: it keeps nothing, so
// that each answer is what the name server says at that moment.
type resolver struct{ server string }

// errSilent is a query without an answer, asked again included.
var errSilent = errors.New("the name server did not answer")

// lookup gives the one address of a name. again says that it had to be asked twice.
func (r resolver) lookup(ctx context.Context, name string) (ip netip.Addr, again bool, err error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", r.server)
	if err != nil {
		return ip, false, fmt.Errorf("reach the name server: %w", err)
	}
	defer func() { _ = conn.Close() }() // nothing is lost with it
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	for try := range resolveTries {
		ip, err = exchange(conn, name)
		if !errors.Is(err, errSilent) || ctx.Err() != nil {
			return ip, try > 0, err
		}
	}
	return ip, true, err
}

// exchange sends one query and reads its answer.
func exchange(conn net.Conn, name string) (netip.Addr, error) {
	id := uint16(rand.Uint32())
	query, err := question(id, name)
	if err != nil {
		return netip.Addr{}, err
	}
	if err := conn.SetDeadline(time.Now().Add(resolveTime)); err != nil { // the kernel's clock
		return netip.Addr{}, err
	}
	if _, err := conn.Write(query); err != nil {
		return netip.Addr{}, fmt.Errorf("%w: %w", errSilent, err)
	}
	var packet [maxPacket]byte
	for {
		n, err := conn.Read(packet[:])
		if err != nil {
			return netip.Addr{}, fmt.Errorf("%w: %w", errSilent, err)
		}
		if ip, ours, err := address(packet[:n], id); ours {
			return ip, err
		}
	}
}

// question makes a query for a name's IPv4 address.
func question(id uint16, name string) ([]byte, error) {
	host, err := dnsmessage.NewName(name + ".")
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", name, err)
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id},
		Questions: []dnsmessage.Question{{Name: host, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	return m.Pack()
}

// address reads the one address of an authoritative answer. ours says that the
// packet is an answer to our query.
func address(packet []byte, id uint16) (ip netip.Addr, ours bool, err error) {
	var m dnsmessage.Message
	if err := m.Unpack(packet); err != nil {
		return ip, false, err
	}
	if m.ID != id || !m.Response {
		return ip, false, nil
	}
	if m.RCode != dnsmessage.RCodeSuccess || !m.Authoritative || m.Truncated {
		return ip, true, fmt.Errorf("the name server answered %s (authoritative: %t, truncated: %t)", m.RCode, m.Authoritative, m.Truncated)
	}
	var found []netip.Addr
	for _, rr := range m.Answers {
		if a, is := rr.Body.(*dnsmessage.AResource); is {
			found = append(found, netip.AddrFrom4(a.A))
		}
	}
	if len(found) != 1 {
		return ip, true, fmt.Errorf("the name server gave %d addresses", len(found))
	}
	return found[0], true, nil
}

// change is the first answer that was not the one before.
type change struct {
	ip  netip.Addr
	at  time.Time // when it was in our hands
	err error     // of the watching; ip and at are nothing then
}

// watch asks for a name again and again, pausing in between (0: not at all), until
// the answer is another than from. ready is closed once it has been asked once.
func (r resolver) watch(ctx context.Context, name string, from netip.Addr, pause time.Duration, now func() time.Time) (first <-chan change, ready <-chan struct{}) {
	out, warm := make(chan change, 1), make(chan struct{})
	go func() { // ends with ctx, or with the change
		asked := false
		told := func(c change) {
			if !asked {
				close(warm)
			}
			out <- c
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "udp", r.server)
		if err != nil {
			told(change{err: err})
			return
		}
		defer func() { _ = conn.Close() }() // nothing is lost with it
		for ctx.Err() == nil {
			ip, err := exchange(conn, name)
			at := now()
			if err != nil || ip != from {
				told(change{ip: ip, at: at, err: err})
				return
			}
			if !asked {
				asked = true
				close(warm)
			}
			rest(ctx, pause)
		}
		told(change{err: context.Cause(ctx)})
	}()
	return out, warm
}

// rest waits, unless ctx ends first.
func rest(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
