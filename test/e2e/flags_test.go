package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/api"
)

// copyKey is the key of the copy beside the application.
const copyKey = "the-key-of-a-copy"

// withCopies adds a key for copies to the configuration.
func withCopies(b *Boat) {
	sum := sha256.Sum256([]byte(copyKey))
	b.more += fmt.Sprintf("ofrep: {keys: {beside: {sha256: %s, for: copies}}}\n", hex.EncodeToString(sum[:]))
	b.Must(os.WriteFile(filepath.Join(b.dir, "copy.key"), []byte(copyKey+"\n"), 0o600))
}

// copied starts a copy of the kill switches, as beside an application, and gives where
// it answers.
func (b *Boat) copied() (at string, p *Process) {
	at = b.host(7)
	return at, b.Start("answer", "--ofrep-only", "--upstream", "http://"+b.Flags(), "--key-file", filepath.Join(b.dir, "copy.key"), "--data", filepath.Join(b.dir, "copy"), "--ofrep", at)
}

// closedAt is what an application with a time limit is told of the checkout, and since when
// that may be old.
func (b *Boat) closedAt(at string) (value, stale string) {
	b.t.Helper()
	var out struct {
		Value    any
		Metadata map[string]string
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: plain}
	if err := b.ask(client, http.MethodPost, "http://"+at+"/ofrep/v1/evaluate/flags/checkout", map[string]any{"context": map[string]any{}}, &out); err != nil {
		return err.Error(), ""
	}
	return fmt.Sprint(out.Value), out.Metadata["stale_since"]
}

// asking asks again and again, and counts each answer that is another than "closed". A
// question that was under way in a process that was killed has its line cut, and is asked
// once more, as any client does: that one has to be answered.
type asking struct {
	b     *Boat
	wrong []string
	count int
	again int
	end   chan struct{}
	group sync.WaitGroup
}

func (b *Boat) keepAsking(at string) *asking {
	a := &asking{b: b, end: make(chan struct{})}
	a.group.Go(func() { // ends by stop
		for {
			select {
			case <-a.end:
				return
			case <-time.After(2 * time.Millisecond):
			}
			a.count++
			v, _ := b.closedAt(at)
			if strings.HasSuffix(v, "connection reset by peer") || strings.HasSuffix(v, "EOF") {
				a.again++
				v, _ = b.closedAt(at)
			}
			if v != "false" {
				a.wrong = append(a.wrong, v)
			}
		}
	})
	return a
}

// stop ends the asking, in which answer was killed so many times.
func (a *asking) stop(kills int) {
	a.b.t.Helper()
	close(a.end)
	a.group.Wait()
	if a.again > kills {
		a.b.t.Errorf("%d of %d questions had to be asked again, and answer was killed %d times", a.again, a.count, kills)
	}
	if len(a.wrong) > 0 || a.count == 0 {
		a.b.t.Errorf("of %d questions %d were answered otherwise: %.200q", a.count, len(a.wrong), a.wrong[:min(3, len(a.wrong))])
	}
}

// TestFlagsWithoutTheRest: with the disk full, the store gone and control killed or
// hung, every question is answered with the last value, after restarts too, by answer
// and by a copy beside the application.
func TestFlagsWithoutTheRest(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	if dir == "" {
		return
	}
	b := Launch(t, Options{Folder: dir, Ready: withCopies, Undrilled: true})
	at, beside := b.copied()
	b.Eventually("the copy answers", func() bool { v, _ := b.closedAt(at); return v == "true" })
	b.Must(b.Post("/levers/close-checkout/pull", api.ReasonBody{Reason: "Never rehearsed."}, nil))
	b.Eventually("the copy has heard", func() bool { v, stale := b.closedAt(at); return v == "false" && stale == "" })
	b.Eventually("the copy is counted", func() bool {
		o, err := b.Status()
		return err == nil && o.Answer.Heard.Copies.Clients == 1 && o.Answer.Heard.Copies.Heard == 1
	})
	b.fill()
	asked := b.keepAsking(b.Flags())
	copy := b.keepAsking(at)
	b.Kill(b.Running(b.Control))
	for _, f := range b.storeFiles() {
		b.Must(os.Remove(f))
	}
	control := b.Running(b.Control)
	b.Signal(control, unix.SIGSTOP)
	b.KillAnswer()
	b.KillAnswer()
	asked.stop(2)
	b.Signal(control, unix.SIGKILL)

	// Without any lifeboat but the copy.
	b.serve.Signal(unix.SIGKILL)
	b.serve.WaitFor(within)
	for _, pid := range []int{b.Control(), b.Answer()} {
		if pid > 1 {
			b.Kill(pid)
		}
	}
	b.Eventually("lifeboat is gone", func() bool { v, _ := b.closedAt(b.Flags()); return v != "false" && v != "true" })
	copy.stop(0)
	beside.Signal(unix.SIGKILL)
	beside.WaitFor(within)
	at, beside = b.copied()
	defer func() { beside.Signal(unix.SIGTERM); beside.WaitFor(10 * time.Second) }()
	b.Eventually("the copy answers after a restart, and says that it may be old", func() bool { v, stale := b.closedAt(at); return v == "false" && stale != "" })
}

// TestCopyIsTold: what a copy refuses, and says.
func TestCopyIsTold(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Still: true, Ready: withCopies})
	file, empty := filepath.Join(b.dir, "copy.key"), filepath.Join(b.dir, "empty")
	b.Must(os.WriteFile(empty, []byte("\n"), 0o600))
	for want, args := range map[string][]string{
		"--ofrep-only needs --upstream":        {"--ofrep-only", "--key-file", file},
		"--ofrep-only needs --key-file":        {"--ofrep-only", "--upstream", "http://127.0.0.1:1"},
		"--upstream goes with --ofrep-only":    {"--upstream", "http://127.0.0.1:1"},
		"--dns does not go with --ofrep-only":  {"--ofrep-only", "--upstream", "http://127.0.0.1:1", "--key-file", file, "--dns", b.DNS()},
		"the upstream's address can't be used": {"--ofrep-only", "--upstream", "127.0.0.1:1", "--key-file", file, "--ofrep", b.host(7)},
		"the file has no key in it":            {"--ofrep-only", "--upstream", "http://127.0.0.1:1", "--key-file", empty, "--ofrep", b.host(7)},
		"can be reached from other machines":   {"--ofrep-only", "--upstream", "http://127.0.0.1:1", "--key-file", file, "--ofrep", "0.0.0.0:0"},
		"the key can't be read":                {"--ofrep-only", "--upstream", "http://127.0.0.1:1", "--key-file", file + "x", "--ofrep", b.host(7)},
	} {
		said, err := b.Run(append([]string{"answer", "--data", filepath.Join(b.dir, "copy")}, args...)...)
		if err == nil || !strings.Contains(said, want) || strings.Contains(said, copyKey) {
			t.Errorf("%v: %v %s", args, err, said)
		}
	}
}

// TestFeaturesAreTold: what is known of a feature, and when its lever was rehearsed.
func TestFeaturesAreTold(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Undrilled: true})
	said := func(args ...string) string {
		t.Helper()
		out, err := b.Run(append(args, "--data", b.data)...)
		if err != nil {
			t.Fatalf("%v: %v %s", args, err, out)
		}
		return out
	}
	for _, want := range []string{"checkout", "true", "close-checkout", "never", "Card payments"} {
		if out := said("features"); !strings.Contains(out, want) {
			t.Errorf("nothing is told of %q:\n%s", want, out)
		}
	}
	b.Must(b.Post("/levers/close-checkout/drill", nil, nil))
	b.Must(b.Post("/levers/close-checkout/pull", nil, nil))
	if out := said("features"); !strings.Contains(out, "false, ordered") || !strings.Contains(out, "armed") {
		t.Errorf("closed:\n%s", out)
	}
	for _, want := range []string{"not written down", "programs on servers", "close-checkout: pulled, rehearsed", "incident"} {
		if out := said("features", "show", "checkout"); !strings.Contains(out, want) {
			t.Errorf("nothing is told of %q:\n%s", want, out)
		}
	}
	var all api.Features
	b.Must(json.Unmarshal([]byte(said("features", "--json")), &all))
	if len(all.Features) != 1 || len(all.Features[0].Levers) != 1 || !all.Features[0].Levers[0].Drill.OK || all.Features[0].Ordered == nil {
		t.Errorf("%+v", all)
	}
	if out, err := b.Run("features", "show", "moon", "--data", b.data); err == nil || !strings.Contains(out, `no feature "moon"`) {
		t.Errorf("of none: %v %s", err, out)
	}
}
