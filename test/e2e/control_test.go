package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/answer"
	"lifeboat/internal/incident"
)

// soak says whether the long forms of the tests are asked for.
func soak() bool { return os.Getenv("LIFEBOAT_SOAK") == "1" }

func TestControlKilled(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{})
	b.Load()
	served := b.Running(b.Answer)
	for range 3 {
		b.KillControl()
	}
	b.Pull("to-standby")
	b.KillControl()
	b.Expect(standby)
	b.GoBack()
	b.KillControl()
	b.Close()
	if b.Running(b.Answer) != served {
		t.Error("answer was started again with control")
	}
	line := b.OneIncident()
	if n := count(line.Events, incident.LeverSeen); n != 1 {
		t.Errorf("the lever's effect was recorded %d times\n%s", n, b.Story())
	}
	b.Settle()
}

// seenLine is how control logs a transition.
var seenLine = regexp.MustCompile(`msg="answer has seen a change" .*place=main .*to=(\w+) at=(\S+)`)

func TestControlStopped(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{})
	b.Load()
	d := 6 * time.Second
	if soak() {
		d = time.Minute
	}
	control, answering := b.Running(b.Control), b.Running(b.Answer)
	b.Signal(control, unix.SIGSTOP)
	stopped := time.Now()
	b.flap(5 * time.Second) // whatever is allocated once: the compressors of pages, and room for what they write
	before := rss(t, answering)
	flips := b.flap(d)
	after := rss(t, answering)
	t.Logf("answer's memory: %d KiB before, %d KiB after %d flips", before, after, flips)
	if after > before+8<<10 {
		t.Errorf("answer's memory grew from %d KiB to %d KiB while control was stopped", before, after)
	}
	b.main.Up()
	b.Eventually("the origin is seen up at answer", func() bool {
		r, err := b.Order(answer.Request{Do: "status"})
		return err == nil && r.Status.Seen["shop main"] == "up"
	})
	resumed := time.Now()
	b.Signal(control, unix.SIGCONT)
	b.Eventually("every report has been fetched", func() bool {
		r, err := b.Order(answer.Request{Do: "status"})
		return err == nil && r.Status.Waiting == 0
	})
	b.checkSeen(stopped, resumed, flips)
	b.Eventually("home is seen up at control", func() bool { return b.seen(b.Site(), home) == "up" })
	b.Expect(home)
	b.Pull("to-standby")
	b.GoBack()
	b.OneIncident()
	b.Settle()
}

// flap takes the site down and up until the time is over, each as soon as the one
// before has been seen, and says how often.
func (b *Boat) flap(d time.Duration) (flips int) {
	b.t.Helper()
	end := time.Now().Add(d)
	for time.Now().Before(end) {
		for _, want := range []string{"down", "up"} {
			if want == "down" {
				b.main.Down()
			} else {
				b.main.Up()
			}
			b.Eventually("answer sees the site "+want, func() bool {
				r, err := b.Order(answer.Request{Do: "status"})
				return err == nil && r.Status.Seen["shop main"] == want
			})
			flips++
		}
	}
	return flips
}

// checkSeen checks that control was told of every change, in order and with the
// times at which they were seen.
func (b *Boat) checkSeen(from, to time.Time, atLeast int) {
	b.t.Helper()
	var lines [][]string
	b.Eventually("control tells of every change", func() bool {
		lines = lines[:0]
		for _, l := range seenLine.FindAllStringSubmatch(b.Log(), -1) {
			if at, err := time.Parse(time.RFC3339Nano, l[2]); err == nil && at.After(from) && at.Before(to) {
				lines = append(lines, l)
			}
		}
		return len(lines) >= atLeast
	})
	last, want := from, "down"
	for _, l := range lines {
		at, _ := time.Parse(time.RFC3339Nano, l[2])
		if at.Before(last) || l[1] != want {
			b.t.Fatalf("%s at %s does not follow %s (want %s)", l[1], at, last, want)
		}
		last = at
		want = map[string]string{"down": "up", "up": "down"}[want]
	}
}

// rss is how much memory of a process is resident, in KiB.
func rss(t *testing.T, pid int) int {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			n, _ := strconv.Atoi(f[1])
			return n
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// crash makes control die at a point of the next act.
func (b *Boat) crash(point string) {
	b.t.Helper()
	b.Must(os.WriteFile(filepath.Join(b.dir, "crash"), []byte(point), 0o600))
}

func (b *Boat) crashed() bool {
	_, err := os.Stat(filepath.Join(b.dir, "crash"))
	return err != nil
}

func TestCrashPoints(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"intent recorded", "ordered", "observed", "outcome recorded"} {
		t.Run(strings.ReplaceAll(point, " ", "_"), func(t *testing.T) {
			t.Parallel()
			b := Launch(t, Options{})
			b.Load()
			b.crashInPull(point)
			b.crashInReturn(point)
			b.Settle()
		})
	}
}

func (b *Boat) crashInPull(point string) {
	t := b.t
	t.Helper()
	old := b.Running(b.Control)
	b.crash(point)
	b.Moving(standby)
	if err := b.Post("/levers/to-standby/pull", nil, nil); err == nil {
		t.Errorf("the pull was answered although control died at %q", point)
	}
	if !b.crashed() {
		t.Fatalf("the act never came to %q", point)
	}
	b.AwaitControl(old)
	b.AwaitPhase(incident.Diagnose)
	b.Moved(standby)
	line := b.OneIncident()
	for kind, want := range map[incident.Type]int{incident.Declared: 1, incident.LeverApplying: 1, incident.LeverActive: 1, incident.LeverSeen: 1, incident.LeverUnknown: 0, incident.LeverFailed: 0} {
		if n := count(line.Events, kind); n != want {
			t.Errorf("after a crash at %q: %d %s, not %d\n%s", point, n, kind, want, b.Story())
		}
	}
}

func (b *Boat) crashInReturn(point string) {
	t := b.t
	t.Helper()
	old := b.Running(b.Control)
	b.crash(point)
	b.Moving(home)
	_ = b.Post("/sites/shop/go-back", map[string]string{"because": "The release was taken back."}, nil)
	b.Eventually("control dies on the way back at "+point, b.crashed)
	b.AwaitControl(old)
	b.AwaitPhase(incident.Review)
	b.Moved(home)
	line := b.OneIncident()
	for kind, want := range map[incident.Type]int{incident.LeverUndoing: 1, incident.LeverUndone: 1, incident.ReturnCompleted: 1, incident.LeverUnknown: 0, incident.SteppedBack: 0} {
		if n := count(line.Events, kind); n != want {
			t.Errorf("after a crash at %q on the way back: %d %s, not %d\n%s", point, n, kind, want, b.Story())
		}
	}
}

// TestDirectlyHome: from home to the backup, on to the standby, and straight back;
// nobody is sent to the backup again, which may be down.
func TestDirectlyHome(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{})
	b.Load()
	b.Pull("to-backup")
	b.backup.Down()
	b.Pull("to-standby")
	b.GoBack()
	if n := count(b.OneIncident().Events, incident.LeverUndone); n != 2 {
		t.Errorf("%d levers are put back, not 2\n%s", n, b.Story())
	}
	b.Settle()
}

func TestSecondControl(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{})
	b.Load()
	old := b.Running(b.Control)
	said, err := b.Run("control", "--data", b.data, "--config", b.config, "--http", b.Addr(9)+":0", "--dns", b.DNS(), "--standby-http", b.host(3), "--ofrep", b.Flags())
	if err == nil || !strings.Contains(said, "another") || !strings.Contains(said, "--data") {
		t.Errorf("a second control: %v, said %q", err, said)
	}
	said, err = b.Run(b.serveArgs()...)
	if err == nil || !strings.Contains(said, "another lifeboat serve") {
		t.Errorf("a second serve: %v, said %q", err, said)
	}
	if b.Running(b.Control) != old {
		t.Error("the first control is not the one that answers any more")
	}
	b.Pull("to-standby")
	b.Settle()
}

func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{})
	b.Load()
	b.Pull("to-standby")
	b.NoControl()
	b.Eventually("control says what is wrong", func() bool { return strings.Contains(b.Log(), "nmes") })
	for _, want := range []string{"lifeboat.yaml:1", "names"} {
		if !strings.Contains(b.Log(), want) {
			t.Errorf("the log does not say %q", want)
		}
	}
	b.Expect(standby)
	status, body, err := fetch(b.host(3), "shop.example.com", "/")
	if err != nil || status != 503 || !strings.Contains(body, "Example Shop") {
		t.Errorf("the standby without control: %d %v", status, err)
	}
	b.ControlAgain()
	b.GoBack()
	b.Settle()
}
