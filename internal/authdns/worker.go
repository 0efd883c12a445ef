package authdns

import (
	"net/netip"
	"reflect"

	"lifeboat/internal/ratelimit"
	"lifeboat/internal/udpbatch"
)

// worker is what one serving goroutine has for itself.
type worker struct {
	*counters
	limit  *ratelimit.Limiter // of a UDP socket
	set    *Settings          // that limit was made for
	more   func([]byte) error // sends a message of an answer that has several; nil: it has one
	class  ratelimit.Class    // of the answer that was made last
	number uint64             // of the query, among those of the shard
	opt    int                // octets of the OPT record at its end
	proven bool               // the client of the last query has proved its address, as by a cookie of ours
}

// worker gives a goroutine that begins to serve a UDP socket what it needs.
func (s *Server) worker() *worker {
	set := s.settings.Load()
	return &worker{counters: s.shard(), limit: ratelimit.New(set.RateLimit), set: set}
}

// follow takes a new limiter where the limit has changed. It runs once a batch, and
// looks further only when the settings are others.
func (c *worker) follow(set *Settings) {
	if set == c.set {
		return
	}
	if !reflect.DeepEqual(set.RateLimit, c.set.RateLimit) { // no exempt network is not the default
		c.limit = ratelimit.New(set.RateLimit)
	}
	c.set = set
}

// The parts of a class, from its lowest bit on: the node or the zone that answers,
// the response code, and what kind of answer it is.
const (
	classCode = 32
	classKind = 48
)

// Kinds of answer. The records of a wildcard are one kind whatever name is asked
// for, as are denials.
const (
	kindError = iota
	kindExact
	kindBelow // from a wildcard, a DNAME, or a delegation
	kindNoData
	kindNoName
	kindAny
)

// scatter keeps the nodes of different zones, which have the same numbers, apart.
const scatter = 0x9E3779B1

// classOf is the class of an answer that no name leads to.
func classOf(rcode uint16) ratelimit.Class { return ratelimit.Class(rcode) << classCode }

// class is the class of an answer, by what was asked for: a flood can't leave it by
// made-up names. A chain counts for the name that it begins with.
func (a *answer) class(rcode uint16) ratelimit.Class {
	if a.zone == none {
		return classOf(rcode)
	}
	kind, place := kindExact, uint32(a.from)^uint32(a.zone)*scatter
	switch {
	case rcode == rcodeNXDomain:
		kind, place = kindNoName, uint32(a.zone)
	case a.typ == typeANY:
		kind = kindAny
	case !a.exact:
		kind = kindBelow
	case a.m.counts[secAnswer] == 0 && a.aa:
		kind = kindNoData
	}
	return classOf(rcode) | ratelimit.Class(kind)<<classKind | ratelimit.Class(place)
}

// batch answers the packets of a batch, within the limit of each client's network.
func (s *Server) batch(c *worker, socket *udpbatch.Socket, packets int) {
	c.follow(s.settings.Load())
	c.limit.Tick(s.options.Now())
	for i := range packets {
		client := socket.Client(i).Addr()
		reply := s.handleFrom(c, socket.Room(i), socket.Packet(i), client, true)
		if reply != nil {
			socket.Answer(i, c.within(client, reply))
		}
	}
	if failed := socket.Send(); failed > 0 {
		c.udpErrors.Add(uint64(failed))
	}
}

// within is what of an answer goes out, nil for nothing.
func (c *worker) within(client netip.Addr, reply []byte) []byte {
	if c.proven {
		return reply
	}
	switch c.limit.Check(client, c.class) {
	case ratelimit.Cut:
		c.slipped.Add(1)
		return slip(reply, c.opt)
	case ratelimit.Drop:
		c.limited.Add(1)
		return nil
	}
	return reply
}

// slip leaves the header, the question and the OPT record of an answer, which is about
// what the query had, and has who is really there ask again over TCP. The OPT record
// stays because it has to (RFC 6891 section 6.1.1), and because it may hold a cookie
// with which the client is limited no more.
func slip(reply []byte, opt int) []byte {
	end := headerSize
	if reply[5] == 1 {
		end += nameEnd(reply[headerSize:]) + 4
	}
	reply[2] |= flagTC
	clear(reply[6:headerSize])
	if opt > 0 {
		reply[headerSize-1] = 1
	}
	return append(reply[:end], reply[len(reply)-opt:]...)
}
