package engine_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"lifeboat/internal/engine"
	"lifeboat/internal/incident"
	"lifeboat/internal/journal"
	"lifeboat/internal/ledger"
	"lifeboat/internal/outbox"
	"lifeboat/internal/probe"
	"lifeboat/internal/store"
	"lifeboat/internal/store/mem"
)

// ailing is a store that can't be written while it is ill.
type ailing struct {
	*mem.Store
	ill atomic.Bool
}

func (a *ailing) Txn(ctx context.Context, conds []store.Cond, writes []store.Write) (store.Revision, error) {
	if a.ill.Load() {
		return 0, io.ErrShortWrite
	}
	return a.Store.Txn(ctx, conds, writes)
}

func TestTheLoopOverADegradedRecord(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	b.stopC()
	j, err := journal.Open(b.dir+"/journal", 0)
	must(t, err)
	t.Cleanup(func() { _ = j.Close() })
	primary := &ailing{Store: mem.New(mem.Options{})}
	g, err := store.Guard(context.Background(), primary, j, store.GuardOptions{Log: b.logs})
	must(t, err)
	b.store = g
	b.with.Ledger = ledger.New(ledger.Options{Store: g, Now: b.now, NewID: newID})
	b.control()
	b.homeSeen(probe.Up)
	primary.ill.Store(true)
	must(t, b.pull("to-standby", "it is down"))
	b.eventually("evidence", func() bool { return len(b.state().Evidence) >= 3 })
	b.do(incident.OpenCause{Statement: "The disk is full"}, me)
	b.do(incident.SendUpdate{Audience: incident.Public, Text: "We know."}, me)
	b.do(incident.ReportFix{Change: "Made room", Promise: incident.Promise{Check: "home"}}, me)
	b.eventually("worked", func() bool { f, _ := b.state().LastFix(); return f.State == incident.StateWorked })
	id := b.state().ID
	b.stopC() // and control is killed, with nothing in the primary
	g, err = store.Guard(context.Background(), primary, j, store.GuardOptions{Log: b.logs})
	must(t, err)
	b.store = g
	b.with.Ledger = ledger.New(ledger.Options{Store: g, Now: b.now, NewID: newID})
	b.control()
	b.homeSeen(probe.Up)
	if in := b.state(); in.ID != id || len(in.Causes) != 1 || b.addr() != "127.0.0.8" {
		t.Fatalf("after the restart: %s, %d causes, DNS answers %s", in.ID, len(in.Causes), b.addr())
	}
	primary.ill.Store(false)
	g.Merge(context.Background())
	b.do(incident.GoBack{}, me)
	b.eventually("over", func() bool { return b.phase() == incident.Review })
	b.intact(id)
}

// told is what a box of messages was given.
type told struct{ n atomic.Int64 }

func (o *told) Write(m outbox.Message) store.Write {
	o.n.Add(1)
	return store.Write{Key: "outbox/" + m.ID, Value: m.Body}
}
func (o *told) Queue(context.Context) ([]outbox.Message, error) { return nil, nil }
func (o *told) Retry(context.Context, string) error             { return nil }
func (o *told) Drop(context.Context, string) error              { return nil }

func TestADrillTellsNobodyAndLeavesNothing(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	b.stopC()
	news := &told{}
	b.with.Outbox, b.with.Channels = news, []engine.Channel{{Name: "all", Tells: []string{"public", "staff", "leaders", "incident"}}}
	b.control()
	b.homeSeen(probe.Up)
	ctx := context.Background()
	b.drill("to-standby", "close-checkout")
	all, err := b.eng.Changes(ctx, ledger.Query{})
	must(t, err)
	if news.n.Load() != 0 || len(all) != 0 {
		t.Fatalf("a drill has sent %d messages and changed the ledger: %+v", news.n.Load(), all)
	}
	must(t, b.pull("close-checkout", ""))
	b.eventually("its own evidence is there", func() bool {
		return slices.ContainsFunc(b.state().Evidence, func(e incident.Evidence) bool { return e.Kind == "http" })
	})
	sent := news.n.Load()
	b.drill("to-standby", "close-checkout") // with an incident open
	if got := b.state(); got.Drill || len(got.Pulls) != 1 || news.n.Load() != sent || b.checkout() != "false" {
		t.Fatalf("a drill during an incident: %d pulls, %d messages, the checkout is ordered %q", len(got.Pulls), news.n.Load()-sent, b.checkout())
	}
	heads, err := b.eng.Incidents(ctx)
	must(t, err)
	for _, h := range heads {
		in, err := b.eng.Incident(ctx, h.ID)
		must(t, err)
		if h.Drill && (len(in.Evidence) != 0 || len(in.Changes) != 0 || in.Impact != nil) {
			t.Errorf("the drill %s has collected something: %+v", h.ID, in)
		}
	}
}

// A site that breaks again while people write is not over: the incident is back where
// visitors are made safe, what it looks like is captured, and the same lever is there.
func TestItBreaksAgainDuringTheWriteUp(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	must(t, b.pull("to-standby", "it is down"))
	b.eventually("evidence", func() bool { return len(b.state().Evidence) > 0 })
	b.goBack()
	pieces := len(b.state().Evidence)
	b.up.Store("down", true)
	b.eventually("it is not over", func() bool { return b.phase() == incident.FailOver })
	b.eventually("evidence of now", func() bool { return len(b.state().Evidence) > pieces })
	must(t, b.pull("to-standby", "it is down again"))
}

// Who has moved what is told right in the ledger: one has pulled, another led the return.
func TestTheLedgerNamesWhoLedTheReturn(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	must(t, b.pull("to-standby", "it is down"))
	b.do(incident.GoBack{Because: "It is well again."}, bob)
	b.eventually("back home", func() bool { return b.phase() == incident.Review })
	all, err := b.eng.Changes(context.Background(), ledger.Query{})
	must(t, err)
	who := map[bool]string{}
	for _, c := range all {
		who[strings.Contains(c.What, "put back")] = c.Who
	}
	if who[false] != "Ada" || who[true] != "Bob" {
		t.Errorf("the ledger says who pulled and who put back: %v", who)
	}
}

// Whoever puts a parked lever back after the return is named for it, not who led the
// return.
func TestTheLedgerNamesWhoPutAParkedLeverBack(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	must(t, b.pull("close-checkout", "it is down"))
	b.do(incident.ParkLever{Lever: "close-checkout", Owner: "Bob", Until: b.now().Add(time.Hour), Reason: "The supplier mends it."}, me)
	must(t, b.pull("to-standby", "it is down"))
	b.do(incident.GoBack{Because: "It is well again."}, bob)
	b.eventually("back home", func() bool { return b.phase() == incident.Review })
	b.do(incident.PutBack{Lever: "close-checkout"}, me)
	all, err := b.eng.Changes(context.Background(), ledger.Query{})
	must(t, err)
	for _, c := range all {
		if strings.Contains(c.What, "put back") && strings.Contains(c.What, "checkout") && c.Who == "Bob" {
			t.Errorf("the ledger names who led the return: %+v", c)
		}
	}
}

// While an incident is open resolvers keep no answer for long: it may have to change.
func TestAnswersAreNotKeptLongDuringAnIncident(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	b.restart(func(s string) string { return strings.Replace(s, "ttl: 60s", "ttl: 300s", 1) })
	b.homeSeen(probe.Up)
	ttl := func() uint32 {
		m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion("shop.example.com.", dns.TypeA), b.dns.String())
		must(t, err)
		return m.Answer[0].Header().Ttl
	}
	b.eventually("five minutes in calm", func() bool { return ttl() == 300 || ttl() == 150 })
	b.do(incident.Declare{}, me)
	b.eventually("a minute at the most", func() bool { return ttl() == 60 })
	b.do(incident.Cancel{Reason: "a false alarm"}, me)
	b.eventually("five minutes again", func() bool { return ttl() == 300 || ttl() == 150 })
}

// An incident about a site that stays down has an end: who goes on although the checks
// fail is not taken back to the first step by what was known then.
func TestASiteThatStaysDownIsNoRelapse(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	must(t, b.pull("to-standby", "it is down"))
	b.up.Store("down", true)
	b.homeSeen(probe.Down)
	b.do(incident.GoBack{Because: "It will never come back."}, me)
	b.do(incident.Advance{Reason: "The shop is closed for good."}, me)
	b.eventually("back", func() bool { return b.phase() == incident.Watch })
	b.do(incident.WatchOver{Reason: "There is nothing to watch."}, me)
	id := b.state().ID
	b.eventually("it is looked at again", func() bool {
		for _, e := range b.intact(id) {
			if e.Type == incident.WatchRelapse {
				t.Fatalf("a relapse: %s", e.Text)
			}
		}
		return b.state().Proposed != ""
	})
	b.do(incident.Close{Reason: "The shop is closed for good."}, me)
}
