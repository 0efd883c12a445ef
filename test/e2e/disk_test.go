package e2e

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lifeboat/internal/answer"
	"lifeboat/internal/api"
	"lifeboat/internal/incident"
)

// smallDisk gives a folder on a disk of 32 MiB. The first time it runs the test
// again in a mount namespace of its own and gives "": the test is over.
func smallDisk(t *testing.T) string {
	t.Helper()
	if os.Getenv(envRoom) == "" {
		again(t)
		return ""
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=32m,mode=0700"); err != nil {
		t.Fatalf("mount a small disk: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// again runs the test that calls it in a mount namespace.
func again(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	flags := "-Urm"
	if os.Geteuid() == 0 {
		flags = "-m"
	}
	if err := exec.Command("unshare", flags, "sh", "-c", "mount -t tmpfs -o size=1m e2e /mnt").Run(); err != nil {
		t.Skipf("SKIP-LOUD: no small disk can be mounted here (unshare %s, then mount: %v); run as root, or allow user namespaces", flags, err)
	}
	out <- struct{}{} // the test inside has a boat
	defer func() { <-out }()
	cmd := exec.Command("unshare", flags, self, "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), envRoom+"=1")
	said, err := cmd.CombinedOutput()
	t.Logf("in a mount namespace:\n%s", said)
	if err != nil || !strings.Contains(string(said), "--- PASS: "+t.Name()) {
		t.Errorf("the test failed there: %v", err)
	}
}

// fill fills the disk to the last byte and gives the file that takes the space.
func (b *Boat) fill() string {
	b.t.Helper()
	path := filepath.Join(b.dir, "ballast")
	f, err := os.Create(path)
	b.Must(err)
	defer func() { _ = f.Close() }()
	for _, size := range []int{1 << 20, 4096, 1} {
		block := make([]byte, size)
		for {
			if _, err = f.Write(block); err != nil {
				break
			}
		}
		if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, io.ErrShortWrite) {
			b.t.Fatalf("fill the disk: %v", err)
		}
	}
	return path
}

// degrade writes notes until the store takes no more.
func (b *Boat) degrade() (notes int) {
	b.t.Helper()
	b.Eventually("the record is degraded", func() bool {
		b.Must(b.Post("/sites/shop/notes", api.NoteBody{Text: "Still looking. " + strings.Repeat("x", 8000)}, nil))
		notes++
		o, err := b.Status()
		return err == nil && o.Record.Degraded
	})
	return notes
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	if dir == "" {
		return
	}
	b := Launch(t, Options{Folder: dir})
	b.Load()
	ballast := b.fill()
	b.Must(b.PostRoot("/sites/shop/declare", nil, nil))
	notes := b.degrade()
	b.Moving(backup)
	b.Must(b.PostRoot("/levers/to-backup/pull", nil, nil))
	b.Moved(backup)
	b.Pull("to-standby")
	r, err := b.Order(answer.Request{Do: "pull", Lever: "close-checkout"})
	b.Must(err)
	if r.Status.Problem != "" && !strings.Contains(r.Status.Problem, "disk") {
		t.Logf("answer's word on the full disk: %s", r.Status.Problem)
	}
	o, err := b.Status()
	b.Must(err)
	if !o.Record.Degraded || o.Record.Pending == 0 || o.Record.Reason == "" {
		t.Errorf("the status says of the record: %+v", o.Record)
	}
	b.Must(b.Post("/sites/shop/notes", api.NoteBody{Text: "The disk is full."}, nil))
	b.KillControl() // what waited is in the journal
	b.Expect(standby)
	b.checkNotes(notes + 1)

	b.Must(os.Remove(ballast))
	b.Eventually("the record is complete again", func() bool { o, err := b.Status(); return err == nil && !o.Record.Degraded })
	b.checkNotes(notes + 1)
	b.KillControl()
	b.checkNotes(notes + 1)
	line := b.OneIncident()
	for kind, want := range map[incident.Type]int{incident.Declared: 1, incident.LeverApplying: 3, incident.LeverUnknown: 0} {
		if n := count(line.Events, kind); n != want {
			t.Errorf("%d %s, not %d\n%s", n, kind, want, b.Story())
		}
	}
	b.GoBack()
	b.OneIncident()
	b.Settle()
}

func (b *Boat) checkNotes(want int) {
	b.t.Helper()
	people := slices.DeleteFunc(b.OneIncident().Events, func(e incident.Event) bool { return e.Actor.Kind == "collector" }) // who has heard of a feature is noted, too
	if n := count(people, incident.NoteAdded); n != want {
		b.t.Errorf("the timeline has %d notes, not %d", n, want)
	}
}

// TestFlipOnFullDisk: answer dies right after a move that a full disk had to take,
// and nobody is there to tell it again.
func TestFlipOnFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	if dir == "" {
		return
	}
	b := Launch(t, Options{Folder: dir})
	b.Load()
	b.fill()
	b.Pull("to-standby")
	control := b.Running(b.Control)
	b.Signal(control, unix.SIGSTOP)
	b.KillAnswer()
	b.Expect(standby)
	_, err := b.Order(answer.Request{Do: "pull", Lever: "close-checkout"})
	b.Must(err)
	b.KillAnswer()
	b.Expect(standby)
	if r, err := b.Order(answer.Request{Do: "status"}); err != nil || len(r.Status.Orders) != 1 {
		t.Errorf("the local order on the full disk is lost: %v", err)
	}
	b.Signal(control, unix.SIGCONT)
	b.AwaitControl(0)
	b.Eventually("the local order was taken over", func() bool {
		r, err := b.Order(answer.Request{Do: "status"})
		return err == nil && len(r.Status.Orders) == 0
	})
	b.KillControl()
	b.Expect(standby)
	b.GoBack()
	b.OneIncident()
	b.Settle()
}
