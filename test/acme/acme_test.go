package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"golang.org/x/sys/unix"

	"lifeboat/internal/api"
	"lifeboat/internal/cli"
	"lifeboat/internal/supervise"
)

// actAs tells the test binary to be lifeboat.
const actAs = "ACME_LIFEBOAT"

// within is how long anything that must happen may take on a busy machine.
const within = 60 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(actAs) != "" {
		os.Exit(cli.Main("test"))
	}
	for key, value := range map[string]string{"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"} {
		if err := os.Setenv(key, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

const configuration = `
nameservers: {ns1.example.net.: "%[1]s"}
sites:
  shop:
    title: Example Shop
    names: [shop.example.com, www.example.com]
    status_page: status.example.com
    port: %[2]d
    ca_file: trusted.pem
    origins: {main: {address: %[3]s}}
    standby: {addresses: [%[4]s]}
    checks:
      home: {http: {path: /, contains: Add to cart}, every: 200ms, timeout: 5s}
zones:
  example.com:
    ttl: 1s
    minimum: 1s
    ns: [ns1.example.net.]
    follow: {shop: shop, www: shop, api.shop: shop}
    records: |
      status IN A %[4]s
      boat IN A %[4]s
levers:
  to-standby: {title: Show visitors the status page, zone: {site: shop, to: standby}}
console: {url: "https://boat.example.com:%[2]d"}
certificates: {ca: "%[5]s/dir", agree: true, roots_file: trusted.pem}
`

// world is a lifeboat, an authority and a production.
type world struct {
	t         *testing.T
	dir       string
	port      int
	net       string
	authority *httptest.Server
	roots     *x509.CertPool // the authority's alone
	serve     *exec.Cmd
	log       *os.File
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) addr(n int) string { return fmt.Sprintf("%s%d", w.net, n) }
func (w *world) host(n int) string { return fmt.Sprintf("%s:%d", w.addr(n), w.port) }

// eventually polls until ok, or fails the test.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(within); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("it did not come to this: %s", what)
		}
	}
}

// build starts production and the authority, and writes the configuration.
func build(t *testing.T) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "acme") // the paths of sockets are short
	w := &world{t: t, dir: dir, net: fmt.Sprintf("127.%d.%d.", 210+os.Getpid()%40, os.Getpid()/40%250+1)}
	w.must(err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	quiet := log.New(io.Discard, "", 0)
	ln, err := net.Listen("tcp", w.addr(1)+":0")
	w.must(err)
	w.port = ln.Addr().(*net.TCPAddr).Port
	production := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
		rw.Header().Set("Alt-Svc", `h3=":443"; ma=86400`)
		_, _ = io.WriteString(rw, "<button>Add to cart</button>")
	}))
	_ = production.Listener.Close()
	production.Listener, production.Config.ErrorLog = ln, quiet
	production.StartTLS()
	t.Cleanup(production.Close)
	root := w.pebble(quiet)
	w.roots = x509.NewCertPool()
	w.roots.AddCert(root)
	var trusted []byte
	for _, c := range []*x509.Certificate{root, production.Certificate()} {
		trusted = append(trusted, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	w.must(os.WriteFile(filepath.Join(dir, "trusted.pem"), trusted, 0o600))
	w.must(os.WriteFile(filepath.Join(dir, "lifeboat.yaml"), fmt.Appendf(nil, configuration, w.host(4), w.port, w.addr(1), w.addr(3), w.authority.URL), 0o600))
	return w
}

// pebble starts the authority, which asks our name server, and gives its root.
func (w *world) pebble(quiet *log.Logger) *x509.Certificate {
	w.t.Helper()
	store := db.NewMemoryStore()
	maker := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"classic": {ValidityPeriod: 90 * 24 * 3600}})
	checker := va.New(quiet, 1, 1, false, w.host(4), store)
	front := wfe.New(quiet, store, checker, maker, []string{"pebble.letsencrypt.org"}, false, false, 0, 0)
	w.authority = httptest.NewUnstartedServer(front.Handler())
	w.authority.Config.ErrorLog = quiet
	w.authority.StartTLS()
	w.t.Cleanup(w.authority.Close)
	root, err := x509.ParseCertificate(maker.GetRootCert(0).DER)
	w.must(err)
	return root
}

// command makes a process of lifeboat's command line.
func (w *world) command(args ...string) *exec.Cmd {
	self, err := os.Executable()
	w.must(err)
	cmd := exec.Command(self, args...)
	cmd.Env, cmd.Dir = append(os.Environ(), actAs+"=1"), w.dir
	return cmd
}

func (w *world) data() string { return filepath.Join(w.dir, "data") }

// launch starts `lifeboat serve`.
func (w *world) launch() {
	w.t.Helper()
	var err error
	w.log, err = os.Create(filepath.Join(w.dir, "log"))
	w.must(err)
	w.serve = w.command("serve", "--data", w.data(), "--config", "lifeboat.yaml", "--http", w.host(5), "--dns", w.host(4), "--standby-http", w.addr(3)+":0",
		"--standby-https", w.host(3), "--ofrep", w.host(6), "--ready-file", filepath.Join(w.dir, "ready"))
	w.serve.Stdout, w.serve.Stderr = w.log, w.log
	w.must(w.serve.Start())
	w.t.Cleanup(func() {
		pids := w.pids()
		_ = w.serve.Process.Signal(unix.SIGTERM)
		done := make(chan struct{})
		go func() { defer close(done); _ = w.serve.Wait() }() // ends with the process
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			_ = w.serve.Process.Kill()
			for _, pid := range []int{pids.Control, pids.Answer} {
				if pid > 1 {
					_ = unix.Kill(pid, unix.SIGKILL)
				}
			}
			<-done
		}
		_ = w.log.Close()
		if w.t.Failed() {
			w.t.Logf("lifeboat said:\n%s", w.said())
		}
	})
	w.eventually("serve is ready", func() bool { return w.pids().Control > 1 })
}

func (w *world) said() string {
	b, err := os.ReadFile(filepath.Join(w.dir, "log"))
	w.must(err)
	return string(b)
}

func (w *world) pids() supervise.PIDs {
	var at supervise.Addresses
	if raw, err := os.ReadFile(filepath.Join(w.dir, "ready")); err == nil {
		_ = json.Unmarshal(raw, &at)
	}
	return at.PID
}

// ask calls the API over control.sock.
func (w *world) ask(method, path, body string, out any) (string, error) {
	client := &http.Client{Timeout: within, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(w.data(), "control.sock"))
	}}}
	req, err := http.NewRequest(method, "http://control/api/v1"+path, strings.NewReader(body))
	w.must(err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode/100 != 2 {
		err = fmt.Errorf("%s: %s", res.Status, raw)
	}
	if err == nil && out != nil {
		err = json.Unmarshal(raw, out)
	}
	return string(raw), err
}

func (w *world) certificates() (v api.CertificatesView) {
	_, _ = w.ask(http.MethodGet, "/certificates", "", &v) // asked again
	return v
}

// visit comes to the standby by name over HTTPS, as a browser that trusts the authority.
func (w *world) visit(name string) (status int, serial string, err error) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: w.roots},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", w.host(3))
		},
	}}
	res, err := client.Get(fmt.Sprintf("https://%s:%d/", name, w.port))
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.TLS.PeerCertificates[0].SerialNumber.String(), err
}

// console comes to the console under its own name, as a browser that trusts nobody but the
// authority.
func (w *world) console() error {
	c, err := tls.Dial("tcp", w.host(5), &tls.Config{RootCAs: w.roots, ServerName: "boat.example.com"})
	if err == nil {
		err = c.Close()
	}
	return err
}

// TestCertificatesBeforeTheCrisis: a running lifeboat has certificates made through its
// own name server while production has the names, serves them at the standby, knows what
// stands in the way, and goes on with the authority and its own processes gone.
func TestCertificatesBeforeTheCrisis(t *testing.T) {
	t.Parallel()
	w := build(t)
	w.launch()
	w.eventually("every name has a certificate", func() bool {
		v := w.certificates()
		for _, n := range v.Names {
			if n.Days < 80 {
				return false
			}
		}
		return len(v.Names) == 3
	})
	var serial string
	for _, name := range []string{"shop.example.com", "www.example.com", "status.example.com"} {
		w.eventually("the standby serves "+name, func() bool {
			_, s, err := w.visit(name)
			serial = s
			return err == nil
		})
	}
	if status, _, err := w.visit("shop.example.com"); err != nil || status != http.StatusServiceUnavailable {
		t.Errorf("the shop's visitors get %d %v", status, err)
	}
	w.eventually("the console has a certificate of the authority", func() bool { return w.console() == nil })
	if _, _, err := w.visit("boat.example.com"); err == nil {
		t.Error("the standby has the console's certificate")
	}
	if _, _, err := w.visit("unknown.example.com"); err == nil {
		t.Error("a name that is not configured has a certificate")
	}
	w.readiness()
	w.noKeyIsShown()
	w.renewed(serial)
	w.authority.Close()
	_, serial, err := w.visit("shop.example.com")
	w.must(err)
	pids := w.pids()
	for _, pid := range []int{pids.Control, pids.Answer} {
		if pid <= 1 {
			t.Fatalf("no process to kill: %+v", pids)
		}
		w.must(unix.Kill(pid, unix.SIGKILL))
	}
	w.eventually("new processes", func() bool {
		now := w.pids()
		return now.Control > 1 && now.Answer > 1 && now.Control != pids.Control && now.Answer != pids.Answer
	})
	w.eventually("the same certificate is served", func() bool {
		_, s, err := w.visit("shop.example.com")
		return err == nil && s == serial
	})
	if _, err := w.ask(http.MethodPost, "/certificates/renew", `{"name":"shop"}`, nil); err == nil {
		w.eventually("control is back", func() bool { _, err := w.ask(http.MethodGet, "/certificates", "", nil); return err == nil })
	}
	w.eventually("a renewal fails and says why", func() bool {
		_, err := w.ask(http.MethodPost, "/certificates/renew", `{"name":"shop"}`, nil)
		return err != nil && strings.Contains(err.Error(), "could not be asked")
	})
	if _, s, err := w.visit("shop.example.com"); err != nil || s != serial {
		t.Errorf("after a renewal that failed: %v", err)
	}
}

// readiness looks at everything: what production tells browsers is known, and who can be
// asked says yes.
func (w *world) readiness() {
	w.t.Helper()
	var v api.CertificatesView
	w.eventually("all is looked at, and served", func() bool {
		_, err := w.ask(http.MethodPost, "/certificates/look", "", &v)
		return err == nil && len(v.Names) == 3 && v.Names[0].Here.Seen == "good"
	})
	codes := map[string]string{}
	for _, f := range v.Names[0].Findings {
		codes[f.Code] = f.Text
	}
	for code, says := range map[string]string{"hsts-subdomains": "api.shop.example.com", "alt-svc": "24 hours", "rehearsed": "not even in a drill", "served-outside": "this machine's"} {
		if !strings.Contains(codes[code], says) {
			w.t.Errorf("%s says %q, without %q", code, codes[code], says)
		}
	}
	for _, code := range []string{"certificate", "chain", "renewal", "caa", "headers", "https-record", "served-here"} {
		if text, is := codes[code]; is {
			w.t.Errorf("%s: %s", code, text)
		}
	}
	w.eventually("the standby is seen up over HTTPS", func() bool {
		var o api.Overview
		_, err := w.ask(http.MethodGet, "/status", "", &o)
		if err != nil || len(o.Sites) == 0 {
			return false
		}
		for _, p := range o.Sites[0].Seen {
			if p.Seen != "up" {
				return false
			}
		}
		return true
	})
	var drill api.DrillRecord
	if _, err := w.ask(http.MethodPost, "/levers/to-standby/drill", "", &drill); err != nil || !drill.OK {
		w.t.Errorf("the drill: %+v %v", drill, err)
	}
	cmd := w.command("certs", "--data", "data")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "of 100") || !strings.Contains(string(out), "api.shop.example.com") {
		w.t.Errorf("lifeboat certs: %v\n%s", err, out)
	}
}

// noKeyIsShown looks for the keys wherever they must not be.
func (w *world) noKeyIsShown() {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.data(), "control", "certs", "held", "*.pem"))
	if err != nil || len(files) == 0 {
		w.t.Fatalf("no certificate on disk: %v", err)
	}
	raw, err := os.ReadFile(files[0])
	w.must(err)
	info, err := os.Stat(files[0])
	w.must(err)
	if info.Mode().Perm() != 0o600 {
		w.t.Errorf("%s has mode %s", files[0], info.Mode())
	}
	key := strings.Split(string(raw), "\n")[2] // a line in the midst of it
	view, err := w.ask(http.MethodGet, "/certificates", "", nil)
	w.must(err)
	cmd := w.command("certs", "--data", "data", "--json")
	out, _ := cmd.CombinedOutput() // it has a problem to tell of
	for about, text := range map[string]string{"the API": view, "the command": string(out), "the log": w.said()} {
		if strings.Contains(text, key) || strings.Contains(text, "PRIVATE") {
			w.t.Errorf("a key is in %s", about)
		}
	}
	found := 0
	w.must(filepath.WalkDir(filepath.Join(w.data(), "answer"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(b, []byte(`"ticket_secret"`)) {
			return err
		}
		found++
		if info, err := d.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			w.t.Errorf("%s has keys and mode %v", path, info.Mode())
		}
		return nil
	}))
	if found == 0 {
		w.t.Error("answer keeps no certificates; this test watches nothing")
	}
}

// renewed has the certificates made again, and the standby serves the new one.
func (w *world) renewed(before string) {
	w.t.Helper()
	_, err := w.ask(http.MethodPost, "/certificates/renew", `{"name":"www.example.com"}`, nil)
	w.must(err)
	w.eventually("the new certificate is served", func() bool {
		_, s, err := w.visit("shop.example.com")
		return err == nil && s != before
	})
}
