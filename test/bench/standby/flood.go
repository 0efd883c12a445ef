package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

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
		fmt.Printf("%d idle connections over TLS, %s: %d MB in all, %.1f KiB each\n", len(all), s.name, now>>20, float64(now-before)/1024/float64(len(all)))
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

func (t *times) String() string {
	if len(t.all) == 0 {
		return fmt.Sprintf("none answered, %d not", t.failed)
	}
	slices.Sort(t.all)
	at := func(share float64) time.Duration { return t.all[int(share*float64(len(t.all)-1))] }
	return fmt.Sprintf("p50 %s, p99 %s (%d answered, %d not)", at(.5).Round(10*time.Microsecond), at(.99).Round(10*time.Microsecond), len(t.all), t.failed)
}

// visit has a good visitor come every few milliseconds, with a new connection each, until
// stop is closed.
func (b *bench) visit(s *server, every time.Duration, stop <-chan struct{}) *times {
	var t times
	var wg sync.WaitGroup
	tick := time.NewTicker(every)
	defer tick.Stop()
	config := b.config(nil)
	for {
		select {
		case <-stop:
			wg.Wait()
			return &t
		case <-tick.C:
		}
		wg.Go(func() {
			began := time.Now()
			c, err := b.dial(s, config)
			if err == nil {
				err = c.ask()
				c.close()
			}
			t.add(time.Since(began), err)
		})
	}
}

// during lets good visitors come for a while.
func (b *bench) during(s *server, length time.Duration) *times {
	stop := make(chan struct{})
	time.AfterFunc(length, func() { close(stop) })
	return b.visit(s, 5*time.Millisecond, stop)
}

// slow holds 2,000 connections that send a byte now and then, and looks at good visitors.
func (b *bench) slow(s *server) error {
	calm := b.during(s, 2*b.each)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 2000 {
		wg.Go(func() {
			for {
				c, err := net.Dial("tcp", s.secure)
				if err != nil {
					return
				}
				_ = c.(*net.TCPConn).SetLinger(0)
				// A ClientHello that is said to be long, a byte a second.
				for _, err = c.Write([]byte{22, 3, 1, 2, 0, 1, 0, 1}); err == nil; _, err = c.Write([]byte{0}) {
					select {
					case <-stop:
						_ = c.Close()
						return
					case <-time.After(time.Second + time.Duration(i)*time.Millisecond/4):
					}
				}
				_ = c.Close()
			}
		})
	}
	time.Sleep(time.Second)
	hurt := b.during(s, 2*b.each)
	close(stop)
	wg.Wait()
	fmt.Printf("slow senders, %s: alone %s; beside 2,000 slow ones %s\n", s.name, calm, hurt)
	return nil
}

// storm offers 10,000 new TLS connections a second, each a ClientHello that makes the
// server do all of its part, and looks at good visitors among them.
func (b *bench) storm(s *server) error {
	hello, err := b.hello(s)
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	var offered, answered, refused atomic.Int64
	var wg sync.WaitGroup
	const workers, second = 200, 10_000
	for range workers {
		wg.Go(func() {
			tick := time.NewTicker(time.Second * workers / second)
			defer tick.Stop()
			buffer := make([]byte, 1)
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				offered.Add(1)
				c, err := net.DialTimeout("tcp", s.secure, time.Second)
				if err != nil {
					refused.Add(1)
					continue
				}
				_ = c.(*net.TCPConn).SetLinger(0)
				_ = c.SetDeadline(time.Now().Add(2 * time.Second))
				_, err = c.Write(hello)
				if err == nil {
					_, err = io.ReadFull(c, buffer)
				}
				if err == nil {
					answered.Add(1)
				} else {
					refused.Add(1)
				}
				_ = c.Close()
			}
		})
	}
	length := 2 * b.each
	good := b.during(s, length)
	close(stop)
	wg.Wait()
	seconds := length.Seconds()
	fmt.Printf("storm, %s: %.0f connections a second offered, %.0f answered, %.0f not; good visitors %s\n", s.name, float64(offered.Load())/seconds, float64(answered.Load())/seconds, float64(refused.Load())/seconds, good)
	return nil
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
