package control

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/config"
	"lifeboat/internal/fault"
)

// TestOnePortTwoTongues: HTTP and TLS on one port; by address with the certificate whose
// fingerprint is told, by name with the name's own, which is read again when it changes;
// and somebody who says nothing keeps nobody waiting.
func TestOnePortTwoTongues(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := ConsoleFingerprint(dir); fault.KindOf(err) != fault.NotFound {
		t.Errorf("before there is one: %v", err)
	}
	named, err := makeOwn(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "named.pem")
	if err := os.WriteFile(file, named, 0o600); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Dir: dir, HTTP: ln, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		Config: &config.Config{ConsoleURL: "https://boat.example.net", ConsoleCert: file, ConsoleKey: file},
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { // ended by stop
		done <- plane{o: o}.serveConsole(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, map[bool]string{true: "tls", false: "plain"}[r.TLS != nil])
		}))
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	silent, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	ask := func(scheme, name string) (said, print string) {
		t.Helper()
		c := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, ServerName: name,
			VerifyConnection: func(s tls.ConnectionState) error {
				print = Fingerprint(s.PeerCertificates[0].Raw)
				return nil
			},
		}}}
		res, err := c.Get(scheme + "://" + ln.Addr().String() + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b), print
	}
	if said, _ := ask("http", ""); said != "plain" {
		t.Errorf("over HTTP: %s", said)
	}
	own, err := ConsoleFingerprint(dir)
	if err != nil || strings.Count(own, ":") != 31 {
		t.Fatalf("%s, %v", own, err)
	}
	block, _ := pem.Decode(named)
	for name, want := range map[string]string{"": own, "elsewhere.example": own, "BOAT.example.net": Fingerprint(block.Bytes)} {
		if said, print := ask("https", name); said != "tls" || print != want {
			t.Errorf("for %q: %s, %s", name, said, print)
		}
	}
	if again, err := ownCertificate(dir, time.Now); err != nil || Fingerprint(again.Leaf.Raw) != own {
		t.Errorf("a restart changes the fingerprint: %v", err)
	}
}

// TestCertificateFiles: a new one is taken, a broken one is not.
func TestCertificateFiles(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "c.pem")
	now := time.Now()
	get := fromFiles(file, file, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	if c, err := get(); c != nil || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, %v", c, err)
	}
	put := func(b []byte, changed time.Time) {
		t.Helper()
		if err := errors.Join(os.WriteFile(file, b, 0o600), os.Chtimes(file, changed, changed)); err != nil {
			t.Fatal(err)
		}
		now = now.Add(lookEvery)
	}
	one, err := makeOwn(now)
	if err != nil {
		t.Fatal(err)
	}
	put(one, now)
	first, err := get()
	if err != nil || first == nil {
		t.Fatalf("%v", err)
	}
	put([]byte("half of a fi"), now.Add(time.Second))
	if c, err := get(); c != first || err != nil {
		t.Errorf("a broken file: %v, %v", c, err)
	}
	two, err := makeOwn(now)
	if err != nil {
		t.Fatal(err)
	}
	put(two, now.Add(2*time.Second))
	if c, err := get(); err != nil || c == first {
		t.Errorf("a new one is not taken: %v", err)
	}
}
