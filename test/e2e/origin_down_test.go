package e2e

import (
	"net"
	"os/exec"
	"sync"
	"testing"

	"lifeboat/test/door"
)

// TestAnOriginThatIsDownHoldsNoAddress: whoever takes an origin down may open another
// server at its address at once, as TestTheWorld does with the sample shop, also while
// other tests start processes: until it is executed a child has a copy of the door.
func TestAnOriginThatIsDownHoldsNoAddress(t *testing.T) {
	t.Parallel()
	o := openOrigin(t, home, "127.0.0.1:0")
	done := make(chan struct{})
	var starters sync.WaitGroup
	for range 2 {
		starters.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_ = exec.Command("/bin/true").Run()
				}
			}
		})
	}
	defer starters.Wait()
	defer close(done)
	for round := range 500 {
		o.Down()
		l, err := net.Listen("tcp", o.addr)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		door.LetGo(t, l)
		o.Up()
	}
}
