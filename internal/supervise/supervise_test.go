package supervise

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/fault"
	"lifeboat/internal/handover"
	"lifeboat/internal/snapshot"
)

const patience = 30 * time.Second // crossing processes on a busy machine

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually polls until a claim holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("gave up waiting: %s", what)
		}
	}
}

// options for a serve of fakes in a folder of its own.
func options(t *testing.T) Options {
	t.Helper()
	dir, err := os.MkdirTemp("", "lb") // short: a socket's path has 107 bytes
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	data := filepath.Join(dir, "data")
	t.Cleanup(func() { killLeft(data) })
	return Options{
		Binary: os.Args[0], Data: data, Config: "boat.yaml", ReadyFile: filepath.Join(dir, "ready.json"),
		HTTP: "127.0.0.1:0", DNS: "127.0.0.1:0", StandbyHTTP: "127.0.0.1:0", OFREP: "127.0.0.1:0", UDPSockets: 2,
	}
}

// killLeft ends the children that a killed serve left.
func killLeft(data string) {
	s, _ := loadState(data)
	for _, id := range []identity{s.Control, s.Answer} {
		if id.alive() {
			syscall.Kill(id.PID, syscall.SIGKILL)
		}
	}
}

// running is a serve in this process.
type running struct {
	t     *testing.T
	o     Options
	ready Addresses
	log   *safeBuffer
	end   func() error // ends it and gives Run's error
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}
func (s *safeBuffer) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

// serve runs Run until the test ends, and returns when it is ready.
func serve(t *testing.T, o Options) *running {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(o.Data), 0o700))
	stderr, err := os.OpenFile(logOf(o.Data), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	must(t, err)
	r := &running{t: t, o: o, log: &safeBuffer{}}
	ctx, cancel := context.WithCancel(t.Context())
	ready := make(chan Addresses, 1)
	o.Stderr, o.Logger = stderr, slog.New(slog.NewTextHandler(r.log, nil))
	o.OnReady = func(a Addresses) { ready <- a }
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, o) }()
	r.end = sync.OnceValue(func() error {
		cancel()
		defer stderr.Close()
		return <-ended
	})
	t.Cleanup(func() {
		r.end()
		if t.Failed() {
			b, _ := os.ReadFile(logOf(o.Data))
			t.Logf("serve's log:\n%s\nchildren's log:\n%s", r.log, b)
		}
	})
	select {
	case r.ready = <-ready:
	case err := <-ended:
		ended <- err
		t.Fatalf("serve ended: %v", err)
	case <-time.After(patience):
		t.Fatal("serve did not become ready")
	}
	return r
}

// serveApart runs serve in a process of its own, and returns when it is ready.
func serveApart(t *testing.T, o Options, env ...string) (*exec.Cmd, Addresses) {
	t.Helper()
	asJSON := map[string]any{}
	for k, v := range map[string]string{"Binary": o.Binary, "Data": o.Data, "HTTP": o.HTTP, "DNS": o.DNS, "StandbyHTTP": o.StandbyHTTP, "OFREP": o.OFREP, "ReadyFile": o.ReadyFile} {
		asJSON[k] = v
	}
	b, err := json.Marshal(asJSON)
	must(t, err)
	stderr, err := os.OpenFile(logOf(o.Data), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	must(t, err)
	defer stderr.Close()
	cmd := exec.Command(os.Args[0], "serve")
	cmd.Env = append(without(os.Environ(), envOptions), append(env, envOptions+"="+string(b))...)
	cmd.Stderr = stderr
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var at Addresses
	eventually(t, "the ready file", func() bool {
		at = readReady(o)
		return at.PID.Serve == cmd.Process.Pid
	})
	return cmd, at
}

func readReady(o Options) (at Addresses) {
	b, err := os.ReadFile(o.ReadyFile)
	if err == nil {
		json.Unmarshal(b, &at)
	}
	return at
}

// query sends one packet and returns the pid that answered; a missing answer ends
// the test.
func query(t *testing.T, addr, text string) (pid int) {
	t.Helper()
	conn, err := net.Dial("udp", addr)
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = conn.Write([]byte(text))
	must(t, err)
	b := make([]byte, 512)
	n, err := conn.Read(b)
	must(t, err)
	var echoed string
	if _, err := fmt.Sscanf(string(b[:n]), "%d %s", &pid, &echoed); err != nil || echoed != text {
		t.Fatalf("asked %q, got %q", text, b[:n])
	}
	return pid
}

func gone(pid int) bool {
	id, err := identify(pid)
	return err != nil || !id.alive()
}

func kill(t *testing.T, pid int) {
	t.Helper()
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	eventually(t, "the end of a killed process", func() bool { return gone(pid) })
}

// health is what the fake control tells of itself.
type health struct {
	PID, Starter, UID int
	Args              []string
}

func askHealth(t *testing.T, network, addr string) (h health) {
	t.Helper()
	conn, err := net.Dial(network, addr)
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	io.WriteString(conn, "GET /healthz HTTP/1.0\r\n\r\n")
	b, err := io.ReadAll(conn)
	must(t, err)
	_, body, _ := bytes.Cut(b, []byte("\r\n\r\n"))
	must(t, json.Unmarshal(body, &h))
	return h
}

func TestServeStartsBothAndEndsThemInOrder(t *testing.T) {
	t.Parallel()
	o := options(t)
	r := serve(t, o)

	if got := query(t, r.ready.DNS, "hello"); got != r.ready.PID.Answer {
		t.Errorf("process %d answered, want %d", got, r.ready.PID.Answer)
	}
	eventually(t, "the ready file", func() bool { return readReady(o) == r.ready })
	h := askHealth(t, "tcp", r.ready.HTTP)
	want := []string{"control", "--data", o.Data, "--config", "boat.yaml", "--dns", r.ready.DNS, "--standby-http", r.ready.StandbyHTTP, "--ofrep", r.ready.OFREP}
	if h.PID != r.ready.PID.Control || !slices.Equal(h.Args, want) || h.Starter != os.Getuid() {
		t.Errorf("control is %+v, want pid %d and arguments %q", h, r.ready.PID.Control, want)
	}
	for path, mode := range map[string]os.FileMode{
		".": 0o700, "control": 0o700, "answer": 0o700, "control.sock": 0o600, "answer.sock": 0o600, "feed.sock": 0o600,
		"control/signing.key": 0o600, "answer/trusted.key": 0o600, "serve.json": 0o600, "serve.lock": 0o600,
	} {
		info, err := os.Stat(filepath.Join(o.Data, path))
		must(t, err)
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), mode)
		}
	}
	key, created, err := LoadOrMakeKey(filepath.Join(o.Data, "control"))
	must(t, err)
	trusted, err := os.ReadFile(filepath.Join(o.Data, "answer", "trusted.key"))
	must(t, err)
	if pinned, err := snapshot.ParseKey(string(trusted)); created || err != nil || !pinned.Equal(key.Public()) {
		t.Errorf("pinned %s, %v", trusted, err)
	}

	must(t, r.end())
	if got, want := told(logOf(o.Data)), []string{"control was asked to end", "answer was asked to end"}; !slices.Equal(got, want) {
		t.Errorf("ended in the order %q, want %q", got, want)
	}
	if !gone(r.ready.PID.Control) || !gone(r.ready.PID.Answer) {
		t.Error("a child outlived an orderly end")
	}
	for _, path := range []string{r.ready.ControlSock, r.ready.AnswerSock, o.ReadyFile, statePath(o.Data)} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s was left", path)
		}
	}
}

func TestQueriesSurviveAKilledAnswer(t *testing.T) {
	t.Parallel()
	r := serve(t, options(t))
	pid := r.ready.PID.Answer
	for i := range 3 { // the first restart comes at once, the next ones leave a gap
		kill(t, pid)
		next := query(t, r.ready.DNS, fmt.Sprintf("while-dead-%d", i))
		if next == pid {
			t.Fatalf("the dead process %d answered", pid)
		}
		pid = next
	}
	eventually(t, "the ready file to name the new answer", func() bool { return readReady(r.o).PID.Answer == pid })
	if got := readReady(r.o); got.DNS != r.ready.DNS || got.PID.Control != r.ready.PID.Control {
		t.Errorf("now %+v, before %+v", got, r.ready)
	}
}

func TestKilledControlStartsAgain(t *testing.T) {
	t.Parallel()
	r := serve(t, options(t))
	kill(t, r.ready.PID.Control)
	h := askHealth(t, "tcp", r.ready.HTTP) // waits in the socket for the next one
	if h.PID == r.ready.PID.Control {
		t.Error("the dead control answered")
	}
	if got := query(t, r.ready.DNS, "hello"); got != r.ready.PID.Answer {
		t.Error("answer was touched")
	}
}

// The story that matters: the parent is killed, its children go on, the next
// parent joins them, and holds their sockets when they die later.
func TestNextServeJoins(t *testing.T) {
	t.Parallel()
	o := options(t)
	must(t, os.MkdirAll(filepath.Dir(o.Data), 0o700))
	first, at := serveApart(t, o)
	must(t, first.Process.Kill())
	first.Wait()
	if got := query(t, at.DNS, "orphan"); got != at.PID.Answer {
		t.Fatalf("process %d answered, want %d", got, at.PID.Answer)
	}
	if got := askHealth(t, "tcp", at.HTTP).PID; got != at.PID.Control {
		t.Fatalf("process %d is control, want %d", got, at.PID.Control)
	}

	r := serve(t, o)
	want := at
	want.PID.Serve = os.Getpid()
	if r.ready != want {
		t.Fatalf("joined %+v, want %+v", r.ready, want)
	}
	kill(t, at.PID.Answer)
	if got := query(t, at.DNS, "while-dead"); got == at.PID.Answer {
		t.Error("the dead answer answered")
	}
	kill(t, at.PID.Control)
	eventually(t, "a new control at the same address", func() bool {
		conn, err := net.Dial("tcp", at.HTTP)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	if got := askHealth(t, "tcp", at.HTTP).PID; got == at.PID.Control {
		t.Error("the dead control answered")
	}
	eventually(t, "the ready file to name the new children", func() bool {
		now := readReady(o)
		return now.PID.Control != 0 && now.PID.Control != at.PID.Control && now.PID.Answer != at.PID.Answer && now.DNS == at.DNS && now.HTTP == at.HTTP
	})
	must(t, r.end())
}

// Joined children end in order too, though they are not our own.
func TestJoinedChildrenEndInOrder(t *testing.T) {
	t.Parallel()
	o := options(t)
	first, at := serveApart(t, o)
	must(t, first.Process.Kill())
	first.Wait()
	r := serve(t, o)
	must(t, r.end())
	if got, want := told(logOf(o.Data)), []string{"control was asked to end", "answer was asked to end"}; !slices.Equal(got, want) {
		t.Errorf("ended in the order %q, want %q", got, want)
	}
	if !gone(at.PID.Control) || !gone(at.PID.Answer) {
		t.Error("a joined child outlived an orderly end")
	}
}

// A control that is stopped says nothing; it is joined by what the last serve noted.
func TestJoinsAStoppedControl(t *testing.T) {
	t.Parallel()
	o := options(t)
	first, at := serveApart(t, o)
	must(t, first.Process.Kill())
	first.Wait()
	must(t, syscall.Kill(at.PID.Control, syscall.SIGSTOP))
	go func() { // a stopped control is not ready: wake it when it has been joined
		for range 2000 {
			if b, _ := os.ReadFile(statePath(o.Data)); strings.Contains(string(b), fmt.Sprintf(`"serve": %d`, os.Getpid())) {
				break
			}
			<-time.After(5 * time.Millisecond)
		}
		syscall.Kill(at.PID.Control, syscall.SIGCONT)
	}()
	r := serve(t, o)
	if r.ready.PID.Control != at.PID.Control || r.ready.PID.Answer != at.PID.Answer {
		t.Errorf("joined %+v, want %+v", r.ready.PID, at.PID)
	}
}

// Without the last serve's notes answer is joined all the same, and control is
// started again, since nobody knows where its console is.
func TestJoinsWithoutNotes(t *testing.T) {
	t.Parallel()
	o := options(t)
	first, at := serveApart(t, o)
	must(t, first.Process.Kill())
	first.Wait()
	must(t, os.Remove(statePath(o.Data)))
	r := serve(t, o)
	if r.ready.PID.Answer != at.PID.Answer || r.ready.DNS != at.DNS {
		t.Errorf("answer is %+v, was %+v", r.ready, at)
	}
	if r.ready.PID.Control == at.PID.Control || !gone(at.PID.Control) {
		t.Errorf("control %d was kept without knowing its address", at.PID.Control)
	}
}

// When only control is left, the new answer is where control looks for it.
func TestAnswerComesBackWhereControlLooks(t *testing.T) {
	t.Parallel()
	o := options(t)
	first, at := serveApart(t, o)
	must(t, first.Process.Kill())
	first.Wait()
	kill(t, at.PID.Answer)
	r := serve(t, o)
	if r.ready.DNS != at.DNS || r.ready.StandbyHTTP != at.StandbyHTTP || r.ready.PID.Control != at.PID.Control {
		t.Errorf("now %+v, before %+v", r.ready, at)
	}
	query(t, at.DNS, "hello")
}

func TestSecondServeIsRefused(t *testing.T) {
	t.Parallel()
	r := serve(t, options(t))
	o := r.o
	o.ReadyFile = ""
	err := Run(t.Context(), o)
	if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), o.Data) {
		t.Fatalf("second serve: %v", err)
	}
	query(t, r.ready.DNS, "hello") // the first one is unharmed
}

func TestTakenDataPlanePortsAreRefused(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	for flag, set := range map[string]func(*Options){
		"--dns":          func(o *Options) { o.DNS = taken.Addr().String() },
		"--standby-http": func(o *Options) { o.StandbyHTTP = taken.Addr().String() },
		"--ofrep":        func(o *Options) { o.OFREP = taken.Addr().String() },
	} {
		o := options(t)
		set(&o)
		err := Run(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), flag+" "+taken.Addr().String()) {
			t.Errorf("%s: %v", flag, err)
		}
		if _, err := os.Stat(statePath(o.Data)); err == nil {
			t.Errorf("%s: children were started", flag)
		}
	}
}

func TestTakenConsolePortDelaysOnlyTheConsole(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	o := options(t)
	o.HTTP = taken.Addr().String()
	r := serve(t, o)
	if r.ready.HTTP != "" {
		t.Errorf("the console is said to be at %s", r.ready.HTTP)
	}
	if log := r.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "--http "+o.HTTP) {
		t.Errorf("not said loudly:\n%s", log)
	}
	query(t, r.ready.DNS, "hello")
	askHealth(t, "unix", r.ready.ControlSock)

	must(t, taken.Close())
	eventually(t, "the console", func() bool { return readReady(o).HTTP == o.HTTP })
	if got := askHealth(t, "tcp", o.HTTP).PID; got == r.ready.PID.Control {
		t.Error("control has not been started again")
	}
	if got := query(t, r.ready.DNS, "hello"); got != r.ready.PID.Answer {
		t.Error("answer was touched")
	}
}

func TestNotReadyBeforeAnswerIs(t *testing.T) {
	t.Parallel()
	o := options(t)
	gate := filepath.Join(filepath.Dir(o.Data), "gate")
	o.Env = []string{envUnready + "=" + gate}
	go func() { // opens the gate when both children have been noted
		for range 4000 {
			if s, known := loadState(o.Data); known && s.Control.alive() && s.Answer.alive() {
				break
			}
			<-time.After(5 * time.Millisecond)
		}
		if _, err := os.Stat(o.ReadyFile); err == nil {
			t.Error("the ready file came too early")
		}
		os.WriteFile(gate, nil, 0o600)
	}()
	serve(t, o)
	if _, err := os.Stat(gate); err != nil {
		t.Error("ready before answer was")
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	o := options(t)
	cmd, at := serveApart(t, o, envStubborn+"=control,answer")
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	eventually(t, "the order to end", func() bool {
		b, _ := os.ReadFile(logOf(o.Data))
		return strings.Contains(string(b), "control first, answer last")
	})
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	must(t, cmd.Wait())
	if !gone(at.PID.Control) || !gone(at.PID.Answer) {
		t.Error("a child outlived the second signal")
	}
	b, err := os.ReadFile(logOf(o.Data))
	must(t, err)
	if !strings.Contains(string(b), "told to end now") || strings.Contains(string(b), "takes too long") {
		t.Errorf("not by the second signal:\n%s", b)
	}
}

func TestUntrustedKeyIsToldNotPinned(t *testing.T) {
	t.Parallel()
	o := options(t)
	other := "lifeboat-key-1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
	must(t, os.MkdirAll(filepath.Join(o.Data, "answer"), 0o700))
	pinned := filepath.Join(o.Data, "answer", "trusted.key")
	must(t, os.WriteFile(pinned, []byte(other), 0o600))
	r := serve(t, o)
	if b, err := os.ReadFile(pinned); err != nil || string(b) != other {
		t.Errorf("the trusted key is %q now, %v", b, err)
	}
	key, _, err := LoadOrMakeKey(filepath.Join(o.Data, "control"))
	must(t, err)
	command := "lifeboat answer trust " + snapshot.FormatKey(key.Public().(ed25519.PublicKey)) + " --data"
	if !strings.Contains(r.log.String(), command) {
		t.Errorf("the log does not say %q:\n%s", command, r.log)
	}
}

func TestOtherAccounts(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("SKIP-LOUD: needs root, to start children as other accounts")
	}
	o := options(t)
	dir := filepath.Dir(o.Data)
	must(t, os.Chmod(dir, 0o711))
	b, err := os.ReadFile(os.Args[0]) // go test's folder is closed to other accounts
	must(t, err)
	o.Binary = filepath.Join(dir, "boat")
	must(t, os.WriteFile(o.Binary, b, 0o755))
	o.ControlUser, o.AnswerUser = "nobody", "daemon"
	r := serve(t, o)
	h := askHealth(t, "unix", r.ready.ControlSock)
	if h.UID != owner(t, o.Data, "control") || h.UID == 0 || h.Starter != 0 {
		t.Errorf("control is %+v", h)
	}
	if owner(t, o.Data, "control/signing.key") != h.UID || owner(t, o.Data, "control.sock") != 0 || owner(t, o.Data, "answer.sock") != 0 {
		t.Error("key or sockets belong to the wrong account")
	}
	answer := owner(t, o.Data, "answer")
	if answer == 0 || answer == h.UID || owner(t, o.Data, "answer/trusted.key") != answer || owner(t, o.Data, "feed.sock") != answer {
		t.Error("answer's files belong to the wrong account")
	}
	if info, err := os.Stat(o.Data); err != nil || info.Mode().Perm() != 0o711 {
		t.Errorf("the data folder has %v, %v", info.Mode(), err)
	}
	kill(t, r.ready.PID.Answer)
	query(t, r.ready.DNS, "while-dead")
}

func owner(t *testing.T, data, path string) int {
	t.Helper()
	info, err := os.Lstat(filepath.Join(data, path))
	must(t, err)
	return int(info.Sys().(*syscall.Stat_t).Uid)
}

func TestSocketsFromSystemdStandForAddresses(t *testing.T) {
	t.Parallel()
	o := options(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	o.Sockets = handover.Sockets{}
	must(t, o.Sockets.Add(handover.StandbyHTTP, l.(*net.TCPListener)))
	must(t, l.Close())
	o.StandbyHTTP = ""
	r := serve(t, o)
	if r.ready.StandbyHTTP != l.Addr().String() {
		t.Errorf("standby at %s, want %s", r.ready.StandbyHTTP, l.Addr())
	}
}
