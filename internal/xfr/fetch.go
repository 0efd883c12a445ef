package xfr

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/dnssec"
	"lifeboat/internal/fault"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

// FetchOptions say which zone is fetched, from where, and how much is taken.
type FetchOptions struct {
	Server   string           // HOST:PORT
	Apex     string           // the zone, absolute, lower case
	Key      snapshot.TSIGKey // the zero key: nothing is signed
	Limit    time.Duration    // for all of it
	MaxBytes int64            // of all messages
	Now      func() time.Time // of signatures; nil: time.Now
	Dial     Dial             // nil: the network's
}

// Fetch gets a zone from a server (AXFR, RFC 5936) and checks it as a zone file is
// checked. The errors are fault.Unavailable where nothing came, and fault.Invalid
// where what came is no zone.
func Fetch(ctx context.Context, o FetchOptions) (*zone.Zone, error) {
	got, err := fetch(ctx, o, nil)
	if err != nil {
		return nil, err
	}
	return got.zone, nil
}

// copied is a zone as somebody else serves it.
type copied struct {
	zone    *zone.Zone
	records []zone.Record // all that came, the SOA first, also what zone leaves out
	serial  uint32
	steps   bool            // it came as differences of the copy before
	signed  *dnssec.Foreign // by its primary; nil where it is not
	given   *Signed         // the same, for those who get it from here
}

// fetch gets a zone, or where we have a copy what has changed since (IXFR). It gives the
// copy that we have where nothing has.
func fetch(ctx context.Context, o FetchOptions, have *copied) (*copied, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.Limit, fmt.Errorf("it took longer than %s", o.Limit))
	defer cancel()
	if o.Now == nil {
		o.Now = time.Now
	}
	conn, err := Options{Dial: o.Dial}.dial(ctx, "tcp", o.Server)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "can't be reached over TCP").At(o.Server).Because(err).WithHint("is it HOST:PORT of a name server?")
	}
	defer func() { _ = conn.Close() }() // what matters has been read
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	in := &incoming{o: o, have: have, conn: conn, left: o.MaxBytes}
	err = in.run()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	var told *fault.Error
	switch {
	case errors.As(err, &told):
		return nil, told.At(o.Server)
	case err != nil:
		return nil, fault.New(fault.Unavailable, "the transfer of %s broke off", o.Apex).At(o.Server).Because(err)
	case in.fresh:
		return have, nil
	}
	return in.checked(o.Server)
}

// Where in a transfer the next record belongs.
type phase int

const (
	atBegin   phase = iota // the first SOA
	atSecond               // the first record after it: says which kind of transfer this is
	inWhole                // a record of the zone, or the last SOA
	inRemoved              // what a step takes out, or the SOA that it leads to
	inAdded                // what a step puts in, or the next step's SOA, or the last SOA
	atEnd
)

// incoming is a transfer while it comes in.
type incoming struct {
	o     FetchOptions
	have  *copied
	conn  net.Conn
	left  int64 // octets that are still taken
	check *verifier

	phase   phase
	fresh   bool        // we have the newest already
	soa     zone.Record // the first: what the zone will have
	serial  uint32
	step    uint32 // where the steps have come to
	records []zone.Record
	kept    map[string]zone.Record // while steps change what we have
}

// run asks, and takes messages until the transfer is whole and signed to its end.
func (in *incoming) run() error {
	q, err := in.askFor()
	if err != nil {
		return err
	}
	if _, err := in.conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...)); err != nil {
		return err
	}
	for {
		msg, err := in.read()
		if err != nil {
			return err
		}
		if binary.BigEndian.Uint16(msg) != binary.BigEndian.Uint16(q) || msg[2]&0xF8 != 0x80 {
			return errors.New("it sent an answer to something else")
		}
		signed := true
		if in.check != nil {
			body, done, err := in.check.take(msg)
			if err != nil {
				return in.unbelieved(msg, err)
			}
			msg, signed = body, done
		}
		if err := in.take(msg); err != nil {
			return err
		}
		if in.phase == atEnd {
			if !signed {
				return fault.New(fault.Unavailable, "the end of the transfer is not signed")
			}
			return nil
		}
	}
}

// unbelieved says why an answer's signature does not count; where there is none the
// answer's code may say more.
func (in *incoming) unbelieved(msg []byte, err error) error {
	if code := int(msg[3] & 15); errors.Is(err, errNoSignature) && code != 0 {
		return in.denied(code)
	}
	return fault.New(fault.Unavailable, "the answer of %s is not believed: %v", in.o.Apex, err).WithHint("both servers need the same key: name, algorithm and secret")
}

func (in *incoming) denied(code int) error {
	return fault.New(fault.Unavailable, "does not give %s away: %s", in.o.Apex, rcode(code)).
		WithHint("let it allow transfers (AXFR) to this machine, with the same key where it asks for one")
}

// askFor is the request, signed where there is a key.
func (in *incoming) askFor() ([]byte, error) {
	if _, err := zone.Pack(in.o.Apex); err != nil {
		return nil, fault.New(fault.Invalid, "%v", err)
	}
	typ := dns.TypeAXFR
	if in.have != nil {
		typ = dns.TypeIXFR
	}
	q := ask(in.o.Apex, typ)
	if in.have != nil {
		q[9] = 1
		q = appendData(append(q, 0xC0, headerSize), in.have.records[0])
	}
	if in.o.Key.Name != "" {
		s := &signer{key: in.o.Key, now: in.o.Now}
		q = s.sign(q)
		in.check = &verifier{key: in.o.Key, before: s.before, now: in.o.Now}
	}
	return q, nil
}

// read takes the next message.
func (in *incoming) read() ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(in.conn, size[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(size[:]))
	if in.left -= int64(n) + 2; in.left < 0 {
		return nil, fault.New(fault.Unavailable, "sends more than is taken of a zone")
	}
	if n < headerSize {
		return nil, errors.New("it sent less than a message")
	}
	msg := make([]byte, n)
	_, err := io.ReadFull(in.conn, msg)
	return msg, err
}

// take reads the records of one message.
func (in *incoming) take(msg []byte) error {
	m := new(dns.Msg)
	if err := m.Unpack(msg); err != nil {
		return fault.New(fault.Unavailable, "a message of the transfer can't be read").Because(err)
	}
	switch {
	case m.Rcode != dns.RcodeSuccess:
		return in.denied(m.Rcode)
	case len(m.Answer) == 0 || len(m.Answer) != int(binary.BigEndian.Uint16(msg[6:])):
		return fault.New(fault.Unavailable, "sent a message without its records of %s", in.o.Apex).WithHint("let it allow transfers (AXFR) to this machine")
	}
	for _, rr := range m.Answer {
		if in.phase == atEnd {
			return errors.New("it goes on after its last SOA record")
		}
		rec, err := recordOf(rr, in.o.Apex)
		if err != nil {
			return err
		}
		if err := in.next(rec); err != nil || in.fresh {
			return err
		}
	}
	return nil
}

// recordOf takes a record as it came. What a zone can't hold is refused, and the zone
// with it.
func recordOf(rr dns.RR, apex string) (zone.Record, error) {
	h := rr.Header()
	owner, err := zone.Pack(h.Name)
	if err != nil || !zone.Under(owner, wireName(apex)) {
		return zone.Record{}, fault.New(fault.Invalid, "a record of %s is not in the zone %s", h.Name, apex)
	}
	if h.Class != dns.ClassINET {
		return zone.Record{}, fault.New(fault.Invalid, "a record of %s is of class %s", h.Name, dns.Class(h.Class))
	}
	if h.Rrtype == 0 || h.Rrtype == dns.TypeOPT || h.Rrtype >= 128 && h.Rrtype <= 255 {
		return zone.Record{}, fault.New(fault.Invalid, "a record of %s has the type %s, which no zone can hold", h.Name, dns.Type(h.Rrtype))
	}
	wire := make([]byte, dns.Len(rr)+64)
	n, err := dns.PackRR(rr, wire, 0, nil, false)
	if err != nil || n < len(owner)+10 || h.Rrtype == dns.TypeSOA && n < len(owner)+10+22 {
		return zone.Record{}, fault.New(fault.Invalid, "a %s record of %s can't be read", dns.Type(h.Rrtype), h.Name)
	}
	return zone.Record{Owner: owner, Type: h.Rrtype, TTL: h.Ttl, Data: slices.Clone(wire[len(owner)+10 : n])}, nil
}

// next takes the next record.
func (in *incoming) next(r zone.Record) error {
	soa := r.Type == dns.TypeSOA
	if soa && r.Owner != wireName(in.o.Apex) {
		return fault.New(fault.Invalid, "it has a SOA record below the zone's name")
	}
	switch in.phase {
	case atBegin:
		return in.begin(r, soa)
	case atSecond:
		if in.have != nil && soa && serialOf(r) == in.have.serial && in.serial != in.have.serial {
			return in.startSteps(r)
		}
		in.phase = inWhole
		in.records = []zone.Record{in.soa}
		return in.whole(r, soa)
	case inWhole:
		return in.whole(r, soa)
	}
	return in.change(r, soa)
}

func (in *incoming) begin(r zone.Record, soa bool) error {
	if !soa {
		return fault.New(fault.Unavailable, "the transfer does not begin with a SOA record")
	}
	in.soa, in.serial, in.phase = r, serialOf(r), atSecond
	if in.have != nil && !zone.SerialNewer(in.serial, in.have.serial) { // no serial goes back
		in.fresh, in.phase = true, atEnd
	}
	return nil
}

// whole takes a record of a zone that is sent as a whole.
func (in *incoming) whole(r zone.Record, soa bool) error {
	if !soa {
		in.records = append(in.records, r)
		return nil
	}
	return in.end(r)
}

// end takes the last SOA, which is the first again (RFC 5936 section 2.2).
func (in *incoming) end(r zone.Record) error {
	if !sameData(r, in.soa) {
		return fault.New(fault.Unavailable, "the last SOA record of the transfer is not the first: the zone changed on the way, or it is broken")
	}
	in.phase = atEnd
	return nil
}

// startSteps begins with differences of what we have.
func (in *incoming) startSteps(r zone.Record) error {
	in.kept = make(map[string]zone.Record, len(in.have.records))
	for _, k := range in.have.records[1:] {
		in.kept[identity(k)] = k
	}
	in.step, in.phase = serialOf(r), inRemoved
	return nil
}

// errMisfit says that differences are not of what we have; the whole zone is asked for.
var errMisfit = errors.New("the differences do not fit what is here")

func (in *incoming) change(r zone.Record, soa bool) error {
	switch {
	case soa && in.phase == inRemoved:
		if !zone.SerialNewer(serialOf(r), in.step) {
			return errMisfit
		}
		in.step, in.phase = serialOf(r), inAdded
	case soa && in.step == in.serial:
		return in.end(r)
	case soa:
		if serialOf(r) != in.step {
			return errMisfit
		}
		in.phase = inRemoved
	case in.phase == inRemoved:
		if _, here := in.kept[identity(r)]; !here {
			return errMisfit
		}
		delete(in.kept, identity(r))
	default:
		in.kept[identity(r)] = r
	}
	return nil
}

// identity is what makes a record the same as another: all but the TTL.
func identity(r zone.Record) string {
	return string(binary.BigEndian.AppendUint16([]byte(r.Owner), r.Type)) + string(r.Data)
}

func serialOf(soa zone.Record) uint32 {
	return binary.BigEndian.Uint32(soa.Data[len(soa.Data)-20:])
}

// checked makes a zone of what came, as a zone file is made one.
func (in *incoming) checked(from string) (*copied, error) {
	if in.kept != nil {
		in.records = append(make([]zone.Record, 0, len(in.kept)+1), in.soa)
		for _, r := range in.kept {
			in.records = append(in.records, r)
		}
		slices.SortFunc(in.records[1:], compareRecords)
	}
	c, err := newCopied(in.o.Apex, from, in.records)
	if err != nil {
		return nil, err
	}
	c.steps = in.kept != nil
	return c, nil
}

func newCopied(apex, from string, records []zone.Record) (*copied, error) {
	z, err := zone.Parse(zone.Source{Apex: apex, File: from, Line: 1, Text: textOf(records)})
	if err != nil {
		return nil, fault.New(fault.Invalid, "what came of %s is not a zone that can be served", apex).Because(err)
	}
	signed, err := dnssec.ReadForeign(z.ApexWire(), records)
	if err != nil {
		return nil, fault.New(fault.Invalid, "what came of %s is refused", apex).Because(err)
	}
	c := &copied{zone: z, records: records, serial: z.Serial(), signed: signed}
	if signed != nil {
		c.given = foreign(z, records)
	}
	return c, nil
}

// textOf writes records as a zone file, one a line.
func textOf(records []zone.Record) string {
	var b strings.Builder
	for _, r := range records {
		b.WriteString(r.String())
		b.WriteByte('\n')
	}
	return b.String()
}
