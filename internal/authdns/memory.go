package authdns

import (
	"runtime/debug"
	"sync/atomic"
)

// Memory keeps a process that serves large zones small. What a Table holds of a zone
// has hardly a pointer, so that a collector that runs more often costs next to
// nothing, while garbage as large as the zones themselves would cost a lot. It changes
// settings of the whole process: only whoever wires one uses it. The zero value is
// ready, and may be used from any goroutine.
type Memory struct {
	large    atomic.Bool
	settling atomic.Bool
}

// Figures of Memory: from how many octets of zone text on it is worth it, and how much
// garbage, as a share in percent of what is in use, may pile up then.
const (
	largeText   = 4 << 20
	largeShare  = 25
	normalShare = 100 // Go's own
)

// Expect is told, before zones are read, how many octets their text has in all.
func (m *Memory) Expect(octets int) {
	large := octets >= largeText
	if m.large.Swap(large) == large {
		return
	}
	share := normalShare
	if large {
		share = largeShare
	}
	debug.SetGCPercent(share)
}

// Settle gives what reading large zones has used back to the system, beside whatever
// else goes on.
func (m *Memory) Settle() {
	if !m.large.Load() || !m.settling.CompareAndSwap(false, true) {
		return
	}
	go func() { // ends by itself, after one collection
		debug.FreeOSMemory()
		m.settling.Store(false)
	}()
}
