package engine_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/capture"
	"lifeboat/internal/engine"
	"lifeboat/internal/evidence"
	"lifeboat/internal/incident"
	"lifeboat/internal/ledger"
	"lifeboat/internal/lever"
	"lifeboat/internal/probe"
)

// hang stops whoever comes by until its test has ended.
type hang struct {
	off  chan struct{}
	came atomic.Int64
}

func newHang(t *testing.T) *hang {
	h := &hang{off: make(chan struct{})}
	t.Cleanup(func() { h.let() })
	return h
}

func (h *hang) wait() { h.came.Add(1); <-h.off }
func (h *hang) let() {
	select {
	case <-h.off:
	default:
		close(h.off)
	}
}

type (
	slowDisk struct {
		engine.Bodies
		*hang
	}
	slowBook struct {
		engine.Ledger
		*hang
	}
)

func (s slowDisk) Put(r io.Reader, most int64) (evidence.Blob, error) {
	s.wait()
	return s.Bodies.Put(r, most)
}

func (s slowBook) Add(ctx context.Context, c ledger.Change) (ledger.Change, bool, error) {
	s.wait()
	return s.Ledger.Add(ctx, c)
}

func (s slowBook) List(ctx context.Context, q ledger.Query) ([]ledger.Change, error) {
	s.wait()
	return s.Ledger.List(ctx, q)
}

// within fails the test when f takes longer than anybody waits for a press.
func (b *boat) within(what string, f func()) {
	b.t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(8 * time.Second):
		b.t.Fatalf("%s: it waits", what)
	}
}

// withLogs has a log file that control reads.
func withLogs(s string) string {
	return strings.Replace(s, "    take_back:", "    capture: {logs: [/var/log/shop.log, /var/log/other.log]}\n    take_back:", 1)
}

func TestNothingThatHangsHoldsUpAPressOrTheEnd(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	disk, book, act, file := newHang(t), newHang(t), newHang(t), newHang(t)
	b.stopC()
	b.with.Bodies, b.with.Ledger = slowDisk{b.with.Bodies, disk}, slowBook{b.with.Ledger, book}
	b.with.Run = func(ctx context.Context, _ engine.Job) engine.Ran {
		act.came.Add(1)
		<-ctx.Done()
		return engine.Ran{}
	}
	b.with.Tail = func(path string, most int64) capture.Item { file.wait(); return capture.Item{} }
	b.restart(withLogs)
	b.homeSeen(probe.Up)
	b.within("the first press", func() { must(t, b.pull("to-backup", "it is down")) })
	b.do(incident.ProposeFix{Change: "Restart it", Action: "restart", Promise: incident.Promise{Check: "home"}, Reason: "a test"}, me)
	b.do(incident.ApplyFix{Reason: "a test"}, me)
	go func() {
		_, _ = b.eng.AddChange(context.Background(), ledger.Change{Site: "shop", Kind: "deploy", What: "Release 412"}, me)
	}()
	b.eventually("all hangs that can", func() bool { return disk.came.Load() > 0 && book.came.Load() > 0 && act.came.Load() > 0 })
	b.within("a press while all hangs", func() { must(t, b.pull("to-standby", "the backup is down, too")) })
	book.let()
	b.eventually("the log file hangs", func() bool { return file.came.Load() > 0 })
	b.within("a press while a log file hangs", func() { must(t, b.pull("close-checkout", "orders fail")) })
	b.within("the end", b.stopC)
	disk.let()
	b.control()
}

func TestALedgerThatHangsHoldsUpNoGreeting(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	book := newHang(t)
	b.stopC()
	b.with.Ledger = slowBook{b.with.Ledger, book}
	b.restart(withLogs) // a configuration that has changed is written down
	b.ready()
	b.eventually("the ledger hangs", func() bool { return book.came.Load() > 0 })
	b.within("a press", func() { must(t, b.pull("to-standby", "it is down")) })
	book.let()
}

func TestALogFileThatHangsIsReadOnce(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	file := newHang(t)
	b.stopC()
	b.with.Tail = func(path string, most int64) capture.Item { file.wait(); return capture.Item{} }
	b.restart(withLogs)
	b.homeSeen(probe.Up)
	b.do(incident.Declare{}, me)
	b.eventually("it hangs", func() bool { return file.came.Load() == 1 })
	must(t, b.eng.Capture(context.Background(), "shop"))
	b.eventually("it is written down", func() bool {
		return slices.ContainsFunc(b.state().Evidence, func(e incident.Evidence) bool { return e.Kind == capture.KindLog && e.Problem != "" })
	})
	if n := file.came.Load(); n > 2 { // one for each file
		t.Errorf("%d readings hang", n)
	}
}

func TestAFloodOfEvidenceHoldsUpNoPress(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	id := b.do(incident.Declare{}, me).ID
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 200 {
				b.eng.Captured(context.Background(), capture.Item{Job: "j", Incident: id, Site: "shop", Kind: capture.KindHTTP, Title: fmt.Sprintf("Page %d of %d", n, i), Body: []byte(strings.Repeat("x", 50_000) + fmt.Sprint(n, i)), At: b.now()})
			}
		})
	}
	b.within("a press in the flood", func() { must(t, b.pull("to-standby", "it is down")) })
	wg.Wait()
	if n := len(b.state().Evidence); n != 500 {
		t.Errorf("%d pieces of evidence", n)
	}
	b.intact(id)
	b.goBack()
}

func TestWhatCannotBeBegunNowIsBegunLater(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	b.stopC()
	b.idle = true
	b.control()
	must(t, b.pull("to-standby", "it is down"))
	for i := range 260 { // each asks for something to be done beside
		b.do(incident.Attach{Evidence: incident.Evidence{Title: "A note"}}, me)
		in := b.state()
		b.do(incident.Redact{Evidence: in.Evidence[len(in.Evidence)-1].ID, Reason: fmt.Sprint("number ", i)}, me)
	}
	b.do(incident.ProposeFix{Change: "Restart it", Action: "restart", Promise: incident.Promise{Check: "home"}, Reason: "a test"}, me)
	b.do(incident.ApplyFix{Reason: "a test"}, me)
	b.run()
	b.homeSeen(probe.Up)
	b.eventually("worked", func() bool { f, _ := b.state().LastFix(); return f.State == incident.StateWorked })
}

// stuck is a zone driver whose moves of one site hang.
type stuck struct {
	lever.Driver
	site string
	*hang
}

func (d stuck) Apply(ctx context.Context, p lever.Plan, step int, t lever.Token) error {
	if p.Target == d.site {
		d.wait()
	}
	return d.Driver.Apply(ctx, p, step, t)
}

func TestASiteThatMovesByItselfHoldsUpNoOtherOne(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	b.drill("to-standby")
	move := newHang(t)
	b.stopC()
	b.wrap = func(d lever.Driver) lever.Driver { return stuck{d, "shop", move} }
	b.with.Acts = append(b.with.Acts, engine.Act{Name: "restart-api", Title: "Restart the API", Site: "api"})
	b.restart(func(s string) string { return strings.Replace(twoSites(s), "failover: propose", "failover: auto", 1) })
	b.homeSeen(probe.Up)
	b.up.Store("down", true)
	b.eventually("the shop moves, and hangs", func() bool { return move.came.Load() > 0 })
	ctx := context.Background()
	act := func(c incident.Command) {
		t.Helper()
		_, err := b.eng.Do(ctx, "api", c, me)
		must(t, err)
	}
	act(incident.Declare{})
	act(incident.DecideNoFailover{Reason: "a test"})
	act(incident.ProposeFix{Change: "Restart it", Action: "restart-api", WayBack: "none", Promise: incident.Promise{To: "it works"}, Reason: "a test"})
	act(incident.ApplyFix{Reason: "a test"})
	b.eventually("the other site is repaired", func() bool {
		f, _ := b.overview().Sites[1].Incident.LastFix()
		return f.State == incident.StateMeasuring
	})
	move.let()
}

func TestAPressDuringADrill(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	b.drill("to-standby")
	move := newHang(t)
	b.stopC()
	b.wrap = func(d lever.Driver) lever.Driver { return stuck{d, "shop~drill", move} }
	b.control()
	b.ready()
	done := make(chan struct{})
	go func() { defer close(done); _, _ = b.eng.Drill(context.Background(), "to-standby", me) }()
	b.eventually("the drill is under way", func() bool { return move.came.Load() > 0 })
	b.within("a press during a drill", func() { must(t, b.pull("to-standby", "")) })
	if got := b.addr(); got != "127.0.0.8" {
		t.Errorf("DNS answers %s", got)
	}
	move.let()
	<-done
}
