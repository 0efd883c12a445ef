package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of an exchange with the stock service.
const (
	stockTimeout   = 5 * time.Second // nobody ever thought about it
	maxStockAnswer = 16 << 10        // bytes
	slowAnswer     = 4 * time.Second
	onShelf        = 5000 // of each product: enough for everybody who tries the shop
)

// Stock is the warehouse's own service: shops ask it over HTTP how many of a
// product are left. It belongs to no shop and outlives their restarts. It serves
//
//	GET /stock?product=1&product=2    {"left":{"1":5000,"2":5000}}
//
// The zero value is ready. It may be used from any goroutine.
type Stock struct {
	mu      sync.Mutex // guards both
	delay   time.Duration
	changed chan struct{} // closed, and replaced, at each change; nil before the first
}

// Slow makes each answer take a few seconds.
func (s *Stock) Slow() { s.set(slowAnswer) }

// SpeedUp makes it answer at once, those included that wait already.
func (s *Stock) SpeedUp() { s.set(0) }

// IsSlow says whether answers take their time.
func (s *Stock) IsSlow() bool {
	delay, _ := s.now()
	return delay > 0
}

func (s *Stock) set(delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = delay
	if s.changed != nil {
		close(s.changed)
	}
	s.changed = make(chan struct{})
}

func (s *Stock) now() (time.Duration, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.delay, s.changed
}

// stockAnswer is what the service says.
type stockAnswer struct {
	Left map[int]int `json:"left"`
}

// ServeHTTP answers one question.
func (s *Stock) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/stock" || r.Method != http.MethodGet {
		writeProblem(w, http.StatusNotFound, "Not found", "There is GET /stock?product=1.")
		return
	}
	answer := stockAnswer{Left: map[int]int{}}
	for _, text := range r.URL.Query()["product"] {
		if id, err := strconv.Atoi(text); err == nil && len(answer.Left) < maxLines {
			answer.Left[id] = onShelf
		}
	}
	if !s.take(r) {
		return // nobody waits for it any more
	}
	writeJSON(w, http.StatusOK, "application/json", answer)
}

// take lets an answer take its time; false when the shop has hung up.
func (s *Stock) take(r *http.Request) bool {
	delay, changed := s.now()
	if delay == 0 {
		return true
	}
	ready := time.NewTimer(delay)
	defer ready.Stop()
	select {
	case <-ready.C:
	case <-changed:
	case <-r.Context().Done():
		return false
	}
	return true
}

// stockClient asks the stock service.
type stockClient struct {
	url    string // empty: nobody to ask
	client *http.Client
	done   <-chan struct{} // closed when the shop stops
	now    func() time.Time

	took     atomic.Int64 // nanoseconds that the last asking took
	failures atomic.Int64
}

func newStockClient(base string, done <-chan struct{}, now func() time.Time) *stockClient {
	c := &stockClient{done: done, now: now, client: &http.Client{
		// No proxy from the environment, and nowhere but where we were told to ask.
		Transport:     &http.Transport{MaxConnsPerHost: 2 * workers, MaxIdleConnsPerHost: workers, IdleConnTimeout: 30 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if base != "" {
		c.url = strings.TrimRight(base, "/") + "/stock"
	}
	return c
}

// left gives how many of some products there are; nil when there is nobody to ask.
// It waits although the visitor may have left: that is what makes a slow service
// everybody's trouble.
func (c *stockClient) left(ctx context.Context, products ...int) (map[int]int, error) {
	if c.url == "" || len(products) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), stockTimeout, errors.New("stock service took too long"))
	defer cancel()
	go func() { // ends with the answer
		select {
		case <-c.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	began := c.now()
	found, err := c.ask(ctx, products)
	c.took.Store(int64(c.now().Sub(began)))
	if err != nil {
		c.failures.Add(1)
		return nil, fmt.Errorf("ask for the stock: %w", err)
	}
	return found, nil
}

func (c *stockClient) ask(ctx context.Context, products []int) (map[int]int, error) {
	var query strings.Builder
	for i, id := range products {
		fmt.Fprintf(&query, "%cproduct=%d", "?&"[min(i, 1)], id)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+query.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxStockAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %s", resp.Status)
	}
	return parseStock(body)
}

// parseStock reads what the service says; a number below zero is none.
func parseStock(body []byte) (map[int]int, error) {
	var a stockAnswer
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, fmt.Errorf("read its answer: %w", err)
	}
	if a.Left == nil {
		return nil, errors.New("read its answer: no numbers")
	}
	for id, n := range a.Left {
		a.Left[id] = max(n, 0)
	}
	return a.Left, nil
}

func (c *stockClient) close() { c.client.CloseIdleConnections() }
