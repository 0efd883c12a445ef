package xfr

import (
	"encoding/binary"
	"errors"
	"iter"

	"github.com/miekg/dns"

	"lifeboat/internal/authdns"
	"lifeboat/internal/zone"
)

// request is a peer's message, once its signature was found to be good or there is none.
type request struct {
	authdns.PeerRequest
	st     *state
	msg    []byte // without the TSIG record
	end    int    // of the question
	name   string // in question, lower case
	typ    uint16
	class  uint16
	key    string  // it was signed with, "" for none
	signer *signer // nil: the answer is not signed
}

// Serve answers a transfer, a NOTIFY, or a plain query that is signed.
func (s *Server) Serve(p authdns.PeerRequest) error {
	r := &request{PeerRequest: p, st: s.state.Load(), msg: p.Message}
	if !s.authenticate(r) || !r.question() {
		return nil
	}
	switch {
	case r.msg[2]&0x78 == dns.OpcodeNotify<<3:
		s.notified(r)
	case r.typ == dns.TypeAXFR || r.typ == dns.TypeIXFR:
		return s.transfer(r)
	default:
		s.plain(r)
	}
	return nil
}

// authenticate checks the signature, if there is one. false means that all is said.
func (s *Server) authenticate(r *request) bool {
	sig, err := cutSignature(r.Message)
	switch {
	case errors.Is(err, errNoSignature):
		return true
	case err != nil:
		_ = r.Send(header(r.Message, nil, dns.RcodeFormatError)) // who has gone away misses nothing
		return false
	}
	key, known := r.st.keys[sig.name]
	now := s.o.Now()
	if code := sig.check(key, known, nil, false, now); code != 0 {
		s.count(func(c *Counts) { c.Unsigned++ })
		_ = r.Send(refuseSignature(header(r.Message, questionOf(r.Message), 0), sig, key, code, now)) // as above
		return false
	}
	r.msg, r.key = sig.body, key.Name
	binary.BigEndian.PutUint16(r.msg, binary.BigEndian.Uint16(r.Message)) // a forwarder may have given it another id
	r.signer = &signer{key: key, before: sig.mac, now: s.o.Now}
	return true
}

// question reads what is asked. false means that it could not be read, which was said.
func (r *request) question() bool {
	q := questionOf(r.msg)
	name, off, err := dns.UnpackDomainName(r.msg, headerSize)
	if q == nil || err != nil || off+4 != headerSize+len(q) {
		r.refuse(dns.RcodeFormatError)
		return false
	}
	r.name, r.end = apexOf(name), off+4
	r.typ, r.class = binary.BigEndian.Uint16(r.msg[off:]), binary.BigEndian.Uint16(r.msg[off+2:])
	return true
}

// questionOf gives the octets of a message's one question, nil where there is none. Its
// name is the first: nothing is there yet that it could point at.
func questionOf(msg []byte) []byte {
	if binary.BigEndian.Uint16(msg[4:]) != 1 {
		return nil
	}
	end := headerSize
	for end < len(msg) && msg[end] > 0 && msg[end] < 64 {
		end += 1 + int(msg[end])
	}
	if end+5 > len(msg) || msg[end] != 0 || end-headerSize > 254 {
		return nil
	}
	return msg[headerSize : end+5]
}

// header begins an answer: the header of the request, and its question.
func header(msg, question []byte, code int) []byte {
	b := make([]byte, headerSize, headerSize+len(question)+tsigRoom)
	copy(b, msg[:4])
	b[2] = 0x80 | msg[2]&0x79 // QR; opcode and RD as asked
	b[3] = byte(code & 15)
	if question != nil {
		b[5] = 1
	}
	return append(b, question...)
}

// send signs a message where the request was, and sends it.
func (r *request) send(msg []byte) error {
	if r.signer != nil {
		msg = r.signer.sign(msg)
	}
	return r.Send(msg)
}

func (r *request) refuse(code int) {
	_ = r.send(header(r.msg, questionOf(r.msg), code)) // who has gone away misses nothing
}

// plain answers a query that was signed as if it was not, and signs the answer. What has
// no room for the signature is asked for again over TCP (RFC 8945 section 5.3).
func (s *Server) plain(r *request) {
	reply := r.Answer(r.msg)
	if reply == nil {
		return
	}
	if room := r.signer.size(); len(reply)+room > r.Limit {
		reply = cut(reply)
	}
	_ = r.send(reply) // who has gone away misses nothing
}

// cut takes all records out of an answer but the OPT record, and marks it as truncated.
func cut(reply []byte) []byte {
	size := headerSize + len(questionOf(reply))
	out := append(make([]byte, 0, size+tsigRoom), reply[:size]...)
	clear(out[6:headerSize])
	out[2] |= 0x02
	at, err := lastRecord(reply)
	if err == nil && at >= size && reply[at] == 0 && binary.BigEndian.Uint16(reply[at+1:]) == dns.TypeOPT {
		out[headerSize-1] = 1
		out = append(out, reply[at:]...)
	}
	return out
}

// notified takes a NOTIFY (RFC 1996) for a zone of somebody else's.
func (s *Server) notified(r *request) {
	if r.class != dns.ClassINET || r.typ != dns.TypeSOA || s.o.Notified == nil || !s.o.Notified(r.name, r.Client, r.key) {
		s.count(func(c *Counts) { c.Refused++ })
		r.refuse(dns.RcodeRefused)
		return
	}
	s.count(func(c *Counts) { c.Heard++ })
	reply := header(r.msg, questionOf(r.msg), dns.RcodeSuccess)
	reply[2] |= 0x04
	_ = r.send(reply) // who has gone away asks again
}

// transfer gives a zone away, whole or as differences.
func (s *Server) transfer(r *request) error {
	h := r.st.zones[r.name]
	switch {
	case r.class != dns.ClassINET || h == nil || !r.st.allowed(r.name, r.Client, r.key):
		s.count(func(c *Counts) { c.Refused++ })
		s.o.Logger.Info("a zone transfer was refused", "component", "xfr", "zone", r.name, "client", r.Client, "key", r.key)
		r.refuse(dns.RcodeRefused)
		return nil
	case r.typ == dns.TypeAXFR && r.UDP: // RFC 5936 section 4.2
		r.refuse(dns.RcodeFormatError)
		return nil
	}
	serial, has := r.serial()
	if r.typ == dns.TypeIXFR && !has {
		r.refuse(dns.RcodeFormatError)
		return nil
	}
	if r.UDP || r.typ == dns.TypeIXFR && !zone.SerialNewer(h.now.serial, serial) {
		return s.stream(r, only(h.now.soa())) // nothing is new, or ask over TCP (RFC 1995 section 2)
	}
	if !s.enter(r.Client) {
		r.refuse(dns.RcodeServerFailure)
		return nil
	}
	defer s.leave(r.Client)
	steps, way := h.since(serial)
	whole := r.typ == dns.TypeAXFR || !way
	records := h.now.whole()
	if !whole {
		records = differences(h.now, steps)
	}
	err := s.stream(r, records)
	s.count(func(c *Counts) {
		switch {
		case err != nil:
			c.Broken++
		case whole:
			c.Whole++
		default:
			c.Changes++
		}
	})
	if err != nil {
		s.o.Logger.Warn("a zone transfer broke off", "component", "xfr", "zone", r.name, "client", r.Client, "cause", err)
		return err
	}
	s.o.Logger.Info("a zone was transferred", "component", "xfr", "zone", r.name, "client", r.Client, "serial", h.now.serial, "whole", whole)
	return nil
}

// serial is the one that the client of an IXFR has: that of the SOA record in its
// authority section (RFC 1995 section 3).
func (r *request) serial() (serial uint32, ok bool) {
	if binary.BigEndian.Uint16(r.msg[8:]) != 1 {
		return 0, false
	}
	rr, _, err := dns.UnpackRR(r.msg, r.end)
	soa, is := rr.(*dns.SOA)
	if err != nil || !is || apexOf(soa.Hdr.Name) != r.name {
		return 0, false
	}
	return soa.Serial, true
}

func only(soa zone.Record) iter.Seq[zone.Record] {
	return func(yield func(zone.Record) bool) { yield(soa) }
}

// whole is a zone between its two SOA records (RFC 5936 section 2.2).
func (v *version) whole() iter.Seq[zone.Record] {
	return func(yield func(zone.Record) bool) {
		soa := v.soa()
		if !yield(soa) {
			return
		}
		for r := range v.records() {
			if !yield(r) {
				return
			}
		}
		yield(soa)
	}
}

// differences are the steps to a version, oldest first, each as what is taken out and
// what is put in (RFC 1995 section 4).
func differences(now *version, steps []*step) iter.Seq[zone.Record] {
	return func(yield func(zone.Record) bool) {
		soa := now.soa()
		if !yield(soa) {
			return
		}
		for _, s := range steps {
			for _, half := range []struct {
				soa zone.Record
				in  bool
			}{{s.fromSOA, false}, {s.toSOA, true}} {
				if !yield(half.soa) {
					return
				}
				for r := range s.changes(half.in) {
					if !yield(r) {
						return
					}
				}
			}
		}
		yield(soa)
	}
}

var errLimit = errors.New("it took longer, or was larger, than a transfer may be")

// stream sends records in as many messages as they need.
func (s *Server) stream(r *request, records iter.Seq[zone.Record]) error {
	m := newMessage(r.msg, r.end)
	began, sent := s.o.Now(), int64(0)
	flush := func() error {
		if sent += int64(len(m.buf)); sent > s.o.Bytes || s.o.Now().Sub(began) > s.o.Time {
			return errLimit
		}
		err := r.send(m.buf)
		m.reset()
		return err
	}
	for rec := range records {
		if m.count > 0 && (len(m.buf) > chunk || len(m.buf)+len(rec.Owner)+10+len(rec.Data) > maxMessage-tsigRoom) {
			if err := flush(); err != nil {
				return err
			}
		}
		m.add(rec)
	}
	return flush()
}

// message is one message of a transfer while it is written.
type message struct {
	buf   []byte
	start int    // of the records: the end of the question
	apex  string // in wire form, lower case, at headerSize
	count int
	owner string // of the record before
	at    int    // where that is, 0 where nothing can point at it
}

func newMessage(request []byte, end int) *message {
	m := &message{buf: make([]byte, 0, chunk+4096), start: end}
	m.buf = append(m.buf, header(request, request[headerSize:end], dns.RcodeSuccess)...)
	m.buf[2] |= 0x04
	m.apex, _ = zone.Pack(nameAt(request))
	return m
}

func nameAt(msg []byte) string {
	name, _, _ := dns.UnpackDomainName(msg, headerSize) // it was read before
	return name
}

func (m *message) reset() {
	m.buf, m.count, m.owner, m.at = m.buf[:m.start], 0, "", 0
	clear(m.buf[6:headerSize])
}

// add writes a record. Its owner is shortened by a pointer to the apex, or to the owner
// before; the data is not, which every type allows.
func (m *message) add(r zone.Record) {
	m.count++
	binary.BigEndian.PutUint16(m.buf[6:], uint16(m.count))
	switch below := len(r.Owner) - len(m.apex); {
	case r.Owner == m.owner && m.at > 0:
		m.buf = append(m.buf, 0xC0|byte(m.at>>8), byte(m.at))
	case below == 0:
		m.buf = append(m.buf, 0xC0, headerSize)
	case below > 0 && zone.Under(r.Owner, m.apex):
		m.owner, m.at = r.Owner, len(m.buf)
		m.buf = append(append(m.buf, r.Owner[:below]...), 0xC0, headerSize)
	default: // glue lies outside of no zone, but nothing breaks if it does
		m.owner, m.at = r.Owner, len(m.buf)
		m.buf = append(m.buf, r.Owner...)
	}
	if m.at >= 1<<14 {
		m.at = 0
	}
	m.buf = appendData(m.buf, r)
}

func appendData(b []byte, r zone.Record) []byte {
	b = binary.BigEndian.AppendUint16(b, r.Type)
	b = binary.BigEndian.AppendUint16(b, dns.ClassINET)
	b = binary.BigEndian.AppendUint32(b, r.TTL)
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.Data)))
	return append(b, r.Data...)
}
