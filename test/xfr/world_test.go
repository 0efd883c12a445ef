package xfr

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	wire "github.com/miekg/dns"
	"go.uber.org/goleak"

	"lifeboat/internal/authdns"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/xfr"
	"lifeboat/internal/zone"
	"lifeboat/test/door"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	apex    = "shop.example.com."
	www     = "www." + apex
	keyName = "transfer.example."
	limit   = 30 * time.Second // for anything that a peer does
)

var secret = base64.StdEncoding.EncodeToString([]byte("a secret for tests of transfers!"))

func key() snapshot.TSIGKey {
	return snapshot.TSIGKey{Name: keyName, Algorithm: "hmac-sha256", Secret: []byte("a secret for tests of transfers!")}
}

// boat is our name server with one zone whose names follow a site.
type boat struct {
	t      *testing.T
	dns    *authdns.Server
	xfr    *xfr.Server
	in     *xfr.Secondary
	addr   netip.AddrPort
	table  *authdns.Table
	zones  []*zone.Zone
	sites  map[string]zone.Positions
	said   console
	mu     sync.Mutex // guards serial
	serial uint32
}

type console struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.Write(b)
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.String()
}

// launch starts our server, which has the zone unless it is to come in.
func launch(t *testing.T, own bool) *boat {
	t.Helper()
	b := &boat{t: t, serial: 100}
	b.sites = map[string]zone.Positions{"shop": {
		"main":    {IPs: []netip.Addr{netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("2001:db8::10")}},
		"standby": {IPs: []netip.Addr{netip.MustParseAddr("198.51.100.7")}},
	}}
	log := slog.New(slog.NewTextHandler(&b.said, nil))
	b.in = xfr.NewSecondary(xfr.SecondaryOptions{Dir: filepath.Join(t.TempDir(), "copies"), Logger: log, Least: 50 * time.Millisecond, Take: b.take})
	b.xfr = xfr.New(xfr.Options{Logger: log, Notified: b.in.Notified})
	b.dns = authdns.New(authdns.Options{Peers: b.xfr, Logger: log})
	if own {
		z, err := zone.Parse(zone.Source{
			Apex: apex, TTL: 60, NS: []string{"ns1.example.net."}, Follow: map[string]string{apex: "shop", www: "shop"},
			Text: zoneBody,
		})
		must(t, err)
		b.zones = []*zone.Zone{z}
		b.compile()
		b.flip("main")
	}
	udp, tcp, err := authdns.Listen("127.0.0.1:0", 1)
	must(t, err)
	b.addr = netip.MustParseAddrPort(tcp.Addr().String())
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { // ended by stop, as all here
		if err := b.dns.Serve(ctx, udp, []*net.TCPListener{tcp}); err != nil {
			t.Error(err)
		}
	})
	all.Go(func() { b.xfr.Run(ctx) })
	all.Go(func() { b.in.Run(ctx) })
	t.Cleanup(func() {
		stop()
		all.Wait()
		udp[0].Close()
		tcp.Close()
		if n := b.dns.Counts().Panics; n > 0 {
			t.Errorf("%d panics", n)
		}
		if t.Failed() {
			t.Logf("ours said:\n%s", b.said.String())
		}
	})
	return b
}

// zoneBody has one of each thing that a transfer may trip over.
var zoneBody = "mail 300 IN A 192.0.2.25\n@ 300 IN MX 10 mail\n* 300 IN TXT \"any\"\nsub 300 IN NS ns.sub\nns.sub 300 IN A 192.0.2.53\n" +
	"old 300 IN DNAME new.example.net.\nodd 300 IN TYPE65280 \\# 3 010203\nsvc 300 IN HTTPS 1 . alpn=h2\n_sip._tcp 300 IN SRV 1 2 5060 mail\n" +
	"long 300 IN TXT \"" + strings.Repeat("x", 255) + "\" \"" + strings.Repeat("y", 255) + "\"\n" + strings.Repeat("\n", 3) + many()

func many() string {
	var b strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&b, "h%d 300 IN A 192.0.2.%d\n", i, i%250+1)
	}
	return b.String()
}

func (b *boat) compile() {
	b.t.Helper()
	var err error
	b.table, err = authdns.Compile(b.zones, b.sites)
	must(b.t, err)
}

// flip moves the site, under the next serial.
func (b *boat) flip(position string) time.Time {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.serial++
	o := authdns.Orders{Position: map[string]string{"shop": position}, Serial: map[string]uint32{apex: b.serial}}
	view, err := b.table.View(o)
	must(b.t, err)
	began := time.Now()
	b.xfr.Set(xfr.Zones{Zones: b.zones, Positions: b.sites, Orders: o})
	b.dns.Set(view)
	b.xfr.Tell()
	return began
}

// take puts what came in in force.
func (b *boat) take(c xfr.Change) error {
	var prepared []*authdns.Prepared
	for _, h := range c.Zones() {
		ready, err := authdns.Prepare(h.Zone)
		if h.Signed != nil {
			ready, err = authdns.PrepareForeign(h.Zone, h.Signed)
		}
		if err != nil {
			return err
		}
		prepared = append(prepared, ready)
	}
	table, err := authdns.Assemble(prepared, nil)
	if err != nil {
		return err
	}
	view, err := table.View(authdns.Orders{})
	if err != nil {
		return err
	}
	b.dns.Set(view)
	c.Commit()
	return nil
}

// gives lets secondaries have the zone.
func (b *boat) gives(to ...snapshot.Peer) {
	b.xfr.Configure(snapshot.Transfers{Keys: []snapshot.TSIGKey{key()}, Out: []snapshot.Exchange{{Zone: apex, Peers: to}}})
	b.xfr.Tell()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// peer is somebody else's name server while it runs.
type peer struct {
	name string
	addr netip.AddrPort
	dir  string
	pid  int
	said *console
}

// tool finds a command; daemons lie in sbin, which is not always in a user's PATH.
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

// freePort finds a port of loopback that neither UDP nor TCP has taken.
func freePort(t *testing.T) int {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		port := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port))
		door.LetGo(t, l)
		if err == nil {
			u.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// start runs a peer until the test ends.
func start(t *testing.T, k kind, conf setting) *peer {
	t.Helper()
	conf.dir, conf.port = t.TempDir(), freePort(t)
	command := tool(t, k.command)
	copied := filepath.Join(conf.dir, filepath.Base(command)) // AppArmor knows a server by its path
	if said, err := exec.Command("cp", command, copied).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, said)
	}
	files, args := k.configure(conf)
	if conf.text != "" {
		files[zoneFile] = conf.text
	}
	for name, text := range files {
		must(t, os.WriteFile(filepath.Join(conf.dir, name), []byte(text), 0o600))
	}
	if k.prepare != nil {
		k.prepare(t, conf)
	}
	p := &peer{name: k.name, addr: netip.MustParseAddrPort(fmt.Sprintf("127.0.0.1:%d", conf.port)), dir: conf.dir, said: &console{}}
	if conf.known != nil {
		conf.known(p.addr)
	}
	cmd := exec.Command(copied, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = conf.dir, p.said, p.said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // NSD has children
	must(t, cmd.Start())
	p.pid = cmd.Process.Pid
	ended := make(chan struct{})
	go func() { // ends with the process, which the cleanup stops
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-p.pid, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
		}
		_ = syscall.Kill(-p.pid, syscall.SIGKILL) // whatever is left of it
		<-ended
		if t.Failed() {
			t.Logf("%s said:\n%s", p.name, p.said.String())
		}
	})
	return p
}

// asked is what a server answers to A of the name that follows, "" for nothing.
func asked(addr netip.AddrPort, name string) (addresses string, serial uint32) {
	c := wire.Client{Timeout: 500 * time.Millisecond}
	q := new(wire.Msg).SetQuestion(name, wire.TypeA)
	if m, _, err := c.Exchange(q, addr.String()); err == nil {
		for _, rr := range m.Answer {
			if a, is := rr.(*wire.A); is {
				addresses += a.A.String()
			}
		}
	}
	if m, _, err := c.Exchange(new(wire.Msg).SetQuestion(apex, wire.TypeSOA), addr.String()); err == nil {
		for _, rr := range m.Answer {
			if soa, is := rr.(*wire.SOA); is {
				serial = soa.Serial
			}
		}
	}
	return addresses, serial
}

// waitFor polls a server until a name has an address.
func waitFor(t *testing.T, who string, addr netip.AddrPort, name, want string) time.Duration {
	t.Helper()
	began := time.Now()
	var got string
	for time.Since(began) < limit {
		if got, _ = asked(addr, name); got == want {
			return time.Since(began)
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%s answers %q for %s, not %s, after %s", who, got, name, want, limit)
	return 0
}
