package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file that does harm is rehearsed with a stand-in, taken away, survives a killed
// control, and is put back as it was.
func TestFilesAreTakenAsideAndPutBack(t *testing.T) {
	t.Parallel()
	b := Moor(t, Options{Still: true})
	root := filepath.Join(b.dir, "uploads")
	b.Must(os.MkdirAll(root, 0o755))
	file := filepath.Join(root, "banner.jpg")
	b.Must(os.WriteFile(file, []byte("bad\x00pixels"), 0o640))
	was, err := os.Stat(file)
	b.Must(err)
	b.Configure(strings.Replace(b.sample(), "levers:\n", "levers:\n  no-banner: {title: Take the banner away, files: {root: "+root+", paths: [banner.jpg]}}\n", 1))
	b.Serve()
	run := func(args ...string) string {
		t.Helper()
		said, err := b.Run(append(args, "--server", "unix://"+filepath.Join(b.data, "control.sock"))...)
		if err != nil {
			t.Fatalf("%v: %v: %s\n%s", args, err, said, b.Log())
		}
		return said
	}
	run("drill", "no-banner")
	if _, err := os.Stat(file); err != nil {
		t.Fatalf("the drill moved the file: %v", err)
	}
	b.Declare()
	if said := run("pull", "no-banner"); !strings.Contains(said, "Seen from outside: 1 file kept in .lifeboat/no-banner.") {
		t.Error(said)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Fatalf("the file is still there: %v", err)
	}
	b.KillControl()
	b.Eventually("control is back", b.Ready)
	if said := run("put-back", "no-banner"); !strings.Contains(said, "Seen from outside: 1 file in place.") {
		t.Error(said)
	}
	now, err := os.Stat(file)
	b.Must(err)
	if text, err := os.ReadFile(file); err != nil || string(text) != "bad\x00pixels" || now.Mode() != was.Mode() || !now.ModTime().Equal(was.ModTime()) {
		t.Errorf("%q %s %s", text, now.Mode(), now.ModTime())
	}
}
