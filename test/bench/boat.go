package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"lifeboat/internal/lever/zonelever"
)

const (
	siteName  = "shop.bench.test."
	homeIP    = "127.0.0.2"
	standbyIP = "127.0.0.4"
)

const configuration = `
nameservers: {ns1.bench.test.: %s}
sites:
  shop:
    title: Bench
    names: [shop.bench.test]
    scheme: http
    port: %d
    origins: {main: {address: 127.0.0.2}}
    standby: {addresses: [127.0.0.4]}
    checks:
      home: {http: {path: /}, every: 250ms, timeout: 250ms, down_after: 3, up_after: 2}
    failover: off
zones:
  shop.bench.test: {ttl: 60s, ns: [ns1.bench.test.], follow: {"@": shop}, records: "txt IN TXT bench"}
levers:
  to-standby: {title: Show visitors the status page, zone: {site: shop, to: standby}}
`

// boat is a lifeboat that runs, with an origin of ours to break.
type boat struct {
	binary, dir string
	cmd         *exec.Cmd
	addr        struct {
		HTTP, DNS string
		PID       struct{ Control, Answer int }
	}
	readyAt time.Time
	token   string
	origin  *origin
	client  http.Client
}

// launch starts serve on an empty folder and waits until it is ready.
func launch(ctx context.Context, binary string) (*boat, error) {
	dir, err := os.MkdirTemp("", "lifeboat-bench-")
	if err != nil {
		return nil, err
	}
	b := &boat{binary: binary, dir: dir, client: http.Client{Timeout: 10 * time.Second}}
	if b.origin, err = newOrigin(); err != nil {
		return nil, err
	}
	dns, err := freePort()
	if err != nil {
		return nil, err
	}
	cfg := filepath.Join(dir, "lifeboat.yaml")
	if err := os.WriteFile(cfg, fmt.Appendf(nil, configuration, dns, b.origin.port), 0o600); err != nil {
		return nil, err
	}
	ready := filepath.Join(dir, "ready.json")
	b.cmd, err = quiet(ctx, filepath.Join(dir, "log"), binary, "serve", "--data", filepath.Join(dir, "data"), "--config", cfg, "--ready-file", ready,
		"--http", "127.0.0.1:0", "--dns", dns, "--ofrep", "127.0.0.1:0", "--standby-http", fmt.Sprintf("%s:%d", standbyIP, b.origin.port))
	if err != nil {
		return nil, err
	}
	err = within(20*time.Second, time.Millisecond, func() error {
		raw, err := os.ReadFile(ready)
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, &b.addr)
	})
	b.readyAt = time.Now()
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		b.stop()
		return nil, fmt.Errorf("lifeboat was not ready: %w\n%s", err, log)
	}
	tok, err := os.ReadFile(filepath.Join(dir, "data", "control", "admin.token"))
	b.token = strings.TrimSpace(string(tok))
	return b, err
}

func (b *boat) stop() {
	if b.cmd != nil && b.cmd.Process != nil {
		_ = b.cmd.Process.Signal(syscall.SIGTERM)
		_ = b.cmd.Wait()
	}
	b.origin.break_("killed")
	_ = os.RemoveAll(b.dir)
}

// within tries until f succeeds or the time is up.
func within(limit, pause time.Duration, f func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := f()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
		time.Sleep(pause)
	}
}

func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String(), nil
}

func (b *boat) post(path, body string) error {
	req, err := http.NewRequest(http.MethodPost, "http://"+b.addr.HTTP+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+b.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := b.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	out, _ := io.ReadAll(resp.Body)
	if resp.StatusCode >= 300 {
		return fmt.Errorf("POST %s: %s: %s", path, resp.Status, out)
	}
	return nil
}

// presses times n pulls and n put-backs, each to the first changed answer.
func (b *boat) presses(ctx context.Context, n int) (there, back []float64, err error) {
	if err := within(10*time.Second, 50*time.Millisecond, func() error { return b.post("/levers/to-standby/drill", "{}") }); err != nil {
		return nil, nil, err
	}
	for range n {
		t, err := b.press(ctx, "/levers/to-standby/pull", standbyIP)
		if err != nil {
			return nil, nil, err
		}
		there = append(there, t)
		if t, err = b.press(ctx, "/levers/to-standby/put-back", homeIP); err != nil {
			return nil, nil, err
		}
		back = append(back, t)
	}
	return there, back, nil
}

// press times one press: request sent to first answer with the wanted address.
func (b *boat) press(ctx context.Context, path, want string) (float64, error) {
	server, err := netip.ParseAddrPort(b.addr.DNS)
	if err != nil {
		return 0, err
	}
	changed := make(chan time.Time, 1)
	watch, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	go func() { // ends with watch
		for watch.Err() == nil {
			ips, err := zonelever.Lookup(watch, server, siteName, false)
			if err == nil && len(ips) == 1 && ips[0].String() == want {
				changed <- time.Now()
				return
			}
		}
	}()
	time.Sleep(2 * time.Millisecond) // the watcher is at work
	start := time.Now()
	if err := b.post(path, "{}"); err != nil {
		return 0, err
	}
	select {
	case at := <-changed:
		return ms(at.Sub(start)), nil
	case <-watch.Done():
		return 0, errors.New("the answer did not change")
	}
}

// outages breaks the origin n times and times how long answer takes to see it.
func (b *boat) outages(ctx context.Context, kind string, n int) ([]float64, error) {
	var out []float64
	for i := range n {
		if err := b.waitSeen(ctx, "up"); err != nil {
			return nil, err
		}
		time.Sleep(time.Duration(i*37%250) * time.Millisecond) // at any moment between two askings
		start := time.Now()
		b.origin.break_(kind)
		if err := b.waitSeen(ctx, "down"); err != nil {
			return nil, err
		}
		out = append(out, time.Since(start).Seconds())
		if err := b.origin.repair(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (b *boat) waitSeen(ctx context.Context, want string) error {
	return within(15*time.Second, 2*time.Millisecond, func() error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "unix", filepath.Join(b.dir, "data", "answer.sock"))
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, `{"do":"status"}`+"\n"); err != nil {
			return err
		}
		line, err := bufio.NewReader(c).ReadBytes('\n')
		if err != nil {
			return err
		}
		var r struct {
			Status struct{ Seen map[string]string }
		}
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
		if got := r.Status.Seen["shop main"]; got != want {
			return fmt.Errorf("the origin is seen %s, not %s", got, want)
		}
		return nil
	})
}

// pss is the proportional set size of control and answer together, in MB.
func (b *boat) pss() (float64, error) {
	total := 0.0
	for _, pid := range []int{b.addr.PID.Control, b.addr.PID.Answer} {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return 0, err
		}
		for line := range bytes.Lines(raw) {
			if rest, is := bytes.CutPrefix(line, []byte("Pss:")); is {
				kb, err := strconv.ParseFloat(strings.Fields(string(rest))[0], 64)
				if err != nil {
					return 0, err
				}
				total += kb / 1024
			}
		}
	}
	return total, nil
}

// answerStarts times answer alone on a copy of the data folder.
func (b *boat) answerStarts(ctx context.Context, n int) ([]float64, error) {
	var out []float64
	for i := range n {
		dir := filepath.Join(b.dir, "alone"+strconv.Itoa(i))
		if err := os.CopyFS(filepath.Join(dir, "answer"), os.DirFS(filepath.Join(b.dir, "data", "answer"))); err != nil {
			return nil, err
		}
		addr, err := freePort()
		if err != nil {
			return nil, err
		}
		server := netip.MustParseAddrPort(addr)
		start := time.Now()
		cmd, err := quiet(ctx, filepath.Join(b.dir, "log"), b.binary, "answer", "--data", dir, "--dns", addr, "--standby-http", "127.0.0.1:0", "--ofrep", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		err = within(10*time.Second, 200*time.Microsecond, func() error {
			ips, err := zonelever.Lookup(ctx, server, siteName, false)
			if err == nil && (len(ips) != 1 || ips[0].String() != homeIP) {
				err = fmt.Errorf("answered %v", ips)
			}
			return err
		})
		out = append(out, ms(time.Since(start)))
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// origin is a site that can be killed and hung.
type origin struct {
	port int
	hung atomic.Bool
	srv  *http.Server
	wake chan struct{}
}

func newOrigin() (*origin, error) {
	for range 50 {
		ln, err := net.Listen("tcp", homeIP+":0")
		if err != nil {
			return nil, err
		}
		o := &origin{port: ln.Addr().(*net.TCPAddr).Port}
		other, err := net.Listen("tcp", fmt.Sprintf("%s:%d", standbyIP, o.port))
		if err != nil {
			_ = ln.Close()
			continue
		}
		_ = other.Close()
		o.serve(ln)
		return o, nil
	}
	return nil, errors.New("no port is free on both addresses")
}

func (o *origin) serve(ln net.Listener) {
	o.wake = make(chan struct{})
	wake := o.wake
	o.srv = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o.hung.Load() {
			select {
			case <-wake:
			case <-r.Context().Done():
			}
		}
		_, _ = io.WriteString(w, "ok")
	})}
	srv := o.srv
	go func() { _ = srv.Serve(ln) }() // ends with Close
}

func (o *origin) break_(kind string) {
	if kind == "hung" {
		o.hung.Store(true)
		return
	}
	_ = o.srv.Close()
}

func (o *origin) repair() error {
	if o.hung.Swap(false) {
		close(o.wake)
		o.wake = make(chan struct{})
		_ = o.srv.Close()
	}
	ln, err := net.Listen("tcp", fmt.Sprintf("%s:%d", homeIP, o.port))
	if err != nil {
		return err
	}
	o.serve(ln)
	return nil
}
