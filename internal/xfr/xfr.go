// Package xfr exchanges zones with other name servers: out, so that plain secondaries
// hold our zones and follow a failover (AXFR of RFC 5936, IXFR of RFC 1995, NOTIFY of
// RFC 1996), and in, so that the last good copy of somebody else's zone is here. TSIG
// (RFC 8945) says who asks.
//
// Names that follow a site are materialised: what a secondary gets is the zone as it is
// answered now, with the serial of now, so that each move is a small difference under
// the next serial. Whoever gives a Server its zones has to see to it that what a zone
// answers never changes under one serial, and that no serial goes back.
//
// It is no name server: authdns has the sockets, takes or refuses a message, and hands
// over what is for a peer. It decides nothing about sites. Dynamic updates do not come
// here. Packages answer and cli may import it.
//
// Invariants: nobody gets a zone who is not written down for it, with address and key;
// a message is believed after its signature was checked, and its time after that; a
// zone that comes in is checked as a whole before anybody sees it, and a bad one changes
// nothing. All transfers are bounded in number, octets and time.
//
// Concurrency: methods of a *Server and a *Secondary may be called from any goroutine.
// What transfers read lies behind an atomic pointer; nothing that serves a query waits
// for anything here. Run is called once and ends what it began.
package xfr

import (
	"log/slog"
	"time"

	"github.com/miekg/dns"
)

// Sizes and counts.
const (
	chunk       = 16 << 10 // octets of records after which the next message of a transfer begins
	tsigRoom    = 600      // octets that a TSIG record has at most: two names and a MAC of SHA-512
	maxMessage  = 65535
	headerSize  = 12
	maxSteps    = 100    // differences of a zone that are kept for IXFR
	maxChanged  = 50_000 // records in the difference of two zone texts; a larger one is sent whole
	plainUDP    = 512
	ednsUDP     = 1232
	defaultPort = 53
)

// Options of a Server.
type Options struct {
	Now    func() time.Time // of signatures; nil: time.Now
	Logger *slog.Logger     // nil: nothing is told
	Dial   Dial             // for NOTIFY and questions to secondaries; nil: the network's

	AtOnce  int           // transfers out at once, 10 when 0
	PerPeer int           // of them to one address, 2 when 0
	Time    time.Duration // how long one may last, 10 min when 0
	Bytes   int64         // how much one may be, 1 GiB when 0

	// Notified is told of a NOTIFY of somebody else's zone, and says whether it was
	// for us: key is what it was signed with, "" for nothing. It must not wait. nil: none
	// is.
	Notified Notified
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.AtOnce <= 0 {
		o.AtOnce = 10
	}
	if o.PerPeer <= 0 {
		o.PerPeer = 2
	}
	if o.Time <= 0 {
		o.Time = 10 * time.Minute
	}
	if o.Bytes <= 0 {
		o.Bytes = 1 << 30
	}
	return o
}

// rcode is a response code as people write it.
func rcode(code int) string {
	if name, ok := dns.RcodeToString[code]; ok {
		return name
	}
	return "an unknown code"
}
