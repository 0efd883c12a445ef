package e2e

import (
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/api"
	"lifeboat/internal/incident"
)

// TestChaos: there and back again and again, and each time something is killed or
// stopped at a random moment of it. Whoever pressed presses again when told that it
// failed, as people do.
func TestChaos(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{})
	b.Load()
	rounds := 6
	if soak() {
		rounds = 100
	}
	for round := range rounds {
		b.amid(func() { b.insist(standby, "/levers/to-standby/pull", map[string]string{"reason": "Round and round."}) })
		b.amid(func() { b.insist(home, "/sites/shop/go-back", api.GoBackBody{Because: "Round and round."}) })
		b.AwaitPhase(incident.Review)
		b.Eventually("it can be closed", func() bool {
			return b.Post("/sites/shop/close", api.ReasonBody{Reason: "This was a test."}, nil) == nil || b.Phase() == incident.Closed
		})
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	lines := b.Incidents()
	if len(lines) != rounds {
		t.Errorf("%d incidents in %d rounds", len(lines), rounds)
	}
	for _, line := range lines {
		if applied, undone := count(line.Events, incident.LeverApplying), count(line.Events, incident.LeverUndone); undone > applied {
			t.Errorf("%d levers put back, %d pulled\n%s", undone, applied, b.Story())
		}
	}
	b.Settle()
}

// amid does something while something else goes wrong.
func (b *Boat) amid(act func()) {
	b.t.Helper()
	control, answering := b.Running(b.Control), b.Running(b.Answer)
	var wg sync.WaitGroup
	wg.Go(func() {
		time.Sleep(time.Duration(rand.IntN(12000)) * time.Microsecond)
		switch rand.IntN(4) {
		case 0, 1:
			b.Signal(control, unix.SIGKILL)
		case 2:
			b.Signal(answering, unix.SIGKILL)
		case 3:
			b.Signal(control, unix.SIGSTOP)
			time.Sleep(200 * time.Millisecond)
			b.Signal(control, unix.SIGCONT)
		}
	})
	act()
	wg.Wait()
}

// insist presses until visitors are there, for good.
func (b *Boat) insist(to, path string, body any) {
	b.t.Helper()
	b.Moving(to)
	deadline := time.Now().Add(within)
	for {
		err := b.Post(path, body, nil)
		if poll(4*time.Second, func() bool { return b.arrived(to) }) {
			break
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("visitors do not come to %s; the last press said: %v\n%s", to, err, b.Story())
		}
	}
	b.Moved(to)
}

// arrived says whether the record and the world agree that visitors are there.
func (b *Boat) arrived(to string) bool {
	s := b.Site()
	got, err := lookup(b.DNS(), "shop.example.com.")
	if s.Incident == nil || s.Ordered.Position != to || err != nil || got != b.address(to) {
		return false
	}
	for _, p := range s.Incident.Pulls {
		if p.State == incident.Applying || p.State == incident.Undoing {
			return false
		}
	}
	if to == home {
		return s.Incident.Phase == incident.Watch || s.Incident.Phase == incident.Review
	}
	return s.Incident.Phase == incident.Diagnose
}

// TestManyPress: everybody presses at once; one lever is pulled once.
func TestManyPress(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{})
	b.Load()
	b.Moving(standby)
	var mu sync.Mutex
	done := 0
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			post := b.Post
			if i%2 == 0 {
				post = b.PostRoot
			}
			err := post("/levers/to-standby/pull", nil, nil)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				done++
			} else if !strings.Contains(err.Error(), "409") {
				t.Errorf("a press failed with %v", err)
			}
		})
	}
	wg.Wait()
	b.Moved(standby)
	if line := b.OneIncident(); done != 1 || count(line.Events, incident.LeverApplying) != 1 {
		t.Errorf("%d presses counted\n%s", done, b.Story())
	}
	b.Settle()
}

// TestAnswerStopped: a press while answer stands still can't be said to have worked;
// when it goes on, order and world agree, and the return works.
func TestAnswerStopped(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{})
	answering := b.Running(b.Answer)
	b.Signal(answering, unix.SIGSTOP)
	if err := b.Post("/levers/to-standby/pull", map[string]string{"reason": "It is urgent."}, nil); err == nil {
		t.Error("a press while answer stood still is said to have worked")
	}
	if in := b.Site().Incident; in == nil || len(in.Pulls) != 1 || in.Pulls[0].State == incident.Active {
		t.Errorf("the record says %+v", in)
	}
	b.Signal(answering, unix.SIGCONT)
	b.AwaitControl(0)
	b.Eventually("order and world agree", func() bool {
		got, err := lookup(b.DNS(), "shop.example.com.")
		return err == nil && got == b.address(b.Site().Ordered.Position)
	})
	if b.Site().Ordered.Position == home {
		b.Pull("to-standby")
	}
	b.Expect(standby)
	b.GoBack()
	b.OneIncident()
}

// TestControlFolderLost: key, token and store are gone. Visitors stay where they are;
// answer takes the new control's word only when a person says so.
func TestControlFolderLost(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{})
	b.Load()
	b.Pull("to-standby")
	b.NoControl()
	b.Must(os.RemoveAll(filepath.Join(b.data, "control")))
	b.Configure(b.sample())
	b.Eventually("control runs again", func() bool { return b.Control() != 0 })
	b.Eventually("control says what is missing", func() bool {
		o, err := b.Status()
		return err == nil && strings.Contains(o.Answer.Problem, "lifeboat answer trust")
	})
	if b.Ready() {
		t.Error("a control that answer does not trust says that it is ready")
	}
	b.Expect(standby)
	b.KillAnswer()
	b.Expect(standby)
	key, err := b.Run("control", "key", "--data", b.data)
	b.Must(err)
	said, err := b.Run("answer", "trust", strings.TrimSpace(key), "--data", b.data)
	if err != nil {
		t.Fatalf("answer trust: %v %s", err, said)
	}
	b.AwaitControl(0)
	b.found(standby)
	b.GoBack()
	b.OneIncident()
	b.Settle()
}

// flag is what an application is told of a feature, over OFREP.
func (b *Boat) flag(key string) string {
	b.t.Helper()
	var out struct {
		Value any `json:"value"`
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: plain}
	err := b.ask(client, http.MethodPost, "http://"+b.Flags()+"/ofrep/v1/evaluate/flags/"+key, map[string]any{"context": map[string]any{}}, &out)
	if err != nil {
		return err.Error()
	}
	if out.Value == true {
		return "on"
	}
	return "off"
}

// TestFlag: a kill switch flows like everything else, and needs control no more than
// everything else.
func TestFlag(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{})
	expect := func(want string) {
		t.Helper()
		if got := b.flag("checkout"); got != want {
			t.Errorf("the checkout is %s, not %s", got, want)
		}
	}
	expect("on")
	b.Must(b.Post("/levers/close-checkout/pull", api.ReasonBody{Reason: "Never rehearsed."}, nil))
	expect("off")
	b.KillAnswer()
	expect("off")
	b.Must(b.Post("/levers/close-checkout/put-back", nil, nil))
	expect("on")
	b.NoControl()
	said, err := b.Run("answer", "pull", "close-checkout", "--data", b.data)
	if err != nil {
		t.Fatalf("answer pull: %v %s", err, said)
	}
	expect("off")
	b.KillAnswer()
	expect("off")
	b.ControlAgain()
	b.Eventually("it is on record", func() bool { in := b.Site().Incident; return in != nil && len(in.Holding()) == 1 })
	expect("off")
	b.GoBack()
	expect("on")
}
