package shop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/fault"
)

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func (s *open) breaks(how string) {
	s.t.Helper()
	if err := Break(bounded(s.t), s.control, how); err != nil {
		s.t.Fatal(err)
	}
}

func (s *open) repair() {
	s.t.Helper()
	if err := Repair(bounded(s.t), s.control); err != nil {
		s.t.Fatal(err)
	}
}

// condition is how the shop is.
func (s *open) condition() Condition {
	s.t.Helper()
	c, err := State(bounded(s.t), s.control)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// wantHarms checks what is wrong with the shop now.
func (s *open) wantHarms(want ...Harm) {
	s.t.Helper()
	c := s.condition()
	if !slices.Equal(c.Harms, want) || c.Name != "main" || "http://"+c.Address != s.base || c.PID != os.Getpid() {
		s.t.Errorf("condition %+v, want %v of the shop at %s", c, want, s.base)
	}
}

// does does an act that the shop can do itself.
func (s *open) does(act Act) string {
	s.t.Helper()
	said, err := Do(bounded(s.t), s.control, act)
	if err != nil {
		s.t.Fatal(err)
	}
	return said
}

// TestBadRelease: whatever is asked of release 413 panics for real; nothing that can be
// done to the running process helps.
func TestBadRelease(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "shop.db")
	s := start(t, func(o *Options) { o.Release, o.DataFile = BadRelease.ReleaseOf(), file })
	s.wantHarms(BadRelease)
	for _, path := range []string{"/", "/products/1", "/orders", "/api/products", "/healthz", "/nowhere"} {
		a := s.get(path)
		a.want(t, 500, "goroutine", "nil pointer dereference", "(*discounts).today", "release 413")
		if a.header.Get(OriginHeader) != "main" {
			t.Errorf("%s: no %s on a broken page", path, OriginHeader)
		}
	}
	s.get("/metrics").want(t, 200, `shop_build_info{origin="main",release="413"} 1`, "shop_errors_total 6", `shop_requests_total{status="500"} 6`)
	s.repair()
	s.does(RepairRow)
	s.does(FreeDisk)
	s.wantHarms(BadRelease)
	s.get("/").want(t, 500)

	good := start(t, func(o *Options) { o.DataFile = file })
	good.wantHarms()
	good.get("/").want(t, 200)
	good.get("/metrics").want(t, 200, `release="412"`)
}

// TestHang sends requests into a shop that hangs: none is answered before the
// repair, all are after it, bodies included.
func TestHang(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.breaks("hang")
	s.wantHarms(Hang)
	answers := make(chan string, 2)
	ask := func(req *http.Request) {
		resp, err := s.client.Do(req)
		if err != nil {
			answers <- err.Error()
			return
		}
		defer resp.Body.Close()
		answers <- fmt.Sprint(req.Method, " ", resp.StatusCode)
	}
	go ask(s.request("GET", "/", "", ""))
	go ask(s.request("POST", "/api/orders", "application/json", goodOrder))

	conn, err := net.Dial("tcp", strings.TrimPrefix(s.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /about HTTP/1.1\r\nHost: shop\r\n\r\n")
	s.waitHeld(3) // the control answers all the while
	select {
	case a := <-answers:
		t.Fatalf("a hanging shop answered: %s", a)
	default:
	}
	s.repair()
	got := map[string]bool{<-answers: true, <-answers: true}
	if !got["GET 200"] || !got["POST 201"] {
		t.Errorf("after the repair: %v, want both answered", got)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("the connection did not stay open: %v %v", resp, err)
	}
	resp.Body.Close()
}

// TestHangEnds shows that neither a client that leaves nor a stop of the shop is
// held up by requests that hang (goleak watches over the goroutines).
func TestHangEnds(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.breaks("hang")
	ended := make(chan error, 1)
	ask := func(ctx context.Context) {
		resp, err := s.client.Do(s.request("GET", "/", "", "").WithContext(ctx))
		if err == nil {
			resp.Body.Close()
		}
		ended <- err
	}
	ctx, leave := context.WithCancel(t.Context())
	go ask(ctx)
	s.waitHeld(1)
	leave()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("request that was given up: %v", err)
	}
	s.waitHeld(0)

	go ask(t.Context())
	s.waitHeld(1)
	if err := s.stop(); err != nil {
		t.Errorf("stop while hanging: %v", err)
	}
	if err := <-ended; err == nil {
		t.Error("a hanging request was answered by the stop")
	}
	if _, err := os.Lstat(s.control); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the control socket is still there: %v", err)
	}
}

// waitHeld waits until so many requests hang.
func (s *open) waitHeld(n int64) {
	s.t.Helper()
	ctx := bounded(s.t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := State(ctx, s.control)
		if err != nil {
			s.t.Fatal(err)
		}
		if c.Held == n {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatalf("%d requests hang, want %d", c.Held, n)
		}
	}
}

func TestControlIsPrivate(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	info, err := os.Lstat(s.control)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 || info.Mode().Type() != os.ModeSocket {
		t.Errorf("control socket is %s, want a socket for the owner alone", info.Mode())
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(s.control), ".s*"))
	if err != nil || len(left) > 0 {
		t.Errorf("folders left behind: %v %v", left, err)
	}
	s.post("/break/bad-release", nil).want(t, 404)
	s.post("/repair", nil).want(t, 404)
	s.get("/state").want(t, 404)
	s.wantHarms()
}

func TestControlRefuses(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	if err := Break(bounded(t), s.control, "fire"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("unknown way to break: %v", err)
	}
	for path, want := range map[string]string{
		"/break/none":            "one of kill, hang, bad-release",
		"/break/bad-release":     "ask the demo",
		"/break/slow-dependency": "ask the demo",
		"/break/flaky?for=never": "such as for=5s",
		"/do/restart":            "ask the demo",
		"/do/dance":              "ask the demo",
	} {
		if _, err := call(bounded(t), s.control, "POST", path); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want a refusal that says %q", path, err, want)
		}
	}
	if _, err := State(bounded(t), filepath.Join(t.TempDir(), "none.sock")); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("nobody there: %v", err)
	}
	err := Run(bounded(t), Options{DataFile: filepath.Join(t.TempDir(), "other.db"), Control: s.control})
	if fault.KindOf(err) != fault.Conflict {
		t.Errorf("a second shop on one control socket: %v", err)
	}
	s.wantHarms()
}

// childEnv makes this test binary a shop; its value is the folder to use.
const childEnv = "LIFEBOAT_SHOP_CHILD"

func runChild() int {
	dir := os.Getenv(childEnv)
	err := Run(context.Background(), Options{
		Control:  filepath.Join(dir, "shop.sock"),
		DataFile: filepath.Join(dir, "shop.db"),
		Ready:    func(a net.Addr) { fmt.Println(a) },
	})
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// startProcess runs a shop in a process of its own and gives its base URL.
func startProcess(t *testing.T, dir string) (*exec.Cmd, string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("shop process did not start: %v", err)
	}
	return cmd, "http://" + strings.TrimSpace(address)
}

// TestKill kills a real process and starts it again on what it left behind.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	socket := filepath.Join(dir, "shop.sock")
	cmd, base := startProcess(t, dir)
	s := &open{t: t, base: base, control: socket, client: newVisitor(t)}
	s.postJSON("/api/orders", goodOrder).want(t, 201)
	s.breaks("kill")
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != exitKilled {
		t.Errorf("the process ended with %v, want code %d", err, exitKilled)
	}
	if _, err := State(bounded(t), socket); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("condition of a dead shop: %v", err)
	}
	if err := Repair(bounded(t), socket); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("repair of a dead shop: %v", err)
	}

	_, s.base = startProcess(t, dir)
	s.get("/api/orders").want(t, 200, `"number":2`)
	s.breaks("hang")
	s.repair()
	s.get("/healthz").want(t, 200)
}
