package ofrep

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/open-feature/go-sdk/openfeature"
	"github.com/open-feature/go-sdk/openfeature/isolated"
	"golang.org/x/sys/unix"

	"lifeboat/internal/supervise"
)

const configured = `
nameservers: {ns1.example.net.: "127.0.0.1:5399"}
sites:
  shop:
    title: Example Shop
    names: [shop.example.com]
    scheme: http
    port: 9
    origins: {main: {address: 127.0.0.1}}
    standby: {addresses: [127.0.0.2]}
    checks: {home: {http: {path: /}, every: 1h}}
zones:
  shop.example.com:
    ns: [ns1.example.net.]
    follow: {"@": shop}
levers:
  close-checkout: {title: Close the checkout, feature: {key: checkout, value: false}}
features:
  checkout: {value: true, off: false, code_default: true, public: true}
  engine: {value: full, off: none, public: true, variants: {light: titles}, targeting: {if: [{"==": [{var: country}, DE]}, light]}}
`

// whole is lifeboat itself, built and running, at addresses of its own.
type whole struct {
	t    *testing.T
	dir  string
	bin  string
	at   supervise.Addresses
	run  *exec.Cmd
	done chan struct{}
}

func sail(t *testing.T) *whole {
	t.Helper()
	w := &whole{t: t, dir: t.TempDir()}
	w.bin = filepath.Join(w.dir, "lifeboat")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", w.bin, "lifeboat/cmd/lifeboat").CombinedOutput(); err != nil {
		t.Fatalf("build: %v %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "lifeboat.yaml"), []byte(configured), 0o600); err != nil {
		t.Fatal(err)
	}
	w.at.OFREP = "127.0.0.1:0"
	t.Cleanup(func() { w.sink(unix.SIGTERM) })
	w.serve()
	return w
}

// serve starts it, at the address of before if there was one.
func (w *whole) serve() {
	w.t.Helper()
	ready := filepath.Join(w.dir, "ready")
	_ = os.Remove(ready)
	log, err := os.OpenFile(filepath.Join(w.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	defer log.Close()
	w.run = exec.Command(w.bin, "serve", "--data", filepath.Join(w.dir, "data"), "--config", filepath.Join(w.dir, "lifeboat.yaml"),
		"--http", "127.0.0.1:0", "--dns", "127.0.0.1:0", "--standby-http", "127.0.0.1:0", "--ofrep", w.at.OFREP, "--ready-file", ready)
	w.run.Stdout, w.run.Stderr = log, log
	if err := w.run.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.done = make(chan struct{})
	go func(run *exec.Cmd, done chan struct{}) { _ = run.Wait(); close(done) }(w.run, w.done) // ends with the process
	until(w.t, "lifeboat is ready", func() bool {
		b, err := os.ReadFile(ready)
		return err == nil && json.Unmarshal(b, &w.at) == nil && w.at.PID.Answer > 1
	})
}

// sink ends it; what a kill leaves of its children is killed, too.
func (w *whole) sink(how unix.Signal) {
	_ = w.run.Process.Signal(how)
	select {
	case <-w.done:
	case <-time.After(patience):
		w.t.Error("lifeboat does not end")
		_ = w.run.Process.Kill()
	}
	for _, pid := range w.children() {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	until(w.t, "nothing of it is left", func() bool { return len(w.children()) == 0 })
	if w.t.Failed() {
		log, _ := os.ReadFile(filepath.Join(w.dir, "log"))
		w.t.Logf("%s", log)
	}
}

// children are the processes that run the binary.
func (w *whole) children() (out []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, exe := range all {
		if to, err := os.Readlink(exe); err == nil && to == w.bin {
			var pid int
			if _, err := fmt.Sscanf(exe, "/proc/%d/exe", &pid); err == nil && pid > 1 {
				out = append(out, pid)
			}
		}
	}
	return out
}

// answer is the pid of the answer process now.
func (w *whole) answer() int {
	w.t.Helper()
	out, err := exec.Command(w.bin, "answer", "status", "--json", "--data", filepath.Join(w.dir, "data")).Output()
	var said struct{ PID int }
	if err != nil || json.Unmarshal(out, &said) != nil || said.PID <= 1 {
		return 0
	}
	return said.PID
}

func (w *whole) do(args ...string) {
	w.t.Helper()
	if out, err := exec.CommandContext(w.t.Context(), w.bin, append(args, "--data", filepath.Join(w.dir, "data"))...).CombinedOutput(); err != nil {
		w.t.Fatalf("%v: %v %s", args, err, out)
	}
}

// crew are clients of each kind, and what each is told of the checkout.
type crew struct {
	t    *testing.T
	node *program
	page *program
	sdk  *openfeature.Client
}

func (c *crew) told() (server, page, goes string) {
	c.t.Helper()
	server = string(c.node.evaluate("boolean", "checkout", true, nil).Value)
	page = string(c.page.evaluate("boolean", "checkout", true, nil).Value)
	d, _ := c.sdk.BooleanValueDetails(c.t.Context(), "checkout", true, openfeature.NewEvaluationContext("u1", nil))
	return server, page, fmt.Sprint(d.Value)
}

func (c *crew) expect(when, server, page, goes string) {
	c.t.Helper()
	last := ""
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		s, p, g := c.told()
		if s == server && p == page && g == goes {
			return
		}
		if last = s + " " + p + " " + g; time.Now().After(end) {
			c.t.Fatalf("%s: told %s, want %s %s %s", when, last, server, page, goes)
		}
	}
}

// TestClientsOfTheBinary: the SDKs for Node, pages and Go at lifeboat itself, through a
// flip, with answer killed and hung, and with all of lifeboat killed and started again.
// Only in the code's default is the checkout open, so that "true" is nobody's answer.
func TestClientsOfTheBinary(t *testing.T) {
	t.Parallel()
	w := sail(t)
	base := "http://" + w.at.OFREP
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	api := isolated.NewAPI()
	if err := api.SetProviderAndWait(t.Context(), &Provider{BaseURL: base, Client: &http.Client{Timeout: 250 * time.Millisecond, Transport: transport}}); err != nil {
		t.Fatal(err)
	}
	c := &crew{t: t, node: run(t, "server.mjs", base), page: run(t, "page.mjs", base), sdk: api.NewClient()}
	c.expect("in calm", "true", "true", "true")
	if got := c.node.evaluate("string", "engine", "x", map[string]any{"country": "DE"}); string(got.Value) != `"titles"` {
		t.Errorf("by the rule: %+v", got)
	}
	w.do("pull", "close-checkout", "--reason", "Never rehearsed.")
	c.expect("pulled", "false", "false", "false")

	old := w.answer()
	_ = unix.Kill(old, unix.SIGKILL)
	until(t, "another answer", func() bool { now := w.answer(); return now != 0 && now != old })
	c.expect("answer was killed", "false", "false", "false")

	hung := w.answer()
	_ = unix.Kill(hung, unix.SIGSTOP)
	began := time.Now()
	c.expect("answer hangs", "true", "false", "true") // the defaults in the code; the page keeps what it has
	if took := time.Since(began); took > patience/2 {
		t.Errorf("the clients hung, too: %v", took)
	}
	_ = unix.Kill(hung, unix.SIGCONT)
	c.expect("answer goes on", "false", "false", "false")

	w.sink(unix.SIGKILL)
	until(t, "nobody answers", func() bool { // a process lets go of its sockets last, when it has no name any more
		conn, err := net.Dial("tcp", w.at.OFREP)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	c.expect("lifeboat is dead", "true", "false", "true")
	w.serve()
	if "http://"+w.at.OFREP != base {
		t.Fatal("it came back elsewhere")
	}
	c.expect("lifeboat is back", "false", "false", "false")
	w.do("put-back", "close-checkout")
	c.expect("put back", "true", "true", "true")
}
