package shop

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lifeboat/internal/fault"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(runChild())
	}
	goleak.VerifyTestMain(m)
}

// patience bounds every wait for another goroutine or process; it is never a
// measure of anything.
const patience = 20 * time.Second

// open is a shop that is running in this process.
type open struct {
	t       *testing.T
	base    string
	control string
	client  *http.Client
	stop    func() error // ends it and gives Run's result
}

// start runs a shop until the test ends.
func start(t *testing.T, change func(*Options)) *open {
	t.Helper()
	dir := t.TempDir()
	ready := make(chan net.Addr, 1)
	o := Options{
		Control:  filepath.Join(dir, "shop.sock"),
		DataFile: filepath.Join(dir, "shop.db"),
		Logger:   slog.New(slog.DiscardHandler),
		Ready:    func(a net.Addr) { ready <- a },
	}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, o) }()
	s := &open{t: t, control: o.Control, client: newVisitor(t)}
	stopped := false
	s.stop = func() error {
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		if stopped {
			return
		}
		if err := s.stop(); err != nil {
			t.Errorf("shop did not stop well: %v", err)
		}
	})
	select {
	case addr := <-ready:
		s.base = "http://" + addr.String()
	case err := <-ended:
		stopped = true
		cancel()
		t.Fatalf("shop did not start: %v", err)
	}
	return s
}

// newVisitor is a browser: it keeps cookies and follows redirects.
func newVisitor(t *testing.T) *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport, Timeout: patience}
}

// answer is what a visitor got.
type answer struct {
	status int
	header http.Header
	body   string
	path   string // after redirects
}

func (s *open) do(req *http.Request) answer {
	s.t.Helper()
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body), resp.Request.URL.Path}
}

func (s *open) request(method, path, media, body string) *http.Request {
	s.t.Helper()
	req, err := http.NewRequest(method, s.base+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	return req
}

func (s *open) get(path string) answer {
	s.t.Helper()
	return s.do(s.request("GET", path, "", ""))
}

func (s *open) post(path string, fields url.Values) answer {
	s.t.Helper()
	return s.do(s.request("POST", path, "application/x-www-form-urlencoded", fields.Encode()))
}

func (s *open) postJSON(path, body string) answer {
	s.t.Helper()
	return s.do(s.request("POST", path, "application/json", body))
}

func (a answer) want(t *testing.T, status int, texts ...string) {
	t.Helper()
	if a.status != status {
		t.Fatalf("%s: status %d, want %d\n%s", a.path, a.status, status, a.body)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("%s: no %q in\n%s", a.path, text, a.body)
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *Options) { o.Name = "backup" })
	for path, text := range map[string]string{
		"/":           "Things that still work",
		"/products/5": "Pocket compass",
		"/basket":     "Nothing in it yet",
		"/checkout":   "Nothing in it yet", // an empty basket leads back to it
		"/orders":     "€ 63.50",
		"/about":      "made up",
	} {
		a := s.get(path)
		a.want(t, 200, text, "served by <strong>backup</strong>")
		if got := a.header.Get(OriginHeader); got != "backup" {
			t.Errorf("%s: %s is %q, want backup", path, OriginHeader, got)
		}
		if strings.Contains(a.body, "<script") {
			t.Errorf("%s: the shop works without scripts", path)
		}
	}
	s.get("/healthz").want(t, 200, "ok\n")
	if n := strings.Count(s.get("/").body, "<svg"); n != 8 {
		t.Errorf("home shows %d pictures, want 8", n)
	}
	for _, path := range []string{"/nowhere", "/products/99", "/products/x", "/orders/none"} {
		a := s.get(path)
		a.want(t, 404, "no such page")
		if a.header.Get(OriginHeader) == "" {
			t.Errorf("%s: no %s on a 404", path, OriginHeader)
		}
	}
}

var keyField = regexp.MustCompile(`name="key" value="([^"]+)"`)

func TestBuying(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.post("/basket/add", url.Values{"product": {"1"}}).want(t, 200, "Enamel mug", "Basket (1)")
	s.post("/basket/add", url.Values{"product": {"5"}}).want(t, 200, "€ 50.50")
	s.post("/basket/set", url.Values{"product": {"5"}, "quantity": {"2"}}).want(t, 200, "€ 86.50", "Basket (3)")
	s.post("/basket/set", url.Values{"product": {"1"}, "quantity": {"0"}}).want(t, 200, "€ 72.00", "Basket (2)")

	page := s.get("/checkout")
	page.want(t, 200, "2 × Pocket compass")
	key := keyField.FindStringSubmatch(page.body)
	if key == nil {
		t.Fatal("the checkout form has no key")
	}
	order := url.Values{"key": {key[1]}, "name": {"Grace <b>"}, "email": {"no"}, "address": {"2 Quay Street"}}
	s.post("/checkout", order).want(t, 422, "e-mail address", `value="Grace &lt;b&gt;"`, key[1])
	order.Set("email", "grace@example.com")
	done := s.post("/checkout", order)
	done.want(t, 200, "Thank you, Grace &lt;b&gt;", "order number 2", "€ 72.00")
	if !strings.HasPrefix(done.path, "/orders/") {
		t.Errorf("the order is confirmed at %s, want a page that can be loaded again", done.path)
	}
	s.get("/basket").want(t, 200, "Nothing in it yet")

	// The same form sent twice is one order.
	s.post("/basket/set", url.Values{"product": {"5"}, "quantity": {"2"}})
	if again := s.post("/checkout", order); again.path != done.path {
		t.Errorf("the same form gave another order: %s, then %s", done.path, again.path)
	}
	list := s.get("/orders")
	list.want(t, 200, "€ 72.00")
	if strings.Contains(list.body, "Grace") || strings.Contains(list.body, strings.TrimPrefix(done.path, "/orders/")) {
		t.Error("the list of orders shows who ordered")
	}
}

func TestOrdersOutliveTheShop(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "shop.db")
	same := func(o *Options) { o.DataFile = file }
	first := start(t, same)
	first.postJSON("/api/orders", goodOrder).want(t, 201)
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	a := start(t, same)
	b := start(t, same) // two shops on one file, as main and backup may be
	a.postJSON("/api/orders", goodOrder).want(t, 201)
	b.postJSON("/api/orders", goodOrder).want(t, 201)
	for _, s := range []*open{a, b} {
		s.get("/api/orders").want(t, 200, `"number":4`, `"number":3`, `"number":2`, `"number":1`)
	}
}

const goodOrder = `{"name":"Ada","email":"ada@example.com","address":"1 Quay Street","lines":[{"product":2,"quantity":3}]}`

func TestAPI(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.get("/api/products").want(t, 200, `"name":"Storm lantern"`, `"cents":4900`)

	made := s.postJSON("/api/orders", goodOrder)
	made.want(t, 201, `"cents":14700`, `"quantity":3`)
	s.get(made.header.Get("Location")).want(t, 200, "Thank you, Ada")
	s.get("/api/orders").want(t, 200, `"cents":14700`)

	send := func(key string) answer {
		req := s.request("POST", "/api/orders", "application/json", goodOrder)
		req.Header.Set("Idempotency-Key", key)
		return s.do(req)
	}
	if x, y := send("once"), send("once"); x.header.Get("Location") != y.header.Get("Location") {
		t.Error("the same Idempotency-Key gave two orders")
	}

	line := `{"name":"A","email":"a@example.com","address":"x","lines":[%]}`
	with := func(lines string) string { return strings.Replace(line, "%", lines, 1) }
	for _, c := range []struct {
		name, media, body string
		status            int
	}{
		{"no JSON", "application/json", "{", 400},
		{"form", "application/x-www-form-urlencoded", "name=A", 415},
		{"huge", "application/json", `{"name":"` + strings.Repeat("a", maxBody) + `"}`, 413},
		{"no lines", "application/json", with(""), 422},
		{"unknown product", "application/json", with(`{"product":99,"quantity":1}`), 422},
		{"none of it", "application/json", with(`{"product":1,"quantity":0}`), 400},
		{"too many", "application/json", with(`{"product":1,"quantity":100}`), 400},
		{"twice the same", "application/json", with(`{"product":1,"quantity":1},{"product":1,"quantity":1}`), 400},
		{"no address", "application/json", strings.Replace(goodOrder, "1 Quay Street", " ", 1), 422},
	} {
		wantProblem(t, c.name, s.do(s.request("POST", "/api/orders", c.media, c.body)), c.status)
	}
	wantProblem(t, "unknown path", s.get("/api/prices"), 404)
	wrong := s.do(s.request("DELETE", "/api/orders", "", ""))
	wantProblem(t, "method", wrong, 405)
	if wrong.header.Get("Allow") == "" {
		t.Error("405 without Allow")
	}
	s.get("/api/orders").want(t, 200, `"number":3`)
	if strings.Contains(s.get("/api/orders").body, `"number":4`) {
		t.Error("a refused order was stored")
	}
}

func wantProblem(t *testing.T, name string, a answer, status int) {
	t.Helper()
	if a.status != status || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: %d %s, want %d and a problem document\n%s", name, a.status, a.header.Get("Content-Type"), status, a.body)
	}
}

// flagServer is an OFREP endpoint whose answer can be changed.
func flagServer(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) string {
	server := httptest.NewServer(http.HandlerFunc(answer))
	t.Cleanup(server.Close)
	return server.URL
}

func TestCheckoutFlag(t *testing.T) {
	t.Parallel()
	var on atomic.Bool
	var asked atomic.Value
	endpoint := flagServer(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.Method + " " + r.URL.Path)
		value := "false"
		if on.Load() {
			value = "true"
		}
		io.WriteString(w, `{"key":"checkout","reason":"STATIC","variant":"v","value":`+value+`}`)
	})
	s := start(t, func(o *Options) { o.OFREP = endpoint + "/" })
	s.post("/basket/add", url.Values{"product": {"1"}})

	closed := s.get("/checkout")
	closed.want(t, 503, "Checkout is closed for the moment", "Basket (1)")
	if closed.header.Get("Retry-After") == "" {
		t.Error("closed checkout without Retry-After")
	}
	fields := url.Values{"name": {"A"}, "email": {"a@example.com"}, "address": {"x"}}
	s.post("/checkout", fields).want(t, 503, "No order was placed")
	wantProblem(t, "API", s.postJSON("/api/orders", goodOrder), 503)
	s.get("/").want(t, 200)
	if got := asked.Load(); got != "POST /ofrep/v1/evaluate/flags/checkout" {
		t.Errorf("the shop asked %q", got)
	}

	on.Store(true)
	s.get("/checkout").want(t, 200, "Enamel mug")
	s.post("/checkout", fields).want(t, 200, "order number 2")
}

// The shop tells visitors apart, so that the checkout comes back for the same ones, and
// tells nothing of them.
func TestCheckoutKnowsAVisitorAgain(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	endpoint := flagServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked <- string(body)
		io.WriteString(w, `{"key":"checkout","value":true}`)
	})
	s := start(t, func(o *Options) { o.OFREP = endpoint })
	ask := func(cookie string) (context, given string) {
		req := s.request("GET", "/healthz/checkout", "", "")
		req.Header.Set("Accept", "text/html")
		if cookie != "" {
			req.Header.Set("Cookie", visitorCookie+"="+cookie)
		}
		a := s.do(req)
		given, _, _ = strings.Cut(strings.TrimPrefix(a.header.Get("Set-Cookie"), visitorCookie+"="), ";")
		return <-asked, given
	}
	first, given := ask("")
	if given == "" || first != `{"context":{"targetingKey":"`+given+`"}}` {
		t.Errorf("asked with %s, given %q", first, given)
	}
	if again, more := ask(given); again != first || more != "" {
		t.Errorf("the second time asked with %s, given %q", again, more)
	}
	if other, _ := ask(strings.Repeat("x", 5000)); len(other) > 100 || other == first {
		t.Errorf("with a long cookie asked with %d bytes", len(other))
	}
}

func TestCheckoutCodeDefault(t *testing.T) {
	t.Parallel()
	silent := make(chan struct{})
	for name, handler := range map[string]http.HandlerFunc{
		"no such flag": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404) },
		"broken":       func(w http.ResponseWriter, r *http.Request) { http.Error(w, `{"value":false}`, 500) },
		"no value":     func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"key":"checkout"}`) },
		"a text":       func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"value":"false"}`) },
		"no JSON":      func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `false!`) },
		"redirect":     func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"silent": func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			select {
			case <-silent:
			case <-r.Context().Done():
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, func(o *Options) { o.OFREP = flagServer(t, handler) })
			s.postJSON("/api/orders", goodOrder).want(t, 201)
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		s := start(t, func(o *Options) { o.OFREP = "http://127.0.0.1:1" })
		s.postJSON("/api/orders", goodOrder).want(t, 201)
	})
}

func TestFormFromAnotherSite(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	req := s.request("POST", "/basket/add", "application/x-www-form-urlencoded", "product=1")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	s.do(req).want(t, 403)
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "shop.db")
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		o     Options
		kind  fault.Kind
		place string
	}{
		{"no data file", Options{}, fault.Invalid, "data file"},
		{"data in no folder", Options{DataFile: filepath.Join(dir, "no", "shop.db")}, fault.Unavailable, "shop.db"},
		{"flag endpoint", Options{DataFile: file, OFREP: "localhost:1"}, fault.Invalid, "ofrep"},
		{"stock service", Options{DataFile: file, Stock: "localhost:1"}, fault.Invalid, "stock"},
		{"release", Options{DataFile: file, Release: "999"}, fault.Invalid, "release"},
		{"well", Options{DataFile: file, Well: 1}, fault.Invalid, "well"},
		{"log in no folder", Options{DataFile: file, Log: filepath.Join(dir, "no", "log")}, fault.Unavailable, "no/log"},
		{"port taken", Options{DataFile: file, Listen: taken.Addr().String()}, fault.Unavailable, taken.Addr().String()},
		{"socket is a file", Options{DataFile: file, Control: plain}, fault.Invalid, plain},
		{"socket in no folder", Options{DataFile: file, Control: filepath.Join(dir, "no", "s")}, fault.Unavailable, "no/s"},
		{"socket too long", Options{DataFile: file, Control: filepath.Join(dir, strings.Repeat("s", 200))}, fault.Invalid, "sss"},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err := Run(ctx, c.o)
		cancel()
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != c.kind || !strings.Contains(f.Place, c.place) || f.Hint == "" {
			t.Errorf("%s: %v, want kind %s at %s with a next step", c.name, err, c.kind, c.place)
		}
	}
	if _, err := os.Stat(plain); err != nil {
		t.Error("a file that is no socket was removed")
	}
}

func TestOldOrdersGo(t *testing.T) {
	t.Parallel()
	d, err := openData(t.Context(), filepath.Join(t.TempDir(), "shop.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.db.Exec("UPDATE sqlite_sequence SET seq = ? WHERE name = 'orders'", keptOrders); err != nil {
		t.Fatal(err)
	}
	w := wish{Name: "A", Email: "a@example.com", Address: "x", Lines: basket{{1, 1}}}
	if _, err := d.place(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	var orders, lines int
	if err := d.db.QueryRow("SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM order_lines)").Scan(&orders, &lines); err != nil {
		t.Fatal(err)
	}
	if orders != 1 || lines != 1 {
		t.Errorf("%d orders and %d lines are kept, want only the new one", orders, lines)
	}
}
