package answer

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/authdns"
	"lifeboat/internal/feature"
	"lifeboat/internal/feed"
	"lifeboat/internal/probe"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func testKey() ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("a key for tests of answer"))
	return ed25519.NewKeyFromSeed(seed[:])
}

func trusted() string { return snapshot.FormatKey(testKey().Public().(ed25519.PublicKey)) }

const apex = "shop.example.com."

// Where the shop can be.
const (
	mainIP, backupIP, standbyIP = "203.0.113.10", "203.0.113.20", "198.51.100.7"
)

func at(ips ...string) zone.Addresses {
	var a zone.Addresses
	for _, ip := range ips {
		a.IPs = append(a.IPs, netip.MustParseAddr(ip))
	}
	return a
}

func contents() snapshot.Contents {
	check := probe.Check{Name: "home", Kind: probe.KindHTTP, Every: 10 * time.Millisecond, Timeout: time.Second, DownAfter: 1, UpAfter: 1, Gate: true}
	standing := check
	standing.Name, standing.Status = "standing", 503
	return snapshot.Contents{
		Sites: []snapshot.Site{{
			ID: "shop", Title: "Example Shop", Names: []string{"shop.example.com"}, Scheme: "http", Port: 80,
			Home: "main", Places: []string{"main", "backup", snapshot.Standby}, Failover: "auto",
			Positions: zone.Positions{"main": at(mainIP, "2001:db8::10"), "backup": at(backupIP), snapshot.Standby: at(standbyIP)},
			Checks:    []probe.Check{check}, Standing: standing,
			Levers: []snapshot.Lever{
				{Name: "to-standby", Title: "Show the status page", Kind: "zone", Site: "shop", Position: snapshot.Standby},
				{Name: "to-backup", Title: "Use the backup", Kind: "zone", Site: "shop", Position: "backup"},
				{Name: "close-checkout", Title: "Close the checkout", Kind: "feature", Site: "shop", Feature: "checkout", Value: json.RawMessage("false")},
			},
		}},
		Zones:    []zone.Source{{Apex: apex, TTL: 60, NS: []string{"ns1.example.net."}, Text: "mail IN A 192.0.2.25\n", Follow: map[string]string{apex: "shop"}}},
		Features: []feature.Flag{{Key: "checkout", Value: json.RawMessage("true"), Off: json.RawMessage("false"), Says: "Card payments"}},
	}
}

// order is a snapshot to be published: the contents, and the shop at a position.
func order(t testing.TB, epoch, revision uint64, position string, change ...func(m *snapshot.Manifest, c *snapshot.Contents)) feed.Publish {
	t.Helper()
	c := contents()
	m := snapshot.Manifest{Format: snapshot.Format, Epoch: epoch, Revision: revision, At: time.Now().UTC(), Sites: map[string]snapshot.SiteOrder{"shop": {Position: position, Since: time.Now().UTC()}}, Serials: map[string]uint32{apex: uint32(100*epoch + revision)}}
	for _, f := range change {
		f(&m, &c)
	}
	parts, refs, err := c.Encode()
	must(t, err)
	if m.Parts == nil {
		m.Parts = refs
	}
	s, err := snapshot.Sign(m, testKey())
	must(t, err)
	return feed.Publish{Signed: s, Parts: parts}
}

// world is what the checks find, by place.
type world struct {
	mu   sync.Mutex
	down map[string]bool
}

func (w *world) set(place string, down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down == nil {
		w.down = map[string]bool{}
	}
	w.down[place] = down
}

func (w *world) ask(_ context.Context, t probe.Target, _ probe.Check) probe.Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := probe.Result{At: time.Now(), Verdict: probe.Pass}
	if w.down[t.Place] {
		r.Verdict = probe.Fail
	}
	return r
}

// clock is a clock that can be set.
type clock struct {
	mu   sync.Mutex
	skew time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.skew)
}

func (c *clock) ahead(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skew += d
}

// rig is an answer that runs on loopback.
type rig struct {
	*Answer
	t     testing.TB
	dir   string
	ns    string
	ofrep string
	page  string
	sock  string
	world *world
	clock *clock
	stop  func()
}

// folder makes a folder that trusts the test key.
func folder(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "answer")
	f, err := snapshot.OpenFolder(dir)
	must(t, err)
	must(t, f.Pin(testKey().Public().(ed25519.PublicKey)))
	must(t, f.Close())
	return dir
}

var ids struct {
	sync.Mutex
	n int
}

func newID() string {
	ids.Lock()
	defer ids.Unlock()
	ids.n++
	return fmt.Sprintf("%026d", ids.n)
}

// alone is a control that is dead.
func alone(context.Context) (net.Conn, error) { return nil, net.ErrClosed }

// options are those of an answer without sockets, for tests that don't run it.
func options(dir string) Options {
	return Options{Dir: dir, Dial: alone, Ask: new(world).ask, Now: time.Now, NewID: newID, PID: 42, Version: "test", Logger: slog.New(slog.DiscardHandler)}
}

// start runs an answer on a folder.
func start(t testing.TB, dir string, change ...func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t, dir: dir, world: &world{}, clock: &clock{}}
	udp, tcp, err := authdns.Listen("127.0.0.1:0", 1)
	must(t, err)
	page, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	flags, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	r.sock = filepath.Join(t.TempDir(), "answer.sock")
	orders, err := net.Listen("unix", r.sock)
	must(t, err)
	r.ns, r.page, r.ofrep = udp[0].LocalAddr().String(), page.Addr().String(), flags.Addr().String()
	o := options(dir)
	o.UDP, o.TCP, o.Standby, o.OFREP, o.Orders, o.Now, o.Ask = udp, []*net.TCPListener{tcp}, page, flags, orders, r.clock.now, r.world.ask
	o.Caller = func(net.Conn) string { return "uid 0" }
	for _, f := range change {
		f(&o)
	}
	r.Answer, err = New(o)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("run: %v", err)
			}
		})
	}
	t.Cleanup(r.stop)
	return r
}

// again stops the answer and starts another one on its folder.
func (r *rig) again() *rig {
	r.t.Helper()
	r.stop()
	return start(r.t, r.dir)
}

// addr is the shop's IPv4 address as DNS answers it, or the response code.
func (r *rig) addr() string {
	r.t.Helper()
	m, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(new(dns.Msg).SetQuestion(apex, dns.TypeA), r.ns)
	must(r.t, err)
	if m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 {
		return dns.RcodeToString[m.Rcode]
	}
	return m.Answer[0].(*dns.A).A.String()
}

// serial is the zone's serial as DNS answers it.
func (r *rig) serial() uint32 {
	r.t.Helper()
	m, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(new(dns.Msg).SetQuestion(apex, dns.TypeSOA), r.ns)
	must(r.t, err)
	return m.Answer[0].(*dns.SOA).Serial
}

// flag is the checkout's value as OFREP answers it.
func (r *rig) flag() string {
	r.t.Helper()
	resp, err := http.Post("http://"+r.ofrep+"/ofrep/v1/evaluate/flags/checkout", "application/json", strings.NewReader(`{"context":{}}`))
	must(r.t, err)
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	must(r.t, err)
	var a struct{ Value json.RawMessage }
	must(r.t, json.Unmarshal(b, &a))
	return string(a.Value)
}

// says sends one line to answer.sock and gives the reply.
func (r *rig) says(line string) Reply {
	r.t.Helper()
	c, err := net.Dial("unix", r.sock)
	must(r.t, err)
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, err = io.WriteString(c, line+"\n")
	must(r.t, err)
	b, err := bufio.NewReader(c).ReadBytes('\n')
	must(r.t, err)
	var rep Reply
	must(r.t, json.Unmarshal(b, &rep))
	return rep
}

func (r *rig) do(q Request) Reply {
	r.t.Helper()
	b, err := json.Marshal(q)
	must(r.t, err)
	return r.says(string(b))
}

// takes fails unless a snapshot is taken and kept.
func (r *rig) takes(p feed.Publish) {
	r.t.Helper()
	taken(r.t, r.take(p))
}

func taken(t testing.TB, ack feed.Ack) {
	t.Helper()
	if ack.Err != "" || ack.Kept != "" {
		t.Fatalf("not taken: %+v", ack)
	}
}

// eventually polls until ok or the time is up.
func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	for late := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			r.t.Fatalf("not in time: %s; %+v", what, r.standing())
		}
	}
}
