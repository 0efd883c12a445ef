package certs

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"lifeboat/internal/fault"
)

// The record types that are asked for (RFC 1035 section 3.2.2, RFC 8659 section 4, RFC
// 9460 section 14.1).
const (
	typeCNAME = uint16(dnsmessage.TypeCNAME)
	typeTXT   = uint16(dnsmessage.TypeTXT)
	typeCAA   = uint16(257)
	typeHTTPS = uint16(65)
)

// askTime bounds one question to one server.
const askTime = 3 * time.Second

// Ask asks the DNS for the records of a name; whom is for whoever made it. A name that
// is not there, or has no such record, is an answer without records and no error.
type Ask func(ctx context.Context, name string, typ uint16) (Answer, error)

// Answer is what came of a question.
type Answer struct {
	Records []Record
}

// Record is one record of an answer.
type Record struct {
	Owner string // absolute, lower case
	Type  uint16
	Data  []byte // as on the wire; of a CNAME its target in text, of a TXT its texts put together
}

// alias is where the CNAME of a name leads, absolute and in lower case; "" where there
// is none.
func (a Answer) alias(owner string) string {
	for _, r := range a.Records {
		if r.Type == typeCNAME && strings.EqualFold(r.Owner, owner) {
			return strings.ToLower(string(r.Data))
		}
	}
	return ""
}

// texts are the TXT records of a name.
func (a Answer) texts(owner string) (out []string) {
	for _, r := range a.Records {
		if r.Type == typeTXT && strings.EqualFold(r.Owner, owner) {
			out = append(out, string(r.Data))
		}
	}
	return out
}

// of are the data of a type, whatever name they stand at: an alias was followed.
func (a Answer) of(typ uint16) (out [][]byte) {
	for _, r := range a.Records {
		if r.Type == typ {
			out = append(out, r.Data)
		}
	}
	return out
}

// Servers gives an Ask that asks these, one after the other until one answers. They
// follow names for us (recursion) where follow says so.
func Servers(follow bool, servers ...netip.AddrPort) Ask {
	return func(ctx context.Context, name string, typ uint16) (Answer, error) {
		err := error(fault.New(fault.Unavailable, "nobody can be asked for %s", name).WithHint("write resolvers: {quad9: 9.9.9.9}"))
		for _, s := range servers {
			var a Answer
			if a, err = query(ctx, s, name, typ, follow); err == nil || ctx.Err() != nil {
				return a, err
			}
		}
		return Answer{}, err
	}
}

// query asks one server, over UDP and over TCP where the answer does not fit.
func query(ctx context.Context, server netip.AddrPort, name string, typ uint16, follow bool) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	id, msg, err := question(name, typ, follow)
	if err != nil {
		return Answer{}, err
	}
	for _, network := range []string{"udp", "tcp"} {
		var raw []byte
		if raw, err = exchange(ctx, network, server, id, msg); err != nil {
			return Answer{}, fault.New(fault.Unavailable, "no answer about %s from %s", name, server).Because(err)
		}
		a, cutShort, err := readAnswer(raw)
		if err != nil {
			return Answer{}, fault.New(fault.Unavailable, "the answer about %s from %s is of no use", name, server).Because(err)
		}
		if !cutShort {
			return a, nil
		}
	}
	return Answer{}, fault.New(fault.Unavailable, "the answer about %s from %s is cut short", name, server)
}

func question(name string, typ uint16, follow bool) (id uint16, msg []byte, err error) {
	var b [2]byte
	_, _ = rand.Read(b[:]) // never fails
	id = binary.BigEndian.Uint16(b[:])
	if !strings.HasSuffix(name, ".") {
		name += "."
	}
	n, err := dnsmessage.NewName(name)
	if err != nil {
		return 0, nil, fault.New(fault.Invalid, "%.80q is no name", name).Because(err)
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: follow},
		Questions: []dnsmessage.Question{{Name: n, Type: dnsmessage.Type(typ), Class: dnsmessage.ClassINET}},
	}
	msg, err = m.Pack()
	return id, msg, err
}

// exchange sends a question and reads messages until the one that answers it.
func exchange(ctx context.Context, network string, server netip.AddrPort, id uint16, msg []byte) ([]byte, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }() // the answer is there or not
	deadline, _ := ctx.Deadline()
	_ = c.SetDeadline(deadline) // a connection that can't have one fails when it is used
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if network == "tcp" {
		msg = append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)
	}
	if _, err := c.Write(msg); err != nil {
		return nil, err
	}
	buf := make([]byte, 64<<10)
	for {
		n := 0
		if network == "udp" {
			n, err = c.Read(buf)
		} else {
			n, err = readFrame(c, buf)
		}
		if err != nil {
			return nil, err
		}
		if n >= 12 && binary.BigEndian.Uint16(buf) == id {
			return buf[:n], nil
		}
		if network == "tcp" {
			return nil, errors.New("it answers something else")
		}
	}
}

// readFrame reads a message with its length before it (RFC 1035 section 4.2.2).
func readFrame(c io.Reader, buf []byte) (int, error) {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint16(size[:]))
	return io.ReadFull(c, buf[:n])
}

// maxRecords are as many as are read of an answer.
const maxRecords = 200

// readAnswer reads the answer section.
func readAnswer(raw []byte) (a Answer, cutShort bool, err error) {
	var p dnsmessage.Parser
	h, err := p.Start(raw)
	switch {
	case err != nil:
		return a, false, err
	case !h.Response:
		return a, false, errors.New("it is a question")
	case h.Truncated:
		return a, true, nil
	case h.RCode != dnsmessage.RCodeSuccess && h.RCode != dnsmessage.RCodeNameError:
		return a, false, errors.New(strings.TrimPrefix(h.RCode.String(), "RCode"))
	}
	if err := p.SkipAllQuestions(); err != nil {
		return a, false, err
	}
	for range maxRecords {
		rh, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return a, false, nil
		}
		if err != nil {
			return a, false, err
		}
		r := Record{Owner: strings.ToLower(rh.Name.String()), Type: uint16(rh.Type)}
		if r.Data, err = dataOf(&p, rh.Type); err != nil {
			return a, false, err
		}
		a.Records = append(a.Records, r)
	}
	return a, false, nil
}

func dataOf(p *dnsmessage.Parser, typ dnsmessage.Type) ([]byte, error) {
	switch typ {
	case dnsmessage.TypeCNAME:
		c, err := p.CNAMEResource()
		return []byte(c.CNAME.String()), err
	case dnsmessage.TypeTXT:
		t, err := p.TXTResource()
		return []byte(strings.Join(t.TXT, "")), err
	case dnsmessage.Type(typeCAA), dnsmessage.Type(typeHTTPS):
		u, err := p.UnknownResource()
		return u.Data, err
	}
	return nil, p.SkipAnswer()
}
