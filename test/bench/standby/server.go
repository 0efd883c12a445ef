package main

import (
	"bytes"
	"errors"
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

// server is a way to serve the page.
type server struct {
	name    string
	command []string
	files   map[string]string
	plain   string // addresses
	secure  string
	extra   string // another port of its own, for lifeboat's name server and switches
	cmd     *exec.Cmd
	log     string
	ended   chan struct{}
}

var errMissing = errors.New("not installed")

// candidates are lifeboat and its peers. What is filled in: {dir}, {plain} and {secure}
// (addresses), {plainport} and {secureport}, {extra}.
func candidates() []*server {
	return []*server{
		{name: "lifeboat", command: []string{"{lifeboat}", "answer", "--data", "{dir}/lifeboat", "--dns", "{extra}", "--ofrep", "127.0.0.1:0", "--standby-http", "{plain}", "--standby-https", "{secure}"}},
		{name: "nginx", command: []string{"nginx", "-c", "{dir}/nginx.conf", "-p", "{dir}"}, files: map[string]string{"nginx.conf": nginxConf}},
		{name: "caddy", command: []string{"caddy", "run", "--config", "{dir}/Caddyfile", "--adapter", "caddyfile"}, files: map[string]string{"Caddyfile": caddyfile}},
	}
}

const nginxConf = `daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {dir}/nginx.pid;
error_log {dir}/nginx.err crit;
events { worker_connections 19000; }
http {
	access_log off; server_tokens off; keepalive_timeout 60s; keepalive_requests 1000000000; client_header_timeout 5s;
	client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3; uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
	open_file_cache max=10; open_file_cache_valid 600s;
	server {
		listen {plain} backlog=4096; listen {secure} ssl http2 backlog=4096;
		server_name shop.bench.test; root {dir}/www;
		ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem; ssl_protocols TLSv1.2 TLSv1.3; ssl_ecdh_curve X25519;
		ssl_session_cache shared:SSL:10m; ssl_session_tickets on;
		error_page 503 /page.html.br;
		location / { return 503; }
		location = /page.html.br {
			internal; types {} default_type "text/html; charset=utf-8";
			add_header Content-Encoding br always; add_header Retry-After 30 always; add_header Cache-Control no-store always;
			add_header Vary "Accept, Accept-Encoding" always; add_header X-Content-Type-Options nosniff always; add_header Alt-Svc clear always;
			add_header Referrer-Policy no-referrer always; add_header Access-Control-Allow-Origin * always;
		}
	}
}
`

const caddyfile = `{
	admin off
	auto_https off
	servers {
		protocols h1 h2
	}
}
(page) {
	root * {dir}/www
	rewrite * /page.html
	header Retry-After 30
	header Cache-Control no-store
	header X-Content-Type-Options nosniff
	header Referrer-Policy no-referrer
	header Access-Control-Allow-Origin *
	file_server {
		status 503
		precompressed br
	}
}
http://shop.bench.test:{plainport} {
	bind 127.0.0.1
	import page
}
https://shop.bench.test:{secureport} {
	bind 127.0.0.1
	tls {dir}/cert.pem {dir}/key.pem {
		curves x25519
	}
	import page
}
`

// consoleServer is a control process: what people use in a crisis, on the core of what is
// stormed.
func consoleServer() *server {
	return &server{
		name: "console", files: map[string]string{"console.yaml": consoleYAML},
		command: []string{"{lifeboat}", "control", "--config", "{dir}/console.yaml", "--data", "{dir}/console", "--http", "{plain}", "--dns", "{extra}", "--standby-http", "{secure}"},
	}
}

const consoleYAML = `nameservers: {ns1.bench.test.: 127.0.0.1}
sites:
  shop:
    title: Bench
    names: [shop.bench.test]
    scheme: http
    port: 80
    origins: {main: {address: 127.0.0.2}}
    standby: {addresses: [127.0.0.4]}
    checks:
      home: {http: {path: /}, every: 10s, timeout: 1s, down_after: 3, up_after: 2}
    failover: off
zones:
  shop.bench.test: {ttl: 60s, ns: [ns1.bench.test.], follow: {"@": shop}}
levers:
  to-standby: {title: Show visitors the status page, zone: {site: shop, to: standby}}
`

// launchConsole starts the console and waits until it answers.
func (b *bench) launchConsole(s *server) error {
	if err := b.spawn(s); err != nil {
		return err
	}
	return s.until(func() error { return askConsole(s.plain) })
}

// launch starts a server and waits until it answers.
func (b *bench) launch(s *server) error {
	if err := b.spawn(s); err != nil {
		return err
	}
	return s.until(func() error {
		c, err := b.dial(s, b.config(nil))
		if err != nil {
			return err
		}
		defer c.close()
		return c.ask()
	})
}

// spawn starts a server on its core.
func (b *bench) spawn(s *server) error {
	for _, into := range []*string{&s.plain, &s.secure, &s.extra} {
		addr, err := freePort()
		if err != nil {
			return err
		}
		*into = addr
	}
	port := func(addr string) string { _, p, _ := net.SplitHostPort(addr); return p }
	fill := strings.NewReplacer("{dir}", b.dir, "{lifeboat}", b.lifeboat, "{plain}", s.plain, "{secure}", s.secure, "{plainport}", port(s.plain), "{secureport}", port(s.secure), "{extra}", s.extra)
	for name, text := range s.files {
		if err := os.WriteFile(b.path(name), []byte(fill.Replace(text)), 0o644); err != nil {
			return err
		}
	}
	path, err := find(fill.Replace(s.command[0]))
	if err != nil {
		return errMissing
	}
	args := []string{"-c", b.serverCPU, path}
	for _, arg := range s.command[1:] {
		args = append(args, fill.Replace(arg))
	}
	s.log, s.ended = b.path(s.name+".log"), make(chan struct{})
	f, err := os.Create(s.log)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // the child has its own
	s.cmd = exec.Command("taskset", args...)
	s.cmd.Stdout, s.cmd.Stderr = f, f
	s.cmd.Env = append(os.Environ(), "HOME="+b.dir, "XDG_CONFIG_HOME="+b.dir, "XDG_DATA_HOME="+b.dir)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() { // ends with the process
		_ = s.cmd.Wait()
		close(s.ended)
	}()
	return nil
}

// until waits until a server answers.
func (s *server) until(answers func() error) error {
	var last error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if last = answers(); last == nil {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("%s has ended: %s", s.name, s.output())
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s does not answer: %w; %s", s.name, last, s.output())
}

func (s *server) output() string {
	text, _ := os.ReadFile(s.log)
	return string(text[max(0, len(text)-2000):])
}

func (s *server) stop() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	group := -s.cmd.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(5 * time.Second):
	}
	_ = syscall.Kill(group, syscall.SIGKILL)
	<-s.ended
}

// processes are the folders below /proc of the group.
func (s *server) processes() (out []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range all {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		if len(fields) > 2 && string(fields[2]) == strconv.Itoa(s.cmd.Process.Pid) {
			out = append(out, filepath.Dir(file))
		}
	}
	return out
}

// cpu is how long the threads of the group have run.
func (s *server) cpu() (sum time.Duration, err error) {
	for _, dir := range s.processes() {
		threads, _ := filepath.Glob(filepath.Join(dir, "task", "*", "schedstat"))
		for _, thread := range threads {
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
		return 0, fmt.Errorf("%s does not run: %s", s.name, s.output())
	}
	return sum, nil
}

// starved says how much of a time the group ran, and how much it would have but for
// others on its core: figures of a server that others keep from running say little.
func (s *server) starved(began scheduling, length time.Duration) string {
	now := s.scheduled()
	return fmt.Sprintf("ran %.0f %% of the time, was kept waiting %.0f %%", 100*(now.ran-began.ran).Seconds()/length.Seconds(), 100*(now.waited-began.waited).Seconds()/length.Seconds())
}

// scheduling are the sums of schedstat (Documentation/scheduler/sched-stats.rst).
type scheduling struct{ ran, waited time.Duration }

func (s *server) scheduled() (sum scheduling) {
	for _, dir := range s.processes() {
		threads, _ := filepath.Glob(filepath.Join(dir, "task", "*", "schedstat"))
		for _, thread := range threads {
			text, _ := os.ReadFile(thread)
			var ran, waited int64
			if _, err := fmt.Sscan(string(text), &ran, &waited); err == nil {
				sum.ran, sum.waited = sum.ran+time.Duration(ran), sum.waited+time.Duration(waited)
			}
		}
	}
	return sum
}

// memory is what the group holds, in bytes.
func (s *server) memory() (sum int) {
	for _, dir := range s.processes() {
		text, _ := os.ReadFile(filepath.Join(dir, "smaps_rollup"))
		for line := range strings.Lines(string(text)) {
			if rest, is := strings.CutPrefix(line, "Pss:"); is {
				n := 0
				_, _ = fmt.Sscan(rest, &n)
				sum += n << 10
			}
		}
	}
	return sum
}

// find looks for a command, in sbin too.
func find(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", errMissing
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
