package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/engine"
	"lifeboat/internal/evidence"
	"lifeboat/internal/fault"
	"lifeboat/internal/incident"
	"lifeboat/internal/ledger"
	"lifeboat/internal/probe"
)

// launchLoop is a boat with everything that the whole loop uses.
func launchLoop(t *testing.T) *boat {
	t.Helper()
	b := launch(t, "propose")
	b.stopC()
	bodies, err := evidence.Open(filepath.Join(b.dir, "evidence"), 1<<30)
	must(t, err)
	book := ledger.New(ledger.Options{Store: b.store, Now: b.now, NewID: newID})
	b.with = engine.Company{
		Bodies: bodies, Ledger: book, Others: func(incident.Actor) int { return 1 },
		Acts: []engine.Act{{Name: "restart", Title: "Restart the shop", Site: "shop", Undo: true}, {Name: "break", Title: "Fails", Site: "shop"}},
		Run: func(_ context.Context, j engine.Job) engine.Ran {
			if j.Action == "break" {
				return engine.Ran{Detail: "it ended with exit code 1", Output: "no such release"}
			}
			b.up.Store("down", false)
			return engine.Ran{OK: true, Output: "restarted"}
		},
	}
	b.control()
	b.homeSeen(probe.Up)
	return b
}

var bob = incident.Actor{Kind: "person", ID: "bob", Name: "Bob", Via: "web", Role: "operator"}

func (b *boat) do(c incident.Command, by incident.Actor) incident.Incident {
	b.t.Helper()
	res, err := b.eng.Do(context.Background(), "shop", c, by)
	if _, is := c.(incident.Declare); is && fault.KindOf(err) == fault.Conflict {
		return b.state() // on a busy machine the checks may have been late, and have declared it
	}
	must(b.t, err)
	return res.Incident
}

func (b *boat) refused(c incident.Command, by incident.Actor, rule string) {
	b.t.Helper()
	_, err := b.eng.Do(context.Background(), "shop", c, by)
	var r *fault.Refusal
	if !errors.As(err, &r) || r.Rule != rule {
		b.t.Fatalf("%T: want %s, got %v", c, rule, err)
	}
}

func (b *boat) state() incident.Incident {
	b.t.Helper()
	in := b.overview().Sites[0].Incident
	if in == nil {
		return incident.Incident{}
	}
	return *in
}

func TestTheWholeLoop(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	ctx := context.Background()
	_, err := b.eng.AddChange(ctx, ledger.Change{At: b.now().Add(-4 * time.Minute), Site: "shop", Source: "ci", Kind: "deploy", Who: "ci", What: "Release 412"}, me)
	must(t, err)
	b.up.Store("down", true)
	b.homeSeen(probe.Down)
	must(t, b.pull("to-standby", "not rehearsed, but the shop is down"))
	b.eventually("evidence from outside", func() bool {
		in := b.state()
		return slices.ContainsFunc(in.Evidence, func(e incident.Evidence) bool { return e.Kind == "http" && e.SHA256 != "" }) &&
			slices.ContainsFunc(in.Evidence, func(e incident.Evidence) bool { return e.Kind == "dns" })
	})
	b.eventually("the change and the outage", func() bool { in := b.state(); return len(in.Changes) == 1 && len(in.Sights) > 0 })
	piece := b.state().Evidence[0]
	_, body, err := b.eng.Evidence(ctx, b.state().ID, piece.ID)
	must(t, err)
	if raw, err := io.ReadAll(body); err != nil || int64(len(raw)) != piece.Size {
		t.Errorf("%s has %d bytes, its body %d (%v)", piece.ID, piece.Size, len(raw), err)
	}
	must(t, body.Close())
	b.do(incident.SendUpdate{Audience: incident.Public, Text: "We know and are looking into it.", NextIn: time.Minute}, me)
	b.refused(incident.ProposeFix{Change: "Restart it"}, me, "R6")
	b.do(incident.OpenCause{Statement: "Release 412 broke the front page", Prediction: "it fails since the release"}, me)
	b.do(incident.OpenCause{Statement: "The machine is overloaded"}, bob)
	b.do(incident.WeighCause{Cause: "c1", Evidence: b.state().Changes[0].ID, Stance: incident.For}, me)
	b.do(incident.TestCause{Cause: "c1", Outcome: incident.TestHeld}, me)
	b.refused(incident.ConfirmCause{Cause: "c1"}, me, "R6")
	b.do(incident.RuleOut{Cause: "c2", Reason: "Its load is low."}, bob)
	b.do(incident.ConfirmCause{Cause: "c1", Factors: []string{"Nobody looked after the release."}}, me)

	b.do(incident.ProposeFix{Change: "Clear the cache", Promise: incident.Promise{Check: "home", Within: 500 * time.Millisecond}, WayBack: "Nothing to take back"}, me)
	b.refused(incident.ApplyFix{}, me, "R9")
	b.refused(incident.ApproveFix{}, me, "R9")
	b.do(incident.ApproveFix{}, bob)
	b.do(incident.ApplyFix{}, me)
	b.refused(incident.GoBack{}, me, "R10")
	b.do(incident.FixCarriedOut{OK: true}, me)
	b.eventually("no effect", func() bool { f, _ := b.state().LastFix(); return f.State == incident.StateNoEffect })
	b.do(incident.TakeBackFix{}, me)
	b.do(incident.FixTakenBack{OK: true}, me)
	if b.phase() != incident.Diagnose || b.state().Diagnosis != nil {
		t.Fatalf("after the first fix: %s, %+v", b.phase(), b.state().Diagnosis)
	}
	b.do(incident.ConfirmCause{Cause: "c1"}, me)
	second := incident.ProposeFix{Change: "Put release 411 back", Action: "restart", Promise: incident.Promise{Check: "home", Within: 5 * time.Second}}
	b.refused(second, me, "R11")
	second.Reason = "The release is the only thing left."
	b.do(second, me)
	b.do(incident.ApproveFix{}, bob)
	b.do(incident.ApplyFix{}, me)
	b.eventually("worked", func() bool { f, _ := b.state().LastFix(); return f.State == incident.StateWorked })
	b.do(incident.GoBack{}, me)
	b.eventually("review", func() bool { return b.phase() == incident.Review })
	in := b.state()
	if f, _ := in.LastFix(); f.Again != "pass" || f.Output != "restarted" {
		t.Errorf("the promise was not measured again: %+v", f)
	}
	b.eventually("measured", func() bool { m := b.state().Impact; return m != nil && m.ExposedMS > 0 && m.AwayMS > 0 })
	b.refused(incident.Close{}, me, "R18")
	b.do(incident.JudgeFinding{Finding: incident.Finding{About: incident.AboutProcess, Text: "Releases go out with nobody watching."}}, me)
	b.do(incident.AddFollowUp{FollowUp: incident.FollowUp{What: "Watch each release for ten minutes", Owner: "Ada", Due: b.now().Add(time.Hour), DoneWhen: "It is in the checklist"}}, me)
	_, err = b.eng.FinishWriteUp(ctx, in.ID, me)
	must(t, err)
	b.refused(incident.Close{}, me, "R21")
	b.do(incident.SendUpdate{Audience: incident.Public, Text: "It is over.", Final: true}, me)
	b.do(incident.Close{}, me)
	res, err := b.eng.DoIn(ctx, in.ID, incident.EndFollowUp{ID: "a1", State: "done"}, bob)
	must(t, err)
	if res.Incident.FollowUps[0].State != "done" {
		t.Errorf("the follow-up is %+v", res.Incident.FollowUps[0])
	}
	b.intact(in.ID)
}

// intact checks an incident's chain.
func (b *boat) intact(id string) []incident.Event {
	b.t.Helper()
	events, err := b.eng.Events(context.Background(), id)
	must(b.t, err)
	must(b.t, incident.Verify(events))
	return events
}

func TestAnActionThatFailsAsksForALook(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	must(t, b.pull("to-standby", "a rehearsal of sorts"))
	b.do(incident.ProposeFix{Change: "Break it more", Action: "break", WayBack: "by hand", Promise: incident.Promise{Check: "home"}, Reason: "to see it fail"}, me)
	b.do(incident.ApplyFix{Reason: "to see it fail"}, me)
	b.eventually("interrupted", func() bool { f, _ := b.state().FixInFlight(); return f.State == incident.StateInterrupted })
	f, _ := b.state().FixInFlight()
	if !strings.Contains(f.Result, "exit code 1") || f.Output != "no such release" {
		t.Errorf("%+v", f)
	}
	b.refused(incident.GoBack{Because: "never mind"}, me, "R10")
	b.do(incident.KeepFix{Reason: "It changed nothing."}, me)
	b.do(incident.GoBack{Because: "The shop is well."}, me)
}

func TestAWriteIsDoneOnce(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	ctx := engine.WithKey(context.Background(), "key-1")
	for range 3 {
		_, err := b.eng.Do(ctx, "shop", incident.Declare{Title: "Slow"}, me)
		must(t, err)
	}
	note := engine.WithKey(context.Background(), "key-2")
	for range 3 {
		_, err := b.eng.Do(note, "shop", incident.Note{Text: "seen once"}, me)
		must(t, err)
	}
	b.stopC()
	b.control() // also over a restart
	_, err := b.eng.Do(note, "shop", incident.Note{Text: "seen once"}, me)
	must(t, err)
	n := 0
	for _, e := range b.intact(b.state().ID) {
		if e.Type == incident.NoteAdded {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d notes", n)
	}
}

func TestAnOldPageDoesNothing(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	id := b.do(incident.Declare{}, me).ID
	old := engine.WithExpect(context.Background(), engine.Expect{Incident: id, Phase: incident.FailOver})
	must(t, b.pull("to-standby", "it is down"))
	_, err := b.eng.Do(old, "shop", incident.Cancel{}, me)
	if !errors.Is(err, engine.ErrStale) {
		t.Fatalf("got %v", err)
	}
	_, err = b.eng.Do(old, "shop", incident.Note{Text: "words are never lost"}, me)
	must(t, err)
	_, err = b.eng.Do(old, "shop", engine.PullRequest{Lever: "close-checkout", PullLever: incident.PullLever{Reason: "towards safety"}}, me)
	must(t, err)
}

func TestRolesBind(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	viewer, reporter := bob, bob
	viewer.Role, reporter.Role = "viewer", "reporter"
	_, err := b.eng.Do(context.Background(), "shop", incident.Declare{}, viewer)
	if fault.KindOf(err) != fault.Denied {
		t.Fatalf("a viewer declares: %v", err)
	}
	_, err = b.eng.Do(context.Background(), "shop", engine.PullRequest{Lever: "to-standby", PullLever: incident.PullLever{Reason: "nothing loads"}}, reporter)
	must(t, err)
	_, err = b.eng.Do(context.Background(), "shop", incident.GoBack{Because: "no"}, reporter)
	if fault.KindOf(err) != fault.Denied {
		t.Fatalf("a reporter goes back: %v", err)
	}
}

// serveBackup lets the backup answer like the home.
func (b *boat) serveBackup() {
	b.t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.9:%d", b.origin.Listener.Addr().(*net.TCPAddr).Port))
	must(b.t, err)
	srv := &http.Server{Handler: b.origin.Config.Handler}
	go func() { _ = srv.Serve(l) }()
	b.t.Cleanup(func() { _ = srv.Close() })
	b.eventually("backup seen up", func() bool { return b.overview().Sites[0].Seen[1].Seen == probe.Up })
}

func TestParkedAndPermanent(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	ctx := context.Background()
	b.serveBackup()
	must(t, b.pull("close-checkout", "orders fail"))
	must(t, b.pull("to-backup", "the rest fails, too"))
	b.do(incident.ParkLever{Lever: "close-checkout", Owner: "Bob", Until: b.now().Add(time.Hour), Reason: "until Monday"}, me)
	b.do(incident.MakePermanent{Reason: "The old machine is gone."}, me)
	b.eventually("review", func() bool { return b.phase() == incident.Review })
	if got := b.addr(); got != "127.0.0.9" {
		t.Fatalf("DNS answers %s", got)
	}
	first := b.state().ID
	b.do(incident.Close{Reason: "a test needs no write-up"}, me)
	o := b.overview()
	if len(o.Sites[0].Parked) != 1 || !o.Sites[0].Ordered.Home || o.Sites[0].Ordered.Position != "backup" || len(o.Warnings) == 0 {
		t.Fatalf("%+v", o.Sites[0])
	}
	b.stopC()
	b.control()
	b.eventually("connected", func() bool { return b.overview().Answer.Ready })
	o = b.overview()
	if len(o.Sites[0].Parked) != 1 || !o.Sites[0].Ordered.Home || b.phase() != incident.None {
		t.Fatalf("after a restart: %+v", o.Sites[0])
	}
	b.homeSeen(probe.Up)
	b.do(incident.GoBack{Because: "It is Monday."}, me)
	b.eventually("back", func() bool { return b.phase() == incident.Review && len(b.overview().Sites[0].Parked) == 0 })
	if id := b.state().ID; id == first {
		t.Error("the same incident")
	}
	_, orders := b.eng.Features()
	if len(orders) != 0 {
		t.Errorf("still ordered: %+v", orders)
	}
	b.do(incident.Close{Reason: "done"}, me)
	if heads, err := b.eng.Incidents(ctx); err != nil || len(heads) != 2 {
		t.Errorf("%d incidents, %v", len(heads), err)
	}
}

func TestARestartInTheMiddleOfAnAction(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	began, let := make(chan struct{}, 1), make(chan struct{})
	b.stopC()
	b.with.Run = func(ctx context.Context, j engine.Job) engine.Ran {
		began <- struct{}{}
		select {
		case <-let:
		case <-ctx.Done():
		}
		return engine.Ran{OK: true}
	}
	b.control()
	b.homeSeen(probe.Up)
	must(t, b.pull("to-standby", "it is down"))
	b.do(incident.ProposeFix{Change: "Restart it", Action: "restart", Promise: incident.Promise{Check: "home"}, Reason: "a test"}, me)
	b.do(incident.ApplyFix{Reason: "a test"}, me)
	<-began
	b.stopC()
	close(let)
	b.control()
	b.eventually("interrupted", func() bool { f, _ := b.state().FixInFlight(); return f.State == incident.StateInterrupted })
	select {
	case <-began:
		t.Error("the action was run a second time by itself")
	default:
	}
	b.do(incident.MeasureFix{}, me)
	b.eventually("worked", func() bool { f, _ := b.state().LastFix(); return f.State == incident.StateWorked })
}

func TestARedactedBodyIsDeleted(t *testing.T) {
	t.Parallel()
	b := launchLoop(t)
	ctx := context.Background()
	id := b.do(incident.Declare{}, me).ID
	for _, name := range []string{"a.txt", "the same.txt"} {
		_, err := b.eng.Attach(ctx, "shop", engine.File{Name: name, Body: strings.NewReader("a customer's address")}, me)
		must(t, err)
	}
	var pieces []incident.Evidence
	for _, e := range b.state().Evidence {
		if e.Kind == "file" {
			pieces = append(pieces, e)
		}
	}
	gone := func() bool { _, _, err := b.with.Bodies.Get(pieces[0].SHA256); return err != nil }
	b.do(incident.Redact{Evidence: pieces[0].ID, Reason: "It shows an address."}, me)
	if _, body, err := b.eng.Evidence(ctx, id, pieces[1].ID); err != nil || gone() {
		t.Fatalf("the other piece has lost its body: %v", err)
	} else {
		must(t, body.Close())
	}
	b.do(incident.Redact{Evidence: pieces[1].ID, Reason: "It shows it, too."}, me)
	b.eventually("deleted", gone)
}
