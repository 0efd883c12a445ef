package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/answer"
	"lifeboat/internal/api"
	"lifeboat/internal/incident"
	"lifeboat/internal/supervise"
)

// The positions of the sample site.
const (
	home    = "main"
	backup  = "backup"
	standby = "standby"
)

// within is how long anything that must happen may take on a busy machine.
const within = 40 * time.Second

// out bounds how many boats are out at once.
var out = make(chan struct{}, 3)

// Options of a boat.
type Options struct {
	Failover string      // propose unless said
	Folder   string      // for data and everything else; a temporary one unless said
	Ready    func(*Boat) // makes what the configuration needs, before it is written
	Undrilled,
	Still bool // Still: lifeboat is not started
}

// Boat is a lifeboat around a sample site, on addresses of its own.
type Boat struct {
	t       *testing.T
	dir     string // everything of this boat
	data    string
	config  string
	failure string      // failover
	site    string      // more lines of the site's configuration
	more    string      // more sections
	https   *tls.Config // of the places; nil: plain HTTP
	net     string      // 127.x.y., the first three numbers of its addresses
	port    int         // the one port of origins, standby, name server and all
	main    *Origin
	backup  *Origin

	serve   *Process
	load    *Load
	at      string // where visitors are
	cleanup sync.Once
}

// Launch makes a boat; its levers are drilled and its site is seen up.
func Launch(t *testing.T, o Options) *Boat {
	t.Helper()
	b := Moor(t, o)
	if o.Still {
		return b
	}
	b.Serve()
	b.Eventually("home and standby are seen up", func() bool {
		s := b.Site()
		return b.seen(s, home) == "up" && b.seen(s, standby) == "up"
	})
	if !o.Undrilled {
		for _, lever := range []string{"to-standby", "to-backup"} {
			var rec api.DrillRecord
			b.Must(b.Post("/levers/"+lever+"/drill", nil, &rec))
			if !rec.OK {
				t.Fatalf("the drill of %s failed: %+v", lever, rec)
			}
		}
	}
	return b
}

// Moor makes folder, addresses, origins and configuration.
func Moor(t *testing.T, o Options) *Boat {
	t.Helper()
	out <- struct{}{}
	t.Cleanup(func() { <-out })
	b := &Boat{t: t, dir: o.Folder, at: home, failure: o.Failover, net: subnet()}
	if b.failure == "" {
		b.failure = "propose"
	}
	if b.dir == "" {
		dir, err := os.MkdirTemp("", "e2e")
		b.Must(err)
		b.dir = dir
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
	}
	b.data, b.config = filepath.Join(b.dir, "data"), filepath.Join(b.dir, "lifeboat.yaml")
	t.Cleanup(b.sink)
	b.main = openOrigin(t, home, b.Addr(1)+":0")
	b.port = b.main.port
	b.backup = openOrigin(t, backup, b.host(2))
	if o.Ready != nil {
		o.Ready(b)
	}
	b.Configure(b.sample())
	return b
}

var subnets atomic.Int64

// subnet gives loopback addresses that no other boat of this machine is likely to
// have.
func subnet() string {
	n := subnets.Add(1)
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.", 10+pid%200, (pid/200*16+int(n))%250+1)
}

// Addr is one of the boat's addresses.
func (b *Boat) Addr(n int) string { return b.net + strconv.Itoa(n) }

func (b *Boat) host(n int) string { return net.JoinHostPort(b.Addr(n), strconv.Itoa(b.port)) }

// DNS, Console and Flags are where lifeboat listens; the standby is at the
// address of the position of that name.
func (b *Boat) DNS() string     { return b.host(4) }
func (b *Boat) Console() string { return b.host(5) }
func (b *Boat) Flags() string   { return b.host(6) }

// address is where a position leads.
func (b *Boat) address(position string) string {
	return b.Addr(map[string]int{home: 1, backup: 2, standby: 3}[position])
}

const sample = `
nameservers: {ns1.example.net.: "%s"}
sites:
  shop:
    title: Example Shop
    names: [shop.example.com, www.shop.example.com]
    scheme: http
    port: %d
    origins:
      main: {address: %s}
      backup: {address: %s}
    standby: {addresses: [%s]}
    contact: Write to help@example.org
    checks:
      home: {http: {path: /, contains: Add to cart}, every: 100ms, timeout: 1s, down_after: 2, up_after: 2}
    sanity: {passes: 1, apart: 100ms}
    watch: 1s
    take_back: 1m
    failover: %s
    settle: 0s
    auto_gap: 1s
    silence: 1s
zones:
  shop.example.com:
    ttl: 1s
    minimum: 1s
    ns: [ns1.example.net.]
    follow: {"@": shop, www: shop}
    records: |
      mail IN MX 10 mail.example.net.
levers:
  to-standby: {title: Show visitors the status page, zone: {site: shop, to: standby}}
  to-backup: {title: Send visitors to the backup, zone: {site: shop, to: backup}}
  close-checkout: {title: Close the checkout, feature: {key: checkout, value: false}}
features:
  checkout: {value: true, off: false, says: Card payments}
`

func (b *Boat) sample() string {
	text := fmt.Sprintf(sample, b.DNS(), b.port, b.address(home), b.address(backup), b.address(standby), b.failure)
	if b.https != nil {
		text = strings.Replace(text, "scheme: http\n", "scheme: https\n    ca_file: ca.pem\n", 1)
	}
	return strings.Replace(text, "zones:\n", b.site+"zones:\n", 1) + b.more
}

// Configure writes the configuration file.
func (b *Boat) Configure(text string) {
	b.t.Helper()
	b.Must(os.WriteFile(b.config, []byte(text), 0o600))
}

// sink ends everything of this boat, by process id.
func (b *Boat) sink() {
	b.cleanup.Do(func() {
		if b.load != nil {
			b.load.stop()
		}
		if b.serve != nil && b.serve.Running() {
			b.serve.Signal(unix.SIGTERM)
			b.serve.WaitFor(20 * time.Second)
		}
		for _, pid := range b.left() {
			b.t.Logf("process %d was left over", pid)
			_ = unix.Kill(pid, unix.SIGCONT)
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		if b.serve != nil {
			b.serve.WaitFor(5 * time.Second)
		}
		if b.t.Failed() {
			log, _ := os.ReadFile(b.logPath())
			lines := strings.Split(string(log), "\n")
			b.t.Logf("the end of the log:\n%s", strings.Join(lines[max(0, len(lines)-60):], "\n"))
		}
	})
}

// left are the processes of this boat that run.
func (b *Boat) left() []int {
	var out []int
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		env, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if err == nil && bytes.Contains(env, []byte(envBoat+"="+b.dir+"\x00")) {
			out = append(out, pid)
		}
	}
	return out
}

func (b *Boat) logPath() string { return filepath.Join(b.dir, "log") }

// Log is what its processes have said so far.
func (b *Boat) Log() string {
	log, err := os.ReadFile(b.logPath())
	b.Must(err)
	return string(log)
}

// Must fails the test on an error.
func (b *Boat) Must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// Eventually polls until ok, or fails the test.
func (b *Boat) Eventually(what string, ok func() bool) {
	b.t.Helper()
	if !poll(within, ok) {
		b.t.Fatalf("it did not come to this: %s", what)
	}
}

func poll(within time.Duration, ok func() bool) bool {
	deadline := time.Now().Add(within)
	for !ok() {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(20 * time.Millisecond)
	}
	return true
}

// Process is a lifeboat process that the test has started.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// Command makes a process of lifeboat's command line.
func (b *Boat) Command(args ...string) *exec.Cmd {
	b.t.Helper()
	self, err := os.Executable()
	b.Must(err)
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), envActAs+"="+strconv.Itoa(os.Getpid()), envCrash+"="+filepath.Join(b.dir, "crash"), envBoat+"="+b.dir)
	cmd.Dir = b.dir
	return cmd
}

// Run runs a command of lifeboat to its end.
func (b *Boat) Run(args ...string) (output string, err error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	cmd := b.Command(args...)
	var all bytes.Buffer
	cmd.Stdout, cmd.Stderr = &all, &all
	b.Must(cmd.Start())
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	err = cmd.Wait()
	return all.String(), errors.Join(err, ctx.Err())
}

// Start starts a command of lifeboat that goes on; what it says goes to the log.
func (b *Boat) Start(args ...string) *Process {
	b.t.Helper()
	p := &Process{cmd: b.Command(args...), done: make(chan struct{})}
	log, err := os.OpenFile(b.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	b.Must(err)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	b.Must(p.cmd.Start())
	b.Must(log.Close())
	go func() { _ = p.cmd.Wait(); close(p.done) }() // ends with the process
	return p
}

// Signal sends a signal.
func (p *Process) Signal(s unix.Signal) { _ = p.cmd.Process.Signal(s) }

// Running says whether it has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// WaitFor waits for its end.
func (p *Process) WaitFor(d time.Duration) bool {
	select {
	case <-p.done:
		return true
	case <-time.After(d):
		return false
	}
}

func (b *Boat) serveArgs() []string {
	standby := []string{"--standby-http", b.host(3)}
	if b.https != nil {
		standby = []string{"--standby-http", b.Addr(3) + ":0", "--standby-https", b.host(3)}
	}
	return append([]string{
		"serve", "--data", b.data, "--config", b.config, "--http", b.Console(), "--dns", b.DNS(), "--ofrep", b.Flags(),
		"--ready-file", b.readyPath(),
	}, standby...)
}

func (b *Boat) readyPath() string { return filepath.Join(b.dir, "ready") }

// Serve starts `lifeboat serve` and waits until it is ready.
func (b *Boat) Serve() {
	b.t.Helper()
	_ = os.Remove(b.readyPath())
	b.serve = b.Start(b.serveArgs()...)
	b.Eventually("serve is ready", func() bool {
		if !b.serve.Running() {
			b.t.Fatal("serve has ended")
		}
		_, err := os.Stat(b.readyPath())
		return err == nil
	})
}

// PIDs are the processes as the ready file tells them.
func (b *Boat) PIDs() supervise.PIDs {
	var at supervise.Addresses
	raw, err := os.ReadFile(b.readyPath())
	if err == nil {
		_ = json.Unmarshal(raw, &at)
	}
	return at.PID
}

// Control is the pid of the control that answers on control.sock, 0 if none does.
func (b *Boat) Control() int {
	var said struct {
		PID int `json:"pid"`
	}
	_ = b.ask(b.root(2*time.Second), http.MethodGet, "http://control/healthz", nil, &said)
	return said.PID
}

// Answer is the pid of the answer that answers on answer.sock, 0 if none does.
func (b *Boat) Answer() int {
	r, err := b.Order(answer.Request{Do: "status"})
	if err != nil {
		return 0
	}
	return r.PID
}

// Running waits for a child to say its pid: a signal must never go to "0", which is
// ourselves and all around us.
func (b *Boat) Running(child func() int) (pid int) {
	b.t.Helper()
	b.Eventually("the child says its pid", func() bool { pid = child(); return pid > 1 })
	return pid
}

// Signal sends a signal to a child; one that has ended already does not mind.
func (b *Boat) Signal(pid int, s unix.Signal) {
	b.t.Helper()
	if pid <= 1 {
		b.t.Errorf("there is no process %d to signal", pid)
		return
	}
	_ = unix.Kill(pid, s)
}

// Kill kills a process and waits until it is gone.
func (b *Boat) Kill(pid int) {
	b.t.Helper()
	if pid <= 1 {
		b.t.Fatalf("there is no process %d to kill", pid)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	b.Must(err)
	defer func() { _ = unix.Close(fd) }()
	b.Must(unix.Kill(pid, unix.SIGKILL))
	b.Eventually("the killed process is gone", func() bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, _ := unix.Poll(fds, 0)
		return n > 0
	})
}

// KillControl kills control; serve starts another, which is awaited.
func (b *Boat) KillControl() {
	b.t.Helper()
	old := b.Running(b.Control)
	b.Kill(old)
	b.AwaitControl(old)
}

// AwaitControl waits for a control that is ready and is not this one.
func (b *Boat) AwaitControl(not int) {
	b.t.Helper()
	b.Eventually("a control is ready", func() bool {
		pid := b.Control()
		return pid != 0 && pid != not && b.Ready()
	})
}

// KillAnswer kills answer; serve starts another, which is awaited.
func (b *Boat) KillAnswer() {
	b.t.Helper()
	old := b.Running(b.Answer)
	b.Kill(old)
	b.Eventually("a new answer is ready", func() bool {
		r, err := b.Order(answer.Request{Do: "status"})
		return err == nil && r.PID != old && r.Ready
	})
}

// Ready says whether control can give orders.
func (b *Boat) Ready() bool {
	return b.ask(b.root(2*time.Second), http.MethodGet, "http://control/readyz", nil, nil) == nil
}

// NoControl makes control unable to start, and kills the one that runs.
func (b *Boat) NoControl() {
	b.t.Helper()
	b.Configure("sites: {shop: {nmes: [shop.example.com]}}\n")
	if pid := b.Control(); pid != 0 {
		b.Kill(pid)
	}
}

// ControlAgain lets control start again.
func (b *Boat) ControlAgain() {
	b.t.Helper()
	b.Configure(b.sample())
	b.AwaitControl(0)
}

// Order sends a request to answer.sock, as root does.
func (b *Boat) Order(q answer.Request) (r answer.Reply, err error) {
	c, err := net.DialTimeout("unix", filepath.Join(b.data, "answer.sock"), 2*time.Second)
	if err != nil {
		return r, err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	line, err := json.Marshal(q)
	if err != nil {
		return r, err
	}
	if _, err := c.Write(append(line, '\n')); err != nil {
		return r, err
	}
	if err := json.NewDecoder(c).Decode(&r); err != nil {
		return r, err
	}
	if !r.OK {
		return r, errors.New(r.Err)
	}
	return r, nil
}

// root is a client of control.sock.
func (b *Boat) root(limit time.Duration) *http.Client {
	sock := filepath.Join(b.data, "control.sock")
	return &http.Client{Timeout: limit, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", sock)
	}}}
}

// web is a client of the console's port, with the first token.
func (b *Boat) web() *http.Client {
	return &http.Client{Timeout: within, Transport: bearer{b}}
}

type bearer struct{ b *Boat }

var plain = &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: within}

func (t bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("Authorization", "Bearer "+t.b.Token())
	return plain.RoundTrip(r)
}

// Token is the first admin token.
func (b *Boat) Token() string {
	raw, err := os.ReadFile(filepath.Join(b.data, "control", "admin.token"))
	b.Must(err)
	return strings.TrimSpace(string(raw))
}

// Post calls the API over the network, with a token.
func (b *Boat) Post(path string, in, out any) error {
	return b.ask(b.web(), http.MethodPost, "http://"+b.Console()+"/api/v1"+path, in, out)
}

// PostRoot calls the API over control.sock.
func (b *Boat) PostRoot(path string, in, out any) error {
	return b.ask(b.root(within), http.MethodPost, "http://control/api/v1"+path, in, out)
}

// Get reads from the API.
func (b *Boat) Get(path string, out any) error {
	return b.ask(b.root(10*time.Second), http.MethodGet, "http://control/api/v1"+path, nil, out)
}

func (b *Boat) ask(c *http.Client, method, url string, in, out any) error {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, url, res.Status, raw)
	}
	if out == nil || len(raw) == 0 {
		return nil
	}
	return json.Unmarshal(raw, out)
}

// Status is one look at everything.
func (b *Boat) Status() (o api.Overview, err error) { return o, b.Get("/status", &o) }

// Site is the one site; empty while control can't be asked.
func (b *Boat) Site() api.SiteView {
	o, err := b.Status()
	if err != nil || len(o.Sites) == 0 {
		return api.SiteView{}
	}
	return o.Sites[0]
}

func (b *Boat) seen(s api.SiteView, place string) string {
	for _, p := range s.Seen {
		if p.Place == place {
			return string(p.Seen)
		}
	}
	return ""
}

// Phase is the phase of the site's incident.
func (b *Boat) Phase() incident.Phase {
	if in := b.Site().Incident; in != nil {
		return in.Phase
	}
	return incident.None
}

// AwaitPhase waits for one of the phases.
func (b *Boat) AwaitPhase(want ...incident.Phase) {
	b.t.Helper()
	last := incident.None
	if !poll(within, func() bool {
		last = b.Phase()
		for _, p := range want {
			if p == last {
				return true
			}
		}
		return false
	}) {
		b.t.Fatalf("the incident is in phase %q, not in %q\n%s", last, want, b.Story())
	}
}

// Declare says that something is wrong.
func (b *Boat) Declare() {
	b.t.Helper()
	b.Must(b.Post("/sites/shop/declare", api.DeclareBody{Title: "Nothing loads"}, nil))
}

// Pull pulls a lever over the API; its effect is there when it returns.
func (b *Boat) Pull(lever string) {
	b.t.Helper()
	to := strings.TrimPrefix(lever, "to-")
	b.Moving(to)
	b.Must(b.Post("/levers/"+lever+"/pull", nil, nil))
	b.Moved(to)
}

// GoBack starts the return and waits until everybody is home.
func (b *Boat) GoBack() {
	b.t.Helper()
	b.main.Up()
	b.Moving(home)
	b.Must(b.Post("/sites/shop/go-back", api.GoBackBody{Because: "The release was taken back."}, nil))
	b.AwaitPhase(incident.Watch, incident.Review)
	b.Moved(home)
	b.AwaitPhase(incident.Review)
}

// Close ends the incident.
func (b *Boat) Close() {
	b.t.Helper()
	b.Must(b.Post("/sites/shop/close", api.ReasonBody{Reason: "This was a test."}, nil))
}

// Moving says that visitors may be moved from now on; Moved that they have been,
// and are nowhere else. Both check what DNS answers.
func (b *Boat) Moving(to string) {
	if b.load != nil {
		b.load.Flip(b.at, to)
	}
}

// Moved checks that DNS sends visitors there.
func (b *Boat) Moved(to string) {
	b.t.Helper()
	b.at = to
	b.Expect(to)
	if b.load != nil {
		b.load.Allow(to)
	}
}

// Expect checks where DNS sends visitors now.
func (b *Boat) Expect(position string) {
	b.t.Helper()
	got, err := lookup(b.DNS(), "shop.example.com.")
	if err != nil || got != b.address(position) {
		b.t.Fatalf("DNS answers %s (%v), not %s for %s", got, err, b.address(position), position)
	}
}

// Incidents are all that are no drills, with their timelines; each must be intact.
func (b *Boat) Incidents() []api.Timeline {
	b.t.Helper()
	var all api.Incidents
	b.Eventually("control lists the incidents", func() bool { return b.Get("/incidents", &all) == nil })
	var out []api.Timeline
	for _, h := range all.Incidents {
		if h.Drill {
			continue
		}
		var line api.Timeline
		b.Eventually("control tells the timeline", func() bool { return b.Get("/incidents/"+h.ID+"/timeline", &line) == nil })
		if err := incident.Verify(line.Events); err != nil || !line.Intact {
			b.t.Errorf("the timeline of %s is broken: %v %s", h.ID, err, line.Broken)
		}
		out = append(out, line)
	}
	return out
}

// OneIncident is the one incident there is.
func (b *Boat) OneIncident() api.Timeline {
	b.t.Helper()
	all := b.Incidents()
	if len(all) != 1 {
		b.t.Fatalf("there are %d incidents, not one\n%s", len(all), b.Story())
	}
	return all[0]
}

// Story is all that happened, for a failure's text.
func (b *Boat) Story() string {
	b.t.Helper()
	var s strings.Builder
	for _, line := range b.Incidents() {
		for _, e := range line.Events {
			fmt.Fprintf(&s, "%s %2d %s %-24s %s\n", line.Incident, e.Seq, e.At.Format("05.000"), e.Type, e.Text)
		}
	}
	return s.String()
}

// count says how many events of a type there are.
func count(events []incident.Event, kind incident.Type) int {
	n := 0
	for _, e := range events {
		if e.Type == kind {
			n++
		}
	}
	return n
}
