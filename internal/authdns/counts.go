package authdns

import "sync/atomic"

// shards of counters: each serving goroutine has its own, as long as there are
// fewer than these.
const shards = 32

// rcodes that are counted: 0 to 23.
const rcodes = rcodeBadCook + 1

// counters are one shard, on cache lines of its own.
type counters struct {
	queries, dropped, malformed, truncated, panics atomic.Uint64

	rcodes [rcodes]atomic.Uint64

	limited, slipped atomic.Uint64

	udpErrors, tcpConns, tcpRefused, tcpOversized atomic.Uint64

	ring *ring // of samples

	_ [64]byte
}

// Counts are what a server has done since it was made. Each figure only grows.
type Counts struct {
	Queries   uint64         // messages received, answered or not
	Rcodes    [rcodes]uint64 // answers by response code, those that the rate limit then held back among them
	Dropped   uint64         // messages without an answer: shorter than a header, or responses
	Malformed uint64         // dropped, or answered FORMERR
	Truncated uint64         // answers with TC
	Panics    uint64         // queries during which the code failed; each was answered SERVFAIL

	Limited uint64 // answers that the rate limit held back
	Slipped uint64 // answers that the rate limit sent with TC and without records

	UDPErrors    uint64 // receiving or sending failed
	TCPConns     uint64 // connections accepted
	TCPRefused   uint64 // connections closed at once for a limit
	TCPOversized uint64 // connections closed for a query that was too long or too short
}

// Counts adds up what all goroutines have counted. The figures are taken one
// after the other while queries go on.
func (s *Server) Counts() Counts {
	var sum Counts
	for i := range s.shards {
		c := &s.shards[i]
		sum.Queries += c.queries.Load()
		sum.Dropped += c.dropped.Load()
		sum.Malformed += c.malformed.Load()
		sum.Truncated += c.truncated.Load()
		sum.Panics += c.panics.Load()
		sum.Limited += c.limited.Load()
		sum.Slipped += c.slipped.Load()
		sum.UDPErrors += c.udpErrors.Load()
		sum.TCPConns += c.tcpConns.Load()
		sum.TCPRefused += c.tcpRefused.Load()
		sum.TCPOversized += c.tcpOversized.Load()
		for code := range c.rcodes {
			sum.Rcodes[code] += c.rcodes[code].Load()
		}
	}
	return sum
}

// shard gives the counters of a goroutine that begins to serve.
func (s *Server) shard() *counters { return &s.shards[s.next.Add(1)%shards] }
