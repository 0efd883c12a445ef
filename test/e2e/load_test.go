package e2e

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// What the load is.
const (
	perSecond = 500
	retryAt   = time.Second // a query without answer is asked again, as resolvers do
	sockets   = 4
)

// Load is a crowd of visitors' resolvers: 500 queries a second, each answer of
// which must be right for one of the positions that were right while the query was
// under way.
type Load struct {
	t       *testing.T
	address func(position string) string
	conns   []*net.UDPConn
	quit    chan struct{}
	once    sync.Once
	sender  sync.WaitGroup
	wg      sync.WaitGroup // of those who receive

	mu      sync.Mutex // guards all below
	waiting map[key]*query
	right   []span // oldest first
	serial  uint32
	flip    map[string]bool // positions that were left for good
	sent    int
	again   int
	missing int
	wrong   []string
	nWrong  int
}

type key struct {
	conn int
	id   uint16
}

type query struct {
	q      dns.Question
	sent   time.Time // first
	last   time.Time // again
	tries  int
	serial uint32 // newest seen before it was sent
	conn   int
}

// span is a time in which certain positions are right.
type span struct {
	from      time.Time
	positions map[string]bool
}

// Load starts the crowd.
func (b *Boat) Load() {
	b.t.Helper()
	l := &Load{t: b.t, address: b.address, quit: make(chan struct{}), waiting: map[key]*query{}}
	l.Allow(b.at)
	for range sockets {
		c, err := net.Dial("udp", b.DNS())
		b.Must(err)
		l.conns = append(l.conns, c.(*net.UDPConn))
	}
	for i, c := range l.conns {
		l.wg.Go(func() { l.receive(i, c) }) // ends when stop closes c
	}
	l.sender.Go(l.send) // ends with quit
	b.load = l
}

// Settle ends the load: nothing may have been wrong or missing.
func (b *Boat) Settle() {
	b.t.Helper()
	l := b.load
	b.Eventually("some more queries are asked", func() bool { return l.Sent() >= perSecond/5 })
	b.load = nil
	l.stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	b.t.Logf("%d queries, %d asked again, %d missing, %d wrong", l.sent, l.again, l.missing, l.nWrong)
	if l.missing > 0 || l.nWrong > 0 || l.sent == 0 {
		b.t.Errorf("of %d queries %d were not answered and %d wrongly:\n%s", l.sent, l.missing, l.nWrong, strings.Join(l.wrong, "\n"))
	}
}

func (l *Load) stop() {
	l.once.Do(func() {
		close(l.quit)
		l.sender.Wait()
		deadline := time.Now().Add(tries*retryAt + 500*time.Millisecond)
		for l.pending() > 0 && time.Now().Before(deadline) {
			l.overdue(time.Now())
			time.Sleep(20 * time.Millisecond)
		}
		for _, c := range l.conns {
			_ = c.Close()
		}
		l.wg.Wait()
		l.mu.Lock()
		l.missing += len(l.waiting)
		l.mu.Unlock()
	})
}

func (l *Load) pending() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting)
}

// Allow says which positions are right from now on.
func (l *Load) Allow(positions ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := span{from: time.Now(), positions: map[string]bool{}}
	for _, p := range positions {
		s.positions[p] = true
	}
	l.right = append(l.right, s)
}

// Flip says that visitors may be moved from one position to another, once: as soon
// as one answer has shown the other, no later query may be answered with the first.
func (l *Load) Flip(from, to string) {
	l.Allow(from, to)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flip = map[string]bool{to: true}
}

// Sent is how many were sent so far; a test may wait for some more.
func (l *Load) Sent() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent
}

// questions are what is asked, in turn.
var questions = []dns.Question{
	{Name: "shop.example.com.", Qtype: dns.TypeA},
	{Name: "www.shop.example.com.", Qtype: dns.TypeA},
	{Name: "shop.example.com.", Qtype: dns.TypeAAAA},
	{Name: "WwW.sHoP.eXaMpLe.cOm.", Qtype: dns.TypeA},
	{Name: "nowhere.shop.example.com.", Qtype: dns.TypeA},
	{Name: "shop.example.com.", Qtype: dns.TypeSOA},
}

func (l *Load) send() {
	began, n := time.Now(), 0
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-l.quit:
			return
		case now := <-tick.C:
			for due := int(now.Sub(began) * perSecond / time.Second); n < due; n++ {
				q := questions[n%len(questions)]
				q.Qclass = dns.ClassINET
				l.ask(&query{q: q, conn: n % sockets})
			}
			l.overdue(now)
		}
	}
}

// ask sends a query, for the first time or again.
func (l *Load) ask(q *query) {
	now := time.Now()
	l.mu.Lock()
	k := key{q.conn, uint16(rand.Uint32())}
	for l.waiting[k] != nil {
		k.id = uint16(rand.Uint32())
	}
	q.last, q.tries = now, q.tries+1
	if q.tries == 1 {
		q.sent, q.serial = now, l.serial
		l.sent++
	} else {
		l.again++
	}
	l.waiting[k] = q
	l.mu.Unlock()
	m := dns.Msg{MsgHdr: dns.MsgHdr{Id: k.id}, Question: []dns.Question{q.q}}
	raw, err := m.Pack()
	if err == nil {
		_, _ = l.conns[q.conn].Write(raw) // what is lost is asked again
	}
}

// tries is how often a query is asked before it counts as missing, as resolvers do it.
const tries = 3

// overdue asks again what has no answer after a second, and gives up in the end.
func (l *Load) overdue(now time.Time) {
	var again []*query
	l.mu.Lock()
	for k, q := range l.waiting {
		if now.Sub(q.last) < retryAt {
			continue
		}
		delete(l.waiting, k)
		if q.tries == tries {
			l.missing++
			continue
		}
		again = append(again, q)
	}
	l.mu.Unlock()
	for _, q := range again {
		q.conn = (q.conn + 1) % sockets
		l.ask(q)
	}
}

func (l *Load) receive(i int, c *net.UDPConn) {
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // nobody listened at that moment
			continue
		}
		l.check(i, slices.Clone(buf[:n]), time.Now())
	}
}

// check judges one answer.
func (l *Load) check(conn int, raw []byte, now time.Time) {
	var m dns.Msg
	err := m.Unpack(raw)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.bad("can't be read: %v", err)
		return
	}
	k := key{conn, m.Id}
	q := l.waiting[k]
	if q == nil {
		return // late: it was asked again meanwhile, or given up
	}
	if len(m.Question) != 1 || m.Question[0] != q.q {
		return // late, and its id was given anew: as resolvers do, go on waiting
	}
	delete(l.waiting, k)
	if !m.Response || !m.Authoritative {
		l.bad("%s: not an authoritative answer: %s", q.q.String(), m.MsgHdr.String())
		return
	}
	l.judge(q, &m, now)
}

func (l *Load) judge(q *query, m *dns.Msg, now time.Time) { // with mu held
	want := dns.RcodeSuccess
	if strings.HasPrefix(q.q.Name, "nowhere.") {
		want = dns.RcodeNameError
	}
	if m.Rcode != want {
		l.bad("%s: %s", q.q.String(), dns.RcodeToString[m.Rcode])
		return
	}
	for _, rr := range append(slices.Clone(m.Answer), m.Ns...) {
		if soa, is := rr.(*dns.SOA); is {
			l.grows(q, soa.Serial)
		}
	}
	if q.q.Qtype == dns.TypeA && want == dns.RcodeSuccess {
		l.leads(q, m, now)
	} else if len(m.Answer) == 0 && len(m.Ns) == 0 {
		l.bad("%s: neither an answer nor a SOA", q.q.String())
	}
}

// grows checks that a serial is not older than the newest one seen before the query
// was sent (RFC 1982).
func (l *Load) grows(q *query, serial uint32) { // with mu held
	if q.serial != 0 && int32(serial-q.serial) < 0 {
		l.bad("%s: the serial went back from %d to %d", q.q.String(), q.serial, serial)
	}
	if l.serial == 0 || int32(serial-l.serial) > 0 {
		l.serial = serial
	}
}

// leads checks that an answer leads to a position that was right meanwhile.
func (l *Load) leads(q *query, m *dns.Msg, now time.Time) { // with mu held
	allowed := map[string]bool{}
	for i, s := range l.right {
		over := i+1 < len(l.right) && l.right[i+1].from.Before(q.sent)
		if !over && s.from.Before(now) {
			maps.Copy(allowed, s.positions)
		}
	}
	got := ""
	if len(m.Answer) == 1 {
		if a, is := m.Answer[0].(*dns.A); is {
			got = a.A.String()
		}
	}
	for position := range allowed {
		if l.address(position) != got {
			continue
		}
		if l.flip[position] {
			l.flip = nil
			l.right = append(l.right, span{from: now, positions: map[string]bool{position: true}})
		}
		return
	}
	l.bad("%s at %s: %s (%d records), allowed was %v", q.q.String(), now.Format("05.000"), got, len(m.Answer), slices.Sorted(maps.Keys(allowed)))
}

func (l *Load) bad(format string, args ...any) { // with mu held
	if l.nWrong++; l.nWrong <= 10 {
		l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
	}
}

// lookup asks for a name's one IPv4 address.
func lookup(server, name string) (string, error) {
	m := new(dns.Msg)
	m.SetQuestion(name, dns.TypeA)
	c := dns.Client{Timeout: time.Second}
	for try := 0; ; try++ {
		r, _, err := c.Exchange(m, server)
		if err != nil && try == 0 {
			continue
		}
		if err != nil {
			return "", err
		}
		if len(r.Answer) != 1 {
			return "", fmt.Errorf("%d records, %s", len(r.Answer), dns.RcodeToString[r.Rcode])
		}
		a, is := r.Answer[0].(*dns.A)
		if !is {
			return "", fmt.Errorf("not an address: %s", r.Answer[0])
		}
		return a.A.String(), nil
	}
}
