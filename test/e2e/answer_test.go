package e2e

import (
	"crypto/ed25519"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/answer"
	"lifeboat/internal/incident"
	"lifeboat/internal/slot"
	"lifeboat/internal/snapshot"
)

func TestAnswerKilledWithoutControl(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{})
	b.Load()
	b.Pull("to-standby")
	b.NoControl()
	for range 3 {
		b.KillAnswer()
		b.Expect(standby)
	}
	b.ControlAgain()
	stopped := b.Running(b.Control)
	b.Signal(stopped, unix.SIGSTOP)
	b.KillAnswer()
	b.Expect(standby)
	b.Signal(stopped, unix.SIGCONT)
	b.AwaitControl(0)
	b.GoBack()
	b.OneIncident()
	b.Settle()
}

func TestLocalOrder(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{})
	b.Load()
	b.NoControl()
	b.Moving(standby)
	before := time.Now()
	said, err := b.Run("answer", "pull", "to-standby", "--data", b.data)
	if err != nil {
		t.Fatalf("answer pull: %v: %s", err, said)
	}
	b.Moved(standby)
	after := time.Now()
	if _, err := b.Order(answer.Request{Do: "pull", Lever: "to-backup"}); err == nil || !strings.Contains(err.Error(), "U1") {
		t.Errorf("a local order away from safety: %v", err)
	}
	b.KillAnswer()
	b.Expect(standby)
	b.ControlAgain()
	b.AwaitPhase(incident.Diagnose, incident.FailOver)
	b.takenOver(before, after)
	b.Expect(standby)
	b.GoBack()
	b.Settle()
}

// takenOver checks that the one incident tells of a local order at its own time, and
// that answer holds it no longer.
func (b *Boat) takenOver(from, to time.Time) {
	b.t.Helper()
	b.Eventually("answer's order was taken over", func() bool {
		r, err := b.Order(answer.Request{Do: "status"})
		return err == nil && len(r.Status.Orders) == 0 && r.Status.Waiting == 0
	})
	for _, e := range b.OneIncident().Events {
		if e.AtSource == incident.FromRecalled && !e.At.Before(from.Truncate(time.Millisecond)) && e.At.Before(to) {
			return
		}
	}
	b.t.Errorf("nothing in the timeline has the local order's time, %s to %s\n%s", from.Format("05.000"), to.Format("05.000"), b.Story())
}

// TestLocalOrderWhileStopped: control is there but stands still; it hears of the
// order when it goes on.
func TestLocalOrderWhileStopped(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{})
	b.Load()
	control := b.Running(b.Control)
	b.Signal(control, unix.SIGSTOP)
	b.Moving(standby)
	before := time.Now()
	_, err := b.Order(answer.Request{Do: "pull", Lever: "to-standby"})
	b.Must(err)
	b.Moved(standby)
	after := time.Now()
	b.Signal(control, unix.SIGCONT)
	b.AwaitPhase(incident.Diagnose, incident.FailOver)
	b.takenOver(before, after)
	b.GoBack()
	b.Settle()
}

// TestSilence: control stands still, the site goes down, and answer moves visitors
// by itself.
func TestSilence(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Failover: "auto"})
	b.Load()
	control := b.Running(b.Control)
	b.Signal(control, unix.SIGSTOP)
	b.Moving(standby)
	before := time.Now()
	b.main.Down()
	b.Eventually("answer fails over by itself", func() bool {
		got, err := lookup(b.DNS(), "shop.example.com.")
		return err == nil && got == b.address(standby)
	})
	b.Moved(standby)
	after := time.Now()
	b.KillAnswer()
	b.Expect(standby)
	b.Signal(control, unix.SIGCONT)
	b.AwaitPhase(incident.Diagnose, incident.FailOver)
	b.takenOver(before, after)
	b.Expect(standby)
	b.GoBack()
	b.Settle()
}

// TestSilenceHeard is the same with an answer that lives on, so that control hears
// of the site's fall first and of the order later.
func TestSilenceHeard(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Failover: "auto"})
	b.Load()
	control := b.Running(b.Control)
	b.Signal(control, unix.SIGSTOP)
	b.Moving(standby)
	before := time.Now()
	b.main.Down()
	b.Eventually("answer fails over by itself", func() bool {
		got, err := lookup(b.DNS(), "shop.example.com.")
		return err == nil && got == b.address(standby)
	})
	b.Moved(standby)
	after := time.Now()
	b.Signal(control, unix.SIGCONT)
	b.AwaitPhase(incident.Diagnose, incident.FailOver)
	b.takenOver(before, after)
	b.GoBack()
	b.Settle()
}

// TestStaleNews: with automatic failover, what happened while control stood still
// and is over moves nobody.
func TestStaleNews(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Failover: "auto"})
	b.Configure(strings.ReplaceAll(b.sample(), "silence: 1s", "silence: 1h"))
	b.KillControl()
	b.Load()
	control := b.Running(b.Control)
	b.Signal(control, unix.SIGSTOP)
	b.flap(4 * time.Second)
	b.Signal(control, unix.SIGCONT)
	b.Eventually("every report has been fetched", func() bool {
		r, err := b.Order(answer.Request{Do: "status"})
		return err == nil && r.Status.Waiting == 0
	})
	b.Eventually("home is seen up at control", func() bool { return b.seen(b.Site(), home) == "up" })
	b.Expect(home)
	b.Settle()
}

// TestDamagedSnapshot: what is kept on disk is damaged while control is dead.
func TestDamagedSnapshot(t *testing.T) {
	t.Parallel()
	damages := map[string]func(t *testing.T, file string, old []byte){
		"truncated": func(t *testing.T, file string, _ []byte) {
			info, err := os.Stat(file)
			if err == nil {
				err = os.Truncate(file, info.Size()/2)
			}
			if err != nil {
				t.Fatal(err)
			}
		},
		"newest torn": func(t *testing.T, file string, _ []byte) { tear(t, file) },
		"older": func(t *testing.T, file string, old []byte) {
			if err := os.WriteFile(file, old, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"forged": func(t *testing.T, file string, _ []byte) { forge(t, file) },
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := Launch(t, Options{})
			b.Load()
			file := filepath.Join(b.data, "answer", "manifest.slot")
			old, err := os.ReadFile(file)
			b.Must(err)
			b.Pull("to-standby")
			b.NoControl()
			damage(t, file, old)
			b.KillAnswer()
			b.Expect(standby)
			b.KillAnswer()
			b.Expect(standby)
			b.ControlAgain()
			b.Expect(standby)
			b.GoBack()
			b.OneIncident()
			b.Settle()
		})
	}
}

// newest says which half of a slot file holds the newest value.
func newest(t *testing.T, raw []byte) (half []byte) {
	t.Helper()
	n := len(raw) / 2
	seq := func(b []byte) (out uint64) {
		for _, c := range b[8:16] {
			out = out<<8 | uint64(c)
		}
		return out
	}
	if seq(raw[n:]) > seq(raw[:n]) {
		return raw[n:]
	}
	return raw[:n]
}

// tear overwrites a part of the newest value.
func tear(t *testing.T, file string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	clear(newest(t, raw)[100:200])
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// forge writes a newer manifest that sends everybody home, signed by somebody else.
func forge(t *testing.T, file string) {
	t.Helper()
	f, err := slot.Open(file, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	raw, _, err := f.Read()
	if err != nil {
		t.Fatal(err)
	}
	var s snapshot.Signed
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	m, err := snapshot.Decode(s.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	m.Revision += 100
	o := m.Sites["shop"]
	o.Position = home
	m.Sites["shop"] = o
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = snapshot.Sign(m, key); err != nil {
		t.Fatal(err)
	}
	if raw, err = json.Marshal(s); err != nil {
		t.Fatal(err)
	}
	if err := f.Write(raw); err != nil {
		t.Fatal(err)
	}
}

// TestLoneAnswer: an answer that nobody has told whom to trust says how to.
func TestLoneAnswer(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Still: true})
	p := b.Start("answer", "--data", b.data, "--dns", b.DNS(), "--standby-http", b.host(3), "--ofrep", b.Flags())
	defer func() { p.Signal(unix.SIGTERM); p.WaitFor(10 * time.Second) }()
	b.Eventually("it can be asked", func() bool { _, err := b.Order(answer.Request{Do: "status"}); return err == nil })
	r, err := b.Order(answer.Request{Do: "status"})
	if err != nil || r.Ready {
		t.Fatalf("an answer without a key: ready %v, %v", r.Ready, err)
	}
	said, err := b.Run("answer", "status", "--data", b.data)
	if err != nil || !strings.Contains(said, "lifeboat answer trust KEY") || !strings.Contains(said, "not ready") {
		t.Errorf("its status does not name the command: %v %s", err, said)
	}
	b.Eventually("its log names the command", func() bool { return strings.Contains(b.Log(), "lifeboat answer trust") })

	key, err := b.Run("control", "key", "--data", b.data)
	b.Must(err)
	if said, err = b.Run("answer", "trust", strings.TrimSpace(key), "--data", b.data); err != nil {
		t.Fatalf("answer trust: %v %s", err, said)
	}
	c := b.Start("control", "--data", b.data, "--config", b.config, "--http", b.Console(), "--dns", b.DNS(), "--standby-http", b.host(3), "--ofrep", b.Flags())
	defer func() { c.Signal(unix.SIGTERM); c.WaitFor(10 * time.Second) }()
	b.AwaitControl(0)
	b.Expect(home)
}
