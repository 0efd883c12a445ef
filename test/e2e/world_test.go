package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/demo/shop"
	"lifeboat/test/door"
)

// tool finds a program of the system; daemons lie in sbin, which is often not in the
// PATH.
func tool(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Skipf("SKIP-LOUD: there is no %s here; install it with: make deps", name)
	return ""
}

const unboundConf = `
server:
  directory: "%[1]s"
  chroot: ""
  username: ""
  pidfile: "%[1]s/unbound.pid"
  use-syslog: no
  logfile: ""
  interface: %[2]s@%[3]d
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  do-ip6: no
  module-config: "iterator"
  num-threads: 1
  qname-minimisation: no
remote-control:
  control-enable: no
stub-zone:
  name: "shop.example.com."
  stub-addr: %[4]s@%[3]d
`

// resolver starts a real unbound that asks our name server, and gives its address.
func (b *Boat) resolver() string {
	t := b.t
	t.Helper()
	at := b.host(7)
	conf := filepath.Join(b.dir, "unbound.conf")
	b.Must(os.WriteFile(conf, fmt.Appendf(nil, unboundConf, b.dir, b.Addr(7), b.port, b.Addr(4)), 0o600))
	var said bytes.Buffer
	cmd := exec.Command(tool(t, "unbound"), "-d", "-c", conf)
	cmd.Stdout, cmd.Stderr = &said, &said
	b.Must(cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("unbound said:\n%s", said.String())
		}
	})
	b.Eventually("unbound resolves", func() bool {
		_, err := lookup(at, "shop.example.com.")
		return err == nil
	})
	return at
}

// dig asks with the real dig.
func (b *Boat) dig(server string, args ...string) string {
	b.t.Helper()
	args = append([]string{"@" + server, "-p", fmt.Sprint(b.port), "+tries=2", "+timeout=2"}, args...)
	said, err := exec.Command(tool(b.t, "dig"), args...).CombinedOutput()
	if err != nil {
		b.t.Fatalf("dig %s: %v: %s", strings.Join(args, " "), err, said)
	}
	return strings.TrimSpace(string(said))
}

// visitor is somebody who knows the site's name and a resolver, and nothing else.
func (b *Boat) visitor(resolver string) func() (status int, page string) {
	names := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", resolver)
	}}
	d := net.Dialer{Resolver: names, Timeout: 5 * time.Second}
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: d.DialContext}}
	return func() (int, string) {
		res, err := client.Get(fmt.Sprintf("http://shop.example.com:%d/", b.port))
		if err != nil {
			return 0, err.Error()
		}
		defer func() { _ = res.Body.Close() }()
		raw, err := io.ReadAll(res.Body)
		if err != nil {
			return 0, err.Error()
		}
		return res.StatusCode, string(raw)
	}
}

// shopSign is on every page of the sample shop and not on the standby's.
const shopSign = "Harbour Goods"

// openShop runs the real sample shop at the home origin.
func (b *Boat) openShop() (shut func()) {
	b.t.Helper()
	l := door.Open(b.t, b.host(1))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { // ends with ctx
		ended <- shop.Run(ctx, shop.Options{Listener: l, DataFile: filepath.Join(b.dir, "shop.db"), Name: home, OFREP: "http://" + b.Flags(), Logger: slog.New(slog.DiscardHandler)})
	}()
	shut = sync.OnceFunc(func() { cancel(); b.Must(<-ended) })
	b.t.Cleanup(shut)
	return shut
}

// TestTheWorld: a real shop, a real resolver, dig, and a visitor who knows only the
// name: the shop, then the standby, then the shop.
func TestTheWorld(t *testing.T) {
	t.Parallel()
	tool(t, "unbound")
	tool(t, "dig")
	b := Moor(t, Options{})
	b.Configure(strings.ReplaceAll(b.sample(), "Add to cart", shopSign))
	b.main.Down()
	shut := b.openShop()
	b.Serve()
	b.Eventually("the shop is seen up", func() bool { return b.seen(b.Site(), home) == "up" })
	for _, lever := range []string{"to-standby", "close-checkout"} {
		b.Must(b.Post("/levers/"+lever+"/drill", nil, nil))
	}
	resolver := b.resolver()
	visit := b.visitor(resolver)
	b.Load()

	if status, page := visit(); status != 200 || !strings.Contains(page, shopSign) {
		t.Fatalf("the visitor does not meet the shop: %d %s", status, page)
	}
	if got := b.dig(b.Addr(7), "+short", "www.shop.example.com", "A"); got != b.address(home) {
		t.Errorf("dig through unbound says %q", got)
	}
	if got := b.dig(b.Addr(4), "+norecurse", "shop.example.com", "SOA"); !strings.Contains(got, "status: NOERROR") || !strings.Contains(got, "flags: qr aa;") {
		t.Errorf("dig does not see an authoritative answer:\n%s", got)
	}
	if got := b.dig(b.Addr(4), "+norecurse", "+tcp", "+short", "shop.example.com", "A"); got != b.address(home) {
		t.Errorf("dig over TCP says %q", got)
	}

	shut()
	b.Eventually("the shop is seen down and its lever proposed", func() bool {
		in := b.Site().Incident
		return in != nil && in.Proposed == "to-standby"
	})
	b.Pull("to-standby")
	pressed := time.Now()
	b.Eventually("the visitor meets the standby", func() bool {
		status, page := visit()
		return status == 503 && strings.Contains(page, "Example Shop")
	})
	t.Logf("the visitor met the standby %s after the press (TTL 1 s)", time.Since(pressed).Round(time.Millisecond))
	if got := b.dig(b.Addr(7), "+short", "shop.example.com", "A"); got != b.address(standby) {
		t.Errorf("dig through unbound says %q", got)
	}

	b.openShop()
	b.Moving(home)
	b.Must(b.Post("/sites/shop/go-back", map[string]string{"because": "The power is back."}, nil))
	b.AwaitPhase("watch", "review")
	b.Moved(home)
	b.Eventually("the visitor meets the shop again", func() bool {
		status, page := visit()
		return status == 200 && strings.Contains(page, shopSign)
	})
	b.Settle()
}
