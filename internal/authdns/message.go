package authdns

import "encoding/binary"

// message is an answer while it is written: the header and the question as they
// were asked, then records in the order of the sections.
type message struct {
	buf      []byte
	limit    int       // octets, less what the OPT record takes
	question int       // the end of the question
	labels   [4]uint64 // where labels of the name in question begin, as bits
	known    [maxKnown]known
	knowns   int
	counts   [3]uint16  // of answer, authority and additional
	ttl      int        // where the last record's TTL lies
	short    bool       // something that belongs into the answer did not fit
	made     *synthesis // nil where no zone has a DNAME; in answer, it would put the message on the heap
}

// The sections, as indexes into counts.
const (
	secAnswer = iota
	secAuthority
	secAdditional
)

// maxKnown names written earlier are remembered to be pointed at.
const maxKnown = 12

// known is a name that the message holds: the first octets of it in line at an
// offset, the rest by a pointer.
type known struct {
	name   []byte
	off    uint16
	inline uint8
}

// start begins a message for a question. Nothing of it lies on the heap but dst.
func (m *message) start(dst, msg []byte, q *query, x *extras, limit int) {
	m.buf = append(dst[:0], msg[:q.end]...)
	m.question = q.end
	m.limit = limit
	if q.edns {
		m.limit -= optSize + x.size()
	}
	for i := 0; i < q.end-headerSize-4; i += 1 + int(msg[headerSize+i]) {
		m.labels[i>>6&3] |= 1 << (i & 63)
	}
}

// qname is the name in question, as asked.
func (m *message) qname() []byte { return m.buf[headerSize : m.question-4] }

// set appends an RRset to a section. With a nil owner the name in question is the
// owner. It is all or nothing: where a record does not fit, the set is taken back
// and false returned.
func (m *message) set(section int, owner []byte, count uint16, records []byte) bool {
	mark := len(m.buf)
	if mark+len(records) <= m.limit && owner == nil && !named(records) {
		m.buf = append(m.buf, records...)
		m.counts[section] += count
		return true
	}
	knowns := m.knowns
	for rest := records; len(rest) > 0; {
		var head, data []byte
		head, data, rest = cutRecord(rest)
		if len(m.buf)+len(data) > m.limit || !m.record(owner, head, data) {
			m.buf, m.knowns = m.buf[:mark], knowns
			return false
		}
	}
	m.counts[section] += count
	return true
}

// named says whether a set's data holds names that can be compressed (RFC 3597
// section 4: those of RFC 1035 only).
func named(records []byte) bool {
	if len(records) < 4 {
		return false
	}
	switch binary.BigEndian.Uint16(records[2:]) {
	case typeNS, typeCNAME, typeSOA, typePTR, typeMX:
		return true
	}
	return false
}

// record appends one record; false when it went over the limit.
func (m *message) record(owner, head, data []byte) bool {
	if owner == nil {
		m.buf = append(m.buf, 0xC0, headerSize)
	} else {
		m.name(owner)
	}
	m.ttl = len(m.buf) + 4
	m.buf = append(m.buf, head...)
	size := len(m.buf)
	m.buf = append(m.buf, 0, 0)
	switch binary.BigEndian.Uint16(head) {
	case typeNS, typeCNAME, typePTR:
		m.name(data)
	case typeMX:
		m.buf = append(m.buf, data[:2]...)
		m.name(data[2:])
	case typeSOA:
		mname := nameEnd(data)
		m.name(data[:mname])
		m.name(data[mname : len(data)-20])
		m.buf = append(m.buf, data[len(data)-20:]...)
	default:
		m.buf = append(m.buf, data...)
	}
	binary.BigEndian.PutUint16(m.buf[size:], uint16(len(m.buf)-size-2))
	return len(m.buf) <= m.limit
}

// name appends a name, its end replaced by a pointer to where the message holds
// the same already.
func (m *message) name(name []byte) {
	start := len(m.buf)
	for i := 0; name[i] != 0; i += 1 + int(name[i]) {
		if at, ok := m.find(name[i:]); ok {
			m.buf = append(m.buf, name[:i]...)
			m.buf = append(m.buf, 0xC0|byte(at>>8), byte(at))
			m.remember(name, start, i)
			return
		}
	}
	m.buf = append(m.buf, name...)
	m.remember(name, start, len(name)-1)
}

// find looks for a name's place in the message: at the end of the name in
// question, or at the end of a name written before.
func (m *message) find(name []byte) (at int, ok bool) {
	q := m.qname()
	if i := len(q) - len(name); i >= 0 && m.labels[i>>6&3]&(1<<(i&63)) != 0 && sameFold(q[i:], name) {
		return headerSize + i, true
	}
	for k := range m.known[:m.knowns] {
		known := &m.known[k]
		i := len(known.name) - len(name)
		if i >= 0 && i < int(known.inline) && atLabel(known.name, i) && sameFold(known.name[i:], name) {
			return int(known.off) + i, true
		}
	}
	return 0, false
}

func atLabel(name []byte, i int) bool {
	at := 0
	for at < i {
		at += 1 + int(name[at])
	}
	return at == i
}

// remember keeps a name that begins at an offset for later ones to point at. A
// pointer reaches 14 bits far.
func (m *message) remember(name []byte, off, inline int) {
	if inline == 0 || off+inline >= 1<<14 || m.knowns == maxKnown {
		return
	}
	m.known[m.knowns] = known{name: name, off: uint16(off), inline: uint8(inline)}
	m.knowns++
}

// cut takes all records back and marks the answer as truncated (RFC 2181 section
// 9): the client asks again over TCP.
func (m *message) cut() {
	m.buf = m.buf[:m.question]
	m.counts = [3]uint16{}
	m.knowns = 0
}

// finish writes the header and the OPT record.
func (m *message) finish(q *query, x *extras, rcode uint16, flags byte) []byte {
	b := m.buf
	b[2] = flagQR | b[2]&(opcodeMask|flagRD) | flags
	b[3] = b[3]&flagCD | byte(rcode&15)
	binary.BigEndian.PutUint16(b[6:], m.counts[secAnswer])
	binary.BigEndian.PutUint16(b[8:], m.counts[secAuthority])
	binary.BigEndian.PutUint16(b[10:], m.counts[secAdditional])
	if q.edns {
		binary.BigEndian.PutUint16(b[10:], m.counts[secAdditional]+1)
		b = x.append(b, rcode, q.do)
	}
	return b
}

// bare answers with the header alone, where the question can't be read.
func bare(dst, msg []byte, rcode uint16) []byte {
	b := append(dst[:0], msg[:headerSize]...)
	b[2] = flagQR | b[2]&(opcodeMask|flagRD)
	b[3] = byte(rcode & 15)
	clear(b[4:])
	return b
}
