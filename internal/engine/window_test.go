package engine_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/ledger"
	"lifeboat/internal/lever"
	"lifeboat/internal/probe"
	"lifeboat/internal/store"
	"lifeboat/internal/store/mem"
)

// twoSites has a second site in the same zone.
func twoSites(s string) string {
	s = strings.Replace(s, "zones:", `  api:
    title: API
    names: [api.shop.example.com]
    scheme: http
    origins: {main: {address: 127.0.0.1}, backup: {address: 127.0.0.9}}
    standby: {addresses: [127.0.0.8]}
zones:`, 1)
	s = strings.Replace(s, `follow: {"@": shop}`, `follow: {"@": shop, api: api}`, 1)
	s = strings.Replace(s, "close-checkout: {title: Close the checkout,", "api-to-backup: {title: Use the other API, zone: {site: api, to: backup}}\n  close-checkout: {title: Close the checkout, site: shop,", 1)
	return s
}

func TestTwoSitesInOneZone(t *testing.T) {
	t.Parallel()
	b := launch(t, "propose")
	b.restart(twoSites)
	b.ready()
}

// deadAfter makes the boat's store refuse everything once something was written that
// holds the text, as a control that is killed then.
func (b *boat) deadAfter(text string) (dead *atomic.Bool, revive func()) {
	b.t.Helper()
	f := &frail{Store: b.store}
	b.stopC()
	b.store = f
	b.control()
	b.homeSeen(probe.Up)
	dead = &atomic.Bool{}
	die := func(writes []store.Write) bool {
		if dead.Load() {
			return true
		}
		for _, w := range writes {
			if strings.Contains(string(w.Value), text) {
				dead.Store(true)
			}
		}
		return false
	}
	f.refuse.Store(&die)
	return dead, func() { f.refuse.Store(nil) }
}

func TestAParkedLeverThatWentBackIsNotParkedAfterARestart(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	must(t, b.pull("close-checkout", "orders fail"))
	must(t, b.pull("to-standby", "the rest fails, too"))
	b.do(incident.ParkLever{Lever: "close-checkout", Owner: "Bob", Until: b.now().Add(time.Hour), Reason: "until Monday"}, me)
	b.goBack()
	b.do(incident.Close{Reason: "a test needs no write-up"}, me)
	b.do(incident.Declare{Title: "Something else"}, me)
	b.do(incident.UnparkLever{Lever: "close-checkout"}, me)
	b.goBack()
	b.do(incident.Close{Reason: "a test needs no write-up"}, me)
	b.restart(nil)
	b.ready()
	if p := b.overview().Sites[0].Parked; len(p) != 0 {
		t.Fatalf("it went back, and is parked again: %+v", p)
	}
}

func TestAParkedLeverIsShownOnceOverARestart(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	must(t, b.pull("close-checkout", "orders fail"))
	must(t, b.pull("to-standby", "the rest fails, too"))
	b.do(incident.ParkLever{Lever: "close-checkout", Owner: "Bob", Until: b.now().Add(time.Hour), Reason: "until Monday"}, me)
	b.goBack()
	b.do(incident.Close{Reason: "a test needs no write-up"}, me)
	b.do(incident.Declare{Title: "Something else"}, me)
	before := len(b.overview().Sites[0].Parked)
	b.restart(nil)
	b.ready()
	if after := len(b.overview().Sites[0].Parked); before != 0 || after != 0 || len(b.state().ParkedPulls()) != 1 {
		t.Fatalf("parked beside the incident: %d before the restart, %d after it", before, after)
	}
}

func TestARetryOfAPressTellsWhatCameOfIt(t *testing.T) {
	t.Parallel()
	b, see := blind(t)
	see(lever.Unknown)
	ctx := engine.WithKey(context.Background(), "press-1")
	press := func() error {
		_, err := b.eng.Do(ctx, "shop", engine.PullRequest{Lever: "to-standby", PullLever: incident.PullLever{Reason: "it is down"}}, me)
		return err
	}
	if err := press(); err == nil {
		t.Fatal("pressed without eyes, and called done")
	}
	if err := press(); fault.KindOf(err) != fault.Unavailable {
		t.Fatalf("a retry of a press that nobody can tell the result of says %v", err)
	}
	see("")
	b.eventually("seen in force", func() bool { return b.happened(incident.LeverSeen) })
	must(t, press())
	if n := len(b.state().Pulls); n != 1 {
		t.Errorf("%d pulls", n)
	}
}

func TestACancelThatWasNotRecordedIsNotDoneOnARetry(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	revive := b.refuse(string(incident.CancelledType))
	id := b.do(incident.Declare{}, me).ID
	ctx := engine.WithKey(context.Background(), "cancel-1")
	if _, err := b.eng.Do(ctx, "shop", incident.Cancel{}, me); err == nil {
		t.Fatal("cancelled over a dead store")
	}
	revive()
	_, err := b.eng.Do(ctx, "shop", incident.Cancel{}, me)
	must(t, err)
	if in, err := b.eng.Incident(context.Background(), id); err != nil || in.Phase != incident.Cancelled || in.Impact == nil {
		t.Fatalf("the retry says it is done, and the incident is at %s, measured as %+v (%v)", in.Phase, in.Impact, err)
	}
}

// refuse makes the boat's store refuse what holds the text.
func (b *boat) refuse(text string) (revive func()) {
	b.t.Helper()
	f := &frail{Store: b.store}
	b.stopC()
	b.store = f
	b.control()
	b.homeSeen(probe.Up)
	no := func(writes []store.Write) bool {
		return slices.ContainsFunc(writes, func(w store.Write) bool { return strings.Contains(string(w.Value), text) })
	}
	f.refuse.Store(&no)
	return func() { f.refuse.Store(nil) }
}

// leaving is a context that ends when something is written that holds the text.
func (b *boat) leaving(text string) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	b.t.Cleanup(cancel)
	f := &frail{Store: b.store}
	b.stopC()
	b.store = &after{Store: f.Store, text: text, then: cancel}
	b.control()
	b.homeSeen(probe.Up)
	return ctx
}

// after calls then once something was written that holds the text.
type after struct {
	store.Store
	text string
	then func()
}

func (a *after) Txn(ctx context.Context, conds []store.Cond, writes []store.Write) (store.Revision, error) {
	rev, err := a.Store.Txn(ctx, conds, writes)
	if err == nil && slices.ContainsFunc(writes, func(w store.Write) bool { return strings.Contains(string(w.Value), a.text) }) {
		a.then()
	}
	return rev, err
}

// says is what the status page says now.
func (b *boat) says(text string) bool {
	b.t.Helper()
	req, err := http.NewRequest(http.MethodGet, b.origin.URL, nil)
	must(b.t, err)
	req.URL.Host = strings.Replace(req.URL.Host, "127.0.0.1", "127.0.0.8", 1)
	req.Host = "shop.example.com"
	resp, err := http.DefaultClient.Do(req)
	must(b.t, err)
	defer func() { _ = resp.Body.Close() }()
	var all strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := resp.Body.Read(buf)
		all.Write(buf[:n])
		if err != nil {
			break
		}
	}
	return strings.Contains(all.String(), text)
}

func TestTheStatusPageSaysWhatWasSentThoughTheSenderHasLeft(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	ctx := b.leaving(string(incident.UpdateSent))
	must(t, b.pull("to-standby", "it is down"))
	_, err := b.eng.Do(ctx, "shop", incident.SendUpdate{Audience: incident.Public, Text: "We are looking into it."}, me)
	must(t, err)
	b.eventually("it is on the status page", func() bool { return b.says("We are looking into it.") })
}

func TestThePublicWordOverRestartsAndToItsEnd(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	const word = "We are looking into it."
	must(t, b.pull("to-standby", "it is down"))
	b.do(incident.SendUpdate{Audience: incident.Public, Text: word}, me)
	b.eventually("it is on the status page", func() bool { return b.says(word) })
	b.restart(nil)
	b.ready()
	b.eventually("it is there after a restart of control", func() bool { return b.says(word) })
	b.stopA()
	b.startAnswer()
	b.eventually("it is there after a restart of answer", func() bool { return b.says(word) })
	b.ready()
	b.homeSeen(probe.Up)
	b.goBack()
	b.do(incident.SendUpdate{Audience: incident.Public, Text: "It is over.", Final: true}, me)
	dead, revive := b.deadAfter(string(incident.ClosedType))
	_, err := b.eng.Do(context.Background(), "shop", incident.Close{Reason: "a test needs no write-up"}, me)
	if !dead.Load() {
		t.Fatalf("it was not closed: %v", err)
	}
	b.stopC()
	revive()
	b.control()
	b.ready()
	b.eventually("it is gone with the incident", func() bool { return !b.says(word) && !b.says("It is over.") })
}

func TestAHomeMadePermanentIsNoChangeOfTheConfiguration(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	b.serveBackup()
	must(t, b.pull("to-backup", "it is down"))
	b.do(incident.MakePermanent{Reason: "The old machine is gone."}, me)
	b.restart(nil)
	b.ready()
	got, err := b.eng.Changes(context.Background(), ledger.Query{})
	must(t, err)
	for _, c := range got {
		if c.Kind == "configuration" {
			t.Errorf("the ledger says: %s", c.What)
		}
	}
}

func TestAHomeMadePermanentSurvivesTheCrashBeforeItWasPublished(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	b.serveBackup()
	dead, revive := b.deadAfter(string(incident.LeverSettled))
	must(t, b.pull("to-backup", "it is down"))
	_, _ = b.eng.Do(context.Background(), "shop", incident.MakePermanent{Reason: "The old machine is gone."}, me)
	if !dead.Load() {
		t.Fatal("it was not recorded")
	}
	b.stopC()
	revive()
	b.control()
	b.ready()
	if o := b.overview().Sites[0]; !o.Ordered.Home || o.Ordered.Position != "backup" || b.addr() != "127.0.0.9" {
		t.Fatalf("%+v, DNS answers %s", o.Ordered, b.addr())
	}
	b.eventually("watched, and over", func() bool { return b.phase() == incident.Review })
	b.do(incident.Close{Reason: "a test needs no write-up"}, me)
	b.restart(func(s string) string { // the file agrees
		return strings.Replace(strings.Replace(s, "    origins:", "    home: backup\n    origins:", 1), "to: backup", "to: main", 1)
	})
	b.ready()
	if o := b.overview(); len(o.Warnings) != 0 && strings.Contains(strings.Join(o.Warnings, " "), "home") || b.phase() != incident.None || b.addr() != "127.0.0.9" {
		t.Fatalf("%v, %s, DNS answers %s", o.Warnings, b.phase(), b.addr())
	}
}

func TestANewStoreAfterAHomeWasMadePermanent(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	b.serveBackup()
	must(t, b.pull("to-backup", "it is down"))
	b.do(incident.MakePermanent{Reason: "The old machine is gone."}, me)
	b.stopC()
	b.store = mem.New(mem.Options{})
	b.with.Ledger = nil
	b.control()
	b.ready()
	if got := b.addr(); got != "127.0.0.9" || b.phase() != incident.FailOver && b.phase() != incident.Diagnose {
		t.Fatalf("DNS answers %s in %s", got, b.phase())
	}
	b.eventually("seen", func() bool { return b.phase() == incident.Diagnose })
	b.do(incident.MakePermanent{Reason: "The old machine is still gone."}, me)
	b.eventually("over", func() bool { return b.phase() == incident.Review })
}

func TestEvidenceIsCollectedThoughControlDiedRightAfterTheDeclaration(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	dead, revive := b.deadAfter(string(incident.Declared))
	_, err := b.eng.Do(context.Background(), "shop", incident.Declare{}, me)
	if !dead.Load() {
		t.Fatalf("it was not declared: %v", err)
	}
	b.stopC()
	revive()
	b.control()
	b.ready()
	b.eventually("evidence", func() bool {
		return slices.ContainsFunc(b.state().Evidence, func(e incident.Evidence) bool { return e.Kind == "http" && e.SHA256 != "" })
	})
}

func TestWhoMetTheStatusPageIsCountedOverARestartOfControl(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	must(t, b.pull("to-standby", "it is down"))
	b.eventually("the page is up", func() bool { return b.says("taking a break") }) // it is rendered beside the move
	for range 7 {
		b.says("")
	}
	b.eventually("seven came", func() bool { return b.overview().Sites[0].Visits.Failover >= 7 })
	b.do(incident.Note{Text: "A note."}, me)
	b.restart(nil)
	b.homeSeen(probe.Up)
	for range 3 {
		b.says("")
	}
	b.eventually("ten came", func() bool { return b.overview().Sites[0].Visits.Failover >= 10 })
	b.goBack()
	b.eventually("measured", func() bool { return b.state().Impact != nil })
	if n := b.state().Impact.StandbyHit; n < 10 {
		t.Errorf("%d requests met the status page, not ten", n)
	}
}

func TestAFixWaitsForItsActionBeforeItIsTakenBack(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	b.stopC()
	let := make(chan struct{})
	var mu sync.Mutex
	var said []string
	running := 0
	b.with.Run = func(ctx context.Context, j engine.Job) engine.Ran {
		mu.Lock()
		running++
		if running > 1 {
			said = append(said, "two at once")
		}
		said = append(said, j.Key[strings.LastIndex(j.Key, "-f"):])
		mu.Unlock()
		if !j.Undo {
			select {
			case <-let:
			case <-ctx.Done():
			}
		}
		mu.Lock()
		running--
		mu.Unlock()
		return engine.Ran{OK: true}
	}
	b.control()
	b.homeSeen(probe.Up)
	must(t, b.pull("to-backup", "it is down"))
	b.do(incident.ProposeFix{Change: "Restart it", Action: "restart", Promise: incident.Promise{Check: "home"}, Reason: "a test"}, me)
	b.do(incident.ApplyFix{Reason: "a test"}, me)
	must(t, b.pull("to-standby", "the backup is down, too"))
	b.do(incident.TakeBackFix{}, me)
	for range 5 { // the loop has every chance to begin the undo
		b.do(incident.Note{Text: "A note."}, me)
		time.Sleep(20 * time.Millisecond)
	}
	close(let)
	b.eventually("rolled back", func() bool { f, _ := b.state().LastFix(); return f.State == incident.StateRolledBack })
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(said, " "); got != "-f1 -f1-undo" {
		t.Errorf("it ran: %s", got)
	}
}

func TestAPromiseIsMeasuredAgainInEachWatch(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	must(t, b.pull("to-standby", "it is down"))
	b.do(incident.ReportFix{Change: "Restarted it", Promise: incident.Promise{Check: "home", Within: time.Second}}, me)
	b.eventually("worked", func() bool { f, _ := b.state().LastFix(); return f.State == incident.StateWorked })
	b.do(incident.GoBack{}, me)
	b.eventually("measured again", func() bool { f, _ := b.state().LastFix(); return f.Again == "pass" && b.phase() == incident.Watch })
	b.do(incident.StepBack{}, me)
	b.do(incident.GoBack{Because: "It was something else."}, me)
	b.eventually("watched again", func() bool { return b.phase() == incident.Watch || b.phase() == incident.Review })
	b.eventually("over", func() bool { return b.phase() == incident.Review })
	n := 0
	for _, e := range b.intact(b.state().ID) {
		if e.Type == incident.FixAgain {
			n++
		}
	}
	if n != 2 {
		t.Errorf("the promise was measured again %d times in two watches", n)
	}
}

func TestALeverIsProposedThoughAnotherOneIsParked(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	must(t, b.pull("close-checkout", "orders fail"))
	must(t, b.pull("to-standby", "the rest fails, too"))
	b.do(incident.ParkLever{Lever: "close-checkout", Owner: "Bob", Until: b.now().Add(time.Hour), Reason: "until Monday"}, me)
	b.goBack()
	b.up.Store("down", true)
	b.homeSeen(probe.Down)
	b.eventually("proposed", func() bool { return b.state().Proposed == "to-standby" })
}

func TestTwoHomesAreMadePermanentAtOnce(t *testing.T) {
	t.Parallel()
	for range 3 {
		b := launchLoop(t)
		b.restart(twoSites)
		b.ready()
		b.serveBackup()
		ctx := context.Background()
		must(t, b.pull("to-backup", "it is down"))
		_, err := b.eng.Do(ctx, "api", engine.PullRequest{Lever: "api-to-backup", PullLever: incident.PullLever{Reason: "it is down"}}, me)
		must(t, err)
		var wg sync.WaitGroup
		for _, site := range []string{"shop", "api"} {
			wg.Go(func() {
				if _, err := b.eng.Do(ctx, site, incident.MakePermanent{Reason: "The old machine is gone."}, me); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, s := range b.overview().Sites {
			if !s.Ordered.Home {
				t.Fatalf("%s is not at home: %+v", s.ID, s.Ordered)
			}
		}
	}
}

func TestWordsForAnIncidentAreNotPutIntoAnother(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	ctx := context.Background()
	first := b.do(incident.Declare{Title: "First"}, me).ID
	b.do(incident.Cancel{}, me)
	second := b.do(incident.Declare{Title: "Second"}, me).ID
	if _, err := b.eng.DoIn(ctx, first, incident.Note{Text: "about the first one"}, me); err == nil {
		t.Error("a note for an incident that has ended was taken")
	}
	for _, e := range b.intact(second) {
		if e.Type == incident.NoteAdded {
			t.Errorf("the second incident has the note of the first: %s", e.Text)
		}
	}
}

func TestWhatIsOwedIsWrittenDownThoughTheIncidentEndsAtThatMoment(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	ctx := context.Background()
	for range 20 {
		id := b.do(incident.Declare{}, me).ID
		var wg sync.WaitGroup
		var owed error
		wg.Go(func() {
			_, owed = b.eng.DoIn(ctx, id, incident.AddFollowUp{FollowUp: incident.FollowUp{What: "Look at it"}}, me)
		})
		wg.Go(func() { b.do(incident.Cancel{}, me) })
		wg.Wait()
		must(t, owed)
		b.intact(id)
	}
}

func TestTheTailStaysShort(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	id := b.do(incident.Declare{}, me).ID
	b.do(incident.Cancel{}, me)
	for range 30 {
		_, err := b.eng.DoIn(context.Background(), id, incident.AddFollowUp{FollowUp: incident.FollowUp{What: "Look at it"}}, me)
		must(t, err)
	}
	if n := len(b.overview().Sites[0].Tail); n != 12 {
		t.Errorf("a look has %d events", n)
	}
}
