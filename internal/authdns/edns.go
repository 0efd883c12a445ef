package authdns

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// EDNS options that are treated here (IANA registry); all others are passed over
// and not sent back (RFC 6891 section 6.1.2).
const (
	optionNSID      = 3  // RFC 5001
	optionCookie    = 10 // RFC 7873
	optionKeepalive = 11 // RFC 7828
	optionError     = 15 // RFC 8914
)

// Extended errors (RFC 8914 section 4) that say why a query was not answered.
const (
	noError          = 0 // stands for none: "Other" is never sent
	errNotReady      = 14
	errNotAuthority  = 20
	errNotSupported  = 21
	optionHead       = 4 // octets of an option's code and length
	keepaliveUnit    = 100 * time.Millisecond
	keepaliveLongest = 1<<16 - 1
)

// MaxNSID is how much of a server's own name is told, in octets.
const MaxNSID = 64

// extras are the options of an answer. They live on the stack of one call.
type extras struct {
	nsid      string
	keepalive uint16 // in units of 100 ms, 0 for none
	extended  uint16 // error, noError for none
	cookies   bool
	cookie    [wholeCookie]byte
}

// parseOptions reads the options of an OPT record; false when they are broken.
func (q *query) parseOptions(b []byte) bool {
	for len(b) > 0 {
		if len(b) < optionHead {
			return false
		}
		end := optionHead + int(binary.BigEndian.Uint16(b[2:]))
		if end > len(b) {
			return false
		}
		data := b[optionHead:end:end]
		switch binary.BigEndian.Uint16(b) {
		case optionNSID:
			q.nsid = true
		case optionKeepalive:
			q.keepalive = true
		case optionCookie:
			if n := len(data); n != clientCookie && (n < clientCookie+8 || n > maxCookie) {
				return false // RFC 7873 section 5.2.2
			}
			if q.cookie == nil { // the first one counts
				q.cookie = data
			}
		}
		b = b[end:]
	}
	return true
}

// extras finds the options that a query gets, as far as they do not depend on the
// answer. goodCookie is true where the query brought a server cookie that holds.
func (s *Server) extras(x *extras, q *query, nsid string, client netip.Addr, udp bool) (goodCookie bool) {
	if q.nsid {
		x.nsid = nsid
	}
	if q.keepalive && !udp { // RFC 7828 section 3.2.1: never over UDP
		x.keepalive = uint16(min(s.options.TCPIdle/keepaliveUnit, keepaliveLongest))
	}
	if secrets := s.secrets.Load(); q.cookie != nil && secrets != nil && client.IsValid() {
		x.cookies = true
		return cookie(&x.cookie, *secrets, q.cookie, client, s.options.Now())
	}
	return false
}

// size is how many octets the options take, the extended error not counted: it
// comes with answers that hold nothing else.
func (x *extras) size() (n int) {
	if x.nsid != "" {
		n += optionHead + len(x.nsid)
	}
	if x.cookies {
		n += optionHead + wholeCookie
	}
	if x.keepalive > 0 {
		n += optionHead + 2
	}
	return n
}

// append writes the OPT record (RFC 6891 section 6.1) with its options, DO as it
// was asked.
func (x *extras) append(b []byte, rcode uint16, do bool) []byte {
	var flags byte
	if do {
		flags = 0x80
	}
	b = append(b, 0, 0, typeOPT, ednsUDP>>8, ednsUDP&0xFF, byte(rcode>>4), 0, flags, 0, 0, 0)
	start := len(b)
	if x.nsid != "" {
		b = append(b, 0, optionNSID, 0, byte(len(x.nsid)))
		b = append(b, x.nsid...)
	}
	if x.cookies {
		b = append(b, 0, optionCookie, 0, wholeCookie)
		b = append(b, x.cookie[:]...)
	}
	if x.keepalive > 0 {
		b = append(b, 0, optionKeepalive, 0, 2, byte(x.keepalive>>8), byte(x.keepalive))
	}
	if x.extended != noError {
		b = append(b, 0, optionError, 0, 2, byte(x.extended>>8), byte(x.extended))
	}
	binary.BigEndian.PutUint16(b[start-2:], uint16(len(b)-start))
	return b
}
