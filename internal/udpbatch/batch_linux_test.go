//go:build linux && (amd64 || arm64)

package udpbatch

import (
	"runtime"
	"sync/atomic"
	"testing"
)

// Under a flood that never ends, the other goroutines get their turn.
func TestOthersGetTheirTurn(t *testing.T) { // not parallel: it takes all cores but one away
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	conn := listen(t, "127.0.0.1:0")
	s, client := mustSocket(t, conn, Options{}), dial(t, "127.0.0.1", conn)
	b, ok := s.way.(*batch)
	if !ok {
		t.Skip("SKIP-LOUD: the kernel, or what stands before it, refuses recvmmsg")
	}
	for _, busy := range []int{0, patience} {
		write(t, client, "x")
		var turn atomic.Bool
		done := make(chan struct{})
		go func() { turn.Store(true); close(done) }()
		b.busy = busy
		if _, err := s.Receive(); err != nil {
			t.Fatal(err)
		}
		if busy == patience && !turn.Load() {
			t.Error("the other goroutine has waited in vain")
		}
		<-done
	}
}
