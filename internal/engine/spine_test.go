package engine_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"lifeboat/internal/answer"
	"lifeboat/internal/authdns"
	"lifeboat/internal/config"
	"lifeboat/internal/engine"
	"lifeboat/internal/feed/publish"
	"lifeboat/internal/incident"
	"lifeboat/internal/lever"
	"lifeboat/internal/lever/featurelever"
	"lifeboat/internal/lever/zonelever"
	"lifeboat/internal/probe"
	"lifeboat/internal/prober"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/store"
	"lifeboat/internal/store/mem"
)

// boat is a whole lifeboat in one process: a real answer on loopback sockets, and a
// control that can be stopped, started and given another store.
type boat struct {
	t       *testing.T
	dir     string
	text    string // of the configuration
	cfg     *config.Config
	key     ed25519.PrivateKey
	udp     []*net.UDPConn
	tcp     *net.TCPListener
	dns     netip.AddrPort
	ofrep   string
	feedAt  string
	answer  *answer.Answer
	stopA   func()
	store   store.Store
	eng     *engine.Engine
	stopC   func()
	origin  *httptest.Server
	up      *sync.Map // "up" → bool
	logs    *slog.Logger
	clockMu sync.Mutex
	skew    time.Duration
	wrap    func(lever.Driver) lever.Driver // of the zone driver; nil: none
	hook    func(point string)
	looks   atomic.Int64 // of a driver that a test has wrapped
	with    engine.Company
	signing engine.Signing
	idle    bool   // control does not begin what it does beside
	run     func() // begins that
	more    map[string]lever.Driver
}

func (b *boat) now() time.Time {
	b.clockMu.Lock()
	defer b.clockMu.Unlock()
	return time.Now().Add(b.skew)
}

func newID() string { return ulid.Make().String() }

const sample = `
nameservers: {ns1.example.net.: %s}
sites:
  shop:
    title: Example Shop
    names: [shop.example.com]
    scheme: http
    port: %d
    origins:
      main: {address: 127.0.0.1}
      backup: {address: 127.0.0.9}
    standby: {addresses: [127.0.0.8]}
    checks:
      home: {http: {path: /}, every: 100ms, timeout: 2s, down_after: 2, up_after: 2}
    sanity: {passes: 1, apart: 100ms}
    fixes: {approval: 300ms, pause: 100ms, apart: 1s, passes: 2}
    watch: 1s
    take_back: 1m
    failover: %s
    silence: 1s
zones:
  shop.example.com:
    ttl: 60s
    ns: [ns1.example.net.]
    follow: {"@": shop}
    records: |
      www IN CNAME shop.example.com.
levers:
  to-standby: {title: Show visitors the status page, zone: {site: shop, to: standby}}
  to-backup: {title: Use the backup, zone: {site: shop, to: backup}}
  close-checkout: {title: Close the checkout, feature: {key: checkout, value: false}}
features:
  checkout: {value: true, off: false, says: Card payments}
`

func launch(t *testing.T, failover string) *boat { return launchWith(t, failover, "", nil) }

// launchWith adds levers, as lines of the configuration, and their drivers.
func launchWith(t *testing.T, failover, levers string, more map[string]lever.Driver) *boat {
	t.Helper()
	b := &boat{more: more, t: t, dir: folder(t), up: &sync.Map{}, logs: slog.New(slog.DiscardHandler), store: mem.New(mem.Options{})}
	b.origin = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down, _ := b.up.Load("down"); down == true {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(b.origin.Close)
	port := b.origin.Listener.Addr().(*net.TCPAddr).Port
	var err error
	b.udp, b.tcp, err = authdns.Listen("127.0.0.1:0", 1)
	must(t, err)
	b.dns, b.ofrep, b.feedAt = b.udp[0].LocalAddr().(*net.UDPAddr).AddrPort(), "127.0.0.1:0", filepath.Join(b.dir, "feed.sock")
	b.text = strings.Replace(fmt.Sprintf(sample, b.dns, port, failover), "\nlevers:\n", "\nlevers:\n"+levers, 1)
	b.cfg, err = config.Parse("lifeboat.yaml", []byte(b.text))
	must(t, err)
	_, b.key, err = ed25519.GenerateKey(nil)
	must(t, err)
	folder, err := snapshot.OpenFolder(filepath.Join(b.dir, "answer"))
	must(t, err)
	must(t, folder.Pin(b.key.Public().(ed25519.PublicKey)))
	must(t, folder.Close())
	b.startAnswer()
	t.Cleanup(func() { b.stopA() })
	b.control()
	return b
}

// held gives copies of the sockets that the boat holds for its answers, as serve does: an
// answer closes those that it was given.
func (b *boat) held() []*net.UDPConn {
	b.t.Helper()
	var out []*net.UDPConn
	for _, c := range b.udp {
		f, err := c.File()
		must(b.t, err)
		copied, err := net.FilePacketConn(f)
		must(b.t, errors.Join(err, f.Close()))
		out = append(out, copied.(*net.UDPConn))
	}
	return out
}

// startAnswer starts an answer on the boat's folder and sockets.
func (b *boat) startAnswer() {
	t := b.t
	t.Helper()
	listen := func(network, at string) net.Listener {
		ln, err := net.Listen(network, at)
		must(t, err)
		return ln
	}
	flags := listen("tcp", b.ofrep)
	b.ofrep = flags.Addr().String()
	var err error
	b.answer, err = answer.New(answer.Options{
		Orders: listen("unix", filepath.Join(b.dir, "o.sock")), Dir: filepath.Join(b.dir, "answer"), UDP: b.held(), TCP: []*net.TCPListener{b.tcp},
		Standby: listen("tcp", fmt.Sprintf("127.0.0.8:%d", b.origin.Listener.Addr().(*net.TCPAddr).Port)), OFREP: flags, Now: b.now, NewID: newID, Logger: b.logs,
		Dial: func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", b.feedAt)
		},
	})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = b.answer.Run(ctx) }()
	b.stopA = func() { cancel(); <-done }
}

// control starts a control on the boat's store.
func (b *boat) control() {
	t := b.t
	t.Helper()
	sites, zones, own := b.cfg.Parts()
	c := snapshot.Contents{Sites: sites, Zones: zones, Features: own}
	eng, err := engine.New(engine.Options{
		Config: b.cfg, Store: b.store, Key: b.key, Ask: prober.Ask, Now: b.now, NewID: newID, Logger: b.logs, Version: "test", Hook: func(p string) {
			if b.hook != nil {
				b.hook(p)
			}
		},
		Company: b.with, Signing: b.signing,
		Waits: engine.Waits{Answer: 5 * time.Second, Observe: 500 * time.Millisecond, Drift: 100 * time.Millisecond},
		Drivers: func(o lever.Orders) map[string]lever.Driver {
			wrap := b.wrap
			if wrap == nil {
				wrap = func(d lever.Driver) lever.Driver { return d }
			}
			table := maps.Clone(b.more)
			if table == nil {
				table = map[string]lever.Driver{}
			}
			maps.Copy(table, map[string]lever.Driver{
				"zone": wrap(zonelever.New(zonelever.Options{Orders: o, Now: b.now, Nameservers: map[string]netip.AddrPort{"ns1.example.net.": b.dns}, Site: func(id string, drill bool) (zonelever.Site, bool) {
					if drill {
						id = snapshot.ShadowID(id)
					}
					s, ok := c.Site(id)
					z := zonelever.Site{ID: id, Positions: s.Positions}
					for n, f := range zones[0].Follow {
						if f == id {
							z.Names = append(z.Names, n)
						}
					}
					return z, ok
				}})),
				"feature": featurelever.New(featurelever.Options{Orders: o, Now: b.now, OFREP: "http://" + b.ofrep, Shadow: config.ShadowFeature, Own: func(k string) json.RawMessage { f, _ := c.Flag(k); return f.Value }}),
			})
			return table
		},
	})
	must(t, err)
	ln, err := net.Listen("unix", b.feedAt)
	must(t, err)
	pub := publish.New(publish.Options{Logger: b.logs, Now: b.now, Handler: eng})
	ctx, cancel := context.WithCancel(context.Background())
	must(t, eng.Start(ctx, pub))
	var wg sync.WaitGroup
	wg.Go(func() { _ = pub.Serve(ctx, ln) })
	b.run = func() { wg.Go(func() { eng.Run(ctx) }) }
	if !b.idle {
		b.run()
	}
	wg.Go(func() {
		for {
			ch := pub.Changed()
			eng.Status()
			select {
			case <-ctx.Done():
				return
			case <-ch:
			}
		}
	})
	b.eng = eng
	b.stopC = func() { cancel(); wg.Wait() }
	t.Cleanup(func() { b.stopC() })
}

// folder is a temporary folder. Unlike that of testing it may be written to while it is
// taken away: what was handed to the disk when the engine stopped goes on (aside).
func folder(t *testing.T) string {
	dir, err := os.MkdirTemp("", "engine")
	must(t, err)
	t.Cleanup(func() {
		for range 1000 {
			if os.RemoveAll(dir) == nil {
				return
			}
			runtime.Gosched()
		}
		t.Errorf("%s can't be taken away", dir)
	})
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var me = incident.Actor{Kind: "person", Name: "Ada", Via: "api", Role: "admin"}

// addr is what DNS answers now.
func (b *boat) addr() string {
	ips, err := zonelever.Lookup(context.Background(), b.dns, "shop.example.com.", false)
	if err != nil || len(ips) == 0 {
		return fmt.Sprint(err)
	}
	return ips[0].String()
}

// eventually polls until ok or the time is up.
func (b *boat) eventually(what string, ok func() bool) {
	b.t.Helper()
	deadline := time.Now().Add(40 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			o, _ := b.eng.Overview(context.Background())
			j, _ := json.MarshalIndent(o, "", " ")
			b.t.Fatalf("not in time: %s\n%s", what, j)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (b *boat) phase() incident.Phase {
	o, err := b.eng.Overview(context.Background())
	must(b.t, err)
	if o.Sites[0].Incident == nil {
		return incident.None
	}
	return o.Sites[0].Incident.Phase
}

func (b *boat) pull(name, reason string) error {
	_, err := b.eng.Do(context.Background(), "shop", engine.PullRequest{Lever: name, PullLever: incident.PullLever{Reason: reason}}, me)
	return err
}

// TestDrillFromAnOldPage: what an old page expects of the incident is not held against the
// way back alone, or the drill's name would stay moved.
func TestDrillFromAnOldPage(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	old := engine.WithExpect(context.Background(), engine.Expect{Incident: "another", Phase: incident.Closed})
	for _, ctx := range []context.Context{old, context.Background()} {
		if rec, err := b.eng.Drill(ctx, "to-standby", me); err != nil || !rec.OK {
			t.Errorf("%+v, %v", rec, err)
		}
	}
}

func TestThereAndBack(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	ctx := context.Background()
	for _, l := range []string{"to-standby", "close-checkout"} {
		rec, err := b.eng.Drill(ctx, l, me)
		must(t, err)
		if !rec.OK {
			t.Fatalf("drill of %s: %+v", l, rec)
		}
	}
	b.eventually("home seen up", func() bool { o, _ := b.eng.Overview(ctx); return o.Sites[0].Seen[0].Seen == probe.Up })
	b.up.Store("down", true)
	b.eventually("proposed", func() bool { o, _ := b.eng.Overview(ctx); return o.Sites[0].Levers[0].Proposed })
	if err := b.pull("to-backup", "because"); err != nil {
		t.Fatal(err)
	}
	if got := b.addr(); got != "127.0.0.9" {
		t.Fatalf("DNS answers %s", got)
	}
	must(t, b.pull("to-standby", ""))
	if got := b.addr(); got != "127.0.0.8" || b.phase() != incident.Diagnose {
		t.Fatalf("DNS answers %s in %s", got, b.phase())
	}
	must(t, b.pull("close-checkout", ""))
	b.up.Store("down", false)
	_, err := b.eng.Do(ctx, "shop", incident.GoBack{Because: "The release was taken back."}, me)
	must(t, err)
	b.eventually("review", func() bool { return b.phase() == incident.Review })
	_, err = b.eng.Do(ctx, "shop", incident.Close{Reason: "a test"}, me)
	must(t, err)
	heads, err := b.eng.Incidents(ctx)
	must(t, err)
	for _, h := range heads {
		ev, err := b.eng.Events(ctx, h.ID)
		must(t, err)
		must(t, incident.Verify(ev))
		for _, e := range ev {
			t.Log(e.Seq, e.Type, e.Text)
		}
	}
}

func TestNewStoreKeepsTheFailover(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	b.eventually("connected", func() bool { o, _ := b.eng.Overview(context.Background()); return o.Answer.Ready })
	must(t, b.pull("to-backup", "never rehearsed, but the shop is down"))
	b.stopC()
	b.store = mem.New(mem.Options{})
	b.control()
	b.eventually("found at start, and seen from outside", func() bool { return b.phase() == incident.Diagnose })
	if got := b.addr(); got != "127.0.0.9" {
		t.Fatalf("DNS answers %s", got)
	}
	_, err := b.eng.Do(context.Background(), "shop", incident.GoBack{Because: "It is well again."}, me)
	must(t, err)
	b.eventually("back home", func() bool { return b.phase() == incident.Review })
	if got := b.addr(); got != "127.0.0.1" {
		t.Fatalf("DNS answers %s", got)
	}
}

func (b *boat) overview() engine.Overview {
	b.t.Helper()
	o, err := b.eng.Overview(context.Background())
	must(b.t, err)
	return o
}

func (b *boat) homeSeen(want probe.Seen) {
	b.t.Helper()
	b.eventually("home seen "+string(want), func() bool { return b.overview().Sites[0].Seen[0].Seen == want })
}

func (b *boat) drill(names ...string) {
	b.t.Helper()
	for _, n := range names {
		rec, err := b.eng.Drill(context.Background(), n, me)
		must(b.t, err)
		if !rec.OK {
			b.t.Fatalf("drill of %s: %s", n, rec.Detail)
		}
	}
}

func (b *boat) goBack() {
	b.t.Helper()
	_, err := b.eng.Do(context.Background(), "shop", incident.GoBack{Because: "It is well again."}, me)
	must(b.t, err)
	b.eventually("back home", func() bool { return b.phase() == incident.Review })
	if got := b.addr(); got != "127.0.0.1" {
		b.t.Fatalf("DNS answers %s", got)
	}
}

func TestSilenceFailsOverAndIsTakenOver(t *testing.T) {
	t.Parallel()
	b := launch(t, "auto")
	b.drill("to-standby")
	b.homeSeen(probe.Up)
	b.stopC()
	b.up.Store("down", true)
	b.eventually("failed over by itself", func() bool { return b.addr() == "127.0.0.8" })
	b.control()
	b.eventually("taken over, and seen from outside", func() bool { return b.phase() == incident.Diagnose })
	in := b.overview().Sites[0].Incident
	if len(in.Pulls) != 1 || !in.Pulls[0].By.Automatic() || in.Pulls[0].State != incident.Active {
		t.Fatalf("pulls: %+v", in.Pulls)
	}
	b.up.Store("down", false)
	b.goBack()
}

func TestAutoMovesAndAPersonHoldsIt(t *testing.T) {
	t.Parallel()
	b := launch(t, "auto")
	b.drill("to-standby")
	b.homeSeen(probe.Up)
	b.up.Store("down", true)
	b.eventually("moved by itself", func() bool { return b.addr() == "127.0.0.8" })
	b.eventually("recorded", func() bool { return b.phase() == incident.Diagnose })
	_, err := b.eng.Do(context.Background(), "shop", incident.PutBack{Lever: "to-standby"}, me)
	must(t, err)
	if got := b.addr(); got != "127.0.0.1" {
		t.Fatalf("DNS answers %s", got)
	}
	if o := b.overview(); !o.Sites[0].AutoHeld {
		t.Fatal("automatic moves are not held")
	}
	must(t, b.eng.ResumeAuto(context.Background(), "shop"))
	if o := b.overview(); o.Sites[0].AutoHeld {
		t.Fatal("automatic moves are still held")
	}
}

func TestClockSetBackAnHour(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	b.drill("to-standby")
	b.homeSeen(probe.Up)
	b.clockMu.Lock()
	b.skew = -time.Hour
	b.clockMu.Unlock()
	must(t, b.pull("to-standby", ""))
	if got := b.addr(); got != "127.0.0.8" {
		t.Fatalf("DNS answers %s", got)
	}
	b.goBack()
	events, err := b.eng.Events(context.Background(), b.overview().Sites[0].Incident.ID)
	must(t, err)
	must(t, incident.Verify(events))
}

func TestAClockSetBackDuringTheReturnHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	b.drill("to-standby")
	b.homeSeen(probe.Up)
	must(t, b.pull("to-standby", ""))
	b.up.Store("down", true)
	_, err := b.eng.Do(context.Background(), "shop", incident.GoBack{Because: "It is well again."}, me)
	must(t, err)
	b.eventually("a sanity check has failed", func() bool { return b.happened(incident.CheckVerdict) })
	b.clockMu.Lock()
	b.skew = -time.Hour
	b.clockMu.Unlock()
	b.up.Store("down", false)
	b.eventually("back home, and watched", func() bool { return b.phase() == incident.Watch || b.phase() == incident.Review })
}

func TestTwoPeoplePressAtOnce(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	b.drill("to-standby", "close-checkout")
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i, l := range []string{"to-standby", "close-checkout", "to-standby", "close-checkout"} {
		wg.Go(func() { errs[i] = b.pull(l, "") })
	}
	wg.Wait()
	done := 0
	for _, err := range errs {
		if err == nil {
			done++
		}
	}
	in := b.overview().Sites[0].Incident
	if done != 2 || len(in.Holding()) != 2 {
		t.Fatalf("%d presses went through, %d levers hold: %v", done, len(in.Holding()), errs)
	}
	events, err := b.eng.Events(context.Background(), in.ID)
	must(t, err)
	must(t, incident.Verify(events))
}
