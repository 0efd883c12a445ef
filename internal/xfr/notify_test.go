package xfr

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/authdns"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

// listener is a secondary that counts what it is told, and has what serial it is set to.
type listener struct {
	addr   netip.AddrPort
	mu     sync.Mutex // guards what follows
	heard  []uint32   // serials of NOTIFY messages, as they came
	drop   int        // so many of these get no answer
	rcode  int
	serial uint32
}

func listen(t *testing.T, drop, rcode int) *listener {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	l := &listener{addr: netip.MustParseAddrPort(conn.LocalAddr().String()), drop: drop, rcode: rcode}
	ended := make(chan struct{})
	go func() { // ended by closing the socket
		defer close(ended)
		buf := make([]byte, maxMessage)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			q := new(dns.Msg)
			if q.Unpack(buf[:n]) != nil {
				continue
			}
			if b := l.answer(q); b != nil {
				_, _ = conn.WriteTo(b, from)
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-ended
	})
	return l
}

func (l *listener) answer(q *dns.Msg) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := new(dns.Msg).SetReply(q)
	if q.Opcode == dns.OpcodeNotify {
		serial := q.Answer[0].(*dns.SOA).Serial
		l.heard = append(l.heard, serial)
		if l.drop > 0 {
			l.drop--
			return nil
		}
		if m.Rcode = l.rcode; m.Rcode == 0 {
			l.serial = serial
		}
	} else {
		return answering(q, 0, soaLine(int(l.serial)))
	}
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

func (l *listener) told() []uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]uint32(nil), l.heard...)
}

// telling runs a Server with one secondary.
func telling(t *testing.T, to netip.AddrPort) (s *Server, put func(position string, serial uint32)) {
	t.Helper()
	s = New(Options{})
	z := parse(t, apex, "")
	s.Configure(snapshot.Transfers{Out: []snapshot.Exchange{{Zone: apex, Peers: []snapshot.Peer{{Address: to}}}}})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { // ended by stop
		defer close(ended)
		s.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return s, func(position string, serial uint32) {
		s.Set(Zones{Zones: []*zone.Zone{z}, Positions: positions(), Orders: ordered(position, serial)})
		s.Tell()
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for late := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// A secondary that does not answer is told again; what has been said is not said again;
// and the newest serial is what counts.
func TestSecondaryIsToldUntilItAnswers(t *testing.T) {
	t.Parallel()
	l := listen(t, 1, 0)
	s, put := telling(t, l.addr)
	put("main", 7)
	eventually(t, "it has the serial", func() bool { return s.Standings()[0].Serial == 7 })
	if got := l.told(); len(got) != 2 {
		t.Errorf("told %v", got)
	}
	for range 100 {
		put("main", 7)
	}
	put("standby", 8)
	eventually(t, "it has the next one", func() bool { st := s.Standings()[0]; return st.Serial == 8 && st.Told == 8 && st.Problem == "" })
	if got := l.told(); len(got) != 3 || got[2] != 8 {
		t.Errorf("told %v", got)
	}
	for serial := uint32(9); serial < 200; serial++ { // faster than anybody can follow
		put([]string{"main", "standby"}[serial%2], serial)
	}
	eventually(t, "it has the last one", func() bool { return s.Standings()[0].Serial == 199 })
}

// Why a secondary does not follow is said.
func TestWhyASecondaryDoesNotFollow(t *testing.T) {
	t.Parallel()
	l := listen(t, 0, dns.RcodeNotAuth)
	s, put := telling(t, l.addr)
	put("main", 7)
	eventually(t, "a refusal", func() bool { return strings.Contains(s.Standings()[0].Problem, "does not take our NOTIFY: NOTAUTH") })
	l.mu.Lock()
	l.rcode = 0
	l.mu.Unlock()
	eventually(t, "it takes it after all", func() bool { st := s.Standings()[0]; return st.Serial == 7 && st.Problem == "" })

	gone, put := telling(t, netip.MustParseAddrPort("127.0.0.1:1"))
	put("main", 7)
	eventually(t, "nobody is there", func() bool { return strings.Contains(gone.Standings()[0].Problem, "does not answer") })
}

// Who takes nothing of a transfer is dropped, and its place is free again.
func TestStalledTransferIsDropped(t *testing.T) {
	t.Parallel()
	w := launch(t, Options{PerPeer: 1}, func(o *authdns.Options) { o.TCPIdle = 100 * time.Millisecond })
	z := parse(t, apex, "$GENERATE 1-60000 h$ TXT \"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\"\n")
	w.xfr.Set(Zones{Zones: []*zone.Zone{z}, Positions: positions(), Orders: ordered("main", 8)})
	q, _ := signed(asking(apex, dns.TypeAXFR, 0), us, w.now())
	c := w.dial("tcp", here)
	defer c.Close()
	must(t, c.(*net.TCPConn).SetReadBuffer(1))
	write(c, q)
	eventually(t, "it is dropped", func() bool { return w.xfr.Counts().Broken == 1 })
	if !w.xfr.enter(here) {
		t.Error("its place is not free")
	}
}

// Where there are peers, plain queries cost no more than where there are none.
func TestPlainQueriesCostNothing(t *testing.T) { // not parallel: it counts allocations
	w := launch(t, Options{})
	q, err := new(dns.Msg).SetQuestion("www."+apex, dns.TypeA).Pack()
	must(t, err)
	out := make([]byte, 4096)
	if n := testing.AllocsPerRun(100, func() { w.dns.Handle(out, q, true) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Who has not seen our messages can't guess the id of the next one.
func TestIdsCannotBeGuessed(t *testing.T) {
	t.Parallel()
	seen, gaps := map[uint16]bool{}, map[uint16]bool{}
	last := uint16(0)
	for range 200 {
		id := binary.BigEndian.Uint16(ask(apex, dns.TypeSOA))
		seen[id], gaps[id-last] = true, true
		last = id
	}
	if len(seen) < 150 || len(gaps) < 150 {
		t.Errorf("of 200 ids %d differ, with %d gaps between them", len(seen), len(gaps))
	}
}
