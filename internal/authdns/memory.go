package authdns

import (
	"runtime/debug"
	"runtime/metrics"
	"sync"
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

	mu    sync.Mutex // guards share
	share int        // in force; 0: Go's own
}

// Figures of Memory: from how many octets of zone text on it is worth it, and how much
// garbage, as a share in percent of what is in use, may pile up then.
const (
	largeText   = 4 << 20
	largeShare  = 25
	normalShare = 100 // Go's own

	hurriedShare = 600      // while much garbage is made,
	hurriedMost  = 96 << 20 // but no more octets of it than that, or normalShare
	hurriedStep  = 50       // so that small changes change nothing
)

// Expect is told, before zones are read, how many octets their text has in all.
func (m *Memory) Expect(octets int) {
	large := octets >= largeText
	if m.large.Swap(large) == large {
		return
	}
	m.set(m.usual())
}

// Hurry says whether much garbage is made just now, as handshakes do: with the few
// megabytes that a name server keeps, the collector would run dozens of times a second.
// It is to be called every second or so.
func (m *Memory) Hurry(on bool) {
	if share := m.usual(); !on || share != normalShare {
		m.set(share)
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	m.set(hurried(live[0].Value.Uint64()))
}

// hurried is the share of garbage beside so many octets that are in use.
func hurried(live uint64) int {
	share := int(hurriedMost * 100 / max(live, 1<<20))
	return min(max(share/hurriedStep*hurriedStep, normalShare), hurriedShare)
}

func (m *Memory) usual() int {
	if m.large.Load() {
		return largeShare
	}
	return normalShare
}

func (m *Memory) set(share int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.share != share && (m.share != 0 || share != normalShare) {
		debug.SetGCPercent(share)
	}
	m.share = share
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
