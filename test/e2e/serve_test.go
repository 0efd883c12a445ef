package e2e

import (
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lifeboat/test/door"
)

func TestServeKilled(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{})
	b.Load()
	b.Pull("to-standby")
	control, answering := b.Control(), b.Answer()
	b.Kill(b.serve.cmd.Process.Pid)
	b.Expect(standby)
	if b.Running(b.Control) != control || b.Running(b.Answer) != answering {
		t.Fatal("a child ended with serve")
	}
	b.GoBack()
	b.Close()
	b.Serve()
	if b.Running(b.Control) != control || b.Running(b.Answer) != answering || b.PIDs().Answer != answering {
		t.Fatalf("the new serve did not join the children %d and %d, but runs %+v", control, answering, b.PIDs())
	}
	b.KillAnswer()
	b.KillControl()
	b.Pull("to-standby")
	b.KillAnswer()
	b.Expect(standby)
	b.Settle()
}

func TestDataPortTaken(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Still: true})
	for flag, addr := range map[string]string{"--dns": b.DNS(), "--standby-http": b.host(3), "--ofrep": b.Flags()} {
		l, err := net.Listen("tcp", addr)
		b.Must(err)
		said, err := b.Run(b.serveArgs()...)
		if err == nil || !strings.Contains(said, flag) || !strings.Contains(said, addr) || !strings.Contains(said, "taken") {
			t.Errorf("with %s taken: %v, said %q", addr, err, said)
		}
		door.LetGo(t, l)
	}
	u, err := net.ListenPacket("udp", b.DNS())
	b.Must(err)
	said, err := b.Run(b.serveArgs()...)
	if err == nil || !strings.Contains(said, "--dns") || !strings.Contains(said, b.DNS()) {
		t.Errorf("with the UDP port taken: %v, said %q", err, said)
	}
	b.Must(u.Close())
}

func TestConsolePortTaken(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{Still: true})
	l, err := net.Listen("tcp", b.Console())
	b.Must(err)
	b.Serve()
	b.Load()
	b.Expect(home)
	if !strings.Contains(b.Log(), "--http") || !strings.Contains(b.Log(), b.Console()) {
		t.Error("the log does not name the console's flag and address")
	}
	b.Must(b.PostRoot("/levers/close-checkout/pull", map[string]string{"reason": "never rehearsed"}, nil))
	door.LetGo(t, l)
	b.Eventually("the console is there once its port is free", func() bool {
		return b.ask(b.web(), "GET", "http://"+b.Console()+"/api/v1/status", nil, nil) == nil
	})
	b.AwaitControl(0)
	b.Settle()
}

// TestOrderlyEnd: a SIGTERM ends everything and leaves nothing that misleads.
func TestOrderlyEnd(t *testing.T) {
	t.Parallel()
	b := Launch(t, Options{})
	b.Pull("to-standby")
	b.serve.Signal(unix.SIGTERM)
	if !b.serve.WaitFor(within) {
		t.Fatal("serve does not end")
	}
	if left := b.left(); len(left) > 0 {
		t.Fatalf("processes %v are left", left)
	}
	if _, err := os.Stat(b.readyPath()); err == nil {
		t.Error("the ready file is left")
	}
	b.Serve()
	b.Expect(standby)
	b.GoBack()
}
