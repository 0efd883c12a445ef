package control

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/config"
	"lifeboat/internal/engine"
	"lifeboat/internal/fault"
	"lifeboat/internal/outbox"
	"lifeboat/internal/store/mem"
)

func TestSecretsAreReadFromTheirFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good, empty := filepath.Join(dir, "good"), filepath.Join(dir, "empty")
	for path, text := range map[string]string{good: "whsec_c2VjcmV0\n", empty: " \n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := secret(good); err != nil || string(b) != "whsec_c2VjcmV0" {
		t.Errorf("got %q, %v", b, err)
	}
	if b, err := secret(""); b != nil || err != nil {
		t.Errorf("no file gives %q, %v", b, err)
	}
	for _, path := range []string{empty, filepath.Join(dir, "missing")} {
		if _, err := secret(path); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A channel that can't be used keeps nobody from starting: its messages wait.
func TestABadChannelIsLeftOut(t *testing.T) {
	t.Parallel()
	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, []byte("whsec_%%%"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{Now: time.Now, NewID: func() string { return "id" }, Logger: slog.New(slog.DiscardHandler), Config: &config.Config{Channels: []config.Channel{
		{Name: "bad", Webhook: config.Webhook{URL: "http://127.0.0.1:1/", SecretFile: bad}, Tells: []string{"staff"}},
		{Name: "good", Webhook: config.Webhook{URL: "http://127.0.0.1:1/"}, Tells: []string{"public"}},
	}}}
	var c engine.Company
	if _, err := channels(o, mem.New(mem.Options{}), &c, func(context.Context, outbox.Message, error) {}); err != nil {
		t.Fatal(err)
	}
	if len(c.Channels) != 2 {
		t.Errorf("%d channels are told", len(c.Channels))
	}
}

func TestActionsAreRunByName(t *testing.T) {
	t.Parallel()
	cfg := &config.Config{Actions: []config.Action{{
		Name: "say", Title: "Say it", Site: "shop", Exec: []string{"/bin/echo", "done"}, Deadline: 5 * time.Second, Undo: &config.Act{Exec: []string{"/bin/false"}},
	}}}
	acts, err := actions(cfg)
	if err != nil {
		t.Fatal(err)
	}
	run := runner(Options{Now: time.Now}, acts)
	if got := run(t.Context(), engine.Job{Action: "say", Key: "k"}); !got.OK || strings.TrimSpace(got.Output) != "done" {
		t.Errorf("got %+v", got)
	}
	if got := run(t.Context(), engine.Job{Action: "say", Undo: true, Key: "k"}); got.OK || got.Detail == "" {
		t.Errorf("its undo fails, and it says %+v", got)
	}
	if got := run(t.Context(), engine.Job{Action: "gone"}); got.OK || !strings.Contains(got.Detail, "gone") {
		t.Errorf("got %+v", got)
	}
	if c := cards(cfg); len(c) != 1 || !c[0].Undo {
		t.Errorf("its card is %+v", c)
	}
}

// Whatever the engine can go on without must still be given to it.
func TestTheEngineGetsAllOfIt(t *testing.T) {
	t.Parallel()
	o := Options{Dir: t.TempDir(), Now: time.Now, NewID: func() string { return "id" }, Logger: slog.New(slog.DiscardHandler), Config: &config.Config{}}
	s := mem.New(mem.Options{})
	accounts, _, _, err := openPeople(t.Context(), s, func() bool { return false }, o)
	if err != nil {
		t.Fatal(err)
	}
	c, box, err := company(o, s, accounts, func(context.Context, outbox.Message, error) {})
	if err != nil || box == nil {
		t.Fatalf("%v, %v", box, err)
	}
	if c.Bodies == nil || c.Ledger == nil || c.Outbox == nil || c.Run == nil || c.Others == nil || c.Tail == nil {
		t.Errorf("something is missing in %+v", c)
	}
}
