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
	"lifeboat/internal/incident"
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

// TestCases plays some crises by command, each to its own end.
func TestCases(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		check   func(t *testing.T, r demo.Report)
		refused string // the rules that say no; with "?" one that depends on how fast the crew is
		fixes   string // what each fix came to
	}{
		{"kill", thereAndBack, "R6 R9 R18", "worked"},
		{"poison-row", thereAndBack, "R8 R18", "worked"},
		{"slow-dependency", neverMoved, "R10 R18", "worked"},
		{"no-effect", thereAndBack, "R10 R11? R18", "no_effect worked"},
		{"step-back", thereAndBack, "R18", "worked worked"},
		{"false-alarm", putBack, "R5", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tmp, out := workFolder(t), t.TempDir()
			cmd, stdout, stderr := lifeboat(t, tmp, "demo", "--script", "--json", "--case", c.name, "--out", out)
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v\n%s%s", err, stderr, stdout)
			}
			var r demo.Report
			d := json.NewDecoder(strings.NewReader(stdout.String()))
			d.DisallowUnknownFields()
			if err := d.Decode(&r); err != nil {
				t.Fatalf("the report: %v", err)
			}
			checkReport(t, c.name, r)
			c.check(t, r)
			if got := refusals(r); !says(c.refused, got) {
				t.Errorf("refused by %s, expected %s", got, c.refused)
			}
			if got := results(r); got != c.fixes {
				t.Errorf("the fixes came to %q, expected %q", got, c.fixes)
			}
			checkWriteUp(t, r, out)
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

func refusals(r demo.Report) string {
	var rules []string
	for _, no := range r.Refusals {
		if len(rules) == 0 || rules[len(rules)-1] != no.Rule {
			rules = append(rules, no.Rule)
		}
	}
	return strings.Join(rules, " ")
}

// says tells whether these are the rules that were expected. A rule about time says
// nothing to a crew that a busy machine made slow.
func says(expected, got string) bool {
	all := strings.Fields(got)
	for _, rule := range strings.Fields(expected) {
		rule, may := strings.CutSuffix(rule, "?")
		switch {
		case len(all) > 0 && all[0] == rule:
			all = all[1:]
		case !may:
			return false
		}
	}
	return len(all) == 0
}

func results(r demo.Report) string {
	var all []string
	for _, f := range r.Fixes {
		all = append(all, f.Result)
	}
	return strings.Join(all, " ")
}

// checkReport looks at what every case has.
func checkReport(t *testing.T, name string, r demo.Report) {
	t.Helper()
	if !r.OK || r.Case != name || r.FailedStep != "" || r.Incident == "" {
		t.Errorf("the report says %t, %s, %q", r.OK, r.Case, r.FailedStep)
	}
	if r.Visits.Main < 75 || r.Visits.Unexpected != 0 || r.Visits.Backup != 0 {
		t.Errorf("visits: %+v", r.Visits)
	}
	if r.DNS.Asked < 100 || r.DNS.Wrong != 0 || r.DNS.Missing != 0 {
		t.Errorf("DNS: %+v", r.DNS)
	}
	if len(r.Steps) < 12 || len(r.Drills) != 3 || r.TimelineEvents < 30 || len(r.Summary) == 0 {
		t.Errorf("%d steps, %d drills, %d events, %q", len(r.Steps), len(r.Drills), r.TimelineEvents, r.Summary)
	}
}

func measured(t *testing.T, all map[string]float64) {
	t.Helper()
	for name, ms := range all {
		if ms <= 0 {
			t.Errorf("%s was not measured: %v ms", name, ms)
		}
	}
}

// thereAndBack looks at what was measured of a case in which visitors leave and return.
func thereAndBack(t *testing.T, r demo.Report) {
	t.Helper()
	measured(t, map[string]float64{
		"ready": r.ReadyMS, "outage seen": r.OutageSeenMS, "press to DNS": r.PressToDNSMS, "press to done": r.PressToDoneMS,
		"return to DNS": r.ReturnToDNSMS, "back to DNS": r.BackToDNSMS,
	})
	if r.StandbyRequests < 50 {
		t.Errorf("the standby met %d", r.StandbyRequests)
	}
	if c := r.ReturnChecks; c.Needed != 3 || c.Passed["home"] != 3 || c.Passed["books"] != 3 || c.Passed["checkout"] != 3 {
		t.Errorf("return checks: %+v", c)
	}
}

// neverMoved looks at a case in which closing one feature is enough.
func neverMoved(t *testing.T, r demo.Report) {
	t.Helper()
	measured(t, map[string]float64{"outage seen": r.OutageSeenMS, "press to done": r.PressToDoneMS})
	if r.PressToDNSMS != 0 || r.StandbyRequests != 0 || r.ReturnChecks.Needed != 3 {
		t.Errorf("visitors were moved: %+v", r)
	}
}

// putBack looks at a case in which nothing was wrong.
func putBack(t *testing.T, r demo.Report) {
	t.Helper()
	measured(t, map[string]float64{"press to DNS": r.PressToDNSMS, "put back to DNS": r.PutBackToDNSMS})
	if r.Visits.Errors != 0 || r.Cause != "" || r.Phases[len(r.Phases)-1] != incident.Cancelled {
		t.Errorf("%+v", r)
	}
}

// checkWriteUp looks at the post-mortem that is kept.
func checkWriteUp(t *testing.T, r demo.Report, out string) {
	t.Helper()
	if filepath.Dir(r.PostMortem) != out {
		t.Errorf("the post-mortem is at %s, expected a file in %s", r.PostMortem, out)
	}
	text, err := os.ReadFile(r.PostMortem)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range append([]string{r.Incident, "final, version 1"}, r.Cause) {
		if !strings.Contains(string(text), want) {
			t.Errorf("the post-mortem does not say %q", want)
		}
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
		{"nobody carries the prepared act out", func(_ *testing.T, o *demo.PlayOptions) {
			o.Sabotage = func(step string, _ supervise.PIDs) {
				if step == "fix" {
					_ = os.Remove(filepath.Join(o.Data, "demo.sock")) // the step fails where it is there
				}
			}
		}, "fix", "no demo runs on this folder"},
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
	HTTP, DNS, TokenFile, Main, Panel string
	Port                              int
	PID                               supervise.PIDs
	People                            []demo.Person
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
		Panel string `json:"panel"`

		People []demo.Person `json:"people"`
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
	return cmd, ready{raw.HTTP, raw.DNS, raw.Token, raw.Main, raw.Panel, raw.Port, raw.PID, raw.People}, stdout, over
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

// command runs a command to its end and gives what it wrote.
func command(t *testing.T, tmp string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd, out, errs := lifeboat(t, tmp, args...)
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// do runs a command to its end.
func do(t *testing.T, tmp string, args ...string) error {
	t.Helper()
	if _, stderr, err := command(t, tmp, args...); err != nil {
		return fmt.Errorf("%w: %s", err, stderr)
	}
	return nil
}

// TestCommandLine: what can be said without playing anything.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	list, _, err := command(t, tmp, "demo", "--list")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range demo.Cases() {
		if !strings.Contains(list, c.Name) || !strings.Contains(list, c.Says) {
			t.Errorf("the list lacks %s:\n%s", c.Name, list)
		}
	}
	for args, want := range map[string]string{
		"--script --case fire": "one of kill, hang",
		"--case kill":          "go with --script",
		"--json":               "go with --script",
		"do fire":              "one of restart, roll-back",
		"break fire":           "one of kill, hang",
	} {
		stdout, stderr, err := command(t, tmp, append([]string{"demo"}, strings.Fields(args)...)...)
		if err == nil || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("demo %s: %v\n%s%s", args, err, stdout, stderr)
		}
	}
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
	said, _, err := command(t, tmp, "demo", "do", "roll-back", "--data", boat)
	if err != nil || !strings.Contains(said, "nothing was changed") {
		t.Errorf("a roll-back where nothing is to be rolled back: %q, %v", said, err)
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
	samePeople(t, filepath.Join(tmp, "boat"), before.People, after.People)
	end(t, cmd, ended, tmp)
}

// samePeople: who could sign in can do so again, with a password that only this
// folder's owner reads.
func samePeople(t *testing.T, boat string, before, after []demo.Person) {
	t.Helper()
	if len(before) != 3 || !slices.Equal(before, after) {
		t.Errorf("before %d people, after %d, or others", len(before), len(after))
	}
	seen := map[string]bool{}
	for _, p := range after {
		if len(p.Password) < 16 || seen[p.Password] {
			t.Errorf("%s has a password of %d characters, or another's", p.Name, len(p.Password))
		}
		seen[p.Password] = true
	}
	info, err := os.Stat(filepath.Join(boat, "people.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of passwords: %v, %v", info, err)
	}
}
