package desk

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/board"
	"lifeboat/internal/store"
)

// history is what was measured, and what of it is not in the store yet.
type history struct {
	days  map[string]map[string]board.Tally // by component and date
	times map[string][]board.Point          // by component, oldest first
	sum   map[string]*sum                   // of the point under way, by component
	dirty map[string]bool                   // COMPONENT/DATE that differ from the store
	slow  map[string]bool                   // components whose points differ from it
	last  time.Time                         // of the look before
	saved time.Time
	carry map[string]time.Duration // what is left over of a second, by component
}

type sum struct {
	from    time.Time
	n       int
	took    time.Duration
	slowest time.Duration
	seen    map[string]time.Time // newest result of each check that was counted
}

func newHistory() history {
	return history{days: map[string]map[string]board.Tally{}, times: map[string][]board.Point{}, sum: map[string]*sum{}, dirty: map[string]bool{}, slow: map[string]bool{}, carry: map[string]time.Duration{}}
}

// loadHistory reads the days and points that are kept.
func (d *Desk) loadHistory(ctx context.Context) error { // with mu held
	kvs, _, err := d.o.Store.List(ctx, keyDay)
	if err != nil {
		return err
	}
	for _, kv := range kvs {
		component, date, ok := strings.Cut(strings.TrimPrefix(kv.Key, keyDay), "/")
		var t board.Tally
		if !ok || json.Unmarshal(kv.Value, &t) != nil {
			d.o.Logger.Error("a day of the status page can't be read", "key", kv.Key)
			continue
		}
		d.past.day(component)[date] = t
	}
	kvs, _, err = d.o.Store.List(ctx, keyTimes)
	if err != nil {
		return err
	}
	for _, kv := range kvs {
		var list []board.Point
		if json.Unmarshal(kv.Value, &list) != nil {
			d.o.Logger.Error("response times of the status page can't be read", "key", kv.Key)
			continue
		}
		d.past.times[strings.TrimPrefix(kv.Key, keyTimes)] = list
	}
	return nil
}

func (h history) day(component string) map[string]board.Tally {
	if h.days[component] == nil {
		h.days[component] = map[string]board.Tally{}
	}
	return h.days[component]
}

// Look counts the time since the look before it: what each component is shown as now is
// taken to have been so since then. Longer than two minutes counts as not known. Control
// calls it every few seconds with what the page shows (board.Make) and the checks see.
// It says whether what Past gives has changed enough to be published.
func (d *Desk) Look(ctx context.Context, b board.Board, seen []board.Seen) (worth bool) {
	now := d.o.Now()
	d.mu.Lock()
	elapsed := now.Sub(d.past.last)
	first := d.past.last.IsZero() || elapsed < 0
	d.past.last, d.last = now, b.Components
	for _, c := range b.Components {
		d.shown[c.ID] = c.State
		if !first {
			d.past.count(c, now, elapsed, d.o.Settings.Zone)
		}
	}
	for _, def := range d.o.Settings.Components {
		if d.past.point(def, seen, now) {
			worth = true
		}
	}
	due := now.Sub(d.past.saved) >= saveEvery || now.Before(d.past.saved)
	d.mu.Unlock()
	if due {
		d.Save(ctx)
	}
	return worth
}

// Show takes what the components are shown as now, and counts nothing. Control calls it
// before Follow: a message often comes within the same second as the lever that it tells
// of, and what the last Look saw is older than both.
func (d *Desk) Show(b board.Board) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = b.Components
	for _, c := range b.Components {
		d.shown[c.ID] = c.State
	}
}

// count adds the time to the day's tally, in whole seconds.
func (h *history) count(c board.Component, now time.Time, elapsed time.Duration, zone *time.Location) {
	state := c.State
	if elapsed > mostElapsed {
		state = board.Unknown
	}
	elapsed = min(elapsed, 48*time.Hour) // a longer gap leaves days out: they are not known, either
	for from := now.Add(-elapsed); from.Before(now); {
		local := from.In(zone)
		next := time.Date(local.Year(), local.Month(), local.Day()+1, 0, 0, 0, 0, zone)
		to := now
		if next.Before(now) {
			to = next
		}
		h.add(c.ID, local.Format(time.DateOnly), state, to.Sub(from))
		from = to
	}
}

func (h *history) add(component, date string, state board.State, d time.Duration) {
	d += h.carry[component]
	seconds := int(d / time.Second)
	h.carry[component] = d - time.Duration(seconds)*time.Second
	if seconds == 0 {
		return
	}
	t := h.day(component)[date]
	t.Add(state, seconds)
	h.days[component][date] = t
	h.dirty[component+"/"+date] = true
}

// point adds what the checks took to the point under way, each result once; it says
// whether a point was finished.
func (h *history) point(def board.Definition, seen []board.Seen, now time.Time) bool {
	s := h.sum[def.ID]
	finished := false
	if s != nil && now.Sub(s.from) >= pointEvery {
		if s.n > 0 {
			p := board.Point{At: s.from.UTC(), Mean: milliseconds(s.took / time.Duration(s.n)), Most: milliseconds(s.slowest)}
			list := append(h.times[def.ID], p)
			h.times[def.ID], h.slow[def.ID], finished = slices.Clone(list[max(0, len(list)-pointsShown):]), true, true
		}
		s = &sum{seen: s.seen}
		s.from = now.Truncate(pointEvery)
	}
	if s == nil {
		s = &sum{from: now.Truncate(pointEvery), seen: map[string]time.Time{}}
	}
	h.sum[def.ID] = s
	for _, x := range seen {
		if x.Took <= 0 || !measures(def, x) {
			continue
		}
		key := x.Site + "/" + x.Place + "/" + x.Check + "/" + x.From
		if at := s.seen[key]; !x.At.After(at) {
			continue
		}
		s.seen[key] = x.At
		s.n, s.took, s.slowest = s.n+1, s.took+x.Took, max(s.slowest, x.Took)
	}
	return finished
}

func measures(def board.Definition, x board.Seen) bool {
	return slices.ContainsFunc(def.Measured, func(m board.Measure) bool {
		return m.Site == x.Site && (len(m.Checks) == 0 || slices.Contains(m.Checks, x.Check))
	})
}

func milliseconds(d time.Duration) int {
	return max(1, int(d.Round(time.Millisecond)/time.Millisecond))
}

// Save writes what is not in the store yet, and deletes days that are too old. What
// can't be written is tried again; nothing is while the store has little room.
func (d *Desk) Save(ctx context.Context) {
	if d.o.Degraded() {
		return
	}
	d.mu.Lock()
	d.past.saved = d.o.Now()
	oldest := d.past.saved.In(d.o.Settings.Zone).AddDate(0, 0, -keepDays).Format(time.DateOnly)
	var writes []store.Write
	for _, key := range slices.Sorted(maps.Keys(d.past.dirty)) {
		component, date, _ := strings.Cut(key, "/")
		if len(writes) < store.MaxWrites/2 {
			writes = append(writes, put(keyDay+key, d.past.day(component)[date]))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(d.past.slow)) {
		writes = append(writes, put(keyTimes+id, d.past.times[id]))
	}
	for id, days := range d.past.days {
		for date := range days {
			if date < oldest && len(writes) < store.MaxWrites {
				writes = append(writes, store.Write{Key: keyDay + id + "/" + date, Delete: true})
				delete(days, date)
			}
		}
	}
	dirty, slow := maps.Clone(d.past.dirty), maps.Clone(d.past.slow)
	clear(d.past.dirty)
	clear(d.past.slow)
	d.mu.Unlock()
	if len(writes) == 0 {
		return
	}
	if _, err := d.o.Store.Txn(ctx, nil, writes); err != nil {
		d.o.Logger.Warn("the days of the status page could not be written; they are tried again", "cause", err)
		d.mu.Lock()
		defer d.mu.Unlock()
		maps.Copy(d.past.dirty, dirty)
		maps.Copy(d.past.slow, slow)
	}
}

// Past is what was measured, for answer: the days that a bar shows, and a day of points.
func (d *Desk) Past() board.History {
	d.mu.Lock()
	defer d.mu.Unlock()
	first := d.o.Now().In(d.o.Settings.Zone).AddDate(0, 0, -board.DaysShown).Format(time.DateOnly)
	oldest := d.o.Now().Add(-24*time.Hour - pointEvery)
	out := board.History{}
	for _, def := range d.o.Settings.Components {
		var p board.Past
		for _, date := range slices.Sorted(maps.Keys(d.past.days[def.ID])) {
			if date >= first {
				p.Days = append(p.Days, board.Day{Date: date, Tally: d.past.days[def.ID][date]})
			}
		}
		for _, t := range d.past.times[def.ID] {
			if !t.At.Before(oldest) {
				p.Times = append(p.Times, t)
			}
		}
		out[def.ID] = p
	}
	return out
}
