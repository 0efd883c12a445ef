// Package door opens and closes the listeners of tests whose addresses are used again.
//
// A child that is just being started has a copy of every socket of its parent until it
// is executed. A test that closes a listener while another test of the same process
// starts a program may thus find the address taken for a moment, though nobody of its
// own listens there.
//
// Only tests import it.
package door

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"time"
)

// LetGo closes a listener so that its address can be had again at once, by this or by
// another process: shutting it down ends the listening for every copy (shutdown(2), on
// Linux also for sockets that listen). Holding off forks would not do: a child closes its
// copies only after it has let its parent go on (execve(2) after vfork(2)).
func LetGo(t testing.TB, l net.Listener) {
	t.Helper()
	raw, err := l.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Errorf("let go of %s: %v", l.Addr(), err)
		return
	}
	_ = raw.Control(func(fd uintptr) { _ = syscall.Shutdown(int(fd), syscall.SHUT_RD) })
	_ = l.Close()
}

// patience is how long Open waits for an address that a server of this process has
// closed.
const patience = 10 * time.Second

// Open listens at an address where a server of this test listened that closed its
// listener itself, so that LetGo could not.
func Open(t testing.TB, address string) net.Listener {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		l, err := net.Listen("tcp", address)
		if err == nil {
			return l
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatalf("listen at %s: %v", address, err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("listen at %s: %v, for %s", address, err, patience)
		}
	}
}
