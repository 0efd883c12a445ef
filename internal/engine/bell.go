package engine

import "sync"

// bell tells whoever waits that there is something new to look at.
type bell struct {
	mu   sync.Mutex
	next chan struct{} // closed at the next ring; made when somebody first listens
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next != nil {
		close(b.next)
		b.next = nil
	}
}

func (b *bell) listen() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = make(chan struct{})
	}
	return b.next
}

// Changed is closed at the next change that a page shows at once: an event of an
// incident, or another state of a check. Figures that merely grow (visitors, ages) are
// none. Whoever looks asks for it first and looks then, so that nothing is missed.
func (e *Engine) Changed() <-chan struct{} { return e.bell.listen() }
