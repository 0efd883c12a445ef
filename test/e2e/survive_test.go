package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"lifeboat/internal/api"
	"lifeboat/internal/incident"
	"lifeboat/internal/role"
)

// TestStoreDeletedInAFix: the record is gone while a prepared act runs. Visitors stay
// where they are safe, and the way home is there.
func TestStoreDeletedInAFix(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Failover: "off", Ready: func(b *Boat) {
		b.site += quickFixes
		b.more += fmt.Sprintf("actions:\n  slow: {title: Rebuild the index, exec: [/bin/sh, -c, 'echo begun >> %s; sleep 2'], undo: none}\n", b.acts())
	}})
	ada, ben := b.Person("Ada", role.Operator), b.Person("Ben", role.Commander)
	b.Load()
	b.main.Down()
	b.Pull("to-standby")
	const site = "/sites/shop"
	ada.Do(site+"/fixes", api.FixBody{Change: "Rebuild the index.", Check: "home", WayBack: "None.", Takes: "two seconds", Action: "slow", Reason: "It is the index."}, nil)
	ben.Do(site+"/fix/approve", nil, nil)
	ada.Do(site+"/fix/begin", nil, nil)
	b.Eventually("the act runs", func() bool { return b.ran()["begun"] == 1 })
	b.NoControl()
	for _, f := range b.storeFiles() {
		b.Must(os.Remove(f))
	}
	b.ControlAgain()
	b.found(standby)
	if in := b.Incident(); len(in.Fixes) != 0 {
		t.Errorf("a new record knows of the fix: %+v", in.Fixes)
	}
	if s, err := ada.Send(http.MethodPost, site+"/notes", "", api.NoteBody{Text: "x"}); err != nil || s.status != http.StatusUnauthorized {
		t.Errorf("a token that the record no longer has: %v %s", err, s)
	}
	ada, ben = b.Person("Ada", role.Operator), b.Person("Ben", role.Commander)
	b.main.Up()
	ada.Do(site+"/fixes/report", api.ReportBody{Change: "The index was being rebuilt.", Check: "home", Within: "1m"}, nil)
	b.Eventually("the reported fix is seen to work", func() bool { f, found := b.Incident().LastFix(); return found && f.State == incident.StateWorked })
	b.Moving(home)
	ada.Do(site+"/go-back", nil, nil)
	b.AwaitPhase(incident.Watch, incident.Review)
	b.Moved(home)
	b.AwaitPhase(incident.Review)
	ben.Do(site+"/close", api.ReasonBody{Reason: "This was a test."}, nil)
	whole(b, b.OneIncident())
	b.Settle()
	if n := b.ran()["begun"]; n != 1 {
		t.Errorf("the act was run %d times", n)
	}
}

// TestFullDiskWhileLooking: people look for the cause while no byte fits on the disk any
// more. What was taken is there afterwards; what could not be kept was told so.
func TestFullDiskWhileLooking(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	if dir == "" {
		return
	}
	b := Launch(t, Options{Folder: dir, Failover: "off", Ready: func(b *Boat) { b.withRepair(); b.withCapture() }})
	ada, ben := b.Person("Ada", role.Operator), b.Person("Ben", role.Commander)
	b.Load()
	ballast := b.fill()
	b.Pull("to-standby")
	b.degrade()
	l := &looking{b: b, ada: ada, ben: ben}
	l.look()
	b.KillControl()
	l.check()

	b.Must(os.Remove(ballast))
	b.Eventually("the record is complete again", func() bool { o, err := b.Status(); return err == nil && !o.Record.Degraded })
	l.check()
	b.KillControl()
	l.check()
	if s := ada.attach("later.txt", "text/plain", []byte("now it fits")); !s.ok() {
		t.Errorf("a file is not kept although there is room again: %s", s)
	}
	b.GoBack()
	whole(b, b.OneIncident())
	b.Settle()
}

type looking struct {
	b        *Boat
	ada, ben *Person
	told     []string
}

func (l *looking) say(what string) string {
	text := fmt.Sprintf("No %02d: %s.", len(l.told), what)
	l.told = append(l.told, text)
	return text
}

// look writes causes and evidence on the full disk.
func (l *looking) look() {
	t := l.b.t
	t.Helper()
	const site = "/sites/shop"
	for i := range 5 {
		l.ada.Do(site+"/causes", api.CauseBody{Statement: l.say("it might be this"), Prediction: "We should see it."}, nil)
		title := l.say("seen")
		l.ben.Do(site+"/evidence/notes", api.EvidenceNoteBody{Title: title}, nil)
		for _, e := range l.b.Incident().Evidence {
			if e.Title == title {
				l.ada.Do(fmt.Sprintf("%s/causes/c%d/weigh", site, i+1), api.WeighBody{Evidence: e.ID, Stance: "for"}, nil)
			}
		}
		l.ada.Do(fmt.Sprintf("%s/causes/c%d/test", site, i+1), api.TestBody{Outcome: "unclear", Saw: l.say("nobody can tell")}, nil)
	}
	if s := l.ada.attach("big.bin", "application/octet-stream", make([]byte, 100<<10)); s.status != http.StatusServiceUnavailable {
		t.Errorf("a file that does not fit: %s", s)
	}
	l.b.Must(l.b.Post(site+"/evidence/capture", nil, nil))
	l.b.Eventually("what was seen from outside is told, and that its body was not kept", func() bool {
		for _, e := range l.b.Incident().Evidence {
			if e.Kind == "http" && e.Summary != "" && e.SHA256 == "" && strings.Contains(e.Problem, "not kept") {
				return true
			}
		}
		return false
	})
	if o, err := l.b.Status(); err != nil || !o.Record.Degraded {
		t.Errorf("the status does not say that the record is degraded: %v, %+v", err, o.Record)
	}
	l.ada.Do(site+"/causes/c1/confirm", api.ConfirmBody{Also: []string{"c2", "c3", "c4", "c5"}, Reason: l.say("we have to go on")}, nil)
}

// check looks for all that was taken.
func (l *looking) check() {
	t := l.b.t
	t.Helper()
	l.b.Expect(standby)
	line := l.b.OneIncident()
	whole(l.b, line)
	for _, text := range l.told {
		if n := timesSaid(line.Events, text); n < 1 {
			t.Errorf("%q is lost", text)
		}
	}
	for kind, want := range map[incident.Type]int{incident.CauseOpened: 5, incident.CauseWeighed: 5, incident.CauseTested: 5, incident.DiagnosisConfirmed: 1} {
		if n := count(line.Events, kind); n != want {
			t.Errorf("%d %s, not %d", n, kind, want)
		}
	}
}

// TestLocalPullInterruptsAFix: a fix is under way, control is dead, and somebody pulls a
// lever at answer. The way to safety goes before the lock (U11), and whoever comes
// back finds the fix interrupted.
func TestLocalPullInterruptsAFix(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Failover: "off", Ready: (*Boat).withRepair})
	ada, ben := b.Person("Ada", role.Operator), b.Person("Ben", role.Commander)
	b.Load()
	const site = "/sites/shop"
	ada.Do(site+"/declare", api.DeclareBody{Title: "It is slow"}, nil)
	ada.Do(site+"/no-failover", api.ReasonBody{Reason: "It is slow, and it works."}, nil)
	ada.Do(site+"/fixes", api.FixBody{Change: "Another index.", Check: "home", Within: "1m", WayBack: "Drop it.", Takes: "a minute", Reason: "It is the index."}, nil)
	ben.Do(site+"/fix/approve", nil, nil)
	ada.Do(site+"/fix/begin", nil, nil)
	b.NoControl()
	b.Moving(standby)
	if said, err := b.Run("answer", "pull", "to-standby", "--data", b.data); err != nil {
		t.Fatalf("answer pull: %v %s", err, said)
	}
	b.Moved(standby)
	b.ControlAgain()
	b.Eventually("the record has the pull, and the fix as interrupted", func() bool {
		in := b.Incident()
		f, flies := in.FixInFlight()
		return flies && f.State == incident.StateInterrupted && len(in.Holding()) == 1
	})
	ada.Refused("R10", site+"/go-back", api.GoBackBody{Because: "I think it works."})
	ada.Do(site+"/fix/measure", nil, nil)
	b.Eventually("the fix is seen to work", func() bool { f, found := b.Incident().LastFix(); return found && f.State == incident.StateWorked })
	b.Moving(home)
	ada.Do(site+"/go-back", nil, nil)
	b.AwaitPhase(incident.Watch, incident.Review)
	b.Moved(home)
	whole(b, b.OneIncident())
	b.Settle()
}
