package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lifeboat/internal/incident"
)

// storeFiles are the files of the store.
func (b *Boat) storeFiles() []string {
	b.t.Helper()
	files, err := filepath.Glob(filepath.Join(b.data, "control", "lifeboat.db*"))
	b.Must(err)
	if len(files) == 0 {
		b.t.Fatal("there is no store")
	}
	return files
}

// found checks that visitors are where they were, that an incident explains it, and
// that the return works.
func (b *Boat) found(position string) {
	b.t.Helper()
	b.Expect(position)
	b.AwaitPhase(incident.Diagnose, incident.FailOver)
	in := b.Site().Incident
	if !strings.Contains(in.Title, "found at start") {
		b.t.Errorf("the incident is titled %q", in.Title)
	}
	if got := b.Site().Ordered.Position; got != position {
		b.t.Errorf("ordered is %s, not %s", got, position)
	}
}

func TestStoreDeleted(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{})
	b.Load()
	b.Pull("to-standby")
	b.Must(b.Post("/levers/close-checkout/pull", map[string]string{"reason": "Never rehearsed."}, nil))
	b.NoControl()
	for _, f := range b.storeFiles() {
		b.Must(os.Remove(f))
	}
	b.KillAnswer()
	b.ControlAgain()
	b.found(standby)
	if n := len(b.Site().Incident.Holding()); n != 2 {
		t.Errorf("%d levers are found pulled, not 2\n%s", n, b.Story())
	}
	b.KillAnswer()
	b.KillControl()
	b.Expect(standby)
	b.Settle()

	b.serve.Signal(unix.SIGTERM) // and everything once more
	b.serve.WaitFor(within)
	for _, f := range b.storeFiles() {
		b.Must(os.Remove(f))
	}
	b.Serve()
	b.Load()
	b.found(standby)
	b.GoBack()
	b.OneIncident()
	b.Settle()
}

func TestStoreRestored(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{})
	b.Load()
	b.Must(b.Post("/levers/close-checkout/pull", map[string]string{"reason": "Never rehearsed."}, nil))
	b.NoControl()
	backup := map[string][]byte{}
	for _, f := range b.storeFiles() {
		raw, err := os.ReadFile(f)
		b.Must(err)
		backup[f] = raw
	}
	b.ControlAgain()
	b.Pull("to-standby")
	b.NoControl()
	for _, f := range b.storeFiles() {
		b.Must(os.Remove(f))
	}
	for f, raw := range backup {
		b.Must(os.WriteFile(f, raw, 0o600))
	}
	b.KillAnswer()
	b.ControlAgain()
	b.Expect(standby)
	b.AwaitPhase(incident.Diagnose, incident.FailOver)
	b.Eventually("both levers are on record", func() bool {
		in := b.Site().Incident
		return in != nil && len(in.Holding()) == 2
	})
	b.GoBack()
	b.OneIncident()
	b.Settle()
}
