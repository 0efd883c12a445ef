package authdns

import "encoding/binary"

// Flags in the header's third and fourth octets.
const (
	flagQR = 0x80 // third: this is a response
	flagAA = 0x04
	flagTC = 0x02
	flagRD = 0x01
	flagCD = 0x10 // fourth

	opcodeMask = 0x78
)

// query is what a request asks, once its header has been accepted.
type query struct {
	end    int // of the question, which begins at headerSize and may be missing
	labels int // of the name, the root not counted
	typ    uint16
	class  uint16
	edns   bool
	do     bool
	size   int // of the answer that the client can take, from its OPT record

	signed          bool   // the last record is a TSIG
	nsid, keepalive bool   // options that were asked for
	cookie          []byte // in the message, nil for none
}

// accept looks at the 12 octets of the header and says whether the rest is to be
// read, and if not, with which code to answer. ok is false and drop true for what
// gets no answer at all. It is the one place that says what any transport takes: a
// NOTIFY only where there are peers, an UPDATE nowhere.
func accept(msg []byte, peers bool) (rcode uint16, ok, drop bool) {
	if len(msg) < headerSize || msg[2]&flagQR != 0 {
		return 0, false, true
	}
	notify := peers && isNotify(msg)
	if msg[2]&opcodeMask != opQuery<<3 && !notify {
		return rcodeNotImp, false, false
	}
	questions := binary.BigEndian.Uint16(msg[4:])
	answers := binary.BigEndian.Uint16(msg[6:])
	authorities := binary.BigEndian.Uint16(msg[8:]) // an IXFR brings its SOA
	additionals := binary.BigEndian.Uint16(msg[10:])
	if notify && answers == 1 {
		answers = 0 // the SOA of RFC 1996 section 3.7
	}
	if questions == 0 && !notify && additionals == 1 && answers+authorities == 0 {
		return rcodeNoError, true, false // asks for a cookie alone (RFC 7873 section 5.4)
	}
	if questions != 1 || answers != 0 || authorities > 1 || additionals > 2 {
		return rcodeFormErr, false, false
	}
	return rcodeNoError, true, false
}

// parse reads the question and the OPT record of an accepted message. Where the
// question can't be read, end stays 0.
func (q *query) parse(msg []byte) (rcode uint16) {
	if binary.BigEndian.Uint16(msg[4:]) == 0 {
		return q.parseBare(msg)
	}
	if !q.parseQuestion(msg) {
		q.end = 0
		return rcodeFormErr
	}
	authorities := int(binary.BigEndian.Uint16(msg[8:]))
	if authorities > 0 && q.typ != typeIXFR {
		return rcodeFormErr
	}
	off := q.end
	rcode = rcodeNoError
	for i := range authorities + int(binary.BigEndian.Uint16(msg[10:])) {
		next, code := q.parseRecord(msg, off, i >= authorities)
		if code == rcodeFormErr {
			return code
		}
		off, rcode = next, max(rcode, code)
	}
	if off != len(msg) {
		return rcodeFormErr
	}
	return rcode
}

// parseBare reads a message without a question, which is good for nothing but to
// ask for a cookie.
func (q *query) parseBare(msg []byte) (rcode uint16) {
	next, rcode := q.parseRecord(msg, headerSize, true)
	if next != len(msg) || q.cookie == nil {
		return rcodeFormErr
	}
	q.end = headerSize
	return rcode
}

// parseQuestion reads the name, which can't be compressed where it is the first,
// its type and its class.
func (q *query) parseQuestion(msg []byte) bool {
	i := headerSize
	for {
		if i >= len(msg) {
			return false
		}
		n := int(msg[i])
		i++
		if n == 0 {
			break
		}
		if n > 63 {
			return false
		}
		i += n
		q.labels++
	}
	if i-headerSize > maxName || i+4 > len(msg) {
		return false
	}
	q.typ = binary.BigEndian.Uint16(msg[i:])
	q.class = binary.BigEndian.Uint16(msg[i+2:])
	q.end = i + 4
	return true
}

// parseRecord steps over a record after the question, and reads it when it is
// the OPT record (RFC 6891 section 6.1).
func (q *query) parseRecord(msg []byte, off int, additional bool) (next int, rcode uint16) {
	start := off
	off = skipName(msg, off)
	if off < 0 || off+10 > len(msg) {
		return 0, rcodeFormErr
	}
	typ := binary.BigEndian.Uint16(msg[off:])
	end := off + 10 + int(binary.BigEndian.Uint16(msg[off+8:]))
	if end > len(msg) {
		return 0, rcodeFormErr
	}
	if typ != typeOPT {
		q.signed = additional && typ == typeTSIG
		return end, rcodeNoError
	}
	if q.edns || !additional || off != start+1 {
		return 0, rcodeFormErr
	}
	version := msg[off+5]
	if version == 0 && !q.parseOptions(msg[off+10:end]) { // of another version we know nothing
		return 0, rcodeFormErr
	}
	q.edns = true
	q.size = int(binary.BigEndian.Uint16(msg[off+2:]))
	q.do = msg[off+6]&0x80 != 0
	if version != 0 {
		return end, rcodeBadVers
	}
	return end, rcodeNoError
}

// skipName gives the offset after a name, which may end in a pointer; -1 when it
// is broken. Pointers are not followed: no name but the question's is used.
func skipName(msg []byte, off int) int {
	for start := off; off < len(msg) && off-start <= maxName; {
		switch n := int(msg[off]); {
		case n == 0:
			return off + 1
		case n >= 0xC0:
			return off + 2
		case n > 63:
			return -1
		default:
			off += 1 + n
		}
	}
	return -1
}

// limit is how large an answer may be, in octets.
func (q *query) limit(udp bool) int {
	switch {
	case !udp:
		return maxMessage
	case !q.edns:
		return plainUDP
	}
	return max(plainUDP, min(q.size, ednsUDP))
}
