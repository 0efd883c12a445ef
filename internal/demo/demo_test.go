package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lifeboat/internal/cli"
	"lifeboat/internal/demo"
	"lifeboat/internal/demo/shop"
	"lifeboat/internal/supervise"
)

// limit bounds whatever a test waits for.
const limit = 2 * time.Minute

// TestMain lets this program be the lifeboat that it tests.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{"demo", "demo-shop", "control", "answer"}, os.Args[1]) {
		os.Exit(cli.Main("test"))
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// output is what a process writes, to be read while it goes on.
type output struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// lifeboat is a command of this program, in a temporary folder of its own.
func lifeboat(t *testing.T, tmp string, args ...string) (cmd *exec.Cmd, stdout, stderr *output) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	cmd = exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	stdout, stderr = &output{}, &output{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return cmd, stdout, stderr
}

// workFolder is a folder with a short path: the paths of sockets are bounded.
func workFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// running gives the processes that name a folder in their arguments.
func running(t *testing.T, folder string) (pids []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		line, err := os.ReadFile(f)
		if err == nil && bytes.Contains(line, []byte(folder)) {
			pids = append(pids, f+": "+string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return pids
}

// TestThereAndBack plays the whole crisis by command for each way to break the shop.
func TestThereAndBack(t *testing.T) {
	t.Parallel()
	for _, how := range []shop.Harm{shop.Kill, shop.Hang, shop.BadRelease} {
		t.Run(string(how), func(t *testing.T) {
			t.Parallel()
			tmp := workFolder(t)
			cmd, stdout, stderr := lifeboat(t, tmp, "demo", "--script", "--json", "--case", string(how))
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v\n%s%s", err, stderr, stdout)
			}
			var r demo.Report
			d := json.NewDecoder(strings.NewReader(stdout.String()))
			d.DisallowUnknownFields()
			if err := d.Decode(&r); err != nil {
				t.Fatalf("the report: %v", err)
			}
			checkReport(t, how, r)
			for _, s := range r.Steps {
				if !strings.Contains(stderr.String(), s.Name) {
					t.Errorf("the progress does not tell of %q:\n%s", s.Name, stderr)
				}
			}
			if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
				t.Errorf("it left in its temporary folder: %v %v", left, err)
			}
			if left := running(t, tmp); len(left) > 0 {
				t.Errorf("it left running: %v", left)
			}
		})
	}
}

func checkReport(t *testing.T, how shop.Harm, r demo.Report) {
	t.Helper()
	if !r.OK || r.Case != how || r.FailedStep != "" {
		t.Errorf("the report says %t, %s, %q", r.OK, r.Case, r.FailedStep)
	}
	for name, ms := range map[string]float64{
		"ready": r.ReadyMS, "outage seen": r.OutageSeenMS, "press to DNS": r.PressToDNSMS, "press to done": r.PressToDoneMS,
		"return to DNS": r.ReturnToDNSMS, "back to DNS": r.BackToDNSMS,
	} {
		if ms <= 0 {
			t.Errorf("%s was not measured: %v ms", name, ms)
		}
	}
	if r.StandbyRequests < 50 || r.Visits.Main < 75 || r.Visits.Unexpected != 0 || r.Visits.Backup != 0 {
		t.Errorf("visits: %+v", r.Visits)
	}
	if r.DNS.Asked < 100 || r.DNS.Wrong != 0 || r.DNS.Missing != 0 {
		t.Errorf("DNS: %+v", r.DNS)
	}
	if c := r.ReturnChecks; c.Needed != 6 || c.Passed["home"] != 6 || c.Passed["books"] != 6 {
		t.Errorf("return checks: %+v", c)
	}
	if len(r.Steps) != 12 || len(r.Drills) != 3 || r.TimelineEvents < 10 {
		t.Errorf("%d steps, %d drills, %d events", len(r.Steps), len(r.Drills), r.TimelineEvents)
	}
}

// TestSabotage: the play must not call a broken lifeboat a success.
func TestSabotage(t *testing.T) {
	t.Parallel()
	stopAnswer := func(at string) func(t *testing.T, o *demo.PlayOptions) {
		return func(t *testing.T, o *demo.PlayOptions) {
			o.Sabotage = func(step string, pids supervise.PIDs) {
				if step == at {
					if err := syscall.Kill(pids.Answer, syscall.SIGSTOP); err != nil {
						t.Error(err)
					}
				}
			}
		}
	}
	for _, tc := range []struct {
		name string
		hurt func(t *testing.T, o *demo.PlayOptions)
		step string
		seen string
	}{
		{"the standby listens elsewhere", func(_ *testing.T, o *demo.PlayOptions) { o.StandbyElsewhere("127.0.0.5") }, "rehearse", "R2"},
		{"the name server falls silent before the press", stopAnswer("press"), "press", ""},
		{"the name server falls silent after the press", stopAnswer("standby"), "standby", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			folder := filepath.Join(workFolder(t), "boat")
			var progress bytes.Buffer
			o := demo.PlayOptions{Data: folder, Progress: &progress}
			tc.hurt(t, &o)
			r, err := demo.Play(ctx, o)
			var failed *demo.StepError
			if !errors.As(err, &failed) {
				t.Fatalf("it called that a success: %v\n%s", err, &progress)
			}
			if failed.Step != tc.step || !strings.Contains(failed.Error(), tc.seen) || r.OK || r.FailedStep != tc.step || r.Failure == "" {
				t.Errorf("it failed with %v; expected the step %q and %q\n%s", err, tc.step, tc.seen, &progress)
			}
			if left := running(t, folder); len(left) > 0 {
				t.Errorf("it left running: %v", left)
			}
		})
	}
}

// ready is the part of the ready file that the tests need.
type ready struct {
	HTTP, DNS, TokenFile, Main string
	Port                       int
	PID                        supervise.PIDs
}

// open starts `lifeboat demo` and waits until its levers are rehearsed.
func open(t *testing.T, tmp string) (cmd *exec.Cmd, at ready, stdout *output, ended <-chan error) {
	t.Helper()
	file := filepath.Join(tmp, "ready.json")
	if err := os.RemoveAll(file); err != nil {
		t.Fatal(err)
	}
	cmd, stdout, stderr := lifeboat(t, tmp, "demo", "--data", filepath.Join(tmp, "boat"), "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0", "--ofrep", "127.0.0.1:0", "--ready-file", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- cmd.Wait() }()
	var raw struct {
		supervise.Addresses
		Token string `json:"token_file"`
		Port  int    `json:"port"`
		Main  string `json:"main"`
	}
	poll(t, "the demo to be ready", func() bool {
		select {
		case err := <-over:
			t.Fatalf("it ended: %v\n%s", err, stderr)
		default:
		}
		text, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(text, &raw) == nil
	})
	return cmd, ready{raw.HTTP, raw.DNS, raw.Token, raw.Main, raw.Port, raw.PID}, stdout, over
}

// poll waits for something in another process.
func poll(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// do runs a command to its end.
func do(t *testing.T, tmp string, args ...string) error {
	t.Helper()
	cmd, _, stderr := lifeboat(t, tmp, args...)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, stderr)
	}
	return nil
}

// shopStatus is what the shop answers at main's address, 0 for nothing.
func shopStatus(at ready) int {
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(fmt.Sprintf("http://%s:%d/", at.Main, at.Port))
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// TestByHand starts the demo, breaks and repairs its shop by command, ends it and
// starts it again on its folder.
func TestByHand(t *testing.T) {
	t.Parallel()
	tmp := workFolder(t)
	boat := filepath.Join(tmp, "boat")
	cmd, at, stdout, ended := open(t, tmp)
	for _, want := range []string{"http://" + at.HTTP + "/", "dig +short @127.0.0.1", "demo break kill --data " + boat, "to-standby (there in"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the first screen lacks %q:\n%s", want, stdout)
		}
	}
	for _, how := range []shop.Harm{shop.Kill, shop.Hang, shop.BadRelease} {
		if err := do(t, tmp, "demo", "break", string(how), "--data", boat); err != nil {
			t.Fatal(err)
		}
		poll(t, "the shop to be broken", func() bool { return shopStatus(at) != http.StatusOK })
		if err := do(t, tmp, "demo", "repair", "--data", boat); err != nil {
			t.Fatal(err)
		}
		if got := shopStatus(at); got != http.StatusOK {
			t.Fatalf("after %s and the repair it answers %d", how, got)
		}
	}
	if err := do(t, tmp, "demo", "--data", boat, "--http", "127.0.0.1:0"); err == nil || !strings.Contains(err.Error(), "a demo runs on this folder already") {
		t.Errorf("a second demo on the folder: %v", err)
	}
	end(t, cmd, ended, tmp)
	keep(t, boat, "title: Harbour Goods", "title: My Goods")
	if err := do(t, tmp, "demo", "repair", "--data", boat); err == nil || !strings.Contains(err.Error(), "no demo runs on this folder") {
		t.Errorf("repair without a demo: %v", err)
	}
}

// keep checks that a file that a person edited is theirs.
func keep(t *testing.T, boat, old, mine string) {
	t.Helper()
	path := filepath.Join(boat, "lifeboat.yaml")
	text, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(text, []byte(old)) {
		t.Fatalf("the configuration: %v\n%s", err, text)
	}
	text = bytes.Replace(text, []byte(old), []byte(mine), 1)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	tmp := filepath.Dir(boat)
	err = do(t, tmp, "demo", "--data", boat, "--http", "127.0.0.1:0", "--ofrep", "127.0.0.1:0", "--dns", "127.0.0.1:0")
	if err == nil || !strings.Contains(err.Error(), "start with --dns") {
		t.Errorf("another name server than in the edited file: %v", err)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, text) {
		t.Errorf("the edited file was changed: %v", err)
	}
}

// end stops a demo in order and sees that nothing of it is left.
func end(t *testing.T, cmd *exec.Cmd, ended <-chan error, tmp string) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
	if left := running(t, tmp); len(left) > 0 {
		t.Errorf("it left running: %v", left)
	}
}

// TestKilledDemo: a killed demo takes its shops along; its lifeboat goes on, and the
// next demo on the folder joins it.
func TestKilledDemo(t *testing.T) {
	t.Parallel()
	tmp := workFolder(t)
	cmd, before, _, ended := open(t, tmp)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ended
	poll(t, "the shops to end", func() bool {
		return !slices.ContainsFunc(running(t, tmp), func(line string) bool { return strings.Contains(line, "demo-shop") })
	})
	cmd, after, _, ended := open(t, tmp)
	if before.PID.Answer != after.PID.Answer || before.Port != after.Port || before.DNS != after.DNS {
		t.Errorf("it did not join: before %+v, after %+v", before, after)
	}
	if got := shopStatus(after); got != http.StatusOK {
		t.Errorf("the shop answers %d", got)
	}
	end(t, cmd, ended, tmp)
}
