package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// idleMB is the goal for 10,000 idle connections.
const idleMB = 370

// hold keeps idle connections over TLS and looks at the memory that they take.
func (b *bench) hold(s *server) error {
	before := s.memory()
	var all []*client
	defer func() {
		for _, c := range all {
			c.close()
		}
	}()
	config := b.config(nil)
	for range b.idle {
		c, err := b.dial(s, config)
		if err == nil {
			err = c.ask()
		}
		if err != nil {
			fmt.Printf("idle connections, %s: no more than %d: %v\n", s.name, len(all), err)
			break
		}
		all = append(all, c)
	}
	now := s.memory()
	if len(all) > 0 {
		word := ""
		if s.name == "lifeboat" && b.idle == 10_000 {
			word = fmt.Sprintf(" (goal: at most %d MB, %s)", idleMB, held(len(all) == b.idle && now/1_000_000 <= idleMB))
		}
		fmt.Printf("%d idle connections over TLS, %s, load %s: %d MB in all, %.1f KiB each%s\n", len(all), s.name, load(), now/1_000_000, float64(now-before)/1024/float64(len(all)), word)
	}
	return nil
}

// times are how long good requests took.
type times struct {
	mu     sync.Mutex
	all    []time.Duration
	failed int
}

func (t *times) add(d time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.failed++
		return
	}
	t.all = append(t.all, d)
}

// at is how long the given share of them took at most; 0 where there is none.
func (t *times) at(share float64) time.Duration {
	if len(t.all) == 0 {
		return 0
	}
	slices.Sort(t.all)
	return t.all[int(share*float64(len(t.all)-1))]
}

// within: all but one in a hundred were answered, and in time.
func (t *times) within(limit time.Duration) bool {
	return len(t.all) > 0 && t.at(.99) <= limit && t.failed*100 <= len(t.all)
}

func (t *times) join(o *times) { t.all, t.failed = append(t.all, o.all...), t.failed+o.failed }

func (t *times) String() string {
	if len(t.all) == 0 {
		return fmt.Sprintf("none answered, %d not", t.failed)
	}
	return fmt.Sprintf("p50 %s, p99 %s (%d answered, %d not)", t.at(.5).Round(10*time.Microsecond), t.at(.99).Round(10*time.Microsecond), len(t.all), t.failed)
}

// again calls f every so often until stop is closed, each time in a goroutine of its own.
func again(every time.Duration, stop <-chan struct{}, f func() error) *times {
	var t times
	var wg sync.WaitGroup
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			wg.Wait()
			return &t
		case <-tick.C:
		}
		wg.Go(func() {
			began := time.Now()
			err := f()
			t.add(time.Since(began), err)
		})
	}
}

// visit is a good visitor who comes with a new connection and reads the whole page.
func (b *bench) visit(s *server, config *tls.Config) error {
	c, err := b.dial(s, config)
	if err != nil {
		return err
	}
	defer c.close()
	return c.ask()
}

// during lets good visitors come for a while.
func (b *bench) during(s *server, length time.Duration) *times {
	stop, config := make(chan struct{}), b.config(nil)
	time.AfterFunc(length, func() { close(stop) })
	return again(5*time.Millisecond, stop, func() error { return b.visit(s, config) })
}

const (
	slowOnes   = 2000
	slowRounds = 5
)

// slow holds 2,000 connections that send a byte now and then, half of them in their
// handshake and half in a request's head, and looks at good visitors. Rounds with and
// without them take turns, since other work on the machine comes and goes.
func (b *bench) slow(s *server) error {
	var calm, hurt times
	var alone, beside []float64
	length := b.each
	for range slowRounds {
		t := b.during(s, length)
		alone = append(alone, t.at(.99).Seconds())
		calm.join(t)
		var slow []*generating
		for _, o := range []order{
			{Address: netip.MustParseAddrPort(s.secure), First: []byte{22, 3, 1, 2, 0, 1, 0, 1, 252}, Then: []byte{0}}, // a ClientHello that is said to be long
			{Address: netip.MustParseAddrPort(s.plain), First: []byte("GET / HTTP/1.1\r\nHost: " + siteName + "\r\nX: "), Then: []byte("x")},
		} {
			o.Slow, o.Rate, o.For = slowOnes/2, slowOnes/2, length+2*time.Second // a byte each in a second
			g, err := begin(o)
			if err != nil {
				return err
			}
			slow = append(slow, g)
		}
		time.Sleep(1500 * time.Millisecond) // all have come
		t = b.during(s, length)
		beside = append(beside, t.at(.99).Seconds())
		hurt.join(t)
		for _, g := range slow {
			if _, err := g.end(); err != nil {
				return err
			}
		}
	}
	share := median(beside) / median(alone)
	word := "goal: at most 1.10, " + held(share <= 1.1)
	if s.name != "lifeboat" {
		word = "no goal"
	}
	fmt.Printf("slow senders, %s, load %s: alone %s; beside %d slow ones %s; medians of each round's p99: %.2f ms and %.2f ms, %.2f times (%s)\n",
		s.name, load(), &calm, slowOnes, &hurt, median(alone)*1000, median(beside)*1000, share, word)
	return nil
}

const (
	stormRate  = 10_000 // connections a second
	generators = 2
	answerIn   = time.Second            // the goal for who is answered
	consoleIn  = 100 * time.Millisecond // what nobody notices at the console
)

// beside is what else is looked at in a storm: the console, whose process shares the
// server's core, and the name server in the same process.
type beside struct{ console, names *times }

// storm offers 10,000 new TLS connections a second, each a ClientHello that makes the
// server do all of its part up to its signature, and looks at good visitors among them.
func (b *bench) storm(s *server) error {
	hello, err := b.hello(s)
	if err != nil {
		return err
	}
	length := 3 * b.each
	calm := b.watch(s, length)
	var all []*generating
	for range generators {
		g, err := begin(order{Address: netip.MustParseAddrPort(s.secure), Rate: stormRate / generators, For: length + time.Second, First: hello})
		if err != nil {
			return err
		}
		all = append(all, g)
	}
	time.Sleep(time.Second / 2)
	watching, began := make(chan beside, 1), s.scheduled()
	go func() { watching <- b.watch(s, length) }() // ends with length
	visitors := b.during(s, length)
	hurt := <-watching
	starved := s.starved(began, length)
	var sum offered
	rate := 0.0
	for _, g := range all {
		o, err := g.end()
		if err != nil {
			return err
		}
		rate += float64(o.Began) / o.Took.Seconds()
		sum.Began, sum.Refused, sum.Lost, sum.Failed = sum.Began+o.Began, sum.Refused+o.Refused, sum.Lost+o.Lost, sum.Failed+o.Failed
		sum.Answered = append(sum.Answered, o.Answered...)
	}
	answered := &times{all: sum.Answered}
	in := (length + time.Second).Seconds()
	fmt.Printf("storm, %s, load %s, the server %s: %.0f connections a second offered, %.0f answered, %.0f shed, %.0f lost, %.0f not begun; first answer %s; good visitors, whole page %s%s\n",
		s.name, load(), starved, rate, float64(len(sum.Answered))/in, float64(sum.Refused)/in, float64(sum.Lost)/in, float64(sum.Failed)/in, answered, visitors, verdict(s, rate, answered, visitors))
	if s.name == "lifeboat" {
		fmt.Printf("  the console on the same core: alone %s; in the storm %s (goal: p99 at most %s, %s)\n", calm.console, hurt.console, consoleIn, held(hurt.console.within(consoleIn)))
		fmt.Printf("  the name server in the same process: alone %s; in the storm %s\n", calm.names, hurt.names)
	}
	return nil
}

func verdict(s *server, rate float64, answered, visitors *times) string {
	switch {
	case s.name != "lifeboat":
		return ""
	case rate < .99*stormRate:
		return fmt.Sprintf(" (goal: p99 below %s; NOT PROVED, fewer than %d were offered)", answerIn, stormRate)
	}
	return fmt.Sprintf(" (goal: p99 below %s, %s)", answerIn, held(len(answered.all) > 0 && answered.at(.99) < answerIn && len(visitors.all) > 0 && visitors.at(.99) < answerIn))
}

// watch asks the console and the name server, where the server is lifeboat.
func (b *bench) watch(s *server, length time.Duration) beside {
	if s.name != "lifeboat" {
		return beside{}
	}
	stop := make(chan struct{})
	time.AfterFunc(length, func() { close(stop) })
	names := make(chan *times, 1)
	go func() { names <- again(20*time.Millisecond, stop, func() error { return askName(s.extra) }) }() // ends with stop
	console := again(20*time.Millisecond, stop, func() error { return askConsole(b.console) })
	return beside{console, <-names}
}

// askName asks a name server; that it refuses is an answer.
func askName(addr string) error {
	m := new(dns.Msg)
	m.SetQuestion(siteName+".", dns.TypeA)
	_, _, err := (&dns.Client{Timeout: giveUp}).Exchange(m, addr)
	return err
}

// askConsole asks for the console's page with a new connection.
func askConsole(addr string) error {
	client := http.Client{
		Timeout:       giveUp,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Get("http://" + addr + "/")
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode >= 500 {
		return errors.New(res.Status)
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// recorder keeps what a client sends first.
type recorder struct {
	net.Conn
	sent []byte
}

var errRecorded = errors.New("recorded")

func (r *recorder) Write(b []byte) (int, error) {
	r.sent = append(r.sent, b...)
	return 0, errRecorded
}

// hello is a ClientHello as a browser's.
func (b *bench) hello(s *server) ([]byte, error) {
	raw, err := net.Dial("tcp", s.secure)
	if err != nil {
		return nil, err
	}
	defer func() { _ = raw.Close() }()
	r := &recorder{Conn: raw}
	_ = handshake(r, b.config(nil))
	if len(r.sent) == 0 {
		return nil, errors.New("no ClientHello was recorded")
	}
	return r.sent, nil
}
