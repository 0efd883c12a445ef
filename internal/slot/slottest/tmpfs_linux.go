package slottest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const inside = "LIFEBOAT_TEST_TMPFS"

// InTmpfs runs the body with a folder that is a small real file system of its own,
// of size bytes. The test binary starts itself again in new user and mount
// namespaces with this one test, so that nothing needs root and nothing is left
// mounted. Where the kernel does not allow that the test is skipped, loudly. The
// call MUST be the test's last statement.
func InTmpfs(t *testing.T, size int, body func(folder string)) {
	t.Helper()
	if os.Getenv(inside) == t.Name() {
		folder := t.TempDir()
		if err := mount(folder, size); err != nil {
			t.Fatalf("mount tmpfs: %v", err)
		}
		defer func() { _ = syscall.Unmount(folder, syscall.MNT_DETACH) }()
		body(folder)
		return
	}
	if !namespaces() {
		t.Skip("SKIP-LOUD: no right to mount a tmpfs: neither root nor user namespaces")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+pattern(t.Name()), "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
	cmd.SysProcAttr = apart()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("in its own namespace: %v\n%s", err, out)
	}
	if !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Fatalf("the test did not run in its own namespace:\n%s", out)
	}
	t.Logf("in its own namespace:\n%s", out)
}

// Fill takes every byte that the folder's disk has left and gives a func that
// gives them back.
func Fill(t *testing.T, folder string) (free func()) {
	t.Helper()
	path := filepath.Join(folder, "ballast")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for n := 64 << 10; n > 0; {
		if _, err := f.Write(make([]byte, n)); errors.Is(err, syscall.ENOSPC) {
			n /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func mount(folder string, size int) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	return syscall.Mount("tmpfs", folder, "tmpfs", 0, "mode=0700,size="+strconv.Itoa(size))
}

// namespaces says whether a process may be started in namespaces of its own.
func namespaces() bool {
	cmd := exec.Command("/proc/self/exe", "-test.run=^$")
	cmd.SysProcAttr = apart()
	return cmd.Run() == nil
}

func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
}

func pattern(name string) string {
	return "^" + strings.ReplaceAll(name, "/", "$/^") + "$"
}
