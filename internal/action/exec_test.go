package action_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"lifeboat/internal/action"
)

var in = action.Input{Operation: action.Do, Incident: "i1", Fix: "f1", Key: "k1"}

func sh(script string) action.Action {
	return action.Action{Name: "act", Site: "shop", Exec: []string{"/bin/sh", "-c", script}, Deadline: 30 * time.Second}
}

func run(t *testing.T, a action.Action) action.Output {
	t.Helper()
	return action.New(action.Options{}).Run(t.Context(), a, in)
}

func TestExec(t *testing.T) {
	t.Parallel()
	out := run(t, sh(`echo out; echo err >&2; echo "$0 $#"; exit 0`))
	if !out.OK || out.ExitCode != 0 || out.Problem != "" || out.Unknown || out.Truncated || out.Text != "out\nerr\n/bin/sh 0\n" {
		t.Errorf("%+v", out)
	}
	out = run(t, sh("echo no; exit 3"))
	if out.OK || out.ExitCode != 3 || out.Problem != "the program ended with exit code 3" || out.Unknown || out.Text != "no\n" {
		t.Errorf("%+v", out)
	}
	out = run(t, sh("kill -9 $$"))
	if out.OK || out.ExitCode != -1 || out.Problem != "the program was ended by a signal: killed" {
		t.Errorf("%+v", out)
	}
}

// What a program gets: its words as they are, an empty environment, the input.
func TestWhatAProgramGets(t *testing.T) {
	t.Parallel()
	out := run(t, action.Action{Name: "act", Exec: []string{"printf", "%s|", "$HOME", "a b", "*", `"`, ";id"}})
	if want := `$HOME|a b|*|"|;id|`; out.Text != want {
		t.Errorf("words: %+v, want %s", out, want)
	}
	out = run(t, action.Action{Name: "act", Site: "shop", Exec: []string{"env"}})
	got := strings.Split(strings.TrimSpace(out.Text), "\n")
	slices.Sort(got)
	if want := []string{"HOME=/", "LANG=C.UTF-8", "LIFEBOAT_ACTION=act", "LIFEBOAT_FIX=f1", "LIFEBOAT_INCIDENT=i1", "LIFEBOAT_KEY=k1",
		"LIFEBOAT_OPERATION=do", "LIFEBOAT_SITE=shop", "PATH=" + action.Path}; !slices.Equal(got, want) {
		t.Errorf("environment: %q", got)
	}
	out = run(t, sh("pwd; cat"))
	want := "/\n" + `{"operation":"do","incident":"i1","fix":"f1","site":"shop","action":"act","key":"k1"}` + "\n"
	if out.Text != want {
		t.Errorf("%+v", out)
	}
	if _, err := os.Stat("/proc/self/stat"); err == nil {
		if out = run(t, sh(`set -- $(cat /proc/$$/stat); echo $(($5 - $$)) $(($6 - $$))`)); out.Text != "0 0\n" {
			t.Errorf("it leads no group and session of its own: %+v", out)
		}
	}
}

func TestUndo(t *testing.T) {
	t.Parallel()
	a := sh("echo done")
	back := in
	back.Operation = action.Undo
	r := action.New(action.Options{})
	if out := r.Run(t.Context(), a, back); out.OK || out.ExitCode != -1 || out.Text != "" || !strings.Contains(out.Problem, "nothing was prepared") {
		t.Errorf("%+v", out)
	}
	a.Undo = &action.Action{Exec: []string{"/bin/sh", "-c", "echo undone $LIFEBOAT_OPERATION $LIFEBOAT_ACTION $LIFEBOAT_SITE"}}
	if out := r.Run(t.Context(), a, back); !out.OK || out.Text != "undone undo act shop\n" {
		t.Errorf("%+v", out)
	}
}

func TestNotBegun(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	plain := filepath.Join(folder, "plain")
	if err := os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(folder, "broken")
	if err := os.WriteFile(broken, []byte("#!/no/such/interpreter\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	otherwise := func(change func(*action.Input)) action.Input { i := in; change(&i); return i }
	for name, c := range map[string]struct {
		ctx  context.Context
		a    action.Action
		in   action.Input
		want string
	}{
		"missing":         {t.Context(), action.Action{Exec: []string{"/no/such/program"}}, in, "there is no program /no/such/program"},
		"missing by name": {t.Context(), action.Action{Exec: []string{"no-such-program"}}, in, "in /usr/local/sbin"},
		"relative":        {t.Context(), action.Action{Exec: []string{"./program"}}, in, "not an absolute path"},
		"a folder":        {t.Context(), action.Action{Exec: []string{folder}}, in, "there is no program"},
		"not executable":  {t.Context(), action.Action{Exec: []string{plain}}, in, "there is no program"},
		"no interpreter":  {t.Context(), action.Action{Exec: []string{broken}}, in, "can't be started: no such file"},
		"a zero byte":     {t.Context(), action.Action{Exec: []string{"/bin/sh", "\x00"}}, in, "zero byte"},
		"nothing":         {t.Context(), action.Action{}, in, "does nothing"},
		"cancelled":       {over, sh("echo"), in, "not begun"},
		"no key":          {t.Context(), sh("echo"), otherwise(func(i *action.Input) { i.Key = "" }), "without a key"},
		"no operation":    {t.Context(), sh("echo"), otherwise(func(i *action.Input) { i.Operation = "redo" }), "redo"},
	} {
		out := action.New(action.Options{}).Run(c.ctx, c.a, c.in)
		if out.OK || out.ExitCode != -1 || out.Unknown || !strings.Contains(out.Problem, c.want) {
			t.Errorf("%s: %+v", name, out)
		}
	}
}

// alive says whether a process runs; one that nobody has collected yet does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !bytes.Contains(stat, []byte(") Z "))
}

// pids reads process numbers that a script said.
func pids(t *testing.T, said string) (all []int) {
	t.Helper()
	for _, word := range strings.Fields(said) {
		if pid, err := strconv.Atoi(word); err == nil {
			all = append(all, pid)
		}
	}
	if len(all) == 0 {
		t.Fatalf("no process was named: %q", said)
	}
	return all
}

func waitGone(t *testing.T, all []int) {
	t.Helper()
	for _, pid := range all {
		for over := time.Now().Add(20 * time.Second); alive(pid); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(over) {
				t.Fatalf("process %d is still there", pid)
			}
		}
	}
}

// At the deadline the program and all that it started end, whether they want to or
// not, and whoever holds the output.
func TestDeadline(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ script, said string }{
		"it goes":                    {`echo $$; exec sleep 1000`, ""},
		"it cleans up":               {`trap 'echo cleaned; exit 0' TERM; echo $$; while :; do sleep 0.05; done`, "cleaned"},
		"it ignores the request":     {`trap '' TERM; echo $$; while :; do sleep 1000; done`, ""},
		"a child ignores it":         {`(trap '' TERM; while :; do sleep 1000; done) & echo $! $$; wait`, ""},
		"a silent child ignores it":  {`(trap '' TERM; while :; do sleep 1000; done) >/dev/null 2>&1 & echo $! $$; wait`, ""},
		"a child cleans up for long": {`(trap 'sleep 0.5; echo cleaned; exit' TERM; while :; do sleep 0.05; done) & echo $! $$; wait`, "cleaned"},
		"it is stopped":              {`echo $$; kill -STOP $$`, ""},
		"it says no end":             {`echo $$ >&2; trap '' TERM; echo begun; while :; do sleep 1000; done`, "begun"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := sh(c.script)
			a.Deadline = 300 * time.Millisecond
			out := run(t, a)
			if out.OK || !out.Unknown || out.ExitCode != -1 || out.Problem != "it did not end within 300ms and was stopped" || !strings.Contains(out.Text, c.said) {
				t.Errorf("%+v", out)
			}
			waitGone(t, pids(t, out.Text))
		})
	}
}

func TestStopping(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	marker := filepath.Join(t.TempDir(), "begun")
	go func() {
		for _, err := os.Stat(marker); err != nil && ctx.Err() == nil; _, err = os.Stat(marker) {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
	}()
	out := action.New(action.Options{}).Run(ctx, sh("echo $$; : > "+marker+"; exec sleep 1000"), in)
	if out.OK || !out.Unknown || !strings.HasPrefix(out.Problem, "lifeboat stopped") {
		t.Errorf("%+v", out)
	}
	waitGone(t, pids(t, out.Text))
}

// A program that ends and leaves something running in the background is done; what
// it left is let be, and can't hold us by its output.
func TestLeftRunning(t *testing.T) {
	t.Parallel()
	out := run(t, sh("sleep 1000 & echo $!"))
	left := pids(t, out.Text)
	t.Cleanup(func() { _ = syscall.Kill(left[0], syscall.SIGKILL) })
	if !out.OK || out.ExitCode != 0 || out.Problem != "" || !alive(left[0]) {
		t.Errorf("%+v", out)
	}
	out = run(t, sh("sleep 1000 & echo $!; exit 7"))
	left2 := pids(t, out.Text)
	t.Cleanup(func() { _ = syscall.Kill(left2[0], syscall.SIGKILL) })
	if out.OK || out.ExitCode != 7 {
		t.Errorf("%+v", out)
	}
}

func TestHugeOutput(t *testing.T) {
	t.Parallel()
	out := run(t, sh("head -c 50000000 /dev/zero | tr '\\0' x; echo last"))
	if !out.OK || !out.Truncated || len(out.Text) != action.MaxText || !strings.HasSuffix(out.Text, "xxxlast\n") {
		t.Errorf("%d bytes, truncated %t, %q…", len(out.Text), out.Truncated, out.Text[max(0, len(out.Text)-20):])
	}
}

func TestBinaryOutput(t *testing.T) {
	t.Parallel()
	out := run(t, sh("head -c 300000 /dev/urandom; printf '\\033[31mred\\0\\n'"))
	if !out.OK || !out.Truncated || len(out.Text) > action.MaxText || !utf8.ValidString(out.Text) || !strings.HasSuffix(out.Text, `\x1b[31mred\x00`+"\n") {
		t.Errorf("%d bytes, truncated %t", len(out.Text), out.Truncated)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", action.MaxText)
	for _, c := range []struct {
		said         string
		lost, last   bool
		want         string
		wantTruncate bool
	}{
		{"", false, true, "", false},
		{"a\tb\r\nc\n", false, true, "a\tb\nc\n", false},
		{"50%\r100%", false, true, `50%\r100%`, false},
		{"\x00\x07\x1b[0m\x7f", false, true, `\x00\a\x1b[0m\x7f`, false},
		{"caf\xc3\xa9 \xff\xc3", false, true, `café \xff\xc3`, false},
		{"\u202eevil\u2028\ufffd", false, true, `\u202eevil\u2028` + "\ufffd", false},
		{"\x0f", false, true, `\x0f`, false},
		{"\x80\xa9abc", true, true, "abc", true},
		{"\x80\xa9abc", false, true, `\x80\xa9abc`, false},
		{long, false, true, long[:action.MaxText], true},
		{"x" + long, false, false, "x" + long[:action.MaxText-2], true},
		{long + "x", false, true, long[:action.MaxText-2] + "x", true},
	} {
		got, truncated := action.Text([]byte(c.said), c.lost, c.last)
		if got != c.want || truncated != c.wantTruncate {
			t.Errorf("%.30q: %.30q (%d bytes), truncated %t", c.said, got, len(got), truncated)
		}
	}
}

// Whatever is said: it becomes text that nothing obeys, and not too much of it.
func FuzzText(f *testing.F) {
	for _, seed := range []string{"", "plain\n", "\x1b]0;title\x07", "\xff\xfe", "\u202e", strings.Repeat("\x00", 70000)} {
		f.Add([]byte(seed), true, true)
		f.Add([]byte(seed), false, false)
	}
	f.Fuzz(func(t *testing.T, said []byte, lost, last bool) {
		got, truncated := action.Text(said, lost, last)
		if len(got) > action.MaxText || !utf8.ValidString(got) || lost && !truncated {
			t.Fatalf("%d bytes, valid %t, truncated %t", len(got), utf8.ValidString(got), truncated)
		}
		for _, r := range got {
			if r != '\n' && r != '\t' && !strconv.IsGraphic(r) {
				t.Fatalf("%q is in it", r)
			}
		}
	})
}
