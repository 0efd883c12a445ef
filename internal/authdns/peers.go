package authdns

import (
	"errors"
	"net/netip"
)

// Peers takes what other name servers ask and say beside plain queries: zone
// transfers (AXFR, IXFR), NOTIFY, and whatever is signed with TSIG (RFC 8945). All
// else, dynamic updates too, never comes to it: accept refuses that, on every
// transport alike.
//
// Serve MUST answer with one message over UDP, and with one or more over TCP; none
// means that the message gets no answer. An error means that the answer broke off: the
// connection is closed, so that nobody takes the beginning for the whole. It is
// called from the goroutine that serves the socket, so over UDP it MUST NOT wait for
// anything. It bounds itself the number, the size and the time of transfers.
type Peers interface {
	Serve(r PeerRequest) error
}

// PeerRequest is an accepted message of another name server.
type PeerRequest struct {
	Message []byte     // as it came; it is not to be kept
	Client  netip.Addr // unknown where somebody else than a socket asks
	UDP     bool
	Limit   int // octets that one message of the answer may have

	// Answer gives the answer to a plain query, which nobody has signed.
	Answer func(query []byte) []byte
	// Send takes the next message of the answer, which it copies. An error means that
	// nobody takes any more.
	Send func(reply []byte) error
}

var errOneAnswer = errors.New("an answer over UDP is one message")

// isNotify says whether an accepted message is a NOTIFY (RFC 1996).
func isNotify(msg []byte) bool { return msg[2]&opcodeMask == opNotify<<3 }

// servePeer hands a message to the peers' side. Every message of the answer but the
// last goes out at once; the last is what the caller sends.
func (s *Server) servePeer(c *worker, dst, msg []byte, client netip.Addr, udp bool) []byte {
	own := &worker{counters: c.counters} // c itself must not leave the stack: queries would pay for it
	more := c.more
	last, said, counted := dst[:0], false, false
	err := s.options.Peers.Serve(PeerRequest{
		Message: msg, Client: client, UDP: udp, Limit: peerLimit(msg, udp),
		Answer: func(query []byte) []byte {
			counted = true
			return s.answer(own, nil, query, client, udp)
		},
		Send: func(reply []byte) error {
			if said {
				if more == nil {
					return errOneAnswer
				}
				if err := more(last); err != nil {
					return err
				}
			}
			last, said = append(last[:0], reply...), true
			return nil
		},
	})
	if !said || err != nil {
		return nil
	}
	code := uint16(last[3] & 15)
	c.class = classOf(code)
	if !counted {
		c.rcodes[code].Add(1)
	}
	return last
}

// peerLimit is how large one message may be that answers a peer.
func peerLimit(msg []byte, udp bool) int {
	var q query
	if isNotify(msg) || q.parse(msg) != rcodeNoError {
		q = query{}
	}
	return q.limit(udp)
}

// TTL is how long an answer of a name that follows a site may be kept, in seconds,
// where the zone says ttl: for secondaries, whose answers are made elsewhere.
func (o Orders) TTL(site string, ttl uint32) uint32 { return o.ttl(site, ttl) }
