package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/fault"
)

// process is a child that runs: one that we started, or one that we joined.
type process struct {
	pid    int
	joined bool
	signal func(unix.Signal) error
	done   chan struct{} // closed when it has ended
	how    string        // valid after done: how it ended
}

// spawn starts a child. It gets its own process group, so that a ^C at our
// terminal reaches only us, and is not killed with us.
func spawn(cmd *exec.Cmd) (*process, error) {
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start child: %w", err)
	}
	p := &process{pid: cmd.Process.Pid, done: make(chan struct{})}
	p.signal = func(sig unix.Signal) error { return cmd.Process.Signal(sig) }
	go func() { // ends with the child
		defer close(p.done)
		err := cmd.Wait()
		if p.how = cmd.ProcessState.String(); cmd.ProcessState == nil {
			p.how = fmt.Sprint(err)
		}
	}()
	return p, nil
}

// joinProcess watches a process that somebody else started (pidfd_open(2)).
func joinProcess(pid int) (*process, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch process %d: %w", pid, err)
	}
	f := os.NewFile(uintptr(fd), "pidfd") // non-blocking: Go's poller watches it
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("watch process %d: %w", pid, err), f.Close())
	}
	p := &process{pid: pid, joined: true, done: make(chan struct{}), how: "ended (it was joined, not started)"}
	p.signal = func(sig unix.Signal) error {
		var failed error
		err := conn.Control(func(fd uintptr) { failed = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
		return errors.Join(err, failed)
	}
	go func() { // ends with the process
		defer close(p.done)
		if err := conn.Read(ended); err != nil {
			p.how = "lost sight of: " + err.Error()
		}
		_ = f.Close() // later signals find it closed
	}()
	return p, nil
}

// ended says whether a pidfd's process has ended; the descriptor is readable then.
func ended(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return n > 0 || (err != nil && err != unix.EINTR)
}

// ask tells a process to end; a stopped one is woken, so that it can.
func (p *process) ask() {
	_ = p.signal(unix.SIGTERM) // an error means that it has ended
	_ = p.signal(unix.SIGCONT)
}

// retire ends a process within a grace; when ctx ends first, it may still run.
func (p *process) retire(ctx context.Context, grace time.Duration) {
	p.ask()
	select {
	case <-p.done:
		return
	case <-ctx.Done():
		return
	case <-time.After(grace):
	}
	_ = p.signal(unix.SIGKILL)
	<-p.done
}

// identity names a process for longer than its pid is its own.
type identity struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks from boot to its start (proc(5))
}

// identify gives the identity of a running process.
func identify(pid int) (identity, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return identity{}, fmt.Errorf("identify process: %w", err)
	}
	start, err := startOf(string(b))
	return identity{PID: pid, Start: start}, err
}

// startOf reads a process's start from /proc/PID/stat: the 22nd field, counted
// after the name, which is in parentheses and may hold anything.
func startOf(stat string) (uint64, error) {
	_, rest, found := cutLast(stat, ")")
	fields := strings.Fields(rest)
	if !found || len(fields) < 20 {
		return 0, fault.New(fault.Internal, "the state of a process can't be read")
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// alive says whether it is still the same process that runs under the pid. One that
// has ended and that its parent has not seen to yet does not.
func (id identity) alive() bool {
	if id.PID <= 0 {
		return false
	}
	fd, err := unix.PidfdOpen(id.PID, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written
	now, err := identify(id.PID)
	return err == nil && now == id && !ended(uintptr(fd))
}

// bootID names this boot of the machine; "" where the kernel does not say.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
