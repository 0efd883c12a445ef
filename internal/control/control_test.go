package control

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"lifeboat/internal/config"
)

// run starts a control without an answer on a folder of its own, and gives a client of
// its control.sock.
func run(t *testing.T, change func(*Options)) (*http.Client, func()) {
	t.Helper()
	dir := t.TempDir()
	sock := func(name string) net.Listener {
		ln, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return ln
	}
	cfg, err := config.Parse("example.yaml", config.Example())
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Dir: filepath.Join(dir, "control"), Config: cfg, Root: sock("control.sock"), Feed: sock("feed.sock"), OFREP: "127.0.0.1:1",
		Now: time.Now, NewID: func() string { return ulid.Make().String() }, Logger: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, o) }()
	stop := func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("control ended with %v", err)
		}
		done <- nil
	}
	t.Cleanup(stop)
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(dir, "control.sock"))
	}}}, stop
}

func post(t *testing.T, c *http.Client, path, body string) string {
	t.Helper()
	resp, err := c.Post("http://control/api/v1"+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("POST %s: %s: %s %v", path, resp.Status, b, err)
	}
	return string(b)
}

// TestTheTimelineNamesWhoSpokeOnTheSocket: control.sock asks for no token, but it is
// known whose process is on the other end.
func TestTheTimelineNamesWhoSpokeOnTheSocket(t *testing.T) {
	t.Parallel()
	c, _ := run(t, func(o *Options) { o.PeerRoot = func(net.Conn) string { return "ada" } })
	site := "shop"
	out := post(t, c, "/sites/"+site+"/declare", `{"title":"A try"}`)
	var res struct {
		Events []struct {
			Text  string
			Actor struct{ Name string }
		}
	}
	if err := json.Unmarshal([]byte(out), &res); err != nil || len(res.Events) == 0 || res.Events[0].Actor.Name != "ada" {
		t.Fatalf("the timeline says %s", out)
	}
}

// TestOneControlAFolder: a second control on the same folder is refused.
func TestOneControlAFolder(t *testing.T) {
	t.Parallel()
	var o Options
	c, _ := run(t, func(first *Options) { o = *first })
	post(t, c, "/sites/shop/declare", `{}`)
	if err := Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), "stop it first") {
		t.Fatalf("a second control came to %v", err)
	}
}
