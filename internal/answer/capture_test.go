package answer

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/capture"
	"lifeboat/internal/feed"
	"lifeboat/internal/feed/publish"
)

// asking is a control that asks for evidence as soon as answer has come.
type asking struct {
	mu    sync.Mutex // guards items
	items []capture.Item
	done  chan capture.Done
}

func (a *asking) Arriving()                                   {}
func (a *asking) Connected(context.Context, feed.Hello) error { return nil }
func (a *asking) Reports(context.Context, []feed.Report)      {}

func (a *asking) Captured(_ context.Context, it capture.Item) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.items = append(a.items, it)
}

func (a *asking) CaptureDone(_ context.Context, d capture.Done) { a.done <- d }

// Control asks, answer looks at the site and at its own name server, control has the
// evidence; and answer answers meanwhile.
func TestCapture(t *testing.T) {
	t.Parallel()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, "it broke at "+r.Host)
	}))
	t.Cleanup(site.Close)
	sock := filepath.Join(t.TempDir(), "feed.sock")
	ln, err := net.Listen("unix", sock)
	must(t, err)
	c := &asking{done: make(chan capture.Done, 1)}
	s := publish.New(publish.Options{Logger: slog.New(slog.DiscardHandler), Now: time.Now, Handler: c})
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	t.Cleanup(func() { cancel(); must(t, <-served) })
	r := start(t, folder(t), func(o *Options) {
		o.Dial = func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", sock)
		}
	})
	r.takes(order(t, 1, 1, "main"))
	r.eventually("connected", func() bool { _, _, connected := s.Status(); return connected })
	at := netip.MustParseAddrPort(site.Listener.Addr().String())
	must(t, s.Capture(t.Context(), capture.Job{
		ID: "J1", Incident: "I1", Site: "shop", Names: []string{"shop.example.com"}, Scheme: "http", Port: int(at.Port()), Paths: []string{"/"},
		Places: []capture.Place{{Name: "main", Addresses: []netip.Addr{at.Addr()}}}, Nameservers: []capture.Server{{Name: "ns1", Address: netip.MustParseAddrPort(r.ns)}},
	}))
	var d capture.Done
	select {
	case d = <-c.done:
	case <-time.After(60 * time.Second):
		t.Fatal("not in time")
	}
	if r.addr() != mainIP {
		t.Errorf("it answers %s", r.addr())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.Problem != "" || d.Items != 3 || d.Lost != 0 || len(c.items) != 3 {
		t.Fatalf("%+v, %d items", d, len(c.items))
	}
	said := map[string]string{}
	for _, it := range c.items {
		said[it.Kind] += it.Summary + string(it.Body)
	}
	for kind, want := range map[string]string{capture.KindDNS: "shop.example.com is 203.0.113.10, 2001:db8::10 for ", capture.KindHTTP: "it broke at shop.example.com:"} {
		if !strings.Contains(said[kind], want) {
			t.Errorf("no %q in %s", want, said[kind])
		}
	}
}
