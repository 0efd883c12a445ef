package e2e

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"lifeboat/internal/cli"
)

// What tells the test binary to be lifeboat.
const (
	envActAs = "E2E_LIFEBOAT" // the pid of the test that started it
	envCrash = "E2E_CRASH"    // a file: the point at which to die, once
	envBoat  = "E2E_BOAT"     // the boat's folder: by this its processes are found again
	envRoom  = "E2E_ROOM"     // this test process is inside a mount namespace of its own
)

func TestMain(m *testing.M) {
	if tester := os.Getenv(envActAs); tester != "" {
		beLifeboat(tester)
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "demo" { // a prepared act of the demo, which gets nothing of our environment
		os.Exit(cli.Main("test"))
	}
	goleak.VerifyTestMain(m)
}

// beLifeboat runs the command line. It differs from cmd/lifeboat in two ways: it
// can be asked to die at a point of an act, and it ends when its tester has ended.
func beLifeboat(tester string) {
	go endWith(tester)
	cli.Hook = func(point string) {
		file := os.Getenv(envCrash)
		asked, err := os.ReadFile(file)
		if err != nil || strings.TrimSpace(string(asked)) != point {
			return
		}
		_ = os.Remove(file) // once
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		select {} // until the kernel has done it
	}
	os.Exit(cli.Main("test"))
}

// endWith ends this process when the tester is gone, so that a test that was killed
// leaves nothing behind.
func endWith(tester string) {
	pid, err := strconv.Atoi(tester)
	if err != nil {
		os.Exit(2)
	}
	for unix.Kill(pid, 0) == nil {
		time.Sleep(time.Second)
	}
	_ = unix.Kill(os.Getpid(), unix.SIGKILL)
}
