package shop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// until looks again and again, for a bounded time.
func (s *open) until(what string, done func() bool) {
	s.t.Helper()
	ctx := bounded(s.t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatalf("waited too long for %s", what)
		}
	}
}

// again starts the shop anew on the same books, as a restart does.
func (s *open) again(file string, change func(*Options)) *open {
	s.t.Helper()
	if err := s.stop(); err != nil {
		s.t.Fatal(err)
	}
	return start(s.t, func(o *Options) {
		o.DataFile = file
		if change != nil {
			change(o)
		}
	})
}

// TestPoisonRow: one row that can't be read breaks every page that lists it, and no
// other; it is in the books, so that a restart and another shop meet it as well.
func TestPoisonRow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, log := filepath.Join(dir, "books.db"), filepath.Join(dir, "shop.log")
	s := start(t, func(o *Options) { o.DataFile, o.Log = file, log })
	s.breaks("poison-row")
	s.breaks("poison-row") // a second time is the same
	poisoned := func(s *open) {
		t.Helper()
		s.wantHarms(PoisonRow)
		for path, status := range map[string]int{
			"/": 500, "/shelves/reading": 500, "/api/products": 500, "/products/9": 500,
			"/shelves/deck": 200, "/shelves/galley": 200, "/products/1": 200, "/products/8": 200, "/orders": 200, "/about": 200, "/healthz": 200,
			"/shelves/none": 404,
		} {
			if a := s.get(path); a.status != status {
				t.Errorf("%s: %d, want %d", path, a.status, status)
			}
		}
		wantProblem(t, "an order for it", s.postJSON("/api/orders", strings.Replace(goodOrder, `"product":2`, `"product":9`, 1)), 500)
		s.postJSON("/api/orders", goodOrder).want(t, 201)
		s.post("/basket/add", url.Values{"product": {"2"}}).want(t, 200, "Storm lantern")
	}
	poisoned(s)
	if text := readLog(t, log); !strings.Contains(text, "products, id 9") || !strings.Contains(text, "path=/shelves/reading") || strings.Contains(text, "path=/products/1") {
		t.Errorf("the log does not lead to the row:\n%s", text)
	}
	if said := s.does(FreeDisk); said != "There was nothing to delete." {
		t.Errorf("an act that does not fit says %q", said)
	}
	s = s.again(file, nil)
	poisoned(s)
	if said := s.does(RepairRow); said != "Products taken out because they could not be read: 1." {
		t.Errorf("it says %q", said)
	}
	s.wantHarms()
	s.get("/").want(t, 200, "Book of knots")
	if n := strings.Count(s.get("/").body, "<svg"); n != 8 {
		t.Errorf("home shows %d products, want the 8 that were well", n)
	}
	s.get("/shelves/reading").want(t, 200, "For reading", "Book of knots")
	s.get("/products/9").want(t, 404)
	if said := s.does(RepairRow); said != "Every product can be read; nothing was changed." {
		t.Errorf("with nothing to repair it says %q", said)
	}
	s.breaks("poison-row")
	s.repair()
	s.get("/").want(t, 200)
}

func readLog(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestFullDisk: what writes fails with SQLite's own error, what reads does not.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, log := filepath.Join(dir, "books.db"), filepath.Join(dir, "shop.log")
	s := start(t, func(o *Options) { o.DataFile, o.Log = file, log })
	s.post("/basket/add", url.Values{"product": {"1"}})
	s.postJSON("/api/orders", goodOrder).want(t, 201)
	if c := s.condition(); c.DiskFree < 1<<20 || strings.Contains(s.get("/metrics").body, "disk_free_bytes 0\n") {
		t.Fatalf("in calm %d bytes are free", c.DiskFree)
	}
	s.breaks("full-disk")
	s.breaks("full-disk")
	fields := url.Values{"name": {"A"}, "email": {"a@example.com"}, "address": {"x"}}
	full := func(s *open) {
		t.Helper()
		s.wantHarms(FullDisk)
		s.get("/metrics").want(t, 200, "disk_free_bytes 0\n")
		s.get("/healthz").want(t, 503, "can't be written")
		wantProblem(t, "an order", s.postJSON("/api/orders", goodOrder), 503)
		for _, path := range []string{"/", "/products/1", "/orders", "/shelves/deck"} {
			s.get(path).want(t, 200)
		}
	}
	full(s)
	s.post("/checkout", fields).want(t, 503, "Something went wrong")
	if text := readLog(t, log); !strings.Contains(text, "database or disk is full") || strings.Contains(text, "a@example.com") {
		t.Errorf("the log does not say why, or says too much:\n%s", text)
	}
	s.does(RepairRow)
	s = s.again(file, nil)
	full(s)
	if said := s.does(FreeDisk); !strings.Contains(said, "is deleted") {
		t.Errorf("it says %q", said)
	}
	s.wantHarms()
	s.get("/healthz").want(t, 200, "ok")
	s.postJSON("/api/orders", goodOrder).want(t, 201, `"number":3`)
	s.breaks("full-disk")
	s.repair()
	s.get("/healthz").want(t, 200, "ok")
}

// TestFlaky: a job holds the books; it goes away by itself, by the repair, and when
// the shop stops.
func TestFlaky(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "books.db")
	s := start(t, func(o *Options) { o.DataFile = file })
	s.breaks("flaky?for=10m")
	s.wantHarms(Flaky)
	s.get("/healthz").want(t, 503, "can't be written")
	s.get("/").want(t, 200)
	if err := Break(bounded(t), s.control, "poison-row"); err == nil {
		t.Error("somebody else could write")
	}
	s.repair()
	s.wantHarms()
	s.get("/healthz").want(t, 200)

	s.breaks("flaky?for=100ms")
	s.until("it to go away", func() bool { return len(s.condition().Harms) == 0 })
	s.get("/healthz").want(t, 200)

	s.breaks("flaky?for=10m")
	s.breaks("flaky?for=10m") // the second takes the first's place
	s = s.again(file, nil)
	s.wantHarms()
	s.get("/healthz").want(t, 200)
}

// stockServer is a stock service.
func stockServer(t *testing.T) (*Stock, string, *atomic.Int64) {
	stock, asked := &Stock{}, &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		stock.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(stock.SpeedUp) // before the server closes, which waits for its answers
	return stock, server.URL, asked
}

// TestSlowDependency: workers wait for the stock service although nobody waits for
// them, until no page is answered. A closed checkout asks nobody, and so helps; a
// restart helps until the workers wait again.
func TestSlowDependency(t *testing.T) {
	t.Parallel()
	stock, address, asked := stockServer(t)
	var closed atomic.Bool
	flags := flagServer(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"key":"checkout","value":%t}`, !closed.Load())
	})
	s := start(t, func(o *Options) { o.OFREP, o.Stock = flags, address })
	s.post("/basket/add", url.Values{"product": {"1"}}).want(t, 200, "in stock")
	s.get("/checkout").want(t, 200, "Enamel mug")
	s.get("/healthz/checkout").want(t, 200, "ok")

	stock.slowBy(10 * time.Minute)
	if !stock.IsSlow() {
		t.Error("the service does not know that it is slow")
	}
	for range workers { // visitors who lose patience at once; their workers do not
		ctx, leave := context.WithCancel(t.Context())
		before := asked.Load()
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			if resp, err := s.client.Do(s.request("GET", "/healthz/checkout", "", "").WithContext(ctx)); err == nil {
				resp.Body.Close()
			}
		}()
		s.until("the service to be asked", func() bool { return asked.Load() > before })
		leave()
		<-gone
	}
	if c := s.condition(); c.InUse != workers {
		t.Fatalf("%d workers are at work, want all %d", c.InUse, workers)
	}
	s.get("/about").want(t, 503, "Too many people at once")
	s.get("/metrics").want(t, 200, "shop_pool_in_use 8\n", "shop_pool_size 8\n", "shop_errors_total 1\n")

	closed.Store(true)
	stock.slowBy(10 * time.Minute) // lets go of those who wait, and is as slow for the next
	s.until("the workers to be free", func() bool { return s.condition().InUse == 0 })
	before := asked.Load()
	s.get("/healthz/checkout").want(t, 200, "closed on purpose")
	s.get("/checkout").want(t, 503, "Checkout is closed")
	s.get("/basket").want(t, 200, "Enamel mug")
	wantProblem(t, "the API", s.postJSON("/api/orders", goodOrder), 503)
	s.get("/").want(t, 200)
	if asked.Load() != before {
		t.Error("a closed checkout asks the stock service")
	}

	closed.Store(false)
	stock.SpeedUp()
	s.get("/healthz/checkout").want(t, 200, "ok")
	s.get("/checkout").want(t, 200, "Enamel mug")
	s.postJSON("/api/orders", goodOrder).want(t, 201)
}

// slowBy is Slow for as long as the test wants; whoever waits is answered now.
func (s *Stock) slowBy(d time.Duration) { s.set(d) }

// TestStockAnswers: what the service says counts, and what it does wrong is told.
func TestStockAnswers(t *testing.T) {
	t.Parallel()
	var answer atomic.Value
	answer.Store(`{"left":{"1":1,"2":0}}`)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, answer.Load().(string))
	}))
	defer server.Close()
	s := start(t, func(o *Options) { o.Stock = server.URL })
	s.post("/basket/set", url.Values{"product": {"1"}, "quantity": {"2"}}).want(t, 200, "only 1 left")
	s.get("/checkout").want(t, 200, "there are only 1 left")
	s.post("/checkout", url.Values{"name": {"A"}, "email": {"a@example.com"}, "address": {"x"}}).want(t, 422, "there are only 1 left")
	wantProblem(t, "the API", s.postJSON("/api/orders", goodOrder), 422)
	for _, bad := range []string{"", "[]", "{}"} {
		answer.Store(bad)
		s.get("/checkout").want(t, 503, "Something went wrong")
		s.get("/healthz/checkout").want(t, 503, "does not answer")
	}
	server.Close()
	s.get("/basket").want(t, 503, "Something went wrong")
	s.get("/").want(t, 200)
	s.get("/metrics").want(t, 200, "shop_stock_errors_total 7\n")
}

// TestLeakyRelease: release 415 is well for as many requests as it was told, then no
// worker is left; a restart gives it as many again.
func TestLeakyRelease(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "books.db")
	leaky := func(o *Options) { o.Release, o.DataFile, o.Well = LeakyRelease.ReleaseOf(), file, 40 }
	s := start(t, leaky)
	spend := func(s *open) {
		t.Helper()
		s.wantHarms(LeakyRelease)
		for range 40 {
			s.get("/healthz").want(t, 200)
		}
		s.get("/healthz").want(t, 503, "Too many people")
	}
	spend(s)
	s.repair()
	if c := s.condition(); c.InUse != workers || c.Release != "415" {
		t.Errorf("after a repair that does not fit: %+v", c)
	}
	s = s.again(file, leaky)
	spend(s)
	s = s.again(file, nil)
	s.wantHarms()
	for range 50 {
		s.get("/healthz").want(t, 200)
	}
}

// TestLog: a line for each request that failed, none for those that did not, nothing
// of what people typed; it is gone on with after a restart.
func TestLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, log := filepath.Join(dir, "books.db"), filepath.Join(dir, "shop.log")
	s := start(t, func(o *Options) { o.DataFile, o.Log = file, log })
	made := s.postJSON("/api/orders", goodOrder)
	s.get("/nowhere").want(t, 404)
	s.breaks("hang")
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := s.client.Do(s.request("GET", made.header.Get("Location"), "", "").WithContext(ctx))
		gone <- err
	}()
	s.waitHeld(1)
	leave()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	s.waitHeld(0)
	s.repair()
	s.until("the line", func() bool { return strings.Contains(readLog(t, log), "request failed") })
	s = s.again(file, func(o *Options) { o.Log, o.Release = log, BadRelease.ReleaseOf() })
	s.get("/about").want(t, 500)
	text := readLog(t, log)
	for _, want := range []string{"release=412", "release=413", `path=/orders/…`, "status=0", "status=500", "the visitor gave up", "nil pointer dereference", "path=/about", "origin=main"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, never := range []string{"ada@example.com", strings.TrimPrefix(made.header.Get("Location"), "/orders/"), "path=/nowhere"} {
		if strings.Contains(text, never) {
			t.Errorf("%q in\n%s", never, text)
		}
	}
	if starts, failed := strings.Count(text, "shop open"), strings.Count(text, "request failed"); starts != 2 || failed != 2 {
		t.Errorf("%d starts and %d failures, want 2 and 2:\n%s", starts, failed, text)
	}
	if info, err := os.Stat(log); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the log: %v %v", info, err)
	}
}

func TestLogRotates(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop.log")
	l, err := openLog(path, 100)
	if err != nil {
		t.Fatal(err)
	}
	line := func(i int) []byte { return fmt.Appendf(nil, "line %03d %s\n", i, strings.Repeat("x", 30)) }
	for i := range 50 {
		if _, err := l.Write(line(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, err = openLog(path, 100)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Write(line(50)); err != nil {
		t.Fatal(err)
	}
	now, before := readLog(t, path), readLog(t, path+".1")
	if now != string(line(50)) || !bytes.Equal([]byte(before), append(line(48), line(49)...)) {
		t.Errorf("now %q, before %q", now, before)
	}
	// Where it can't be put aside it is begun anew: it must not grow.
	if err := os.Remove(path + ".1"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path+".1", 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if _, err := l.Write(line(i)); err != nil {
			t.Fatal(err)
		}
	}
	if now := readLog(t, path); len(now) > 100 || !strings.HasSuffix(now, string(line(4))) {
		t.Errorf("a file that can't be moved holds %q", now)
	}
}

// TestMetrics: what is counted in calm.
func TestMetrics(t *testing.T) {
	t.Parallel()
	_, address, _ := stockServer(t)
	s := start(t, func(o *Options) { o.Stock, o.Name = address, "backup" })
	s.get("/").want(t, 200)
	s.get("/nowhere").want(t, 404)
	s.get("/healthz/checkout").want(t, 200)
	m := s.get("/metrics")
	m.want(t, 200, `shop_requests_total{status="200"} 2`, `shop_requests_total{status="404"} 1`, "shop_errors_total 0",
		`shop_build_info{origin="backup",release="412"} 1`, "shop_last_request_seconds ", "shop_start_time_seconds ", "shop_pool_size 8",
		"shop_pool_in_use 0", "shop_pool_waiting 0", "shop_stock_seconds ", "shop_stock_errors_total 0", "disk_free_bytes ")
	if strings.Contains(m.body, "shop_stock_seconds 0\n") || !strings.HasPrefix(m.header.Get("Content-Type"), "text/plain") {
		t.Errorf("the stock service's time is not told:\n%s", m.body)
	}
}

// TestFillLeavesNothing: whatever the books look like, not one page is left.
func TestFillLeavesNothing(t *testing.T) {
	t.Parallel()
	d, err := openData(t.Context(), filepath.Join(t.TempDir(), "shop.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	w := wish{Name: "A", Email: "a@example.com", Address: strings.Repeat("x", 200), Lines: basket{{1, 1}, {2, 2}}}
	for round := range 12 {
		for range 7 * round {
			if _, err := d.place(t.Context(), w); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.fill(t.Context()); err != nil {
			t.Fatal(err)
		}
		free, err := d.free(t.Context())
		if err != nil || free != 0 {
			t.Fatalf("round %d: %d bytes are free, %v", round, free, err)
		}
		if err := d.ping(t.Context()); err == nil {
			t.Fatalf("round %d: there was room for a heartbeat", round)
		}
		if _, err := d.place(t.Context(), w); err == nil {
			t.Fatalf("round %d: there was room for an order", round)
		}
		if _, err := d.freeDisk(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
