package parentwatch

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"lifeboat/internal/fault"
)

// lookTime bounds the look at one zone, and settle how long a change of ours may take to
// reach our own servers before a difference counts.
const (
	lookTime = 40 * time.Second
	settle   = 2 * time.Second
	maxZones = 1000 // that are looked at
)

// WatcherOptions of a Watcher. Zones and Options.Now MUST be set.
type WatcherOptions struct {
	Options
	Zones  func() []Zone // what we publish now
	Every  time.Duration // between two looks at all of them; 0: only when asked
	Logger *slog.Logger  // nil: nothing is told
	Told   func()        // called when a zone's state has changed; nil: nobody
}

// Watcher looks at all zones again and again.
type Watcher struct {
	o       WatcherOptions
	looking chan struct{} // holds one while a look is under way

	mu     sync.Mutex // guards latest
	latest map[string]Report
}

// NewWatcher makes a Watcher that has seen nothing yet.
func NewWatcher(o WatcherOptions) *Watcher {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Watcher{o: o, looking: make(chan struct{}, 1), latest: map[string]Report{}}
}

// Run looks at all zones, at once and then on its schedule, until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	if w.o.Every <= 0 {
		return
	}
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		for _, z := range w.zones() {
			if _, err := w.Look(ctx, z.Apex); ctx.Err() != nil {
				return
			} else if err != nil {
				w.o.Logger.Warn("a zone could not be looked at", "zone", z.Apex, "cause", err)
			}
		}
		next.Reset(w.o.Every)
	}
}

func (w *Watcher) zones() []Zone {
	zones := w.o.Zones()
	return zones[:min(len(zones), maxZones)]
}

func (w *Watcher) zone(apex string) (Zone, bool) {
	zones := w.zones()
	i := slices.IndexFunc(zones, func(z Zone) bool { return z.Apex == apex })
	if i < 0 {
		return Zone{}, false
	}
	return zones[i], true
}

// Look looks at one zone now. Looks come one after the other.
func (w *Watcher) Look(ctx context.Context, apex string) (Report, error) {
	select {
	case w.looking <- struct{}{}:
		defer func() { <-w.looking }()
	case <-ctx.Done():
		return Report{}, fault.New(fault.Unavailable, "another look is under way").WithHint("ask again in a minute")
	}
	r, err := w.look(ctx, apex)
	if err == nil && r.State != Seen { // it may have been changed by us in between
		if z, known := w.zone(apex); known && z.Serial != r.Serial {
			t := time.NewTimer(settle)
			defer t.Stop()
			select {
			case <-t.C:
				r, err = w.look(ctx, apex)
			case <-ctx.Done():
			}
		}
	}
	if err == nil && ctx.Err() == nil {
		w.keep(r)
	}
	return r, err
}

func (w *Watcher) look(ctx context.Context, apex string) (Report, error) {
	z, known := w.zone(apex)
	if !known {
		return Report{}, fault.New(fault.NotFound, "there is no zone %.260q here", apex).WithHint("write its name as the configuration has it, with a final dot")
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	return Look(ctx, z, w.o.Options), nil
}

func (w *Watcher) keep(r Report) {
	w.mu.Lock()
	before := w.latest[r.Zone].State
	w.latest[r.Zone] = r
	w.mu.Unlock()
	if before == r.State {
		return
	}
	w.o.Logger.Info("what the world sees of a zone has changed", "zone", r.Zone, "state", r.State, "verdict", r.Verdict)
	if w.o.Told != nil {
		w.o.Told()
	}
}

// Reports are the newest looks, by zone. A zone that was not looked at yet is not among
// them.
func (w *Watcher) Reports() []Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := []Report{}
	for _, r := range w.latest {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Report) int { return cmp.Compare(a.Zone, b.Zone) })
	return out
}

// Zones are the names of what is watched.
func (w *Watcher) Zones() (names []string) {
	for _, z := range w.zones() {
		names = append(names, z.Apex)
	}
	slices.Sort(names)
	return names
}
