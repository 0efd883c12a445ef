package answer

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/feed"
	"lifeboat/internal/feed/publish"
	"lifeboat/internal/obs"
	"lifeboat/internal/snapshot"
)

// A pull at answer, with control dead: in force at once, and after a restart.
func TestPullAtAnswer(t *testing.T) {
	t.Parallel()
	r := start(t, folder(t))
	r.takes(order(t, 1, 1, "main"))
	rep := r.do(Request{Do: "pull", Lever: "to-standby"})
	if got := r.addr(); !rep.OK || !rep.Ready || got != standbyIP || rep.Status.Positions["shop"] != snapshot.Standby {
		t.Fatalf("%s, %+v", got, rep)
	}
	if o := rep.Status.Orders; len(o) != 1 || o[0].By != "uid 0" || o[0].Lever != "to-standby" || o[0].ID == "" || o[0].At.IsZero() || o[0].Reason == "" {
		t.Errorf("the order: %+v", o)
	}
	if serial := r.serial(); serial != 102 || rep.Status.Serials[apex] != 102 {
		t.Errorf("serial %d", serial)
	}
	if rep := r.do(Request{Do: "pull", Lever: "close-checkout"}); !rep.OK || r.flag() != "false" {
		t.Errorf("the checkout is %s, %+v", r.flag(), rep)
	}
	if got := reports(r); len(got) != 2 || got[0].Order.Lever != "to-standby" || got[1].Order.Feature != "checkout" {
		t.Errorf("control is to be told %+v", got)
	}
	if serial := r.serial(); serial != 102 {
		t.Errorf("a feature's lever took the zone's serial to %d", serial)
	}
	r = r.again()
	if got := r.addr(); got != standbyIP || r.flag() != "false" || r.serial() != 102 || len(r.hello().Orders) != 2 {
		t.Errorf("after a restart: %s, checkout %s, serial %d", got, r.flag(), r.serial())
	}
}

// reports are those that wait for control, but for what the checks saw.
func reports(r *rig) (out []feed.Report) {
	for _, rep := range r.ring.After(0, feed.RingSize) {
		if rep.Transition == nil {
			out = append(out, rep)
		}
	}
	return out
}

func TestPullRefused(t *testing.T) {
	t.Parallel()
	r := start(t, folder(t))
	if rep := r.do(Request{Do: "pull", Lever: "to-standby"}); rep.OK || rep.Kind != fault.Unavailable || rep.Ready {
		t.Errorf("without a snapshot: %+v", rep)
	}
	r.takes(order(t, 1, 1, snapshot.Standby))
	for _, c := range []struct {
		lever string
		want  fault.Kind
		says  string
	}{
		{"to-backup", fault.Refused, "rule U1"},
		{"to-standby", fault.Conflict, "already"},
		{"moon", fault.NotFound, "lifeboat answer status"},
		{"", fault.NotFound, "no lever"},
	} {
		rep := r.do(Request{Do: "pull", Lever: c.lever})
		if rep.OK || rep.Kind != c.want || !strings.Contains(rep.Err, c.says) {
			t.Errorf("%q: %+v", c.lever, rep)
		}
	}
	if got := r.addr(); got != standbyIP || len(r.hello().Orders) != 0 || len(reports(r)) != 0 {
		t.Errorf("something changed: %s", got)
	}
	if rep := r.do(Request{Do: "pull", Lever: "close-checkout"}); !rep.OK {
		t.Fatalf("%+v", rep)
	}
	if rep := r.do(Request{Do: "pull", Lever: "close-checkout"}); rep.Kind != fault.Conflict {
		t.Errorf("the same again: %+v", rep)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	r := start(t, folder(t))
	r.takes(order(t, 3, 7, "backup"))
	r.eventually("seen up", func() bool { return r.standing().Seen["shop standby"] == "up" })
	rep := r.do(Request{Do: "status"})
	s := rep.Status
	if !rep.OK || !rep.Ready || rep.PID != 42 || s.Epoch != 3 || s.Revision != 7 || s.Positions["shop"] != "backup" || len(s.Levers) != 3 || s.Problem != "" {
		t.Errorf("%+v %+v", rep, s)
	}
	r.addr()
	if n := r.do(Request{Do: "status"}).Status.Counters["dns_queries"]; n == 0 {
		t.Error("queries are not counted")
	}
}

func TestOddRequests(t *testing.T) {
	t.Parallel()
	r := start(t, folder(t))
	for line, want := range map[string]fault.Kind{
		`{"do":"fly"}`: fault.Invalid, `{}`: fault.Invalid, `{`: fault.Invalid, `hello`: fault.Invalid, ``: fault.Invalid, `[]`: fault.Invalid,
		`{"do":"sockets"}`: fault.NotSupported, `{"do":"trust"}`: fault.Invalid, `{"do":"trust","key":"x"}`: fault.Invalid,
		`{"do":"status","later":{"field":1}}`: "",
	} {
		if rep := r.says(line); rep.Kind != want || rep.OK != (want == "") {
			t.Errorf("%s: %+v", line, rep)
		}
	}
	c, err := net.Dial("unix", r.sock) // says too much, and then one that says nothing
	must(t, err)
	_, _ = c.Write([]byte(strings.Repeat("x", 2*maxRequest)))
	if b, _ := io.ReadAll(c); len(b) != 0 {
		t.Errorf("too long a line is answered with %q", b)
	}
	mute, err := net.Dial("unix", r.sock)
	must(t, err)
	if rep := r.do(Request{Do: "status"}); !rep.OK {
		t.Errorf("beside a caller that says nothing: %+v", rep)
	}
	_ = mute.Close()
}

// Without a key nothing is believed, and the command that helps is named. A key
// that comes later brings back what was kept.
func TestTrust(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "answer")
	r := start(t, dir)
	rep := r.do(Request{Do: "status"})
	if rep.Ready || !strings.Contains(rep.Status.Problem, "lifeboat answer trust KEY") {
		t.Fatalf("without a key: %+v %+v", rep, rep.Status)
	}
	if ack := r.take(order(t, 1, 1, "main")); ack.Kind != fault.Denied || r.addr() != "SERVFAIL" {
		t.Fatalf("taken without a key: %+v", ack)
	}
	if rep := r.do(Request{Do: "trust", Key: trusted()}); !rep.OK || rep.Ready {
		t.Fatalf("%+v", rep)
	}
	r.takes(order(t, 1, 1, "main"))
	if rep := r.do(Request{Do: "pull", Lever: "to-standby"}); !rep.OK {
		t.Fatalf("%+v", rep)
	}
	r.stop()
	must(t, os.Remove(filepath.Join(dir, "trusted.key")))
	r = start(t, dir)
	if r.Ready() || r.addr() != "SERVFAIL" {
		t.Fatal("ready without a key")
	}
	if rep := r.do(Request{Do: "trust", Key: trusted()}); !rep.OK || !rep.Ready || r.addr() != standbyIP || len(rep.Status.Orders) != 1 {
		t.Fatalf("the kept snapshot waits: %s, %+v %+v", r.addr(), rep, rep.Status)
	}
	if r = r.again(); r.addr() != standbyIP {
		t.Errorf("after a restart: %s", r.addr())
	}
	other := "lifeboat-key-1:" + strings.Repeat("A", 43)
	if rep := r.do(Request{Do: "trust", Key: other}); !rep.OK || r.addr() != standbyIP {
		t.Errorf("another key ends what is in force: %+v, %s", rep, r.addr())
	}
	if ack := r.take(order(t, 1, 9, "main")); ack.Kind != fault.Denied {
		t.Errorf("the key before is still believed: %+v", ack)
	}
}

func TestAdopt(t *testing.T) {
	t.Parallel()
	r := start(t, folder(t))
	r.takes(order(t, 4, 1, snapshot.Standby))
	ack := r.take(order(t, 5, 1, "main"))
	if ack.Kind != fault.Refused || !strings.Contains(ack.Err, "lifeboat answer adopt 5") || r.addr() != standbyIP {
		t.Fatalf("%+v", ack)
	}
	for _, old := range []uint64{0, 3, 4} {
		if rep := r.do(Request{Do: "adopt", Epoch: old}); rep.OK || rep.Kind != fault.Conflict {
			t.Errorf("epoch %d: %+v", old, rep)
		}
	}
	if rep := r.do(Request{Do: "adopt", Epoch: 5}); !rep.OK {
		t.Fatalf("%+v", rep)
	}
	if r = r.again(); r.addr() != standbyIP {
		t.Fatalf("adopting alone moves nothing: %s", r.addr())
	}
	if ack := r.take(order(t, 6, 1, "main")); ack.Kind != fault.Refused {
		t.Errorf("another epoch than the adopted one: %+v", ack)
	}
	r.takes(order(t, 5, 2, "main"))
	if got := r.addr(); got != mainIP {
		t.Errorf("answers %s", got)
	}
}

// Callers that may not speak are not heard.
func TestAdmission(t *testing.T) {
	t.Parallel()
	var closed atomic.Bool
	r := start(t, folder(t), func(o *Options) {
		o.Admit = func(net.Conn) error {
			if closed.Load() {
				return errors.New("uid 1000 may not")
			}
			return nil
		}
	})
	r.takes(order(t, 1, 1, "main"))
	closed.Store(true)
	c, err := net.Dial("unix", r.sock)
	must(t, err)
	_, _ = c.Write([]byte(`{"do":"pull","lever":"to-standby"}` + "\n"))
	if b, _ := io.ReadAll(c); len(b) != 0 || r.addr() != mainIP {
		t.Errorf("heard: %q, %s", b, r.addr())
	}
	closed.Store(false)
	if rep := r.do(Request{Do: "status"}); !rep.OK {
		t.Errorf("%+v", rep)
	}
}

// poor fails to accept now and then, as a machine without free files does.
type poor struct {
	net.Listener
	fails atomic.Int32
}

func (p *poor) Accept() (net.Conn, error) {
	if p.fails.Add(-1) >= 0 {
		return nil, errors.New("too many open files")
	}
	return p.Listener.Accept()
}

func TestAcceptFailsForAWhile(t *testing.T) {
	t.Parallel()
	r := start(t, folder(t), func(o *Options) {
		p := &poor{Listener: o.Orders}
		p.fails.Store(3)
		o.Orders = p
	})
	if rep := r.do(Request{Do: "status"}); rep.Status == nil {
		t.Errorf("%+v", rep)
	}
}

// stuck is a terminal that takes nothing until it is let go.
type stuck struct{ free chan struct{} }

func (s stuck) Write(p []byte) (int, error) { <-s.free; return len(p), nil }

// A log that nobody reads holds up nothing.
func TestHungLogReader(t *testing.T) {
	t.Parallel()
	reader := stuck{make(chan struct{})}
	defer close(reader.free)
	log := obs.Logger(reader, "answer")
	r := start(t, folder(t), func(o *Options) { o.Logger = log })
	r.takes(order(t, 1, 1, "main"))
	for range 2000 { // each is a line that is not read
		if ack := r.take(feed.Publish{}); ack.Err == "" {
			t.Fatal("nothing was taken for a snapshot")
		}
	}
	if rep := r.do(Request{Do: "pull", Lever: "to-standby"}); !rep.OK || r.addr() != standbyIP {
		t.Errorf("%+v, %s", rep, r.addr())
	}
	r.takes(order(t, 1, 2, "main"))
	r.stop()
}

// A control that comes and goes over a real socket: what is published is served,
// what was pulled meanwhile is told.
func TestFollowsControl(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "feed.sock")
	r := start(t, folder(t), func(o *Options) {
		o.Dial = func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}
	})
	c := &control{greeted: make(chan feed.Hello, 4), orders: make(chan snapshot.Order, 4)}
	s, stop := c.serve(t, path)
	if h := <-c.greeted; h.Epoch != 0 || len(h.Parts) != 0 {
		t.Errorf("%+v", h)
	}
	p := order(t, 1, 1, "main")
	m, err := snapshot.Decode(p.Signed.Manifest)
	must(t, err)
	ack, err := s.Publish(t.Context(), m, p.Signed, p.Parts)
	if err != nil || ack.Serials[apex] != 101 || r.addr() != mainIP {
		t.Fatalf("%+v, %v, %s", ack, err, r.addr())
	}
	stop()
	if rep := r.do(Request{Do: "pull", Lever: "to-standby"}); !rep.OK {
		t.Fatalf("%+v", rep)
	}
	_, stop = c.serve(t, path)
	defer stop()
	h := <-c.greeted
	if h.Positions["shop"] != snapshot.Standby || len(h.Orders) != 1 || h.Orders[0].Lever != "to-standby" || h.Revision != 1 || len(h.Parts) != 3 {
		t.Errorf("%+v", h)
	}
	if o := <-c.orders; o.ID != h.Orders[0].ID || o.By != "uid 0" {
		t.Errorf("told of %+v", o)
	}
}

// control is a Handler that passes on what it hears.
type control struct {
	greeted chan feed.Hello
	orders  chan snapshot.Order
}

func (c *control) Arriving() {}

func (c *control) Connected(_ context.Context, h feed.Hello) error { c.greeted <- h; return nil }

func (c *control) Reports(_ context.Context, reports []feed.Report) {
	for _, r := range reports {
		if r.Order != nil {
			c.orders <- *r.Order
		}
	}
}

func (c *control) serve(t *testing.T, path string) (*publish.Server, func()) {
	t.Helper()
	ln, err := net.Listen("unix", path)
	must(t, err)
	s := publish.New(publish.Options{Logger: slog.New(slog.DiscardHandler), Now: time.Now, Handler: c})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(ctx, ln) }()
	var once sync.Once
	stop := func() { once.Do(func() { cancel(); <-done }) }
	t.Cleanup(stop)
	return s, stop
}
