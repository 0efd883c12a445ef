package answer

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lifeboat/internal/fault"
	"lifeboat/internal/feature"
	"lifeboat/internal/feed"
	"lifeboat/internal/slot/slottest"
	"lifeboat/internal/snapshot"
	"lifeboat/internal/zone"
)

type manifest = snapshot.Manifest

// TestThePageTurnsWithTheSite: once a move is acknowledged nobody is given the page of
// before; a late-comer's connection is ended, so that the name is looked up again.
func TestThePageTurnsWithTheSite(t *testing.T) {
	t.Parallel()
	r := start(t, folder(t))
	for revision := range uint64(20) {
		place := []string{"main", snapshot.Standby}[revision%2]
		r.takes(order(t, 1, revision+1, place))
		req, err := http.NewRequest(http.MethodGet, "http://"+r.page+"/anything", nil)
		must(t, err)
		req.Host = "shop.example.com"
		client := &http.Client{Transport: &http.Transport{}} // a line of its own: a return ends idle ones
		resp, err := client.Do(req)
		if err != nil {
			t.Errorf("revision %d, at %s: %v", revision+1, place, err)
			continue
		}
		_ = resp.Body.Close()
		client.CloseIdleConnections()
		if late := resp.Close; late != (place == "main") {
			t.Errorf("revision %d, at %s: taken for a late-comer: %t", revision+1, place, late)
		}
	}
}

func TestTakeAndServe(t *testing.T) {
	t.Parallel()
	r := start(t, folder(t))
	if got := r.addr(); got != "SERVFAIL" || r.Ready() {
		t.Fatalf("before the first snapshot: %s, ready %t", got, r.Ready())
	}
	ack := r.take(order(t, 1, 1, "main"))
	taken(t, ack)
	if got := r.addr(); got != mainIP || ack.Serials[apex] != 101 || r.serial() != 101 || !r.Ready() {
		t.Fatalf("%s, %+v", got, ack)
	}
	r.takes(order(t, 1, 2, snapshot.Standby))
	if got := r.addr(); got != standbyIP || r.serial() != 102 {
		t.Fatalf("%s at %d", got, r.serial())
	}
	req, err := http.NewRequest(http.MethodGet, "http://"+r.page+"/anything", nil)
	must(t, err)
	req.Host = "shop.example.com"
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the standby answers %s", resp.Status)
	}
	h := r.hello()
	if h.Epoch != 1 || h.Revision != 2 || h.Positions["shop"] != snapshot.Standby || h.Serials[apex] != 102 || len(h.Parts) != 3 || h.Life == "" || h.Formats[0] != 1 || h.PID != 42 {
		t.Errorf("%+v", h)
	}
	r = r.again()
	if got := r.addr(); got != standbyIP || !r.Ready() || r.serial() != 102 {
		t.Errorf("after a restart: %s, ready %t", got, r.Ready())
	}
	if next := r.hello(); next.Life == h.Life {
		t.Error("a new process has the old one's life")
	}
}

// What can't be taken leaves everything as it is.
func TestBadSnapshotsChangeNothing(t *testing.T) {
	t.Parallel()
	text := func(s string) func(*manifest, *snapshot.Contents) {
		return func(_ *manifest, c *snapshot.Contents) { c.Zones[0].Text = s }
	}
	for name, c := range map[string]struct {
		publish func(t *testing.T) feed.Publish
		want    fault.Kind
	}{
		"a bad zone": {func(t *testing.T) feed.Publish { return order(t, 1, 6, snapshot.Standby, text("mail IN A nonsense\n")) }, fault.Invalid},
		"a name that has an address besides": {func(t *testing.T) feed.Publish {
			return order(t, 1, 6, snapshot.Standby, text("@ IN A 192.0.2.1\n"))
		}, fault.Invalid},
		"a position without an address": {func(t *testing.T) feed.Publish {
			return order(t, 1, 6, snapshot.Standby, func(_ *manifest, c *snapshot.Contents) { c.Sites[0].Positions[snapshot.Standby] = zone.Addresses{} })
		}, fault.Invalid},
		"a site that is not there": {func(t *testing.T) feed.Publish {
			return order(t, 1, 6, snapshot.Standby, func(_ *manifest, c *snapshot.Contents) { c.Sites = nil })
		}, fault.Invalid},
		"the same revision":  {func(t *testing.T) feed.Publish { return order(t, 1, 5, snapshot.Standby) }, fault.Conflict},
		"an older revision":  {func(t *testing.T) feed.Publish { return order(t, 1, 4, snapshot.Standby) }, fault.Conflict},
		"an older epoch":     {func(t *testing.T) feed.Publish { return order(t, 0, 9, snapshot.Standby) }, fault.Conflict},
		"away in a new life": {func(t *testing.T) feed.Publish { return order(t, 2, 1, "main") }, fault.Refused},
		"a later format": {func(t *testing.T) feed.Publish {
			return order(t, 1, 6, snapshot.Standby, func(m *manifest, _ *snapshot.Contents) { m.Format = 2 })
		}, fault.NotSupported},
		"must understand": {func(t *testing.T) feed.Publish {
			return order(t, 1, 6, snapshot.Standby, func(m *manifest, _ *snapshot.Contents) { m.Must = []string{"stages"} })
		}, fault.NotSupported},
		"forged": {func(t *testing.T) feed.Publish {
			p := order(t, 1, 6, snapshot.Standby)
			p.Signed.Signature[0] ^= 1
			return p
		}, fault.Denied},
		"nothing": {func(*testing.T) feed.Publish { return feed.Publish{} }, fault.Denied},
		"a part that never came": {func(t *testing.T) feed.Publish {
			p := order(t, 1, 6, snapshot.Standby, text("new IN A 192.0.2.26\n"))
			p.Parts = nil
			return p
		}, fault.Unavailable},
		"a part that is another": {func(t *testing.T) feed.Publish {
			p := order(t, 1, 6, snapshot.Standby, text("new IN A 192.0.2.26\n"))
			for h := range p.Parts {
				p.Parts[h] = []byte("[]")
			}
			return p
		}, fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, folder(t))
			r.takes(order(t, 1, 5, "backup"))
			before := r.hello()
			ack := r.take(c.publish(t))
			if ack.Kind != c.want || ack.Err == "" {
				t.Errorf("ack %+v, want kind %q", ack, c.want)
			}
			if d := cmp.Diff(before, r.hello()); d != "" {
				t.Errorf("changed: %s", d)
			}
			if got := r.addr(); got != backupIP || !r.Ready() || r.standing().Problem == "" {
				t.Errorf("%s, ready %t, problem %q", got, r.Ready(), r.standing().Problem)
			}
			r.takes(order(t, 1, 7, snapshot.Standby))
			if got := r.addr(); got != standbyIP || r.standing().Problem != "" {
				t.Errorf("after a good one: %s, %q", got, r.standing().Problem)
			}
		})
	}
}

// Control knows its own manifest again by its number, also when it is refused
// before anything in it is believed.
func TestRefusalNamesTheManifest(t *testing.T) {
	t.Parallel()
	a, err := New(options(folder(t)))
	must(t, err)
	p := order(t, 4, 9, "main")
	p.Signed.Signature[3] ^= 1
	if ack := a.take(p); ack.Epoch != 4 || ack.Revision != 9 {
		t.Errorf("%+v", ack)
	}
	p = order(t, 4, 9, "main", func(m *manifest, _ *snapshot.Contents) { m.Format = 7 })
	if ack := a.take(p); ack.Epoch != 4 || ack.Revision != 9 {
		t.Errorf("%+v", ack)
	}
	must(t, a.folder.Close())
}

func TestLocalOrdersOutrankUntilTaken(t *testing.T) {
	t.Parallel()
	r := start(t, folder(t))
	r.takes(order(t, 1, 1, "main"))
	if rep := r.do(Request{Do: "pull", Lever: "to-standby"}); !rep.OK {
		t.Fatalf("%+v", rep)
	}
	id := r.hello().Orders[0].ID
	for rev := range uint64(3) {
		r.takes(order(t, 1, rev+2, "main"))
		if got := r.addr(); got != standbyIP {
			t.Fatalf("a manifest that knows nothing of the order moved the shop to %s", got)
		}
	}
	r = r.again()
	if got := r.addr(); got != standbyIP || len(r.hello().Orders) != 1 {
		t.Fatalf("after a restart: %s", got)
	}
	r.takes(order(t, 1, 9, snapshot.Standby, func(m *manifest, _ *snapshot.Contents) { m.Taken = []string{"another", id} }))
	if got := r.addr(); got != standbyIP || len(r.hello().Orders) != 0 {
		t.Fatalf("%s with %d orders left", got, len(r.hello().Orders))
	}
	r.takes(order(t, 1, 10, "main"))
	if got := r.addr(); got != mainIP {
		t.Fatalf("control can't go back: %s", got)
	}
	r = r.again()
	if got := r.addr(); got != mainIP {
		t.Fatalf("the order came back: %s", got)
	}
}

// Whatever comes in whatever order, the serial never goes back, and grows when the
// shop moves.
func TestSerialOnlyGrows(t *testing.T) {
	t.Parallel()
	places := []string{"main", "backup", snapshot.Standby}
	rapid.Check(t, func(rt *rapid.T) {
		dir := folder(t)
		a, err := New(options(dir))
		must(t, err)
		defer func() { _ = a.folder.Close() }()
		taken(t, a.take(order(t, 1, 1, "main", func(m *manifest, _ *snapshot.Contents) { m.Serials[apex] = rapid.Uint32Min(1).Draw(rt, "first") })))
		epoch, revision := uint64(1), uint64(1)
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			was, where := a.serials[apex], a.hello().Positions["shop"]
			switch rapid.IntRange(0, 5).Draw(rt, "what") {
			case 0, 1, 2:
				if revision++; rapid.IntRange(0, 4).Draw(rt, "new epoch") == 0 {
					epoch, revision = epoch+1, 1
				}
				a.take(order(t, epoch, revision, rapid.SampledFrom(places).Draw(rt, "place"), func(m *manifest, _ *snapshot.Contents) {
					m.Serials[apex] = was + rapid.SampledFrom([]uint32{0, 0, 1, 2, 1<<32 - 1, 1<<32 - 7, 1000}).Draw(rt, "serial")
					if rapid.Bool().Draw(rt, "takes") {
						for _, o := range a.local.Orders {
							m.Taken = append(m.Taken, o.ID)
						}
					}
				}))
			case 3, 4:
				_ = a.pull(rapid.SampledFrom([]string{"to-standby", "to-backup", "close-checkout"}).Draw(rt, "lever"), nil)
			case 5:
				must(t, a.folder.Close())
				a, err = New(options(dir))
				must(t, err)
				if !a.Ready() {
					rt.Fatalf("not ready after a restart: %s", a.problem)
				}
				if now := a.serials[apex]; now != was || a.hello().Positions["shop"] != where {
					rt.Fatalf("a restart took the serial from %d to %d, the shop from %s to %s", was, now, where, a.hello().Positions["shop"])
				}
			}
			now, here := a.serials[apex], a.hello().Positions["shop"]
			if now != was && !zone.SerialNewer(now, was) {
				rt.Fatalf("the serial went from %d to %d", was, now)
			}
			if here != where && now == was {
				rt.Fatalf("the shop went from %s to %s with the same serial %d", where, here, was)
			}
			if v, ok := a.dns.View().Serial(apex); !ok || v != now {
				rt.Fatalf("served with %d, %d is said", v, now)
			}
		}
	})
}

func TestSerial(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ordered, local, served uint32
		moved                  bool
		want                   uint32
	}{
		{5, 0, 0, false, 5}, {5, 0, 0, true, 5}, {5, 0, 5, false, 5}, {5, 0, 5, true, 6}, {6, 0, 5, true, 6},
		{4, 0, 5, false, 5}, {4, 0, 5, true, 6}, {5, 9, 5, false, 9}, {5, 9, 9, true, 10}, {5, 9, 5, true, 9},
		{0, 0, 7, false, 7}, {0, 0, 7, true, 8}, {1, 0, 1<<32 - 1, false, 1}, {1<<32 - 1, 0, 1, false, 1}, {1<<32 - 1, 0, 1<<32 - 1, true, 1},
	} {
		if got := serial(c.ordered, c.local, c.served, c.moved); got != c.want {
			t.Errorf("%+v comes to %d", c, got)
		}
	}
}

// A snapshot that is damaged on the disk: what was ordered holds, and control can
// mend it.
func TestDamagedSnapshot(t *testing.T) {
	t.Parallel()
	added := func(_ *manifest, c *snapshot.Contents) { c.Zones[0].Text += "new IN A 192.0.2.26\n" }
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir, zones string)
		want  string
	}{
		"a part cut off":  {func(t *testing.T, dir, zones string) { must(t, os.Truncate(filepath.Join(dir, "parts", zones), 20)) }, standbyIP},
		"a part gone":     {func(t *testing.T, dir, zones string) { must(t, os.Remove(filepath.Join(dir, "parts", zones))) }, standbyIP},
		"the newest flip": {func(t *testing.T, dir, _ string) { damage(t, filepath.Join(dir, "manifest.slot")) }, standbyIP},
		"both copies of it": {func(t *testing.T, dir, _ string) {
			damage(t, filepath.Join(dir, "manifest.slot"))
			must(t, os.Truncate(filepath.Join(dir, "orders.slot"), 100))
		}, backupIP},
		"the local orders":   {func(t *testing.T, dir, _ string) { must(t, os.Truncate(filepath.Join(dir, "orders.slot"), 100)) }, standbyIP},
		"nothing, for a try": {func(*testing.T, string, string) {}, standbyIP},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, folder(t))
			r.takes(order(t, 1, 1, "backup"))
			newest := order(t, 1, 2, snapshot.Standby, added)
			r.takes(newest)
			hash := r.manifest.Parts[snapshot.PartZones].SHA256
			r.stop()
			c.spoil(t, r.dir, hash)
			r = start(t, r.dir)
			if got := r.addr(); got != c.want || !r.Ready() {
				t.Fatalf("serves %s, ready %t, %s", got, r.Ready(), r.standing().Problem)
			}
			if rep := r.do(Request{Do: "pull", Lever: "to-standby"}); !rep.OK && rep.Kind != fault.Conflict {
				t.Errorf("pull: %+v", rep)
			}
			// Control publishes the same again, with the parts that answer does not name.
			next := order(t, 1, 3, snapshot.Standby, added)
			for _, held := range r.hello().Parts {
				delete(next.Parts, held)
			}
			r.takes(next)
			if _, ok := r.dns.View().Serial(apex); !ok || !strings.Contains(r.contents.Zones[0].Text, "new IN A") {
				t.Error("the newest parts don't serve")
			}
			r = r.again()
			if got := r.addr(); got != standbyIP || !strings.Contains(r.contents.Zones[0].Text, "new IN A") {
				t.Errorf("after another restart: %s", got)
			}
		})
	}
}

// damage changes a byte of the value that was written last.
func damage(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	b[len(b)/2+200] ^= 0xff // the second of two writes went to the second slot
	must(t, os.WriteFile(path, b, 0o600))
}

// A local order that names a place which older parts don't have stops nothing.
func TestOrderToAPlaceThatIsGone(t *testing.T) {
	t.Parallel()
	r := start(t, folder(t))
	r.takes(order(t, 1, 1, "main"))
	must(t, r.pull("to-backup", nil))
	r.takes(order(t, 1, 2, "main", func(_ *manifest, c *snapshot.Contents) {
		delete(c.Sites[0].Positions, "backup")
		c.Sites[0].Places = []string{"main", snapshot.Standby}
	}))
	if got := r.addr(); got != mainIP {
		t.Errorf("answers %s", got)
	}
	if r = r.again(); r.addr() != mainIP || !r.Ready() {
		t.Errorf("after a restart: %s, %s", r.addr(), r.standing().Problem)
	}
}

// On a disk without a free byte both ways to flip work and are there after a kill.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	slottest.InTmpfs(t, 4<<20, func(root string) {
		dir := filepath.Join(root, "answer")
		a, err := New(options(dir))
		must(t, err)
		must(t, a.trust(trusted()))
		taken(t, a.take(order(t, 1, 1, "main")))
		free := slottest.Fill(t, root)
		taken(t, a.take(order(t, 1, 2, "backup")))
		must(t, a.pull("to-standby", nil))
		big := func(_ *manifest, c *snapshot.Contents) {
			for i := range 2000 {
				c.Zones[0].Text += fmt.Sprintf("host%d IN A 192.0.2.26\n", i)
			}
		}
		ack := a.take(order(t, 1, 3, "main", big))
		if ack.Err != "" || ack.Kept == "" || a.status().Problem == "" || a.contents.Zones[0].Text == contents().Zones[0].Text {
			t.Errorf("new parts on a full disk are to be in force and not kept: %+v, %q", ack, a.status().Problem)
		}
		a.take(order(t, 1, 4, "main", big))
		serial := a.serials[apex]
		must(t, a.folder.Close()) // and nothing more: it is killed
		a, err = New(options(dir))
		must(t, err)
		if h := a.hello(); h.Positions["shop"] != snapshot.Standby || h.Revision != 4 || !a.Ready() || h.Serials[apex] != serial {
			t.Errorf("after a kill: %+v, %s", h, a.problem)
		}
		free()
		taken(t, a.take(order(t, 1, 5, "main", big)))
		if len(a.contents.Zones[0].Text) < 2000 || a.status().Problem != "" {
			t.Errorf("with space again: %q", a.status().Problem)
		}
		must(t, a.folder.Close())
	})
}

// From the start of answer with a kept snapshot to the first right answer over UDP.
func BenchmarkStartToFirstAnswer(b *testing.B) {
	dir := folder(b)
	r := start(b, dir)
	r.takes(order(b, 1, 1, snapshot.Standby))
	r.stop()
	b.ResetTimer()
	for b.Loop() {
		began := time.Now()
		r := start(b, dir)
		if got := r.addr(); got != standbyIP {
			b.Fatal(got)
		}
		b.ReportMetric(float64(time.Since(began).Microseconds())/1000, "ms/last-start")
		b.StopTimer()
		r.stop()
		b.StartTimer()
	}
}

// A local order from the call to the moment at which DNS answers it, fsync included.
func BenchmarkPull(b *testing.B) {
	dir := folder(b)
	a, err := New(options(dir))
	must(b, err)
	revision := uint64(0)
	for b.Loop() {
		b.StopTimer()
		revision++
		taken(b, a.take(order(b, 1, revision, "main", func(m *manifest, _ *snapshot.Contents) {
			for _, o := range a.local.Orders {
				m.Taken = append(m.Taken, o.ID)
			}
		})))
		b.StartTimer()
		must(b, a.pull("to-standby", nil))
	}
}

// TestTakesWhoMayAsk: a snapshot with keys closes the kill switches to who has none,
// and one without opens them again.
func TestTakesWhoMayAsk(t *testing.T) {
	t.Parallel()
	r := start(t, folder(t))
	status := func() int {
		resp, err := http.Post("http://"+r.ofrep+"/ofrep/v1/evaluate/flags/checkout", "application/json", strings.NewReader(`{}`))
		must(t, err)
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	for i, want := range []int{401, 200} {
		r.takes(order(t, 1, uint64(i+1), "main", func(_ *manifest, c *snapshot.Contents) {
			if want == 401 {
				c.Access = feature.Access{Keys: []feature.Key{{Name: "shop", SHA256: strings.Repeat("ab", 32), For: feature.ForServers}}}
			}
		}))
		if got := status(); got != want {
			t.Errorf("answered %d, want %d", got, want)
		}
	}
}
