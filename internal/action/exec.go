package action

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Path is where programs are looked for that are named without a folder, and the
// PATH that they see.
const Path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

const (
	grace   = 2 * time.Second // between asking a program to end and ending it
	letGo   = 2 * time.Second // for output that others hold open after the program has ended
	reaping = 2 * time.Second // for a killed program to be gone: one that waits for a dead disk never is
	look    = 20 * time.Millisecond
)

// execute runs a program once.
func execute(ctx context.Context, a Action, in Input) Output {
	program, problem := find(a.Exec[0])
	if problem != "" {
		return refused(problem)
	}
	if ctx.Err() != nil {
		return refused("it was not begun: " + ended(ctx))
	}
	said := &tail{}
	cmd := command(program, a.Exec, in, said)
	if err := cmd.Start(); err != nil {
		return refused("the program can't be started: " + reason(err))
	}
	deadline := orFor(a.Deadline, ExecDeadline)
	ctx, cancel := context.WithTimeoutCause(ctx, deadline, errors.New("it did not end within "+deadline.String()))
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }() // ends with the program, at the latest letGo after it
	var out Output
	select {
	case err := <-done:
		out = Output{ExitCode: cmd.ProcessState.ExitCode(), Problem: outcome(err)}
	case <-ctx.Done():
		out = Output{ExitCode: -1, Unknown: true, Problem: ended(ctx) + " and was stopped"}
		if !stop(cmd.Process.Pid, done) {
			out.Problem = ended(ctx) + " and can't be stopped"
		}
	}
	out.Text, out.Truncated = said.text()
	return out
}

// ended says in a sentence's second half why ctx ended.
func ended(ctx context.Context) string {
	if errors.Is(ctx.Err(), context.Canceled) {
		return "lifeboat stopped before it ended"
	}
	return context.Cause(ctx).Error()
}

func command(program string, words []string, in Input, said *tail) *exec.Cmd {
	return &exec.Cmd{
		Path:      program,
		Args:      words,
		Dir:       "/",
		Env:       in.environ(),
		Stdin:     bytes.NewReader(append(in.json(), '\n')),
		Stdout:    said,
		Stderr:    said, // the same writer: in the order in which it was said
		WaitDelay: letGo,
		// A session of its own is a group of its own, and has no terminal that a
		// password could be asked for on.
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
}

// find gives the path of a program.
func find(name string) (path, problem string) {
	if strings.Contains(name, "/") {
		if !runnable(name) {
			return "", "there is no program " + name
		}
		return name, ""
	}
	for folder := range strings.SplitSeq(Path, ":") {
		if path := filepath.Join(folder, name); runnable(path) {
			return path, ""
		}
	}
	return "", "there is no program " + name + " in " + Path
}

func runnable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// json is the input as a program and a receiver get it.
func (in Input) json() []byte {
	b, _ := json.Marshal(in) // texts only
	return b
}

// environ is all of the environment that a program gets. A zero byte can't be in
// one.
func (in Input) environ() []string {
	env := []string{"PATH=" + Path, "HOME=/", "LANG=C.UTF-8"}
	for _, v := range [][2]string{
		{"OPERATION", in.Operation}, {"INCIDENT", in.Incident}, {"FIX", in.Fix},
		{"SITE", in.Site}, {"ACTION", in.Action}, {"KEY", in.Key},
	} {
		env = append(env, "LIFEBOAT_"+v[0]+"="+strings.ReplaceAll(v[1], "\x00", ""))
	}
	return env
}

// outcome says what is wrong with how a program ended by itself; "": nothing. What
// it left running is not touched and not waited for, but what that says is not
// heard any more.
func outcome(err error) string {
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return ""
	case !errors.As(err, &exit):
		return "it can't be told how the program ended: " + reason(err)
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return "the program was ended by a signal: " + status.Signal().String()
	}
	return "the program ended with exit code " + strconv.Itoa(exit.ExitCode())
}

// stop ends a program and all that it started in its group: first asking, then not.
// It says whether the program is gone.
func stop(pid int, done <-chan error) bool {
	_ = syscall.Kill(-pid, syscall.SIGTERM)
	gone := false
	for over := time.Now().Add(grace); time.Now().Before(over); { // those it started may take longer than it does
		if gone && groupGone(pid) {
			return true
		}
		gone = within(look, done) || gone
	}
	_ = syscall.Kill(-pid, syscall.SIGKILL) // a group keeps its number for as long as anybody is in it
	return gone || within(letGo+reaping, done)
}

// within waits for done, but not for long.
func within(wait time.Duration, done <-chan error) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

func groupGone(pid int) bool { return errors.Is(syscall.Kill(-pid, 0), syscall.ESRCH) }

// reason is an error without the operation that a person did not ask for.
func reason(err error) string {
	var p *os.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return err.Error()
}
