package dnstrace

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/fault"
	"lifeboat/internal/zone"
)

// TransferOptions say which zone is fetched, from where, and how much is taken.
type TransferOptions struct {
	Server   string        // HOST:PORT
	Apex     string        // the zone, absolute
	Limit    time.Duration // for all of it
	MaxBytes int64         // of all messages
	Dial     Dial          // nil: the network's
}

// Transfer fetches a zone from a server (AXFR, RFC 5936) and checks it as a zone file
// is checked. The errors are fault.Unavailable where nothing came, and fault.Invalid
// where what came is no zone.
func Transfer(ctx context.Context, o TransferOptions) (*zone.Zone, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.Limit, fmt.Errorf("it took longer than %s", o.Limit))
	defer cancel()
	dial := o.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, "tcp", o.Server)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "can't be reached over TCP").At(o.Server).Because(err).WithHint("is it HOST:PORT of a name server?")
	}
	defer func() { _ = conn.Close() }() // what matters has been read
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	text, err := fetch(&counted{Conn: conn, left: o.MaxBytes}, o.Apex)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	var told *fault.Error
	switch {
	case errors.As(err, &told):
		return nil, told.At(o.Server)
	case err != nil:
		return nil, fault.New(fault.Unavailable, "the transfer of %s broke off", o.Apex).At(o.Server).Because(err)
	}
	return zone.Check(text, o.Server)
}

// fetch asks for the zone and writes it down, one record a line, up to the second SOA.
func fetch(conn net.Conn, apex string) (string, error) {
	c := &dns.Conn{Conn: conn}
	q := new(dns.Msg).SetAxfr(apex)
	if err := c.WriteMsg(q); err != nil {
		return "", err
	}
	var text strings.Builder
	for soas := 0; soas < 2; {
		m, err := c.ReadMsg()
		if err != nil {
			return "", err
		}
		switch {
		case m.Id != q.Id || !m.Response:
			return "", errors.New("it sent an answer to something else")
		case m.Rcode != dns.RcodeSuccess:
			return "", fault.New(fault.Unavailable, "does not give %s away: %s", apex, rcodeText(m.Rcode)).WithHint("let it allow transfers (AXFR) to this machine")
		case len(m.Answer) == 0:
			return "", fault.New(fault.Unavailable, "sent no records of %s", apex).WithHint("let it allow transfers (AXFR) to this machine")
		}
		for _, rr := range m.Answer {
			if rr.Header().Rrtype == dns.TypeSOA {
				soas++
			} else if soas == 0 {
				return "", errors.New("it does not begin with a SOA record")
			}
			if soas < 2 {
				text.WriteString(rr.String() + "\n")
			}
		}
	}
	return text.String(), nil
}

// counted is a connection from which only so much is read.
type counted struct {
	net.Conn
	left int64 // bytes
}

func (c *counted) Read(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, fault.New(fault.Unavailable, "sends more than is taken of a zone")
	}
	n, err := c.Conn.Read(b[:min(int64(len(b)), c.left)])
	c.left -= int64(n)
	return n, err
}
