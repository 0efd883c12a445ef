package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a server that runs, with all that it has forked.
type process struct {
	cmd     *exec.Cmd
	log     string
	started time.Time
	ended   chan struct{} // closed when it has ended
}

// start writes a server's files and runs it on its core.
func (b *bench) start(s server, dir, addr string) (*process, error) {
	ip, port, _ := net.SplitHostPort(addr)
	fill := strings.NewReplacer(wordDir, dir, wordZone, filepath.Join(b.dir, zoneFile), wordSnapshot, filepath.Join(b.dir, snapshotDir), wordIP, ip, wordPort, port)
	for name, text := range s.files {
		if err := place(filepath.Join(dir, name), name, text, fill); err != nil {
			return nil, err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	path, err := find(s.command[0])
	if err != nil {
		return nil, err
	}
	args := []string{"pin", strconv.Itoa(b.serverCPU), path}
	for _, arg := range s.command[1:] {
		args = append(args, fill.Replace(arg))
	}
	p := &process{cmd: exec.Command(self, args...), log: filepath.Join(dir, "log"), ended: make(chan struct{})}
	f, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // the child has its own
	p.cmd.Stdout, p.cmd.Stderr = f, f
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { // ends with the process
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// place writes a file, makes a folder where the name ends in a slash, and copies the
// zone where it is the whole text.
func place(path, name, text string, fill *strings.Replacer) error {
	if strings.HasSuffix(name, "/") {
		return os.MkdirAll(path, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	content := []byte(fill.Replace(text))
	if text == wordZone {
		var err error
		if content, err = os.ReadFile(string(content)); err != nil {
			return err
		}
	}
	return os.WriteFile(path, content, 0o644)
}

// stop ends the process and all of its group.
func (p *process) stop() {
	group := -p.cmd.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
	}
	_ = syscall.Kill(group, syscall.SIGKILL)
	<-p.ended
}

// output is the end of what the server has said.
func (p *process) output() string {
	text, _ := os.ReadFile(p.log)
	return string(text[max(0, len(text)-2000):])
}

// cpu is how long the threads of the whole group have run.
func (p *process) cpu() (sum time.Duration, err error) {
	processes, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, file := range processes {
		if !p.owns(file) {
			continue
		}
		threads, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "task", "*", "schedstat"))
		for _, thread := range threads {
			if name, err := os.ReadFile(filepath.Join(filepath.Dir(thread), "comm")); err == nil && strings.TrimSpace(string(name)) == loaderThread {
				continue
			}
			text, err := os.ReadFile(thread)
			if err != nil {
				continue // it has ended
			}
			var ran int64
			if _, err := fmt.Sscan(string(text), &ran); err != nil {
				return 0, fmt.Errorf("read %s: %w", thread, err)
			}
			sum += time.Duration(ran)
		}
	}
	if sum == 0 {
		return 0, fmt.Errorf("no thread of process group %d has run", p.cmd.Process.Pid)
	}
	return sum, nil
}

// memory is what the processes of the group hold in memory, what they share counted
// once, and the most that they have held, both in MiB.
func (p *process) memory() (resident, peak float64) {
	processes, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range processes {
		if !p.owns(file) {
			continue
		}
		dir := filepath.Dir(file)
		resident += kibibytes(filepath.Join(dir, "smaps_rollup"), "Pss:") / 1024
		peak += kibibytes(filepath.Join(dir, "status"), "VmHWM:") / 1024
	}
	return resident, peak
}

func kibibytes(file, key string) (n float64) {
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			_, _ = fmt.Sscan(rest, &n)
			return n
		}
	}
	return 0
}

// owns says whether a process is of the group: the third field after its name, which
// is in brackets.
func (p *process) owns(stat string) bool {
	text, err := os.ReadFile(stat)
	if err != nil {
		return false
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	return len(fields) > 2 && string(fields[2]) == strconv.Itoa(p.cmd.Process.Pid)
}

// freePort finds a port on loopback that neither UDP nor TCP has.
func freePort() (string, error) {
	for range 50 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		addr := l.Addr().String()
		u, err := net.ListenPacket("udp", addr)
		_ = l.Close()
		if err == nil {
			return addr, u.Close()
		}
	}
	return "", fmt.Errorf("no port is free for both UDP and TCP")
}
