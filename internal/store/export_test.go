package store

// Recorded is the newest revision that is in the primary or the journal, together
// with all before it.
func Recorded(g *Guarded) Revision {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if len(g.overlay.pending) == 0 {
		return g.revision
	}
	if g.unsure {
		return g.overlay.base
	}
	return g.overlay.base + Revision(g.overlay.journaled)
}
