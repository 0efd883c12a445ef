package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"lifeboat/test/door"
)

// Origin is a place where the site runs: a web server that can be taken down.
type Origin struct {
	t    *testing.T
	name string
	addr string
	port int

	mu     sync.Mutex
	server *http.Server // nil while it is down
	https  *tls.Config  // nil: plain HTTP
	door   net.Listener
}

func openOrigin(t *testing.T, name, addr string) *Origin {
	t.Helper()
	o := &Origin{t: t, name: name, addr: addr}
	o.Up()
	t.Cleanup(o.Down)
	return o
}

// Up lets it run again.
func (o *Origin) Up() {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.server != nil {
		return
	}
	l, err := net.Listen("tcp", o.addr)
	if err != nil {
		o.t.Fatalf("open origin: %v", err)
	}
	o.addr, o.port = l.Addr().String(), l.Addr().(*net.TCPAddr).Port
	o.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			_, _ = fmt.Fprintf(w, "# TYPE pool_in_use gauge\npool_in_use{place=%q} 20\n", o.name)
			return
		}
		_, _ = fmt.Fprintf(w, "Add to cart: this is %s", o.name)
	})}
	o.door = l
	if o.https != nil {
		l = tls.NewListener(l, o.https)
	}
	go func(s *http.Server) { _ = s.Serve(l) }(o.server) // ends with Down
}

// Down takes it down: nobody listens any more, and the address can be had again.
func (o *Origin) Down() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.server != nil {
		door.LetGo(o.t, o.door) // the server may not have come to it yet
		_ = o.server.Close()
		o.server = nil
	}
}

// fetch gets a page from an address, as a browser that asked DNS would.
func fetch(addr, host, path string) (status int, body string, err error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return 0, "", err
	}
	req.Host = host
	res, err := plain.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	return res.StatusCode, string(raw), err
}
