package answer

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"lifeboat/internal/authdns"
	"lifeboat/internal/fault"
	"lifeboat/internal/feed"
	"lifeboat/internal/listen"
	"lifeboat/internal/ofrep"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/xfr"
	"lifeboat/internal/zone"
)

// Request is one line of JSON on answer.sock.
type Request struct {
	Do    string `json:"do"` // status, sights, pull, trust, adopt, sockets
	Lever string `json:"lever,omitempty"`
	Key   string `json:"key,omitempty"`
	Epoch uint64 `json:"epoch,omitempty"`
}

// Reply is the line that answers a Request.
type Reply struct {
	OK     bool       `json:"ok"`
	Err    string     `json:"error,omitempty"`
	Kind   fault.Kind `json:"kind,omitempty"`
	PID    int        `json:"pid"`
	Ready  bool       `json:"ready"`
	Status *Standing  `json:"status,omitempty"`

	Sights []feed.Sight `json:"sights,omitempty"` // what the checks saw last, where they were asked for
}

// Standing is answer's state as its socket tells it.
type Standing struct {
	Epoch     uint64            `json:"epoch"`
	Revision  uint64            `json:"revision"`
	Positions map[string]string `json:"positions"`
	Seen      map[string]string `json:"seen"` // "SITE PLACE" → up, down, unknown
	Serials   map[string]uint32 `json:"serials"`
	Orders    []snapshot.Order  `json:"orders,omitempty"` // local ones that control has not taken over
	Levers    []snapshot.Lever  `json:"levers,omitempty"`
	SilentS   float64           `json:"silent_s"` // seconds since control was heard
	Waiting   int               `json:"waiting"`
	Gaps      uint64            `json:"gaps"`
	Problem   string            `json:"problem,omitempty"`

	Secondaries []xfr.Standing `json:"secondaries,omitempty"` // which serials they have
	Copies      []xfr.Copy     `json:"copies,omitempty"`      // of zones that others serve

	Counters map[string]uint64 `json:"counters"`
}

// Limits of answer.sock.
const (
	maxRequest   = 4 << 10
	requestLimit = 5 * time.Second
)

// serveOrders answers requests on answer.sock until ctx ends. A fault in accepting
// passes: the way to safety stays open.
func (a *Answer) serveOrders(ctx context.Context) {
	p := newPages(a.o.Orders.Addr())
	var served sync.WaitGroup
	inner, stop := context.WithCancel(ctx)
	served.Go(func() { a.servePages(inner, p) })                                                                               // ended by stop
	_ = listen.Conns(ctx, a.o.Orders, a.o.Admit, a.o.Logger.With("socket", "answer.sock"), func(c net.Conn) { a.speak(c, p) }) // a closed socket ends it, too
	stop()
	served.Wait()
}

// speak answers one request; it ends with its deadline. A browser's connection goes on to
// the emergency page.
func (a *Answer) speak(c net.Conn, p *pages) {
	_ = c.SetDeadline(time.Now().Add(requestLimit))
	r := bufio.NewReader(c)
	if first, err := r.Peek(1); err == nil && isPage(first[0]) {
		_ = c.SetDeadline(time.Time{}) // the server of pages has its own
		if p.give(&begun{c, r}) {
			return
		}
	}
	defer func() { _ = c.Close() }()
	line, err := bufio.NewReader(io.LimitReader(r, maxRequest)).ReadBytes('\n')
	if err != nil {
		return
	}
	var q Request
	if err := json.Unmarshal(line, &q); err != nil {
		a.reply(c, fault.New(fault.Invalid, "the request can't be read").Because(err))
		return
	}
	err = a.serveRequest(c, q)
	if !errors.Is(err, errReplied) {
		a.reply(c, err)
	}
}

var errReplied = errors.New("replied")

func (a *Answer) serveRequest(c net.Conn, q Request) error {
	switch q.Do {
	case "status":
		return nil
	case "sights":
		a.send(c, Reply{OK: true, PID: a.o.PID, Ready: a.Ready(), Sights: a.status().Sights})
		return errReplied
	case "pull":
		return a.pull(q.Lever, c)
	case "trust":
		return a.trust(q.Key)
	case "adopt":
		return a.adoptEpoch(q.Epoch)
	case "sockets":
		u, ok := c.(*net.UnixConn)
		if a.o.Sockets == nil || !ok {
			return fault.New(fault.NotSupported, "this answer can't hand its sockets on")
		}
		if err := a.o.Sockets(u); err != nil { // their message is the reply
			a.o.Logger.Warn("sockets were not handed on", "cause", err)
		}
		return errReplied
	}
	return fault.New(fault.Invalid, "unknown request %q", q.Do).WithHint("known: status, sights, pull, trust, adopt, sockets")
}

func (a *Answer) reply(c net.Conn, err error) {
	st := a.standing()
	r := Reply{OK: err == nil, PID: a.o.PID, Ready: a.Ready(), Status: &st}
	if err != nil {
		r.Err, r.Kind = err.Error(), fault.KindOf(err)
	}
	a.send(c, r)
}

func (a *Answer) send(c net.Conn, r Reply) {
	b, err := json.Marshal(r)
	if err != nil { // our own type
		return
	}
	_, _ = c.Write(append(b, '\n')) // a caller that has gone away misses nothing
}

// Ready says whether a good snapshot is in force.
func (a *Answer) Ready() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.table != nil && a.key != nil
}

// pull puts a lever in force as a local order.
func (a *Answer) pull(name string, c net.Conn) error {
	return a.pullAs(name, a.caller(c), "Pulled at answer.")
}

func (a *Answer) pullAs(name, by, reason string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.table == nil {
		return fault.New(fault.Unavailable, "there is no snapshot yet, so no lever is known").WithHint("start control, which publishes one")
	}
	l, known := a.contents.Lever(name)
	if !known {
		return fault.New(fault.NotFound, "there is no lever %q", name).WithHint("see them with: lifeboat answer status")
	}
	o := leverOrder(l)
	o.ID, o.At, o.By, o.Reason = a.o.NewID(), a.o.Now().UTC(), by, reason
	return a.obey(o)
}

// caller names who is on the other end.
func (a *Answer) caller(c net.Conn) string {
	if a.o.Caller != nil {
		return a.o.Caller(c)
	}
	return "somebody"
}

func (a *Answer) standing() Standing {
	st := a.status()
	s := Standing{Epoch: st.Epoch, Revision: st.Revision, Waiting: st.Waiting, Gaps: st.Gaps, Problem: st.Problem, Counters: st.Counters, Seen: map[string]string{}}
	if a.follow != nil {
		s.SilentS = a.follow.Silent().Seconds()
	}
	s.Secondaries, s.Copies = a.xfr.Standings(), a.copies.Copies()
	a.mu.Lock()
	defer a.mu.Unlock()
	s.Positions, s.Orders, s.Serials = a.positions(), a.local.Orders, a.serials
	for _, site := range a.contents.Sites {
		s.Levers = append(s.Levers, site.Levers...)
		if site.Shadow != "" {
			continue
		}
		for place, seen := range a.places(site) {
			s.Seen[site.ID+" "+place] = string(seen)
		}
	}
	return s
}

// exchanged counts what was exchanged with other name servers.
func (a *Answer) exchanged(m map[string]uint64) {
	c := a.xfr.Counts()
	for name, n := range map[string]uint64{
		"whole": c.Whole, "changes": c.Changes, "refused": c.Refused, "shed": c.Shed, "broken": c.Broken, "unsigned": c.Unsigned,
		"told": c.Told, "untold": c.Untold, "heard": c.Heard, "in": a.copies.Count(),
	} {
		m["transfer_"+name] = n
	}
	m["dns_secondaries_behind"], m["dns_copies_expired"] = 0, 0
	for _, s := range a.xfr.Standings() {
		if s.Serial != s.Ours {
			m["dns_secondaries_behind"]++
		}
	}
	for _, c := range a.copies.Copies() {
		if c.Expired {
			m["dns_copies_expired"]++
		}
	}
}

// mostAsked are as many names, with their types, as the metrics tell of.
const mostAsked = 50

// countAsked adds what was asked for most.
func countAsked(m map[string]uint64, asked []authdns.Asked) {
	for _, one := range asked {
		m["dns_asked "+zone.TypeName(one.Type)+" "+one.Name] = one.Queries
	}
}

// counters flattens the servers' counts for metrics.
func counters(dns authdns.Counts, flags ofrep.Counts) map[string]uint64 {
	m := map[string]uint64{
		"dns_queries": dns.Queries, "dns_dropped": dns.Dropped, "dns_malformed": dns.Malformed, "dns_truncated": dns.Truncated, "dns_panics": dns.Panics,
		"dns_limited": dns.Limited, "dns_slipped": dns.Slipped,
		"dns_tcp_connections": dns.TCPConns, "dns_tcp_refused": dns.TCPRefused, "dns_socket_errors": dns.UDPErrors,
		"ofrep_answered": flags.Answered, "ofrep_unknown": flags.Unknown, "ofrep_refused": flags.Refused, "ofrep_not_ready": flags.NotReady,
		"ofrep_bulk": flags.Bulk, "ofrep_not_modified": flags.NotModified, "ofrep_denied": flags.Denied, "ofrep_limited": flags.Limited,
		"ofrep_shed": flags.Shed, "ofrep_streams": flags.Streams, "ofrep_told": flags.Told, "ofrep_copied": flags.Copied,
	}
	for code, name := range map[int]string{0: "noerror", 1: "formerr", 2: "servfail", 3: "nxdomain", 4: "notimp", 5: "refused"} {
		m["dns_rcode_"+name] = dns.Rcodes[code]
	}
	return m
}
