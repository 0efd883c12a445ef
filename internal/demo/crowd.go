package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"lifeboat/internal/demo/shop"
	"lifeboat/internal/standby"
)

// The load of the play: visitors, and the queries of everybody else.
const (
	visitEvery   = 20 * time.Millisecond // 50 visits a second
	maxVisits    = 200                   // at once; more are not started
	askers       = 8                     // who ask the name server
	askPause     = 16 * time.Millisecond // each: 500 queries a second together
	maxPage      = 1 << 20               // bytes of a page that are read
	keptExamples = 5                     // of what nobody expected
)

// where is a set of places that an answer may come from, or lead to.
type where uint8

// The places.
const (
	atMain where = 1 << iota
	atBackup
	atStandby
	nowhere // an error, or no answer
)

func (w where) String() string {
	words := ""
	for _, p := range []struct {
		place where
		word  string
	}{{atMain, "main"}, {atBackup, "backup"}, {atStandby, "the standby"}, {nowhere, "nothing"}} {
		if w&p.place == 0 {
			continue
		}
		if words != "" {
			words += " or "
		}
		words += p.word
	}
	return words
}

// How long a visitor waits for a page: long where there must be one, so that a slow
// machine is not taken for a fault; short where there may be none.
const (
	patient   = 10 * time.Second
	impatient = 500 * time.Millisecond
)

// outlook is what may be seen at a time: where names may lead, and whom a visitor
// may meet.
type outlook struct{ names, visits where }

// patience is how long a visitor waits who comes now.
func (o outlook) patience() time.Duration {
	if o.visits&nowhere != 0 {
		return impatient
	}
	return patient
}

// outlooks are those of the play so far. What begins under one and ends under
// another may be as either of them allows, or any in between.
type outlooks struct {
	mu   sync.Mutex // guards list
	list []outlook
}

func (o *outlooks) set(next outlook) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = append(o.list, next)
}

// now names the one that holds now.
func (o *outlooks) now() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.list) - 1
}

// since joins all from one on.
func (o *outlooks) since(i int) (all outlook) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.list[max(i, 0):] {
		all.names |= l.names
		all.visits |= l.visits
	}
	return all
}

// Visits counts what visitors met.
type Visits struct {
	Main       int `json:"main"`
	Backup     int `json:"backup"`
	Standby    int `json:"standby"`
	Errors     int `json:"errors"`     // no answer, or one that is no page
	Unexpected int `json:"unexpected"` // of all these: what should not have been met by then
	NotStarted int `json:"not_started,omitempty"`
}

// Total is how many visits ended.
func (v Visits) Total() int { return v.Main + v.Backup + v.Standby + v.Errors }

// Queries counts what the name server answered.
type Queries struct {
	Asked      int `json:"asked"`
	AskedAgain int `json:"asked_again"` // after a second without an answer
	Wrong      int `json:"wrong"`       // an address that should not have been given by then, or an error
	Missing    int `json:"missing"`     // no answer, asked again included
}

// crowd are visitors who know only the site's name, and many more who only ask the
// name server.
type crowd struct {
	resolver resolver
	port     int
	now      func() time.Time
	outlooks outlooks

	mu       sync.Mutex // guards all below
	visits   Visits
	queries  Queries
	examples []string
}

func newCrowd(dns string, port int, now func() time.Time) *crowd {
	return &crowd{resolver: resolver{dns}, port: port, now: now}
}

// run lets them come until ctx ends, and waits for those under way.
func (c *crowd) run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for i := range askers {
		all.Go(func() { c.ask(ctx, i) }) // ends with ctx
	}
	client := c.client()
	defer client.CloseIdleConnections()
	under := make(chan struct{}, maxVisits)
	tick := time.NewTicker(visitEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case under <- struct{}{}:
			all.Go(func() { // ends with the visitor's patience
				defer func() { <-under }()
				c.visit(ctx, client)
			})
		default:
			c.mu.Lock()
			c.visits.NotStarted++
			c.mu.Unlock()
		}
	}
}

// client visits by name: each request asks the name server anew.
func (c *crowd) client() *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     byName{c.resolver, &http.Transport{DisableKeepAlives: true}},
	}
}

// byName asks the name server within the request, and not in a dial, which the
// transport lets go on in the background after the request has ended.
type byName struct {
	resolver resolver
	*http.Transport
}

func (b byName) RoundTrip(req *http.Request) (*http.Response, error) {
	ip, _, err := b.resolver.lookup(req.Context(), req.URL.Hostname())
	if err != nil {
		return nil, err
	}
	sent := req.Clone(req.Context())
	sent.Host, sent.URL.Host = req.URL.Host, net.JoinHostPort(ip.String(), req.URL.Port())
	return b.Transport.RoundTrip(sent)
}

// url is a path of the shop as a visitor types it.
func (c *crowd) url(host, path string) string {
	return "http://" + net.JoinHostPort(host, strconv.Itoa(c.port)) + path
}

// visit looks at the shop once and notes whom it met.
func (c *crowd) visit(ctx context.Context, client *http.Client) {
	from := c.outlooks.now()
	wait := c.outlooks.since(from).patience()
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), wait, errors.New("no answer in time"))
	defer cancel()
	met, detail := meet(ctx, client, c.url(Host, "/"))
	c.note(from, met, detail)
}

// meet asks for a page and says who gave it.
func meet(ctx context.Context, client *http.Client, url string) (met where, detail string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nowhere, err.Error()
	}
	req.Header.Set("Accept", "text/html")
	res, err := client.Do(req)
	if err != nil {
		return nowhere, err.Error()
	}
	defer func() { _ = res.Body.Close() }() // nothing is lost with it
	if _, err := io.Copy(io.Discard, io.LimitReader(res.Body, maxPage)); err != nil {
		return nowhere, err.Error()
	}
	switch origin := res.Header.Get(shop.OriginHeader); {
	case res.StatusCode == http.StatusOK && origin == "main":
		return atMain, ""
	case res.StatusCode == http.StatusOK && origin == "backup":
		return atBackup, ""
	case res.StatusCode == http.StatusServiceUnavailable && res.Header.Get(standby.Marker) != "":
		return atStandby, ""
	}
	return nowhere, res.Status
}

// note counts a visit that began under the outlook from.
func (c *crowd) note(from int, met where, detail string) {
	allowed := c.outlooks.since(from)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch met {
	case atMain:
		c.visits.Main++
	case atBackup:
		c.visits.Backup++
	case atStandby:
		c.visits.Standby++
	default:
		c.visits.Errors++
	}
	if allowed.visits&met == 0 {
		c.visits.Unexpected++
		c.example("a visitor met %s (%s), where only %s was to be met", met, detail, allowed.visits)
	}
}

// example keeps the first few of what nobody expected. The caller holds mu.
func (c *crowd) example(format string, args ...any) {
	if len(c.examples) < keptExamples {
		c.examples = append(c.examples, fmt.Sprintf(format, args...))
	}
}

// ask queries the name server at a steady pace; each asks for another name in turn.
func (c *crowd) ask(ctx context.Context, turn int) {
	names := []string{Host, wwwHost, statusHost}
	tick := time.NewTicker(askPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		name, from := names[turn%len(names)], c.outlooks.now()
		turn++
		ip, again, err := c.resolver.lookup(ctx, name)
		if ctx.Err() == nil {
			c.noteQuery(from, name, ip, again, err)
		}
	}
}

// noteQuery counts a query that began under the outlook from.
func (c *crowd) noteQuery(from int, name string, ip netip.Addr, again bool, err error) {
	allowed := c.outlooks.since(from).names
	if name == statusHost {
		allowed = atStandby // it follows nothing
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queries.Asked++
	if again {
		c.queries.AskedAgain++
	}
	switch {
	case errors.Is(err, errSilent):
		c.queries.Missing++
		c.example("%s: %v", name, err)
	case err != nil:
		c.queries.Wrong++
		c.example("%s: %v", name, err)
	case placeOf(ip)&allowed == 0:
		c.queries.Wrong++
		c.example("%s led to %s, where only %s was right", name, ip, allowed)
	}
}

// placeOf says which place an address is.
func placeOf(ip netip.Addr) where {
	switch ip.String() {
	case mainIP:
		return atMain
	case backupIP:
		return atBackup
	case standbyIP:
		return atStandby
	}
	return 0
}

// counts are those so far.
func (c *crowd) counts() (Visits, Queries) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.visits, c.queries
}

// wrong tells what should not have been seen, nil when there is nothing.
func (c *crowd) wrong() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.visits.Unexpected+c.queries.Wrong+c.queries.Missing == 0 {
		return nil
	}
	err := fmt.Errorf("%d visits met what they should not have, %d DNS answers were wrong, %d missing", c.visits.Unexpected, c.queries.Wrong, c.queries.Missing)
	if len(c.examples) > 0 {
		err = fmt.Errorf("%w; the first: %s", err, c.examples[0])
	}
	return err
}
